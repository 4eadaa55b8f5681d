//! Rows as JSON: `{"caption":"Bridge table","headings":["_uuid",…],"data":[[…],…]}`, one such
//! object per table (`lib/table.c`, `table_print_json__`).
use serde_json::value::RawValue;
use tapline_model::outcome::{Fate, Outcome, ProblemKind};
use tapline_model::records::ovs::OvsRecord;
use tapline_model::span::Span;

use super::cell::{Cell, Style};
use super::is_log_line;
use super::rows::{Plan, Table};
use crate::json_object::{Object, elements, plain};
use crate::lines::{bodies, one_line};
use crate::nomx::refuse;

/// Reads all objects of `text`.
pub(super) fn json_rows<'a>(text: &'a str, plan: Plan<'a>, out: &mut Outcome<Vec<OvsRecord>>) {
    // What stands in front of the first object is of other programs.
    let mut start = text;
    for body in bodies(text) {
        if body.starts_with('{') {
            start = body;
            break;
        }
        if is_log_line(body) && crate::lines::tool_error(body).is_none() {
            out.lines.add(Fate::Ignored);
        } else {
            one_line::<_, ()>(text, body, out, &mut |line| refuse(line, "a JSON object"));
        }
    }
    let offset = Span::of(text, start).start as usize;
    let rest = text.get(offset..).unwrap_or_default();
    let mut objects = serde_json::Deserializer::from_str(rest).into_iter::<&'a RawValue>();
    let mut bad = Vec::new();
    let mut end = 0;
    while let Some(next) = objects.next() {
        let Ok(raw) = next else {
            let tail = rest.get(end..).unwrap_or_default().trim_start();
            bad.push(Span::of(text, tail));
            let what = "the JSON is cut off or broken from here on";
            out.problem(ProblemKind::Truncated, Span::of(text, tail), what);
            break;
        };
        end = objects.byte_offset();
        if let Err((span, why)) = table(text, raw.get(), plan, &mut out.records) {
            bad.push(span);
            out.problem(ProblemKind::UnreadLine, span, why);
        }
    }
    account(text, rest, &bad, out);
}

/// Each line that a bad piece touches is unread, the others are read.
fn account(text: &str, rest: &str, bad: &[Span], out: &mut Outcome<Vec<OvsRecord>>) {
    for body in bodies(rest) {
        let line = Span::of(text, body);
        let hit = bad.iter().any(|it| it.start < line.end && line.start < it.end);
        out.lines.add(match (body.is_empty(), hit) {
            (true, _) => Fate::Blank,
            (_, true) => Fate::Unread,
            (_, false) => Fate::Read,
        });
    }
}

/// Reads one object.
fn table<'a>(
    text: &'a str,
    raw: &'a str,
    plan: Plan<'a>,
    records: &mut Vec<OvsRecord>,
) -> Result<(), (Span, String)> {
    let whole = Span::of(text, raw);
    let mut object = Object::parse(text, raw).map_err(|why| (whole, why))?;
    let caption = object.take("caption").map(plain).unwrap_or_default();
    let (Some(headings), Some(data)) = (object.take("headings"), object.take("data")) else {
        return Err((whole, "expected `headings` and `data`".to_owned()));
    };
    let table = match caption.strip_suffix(" table") {
        Some(name) if plan.headings => Table::Known(name),
        _ => plan.table,
    };
    let headings: Vec<_> = elements(headings).into_iter().map(plain).collect();
    let mut first_wrong = Ok(());
    for row in elements(data) {
        let at = Span::of(text, row);
        let cells = elements(row);
        if cells.len() != headings.len() {
            let why = format!("expected {} values, found {}", headings.len(), cells.len());
            first_wrong = first_wrong.and(Err((at, why)));
            continue;
        }
        let mut record = table.record(at, headings.iter().map(|it| &**it));
        for (column, cell) in headings.iter().zip(cells) {
            let done = Cell::new(text, cell, Style::Json).fill(text, &mut record, column);
            if let Err(wrong) = done {
                let why = format!("expected {}", wrong.what);
                first_wrong = first_wrong.and(Err((wrong.span, why)));
            }
        }
        records.push(record);
    }
    first_wrong
}
