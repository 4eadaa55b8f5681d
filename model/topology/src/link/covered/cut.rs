//! Lists of devices that lack what other texts of the same namespace name.
//!
//! The kernel has no route and no neighbour without a device: where `ip route` names several that
//! the list of devices does not have, the list was cut off, and what it lacks proves nothing. One
//! device that other devices stand around was there when the routes were printed, and is gone.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::ids::Netns;
use tapline_core::records::Batch;

use super::super::Texts;
use crate::coverage::Topic;
use crate::graph::Topology;

/// Names of net-tools 1.60 are cut after this many characters.
const CUT: usize = 9;

/// Takes such lists for partial ones.
pub(super) fn doubt_lists(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let mut listed: BTreeMap<&Netns, BTreeSet<&str>> = BTreeMap::new();
    let mut named: BTreeMap<&Netns, BTreeSet<&str>> = BTreeMap::new();
    for &(source, batch) in &texts.all {
        match batch {
            Batch::Links(links) => {
                for link in links {
                    let netns = link.netns.as_ref().unwrap_or(&source.netns);
                    listed.entry(netns).or_default().insert(link.name.as_str());
                }
            }
            Batch::Routes(routes) => {
                let devices = routes.iter().filter_map(|route| route.dev.as_ref());
                named.entry(&source.netns).or_default().extend(devices.map(|dev| dev.as_str()));
            }
            Batch::Neighbours(neighbours) => {
                let devices = neighbours.iter().filter_map(|neighbour| neighbour.dev.as_ref());
                named.entry(&source.netns).or_default().extend(devices.map(|dev| dev.as_str()));
            }
            _ => {}
        }
    }
    for (netns, devices) in named {
        let Some(listed) = listed.get(netns) else { continue };
        let lacking =
            devices.iter().filter(|device| !is_number(device) && !is_listed(listed, device));
        let lacking: Vec<_> = lacking.copied().collect();
        let nothing_else = listed.iter().all(|device| *device == "lo");
        if let [first, more @ ..] = lacking.as_slice()
            && (!more.is_empty() || nothing_else)
        {
            let more =
                if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
            let why = format!("routes or neighbours name {first}{more}, which it does not list");
            let links = topology.coverage.of(texts.host, netns, Topic::Links).sources().to_vec();
            for topic in [Topic::Links, Topic::LinkDetails, Topic::Addresses, Topic::BridgeMembers]
            {
                // Who lists the members of bridges apart lists them all.
                let coverage = topology.coverage.of(texts.host, netns, topic);
                if coverage.sources().iter().all(|source| links.contains(source)) {
                    topology.coverage.doubt_complete(texts.host, netns, topic, &why);
                }
            }
        }
    }
}

fn is_listed(listed: &BTreeSet<&str>, device: &str) -> bool {
    let head = device.get(..CUT);
    listed.contains(device) || head.is_some_and(|head| listed.contains(head))
}

/// `if7`: `ip` knows only the index of a device that was removed while it ran.
fn is_number(device: &str) -> bool {
    device.strip_prefix("if").is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
}
