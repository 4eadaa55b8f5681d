//! The machine itself and its namespaces.
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRow;
use tapline_core::request::Topic;
use tapline_topology::graph::NodeData;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::{Gather, place};

/// Keys of the row of OVS that count or tell the time.
const COUNTERS: &[&str] = &["ovn-nb-cfg", "ovn-nb-cfg-ts", "ovn-installed-ts", "ovn-startup-ts"];

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let host = gather.host;
    let label = gather.side.snapshot().host_label(host).to_owned();
    let mut it = Entity::new(Key::new(Kind::Host, "", ""), None, label);
    let own = gather.side.snapshot().host(host).filter(|host| host.is_named && !host.cleaned);
    it.set_known("name", Class::Config, own.map(|host| &host.name), None);
    for &id in gather.side.nodes(host) {
        let Some(node) = gather.side.network.topology.node(id) else { continue };
        if let NodeData::Host(data) = &node.data {
            it.at = node.seen.first().copied();
            it.set_fact("kernel", Class::Config, data.kernel.as_ref());
            it.set_fact("system-id", Class::Config, data.system_id.as_ref());
        }
    }
    add_database(gather, &mut it);
    gather.view.add(it);
    gather.view.cover(Kind::Host, "");
    add_namespaces(gather);
}

/// What the row of Open vSwitch itself says.
fn add_database(gather: &Gather<'_, '_, '_>, it: &mut Entity) {
    let mut texts = gather.side.texts(gather.host).to_vec();
    // What the tools print is easier to read than the file of the database.
    texts.sort_by_key(|(source, _)| source.command.path().is_some());
    for (source, batch) in texts {
        let Batch::Ovs(records) = batch else { continue };
        for record in records {
            let OvsRow::OpenVswitch(row) = &record.row else { continue };
            if !it.values.contains_key("ovs version") {
                let at = row.version.as_ref().map(|version| version.evidence(source.id));
                let version = row.version.as_ref().map(|version| &version.value);
                it.set_known("ovs version", Class::Config, version, at);
            }
            let maps = [("external_ids", &row.external_ids), ("other_config", &row.other_config)];
            for (name, map) in maps {
                // `show` prints neither.
                if map.is_empty() || it.whole.contains_key(name) {
                    continue;
                }
                if gather.side.is_complete(source.id) {
                    let first = map.first().map(|(_, value)| value.evidence(source.id));
                    it.whole.insert(name, first);
                }
                for (key, value) in map {
                    // OVN numbers the chassis anew with each start.
                    let is_counter =
                        COUNTERS.contains(&key.as_str()) || key.starts_with("ovn-chassis-idx-");
                    let class = if is_counter { Class::Noise } else { Class::Config };
                    let at = Some(value.evidence(source.id));
                    it.set(format!("{name}:{key}"), class, Some(value.value.to_string()), at);
                }
            }
        }
    }
}

fn add_namespaces(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    for netns in network.namespaces_of(gather.host) {
        let name = match netns.netns() {
            Netns::Named(_) => netns.netns(),
            // Root is always there; what has no name has a number that is given anew.
            Netns::Root | Netns::Nameless { .. } => continue,
        };
        let mut it = Entity::new(Key::new(Kind::Netns, "", place(name)), None, name.to_string());
        it.at = netns.data.listed.or(netns.place());
        it.set_fact("nsid", Class::Renumbered, netns.nsid.as_ref());
        // Those that processes keep are not in the list of `ip netns`.
        if !name.is_kept_by_ip() {
            it.class = Class::Noise;
            it.scopes.clear();
        }
        gather.view.add(it);
    }
    if gather.is_whole(&Netns::Root, Topic::NetnsList) {
        gather.view.cover(Kind::Netns, "");
    }
}
