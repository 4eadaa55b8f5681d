//! Folders on disk.
use std::fs;
use std::io;
use std::path::Path;

use crate::choose::Want;
use crate::load::Loader;
use crate::tree::Tree;

/// How deep folders are followed.
const DEEPEST: u32 = 64;

/// Reads a folder into a tree. Links are taken down as links and never followed on disk.
pub(crate) fn folder(loader: &mut Loader<'_>, at: &Path, tree: &mut Tree) -> io::Result<()> {
    let entries = list(at)?;
    below(loader, at, "", entries, tree, 0);
    Ok(())
}

/// The entries of a folder, by name.
#[expect(clippy::disallowed_methods, reason = "this crate reads the inputs")]
fn list(at: &Path) -> io::Result<Vec<fs::DirEntry>> {
    let mut entries = fs::read_dir(at)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    Ok(entries)
}

fn below(
    loader: &mut Loader<'_>,
    at: &Path,
    prefix: &str,
    entries: Vec<fs::DirEntry>,
    tree: &mut Tree,
    depth: u32,
) {
    for entry in entries {
        if loader.is_full() {
            return;
        }
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let path = format!("{prefix}{name}");
        let Ok(kind) = entry.file_type() else { continue };
        let real = at.join(entry.file_name());
        if kind.is_dir() {
            if depth >= DEEPEST {
                loader.problem(&tree.archive, &path, "folders are nested too deeply; not read");
                continue;
            }
            match list(&real) {
                Ok(entries) => {
                    below(loader, &real, &format!("{path}/"), entries, tree, depth + 1);
                }
                Err(error) => {
                    loader.problem(&tree.archive, &path, &format!("cannot read: {error}"));
                }
            }
        } else if kind.is_symlink() {
            if let Ok(target) = fs::read_link(&real)
                && loader.count_member()
            {
                loader.keep_link(path, target.to_string_lossy().into_owned(), tree);
            }
        } else if kind.is_file() && loader.count_member() {
            let want = loader.chooser.want(&path);
            if want == Want::Skip {
                Loader::skip(&path, tree);
            } else if let Err(error) = file(loader, &real, &path, want, tree) {
                loader.problem(&tree.archive, &path, &format!("cannot read: {error}"));
            }
        }
    }
}

/// Reads one file of a folder.
fn file(
    loader: &mut Loader<'_>,
    real: &Path,
    path: &str,
    want: Want,
    tree: &mut Tree,
) -> io::Result<()> {
    let file = open_file(real)?;
    let size = file.metadata()?.len();
    loader.file(file, size, path, want, tree)
}

/// Opens an input.
#[expect(clippy::disallowed_methods, reason = "this crate reads the inputs")]
pub(crate) fn open_file(path: &Path) -> io::Result<fs::File> {
    fs::File::open(path)
}
