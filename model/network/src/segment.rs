//! Which devices share an Ethernet segment, as far as captures prove it.
//!
//! Devices are joined through Linux bridges, access ports of one OVS bridge and VLAN, patches
//! between bridges without a controller, and veth pairs. Where a hop cannot be decided, the
//! segment is cut there: two devices of one segment may be told apart, two of different segments
//! are never joined. Hosts are not joined: local VLANs mean nothing to another host.
use std::collections::BTreeMap;

use tapline_topology::graph::NetdevKind;
use tapline_topology::{EdgeKind, NodeId};

use crate::Network;
use crate::defs::DEAD_VLAN;

/// What is joined: a device, or a VLAN of an OVS bridge (0 is untagged).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Part {
    Device(NodeId),
    Vlan(NodeId, u16),
}

/// The segments of all hosts.
#[derive(Clone, Debug, Default)]
pub struct Segments {
    parts: BTreeMap<Part, usize>,
    /// Union-find: a root is its own parent.
    parents: Vec<usize>,
}

impl Segments {
    /// Joins what the topology proves.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all = Self::default();
        all.join_linux_bridges(network);
        all.join_ovs_ports(network);
        all.join_patches(network);
        for (from, edge, to) in network.topology.edges() {
            if edge.kind == EdgeKind::VethPeer {
                all.join(Part::Device(from), Part::Device(to));
            }
        }
        all
    }

    /// The segment of a device; `None` where nothing joins it to another.
    pub fn of(&self, device: NodeId) -> Option<usize> {
        Some(self.root(*self.parts.get(&Part::Device(device))?))
    }

    /// Joins two devices that something else proves to be in one segment.
    pub fn join_devices(&mut self, a: NodeId, b: NodeId) {
        self.join(Part::Device(a), Part::Device(b));
    }

    fn join_linux_bridges(&mut self, network: &Network<'_>) {
        for bridge in network.netdevs().filter(|it| it.kind == NetdevKind::Bridge) {
            let told_apart = bridge.records.iter().any(|it| {
                let data = it.record.kind_data.bridge.as_ref();
                data.and_then(|it| it.vlan_filtering.as_ref()).is_some_and(|it| it.value)
            });
            if told_apart {
                continue;
            }
            for member in network.members(bridge.id) {
                self.join(Part::Device(bridge.id), Part::Device(member.id));
            }
        }
    }

    fn join_ovs_ports(&mut self, network: &Network<'_>) {
        for interface in network.ovs_interfaces() {
            let port = network.topology.find_ovs_port(interface.host, &interface.port);
            let Some(port) = port.and_then(|it| network.ovs_port(it)) else { continue };
            let Some(bridge) = network.topology.find_ovs_bridge(port.host, &port.bridge) else {
                continue;
            };
            let mode = port.vlan_mode.as_ref().map_or("", |it| it.value.as_str());
            let tag = port.tag.as_ref().map_or(0, |it| it.value);
            if tag == DEAD_VLAN || !matches!(mode, "" | "access" | "trunk") {
                continue;
            }
            // Untagged frames of a trunk port belong to VLAN 0.
            let vlan = if mode == "trunk" { 0 } else { tag };
            if let Some(device) = network.device_of(interface.id) {
                self.join(Part::Vlan(bridge, vlan), Part::Device(device.id));
            }
        }
    }

    /// Bridges that a controller programs may change tags on the way; plain ones keep them.
    fn join_patches(&mut self, network: &Network<'_>) {
        let plain = |host, name: &str| {
            let bridge = network.bridge_called(host, name)?;
            let fail_mode = bridge.fail_mode.as_ref().map_or("", |it| it.value.as_str());
            (bridge.controllers.is_empty() && fail_mode != "secure").then_some(bridge.id)
        };
        for (from, edge, to) in network.topology.edges() {
            if edge.kind != EdgeKind::PatchPeer {
                continue;
            }
            let (Some(a), Some(b)) = (network.ovs_interface(from), network.ovs_interface(to))
            else {
                continue;
            };
            if let (Some(a), Some(b)) = (plain(a.host, &a.bridge), plain(b.host, &b.bridge)) {
                self.join(Part::Vlan(a, 0), Part::Vlan(b, 0));
            }
        }
    }

    fn join(&mut self, a: Part, b: Part) {
        let (a, b) = (self.index(a), self.index(b));
        let (a, b) = (self.root(a), self.root(b));
        if let Some(parent) = self.parents.get_mut(a.max(b)) {
            *parent = a.min(b);
        }
    }

    fn index(&mut self, part: Part) -> usize {
        let next = self.parents.len();
        let at = *self.parts.entry(part).or_insert(next);
        if at == next {
            self.parents.push(next);
        }
        at
    }

    fn root(&self, mut at: usize) -> usize {
        while let Some(&parent) = self.parents.get(at) {
            if parent == at {
                break;
            }
            at = parent;
        }
        at
    }
}
