//! Rules about veth pairs.
pub(crate) mod veth_peer_broken;
