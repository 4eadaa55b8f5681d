//! What a Linux bridge takes from a port: not all that is for reserved addresses, and from a locked port
//! only what known MACs send (net/bridge/br_input.c).
use tapline_core::ids::Mac;
use tapline_topology::{NodeId, Topic};

use crate::Answer;
use crate::truth::Truth;

use super::device::{Device, line, reason};
use super::{Outcome, Reason, Walk, Way};

/// Addresses that bridges keep for themselves: `01:80:c2:00:00:0X`.
fn is_link_local(mac: Mac) -> bool {
    matches!(mac.0, [0x01, 0x80, 0xc2, 0x00, 0x00, last] if last < 0x10)
}

impl<'a> Walk<'_, '_, 'a> {
    /// Whether a bridge passes on what a port receives for an address that bridges keep for themselves:
    /// the group address of bridges where spanning tree is off, others as the masks of the bridge and
    /// of the port say (`br_handle_frame`, net/bridge/br_input.c). Ends the way where it does not.
    pub(super) fn passes_reserved(
        &mut self,
        way: &mut Way,
        bridge: Device<'a>,
        from: NodeId,
        wanted: Mac,
    ) -> bool {
        if !is_link_local(wanted) {
            return true;
        }
        let last = wanted.0[5];
        let of_port = self.device(from).and_then(forwarded_groups);
        let of_bridge = forwarded_groups(bridge);
        let stp = bridge.data.records.iter().find_map(|seen| {
            seen.record.kind_data.bridge.as_ref()?.stp.as_ref().map(|stp| stp.value)
        });
        let in_mask = |mask: Option<u16>| Truth::from(mask.map(|mask| mask & 1 << last != 0));
        let passes = match last {
            0 => Truth::from(stp.map(|on| !on)).or(in_mask(of_port)),
            1 => Truth::No,
            _ => in_mask(of_port).or(in_mask(of_bridge)),
        };
        let place = self.place(bridge.id);
        match passes {
            Truth::Yes => true,
            Truth::No => {
                let (outcome, reason) = (Outcome::Blackholed, Reason::ReservedMac);
                self.lost(way, outcome, reason, place, line(bridge));
                false
            }
            Truth::Maybe => {
                let needs = vec![Topic::LinkDetails.command(bridge.netns())];
                self.may_stop(way, place, Reason::ReservedMac, needs);
                true
            }
        }
    }

    /// Whether a port takes frames of the sender's MAC; ends the way where it does not.
    pub(super) fn is_let_in(&mut self, way: &mut Way, port: NodeId) -> bool {
        let Some(mac) = way.packet.mac_source() else { return true };
        let place = self.place(port);
        match self.network.lets_in(port, mac) {
            Answer::Known(None) => true,
            Answer::Known(Some(block)) => {
                let why = reason(&block.why);
                self.lost(way, Outcome::Blackholed, why, place, Some(block.evidence));
                false
            }
            Answer::Unknown(needs) => {
                self.may_stop(way, place, Reason::NotCaptured, needs);
                true
            }
        }
    }
}

/// The addresses of the reserved range that a bridge or a port passes on, one bit each.
fn forwarded_groups(device: Device<'_>) -> Option<u16> {
    let mut records = device.data.records.iter();
    let mask = records.find_map(|seen| seen.record.other.find("group_fwd_mask"))?;
    match mask.value.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => mask.value.parse().ok(),
    }
}
