//! Manifests, indexes and configurations from anywhere: never both of two kinds at once.
#![no_main]

use ctr_core::oci::{ImageConfig, media, parse, parse_manifest};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for announced in [None, Some(media::OCI_MANIFEST), Some(media::OCI_INDEX), Some(media::DOCKER_MANIFEST)] {
        let document = parse(bytes, announced);
        if let Ok(manifest) = parse_manifest(bytes, announced) {
            assert!(document.is_ok(), "a manifest that is no document");
            if let Ok(config) = ImageConfig::parse(bytes) {
                drop(config.check_layers(&manifest));
            }
        }
    }
});
