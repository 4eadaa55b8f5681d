//! Which bridge carries a local VLAN of the integration bridge off the host.
//!
//! Neutron gives each network of a host a VLAN on its integration bridge, and leads it out by one
//! of the bridges that are joined with it: one for tunnels, one for each physical network. Flows of
//! that bridge show which VLANs it takes; else the columns of a port of the VLAN show the type of
//! the network; else every one of these bridges may carry it.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::openflow::{Action, Flow};
use tapline_core::span::Evidence;
use tapline_topology::{EdgeKind, NodeData, NodeId, Topic, Topology, names};

use crate::Network;
use crate::defs::DEAD_VLAN;
use crate::flows;
use crate::vlans::Unled;

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

/// What flows of a bridge do with a local VLAN.
#[derive(Clone, Copy, Debug)]
struct Matched {
    /// The first of these flows.
    flow: Evidence,
    /// The VLAN that frames have from then on, 0 for none; `None` where it is not known.
    becomes: Option<u16>,
}

/// A bridge that should be joined with the integration bridge, and is not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Lost {
    /// The bridge.
    pub bridge: NodeId,
    /// What shows that the two belong together.
    pub evidence: Evidence,
    /// Tunnels start there.
    tunnels: bool,
    /// Its flows alone say so: they may take the VLANs of something else.
    by_flow: bool,
}

/// Where frames of a local VLAN may go from the integration bridge.
#[derive(Clone, Default, Debug)]
pub struct Ways {
    /// By these.
    pub exits: Vec<Exit>,
    /// To these, if anything led there.
    pub lost: Vec<Lost>,
}

impl Ways {
    /// Whether it is not known which of several is taken.
    pub fn are_several(&self) -> bool {
        self.exits.len() + self.lost.len() > 1
    }

    /// The bridge that the frames need and do not come to, whatever way they would take.
    pub fn missed(&self) -> Option<Lost> {
        let known = self.exits.is_empty() && self.lost.iter().all(|lost| !lost.by_flow);
        self.lost.first().copied().filter(|_| known)
    }
}

/// The bridges by which frames leave the integration bridges of all hosts.
#[derive(Debug, Default)]
pub struct Exits {
    all: BTreeMap<HostId, Vec<Exit>>,
    /// Only where the ports of the host's bridges are all captured.
    lost: BTreeMap<HostId, Vec<Lost>>,
    /// Local VLANs that flows of a bridge match.
    matched: BTreeMap<NodeId, BTreeMap<u16, Matched>>,
    /// Bridges of which a complete dump shows by flows which VLANs they take.
    programmed: BTreeSet<NodeId>,
    /// Whether the network of a local VLAN is an overlay.
    overlay: BTreeMap<(HostId, u16), bool>,
    /// Local VLANs of ports that should leave, and that the flows of every bridge drop.
    unled: BTreeMap<(HostId, u16), Unled>,
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
        for host in network.hosts() {
            exits.find_lost(network, host);
            let local = network.local_vlans(host);
            for vlan in local.ports.keys() {
                exits.unled.extend(local.unled(*vlan).map(|unled| ((host, *vlan), unled)));
            }
        }
        exits
    }

    /// Bridges that nothing joins with the integration bridge of a host, though their flows take its
    /// VLANs, their patch names a port of it, or neutron makes them for that alone.
    fn find_lost(&mut self, network: &Network<'_>, host: HostId) {
        let Some(integration) = network.integration(host) else { return };
        if !network.complete(host, &Netns::Root, Topic::Ovs) {
            return;
        }
        let joined: BTreeSet<NodeId> =
            self.all.get(&host).into_iter().flatten().map(|exit| exit.bridge).collect();
        let mut lost = Vec::new();
        for bridge in network.ovs_bridges_of(host) {
            let is_other =
                bridge.id != integration.id && !names::is_bridge_of_one_port(bridge.name());
            if !is_other || joined.contains(&bridge.id) {
                continue;
            }
            let by_flow =
                || self.matched.get(&bridge.id)?.values().next().map(|matched| matched.flow);
            let by_patch = || {
                let mut ports = network.ovs_interfaces_of(host);
                ports.find_map(|port| {
                    let peer = port.data.option("peer").filter(|_| port.bridge == bridge.name())?;
                    leads_to(&peer.value, bridge.name()).then_some(peer.evidence)
                })
            };
            let by_name = || (bridge.name() == names::TUNNEL_BRIDGE).then(|| bridge.place())?;
            let sure = by_patch().or_else(by_name);
            if let Some(evidence) = sure.or_else(by_flow) {
                let tunnels = has_tunnels(network.topology, bridge.id, bridge.name());
                let by_flow = sure.is_none();
                lost.push(Lost { bridge: bridge.id, evidence, tunnels, by_flow });
            }
        }
        if !lost.is_empty() {
            self.lost.insert(host, lost);
        }
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
                    let becomes = becomes(flow);
                    let known = self.matched.entry(bridge).or_default();
                    let known = known.entry(vlan).or_insert(Matched { flow: line, becomes });
                    known.becomes = known.becomes.filter(|vlan| Some(*vlan) == becomes);
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
        self.ways(host, vlan).exits
    }

    /// The bridges that frames of a local VLAN come to: those by which they may leave, else those whose
    /// flows should lead them on and drop them.
    pub(crate) fn reached(&self, host: HostId, vlan: u16) -> Vec<Exit> {
        let leave = self.of(host, vlan);
        let Some(unled) = self.unled.get(&(host, vlan)).filter(|_| leave.is_empty()) else {
            return leave;
        };
        let is_meant = |_, tunnels| unled.by_tunnels.is_none_or(|by_tunnels| by_tunnels == tunnels);
        let ways = self.ways_if(host, is_meant);
        if ways.lost.is_empty() { ways.exits } else { Vec::new() }
    }

    /// Whether it may be that a local VLAN is led out nowhere since no other host has its network.
    pub(crate) fn may_be_alone(&self, host: HostId, vlan: u16) -> bool {
        self.unled.get(&(host, vlan)).is_some_and(|unled| unled.may_be_alone)
    }

    /// Where frames of a local VLAN may go; one way where it is known.
    pub fn ways(&self, host: HostId, vlan: u16) -> Ways {
        if vlan == DEAD_VLAN {
            return Ways::default();
        }
        let matches = |bridge: NodeId| {
            self.matched.get(&bridge).is_some_and(|vlans| vlans.contains_key(&vlan))
        };
        let mut known = self.ways_if(host, |bridge, _| matches(bridge));
        if !known.exits.is_empty() {
            known.lost.retain(|lost| !lost.by_flow);
        }
        if !known.exits.is_empty() || !known.lost.is_empty() {
            return known;
        }
        let overlay = self.overlay.get(&(host, vlan));
        self.ways_if(host, |bridge, tunnels| {
            // A bridge whose flows tell VLANs apart, and not this one, does not carry it.
            !self.programmed.contains(&bridge) && overlay.is_none_or(|overlay| *overlay == tunnels)
        })
    }

    /// The bridges that should be joined with the integration bridge of a host, and are not.
    pub fn lost_of(&self, host: HostId) -> &[Lost] {
        self.lost.get(&host).map_or(&[], Vec::as_slice)
    }

    fn ways_if(&self, host: HostId, take: impl Fn(NodeId, bool) -> bool) -> Ways {
        let all = self.all.get(&host).map_or(&[][..], Vec::as_slice);
        let exits = all.iter().filter(|exit| take(exit.bridge, exit.tunnels)).copied().collect();
        let lost = self.lost_of(host).iter();
        let lost = lost.filter(|lost| take(lost.bridge, lost.tunnels)).copied().collect();
        Ways { exits, lost }
    }

    /// Whether flows lead a local VLAN out by tunnels, and one of them; `None` where flows tell
    /// nothing of the VLAN, or lead it out by several bridges.
    pub fn leaves_by_tunnels(&self, host: HostId, vlan: u16) -> Option<(bool, Evidence)> {
        let all = self.all.get(&host)?.iter();
        let mut by_flow = all.filter_map(|exit| {
            Some((exit.tunnels, self.matched.get(&exit.bridge)?.get(&vlan)?.flow))
        });
        let first = by_flow.next()?;
        by_flow.next().is_none().then_some(first)
    }

    /// Whether frames of a local VLAN may go through a bridge.
    pub fn may_carry(&self, host: HostId, vlan: u16, bridge: NodeId) -> bool {
        self.of(host, vlan).iter().any(|exit| exit.bridge == bridge)
    }

    /// The VLAN that frames of a local VLAN have on the bridge behind an exit: as its flows say, or
    /// the same where it floods by itself.
    pub fn vlan_behind(&self, network: &Network<'_>, exit: Exit, vlan: u16) -> Option<u16> {
        match self.matched.get(&exit.bridge).and_then(|vlans| vlans.get(&vlan)) {
            Some(matched) => matched.becomes,
            None => network.is_plain(exit.bridge).then_some(vlan),
        }
    }

    /// The exit that leads to a bridge.
    pub(crate) fn to(&self, host: HostId, bridge: NodeId) -> Option<Exit> {
        self.all.get(&host)?.iter().find(|exit| exit.bridge == bridge).copied()
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
    if name == integration || names::is_bridge_of_one_port(name) {
        return None;
    }
    Some(Exit { near, far, bridge, tunnels: has_tunnels(topology, bridge, name) })
}

/// Whether tunnels start at a bridge.
fn has_tunnels(topology: &Topology<'_>, bridge: NodeId, name: &str) -> bool {
    name == names::TUNNEL_BRIDGE
        || topology.into(bridge, EdgeKind::OvsPortOf).iter().any(|(port, _)| {
            let interfaces = topology.into(*port, EdgeKind::OvsInterfaceOf);
            interfaces.iter().any(|(id, _)| !topology.into(*id, EdgeKind::TunnelOf).is_empty())
        })
}

/// Whether a patch port of a bridge names, by its peer, the port that neutron's agent gives the
/// integration bridge for that bridge.
fn leads_to(peer: &str, bridge: &str) -> bool {
    peer.strip_prefix("int-") == Some(bridge)
        || peer == "patch-tun" && bridge == names::TUNNEL_BRIDGE
}

/// The VLAN that a flow leaves frames with, where it forwards them as a learning switch does and
/// changes nothing else of the tag; 0 is none.
fn becomes(flow: &Flow) -> Option<u16> {
    let [change, forward] = flow.actions.as_slice() else { return None };
    if forward.action != Action::Normal {
        return None;
    }
    match change.action {
        Action::StripVlan => Some(0),
        _ => flows::sets_vlan(flow),
    }
}

#[cfg(test)]
mod tests {
    use tapline_core::capture::{Command, FormatId};
    use tapline_core::records::Batch;

    use super::*;

    #[test]
    fn patches_of_the_agent_name_the_bridge_that_they_lead_to() {
        for (peer, bridge, told) in [
            ("int-br-ex", "br-ex", true),
            ("int-br-ex", "br-vlan", false),
            ("br-ex", "br-ex", false),
            ("patch-tun", "br-tun", true),
            ("patch-tun", "br-ex", false),
            ("patch-int", "br-tun", false),
        ] {
            assert_eq!(leads_to(peer, bridge), told, "{peer} {bridge}");
        }
    }

    #[test]
    fn flows_that_forward_set_one_vlan_and_no_more() {
        for (actions, vlan) in [
            ("strip_vlan,NORMAL", Some(0)),
            ("mod_vlan_vid:5,NORMAL", Some(5)),
            ("mod_vlan_vid:5,output:2", None),
            ("NORMAL", None),
            ("mod_vlan_vid:5", None),
            ("mod_vlan_vid:5,mod_vlan_pcp:1,NORMAL", None),
            ("output:2,NORMAL", None),
        ] {
            let read =
                tapline_formats::registry::by_id(FormatId("ovs-ofctl-dump-flows")).unwrap().read;
            let text = format!(
                " cookie=0x0, duration=9s, table=0, n_packets=0, n_bytes=0, priority=1 actions={actions}\n"
            );
            let out = read(&text, &Command::new("ovs-ofctl dump-flows br-int"));
            let Batch::Flows(flows) = out.records else { panic!("{actions}") };
            assert_eq!(flows.first().and_then(becomes), vlan, "{actions}");
        }
    }
}
