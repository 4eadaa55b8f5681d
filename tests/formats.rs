//! Every text of `corpus/formats`, read by its format: a snapshot beside each.
//!
//! The snapshot shows the account of lines, the completeness, every problem with the text it is
//! about, and every record as one line of JSON with the line it was read from.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
use std::fmt::Write as _;
use std::path::Path;

use serde::Deserialize;
use tapline_core::capture::Command;
use tapline_formats::registry;
use tapline_tests::show::{Records, line_of, snapshot};

/// What stands in `<case>.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Metadata {
    #[expect(dead_code, reason = "for the reader of the file")]
    origin: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    tool: String,
    command: String,
    #[expect(dead_code, reason = "for the reader of the file")]
    note: Option<String>,
    expect: Expect,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expect {
    unread: u32,
    #[serde(default)]
    failed: bool,
}

fn golden(path: &Path) -> datatest_stable::Result<()> {
    let folder = path.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    let format = registry::FORMATS
        .iter()
        .find(|format| format.id.0 == folder)
        .ok_or_else(|| format!("no format is called `{folder}`"))?;
    let metadata: Metadata =
        serde_yaml::from_str(&std::fs::read_to_string(path.with_extension("yaml"))?)?;
    let text = String::from_utf8_lossy(&std::fs::read(path)?).into_owned();
    let command = Command::new(&metadata.command);
    if !format.reads(&command) {
        return Err(format!("{} does not claim `{command}`", format.id).into());
    }
    let out = (format.read)(&text, &command);

    let mut shown = String::new();
    let lines = out.lines;
    writeln!(
        shown,
        "{} lines: {} read, {} ignored, {} unread\n{:?}",
        lines.total, lines.read, lines.ignored, lines.unread, out.completeness
    )?;
    for problem in &out.problems {
        let quoted = text.get(problem.span.range()).unwrap_or_default();
        let line = line_of(&text, problem.span);
        writeln!(shown, "{line}: {}: {}: {quoted:?}", problem.kind.as_str(), problem.message)?;
    }
    let mut records = Records::new(&text);
    out.records.visit(&mut records);
    shown.push_str(&records.shown);

    snapshot(path, &shown);
    if lines.unread != metadata.expect.unread {
        return Err(format!("{} unread, expected {}", lines.unread, metadata.expect.unread).into());
    }
    if out.completeness.is_failed() != metadata.expect.failed {
        return Err(format!("{:?}", out.completeness).into());
    }
    Ok(())
}

datatest_stable::harness! {
    { test = golden, root = "../corpus/formats", pattern = r"\.txt$" },
}
