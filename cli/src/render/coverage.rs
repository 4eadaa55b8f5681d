//! What was captured of each host: gathered once, for all forms.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tapline_analysis::lint::{CannotTell, Report};
use tapline_core::capture::{Completeness, HostId, Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::outcome::{LineCount, Outcome};
use tapline_core::records::Batch;
use tapline_core::request::TopicOf;
use tapline_core::span::SourceId;
use tapline_topology::coverage::Coverage;
use tapline_topology::{NodeData, Topic, Topology};

/// One host.
pub(crate) struct HostCoverage<'a> {
    pub(crate) host: HostId,
    /// Every text of the host and what was read from it.
    pub(crate) texts: Vec<(&'a Source, &'a Outcome<Batch>)>,
    /// Sum of the account of lines.
    pub(crate) lines: LineCount,
    /// The namespaces, root first.
    pub(crate) namespaces: Vec<NetnsCoverage<'a>>,
    /// What rules could not decide.
    pub(crate) undecided: Vec<&'a CannotTell>,
}

/// One namespace: every question and how well it is answered.
pub(crate) struct NetnsCoverage<'a> {
    pub(crate) netns: Netns,
    pub(crate) topics: Vec<(Topic, &'a Coverage)>,
    /// Why answers that looked complete are taken for partial ones.
    doubts: BTreeMap<Topic, &'a str>,
}

impl<'a> NetnsCoverage<'a> {
    /// Why an answer is partial, and the text that is.
    pub(crate) fn partial(
        &self,
        snapshot: &Snapshot,
        topic: Topic,
        sources: &[SourceId],
    ) -> Option<(SourceId, Cow<'a, str>)> {
        let cut = sources.iter().find_map(|&id| match snapshot.completeness(id) {
            Completeness::Partial(why) if !why.is_empty() => Some((id, Cow::Owned(why))),
            _ => None,
        });
        let doubt = || {
            let why = self.doubts.get(&topic).copied().unwrap_or("the command asks for a part");
            Some((*sources.first()?, Cow::Borrowed(why)))
        };
        cut.or_else(doubt)
    }
}

/// Gathers the coverage of all hosts.
pub(crate) fn hosts<'a>(topology: &'a Topology<'_>, report: &'a Report) -> Vec<HostCoverage<'a>> {
    let snapshot = topology.snapshot;
    let ids = (0..).map(HostId).take(snapshot.captured.hosts.len());
    let mut names = named(topology);
    let mut hosts: Vec<_> = ids
        .map(|host| HostCoverage {
            host,
            texts: Vec::new(),
            lines: LineCount::default(),
            namespaces: namespaces(topology, host, names.remove(&host).unwrap_or_default()),
            undecided: report.cannot_tell.iter().filter(|tell| tell.host == host).collect(),
        })
        .collect();
    for (source, reading) in snapshot.iter() {
        if let Some(host) = hosts.get_mut(source.host.0 as usize) {
            host.texts.push((source, reading));
            host.lines.merge(reading.lines);
        }
    }
    hosts
}

/// The namespaces of every host that are nodes.
fn named(topology: &Topology<'_>) -> BTreeMap<HostId, BTreeSet<Netns>> {
    let mut names: BTreeMap<HostId, BTreeSet<Netns>> = BTreeMap::new();
    for (_, node) in topology.nodes() {
        if let (NodeData::Netns(_), Some(netns), Some(host)) = (&node.data, &node.netns, node.host)
        {
            names.entry(host).or_default().insert(netns.clone());
        }
    }
    names
}

fn namespaces<'a>(
    topology: &'a Topology<'_>,
    host: HostId,
    mut names: BTreeSet<Netns>,
) -> Vec<NetnsCoverage<'a>> {
    // Root sorts first.
    names.insert(Netns::Root);
    names.extend(topology.coverage.host(host).map(|(netns, _, _)| netns.clone()));
    let netns = names.into_iter().map(|netns| {
        let topics = Topic::ALL
            .iter()
            // What is asked of the host is asked of its root.
            .filter(|topic| netns.is_root() || topic.of() == TopicOf::Namespace)
            .map(|&topic| (topic, topology.coverage.of(host, &netns, topic)))
            .filter(|(topic, coverage)| !topic.is_special() || **coverage != Coverage::NotCaptured)
            .collect();
        let doubts = Topic::ALL
            .iter()
            .filter_map(|&topic| Some((topic, topology.coverage.doubt(host, &netns, topic)?)));
        NetnsCoverage { doubts: doubts.collect(), netns, topics }
    });
    netns.collect()
}
