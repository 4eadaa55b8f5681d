//! Megaflows as `dpctl/dump-flows` prints them: their fields, and the packet that they are for.
use tapline_core::ids::Mac;
use tapline_core::records::openflow::OfField;

use crate::flow::Value;

use super::Packet;
use super::packet::mac_number;

/// `name(inner)`, `name=inner` and bare names, split at commas outside of brackets.
pub(super) fn fields(text: &str) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    let mut parts: Vec<&str> = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    for part in parts {
        let part = part.trim();
        let bracket = part.find('(');
        let equals = part.find('=');
        match (bracket, equals) {
            (Some(at), equals) if equals.is_none_or(|equals| at < equals) => {
                let inner = part.get(at + 1..).unwrap_or_default();
                let inner = inner.strip_suffix(')').unwrap_or(inner);
                all.push((part.get(..at).unwrap_or_default(), inner));
            }
            (_, Some(at)) => all
                .push((part.get(..at).unwrap_or_default(), part.get(at + 1..).unwrap_or_default())),
            _ => all.push((part, "")),
        }
    }
    all
}

pub(super) fn value<'t>(fields: &[(&str, &'t str)], name: &str) -> Option<&'t str> {
    fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// The number of `recirc(0x6)`.
pub(super) fn recirculation(actions: &str) -> Option<&str> {
    let rest = actions.split("recirc(").nth(1)?;
    rest.split(')').next()
}

pub(super) fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The packets of a megaflow: what it leaves open, the one that it recirculates to may tell.
pub(super) fn packet(
    first: &[(&str, &str)],
    second: Option<&[(&str, &str)]>,
) -> Result<Packet, &'static str> {
    let mut packet = Packet::new(0);
    packet.frame.set(OfField::EthType, Value::UNKNOWN);
    for field in [OfField::IpTtl, OfField::IpTos, OfField::PktMark, OfField::SkbPriority] {
        packet.frame.set(field, Value::UNKNOWN);
    }
    // The second first, so that the first, which knows the packet as it came, has the last word.
    for part in [second, Some(first)].into_iter().flatten() {
        for (name, inner) in part {
            read(&mut packet, name, inner).ok_or("a match is not understood")?;
        }
    }
    if let Some(second) = second
        && let Some(state) = value(second, "ct_state")
    {
        let state = state.split('/').next().and_then(number).ok_or("a match is not understood")?;
        packet.frame.next_state = Some(u128::from(state) & !32);
        packet.frame.next_mark = Some(0);
    }
    if value(first, "vlan").is_none() {
        packet.frame.set(OfField::VlanTci, Value::of(0));
    }
    if value(first, "tunnel").is_none() {
        packet.leave_tunnel();
    }
    Ok(packet)
}

pub(super) fn read(packet: &mut Packet, name: &str, inner: &str) -> Option<()> {
    let parts = || fields(inner);
    let mut put = |field: OfField, text: &str, read: fn(&str) -> Option<u128>| -> Option<()> {
        let (number, mask) = match text.split_once('/') {
            Some((number, mask)) => (read(number)?, read(mask)?),
            None => (read(text)?, u128::MAX),
        };
        let old = packet.frame.get(field);
        let known = old.known | mask;
        let value = old.value & !mask | number & mask;
        packet.frame.set(field, Value { value, known });
        Some(())
    };
    match name {
        "eth" => {
            for (key, text) in parts() {
                let field = if key == "src" { OfField::EthSrc } else { OfField::EthDst };
                put(field, text, mac)?;
            }
        }
        "eth_type" => {
            let kind = inner.split('/').next().and_then(number);
            if matches!(kind, Some(0x8100 | 0x88a8)) {
                // Of a tagged frame: what it carries is in `encap`.
            } else if inner.starts_with("0/") || inner == "0" {
                put(OfField::EthType, "0x5ff", plain)?;
            } else {
                put(OfField::EthType, inner, plain)?;
            }
        }
        "ipv4" => {
            for (key, text) in parts() {
                match key {
                    "src" => put(OfField::IpSrc, text, four)?,
                    "dst" => put(OfField::IpDst, text, four)?,
                    "proto" => put(OfField::IpProto, text, plain)?,
                    "tos" => put(OfField::IpTos, text, plain)?,
                    "ttl" => put(OfField::IpTtl, text, plain)?,
                    "frag" if text == "no" => put(OfField::IpFrag, "0", plain)?,
                    _ => {}
                }
            }
        }
        "ipv6" => {
            for (key, text) in parts() {
                match key {
                    "src" => put(OfField::Ipv6Src, text, six)?,
                    "dst" => put(OfField::Ipv6Dst, text, six)?,
                    "proto" => put(OfField::IpProto, text, plain)?,
                    "frag" if text == "no" => put(OfField::IpFrag, "0", plain)?,
                    _ => {}
                }
            }
        }
        "arp" => {
            for (key, text) in parts() {
                match key {
                    "sip" => put(OfField::ArpSpa, text, four)?,
                    "tip" => put(OfField::ArpTpa, text, four)?,
                    "op" => put(OfField::ArpOp, text, plain)?,
                    "sha" => put(OfField::ArpSha, text, mac)?,
                    "tha" => put(OfField::ArpTha, text, mac)?,
                    _ => {}
                }
            }
        }
        "tcp" | "udp" | "sctp" => {
            for (key, text) in parts() {
                match key {
                    "src" => put(OfField::TpSrc, text, plain)?,
                    "dst" => put(OfField::TpDst, text, plain)?,
                    _ => {}
                }
            }
        }
        "icmp" | "icmpv6" => {
            for (key, text) in parts() {
                match key {
                    "type" => put(OfField::IcmpType, text, plain)?,
                    "code" => put(OfField::IcmpCode, text, plain)?,
                    _ => {}
                }
            }
        }
        "nd" => {
            for (key, text) in parts() {
                match key {
                    "target" => put(OfField::NdTarget, text, six)?,
                    "sll" => put(OfField::NdSll, text, mac)?,
                    "tll" => put(OfField::NdTll, text, mac)?,
                    _ => {}
                }
            }
        }
        "vlan" => {
            let parts = parts();
            let vid = value(&parts, "vid")?;
            let number = vid.split('/').next()?.parse().ok()?;
            packet.frame.set_vlan(number);
        }
        "tunnel" => {
            for (key, text) in parts() {
                match key {
                    "tun_id" => put(OfField::TunId, text, plain)?,
                    "src" if text.contains('.') => put(OfField::TunSrc, text, four)?,
                    "dst" if text.contains('.') => put(OfField::TunDst, text, four)?,
                    _ => {}
                }
            }
        }
        // What is behind the tag; a second one is not understood.
        "encap" => {
            for (key, text) in parts() {
                if matches!(key, "encap" | "vlan") {
                    return None;
                }
                read(packet, key, text)?;
            }
        }
        // Ports, priorities, and what the connection tracker says.
        _ => {}
    }
    Some(())
}

pub(super) fn plain(text: &str) -> Option<u128> {
    number(text).map(u128::from)
}

pub(super) fn mac(text: &str) -> Option<u128> {
    text.parse::<Mac>().ok().map(mac_number)
}

pub(super) fn four(text: &str) -> Option<u128> {
    text.parse::<std::net::Ipv4Addr>().ok().map(|ip| u128::from(u32::from(ip)))
}

pub(super) fn six(text: &str) -> Option<u128> {
    text.parse::<std::net::Ipv6Addr>().ok().map(u128::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_split_outside_of_brackets() {
        for (text, told) in [
            ("in_port(2),eth(src=a,dst=b)", vec![("in_port", "2"), ("eth", "src=a,dst=b")]),
            ("vid=7,pcp=0", vec![("vid", "7"), ("pcp", "0")]),
            ("drop", vec![("drop", "")]),
            (
                "set(tunnel(tun_id=0x41,dst=192.0.2.2)),3",
                vec![("set", "tunnel(tun_id=0x41,dst=192.0.2.2)"), ("3", "")],
            ),
            // The bracket is a part of the value.
            ("flags=df(1)", vec![("flags", "df(1)")]),
            (" a , b ", vec![("a", ""), ("b", "")]),
        ] {
            assert_eq!(fields(text), told, "{text}");
        }
        assert_eq!(recirculation("ct(zone=1),recirc(0x6)"), Some("0x6"));
        assert_eq!(recirculation("drop"), None);
        assert_eq!((number("0x1f"), number("31"), number("x")), (Some(31), Some(31), None));
    }

    #[test]
    fn each_match_tells_of_the_packet() {
        use OfField as F;
        for (name, inner, field, known) in [
            ("eth", "src=00:00:00:00:00:01,dst=00:00:00:00:00:02", F::EthSrc, Some(1)),
            ("eth", "src=00:00:00:00:00:01,dst=00:00:00:00:00:02", F::EthDst, Some(2)),
            ("eth_type", "0x0800", F::EthType, Some(0x800)),
            ("eth_type", "0/0xffff", F::EthType, Some(0x5ff)),
            ("eth_type", "0", F::EthType, Some(0x5ff)),
            ("ipv4", "src=0.0.0.1,dst=0.0.0.2,proto=6", F::IpSrc, Some(1)),
            ("ipv4", "src=0.0.0.1,dst=0.0.0.2,proto=6", F::IpDst, Some(2)),
            ("ipv4", "src=0.0.0.1,dst=0.0.0.2,proto=6", F::IpProto, Some(6)),
            ("ipv4", "tos=0x10,ttl=64,frag=no", F::IpTos, Some(16)),
            ("ipv4", "tos=0x10,ttl=64,frag=no", F::IpTtl, Some(64)),
            ("ipv4", "src=10.0.0.0/255.0.0.0", F::IpSrc, None),
            ("ipv6", "src=::1,dst=::2,proto=17", F::Ipv6Src, Some(1)),
            ("ipv6", "src=::1,dst=::2,proto=17", F::Ipv6Dst, Some(2)),
            ("ipv6", "src=::1,dst=::2,proto=17", F::IpProto, Some(17)),
            ("arp", "sip=0.0.0.1,tip=0.0.0.2,op=1", F::ArpSpa, Some(1)),
            ("arp", "sip=0.0.0.1,tip=0.0.0.2,op=1", F::ArpTpa, Some(2)),
            ("arp", "sip=0.0.0.1,tip=0.0.0.2,op=1", F::ArpOp, Some(1)),
            ("arp", "sha=00:00:00:00:00:01,tha=00:00:00:00:00:02", F::ArpSha, Some(1)),
            ("arp", "sha=00:00:00:00:00:01,tha=00:00:00:00:00:02", F::ArpTha, Some(2)),
            ("tcp", "src=7,dst=80", F::TpSrc, Some(7)),
            ("tcp", "src=7,dst=80", F::TpDst, Some(80)),
            ("udp", "src=7,dst=53", F::TpDst, Some(53)),
            ("sctp", "src=7,dst=9", F::TpDst, Some(9)),
            ("tcp", "dst=80/0xfff0", F::TpDst, None),
            ("icmp", "type=8,code=3", F::IcmpType, Some(8)),
            ("icmp", "type=8,code=3", F::IcmpCode, Some(3)),
            ("icmpv6", "type=135,code=0", F::IcmpType, Some(135)),
            ("nd", "target=::3,sll=00:00:00:00:00:01", F::NdTarget, Some(3)),
            ("nd", "target=::3,sll=00:00:00:00:00:01", F::NdSll, Some(1)),
            ("nd", "tll=00:00:00:00:00:02", F::NdTll, Some(2)),
            ("tunnel", "tun_id=0x41,src=0.0.0.1,dst=0.0.0.2", F::TunId, Some(0x41)),
            ("tunnel", "tun_id=0x41,src=0.0.0.1,dst=0.0.0.2", F::TunSrc, Some(1)),
            ("tunnel", "tun_id=0x41,src=0.0.0.1,dst=0.0.0.2", F::TunDst, Some(2)),
        ] {
            let mut packet = Packet::new(0);
            packet.frame.set(field, Value::UNKNOWN);
            assert_eq!(read(&mut packet, name, inner), Some(()), "{name}({inner})");
            assert_eq!(packet.frame.known(field.whole()), known, "{name}({inner}) {field:?}");
        }
        let mut packet = Packet::new(0);
        assert_eq!(read(&mut packet, "vlan", "vid=7,pcp=0"), Some(()));
        assert_eq!(packet.vlans(), Some(vec![7]));
        assert_eq!(read(&mut packet, "vlan", "pcp=0"), None);
        assert_eq!(read(&mut packet, "encap", "eth_type(0x0800)"), Some(()));
        assert_eq!(packet.frame.known(OfField::EthType.whole()), Some(0x0800));
        assert_eq!(read(&mut packet, "encap", "vlan(vid=8,pcp=0),encap()"), None);
        assert_eq!(read(&mut packet, "tcp", "dst=http"), None);
        assert_eq!(read(&mut packet, "in_port", "anything"), Some(()));
    }

    #[test]
    fn bits_that_a_mask_leaves_open_are_not_known() {
        let mut packet = Packet::new(0);
        packet.frame.set(OfField::TpDst, Value::UNKNOWN);
        read(&mut packet, "tcp", "dst=80/0xfff0").unwrap();
        let value = packet.frame.get(OfField::TpDst);
        assert_eq!((value.value, value.known), (80, 0xfff0));
        // The other bits stay what they are.
        read(&mut packet, "tcp", "dst=0x3/0x000f").unwrap();
        let value = packet.frame.get(OfField::TpDst);
        assert_eq!((value.value, value.known), (0x53, 0xffff));
    }
}
