//! Rules about MACs.
pub(crate) mod duplicate_mac;
pub(crate) mod tap_guest_mac_mismatch;
