//! The parts of the page that are read without its script.
use std::collections::BTreeMap;
use std::io::{self, Write};

use tapline_analysis::lint::Finding;
use tapline_core::span::Evidence;

use super::{REACH, Shown, open_findings, quote};
use crate::overview;
use crate::render::escape::{markup, shorten, visible};
use crate::render::headline::{affects, facts};
use crate::render::{count, paths as rows, picture_words as words};

/// Characters of a message, note or command.
const LONGEST: usize = 600;
/// Places that are quoted of one finding, and in the whole page; lines before and behind a line.
const EVIDENCE: usize = 8;
const MOST: usize = 2_000;
const AROUND: usize = 2;
/// Findings, paths and hosts that are listed.
const FINDINGS: usize = 1_000;
const PATHS: usize = 4_000;
const HOSTS: usize = 200;

pub(super) fn hosts(out: &mut impl Write, shown: &Shown<'_, '_>) -> io::Result<()> {
    writeln!(out, "<section id=\"hosts\"><h2>Hosts</h2>\n<table><tbody>")?;
    let all: Vec<_> = shown.network.hosts().collect();
    for &host in all.iter().take(HOSTS) {
        let headline = overview::headline(shown.network, host);
        let facts = facts(&headline).join("; ");
        writeln!(
            out,
            "<tr><th scope=\"row\">{}</th><td>{}</td></tr>",
            markup(&headline.host),
            markup(&facts)
        )?;
    }
    writeln!(out, "</tbody></table>")?;
    more(out, all.len(), HOSTS, "host")?;
    writeln!(out, "</section>")
}

pub(super) fn findings(out: &mut impl Write, shown: &Shown<'_, '_>) -> io::Result<()> {
    writeln!(out, "<section id=\"findings\"><h2>Findings</h2>")?;
    let open = open_findings(shown);
    if open.is_empty() {
        writeln!(out, "<p>None.</p>")?;
    }
    let by_fingerprint: BTreeMap<&str, (usize, &Finding)> =
        open.iter().map(|(at, finding)| (finding.fingerprint.as_str(), (*at, *finding))).collect();
    let mut left = MOST;
    for (at, finding) in open.iter().take(FINDINGS) {
        one(out, shown, *at, finding, &by_fingerprint, &mut left)?;
    }
    more(out, open.len(), FINDINGS, "finding")?;
    if left == 0 {
        writeln!(
            out,
            "<p class=\"faint\">The page quotes {MOST} places; the others are in the captures.</p>"
        )?;
    }
    writeln!(out, "</section>")
}

fn one(
    out: &mut impl Write,
    shown: &Shown<'_, '_>,
    at: usize,
    finding: &Finding,
    by_fingerprint: &BTreeMap<&str, (usize, &Finding)>,
    left: &mut usize,
) -> io::Result<()> {
    let snapshot = shown.network.topology.snapshot;
    let severity = finding.severity;
    let cause = finding.explained_by.as_deref().and_then(|cause| by_fingerprint.get(cause));
    writeln!(
        out,
        "<details class=\"finding\" id=\"f{at}\"><summary><span class=\"sign {severity}\" aria-label=\"{severity}\">{}</span> \
         <strong>{}</strong> {} · {}: {}{}</summary>",
        words::sign(severity),
        markup(&finding.rule.code),
        markup(snapshot.host_label(finding.host)),
        markup(&overview::object(finding)),
        markup(&shorten(&finding.message, LONGEST)),
        match affects(finding) {
            affected if affected.is_empty() => String::new(),
            affected => format!(" <span class=\"faint\">({affected})</span>"),
        },
    )?;
    if let Some((cause, of)) = cause {
        let code = markup(&of.rule.code);
        writeln!(out, "<p>It follows from <a href=\"#f{cause}\">{code}</a>.</p>")?;
    }
    for cited in finding.evidence.iter().take(EVIDENCE) {
        if *left == 0 {
            break;
        }
        *left -= 1;
        evidence(out, shown, cited.evidence, &cited.label)?;
    }
    more(out, finding.evidence.len(), EVIDENCE, "place")?;
    for searched in &finding.searched {
        let keys: Vec<&str> = searched.keys.iter().map(String::as_str).collect();
        let texts = searched.sources.iter().filter_map(|(id, _)| snapshot.source(*id));
        let texts: Vec<String> = texts
            .take(3)
            .map(|source| shown.places.path(&source.archive, &source.member))
            .collect();
        writeln!(
            out,
            "<p>Not found: <code>{}</code> in <span class=\"place\">{}</span></p>",
            markup(&shorten(&keys.join(", "), LONGEST)),
            markup(&texts.join(", "))
        )?;
    }
    if !finding.also.is_empty() {
        let names: Vec<&str> = finding.also.iter().map(|also| also.name.as_str()).collect();
        writeln!(out, "<p>Also: {}</p>", markup(&shorten(&names.join(", "), LONGEST)))?;
    }
    for note in &finding.notes {
        writeln!(out, "<p class=\"faint\">{}</p>", markup(&shorten(note, LONGEST)))?;
    }
    for next in &finding.next {
        writeln!(
            out,
            "<div class=\"command\"><pre>{}</pre><button class=\"copy\">copy</button></div>",
            markup(&shorten(next, LONGEST))
        )?;
    }
    writeln!(out, "</details>")
}

/// A line that proves something, between its neighbours.
fn evidence(
    out: &mut impl Write,
    shown: &Shown<'_, '_>,
    evidence: Evidence,
    label: &str,
) -> io::Result<()> {
    let Some((place, line)) = quote(shown, evidence, 4) else { return Ok(()) };
    let label = if label.is_empty() { String::new() } else { format!(": {}", markup(label)) };
    writeln!(out, "<div class=\"place\">{}{label}</div>", markup(&place))?;
    let (before, behind) = around(shown, evidence);
    let lines = |all: &[String]| all.iter().map(|line| markup(line) + "\n").collect::<String>();
    writeln!(
        out,
        "<div class=\"quote\">{}<mark>{}</mark>\n{}</div>",
        lines(&before),
        markup(&line),
        lines(&behind)
    )
}

/// The lines before and behind a piece of evidence, cut where they are long.
fn around(shown: &Shown<'_, '_>, evidence: Evidence) -> (Vec<String>, Vec<String>) {
    let Some(source) = shown.network.topology.snapshot.source(evidence.source) else {
        return (Vec::new(), Vec::new());
    };
    let text = source.text.as_str();
    let start = text.floor_char_boundary((evidence.span.start as usize).min(text.len()));
    let end = text.ceil_char_boundary((evidence.span.end as usize).clamp(start, text.len()));
    let clean = |line: &str| {
        if may_hold_secret(line) {
            return "(a line that may hold a secret is left out)".to_owned();
        }
        visible(&shorten(&line.replace('\t', "    "), REACH)).into_owned()
    };
    let head = text.get(..start).unwrap_or_default();
    let head = head.rfind('\n').and_then(|at| head.get(..at)).unwrap_or_default();
    let mut before: Vec<String> = if head.is_empty() {
        Vec::new()
    } else {
        head.rsplit('\n').take(AROUND).map(clean).collect()
    };
    before.reverse();
    let tail = text.get(end..).unwrap_or_default();
    // A span that ends with a line end does not touch the next line.
    let tail = if end > start && text.get(..end).is_some_and(|text| text.ends_with('\n')) {
        tail
    } else {
        tail.find('\n').and_then(|at| tail.get(at + 1..)).unwrap_or_default()
    };
    (before, tail.lines().take(AROUND).map(clean).collect())
}

/// Whether a line that proves nothing itself may hold what nobody should pass on.
fn may_hold_secret(line: &str) -> bool {
    const WORDS: &[&str] = &["passw", "secret", "token", "private", "-----begin", "credential"];
    let line = line.to_ascii_lowercase();
    WORDS.iter().any(|word| line.contains(word))
}

pub(super) fn paths(out: &mut impl Write, shown: &Shown<'_, '_>) -> io::Result<()> {
    let all = rows::rows(shown.network.topology, shown.report);
    writeln!(out, "<section id=\"paths\"><h2>Paths</h2>")?;
    if all.is_empty() {
        return writeln!(out, "<p>No VM or namespace was captured.</p></section>");
    }
    writeln!(
        out,
        "<div class=\"tools\"><label>words <input id=\"filter\" type=\"search\" autocomplete=\"off\"></label>\
         <label><input id=\"only-broken\" type=\"checkbox\"> broken ones only</label>\
         <span id=\"shown\" aria-live=\"polite\"></span></div>"
    )?;
    writeln!(
        out,
        "<table><thead><tr><th scope=\"col\">state</th><th scope=\"col\">from</th>\
         <th scope=\"col\">hops</th><th scope=\"col\">leaves by</th></tr></thead><tbody>"
    )?;
    let numbers: BTreeMap<&str, usize> = shown
        .report
        .findings
        .iter()
        .enumerate()
        .map(|(at, finding)| (finding.fingerprint.as_str(), at))
        .collect();
    for row in all.iter().take(PATHS) {
        let (state, sign) = match row.whole {
            Some(true) => ("whole", "✓"),
            Some(false) => ("broken", "✗"),
            None => ("unknown", "?"),
        };
        let netns = row.netns.as_ref().map(|netns| format!("{netns}/")).unwrap_or_default();
        let vlan = row.vlan.map(|vlan| format!(" (VLAN {vlan})")).unwrap_or_default();
        let from = format!("{} · {netns}{}{vlan}", row.host, row.start);
        let hops: Vec<String> = row
            .hops
            .iter()
            .map(|hop| {
                let sign = match hop.state {
                    "broken" => " ✗",
                    "unknown" => " ?",
                    _ => "",
                };
                let why = hop.why.as_ref().map(|why| format!(" ({why})")).unwrap_or_default();
                format!("{}{sign}{why}", hop.name)
            })
            .collect();
        let broken = row.broken_by.as_deref().and_then(|broken| numbers.get(broken));
        let broken = broken.and_then(|at| {
            let finding = shown.report.findings.get(*at)?;
            Some(format!(" <a href=\"#f{at}\">{}</a>", markup(&finding.rule.code)))
        });
        writeln!(
            out,
            "<tr data-state=\"{state}\"><td><span class=\"sign {state}\" aria-label=\"{state}\">{sign}</span>{}</td>\
             <td>{}</td><td class=\"hops\">{}</td><td>{}</td></tr>",
            broken.unwrap_or_default(),
            markup(&from),
            markup(&hops.join(" → ")),
            markup(&row.wires.join(", "))
        )?;
    }
    writeln!(out, "</tbody></table>")?;
    more(out, all.len(), PATHS, "path")?;
    writeln!(out, "</section>")
}

pub(super) fn coverage(out: &mut impl Write, shown: &Shown<'_, '_>) -> io::Result<()> {
    writeln!(out, "<section id=\"coverage\"><h2>Coverage</h2>")?;
    let undecided =
        shown.report.cannot_tell.iter().fold(0_u32, |sum, it| sum.saturating_add(it.count));
    if undecided > 0 {
        let questions = count(undecided as usize, "question");
        writeln!(
            out,
            "<p>{questions} of the rules could not be decided by what was captured.</p>"
        )?;
    }
    let all: Vec<_> = shown.network.hosts().collect();
    for &host in all.iter().take(HOSTS) {
        let gaps = overview::gaps(shown.network, host);
        let label = markup(shown.network.topology.snapshot.host_label(host));
        if gaps.is_empty() {
            writeln!(out, "<p>{label}: all that tapline reads of a host was captured.</p>")?;
            continue;
        }
        writeln!(
            out,
            "<details><summary>{label}: {} not captured in full</summary><table><tbody>",
            count(gaps.len(), "topic")
        )?;
        for gap in gaps {
            writeln!(
                out,
                "<tr><th scope=\"row\">{}</th><td>{}</td><td><code>{}</code></td></tr>",
                markup(&gap.what),
                gap.state,
                markup(&gap.command)
            )?;
        }
        writeln!(out, "</tbody></table></details>")?;
    }
    more(out, all.len(), HOSTS, "host")?;
    writeln!(out, "</section>")
}

/// Says how many are left out.
fn more(out: &mut impl Write, all: usize, shown: usize, what: &str) -> io::Result<()> {
    match all.saturating_sub(shown) {
        0 => Ok(()),
        left => writeln!(out, "<p class=\"faint\">and {} more</p>", count(left, what)),
    }
}
