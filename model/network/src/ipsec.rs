//! What IPsec asks of packets: the policies of namespaces (`ip xfrm policy`).
//!
//! A packet that is to leave is held against those of the direction `out` when its route is looked up;
//! one that is forwarded against `fwd`, one for the host itself against `in` (net/xfrm/xfrm_policy.c,
//! `xfrm_lookup`, `__xfrm_policy_check`).
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::route::Family;
use tapline_core::records::xfrm::{IpsecPolicy, IpsecState, IpsecTemplate, Selector};
use tapline_core::span::Evidence;
use tapline_topology::graph::Seen;

use crate::Network;
use crate::trace::Packet;
use crate::truth::Truth;

/// Which packets are held against a policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    /// For the host itself.
    In,
    /// Those that leave.
    Out,
    /// Those that are forwarded.
    Forward,
}

impl Direction {
    /// The word of `ip`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Forward => "fwd",
        }
    }
}

/// What was captured of one namespace.
#[derive(Debug, Default)]
pub(crate) struct Ipsec<'a> {
    policies: Vec<Seen<'a, IpsecPolicy>>,
    states: Vec<Seen<'a, IpsecState>>,
    whole_states: bool,
}

/// The policies that may be those of a packet.
#[derive(Debug, Default)]
pub(crate) struct Candidates<'a> {
    /// In the order in which they are asked, each with whether the packet meets it.
    pub(crate) found: Vec<(Seen<'a, IpsecPolicy>, Truth)>,
    /// One of them surely is.
    pub(crate) closed: bool,
}

/// What was captured of all namespaces.
pub(crate) type AllIpsec<'a> = BTreeMap<(HostId, &'a Netns), Ipsec<'a>>;

/// Sorts the texts by namespace. The lowest priority is asked first.
pub(crate) fn all<'a>(network: &Network<'a>) -> AllIpsec<'a> {
    let mut all = AllIpsec::new();
    for (source, policies) in network.ipsec_policy_texts() {
        let at = all.entry((source.host, &source.netns)).or_default();
        for record in policies {
            if !at.policies.iter().any(|known| is_same(known.record, record)) {
                at.policies.push(Seen { source: source.id, record });
            }
        }
    }
    for (source, states) in network.ipsec_state_texts() {
        let at = all.entry((source.host, &source.netns)).or_default();
        at.whole_states |= network.topology.snapshot.completeness(source.id).is_complete();
        at.states.extend(states.iter().map(|record| Seen { source: source.id, record }));
    }
    for at in all.values_mut() {
        at.policies.sort_by_key(|policy| policy.record.priority);
    }
    all.retain(|_, at| !at.policies.is_empty());
    all
}

/// Whether two texts show the same policy.
fn is_same(one: &IpsecPolicy, other: &IpsecPolicy) -> bool {
    let dir = |policy: &IpsecPolicy| policy.dir.as_ref().map(|dir| dir.value.clone());
    let ends = |policy: &IpsecPolicy| (policy.selector.src, policy.selector.dst);
    (dir(one), ends(one), one.priority, one.socket, one.if_id)
        == (dir(other), ends(other), other.priority, other.socket, other.if_id)
        && one.selector.proto == other.selector.proto
        && (one.selector.sport, one.selector.dport) == (other.selector.sport, other.selector.dport)
}

impl<'a> Ipsec<'a> {
    /// The policies that may be those of a packet, up to the first that surely is.
    pub(crate) fn of(&self, direction: Direction, packet: &Packet, device: &str) -> Candidates<'a> {
        let mut found = Vec::new();
        let mut sure_at = None;
        for policy in &self.policies {
            let record = policy.record;
            let here = record.dir.as_ref().is_some_and(|dir| dir.value == direction.as_str());
            if !here || record.socket || record.if_id.is_some_and(|id| id != 0) {
                continue;
            }
            // Of several of one priority the order in the kernel decides, which is not printed.
            if sure_at.is_some_and(|priority| record.priority > priority) {
                break;
            }
            let met = is_met(&record.selector, packet, device).and(has_mark(record, packet));
            match met {
                Truth::No => continue,
                Truth::Yes => sure_at = Some(record.priority),
                Truth::Maybe => {}
            }
            found.push((*policy, met));
        }
        let sure = found.iter().filter(|(_, met)| *met == Truth::Yes).count();
        if sure > 1 {
            for (_, met) in &mut found {
                *met = Truth::Maybe;
            }
        }
        Candidates { found, closed: sure > 0 }
    }

    /// Whether there is an association for a template; `None` where that was not captured.
    pub(crate) fn has_state(&self, template: &IpsecTemplate) -> Option<bool> {
        let fits = |state: &&Seen<'a, IpsecState>| {
            let record = state.record;
            let ends = (template.src, template.dst) == (record.src, record.dst)
                || template.dst.is_unspecified();
            ends && template.reqid.is_none_or(|id| id == 0 || record.reqid == Some(id))
        };
        if self.states.iter().any(|state| fits(&state)) {
            return Some(true);
        }
        self.whole_states.then_some(false)
    }
}

/// The first line of a policy.
pub(crate) fn line(policy: &Seen<'_, IpsecPolicy>) -> Evidence {
    Evidence { source: policy.source, span: policy.record.at }
}

fn is_met(selector: &Selector, packet: &Packet, device: &str) -> Truth {
    let family = match packet.family() {
        Family::Inet => selector.src.addr().is_ipv4(),
        Family::Inet6 => selector.src.addr().is_ipv6(),
    };
    if !family {
        return Truth::No;
    }
    let within = |net: &ipnet::IpNet, ip: Option<std::net::IpAddr>| match ip {
        Some(ip) => Truth::from(net.contains(&ip)),
        None if net.prefix_len() == 0 => Truth::Yes,
        None => Truth::Maybe,
    };
    let port = |wanted: Option<u16>, own: Option<u16>| match (wanted, own) {
        (None, _) => Truth::Yes,
        (Some(wanted), Some(own)) => Truth::from(wanted == own),
        (Some(_), None) => Truth::Maybe,
    };
    let proto = match &selector.proto {
        None => Truth::Yes,
        Some(shown) => match number_of(shown) {
            Some(wanted) => packet.protocol().map(|own| own == wanted).into(),
            None => Truth::Maybe,
        },
    };
    let dev = selector.dev.as_ref().is_none_or(|dev| dev.value == device);
    let other = selector.other.iter().any(|field| field.key != "uid");
    within(&selector.src, packet.source())
        .and(within(&selector.dst, packet.destination()))
        .and(proto)
        .and(if proto == Truth::No {
            Truth::No
        } else {
            port(selector.sport, packet.source_port())
        })
        .and(if proto == Truth::No {
            Truth::No
        } else {
            port(selector.dport, packet.destination_port())
        })
        .and(dev.into())
        .and(if other { Truth::Maybe } else { Truth::Yes })
}

/// `0x1/0xff`
fn has_mark(policy: &IpsecPolicy, packet: &Packet) -> Truth {
    let Some(shown) = &policy.mark else { return Truth::Yes };
    let hex = |part: &str| u32::from_str_radix(part.trim_start_matches("0x"), 16).ok();
    let (value, mask) = shown.value.split_once('/').unwrap_or((&shown.value, "ffffffff"));
    let (Some(value), Some(mask)) = (hex(value), hex(mask)) else { return Truth::Maybe };
    let own = packet.mark();
    if own.value & mask & own.known != value & mask & own.known {
        return Truth::No;
    }
    if mask & !own.known == 0 { Truth::Yes } else { Truth::Maybe }
}

fn number_of(shown: &str) -> Option<u8> {
    Some(match shown {
        "tcp" => 6,
        "udp" => 17,
        "icmp" => 1,
        "ipv6-icmp" | "icmpv6" => 58,
        "sctp" => 132,
        "gre" => 47,
        "esp" => 50,
        "ah" => 51,
        "ipv6" => 41,
        "ipencap" | "ipip" => 4,
        other => other.parse().ok()?,
    })
}
