//! `save`: images into an archive or a folder.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use ctr_cli::app::Call;
use ctr_cli::exit::Exit;
use ctr_cli::log::Level;
use ctr_cli::report::CommandError;
use ctr_cli::usage::{Arity, Flag, Verb};
use ctr_core::atomic::Temporary;
use ctr_core::events::Status;
use ctr_core::oci::media::Family;
use ctr_core::{FileError, Platform, Reference};
use ctr_store::Store;
use ctr_store::compression::pack::{self as packing, Packing};
use ctr_store::copy::dir_sink::DirSink;
use ctr_store::copy::docker_sink::DockerSink;
use ctr_store::copy::files::TarFiles;
use ctr_store::copy::layout_sink::LayoutSink;
use ctr_store::copy::recode::Layers;
use ctr_store::copy::{Choice, Options, Sink, copy};
use ctr_store::session::Session;
use ctr_store::transport::Source;
use ctr_store::transport::local::{Local, Packer};

use super::tag::{id_of, local_name};
use crate::context::Context;
use crate::error::{of, of_copy, of_resolve, of_source};

pub(super) const VERB: Verb = Verb::new("[options] IMAGE [IMAGE...]", "Save image(s) to an archive")
    .long("Save an image to docker-archive or oci-archive on the local machine. Default is docker-archive.")
    .examples(&[
        "save --quiet -o myimage.tar imageID",
        "save --format docker-dir -o ubuntu-dir ubuntu",
        "save > alpine-all.tar alpine:latest",
    ])
    .flags(&[
        Flag::bool(
            "compress",
            "Compress tarball image layers when saving to a directory using the 'dir' transport. (default is same compression type as source)",
        ),
        Flag::string(
            "format",
            "Save image to oci-archive, oci-dir (directory with oci manifest type), docker-archive, docker-dir (directory with v2s2 manifest type)",
        )
        .default("docker-archive"),
        Flag::bool(
            "multi-image-archive",
            "Interpret additional arguments as images not tags and create a multi-image-archive (only for docker-archive)",
        )
        .short('m'),
        Flag::path("output", "Write to a specified file (default: stdout, which must be redirected)").short('o'),
        Flag::bool("quiet", "Suppress the output").short('q'),
        Flag::bool("uncompressed", "Accept uncompressed layers when copying OCI images"),
    ])
    .refuses(&[&["signature-policy"]])
    .arity(Arity::AtLeast(1));

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    DockerArchive,
    OciArchive,
    OciDir,
    DockerDir,
}

pub(super) fn run(call: &Call) -> Result<Exit, CommandError> {
    let texts = call.flags.texts()?;
    let format = format_of(call.flags.string("format"))?;
    if call.flags.has("compress") && format != Format::DockerDir {
        return Err(CommandError::usage("--compress can only be set when --format is 'docker-dir'"));
    }
    let several = call.flags.bool("multi-image-archive");
    if several && format != Format::DockerArchive {
        return Err(CommandError::usage(format!(
            "unsupported format {:?} for saving multiple images (only docker-archive)",
            call.flags.string("format")
        )));
    }
    let output = output_of(call, format)?;
    let context = Context::new(&call.globals)?;
    let store = context.store()?;
    let images = if several { grouped(&store, &texts)? } else { vec![named(&store, &texts)?] };
    let session = Session::begin(&store).map_err(of)?;
    let worker = context.worker()?;
    let packer = Packer { session: &session, worker: Some(&worker) };
    let target = Target::open(&output, format)?;
    let mut sink = sink(call, format, &target, &session)?;
    for (text, names) in &images {
        save(call, &store, &packer, sink.as_mut(), format, text, names)?;
    }
    sink.finish().map_err(of_copy)?;
    drop(sink);
    target.publish()?;
    let place = match &output {
        Output::Stdout => "-".to_owned(),
        Output::Path(path) => path.display().to_string(),
    };
    let mut saved = Vec::new();
    for (text, _) in &images {
        saved.push((id_of(store.lookup(text).map_err(of_resolve)?.target), place.clone()));
    }
    context.happened(&call.ui, Status::Save, saved);
    Ok(Exit::SUCCESS)
}

fn format_of(text: &str) -> Result<Format, CommandError> {
    Ok(match text {
        "docker-archive" => Format::DockerArchive,
        "oci-archive" => Format::OciArchive,
        "oci-dir" => Format::OciDir,
        "docker-dir" => Format::DockerDir,
        _ => {
            return Err(CommandError::usage(
                "format value must be one of oci-dir oci-archive docker-dir docker-archive",
            ));
        }
    })
}

enum Output {
    Stdout,
    Path(PathBuf),
}

fn output_of(call: &Call, format: Format) -> Result<Output, CommandError> {
    match call.flags.path("output").filter(|path| !path.as_os_str().is_empty()) {
        Some(path) => Ok(Output::Path(path.to_owned())),
        None if matches!(format, Format::OciDir | Format::DockerDir) => {
            Err(CommandError::usage("a directory needs a name: -o DIRECTORY"))
        }
        None if std::io::stdout().is_terminal() => {
            Err(CommandError::usage("refusing to save to terminal. Use -o flag or redirect"))
        }
        None => Ok(Output::Stdout),
    }
}

/// Where the bytes go: a new file gets its name when it is whole.
enum Target {
    Stdout,
    Folder(PathBuf),
    Special(File),
    New(Temporary, File),
}

impl Target {
    fn open(output: &Output, format: Format) -> Result<Self, CommandError> {
        let Output::Path(path) = output else { return Ok(Self::Stdout) };
        let file = |error: FileError| of(error);
        if matches!(format, Format::OciDir | Format::DockerDir) {
            let made = std::fs::create_dir_all(path);
            return made
                .map(|()| Self::Folder(path.clone()))
                .map_err(|e| file(FileError::new("create", path, e)));
        }
        match std::fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(Self::Folder(path.clone())),
            // A device or a pipe is written to as it is.
            Ok(meta) if !meta.is_file() => {
                let opened = File::options().write(true).open(path);
                Ok(Self::Special(opened.map_err(|error| file(FileError::new("open", path, error)))?))
            }
            _ => {
                let temporary = Temporary::create(path).map_err(file)?;
                let clone = temporary
                    .file()
                    .try_clone()
                    .map_err(|error| file(FileError::new("open", path, error)))?;
                Ok(Self::New(temporary, clone))
            }
        }
    }

    fn stream(&self) -> Result<Box<dyn Write>, CommandError> {
        Ok(match self {
            Self::Stdout => Box::new(std::io::stdout()),
            Self::Special(file) | Self::New(_, file) => {
                let file = file.try_clone().map_err(of)?;
                Box::new(std::io::BufWriter::with_capacity(256 << 10, file))
            }
            Self::Folder(path) => {
                let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
                return Err(of(FileError::new("write", path, error)));
            }
        })
    }

    fn publish(self) -> Result<(), CommandError> {
        let Self::New(temporary, _) = self else { return Ok(()) };
        let mode = rustix::fs::Mode::from_raw_mode(0o666) & !current_umask();
        rustix::fs::fchmod(temporary.file(), mode).map_err(of)?;
        temporary.publish().map_err(of)
    }
}

/// Asking for the mask means setting it, twice.
fn current_umask() -> rustix::fs::Mode {
    let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    rustix::process::umask(mask);
    mask
}

fn sink<'a>(
    call: &Call,
    format: Format,
    target: &Target,
    session: &'a Session,
) -> Result<Box<dyn Sink + 'a>, CommandError> {
    let in_layout = if call.flags.bool("uncompressed") { Layers::Unpacked } else { Layers::AsTheyCome };
    Ok(match (format, target) {
        (Format::DockerArchive, _) => Box::new(DockerSink::new(TarFiles::new(target.stream()?), session)),
        (Format::OciArchive, _) => {
            Box::new(LayoutSink::archive(TarFiles::new(target.stream()?), in_layout, session))
        }
        (Format::OciDir, target) => {
            Box::new(LayoutSink::folder(folder(target)?, None, in_layout, session).map_err(of_copy)?)
        }
        (Format::DockerDir, target) => {
            let gzip = Layers::packed(Packing::usual(packing::Format::Gzip));
            let layers = if call.flags.bool("compress") { gzip } else { Layers::AsTheyCome };
            Box::new(DirSink::new(folder(target)?, layers, session).map_err(of_copy)?)
        }
    })
}

fn folder(target: &Target) -> Result<&Path, CommandError> {
    match target {
        Target::Folder(path) => Ok(path),
        _ => Err(CommandError::usage("the output exists and is no directory")),
    }
}

/// An image and the names it shall have in the archive.
type Named = (String, Vec<Reference>);

/// One image: its name, and the words after it as further names.
fn named(store: &Store, texts: &[&str]) -> Result<Named, CommandError> {
    let found = store.lookup(texts[0]).map_err(of_resolve)?;
    let mut names: Vec<_> = found.name.into_iter().filter(|name| name.digest.is_none()).collect();
    for text in &texts[1..] {
        names.push(local_name(text)?);
    }
    Ok((texts[0].to_owned(), names))
}

/// Several images: words that lead to the same one are its names.
fn grouped(store: &Store, texts: &[&str]) -> Result<Vec<Named>, CommandError> {
    let mut images: Vec<(ctr_store::refs::Target, Named)> = Vec::new();
    for text in texts {
        let found = store.lookup(text).map_err(of_resolve)?;
        let name = found.name.into_iter().filter(|name| name.digest.is_none());
        match images.iter_mut().find(|(target, _)| *target == found.target) {
            Some((_, (_, names))) => names.extend(name),
            None => images.push((found.target, ((*text).to_owned(), name.collect()))),
        }
    }
    Ok(images.into_iter().map(|(_, named)| named).collect())
}

fn save(
    call: &Call,
    store: &Store,
    packer: &Packer<'_>,
    sink: &mut dyn Sink,
    format: Format,
    text: &str,
    names: &[Reference],
) -> Result<(), CommandError> {
    let host = Platform::host();
    let texts = names.iter().map(ToString::to_string).collect();
    let source = Local::open(store, text, texts, Some(&host), packer).map_err(of_source)?;
    if source.repacked() {
        let said =
            format!("the layers of {text} were not kept as they came, so the digests of the copy are new");
        // The peers keep no layer as it came, and have never said so.
        if call.caller.voice.is_peer() { call.ui.log(Level::Info, &said) } else { call.ui.warn(&said) }
    }
    let family = (format == Format::DockerDir).then_some(Family::Docker);
    let options = Options { choice: Choice::Platform(host), family, ..Options::default() };
    for offer in source.offers().map_err(of_source)? {
        let placed = copy(&source, &offer, sink, &options).map_err(of_copy)?;
        sink.name(&placed, names).map_err(of_copy)?;
    }
    Ok(())
}
