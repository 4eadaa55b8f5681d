//! Rules about tunnels.
pub(crate) mod tun_bfd_down;
pub(crate) mod tun_blocked_by_firewall;
pub(crate) mod tun_datapath_device_missing;
pub(crate) mod tun_duplicate_endpoint;
pub(crate) mod tun_duplicate_local_ip;
pub(crate) mod tun_local_ip_missing;
pub(crate) mod tun_missing_reverse;
pub(crate) mod tun_parameter_mismatch;
pub(crate) mod tun_remote_unroutable;
pub(crate) mod tun_udp_port_conflict;
pub(crate) mod vxlan_carries_nothing;
pub(crate) mod vxlan_group_on_bridge_port;
