//! Rows as JSON: `{"caption":"Bridge table","headings":["_uuid",…],"data":[[…],…]}`, one such
//! object per table (`lib/table.c`, `table_print_json__`).
use serde_json::value::RawValue;
use tapline_core::outcome::{Fate, Outcome, Problem, ProblemKind};
use tapline_core::records::ovs::OvsRecord;
use tapline_core::span::Span;

use super::cell::{Cell, Style};
use super::is_log_line;
use super::rows::{Plan, Table};
use crate::json_object::{Object, elements, plain};
use crate::lines::{bodies, one_line};
use crate::nomx::refuse;

/// Reads all objects of `text`.
pub(super) fn json_rows<'a>(text: &'a str, plan: Plan<'a>, out: &mut Outcome<Vec<OvsRecord>>) {
    // What stands in front of the first object is of other programs.
    let mut offset = text.len();
    for body in bodies(text) {
        if body.starts_with('{') {
            offset = Span::of(text, body).range().start;
            break;
        }
        if is_log_line(body) && crate::lines::tool_error(body).is_none() {
            out.lines.add(Fate::Ignored);
        } else {
            one_line::<_, ()>(text, body, out, &mut |line| refuse(line, "a JSON object"));
        }
    }
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
        table(text, raw.get(), plan, &mut out.records, &mut |span, why| {
            bad.push(span);
            out.problems.push(Problem { kind: ProblemKind::UnreadLine, message: why, span });
        });
    }
    bad.sort();
    account(text, rest, &bad, out);
}

/// Each line that a bad piece touches is unread, the others are read.
fn account(text: &str, rest: &str, mut bad: &[Span], out: &mut Outcome<Vec<OvsRecord>>) {
    let mut touched = 0;
    for body in bodies(rest) {
        let line = Span::of(text, body);
        while let Some((first, others)) = bad.split_first().filter(|(it, _)| it.start < line.end) {
            touched = touched.max(first.end);
            bad = others;
        }
        out.lines.add(match body {
            "" => Fate::Blank,
            _ if touched > line.start => Fate::Unread,
            _ => Fate::Read,
        });
    }
}

/// Reads one object; says to `wrong` what is not understood.
fn table<'a>(
    text: &'a str,
    raw: &'a str,
    plan: Plan<'a>,
    records: &mut Vec<OvsRecord>,
    wrong: &mut impl FnMut(Span, String),
) {
    let whole = Span::of(text, raw);
    let mut object = match Object::parse(text, raw) {
        Ok(object) => object,
        Err(why) => return wrong(whole, why),
    };
    let caption = object.take("caption").map(plain).unwrap_or_default();
    let (Some(headings), Some(data)) = (object.take("headings"), object.take("data")) else {
        return wrong(whole, "expected `headings` and `data`".to_owned());
    };
    let table = match caption.strip_suffix(" table") {
        Some(name) if plan.headings => Table::Known(name),
        _ => plan.table,
    };
    let headings: Vec<_> = elements(headings).into_iter().map(plain).collect();
    for row in elements(data) {
        let at = Span::of(text, row);
        let cells = elements(row);
        if cells.len() != headings.len() {
            wrong(at, format!("expected {} values, found {}", headings.len(), cells.len()));
            continue;
        }
        let mut record = table.record(at, headings.iter().map(|heading| &**heading));
        for (column, cell) in headings.iter().zip(cells) {
            let done = Cell::new(text, cell, Style::Json).fill(text, &mut record, column);
            if let Err(it) = done {
                wrong(it.span, format!("expected {}", it.what));
            }
        }
        records.push(record);
    }
}
