//! Virtual machines and their NICs.
use std::collections::BTreeSet;

use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::request::Topic;
use tapline_topology::EdgeKind;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::Gather;

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    for &id in gather.side.nodes(gather.host) {
        if let Some(vm) = network.vm(id) {
            let mut it = Entity::new(gather.vm_key(vm.name()), None, vm.name());
            it.at = vm.place();
            it.set("name", Class::Cosmetic, Some(vm.name().to_owned()), vm.place());
            it.set_fact("uuid", Class::Config, vm.uuid.as_ref());
            it.set_fact("nova name", Class::Cosmetic, vm.nova_name.as_ref());
            it.set_fact("id", Class::Renumbered, vm.data.id.as_ref());
            if let Some(active) = vm.active {
                let told = vm.state.as_ref().map_or("", |state| state.value.as_str());
                let is_paused = told.contains("paused") || told.contains("suspended");
                let words = match (active, is_paused) {
                    (_, true) => "paused",
                    (true, false) => "running",
                    (false, false) => "off",
                };
                let at = vm.state.as_ref().map(|state| state.evidence);
                it.set_link("state", Some(words.to_owned()), at, words != "running");
            }
            gather.view.add(it);
        }
        add_nic(gather, id);
    }
    if gather.is_whole(&Netns::Root, Topic::Domains) {
        gather.view.cover(Kind::Vm, "");
    }
    cover_nics(gather);
}

fn add_nic(gather: &mut Gather<'_, '_, '_>, id: tapline_topology::NodeId) {
    let network = gather.side.network;
    let Some(nic) = network.vm_nic(id) else { return };
    let Some(vm) = network.vm(nic.vm) else { return };
    let target = nic.target.as_ref().map(|target| {
        let (_, name) = gather.device(&Netns::Root, &target.value);
        name.to_owned()
    });
    let mac = nic.mac.as_ref().map(|mac| mac.value.to_string());
    let Some(own) = mac.or_else(|| target.clone()) else { return };
    let place = gather.vm(vm.name()).to_owned();
    let shown = target.clone().unwrap_or_else(|| own.clone());
    let mut it = Entity::new(
        Key::new(Kind::VmNic, place, own),
        None,
        format!("{}/{shown}", gather.vm(vm.name())),
    );
    it.at = nic.place();
    it.owners = vec![gather.vm_key(vm.name())];
    let at = nic.target.as_ref().map(|target| target.evidence);
    it.set_known("device", Class::Config, target, at);
    it.set_fact("bridge", Class::Config, nic.bridge.as_ref());
    it.set_fact("type", Class::Config, nic.kind.as_ref());
    it.set_fact("interface id", Class::Config, nic.interface_id.as_ref());
    if let Some(xml) = nic.xml {
        let evidence = |span| Some(tapline_core::span::Evidence { source: xml.source, span });
        let xml = xml.record;
        for (name, value) in [
            ("model", xml.model.as_ref()),
            ("network", xml.network.as_ref()),
            ("link", xml.link_state.as_ref()),
            ("virtual port", xml.virtualport.as_ref()),
        ] {
            let text = value.map(|value| value.value.to_string());
            let at = value.map_or(evidence(xml.at), |value| evidence(value.span));
            let is_cut = name == "link" && text.as_deref() == Some("down");
            it.set(name, Class::Config, text, at);
            if is_cut && let Some(value) = it.values.get_mut("link") {
                value.is_cut = true;
            }
        }
        let mtu = xml.mtu.as_ref();
        let at = mtu.map_or(evidence(xml.at), |mtu| evidence(mtu.span));
        it.set("mtu", Class::Config, mtu.map(|mtu| mtu.value.to_string()), at);
        let vlans: Vec<String> = xml.vlans.iter().map(|vlan| vlan.value.to_string()).collect();
        let words = (!vlans.is_empty()).then(|| vlans.join(", "));
        it.set("vlans", Class::Config, words, evidence(xml.at));
    }
    let attached: BTreeSet<String> = network
        .topology
        .out(id, EdgeKind::AttachesVm)
        .into_iter()
        .filter_map(|(at, _)| network.netdev(at))
        .map(|device| gather.device_word(device.netns(), device.name()))
        .collect();
    if !attached.is_empty() {
        let words = attached.into_iter().collect::<Vec<_>>().join(", ");
        it.set("plugged into", Class::Config, Some(words), nic.place());
    }
    gather.view.add(it);
}

/// The XML of a VM shows all of its NICs.
fn cover_nics(gather: &mut Gather<'_, '_, '_>) {
    let mut whole: Vec<String> = Vec::new();
    for (source, batch) in gather.side.texts(gather.host) {
        let Batch::Domains(domains) = batch else { continue };
        if !gather.side.is_complete(source.id) {
            continue;
        }
        let names = domains.iter().filter_map(|domain| domain.name.as_ref());
        whole.extend(names.map(|name| gather.vm(name).to_owned()));
    }
    for vm in whole {
        gather.view.cover(Kind::VmNic, vm);
    }
}
