//! What Open vSwitch says of its ports: whether it sends and takes frames by them.
//!
//! Spanning tree and the settings of OpenFlow stop an interface, a bond without an enabled member
//! stops its port (ovs-ofctl(8) `show` and `mod-port`, ovs-vswitchd.conf.db(5) `Port`,
//! ovs-vswitchd(8) `bond/show`).
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::{HostId, Source};
use tapline_core::records::appctl::{OvsStatus, OvsStatusKind, OvsStatusMember};
use tapline_core::records::openflow::{OfPort, OfPortDesc};
use tapline_core::records::ovs::{OvsColumn, OvsRecord, OvsRow};
use tapline_core::records::{Batch, Field};
use tapline_core::span::Evidence;
use tapline_topology::graph::OvsInterface;
use tapline_topology::{NodeId, names};

use super::ovs_bond::OvsBond;
use super::{Block, Why};
use crate::{Item, Network};

/// What stops interfaces and ports of OVS bridges.
#[derive(Debug, Default)]
pub struct SwitchPorts {
    blocks: BTreeMap<NodeId, Block>,
    /// Ports that exchange no frames with other such ports, and what says so.
    protected: BTreeMap<NodeId, Evidence>,
    /// Ports that mirrors send copies by, and what says so.
    mirrors: BTreeMap<NodeId, Evidence>,
    /// Interfaces that get nothing that is flooded: `NO_FLOOD`.
    unflooded: BTreeSet<NodeId>,
    /// Which members bonds use, by port.
    bonds: BTreeMap<NodeId, OvsBond>,
}

impl SwitchPorts {
    /// Gathers it. Partial texts count too: what they show is so.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let mut all = Self::default();
        for (source, switches) in network.switch_texts() {
            for port in switches.iter().flat_map(|switch| &switch.ports) {
                all.read_openflow(network, source, port);
            }
        }
        for (source, rows) in network.ovs_texts() {
            for row in rows {
                let OvsRow::Port(port) = &row.row else { continue };
                let node = network.topology.find_ovs_port(source.host, &port.name.value);
                if let Some(node) = node
                    && let Some(bond) = OvsBond::of_row(network, source, port, &row.columns)
                {
                    all.know_bond(node, bond);
                }
                for column in &row.columns {
                    if let Some(node) = node
                        && column.name == "protected"
                        && column.value.value == "true"
                    {
                        all.protected.insert(node, column.value.evidence(source.id));
                    }
                    if let (Some(node), Some(state)) = (node, held(column)) {
                        let line = column.value.evidence(source.id);
                        all.note(node, Why::SpanningTree(state), line);
                    }
                }
            }
        }
        all.mirrors = outputs_of_mirrors(network);
        for (source, reading) in network.texts_of("ovs-status") {
            let Batch::OvsStatuses(statuses) = &reading.records else { continue };
            for status in statuses.iter().filter(|status| status.of == OvsStatusKind::Bond) {
                let port = network.topology.find_ovs_port(source.host, &status.name.value);
                if let Some(port) = port {
                    all.tell_bond(port, OvsBond::of_status(network, source, status));
                }
            }
            let dead = statuses.iter().filter(|status| match status.of {
                OvsStatusKind::Bond => is_dead(status),
                OvsStatusKind::Lacp => is_held_by_lacp(status),
                OvsStatusKind::Bfd => false,
            });
            for bond in dead {
                if let Some(port) = network.topology.find_ovs_port(source.host, &bond.name.value) {
                    all.note(port, Why::NoActiveMember, bond.name.evidence(source.id));
                }
            }
        }
        all
    }

    /// What keeps a bridge from passing frames between two of its ports: both are `protected`
    /// (ovs-vswitchd.conf.db(5)).
    pub(crate) fn blocked_between(&self, from: NodeId, to: NodeId) -> Option<Block> {
        self.protected.get(&from)?;
        let evidence = *self.protected.get(&to)?;
        Some(Block { why: Why::Isolated, evidence })
    }

    /// What says that a port is kept for the copies of a mirror: NORMAL takes nothing from it and
    /// sends nothing to it (`xlate_normal`, ofproto/ofproto-dpif-xlate.c).
    pub(crate) fn mirror(&self, port: NodeId) -> Option<Evidence> {
        self.mirrors.get(&port).copied()
    }

    /// What stops an interface or a port.
    pub fn block(&self, node: NodeId) -> Option<&Block> {
        self.blocks.get(&node)
    }

    /// Which members a bond uses.
    pub(crate) fn bond(&self, port: NodeId) -> Option<&OvsBond> {
        self.bonds.get(&port)
    }

    /// Takes what the database says of a bond, where nothing better is known.
    fn know_bond(&mut self, port: NodeId, bond: OvsBond) {
        let known = self.bonds.remove(&port).unwrap_or_default();
        self.bonds.insert(port, known.or(bond));
    }

    /// Takes what vswitchd itself says.
    fn tell_bond(&mut self, port: NodeId, bond: OvsBond) {
        let known = self.bonds.remove(&port).unwrap_or_default();
        self.bonds.insert(port, bond.or(known));
    }

    /// Whether an interface gets what is flooded (`xlate_normal_flood` and `flood_packets`,
    /// ofproto/ofproto-dpif-xlate.c).
    pub(crate) fn is_flooded(&self, interface: NodeId) -> bool {
        !self.unflooded.contains(&interface)
    }

    fn read_openflow(&mut self, network: &Network<'_>, source: &Source, port: &OfPortDesc) {
        if port.config.iter().any(|word| word.value == "NO_FLOOD")
            && let Some(node) = network.topology.find_ovs_interface(source.host, &port.name.value)
        {
            self.unflooded.insert(node);
        }
        // The bridge's own device is down on most hosts, and nobody misses it.
        if port.port.value == OfPort::Local {
            return;
        }
        let name = &port.name.value;
        let Some(interface) = network.topology.find_ovs_interface(source.host, name) else {
            return;
        };
        // OVS sees devices that were moved to a namespace as down: of those the kernel tells, and of
        // patches and tunnels nobody.
        let has_link = network.ovs_interface(interface).is_some_and(|port| has_link(network, port));
        for word in port.config.iter().chain(&port.state) {
            if let Some(why) = stops(&word.value)
                .filter(|why| has_link || !matches!(why, Why::Down | Why::NoCarrier))
            {
                self.note(interface, why, word.evidence(source.id));
            }
        }
    }

    fn note(&mut self, node: NodeId, why: Why, evidence: Evidence) {
        self.blocks.entry(node).or_insert(Block { why, evidence });
    }
}

/// The ports that mirrors send by: those of mirrors that a bridge names among its own, which alone are
/// at work (ovs-vswitchd.conf.db(5), `Mirror`, `output_port`). Rows refer to each other by `_uuid`.
fn outputs_of_mirrors(network: &Network<'_>) -> BTreeMap<NodeId, Evidence> {
    let mut ports: BTreeMap<(HostId, &str), NodeId> = BTreeMap::new();
    let mut used: BTreeSet<(HostId, &str)> = BTreeSet::new();
    let mut outputs: Vec<(HostId, &str, &str, Evidence)> = Vec::new();
    let column = |record: &'_ OvsRecord, name: &str| {
        record.columns.iter().position(|column| column.name == name)
    };
    for (source, rows) in network.ovs_texts() {
        let host = source.host;
        for record in rows {
            let Some(uuid) = record.uuid.as_ref().map(|uuid| uuid.value.as_str()) else { continue };
            let named = |name: &str| record.columns.get(column(record, name)?);
            match &record.row {
                OvsRow::Port(port) => {
                    let node = network.topology.find_ovs_port(host, &port.name.value);
                    ports.extend(node.map(|node| ((host, uuid), node)));
                }
                OvsRow::Bridge(_) => {
                    let set = named("mirrors").map_or("", |column| column.value.value.as_str());
                    used.extend(words(set).map(|mirror| (host, mirror)));
                }
                OvsRow::Other { name } if name == "Mirror" => {
                    let output = named("output_port");
                    outputs.extend(output.map(|column| {
                        let evidence = column.value.evidence(source.id);
                        (host, uuid, column.value.value.as_str(), evidence)
                    }));
                }
                _ => {}
            }
        }
    }
    let at_work = outputs.into_iter().filter(|(host, mirror, ..)| used.contains(&(*host, *mirror)));
    at_work
        .filter_map(|(host, _, output, evidence)| {
            let port = words(output).next()?;
            Some((*ports.get(&(host, port))?, evidence))
        })
        .collect()
}

/// The ids of a set, which stand in brackets where there is not exactly one.
fn words(set: &str) -> impl Iterator<Item = &str> {
    set.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').filter(|word| word.contains('-'))
}

/// Why an interface with this word of `config` or `state` passes no frames. `NO_FLOOD` leaves it
/// what is sent to it alone, and `LINK_DOWN` is said of devices in namespaces that are up.
fn stops(word: &str) -> Option<Why> {
    match word {
        "PORT_DOWN" => Some(Why::Down),
        "LINK_DOWN" => Some(Why::NoCarrier),
        "NO_FWD" => Some(Why::NoForwarding),
        // `NO_RECV_STP` is about the frames of spanning tree alone.
        "NO_RECV" => Some(Why::NoReceiving),
        "STP_LISTEN" => Some(Why::SpanningTree("listening".into())),
        "STP_LEARN" => Some(Why::SpanningTree("learning".into())),
        "STP_BLOCK" => Some(Why::SpanningTree("blocking".into())),
        // OpenFlow 1.1 and later: by spanning tree, or by what stops the port otherwise.
        "BLOCKED" => Some(Why::SpanningTree("blocked".into())),
        _ => None,
    }
}

/// Whether Open vSwitch knows best of the link of an interface: it is no device of the kernel, or a
/// NIC of which the kernel's own list was not captured.
pub(super) fn has_link(network: &Network<'_>, interface: Item<'_, OvsInterface>) -> bool {
    match interface.kind.as_str() {
        "" | "system" => {
            network.device_of(interface.id).is_none() && names::is_nic(interface.name())
        }
        kind => kind.starts_with("dpdk"),
    }
}

/// The state in which spanning tree holds a port back, by its column `status` or `rstp_status`.
fn held(column: &OvsColumn) -> Option<Name> {
    let key = match column.name.as_str() {
        "status" => "stp_state=",
        "rstp_status" => "rstp_port_state=",
        _ => return None,
    };
    let (_, rest) = column.value.value.split_once(key)?;
    let state =
        rest.split(|letter: char| !letter.is_ascii_alphabetic()).find(|word| !word.is_empty())?;
    let state = state.to_ascii_lowercase();
    let passes = matches!(state.as_str(), "forwarding" | "disabled");
    (!passes).then(|| state.into())
}

/// Whether LACP lets a port send by none of its members (`lacp_member_may_enable__`, lib/lacp.c).
fn is_held_by_lacp(port: &OvsStatus) -> bool {
    let is_held = |member: &OvsStatusMember| {
        Field::find(&member.fields, "may_enable").is_some_and(|may| may.value == "false")
    };
    !port.members.is_empty() && port.members.iter().all(is_held)
}

/// Whether a bond sends by none of its members.
fn is_dead(bond: &OvsStatus) -> bool {
    let is_disabled =
        |member: &OvsStatusMember| member.states.iter().any(|state| state.value == "disabled");
    let none_enabled = !bond.members.is_empty() && bond.members.iter().all(is_disabled);
    let field = |keys: &[&str]| keys.iter().find_map(|key| Field::find(&bond.fields, key));
    let active = field(&["active member mac", "active slave mac"]);
    let by_one = field(&["bond_mode"]).is_some_and(|mode| mode.value == "active-backup");
    none_enabled || by_one && active.is_some_and(|active| active.value.ends_with("(none)"))
}
