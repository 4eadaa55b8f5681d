//! The path of frames from one end to the wire, and from a wire to all that hangs on it.
//!
//! A path is a tree of hops. Behind the integration bridge it follows the VLAN of the port that
//! frames came in by; below a tunnel it goes on with the device that sends the tunnel's packets,
//! down to the NIC. Each hop says whether frames pass it: `Known(None)` they do, `Known(block)` they
//! do not and why, `Unknown` with the commands that would decide.
//!
//! A node is expanded once for each state of a frame; a second arrival is marked. Size and depth
//! are bounded.
mod back;
mod frame;
mod host;
mod stops;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Mac;
use tapline_core::span::Evidence;
use tapline_topology::graph::Edge;
use tapline_topology::{EdgeKind, NodeData, NodeId, Uplink};

use crate::l2::{self, Arriving, Block, Passage, Why};
use crate::steps::{Step, Steps, Towards};
use crate::{Answer, Network, overlay};
use back::Crossing;

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
    /// Towards the wire: its VLAN on the OVS bridge that it is on, or on the wire between bridges;
    /// 0 without a tag.
    vlan: Option<u16>,
    /// Towards the wire: the port by which it came onto the OVS bridge that it is on.
    entry: Option<NodeId>,
    /// From the wire: the OVS bridge that it came through last.
    through: Option<NodeId>,
    /// Towards the wire: what the flows of the OVS bridge that it is on do with it.
    passage: Option<usize>,
    /// Towards the wire: the tag below that of its VLAN, where a VLAN device put that on; 0 for none.
    inner: Option<u16>,
    /// Towards the wire: the tag is one of 802.1ad.
    is_service: bool,
    /// Towards the wire: its VLAN on the integration bridge that it came through last.
    local: Option<u16>,
    /// Towards the wire: the key of the tunnel that it was sent into.
    key: Option<u64>,
    /// Towards the wire: the tunnel that it is a packet of, where that sends to what its own frames
    /// had passed.
    around: Option<NodeId>,
    /// Towards the wire: the flows of the OVS bridge that it is on send it to groups that were not
    /// captured.
    to_groups: bool,
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
    /// Who sends the frames that are followed.
    sender: Option<Mac>,
    /// What flows do with frames, as far as it was asked.
    passages: Vec<Passage>,
    asked: BTreeMap<Arriving, Option<usize>>,
    /// What flows send to groups that were not captured.
    to_groups: BTreeSet<Arriving>,
    /// The OVS bridges that the frame that is followed has crossed.
    crossings: Vec<Crossing>,
    /// The nodes that it has passed.
    passed: Vec<NodeId>,
    /// The tunnels whose packets it is in, and the devices or interfaces of these.
    inside: Vec<NodeId>,
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
        Self {
            network,
            steps,
            tunnels,
            hops: 0,
            cut: false,
            seen: BTreeSet::new(),
            sender: None,
            passages: Vec::new(),
            asked: BTreeMap::new(),
            to_groups: BTreeSet::new(),
            crossings: Vec::new(),
            passed: Vec::new(),
            inside: Vec::new(),
        }
    }

    /// The paths from a node to the wire.
    pub fn down(&mut self, node: NodeId) -> Path<'t> {
        self.path(node, Towards::Wire)
    }

    /// The same of frames that a VM or namespace sends which hangs on the node alone.
    pub fn down_for(&mut self, node: NodeId, sender: NodeId) -> Path<'t> {
        self.path_of(node, Towards::Wire, self.sender_at(sender))
    }

    /// The paths from a node to VMs and namespaces: what hangs on it.
    pub fn up(&mut self, node: NodeId) -> Path<'t> {
        self.path(node, Towards::Guests)
    }

    fn path(&mut self, node: NodeId, towards: Towards) -> Path<'t> {
        let start = self.network.address(node).map_or(node, |address| address.data.netdev);
        self.path_of(node, towards, self.sender_at(start))
    }

    fn path_of(&mut self, node: NodeId, towards: Towards, sender: Option<Mac>) -> Path<'t> {
        let start = self.network.address(node).map_or(node, |address| address.data.netdev);
        let frame = match towards {
            Towards::Guests => Frame { through: self.bridge_at(start), ..Frame::default() },
            Towards::Wire => Frame { vlan: self.vlan_at(start), ..Frame::default() },
        };
        (self.hops, self.cut) = (0, false);
        self.sender = sender;
        self.seen = BTreeSet::from([(start, frame)]);
        self.passed = vec![start];
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
            if let Some(block) = self.leads_back(node) {
                left_out.push((step, block));
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
            if towards == Towards::Wire && self.network.vm_nic(node).is_some() {
                // Each NIC of a VM sends with its own MAC.
                self.sender = self.sender_at(node);
            }
            let next_frame = self.frame_at((from, at, node), towards, frame);
            let mut passes = self.passes((from, at, node), towards, frame, next_frame);
            if towards == Towards::Wire && matches!(passes, Answer::Known(None)) {
                passes = Answer::Known(self.not_returned((from, at, node), frame, next_frame));
            }
            let is_dropped = match &passes {
                Answer::Known(block) => {
                    block.as_ref().is_some_and(|block| block.why == Why::Dropped)
                }
                Answer::Unknown(_) => self.dropped(node, next_frame).is_some(),
            };
            let is_end = is_dropped || self.asks_controller(node, next_frame).is_some();
            let (next, again) = if is_end {
                (Vec::new(), false)
            } else {
                let crossing = self.crossing(at, node, frame);
                let before = self.crossings.len();
                self.crossings.extend(crossing);
                let expanded = self.expand((at, node), towards, next_frame, depth);
                self.crossings.truncate(before);
                expanded
            };
            if towards == Towards::Wire && next.is_empty() && !again {
                passes = self.ends_here((at, node), next_frame, passes);
            }
            hops.push(Hop { node, link: Link::Edge(edge), passes, doubtful, again, next });
        }
        self.grow_underlay(at, towards, frame, depth, &mut hops);
        if towards == Towards::Wire {
            self.end_at_host((from, at), frame, &mut hops);
        }
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
        self.passed.push(node);
        let hops = self.grow(node, Some(at), towards, frame, depth + 1);
        self.passed.pop();
        (hops, false)
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
            let link = Link::Sends { source, evidence };
            if let Some(block) = self.leads_back(node) {
                let (passes, next) = (Answer::Known(Some(block)), Vec::new());
                hops.push(Hop { node, link, passes, doubtful: false, again: false, next });
                continue;
            }
            let passes = self.network.passes_both_ways(node);
            let around = (towards == Towards::Wire && self.passed.contains(&node)).then_some(at);
            let vlan = self.own_vlan(node);
            let frame = Frame { vlan, through: frame.through, around, ..Frame::default() };
            let before = self.inside.len();
            let tunnel = self.network.tunnel(at).filter(|_| towards == Towards::Wire);
            self.inside.extend(tunnel.into_iter().flat_map(|tunnel| [at, tunnel.data.owner]));
            let (next, again) = self.expand((at, node), towards, frame, depth);
            let passes = if towards == Towards::Wire && next.is_empty() && !again {
                self.ends_here((at, node), frame, passes)
            } else {
                passes
            };
            self.inside.truncate(before);
            hops.push(Hop { node, link, passes, doubtful: false, again, next });
        }
    }

    /// What keeps the packets of a tunnel from being sent into the tunnel itself: they would be packed
    /// again and again, which the kernel ends (`dev_xmit_recursion`, `ip_tunnel_xmit`).
    fn leads_back(&self, node: NodeId) -> Option<Block> {
        let at = self.inside.iter().position(|inside| *inside == node)?;
        let tunnel = self.network.tunnel(*self.inside.get(at - at % 2)?)?;
        let decision = overlay::route(self.network, tunnel).and_then(Answer::known);
        let by_route = decision.and_then(|decision| decision.evidence().into_iter().next());
        let evidence = by_route.or_else(|| Some(tunnel.data.remote.as_ref()?.evidence))?;
        Some(Block { why: Why::LeadsBack, evidence })
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

    /// The VLAN of frames that start at a port of a bridge, or at a device of a namespace.
    fn vlan_at(&self, start: NodeId) -> Option<u16> {
        if let Some(port) = self.network.ovs_port(start) {
            return l2::access_vlan(port.data);
        }
        // What a namespace sends by a device has no tag, unless a VLAN device gives it one.
        let device = self.network.netdev(start).filter(|device| !device.netns().is_root())?;
        let above = self.network.topology.into(start, EdgeKind::StackedOn);
        (above.is_empty() && l2::vlan_of(device).is_none()).then_some(0)
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
