//! Records of all hosts and namespaces, joined into one graph.
//!
//! [`build`] cannot fail: what cannot be joined stays a node without the edge, and why is kept.
//! Joins go by identity, (host, namespace, index) and (host, namespace, name); MACs, addresses and
//! name patterns are weaker and only add up.
pub mod chain;
pub mod coverage;
pub mod graph;
mod keys;
mod link;
pub mod names;
mod presence;

pub use coverage::{Coverage, Presence, Topic};
pub use graph::{Edge, EdgeKind, Node, NodeData, NodeId, Topology};

use tapline_core::capture::Snapshot;

/// Joins what was read into one topology.
pub fn build(snapshot: &Snapshot) -> Topology<'_> {
    link::run(snapshot)
}
