//! The keys of a file of rules.
use std::collections::BTreeMap;
use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer};
use tapline_analysis::lint::rules::ALL;
use tapline_topology::EdgeKind;

use super::expression::{Expression, Template};
use super::fields;
use crate::suggest;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Document {
    pub(super) rules: Vec<RuleText>,
    #[serde(default)]
    pub(super) tests: Vec<Test>,
}

/// One rule.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Unchecked")]
pub(super) struct RuleText {
    pub(super) id: Code,
    pub(super) name: Option<String>,
    pub(super) severity: Level,
    pub(super) summary: Option<String>,
    pub(super) kind: Kind,
    pub(super) related: BTreeMap<String, Related>,
    pub(super) when: Expression,
    pub(super) message: Template,
    pub(super) next: Vec<Template>,
}

/// One rule whose names were not looked up yet.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    id: Code,
    name: Option<String>,
    severity: Level,
    summary: Option<String>,
    #[serde(rename = "match")]
    kind: Kind,
    #[serde(default)]
    related: BTreeMap<String, Related>,
    when: Expression,
    message: Template,
    #[serde(default)]
    next: Vec<Template>,
}

impl TryFrom<Unchecked> for RuleText {
    type Error = String;

    fn try_from(it: Unchecked) -> Result<Self, String> {
        let variables: Vec<&str> =
            std::iter::once("node").chain(it.related.keys().map(String::as_str)).collect();
        let own = fields::of(it.kind.0);
        let parts = it.message.parts().chain(it.next.iter().flat_map(Template::parts));
        for expression in std::iter::once(&it.when).chain(parts) {
            expression.check(&variables, own)?;
        }
        Ok(Self {
            id: it.id,
            name: it.name,
            severity: it.severity,
            summary: it.summary,
            kind: it.kind,
            related: it.related,
            when: it.when,
            message: it.message,
            next: it.next,
        })
    }
}

/// What is near to the object, as a variable: a list.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Related {
    pub(super) edge: Edge,
    #[serde(default)]
    pub(super) direction: Direction,
}

#[derive(Clone, Copy, Default, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Direction {
    /// Where edges from the object lead.
    Out,
    /// Where edges to the object come from.
    In,
    #[default]
    Any,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    Error,
    Warning,
    Info,
}

/// What the rules say of a session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Test {
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// A console session.
    pub(crate) transcript: String,
    /// The names of the objects that each rule is to find; rules that are not named find nothing.
    #[serde(default)]
    pub(crate) expect: BTreeMap<Code, Vec<String>>,
}

/// A code, of a family that is not built in.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Code(pub(crate) String);

impl<'de> Deserialize<'de> for Code {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        word(from, |text| {
            let family = |code: &str| code.split_once('-').map(|pair| pair.0.to_owned());
            let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
            let own = family(text).filter(|family| !family.is_empty() && text.chars().all(plain));
            let Some(own) = own else {
                return Err(format!("expected an id such as X-001, in capitals, not `{text}`"));
            };
            if ALL.iter().any(|it| family(&it.code).as_ref() == Some(&own)) {
                return Err(format!(
                    "`{text}`: {own} is a family of built-in rules; take a prefix of your own, \
                     such as X-"
                ));
            }
            Ok(Self(text.to_owned()))
        })
    }
}

/// A kind of node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind(pub(super) &'static str);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        word(from, |text| {
            let known: Vec<_> = fields::KINDS.iter().map(|kind| kind.0).collect();
            let found = known.iter().find(|known| **known == text);
            found.map(|found| Self(found)).ok_or_else(|| unknown("kind", text, &known))
        })
    }
}

/// A kind of edge.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge(pub(super) EdgeKind);

impl<'de> Deserialize<'de> for Edge {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        word(from, |text| {
            let known: Vec<_> = EdgeKind::ALL.iter().map(|edge| edge.as_str()).collect();
            let found = EdgeKind::ALL.iter().find(|edge| edge.as_str() == text);
            found.map(|found| Self(*found)).ok_or_else(|| unknown("edge", text, &known))
        })
    }
}

/// ``no kind is called `netdevs`; did you mean `netdev`?``
pub(super) fn unknown(what: &str, word: &str, known: &[&str]) -> String {
    match suggest::nearest(word, known.iter().copied()) {
        Some(near) => format!("no {what} is called `{word}`; did you mean `{near}`?"),
        None => format!("no {what} is called `{word}`; there are {}", known.join(", ")),
    }
}

/// Reads a scalar. Only an error that a visitor raises has the place of the scalar.
pub(super) fn word<'de, D: Deserializer<'de>, T>(
    from: D,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, D::Error> {
    struct Word<F>(F);
    impl<T, F: Fn(&str) -> Result<T, String>> Visitor<'_> for Word<F> {
        type Value = T;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text")
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
            (self.0)(text).map_err(E::custom)
        }
    }
    from.deserialize_str(Word(parse))
}
