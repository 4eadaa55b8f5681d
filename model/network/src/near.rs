//! The nearest packets that would have passed where one is stopped: what a chain or a bridge lets
//! through beside it.
//!
//! Nothing is guessed from how a rule looks: the packet is changed so that it meets the rule, and the
//! whole chain, or all tables, are asked again. Only what passes then is named.
use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use tapline_core::records::filter::Addresses;
use tapline_core::span::Evidence;

/// Values of one protocol that are named.
const NAMED: usize = 8;

/// What a packet would have to be.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Change {
    /// Its protocol.
    pub protocol: Option<u8>,
    /// Its destination port.
    pub port: Option<RangeInclusive<u16>>,
    /// Its type of ICMP.
    pub icmp: Option<u8>,
    /// Its source.
    pub source: Option<Addresses>,
}

/// A packet that would have passed, and the rule that says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Near {
    /// What it would have to be.
    pub change: Change,
    /// The rule.
    pub evidence: Evidence,
}

impl Change {
    /// Whether it says something that can be: only some protocols have ports.
    pub(crate) fn is_possible(&self) -> bool {
        let has_ports = self.protocol.is_none_or(|of| matches!(of, 6 | 17 | 33 | 132 | 136));
        let is_icmp = self.protocol.is_none_or(|of| matches!(of, 1 | 58));
        (self.port.is_none() || has_ports) && (self.icmp.is_none() || is_icmp)
    }

    /// Its ports at both ends of the range; one `None` where it names none.
    pub(crate) fn port_ends(&self) -> Vec<Option<u16>> {
        match &self.port {
            Some(ports) if ports.start() == ports.end() => vec![Some(*ports.start())],
            Some(ports) => vec![Some(*ports.start()), Some(*ports.end())],
            None => vec![None],
        }
    }

    /// The first and the last of its sources; one `None` where it names none.
    pub(crate) fn source_ends(&self) -> Vec<Option<IpAddr>> {
        let Some(source) = &self.source else { return vec![None] };
        if let Some(one) = source.single() {
            return vec![Some(one)];
        }
        let (first, last) = match source {
            Addresses::Range(first, last) => (*first, *last),
            Addresses::Net(IpNet::V4(net)) => {
                let (first, last) = (u32::from(net.network()), u32::from(net.broadcast()));
                let edge = u32::from(net.prefix_len() < 31);
                let ip = |number: u32| IpAddr::V4(number.into());
                (ip(first + edge), ip(last - edge))
            }
            Addresses::Net(IpNet::V6(net)) => {
                (IpAddr::V6(net.network()), IpAddr::V6(net.broadcast()))
            }
        };
        vec![Some(first), Some(last)]
    }

    fn kind(&self) -> String {
        match self.protocol {
            Some(6) => "tcp".to_owned(),
            Some(17) => "udp".to_owned(),
            Some(1) => "icmp".to_owned(),
            Some(58) => "icmp6".to_owned(),
            Some(132) => "sctp".to_owned(),
            Some(other) => format!("protocol {other}"),
            None => "port".to_owned(),
        }
    }

    /// The value within its protocol, with what it is sorted by.
    fn value(&self) -> Option<(u16, String)> {
        if let Some(ports) = &self.port {
            let (first, last) = (*ports.start(), *ports.end());
            let words = if first == last { first.to_string() } else { format!("{first}-{last}") };
            return Some((first, words));
        }
        self.icmp.map(|kind| (u16::from(kind), format!("type {kind}")))
    }
}

fn source_words(source: &Addresses) -> String {
    match source {
        Addresses::Net(net) => {
            source.single().map_or_else(|| net.trunc().to_string(), |one| one.to_string())
        }
        Addresses::Range(first, last) => format!("{first}-{last}"),
    }
}

/// The values of each protocol, and whether any passes.
type Kinds = Vec<(String, Vec<(u16, String)>, bool)>;

/// In a few words: `tcp 22, 80, icmp; tcp 3306 from 10.0.0.0/8`. `None` where there is none.
pub fn words(all: &[Near]) -> Option<String> {
    // By source, then by protocol, in the order of the rules.
    let mut groups: Vec<(Option<String>, Kinds)> = Vec::new();
    for near in all {
        let source = near.change.source.as_ref().map(source_words);
        let at = groups.iter().position(|(known, _)| *known == source);
        let group = match at {
            Some(at) => groups.get_mut(at),
            None => {
                groups.push((source, Vec::new()));
                groups.last_mut()
            }
        };
        let Some((_, kinds)) = group else { continue };
        let kind = near.change.kind();
        let value = near.change.value();
        let whole = value.is_none();
        match kinds.iter_mut().find(|(known, ..)| *known == kind) {
            Some((_, values, any)) => {
                *any |= whole;
                values.extend(value.filter(|value| !values.contains(value)));
            }
            None => kinds.push((kind, value.into_iter().collect(), whole)),
        }
    }
    groups.sort_by_key(|(source, _)| source.is_some());
    let shown = groups.into_iter().map(|(source, kinds)| {
        let kinds = kinds.into_iter().map(|(kind, mut values, any)| {
            if any || values.is_empty() {
                return kind;
            }
            values.sort();
            let more = values.len().saturating_sub(NAMED);
            let named: Vec<String> =
                values.into_iter().take(NAMED).map(|(_, words)| words).collect();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{kind} {}{more}", named.join(", "))
        });
        let kinds = kinds.collect::<Vec<_>>().join(", ");
        match source {
            Some(source) => format!("{kinds} from {source}"),
            None => kinds,
        }
    });
    let shown = shown.collect::<Vec<_>>().join("; ");
    (!shown.is_empty()).then_some(shown)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_some_protocols_have_ports_or_types() {
        for (protocol, port, icmp, possible) in [
            (Some(6), Some(22), None, true),
            (Some(17), Some(22), None, true),
            (Some(132), Some(22), None, true),
            (Some(1), Some(22), None, false),
            (Some(47), Some(22), None, false),
            (None, Some(22), None, true),
            (Some(1), None, Some(8), true),
            (Some(58), None, Some(128), true),
            (Some(6), None, Some(8), false),
            (None, None, Some(8), true),
            (Some(47), None, None, true),
            (Some(6), Some(22), Some(8), false),
        ] {
            let port = port.map(|port: u16| port..=port);
            let change = Change { protocol, port, icmp, source: None };
            assert_eq!(change.is_possible(), possible, "{change:?}");
        }
    }
}
