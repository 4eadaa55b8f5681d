//! The formats, one file each.
pub(crate) mod brctl_show;
mod virsh;
pub(crate) mod virsh_list;
