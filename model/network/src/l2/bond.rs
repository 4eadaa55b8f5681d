//! Whether a bond of the kernel sends by any of its members.
use tapline_core::Name;
use tapline_core::need::Need;
use tapline_core::records::Field;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};

use super::{Block, Why};
use crate::{Answer, Item, Network};

/// What a bond of the mode `active-backup` says of the member in use.
enum Active<'a> {
    /// There is none.
    None(Evidence),
    /// This one.
    Member(&'a Name, Evidence),
}

impl<'a> Network<'a> {
    /// What keeps a bond from sending. Without a partner in LACP it sends by one member, and only the
    /// switch knows whether it takes that.
    pub(super) fn bond_sends(&self, bond: Item<'a, Netdev<'a>>) -> Answer<Option<Block>> {
        const AT_THE_SWITCH: Need = Need::Other(
            "the state of the ports at the switch: nobody answers in LACP, and it may block them all",
        );
        if bond.kind != NetdevKind::Bond {
            return Answer::Known(None);
        }
        let mode = self.nics().bond_mode(&bond);
        match mode.as_ref().map(|mode| mode.value.as_str()) {
            Some("active-backup") => Answer::Known(self.active_member_stops(bond)),
            Some("802.3ad") => match self.nics().lacp_partner(&bond) {
                Some(partner) if partner.value.is_zero() => Answer::Unknown(vec![AT_THE_SWITCH]),
                _ => Answer::Known(None),
            },
            _ => Answer::Known(None),
        }
    }

    fn active_member_stops(&self, bond: Item<'a, Netdev<'a>>) -> Option<Block> {
        match self.active_member(bond)? {
            Active::None(evidence) => Some(Block { why: Why::NoActiveMember, evidence }),
            Active::Member(name, evidence) => {
                let members = self.members(bond.id);
                let member = members.iter().find(|member| member.name() == name.as_str())?;
                let is_dead = member.admin_up() == Some(false) || member.carrier() == Some(false);
                let stays = is_dead && self.watches_nothing(bond);
                stays.then(|| Block { why: Why::DeadMember(name.clone()), evidence })
            }
        }
    }

    /// The member of a bond of the mode `active-backup` that is in use: its file names it, or `ip -d`
    /// prints `active_slave`, which it leaves out where there is none (`bond_fill_info`,
    /// drivers/net/bonding).
    fn active_member(&self, bond: Item<'a, Netdev<'a>>) -> Option<Active<'a>> {
        if let Some((source, file)) = self.nics().bond(bond.id) {
            let active = file.active_slave.as_ref()?;
            let evidence = active.evidence(source);
            let none = active.value == "None";
            return Some(if none {
                Active::None(evidence)
            } else {
                Active::Member(&active.value, evidence)
            });
        }
        let told: Vec<_> = bond
            .data
            .records
            .iter()
            .filter_map(|seen| Some((seen.source, seen.record.kind_data.bond.as_ref()?)))
            .collect();
        let named = told.iter().find_map(|(source, bond)| {
            let active = bond.active_slave.as_ref()?;
            Some(Active::Member(&active.value, active.evidence(*source)))
        });
        if named.is_some() {
            return named;
        }
        let mode = told
            .iter()
            .find_map(|(source, bond)| bond.mode.as_ref().map(|mode| mode.evidence(*source)))?;
        let is_active = |member: &Item<'_, Netdev<'_>>| {
            member.records.iter().any(|seen| {
                let state = seen.record.slave_state.as_ref();
                state.is_some_and(|state| state.value.eq_ignore_ascii_case("active"))
            })
        };
        let none = !self.members(bond.id).iter().any(is_active);
        none.then_some(Active::None(mode))
    }

    /// Whether a bond watches neither the links of its members nor answers to ARP: it takes each link
    /// for up, and changes to no other member (bonding.rst of the kernel, `miimon`, `arp_interval`).
    fn watches_nothing(&self, bond: Item<'a, Netdev<'a>>) -> bool {
        let by_file = self.nics().bond(bond.id).map(|(_, file)| {
            let is_zero = |key| Field::find(&file.other, key).map(|interval| interval.value == "0");
            let links = is_zero("MII Polling Interval (ms)");
            // The kernel prints that of ARP only where it is used.
            let arp = is_zero("ARP Polling Interval (ms)");
            links == Some(true) && arp != Some(false)
        });
        let by_ip = bond.data.records.iter().filter_map(|seen| {
            let links = seen.record.kind_data.bond.as_ref()?.miimon?;
            let arp = seen.record.other.find("arp_interval");
            Some(links == 0 && arp.is_some_and(|interval| interval.value == "0"))
        });
        let mut all = by_file.into_iter().chain(by_ip).peekable();
        all.peek().is_some() && all.all(|unwatched| unwatched)
    }
}
