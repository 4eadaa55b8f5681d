//! Rules about Linux bridges.
pub(crate) mod hybrid_chain_broken;
pub(crate) mod hybrid_leftover;
pub(crate) mod l2_loop;
