//! `tapline reach`.
use std::io::Write as _;
use std::sync::Arc;

use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Row, Tracer, Without, granted};
use tapline_topology::Topology;

use crate::args::{Reach, ReachFormat};
use crate::error::{Result, Status};
use crate::render::reach::{self, Lost};
use crate::terminal::{self, Terminal};
use crate::{pipeline, without};

pub(crate) fn run(args: &Reach, terminal: &Terminal) -> Result<Status> {
    let (snapshot, anonymous) = pipeline::read_with_words(&args.inputs, terminal)?;
    let only = args.only.as_ref().map(|name| anonymous.word(name));
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    let rows = tracer.reach(only.as_deref());
    let lost = match &args.without {
        Some(word) => {
            Some(without(&anonymous.word(word), &topology, &tracer, only.as_deref(), &rows)?)
        }
        None => None,
    };
    let shown = lost.as_ref().map_or(&rows, |lost| &lost.rows);
    let granted = granted(&network, shown);
    let mut out = terminal.out();
    match args.format {
        ReachFormat::Text => {
            reach::text(&mut out, &topology, shown, lost.as_ref(), &granted, terminal)?;
        }
        ReachFormat::Json => {
            let document = reach::document(&topology, shown, lost.as_ref(), &granted);
            serde_json::to_writer_pretty(&mut out, &document)?;
            writeln!(out)?;
        }
        ReachFormat::Junit => reach::junit(&mut out, &topology, shown)?,
    }
    out.flush()?;
    if rows.is_empty() {
        if !matches!(args.format, ReachFormat::Text) && !terminal.quiet {
            terminal::remark(reach::NOBODY);
        }
        return Ok(Status::Open);
    }
    // Without something only what is lost with it counts.
    let counted = lost.as_ref().map_or(&rows, |lost| &lost.broken);
    let cells = || {
        let own = counted.iter().flat_map(|row| row.cells.iter().map(|(_, cell)| cell));
        own.chain(counted.iter().flat_map(|row| row.peers.iter().map(|peer| &peer.cell)))
    };
    Ok(if cells().any(|cell| cell.reached == Some(false)) {
        Status::Found
    } else if cells().any(|cell| cell.reached.is_none()) {
        Status::Open
    } else {
        Status::Clean
    })
}

/// Asks again without something.
fn without(
    word: &str,
    topology: &Topology<'_>,
    tracer: &Tracer<'_, '_>,
    only: Option<&str>,
    before: &[Row],
) -> Result<Lost> {
    let refuse = |error| without::refuse(topology, &error);
    let key = without::key(topology, word).map_err(refuse)?;
    let without = Arc::new(Without::new(tracer.network(), &key).map_err(refuse)?);
    let rows = tracer.reach_without(only, Some(&without));
    let broken = reach::lost(before, &rows);
    Ok(Lost { key, name: without.name.clone(), rows, broken })
}
