//! The topology as canonical YAML: by name, sorted, and without anything that renumbers or counts.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::host::HostKey;
use tapline_core::ids::Netns;
use tapline_core::records::route::{Gateway, Nexthop, Route};
use tapline_topology::graph::{AddressNode, Netdev, OvsInterface, OvsPort, RouteTable, VmNic};
use tapline_topology::{EdgeKind, Node, NodeData, NodeId, Topology};

use crate::error::{CliError, Result};

/// The first line says so.
pub(crate) const SCHEMA: &str = "tapline.snapshot/1";

type Named<T> = BTreeMap<String, T>;

#[derive(JsonSchema, Serialize)]
pub(crate) struct Document {
    #[schemars(extend("const" = "tapline.snapshot/1"))]
    schema: &'static str,
    hosts: Named<HostRow>,
}

#[derive(Default, JsonSchema, Serialize)]
struct HostRow {
    /// Which machine it is, whatever it is called; left out where the texts do not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    namespaces: Named<NetnsRow>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    bridges: Named<BridgeRow>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    vms: Named<VmRow>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    tunnels: BTreeSet<TunnelRow>,
}

#[derive(Default, JsonSchema, Serialize)]
struct NetnsRow {
    /// Left out where commands were captured inside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    captured: Option<bool>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    devices: Named<DeviceRow>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    routes: Named<BTreeSet<String>>,
}

#[derive(JsonSchema, Serialize)]
struct DeviceRow {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    master: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    lower: BTreeSet<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    addresses: BTreeSet<String>,
}

#[derive(Default, JsonSchema, Serialize)]
struct BridgeRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    fail_mode: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    datapath_type: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    controllers: BTreeSet<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    ports: Named<PortRow>,
}

#[derive(Default, JsonSchema, Serialize)]
struct PortRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<u16>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    trunks: BTreeSet<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan_mode: Option<String>,
    interfaces: Named<InterfaceRow>,
}

#[derive(JsonSchema, Serialize)]
struct InterfaceRow {
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    options: Named<String>,
    /// The patch interface that answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    peer: Option<String>,
    /// The namespace of its device, where that is not the root namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

#[derive(Default, JsonSchema, Serialize)]
struct VmRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    nics: BTreeSet<NicRow>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
struct NicRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    mac: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    kind: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bridge: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interface_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<String>,
    /// What it is plugged into, as found.
    attached_to: BTreeSet<String>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
struct TunnelRow {
    on: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_port: Option<u16>,
    /// The other host, where it was captured.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    to: BTreeSet<String>,
}

/// The document.
pub(crate) fn render(topology: &Topology<'_>) -> Result<String> {
    let mut hosts = Hosts { topology, rows: BTreeMap::new() };
    for host in &topology.snapshot.captured.hosts {
        let row = hosts.rows.entry(host.label().to_owned()).or_default();
        // Without a mark of its own it is called after its input, which may be called otherwise
        // next time.
        let marked = !matches!(host.key, HostKey::Named { .. });
        row.key = marked.then(|| host.key.to_string());
    }
    for (id, node) in topology.nodes() {
        hosts.add(id, node);
    }
    let document = Document { schema: SCHEMA, hosts: hosts.rows };
    serde_yaml::to_string(&document)
        .map_err(|error| CliError::new(format!("cannot write the snapshot: {error}")))
}

struct Hosts<'t> {
    topology: &'t Topology<'t>,
    rows: Named<HostRow>,
}

impl<'t> Hosts<'t> {
    fn add(&mut self, id: NodeId, node: &Node<'t>) {
        let topology = self.topology;
        let Some(name) = host_name(topology, node) else { return };
        let host = self.rows.entry(name.to_owned()).or_default();
        let name = node.name.to_string();
        match &node.data {
            NodeData::Netns(it) => {
                let netns = node.netns.as_ref().map_or(name, ToString::to_string);
                let row = host.namespaces.entry(netns).or_default();
                row.captured = (!it.captured).then_some(false);
            }
            NodeData::Netdev(it) if !it.stub => {
                let row = device(topology, id, node, it);
                host.netns(node).devices.insert(name, row);
            }
            NodeData::OvsBridge(it) => {
                let row = host.bridges.entry(name).or_default();
                row.fail_mode = it.fail_mode.as_ref().map(|mode| mode.value.to_string());
                row.datapath_type = it.datapath_type.as_ref().map(|it| it.value.to_string());
                row.controllers = it
                    .controllers
                    .iter()
                    .map(|controller| controller.target.value.to_string())
                    .collect();
            }
            NodeData::OvsPort(it) => {
                let bridge = host.bridges.entry(it.bridge.to_string()).or_default();
                port(bridge.ports.entry(name).or_default(), it);
            }
            NodeData::OvsInterface(it) => {
                let bridge = host.bridges.entry(it.bridge.to_string()).or_default();
                let port = bridge.ports.entry(it.port.to_string()).or_default();
                port.interfaces.insert(name, interface(topology, id, it));
            }
            NodeData::Vm(it) => {
                let row = host.vms.entry(name).or_default();
                row.uuid = it.uuid.as_ref().map(|uuid| uuid.value.to_string());
                row.state = it.state.as_ref().map(|state| state.value.to_string());
            }
            NodeData::VmNic(it) => {
                let vm = topology.node(it.vm).map_or(String::new(), |node| node.name.to_string());
                host.vms.entry(vm).or_default().nics.insert(nic(topology, id, it));
            }
            NodeData::TunnelEndpoint(it) => {
                let owner = topology.node(it.owner);
                let peers = topology.out(id, EdgeKind::Tunnel);
                let peers = peers.into_iter().chain(topology.into(id, EdgeKind::Tunnel));
                host.tunnels.insert(TunnelRow {
                    on: owner.map_or(String::new(), |owner| owner.name.to_string()),
                    kind: it.kind.to_string(),
                    local: it.local.as_ref().map(|local| local.value.to_string()),
                    remote: it.remote.as_ref().map(|remote| remote.value.to_string()),
                    key: it.key.as_ref().map(|key| key.value.to_string()),
                    dst_port: it.dst_port.as_ref().map(|port| port.value),
                    to: peers
                        .filter_map(|(peer, _)| host_name(topology, topology.node(peer)?))
                        .map(str::to_owned)
                        .collect(),
                });
            }
            NodeData::RouteTable(it) => {
                let all = routes(it);
                if !all.is_empty() {
                    host.netns(node).routes.entry(name).or_default().extend(all);
                }
            }
            _ => {}
        }
    }
}

impl HostRow {
    fn netns(&mut self, node: &Node<'_>) -> &mut NetnsRow {
        let netns = node.netns.as_ref().unwrap_or(&Netns::Root);
        self.namespaces.entry(netns.to_string()).or_default()
    }
}

fn host_name<'t>(topology: &'t Topology<'_>, node: &Node<'_>) -> Option<&'t str> {
    Some(topology.snapshot.host(node.host?)?.label())
}

/// The name of a node, with its namespace where that is not the one of the reader.
fn seen_from(topology: &Topology<'_>, netns: Option<&Netns>, id: NodeId) -> Option<String> {
    let node = topology.node(id)?;
    let there = node.netns.as_ref().filter(|it| Some(*it) != netns);
    Some(match there {
        Some(there) => format!("{there}/{}", node.name),
        None => node.name.to_string(),
    })
}

fn device(topology: &Topology<'_>, id: NodeId, node: &Node<'_>, it: &Netdev<'_>) -> DeviceRow {
    let name = |id| seen_from(topology, node.netns.as_ref(), id);
    let state = match (it.admin_up(), it.flag("NO-CARRIER")) {
        (Some(false), _) => Some("DOWN"),
        (Some(true), Some(true)) => Some("NO-CARRIER"),
        (Some(true), _) => Some("UP"),
        (None, _) => None,
    };
    let master = topology.out(id, EdgeKind::EnslavedTo).into_iter().find_map(|(it, _)| name(it));
    let lower = topology.out(id, EdgeKind::StackedOn);
    let addresses = topology.out(id, EdgeKind::HasAddress);
    DeviceRow {
        kind: it.kind.as_str(),
        state,
        mtu: it.mtu.as_ref().map(|mtu| mtu.value),
        master: master.or_else(|| it.master.as_ref().map(|master| master.value.to_string())),
        lower: lower.into_iter().filter_map(|(it, _)| name(it)).collect(),
        peer: topology.peer(id, EdgeKind::VethPeer).and_then(|(it, _)| name(it)),
        addresses: addresses
            .into_iter()
            .filter_map(|(it, _)| match &topology.node(it)?.data {
                NodeData::Address(it) => stable(it),
                _ => None,
            })
            .collect(),
    }
}

/// An address, unless the kernel makes it up itself from a MAC or at random.
fn stable(it: &AddressNode<'_>) -> Option<String> {
    let made_up = match it.ip {
        IpAddr::V6(ip) => {
            let random = it.record.record.flags.iter().any(|flag| flag == "temporary");
            random || ip.is_unicast_link_local() || ip.is_loopback()
        }
        IpAddr::V4(_) => false,
    };
    (!made_up).then(|| format!("{}/{}", it.ip, it.prefix))
}

fn port(row: &mut PortRow, it: &OvsPort) {
    row.tag = it.tag.as_ref().map(|tag| tag.value);
    row.trunks = it.trunks.iter().map(|trunk| trunk.value).collect();
    row.vlan_mode = it.vlan_mode.as_ref().map(|mode| mode.value.to_string());
}

fn interface(topology: &Topology<'_>, id: NodeId, it: &OvsInterface) -> InterfaceRow {
    let peer = topology.peer(id, EdgeKind::PatchPeer);
    let device = topology.into(id, EdgeKind::DeviceOf).into_iter().next();
    let netns = device.and_then(|(it, _)| topology.node(it)?.netns.as_ref());
    InterfaceRow {
        kind: if it.kind.is_empty() { "system".to_owned() } else { it.kind.to_string() },
        options: it
            .options
            .iter()
            .map(|(key, value)| (key.to_string(), value.value.to_string()))
            .collect(),
        peer: peer
            .and_then(|(it, _)| topology.ovs_interface(it).zip(topology.node(it)))
            .map(|(interface, node)| format!("{}/{}", interface.bridge, node.name)),
        netns: netns.filter(|netns| !netns.is_root()).map(ToString::to_string),
        error: it.error.as_ref().map(|error| error.value.to_string()),
    }
}

fn nic(topology: &Topology<'_>, id: NodeId, it: &VmNic<'_>) -> NicRow {
    let attached = topology.out(id, EdgeKind::AttachesVm);
    NicRow {
        mac: it.mac.as_ref().map(|mac| mac.value.to_string()),
        kind: it.kind.as_ref().map(|kind| kind.value.to_string()),
        bridge: it.bridge.as_ref().map(|bridge| bridge.value.to_string()),
        interface_id: it.interface_id.as_ref().map(|id| id.value.to_string()),
        target: it.target.as_ref().map(|target| target.value.to_string()),
        attached_to: attached
            .into_iter()
            .filter_map(|(it, _)| seen_from(topology, Some(&Netns::Root), it))
            .collect(),
    }
}

/// The routes that somebody has set: the kernel makes the others from the addresses.
fn routes(table: &RouteTable<'_>) -> BTreeSet<String> {
    let own = |route: &&Route| {
        matches!(route.kind.as_str(), "local" | "broadcast" | "multicast" | "anycast")
    };
    table
        .routes
        .iter()
        .map(|route| route.record)
        .filter(|record| !own(record))
        .filter_map(route)
        .collect()
}

/// `10.0.0.0/24 via 192.0.2.1 dev eth0 metric 100`
fn route(it: &Route) -> Option<String> {
    let mut text = match (&it.destination, &it.destination_name) {
        (Some(net), _) => {
            let made_up = match net.addr() {
                IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_multicast(),
                IpAddr::V4(_) => false,
            };
            if made_up {
                return None;
            }
            if net.prefix_len() == 0 { "default".to_owned() } else { net.value.to_string() }
        }
        (None, Some(name)) => name.to_string(),
        (None, None) => "default".to_owned(),
    };
    if it.kind != "unicast" {
        text = format!("{} {text}", it.kind);
    }
    hop(&mut text, it.via.as_deref(), it.dev.as_ref().map(|dev| dev.value.as_str()));
    if let Some(metric) = it.metric.filter(|&metric| metric != 0) {
        text.push_str(&format!(" metric {metric}"));
    }
    for Nexthop { via, dev, weight, .. } in &it.nexthops {
        text.push_str(" nexthop");
        hop(&mut text, via.as_deref(), dev.as_ref().map(|dev| dev.value.as_str()));
        text.extend(weight.map(|it| format!(" weight {it}")));
    }
    Some(text)
}

fn hop(text: &mut String, via: Option<&Gateway>, dev: Option<&str>) {
    match via {
        Some(Gateway::Ip(ip)) => text.push_str(&format!(" via {ip}")),
        Some(Gateway::Name(name)) => text.push_str(&format!(" via {name}")),
        None => {}
    }
    text.extend(dev.map(|it| format!(" dev {it}")));
}
