//! The report of `lint` for a ticket: Markdown of the common sort (GFM).
//!
//! Nothing that comes from a capture is markup: words are escaped or stand in code, where a fence is
//! longer than any run of backticks in it; names do not become mentions, nor addresses links.
use std::io::{self, Write};

use tapline_analysis::lint::{Finding, Report};
use tapline_core::capture::Snapshot;
use tapline_network::Network;

use super::escape::{shorten, visible};
use super::headline::{affects, vms};
use super::lint_text;
use super::places::Places;
use super::source::excerpt;
use crate::overview;
use crate::terminal::{Paint, Terminal};

/// Characters of a message, note or command.
const LONGEST: usize = 600;
/// Bytes of a line that are quoted on either side of the evidence.
const REACH: usize = 300;
/// Places that are quoted of one finding.
const EVIDENCE: usize = 6;
/// Hosts that are listed.
const HOSTS: usize = 24;

/// Writes the roots, or all open findings.
pub(crate) fn render(
    out: &mut impl Write,
    network: &Network<'_>,
    report: &Report,
    all: bool,
    terminal: &Terminal,
) -> io::Result<()> {
    let snapshot = network.topology.snapshot;
    let places = Places::of_captured(&snapshot.captured, false);
    let roots = overview::roots(report);
    let open: Vec<&Finding> = report.findings.iter().filter(|finding| finding.is_open()).collect();
    let shown = if all { &open } else { &roots };
    let verdict = lint_text::verdict(network.topology, report, all, Paint { color: false });
    if !terminal.quiet {
        writeln!(out, "## tapline: {}\n", words(&verdict))?;
        hosts(out, network)?;
    }
    if !shown.is_empty() {
        writeln!(out, "| | code | host | object | fault | affects | place |")?;
        writeln!(out, "| --- | --- | --- | --- | --- | --- | --- | --- |")?;
    }
    for finding in shown {
        let at = overview::first_place(snapshot, finding);
        let place = at.and_then(|at| places.brief(snapshot, at)).unwrap_or_default();
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            finding.severity,
            words(&finding.rule.code),
            words(snapshot.host_label(finding.host)),
            cell(&overview::object(finding)),
            words(&shorten(&finding.message, LONGEST)),
            affects(finding),
            cell(&place),
        )?;
    }
    for finding in shown {
        details(out, snapshot, finding, &places)?;
    }
    if terminal.quiet {
        return Ok(());
    }
    let questions = report.cannot_tell.iter().fold(0_u32, |sum, it| sum.saturating_add(it.count));
    if questions > 0 {
        let questions = super::count(questions as usize, "question");
        writeln!(out, "\nNot decided: {questions}; `tapline coverage` says which commands would.")?;
    }
    Ok(())
}

fn hosts(out: &mut impl Write, network: &Network<'_>) -> io::Result<()> {
    writeln!(out, "| host | captured (UTC) | what it is | system | kernel | OVS | VMs |")?;
    writeln!(out, "| --- | --- | --- | --- | --- | --- | --- |")?;
    let all: Vec<_> = network.hosts().collect();
    for &id in all.iter().take(HOSTS) {
        let headline = overview::headline(network, id);
        let roles: Vec<&str> = headline.roles.roles.iter().map(|role| role.name).collect();
        let stated = |stated: &Option<overview::Stated>| {
            stated.as_ref().map_or_else(|| "?".to_owned(), |stated| words(&stated.value))
        };
        writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} |",
            words(&headline.host),
            headline.captured.as_deref().unwrap_or("?"),
            if roles.is_empty() { "?".to_owned() } else { roles.join(", ") },
            stated(&headline.os),
            stated(&headline.kernel),
            stated(&headline.ovs),
            vms(&headline).map(|text| words(&text)).unwrap_or_default(),
        )?;
    }
    writeln!(out)?;
    if all.len() > HOSTS {
        writeln!(out, "and {} more\n", super::count(all.len() - HOSTS, "host"))?;
    }
    Ok(())
}

fn details(
    out: &mut impl Write,
    snapshot: &Snapshot,
    finding: &Finding,
    places: &Places,
) -> io::Result<()> {
    writeln!(
        out,
        "\n### {} {}: {} on {}\n\n{}\n",
        finding.severity,
        words(&finding.rule.code),
        words(&overview::object(finding)),
        words(snapshot.host_label(finding.host)),
        words(&shorten(&finding.message, LONGEST)),
    )?;
    for cited in finding.evidence.iter().take(EVIDENCE) {
        let Some(source) = snapshot.source(cited.evidence.source) else { continue };
        let label = if cited.label.is_empty() {
            String::new()
        } else {
            format!(": {}", words(&cited.label))
        };
        writeln!(out, "{}{label}\n", code(&places.line(source, cited.evidence.span)))?;
        let lines: Vec<String> = excerpt(source, cited.evidence.span, REACH)
            .text
            .lines()
            .take(4)
            .map(|line| visible(&line.replace('\t', "    ")).into_owned())
            .collect();
        let fence = "`".repeat(lines.iter().map(|line| ticks(line)).max().unwrap_or(0).max(2) + 1);
        writeln!(out, "{fence}text\n{}\n{fence}\n", lines.join("\n"))?;
    }
    if finding.evidence.len() > EVIDENCE {
        writeln!(out, "and {} more\n", super::count(finding.evidence.len() - EVIDENCE, "place"))?;
    }
    for searched in &finding.searched {
        let keys: Vec<&str> = searched.keys.iter().map(String::as_str).collect();
        let texts = searched.sources.iter().filter_map(|(id, _)| snapshot.source(*id));
        let texts: Vec<String> =
            texts.take(3).map(|source| places.path(&source.archive, &source.member)).collect();
        let inside = if texts.is_empty() {
            String::new()
        } else {
            format!(" in {}", code(&texts.join(", ")))
        };
        writeln!(out, "- not found: {}{inside}", code(&keys.join(", ")))?;
    }
    if !finding.also.is_empty() {
        let names: Vec<&str> = finding.also.iter().map(|also| also.name.as_str()).collect();
        writeln!(out, "- also: {}", code(&shorten(&names.join(", "), LONGEST)))?;
    }
    for note in &finding.notes {
        writeln!(out, "- note: {}", words(&shorten(note, LONGEST)))?;
    }
    for next in &finding.next {
        writeln!(out, "- next: {}", code(&shorten(next, LONGEST)))?;
    }
    Ok(())
}

/// The longest run of backticks.
fn ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or(0)
}

/// Words that are no markup, on one line.
pub(crate) fn words(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    let mut before = ' ';
    for c in visible(text).chars() {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '$' => {
                escaped.push('\\');
                escaped.push(c);
            }
            // An empty comment parts what would become a mention or a link.
            '@' => escaped.push_str("@<!-- -->"),
            '/' if before == ':' => escaped.push_str("<!-- -->/"),
            '.' if escaped.to_ascii_lowercase().ends_with("www") => escaped.push_str("<!-- -->."),
            c => escaped.push(c),
        }
        if c == '#' {
            escaped.push_str("<!-- -->");
        }
        before = c;
    }
    // What would begin a list or a heading of its own line.
    match escaped.chars().next() {
        Some('-' | '=' | '+') => format!("\\{escaped}"),
        Some(first) if first.is_ascii_digit() => numbered(&escaped),
        _ => escaped,
    }
}

/// `1. x` begins a list.
fn numbered(text: &str) -> String {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    match text.split_at_checked(digits) {
        Some((number, rest)) if rest == "." || rest.starts_with(". ") => {
            format!("{number}\\{rest}")
        }
        _ => text.to_owned(),
    }
}

/// A word of code in a cell of a table.
fn cell(text: &str) -> String {
    code(text).replace('|', "\\|")
}

/// A word of code, on one line.
pub(crate) fn code(text: &str) -> String {
    let text = visible(text);
    if text.is_empty() {
        return String::new();
    }
    let fence = "`".repeat(ticks(&text) + 1);
    let pad = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{pad}{text}{pad}{fence}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_becomes_markup() {
        for (text, escaped) in [
            ("br-int/qvo1", "br-int/qvo1"),
            ("<script>", "&lt;script&gt;"),
            ("[a](http://b)", "\\[a\\](http:<!-- -->//b)"),
            ("6.1 (el9)", "6.1 (el9)"),
            ("@all see #1", "@<!-- -->all see \\#<!-- -->1"),
            ("a|b", "a\\|b"),
            ("- x", "\\- x"),
            ("1. x", "1\\. x"),
            ("www.x", "www<!-- -->.x"),
            ("a\nb\u{202e}", "a␊b�"),
        ] {
            assert_eq!(words(text), escaped, "{text}");
        }
    }

    #[test]
    fn code_holds_backticks() {
        assert_eq!(code("a"), "`a`");
        assert_eq!(code("a`b"), "``a`b``");
        assert_eq!(code("`"), "`` ` ``");
        assert_eq!((code("a|b"), cell("a|b")), ("`a|b`".to_owned(), "`a\\|b`".to_owned()));
    }
}
