//! Whether a policy rule selects a packet.
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::records::route::Rule;

use super::vrf::is_l3mdev;
use super::{Domain, Query, Transport};

/// Three answers to *does the rule select the packet?*
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Match {
    Yes,
    No,
    /// It selects by something that is not known of the packet.
    Open,
}

impl Match {
    fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }

    /// Kernels differ in whether a rule of a packet in a VRF names the device or the VRF.
    fn or_by_vrf(self, dev: &str, domain: &Domain<'_>) -> Self {
        match domain {
            Domain::Default => self,
            Domain::Vrf(vrf) if self == Self::No && vrf.name() != dev => Self::No,
            _ => Self::Open,
        }
    }

    /// Both have to hold.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Yes, Self::Yes) => Self::Yes,
            _ => Self::Open,
        }
    }
}

/// Whether `rule` selects the packet.
pub(super) fn matches(
    rule: &Rule,
    query: &Query<'_>,
    oif: Option<&str>,
    domain: &Domain<'_>,
) -> Match {
    let source = match (rule.from, query.from) {
        (None, _) => Match::Yes,
        (Some(net), Some(from)) => Match::of(contains(net, from)),
        // The kernel looks routes up to choose a source: until then it is 0.0.0.0, which only a
        // prefix of length zero holds (`fib4_rule_match`).
        (Some(net), None) => Match::of(net.prefix_len() == 0),
    };
    let destination = rule.to.map_or(Match::Yes, |net| Match::of(contains(net, query.to)));
    let incoming = rule.iif.as_ref().map_or(Match::Yes, |dev| {
        // What the namespace sends itself comes in by `lo`.
        let is = Match::of(query.iif.unwrap_or("lo") == dev.as_str());
        if query.iif.is_some() { is.or_by_vrf(dev, domain) } else { is }
    });
    let outgoing = rule.oif.as_ref().map_or(Match::Yes, |dev| match (query.iif, oif) {
        // Only a socket that is bound to a device has one.
        (Some(_), _) => Match::No,
        (None, Some(oif)) => Match::of(oif == dev.as_str()).or_by_vrf(dev, domain),
        (None, None) => Match::No.or_by_vrf(dev, domain),
    });
    let mark = rule.fwmark.as_ref().map_or(Match::Yes, |mark| fits_mark(mark, query.mark));
    let rest = rule.other.iter().fold(Match::Yes, |so_far, field| {
        so_far.and(match field.key.as_str() {
            // Notes, and what acts only on the result.
            "proto" | "protocol" | "realms" => Match::Yes,
            key if key.starts_with("suppress_") => Match::Yes,
            "ipproto" => fits_protocol(&field.value.value, query.transport.protocol),
            "sport" => fits_port(&field.value.value, query.transport, query.transport.sport),
            "dport" => fits_port(&field.value.value, query.transport, query.transport.dport),
            "tos" | "dsfield" => fits_service(&field.value.value, query.tos),
            _ if field.value.value == "[detached]" => Match::No,
            _ if field.value.value == "[unresolved]" => Match::Yes,
            _ => Match::Open,
        })
    });
    // `l3mdev` selects what belongs to a VRF.
    let vrf = match domain {
        Domain::Default if is_l3mdev(rule) => Match::No,
        Domain::Unknown if is_l3mdev(rule) => Match::Open,
        _ => Match::Yes,
    };
    let all = [destination, incoming, outgoing, mark, rest, vrf];
    let selected = all.into_iter().fold(source, Match::and);
    match (rule.not, selected) {
        (false, selected) => selected,
        (true, Match::Yes) => Match::No,
        (true, Match::No) => Match::Yes,
        (true, Match::Open) => Match::Open,
    }
}

/// The longest prefix whose routes the rule ignores (`suppress_prefixlength`).
pub(super) fn suppressed_length(rule: &Rule) -> Option<u8> {
    let field = rule.other.iter().find(|field| field.key == "suppress_prefixlength")?;
    field.value.value.parse().ok()
}

/// `ip rule` prints prefixes with the host bits that a person typed.
fn contains(net: IpNet, ip: IpAddr) -> bool {
    net.trunc().contains(&ip)
}

/// Whether a packet bears the type of service that a rule or a route asks for. Kernels differ in
/// whether they look at all of its bits or at those of `IPTOS_RT_MASK`.
pub(super) fn fits_service(wanted: &str, tos: Option<u8>) -> Match {
    const OLD: u8 = 0x1c;
    // Bits of congestion are no part of it.
    const NEW: u8 = 0xfc;
    let number = match wanted.strip_prefix("0x") {
        Some(hex) => u8::from_str_radix(hex, 16).ok(),
        None => wanted.parse().ok().or_else(|| service_called(wanted)),
    };
    let (Some(wanted), Some(tos)) = (number, tos) else { return Match::Open };
    match (wanted & OLD == tos & OLD, wanted & NEW == tos & NEW) {
        (true, true) => Match::Yes,
        (false, false) => Match::No,
        _ => Match::Open,
    }
}

/// The type of service that iproute2 calls so (`/etc/iproute2/rt_dsfield`).
fn service_called(name: &str) -> Option<u8> {
    let digit = |text: &str| text.parse::<u8>().ok();
    match name {
        "default" => Some(0),
        "mincost" => Some(0x02),
        "reliability" => Some(0x04),
        "throughput" => Some(0x08),
        "lowdelay" => Some(0x10),
        "EF" => Some(0xb8),
        // Classes of RFC 2474 and 2597: `CS5`, `AF41`.
        _ => match name.split_at_checked(2)? {
            ("CS", class) => {
                digit(class).filter(|class| (1..8).contains(class)).map(|class| class << 5)
            }
            ("AF", both) => {
                let (class, drops) = both.split_at_checked(1)?;
                let class = digit(class).filter(|class| (1..5).contains(class))?;
                let drops = digit(drops).filter(|drops| (1..4).contains(drops))?;
                Some(class << 5 | drops << 3)
            }
            _ => None,
        },
    }
}

/// `tcp`, `ipv6-icmp`, `47`
fn fits_protocol(wanted: &str, protocol: Option<u8>) -> Match {
    let named = match wanted {
        "icmp" => Some(1),
        "tcp" => Some(6),
        "udp" => Some(17),
        "gre" => Some(47),
        "esp" => Some(50),
        "ah" => Some(51),
        "ipv6-icmp" | "icmpv6" => Some(58),
        "sctp" => Some(132),
        number => number.parse().ok(),
    };
    match (named, protocol) {
        (Some(wanted), Some(protocol)) => Match::of(wanted == protocol),
        _ => Match::Open,
    }
}

/// `80`, `80-90`
fn fits_port(wanted: &str, transport: Transport, port: Option<u16>) -> Match {
    // Protocols with ports: TCP, UDP, DCCP, SCTP, UDP-Lite. Others fit no port.
    if transport.protocol.is_some_and(|protocol| !matches!(protocol, 6 | 17 | 33 | 132 | 136)) {
        return Match::No;
    }
    let (first, last) = wanted.split_once('-').unwrap_or((wanted, wanted));
    match (first.parse::<u16>(), last.parse::<u16>(), port) {
        (Ok(first), Ok(last), Some(port)) => Match::of((first..=last).contains(&port)),
        _ => Match::Open,
    }
}

/// `0x1`, `0x1/0xff`, `10`
fn fits_mark(text: &str, mark: Option<u32>) -> Match {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    let (value, mask) = match text.split_once('/') {
        Some((value, mask)) => (number(value), number(mask)),
        None => (number(text), Some(u32::MAX)),
    };
    match (value, mask, mark) {
        (Some(value), Some(mask), Some(mark)) => Match::of(mark & mask == value & mask),
        _ => Match::Open,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_those_of_protocols_that_have_them() {
        let tcp = Transport { protocol: Some(6), sport: None, dport: Some(85) };
        assert_eq!(fits_port("80-90", tcp, tcp.dport), Match::Yes);
        assert_eq!(fits_port("80", tcp, tcp.dport), Match::No);
        assert_eq!(fits_port("80", tcp, tcp.sport), Match::Open);
        let icmp = Transport { protocol: Some(1), ..Transport::default() };
        assert_eq!(fits_port("80", icmp, icmp.dport), Match::No);
        assert_eq!(fits_port("odd", tcp, tcp.dport), Match::Open);
        assert_eq!(fits_protocol("tcp", Some(6)), Match::Yes);
        assert_eq!(fits_protocol("47", Some(6)), Match::No);
        assert_eq!(fits_protocol("odd", Some(6)), Match::Open);
        assert_eq!(fits_protocol("udp", None), Match::Open);
    }

    #[test]
    fn services_are_named_or_numbers() {
        for (wanted, tos, expected) in [
            ("lowdelay", Some(0), Match::No),
            ("lowdelay", Some(0x10), Match::Yes),
            ("0x10", Some(0x10), Match::Yes),
            ("AF41", Some(0x88), Match::Yes),
            ("CS5", Some(0xa0), Match::Yes),
            ("CS5", Some(0), Match::Open),
            ("CS8", Some(0), Match::Open),
            ("AF44", Some(0), Match::Open),
            ("lowdelay", None, Match::Open),
            ("odd", Some(0), Match::Open),
        ] {
            assert_eq!(fits_service(wanted, tos), expected, "{wanted} {tos:?}");
        }
    }

    #[test]
    fn marks_are_compared_under_their_mask() {
        assert_eq!(fits_mark("0x1/0xff", Some(0x101)), Match::Yes);
        assert_eq!(fits_mark("0x1", Some(0x101)), Match::No);
        assert_eq!(fits_mark("10", Some(10)), Match::Yes);
        assert_eq!(fits_mark("0x1", None), Match::Open);
        assert_eq!(fits_mark("odd", Some(1)), Match::Open);
    }
}
