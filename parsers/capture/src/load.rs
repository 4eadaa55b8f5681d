//! Inputs into trees: what is read, within the limits.
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use tapline_model::capture::{InputCount, InputProblem};
use tapline_model::outcome::ProblemKind;

use crate::Limits;
use crate::choose::{Chooser, Want};
use crate::container::{self, Kind};
use crate::tree::Tree;

/// Reads one input after the other.
pub(crate) struct Loader<'a> {
    pub(crate) limits: &'a Limits,
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
    pub(crate) pictures: u64,
    pub(crate) binaries: u64,
    pub(crate) texts: u64,
    pub(crate) foreign: Option<&'static str>,
    pub(crate) too_large: u64,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(limits: &'a Limits) -> Self {
        Self {
            limits,
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
            let mut tree = Tree { archive, stem, ..Tree::default() };
            crate::walk::folder(self, path, &mut tree)?;
            self.trees.push(tree);
            return Ok(());
        }
        let file = crate::walk::open_file(path)?;
        self.stream(file, archive, stem)
    }

    /// Reads an archive, or one text.
    pub(crate) fn stream(
        &mut self,
        mut read: impl Read + Send,
        archive: Arc<str>,
        stem: String,
    ) -> io::Result<()> {
        let mut tree = Tree { archive, stem: stem.clone(), single: true, ..Tree::default() };
        self.count_member();
        let name =
            Path::new(&*tree.archive).file_name().map(|it| it.to_string_lossy().into_owned());
        let name = name.unwrap_or(stem);
        self.member(&mut read, 0, &name, Want::Look, &mut tree, 0);
        self.trees.push(tree);
        Ok(())
    }

    /// Reads one member: a text goes into the tree, an archive becomes trees of its own.
    pub(crate) fn member(
        &mut self,
        mut read: impl Read,
        size: u64,
        path: &str,
        want: Want,
        tree: &mut Tree,
        _depth: u32,
    ) {
        if size > self.limits.member_bytes {
            self.too_large(tree, path);
            return;
        }
        let mut bytes = Vec::new();
        let mut head = read.by_ref().take(container::HEAD as u64);
        if let Err(error) = head.read_to_end(&mut bytes) {
            self.problem(&tree.archive, path, &format!("cannot be read: {error}"));
            return;
        }
        match container::sniff(&bytes) {
            Kind::Foreign(name) => {
                self.seen.foreign = Some(name);
                self.seen.pictures += u64::from(name == "a picture");
                return;
            }
            Kind::Binary if want == Want::Look => {
                self.seen.binaries += 1;
                return;
            }
            _ => {}
        }
        let left = self.limits.member_bytes + 1;
        let rest = read.take(left.saturating_sub(bytes.len() as u64)).read_to_end(&mut bytes);
        if let Err(error) = rest {
            self.problem(&tree.archive, path, &format!("cannot be read to its end: {error}"));
        }
        if bytes.len() as u64 > self.limits.member_bytes {
            self.too_large(tree, path);
            return;
        }
        self.keep(path, bytes, tree);
    }

    /// Puts a text into the tree.
    pub(crate) fn keep(&mut self, path: &str, bytes: Vec<u8>, tree: &mut Tree) {
        let size = bytes.len() as u64;
        if self.kept.saturating_add(size) > self.limits.kept_bytes {
            if !self.full {
                let limit = self.limits.kept_bytes;
                let what = format!(
                    "more than {limit} bytes of text would be kept; the rest was not read \
                     (raise --max-kept-size)"
                );
                self.limit(&tree.archive, path, &what);
            }
            self.full = true;
            return;
        }
        self.kept += size;
        self.seen.texts += 1;
        tree.files.insert(path.to_owned(), bytes);
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

/// The last part of a path without the suffixes of archives and texts.
pub(crate) fn stem(path: &str) -> String {
    let base = path.trim_end_matches('/').rsplit('/').next().unwrap_or(path);
    let mut stem = base;
    for suffix in [
        ".gz", ".xz", ".bz2", ".zst", ".tgz", ".txz", ".tbz", ".tbz2", ".tzst", ".tar", ".txt",
        ".log", ".out", ".md",
    ] {
        stem = stem.strip_suffix(suffix).filter(|it| !it.is_empty()).unwrap_or(stem);
    }
    stem.to_owned()
}
