//! Rules about bonds.
pub(crate) mod bond_degraded;
