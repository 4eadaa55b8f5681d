//! Rules about tunnels.
pub(crate) mod tun_duplicate_endpoint;
pub(crate) mod tun_duplicate_local_ip;
pub(crate) mod tun_local_ip_missing;
pub(crate) mod tun_missing_reverse;
pub(crate) mod tun_parameter_mismatch;
pub(crate) mod tun_udp_port_conflict;
