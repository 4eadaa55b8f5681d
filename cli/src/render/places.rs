//! Where a text is, as a person finds it: a path that a terminal opens and an editor takes.
//!
//! JSON and YAML keep `archive` and `member` as they are; this is their short form for people.
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tapline_core::capture::{Captured, Snapshot, Source};
use tapline_core::span::{Evidence, Span};

use super::artifact;
use super::escape::visible;
use super::source::column;
use crate::terminal::Terminal;

/// How the inputs of a run are called. Made once: which of them are folders is asked of the disk.
#[derive(Debug, Default)]
pub(crate) struct Places {
    homes: BTreeMap<String, Home>,
    /// The terminal can follow links.
    links: bool,
}

/// One `archive` of the captured texts.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Home {
    /// A folder on disk: its members are files.
    Folder(String),
    /// A file on disk, and all there is in it.
    File(String),
    /// Members of an archive.
    Archive {
        /// The file that holds it.
        file: String,
        /// What to call it.
        shown: String,
        /// The folder that holds all members, with its slash.
        top: String,
    },
}

impl Places {
    /// The inputs of a snapshot.
    pub(crate) fn new(snapshot: &Snapshot, terminal: &Terminal) -> Self {
        Self::of_captured(&snapshot.captured, terminal.links)
    }

    /// The same, without links.
    pub(crate) fn of_captured(captured: &Captured, links: bool) -> Self {
        let mut members: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let sources = captured.sources.iter().map(|source| (&source.archive, &source.member));
        let problems = captured.problems.iter().map(|problem| (&problem.archive, &problem.member));
        let left_out = captured.left_out.iter().map(|left| (&left.archive, &left.member));
        for (archive, member) in sources.chain(problems).chain(left_out) {
            members.entry(archive).or_default().push(member);
        }
        let mut homes: BTreeMap<String, Home> = members
            .into_iter()
            .map(|(archive, members)| (archive.to_owned(), home(archive, &members)))
            .collect();
        // Archives of one name keep the folders before it.
        let mut names: BTreeMap<String, usize> = BTreeMap::new();
        for home in homes.values() {
            if let Home::Archive { shown, .. } = home {
                *names.entry(shown.clone()).or_default() += 1;
            }
        }
        for (archive, home) in &mut homes {
            if let Home::Archive { shown, .. } = home
                && names.get(shown).is_some_and(|count| *count > 1)
            {
                shown.clone_from(archive);
            }
        }
        Self { homes, links }
    }

    /// `node2/ip_a`, a path of a folder, or `node2.tar.xz!ip_a`, a member of an archive.
    pub(crate) fn path(&self, archive: &str, member: &str) -> String {
        match self.homes.get(archive) {
            Some(Home::Folder(folder)) => join(folder, member),
            Some(Home::Archive { shown, top, .. }) => {
                format!("{shown}!{}", member.strip_prefix(top.as_str()).unwrap_or(member))
            }
            Some(Home::File(file)) if member.is_empty() => file.clone(),
            Some(Home::File(_)) | None => super::place(archive, member).to_string(),
        }
    }

    /// `node2/ip_a:12`
    pub(crate) fn line(&self, source: &Source, span: Span) -> String {
        let (line, _) = source.line_numbers(span);
        format!("{}:{line}", self.path(&source.archive, &source.member))
    }

    /// `node2/ip_a:12:5`; without the column on lines that are too long to count.
    pub(crate) fn column(&self, source: &Source, span: Span) -> String {
        let line = self.line(source, span);
        match column(source, span) {
            Some(column) => format!("{line}:{column}"),
            None => line,
        }
    }

    /// `ip_a:12`: the file alone, with the line.
    pub(crate) fn brief(&self, snapshot: &Snapshot, evidence: Evidence) -> Option<String> {
        let source = snapshot.source(evidence.source)?;
        Some(brief(&self.line(source, evidence.span)).to_owned())
    }

    /// A text that is harmless already, as a link to the file that a source stands in.
    pub(crate) fn link(&self, archive: &str, member: &str, text: &str) -> String {
        let file = match self.homes.get(archive) {
            _ if !self.links => None,
            Some(Home::Folder(folder)) => Some(join(folder, member)),
            Some(Home::Archive { file, .. } | Home::File(file)) => Some(file.clone()),
            None => None,
        };
        let uri = file.and_then(|file| {
            let file = Path::new(&file);
            let whole = if file.exists() { std::path::absolute(file).ok()? } else { return None };
            Some(artifact::uri(whole.to_str()?))
        });
        match uri {
            Some(uri) => format!("\x1b]8;;{uri}\x1b\\{text}\x1b]8;;\x1b\\"),
            None => text.to_owned(),
        }
    }

    /// The place of a line, harmless and as a link.
    pub(crate) fn linked_line(&self, source: &Source, span: Span) -> String {
        self.link(&source.archive, &source.member, &visible(&self.line(source, span)))
    }

    /// The same with its column.
    pub(crate) fn linked_column(&self, source: &Source, span: Span) -> String {
        self.link(&source.archive, &source.member, &visible(&self.column(source, span)))
    }
}

/// The file name of a place.
pub(crate) fn brief(place: &str) -> &str {
    let file = place.rsplit('/').next().unwrap_or(place);
    // A member that is at the top of its archive.
    file.rsplit_once('!').map_or(file, |(_, member)| member)
}

fn join(folder: &str, member: &str) -> String {
    match (folder, member) {
        ("", member) => member.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, member) => format!("{}/{member}", folder.trim_end_matches('/')),
    }
}

/// What an `archive` is: the input as the user named it, and behind each `!` a member that is an
/// archive itself.
fn home(archive: &str, members: &[&str]) -> Home {
    let plain = |path: &str| match path.trim_end_matches('/') {
        "." => String::new(),
        "" if path.starts_with('/') => "/".to_owned(),
        path => path.strip_prefix("./").unwrap_or(path).to_owned(),
    };
    // A folder of another name than it has says so itself.
    if Path::new(archive).is_dir() || archive.ends_with('/') {
        return Home::Folder(plain(archive));
    }
    if members.iter().all(|member| member.is_empty()) && !archive.contains('!') {
        return Home::File(archive.to_owned());
    }
    // An archive that lies in a folder is a file.
    let in_folder = archive
        .split_once('!')
        .filter(|(folder, _)| folder.ends_with('/') || Path::new(folder).is_dir());
    let (file, inner) = match in_folder {
        Some((folder, rest)) => {
            let (file, inner) = rest.split_once('!').unwrap_or((rest, ""));
            (join(&plain(folder), file), inner)
        }
        None => match archive.split_once('!') {
            Some((file, inner)) if !Path::new(archive).exists() => (file.to_owned(), inner),
            _ => (archive.to_owned(), ""),
        },
    };
    let name = if inner.is_empty() { file.as_str() } else { inner };
    if inner.is_empty() && members.iter().all(|member| member.is_empty()) {
        return Home::File(file);
    }
    let shown = name.rsplit(['/', '!']).next().unwrap_or(name).to_owned();
    Home::Archive { file, shown, top: top(members) }
}

/// The folder that all members lie in, with its slash; empty where there is none.
fn top(members: &[&str]) -> String {
    /// Folders of a host or of a report itself.
    const OWN: &[&str] = &["", "etc", "proc", "run", "sos_commands", "sys", "usr", "var"];
    let firsts: BTreeSet<&str> = members
        .iter()
        .filter(|member| !member.is_empty())
        .map(|member| member.split_once('/').map_or("", |(first, _)| first))
        .collect();
    match firsts.into_iter().collect::<Vec<_>>().as_slice() {
        [only] if !OWN.contains(only) && members.len() > 1 => format!("{only}/"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_around_all_members_is_left_out() {
        let members = ["sosreport-a/etc/hostname", "sosreport-a/sos_commands/networking/ip_a"];
        let home = home("reports/sosreport-a.tar.xz", &members);
        let shown = "sosreport-a.tar.xz".to_owned();
        let file = "reports/sosreport-a.tar.xz".to_owned();
        assert_eq!(home, Home::Archive { file, shown, top: "sosreport-a/".to_owned() });
        assert_eq!(top(&["etc/hostname", "etc/machine-id"]), "");
        assert_eq!(top(&["a/x", "b/y"]), "");
        assert_eq!(top(&["a/x", "y"]), "");
    }

    #[test]
    fn files_of_folders_are_paths() {
        let places = |archive: &str, members: &[&str]| {
            let homes = BTreeMap::from([(archive.to_owned(), home(archive, members))]);
            Places { homes, links: false }
        };
        let here = env!("CARGO_MANIFEST_DIR");
        let of = |archive: &str| places(archive, &["x"]).path(archive, "src/x");
        assert_eq!(of(here), format!("{here}/src/x"));
        assert_eq!(of(&format!("{here}/")), format!("{here}/src/x"));
        assert_eq!(of("."), "src/x");
        let nested = format!("{here}!sos/a.tar.xz");
        assert_eq!(places(&nested, &["t/x", "t/y"]).path(&nested, "t/x"), "a.tar.xz!x");
        assert_eq!(places("notes.txt", &[""]).path("notes.txt", ""), "notes.txt");
    }

    #[test]
    fn a_place_is_called_by_its_file() {
        assert_eq!(brief("a/b/ip_a:12"), "ip_a:12");
        assert_eq!(brief("a.tar.xz!ip_a:12"), "ip_a:12");
    }
}
