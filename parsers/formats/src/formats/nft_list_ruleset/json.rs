//! `nft -j list ruleset`: one list of tables, chains, sets and rules.
//!
//! Source of the format: libnftables-json(5), nftables `src/json.c`; 0.9 to 1.1. A rule is a list
//! of statements, which are written as `nft` prints them and read as such: [`super::expression`].
use std::collections::BTreeMap;

use serde_json::Value;
use tapline_core::Name;
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::nft::{NftChain, NftObject, NftRule, NftTable};
use tapline_core::span::{At, Span};

use super::{OBJECTS, expression, members, rule};
use crate::json::each_element_of;
use crate::json_object::{Object, elements, plain};
use crate::lines::bodies;

/// Whether a text is such a document.
pub(super) fn is_json(text: &str) -> bool {
    list(text).is_some()
}

/// The list in `{"nftables": [ … ]}`, up to where the text ends.
fn list(text: &str) -> Option<&str> {
    let inside = text.trim().strip_prefix('{')?.trim_start();
    let list = inside.strip_prefix("\"nftables\"")?.trim_start().strip_prefix(':')?.trim_start();
    Some(list.strip_suffix('}').map_or(list, str::trim_end))
}

/// Reads the whole document.
pub(super) fn read(text: &str, out: &mut Outcome<()>) -> Vec<NftTable> {
    let Some(list) = list(text) else { return Vec::new() };
    let mut reader = Reader { text, tables: Vec::new(), chains: BTreeMap::new() };
    let mut inner: Outcome<Vec<()>> = Outcome::default();
    each_element_of(text, list, &mut inner, |raw| reader.element(raw));
    // Lines that hold nothing but the braces around the list.
    let lines = |text: &str| bodies(text).filter(|line| !line.is_empty()).count();
    (lines(list)..lines(text)).for_each(|_| out.lines.add(Fate::Read));
    let inner = inner.map(|_| ());
    out.lines.merge(inner.lines);
    out.problems.extend(inner.problems);
    let before = std::mem::take(&mut out.completeness);
    out.completeness = before.and(inner.completeness);
    reader.tables.into_iter().map(with_statements).collect()
}

/// Reads what the rules say, once all sets of their table are known.
fn with_statements(mut table: NftTable) -> NftTable {
    let objects = &table.objects;
    for rule in table.chains.iter_mut().flat_map(|chain| &mut chain.rules) {
        rule.statements =
            rule::statements(rule.text.as_str(), &|name: &str| members(objects, name));
    }
    table
}

struct Reader<'a> {
    text: &'a str,
    tables: Vec<NftTable>,
    /// Where each table and each chain stands; a table is a chain without a name.
    chains: BTreeMap<[Name; 3], usize>,
}

impl<'a> Reader<'a> {
    fn element(&mut self, raw: &'a str) -> Result<(), String> {
        let object = Object::parse(self.text, raw)?;
        let entry = object.entries().into_iter().next();
        let (kind, raw) = entry.ok_or("an object without a kind")?;
        let inner = Object::parse(self.text, raw)?;
        match kind.as_ref() {
            "metainfo" => Ok(()),
            "table" => self.table(raw, inner),
            "chain" => self.chain(raw, inner),
            "rule" => self.rule(raw, inner),
            "element" => self.more(inner),
            _ if OBJECTS.iter().any(|object| object.trim_end() == kind) => {
                self.object(&kind, raw, inner)
            }
            _ => Err(format!("neither a table, a chain, a rule nor a set: {kind}")),
        }
    }

    fn table(&mut self, raw: &str, mut object: Object<'_>) -> Result<(), String> {
        let family = object.name("family").ok_or("a table without its family")?.value;
        let name = object.name("name").ok_or("a table without its name")?;
        let key = [family.clone(), name.value.clone(), Name::default()];
        if self.chains.insert(key, self.tables.len()).is_some() {
            return Err(format!("a second table {family} {}", name.value));
        }
        self.tables.push(NftTable {
            at: Span::of(self.text, raw),
            family,
            name,
            handle: object.value("handle")?.map(|value| value.value),
            chains: Vec::new(),
            objects: Vec::new(),
            other: Vec::new(),
        });
        Ok(())
    }

    /// The table that an object names.
    fn of(&mut self, object: &mut Object<'_>) -> Result<(&mut NftTable, Name), String> {
        let family = object.name("family").ok_or("no family of a table")?.value;
        let name = object.name("table").ok_or("no name of a table")?.value;
        let at = self.chains.get(&[family.clone(), name.clone(), Name::default()]);
        let table = at.and_then(|&at| self.tables.get_mut(at));
        table.map(|table| (table, family)).ok_or_else(|| format!("no table {name} above"))
    }

    fn chain(&mut self, raw: &str, mut object: Object<'_>) -> Result<(), String> {
        let at = Span::of(self.text, raw);
        let (table, family) = self.of(&mut object)?;
        let name = object.name("name").ok_or("a chain without its name")?;
        let key = [family, table.name.value.clone(), name.value.clone()];
        let devices = object.names("dev");
        let device = devices.first().map(|first| {
            let names: Vec<_> = devices.iter().map(|device| device.as_str()).collect();
            At::new(names.join(", ").into(), first.span)
        });
        table.chains.push(NftChain {
            at,
            name,
            handle: object.value("handle")?.map(|value| value.value),
            kind: object.name("type").map(|name| name.value),
            hook: object.name("hook"),
            device,
            priority: object.name("prio"),
            policy: object.name("policy"),
            rules: Vec::new(),
        });
        let place = table.chains.len() - 1;
        self.chains.insert(key, place);
        Ok(())
    }

    fn rule(&mut self, raw: &str, mut object: Object<'_>) -> Result<(), String> {
        let at = Span::of(self.text, raw);
        let family = object.text("family").map(|text| Name::new(&text.value)).unwrap_or_default();
        let name = object.name("table").map(|name| name.value).unwrap_or_default();
        let chain = object.name("chain").ok_or("a rule without its chain")?.value;
        let table = self.chains.get(&[family.clone(), name.clone(), Name::default()]);
        let place = self.chains.get(&[family, name, chain.clone()]);
        let found = table
            .zip(place)
            .and_then(|(&table, &place)| self.tables.get_mut(table)?.chains.get_mut(place));
        let found = found.ok_or_else(|| format!("no chain {chain} above"))?;
        let mut words = Vec::new();
        for raw in object.take("expr").map(elements).unwrap_or_default() {
            let value: Value =
                serde_json::from_str(raw).map_err(|why| format!("not a statement: {why}"))?;
            words.push(expression::statement(&value));
        }
        words.retain(|text| !text.is_empty());
        let handle = object.value("handle")?.map(|value| value.value);
        let text = At::new(words.join(" ").into(), at);
        found.rules.push(NftRule { at, text, handle, statements: Vec::new() });
        Ok(())
    }

    /// A set, a map, a counter.
    fn object(&mut self, kind: &str, raw: &str, mut object: Object<'_>) -> Result<(), String> {
        let at = Span::of(self.text, raw);
        let (table, _) = self.of(&mut object)?;
        let name = object.name("name").ok_or("an object without its name")?;
        let members = object.take("elem").map(list_of).transpose()?.unwrap_or_default();
        let handle = object.value("handle")?.map(|value| value.value);
        let flags = object.names("flags");
        let mut other = Vec::new();
        if let Some(first) = flags.first() {
            let all: Vec<_> = flags.iter().map(|flag| flag.as_str()).collect();
            other.push(At::new(format!("flags {}", all.join(",")).into(), first.span));
        }
        for field in object.rest() {
            let line = format!("{} {}", field.key, field.value.value);
            other.push(At::new(line.into(), field.value.span));
        }
        table.objects.push(NftObject {
            at,
            object: kind.into(),
            name,
            handle,
            elements: u32::try_from(members.len()).unwrap_or(u32::MAX),
            members,
            other,
        });
        Ok(())
    }

    /// Further elements of a set.
    fn more(&mut self, mut object: Object<'_>) -> Result<(), String> {
        let (table, _) = self.of(&mut object)?;
        let name = object.name("name").ok_or("elements without the name of their set")?.value;
        let members = object.take("elem").map(list_of).transpose()?.unwrap_or_default();
        let set = table.objects.iter_mut().find(|object| object.name.value == name);
        let set = set.ok_or_else(|| format!("no set {name} above"))?;
        set.members.extend(members);
        set.elements = u32::try_from(set.members.len()).unwrap_or(u32::MAX);
        Ok(())
    }
}

/// The elements of a set.
fn list_of(raw: &str) -> Result<Vec<Name>, String> {
    let one = |raw: &str| match serde_json::from_str::<Value>(raw) {
        Ok(Value::Array(pair)) => {
            let pair: Vec<_> = pair.iter().map(expression::shown).collect();
            Ok(pair.join(" : ").into())
        }
        Ok(Value::String(_)) => Ok(Name::new(plain(raw))),
        Ok(value) => Ok(expression::shown(&value).into()),
        Err(why) => Err(format!("not an element of a set: {why}")),
    };
    elements(raw).into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use tapline_core::capture::Command;

    use super::super::parse;

    const TEXT: &str = r#"{"nftables": [{"metainfo": {"version": "1.0.9", "json_schema_version": 1}},
        {"table": {"family": "ip", "name": "filter", "handle": 1}},
        {"set": {"family": "ip", "name": "s", "table": "filter", "type": "ipv4_addr", "handle": 2,
            "flags": ["interval"], "elem": ["192.0.2.1", {"prefix": {"addr": "10.0.0.0", "len": 8}}]}},
        {"chain": {"family": "ip", "table": "filter", "name": "FORWARD", "handle": 3,
            "type": "filter", "hook": "forward", "prio": 0, "policy": "drop"}},
        {"chain": {"family": "ip", "table": "filter", "name": "mine", "handle": 4}},
        {"rule": {"family": "ip", "table": "filter", "chain": "FORWARD", "handle": 5, "expr": [
            {"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@s"}},
            {"counter": {"packets": 3, "bytes": 180}}, {"accept": null}]}}]}"#;

    #[test]
    fn the_list_says_what_the_text_says() {
        let out = parse(TEXT, &Command::new("nft -j list ruleset"));
        assert_eq!((out.problems.as_slice(), out.lines.unread), ([].as_slice(), 0));
        assert_eq!(out.lines.total, out.lines.read);
        assert!(out.completeness.is_complete());
        let [table] = out.records.as_slice() else { panic!("{out:?}") };
        let [forward, mine] = table.chains.as_slice() else { panic!("{table:?}") };
        assert_eq!(forward.policy.as_ref().unwrap().as_str(), "drop");
        assert_eq!(forward.priority.as_ref().unwrap().as_str(), "0");
        assert!(mine.kind.is_none() && mine.rules.is_empty());
        let [rule] = forward.rules.as_slice() else { panic!("{forward:?}") };
        assert_eq!(rule.text.as_str(), "ip saddr @s counter packets 3 bytes 180 accept");
        let statements = format!("{:?}", rule.statements);
        assert!(statements.contains("Net(10.0.0.0/8)"), "{statements}");
        assert_eq!(table.objects[0].elements, 2);
        assert!(TEXT.get(rule.at.range()).unwrap().contains("\"handle\": 5"));
    }

    #[test]
    fn what_breaks_off_is_partial() {
        let cut = TEXT.get(..TEXT.len() / 2).unwrap();
        let out = parse(cut, &Command::new("nft -j list ruleset"));
        assert_eq!(out.records.len(), 1);
        assert!(!out.completeness.is_complete() && !out.completeness.is_failed());
    }

    #[test]
    fn what_belongs_to_nothing_is_a_problem() {
        for odd in [
            r#"{"nftables":[{"rule":{"family":"ip","table":"x","chain":"y","expr":[]}}]}"#,
            r#"{"nftables":[{"wonder":{}}]}"#,
            r#"{"nftables":[7]}"#,
        ] {
            let out = parse(odd, &Command::new("nft -j list ruleset"));
            assert_eq!((out.records.len(), out.problems.len()), (0, 1), "{odd}");
            assert!(!out.completeness.is_complete(), "{odd}");
        }
    }
}
