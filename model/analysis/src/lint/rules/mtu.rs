//! Rules about MTU.
pub(crate) mod overlay_mtu_exceeds_underlay;
