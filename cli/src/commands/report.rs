//! `tapline report`.
use std::io::Write as _;

use tapline_analysis::lint;
use tapline_network::Network;

use crate::args::Report;
use crate::config::{self, Loaded};
use crate::error::{Result, Status};
use crate::picture::{self, Wanted};
use crate::pipeline;
use crate::render::places::Places;
use crate::render::report::{self, Shown};
use crate::terminal::Terminal;

pub(crate) fn run(args: &Report, terminal: &Terminal) -> Result<Status> {
    let Loaded { mut config, own, catalogue } = config::load(&args.config, Some(&args.inputs))?;
    let chosen = catalogue.choose(&[], &config)?;
    let (snapshot, anonymous) = pipeline::read_with_words(&args.inputs, terminal)?;
    anonymous.translate(&mut config.settings);
    let topology = pipeline::topology_saying(&snapshot, &config.settings);
    let found = lint::run(&topology, &chosen.rules, &config.settings);
    own.outcome()?;
    terminal.progress.stop();
    let network = Network::new(&topology, None, &config.settings.env);
    let places = Places::of_captured(&snapshot.captured, false);
    let wanted = Wanted { nodes: None, focus: &[], unused: false, told: None };
    let picture = picture::draw(&network, &found, &places, &wanted);
    let shown = Shown { network: &network, report: &found, picture: &picture, places: &places };
    let mut out = terminal.out();
    report::render(&mut out, &shown)?;
    out.flush()?;
    Ok(Status::Clean)
}
