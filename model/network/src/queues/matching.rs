//! Whether a frame meets the conditions of a filter of `tc`.
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::ids::Mac;
use tapline_core::records::tc::TcFilter;

use crate::trace::Packet;
use crate::truth::Truth;

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const ARP: u16 = 0x0806;

/// Whether a filter is met.
pub(super) fn is_met(filter: &TcFilter, packet: &Packet) -> Truth {
    let protocol = has_protocol(&filter.protocol.value, packet);
    let kind = match filter.kind.value.as_str() {
        "matchall" => Truth::Yes,
        "flower" => {
            let all = filter.matches.iter();
            all.map(|field| flower(&field.key, &field.value.value, packet))
                .fold(Truth::Yes, Truth::and)
        }
        "u32" => {
            // Rules of other tables are asked where one of the first leads there.
            let first = filter.handle.as_deref().is_some_and(|handle| handle.starts_with('8'));
            let leads =
                filter.other.iter().any(|word| matches!(word.key.as_str(), "link" | "offset"));
            let all = filter.matches.iter().filter(|field| field.key == "match");
            let met =
                all.map(|field| words(&field.value.value, packet)).fold(Truth::Yes, Truth::and);
            if first && !leads { met } else { met.and(Truth::Maybe) }
        }
        _ => Truth::Maybe,
    };
    protocol.and(kind)
}

/// Whether the frame is of a protocol: that of its outermost tag, where it has one.
fn has_protocol(shown: &str, packet: &Packet) -> Truth {
    let Some(wanted) = eth_type(shown) else {
        return if shown == "all" { Truth::Yes } else { Truth::Maybe };
    };
    let Some(vlans) = packet.vlans() else { return Truth::Maybe };
    match (vlans.is_empty(), wanted) {
        (true, _) => packet.eth_type().map(|own| own == wanted).into(),
        (false, 0x8100 | 0x88a8) => Truth::Maybe.or(Truth::from(wanted == 0x8100)),
        (false, _) => Truth::No,
    }
}

fn eth_type(shown: &str) -> Option<u16> {
    Some(match shown {
        "ip" | "ipv4" => IPV4,
        "ipv6" => IPV6,
        "arp" => ARP,
        "802.1Q" => 0x8100,
        "802.1ad" => 0x88a8,
        "lldp" | "LLDP" => 0x88cc,
        "mpls_uc" => 0x8847,
        "rarp" => 0x8035,
        _ => {
            let hex = shown.trim_start_matches('[').trim_end_matches(']');
            return u16::from_str_radix(hex.trim_start_matches("0x"), 16).ok();
        }
    })
}

/// A condition of `flower` (iproute2 `tc/f_flower.c`).
fn flower(key: &str, value: &str, packet: &Packet) -> Truth {
    let value = value.split_whitespace().next().unwrap_or_default();
    let number = |own: Option<u64>| is_number(value, own);
    match key {
        "eth_type" | "vlan_ethtype" => match eth_type(value) {
            Some(wanted) => packet.eth_type().map(|own| own == wanted).into(),
            None => Truth::Maybe,
        },
        "src_mac" => is_mac(value, packet.mac_source()),
        "dst_mac" => is_mac(value, packet.mac_destination()),
        "src_ip" => is_in(value, packet.source()),
        "dst_ip" => is_in(value, packet.destination()),
        "ip_proto" => match protocol(value) {
            Some(wanted) => packet.protocol().map(|own| own == wanted).into(),
            None => Truth::Maybe,
        },
        "src_port" => number(packet.source_port().map(u64::from)),
        "dst_port" => number(packet.destination_port().map(u64::from)),
        "vlan_id" => match packet.vlans() {
            Some(vlans) => vlans.first().map_or(Truth::No, |vid| number(Some(u64::from(*vid)))),
            None => Truth::Maybe,
        },
        "ip_ttl" => number(packet.ttl().map(u64::from)),
        "icmp_type" | "type" => number(packet.icmp().map(|icmp| u64::from(icmp.0))),
        "icmp_code" | "code" => number(packet.icmp().map(|icmp| u64::from(icmp.1))),
        _ => Truth::Maybe,
    }
}

fn protocol(shown: &str) -> Option<u8> {
    Some(match shown {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "icmpv6" => 58,
        "sctp" => 132,
        "gre" => 47,
        other => match other.strip_prefix("0x") {
            Some(hex) => u8::from_str_radix(hex, 16).ok()?,
            None => u8::from_str_radix(other, 16).ok()?,
        },
    })
}

/// `80`, `80-90`; with a mask it is left open.
fn is_number(shown: &str, own: Option<u64>) -> Truth {
    let Some(own) = own else { return Truth::Maybe };
    if let Some((from, to)) = shown.split_once('-')
        && let (Ok(from), Ok(to)) = (from.parse::<u64>(), to.parse::<u64>())
    {
        return (from..=to).contains(&own).into();
    }
    shown.parse::<u64>().map_or(Truth::Maybe, |wanted| Truth::from(wanted == own))
}

/// `02:00:00:00:00:01`, or with a mask of bits.
fn is_mac(shown: &str, own: Option<Mac>) -> Truth {
    let Some(own) = own else { return Truth::Maybe };
    let (mac, mask) = shown.split_once('/').unwrap_or((shown, "ff:ff:ff:ff:ff:ff"));
    let (Ok(mac), Ok(mask)) = (mac.parse::<Mac>(), mask.parse::<Mac>()) else {
        return Truth::Maybe;
    };
    let all = own.0.iter().zip(mac.0).zip(mask.0);
    Truth::from(all.into_iter().all(|((own, wanted), mask)| own & mask == wanted & mask))
}

fn is_in(shown: &str, own: Option<IpAddr>) -> Truth {
    let Some(own) = own else { return Truth::Maybe };
    let net = shown.parse::<IpNet>().ok().or_else(|| shown.parse::<IpAddr>().ok().map(IpNet::from));
    net.map_or(Truth::Maybe, |net| Truth::from(net.contains(&own)))
}

/// `0a000000/ffffff00 at 16`: a word of the packet from its header of IP on (`tc/f_u32.c`).
fn words(shown: &str, packet: &Packet) -> Truth {
    let mut parts = shown.split_whitespace();
    let pair = parts.next().and_then(|pair| pair.split_once('/'));
    let hex = |part: &str| u32::from_str_radix(part, 16).ok();
    let Some((Some(value), Some(mask))) = pair.map(|(value, mask)| (hex(value), hex(mask))) else {
        return Truth::Maybe;
    };
    if mask == 0 {
        return Truth::Yes;
    }
    let offset = parts.nth(1).and_then(|at| at.parse::<u8>().ok());
    let tagged = packet.vlans().is_none_or(|vlans| !vlans.is_empty());
    let own = offset.filter(|_| !tagged).and_then(|offset| word_at(packet, offset));
    match own {
        // What is not known of the word counts only where the mask asks for it.
        Some((own, known)) if mask & !known == 0 => Truth::from(own & mask == value & mask),
        Some((own, known)) if own & mask & known != value & mask & known => Truth::No,
        _ => Truth::Maybe,
    }
}

/// A word of a packet of IPv4 and which of its bits are known.
fn word_at(packet: &Packet, offset: u8) -> Option<(u32, u32)> {
    if packet.eth_type()? != IPV4 {
        return None;
    }
    let v4 = |ip: Option<IpAddr>| match ip? {
        IpAddr::V4(ip) => Some(u32::from(ip)),
        IpAddr::V6(_) => None,
    };
    match offset {
        0 => packet.tos().map(|tos| (u32::from(tos) << 16, 0x00ff_0000)),
        8 => {
            let ttl = packet.ttl().map(|ttl| (u32::from(ttl) << 24, 0xff00_0000));
            let proto = packet.protocol().map(|proto| (u32::from(proto) << 16, 0x00ff_0000));
            let (ttl, proto) = (ttl.unwrap_or_default(), proto.unwrap_or_default());
            Some((ttl.0 | proto.0, ttl.1 | proto.1))
        }
        12 => Some((v4(packet.source())?, u32::MAX)),
        16 => Some((v4(packet.destination())?, u32::MAX)),
        20 if matches!(packet.protocol(), Some(6 | 17)) => {
            let from = packet.source_port().map(|port| (u32::from(port) << 16, 0xffff_0000));
            let to = packet.destination_port().map(|port| (u32::from(port), 0x0000_ffff));
            let (from, to) = (from.unwrap_or_default(), to.unwrap_or_default());
            Some((from.0 | to.0, from.1 | to.1))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Value;
    use tapline_core::records::openflow::OfField;

    fn web() -> Packet {
        let mut packet = Packet::new(IPV4);
        packet.set_source(Some(IpAddr::from([192, 0, 2, 1])));
        packet.set_destination(Some(IpAddr::from([10, 0, 0, 7])));
        packet.set_protocol(6);
        packet.set_ports(None, Some(80));
        packet.set_macs(None, Some(Mac([2, 0, 0, 0, 0, 7])));
        packet
    }

    #[test]
    fn conditions_of_flower() {
        for (key, value, expected) in [
            ("eth_type", "ipv4", Truth::Yes),
            ("eth_type", "arp", Truth::No),
            ("dst_ip", "10.0.0.0/24", Truth::Yes),
            ("src_ip", "10.0.0.0/24", Truth::No),
            ("ip_proto", "tcp", Truth::Yes),
            ("ip_proto", "udp", Truth::No),
            ("dst_port", "80", Truth::Yes),
            ("dst_port", "81-90", Truth::No),
            ("dst_port", "80-90", Truth::Yes),
            ("dst_port", "80/0xfff0", Truth::Maybe),
            ("src_port", "80", Truth::Maybe),
            ("dst_mac", "02:00:00:00:00:07", Truth::Yes),
            ("dst_mac", "02:00:00:00:01:00/ff:ff:ff:ff:ff:00", Truth::No),
            ("src_mac", "02:00:00:00:00:07", Truth::Maybe),
            ("vlan_id", "5", Truth::No),
            ("ct_state", "+trk+est", Truth::Maybe),
        ] {
            assert_eq!(flower(key, value, &web()), expected, "{key} {value}");
        }
    }

    #[test]
    fn ethertypes_have_names() {
        for (shown, number) in [
            ("ip", Some(IPV4)),
            ("ipv4", Some(IPV4)),
            ("ipv6", Some(IPV6)),
            ("arp", Some(ARP)),
            ("rarp", Some(0x8035)),
            ("802.1Q", Some(0x8100)),
            ("802.1ad", Some(0x88a8)),
            ("lldp", Some(0x88cc)),
            ("LLDP", Some(0x88cc)),
            ("mpls_uc", Some(0x8847)),
            ("[88b5]", Some(0x88b5)),
            ("0x88b5", Some(0x88b5)),
            ("all", None),
        ] {
            assert_eq!(eth_type(shown), number, "{shown}");
        }
    }

    #[test]
    fn conditions_of_pings() {
        let mut ping = web();
        ping.set_protocol(1);
        ping.set_icmp(8, 0);
        ping.set_ttl(64);
        for (key, value, expected) in [
            ("icmp_type", "8", Truth::Yes),
            ("type", "0", Truth::No),
            ("icmp_code", "0", Truth::Yes),
            ("code", "1", Truth::No),
            ("ip_ttl", "64", Truth::Yes),
            ("ip_ttl", "63", Truth::No),
            ("ip_proto", "icmp", Truth::Yes),
            ("ip_proto", "01", Truth::Yes),
            ("ip_proto", "0x3a", Truth::No),
        ] {
            assert_eq!(flower(key, value, &ping), expected, "{key} {value}");
        }
        // A word of its header: the time to live and the protocol.
        for (shown, expected) in [
            ("40010000/ffff0000 at 8", Truth::Yes),
            ("40000000/ff000000 at 8", Truth::Yes),
            ("3f010000/ffff0000 at 8", Truth::No),
            ("00500050/ffffffff at 20", Truth::Maybe),
        ] {
            assert_eq!(words(shown, &ping), expected, "{shown}");
        }
        let mut both = web();
        both.set_ports(Some(40_000), Some(80));
        assert_eq!(words("9c400050/ffffffff at 20", &both), Truth::Yes);
        assert_eq!(words("9c410050/ffffffff at 20", &both), Truth::No);
        ping.frame.set(OfField::IpTos, Value::of(0x10));
        assert_eq!(words("00100000/00ff0000 at 0", &ping), Truth::Yes);
        assert_eq!(words("00200000/00ff0000 at 0", &ping), Truth::No);
    }

    #[test]
    fn words_of_u32() {
        for (shown, expected) in [
            ("00000000/00000000 at 0", Truth::Yes),
            ("0a000000/ffffff00 at 16", Truth::Yes),
            ("0a000100/ffffff00 at 16", Truth::No),
            ("c0000201/ffffffff at 12 (success 3 )", Truth::Yes),
            ("00060000/00ff0000 at 8", Truth::Yes),
            ("00110000/00ff0000 at 8", Truth::No),
            ("00000050/0000ffff at 20", Truth::Yes),
            ("00160000/ffff0000 at 20", Truth::Maybe),
            ("00160051/ffffffff at 20", Truth::No),
            ("00000050/0000ffff at nexthdr+0", Truth::Maybe),
            ("45000000/ff000000 at 0", Truth::Maybe),
            ("0a000000 at 16", Truth::Maybe),
        ] {
            assert_eq!(words(shown, &web()), expected, "{shown}");
        }
    }

    #[test]
    fn protocols_are_those_of_the_outermost_tag() {
        let mut tagged = web();
        tagged.frame.push_tag();
        tagged.frame.set_vlan(5);
        for (shown, untagged, of_tagged) in [
            ("all", Truth::Yes, Truth::Yes),
            ("ip", Truth::Yes, Truth::No),
            ("ipv6", Truth::No, Truth::No),
            ("802.1Q", Truth::No, Truth::Yes),
            ("802.1ad", Truth::No, Truth::Maybe),
            ("[33024]", Truth::Maybe, Truth::Maybe),
        ] {
            assert_eq!(has_protocol(shown, &web()), untagged, "{shown}");
            assert_eq!(has_protocol(shown, &tagged), of_tagged, "{shown}");
        }
        assert_eq!(flower("vlan_id", "5", &tagged), Truth::Yes);
    }
}
