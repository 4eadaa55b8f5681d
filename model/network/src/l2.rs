//! Ethernet on a host: whether a port passes frames on, and which VLANs it carries.
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::records::Field;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind, OvsBridge, OvsInterface, OvsPort};
use tapline_topology::{NodeData, NodeId, Topic, names};

use crate::defs::DEAD_VLAN;
use crate::{Answer, Item, Network, overlay};

mod datapaths;
mod domain;
mod exits;
mod stp;

pub use datapaths::Datapaths;
pub use domain::{Domain, DomainLink, JoinedDomains};
pub use exits::{Exit, Exits};
pub use stp::SpanningTrees;

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
    /// The far end of a tunnel, or the router on the way to it, did not answer.
    NoAnswer(IpAddr),
    /// The bridge tells VLANs apart, and the VLAN of the frames is not one of the port.
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
            Self::NoAnswer(next_hop) => write!(f, "no answer from {next_hop}"),
            Self::Vlan(vlan) => write!(f, "does not carry VLAN {vlan}"),
        }
    }
}

/// What the kernel says of a device as a port of a Linux bridge.
#[derive(Clone, Default, Debug)]
pub struct BridgePortState {
    /// State by spanning tree, lower case.
    pub state: Option<(Name, Evidence)>,
    /// Whether it exchanges no frames with other isolated ports.
    pub isolated: Option<(bool, Evidence)>,
    /// Whether frames may leave by the port by which they came.
    pub hairpin: Option<(bool, Evidence)>,
}

/// The VLANs of a port of a Linux bridge that tells VLANs apart.
#[derive(Clone, Default, Debug)]
pub struct PortVlans {
    /// First and last of each range.
    pub ranges: Vec<(u16, u16)>,
    /// The VLAN of frames that come in without a tag.
    pub pvid: Option<u16>,
    /// The first line about the port.
    pub evidence: Option<Evidence>,
}

impl PortVlans {
    /// Whether the port is in a VLAN.
    pub fn contains(&self, vlan: u16) -> bool {
        self.ranges.iter().any(|(first, last)| (*first..=*last).contains(&vlan))
    }
}

/// All that was captured of ports of Linux bridges.
#[derive(Debug, Default)]
pub struct BridgePorts {
    states: BTreeMap<NodeId, BridgePortState>,
    vlans: BTreeMap<NodeId, PortVlans>,
}

impl BridgePorts {
    /// Gathers it: `bridge link` before `ip -d`, complete lists of VLANs alone.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all = Self::default();
        for (source, ports) in network.bridge_port_texts() {
            for port in ports {
                let name = &port.name.value;
                let device = network.topology.find_netdev(source.host, &source.netns, name);
                let Some(device) = device else { continue };
                let known = all.states.entry(device).or_default();
                let line = Evidence { source: source.id, span: port.at };
                if let Some(state) = &port.state {
                    let read = (state.value.to_ascii_lowercase(), state.evidence(source.id));
                    known.state.get_or_insert(read);
                }
                known.read_options(&port.other, line);
            }
        }
        for device in network.netdevs() {
            for seen in &device.data.records {
                let record = seen.record;
                if record.slave_kind.as_ref().is_none_or(|kind| kind.value != "bridge_slave") {
                    continue;
                }
                let known = all.states.entry(device.id).or_default();
                if let Some(state) = &record.slave_state {
                    let read = (state.value.to_ascii_lowercase(), state.evidence(seen.source));
                    known.state.get_or_insert(read);
                }
                let line = Evidence { source: seen.source, span: record.at };
                known.read_options(&record.other, line);
            }
        }
        all.read_vlans(network);
        all
    }

    fn read_vlans(&mut self, network: &Network<'_>) {
        for (source, records) in network.bridge_vlan_texts() {
            let part =
                source.command.args().iter().any(|word| matches!(word.as_str(), "dev" | "vid"));
            if part || !network.topology.snapshot.completeness(source.id).is_complete() {
                continue;
            }
            for record in records {
                let name = &record.dev.value;
                let device = network.topology.find_netdev(source.host, &source.netns, name);
                let Some(device) = device else { continue };
                let known = self.vlans.entry(device).or_default();
                let line = Evidence { source: source.id, span: record.at };
                known.evidence.get_or_insert(line);
                let Some(first) = record.vid.as_ref().map(|vid| vid.value) else { continue };
                known.ranges.push((first, record.vid_end.unwrap_or(first)));
                if record.flags.iter().any(|flag| flag == "PVID") {
                    known.pvid = Some(first);
                }
            }
        }
    }

    /// What is known of a port.
    pub fn state(&self, device: NodeId) -> Option<&BridgePortState> {
        self.states.get(&device)
    }

    /// The VLANs of a port, by a complete list.
    pub fn vlans(&self, device: NodeId) -> Option<&PortVlans> {
        self.vlans.get(&device)
    }
}

impl BridgePortState {
    fn read_options(&mut self, options: &[Field], line: Evidence) {
        let option = |key: &str| Field::find(options, key).map(|value| (value.value == "on", line));
        self.isolated = self.isolated.or_else(|| option("isolated"));
        self.hairpin = self.hairpin.or_else(|| option("hairpin"));
    }

    /// Whether spanning tree holds the port back: a port that learns drops what it has learnt from
    /// (`br_handle_frame_finish`, net/bridge/br_input.c).
    pub fn held(&self) -> Option<&(Name, Evidence)> {
        let held =
            |state: &str| matches!(state, "blocking" | "listening" | "learning" | "disabled");
        self.state.as_ref().filter(|(state, _)| held(state))
    }
}

/// What keeps frames from passing an interface of OVS. Where the kernel has a device of it, that
/// device tells of its link; of others, as those of DPDK, only OVS does.
fn interface_block(interface: &OvsInterface) -> Option<Block> {
    if let Some(error) = &interface.error {
        return Some(Block { why: Why::Error, evidence: error.evidence });
    }
    let link = interface.link_state.as_ref().filter(|link| link.value == "down");
    let link = link.filter(|_| !interface.has_netdev() && interface.kind != "patch")?;
    Some(Block { why: Why::NoCarrier, evidence: link.evidence })
}

/// The VLAN that an OVS port gives to frames without a tag, where it takes no others.
pub fn access_vlan(port: &OvsPort) -> Option<u16> {
    let mode = port.vlan_mode.as_ref().map_or("", |mode| mode.value.as_str());
    port.tag
        .as_ref()
        .filter(|_| matches!(mode, "" | "access" | "dot1q-tunnel"))
        .map(|tag| tag.value)
}

/// Whether an OVS port passes frames of a VLAN of its bridge, by ovs-vswitchd.conf.db(5).
pub fn carries(port: &OvsPort, vlan: u16) -> bool {
    if vlan == DEAD_VLAN {
        return false;
    }
    if let Some(own) = access_vlan(port) {
        return own == vlan;
    }
    // A native VLAN is carried beside the trunks.
    let native = port.tag.as_ref().is_some_and(|tag| tag.value == vlan)
        && port.vlan_mode.as_ref().is_some_and(|mode| mode.value.starts_with("native-"));
    native || port.trunks.is_empty() || port.trunks.iter().any(|trunk| trunk.value == vlan)
}

impl<'a> Network<'a> {
    /// The name of the bridge on which the ports of VMs meet: `ovn-bridge` may give it another
    /// name than neutron and OVN do.
    pub fn integration_bridge(&self, host: HostId) -> &'a str {
        self.ovn().locals.get(&host).map_or(names::INTEGRATION_BRIDGE, |local| local.bridge())
    }

    /// The bridge on which the ports of VMs meet.
    pub fn integration(&self, host: HostId) -> Option<Item<'a, OvsBridge>> {
        self.bridge_called(host, self.integration_bridge(host))
    }

    /// Its ports.
    pub fn integration_ports(&self, host: HostId) -> impl Iterator<Item = Item<'a, OvsPort>> + '_ {
        let bridge = self.integration_bridge(host);
        self.ovs_ports_of(host).filter(move |port| port.bridge == bridge)
    }

    /// Whether a bridge, by its name, is the integration bridge of the host.
    pub fn is_integration_called(&self, host: HostId, bridge: &str) -> bool {
        bridge == self.integration_bridge(host)
    }

    /// Whether a node is the integration bridge of its host.
    pub fn is_integration(&self, node: NodeId) -> bool {
        let bridge = self.ovs_bridge(node);
        bridge.is_some_and(|bridge| bridge.name() == self.integration_bridge(bridge.host))
    }

    /// Whether a device, OVS interface or OVS port passes frames at all. `Known(None)` is yes.
    pub fn forwarding(&self, node: NodeId) -> Answer<Option<Block>> {
        match self.topology.node(node).map(|node| &node.data) {
            Some(NodeData::Netdev(_)) => match self.netdev(node) {
                Some(device) => self.device_forwards(device),
                // Known by the other end alone.
                None => Answer::Unknown(Vec::new()),
            },
            Some(NodeData::OvsInterface(interface)) => Answer::Known(interface_block(interface)),
            Some(NodeData::OvsPort(port)) => {
                let dead = port.tag.as_ref().filter(|tag| tag.value == DEAD_VLAN);
                Answer::Known(dead.map(|tag| Block { why: Why::DeadVlan, evidence: tag.evidence }))
            }
            Some(NodeData::TunnelEndpoint(_)) => {
                let tunnel = self.tunnel(node);
                Answer::Known(tunnel.and_then(|tunnel| overlay::unanswered(self, tunnel)))
            }
            _ => Answer::Known(None),
        }
    }

    fn device_forwards(&self, device: Item<'a, Netdev<'a>>) -> Answer<Option<Block>> {
        let Some(flags) = &device.data.flags else {
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
        let is_port =
            self.master(device.id).is_some_and(|master| master.kind == NetdevKind::Bridge);
        if is_port && !self.is_disputed(device.id) {
            let held = self.bridge_ports().state(device.id).and_then(BridgePortState::held);
            if let Some((state, evidence)) = held {
                let why = Why::SpanningTree(state.clone());
                return Answer::Known(Some(Block { why, evidence: *evidence }));
            }
        }
        Answer::Known(None)
    }

    /// What keeps a Linux bridge from passing frames between two of its ports, as far as known.
    pub fn blocked_between(&self, from: NodeId, to: NodeId) -> Option<Block> {
        let bridge = self.master(from).filter(|bridge| bridge.kind == NetdevKind::Bridge)?;
        if self.master(to).map(|other| other.id) != Some(bridge.id) {
            return None;
        }
        let ports = self.bridge_ports();
        let isolated = |port| ports.state(port).and_then(|state| state.isolated);
        if let (Some((true, _)), Some((true, evidence))) = (isolated(from), isolated(to)) {
            return Some(Block { why: Why::Isolated, evidence });
        }
        let here = ports.vlans(from).filter(|_| self.filters_vlans(bridge))?;
        let there = ports.vlans(to)?;
        let (first, _) = *here.ranges.first()?;
        let meets = |&(first, last): &(u16, u16)| {
            there.ranges.iter().any(|(from, to)| *from <= last && first <= *to)
        };
        let evidence = there.evidence.filter(|_| !here.ranges.iter().any(meets))?;
        Some(Block { why: Why::Vlan(here.pvid.unwrap_or(first)), evidence })
    }

    /// Whether a Linux bridge is known to tell VLANs apart.
    pub fn filters_vlans(&self, bridge: Item<'a, Netdev<'a>>) -> bool {
        bridge.data.records.iter().any(|seen| {
            let data = seen.record.kind_data.bridge.as_ref();
            let filtering = data.and_then(|bridge| bridge.vlan_filtering.as_ref());
            filtering.is_some_and(|filtering| filtering.value)
        })
    }
}
