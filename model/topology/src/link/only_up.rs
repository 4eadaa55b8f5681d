//! Devices that are missing from a list of all devices that are up: they are down.
//!
//! `ifconfig` and `netstat -i` without `-a`, and `ip link show up`, leave out what is down. Other
//! texts tell that such a device exists: `brctl show`, a VLAN on it, Open vSwitch.
use tapline_core::capture::{Command, Completeness};
use tapline_core::ids::Netns;
use tapline_core::records::link::{Link, ONLY_UP};
use tapline_core::span::{Evidence, SourceId, Span};

use super::{Texts, records};
use crate::graph::{Fact, NodeId, Topology};

/// Names of net-tools 1.60 are cut after this many characters.
const CUT: usize = 9;

/// Sets the flags of devices that such a list leaves out.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    for (source, links) in texts.of(records!(Links)) {
        let only_up = Completeness::Partial(ONLY_UP.to_owned());
        if texts.snapshot.completeness(source.id) != only_up {
            continue;
        }
        for id in missing(topology, texts, &source.netns, &source.command, links) {
            if let Some(netdev) = topology.netdev_mut(id) {
                netdev.flags = Some(Fact { value: Vec::new(), evidence: whole(source.id) });
            }
        }
    }
}

/// The devices of a namespace that exist, of which nothing else tells the state, and that are not
/// in `links`.
fn missing(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
    netns: &Netns,
    command: &Command,
    links: &[Link],
) -> Vec<NodeId> {
    let cuts = matches!(command.program(), "ifconfig" | "netstat");
    let devices = topology.netdevs(texts.host);
    let open = devices.filter(|(_, node, netdev)| {
        node.netns.as_ref() == Some(netns) && netdev.flags.is_none() && !netdev.stub
    });
    let absent = open.filter(|(_, node, _)| {
        !links.iter().any(|link| {
            let name = link.name.as_str();
            name == node.name || cuts && name.len() == CUT && node.name.starts_with(name)
        })
    });
    absent.map(|(id, _, _)| id).collect()
}

/// The text as a whole is the evidence: its beginning stands for it.
fn whole(source: SourceId) -> Evidence {
    Evidence { source, span: Span { start: 0, end: 0 } }
}
