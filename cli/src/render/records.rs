//! Records as JSON, JSON lines or YAML, written one by one.
use std::any::Any;
use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::capture::{Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::records::Visitor;
use tapline_core::records::link::Link;
use tapline_core::span::Span;
use tapline_topology::{RecordId, RecordKey};

use super::{incomplete, problems};
use crate::args::RecordFormat;
use crate::error::{CliError, Result};
use crate::schema::Anything;

/// Which records to show.
pub(crate) struct Filter {
    /// Kinds; none is all.
    pub(crate) kinds: Vec<String>,
}

impl Filter {
    fn takes(&self, kind: &str) -> bool {
        self.kinds.is_empty() || self.kinds.iter().any(|it| it == kind)
    }
}

/// The shape of the whole, which is written piece by piece: the records of a large capture are not
/// kept in memory twice.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its shape is of interest")]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.records/1"))]
    schema: &'static str,
    /// Beside what is listed here, each has the fields of its kind.
    records: Vec<Row<'a, Anything>>,
    problems: Vec<problems::Problem<'a>>,
    /// Texts that do not show everything.
    incomplete: Vec<incomplete::IncompleteText<'a>>,
}

/// A record with its identity and place in front.
#[derive(JsonSchema, Serialize)]
struct Row<'a, T> {
    kind: &'static str,
    host: &'a str,
    #[schemars(with = "String")]
    netns: &'a Netns,
    at: Place<'a>,
    #[serde(flatten)]
    record: &'a T,
}

#[derive(JsonSchema, Serialize)]
struct Place<'a> {
    archive: &'a str,
    member: &'a str,
    line: u32,
    command: &'a str,
    /// The id of the record, which findings name.
    key: Option<String>,
}

/// A problem among JSON lines.
#[derive(Serialize)]
struct ProblemRow<'a> {
    kind: &'static str,
    problem: problems::Problem<'a>,
}

/// A text that does not show everything, among JSON lines.
#[derive(Serialize)]
struct IncompleteRow<'a> {
    kind: &'static str,
    text: incomplete::IncompleteText<'a>,
}

/// Writes all records that `filter` takes, then all problems and the texts that are not whole.
pub(crate) fn render(
    out: &mut impl Write,
    snapshot: &Snapshot,
    filter: &Filter,
    format: RecordFormat,
) -> Result<()> {
    match format {
        RecordFormat::Json => {
            write!(out, "{{\"schema\":\"tapline.records/1\",\"records\":[")?;
            let wrote = rows(out, snapshot, filter, &Json)?;
            write!(out, "{}],\"problems\":[", if wrote { "\n" } else { "" })?;
            let mut first = true;
            for problem in problems::all(snapshot) {
                write!(out, "{}", if first { "\n" } else { ",\n" })?;
                first = false;
                serde_json::to_writer(&mut *out, &problem)?;
            }
            write!(out, "{}],\"incomplete\":[", if first { "" } else { "\n" })?;
            let mut first = true;
            for text in incomplete::all(snapshot) {
                Json.row(out, first, &text)?;
                first = false;
            }
            writeln!(out, "{}]}}", if first { "" } else { "\n" })?;
        }
        RecordFormat::Ndjson => {
            rows(out, snapshot, filter, &Ndjson)?;
            for problem in problems::all(snapshot) {
                Ndjson.row(out, false, &ProblemRow { kind: "problem", problem })?;
            }
            for text in incomplete::all(snapshot) {
                Ndjson.row(out, false, &IncompleteRow { kind: "incomplete", text })?;
            }
        }
        RecordFormat::Yaml => {
            writeln!(out, "schema: tapline.records/1\nrecords:")?;
            if !rows(out, snapshot, filter, &Yaml)? {
                writeln!(out, "  []")?;
            }
            writeln!(out, "problems:")?;
            let mut none = true;
            for problem in problems::all(snapshot) {
                Yaml.row(out, false, &problem)?;
                none = false;
            }
            if none {
                writeln!(out, "  []")?;
            }
            writeln!(out, "incomplete:")?;
            let mut none = true;
            for text in incomplete::all(snapshot) {
                Yaml.row(out, false, &text)?;
                none = false;
            }
            if none {
                writeln!(out, "  []")?;
            }
        }
    }
    Ok(())
}

/// How one element of a list is written.
trait Form {
    fn row(&self, out: &mut impl Write, first: bool, row: &impl Serialize) -> Result<()>;
}

struct Json;

impl Form for Json {
    fn row(&self, out: &mut impl Write, first: bool, row: &impl Serialize) -> Result<()> {
        out.write_all(if first { b"\n" } else { b",\n" })?;
        Ok(serde_json::to_writer(out, row)?)
    }
}

struct Ndjson;

impl Form for Ndjson {
    fn row(&self, out: &mut impl Write, _: bool, row: &impl Serialize) -> Result<()> {
        serde_json::to_writer(&mut *out, row)?;
        Ok(out.write_all(b"\n")?)
    }
}

struct Yaml;

impl Form for Yaml {
    fn row(&self, out: &mut impl Write, _: bool, row: &impl Serialize) -> Result<()> {
        // The writer of whole documents escapes each text; a list of one gives one element. Enums
        // are maps as in JSON: as tags (`!name`), most readers of YAML refuse them.
        let mut text = Vec::new();
        {
            let mut writer = serde_yaml::Serializer::new(&mut text);
            serde_yaml::with::singleton_map_recursive::serialize(&[row], &mut writer)
                .map_err(|serialize| CliError::new(format!("cannot write YAML: {serialize}")))?;
        }
        Ok(out.write_all(&text)?)
    }
}

/// Writes the records; whether there were any.
fn rows(
    out: &mut impl Write,
    snapshot: &Snapshot,
    filter: &Filter,
    form: &impl Form,
) -> Result<bool> {
    let mut first = true;
    for (source, reading) in snapshot.iter() {
        let kind = reading.records.kind();
        if reading.records.is_empty() || !filter.takes(kind) {
            continue;
        }
        let host = snapshot.host(source.host).map_or("", |host| host.label());
        let command = source.command.to_string();
        let mut writer = Rows {
            out: &mut *out,
            form,
            snapshot,
            source,
            host,
            command,
            kind,
            first,
            result: Ok(()),
        };
        reading.records.visit(&mut writer);
        writer.result?;
        first = false;
    }
    Ok(!first)
}

/// Writes each record of one source.
struct Rows<'a, W, F> {
    out: &'a mut W,
    form: &'a F,
    snapshot: &'a Snapshot,
    source: &'a Source,
    host: &'a str,
    command: String,
    kind: &'static str,
    first: bool,
    result: Result<()>,
}

impl<W, F> Rows<'_, W, F> {
    fn key(&self, at: Span) -> Option<String> {
        let id = RecordId(self.source.id, at.start);
        RecordKey::of(self.snapshot, id).map(|key| key.to_string())
    }
}

impl<W: Write, F: Form> Visitor for Rows<'_, W, F> {
    fn record<T: Serialize + 'static>(&mut self, at: Span, record: &T) {
        if self.result.is_err() {
            return;
        }
        // A heading in the text overrides the namespace of the text as a whole.
        let heading = (record as &dyn Any).downcast_ref::<Link>().and_then(|it| it.netns.as_ref());
        let row = Row {
            kind: self.kind,
            host: self.host,
            netns: heading.unwrap_or(&self.source.netns),
            at: Place {
                archive: &self.source.archive,
                member: &self.source.member,
                line: self.source.line_numbers(at).0,
                command: &self.command,
                key: self.key(at),
            },
            record,
        };
        self.result = self.form.row(self.out, self.first, &row);
        self.first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Lower {
        Name(&'static str),
    }

    #[test]
    fn yaml_says_the_same_as_json() {
        let row = [("lower", Some(Lower::Name("no"))), ("netns", None)];
        let mut text = Vec::new();
        Yaml.row(&mut text, true, &row).unwrap();
        let read: serde_json::Value = serde_yaml::from_slice(&text).unwrap();
        assert_eq!(read, serde_json::to_value([row]).unwrap());
    }
}
