//! Where our directories are.
//!
//! [`Dirs::choose`] is a pure function of the environment's values and of what the file system says about the
//! candidates: the caller reads both. A run directory is never taken on the word of the environment alone:
//! `su` keeps XDG_RUNTIME_DIR of another user, and a world-writable one would let others plant our sockets.

use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// The directories of one store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dirs {
    /// What persists: images, layers, records.
    pub data: PathBuf,
    /// What is void after a boot: locks, sockets, namespaces.
    pub run: PathBuf,
}

/// The values of the environment that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    /// HOME, or the home of the passwd entry.
    pub home: Option<PathBuf>,
    /// XDG_DATA_HOME.
    pub xdg_data_home: Option<PathBuf>,
    /// XDG_RUNTIME_DIR.
    pub xdg_runtime_dir: Option<PathBuf>,
    /// Our uid.
    pub uid: u32,
    /// CTR_RUN_DIR: the run directory that a program of ours chose before it moved into a user namespace, where our
    /// uid, after which that may be named, is another.
    pub chosen: Option<PathBuf>,
}

/// What there is at a path, without following a link at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// Whether it is a directory.
    pub directory: bool,
    /// Who owns it.
    pub uid: u32,
    /// Its permission bits.
    pub mode: u32,
}

/// There is no place for our data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("neither XDG_DATA_HOME nor HOME names an absolute directory")]
pub struct NoHome;

impl Dirs {
    /// Chooses the directories; `look` says what there is at a path.
    ///
    /// The run directory is the first of: what was chosen already, if that is ours; `$XDG_RUNTIME_DIR/ctr` and `/run/user/UID/ctr` where the parent is a
    /// directory of ours that no other can write to; `/run/ctr` for root; `/tmp/ctr-UID` where it is ours and
    /// private, or does not exist yet; `run` in the data directory.
    pub fn choose(environment: &Environment, look: &dyn Fn(&Path) -> Option<Entry>) -> Result<Self, NoHome> {
        let data = data_directory(environment)?;
        let run = run_directory(environment, look).unwrap_or_else(|| data.join("run"));
        Ok(Self { data, run })
    }

    /// Chooses the directories by looking at the file system.
    pub fn discover(environment: &Environment) -> Result<Self, NoHome> {
        Self::choose(environment, &look)
    }

    /// Returns the directories under `--root` and `--runroot`. A root without a run root gets one of its own
    /// below ours, so that two stores never share locks.
    #[must_use]
    pub fn rooted(&self, root: Option<&Path>, run_root: Option<&Path>) -> Self {
        let data = root.map_or_else(|| self.data.clone(), Path::to_owned);
        let run = match (root, run_root) {
            (_, Some(run_root)) => run_root.to_owned(),
            (Some(root), None) if *root != *self.data => {
                let key = Digest::of(root.as_os_str().as_encoded_bytes());
                self.run.join("roots").join(key.short())
            }
            _ => self.run.clone(),
        };
        Self { data, run }
    }
}

fn data_directory(environment: &Environment) -> Result<PathBuf, NoHome> {
    let absolute = |path: &Option<PathBuf>| path.clone().filter(|path| path.is_absolute());
    absolute(&environment.xdg_data_home)
        .or_else(|| absolute(&environment.home).map(|home| home.join(".local/share")))
        .map(|data| data.join("ctr"))
        .ok_or(NoHome)
}

fn run_directory(environment: &Environment, look: &dyn Fn(&Path) -> Option<Entry>) -> Option<PathBuf> {
    let uid = environment.uid;
    let ours = |entry: Entry| entry.directory && entry.uid == uid && entry.mode & 0o022 == 0;
    let chosen = environment.chosen.clone().filter(|path| path.is_absolute());
    if let Some(chosen) = chosen.filter(|path| look(path).is_some_and(ours)) {
        return Some(chosen);
    }
    let session = environment.xdg_runtime_dir.clone().filter(|path| path.is_absolute());
    let login = PathBuf::from(format!("/run/user/{uid}"));
    let parent = session.into_iter().chain([login]).find(|path| look(path).is_some_and(ours));
    if let Some(parent) = parent {
        return Some(parent.join("ctr"));
    }
    let run = Path::new("/run");
    if uid == 0 && look(run).is_some_and(ours) {
        return Some(run.join("ctr"));
    }
    let fallback = PathBuf::from(format!("/tmp/ctr-{uid}"));
    match look(&fallback) {
        None => Some(fallback),
        Some(entry) => (ours(entry) && entry.mode & 0o077 == 0).then_some(fallback),
    }
}

/// Looks at a path without following a link at its end.
#[must_use]
pub fn look(path: &Path) -> Option<Entry> {
    use std::os::unix::fs::MetadataExt;
    let meta = std::fs::symlink_metadata(path).ok()?;
    Some(Entry { directory: meta.is_dir(), uid: meta.uid(), mode: meta.mode() & 0o7777 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment {
            home: Some("/home/u".into()),
            xdg_data_home: None,
            xdg_runtime_dir: Some("/run/user/1000".into()),
            uid: 1000,
            chosen: None,
        }
    }

    fn at(known: &'static [(&'static str, u32, u32)]) -> impl Fn(&Path) -> Option<Entry> {
        |path| {
            let (_, uid, mode) = known.iter().find(|(name, ..)| Path::new(name) == path)?;
            Some(Entry { directory: true, uid: *uid, mode: *mode })
        }
    }

    fn run(environment: &Environment, known: &'static [(&'static str, u32, u32)]) -> PathBuf {
        Dirs::choose(environment, &at(known)).unwrap().run
    }

    #[test]
    fn data_follows_xdg() {
        let mut env = environment();
        assert_eq!(Dirs::choose(&env, &|_| None).unwrap().data, Path::new("/home/u/.local/share/ctr"));
        env.xdg_data_home = Some("/d".into());
        assert_eq!(Dirs::choose(&env, &|_| None).unwrap().data, Path::new("/d/ctr"));
        env.xdg_data_home = Some("relative".into());
        env.home = Some("".into());
        assert_eq!(Dirs::choose(&env, &|_| None), Err(NoHome));
    }

    #[test]
    fn the_run_directory_must_be_ours() {
        let env = environment();
        assert_eq!(run(&env, &[("/run/user/1000", 1000, 0o700)]), Path::new("/run/user/1000/ctr"));
        assert_eq!(run(&env, &[("/run/user/1000", 0, 0o700)]), Path::new("/tmp/ctr-1000"), "another's");
        assert_eq!(run(&env, &[("/run/user/1000", 1000, 0o777)]), Path::new("/tmp/ctr-1000"), "open to all");
        assert_eq!(run(&env, &[]), Path::new("/tmp/ctr-1000"), "no session");
        assert_eq!(
            run(&env, &[("/tmp/ctr-1000", 1001, 0o700)]),
            Path::new("/home/u/.local/share/ctr/run"),
            "planted"
        );
        assert_eq!(run(&env, &[("/tmp/ctr-1000", 1000, 0o755)]), Path::new("/home/u/.local/share/ctr/run"));
    }

    #[test]
    fn a_kept_environment_of_another_user_is_not_believed() {
        let env = Environment { xdg_runtime_dir: Some("/run/user/0".into()), ..environment() };
        assert_eq!(
            run(&env, &[("/run/user/0", 0, 0o700), ("/run/user/1000", 1000, 0o700)]),
            Path::new("/run/user/1000/ctr")
        );
    }

    #[test]
    fn what_was_chosen_outside_holds_inside_if_it_is_ours() {
        let env = Environment { uid: 0, chosen: Some("/tmp/ctr-1000".into()), ..environment() };
        assert_eq!(run(&env, &[("/tmp/ctr-1000", 0, 0o700)]), Path::new("/tmp/ctr-1000"));
        assert_eq!(
            run(&env, &[("/tmp/ctr-1000", 7, 0o700), ("/tmp/ctr-0", 0, 0o700)]),
            Path::new("/tmp/ctr-0")
        );
    }

    #[test]
    fn root_has_run() {
        let env = Environment { uid: 0, xdg_runtime_dir: None, ..environment() };
        assert_eq!(run(&env, &[("/run", 0, 0o755)]), Path::new("/run/ctr"));
    }

    #[test]
    fn roots_have_run_directories_of_their_own() {
        let dirs = Dirs { data: "/d".into(), run: "/r".into() };
        assert_eq!(dirs.rooted(None, None), dirs);
        assert_eq!(dirs.rooted(Some(Path::new("/d")), None), dirs);
        let other = dirs.rooted(Some(Path::new("/x")), None);
        assert!(other.run.starts_with("/r/roots"));
        assert_ne!(other.run, dirs.rooted(Some(Path::new("/y")), None).run);
        assert_eq!(dirs.rooted(None, Some(Path::new("/z"))).run, Path::new("/z"));
    }
}
