//! The keys of `tapline.yaml`. Unknown ones are errors: a misspelt suppression must not be passed
//! over in silence.
use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;

use jiff::civil::Date;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use tapline_analysis::lint::settings::Glob;
use tapline_analysis::lint::{RuleRef, Severity};

use crate::catalogue::Catalogue;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Document {
    pub(super) profile: Option<Profile>,
    pub(super) select: Vec<Word>,
    pub(super) ignore: Vec<Word>,
    pub(super) groups_off: Vec<Family>,
    pub(super) severity_gate: SeverityGate,
    /// Read before: see [`super::read::rule_paths`].
    #[serde(rename = "rules")]
    #[schemars(
        with = "Vec<String>",
        description = "Files and folders of rules, from the folder of this file."
    )]
    pub(super) _rules: Vec<PathBuf>,
    pub(super) env: Env,
    #[serde(alias = "threshold")]
    pub(super) thresholds: Thresholds,
    #[serde(alias = "override")]
    pub(super) overrides: Vec<Override>,
    #[serde(alias = "suppress")]
    pub(super) suppressions: Vec<Suppression>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SeverityGate {
    pub(super) fail_on: Option<FailOn>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum FailOn {
    Error,
    Warning,
    Info,
    Never,
}

thread_local! {
    /// The rules that a file may name: deserialisation passes nothing down to a single name, and
    /// only there the reader of YAML still knows the place.
    static KNOWN: RefCell<Catalogue> = RefCell::default();
}

/// Reads something that names rules of this catalogue.
pub(super) fn knowing<T>(catalogue: &Catalogue, read: impl FnOnce() -> T) -> T {
    KNOWN.with_borrow_mut(|known| *known = catalogue.clone());
    let result = read();
    KNOWN.with_borrow_mut(|known| *known = Catalogue::default());
    result
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Profile {
    OpenstackOvs,
    OpenstackOvn,
    Libvirt,
    K8s,
    Lxd,
    Generic,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Firewall {
    Hybrid,
    Native,
    None,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Env {
    pub(super) l2pop: Option<bool>,
    pub(super) firewall: Option<Firewall>,
    pub(super) config_drive_only: Option<bool>,
    pub(super) physnet_mtu: BTreeMap<String, u32>,
    pub(super) expected_bridges: Vec<String>,
    pub(super) hosts_in_mesh: Vec<Pattern>,
    pub(super) same_host: Vec<Vec<String>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Thresholds {
    pub(super) counter_ratio: Option<Ratio>,
    pub(super) counter_min: Option<u64>,
    pub(super) capture_skew_s: Option<u32>,
    pub(super) neigh_ratio: Option<Ratio>,
    pub(super) link_flaps: Option<u64>,
    pub(super) orphan_warn: Option<u64>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Override {
    pub(super) rule: RuleName,
    pub(super) severity: Level,
    pub(super) host: Option<Pattern>,
    pub(super) ns: Option<Pattern>,
    pub(super) object: Option<Pattern>,
}

#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Level {
    Error,
    Warning,
    Info,
}

#[derive(Debug)]
pub(super) struct Suppression {
    pub(super) rule: RuleName,
    pub(super) host: Option<Pattern>,
    pub(super) ns: Option<Pattern>,
    pub(super) object: Option<Pattern>,
    pub(super) reason: String,
    pub(super) until: Option<Day>,
}

impl JsonSchema for Suppression {
    fn schema_name() -> Cow<'static, str> {
        "Suppression".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Written::json_schema(generator)
    }
}

/// Findings that are known and accepted. Those of severity error need an end.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    rule: RuleName,
    host: Option<Pattern>,
    ns: Option<Pattern>,
    object: Option<Pattern>,
    reason: String,
    until: Option<Day>,
}

impl<'de> Deserialize<'de> for Suppression {
    /// What is wrong with it as a whole is reported inside the visitor: there the reader of YAML
    /// still knows the place.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Whole;
        impl<'de> Visitor<'de> for Whole {
            type Value = Suppression;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a suppression with the keys `rule` and `reason`")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Suppression, A::Error> {
                let it = Written::deserialize(MapAccessDeserializer::new(map))?;
                if it.reason.trim().is_empty() {
                    return Err(A::Error::custom("a suppression needs a reason"));
                }
                let rule = &it.rule.0;
                if rule.severity == Severity::Error && it.until.is_none() {
                    return Err(A::Error::custom(format!(
                        "{} {} is of the severity error: its suppression needs an end, such as \
                         `until: 2027-03-31`",
                        rule.code, rule.id
                    )));
                }
                let Written { rule, host, ns, object, reason, until } = it;
                Ok(Suppression { rule, host, ns, object, reason, until })
            }
        }
        from.deserialize_map(Whole)
    }
}

/// A value that is read from a text. Errors are raised inside the visitor, which knows the place.
trait Text: Sized {
    const EXPECTED: &'static str;

    fn read(text: &str) -> Result<Self, String>;

    fn from_yaml<'de, D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: Text> Visitor<'_> for Reader<T> {
            type Value = T;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::EXPECTED)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<T, E> {
                T::read(text).map_err(E::custom)
            }
        }
        from.deserialize_str(Reader(PhantomData))
    }
}

macro_rules! text_values {
    ($($type:ty)*) => {
        $(impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::from_yaml(from)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "description": Self::EXPECTED })
            }
        })*
    };
}
text_values!(RuleName Word Family Pattern Day);

/// A rule, by code or id.
#[derive(Clone, Debug)]
pub(super) struct RuleName(pub(super) RuleRef);

impl Text for RuleName {
    const EXPECTED: &'static str = "the code or id of a rule";

    fn read(text: &str) -> Result<Self, String> {
        let found = KNOWN.with_borrow(|known| known.find(text));
        found.map(Self).ok_or_else(|| format!("no rule is called `{text}`"))
    }
}

/// A rule or a family of rules.
#[derive(Clone, Debug)]
pub(super) struct Word(pub(super) String);

impl Text for Word {
    const EXPECTED: &'static str = "the code, id or family of a rule";

    fn read(text: &str) -> Result<Self, String> {
        if KNOWN.with_borrow(|known| known.has(text)) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("no rule is called `{text}`"))
    }
}

/// A family of rules.
#[derive(Clone, Debug)]
pub(super) struct Family(pub(super) String);

impl Text for Family {
    const EXPECTED: &'static str = "a family of rules, such as NIC";

    fn read(text: &str) -> Result<Self, String> {
        if KNOWN.with_borrow(|known| known.has_family(text)) {
            return Ok(Self(text.to_owned()));
        }
        Err(format!("no family of rules is called `{text}`"))
    }
}

/// A pattern of names.
#[derive(Clone, Debug)]
pub(super) struct Pattern(pub(super) Glob);

impl Text for Pattern {
    const EXPECTED: &'static str = "a pattern such as 'tap*'";

    fn read(text: &str) -> Result<Self, String> {
        Glob::new(text).map(Self).map_err(|why| format!("`{text}` is no pattern: {why}"))
    }
}

/// A day.
#[derive(Clone, Copy, Debug)]
pub(super) struct Day(pub(super) Date);

impl Text for Day {
    const EXPECTED: &'static str = "a day such as 2027-03-31";

    fn read(text: &str) -> Result<Self, String> {
        let day = text.parse().ok().filter(|_| text.len() == "2027-03-31".len());
        day.map(Self).ok_or_else(|| format!("`{text}` is no day; expected {}", Self::EXPECTED))
    }
}

/// A share between nothing and all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio(pub(super) f64);

impl JsonSchema for Ratio {
    fn schema_name() -> Cow<'static, str> {
        "Ratio".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

impl<'de> Deserialize<'de> for Ratio {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Ratio;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number between 0 and 1")
            }

            fn visit_f64<E: serde::de::Error>(self, it: f64) -> Result<Ratio, E> {
                if (0.0..=1.0).contains(&it) {
                    return Ok(Ratio(it));
                }
                Err(E::custom(format!("{it} is not between 0 and 1")))
            }

            fn visit_u64<E: serde::de::Error>(self, it: u64) -> Result<Ratio, E> {
                self.visit_f64(if it == 0 {
                    0.0
                } else if it == 1 {
                    1.0
                } else {
                    f64::INFINITY
                })
            }
        }
        from.deserialize_f64(Reader)
    }
}
