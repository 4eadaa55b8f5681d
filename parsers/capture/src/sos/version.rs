//! Versions of sos.
use crate::tree::Tree;

/// Major and minor.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Version(u32, u32);

impl Version {
    /// Reads `4.12.0`, `3.9`, `4.2`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split(['.', '-', '+', '~']);
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().and_then(|part| part.parse().ok()).unwrap_or(0);
        Some(Self(major, minor))
    }

    /// Whether it is in this range, both ends included.
    pub(super) fn between(self, low: (u32, u32), high: (u32, u32)) -> bool {
        Self(low.0, low.1) <= self && self <= Self(high.0, high.1)
    }

    /// Whether it is not older.
    pub(super) fn at_least(self, low: (u32, u32)) -> bool {
        Self(low.0, low.1) <= self
    }
}

/// The version in `version.txt`: `sosreport: 4.2` up to 4.7, `sos report: 4.8.0` later.
pub(super) fn of_file(tree: &Tree, root: &str) -> Option<String> {
    let bytes = tree.bytes(&tree.resolve(&format!("{root}version.txt"))?)?;
    let text = String::from_utf8_lossy(&bytes);
    let (what, version) = text.lines().next()?.split_once(':')?;
    let version = version.trim();
    (what.starts_with("sos") && Version::parse(version).is_some()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_compare_by_number() {
        let of = |text| Version::parse(text).unwrap();
        assert!(of("4.12.0").at_least((4, 4)));
        assert!(!of("4.3").at_least((4, 4)));
        assert!(of("3.9.1").between((3, 5), (3, 9)));
        assert!(!of("3.10").between((3, 5), (3, 9)));
        assert_eq!(Version::parse("x"), None);
    }
}
