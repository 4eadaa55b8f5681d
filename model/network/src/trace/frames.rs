//! What chains of nft and `ebtables` that see frames do with one (`hooks/frames.rs` says which they are).
//!
//! A frame that is no packet of IP meets no condition on one. The state of a connection is left open:
//! a bridge tracks it only where a rule asks for it.
use tapline_core::need::Need;
use tapline_core::records::nft::NftTable;
use tapline_topology::NodeId;

use crate::filter::{self, Device as Seen, Mark};
use crate::hooks::frames::{FrameChain, Frames, Hook};

use super::device::Device;
use super::packet::{IPV4, IPV6};
use super::{Doubt, Hop, Kind, Outcome, Packet, Place, Reason, Walk, Way, judge};

impl<'a> Walk<'_, '_, 'a> {
    /// Passes the chains of a hook; `false` where they end the way. Where it is not known whether
    /// they do, the way goes on behind a fork.
    pub(super) fn pass_frames(
        &mut self,
        way: &mut Way,
        owner: Device<'a>,
        hook: Hook,
        (from, to): (Option<NodeId>, Option<NodeId>),
    ) -> bool {
        let network = self.network;
        let frames = network.filters().frames.get(&(owner.host, owner.netns()));
        if hook.families().contains(&"bridge") {
            self.doubt_other_frames(way, owner, frames);
        }
        let Some(frames) = frames else { return true };
        for FrameChain { source, base, complete, tool } in frames.at(hook, owner.name()) {
            let seen = self.seen_frame(&way.packet, base.table, hook, (from, to));
            let Some(judgement) = base.evaluate(*source, &seen) else { continue };
            self.met.extend(judgement.met.iter().copied());
            self.look(way, (hook.as_str(), tool), &judgement);
            if !self.take_judgement(way, owner, (hook, tool), judgement, *complete) {
                return false;
            }
        }
        true
    }

    /// Leaves open what rules may do that were cut off, and says which filters of frames are not known.
    fn doubt_other_frames(
        &mut self,
        way: &mut Way,
        owner: Device<'a>,
        frames: Option<&Frames<'a>>,
    ) {
        if way.frames_said {
            return;
        }
        let cut: Vec<Need> =
            frames.into_iter().flat_map(Frames::cut_off).map(Need::command).collect();
        if !cut.is_empty() {
            let needs = cut.into_iter().map(|need| need.within(owner.netns())).collect();
            let place = self.place(owner.id);
            self.may_stop(way, place, Reason::NotCaptured, needs);
        }
        let known = frames.map_or((false, false), |it| (it.whole, it.whole_ebtables));
        Self::assume_no_frames(way, known);
    }

    /// Says which filters of frames are not known. The rules of `ebtables-nft` are among those of nft,
    /// those of the old tool are not.
    fn assume_no_frames(way: &mut Way, (nft, ebtables): (bool, bool)) {
        way.frames_said = true;
        way.assume(match (nft, ebtables) {
            (true, true) => return,
            (true, false) => "ebtables stops no frames of bridges: ebtables-save was not captured",
            (false, true) => {
                "no rules of nft stop frames of bridges: nft list ruleset was not captured"
            }
            (false, false) => {
                "no rules of nft or ebtables stop frames of bridges: nft list ruleset was not captured"
            }
        });
    }

    /// The frame as such a chain sees it.
    fn seen_frame(
        &self,
        packet: &Packet,
        table: &NftTable,
        hook: Hook,
        (from, to): (Option<NodeId>, Option<NodeId>),
    ) -> filter::Packet {
        let mut seen = packet.filtered();
        let device = |node: Option<NodeId>| match node {
            Some(node) => Seen::Known(self.name(node)),
            None => Seen::None,
        };
        (seen.in_device, seen.out_device) = (device(from), device(to));
        (seen.in_port, seen.out_port) = (Seen::Unknown, Seen::Unknown);
        seen.state = None;
        seen.answer = None;
        seen.translated = None;
        seen.conn_mark = Mark::UNKNOWN;
        seen.to_host = None;
        seen.explain = self.explain;
        let one_tag = packet.vlans().is_some_and(|vlans| vlans.len() < 2);
        let ip = matches!(packet.eth_type(), Some(IPV4 | IPV6));
        // There `meta nfproto` is no family of IP, which is not what other conditions ask.
        let mut rules = table.chains.iter().flat_map(|chain| &chain.rules);
        let odd = rules.any(|rule| rule.text.value.contains("nfproto"));
        seen.foreign = packet.eth_type().is_none() || ip && !one_tag || odd;
        seen.frame = Some(packet.framed());
        // What a bridge sends for the host itself is the host's; behind that it is not known who took it.
        let taker = from.and_then(|from| self.device(from)).and_then(super::device::mac_of);
        seen.other_host = match hook {
            Hook::Output | Hook::ArpOutput => Some(false),
            _ => packet.mac_destination().zip(taker).map(|(wanted, own)| wanted != own),
        };
        seen
    }

    /// Does what a chain says; whether the way goes on.
    fn take_judgement(
        &mut self,
        way: &mut Way,
        owner: Device<'a>,
        (hook, tool): (Hook, &'static str),
        judgement: filter::Judgement,
        complete: bool,
    ) -> bool {
        let mut kinds: Vec<&filter::End> = Vec::new();
        for end in &judgement.ends {
            if kinds.iter().all(|known| known.outcome != end.outcome) {
                kinds.push(end);
            }
        }
        way.packet.set_mark(judgement.mark);
        let passes = kinds.iter().any(|end| end.outcome == filter::Outcome::Accept);
        if passes && kinds.len() == 1 {
            return true;
        }
        let place = Place {
            host: Some(owner.host),
            netns: Some(owner.netns().clone()),
            device: Some(owner.name().into()),
            ..Place::default()
        };
        // Of a text that was cut off the rule may be missing that lets it pass.
        let passes = passes || !complete;
        if passes || kinds.len() > 1 {
            let doubt = Doubt {
                reason: Reason::NotModelled,
                text: "it is not known whether the frame meets a rule".to_owned(),
                place: place.clone(),
                next: Vec::new(),
                evidence: judgement.doubts.iter().map(|doubt| doubt.evidence).take(1).collect(),
            };
            self.fork(way, doubt);
        }
        let before = way.packet.clone();
        for end in kinds {
            let words = judge::outcome_words(&end.outcome);
            let mut one = if passes { Self::branch(way, words.clone()) } else { way.clone() };
            let family = hook.families().first().unwrap_or(&"");
            let action = format!("{tool} {family} {}: {words}", hook.as_str());
            let mut hop = Hop::new(Kind::Netfilter, place.clone(), action);
            hop.cite(end.evidence);
            hop.details.hook = Some(hook.as_str());
            hop.details.table = Some(tool.into());
            let rules = end.evidence.map(|at| (at, words.clone()));
            hop.details.rules = rules.into_iter().collect();
            let (outcome, reason) = match &end.outcome {
                filter::Outcome::Accept => continue,
                filter::Outcome::Drop => (Outcome::Dropped, Reason::NfDrop),
                filter::Outcome::Reject => (Outcome::Rejected, Reason::NfReject),
                filter::Outcome::Translate(_) | filter::Outcome::Unknown(_) => {
                    self.hop(&mut one, &before, hop);
                    self.unknown(&mut one, place.clone(), Reason::NotModelled, Vec::new());
                    continue;
                }
            };
            self.hop(&mut one, &before, hop);
            self.lost(&mut one, outcome, reason, place.clone(), end.evidence);
        }
        if passes {
            way.guard = Some("accepts".to_owned());
        }
        passes
    }
}
