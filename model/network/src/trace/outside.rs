//! What comes from outside: the device by which it enters, which is where the way back to its sender
//! leaves, and who has it sent there. Outside nobody was captured, so what is known of that is little:
//! an address on the link of the way out has to be answered for there by ARP, and to all others those
//! outside need a route.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_topology::NodeId;

use crate::truth::Truth;

use super::asking::request;
use super::ends::{EndError, Goal, Start, Target};
use super::packet::{IPV4, SOMEBODY};
use super::{
    At, Certainty, End, Kind, Outcome, Packet, Place, Query, Reason, Trace, Tracer, Verdict, Walk,
    Way,
};

/// How what comes from outside finds the way in.
#[derive(Clone, PartialEq, Debug)]
pub enum Entry {
    /// It does not, or that cannot be told: what becomes of what is sent to its sender.
    Closed(Box<Verdict>),
    /// It is for an address that a namespace sends from, or translates into, by this device.
    By(Doorstep),
}

/// Where a namespace meets the outside.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doorstep {
    host: HostId,
    netns: Netns,
    /// Its device.
    device: NodeId,
    /// The address that what comes in is for.
    ip: IpAddr,
    /// Who else may have it: what the question names.
    targets: Vec<Target>,
}

impl Tracer<'_, '_> {
    /// A packet from outside enters where the way back to its sender leaves.
    pub(super) fn enter_from_outside(&self, query: &mut Query, ip: IpAddr) -> Result<(), EndError> {
        let targets = match &query.to {
            Some(Goal::Address { targets, .. } | Goal::Things(targets)) => targets.clone(),
            _ => Vec::new(),
        };
        let start = match targets.first() {
            Some(Target::Guest(nic)) => Start::Guest(*nic),
            Some(Target::Netns(host, netns)) => Start::Netns(*host, netns.clone()),
            Some(Target::Device(device)) => self.netns_of(*device)?,
            None => {
                return Err(EndError::Wrong(
                    "from outside to what was not captured: nothing to follow".to_owned(),
                ));
            }
        };
        let out = self.way_out(query, start, ip);
        let end = out.end.clone().filter(|end| end.reached == Truth::Yes);
        let device = end.as_ref().and_then(|end| {
            let (host, netns) = (end.place.host?, end.place.netns.clone()?);
            self.network.topology.find_netdev(host, &netns, end.place.device.as_ref()?)
        });
        let (Some(end), Some(device)) = (end, device) else {
            query.entry = Some(Entry::Closed(Box::new(out.verdict)));
            return Ok(());
        };
        let tags = end.packet.vlans().unwrap_or_default();
        let back = end.packet.answer();
        let from = if end.packet.unresolved.is_some() { Some(SOMEBODY) } else { back.mac_source() };
        query.packet.set_macs(from, back.mac_destination());
        if matches!(query.to, Some(Goal::Things(_))) {
            query.packet.set_destination(back.destination());
        }
        query.entry = query.packet.destination().and_then(|to| self.doorstep(&out, to, targets));
        for vid in tags.iter().rev() {
            query.packet.frame.push_tag();
            query.packet.frame.set_vlan(*vid);
        }
        query.from = Start::Device(device);
        Ok(())
    }

    /// The way of what a target sends to an address outside.
    fn way_out(&self, query: &Query, start: Start, ip: IpAddr) -> Trace {
        let mut probe = Packet::new(query.packet.eth_type().unwrap_or(IPV4));
        probe.set_protocol(1);
        probe.set_icmp(8, 0);
        probe.set_destination(Some(ip));
        if let Start::Guest(nic) = start {
            let nic_item = self.network.vm_nic(nic);
            let own = nic_item.and_then(|nic| Some(nic.data.mac.as_ref()?.value));
            probe.set_macs(own, None);
            let source =
                nic_item.and_then(|nic| self.addresses_of_nic(nic).first().map(|(ip, _)| *ip));
            probe.set_source(source);
        } else {
            // The address that is asked for, if it is the namespace's own.
            probe.set_source(query.packet.destination());
        }
        // What the probe would be answered by does not matter: an answer is let out where questions
        // may not be.
        (probe.reply, probe.established) = (false, false);
        self.trace(&Query::new(start, Some(Goal::Outside), probe))
    }

    /// Where the last namespace that routes what goes out meets the outside; `None` where none does,
    /// or that is not known.
    pub(super) fn doorstep(&self, out: &Trace, ip: IpAddr, targets: Vec<Target>) -> Option<Entry> {
        let mut inside = false;
        let mut last = None;
        for hop in &out.hops {
            match hop.kind {
                Kind::Tunnel => inside = !inside,
                Kind::Route if !inside => last = Some(hop),
                _ => {}
            }
        }
        let hop = last?;
        let (host, netns) = (hop.place.host?, hop.place.netns.clone()?);
        let device = self.network.topology.find_netdev(host, &netns, hop.output.as_ref()?)?;
        Some(Entry::By(Doorstep { host, netns, device, ip, targets }))
    }
}

impl Walk<'_, '_, '_> {
    /// What comes from outside is not followed in, since where it enters is not known, or is cut off.
    pub(super) fn stay_outside(&mut self, way: &mut Way, closed: Option<Verdict>) {
        let Some(closed) = closed else {
            self.unknown(way, Place::default(), Reason::NotCaptured, Vec::new());
            return;
        };
        // A filter that lets nobody begin a connection outwards may let answers out; without a route
        // nothing tells which way it would be.
        let leaves_open = matches!(
            closed.reason,
            Some(
                Reason::NfDrop
                    | Reason::NfReject
                    | Reason::SgEgressDeny
                    | Reason::CtInvalid
                    | Reason::NoRoute
                    | Reason::RouteBlackhole
                    | Reason::RouteUnreachable
                    | Reason::RouteProhibit
                    | Reason::RouteThrowExhausted
            )
        );
        let is_cut = closed.reached == Some(false) && !leaves_open;
        let back = format!("the way back to where it comes from ends: {}", closed.text);
        let end = End {
            reason: closed.reason.or(Some(Reason::NotCaptured)),
            reached: if is_cut { Truth::No } else { Truth::Maybe },
            certainty: closed.certainty.min(Certainty::Inferred),
            evidence: closed.evidence,
            next: closed.next,
            ..End::new(
                if is_cut { closed.outcome } else { Outcome::Unknown },
                back,
                closed.place,
                &way.packet,
            )
        };
        self.end(way, end);
    }

    /// Whether those outside send a packet in: where they have its address on their link, somebody
    /// has to answer ARP for it. Ends the way where nobody does.
    pub(super) fn is_sent_in(&mut self, way: &mut Way, by: &Doorstep, at: NodeId) -> bool {
        if by.ip.is_ipv6() || self.asking {
            return true;
        }
        let network = self.network;
        let addresses = network.addresses_of(by.device);
        let holds = |ip: IpAddr, prefix: u8| {
            ipnet::IpNet::new(ip, prefix).is_ok_and(|net| net.contains(&by.ip))
        };
        let first = addresses.iter().find(|address| address.ip.is_ipv4());
        let Some(first) = first else { return true };
        let on_link = addresses.iter().any(|address| holds(address.ip, address.prefix));
        if !on_link {
            way.assume(&format!("outside there is a route to {} by {}", by.ip, first.ip));
            return true;
        }
        if self.owns(by.host, &by.netns, by.ip).is_some() {
            return true;
        }
        let asker = way.packet.source().filter(|ip| {
            addresses
                .iter()
                .any(|own| ipnet::IpNet::new(own.ip, own.prefix).is_ok_and(|net| net.contains(ip)))
        });
        let mut packet = request(asker, by.ip, Some(SOMEBODY));
        packet.set_macs(Some(SOMEBODY), Some(Mac([0xff; 6])));
        for vid in way.packet.vlans().unwrap_or_default().iter().rev() {
            packet.frame.push_tag();
            packet.frame.set_vlan(*vid);
        }
        let mut who = by.targets.clone();
        who.push(Target::Netns(by.host, by.netns.clone()));
        let asked = self.send_arp(&At::Receive(at), packet, Goal::Things(who), Truth::Yes);
        match asked.verdict.reached {
            Some(true) => {
                if self.tracer.responder(by.ip).is_none() {
                    way.assume(&format!("ARP for {} is answered", by.ip));
                }
                true
            }
            Some(false) if self.tracer.responder(by.ip).is_none() => {
                let place = self.place(by.device);
                let at = self.device(by.device).and_then(super::device::line);
                let reason = Reason::AddressNotOwned;
                self.lost(way, Outcome::Blackholed, reason, place, at);
                if let Some(super::Node { part: super::Part::End(end), .. }) =
                    self.tree.nodes.last_mut()
                {
                    // That the namespace is not told to answer for others is not captured.
                    end.certainty = Certainty::Inferred;
                    end.text =
                        format!("from outside ARP for {} is asked, and nobody answers", by.ip);
                }
                false
            }
            Some(false) => true,
            None => {
                let needs = asked.verdict.next.iter().map(|next| next.need.clone()).collect();
                let reason = asked.verdict.reason.unwrap_or(Reason::NotCaptured);
                let place = self.place(by.device);
                self.may_stop(way, place, reason, needs);
                true
            }
        }
    }
}
