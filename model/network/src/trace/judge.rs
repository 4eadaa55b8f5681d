//! What a table of the packet filter says of a packet, and what becomes of it.
use tapline_core::Name;
use tapline_core::records::filter::{ConnStates, Target};

use crate::filter::{self, Judgement};
use crate::truth::Truth;

use super::netfilter::Pass;
use super::{
    At, Certainty, Considered, Doubt, End, Hop, Kind, Nearest, Outcome, Packet, Place, Reason,
    Walk, Way,
};

impl Walk<'_, '_, '_> {
    /// Notes the rules that a table looked at.
    pub(super) fn look(&self, way: &mut Way, (hook, table): (&str, &str), judgement: &Judgement) {
        if !self.explain {
            return;
        }
        let mut words: Vec<String> = Vec::new();
        for end in &judgement.ends {
            let one = outcome_words(&end.outcome);
            if !words.contains(&one) {
                words.push(one);
            }
        }
        let count = judgement.looked.rules;
        let rules = if count == 1 { "rule" } else { "rules" };
        let text = format!("{hook} {table}: {count} {rules} looked at: {}", words.join(" or "));
        let mut evidence = judgement.looked.met.clone();
        for at in judgement.ends.iter().filter_map(|end| end.evidence) {
            if !evidence.contains(&at) {
                evidence.push(at);
            }
        }
        way.considered.push(Considered { text, evidence });
    }

    /// What would have passed a table that stops a packet.
    pub(super) fn nearest(
        &self,
        seen: &filter::Packet,
        judgement: &Judgement,
        judge: impl Fn(&filter::Packet) -> Option<Judgement>,
    ) -> Option<Nearest> {
        let stops = matches!(judgement.verdict(), filter::Verdict::Drop | filter::Verdict::Reject);
        if !self.explain || !stops {
            return None;
        }
        Nearest::of(&filter::nearest(seen, &judgement.looked.misses, judge))
    }

    /// Does what a table says; whether the way goes on elsewhere, or ended.
    pub(super) fn judge(
        &mut self,
        way: &mut Way,
        pass: &Pass,
        (hook, table): (&'static str, &'static str),
        judgement: Judgement,
        nearest: Option<Nearest>,
    ) -> bool {
        let before = way.packet.clone();
        let place = Place {
            host: Some(pass.host),
            netns: Some(pass.netns.clone()),
            device: pass.input.map(|input| self.name(input)),
            ..Place::default()
        };
        if judgement.untracked == Truth::Yes {
            way.packet.state = ConnStates::UNTRACKED;
        }
        for (_, limit) in &judgement.within {
            way.assume(&format!("a limit of the filter is not used up: {limit}"));
        }
        way.packet.set_mark(judgement.mark);
        way.packet.conn_mark = judgement.conn_mark;
        let mut kinds: Vec<&filter::End> = Vec::new();
        for end in &judgement.ends {
            if kinds.iter().all(|known| known.outcome != end.outcome) {
                kinds.push(end);
            }
        }
        let only_accepts = kinds.iter().all(|end| end.outcome == filter::Outcome::Accept);
        if only_accepts {
            let decided = judgement.ends.first().and_then(|end| end.evidence);
            let by_rule = judgement.ends.len() == 1
                && table == "filter"
                && judgement.ends.first().is_some_and(|end| is_rule(end, self, pass));
            if way.packet.mark() != before.mark() && way.packet.mark().known == u32::MAX || by_rule
            {
                let mark = way.packet.mark();
                let action = if by_rule {
                    format!("{hook} {table}: accepts")
                } else {
                    format!("{hook} {table}: mark {:#x}", mark.value)
                };
                let mut hop = self.filter_hop(pass, (hook, table), action);
                if by_rule {
                    hop.cite(decided);
                    hop.details.rules =
                        decided.map(|at| (at, "ACCEPT".to_owned())).into_iter().collect();
                } else {
                    hop.cite(judgement.marked.iter().copied());
                    let marks = judgement.marked.iter().map(|at| (*at, "MARK".to_owned()));
                    hop.details.rules = marks.collect();
                }
                self.hop(way, &before, hop);
            }
            return false;
        }
        let sure = pass.bridged.is_none_or(|bridged| bridged.sure);
        let several = kinds.len() > 1 || !sure;
        if several {
            let place = place.clone();
            let unread = kinds.iter().find_map(|end| match &end.outcome {
                filter::Outcome::Unknown(name) => Some((name, end.evidence)),
                _ => None,
            });
            let missing = |_: &Name| {
                self.network.missing(pass.host, &pass.netns, &[tapline_topology::Topic::IpSets])
            };
            // The set that the rule asks, and what would show it.
            let set = judgement.doubts.first().and_then(|doubt| doubt.set.as_ref());
            let of_set = set.map(missing).unwrap_or_default();
            let (reason, evidence) = match judgement.doubts.first() {
                _ if !sure => (Reason::NotCaptured, Vec::new()),
                Some(doubt) if !of_set.is_empty() => (Reason::NotCaptured, vec![doubt.evidence]),
                Some(doubt) => (Reason::NotModelled, vec![doubt.evidence]),
                None => {
                    let at = unread.and_then(|(_, at)| at);
                    (Reason::NotModelled, at.into_iter().collect())
                }
            };
            let needs = if sure {
                of_set.clone()
            } else {
                vec![tapline_core::need::Need::command("sysctl net.bridge.bridge-nf-call-iptables")]
            };
            let text = match (judgement.doubts.first(), unread) {
                (None, Some((name, _))) if sure => format!("what {name} does is not modelled"),
                _ if sure && !of_set.is_empty() => {
                    let name = set.map_or("", Name::as_str);
                    format!("it is not known whether the set {name} has the packet")
                }
                _ if sure => "it is not known whether the packet meets a rule".to_owned(),
                _ => "it is not known whether the filter sees bridged frames".to_owned(),
            };
            let next = Self::next(&place, needs);
            self.fork(way, Doubt { reason, text, place, next, evidence });
        }
        if !sure {
            let mut passes = Self::branch(way, "the filter does not see it");
            passes.packet = before.clone();
            let last = Pass { table: usize::MAX, ..pass.clone() };
            self.behind(passes, last);
        }
        let ends: Vec<filter::End> = kinds.into_iter().cloned().collect();
        for end in ends {
            let guard = if several { Some(outcome_words(&end.outcome)) } else { None };
            let mut one = Way { guard: guard.or_else(|| way.guard.clone()), ..way.clone() };
            let alike = judgement.ends.iter().filter(|other| other.outcome == end.outcome);
            let mark = alike.fold(end.mark, |mark, other| mark.join(other.mark));
            one.packet.set_mark(mark);
            self.take_end(one, pass, (hook, table), &before, &end, nearest.clone());
        }
        true
    }

    pub(super) fn take_end(
        &mut self,
        mut way: Way,
        pass: &Pass,
        at: (&'static str, &'static str),
        before: &Packet,
        end: &filter::End,
        nearest: Option<Nearest>,
    ) {
        let (hook, table) = at;
        let place = self.place_of(pass);
        let words = outcome_words(&end.outcome);
        match &end.outcome {
            filter::Outcome::Accept => {
                self.go(way, At::Stack(pass.clone()));
            }
            filter::Outcome::Drop | filter::Outcome::Reject => {
                let reject = end.outcome == filter::Outcome::Reject;
                let mut hop = self.filter_hop(pass, at, format!("{hook} {table}: {words}"));
                hop.details.nearest = nearest;
                hop.cite(end.evidence);
                hop.details.rules =
                    end.evidence.map(|at| (at, words.clone())).into_iter().collect();
                self.hop(&mut way, before, hop);
                let invalid = before.state.any_of(ConnStates::INVALID)
                    && end.evidence.is_some_and(|at| {
                        let rule = self.network.topology.snapshot.quote(at);
                        rule.contains("INVALID") || rule.contains("invalid")
                    });
                let (outcome, reason) = if reject {
                    (Outcome::Rejected, Reason::NfReject)
                } else if invalid {
                    (Outcome::Dropped, Reason::CtInvalid)
                } else {
                    (Outcome::Dropped, Reason::NfDrop)
                };
                self.lost(&mut way, outcome, reason, place, end.evidence);
            }
            filter::Outcome::Translate(target) => {
                self.translate(&mut way.packet, pass, target);
                let mut hop = self.filter_hop(pass, at, format!("{hook} {table}: {words}"));
                hop.cite(end.evidence);
                hop.details.rules = end.evidence.map(|at| (at, words)).into_iter().collect();
                if let Some((packets, _)) = end.counters.filter(|(packets, _)| *packets > 0) {
                    hop.observed = Some(format!("{packets} packets"));
                }
                self.hop(&mut way, before, hop);
                self.go(way, At::Stack(pass.clone()));
            }
            filter::Outcome::Unknown(name) => {
                let end_here = End {
                    reason: Some(Reason::NotModelled),
                    certainty: Certainty::Inferred,
                    evidence: end.evidence.into_iter().collect(),
                    ..End::new(
                        Outcome::Unknown,
                        format!("what {name} does is not modelled"),
                        place,
                        &way.packet,
                    )
                };
                self.end(&mut way, end_here);
            }
        }
    }

    pub(super) fn filter_hop(
        &self,
        pass: &Pass,
        (hook, table): (&'static str, &str),
        action: String,
    ) -> Hop {
        let place =
            Place { host: Some(pass.host), netns: Some(pass.netns.clone()), ..Place::default() };
        let mut hop = Hop::new(Kind::Netfilter, place, action);
        hop.input = pass.input.map(|input| self.name(input));
        hop.output = pass.output.map(|output| self.name(output.0));
        hop.details.hook = Some(hook);
        hop.details.table = Some(table.into());
        hop
    }
}

/// Whether an end is a rule, not the policy of a chain.
pub(super) fn is_rule(end: &filter::End, walk: &Walk<'_, '_, '_>, _pass: &Pass) -> bool {
    let Some(at) = end.evidence else { return false };
    let quoted = walk.network.topology.snapshot.quote(at);
    quoted.starts_with("-A") || quoted.starts_with('[')
}

pub(super) fn outcome_words(outcome: &filter::Outcome) -> String {
    match outcome {
        filter::Outcome::Accept => "accepts".to_owned(),
        filter::Outcome::Drop => "drops".to_owned(),
        filter::Outcome::Reject => "rejects".to_owned(),
        filter::Outcome::Translate(target) => match target {
            Target::Dnat(to) => format!("DNAT to {}", to.text),
            Target::Snat(to) => format!("SNAT to {}", to.text),
            Target::Masquerade => "MASQUERADE".to_owned(),
            Target::Redirect(Some(ports)) => format!("REDIRECT to port {}", ports.start()),
            Target::Redirect(None) => "REDIRECT".to_owned(),
            Target::Netmap(Some(net)) => format!("NETMAP to {net}"),
            other => format!("{other:?}"),
        },
        filter::Outcome::Unknown(name) => Name::from(format!("{name}: not modelled")).to_string(),
    }
}
