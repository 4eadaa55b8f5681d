//! What most commands share: open, read, join, judge.
use std::path::{Path, PathBuf};

use tapline_analysis::lint::Settings;
use tapline_capture::{CaptureError, Input, Options};
use tapline_core::capture::{Command, Snapshot};
use tapline_formats::registry;
use tapline_topology::Topology;

use crate::anonymous::Anonymous;
use crate::args::{Inputs, Limits};
use crate::error::{CliError, Result};
use crate::render::count;
use crate::suggest;
use crate::terminal::Terminal;

/// Opens and reads the inputs.
///
/// An input in which nothing at all was recognised is an error, not an empty result: silence
/// would look like health.
pub(crate) fn read(inputs: &Inputs, terminal: &Terminal) -> Result<Snapshot> {
    Ok(read_with_words(inputs, terminal)?.0)
}

/// The same, and how to understand what a person says of it.
pub(crate) fn read_with_words(
    inputs: &Inputs,
    terminal: &Terminal,
) -> Result<(Snapshot, Anonymous)> {
    let snapshot = read_as_it_is(inputs, terminal)?;
    let (mut snapshots, anonymous) =
        Anonymous::of(vec![snapshot], inputs.anonymize.as_deref(), terminal);
    Ok((snapshots.pop().unwrap_or_default(), anonymous))
}

/// The same, before anything is replaced.
pub(crate) fn read_as_it_is(inputs: &Inputs, terminal: &Terminal) -> Result<Snapshot> {
    let command = inputs.command.as_deref().map(Command::new);
    if command.as_ref().is_some_and(|command| command.argv.is_empty()) {
        return Err(CliError::new("--as needs a command, such as 'ip address'"));
    }
    if inputs.host.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(CliError::new("--host needs the name of a host"));
    }
    let host = inputs.host.as_ref().map(|name| name.trim().to_owned());
    // A folder has many outputs; only one of them could be that of the command.
    if let Some(folder) = inputs.paths.iter().find(|path| command.is_some() && path.is_dir()) {
        let message = format!("--as is for one output, and {} is a folder", folder.display());
        return Err(CliError::new(message).hint("give the file, or the folder without --as"));
    }
    terminal.progress.say(|| reading(&inputs.paths));
    let tally = terminal.progress.tally();
    let options = Options { command, host, limits: limits(inputs.limits), tally };
    let paths: Vec<Input> = inputs.paths.iter().map(|path| input(path)).collect();
    let captured = match tapline_capture::open(&paths, &options) {
        Ok(captured) => captured,
        Err(CaptureError::Nothing { path, why }) => {
            // What was found, then what would be read: the second half is what to do.
            let half = why.find("; tapline reads ");
            let (found, reads) = half.and_then(|at| why.split_at_checked(at)).unwrap_or((&why, ""));
            let reads = reads.trim_start_matches("; ");
            let error = CliError::new(format!("{}: {found}", path.display()));
            let known = inputs.command.is_some() || reads.is_empty();
            return Err(if known { hint(inputs, error) } else { error.hint(reads) });
        }
        Err(error) => return Err(error.into()),
    };
    if !captured.sources.iter().any(|source| source.format.is_some()) {
        return Err(nothing_recognised(inputs, &captured));
    }
    terminal.progress.say(|| {
        let texts = count(captured.sources.len(), "text");
        let hosts = count(captured.hosts.len(), "host");
        let bytes = captured.inputs.iter().map(|input| input.kept_bytes).sum();
        format!("joining and judging {texts} of {hosts}, {}", size(bytes))
    });
    Ok(tapline_formats::read(captured))
}

/// `reading sos.tar.xz (9 MB)`
fn reading(paths: &[PathBuf]) -> String {
    let bytes: u64 = paths
        .iter()
        .filter_map(|path| path.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum();
    let what = match paths {
        [only] => only.display().to_string(),
        several => count(several.len(), "input"),
    };
    if bytes > 0 { format!("reading {what} ({})", size(bytes)) } else { format!("reading {what}") }
}

/// `12 MB`: whole units of two powers.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0..0x10_0000 => format!("{} kB", bytes >> 10),
        0x10_0000..0x4000_0000 => format!("{} MB", bytes >> 20),
        _ => format!("{} GB", bytes >> 30),
    }
}

/// Joins what was read.
pub(crate) fn topology(snapshot: &Snapshot) -> Topology<'_> {
    tapline_topology::build(snapshot)
}

/// The same, with what a person said of the machines.
pub(crate) fn topology_saying<'a>(snapshot: &'a Snapshot, settings: &Settings) -> Topology<'a> {
    tapline_topology::build_saying(snapshot, &settings.env.same_host)
}

/// Reads a text that stands in a file of rules.
pub(crate) fn read_text(name: &str, text: &str) -> Result<Snapshot> {
    let text = Input::Text(name.to_owned(), text.to_owned());
    let captured = tapline_capture::open(&[text], &Options::default())?;
    Ok(tapline_formats::read(captured))
}

fn input(path: &Path) -> Input {
    if path.as_os_str() == "-" { Input::Stdin } else { Input::Path(path.to_owned()) }
}

fn limits(args: Limits) -> tapline_capture::Limits {
    let default = tapline_capture::Limits::default();
    tapline_capture::Limits {
        member_bytes: args.member_size.map_or(default.member_bytes, |size| size.0),
        kept_bytes: args.kept_size.map_or(default.kept_bytes, |size| size.0),
        members: args.members.unwrap_or(default.members),
        nesting: args.nesting.unwrap_or(default.nesting),
        ratio: args.ratio.unwrap_or(default.ratio),
    }
}

/// The inputs could be opened, but hold no output of a command that tapline knows.
fn nothing_recognised(inputs: &Inputs, captured: &tapline_core::capture::Captured) -> CliError {
    let names: Vec<_> = inputs.paths.iter().map(|path| path.display().to_string()).collect();
    let error = CliError::new(format!(
        "{}: nothing in it is the output of a command that tapline knows",
        names.join(", ")
    ));
    let error = captured.problems.iter().take(3).fold(error, |error, it| {
        error.hint(format!("{}: {}", crate::render::place(&it.archive, &it.member), it.message))
    });
    hint(inputs, error)
}

/// What to try where nothing was recognised.
fn hint(inputs: &Inputs, error: CliError) -> CliError {
    let Some(command) = &inputs.command else {
        return error.hint(
            "tapline reads sosreports, folders of saved outputs and terminal sessions; for one \
             saved output say which command made it: --as 'ip address'",
        );
    };
    let known = registry::FORMATS.iter().map(|format| format.command);
    if registry::by_command(&Command::new(command)).is_some() {
        return error;
    }
    match suggest::nearest(command, known.clone()) {
        Some(near) => error.hint(format!("did you mean --as '{near}'?")),
        None => error.hint(format!("known commands: {}", known.collect::<Vec<_>>().join(", "))),
    }
}
