use super::*;
use crate::record::{HostRecord, ProcessRecord};
use ctr_core::process::Identity;

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
    Record {
        version: VERSION,
        id: claim.id.clone(),
        name: claim.name.clone(),
        created,
        auto_remove: true,
        boot_id: ctr_core::boot::boot_id().unwrap().clone(),
        image: None,
        image_name: String::new(),
        image_digest: None,
        rootfs: None,
        layers: vec![],
        hostname: String::new(),
        labels: vec![],
        annotations: vec![],
        process: ProcessRecord::default(),
        host: HostRecord::default(),
        mounts: vec![],
        cidfile: None,
        pidfile: None,
        timezone: String::new(),
        timeout: 0,
        command_line: vec![],
    }
}

fn state(init: Identity) -> State {
    let none = ctr_runtime::caps::CapSet::EMPTY;
    State { supervisor: init.clone(), init, env: vec![], effective: none, bounding: none, started: 2 }
}

#[test]
fn a_container_is_seen_once_it_is_published_and_until_it_is_discarded() {
    let place = place();
    let claim = place.containers.claim(Some("web")).unwrap();
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
    assert!(place.containers.claim(Some("web")).is_ok());
}

#[test]
fn names_are_taken_once() {
    let place = place();
    let first = place.containers.claim(Some("/web")).unwrap();
    assert_eq!(first.name, "web");
    match place.containers.claim(Some("web")) {
        Err(ContainersError::NameInUse { name, id }) => {
            assert_eq!((name.as_str(), id.as_str()), ("web", first.id.as_str()));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(place.containers.ids().unwrap().len(), 1, "the loser left nothing");
    for bad in ["", "-a", ".a", "a/b", "a b", "é", "..", &"a".repeat(256)] {
        assert!(matches!(place.containers.claim(Some(bad)), Err(ContainersError::BadName(_))), "{bad}");
    }
    let unnamed = place.containers.claim(None).unwrap();
    assert!(unnamed.name.contains('_'));
}

#[test]
fn what_a_killed_supervisor_left_is_garbage() {
    let place = place();
    let claim = place.containers.claim(Some("web")).unwrap();
    claim.publish(&record(&claim, 1)).unwrap();
    std::fs::create_dir_all(claim.layer.join("upper/deep")).unwrap();
    let (dir, layer) = (claim.dir.clone(), claim.layer.clone());
    // What the kernel does to the lock of a killed process.
    let Claim { lock, .. } = claim;
    drop(lock);

    assert!(place.containers.list().unwrap().is_empty());
    assert!(matches!(place.containers.find("web"), Err(ContainersError::NotFound(_))));
    let next = place.containers.claim(Some("web")).unwrap();
    assert!(dir.exists() && layer.exists());
    assert_eq!(place.containers.sweep().unwrap().len(), 1);
    assert!(!dir.exists() && !layer.exists());
    assert!(next.dir.exists(), "a live one is spared");
}

#[test]
fn layers_of_another_boot_and_names_of_nobody_are_swept() {
    let place = place();
    let stray = place.containers.layers.join("a".repeat(64));
    std::fs::create_dir_all(stray.join("upper")).unwrap();
    let claim = place.containers.claim(Some("lost")).unwrap();
    let name_file = claim.name_file.clone();
    drop(claim);
    place.containers.sweep().unwrap();
    assert!(!stray.exists() && !name_file.exists());
}

#[test]
fn lists_are_oldest_first_and_prefixes_must_be_unique() {
    let place = place();
    let claims: Vec<Claim> = (0..20).map(|_| place.containers.claim(None).unwrap()).collect();
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
        let tries: Vec<_> =
            (0..16).map(|_| scope.spawn(|| place.containers.claim(Some("one")).ok())).collect();
        tries.into_iter().filter_map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
    });
    assert_eq!(winners.len(), 1);
}
