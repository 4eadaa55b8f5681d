//! Values of fields and the tests that a match makes of them.
//!
//! Source: Open vSwitch `lib/meta-flow.c` (`mf_parse`), `lib/ofp-match.c` (`match_format`).
use std::net::{Ipv4Addr, Ipv6Addr};

use tapline_core::ids::Mac;
use tapline_core::records::openflow::{
    Bits, CT_STATES, FlowTest, Notation, OfField, OfPort, Subfield, TCP_FLAGS, VLAN_PRESENT, ones,
};

use crate::formats::openflow::port;

/// The protocols that stand for an Ethertype and a protocol of IP.
const PROTOCOLS: &[(&str, u16, Option<u8>)] = &[
    ("ip", 0x0800, None),
    ("ipv6", 0x86dd, None),
    ("arp", 0x0806, None),
    ("rarp", 0x8035, None),
    ("tcp", 0x0800, Some(6)),
    ("udp", 0x0800, Some(17)),
    ("icmp", 0x0800, Some(1)),
    ("sctp", 0x0800, Some(132)),
    ("icmp6", 0x86dd, Some(58)),
    ("tcp6", 0x86dd, Some(6)),
    ("udp6", 0x86dd, Some(17)),
    ("sctp6", 0x86dd, Some(132)),
    ("mpls", 0x8847, None),
    ("mplsm", 0x8848, None),
];

/// What a key without a value is true of.
pub(super) fn protocol(key: &str) -> FlowTest {
    match PROTOCOLS.iter().find(|(name, ..)| *name == key) {
        Some(&(_, eth_type, ip_proto)) => FlowTest::Protocol { eth_type, ip_proto },
        None => FlowTest::Unknown,
    }
}

/// What `key=shown` is true of.
pub(super) fn test(key: &str, shown: &str) -> FlowTest {
    if key == "in_port" {
        return match port(shown) {
            OfPort::Name(name) => FlowTest::Port(name),
            OfPort::Local => bits_test(in_port(OfPort::LOCAL)),
            OfPort::Number(number) => bits_test(in_port(number)),
        };
    }
    let bits = match key {
        "dl_vlan" => vlan(shown),
        "dl_vlan_pcp" | "vlan_pcp" => {
            // Only a packet with a tag has a priority.
            number(shown).and_then(|pcp| Bits::of(PCP_AND_PRESENCE, pcp << 1 | 1))
        }
        // The upper six bits: those of congestion are `nw_ecn` (lib/match.c, `match_format`).
        "nw_tos" | "ip_tos" => {
            number(shown).and_then(|tos| Bits::masked(OfField::IpTos.whole(), tos & 0xfc, 0xfc))
        }
        _ => Subfield::named(key).and_then(|part| masked(part, shown)),
    };
    bits_test(bits)
}

/// The priority of a tag and the bit that tells that there is one.
const PCP_AND_PRESENCE: Subfield = Subfield { field: OfField::VlanTci, low: 12, bits: 4 };

fn bits_test(bits: Option<Bits>) -> FlowTest {
    bits.map_or(FlowTest::Unknown, FlowTest::Bits)
}

fn in_port(number: u32) -> Option<Bits> {
    Bits::of(OfField::InPort.whole(), u128::from(number))
}

/// `dl_vlan=0xffff` is a packet without a tag.
fn vlan(shown: &str) -> Option<Bits> {
    let part = Subfield { bits: 13, ..OfField::VlanTci.whole() };
    match number(shown)? {
        0xffff => Bits::masked(part, 0, VLAN_PRESENT),
        vid => Bits::of(part, vid | VLAN_PRESENT).filter(|_| vid < VLAN_PRESENT),
    }
}

/// `VALUE` or `VALUE/MASK` of some bits.
pub(super) fn masked(part: Subfield, shown: &str) -> Option<Bits> {
    match part.field {
        OfField::CtState => {
            if let Some(bits) = flags(part, shown, CT_STATES) {
                return Some(bits);
            }
        }
        OfField::TcpFlags => {
            if let Some(bits) = flags(part, shown, TCP_FLAGS) {
                return Some(bits);
            }
        }
        OfField::TunFlags => return flags(part, shown, &[("oam", 1)]),
        OfField::IpFrag => return fragment(part, shown),
        _ => {}
    }
    let notation =
        if part.bits == part.field.width() { part.field.notation() } else { Notation::Number };
    let Some((value, mask)) = shown.split_once('/') else {
        return Bits::of(part, one(notation, shown)?);
    };
    let value = one(notation, value)?;
    // `10.0.0.0/8`, or a mask in the form of the value.
    let length = match notation {
        Notation::Ipv4 | Notation::Ipv6 => mask.parse::<u8>().ok(),
        Notation::Number | Notation::Mac => None,
    };
    let mask = match length {
        Some(length) => ones(part.bits) & !ones(part.bits.checked_sub(length)?),
        None => one(notation, mask)?,
    };
    Bits::masked(part, value, mask)
}

/// A value without a mask.
pub(super) fn one(notation: Notation, shown: &str) -> Option<u128> {
    match notation {
        Notation::Number => number(shown),
        Notation::Mac => match shown.parse::<Mac>() {
            Ok(mac) => {
                let octets = mac.0;
                Some(octets.iter().fold(0, |sum, octet| sum << 8 | u128::from(*octet)))
            }
            Err(_) => number(shown),
        },
        Notation::Ipv4 => match shown.parse::<Ipv4Addr>() {
            Ok(address) => Some(u128::from(u32::from(address))),
            Err(_) => number(shown),
        },
        Notation::Ipv6 => match shown.parse::<Ipv6Addr>() {
            Ok(address) => Some(u128::from(address)),
            Err(_) => number(shown),
        },
    }
}

/// `0x1f` or `31`.
pub(super) fn number(shown: &str) -> Option<u128> {
    let (digits, radix) = match shown.strip_prefix("0x") {
        Some(digits) => (digits, 16),
        None => (shown, 10),
    };
    // `from_str_radix` takes a sign.
    u128::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
}

/// `+new-est+trk`, or `syn|ack` in the form of a value alone.
fn flags(part: Subfield, shown: &str, names: &[(&str, u128)]) -> Option<Bits> {
    let (mut value, mut mask) = (0, 0);
    let mut rest = shown;
    while !rest.is_empty() {
        let sets = rest.starts_with('+');
        rest = rest.strip_prefix(['+', '-'])?;
        let end = rest.find(['+', '-']).unwrap_or(rest.len());
        let (name, behind) = rest.split_at_checked(end)?;
        let (_, bit) = names.iter().find(|(known, _)| *known == name)?;
        mask |= bit;
        value |= if sets { *bit } else { 0 };
        rest = behind;
    }
    Bits::masked(part, value, mask).filter(|_| mask != 0)
}

/// Bit 0 is "a fragment", bit 1 "not the first".
fn fragment(part: Subfield, shown: &str) -> Option<Bits> {
    let (value, mask) = match shown {
        "no" => (0, 3),
        "yes" => (1, 1),
        "first" => (1, 3),
        "later" => (3, 3),
        "not_later" => (0, 2),
        _ => return None,
    };
    Bits::masked(part, value, mask)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(key: &str, shown: &str) -> Option<(String, u128, u128)> {
        match test(key, shown) {
            FlowTest::Bits(bits) => Some((bits.field.to_string(), bits.value, bits.mask)),
            _ => None,
        }
    }

    #[test]
    fn every_notation_gives_bits() {
        for (key, shown, field, value, mask) in [
            ("in_port", "7", "in_port", 7, 0xffff_ffff),
            ("in_port", "LOCAL", "in_port", 65534, 0xffff_ffff),
            ("dl_src", "02:00:00:00:00:01", "eth_src", 0x0200_0000_0001, (1 << 48) - 1),
            (
                "dl_dst",
                "01:00:00:00:00:00/01:00:00:00:00:00",
                "eth_dst",
                0x0100_0000_0000,
                0x0100_0000_0000,
            ),
            ("nw_src", "10.1.0.0/16", "ip_src", 0x0a01_0000, 0xffff_0000),
            ("nw_dst", "10.0.0.5/255.0.0.255", "ip_dst", 0x0a00_0005, 0xff00_00ff),
            ("nw_dst", "0.0.0.0/0", "ip_dst", 0, 0),
            ("ipv6_src", "fe80::/64", "ipv6_src", 0xfe80 << 112, u128::MAX << 64),
            ("tp_dst", "0x1f90/0xfff0", "tp_dst", 0x1f90, 0xfff0),
            ("dl_vlan", "5", "vlan_tci", 0x1005, 0x1fff),
            ("dl_vlan", "0xffff", "vlan_tci", 0, 0x1000),
            ("dl_vlan_pcp", "3", "vlan_tci", 0x7000, 0xf000),
            ("vlan_vid", "0x1005/0x1fff", "vlan_tci", 0x1005, 0x1fff),
            ("vlan_tci", "0x0003/0x0fff", "vlan_tci", 3, 0xfff),
            ("vlan_tci", "0x1000/0x1000", "vlan_tci", 0x1000, 0x1000),
            ("ct_state", "+est-rel-rpl+trk", "ct_state", 34, 2 + 4 + 8 + 32),
            ("ct_state", "0x21/0x21", "ct_state", 33, 33),
            ("tcp_flags", "+syn-ack", "tcp_flags", 2, 18),
            ("ip_frag", "later", "ip_frag", 3, 3),
            ("reg0", "0x5/0xff", "xxreg0", 5 << 96, 0xff << 96),
            ("metadata", "0x7", "metadata", 7, u128::from(u64::MAX)),
            ("nw_ecn", "1", "nw_tos", 1, 3),
            ("ip_dscp", "46", "nw_tos", 184, 252),
            ("nw_tos", "16", "nw_tos", 16, 252),
            ("ct_label", "0x2/0x2", "ct_label", 2, 2),
        ] {
            assert_eq!(reads(key, shown), Some((field.to_owned(), value, mask)), "{key}={shown}");
        }
    }

    #[test]
    fn what_is_not_understood_may_be_anything() {
        for (key, shown) in [
            ("nsh_mdtype", "1"),
            ("ct_state", "+odd"),
            ("ct_state", "+new est"),
            ("nw_src", "10.0.0.0/33"),
            ("nw_src", "host"),
            ("dl_vlan", "4096"),
            ("tp_dst", "65536"),
            ("tp_dst", "+1"),
            ("reg0", "0x100000000"),
            ("ip_frag", "maybe"),
        ] {
            assert_eq!(test(key, shown), FlowTest::Unknown, "{key}={shown}");
        }
        assert_eq!(test("in_port", "\"a b\""), FlowTest::Port("a b".into()));
        assert_eq!(protocol("tcp6").bits().count(), 2);
        assert_eq!(protocol("nsh"), FlowTest::Unknown);
    }
}
