//! What stops frames at a device, interface or port, and how it is worded.
use std::fmt;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::Field;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Fact, Netdev, NetdevKind, OvsInterface};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topic};

use super::switch_ports::has_link;
use super::{BridgePortState, Program};
use crate::defs::DEAD_VLAN;
use crate::{Answer, Item, Network, overlay};

/// What keeps frames from passing a device or port.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Block {
    /// Why.
    pub why: Why,
    /// The place that proves it.
    pub evidence: Evidence,
}

/// Why a device or port passes no frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Why {
    /// It is administratively down.
    Down,
    /// It has no carrier.
    NoCarrier,
    /// Spanning tree holds it in this state.
    SpanningTree(Name),
    /// It and the port that frames come from are both isolated: the bridge passes nothing between
    /// such ports (`br_skb_isolated`, net/bridge/br_private.h).
    Isolated,
    /// Neutron's agent parked the port on the VLAN whose frames it drops.
    DeadVlan,
    /// OVS could not make it.
    Error,
    /// OVS could not give it a port of OpenFlow.
    NoPort,
    /// OVS keeps it for the copies of a mirror.
    MirrorPort,
    /// OVS sends nothing by it: `NO_FWD`.
    NoForwarding,
    /// OVS takes nothing from it: `NO_RECV`.
    NoReceiving,
    /// No flow of the bridge sends a packet here, or anywhere where it is the bridge itself.
    NoFlow,
    /// The flows of the bridge drop whatever comes in here.
    Dropped,
    /// A bond without a member that sends.
    NoActiveMember,
    /// A bond sends by this member alone, which has no link, and watches none of its members.
    DeadMember(Name),
    /// The integration bridge is not joined with the bridge of this name, which carries the VLAN of
    /// the frames.
    NotJoined(Name),
    /// The far end of a tunnel, or the router on the way to it, did not answer.
    NoAnswer(IpAddr),
    /// The bridge that it is in, of this name, is administratively down.
    BridgeDown(Name),
    /// The end of a hybrid port that belongs in the integration bridge is in no bridge.
    NoBridge,
    /// The peer of a patch is not there, or is not its peer: OVS drops what is sent by it.
    NoPeer(Name),
    /// The device that a tunnel is bound to, of this name, is administratively down.
    LowerDown(Name),
    /// The address that a tunnel sends from is held by another machine too: it is not used.
    Duplicate(IpAddr),
    /// The address of a neighbour was entered by hand, and is none of the host that has it.
    OtherMac(IpAddr),
    /// A tunnel that knows nobody to send to.
    NoFarEnd,
    /// The packets of a tunnel would be sent into the tunnel itself.
    LeadsBack,
    /// The host at this far end has no tunnel that takes what is sent to it.
    NoCounterpart(IpAddr),
    /// The host at the far end has nobody who takes packets with this key.
    NotTaken {
        /// What the type of the tunnel calls its keys.
        name: &'static str,
        /// The key.
        key: u64,
        /// The far end.
        by: IpAddr,
    },
    /// The NIC shows the virtual function of the sender no link.
    FunctionDisabled,
    /// The virtual function of the sender is not in this VLAN.
    FunctionVlan(u16),
    /// The host sends packets of a tunnel by this bridge, in which no port leads on.
    NoWayOut,
    /// What comes back by the port does not get to where the frames came from.
    NotReturned,
    /// The packet filter stops whatever passes this hook here.
    Filtered(Name),
    /// The port takes frames of known MACs alone, and who sends them is none of these.
    Locked,
    /// The bridge tells VLANs apart, and the port is in none.
    NoVlan,
    /// The bridge tells VLANs apart, and the VLAN of the frames, 0 for none, is not one of the port.
    Vlan(u16),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Down => f.write_str("down"),
            Self::NoCarrier => f.write_str("no carrier"),
            Self::SpanningTree(state) => write!(f, "{state} by spanning tree"),
            Self::Isolated => f.write_str("isolated from the port before"),
            Self::DeadVlan => write!(f, "on the dead VLAN {DEAD_VLAN}"),
            Self::Error => f.write_str("error in OVS"),
            Self::NoPort => f.write_str("without an OpenFlow port"),
            Self::MirrorPort => f.write_str("kept for the copies of a mirror"),
            Self::NoForwarding => f.write_str("set to NO_FWD"),
            Self::NoReceiving => f.write_str("set to NO_RECV"),
            Self::NoFlow => f.write_str("no flow leads on"),
            Self::Dropped => f.write_str("dropped by its flows"),
            Self::NoActiveMember => f.write_str("no active member"),
            Self::DeadMember(member) => {
                write!(f, "sends by {member} alone, which has no link")
            }
            Self::NotJoined(bridge) => write!(f, "not joined with {bridge}"),
            Self::NoAnswer(next_hop) => write!(f, "no answer from {next_hop}"),
            Self::NoBridge => f.write_str("in no bridge"),
            Self::BridgeDown(bridge) => write!(f, "its bridge {bridge} is down"),
            Self::NoPeer(peer) => write!(f, "without its peer {peer}"),
            Self::LowerDown(device) => write!(f, "its device {device} is down"),
            Self::Duplicate(ip) => write!(f, "its source {ip} is taken: duplicate address"),
            Self::OtherMac(ip) => write!(f, "the MAC that was entered for {ip} is not its own"),
            Self::NoFarEnd => f.write_str("no far end"),
            Self::LeadsBack => f.write_str("its packets lead back into it"),
            Self::NoCounterpart(by) => write!(f, "no tunnel at {by} takes what it sends"),
            Self::NotTaken { name, key, by } => write!(f, "nobody at {by} takes {name} {key}"),
            Self::FunctionDisabled => f.write_str("its virtual function has no link"),
            Self::FunctionVlan(vlan) => write!(f, "its virtual function is not in VLAN {vlan}"),
            Self::NoWayOut => f.write_str("no port leads out of it"),
            Self::NotReturned => f.write_str("nothing comes back by it"),
            Self::Filtered(hook) => write!(f, "dropped at {hook} of the packet filter"),
            Self::Locked => f.write_str("locked for this MAC"),
            Self::NoVlan => f.write_str("in no VLAN"),
            Self::Vlan(0) => f.write_str("does not carry frames without a tag"),
            Self::Vlan(vlan) => write!(f, "does not carry VLAN {vlan}"),
        }
    }
}

/// What keeps frames from passing an interface of OVS, by its own row.
fn interface_block(network: &Network<'_>, node: NodeId, interface: &OvsInterface) -> Option<Block> {
    if let Some(error) = &interface.error {
        return Some(Block { why: Why::Error, evidence: error.evidence });
    }
    if let Some(port) = interface.ofport.as_ref().filter(|port| port.value == -1) {
        return Some(Block { why: Why::NoPort, evidence: port.evidence });
    }
    if let Some(peer) = patch_without_peer(network, node, interface) {
        return Some(Block { why: Why::NoPeer(peer.value.clone()), evidence: peer.evidence });
    }
    let link = interface.link_state.as_ref().filter(|link| link.value == "down")?;
    let known = network.ovs_interface(node).is_some_and(|port| has_link(network, port));
    known.then_some(Block { why: Why::NoCarrier, evidence: link.evidence })
}

/// The name that a patch gives for its peer, where a complete list of the ports of the host shows
/// that the two are no pair.
fn patch_without_peer<'i>(
    network: &Network<'_>,
    node: NodeId,
    interface: &'i OvsInterface,
) -> Option<&'i Fact<Name>> {
    let host = network.topology.node(node)?.host?;
    let peer = interface.option("peer").filter(|_| interface.kind == "patch")?;
    let alone = network.topology.peer(node, EdgeKind::PatchPeer).is_none();
    (alone && network.complete(host, &Netns::Root, Topic::Ovs)).then_some(peer)
}

impl<'a> Network<'a> {
    /// Whether a device, OVS bridge, interface or port passes frames at all. `Known(None)` is yes.
    pub fn forwarding(&self, node: NodeId) -> Answer<Option<Block>> {
        match self.topology.node(node).map(|node| &node.data) {
            Some(NodeData::Netdev(_)) => match self.netdev(node) {
                Some(device) => self.device_forwards(device),
                // Known by the other end alone.
                None => Answer::Unknown(Vec::new()),
            },
            Some(NodeData::OvsInterface(interface)) => {
                let by_switch = || self.switch_ports().block(node).cloned();
                let by_carrier = || self.carrier_is_down(node);
                let block = interface_block(self, node, interface);
                let block = block.or_else(by_switch).or_else(by_carrier);
                Answer::Known(block)
            }
            Some(NodeData::OvsPort(port)) => {
                let dead = port.tag.as_ref().filter(|tag| tag.value == DEAD_VLAN);
                let dead = dead.map(|tag| Block { why: Why::DeadVlan, evidence: tag.evidence });
                Answer::Known(dead.or_else(|| self.switch_ports().block(node).cloned()))
            }
            Some(NodeData::OvsBridge(_)) => {
                let program = self.programs().of(node).filter(|program| program.outputs.is_empty());
                let block =
                    |program: &Program| Block { why: Why::NoFlow, evidence: program.evidence };
                Answer::Known(program.map(block))
            }
            Some(NodeData::TunnelEndpoint(_)) => match self.tunnel(node) {
                Some(tunnel) => match self.forwarding(tunnel.data.owner).known().flatten() {
                    Some(block) => Answer::Known(Some(block)),
                    None => {
                        match (overlay::by_lower(self, tunnel), overlay::egress(self, tunnel)) {
                            (Some(block), _) => Answer::Known(Some(block)),
                            (None, Some(Answer::Unknown(needs))) => Answer::Unknown(needs),
                            _ => overlay::unsent(self, tunnel),
                        }
                    }
                },
                None => Answer::Known(None),
            },
            _ => Answer::Known(None),
        }
    }

    /// What keeps Open vSwitch from using an interface: the interface itself, or its port.
    pub(crate) fn stopped_by_switch(&self, interface: NodeId) -> Option<Block> {
        let of_port = || {
            let ports = self.topology.out(interface, EdgeKind::OvsInterfaceOf);
            ports.into_iter().find_map(|(port, _)| self.switch_ports().block(port).cloned())
        };
        self.forwarding(interface).known().flatten().or_else(of_port)
    }

    /// Whether the kernel device that carries a tunnel of OVS was set down.
    fn carrier_is_down(&self, tunnel: NodeId) -> Option<Block> {
        let interface = self.ovs_interface(tunnel)?;
        let name = overlay::carrier(interface)?;
        let device = self.netdev_called(interface.host, &Netns::Root, &name)?;
        let flags = device.data.flags.as_ref().filter(|_| device.admin_up() == Some(false))?;
        Some(Block { why: Why::Down, evidence: flags.evidence })
    }

    fn device_forwards(&self, device: Item<'a, Netdev<'a>>) -> Answer<Option<Block>> {
        let Some(flags) = &device.data.flags else {
            if let Some(evidence) = self.has_no_link(device.id) {
                return Answer::Known(Some(Block { why: Why::NoCarrier, evidence }));
            }
            let command = Topic::Links.command(device.netns());
            return Answer::Unknown(vec![command]);
        };
        let block = |why| Answer::Known(Some(Block { why, evidence: flags.evidence }));
        if device.admin_up() == Some(false) {
            return block(Why::Down);
        }
        if device.carrier() == Some(false) {
            return block(Why::NoCarrier);
        }
        let by_bond = self.bond_sends(device);
        if !matches!(by_bond, Answer::Known(None)) {
            return by_bond;
        }
        if self.is_in_no_bridge(device) {
            return block(Why::NoBridge);
        }
        if let Some(evidence) = self.has_no_far_end(device) {
            return Answer::Known(Some(Block { why: Why::NoFarEnd, evidence }));
        }
        let is_port =
            self.master(device.id).is_some_and(|master| master.kind == NetdevKind::Bridge);
        if is_port && !self.is_disputed(device.id) {
            let held = self.bridge_ports().state(device.id).and_then(BridgePortState::held);
            if let Some((state, evidence)) = held {
                let why = Why::SpanningTree(state.clone());
                return Answer::Known(Some(Block { why, evidence: *evidence }));
            }
            if let Some(evidence) = self.is_in_no_vlan(device.id) {
                return Answer::Known(Some(Block { why: Why::NoVlan, evidence }));
            }
        }
        Answer::Known(None)
    }

    /// What `ethtool` says of a NIC without a link.
    fn has_no_link(&self, device: NodeId) -> Option<Evidence> {
        let settings = self.nics().of(device)?.settings?;
        let link = settings.record.link_detected.as_ref().filter(|link| !link.value)?;
        Some(link.evidence(settings.source))
    }

    /// Whether the end of a hybrid port that neutron puts into the integration bridge is in none, as
    /// complete captures of devices and of Open vSwitch show.
    fn is_in_no_bridge(&self, device: Item<'a, Netdev<'a>>) -> bool {
        device.kind == NetdevKind::Veth
            && device.netns().is_root()
            && device.name().starts_with("qvo")
            && self.master(device.id).is_none()
            && self.interface_of(device.id).is_none()
            && [Topic::Links, Topic::Ovs]
                .into_iter()
                .all(|topic| self.complete(device.host, &Netns::Root, topic))
    }

    /// Whether a VXLAN device of the kernel knows nobody to send to: it has neither a far end nor a
    /// group, and a whole forwarding table has no entry with one (`vxlan_xmit`, drivers/net/vxlan).
    fn has_no_far_end(&self, device: Item<'a, Netdev<'a>>) -> Option<Evidence> {
        if device.kind != NetdevKind::Tunnel {
            return None;
        }
        let evidence = device.records.iter().find_map(|seen| {
            let kind = seen.record.kind.as_ref().filter(|kind| kind.value == "vxlan")?;
            let tunnel = seen.record.kind_data.tunnel.as_ref()?;
            (!tunnel.external && tunnel.remote.is_none()).then(|| kind.evidence(seen.source))
        })?;
        let mut is_whole = false;
        for (source, entries) in self.fdb_texts() {
            if source.host != device.host || source.netns != *device.netns() {
                continue;
            }
            let mut of_device = entries
                .iter()
                .filter(|entry| entry.dev.as_ref().is_some_and(|dev| dev.value == device.name()));
            if of_device
                .any(|entry| entry.dst.is_some() || Field::find(&entry.other, "nhid").is_some())
            {
                return None;
            }
            let all = !source
                .command
                .args()
                .iter()
                .any(|word| matches!(word.as_str(), "br" | "dev" | "brport"));
            is_whole |= all && self.topology.snapshot.completeness(source.id).is_complete();
        }
        is_whole.then_some(evidence)
    }

    /// Whether a port of a Linux bridge that tells VLANs apart is in none.
    fn is_in_no_vlan(&self, port: NodeId) -> Option<Evidence> {
        let bridge = self.master(port).filter(|bridge| self.filters_vlans(*bridge))?;
        let vlans = self.bridge_ports().vlans(port).filter(|vlans| vlans.ranges.is_empty())?;
        vlans.evidence.filter(|_| bridge.kind == NetdevKind::Bridge)
    }
}
