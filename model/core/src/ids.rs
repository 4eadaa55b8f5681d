//! Small identities that tools print: MAC addresses, interface indexes, UUIDs, namespaces.
use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::Name;

/// Kernel interface index. Unique within one network namespace only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct IfIndex(pub u32);

impl fmt::Display for IfIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A 48-bit Ethernet address. Prints in lower case with colons.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

impl Mac {
    /// Whether the five last octets agree: libvirt gives a tap the MAC of its guest with the
    /// first octet replaced by `fe` (`virnetdevtap.c`).
    pub fn same_but_first_octet(self, other: Self) -> bool {
        let ([_, mine @ ..], [_, theirs @ ..]) = (self.0, other.0);
        mine == theirs
    }

    /// Group bit: broadcast or multicast.
    pub fn is_multicast(self) -> bool {
        let [first, ..] = self.0;
        first & 1 == 1
    }

    /// All zeros: no address.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A trace prints thousands: its digits are put together without the machinery of `{:02x}`.
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |number: u8| DIGITS.get(usize::from(number)).copied().unwrap_or(b'0');
        let mut shown = [b':'; 17];
        for (part, octet) in shown.chunks_mut(3).zip(self.0) {
            if let [high, low, ..] = part {
                (*high, *low) = (digit(octet >> 4), digit(octet & 0xf));
            }
        }
        f.write_str(std::str::from_utf8(&shown).unwrap_or_default())
    }
}
impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not six hexadecimal octets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotAMac;

impl fmt::Display for NotAMac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a MAC address")
    }
}
impl std::error::Error for NotAMac {}

impl Mac {
    /// Reads six pairs of digits, which nearly all texts with a MAC have: they hold them by the
    /// hundred thousand.
    fn of_pairs(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|it| u8::try_from(it).ok());
        let (first, rest) = text.split_first_chunk::<2>()?;
        let (parts, []) = rest.as_chunks::<3>() else { return None };
        let parts: &[[u8; 3]; 5] = parts.try_into().ok()?;
        let mut octets = [0; 6];
        let [to_first, to_rest @ ..] = &mut octets;
        *to_first = digit(first[0])? << 4 | digit(first[1])?;
        for (to, [sign, high, low]) in to_rest.iter_mut().zip(parts) {
            if !matches!(sign, b':' | b'-') {
                return None;
            }
            *to = digit(*high)? << 4 | digit(*low)?;
        }
        Some(Self(octets))
    }
}

impl FromStr for Mac {
    type Err = NotAMac;

    /// Octets of one or two hex digits between colons or hyphens (brctl and the bridge details of
    /// `ip -d link` print `0:16:3e:…`).
    fn from_str(text: &str) -> Result<Self, NotAMac> {
        if let Some(mac) = Self::of_pairs(text.as_bytes()) {
            return Ok(mac);
        }
        let mut octets = [0; 6];
        let mut parts = text.split([':', '-']);
        for octet in &mut octets {
            let part = parts.next().ok_or(NotAMac)?;
            let hex = part.len() <= 2 && part.bytes().all(|b| b.is_ascii_hexdigit());
            if !hex {
                return Err(NotAMac);
            }
            *octet = u8::from_str_radix(part, 16).map_err(|_| NotAMac)?;
        }
        if parts.next().is_some() { Err(NotAMac) } else { Ok(Self(octets)) }
    }
}

impl Serialize for Mac {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// A network namespace of one host, by the name under which it was captured.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Netns {
    /// The namespace that init runs in: commands without `ip netns exec`.
    #[default]
    Root,
    /// A name under `/run/netns`.
    Named(Name),
    /// No name: a container's namespace, known by the id that another namespace gave it.
    Nameless {
        /// `link-netnsid` as printed from the root namespace.
        nsid: u32,
    },
}

impl Netns {
    /// The name of a named namespace.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Named(name) => Some(name),
            Self::Root | Self::Nameless { .. } => None,
        }
    }

    /// The words in front of a command that run it in here.
    ///
    /// A container's namespace has no name under `/run/netns`: it is entered as the captured
    /// command did, which wrote down `docker:web` or `pid:4711`.
    pub fn enter(&self) -> Vec<&str> {
        let name = match self {
            Self::Root => return Vec::new(),
            // Whoever pastes it has to find a process of the namespace first.
            Self::Nameless { .. } => return vec!["nsenter", "--net", "--target", "PID"],
            Self::Named(name) => name.as_str(),
        };
        match name.split_once(':') {
            Some(("pid", pid)) if pid.bytes().all(|b| b.is_ascii_alphanumeric()) => {
                vec!["nsenter", "--net", "--target", pid]
            }
            Some((tool @ ("docker" | "podman" | "nerdctl" | "crictl"), container)) => {
                vec![tool, "exec", container]
            }
            Some((tool @ ("lxc" | "incus" | "pct"), container)) => {
                vec![tool, "exec", container, "--"]
            }
            _ => vec!["ip", "netns", "exec", name],
        }
    }

    /// Whether it has a name that `ip netns` knows.
    pub fn is_kept_by_ip(&self) -> bool {
        matches!(self.enter().as_slice(), ["ip", ..])
    }

    /// Whether this is the root namespace.
    pub fn is_root(&self) -> bool {
        matches!(self, Self::Root)
    }
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Named(name) => f.write_str(name),
            Self::Nameless { nsid } => write!(f, "nsid:{nsid}"),
        }
    }
}

impl Serialize for Netns {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Whether the name follows a naming scheme of NICs: `eth0`, `eno1`, `enp4s0f1`, `em1`, `p2p1`,
/// `ib0`, `wlan0`.
pub fn is_nic(name: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let after = |prefix: &str| name.strip_prefix(prefix).is_some_and(digits);
    if after("eth") || after("em") || after("ib") || after("wlan") {
        return true;
    }
    // systemd.net-naming-scheme(7): en, ib, sl, wl, ww and o, s, p, P, x, d.
    for prefix in ["en", "wl", "ww", "ib"] {
        if let Some(rest) = name.strip_prefix(prefix) {
            let mut bytes = rest.bytes();
            let scheme = matches!(bytes.next(), Some(b'o' | b's' | b'p' | b'P' | b'x' | b'd'));
            if scheme && bytes.next().is_some_and(|b| b.is_ascii_hexdigit()) && !name.contains('.')
            {
                return true;
            }
        }
    }
    // biosdevname: p2p1, p3p1_0.
    name.strip_prefix('p').and_then(|rest| rest.split_once('p')).is_some_and(|(slot, port)| {
        digits(slot) && digits(port.split('_').next().unwrap_or_default())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_reads_short_octets_and_refuses_the_rest() {
        let mac: Mac = "0:16:3e:19:CE:1b".parse().unwrap();
        assert_eq!(mac.to_string(), "00:16:3e:19:ce:1b");
        for bad in ["", "00:16:3e:19:ce", "00:16:3e:19:ce:1b:00", "00:16:3e:19:ce:+1", "0016.3e19"]
        {
            assert_eq!(bad.parse::<Mac>(), Err(NotAMac), "{bad}");
        }
    }
}
