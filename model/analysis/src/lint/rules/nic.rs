//! Rules about NICs.
pub(crate) mod uplink_link_down;
