//! Packets that are written as flows, as for `ofproto/trace`.
use tapline_core::ids::Mac;
use tapline_core::records::openflow::{Bits, CT_STATES, Notation, OfField, Subfield};

use crate::flow::Value;

use super::ends::EndError;
use super::packet::{ARP, IPV4, IPV6, Packet, mac_number};

use OfField as F;

fn wrong(text: &str) -> EndError {
    EndError::Wrong(format!("{text} is no part of a packet"))
}

/// A packet by a flow: `tcp,dl_src=…,nw_dst=…`. A field that it leaves out is 0.
pub(super) fn packet(text: &str) -> Result<Packet, EndError> {
    let mut eth_type = None;
    let mut proto = None;
    let mut sets: Vec<(Subfield, u128)> = Vec::new();
    let mut tags: [Option<u16>; 2] = [None, None];
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let Some((key, value)) = word.split_once('=') else {
            let (of, number): (u16, Option<u8>) = match word {
                "ip" => (IPV4, None),
                "ipv6" => (IPV6, None),
                "arp" => (ARP, None),
                "tcp" => (IPV4, Some(6)),
                "udp" => (IPV4, Some(17)),
                "icmp" => (IPV4, Some(1)),
                "sctp" => (IPV4, Some(132)),
                "tcp6" => (IPV6, Some(6)),
                "udp6" => (IPV6, Some(17)),
                "icmp6" => (IPV6, Some(58)),
                _ => return Err(wrong(word)),
            };
            eth_type = Some(of);
            proto = number.or(proto);
            continue;
        };
        match key {
            "dl_vlan" => tags[0] = Some(parse(value).ok_or_else(|| wrong(word))?),
            "dl_vlan1" => tags[1] = Some(parse(value).ok_or_else(|| wrong(word))?),
            "ct_state" => {}
            _ => {
                let part = Subfield::named(key).ok_or_else(|| wrong(word))?;
                let number = number(part, value).ok_or_else(|| wrong(word))?;
                if part == OfField::EthType.whole() {
                    eth_type = u16::try_from(number).ok();
                }
                sets.push((part, number));
            }
        }
    }
    let mut packet = Packet::new(eth_type.unwrap_or(0));
    // What `ofproto/trace` is not told is 0.
    for field in [
        F::EthSrc,
        F::EthDst,
        F::IpSrc,
        F::IpDst,
        F::Ipv6Src,
        F::Ipv6Dst,
        F::IpProto,
        F::TpSrc,
        F::TpDst,
        F::TcpFlags,
        F::IcmpType,
        F::IcmpCode,
        F::ArpOp,
        F::ArpSpa,
        F::ArpTpa,
        F::ArpSha,
        F::ArpTha,
        F::NdTarget,
        F::NdSll,
        F::NdTll,
        F::IpTtl,
        F::IpTos,
        F::IpFrag,
        F::Ipv6Label,
    ] {
        packet.frame.set(field, Value::of(0));
    }
    if let Some(proto) = proto {
        packet.set_protocol(proto);
    }
    for (part, number) in sets {
        if let Some(bits) = Bits::of(part, number) {
            packet.frame.put(bits);
        }
    }
    for vid in tags.iter().rev().flatten() {
        packet.frame.push_tag();
        packet.frame.set_vlan(*vid);
    }
    Ok(packet)
}

fn parse(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

fn number(part: Subfield, text: &str) -> Option<u128> {
    match part.field.notation() {
        Notation::Mac => text.parse::<Mac>().ok().map(mac_number),
        Notation::Ipv4 => text.parse::<std::net::Ipv4Addr>().ok().map(|ip| u32::from(ip).into()),
        Notation::Ipv6 => text.parse::<std::net::Ipv6Addr>().ok().map(u128::from),
        Notation::Number => match text.strip_prefix("0x") {
            Some(hex) => u128::from_str_radix(hex, 16).ok(),
            None => text.parse().ok(),
        },
    }
}

/// States of a connection, joined by `|`: `est|rpl`.
pub(super) fn ct_states(text: &str) -> Result<u128, EndError> {
    let mut all = 0;
    for word in text.split('|').map(str::trim).filter(|word| !word.is_empty()) {
        let bit = CT_STATES.iter().find(|(name, _)| *name == word);
        let (_, bit) =
            bit.ok_or_else(|| EndError::Wrong(format!("{word} is no state of a connection")))?;
        all |= bit;
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_are_written_as_flows() {
        let told = |text: &str| {
            let packet = packet(text).map_err(|_| ()).ok()?;
            let vlans = packet.vlans()?;
            Some((packet.protocol(), packet.destination_port(), vlans))
        };
        for (text, expected) in [
            ("tcp,tp_dst=80", Some((Some(6), Some(80), vec![]))),
            ("tcp6,tp_dst=80", Some((Some(6), Some(80), vec![]))),
            ("udp,tp_dst=53", Some((Some(17), Some(53), vec![]))),
            ("udp6,tp_dst=53", Some((Some(17), Some(53), vec![]))),
            ("sctp,tp_dst=0x10", Some((Some(132), Some(16), vec![]))),
            ("tcp,ct_state=0x21,tp_dst=80", Some((Some(6), Some(80), vec![]))),
            ("tcp,dl_vlan=7,tp_dst=80", Some((Some(6), Some(80), vec![7]))),
            ("tcp,dl_vlan=7,dl_vlan1=9,tp_dst=80", Some((Some(6), Some(80), vec![7, 9]))),
            ("tcp,dl_vlan=0x7,tp_dst=80", Some((Some(6), Some(80), vec![7]))),
            ("ip,nw_proto=17,tp_dst=53", Some((Some(17), Some(53), vec![]))),
            ("tcp,dl_vlan=seven", None),
            ("tcp,dl_vlan1=nine", None),
            ("tcp,tp_dst=http", None),
            ("ipx", None),
            ("tcp,colour=7", None),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
        assert_eq!(packet("icmp,icmp_type=8").unwrap().icmp(), Some((8, 0)));
        assert_eq!(packet("icmp6,icmp_type=128").unwrap().icmp(), Some((128, 0)));
    }

    #[test]
    fn states_of_connections_are_joined() {
        let bit = |name: &str| CT_STATES.iter().find(|(own, _)| *own == name).unwrap().1;
        assert_eq!(ct_states("est").unwrap(), bit("est"));
        assert_eq!(ct_states("est| rpl").unwrap(), bit("est") | bit("rpl"));
        assert_eq!(ct_states("").unwrap(), 0);
        assert!(ct_states("gone").is_err());
    }
}
