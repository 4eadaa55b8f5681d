//! Rules about MACs.
pub(crate) mod duplicate_mac;
pub(crate) mod fdb_mac_on_wrong_port;
pub(crate) mod guest_mac_refused;
pub(crate) mod tap_guest_mac_mismatch;
