//! Rules about Linux bridges.
pub(crate) mod bridge_down;
pub(crate) mod bridge_vlan_filtering;
pub(crate) mod bridge_without_uplink;
pub(crate) mod hybrid_chain_broken;
pub(crate) mod hybrid_leftover;
pub(crate) mod isolated_from_uplinks;
pub(crate) mod l2_loop;
pub(crate) mod membership_disagreement;
pub(crate) mod stp_blocking;
