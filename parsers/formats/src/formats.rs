//! The formats, one file each.
pub(crate) mod brctl_show;
pub(crate) mod ethtool;
pub(crate) mod ethtool_s;
pub(crate) mod ip_netns;
pub(crate) mod ovs_vsctl_show;
pub(crate) mod ip_route;
mod virsh;
pub(crate) mod virsh_list;
