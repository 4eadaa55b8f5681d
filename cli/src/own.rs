//! Rules of one's own: YAML files with conditions in CEL, run beside the built-in rules.
//!
//! A file is read completely before anything runs: names of kinds, edges, variables and fields
//! are checked then, so that a rule never keeps silent because of a typing error.
mod eval;
mod expression;
mod fields;
mod schema;
mod values;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tapline_analysis::lint::{Check, Confidence, Rule, RuleRef, Severity, Traits};
use tapline_capture::file;

use crate::catalogue::Catalogue;
use crate::config;
use crate::error::{CliError, Result};
pub(crate) use schema::Test;
use schema::{Document, Level, RuleText};

/// Bytes of a rule file.
const LONGEST: u64 = 1 << 20;
/// Rules of all files.
const RULES: usize = 500;

/// Rules that were read, and what they could not do.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// The rules, in the order of the files.
    pub(crate) rules: Vec<RuleRef>,
    /// Their tests, each with the file that it stands in.
    pub(crate) tests: Vec<(String, Test)>,
    /// The first thing that went wrong when a rule ran.
    failed: Arc<Mutex<Option<String>>>,
}

impl Own {
    /// The code of each rule.
    fn codes(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &*rule.code)
    }

    /// An error where a rule compared what cannot be compared, or the like.
    pub(crate) fn outcome(&self) -> Result<()> {
        let failed = self.failed.lock().ok().and_then(|mut it| it.take());
        failed.map_or(Ok(()), |why| {
            Err(CliError::new(why).hint("has(node.FIELD) asks whether a field is there"))
        })
    }
}

/// Reads files of rules, and the `*.yaml` of folders.
pub(crate) fn load(paths: &[PathBuf]) -> Result<Own> {
    let mut own = Own::default();
    let mut seen: BTreeSet<PathBuf> = BTreeSet::new();
    for path in paths {
        let files = file::list(path, &["yaml", "yml"])?;
        // Whoever names a folder has rules in it.
        if files.is_empty() {
            let name = config::shown(path);
            return Err(CliError::new(format!("{name}: there is no *.yaml in this folder"))
                .hint("files of rules end in .yaml; folders below it are not looked into"));
        }
        for file in files {
            // A file that the configuration and the command line name is one.
            if file.canonicalize().is_ok_and(|canonicalize| !seen.insert(canonicalize)) {
                continue;
            }
            let name = config::shown(&file);
            read(&name, &file::read_text(&file, LONGEST)?, &mut own)?;
        }
    }
    Ok(own)
}

fn read(name: &str, text: &str, own: &mut Own) -> Result<()> {
    let document: Document =
        serde_yaml::from_str(text).map_err(|error| explained(name, text, &error))?;
    for rule in document.rules {
        let code = rule.id.0.clone();
        if own.codes().any(|known| known == code) {
            return Err(CliError::new(format!("{name}: there are two rules {code}")));
        }
        if let Some(id) = &rule.name {
            let known = Catalogue::with(own.rules.iter().cloned());
            if let Some(other) = known.rules().find(|rule| rule.id == id.as_str()) {
                let message = format!("{name}: {code} and {} are both called `{id}`", other.code);
                return Err(CliError::new(message).hint("give it another `name`"));
            }
        }
        if own.rules.len() >= RULES {
            return Err(CliError::new(format!("{name}: more than {RULES} rules")));
        }
        let rule = make(rule, &own.failed);
        own.rules.push(rule);
    }
    for test in document.tests {
        for code in test.expect.keys() {
            if !own.codes().any(|known| known == code.0) {
                let known: Vec<_> = own.codes().collect();
                let error = CliError::new(format!("{name}: no rule is called `{}`", code.0));
                return Err(match crate::suggest::nearest(&code.0, known) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error,
                });
            }
        }
        own.tests.push((name.to_owned(), test));
    }
    Ok(())
}

/// Names in a condition are looked up when the rule is whole: their place is that of the word, in
/// or after the line in which the rule begins.
fn explained(name: &str, text: &str, error: &serde_yaml::Error) -> CliError {
    let message = error.to_string();
    let called = [("field", "no field is called `"), ("variable", "no variable is called `")];
    let found = called.iter().find_map(|(what, start)| {
        let (word, more) = message.split_once(start)?.1.split_once('`')?;
        Some((*what, word, more))
    });
    let place = found.zip(error.location()).and_then(|((_, word, _), rule)| {
        let mut lines = text.lines().enumerate().skip(rule.line().saturating_sub(1));
        lines.find_map(|(n, line)| Some((n + 1, whole_word(line, word)? + 1)))
    });
    match (found, place) {
        (Some((what, word, more)), Some((line, column))) => {
            let more = more.rfind(" at line ").and_then(|at| more.get(..at)).unwrap_or(more);
            CliError::new(format!("{name}:{line}:{column}: no {what} is called `{word}`{more}"))
        }
        _ => {
            let help = "docs/own-rules.md describes the keys";
            config::explained(name, error, help, &Catalogue::default())
        }
    }
}

/// Where a word stands in a line, in characters, and not as a part of a longer one.
fn whole_word(line: &str, word: &str) -> Option<usize> {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    line.match_indices(word).find_map(|(at, _)| {
        let (before, rest) = line.split_at_checked(at)?;
        let after = rest.get(word.len()..)?;
        let alone = !before.ends_with(part) && !after.starts_with(part);
        alone.then(|| before.chars().count())
    })
}

/// Makes the rule that the lint runs.
fn make(text: RuleText, failed: &Arc<Mutex<Option<String>>>) -> RuleRef {
    let code = text.id.0.clone();
    let id = text.name.clone().unwrap_or_else(|| code.to_lowercase());
    // The message has places for what it is about: it is no summary.
    let summary = text.summary.clone().unwrap_or_else(|| holds(&text));
    let failed = Arc::clone(failed);
    RuleRef::Own(Arc::new(Rule {
        page: page(&text, &id, &summary).into(),
        code: code.clone().into(),
        id: id.into(),
        summary: summary.into(),
        severity: match text.severity {
            Level::Error => Severity::Error,
            Level::Warning => Severity::Warning,
            Level::Info => Severity::Info,
        },
        confidence: Confidence::Proven,
        traits: Traits::NONE,
        check: Check::Own(Box::new(move |ctx, out| {
            if let Err(why) = eval::check(&text, ctx, out)
                && let Ok(mut failed) = failed.lock()
            {
                failed.get_or_insert(format!("rule {code}: {why}"));
            }
        })),
    }))
}

/// `each netdev for which node.mtu < 9000 holds`
fn holds(text: &RuleText) -> String {
    format!("each `{}` for which `{}` holds", text.kind.0, text.when.source())
}

/// What `explain` shows, and what becomes the help in SARIF.
fn page(text: &RuleText, id: &str, summary: &str) -> String {
    let holds = format!("E{}.", holds(text).trim_start_matches('e'));
    let what = if text.summary.is_some() { format!("{summary}\n\n{holds}") } else { holds };
    let mut page = format!("# {} {id}\n\n## What it finds\n\n{what}\n", text.id.0);
    if !text.next.is_empty() {
        page.push_str("\n## What to do\n\n");
        for it in &text.next {
            page.push_str(&format!("- `{}`\n", it.source));
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explain(text: &str) -> String {
        match read("r.yaml", text, &mut Own::default()) {
            Err(CliError::Fatal { message, hints }) => format!("{message} | {}", hints.join("; ")),
            other => panic!("no error: {other:?}"),
        }
    }

    fn rule(lines: &str) -> String {
        format!("rules:\n  - id: X-001\n    severity: warning\n    message: m\n{lines}")
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (lines, place, words) in [
            ("    match: netdevs\n    when: 'true'\n", "r.yaml:5:12: ", "did you mean `netdev`?"),
            ("    match: netdev\n    whne: 'true'\n", "r.yaml:6:5: ", "did you mean `when`?"),
            ("    match: netdev\n    when: node.mtu >\n", "r.yaml:6:11: ", "condition"),
            (
                "    match: netdev\n    when: node.mtuu > 1\n",
                "r.yaml:6:16: ",
                "did you mean `mtu`?",
            ),
            ("    match: netdev\n    when: nod.mtu > 1\n", "r.yaml:6:11: ", "did you mean `node`?"),
            (
                "    match: netdev\n    when: 'true'\n    related:\n      a: {edge: device}\n",
                "r.yaml:8:",
                "did you mean `device-of`?",
            ),
        ] {
            let told = explain(&rule(lines));
            assert!(told.starts_with(place) && told.contains(words), "{told}");
        }
    }

    #[test]
    fn codes_of_our_own_families_are_refused() {
        let text = rule("    match: netdev\n    when: 'true'\n").replace("X-001", "OVS-001");
        assert!(explain(&text).contains("built-in"), "{}", explain(&text));
    }
}
