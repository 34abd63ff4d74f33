//! One table of every bound on foreign input.
//!
//! Whatever arrives from outside (an archive, a registry, a rootfs, a terminal) is read through one of these;
//! a limit that is not in this file does not exist. Each says whose habit it leaves room for.

/// Bytes of an image manifest or index: the registries' own limit.
pub const MANIFEST: u64 = 4 << 20;
/// Bytes of an image config: histories of thousands of steps stay far below.
pub const CONFIG: u64 = 8 << 20;
/// Bytes of `oci-layout`, `repositories`, `VERSION` and other one-line files of archives.
pub const ARCHIVE_NOTE: u64 = 64 << 10;
/// Bytes of `manifest.json` of a docker archive, which lists every image in it.
pub const ARCHIVE_MANIFEST: u64 = 16 << 20;
/// Entries of one archive of images.
pub const ARCHIVE_ENTRIES: u64 = 100_000;
/// Layers of one image; overlay itself stops at 500.
pub const LAYERS: usize = 500;
/// Manifests in one index.
pub const INDEX_ENTRIES: usize = 1_000;
/// Depth of indexes within indexes.
pub const INDEX_DEPTH: usize = 4;
/// Bytes of an image reference as typed or found in an archive.
pub const REFERENCE: usize = 4 << 10;
/// Bytes of the name part of a reference, as every registry has it.
pub const REFERENCE_NAME: usize = 255;
/// Bytes of a tag.
pub const TAG: usize = 128;
/// Bytes of a path inside a layer.
pub const LAYER_PATH: usize = 4 << 10;
/// Bytes of the extended headers before one entry of a layer.
pub const LAYER_HEADERS: u64 = 1 << 20;
/// Entries of one layer.
pub const LAYER_ENTRIES: u64 = 16 << 20;
/// Bytes of one layer's unpacked stream; a bomb stops here, a real layer never gets near.
pub const LAYER_BYTES: u64 = 1 << 40;
/// Unpacked bytes of a layer for each compressed one, counted beyond [`LAYER_RATIO_FREE`]; gzip cannot even do
/// twice that, and data that is worth shipping does not come near.
pub const LAYER_RATIO: u64 = 500;
/// Unpacked bytes of a layer that are given before the ratio counts: files of zeros are legitimate.
pub const LAYER_RATIO_FREE: u64 = 8 << 30;
/// Pieces of one sparse file in a layer.
pub const SPARSE_PIECES: u64 = 1 << 18;
/// Bytes of the names of directories that a layer uses without an entry of their own.
pub const LAYER_IMPLIED: usize = 8 << 20;
/// Extended attributes of one file in a layer, names and values together.
pub const LAYER_XATTRS: usize = 64 << 10;
/// Bytes of a passwd or group file of an image.
pub const PASSWD: u64 = 4 << 20;
/// Bytes of one line of passwd or group.
pub const PASSWD_LINE: usize = 64 << 10;
/// Bytes of an environment or label file handed in by the user.
pub const ENV_FILE: u64 = 16 << 20;
/// Bytes of a seccomp profile handed in by the user.
pub const SECCOMP_PROFILE: u64 = 4 << 20;
/// Bytes of a record of ours: a container, an image's plan, a layer's meta.
pub const RECORD: u64 = 16 << 20;
/// Bytes of what lists remember of all containers: a hundred thousand of them.
pub const OVERVIEW: u64 = 64 << 20;
/// Bytes of a list of what differs between two images.
pub const CHANGES: u64 = 1 << 30;
/// Bytes of a template of the user's.
pub const TEMPLATE: usize = 1 << 20;
/// Bytes of a line of a log.
pub const LOG_LINE: usize = 16 << 10;
/// Bytes of what is kept of the trace of a container's network.
pub const NETWORK_TRACE: u64 = 4 << 20;
/// Bytes of a small file of the kernel's or the system's: /proc/PID/stat, /etc/subuid, …
pub const SYSTEM_FILE: u64 = 16 << 20;
/// Bytes of one event: its labels, or all that `inspect` says of a container.
pub const EVENT: usize = 1 << 20;
/// Bytes of all that one line of `mounts.conf` brings into a container: keys and certificates.
pub const SUBSCRIPTIONS: u64 = 16 << 20;
/// Files and folders of the same.
pub const SUBSCRIPTION_ENTRIES: u32 = 4096;
/// Depth of its folders.
pub const SUBSCRIPTION_DEPTH: u32 = 16;
/// Names in one folder of an image that a shell is told.
pub const COMPLETIONS: usize = 4096;
/// Bytes of one file of configuration: podman's own with all its comments has 30 KiB.
pub const CONFIG_FILE: u64 = 1 << 20;
/// Bytes of a file of certificates: a system's whole bundle has 220 KiB.
pub const CERTIFICATES: u64 = 16 << 20;
/// Ports that an image and the user expose, each counted as often as it is named: all of every protocol several times.
pub const EXPOSED_PORTS: usize = 1 << 20;
/// Bytes of a resolv.conf: libc reads three resolvers of it.
pub const RESOLV_CONF: usize = 64 << 10;
/// Bytes of a question about a name: one with many options has some hundred.
pub const DNS_QUESTION: usize = 4096;
/// Questions of all containers of a network that others are asked at one time: each is a socket, or as many as resolvers.
pub const DNS_PENDING: usize = 256;
/// The same of one container.
pub const DNS_PENDING_OF_ONE: usize = 128;
/// Bytes of a file of logins, `auth.json` or Docker's `config.json`: some thousand logins with tokens.
pub const AUTH_FILE: u64 = 4 << 20;
/// Bytes of one login as a credential helper gets it: what fits into a pipe that nobody reads.
pub const CREDENTIALS: usize = 48 << 10;
/// Bytes of what a credential helper says.
pub const CREDENTIAL_HELPER: u64 = 1 << 20;
/// Bytes of a policy of images.
pub const POLICY: u64 = 4 << 20;
/// Files of certificates and keys for one registry.
pub const CERTIFICATE_FILES: usize = 256;
/// Bytes of a token of a registry's: they become a field of a request.
pub const TOKEN: usize = 32 << 10;
/// Bytes of the answer of who hands out tokens.
pub const TOKEN_ANSWER: u64 = 1 << 20;
/// Bytes of what a registry says of an error.
pub const REGISTRY_ERROR: u64 = 64 << 10;
/// Errors of one answer that are shown.
pub const REGISTRY_ERRORS: usize = 4;
/// Letters of them.
pub const REGISTRY_MESSAGE: usize = 512;
/// Bytes of a registry's list, of all its pages: a million tags, each with its quotes.
pub const REGISTRY_LIST: u64 = 24 << 20;
/// Names of one list, of all pages.
pub const REGISTRY_NAMES: usize = 2 << 20;
