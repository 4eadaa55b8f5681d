//! One side of a comparison: a network with what is asked of each of its hosts, sorted once.
use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::{HostId, Snapshot, Source};
use tapline_core::host::Marks;
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::request::Topic;
use tapline_core::span::{Evidence, SourceId};
use tapline_network::Network;
use tapline_topology::{NodeId, Topology};

use super::kept::Kept;
use crate::lint::Report;

/// One side.
#[derive(Debug)]
pub struct Side<'s, 'a> {
    /// The network.
    pub network: &'s Network<'a>,
    /// What its rules found.
    pub report: &'s Report,
    texts: BTreeMap<HostId, Vec<(&'a Source, &'a Batch)>>,
    nodes: BTreeMap<HostId, Vec<NodeId>>,
    /// What was written down of each host, where the side is no capture.
    kept: Option<Vec<Kept>>,
}

impl<'s, 'a> Side<'s, 'a> {
    /// Sorts the texts and the nodes by host.
    pub fn new(network: &'s Network<'a>, report: &'s Report) -> Self {
        let topology: &'a Topology<'a> = network.topology;
        let mut texts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (source, reading) in topology.snapshot.iter() {
            texts.entry(source.host).or_default().push((source, &reading.records));
        }
        let mut nodes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, node) in topology.nodes() {
            if let Some(host) = node.host {
                nodes.entry(host).or_default().push(id);
            }
        }
        Self { network, report, texts, nodes, kept: None }
    }

    /// A side that was written down: a network of hosts of which nothing was captured, and what is known
    /// of each of them.
    pub fn of_kept(network: &'s Network<'a>, report: &'s Report, kept: Vec<Kept>) -> Self {
        Self { kept: Some(kept), ..Self::new(network, report) }
    }

    /// Whether it was written down: nothing is known of what its rules found, or of what is reached.
    pub fn is_kept(&self) -> bool {
        self.kept.is_some()
    }

    /// What was written down of a host.
    pub(super) fn kept(&self, host: HostId) -> Option<&Kept> {
        self.kept.as_ref()?.get(host.0 as usize)
    }

    /// What marks the machine of each host.
    pub(super) fn marks(&self) -> Vec<Marks> {
        let mut all = self.network.topology.marks();
        for (marks, kept) in all.iter_mut().zip(self.kept.iter().flatten()) {
            marks.nics.extend(&kept.nics);
            marks.all_nics = kept.all_nics;
        }
        all
    }

    /// The `system-id` of the Open vSwitch of a host.
    pub fn system_id(&self, host: HostId) -> Option<Name> {
        self.marks().into_iter().nth(host.0 as usize)?.system_id
    }

    /// The snapshot.
    pub fn snapshot(&self) -> &'a Snapshot {
        self.network.topology.snapshot
    }

    /// The texts of a host with their records.
    pub(super) fn texts(&self, host: HostId) -> &[(&'a Source, &'a Batch)] {
        self.texts.get(&host).map_or(&[], Vec::as_slice)
    }

    /// The nodes of a host.
    pub(super) fn nodes(&self, host: HostId) -> &[NodeId] {
        self.nodes.get(&host).map_or(&[], Vec::as_slice)
    }

    /// Whether a topic is answered whole.
    pub(super) fn is_whole(&self, host: HostId, netns: &Netns, topic: Topic) -> bool {
        self.network.topology.coverage.is_complete(host, netns, topic)
    }

    /// Whether a text shows all that its command had to say.
    pub(super) fn is_complete(&self, source: SourceId) -> bool {
        self.snapshot().completeness(source).is_complete()
    }

    /// The program that printed a line.
    pub(super) fn program(&self, at: Evidence) -> &str {
        self.program_of(at.source)
    }

    /// The program that printed a text.
    pub(super) fn program_of(&self, source: SourceId) -> &str {
        self.snapshot().source(source).map_or("", |source| source.command.program())
    }
}
