//! `tapline info`.
use std::io::Write as _;

use tapline_analysis::lint;
use tapline_network::Network;
use tapline_network::environment::Environment;

use crate::args::{Info, TextOrJson};
use crate::error::{Result, Status};
use crate::render::info;
use crate::render::places::Places;
use crate::terminal::Terminal;
use crate::{overview, pipeline};

pub(crate) fn run(args: &Info, terminal: &Terminal) -> Result<Status> {
    let snapshot = pipeline::read(&args.inputs, terminal)?;
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let hosts = overview::hosts(&network, &report);
    let mut out = terminal.out();
    match args.format {
        TextOrJson::Text => {
            let places = Places::new(&snapshot, terminal);
            for (n, host) in hosts.iter().enumerate() {
                if n > 0 {
                    writeln!(out)?;
                }
                info::text(&mut out, host, &places, terminal)?;
            }
        }
        TextOrJson::Json => info::json(&mut out, &hosts)?,
    }
    out.flush()?;
    Ok(Status::Clean)
}
