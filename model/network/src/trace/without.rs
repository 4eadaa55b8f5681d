//! What a question takes away from what was captured, to see what is lost with it: a NIC, a port, a
//! bridge, a namespace, a host.
//!
//! What the kernel does by itself where a thing goes is done here too: the routes by its devices go,
//! the other members of its bond carry on, and so do the other next hops of a route. What needs a
//! daemon or another protocol is not guessed: where a router of VRRP waits on another host, the
//! answer is *cannot tell*, and where spanning tree would open another port, that stays closed.
use std::collections::BTreeSet;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::NetdevKind;
use tapline_topology::{EdgeKind, NodeData, NodeId, NodeKey};

use crate::l2::Block;
use crate::router::{Duty, Router};
use crate::truth::Truth;
use crate::{Answer, Network, defs, uplink};

use super::{At, End, EndError, Goal, Outcome, Part, Place, Reason, Start, Target, Walk, Way};

/// Devices on devices.
const DEEPEST: u8 = 8;

/// What is taken away.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Without {
    /// Its key.
    pub key: NodeKey,
    /// Its name, as a person says it.
    pub name: String,
    /// What goes with it: devices, interfaces, guests.
    nodes: BTreeSet<NodeId>,
    /// All of a host.
    host: Option<HostId>,
    /// All of a namespace.
    netns: Option<(HostId, Netns)>,
    /// A far end that was not captured.
    remote: Option<IpAddr>,
    /// Hosts on which routers wait that are taken away here.
    standby: Vec<(Netns, HostId)>,
}

impl Without {
    /// What a key names.
    pub fn new(network: &Network<'_>, key: &str) -> Result<Self, EndError> {
        let nothing = || EndError::Nothing(key.to_owned());
        let key: NodeKey = key.parse().map_err(|_| nothing())?;
        let topology = network.topology;
        let id = topology.find(&key).ok_or_else(nothing)?;
        let node = topology.node(id).ok_or_else(nothing)?;
        let name = match (&node.data, node.host) {
            (NodeData::Host(_), Some(host)) => network.host_name(host).to_owned(),
            (NodeData::Netns(_), _) => node.netns.clone().unwrap_or_default().to_string(),
            (NodeData::RemoteHost(far), _) => far.ip.to_string(),
            (NodeData::Netdev(_), _) => {
                let netns = node.netns.clone().unwrap_or_default();
                let within = if netns.is_root() { String::new() } else { format!("{netns}/") };
                format!("{within}{}", node.name)
            }
            _ => topology.name(id),
        };
        let mut without = Self {
            key,
            name,
            nodes: BTreeSet::new(),
            host: None,
            netns: None,
            remote: None,
            standby: Vec::new(),
        };
        match &node.data {
            NodeData::Host(_) => without.host = node.host,
            NodeData::Netns(_) => {
                without.netns = node.host.zip(node.netns.clone());
            }
            NodeData::RemoteHost(far) => without.remote = Some(far.ip),
            NodeData::Address(_) | NodeData::RouteTable(_) => {
                let what = node.data.kind();
                return Err(EndError::Wrong(format!(
                    "{what} {} cannot be taken away: name a NIC, a port, a bridge, a namespace, a VM or a host",
                    without.name
                )));
            }
            _ => {}
        }
        without.add(network, id);
        without.standby = without.standby(network);
        Ok(without)
    }

    /// What goes with a node: the interfaces of a bridge, the VLAN devices of a NIC.
    fn add(&mut self, network: &Network<'_>, node: NodeId) {
        let topology = network.topology;
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            if !self.nodes.insert(node) {
                continue;
            }
            let Some(found) = topology.node(node) else { continue };
            let mut into =
                |kind| open.extend(topology.into(node, kind).into_iter().map(|near| near.0));
            match &found.data {
                NodeData::OvsBridge(_) => into(EdgeKind::OvsPortOf),
                NodeData::OvsPort(_) => into(EdgeKind::OvsInterfaceOf),
                NodeData::OvsInterface(interface) => {
                    into(EdgeKind::TunnelOf);
                    if interface.kind == "internal" {
                        into(EdgeKind::DeviceOf);
                    }
                }
                NodeData::Netdev(_) => {
                    into(EdgeKind::TunnelOf);
                    into(EdgeKind::StackedOn);
                    open.extend(
                        topology.out(node, EdgeKind::DeviceOf).into_iter().map(|near| near.0),
                    );
                }
                NodeData::Vm(_) => into(EdgeKind::NicOf),
                _ => {}
            }
        }
    }

    /// Routers that wait elsewhere for one of those that go.
    fn standby(&self, network: &Network<'_>) -> Vec<(Netns, HostId)> {
        let mut found = Vec::new();
        for gone in network.namespaces().filter(|netns| self.is_gone(netns.host, netns.netns())) {
            if !defs::is_router_netns(gone.netns()) {
                continue;
            }
            for other in network.namespaces() {
                let waits = other.host != gone.host
                    && other.netns() == gone.netns()
                    && !network.may_be_outdated(other.host)
                    && Router::new(network, other).duty(network) != Duty::Serves;
                if waits {
                    found.push((other.netns().clone(), other.host));
                }
            }
        }
        found
    }

    /// Whether a namespace is gone.
    pub(super) fn is_gone(&self, host: HostId, netns: &Netns) -> bool {
        self.host == Some(host)
            || self.netns.as_ref().is_some_and(|(of, gone)| *of == host && gone == netns)
    }

    /// Whether a node is gone.
    pub(super) fn holds(&self, network: &Network<'_>, node: NodeId) -> bool {
        self.nodes.contains(&node)
            || network.topology.node(node).is_some_and(|found| {
                let netns = found.netns.clone();
                found.host.is_some_and(|host| match netns {
                    Some(netns) => self.is_gone(host, &netns),
                    None => self.host == Some(host),
                })
            })
    }

    /// The devices of a namespace that are gone, by name.
    pub(super) fn devices(&self, network: &Network<'_>, host: HostId, netns: &Netns) -> Vec<Name> {
        let devices = self.nodes.iter().filter_map(|node| network.netdev(*node));
        let here = devices.filter(|device| device.host == host && device.netns() == netns);
        here.map(|device| device.name().into()).collect()
    }

    fn holds_target(&self, network: &Network<'_>, target: &Target) -> bool {
        match target {
            Target::Guest(node) | Target::Device(node) => self.holds(network, *node),
            Target::Netns(host, netns) => self.is_gone(*host, netns),
        }
    }

    /// Whether one of the ends of a question is gone itself: nothing can take its place.
    fn holds_end(&self, network: &Network<'_>, from: &Start, goal: &Goal) -> bool {
        let start = match from {
            Start::Guest(node) | Start::Device(node) | Start::Port(node) => {
                self.holds(network, *node)
            }
            Start::Netns(host, netns) => self.is_gone(*host, netns),
            Start::Outside(_) => false,
        };
        let targets = match goal {
            Goal::Things(targets) | Goal::Address { targets, .. } => targets.as_slice(),
            _ => &[],
        };
        let routed = |target: &Target| match target {
            // The address of a router moves to the host that waits.
            Target::Device(device) => {
                network.netdev(*device).is_some_and(|device| defs::is_router_netns(device.netns()))
            }
            Target::Netns(_, netns) => defs::is_router_netns(netns),
            Target::Guest(_) => false,
        };
        let gone = |target: &Target| self.holds_target(network, target) && !routed(target);
        start || !targets.is_empty() && targets.iter().all(gone)
    }
}

impl Walk<'_, '_, '_> {
    /// Whether a node is taken away.
    pub(super) fn is_without(&self, node: NodeId) -> bool {
        self.without.as_ref().is_some_and(|without| without.holds(self.network, node))
    }

    /// Whether a packet is where something is taken away.
    pub(super) fn is_at_gap(&self, at: &At) -> bool {
        let Some(without) = &self.without else { return false };
        match at {
            At::Receive(node)
            | At::Send(node)
            | At::Wire(node)
            | At::Switch(node)
            | At::Guest(node) => self.is_without(*node),
            At::Bridge { bridge, from } => {
                self.is_without(*bridge) || from.is_some_and(|from| self.is_without(from))
            }
            At::Stack(pass) => {
                without.is_gone(pass.host, &pass.netns)
                    || pass.input.is_some_and(|input| self.is_without(input))
            }
            At::Tunnel { endpoint, remote, .. } => {
                let to = self.network.tunnel(*endpoint);
                let to = to.and_then(|end| Some(end.data.remote.as_ref()?.value)).or(*remote);
                self.is_without(*endpoint) || without.remote.is_some() && without.remote == to
            }
        }
    }

    /// Whether frames cannot get from a device to the wire since all that carries it is taken away.
    pub(super) fn is_cut_below(&self, device: NodeId, depth: u8) -> bool {
        if self.without.is_none() || depth > DEEPEST {
            return false;
        }
        self.is_without(device) || {
            let below = self.carriers_of(device);
            let is_cut = |(port, device): &(Option<NodeId>, NodeId)| {
                port.is_some_and(|port| self.is_without(port))
                    || self.is_cut_below(*device, depth + 1)
            };
            !below.is_empty() && below.iter().all(is_cut)
        }
    }

    /// What keeps frames from getting from the wire to a device, and where: each device that carries it,
    /// or what carries that, passes none.
    pub(super) fn blocked_below(&self, device: NodeId, depth: u8) -> Option<(NodeId, Block)> {
        if depth > DEEPEST {
            return None;
        }
        let mut blocked = None;
        for (_, below) in self.carriers_of(device) {
            let block = match self.network.forwarding(below) {
                Answer::Known(Some(block)) => Some((below, block)),
                _ => self.blocked_below(below, depth + 1),
            };
            blocked = Some(block?);
        }
        blocked
    }

    /// The devices by which frames of a device reach the wire, one level down, with the interface of
    /// Open vSwitch where it is a port.
    fn carriers_of(&self, device: NodeId) -> Vec<(Option<NodeId>, NodeId)> {
        let network = self.network;
        let Some(found) = self.device(device) else { return Vec::new() };
        if let Some(interface) = network.interface_of(device).filter(|port| port.kind == "internal")
        {
            let ports = network.ovs_interfaces().filter(|port| {
                port.host == interface.host && port.data.bridge == interface.data.bridge
            });
            return ports
                .filter_map(|port| Some((Some(port.id), network.device_of(port.id)?)))
                .filter(|(_, device)| uplink::is_uplink(device))
                .map(|(port, device)| (port, device.id))
                .collect();
        }
        let alone = |all: Vec<NodeId>| all.into_iter().map(|id| (None, id)).collect();
        match found.kind {
            NetdevKind::Bridge => {
                let members = network.members(device).into_iter();
                alone(members.filter(uplink::is_uplink).map(|member| member.id).collect())
            }
            NetdevKind::Bond | NetdevKind::Team => {
                alone(network.members(device).iter().map(|member| member.id).collect())
            }
            _ => {
                let lower = network.topology.out(device, EdgeKind::StackedOn);
                alone(lower.into_iter().map(|(id, _)| id).collect())
            }
        }
    }

    /// A packet would pass what is taken away.
    pub(super) fn lost_in_gap(&mut self, way: &mut Way, place: Place) {
        let Some(without) = self.without.clone() else { return };
        let mut text = format!("it would pass {}, which is taken away", without.name);
        let ends = without.holds_end(self.network, &self.from, &self.goal);
        let moves = without.standby.first().filter(|_| !ends);
        let (outcome, reached) = match moves {
            Some((netns, host)) => {
                let host = self.network.host_name(*host);
                text.push_str(&format!("; the router {netns} on {host} may take over"));
                (Outcome::Unknown, Truth::Maybe)
            }
            None => (Outcome::Blackholed, Truth::No),
        };
        let end = End {
            reason: Some(Reason::Without),
            reached,
            ..End::new(outcome, text, place, &way.packet)
        };
        way.tip = self.tree.add(way.tip, way.guard.take(), Part::End(Box::new(end)));
    }
}
