//! What a list of the commands that were run says of each: those of sos and of `tapline collect`.
use std::collections::BTreeMap;

use tapline_core::capture::Completeness;

use crate::tree::Tree;

/// One command that was run.
#[derive(Clone, Debug, Default)]
pub(crate) struct Listed {
    /// The command line.
    pub(crate) exec: String,
    /// Exit status, where it means something.
    pub(crate) status: Option<i64>,
    /// Output was cut.
    pub(crate) truncated: bool,
    /// Seconds since the epoch.
    pub(crate) start: Option<f64>,
}

impl Listed {
    /// What status and size say about the text.
    pub(crate) fn verdict(&self, empty: bool) -> Completeness {
        match self.status {
            Some(124) => Completeness::Partial("the command timed out".to_owned()),
            Some(status @ (126 | 127)) => {
                Completeness::Failed(format!("the command could not be run (exit status {status})"))
            }
            Some(status) if !(0..=128).contains(&status) => {
                Completeness::Partial(format!("the command was killed (exit status {status})"))
            }
            Some(status) if status != 0 && empty => {
                Completeness::Failed(format!("no output, exit status {status}"))
            }
            _ if self.truncated => {
                Completeness::Partial("head cut off: output was too long".to_owned())
            }
            _ => Completeness::Complete,
        }
    }
}

/// The first line of the list that `tapline collect` makes.
const HEAD: &str = "started\tseconds\tstatus\tfile\tcommand";

/// Name of that list; files are named relative to its folder.
pub(crate) const COLLECTED: &str = "commands.txt";

/// Whether a text is that list.
pub(crate) fn is_collected(bytes: &[u8]) -> bool {
    bytes.split(|&it| it == b'\n').next() == Some(HEAD.as_bytes())
}

/// Reads the list that `tapline collect` left in `folder`, by the path of the file below it; empty
/// where there is none. A line cut off by the end of the text is no line.
pub(crate) fn collected(tree: &Tree, folder: &str) -> BTreeMap<String, Listed> {
    let mut all = BTreeMap::new();
    let slash = if folder.is_empty() { "" } else { "/" };
    let Some(file) = tree.resolve(&format!("{folder}{slash}{COLLECTED}")) else { return all };
    let Some(bytes) = tree.bytes(&file) else { return all };
    let text = String::from_utf8_lossy(&bytes);
    let mut lines = text.lines();
    if lines.next() != Some(HEAD) {
        return all;
    }
    for line in lines {
        let mut fields = line.splitn(5, '\t');
        let mut next = || fields.next();
        let (Some(start), Some(_), Some(status), Some(path), Some(exec)) =
            (next(), next(), next(), next(), next())
        else {
            continue;
        };
        let listed = Listed {
            exec: exec.to_owned(),
            status: status.parse().ok(),
            truncated: false,
            start: start.parse().ok().filter(|parsed: &f64| parsed.is_finite()),
        };
        all.insert(path.to_owned(), listed);
    }
    all
}
