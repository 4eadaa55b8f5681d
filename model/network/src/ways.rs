//! Which bridge carries a local VLAN of the integration bridge off the host.
//!
//! Neutron gives each network of a host a VLAN on `br-int`, and leads it out by one of the bridges
//! that are joined with it: one for tunnels, one for each physical network. Flows of that bridge
//! tell which VLANs it takes; else the columns of a port of the VLAN tell the type of the network.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::records::Batch;
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

use crate::defs::DEAD_VLAN;

/// The integration bridge of neutron and OVN.
pub const INTEGRATION: &str = "br-int";

/// A bridge that is joined with the integration bridge, or should be.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    /// The interface on the integration bridge.
    pub near: NodeId,
    /// The interface on the other bridge, where the two are a pair.
    pub far: Option<NodeId>,
    /// The other bridge.
    pub bridge: NodeId,
    /// Tunnels start there.
    tunnels: bool,
}

/// The ways out of all hosts.
#[derive(Debug, Default)]
pub struct Ways {
    outs: BTreeMap<HostId, Vec<Out>>,
    /// Local VLANs that flows of a bridge match.
    matched: BTreeMap<NodeId, BTreeSet<u16>>,
    /// Whether the network of a local VLAN is an overlay.
    overlay: BTreeMap<(HostId, u16), bool>,
}

impl Ways {
    /// What the topology and the flows tell.
    pub fn new(topology: &Topology<'_>) -> Self {
        let mut ways = Self::default();
        for (id, node) in topology.nodes() {
            let Some(host) = node.host else { continue };
            match &node.data {
                NodeData::OvsInterface(it) if it.bridge == INTEGRATION => {
                    if let Some(out) = out(topology, host, id) {
                        ways.outs.entry(host).or_default().push(out);
                    }
                }
                NodeData::OvsPort(it) if it.bridge == INTEGRATION => {
                    let kind = it.other_config.iter().find(|(key, _)| key == "network_type");
                    if let (Some((_, kind)), Some(tag)) = (kind, &it.tag) {
                        let overlay = matches!(kind.value.as_str(), "vxlan" | "gre" | "geneve");
                        ways.overlay.insert((host, tag.value), overlay);
                    }
                }
                _ => {}
            }
        }
        ways.read_flows(topology);
        ways
    }

    fn read_flows(&mut self, topology: &Topology<'_>) {
        for (source, reading) in topology.snapshot.iter() {
            let Batch::Flows(flows) = &reading.records else { continue };
            for flow in flows.iter().filter(|it| !it.drops()) {
                let Some(vlan) = flow.matched("dl_vlan").and_then(|it| number(&it.value)) else {
                    continue;
                };
                let name = flow.bridge.as_deref().unwrap_or_default();
                let Some(bridge) = topology.find_ovs_bridge(source.host, name) else { continue };
                self.matched.entry(bridge).or_default().insert(vlan);
            }
        }
    }

    /// The ways that a local VLAN may take out of the host; one where it is told.
    pub fn of(&self, host: HostId, vlan: u16) -> Vec<Out> {
        if vlan == DEAD_VLAN {
            return Vec::new();
        }
        let all = self.outs.get(&host).map_or(&[][..], Vec::as_slice);
        let by_flow = |it: &&Out| self.matched.get(&it.bridge).is_some_and(|it| it.contains(&vlan));
        let told: Vec<Out> = all.iter().filter(by_flow).copied().collect();
        if !told.is_empty() {
            return told;
        }
        // A bridge whose flows were captured and do not know the VLAN does not carry it; but all
        // of them may be told by an old capture.
        match self.overlay.get(&(host, vlan)) {
            Some(overlay) => all.iter().filter(|it| it.tunnels == *overlay).copied().collect(),
            None => all.to_vec(),
        }
    }

    /// Whether frames of a local VLAN may go through a bridge.
    pub fn may_carry(&self, host: HostId, vlan: u16, bridge: NodeId) -> bool {
        self.of(host, vlan).iter().any(|it| it.bridge == bridge)
    }

    /// The bridge to which an interface of the integration bridge leads.
    pub fn behind(&self, host: HostId, interface: NodeId) -> Option<NodeId> {
        let all = self.outs.get(&host)?;
        all.iter().find(|it| it.near == interface).map(|it| it.bridge)
    }
}

/// The bridge behind an interface of the integration bridge: by its patch, its veth, or, where
/// these are broken, by the name that neutron gives.
fn out(topology: &Topology<'_>, host: HostId, near: NodeId) -> Option<Out> {
    let node = topology.node(near)?;
    let NodeData::OvsInterface(data) = &node.data else { return None };
    let patch = topology.peer(near, EdgeKind::PatchPeer).map(|(id, _)| id);
    let veth = || {
        let device = topology.into(near, EdgeKind::DeviceOf).first()?.0;
        let (peer, _) = topology.peer(device, EdgeKind::VethPeer)?;
        topology.out(peer, EdgeKind::DeviceOf).first().map(|it| it.0)
    };
    let far = patch.or_else(veth);
    let named = || {
        let name = match node.name.as_str() {
            "patch-tun" => "br-tun",
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
    if name == INTEGRATION || name.starts_with("tbr-") {
        return None;
    }
    let tunnels = name == "br-tun"
        || topology.into(bridge, EdgeKind::OvsPortOf).iter().any(|(port, _)| {
            let interfaces = topology.into(*port, EdgeKind::OvsInterfaceOf);
            interfaces.iter().any(|it| !topology.into(it.0, EdgeKind::TunnelOf).is_empty())
        });
    Some(Out { near, far, bridge, tunnels })
}

/// `5`, `0x5`
fn number(text: &str) -> Option<u16> {
    match text.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}
