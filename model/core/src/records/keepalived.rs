//! Virtual routers of keepalived: its configuration, and the state that neutron writes down.
use std::net::IpAddr;

use serde::Serialize;

use super::Field;
use crate::Name;
use crate::span::{At, Span};

/// `ha_confs/ROUTER/state`: what this node is for a highly available router of neutron.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct HaState {
    /// The line.
    #[serde(skip)]
    pub at: Span,
    /// UUID of the router, from the path.
    pub router: Option<Name>,
    /// `primary` (`master` before Wallaby), `backup`, `fault`, `unknown`.
    pub state: At<Name>,
}

impl HaState {
    /// Whether this node holds the addresses.
    pub fn is_primary(&self) -> bool {
        matches!(self.state.as_str(), "primary" | "master")
    }
}

/// One `vrrp_instance` of `keepalived.conf`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VrrpInstance {
    /// The `vrrp_instance` line.
    #[serde(skip)]
    pub at: Span,
    /// UUID of the router of neutron, from the path.
    pub router: Option<Name>,
    /// Its name.
    pub name: At<Name>,
    /// State that it starts with: `BACKUP`, `MASTER`.
    pub state: Option<At<Name>>,
    /// Device that carries the protocol: `ha-…`.
    pub interface: Option<At<Name>>,
    /// VRID: unique among those on one network.
    pub virtual_router_id: Option<At<u8>>,
    /// The highest wins.
    pub priority: Option<At<u8>>,
    /// Addresses in the advertisements.
    pub virtual_ipaddress: Vec<VrrpAddress>,
    /// Addresses that come and go with them but are not advertised.
    pub virtual_ipaddress_excluded: Vec<VrrpAddress>,
    /// Routes that come and go with them, as written.
    pub virtual_routes: Vec<At<Name>>,
    /// `track_interface`, `advert_int`, `garp_master_delay`, …; a line within a block has the name
    /// of the block for a key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<Field>,
}

/// One virtual address.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct VrrpAddress {
    /// The address.
    pub address: At<IpAddr>,
    /// Prefix length; `None` where none is written.
    pub prefix_len: Option<u8>,
    /// Device that gets it; `None` is the interface of the instance.
    pub dev: Option<At<Name>>,
    /// `scope link`, `no_track`, …: the rest of the line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other: Vec<At<Name>>,
}
