//! Archives: read once, front to back, nothing written anywhere.
//!
//! The outermost compression is undone in a thread of its own, so that reading takes about as long
//! as decompressing.
mod decode;
mod pipe;
mod tar;
mod zip;

use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::sync::Arc;
use std::thread;

use crate::container::{self, Kind};
use crate::load::Loader;
use crate::tree::Tree;

/// What an archive is called.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    /// The input as the user named it; nested archives append `!member`.
    pub(crate) archive: Arc<str>,
    /// The name of the file.
    pub(crate) name: String,
    /// That without suffixes.
    pub(crate) stem: String,
}

/// Reads an input: an archive, or one text, in any compression.
pub(crate) fn input(loader: &mut Loader<'_>, read: impl Read + Send, place: Place) {
    let mut read = BufReader::with_capacity(pipe::CHUNK, read);
    let head = match peek(&mut read) {
        Ok(head) => head,
        Err(error) => {
            loader.problem(&place.archive, "", &format!("cannot be read: {error}"));
            return;
        }
    };
    let kind = container::sniff(&head);
    let mut read = Cursor::new(head).chain(read);
    if !kind.is_compression() {
        inside(loader, &mut read, place, 0, 0);
        return;
    }
    let ratio = loader.limits.ratio;
    thread::scope(|scope| {
        let (sender, mut receiver) = pipe::new();
        scope.spawn(move || {
            let counter = decode::Counter::default();
            let counted = BufReader::with_capacity(pipe::CHUNK, counter.of(read));
            match decode::decoder(kind, counted, true) {
                Ok(decoded) => sender.pump(decode::Guard::new(decoded, counter, ratio)),
                Err(error) => sender.fail(error),
            }
        });
        inside(loader, &mut receiver, place, 0, 1);
        // Whatever is left is not wanted: the other thread ends when nobody listens.
        drop(receiver);
    });
}

/// Reads an archive that is a member of another.
pub(crate) fn nested(loader: &mut Loader<'_>, read: &mut dyn BufRead, place: Place, depth: u32) {
    if depth > loader.limits.nesting {
        let limit = loader.limits.nesting;
        let what =
            format!("archives are nested deeper than {limit}; not read (raise --max-nesting)");
        loader.limit(&place.archive, "", &what);
        return;
    }
    inside(loader, read, place, depth, 0);
}

/// Reads what is there: `wraps` layers of compression are off already.
fn inside(loader: &mut Loader<'_>, read: &mut dyn BufRead, place: Place, depth: u32, wraps: u32) {
    let head = match peek(read) {
        Ok(head) => head,
        Err(error) => {
            damaged(loader, &place.archive, "", &error);
            return;
        }
    };
    let kind = container::sniff(&head);
    let mut read = Cursor::new(head).chain(read);
    if kind.is_compression() {
        if wraps > loader.limits.nesting {
            let limit = loader.limits.nesting;
            let what =
                format!("compressed more than {limit} times; not read (raise --max-nesting)");
            loader.limit(&place.archive, "", &what);
            return;
        }
        let ratio = loader.limits.ratio;
        let counter = decode::Counter::default();
        match decode::decoder(kind, BufReader::new(counter.of(read)), false) {
            Ok(decoded) => {
                let guarded = decode::Guard::new(decoded, counter, ratio);
                let mut buffered = BufReader::with_capacity(pipe::CHUNK, guarded);
                inside(loader, &mut buffered, place, depth, wraps + 1);
            }
            Err(error) => damaged(loader, &place.archive, "", &error),
        }
        return;
    }
    let mut tree =
        Tree { archive: place.archive, stem: place.stem, single: true, ..Tree::default() };
    loader.seen.archives += u64::from(matches!(kind, Kind::Tar | Kind::Zip));
    if kind == Kind::Tar {
        tree.single = false;
        tar::read(loader, &mut read, &mut tree, depth);
    } else if kind == Kind::Zip {
        tree.single = false;
        zip::read(loader, &mut read, &mut tree, depth);
    } else {
        loader.text(&mut read, &place.name, kind, &mut tree);
    }
    loader.trees.push(tree);
}

/// The first bytes.
fn peek(read: &mut (impl BufRead + ?Sized)) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(container::HEAD);
    match read.take(container::HEAD as u64).read_to_end(&mut head) {
        // What came before the damage may be of use.
        Err(_) if !head.is_empty() => Ok(head),
        Err(error) => Err(error),
        Ok(_) => Ok(head),
    }
}

/// Remarks that something could not be read to its end.
pub(crate) fn damaged(
    loader: &mut Loader<'_>,
    archive: &Arc<str>,
    member: &str,
    error: &io::Error,
) {
    if decode::is_ratio(error) {
        loader.limit(archive, member, &error.to_string());
    } else {
        let what = format!("damaged or cut off: {error}; what could be read is used");
        loader.problem(archive, member, &what);
    }
}
