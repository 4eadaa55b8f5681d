//! Whether each snapshot is asked for by a test: one whose test is gone holds nothing, and nobody notices.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::{Path, PathBuf};

/// Folders of snapshots of `insta` below a folder.
#[expect(clippy::disallowed_methods, reason = "looks at the repository")]
fn folders(of: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(of).unwrap().map(Result::unwrap) {
        let name = entry.file_name();
        if !entry.file_type().unwrap().is_dir() || name == "target" || name == ".git" {
            continue;
        }
        if name == "snapshots" {
            found.push(entry.path());
        } else {
            folders(&entry.path(), found);
        }
    }
}

/// Whether the text of a test names a snapshot: by the name of its function, by a string, or by the
/// beginning of one that is put together.
fn names(text: &str, name: &str) -> bool {
    let begins =
        |at: usize| name.get(..at).is_some_and(|start| text.contains(&format!("\"{start}{{")));
    text.contains(&format!("fn {name}("))
        || text.contains(&format!("\"{name}\""))
        || name.match_indices('_').any(|(at, _)| begins(at + 1))
}

#[test]
#[expect(clippy::disallowed_methods, reason = "looks at the repository")]
fn every_snapshot_has_a_test() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut all = Vec::new();
    folders(root, &mut all);
    let mut forgotten = Vec::new();
    for folder in &all {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            let Some(source) = text.lines().find_map(|line| line.strip_prefix("source: ")) else {
                continue;
            };
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            let name = stem.rsplit("__").next().unwrap_or(&stem);
            let test = std::fs::read_to_string(root.join(source)).unwrap_or_default();
            // Of a test that walks files, each has a snapshot of its name.
            let walks = test.contains("assert_snapshot!(name,") && is_a_file(root, name);
            if !names(&test, name) && !walks {
                forgotten.push(path.strip_prefix(root).unwrap().display().to_string());
            }
        }
    }
    forgotten.sort();
    assert!(all.len() > 1 && forgotten.is_empty(), "no test asks for {forgotten:#?}");
}

/// Whether a host is described under this name.
fn is_a_file(root: &Path, name: &str) -> bool {
    root.join(format!("tests/planted/worlds/{name}.world")).exists()
}
