//! Captures that are not part of the repository, where they are at hand: what their readers,
//! topology and rules must make of them.
#![expect(clippy::print_stdout, reason = "a test says what it skips")]
use std::path::PathBuf;

use tapline_tests::conformance::{KINDS, cases, tally};

/// The folder of captures, or `None` with a word to the person who looks at the output.
fn captures() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures"));
    if !folder.is_dir() {
        println!("skipped: no captures at {}", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn every_captured_output_keeps_the_promise_of_its_name() {
    let Some(folder) = captures() else { return };
    let cases = cases(&folder.join("by-command")).unwrap();
    let mut complaints = Vec::new();
    for case in &cases {
        if let Some(why) = case.complaint() {
            complaints.push(format!("{}: {why}", case.path.display()));
        }
    }
    for (kind, _) in KINDS {
        let sum = tally(cases.iter().filter(|it| it.kind == *kind));
        println!(
            "{kind}: {} files, {} lines, {} unread",
            sum.files, sum.lines.total, sum.lines.unread
        );
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
