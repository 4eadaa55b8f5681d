//! Addresses of devices, without repeats over the texts.
use std::collections::HashSet;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::records::link::Address;
use tapline_core::span::Evidence;

use super::Texts;
use crate::graph::{
    AddressNode, Confidence, EdgeKind, Node, NodeData, NodeId, Seen, Topology, Witness,
    WitnessClass,
};

/// Adds the addresses of all devices of one host.
pub(crate) fn link<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    let ids: Vec<NodeId> = topology.netdevs(texts.host).map(|(id, _, _)| id).collect();
    for netdev in ids {
        let Some(device) = topology.netdev(netdev) else { continue };
        let mut known: HashSet<(IpAddr, u8)> = HashSet::new();
        let mut found: Vec<Seen<'a, Address>> = Vec::new();
        for seen in &device.records {
            for record in &seen.record.addresses {
                if known.insert((record.ip, record.prefix)) {
                    found.push(Seen { source: seen.source, record });
                }
            }
        }
        for record in found {
            add(topology, texts, netdev, record);
        }
    }
}

fn add<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    netdev: NodeId,
    record: Seen<'a, Address>,
) {
    let Address { ip, prefix, at, .. } = *record.record;
    let evidence = Evidence { source: record.source, span: at };
    let netns = topology.node(netdev).and_then(|node| node.netns.clone());
    let id = topology.add(Node {
        host: Some(texts.host),
        netns,
        name: Name::from(format!("{ip}/{prefix}")),
        seen: vec![evidence],
        data: NodeData::Address(AddressNode { ip, prefix, netdev, record }),
    });
    let witnesses = vec![Witness::at(WitnessClass::Kernel, evidence, format!("has {ip}/{prefix}"))];
    topology.connect(netdev, id, EdgeKind::HasAddress, Confidence::Proven, witnesses);
    topology.keys.addresses.entry(ip).or_default().push(id);
}
