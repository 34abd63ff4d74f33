//! `import`: a file tree in an archive becomes an image.

use std::fs::File;
use std::io::Read;

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::human::time::Timestamp;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::events::Status;
use ctr_core::{FileError, Platform};
use ctr_store::import::import;
use ctr_store::ingest::Ingest;
use ctr_store::refs::Target;
use ctr_store::session::Session;
use ctr_store::transport::tarball::About;
use ctr_views::changes;

use super::tag::local_name;
use crate::context::Context;
use crate::error::{of, of_copy};

pub(super) const VERB: Verb = Verb::new("[options] PATH [REFERENCE]", "Import a tarball to create a filesystem image")
    .long("Create a container image from the contents of the specified tarball (.tar, .tar.gz, .tgz, .bzip, .tar.xz, .txz).\n  Note remote tar balls can be specified, via web address.\n  Optionally tag the image. You can specify the instructions using the --change option.")
    .examples(&[
        "import ctr.tar quay.io/myuser/myimage",
        "cat ctr.tgz | podman -q import --message \"importing the ctr.tgz tarball\" - image-imported",
        "cat ctr.tgz | podman import -",
    ])
    .flags(&[
        Flag::string("arch", "Set the architecture of the imported image"),
        Flag::array("change", "Apply the following possible instructions to the created image (default []): CMD | ENTRYPOINT | ENV | EXPOSE | LABEL | ONBUILD | STOPSIGNAL | USER | VOLUME | WORKDIR").short('c'),
        Flag::string("message", "Set commit message for imported image").short('m'),
        Flag::string("os", "Set the OS of the imported image"),
        Flag::bool("quiet", "Suppress output").short('q'),
        Flag::string("variant", "Set the variant of the imported image"),
    ])
    .refuses(&[&["signature-policy"]])
    .arity(Arity::Between(1, 2));

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let name = texts.get(1).map(|text| local_name(text)).transpose()?;
    let about = about(call)?;
    let stream = open(texts[0])?;
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let worker = context.worker()?;
    let session = Session::begin(&store).map_err(of)?;
    let image =
        import(Ingest { session: &session, worker: &worker }, stream, &about, texts[0]).map_err(of_copy)?;
    let target = Target::Image { id: image.id, manifest: image.manifest };
    match name {
        Some(name) => session.tag(&name, target).map_err(of)?,
        None => session.keep(target).map_err(of)?,
    }
    drop(session);
    context.settle_later(&call.ui);
    context.happened(
        &call.ui,
        Status::Import,
        [(image.id.to_string(), texts.get(1).copied().unwrap_or(texts[0]).to_owned())],
    );
    call.ui.line(&format!("sha256:{}", image.id))?;
    Ok(Exit::SUCCESS)
}

fn open(path: &str) -> Result<Box<dyn Read + Send>, CommandError> {
    if path == "-" {
        return Ok(Box::new(std::io::stdin()));
    }
    if path.starts_with("http://") || path.starts_with("https://") {
        return Err(CommandError::not_supported("importing from a URL"));
    }
    let file = File::open(path).map_err(|error| of(FileError::new("import", path, error)))?;
    Ok(Box::new(file))
}

fn about(call: &Call) -> Result<About, CommandError> {
    let flags = &call.flags;
    let host = Platform::host();
    let or =
        |name: &str, host: &str| flags.get(name).filter(|text| !text.is_empty()).unwrap_or(host).to_owned();
    let variant = flags.get("variant").or(host.variant.as_deref().filter(|_| !flags.has("arch")));
    let platform = Platform::new(&or("os", &host.os), &or("arch", &host.architecture), variant);
    Ok(About {
        created: Timestamp::now().rfc3339(),
        comment: flags.string("message").to_owned(),
        platform: Some(platform),
        config: changes::config(&flags.strings("change"))
            .map_err(|error| CommandError::usage(error.to_string()))?,
    })
}
