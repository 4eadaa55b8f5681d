//! Conditions and targets of packet filters, in one form for `iptables` and `nft`.
//!
//! The words of both tools say the same things of a packet; what they say is here, how they say it
//! is a matter of their readers. Whatever a reader does not understand is kept as `Unknown`: a
//! packet may meet it or not.
mod frame;

use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use super::route::Family;
use crate::Name;

pub use frame::{ArpTest, FrameTest, MaskedMac};

/// One condition of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Condition {
    /// It is met where the test is not.
    pub not: bool,
    /// The test.
    pub test: Test,
}

/// What a packet is tested for. Lists are met by any of their members.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Test {
    /// It came in by one of these devices.
    InDevice(Vec<DeviceName>),
    /// It goes out by one of these devices.
    OutDevice(Vec<DeviceName>),
    /// It came in by this port of a bridge.
    InPort(DeviceName),
    /// It goes out by this port of a bridge.
    OutPort(DeviceName),
    /// It came in by any port of a bridge.
    FromBridgePort,
    /// It goes out by any port of a bridge.
    ToBridgePort,
    /// A bridge passes it on from port to port.
    Bridged,
    /// It is of this family.
    Family(Family),
    /// Its source is one of these.
    Source(Vec<Addresses>),
    /// Its destination is one of these.
    Destination(Vec<Addresses>),
    /// Its protocol is one of these numbers.
    Protocol(Vec<u8>),
    /// Its source port is one of these.
    SourcePort(Vec<RangeInclusive<u16>>),
    /// Its destination port is one of these.
    DestinationPort(Vec<RangeInclusive<u16>>),
    /// One of its ports is one of these.
    EitherPort(Vec<RangeInclusive<u16>>),
    /// Its type of ICMP is one of these, and its code.
    Icmp {
        /// Types.
        kinds: Vec<u8>,
        /// Codes; `None` is any.
        codes: Option<RangeInclusive<u8>>,
    },
    /// Of these flags of TCP, exactly some are set.
    TcpFlags {
        /// Which are looked at.
        mask: u8,
        /// Which have to be set.
        set: u8,
    },
    /// It is a fragment, and not the first.
    Fragment,
    /// The state of its connection is one of these.
    Connection(ConnStates),
    /// It answers what opened its connection, or does not.
    Answer(bool),
    /// The first packet of its connection came in for one of these addresses.
    FirstDestination(Vec<Addresses>),
    /// The first packet of its connection came in for one of these ports.
    FirstPort(Vec<RangeInclusive<u16>>),
    /// These bits of its mark have this value.
    Mark(Masked),
    /// These bits of the mark of its connection have this value.
    ConnMark(Masked),
    /// The MAC that it came from.
    MacSource(Vec<MaskedMac>),
    /// What a filter of frames sees beside the packet in a frame.
    Frame(FrameTest),
    /// The host has its source, or its destination, for an address of one of these types.
    AddressType {
        /// The source, not the destination.
        source: bool,
        /// `LOCAL`, `BROADCAST`, …
        types: Vec<Name>,
    },
    /// A set that the kernel keeps has it (`-m set`).
    Set {
        /// The set.
        name: Name,
        /// What is looked up in it, one for each part of its entries: the source, else the
        /// destination.
        by_source: Vec<bool>,
    },
    /// It says nothing about the packet: a comment.
    Aside(Name),
    /// Met by some of many packets: statistics.
    Rate(Name),
    /// How many there may be, in a time or at once.
    Limit {
        /// As printed.
        text: Name,
        /// It is met once there are more, not as long as there are fewer.
        over: bool,
    },
    /// Its lifetime (TTL, hop limit) is one of these.
    Lifetime(Vec<RangeInclusive<u8>>),
    /// These bits of its type of service have one of these values.
    Service(Vec<Masked>),
    /// It is sent to one, to all or to a group: `unicast`, `broadcast`, `multicast`.
    PacketType(Vec<Name>),
    /// It has such options, or such a header between those of IP and of its protocol.
    Extension(Name),
    /// All tests of one of these lists are met: keys that nft looks up together.
    AnyOf(Vec<Vec<Test>>),
    /// Not understood.
    Unknown(Name),
}

/// The name of a device, or the start of one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceName {
    /// The name without the `+` or `*`.
    pub name: Name,
    /// Any that begins so.
    pub prefix: bool,
}

impl DeviceName {
    /// Reads a name, which may end in `wildcard`.
    pub fn of(shown: &str, wildcard: char) -> Self {
        match shown.strip_suffix(wildcard) {
            Some(start) => Self { name: start.into(), prefix: true },
            None => Self { name: shown.into(), prefix: false },
        }
    }

    /// Whether `device` is meant.
    pub fn fits(&self, device: &str) -> bool {
        if self.prefix { device.starts_with(self.name.as_str()) } else { device == self.name }
    }
}

/// Some addresses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Addresses {
    /// A subnet, or one address.
    Net(IpNet),
    /// Those from one to another.
    Range(IpAddr, IpAddr),
}

impl Addresses {
    /// Whether `address` is one of them.
    pub fn contain(&self, address: IpAddr) -> bool {
        match self {
            Self::Net(net) => net.contains(&address),
            Self::Range(first, last) => {
                first.is_ipv4() == address.is_ipv4() && (*first..=*last).contains(&address)
            }
        }
    }

    /// The one address, where there is but one.
    pub fn single(&self) -> Option<IpAddr> {
        match self {
            Self::Net(net) => (net.prefix_len() == net.max_prefix_len()).then(|| net.addr()),
            Self::Range(first, last) => (first == last).then_some(*first),
        }
    }
}

/// Bits that have a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Masked {
    /// The value.
    pub value: u32,
    /// Which bits count.
    pub mask: u32,
}

/// States of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnStates(u8);

impl ConnStates {
    /// The first packet of a connection.
    pub const NEW: Self = Self(1);
    /// Packets were seen in both directions.
    pub const ESTABLISHED: Self = Self(2);
    /// It belongs to another connection.
    pub const RELATED: Self = Self(4);
    /// It is of no connection that can be.
    pub const INVALID: Self = Self(8);
    /// Its connection is not looked up.
    pub const UNTRACKED: Self = Self(16);
    /// The source of the connection is translated.
    pub const SNAT: Self = Self(32);
    /// The destination of the connection is translated.
    pub const DNAT: Self = Self(64);

    const NAMES: [(&'static str, Self); 7] = [
        ("NEW", Self::NEW),
        ("ESTABLISHED", Self::ESTABLISHED),
        ("RELATED", Self::RELATED),
        ("INVALID", Self::INVALID),
        ("UNTRACKED", Self::UNTRACKED),
        ("SNAT", Self::SNAT),
        ("DNAT", Self::DNAT),
    ];

    /// Reads `RELATED,ESTABLISHED`, in any case.
    pub fn of(shown: &str) -> Option<Self> {
        let mut all = Self::default();
        for word in shown.split(',') {
            let word = word.trim();
            let found = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(word))?;
            all.0 |= found.1.0;
        }
        Some(all)
    }

    /// Both together.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether one of `others` is among them.
    pub fn any_of(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Whether all of `others` are among them.
    pub fn all_of(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }
}

impl fmt::Debug for ConnStates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMES.iter().filter(|(_, state)| self.any_of(*state));
        f.debug_set().entries(names.map(|(name, _)| name)).finish()
    }
}

/// What becomes of a packet that meets all conditions of a rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Target {
    /// It passes.
    Accept,
    /// It is thrown away.
    Drop,
    /// It is thrown away, and its sender is told.
    Reject,
    /// Back to the chain before.
    Return,
    /// Through another chain, and on with the next rule if that one decides nothing.
    Jump(Name),
    /// Through another chain, and back to the chain before this one.
    Goto(Name),
    /// Its destination is changed.
    Dnat(Translation),
    /// Its source is changed.
    Snat(Translation),
    /// Its source becomes the address of the device that it goes out by.
    Masquerade,
    /// Its destination becomes the host itself.
    Redirect(Option<RangeInclusive<u16>>),
    /// The net of its source or destination is changed, the rest stays.
    Netmap(Option<IpNet>),
    /// Its mark is changed.
    Mark(Change),
    /// The mark of its connection is changed.
    ConnMark(Change),
    /// Its connection is not looked up.
    NoTrack,
    /// Its connection is looked up in this zone.
    CtZone(u16),
    /// The packet stays as it is and goes on: counted, logged, its checksum filled in.
    Aside,
    /// Not understood: it may pass, stop, or be changed.
    Unknown(Name),
}

/// New addresses and ports, as printed where they are not one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translation {
    /// As printed.
    pub text: Name,
    /// The address, where it is one.
    pub address: Option<IpAddr>,
    /// The ports.
    pub ports: Option<RangeInclusive<u16>>,
}

impl Translation {
    /// Reads `192.0.2.1`, `192.0.2.1:80`, `[2001:db8::1]:80-90`, `192.0.2.1-192.0.2.9`.
    pub fn of(shown: &str) -> Self {
        let (address, ports) = match shown.strip_prefix('[').and_then(|it| it.split_once(']')) {
            Some((address, rest)) => (address, rest.strip_prefix(':')),
            None => match shown.split_once(':') {
                Some((address, ports)) if !ports.contains(':') => (address, Some(ports)),
                _ => (shown, None),
            },
        };
        Self {
            text: shown.into(),
            address: address.parse().ok(),
            ports: ports.and_then(|ports| port_range(ports, '-')),
        }
    }
}

/// Reads `80` or `80-90`, with the joint that the tool uses.
pub fn port_range(shown: &str, joint: char) -> Option<RangeInclusive<u16>> {
    let (first, last) = shown.split_once(joint).unwrap_or((shown, shown));
    // An open end is the lowest or the highest port.
    let first = if first.is_empty() { 0 } else { first.parse().ok()? };
    let last = if last.is_empty() { u16::MAX } else { last.parse().ok()? };
    (!shown.is_empty()).then_some(first..=last)
}

/// How a mark is changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// Some bits are cleared, then some flipped: what every way to set a mark comes to.
    Set {
        /// The bits that are cleared.
        clear: u32,
        /// The bits that are then flipped.
        flip: u32,
    },
    /// From the packet to its connection, or back.
    Copy {
        /// From the packet.
        save: bool,
        /// Which bits.
        mask: u32,
    },
    /// Not understood.
    Unknown,
}

impl Change {
    /// The mark after it, where it depends on the mark alone.
    pub fn of(self, mark: u32) -> Option<u32> {
        match self {
            Self::Set { clear, flip } => Some((mark & !clear) ^ flip),
            Self::Copy { .. } | Self::Unknown => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_may_be_meant_by_their_start() {
        let tap = DeviceName::of("tap+", '+');
        assert!(tap.fits("tap0") && tap.fits("tap") && !tap.fits("vnet0"));
        let lo = DeviceName::of("lo", '+');
        assert!(lo.fits("lo") && !lo.fits("lo0"));
        assert!(DeviceName::of("+", '+').fits("anything"));
    }

    #[test]
    fn states_are_sets() {
        let known = ConnStates::of("RELATED,established").unwrap();
        assert!(known.any_of(ConnStates::ESTABLISHED) && !known.any_of(ConnStates::NEW));
        assert!(known.all_of(ConnStates::RELATED));
        assert_eq!(ConnStates::of("ODD"), None);
        assert_eq!(format!("{known:?}"), r#"{"ESTABLISHED", "RELATED"}"#);
    }

    #[test]
    fn translations_name_an_address_and_ports() {
        let of = |shown| {
            let read = Translation::of(shown);
            (read.address.map(|address| address.to_string()), read.ports)
        };
        assert_eq!(of("192.0.2.1"), (Some("192.0.2.1".into()), None));
        assert_eq!(of("192.0.2.1:80"), (Some("192.0.2.1".into()), Some(80..=80)));
        assert_eq!(of("[2001:db8::1]:80-90"), (Some("2001:db8::1".into()), Some(80..=90)));
        assert_eq!(of("2001:db8::1"), (Some("2001:db8::1".into()), None));
        assert_eq!(of("192.0.2.1-192.0.2.9"), (None, None));
    }

    #[test]
    fn ranges_and_marks() {
        assert_eq!(port_range("80:90", ':'), Some(80..=90));
        assert_eq!(port_range(":90", ':'), Some(0..=90));
        assert_eq!(port_range("x", ':'), None);
        assert_eq!(port_range("", ':'), None);
        let net: IpNet = "192.0.2.0/24".parse().unwrap();
        assert!(Addresses::Net(net).contain("192.0.2.7".parse().unwrap()));
        let range = Addresses::Range("192.0.2.1".parse().unwrap(), "192.0.2.9".parse().unwrap());
        assert!(range.contain("192.0.2.9".parse().unwrap()));
        assert!(!range.contain("192.0.2.10".parse().unwrap()) && range.single().is_none());
        assert_eq!(Change::Set { clear: 0xf, flip: 0x1 }.of(0xff), Some(0xf1));
    }
}
