use super::*;

const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn manifest(extra: &str) -> String {
    format!(
        r#"{{"schemaVersion":2,{extra}"config":{{"mediaType":"{}","digest":"{DIGEST}","size":2}},"layers":[]}}"#,
        media::OCI_CONFIG
    )
}

#[test]
fn both_families_are_read() {
    for media_type in [media::OCI_MANIFEST, media::DOCKER_MANIFEST] {
        let text = manifest(&format!(r#""mediaType":"{media_type}","#));
        assert!(matches!(parse(text.as_bytes(), Some(media_type)), Ok(Document::Manifest(_))));
        assert!(matches!(parse(text.as_bytes(), Some("application/json")), Ok(Document::Manifest(_))));
    }
    for media_type in [media::OCI_INDEX, media::DOCKER_LIST] {
        let text = format!(r#"{{"schemaVersion":2,"mediaType":"{media_type}","manifests":null}}"#);
        assert!(matches!(parse(text.as_bytes(), None), Ok(Document::Index(_))));
    }
}

#[test]
fn what_could_be_two_things_is_refused() {
    let both = manifest(r#""manifests":[],"#);
    assert!(matches!(parse(both.as_bytes(), None), Err(DocumentError::Ambiguous)));
    let hidden = manifest(r#""Manifests":[],"#);
    assert!(matches!(parse(hidden.as_bytes(), None), Err(DocumentError::Ambiguous)), "Go reads this key too");
    let twice = manifest(r#""Config":{},"#);
    assert!(matches!(parse(twice.as_bytes(), None), Err(DocumentError::Duplicate { .. })));
    let lying = manifest(&format!(r#""mediaType":"{}","#, media::OCI_INDEX));
    assert!(matches!(parse(lying.as_bytes(), None), Err(DocumentError::MediaType { .. })));
    let announced = manifest("");
    assert!(matches!(
        parse(announced.as_bytes(), Some(media::OCI_INDEX)),
        Err(DocumentError::MediaType { .. })
    ));
    let old = r#"{"schemaVersion":1,"fsLayers":[],"history":[],"signatures":[]}"#;
    assert!(matches!(parse(old.as_bytes(), None), Err(DocumentError::Schema1)));
    let mixed = manifest(r#""fsLayers":[],"#);
    assert!(matches!(parse(mixed.as_bytes(), None), Err(DocumentError::Ambiguous)));
    for bad in ["", "[]", "{}", "null", "{\"config\":1}"] {
        assert!(parse(bad.as_bytes(), None).is_err(), "{bad}");
    }
}

#[test]
fn sizes_and_counts_are_bounded() {
    let huge = vec![b' '; usize::try_from(limits::MANIFEST).unwrap() + 1];
    assert!(matches!(parse(&huge, None), Err(DocumentError::TooLarge { .. })));
    let entry = format!(r#"{{"mediaType":"x","digest":"{DIGEST}","size":1}}"#);
    let many = format!(
        r#"{{"schemaVersion":2,"manifests":[{}]}}"#,
        vec![entry; limits::INDEX_ENTRIES + 1].join(",")
    );
    assert!(matches!(parse(many.as_bytes(), None), Err(DocumentError::TooMany { .. })));
}

#[test]
fn an_index_is_chosen_from_by_platform() {
    let entry = |digest: char, arch: &str, variant: &str| {
        let digest = format!("sha256:{}", digest.to_string().repeat(64));
        format!(
            r#"{{"digest":"{digest}","size":1,"platform":{{"os":"linux","architecture":"{arch}","variant":"{variant}"}}}}"#
        )
    };
    let text = format!(
        r#"{{"schemaVersion":2,"manifests":[{},{},{}]}}"#,
        entry('a', "arm", "v6"),
        entry('b', "arm", "v7"),
        entry('c', "arm64", "v8")
    );
    let Document::Index(index) = parse(text.as_bytes(), None).unwrap() else { panic!("an index") };
    let pick = |text: &str| {
        index.select(&Platform::parse(text).unwrap()).map(|entry| entry.digest.hex()[..1].to_owned())
    };
    assert_eq!(pick("linux/arm/v7").as_deref(), Some("b"));
    assert_eq!(pick("linux/arm").as_deref(), Some("a"));
    assert_eq!(pick("linux/arm64").as_deref(), Some("c"));
    assert_eq!(pick("linux/amd64"), None);
}

#[test]
fn configs_with_gos_nulls_are_read() {
    let text = format!(
        r#"{{"architecture":"amd64","os":"linux","config":{{"Env":null,"Cmd":["sh"],"Entrypoint":"old","Labels":null,
           "ExposedPorts":{{"80/tcp":{{}}}},"OnBuild":null}},"rootfs":{{"type":"layers","diff_ids":["{DIGEST}"]}},
           "history":[{{"created_by":"x","empty_layer":true}}],"unknown":1}}"#
    );
    let config = ImageConfig::parse(text.as_bytes()).unwrap();
    assert_eq!(config.config.cmd, Some(Words(vec!["sh".into()])));
    assert_eq!(config.config.entrypoint, Some(Words(vec!["old".into()])));
    assert_eq!(config.rootfs.diff_ids.len(), 1);
    assert!(config.history[0].empty_layer);
    assert_eq!(config.platform().to_string(), "linux/amd64");
    let none = parse_manifest(manifest("").as_bytes(), None).unwrap();
    assert!(matches!(config.check_layers(&none), Err(DocumentError::LayerCount { diff_ids: 1, layers: 0 })));
    assert_eq!(ImageConfig::parse(b"{}").unwrap().platform(), Platform::host());
}
