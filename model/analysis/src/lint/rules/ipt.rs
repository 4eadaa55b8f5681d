//! Rules about packet filters.
pub(crate) mod forward_drop_hits_bridge;
