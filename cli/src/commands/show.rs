//! `tapline show`.
use std::io::Write as _;

use tapline_analysis::lint;
use tapline_analysis::lint::paths::Marks;
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_topology::Topology;

use crate::args::Show;
use crate::error::{Result, Status};
use crate::render::{show, things};
use crate::terminal::{self, Terminal};
use crate::{find, pipeline};

/// So many things of one name are shown in full; more are listed.
const IN_FULL: usize = 6;

pub(crate) fn run(args: &Show, terminal: &Terminal) -> Result<Status> {
    let snapshot = pipeline::read(&args.inputs)
        .map_err(|error| error.hint("the name comes last: tapline show INPUT NAME"))?;
    let topology = pipeline::topology(&snapshot);
    let status = answer(args, &topology, terminal)?;
    Ok(status)
}

fn answer(args: &Show, topology: &Topology<'_>, terminal: &Terminal) -> Result<Status> {
    let mut out = terminal::out();
    let found = things::gather(topology, &find::find(topology, &args.name));
    if found.is_empty() {
        let near = find::near(topology, &args.name, 4);
        show::not_found(&mut out, topology, &args.name, &near, terminal)?;
        out.flush()?;
        return Ok(Status::Found);
    }
    if found.len() > IN_FULL && !args.all {
        show::list_things(&mut out, topology, &args.name, &found, terminal)?;
    } else {
        let environment = Environment::default();
        let network = Network::new(topology, None, &environment);
        let report = lint::run(topology, lint::rules::ALL, &lint::Settings::default());
        let marks = Marks::new(&network, &report);
        for (n, thing) in found.iter().enumerate() {
            if n > 0 {
                writeln!(out)?;
            }
            show::thing(&mut out, &marks, thing, &args.name, args.all, terminal)?;
        }
    }
    out.flush()?;
    Ok(Status::Clean)
}
