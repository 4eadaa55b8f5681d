//! Problems of reading, as all JSON and YAML forms list them.
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tapline_core::capture::Snapshot;

use super::source::excerpt;

/// Bytes of a line that are quoted on either side of the problem.
const REACH: usize = 400;

/// One remark about an input or one of its lines.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Problem<'a> {
    pub(crate) archive: &'a str,
    pub(crate) member: &'a str,
    /// `None` where it is about the input as a whole.
    pub(crate) line: Option<u32>,
    pub(crate) kind: &'static str,
    pub(crate) message: &'a str,
    pub(crate) text: &'a str,
}

/// All problems: those of the inputs first, then those of their lines, in order.
pub(crate) fn all(snapshot: &Snapshot) -> impl Iterator<Item = Problem<'_>> {
    let inputs = snapshot.captured.problems.iter().map(|problem| Problem {
        archive: &problem.archive,
        member: &problem.member,
        line: None,
        kind: problem.kind.as_str(),
        message: &problem.message,
        text: "",
    });
    let lines = snapshot.iter().flat_map(|(source, reading)| {
        reading.problems.iter().map(move |problem| Problem {
            archive: &source.archive,
            member: &source.member,
            line: Some(source.line_numbers(problem.span).0),
            kind: problem.kind.as_str(),
            message: &problem.message,
            text: excerpt(source, problem.span, REACH).text,
        })
    });
    inputs.chain(lines)
}

/// All problems, written one by one.
pub(crate) struct Problems<'a>(pub(crate) &'a Snapshot);

impl Serialize for Problems<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(all(self.0))
    }
}

/// What of the input was not used.
pub(crate) struct NotRead<'a>(pub(crate) &'a Snapshot);

/// One file, archive or command that was not used.
#[derive(JsonSchema, Serialize)]
pub(crate) struct NotReadRow<'a> {
    archive: &'a str,
    member: &'a str,
    /// Of a command of a session; null for a file.
    line: Option<u32>,
    command: Option<&'a str>,
    /// `text`, `command`, or the sort of archive.
    what: &'a str,
}

impl Serialize for NotRead<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.captured.left_out.iter().map(|left_out| NotReadRow {
            archive: &left_out.archive,
            member: &left_out.member,
            line: left_out.line,
            command: left_out.command.as_deref(),
            what: &left_out.what,
        }))
    }
}
