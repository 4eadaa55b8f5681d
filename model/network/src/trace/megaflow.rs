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
            if inner.starts_with("0/") || inner == "0" {
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
            packet.frame.push_tag();
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
        "encap" => return None,
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
