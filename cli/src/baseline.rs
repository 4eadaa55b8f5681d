//! Baselines: the findings of an earlier run. The only file that tapline writes.
use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tapline_analysis::lint::{Finding, Report};
use tapline_capture::{CaptureError, file};
use tapline_core::capture::Snapshot;

use crate::error::{CliError, Result};

const SCHEMA: &str = "tapline.baseline/2";
/// Its fingerprints named hosts by their names, which two machines may share.
const BY_NAME: &str = "tapline.baseline/1";
/// Bytes of a baseline.
const LONGEST: u64 = 256 << 20;

/// What is read of a baseline.
#[derive(Deserialize)]
struct Known {
    schema: String,
    findings: Vec<Fingerprint>,
}

#[derive(Deserialize)]
struct Fingerprint {
    fingerprint: String,
}

/// What is written: with a few words for those who read changes of it.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.baseline/2"))]
    schema: &'static str,
    findings: Vec<Row<'a>>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord, JsonSchema, Serialize)]
struct Row<'a> {
    code: &'a str,
    host: &'a str,
    object: &'a str,
    message: &'a str,
    fingerprint: &'a str,
}

/// The fingerprints of a baseline.
pub(crate) fn read(path: &Path) -> Result<BTreeSet<String>> {
    let text = file::read_text(path, LONGEST)?;
    let known = parse(&text).map_err(|why| {
        CliError::new(format!("{} is not a baseline: {why}", path.display()))
            .hint("`tapline lint --write-baseline FILE` makes one")
    })?;
    Ok(known.findings.into_iter().map(|finding| finding.fingerprint).collect())
}

fn parse(text: &str) -> std::result::Result<Known, String> {
    let known: Known = serde_json::from_str(text).map_err(|error| error.to_string())?;
    match known.schema.as_str() {
        SCHEMA => Ok(known),
        BY_NAME => Err("it was written by an earlier version, which knew hosts by their names \
                        alone; write it anew"
            .to_owned()),
        other => Err(format!("its schema is `{other}`, expected `{SCHEMA}`")),
    }
}

/// Whether a text is a baseline, also one of an earlier version.
fn is_baseline(text: &str) -> bool {
    let known: std::result::Result<Known, _> = serde_json::from_str(text);
    known.is_ok_and(|known| matches!(known.schema.as_str(), SCHEMA | BY_NAME))
}

/// Writes the findings that are not suppressed; says how many. A file that is there already must
/// be a baseline: a slip of the keyboard does not cost a capture.
pub(crate) fn write(path: &Path, snapshot: &Snapshot, report: &Report) -> Result<usize> {
    let findings = report.findings.iter().filter(|finding| finding.suppressed.is_none());
    let mut rows: Vec<Row<'_>> = findings.map(|finding| row(snapshot, finding)).collect();
    rows.sort();
    // Several captures of one machine find the same.
    rows.dedup_by(|a, b| a.fingerprint == b.fingerprint);
    let count = rows.len();
    let mut text = serde_json::to_vec_pretty(&Document { schema: SCHEMA, findings: rows })?;
    text.push(b'\n');
    let mut options = OpenOptions::new();
    options.write(true);
    match file::read_text(path, LONGEST) {
        Ok(old) if is_baseline(&old) => options.truncate(true),
        Err(CaptureError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
            options.create_new(true)
        }
        Err(CaptureError::Io { source, .. }) if source.kind() != io::ErrorKind::InvalidData => {
            return Err(refused(path, &source));
        }
        _ => {
            let message = format!("{} is there and is not a baseline", path.display());
            return Err(CliError::new(message).hint("name another file, or remove it"));
        }
    };
    let written = options.open(path).and_then(|mut it| it.write_all(&text));
    written.map_err(|error| refused(path, &error))?;
    Ok(count)
}

fn refused(path: &Path, error: &io::Error) -> CliError {
    CliError::new(format!("cannot write {}: {error}", path.display()))
}

fn row<'a>(snapshot: &'a Snapshot, finding: &'a Finding) -> Row<'a> {
    Row {
        code: &finding.rule.code,
        host: snapshot.host(finding.host).map_or("", |host| host.name.as_str()),
        object: &finding.subject.name,
        message: &finding.message,
        fingerprint: &finding.of_machine,
    }
}
