//! `tapline diff`.
use std::io::Write as _;
use std::path::{Path, PathBuf};

use tapline_analysis::diff::{self, By, Class, Kept, Side};
use tapline_analysis::lint::{self, Report, Settings};
use tapline_core::capture::Snapshot;
use tapline_network::Network;

use crate::anonymous::Anonymous;
use crate::args::{Diff, DiffFormat, Inputs, Limits};
use crate::error::{CliError, Result, Status};
use crate::golden;
use crate::picture;
use crate::pipeline;
use crate::render::diff::Compared;
use crate::render::places::Places;
use crate::render::{diff_html, diff_json, diff_markdown, diff_text, picture_svg};
use crate::terminal::{Terminal, remark};

/// What is asked of two sides.
#[derive(Clone, Copy)]
pub(crate) struct Question {
    pub(crate) by: By,
    pub(crate) format: DiffFormat,
    /// The least class that makes the exit status 1.
    pub(crate) least: Option<Class>,
    pub(crate) all: bool,
}

pub(crate) fn run(args: &Diff, terminal: &Terminal) -> Result<Status> {
    let (old, new) = inputs(args)?;
    let old = read(old, args.limits, terminal)?;
    let new = read(new, args.limits, terminal)?;
    let (old, new) = replaced(old, new, args.anonymize.as_deref(), terminal)?;
    let question = Question {
        by: args.by.into(),
        format: args.format,
        least: args.fail_on.threshold(),
        all: args.all,
    };
    compare(&old, &new, question, terminal)
}

/// Compares two sides and writes what differs.
pub(crate) fn compare(
    old: &Read,
    new: &Read,
    question: Question,
    terminal: &Terminal,
) -> Result<Status> {
    let settings = Settings::default();
    let (was, is) =
        rayon::join(|| pipeline::topology(&old.snapshot), || pipeline::topology(&new.snapshot));
    // What was written down is not judged: nothing of it was captured.
    let judge = |of: &Read, topology| match of.kept {
        None => lint::run(topology, lint::rules::ALL, &settings),
        Some(_) => Report::default(),
    };
    let (before, after) = rayon::join(|| judge(old, &was), || judge(new, &is));
    let old_network = Network::new(&was, None, &settings.env);
    let new_network = Network::new(&is, None, &settings.env);
    let side = |of: &Read, network, report| match &of.kept {
        None => Side::new(network, report),
        Some(kept) => Side::of_kept(network, report, kept.clone()),
    };
    let sides = [side(old, &old_network, &before), side(new, &new_network, &after)];
    let [old_side, new_side] = &sides;
    let diff = diff::compare(old_side, new_side, question.by);
    let compared = Compared { diff: &diff, sides: [old_side, new_side], all: question.all };
    let is_drawn = matches!(question.format, DiffFormat::Svg | DiffFormat::Html);
    if is_drawn && !diff.is_comparable() {
        return Err(CliError::new(format!(
            "nothing was compared: {}",
            compared.why_not_comparable()
        )));
    }
    if is_drawn && compared.limits().is_some() {
        return Err(CliError::new(
            "a picture needs captures on both sides, and a snapshot is none",
        ));
    }
    let [old_places, new_places] =
        [0, 1].map(|side| Places::of_captured(&compared.topology(side).snapshot.captured, false));
    let picture = || picture::draw_compared(&compared, [&old_places, &new_places]);
    let mut out = terminal.out();
    match question.format {
        DiffFormat::Text => diff_text::render(&mut out, &compared, terminal)?,
        DiffFormat::Markdown => diff_markdown::render(&mut out, &compared)?,
        DiffFormat::Json => {
            serde_json::to_writer_pretty(&mut out, &diff_json::document(&compared))?;
            writeln!(out)?;
        }
        DiffFormat::Svg => picture_svg::render(&mut out, &picture())?,
        DiffFormat::Html => diff_html::render(&mut out, &compared, &picture())?,
    }
    out.flush()?;
    drop(out);
    if !diff.is_comparable() {
        // The report for people says it itself.
        if !terminal.quiet && question.format == DiffFormat::Json {
            remark(&format!("not comparable: {}", compared.why_not_comparable()));
        }
        return Ok(Status::Unread);
    }
    let worst = diff.worst();
    let fails = question.least.is_some_and(|least| worst.is_some_and(|worst| worst >= least));
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

/// One side: what was captured, or what a snapshot says.
pub(crate) struct Read {
    snapshot: Snapshot,
    kept: Option<Vec<Kept>>,
}

impl Read {
    /// What was captured.
    pub(crate) fn captured(inputs: &Inputs, terminal: &Terminal) -> Result<Self> {
        Ok(Self { snapshot: pipeline::read_as_it_is(inputs, terminal)?, kept: None })
    }

    /// What `tapline snapshot` wrote.
    pub(crate) fn golden(path: &Path) -> Result<Self> {
        let golden = golden::read(path)?;
        Ok(Self { snapshot: golden.snapshot, kept: Some(golden.kept) })
    }
}

/// Both sides with the same substitutes.
pub(crate) fn replaced(
    old: Read,
    new: Read,
    key: Option<&str>,
    terminal: &Terminal,
) -> Result<(Read, Read)> {
    if key.is_some() && (old.kept.is_some() || new.kept.is_some()) {
        return Err(CliError::new("what `tapline snapshot` wrote is compared as it is")
            .hint("--anonymize is for captures: compare those, or leave it out"));
    }
    let (mut both, _) = Anonymous::of(vec![old.snapshot, new.snapshot], key, terminal);
    let new = Read { snapshot: both.pop().unwrap_or_default(), kept: new.kept };
    Ok((Read { snapshot: both.pop().unwrap_or_default(), kept: old.kept }, new))
}

fn read(paths: Vec<PathBuf>, limits: Limits, terminal: &Terminal) -> Result<Read> {
    if let Some(path) = paths.iter().find(|path| golden::is_one(path)) {
        if paths.len() > 1 {
            let message = format!("{} is a snapshot, which is a side by itself", path.display());
            return Err(
                CliError::new(message).hint("`tapline snapshot` writes several hosts into one")
            );
        }
        return Read::golden(path);
    }
    Read::captured(&Inputs { paths, command: None, host: None, anonymize: None, limits }, terminal)
}
