//! Devices that share another one: macvlan and macvtap (drivers/net/macvlan.c), ipvlan (drivers/net/ipvlan).
use tapline_core::ids::Mac;
use tapline_core::records::link::LowerRef;
use tapline_topology::graph::NetdevKind;
use tapline_topology::{EdgeKind, NodeId, Topic};

use super::device::{Device, mac_of};
use super::{At, Reason, Walk, Way};
use crate::truth::Truth;

impl<'a> Walk<'_, '_, 'a> {
    /// A macvlan sends: to another on the same device, where both are in mode `bridge`, and else out by
    /// the device below (`macvlan_queue_xmit`).
    pub(super) fn send_macvlan(&mut self, mut way: Way, device: Device<'a>) {
        let place = self.place(device.id);
        let needs = vec![Topic::LinkDetails.command(device.netns())];
        let lower = self.network.topology.out(device.id, EdgeKind::StackedOn);
        let Some(&(lower, _)) = lower.first() else {
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        };
        let mut siblings = self.upper_macvlans(lower);
        siblings.retain(|other| other.id != device.id);
        let wanted = way.packet.mac_destination();
        let of_lower = self.device(lower).and_then(mac_of);
        if device.kind == NetdevKind::Ipvlan && wanted.is_some() && wanted == of_lower {
            // All have this MAC; the address tells who is meant.
            self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
            return;
        }
        let sibling = siblings.iter().find(|other| wanted.is_some() && mac_of(**other) == wanted);
        let before = way.packet.clone();
        let mut hop = self.device_hop(device, "to the device below");
        hop.input = Some(device.name().into());
        let both = sibling.map(|other| (*other, is_bridged(device).and(is_bridged(*other))));
        match both {
            Some((sibling, Truth::Yes)) => {
                hop.output = Some(sibling.name().into());
                self.hop(&mut way, &before, hop);
                self.go(way, At::Receive(sibling.id));
                return;
            }
            Some((_, Truth::Maybe)) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
                return;
            }
            Some((_, Truth::No)) | None => {}
        }
        let near: Vec<_> = siblings
            .iter()
            .map(|other| (*other, is_bridged(device).and(is_bridged(*other))))
            .filter(|(_, hears)| *hears != Truth::No)
            .collect();
        if way.packet.is_multicast() == Some(true) && !near.is_empty() {
            // Siblings get a copy, and so does the wire.
            self.hop(&mut way, &before, hop);
            self.copies(&mut way);
            for (sibling, hears) in near {
                let mut copy = Self::branch(&way, format!("to {}", sibling.name()));
                if hears == Truth::Yes {
                    self.go(copy, At::Receive(sibling.id));
                } else {
                    let (place, needs) = (place.clone(), needs.clone());
                    self.unknown(&mut copy, place, Reason::NotCaptured, needs);
                }
            }
            let copy = Self::branch(&way, format!("out by {}", self.name(lower)));
            self.go(copy, At::Send(lower));
            return;
        }
        hop.output = Some(self.name(lower));
        self.hop(&mut way, &before, hop);
        self.go(way, At::Send(lower));
    }

    /// Who on the host a frame is for that leaves it by a wire: the device itself, or a macvlan on it. No
    /// switch sends a frame back by the port that it came by, so a device and its macvlans do not reach
    /// each other, nor do macvlans in other modes than `bridge`.
    pub(super) fn find_behind_wire(&self, way: &Way, wire: Device<'a>) -> Option<Device<'a>> {
        let untagged = way.packet.vlans().is_some_and(|vlans| vlans.is_empty());
        let wanted = way.packet.mac_destination().filter(|mac| untagged && !mac.is_multicast())?;
        let bond = self
            .network
            .master(wire.id)
            .filter(|master| matches!(master.kind, NetdevKind::Bond | NetdevKind::Team));
        [Some(wire), bond].into_iter().flatten().find_map(|below| {
            let mut all = std::iter::once(below).chain(self.upper_macvlans(below.id));
            all.find(|device| mac_of(*device) == Some(wanted))
        })
    }

    /// Hands a frame that a device received to what shares it. Gives it back where it is for the device
    /// itself, to which a copy of what goes to all comes too (`macvlan_handle_frame`).
    pub(super) fn hand_to_uppers(&mut self, mut way: Way, device: Device<'a>) -> Option<Way> {
        let uppers = self.upper_macvlans(device.id);
        let loose = self.find_loose(device);
        let place = self.place(device.id);
        let wanted = way.packet.mac_destination();
        let to_all = way.packet.is_multicast() == Some(true);
        let takes = |upper: &&Device<'a>| {
            let has_mac = wanted.is_some() && mac_of(**upper) == wanted;
            // It has the device for itself.
            has_mac || !to_all && mode_of(**upper) == Some("passthru")
        };
        if let Some(upper) = uppers.iter().find(takes) {
            self.go(way, At::Receive(upper.id));
            return None;
        }
        let to = way.packet.destination();
        let has_address = |upper: &Device<'a>| {
            self.network.addresses_of(upper.id).iter().any(|address| Some(address.ip) == to)
        };
        // An ipvlan has the MAC of the device, and is known by its address.
        let ipvlans = self.find_ipvlans(device.id);
        if wanted.is_some() && wanted == mac_of(device) {
            if let Some(upper) = ipvlans.iter().find(|upper| has_address(upper)) {
                self.go(way, At::Receive(upper.id));
                return None;
            }
            let meant = loose.iter().find(|upper| {
                upper.kind != NetdevKind::Macvlan && mac_of(**upper) == wanted && has_address(upper)
            });
            if let Some(upper) = meant {
                self.lost_sight_of(&mut way, *upper, place);
                return None;
            }
        } else if !to_all
            && let Some(upper) = loose.iter().find(|upper| is_perhaps(**upper, wanted))
        {
            self.lost_sight_of(&mut way, *upper, place);
            return None;
        }
        if !to_all {
            return Some(way);
        }
        let perhaps = loose.into_iter().find(|upper| is_shared(*upper) || has_address(upper));
        let all: Vec<_> = uppers.into_iter().chain(ipvlans).collect();
        if all.is_empty() && perhaps.is_none() {
            return Some(way);
        }
        self.copies(&mut way);
        for upper in all {
            let copy = Self::branch(&way, format!("to {}", upper.name()));
            self.go(copy, At::Receive(upper.id));
        }
        if let Some(upper) = perhaps {
            let mut copy = Self::branch(&way, format!("perhaps to {}", upper.name()));
            self.lost_sight_of(&mut copy, upper, place);
        }
        Some(Self::branch(&way, "to the device itself"))
    }

    /// It may be for a device of which no text tells for certain what it stands on.
    fn lost_sight_of(&mut self, way: &mut Way, upper: Device<'a>, place: super::Place) {
        let needs = vec![Topic::LinkDetails.command(upper.netns())];
        self.unknown(way, place, Reason::NotCaptured, needs);
        if let Some(super::Node { part: super::Part::End(end), .. }) = self.tree.nodes.last_mut() {
            end.text = format!("no text tells on which device {} stands", upper.name());
        }
    }

    fn upper_macvlans(&self, lower: NodeId) -> Vec<Device<'a>> {
        self.uppers_of(lower, &[NetdevKind::Macvlan, NetdevKind::Macvtap])
    }

    fn find_ipvlans(&self, lower: NodeId) -> Vec<Device<'a>> {
        self.uppers_of(lower, &[NetdevKind::Ipvlan])
    }

    fn uppers_of(&self, lower: NodeId, kinds: &[NetdevKind]) -> Vec<Device<'a>> {
        let upper = self.network.topology.into(lower, EdgeKind::StackedOn);
        let all = upper.into_iter().filter_map(|(id, _)| self.network.netdev(id));
        all.filter(|device| kinds.contains(&device.kind)).collect()
    }

    /// The devices of a host that may share a device, for all that texts tell.
    fn find_loose(&self, device: Device<'a>) -> Vec<Device<'a>> {
        let carries = matches!(
            device.kind,
            NetdevKind::Physical
                | NetdevKind::Bond
                | NetdevKind::Team
                | NetdevKind::Vlan
                | NetdevKind::Bridge
                | NetdevKind::Veth
                | NetdevKind::Dummy
                | NetdevKind::Unknown
        );
        if !carries {
            return Vec::new();
        }
        let may = |upper: &Device<'a>| {
            if upper.id == device.id || upper.stub || !may_share(*upper) {
                return false;
            }
            let below = self.network.topology.out(upper.id, EdgeKind::StackedOn);
            if let Some((lower, _)) = below.first() {
                return *lower == device.id && upper.kind == NetdevKind::Unknown;
            }
            let same = upper.netns() == device.netns();
            match upper.lower.as_ref().map(|lower| &lower.value) {
                Some(LowerRef::Name(name)) => same && *name == device.name(),
                Some(LowerRef::Index(index)) => {
                    device.index.as_ref().is_none_or(|own| own.value == *index)
                }
                Some(LowerRef::None) | None => true,
            }
        };
        self.network.netdevs_of(device.host).filter(may).collect()
    }
}

/// Whether it is known to share the device that it stands on.
fn is_shared(device: Device<'_>) -> bool {
    matches!(device.kind, NetdevKind::Macvlan | NetdevKind::Macvtap | NetdevKind::Ipvlan)
}

/// Whether a device may be one that shares another: it is, or nothing tells its kind.
fn may_share(device: Device<'_>) -> bool {
    is_shared(device) || device.kind == NetdevKind::Unknown
}

/// Whether a frame to a MAC may be for a device.
fn is_perhaps(device: Device<'_>, wanted: Option<Mac>) -> bool {
    match mac_of(device) {
        Some(mac) => wanted == Some(mac),
        None => is_shared(device),
    }
}

fn mode_of(device: Device<'_>) -> Option<&str> {
    let mut records = device.data.records.iter();
    records.find_map(|seen| Some(seen.record.kind_data.mode.as_ref()?.value.as_str()))
}

fn is_bridged(device: Device<'_>) -> Truth {
    Truth::from(mode_of(device).map(|mode| mode == "bridge"))
}
