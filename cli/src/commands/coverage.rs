//! `tapline coverage`.
use std::io::Write as _;

use tapline_analysis::lint;

use crate::args::{Coverage, TextOrJson};
use crate::config::{self, Loaded};
use crate::error::{Result, Status};
use crate::pipeline;
use crate::render::{coverage, coverage_json, coverage_text};
use crate::terminal::Terminal;

pub(crate) fn run(args: &Coverage, terminal: &Terminal) -> Result<Status> {
    let Loaded { mut config, own, catalogue } = config::load(&args.config, Some(&args.inputs))?;
    let chosen = catalogue.choose(&[], &config)?;
    let (snapshot, anonymous) = pipeline::read_with_words(&args.inputs, terminal)?;
    anonymous.translate(&mut config.settings);
    let topology = pipeline::topology(&snapshot);
    let report = lint::run(&topology, &chosen.rules, &config.settings);
    own.outcome()?;
    let hosts = coverage::hosts(&topology, &report);
    let mut out = terminal.out();
    match args.format {
        TextOrJson::Text => coverage_text::render(&mut out, &snapshot, &hosts, args.all, terminal)?,
        TextOrJson::Json => coverage_json::render(&mut out, &snapshot, &hosts)?,
    }
    out.flush()?;
    Ok(Status::Clean)
}
