//! Rules about Open vSwitch.
pub(crate) mod fail_mode_standalone;
pub(crate) mod flow_to_nonexistent_port;
pub(crate) mod local_vlan_inconsistent;
pub(crate) mod overlay_vlan_unmapped;
pub(crate) mod ovs_controller_disconnected;
pub(crate) mod ovs_daemon_down;
pub(crate) mod ovs_dead_vlan;
pub(crate) mod ovs_duplicate_iface_id;
pub(crate) mod ovs_flows_not_programmed;
pub(crate) mod ovs_iface_error;
pub(crate) mod ovs_nic_not_in_datapath;
pub(crate) mod ovs_patch_peer_broken;
pub(crate) mod ovs_port_no_netdev;
pub(crate) mod ovs_port_untagged;
pub(crate) mod provider_bridge_no_uplink;
pub(crate) mod provider_bridge_not_patched;
