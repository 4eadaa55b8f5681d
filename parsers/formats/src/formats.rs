//! The formats, one file each.
pub(crate) mod brctl_show;
pub(crate) mod ip_netns;
mod virsh;
pub(crate) mod virsh_list;
