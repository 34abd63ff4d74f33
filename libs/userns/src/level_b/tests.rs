use super::*;

/// A of the user whom podman was asked about: uid 1001, one range of 65,536.
fn usual() -> IdMaps {
    let map = IdMap::new(vec![Extent::new(0, 1001, 1), Extent::new(1, 100_000, 65_536)]).unwrap();
    IdMaps { uid: map.clone(), gid: map }
}

fn given<'a>(a: &'a IdMaps, files: &'a Files) -> Given<'a> {
    Given {
        a,
        user: (1001, 1001),
        root_of_host: false,
        ids_of_image: 0,
        auto_sizes: AUTO_SIZES,
        in_use: &[],
        files,
    }
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn mode(value: &str) -> Choice {
    Flags { userns: Some(value), ..Flags::default() }.choose().unwrap()
}

fn maps(uid: &[&str], gid: &[&str]) -> Choice {
    let (uid, gid) = (strings(uid), strings(gid));
    Flags { uidmap: &uid, gidmap: &gid, ..Flags::default() }.choose().unwrap()
}

#[track_caller]
fn new(planned: Result<Plan, PlanError>) -> Plan {
    planned.unwrap()
}

/// uid_map and gid_map as podman 4.3 showed them for the same flags (`podman run … cat /proc/self/uid_map
/// /proc/self/gid_map` as uid 1001 with 100000:65536), sorted by the first column.
#[test]
fn the_maps_are_podmans() {
    let cases: &[(Choice, &str, &str)] = &[
        (mode("keep-id"), "0 1 1001\n1001 0 1\n1002 1002 64535\n", "0 1 1001\n1001 0 1\n1002 1002 64535\n"),
        (
            mode("keep-id:uid=200,gid=210"),
            "0 1 200\n200 0 1\n201 201 65336\n",
            "0 1 210\n210 0 1\n211 211 65326\n",
        ),
        (mode("keep-id:uid=70000"), "0 1 65536\n70000 0 1\n", "0 1 1001\n1001 0 1\n1002 1002 64535\n"),
        (mode("nomap"), "0 1 65536\n", "0 1 65536\n"),
        (mode("auto"), "0 1 1024\n", "0 1 1024\n"),
        (mode("auto:size=5000"), "0 1 5000\n", "0 1 5000\n"),
        (mode("auto:size=100,uidmapping=50:0:1"), "0 1 50\n50 0 1\n51 51 49\n", "0 1 100\n"),
        (maps(&["0:0:5000"], &[]), "0 0 1\n1 1 4999\n", "0 0 1\n1 1 4999\n"),
        (maps(&["0:1:100"], &["0:0:1"]), "0 1 100\n", "0 0 1\n"),
        (maps(&["0:5:10", "10:100:3"], &[]), "0 5 10\n10 100 3\n", "0 5 10\n10 100 3\n"),
    ];
    let (a, files) = (usual(), Files::default());
    for (choice, uid, gid) in cases {
        let lines = new(plan(choice, &given(&a, &files))).lines(&a).unwrap();
        assert_eq!((lines.0.to_string().as_str(), lines.1.to_string().as_str()), (*uid, *gid), "{choice:?}");
    }
}

/// `host` cannot be compared: podman runs it in A itself, we in a B that has all of A.
#[test]
fn host_and_private_are_all_of_a() {
    let (a, files) = (usual(), Files::default());
    for value in ["", "host", "private"] {
        let plan = new(plan(&mode(value), &given(&a, &files)));
        assert_eq!(plan.lines(&a).unwrap().0.to_string(), "0 0 1\n1 1 65536\n");
        assert_eq!(plan.on_disk(&a).unwrap(), a);
        assert_eq!(plan.user, None);
    }
}

/// Podman 6's own table (TestGetRootlessKeepIDMapping), for what 4.3 does not know.
#[test]
fn keep_id_with_a_size() {
    let (a, files) = (usual(), Files::default());
    let lines = |value: &str| new(plan(&mode(value), &given(&a, &files))).lines(&a).unwrap().0.to_string();
    assert_eq!(lines("keep-id:size=2000"), "0 1 1001\n1001 0 1\n1002 1002 998\n");
    assert_eq!(lines("keep-id:size=100"), "0 1 99\n1001 0 1\n");
    assert_eq!(lines("keep-id:size=1"), "1001 0 1\n");
    assert_eq!(lines("keep-id:size=0"), lines("keep-id"));
    assert_eq!(lines("keep-id:uid=0"), "0 0 1\n1 1 65536\n");
}

#[test]
fn keep_id_runs_as_the_user() {
    let (a, files) = (usual(), Files::default());
    assert_eq!(new(plan(&mode("keep-id"), &given(&a, &files))).user, Some((1001, 1001)));
    assert_eq!(new(plan(&mode("keep-id:uid=5"), &given(&a, &files))).user, Some((5, 1001)));
}

#[test]
fn a_map_follows_the_extents_of_a() {
    let map = IdMap::new(vec![
        Extent::new(0, 1001, 1),
        Extent::new(1, 100_000, 500),
        Extent::new(501, 300_000, 9500),
    ]);
    let a = IdMaps { uid: map.clone().unwrap(), gid: map.unwrap() };
    let files = Files::default();
    let lines = new(plan(&mode("keep-id"), &given(&a, &files))).lines(&a).unwrap().0.to_string();
    assert_eq!(lines, "0 1 500\n500 501 501\n1001 0 1\n1002 1002 8999\n");
    let lines = new(plan(&mode("nomap"), &given(&a, &files))).lines(&a).unwrap().0.to_string();
    assert_eq!(lines, "0 1 500\n500 501 9500\n");
}

#[test]
fn auto_avoids_what_others_have() {
    let (a, files) = (usual(), Files::default());
    let mut in_use: Vec<IdMaps> = Vec::new();
    let mut starts = Vec::new();
    loop {
        let given = Given { in_use: &in_use, ..given(&a, &files) };
        match plan(&mode("auto:size=20000"), &given) {
            Ok(plan) => {
                starts.push(plan.maps.uid.to_outer(0).unwrap());
                in_use.push(plan.maps);
            }
            Err(err) => {
                assert_eq!(err.to_string(), "--userns=auto needs 20000 UIDs, and 5536 are not in use");
                break;
            }
        }
    }
    assert_eq!(starts, [1, 20_001, 40_001]);
    in_use.remove(1);
    let again = new(plan(&mode("auto:size=20500"), &Given { in_use: &in_use, ..given(&a, &files) }));
    assert_eq!(again.lines(&a).unwrap().0.to_string(), "0 20001 20000\n20000 60001 500\n");
}

#[test]
fn auto_is_as_large_as_the_image_needs() {
    let (a, files) = (usual(), Files::default());
    let size = |ids_of_image| plan(&mode("auto"), &Given { ids_of_image, ..given(&a, &files) });
    assert_eq!(new(size(3000)).maps.uid.count(), 3000);
    assert!(matches!(size(70_000), Err(PlanError::TooLarge(70_000))));
    let size = |auto_sizes, ids_of_image| {
        plan(&mode("auto"), &Given { auto_sizes, ids_of_image, ..given(&a, &files) })
    };
    assert_eq!(new(size((10, 20), 0)).maps.uid.count(), 10);
    assert_eq!(new(size((10, 20), 20)).maps.uid.count(), 20);
    assert!(matches!(size((10, 20), 21), Err(PlanError::TooLarge(21))));
    assert!(matches!(size((30, 20), 0), Err(PlanError::TooLarge(30))));
}

#[test]
fn only_one_kind_of_entries_stands_for_both() {
    let (a, files) = (usual(), Files::default());
    let lines = |choice: &Choice| {
        let (uid, gid) = new(plan(choice, &given(&a, &files))).lines(&a).unwrap();
        (uid.to_string(), gid.to_string())
    };
    let both = lines(&maps(&[], &["0:1:10"]));
    assert_eq!(both, ("0 1 10\n".to_owned(), "0 1 10\n".to_owned()));
    // `g` entries say nothing of users, who get all there is.
    let one = lines(&maps(&[], &["+g1000:@1001"]));
    assert_eq!(one.0, "0 0 1\n1 1 65536\n");
    assert_eq!(one.1, "0 1 1000\n1000 0 1\n1001 1001 64536\n");
}

#[test]
fn names_mean_their_ranges_if_those_are_ours() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("subids");
    std::fs::write(&path, "anna:100100:50\nanna:100000:10\nbob:500000:10\n").unwrap();
    let files = Files { subuid: path.clone(), subgid: path, ..Files::default() };
    let a = usual();
    let choice = |name| Flags { subuidname: Some(name), ..Flags::default() }.choose().unwrap();
    let plan = |name| plan(&choice(name), &given(&a, &files));
    assert_eq!(new(plan("anna")).lines(&a).unwrap().1.to_string(), "0 101 50\n50 1 10\n");
    assert_eq!(
        plan("bob").unwrap_err().to_string(),
        "UID 500000, a subordinate id of `bob`, is not one of yours"
    );
    assert!(matches!(plan("carl"), Err(PlanError::NoRanges { .. })));
}

#[test]
fn the_machines_root_stays_outside() {
    let map = IdMap::new(vec![Extent::new(0, 0, 1), Extent::new(1, 100_000, 65_536)]).unwrap();
    let (a, files) = (IdMaps { uid: map.clone(), gid: map }, Files::default());
    let root = Given { user: (0, 0), root_of_host: true, ..given(&a, &files) };
    for value in ["host", "private", "keep-id", "auto"] {
        let plan = new(plan(&mode(value), &root));
        assert_eq!(plan.on_disk(&a).unwrap().uid.to_inner(0), None, "{value}");
        assert_eq!(plan.maps.uid.to_outer(0), Some(1), "{value}");
    }
    assert!(matches!(plan(&mode("nomap"), &root), Err(PlanError::NoMapForRoot)));
}

#[test]
fn ids_beyond_a_are_refused() {
    let (a, files) = (usual(), Files::default());
    let err = plan(&maps(&["0:0:70000"], &[]), &given(&a, &files)).unwrap_err();
    assert!(
        matches!(err, PlanError::Map { kind: Kind::Uid, source: MapError::Unmapped { id: 65_537 } }),
        "{err}"
    );
}

#[test]
fn modes_are_read() {
    assert_eq!(Mode::parse("container:web"), Ok(Mode::Container("web".into())));
    assert_eq!(Mode::parse("ns:/proc/5/ns/user"), Ok(Mode::Namespace("/proc/5/ns/user".into())));
    let keep = Mode::KeepId { uid: Some(1), gid: None, size: Some(9) };
    assert_eq!(Mode::parse("keep-id:uid=1,size=9"), Ok(keep));
    for wrong in ["container:", "container", "ns:", "pod", "host:", "private:x", "nomap:x", "keepid"] {
        assert_eq!(Mode::parse(wrong), Err(ModeError::Unknown(wrong.to_owned())));
    }
    for wrong in ["keep-id:", "keep-id:uid", "keep-id:pid=1", "auto:", "auto:x=1"] {
        assert!(matches!(Mode::parse(wrong), Err(ModeError::Option { .. })), "{wrong}");
    }
    for wrong in ["keep-id:uid=-1", "keep-id:uid=", "auto:size=4294967296", "keep-id:gid=+1"] {
        assert!(matches!(Mode::parse(wrong), Err(ModeError::Number(_))), "{wrong}");
    }
}

#[test]
fn flags_that_contradict_each_other_are_refused() {
    let map = strings(&["0:0:1"]);
    let flags = Flags { userns: Some("host"), uidmap: &map, ..Flags::default() };
    assert_eq!(flags.choose(), Err(ModeError::Conflict));
    let flags = Flags { userns: Some("host"), subgidname: Some("a"), ..Flags::default() };
    assert_eq!(flags.choose(), Err(ModeError::Conflict));
    let flags = Flags { gidmap: &map, subgidname: Some("a"), ..Flags::default() };
    assert_eq!(flags.choose(), Err(ModeError::MapsAndNames));
    assert_eq!(Flags::default().choose(), Ok(Choice::Mode(Mode::Host)));
}
