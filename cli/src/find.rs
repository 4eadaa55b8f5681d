//! From what a person types to nodes: names, MACs, addresses, ids.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::Batch;
use tapline_core::records::netfilter::NetfilterRule;
use tapline_topology::{Node, NodeData, NodeId, NodeKey, Topology};

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
    let mut found = search(topology, &wanted(topology, text));
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
/// into it. A neighbour of a captured namespace has a MAC, and the MAC is that of a NIC.
fn behind(topology: &Topology<'_>, ip: IpAddr) -> Vec<NodeId> {
    let mut addresses = vec![ip];
    let mut macs: Vec<Mac> = Vec::new();
    let batches = || topology.snapshot.readings.iter().map(|reading| &reading.records);
    for batch in batches() {
        let Batch::Netfilter(tables) = batch else { continue };
        let rules = tables.iter().flat_map(|table| &table.rules);
        addresses.extend(rules.filter_map(|rule| translation(rule, ip)));
    }
    for batch in batches() {
        let Batch::Neighbours(neighbours) = batch else { continue };
        let asked = neighbours.iter().filter(|neighbour| addresses.contains(&neighbour.ip.value));
        macs.extend(asked.filter_map(|asked| Some(asked.mac.as_ref()?.value)));
    }
    let has = |node: &Node<'_>| mac_of(node).is_some_and(|mac| macs.contains(&mac));
    topology.nodes().filter(|(_, node)| has(node)).map(|(id, _)| id).collect()
}

/// The address that a rule translates packets to `ip` into.
fn translation(rule: &NetfilterRule, ip: IpAddr) -> Option<IpAddr> {
    let after = |words: &[Name], options: &[&str]| {
        let at = words.iter().position(|word| options.contains(&word.as_str()))?;
        let value = words.get(at + 1)?;
        value.split('/').next()?.parse::<IpAddr>().ok()
    };
    let from = after(&rule.matches, &["-d", "--destination"])?;
    (from == ip).then(|| after(&rule.target_options, &["--to-destination"])).flatten()
}

/// Names like `text` that do exist.
pub(crate) fn near(topology: &Topology<'_>, text: &str, most: usize) -> Vec<String> {
    let wanted = wanted(topology, text);
    let named = topology.nodes().filter(|(_, it)| {
        !matches!(it.data, NodeData::RouteTable(_) | NodeData::Address(_) | NodeData::VmNic(_))
    });
    let names = named.map(|(_, it)| it.name.as_str()).filter(|it| !it.is_empty());
    suggest::several(wanted.name, names, most).into_iter().map(str::to_owned).collect()
}

fn wanted<'a>(topology: &Topology<'_>, text: &'a str) -> Wanted<'a> {
    let hosts = &topology.snapshot.captured.hosts;
    // Labels of captures have times in them, and those have colons: the longest one counts.
    let called = hosts.iter().flat_map(|host| [host.label(), host.name.as_str()]);
    let scoped = called.filter_map(|name| {
        let rest = text.strip_prefix(name)?.strip_prefix(':')?;
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
}
