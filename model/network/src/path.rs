//! The path of frames from one end to the wire, and from a wire to all that hangs on it.
//!
//! A path is a tree of hops. Behind the integration bridge it follows the VLAN of the port that
//! frames came in by; below a tunnel it goes on with the device that sends the tunnel's packets,
//! down to the NIC. Each hop says whether frames pass it: `Known(None)` they do, `Known(block)` they
//! do not and why, `Unknown` with the commands that would decide.
//!
//! A node is expanded once for each state of a frame; a second arrival is marked. Size and depth
//! are bounded.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Edge, Netdev, OvsBridge};
use tapline_topology::{EdgeKind, NodeData, NodeId, Uplink};

use crate::l2::{self, Block, Why};
use crate::steps::{Step, Steps, Towards};
use crate::{Answer, Item, Network, overlay};

/// Hops of one tree.
const MOST_HOPS: usize = 20_000;
/// Hops from the start to a leaf.
const DEEPEST: usize = 64;

/// What ties a hop to the one before.
#[derive(Clone, Copy, Debug)]
pub enum Link<'t> {
    /// A relation of the topology.
    Edge(&'t Edge),
    /// Packets of a tunnel are sent by this device, from this address where it is known.
    Sends {
        /// The tunnel's source.
        source: Option<IpAddr>,
        /// The place that says it.
        evidence: Option<Evidence>,
    },
}

/// One hop of a path.
#[derive(Clone, Debug)]
pub struct Hop<'t> {
    /// Where it leads.
    pub node: NodeId,
    /// What ties it to the hop before.
    pub link: Link<'t>,
    /// Whether frames pass: what blocks them where they do not.
    pub passes: Answer<Option<Block>>,
    /// It is one of several of which one is taken, and nothing captured says which.
    pub doubtful: bool,
    /// The node was reached before in this tree: its further hops are there.
    pub again: bool,
    /// Further hops.
    pub next: Vec<Hop<'t>>,
}

impl Hop<'_> {
    /// What is known to block frames here.
    pub fn block(&self) -> Option<&Block> {
        match &self.passes {
            Answer::Known(block) => block.as_ref(),
            Answer::Unknown(_) => None,
        }
    }
}

/// The paths from one node in one direction.
#[derive(Clone, Debug, Default)]
pub struct Path<'t> {
    /// First hops.
    pub hops: Vec<Hop<'t>>,
    /// A bound was reached: there is more.
    pub cut: bool,
}

impl Path<'_> {
    /// All nodes on the paths.
    pub fn nodes(&self) -> BTreeSet<NodeId> {
        let mut all = BTreeSet::new();
        let mut open: Vec<&Hop<'_>> = self.hops.iter().collect();
        while let Some(hop) = open.pop() {
            all.insert(hop.node);
            open.extend(&hop.next);
        }
        all
    }

    /// The NICs that frames leave the host by: uplinks that are not made of others.
    pub fn wires(&self, network: &Network<'_>) -> BTreeSet<NodeId> {
        let is_wire = |id: &NodeId| network.topology.uplink(*id).is_some_and(Uplink::is_nic);
        self.nodes().into_iter().filter(is_wire).collect()
    }
}

/// What is known of a frame on its path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
struct Frame {
    /// Towards the wire: its VLAN on the OVS bridge that it is on.
    vlan: Option<u16>,
    /// Towards the wire: the port by which it came onto the integration bridge.
    entry: Option<NodeId>,
    /// From the wire: the OVS bridge that it came through last.
    through: Option<NodeId>,
}

/// Finds paths, and remembers what it learnt of bridges.
#[derive(Debug)]
pub struct Paths<'t, 'a> {
    network: &'t Network<'a>,
    steps: Steps<'t, 'a>,
    /// Tunnels by the address that they send from.
    tunnels: BTreeMap<(HostId, IpAddr), Vec<NodeId>>,
    hops: usize,
    cut: bool,
    seen: BTreeSet<(NodeId, Frame)>,
}

impl<'t, 'a> Paths<'t, 'a> {
    /// Over this network.
    pub fn new(network: &'t Network<'a>) -> Self {
        let mut tunnels: BTreeMap<_, Vec<NodeId>> = BTreeMap::new();
        for tunnel in network.tunnels() {
            if let Some(local) = tunnel.source() {
                tunnels.entry((tunnel.host, local)).or_default().push(tunnel.data.owner);
            }
        }
        let steps = Steps::new(network.topology);
        Self { network, steps, tunnels, hops: 0, cut: false, seen: BTreeSet::new() }
    }

    /// The paths from a node to the wire.
    pub fn down(&mut self, node: NodeId) -> Path<'t> {
        self.path(node, Towards::Wire)
    }

    /// The paths from a node to VMs and namespaces: what hangs on it.
    pub fn up(&mut self, node: NodeId) -> Path<'t> {
        self.path(node, Towards::Guests)
    }

    fn path(&mut self, node: NodeId, towards: Towards) -> Path<'t> {
        let start = self.network.address(node).map_or(node, |address| address.data.netdev);
        let frame = match towards {
            Towards::Guests => Frame { through: self.bridge_at(start), ..Frame::default() },
            Towards::Wire => Frame { vlan: self.vlan_at(start), ..Frame::default() },
        };
        (self.hops, self.cut) = (0, false);
        self.seen = BTreeSet::from([(start, frame)]);
        let hops = self.grow(start, None, towards, frame, 0);
        Path { hops, cut: self.cut }
    }

    fn grow(
        &mut self,
        at: NodeId,
        from: Option<NodeId>,
        towards: Towards,
        frame: Frame,
        depth: usize,
    ) -> Vec<Hop<'t>> {
        let mut hops = Vec::new();
        let mut steps = self.steps.next(at, from, towards);
        if towards == Towards::Wire && self.sends_by_routes(&steps) {
            // `dev` of a tunnel only says where its routes are looked up: these lead to the device.
            steps.retain(|(_, edge, _)| edge.kind != EdgeKind::StackedOn);
        }
        let doubtful = towards == Towards::Wire && self.is_open(at, frame, &steps);
        let mut left_out = Vec::new();
        for step in steps {
            let (node, edge, _) = step;
            if Some(node) == from {
                continue;
            }
            if !self.takes(at, node, towards, frame) {
                left_out.extend(self.left_out(at, node, towards, frame).map(|why| (step, why)));
                continue;
            }
            if self.hops >= MOST_HOPS || depth >= DEEPEST {
                self.cut = true;
                return hops;
            }
            let next_frame = self.frame_at(at, node, towards, frame);
            let between = from.and_then(|from| self.network.blocked_between(from, node));
            let passes = match between.or_else(|| self.misses_exit(node, towards, next_frame)) {
                Some(block) => Answer::Known(Some(block)),
                None => self.network.forwarding(node),
            };
            let (next, again) = self.expand((at, node), towards, next_frame, depth);
            hops.push(Hop { node, link: Link::Edge(edge), passes, doubtful, again, next });
        }
        self.grow_underlay(at, towards, frame, depth, &mut hops);
        // Where nothing leads on, the ports that should are shown with what is wrong.
        if hops.is_empty() {
            hops.extend(left_out.into_iter().map(|((node, edge, _), block)| Hop {
                node,
                link: Link::Edge(edge),
                passes: Answer::Known(Some(block)),
                doubtful,
                again: false,
                next: Vec::new(),
            }));
        }
        hops
    }

    fn expand(
        &mut self,
        (at, node): (NodeId, NodeId),
        towards: Towards,
        frame: Frame,
        depth: usize,
    ) -> (Vec<Hop<'t>>, bool) {
        self.hops += 1;
        if !self.seen.insert((node, frame)) {
            return (Vec::new(), true);
        }
        (self.grow(node, Some(at), towards, frame, depth + 1), false)
    }

    /// Below a tunnel the path goes on with the device that sends its packets; above a device lie
    /// the tunnels that send from its addresses.
    fn grow_underlay(
        &mut self,
        at: NodeId,
        towards: Towards,
        frame: Frame,
        depth: usize,
        hops: &mut Vec<Hop<'t>>,
    ) {
        for (node, source, evidence) in self.underlay(at, towards) {
            if self.hops >= MOST_HOPS || depth >= DEEPEST {
                self.cut = true;
                return;
            }
            let passes = self.network.forwarding(node);
            let frame = Frame { vlan: None, entry: None, ..frame };
            let (next, again) = self.expand((at, node), towards, frame, depth);
            let link = Link::Sends { source, evidence };
            hops.push(Hop { node, link, passes, doubtful: false, again, next });
        }
    }

    /// Whether one of the steps is a tunnel of which it is known by which device its packets leave.
    fn sends_by_routes(&self, steps: &[Step<'_>]) -> bool {
        steps.iter().any(|(node, edge, _)| {
            edge.kind == EdgeKind::TunnelOf && !self.underlay(*node, Towards::Wire).is_empty()
        })
    }

    fn underlay(
        &self,
        at: NodeId,
        towards: Towards,
    ) -> Vec<(NodeId, Option<IpAddr>, Option<Evidence>)> {
        let network = self.network;
        match towards {
            Towards::Wire => {
                let Some(tunnel) = network.tunnel(at) else { return Vec::new() };
                let source = tunnel.source();
                let evidence = tunnel.data.local.as_ref().map(|local| local.evidence);
                let routed = overlay::egress(network, tunnel).and_then(Answer::known);
                let mut devices: Vec<NodeId> =
                    routed.into_iter().flatten().map(|device| device.id).collect();
                // The address itself says it where the routes do not.
                if let Some(source) = source.filter(|_| devices.is_empty()) {
                    let addresses = network.topology.find_address(source).iter();
                    devices.extend(addresses.filter_map(|id| {
                        let address = network.address(*id)?;
                        let here = address.host == tunnel.host
                            && address.netns() == tunnel.netns_of_underlay(network);
                        here.then_some(address.data.netdev)
                    }));
                }
                devices.retain(|device| *device != tunnel.data.owner);
                devices.into_iter().map(|device| (device, source, evidence)).collect()
            }
            Towards::Guests => {
                let mut all = Vec::new();
                for address in network.addresses_of(at) {
                    let owners = self.tunnels.get(&(address.host, address.ip));
                    let place = Some(address.line());
                    let owners = owners.into_iter().flatten().filter(|owner| **owner != at);
                    all.extend(owners.map(|owner| (*owner, Some(address.ip), place)));
                }
                all
            }
        }
    }

    /// Whether a frame may go from one node to another.
    fn takes(&self, at: NodeId, node: NodeId, towards: Towards, frame: Frame) -> bool {
        let network = self.network;
        let Some(bridge) = network.ovs_bridge(at) else { return true };
        let Some(port) = network.ovs_port(node) else { return true };
        let integration = network.is_integration(at);
        match towards {
            Towards::Wire => {
                if let Some(program) = network.programs().of(at) {
                    let sends = self.interfaces(node).any(|port| program.outputs.contains(&port));
                    // What a flow sends to a port goes out there whatever the VLANs of the port.
                    if !sends || !integration {
                        return sends;
                    }
                }
                if let Some(exits) = self.exits_of_datapath(frame) {
                    return self.interfaces(node).any(|interface| exits.contains(&interface));
                }
                let Some(vlan) = frame.vlan else { return true };
                let exit = self.interfaces(node).find_map(|id| network.exits().at(bridge.host, id));
                match exit {
                    Some(exit) if integration => {
                        network.exits().of(bridge.host, vlan).contains(&exit)
                    }
                    _ => l2::carries(port.data, vlan),
                }
            }
            Towards::Guests => match (frame.through, l2::access_vlan(port.data)) {
                (Some(from), Some(vlan)) if integration => {
                    from == at || network.exits().may_carry(bridge.host, vlan, from)
                }
                _ => true,
            },
        }
    }

    /// Whether several of the exits of the integration bridge may be meant.
    fn is_open(&self, at: NodeId, frame: Frame, steps: &[Step<'_>]) -> bool {
        let Some(bridge) = self.network.ovs_bridge(at) else { return false };
        if !self.network.is_integration(at) || self.exits_of_datapath(frame).is_some() {
            return false;
        }
        let exits = self.network.exits();
        match frame.vlan {
            Some(vlan) => exits.ways(bridge.host, vlan).are_several(),
            None => steps.len() + exits.lost_of(bridge.host).len() > 1,
        }
    }

    /// What stops a frame on the integration bridge: the bridge that carries its VLAN is not joined
    /// with it.
    fn misses_exit(&self, node: NodeId, towards: Towards, frame: Frame) -> Option<Block> {
        let bridge = self.network.ovs_bridge(node).filter(|_| towards == Towards::Wire)?;
        if !self.network.is_integration(node) || self.exits_of_datapath(frame).is_some() {
            return None;
        }
        let lost = self.network.exits().ways(bridge.host, frame.vlan?).missed()?;
        let name = self.network.topology.node(lost.bridge)?.name.clone();
        Some(Block { why: Why::NotJoined(name), evidence: lost.evidence })
    }

    /// What keeps a frame from leaving a bridge by a port that leads to the wire: no flow sends to the
    /// port, or it carries other VLANs.
    fn left_out(&self, at: NodeId, node: NodeId, towards: Towards, frame: Frame) -> Option<Block> {
        let (bridge, port) = (self.network.ovs_bridge(at)?, self.network.ovs_port(node)?);
        if towards == Towards::Guests {
            return None;
        }
        if let Some(program) = self.network.programs().of(at)
            && !self.interfaces(node).any(|interface| program.outputs.contains(&interface))
        {
            return Some(Block { why: Why::NoFlow, evidence: program.evidence });
        }
        let vlan = frame.vlan?;
        let is_exit = |id| self.network.exits().at(bridge.host, id).is_some();
        if self.exits_of_datapath(frame).is_some() || self.interfaces(node).any(is_exit) {
            return None;
        }
        let tag = port.data.tag.as_ref().map(|tag| tag.evidence);
        let evidence = tag.or_else(|| port.data.trunks.first().map(|trunk| trunk.evidence))?;
        Some(Block { why: Why::Vlan(vlan), evidence })
    }

    /// What is known of the frame once it is at `node`.
    fn frame_at(&self, at: NodeId, node: NodeId, towards: Towards, frame: Frame) -> Frame {
        let network = self.network;
        match towards {
            Towards::Guests => match network.ovs_bridge(node) {
                Some(bridge) if !self.network.is_integration(node) => {
                    Frame { through: Some(bridge.id), ..Frame::default() }
                }
                _ if network.is_integration(at) => Frame { through: Some(at), ..Frame::default() },
                _ => frame,
            },
            Towards::Wire => {
                if let (Some(port), Some(bridge)) = (network.ovs_port(at), network.ovs_bridge(node))
                {
                    let integration = network.is_integration(node);
                    // What the host itself sends has no tag, unless a VLAN device gave it one.
                    let own = !integration && port.name() == bridge.name();
                    let own = own.then(|| frame.vlan.unwrap_or(0));
                    let own = own.filter(|_| network.is_plain(node));
                    let vlan = l2::access_vlan(port.data).or(own).or(frame.vlan);
                    let entry = integration.then_some(at);
                    return Frame { vlan, entry, through: None };
                }
                if let (Some(bridge), Some(_)) = (network.ovs_bridge(at), network.ovs_port(node)) {
                    let vlan = self.vlan_behind(bridge, node, frame);
                    return Frame { vlan, ..Frame::default() };
                }
                match network.netdev(at).and_then(vlan_of) {
                    Some(vlan) if network.netdev(node).is_some() => {
                        Frame { vlan: Some(vlan), ..frame }
                    }
                    _ => frame,
                }
            }
        }
    }

    /// The VLAN of a frame that leaves a bridge by a port: an access port takes the tag away, and
    /// flows of the bridge behind the integration bridge may give it another.
    fn vlan_behind(&self, bridge: Item<'a, OvsBridge>, port: NodeId, frame: Frame) -> Option<u16> {
        let network = self.network;
        let vlan = frame.vlan?;
        if let Some(exit) = self.interfaces(port).find_map(|id| network.exits().at(bridge.host, id))
        {
            return network.exits().vlan_behind(network, exit, vlan);
        }
        let is_access = l2::access_vlan(network.ovs_port(port)?.data).is_some();
        (network.is_plain(bridge.id) && !is_access).then_some(vlan)
    }

    /// The interfaces by which OVN sends the packets of the port that a frame came in by.
    fn exits_of_datapath(&self, frame: Frame) -> Option<&'t BTreeSet<NodeId>> {
        self.network.datapaths().exits_of(frame.entry?)
    }

    fn interfaces(&self, port: NodeId) -> impl Iterator<Item = NodeId> + use<'t, 'a> {
        let all = self.network.topology.into(port, EdgeKind::OvsInterfaceOf);
        all.into_iter().map(|(id, _)| id)
    }

    /// The VLAN of frames that start at a port of a bridge.
    fn vlan_at(&self, start: NodeId) -> Option<u16> {
        l2::access_vlan(self.network.ovs_port(start)?.data)
    }

    /// The bridge that a path starts from: the thing itself, or what lies behind it.
    fn bridge_at(&self, node: NodeId) -> Option<NodeId> {
        let network = self.network;
        if network.ovs_bridge(node).is_some() {
            return (!network.is_integration(node)).then_some(node);
        }
        let host = network.topology.node(node)?.host?;
        let behind = |id: NodeId| network.exits().at(host, id).map(|exit| exit.bridge);
        match network.topology.node(node).map(|node| &node.data) {
            Some(NodeData::OvsPort(_)) => self.interfaces(node).find_map(behind),
            _ => behind(node),
        }
    }
}

/// The VLAN that a VLAN device gives to frames.
fn vlan_of(device: Item<'_, Netdev<'_>>) -> Option<u16> {
    device.data.records.iter().find_map(|seen| {
        let vlan = seen.record.kind_data.vlan.as_ref()?;
        Some(vlan.id.value)
    })
}
