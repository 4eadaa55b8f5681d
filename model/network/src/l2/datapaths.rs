//! Which ports of OVN's integration bridge lead off the host, for the network of each of its ports.
//!
//! ovn-controller gives the packets of a port the number of its logical switch in table 0
//! (`set_field:N->metadata`), and sends what belongs to that switch out by flows that match
//! `metadata=N`: to a patch port where the switch has a localnet port, and to tunnels where it has
//! ports on other chassis (ovn-architecture(7), "Physical network interfaces", steps 4 to 6).
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::records::openflow::{Action, Flow, OfField, OfPort, Subfield};
use tapline_topology::graph::OvsBridge;
use tapline_topology::{EdgeKind, NodeId};

use crate::flows::{self, Dump};
use crate::{Item, Network};

/// The number of a logical switch or router.
const DATAPATH: Subfield = Subfield { field: OfField::Metadata, low: 0, bits: 32 };
/// The table in which OVN tells what a packet's port belongs to (`OFTABLE_PHY_TO_LOG`).
const PHYSICAL_TO_LOGICAL: u8 = 0;

/// The exits of the logical switches of all integration bridges of OVN.
#[derive(Debug, Default)]
pub struct Datapaths {
    /// The interfaces that packets of the network of an OVS port may leave by, and their VLAN then:
    /// 0 without a tag, `None` where flows give several.
    exits: BTreeMap<NodeId, BTreeMap<NodeId, Option<u16>>>,
    /// The number of the network of an OVS port, where it has one only: the same on all hosts.
    networks: BTreeMap<NodeId, u64>,
    /// Ports whose packets are also sent to a port that no interface has, or to none though a way
    /// off the host is there that nothing is sent to.
    astray: BTreeSet<NodeId>,
}

impl Datapaths {
    /// What complete dumps of flows show.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all = Self::default();
        for host in network.hosts() {
            let name = network.integration_bridge(host);
            let Some(bridge) = network.bridge_called(host, name) else { continue };
            if let Some(dump) = network.flows().best(host, name) {
                all.read(network, bridge, dump);
            }
        }
        all
    }

    /// The interfaces of the bridge by which packets of the network of a port may leave it; `None`
    /// where no flow of OVN tells. With each their VLAN there: 0 without a tag, `None` where flows
    /// give several. What a port of OVN tags itself is dropped.
    pub fn exits_of(&self, port: NodeId) -> Option<&BTreeMap<NodeId, Option<u16>>> {
        self.exits.get(&port)
    }

    /// The number of the logical switch, or router, that a port belongs to.
    pub fn network_of(&self, port: NodeId) -> Option<u64> {
        self.networks.get(&port).copied()
    }

    /// Whether packets of the network of a port may be meant for something that is not there: flows
    /// send them to a port that no interface has (a patch or a tunnel that is gone, or was not
    /// captured), or send them nowhere while no flow at all sends to some patch of the bridge.
    /// ovn-controller makes a patch only for a localnet port of a network that it serves.
    pub fn goes_astray(&self, port: NodeId) -> bool {
        self.astray.contains(&port)
    }

    fn read(&mut self, network: &Network<'_>, bridge: Item<'_, OvsBridge>, dump: &Dump<'_>) {
        let (mut comes, mut leaves) = (BTreeMap::new(), BTreeMap::new());
        for flow in &dump.flows {
            if flow.table.value == PHYSICAL_TO_LOGICAL
                && let (Some(port), Some(datapath)) = (flow.in_port(), gives_datapath(flow))
            {
                let all: &mut BTreeSet<u128> = comes.entry(port.value).or_default();
                all.insert(datapath);
            }
            if let Some(datapath) = flow.wants(DATAPATH) {
                let all: &mut BTreeSet<(OfPort, u16)> = leaves.entry(datapath.value).or_default();
                let sends = flows::outputs_in_vlans(flow).into_iter();
                all.extend(sends.map(|(port, vlan)| (port.clone(), vlan.unwrap_or(0))));
            }
        }
        if comes.is_empty() || leaves.is_empty() {
            return;
        }
        let interfaces = interfaces_of(network, bridge);
        let named = |port: &OfPort| match port {
            OfPort::Name(name) => network
                .interface_called(bridge.host, name)
                .filter(|interface| interface.bridge == bridge.name())
                .map(|interface| interface.id),
            port => interfaces.get(port).copied(),
        };
        let mut used: BTreeSet<Option<NodeId>> = BTreeSet::new();
        for flow in &dump.flows {
            used.extend(flows::outputs(flow).map(|(port, _)| named(port)));
        }
        let is_patch = |id: &NodeId| {
            network.ovs_interface(*id).is_some_and(|interface| interface.kind == "patch")
        };
        let is_exit = |id: &NodeId| {
            is_patch(id) || !network.topology.into(*id, EdgeKind::TunnelOf).is_empty()
        };
        let mut patches = interfaces.values().filter(|id| is_patch(id));
        let has_idle_patch = patches.any(|patch| !used.contains(&Some(*patch)));
        for (port, datapaths) in &comes {
            let Some(interface) = named(port) else { continue };
            let sent = datapaths.iter().filter_map(|datapath| leaves.get(datapath)).flatten();
            let sent: Vec<(Option<NodeId>, u16)> =
                sent.map(|(port, vlan)| (named(port), *vlan)).collect();
            let mut exits: BTreeMap<NodeId, Option<u16>> = BTreeMap::new();
            for (interface, vlan) in &sent {
                let Some(interface) = interface else { continue };
                let known = exits.entry(*interface).or_insert(Some(*vlan));
                *known = known.filter(|known| known == vlan);
            }
            let stays = !exits.keys().any(is_exit);
            let is_lost = sent.iter().any(|(interface, _)| interface.is_none());
            let only = datapaths.first().filter(|_| datapaths.len() == 1);
            let only = only.and_then(|datapath| u64::try_from(*datapath).ok());
            for (port, _) in network.topology.out(interface, EdgeKind::OvsInterfaceOf) {
                self.networks.extend(only.map(|datapath| (port, datapath)));
                if is_lost || stays && has_idle_patch {
                    self.astray.insert(port);
                }
                self.exits.insert(port, exits.clone());
            }
        }
    }
}

/// The datapath that a flow gives to packets.
fn gives_datapath(flow: &Flow) -> Option<u128> {
    flows::actions(flow).find_map(|action| match &action.action {
        Action::SetField(set) | Action::Load(set) | Action::WriteMetadata(set) => {
            set.bits?.value_of(DATAPATH)
        }
        _ => None,
    })
}

/// The interfaces of a bridge by their OpenFlow number.
pub(super) fn interfaces_of(
    network: &Network<'_>,
    bridge: Item<'_, OvsBridge>,
) -> BTreeMap<OfPort, NodeId> {
    let all = network.ovs_interfaces_of(bridge.host);
    let of_bridge = all.filter(|interface| interface.bridge == bridge.name());
    let numbered = of_bridge.filter_map(|interface| {
        let number = flows::number_of(network, bridge, interface)?;
        Some((OfPort::Number(number), interface.id))
    });
    numbered.collect()
}
