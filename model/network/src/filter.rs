//! What packet filters do with a packet: a chain is walked for a packet that is known in part.
//!
//! Tables of `iptables` and of `nft` are walked by the same rules: in order, through the chains
//! that are jumped to, up to a verdict or the policy. A rule that may be met or not leads on both
//! ways. So the answer is a list of [`End`]s: where the packet may end, and which rules leave that
//! open. *Accepted* and *dropped* are said only where all ends agree.
mod chains;
mod frame;
mod near;
mod packet;
mod sets;
mod walk;

use tapline_core::Name;
use tapline_core::records::filter::Target;
use tapline_core::records::netfilter::NetfilterTable;
use tapline_core::records::nft::{NftChain, NftTable};
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_core::span::SourceId;

pub use frame::{Arp, Frame};
pub use near::{Miss, nearest};
pub use packet::{Address, Device, Mark, Packet};
pub use sets::Sets;

use chains::Chains;
use walk::walk;

use crate::truth::Truth;

/// What becomes of a packet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// It passes.
    Accept,
    /// It is thrown away; where an end may also be a reject, this is said too.
    Drop,
    /// It is thrown away, and its sender is told.
    Reject,
    /// It may pass or not: [`Judgement::doubts`] names the rules that would decide.
    Unknown,
}

/// What becomes of a packet, and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Judgement {
    /// Where the packet may end, in the order of the rules.
    pub ends: Vec<End>,
    /// Rules of which it is not known whether the packet meets them, in the order of the rules.
    pub doubts: Vec<Doubt>,
    /// The mark of the packet behind the chain, where it passes.
    pub mark: Mark,
    /// The mark of its connection behind the chain.
    pub conn_mark: Mark,
    /// The rules that set the mark.
    pub marked: Vec<Evidence>,
    /// Rules whose limits decide, and are taken not to be used up.
    pub within: Vec<(Evidence, Name)>,
    /// Whether a rule takes it from the connection tracker (`NOTRACK`).
    pub untracked: Truth,
    /// What was looked at, where the packet asks for that.
    pub looked: Looked,
    /// The rules and policies whose counters it moves, in their order; never *no*.
    pub met: Vec<(Evidence, Truth)>,
}

/// The rules that were looked at for a packet.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Looked {
    /// How many.
    pub rules: u32,
    /// Those that it meets or may meet, with what they do.
    pub met: Vec<Evidence>,
    /// Those that it does not meet.
    pub misses: Vec<Miss>,
}

/// A place where a packet may end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    /// What happens there.
    pub outcome: Outcome,
    /// The rule or the policy; `None` where the table names neither.
    pub evidence: Option<Evidence>,
    /// Packets and bytes that the rule or the policy counted.
    pub counters: Option<(u64, u64)>,
    /// The packet surely comes here: no rule on its path is in doubt.
    pub certain: bool,
    /// The mark that it has there.
    pub mark: Mark,
}

/// What happens at an end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// It passes.
    Accept,
    /// It is thrown away.
    Drop,
    /// It is thrown away, and its sender is told.
    Reject,
    /// It passes with another address or port.
    Translate(Target),
    /// It is not known what the rule does.
    Unknown(Name),
}

/// A rule of which it is not known whether a packet meets it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Doubt {
    /// The rule.
    pub evidence: Evidence,
    /// The condition that is not known.
    pub condition: Name,
    /// The set that it asks.
    pub set: Option<Name>,
}

impl Judgement {
    /// What all ends agree on.
    pub fn verdict(&self) -> Verdict {
        let (mut passes, mut drops, mut rejects) = (false, false, false);
        for end in &self.ends {
            match end.outcome {
                Outcome::Accept | Outcome::Translate(_) => passes = true,
                Outcome::Drop => drops = true,
                Outcome::Reject => rejects = true,
                Outcome::Unknown(_) => return Verdict::Unknown,
            }
        }
        match (passes, drops, rejects) {
            (true, false, false) => Verdict::Accept,
            (false, true, _) => Verdict::Drop,
            (false, false, true) => Verdict::Reject,
            _ => Verdict::Unknown,
        }
    }

    /// The end that shows best why a packet does not pass: a sure one, else the last.
    pub fn stop(&self) -> Option<&End> {
        let stops = || {
            self.ends.iter().filter(|end| matches!(end.outcome, Outcome::Drop | Outcome::Reject))
        };
        stops().find(|end| end.certain).or_else(|| stops().next_back())
    }
}

/// What a chain of a table of `iptables` or `ip6tables` does with a packet. `None` where the table
/// has no such chain.
pub fn evaluate(
    source: SourceId,
    table: &NetfilterTable,
    chain: &str,
    packet: &Packet,
) -> Option<Judgement> {
    let chains = Chains::of_iptables(source, table);
    walk(&chains, chain, packet)
}

/// What the chains of a hook do with a packet, in the order of their priorities: one that accepts
/// it does not save it from the next. `skip` leaves out chains that were read from another text.
/// `None` where no chain looks at such packets there.
pub fn evaluate_hook(
    source: SourceId,
    tables: &[NftTable],
    kind: &str,
    hook: &str,
    packet: &Packet,
    skip: impl Fn(&NftTable, &str) -> bool,
) -> Option<Judgement> {
    let bases = base_chains(tables, packet.family, hook);
    let bases = bases.filter(|base| base.kind == kind && !skip(base.table, &base.chain.name.value));
    let mut bases: Vec<_> = bases.collect();
    bases.sort_by_key(|base| base.priority);
    let mut all: Option<Judgement> = None;
    let mut packet = packet.clone();
    for base in bases {
        let Some(judgement) = base.evaluate(source, &packet) else { continue };
        packet.mark = judgement.mark;
        packet.conn_mark = judgement.conn_mark;
        all = Some(match all {
            None => judgement,
            Some(before) => before.then(judgement),
        });
        if all.as_ref().is_some_and(|judgement| judgement.ends.iter().all(|end| !end.passes())) {
            break;
        }
    }
    all
}

/// A chain of nft that the kernel asks at a hook.
#[derive(Clone, Copy, Debug)]
pub struct BaseChain<'a> {
    /// Its table.
    pub table: &'a NftTable,
    /// The chain.
    pub chain: &'a NftChain,
    /// `filter`, `nat` or `route`.
    pub kind: &'a str,
    /// When it is asked: lower is earlier.
    pub priority: i64,
}

impl BaseChain<'_> {
    /// What it does with a packet.
    pub fn evaluate(&self, source: SourceId, packet: &Packet) -> Option<Judgement> {
        walk(&Chains::of_nft(source, self.table), &self.chain.name.value, packet)
    }
}

/// The chains that are asked about packets of a family at a hook, as they are printed.
pub fn base_chains<'a, 'h>(
    tables: &'a [NftTable],
    family: Family,
    hook: &'h str,
) -> impl Iterator<Item = BaseChain<'a>> + use<'a, 'h> {
    let about = tables.iter().filter(move |table| chains::is_about(table, family));
    about.flat_map(move |table| {
        table.chains.iter().filter_map(move |chain| {
            let kind = chain.kind.as_deref()?;
            let here = chain.hook.as_ref().is_some_and(|place| place.value == hook);
            here.then(|| BaseChain { table, chain, kind, priority: chains::priority(chain) })
        })
    })
}

impl End {
    /// Whether the packet goes on from here.
    fn passes(&self) -> bool {
        !matches!(self.outcome, Outcome::Drop | Outcome::Reject)
    }
}

impl Judgement {
    /// What passes goes on to another chain.
    fn then(self, next: Self) -> Self {
        let (passing, mut ends): (Vec<_>, Vec<_>) = self.ends.into_iter().partition(End::passes);
        let certain = ends.is_empty();
        let unknown = passing.into_iter().filter(|end| matches!(end.outcome, Outcome::Unknown(_)));
        ends.extend(unknown);
        ends.extend(
            next.ends.into_iter().map(|end| End { certain: end.certain && certain, ..end }),
        );
        let mut doubts = self.doubts;
        doubts.extend(next.doubts);
        let mut marked = self.marked;
        marked.extend(next.marked);
        let mut within = self.within;
        within.extend(next.within);
        let untracked = self.untracked.or(next.untracked);
        let mut looked = self.looked;
        looked.rules += next.looked.rules;
        looked.met.extend(next.looked.met);
        looked.misses.extend(next.looked.misses);
        let mut met = self.met;
        let came = if certain { Truth::Yes } else { Truth::Maybe };
        met.extend(next.met.into_iter().map(|(at, truth)| (at, truth.and(came))));
        let (mark, conn_mark) = (next.mark, next.conn_mark);
        Self { ends, doubts, mark, conn_mark, marked, within, untracked, looked, met }
    }
}

#[cfg(test)]
mod tests;
