//! Linux capabilities: their names, sets of them, and what `--cap-add` and `--cap-drop` mean.
//!
//! The rules of merging are podman's (`containers/common`, package `capabilities`), its messages included,
//! since scripts match on them. What a process gets in its five sets is the plan's business, not this
//! module's.
//!
//! # References
//! capabilities(7); `linux/capability.h`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares [`Cap`] from one list, so that number, variant and name cannot drift apart.
macro_rules! capabilities {
    ($($number:literal $variant:ident $name:literal,)+) => {
        /// One Linux capability; the discriminant is the kernel's number.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        #[expect(missing_docs, reason = "capabilities(7) documents each")]
        pub enum Cap {
            $($variant = $number,)+
        }

        impl Cap {
            /// Every capability this program knows, in the kernel's order.
            pub const ALL: [Self; [$($number),+].len()] = [$(Self::$variant),+];

            /// Returns the name as the OCI specification spells it, `CAP_CHOWN`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!("CAP_", $name),)+
                }
            }
        }
    };
}

capabilities! {
    0 Chown "CHOWN",
    1 DacOverride "DAC_OVERRIDE",
    2 DacReadSearch "DAC_READ_SEARCH",
    3 Fowner "FOWNER",
    4 Fsetid "FSETID",
    5 Kill "KILL",
    6 Setgid "SETGID",
    7 Setuid "SETUID",
    8 Setpcap "SETPCAP",
    9 LinuxImmutable "LINUX_IMMUTABLE",
    10 NetBindService "NET_BIND_SERVICE",
    11 NetBroadcast "NET_BROADCAST",
    12 NetAdmin "NET_ADMIN",
    13 NetRaw "NET_RAW",
    14 IpcLock "IPC_LOCK",
    15 IpcOwner "IPC_OWNER",
    16 SysModule "SYS_MODULE",
    17 SysRawio "SYS_RAWIO",
    18 SysChroot "SYS_CHROOT",
    19 SysPtrace "SYS_PTRACE",
    20 SysPacct "SYS_PACCT",
    21 SysAdmin "SYS_ADMIN",
    22 SysBoot "SYS_BOOT",
    23 SysNice "SYS_NICE",
    24 SysResource "SYS_RESOURCE",
    25 SysTime "SYS_TIME",
    26 SysTtyConfig "SYS_TTY_CONFIG",
    27 Mknod "MKNOD",
    28 Lease "LEASE",
    29 AuditWrite "AUDIT_WRITE",
    30 AuditControl "AUDIT_CONTROL",
    31 Setfcap "SETFCAP",
    32 MacOverride "MAC_OVERRIDE",
    33 MacAdmin "MAC_ADMIN",
    34 Syslog "SYSLOG",
    35 WakeAlarm "WAKE_ALARM",
    36 BlockSuspend "BLOCK_SUSPEND",
    37 AuditRead "AUDIT_READ",
    38 Perfmon "PERFMON",
    39 Bpf "BPF",
    40 CheckpointRestore "CHECKPOINT_RESTORE",
}

/// The capabilities of a container nobody said anything about: podman's list.
pub const DEFAULT: CapSet = CapSet::of(&[
    Cap::Chown,
    Cap::DacOverride,
    Cap::Fowner,
    Cap::Fsetid,
    Cap::Kill,
    Cap::NetBindService,
    Cap::Setfcap,
    Cap::Setgid,
    Cap::Setpcap,
    Cap::Setuid,
    Cap::SysChroot,
]);

/// A capability or a combination of them cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CapError {
    /// No capability has this name.
    #[error("{name:?}: unknown capability")]
    Unknown {
        /// The name, upper case and with its prefix, as podman reports it.
        name: String,
    },
    /// The same capability was asked for and refused.
    #[error("capability \"{0}\" cannot be dropped and added")]
    Both(Cap),
    /// `--cap-add ALL --cap-drop ALL`.
    #[error("adding all caps and removing all caps not allowed")]
    AllAndNone,
}

impl Cap {
    /// Returns the kernel's number.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// Returns the capability of this number, if it is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Cap {
    type Err = CapError;

    /// Parses a name in any case, with or without `CAP_`.
    fn from_str(text: &str) -> Result<Self, CapError> {
        let bare = strip_prefix_any_case(text);
        let found = Self::ALL.iter().find(|cap| cap.name()["CAP_".len()..].eq_ignore_ascii_case(bare));
        found.copied().ok_or_else(|| CapError::Unknown { name: format!("CAP_{}", bare.to_uppercase()) })
    }
}

impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        name.parse().map_err(serde::de::Error::custom)
    }
}

/// Returns the name without a leading `CAP_` of any case.
fn strip_prefix_any_case(text: &str) -> &str {
    match text.split_at_checked("CAP_".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("CAP_") => rest,
        _ => text,
    }
}

/// A set of capabilities, bit *n* standing for the capability of number *n*.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct CapSet(u64);

impl CapSet {
    /// No capability.
    pub const EMPTY: Self = Self(0);
    /// Every capability this program knows.
    pub const ALL: Self = Self::of(&Cap::ALL);

    /// Makes a set of these.
    pub const fn of(caps: &[Cap]) -> Self {
        let mut bits = 0;
        let mut at = 0;
        while at < caps.len() {
            bits |= 1 << caps[at].number();
            at += 1;
        }
        Self(bits)
    }

    /// Makes a set of the kernel's bits, leaving out those without a name here.
    ///
    /// A kernel newer than this program has capabilities that nobody could have asked for by name.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits & Self::ALL.0)
    }

    /// Returns the bits as the kernel's `CapEff` line shows them.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Tells whether the set has none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells whether this one is in the set.
    pub const fn contains(self, cap: Cap) -> bool {
        self.0 >> cap.number() & 1 == 1
    }

    /// Returns the set with this one in it.
    pub const fn with(self, cap: Cap) -> Self {
        Self(self.0 | 1 << cap.number())
    }

    /// Returns the set without this one.
    pub const fn without(self, cap: Cap) -> Self {
        Self(self.0 & !(1 << cap.number()))
    }

    /// Returns what is in either.
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns what is in both.
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns what is in this one and not in the other.
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Lists the members in the kernel's order.
    pub fn iter(self) -> impl Iterator<Item = Cap> {
        Cap::ALL.into_iter().filter(move |&cap| self.contains(cap))
    }

    /// Lists the names in the alphabet's order, as podman's `inspect` does.
    pub fn names(self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.iter().map(Cap::name).collect();
        names.sort_unstable();
        names
    }
}

impl FromIterator<Cap> for CapSet {
    fn from_iter<I: IntoIterator<Item = Cap>>(caps: I) -> Self {
        caps.into_iter().fold(Self::EMPTY, Self::with)
    }
}

impl fmt::Debug for CapSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter().map(Cap::name)).finish()
    }
}

impl Serialize for CapSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.names())
    }
}

impl<'de> Deserialize<'de> for CapSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Cap>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// What one of the flags `--cap-add` and `--cap-drop` named in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Named {
    caps: CapSet,
    all: bool,
}

impl Named {
    /// Parses the values, each a name or `ALL` in any case.
    fn parse<S: AsRef<str>>(values: &[S]) -> Result<Self, CapError> {
        let mut named = Self::default();
        for value in values.iter().map(AsRef::as_ref) {
            if value.eq_ignore_ascii_case("ALL") {
                named.all = true;
            } else {
                named.caps = named.caps.with(value.parse()?);
            }
        }
        Ok(named)
    }
}

/// Returns what a container gets whose defaults are `base`, after `--cap-add` and `--cap-drop`.
///
/// `bounding` is the bounding set of the process that asks. `--cap-add ALL` gives all of it, and nothing
/// outside it is ever given, as that could not be raised.
///
/// # Errors
/// An unknown name, one both added and dropped, `ALL` both added and dropped.
pub fn merge<S: AsRef<str>>(
    base: CapSet,
    adds: &[S],
    drops: &[S],
    bounding: CapSet,
) -> Result<CapSet, CapError> {
    let drop = Named::parse(drops)?;
    let add = Named::parse(adds)?;
    let merged = match (add.all, drop.all) {
        (true, true) => return Err(CapError::AllAndNone),
        // Dropping all leaves what was added, whatever else was dropped by name.
        (false, true) => add.caps,
        // Adding all makes the names added beside it moot, also where they are dropped too.
        (true, false) => bounding.difference(drop.caps),
        (false, false) => {
            if let Some(cap) = add.caps.intersection(drop.caps).names().first() {
                return Err(CapError::Both(cap.parse()?));
            }
            base.difference(drop.caps).union(add.caps)
        }
    };
    Ok(merged.intersection(bounding))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(adds: &[&str], drops: &[&str]) -> Result<Vec<&'static str>, String> {
        merge(DEFAULT, adds, drops, CapSet::ALL).map(CapSet::names).map_err(|e| e.to_string())
    }

    #[test]
    fn numbers_are_the_kernels() {
        for (number, cap) in Cap::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(cap.number()), number);
            assert_eq!(Cap::from_number(cap.number()), Some(cap));
        }
        assert_eq!(Cap::from_number(41), None);
        assert_eq!(CapSet::ALL.bits(), 0x1ff_ffff_ffff);
    }

    #[test]
    fn names_agree_with_the_kernel_header() {
        let Ok(header) = std::fs::read_to_string("/usr/include/linux/capability.h") else {
            let required = std::env::var("CTR_TEST_REQUIRE").unwrap_or_default();
            assert!(!required.contains("kernel-headers"), "linux-libc-dev is required and missing");
            println!("skipped: linux-libc-dev is not installed");
            return;
        };
        let defined: Vec<(String, u8)> = header
            .lines()
            .filter_map(|line| {
                let mut words = line.strip_prefix("#define ")?.split_whitespace();
                let name = words.next().filter(|name| name.starts_with("CAP_"))?;
                Some((name.to_owned(), words.next()?.parse().ok()?))
            })
            .collect();
        assert!(defined.len() >= 38, "{defined:?}");
        for (name, number) in defined {
            let known = Cap::from_number(number).map(Cap::name);
            assert!(
                known == Some(&name) || usize::from(number) >= Cap::ALL.len(),
                "{name} {number} {known:?}"
            );
        }
    }

    #[test]
    fn names_are_read_in_any_form() {
        for form in ["CAP_NET_RAW", "NET_RAW", "net_raw", "cap_net_raw", "Cap_Net_Raw"] {
            assert_eq!(form.parse(), Ok(Cap::NetRaw), "{form}");
        }
    }

    #[test]
    fn what_is_no_capability_is_refused() {
        for (form, said) in [
            ("", "CAP_"),
            ("CAP_", "CAP_"),
            ("CAP_CAP_CHOWN", "CAP_CAP_CHOWN"),
            ("chown ", "CAP_CHOWN "),
            ("fuß", "CAP_FUSS"),
            ("ALL", "CAP_ALL"),
            ("21", "CAP_21"),
        ] {
            let error = form.parse::<Cap>().unwrap_err();
            assert_eq!(error.to_string(), format!("{said:?}: unknown capability"));
        }
    }

    #[test]
    fn default_is_podmans_list() {
        assert_eq!(
            DEFAULT.names(),
            [
                "CAP_CHOWN",
                "CAP_DAC_OVERRIDE",
                "CAP_FOWNER",
                "CAP_FSETID",
                "CAP_KILL",
                "CAP_NET_BIND_SERVICE",
                "CAP_SETFCAP",
                "CAP_SETGID",
                "CAP_SETPCAP",
                "CAP_SETUID",
                "CAP_SYS_CHROOT",
            ]
        );
        assert_eq!(DEFAULT.bits(), 0x8004_05fb);
    }

    #[test]
    fn merging_follows_podman() {
        let default = DEFAULT.names();
        assert_eq!(merged(&[], &[]), Ok(default.clone()));
        assert_eq!(merged(&["chown"], &[]), Ok(default), "what is there already changes nothing");
        assert_eq!(merged(&["net_raw"], &["all"]), Ok(vec!["CAP_NET_RAW"]));
        assert_eq!(merged(&["net_raw"], &["all", "net_raw"]), Ok(vec!["CAP_NET_RAW"]));
        assert_eq!(merged(&[], &["all"]), Ok(vec![]));
        assert_eq!(merged(&["all"], &[]), Ok(CapSet::ALL.names()));
        assert_eq!(
            merged(&["ALL", "sys_admin"], &["sys_admin"]),
            Ok(CapSet::ALL.without(Cap::SysAdmin).names())
        );
        assert_eq!(merged(&["sys_admin"], &["chown"]).map(|caps| caps.len()), Ok(DEFAULT.iter().count()));
    }

    #[test]
    fn contradictions_are_podmans_errors() {
        assert_eq!(
            merged(&["all"], &["ALL"]),
            Err("adding all caps and removing all caps not allowed".into())
        );
        assert_eq!(
            merged(&["net_raw", "kill"], &["net_raw", "kill"]),
            Err("capability \"CAP_KILL\" cannot be dropped and added".into())
        );
        assert_eq!(merged(&["bogus"], &[]), Err("\"CAP_BOGUS\": unknown capability".into()));
        assert_eq!(merged(&["all"], &["bogus"]), Err("\"CAP_BOGUS\": unknown capability".into()));
    }

    #[test]
    fn nothing_is_given_that_the_caller_lacks() {
        let bounding = CapSet::of(&[Cap::Chown, Cap::Kill, Cap::SysAdmin]);
        let all = merge(DEFAULT, &["all"], &["kill"], bounding).unwrap();
        assert_eq!(all.names(), ["CAP_CHOWN", "CAP_SYS_ADMIN"]);
        assert_eq!(merge::<&str>(DEFAULT, &[], &[], bounding).unwrap().names(), ["CAP_CHOWN", "CAP_KILL"]);
    }

    #[test]
    fn sets_travel_as_names() {
        let set = CapSet::of(&[Cap::SysAdmin, Cap::Chown]);
        let json = serde_json::to_string(&set).unwrap();
        assert_eq!(json, r#"["CAP_CHOWN","CAP_SYS_ADMIN"]"#);
        assert_eq!(serde_json::from_str::<CapSet>(&json).unwrap(), set);
        assert!(serde_json::from_str::<CapSet>(r#"["CAP_NONE"]"#).is_err());
        assert_eq!(CapSet::from_bits(u64::MAX), CapSet::ALL);
    }
}
