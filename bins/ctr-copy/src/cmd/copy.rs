//! `copy`: an image from one place to another, also as `skopeo copy`.

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::Platform;
use ctr_core::oci::media::Family;
use ctr_store::copy::{Choice, Options};
use ctr_store::transport::Place;

use crate::carry::Carry;
use crate::context::Context;
use crate::error::of;
use crate::packing;
use crate::registries::COPY_FLAGS;

pub(super) const VERB: Verb =
    Verb::new("[command options] SOURCE-IMAGE DESTINATION-IMAGE", "Copy an image from one place to another")
        .long("Container \"IMAGE-NAME\" uses a \"transport\":\"details\" format.\n\nSupported transports:\ncontainers-storage, dir, docker, docker-archive, docker-daemon, oci, oci-archive, store, tarball")
        .examples(&["copy docker://quay.io/team/app:1 oci-archive:app.tar", "copy oci-archive:image.tar containers-storage:quay.io/team/app:1", "copy --dry-run oci:layout docker://quay.io/team/app:1"])
        .flags(&[
            Flag::bool("all", "Copy all images if SOURCE-IMAGE is a list").short('a'),
            Flag::array("additional-tag", "additional tags (supports docker-archive)"),
            Flag::bool("dest-compress", "Compress tarball image layers when saving to directory using the 'dir' transport. (default is same compression type as source)"),
            Flag::string("dest-compress-format", "`FORMAT` to use for the compression"),
            Flag::int("dest-compress-level", "`LEVEL` to use for the compression"),
            Flag::string("dest-daemon-host", "use docker daemon host at `HOST` (docker-daemon: only)"),
            Flag::bool("dest-decompress", "Decompress tarball image layers when saving to directory using the 'dir' transport. (default is same compression type as source)"),
            Flag::bool("dest-force-compress-format", "Force exclusive use of the compression algorithm set in --dest-compress-format"),
            Flag::bool("dest-oci-accept-uncompressed-layers", "Allow uncompressed image layers when saving to an OCI image using the 'oci' transport. (default is to compress things that aren't compressed)"),
            Flag::bool("dest-precompute-digests", "Precompute digests to prevent uploading layers already on the registry using the 'docker' transport. (always done)"),
            Flag::path("digestfile", "Write the digest of the pushed image to the named file"),
            Flag::bool("dry-run", "Print what would be copied, in how many requests and bytes, and copy nothing"),
            Flag::choice("format", &["oci", "v2s2"], "MANIFEST TYPE (oci, v2s1, or v2s2) to use in the destination (default is manifest type of source, with fallbacks)").short('f'),
            Flag::uint("image-parallel-copies", "Maximum number of image layers to be copied (pulled/pushed) simultaneously. Not set or 0 uses the default of 6"),
            Flag::choice("multi-arch", &["system", "all", "index-only"], "How to handle multi-architecture images (system, all, or index-only)"),
            Flag::bool("preserve-digests", "Preserve digests of images and lists"),
            Flag::string("platform", "Choose the image of OS/ARCH[/VARIANT] from an index; of several, separated by commas, an index is made"),
            Flag::bool("quiet", "Suppress output information when copying images").short('q'),
            Flag::bool("remove-signatures", "Do not copy signatures from SOURCE-IMAGE"),
            Flag::path("dest-shared-blob-dir", "`DIRECTORY` to use to share blobs across OCI repositories"),
            Flag::path("src-shared-blob-dir", "`DIRECTORY` to use to share blobs across OCI repositories"),
            Flag::string("src-daemon-host", "use docker daemon host at `HOST` (docker-daemon: only)"),
        ])
        .shared_flags(COPY_FLAGS)
        .refuses(&[&[
            "command-timeout",
            "decryption-key",
            "encrypt-layer",
            "encryption-key",
            "sign-by",
            "sign-by-sigstore",
            "sign-by-sigstore-private-key",
            "sign-by-sq-fingerprint",
            "sign-identity",
            "sign-passphrase-file",
        ]])
        .arity(Arity::Exactly(2));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let from = Place::parse(texts[0]).map_err(of)?;
    let to = Place::parse(texts[1]).map_err(of)?;
    let options = options(call)?;
    let layers = packing::of_copy(call, &to, options.preserve_digests)?;
    if call.flags.has("additional-tag") && !matches!(to, Place::DockerArchive(_)) {
        return Err(CommandError::usage("--additional-tag is for docker-archive: alone"));
    }
    let context = Context::new(&call.globals)?;
    let carry = Carry {
        call,
        context: &context,
        from: (&from, texts[0]),
        to: (&to, texts[1]),
        options: &options,
        layers,
        trusts_stores: false,
        flags: ["src-", "dest-"],
    };
    if call.flags.bool("dry-run") {
        call.ui.print(&carry.plan()?)?;
    } else {
        carry.run()?;
    }
    Ok(Exit::SUCCESS)
}

fn options(call: &Call) -> Result<Options, CommandError> {
    let flags = &call.flags;
    let choice = match (flags.bool("all"), flags.get("multi-arch"), platforms(call)?.as_slice()) {
        (true, Some(_), _) => {
            return Err(CommandError::usage("Cannot use --all and --multi-arch flags together"));
        }
        (true, None, []) | (false, Some("all"), []) => Choice::All,
        (false, Some("index-only"), []) => Choice::IndexOnly,
        (true, ..) | (_, Some("all" | "index-only"), _) => {
            return Err(CommandError::usage("Cannot use --platform with all images or none"));
        }
        (.., []) => Choice::Platform(Platform::host()),
        (.., [platform]) => Choice::Platform(platform.clone()),
        (.., platforms) => Choice::Some(platforms.to_vec()),
    };
    let family = flags.get("format").map(|text| if text == "oci" { Family::Oci } else { Family::Docker });
    let preserve_digests = flags.bool("preserve-digests");
    Ok(Options { choice, family, preserve_digests, ..Options::default() })
}

/// The platforms that `--platform` names.
fn platforms(call: &Call) -> Result<Vec<Platform>, CommandError> {
    let texts = call.flags.get("platform").into_iter().flat_map(|texts| texts.split(','));
    let parse = |text| Platform::parse(text).map_err(|error| CommandError::usage(error.to_string()));
    texts.map(parse).collect()
}
