//! What the peers say where we say `cannot <verb> <object>: <cause>`.
//!
//! Scripts and test suites read these lines, so they are kept word by word: a verb that meets one of its typed errors
//! attaches the [`Sentence`] with [`CommandError::peer`](crate::report::CommandError::peer).

use crate::voice::Voice;

/// A sentence of podman's, buildah's or skopeo's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sentence {
    /// No image of that name.
    NoSuchImage(String),
    /// No container of that name.
    NoSuchContainer(String),
    /// No object of that name, in `inspect`.
    NoSuchObject(String),
    /// No pod of that name.
    NoSuchPod(String),
    /// No volume of that name.
    NoSuchVolume(String),
    /// No network of that name.
    NoSuchNetwork(String),
    /// The name of the container is taken.
    NameInUse {
        /// The name.
        name: String,
        /// The container that has it.
        id: String,
    },
    /// The container's command cannot be found.
    CommandNotFound(String),
    /// The container's command cannot be executed.
    CommandNotExecutable,
    /// An image is used by the container of this identifier.
    ImageInUse(String),
    /// Several tags name the image, and it was named by its identifier.
    ImageHasTags {
        /// The image's identifier.
        image: String,
        /// The tags.
        names: Vec<String>,
    },
    /// A sentence that is made where the error is: for what only one verb can say.
    Other(String),
}

impl Sentence {
    /// The words after `Error: `.
    #[must_use]
    pub fn text(&self, voice: Voice) -> String {
        match self {
            Self::NoSuchImage(name) => format!("{name}: image not known"),
            Self::NoSuchContainer(name) if voice == Voice::Buildah => format!("container not known: {name}"),
            Self::NoSuchContainer(name) => {
                format!("no container with name or ID \"{name}\" found: no such container")
            }
            Self::NoSuchObject(name) => format!("no such object: \"{name}\""),
            Self::NoSuchPod(name) => format!("no pod with name or ID {name} found: no such pod"),
            Self::NoSuchVolume(name) => format!("no volume with name \"{name}\" found: no such volume"),
            Self::NoSuchNetwork(name) => {
                format!("unable to find network with name or ID {name}: network not found")
            }
            Self::NameInUse { name, id } => format!(
                "creating container storage: the container name \"{name}\" is already in use by {id}. You have to \
                 remove that container to be able to reuse that name: that name is already in use, or use --replace \
                 to instruct Podman to do so."
            ),
            Self::CommandNotFound(command) => format!(
                "crun: executable file `{command}` not found in $PATH: No such file or directory: OCI runtime \
                 attempted to invoke a command that was not found"
            ),
            Self::CommandNotExecutable => {
                "crun: open executable: Permission denied: OCI permission denied".to_owned()
            }
            Self::ImageInUse(container) => format!(
                "image used by {container}: image is in use by a container: consider listing external containers \
                 and force-removing image"
            ),
            Self::ImageHasTags { image, names } => format!(
                "unable to delete image \"{image}\" by ID with more than one tag ([{}]): please force removal",
                names.join(" ")
            ),
            Self::Other(text) => text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Compared with podman's sources of May 2026.
    #[test]
    fn sentences_are_the_peers() {
        let found = |sentence: &Sentence| sentence.text(Voice::Podman);
        assert_eq!(found(&Sentence::NoSuchImage("nosuch".into())), "nosuch: image not known");
        assert_eq!(
            found(&Sentence::NoSuchContainer("x".into())),
            "no container with name or ID \"x\" found: no such container"
        );
        let image = Sentence::ImageHasTags { image: "abc".into(), names: vec!["a:1".into(), "b:2".into()] };
        for (sentence, text) in [
            (
                Sentence::ImageInUse("abc".into()),
                "image used by abc: image is in use by a container: consider listing external containers and \
                 force-removing image",
            ),
            (
                image,
                "unable to delete image \"abc\" by ID with more than one tag ([a:1 b:2]): please force removal",
            ),
            (
                Sentence::CommandNotExecutable,
                "crun: open executable: Permission denied: OCI permission denied",
            ),
        ] {
            assert_eq!(found(&sentence), text);
        }
        assert_eq!(
            found(&Sentence::NameInUse { name: "c2".into(), id: "abc".into() }),
            "creating container storage: the container name \"c2\" is already in use by abc. You have to remove that \
             container to be able to reuse that name: that name is already in use, or use --replace to instruct \
             Podman to do so."
        );
    }
}
