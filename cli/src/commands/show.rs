//! `tapline show`.
use std::io::Write as _;
use std::path::Path;

use tapline_analysis::lint;
use tapline_analysis::lint::paths::Marks;
use tapline_network::Network;
use tapline_network::environment::Environment;

use crate::addresses::Addresses;
use crate::args::{Show, TextOrJson};
use crate::error::{CliError, Result, Status};
use crate::find::Found;
use crate::render::places::Places;
use crate::render::show::{self, Asked, IN_FULL};
use crate::render::{show_json, things};
use crate::terminal::Terminal;
use crate::{find, pipeline};

pub(crate) fn run(args: &Show, terminal: &Terminal) -> Result<Status> {
    let read = pipeline::read_with_words(&args.inputs, terminal);
    let (snapshot, anonymous) = read.map_err(|error| hint(args, error))?;
    let name = anonymous.word(&args.name);
    let topology = pipeline::topology(&snapshot);
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let marks = Marks::new(&network, &report);
    let addresses = Addresses::new(&network);
    let Found { nodes, because } = find::look(&network, &addresses, &name);
    let found = things::gather(&topology, &nodes);
    let places = Places::new(&snapshot, terminal);
    let asked = Asked {
        marks: &marks,
        report: &report,
        addresses: &addresses,
        places: &places,
        wanted: &name,
        all: args.all,
        terminal,
    };
    let mut out = terminal.out();
    let near = if found.is_empty() { find::near(&topology, &name, 4) } else { Vec::new() };
    match args.format {
        TextOrJson::Json => show_json::json(&mut out, &asked, &found, &because, &near)?,
        TextOrJson::Text if found.is_empty() => {
            show::not_found(&mut out, &asked, &near)?;
            if Path::new(&args.name).exists() {
                let hint = "this is an input, and the name comes last; tapline info tells of hosts";
                writeln!(out, "hint: {hint}")?;
            }
        }
        TextOrJson::Text => {
            if found.len() > 1 || !because.is_empty() {
                show::list_things(&mut out, &asked, &found, &because)?;
            }
            if found.len() <= IN_FULL || args.all {
                for (n, thing) in found.iter().enumerate() {
                    if n > 0 || found.len() > 1 || !because.is_empty() {
                        writeln!(out)?;
                    }
                    show::thing(&mut out, &asked, thing)?;
                }
            }
        }
    }
    out.flush()?;
    Ok(if found.is_empty() { Status::Found } else { Status::Clean })
}

/// What to do where an input cannot be read: it may be the name.
fn hint(args: &Show, error: CliError) -> CliError {
    let is_there = |path: &Path| path.exists() || path.as_os_str() == "-";
    let name = args.inputs.paths.iter().find(|path| !is_there(path));
    match name {
        Some(name) if Path::new(&args.name).exists() => error.hint(format!(
            "the name comes last: tapline show {} {}",
            args.name,
            name.display()
        )),
        _ => error.hint("the name comes last: tapline show INPUT NAME"),
    }
}
