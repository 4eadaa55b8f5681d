//! A comparison for programs.
use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::diff::{
    Because, Change, Class, Difference, Event, Fate, FindingChange, Gap, HostDiff, Kind, Op,
    Places, Rate, Renumbering, Sort, VerdictChange,
};
use tapline_analysis::lint::Severity;
use tapline_core::span::Evidence;
use tapline_network::trace::{Cell, Reason};

use super::diff::Compared;
use super::source::excerpt;
use crate::schema as shape;

/// Characters around a place that are quoted.
const REACH: usize = 300;

#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.diff/1"))]
    schema: &'static str,
    /// The inputs of each side.
    inputs: Sides<Vec<&'a str>>,
    /// The sides that are snapshots (`tapline snapshot`): nothing is said of flows, filters, settings, findings
    /// and of what is reached.
    snapshot: Sides<bool>,
    /// Whether any host is on both sides; without one nothing is said.
    comparable: bool,
    /// Why the only two hosts are not compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'a str>,
    summary: SummaryRow,
    /// Hosts that both sides have.
    hosts: Vec<HostRow<'a>>,
    /// Hosts that only the old captures have: not comparable.
    only_old: Vec<&'a str>,
    /// Hosts that only the new captures have: not comparable.
    only_new: Vec<&'a str>,
    verdicts: Vec<VerdictRow<'a>>,
    findings: Vec<FindingRow<'a>>,
    /// What happened when, the earliest first: what has no date is last.
    events: Vec<EventRow<'a>>,
}

/// Something of the old captures and of the new ones.
#[derive(JsonSchema, Serialize)]
struct Sides<T> {
    old: T,
    new: T,
}

impl<T> Sides<T> {
    /// The same of both sides.
    fn of(side: impl Fn(usize) -> T) -> Self {
        Self { old: side(0), new: side(1) }
    }
}

#[derive(JsonSchema, Serialize)]
struct SummaryRow {
    breaking: usize,
    config: usize,
    /// Changes of configuration that are moves.
    moved: usize,
    cosmetic: usize,
    dynamic: usize,
    noise: usize,
    /// Numbers that were given anew.
    renumbered: usize,
    /// What is no longer reached, by guest and question.
    lost: usize,
    /// What is reached again.
    mended: usize,
    new_findings: usize,
    gone_findings: usize,
    kept_findings: usize,
    /// Guests that were not asked what they reach, since there are too many.
    unasked: usize,
}

#[derive(JsonSchema, Serialize)]
struct HostRow<'a> {
    /// The name on each side.
    host: Sides<&'a str>,
    /// The machine on each side.
    key: Sides<Option<String>>,
    /// When it was captured on each side, in seconds since the epoch.
    taken: Sides<Option<i64>>,
    /// Where nothing says that both are one machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    remark: Option<&'a str>,
    /// Things that are on both sides.
    compared: usize,
    changes: Vec<ChangeRow<'a>>,
    renumbered: Vec<RenumberingRow<'a>>,
    /// Counters of errors, drops and carriers that grew while the kernel and the device, or the flow, lived
    /// on.
    rates: Vec<RateRow<'a>>,
    /// What one side does not show: neither added nor removed.
    not_comparable: Vec<GapRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct RateRow<'a> {
    /// The key of the thing, as that of a change.
    key: String,
    name: &'a str,
    counter: &'a str,
    /// By how much it grew.
    by: u64,
    /// In how many seconds.
    seconds: u64,
    evidence: Sides<Option<EvidenceRow<'a>>>,
}

/// Two times, the earlier first; the same where it is known to the second.
#[derive(JsonSchema, Serialize)]
struct BetweenRow {
    from: i64,
    to: i64,
}

/// Something that happened at a known time.
#[derive(JsonSchema, Serialize)]
struct EventRow<'a> {
    host: &'a str,
    /// The side whose lines tell it: `old` or `new`.
    told_by: &'static str,
    #[schemars(with = "shape::DiffSort")]
    sort: Sort,
    /// A bridge, a VM, an address; empty for the host itself.
    subject: &'a str,
    /// How many flows, or how many times.
    many: u64,
    /// Between which seconds since the epoch; null where the capture does not say when it was taken.
    at: Option<BetweenRow>,
    /// How many seconds before the capture, at the most and at the least.
    ago: Option<BetweenRow>,
    evidence: Option<EvidenceRow<'a>>,
    /// The change that it dates.
    change: Option<BecauseRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct ChangeRow<'a> {
    #[schemars(with = "shape::DiffOp")]
    op: Op,
    #[schemars(with = "shape::DiffClass")]
    class: Class,
    #[schemars(with = "shape::DiffKind")]
    kind: Kind,
    /// Kind, place and name: the same for each comparison of these captures.
    key: String,
    netns: Option<String>,
    name: &'a str,
    differences: Vec<DifferenceRow<'a>>,
    /// The line that shows it, on each side.
    evidence: Sides<Option<EvidenceRow<'a>>>,
    /// Changes that follow from it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    parts: Vec<ChangeRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct DifferenceRow<'a> {
    value: &'a str,
    /// Null where it is not set.
    before: Option<&'a str>,
    /// Null where it is not set.
    after: Option<&'a str>,
    #[schemars(with = "shape::DiffClass")]
    class: Class,
    evidence: Sides<Option<EvidenceRow<'a>>>,
}

#[derive(JsonSchema, Serialize)]
struct EvidenceRow<'a> {
    archive: &'a str,
    member: &'a str,
    line: u32,
    /// The line.
    text: &'a str,
}

#[derive(JsonSchema, Serialize)]
struct RenumberingRow<'a> {
    #[schemars(with = "shape::DiffKind")]
    kind: Kind,
    value: &'a str,
    of: Vec<RenumberedRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct RenumberedRow<'a> {
    name: &'a str,
    before: &'a str,
    after: &'a str,
}

#[derive(JsonSchema, Serialize)]
struct GapRow<'a> {
    #[schemars(with = "shape::DiffKind")]
    kind: Kind,
    /// The value that is not told; null where the things themselves are not shown.
    value: Option<&'a str>,
    /// The side that lacks it: `old` or `new`.
    lacks: &'static str,
    /// How many things of the other side cannot be compared.
    things: usize,
    /// Some of the places.
    places: &'a [String],
}

/// A change by its host and key.
#[derive(JsonSchema, Serialize)]
struct BecauseRow<'a> {
    host: &'a str,
    key: String,
    /// How it is known of a verdict: a line that decides shows it, the packet ends at it, or the packet
    /// passes it on the other side.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<shape::DiffBecause>")]
    by: Option<Because>,
}

#[derive(JsonSchema, Serialize)]
struct VerdictRow<'a> {
    host: &'a str,
    guest: &'a str,
    nic: Option<&'a str>,
    /// `gateway`, `dhcp`, `metadata`, `outside`, `peer NAME`.
    to: &'a str,
    before: CellRow<'a>,
    after: CellRow<'a>,
    because: Option<BecauseRow<'a>>,
    /// The lines that decide, on each side.
    evidence: Sides<Vec<EvidenceRow<'a>>>,
}

#[derive(JsonSchema, Serialize)]
struct CellRow<'a> {
    /// Null where that cannot be told.
    reached: Option<bool>,
    outcome: &'static str,
    reason: Option<&'static str>,
    host: Option<&'a str>,
    netns: Option<String>,
    device: Option<&'a str>,
    bridge: Option<&'a str>,
    port: Option<&'a str>,
    /// It is the answer that does not arrive.
    back: bool,
}

#[derive(JsonSchema, Serialize)]
struct FindingRow<'a> {
    #[schemars(with = "shape::DiffFate")]
    fate: Fate,
    code: &'a str,
    #[schemars(with = "shape::Severity")]
    severity: Severity,
    host: &'a str,
    object: &'a str,
    message: &'a str,
    /// It follows from no other finding.
    root: bool,
    /// The same for each capture of the machine; a baseline holds it.
    fingerprint: &'a str,
    because: Option<BecauseRow<'a>>,
}

/// The document.
pub(crate) fn document<'a>(compared: &'a Compared<'_, '_, '_>) -> Document<'a> {
    let diff = compared.diff;
    let counts = compared.counts();
    let fates = |fate: Fate| diff.findings.iter().filter(|row| row.fate == fate).count();
    let names = |side: usize, hosts: &'a [tapline_core::capture::HostId]| -> Vec<&'a str> {
        hosts.iter().map(|host| compared.label(side, *host)).collect()
    };
    let inputs = Sides::of(|side| {
        let inputs = &compared.topology(side).snapshot.captured.inputs;
        inputs.iter().map(|input| input.archive.as_str()).collect()
    });
    Document {
        schema: "tapline.diff/1",
        inputs,
        snapshot: Sides::of(|side| compared.is_kept(side)),
        comparable: diff.is_comparable(),
        refused: diff.refused.as_deref(),
        summary: SummaryRow {
            breaking: counts.breaking,
            config: counts.config,
            moved: counts.moved,
            cosmetic: counts.cosmetic,
            dynamic: counts.dynamic,
            noise: counts.noise,
            renumbered: counts.renumbered,
            lost: diff.verdicts.iter().filter(|verdict| verdict.is_lost()).count(),
            mended: diff.verdicts.iter().filter(|verdict| verdict.is_mended()).count(),
            new_findings: fates(Fate::New),
            gone_findings: fates(Fate::Gone),
            kept_findings: fates(Fate::Kept),
            unasked: diff.unasked,
        },
        hosts: diff.hosts.iter().map(|host| host_row(compared, host)).collect(),
        only_old: names(0, &diff.only_old),
        only_new: names(1, &diff.only_new),
        verdicts: diff.verdicts.iter().map(|it| verdict_row(compared, it)).collect(),
        findings: diff.findings.iter().filter_map(|it| finding_row(compared, it)).collect(),
        events: diff.events.iter().filter_map(|it| event_row(compared, it)).collect(),
    }
}

fn event_row<'a>(compared: &'a Compared<'_, '_, '_>, it: &'a Event) -> Option<EventRow<'a>> {
    let host = compared.diff.hosts.get(it.host)?;
    Some(EventRow {
        host: compared.label(1, host.new),
        told_by: if it.side == 0 { "old" } else { "new" },
        sort: it.sort,
        subject: &it.subject,
        many: it.many,
        at: it.when.at.map(|[from, to]| BetweenRow { from, to }),
        ago: it.when.ago.map(|[from, to]| BetweenRow { from, to }),
        evidence: evidence(compared, it.side, it.place),
        change: because(compared, it.change.map(|change| (it.host, change)), None),
    })
}

fn rate_row<'a>(compared: &'a Compared<'_, '_, '_>, it: &'a Rate) -> RateRow<'a> {
    RateRow {
        key: it.key.text(),
        name: &it.name,
        counter: &it.counter,
        by: it.by,
        seconds: it.seconds,
        evidence: places(compared, &it.places),
    }
}

fn host_row<'a>(compared: &'a Compared<'_, '_, '_>, it: &'a HostDiff) -> HostRow<'a> {
    let hosts = [it.old, it.new];
    let shown = |change: &&Change| compared.all || change.class >= Class::Dynamic;
    let host = |side: usize| {
        let host = *hosts.get(side)?;
        compared.topology(side).snapshot.host(host)
    };
    HostRow {
        host: Sides { old: compared.label(0, it.old), new: compared.label(1, it.new) },
        key: Sides::of(|side| host(side).map(|host| host.key.to_string())),
        taken: Sides::of(|side| host(side).and_then(|host| host.taken).map(|taken| taken.epoch)),
        remark: it.remark.as_deref(),
        compared: it.compared,
        changes: it.changes.iter().filter(shown).map(|it| change_row(compared, it)).collect(),
        renumbered: it.renumbered.iter().map(renumbering_row).collect(),
        rates: it.rates.iter().map(|it| rate_row(compared, it)).collect(),
        not_comparable: it.gaps.iter().map(gap_row).collect(),
    }
}

fn change_row<'a>(compared: &'a Compared<'_, '_, '_>, it: &'a Change) -> ChangeRow<'a> {
    ChangeRow {
        op: it.op,
        class: it.class,
        kind: it.kind(),
        key: it.key.text(),
        netns: it.netns.as_ref().map(ToString::to_string),
        name: &it.name,
        differences: it.differences.iter().map(|it| difference_row(compared, it)).collect(),
        evidence: places(compared, &it.best_places()),
        parts: it.parts.iter().map(|it| change_row(compared, it)).collect(),
    }
}

fn difference_row<'a>(compared: &'a Compared<'_, '_, '_>, it: &'a Difference) -> DifferenceRow<'a> {
    DifferenceRow {
        value: &it.name,
        before: it.before.as_deref(),
        after: it.after.as_deref(),
        class: it.class,
        evidence: places(compared, &it.places),
    }
}

fn places<'a>(compared: &'a Compared<'_, '_, '_>, it: &Places) -> Sides<Option<EvidenceRow<'a>>> {
    let [old, new] = *it;
    Sides { old: evidence(compared, 0, old), new: evidence(compared, 1, new) }
}

fn evidence<'a>(
    compared: &'a Compared<'_, '_, '_>,
    side: usize,
    at: Option<Evidence>,
) -> Option<EvidenceRow<'a>> {
    let at = at?;
    let source = compared.topology(side).snapshot.source(at.source)?;
    Some(EvidenceRow {
        archive: &source.archive,
        member: &source.member,
        line: source.line_numbers(at.span).0,
        text: excerpt(source, at.span, REACH).text,
    })
}

fn renumbering_row(it: &Renumbering) -> RenumberingRow<'_> {
    let rows = it.of.iter().map(|one| RenumberedRow {
        name: &one.name,
        before: &one.before,
        after: &one.after,
    });
    RenumberingRow { kind: it.kind, value: &it.what, of: rows.collect() }
}

fn gap_row(it: &Gap) -> GapRow<'_> {
    GapRow {
        kind: it.kind,
        value: it.value.as_deref(),
        lacks: if it.new_lacks { "new" } else { "old" },
        things: it.things,
        places: &it.places,
    }
}

fn because<'a>(
    compared: &'a Compared<'_, '_, '_>,
    it: Option<(usize, usize)>,
    by: Option<Because>,
) -> Option<BecauseRow<'a>> {
    let (host, change) = compared.change(it?)?;
    Some(BecauseRow { host: compared.label(1, host.new), key: change.key.text(), by })
}

fn verdict_row<'a>(compared: &'a Compared<'_, '_, '_>, it: &'a VerdictChange) -> VerdictRow<'a> {
    let [old, new] = &it.evidence;
    let rows = |side: usize, all: &[Evidence]| -> Vec<EvidenceRow<'a>> {
        all.iter().filter_map(|at| evidence(compared, side, Some(*at))).collect()
    };
    VerdictRow {
        host: compared.label(1, it.host),
        guest: &it.guest,
        nic: it.nic.as_deref(),
        to: &it.to,
        before: cell_row(compared, 0, &it.before),
        after: cell_row(compared, 1, &it.after),
        because: because(
            compared,
            it.because.map(|(host, change, _)| (host, change)),
            it.because.map(|(_, _, by)| by),
        ),
        evidence: Sides { old: rows(0, old), new: rows(1, new) },
    }
}

fn cell_row<'a>(compared: &'a Compared<'_, '_, '_>, side: usize, it: &'a Cell) -> CellRow<'a> {
    CellRow {
        reached: it.reached,
        outcome: it.outcome.as_str(),
        reason: it.reason.map(Reason::as_str),
        host: it.at.host.map(|host| compared.label(side, host)),
        netns: it.at.netns.as_ref().map(ToString::to_string),
        device: it.at.device.as_deref(),
        bridge: it.at.bridge.as_deref(),
        port: it.at.port.as_deref(),
        back: it.back,
    }
}

fn finding_row<'a>(
    compared: &'a Compared<'_, '_, '_>,
    it: &FindingChange,
) -> Option<FindingRow<'a>> {
    let (side, finding) = compared.finding(it)?;
    Some(FindingRow {
        fate: it.fate,
        code: &finding.rule.code,
        severity: finding.severity,
        host: compared.label(side, finding.host),
        object: &finding.subject.name,
        message: &finding.message,
        root: finding.is_root(),
        fingerprint: &finding.of_machine,
        because: because(compared, it.because, None),
    })
}
