//! How layers are packed where they are copied to, as the flags of verbs say.

use ctr_cli::app::Call;
use ctr_cli::report::CommandError;
use ctr_store::compression::pack::{Format, Packing};
use ctr_store::copy::recode::{Layers, Others};
use ctr_store::transport::Place;

/// What flags ask for: a format, a level, and whether layers that are there in another format will not do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    format: Option<Format>,
    level: Option<i64>,
    force: bool,
}

impl Asked {
    /// Reads the flags of the given names.
    pub(crate) fn of(call: &Call, format: &str, level: &str, force: &str) -> Result<Self, CommandError> {
        let flags = &call.flags;
        let asked = Self {
            format: flags.get(format).map(named).transpose()?,
            level: flags.int(level),
            force: flags.bool(force),
        };
        if asked.force && asked.format.is_none() {
            return Err(CommandError::usage(format!("--{force} needs --{format}")));
        }
        // A wrong level is told before anything is done.
        asked.packing()?;
        Ok(asked)
    }

    /// How to pack; gzip, where nothing is asked for.
    pub(crate) fn packing(self) -> Result<Packing, CommandError> {
        let format = self.format.unwrap_or(Format::Gzip);
        match self.level {
            None => Ok(Packing::usual(format)),
            Some(level) => {
                Packing::new(format, level).map_err(|error| CommandError::usage(error.to_string()))
            }
        }
    }

    /// What becomes of layers that are packed otherwise.
    pub(crate) const fn others(self) -> Others {
        match (self.format, self.force) {
            (None, _) => Others::Stay,
            (Some(_), false) => Others::UnlessThere,
            (Some(_), true) => Others::PackedAnew,
        }
    }

    const fn is_anything(self) -> bool {
        self.format.is_some() || self.level.is_some()
    }
}

fn named(name: &str) -> Result<Format, CommandError> {
    match name {
        "gzip" => Ok(Format::Gzip),
        "zstd" => Ok(Format::Zstd),
        "zstd:chunked" => Err(CommandError::not_supported("the compression format zstd:chunked")),
        _ => {
            Err(CommandError::usage(format!("cannot find compressor for {name:?}: there are gzip and zstd")))
        }
    }
}

/// What a destination does with layers if nothing is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Usual {
    /// They stay as they come, and may be packed.
    Keeps,
    /// Those that are not packed are, where that changes no digest that somebody has.
    PacksNew,
    /// Those that are not packed are.
    Packs,
    /// There is no choice.
    Fixed,
}

impl Usual {
    const fn of(to: &Place) -> Self {
        match to {
            Place::Dir(_) => Self::Keeps,
            Place::Oci(_) | Place::OciArchive(_) => Self::PacksNew,
            Place::Registry(_) => Self::Packs,
            Place::DockerArchive(_) | Place::DockerDaemon(_) | Place::Store { .. } | Place::Tarball(_) => {
                Self::Fixed
            }
        }
    }
}

/// How layers are packed at a place if nothing is asked for.
pub(crate) const fn usual(to: &Place) -> Layers {
    let gzip = Packing::usual(Format::Gzip);
    match Usual::of(to) {
        Usual::PacksNew => Layers::PackedWhereNew(gzip),
        Usual::Packs => Layers::packed(gzip),
        Usual::Keeps | Usual::Fixed => Layers::AsTheyCome,
    }
}

/// How layers are packed when `copy` brings them to a place. `keeps` tells that no digest may change.
pub(crate) fn of_copy(call: &Call, to: &Place, keeps: bool) -> Result<Layers, CommandError> {
    let flags = &call.flags;
    let asked = Asked::of(call, "dest-compress-format", "dest-compress-level", "dest-force-compress-format")?;
    only_for(call, &["dest-compress", "dest-decompress"], matches!(to, Place::Dir(_)), "dir")?;
    let is_layout = matches!(to, Place::Oci(_) | Place::OciArchive(_));
    only_for(call, &["dest-oci-accept-uncompressed-layers"], is_layout, "oci")?;
    let (compress, decompress) = (flags.bool("dest-compress"), flags.bool("dest-decompress"));
    let accepts_plain = flags.bool("dest-oci-accept-uncompressed-layers");
    if asked.is_anything() && Usual::of(to) == Usual::Fixed {
        return Err(CommandError::usage(
            "--dest-compress-format and --dest-compress-level can do nothing here: this destination does not compress layers",
        ));
    }
    if (compress || asked.is_anything()) && (decompress || accepts_plain) {
        return Err(CommandError::usage("Cannot compress and decompress at the same time"));
    }
    Ok(if decompress {
        Layers::Unpacked
    } else if compress || asked.is_anything() {
        Layers::Packed { packing: asked.packing()?, others: asked.others() }
    } else if accepts_plain || keeps {
        Layers::AsTheyCome
    } else {
        usual(to)
    })
}

/// How layers are packed when `push` brings them to a place. Podman means a format that is named to be that of all layers.
pub(crate) fn of_push(call: &Call, to: &Place) -> Result<Layers, CommandError> {
    let asked = Asked::of(call, "compression-format", "compression-level", "force-compression")?;
    let force = call.flags.switch("force-compression").unwrap_or(asked.format.is_some());
    let asked = Asked { force, ..asked };
    let is_asked = call.flags.bool("compress") || asked.is_anything();
    if is_asked && Usual::of(to) == Usual::Fixed {
        return Err(CommandError::usage(
            "--compress, --compression-format and --compression-level can do nothing here: this destination does not compress layers",
        ));
    }
    if is_asked {
        Ok(Layers::Packed { packing: asked.packing()?, others: asked.others() })
    } else {
        Ok(usual(to))
    }
}

fn only_for(call: &Call, names: &[&str], is_that: bool, transport: &str) -> Result<(), CommandError> {
    match names.iter().find(|name| call.flags.bool(name)) {
        Some(name) if !is_that => Err(CommandError::usage(format!("--{name} is for {transport}: alone"))),
        _ => Ok(()),
    }
}
