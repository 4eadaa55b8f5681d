//! Network devices.
use std::collections::BTreeSet;

use tapline_core::ids::Netns;
use tapline_core::records::link::Link;
use tapline_core::request::Topic;
use tapline_core::span::Evidence;
use tapline_network::Item;
use tapline_topology::EdgeKind;
use tapline_topology::graph::{Netdev, NetdevKind, Seen};

use super::super::entity::{Class, Entity, Kind};
use super::super::gather::{Gather, place};
use super::super::traces::nic_of;

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let devices: Vec<_> = gather.side.network.netdevs_of(gather.host).collect();
    for device in devices {
        if matches!(device.netns(), Netns::Nameless { .. }) {
            continue;
        }
        let it = entity(gather, device);
        gather.view.add(it);
    }
    gather.cover_namespaces(Kind::Netdev, Topic::Links);
}

fn entity<'a>(gather: &Gather<'_, '_, 'a>, device: Item<'a, Netdev<'a>>) -> Entity {
    let (netns, name) = (device.netns(), device.name());
    let key = gather.device_key(netns, name);
    let mut it = Entity::new(key, Some(netns.clone()), name);
    let line = device.records.iter().find(|seen| seen.record.index.is_some());
    let line = line.map(|seen| Evidence { source: seen.source, span: seen.record.at });
    it.at = line.or(device.place());
    // What is looked for is looked for where it was.
    it.scopes = vec![place(netns)];
    it.owners = owners(gather, device);
    it.mentions = joined(gather, device);
    it.set("name", renaming(name), Some(name.to_owned()), device.place());
    it.set("namespace", Class::Config, Some(netns.to_string()), device.place());
    it.set_fact("ifindex", Class::Renumbered, device.index.as_ref());
    it.set_fact("mtu", Class::Config, device.mtu.as_ref());
    it.set_fact("mac", mac_class(&device), device.mac.as_ref());
    if device.kind != NetdevKind::Unknown && gather.is_whole(netns, Topic::LinkDetails) {
        let kind = device.kind.as_str().to_owned();
        it.set("kind", Class::Config, Some(kind), device.kind_evidence);
    }
    set_state(&mut it, &device);
    set_links(gather, &mut it, device);
    set_details(gather, &mut it, &device);
    it
}

/// Devices of VMs and containers get a new number with each start.
fn renaming(name: &str) -> Class {
    let numbered = ["vnet", "macvtap", "tap", "veth"].iter().any(|prefix| {
        let rest = name.strip_prefix(prefix);
        rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_alphanumeric()))
    });
    if numbered { Class::Renumbered } else { Class::Config }
}

/// Virtual devices have an address by chance, or that of a member.
fn mac_class(device: &Item<'_, Netdev<'_>>) -> Class {
    match device.kind {
        NetdevKind::Physical | NetdevKind::Vlan | NetdevKind::Macvlan | NetdevKind::Bond => {
            Class::Config
        }
        _ if device.netns().name().is_some() => Class::Config,
        _ => Class::Noise,
    }
}

fn owners<'a>(
    gather: &Gather<'_, '_, 'a>,
    device: Item<'a, Netdev<'a>>,
) -> Vec<super::super::entity::Key> {
    use super::super::entity::Key;
    let network = gather.side.network;
    let mut owners = Vec::new();
    if let Some(nic) = nic_of(gather.side, device.id).and_then(|nic| network.vm_nic(nic))
        && let Some(vm) = network.vm(nic.vm)
    {
        owners.push(gather.vm_key(vm.name()));
    }
    // What neutron makes for a port of a VM is named after it.
    let port = tapline_topology::names::port_prefix(device.name());
    if owners.is_empty() && port.is_some() {
        for nic in network.nics_behind(gather.host, device.name()) {
            if let Some(vm) = network.vm(nic.vm) {
                owners.push(gather.vm_key(vm.name()));
            }
        }
    }
    if let Netns::Named(_) = device.netns() {
        owners.push(Key::new(Kind::Netns, "", place(device.netns())));
    }
    if let Some(peer) = network.veth_peer(device.id)
        && device.netns().is_root()
        && let Netns::Named(_) = peer.netns()
    {
        owners.push(Key::new(Kind::Netns, "", place(peer.netns())));
    }
    if let Some(interface) = network.interface_of(device.id) {
        owners.push(gather.port_key(interface.name()));
    }
    owners
}

/// What it has its carrier from: the device below or at the other end, the members of a bridge.
fn joined<'a>(gather: &Gather<'_, '_, 'a>, device: Item<'a, Netdev<'a>>) -> Vec<String> {
    let network = gather.side.network;
    let topology = network.topology;
    let below = topology.out(device.id, EdgeKind::StackedOn).into_iter().map(|(id, _)| id);
    let peer = topology.peer(device.id, EdgeKind::VethPeer).map(|(id, _)| id);
    let members = topology.into(device.id, EdgeKind::EnslavedTo).into_iter().map(|(id, _)| id);
    let all = below.chain(peer).chain(members).filter_map(|id| network.netdev(id));
    all.map(|other| {
        let key = gather.device_key(other.netns(), other.name());
        format!("{}/{}", key.place, key.id)
    })
    .collect()
}

fn set_state(it: &mut Entity, device: &Item<'_, Netdev<'_>>) {
    let at = device.flags.as_ref().map(|flags| flags.evidence);
    let Some(up) = device.admin_up() else {
        // `ip -br` prints one word for both.
        return;
    };
    let words = if up { "UP" } else { "DOWN" };
    it.set_link("state", Some(words.to_owned()), at, !up);
    if !up {
        return;
    }
    let lower_up = device.flag("LOWER_UP") == Some(true);
    let no_carrier = device.flag("NO-CARRIER") == Some(true);
    let state = device.state.as_ref().map(|state| state.value.as_str());
    let carrier = match (lower_up, no_carrier, state) {
        (_, true, _) | (false, false, Some("LOWERLAYERDOWN" | "DOWN")) => Some(false),
        (true, false, _) => Some(true),
        _ => None,
    };
    if let Some(carrier) = carrier {
        let words = if carrier { "yes" } else { "no" };
        it.set_link("carrier", Some(words.to_owned()), at, !carrier);
    }
}

/// What it is joined with.
fn set_links<'a>(gather: &Gather<'_, '_, 'a>, it: &mut Entity, device: Item<'a, Netdev<'a>>) {
    let network = gather.side.network;
    let topology = network.topology;
    let netns = device.netns();
    let word = |id| {
        let other = network.netdev(id)?;
        Some(gather.device_word(other.netns(), other.name()))
    };
    let place = |edge: &tapline_topology::Edge| edge.witnesses.first().map(|it| it.evidence);
    if !network.is_disputed(device.id) {
        let master = topology.out(device.id, EdgeKind::EnslavedTo).into_iter().next();
        let told = device.master.as_ref();
        match (master, told) {
            (Some((id, edge)), _) => {
                it.set_link("master", word(id), place(edge), false);
            }
            (None, Some(told)) => {
                let (_, name) = gather.device(netns, &told.value);
                it.set_link("master", Some(name.to_owned()), Some(told.evidence), false);
            }
            (None, None) => {
                if let Some(record) = printed_by_ip(&device) {
                    it.set_link("master", None, Some(record), true);
                }
            }
        }
    }
    let lower: BTreeSet<String> = topology
        .out(device.id, EdgeKind::StackedOn)
        .into_iter()
        .filter_map(|(id, _)| word(id))
        .collect();
    if !lower.is_empty() {
        let words = lower.into_iter().collect::<Vec<_>>().join(", ");
        let at = device.lower.as_ref().map(|lower| lower.evidence).or(device.place());
        it.set("on", Class::Config, Some(words), at);
    }
    if let Some((peer, edge)) = topology.peer(device.id, EdgeKind::VethPeer) {
        it.set_link("peer", word(peer), place(edge), false);
    }
}

/// The line of a device as `ip address` and `ip link` print it, which name a master where there is
/// one; the short form does not.
fn printed_by_ip(device: &Item<'_, Netdev<'_>>) -> Option<Evidence> {
    let full = device.records.iter().find(|seen| {
        let record = seen.record;
        record.index.is_some() && record.qdisc.is_some() && record.state.is_some()
    })?;
    Some(Evidence { source: full.source, span: full.record.at })
}

/// What `-d` says of its kind.
fn set_details(gather: &Gather<'_, '_, '_>, it: &mut Entity, device: &Item<'_, Netdev<'_>>) {
    let Some(Seen { source, record }) =
        device.records.iter().find(|seen| !seen.record.kind_data.is_empty())
    else {
        set_slave(it, device);
        return;
    };
    let Link { kind_data, .. } = record;
    let at = |span| Some(Evidence { source: *source, span });
    if let Some(vlan) = &kind_data.vlan {
        it.set("vlan id", Class::Config, Some(vlan.id.value.to_string()), at(vlan.id.span));
        it.set_known("vlan protocol", Class::Config, vlan.protocol.as_ref(), at(vlan.id.span));
    }
    if let Some(tunnel) = &kind_data.tunnel {
        let line = at(record.at);
        it.set_known("tunnel id", Class::Config, tunnel.id.as_ref().map(|id| id.value), line);
        it.set_known("local", Class::Config, tunnel.local.as_ref().map(|ip| ip.value), line);
        it.set_known("remote", Class::Config, tunnel.remote.as_ref().map(|ip| ip.value), line);
        let port = tunnel.dstport.as_ref().map(|port| port.value);
        it.set_known("port", Class::Config, port, line);
        it.set_known("key", Class::Config, tunnel.key.as_ref().map(|key| &key.value), line);
        it.set("external", Class::Config, Some(tunnel.external.to_string()), line);
        if let Some(dev) = &tunnel.dev {
            let (_, name) = gather.device(device.netns(), &dev.value);
            it.set("by", Class::Config, Some(name.to_owned()), at(dev.span));
        }
    }
    if let Some(bridge) = &kind_data.bridge {
        let line = at(record.at);
        let number = |value: Option<bool>| value.map(|value| if value { "on" } else { "off" });
        let filtering = number(bridge.vlan_filtering.as_ref().map(|it| it.value));
        it.set_known("vlan filtering", Class::Config, filtering, line);
        it.set_known("stp", Class::Config, number(bridge.stp.as_ref().map(|it| it.value)), line);
        let ageing = bridge.ageing_time.as_ref().map(|it| it.value);
        it.set_known("ageing time", Class::Config, ageing, line);
        let pvid = bridge.default_pvid.as_ref().map(|it| it.value);
        it.set_known("default pvid", Class::Config, pvid, line);
        let calls = number(bridge.nf_call_iptables.as_ref().map(|it| it.value));
        it.set_known("nf_call_iptables", Class::Config, calls, line);
    }
    if let Some(bond) = &kind_data.bond {
        let line = at(record.at);
        it.set_known("bond mode", Class::Config, bond.mode.as_ref().map(|it| &it.value), line);
        it.set_known("miimon", Class::Config, bond.miimon, line);
        if let Some(active) = &bond.active_slave {
            let (_, name) = gather.device(device.netns(), &active.value);
            it.set("active slave", Class::Dynamic, Some(name.to_owned()), at(active.span));
        }
    }
    let mode = kind_data.mode.as_ref();
    it.set_known("mode", Class::Config, mode.map(|mode| &mode.value), at(record.at));
    let table = kind_data.vrf_table.as_ref();
    it.set_known("vrf table", Class::Config, table.map(|table| table.value), at(record.at));
    set_slave(it, device);
}

/// What it is as a member, its alias and its queueing.
fn set_slave(it: &mut Entity, device: &Item<'_, Netdev<'_>>) {
    for Seen { source, record } in &device.records {
        let at = |span| Some(Evidence { source: *source, span });
        if let Some(state) = &record.slave_state {
            let cut = matches!(state.value.as_str(), "blocking" | "disabled" | "listening");
            it.set_link("port state", Some(state.value.to_string()), at(state.span), cut);
        }
        if let Some(qdisc) = &record.qdisc
            && !it.values.contains_key("qdisc")
        {
            it.set("qdisc", Class::Cosmetic, Some(qdisc.to_string()), at(record.at));
        }
        if let Some(alias) = &record.alias {
            it.set("alias", Class::Cosmetic, Some(alias.value.to_string()), at(alias.span));
        }
    }
}
