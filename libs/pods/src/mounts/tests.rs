use super::*;

fn bind(text: &str) -> Bind {
    match parse_volume(text).unwrap().what {
        What::Bind(bind) => bind,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn targets_are_cleaned_as_text() {
    for (path, clean) in [
        ("/a", "/a"),
        ("/a/", "/a"),
        ("//a///b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../etc/./passwd", "/etc/passwd"),
        ("/a,b=c", "/a,b=c"),
    ] {
        assert_eq!(Target::parse(path).unwrap().as_str(), clean);
    }
    for path in ["", "a", "./a", "/", "/..", "/a/..", "/a\0b"] {
        assert!(Target::parse(path).is_err(), "{path:?}");
    }
}

#[test]
fn volumes_take_every_option_of_a_bind() {
    let plain = bind("/src:/dst");
    assert_eq!(plain.source, PathBuf::from("/src"));
    assert!(plain.recursive && !plain.chown && plain.propagation.is_none());
    assert_eq!(plain.access, Access::default());

    let full = bind("./s:/dst:ro,Z,U,noexec,suid,nodev,rslave,bind");
    assert_eq!(full.access.read_only, Some(true));
    assert_eq!(full.access.exec, Some(false));
    assert_eq!(full.access.suid, Some(true));
    assert_eq!(full.access.dev, Some(false));
    assert_eq!(full.relabel, Some(Relabel::Private));
    assert_eq!(full.propagation, Some(Propagation::RSlave));
    assert!(full.chown && !full.recursive);
    assert_eq!(bind("/a:/b:cached,rw").access.read_only, Some(false));
    assert!(bind("/a:/b:no-dereference").no_dereference);
}

#[test]
fn overlays_keep_or_throw_away() {
    let overlay = |text| match parse_volume(text).unwrap().what {
        What::Overlay(overlay) => overlay,
        other => panic!("{other:?}"),
    };
    assert_eq!(overlay("/a:/b:O").kept, None);
    assert!(overlay("/a:/b:O,U").chown);
    let kept = overlay("/a:/b:O,upperdir=/u,workdir=/w").kept.unwrap();
    assert_eq!((kept.upper, kept.work), (PathBuf::from("/u"), PathBuf::from("/w")));
    assert_eq!(parse_volume("/a:/b:O,ro"), Err(MountError::OverlayOptions));
    assert_eq!(parse_volume("/a:/b:O,upperdir=/u"), Err(MountError::HalfOverlay));
    assert!(parse_volume("/a:/b:upperdir=/u,workdir=/w").is_err());
}

#[test]
fn volumes_refuse_with_a_reason() {
    for (text, message) in [
        ("/a:/b:ro:x", "/a:/b:ro:x: incorrect volume format, should be [host-dir:]ctr-dir[:option]"),
        (":/b", "host directory cannot be empty"),
        ("/a:b", "invalid container path \"b\", must be an absolute path"),
        ("/a:/b:rw,ro", "invalid options \"rw,ro\", can only specify 1 'rw' or 'ro' option"),
        ("/a:/b:z,Z", "invalid options \"z,Z\", can only specify 1 'z', 'Z', or 'O' option"),
        ("/a:/b:nope", "invalid option type \"nope\""),
        ("data:/b:upperdir=/u", "\"upperdir\" option not supported for \"volume\" mount types"),
        ("data:/b:idmap", "an id-mapped mount is only possible for root outside of any user namespace"),
        ("/a:/", "invalid container path \"/\": a mount cannot replace the root directory"),
    ] {
        assert_eq!(parse_volume(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn mounts_are_comma_separated_and_quoted() {
    let mount = parse_mount("type=bind,\"src=/a,b\",dst=/c,ro").unwrap();
    let What::Bind(bind) = mount.what else { panic!("not a bind") };
    assert_eq!(bind.source, PathBuf::from("/a,b"));
    assert_eq!(bind.access.read_only, Some(true));
    assert_eq!(mount.target.as_str(), "/c");

    let quoted = parse_mount("type=bind,\"src=/a\"\"b\",dst=/c").unwrap();
    assert!(matches!(quoted.what, What::Bind(bind) if bind.source == *"/a\"b"));
    assert!(parse_mount("type=bind,\"src=/a").is_err());
    assert!(parse_mount("type=bind,\"src=/a\"b,dst=/c").is_err());
    assert!(parse_mount("type=bind\nsrc=/a").is_err());
}

#[test]
fn mounts_take_podmans_keys() {
    let What::Bind(bind) = parse_mount(
        "type=bind,source=/a,destination=/b,readonly=true,bind-propagation=rshared,relabel=shared,chown=true,\
         bind-nonrecursive,nosuid,nodev,noexec",
    )
    .unwrap()
    .what
    else {
        panic!("not a bind")
    };
    assert_eq!(bind.propagation, Some(Propagation::RShared));
    assert_eq!(bind.relabel, Some(Relabel::Shared));
    assert!(bind.chown && !bind.recursive);
    assert_eq!(bind.access.exec, Some(false));

    let same = parse_mount("type=bind,dst=/etc/hosts").unwrap();
    assert!(matches!(same.what, What::Bind(bind) if bind.source == *"/etc/hosts"));
    let rw = parse_mount("type=bind,src=/a,dst=/b,rw=false").unwrap();
    assert!(matches!(rw.what, What::Bind(bind) if bind.access.read_only == Some(true)));

    let What::Tmpfs(tmpfs) =
        parse_mount("type=tmpfs,dst=/t,tmpfs-size=64m,tmpfs-mode=1770,notmpcopyup,noexec,ro").unwrap().what
    else {
        panic!("not a tmpfs")
    };
    assert_eq!(tmpfs.size.as_deref(), Some("64m"));
    assert_eq!(tmpfs.mode, Some(0o1770));
    assert!(tmpfs.no_copy_up);
    assert_eq!(tmpfs.access.read_only, Some(true));

    let What::Devpts(devpts) = parse_mount("type=devpts,dst=/dev/pts,mode=0620,gid=5,max=9").unwrap().what
    else {
        panic!("not devpts")
    };
    assert_eq!((devpts.mode, devpts.gid, devpts.max), (Some(0o620), Some(5), Some(9)));
}

#[test]
fn mounts_refuse_with_a_reason() {
    for (text, message) in [
        ("type=bind,src=/a", "must set volume destination"),
        ("type=bind,src=,dst=/b", "host directory cannot be empty"),
        ("type=bind,src=/a,dst=b", "invalid container path \"b\", must be an absolute path"),
        ("type=tmpfs,src=/a,dst=/b", "\"src\" option not supported for \"tmpfs\" mount types"),
        (
            "type=bind,src=/a,dst=/b,tmpfs-size=1",
            "\"tmpfs-size\" option not supported for \"bind\" mount types",
        ),
        (
            "type=bind,src=/a,dst=/b,dst=/c",
            "invalid options \"type=bind,src=/a,dst=/b,dst=/c\", can only specify 1 'destination' option",
        ),
        ("type=volume,src=v,dst=/b,volume-label=x", "--mount volume-label is not supported yet"),
        ("src=v,dst=/b,idmap", "an id-mapped mount is only possible for root outside of any user namespace"),
        ("type=image,dst=/b", "must set source and destination for image volume"),
        ("type=image,src=i,dst=/b,subpath=x", "volume subpath \"x\" must be an absolute path"),
        ("type=bind,src=/a,dst=/b,subpath=x", "\"subpath\" option not supported for \"bind\" mount types"),
        ("type=glob,src=/a*,dst=/b", "--mount type=glob is not supported yet"),
        ("type=artifact,src=a,dst=/b", "--mount type=artifact is not supported yet"),
        ("type=nfs,dst=/b", "invalid filesystem type \"nfs\""),
        ("type=bind,dst=/b,nope", "invalid option type \"nope\""),
        ("type=bind,dst=/b,ro=maybe", "invalid value \"maybe\" for mount option \"ro\""),
        ("type=tmpfs,dst=/b,tmpfs-size=1,size=2", "invalid option type \"size\""),
    ] {
        assert_eq!(parse_mount(text).unwrap_err().to_string(), message, "{text}");
    }
}

#[test]
fn tmpfs_takes_the_kernels_spelling() {
    let What::Tmpfs(tmpfs) = parse_tmpfs("/t:rw,size=50%,mode=700,exec,noatime,rslave").unwrap().what else {
        panic!("not a tmpfs")
    };
    assert_eq!(tmpfs.size.as_deref(), Some("50%"));
    assert_eq!(tmpfs.mode, Some(0o700));
    assert_eq!(tmpfs.access.exec, Some(true));
    assert!(tmpfs.noatime && !tmpfs.no_copy_up);
    assert!(matches!(parse_tmpfs("/t").unwrap().what, What::Tmpfs(plain) if plain == Tmpfs::default()));
    for bad in [
        "t",
        "/",
        "/t:size=1x",
        "/t:size=",
        "/t:mode=8",
        "/t:mode=17777",
        "/t:z",
        "/t:bind",
        "/t:size=1,size=2",
    ] {
        assert!(parse_tmpfs(bad).is_err(), "{bad}");
    }
}

#[test]
fn parents_come_first_and_destinations_are_unique() {
    let mounts = ["/h:/a/b/c", "/h:/x", "/h:/a/b"].map(|text| parse_volume(text).unwrap());
    let order: Vec<String> = arrange(mounts.to_vec()).unwrap().into_iter().map(|m| m.target.0).collect();
    assert_eq!(order, ["/x", "/a/b", "/a/b/c"]);
    let twice = vec![parse_volume("/h:/x").unwrap(), parse_volume("/h:/x").unwrap()];
    assert_eq!(arrange(twice).unwrap().len(), 1);
    let clash = vec![parse_volume("/h:/x").unwrap(), parse_tmpfs("/x").unwrap()];
    assert_eq!(arrange(clash), Err(MountError::Duplicate("/x".to_owned())));
}

#[test]
fn volumes_by_name_and_without_one() {
    let volume = |text| match parse_volume(text).unwrap().what {
        What::Volume(volume) => volume,
        other => panic!("{other:?}"),
    };
    assert_eq!(volume("/only"), Named::plain(None));
    assert_eq!(volume("data:/b"), Named::plain(Some("data".to_owned())));
    let with = volume("data:/b:ro,noexec,nocopy,U,z");
    assert_eq!((with.access.read_only, with.access.exec), (Some(true), Some(false)));
    assert!(with.no_copy_up && with.chown && with.relabel == Some(Relabel::Shared));
    assert!(!volume("data:/b:copy").no_copy_up);
    assert!(volume("data:/b:O").overlay);
    assert!(parse_volume("data:/b:copy,nocopy").is_err());
    let mount = |text| parse_mount(text).unwrap().what;
    assert_eq!(mount("dst=/b"), What::Volume(Named::plain(None)));
    assert_eq!(
        mount("type=volume,target=/b,src=v,ro"),
        What::Volume(Named {
            access: Access { read_only: Some(true), ..Access::default() },
            ..Named::plain(Some("v".to_owned()))
        })
    );
    let What::Volume(sub) = mount("type=volume,dst=/b,src=v,volume-subpath=a/b") else { panic!("no volume") };
    assert_eq!(sub.subpath, Some("a/b".into()));
    let image = ImageMount { image: "i:1".to_owned(), writable: true, subpath: Some("/etc".into()) };
    assert_eq!(mount("type=image,source=i:1,dst=/b,rw=true,subpath=/etc"), What::Image(image));
}
