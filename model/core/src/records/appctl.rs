//! What ovs-vswitchd tells of itself: `ovs-appctl bond/show`, `lacp/show`, `bfd/show`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// What a block of the output is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OvsStatusKind {
    /// A bond: `bond/show`.
    Bond,
    /// LACP on a port: `lacp/show`.
    Lacp,
    /// BFD on an interface: `bfd/show`.
    Bfd,
}

/// One block.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OvsStatus {
    /// The line with its name.
    #[serde(skip)]
    pub at: Span,
    /// What it is about.
    pub of: OvsStatusKind,
    /// Name of the port (bond, LACP) or interface (BFD).
    pub name: At<Name>,
    /// `bond_mode`, `lacp_status`, `status`, `Local Session State`, … as printed.
    pub fields: Vec<Field>,
    /// Its members.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<OvsStatusMember>,
}

/// One member of a bond.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct OvsStatusMember {
    /// Name of the interface.
    pub name: At<Name>,
    /// `enabled`, `disabled`; of LACP `current`, `expired`, `defaulted`, `attached`, `detached`.
    pub states: Vec<At<Name>>,
    /// Whether the bond sends by it: `active member`.
    pub active: bool,
    /// `may_enable`, `partner sys_id`, … as printed.
    pub fields: Vec<Field>,
}
