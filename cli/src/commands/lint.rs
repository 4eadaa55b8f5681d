//! `tapline lint`.
use std::io::Write as _;

use tapline_analysis::lint::Rule;
use tapline_analysis::lint::rules::ALL;

use crate::args::{Lint, LintFormat};
use crate::commands::explain;
use crate::error::{CliError, Result, Status};
use crate::render::{github, junit, lint_json, lint_text, paths, sarif};
use crate::terminal::{self, Terminal};
use crate::{baseline, config, own, pipeline, render};

pub(crate) fn run(args: &Lint, terminal: &Terminal) -> Result<Status> {
    let mut config = config::load(&args.config, &args.inputs)?;
    let select = if args.select.is_empty() { &config.select } else { &args.select };
    let ignore = [config.ignore.as_slice(), &args.ignore].concat();
    let own = own::load(&args.own)?;
    let mut rules = choose(select, &ignore)?;
    if let Some(path) = &args.baseline {
        config.settings.baseline = Some(baseline::read(path)?);
    }
    let snapshot = pipeline::read(&args.inputs)?;
    let topology = pipeline::topology(&snapshot);
    let mut report = pipeline::lint_own(&topology, &rules, &own.rules, &config.settings);
    own.outcome()?;
    rules.extend(own.statics());
    if let Some(path) = &args.write_baseline {
        let count = baseline::write(path, &snapshot, &report)?;
        for it in &mut report.findings {
            it.baseline = true;
        }
        if !terminal.quiet {
            let count = render::count(count, "finding");
            terminal::remark(&format!("wrote {count} to {}", path.display()));
        }
    }
    let least = args.fail_on.threshold();
    let mut out = terminal::out();
    match args.format {
        LintFormat::Text => {
            let shown =
                lint_text::Shown { configuration: config.path.as_deref(), consequences: args.all };
            lint_text::render(&mut out, &topology, &report, shown, terminal)?;
            if args.paths {
                paths::render(&mut out, &topology, &report, terminal.stdout())?;
            }
        }
        LintFormat::Json => lint_json::render(&mut out, &topology, &report)?,
        LintFormat::Sarif => {
            let compared = args.baseline.is_some() || args.write_baseline.is_some();
            sarif::render(&mut out, &snapshot, &report, &rules, compared)?;
        }
        LintFormat::Junit => junit::render(&mut out, &snapshot, &report, &rules, least)?,
        LintFormat::Github => github::render(&mut out, &snapshot, &report)?,
    }
    out.flush()?;
    let mut open = report.findings.iter().filter(|it| it.is_open());
    let fails = least.is_some_and(|least| open.any(|it| it.severity >= least));
    Ok(if fails { Status::Found } else { Status::Clean })
}

/// The rules to run: all or the selected, without the ignored.
fn choose(select: &[String], ignore: &[String]) -> Result<Vec<&'static Rule>> {
    for word in select.iter().chain(ignore) {
        if !ALL.iter().any(|rule| matches(rule, word)) {
            return Err(explain::unknown(word));
        }
    }
    let named = |words: &[String], rule: &Rule| words.iter().any(|word| matches(rule, word));
    let rules: Vec<_> = ALL
        .iter()
        .copied()
        .filter(|rule| select.is_empty() || named(select, rule))
        .filter(|rule| !named(ignore, rule))
        .collect();
    if rules.is_empty() && !ALL.is_empty() {
        return Err(CliError::new("--select and --ignore leave no rule to run"));
    }
    Ok(rules)
}

/// A word names a rule by its code, its id, or the family that its code starts with.
pub(crate) fn matches(rule: &Rule, word: &str) -> bool {
    let family = rule.code.split_once('-').map_or("", |(family, _)| family);
    [rule.code, rule.id, family].iter().any(|it| it.eq_ignore_ascii_case(word))
}
