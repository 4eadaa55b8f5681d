//! Flows of the bridges of Open vSwitch, as far as somebody set them: what bridges learnt is left
//! out.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::records::openflow::{Action, Flow, TableRef};
use tapline_network::flows::{self, Dump};

use super::super::entity::{Class, Counter, Entity, Key, Kind};
use super::super::gather::Gather;
use super::flow_text::{Words, macs};

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    let bridges: Vec<_> = network.ovs_bridges_of(gather.host).collect();
    for bridge in bridges {
        let dumps = network.flows().of(gather.host, bridge.name());
        // `ovs-appctl` tells neither timeouts nor all names of fields: where `ovs-ofctl` was asked too,
        // its answer is the one that other captures have.
        let by_ofctl = |dump: &&Dump<'_>| gather.side.program_of(dump.source) == "ovs-ofctl";
        let Some(dump) = dumps.iter().find(by_ofctl).or(dumps.first()) else { continue };
        let learnt = learnt_by(&dump.flows);
        let mut words = Words::of(gather, bridge);
        let is_set = |flow: &&Flow| {
            let where_learnt = (flow.table.value.clone(), Some(flow.priority.value));
            flow.hard_timeout.is_none()
                && flow.idle_timeout.is_none()
                && !learnt.contains(&where_learnt)
        };
        let flows: Vec<&Flow> = dump.flows.iter().copied().filter(is_set).collect();
        words.learn_conjunctions(&flows);
        let place = gather.port(bridge.name()).to_owned();
        let mut all: Vec<Entity> = Vec::with_capacity(flows.len());
        for flow in flows {
            let at = Some(dump.line(flow));
            let mut ports = BTreeSet::new();
            let matches = words.matches(flow, &mut ports);
            let from: Vec<String> = ports.iter().cloned().collect();
            let actions = words.actions(flow, &mut ports);
            let table = &flow.table.value;
            let id = format!("table={table},priority={},{matches}", flow.priority.value);
            let name = format!("{place} {id}");
            let mut it = Entity::new(Key::new(Kind::Flow, place.clone(), id), None, name);
            it.at = at;
            // What is dropped is a fault that is counted.
            if let (true, Some(value)) = (actions == "drop", flow.n_packets) {
                it.counters.push(Counter {
                    name: "n_packets".to_owned(),
                    program: String::new(),
                    value,
                    at: dump.line(flow),
                    age: flow.duration,
                });
            }
            it.set("actions", Class::Config, Some(actions), at);
            // Whose packets it is about, else to whom it sends them.
            let of: Vec<&String> =
                if from.is_empty() { ports.iter().collect() } else { from.iter().collect() };
            it.owners =
                of.into_iter().map(|port| Key::new(Kind::OvsPort, "", port.as_str())).collect();
            it.mentions = ports.into_iter().collect();
            it.mentions.extend(macs(flow));
            all.push(it);
        }
        merge(gather, all);
        gather.view.cover(Kind::Flow, place);
    }
}

/// Where flows learn others: the table and the priority of these.
fn learnt_by(all: &[&Flow]) -> BTreeSet<(TableRef, Option<u32>)> {
    let actions = all.iter().flat_map(|flow| flows::actions(flow));
    actions
        .filter_map(|one| match &one.action {
            Action::Learn(learn) => {
                Some((learn.table.clone().unwrap_or(Flow::DEFAULT_TABLE), learn.priority))
            }
            _ => None,
        })
        .collect()
}

/// Flows that only differ in what has no lasting name, as conjunctions, are one thing.
fn merge(gather: &mut Gather<'_, '_, '_>, all: Vec<Entity>) {
    let mut by_key: BTreeMap<Key, Entity> = BTreeMap::new();
    for it in all {
        match by_key.get_mut(&it.key) {
            None => {
                by_key.insert(it.key.clone(), it);
            }
            Some(known) => {
                let more = it.values.get("actions").and_then(|value| value.text.clone());
                if let Some(value) = known.values.get_mut("actions") {
                    let mut both: BTreeSet<String> = value.text.iter().cloned().collect();
                    both.extend(more);
                    value.text = Some(both.into_iter().collect::<Vec<_>>().join(" | "));
                }
            }
        }
    }
    for it in by_key.into_values() {
        gather.view.add(it);
    }
}
