use super::*;
use crate::record::VERSION;
use ctr_core::process::Identity;
use ctr_userns::map::IdMap;

struct Place {
    _dir: tempfile::TempDir,
    containers: Containers,
}

fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let dirs = Dirs { data: dir.path().join("data"), run: dir.path().join("run") };
    Place { containers: Containers::new(&dirs), _dir: dir }
}

fn record(claim: &Claim, created: u64) -> Record {
    Record::sample(claim.id.clone(), &claim.name, created)
}

fn state(init: Identity) -> State {
    let none = ctr_runtime::caps::CapSet::EMPTY;
    let map = IdMap::from_proc("0 0 1\n").unwrap();
    let maps = IdMaps { uid: map.clone(), gid: map };
    State {
        supervisor: init.clone(),
        init,
        serial: None,
        env: vec![],
        effective: none,
        bounding: none,
        started: 2,
        maps,
        cgroup: None,
        limits: vec![],
        waiting: false,
        standing: None,
    }
}

#[test]
fn a_container_is_seen_once_it_is_published_and_until_it_is_discarded() {
    let place = place();
    let claim = place.containers.claim(Kind::Fleeting, Some("web")).unwrap();
    assert!(place.containers.list().unwrap().is_empty());
    assert!(matches!(place.containers.find("web"), Err(ContainersError::NotFound(_))));

    claim.publish(&record(&claim, 1)).unwrap();
    let found = place.containers.find("web").unwrap();
    assert_eq!(found.record.id, claim.id);
    assert!(!found.is_running().unwrap());
    let me = Identity::current().unwrap();
    claim.started(&state(me)).unwrap();
    assert!(place.containers.find(claim.id.short()).unwrap().is_running().unwrap());

    let id = claim.id.clone();
    claim.discard().unwrap();
    assert!(matches!(place.containers.find(id.as_str()), Err(ContainersError::NotFound(_))));
    assert!(place.containers.claim(Kind::Fleeting, Some("web")).is_ok());
}

#[test]
fn one_that_is_gone_needs_no_flush() {
    let place = place();
    let claim = place.containers.claim(Kind::Kept, None).unwrap();
    claim.publish(&record(&claim, 1)).unwrap();
    claim.flush().unwrap();
    std::fs::remove_dir_all(place.containers.kept.join(claim.id.as_str())).unwrap();
    claim.flush().unwrap();
}

#[test]
fn names_are_taken_once() {
    let place = place();
    let first = place.containers.claim(Kind::Fleeting, Some("/web")).unwrap();
    assert_eq!(first.name, "web");
    match place.containers.claim(Kind::Fleeting, Some("web")) {
        Err(ContainersError::NameInUse { name, id }) => {
            assert_eq!((name.as_str(), id.as_str()), ("web", first.id.as_str()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(ids_in(&place.containers.fleeting).unwrap().len(), 1, "the loser left nothing");
    for bad in ["", "-a", ".a", "a/b", "a b", "é", "..", &"a".repeat(256)] {
        assert!(
            matches!(place.containers.claim(Kind::Fleeting, Some(bad)), Err(ContainersError::BadName(_))),
            "{bad}"
        );
    }
    let unnamed = place.containers.claim(Kind::Fleeting, None).unwrap();
    assert!(unnamed.name.contains('_'));
}

#[test]
fn what_a_killed_supervisor_left_is_garbage() {
    let place = place();
    let claim = place.containers.claim(Kind::Fleeting, Some("web")).unwrap();
    claim.publish(&record(&claim, 1)).unwrap();
    std::fs::create_dir_all(claim.layer.join("upper/deep")).unwrap();
    let (dir, layer) = (claim.dir.clone(), claim.layer.clone());
    // What the kernel does to the lock of a killed process.
    drop(claim);

    assert!(place.containers.list().unwrap().is_empty());
    assert!(matches!(place.containers.find("web"), Err(ContainersError::NotFound(_))));
    let next = place.containers.claim(Kind::Fleeting, Some("web")).unwrap();
    assert!(dir.exists() && layer.exists());
    assert_eq!(place.containers.sweep().unwrap().len(), 1);
    assert!(!dir.exists() && !layer.exists());
    assert!(next.dir.exists(), "a live one is spared");
}

#[test]
fn layers_of_another_boot_and_names_of_nobody_are_swept() {
    let place = place();
    let stray = place.containers.kept.join("a".repeat(64));
    std::fs::create_dir_all(stray.join("upper")).unwrap();
    let claim = place.containers.claim(Kind::Fleeting, Some("lost")).unwrap();
    let name_file = place.containers.names(Kind::Fleeting).file("lost");
    drop(claim);
    place.containers.sweep().unwrap();
    assert!(!stray.exists() && !name_file.exists());
}

#[test]
fn lists_are_oldest_first_and_prefixes_must_be_unique() {
    let place = place();
    let claims: Vec<Claim> = (0..20).map(|_| place.containers.claim(Kind::Fleeting, None).unwrap()).collect();
    for (at, claim) in claims.iter().enumerate() {
        claim.publish(&record(claim, 100 - at as u64)).unwrap();
    }
    let order: Vec<u64> = place.containers.list().unwrap().iter().map(|c| c.record.created).collect();
    assert!(order.is_sorted());
    // Of twenty ids two begin with the same of sixteen digits.
    let mut digits: Vec<&str> = claims.iter().map(|claim| &claim.id.as_str()[..1]).collect();
    digits.sort_unstable();
    let shared = digits.windows(2).find(|pair| pair[0] == pair[1]).unwrap()[0];
    assert!(matches!(place.containers.find(shared), Err(ContainersError::Ambiguous(_))));
    std::fs::write(claims[0].dir.join("record.json"), "{").unwrap();
    assert_eq!(place.containers.list().unwrap().len(), 19, "a broken one harms itself only");
}

#[test]
fn one_of_many_who_want_a_name_gets_it() {
    let place = place();
    let winners = std::thread::scope(|scope| {
        let tries: Vec<_> = (0..16)
            .map(|_| scope.spawn(|| place.containers.claim(Kind::Fleeting, Some("one")).ok()))
            .collect();
        tries.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(winners.len(), 1);
}

/// A kept container that nobody holds.
fn kept(place: &Place, name: &str, auto_remove: bool) -> ContainerId {
    let claim = place.containers.claim(Kind::Kept, Some(name)).unwrap();
    claim.publish(&Record { auto_remove, ..record(&claim, 1) }).unwrap();
    claim.id.clone()
}

#[test]
fn a_kept_container_is_there_until_it_is_removed() {
    let place = place();
    let id = kept(&place, "web", false);
    let found = place.containers.find("web").unwrap();
    assert_eq!((found.record.id, found.kind, found.folder), (id, Kind::Kept, found.layer));
    assert_eq!(place.containers.find("web").unwrap().status().unwrap(), Status::Created);
    assert!(place.containers.sweep().unwrap().is_empty(), "nobody holds it, and nobody needs to");
    let container = place.containers.find("web").unwrap();
    let (claim, _) = place.containers.hold(&container).unwrap().unwrap();
    claim.discard().unwrap();
    assert!(matches!(place.containers.find("web"), Err(ContainersError::NotFound(_))));
    assert!(!container.folder.exists());
}

#[test]
fn a_name_belongs_to_one_container_of_both_kinds() {
    let place = place();
    kept(&place, "kept", false);
    let fleeting = place.containers.claim(Kind::Fleeting, Some("fleeting")).unwrap();
    for (kind, name) in [(Kind::Fleeting, "kept"), (Kind::Kept, "fleeting"), (Kind::Kept, "kept")] {
        let refused = place.containers.claim(kind, Some(name));
        assert!(matches!(refused, Err(ContainersError::NameInUse { .. })), "{kind:?} {name}");
    }
    drop(fleeting);
    assert!(place.containers.claim(Kind::Kept, Some("fleeting")).is_ok(), "nobody holds it any more");
}

#[test]
fn one_that_was_to_go_with_its_end_is_garbage_without_a_monitor() {
    let place = place();
    let id = kept(&place, "once", true);
    assert!(place.containers.find("once").is_ok(), "it was never started");
    let container = place.containers.find("once").unwrap();
    let (claim, _) = place.containers.hold(&container).unwrap().unwrap();
    claim.started(&state(Identity::current().unwrap())).unwrap();
    assert!(place.containers.find("once").is_ok(), "somebody holds it");
    drop(claim);
    assert!(matches!(place.containers.find("once"), Err(ContainersError::NotFound(_))));
    let swept = place.containers.sweep().unwrap();
    assert_eq!(swept.iter().filter_map(|gone| Some(&gone.record.as_ref()?.id)).collect::<Vec<_>>(), [&id]);
    assert!(place.containers.claim(Kind::Kept, Some("once")).is_ok());
}

#[test]
fn a_half_made_kept_container_is_garbage_and_one_of_a_newer_version_is_not() {
    let place = place();
    drop(place.containers.claim(Kind::Kept, Some("half")).unwrap());
    let newer = kept(&place, "newer", false);
    let folder = place.containers.kept.join(newer.as_str());
    std::fs::write(folder.join(RECORD), "{\"version\":99}").unwrap();
    // One that would be garbage if what its record says meant the same there.
    let once = place.containers.kept.join(kept(&place, "once", true).as_str());
    let text = std::fs::read_to_string(once.join(RECORD)).unwrap();
    let (ours, theirs) = (format!("\"version\":{VERSION}"), "\"version\":99");
    assert!(text.contains(&ours));
    std::fs::write(once.join(RECORD), text.replace(&ours, theirs)).unwrap();
    std::fs::write(once.join(STATE), "{}").unwrap();
    assert_eq!(place.containers.sweep().unwrap().len(), 1);
    assert!(folder.exists() && once.exists());
}

#[test]
fn renaming_frees_the_old_name_and_takes_no_foreign_one() {
    let place = place();
    kept(&place, "old", false);
    kept(&place, "other", false);
    let container = place.containers.find("old").unwrap();
    let refused = place.containers.rename(&container, "other");
    assert!(matches!(refused, Err(ContainersError::NameInUse { .. })));
    place.containers.rename(&container, "new").unwrap();
    assert_eq!(place.containers.find("new").unwrap().record.id, container.record.id);
    assert!(matches!(place.containers.find("old"), Err(ContainersError::NotFound(_))));
    kept(&place, "old", false);
}

#[test]
fn who_holds_a_container_knows_what_is_true_of_it_then() {
    let place = place();
    kept(&place, "old", false);
    let container = place.containers.find("old").unwrap();
    let web = ctr_net::publish::parse("8080:80").unwrap();
    let (alone, now) = place.containers.changing(&container).unwrap();
    place.containers.publish_anew(&now, web.clone()).unwrap();
    drop(alone);
    place.containers.rename(&container, "new").unwrap();
    let (claim, now) = place.containers.hold(&container).unwrap().unwrap();
    assert_eq!((claim.name.as_str(), now.record.ports), ("new", web));
}

#[test]
fn who_is_doing_what() {
    let place = place();
    kept(&place, "web", false);
    let status = || place.containers.find("web").unwrap().status().unwrap();
    let container = place.containers.find("web").unwrap();
    let (claim, _) = place.containers.hold(&container).unwrap().unwrap();
    let me = Identity::current().unwrap();
    claim.started(&state(me.clone())).unwrap();
    assert_eq!(status(), Status::Running);
    let gone = Identity { start_time: me.start_time + 1, ..me.clone() };
    claim.started(&state(gone.clone())).unwrap();
    assert_eq!(status(), Status::Stopping, "its monitor has not said how it ended");
    drop(claim);
    assert!(matches!(status(), Status::Exited(exit) if exit.unseen && exit.code == 137));
    let (claim, _) = place.containers.hold(&container).unwrap().unwrap();
    claim.started(&state(me)).unwrap();
    drop(claim);
    assert_eq!(status(), Status::Stopping, "its monitor was killed");
    let ending = r#"{"code":3,"signal":0,"oom":true,"timed_out":false,"finished":7}"#;
    std::fs::write(container.folder.join(ENDING), ending).unwrap();
    let exit = status().exit().unwrap();
    assert_eq!((exit.code, exit.finished, exit.oom, exit.unseen), (3, Some(7), true, false));
    let (claim, _) = place.containers.hold(&container).unwrap().unwrap();
    claim.begins().unwrap();
    claim.failed().unwrap();
    drop(claim);
    assert_eq!(status(), Status::Created);
}

#[test]
fn what_is_next_is_of_the_init_that_is_there() {
    let place = place();
    let claim = place.containers.claim(Kind::Kept, Some("web")).unwrap();
    claim.publish(&record(&claim, 1)).unwrap();
    let first = State { waiting: true, ..state(Identity::current().unwrap()) };
    claim.started(&first).unwrap();
    let found = place.containers.find("web").unwrap();
    let next = found.folder.join(NEXT);
    let (held, waited) = found.write_next(&first.init, 7).unwrap();
    assert!(waited, "nobody has started it");
    let written = file::read_json::<State>(&next, limits::RECORD).unwrap();
    assert_eq!(written, State { waiting: false, started: 7, ..first.clone() });
    let other = found.write_next(&first.init, 8);
    assert!(matches!(other, Err(ContainersError::Another(_))), "one writes at a time");
    drop(held);
    // It ended, and was initialized again.
    std::fs::remove_file(&next).unwrap();
    let init = Identity::of(1).unwrap();
    claim.started(&State { init, ..first.clone() }).unwrap();
    assert!(matches!(found.write_next(&first.init, 9), Err(ContainersError::Another(_))));
    assert!(!next.exists());
}
