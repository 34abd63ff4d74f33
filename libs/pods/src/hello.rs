//! The image `localhost/hello`, which every program carries: a first container needs no network and no file.
//!
//! One layer with one program of a kilobyte (`hello/hello.rs`). The archive is put together when it is asked for; its bytes,
//! and so its digests, are the same each time.

use std::io::{self, Write};

use ctr_core::digest::Digest;
use ctr_core::oci::media;
use serde_json::json;

/// The name it answers to when the store has no such image.
pub const NAME: &str = "localhost/hello:latest";

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/hello"));
const CREATED: &str = "2026-01-01T00:00:00Z";

/// Writes the image as an OCI archive.
///
/// # Errors
/// Only those of the writer.
pub fn write_archive(to: impl Write) -> io::Result<()> {
    let layer = tar_of([("hello", 0o755, PROGRAM)])?;
    let config = json!({
        "created": CREATED,
        "architecture": ctr_core::platform::Platform::host().architecture,
        "os": "linux",
        "config": { "Cmd": ["/hello"], "Labels": { "org.opencontainers.image.title": "hello" } },
        "rootfs": { "type": "layers", "diff_ids": [Digest::of(&layer)] },
        "history": [{ "created": CREATED, "created_by": "ctr", "comment": "the program hello" }],
    });
    let config = config.to_string().into_bytes();
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media::OCI_MANIFEST,
        "config": descriptor(media::OCI_CONFIG, &config),
        "layers": [descriptor(media::OCI_LAYER, &layer)],
    });
    let manifest = manifest.to_string().into_bytes();
    let mut named = descriptor(media::OCI_MANIFEST, &manifest);
    named["annotations"] = json!({ "org.opencontainers.image.ref.name": NAME });
    let index = json!({ "schemaVersion": 2, "manifests": [named] }).to_string();

    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", Digest::of(bytes).hex());
    let files = [
        ("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice()),
        ("index.json", 0o644, index.as_bytes()),
        (&blob(&manifest), 0o644, &manifest),
        (&blob(&config), 0o644, &config),
        (&blob(&layer), 0o644, &layer),
    ];
    append_all(tar::Builder::new(to), files)?.flush()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> serde_json::Value {
    json!({ "mediaType": media_type, "digest": Digest::of(bytes), "size": bytes.len() })
}

fn tar_of<const N: usize>(files: [(&str, u32, &[u8]); N]) -> io::Result<Vec<u8>> {
    append_all(tar::Builder::new(Vec::new()), files)
}

fn append_all<W: Write, const N: usize>(
    mut to: tar::Builder<W>,
    files: [(&str, u32, &[u8]); N],
) -> io::Result<W> {
    for (name, mode, content) in files {
        let mut header = tar::Header::new_ustar();
        header.set_mode(mode);
        header.set_size(content.len() as u64);
        header.set_mtime(1_767_225_600); // CREATED
        to.append_data(&mut header, name, content)?;
    }
    to.into_inner()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ctr_core::oci::{ImageConfig, parse_manifest};
    use std::collections::BTreeMap;
    use std::io::Read as _;

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut tar = tar::Archive::new(archive);
        let read = |entry: io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let mut content = Vec::new();
            entry.read_to_end(&mut content).unwrap();
            (entry.path().unwrap().to_str().unwrap().to_owned(), content)
        };
        tar.entries().unwrap().map(read).collect()
    }

    #[test]
    fn the_archive_is_a_whole_image_of_one_small_program() {
        let mut archive = Vec::new();
        write_archive(&mut archive).unwrap();
        let files = files(&archive);
        let blob = |digest: &Digest| &files[&format!("blobs/sha256/{}", digest.hex())];

        let index: serde_json::Value = serde_json::from_slice(&files["index.json"]).unwrap();
        let named = &index["manifests"][0];
        assert_eq!(named["annotations"]["org.opencontainers.image.ref.name"], NAME);
        let manifest = blob(&Digest::parse(named["digest"].as_str().unwrap()).unwrap());
        let manifest = parse_manifest(manifest, Some(media::OCI_MANIFEST)).unwrap();
        let config = ImageConfig::parse(blob(&manifest.config.digest)).unwrap();
        config.check_layers(&manifest).unwrap();

        let layer = blob(&manifest.layers[0].digest);
        assert_eq!(
            self::files(layer).into_iter().collect::<Vec<_>>(),
            [("hello".to_owned(), PROGRAM.to_vec())]
        );
        assert!(PROGRAM.starts_with(b"\x7fELF") && PROGRAM.len() < 4096, "{} bytes", PROGRAM.len());
    }

    #[test]
    fn the_archive_is_the_same_each_time() {
        let (mut one, mut two) = (Vec::new(), Vec::new());
        write_archive(&mut one).unwrap();
        write_archive(&mut two).unwrap();
        assert_eq!(one, two);
    }
}
