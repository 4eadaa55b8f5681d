//! Questions to the topology.
pub mod lint;
