//! Outputs in folders, and texts of unknown origin: everything but sos reports.
mod drafts;
mod guests;
pub(crate) mod long;
mod machines;
mod moments;
mod nested;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::{Command, Completeness, InputProblem, LeftOut, LinePlace};
use tapline_core::ids::Netns;
use tapline_core::outcome::ProblemKind;
use tapline_formats::registry::{self, Format};

use crate::choose::{self, per_process};
use crate::flat::{self, Guess};
use crate::host::{Draft, Identity, Piece, Whole, decode, short};
use crate::listed::{self, Listed};
use crate::packing::Line;
use crate::sos::name::Names;
use crate::transcript::{self, Transcript};
use crate::tree::Tree;
use crate::{command, packing, supportconfig};

/// What one text turned out to be.
enum Text {
    /// One output.
    Output { piece: Piece, label: Option<String> },
    /// A console session.
    Session(Transcript),
    /// A file of supportconfig.
    Sections(Vec<supportconfig::Section>),
    /// It only names the machine.
    Name,
}

/// What sessions hold that was not read.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// Commands that nothing reads.
    pub(crate) unclaimed: u64,
    /// Lines that look like output, and that nothing reads.
    pub(crate) lines: u64,
    /// Output that could not be told apart.
    pub(crate) problems: Vec<InputProblem>,
    /// What was not used.
    pub(crate) left_out: Vec<LeftOut>,
}

/// Hosts out of the texts that belong to no sos report, and what sessions leave unread.
pub(crate) fn read(tree: &Tree, members: &[&str]) -> (Vec<Draft>, Unread) {
    let mut folders: BTreeMap<&str, Vec<(&str, Text)>> = BTreeMap::new();
    let mut identities: BTreeMap<&str, Identity> = BTreeMap::new();
    let mut lists: BTreeMap<&str, BTreeMap<String, Listed>> = BTreeMap::new();
    let mut unread = Unread::default();
    let mut seen = BTreeSet::new();
    for &member in members {
        let Some(file) = tree.resolve(member) else { continue };
        // A link and its target are one text; the target is among the members, too.
        if file != member && members.binary_search(&file.as_str()).is_ok()
            || !seen.insert(file.clone())
        {
            continue;
        }
        let home = home(member);
        let identity = identities.entry(home).or_default();
        let list = lists.entry(home).or_insert_with(|| listed::collected(tree, home));
        let text = text(tree, (member, &file), home, identity, list);
        if text.is_none() && choose::system_folder(member).is_none() {
            unread.left_out.push(left_out_text(tree, member, ""));
        }
        if let Some(text) = text {
            if let Text::Session(it) = &text {
                unread.unclaimed += it.unclaimed;
                unread.left_out.extend(it.left_out.iter().map(|left| LeftOut {
                    archive: tree.archive.clone(),
                    member: if tree.single { "".into() } else { member.into() },
                    line: Some(left.line),
                    command: Some(left.command.clone()),
                    what: "command".to_owned(),
                }));
                unread.problems.extend(it.mixed.iter().map(|(line, commands)| InputProblem {
                    kind: ProblemKind::UnreadLine,
                    archive: tree.archive.clone(),
                    member: if tree.single { "".into() } else { member.into() },
                    message: format!(
                        "line {line}: the outputs of `{}` run into one another and were not read; \
                         paste one command at a time",
                        commands.join("`, `")
                    ),
                }));
                unread.problems.extend(loose(tree, member, it));
                unread.lines +=
                    it.loose.iter().map(|(first, last)| lines(*first, *last)).sum::<u64>();
                unread.problems.extend(it.read_to.map(|bytes| long::limit(tree, member, bytes)));
            }
            folders.entry(home).or_default().push((member, text));
        }
    }
    let collected: BTreeSet<&str> =
        lists.iter().filter(|(_, list)| !list.is_empty()).map(|(home, _)| *home).collect();
    let mut hosts = Vec::new();
    for (folder, mut draft) in drafts::drafts(tree, folders, &identities) {
        if folder.is_some_and(|folder| collected.contains(folder)) {
            draft.whole = Some(Whole::Collected);
        } else if folder.is_some()
            && let Some((parts, why)) = machines::part_of_folder(&mut draft)
        {
            unread.problems.push(InputProblem {
                kind: ProblemKind::Container,
                archive: tree.archive.clone(),
                member: folder.unwrap_or_default().into(),
                message: why,
            });
            hosts.extend(parts);
        }
        hosts.push(draft);
    }
    hosts.retain(|draft| draft.used > 0);
    (hosts, unread)
}

/// Lines of a session that look like output, and were not read.
fn loose<'a>(
    tree: &'a Tree,
    member: &'a str,
    session: &'a Transcript,
) -> impl Iterator<Item = InputProblem> + 'a {
    session.loose.iter().map(move |(first, last)| InputProblem {
        kind: ProblemKind::UnreadLine,
        archive: tree.archive.clone(),
        member: if tree.single { "".into() } else { member.into() },
        message: if first == last {
            format!("line {first}: it looks like output, and nothing tells of which command")
        } else {
            format!(
                "lines {first} to {last}: they look like output, and nothing tells of which command"
            )
        },
    })
}

/// How many lines there are from one to another.
fn lines(first: u32, last: u32) -> u64 {
    u64::from(last.saturating_sub(first)) + 1
}

/// A member that was not read.
pub(crate) fn left_out_text(tree: &Tree, member: &str, what: &str) -> LeftOut {
    LeftOut {
        archive: tree.archive.clone(),
        member: if tree.single { "".into() } else { member.into() },
        line: None,
        command: None,
        what: if what.is_empty() { "text".to_owned() } else { what.to_owned() },
    }
}

/// Whether a text of unknown origin is worth keeping: an output, a session, a supportconfig file.
pub(crate) fn is_of_use(base: &str, bytes: &[u8]) -> bool {
    if base == listed::COLLECTED {
        return listed::is_collected(bytes);
    }
    // Whole texts are checked at once where they are sound.
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    };
    let named = flat::guess(base, &Names::default());
    named.as_ref().is_some_and(|named| registry::by_command(&named.named.command).is_some())
        || registry::by_content(&text).is_some()
        || supportconfig::is(&text)
        || may_be_session(named.as_ref(), &text) && long::has_output(&text)
}

/// Whether a text is searched for prompts. A name that is a command, read or not, is only doubted
/// where the text begins with one.
fn may_be_session(guess: Option<&Guess>, text: &str) -> bool {
    let says_what_it_is = guess.is_some_and(|guess| {
        let command = &guess.named.command;
        guess.exact && (registry::by_command(command).is_some() || flat::is_command(command))
    });
    !says_what_it_is || begins_with_prompt(text)
}

/// The folder that a member speaks for: where `etc/…` is part of it, the one above.
fn home(member: &str) -> &str {
    match choose::system_folder(member) {
        Some(0) => "",
        Some(at) => member.get(..at - 1).unwrap_or_default(),
        None => {
            flat::of_streams(member).unwrap_or(member).rsplit_once('/').map_or("", |pair| pair.0)
        }
    }
}

/// Recognises one text.
fn text(
    tree: &Tree,
    (member, file): (&str, &str),
    home: &str,
    identity: &mut Identity,
    list: &BTreeMap<String, Listed>,
) -> Option<Text> {
    let inside = match home {
        "" => member,
        home => member.get(home.len() + 1..)?,
    };
    if inside == listed::COLLECTED && !list.is_empty() {
        return Some(Text::Name);
    }
    let (text, lossy) = decode(tree.take(file));
    let bytes = text.as_bytes();
    let listed = list.get(inside);
    let (verdict, taken) = match listed {
        Some(it) => (it.verdict(bytes.is_empty()), it.start),
        None => (Completeness::Complete, None),
    };
    let piece = |format: &'static Format, run: command::Invocation, text: String| Piece {
        netns: run.netns,
        archive: tree.archive.clone(),
        member: if tree.single { "".into() } else { member.into() },
        first_line: 1,
        command: run.command,
        format: format.id,
        text,
        places: Vec::new(),
        lossy,
        completeness: tree
            .completeness(file)
            .and(run.partial.map_or(Completeness::Complete, Completeness::Partial))
            .and(verdict.clone()),
        taken,
        window: None,
    };
    if let Some(run) = listed.and_then(|listed| command::parse_one(&listed.exec)) {
        identity.learn(&run.command, &run.netns, bytes);
        return match registry::by_command(&run.command) {
            Some(format) => Some(Text::Output { piece: piece(format, run, text), label: None }),
            None => Some(Text::Name),
        };
    }
    if choose::system_folder(member).is_some() {
        let path = match per_process(inside) {
            Some(file) => format!("/proc/net/{file}"),
            None => format!("/{inside}"),
        };
        let run = command::Invocation::file(&path);
        identity.learn(&run.command, &run.netns, bytes);
        return match registry::by_command(&run.command) {
            Some(format) => Some(Text::Output { piece: piece(format, run, text), label: None }),
            None => Some(Text::Name),
        };
    }
    if inside == "machine-id" {
        identity.learn(&command::Invocation::file("/etc/machine-id").command, &Netns::Root, bytes);
    }
    let named = match flat::of_streams(member) {
        Some(_) if inside.contains("err") => return None,
        Some(_) => inside.rsplit_once('/').map_or(inside, |pair| pair.0),
        None => inside,
    };
    let guess = flat::guess(named, &Names::default());
    if let Some(it) = &guess {
        identity.learn(&it.named.command, &it.named.netns, bytes);
    }
    if supportconfig::is(&text) {
        let sections = supportconfig::read(&text);
        for it in &sections {
            identity.learn(&it.run.command, &it.run.netns, it.text.as_bytes());
        }
        return Some(Text::Sections(sections));
    }
    if may_be_session(guess.as_ref(), &text) {
        let session = long::session(&text);
        if is_packed_output(guess.as_ref(), &session) {
            let (_, piece) = of_session(tree, member, session).next()?;
            identity.learn(&piece.command, &piece.netns, piece.text.as_bytes());
            let label = guess.and_then(|guess| guess.label);
            return Some(Text::Output { piece, label });
        }
        // A part of one output among words is none that the whole text tells.
        let is_part = || {
            let begun = session.blocks.first().is_some_and(|block| block.first_line > 1);
            let exact = guess.as_ref().is_some_and(|guess| guess.exact);
            let named = guess.as_ref().and_then(|it| registry::by_command(&it.named.command));
            begun && !exact && named.is_none() && registry::by_content(&text).is_none()
        };
        let is_one = session.is_one_output() && !is_part();
        if (!session.blocks.is_empty() || session.sure > 0) && !is_one {
            return Some(Text::Session(session));
        }
        // What another machine or a container printed is nothing of this host.
        if session.elsewhere {
            return None;
        }
    }
    let named = guess.as_ref().filter(|guess| guess.exact);
    let named = named.and_then(|guess| registry::by_command(&guess.named.command));
    let (text, places, seen) = if named.is_some_and(|format| registry::looks_like(format, &text)) {
        (text, Vec::new(), named)
    } else {
        without_packing(text)
    };
    let Some((format, command)) = flat::recognise(guess.as_ref(), &text, seen) else {
        let names = guess
            .is_some_and(|guess| guess.exact && choose::tells_the_machine(&guess.named.command));
        return names.then_some(Text::Name);
    };
    if named.is_none() && is_only_begun(format, &command, &text) {
        return None;
    }
    let Guess { named, label, .. } = guess.unwrap_or(Guess {
        named: crate::sos::name::Named::default(),
        label: None,
        exact: false,
    });
    let run = command::Invocation { command, netns: named.netns, ..Default::default() };
    let piece = Piece { places, ..piece(format, run, text) };
    Some(Text::Output { piece, label })
}

/// Whether a long text is of a format only where it begins: a log that starts with an output.
fn is_only_begun(format: &Format, command: &Command, text: &str) -> bool {
    const LONG: usize = 16 << 20;
    // A document has one line, or parts that mean nothing alone.
    if text.len() <= LONG || text.starts_with(['[', '{', '<']) {
        return false;
    }
    let parts = [text.len() / 2, text.len() / 4 * 3];
    parts.into_iter().all(|at| {
        let tail = text.get(text.floor_char_boundary(at)..).unwrap_or_default();
        let lines = tail.split_once('\n').map_or("", |(_, lines)| lines);
        !flat::is_understood(format, command, lines)
    })
}

/// Whether a text is one output that is packed: under a heading, `# ip a` in `ip-a.md`, as the
/// collectors of Cilium save it, or in a page. Its name tells the same, or nothing.
fn is_packed_output(guess: Option<&Guess>, session: &Transcript) -> bool {
    let [block] = session.blocks.as_slice() else { return false };
    let format = |command: &Command| registry::by_command(command).map(|format| format.id);
    let named = guess.and_then(|guess| format(&guess.named.command));
    let alone = block.host.is_none() && !block.entered;
    let shown = format(&block.run.command);
    let packed = || session.packed && session.left_out.is_empty();
    let told = match named {
        Some(named) => shown == Some(named) && (!block.by_content || packed()),
        None => block.by_content && packed(),
    };
    alone && told
}

/// An output that is packed without being a session: quoted in a mail, copied from a page. Other
/// texts are left as they are. Says what the text looks like, too.
fn without_packing(text: String) -> (String, Vec<LinePlace>, Option<&'static Format>) {
    const LONGEST: usize = 16 << 20;
    let seen = registry::by_content(&text);
    if text.len() > LONGEST || seen.is_some() {
        return (text, Vec::new(), seen);
    }
    let lines = packing::unpack(&text);
    if lines.iter().all(Line::is_as_written) {
        return (text, Vec::new(), None);
    }
    let mut plain = String::with_capacity(text.len());
    for line in &lines {
        plain.push_str(&line.text);
        plain.push('\n');
    }
    let Some(seen) = registry::by_content(&plain) else {
        return (text, Vec::new(), None);
    };
    let places = lines.iter().map(Line::place).collect();
    (plain, out_of_order(1, places), Some(seen))
}

/// Whether one of the first lines is a command behind a prompt, or opens a block of code: above it may
/// stand who wrote it.
fn begins_with_prompt(text: &str) -> bool {
    const FIRST: usize = 4;
    let lines = text.lines().take(20).filter(|line| !line.trim().is_empty());
    lines.take(FIRST).any(|line| {
        let is_fence = line.starts_with("```") || line.starts_with("~~~");
        let bare = line.trim_start_matches(['>', ' ']);
        let may_be = line.len() < 1000 && line.contains(['#', '$', '>']);
        is_fence || may_be && (transcript::is_prompt(line) || transcript::is_prompt(bare))
    })
}

fn of_sections<'a>(
    tree: &'a Tree,
    member: &'a str,
    sections: Vec<supportconfig::Section>,
) -> impl Iterator<Item = Piece> + 'a {
    sections.into_iter().filter_map(move |it| {
        let format = registry::by_command(&it.run.command)?;
        Some(Piece {
            netns: it.run.netns,
            archive: tree.archive.clone(),
            member: if tree.single { "".into() } else { member.into() },
            first_line: it.first_line,
            command: it.run.command,
            format: format.id,
            text: it.text,
            places: Vec::new(),
            lossy: false,
            completeness: it.partial.map_or(Completeness::Complete, Completeness::Partial),
            taken: None,
            window: None,
        })
    })
}

/// The outputs of a session, each with the host of its prompt.
fn of_session<'a>(
    tree: &'a Tree,
    member: &'a str,
    session: Transcript,
) -> impl Iterator<Item = (Option<String>, Piece)> + 'a {
    session.blocks.into_iter().filter_map(move |it| {
        let format = registry::by_command(&it.run.command)?;
        let piece = Piece {
            netns: it.run.netns,
            archive: tree.archive.clone(),
            member: if tree.single { "".into() } else { member.into() },
            first_line: it.first_line,
            command: it.run.command,
            format: format.id,
            places: out_of_order(it.first_line, it.places),
            text: it.text,
            lossy: false,
            completeness: it.partial.map_or(Completeness::Complete, Completeness::Partial),
            taken: None,
            window: None,
        };
        Some((it.host, piece))
    })
}

/// Places of lines, if they are not simply those that follow the first one.
fn out_of_order(first_line: u32, places: Vec<LinePlace>) -> Vec<LinePlace> {
    let simple = places
        .iter()
        .zip(first_line..)
        .all(|(place, line)| place.line == line && place.column == 0 && place.shifts.is_none());
    if simple { Vec::new() } else { places }
}

/// Sorts the outputs of a session under the hosts of its prompts.
fn add_session(
    tree: &Tree,
    member: &str,
    session: Transcript,
    sessions: &mut BTreeMap<(String, String), Draft>,
) {
    let base = member.rsplit('/').next().unwrap_or(member);
    let mut stem = base.rsplit_once('.').map_or(base, |pair| pair.0);
    // Names of files that every host has: the folder says which.
    if matches!(stem, "session" | "sysstats" | "console" | "typescript" | "output")
        && let Some((folder, _)) = member.rsplit_once('/')
    {
        stem = folder.rsplit('/').next().unwrap_or(folder);
    }
    let stem = stem.to_owned();
    // Commands before the first prompt with a host are of the only host there is, but not of one
    // that was entered from theirs.
    let names: BTreeSet<_> = session
        .blocks
        .iter()
        .filter(|block| !block.entered)
        .filter_map(|block| block.host.as_deref().and_then(short).map(str::to_owned))
        .collect();
    let only = (names.len() == 1).then(|| names.first().cloned()).flatten();
    for (host, piece) in of_session(tree, member, session) {
        let said = host.as_deref().and_then(short).map(str::to_owned).or_else(|| only.clone());
        // Sessions of one host in several files are joined later, unless their times forbid it.
        let key = (member.to_owned(), said.clone().unwrap_or_default());
        let draft = sessions.entry(key).or_insert_with(|| Draft {
            fallback: stem.clone(),
            said,
            session: true,
            ..Draft::default()
        });
        draft.identity.learn(&piece.command, &piece.netns, piece.text.as_bytes());
        draft.used = 1;
        draft.pieces.push(piece);
    }
    guests::part(sessions);
    machines::part(sessions);
}
