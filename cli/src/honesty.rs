//! How much a verdict is worth: what was looked at, and what of the input was not read.
use tapline_analysis::lint::Report;
use tapline_core::capture::Snapshot;
use tapline_core::outcome::{Problem, ProblemKind};
use tapline_topology::{NodeData, Topology};

use crate::render::count;

/// Formats that tell about the machine and not about its network.
const ABOUT_THE_MACHINE: &[&str] =
    &["date", "guests", "hostname", "machine-id", "uname", "uptime", "ps"];

/// What there was to look at, where that is nothing: `0 devices, 98 of 100 rules …`.
pub(crate) fn nothing_to_judge(topology: &Topology<'_>, report: &Report) -> Option<String> {
    let network = topology.nodes().any(|(_, node)| match &node.data {
        NodeData::Netdev(device) => !device.stub,
        NodeData::Host(_) | NodeData::Netns(_) => false,
        _ => true,
    });
    if network {
        return None;
    }
    let idle = report.clean.iter().filter(|(_, objects)| *objects == 0).count();
    let rules = count(report.clean.len(), "rule");
    Some(format!("0 devices, {idle} of {rules} had nothing to look at"))
}

/// Whether any text about the network could be read.
pub(crate) fn is_usable(snapshot: &Snapshot) -> bool {
    snapshot.iter().any(|(source, reading)| {
        let format = source.format.map_or("", |format| format.0);
        let failed = snapshot.completeness(source.id).is_failed();
        // A heading alone says that there is nothing; a text without a line says nothing.
        let lines = &reading.lines;
        let understood = !reading.records.is_empty() || lines.total > 0 && lines.unread == 0;
        !failed && understood && !ABOUT_THE_MACHINE.contains(&format)
    })
}

/// Why a good part of the input was not read, where that is so.
pub(crate) fn hardly_read(snapshot: &Snapshot) -> Option<String> {
    let problems = &snapshot.captured.problems;
    if let Some(problem) = problems.iter().find(|problem| is_damage(problem.kind, &problem.message))
    {
        return Some(format!("the archive is {}", brief(&problem.message)));
    }
    let limits = problems.iter().filter(|problem| problem.kind == ProblemKind::Limit).count();
    let texts = snapshot.captured.sources.len();
    if limits > 0 && limits * 10 >= texts {
        return Some(format!("{} not read because of a limit", were(limits, "text")));
    }
    // A list that was read up to a limit.
    let mut problems = snapshot.readings.iter().flat_map(|reading| &reading.problems);
    if let Some(problem) = problems.find(|problem| problem.kind == ProblemKind::Limit) {
        return Some(format!("one text {}", problem.message));
    }
    let lines = snapshot.readings.iter().fold((0_u64, 0_u64), |sum, reading| {
        (sum.0 + u64::from(reading.lines.total), sum.1 + u64::from(reading.lines.unread))
    });
    // Output of which nothing tells what it is counts as well.
    let loose: u64 = snapshot.captured.inputs.iter().map(|input| input.unclaimed_lines).sum();
    let (total, unread) = (lines.0 + loose, lines.1 + loose);
    (unread * 10 > total).then(|| format!("{unread} of {total} lines were not understood"))
}

/// Whether an archive ends too early or cannot be read on: what is missing is unknown.
pub(crate) fn is_damaged(snapshot: &Snapshot) -> bool {
    snapshot.captured.problems.iter().any(|problem| is_damage(problem.kind, &problem.message))
}

/// Whether anything of the input was not read, or not wholly.
pub(crate) fn is_unread(snapshot: &Snapshot) -> bool {
    !snapshot.captured.problems.is_empty() || leaves_lines(snapshot) || has_failed(snapshot)
}

/// Whether files, commands or lines of the input were passed over.
pub(crate) fn leaves_lines(snapshot: &Snapshot) -> bool {
    let captured = &snapshot.captured;
    let not_read = |kind| matches!(kind, ProblemKind::UnreadLine | ProblemKind::Limit);
    !captured.left_out.is_empty()
        || captured.problems.iter().any(|problem| not_read(problem.kind))
        || snapshot.readings.iter().any(|reading| {
            // A line of an answer that only looks like a complaint is no part of what was read.
            let complains = |problem: &Problem| problem.kind == ProblemKind::ToolError;
            let among_answers = !reading.records.is_empty();
            reading.lines.unread > 0 || among_answers && reading.problems.iter().any(complains)
        })
}

/// Whether a text is an error in place of an answer.
pub(crate) fn has_failed(snapshot: &Snapshot) -> bool {
    snapshot.iter().any(|(source, _)| snapshot.completeness(source.id).is_failed())
}

fn is_damage(kind: ProblemKind, message: &str) -> bool {
    kind == ProblemKind::Container && message.starts_with("damaged")
}

/// The first words of a remark.
fn brief(message: &str) -> &str {
    message.split([':', ';']).next().unwrap_or(message)
}

fn were(number: usize, what: &str) -> String {
    format!("{} {}", count(number, what), if number == 1 { "was" } else { "were" })
}
