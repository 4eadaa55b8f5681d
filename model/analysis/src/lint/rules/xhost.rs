//! Rules about several hosts together.
pub(crate) mod unknown_tunnel_peers;
