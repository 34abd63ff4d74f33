use super::*;

fn map(extents: &[(u32, u32, u32)]) -> IdMap {
    IdMap::new(extents.iter().map(|&(inner, outer, len)| Extent::new(inner, outer, len)).collect()).unwrap()
}

fn shown(map: &IdMap) -> String {
    map.extents().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

/// A's map as on most machines: the user, and one subordinate range.
fn usual() -> IdMap {
    map(&[(0, 1001, 1), (1, 100_000, 65_536)])
}

#[test]
fn a_map_is_its_meaning_but_keeps_its_borders() {
    let two = map(&[(10, 110, 5), (0, 100, 10)]);
    assert_eq!(two, map(&[(0, 100, 15)]));
    assert_ne!(two, map(&[(0, 100, 14)]));
    assert_eq!(shown(&two), "0:100:10 10:110:5");
    assert_eq!(shown(&map(&[(5, 0, 5), (0, 5, 5)])), "0:5:5 5:0:5");
}

#[test]
fn what_is_not_a_map_is_refused() {
    let refused = |extents: &[(u32, u32, u32)]| {
        IdMap::new(extents.iter().map(|&(inner, outer, len)| Extent::new(inner, outer, len)).collect())
            .unwrap_err()
    };
    assert_eq!(refused(&[]), MapError::Empty);
    assert!(matches!(refused(&[(0, 0, 0)]), MapError::OutOfRange(_)));
    assert!(matches!(refused(&[(u32::MAX, 0, 1)]), MapError::OutOfRange(_)), "the last id means no id");
    assert!(matches!(refused(&[(0, 10, u32::MAX)]), MapError::OutOfRange(_)));
    assert!(matches!(refused(&[(0, 0, 10), (9, 100, 1)]), MapError::InnerOverlap(..)));
    assert!(matches!(refused(&[(0, 0, 10), (20, 9, 1)]), MapError::OuterOverlap(..)));
    assert_eq!(map(&[(0, 0, u32::MAX)]).count(), u64::from(u32::MAX), "the map of the host itself");
}

#[test]
fn the_kernels_text_is_read_back() {
    let host = IdMap::from_proc("         0          0 4294967295\n").unwrap();
    assert_eq!(shown(&host), "0:0:4294967295");
    assert!(matches!(IdMap::from_proc("0 0\n"), Err(MapError::Malformed(_))));
    assert!(matches!(IdMap::from_proc("0 0 1 2\n"), Err(MapError::Malformed(_))));
    assert_eq!(IdMap::from_proc(""), Err(MapError::Empty));
    assert_eq!(usual().lines().unwrap().to_string(), "0 1001 1\n1 100000 65536\n");
}

#[test]
fn ids_are_looked_up_both_ways() {
    assert_eq!(usual().to_outer(0), Some(1001));
    assert_eq!(usual().to_outer(65_536), Some(165_535));
    assert_eq!(usual().to_outer(65_537), None);
    assert_eq!(usual().to_inner(1001), Some(0));
    assert_eq!(usual().to_inner(100_001), Some(2));
    assert_eq!(usual().to_inner(1002), None);
}

#[test]
fn a_nested_map_has_a_line_for_each_extent_of_the_parent() {
    let lines = usual().identity().lines_in(&usual()).unwrap();
    assert_eq!(lines.to_string(), "0 0 1\n1 1 65536\n", "the kernel says EPERM to `0 0 65537`");
    let crossing = map(&[(100, 0, 3)]).lines_in(&map(&[(0, 7, 1), (1, 20, 1), (2, 40, 9)])).unwrap();
    assert_eq!(crossing.to_string(), "100 0 1\n101 1 1\n102 2 1\n");
    assert_eq!(map(&[(0, 65_530, 10)]).lines_in(&usual()), Err(MapError::Unmapped { id: 65_537 }));
}

/// The kernel knows extents, not ids: a container whose root is `0 0 1` and whose others are `1 1 65536` (podman's, seen
/// from inside) has a border after 0.
#[test]
fn a_border_within_consecutive_ids_is_a_border_for_children() {
    let parent = IdMap::from_proc("0 0 1\n1 1 65536\n").unwrap();
    let lines = map(&[(0, 0, 65_537)]).lines_in(&parent).unwrap();
    assert_eq!(lines.to_string(), "0 0 1\n1 1 65536\n");
    assert_eq!(parent.identity().lines_in(&parent).unwrap(), lines);
    assert_eq!(shown(&map(&[(0, 0, 65_537)]).cut_to(&parent).unwrap()), "0:0:1 1:1:65536");
}

#[test]
fn too_many_lines_are_refused() {
    let parent = map(&(0..400).map(|n| (n, 2 * n, 1)).collect::<Vec<_>>());
    assert_eq!(parent.identity().lines_in(&parent), Err(MapError::TooManyLines(400)));
}

#[test]
fn maps_compose() {
    let keep_id = map(&[(0, 1, 1001), (1001, 0, 1), (1002, 1002, 64_535)]);
    let seen_from_outside = keep_id.over(&usual()).unwrap();
    assert_eq!(seen_from_outside.to_outer(1001), Some(1001));
    assert_eq!(shown(&seen_from_outside), "0:100000:1001 1001:1001:1 1002:101001:64535");
    assert_eq!(usual().identity().over(&usual()).unwrap(), usual());
}

#[test]
fn a_key_depends_on_the_meaning_alone_and_never_changes() {
    let maps = IdMaps { uid: usual(), gid: usual() };
    let other = IdMaps { uid: usual(), gid: map(&[(0, 1001, 1), (1, 100_000, 65_535)]) };
    let split = IdMaps { uid: map(&[(0, 1001, 1), (1, 100_000, 9), (10, 100_009, 65_527)]), gid: usual() };
    assert_eq!(maps.key(), split.key());
    assert_ne!(maps.key(), other.key());
    // On disk since the first release: trees would be unpacked anew if this changed.
    assert_eq!(maps.key().to_string(), "bcc2ab2fb118bc2b92a53415ddcf2cc5");
    assert_eq!(maps.key().to_string().parse(), Ok(maps.key()));
    assert!("ABC".parse::<Key>().is_err());
    assert!("+0000000000000000000000000000000".parse::<Key>().is_err());
}

#[test]
fn a_map_from_a_record_is_checked() {
    let json = serde_json::to_string(&usual()).unwrap();
    assert_eq!(serde_json::from_str::<IdMap>(&json).unwrap(), usual());
    assert!(
        serde_json::from_str::<IdMap>(r#"[{"inner":0,"outer":0,"len":2},{"inner":1,"outer":9,"len":1}]"#)
            .is_err()
    );
}

mod notation {
    use super::super::{Extent, IdMap, Kind, NotationError, parse, parse_additional};
    use super::{map, shown, usual};

    #[track_caller]
    fn reads(entries: &[&str], kind: Kind, a: &IdMap, wanted: &str) {
        let read = parse(entries, kind, a).unwrap();
        assert_eq!(read.as_ref().map(shown).unwrap_or_default(), wanted, "{entries:?}");
    }

    /// The cases of podman's own tests (pkg/util), in our order.
    #[test]
    fn entries_mean_what_podman_says() {
        let all = map(&[(0, 0, u32::MAX)]);
        let cases: &[(&[&str], &str)] = &[
            (&["0:2000:100000", "+1:100:1"], "0:2000:1 1:100:1 2:2002:99998"),
            (
                &["0:0:20", "24:24:6", "+7:1000:2", "+12:2000:3", "+18:3000:7"],
                "0:0:7 7:1000:2 9:9:3 12:2000:3 15:15:3 18:3000:7 25:25:5",
            ),
            (&["0:0:20", "+10:1:1"], "0:0:1 2:2:8 10:1:1 11:11:9"),
            (&["0:20:10", "15:35:10", "+8:23:16"], "0:20:3 8:23:16 24:44:1"),
            (&["u1:3:1", "g2:4:2"], "1:3:1"),
            (&["0:1"], "0:1:1"),
            (&["0:1:1:5:6:1"], "0:1:1 5:6:1"),
            (&[""], ""),
            (&["0:1:0"], ""),
        ];
        for (entries, wanted) in cases {
            reads(entries, Kind::Uid, &all, wanted);
        }
        reads(&["u1:3:1", "g2:4:2"], Kind::Gid, &all, "2:4:2");
    }

    #[test]
    fn an_at_sign_names_an_id_of_the_host() {
        let split = map(&[(0, 1001, 1), (1, 100_000, 10), (11, 2000, 1)]);
        reads(&["5:@2000"], Kind::Gid, &split, "5:11:1");
        reads(&["0:@100000:10"], Kind::Uid, &split, "0:1:10");
        let err = parse(&["0:@100000:11"], Kind::Uid, &split).unwrap_err();
        assert_eq!(err.to_string(), "host UID 100010 in `0:@100000:11` is not one of yours");
        reads(&["g5:@3000"], Kind::Uid, &split, "");
    }

    #[test]
    fn a_first_plus_fills_the_rest_from_zero() {
        reads(&["+100000:1:1"], Kind::Gid, &usual(), "0:0:1 1:2:65535 100000:1:1");
        reads(&["+g100000:@1001"], Kind::Gid, &usual(), "0:1:65536 100000:0:1");
        reads(&["+0:5:1", "+3:6:1"], Kind::Uid, &map(&[(0, 10, 9)]), "0:5:1 1:0:2 3:6:1 4:2:3 7:7:2");
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for entry in
            ["0", "0:1:2:3", "x0:1:1", ":1:1", "0::1", "0:1:", "-1:0:1", "0:0:4294967296", "+:0:1", "0:@:1"]
        {
            let err = parse(&[entry], Kind::Uid, &usual()).unwrap_err();
            assert!(
                matches!(&err, NotationError::Malformed { entry: named, .. } if named == entry),
                "{entry}: {err}"
            );
        }
        assert!(matches!(parse(&["0:0:2", "1:5:1"], Kind::Uid, &usual()), Err(NotationError::Map { .. })));
    }

    #[test]
    fn auto_takes_plain_entries() {
        assert_eq!(parse_additional("3:4:5", Kind::Uid, &usual()).unwrap(), [Extent::new(3, 4, 5)]);
        assert_eq!(parse_additional("100:@100000", Kind::Uid, &usual()).unwrap(), [Extent::new(100, 1, 1)]);
        assert!(parse_additional("+3:4:5", Kind::Uid, &usual()).is_err());
        assert!(parse_additional("3", Kind::Uid, &usual()).is_err());
    }
}
