//! tar: header, content, header, content, read as they come.
//!
//! The crate `tar` decodes the fields of headers. The loop is ours because it must neither hold
//! more of a hostile archive than a bound, nor end at the first damaged header, nor allocate for
//! the tens of thousands of members that are skipped.
use std::io::{self, BufRead, Read};

use ::tar::{EntryType, Header, PaxExtensions};

use super::damaged;
use crate::choose::Want;
use crate::load::Loader;
use crate::tree::{self, Tree};

/// A header, and what contents are padded to.
const BLOCK: u64 = 512;

/// Longest name or extension that is read.
const LONGEST_NAME: u64 = 64 << 10;
const LONGEST_EXTENSION: u64 = 1 << 20;

/// What extension headers say about the member that follows.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Reads all members into the tree, those of concatenated archives included.
pub(super) fn read(loader: &mut Loader<'_>, read: &mut dyn BufRead, tree: &mut Tree, depth: u32) {
    if let Err(error) = members(loader, read, tree, depth) {
        let archive = tree.archive.clone();
        damaged(loader, &archive, "", &error);
    }
}

fn members(
    loader: &mut Loader<'_>,
    read: &mut dyn BufRead,
    tree: &mut Tree,
    depth: u32,
) -> io::Result<()> {
    let mut header = Header::new_old();
    let mut extensions = Extensions::default();
    let mut path = String::new();
    let mut lost = false;
    loop {
        let block = header.as_mut_bytes();
        match fill(read, block)? {
            0 => return Ok(()),
            n if n < block.len() => {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ends inside a header"));
            }
            _ => {}
        }
        if block.iter().all(|&b| b == 0) {
            continue;
        }
        if !is_intact(&header) {
            if !lost {
                let what = "damaged: not a header where one should be; looking for the next";
                loader.problem(&tree.archive, "", what);
            }
            lost = true;
            extensions = Extensions::default();
            continue;
        }
        lost = false;
        let kind = header.entry_type();
        let told = header.entry_size().unwrap_or(0);
        if extension(read, kind, told, &mut extensions)? {
            continue;
        }
        let all = std::mem::take(&mut extensions);
        let size = all.size.unwrap_or(told);
        spell(&header, all.path.as_deref(), &mut path);
        if !loader.count_member() {
            return Ok(());
        }
        match kind {
            EntryType::Symlink | EntryType::Link => {
                let target = all
                    .link
                    .or_else(|| header.link_name_bytes().map(std::borrow::Cow::into_owned))
                    .unwrap_or_default();
                let target = String::from_utf8_lossy(&target);
                link(loader, kind, &path, &target, tree);
                skip(read, padded(size))?;
            }
            EntryType::Regular | EntryType::Continuous => {
                content(loader, read, size, &path, tree, depth)?;
            }
            EntryType::GNUSparse => {
                sparse_headers(read, &header)?;
                if loader.chooser.want(&path) == Want::Keep {
                    loader.problem(&tree.archive, &path, "stored with holes; not read");
                }
                skip(read, padded(size))?;
            }
            _ => {
                // Folders and devices: only their number counts, and folders not even that.
                loader.uncount(kind == EntryType::Directory);
                skip(read, padded(size))?;
            }
        }
        if loader.is_full() {
            return Ok(());
        }
    }
}

/// Reads or skips the content of a regular member.
fn content(
    loader: &mut Loader<'_>,
    read: &mut dyn BufRead,
    size: u64,
    path: &str,
    tree: &mut Tree,
    depth: u32,
) -> io::Result<()> {
    let path = path.strip_prefix("./").unwrap_or(path);
    let want = loader.chooser.want(path);
    let clean = if want == Want::Skip { None } else { tree::normal(path) };
    let Some(path) = clean else {
        if path.split('/').any(|part| part == "..") {
            tree.leave_out(path, tree::OUTSIDE);
        } else {
            Loader::skip(path, tree);
        }
        return skip(read, padded(size));
    };
    let mut inner = read.take(size);
    let result = loader.member(&mut inner, size, &path, want, tree, depth);
    let left = inner.limit();
    result?;
    skip(read, left + padded(size) - size)
}

/// Takes down a link. Hard links name their target from the top of the archive.
fn link(loader: &mut Loader<'_>, kind: EntryType, path: &str, target: &str, tree: &mut Tree) {
    let Some(path) = tree::normal(path) else { return };
    let target = if kind == EntryType::Link {
        "../".repeat(path.matches('/').count()) + target
    } else {
        target.to_owned()
    };
    loader.keep_link(path, target, tree);
}

/// Takes in an extension header. False for a header of a member.
fn extension(
    read: &mut dyn BufRead,
    kind: EntryType,
    size: u64,
    to: &mut Extensions,
) -> io::Result<bool> {
    match kind {
        EntryType::GNULongName => {
            to.path = Some(name(bounded(read, size, LONGEST_NAME)?));
        }
        EntryType::GNULongLink => {
            to.link = Some(name(bounded(read, size, LONGEST_NAME)?));
        }
        EntryType::XHeader => {
            let bytes = bounded(read, size, LONGEST_EXTENSION)?;
            for record in PaxExtensions::new(&bytes).flatten() {
                match record.key_bytes() {
                    b"path" => to.path = Some(record.value_bytes().to_vec()),
                    b"linkpath" => to.link = Some(record.value_bytes().to_vec()),
                    b"size" => to.size = record.value().ok().and_then(|value| value.parse().ok()),
                    _ => {}
                }
            }
        }
        EntryType::XGlobalHeader => skip(read, padded(size))?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// The name of a member, written into `path`.
fn spell(header: &Header, extended: Option<&[u8]>, path: &mut String) {
    path.clear();
    let bytes = match extended {
        Some(bytes) => std::borrow::Cow::Borrowed(bytes),
        None => header.path_bytes(),
    };
    match std::str::from_utf8(&bytes) {
        Ok(text) => path.push_str(text),
        Err(_) => path.push_str(&String::from_utf8_lossy(&bytes)),
    }
}

/// A name without the NUL that ends it.
fn name(mut bytes: Vec<u8>) -> Vec<u8> {
    while bytes.last() == Some(&0) {
        bytes.pop();
    }
    bytes
}

/// The content of an extension header with its padding; empty where it is too long to be one.
fn bounded(read: &mut dyn BufRead, size: u64, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let whole = padded(size);
    if size > most {
        skip(read, whole)?;
        return Ok(bytes);
    }
    read.take(size).read_to_end(&mut bytes)?;
    skip(read, whole - size)?;
    Ok(bytes)
}

/// Further headers of a member with holes.
fn sparse_headers(read: &mut dyn BufRead, header: &Header) -> io::Result<()> {
    let mut more = header.as_gnu().is_some_and(::tar::GnuHeader::is_extended);
    while more {
        let mut block = [0; 512];
        if fill(read, &mut block)? < block.len() {
            return Ok(());
        }
        more = block.get(504).is_some_and(|&it| it == 1);
    }
    Ok(())
}

/// Whether the check sum is right.
fn is_intact(header: &Header) -> bool {
    let sum = header
        .as_bytes()
        .iter()
        .enumerate()
        // The field itself counts as blanks.
        .map(|(at, &b)| u32::from(if (148..156).contains(&at) { b' ' } else { b }))
        .sum::<u32>();
    header.cksum().is_ok_and(|cksum| cksum == sum)
}

/// A size with its padding.
fn padded(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_mul(BLOCK).max(size)
}

/// Fills a buffer as far as there is something.
fn fill(read: &mut dyn BufRead, to: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while let Some(rest) = to.get_mut(filled..).filter(|it| !it.is_empty()) {
        match read.read(rest) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Passes over bytes without copying them.
fn skip(read: &mut dyn BufRead, mut n: u64) -> io::Result<()> {
    while n > 0 {
        let there = read.fill_buf()?.len();
        if there == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "ends inside a member"));
        }
        let step = usize::try_from(n).unwrap_or(usize::MAX).min(there);
        read.consume(step);
        n -= step as u64;
    }
    Ok(())
}
