//! Coverage for programs.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::Text;
use tapline_core::capture::{Completeness, Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::outcome::LineCount;
use tapline_core::span::SourceId;
use tapline_topology::Topic;
use tapline_topology::coverage::Coverage;

use super::coverage::{HostCoverage, NetnsCoverage};
use super::problems::{NotRead, NotReadRow, Problem, Problems};
use crate::error::Result;
use crate::gap::{self, Step};
use crate::schema as shape;

#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.coverage/1"))]
    schema: &'static str,
    hosts: Vec<HostRow<'a>>,
    #[schemars(with = "Vec<Problem<'static>>")]
    problems: Problems<'a>,
    /// Files, archives and commands of the input that were not used.
    #[schemars(with = "Vec<NotReadRow<'static>>")]
    not_read: NotRead<'a>,
}

#[derive(JsonSchema, Serialize)]
struct HostRow<'a> {
    host: &'a str,
    inputs: &'a [String],
    sos_version: Option<&'a str>,
    cleaned: bool,
    #[schemars(with = "shape::LineCount")]
    lines: LineCount,
    namespaces: Vec<NetnsRow<'a>>,
    undecided: Vec<UndecidedRow<'a>>,
    /// What to capture next, most valuable first.
    capture: Vec<StepRow>,
    /// What no capture of the host shows.
    by_hand: Vec<StepRow>,
    texts: Vec<TextRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct NetnsRow<'a> {
    #[schemars(with = "String")]
    netns: &'a Netns,
    topics: Vec<TopicRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct TopicRow<'a> {
    #[schemars(with = "String")]
    topic: Topic,
    #[schemars(with = "shape::CoverageState")]
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<Cow<'a, str>>,
    /// Texts that answer it, or that should have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    texts: Vec<PlaceRow<'a>>,
    /// The command that would answer it, where none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    command: Option<Need>,
}

#[derive(JsonSchema, Serialize)]
struct PlaceRow<'a> {
    archive: &'a str,
    member: &'a str,
    line: u32,
}

#[derive(JsonSchema, Serialize)]
struct UndecidedRow<'a> {
    code: &'a str,
    #[schemars(with = "Vec<String>")]
    missing: &'a [Need],
    count: u32,
}

#[derive(JsonSchema, Serialize)]
struct StepRow {
    #[schemars(with = "Vec<String>")]
    commands: Vec<Need>,
    /// The same as lines to paste, which save the outputs in files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    shell: Vec<String>,
    /// Objects about which rules can tell then.
    questions: u32,
    rules: BTreeMap<Text, u32>,
}

#[derive(JsonSchema, Serialize)]
struct TextRow<'a> {
    archive: &'a str,
    member: &'a str,
    line: u32,
    command: String,
    #[schemars(with = "String")]
    netns: &'a Netns,
    format: Option<&'static str>,
    /// Seconds since the epoch.
    taken: Option<f64>,
    records: usize,
    #[schemars(with = "shape::LineCount")]
    lines: LineCount,
    #[serde(flatten)]
    #[schemars(with = "shape::Completeness")]
    completeness: Completeness,
}

/// Writes the coverage of all hosts.
pub(crate) fn render(
    out: &mut impl Write,
    snapshot: &Snapshot,
    hosts: &[HostCoverage<'_>],
) -> Result<()> {
    let rows = hosts.iter().filter_map(|host| row(snapshot, host)).collect();
    let document = Document {
        schema: "tapline.coverage/1",
        hosts: rows,
        problems: Problems(snapshot),
        not_read: NotRead(snapshot),
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn row<'a>(snapshot: &'a Snapshot, it: &'a HostCoverage<'_>) -> Option<HostRow<'a>> {
    let host = snapshot.host(it.host)?;
    let namespaces = it.namespaces.iter().map(|of| NetnsRow {
        netns: &of.netns,
        topics: of.topics.iter().map(|&(topic, it)| topic_row(snapshot, of, topic, it)).collect(),
    });
    let texts = it.texts.iter().map(|&(source, reading)| TextRow {
        archive: &source.archive,
        member: &source.member,
        line: source.first_line,
        command: source.command.to_string(),
        netns: &source.netns,
        format: source.format.map(|format| format.0),
        taken: source.taken,
        records: reading.records.len(),
        lines: reading.lines,
        completeness: snapshot.completeness(source.id),
    });
    let undecided = it.undecided.iter().map(|open| UndecidedRow {
        code: &open.code,
        missing: &open.missing,
        count: open.count,
    });
    let gap = gap::gap(it.host, &it.undecided);
    Some(HostRow {
        capture: gap.steps.into_iter().map(|step| step_row(step, true)).collect(),
        by_hand: gap.beyond.into_iter().map(|beyond| step_row(beyond, false)).collect(),
        host: host.label(),
        inputs: &host.inputs,
        sos_version: host.sos_version.as_deref(),
        cleaned: host.cleaned,
        lines: it.lines,
        namespaces: namespaces.collect(),
        undecided: undecided.collect(),
        texts: texts.collect(),
    })
}

fn step_row(step: Step, paste: bool) -> StepRow {
    StepRow {
        commands: step.commands(),
        shell: if paste { step.shell() } else { Vec::new() },
        questions: step.questions(),
        rules: step.rules,
    }
}

fn topic_row<'a>(
    snapshot: &'a Snapshot,
    of: &NetnsCoverage<'a>,
    topic: Topic,
    coverage: &'a Coverage,
) -> TopicRow<'a> {
    let one = |id: SourceId| snapshot.source(id).map(place);
    let (state, reason, texts) = match coverage {
        Coverage::NotCaptured => ("not-captured", None, Vec::new()),
        Coverage::Failed { source, reason } => {
            ("failed", Some(Cow::Borrowed(reason.as_str())), one(*source).into_iter().collect())
        }
        Coverage::Partial(all) => {
            let reason = of.partial(snapshot, topic, all).map(|(_, why)| why);
            ("partial", reason, all.iter().filter_map(|&it| one(it)).collect())
        }
        Coverage::Complete(all) => {
            ("complete", None, all.iter().filter_map(|&it| one(it)).collect())
        }
    };
    let command = (!coverage.is_complete()).then(|| topic.command(&of.netns));
    TopicRow { topic, state, reason, texts, command }
}

fn place(source: &Source) -> PlaceRow<'_> {
    PlaceRow { archive: &source.archive, member: &source.member, line: source.first_line }
}
