//! `tapline lint`.
use std::io::Write as _;

use tapline_analysis::lint;
use tapline_network::Network;

use crate::args::{FailOn, Lint, LintFormat};
use crate::config::{self, Loaded};
use crate::error::{CliError, Result, Status};
use crate::render::about::About;
use crate::render::{concise, github, junit, lint_json, lint_text, markdown, paths, sarif};
use crate::terminal::{self, Out, Terminal};
use crate::{baseline, honesty, pipeline, render};

pub(crate) fn run(args: &Lint, terminal: &Terminal) -> Result<Status> {
    let Loaded { mut config, own, catalogue } = config::load(&args.config, Some(&args.inputs))?;
    config.ignore.extend(args.ignore.iter().cloned());
    let chosen = catalogue.choose(&args.select, &config)?;
    if let Some(path) = &args.baseline {
        config.settings.baseline = Some(baseline::read(path)?);
    }
    let (snapshot, anonymous) = pipeline::read_with_words(&args.inputs, terminal)?;
    anonymous.translate(&mut config.settings);
    let topology = pipeline::topology_saying(&snapshot, &config.settings);
    let mut report = lint::run(&topology, &chosen.rules, &config.settings);
    own.outcome()?;
    let rules = &chosen.rules;
    terminal.progress.stop();
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
    let network = Network::new(&topology, None, &config.settings.env);
    let mut out = terminal.out();
    let written = Run { args, network: &network, report: &report, about: &about, rules, least };
    match written.write(&mut out, terminal) {
        // Whoever closes the pipe has seen enough: what was found stays.
        Err(CliError::BrokenPipe) => {}
        written => written?,
    }
    drop(out);
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

/// What a run found, and how it is to be told.
struct Run<'r, 'a> {
    args: &'r Lint,
    network: &'r Network<'a>,
    report: &'r lint::Report,
    about: &'r About,
    rules: &'r [lint::RuleRef],
    least: Option<lint::Severity>,
}

impl Run<'_, '_> {
    fn write(&self, out: &mut Out, terminal: &Terminal) -> Result<()> {
        let Self { args, network, report, about, rules, least } = self;
        let topology = network.topology;
        let snapshot = topology.snapshot;
        match args.format {
            LintFormat::Text => {
                let shown = lint_text::Shown { about, consequences: args.all };
                lint_text::render(out, network, report, shown, terminal)?;
                if args.paths {
                    paths::render(out, topology, report, args.all, terminal.stdout())?;
                }
            }
            LintFormat::Concise => concise::render(out, snapshot, report, args.all, terminal)?,
            LintFormat::Markdown => markdown::render(out, network, report, args.all, terminal)?,
            LintFormat::Json => lint_json::render(out, topology, report, about)?,
            LintFormat::Sarif => {
                let compared = args.baseline.is_some() || args.write_baseline.is_some();
                sarif::render(out, snapshot, report, rules, compared)?;
            }
            LintFormat::Junit => junit::render(out, snapshot, report, rules, *least)?,
            LintFormat::Github => github::render(out, snapshot, report)?,
        }
        Ok(out.flush()?)
    }
}
