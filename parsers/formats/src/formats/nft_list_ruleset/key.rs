//! The left sides of comparisons: what of a packet is looked at.
use tapline_core::Name;
use tapline_core::records::filter::{
    Addresses, ArpTest, ConnStates, DeviceName, FrameTest, Masked, MaskedMac, Test, port_range,
};
use tapline_core::records::route::Family;

use crate::formats::netfilter::{direction, dscp, icmp, integer, network, port, protocol, range};

/// Gives the members of a set of the table, as printed; `None` where they are not known.
pub(super) type Sets<'s> = dyn Fn(&str) -> Option<&'s [Name]> + 's;

/// What of a packet is looked at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Key {
    InDevice,
    OutDevice,
    Family,
    Source(Family),
    Destination(Family),
    Protocol(Option<Family>),
    /// A port: of the source, and the protocol that the key names.
    Port {
        source: bool,
        protocol: Option<u8>,
    },
    Icmp {
        six: bool,
    },
    Direction,
    State,
    Status,
    Mark,
    ConnMark,
    MacSource,
    MacDestination,
    /// The EtherType behind the addresses, or what is below a tag.
    EtherType {
        below: bool,
    },
    Vlan,
    Arp(ArpKey),
    AddressType {
        source: bool,
    },
    Lifetime(Family),
    Dscp(Family),
    PacketType,
    /// A header between those of IPv6 and of its protocol, or an option, and what stands in it.
    Extension(&'static str),
}

/// What of ARP is looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ArpKey {
    Operation,
    Hardware,
    Network,
    Address { source: bool },
    Mac { source: bool },
}

impl Key {
    /// A key of one word.
    pub(super) fn of(word: &str) -> Option<Self> {
        Some(match word {
            "iif" | "iifname" => Self::InDevice,
            "oif" | "oifname" => Self::OutDevice,
            "mark" => Self::Mark,
            "l4proto" => Self::Protocol(None),
            "nfproto" => Self::Family,
            "pkttype" => Self::PacketType,
            "protocol" => Self::EtherType { below: true },
            _ => return None,
        })
    }

    /// A key, the first word of which was read.
    pub(super) fn read<'a>(word: &str, mut next: impl FnMut() -> Option<&'a str>) -> Option<Self> {
        if let Some(key) = Self::of(word) {
            return Some(key);
        }
        let second = next()?;
        let source = second == "saddr" || second == "sport";
        Some(match (word, second) {
            ("meta", _) => return Self::of(second),
            ("ip", "saddr") => Self::Source(Family::Inet),
            ("ip", "daddr") => Self::Destination(Family::Inet),
            ("ip6", "saddr") => Self::Source(Family::Inet6),
            ("ip6", "daddr") => Self::Destination(Family::Inet6),
            ("ip", "protocol") => Self::Protocol(Some(Family::Inet)),
            ("ip6", "nexthdr") => Self::Protocol(Some(Family::Inet6)),
            ("tcp" | "udp" | "sctp" | "dccp" | "udplite", "sport" | "dport") => {
                Self::Port { source, protocol: protocol(word) }
            }
            ("th", "sport" | "dport") => Self::Port { source, protocol: None },
            ("icmp", "type") => Self::Icmp { six: false },
            ("icmpv6", "type") => Self::Icmp { six: true },
            ("ct", "state") => Self::State,
            ("ct", "status") => Self::Status,
            ("ct", "direction") => Self::Direction,
            ("ct", "mark") => Self::ConnMark,
            ("ether", "saddr") => Self::MacSource,
            ("ether", "daddr") => Self::MacDestination,
            ("ether", "type") => Self::EtherType { below: false },
            ("vlan", "id") => Self::Vlan,
            ("arp", "operation") => Self::Arp(ArpKey::Operation),
            ("arp", "htype") => Self::Arp(ArpKey::Hardware),
            ("arp", "ptype") => Self::Arp(ArpKey::Network),
            ("arp", "saddr" | "daddr") => match next()? {
                "ip" => Self::Arp(ArpKey::Address { source }),
                "ether" => Self::Arp(ArpKey::Mac { source }),
                _ => return None,
            },
            ("ip", "ttl") => Self::Lifetime(Family::Inet),
            ("ip6", "hoplimit") => Self::Lifetime(Family::Inet6),
            ("ip", "dscp") => Self::Dscp(Family::Inet),
            ("ip6", "dscp") => Self::Dscp(Family::Inet6),
            ("rt", "type" | "seg-left" | "hdrlength" | "nexthdr") => Self::Extension("rt"),
            ("frag", "id" | "frag-off" | "more-fragments" | "nexthdr") => Self::Extension("frag"),
            ("fib", "saddr" | "daddr") => {
                (next()? == "type").then_some(())?;
                Self::AddressType { source }
            }
            _ => return None,
        })
    }

    /// What a packet has to be for the key to be there at all.
    pub(super) fn implies(&self) -> Vec<Test> {
        match self {
            Self::Source(family)
            | Self::Destination(family)
            | Self::Lifetime(family)
            | Self::Dscp(family)
            | Self::Protocol(Some(family)) => {
                vec![Test::Family(*family)]
            }
            Self::Port { protocol: Some(protocol), .. } => vec![Test::Protocol(vec![*protocol])],
            Self::Icmp { six: false } => vec![Test::Family(Family::Inet), Test::Protocol(vec![1])],
            Self::Icmp { six: true } => vec![Test::Family(Family::Inet6), Test::Protocol(vec![58])],
            Self::Arp(_) => vec![Test::Frame(FrameTest::Protocol(vec![0x0806]))],
            Self::Vlan => vec![Test::Frame(FrameTest::EtherType(vec![0x8100]))],
            _ => Vec::new(),
        }
    }

    /// The test that one of `values` makes; whatever is not understood makes it unknown.
    pub(super) fn test(&self, values: &[&str], mask: Option<u32>) -> Test {
        self.known(values, mask)
            .unwrap_or_else(|| Test::Unknown(format!("{self:?} {}", values.join(", ")).into()))
    }

    fn known(&self, values: &[&str], mask: Option<u32>) -> Option<Test> {
        if mask.is_some() && !matches!(self, Self::Mark | Self::ConnMark) {
            return None;
        }
        Some(match self {
            Self::InDevice => Test::InDevice(devices(values)),
            Self::OutDevice => Test::OutDevice(devices(values)),
            Self::Family => match values {
                ["ipv4" | "2"] => Test::Family(Family::Inet),
                ["ipv6" | "10"] => Test::Family(Family::Inet6),
                _ => return None,
            },
            Self::Source(_) => Test::Source(all(values, addresses)?),
            Self::Destination(_) => Test::Destination(all(values, addresses)?),
            Self::Protocol(_) => Test::Protocol(all(values, protocol)?),
            Self::Port { source, .. } => {
                let ports = all(values, |shown| match port(shown) {
                    Some(port) => Some(port..=port),
                    None => port_range(shown, '-'),
                })?;
                if *source { Test::SourcePort(ports) } else { Test::DestinationPort(ports) }
            }
            Self::Icmp { six } => {
                let mut kinds = Vec::new();
                for value in values {
                    let Test::Icmp { kinds: more, codes: None } = icmp(*six, value)? else {
                        return None;
                    };
                    kinds.extend(more);
                }
                Test::Icmp { kinds, codes: None }
            }
            Self::Direction => match values {
                [one] => Test::Answer(direction(one)?),
                _ => return None,
            },
            Self::State | Self::Status => Test::Connection(ConnStates::of(&values.join(","))?),
            Self::Mark => Test::Mark(marked(values, mask)?),
            Self::ConnMark => Test::ConnMark(marked(values, mask)?),
            Self::Lifetime(_) => Test::Lifetime(all(values, |shown| {
                let (first, last) = shown.split_once('-').unwrap_or((shown, shown));
                Some(first.parse().ok()?..=last.parse().ok()?)
            })?),
            Self::Dscp(_) => Test::Service(all(values, dscp)?),
            Self::PacketType => {
                Test::PacketType(values.iter().map(|shown| Name::from(*shown)).collect())
            }
            Self::Extension(name) => Test::Extension((*name).into()),
            Self::MacSource => Test::MacSource(all(values, mac)?),
            Self::MacDestination => Test::Frame(FrameTest::MacDestination(all(values, mac)?)),
            Self::EtherType { below } => {
                let types = all(values, ether_type)?;
                Test::Frame(match below {
                    true => FrameTest::Protocol(types),
                    false => FrameTest::EtherType(types),
                })
            }
            Self::Vlan => {
                Test::Frame(FrameTest::Vlan(all(values, |shown| port_range(shown, '-'))?))
            }
            Self::Arp(key) => Test::Frame(FrameTest::Arp(key.test(values)?)),
            Self::AddressType { source } => Test::AddressType {
                source: *source,
                types: values.iter().map(|shown| shown.to_ascii_uppercase().into()).collect(),
            },
        })
    }
}

impl ArpKey {
    fn test(self, values: &[&str]) -> Option<ArpTest> {
        Some(match self {
            Self::Operation => ArpTest::Operation(all(values, operation)?),
            Self::Hardware => match values {
                ["ether"] => ArpTest::Hardware(1),
                [one] => ArpTest::Hardware(u16::try_from(integer(one)?).ok()?),
                _ => return None,
            },
            Self::Network => match values {
                [one] => ArpTest::Network(ether_type(one)?),
                _ => return None,
            },
            Self::Address { source: true } => ArpTest::SenderAddress(all(values, addresses)?),
            Self::Address { source: false } => ArpTest::TargetAddress(all(values, addresses)?),
            Self::Mac { source: true } => ArpTest::SenderMac(all(values, mac)?),
            Self::Mac { source: false } => ArpTest::TargetMac(all(values, mac)?),
        })
    }
}

/// `arp`, `8021q`, `0x0806` (`ethertype_tbl`, nftables `src/proto.c`).
fn ether_type(shown: &str) -> Option<u16> {
    Some(match shown {
        "ip" => 0x0800,
        "arp" => 0x0806,
        "ip6" => 0x86dd,
        "vlan" | "8021q" => 0x8100,
        "8021ad" => 0x88a8,
        other => u16::try_from(integer(other)?).ok()?,
    })
}

/// `request`, `2` (`arpop_tbl`, nftables `src/proto.c`).
fn operation(shown: &str) -> Option<u16> {
    Some(match shown {
        "request" => 1,
        "reply" => 2,
        "rrequest" => 3,
        "rreply" => 4,
        "inrequest" => 8,
        "inreply" => 9,
        "nak" => 10,
        other => u16::try_from(integer(other)?).ok()?,
    })
}

fn mac(shown: &str) -> Option<MaskedMac> {
    shown.parse().ok().map(MaskedMac::of)
}

fn all<T>(values: &[&str], read: impl Fn(&str) -> Option<T>) -> Option<Vec<T>> {
    values.iter().map(|shown| read(shown)).collect()
}

fn devices(values: &[&str]) -> Vec<DeviceName> {
    values.iter().map(|shown| DeviceName::of(shown.trim_matches('"'), '*')).collect()
}

fn addresses(shown: &str) -> Option<Addresses> {
    network(shown).map(Addresses::Net).or_else(|| range(shown))
}

fn marked(values: &[&str], mask: Option<u32>) -> Option<Masked> {
    let [value] = values else { return None };
    Some(Masked { value: integer(value)?, mask: mask.unwrap_or(u32::MAX) })
}
