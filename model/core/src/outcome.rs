//! What reading a text gives: records, problems, and an account of every line.
use serde::Serialize;

use crate::capture::Completeness;
use crate::span::Span;

/// Why a piece of text was not (wholly) understood. The `Display` form is the public name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// No reader of this format knows such a line.
    UnreadLine,
    /// The line was read, but something stands behind its last known field.
    TrailingText,
    /// The line was read but a value in it was not: a broken number, an impossible address.
    BadValue,
    /// An indented line with no record above that it could belong to.
    OrphanLine,
    /// The text ends in the middle of a record.
    Truncated,
    /// A complaint of the tool among its output (`RTNETLINK answers: …`); the rest stands.
    ToolError,
    /// The text was not UTF-8; broken bytes were replaced.
    LossyText,
    /// A bound on input was reached.
    Limit,
    /// The container (archive, folder) is damaged or partly unreadable.
    Container,
}

/// How the reason begins for which a text is a part that a pipe let through: the filter follows.
pub const FILTERED: &str = "filtered by ";

/// Why a text is partial that ends without a line end, in a line that may be whole: it was cut off,
/// or lost its end when it was copied by hand.
pub const MAY_BE_CUT: &str = "the last line may be cut off";

/// The problem of such a text: its span is the last record.
pub const NO_LINE_END: &str =
    "the text ends without a line end: this may be cut off, and more with it";

impl ProblemKind {
    /// The public name, such as `unread-line`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnreadLine => "unread-line",
            Self::TrailingText => "trailing-text",
            Self::BadValue => "bad-value",
            Self::OrphanLine => "orphan-line",
            Self::Truncated => "truncated",
            Self::ToolError => "tool-error",
            Self::LossyText => "lossy-text",
            Self::Limit => "limit",
            Self::Container => "container",
        }
    }
}

/// One remark about a source text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// What sort of remark.
    pub kind: ProblemKind,
    /// One sentence, lower case, no full stop: `expected a number after `mtu``.
    pub message: String,
    /// Where it stands.
    pub span: Span,
}

/// What became of one line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// Nothing on it.
    Blank,
    /// Part of a record.
    Read,
    /// Named by the format as carrying nothing: a header, a rule, a prompt.
    Ignored,
    /// Has a problem.
    Unread,
}

/// The account of lines: `read + ignored + unread == total`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct LineCount {
    /// Lines that are not blank.
    pub total: u32,
    /// Lines that became part of a record.
    pub read: u32,
    /// Lines that the format names as carrying nothing.
    pub ignored: u32,
    /// Lines with a problem.
    pub unread: u32,
}

impl LineCount {
    /// Accounts for one more line.
    pub fn add(&mut self, fate: Fate) {
        match fate {
            Fate::Blank => return,
            Fate::Read => self.read += 1,
            Fate::Ignored => self.ignored += 1,
            Fate::Unread => self.unread += 1,
        }
        self.total += 1;
    }

    /// Adds the account of another text.
    pub fn merge(&mut self, other: Self) {
        self.total += other.total;
        self.read += other.read;
        self.ignored += other.ignored;
        self.unread += other.unread;
    }
}

/// The result of every reader. A reader never fails: at worst it has no records.
#[derive(Clone, Debug)]
pub struct Outcome<T> {
    /// What was understood.
    pub records: T,
    /// What was not.
    pub problems: Vec<Problem>,
    /// The account of lines.
    pub lines: LineCount,
    /// Whether the text shows all that the command had to say.
    pub completeness: Completeness,
}

impl<T: Default> Default for Outcome<T> {
    fn default() -> Self {
        Self {
            records: T::default(),
            problems: Vec::new(),
            lines: LineCount::default(),
            completeness: Completeness::Complete,
        }
    }
}

impl<T> Outcome<T> {
    /// Adds a remark.
    pub fn problem(&mut self, kind: ProblemKind, span: Span, message: impl Into<String>) {
        self.problems.push(Problem { kind, message: message.into(), span });
    }

    /// The same account with other records.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Outcome<U> {
        Outcome {
            records: f(self.records),
            problems: self.problems,
            lines: self.lines,
            completeness: self.completeness,
        }
    }
}
