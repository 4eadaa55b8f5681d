//! The report of `lint` as SARIF 2.1.0, the form that code scanning services read.
//!
//! One run; a rule's page becomes its help, the first piece of evidence of a finding its location
//! and the others its related locations.
use std::collections::BTreeMap;
use std::io::Write;

use serde_json::{Map, Value, json};
use tapline_analysis::lint::{Confidence, Finding, Report, Role, Rule, RuleRef, Severity};
use tapline_core::capture::{Snapshot, Source};
use tapline_core::need;
use tapline_core::span::Span;
use tapline_topology::CaptureKey;
use tapline_topology::coverage::Searched;

use super::artifact::{Artifact, Region};
use super::escape::{shorten, visible};
use super::{page, problems};
use crate::error::Result;

/// Problems of reading that are listed.
const PROBLEMS: usize = 1000;
/// Characters of a message.
const LONGEST: usize = 2000;

/// Writes the report; `compared` with a baseline, where there is one.
pub(crate) fn render(
    out: &mut impl Write,
    snapshot: &Snapshot,
    report: &Report,
    rules: &[RuleRef],
    compared: bool,
) -> Result<()> {
    let index: BTreeMap<&str, usize> =
        rules.iter().enumerate().map(|(n, rule)| (&*rule.code, n)).collect();
    let results: Vec<Value> =
        report.findings.iter().map(|finding| result(snapshot, finding, &index, compared)).collect();
    let document = json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "tapline",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules.iter().map(|rule| descriptor(rule)).collect::<Vec<_>>(),
            }},
            "invocations": [{
                "executionSuccessful": true,
                "toolExecutionNotifications": notifications(snapshot, report, &index),
            }],
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    });
    serde_json::to_writer_pretty(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "note",
    }
}

/// A rule, with its page as help.
fn descriptor(rule: &Rule) -> Value {
    let mut help = String::new();
    for heading in ["What it finds", "Why it matters", "What to do", "References"] {
        help.push_str(&format!("## {heading}\n\n{}\n\n", page::section(&rule.page, heading)));
    }
    help.push_str(&format!("Examples: `tapline explain {} --all`\n", rule.code));
    let family = rule.code.split_once('-').map_or(&*rule.code, |(family, _)| family);
    let mut row = json!({
        "id": rule.code,
        "name": rule.id,
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": page::first_paragraph(&rule.page, "What it finds")},
        "help": {"text": help, "markdown": help},
        "defaultConfiguration": {"level": level(rule.severity)},
        "properties": {
            "tags": [family],
            "confidence": rule.confidence,
            "precision": precision(rule.confidence),
            "problem.severity": match rule.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
                Severity::Info => "recommendation",
            },
        },
    });
    if let (Some(link), Value::Object(row)) = (page::first_link(&rule.page), &mut row) {
        row.insert("helpUri".into(), link.into());
    }
    row
}

/// Confidence in the words of code scanning services.
fn precision(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Proven => "very-high",
        Confidence::Strong => "high",
        Confidence::Suspect => "medium",
    }
}

fn result(
    snapshot: &Snapshot,
    finding: &Finding,
    index: &BTreeMap<&str, usize>,
    compared: bool,
) -> Value {
    let host = snapshot.host(finding.host).map_or("", |host| host.label());
    let netns = finding.netns.as_ref().and_then(|netns| netns.name());
    let subject = &finding.subject;
    let mut places: Vec<Value> = Vec::new();
    for cited in &finding.evidence {
        let Some(source) = snapshot.source(cited.evidence.source) else { continue };
        places.push(json!({
            "physicalLocation": physical(source, cited.evidence.span),
            "message": {"text": message(match (cited.role, cited.label.as_str()) {
                (Role::Context, "") => "context",
                (_, "") => "evidence",
                (_, label) => label,
            })},
        }));
    }
    places.extend(finding.searched.iter().flat_map(|searched| absence(snapshot, searched)));
    let qualified: Vec<&str> = [host].into_iter().chain(netns).chain([&*subject.name]).collect();
    let logical = json!([{
        "name": subject.name,
        "fullyQualifiedName": qualified.join("/"),
        "kind": subject.kind(),
    }]);
    let mut places = places.into_iter();
    let mut location = places.next().unwrap_or_else(|| json!({}));
    if let Value::Object(location) = &mut location {
        location.insert("logicalLocations".into(), logical);
    }
    let related: Vec<Value> = places
        .zip(1..)
        .map(|(mut place, id)| {
            if let Value::Object(place) = &mut place {
                place.insert("id".into(), Value::from(id));
            }
            place
        })
        .collect();
    let mut row = Map::new();
    row.insert("ruleId".into(), finding.rule.code.clone().into());
    row.extend(index.get(&*finding.rule.code).map(|&it| ("ruleIndex".into(), it.into())));
    row.insert("level".into(), level(finding.severity).into());
    let text = format!("{}: {}", qualified.join(" · "), finding.message);
    row.insert("message".into(), json!({"text": message(&text)}));
    row.insert("locations".into(), json!([location]));
    if !related.is_empty() {
        row.insert("relatedLocations".into(), related.into());
    }
    row.insert("partialFingerprints".into(), json!({"tapline/v1": finding.fingerprint}));
    if let Some(it) = &finding.suppressed {
        let why = json!({"kind": "external", "status": "accepted", "justification": it.reason});
        row.insert("suppressions".into(), json!([why]));
    }
    if compared {
        let state = if finding.baseline { "unchanged" } else { "new" };
        row.insert("baselineState".into(), state.into());
    }
    row.insert(
        "properties".into(),
        json!({
            "severity": finding.severity,
            "confidence": finding.confidence,
            "precision": precision(finding.confidence),
            "host": host,
            "host_key": CaptureKey::of(snapshot, finding.host).map(|key| key.to_string()),
            "netns": finding.netns,
            "object": subject,
            "notes": finding.notes,
            "also": finding.also.iter().map(|also| &also.name).collect::<Vec<_>>(),
            "next": finding.next,
            "explained_by": finding.explained_by,
            "explains": finding.explains,
        }),
    );
    row.into()
}

/// A place with its line, its column and what stands there.
fn physical(source: &Source, span: Span) -> Value {
    let it = Region::of(source, span);
    let mut region = Map::new();
    region.insert("startLine".into(), it.lines.0.into());
    if let Some((start, end)) = it.columns {
        region.insert("startColumn".into(), start.into());
        region.insert("endLine".into(), it.lines.1.into());
        region.insert("endColumn".into(), end.into());
        region.insert("snippet".into(), json!({"text": it.quote}));
    } else {
        region.insert("endLine".into(), it.lines.1.into());
        region.insert("snippet".into(), json!({"text": it.text}));
    }
    let mut location = json!({"artifactLocation": {"uri": Artifact::of(source).uri()}});
    if let Value::Object(location) = &mut location {
        location.insert("region".into(), region.into());
        // A context that is no larger than the region says nothing.
        if it.columns.is_some() && it.text.len() > it.quote.len() {
            let context = json!({
                "startLine": it.lines.0,
                "endLine": it.lines.1,
                "snippet": {"text": it.text},
            });
            location.insert("contextRegion".into(), context);
        }
    }
    location
}

/// The texts that were searched in vain.
fn absence<'a>(
    snapshot: &'a Snapshot,
    searched: &'a Searched,
) -> impl Iterator<Item = Value> + use<'a> {
    let keys = searched.keys.join(", ");
    searched.sources.iter().filter_map(move |&(id, records)| {
        let source = snapshot.source(id)?;
        let text = format!("not found among {}: {keys}", super::count(records, "record"));
        Some(json!({
            "physicalLocation": {"artifactLocation": {"uri": Artifact::of(source).uri()}},
            "message": {"text": message(&text)},
        }))
    })
}

/// What could not be decided, and what could not be read.
fn notifications(
    snapshot: &Snapshot,
    report: &Report,
    index: &BTreeMap<&str, usize>,
) -> Vec<Value> {
    let undecided = report.cannot_tell.iter().map(|open| {
        let host = snapshot.host(open.host).map_or("", |host| host.label());
        let objects = super::count(open.count as usize, "object");
        let text = format!(
            "{host}: {} could not tell about {objects}; to decide, run: {}",
            open.code,
            need::list(&open.missing)
        );
        let mut row = json!({
            "descriptor": {"id": "cannot-tell"},
            "level": "note",
            "message": {"text": message(&text)},
        });
        if let (Some(&at), Value::Object(row)) = (index.get(&*open.code), &mut row) {
            row.insert("associatedRule".into(), json!({"id": open.code, "index": at}));
        }
        row
    });
    let read = problems::all(snapshot).take(PROBLEMS).map(|problem| {
        let place = super::place(problem.archive, problem.member);
        let line = problem.line.map_or(String::new(), |line| format!(":{line}"));
        json!({
            "descriptor": {"id": problem.kind},
            "level": "note",
            "message": {"text": message(&format!("{place}{line}: {}", problem.message))},
        })
    });
    undecided.chain(read).collect()
}

/// A text to show: harmless, of one line, not endless, and with nothing that SARIF would take for
/// a placeholder (`{0}`, §3.11.5) or a link (`[text](1)`, §3.11.6).
fn message(text: &str) -> String {
    let text = shorten(text, LONGEST);
    let text = visible(&text);
    let linked = text.contains("](");
    let mut escaped = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut number = false;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied().unwrap_or_default();
        match c {
            '{' if next.is_ascii_digit() => {
                number = true;
                escaped.push_str("{{");
            }
            '}' if number => {
                number = false;
                escaped.push_str("}}");
            }
            '[' | ']' if linked => escaped.extend(['\\', c]),
            c => {
                number &= c.is_ascii_digit();
                escaped.push(c);
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_hold_no_placeholders_and_no_links() {
        assert_eq!(message("{peer=x} [4095] {0}"), "{peer=x} [4095] {{0}}");
        assert_eq!(message("[a](http://b)\n"), "\\[a\\](http://b)␊");
    }
}
