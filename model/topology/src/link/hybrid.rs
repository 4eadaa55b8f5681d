//! The veth pair of a hybrid port where no `ip link` was captured.
//!
//! nova and os-vif make `qbr…`, `qvb…`, `qvo…` and `tap…` of one port id (`nova/virt/libvirt/vif.py`,
//! `os_vif/…/linux_net.py`). `brctl show` has `qvb…`, Open vSwitch has `qvo…`; that they are a pair
//! only their names tell, so the edge is inferred.
use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;

use super::{Texts, netdev};
use crate::coverage::Topic;
use crate::graph::{Confidence, EdgeKind, NetdevKind, NodeId, Topology, Witness, WitnessClass};
use crate::names;

/// A `qvb…` that is known by name only, and its `qvo…`.
struct Pair {
    inner: NodeId,
    outer: Name,
    /// The interface of Open vSwitch.
    seen: Evidence,
}

/// Adds the device `qvo…` where only Open vSwitch speaks of it: it could open the device.
pub(crate) fn devices<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    for pair in pairs(topology, texts) {
        let id = netdev::ensure(topology, texts, &Netns::Root, &pair.outer, pair.seen, false);
        if let Some(netdev) = topology.netdev_mut(id)
            && netdev.kind == NetdevKind::Unknown
        {
            netdev.kind = NetdevKind::Veth;
        }
    }
}

/// Adds the edges, after those that the kernel tells.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    for pair in pairs(topology, texts) {
        let Some(outer) = topology.find_netdev(texts.host, &Netns::Root, &pair.outer) else {
            continue;
        };
        if [pair.inner, outer].iter().any(|it| topology.peer(*it, EdgeKind::VethPeer).is_some()) {
            continue;
        }
        let Some(first) = topology.node(pair.inner).and_then(|node| node.seen.first().copied())
        else {
            continue;
        };
        let words = "the names of one hybrid port";
        let witnesses = [first, pair.seen]
            .into_iter()
            .map(|at| Witness::at(WitnessClass::Name, at, words))
            .collect();
        topology.connect(pair.inner, outer, EdgeKind::VethPeer, Confidence::Inferred, witnesses);
    }
}

fn pairs(topology: &Topology<'_>, texts: &Texts<'_>) -> Vec<Pair> {
    if topology.coverage.is_complete(texts.host, &Netns::Root, Topic::Links) {
        return Vec::new();
    }
    let inner = topology.netdevs(texts.host).filter(|(_, node, netdev)| {
        node.netns.as_ref().is_none_or(Netns::is_root) && netdev.records.is_empty() && !netdev.stub
    });
    let pair = |(id, node): (NodeId, &Name)| {
        let port = node.strip_prefix("qvb").filter(|_| names::port_prefix(node).is_some())?;
        let outer = Name::from(format!("qvo{port}"));
        let interface = topology.find_ovs_interface(texts.host, &outer)?;
        let opened = topology.ovs_interface(interface)?.error.is_none();
        let seen = *topology.node(interface)?.seen.first()?;
        opened.then_some(Pair { inner: id, outer, seen })
    };
    inner.filter_map(|(id, node, _)| pair((id, &node.name))).collect()
}
