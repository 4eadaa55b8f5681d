//! One JSON object, key by key, with the place of each value.
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tapline_core::Name;
use tapline_core::records::Field;
use tapline_core::span::{At, Span};

use crate::json::check_names;

/// The fields of an object that were not taken yet, in their order. iproute2 may print a key twice.
#[derive(Debug)]
pub(crate) struct Object<'a> {
    text: &'a str,
    fields: Vec<(Cow<'a, str>, &'a RawValue)>,
}

impl<'a> Object<'a> {
    /// Reads `raw`, a slice of `text`.
    pub(crate) fn parse(text: &'a str, raw: &'a str) -> Result<Self, String> {
        let Fields(fields) =
            serde_json::from_str(raw).map_err(|why| format!("not a JSON object: {why}"))?;
        check_names(fields.iter().map(|(key, raw)| (key.as_ref(), raw.get())))?;
        Ok(Self { text, fields })
    }

    /// Whether nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Takes a value out, as it stands.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'a str> {
        let n = self.fields.iter().position(|(name, _)| name == key)?;
        Some(self.fields.remove(n).1.get())
    }

    /// Takes a string, or the text of another value.
    pub(crate) fn text(&mut self, key: &str) -> Option<At<Cow<'a, str>>> {
        let raw = self.take(key)?;
        Some(At::new(plain(raw), self.span(raw)))
    }

    /// Takes a string as a name.
    pub(crate) fn name(&mut self, key: &str) -> Option<At<Name>> {
        self.text(key).map(|it| it.map(|it| Name::new(&it)))
    }

    /// Takes a value that `T` reads.
    pub(crate) fn value<T: FromStr>(&mut self, key: &str) -> Result<Option<At<T>>, String> {
        let Some(it) = self.text(key) else { return Ok(None) };
        let span = it.span;
        match it.value.parse() {
            Ok(value) => Ok(Some(At::new(value, span))),
            Err(_) => {
                let shown: String = it.value.chars().take(60).collect();
                Err(format!("value of `{key}` was not understood: {shown}"))
            }
        }
    }

    /// Takes an array of strings: flags, states. Another value counts as an array of one.
    pub(crate) fn names(&mut self, key: &str) -> Vec<At<Name>> {
        let Some(raw) = self.take(key) else { return Vec::new() };
        elements(raw)
            .into_iter()
            .map(|element| At::new(Name::new(plain(element)), self.span(element)))
            .collect()
    }

    /// Takes an object within this one.
    pub(crate) fn object(&mut self, key: &str) -> Result<Option<Self>, String> {
        self.take(key).map(|raw| Self::parse(self.text, raw)).transpose()
    }

    /// Whether a key is there and was not taken yet.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(name, _)| name == key)
    }

    /// What is left: keys, and values as they stand.
    pub(crate) fn entries(self) -> Vec<(Cow<'a, str>, &'a str)> {
        self.fields.into_iter().map(|(key, raw)| (key, raw.get())).collect()
    }

    /// What is left, as fields.
    pub(crate) fn rest(self) -> Vec<Field> {
        let Self { text, fields } = self;
        fields
            .into_iter()
            .map(|(key, raw)| Field {
                key: Name::new(key),
                value: At::new(Name::new(plain(raw.get())), inner(text, raw.get())),
            })
            .collect()
    }

    /// The place of a value, without its quotes.
    pub(crate) fn span(&self, raw: &str) -> Span {
        inner(self.text, raw)
    }
}

/// The elements of a JSON array, as they stand; a value that is none is its only element.
pub(crate) fn elements(raw: &str) -> Vec<&str> {
    match serde_json::from_str::<Vec<&RawValue>>(raw) {
        Ok(all) => all.into_iter().map(RawValue::get).collect(),
        Err(_) => vec![raw],
    }
}

/// The content of a string, or the text of another value; `null` is nothing.
pub(crate) fn plain(raw: &str) -> Cow<'_, str> {
    if raw == "null" {
        return Cow::Borrowed("");
    }
    let unquoted = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match unquoted {
        Some(it) if !it.contains('\\') => Cow::Borrowed(it),
        Some(_) => serde_json::from_str(raw).map_or(Cow::Borrowed(raw), Cow::Owned),
        None => Cow::Borrowed(raw),
    }
}

fn inner(text: &str, raw: &str) -> Span {
    let unquoted = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    Span::of(text, unquoted.unwrap_or(raw))
}

struct Fields<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Fields<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(Key(key)) = map.next_key()? {
                    all.push((key, map.next_value()?));
                }
                Ok(Fields(all))
            }
        }
        from.deserialize_map(Collect)
    }
}

/// A key that is borrowed where it holds no escape.
#[derive(serde::Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_places_and_the_rest_is_kept() {
        let text = r#"  {"dev":"eth\u0030","metric":100,"flags":["a","b"],"x":null,"metric":5}"#;
        let mut object = Object::parse(text, text.trim()).unwrap();
        assert_eq!(object.name("dev").unwrap().value, "eth0");
        let metric = object.value::<u32>("metric").unwrap().unwrap();
        assert_eq!((metric.value, text.get(metric.span.range()).unwrap()), (100, "100"));
        assert_eq!(object.names("flags").len(), 2);
        let rest: Vec<_> = object.rest().into_iter().map(|it| (it.key, it.value.value)).collect();
        assert_eq!(rest, [("x".into(), "".into()), ("metric".into(), "5".into())]);
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        assert!(Object::parse("[1]", "[1]").is_err());
        let text = r#"{"n":"x"}"#;
        let mut object = Object::parse(text, text).unwrap();
        assert!(object.value::<u32>("n").is_err());
    }
}
