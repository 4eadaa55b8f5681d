//! Rules about VMs.
pub(crate) mod libvirt_network_address_missing;
pub(crate) mod libvirt_network_dhcp_twice;
pub(crate) mod vm_network_inactive;
pub(crate) mod vm_nic_link_down;
pub(crate) mod vm_on_two_hosts;
pub(crate) mod vm_port_identity_mismatch;
pub(crate) mod vm_source_missing;
pub(crate) mod vm_target_missing;
pub(crate) mod vm_target_wrong_bridge;
