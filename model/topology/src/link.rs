//! The linkers, one per relation, and their order.
use tapline_model::capture::Snapshot;

use crate::graph::Topology;

/// Builds the nodes, then the edges.
pub(crate) fn run(snapshot: &Snapshot) -> Topology<'_> {
    Topology::new(snapshot)
}
