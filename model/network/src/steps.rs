//! Which step comes next, from a guest towards the wire or from the wire towards guests, whatever
//! VLAN a frame is in.
//!
//! From any node a path goes *up* to what uses the network (a VM, a namespace, a stack of devices in
//! root) or *down* to the wire (a NIC, the far end of a tunnel). A frame of a VM goes
//!
//! ```text
//! VM → NIC → tap → qbr → qvb ⇄ qvo → port (tag) → br-int ┬ patch ⇄ patch → br-ex → NIC
//!                                                        └ patch ⇄ patch → br-tun → tunnel → remote
//! ```
//!
//! Bridges are where paths fan out, so each member of a bridge has a [`Side`]: NICs, bonds, VLANs
//! and tunnels lie down, VMs and namespaces up. Between two bridges (patch ports, veth pairs) the
//! one nearer to the guests is up: bridges have a rank by what else is in them. Going down from a
//! VM thus passes the integration bridge only towards other bridges and the wire and does not list
//! the other VMs; going up from a NIC lists them all.
use std::collections::HashMap;

use tapline_topology::graph::{Edge, EdgeKind, NetdevKind, NodeData, NodeId, Topology};
use tapline_topology::names;

/// Towards which end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Towards {
    /// VMs and namespaces.
    Guests,
    /// NICs and the far ends of tunnels.
    Wire,
}

impl Towards {
    /// The other end.
    fn opposite(self) -> Self {
        match self {
            Self::Guests => Self::Wire,
            Self::Wire => Self::Guests,
        }
    }
}

/// Where a member of a bridge leads, seen from the bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
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
    fn is(self, towards: Towards) -> bool {
        let pair = (self, towards);
        matches!(pair, (Self::Both, _) | (Self::Up, Towards::Guests) | (Self::Down, Towards::Wire))
    }
}

/// A step that can be taken: where it leads, by which edge, and whether the edge starts here.
pub(crate) type Step<'t> = (NodeId, &'t Edge, bool);

/// On which side of its bridge a device or an interface of OVS lies; remembers what it learned of
/// bridges.
#[derive(Debug)]
pub struct Sides<'t, 'a>(Steps<'t, 'a>);

impl<'t, 'a> Sides<'t, 'a> {
    /// Over this topology.
    pub fn new(topology: &'t Topology<'a>) -> Self {
        Self(Steps::new(topology))
    }

    /// The side on which a member lies, seen from its bridge.
    pub fn of(&mut self, member: NodeId, bridge: NodeId) -> Side {
        self.0.side(member, bridge)
    }
}

/// Finds steps and remembers what it learned of bridges.
#[derive(Debug)]
pub(crate) struct Steps<'t, 'a> {
    topology: &'t Topology<'a>,
    ranks: HashMap<NodeId, u8>,
    /// Members of a bridge on one side.
    members: HashMap<(NodeId, Towards), Vec<Step<'t>>>,
}

fn netdev_name<'t>(topology: &'t Topology<'_>, device: NodeId) -> &'t str {
    topology.node(device).map_or("", |node| node.name.as_str())
}

impl<'t, 'a> Steps<'t, 'a> {
    /// Over this topology.
    pub(crate) fn new(topology: &'t Topology<'a>) -> Self {
        Self { topology, ranks: HashMap::new(), members: HashMap::new() }
    }

    /// The steps from `at`, coming from `from`, whatever VLAN a frame is in.
    pub(crate) fn next(
        &mut self,
        at: NodeId,
        from: Option<NodeId>,
        towards: Towards,
    ) -> Vec<Step<'t>> {
        let topology = self.topology;
        match topology.node(at).map(|node| &node.data) {
            Some(NodeData::Vm(_)) if towards == Towards::Wire => self.incoming(at, EdgeKind::NicOf),
            Some(NodeData::VmNic(_)) => match towards {
                Towards::Guests => self.outgoing(at, EdgeKind::NicOf),
                Towards::Wire => {
                    let mut all = self.outgoing(at, EdgeKind::AttachesVm);
                    all.extend(self.outgoing(at, EdgeKind::FunctionOf));
                    all
                }
            },
            Some(NodeData::Netns(_)) if towards == Towards::Wire => {
                let mut all = self.incoming(at, EdgeKind::InNamespace);
                all.retain(|(id, _, _)| {
                    topology.netdev(*id).is_some_and(|device| device.kind != NetdevKind::Loopback)
                });
                all
            }
            // Up a pair and a VLAN device on its end it goes to the bridge behind.
            Some(NodeData::Netdev(_)) if towards == Towards::Wire && self.is_on(at, from) => {
                self.outgoing(at, EdgeKind::EnslavedTo)
            }
            Some(NodeData::Netdev(_)) => {
                let mut steps = self.device_steps(at, towards);
                if towards == Towards::Wire {
                    steps.extend(self.vlans_behind_pair(at, from));
                }
                steps
            }
            Some(NodeData::OvsInterface(_)) => self.interface_steps(at, towards),
            Some(NodeData::OvsPort(_)) => self.port_steps(at, from, towards),
            Some(NodeData::OvsBridge(_)) => self.members(at, towards),
            Some(NodeData::TunnelEndpoint(_)) => match towards {
                // The far end of a tunnel is where a path ends.
                Towards::Wire if from.is_some_and(|before| self.is_endpoint(before)) => Vec::new(),
                Towards::Wire => self.outgoing(at, EdgeKind::Tunnel),
                Towards::Guests => self.outgoing(at, EdgeKind::TunnelOf),
            },
            Some(NodeData::RemoteHost(_)) if towards == Towards::Guests => {
                self.incoming(at, EdgeKind::Tunnel)
            }
            _ => Vec::new(),
        }
    }

    fn device_steps(&mut self, at: NodeId, towards: Towards) -> Vec<Step<'t>> {
        let topology = self.topology;
        let Some(netdev) = topology.netdev(at) else { return Vec::new() };
        let mut steps = Vec::new();
        let aggregate = matches!(netdev.kind, NetdevKind::Bond | NetdevKind::Team);
        match towards {
            Towards::Guests => {
                steps.extend(self.incoming(at, EdgeKind::AttachesVm));
                steps.extend(self.incoming(at, EdgeKind::FunctionOf));
                steps.extend(self.incoming(at, EdgeKind::StackedOn));
            }
            Towards::Wire => {
                steps.extend(self.incoming(at, EdgeKind::TunnelOf));
                steps.extend(self.outgoing(at, EdgeKind::StackedOn));
                if aggregate {
                    steps.extend(self.incoming(at, EdgeKind::EnslavedTo));
                }
            }
        }
        if !aggregate {
            steps.extend(self.members(at, towards));
        }
        // Towards the bridge it is a member of: the opposite of where it leads from there.
        let memberships: Vec<Step<'t>> = self
            .outgoing(at, EdgeKind::EnslavedTo)
            .into_iter()
            .chain(self.outgoing(at, EdgeKind::DeviceOf))
            .collect();
        let mut peer_is_on_the_way = memberships.is_empty();
        for step in memberships {
            let side = match self.bridge_of(at) {
                Some(bridge) => self.side(at, bridge),
                None => Side::Both,
            };
            // The own device of a bridge leads into the bridge, whether or not it has an address.
            let own = side == Side::Nowhere && towards == Towards::Wire;
            if side.is(towards.opposite()) || own {
                steps.push(step);
            }
            peer_is_on_the_way |= side.is(towards);
        }
        if peer_is_on_the_way {
            steps.extend(self.outgoing(at, EdgeKind::VethPeer));
            steps.extend(self.incoming(at, EdgeKind::VethPeer));
        }
        let named = topology
            .node(at)
            .and_then(|node| node.netns.as_ref())
            .is_some_and(|netns| !netns.is_root());
        if towards == Towards::Guests && named {
            steps.extend(self.outgoing(at, EdgeKind::InNamespace));
        }
        steps
    }

    /// Whether a device stands on the node before.
    fn is_on(&self, at: NodeId, from: Option<NodeId>) -> bool {
        let below = self.topology.out(at, EdgeKind::StackedOn);
        from.is_some_and(|from| below.iter().any(|(id, _)| *id == from))
    }

    /// The VLAN devices on the far end of a veth pair by which what comes through the pair goes on to a
    /// bridge.
    fn vlans_behind_pair(&self, at: NodeId, from: Option<NodeId>) -> Vec<Step<'t>> {
        let topology = self.topology;
        let peer = topology.peer(at, EdgeKind::VethPeer).map(|(peer, _)| peer);
        if from.is_none() || peer != from {
            return Vec::new();
        }
        let mut above = self.incoming(at, EdgeKind::StackedOn);
        above.retain(|(id, _, _)| {
            topology.netdev(*id).is_some_and(|device| device.kind == NetdevKind::Vlan)
                && !topology.out(*id, EdgeKind::EnslavedTo).is_empty()
        });
        above
    }

    fn interface_steps(&mut self, at: NodeId, towards: Towards) -> Vec<Step<'t>> {
        let side = match self.bridge_of(at) {
            Some(bridge) => self.side(at, bridge),
            None => Side::Both,
        };
        let mut steps = Vec::new();
        if side.is(towards) || side == Side::Nowhere {
            steps.extend(self.incoming(at, EdgeKind::DeviceOf));
            steps.extend(self.outgoing(at, EdgeKind::PatchPeer));
            steps.extend(self.incoming(at, EdgeKind::PatchPeer));
            match towards {
                Towards::Guests => steps.extend(self.incoming(at, EdgeKind::AttachesVm)),
                Towards::Wire => steps.extend(self.incoming(at, EdgeKind::TunnelOf)),
            }
        }
        if side.is(towards.opposite()) || (side == Side::Nowhere && towards == Towards::Wire) {
            steps.extend(self.outgoing(at, EdgeKind::OvsInterfaceOf));
        }
        steps
    }

    /// A port is passed through; where it is the start, its interfaces tell on which side it is.
    fn port_steps(&mut self, at: NodeId, from: Option<NodeId>, towards: Towards) -> Vec<Step<'t>> {
        let bridge = self.outgoing(at, EdgeKind::OvsPortOf);
        let interfaces = self.incoming(at, EdgeKind::OvsInterfaceOf);
        let from_bridge = from.is_some_and(|before| bridge.iter().any(|step| step.0 == before));
        let from_interface =
            from.is_some_and(|before| interfaces.iter().any(|step| step.0 == before));
        if from_bridge {
            return interfaces;
        }
        if from_interface {
            return bridge;
        }
        let owner = bridge.first().map(|step| step.0);
        let leads = interfaces.iter().any(|step| match owner {
            Some(owner) => self.side(step.0, owner).is(towards),
            None => true,
        });
        if leads { interfaces } else { bridge }
    }

    /// The members of a Linux bridge, or the ports of an OVS bridge, on one side.
    fn members(&mut self, bridge: NodeId, towards: Towards) -> Vec<Step<'t>> {
        if let Some(known) = self.members.get(&(bridge, towards)) {
            return known.clone();
        }
        let mut all = Vec::new();
        for step in self.incoming(bridge, EdgeKind::EnslavedTo) {
            if self.side(step.0, bridge).is(towards) {
                all.push(step);
            }
        }
        for step in self.incoming(bridge, EdgeKind::OvsPortOf) {
            let interfaces = self.incoming(step.0, EdgeKind::OvsInterfaceOf);
            if interfaces.iter().any(|interface| self.side(interface.0, bridge).is(towards)) {
                all.push(step);
            }
        }
        self.members.insert((bridge, towards), all.clone());
        all
    }

    /// Where a device or OVS interface leads, seen from its bridge.
    fn side(&mut self, member: NodeId, bridge: NodeId) -> Side {
        let topology = self.topology;
        let Some(node) = topology.node(member) else { return Side::Up };
        match &node.data {
            NodeData::OvsInterface(interface) => {
                if interface.kind == "patch" {
                    return match topology.peer(member, EdgeKind::PatchPeer) {
                        Some((peer, _)) => self.between(bridge, self.bridge_of(peer)),
                        None => Side::Down,
                    };
                }
                if !topology.into(member, EdgeKind::TunnelOf).is_empty() {
                    return Side::Down;
                }
                let own = topology.node(bridge).is_some_and(|bridge| bridge.name == node.name);
                match topology.into(member, EdgeKind::DeviceOf).first() {
                    Some((device, _)) if own => self.own(*device),
                    Some((device, _)) => self.device_side(*device, bridge),
                    None if own => Side::Nowhere,
                    // DPDK takes the NIC from the kernel: no device is left.
                    None if names::is_nic(&node.name) || interface.kind == "dpdk" => Side::Down,
                    None => Side::Up,
                }
            }
            NodeData::Netdev(_) => {
                let own = topology.node(bridge).is_some_and(|bridge| bridge.name == node.name);
                if own { self.own(member) } else { self.device_side(member, bridge) }
            }
            _ => Side::Up,
        }
    }

    /// The bridge's own device: the host itself, where it has an address.
    fn own(&self, device: NodeId) -> Side {
        let bare =
            self.topology.out(device, EdgeKind::HasAddress).iter().all(|(id, _)| {
                match self.topology.node(*id).map(|node| &node.data) {
                    Some(NodeData::Address(address)) => match address.ip {
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
            // A macvlan in a bridge leads to the device that it stands on.
            NetdevKind::Tunnel | NetdevKind::Macvlan => Side::Down,
            // The near end of a hybrid port leads to the integration bridge, also where it does not.
            NetdevKind::Veth if netdev_name(topology, device).starts_with("qvb") => Side::Down,
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
        let ovs =
            matches!(topology.node(bridge).map(|node| &node.data), Some(NodeData::OvsBridge(_)));
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
        let name = topology.node(bridge).map(|node| node.name.as_str()).unwrap_or_default();
        if names::is_bridge_of_one_port(name) {
            return 1;
        }
        let guests = topology.into(bridge, EdgeKind::OvsPortOf).iter().any(|(port, _)| {
            topology.into(*port, EdgeKind::OvsInterfaceOf).iter().any(|(id, _)| {
                let Some(node) = topology.node(*id) else { return false };
                let NodeData::OvsInterface(interface) = &node.data else { return false };
                let wire = topology
                    .into(*id, EdgeKind::DeviceOf)
                    .first()
                    .is_some_and(|(device, _)| topology.uplink(*device).is_some());
                let user = interface.kind.starts_with("dpdkvhost");
                node.name != name
                    && !names::is_nic(&node.name)
                    && !wire
                    && (interface.has_netdev() || user)
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
        topology.out(port, EdgeKind::OvsPortOf).first().map(|(bridge, _)| *bridge)
    }

    fn is_endpoint(&self, id: NodeId) -> bool {
        matches!(self.topology.node(id).map(|node| &node.data), Some(NodeData::TunnelEndpoint(_)))
    }

    fn outgoing(&self, id: NodeId, kind: EdgeKind) -> Vec<Step<'t>> {
        self.topology.out(id, kind).into_iter().map(|(node, edge)| (node, edge, true)).collect()
    }

    fn incoming(&self, id: NodeId, kind: EdgeKind) -> Vec<Step<'t>> {
        self.topology.into(id, kind).into_iter().map(|(node, edge)| (node, edge, false)).collect()
    }
}
