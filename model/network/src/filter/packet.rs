//! A packet that is known in part, and what a test says of it.
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::filter::{Addresses, Condition, ConnStates, DeviceName, Masked, Test};
use tapline_core::records::route::Family;

use super::frame::{Frame, is_one_of};
use super::sets::Sets;
use crate::truth::Truth;

/// A packet as a filter sees it. What is not known is left open: a test of it may be met or not.
#[derive(Clone, Debug)]
pub struct Packet {
    /// IPv4 or IPv6.
    pub family: Family,
    /// The device that it came in by; of a bridged frame the bridge.
    pub in_device: Device,
    /// The device that it goes out by; of a bridged frame the bridge.
    pub out_device: Device,
    /// The port of a bridge that it came in by.
    pub in_port: Device,
    /// The port of a bridge that it goes out by.
    pub out_port: Device,
    /// Its source.
    pub source: Address,
    /// Its destination.
    pub destination: Address,
    /// Its protocol.
    pub protocol: Option<u8>,
    /// Its source port.
    pub source_port: Option<u16>,
    /// Its destination port.
    pub destination_port: Option<u16>,
    /// Its type and code of ICMP.
    pub icmp: Option<(u8, u8)>,
    /// Its flags of TCP.
    pub tcp_flags: Option<u8>,
    /// It is a fragment, and not the first.
    pub fragment: Option<bool>,
    /// The state of its connection.
    pub state: Option<ConnStates>,
    /// It answers what opened its connection.
    pub answer: Option<bool>,
    /// How its connection is translated.
    pub translated: Option<ConnStates>,
    /// Its mark.
    pub mark: Mark,
    /// The mark of its connection.
    pub conn_mark: Mark,
    /// The MAC that it came from.
    pub mac_source: Option<Mac>,
    /// Its destination is an address of the host itself.
    pub to_host: Option<bool>,
    /// Its source is an address of the host itself.
    pub from_host: Option<bool>,
    /// The destination of the first packet of its connection as it came in, and the port.
    pub first: Option<(Option<IpAddr>, Option<u16>)>,
    /// Its lifetime: TTL, hop limit.
    pub lifetime: Option<u8>,
    /// Its type of service.
    pub service: Option<u8>,
    /// The MAC that it is sent to.
    pub mac_destination: Option<Mac>,
    /// The sets that rules may ask.
    pub sets: Sets,
    /// It is one ordinary packet, not any of many: no limit is used up by it, and it has neither
    /// options nor headers beside those of IP and of its protocol.
    pub alone: bool,
    /// It may be no packet of IP, or one that a filter of frames does not take for one: conditions
    /// on what is in it may be met or not.
    pub foreign: bool,
    /// The frame that it is in, where frames are filtered.
    pub frame: Option<Frame>,
    /// It is sent to the MAC of another device than of the one that took it.
    pub other_host: Option<bool>,
    /// Note every rule that is looked at.
    pub explain: bool,
}

/// A device on the path of a packet.
#[derive(Clone, Debug)]
pub enum Device {
    /// This one.
    Known(Name),
    /// There is none: the packet was made by the host, ends there, or is not bridged.
    None,
    /// Some device.
    Unknown,
    /// Some device, but none whose name the function is true of.
    Except(fn(&str) -> bool),
}

/// An address of a packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Address {
    /// This one.
    Known(IpAddr),
    /// Some address.
    Unknown,
    /// Some address, but not that of who has none yet (`0.0.0.0`, `::`).
    Specified,
    /// Some address that no rule names by itself, and that is in none of these subnets: any one
    /// of many.
    Ordinary(Vec<IpNet>),
}

/// A mark, some bits of which may not be known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mark {
    /// The value of the known bits; the others are 0.
    pub value: u32,
    /// Which bits are known.
    pub known: u32,
}

impl Mark {
    /// No mark was set.
    pub const NONE: Self = Self { value: 0, known: u32::MAX };
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { value: 0, known: 0 };

    /// Some bits are cleared, then some flipped.
    #[must_use]
    pub fn change(self, clear: u32, flip: u32) -> Self {
        let known = self.known | clear;
        Self { value: ((self.value & !clear) ^ flip) & known, known }
    }

    /// Takes the bits of `mask` from another mark.
    #[must_use]
    pub fn copy(self, from: Self, mask: u32) -> Self {
        let known = self.known & !mask | from.known & mask;
        Self { value: (self.value & !mask | from.value & mask) & known, known }
    }

    /// What is known where it may be one or the other.
    #[must_use]
    pub fn join(self, other: Self) -> Self {
        let known = self.known & other.known & !(self.value ^ other.value);
        Self { value: self.value & known, known }
    }

    /// Whether it is this one.
    pub(super) fn is(self, value: u32) -> Truth {
        self.fits(Masked { value, mask: u32::MAX })
    }

    fn fits(self, wanted: Masked) -> Truth {
        let differs = (self.value ^ wanted.value) & wanted.mask & self.known;
        match (differs, wanted.mask & !self.known) {
            // A bit that the mask leaves out can never be asked for.
            _ if wanted.value & !wanted.mask != 0 => Truth::No,
            (0, 0) => Truth::Yes,
            (0, _) => Truth::Maybe,
            _ => Truth::No,
        }
    }
}

impl Packet {
    /// A packet of which only the family is known.
    pub fn unknown(family: Family) -> Self {
        Self {
            family,
            in_device: Device::Unknown,
            out_device: Device::Unknown,
            in_port: Device::Unknown,
            out_port: Device::Unknown,
            source: Address::Unknown,
            destination: Address::Unknown,
            protocol: None,
            source_port: None,
            destination_port: None,
            icmp: None,
            tcp_flags: None,
            fragment: None,
            state: None,
            answer: None,
            translated: None,
            mark: Mark::UNKNOWN,
            conn_mark: Mark::UNKNOWN,
            mac_source: None,
            lifetime: None,
            service: None,
            mac_destination: None,
            sets: Sets::default(),
            alone: false,
            to_host: None,
            from_host: None,
            first: None,
            foreign: false,
            frame: None,
            other_host: Some(false),
            explain: false,
        }
    }

    /// Whether it surely belongs to no connection: then no condition on one is met, not even that
    /// something is not so, and no mark goes from or to it.
    pub(super) fn has_no_connection(&self) -> bool {
        self.state.is_some_and(|state| state.any_of(WITHOUT))
    }

    /// Whether it meets a condition.
    pub fn fits(&self, condition: &Condition) -> Truth {
        let of_connection = matches!(
            condition.test,
            Test::ConnMark(_) | Test::Answer(_) | Test::FirstDestination(_) | Test::FirstPort(_)
        );
        if of_connection && self.has_no_connection() {
            return Truth::No;
        }
        // Rules of frames ask for the protocol first, or not for what only packets of it have.
        if condition.not && self.is_no_ip() && is_of_ip(&condition.test) {
            return Truth::Maybe;
        }
        self.meets(&condition.test).negate(condition.not)
    }

    /// Whether it meets a test.
    pub fn meets(&self, test: &Test) -> Truth {
        if self.foreign && is_of_ip(test) {
            return Truth::Maybe;
        }
        if self.is_no_ip() && is_of_ip(test) {
            return Truth::No;
        }
        match test {
            Test::InDevice(names) => self.in_device.is_one_of(names),
            Test::OutDevice(names) => self.out_device.is_one_of(names),
            Test::InPort(name) => self.in_port.is(name),
            Test::OutPort(name) => self.out_port.is(name),
            Test::FromBridgePort => self.in_port.exists(),
            Test::ToBridgePort => self.out_port.exists(),
            Test::Bridged => self.in_port.exists().and(self.out_port.exists()),
            Test::Family(family) => Truth::from(*family == self.family),
            Test::Source(all) => self.source.is_one_of(all),
            Test::Destination(all) => self.destination.is_one_of(all),
            Test::Protocol(all) => Truth::from(self.protocol.map(|known| all.contains(&known))),
            Test::SourcePort(all) => self.has_port(self.source_port, all),
            Test::DestinationPort(all) => self.has_port(self.destination_port, all),
            Test::EitherPort(all) => {
                self.has_port(self.source_port, all).or(self.has_port(self.destination_port, all))
            }
            Test::Icmp { kinds, codes } => self.is_icmp(kinds, codes.as_ref()),
            Test::TcpFlags { mask, set } => match self.protocol {
                Some(protocol) if protocol != TCP => Truth::No,
                _ => Truth::from(self.tcp_flags.map(|flags| flags & mask == *set)),
            },
            Test::Fragment => Truth::from(self.fragment),
            Test::Connection(states) => self.has_state(*states),
            Test::Answer(answer) => Truth::from(self.answer.map(|known| known == *answer)),
            Test::Mark(wanted) => self.mark.fits(*wanted),
            Test::ConnMark(wanted) => self.conn_mark.fits(*wanted),
            Test::MacSource(all) => is_one_of(self.mac_source, all),
            Test::Frame(test) => self.fits_frame(test),
            Test::AddressType { source, types } => {
                is_of_type(if *source { self.from_host } else { self.to_host }, types)
            }
            Test::FirstDestination(all) => {
                let to = self.first.and_then(|first| first.0);
                Truth::from(to.map(|ip| all.iter().any(|one| one.contain(ip))))
            }
            Test::FirstPort(all) => {
                let port = self.first.and_then(|first| first.1);
                Truth::from(port.map(|port| all.iter().any(|range| range.contains(&port))))
            }
            Test::Lifetime(all) => {
                let is_one = |ttl| all.iter().any(|range| range.contains(&ttl));
                Truth::from(self.lifetime.map(is_one))
            }
            Test::Service(all) => Truth::from(self.service.map(|service| {
                all.iter().any(|wanted| u32::from(service) & wanted.mask == wanted.value)
            })),
            Test::PacketType(kinds) => self.is_sent_to(kinds),
            Test::Limit { over, .. } if self.alone => Truth::from(!over),
            Test::Extension(_) if self.alone => Truth::No,
            Test::AnyOf(all) => {
                Truth::any(all.iter().map(|tests| {
                    tests.iter().fold(Truth::Yes, |met, test| met.and(self.meets(test)))
                }))
            }
            Test::Set { name, by_source } => self.sets.contain(name, by_source, self),
            Test::Aside(_) => Truth::Yes,
            Test::Limit { .. } | Test::Extension(_) | Test::Rate(_) | Test::Unknown(_) => {
                Truth::Maybe
            }
        }
    }

    /// Whether it surely is no packet of IP.
    fn is_no_ip(&self) -> bool {
        self.frame.as_ref().is_some_and(Frame::is_no_ip)
    }

    fn has_port(&self, port: Option<u16>, all: &[std::ops::RangeInclusive<u16>]) -> Truth {
        // Only these protocols have ports.
        if self.protocol.is_some_and(|known| !matches!(known, 6 | 17 | 33 | 132 | 136)) {
            return Truth::No;
        }
        Truth::from(port.map(|port| all.iter().any(|range| range.contains(&port))))
    }

    fn is_icmp(&self, kinds: &[u8], codes: Option<&std::ops::RangeInclusive<u8>>) -> Truth {
        if self.protocol.is_some_and(|known| !matches!(known, 1 | 58)) {
            return Truth::No;
        }
        Truth::from(self.icmp.map(|(kind, code)| {
            kinds.contains(&kind) && codes.is_none_or(|codes| codes.contains(&code))
        }))
    }

    fn has_state(&self, wanted: ConnStates) -> Truth {
        let of_packet = if wanted.any_of(STATES) {
            Truth::from(self.state.map(|known| known.any_of(wanted)))
        } else {
            Truth::No
        };
        let of_translation = if wanted.any_of(TRANSLATIONS) {
            Truth::from(self.translated.map(|known| known.any_of(wanted)))
        } else {
            Truth::No
        };
        of_packet.or(of_translation)
    }

    /// Whether it is of one of these kinds. Where the frame is not known, of IPv4 only groups are: an
    /// address may be that of all in its subnet.
    fn is_sent_to(&self, kinds: &[Name]) -> Truth {
        let kind = match (self.mac_destination, &self.destination) {
            (Some(Mac([0xff, 0xff, 0xff, 0xff, 0xff, 0xff])), _) => "broadcast",
            (Some(mac), _) if mac.is_multicast() => "multicast",
            (Some(_), _) => "unicast",
            (None, Address::Known(ip)) if ip.is_multicast() => "multicast",
            (None, Address::Known(IpAddr::V6(_))) => "unicast",
            _ => return Truth::Maybe,
        };
        let is = |wanted: &[&str]| kinds.iter().any(|name| wanted.contains(&name.as_str()));
        if kind != "unicast" {
            return Truth::from(is(&[kind]));
        }
        // Filters of frames say what it is for the device that took it.
        match (is(&["unicast", "host"]), is(&["other", "otherhost"])) {
            (host, other) if host == other => Truth::from(host),
            (_, other) => Truth::from(self.other_host.map(|elsewhere| elsewhere == other)),
        }
    }
}

/// Whether an address is of one of these types, of which it is known whether the host has it.
fn is_of_type(is_own: Option<bool>, types: &[Name]) -> Truth {
    let local = types.iter().any(|kind| kind == "LOCAL");
    match (is_own, local) {
        (Some(true), _) => Truth::from(local),
        (Some(false), true) if types.len() == 1 => Truth::No,
        _ => Truth::Maybe,
    }
}

/// Whether a test looks at a packet of IP.
fn is_of_ip(test: &Test) -> bool {
    matches!(
        test,
        Test::Family(_)
            | Test::Source(_)
            | Test::Destination(_)
            | Test::Protocol(_)
            | Test::SourcePort(_)
            | Test::DestinationPort(_)
            | Test::EitherPort(_)
            | Test::Icmp { .. }
            | Test::TcpFlags { .. }
            | Test::Fragment
            | Test::AddressType { .. }
            | Test::Lifetime(_)
            | Test::Service(_)
            | Test::Extension(_)
            | Test::FirstDestination(_)
            | Test::FirstPort(_)
    )
}

const TCP: u8 = 6;

const STATES: ConnStates = ConnStates::NEW
    .with(ConnStates::ESTABLISHED)
    .with(ConnStates::RELATED)
    .with(ConnStates::INVALID)
    .with(ConnStates::UNTRACKED);

const WITHOUT: ConnStates = ConnStates::INVALID.with(ConnStates::UNTRACKED);

const TRANSLATIONS: ConnStates = ConnStates::SNAT.with(ConnStates::DNAT);

impl Device {
    fn is_one_of(&self, names: &[DeviceName]) -> Truth {
        Truth::any(names.iter().map(|name| self.is(name)))
    }

    fn is(&self, name: &DeviceName) -> Truth {
        match self {
            Self::Known(device) => Truth::from(name.fits(device)),
            Self::None => Truth::No,
            // `+` alone is any.
            _ if name.prefix && name.name.is_empty() => Truth::Yes,
            Self::Except(excepted) if excepted(&name.name) => Truth::No,
            Self::Except(_) | Self::Unknown => Truth::Maybe,
        }
    }

    fn exists(&self) -> Truth {
        match self {
            Self::Known(_) | Self::Except(_) => Truth::Yes,
            Self::None => Truth::No,
            Self::Unknown => Truth::Maybe,
        }
    }
}

impl Address {
    fn is_one_of(&self, all: &[Addresses]) -> Truth {
        Truth::any(all.iter().map(|one| self.is_in(one)))
    }

    fn is_in(&self, one: &Addresses) -> Truth {
        match (self, one) {
            (Self::Known(address), _) => Truth::from(one.contain(*address)),
            (_, Addresses::Net(net)) if net.prefix_len() == 0 => Truth::Yes,
            (Self::Ordinary(_), one) if one.single().is_some() => Truth::No,
            (Self::Ordinary(others), Addresses::Net(net))
                if others.iter().any(|other| other.contains(net)) =>
            {
                Truth::No
            }
            (Self::Specified, one) if one.single().is_some_and(|ip| ip.is_unspecified()) => {
                Truth::No
            }
            (Self::Ordinary(_) | Self::Unknown | Self::Specified, _) => Truth::Maybe,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str, prefix: bool) -> DeviceName {
        DeviceName { name: name.into(), prefix }
    }

    #[test]
    fn devices_that_are_known_in_part() {
        let known = Device::Known("eth0".into());
        let no_nic = Device::Except(|name| name.starts_with("eth"));
        for (name, prefix, [of_known, of_none, of_unknown, of_others]) in [
            ("eth0", false, [Truth::Yes, Truth::No, Truth::Maybe, Truth::No]),
            ("eth1", false, [Truth::No, Truth::No, Truth::Maybe, Truth::No]),
            ("br0", false, [Truth::No, Truth::No, Truth::Maybe, Truth::Maybe]),
            ("et", true, [Truth::Yes, Truth::No, Truth::Maybe, Truth::Maybe]),
            ("", true, [Truth::Yes, Truth::No, Truth::Yes, Truth::Yes]),
            ("", false, [Truth::No, Truth::No, Truth::Maybe, Truth::Maybe]),
        ] {
            let name = device(name, prefix);
            assert_eq!(known.is(&name), of_known, "{name:?}");
            assert_eq!(Device::None.is(&name), of_none, "{name:?}");
            assert_eq!(Device::Unknown.is(&name), of_unknown, "{name:?}");
            assert_eq!(no_nic.is(&name), of_others, "{name:?}");
        }
        let all = [known.exists(), Device::None.exists(), Device::Unknown.exists()];
        assert_eq!(all, [Truth::Yes, Truth::No, Truth::Maybe]);
        assert_eq!(no_nic.exists(), Truth::Yes);
    }

    #[test]
    fn addresses_that_are_known_in_part() {
        let net = |text: &str| Addresses::Net(text.parse().unwrap());
        let known = Address::Known("192.0.2.7".parse().unwrap());
        let ordinary = Address::Ordinary(vec!["192.0.2.0/24".parse().unwrap()]);
        for (shown, [of_known, of_unknown, of_specified, of_ordinary]) in [
            ("192.0.2.7/32", [Truth::Yes, Truth::Maybe, Truth::Maybe, Truth::No]),
            ("192.0.2.0/24", [Truth::Yes, Truth::Maybe, Truth::Maybe, Truth::No]),
            ("192.0.2.0/25", [Truth::Yes, Truth::Maybe, Truth::Maybe, Truth::No]),
            ("198.51.100.0/24", [Truth::No, Truth::Maybe, Truth::Maybe, Truth::Maybe]),
            ("192.0.0.0/16", [Truth::Yes, Truth::Maybe, Truth::Maybe, Truth::Maybe]),
            ("0.0.0.0/32", [Truth::No, Truth::Maybe, Truth::No, Truth::No]),
            ("0.0.0.0/0", [Truth::Yes, Truth::Yes, Truth::Yes, Truth::Yes]),
        ] {
            let one = net(shown);
            assert_eq!(known.is_in(&one), of_known, "{shown}");
            assert_eq!(Address::Unknown.is_in(&one), of_unknown, "{shown}");
            assert_eq!(Address::Specified.is_in(&one), of_specified, "{shown}");
            assert_eq!(ordinary.is_in(&one), of_ordinary, "{shown}");
        }
    }
}
