//! Front ends of the packet filter: `ufw status`, `firewall-cmd --list-all`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// What a front end says of itself, or of one of its zones.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Firewall {
    /// Its first line.
    #[serde(skip)]
    pub at: Span,
    /// `ufw`, `firewalld`.
    pub tool: Name,
    /// Whether it works: `Status: active`, `public (active)`.
    pub active: Option<At<bool>>,
    /// The zone of firewalld.
    pub zone: Option<At<Name>>,
    /// `target` of a zone: `default`, `ACCEPT`, `DROP`.
    pub target: Option<At<Name>>,
    /// What becomes of packets to this host without a rule: `deny`, `allow` (ufw, `verbose`).
    pub incoming: Option<At<Name>>,
    /// The same of packets from this host.
    pub outgoing: Option<At<Name>>,
    /// The same of packets through this host; `disabled` where it does not forward.
    pub routed: Option<At<Name>>,
    /// Devices of the zone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<At<Name>>,
    /// Services that the zone lets in.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<At<Name>>,
    /// Ports that the zone lets in: `8472/udp`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<At<Name>>,
    /// Whether packets of the zone are forwarded to others of it.
    pub forward: Option<bool>,
    /// Whether addresses are translated on the way out.
    pub masquerade: Option<bool>,
    /// Rules, as printed: `22/tcp ALLOW IN Anywhere`, `rule family="ipv4" …`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<At<Name>>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
