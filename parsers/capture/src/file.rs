//! Files of the user that are no captures: configuration, baselines, snapshots.
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use crate::CaptureError;

/// Reads a text file of at most `most` bytes.
///
/// # Errors
///
/// When it cannot be opened, is longer, or is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "this crate reads files")]
pub fn read_text(path: &Path, most: u64) -> Result<String, CaptureError> {
    let refuse = |source| CaptureError::Io { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(refuse)?;
    let mut text = String::new();
    file.take(most.saturating_add(1)).read_to_string(&mut text).map_err(refuse)?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > most {
        let why = format!("longer than {most} bytes");
        return Err(refuse(io::Error::new(io::ErrorKind::InvalidData, why)));
    }
    Ok(text)
}

/// The first `most` bytes of a file.
///
/// # Errors
///
/// When it cannot be opened or read.
#[expect(clippy::disallowed_methods, reason = "this crate reads files")]
pub fn read_head(path: &Path, most: u64) -> Result<Vec<u8>, CaptureError> {
    let refuse = |source| CaptureError::Io { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(refuse)?;
    let mut head = Vec::new();
    file.take(most).read_to_end(&mut head).map_err(refuse)?;
    Ok(head)
}

/// A file, or the files of a folder that end in one of these; sorted by name.
///
/// # Errors
///
/// When a folder cannot be listed.
#[expect(clippy::disallowed_methods, reason = "this crate reads files")]
pub fn list(path: &Path, endings: &[&str]) -> Result<Vec<PathBuf>, CaptureError> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let refuse = |source| CaptureError::Io { path: path.to_owned(), source };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(refuse)? {
        let file = entry.map_err(refuse)?.path();
        let ending = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if endings.contains(&ending) && file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

/// The file called `name` that is nearest to `input`: beside it, or in a folder above.
///
/// Never *in* an input that is a folder: captures come from elsewhere and do not say how they are
/// to be read.
pub fn find_beside(input: &Path, name: &str) -> Option<PathBuf> {
    let input = input.canonicalize().ok()?;
    above(input.parent()?, name)
}

/// The file called `name` in the current directory or the nearest folder above.
pub fn find_here(name: &str) -> Option<PathBuf> {
    above(&Path::new(".").canonicalize().ok()?, name)
}

fn above(folder: &Path, name: &str) -> Option<PathBuf> {
    folder.ancestors().map(|ancestor| ancestor.join(name)).find(|join| join.is_file())
}
