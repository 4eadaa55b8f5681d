//! One side of a comparison: a network with what is asked of each of its hosts, sorted once.
use std::collections::BTreeMap;

use tapline_core::capture::{HostId, Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::request::Topic;
use tapline_core::span::{Evidence, SourceId};
use tapline_network::Network;
use tapline_topology::{NodeId, Topology};

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
        Self { network, report, texts, nodes }
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
