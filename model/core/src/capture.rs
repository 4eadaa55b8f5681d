//! What was captured: hosts, and the texts that belong to them.
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde::Serialize;

pub use crate::host::{HostKey, Moment};

use crate::Name;
use crate::ids::Netns;
use crate::outcome::{Outcome, ProblemKind};
use crate::records::Batch;
use crate::request::Request;
use crate::span::{Evidence, LineIndex, SourceId, Span};

/// Which host: an index into [`Captured::hosts`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct HostId(pub u32);

/// One machine as it was captured at one moment.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// Short host name as captured, else the name of the folder or archive.
    pub name: String,
    /// The domain behind that name, in small letters, where a text has the full one.
    pub domain: Option<Name>,
    /// The name to show, unique among the hosts of a run; see [`Snapshot::host_label`].
    pub label: String,
    /// Which machine it is.
    pub key: HostKey,
    /// What tells it from a newer capture with the same key; `None` for the newest.
    pub older: Option<Name>,
    /// The name is that of its own texts, or a person gave it: it may say which machine it is.
    pub is_named: bool,
    /// When it was looked at, where one time holds for all of its texts.
    pub taken: Option<Moment>,
    /// Labels of the hosts of which it may be a part: of several machines, so it was joined with none.
    pub may_be: Vec<String>,
    /// The inputs that its sources came from, as the user named them.
    pub inputs: Vec<String>,
    /// Version of sos that made the report (`version.txt`, manifest).
    pub sos_version: Option<String>,
    /// `/etc/machine-id`, where it was captured.
    pub machine_id: Option<String>,
    /// `system-id` of Open vSwitch, where it was captured.
    pub system_id: Option<String>,
    /// UUID of the hardware, where it was captured.
    pub dmi_uuid: Option<String>,
    /// The report went through `sos clean`: addresses, MACs and names are not those of the host.
    pub cleaned: bool,
}

impl Host {
    /// See [`Snapshot::host_label`].
    pub fn label(&self) -> &str {
        if self.label.is_empty() { &self.name } else { &self.label }
    }
}

/// Whether a text shows all that its command had to say.
///
/// The fourth state, *not captured*, is a source that does not exist.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
#[serde(tag = "state", content = "reason", rename_all = "kebab-case")]
pub enum Completeness {
    /// All of it: what is not listed is not there.
    #[default]
    Complete,
    /// Part of it: filtered by a pipe, cut off, elided. What is listed is there; nothing follows
    /// from what is not.
    Partial(String),
    /// Nothing of it: the tool failed. The reason is the tool's own words, shortened.
    Failed(String),
}

impl Completeness {
    /// Whether absence from this text means absence.
    pub fn is_complete(&self) -> bool {
        *self == Self::Complete
    }

    /// Whether the text holds no data at all.
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed(_))
    }

    /// The worse of two verdicts.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (&self, &other) {
            (Self::Failed(_), _) | (_, Self::Complete) => self,
            (_, Self::Failed(_)) | (Self::Complete, _) => other,
            (Self::Partial(_), Self::Partial(_)) => self,
        }
    }
}

/// A command line without its wrapping (`sudo`, `ip netns exec NS`, an absolute path).
///
/// A file that was copied is the command `cat PATH`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Command {
    /// Program and arguments.
    pub argv: Vec<String>,
}

impl Command {
    /// Splits at blanks; quotes are not interpreted.
    pub fn new(line: &str) -> Self {
        Self { argv: line.split_whitespace().map(str::to_owned).collect() }
    }

    /// The path of a copied file: `cat PATH`.
    pub fn path(&self) -> Option<&str> {
        match self.argv.as_slice() {
            [cat, path] if cat == "cat" => Some(path),
            _ => None,
        }
    }

    /// The program.
    pub fn program(&self) -> &str {
        self.argv.first().map_or("", String::as_str)
    }

    /// The arguments after the program.
    pub fn args(&self) -> &[String] {
        self.argv.get(1..).unwrap_or_default()
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, word) in self.argv.iter().enumerate() {
            if n > 0 {
                f.write_str(" ")?;
            }
            f.write_str(word)?;
        }
        Ok(())
    }
}

/// The id of a format, such as `ip-address`; the registry of tapline-formats lists them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
pub struct FormatId(pub &'static str);

impl fmt::Display for FormatId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One captured text: the output of one command on one host in one namespace, or one file.
#[derive(Debug)]
pub struct Source {
    /// Its own index.
    pub id: SourceId,
    /// The host that printed it.
    pub host: HostId,
    /// The namespace that the command ran in.
    pub netns: Netns,
    /// The input: tarball, folder or transcript, as the user named it (nested archives append
    /// `!member`).
    pub archive: Arc<str>,
    /// Path inside the archive or folder; empty where the input is one file.
    pub member: Arc<str>,
    /// One-based line of the member at which the text starts (a transcript holds many texts).
    pub first_line: u32,
    /// The command, or `cat PATH`.
    pub command: Command,
    /// The format that reads it; `None` for a text that nothing claims.
    pub format: Option<FormatId>,
    /// What it was asked for, as the format that claimed it reads the command.
    pub request: Request,
    /// The text, decoded to UTF-8. Spans refer to it.
    pub text: String,
    /// What the capture itself says of completeness: exit status, truncation, a pipe.
    /// A reader may add to it; see [`Snapshot::completeness`].
    pub completeness: Completeness,
    /// Seconds since the epoch at which the command started, where the capture says so.
    pub taken: Option<f64>,
    /// Between which seconds it was taken, by the clock of the capture itself, where no more is
    /// known: a report that says when it began and ended. To compare texts of one archive only.
    pub window: Option<(f64, f64)>,
    /// Where the lines of `text` stand in the member, where they do not follow one another from
    /// `first_line` on: packing was taken off them. Empty where they do.
    pub places: Vec<LinePlace>,
    /// Line starts of `text`, made on first use.
    pub lines: OnceLock<LineIndex>,
}

/// Where one line of a text stands in the member that it came from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LinePlace {
    /// One-based line.
    pub line: u32,
    /// Characters of that line in front of the text.
    pub column: u32,
    /// Where parts of the line stand that do not follow the one before: something was taken out
    /// between them, as an escape sequence, or they were on another line. In order.
    pub shifts: Option<Box<[Shift]>>,
}

impl LinePlace {
    /// One-based line of the character of this line with this index, and the characters in front
    /// of it there.
    pub fn of(&self, at: u32) -> (u32, u32) {
        let shifts = self.shifts.as_deref().unwrap_or_default();
        let behind = shifts.partition_point(|shift| shift.at <= at);
        let shift = behind.checked_sub(1).and_then(|last| shifts.get(last));
        let start = Shift { at: 0, line: self.line, column: self.column };
        let shift = shift.unwrap_or(&start);
        (shift.line, shift.column.saturating_add(at - shift.at))
    }
}

/// A part of a line that stands elsewhere than the part before it tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shift {
    /// Characters of the line before the part.
    pub at: u32,
    /// One-based line of the member.
    pub line: u32,
    /// Characters of that line in front of the part.
    pub column: u32,
}

impl Source {
    /// One-based line numbers, within the member, of the first and the last line of `span`.
    pub fn line_numbers(&self, span: Span) -> (u32, u32) {
        let last = span.end.saturating_sub(1).max(span.start);
        (self.line_of(span.start), self.line_of(last))
    }

    /// One-based line of the member at which `span` begins.
    pub fn line_number(&self, span: Span) -> u32 {
        self.line_of(span.start)
    }

    /// One-based line of a byte of the text, within the member.
    fn line_of(&self, offset: u32) -> u32 {
        let line = self.index().line(offset);
        let Some(place) = self.places.get(line as usize).or(self.places.last()) else {
            return self.first_line + line;
        };
        if place.shifts.is_none() {
            return place.line;
        }
        let start = self.index().start(line).unwrap_or(offset);
        let before = self.text.get(start as usize..offset as usize).unwrap_or_default();
        place.of(u32::try_from(before.chars().count()).unwrap_or(u32::MAX)).0
    }

    /// Characters that stand, on its line of the member, before the character with the index `at` in
    /// the line of the text at `offset`: marks of a quoted mail, line numbers and what else was taken
    /// off count.
    pub fn characters_before(&self, offset: u32, at: u32) -> u32 {
        let line = self.index().line(offset);
        self.places.get(line as usize).map_or(at, |place| place.of(at).1)
    }

    fn index(&self) -> &LineIndex {
        self.lines.get_or_init(|| LineIndex::new(&self.text))
    }

    /// The quoted text of `span`.
    pub fn quote(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// The whole lines that `span` touches, without the last line end.
    pub fn line_text(&self, span: Span) -> &str {
        let bytes = self.text.as_bytes();
        let end = (span.end as usize).min(bytes.len());
        let start = (span.start as usize).min(end);
        let before = bytes.get(..start).unwrap_or_default();
        let from = before.iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        // A span that ends with a line end does not touch the next line.
        let mut to = end;
        if !(end > start && bytes.get(end - 1) == Some(&b'\n')) {
            let after = bytes.get(end..).unwrap_or_default();
            to = after.iter().position(|&b| b == b'\n').map_or(bytes.len(), |at| end + at);
        }
        self.text.get(from..to).unwrap_or_default().trim_end_matches(['\n', '\r'])
    }

    /// `archive!member`, or the archive alone where the input is one file.
    pub fn place(&self) -> String {
        if self.member.is_empty() {
            self.archive.to_string()
        } else {
            format!("{}!{}", self.archive, self.member)
        }
    }
}

/// A remark about an input rather than about a line of a text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InputProblem {
    /// What sort of remark.
    pub kind: ProblemKind,
    /// The input, as the user named it.
    pub archive: Arc<str>,
    /// Path inside it, where it is about one member.
    pub member: Arc<str>,
    /// One sentence, lower case, no full stop.
    pub message: String,
}

/// Something in an input that nothing was made of: whoever handed it over may believe it counts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LeftOut {
    /// The input, as the user named it.
    pub archive: Arc<str>,
    /// Path inside it; empty where the input is one file.
    pub member: Arc<str>,
    /// One-based line, for a command of a session.
    pub line: Option<u32>,
    /// The command, for a command of a session.
    pub command: Option<String>,
    /// What it is: `text`, `command`, or the sort of archive.
    pub what: String,
}

/// How much of one input was looked at.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct InputCount {
    /// The input, as the user named it.
    pub archive: String,
    /// Files and links in it, those of nested archives included.
    pub members: u64,
    /// Members that became texts, or told about the host.
    pub kept: u64,
    /// Members that nothing claims: passed over.
    pub unclaimed: u64,
    /// Bytes of the texts that were kept.
    pub kept_bytes: u64,
    /// Commands seen in transcripts that nothing claims.
    pub unclaimed_commands: u64,
    /// Lines in transcripts that look like output, of which nothing tells which command printed them.
    pub unclaimed_lines: u64,
}

/// All that was read from the inputs: hosts, texts, and what went wrong on the way.
#[derive(Debug, Default)]
pub struct Captured {
    /// The hosts, in the order of the inputs.
    pub hosts: Vec<Host>,
    /// The texts; a [`SourceId`] is an index into this.
    pub sources: Vec<Source>,
    /// Remarks about inputs.
    pub problems: Vec<InputProblem>,
    /// How much of each input was looked at, in the order of the inputs.
    pub inputs: Vec<InputCount>,
    /// What in the inputs was not used.
    pub left_out: Vec<LeftOut>,
}

/// Captured texts and what the readers made of them.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Hosts and texts.
    pub captured: Captured,
    /// One per source, in the same order.
    pub readings: Vec<Outcome<Batch>>,
}

impl Snapshot {
    /// The host with this id.
    pub fn host(&self, id: HostId) -> Option<&Host> {
        self.captured.hosts.get(id.0 as usize)
    }

    /// The name of a host to show: that of the machine, and where several hosts have it, what tells
    /// them apart.
    pub fn host_label(&self, id: HostId) -> &str {
        self.host(id).map_or("", Host::label)
    }

    /// The source with this id.
    pub fn source(&self, id: SourceId) -> Option<&Source> {
        self.captured.sources.get(id.0 as usize)
    }

    /// What was read from a source.
    pub fn reading(&self, id: SourceId) -> Option<&Outcome<Batch>> {
        self.readings.get(id.0 as usize)
    }

    /// Each source with its records, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&Source, &Outcome<Batch>)> {
        self.captured.sources.iter().zip(&self.readings)
    }

    /// Completeness of a source: the worse of what the capture and the reader say.
    pub fn completeness(&self, id: SourceId) -> Completeness {
        let source = self.source(id).map(|source| source.completeness.clone()).unwrap_or_default();
        let reading =
            self.reading(id).map(|reading| reading.completeness.clone()).unwrap_or_default();
        source.and(reading)
    }

    /// The quoted text of a piece of evidence.
    pub fn quote(&self, evidence: Evidence) -> &str {
        self.source(evidence.source).map_or("", |source| source.quote(evidence.span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_texts_prove_absence_and_the_worse_verdict_counts() {
        let whole = Completeness::Complete;
        let part = |why: &str| Completeness::Partial(why.to_owned());
        let failed = |why: &str| Completeness::Failed(why.to_owned());
        let states = |it: &Completeness| (it.is_complete(), it.is_failed());
        assert_eq!(states(&whole), (true, false));
        assert_eq!(states(&part("cut")), (false, false));
        assert_eq!(states(&failed("no such program")), (false, true));
        for (one, other, expected) in [
            (whole.clone(), whole.clone(), whole.clone()),
            (whole.clone(), part("cut"), part("cut")),
            (whole, failed("no such program"), failed("no such program")),
            (part("cut"), failed("no such program"), failed("no such program")),
        ] {
            assert_eq!(one.clone().and(other.clone()), expected);
            assert_eq!(other.and(one), expected);
        }
        assert_eq!(part("cut").and(part("filtered")), part("cut"), "the first reason is kept");
    }
}
