//! Where ways end, and where they may: arrived, lost, going round, or not known.
use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::NodeId;

use crate::Answer;
use crate::truth::Truth;

use super::{
    Certainty, Crumb, Doubt, End, Kind, Next, Node, Outcome, Packet, Part, Place, Reason, Target,
    Walk, Way, device, ends,
};

impl Walk<'_, '_, '_> {
    pub(super) fn end(&mut self, way: &mut Way, end: End) {
        self.keep_considered(way);
        let end = End { queues_untold: way.queues_said.clone(), ..end };
        way.tip = self.tree.add(way.tip, way.guard.take(), Part::End(Box::new(end)));
    }

    /// What was looked at behind the last hop of a way stands there.
    pub(super) fn keep_considered(&mut self, way: &mut Way) {
        let mut at = way.tip;
        while !way.considered.is_empty() && at > 0 {
            let Some(node) = self.tree.nodes.get_mut(at) else { return };
            if let Part::Hop(hop) = &mut node.part {
                let hop = std::sync::Arc::make_mut(hop);
                hop.details.considered.append(&mut way.considered);
            }
            at = node.parent;
        }
    }

    /// An end at which the packet does not arrive.
    pub(super) fn lost(
        &mut self,
        way: &mut Way,
        outcome: Outcome,
        reason: Reason,
        place: Place,
        evidence: impl IntoIterator<Item = Evidence>,
    ) {
        let end = End {
            reason: Some(reason),
            reached: Truth::No,
            evidence: evidence.into_iter().collect(),
            ..End::new(outcome, reason.text(), place, &way.packet)
        };
        self.end(way, end);
    }

    /// A copy that nobody waits for ends.
    pub(super) fn aside(&mut self, way: &mut Way, reason: Reason, place: Place) {
        self.lost(way, Outcome::Blackholed, reason, place, None);
        if let Some(Node { part: Part::End(end), .. }) = self.tree.nodes.last_mut() {
            end.aside = true;
        }
    }

    /// An end behind which nothing is known.
    pub(super) fn unknown(
        &mut self,
        way: &mut Way,
        place: Place,
        reason: Reason,
        needs: Vec<Need>,
    ) {
        let next = Self::next(&place, needs);
        let end = End {
            reason: Some(reason),
            certainty: Certainty::Inferred,
            next,
            ..End::new(Outcome::Unknown, reason.text(), place, &way.packet)
        };
        self.end(way, end);
    }

    /// It may be lost here: nothing captured tells. Goes on with the way on which it is not.
    pub(super) fn may_stop(
        &mut self,
        way: &mut Way,
        place: Place,
        reason: Reason,
        needs: Vec<Need>,
    ) {
        self.may_stop_at(way, place, reason, needs, Vec::new());
    }

    pub(super) fn may_stop_at(
        &mut self,
        way: &mut Way,
        place: Place,
        reason: Reason,
        needs: Vec<Need>,
        evidence: Vec<Evidence>,
    ) {
        let next = Self::next(&place, needs);
        let text = reason.text().to_owned();
        let doubt = Doubt { reason, text: text.clone(), place: place.clone(), next, evidence };
        let end = End {
            reason: Some(reason),
            reached: Truth::No,
            hypothetical: true,
            certainty: Certainty::Inferred,
            next: doubt.next.clone(),
            ..End::new(Outcome::Unknown, text, place, &way.packet)
        };
        self.fork(way, doubt);
        let mut stopped = Self::branch(way, "it is lost here");
        self.end(&mut stopped, end);
        way.guard = Some("it passes".to_owned());
    }

    pub(super) fn next(place: &Place, needs: Vec<Need>) -> Vec<Next> {
        let text = "decides what happens here".to_owned();
        needs.into_iter().map(|need| Next { text: text.clone(), host: place.host, need }).collect()
    }

    /// It arrives somewhere: at the goal or not.
    pub(super) fn arrive(
        &mut self,
        way: &mut Way,
        outcome: Outcome,
        place: Place,
        target: ends::Reached<'_>,
        certainty: Certainty,
        evidence: impl IntoIterator<Item = Evidence>,
    ) {
        if self.is_answered_on_the_way(&target, &way.packet) {
            let end = End {
                reached: Truth::Yes,
                certainty,
                evidence: evidence.into_iter().collect(),
                ..End::new(outcome, "flows answer it, and the answer arrives", place, &way.packet)
            };
            self.end(way, end);
            return;
        }
        let mut reached = self.goal.is_met(&target, &way.packet);
        // A server of DHCP has an address where it hears guests.
        let serves_nobody = matches!(
            target,
            ends::Reached::Stack { device, listens: None, .. } if self.has_no_address_at(device)
        );
        if self.goal == ends::Goal::Dhcp && serves_nobody {
            reached = Truth::No;
        }
        let never_back = matches!(target, ends::Reached::Tunnel { .. })
            && self.is_meant_for(place.host, &way.packet);
        if never_back {
            reached = Truth::No;
        }
        if reached != Truth::No && self.is_other_answer(&way.packet) {
            self.lost_as_other_answer(way, place);
            return;
        }
        let to_all = way.packet.is_multicast() == Some(true);
        let aside = reached == Truth::No && (to_all || never_back);
        let end = End {
            reached,
            aside,
            certainty,
            evidence: evidence.into_iter().collect(),
            ..End::new(outcome, target.to_string(), place, &way.packet)
        };
        self.end(way, end);
    }

    /// Whether a frame is for somebody on this very host, and for nobody else: no tunnel brings back to
    /// a host what it sent (neutron's agents and OVN forward nothing from one tunnel into another).
    fn is_meant_for(&self, host: Option<HostId>, packet: &Packet) -> bool {
        let (ends::Goal::Address { targets, .. } | ends::Goal::Things(targets)) = &self.goal else {
            return false;
        };
        let on_link =
            self.asking || packet.next_hop.is_some() && packet.next_hop == packet.destination();
        let host_of = |target: &Target| match target {
            Target::Guest(nic) => self.network.vm_nic(*nic).map(|nic| nic.host),
            Target::Netns(host, _) => Some(*host),
            Target::Device(device) => self.network.netdev(*device).map(|device| device.host),
        };
        on_link && !targets.is_empty() && targets.iter().all(|target| host_of(target) == host)
    }

    /// Whether the sender gets the answer itself: routers of OVN make one of a ping.
    fn is_answered_on_the_way(&self, target: &ends::Reached<'_>, packet: &Packet) -> bool {
        let ends::Goal::Address { ip, .. } = &self.goal else { return false };
        let is_sender = match (target, &self.from) {
            (ends::Reached::Guest { nic }, ends::Start::Guest(from)) => nic == from,
            (ends::Reached::Stack { host, netns, .. }, ends::Start::Netns(from, of)) => {
                (host, *netns) == (from, of)
            }
            _ => false,
        };
        is_sender && self.asked.is_none() && packet.is_echo_reply() && packet.source() == Some(*ip)
    }

    /// Whether a packet answers from another address or port than was asked.
    fn is_other_answer(&self, packet: &Packet) -> bool {
        let Some((ip, port)) = self.asked else { return false };
        packet.source().is_some_and(|source| source != ip)
            || port.zip(packet.source_port()).is_some_and(|(asked, source)| asked != source)
    }

    /// An answer that was not translated back is for no connection of the one who asked. It is lost
    /// where it does not pass the namespace that translated the question; where it does, this model
    /// has missed something.
    fn lost_as_other_answer(&mut self, way: &mut Way, place: Place) {
        let translators: Vec<_> = self
            .connections
            .iter()
            .filter(|connection| connection.before != connection.after)
            .map(|connection| (Some(connection.host), Some(connection.netns.clone())))
            .collect();
        let mut at = way.tip;
        let mut passes = translators.is_empty();
        while at > 0 && !passes {
            let Some(node) = self.tree.nodes.get(at) else { break };
            if let Part::Hop(hop) = &node.part {
                let through = matches!(hop.kind, Kind::Route | Kind::Netfilter);
                passes = through
                    && translators
                        .iter()
                        .any(|(host, netns)| hop.place.host == *host && hop.place.netns == *netns);
            }
            at = node.parent;
        }
        if passes && self.unbound {
            self.lost(way, Outcome::Dropped, Reason::AnswerNotTranslated, place, None);
            if let Some(Node { part: Part::End(end), .. }) = self.tree.nodes.last_mut() {
                "the answer comes from another address than was asked".clone_into(&mut end.text);
            }
        } else if passes {
            self.unknown(way, place, Reason::NotModelled, Vec::new());
        } else {
            self.lost(way, Outcome::Dropped, Reason::AnswerNotTranslated, place, None);
        }
    }

    /// Whether a way comes to where it was before, with the same packet.
    pub(super) fn goes_round(&mut self, way: &mut Way, node: NodeId) -> bool {
        let crumb = Crumb { node, packet: way.packet.clone() };
        if way.trail.contains(&crumb) {
            let place = self.place(node);
            let end = End {
                reached: Truth::No,
                certainty: Certainty::Inferred,
                ..End::new(Outcome::Loops, "it comes back to where it was", place, &way.packet)
            };
            self.end(way, end);
            return true;
        }
        way.trail.push(crumb);
        false
    }

    /// Whether a device passes frames; ends the way where it does not.
    pub(super) fn passes(&mut self, way: &mut Way, device: NodeId) -> bool {
        let place = self.place(device);
        match self.network.forwarding(device) {
            Answer::Known(None) => true,
            Answer::Known(Some(block)) => {
                let reason = device::reason(&block.why);
                self.lost(way, Outcome::Blackholed, reason, place, Some(block.evidence));
                false
            }
            Answer::Unknown(needs) => {
                self.may_stop(way, place, Reason::NotCaptured, needs);
                true
            }
        }
    }
}
