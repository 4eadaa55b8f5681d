//! Which bridge carries a local VLAN of the integration bridge off the host.
//!
//! Neutron gives each network of a host a VLAN on its integration bridge, and leads it out by one
//! of the bridges that are joined with it: one for tunnels, one for each physical network. Flows of
//! that bridge show which VLANs it takes; else the columns of a port of the VLAN show the type of
//! the network; else every one of these bridges may carry it.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology, names};

use crate::Network;
use crate::defs::DEAD_VLAN;
use crate::flows;

/// A bridge that is joined with the integration bridge, or should be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Exit {
    /// The interface on the integration bridge.
    pub near: NodeId,
    /// The interface on the other bridge, where the two are a pair.
    pub far: Option<NodeId>,
    /// The other bridge.
    pub bridge: NodeId,
    /// Tunnels start there.
    tunnels: bool,
}

/// The bridges by which frames leave the integration bridges of all hosts.
#[derive(Debug, Default)]
pub struct Exits {
    all: BTreeMap<HostId, Vec<Exit>>,
    /// Local VLANs that flows of a bridge match, each with the first of these flows.
    matched: BTreeMap<NodeId, BTreeMap<u16, Evidence>>,
    /// Bridges of which a complete dump shows by flows which VLANs they take.
    programmed: BTreeSet<NodeId>,
    /// Whether the network of a local VLAN is an overlay.
    overlay: BTreeMap<(HostId, u16), bool>,
}

impl Exits {
    /// What the topology and the flows show.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut exits = Self::default();
        for host in network.hosts() {
            let integration = network.integration_bridge(host);
            for interface in network.ovs_interfaces_of(host) {
                if interface.bridge == integration
                    && let Some(exit) = exit(network.topology, host, integration, interface.id)
                {
                    exits.all.entry(host).or_default().push(exit);
                }
            }
            for port in network.ovs_ports_of(host).filter(|port| port.bridge == integration) {
                let kind = port.data.other_config.iter().find(|(key, _)| key == "network_type");
                if let (Some((_, kind)), Some(tag)) = (kind, &port.data.tag) {
                    let overlay = matches!(kind.value.as_str(), "vxlan" | "gre" | "geneve");
                    exits.overlay.insert((host, tag.value), overlay);
                }
            }
        }
        exits.read_flows(network);
        for bridge in exits.matched.keys() {
            let complete = network
                .ovs_bridge(*bridge)
                .is_some_and(|bridge| network.flows().best(bridge.host, bridge.name()).is_some());
            if complete {
                exits.programmed.insert(*bridge);
            }
        }
        exits
    }

    /// Partial dumps count too: a flow that is there proves what it says.
    fn read_flows(&mut self, network: &Network<'_>) {
        for (source, all) in network.flow_texts() {
            for flow in all.iter().filter(|flow| !flow.drops()) {
                let Some(vlan) = flows::vlan(flow) else { continue };
                let name = flow.bridge.as_deref().unwrap_or_default();
                let bridge = network.topology.find_ovs_bridge(source.host, name);
                if let Some(bridge) = bridge {
                    let line = Evidence { source: source.id, span: flow.at };
                    self.matched.entry(bridge).or_default().entry(vlan).or_insert(line);
                }
            }
        }
    }

    /// Whether any bridge is joined with the integration bridge of a host.
    pub fn exist(&self, host: HostId) -> bool {
        self.all.get(&host).is_some_and(|all| !all.is_empty())
    }

    /// The bridges by which frames of a local VLAN may leave; one where it is known.
    pub fn of(&self, host: HostId, vlan: u16) -> Vec<Exit> {
        if vlan == DEAD_VLAN {
            return Vec::new();
        }
        let all = self.all.get(&host).map_or(&[][..], Vec::as_slice);
        let by_flow = |exit: &&Exit| {
            self.matched.get(&exit.bridge).is_some_and(|vlans| vlans.contains_key(&vlan))
        };
        let known: Vec<Exit> = all.iter().filter(by_flow).copied().collect();
        if !known.is_empty() {
            return known;
        }
        // A bridge whose flows tell VLANs apart, and not this one, does not carry it.
        let may = |exit: &&Exit| !self.programmed.contains(&exit.bridge);
        match self.overlay.get(&(host, vlan)) {
            Some(overlay) => {
                all.iter().filter(|exit| exit.tunnels == *overlay).filter(may).copied().collect()
            }
            None => all.iter().filter(may).copied().collect(),
        }
    }

    /// Whether flows lead a local VLAN out by tunnels, and one of them; `None` where flows tell
    /// nothing of the VLAN, or lead it out by several bridges.
    pub fn leaves_by_tunnels(&self, host: HostId, vlan: u16) -> Option<(bool, Evidence)> {
        let all = self.all.get(&host)?.iter();
        let mut by_flow = all
            .filter_map(|exit| Some((exit.tunnels, *self.matched.get(&exit.bridge)?.get(&vlan)?)));
        let first = by_flow.next()?;
        by_flow.next().is_none().then_some(first)
    }

    /// Whether frames of a local VLAN may go through a bridge.
    pub fn may_carry(&self, host: HostId, vlan: u16, bridge: NodeId) -> bool {
        self.of(host, vlan).iter().any(|exit| exit.bridge == bridge)
    }

    /// The exit that an interface of the integration bridge leads to.
    pub fn at(&self, host: HostId, interface: NodeId) -> Option<Exit> {
        self.all.get(&host)?.iter().find(|exit| exit.near == interface).copied()
    }
}

/// The bridge behind an interface of the integration bridge: by its patch, its veth, or, where
/// these are broken, by the name that neutron gives.
fn exit(topology: &Topology<'_>, host: HostId, integration: &str, near: NodeId) -> Option<Exit> {
    let node = topology.node(near)?;
    let NodeData::OvsInterface(data) = &node.data else { return None };
    let patch = topology.peer(near, EdgeKind::PatchPeer).map(|(id, _)| id);
    let veth = || {
        let device = topology.into(near, EdgeKind::DeviceOf).first()?.0;
        let (peer, _) = topology.peer(device, EdgeKind::VethPeer)?;
        topology.out(peer, EdgeKind::DeviceOf).first().map(|(id, _)| *id)
    };
    let far = patch.or_else(veth);
    let named = || {
        let name = match node.name.as_str() {
            "patch-tun" => names::TUNNEL_BRIDGE,
            name if data.kind == "patch" => name.strip_prefix("int-")?,
            _ => return None,
        };
        topology.find_ovs_bridge(host, name)
    };
    let bridge = match far {
        Some(far) => match &topology.node(far)?.data {
            NodeData::OvsInterface(it) => topology.find_ovs_bridge(host, &it.bridge)?,
            _ => return None,
        },
        None => named()?,
    };
    let name = topology.node(bridge)?.name.as_str();
    // Bridges of trunk ports lie on the side of the VMs.
    if name == integration || name.starts_with("tbr-") {
        return None;
    }
    let tunnels = name == names::TUNNEL_BRIDGE
        || topology.into(bridge, EdgeKind::OvsPortOf).iter().any(|(port, _)| {
            let interfaces = topology.into(*port, EdgeKind::OvsInterfaceOf);
            interfaces.iter().any(|(id, _)| !topology.into(*id, EdgeKind::TunnelOf).is_empty())
        });
    Some(Exit { near, far, bridge, tunnels })
}
