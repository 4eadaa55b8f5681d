//! Rules about MACs.
pub(crate) mod duplicate_mac;
