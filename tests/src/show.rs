//! How tests show records and places, and where they keep snapshots.
use std::path::Path;

use serde::Serialize;
use tapline_core::capture::Snapshot;
use tapline_core::records::Visitor;
use tapline_core::span::{Evidence, LineIndex, Span};

/// One-based line of the start of `span`.
pub fn line_of(text: &str, span: Span) -> u32 {
    LineIndex::new(text).line(span.start) + 1
}

/// `member:line` of a piece of evidence.
pub fn place(read: &Snapshot, evidence: Evidence) -> String {
    let Some(source) = read.source(evidence.source) else { return String::new() };
    let (line, _) = source.line_numbers(evidence.span);
    let name = if source.member.is_empty() { &source.archive } else { &source.member };
    let name = Path::new(&**name).file_name().unwrap_or_default().to_string_lossy();
    format!("{name}:{line}")
}

/// Records as lines of JSON, each behind the line it was read from.
#[derive(Debug)]
pub struct Records {
    /// The lines.
    pub shown: String,
    lines: LineIndex,
}

impl Records {
    /// Over the records of `text`.
    pub fn new(text: &str) -> Self {
        Self { shown: String::new(), lines: LineIndex::new(text) }
    }
}

impl Visitor for Records {
    fn record<T: Serialize + 'static>(&mut self, at: Span, record: &T) {
        // What is not printed is not a claim about the text: nulls are left out.
        let mut json = serde_json::to_value(record).unwrap_or_default();
        if let Some(fields) = json.as_object_mut() {
            fields.retain(|_, value| !value.is_null());
        }
        let json = json.to_string();
        let line = self.lines.line(at.start) + 1;
        self.shown.extend([line.to_string().as_str(), ": ", &json, "\n"]);
    }
}

/// Compares `shown` with the snapshot `<stem>.snap` beside `path`.
pub fn snapshot(path: &Path, shown: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(path.canonicalize().unwrap_or_default().parent().unwrap_or(path));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    settings.bind(|| insta::assert_snapshot!(name, shown));
}
