//! The notation of OVSDB values: atoms, sets `[a, b]`, maps `{k=v}`.
//!
//! Source: `lib/ovsdb-data.c` (`ovsdb_datum_to_string`, `ovsdb_atom_to_string`). A string stands
//! bare where it looks like an identifier, else in quotes with the escapes of JSON. OVS before
//! 2.10 quotes any string that holds a digit; people who edit documents quote as they like. So
//! both are read everywhere.
use std::borrow::Cow;

use nom::Parser as _;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::character::complete::{char, multispace0, space0};
use nom::combinator::opt;
use nom::sequence::{delimited, preceded, separated_pair};
use tapline_core::Name;
use tapline_core::span::{At, Span};

use crate::nomx::{Expected, Parsed, must, refuse};

/// One atom as it stands in the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Token<'a> {
    /// The text without its quotes.
    pub(crate) raw: &'a str,
    /// Whether it may hold escapes.
    pub(crate) escaped: bool,
    /// Whether it stood in quotes: no number, truth value or uuid.
    pub(crate) is_string: bool,
}

impl<'a> Token<'a> {
    /// A token without quotes.
    pub(crate) fn bare(raw: &'a str) -> Self {
        Self { raw, escaped: false, is_string: false }
    }

    /// The text that is meant.
    pub(crate) fn text(self) -> Cow<'a, str> {
        if self.escaped { unescape(self.raw) } else { Cow::Borrowed(self.raw) }
    }

    /// The text that is meant, and its place.
    pub(crate) fn name(self, place: Place<'_>) -> At<Name> {
        At::new(Name::from(self.text()), place.of(self.raw))
    }
}

/// Where the pieces of a value stand.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// They are slices of this text.
    Within(&'a str),
    /// They are copies of what stands here.
    Whole(Span),
}

impl Place<'_> {
    /// The place of `part`.
    pub(crate) fn of(self, part: &str) -> Span {
        match self {
            Self::Within(text) => Span::of(text, part),
            Self::Whole(span) => span,
        }
    }
}

/// A value, taken apart.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value<'a> {
    /// One atom. JSON writes a set of one like this, and lists write an optional one so.
    Atom(Token<'a>),
    /// A set.
    Set(Vec<Token<'a>>),
    /// A map.
    Map(Vec<(Token<'a>, Token<'a>)>),
}

/// A value that goes on to the end of the line.
pub(crate) fn value(input: &str) -> Parsed<'_, Value<'_>> {
    match input.as_bytes().first() {
        Some(b'[') => {
            let mut all = Vec::new();
            let (rest, ()) = set(input, &mut |it| all.push(it))?;
            Ok((rest, Value::Set(all)))
        }
        Some(b'{') => {
            let mut all = Vec::new();
            let (rest, ()) = map(input, &mut |key, it| all.push((key, it)))?;
            Ok((rest, Value::Map(all)))
        }
        _ => lone(input).map(|(rest, it)| (rest, Value::Atom(it))),
    }
}

/// A value that nobody wants to take apart: checks its syntax only.
pub(crate) fn skip(input: &str) -> Parsed<'_, ()> {
    match input.as_bytes().first() {
        Some(b'[') => set(input, &mut |_| {}),
        Some(b'{') => map(input, &mut |_, _| {}),
        _ => lone(input).map(|(rest, _)| (rest, ())),
    }
}

/// An atom alone on its line: in quotes, or all that is there.
fn lone(input: &str) -> Parsed<'_, Token<'_>> {
    if input.starts_with('"') { quoted(input) } else { Ok(("", Token::bare(input.trim_end()))) }
}

/// The name behind `Bridge`, `Port`, …: in quotes, or one word.
pub(crate) fn name(input: &str) -> Parsed<'_, Token<'_>> {
    alt((quoted, crate::nomx::word.map(Token::bare))).parse(input)
}

/// `"…"`.
pub(crate) fn quoted(input: &str) -> Parsed<'_, Token<'_>> {
    let Some(inner) = input.strip_prefix('"') else { return refuse(input, "a quote") };
    let mut from = 0;
    let mut escaped = false;
    while let Some(at) =
        inner.as_bytes().get(from..).and_then(|it| memchr::memchr2(b'"', b'\\', it))
    {
        let at = from + at;
        if inner.as_bytes().get(at) == Some(&b'"') {
            let raw = inner.get(..at).unwrap_or_default();
            let token = Token { raw, escaped, is_string: true };
            return Ok((inner.get(at + 1..).unwrap_or_default(), token));
        }
        escaped = true;
        from = at + 2;
    }
    Err(nom::Err::Failure(Expected { at: input, what: "a closing quote" }))
}

/// An atom inside brackets.
fn atom(input: &str) -> Parsed<'_, Token<'_>> {
    let bare = take_while1(|c: char| !matches!(c, ',' | '=' | '[' | ']' | '{' | '}' | '"'));
    alt((quoted, bare.map(|it: &str| Token::bare(it.trim_end())))).parse(input)
}

/// `[a, b]`.
fn set<'a>(input: &'a str, each: &mut impl FnMut(Token<'a>)) -> Parsed<'a, ()> {
    members(input, "[", "]", |input| {
        let (input, it) = must("a member of the set", atom).parse(input)?;
        each(it);
        Ok((input, ()))
    })
}

/// `{k=v, l=w}`.
fn map<'a>(input: &'a str, each: &mut impl FnMut(Token<'a>, Token<'a>)) -> Parsed<'a, ()> {
    members(input, "{", "}", |input| {
        let pair = separated_pair(atom, delimited(space0, char('='), space0), atom);
        let (input, (key, it)) = must("a pair `key=value`", pair).parse(input)?;
        each(key, it);
        Ok((input, ()))
    })
}

/// Members between brackets, apart by commas.
fn members<'a>(
    input: &'a str,
    open: &'static str,
    close: &'static str,
    mut member: impl FnMut(&'a str) -> Parsed<'a, ()>,
) -> Parsed<'a, ()> {
    let (mut input, _) = (tag(open), multispace0).parse(input)?;
    if let Some(rest) = input.strip_prefix(close) {
        return Ok((rest, ()));
    }
    loop {
        (input, ()) = member(input)?;
        let next: Parsed<'a, Option<&str>> = opt(preceded(multispace0, tag(","))).parse(input);
        let (rest, comma) = next?;
        if comma.is_none() {
            let end = preceded(multispace0, tag(close)).map(|_: &str| ());
            return must("`,` or the closing bracket", end).parse(rest);
        }
        (input, _) = multispace0.parse(rest)?;
    }
}

/// Prints a value as the tools do.
pub(crate) fn print(value: &Value<'_>) -> Name {
    let mut text = String::new();
    match value {
        Value::Atom(it) => print_atom(&mut text, *it),
        Value::Set(all) => {
            text.push('[');
            for (n, it) in all.iter().enumerate() {
                text.push_str(if n > 0 { ", " } else { "" });
                print_atom(&mut text, *it);
            }
            text.push(']');
        }
        Value::Map(all) => {
            text.push('{');
            for (n, (key, it)) in all.iter().enumerate() {
                text.push_str(if n > 0 { ", " } else { "" });
                print_atom(&mut text, *key);
                text.push('=');
                print_atom(&mut text, *it);
            }
            text.push('}');
        }
    }
    text.into()
}

/// Bare where it is a number, a uuid or like an identifier (`ovsdb_atom_to_string`).
fn print_atom(text: &mut String, it: Token<'_>) {
    let raw = it.raw;
    let is_id = raw.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && raw.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'));
    let is_word = matches!(raw, "true" | "false");
    let bare = if it.is_string { is_id && !is_word && !is_uuid(raw) } else { true };
    if bare {
        text.push_str(raw);
    } else {
        text.push('"');
        text.push_str(raw);
        text.push('"');
    }
}

/// Undoes the escapes of JSON. What is no escape stays as it stands.
fn unescape(raw: &str) -> Cow<'_, str> {
    let mut text = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((before, after)) = rest.split_once('\\') {
        text.push_str(before);
        let mut chars = after.chars();
        let (c, used) = match chars.next() {
            Some('n') => ('\n', 1),
            Some('t') => ('\t', 1),
            Some('r') => ('\r', 1),
            Some('b') => ('\u{8}', 1),
            Some('f') => ('\u{c}', 1),
            Some('u') => unicode(after).unwrap_or(('\u{fffd}', 1)),
            Some(c) => (c, c.len_utf8()),
            None => ('\\', 0),
        };
        text.push(c);
        rest = after.get(used..).unwrap_or_default();
    }
    text.push_str(rest);
    Cow::Owned(text)
}

/// `u` with four hexadecimal digits, or two of these for a character beyond the first plane: the
/// character and how many bytes behind the first backslash it takes.
fn unicode(text: &str) -> Option<(char, usize)> {
    let unit = |text: &str| {
        let hex = text.strip_prefix('u')?.get(..4)?;
        hex.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u32::from_str_radix(hex, 16).ok())?
    };
    let high = unit(text)?;
    if !(0xd800..0xdc00).contains(&high) {
        return Some((char::from_u32(high)?, 5));
    }
    let low = unit(text.get(5..)?.strip_prefix('\\')?)?;
    let low = low.checked_sub(0xdc00).filter(|sub| *sub < 0x400)?;
    Some((char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + low)?, 11))
}

/// Eight, four, four, four and twelve hexadecimal digits between hyphens.
pub(crate) fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(n, b)| match n {
            8 | 13 | 18 | 23 => b == b'-',
            _ => b.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quoted_token(raw: &str) -> Token<'_> {
        Token { raw, escaped: false, is_string: true }
    }

    #[test]
    fn sets_and_maps_hold_bare_and_quoted_atoms() {
        assert_eq!(value("[]").unwrap().1, Value::Set(vec![]));
        let set = vec![Token::bare("10"), quoted_token("a, b"), Token::bare("c")];
        assert_eq!(value("[10, \"a, b\",c]").unwrap().1, Value::Set(set));
        let (rest, map) = value(r#"{key=flow, "a:b"="x=y}", empty=""} tail"#).unwrap();
        let pairs = vec![
            (Token::bare("key"), Token::bare("flow")),
            (quoted_token("a:b"), quoted_token("x=y}")),
            (Token::bare("empty"), quoted_token("")),
        ];
        assert_eq!((rest, map), (" tail", Value::Map(pairs)));
    }

    #[test]
    fn a_value_prints_as_it_was_read() {
        for text in ["[]", "{}", "[1, a, \"b c\"]", r#"{"a:b"="1", c=d-e.f}"#, "\"10\"", "\"true\""]
        {
            assert_eq!(print(&value(text).unwrap().1), text);
        }
        assert_eq!(print(&value(r#"["abc"]"#).unwrap().1), "[abc]");
    }

    #[test]
    fn what_is_cut_off_is_refused() {
        for bad in ["[a, b", "{a=", "{a}", "{a=b, }", "\"abc", "\"abc\\\"", "[a,,b]", "[", "{"] {
            assert!(value(bad).is_err(), "{bad}");
            assert!(skip(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn escapes_are_those_of_json() {
        let (_, it) = quoted(r#""a\"b\\c\n\u00e4\ud83d\ude00\ud83d\q""#).unwrap();
        assert_eq!(it.text(), "a\"b\\c\nä😀\u{fffd}d83dq");
    }

    #[test]
    fn a_uuid_is_known_by_its_shape() {
        assert!(is_uuid("0aedb53b-b4ce-4d34-9c44-65e49c6c5d96"));
        assert!(!is_uuid("0aedb53b-b4ce-4d34-9c44-65e49c6c5d9x"));
        assert!(!is_uuid("0aedb53b"));
    }
}
