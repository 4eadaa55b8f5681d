//! From what a person types to nodes: names, MACs, addresses, ids.
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::ids::Mac;
use tapline_network::Network;
use tapline_network::environment::Glob;
use tapline_topology::{Node, NodeData, NodeId, NodeKey, Topology};

use crate::addresses::Addresses;
use crate::dossier::logical::{guest_of, objects};
use crate::render::things::Thing;
use crate::suggest;

/// Characters of a port id that devices are named after.
const PORT_ID_IN_NAME: usize = 11;
/// The shortest beginning of an id that is taken for one.
const SHORTEST_ID: usize = 8;

/// What is looked for, taken apart once.
struct Wanted<'a> {
    host: Option<&'a str>,
    /// `netns/` or `bridge/` in front.
    within: Option<&'a str>,
    name: &'a str,
    mac: Option<Mac>,
    ip: Option<IpAddr>,
    /// Looks like the beginning of a UUID.
    id: bool,
}

/// The nodes that `text` names, in the order of the topology. A MAC is compared without its first
/// octet where no node has it as it is: libvirt changes that octet on the host's side.
pub(crate) fn find(topology: &Topology<'_>, text: &str) -> Vec<NodeId> {
    // The key of a node, as findings and the graph print it.
    if let Some(id) = text.parse().ok().and_then(|key: NodeKey| topology.find(&key)) {
        return vec![id];
    }
    let mut found = search(topology, &wanted(topology, text, &[':', '/']));
    if found.is_empty() {
        // A namespace or bridge may be called as a host is.
        found = search(topology, &wanted(topology, text, &[':']));
    }
    if found.is_empty()
        && let Ok(mac) = text.parse::<Mac>()
    {
        let near = |it: Option<Mac>| it.is_some_and(|it| it.same_but_first_octet(mac));
        found = topology.nodes().filter(|(_, it)| near(mac_of(it))).map(|(id, _)| id).collect();
    }
    if found.is_empty()
        && let Ok(ip) = text.parse::<IpAddr>()
    {
        found = behind(topology, ip);
    }
    found
}

/// What has an address that no captured device has: the address of a VM, or one that is translated
/// into it.
fn behind(topology: &Topology<'_>, ip: IpAddr) -> Vec<NodeId> {
    let macs = Addresses::of(topology).macs(ip);
    let has = |node: &Node<'_>| mac_of(node).is_some_and(|mac| macs.contains(&mac));
    topology.nodes().filter(|(_, node)| has(node)).map(|(id, _)| id).collect()
}

/// What a person may mean who does not name a thing by its name.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The things.
    pub(crate) nodes: Vec<NodeId>,
    /// What they have in common: `VLAN 100`, `in 192.168.0.0/24`.
    pub(crate) because: Vec<String>,
}

/// The nodes that `text` names, else those that have it: a VLAN, a VNI, a subnet, a PCI address, the
/// id of a router or network, a pattern, or the beginning of a name.
pub(crate) fn look(network: &Network<'_>, addresses: &Addresses, text: &str) -> Found {
    let topology = network.topology;
    let mut nodes = find(topology, text);
    // A floating address is one of the router, and means the guest behind it.
    if let Ok(ip) = text.parse::<IpAddr>() {
        let macs = addresses.translated(ip);
        let has = |node: &Node<'_>| mac_of(node).is_some_and(|mac| macs.contains(&mac));
        let guests = network.vm_nics().filter(|nic| has(nic.node)).map(|nic| nic.id);
        nodes.extend(guests);
        nodes.sort_unstable();
        nodes.dedup();
    }
    if !nodes.is_empty() {
        return Found { nodes: physical_first(topology, nodes), because: Vec::new() };
    }
    let ways: [fn(&Network<'_>, &Addresses, &str) -> Found; 6] =
        [serving, in_subnet, at_pci, numbered, with_id, by_pattern];
    let mut found = Found::default();
    for way in ways {
        found = way(network, addresses, text);
        if !found.nodes.is_empty() {
            break;
        }
    }
    found.nodes.sort_unstable();
    found.nodes.dedup();
    found
}

/// A port of OVN that is plugged into something found is part of it; one that a guest has stands for
/// the NIC of the guest.
fn physical_first(topology: &Topology<'_>, nodes: Vec<NodeId>) -> Vec<NodeId> {
    let physical = nodes.iter().copied().filter(|id| topology.logical(*id).is_none());
    let thing = Thing {
        main: match physical.clone().next() {
            Some(first) => first,
            None => {
                return nodes.into_iter().map(|id| guest_of(topology, id).unwrap_or(id)).collect();
            }
        },
        nodes: physical.collect(),
    };
    let own = objects(topology, &thing);
    let is_apart = |id: &NodeId| topology.logical(*id).is_none() || !own.contains(id);
    nodes.into_iter().filter(is_apart).collect()
}

/// What serves a pod, a container or a guest of a platform.
fn serving(network: &Network<'_>, _: &Addresses, text: &str) -> Found {
    // A number alone is a VLAN, more likely.
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number {
        return Found::default();
    }
    let text = text.strip_prefix("pod:").unwrap_or(text);
    let all = network.workloads().iter().filter(|(_, workload)| workload.is_called(text));
    Found { nodes: all.map(|(node, _)| node).collect(), because: Vec::new() }
}

/// The devices and guests with an address in a subnet.
fn in_subnet(network: &Network<'_>, addresses: &Addresses, text: &str) -> Found {
    let Ok(net) = text.parse::<IpNet>() else { return Found::default() };
    if net.prefix_len() == net.max_prefix_len() {
        return Found::default();
    }
    let net = net.trunc();
    let devices = network.addresses().filter(|address| net.contains(&address.data.ip));
    let mut nodes: Vec<NodeId> = devices.map(|address| address.data.netdev).collect();
    let guests = network.vm_nics().filter(|nic| {
        let mac = nic.data.mac.as_ref().map(|mac| mac.value);
        mac.is_some_and(|mac| addresses.of_mac(mac).iter().any(|known| net.contains(&known.ip)))
    });
    nodes.extend(guests.map(|nic| nic.id));
    Found { nodes, because: vec![format!("has an address in {net}")] }
}

/// The NIC at a PCI address, and the VMs that were given it.
fn at_pci(network: &Network<'_>, _: &Addresses, text: &str) -> Found {
    let Some(wanted) = pci(text) else { return Found::default() };
    let is_it = |address: &str| pci(address).is_some_and(|address| address == wanted);
    let driver = |id: NodeId| network.nics().of(id).and_then(|texts| texts.driver);
    let mut nodes: Vec<NodeId> = network
        .netdevs()
        .filter(|device| {
            let bus = driver(device.id).and_then(|driver| driver.record.bus_info.as_ref());
            bus.is_some_and(|bus| is_it(&bus.value))
        })
        .map(|device| device.id)
        .collect();
    nodes.extend(
        network
            .vm_nics()
            .filter(|nic| {
                let source = nic.data.xml.and_then(|xml| xml.record.source_pci.as_ref());
                source.is_some_and(|source| is_it(&source.value))
            })
            .map(|nic| nic.id),
    );
    for (source, domains) in network.domain_texts() {
        let given = domains.iter().filter(|it| it.hostdevs.iter().any(|dev| is_it(&dev.value)));
        let names = given.filter_map(|domain| domain.name.as_ref());
        nodes.extend(names.filter_map(|name| network.topology.find_vm(source.host, &name.value)));
    }
    Found { nodes, because: vec![format!("is at, or has, PCI address {text}")] }
}

/// Domain, bus, slot and function of a PCI address; the domain may be left out.
fn pci(text: &str) -> Option<[u32; 4]> {
    let (rest, function) = text.rsplit_once('.')?;
    let mut parts = rest.rsplit(':');
    let (slot, bus) = (parts.next()?, parts.next()?);
    let domain = parts.next().unwrap_or("0000");
    let hex = |part: &str, long: usize| {
        let is_hex = part.len() == long && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_hex.then(|| u32::from_str_radix(part, 16).ok()).flatten()
    };
    let address = [hex(domain, 4)?, hex(bus, 2)?, hex(slot, 2)?, hex(function, 1)?];
    parts.next().is_none().then_some(address)
}

/// What carries a VLAN, or a network of an overlay: `100`, `vlan 100`, `vni 97`.
fn numbered(network: &Network<'_>, _: &Addresses, text: &str) -> Found {
    let lower = text.to_ascii_lowercase();
    let (word, number) = match lower.split_once([' ', ':', '=']) {
        Some((word, number)) => (word, number.trim()),
        None => ("", lower.as_str()),
    };
    let hex = number.strip_prefix("0x").map(|hex| u32::from_str_radix(hex, 16));
    let Ok(number) = hex.unwrap_or_else(|| number.parse()) else { return Found::default() };
    let mut found = Found::default();
    if matches!(word, "" | "vlan" | "tag") {
        let nodes = of_vlan(network, number);
        found.because.extend((!nodes.is_empty()).then(|| format!("is on VLAN {number}")));
        found.nodes.extend(nodes);
    }
    if matches!(word, "" | "vni" | "tunnel" | "key") {
        let nodes = of_overlay(network, number);
        found.because.extend((!nodes.is_empty()).then(|| format!("carries VNI {number}")));
        found.nodes.extend(nodes);
    }
    found
}

fn of_vlan(network: &Network<'_>, number: u32) -> Vec<NodeId> {
    let Ok(vlan) = u16::try_from(number) else { return Vec::new() };
    let ports = network.ovs_ports().filter(|port| {
        let tag = port.data.tag.as_ref().is_some_and(|tag| tag.value == vlan);
        tag || port.data.trunks.iter().any(|trunk| trunk.value == vlan)
    });
    let mut nodes: Vec<NodeId> = ports.map(|port| port.id).collect();
    let devices = network.netdevs().filter(|device| {
        let kinds = device.data.records.iter().map(|seen| &seen.record.kind_data);
        kinds.filter_map(|kind| kind.vlan.as_ref()).any(|it| it.id.value == vlan)
    });
    nodes.extend(devices.map(|device| device.id));
    nodes
}

fn of_overlay(network: &Network<'_>, number: u32) -> Vec<NodeId> {
    let devices = network.netdevs().filter(|device| {
        let kinds = device.data.records.iter().map(|seen| &seen.record.kind_data);
        let ids = kinds.filter_map(|kind| kind.tunnel.as_ref()?.id.as_ref());
        ids.into_iter().any(|id| id.value == number)
    });
    let mut nodes: Vec<NodeId> = devices.map(|device| device.id).collect();
    let text = number.to_string();
    let said = network.ovs_ports().filter(|port| {
        let told = port.data.other_config.iter().find(|(key, _)| key == "segmentation_id");
        told.is_some_and(|(_, id)| id.value.trim_matches('"') == text)
    });
    nodes.extend(said.map(|port| port.id));
    // Which local VLAN it is: the flows of the tunnel bridge say it.
    for host in network.hosts() {
        let vlans = network.local_vlans(host);
        let local = vlans.inbound.get(&u64::from(number)).into_iter().flat_map(|it| it.keys());
        let ports = local.filter_map(|vlan| vlans.ports.get(vlan)).flatten();
        nodes.extend(ports.map(|port| port.id));
    }
    nodes
}

/// What is named after the id of a router, a network or a port, or is on that network.
fn with_id(network: &Network<'_>, _: &Addresses, text: &str) -> Found {
    if !wanted(network.topology, text, &[':']).id {
        return Found::default();
    }
    let carries = |node: &Node<'_>| {
        let tail = node.name.split_once('-').map_or("", |(_, tail)| tail);
        let named = matches!(node.data, NodeData::Netns(_) | NodeData::Netdev(_));
        let on_network = match &node.data {
            NodeData::OvsPort(port) => port.other_config.iter().any(|(key, value)| {
                key == "net_uuid" && value.value.trim_matches('"').starts_with(text)
            }),
            _ => false,
        };
        named && tail.starts_with(text) || on_network
    };
    let nodes = network.topology.nodes().filter(|(_, node)| carries(node)).map(|(id, _)| id);
    Found { nodes: nodes.collect(), because: vec![format!("carries the id {text}…")] }
}

/// What a pattern or the beginning of a name fits.
fn by_pattern(network: &Network<'_>, _: &Addresses, text: &str) -> Found {
    /// The shortest beginning.
    const SHORTEST: usize = 4;
    let is_pattern = text.contains(['*', '?']);
    if !is_pattern && text.len() < SHORTEST {
        return Found::default();
    }
    let pattern = if is_pattern { text.to_owned() } else { format!("{text}*") };
    let Ok(glob) = Glob::new(&pattern) else { return Found::default() };
    let fits = |node: &Node<'_>| match &node.data {
        NodeData::Vm(vm) => {
            let nova = vm.nova_name.as_ref().is_some_and(|name| glob.matches(&name.value));
            nova || glob.matches(&node.name)
        }
        NodeData::Netns(_) | NodeData::OvsBridge(_) | NodeData::OvsPort(_) => {
            glob.matches(&node.name)
        }
        NodeData::Netdev(device) => !device.stub && glob.matches(&node.name),
        _ => false,
    };
    let nodes = network.topology.nodes().filter(|(_, node)| fits(node)).map(|(id, _)| id).collect();
    let because = if is_pattern { format!("fits {text}") } else { format!("begins with {text}") };
    Found { nodes, because: vec![because] }
}

/// Names like `text` that do exist.
pub(crate) fn near(topology: &Topology<'_>, text: &str, most: usize) -> Vec<String> {
    let wanted = wanted(topology, text, &[':']);
    let named = topology.nodes().filter(|(_, it)| {
        !matches!(it.data, NodeData::RouteTable(_) | NodeData::Address(_) | NodeData::VmNic(_))
    });
    let names = named.map(|(_, it)| it.name.as_str()).filter(|it| !it.is_empty());
    suggest::several(wanted.name, names, most).into_iter().map(str::to_owned).collect()
}

fn wanted<'a>(topology: &Topology<'_>, text: &'a str, behind_host: &[char]) -> Wanted<'a> {
    let hosts = &topology.snapshot.captured.hosts;
    // Labels of captures have times in them, and those have colons: the longest one counts.
    let called = hosts.iter().flat_map(|host| [host.label(), host.name.as_str()]);
    let scoped = called.filter_map(|name| {
        let rest = text.strip_prefix(name)?.strip_prefix(behind_host)?;
        (!rest.is_empty()).then_some((text.get(..name.len()), rest))
    });
    let (host, rest) = scoped.min_by_key(|(_, rest)| rest.len()).unwrap_or((None, text));
    // `10.0.0.1/24` is an address, `qrouter-…/qr-…` a device of a namespace, `br-int/qvo…` a port.
    let address = rest.split('/').next().and_then(|part| part.parse::<IpAddr>().ok());
    let (within, name) = match rest.split_once('/') {
        Some((within, name)) if address.is_none() && !name.is_empty() => (Some(within), name),
        _ => (None, rest),
    };
    let hex = name.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    let dash = name.len() < 9 || name.as_bytes().get(8) == Some(&b'-');
    Wanted {
        host,
        within,
        name,
        mac: name.parse().ok(),
        ip: address,
        id: hex && dash && name.len() >= SHORTEST_ID,
    }
}

fn search(topology: &Topology<'_>, wanted: &Wanted<'_>) -> Vec<NodeId> {
    let mut found: Vec<NodeId> = topology
        .nodes()
        .filter(|(_, node)| in_scope(topology, wanted, node) && is_named(wanted, node))
        .map(|(id, _)| id)
        .collect();
    if let Some(ip) = wanted.ip {
        for &address in topology.find_address(ip) {
            let Some(node) = topology.node(address) else { continue };
            if let NodeData::Address(it) = &node.data
                && in_scope(topology, wanted, node)
            {
                found.push(it.netdev);
            }
        }
        found.sort_unstable();
        found.dedup();
    }
    found
}

fn in_scope(topology: &Topology<'_>, wanted: &Wanted<'_>, node: &Node<'_>) -> bool {
    let hosts = &topology.snapshot.captured.hosts;
    let on_host = wanted.host.is_none_or(|name| {
        let host = node.host.and_then(|host| hosts.get(host.0 as usize));
        host.is_some_and(|host| host.name == name || host.label() == name)
    });
    let within = wanted.within.is_none_or(|within| match &node.data {
        NodeData::OvsPort(it) => it.bridge == within,
        NodeData::OvsInterface(it) => it.bridge == within || it.port == within,
        NodeData::VmNic(nic) => topology.node(nic.vm).is_some_and(|vm| vm.name == within),
        _ => node.netns.as_ref().is_some_and(|netns| netns.to_string() == within),
    });
    on_host && within
}

fn is_named(wanted: &Wanted<'_>, node: &Node<'_>) -> bool {
    let name = wanted.name;
    let same = |text: Option<&str>| text == Some(name);
    let starts = |it: Option<&str>| wanted.id && it.is_some_and(|it| it.starts_with(name));
    let mac = wanted.mac.is_some() && mac_of(node) == wanted.mac;
    let by_port_id = || wanted.id && carries_port_id(&node.name, name);
    match &node.data {
        NodeData::Host(_) | NodeData::Netns(_) => node.name == name || starts(Some(&node.name)),
        NodeData::RemoteHost(it) => Some(it.ip) == wanted.ip,
        NodeData::Vm(it) => {
            let uuid = it.uuid.as_ref().map(|uuid| uuid.value.as_str());
            node.name == name
                || same(it.nova_name.as_ref().map(|name| name.value.as_str()))
                || same(uuid)
                || starts(uuid)
        }
        NodeData::VmNic(it) => {
            // `instance-00000011/tap03bd15bd-d4`; the device alone is the one of the host.
            let target = it.target.as_ref().map(|target| target.value.as_str());
            mac || starts(it.interface_id.as_ref().map(|id| id.value.as_str()))
                || wanted.within.is_some() && same(target)
        }
        NodeData::Netdev(it) => {
            let altname = |name: &str| {
                it.records
                    .iter()
                    .any(|seen| seen.record.altnames.iter().any(|altname| **altname == name))
            };
            node.name == name || mac || by_port_id() || altname(name)
        }
        NodeData::OvsBridge(_) => node.name == name,
        NodeData::OvsPort(_) => node.name == name || by_port_id(),
        NodeData::OvsInterface(it) => {
            let iface_id = it.external_ids.iter().find(|(key, _)| key == "iface-id");
            node.name == name
                || mac
                || by_port_id()
                || starts(iface_id.map(|(_, it)| it.value.as_str()))
        }
        NodeData::TunnelEndpoint(it) => {
            let is = |it: Option<IpAddr>| it.is_some() && it == wanted.ip;
            is(it.remote.as_ref().map(|remote| remote.value))
                || is(it.local.as_ref().map(|local| local.value))
        }
        NodeData::Logical(it) => {
            let named = it.names.iter().any(|own| own == name || starts(Some(own)));
            let wanted_mac = wanted.mac.is_some_and(|mac| it.macs.contains(&mac));
            node.name == name
                || named
                || wanted_mac
                || wanted.ip.is_some_and(|ip| it.addresses.contains(&ip))
        }
        NodeData::Address(_) | NodeData::RouteTable(_) => false,
    }
}

fn mac_of(node: &Node<'_>) -> Option<Mac> {
    match &node.data {
        NodeData::Netdev(it) => it.mac.as_ref().map(|mac| mac.value),
        NodeData::VmNic(it) => it.mac.as_ref().map(|mac| mac.value),
        NodeData::OvsInterface(it) => it.mac_in_use.as_ref().map(|it| it.value),
        _ => None,
    }
}

/// Neutron and os-vif name a device after the port: three characters, then the beginning of its
/// id (`tap85bcbfb0-bc`, `qr-0fd24acc-81`).
fn carries_port_id(device: &str, id: &str) -> bool {
    let Some(tail) = device.get(3..) else { return false };
    let id = id.get(..PORT_ID_IN_NAME.min(id.len())).unwrap_or(id);
    tail.len() >= SHORTEST_ID && tail.starts_with(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_id_finds_the_devices_named_after_it() {
        assert!(carries_port_id("tap85bcbfb0-bc", "85bcbfb0-bc1f-4e0c-9f3a-000000000000"));
        assert!(carries_port_id("qvo85bcbfb0-bc", "85bcbfb0"));
        assert!(!carries_port_id("tap85bcbfb0-bc", "85bcbfb1"));
        assert!(!carries_port_id("lo", "85bcbfb0"));
    }

    #[test]
    fn pci_addresses_are_numbers() {
        assert_eq!(pci("0000:03:00.1"), Some([0, 3, 0, 1]));
        assert_eq!(pci("03:0a.0"), pci("0000:03:0a.0"));
        for none in ["3:0.0", "10.0.0.1", "0000:03:00", "0:0000:03:00.1", "virtio0"] {
            assert_eq!(pci(none), None, "{none}");
        }
    }
}
