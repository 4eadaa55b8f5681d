//! `tapline rules test`.
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;

use tapline_analysis::lint::{self, Settings};

use crate::args::TestRules;
use crate::error::{CliError, Result, Status};
use crate::own::{self, Own, Test};
use crate::pipeline;
use crate::render::count;
use crate::render::escape::visible;
use crate::terminal::{Terminal, style};

/// What rules found, or are to find: names of objects by code.
type Found = BTreeMap<String, BTreeSet<String>>;

pub(crate) fn run(args: &TestRules, terminal: &Terminal) -> Result<Status> {
    let own = own::load(&args.paths)?;
    if own.tests.is_empty() {
        return Err(CliError::new("there are no tests in these files")
            .hint("`tests:` has sessions and the objects that each rule is to find in them"));
    }
    let paint = terminal.stdout();
    let mut out = terminal.out();
    let mut failed = 0;
    for (n, (file, test)) in own.tests.iter().enumerate() {
        let name = test.name.clone().unwrap_or_else(|| format!("test {}", n + 1));
        let differences = differences(&own, test, &format!("{file}: {name}"))?;
        let word = if differences.is_empty() {
            paint.of(style::GOOD, "ok").to_string()
        } else {
            failed += 1;
            paint.of(style::ERROR, "failed").to_string()
        };
        writeln!(out, "{}: {word}", visible(&format!("{file}: {name}")))?;
        for it in differences {
            writeln!(out, "  {}", visible(&it))?;
        }
    }
    let passed = own.tests.len() - failed;
    writeln!(out, "{} passed, {failed} failed", count(passed, "test"))?;
    out.flush()?;
    Ok(if failed > 0 { Status::Found } else { Status::Clean })
}

/// What one test found that it should not have, and the reverse.
fn differences(own: &Own, test: &Test, name: &str) -> Result<Vec<String>> {
    let snapshot = pipeline::read_text(name, &test.transcript)?;
    let topology = pipeline::topology(&snapshot);
    let report = lint::run(&topology, &own.rules, &Settings::default());
    own.outcome()?;
    let mut found = Found::new();
    for it in &report.findings {
        found.entry(it.rule.code.to_string()).or_default().insert(it.subject.name.clone());
    }
    let wanted: Found = test
        .expect
        .iter()
        .map(|(code, names)| (code.0.clone(), names.iter().cloned().collect()))
        .collect();
    let empty = BTreeSet::new();
    let codes: BTreeSet<&String> = found.keys().chain(wanted.keys()).collect();
    let mut all = Vec::new();
    for code in codes {
        let (is, should) = (found.get(code).unwrap_or(&empty), wanted.get(code).unwrap_or(&empty));
        all.extend(
            should.difference(is).map(|difference| format!("{code} did not find {difference}")),
        );
        all.extend(
            is.difference(should)
                .map(|difference| format!("{code} found {difference}, which is not expected")),
        );
    }
    Ok(all)
}
