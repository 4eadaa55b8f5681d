//! Bridges and ports of Open vSwitch. An interface is told with its port, which it is one with but
//! for bonds.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::request::Topic;
use tapline_network::Item;
use tapline_topology::graph::{Fact, OvsInterface, OvsPort};
use tapline_topology::names::port_prefix;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::Gather;

/// Keys of maps that count, or tell when something was done.
const BY_ITSELF: &[&str] =
    &["ovn-installed-ts", "ovn-nb-cfg", "ovn-nb-cfg-ts", "ovn-startup-ts", "ovs-trans-id"];

/// What numbers of zones are told as.
const ZONE: &str = "zone of connection tracking";

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    add_bridges(gather);
    let mut interfaces: BTreeMap<Name, Vec<Item<'_, OvsInterface>>> = BTreeMap::new();
    for it in gather.side.network.ovs_interfaces_of(gather.host) {
        interfaces.entry(it.port.clone()).or_default().push(it);
    }
    let shown = errors_are_shown(gather);
    let ports: Vec<_> = gather.side.network.ovs_ports_of(gather.host).collect();
    for port in ports {
        let own = interfaces.get(port.name()).map_or(&[][..], Vec::as_slice);
        let it = entity(gather, port, own, shown);
        gather.view.add(it);
    }
    if gather.is_whole(&Netns::Root, Topic::Ovs) {
        gather.view.cover(Kind::OvsBridge, "");
        gather.view.cover(Kind::OvsPort, "");
    }
}

/// Whether a text shows errors of interfaces and connections of controllers: the file of the
/// database holds neither.
fn errors_are_shown(gather: &Gather<'_, '_, '_>) -> bool {
    let coverage = &gather.side.network.topology.coverage;
    let all = coverage.of(gather.host, &Netns::Root, Topic::Ovs);
    all.is_complete()
        && all.sources().iter().any(|source| {
            let program = gather.side.program_of(*source);
            program == "ovs-vsctl" || program == "ovsdb-client"
        })
}

fn add_bridges(gather: &mut Gather<'_, '_, '_>) {
    let whole = gather.is_whole(&Netns::Root, Topic::Ovs);
    let bridges: Vec<_> = gather.side.network.ovs_bridges_of(gather.host).collect();
    for bridge in bridges {
        let name = gather.port(bridge.name()).to_owned();
        let mut it = Entity::new(Key::new(Kind::OvsBridge, "", name.clone()), None, name);
        it.at = bridge.place();
        if let Some(told) = &bridge.datapath_type {
            // Empty is the datapath of the kernel.
            let kind = if told.value.is_empty() { "system" } else { told.value.as_str() };
            let at = Some(told.evidence);
            it.set("datapath type", Class::Config, Some(kind.to_owned()), at);
        }
        if whole {
            let mode = bridge.fail_mode.as_ref();
            let at = mode.map(|mode| mode.evidence).or(bridge.place());
            it.set("fail mode", Class::Config, mode.map(|mode| mode.value.to_string()), at);
            let targets: BTreeSet<&str> =
                bridge.controllers.iter().map(|it| it.target.value.as_str()).collect();
            let words = targets.into_iter().collect::<Vec<_>>().join(", ");
            let first = bridge.controllers.first().map(|it| it.target.evidence);
            let words = (!words.is_empty()).then_some(words);
            it.set("controllers", Class::Config, words, first.or(bridge.place()));
        }
        let connected: Vec<&Fact<bool>> =
            bridge.controllers.iter().filter_map(|it| it.is_connected.as_ref()).collect();
        if let Some(first) = connected.first() {
            let any = connected.iter().any(|it| it.value);
            let words = if any { "yes" } else { "no" };
            it.set_link("controller connected", Some(words.to_owned()), Some(first.evidence), !any);
        }
        // Which of both maps holds a key is not told.
        add_map(&mut it, "config", &bridge.external_ids, |_, value| Some(value.to_owned()));
        gather.view.add(it);
    }
    add_stp(gather);
}

/// Settings of bridges that only rows tell.
fn add_stp(gather: &mut Gather<'_, '_, '_>) {
    use tapline_core::records::ovs::OvsRow;
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        let Batch::Ovs(records) = batch else { continue };
        for record in records {
            let OvsRow::Bridge(row) = &record.row else { continue };
            let key = Key::new(Kind::OvsBridge, "", gather.port(&row.name.value));
            let Some(it) = gather.view.entities.get_mut(&key) else { continue };
            if let Some(stp) = &row.stp {
                let words = if stp.value { "on" } else { "off" };
                it.set("stp", Class::Config, Some(words.to_owned()), Some(stp.evidence(source.id)));
            }
        }
    }
}

/// The keys of a map, each with a value of its own.
fn add_map(
    it: &mut Entity,
    name: &'static str,
    map: &[(Name, Fact<Name>)],
    words: impl Fn(&str, &str) -> Option<String>,
) {
    for (key, value) in map {
        // OVN gives zones of connection tracking anew with each start.
        if let Some(of) = key.strip_prefix("ct-zone-") {
            let text = words(key, &value.value);
            it.set(format!("{ZONE}:{of}"), Class::Renumbered, text, Some(value.evidence));
            continue;
        }
        let class = match key.as_str() {
            key if BY_ITSELF.contains(&key) => Class::Noise,
            // Chassis and address: the address is an option of the interface.
            "ovn-chassis-id" => Class::Noise,
            _ => Class::Config,
        };
        let text = words(key, &value.value);
        it.set(format!("{name}:{key}"), class, text, Some(value.evidence));
    }
}

fn entity(
    gather: &Gather<'_, '_, '_>,
    port: Item<'_, OvsPort>,
    interfaces: &[Item<'_, OvsInterface>],
    shown: bool,
) -> Entity {
    let network = gather.side.network;
    let key = gather.port_key(port.name());
    let name = format!("{}/{}", gather.port(&port.bridge), gather.port(port.name()));
    let mut it = Entity::new(key, None, name);
    it.at = port.place();
    it.owners = owners(gather, port.name());
    // Bridges are joined by nothing else.
    it.is_link = interfaces.iter().any(|it| it.kind == "patch");
    // The name of a device is told of the device.
    let is_device = interfaces.iter().any(|it| network.device_of(it.id).is_some());
    let renaming = if is_device { Class::Noise } else { renaming(port.name()) };
    it.set("name", renaming, Some(port.name().to_owned()), port.place());
    it.set_link("bridge", Some(gather.port(&port.bridge).to_owned()), port.place(), false);
    let whole = gather.is_whole(&Netns::Root, Topic::Ovs);
    let local = network.is_integration_called(gather.host, &port.bridge);
    let vlan = |vlan: u16| if local { gather.vlan(vlan) } else { vlan.to_string() };
    let tag = port.tag.as_ref();
    if tag.is_some() || whole {
        let at = tag.map(|tag| tag.evidence).or(port.place());
        let dead = tag.is_some_and(|tag| tag.value == 4095);
        it.set_link("tag", tag.map(|tag| vlan(tag.value)), at, dead);
    }
    let trunks: BTreeSet<u16> = port.trunks.iter().map(|trunk| trunk.value).collect();
    if !trunks.is_empty() || whole {
        let words = trunks.iter().map(|trunk| vlan(*trunk)).collect::<Vec<_>>().join(", ");
        let at = port.trunks.first().map(|trunk| trunk.evidence).or(port.place());
        it.set("trunks", Class::Config, (!words.is_empty()).then_some(words), at);
    }
    let rows = gather.is_whole(&Netns::Root, Topic::OvsPorts);
    if port.vlan_mode.is_some() || rows {
        let mode = port.vlan_mode.as_ref();
        let at = mode.map(|mode| mode.evidence).or(port.place());
        it.set("vlan mode", Class::Config, mode.map(|mode| mode.value.to_string()), at);
    }
    add_map(&mut it, "config", &port.other_config, |key, value| match key {
        // Neutron notes the local VLAN.
        "tag" => Some(value.parse().map_or_else(|_| value.to_owned(), vlan)),
        _ => Some(value.to_owned()),
    });
    add_map(&mut it, "id", &port.external_ids, |_, value| Some(value.to_owned()));
    if rows {
        it.whole.extend([("config", port.place()), ("id", port.place())]);
    }
    let names: BTreeSet<&str> = interfaces.iter().map(|it| gather.port(it.name())).collect();
    if interfaces.len() > 1 || names.iter().any(|name| *name != gather.port(port.name())) {
        let words = names.into_iter().collect::<Vec<_>>().join(", ");
        it.set("interfaces", Class::Config, Some(words), port.place());
    }
    for interface in interfaces {
        let lone = interfaces.len() == 1;
        add_interface(gather, &mut it, *interface, lone, shown);
    }
    it
}

fn renaming(name: &str) -> Class {
    // OVN names tunnels after the chassis and a number.
    let numbered = ["vnet", "ovn-"].iter().any(|prefix| name.starts_with(prefix));
    if numbered { Class::Renumbered } else { Class::Config }
}

fn add_interface(
    gather: &Gather<'_, '_, '_>,
    it: &mut Entity,
    interface: Item<'_, OvsInterface>,
    lone: bool,
    shown: bool,
) {
    let label = |what: &str| {
        if lone { what.to_owned() } else { format!("{} {what}", gather.port(interface.name())) }
    };
    let place = interface.place();
    let kind = if interface.kind.is_empty() { "system" } else { interface.kind.as_str() };
    let at = interface.kind_evidence.or(place);
    it.set(label("type"), Class::Config, Some(kind.to_owned()), at);
    it.set_fact(label("ofport"), Class::Renumbered, interface.ofport.as_ref());
    if shown || interface.error.is_some() {
        let error = interface.error.as_ref();
        let at = error.map(|error| error.evidence).or(place);
        it.set_link(label("error"), error.map(|it| it.value.to_string()), at, error.is_some());
    }
    for (key, value) in &interface.options {
        let text = match key.as_str() {
            "peer" => gather.port(&value.value).to_owned(),
            _ => value.value.to_string(),
        };
        it.set(label(&format!("option {key}")), Class::Config, Some(text), Some(value.evidence));
    }
    if lone && gather.is_whole(&Netns::Root, Topic::Ovs) {
        it.whole.insert("option ", place);
    }
    for (key, value) in &interface.external_ids {
        let class = match key.as_str() {
            key if BY_ITSELF.contains(&key) => Class::Noise,
            _ => Class::Config,
        };
        let text = Some(value.value.to_string());
        it.set(label(&format!("id {key}")), class, text, Some(value.evidence));
    }
    let egress = interface.status.iter().find(|(key, _)| key == "tunnel_egress_iface");
    if let Some((_, value)) = egress {
        let (_, name) = gather.device(&Netns::Root, &value.value);
        it.set(label("leaves by"), Class::Dynamic, Some(name.to_owned()), Some(value.evidence));
    }
    // Devices in other namespaces are down for vswitchd whatever they are; those without a device
    // of the kernel have no other witness.
    if !interface.has_netdev()
        && matches!(kind, "dpdk" | "dpdkvhostuser" | "dpdkvhostuserclient")
        && let Some(state) = &interface.link_state
    {
        let is_cut = state.value == "down";
        it.set_link(label("link"), Some(state.value.to_string()), Some(state.evidence), is_cut);
    }
}

/// The VM behind a port, or what neutron made it for.
fn owners(gather: &Gather<'_, '_, '_>, name: &str) -> Vec<Key> {
    let network = gather.side.network;
    let mut owners: Vec<Key> = Vec::new();
    for nic in network.nics_behind(gather.host, name) {
        if let Some(vm) = network.vm(nic.vm) {
            owners.push(gather.vm_key(vm.name()));
        }
    }
    if owners.is_empty() || port_prefix(name).is_none() {
        let device = network.interface_called(gather.host, name);
        let device = device.and_then(|interface| network.device_of(interface.id));
        if let Some(device) = device.filter(|device| device.netns().name().is_some()) {
            let netns = super::super::gather::place(device.netns());
            owners.push(Key::new(Kind::Netns, "", netns));
        }
    }
    owners
}
