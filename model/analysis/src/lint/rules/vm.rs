//! Rules about virtual machines.
pub(crate) mod vm_target_missing;
pub(crate) mod vm_target_wrong_bridge;
