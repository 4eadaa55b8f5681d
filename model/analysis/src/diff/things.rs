//! What is compared of a host, one sort of thing a file.
pub(super) mod address;
pub(super) mod filter;
pub(super) mod flow;
mod flow_text;
pub(super) mod host;
pub(super) mod learnt;
pub(super) mod netdev;
pub(super) mod nic;
pub(super) mod ovn;
pub(super) mod ovs;
pub(super) mod route;
pub(super) mod rule;
pub(super) mod setting;
pub(super) mod vlan;
pub(super) mod vm;
