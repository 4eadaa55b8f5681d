//! `tapline verify`.
use std::io::Write as _;

use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::Tracer;

use crate::args::{TextOrJson, Verify};
use crate::error::{Result, Status};
use crate::pipeline;
use crate::render::verify;
use crate::terminal::{self, Terminal};

pub(crate) fn run(args: &Verify, terminal: &Terminal) -> Result<Status> {
    let snapshot = pipeline::read(&args.inputs, terminal)?;
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let all = Tracer::new(&network).verify();
    let mut out = terminal.out();
    match args.format {
        TextOrJson::Text => verify::text(&mut out, &topology, &all)?,
        TextOrJson::Json => {
            serde_json::to_writer_pretty(&mut out, &verify::document(&topology, &all))?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    if !all.is_captured {
        if matches!(args.format, TextOrJson::Json) && !terminal.quiet {
            terminal::remark(verify::UNCAPTURED);
        }
        return Ok(Status::Open);
    }
    Ok(if all.disagree.is_empty() { Status::Clean } else { Status::Found })
}
