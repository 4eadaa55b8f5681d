//! Every capture of the corpus through the whole line: hosts, texts, records, topology, findings.
//!
//! One test per capture, named by its metadata file; one snapshot beside it. Each line of a
//! snapshot is a claim about the captured host.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_core::capture::Snapshot;
use tapline_core::need;
use tapline_tests::show::{place, snapshot};
use tapline_topology::{NodeId, Topology};

/// What stands in `<capture>.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    #[expect(dead_code, reason = "for the reader of the file")]
    origin: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    description: String,
    hosts: Vec<String>,
    #[expect(dead_code, reason = "for the reader of the file")]
    #[serde(default)]
    tools: BTreeMap<String, String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    unread: u32,
    #[serde(default)]
    findings: Vec<ExpectedFinding>,
}

/// A finding of severity warning or error; all others are unexpected.
#[derive(Deserialize, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(deny_unknown_fields)]
struct ExpectedFinding {
    code: String,
    object: String,
}

fn golden(path: &Path) -> datatest_stable::Result<()> {
    let metadata: Metadata = serde_yaml::from_str(&std::fs::read_to_string(path)?)?;
    let inputs = inputs(&path.with_extension(""));
    let captured = tapline_capture::open(&inputs, &Options::default())?;
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());

    let mut shown = String::new();
    texts(&mut shown, &read)?;
    graph(&mut shown, &topology)?;
    findings(&mut shown, &read, &report)?;
    snapshot(path, &shown);

    let hosts: Vec<_> = read.captured.hosts.iter().map(|host| host.name.clone()).collect();
    if hosts != metadata.hosts {
        return Err(format!("hosts {hosts:?}, expected {:?}", metadata.hosts).into());
    }
    let unread: u32 = read.readings.iter().map(|reading| reading.lines.unread).sum();
    if unread != metadata.expect.unread {
        return Err(format!("{unread} unread, expected {}", metadata.expect.unread).into());
    }
    let mut found: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| finding.severity > lint::Severity::Info)
        .map(|finding| ExpectedFinding {
            code: finding.rule.code.to_string(),
            object: finding.subject.name.clone(),
        })
        .collect();
    found.sort();
    let mut expected = metadata.expect.findings;
    expected.sort();
    if found != expected {
        return Err(format!("found {found:#?}, expected {expected:#?}").into());
    }
    Ok(())
}

/// The capture beside a metadata file: `<name>/` (a host, or a folder of tarballs), `<name>.txt`
/// and other texts, `<name>.tar.xz`, `<name>.tar.gz`.
fn inputs(stem: &Path) -> Vec<Input> {
    let beside = |suffix: &str| PathBuf::from(format!("{}{suffix}", stem.display()));
    let one = ["", ".txt", ".md", ".html", ".cast", ".tar.xz", ".tar.gz"]
        .into_iter()
        .map(beside)
        .find(|it| it.exists());
    one.map(Input::Path).into_iter().collect()
}

fn texts(shown: &mut String, read: &Snapshot) -> std::fmt::Result {
    for host in &read.captured.hosts {
        writeln!(shown, "host {}", host.name)?;
    }
    for problem in &read.captured.problems {
        writeln!(shown, "problem {}: {}", problem.kind.as_str(), problem.message)?;
    }
    let mut formats: BTreeMap<_, (usize, usize, u32, u32)> = BTreeMap::new();
    for (source, reading) in read.iter() {
        let id = source.format.map_or("unclaimed", |format| format.0);
        let sum = formats.entry(id).or_default();
        sum.0 += 1;
        sum.1 += reading.records.len();
        sum.2 += reading.lines.total;
        sum.3 += reading.lines.unread;
    }
    writeln!(shown, "\n# texts")?;
    for (id, (texts, records, lines, unread)) in formats {
        writeln!(shown, "{id}: {texts} texts, {records} records, {lines} lines, {unread} unread")?;
    }
    // Remarks that many texts share stand once, with their number.
    let mut remarks: BTreeMap<_, usize> = BTreeMap::new();
    for (source, reading) in read.iter() {
        let id = source.format.map_or("unclaimed", |format| format.0);
        let completeness = read.completeness(source.id);
        if !completeness.is_complete() {
            *remarks.entry(format!("{id}: {completeness:?}")).or_default() += 1;
        }
        for problem in &reading.problems {
            let remark = format!("{id}: {}: {}", problem.kind.as_str(), problem.message);
            *remarks.entry(remark).or_default() += 1;
        }
    }
    for (remark, count) in remarks {
        writeln!(shown, "{count} × {remark}")?;
    }
    Ok(())
}

fn graph(shown: &mut String, topology: &Topology<'_>) -> std::fmt::Result {
    let name = |id: NodeId| {
        topology.node(id).map_or_else(String::new, |node| {
            let host = node.host.and_then(|host| topology.snapshot.host(host));
            let host = host.map_or("-", |host| host.name.as_str());
            let netns = node.netns.as_ref().filter(|netns| !netns.is_root());
            let netns = netns.map(|netns| format!("{netns}/")).unwrap_or_default();
            format!("{host} {} {netns}{}", node.data.kind(), node.name)
        })
    };
    let mut kinds: BTreeMap<_, usize> = BTreeMap::new();
    for (_, node) in topology.nodes() {
        *kinds.entry(node.data.kind()).or_default() += 1;
    }
    writeln!(shown, "\n# nodes")?;
    for (kind, count) in kinds {
        writeln!(shown, "{kind}: {count}")?;
    }
    writeln!(shown, "\n# edges")?;
    for (from, edge, to) in topology.edges() {
        let by: Vec<_> = edge.witnesses.iter().map(|witness| witness.claim.as_str()).collect();
        writeln!(
            shown,
            "{} —{}→ {} ({:?}: {})",
            name(from),
            edge.kind.as_str(),
            name(to),
            edge.confidence,
            by.join("; ")
        )?;
    }
    writeln!(shown, "\n# conflicts")?;
    for conflict in &topology.conflicts {
        let nodes: Vec<_> = conflict.nodes.iter().map(|&node| name(node)).collect();
        let by: Vec<_> = conflict.witnesses.iter().map(|witness| witness.claim.as_str()).collect();
        writeln!(shown, "{:?}: {}: {}", conflict.kind, nodes.join(", "), by.join("; "))?;
    }
    Ok(())
}

fn findings(shown: &mut String, read: &Snapshot, report: &lint::Report) -> std::fmt::Result {
    let host = |id| read.host(id).map_or("", |host| host.name.as_str());
    writeln!(shown, "\n# findings")?;
    for finding in &report.findings {
        writeln!(
            shown,
            "{}[{}] {} · {}: {} ({})",
            finding.severity,
            finding.rule.code,
            host(finding.host),
            finding.subject.name,
            finding.message,
            finding.confidence
        )?;
        for cited in &finding.evidence {
            let quoted = read.source(cited.evidence.source);
            let quoted = quoted.map_or("", |quoted| quoted.line_text(cited.evidence.span).trim());
            let place = place(read, cited.evidence);
            writeln!(shown, "    {:?} {place} {}: {quoted}", cited.role, cited.label)?;
        }
        for searched in &finding.searched {
            writeln!(shown, "    {searched}")?;
        }
        for note in &finding.notes {
            writeln!(shown, "    note: {note}")?;
        }
        for next in &finding.next {
            writeln!(shown, "    next: {next}")?;
        }
    }
    writeln!(shown, "\n# cannot tell")?;
    for it in &report.cannot_tell {
        writeln!(shown, "{} {} {}: {}", it.code, host(it.host), it.count, need::list(&it.missing))?;
    }
    Ok(())
}

datatest_stable::harness! {
    { test = golden, root = "../corpus/captures", pattern = r"^[^/]*\.yaml$" },
    { test = golden, root = "../corpus/collected", pattern = r"\.yaml$" },
    { test = golden, root = "../corpus/posts", pattern = r"\.yaml$" },
    { test = golden, root = "../corpus/sessions", pattern = r"\.yaml$" },
    { test = golden, root = "../corpus/sosreports", pattern = r"\.yaml$" },
}
