//! Ethernet on a host: whether a port passes frames on, and which VLANs it carries.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Mac;
use tapline_core::records::Field;
use tapline_core::span::{Evidence, SourceId, Span};
use tapline_topology::graph::{Netdev, NetdevKind, OvsBridge, OvsPort};
use tapline_topology::{NodeId, names};

use crate::defs::DEAD_VLAN;
use crate::{Item, Network, flows};

mod bare;
mod block;
mod bond;
mod both_ways;
mod br_netfilter;
mod datapaths;
mod domain;
mod exits;
mod fdb;
mod ovs_bond;
mod passage;
mod programs;
mod refused;
mod stp;
mod switch_ports;

pub use block::{Block, Why};
pub use datapaths::Datapaths;
pub use domain::{Domain, DomainLink, JoinedDomains};
pub use exits::{Exit, Exits};
pub(crate) use fdb::Fdbs;
pub(crate) use ovs_bond::{OvsBond, Sends};
pub(crate) use passage::{Arriving, Passage, Sent, is_left_to_groups, passage};
pub use programs::{Program, Programs};
pub use refused::Refused;
pub(crate) use refused::{NamedSenders, named_senders};
pub use stp::SpanningTrees;
pub use switch_ports::SwitchPorts;

/// What the kernel says of a device as a port of a Linux bridge.
#[derive(Clone, Default, Debug)]
pub struct BridgePortState {
    /// State by spanning tree, lower case.
    pub state: Option<(Name, Evidence)>,
    /// Whether it exchanges no frames with other isolated ports.
    pub isolated: Option<(bool, Evidence)>,
    /// Whether frames may leave by the port by which they came.
    pub hairpin: Option<(bool, Evidence)>,
    /// Whether unicast frames whose destination was not learnt are sent to the port.
    pub flood: Option<(bool, Evidence)>,
    /// The same of multicast frames of unknown groups.
    pub mcast_flood: Option<(bool, Evidence)>,
    /// The same of broadcast frames.
    pub bcast_flood: Option<(bool, Evidence)>,
    /// Whether the port takes frames from those MACs alone that the forwarding table has at it.
    pub locked: Option<(bool, Evidence)>,
}

/// The VLANs of a port of a Linux bridge that tells VLANs apart.
#[derive(Clone, Default, Debug)]
pub struct PortVlans {
    /// First and last of each range.
    pub ranges: Vec<(u16, u16)>,
    /// The ranges whose frames leave without a tag.
    untagged: Vec<(u16, u16)>,
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

    /// Whether the port is in one VLAN alone.
    pub fn is_single(&self) -> bool {
        matches!(self.ranges.as_slice(), [(first, last)] if first == last)
    }

    /// Whether a guest behind the port can talk to what is behind another one: with frames that it does
    /// not tag, which need the PVID on the way out and some VLAN without a tag on the way back, or with
    /// frames of one VLAN that are tagged both ways.
    fn serves(&self, there: &Self) -> bool {
        let common = || {
            let all = self.ranges.iter().flat_map(|(first, last)| *first..=*last);
            all.filter(|vlan| there.contains(*vlan))
        };
        let untagged = || {
            self.pvid.is_some_and(|pvid| there.contains(pvid))
                && common().any(|vlan| self.leaves_untagged(vlan))
        };
        untagged() || common().any(|vlan| !self.leaves_untagged(vlan))
    }

    /// Whether frames of a VLAN leave by the port without a tag.
    pub fn leaves_untagged(&self, vlan: u16) -> bool {
        self.untagged.iter().any(|(first, last)| (*first..=*last).contains(&vlan))
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
                if let Some(state) = &port.state {
                    let read = (state.value.to_ascii_lowercase(), state.evidence(source.id));
                    known.state.get_or_insert(read);
                }
                let option = |key: &str| Field::find(&port.other, key);
                known.read_options(
                    |key| option(key).map(|found| (found.as_str(), found.span)),
                    source.id,
                );
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
                let option = |key: &str| record.other.find(key);
                known.read_options(
                    |key| option(key).map(|found| (found.value, found.span)),
                    seen.source,
                );
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
            let mut listed = BTreeSet::new();
            for record in records {
                let name = &record.dev.value;
                let device = network.topology.find_netdev(source.host, &source.netns, name);
                let Some(device) = device else { continue };
                listed.insert(device);
                let known = self.vlans.entry(device).or_default();
                let line = Evidence { source: source.id, span: record.at };
                known.evidence.get_or_insert(line);
                let Some(first) = record.vid.as_ref().map(|vid| vid.value) else { continue };
                // Spanning tree may hold a port in one VLAN alone (`br_vlan_get_state`,
                // net/bridge/br_vlan.c).
                let state = Field::find(&record.other, "state").map(|state| &*state.value);
                if state.is_some_and(|state| matches!(state, "disabled" | "blocking" | "listening"))
                {
                    continue;
                }
                let range = (first, record.vid_end.unwrap_or(first));
                known.ranges.push(range);
                // `Egress Untagged`, and `Egress`, `Untagged` in JSON.
                if record.flags.iter().any(|flag| flag.ends_with("Untagged")) {
                    known.untagged.push(range);
                }
                if record.flags.iter().any(|flag| flag == "PVID") {
                    known.pvid = Some(first);
                }
            }
            // iproute2 names ports without VLANs up to 4.x (`None`), and leaves them out since.
            let of_text = |device: &Item<'_, Netdev<'_>>| {
                *device.netns() == source.netns && !listed.contains(&device.id) && !device.stub
            };
            for port in network.netdevs_of(source.host).filter(of_text) {
                let bridge = network.master(port.id);
                if bridge.is_some_and(|bridge| listed_any(network, bridge.id, &listed)) {
                    let evidence = Some(flows::first_line(network, source.id));
                    self.vlans
                        .entry(port.id)
                        .or_insert(PortVlans { evidence, ..PortVlans::default() });
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

/// Whether a list of VLANs has a Linux bridge or a port of it.
fn listed_any(network: &Network<'_>, bridge: NodeId, listed: &BTreeSet<NodeId>) -> bool {
    listed.contains(&bridge)
        || network.members(bridge).iter().any(|member| listed.contains(&member.id))
}

impl BridgePortState {
    /// Takes options from a text of this source.
    fn read_options<'f>(
        &mut self,
        find: impl Fn(&str) -> Option<(&'f str, Span)>,
        source: SourceId,
    ) {
        let option =
            |key: &str| find(key).map(|(value, span)| (value == "on", Evidence { source, span }));
        self.isolated = self.isolated.or_else(|| option("isolated"));
        self.hairpin = self.hairpin.or_else(|| option("hairpin"));
        self.flood = self.flood.or_else(|| option("flood"));
        self.mcast_flood = self.mcast_flood.or_else(|| option("mcast_flood"));
        self.bcast_flood = self.bcast_flood.or_else(|| option("bcast_flood"));
        self.locked = self.locked.or_else(|| option("locked"));
    }

    /// What keeps the port from what a bridge floods, if it is set so (bridge(8), `flood`,
    /// `mcast_flood`, `bcast_flood`): of a frame to this MAC.
    pub fn spared(&self, to: Mac) -> Option<Evidence> {
        let set = match to {
            Mac([0xff, 0xff, 0xff, 0xff, 0xff, 0xff]) => self.bcast_flood,
            to if to.is_multicast() => self.mcast_flood,
            _ => self.flood,
        };
        set.filter(|(floods, _)| !floods).map(|(_, evidence)| evidence)
    }

    /// Whether spanning tree holds the port back: a port that learns drops what it has learnt from
    /// (`br_handle_frame_finish`, net/bridge/br_input.c).
    pub fn held(&self) -> Option<&(Name, Evidence)> {
        let held =
            |state: &str| matches!(state, "blocking" | "listening" | "learning" | "disabled");
        self.state.as_ref().filter(|(state, _)| held(state))
    }
}

/// The VLAN that an OVS port gives to frames without a tag, where it takes no others.
pub fn access_vlan(port: &OvsPort) -> Option<u16> {
    let mode = port.vlan_mode.as_ref().map_or("", |mode| mode.value.as_str());
    port.tag
        .as_ref()
        .filter(|_| matches!(mode, "" | "access" | "dot1q-tunnel"))
        .map(|tag| tag.value)
}

/// The VLAN that an OVS port gives to frames without a tag: that of an access port, or the native one
/// beside its trunks (ovs-vswitchd.conf.db(5), `vlan_mode`).
pub fn vlan_of_untagged(port: &OvsPort) -> Option<u16> {
    let native = port.vlan_mode.as_ref().is_some_and(|mode| mode.value.starts_with("native-"));
    let native = port.tag.as_ref().filter(|_| native).map(|tag| tag.value);
    access_vlan(port).or(native)
}

/// The VLAN that a VLAN device gives to frames.
pub fn vlan_of(device: Item<'_, Netdev<'_>>) -> Option<u16> {
    let mut data = device.data.records.iter();
    data.find_map(|seen| Some(seen.record.kind_data.vlan.as_ref()?.id.value))
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

    /// What keeps a Linux bridge from passing frames between two of its ports, as far as known.
    pub fn blocked_between(&self, from: NodeId, to: NodeId) -> Option<Block> {
        self.blocked_between_in(from, to, None)
    }

    /// The same of frames in a VLAN of the bridge, where that is known.
    pub fn blocked_between_in(&self, from: NodeId, to: NodeId, vlan: Option<u16>) -> Option<Block> {
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
        // A port in no VLAN is crossed itself.
        let (first, _) = *here.ranges.first()?;
        let meets = |&(first, last): &(u16, u16)| {
            there.ranges.iter().any(|(from, to)| *from <= last && first <= *to)
        };
        if let Some(vlan) = vlan.filter(|vlan| *vlan != 0) {
            let evidence = there.evidence.filter(|_| !there.contains(vlan))?;
            return Some(Block { why: Why::Vlan(vlan), evidence });
        }
        let is_served = here.ranges.iter().any(meets) && here.serves(there);
        let evidence = there.evidence.filter(|_| !is_served)?;
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
