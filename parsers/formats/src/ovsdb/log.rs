//! The records of a database file: `OVSDB JSON <length> <sha1>`, then so many bytes of JSON.
//!
//! Source: `ovsdb/log.c`. The JSON of a record is one line, so a record whose length was changed
//! (names and addresses replaced by a cleaner) or whose head is lost can still be told from the
//! next one.
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::span::Span;

use crate::lines::bodies;

/// Which sort of file a record belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Magic {
    /// `OVSDB JSON`: a database of one server.
    Standalone,
    /// `OVSDB CLUSTER`: the log of a raft server.
    Cluster,
}

/// One record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Record<'a> {
    pub(crate) magic: Magic,
    /// The JSON.
    pub(crate) json: &'a str,
    /// Whether its length is that of its header.
    pub(crate) whole: bool,
    /// Whether records may be missing in front of it.
    pub(crate) after_gap: bool,
}

/// Cuts a file into records; the lines of a record are accounted for by who reads it, all others
/// here.
pub(crate) fn records<'a>(text: &'a str, out: &mut Outcome<()>) -> Vec<Record<'a>> {
    let mut all = Vec::new();
    let mut open: Option<(Magic, usize)> = None;
    let mut after_gap = false;
    for body in bodies(text) {
        if body.is_empty() {
            out.lines.add(Fate::Blank);
        } else if let Some((magic, length)) = header(body) {
            if open.is_some() {
                after_gap = true;
            }
            open = Some((magic, length));
            out.lines.add(Fate::Ignored);
        } else if let Some((magic, length)) = open.take() {
            // The line end belongs to the record.
            let whole = length == body.len() + 1;
            all.push(Record { magic, json: body, whole, after_gap });
            after_gap = false;
        } else {
            after_gap = true;
            let what = "part of a record whose header is missing";
            out.problem(ProblemKind::Truncated, Span::of(text, body), what);
            out.lines.add(Fate::Unread);
        }
    }
    if open.is_some() {
        let tail = text.trim_end();
        let last = tail.rfind('\n').map_or(tail, |at| tail.get(at + 1..).unwrap_or_default());
        out.problem(ProblemKind::Truncated, Span::of(text, last), "the record is missing");
    }
    all
}

/// `OVSDB JSON 178 592c9113b0e01a8c836b948d055b0cd3d4d20640`: sort of file, and length.
pub(crate) fn header(line: &str) -> Option<(Magic, usize)> {
    let mut words = line.strip_prefix("OVSDB ")?.split(' ');
    let magic = match words.next()? {
        "JSON" => Magic::Standalone,
        "CLUSTER" => Magic::Cluster,
        _ => return None,
    };
    let length = words.next()?.parse().ok()?;
    let sha1 = words.next()?;
    let is_sha1 = sha1.len() == 40 && sha1.bytes().all(|b| b.is_ascii_hexdigit());
    (is_sha1 && words.next().is_none()).then_some((magic, length))
}
