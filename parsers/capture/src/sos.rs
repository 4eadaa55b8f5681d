//! Reports of sos: which command filled which file, and what is known to be wrong with them.
pub(crate) mod grammar;
mod index;
pub(crate) mod name;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::{Command, Completeness};
use tapline_core::ids::Netns;
use tapline_formats::registry;

use crate::choose::{self, per_process};
use crate::command;
use crate::host::{Draft, Piece, Whole, decode};
use crate::listed::Listed;
use crate::tree::Tree;
use index::Index;
use name::Names;
use version::Version;

/// The folders (with a final `/`, or empty) that hold `sos_commands/`.
pub(crate) fn roots(tree: &Tree) -> Vec<String> {
    let mut roots = BTreeSet::new();
    for path in tree.files.keys().chain(tree.links.keys()) {
        let Some((root, _)) = choose::below(path, "sos_commands") else { continue };
        // Copies of what containers hold are aliases.
        let copies = root.contains("sos_containers/") || root.contains("sos_strings/");
        if !copies && !roots.contains(root) {
            roots.insert(root.to_owned());
        }
    }
    roots.into_iter().collect()
}

/// Reads the report at `root`; `members` are the paths of its kept files and links.
pub(crate) fn read(tree: &Tree, root: &str, members: &[&str]) -> Draft {
    let mut draft = Draft::new(tree, root);
    draft.whole = Some(Whole::Sos);
    let index = Index::read(tree, root);
    draft.sos_version = index.version.clone().or_else(|| version::of_file(tree, root));
    draft.cleaned = index.cleaned;
    let version = draft.sos_version.as_deref().and_then(Version::parse);
    let finals = finals(tree, root, members);
    let names = names(tree, root, &finals, &index);
    let report = Report { tree, root, index: &index, names: &names, version };
    for (file, member) in &finals {
        draft.pieces.extend(report.piece(file, member, &mut draft.identity));
    }
    report.judge_empty(&mut draft.pieces);
    draft.used = draft.pieces.len() as u64;
    draft.cleaned |= tree.archive.contains("-obfuscated") || draft.pieces.iter().any(is_cleaned);
    draft
}

/// Whether `sos clean` went over a text: MAC addresses begin with its vendor number, `SOS`.
fn is_cleaned(piece: &Piece) -> bool {
    piece.format.0.starts_with("ip-")
        && memchr::memmem::find(piece.text.as_bytes(), b"53:4f:53:").is_some()
}

/// Each kept text once, with the path by which it is known: a link in `sos_commands` to a text in
/// `sos_strings` has the better name.
fn finals<'a>(tree: &Tree, root: &str, members: &[&'a str]) -> BTreeMap<String, &'a str> {
    let mut finals: BTreeMap<String, &'a str> = BTreeMap::new();
    let rank = |member: &str| {
        let inside = member.strip_prefix(root).unwrap_or(member);
        match () {
            () if inside.starts_with("sos_commands/") => 0,
            () if inside.starts_with("sos_strings/") => 2,
            // Links at the root are aliases.
            () if inside.contains('/') => 1,
            () => 3,
        }
    };
    for &member in members {
        let Some(file) = tree.resolve(member) else { continue };
        if !file.starts_with(root) {
            continue;
        }
        let best = finals.entry(file).or_insert(member);
        if rank(member) < rank(best) {
            *best = member;
        }
    }
    finals
}

/// Names of devices and namespaces that occur in the report.
fn names(tree: &Tree, root: &str, finals: &BTreeMap<String, &str>, index: &Index) -> Names {
    let mut names = Names::default();
    for name in &index.devices {
        names.add(name);
    }
    for name in &index.netns {
        names.add_netns(name);
    }
    let devices = format!("{root}sys/class/net/");
    for (path, _) in tree.links.range(devices.clone()..) {
        let Some(device) = path.strip_prefix(devices.as_str()) else { break };
        names.add(device);
    }
    for (file, member) in finals {
        if let Some((_, rest)) = member.split_once("/namespaces/")
            && let Some((name, _)) = rest.split_once('/')
        {
            names.add_netns(name);
        }
        let base = member.rsplit('/').next().unwrap_or(member);
        let listing =
            matches!(base, "ip_netns" | "ip_-d_address" | "ip_address" | "ip_-o_addr" | "ip_link");
        let Some(bytes) = tree.bytes(file).filter(|_| listing) else { continue };
        let text = String::from_utf8_lossy(&bytes);
        if base == "ip_netns" {
            for name in text.lines().filter_map(|line| line.split_whitespace().next()) {
                names.add_netns(name);
            }
        } else {
            add_devices(&text, &mut names);
        }
    }
    names
}

/// The devices that `ip` lists: `12: NAME@PEER: <…`.
fn add_devices(text: &str, names: &mut Names) {
    for line in text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_digit())) {
        let Some((_, rest)) = line.split_once(": ") else { continue };
        let name = rest.split([' ', '@']).next().unwrap_or_default();
        let name = name.strip_suffix(':').unwrap_or(name);
        if !name.is_empty() {
            names.add(name);
        }
    }
}

/// One report, while its texts are named.
struct Report<'a> {
    tree: &'a Tree,
    root: &'a str,
    index: &'a Index,
    names: &'a Names,
    version: Option<Version>,
}

impl Report<'_> {
    /// The text at `file`, known as `member`, if a format reads it.
    fn piece(
        &self,
        file: &str,
        member: &str,
        identity: &mut crate::host::Identity,
    ) -> Option<Piece> {
        let inside = member.strip_prefix(self.root)?;
        let listed = self
            .index
            .commands
            .get(file.strip_prefix(self.root)?)
            .or_else(|| self.index.commands.get(inside));
        let mut state = self.tree.completeness(file);
        let (command, netns, sure) = if let Some(below) = inside.strip_prefix("sos_commands/") {
            self.command(below, listed, &mut state)?
        } else if let Some((_, below)) = choose::below(inside, "sos_commands") {
            // `sos_containers/NAME/sos_commands/…` where the link is a copy.
            self.command(below, listed, &mut state)?
        } else if let Some(below) = inside.strip_prefix("sos_strings/") {
            self.command(below, listed, &mut state)?
        } else if inside == "hostname" {
            // A link in a report; copies hold what it leads to.
            (Command::new("hostname"), Netns::Root, true)
        } else {
            let path = match per_process(inside) {
                Some(_) if !self.is_own_process(inside) => return None,
                Some(file) => format!("/proc/net/{file}"),
                None => format!("/{}", inside.strip_prefix("host/").unwrap_or(inside)),
            };
            let argv = vec!["cat".to_owned(), path];
            (Command { argv }, Netns::Root, true)
        };
        identity.learn(&command, &netns, &self.tree.bytes(file)?);
        if self.lies(&command, &netns) {
            return None;
        }
        let (text, lossy) = decode(self.tree.take(file));
        let (format, command) = match registry::by_command(&command) {
            Some(format) => (format, command),
            None if !sure => crate::flat::of_content(registry::by_content(&text)?),
            None => return None,
        };
        if file.ends_with(".tailed") {
            state =
                state.and(Completeness::Partial("head cut off: output was too long".to_owned()));
        }
        if let Some(listed) = listed {
            state = state.and(listed.verdict(text.is_empty()));
        }
        Some(Piece {
            netns,
            archive: self.tree.archive.clone(),
            member: member.into(),
            first_line: 1,
            command,
            format: format.id,
            text,
            places: Vec::new(),
            lossy,
            completeness: state,
            taken: listed.and_then(|listed| listed.start),
            window: self.index.window,
        })
    }

    /// The command of a file below `sos_commands/`: by the index, else by the name.
    fn command(
        &self,
        below: &str,
        listed: Option<&Listed>,
        state: &mut Completeness,
    ) -> Option<(Command, Netns, bool)> {
        if let Some(run) = listed.and_then(|listed| command::parse_one(&listed.exec)) {
            let run_netns = run.netns;
            return Some((run.command, run_netns, true));
        }
        let early = (!below.contains('/')).then(|| below.split_once('.')).flatten();
        let Some(named) = name::inverse(early.map_or(below, |early| early.1), self.names) else {
            // A name cut at 64 characters: the namespace is told, the command is not.
            let rest = below.rsplit('/').next()?.strip_prefix("ip_netns_exec_")?;
            let netns = rest.rsplit_once('_')?.0;
            return Some((Command::default(), Netns::Named(netns.into()), false));
        };
        if named.wrong_netns {
            let why = "sos 3.3 asked for a namespace called `(id:`, which is not there";
            *state = std::mem::take(state).and(Completeness::Failed(why.to_owned()));
        }
        let mut command = named.command;
        self.repair_peer(&mut command);
        Some((command, named.netns, true))
    }

    /// 3.0 to 3.6 ran `ethtool veth1@if6`: the file is called `ethtool_veth1_if6`.
    fn repair_peer(&self, command: &mut Command) {
        let old = self.version.is_some_and(|version| version.between((3, 0), (3, 6)));
        if !old || command.program() != "ethtool" {
            return;
        }
        let Some(device) = command.argv.last_mut() else { return };
        if let Some((name, _)) = device.rsplit_once('_')
            && !self.names.has(device)
            && self.names.has(name)
        {
            *device = name.to_owned();
        }
    }

    /// 4.4 and later ask each namespace for the devices of the root namespace: the files of a
    /// namespace say nothing about it.
    fn lies(&self, command: &Command, netns: &Netns) -> bool {
        command.program() == "ethtool"
            && !netns.is_root()
            && self.version.is_some_and(|version| version.at_least((4, 4)))
    }

    /// `/proc/net` is copied as that of one process; others may be in other namespaces.
    fn is_own_process(&self, inside: &str) -> bool {
        let process = inside.split('/').nth(1).unwrap_or_default();
        match self.tree.links.get(&format!("{}proc/self", self.root)) {
            Some(own) => own == process || process == "self",
            None => true,
        }
    }

    /// 3.5 to 3.9 leave an empty file where a command is missing. An empty answer of a program
    /// that answered elsewhere is an answer.
    fn judge_empty(&self, pieces: &mut [Piece]) {
        if !self.version.is_some_and(|version| version.between((3, 5), (3, 9))) {
            return;
        }
        let mut answered: Vec<String> = pieces
            .iter()
            .filter(|piece| !piece.text.is_empty())
            .map(|piece| piece.command.program().to_owned())
            .collect();
        answered.sort();
        answered.dedup();
        for piece in pieces.iter_mut().filter(|piece| piece.text.is_empty()) {
            let program = piece.command.program();
            if program != "cat"
                && answered.binary_search_by(|answered| answered.as_str().cmp(program)).is_err()
            {
                let why =
                    format!("empty: this sos writes an empty file where `{program}` is missing");
                let before = std::mem::take(&mut piece.completeness);
                piece.completeness = before.and(Completeness::Failed(why));
            }
        }
    }
}
