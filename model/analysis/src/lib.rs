//! Questions to the topology.
pub mod diff;
pub mod lint;
