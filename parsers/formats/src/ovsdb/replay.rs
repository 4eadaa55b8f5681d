//! The transactions of a database file, played back: what its tables held at last.
//!
//! Source: `ovsdb/file.c` (`ovsdb_file_txn_from_json`), `lib/ovsdb-data.c`
//! (`ovsdb_datum_apply_diff`). A transaction is `{table: {uuid: {column: value} | null}}`. With
//! `"_is_diff": true` (OVS 2.15 and later) a column that may hold several values is written as the
//! difference: what is in both goes, what is in one stays; a pair whose value differs takes the
//! new value.
use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::records::ovs::OvsRecord;
use tapline_core::span::{At, Span};

use super::cell::json;
use super::columns::{Wrong, keep, record, set, shape};
use super::notation::{Place, Token, Value, print};
use super::schema::{Schema, is_composite_by_name};
use crate::json::Fields;

/// The value of a column: its members by their text, so that differences cost little.
#[derive(Clone, Debug)]
struct Datum<'a> {
    span: Span,
    form: Form,
    members: BTreeMap<&'a str, (Token<'a>, Option<Token<'a>>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Atom,
    Set,
    Map,
}

impl<'a> Datum<'a> {
    fn new(span: Span, value: Value<'a>) -> Self {
        let mut members = BTreeMap::new();
        let form = match value {
            Value::Atom(it) => {
                members.insert(it.raw, (it, None));
                Form::Atom
            }
            Value::Set(all) => {
                members.extend(all.into_iter().map(|it| (it.raw, (it, None))));
                Form::Set
            }
            Value::Map(all) => {
                members.extend(all.into_iter().map(|(key, it)| (key.raw, (key, Some(it)))));
                Form::Map
            }
        };
        Self { span, form, members }
    }

    /// Applies a difference.
    fn differ(&mut self, by: Self) {
        self.span = by.span;
        if self.form == Form::Atom {
            self.form = by.form;
        }
        for (key, member) in by.members {
            let same = |old: &(Token<'_>, Option<Token<'_>>)| {
                old.1.map(|it| it.raw) == member.1.map(|it| it.raw)
            };
            if self.members.get(key).is_some_and(same) {
                self.members.remove(key);
            } else {
                self.members.insert(key, member);
            }
        }
        if self.form == Form::Atom && self.members.len() != 1 {
            self.form = Form::Set;
        }
    }

    /// Sorted as OVSDB sorts: numbers by value, all else by text.
    fn value(&self) -> Value<'a> {
        let mut all: Vec<_> = self.members.values().copied().collect();
        all.sort_by_key(|(it, _)| it.raw.parse::<i64>().unwrap_or(i64::MAX));
        match (self.form, all.first()) {
            (Form::Atom, Some((it, _))) => Value::Atom(*it),
            (Form::Atom | Form::Set, _) => Value::Set(all.into_iter().map(|it| it.0).collect()),
            (Form::Map, _) => {
                Value::Map(all.into_iter().filter_map(|(k, v)| Some((k, v?))).collect())
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Row<'a> {
    /// Its JSON in the last transaction that touched it.
    at: Span,
    /// Its uuid there.
    uuid: Span,
    /// How many gaps there were before the row was made; `None` where that was not seen.
    made: Option<u32>,
    columns: BTreeMap<Name, Datum<'a>>,
}

/// What the tables held at last.
#[derive(Debug, Default)]
pub(crate) struct Played {
    pub(crate) records: Vec<OvsRecord>,
    /// How many rows were made in front of the text and so have no name: they are no records.
    pub(crate) headless: usize,
    /// Values that are not of their column's type.
    pub(crate) wrongs: Vec<Wrong>,
}

/// The tables as they are so far.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    text: &'a str,
    schema: Option<Schema>,
    tables: BTreeMap<Name, BTreeMap<Name, Row<'a>>>,
    /// How many times transactions went missing.
    gaps: u32,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { text, schema: None, tables: BTreeMap::new(), gaps: 0 }
    }

    /// Whether the schema was seen.
    pub(crate) fn has_schema(&self) -> bool {
        self.schema.is_some()
    }

    /// Sets the schema; the tables keep what they hold.
    pub(crate) fn schema(&mut self, schema: Schema) {
        self.schema = Some(schema);
    }

    /// Transactions are missing here: differences to what they did cannot be told any more.
    pub(crate) fn gap(&mut self) {
        self.gaps = self.gaps.saturating_add(1);
    }

    /// Plays one transaction.
    pub(crate) fn transaction(&mut self, raw: &'a str) -> Result<(), String> {
        let transaction = Fields::read(raw)?;
        let is_diff = transaction.get("_is_diff") == Some("true");
        for (table, raw) in transaction.0 {
            if table.starts_with('_') {
                continue;
            }
            let rows = Fields::read(raw).map_err(|why| format!("{table}: {why}"))?;
            for (uuid, raw) in rows.0 {
                if raw == "null" {
                    if let Some(rows) = self.tables.get_mut(&table) {
                        rows.remove(&uuid);
                    }
                    continue;
                }
                let columns = Fields::read(raw).map_err(|why| format!("{table} {uuid}: {why}"))?;
                self.row(&table, uuid, raw, columns, is_diff)?;
            }
        }
        Ok(())
    }

    fn row(
        &mut self,
        table: &Name,
        uuid: Name,
        raw: &'a str,
        columns: Fields<'a>,
        is_diff: bool,
    ) -> Result<(), String> {
        let at = Span::of(self.text, raw);
        let uuid_at = key_before(self.text, at, &uuid);
        let gaps = self.gaps;
        // A row that was made in front of the text shows only its changes.
        let is_new = gaps == 0 || columns.get("name").or(columns.get("target")).is_some();
        let row = self.tables.entry(table.clone()).or_default().entry(uuid).or_insert_with(|| {
            let made = is_new.then_some(gaps);
            Row { at, uuid: uuid_at, made, columns: BTreeMap::new() }
        });
        (row.at, row.uuid) = (at, uuid_at);
        for (name, raw) in columns.0 {
            let value =
                json(raw).ok_or_else(|| format!("{table}.{name} is not a value: {raw:.80}"))?;
            let datum = Datum::new(Span::of(self.text, raw), value);
            let of_schema = self.schema.as_ref().and_then(|schema| schema.column(table, &name));
            let composite = of_schema.map_or_else(
                || {
                    datum.form == Form::Map
                        || datum.members.len() > 1
                        || is_composite_by_name(&name)
                },
                |schema| schema.composite,
            );
            if !(is_diff && composite) {
                row.columns.insert(name, datum);
            } else if row.made != Some(gaps) {
                row.columns.remove(&name);
            } else if let Some(old) = row.columns.get_mut(&name) {
                old.differ(datum);
            } else {
                row.columns.insert(name, datum);
            }
        }
        Ok(())
    }

    /// The rows as records, by table, name and uuid.
    pub(crate) fn finish(self) -> Played {
        let mut played = Played::default();
        for (table, rows) in &self.tables {
            let first = |row: &Row<'a>, column: &str| {
                row.columns.get(column).and_then(|it| it.members.keys().next().copied())
            };
            let mut rows: Vec<_> = rows
                .iter()
                .map(|(uuid, row)| (first(row, "name").or(first(row, "target")), uuid, row))
                .collect();
            rows.sort_by_key(|&(name, uuid, _)| (name, uuid));
            for (name, uuid, row) in rows {
                let named = matches!(
                    table.as_str(),
                    "Bridge" | "Port" | "Interface" | "Controller" | "Manager"
                );
                if row.made.is_none() && named && name.is_none() {
                    played.headless += 1;
                    continue;
                }
                let record = self.record(table, uuid, row, &mut played.wrongs);
                played.records.push(record);
            }
        }
        played
    }

    fn record(
        &self,
        table: &str,
        uuid: &Name,
        row: &Row<'a>,
        wrongs: &mut Vec<Wrong>,
    ) -> OvsRecord {
        let mut record = record(table, row.at);
        record.uuid = Some(At::new(uuid.clone(), row.uuid));
        for (column, datum) in &row.columns {
            let value = datum.value();
            if shape(&record.row, column).is_none() {
                keep(&mut record, column, At::new(print(&value), datum.span));
            } else {
                let place = Place::Within(self.text);
                wrongs.extend(set(place, &mut record, column, &value, datum.span).err());
            }
        }
        // A file leaves out what has the default value.
        let missing = self
            .schema
            .iter()
            .filter(|_| row.made == Some(0))
            .flat_map(|schema| schema.columns(table));
        for (column, of_schema) in missing {
            let Some(token) = of_schema.default.filter(|_| !of_schema.ephemeral) else { continue };
            if !row.columns.contains_key(column) && shape(&record.row, column).is_some() {
                let (place, value) = (Place::Whole(row.at), Value::Atom(token));
                wrongs.extend(set(place, &mut record, column, &value, row.at).err());
            }
        }
        record
    }
}

/// The place of the key in front of the value at `value`; that of the value where the JSON is laid
/// out otherwise.
fn key_before(text: &str, value: Span, key: &str) -> Span {
    let end = value.range().start.saturating_sub(2);
    let start = end.saturating_sub(key.len());
    match text.get(start..end) {
        Some(it) if it == key => Span::of(text, it),
        _ => value,
    }
}
