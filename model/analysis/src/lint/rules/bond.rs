//! Rules about bonds.
pub(crate) mod bond_degraded;
pub(crate) mod bond_members_inconsistent;
pub(crate) mod lacp_not_negotiated;
