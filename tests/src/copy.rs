//! Copies of the checkout, in which tests and `cargo dev` change what they like.
#![expect(clippy::disallowed_methods, reason = "it copies files")]
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use anyhow::Context as _;

/// Makes `to` like `from`. What is alike is not written, so cargo does not compile it again.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn mirror(from: &Path, to: &Path) -> anyhow::Result<()> {
    mirror_but(from, to, &[])
}

/// The same without some of the names in the folder itself, which are left alone in the copy.
///
/// # Errors
///
/// When a file cannot be read or written.
pub fn mirror_but(from: &Path, to: &Path, without: &[&str]) -> anyhow::Result<()> {
    if from.is_dir() {
        fs::create_dir_all(to)?;
        let names = |folder: &Path| -> anyhow::Result<Vec<OsString>> {
            let all: Result<Vec<_>, _> =
                fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.file_name())).collect();
            let mut all = all?;
            all.retain(|name| !without.iter().any(|without| *without == name));
            Ok(all)
        };
        let wanted = names(from)?;
        for name in names(to)?.into_iter().filter(|name| !wanted.contains(name)) {
            let path = to.join(name);
            if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }?;
        }
        for name in wanted {
            mirror(&from.join(&name), &to.join(&name))?;
        }
        return Ok(());
    }
    let text = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    if fs::read(to).ok().as_ref() != Some(&text) {
        fs::write(to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    Ok(())
}
