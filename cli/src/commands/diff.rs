//! `tapline diff`.
use std::io::Write as _;
use std::path::PathBuf;

use tapline_analysis::diff::{self, Side};
use tapline_analysis::lint::{self, Settings};
use tapline_core::capture::Snapshot;
use tapline_network::Network;

use crate::args::{Diff, DiffFormat, Inputs};
use crate::error::{CliError, Result, Status};
use crate::pipeline;
use crate::render::diff::Compared;
use crate::render::{diff_json, diff_markdown, diff_text};
use crate::terminal::{Terminal, remark};

pub(crate) fn run(args: &Diff, terminal: &Terminal) -> Result<Status> {
    let (old, new) = inputs(args)?;
    let old = read(args, old, terminal)?;
    let new = read(args, new, terminal)?;
    let settings = Settings::default();
    let (was, is) = rayon::join(|| pipeline::topology(&old), || pipeline::topology(&new));
    let judge = |topology| lint::run(topology, lint::rules::ALL, &settings);
    let (before, after) = rayon::join(|| judge(&was), || judge(&is));
    let old_network = Network::new(&was, None, &settings.env);
    let new_network = Network::new(&is, None, &settings.env);
    let sides = [Side::new(&old_network, &before), Side::new(&new_network, &after)];
    let [old_side, new_side] = &sides;
    let diff = diff::compare(old_side, new_side, args.by.into());
    let compared = Compared { diff: &diff, sides: [old_side, new_side], all: args.all };
    let mut out = terminal.out();
    match args.format {
        DiffFormat::Text => diff_text::render(&mut out, &compared, terminal)?,
        DiffFormat::Markdown => diff_markdown::render(&mut out, &compared)?,
        DiffFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &diff_json::document(&compared))?;
            writeln!(out)?;
        }
    }
    out.flush()?;
    drop(out);
    if !diff.is_comparable() {
        // The report for people says it itself.
        if !terminal.quiet && args.format == DiffFormat::Json {
            remark(&format!("not comparable: {}", compared.why_not_comparable()));
        }
        return Ok(Status::Unread);
    }
    let least = args.fail_on.threshold();
    let worst = diff.worst();
    let fails = least.is_some_and(|least| worst.is_some_and(|worst| worst >= least));
    Ok(if fails { Status::Found } else { Status::Clean })
}

/// The inputs of each side: two words, or what `--old` and `--new` name.
fn inputs(args: &Diff) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut old, mut new) = (args.old.clone(), args.new.clone());
    match args.paths.as_slice() {
        [] => {}
        [before, after] => {
            old.insert(0, before.clone());
            new.insert(0, after.clone());
        }
        [one] if old.is_empty() => old.push(one.clone()),
        [one] if new.is_empty() => new.push(one.clone()),
        _ => {
            return Err(CliError::new("a word beside --old and --new is on neither side")
                .hint("tapline diff OLD NEW, or --old INPUT … --new INPUT …"));
        }
    }
    if old.is_empty() || new.is_empty() {
        let missing =
            if old.is_empty() { "OLD, the captures of before" } else { "NEW, the captures of now" };
        return Err(CliError::new(format!("{missing}, is missing: nothing to compare with"))
            .hint("tapline diff OLD NEW, or --old INPUT … --new INPUT …"));
    }
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    if old.iter().chain(&new).filter(|path| is_stdin(path)).count() > 1 {
        return Err(CliError::new("standard input can be one input only"));
    }
    Ok((old, new))
}

fn read(args: &Diff, paths: Vec<PathBuf>, terminal: &Terminal) -> Result<Snapshot> {
    let inputs = Inputs { paths, command: None, host: None, limits: args.limits };
    pipeline::read(&inputs, terminal)
}
