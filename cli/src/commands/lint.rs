//! `tapline lint`.
use std::io::Write as _;

use tapline_analysis::lint;

use crate::args::{FailOn, Lint, LintFormat};
use crate::config::{self, Loaded};
use crate::error::{Result, Status};
use crate::render::about::About;
use crate::render::{github, junit, lint_json, lint_text, paths, sarif};
use crate::terminal::{self, Terminal};
use crate::{baseline, honesty, pipeline, render};

pub(crate) fn run(args: &Lint, terminal: &Terminal) -> Result<Status> {
    let Loaded { mut config, own, catalogue } = config::load(&args.config, Some(&args.inputs))?;
    config.ignore.extend(args.ignore.iter().cloned());
    let chosen = catalogue.choose(&args.select, &config)?;
    if let Some(path) = &args.baseline {
        config.settings.baseline = Some(baseline::read(path)?);
    }
    let snapshot = pipeline::read(&args.inputs)?;
    let topology = pipeline::topology_saying(&snapshot, &config.settings);
    let mut report = lint::run(&topology, &chosen.rules, &config.settings);
    own.outcome()?;
    let rules = &chosen.rules;
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
    let least = args.fail_on.or(config.fail_on).unwrap_or(FailOn::Error).threshold();
    let about = About::of(&config, &chosen, &report);
    let mut out = terminal::out();
    match args.format {
        LintFormat::Text => {
            let shown = lint_text::Shown { about: &about, consequences: args.all };
            lint_text::render(&mut out, &topology, &report, shown, terminal)?;
            if args.paths {
                paths::render(&mut out, &topology, &report, terminal.stdout())?;
            }
        }
        LintFormat::Json => lint_json::render(&mut out, &topology, &report, &about)?,
        LintFormat::Sarif => {
            let compared = args.baseline.is_some() || args.write_baseline.is_some();
            sarif::render(&mut out, &snapshot, &report, rules, compared)?;
        }
        LintFormat::Junit => junit::render(&mut out, &snapshot, &report, rules, least)?,
        LintFormat::Github => github::render(&mut out, &snapshot, &report)?,
    }
    out.flush()?;
    // The report for people says it itself.
    if !matches!(args.format, LintFormat::Text) && !terminal.quiet {
        about.remarks().iter().for_each(|it| terminal::remark(it));
    }
    let mut open = report.findings.iter().filter(|finding| finding.is_open());
    let fails = least.is_some_and(|least| open.any(|open| open.severity >= least));
    let strict = args.strict && honesty::is_unread(&snapshot);
    if strict && !fails && !terminal.quiet {
        terminal::remark(
            "not all of the input was read, or not wholly: --strict ends with status 2",
        );
    }
    let unread = strict || !honesty::is_usable(&snapshot) || honesty::is_damaged(&snapshot);
    // The process ends now: giving millions of small pieces of memory back one by one helps nobody.
    std::mem::forget(topology);
    std::mem::forget(snapshot);
    Ok(match (fails, unread) {
        (true, _) => Status::Found,
        (false, true) => Status::Unread,
        (false, false) => Status::Clean,
    })
}
