//! Records of all hosts and namespaces, joined into one graph.
//!
//! [`build`] cannot fail: what cannot be joined stays a node without the edge, and why is kept.
//! Joins go by identity, (host, namespace, index) and (host, namespace, name); MACs, addresses and
//! name patterns are weaker and only add up.
pub mod coverage;
pub mod graph;
pub mod key;
mod keys;
mod link;
pub mod machine;
pub mod names;
mod presence;
pub mod rows;
pub mod uplink;

pub use coverage::{Coverage, Presence, Topic};
pub use graph::{Edge, EdgeKind, Node, NodeData, NodeId, Topology};
pub use key::{CaptureKey, NodeKey, RecordId, RecordKey, Thing};
pub use machine::{MachineId, Machines};
pub use uplink::Uplink;

use tapline_core::capture::Snapshot;

/// Joins what was read into one topology.
pub fn build(snapshot: &Snapshot) -> Topology<'_> {
    link::run(snapshot, &[])
}

/// The same, where a person calls the hosts of each of these groups of names one machine.
pub fn build_saying<'a>(snapshot: &'a Snapshot, same_host: &[Vec<String>]) -> Topology<'a> {
    link::run(snapshot, same_host)
}
