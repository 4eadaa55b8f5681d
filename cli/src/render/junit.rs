//! The report of `lint` as JUnit XML: a test suite for each host, a test for each rule. Findings
//! that fail are failures, milder ones are output, what could not be decided is skipped.
use std::io::Write;

use tapline_analysis::lint::{CannotTell, Finding, Report, Rule, RuleRef, Severity};
use tapline_core::capture::{HostId, Snapshot};
use tapline_core::need;
use tapline_topology::CaptureKey;

use super::escape::{harmless, shorten};
use super::{count, place};
use crate::error::Result;

/// Characters of a message.
const LONGEST: usize = 2000;

/// One test.
struct Case<'a> {
    rule: &'a Rule,
    failures: Vec<&'a Finding>,
    others: Vec<&'a Finding>,
    undecided: Vec<&'a CannotTell>,
    /// There was nothing that the rule looks at.
    idle: bool,
}

impl Case<'_> {
    fn is_skipped(&self) -> bool {
        self.failures.is_empty() && (self.idle || !self.undecided.is_empty())
    }
}

/// Writes the report. Findings of the severity `least` and worse are failures.
pub(crate) fn render(
    out: &mut impl Write,
    snapshot: &Snapshot,
    report: &Report,
    rules: &[RuleRef],
    least: Option<Severity>,
) -> Result<()> {
    let ids = (0..).map(HostId).take(snapshot.captured.hosts.len());
    let hosts: Vec<(HostId, Vec<Case<'_>>)> =
        ids.map(|host| (host, cases(report, rules, host, least))).collect();
    let all = || hosts.iter().flat_map(|(_, cases)| cases);
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"tapline\" {}>", counts(all()))?;
    for (host, cases) in &hosts {
        let key = CaptureKey::of(snapshot, *host).map(|key| key.to_string()).unwrap_or_default();
        let host = line(snapshot.host_label(*host));
        writeln!(out, "  <testsuite name=\"{host}\" {}>", counts(cases))?;
        writeln!(out, "    <properties>")?;
        writeln!(out, "      <property name=\"host-key\" value=\"{}\"/>", line(&key))?;
        writeln!(out, "    </properties>")?;
        for it in cases {
            case(out, snapshot, &host, it)?;
        }
        writeln!(out, "  </testsuite>")?;
    }
    Ok(writeln!(out, "</testsuites>")?)
}

fn cases<'a>(
    report: &'a Report,
    rules: &'a [RuleRef],
    host: HostId,
    least: Option<Severity>,
) -> Vec<Case<'a>> {
    let of = |rule: &'a RuleRef| {
        let found =
            report.findings.iter().filter(|finding| finding.host == host && finding.is_open());
        let found = found.filter(|found| found.rule.code == rule.code);
        let (failures, others): (Vec<_>, Vec<_>) =
            found.partition(|found| least.is_some_and(|least| found.severity >= least));
        let undecided = report.cannot_tell.iter();
        let undecided: Vec<_> = undecided
            .filter(|undecided| undecided.host == host && undecided.code == rule.code)
            .collect();
        let looked_at = report.clean.iter().find(|(code, _)| *code == rule.code);
        let none = looked_at.is_some_and(|&(_, objects)| objects == 0);
        let idle = none && failures.is_empty() && others.is_empty() && undecided.is_empty();
        Case { rule, failures, others, undecided, idle }
    };
    rules.iter().map(of).collect()
}

/// `tests="16" failures="1" errors="0" skipped="2"`
fn counts<'a>(cases: impl IntoIterator<Item = &'a Case<'a>>) -> String {
    let (mut tests, mut failures, mut skipped) = (0, 0, 0);
    for case in cases {
        tests += 1;
        failures += usize::from(!case.failures.is_empty());
        skipped += usize::from(case.is_skipped());
    }
    format!("tests=\"{tests}\" failures=\"{failures}\" errors=\"0\" skipped=\"{skipped}\"")
}

fn case(out: &mut impl Write, snapshot: &Snapshot, host: &str, it: &Case<'_>) -> Result<()> {
    let name = format!("{} {}", it.rule.code, it.rule.id);
    write!(out, "    <testcase classname=\"{host}\" name=\"{}\"", line(&name))?;
    let silent = it.failures.is_empty() && it.others.is_empty() && it.undecided.is_empty();
    if silent && !it.idle {
        return Ok(writeln!(out, "/>")?);
    }
    writeln!(out, ">")?;
    if let Some(first) = it.failures.first() {
        let message = match it.failures.len() {
            1 => headline(first),
            many => format!("{}: {}, …", count(many, "finding"), headline(first)),
        };
        writeln!(
            out,
            "      <failure type=\"{}\" message=\"{}\">",
            line(&it.rule.code),
            line(&message),
        )?;
        findings(out, snapshot, &it.failures)?;
        writeln!(out, "</failure>")?;
    } else if it.is_skipped() {
        let missing: Vec<String> = it.undecided.iter().map(|it| undecided(it)).collect();
        let message = if it.idle {
            "nothing to look at".to_owned()
        } else {
            format!("cannot tell: {}", missing.join("; "))
        };
        writeln!(out, "      <skipped message=\"{}\"/>", line(&message))?;
    }
    if !it.others.is_empty() {
        writeln!(out, "      <system-out>")?;
        findings(out, snapshot, &it.others)?;
        writeln!(out, "</system-out>")?;
    }
    Ok(writeln!(out, "    </testcase>")?)
}

/// `3 objects; to decide, run: ip -d address, ip netns`
fn undecided(it: &CannotTell) -> String {
    format!("{}; to decide, run: {}", count(it.count as usize, "object"), need::list(&it.missing))
}

/// `br-int/qvo1: OVS could not open the device`
fn headline(finding: &Finding) -> String {
    format!("{}: {}", finding.subject.name, finding.message)
}

/// Each finding with the lines that prove it.
fn findings(out: &mut impl Write, snapshot: &Snapshot, all: &[&Finding]) -> Result<()> {
    for finding in all {
        writeln!(out, "{}: {}", finding.severity, line(&headline(finding)))?;
        for cited in &finding.evidence {
            let Some(source) = snapshot.source(cited.evidence.source) else { continue };
            let (number, _) = source.line_numbers(cited.evidence.span);
            let place = place(&source.archive, &source.member).to_string();
            let quote = source.quote(cited.evidence.span).trim();
            writeln!(out, "  {}:{number}: {}", line(&place), line(quote))?;
        }
        for note in &finding.notes {
            writeln!(out, "  note: {}", line(note))?;
        }
        for command in &finding.next {
            writeln!(out, "  next: {}", line(command))?;
        }
    }
    Ok(())
}

/// One line of text, for between tags and between double quotes.
fn line(text: &str) -> String {
    escape(&shorten(text, LONGEST))
}

/// Replaces what has a meaning in XML, and what XML 1.0 does not allow at all, escaped or not.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match harmless(c) {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_xml_forbids_does_not_get_through() {
        assert_eq!(escape("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&apos;");
        assert_eq!(escape("]]>\0\x1b\u{ffff}"), "]]&gt;␀␛\u{fffd}");
    }
}
