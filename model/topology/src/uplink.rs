//! What an uplink is: a device by which frames may leave the host. The one definition.
//!
//! An uplink is a NIC, or what joins or divides NICs: a bond, a team, a VLAN device, or what
//! encrypts what goes by one (MACsec). A tunnel leads
//! out of the host too, but by an uplink below it; a veth leads to another namespace.
use crate::graph::{Netdev, NetdevKind, NodeId, Topology};
use crate::names;

/// Why a device is an uplink.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Uplink {
    /// Its kind is that of an uplink.
    Kind(NetdevKind),
    /// Nothing but its name tells what it is, and the name is one of a NIC. A guest may see its NIC
    /// as a tap.
    Name,
}

impl Uplink {
    /// Why a device of this name is an uplink; `None` where it is none.
    pub fn of(name: &str, device: &Netdev<'_>) -> Option<Self> {
        match device.kind {
            kind @ (NetdevKind::Physical
            | NetdevKind::Bond
            | NetdevKind::Team
            | NetdevKind::Vlan
            | NetdevKind::Macsec) => Some(Self::Kind(kind)),
            NetdevKind::Unknown | NetdevKind::Tap => {
                (names::is_nic(name) && device.lower.is_none()).then_some(Self::Name)
            }
            _ => None,
        }
    }

    /// Whether it is a NIC itself, not made of others.
    pub fn is_nic(self) -> bool {
        matches!(self, Self::Name | Self::Kind(NetdevKind::Physical))
    }
}

impl Topology<'_> {
    /// Why a device is an uplink; `None` where it is none.
    pub fn uplink(&self, device: NodeId) -> Option<Uplink> {
        Uplink::of(&self.node(device)?.name, self.netdev(device)?)
    }
}
