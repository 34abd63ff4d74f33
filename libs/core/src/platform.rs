//! The platform of an image: operating system, architecture, variant.

use std::fmt;

use serde::{Deserialize, Serialize};

/// An operating system, an architecture and possibly a variant of it, in Go's names.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `v7` of `arm`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A text is no platform.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid platform {text:?}: expected OS[/ARCH[/VARIANT]]")]
pub struct PlatformError {
    /// What was typed.
    pub text: String,
}

impl Platform {
    /// The platform that this program runs on.
    #[must_use]
    pub fn host() -> Self {
        Self::new("linux", std::env::consts::ARCH, None)
    }

    /// Builds a platform from parts, in the normal spelling of each.
    #[must_use]
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Self {
        let architecture = architecture.to_ascii_lowercase();
        let (architecture, implied) = match architecture.as_str() {
            "x86_64" | "x86-64" => ("amd64", None),
            "aarch64" => ("arm64", None),
            "i386" | "i486" | "i586" | "i686" | "x86" => ("386", None),
            "armhf" => ("arm", Some("v7")),
            "armel" => ("arm", Some("v6")),
            "powerpc64le" => ("ppc64le", None),
            "loongarch64" => ("loong64", None),
            other => (other, None),
        };
        let variant = variant.filter(|variant| !variant.is_empty()).or(implied);
        let variant = match (architecture, variant) {
            // Both spellings of the base variants are common; the short one is the normal one.
            ("arm64", Some("8" | "v8")) | ("amd64", Some("v1")) => None,
            ("arm", Some("5" | "6" | "7" | "8")) => variant.map(|digit| format!("v{digit}")),
            (_, variant) => variant.map(str::to_owned),
        };
        Self { os: os.to_ascii_lowercase(), architecture: architecture.to_owned(), variant }
    }

    /// Reads `OS/ARCH[/VARIANT]`, or an operating system alone, which means this machine's architecture.
    pub fn parse(text: &str) -> Result<Self, PlatformError> {
        let parts: Vec<_> = text.split('/').collect();
        let word = |part: &&str| {
            !part.is_empty()
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
        };
        if !parts.iter().all(word) {
            return Err(PlatformError { text: text.to_owned() });
        }
        match parts[..] {
            [os] => Ok(Self { os: os.to_ascii_lowercase(), ..Self::host() }),
            [os, architecture] => Ok(Self::new(os, architecture, None)),
            [os, architecture, variant] => Ok(Self::new(os, architecture, Some(variant))),
            _ => Err(PlatformError { text: text.to_owned() }),
        }
    }

    /// Returns whether an image of platform `image` is what was wanted; a want without a variant takes any.
    #[must_use]
    pub fn accepts(&self, image: &Self) -> bool {
        let image = Self::new(&image.os, &image.architecture, image.variant.as_deref());
        self.os == image.os
            && self.architecture == image.architecture
            && (self.variant.is_none() || self.variant == image.variant)
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |variant| write!(f, "/{variant}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_have_one_form() {
        for (typed, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm/7", "linux/arm/v7"),
            ("linux/armhf", "linux/arm/v7"),
        ] {
            assert_eq!(Platform::parse(typed).unwrap().to_string(), normal);
        }
        for bad in ["", "/", "linux/", "a/b/c/d", "linux/am d64", "linux/\u{1b}"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_want_without_variant_takes_any() {
        let arm = Platform::parse("linux/arm").unwrap();
        let v7 = Platform::parse("linux/arm/v7").unwrap();
        assert!(arm.accepts(&v7));
        assert!(!v7.accepts(&arm));
        assert!(v7.accepts(&v7));
        assert!(!v7.accepts(&Platform::host()));
    }
}
