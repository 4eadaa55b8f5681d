//! The formats, one file each.
pub(crate) mod brctl_show;
