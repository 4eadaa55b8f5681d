//! Rules about Linux bridges.
pub(crate) mod hybrid_chain_broken;
