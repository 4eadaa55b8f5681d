//! Records out of JSON, each with its place: one bad record is one problem.
use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tapline_core::Name;
use tapline_core::capture::Completeness;
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::span::Span;

use crate::lines::bodies;

/// Reads a JSON array, giving each element's raw text (a slice of `text`) to `element`.
///
/// The account of lines counts all lines as read when the array was read; an element that
/// `element` refuses is a problem with the element's span, and its lines are unread.
pub(crate) fn each_element<'a, R>(
    text: &'a str,
    out: &mut Outcome<Vec<R>>,
    element: impl FnMut(&'a str) -> Result<R, String>,
) {
    each_element_of(text, text, out, element);
}

/// The same for an array that is only `part` of `text`; spans refer to `text`.
///
/// A text that breaks off gives the elements that are whole, a problem at the broken one, and is
/// partial.
pub(crate) fn each_element_of<'a, R>(
    text: &'a str,
    part: &'a str,
    out: &mut Outcome<Vec<R>>,
    mut element: impl FnMut(&'a str) -> Result<R, String>,
) {
    each(text, part, out, |elements| {
        let raw = elements.next()?;
        Some((raw, element(raw)))
    });
}

/// The same for an array of objects, whose fields are read in the same pass.
pub(crate) fn each_object_of<'a, R>(
    text: &'a str,
    part: &'a str,
    out: &mut Outcome<Vec<R>>,
    mut object: impl FnMut(&'a str, Fields<'a>) -> Result<R, String>,
) {
    each(text, part, out, |elements| {
        let (raw, fields) = elements.next_object()?;
        Some((raw, fields.and_then(|fields| object(raw, fields))))
    });
}

/// Reads an array by what `next` makes of the element that comes next.
fn each<'a, R>(
    text: &'a str,
    part: &'a str,
    out: &mut Outcome<Vec<R>>,
    mut next: impl FnMut(&mut Elements<'a>) -> Option<(&'a str, Result<R, String>)>,
) {
    let lines_of = |part: &str| bodies(part).filter(|body| !body.is_empty()).count();
    let all = lines_of(part);
    let mut lost = 0;
    let mut lose = |part: &str| lost = all.min(lost + lines_of(part));
    let mut elements = Elements::new(part);
    let (mut read, mut any) = (0_u32, false);
    while let Some((raw, record)) = next(&mut elements) {
        read += 1;
        match record {
            Ok(record) => {
                any = true;
                out.records.push(record);
            }
            Err(why) => {
                lose(raw);
                out.problem(ProblemKind::UnreadLine, Span::of(text, raw), why);
            }
        }
    }
    if let Some((rest, why)) = elements.broken {
        let rest = if rest.trim().is_empty() { part.trim() } else { rest.trim() };
        lose(rest);
        if read == 0 {
            let why = format!("not a JSON array: {why}");
            out.problem(ProblemKind::UnreadLine, Span::of(text, rest), why);
        } else {
            let why = format!("the JSON array breaks off: {why}");
            out.problem(ProblemKind::Truncated, Span::of(text, rest), why.clone());
            out.completeness =
                std::mem::take(&mut out.completeness).and(Completeness::Partial(why));
        }
    }
    // All of it may stand in one line: what records were made of was read.
    let lost = if any && lost == all { lost.saturating_sub(1) } else { lost };
    (0..lost).for_each(|_| out.lines.add(Fate::Unread));
    (lost..all).for_each(|_| out.lines.add(Fate::Read));
}

/// Refuses numbers and truths where the tools of iproute2 print names and addresses.
pub(crate) fn check_names<'a>(
    fields: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<(), String> {
    const NAMES: &[&str] = &[
        "ifname",
        "dev",
        "master",
        "dst",
        "gateway",
        "lladdr",
        "mac",
        "operstate",
        "link_type",
        "oif",
        "iif",
    ];
    let is_wrong = |&(key, raw): &(&str, &str)| {
        NAMES.contains(&key)
            && raw.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | 't' | 'f'))
    };
    match fields.into_iter().find(is_wrong) {
        Some((key, raw)) => Err(format!("expected a text for `{key}`, not {raw}")),
        None => Ok(()),
    }
}

/// The elements of an array, one after the other.
struct Elements<'a> {
    rest: &'a str,
    state: State,
    /// Where and why reading ended early.
    broken: Option<(&'a str, String)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Before,
    Next,
    Done,
}

impl<'a> Elements<'a> {
    fn new(text: &'a str) -> Self {
        Self { rest: text, state: State::Before, broken: None }
    }

    /// Takes `token` away, if it comes next.
    fn eat(&mut self, token: char) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn stop(&mut self, why: impl Into<String>) -> Option<&'a str> {
        self.state = State::Done;
        self.broken = Some((self.rest, why.into()));
        None
    }

    fn end(&mut self) -> Option<&'a str> {
        self.state = State::Done;
        if self.rest.trim().is_empty() { None } else { self.stop("text after its end") }
    }

    /// Goes to where the next element begins; `None` where there is none.
    fn advance(&mut self) -> Option<()> {
        match self.state {
            State::Done => return None,
            State::Before => {
                if !self.eat('[') {
                    self.stop("it does not start with `[`")?;
                }
                if self.eat(']') {
                    self.end()?;
                }
            }
            State::Next => {
                if self.eat(']') {
                    self.end()?;
                }
                if !self.eat(',') {
                    self.stop("expected `,` or `]`")?;
                }
            }
        }
        self.state = State::Next;
        Some(())
    }

    /// The next element, and its fields if it is an object; else what is wrong with it.
    fn next_object(&mut self) -> Option<(&'a str, Result<Fields<'a>, String>)> {
        self.advance()?;
        let mut objects = serde_json::Deserializer::from_str(self.rest).into_iter::<Fields<'a>>();
        if let Some(Ok(fields)) = objects.next() {
            let (raw, rest) = self.rest.split_at_checked(objects.byte_offset())?;
            self.rest = rest;
            return Some((raw.trim_start(), Ok(fields)));
        }
        let raw = self.value()?;
        Some((raw, Fields::read(raw)))
    }

    fn next(&mut self) -> Option<&'a str> {
        self.advance()?;
        self.value()
    }

    /// The value that begins here, whatever it is.
    fn value(&mut self) -> Option<&'a str> {
        let mut values = serde_json::Deserializer::from_str(self.rest).into_iter::<&RawValue>();
        match values.next() {
            Some(Ok(raw)) => {
                let end = values.byte_offset();
                self.rest = self.rest.get(end..).unwrap_or_default();
                Some(raw.get())
            }
            Some(Err(why)) => self.stop(why.to_string()),
            None => self.stop("it ends too early"),
        }
    }
}

/// The keys of a JSON object with the raw texts of their values, in order.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a>(pub(crate) Vec<(Name, &'a str)>);

impl<'a> Fields<'a> {
    /// Reads an object; `Err` says what is wrong with it.
    pub(crate) fn read(raw: &'a str) -> Result<Self, String> {
        serde_json::from_str(raw).map_err(|why| format!("not a JSON object: {why}"))
    }

    /// The raw text of the value of `key`.
    pub(crate) fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(it, _)| it == key).map(|&(_, raw)| raw)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Fields<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Map;
        impl<'de> Visitor<'de> for Map {
            type Value = Vec<(Name, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                // Devices, which there are most of, have about as many.
                let mut all = Vec::with_capacity(32);
                while let Some((key, value)) = map.next_entry::<Name, &'de RawValue>()? {
                    all.push((key, value.get()));
                }
                Ok(all)
            }
        }
        from.deserialize_map(Map).map(Fields)
    }
}

/// The elements of a nested array.
pub(crate) fn array(raw: &str) -> Result<Vec<&str>, String> {
    let all: Vec<&RawValue> =
        serde_json::from_str(raw).map_err(|why| format!("not a JSON array: {why}"))?;
    Ok(all.into_iter().map(RawValue::get).collect())
}

/// The text of a scalar: of a string its content, of anything else the raw text.
///
/// Borrowed unless the string has escapes, so that its place can be told.
pub(crate) fn scalar(raw: &str) -> Cow<'_, str> {
    let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Cow::Borrowed(raw);
    };
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str(raw) {
        Ok(it) => Cow::Owned(it),
        Err(_) => Cow::Borrowed(inner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Outcome<Vec<u32>> {
        let mut out = Outcome::default();
        each_element(text, &mut out, |raw| raw.parse().map_err(|_| format!("not a number: {raw}")));
        out
    }

    #[test]
    fn each_element_stands_for_itself() {
        let out = numbers("[1,\n\"x\",\n 3]\n");
        assert_eq!(out.records, [1, 3]);
        assert_eq!((out.lines.total, out.lines.read, out.lines.unread), (3, 2, 1));
        assert!(numbers(" [ ] ").records.is_empty());
        assert!(numbers("[]").problems.is_empty());
    }

    #[test]
    fn what_breaks_off_is_partial() {
        for text in ["[1,2", "[1,2,", "[1,2,{\"a\":", "[1,2 x]", "[1,2] x"] {
            let out = numbers(text);
            assert_eq!(out.records, [1, 2], "{text}");
            assert!(!out.completeness.is_complete(), "{text}");
            assert_eq!(out.problems.len(), 1, "{text}");
            assert_eq!(out.lines.total, out.lines.read + out.lines.unread, "{text}");
        }
        for text in ["", "x", "{}", "[", "[x]"] {
            let out = numbers(text);
            assert_eq!((out.records.len(), out.problems.len()), (0, 1), "{text}");
        }
    }

    #[test]
    fn one_line_is_read_as_far_as_records_were_made_of_it() {
        for text in ["[1,2", "[1,\"x\"]"] {
            let out = numbers(text);
            assert!(!out.records.is_empty(), "{text}");
            assert_eq!((out.lines.total, out.lines.read, out.lines.unread), (1, 1, 0), "{text}");
            assert_eq!(out.problems.len(), 1, "{text}");
        }
    }

    #[test]
    fn names_are_texts() {
        assert!(check_names([("ifname", "\"3\""), ("master", "null"), ("mtu", "3")]).is_ok());
        for raw in ["3", "-1", "true", "false"] {
            assert!(check_names([("ifname", raw)]).is_err(), "{raw}");
        }
    }

    #[test]
    fn strings_without_escapes_have_a_place() {
        assert!(matches!(scalar("\"ab\""), Cow::Borrowed("ab")));
        assert_eq!(scalar("\"a\\u0062\\n\""), "ab\n");
        assert_eq!(scalar("true"), "true");
        let fields = Fields::read(r#"{"a":1,"b\n":{"c":[2]}}"#).unwrap();
        assert_eq!((fields.get("a"), fields.get("b\n")), (Some("1"), Some(r#"{"c":[2]}"#)));
    }
}
