//! What the tests and `cargo dev` share.
pub mod conformance;
pub mod docs;
pub mod scaffold;
pub mod show;

use std::path::PathBuf;

/// The folder of captures that are not part of the repository, or `None` with a word to the person
/// who looks at the output.
#[expect(clippy::print_stdout, reason = "a test says what it skips")]
pub fn captures() -> Option<PathBuf> {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/captures"));
    if !folder.is_dir() {
        println!("skipped: no captures at {}", folder.display());
        return None;
    }
    Some(folder)
}
