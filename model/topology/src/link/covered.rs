//! Coverage: which question each text answers, and how well.
mod bridges;
mod cut;

use std::collections::BTreeMap;

use tapline_core::capture::{Completeness, Source};
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRow;
use tapline_core::request::{Request, Topic};
use tapline_core::span::SourceId;

use super::Texts;
use crate::coverage::Coverage;
use crate::graph::Topology;

/// Fills the coverage of one host.
pub(crate) fn fill(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let part = Completeness::Partial("the command asked for a part".to_owned());
    let mut ovs_tables: BTreeMap<&str, SourceId> = BTreeMap::new();
    for &(source, batch) in &texts.all {
        if is_of_another_database(&source.request, batch) {
            continue;
        }
        let completeness = texts.snapshot.completeness(source.id);
        let picked = lacks_loopback(batch);
        for netns in namespaces(source, batch) {
            for (topic, whole) in source.request.topics() {
                // All of one bridge or one domain is a part of what the host has of them.
                let verdict = if whole && !picked && topic.placeholder().is_none() {
                    completeness.clone()
                } else {
                    completeness.clone().and(part.clone())
                };
                topology.coverage.entry(texts.host, &netns, topic).add(source.id, &verdict);
            }
        }
        if completeness.is_complete()
            && let Some(table) = whole_table(&source.request)
        {
            ovs_tables.entry(table).or_insert(source.id);
        }
    }
    // Three tables together are as good as `ovs-vsctl show`.
    if let (Some(&bridge), Some(&port), Some(&interface)) =
        (ovs_tables.get("Bridge"), ovs_tables.get("Port"), ovs_tables.get("Interface"))
    {
        let coverage = topology.coverage.entry(texts.host, &Netns::Root, Topic::Ovs);
        for source in [bridge, port, interface] {
            coverage.add(source, &Completeness::Complete);
        }
    }
    domain_xml(topology, texts);
    bridges::fill(topology, texts);
    cut::doubt_lists(topology, texts);
}

/// The namespaces that a text is about: that of its command, or those that its headings name.
fn namespaces(source: &Source, batch: &Batch) -> Vec<Netns> {
    if let Batch::Links(links) = batch {
        let mut all: Vec<Netns> = links.iter().filter_map(|link| link.netns.clone()).collect();
        if !all.is_empty() {
            all.sort();
            all.dedup();
            return all;
        }
    }
    vec![source.netns.clone()]
}

/// Whether a listing lacks the loopback, which every namespace has: somebody picked lines.
fn lacks_loopback(batch: &Batch) -> bool {
    matches!(batch, Batch::Links(links)
        if !links.is_empty() && links.iter().all(|link| link.name.value != "lo"))
}

/// Whether the row of OVS itself was asked for and is not there: another database than that of
/// vswitchd has none of its tables.
fn is_of_another_database(request: &Request, batch: &Batch) -> bool {
    let is_vswitch = match batch {
        Batch::Ovs(rows) => rows.iter().any(|row| matches!(row.row, OvsRow::OpenVswitch(_))),
        Batch::Nothing => false,
        _ => true,
    };
    request.is_whole(Topic::OvsDatabase) && !is_vswitch
}

/// The table of OVS, where all of its rows and columns were asked for.
fn whole_table(request: &Request) -> Option<&str> {
    let is_ovs = request
        .topics()
        .any(|(topic, _)| matches!(topic, Topic::Ovs | Topic::OvsPorts | Topic::OvsInterfaces));
    request.table.as_deref().filter(|_| is_ovs && !request.filtered)
}

/// The XML of domains is complete where a complete list names only domains that have one.
fn domain_xml(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let mut listed = Vec::new();
    let complete = topology.coverage.is_complete(texts.host, &Netns::Root, Topic::Domains);
    let mut named = Vec::new();
    for &(source, batch) in &texts.all {
        match batch {
            Batch::DomainStates(rows) => {
                listed.extend(rows.iter().filter_map(|row| Some(row.name.as_ref()?.as_str())));
            }
            // A NIC may stand where the text was cut off.
            Batch::Domains(all) if texts.is_complete(source.id) => {
                named.extend(all.iter().filter_map(|it| Some(it.name.as_ref()?.as_str())));
            }
            _ => {}
        }
    }
    named.sort_unstable();
    if complete && listed.iter().all(|listed| named.binary_search(listed).is_ok()) {
        let domains = topology.coverage.of(texts.host, &Netns::Root, Topic::Domains).clone();
        let coverage = topology.coverage.entry(texts.host, &Netns::Root, Topic::DomainXml);
        if let Coverage::Partial(sources) = coverage {
            *coverage = Coverage::Complete(std::mem::take(sources));
        } else if listed.is_empty() {
            // No domain at all: the list itself says that there is no XML.
            *coverage = domains;
        }
    }
}
