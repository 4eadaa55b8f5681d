//! How packets move: what is known of each host, bridge, table and tunnel, and what follows from it.
//!
//! The network stands between the topology (what is joined with what) and the questions of the
//! analysis. Its answers are *known*, with evidence, or *unknown*, with the commands that would
//! decide.
#![expect(clippy::format_push_string, reason = "what traces say is short; plain code reads better")]
mod answer;
pub mod defs;
pub mod environment;
pub mod filter;
pub mod flow;
pub mod flows;
pub mod functions;
mod hooks;
mod ipsec;
mod item;
pub mod l2;
pub mod l3;
pub mod mesh;
pub mod near;
pub mod netfilter;
mod network;
pub mod nics;
pub mod overlay;
pub mod ovn;
mod ovs_switches;
pub mod path;
mod peers;
mod queues;
pub mod router;
pub mod segment;
mod state;
mod steps;
pub mod texts;
pub mod trace;
pub mod truth;
pub mod uplink;
pub mod vlans;
pub mod workloads;

pub use answer::Answer;
pub use item::Item;
pub use network::{Network, User};
pub use state::AllNeighbours;
pub use steps::{Side, Sides};
