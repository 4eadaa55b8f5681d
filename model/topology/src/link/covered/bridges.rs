//! Questions that are asked of each OVS bridge: answered where every bridge was asked.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::{Completeness, Source};
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRow;
use tapline_core::span::SourceId;

use super::super::Texts;
use crate::coverage::{Coverage, Topic};
use crate::graph::Topology;

/// The question that a text answers for one bridge.
fn topic(source: &Source) -> Option<(Topic, &str)> {
    const VERBS: &[(&str, Topic)] = &[
        ("dump-flows", Topic::Flows),
        ("bridge/dump-flows", Topic::Flows),
        ("show", Topic::OfPorts),
        ("dump-ports-desc", Topic::OfPorts),
        ("fdb/show", Topic::OvsFdb),
    ];
    let program = super::unprefixed(&source.command);
    if !matches!(program, "ovs-ofctl" | "ovs-appctl") {
        return None;
    }
    let args = source.command.args();
    let (at, topic) = args.iter().enumerate().find_map(|(at, word)| {
        let verb =
            VERBS.iter().find(|(verb, _)| word.replacen('.', "/", 1) == *verb || word == verb);
        verb.map(|(_, topic)| (at, *topic))
    })?;
    let mut rest = args.get(at + 1..)?.iter().filter(|it| !it.starts_with('-'));
    let bridge = rest.next()?;
    let name = bridge.rsplit('/').next().unwrap_or(bridge);
    // A flow or a port behind the bridge asks for a part.
    rest.next().is_none().then(|| (topic, name.strip_suffix(".mgmt").unwrap_or(name)))
}

/// Fills the coverage of what is asked of bridges.
pub(super) fn fill(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let mut whole: BTreeMap<Topic, BTreeMap<&str, SourceId>> = BTreeMap::new();
    let part = Completeness::Partial("other bridges were not asked".to_owned());
    for &(source, batch) in &texts.all {
        let (asked, read) = match batch {
            Batch::Flows(_) => (topic(source), Topic::Flows),
            Batch::OfSwitches(_) => (topic(source), Topic::OfPorts),
            Batch::OvsFdb(_) => (topic(source), Topic::OvsFdb),
            Batch::Nothing => match topic(source) {
                Some((topic, bridge)) => (Some((topic, bridge)), topic),
                None => continue,
            },
            _ => continue,
        };
        let completeness = texts.snapshot.completeness(source.id);
        if let Some((topic, bridge)) = asked
            && completeness.is_complete()
        {
            whole.entry(topic).or_default().entry(bridge).or_insert(source.id);
        }
        let verdict = completeness.and(part.clone());
        topology.coverage.entry(texts.host, &Netns::Root, read).add(source.id, &verdict);
    }
    if !topology.coverage.is_complete(texts.host, &Netns::Root, Topic::Ovs) {
        return;
    }
    let bridges = bridges(texts);
    for (topic, asked) in whole {
        if !bridges.is_empty() && bridges.iter().all(|it| asked.contains_key(it)) {
            let sources = asked.into_values().collect();
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
        .filter_map(|it| match &it.row {
            OvsRow::Bridge(it) => Some(it.name.value.as_str()),
            _ => None,
        })
        .collect()
}
