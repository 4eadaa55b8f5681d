//! The walk of a packet through chains.
//!
//! A rule in doubt is both met and not met: its end is noted as not certain, and the walk goes on.
//! Where two paths come together again, what is known of the mark is what both know. So the work
//! grows with the rules that are passed, not with the number of paths.
use tapline_core::records::filter::{Change, Condition, Target, Test};
use tapline_core::records::nft::Statement;
use tapline_core::span::Evidence;

use super::chains::{Body, Chain, Chains, Rule};
use super::{Doubt, End, Judgement, Looked, Mark, Miss, Outcome, Packet};
use crate::truth::Truth;

/// Rules that are looked at for one packet.
const MAX_RULES: u32 = 100_000;
/// Chains within chains; the kernel allows 16 (`NFT_JUMP_STACK_SIZE`).
const MAX_DEPTH: u32 = 64;
/// Ends and doubts that are kept.
const MAX_KEPT: usize = 1000;

/// Walks from a base chain. `None` where there is no such chain.
pub(super) fn walk(chains: &Chains<'_>, name: &str, packet: &Packet) -> Option<Judgement> {
    let base = chains.get(name)?;
    let mut walk = Walk {
        chains,
        packet: packet.clone(),
        rules: 0,
        judgement: Judgement {
            ends: Vec::new(),
            doubts: Vec::new(),
            mark: packet.mark,
            conn_mark: packet.conn_mark,
            marked: Vec::new(),
            within: Vec::new(),
            untracked: Truth::No,
            looked: Looked::default(),
            met: Vec::new(),
        },
        passed: None,
    };
    let left = walk.chain(base, Truth::Yes, 0);
    if left != Truth::No {
        let end = match &base.policy {
            Some(policy) => End {
                outcome: policy.outcome.clone(),
                evidence: policy.evidence,
                counters: policy.counters,
                certain: left == Truth::Yes,
                mark: walk.packet.mark,
            },
            None => End {
                outcome: Outcome::Unknown("a chain without a policy".into()),
                evidence: None,
                counters: None,
                certain: left == Truth::Yes,
                mark: walk.packet.mark,
            },
        };
        if let Some(at) = end.evidence {
            walk.meet(at, left);
        }
        walk.end(end);
    }
    walk.judgement.conn_mark = walk.packet.conn_mark;
    walk.judgement.mark = walk.passed.unwrap_or(walk.packet.mark);
    walk.judgement.looked.rules = walk.rules;
    Some(walk.judgement)
}

struct Walk<'c, 'a> {
    chains: &'c Chains<'a>,
    packet: Packet,
    rules: u32,
    judgement: Judgement,
    /// The mark where the packet passes, as far as all ends so far agree.
    passed: Option<Mark>,
}

/// How a rule leaves a packet.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Left {
    /// It goes on with the next rule.
    on: Truth,
    /// It goes back to the chain before.
    back: Truth,
}

impl Walk<'_, '_> {
    /// Walks one chain; returns whether the packet comes out of its end undecided.
    fn chain(&mut self, chain: &Chain<'_>, came: Truth, depth: u32) -> Truth {
        let ends = self.judgement.ends.len();
        let (mut here, mut back) = (came, Truth::No);
        // The mark of packets that went back before the end.
        let mut mark_back: Option<Mark> = None;
        for rule in &chain.rules {
            if here == Truth::No {
                break;
            }
            self.rules += 1;
            if self.rules > MAX_RULES {
                self.give_up(rule.evidence, "more rules than are looked at for one packet");
                return Truth::No;
            }
            let before = self.packet.mark;
            let left = self.rule(rule, here, depth);
            if left.back != Truth::No {
                back = back.or(left.back);
                mark_back = Some(mark_back.map_or(before, |mark| mark.join(before)));
            }
            here = left.on;
        }
        if let Some(mark) = mark_back {
            let on = here != Truth::No;
            self.packet.mark = if on { self.packet.mark.join(mark) } else { mark };
        }
        // Both ways out lead to the same place: what came in comes out where nothing ended.
        if self.judgement.ends.len() == ends { came } else { back.or(here) }
    }

    fn rule(&mut self, rule: &Rule<'_>, here: Truth, depth: u32) -> Left {
        let (ends, doubts) = (self.judgement.ends.len(), self.judgement.doubts.len());
        let mark = self.packet.mark;
        let left = match rule.body {
            Body::Arguments(conditions, target) => {
                let met = self.all(rule, conditions);
                self.meet(rule.evidence, here.and(met));
                if target.is_some_and(|target| *target != Target::Aside) {
                    self.stay_within(rule, conditions.iter());
                }
                if self.packet.explain {
                    match met {
                        Truth::No => self.miss(rule, conditions.iter()),
                        _ => self.note(rule, target),
                    }
                }
                match target {
                    Some(target) => self.act(rule, target, here, met, depth),
                    None => Left { on: here, back: Truth::No },
                }
            }
            Body::Statements(statements) => self.statements(rule, statements, here, depth),
            Body::Open(reason) => {
                self.finish(rule, Outcome::Unknown(reason.into()), Truth::Maybe);
                Left { on: Truth::Maybe.and(here), back: Truth::No }
            }
        };
        if self.judgement.ends.len() > ends || left.back != Truth::No {
            return left;
        }
        // Nothing ended: whichever way a packet took, it is here again, and what was in doubt on
        // the way does not matter.
        if self.packet.mark == mark {
            self.judgement.doubts.truncate(doubts);
        }
        Left { on: here, back: Truth::No }
    }

    /// Whether all conditions are met; the first one in doubt is noted if none is surely not met.
    fn all(&mut self, rule: &Rule<'_>, conditions: &[Condition]) -> Truth {
        let mut met = Truth::Yes;
        let mut doubt = None;
        for condition in conditions {
            let one = self.one(condition);
            if one == Truth::Maybe {
                doubt.get_or_insert(condition);
            }
            met = met.and(one);
        }
        if let (Truth::Maybe, Some(condition)) = (met, doubt) {
            self.doubt(rule.evidence, condition);
        }
        met
    }

    /// Notes the limits of a rule that a packet meets but for them.
    fn stay_within<'t>(
        &mut self,
        rule: &Rule<'_>,
        conditions: impl Iterator<Item = &'t Condition>,
    ) {
        if !self.packet.alone {
            return;
        }
        let mut limits = Vec::new();
        for condition in conditions {
            match &condition.test {
                Test::Limit { text, .. } => limits.push((rule.evidence, text.clone())),
                _ if self.one(condition) == Truth::No => return,
                _ => {}
            }
        }
        let room = MAX_KEPT.saturating_sub(self.judgement.within.len());
        self.judgement.within.extend(limits.into_iter().take(room));
    }

    /// Notes a rule that the packet does not meet, with the conditions that it fails.
    fn miss<'t>(&mut self, rule: &Rule<'_>, conditions: impl Iterator<Item = &'t Condition>) {
        let failed: Vec<Condition> =
            conditions.filter(|condition| self.one(condition) == Truth::No).cloned().collect();
        if self.judgement.looked.misses.len() < MAX_KEPT {
            self.judgement.looked.misses.push(Miss { evidence: rule.evidence, failed });
        }
    }

    /// Notes a rule that the packet meets or may meet.
    fn note(&mut self, rule: &Rule<'_>, target: Option<&Target>) {
        let known = self.judgement.looked.met.contains(&rule.evidence);
        let room = self.judgement.looked.met.len() < MAX_KEPT;
        if self.packet.explain && target.is_some() && !known && room {
            self.judgement.looked.met.push(rule.evidence);
        }
    }

    fn one(&self, condition: &Condition) -> Truth {
        self.packet.fits(condition)
    }

    fn statements(
        &mut self,
        rule: &Rule<'_>,
        statements: &[Statement],
        here: Truth,
        depth: u32,
    ) -> Left {
        let mut met = Truth::Yes;
        // What has left the rule on another way than through its end.
        let mut out = Left { on: Truth::No, back: Truth::No };
        let mut inside = here;
        let mut counted = false;
        for statement in statements {
            if !counted && !matches!(statement, Statement::If(_)) {
                // Conditions behind the counter do not keep it from counting.
                counted = true;
                self.meet(rule.evidence, inside);
            }
            match statement {
                Statement::Counter(..) => {}
                Statement::If(condition) => {
                    let one = self.one(condition);
                    if one == Truth::Maybe && met == Truth::Yes {
                        self.doubt(rule.evidence, condition);
                    }
                    if one != Truth::Yes {
                        // Those that do not meet it go on with the next rule.
                        out.on = out.on.or(weaken(inside, one));
                    }
                    if let Test::Limit { .. } = condition.test
                        && inside != Truth::No
                        && statements.iter().any(decides)
                    {
                        self.stay_within(rule, std::iter::once(condition));
                    }
                    met = met.and(one);
                    inside = inside.and(one);
                    if one == Truth::No {
                        if self.packet.explain {
                            let all = statements.iter().filter_map(|statement| match statement {
                                Statement::If(condition) => Some(condition),
                                _ => None,
                            });
                            self.miss(rule, all);
                        }
                        return out;
                    }
                }
                Statement::Do(target) => {
                    self.note(rule, Some(target));
                    let left = self.act(rule, target, inside, Truth::Yes, depth);
                    out.back = out.back.or(left.back);
                    inside = left.on;
                }
                Statement::Choose(choices) => {
                    let left = self.choose(rule, choices, inside, depth);
                    out.back = out.back.or(left.back);
                    out.on = out.on.or(left.on);
                    inside = Truth::No;
                }
            }
            if inside == Truth::No {
                break;
            }
        }
        if !counted {
            self.meet(rule.evidence, inside);
        }
        Left { on: out.on.or(inside), back: out.back }
    }

    /// `vmap`: the first choice that is met; a packet that meets none goes on with the next rule.
    fn choose(
        &mut self,
        rule: &Rule<'_>,
        choices: &[(Condition, Target)],
        here: Truth,
        depth: u32,
    ) -> Left {
        let mut out = Left { on: Truth::No, back: Truth::No };
        let mut rest = here;
        for (condition, target) in choices {
            let met = self.one(condition);
            if met == Truth::No {
                if self.packet.explain {
                    self.miss(rule, std::iter::once(condition));
                }
                continue;
            }
            if met == Truth::Maybe {
                self.doubt(rule.evidence, condition);
            }
            let before = self.packet.mark;
            let left = self.act(rule, target, rest.and(met), Truth::Yes, depth);
            if met == Truth::Maybe {
                // The next choice is for those that did not take this one.
                let joins = left.on != Truth::No;
                self.packet.mark = if joins { self.packet.mark.join(before) } else { before };
            }
            out.on = out.on.or(left.on);
            out.back = out.back.or(left.back);
            if met == Truth::Yes {
                return out;
            }
            rest = Truth::Maybe.and(rest);
        }
        Left { on: out.on.or(rest), back: out.back }
    }

    /// Does what a target does with packets that are `here` and meet its rule.
    fn act(
        &mut self,
        rule: &Rule<'_>,
        target: &Target,
        here: Truth,
        met: Truth,
        depth: u32,
    ) -> Left {
        let stays = Left { on: here, back: Truth::No };
        let taken = here.and(met);
        if taken == Truth::No {
            return stays;
        }
        // Those that do not meet the rule.
        let missed = weaken(here, met);
        let outcome = match target {
            Target::Accept => Outcome::Accept,
            Target::Drop => Outcome::Drop,
            Target::Reject => Outcome::Reject,
            Target::Dnat(_)
            | Target::Snat(_)
            | Target::Masquerade
            | Target::Redirect(_)
            | Target::Netmap(_) => Outcome::Translate(target.clone()),
            Target::Return => return Left { on: missed, back: taken },
            Target::NoTrack => {
                self.judgement.untracked = self.judgement.untracked.or(taken);
                return stays;
            }
            Target::Aside | Target::CtZone(_) | Target::ConnMark(_) => {
                self.change(target, met, taken);
                return stays;
            }
            Target::Mark(_) => {
                self.change(target, met, taken);
                if self.judgement.marked.len() < MAX_KEPT {
                    self.judgement.marked.push(rule.evidence);
                }
                return stays;
            }
            Target::Jump(name) => return self.jump(rule, name, here, met, depth, false),
            Target::Goto(name) => return self.jump(rule, name, here, met, depth, true),
            Target::Unknown(name) => {
                // It may also let the packet go on.
                self.finish(rule, Outcome::Unknown(name.clone()), Truth::Maybe);
                return Left { on: Truth::Maybe.and(here), back: Truth::No };
            }
        };
        self.finish(rule, outcome, taken);
        Left { on: missed, back: Truth::No }
    }

    /// Through another chain; behind `goto` its end is the end of this one.
    fn jump(
        &mut self,
        rule: &Rule<'_>,
        name: &str,
        here: Truth,
        met: Truth,
        depth: u32,
        goto: bool,
    ) -> Left {
        let taken = here.and(met);
        let missed = weaken(here, met);
        let chains = self.chains;
        let Some(chain) = chains.get(name).filter(|_| depth < MAX_DEPTH) else {
            let reason = match chains.get(name) {
                Some(_) => "chains within chains without an end".to_owned(),
                None => format!("the chain {name} is not in the table"),
            };
            self.finish(rule, Outcome::Unknown(reason.into()), Truth::Maybe);
            return Left { on: Truth::Maybe.and(here), back: Truth::No };
        };
        let before = self.packet.mark;
        let out = self.chain(chain, taken, depth + 1);
        if goto {
            // What comes out of the other chain goes back from here, with the mark that it got there.
            if missed != Truth::No {
                self.packet.mark = self.packet.mark.join(before);
            }
            return Left { on: missed, back: out };
        }
        // Of what did not come out again nothing goes on here: its mark is that of its end.
        self.packet.mark = match (missed, out) {
            (Truth::No, _) => self.packet.mark,
            (_, Truth::No) => before,
            _ => self.packet.mark.join(before),
        };
        Left { on: missed.or(out), back: Truth::No }
    }

    fn change(&mut self, target: &Target, met: Truth, taken: Truth) {
        let copies = matches!(target, Target::Mark(Change::Copy { .. }) | Target::ConnMark(_));
        if copies && self.packet.has_no_connection() {
            return;
        }
        let (mark, conn_mark) = (self.packet.mark, self.packet.conn_mark);
        let (new, new_conn) = match target {
            Target::Mark(Change::Set { clear, flip }) => (mark.change(*clear, *flip), conn_mark),
            Target::ConnMark(Change::Set { clear, flip }) => {
                (mark, conn_mark.change(*clear, *flip))
            }
            Target::Mark(Change::Copy { save: false, mask })
            | Target::ConnMark(Change::Copy { save: false, mask }) => {
                (mark.copy(conn_mark, *mask), conn_mark)
            }
            Target::ConnMark(Change::Copy { save: true, mask }) => {
                (mark, conn_mark.copy(mark, *mask))
            }
            Target::Mark(_) => (Mark::UNKNOWN, conn_mark),
            Target::ConnMark(_) => (mark, Mark::UNKNOWN),
            _ => return,
        };
        self.packet.mark = if met == Truth::Yes { new } else { new.join(mark) };
        // Chains that are left early join the marks of packets, not those of connections.
        let sure = taken == Truth::Yes;
        self.packet.conn_mark = if sure { new_conn } else { new_conn.join(conn_mark) };
    }

    fn meet(&mut self, at: Evidence, truth: Truth) {
        if truth != Truth::No && self.judgement.met.len() < MAX_KEPT {
            self.judgement.met.push((at, truth));
        }
    }

    fn finish(&mut self, rule: &Rule<'_>, outcome: Outcome, taken: Truth) {
        self.end(End {
            outcome,
            evidence: Some(rule.evidence),
            counters: rule.counters,
            certain: taken == Truth::Yes,
            mark: self.packet.mark,
        });
    }

    fn end(&mut self, end: End) {
        if end.passes() {
            let mark = self.packet.mark;
            self.passed = Some(self.passed.map_or(mark, |passed| passed.join(mark)));
        }
        if self.judgement.ends.len() < MAX_KEPT {
            self.judgement.ends.push(end);
        }
    }

    fn give_up(&mut self, evidence: Evidence, reason: &str) {
        self.judgement.ends.truncate(MAX_KEPT.saturating_sub(1));
        self.end(End {
            outcome: Outcome::Unknown(reason.into()),
            evidence: Some(evidence),
            counters: None,
            certain: false,
            mark: self.packet.mark,
        });
    }

    fn doubt(&mut self, evidence: Evidence, condition: &Condition) {
        if self.judgement.doubts.len() < MAX_KEPT {
            let not = if condition.not { "not " } else { "" };
            let set = match &condition.test {
                Test::Set { name, .. } => Some(name.clone()),
                _ => None,
            };
            let condition = format!("{not}{:?}", condition.test).into();
            self.judgement.doubts.push(Doubt { evidence, condition, set });
        }
    }
}

/// Whether a statement does something with a packet.
fn decides(statement: &Statement) -> bool {
    match statement {
        Statement::Do(target) => *target != Target::Aside,
        Statement::Choose(_) => true,
        Statement::If(_) | Statement::Counter(..) => false,
    }
}

/// What is left of packets `here` behind a rule that they meet so.
fn weaken(here: Truth, met: Truth) -> Truth {
    here.and(met.negate(true))
}
