//! Rules about addresses and routes.
pub(crate) mod address_not_usable;
pub(crate) mod ambiguous_default_route;
pub(crate) mod default_route_refused;
pub(crate) mod duplicate_ip;
pub(crate) mod gateway_neighbour_failed;
pub(crate) mod gateway_unreachable;
pub(crate) mod infra_subnet_overlap;
pub(crate) mod ip_on_enslaved_port;
pub(crate) mod neighbour_conflicts_with_known_mac;
pub(crate) mod neighbour_table_near_limit;
pub(crate) mod overlapping_subnets;
pub(crate) mod policy_rule_to_nowhere;
pub(crate) mod prefix_length_mismatch;
pub(crate) mod rp_filter_strict_multihomed;
pub(crate) mod vrf_service_unreachable;
