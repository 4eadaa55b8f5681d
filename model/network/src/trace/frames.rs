//! Chains of nft that see frames: of the family `bridge` at the hooks of a bridge, of `netdev` (and
//! `inet`) at the ingress and egress of devices (net/bridge/br_input.c, br_forward.c;
//! `nf_ingress` and `nf_hook_egress` of net/core/dev.c; nft(8), address families).
//!
//! A frame that is no packet of IP meets no condition on one, but what nft makes of such a condition
//! depends on the rule: it is left open. So is the state of a connection, which a bridge tracks only
//! where a rule asks for it.
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::nft::NftTable;
use tapline_core::span::SourceId;
use tapline_topology::NodeId;

use crate::Network;
use crate::filter::{self, BaseChain, Device as Seen, Mark};

use super::device::Device;
use super::packet::{IPV4, IPV6};
use super::{Doubt, Hop, Kind, Outcome, Packet, Place, Reason, Walk, Way, judge};

/// A hook that frames pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hook {
    /// A bridge takes a frame from a port.
    Prerouting,
    /// It goes up into the host.
    Input,
    /// It goes from port to port.
    Forward,
    /// It comes from the host.
    Output,
    /// It leaves by a port.
    Postrouting,
    /// A device receives a frame.
    Ingress,
    /// A device sends a frame.
    Egress,
}

impl Hook {
    /// The word of nft.
    fn as_str(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    fn is_of_device(self) -> bool {
        matches!(self, Self::Ingress | Self::Egress)
    }
}

/// What was captured of the chains that see frames in one namespace.
#[derive(Debug, Default)]
pub(super) struct Frames<'a> {
    /// Chains, and whether the text that has them is whole.
    chains: Vec<(SourceId, BaseChain<'a>, bool)>,
    /// All of them were captured.
    pub(super) whole: bool,
}

/// The chains of all namespaces that see frames.
pub(super) fn all<'a>(
    network: &Network<'a>,
) -> std::collections::BTreeMap<(HostId, &'a Netns), Frames<'a>> {
    let mut all = std::collections::BTreeMap::new();
    // A whole ruleset speaks for itself; parts of one count where there is none.
    for only_whole in [true, false] {
        for (source, tables) in network.nft_texts() {
            let asked = source.command.args().iter().any(|word| word == "ruleset");
            let complete = network.topology.snapshot.completeness(source.id).is_complete();
            let whole = asked && complete;
            let frames: &mut Frames<'a> = all.entry((source.host, &source.netns)).or_default();
            if whole != only_whole || frames.whole {
                continue;
            }
            frames.whole = whole;
            let chains = tables.iter().filter(|table| !is_dormant(table)).flat_map(chains_of);
            frames.chains.extend(chains.map(|base| (source.id, base, complete)));
        }
    }
    for frames in all.values_mut() {
        frames.chains.sort_by_key(|(_, base, _)| priority(base));
    }
    all
}

fn is_dormant(table: &NftTable) -> bool {
    table.other.iter().any(|word| word.value.contains("dormant"))
}

fn chains_of(table: &NftTable) -> impl Iterator<Item = BaseChain<'_>> {
    table.chains.iter().filter_map(move |chain| {
        let of_device =
            chain.hook.as_ref().is_some_and(|hook| matches!(&*hook.value, "ingress" | "egress"));
        let here = match table.family.as_str() {
            "bridge" => !of_device,
            "netdev" | "inet" => of_device,
            _ => false,
        };
        let kind = chain.kind.as_deref().filter(|_| here)?;
        Some(BaseChain { table, chain, kind, priority: 0 })
    })
}

/// The order of chains at a hook; names are those of the family `bridge`
/// (`enum nf_br_hook_priorities`).
fn priority(base: &BaseChain<'_>) -> i64 {
    let Some(shown) = &base.chain.priority else { return 0 };
    let mut words = shown.value.split_whitespace();
    let bridge = base.table.family == "bridge";
    let first = match words.next().unwrap_or_default() {
        "dstnat" => -300,
        "filter" if bridge => -200,
        "out" => 100,
        "srcnat" => 300,
        other => other.parse().unwrap_or(0),
    };
    let sign = if words.next() == Some("-") { -1 } else { 1 };
    let offset: i64 = words.next().and_then(|shown| shown.parse().ok()).unwrap_or(0);
    first + sign * offset
}

/// Whether a chain is asked about a device: it names those that it is about, some of them by the
/// start of their names.
fn is_about(base: &BaseChain<'_>, device: &str) -> bool {
    let Some(named) = &base.chain.device else { return true };
    named.value.split([',', ' ', '{', '}']).any(|name| {
        let name = name.trim_matches('"');
        name == device || name.strip_suffix('*').is_some_and(|start| device.starts_with(start))
    })
}

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
        let tracer = self.tracer;
        let frames = tracer.tables().frames.get(&(owner.host, owner.netns()));
        if !hook.is_of_device() {
            Self::assume_no_frames(way, frames.is_some_and(|frames| frames.whole));
        }
        let Some(frames) = frames else { return true };
        for (source, base, complete) in &frames.chains {
            let here = base.chain.hook.as_ref().is_some_and(|at| at.value == hook.as_str());
            let here = here && hook.is_of_device() == (base.table.family != "bridge");
            if !here || hook.is_of_device() && !is_about(base, owner.name()) {
                continue;
            }
            let seen = self.seen_frame(&way.packet, base.table, (from, to));
            let Some(judgement) = base.evaluate(*source, &seen) else { continue };
            self.met.extend(judgement.met.iter().copied());
            self.look(way, (hook.as_str(), "nft"), &judgement);
            if !self.take_judgement(way, owner, hook, judgement, *complete) {
                return false;
            }
        }
        true
    }

    /// Says which filters of frames are not known. No format reads what `ebtables` prints; the
    /// rules of `ebtables-nft` are among those of nft.
    fn assume_no_frames(way: &mut Way, nft_is_known: bool) {
        if way.frames_said {
            return;
        }
        way.frames_said = true;
        way.assume(if nft_is_known {
            "ebtables stops no frames of bridges: its own rules are not read"
        } else {
            "no rules of nft or ebtables stop frames of bridges: nft list ruleset was not captured"
        });
    }

    /// The frame as such a chain sees it.
    fn seen_frame(
        &self,
        packet: &Packet,
        table: &NftTable,
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
        seen.foreign = !ip || !one_tag || odd;
        seen
    }

    /// Does what a chain says; whether the way goes on.
    fn take_judgement(
        &mut self,
        way: &mut Way,
        owner: Device<'a>,
        hook: Hook,
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
            let action = format!("nft {} {}: {words}", base_of(hook), hook.as_str());
            let mut hop = Hop::new(Kind::Netfilter, place.clone(), action);
            hop.cite(end.evidence);
            hop.details.hook = Some(hook.as_str());
            hop.details.table = Some("nft".into());
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

/// The family whose chains a hook asks.
fn base_of(hook: Hook) -> &'static str {
    if hook.is_of_device() { "netdev" } else { "bridge" }
}
