//! Lines of texts that name a thing, by what they are: routes, neighbours, flows and their like.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::{HostId, Source};
use tapline_core::ids::Netns;
use tapline_core::records::openflow::{Flow, OfPort};
use tapline_core::records::{Batch, route};
use tapline_core::span::{SourceId, Span};
use tapline_network::Network;
use tapline_topology::NodeData;

use super::{Parts, Section, line};
use crate::render::things::Thing;

/// The section of flows.
pub(crate) const FLOWS: &str = "flows";

/// Routes, neighbours, learnt addresses, flows and rules that name a thing.
pub(super) fn sections(
    network: &Network<'_>,
    parts: &Parts,
    thing: &Thing,
    told: &mut BTreeSet<(SourceId, u32)>,
) -> Vec<Section> {
    let snapshot = network.topology.snapshot;
    let netns = match network.topology.node(thing.main) {
        Some(node) if matches!(node.data, NodeData::Netns(_)) => node.host.zip(node.netns.clone()),
        _ => None,
    };
    let mut found: BTreeMap<&'static str, Vec<(&Source, Span)>> = BTreeMap::new();
    let flows = network.flows();
    // What a bridge learnt behind other devices is of others.
    let own: BTreeSet<(HostId, &Netns, &str)> = thing
        .nodes
        .iter()
        .filter_map(|&id| network.netdev(id))
        .map(|device| (device.host, device.netns(), device.name()))
        .collect();
    for (source, reading) in snapshot.iter() {
        let is_device = |name: Option<&tapline_core::Name>| {
            name.is_some_and(|name| {
                parts.devices.iter().any(|(host, netns, device)| {
                    *host == source.host && *netns == source.netns && device == name.as_str()
                })
            })
        };
        let here = netns
            .as_ref()
            .is_some_and(|(host, netns)| *host == source.host && *netns == source.netns);
        let mut put = |what, span| found.entry(what).or_default().push((source, span));
        match &reading.records {
            Batch::Routes(all) => {
                for it in all {
                    let devs = it.nexthops.iter().filter_map(|hop| hop.dev.as_ref());
                    let mut devs = it.dev.iter().chain(devs).map(|dev| &dev.value);
                    let via = |via: &route::Gateway| match via {
                        route::Gateway::Ip(ip) => parts.ips.contains(ip),
                        route::Gateway::Name(_) => false,
                    };
                    let to_it = it.via.as_ref().is_some_and(|it| via(&it.value));
                    let named = here || to_it || devs.any(|dev| is_device(Some(dev)));
                    if named && !is_every_devices(it) {
                        put("routes", it.at);
                    }
                }
            }
            Batch::Neighbours(all) => {
                for it in all {
                    let mac = it.mac.as_ref().is_some_and(|mac| parts.macs.contains(&mac.value));
                    let ip = parts.ips.contains(&it.ip.value);
                    let dev = is_device(it.dev.as_ref().map(|dev| &dev.value));
                    // Multicast, and the device itself.
                    let own = it.states.iter().any(|state| state == "NOARP");
                    if !own && (here || mac || ip || dev) {
                        put("neighbours", it.at);
                    }
                }
            }
            Batch::Fdb(all) => {
                for it in all {
                    let dev = it.dev.as_ref().is_some_and(|dev| {
                        own.contains(&(source.host, &source.netns, dev.value.as_str()))
                    });
                    // What the kernel puts there for every device is no news.
                    let own = it.flags.iter().any(|flag| flag == "permanent")
                        && (it.mac.is_multicast() || dev && parts.macs.contains(&it.mac.value));
                    if !own && (parts.macs.contains(&it.mac.value) || dev) {
                        put("learnt addresses", it.at);
                    }
                }
            }
            Batch::OvsFdb(all) => {
                for it in all {
                    let port = it.bridge.as_ref().is_some_and(|bridge| {
                        let port = it.port.value.clone();
                        parts.ports.contains(&(source.host, bridge.to_string(), port))
                    });
                    if port || parts.macs.contains(&it.mac.value) {
                        put("learnt addresses", it.at);
                    }
                }
            }
            Batch::Flows(all) => {
                for it in all {
                    // Of several dumps of one bridge the one that shows most.
                    let dumped = it.bridge.as_deref().and_then(|it| flows.best(source.host, it));
                    if dumped.is_some_and(|dump| dump.source != source.id) {
                        continue;
                    }
                    let line = source.quote(it.at);
                    if names_port(parts, source.host, it) || names_any(parts, line) {
                        put(FLOWS, it.at);
                    }
                }
            }
            Batch::Netfilter(tables) => {
                for rule in tables.iter().flat_map(|table| &table.rules) {
                    let line = source.quote(rule.at);
                    let here = |(host, netns, _): &&(HostId, Netns, String)| {
                        *host == source.host && *netns == source.netns
                    };
                    let mut devices = parts.devices.iter().filter(here);
                    let mut named = || devices.any(|(_, _, name)| has_word(line, name));
                    if names_ip(parts, line) || named() {
                        put("packet filter", rule.at);
                    }
                }
            }
            _ => {}
        }
    }
    let order = ["routes", "neighbours", "learnt addresses", FLOWS, "packet filter"];
    let section = |what: &'static str| {
        let mut lines = Vec::new();
        let mut texts = BTreeSet::new();
        for (source, span) in found.remove(what).unwrap_or_default() {
            told.insert((source.id, source.line_numbers(span).0));
            let line = line(snapshot, source, span);
            // The same line of the same host in several texts is one.
            lines.extend(line.filter(|line| {
                texts.insert((source.host, source.netns.clone(), steady(&line.text)))
            }));
        }
        (!lines.is_empty()).then_some(Section { what, lines })
    };
    order.into_iter().filter_map(section).collect()
}

/// A flow without cookie, age and statistics; how many packets it had stays.
pub(crate) fn without_counts(text: &str) -> String {
    const COUNTS: &[&str] =
        &["cookie=", "duration=", "n_bytes=", "n_offload", "idle_age=", "hard_age="];
    let says = |word: &&str| !COUNTS.iter().any(|key| word.starts_with(key));
    text.split_whitespace().filter(says).collect::<Vec<_>>().join(" ")
}

/// Routes that the kernel makes for every device.
fn is_every_devices(route: &route::Route) -> bool {
    let local = matches!(route.kind.as_str(), "local" | "broadcast" | "multicast" | "anycast");
    let own = route.destination.as_ref().is_some_and(|net| match net.value.addr() {
        IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast(),
        IpAddr::V4(ip) => ip.is_multicast(),
    });
    local || own
}

/// A line without what counts up from one text to the next.
fn steady(text: &str) -> String {
    let counts = |word: &&str| {
        !["n_packets=", "n_bytes=", "duration=", "idle_age=", "hard_age=", "used"]
            .iter()
            .any(|key| word.starts_with(key))
    };
    text.split_whitespace().filter(counts).collect::<Vec<_>>().join(" ")
}

/// Whether a flow takes packets from a port, or sends them there.
fn names_port(parts: &Parts, host: HostId, flow: &Flow) -> bool {
    let Some(bridge) = &flow.bridge else { return false };
    let is_part = |port: &OfPort| parts.ports.contains(&(host, bridge.to_string(), port.clone()));
    flow.in_port().is_some_and(|port| is_part(&port.value))
        || tapline_network::flows::outputs(flow).any(|(port, _)| is_part(port))
}

fn names_any(parts: &Parts, line: &str) -> bool {
    parts.macs.iter().any(|mac| line.contains(&mac.to_string())) || names_ip(parts, line)
}

fn names_ip(parts: &Parts, line: &str) -> bool {
    parts.ips.iter().any(|ip| has_word(line, &ip.to_string()))
}

/// Whether a text holds a word that is not part of a longer one.
fn has_word(text: &str, word: &str) -> bool {
    // An address of IPv6 goes on behind a colon, a name ends there.
    let colon = word.contains("::");
    let is_part = |byte: Option<u8>| {
        byte.is_some_and(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || colon && byte == b':'
        })
    };
    text.match_indices(word).any(|(at, _)| {
        let bytes = text.as_bytes();
        let before = at.checked_sub(1).and_then(|at| bytes.get(at)).copied();
        let after = bytes.get(at + word.len()).copied();
        // A dot goes on in an address, and ends a sentence.
        let next = bytes.get(at + word.len() + 1).copied();
        let goes_on = after == Some(b'.') && next.is_some_and(|byte| byte.is_ascii_digit());
        !is_part(before) && before != Some(b'.') && !is_part(after) && !goes_on
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        assert!(has_word("nw_src=10.0.0.1 actions", "10.0.0.1"));
        assert!(has_word("10.0.0.1/32", "10.0.0.1"));
        assert!(has_word("is 10.0.0.1.", "10.0.0.1"));
        assert!(!has_word("10.0.0.11", "10.0.0.1") && !has_word("10.0.0.1.2", "10.0.0.1"));
        assert!(!has_word("110.0.0.1", "10.0.0.1") && !has_word("1.10.0.0.1", "10.0.0.1"));
        assert!(!has_word("tap1-x", "tap1") && has_word("7: tap1: <UP>", "tap1"));
        assert!(!has_word("fd00::1:2", "fd00::1") && has_word("fd00::1/64", "fd00::1"));
    }
}
