//! Rules about NICs.
pub(crate) mod link_flapping;
pub(crate) mod lro_on_forwarding;
pub(crate) mod nic_drop_counters;
pub(crate) mod nic_duplex_speed;
pub(crate) mod nic_error_counters;
pub(crate) mod promisc_unexpected;
pub(crate) mod sriov_vf_misconfig;
pub(crate) mod uplink_link_down;
