//! All rules. A rule is `rules/<family>/<id>.rs` and its page `<id>.md` beside it; it is entered in
//! its family and in [`ALL`].
use super::engine::rule::{Rule, Setting};

pub(crate) mod bond;
pub(crate) mod cap;
pub(crate) mod ipt;
pub(crate) mod k8s;
pub(crate) mod l3;
pub(crate) mod lbr;
pub(crate) mod mac;
pub(crate) mod mtu;
pub(crate) mod nic;
pub(crate) mod ns;
pub(crate) mod ovn;
pub(crate) mod ovs;
pub(crate) mod tun;
pub(crate) mod veth;
pub(crate) mod vm;
pub(crate) mod xhost;

pub(crate) use l3::gateway_unreachable::next_hops;

/// All rules, sorted by code.
pub static ALL: &[&Rule] = &[
    &bond::bond_degraded::RULE,
    &bond::lacp_not_negotiated::RULE,
    &bond::bond_members_inconsistent::RULE,
    &cap::capture_failed::RULE,
    &cap::netns_coverage::RULE,
    &cap::mixed_captures::RULE,
    &ipt::forward_drop_hits_bridge::RULE,
    &ipt::bridge_nf_off::RULE,
    &ipt::sg_chain_missing::RULE,
    &ipt::ct_zone_shared::RULE,
    &ipt::conntrack_near_full::RULE,
    &k8s::cni_subnet_mismatch::RULE,
    &k8s::calico_route_missing::RULE,
    &l3::duplicate_ip::RULE,
    &l3::gateway_unreachable::RULE,
    &l3::ip_on_enslaved_port::RULE,
    &l3::overlapping_subnets::RULE,
    &l3::ambiguous_default_route::RULE,
    &l3::gateway_neighbour_failed::RULE,
    &l3::neighbour_conflicts_with_known_mac::RULE,
    &l3::address_not_usable::RULE,
    &l3::policy_rule_to_nowhere::RULE,
    &l3::rp_filter_strict_multihomed::RULE,
    &l3::neighbour_table_near_limit::RULE,
    &l3::prefix_length_mismatch::RULE,
    &l3::infra_subnet_overlap::RULE,
    &lbr::hybrid_chain_broken::RULE,
    &lbr::l2_loop::RULE,
    &lbr::membership_disagreement::RULE,
    &lbr::bridge_down::RULE,
    &lbr::hybrid_leftover::RULE,
    &lbr::bridge_vlan_filtering::RULE,
    &lbr::stp_blocking::RULE,
    &mac::duplicate_mac::RULE,
    &mac::tap_guest_mac_mismatch::RULE,
    &mac::fdb_mac_on_wrong_port::RULE,
    &mtu::overlay_mtu_exceeds_underlay::RULE,
    &mtu::mtu_step_in_chain::RULE,
    &mtu::mtu_exceeds_lower_device::RULE,
    &mtu::underlay_mtu_differs::RULE,
    &mtu::mtu_too_small::RULE,
    &nic::uplink_link_down::RULE,
    &nic::nic_error_counters::RULE,
    &nic::nic_drop_counters::RULE,
    &nic::nic_duplex_speed::RULE,
    &nic::link_flapping::RULE,
    &nic::lro_on_forwarding::RULE,
    &nic::sriov_vf_misconfig::RULE,
    &nic::promisc_unexpected::RULE,
    &ns::dhcp_ns_broken::RULE,
    &ns::router_no_default_route::RULE,
    &ns::ha_router_active_count::RULE,
    &ns::netns_handle_stale::RULE,
    &ns::dvr_fip_plumbing::RULE,
    &ns::floating_ip_incomplete::RULE,
    &ns::metadata_path_missing::RULE,
    &ns::ns_port_not_wired::RULE,
    &ns::router_forwarding_off::RULE,
    &ovn::ovn_port_not_bound::RULE,
    &ovn::ovn_chassis_identity_conflict::RULE,
    &ovn::ovn_bridge_mapping_broken::RULE,
    &ovn::ovn_encap_mismatch::RULE,
    &ovn::ovn_gateway_unclaimed::RULE,
    &ovs::ovs_iface_error::RULE,
    &ovs::ovs_dead_vlan::RULE,
    &ovs::ovs_patch_peer_broken::RULE,
    &ovs::ovs_port_no_netdev::RULE,
    &ovs::ovs_daemon_down::RULE,
    &ovs::provider_bridge_no_uplink::RULE,
    &ovs::provider_bridge_not_patched::RULE,
    &ovs::ovs_controller_disconnected::RULE,
    &ovs::ovs_flows_not_programmed::RULE,
    &ovs::local_vlan_inconsistent::RULE,
    &ovs::ovs_port_untagged::RULE,
    &ovs::ovs_duplicate_iface_id::RULE,
    &ovs::ovs_nic_not_in_datapath::RULE,
    &ovs::ovs_ofport_invalid::RULE,
    &ovs::flow_to_nonexistent_port::RULE,
    &ovs::overlay_vlan_unmapped::RULE,
    &ovs::fail_mode_standalone::RULE,
    &ovs::ovs_leftovers::RULE,
    &tun::tun_local_ip_missing::RULE,
    &tun::tun_missing_reverse::RULE,
    &tun::tun_duplicate_local_ip::RULE,
    &tun::tun_duplicate_endpoint::RULE,
    &tun::tun_parameter_mismatch::RULE,
    &tun::tun_remote_unroutable::RULE,
    &tun::tun_blocked_by_firewall::RULE,
    &tun::tun_udp_port_conflict::RULE,
    &tun::tun_bfd_down::RULE,
    &tun::tun_datapath_device_missing::RULE,
    &veth::veth_peer_broken::RULE,
    &vm::vm_target_missing::RULE,
    &vm::vm_target_wrong_bridge::RULE,
    &vm::vm_nic_link_down::RULE,
    &vm::vm_port_identity_mismatch::RULE,
    &vm::vm_on_two_hosts::RULE,
    &vm::vm_source_missing::RULE,
    &xhost::network_segment_mismatch::RULE,
    &xhost::unknown_tunnel_peers::RULE,
];

/// The rules that ask for a setting.
pub fn asking(setting: Setting) -> impl Iterator<Item = &'static Rule> {
    ALL.iter().copied().filter(move |rule| rule.traits.asks.contains(&setting))
}

/// The rule with this code or id.
pub fn find(name: &str) -> Option<&'static Rule> {
    ALL.iter().copied().find(|it| it.code.eq_ignore_ascii_case(name) || it.id == name)
}
