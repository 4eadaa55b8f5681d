//! What a chain lets pass that is nearly like a packet that it stops.
use tapline_core::records::filter::{Condition, Test};
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;

use super::{Address, Judgement, Packet, Verdict};
use crate::near::{Change, Near};

/// Changes that are tried for one packet.
const MOST_TRIES: usize = 64;
/// Values that are taken from one rule.
const MOST_VALUES: usize = 16;

/// A rule that a packet did not meet, and the conditions that it fails.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Miss {
    /// The rule.
    pub evidence: Evidence,
    /// What it would have to meet.
    pub failed: Vec<Condition>,
}

/// What would have passed instead of a packet that is stopped; `judge` asks the whole chain.
pub fn nearest(
    packet: &Packet,
    misses: &[Miss],
    judge: impl Fn(&Packet) -> Option<Judgement>,
) -> Vec<Near> {
    let verdict = |packet: &Packet| judge(packet).map(|judgement| judgement.verdict());
    if !matches!(verdict(packet), Some(Verdict::Drop | Verdict::Reject)) {
        return Vec::new();
    }
    let mut tried: Vec<Change> = Vec::new();
    let mut found = Vec::new();
    for miss in misses {
        for change in changes(packet, &miss.failed) {
            if tried.contains(&change) || tried.len() >= MOST_TRIES {
                continue;
            }
            tried.push(change.clone());
            let all = variants(packet, &change);
            if all.iter().all(|changed| verdict(changed) == Some(Verdict::Accept)) {
                found.push(Near { change, evidence: miss.evidence });
            }
        }
    }
    found
}

/// What a packet would have to be to meet conditions; nothing where more than its protocol, port,
/// type and source stands against it.
fn changes(packet: &Packet, failed: &[Condition]) -> Vec<Change> {
    let mut change = Change { protocol: packet.protocol, ..Change::default() };
    let mut ports = vec![None];
    let mut sources = vec![None];
    for condition in failed {
        if condition.not {
            return Vec::new();
        }
        match &condition.test {
            Test::Protocol(all) if !all.is_empty() => change.protocol = all.first().copied(),
            Test::DestinationPort(all) => ports = all.iter().cloned().map(Some).collect(),
            Test::Source(all) => sources = all.iter().copied().map(Some).collect(),
            Test::Icmp { kinds, codes: None } => {
                let Some(kind) = kinds.first() else { return Vec::new() };
                change.icmp = Some(*kind);
                let of_family = if packet.family == Family::Inet6 { 58 } else { 1 };
                change.protocol = Some(of_family);
            }
            _ => return Vec::new(),
        }
    }
    let mut all = Vec::new();
    for port in ports.iter().take(MOST_VALUES) {
        for source in sources.iter().take(MOST_VALUES) {
            let one = Change { port: port.clone(), source: *source, ..change.clone() };
            if one.is_possible() {
                all.push(one);
            }
        }
    }
    all
}

/// The packets at the ends of a change.
fn variants(packet: &Packet, change: &Change) -> Vec<Packet> {
    let mut all = Vec::new();
    for port in change.port_ends() {
        for source in change.source_ends() {
            let mut changed = packet.clone();
            changed.explain = false;
            if change.protocol != packet.protocol {
                changed.protocol = change.protocol;
                changed.icmp = None;
                let has_ports = matches!(change.protocol, Some(6 | 17 | 132));
                changed.source_port = has_ports.then_some(40000);
                changed.destination_port = None;
                // The first packet of a connection.
                changed.tcp_flags = (change.protocol == Some(6)).then_some(2);
            }
            if port.is_some() {
                changed.destination_port = port;
            }
            if let Some(kind) = change.icmp {
                changed.icmp = Some((kind, 0));
            }
            if let Some(source) = source {
                changed.source = Address::Known(source);
            }
            all.push(changed);
        }
    }
    all
}
