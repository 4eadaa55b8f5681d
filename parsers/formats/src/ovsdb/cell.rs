//! One value of one column of one row, in any of the dresses that `lib/table.c` gives it.
use std::borrow::Cow;

use serde_json::value::RawValue;
use tapline_core::records::ovs::OvsRecord;
use tapline_core::span::{At, Span};

use super::columns::{Shape, Wrong, keep, set, shape};
use super::notation::{Place, Token, Value, print, skip, value};

/// How values are written: `--data`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) enum Style {
    /// `{k=v}`, `[a, b]`, strings in quotes where they need them.
    #[default]
    Notation,
    /// The same without quotes, brackets and commas.
    Bare,
    /// `["map",[["k","v"]]]`.
    Json,
}

/// A value as it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Cell<'a> {
    /// The text; a copy where the container had escaped it.
    text: Cow<'a, str>,
    /// Its place.
    span: Span,
    style: Style,
}

impl<'a> Cell<'a> {
    /// A value that stands for itself.
    pub(crate) fn new(whole: &str, text: &'a str, style: Style) -> Self {
        Self { text: Cow::Borrowed(text), span: Span::of(whole, text), style }
    }

    /// A field of a CSV line: in quotes, with quotes doubled, or as it stands.
    pub(crate) fn csv(whole: &str, field: &'a str, style: Style) -> Self {
        let inner = field.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let Some(inner) = inner else { return Self::new(whole, field, style) };
        let mut cell = Self::new(whole, inner, style);
        if inner.contains("\"\"") {
            cell.text = Cow::Owned(inner.replace("\"\"", "\""));
        }
        cell
    }

    /// Puts the value into its field, or among the columns without one.
    pub(crate) fn fill(
        &self,
        whole: &str,
        record: &mut OvsRecord,
        column: &str,
    ) -> Result<(), Wrong> {
        let shape = shape(&record.row, column);
        let place = match &self.text {
            Cow::Borrowed(_) => Place::Within(whole),
            Cow::Owned(_) => Place::Whole(self.span),
        };
        let text: &str = &self.text;
        let wrong = |what| Wrong { span: self.span, what };
        // The command may not tell that values are bare.
        let looks_bare = text.is_empty()
            || shape == Some(Shape::Map) && !text.starts_with('{')
            || shape == Some(Shape::Set) && !text.starts_with('[') && text.contains(' ');
        let style = match self.style {
            Style::Notation if looks_bare => Style::Bare,
            style => style,
        };
        let value = match (style, shape) {
            (Style::Json, None) => {
                let value = json(text).ok_or(wrong("a value of OVSDB in JSON"))?;
                keep(record, column, At::new(print(&value), self.span));
                return Ok(());
            }
            (Style::Json, Some(_)) => json(text).ok_or(wrong("a value of OVSDB in JSON"))?,
            (Style::Bare, None) => {
                keep(record, column, At::new(text.into(), self.span));
                return Ok(());
            }
            (Style::Bare, Some(shape)) => bare(text, shape).ok_or(wrong("pairs `key=value`"))?,
            (Style::Notation, None) => {
                return match skip(text) {
                    Ok(("", ())) => {
                        keep(record, column, At::new(text.into(), self.span));
                        Ok(())
                    }
                    Ok((rest, ())) => Err(trailing(place, rest)),
                    Err(why) => Err(refused(&why, wrong("a value"))),
                };
            }
            (Style::Notation, Some(_)) => match value(text) {
                Ok(("", value)) => value,
                Ok((rest, _)) => return Err(trailing(place, rest)),
                Err(why) => return Err(refused(&why, wrong("a value"))),
            },
        };
        set(place, record, column, &value, self.span)
    }
}

fn trailing(place: Place<'_>, rest: &str) -> Wrong {
    Wrong { span: place.of(rest), what: "the end of the line after the value" }
}

fn refused(why: &nom::Err<crate::nomx::Expected<'_>>, wrong: Wrong) -> Wrong {
    match why {
        nom::Err::Error(it) | nom::Err::Failure(it) if !it.what.is_empty() => {
            Wrong { what: it.what, ..wrong }
        }
        _ => wrong,
    }
}

/// A value of RFC 7047 §5.1; a string keeps its escapes for [`Token::text`].
pub(crate) fn json(raw: &str) -> Option<Value<'_>> {
    if !raw.starts_with('[') {
        return atom(raw).map(Value::Atom);
    }
    let [kind, content] = list(raw)?.try_into().ok()?;
    match kind {
        r#""set""# => list(content)?.into_iter().map(atom).collect::<Option<_>>().map(Value::Set),
        r#""map""# => {
            let pair = |raw| {
                let [key, value] = list(raw)?.try_into().ok()?;
                Some((atom(key)?, atom(value)?))
            };
            list(content)?.into_iter().map(pair).collect::<Option<_>>().map(Value::Map)
        }
        _ => atom(raw).map(Value::Atom),
    }
}

/// A string, number, truth value or `["uuid","…"]`.
fn atom(raw: &str) -> Option<Token<'_>> {
    if let Some(inner) = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        return Some(Token { raw: inner, escaped: inner.contains('\\'), is_string: true });
    }
    if raw.starts_with('[') {
        let [kind, uuid] = list(raw)?.try_into().ok()?;
        let uuid = atom(uuid).filter(|atom| atom.is_string)?;
        return matches!(kind, r#""uuid""# | r#""named-uuid""#).then(|| Token::bare(uuid.raw));
    }
    (!raw.starts_with('{') && raw != "null").then(|| Token::bare(raw))
}

fn list(raw: &str) -> Option<Vec<&str>> {
    let all: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
    Some(all.into_iter().map(RawValue::get).collect())
}

/// A value without quotes and brackets: only the column's type tells what it is.
fn bare(text: &str, shape: Shape) -> Option<Value<'_>> {
    let words = || text.split(' ').filter(|part| !part.is_empty());
    match shape {
        Shape::One if text.is_empty() => Some(Value::Set(Vec::new())),
        Shape::One => Some(Value::Atom(Token::bare(text))),
        Shape::Set => Some(Value::Set(words().map(Token::bare).collect())),
        Shape::Map => {
            let pairs = words().map(|word| word.split_once('='));
            let pairs = pairs.map(|pair| pair.map(|(k, v)| (Token::bare(k), Token::bare(v))));
            pairs.collect::<Option<_>>().map(Value::Map)
        }
    }
}
