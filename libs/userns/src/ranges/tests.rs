use std::path::Path;

use rustix::thread::CapabilitySet;

use super::*;
use crate::map::{Extent, IdMap, IdMaps};

/// An ordinary user on an ordinary machine.
fn anna() -> Facts {
    let host = IdMap::new(vec![Extent::new(0, 0, u32::MAX)]).unwrap();
    Facts {
        uid: 1001,
        gid: 1001,
        name: Some("anna".to_owned()),
        capabilities: CapabilitySet::empty(),
        initial: true,
        maps: IdMaps { uid: host.clone(), gid: host },
    }
}

/// Root of a container that was given 0..65536.
fn root_of_container() -> Facts {
    let given = IdMap::new(vec![Extent::new(0, 200_000, 65_536)]).unwrap();
    let maps = IdMaps { uid: given.clone(), gid: given };
    let name = Some("root".to_owned());
    Facts { uid: 0, gid: 0, name, capabilities: CapabilitySet::all(), initial: false, maps }
}

struct Etc(tempfile::TempDir);

impl Etc {
    fn new(subuid: &str, subgid: &str) -> Self {
        let etc = Self(tempfile::tempdir().unwrap());
        std::fs::write(etc.0.path().join("subuid"), subuid).unwrap();
        std::fs::write(etc.0.path().join("subgid"), subgid).unwrap();
        etc
    }

    fn files(&self) -> Files {
        let at = |name| self.0.path().join(name);
        Files {
            subuid: at("subuid"),
            subgid: at("subgid"),
            nsswitch: at("nsswitch.conf"),
            getsubids: at("getsubids"),
        }
    }
}

fn shown(map: &IdMap) -> String {
    map.extents().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn notes(found: &SubIds) -> Vec<String> {
    found.notes.iter().map(ToString::to_string).collect()
}

fn parsed(text: &str) -> SubIds {
    SubIds::parse(text, Path::new("/etc/subuid"), Some(1001), Some("anna"))
}

#[test]
fn ranges_are_found_by_name_and_by_number_in_the_order_of_the_file() {
    let found = parsed("bob:1:5\nanna:300000:10\n1001:200000:20\n# anna:1:1\n\nannabel:5:5\n");
    let ranges: Vec<_> = found.ranges.iter().map(|range| (range.first, range.len)).collect();
    assert_eq!(ranges, [(300_000, 10), (200_000, 20)]);
    assert_eq!(notes(&found), [""; 0]);
    assert_eq!(found.count(), 30);
}

#[test]
fn bad_lines_are_said_if_they_are_ours() {
    let found = parsed(
        "bob:x:y\nanna:100000\nanna:1:2:3\nanna:-5:10\nanna:5:0\nanna:4294967000:400\nanna:99999999999:1\n\
         anna:100000:100\nanna:100050:100\nanna:100000:100\n",
    );
    assert_eq!(found.ranges.len(), 1);
    assert_eq!(
        notes(&found),
        [
            "/etc/subuid:2: not of the form NAME:FIRST:COUNT",
            "/etc/subuid:3: not of the form NAME:FIRST:COUNT",
            "/etc/subuid:4: not of the form NAME:FIRST:COUNT",
            "/etc/subuid:5: the range is empty or runs past the last id",
            "/etc/subuid:6: the range is empty or runs past the last id",
            "/etc/subuid:7: the range is empty or runs past the last id",
            "/etc/subuid:9: the range overlaps that of /etc/subuid:8",
        ]
    );
}

#[test]
fn as_many_ranges_as_a_map_has_lines() {
    let text: String = (0..400).map(|n| format!("anna:{}:1\n", 100_000 + 2 * n)).collect();
    let found = parsed(&text);
    assert_eq!(found.ranges.len(), 339);
    assert_eq!(found.notes.len(), 61);
    assert_eq!(found.notes[0].problem, Problem::TooMany);
}

#[test]
fn a_user_with_ranges_needs_the_helpers() {
    let etc = Etc::new("anna:100000:65536\n", "anna:100000:65536\nanna:500000:10\n");
    let found = discover(&anna(), &etc.files()).unwrap();
    let Source::Helpers(maps) = &found.source else { panic!("{found:?}") };
    assert_eq!(shown(&maps.uid), "0:1001:1 1:100000:65536");
    assert_eq!(shown(&maps.gid), "0:1001:1 1:100000:65536 65537:500000:10");
}

#[test]
fn the_users_own_id_within_a_range_is_mapped_once() {
    let etc = Etc::new("anna:1000:5\n", "anna:2000:5\n");
    let found = discover(&anna(), &etc.files()).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:1001:1 1:1000:1 2:1002:3");
    assert_eq!(found.notes[0].problem, Problem::OwnId(1001));
}

#[test]
fn no_ranges_is_said_with_what_may_be_why() {
    for (subuid, subgid, kind, both) in [
        ("", "", Kind::Uid, true),
        ("anna:1:1\n", "", Kind::Gid, false),
        ("anna:x:1\n", "anna:1:1\n", Kind::Uid, false),
    ] {
        let etc = Etc::new(subuid, subgid);
        let err = discover(&anna(), &etc.files()).unwrap_err();
        let RangesError::Missing(missing) = err else { panic!("{err}") };
        assert_eq!((missing.kind, missing.both), (kind, both));
        assert_eq!(missing.notes.len(), usize::from(subuid.contains('x')));
    }
    let nothing =
        Files { subuid: "/nonexistent".into(), subgid: "/nonexistent".into(), ..Etc::new("", "").files() };
    assert!(matches!(discover(&anna(), &nothing), Err(RangesError::Missing(_))));
}

#[test]
fn root_of_a_host_gets_ranges_and_never_the_identity() {
    let root =
        Facts { uid: 0, gid: 0, name: Some("root".into()), capabilities: CapabilitySet::all(), ..anna() };
    let with = Etc::new("root:100000:65536\n", "root:100000:65536\n");
    let found = discover(&root, &with.files()).unwrap();
    let Source::Direct(maps) = &found.source else { panic!("{found:?}") };
    assert_eq!(shown(&maps.uid), "0:0:1 1:100000:65536");
    assert!(matches!(discover(&root, &Etc::new("", "").files()), Err(RangesError::Missing(_))));
}

#[test]
fn root_of_a_container_has_what_the_container_has() {
    let root = root_of_container();
    let none = Etc::new("", "");
    let found = discover(&root, &none.files()).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:0:1 1:1:65535");
    assert!(matches!(found.source, Source::Direct(_)));

    let beyond = Etc::new("root:100000:65536\n", "root:100000:65536\n");
    let found = discover(&root, &beyond.files()).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:0:1 1:1:65535", "ranges of another world count as none");

    let within = Etc::new("root:1000:64000\n", "root:1000:64000\n");
    let found = discover(&root, &within.files()).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:0:1 1:1000:64000");
}

/// As podman's containers are seen from inside: a border after 0, where the ids go on.
#[test]
fn borders_of_the_container_are_ours_too() {
    let given = IdMap::from_proc("0 0 1\n1 1 65536\n").unwrap();
    let maps = IdMaps { uid: given.clone(), gid: given };
    let root = Facts { maps, ..root_of_container() };
    let within = Etc::new("root:1000:60000\n", "root:1000:60000\n");
    let found = discover(&root, &Etc::new("", "").files()).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:0:1 1:1:65536");
    let found = discover(&root, &within.files()).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:0:1 1:1000:60000");
}

#[test]
fn a_container_in_the_hosts_namespace_takes_no_more_than_a_system_needs() {
    let docker = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SETFCAP;
    let root = Facts { uid: 0, gid: 0, name: Some("root".into()), capabilities: docker, ..anna() };
    let found = discover(&root, &Etc::new("", "").files()).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:0:1 1:1:65535");
}

#[test]
fn a_container_with_one_id_has_none_to_give() {
    let one = IdMap::new(vec![Extent::new(0, 1000, 1)]).unwrap();
    let root = Facts { maps: IdMaps { uid: one.clone(), gid: one }, ..root_of_container() };
    assert!(matches!(discover(&root, &Etc::new("", "").files()), Err(RangesError::Missing(_))));
}

#[test]
fn a_directory_is_asked_where_nsswitch_says_so() {
    use std::os::unix::fs::PermissionsExt;
    let etc = Etc::new("anna:100000:65536\n", "anna:100000:65536\n");
    let files = etc.files();
    std::fs::write(&files.nsswitch, "subid: sss\n").unwrap();
    let err = discover(&anna(), &files).unwrap_err();
    assert!(matches!(err, RangesError::Directory { source: DirectoryError::Run { .. }, .. }), "{err}");

    let script = "#!/bin/sh\n[ \"$1\" = -g ] && echo '0: anna 700000 5' || echo \"0: $1 600000 65536\"\n";
    std::fs::write(&files.getsubids, script).unwrap();
    std::fs::set_permissions(&files.getsubids, std::fs::Permissions::from_mode(0o755)).unwrap();
    let found = discover(&anna(), &files).unwrap();
    assert_eq!(shown(&found.source.maps().uid), "0:1001:1 1:600000:65536");
    assert_eq!(shown(&found.source.maps().gid), "0:1001:1 1:700000:5");
}

#[test]
fn a_free_range_starts_after_all_others() {
    assert_eq!(free_range("bob:100000:65536\nzoe:165536:10\n", ""), 231_072..=296_607);
    assert_eq!(free_range("", "bob:100000:1\n"), 165_536..=231_071);
    assert_eq!(free_range("", ""), 100_000..=165_535);
}

#[test]
fn ids_that_others_have_too_are_found() {
    let text = "anna:100000:65536\nbob:165535:10\ncarl:165536:10\n1001:500000:1\nbad\ndora:500000:1\n";
    assert_eq!(sharers(text, &anna()), ["bob", "dora"]);
}
