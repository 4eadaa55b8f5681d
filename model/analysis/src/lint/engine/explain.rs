//! Root causes: which finding follows from which, and what each of them cuts off.
//!
//! One fault makes many findings: a NIC without a link leaves a bridge without an uplink, tunnels
//! without a source and routers without a gateway. All are true, one is to be repaired. The
//! [`relation`] says which rules explain which, and what the two findings must have in common
//! ([`touch`]). Each finding is given at most one cause, the surest and nearest to the ground;
//! those without one are roots. Nothing is dropped.
mod blast;
mod population;
pub(crate) mod relation;
mod touch;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;

pub(crate) use population::add as add_populations;

use self::blast::Reach;
use self::relation::RELATION;
use self::touch::{Key, Touch};
use super::ctx::Ctx;
use super::finding::{Blast, Confidence, Finding, Severity, Shape};
use super::rule::Join;

/// Hints at possible causes that one finding gets.
const HINTS: usize = 2;

/// Causes that are kept for one declaration and key: one explains, the others are named beside it.
const BEST: usize = 3;

/// Findings that may explain others, by their number in the relation, host and key.
type Index<'t> = BTreeMap<(usize, Option<HostId>, Key<'t>), Vec<usize>>;

/// Ties findings to their causes and orders them: roots by severity and what they cut off, each followed by what it explains.
pub(crate) fn explain(findings: &mut Vec<Finding>, ctx: &Ctx<'_>) {
    let mut reach = Reach::new(ctx);
    let touches: Vec<Touch> = findings.iter().map(|finding| Touch::of(finding, ctx)).collect();
    let reached: Vec<_> =
        findings.iter().zip(&touches).map(|(it, touch)| reach.of(it, touch)).collect();
    for (finding, (blast, _)) in findings.iter_mut().zip(&reached) {
        finding.blast = *blast;
    }
    let above: Vec<_> = reached.into_iter().map(|(_, above)| above).collect();
    let causes = causes(findings, &touches, &above);
    tie(findings, &causes);
    arrange(findings, &causes);
}

/// What a finding may follow from.
#[derive(Debug, Default)]
struct Cause {
    /// Index of the finding that explains it.
    by: Option<usize>,
    /// Indexes of others that would explain it alone.
    also: Vec<usize>,
    /// Indexes of findings that are not sure enough to explain it.
    perhaps: Vec<usize>,
}

/// The cause of each finding.
fn causes(
    findings: &[Finding],
    touches: &[Touch],
    above: &[Vec<tapline_topology::NodeId>],
) -> Vec<Cause> {
    let index = index(findings, touches, above);
    let mut causes: Vec<Cause> = Vec::new();
    for (at, (symptom, touch)) in findings.iter().zip(touches).enumerate() {
        let mut candidates: Vec<usize> = Vec::new();
        for (number, roots) in RELATION.may_explain(symptom) {
            for join in roots.joins {
                for key in touch.keys(*join) {
                    let known = index.get(&(number, host_of(*join, symptom.host), key));
                    candidates.extend(known.into_iter().flatten().filter(|root| **root != at));
                }
            }
        }
        candidates.sort_by_key(|candidate| findings.get(*candidate).map(rank));
        candidates.dedup();
        let mut cause = Cause::default();
        for candidate in candidates {
            let Some(root) = findings.get(candidate) else { continue };
            if !leads_up(root, symptom) {
                continue;
            }
            if may_explain(root, symptom) {
                match cause.by {
                    None => cause.by = Some(candidate),
                    Some(_) => cause.also.push(candidate),
                }
            } else if cause.perhaps.len() < HINTS {
                cause.perhaps.push(candidate);
            }
        }
        if cause.by.is_some() {
            cause.perhaps.clear();
        }
        causes.push(cause);
    }
    // What follows from the same root is no second cause.
    let roots: Vec<usize> = (0..causes.len()).map(|at| root_of(at, &causes)).collect();
    let root = |at: usize| roots.get(at).copied().unwrap_or(at);
    for (at, cause) in causes.iter_mut().enumerate() {
        let mut seen = BTreeSet::from([root(at)]);
        cause.also.retain(|also| seen.insert(root(*also)));
        cause.also.truncate(HINTS);
    }
    causes
}

/// Whether causes in this direction cannot run in circles: towards the ground, or, of one rule,
/// from one whose peer is absent to one whose peer is there.
fn leads_up(root: &Finding, symptom: &Finding) -> bool {
    let (below, above) = (relation::place(root), relation::place(symptom));
    let of_one = root.rule.code == symptom.rule.code && root.shape != symptom.shape;
    below < above || below == above && of_one && root.shape == Shape::AbsentPeer
}

/// The best causes for each entry of the relation and each key.
fn index<'t>(
    findings: &[Finding],
    touches: &'t [Touch],
    above: &[Vec<tapline_topology::NodeId>],
) -> Index<'t> {
    let mut index: Index<'t> = BTreeMap::new();
    for (at, ((root, touch), above)) in findings.iter().zip(touches).zip(above).enumerate() {
        for (number, roots) in RELATION.roots.iter().enumerate() {
            if !roots.has(root) {
                continue;
            }
            for join in roots.joins {
                let host = host_of(*join, root.host);
                let mut keys = touch.keys(*join);
                if *join == Join::Above {
                    keys = above.iter().map(|above| Key::Node(*above)).collect();
                }
                for key in keys {
                    let best = index.entry((number, host, key)).or_default();
                    best.push(at);
                    best.sort_by_key(|best| findings.get(*best).map(rank));
                    best.dedup();
                    best.truncate(BEST);
                }
            }
        }
    }
    index
}

/// Names mean something to one host only; virtual machines and addresses are the same on all.
fn host_of(join: Join, host: HostId) -> Option<HostId> {
    (!matches!(join, Join::Vm | Join::AnyAddress | Join::Peer)).then_some(host)
}

/// The surest first, then the nearest to the ground, then the most severe.
fn rank(it: &Finding) -> impl Ord + use<> {
    (Reverse(it.confidence), relation::place(it), Reverse(it.severity))
}

/// A guess does not explain away what is proven, nor a remark what is severe.
fn may_explain(root: &Finding, symptom: &Finding) -> bool {
    let sure =
        !(root.confidence == Confidence::Suspect && symptom.confidence == Confidence::Proven);
    let severe = root.severity > Severity::Info || symptom.severity == Severity::Info;
    sure && severe
}

/// Follows causes to the root. The relation leads towards the ground only, so this ends.
fn root_of(at: usize, causes: &[Cause]) -> usize {
    let mut root = at;
    for _ in 0..causes.len() {
        match causes.get(root).and_then(|it| it.by) {
            Some(by) => root = by,
            None => break,
        }
    }
    root
}

/// Writes causes into the findings.
fn tie(findings: &mut [Finding], causes: &[Cause]) {
    let fingerprints: Vec<String> =
        findings.iter().map(|finding| finding.fingerprint.clone()).collect();
    let names: Vec<String> = findings
        .iter()
        .map(|finding| format!("{} on {}", finding.rule.code, finding.subject.name))
        .collect();
    let mut explains: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    let mut affected: BTreeMap<usize, Blast> = BTreeMap::new();
    for (at, finding) in findings.iter_mut().enumerate() {
        let Some(cause) = causes.get(at) else { continue };
        finding.explained_by = cause.by.and_then(|by| fingerprints.get(by).cloned());
        let prints = |all: &[usize]| -> Vec<String> {
            all.iter().filter_map(|it| fingerprints.get(*it).cloned()).collect()
        };
        finding.also_explained_by = prints(&cause.also);
        finding.maybe_explained_by = prints(&cause.perhaps);
        for name in cause.perhaps.iter().filter_map(|perhap| names.get(*perhap)) {
            finding.notes.push(format!("may be caused by {name}"));
        }
        // All causes up to the root explain it.
        let mut above = cause.by;
        for _ in 0..causes.len() {
            let Some(by) = above else { break };
            explains.entry(by).or_default().push(finding.fingerprint.clone());
            let blast = affected.entry(by).or_default();
            *blast = blast.or_more(finding.blast);
            above = causes.get(by).and_then(|it| it.by);
        }
    }
    for (by, all) in explains {
        let Some(finding) = findings.get_mut(by) else { continue };
        finding.explains = all;
        // What a consequence cuts off is cut off by its cause.
        finding.blast = finding.blast.or_more(affected.get(&by).copied().unwrap_or_default());
    }
}

/// Roots by severity, what they cut off, confidence and the rank of their rule, each followed
/// by what it explains in the order in which that stood.
fn arrange(findings: &mut Vec<Finding>, causes: &[Cause]) {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for at in 0..findings.len() {
        groups.entry(root_of(at, causes)).or_default().push(at);
    }
    let mut roots: Vec<usize> = groups.keys().copied().collect();
    // A cause is as bad as the worst that follows from it.
    let worst = |root: &usize| {
        let group = groups.get(root).into_iter().flatten();
        group.filter_map(|at| findings.get(*at)).map(|finding| finding.severity).max()
    };
    // Stable: findings that are equal in all of these keep their order.
    roots.sort_by_key(|root| (Reverse(worst(root)), findings.get(*root).map(order)));
    let mut slots: Vec<Option<Finding>> = std::mem::take(findings).into_iter().map(Some).collect();
    for root in roots {
        let group = groups.remove(&root).unwrap_or_default();
        let rest = group.into_iter().filter(|group| *group != root);
        for at in std::iter::once(root).chain(rest) {
            findings.extend(slots.get_mut(at).and_then(Option::take));
        }
    }
}

fn order(it: &Finding) -> impl Ord + use<> {
    let rank = it.rule.traits.rank;
    (Reverse(it.severity), Reverse(it.blast.total()), Reverse(it.confidence), rank)
}

#[cfg(test)]
mod tests;
