//! Inputs into trees: what is read, within the limits.
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use tapline_core::capture::{InputCount, InputProblem};
use tapline_core::outcome::ProblemKind;

use crate::archive::{self, Place};
use crate::choose::{self, Chooser, Want};
use crate::container::{self, Kind};
use crate::tree::Tree;
use crate::{Limits, Tally, flat, folder, walk};

/// Reads one input after the other.
pub(crate) struct Loader<'a> {
    pub(crate) limits: &'a Limits,
    tally: &'a Tally,
    pub(crate) chooser: Chooser,
    pub(crate) problems: Vec<InputProblem>,
    /// What one input held.
    pub(crate) trees: Vec<Tree>,
    pub(crate) count: InputCount,
    pub(crate) seen: Seen,
    kept: u64,
    members: u64,
    full: bool,
}

/// What was found in an input, for the case that none of it is of use.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) texts: u64,
    pub(crate) foreign: Option<&'static str>,
    pub(crate) too_large: u64,
    /// Archives whose members were counted.
    pub(crate) archives: u64,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(limits: &'a Limits, tally: &'a Tally) -> Self {
        Self {
            limits,
            tally,
            chooser: Chooser::default(),
            problems: Vec::new(),
            trees: Vec::new(),
            count: InputCount::default(),
            seen: Seen::default(),
            kept: 0,
            members: 0,
            full: false,
        }
    }

    /// Reads a file or folder into [`Self::trees`].
    pub(crate) fn path(&mut self, path: &Path) -> io::Result<()> {
        let archive: Arc<str> = path.to_string_lossy().into();
        let stem = stem(&archive);
        if path.is_dir() {
            let mut tree = Tree { archive, stem, on_disk: true, ..Tree::default() };
            walk::folder(self, path, &mut tree)?;
            self.trees.push(tree);
            return Ok(());
        }
        let file = walk::open_file(path)?;
        self.stream(file, archive);
        Ok(())
    }

    /// Reads an archive, or one text.
    pub(crate) fn stream(&mut self, read: impl Read + Send, archive: Arc<str>) {
        self.count_member();
        let name = archive.rsplit('/').next().unwrap_or(&archive).to_owned();
        let stem = stem(&archive);
        archive::input(self, read, Place { archive, name, stem });
    }

    /// Reads one file of a folder.
    pub(crate) fn file(
        &mut self,
        mut file: impl Read + Send,
        size: u64,
        path: &str,
        want: Want,
        tree: &mut Tree,
    ) -> io::Result<()> {
        if want == Want::Look {
            let mut head = Vec::new();
            file.by_ref().take(container::HEAD as u64).read_to_end(&mut head)?;
            let kind = container::sniff(&head);
            let mut whole = io::Cursor::new(head).chain(file);
            if kind.is_container() {
                let before = self.trees.len();
                archive::input(self, whole, place(tree, path));
                self.adopt(before, path, tree);
                return Ok(());
            }
            return self.member(&mut whole, size, path, want, tree, 0);
        }
        self.member(&mut file, size, path, want, tree, 0)
    }

    /// Reads one member: a text goes into the tree, an archive becomes trees of its own.
    ///
    /// # Errors
    ///
    /// When the archive around it cannot be read on.
    pub(crate) fn member(
        &mut self,
        read: &mut dyn Read,
        size: u64,
        path: &str,
        want: Want,
        tree: &mut Tree,
        depth: u32,
    ) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(container::HEAD);
        read.take(container::HEAD as u64).read_to_end(&mut bytes)?;
        let kind = container::sniff(&bytes);
        if want == Want::Look && kind.is_container() {
            let mut whole = io::BufReader::new(io::Cursor::new(bytes).chain(read));
            let before = self.trees.len();
            archive::nested(self, &mut whole, place(tree, path), depth + 1);
            self.adopt(before, path, tree);
            return Ok(());
        }
        let noise = kind == Kind::Binary && is_named_by_hand(path) && container::is_noise(&bytes);
        if noise || !self.is_text(kind, want) {
            let what = if let Kind::Foreign(what) = kind { what } else { "a binary file" };
            tree.leave_out(path, what);
            return Ok(());
        }
        if size > self.limits.member_bytes {
            self.too_large(tree, path);
            return Ok(());
        }
        let result = if tree.on_disk {
            read_file(read, &mut bytes, size)
        } else {
            read_rest(read, &mut bytes, size)
        };
        if result.is_err() || (bytes.len() as u64) < size && !tree.on_disk {
            // The last line may be half a line.
            let whole = memchr::memrchr(b'\n', &bytes).map_or(0, |at| at + 1);
            bytes.truncate(whole);
            if whole > 0 {
                tree.cut.insert(path.to_owned());
            }
        }
        let bytes = container::plain_text(bytes);
        let base = path.rsplit('/').next().unwrap_or(path);
        if want == Want::Keep || folder::is_of_use(base, &bytes) {
            self.keep(path, bytes, tree);
        } else if !bytes.is_empty() {
            self.seen.texts += 1;
            tree.leave_out(path, "");
        }
        result
    }

    /// Takes note of a member whose name says that it is no text; of what else is not looked at a
    /// report holds too much.
    pub(crate) fn skip(path: &str, tree: &mut Tree) {
        let base = path.rsplit('/').next().unwrap_or(path);
        if is_named_by_hand(path) && flat::is_other(base) {
            tree.leave_out(path, "");
        }
    }

    /// A member that turned out to be one compressed text is a text of the tree around it.
    fn adopt(&mut self, before: usize, path: &str, tree: &mut Tree) {
        if self.trees.len() != before + 1 || !self.trees.last().is_some_and(|tree| tree.single) {
            return;
        }
        let Some(inner) = self.trees.pop() else { return };
        if !inner.cut.is_empty() {
            tree.cut.insert(path.to_owned());
        }
        let base = path.rsplit('/').next().unwrap_or(path);
        for (_, bytes) in inner.files {
            if folder::is_of_use(base, &bytes.borrow()) {
                tree.files.insert(path.to_owned(), bytes);
            } else {
                tree.leave_out(path, "");
            }
        }
    }

    /// Reads an input that is one text, of unknown length.
    pub(crate) fn text(&mut self, read: &mut dyn Read, name: &str, kind: Kind, tree: &mut Tree) {
        if !self.is_text(kind, Want::Look) {
            return;
        }
        let mut bytes = Vec::new();
        let most = self.limits.member_bytes;
        if let Err(error) = read.take(most + 1).read_to_end(&mut bytes) {
            let archive = tree.archive.clone();
            archive::damaged(self, &archive, "", &error);
            tree.cut.insert(name.to_owned());
        }
        if bytes.len() as u64 > most {
            self.too_large(tree, "");
            return;
        }
        self.keep(name, container::plain_text(bytes), tree);
    }

    /// Whether something may be a text; takes note of what it is otherwise.
    fn is_text(&mut self, kind: Kind, want: Want) -> bool {
        match kind {
            Kind::Foreign(name) => {
                self.seen.foreign = Some(name);
                false
            }
            // Databases of OVS and files of the machine may hold what they like.
            Kind::Binary => want == Want::Keep,
            _ => true,
        }
    }

    /// How many bytes were kept.
    pub(crate) fn kept(&self) -> u64 {
        self.kept
    }

    /// Puts a link into the tree.
    pub(crate) fn keep_link(&mut self, path: String, target: String, tree: &mut Tree) {
        // As much as a map needs for them, about.
        let size = (path.len() + target.len() + 96) as u64;
        if self.make_room(size, &path, tree) {
            tree.links.insert(path, target);
        }
    }

    /// Puts a text into the tree.
    fn keep(&mut self, path: &str, bytes: Vec<u8>, tree: &mut Tree) {
        if self.make_room(bytes.len() as u64 + path.len() as u64, path, tree) {
            self.seen.texts += 1;
            tree.files.insert(path.to_owned(), bytes.into());
        }
    }

    /// Whether there is room for so many bytes more.
    fn make_room(&mut self, size: u64, path: &str, tree: &Tree) -> bool {
        if self.kept.saturating_add(size) <= self.limits.kept_bytes {
            self.kept += size;
            self.tally.add(0, size);
            return true;
        }
        if !self.full {
            let limit = self.limits.kept_bytes;
            let what = format!(
                "more than {limit} bytes would be kept; the rest was not read (raise \
                 --max-kept-size)"
            );
            self.limit(&tree.archive, path, &what);
        }
        self.full = true;
        false
    }

    fn too_large(&mut self, tree: &Tree, path: &str) {
        self.seen.too_large += 1;
        let limit = self.limits.member_bytes;
        let what = format!("longer than {limit} bytes; not read (raise --max-member-size)");
        self.limit(&tree.archive, path, &what);
    }

    /// Counts a member; false once there are too many.
    pub(crate) fn count_member(&mut self) -> bool {
        self.members += 1;
        self.count.members += 1;
        self.tally.add(1, 0);
        if self.members > self.limits.members {
            if !self.full {
                let limit = self.limits.members;
                let what = format!(
                    "more than {limit} members; the rest was not read (raise --max-members)"
                );
                self.limit(&Arc::from(self.count.archive.as_str()), "", &what);
            }
            self.full = true;
            return false;
        }
        true
    }

    /// Takes back the count of what is no member.
    pub(crate) fn uncount(&mut self, folder: bool) {
        self.count.members -= u64::from(folder);
    }

    /// Whether a limit on everything was reached.
    pub(crate) fn is_full(&self) -> bool {
        self.full
    }

    pub(crate) fn problem(&mut self, archive: &Arc<str>, member: &str, message: &str) {
        self.add(ProblemKind::Container, archive, member, message);
    }

    pub(crate) fn limit(&mut self, archive: &Arc<str>, member: &str, message: &str) {
        self.add(ProblemKind::Limit, archive, member, message);
    }

    fn add(&mut self, kind: ProblemKind, archive: &Arc<str>, member: &str, message: &str) {
        // A damaged folder of a million files needs no million remarks.
        const MOST: usize = 1000;
        if self.problems.len() < MOST {
            self.problems.push(InputProblem {
                kind,
                archive: archive.clone(),
                member: member.into(),
                message: message.to_owned(),
            });
        }
    }
}

/// A member that is an archive.
fn place(tree: &Tree, path: &str) -> Place {
    Place {
        archive: format!("{}!{path}", tree.archive).into(),
        name: path.rsplit('/').next().unwrap_or(path).to_owned(),
        stem: stem(path),
    }
}

/// Whether nothing but the name of a file says that it is an output: files of the captured machine,
/// and databases, may hold what they like.
fn is_named_by_hand(path: &str) -> bool {
    choose::system_folder(path).is_none()
        && choose::below(path, "sos_commands").is_none()
        && Path::new(path).extension().is_none_or(|extension| extension != "db")
}

/// Bytes for which a header is taken at its word before they came.
const TRUSTED: u64 = 16 << 20;

/// Reads on behind `bytes` until there are `size` of them, from a file, which has the size that is
/// told of it.
fn read_file(read: &mut dyn Read, bytes: &mut Vec<u8>, size: u64) -> io::Result<()> {
    let left = size.saturating_sub(bytes.len() as u64);
    bytes.reserve_exact(usize::try_from(left).unwrap_or(0));
    read.take(left).read_to_end(bytes).map(drop)
}

/// Reads on behind `bytes` until there are `size` of them, as the header in an archive tells.
fn read_rest(read: &mut dyn Read, bytes: &mut Vec<u8>, size: u64) -> io::Result<()> {
    let head = bytes.len();
    if size <= head as u64 {
        return Ok(());
    }
    // Zeroed memory is new to the process and costs nothing: `read_to_end` would write it first.
    let mut all = vec![0; usize::try_from(size.min(TRUSTED)).unwrap_or(head).max(head)];
    if let Some(start) = all.get_mut(..head) {
        start.copy_from_slice(bytes);
    }
    let mut at = head;
    let result = loop {
        match all.get_mut(at..) {
            None | Some([]) => break Ok(()),
            Some(free) => match read.read(free) {
                Ok(0) => break Ok(()),
                Ok(more) => at += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => break Err(error),
            },
        }
    };
    all.truncate(at);
    // A header may tell more than there is.
    if all.capacity() > 2 * at {
        all.shrink_to_fit();
    }
    *bytes = all;
    result?;
    if at as u64 != size.min(TRUSTED) {
        return Ok(());
    }
    // What came so far is trusted once more, and no room is made beyond what the header tells.
    loop {
        let left = size.saturating_sub(bytes.len() as u64);
        let more = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        bytes.reserve_exact(more);
        let came = Read::take(&mut *read, more as u64).read_to_end(bytes)?;
        if came < more || more as u64 == left {
            return Ok(());
        }
    }
}

/// The last part of a path without the suffixes of archives and texts.
pub(crate) fn stem(path: &str) -> String {
    let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    // `.` and `..` are the folder that they stand for.
    let resolved = matches!(base, "." | "..").then(|| std::fs::canonicalize(path).ok()).flatten();
    let folder = resolved.as_ref().and_then(|folder| folder.file_name()?.to_str());
    let mut stem = folder.unwrap_or(base);
    for suffix in [
        ".gz", ".xz", ".bz2", ".zst", ".zip", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".tar",
        ".txt", ".log", ".out", ".md",
    ] {
        stem = stem.strip_suffix(suffix).filter(|rest| !rest.is_empty()).unwrap_or(stem);
    }
    stem.to_owned()
}
