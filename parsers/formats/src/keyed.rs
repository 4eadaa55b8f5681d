//! Lines of `key value key value …` that iproute2 prints for routes, rules and neighbours.
use std::str::FromStr;

use nom::Parser as _;
use nom::combinator::map_res;
use tapline_core::Name;
use tapline_core::records::Field;
use tapline_core::span::{At, Span};

use crate::nomx::{Parsed, must, word_gap};

/// Any other key with its value, or nothing where the word looks like prose.
pub(crate) fn other_key<'a>(text: &str, key: &'a str, input: &'a str) -> Parsed<'a, Option<Field>> {
    let looks = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-".contains(c);
    if !key.starts_with(|c: char| c.is_ascii_lowercase()) || !key.chars().all(looks) {
        return Ok((input, None));
    }
    let (mut rest, mut used) = match token(input) {
        Ok((rest, value)) if !is_joint(value) => (rest, value),
        _ => {
            let value = At::new(Name::default(), Span::of(text, key));
            return Ok((input, Some(Field { key: key.into(), value })));
        }
    };
    if used == "lock" {
        // `mtu lock 1400`: the value may not change by itself.
        (rest, _) = must("a value after `lock`", token).parse(rest)?;
        used = before(input, rest);
    }
    Ok((rest, Some(Field { key: key.into(), value: at(text, used) })))
}

/// A word and the blanks behind it. Backslashes at its end are a word of their own: old versions
/// print no blank before them.
pub(crate) fn token(input: &str) -> Parsed<'_, &str> {
    let (rest, word) = word_gap(input)?;
    let bare = word.trim_end_matches('\\');
    match input.get(bare.len()..) {
        Some(joint) if !bare.is_empty() && bare.len() < word.len() => Ok((joint, bare)),
        _ => Ok((rest, word)),
    }
}

/// A word that `T` reads whole, and the blanks behind it.
pub(crate) fn typed<'a, T: FromStr>(input: &'a str, what: &'static str) -> Parsed<'a, T> {
    must(what, map_res(token, str::parse)).parse(input)
}

/// What stands in `input` before `rest`, which is its end.
pub(crate) fn before<'a>(input: &'a str, rest: &str) -> &'a str {
    input.get(..input.len().saturating_sub(rest.len())).unwrap_or(input).trim_end()
}

/// `-o` prints a backslash for a line end; some copies escape it once more.
pub(crate) fn is_joint(word: &str) -> bool {
    word.bytes().all(|it| it == b'\\')
}

/// Puts a value into its field and gives the rest of the line.
pub(crate) fn set<'a, T>(slot: &mut Option<T>, (rest, value): (&'a str, T)) -> &'a str {
    *slot = Some(value);
    rest
}

/// A word with its place, and the blanks behind it.
pub(crate) fn name<'a>(text: &str, input: &'a str, what: &'static str) -> Parsed<'a, At<Name>> {
    must(what, token).map(|must| at(text, must)).parse(input)
}

/// A word, and the blanks behind it.
pub(crate) fn bare<'a>(input: &'a str, what: &'static str) -> Parsed<'a, Name> {
    must(what, token).map(Name::from).parse(input)
}

/// `part`, a slice of `text`, with its place.
pub(crate) fn at(text: &str, part: &str) -> At<Name> {
    At::new(part.into(), Span::of(text, part))
}
