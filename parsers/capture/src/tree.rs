//! The kept members of one archive or folder, by path, with links resolved inside it.
use std::cell::{Ref, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tapline_core::capture::Completeness;

/// What was kept of one archive or folder.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    /// The input as the user named it; nested archives append `!member`.
    pub(crate) archive: Arc<str>,
    /// A name for a host that tells none: the folder or archive without its suffix.
    pub(crate) stem: String,
    /// The input is this one file: it has no members.
    pub(crate) single: bool,
    /// It is a folder on disk: sizes there may change while reading.
    pub(crate) on_disk: bool,
    /// Texts that end too early, because the archive does.
    pub(crate) cut: BTreeSet<String>,
    /// Texts by path. No path begins with `/` or holds `.` or `..`.
    pub(crate) files: BTreeMap<String, RefCell<Vec<u8>>>,
    /// Members that may be captures and were not read, each with what it is instead.
    pub(crate) left_out: Vec<(String, &'static str)>,
    /// Symbolic links by path, with their targets as written.
    pub(crate) links: BTreeMap<String, String>,
}

impl Tree {
    /// What the tree itself says about the completeness of a text.
    pub(crate) fn completeness(&self, file: &str) -> Completeness {
        if self.cut.contains(file) {
            Completeness::Partial("cut off: the archive is damaged".to_owned())
        } else {
            Completeness::Complete
        }
    }

    /// Takes note of a member that is not read.
    pub(crate) fn leave_out(&mut self, path: &str, what: &'static str) {
        const MOST: usize = 1000;
        if self.left_out.len() < MOST {
            self.left_out.push((path.to_owned(), what));
        }
    }

    /// A text. Empty once it was taken.
    pub(crate) fn bytes(&self, file: &str) -> Option<Ref<'_, Vec<u8>>> {
        self.files.get(file)?.try_borrow().ok()
    }

    /// A text, moved out: texts are large, and each is wanted once.
    pub(crate) fn take(&self, file: &str) -> Vec<u8> {
        let cell = self.files.get(file).and_then(|it| it.try_borrow_mut().ok());
        cell.map(|mut it| std::mem::take(&mut *it)).unwrap_or_default()
    }

    /// The path of the text that `path` leads to, over links that stay inside.
    ///
    /// `None` for what leads out of the tree, to something that was not kept, or in a circle.
    pub(crate) fn resolve(&self, path: &str) -> Option<String> {
        const DEEPEST: usize = 40;
        let mut path = path.to_owned();
        for _ in 0..DEEPEST {
            if self.files.contains_key(&path) {
                return Some(path);
            }
            path = self.follow(&path)?;
        }
        None
    }

    /// Replaces the first link on a path by its target.
    fn follow(&self, path: &str) -> Option<String> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends {
            let (head, rest) = path.split_at_checked(end)?;
            if let Some(target) = self.links.get(head) {
                let folder = head.rsplit_once('/').map_or("", |pair| pair.0);
                return join(folder, target, rest);
            }
        }
        None
    }
}

/// `folder` + `target` + `rest`, without `.` and `..`. `None` where it leaves the tree.
fn join(folder: &str, target: &str, rest: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in target.split('/').chain(rest.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// Why a member is left out whose path holds `..`.
pub(crate) const OUTSIDE: &str = "its path leads out of the archive";

/// A member's path as written, cleaned: no leading `/` or `./`. `None` where it holds `..`.
pub(crate) fn normal(path: &str) -> Option<String> {
    let dirty = path.starts_with(['/', '.']) || path.contains("//") || path.contains("/.");
    if !dirty {
        let path = path.strip_suffix('/').unwrap_or(path);
        return (!path.is_empty()).then(|| path.to_owned());
    }
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return None,
            part => parts.push(part),
        }
    }
    (!parts.is_empty()).then(|| parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside_and_end() {
        let mut tree = Tree::default();
        tree.files.insert("top/real/x".to_owned(), RefCell::default());
        for (path, target) in [
            ("top/dir", "real"),
            ("top/a", "dir/x"),
            ("top/deep/b", "../a"),
            ("top/loop1", "loop2"),
            ("top/loop2", "loop1"),
            ("top/self", "self/self"),
            ("top/out", "../../etc/passwd"),
            ("top/root", "/top/real/x"),
        ] {
            tree.links.insert(path.to_owned(), target.to_owned());
        }
        let resolved = |path: &str| tree.resolve(path);
        for path in ["top/real/x", "top/dir/x", "top/a", "top/deep/b"] {
            assert_eq!(resolved(path).as_deref(), Some("top/real/x"), "{path}");
        }
        for path in ["top/loop1", "top/self", "top/out", "top/root", "top/none"] {
            assert_eq!(resolved(path), None, "{path}");
        }
    }

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(normal("./a//b/").as_deref(), Some("a/b"));
        assert_eq!(normal("/a/./b").as_deref(), Some("a/b"));
        assert_eq!(normal("a/../b"), None);
        assert_eq!(normal("./"), None);
    }
}
