//! The linkers, one per relation, and their order.
//!
//! Hosts are done one after another, in their order, so that ids are those of a host in one run:
//! the host, its namespaces, devices, OVS, virtual machines, then what hangs on these. Tunnels
//! come last: they are the only relation between hosts.
mod address;
mod bridge;
mod covered;
mod device;
mod functions;
mod host;
mod hybrid;
mod kinds;
mod logical;
mod netdev;
mod only_up;
mod ovs;
mod patch;
mod route;
mod stacked;
mod tunnel;
mod veth;
mod vm;

use tapline_core::capture::{HostId, Snapshot, Source};
use tapline_core::records::Batch;
use tapline_core::span::SourceId;

use crate::graph::Topology;
use crate::machine::{self, Machines};

/// The texts of one host with what was read from them: the complete ones, then the others, each in
/// the order of the capture.
pub(crate) struct Texts<'a> {
    /// The host.
    pub(crate) host: HostId,
    /// The whole snapshot.
    pub(crate) snapshot: &'a Snapshot,
    /// Its texts.
    pub(crate) all: Vec<(&'a Source, &'a Batch)>,
}

impl<'a> Texts<'a> {
    /// The texts that have records of one family, picked by `pick`.
    pub(crate) fn of<T: 'a>(
        &self,
        pick: impl Fn(&'a Batch) -> Option<&'a [T]>,
    ) -> Vec<(&'a Source, &'a [T])> {
        self.all
            .iter()
            .filter_map(|&(source, batch)| Some((source, pick(batch)?)))
            .filter(|(_, records)| !records.is_empty())
            .collect()
    }

    /// Whether a text shows all that its command had to say.
    pub(crate) fn is_complete(&self, source: SourceId) -> bool {
        self.snapshot.completeness(source).is_complete()
    }
}

/// A picker for [`Texts::of`]: the records of one variant of [`Batch`].
macro_rules! records {
    ($variant:ident) => {
        |batch| match batch {
            tapline_core::records::Batch::$variant(all) => Some(all.as_slice()),
            _ => None,
        }
    };
}
use records;

/// Builds the nodes, then the edges.
pub(crate) fn run<'a>(snapshot: &'a Snapshot, said: &[Vec<String>]) -> Topology<'a> {
    let mut topology = Topology::new(snapshot);
    let mut hosts: Vec<Texts<'_>> = (0..snapshot.captured.hosts.len())
        .filter_map(|at| u32::try_from(at).ok())
        .map(|at| Texts { host: HostId(at), snapshot, all: Vec::new() })
        .collect();
    for (source, reading) in snapshot.iter() {
        if let Some(texts) = hosts.get_mut(source.host.0 as usize) {
            texts.all.push((source, &reading.records));
        }
    }
    for texts in &mut hosts {
        // The first text that knows a value gives it: those that were cut off come last.
        texts.all.sort_by_cached_key(|it| !snapshot.completeness(it.0.id).is_complete());
    }
    for texts in &hosts {
        covered::fill(&mut topology, texts);
        host::link(&mut topology, texts);
        netdev::link(&mut topology, texts);
        ovs::link(&mut topology, texts);
        kinds::link(&mut topology, texts);
        bridge::link(&mut topology, texts);
        hybrid::devices(&mut topology, texts);
        device::link(&mut topology, texts);
        patch::link(&mut topology, texts);
        veth::link(&mut topology, texts);
        hybrid::link(&mut topology, texts);
        stacked::link(&mut topology, texts);
        only_up::link(&mut topology, texts);
        vm::link(&mut topology, texts);
        functions::link(&mut topology, texts);
        address::link(&mut topology, texts);
        route::link(&mut topology, texts);
    }
    topology.said = said.to_vec();
    topology.machines = Machines::new(&snapshot.captured.hosts, &machine::marks(&topology), said);
    tunnel::link(&mut topology, &hosts);
    logical::link(&mut topology);
    topology
}
