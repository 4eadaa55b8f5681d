//! The devices, bridges, tunnels and namespaces of a host.
use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::route::{Gateway, Route};
use tapline_core::span::Evidence;
use tapline_network::uplink::is_nic;
use tapline_network::workloads::Who;
use tapline_network::{Item, Network};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, names};

use super::{Cite, Container};

/// One NIC of the host.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Nic {
    /// Its key in the graph.
    pub(crate) key: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// Its namespace, where that is not root.
    pub(crate) netns: Option<String>,
    /// `up`, `no link`, `down` (by hand); null where nothing tells.
    pub(crate) link: Option<&'static str>,
    /// As `ethtool` prints it: `10000Mb/s`.
    pub(crate) speed: Option<String>,
    /// `Full`, `Half`.
    pub(crate) duplex: Option<String>,
    /// Its driver.
    pub(crate) driver: Option<String>,
    /// Its PCI address.
    pub(crate) bus: Option<String>,
    /// Bytes.
    pub(crate) mtu: Option<u32>,
    /// Its MAC.
    pub(crate) mac: Option<String>,
    /// What it is a part of: a bond, a bridge, a bridge of Open vSwitch.
    pub(crate) part_of: Option<String>,
    /// Its addresses, and those of VLANs on it.
    pub(crate) addresses: Vec<String>,
    /// Where it is listed.
    pub(crate) at: Option<Cite>,
}

/// A default route.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct DefaultRoute {
    /// Its gateway.
    pub(crate) via: Option<String>,
    /// Its device.
    pub(crate) dev: Option<String>,
    /// Its table.
    pub(crate) table: String,
    /// Where.
    pub(crate) at: Option<Cite>,
}

/// A bond or team.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Bond {
    /// Its name.
    pub(crate) name: String,
    /// `active-backup`, `802.3ad`, …
    pub(crate) mode: Option<String>,
    /// Its members.
    pub(crate) members: Vec<String>,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// Where it is listed.
    pub(crate) at: Option<Cite>,
}

/// A device with addresses that is no NIC, bond or bridge.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Holder {
    /// Its name.
    pub(crate) name: String,
    /// `vlan`, `dummy`, `ovs-internal`, …
    pub(crate) kind: &'static str,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// Where it is listed.
    pub(crate) at: Option<Cite>,
}

/// A Linux bridge.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Bridge {
    /// Its name.
    pub(crate) name: String,
    /// Its namespace, where that is not root.
    pub(crate) netns: Option<String>,
    /// Its members.
    pub(crate) members: Vec<String>,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// Where it is listed.
    pub(crate) at: Option<Cite>,
}

/// A bridge of Open vSwitch.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct OvsBridge {
    /// Its name.
    pub(crate) name: String,
    /// `secure`, `standalone`; null where it is not set or not printed.
    pub(crate) fail_mode: Option<String>,
    /// `netdev` is one in user space.
    pub(crate) datapath: Option<String>,
    /// How many ports it has.
    pub(crate) ports: usize,
    /// Its ports that lead out of the host or to another bridge: NICs, patches, ports of DPDK.
    pub(crate) uplinks: Vec<String>,
    /// Its addresses: those of its own device.
    pub(crate) addresses: Vec<String>,
    /// Where it is listed.
    pub(crate) at: Option<Cite>,
}

/// The tunnels of one kind and one source.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Tunnel {
    /// `vxlan`, `geneve`, …
    pub(crate) kind: String,
    /// Where its packets come from; null where the kernel chooses.
    pub(crate) local: Option<String>,
    /// Where they go to.
    pub(crate) remotes: Vec<String>,
    /// Where the first is listed.
    pub(crate) at: Option<Cite>,
}

/// A namespace.
#[derive(Clone, Debug, JsonSchema, Serialize)]
pub(crate) struct Namespace {
    /// Its key in the graph.
    pub(crate) key: Option<String>,
    /// Its name.
    pub(crate) name: String,
    /// Any command was captured inside it.
    pub(crate) captured: bool,
    /// Its devices, without lo.
    pub(crate) devices: Vec<String>,
    /// Its addresses.
    pub(crate) addresses: Vec<String>,
    /// Where it is listed.
    pub(crate) at: Option<Cite>,
}

fn cite(network: &Network<'_>, at: Option<Evidence>) -> Option<Cite> {
    Cite::of(network.topology.snapshot, at?)
}

fn named(netns: &Netns) -> Option<String> {
    (!netns.is_root()).then(|| netns.to_string())
}

/// `10.0.0.1/24`, without those that every device or every host has.
fn addresses(network: &Network<'_>, device: NodeId) -> Vec<String> {
    let all = network.addresses_of(device).into_iter().map(|address| address.data);
    all.filter(|address| match address.ip {
        std::net::IpAddr::V4(ip) => !ip.is_loopback(),
        std::net::IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unicast_link_local(),
    })
    .map(|address| format!("{}/{}", address.ip, address.prefix))
    .collect()
}

pub(super) fn nics(network: &Network<'_>, host: HostId) -> Vec<Nic> {
    network.netdevs_of(host).filter(is_nic).map(|device| nic(network, device)).collect()
}

fn nic(network: &Network<'_>, device: Item<'_, Netdev<'_>>) -> Nic {
    let texts = network.nics().of(device.id);
    let settings = texts.and_then(|texts| texts.settings);
    let driver = texts.and_then(|texts| texts.driver);
    let known = |value: &Option<tapline_core::span::At<Name>>| {
        let value = value.as_ref()?.value.as_str();
        let says_nothing = matches!(value, "" | "N/A") || value.starts_with("Unknown");
        (!says_nothing).then(|| value.to_owned())
    };
    let mut own = addresses(network, device.id);
    for (upper, _) in network.topology.into(device.id, EdgeKind::StackedOn) {
        if let Some(vlan) = network.netdev(upper).filter(|upper| upper.kind == NetdevKind::Vlan) {
            own.extend(
                addresses(network, upper).into_iter().map(|ip| format!("{ip} ({})", vlan.name())),
            );
        }
    }
    let part_of = network.master(device.id).map(|master| master.name().to_owned()).or_else(|| {
        let interface = network.interface_of(device.id)?;
        // A bond of Open vSwitch is a port of several.
        let bond = Some(&interface.data.port).filter(|port| port.as_str() != interface.name());
        let bridge = interface.data.bridge.to_string();
        Some(bond.map_or(bridge.clone(), |bond| format!("{bond} of {bridge}")))
    });
    Nic {
        key: network.topology.key(device.id).map(ToString::to_string),
        name: device.name().to_owned(),
        netns: named(device.netns()),
        link: link(
            &device,
            settings.and_then(|it| it.record.link_detected.as_ref()).map(|it| it.value),
        ),
        speed: settings.and_then(|settings| known(&settings.record.speed)),
        duplex: settings.and_then(|settings| known(&settings.record.duplex)),
        driver: driver.map(|driver| driver.record.driver.value.to_string()),
        bus: driver.and_then(|driver| known(&driver.record.bus_info)),
        mtu: device.data.mtu.as_ref().map(|mtu| mtu.value),
        mac: device.data.mac.as_ref().map(|mac| mac.value.to_string()),
        part_of,
        addresses: own,
        at: cite(network, device.place()),
    }
}

/// Whether a device has a link, by the kernel and by `ethtool`.
pub(crate) fn link(device: &Netdev<'_>, detected: Option<bool>) -> Option<&'static str> {
    if device.admin_up() == Some(false) {
        return Some("down");
    }
    match (detected, device.carrier(), device.usable()) {
        (Some(true), ..) | (None, Some(true), _) | (None, None, Some(true)) => Some("up"),
        (Some(false), ..) | (None, Some(false), _) | (None, None, Some(false)) => Some("no link"),
        (None, None, None) => None,
    }
}

pub(super) fn default_routes(network: &Network<'_>, host: HostId) -> Vec<DefaultRoute> {
    let mut all = Vec::new();
    for table in network
        .route_tables()
        .filter(|table| table.host == host && table.netns().is_root() && table.name() != "local")
    {
        for route in table.data.routes.iter().filter(|route| route.record.is_default()) {
            // Docker and the kernel itself refuse with routes that look like one.
            if route.record.kind != "unicast" {
                continue;
            }
            let at = Evidence { source: route.source, span: route.record.at };
            all.extend(hops(route.record).into_iter().map(|(via, dev)| DefaultRoute {
                via,
                dev,
                table: table.name().to_owned(),
                at: cite(network, Some(at)),
            }));
        }
    }
    all
}

/// Gateways and devices of a route.
fn hops(route: &Route) -> Vec<(Option<String>, Option<String>)> {
    let gateway = |gateway: &Gateway| match gateway {
        Gateway::Ip(ip) => ip.to_string(),
        Gateway::Name(name) => name.to_string(),
    };
    let dev = route.dev.as_ref().map(|dev| dev.value.to_string());
    if route.nexthops.is_empty() {
        return vec![(route.via.as_ref().map(|via| gateway(&via.value)), dev)];
    }
    let several = route.nexthops.iter().map(|hop| {
        let own = hop.dev.as_ref().map(|dev| dev.value.to_string());
        (hop.via.as_ref().map(|via| gateway(&via.value)), own.or_else(|| dev.clone()))
    });
    several.collect()
}

pub(super) fn bonds(network: &Network<'_>, host: HostId) -> Vec<Bond> {
    let is_bond =
        |device: &Item<'_, Netdev<'_>>| matches!(device.kind, NetdevKind::Bond | NetdevKind::Team);
    let kernel = network.netdevs_of(host).filter(is_bond).map(|device| Bond {
        name: device.name().to_owned(),
        mode: network.nics().bond_mode(&device).map(|mode| mode.value),
        members: members(network, device.id),
        addresses: addresses(network, device.id),
        at: cite(network, device.place()),
    });
    let mut all: Vec<Bond> = kernel.collect();
    // A port of Open vSwitch with several interfaces.
    for port in network.ovs_ports_of(host).filter(|port| port.data.interfaces > 1) {
        let interfaces = network.topology.into(port.id, EdgeKind::OvsInterfaceOf);
        let names = interfaces.into_iter().filter_map(|(id, _)| network.ovs_interface(id));
        all.push(Bond {
            name: format!("{}/{}", port.data.bridge, port.name()),
            mode: None,
            members: names.map(|interface| interface.name().to_owned()).collect(),
            addresses: Vec::new(),
            at: cite(network, port.place()),
        });
    }
    all
}

fn members(network: &Network<'_>, device: NodeId) -> Vec<String> {
    network.members(device).into_iter().map(|member| member.name().to_owned()).collect()
}

pub(super) fn bridges(network: &Network<'_>, host: HostId) -> Vec<Bridge> {
    let is_bridge = |device: &Item<'_, Netdev<'_>>| device.kind == NetdevKind::Bridge;
    let all = network.netdevs_of(host).filter(is_bridge).map(|device| Bridge {
        name: device.name().to_owned(),
        netns: named(device.netns()),
        members: members(network, device.id),
        addresses: addresses(network, device.id),
        at: cite(network, device.place()),
    });
    all.collect()
}

pub(super) fn ovs_bridges(network: &Network<'_>, host: HostId) -> Vec<OvsBridge> {
    let mut ports: BTreeMap<&str, (usize, Vec<String>)> = BTreeMap::new();
    for port in network.ovs_ports_of(host) {
        ports.entry(port.data.bridge.as_str()).or_default().0 += 1;
    }
    for interface in network.ovs_interfaces_of(host) {
        let leads_on = match interface.data.kind.as_str() {
            "" | "system" => network
                .device_of(interface.id)
                .is_some_and(|device| tapline_network::uplink::is_uplink(&device)),
            "patch" => true,
            kind => kind.starts_with("dpdk"),
        };
        if leads_on {
            let of_bridge = ports.entry(interface.data.bridge.as_str()).or_default();
            of_bridge.1.push(interface.name().to_owned());
        }
    }
    let all = network.ovs_bridges_of(host).map(|bridge| {
        let (count, uplinks) = ports.get(bridge.name()).cloned().unwrap_or_default();
        let own = network.netdev_called(host, &Netns::Root, bridge.name());
        OvsBridge {
            name: bridge.name().to_owned(),
            fail_mode: bridge.data.fail_mode.as_ref().map(|mode| mode.value.to_string()),
            datapath: bridge.data.datapath_type.as_ref().map(|it| it.value.to_string()),
            ports: count,
            uplinks,
            addresses: own.map(|own| addresses(network, own.id)).unwrap_or_default(),
            at: cite(network, bridge.place()),
        }
    });
    all.collect()
}

pub(super) fn tunnels(network: &Network<'_>, host: HostId) -> Vec<Tunnel> {
    let mut all: BTreeMap<(String, Option<String>), Tunnel> = BTreeMap::new();
    for tunnel in network.tunnels_of(host) {
        let kind = tunnel.data.kind.to_string();
        let local = tunnel.data.local.as_ref().map(|local| local.value.to_string());
        let row = all.entry((kind.clone(), local.clone())).or_insert_with(|| Tunnel {
            kind,
            local,
            remotes: Vec::new(),
            at: cite(network, tunnel.place()),
        });
        row.remotes.extend(tunnel.data.remote.as_ref().map(|remote| remote.value.to_string()));
    }
    all.into_values().collect()
}

/// Containers, and other namespaces.
pub(super) fn namespaces(network: &Network<'_>, host: HostId) -> (Vec<Container>, Vec<Namespace>) {
    let (mut containers, mut others) = (Vec::new(), Vec::new());
    let mut told = BTreeSet::new();
    for netns in network.namespaces_of(host).filter(|netns| !netns.netns().is_root()) {
        let devices = network.devices_in(netns.id);
        let own: Vec<String> =
            devices.iter().flat_map(|device| addresses(network, device.id)).collect();
        let at = cite(network, netns.place());
        if is_container(netns.netns()) {
            let name = netns.name().to_owned();
            let served = devices.iter().find_map(|device| network.veth_peer(device.id));
            told.extend(served.map(|device| device.id));
            let device = served.map(|device| device.name().to_owned());
            containers.push(Container { name, device, addresses: own, at });
            continue;
        }
        let names = devices.iter().map(Item::name).filter(|name| *name != "lo");
        others.push(Namespace {
            key: network.topology.key(netns.id).map(ToString::to_string),
            name: netns.name().to_owned(),
            captured: netns.data.captured,
            devices: names.map(str::to_owned).collect(),
            addresses: own,
            at,
        });
    }
    for device in network.netdevs_of(host).filter(|device| !told.contains(&device.id)) {
        let workload = network.workloads().of(device.id);
        let Some(workload) = workload.filter(|it| !matches!(it.who, Who::Numbered { .. })) else {
            continue;
        };
        let line = workload.lines.first().copied().or_else(|| device.place());
        containers.push(Container {
            name: workload.to_string(),
            device: Some(device.name().to_owned()),
            addresses: Vec::new(),
            at: cite(network, line),
        });
    }
    (containers, others)
}

/// A namespace that was entered as that of a container.
fn is_container(netns: &Netns) -> bool {
    matches!(netns.enter().first(), Some(&first) if !matches!(first, "ip" | "nsenter"))
}

/// Names that differ in the id of a port alone are one sort: `qbr…`.
pub(crate) fn sort_of(name: &str) -> Option<&str> {
    names::port_prefix(name)?;
    name.get(..3)
}

/// Other devices of the root namespace that have addresses.
pub(super) fn holders(network: &Network<'_>, host: HostId) -> Vec<Holder> {
    let topology = network.topology;
    let on_nic = |device: &Item<'_, Netdev<'_>>| {
        device.kind == NetdevKind::Vlan
            && topology
                .out(device.id, EdgeKind::StackedOn)
                .into_iter()
                .filter_map(|(below, _)| network.netdev(below))
                .any(|below| is_nic(&below))
    };
    let is_shown_elsewhere = |device: &Item<'_, Netdev<'_>>| {
        is_nic(device)
            || on_nic(device)
            || matches!(device.kind, NetdevKind::Bond | NetdevKind::Team | NetdevKind::Bridge)
            || network.bridge_called(host, device.name()).is_some()
    };
    let root = network.netdevs_of(host).filter(|device| device.netns().is_root());
    root.filter(|device| !is_shown_elsewhere(device))
        .map(|device| Holder {
            name: device.name().to_owned(),
            kind: device.kind.as_str(),
            addresses: addresses(network, device.id),
            at: cite(network, device.place()),
        })
        .filter(|holder| !holder.addresses.is_empty())
        .collect()
}

/// The node of a captured host.
pub(crate) fn host_node(network: &Network<'_>, host: HostId) -> Option<NodeId> {
    let mut all = network.topology.nodes();
    all.find(|(_, node)| node.host == Some(host) && matches!(node.data, NodeData::Host(_)))
        .map(|(id, _)| id)
}
