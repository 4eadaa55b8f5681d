//! The report of `lint`, one line a root: `path:line:column: CODE severity: host · object: message`.
use std::io::{self, Write};

use tapline_analysis::lint::{Finding, Report};
use tapline_core::capture::Snapshot;

use super::escape::{shorten, visible};
use super::headline::affects;
use super::places::Places;
use super::severity_style;
use crate::overview;
use crate::terminal::{Terminal, style};

/// Characters of a message.
const LONGEST: usize = 600;

/// Writes the roots, or all open findings.
pub(crate) fn render(
    out: &mut impl Write,
    snapshot: &Snapshot,
    report: &Report,
    all: bool,
    terminal: &Terminal,
) -> io::Result<()> {
    let places = Places::new(snapshot, terminal);
    let open = report.findings.iter().filter(|finding| finding.is_open());
    let shown: Vec<&Finding> = if all { open.collect() } else { overview::roots(report) };
    for finding in shown {
        writeln!(out, "{}", line(snapshot, finding, &places, terminal))?;
    }
    Ok(())
}

fn line(snapshot: &Snapshot, finding: &Finding, places: &Places, terminal: &Terminal) -> String {
    let paint = terminal.stdout();
    let at = overview::first_place(snapshot, finding);
    let place = at.and_then(|at| Some((snapshot.source(at.source)?, at.span)));
    let place = match place {
        Some((source, span)) => places.linked_column(source, span),
        // A finding about what the input lacks.
        None => {
            let host = snapshot.host(finding.host);
            let input = host.and_then(|host| host.inputs.first());
            visible(input.map_or("-", String::as_str)).into_owned()
        }
    };
    let affects = affects(finding);
    let affects = if affects.is_empty() { affects } else { format!(" [{affects}]") };
    format!(
        "{place}: {} {}: {} · {}: {}{affects}",
        paint.of(style::STRONG, visible(&finding.rule.code)),
        paint.of(severity_style(finding.severity), finding.severity),
        visible(snapshot.host_label(finding.host)),
        visible(&overview::object(finding)),
        visible(&shorten(&finding.message, LONGEST)),
    )
}
