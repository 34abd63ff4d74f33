use super::*;

fn accounts() -> Accounts {
    let passwd = "# comment\nroot:x:0:0:root:/root:/bin/sh\n+::::::\n1000:x:0:0:evil:/:/bin/sh\n\
                  app:x:1000:1001:App:/srv/app:/bin/sh\nbroken:x:\nneg:x:-1:0::/:\nbig:x:4294967296:0::/:\n\
                  nohome:x:7:7\n";
    let group = "root:x:0:\nwheel:x:10:root,app\nvideo:x:44:app\napp:x:1001:\n";
    Accounts::new(passwd.as_bytes().to_vec(), group.as_bytes().to_vec())
}

fn who(text: &str) -> Result<(u32, u32, Vec<u32>), UserError> {
    let identity = identify(&UserSpec::parse(text)?, &accounts())?;
    Ok((identity.uid, identity.gid, identity.groups))
}

#[test]
fn every_form_of_user_is_who_it_says() {
    for (text, uid, gid, groups) in [
        ("", 0, 0, vec![10]),
        ("root", 0, 0, vec![10]),
        ("0", 0, 0, vec![10]),
        ("app", 1000, 1001, vec![10, 44]),
        ("1000", 1000, 1001, vec![10, 44]),
        ("01000", 1000, 1001, vec![10, 44]),
        ("app:video", 1000, 44, vec![]),
        ("app:5", 1000, 5, vec![]),
        ("1:1", 1, 1, vec![]),
        ("1", 1, 0, vec![]),
        ("01", 1, 0, vec![]),
        ("4294967294", MAX_ID, 0, vec![]),
        (":44", 0, 44, vec![]),
        ("nohome", 7, 7, vec![]),
    ] {
        assert_eq!(who(text).unwrap(), (uid, gid, groups), "{text:?}");
    }
}

#[test]
fn what_is_nobody_is_refused() {
    for text in ["4294967295", "4294967296", "99999999999999999999", "1:4294967296"] {
        assert!(matches!(who(text), Err(UserError::OutOfRange(_))), "{text:?}");
    }
    for text in ["-1", "+1", "1 ", " 1", "a b", "root\n", "1:-1", "a:b:c ", "~root", "\u{7f}"] {
        assert!(matches!(who(text), Err(UserError::Invalid(_))), "{text:?}");
    }
    for text in ["nobody-here", "0x0", "1e3", "big", "neg", "broken", "1_000"] {
        assert_eq!(who(text), Err(UserError::NoUser(text.to_owned())), "{text:?}");
    }
    assert_eq!(who("app:nope"), Err(UserError::NoGroup("nope".to_owned())));
}

#[test]
fn homes_come_from_the_image() {
    let home = |text: &str| identify(&UserSpec::parse(text).unwrap(), &accounts()).unwrap().home;
    assert_eq!(home("app").as_deref(), Some("/srv/app"));
    assert_eq!(home("").as_deref(), Some("/root"));
    assert_eq!(home("4242"), None);
    assert_eq!(home("nohome"), None);
    let empty = identify(&UserSpec::default(), &Accounts::default()).unwrap();
    assert_eq!((empty.uid, empty.gid, empty.home), (0, 0, None));
}

#[test]
fn groups_are_added_or_kept() {
    let parse = |values: &[&str]| {
        GroupAdd::parse(&values.iter().map(|value| (*value).to_owned()).collect::<Vec<_>>())
    };
    assert_eq!(parse(&["wheel", "77"]).unwrap().ids(&accounts()), Ok(vec![10, 77]));
    assert_eq!(parse(&["nope"]).unwrap().ids(&accounts()), Err(UserError::NoGroup("nope".to_owned())));
    assert_eq!(parse(&["keep-groups"]), Ok(GroupAdd::Keep));
    assert_eq!(parse(&["keep-groups", "1"]), Err(UserError::KeepGroupsAlone));
    assert_eq!(parse(&[]), Ok(GroupAdd::None));
    assert!(parse(&["-1"]).is_err());
}

#[test]
fn entries_stay_one_line() {
    let facts =
        EntryFacts { name: "me", uid: 1000, gid: 100, comment: "A:B\nroot::0:0:::", home: "/home/me" };
    assert_eq!(passwd_entry(&facts, None), "me:*:1000:100:ABroot00:/home/me:/bin/sh\n");
    assert_eq!(group_entry(&facts, None), "me:x:100:me\n");
    assert_eq!(
        passwd_entry(&facts, Some("$USERNAME-$UID-$GID-$NAME-$HOME")),
        "me-1000-100-ABroot00-/home/me\n"
    );
    assert_eq!(group_entry(&facts, Some("g$GROUPNAME:x:$GID:$USERLIST")), "gme:x:100:me\n");
}
