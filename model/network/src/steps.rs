//! The way from a thing to its guest and to the wire.
//!
//! From any node two trees grow: *up* to what uses the network (a VM, a namespace, a stack of
//! devices in root) and *down* to the wire (a NIC, the far end of a tunnel). A frame of a VM goes
//!
//! ```text
//! VM → NIC → tap → qbr → qvb ⇄ qvo → port (tag) → br-int ┬ patch ⇄ patch → br-ex → NIC
//!                                                        └ patch ⇄ patch → br-tun → tunnel → remote
//! ```
//!
//! Bridges are where ways fan out, so each member of a bridge has a [`Side`]: NICs, bonds, VLANs
//! and tunnels lie down, VMs and namespaces up. Between two bridges (patch ports, veth pairs) the
//! one nearer to the guests is up: bridges have a rank by what else is in them. Going down from a
//! VM thus passes `br-int` only towards other bridges and the wire and does not list the other
//! VMs; going up from a NIC lists them all.
//!
//! Each node is expanded once per tree; a second arrival is a hop that is marked. Size and depth
//! are bounded.
use std::collections::{HashMap, HashSet};

use crate::graph::{Edge, EdgeKind, NetdevKind, NodeData, NodeId, Topology};
use crate::names;

/// Hops of one tree.
const MAX_HOPS: usize = 20_000;

/// Hops from the start to a leaf.
const MAX_DEPTH: usize = 64;

/// The ways from a node.
#[derive(Clone, Debug)]
pub struct Chain<'t> {
    /// Where both trees start. For an address its device.
    pub start: NodeId,
    /// Towards VMs and namespaces.
    pub up: Vec<Hop<'t>>,
    /// Towards the wire.
    pub down: Vec<Hop<'t>>,
    /// A bound was reached: there is more.
    pub cut: bool,
}

/// One step of a way.
#[derive(Clone, Debug)]
pub struct Hop<'t> {
    /// Where it leads.
    pub node: NodeId,
    /// The relation that it follows, with its witnesses.
    pub edge: &'t Edge,
    /// The edge starts at the node before; its name reads in that direction.
    pub forward: bool,
    /// The node was reached before in this tree: its further ways are there.
    pub again: bool,
    /// Further hops.
    pub next: Vec<Hop<'t>>,
}

/// Which way a tree grows.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Way {
    /// Towards VMs and namespaces.
    Up,
    /// Towards the wire.
    Down,
}

/// Where a member of a bridge leads, seen from the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Side {
    /// To a guest, a namespace or a bridge nearer to these.
    Up,
    /// To the wire.
    Down,
    /// To a bridge of the same rank.
    Both,
    /// Nowhere: the bridge's own device without an address.
    Nowhere,
}

impl Side {
    fn is(self, way: Way) -> bool {
        matches!((self, way), (Self::Both, _) | (Self::Up, Way::Up) | (Self::Down, Way::Down))
    }
}

/// The ways from `node`. For many nodes of one topology, ask one [`Chains`].
pub fn chain<'t>(topology: &'t Topology<'_>, node: NodeId) -> Chain<'t> {
    Chains::new(topology).of(node)
}

/// Finds ways and remembers what it learned of bridges.
#[derive(Debug)]
pub struct Chains<'t, 'a> {
    topology: &'t Topology<'a>,
    ranks: HashMap<NodeId, u8>,
    /// Members of a bridge on one side.
    members: HashMap<(NodeId, Way), Vec<Step<'t>>>,
    hops: usize,
    cut: bool,
}

/// A step that can be taken: where it leads, by which edge, and whether the edge starts here.
pub type Step<'t> = (NodeId, &'t Edge, bool);

impl<'t, 'a> Chains<'t, 'a> {
    /// Over this topology.
    pub fn new(topology: &'t Topology<'a>) -> Self {
        let (ranks, members) = (HashMap::new(), HashMap::new());
        Self { topology, ranks, members, hops: 0, cut: false }
    }

    /// The ways from `node`.
    pub fn of(&mut self, node: NodeId) -> Chain<'t> {
        let start = match self.topology.node(node).map(|it| &it.data) {
            Some(NodeData::Address(it)) => it.netdev,
            _ => node,
        };
        self.cut = false;
        let up = self.tree(start, Way::Up);
        let down = self.tree(start, Way::Down);
        Chain { start, up, down, cut: self.cut }
    }

    /// The ways from `node` towards VMs and namespaces.
    pub fn up(&mut self, node: NodeId) -> Vec<Hop<'t>> {
        let start = match self.topology.node(node).map(|it| &it.data) {
            Some(NodeData::Address(it)) => it.netdev,
            _ => node,
        };
        self.tree(start, Way::Up)
    }

    /// The ways from `node` towards the wire.
    pub fn down(&mut self, node: NodeId) -> Vec<Hop<'t>> {
        self.tree(node, Way::Down)
    }

    fn tree(&mut self, start: NodeId, way: Way) -> Vec<Hop<'t>> {
        self.hops = 0;
        let mut seen = HashSet::from([start]);
        self.grow(start, None, way, 0, &mut seen)
    }

    fn grow(
        &mut self,
        at: NodeId,
        from: Option<NodeId>,
        way: Way,
        depth: usize,
        seen: &mut HashSet<NodeId>,
    ) -> Vec<Hop<'t>> {
        let mut hops = Vec::new();
        for (node, edge, forward) in self.steps(at, from, way) {
            if Some(node) == from {
                continue;
            }
            if self.hops >= MAX_HOPS || depth >= MAX_DEPTH {
                self.cut = true;
                break;
            }
            self.hops += 1;
            let again = !seen.insert(node);
            let next =
                if again { Vec::new() } else { self.grow(node, Some(at), way, depth + 1, seen) };
            hops.push(Hop { node, edge, forward, again, next });
        }
        hops
    }

    /// The steps from `at`, coming from `from`, whatever VLAN a frame is in.
    pub fn steps(&mut self, at: NodeId, from: Option<NodeId>, way: Way) -> Vec<Step<'t>> {
        let topology = self.topology;
        match topology.node(at).map(|it| &it.data) {
            Some(NodeData::Vm(_)) if way == Way::Down => self.incoming(at, EdgeKind::NicOf),
            Some(NodeData::VmNic(_)) => match way {
                Way::Up => self.outgoing(at, EdgeKind::NicOf),
                Way::Down => self.outgoing(at, EdgeKind::AttachesVm),
            },
            Some(NodeData::Netns(_)) if way == Way::Down => {
                let mut all = self.incoming(at, EdgeKind::InNamespace);
                all.retain(|(id, _, _)| {
                    topology.netdev(*id).is_some_and(|it| it.kind != NetdevKind::Loopback)
                });
                all
            }
            Some(NodeData::Netdev(_)) => self.device_steps(at, way),
            Some(NodeData::OvsInterface(_)) => self.interface_steps(at, way),
            Some(NodeData::OvsPort(_)) => self.port_steps(at, from, way),
            Some(NodeData::OvsBridge(_)) => self.members(at, way),
            Some(NodeData::TunnelEndpoint(_)) => match way {
                // The far end of a tunnel is where a way ends.
                Way::Down if from.is_some_and(|it| self.is_endpoint(it)) => Vec::new(),
                Way::Down => self.outgoing(at, EdgeKind::Tunnel),
                Way::Up => self.outgoing(at, EdgeKind::TunnelOf),
            },
            Some(NodeData::RemoteHost(_)) if way == Way::Up => self.incoming(at, EdgeKind::Tunnel),
            _ => Vec::new(),
        }
    }

    fn device_steps(&mut self, at: NodeId, way: Way) -> Vec<Step<'t>> {
        let topology = self.topology;
        let Some(netdev) = topology.netdev(at) else { return Vec::new() };
        let mut steps = Vec::new();
        let aggregate = matches!(netdev.kind, NetdevKind::Bond | NetdevKind::Team);
        match way {
            Way::Up => {
                steps.extend(self.incoming(at, EdgeKind::AttachesVm));
                steps.extend(self.incoming(at, EdgeKind::StackedOn));
            }
            Way::Down => {
                steps.extend(self.incoming(at, EdgeKind::TunnelOf));
                steps.extend(self.outgoing(at, EdgeKind::StackedOn));
                if aggregate {
                    steps.extend(self.incoming(at, EdgeKind::EnslavedTo));
                }
            }
        }
        if !aggregate {
            steps.extend(self.members(at, way));
        }
        // Towards the bridge it is a member of: the opposite of where it leads from there.
        let memberships: Vec<Step<'t>> = self
            .outgoing(at, EdgeKind::EnslavedTo)
            .into_iter()
            .chain(self.outgoing(at, EdgeKind::DeviceOf))
            .collect();
        let towards = match way {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        };
        let mut peer_is_on_the_way = memberships.is_empty();
        for step in memberships {
            let side = match self.bridge_of(at) {
                Some(bridge) => self.side(at, bridge),
                None => Side::Both,
            };
            // The own device of a bridge leads into the bridge, whether or not it has an address.
            let own = side == Side::Nowhere && way == Way::Down;
            if side.is(towards) || own {
                steps.push(step);
            }
            peer_is_on_the_way |= side.is(way);
        }
        if peer_is_on_the_way {
            steps.extend(self.outgoing(at, EdgeKind::VethPeer));
            steps.extend(self.incoming(at, EdgeKind::VethPeer));
        }
        let named =
            topology.node(at).and_then(|it| it.netns.as_ref()).is_some_and(|it| !it.is_root());
        if way == Way::Up && named {
            steps.extend(self.outgoing(at, EdgeKind::InNamespace));
        }
        steps
    }

    fn interface_steps(&mut self, at: NodeId, way: Way) -> Vec<Step<'t>> {
        let side = match self.bridge_of(at) {
            Some(bridge) => self.side(at, bridge),
            None => Side::Both,
        };
        let mut steps = Vec::new();
        if side.is(way) || side == Side::Nowhere {
            steps.extend(self.incoming(at, EdgeKind::DeviceOf));
            steps.extend(self.outgoing(at, EdgeKind::PatchPeer));
            steps.extend(self.incoming(at, EdgeKind::PatchPeer));
            match way {
                Way::Up => steps.extend(self.incoming(at, EdgeKind::AttachesVm)),
                Way::Down => steps.extend(self.incoming(at, EdgeKind::TunnelOf)),
            }
        }
        let against = match way {
            Way::Up => Way::Down,
            Way::Down => Way::Up,
        };
        if side.is(against) || (side == Side::Nowhere && way == Way::Down) {
            steps.extend(self.outgoing(at, EdgeKind::OvsInterfaceOf));
        }
        steps
    }

    /// A port is passed through; where it is the start, its interfaces tell on which side it is.
    fn port_steps(&mut self, at: NodeId, from: Option<NodeId>, way: Way) -> Vec<Step<'t>> {
        let bridge = self.outgoing(at, EdgeKind::OvsPortOf);
        let interfaces = self.incoming(at, EdgeKind::OvsInterfaceOf);
        let from_bridge = from.is_some_and(|it| bridge.iter().any(|step| step.0 == it));
        let from_interface = from.is_some_and(|it| interfaces.iter().any(|step| step.0 == it));
        if from_bridge {
            return interfaces;
        }
        if from_interface {
            return bridge;
        }
        let owner = bridge.first().map(|it| it.0);
        let leads = interfaces.iter().any(|step| match owner {
            Some(owner) => self.side(step.0, owner).is(way),
            None => true,
        });
        if leads { interfaces } else { bridge }
    }

    /// The members of a Linux bridge, or the ports of an OVS bridge, on one side.
    fn members(&mut self, bridge: NodeId, way: Way) -> Vec<Step<'t>> {
        if let Some(known) = self.members.get(&(bridge, way)) {
            return known.clone();
        }
        let mut all = Vec::new();
        for step in self.incoming(bridge, EdgeKind::EnslavedTo) {
            if self.side(step.0, bridge).is(way) {
                all.push(step);
            }
        }
        for step in self.incoming(bridge, EdgeKind::OvsPortOf) {
            let interfaces = self.incoming(step.0, EdgeKind::OvsInterfaceOf);
            if interfaces.iter().any(|it| self.side(it.0, bridge).is(way)) {
                all.push(step);
            }
        }
        self.members.insert((bridge, way), all.clone());
        all
    }

    /// Where a device or OVS interface leads, seen from its bridge.
    fn side(&mut self, member: NodeId, bridge: NodeId) -> Side {
        let topology = self.topology;
        let Some(node) = topology.node(member) else { return Side::Up };
        match &node.data {
            NodeData::OvsInterface(it) => {
                if it.kind == "patch" {
                    return match topology.peer(member, EdgeKind::PatchPeer) {
                        Some((peer, _)) => self.between(bridge, self.bridge_of(peer)),
                        None => Side::Down,
                    };
                }
                if !topology.into(member, EdgeKind::TunnelOf).is_empty() {
                    return Side::Down;
                }
                let own = topology.node(bridge).is_some_and(|it| it.name == node.name);
                match topology.into(member, EdgeKind::DeviceOf).first() {
                    Some((device, _)) if own => self.own(*device),
                    Some((device, _)) => self.device_side(*device, bridge),
                    None if own => Side::Nowhere,
                    // DPDK takes the NIC from the kernel: no device is left.
                    None if names::is_nic(&node.name) || it.kind == "dpdk" => Side::Down,
                    None => Side::Up,
                }
            }
            NodeData::Netdev(_) => {
                let own = topology.node(bridge).is_some_and(|it| it.name == node.name);
                if own { self.own(member) } else { self.device_side(member, bridge) }
            }
            _ => Side::Up,
        }
    }

    /// The bridge's own device: the host itself, where it has an address.
    fn own(&self, device: NodeId) -> Side {
        let bare =
            self.topology.out(device, EdgeKind::HasAddress).iter().all(|(id, _)| {
                match self.topology.node(*id).map(|it| &it.data) {
                    Some(NodeData::Address(it)) => match it.ip {
                        std::net::IpAddr::V4(_) => false,
                        std::net::IpAddr::V6(ip) => ip.is_unicast_link_local(),
                    },
                    _ => true,
                }
            });
        if bare { Side::Nowhere } else { Side::Up }
    }

    fn device_side(&mut self, device: NodeId, bridge: NodeId) -> Side {
        let topology = self.topology;
        let Some(netdev) = topology.netdev(device) else { return Side::Up };
        if !topology.into(device, EdgeKind::AttachesVm).is_empty() {
            return Side::Up;
        }
        if topology.uplink(device).is_some() {
            return Side::Down;
        }
        match netdev.kind {
            NetdevKind::Tunnel => Side::Down,
            NetdevKind::Veth => match topology.peer(device, EdgeKind::VethPeer) {
                Some((peer, _)) => match self.bridge_of(peer) {
                    Some(other) => self.between(bridge, Some(other)),
                    None => Side::Up,
                },
                None => Side::Up,
            },
            // An internal port of OVS in a Linux bridge joins the two.
            NetdevKind::OvsInternal => match self.bridge_of(device) {
                Some(other) if other != bridge => self.between(bridge, Some(other)),
                _ => Side::Up,
            },
            _ => Side::Up,
        }
    }

    /// From one bridge to another: down is where the rank is higher.
    fn between(&mut self, from: NodeId, to: Option<NodeId>) -> Side {
        let Some(to) = to else { return Side::Down };
        match self.rank(from).cmp(&self.rank(to)) {
            std::cmp::Ordering::Less => Side::Down,
            std::cmp::Ordering::Greater => Side::Up,
            std::cmp::Ordering::Equal => Side::Both,
        }
    }

    /// How near to the wire a bridge is: bridges of one port (hybrid plug) 0, trunk bridges 1,
    /// bridges with guests 2, those that only join bridges and the wire 3.
    fn rank(&mut self, bridge: NodeId) -> u8 {
        if let Some(&known) = self.ranks.get(&bridge) {
            return known;
        }
        let topology = self.topology;
        let ovs = matches!(topology.node(bridge).map(|it| &it.data), Some(NodeData::OvsBridge(_)));
        let rank = if ovs { self.ovs_rank(bridge) } else { self.linux_rank(bridge) };
        self.ranks.insert(bridge, rank);
        rank
    }

    fn linux_rank(&self, bridge: NodeId) -> u8 {
        let topology = self.topology;
        let members = topology.into(bridge, EdgeKind::EnslavedTo);
        let wire = members.iter().any(|(id, _)| topology.uplink(*id).is_some());
        let into_ovs = members.iter().any(|(id, _)| {
            topology
                .peer(*id, EdgeKind::VethPeer)
                .is_some_and(|(peer, _)| !topology.out(peer, EdgeKind::DeviceOf).is_empty())
        });
        match (wire, into_ovs) {
            (true, _) => 3,
            (false, true) => 0,
            (false, false) => 2,
        }
    }

    fn ovs_rank(&self, bridge: NodeId) -> u8 {
        let topology = self.topology;
        let name = topology.node(bridge).map(|it| it.name.as_str()).unwrap_or_default();
        if name.starts_with("tbr-") || (name.starts_with("pb") && name.len() == 14) {
            return 1;
        }
        let guests = topology.into(bridge, EdgeKind::OvsPortOf).iter().any(|(port, _)| {
            topology.into(*port, EdgeKind::OvsInterfaceOf).iter().any(|(id, _)| {
                let Some(node) = topology.node(*id) else { return false };
                let NodeData::OvsInterface(it) = &node.data else { return false };
                let wire = topology
                    .into(*id, EdgeKind::DeviceOf)
                    .first()
                    .is_some_and(|(device, _)| topology.uplink(*device).is_some());
                let user = it.kind.starts_with("dpdkvhost");
                node.name != name
                    && !names::is_nic(&node.name)
                    && !wire
                    && (it.has_netdev() || user)
            })
        });
        if guests { 2 } else { 3 }
    }

    /// The bridge of a device or OVS interface.
    fn bridge_of(&self, id: NodeId) -> Option<NodeId> {
        let topology = self.topology;
        if let Some((master, _)) = topology.out(id, EdgeKind::EnslavedTo).first() {
            return Some(*master);
        }
        let interface = match topology.out(id, EdgeKind::DeviceOf).first() {
            Some((interface, _)) => *interface,
            None => id,
        };
        let (port, _) = *topology.out(interface, EdgeKind::OvsInterfaceOf).first()?;
        topology.out(port, EdgeKind::OvsPortOf).first().map(|it| it.0)
    }

    fn is_endpoint(&self, id: NodeId) -> bool {
        matches!(self.topology.node(id).map(|it| &it.data), Some(NodeData::TunnelEndpoint(_)))
    }

    fn outgoing(&self, id: NodeId, kind: EdgeKind) -> Vec<Step<'t>> {
        self.topology.out(id, kind).into_iter().map(|(node, edge)| (node, edge, true)).collect()
    }

    fn incoming(&self, id: NodeId, kind: EdgeKind) -> Vec<Step<'t>> {
        self.topology.into(id, kind).into_iter().map(|(node, edge)| (node, edge, false)).collect()
    }
}
