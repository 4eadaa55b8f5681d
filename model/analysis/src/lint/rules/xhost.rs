//! Rules about several hosts together.
pub(crate) mod network_segment_mismatch;
pub(crate) mod unknown_tunnel_peers;
