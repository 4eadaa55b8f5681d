//! All inputs together: hosts that are the same are joined, texts get their order and numbers.
use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use tapline_core::capture::{
    Captured, Command, Completeness, HostId, InputCount, InputProblem, LinePlace, Source,
};
use tapline_core::outcome::ProblemKind;
use tapline_core::span::SourceId;
use tapline_formats::registry::{self, Format};

use crate::host::{Draft, Piece, decode};
use crate::join::{self, Found};
use crate::load::Loader;
use crate::packing::{self, Mark};
use crate::tree::Tree;
use crate::{CaptureError, Input, Options, command, folder, sos};

/// See [`crate::open`].
pub(crate) fn open(inputs: &[Input], options: &Options) -> Result<Captured, CaptureError> {
    let mut captured = Captured::default();
    let mut found: Vec<Found> = Vec::new();
    let mut loader = Loader::new(&options.limits, &options.tally);
    for input in inputs {
        let (path, shown) = match input {
            Input::Path(path) => (path.clone(), path.to_string_lossy().into_owned()),
            Input::Stdin => (PathBuf::from("-"), "-".to_owned()),
            Input::Text(name, _) => (PathBuf::from(name), name.clone()),
        };
        loader.count = InputCount { archive: shown.clone(), ..InputCount::default() };
        let read = match input {
            Input::Path(path) => loader.path(path),
            Input::Stdin => {
                loader.stream(io::stdin(), "-".into());
                Ok(())
            }
            Input::Text(name, text) => {
                loader.stream(text.as_bytes(), name.as_str().into());
                Ok(())
            }
        };
        read.map_err(|source| CaptureError::Io { path: path.clone(), source })?;
        let mut count = std::mem::take(&mut loader.count);
        let mut drafts = Vec::new();
        for tree in std::mem::take(&mut loader.trees) {
            match &options.command {
                Some(given) => drafts.extend(one_output(&tree, given, &mut loader)),
                None => {
                    let (of_tree, unread) = of_tree(&tree);
                    drafts.extend(of_tree);
                    count.unclaimed_commands += unread.unclaimed;
                    count.unclaimed_lines += unread.lines;
                    captured.left_out.extend(unread.left_out);
                    loader.problems.extend(unread.problems);
                }
            }
        }
        if drafts.iter().all(|draft| draft.pieces.is_empty()) {
            let why = nothing(&loader, &count, options);
            return Err(CaptureError::Nothing { path, why });
        }
        count.kept = drafts.iter().map(|draft| draft.used).sum();
        count.unclaimed = count.members.saturating_sub(count.kept);
        count.kept_bytes = drafts
            .iter()
            .flat_map(|draft| &draft.pieces)
            .map(|piece| piece.text.len() as u64)
            .sum();
        captured.inputs.push(count);
        drafts.sort_by(|a, b| (a.name(), a.taken()).cmp(&(b.name(), b.taken())));
        let beside = beside(input).filter(|_| options.command.is_none());
        for mut draft in drafts.into_iter().filter(|draft| !draft.pieces.is_empty()) {
            draft.given.clone_from(&options.host);
            found.push(Found { draft, input: shown.clone(), beside: beside.clone() });
        }
    }
    captured.problems = loader.problems;
    let mut joined = join::hosts(found);
    // Numbers, and with them the order of all that is said, do not depend on the order of inputs.
    joined.sort_by_cached_key(|(host, _)| {
        (host.label().to_owned(), host.key.to_string(), host.older.clone())
    });
    let (hosts, pieces) = joined.into_iter().unzip();
    captured.hosts = hosts;
    number(pieces, &mut captured);
    Ok(captured)
}

/// The hosts in one tree, and what sessions leave unread.
fn of_tree(tree: &Tree) -> (Vec<Draft>, folder::Unread) {
    let mut rest: BTreeSet<&str> =
        tree.files.keys().chain(tree.links.keys()).map(String::as_str).collect();
    let mut drafts = Vec::new();
    let roots = sos::roots(tree);
    // Inner reports first: what is theirs is not the outer one's.
    for root in roots.iter().rev() {
        let members: Vec<&str> = rest
            .range(root.as_str()..)
            .take_while(|range| range.starts_with(root))
            .copied()
            .collect();
        for member in &members {
            rest.remove(member);
        }
        drafts.push(sos::read(tree, root, &members));
    }
    let rest: Vec<&str> = rest.into_iter().collect();
    let (found, mut unread) = folder::read(tree, &rest);
    drafts.extend(found);
    // A report holds much that is no evidence of the network.
    for (member, what) in &tree.left_out {
        if !roots.iter().any(|root| member.starts_with(root.as_str())) {
            unread.left_out.push(folder::left_out_text(tree, member, what));
        }
    }
    (drafts, unread)
}

/// A text whose command the user gave.
fn one_output(tree: &Tree, given: &Command, loader: &mut Loader<'_>) -> Option<Draft> {
    let run = command::parse_one(&given.to_string())?;
    let format = registry::by_command(&run.command)?;
    let member = tree.files.keys().next()?;
    if tree.files.len() > 1 {
        let what = "holds several texts; only the first is read as the given command";
        loader.problem(&tree.archive, member, what);
    }
    let (text, lossy) = decode(tree.take(member));
    let (text, places) = unpacked(format, &run.command, text);
    if let Some(other) = registry::by_content(&text).filter(|other| other.id != format.id)
        && !is_read(format, &run.command, &text)
    {
        let what = format!(
            "it looks like the output of `{}`, and was read as that of `{given}` as it was asked",
            other.command
        );
        loader.problem(&tree.archive, "", &what);
    }
    let mut draft = Draft::new(tree, "");
    draft.used = 1;
    draft.identity.learn(&run.command, &run.netns, text.as_bytes());
    draft.pieces.push(Piece {
        netns: run.netns,
        archive: tree.archive.clone(),
        member: if tree.single { "".into() } else { member.as_str().into() },
        first_line: 1,
        command: run.command,
        format: format.id,
        text,
        places,
        lossy,
        completeness: tree
            .completeness(member)
            .and(run.partial.map_or(Completeness::Complete, Completeness::Partial)),
        taken: None,
        window: None,
    });
    Some(draft)
}

/// Whether a format makes sense of any line of a text.
fn is_read(format: &Format, command: &Command, text: &str) -> bool {
    const HEAD: usize = 64 << 10;
    let head = text.get(..text.floor_char_boundary(HEAD)).unwrap_or(text);
    let out = (format.read)(head, command);
    !out.completeness.is_failed() && out.lines.unread * 2 <= out.lines.total
}

/// The text without quotation marks of a mail, line numbers and the like, where the format then
/// understands more of it, and where its lines stand. A text that is understood is left alone.
fn unpacked(format: &Format, command: &Command, text: String) -> (String, Vec<LinePlace>) {
    // Nobody quotes megabytes in a mail.
    const MOST: usize = 1 << 20;
    if text.len() > MOST {
        return (text, Vec::new());
    }
    let unread = |text: &str| (format.read)(text, command).lines.unread;
    let raw = unread(&text);
    if raw == 0 {
        return (text, Vec::new());
    }
    let mut bare = String::with_capacity(text.len());
    let mut places = Vec::new();
    for line in packing::unpack(&text).iter().filter(|line| line.mark == Mark::Text) {
        bare.push_str(&line.text);
        bare.push('\n');
        places.push(line.place());
    }
    if unread(&bare) < raw { (bare, places) } else { (text, Vec::new()) }
}

/// The folder of a file that was given by itself: outputs of one folder are outputs of one machine,
/// as they are where the folder is the input.
fn beside(input: &Input) -> Option<PathBuf> {
    let Input::Path(path) = input else { return None };
    Some(std::path::absolute(path).ok().filter(|absolute| absolute.is_file())?.parent()?.to_owned())
}

/// Puts all texts in order and numbers them.
fn number(hosts: Vec<Vec<Piece>>, captured: &mut Captured) {
    for (host, mut pieces) in (0..).map(HostId).zip(hosts) {
        pieces.sort_by(|a, b| {
            (&a.archive, &a.member, a.first_line).cmp(&(&b.archive, &b.member, b.first_line))
        });
        for piece in pieces {
            let id = SourceId(u32::try_from(captured.sources.len()).unwrap_or(u32::MAX));
            if piece.lossy {
                captured.problems.push(InputProblem {
                    kind: ProblemKind::LossyText,
                    archive: piece.archive.clone(),
                    member: piece.member.clone(),
                    message: "not UTF-8: broken bytes were replaced".to_owned(),
                });
            }
            let request = registry::request(piece.format, &piece.command);
            captured.sources.push(Source {
                id,
                host,
                netns: piece.netns,
                archive: piece.archive,
                member: piece.member,
                first_line: piece.first_line,
                command: piece.command,
                format: Some(piece.format),
                request,
                text: piece.text,
                places: piece.places,
                completeness: piece.completeness,
                taken: piece.taken,
                window: piece.window,
                lines: OnceLock::new(),
            });
        }
    }
}

/// What was found instead of captures, and what would be read.
fn nothing(loader: &Loader<'_>, count: &InputCount, options: &Options) -> String {
    if let Some(command) = &options.command
        && command::parse_one(&command.to_string())
            .is_none_or(|one| registry::by_command(&one.command).is_none())
    {
        return format!("`{command}` is no command that tapline reads");
    }
    let seen = &loader.seen;
    let found = match () {
        () if seen.too_large > 0 => "what is there is larger than --max-member-size".to_owned(),
        () if count.members == 0 => "it is empty".to_owned(),
        () if seen.foreign.is_some() && count.members <= 1 => {
            format!("it is {}", seen.foreign.unwrap_or_default())
        }
        () if seen.texts == 0 && count.members <= 1 => "it is no text and no archive".to_owned(),
        () if count.members <= 1 && loader.kept() > folder::long::LONGEST_SESSION as u64 => {
            format!(
                "it is a text of {} MiB, and neither one output nor a session: a log, most likely",
                loader.kept() >> 20
            )
        }
        () if count.members <= 1 => "no command of tapline's is recognised in it".to_owned(),
        // The archive itself was counted, too.
        () => match count.members - seen.archives.min(count.members) {
            0 | 1 => "its one file is no output of a known command".to_owned(),
            files => format!("none of its {files} files is the output of a known command"),
        },
    };
    let damage = loader.problems.first().map(|problem| format!(" ({})", problem.message));
    let packed = || {
        let mut left_out = loader.trees.iter().flat_map(|tree| &tree.left_out);
        left_out.find(|(_, what)| what.contains("unpack it")).map(|(_, what)| format!(" ({what})"))
    };
    let damage = damage.or_else(packed).unwrap_or_default();
    format!(
        "{found}{damage}; tapline reads sosreports (tar, gz, bz2, xz, zst, or unpacked), folders of saved \
         output, console sessions, or one output with --as 'COMMAND'"
    )
}
