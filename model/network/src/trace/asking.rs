//! Whether ARP or neighbour discovery is answered: where a sender has no entry for its next hop, a request
//! goes to all on its segment, or to the group of the address, and an answer has to come back, before
//! anything is sent. Both are packets too, which what floods, filters and forwards may stop although it
//! lets the packet itself pass.
//!
//! It is asked of who is known to have the address. Where flows answer in its place, or what becomes of
//! either packet is not known, the entry is taken for granted, as the hop says.
use std::net::{IpAddr, Ipv6Addr};

use tapline_core::ids::Mac;
use tapline_core::records::openflow::OfField;
use tapline_core::records::route::Family;
use tapline_topology::NodeId;

use crate::flow::Value;
use crate::hooks::frames::Hook;
use crate::truth::Truth;

use super::netfilter::{Pass, Stage};
use super::packet::{ARP, IPV6, ip_number, mac_number};
use super::{At, Doubt, End, Goal, Kind, Outcome, Packet, Query, Reason, Target, Trace, Walk, Way};

/// What comes of asking.
pub(super) enum Asked {
    /// This MAC is answered.
    Answered(Mac),
    /// Nothing is.
    Unanswered(Box<Unanswered>),
    /// This MAC is, or none: a thing on the way of either packet was captured that may stop it.
    Doubtful(Box<Doubtful>),
    /// It is not asked, or nothing captured tells.
    Open,
}

/// Why it may be that ARP is not answered.
pub(super) struct Doubtful {
    /// The MAC that is answered otherwise, where that is known.
    pub(super) mac: Option<Mac>,
    /// What may stop it.
    pub(super) doubt: Doubt,
}

impl Doubtful {
    /// Of a packet of which a thing was seen that may stop it: not only of texts that are missing.
    fn of(asked: &Trace, mac: Option<Mac>) -> Option<Box<Self>> {
        let verdict = &asked.verdict;
        let reason = verdict.reason.filter(|_| verdict.reached.is_none())?;
        let is_seen = matches!(
            reason,
            Reason::Ebpf | Reason::QueueLoss | Reason::Ipsec | Reason::McastFloodOff
        ) || reason == Reason::NotModelled && !verdict.evidence.is_empty();
        let (text, place) = (verdict.text.clone(), verdict.place.clone());
        let (next, evidence) = (verdict.next.clone(), verdict.evidence.clone());
        is_seen
            .then(|| Box::new(Self { mac, doubt: Doubt { reason, text, place, next, evidence } }))
    }
}

/// Why ARP is not answered.
pub(super) struct Unanswered {
    /// The address that is asked for; `None` where it is not known.
    to: Option<IpAddr>,
    /// It is the answer that does not come back.
    back: bool,
    end: End,
}

impl Unanswered {
    fn new(to: IpAddr, back: bool, end: End) -> Box<Self> {
        Box::new(Self { to: Some(to), back, end })
    }
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
        let family = if to.is_ipv4() { Family::Inet } else { Family::Inet6 };
        let asker = Asker {
            at: At::Send(output),
            mac: self.device(output).and_then(super::device::mac_of),
            ip: own.or_else(|| self.primary(Some(output), family)),
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
    pub(super) fn is_cut_off(
        &self,
        nic: NodeId,
        (from, to): (Option<IpAddr>, Option<IpAddr>),
    ) -> Option<Unanswered> {
        let tap = self.tracer.tap_of(nic).filter(|_| !self.asking)?;
        let mac = self.network.vm_nic(nic).and_then(|nic| Some(nic.data.mac.as_ref()?.value));
        let nobody = IpAddr::from([0, 0, 0, 0]);
        let mut request = request(from, nobody, mac);
        request.set_destination(to);
        let asked = self.send_arp(&self.at_tap(tap), request, Goal::Anywhere, Truth::Maybe);
        let end = asked.end.filter(|_| asked.verdict.reached == Some(false))?;
        Some(Unanswered { to, back: false, end })
    }

    /// Why nothing that a device, or the guest behind it, sends to all arrives anywhere.
    pub(super) fn is_site_cut_off(&self, device: NodeId) -> Option<End> {
        let nobody = IpAddr::from([0, 0, 0, 0]);
        let nic = self.guest_nic(device).and_then(|nic| self.network.vm_nic(nic));
        let own = self.device(device).and_then(super::device::mac_of);
        let mac = nic.map_or(own, |nic| Some(nic.data.mac.as_ref()?.value));
        let at = if nic.is_some() { self.at_tap(device) } else { At::Send(device) };
        let mut request = request(None, nobody, mac);
        request.set_destination(None);
        let query = self.query_for(Goal::Anywhere, &request);
        let mut walk = Self::new(self.tracer, &query);
        (walk.asking, walk.seeks, walk.until) = (true, true, Some(Truth::Maybe));
        walk.go(Way::new(request), at);
        walk.run();
        let asked = Trace::of(self.tracer, &query, walk);
        asked.end.filter(|_| asked.verdict.reached == Some(false))
    }

    /// Where what a guest sends comes in.
    pub(super) fn at_tap(&self, tap: NodeId) -> At {
        if self.device(tap).is_some() { At::Receive(tap) } else { At::Switch(tap) }
    }

    fn exchange(&mut self, asker: &Asker, to: IpAddr, owners: &[Target]) -> Asked {
        if self.asking || self.tracer.responder(to).is_some() {
            return Asked::Open;
        }
        let goal = Goal::Things(owners.to_vec());
        let request = request(asker.ip, to, asker.mac);
        let asked = self.send_arp(&asker.at, request, goal, Truth::Yes);
        let Some(end) = asked.end.clone() else { return Asked::Open };
        match asked.verdict.reached {
            Some(true) => {}
            Some(false) => return Asked::Unanswered(Unanswered::new(to, false, end)),
            None => return Doubtful::of(&asked, None).map_or(Asked::Open, Asked::Doubtful),
        }
        let by_guest = asked.hops.last().is_some_and(|hop| hop.kind == Kind::Guest);
        let answers = if by_guest { self.guest_of(owners) } else { self.device_at(&end.place) };
        let Some((from, own)) = answers else { return Asked::Open };
        if let (Some(ip), Some(host), Some(netns)) = (asker.ip, end.place.host, &end.place.netns) {
            // Who is asked notes who asks (`arp_process`, net/ipv4/arp.c).
            self.heard.push((host, netns.clone(), ip));
        }
        let (Some(ip), Some(mac)) = (asker.ip, asker.mac) else { return Asked::Answered(own) };
        let goal = Goal::Things(vec![asker.target.clone()]);
        let back = self.send_arp(&from, answer((to, own), (ip, mac)), goal, Truth::Yes);
        match (back.verdict.reached, back.end.clone()) {
            (Some(false), Some(end)) => Asked::Unanswered(Unanswered::new(to, true, end)),
            (None, _) => {
                Doubtful::of(&back, Some(own)).map_or(Asked::Answered(own), Asked::Doubtful)
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

    /// Whether a packet would not arrive by itself either: its own way tells more then.
    pub(super) fn is_lost_anyway(&self, way: &Way, at: At) -> bool {
        let mut walk = Self::new(self.tracer, &self.query_for(self.goal.clone(), &way.packet));
        walk.connections.clone_from(&self.connections);
        walk.asking = true;
        walk.go(Way::new(way.packet.clone()), at);
        walk.run();
        walk.reached() == Truth::No
    }

    fn query_for(&self, goal: Goal, packet: &Packet) -> Query {
        Query {
            without: self.without.clone(),
            ..Query::new(self.from.clone(), Some(goal), packet.clone())
        }
    }

    /// Follows one packet of ARP or of neighbour discovery, up to an end at which it arrives as surely as
    /// `until`: of a flood over hundreds of ports one copy decides.
    pub(super) fn send_arp(&self, at: &At, packet: Packet, goal: Goal, until: Truth) -> Trace {
        let query = self.query_for(goal, &packet);
        let mut walk = Self::new(self.tracer, &query);
        walk.asking = true;
        walk.until = Some(until);
        let mut way = Way::new(packet);
        let sender = match at {
            At::Send(device) => self.device(*device),
            _ => None,
        };
        match sender {
            // Neighbour discovery is ICMP, and passes the packet filter.
            Some(device) if !Self::is_arp(&way.packet) => {
                way.packet.enter_stack();
                let pass = Pass::own(device.host, device.netns());
                let pass = Pass { output: Some((device.id, None)), ..pass };
                walk.go(way, At::Stack(pass.at(Stage::Output)));
            }
            Some(device) => {
                let out = (None, Some(device.id));
                if walk.pass_frames(&mut way, device, Hook::ArpOutput, out) {
                    walk.go(way, at.clone());
                }
            }
            None => walk.go(way, at.clone()),
        }
        walk.run();
        Trace::of(self.tracer, &query, walk)
    }

    /// It may be that ARP is not answered. Goes on with the way on which it is.
    pub(super) fn may_be_unanswered(&mut self, way: &mut Way, to: IpAddr, doubtful: Doubtful) {
        let Doubt { reason, text, place, next, evidence } = doubtful.doubt;
        let what = if to.is_ipv6() { "neighbour discovery" } else { "ARP" };
        self.may_stop_at(way, place, reason, Vec::new(), evidence);
        let at = self.tree.nodes.len().saturating_sub(2);
        // The fork stands before the way that ends.
        if let Some(super::Node { part: super::Part::One(doubt), .. }) = self.tree.nodes.get_mut(at)
        {
            doubt.text = format!("{what} for {to} may not be answered: {text}");
            doubt.next = next;
        }
    }

    /// Ends a way since ARP is not answered.
    pub(super) fn lost_unanswered(&mut self, way: &mut Way, unanswered: Unanswered, own: bool) {
        let Unanswered { to, back, end } = unanswered;
        let reason = end.reason.unwrap_or(Reason::AddressNotOwned);
        let what = if to.is_some_and(|to| to.is_ipv6()) { "neighbour discovery" } else { "ARP" };
        let which = if back { format!("the answer to {what}") } else { what.to_owned() };
        let outcome = if own { Outcome::Rejected } else { Outcome::Blackholed };
        self.lost(way, outcome, reason, end.place.clone(), end.evidence.iter().copied());
        if let Some(super::Node { part: super::Part::End(last), .. }) = self.tree.nodes.last_mut() {
            let of = to.map_or_else(String::new, |to| format!(" for {to}"));
            last.text = format!("{which}{of} does not arrive: {}", reason.text());
            last.certainty = last.certainty.min(end.certainty);
        }
    }
}

/// The message of ICMPv6 that asks for a neighbour, and the one that answers (RFC 4861, section 4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// A packet of neighbour discovery about an address.
fn discovery(kind: u8, about: IpAddr) -> Packet {
    let mut packet = Packet::new(IPV6);
    packet.set_protocol(58);
    packet.set_icmp(kind, 0);
    packet.set_ttl(255);
    packet.frame.set(OfField::NdTarget, Value::of(ip_number(about)));
    packet
}

/// What asks for the MAC of an address.
pub(super) fn request(from: Option<IpAddr>, to: IpAddr, mac: Option<Mac>) -> Packet {
    let IpAddr::V6(six) = to else {
        let mut request = Packet::new(ARP);
        request.frame.set(OfField::ArpOp, Value::of(1));
        request.frame.set(OfField::ArpTha, Value::of(0));
        request.frame.put_part(OfField::ArpSha.whole(), mac.map(mac_number));
        request.set_source(from);
        request.set_destination(Some(to));
        request.set_macs(mac, Some(Mac([0xff; 6])));
        return request;
    };
    let mut request = discovery(SOLICITATION, to);
    let [.., a, b, c] = six.octets();
    let low = u16::from_be_bytes([b, c]);
    // The group of all whose addresses end so (RFC 4291, section 2.7.1).
    let group = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 1, 0xff00 | u16::from(a), low);
    request.set_source(from);
    request.set_destination(Some(group.into()));
    request.frame.put_part(OfField::NdSll.whole(), mac.map(mac_number));
    request.set_macs(mac, Some(Mac([0x33, 0x33, 0xff, a, b, c])));
    request
}

/// What tells the MAC of an address to who asked.
fn answer((about, own): (IpAddr, Mac), (to, mac): (IpAddr, Mac)) -> Packet {
    let mut answer = if about.is_ipv4() {
        let mut answer = Packet::new(ARP);
        answer.frame.set(OfField::ArpOp, Value::of(2));
        answer.frame.set(OfField::ArpSha, Value::of(mac_number(own)));
        answer.frame.set(OfField::ArpTha, Value::of(mac_number(mac)));
        answer
    } else {
        let mut answer = discovery(ADVERTISEMENT, about);
        answer.frame.set(OfField::NdTll, Value::of(mac_number(own)));
        answer
    };
    answer.set_source(Some(about));
    answer.set_destination(Some(to));
    answer.set_macs(Some(own), Some(mac));
    answer
}
