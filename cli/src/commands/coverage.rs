//! `tapline coverage`.
use std::io::Write as _;

use tapline_analysis::lint::rules::ALL;

use crate::args::{Coverage, TextOrJson};
use crate::error::{Result, Status};
use crate::pipeline;
use crate::render::{coverage, coverage_json, coverage_text};
use crate::terminal::{self, Terminal};

pub(crate) fn run(args: &Coverage, terminal: &Terminal) -> Result<Status> {
    let snapshot = pipeline::read(&args.inputs)?;
    let topology = pipeline::topology(&snapshot);
    let report = pipeline::lint(&topology, ALL);
    let hosts = coverage::hosts(&topology, &report);
    let mut out = terminal::out();
    match args.format {
        TextOrJson::Text => coverage_text::render(&mut out, &snapshot, &hosts, terminal)?,
        TextOrJson::Json => coverage_json::render(&mut out, &snapshot, &hosts)?,
    }
    out.flush()?;
    Ok(Status::Clean)
}
