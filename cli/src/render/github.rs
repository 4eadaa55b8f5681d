//! The report of `lint` as annotations of a GitHub workflow: one command a line.
use std::io::Write;

use tapline_analysis::lint::{Finding, Report, Severity};
use tapline_core::capture::Snapshot;

use super::artifact::{Artifact, Region};
use super::escape::{harmless, shorten, visible};
use crate::error::Result;
use crate::overview;

/// Characters of a message.
const LONGEST: usize = 2000;

/// Writes the report.
pub(crate) fn render(out: &mut impl Write, snapshot: &Snapshot, report: &Report) -> Result<()> {
    // A step shows ten annotations: what follows from a root would take the place of others.
    for finding in overview::roots(report) {
        writeln!(out, "{}", annotation(snapshot, finding))?;
    }
    Ok(())
}

fn annotation(snapshot: &Snapshot, finding: &Finding) -> String {
    let level = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
        Severity::Info => "notice",
    };
    let host = snapshot.host(finding.host).map_or("", |host| host.label());
    let netns = finding.netns.as_ref().and_then(|netns| netns.name());
    let netns = netns.map_or(String::new(), |netns| format!("{netns}/"));
    let mut lines = vec![format!("{host} · {netns}{}: {}", finding.subject.name, finding.message)];
    let mut properties = Vec::new();
    let cited = finding.evidence.first();
    if let Some((source, cited)) =
        cited.and_then(|cited| Some((snapshot.source(cited.evidence.source)?, cited)))
    {
        let region = Region::of(source, cited.evidence.span);
        match Artifact::of(source) {
            Artifact::File(path) => {
                properties.push(("file", path));
                properties.push(("line", region.lines.0.to_string()));
                properties.push(("endLine", region.lines.1.to_string()));
                if let Some((start, end)) = region.columns {
                    properties.push(("col", start.to_string()));
                    properties.push(("endColumn", end.to_string()));
                }
            }
            // The line is one of the member: in the file that can be annotated it means nothing.
            Artifact::Member(archive, member) => {
                properties.push(("file", archive));
                lines.push(format!("{member}:{}", region.lines.0));
            }
        }
        lines.push(region.quote.trim().to_owned());
    }
    if !finding.explains.is_empty() {
        lines.push(format!("{} from it", follow(finding.explains.len())));
    }
    properties.push(("title", format!("{} {}", finding.rule.code, finding.rule.id)));
    lines.extend(finding.next.iter().map(|next| format!("next: {next}")));
    let properties: Vec<String> =
        properties.iter().map(|(name, value)| format!("{name}={}", property(value))).collect();
    let message: Vec<String> = lines.iter().map(|line| data(line)).collect();
    format!("::{level} {}::{}", properties.join(","), message.join("%0A"))
}

/// `1 more finding follows`
fn follow(findings: usize) -> String {
    let verb = if findings == 1 { "follows" } else { "follow" };
    format!("{} {verb}", super::count(findings, "more finding"))
}

/// The text after `::`.
fn data(text: &str) -> String {
    let text = shorten(text, LONGEST);
    visible(&text).replace('%', "%25")
}

/// The value of a property; a path may hold anything.
fn property(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '%' | '\r' | '\n' | ':' | ',' => escaped.push_str(&format!("%{:02X}", u32::from(c))),
            c => escaped.push(harmless(c)),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_ends_the_command_early() {
        assert_eq!(property("a,b:c%\n::error::x"), "a%2Cb%3Ac%25%0A%3A%3Aerror%3A%3Ax");
        assert_eq!(data("50%\n::error::x"), "50%25␊::error::x");
    }
}
