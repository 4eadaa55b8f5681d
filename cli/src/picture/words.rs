//! What is written in boxes and rows.
use std::collections::BTreeSet;

use tapline_topology::graph::{Netdev, OvsInterface};
use tapline_topology::{EdgeKind, NodeData, NodeId, Topology};

use super::Kind;
use super::draft::{DraftCard, DraftRow};
use crate::render::node::noun;
use crate::render::{count, node};

/// Addresses that are named; of more it is said how many.
const ADDRESSES: usize = 2;
/// Names that are given of a fold, and tags.
const NAMES: usize = 2;
const RANGES: usize = 4;
/// How it is said that a device cannot be used.
const DOWN: &str = "DOWN";
const NO_LINK: &str = "no link";

/// What sort of thing a row is: `veth`, `patch port`, `vxlan port`, `NIC`.
pub(super) fn kind_of_row(topology: &Topology<'_>, row: &DraftRow) -> String {
    kind_of(topology, &row.nodes)
}

/// The same of any nodes that are drawn at one place.
pub(super) fn kind_of(topology: &Topology<'_>, nodes: &[NodeId]) -> String {
    if let Some(device) = device(topology, nodes) {
        return match topology.node(device).map(noun) {
            Some("physical NIC") | None => "NIC".to_owned(),
            Some("internal port of OVS") => "internal port".to_owned(),
            Some(noun) => noun.to_owned(),
        };
    }
    if let Some(interface) = interface(topology, nodes) {
        return match interface.kind.as_str() {
            "" | "system" => "port".to_owned(),
            kind => format!("{kind} port"),
        };
    }
    match nodes.first().and_then(|node| topology.node(*node)) {
        Some(node) => match &node.data {
            NodeData::VmNic(_) => "NIC".to_owned(),
            NodeData::OvsPort(_) => "port".to_owned(),
            NodeData::RemoteHost(_) => "host that was not captured".to_owned(),
            _ => noun(node).to_owned(),
        },
        None => "thing".to_owned(),
    }
}

/// What may be alike with a box: its sort, and for things that agents make the beginning of the name.
pub(super) fn family(topology: &Topology<'_>, card: &DraftCard) -> String {
    let name = card.nodes.first().and_then(|node| topology.node(*node)).map(|node| &node.name);
    let name = name.map_or("", |name| name.as_str());
    let beginning = match card.kind {
        Kind::Netns => name.split_once('-').map_or("", |(agent, _)| agent),
        Kind::Bridge if name.starts_with("qbr") => "qbr",
        _ => "",
    };
    format!("{} {beginning}", kind_of(topology, &card.nodes))
}

/// The name of what is drawn at one place.
pub(super) fn title(topology: &Topology<'_>, nodes: &[NodeId]) -> String {
    let Some(&main) = nodes.first() else { return String::new() };
    match topology.node(main).map(|node| &node.data) {
        Some(NodeData::VmNic(nic)) => match (&nic.mac, &nic.target) {
            (Some(mac), _) => mac.value.to_string(),
            (None, Some(target)) => target.value.to_string(),
            (None, None) => "NIC".to_owned(),
        },
        Some(NodeData::RemoteHost(host)) => host.ip.to_string(),
        Some(NodeData::TunnelEndpoint(_)) | None => node::name(topology, main),
        Some(_) => topology.node(main).map(|node| node.name.to_string()).unwrap_or_default(),
    }
}

/// What people ask for first; the sort of thing is said of boxes only.
pub(super) fn facts(topology: &Topology<'_>, nodes: &[NodeId], kind: Option<Kind>) -> Vec<String> {
    let mut facts = Vec::new();
    match kind {
        Some(Kind::Vm | Kind::Netns) | None => {}
        Some(_) => facts.push(kind_of(topology, nodes)),
    }
    for node in nodes {
        let Some(node) = topology.node(*node) else { continue };
        match &node.data {
            NodeData::Vm(vm) => {
                facts.extend(vm.nova_name.as_ref().map(|name| name.value.to_string()));
                let state = vm.state.as_ref().map(|state| state.value.to_string());
                facts.extend(state.filter(|state| state != "running"));
                if vm.state.is_none() && vm.active.is_none() {
                    facts.push("state not captured".to_owned());
                }
            }
            NodeData::Netns(netns) if !netns.captured => facts.push("not captured".to_owned()),
            NodeData::Netdev(device) => {
                // The own device of a switch is down on healthy hosts.
                let own = kind == Some(Kind::Switch);
                let said = of_device(device).into_iter();
                facts.extend(said.filter(|fact| !own || (fact != DOWN && fact != NO_LINK)));
            }
            NodeData::OvsPort(port) => {
                facts.extend(port.tag.as_ref().map(|tag| format!("tag {}", tag.value)));
                let trunks: Vec<u16> = port.trunks.iter().map(|trunk| trunk.value).collect();
                if !trunks.is_empty() {
                    facts.push(format!("trunks {}", ranges(&trunks)));
                }
            }
            NodeData::OvsInterface(interface) => facts.extend(of_interface(interface)),
            _ => {}
        }
    }
    facts.extend(addresses(topology, nodes));
    let mut seen = BTreeSet::new();
    facts.retain(|fact| !fact.is_empty() && seen.insert(fact.clone()));
    facts
}

/// `490 VMs`
pub(super) fn many(n: usize, kind: Kind, topology: &Topology<'_>, nodes: &[NodeId]) -> String {
    let what = match kind {
        Kind::Vm => "VM".to_owned(),
        Kind::Netns => "namespace".to_owned(),
        Kind::Remote => return format!("{n} hosts not captured"),
        Kind::Nic => "NIC".to_owned(),
        Kind::Bridge | Kind::Switch | Kind::Bond | Kind::Device | Kind::Host => {
            kind_of(topology, nodes)
        }
    };
    count(n, &what)
}

/// `a, b, …`: the first names.
pub(super) fn names<'n>(all: impl Iterator<Item = &'n str>) -> String {
    let all: Vec<&str> = all.take(NAMES + 1).collect();
    let mut named = all.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    if all.len() > NAMES {
        named.push_str(", …");
    }
    named
}

/// `1-50, 60`
pub(super) fn ranges(numbers: &[u16]) -> String {
    let sorted: BTreeSet<u16> = numbers.iter().copied().collect();
    let mut ranges: Vec<(u16, u16)> = Vec::new();
    for number in sorted {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let shown = ranges.iter().take(RANGES).map(|(first, last)| match last - first {
        0 => first.to_string(),
        _ => format!("{first}-{last}"),
    });
    let mut text = shown.collect::<Vec<_>>().join(", ");
    if ranges.len() > RANGES {
        text.push_str(", …");
    }
    text
}

/// The VLAN tags of what is drawn at one place.
pub(super) fn tags(topology: &Topology<'_>, nodes: &[NodeId]) -> Vec<u16> {
    let tag = |node: &NodeId| match &topology.node(*node)?.data {
        NodeData::OvsPort(port) => port.tag.as_ref().map(|tag| tag.value),
        _ => None,
    };
    nodes.iter().filter_map(tag).collect()
}

fn of_device(device: &Netdev<'_>) -> Vec<String> {
    let mut facts = Vec::new();
    if device.stub {
        facts.push("not captured".to_owned());
    }
    if device.usable() == Some(false) {
        let is_off = device.admin_up() == Some(false);
        let down = if is_off || device.flags.is_none() { DOWN } else { NO_LINK };
        facts.push(down.to_owned());
    }
    if device.usable().is_none() && device.state.is_none() && device.flags.is_none() && !device.stub
    {
        facts.push("state not captured".to_owned());
    }
    // The usual one says nothing.
    let mtu = device.mtu.as_ref().filter(|mtu| mtu.value != 1500);
    facts.extend(mtu.map(|mtu| format!("mtu {}", mtu.value)));
    facts
}

fn of_interface(interface: &OvsInterface) -> Vec<String> {
    let mut facts = Vec::new();
    if !interface.has_netdev() && interface.kind != "patch" {
        let to = interface.option("remote_ip").map(|ip| ip.value.as_str());
        facts.push(match to {
            Some(to) => format!("{} to {to}", interface.kind),
            None => interface.kind.to_string(),
        });
    }
    if interface.kind == "patch" {
        facts.push("patch".to_owned());
    }
    facts.extend(interface.error.as_ref().map(|error| error.value.to_string()));
    facts
}

/// Addresses without the link-local ones, which every device has.
fn addresses(topology: &Topology<'_>, nodes: &[NodeId]) -> Vec<String> {
    let mut all = Vec::new();
    for node in nodes {
        for (address, _) in topology.out(*node, EdgeKind::HasAddress) {
            let Some(NodeData::Address(it)) = topology.node(address).map(|node| &node.data) else {
                continue;
            };
            let is_local = match it.ip {
                std::net::IpAddr::V4(ip) => ip.is_loopback(),
                std::net::IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_loopback(),
            };
            if !is_local {
                all.push(format!("{}/{}", it.ip, it.prefix));
            }
        }
    }
    let more = all.len().saturating_sub(ADDRESSES);
    all.truncate(ADDRESSES);
    if more > 0 {
        all.push(format!("and {more} more"));
    }
    all
}

fn device(topology: &Topology<'_>, nodes: &[NodeId]) -> Option<NodeId> {
    let main = topology.node(*nodes.first()?)?;
    // A switch is one whatever its own device is.
    if matches!(main.data, NodeData::OvsBridge(_) | NodeData::Netns(_) | NodeData::Vm(_)) {
        return None;
    }
    nodes.iter().copied().find(|node| topology.netdev(*node).is_some())
}

fn interface<'t>(topology: &'t Topology<'_>, nodes: &[NodeId]) -> Option<&'t OvsInterface> {
    let main = topology.node(*nodes.first()?)?;
    if matches!(main.data, NodeData::OvsBridge(_)) {
        return None;
    }
    nodes.iter().find_map(|node| topology.ovs_interface(*node))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_tags_are_a_range() {
        assert_eq!(ranges(&[3, 1, 2, 7]), "1-3, 7");
        assert_eq!(ranges(&[1, 3, 5, 7, 9]), "1, 3, 5, 7, …");
        assert_eq!(ranges(&[]), "");
    }

    #[test]
    fn few_names_are_given() {
        assert_eq!(names(["a", "b", "c"].into_iter()), "a, b, …");
        assert_eq!(names(["a"].into_iter()), "a");
    }
}
