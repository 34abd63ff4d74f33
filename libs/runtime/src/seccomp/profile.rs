//! Profiles: which calls are allowed, as JSON says it.
//!
//! One type reads three spellings: the runtime specification's `linux.seccomp`; docker's, with `archMap`,
//! `includes`, `excludes` and `name`; podman's, where an errno may be a name. [`Profile::resolved`] turns the
//! two latter into the first for one container, as docker and podman do before they call a runtime.
//!
//! # References
//! `config-linux.md` §Seccomp of the runtime specification; moby/profiles `seccomp/seccomp_linux.go`;
//! containers/common `pkg/seccomp/seccomp_linux.go`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use ctr_core::{errno, limits};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Facts;
use crate::caps::{Cap, CapSet};

/// A string of a profile; those of the built-in ones cost no allocation.
pub type Text = Cow<'static, str>;

/// The name by which rules are told that they are on x86_64, whatever ABI the caller uses.
const NATIVE: &str = "amd64";

/// A profile cannot be read or does not make sense.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// More bytes than any profile has.
    #[error("the seccomp profile has {0} bytes, more than {limit}", limit = limits::SECCOMP_PROFILE)]
    Size(usize),
    /// Not JSON, or not that of a profile.
    #[error("cannot read the seccomp profile")]
    Json(#[source] serde_json::Error),
    /// Two ways to say which architectures.
    #[error("both 'architectures' and 'archMap' are specified in the seccomp profile, use either")]
    ArchitecturesTwice,
    /// Two ways to say which calls.
    #[error("both 'name' and 'names' are specified in the seccomp profile, use either")]
    NamesTwice,
    /// An errno that is neither a number nor a name.
    #[error("unknown errno {0:?} in the seccomp profile")]
    Errno(String),
}

/// What the filter answers to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "seccomp(2) describes each")]
pub enum Action {
    #[serde(rename = "SCMP_ACT_KILL_PROCESS")]
    KillProcess,
    #[serde(rename = "SCMP_ACT_KILL_THREAD", alias = "SCMP_ACT_KILL")]
    KillThread,
    #[serde(rename = "SCMP_ACT_TRAP")]
    Trap,
    #[serde(rename = "SCMP_ACT_ERRNO")]
    Errno,
    #[serde(rename = "SCMP_ACT_NOTIFY")]
    Notify,
    #[serde(rename = "SCMP_ACT_TRACE")]
    Trace,
    #[serde(rename = "SCMP_ACT_LOG")]
    Log,
    #[serde(rename = "SCMP_ACT_ALLOW")]
    Allow,
}

/// How an argument is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Operator {
    #[serde(rename = "SCMP_CMP_NE")]
    NotEqual,
    #[serde(rename = "SCMP_CMP_LT")]
    Less,
    #[serde(rename = "SCMP_CMP_LE")]
    LessOrEqual,
    #[serde(rename = "SCMP_CMP_EQ")]
    Equal,
    #[serde(rename = "SCMP_CMP_GE")]
    GreaterOrEqual,
    #[serde(rename = "SCMP_CMP_GT")]
    Greater,
    /// `argument & value == valueTwo`, where bits of `valueTwo` outside of `value` do not count.
    #[serde(rename = "SCMP_CMP_MASKED_EQ")]
    MaskedEqual,
}

/// One comparison of one argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// Which argument, from 0.
    pub index: u32,
    /// What it is compared with; of a masked comparison, the mask.
    #[serde(default)]
    pub value: u64,
    /// What a masked argument is compared with.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub value_two: u64,
    /// How.
    pub op: Operator,
}

/// Tells serde what it may leave out.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

/// Options of loading a filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "seccomp(2) describes each")]
pub enum Flag {
    #[serde(rename = "SECCOMP_FILTER_FLAG_TSYNC")]
    Tsync,
    #[serde(rename = "SECCOMP_FILTER_FLAG_LOG")]
    Log,
    #[serde(rename = "SECCOMP_FILTER_FLAG_SPEC_ALLOW")]
    SpecAllow,
    #[serde(rename = "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV")]
    WaitKillableRecv,
}

/// A version of the kernel, as far as rules depend on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kernel {
    /// The number before the first point.
    pub version: u32,
    /// The number after it.
    pub revision: u32,
}

/// A text that does not start with two numbers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid kernel version {0:?}, expected \"<kernel>.<major>\"")]
pub struct KernelError(String);

impl FromStr for Kernel {
    type Err = KernelError;

    /// Reads what `uname -r` prints, whatever follows the second number.
    fn from_str(release: &str) -> Result<Self, KernelError> {
        let parsed = release.split_once('.').and_then(|(version, rest)| {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            Some(Self { version: version.parse().ok()?, revision: rest[..digits].parse().ok()? })
        });
        parsed.ok_or_else(|| KernelError(release.to_owned()))
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.version, self.revision)
    }
}

impl Serialize for Kernel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Reads a rule's `minKernel`; docker takes an empty one for none, and nothing after the second number.
fn minimum<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Kernel>, D::Error> {
    let Some(text) = Option::<Cow<'de, str>>::deserialize(deserializer)?.filter(|text| !text.is_empty())
    else {
        return Ok(None);
    };
    let kernel: Kernel = text.parse().map_err(serde::de::Error::custom)?;
    if kernel.to_string() != text || kernel == (Kernel { version: 0, revision: 0 }) {
        return Err(serde::de::Error::custom(KernelError(text.into_owned())));
    }
    Ok(Some(kernel))
}

/// Reads a value, taking Go's `null` for an empty one.
fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// When a rule counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct When {
    /// Capabilities in the bounding set, by their full names; an unknown one is in none.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "<[Text]>::is_empty")]
    pub caps: Cow<'static, [Text]>,
    /// Architectures of the host, as Go names them.
    #[serde(deserialize_with = "or_default", skip_serializing_if = "<[Text]>::is_empty")]
    pub arches: Cow<'static, [Text]>,
    /// The oldest kernel.
    #[serde(deserialize_with = "minimum", skip_serializing_if = "Option::is_none")]
    pub min_kernel: Option<Kernel>,
}

impl When {
    /// No condition.
    pub const ALWAYS: Self = Self { caps: Cow::Borrowed(&[]), arches: Cow::Borrowed(&[]), min_kernel: None };

    /// Tells whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        *self == Self::ALWAYS
    }

    /// Tells whether all that is asked for is there: what `includes` means.
    fn all(&self, facts: &Facts) -> bool {
        (self.arches.is_empty() || self.arches.iter().any(|arch| arch == NATIVE))
            && self.caps.iter().all(|name| holds(facts.caps, name))
            && self.min_kernel.is_none_or(|oldest| facts.kernel >= oldest)
    }

    /// Tells whether anything that is named is there: what `excludes` means.
    fn any(&self, facts: &Facts) -> bool {
        self.arches.iter().any(|arch| arch == NATIVE)
            || self.caps.iter().any(|name| holds(facts.caps, name))
            || self.min_kernel.is_some_and(|oldest| facts.kernel >= oldest)
    }
}

/// Tells whether the set has a capability of this name, which must be spelled in full.
fn holds(caps: CapSet, name: &str) -> bool {
    name.parse::<Cap>().is_ok_and(|cap| cap.name() == name && caps.contains(cap))
}

/// What happens to some calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rule {
    /// The calls' names.
    #[serde(default, deserialize_with = "or_default")]
    pub names: Cow<'static, [Text]>,
    /// One name, in old profiles of docker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// The answer.
    pub action: Action,
    /// The errno of the answer, or the number that a tracer gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    /// The same as a name or a decimal number, as podman writes it; it goes before `errno_ret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno: Option<Text>,
    /// What the arguments must be.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "<[Condition]>::is_empty")]
    pub args: Cow<'static, [Condition]>,
    /// What must be there for the rule to count.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "When::is_empty")]
    pub includes: When,
    /// What must not be there.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "When::is_empty")]
    pub excludes: When,
}

impl Rule {
    /// Returns the names, in whichever of the two ways they are written.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.name.iter().chain(self.names.iter()).map(AsRef::as_ref)
    }

    /// Returns the number that goes with the action, if the profile says one.
    pub(super) fn errno(&self) -> Result<Option<u32>, ProfileError> {
        number(self.errno.as_deref(), self.errno_ret)
    }

    /// Tells whether the rule counts for a container.
    fn applies(&self, facts: &Facts) -> bool {
        !self.excludes.any(facts) && self.includes.all(facts)
    }
}

/// A rule without any condition, for tables to fill in.
pub(super) const RULE: Rule = Rule {
    names: Cow::Borrowed(&[]),
    name: None,
    action: Action::Allow,
    errno_ret: None,
    errno: None,
    args: Cow::Borrowed(&[]),
    includes: When::ALWAYS,
    excludes: When::ALWAYS,
};

/// Makes a text that costs nothing.
pub(super) const fn text(text: &'static str) -> Text {
    Cow::Borrowed(text)
}

/// Returns the number that an errno's two spellings give.
fn number(name: Option<&str>, number: Option<u32>) -> Result<Option<u32>, ProfileError> {
    match name {
        None | Some("") => Ok(number),
        Some(name) => {
            let known = name.parse().ok().or_else(|| u32::try_from(errno::number(name)?).ok());
            known.map(Some).ok_or_else(|| ProfileError::Errno(name.to_owned()))
        }
    }
}

/// An architecture and those whose programs it runs too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ArchMap {
    /// The one.
    pub architecture: Text,
    /// The others.
    #[serde(default, deserialize_with = "or_default")]
    pub sub_architectures: Cow<'static, [Text]>,
}

/// Which calls are allowed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Profile {
    /// What happens to a call that no rule names.
    pub default_action: Action,
    /// The number that goes with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    /// The same as a name or a decimal number; it goes before `default_errno_ret`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno: Option<Text>,
    /// The errno of calls newer than any that the profile names: an extension of ours.
    ///
    /// A C library tries a new call and falls back on ENOSYS only, so a profile that answers EPERM to what it
    /// does not list breaks new programs. runc answers ENOSYS here to whatever profile; crun, and so this
    /// program without this field, the default action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newer_errno_ret: Option<u32>,
    /// Whose calls are known, beside the host's own.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "<[Text]>::is_empty")]
    pub architectures: Cow<'static, [Text]>,
    /// The same for every host.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "<[ArchMap]>::is_empty")]
    pub arch_map: Cow<'static, [ArchMap]>,
    /// Options of loading; where nothing is said, crun's and runc's [`Flag::SpecAllow`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<Vec<Flag>>,
    /// The socket to which the listener for [`Action::Notify`] is sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_path: Option<String>,
    /// What is sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listener_metadata: Option<String>,
    /// The rules.
    #[serde(default, deserialize_with = "or_default")]
    pub syscalls: Cow<'static, [Rule]>,
}

impl Profile {
    /// Reads a profile; an empty one, without a default action and rules, means that all is allowed.
    ///
    /// # Errors
    /// Too much of it, or no profile.
    pub fn from_json(bytes: &[u8]) -> Result<Option<Self>, ProfileError> {
        if bytes.len() as u64 > limits::SECCOMP_PROFILE {
            return Err(ProfileError::Size(bytes.len()));
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Outline<'a> {
            #[serde(borrow)]
            default_action: Option<Cow<'a, str>>,
            #[serde(default, deserialize_with = "or_default")]
            syscalls: Vec<serde::de::IgnoredAny>,
        }
        let outline: Outline<'_> = serde_json::from_slice(bytes).map_err(ProfileError::Json)?;
        if outline.default_action.is_none_or(|action| action.is_empty()) && outline.syscalls.is_empty() {
            return Ok(None);
        }
        serde_json::from_slice(bytes).map(Some).map_err(ProfileError::Json)
    }

    /// Returns the profile that a runtime gets for one container: rules that do not count for it are gone.
    ///
    /// # Errors
    /// Something said twice, an unknown errno.
    pub fn resolved(&self, facts: &Facts) -> Result<Self, ProfileError> {
        let mut syscalls = Vec::new();
        for rule in self.applicable(facts)? {
            syscalls.push(Rule {
                names: rule.names().map(|name| Text::Owned(name.to_owned())).collect(),
                name: None,
                action: rule.action,
                errno_ret: rule.errno()?,
                errno: None,
                args: rule.args.clone(),
                includes: When::ALWAYS,
                excludes: When::ALWAYS,
            });
        }
        Ok(Self {
            default_action: self.default_action,
            default_errno_ret: self.default_errno()?,
            default_errno: None,
            newer_errno_ret: self.newer_errno_ret,
            architectures: Cow::Owned(self.architectures()?.cloned().collect()),
            arch_map: Cow::Borrowed(&[]),
            flags: self.flags.clone(),
            listener_path: self.listener_path.clone(),
            listener_metadata: self.listener_metadata.clone(),
            syscalls: Cow::Owned(syscalls),
        })
    }

    /// Returns the rules that count for a container.
    pub(super) fn applicable<'a>(
        &'a self,
        facts: &'a Facts,
    ) -> Result<impl Iterator<Item = &'a Rule>, ProfileError> {
        if self.syscalls.iter().any(|rule| rule.name.is_some() && !rule.names.is_empty()) {
            return Err(ProfileError::NamesTwice);
        }
        Ok(self.syscalls.iter().filter(|rule| rule.applies(facts)))
    }

    /// Returns the architectures for this host, in whichever of the two ways they are written.
    pub(super) fn architectures(&self) -> Result<impl Iterator<Item = &Text>, ProfileError> {
        if !self.architectures.is_empty() && !self.arch_map.is_empty() {
            return Err(ProfileError::ArchitecturesTwice);
        }
        let mapped = self.arch_map.iter().find(|map| map.architecture == "SCMP_ARCH_X86_64");
        let mapped = mapped
            .into_iter()
            .flat_map(|map| std::iter::once(&map.architecture).chain(map.sub_architectures.iter()));
        Ok(self.architectures.iter().chain(mapped))
    }

    /// Returns the number that goes with the default action, if the profile says one.
    pub(super) fn default_errno(&self) -> Result<Option<u32>, ProfileError> {
        number(self.default_errno.as_deref(), self.default_errno_ret)
    }
}

#[cfg(test)]
mod tests;
