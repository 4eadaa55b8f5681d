//! The few words on top of nom that all readers share.
//!
//! nom describes one line; files are loops over lines (see [`crate::lines`]). Everything works on
//! `&str`; places are recovered from slices with `Span::of`.
use nom::branch::alt;
use nom::bytes::complete::take_while1;
use nom::character::complete::{space1, u32 as decimal_u32, u64 as decimal_u64};
use nom::combinator::{cut, eof, peek};
use nom::error::{ContextError, ErrorKind, FromExternalError, ParseError, context};
use nom::sequence::terminated;
use nom::{IResult, Parser};

/// Where a line stopped making sense, and what should have stood there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Expected<'a> {
    /// The rest of the line.
    pub(crate) at: &'a str,
    /// What was expected: `a number after `mtu``. Empty where no reader committed itself.
    pub(crate) what: &'static str,
}

impl<'a> ParseError<&'a str> for Expected<'a> {
    fn from_error_kind(at: &'a str, _: ErrorKind) -> Self {
        Self { at, what: "" }
    }

    fn append(_: &'a str, _: ErrorKind, inner: Self) -> Self {
        inner
    }

    /// The branch that got further explains better.
    fn or(self, other: Self) -> Self {
        if other.at.len() < self.at.len() { other } else { self }
    }
}

impl<'a> ContextError<&'a str> for Expected<'a> {
    /// The innermost context wins.
    fn add_context(at: &'a str, what: &'static str, inner: Self) -> Self {
        if inner.what.is_empty() { Self { at, what } } else { inner }
    }
}

impl<'a, E> FromExternalError<&'a str, E> for Expected<'a> {
    fn from_external_error(at: &'a str, _: ErrorKind, _: E) -> Self {
        Self { at, what: "" }
    }
}

/// The result of every combinator here: the rest of the line, and the value.
pub(crate) type Parsed<'a, T> = IResult<&'a str, T, Expected<'a>>;

/// A line of this kind cannot be: a recoverable error.
pub(crate) fn refuse<'a, T>(at: &'a str, what: &'static str) -> Parsed<'a, T> {
    Err(nom::Err::Error(Expected { at, what }))
}

/// The bytes with which a word of ASCII is over: blanks, and all beyond ASCII.
const ENDS_WORD: [bool; 256] = {
    let mut all = [false; 256];
    let mut rest: &mut [bool] = &mut all;
    let mut b: u8 = 0;
    while let Some((entry, behind)) = rest.split_first_mut() {
        *entry = b.is_ascii_whitespace() || b == 0x0b || !b.is_ascii();
        rest = behind;
        b = b.wrapping_add(1);
    }
    all
};

/// A run of characters that are not blank.
pub(crate) fn word(input: &str) -> Parsed<'_, &str> {
    // Nearly all text is ASCII, and half of all time is spent here.
    let end = input.bytes().position(|b| ENDS_WORD.get(usize::from(b)) != Some(&false));
    match input.split_at_checked(end.unwrap_or(input.len())) {
        Some((word, rest)) if rest.bytes().next().is_none_or(|b| b.is_ascii()) => {
            if word.is_empty() { refuse(input, "") } else { Ok((rest, word)) }
        }
        _ => take_while1(|c: char| !c.is_whitespace()).parse(input),
    }
}

/// A word and the blanks behind it, or the end of the line.
pub(crate) fn word_gap(input: &str) -> Parsed<'_, &str> {
    let (rest, found) = word(input)?;
    let gap = rest.bytes().position(|b| !matches!(b, b' ' | b'\t'));
    match rest.split_at_checked(gap.unwrap_or(rest.len())) {
        Some((gap, after)) if !gap.is_empty() || after.is_empty() => Ok((after, found)),
        _ => refuse(rest, ""),
    }
}

/// Blanks, or the end of the line.
pub(crate) fn gap(input: &str) -> Parsed<'_, ()> {
    alt((space1, eof)).map(|_| ()).parse(input)
}

/// `inner`, which must end at a blank or at the end of the line: `99x` is not a number.
pub(crate) fn whole<'a, O>(
    inner: impl Parser<&'a str, Output = O, Error = Expected<'a>>,
) -> impl Parser<&'a str, Output = O, Error = Expected<'a>> {
    terminated(inner, peek(gap))
}

/// `inner`, with no way back: from here on the line can only be this.
///
/// `what` completes the sentence "expected …".
pub(crate) fn must<'a, O>(
    what: &'static str,
    inner: impl Parser<&'a str, Output = O, Error = Expected<'a>>,
) -> impl Parser<&'a str, Output = O, Error = Expected<'a>> {
    cut(context(what, inner))
}

/// A whole word that is a decimal number.
pub(crate) fn number(input: &str) -> Parsed<'_, u32> {
    whole(decimal_u32).parse(input)
}

/// A whole word that is a decimal number of 64 bits.
pub(crate) fn big_number(input: &str) -> Parsed<'_, u64> {
    whole(decimal_u64).parse(input)
}
