//! Rules about network namespaces.
pub(crate) mod dhcp_ns_broken;
pub(crate) mod dvr_fip_plumbing;
pub(crate) mod floating_ip_incomplete;
pub(crate) mod ha_router_active_count;
pub(crate) mod metadata_path_missing;
pub(crate) mod netns_handle_stale;
pub(crate) mod ns_port_not_wired;
pub(crate) mod router_forwarding_off;
pub(crate) mod router_no_default_route;
pub(crate) mod router_source_elsewhere;
