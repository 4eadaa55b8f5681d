//! Rules about MTU.
pub(crate) mod mtu_exceeds_lower_device;
pub(crate) mod mtu_step_in_chain;
pub(crate) mod mtu_too_small;
pub(crate) mod overlay_mtu_exceeds_underlay;
pub(crate) mod underlay_mtu_differs;
