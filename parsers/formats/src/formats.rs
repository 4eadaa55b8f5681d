//! The formats, one file each.
pub(crate) mod brctl_show;
pub(crate) mod domain_xml;
pub(crate) mod ethtool;
pub(crate) mod ethtool_i;
pub(crate) mod ethtool_s;
pub(crate) mod ip_link;
pub(crate) mod ip_neigh;
pub(crate) mod ip_netns;
pub(crate) mod ip_route;
pub(crate) mod ip_rule;
pub(crate) mod ovs_vsctl_list;
pub(crate) mod ovs_vsctl_show;
pub(crate) mod ovsdb_client_dump;
pub(crate) mod route;
mod virsh;
pub(crate) mod virsh_list;
