//! Rules about tunnels.
pub(crate) mod tun_local_ip_missing;
