//! Rules about network namespaces.
pub(crate) mod dhcp_ns_broken;
pub(crate) mod ha_router_active_count;
pub(crate) mod netns_handle_stale;
pub(crate) mod router_no_default_route;
