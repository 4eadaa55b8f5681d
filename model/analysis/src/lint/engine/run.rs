//! Runs the rules and puts their answers in order.
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;
use std::hash::Hash;
use tapline_core::need::Need;

use rayon::prelude::*;
use sha2::{Digest as _, Sha256};
use tapline_core::capture::HostId;
use tapline_core::outcome::ProblemKind;
use tapline_core::span::SourceId;
use tapline_topology::{CaptureKey, Topology};

use super::ctx::Ctx;
use super::explain::{add_populations, explain};
use super::finding::{Cited, Confidence, Finding, Role};
use super::rule::{Layer, RuleRef, Text};
use super::settings::{Scope, Settings};
use super::verdicts::{CannotTell, Verdicts};

/// The answers of all rules.
#[derive(Debug, Default)]
pub struct Report {
    /// Faults: roots by severity, then what they cut off and confidence, each followed by what it
    /// explains.
    pub findings: Vec<Finding>,
    /// What could not be decided, by code and host.
    pub cannot_tell: Vec<CannotTell>,
    /// How many objects each rule found as they should be, in the order of the rules.
    pub clean: Vec<(Text, u32)>,
    /// Suppressions that fit no finding, by their index, although their rule could judge.
    pub unused: Vec<usize>,
}

/// Runs rules over the topology as `settings` say.
pub fn run<R: Into<RuleRef>>(
    topology: &Topology<'_>,
    rules: impl IntoIterator<Item = R>,
    settings: &Settings,
) -> Report {
    let ctx = Ctx::new(topology, settings);
    let rules: Vec<RuleRef> = rules.into_iter().map(Into::into).collect();
    let judge = |rule: &RuleRef| {
        let mut verdicts = Verdicts::new(rule.clone());
        rule.check.run(&ctx, &mut verdicts);
        verdicts
    };
    let answers: Vec<Verdicts> = rules.par_iter().map(judge).collect();
    let mut report = Report::default();
    for (rule, mut verdicts) in rules.iter().zip(answers) {
        withdraw(&mut verdicts, &ctx);
        let cannot_tell = verdicts.take_cannot_tell();
        let mut findings = merge(verdicts.findings, &ctx);
        doubt_absence(&mut findings, &ctx);
        report.findings.extend(findings);
        report.clean.push((rule.code.clone(), verdicts.clean));
        report.cannot_tell.extend(cannot_tell.into_iter().map(|((host, missing), count)| {
            CannotTell { code: rule.code.clone(), host, missing, count }
        }));
    }
    add_populations(&mut report, &ctx);
    for finding in &mut report.findings {
        say_whose(finding, &ctx);
        finding.of_machine = of_machine(finding, &ctx);
        settings.apply(finding, ctx.hostname(finding.host));
    }
    report.findings.sort_by(|a, b| order(a, &ctx).cmp(&order(b, &ctx)));
    explain(&mut report.findings, &ctx);
    let hosts: Vec<&str> = ctx.hosts().map(|host| ctx.hostname(host)).collect();
    report.unused = unused(settings, &report, &hosts);
    report
        .cannot_tell
        .sort_by(|a, b| (&a.code, a.host, &a.missing).cmp(&(&b.code, b.host, &b.missing)));
    report
}

/// Suppressions that fit no finding although their rule has judged all that they are about, by
/// their index.
fn unused(settings: &Settings, report: &Report, hosts: &[&str]) -> Vec<usize> {
    let host_name = |id: HostId| hosts.get(id.0 as usize).copied();
    let is_unused = |scope: &Scope| {
        let is_meant = |host: &str| scope.host.as_ref().is_none_or(|glob| glob.matches(host));
        let ran = report.clean.iter().any(|(code, _)| *code == scope.code);
        let is_open = report
            .cannot_tell
            .iter()
            .any(|open| open.code == scope.code && host_name(open.host).is_some_and(is_meant));
        let fits = |finding: &Finding| {
            host_name(finding.host).is_some_and(|host| scope.holds(finding, host))
        };
        // What was not judged may well be there.
        ran && !is_open
            && hosts.iter().any(|host| is_meant(host))
            && !report.findings.iter().any(fits)
    };
    let all = settings.suppressions.iter().enumerate();
    all.filter(|(_, suppression)| is_unused(&suppression.scope)).map(|(at, _)| at).collect()
}

/// The most severe first, then by code, host, namespace and object.
fn order<'a>(it: &'a Finding, ctx: &'a Ctx<'_>) -> impl Ord + 'a {
    (
        Reverse(it.severity),
        &*it.rule.code,
        ctx.host_name(it.host),
        it.host,
        &it.netns,
        it.subject.kind(),
        &it.subject.name,
        &it.message,
    )
}

/// A record at which a text may be cut off proves nothing: a name in it may be shortened, and what
/// would stand behind it is not known. Findings that rest on such a record are undecided.
fn withdraw(verdicts: &mut Verdicts, ctx: &Ctx<'_>) {
    let snapshot = ctx.topology.snapshot;
    let is_cut = |cited: &Cited| {
        let it = &cited.evidence;
        let problems = snapshot.reading(it.source).map_or(&[][..], |reading| &reading.problems);
        // Of what only says more about the fault, whole lines do.
        let last_line = || {
            let text = snapshot.source(it.source).map_or("", |source| source.text.as_str());
            text.rfind('\n').and_then(|text| u32::try_from(text).ok()).unwrap_or(0)
        };
        problems.iter().any(|problem| {
            problem.kind == ProblemKind::Truncated
                && problem.span.start <= it.span.end
                && it.span.start <= problem.span.end
                && (cited.role != Role::Context || it.span.end > last_line())
        })
    };
    // Rules about the capture speak of just that.
    if verdicts.rule.traits.place.is_some_and(|place| place.layer == Layer::Capture) {
        return;
    }
    let (undecided, findings) = std::mem::take(&mut verdicts.findings)
        .into_iter()
        .partition(|it| it.evidence.iter().any(is_cut));
    verdicts.findings = findings;
    let undecided: Vec<Finding> = undecided;
    for finding in undecided {
        let cut = finding.evidence.iter().filter(|evidence| is_cut(evidence));
        let sources = cut.filter_map(|cut| snapshot.source(cut.evidence.source));
        verdicts.cannot_tell(finding.host, sources.map(Need::again));
    }
}

/// Gives each finding its fingerprint; several of one rule on one object become one.
fn merge(findings: Vec<Finding>, ctx: &Ctx<'_>) -> Vec<Finding> {
    let mut places: HashMap<(HostId, String), usize> = HashMap::new();
    let mut groups: Vec<Vec<Finding>> = Vec::with_capacity(findings.len());
    for mut finding in findings {
        finding.evidence.sort_by_key(|evidence| evidence.role);
        finding.fingerprint = fingerprint(&finding, ctx);
        let place = places.entry((finding.host, finding.fingerprint.clone()));
        let at = *place.or_insert(groups.len());
        match groups.get_mut(at) {
            Some(group) => group.push(finding),
            None => groups.push(vec![finding]),
        }
    }
    groups.into_iter().filter_map(fold).collect()
}

/// Makes one finding of those on one object: the first of the most severe, with what the others say.
fn fold(mut findings: Vec<Finding>) -> Option<Finding> {
    let worst = findings.iter().map(|finding| finding.severity).max()?;
    let at = findings.iter().position(|finding| finding.severity == worst)?;
    let mut first = findings.remove(at);
    if findings.is_empty() {
        return Some(first);
    }
    let message = first.message.clone();
    let (mut notes, mut evidence, mut searched, mut next, mut also) = (
        Once::of(std::mem::take(&mut first.notes)),
        Once::of(std::mem::take(&mut first.evidence)),
        Once::of(std::mem::take(&mut first.searched)),
        Once::of(std::mem::take(&mut first.next)),
        Once::of(std::mem::take(&mut first.also)),
    );
    for other in findings {
        notes.extend((other.message != message).then_some(other.message));
        notes.extend(other.notes);
        evidence.extend(other.evidence);
        searched.extend(other.searched);
        next.extend(other.next);
        also.extend(other.also);
    }
    (first.notes, first.evidence, first.searched) = (notes.all, evidence.all, searched.all);
    (first.next, first.also) = (next.all, also.all);
    first.evidence.sort_by_key(|evidence| evidence.role);
    Some(first)
}

/// Things in the order of their coming, each once.
struct Once<T> {
    all: Vec<T>,
    seen: HashSet<T>,
}

impl<T: Clone + Eq + Hash> Once<T> {
    fn of(all: Vec<T>) -> Self {
        Self { seen: all.iter().cloned().collect(), all }
    }

    fn extend(&mut self, more: impl IntoIterator<Item = T>) {
        for item in more {
            if self.seen.insert(item.clone()) {
                self.all.push(item);
            }
        }
    }
}

/// Rule, machine, namespace and object: nothing that renumbering, other lines or another order of
/// inputs could change, nor the name under which a host is shown. An older capture of a machine has
/// fingerprints of its own.
pub(super) fn fingerprint(finding: &Finding, ctx: &Ctx<'_>) -> String {
    let key = CaptureKey::of(ctx.topology.snapshot, finding.host);
    hash(finding, &key.map(|key| key.to_string()).unwrap_or_default())
}

/// Whose device it is, where a list tells what people call the guest.
fn say_whose(finding: &mut Finding, ctx: &Ctx<'_>) {
    let workload = finding.subject.id().and_then(|node| ctx.workloads().of(node));
    let Some(workload) = workload.filter(|workload| workload.is_named()) else { return };
    let verb = if workload.is_proven() { "serves" } else { "may serve" };
    finding.notes.push(format!("it {verb} {workload}"));
    if let Some(&evidence) = workload.lines.last() {
        finding.evidence.push(Cited { role: Role::Context, evidence, label: workload.to_string() });
        finding.evidence.sort_by_key(|evidence| evidence.role);
    }
}

/// The same for all captures of the machine, whatever they were saved as: what a baseline holds.
fn of_machine(finding: &Finding, ctx: &Ctx<'_>) -> String {
    let host = ctx.topology.snapshot.host(finding.host);
    hash(finding, &host.map(|host| host.key.across_captures().to_string()).unwrap_or_default())
}

fn hash(finding: &Finding, host: &str) -> String {
    let netns = finding.netns.as_ref().map(ToString::to_string).unwrap_or_default();
    let subject = &finding.subject;
    let parts = [&*finding.rule.code, host, &netns, subject.kind(), subject.identity()];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
        // No name holds a zero byte, so different parts never run together.
        hash.update([0]);
    }
    let mut text = String::with_capacity(32);
    for byte in hash.finalize().iter().take(16) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// Something may have come or gone between two captures. Where a single object is missing and the
/// texts were taken at different or unknown times, that is a possible reason.
fn doubt_absence(findings: &mut [Finding], ctx: &Ctx<'_>) {
    let mut per_host: BTreeMap<_, usize> = BTreeMap::new();
    for it in findings.iter().filter(|finding| finding.rests_on_absence) {
        *per_host.entry(it.host).or_default() += 1 + it.also.len();
    }
    for finding in findings {
        let single = finding.rests_on_absence && per_host.get(&finding.host) == Some(&1);
        let Some(apart) = single.then(|| note_time_apart(finding, ctx)).flatten() else { continue };
        finding.confidence = match finding.confidence {
            Confidence::Proven => Confidence::Strong,
            Confidence::Strong | Confidence::Suspect => Confidence::Suspect,
        };
        finding.notes.push(apart);
    }
}

/// Says how far apart the texts were taken that a finding compares; `None` where that is no
/// concern.
fn note_time_apart(finding: &Finding, ctx: &Ctx<'_>) -> Option<String> {
    let cited = finding.evidence.iter().map(|evidence| evidence.evidence.source);
    let searched =
        finding.searched.iter().flat_map(|searched| searched.sources.iter().map(|source| source.0));
    let sources: BTreeSet<SourceId> = cited.chain(searched).collect();
    if sources.len() < 2 {
        return None;
    }
    let source = |id: &SourceId| ctx.topology.snapshot.source(*id);
    let one_archive = sources.iter().filter_map(source).map(|it| &it.archive);
    let one_archive = one_archive.collect::<BTreeSet<_>>().len() == 1;
    // The earliest and the latest time at which each may have been taken.
    let bounds = sources.iter().filter_map(source).map(|it| {
        it.taken.map(|taken| (taken, taken)).or_else(|| it.window.filter(|_| one_archive))
    });
    let Some(bounds) = bounds.collect::<Option<Vec<_>>>() else {
        return Some(
            "when the captures were taken is not known: it may have come or gone between them"
                .to_owned(),
        );
    };
    let first = bounds.iter().map(|bound| bound.0).fold(f64::INFINITY, f64::min);
    let last = bounds.iter().map(|bound| bound.1).fold(f64::NEG_INFINITY, f64::max);
    let seconds = last - first;
    (seconds > ctx.settings.thresholds.capture_skew_s).then(|| {
        format!(
            "the captures were taken {seconds:.0} s apart: it may have come or gone between them"
        )
    })
}
