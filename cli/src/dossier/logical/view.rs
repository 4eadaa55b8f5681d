//! The rows around an object of OVN, and how objects are called.
use std::collections::{BTreeMap, HashMap};

use tapline_core::records::ovs::{OvsRecord, OvsRow, lookup};
use tapline_core::span::Evidence;
use tapline_network::Network;
use tapline_topology::graph::{Logical, LogicalKind, Seen};
use tapline_topology::rows::{Rows, external_id};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

/// A row and its place.
pub(super) type Row<'a> = Seen<'a, OvsRecord>;

/// The place of a row.
pub(super) fn at(row: Row<'_>) -> Evidence {
    Evidence { source: row.source, span: row.record.at }
}

/// All rows, with the indexes that stories need.
pub(super) struct View<'n, 'a> {
    network: &'n Network<'a>,
    /// Datapath_Binding by the `_uuid` of the switch or router.
    datapaths: HashMap<&'n str, Row<'a>>,
    /// Port_Group by the `_uuid` of a port.
    groups: HashMap<&'n str, Vec<Row<'a>>>,
}

impl<'n, 'a> View<'n, 'a> {
    pub(super) fn new(network: &'n Network<'a>) -> Self {
        let rows = &network.topology.rows;
        let mut datapaths = HashMap::new();
        for &row in rows.of("Datapath_Binding") {
            for key in ["logical-switch", "logical-router"] {
                if let Some(uuid) = external_id(row.record, key) {
                    datapaths.insert(uuid, row);
                }
            }
        }
        let mut groups: HashMap<&str, Vec<Row<'a>>> = HashMap::new();
        for &row in rows.of("Port_Group") {
            for port in row.record.set("ports") {
                groups.entry(port.value.as_str()).or_default().push(row);
            }
        }
        Self { network, datapaths, groups }
    }

    pub(super) fn topology(&self) -> &'n Topology<'a> {
        self.network.topology
    }

    pub(super) fn rows(&self) -> &'n Rows<'a> {
        &self.network.topology.rows
    }

    pub(super) fn logical(&self, id: NodeId) -> Option<&'n Logical<'a>> {
        self.topology().logical(id)
    }

    /// The row of an object in a table.
    pub(super) fn row(&self, id: NodeId, table: &str) -> Option<Row<'a>> {
        self.logical(id)?.rows.iter().find(|row| row.record.table() == table).copied()
    }

    /// The place that an object is known from.
    pub(super) fn place(&self, id: NodeId) -> Option<Evidence> {
        let row = self.logical(id)?.rows.first();
        row.map(|row| at(*row)).or_else(|| self.topology().node(id)?.seen.first().copied())
    }

    /// The switch or router that a port is of.
    pub(super) fn owner(&self, port: NodeId) -> Option<NodeId> {
        self.topology().out(port, EdgeKind::LogicalPortOf).first().map(|(id, _)| *id)
    }

    /// The ports of a switch or router.
    pub(super) fn ports(&self, of: NodeId) -> Vec<NodeId> {
        self.topology().into(of, EdgeKind::LogicalPortOf).into_iter().map(|(id, _)| id).collect()
    }

    /// The port of a router that a port of a switch leads to, and the other way round.
    pub(super) fn peer(&self, port: NodeId) -> Option<NodeId> {
        self.topology().peer(port, EdgeKind::LogicalPeer).map(|(id, _)| id)
    }

    /// The chassis that have claimed a port.
    pub(super) fn chassis(&self, port: NodeId) -> Vec<NodeId> {
        self.topology().out(port, EdgeKind::BoundTo).into_iter().map(|(id, _)| id).collect()
    }

    /// The names of the chassis of a port, for people.
    pub(super) fn holder(&self, port: NodeId) -> Option<String> {
        let mut all: Vec<String> =
            self.chassis(port).into_iter().map(|chassis| self.title(chassis)).collect();
        all.dedup();
        (!all.is_empty()).then(|| all.join(", "))
    }

    /// The type of a port of a switch: `localnet`, `router`, …; empty for a guest.
    pub(super) fn kind_of_port(&self, port: NodeId) -> &'n str {
        let kind = self.row(port, "Logical_Switch_Port").and_then(|row| match &row.record.row {
            OvsRow::SwitchPort(row) => row.kind.as_ref(),
            _ => None,
        });
        kind.map_or("", |kind| kind.value.as_str())
    }

    /// The groups that a port is in.
    pub(super) fn groups(&self, port: NodeId) -> &[Row<'a>] {
        let uuid = self.row(port, "Logical_Switch_Port").and_then(|row| row.record.uuid.as_ref());
        uuid.and_then(|uuid| self.groups.get(uuid.value.as_str())).map_or(&[], Vec::as_slice)
    }

    /// The row that gives a switch or router its number.
    pub(super) fn datapath(&self, id: NodeId) -> Option<(Row<'a>, u64)> {
        let logical = self.logical(id)?;
        let mut uuids = logical.rows.iter().filter_map(|row| row.record.uuid.as_ref());
        let row = uuids.find_map(|uuid| self.datapaths.get(uuid.value.as_str()))?;
        Some((*row, row.record.one("tunnel_key")?.value.parse().ok()?))
    }

    /// The number of a port within its switch.
    pub(super) fn port_key(&self, port: NodeId) -> Option<u64> {
        let row = self.row(port, "Port_Binding")?;
        row.record.one("tunnel_key")?.value.parse().ok()
    }

    /// What people call an object.
    pub(super) fn title(&self, id: NodeId) -> String {
        title(self.topology(), id)
    }

    /// What people call an object, with its name where that is another.
    pub(super) fn full_title(&self, id: NodeId) -> String {
        let title = self.title(id);
        let name = self.topology().node(id).map_or("", |node| node.name.as_str());
        if title == name { title } else { format!("{title} ({name})") }
    }

    /// The physical network and VLAN of a port that leads out, with the bridges that hosts map the
    /// network to, and hosts that do not map it.
    pub(super) fn localnet(&self, port: NodeId) -> Option<String> {
        let row = self.row(port, "Logical_Switch_Port")?;
        let OvsRow::SwitchPort(lsp) = &row.record.row else { return None };
        let name = self.topology().node(port).map_or("", |node| node.name.as_str());
        let network = lookup(&lsp.options, "network_name").map(|name| name.value.as_str());
        let vlan = lsp.tag.as_ref().map_or(String::new(), |tag| format!(", VLAN {}", tag.value));
        let Some(network) = network else { return Some(format!("{name}{vlan}")) };
        let mut bridges: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut bare = Vec::new();
        for local in self.network.ovn().locals.values() {
            let host = self.topology().snapshot.host_label(local.host).to_owned();
            let mapped = local.list("ovn-bridge-mappings").find_map(|pair| {
                let (physical, bridge) = pair.split_once(':')?;
                (physical == network).then(|| bridge.to_owned())
            });
            match mapped {
                Some(bridge) => bridges.entry(bridge).or_default().push(host),
                None => bare.push(host),
            }
        }
        let mut words = vec![format!("{name} = {network}{vlan}")];
        words.extend(bridges.iter().map(|(bridge, hosts)| format!("{bridge} on {}", some(hosts))));
        if !bare.is_empty() {
            words.push(format!("no bridge on {}", some(&bare)));
        }
        Some(words.join(", "))
    }
}

/// What people call an object of OVN; the name of any other node.
pub(crate) fn title(topology: &Topology<'_>, id: NodeId) -> String {
    const KEYS: &[&str] = &["neutron:network_name", "neutron:port_name", "k8s.ovn.org/owner"];
    let Some(node) = topology.node(id) else { return String::new() };
    let NodeData::Logical(logical) = &node.data else { return topology.name(id) };
    for row in &logical.rows {
        let alias = match &row.record.row {
            OvsRow::Switch(row) => row.alias.as_ref(),
            OvsRow::Router(row) => row.alias.as_ref(),
            OvsRow::SwitchPort(row) => row.alias.as_ref(),
            OvsRow::Chassis(row) => row.hostname.as_ref(),
            _ => None,
        };
        if let Some(alias) = alias {
            return alias.value.to_string();
        }
        if logical.kind == LogicalKind::Router
            && let Some(name) = external_id(row.record, "neutron:router_name")
        {
            return name.to_owned();
        }
        let told = KEYS.iter().find_map(|key| external_id(row.record, key));
        if let Some(told) = told.filter(|told| !told.starts_with("neutron-")) {
            return told.to_owned();
        }
    }
    node.name.to_string()
}

/// Some of a list of names.
pub(super) fn some(all: &[String]) -> String {
    const FEW: usize = 6;
    let mut words: Vec<&str> = all.iter().take(FEW).map(String::as_str).collect();
    let more = all.len().saturating_sub(FEW);
    let rest = format!("{more} more");
    if more > 0 {
        words.push(&rest);
    }
    words.join(", ")
}
