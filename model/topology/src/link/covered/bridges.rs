//! Questions that are asked of each OVS bridge: answered where every bridge was asked.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRow;
use tapline_core::request::Topic;
use tapline_core::span::SourceId;

use super::super::Texts;
use crate::coverage::Coverage;
use crate::graph::Topology;

/// Completes the coverage of what every bridge was asked for.
pub(super) fn fill(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    if !topology.coverage.is_complete(texts.host, &Netns::Root, Topic::Ovs) {
        return;
    }
    let mut asked: BTreeMap<Topic, BTreeMap<&str, SourceId>> = BTreeMap::new();
    for &(source, _) in &texts.all {
        let Some(bridge) = source.request.object.as_deref() else { continue };
        for (topic, whole) in source.request.topics() {
            if whole && topic.placeholder() == Some("BRIDGE") && texts.is_complete(source.id) {
                asked.entry(topic).or_default().entry(bridge).or_insert(source.id);
            }
        }
    }
    let bridges = bridges(texts);
    for (topic, texts_of) in asked {
        if !bridges.is_empty() && bridges.iter().all(|bridge| texts_of.contains_key(bridge)) {
            let sources = texts_of.into_values().collect();
            *topology.coverage.entry(texts.host, &Netns::Root, topic) = Coverage::Complete(sources);
        }
    }
}

fn bridges<'a>(texts: &Texts<'a>) -> BTreeSet<&'a str> {
    let rows = texts.all.iter().filter_map(|(_, batch)| match batch {
        Batch::Ovs(rows) => Some(rows),
        _ => None,
    });
    rows.flatten()
        .filter_map(|row| match &row.row {
            OvsRow::Bridge(bridge) => Some(bridge.name.value.as_str()),
            _ => None,
        })
        .collect()
}
