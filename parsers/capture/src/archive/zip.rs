//! zip: the list of members stands at the end, so the whole archive is held while it is read.
use std::io::{self, Cursor, Read};

use ::zip::{CompressionMethod, ZipArchive};

use super::damaged;
use crate::choose::Want;
use crate::load::Loader;
use crate::tree::{self, Tree};

/// Reads all members into the tree.
pub(super) fn read(loader: &mut Loader<'_>, read: &mut dyn Read, tree: &mut Tree, depth: u32) {
    let archive = tree.archive.clone();
    let most = loader.limits.kept_bytes;
    let mut bytes = Vec::new();
    if let Err(error) = read.take(most.saturating_add(1)).read_to_end(&mut bytes) {
        damaged(loader, &archive, "", &error);
        return;
    }
    if bytes.len() as u64 > most {
        let what =
            format!("a zip archive of more than {most} bytes; not read (raise --max-kept-size)");
        loader.limit(&archive, "", &what);
        return;
    }
    let mut zip = match ZipArchive::new(Cursor::new(bytes)) {
        Ok(zip) => zip,
        Err(error) => {
            let what = format!(
                "damaged or cut off: {error}; nothing of it could be read, since its list of files \
                 stands at the end"
            );
            loader.problem(&archive, "", &what);
            return;
        }
    };
    let mut encrypted = false;
    for at in 0..zip.len() {
        if loader.is_full() || !loader.count_member() {
            return;
        }
        let locked = zip.by_index_raw(at).ok().filter(|file| file.encrypted() && !file.is_dir());
        let locked = locked.map(|file| String::from_utf8_lossy(file.name_raw()).replace('\\', "/"));
        if let Some(path) = locked.and_then(|path| tree::normal(&path)) {
            tree.leave_out(&path, "encrypted");
            if !std::mem::replace(&mut encrypted, true) {
                let what = "encrypted: unpack it with its password and give the folder";
                loader.problem(&archive, "", what);
            }
            continue;
        }
        if let Err((member, error)) = member(loader, &mut zip, at, tree, depth) {
            damaged(loader, &archive, &member, &error);
        }
    }
}

/// Reads one member.
fn member(
    loader: &mut Loader<'_>,
    zip: &mut ZipArchive<Cursor<Vec<u8>>>,
    at: usize,
    tree: &mut Tree,
    depth: u32,
) -> Result<(), (String, io::Error)> {
    // Once more than this came out, the ratio counts.
    const ENOUGH: u64 = 64 << 20;
    let broken = |error| (String::new(), io::Error::new(io::ErrorKind::InvalidData, error));
    if let Ok(raw) = zip.by_index_raw(at)
        && !matches!(raw.compression(), CompressionMethod::Stored | CompressionMethod::Deflated)
    {
        let path = String::from_utf8_lossy(raw.name_raw()).replace('\\', "/");
        tree.leave_out(&path, "compressed in a way that is not read (unpack it)");
        return Ok(());
    }
    let mut file = zip.by_index(at).map_err(broken)?;
    let path = String::from_utf8_lossy(file.name_raw()).replace('\\', "/");
    if file.is_dir() {
        loader.uncount(true);
        return Ok(());
    }
    let Some(path) = tree::normal(&path) else {
        tree.leave_out(&path, tree::OUTSIDE);
        return Ok(());
    };
    if file.is_symlink() {
        let mut target = String::new();
        let read = file.by_ref().take(4096).read_to_string(&mut target);
        if read.is_ok() {
            loader.keep_link(path, target, tree);
        }
        return Ok(());
    }
    let want = loader.chooser.want(&path);
    if want == Want::Skip {
        Loader::skip(&path, tree);
        return Ok(());
    }
    let (size, packed) = (file.size(), file.compressed_size().max(1));
    if size > ENOUGH && size / packed > loader.limits.ratio {
        let limit = loader.limits.ratio;
        let what =
            format!("grows more than {limit} times when unpacked; not read (raise --max-ratio)");
        loader.limit(&tree.archive.clone(), &path, &what);
        return Ok(());
    }
    loader.member(&mut file, size, &path, want, tree, depth).map_err(|error| (path, error))
}
