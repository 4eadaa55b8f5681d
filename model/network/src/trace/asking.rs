//! Whether ARP is answered: where a sender has no entry for its next hop, a request goes to all on its
//! segment, and an answer has to come back, before anything is sent. Both are packets too, which what
//! floods, filters and forwards may stop although it lets the packet itself pass.
//!
//! It is asked of who is known to have the address. Where flows answer in its place, or what becomes of
//! either packet is not known, the entry is taken for granted, as the hop says.
use std::net::IpAddr;

use tapline_core::ids::Mac;
use tapline_core::records::openflow::OfField;
use tapline_core::records::route::Family;
use tapline_topology::NodeId;

use crate::flow::Value;
use crate::hooks::frames::Hook;

use super::netfilter::Pass;
use super::packet::{ARP, mac_number};
use super::{At, End, Goal, Kind, Outcome, Packet, Query, Reason, Start, Target, Trace, Walk, Way};

/// What comes of asking.
pub(super) enum Asked {
    /// This MAC is answered.
    Answered(Mac),
    /// Nothing is.
    Unanswered(Unanswered),
    /// Nothing captured tells.
    Open,
}

/// Why ARP is not answered.
pub(super) struct Unanswered {
    /// The address that is asked for; `None` where it is not known.
    to: Option<IpAddr>,
    /// It is the answer that does not come back.
    back: bool,
    end: End,
}

/// Who asks: how its packets begin, its MAC, its address, and where an answer is for.
struct Asker {
    at: At,
    mac: Option<Mac>,
    ip: Option<IpAddr>,
    target: Target,
}

impl Walk<'_, '_, '_> {
    /// What a namespace is told that asks by a device for its next hop, which one of `owners` has.
    pub(super) fn ask(
        &mut self,
        (way, pass): (&Way, &Pass),
        output: NodeId,
        to: IpAddr,
        owners: &[Target],
    ) -> Asked {
        if self
            .heard
            .iter()
            .any(|(host, netns, ip)| *host == pass.host && *netns == pass.netns && *ip == to)
        {
            return Asked::Open;
        }
        let own = way.packet.source().filter(|source| {
            pass.input.is_none() && self.owns(pass.host, &pass.netns, *source).is_some()
        });
        let asker = Asker {
            at: At::Send(output),
            mac: self.device(output).and_then(super::device::mac_of),
            ip: own.or_else(|| self.primary(Some(output), Family::Inet)),
            target: Target::Netns(pass.host, pass.netns.clone()),
        };
        self.exchange(&asker, to, owners)
    }

    /// What a guest is told.
    pub(super) fn ask_as_guest(
        &mut self,
        nic: NodeId,
        (from, to): (Option<IpAddr>, IpAddr),
        owners: &[Target],
    ) -> Asked {
        let Some(tap) = self.tracer.tap_of(nic) else { return Asked::Open };
        let mac = self.network.vm_nic(nic).and_then(|nic| Some(nic.data.mac.as_ref()?.value));
        let at = self.at_tap(tap);
        self.exchange(&Asker { at, mac, ip: from, target: Target::Guest(nic) }, to, owners)
    }

    /// Why nothing that a guest sends to all arrives anywhere: what it sends to a next hop that is not
    /// known does neither, for it has to ask for that first.
    pub(super) fn is_cut_off(&self, nic: NodeId, from: Option<IpAddr>) -> Option<Unanswered> {
        let tap = self.tracer.tap_of(nic).filter(|_| !self.asking)?;
        let mac = self.network.vm_nic(nic).and_then(|nic| Some(nic.data.mac.as_ref()?.value));
        let mut request = Packet::new(ARP);
        request.frame.set(OfField::ArpOp, Value::of(1));
        request.frame.set(OfField::ArpTha, Value::of(0));
        request.set_source(from);
        request.set_destination(None);
        let asked = self.send_arp(self.at_tap(tap), request, mac, Mac([0xff; 6]), Goal::Anywhere);
        let end = asked.end.filter(|_| asked.verdict.reached == Some(false))?;
        Some(Unanswered { to: None, back: false, end })
    }

    /// Where what a guest sends comes in.
    fn at_tap(&self, tap: NodeId) -> At {
        if self.device(tap).is_some() { At::Receive(tap) } else { At::Switch(tap) }
    }

    fn exchange(&mut self, asker: &Asker, to: IpAddr, owners: &[Target]) -> Asked {
        if self.asking || !to.is_ipv4() || self.tracer.responder(to).is_some() {
            return Asked::Open;
        }
        let mut request = Packet::new(ARP);
        request.frame.set(OfField::ArpOp, Value::of(1));
        request.frame.set(OfField::ArpTha, Value::of(0));
        request.set_source(asker.ip);
        request.set_destination(Some(to));
        let goal = Goal::Things(owners.to_vec());
        let asked = self.send_arp(asker.at.clone(), request, asker.mac, Mac([0xff; 6]), goal);
        let Some(end) = asked.end else { return Asked::Open };
        match asked.verdict.reached {
            Some(true) => {}
            Some(false) => return Asked::Unanswered(Unanswered { to: Some(to), back: false, end }),
            None => return Asked::Open,
        }
        let by_guest = asked.hops.last().is_some_and(|hop| hop.kind == Kind::Guest);
        let answers = if by_guest { self.guest_of(owners) } else { self.device_at(&end.place) };
        let Some((from, own)) = answers else { return Asked::Open };
        if let (Some(ip), Some(host), Some(netns)) = (asker.ip, end.place.host, &end.place.netns) {
            // Who is asked notes who asks (`arp_process`, net/ipv4/arp.c).
            self.heard.push((host, netns.clone(), ip));
        }
        let (Some(_), Some(mac)) = (asker.ip, asker.mac) else { return Asked::Answered(own) };
        let mut answer = Packet::new(ARP);
        answer.frame.set(OfField::ArpOp, Value::of(2));
        answer.frame.set(OfField::ArpTha, Value::of(mac_number(mac)));
        answer.set_source(Some(to));
        answer.set_destination(asker.ip);
        let goal = Goal::Things(vec![asker.target.clone()]);
        let back = self.send_arp(from, answer, Some(own), mac, goal);
        match (back.verdict.reached, back.end) {
            (Some(false), Some(end)) => {
                Asked::Unanswered(Unanswered { to: Some(to), back: true, end })
            }
            _ => Asked::Answered(own),
        }
    }

    /// Where the only guest among these sends, and its MAC.
    fn guest_of(&self, owners: &[Target]) -> Option<(At, Mac)> {
        let mut guests = owners.iter().filter_map(|owner| match owner {
            Target::Guest(nic) => Some(*nic),
            _ => None,
        });
        let nic = guests.next().filter(|_| guests.next().is_none())?;
        let mac = self.network.vm_nic(nic)?.data.mac.as_ref()?.value;
        Some((self.at_tap(self.tracer.tap_of(nic)?), mac))
    }

    /// The device at which a request arrived, and its MAC.
    fn device_at(&self, place: &super::Place) -> Option<(At, Mac)> {
        let (host, netns) = (place.host?, place.netns.as_ref()?);
        let device = self.network.topology.find_netdev(host, netns, place.device.as_ref()?)?;
        Some((At::Send(device), self.device(device).and_then(super::device::mac_of)?))
    }

    /// Follows one packet of ARP.
    fn send_arp(
        &self,
        at: At,
        mut packet: Packet,
        from: Option<Mac>,
        to: Mac,
        goal: Goal,
    ) -> Trace {
        packet.set_macs(from, Some(to));
        packet.frame.put_part(OfField::ArpSha.whole(), from.map(mac_number));
        let query = Query {
            from: match &at {
                At::Send(node) | At::Receive(node) => Start::Device(*node),
                _ => self.from.clone(),
            },
            to: Some(goal),
            packet: packet.clone(),
            connections: Vec::new(),
            stop_at_ovs: false,
            oif: None,
            without: self.without.clone(),
            asked: None,
            unbound: false,
            heard: Vec::new(),
            explain: false,
        };
        let mut walk = Self::new(self.tracer, &query);
        walk.asking = true;
        let mut way = Way::new(packet);
        let sender = match &at {
            At::Send(device) => self.device(*device),
            _ => None,
        };
        let out = |device: super::device::Device<'_>| (None, Some(device.id));
        if sender
            .is_none_or(|device| walk.pass_frames(&mut way, device, Hook::ArpOutput, out(device)))
        {
            walk.go(way, at);
        }
        walk.run();
        Trace::of(self.tracer, &query, walk)
    }

    /// Ends a way since ARP is not answered.
    pub(super) fn lost_unanswered(&mut self, way: &mut Way, unanswered: Unanswered, own: bool) {
        let Unanswered { to, back, end } = unanswered;
        let reason = end.reason.unwrap_or(Reason::AddressNotOwned);
        let which = if back { "the answer to ARP" } else { "ARP" };
        let outcome = if own { Outcome::Rejected } else { Outcome::Blackholed };
        self.lost(way, outcome, reason, end.place.clone(), end.evidence.iter().copied());
        if let Some(super::Node { part: super::Part::End(last), .. }) = self.tree.nodes.last_mut() {
            let of = to.map_or_else(String::new, |to| format!(" for {to}"));
            last.text = format!("{which}{of} does not arrive: {}", reason.text());
            last.certainty = last.certainty.min(end.certainty);
        }
    }
}
