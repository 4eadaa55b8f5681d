//! Whether a policy rule selects a packet.
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::records::route::Rule;

use super::vrf::is_l3mdev;
use super::{Domain, Query};

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
        (None, None) => Match::Open,
    });
    let mark = rule.fwmark.as_ref().map_or(Match::Yes, |mark| fits_mark(mark, query.mark));
    let rest = rule.other.iter().fold(Match::Yes, |so_far, field| {
        so_far.and(match field.key.as_str() {
            // Notes, and what acts only on the result.
            "proto" | "protocol" | "realms" => Match::Yes,
            key if key.starts_with("suppress_") => Match::Yes,
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
        None => wanted.parse().ok(),
    };
    let (Some(wanted), Some(tos)) = (number, tos) else { return Match::Open };
    match (wanted & OLD == tos & OLD, wanted & NEW == tos & NEW) {
        (true, true) => Match::Yes,
        (false, false) => Match::No,
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
    fn marks_are_compared_under_their_mask() {
        assert_eq!(fits_mark("0x1/0xff", Some(0x101)), Match::Yes);
        assert_eq!(fits_mark("0x1", Some(0x101)), Match::No);
        assert_eq!(fits_mark("10", Some(10)), Match::Yes);
        assert_eq!(fits_mark("0x1", None), Match::Open);
        assert_eq!(fits_mark("odd", Some(1)), Match::Open);
    }
}
