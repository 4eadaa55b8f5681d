//! Rules of the family ovn.
pub(crate) mod ovn_bridge_mapping_broken;
pub(crate) mod ovn_chassis_identity_conflict;
pub(crate) mod ovn_controller_stopped;
pub(crate) mod ovn_encap_mismatch;
pub(crate) mod ovn_gateway_unclaimed;
pub(crate) mod ovn_load_balancer_empty;
pub(crate) mod ovn_northd_behind;
pub(crate) mod ovn_port_not_bound;
