//! `tapline snapshot`.
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use similar::{ChangeTag, DiffTag, TextDiff};
use tapline_capture::file;

use crate::args::Snapshot;
use crate::error::{CliError, Result, Status};
use crate::pipeline;
use crate::render::escape::visible;
use crate::render::{count, snapshot};
use crate::terminal::{Terminal, style};

/// Bytes of a snapshot.
const LONGEST: u64 = 256 << 20;
/// Unchanged lines around a change.
const CONTEXT: usize = 3;
/// After this time the diff may be longer than it had to be.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Snapshot, terminal: &Terminal) -> Result<Status> {
    let expected = args.check.as_deref().map(read).transpose()?;
    let captured = pipeline::read(&args.inputs, terminal)?;
    let topology = pipeline::topology(&captured);
    let actual = snapshot::render(&topology)?;
    let mut out = terminal.out();
    let status = match (&args.check, expected) {
        (Some(path), Some(expected)) if expected != actual => {
            diff(&mut out, &path.display().to_string(), &expected, &actual, terminal)?;
            Status::Found
        }
        (Some(_), _) => {
            if !terminal.quiet {
                writeln!(out, "the topology is that of the snapshot")?;
            }
            Status::Clean
        }
        (None, _) => {
            out.write_all(actual.as_bytes())?;
            Status::Clean
        }
    };
    out.flush()?;
    Ok(status)
}

/// The snapshot to compare with. Line ends of other systems and comments at the top are no change.
fn read(path: &Path) -> Result<String> {
    let text = file::read_text(path, LONGEST)?.replace("\r\n", "\n");
    let mut rest = text.as_str();
    while rest.starts_with('#') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    let first = rest.lines().next().unwrap_or_default();
    if first != format!("schema: {}", snapshot::SCHEMA) {
        let message = format!("{} is not a snapshot of the topology", path.display());
        let hint = format!("`tapline snapshot INPUT > {}` makes one", path.display());
        return Err(CliError::new(message).hint(hint));
    }
    Ok(rest.to_owned())
}

/// Writes a unified diff, each change under the objects that it belongs to.
fn diff(
    out: &mut impl std::io::Write,
    name: &str,
    expected: &str,
    actual: &str,
    terminal: &Terminal,
) -> Result<()> {
    let paint = terminal.stdout();
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(expected, actual);
    let lines: Vec<&str> = expected.lines().collect();
    writeln!(out, "{}", paint.of(style::STRONG, format_args!("--- {}", visible(name))))?;
    writeln!(out, "{}", paint.of(style::STRONG, "+++ the inputs"))?;
    let (mut removed, mut added) = (0, 0);
    for group in diff.grouped_ops(CONTEXT) {
        let (Some(first), Some(last)) = (group.first(), group.last()) else { continue };
        let (old, new) = (first.old_range().start, first.new_range().start);
        let lengths = (last.old_range().end - old, last.new_range().end - new);
        let place = format!("@@ -{},{} +{},{} @@", old + 1, lengths.0, new + 1, lengths.1);
        let changed = group.iter().find(|group| group.tag() != DiffTag::Equal).unwrap_or(first);
        let object = visible(&object(&lines, changed.old_range().start)).into_owned();
        writeln!(out, "{} {}", paint.of(style::HINT, place), paint.of(style::FAINT, object))?;
        for change in group.iter().flat_map(|op| diff.iter_changes(op)) {
            let text = visible(change.value().trim_end_matches('\n'));
            match change.tag() {
                ChangeTag::Equal => writeln!(out, " {text}")?,
                ChangeTag::Delete => {
                    removed += 1;
                    writeln!(out, "{}", paint.of(style::ERROR, format_args!("-{text}")))?;
                }
                ChangeTag::Insert => {
                    added += 1;
                    writeln!(out, "{}", paint.of(style::GOOD, format_args!("+{text}")))?;
                }
            }
        }
    }
    if !terminal.quiet {
        let (removed, added) = (count(removed, "line"), count(added, "line"));
        writeln!(out, "the topology has changed: {removed} removed, {added} added")?;
    }
    Ok(())
}

/// The keys that lead to a line: `hosts: node2: namespaces: root`.
fn object(lines: &[&str], at: usize) -> String {
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let mut depth = lines.get(at).map_or(0, |it| indent(it));
    let mut keys: Vec<&str> = Vec::new();
    for line in lines.get(..at).unwrap_or_default().iter().rev() {
        if depth == 0 {
            break;
        }
        if indent(line) < depth {
            depth = indent(line);
            let key = line.trim_start_matches([' ', '-']);
            keys.push(key.strip_suffix(':').unwrap_or(key));
        }
    }
    keys.reverse();
    keys.join(" / ")
}
