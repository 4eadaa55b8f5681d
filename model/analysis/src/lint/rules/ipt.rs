//! Rules about packet filters.
pub(crate) mod bridge_nf_off;
pub(crate) mod conntrack_near_full;
pub(crate) mod ct_zone_shared;
pub(crate) mod forward_drop_hits_bridge;
pub(crate) mod sg_chain_missing;
