//! `tapline reach`.
use std::io::Write as _;

use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::Tracer;

use crate::args::{Reach, ReachFormat};
use crate::error::{Result, Status};
use crate::pipeline;
use crate::render::reach;
use crate::terminal::{self, Terminal};

pub(crate) fn run(args: &Reach, terminal: &Terminal) -> Result<Status> {
    let snapshot = pipeline::read(&args.inputs)?;
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    let rows = tracer.reach(args.only.as_deref());
    let mut out = terminal::out();
    match args.format {
        ReachFormat::Text => reach::text(&mut out, &topology, &rows, terminal)?,
        ReachFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &reach::document(&topology, &rows))?;
            writeln!(out)?;
        }
        ReachFormat::Junit => reach::junit(&mut out, &topology, &rows)?,
    }
    out.flush()?;
    let cells = || {
        let own = rows.iter().flat_map(|row| row.cells.iter().map(|(_, cell)| cell));
        own.chain(rows.iter().flat_map(|row| row.peers.iter().map(|peer| &peer.cell)))
    };
    Ok(if cells().any(|cell| cell.reached == Some(false)) {
        Status::Found
    } else if cells().any(|cell| cell.reached.is_none()) {
        Status::Open
    } else {
        Status::Clean
    })
}
