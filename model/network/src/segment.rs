//! Which devices share an Ethernet segment, as far as captures prove it.
//!
//! Devices are joined through their domains (see [`crate::l2::Domain`]), patches between bridges
//! without a controller, and veth pairs. Where a hop cannot be decided, the segment is cut there:
//! two devices of one segment may be told apart, two of different segments are never joined. Hosts
//! are not joined: local VLANs mean nothing to another host.
use petgraph::unionfind::UnionFind;
use std::collections::BTreeMap;

use tapline_topology::graph::NetdevKind;
use tapline_topology::{EdgeKind, NodeId};

use crate::Network;
use crate::l2::Domain;

/// What is joined.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Device(NodeId),
    Domain(Domain),
}

/// The segments of all hosts.
#[derive(Clone, Debug)]
pub struct Segments {
    parts: BTreeMap<Part, usize>,
    sets: UnionFind<usize>,
}

impl Segments {
    /// Joins what the topology proves.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all = Self { parts: BTreeMap::new(), sets: UnionFind::new_empty() };
        for device in network.netdevs() {
            if let Some(domain) = network.domain(device.id) {
                all.join(Part::Domain(domain), Part::Device(device.id));
            }
            // A Linux bridge is a device in its own domain.
            let joins = device.kind == NetdevKind::Bridge && !network.members(device.id).is_empty();
            if joins && !network.filters_vlans(device) {
                let own = Domain { bridge: device.id, vlan: 0 };
                all.join(Part::Domain(own), Part::Device(device.id));
            }
        }
        for (from, edge, to) in network.topology.edges() {
            match edge.kind {
                EdgeKind::VethPeer => all.join_devices(from, to),
                EdgeKind::PatchPeer => all.join_patch(network, from, to),
                _ => {}
            }
        }
        all
    }

    /// The segment of a device; `None` where nothing joins it to another.
    pub fn of(&self, device: NodeId) -> Option<usize> {
        Some(self.sets.find(*self.parts.get(&Part::Device(device))?))
    }

    /// Joins two devices that something else proves to be in one segment.
    pub fn join_devices(&mut self, a: NodeId, b: NodeId) {
        self.join(Part::Device(a), Part::Device(b));
    }

    /// Bridges that a controller programs may change tags on the path; plain ones keep them.
    fn join_patch(&mut self, network: &Network<'_>, from: NodeId, to: NodeId) {
        let plain = |end| {
            let interface = network.ovs_interface(end)?;
            let bridge = network.bridge_called(interface.host, &interface.bridge)?.id;
            network.is_plain(bridge).then_some(Domain { bridge, vlan: 0 })
        };
        if let (Some(a), Some(b)) = (plain(from), plain(to)) {
            self.join(Part::Domain(a), Part::Domain(b));
        }
    }

    fn join(&mut self, a: Part, b: Part) {
        let (a, b) = (self.index(a), self.index(b));
        self.sets.union(a, b);
    }

    fn index(&mut self, part: Part) -> usize {
        *self.parts.entry(part).or_insert_with(|| self.sets.new_set())
    }
}
