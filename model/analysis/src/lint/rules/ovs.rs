//! Rules about Open vSwitch.
pub(crate) mod ovs_controller_disconnected;
pub(crate) mod ovs_dead_vlan;
pub(crate) mod ovs_iface_error;
pub(crate) mod ovs_patch_peer_broken;
pub(crate) mod ovs_port_no_netdev;
