//! Images made byte by byte.
//!
//! Nothing of the product is used here: a layer is whatever a test wrote, right or wrong. Headers are written by hand, because
//! a library refuses just those names and sizes that a test wants to see refused.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// A sha256 digest in its usual form.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// One entry's header of a tar, before anything has checked it.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Name as stored.
    pub name: Vec<u8>,
    /// Type flag: `b'0'` a file, `b'5'` a directory and so on.
    pub kind: u8,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u64,
    /// Group.
    pub gid: u64,
    /// The size in the header; the content's own when `None`.
    pub size: Option<u64>,
    /// Modification time.
    pub mtime: u64,
    /// Target of a link.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Records of a PAX header put before it.
    pub pax: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Entry {
    /// An entry of this kind, of root, from 2020.
    #[must_use]
    pub fn new(kind: u8, name: impl AsRef<[u8]>, mode: u32) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: None,
            mtime: 1_577_836_800,
            link: Vec::new(),
            device: (0, 0),
            pax: Vec::new(),
        }
    }

    /// Gives it an owner and a group.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// Gives it a link's target.
    #[must_use]
    pub fn link(mut self, target: impl AsRef<[u8]>) -> Self {
        self.link = target.as_ref().to_vec();
        self
    }

    /// Adds a PAX record.
    #[must_use]
    pub fn pax(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.pax.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// Adds an extended attribute.
    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.pax(format!("SCHILY.xattr.{name}"), value)
    }

    fn header(&self, content: usize) -> [u8; 512] {
        let mut block = [0; 512];
        let mut put = |at: usize, room: usize, bytes: &[u8]| {
            let len = bytes.len().min(room);
            block[at..at + len].copy_from_slice(&bytes[..len]);
        };
        put(0, 100, &self.name);
        put(100, 8, format!("{:07o}\0", self.mode).as_bytes());
        put(108, 8, format!("{:07o}\0", self.uid & 0o7_777_777).as_bytes());
        put(116, 8, format!("{:07o}\0", self.gid & 0o7_777_777).as_bytes());
        put(124, 12, format!("{:011o}\0", self.size.unwrap_or(content as u64)).as_bytes());
        put(136, 12, format!("{:011o}\0", self.mtime).as_bytes());
        put(148, 8, b"        ");
        put(156, 1, &[self.kind]);
        put(157, 100, &self.link);
        put(257, 8, b"ustar\x0000");
        put(329, 8, format!("{:07o}\0", self.device.0).as_bytes());
        put(337, 8, format!("{:07o}\0", self.device.1).as_bytes());
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        block
    }
}

/// One record of a PAX header: its length counts itself.
fn pax_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut len = rest + 1;
    while len != rest + len.to_string().len() {
        len = rest + len.to_string().len();
    }
    [len.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// A layer: a tar, entry by entry.
#[derive(Debug, Clone, Default)]
pub struct Layer {
    bytes: Vec<u8>,
}

impl Layer {
    /// An empty layer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends an entry with this content.
    #[must_use]
    pub fn entry(mut self, mut entry: Entry, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        if entry.name.len() > 100 {
            entry = entry.clone().pax("path", &entry.name);
        }
        if entry.link.len() > 100 {
            entry = entry.clone().pax("linkpath", &entry.link);
        }
        for (key, id) in [("uid", entry.uid), ("gid", entry.gid)] {
            if id > 0o7_777_777 {
                entry = entry.pax(key, id.to_string());
            }
        }
        if !entry.pax.is_empty() {
            let records: Vec<u8> = entry.pax.iter().flat_map(|(key, value)| pax_record(key, value)).collect();
            let before = Entry::new(b'x', "PaxHeaders/0", 0o644);
            self.bytes.extend_from_slice(&before.header(records.len()));
            self.content(&records);
        }
        self.bytes.extend_from_slice(&entry.header(content.len()));
        self.content(content);
        self
    }

    fn content(&mut self, content: &[u8]) {
        self.bytes.extend_from_slice(content);
        self.bytes.resize(self.bytes.len().next_multiple_of(512), 0);
    }

    /// Appends a file of root's.
    #[must_use]
    pub fn file(self, name: impl AsRef<[u8]>, mode: u32, content: impl AsRef<[u8]>) -> Self {
        self.entry(Entry::new(b'0', name, mode), content)
    }

    /// Appends a directory of root's.
    #[must_use]
    pub fn dir(self, name: impl AsRef<[u8]>, mode: u32) -> Self {
        self.entry(Entry::new(b'5', name, mode), "")
    }

    /// Appends a symbolic link.
    #[must_use]
    pub fn symlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(Entry::new(b'2', name, 0o777).link(target), "")
    }

    /// Appends a hard link.
    #[must_use]
    pub fn hardlink(self, name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.entry(Entry::new(b'1', name, 0o644).link(target), "")
    }

    /// Appends bytes as they are.
    #[must_use]
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend_from_slice(bytes.as_ref());
        self
    }

    /// The tar, with the two empty blocks at its end.
    #[must_use]
    pub fn tar(&self) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        bytes.resize(bytes.len() + 1024, 0);
        bytes
    }
}

/// How a layer is stored in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// As it is.
    Plain,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

impl Compression {
    fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Self::Plain => tar.to_vec(),
            Self::Gzip => gzip(tar),
            Self::Zstd => zstd::encode_all(tar, 1).expect("zstd"),
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Gzip => "+gzip",
            Self::Zstd => "+zstd",
        }
    }
}

/// Packs with gzip.
#[must_use]
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// An image about to be put into an archive.
#[derive(Debug, Clone)]
pub struct Image {
    /// Its layers as tars.
    pub layers: Vec<Vec<u8>>,
    /// The `config` object of its configuration.
    pub config: Value,
    /// Architecture.
    pub architecture: String,
    /// Its name with a tag.
    pub name: String,
    /// How its layers are stored.
    pub compression: Compression,
    /// The `history` of its configuration; made up when `None`.
    pub history: Option<Value>,
}

impl Image {
    /// An image of these layers.
    #[must_use]
    pub fn new(name: &str, layers: impl IntoIterator<Item = Layer>) -> Self {
        Self {
            layers: layers.into_iter().map(|layer| layer.tar()).collect(),
            config: json!({ "Cmd": ["sh"], "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"] }),
            architecture: "amd64".into(),
            name: name.into(),
            compression: Compression::Plain,
            history: None,
        }
    }

    /// A small root with busybox, and more layers on top.
    #[must_use]
    pub fn busybox(name: &str, more: impl IntoIterator<Item = Layer>) -> Self {
        Self::new(name, std::iter::once(busybox().clone()).chain(more))
    }

    /// Sets a member of the `config` object.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config[key] = value.into();
        self
    }

    /// Stores the layers in this way.
    #[must_use]
    pub fn compressed(mut self, compression: Compression) -> Self {
        self.compression = compression;
        self
    }

    /// The image's configuration as JSON.
    #[must_use]
    pub fn configuration(&self) -> Vec<u8> {
        let diff_ids: Vec<_> = self.layers.iter().map(|tar| digest(tar)).collect();
        let step =
            |n: usize| json!({ "created": "2020-01-01T00:00:00Z", "created_by": format!("layer {n}") });
        let history = self.history.clone().unwrap_or_else(|| (0..self.layers.len()).map(step).collect());
        let config = json!({
            "architecture": self.architecture, "os": "linux", "created": "2020-01-01T00:00:00Z",
            "config": self.config, "history": history, "rootfs": { "type": "layers", "diff_ids": diff_ids },
        });
        config.to_string().into_bytes()
    }

    /// The image's id: the digest of its configuration, in hex.
    #[must_use]
    pub fn id(&self) -> String {
        digest(&self.configuration()).split_off("sha256:".len())
    }

    /// What `docker save` writes.
    #[must_use]
    pub fn docker_archive(&self) -> Vec<u8> {
        docker_archive(std::slice::from_ref(self))
    }

    /// The blobs of an OCI layout, the manifest's descriptor last.
    pub(crate) fn oci_blobs(&self) -> (Vec<Vec<u8>>, Value) {
        let mut blobs: Vec<_> = self.layers.iter().map(|tar| self.compression.pack(tar)).collect();
        let kind = format!("application/vnd.oci.image.layer.v1.tar{}", self.compression.suffix());
        let descriptor = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": digest(bytes), "size": bytes.len() });
        let layers: Vec<_> = blobs.iter().map(|blob| descriptor(&kind, blob)).collect();
        let config = self.configuration();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config), "layers": layers,
        });
        let manifest = manifest.to_string().into_bytes();
        let mut named = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        named["annotations"] = json!({ "org.opencontainers.image.ref.name": self.name });
        named["platform"] = json!({ "os": "linux", "architecture": self.architecture });
        blobs.extend([config, manifest]);
        (blobs, named)
    }

    /// The digest of its OCI manifest.
    #[must_use]
    pub fn oci_digest(&self) -> String {
        self.oci_blobs().1["digest"].as_str().expect("a digest").to_owned()
    }

    /// An OCI layout as files: paths and contents.
    #[must_use]
    pub fn oci_files(&self) -> Vec<(String, Vec<u8>)> {
        let (blobs, descriptor) = self.oci_blobs();
        oci_files(blobs, vec![descriptor])
    }

    /// An OCI layout in a tar.
    #[must_use]
    pub fn oci_archive(&self) -> Vec<u8> {
        archive(self.oci_files())
    }

    /// Writes an OCI layout into a directory.
    pub fn write_oci(&self, dir: &Path) {
        write_files(dir, self.oci_files());
    }
}

/// What `docker save` of several images writes.
#[must_use]
pub fn docker_archive(images: &[Image]) -> Vec<u8> {
    let mut files = Vec::new();
    let mut manifest = Vec::new();
    for image in images {
        let config = image.configuration();
        let config_name = format!("{}.json", image.id());
        let mut layers = Vec::new();
        for tar in &image.layers {
            let name = format!("{}/layer.tar", &digest(tar)["sha256:".len()..]);
            files.push((name.clone(), image.compression.pack(tar)));
            layers.push(name);
        }
        manifest.push(json!({ "Config": config_name, "RepoTags": [image.name], "Layers": layers }));
        files.push((config_name, config));
    }
    files.push(("manifest.json".into(), Value::from(manifest).to_string().into_bytes()));
    files.sort();
    files.dedup();
    archive(files)
}

/// An index of several images in one OCI layout, under the first one's name.
#[must_use]
pub fn oci_index(images: &[Image]) -> Vec<(String, Vec<u8>)> {
    let (mut blobs, mut manifests) = (Vec::new(), Vec::new());
    for image in images {
        let (more, mut descriptor) = image.oci_blobs();
        blobs.extend(more);
        descriptor.as_object_mut().expect("an object").remove("annotations");
        manifests.push(descriptor);
    }
    let kind = "application/vnd.oci.image.index.v1+json";
    let index =
        json!({ "schemaVersion": 2, "mediaType": kind, "manifests": manifests }).to_string().into_bytes();
    let descriptor = json!({
        "mediaType": kind, "digest": digest(&index), "size": index.len(),
        "annotations": { "org.opencontainers.image.ref.name": images[0].name },
    });
    blobs.push(index);
    oci_files(blobs, vec![descriptor])
}

/// The files of an OCI layout with these blobs and these entries of its index.
#[must_use]
pub fn oci_files(blobs: Vec<Vec<u8>>, manifests: Vec<Value>) -> Vec<(String, Vec<u8>)> {
    let index = json!({ "schemaVersion": 2, "manifests": manifests }).to_string().into_bytes();
    let mut files = vec![
        ("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()),
        ("index.json".to_owned(), index),
    ];
    files.extend(blobs.into_iter().map(|blob| (format!("blobs/{}", digest(&blob).replace(':', "/")), blob)));
    files.sort();
    files.dedup();
    files
}

/// A tar of these files.
#[must_use]
pub fn archive(files: Vec<(String, Vec<u8>)>) -> Vec<u8> {
    files.into_iter().fold(Layer::new(), |tar, (name, content)| tar.file(name, 0o644, content)).tar()
}

/// Writes files under a directory.
pub fn write_files(dir: &Path, files: Vec<(String, Vec<u8>)>) {
    for (name, content) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, content).expect("a file");
    }
}

fn busybox_path() -> PathBuf {
    let program =
        ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|path| path.exists());
    program.expect("busybox: scripts/set-up test installs it")
}

/// A static busybox.
#[must_use]
pub fn busybox_program() -> Vec<u8> {
    std::fs::read(busybox_path()).expect("busybox")
}

/// The layer of a root with few files, so that a store of it is soon copied and compared: busybox under these names.
#[must_use]
pub fn small<'a>(applets: impl IntoIterator<Item = &'a str>) -> Layer {
    let dirs = ["bin", "dev", "etc", "proc", "root", "run", "sys", "tmp"];
    let layer = dirs.iter().fold(Layer::new(), |layer, dir| layer.dir(format!("{dir}/"), 0o755));
    let layer = layer.file("bin/busybox", 0o755, busybox_program());
    applets.into_iter().fold(layer, |layer, name| layer.symlink(format!("bin/{name}"), "busybox"))
}

/// The layer of a small root: a static busybox under all its names, and the files that a root has.
pub fn busybox() -> &'static Layer {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    LAYER.get_or_init(|| {
        let program = busybox_path();
        let applets = Command::new(&program).arg("--list").output().expect("busybox --list");
        let applets = String::from_utf8(applets.stdout).expect("names");
        let mut layer = Layer::new();
        for (dir, mode) in [("bin", 0o755), ("etc", 0o755), ("root", 0o700), ("tmp", 0o1777), ("home", 0o755)]
        {
            layer = layer.dir(format!("{dir}/"), mode);
        }
        for dir in ["dev", "proc", "sys", "run", "usr", "usr/bin", "var", "var/lib", "usr/share"] {
            layer = layer.dir(format!("{dir}/"), 0o755);
        }
        layer = layer
            .file("bin/busybox", 0o755, busybox_program())
            .file(
                "etc/passwd",
                0o644,
                "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:User:/home/user:/bin/sh\n",
            )
            .file("etc/group", 0o644, "root:x:0:\nuser:x:1000:\nextra:x:1500:user\n")
            .entry(Entry::new(b'5', "home/user/", 0o755).owner(1000, 1000), "")
            .symlink("var/run", "/run");
        applets
            .lines()
            .filter(|name| *name != "busybox")
            .fold(layer, |layer, name| layer.symlink(format!("bin/{name}"), "busybox"))
    })
}
