//! Records out of JSON, each with its place: one bad record is one problem.
use serde_json::value::RawValue;
use tapline_model::outcome::{Fate, Outcome, ProblemKind};
use tapline_model::span::Span;

use crate::lines::bodies;

/// Reads a JSON array, giving each element's raw text (a slice of `text`) to `element`.
///
/// The account of lines counts all lines as read when the array was read; an element that
/// `element` refuses is a problem with the element's span, and its lines are unread.
pub(crate) fn each_element<'a, R>(
    text: &'a str,
    out: &mut Outcome<Vec<R>>,
    mut element: impl FnMut(&'a str) -> Result<R, String>,
) {
    let all: Result<Vec<&'a RawValue>, _> = serde_json::from_str(text);
    let lines = bodies(text).filter(|it| !it.is_empty()).count();
    let mut left = lines;
    match all {
        Ok(all) => {
            for raw in all {
                match element(raw.get()) {
                    Ok(record) => out.records.push(record),
                    Err(why) => {
                        let lost = raw.get().lines().count().min(left);
                        left -= lost;
                        out.problem(ProblemKind::UnreadLine, Span::of(text, raw.get()), why);
                        (0..lost).for_each(|_| out.lines.add(Fate::Unread));
                    }
                }
            }
            (0..left).for_each(|_| out.lines.add(Fate::Read));
        }
        Err(why) => {
            let at = Span::of(text, text.trim());
            out.problem(ProblemKind::UnreadLine, at, format!("not a JSON array: {why}"));
            (0..lines).for_each(|_| out.lines.add(Fate::Unread));
        }
    }
}
