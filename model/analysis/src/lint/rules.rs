//! The rules, sorted by code.
use super::Rule;

/// All rules, sorted by code.
pub static ALL: &[&Rule] = &[];
