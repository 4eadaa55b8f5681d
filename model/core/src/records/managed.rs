//! Devices as their manager sees them: `networkctl status`, `nmcli device show`, `teamdctl state`.
use serde::Serialize;

use super::Field;
use crate::Name;
use crate::ids::Mac;
use crate::span::{At, Span};

/// One device.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ManagedDevice {
    /// Its first line.
    #[serde(skip)]
    pub at: Span,
    /// `networkd`, `NetworkManager`, `teamd`.
    pub manager: Name,
    /// The device; `None` where only the command names it.
    pub dev: Option<At<Name>>,
    /// What the manager takes it for: `ethernet`, `bridge`.
    #[serde(rename = "type")]
    pub kind: Option<At<Name>>,
    /// Its state in the manager's words: `routable (configured)`, `100 (connected)`.
    pub state: Option<At<Name>>,
    /// The configuration that it follows: a file of networkd, a connection of NetworkManager.
    pub configuration: Option<At<Name>>,
    /// Its MAC address.
    pub mac: Option<At<Mac>>,
    /// Its MTU.
    pub mtu: Option<At<u32>>,
    /// Addresses, as printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<At<Name>>,
    /// Gateways, as printed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gateways: Vec<At<Name>>,
    /// Other keys.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}
