//! The report of `lint` for programs. The field names are a contract: add, never rename.
use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::Suppressed;
use tapline_analysis::lint::{
    Blast, CannotTell, Confidence, Finding, Report, Role, Severity, Subject,
};
use tapline_core::capture::{Host, HostId, Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::coverage::Searched;
use tapline_topology::{CaptureKey, RecordKey, Topology};

use super::about::About;
use super::incomplete::{IncompleteText, IncompleteTexts};
use super::paths::{self, PathRow};
use super::problems::{NotRead, NotReadRow, Problem, Problems};
use super::source::{column, excerpt};
use crate::error::Result;
use crate::schema as shape;

/// Bytes of a line that are quoted on either side of the evidence.
const REACH: usize = 2000;

#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.lint/1"))]
    schema: &'static str,
    hosts: Vec<HostRow<'a>>,
    findings: Vec<FindingRow<'a>>,
    cannot_tell: Vec<CannotTellRow<'a>>,
    #[schemars(with = "Vec<Problem<'static>>")]
    problems: Problems<'a>,
    /// Files, archives and commands of the input that were not used.
    #[schemars(with = "Vec<NotReadRow<'static>>")]
    not_read: NotRead<'a>,
    clean: Vec<CleanRow<'a>>,
    /// The path of each running VM port and each port of a namespace.
    paths: Vec<PathRow>,
    /// How the run was configured, and what of that was of no use.
    configuration: &'a About,
    /// Texts that do not show everything.
    #[schemars(with = "Vec<IncompleteText<'static>>")]
    incomplete: IncompleteTexts<'a>,
}

#[derive(JsonSchema, Serialize)]
struct HostRow<'a> {
    host: &'a str,
    /// Which capture of which machine: the beginning of the keys of its nodes.
    key: Option<String>,
    /// The hosts that are the same machine, itself included, from the oldest capture to the newest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    same_machine: Vec<&'a str>,
    /// The hosts of which it may be a part: of several machines, so it was joined with none.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    may_be: &'a [String],
    inputs: &'a [String],
}

#[derive(JsonSchema, Serialize)]
struct FindingRow<'a> {
    code: &'a str,
    id: &'a str,
    #[schemars(with = "shape::Severity")]
    severity: Severity,
    #[schemars(with = "shape::Confidence")]
    confidence: Confidence,
    host: &'a str,
    #[schemars(with = "Option<String>")]
    netns: Option<&'a Netns>,
    #[schemars(with = "shape::Object")]
    object: &'a Subject,
    /// The id that its node has in the graph, or that of the node that it is part of; null where
    /// it is about no one node.
    key: Option<String>,
    /// The id that its record has in `tapline records`, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
    message: &'a str,
    evidence: Vec<EvidenceRow<'a>>,
    notes: &'a [String],
    /// What else the finding is about, by name.
    also: Vec<&'a str>,
    /// The keys of these, in the same order; null for what is no node.
    also_keys: Vec<Option<String>>,
    next: &'a [String],
    fingerprint: &'a str,
    /// Why it is accepted, and until when; it does not count.
    #[schemars(with = "Option<shape::Suppressed>")]
    suppressed: Option<&'a Suppressed>,
    /// The baseline holds it; it does not count.
    baseline: bool,
    /// Fingerprint of its cause; null for a root.
    explained_by: Option<&'a str>,
    /// Fingerprints of further causes, each of which would explain it alone.
    also_explained_by: &'a [String],
    /// Fingerprints of what may be its cause and is not sure enough.
    maybe_explained_by: &'a [String],
    /// Fingerprints of all that follows from it, directly or not.
    explains: &'a [String],
    /// Running VMs and namespaces that hang on what is at fault.
    #[schemars(with = "shape::Blast")]
    blast: Blast,
}

#[derive(JsonSchema, Serialize)]
struct EvidenceRow<'a> {
    #[schemars(with = "shape::Role")]
    role: Role,
    archive: &'a str,
    member: &'a str,
    line: u32,
    end_line: u32,
    /// Where the cited part starts in its line, in characters from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<usize>,
    /// The whole lines. Of absence there is nothing to quote.
    text: &'a str,
    /// The cited part of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    quote: Option<&'a str>,
    command: String,
    #[schemars(with = "String")]
    netns: &'a Netns,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
    /// What was looked for in vain.
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<&'a [String]>,
    /// Among how many records.
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<usize>,
}

#[derive(JsonSchema, Serialize)]
struct CannotTellRow<'a> {
    code: &'a str,
    host: &'a str,
    #[schemars(with = "Vec<String>")]
    missing: &'a [Need],
    count: u32,
}

#[derive(JsonSchema, Serialize)]
struct CleanRow<'a> {
    code: &'a str,
    count: u32,
}

/// Writes the report.
pub(crate) fn render(
    out: &mut impl Write,
    topology: &Topology<'_>,
    report: &Report,
    about: &About,
) -> Result<()> {
    let snapshot = topology.snapshot;
    let hosts = &snapshot.captured.hosts;
    let document = Document {
        schema: "tapline.lint/1",
        hosts: hosts.iter().zip((0..).map(HostId)).map(|it| host(topology, it)).collect(),
        findings: report.findings.iter().map(|it| finding(topology, it)).collect(),
        cannot_tell: report.cannot_tell.iter().map(|tell| cannot_tell(snapshot, tell)).collect(),
        problems: Problems(snapshot),
        not_read: NotRead(snapshot),
        clean: report.clean.iter().map(|(code, count)| CleanRow { code, count: *count }).collect(),
        paths: paths::rows(topology, report),
        configuration: about,
        incomplete: IncompleteTexts(snapshot),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn host<'a>(topology: &'a Topology<'_>, (host, id): (&'a Host, HostId)) -> HostRow<'a> {
    let captures = topology.machines.captures(topology.machine(id));
    let several = captures.iter().filter(|_| captures.len() > 1);
    HostRow {
        host: host.label(),
        key: CaptureKey::of(topology.snapshot, id).map(|key| key.to_string()),
        same_machine: several.map(|several| topology.snapshot.host_label(*several)).collect(),
        may_be: &host.may_be,
        inputs: &host.inputs,
    }
}

fn host_name(snapshot: &Snapshot, host: HostId) -> &str {
    snapshot.host(host).map_or("", |host| host.label())
}

fn finding<'a>(topology: &'a Topology<'_>, finding: &'a Finding) -> FindingRow<'a> {
    let snapshot = topology.snapshot;
    let cited = finding.evidence.iter().filter_map(|cited| {
        let source = snapshot.source(cited.evidence.source)?;
        let span = cited.evidence.span;
        let (line, end_line) = source.line_numbers(span);
        let quote = source.quote(span);
        let end = quote.floor_char_boundary(REACH.min(quote.len()));
        Some(EvidenceRow {
            role: cited.role,
            line,
            end_line,
            column: column(source, span),
            text: excerpt(source, span, REACH).text,
            quote: quote.get(..end),
            label: &cited.label,
            keys: None,
            records: None,
            ..of_source(source)
        })
    });
    let absent = finding.searched.iter().flat_map(|searched| absence(snapshot, searched));
    FindingRow {
        code: &finding.rule.code,
        id: &finding.rule.id,
        severity: finding.severity,
        confidence: finding.confidence,
        host: host_name(snapshot, finding.host),
        netns: finding.netns.as_ref(),
        object: &finding.subject,
        key: finding.node.and_then(|node| topology.key(node)).map(ToString::to_string),
        record: finding
            .subject
            .record_id()
            .and_then(|id| RecordKey::of(snapshot, id))
            .map(|key| key.to_string()),
        message: &finding.message,
        evidence: cited.chain(absent).collect(),
        notes: &finding.notes,
        also: finding.also.iter().map(|also| also.name.as_str()).collect(),
        also_keys: finding
            .also
            .iter()
            .map(|also| topology.key(also.id()?).map(ToString::to_string))
            .collect(),
        next: &finding.next,
        fingerprint: &finding.fingerprint,
        suppressed: finding.suppressed.as_ref(),
        baseline: finding.baseline,
        explained_by: finding.explained_by.as_deref(),
        also_explained_by: &finding.also_explained_by,
        maybe_explained_by: &finding.maybe_explained_by,
        explains: &finding.explains,
        blast: finding.blast,
    }
}

/// One row for each text that was searched in vain: from its first line to its last.
fn absence<'a>(
    snapshot: &'a Snapshot,
    searched: &'a Searched,
) -> impl Iterator<Item = EvidenceRow<'a>> {
    searched.sources.iter().filter_map(|&(id, records)| {
        let source = snapshot.source(id)?;
        Some(EvidenceRow {
            keys: Some(&searched.keys),
            records: Some(records),
            ..of_source(source)
        })
    })
}

fn of_source(source: &Source) -> EvidenceRow<'_> {
    let end = u32::try_from(source.text.len()).unwrap_or(u32::MAX);
    let (line, end_line) = source.line_numbers(tapline_core::span::Span { start: 0, end });
    EvidenceRow {
        role: Role::Absence,
        archive: &source.archive,
        member: &source.member,
        line,
        end_line,
        column: None,
        text: "",
        quote: None,
        command: source.command.to_string(),
        netns: &source.netns,
        label: "",
        keys: None,
        records: None,
    }
}

fn cannot_tell<'a>(snapshot: &'a Snapshot, it: &'a CannotTell) -> CannotTellRow<'a> {
    CannotTellRow {
        code: &it.code,
        host: host_name(snapshot, it.host),
        missing: &it.missing,
        count: it.count,
    }
}
