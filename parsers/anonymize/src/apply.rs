//! Puts substitutes into what was captured: texts, and all that is said beside them.
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use tapline_core::Name;
use tapline_core::capture::{
    Captured, Command, Completeness, Host, HostKey, InputCount, LeftOut, LinePlace, Source,
};
use tapline_core::ids::Netns;

use crate::{Substitutes, framed, secrets};

/// A replaced part of a line, in bytes of what it was and of what it is.
struct Edit {
    start: usize,
    end: usize,
    new: usize,
}

impl Substitutes {
    /// What was captured, with substitutes everywhere. Lines stay lines, in their order.
    pub fn apply(&self, captured: Captured) -> Captured {
        let folders: BTreeSet<&str> = captured
            .sources
            .iter()
            .filter(|source| !source.member.is_empty())
            .filter_map(|source| source.archive.split('!').next())
            .collect();
        let named = |input: &InputCount| {
            let is_folder = ending(&input.archive).is_empty() && folders.contains(&*input.archive);
            (input.archive.clone(), if is_folder { "/" } else { ending(&input.archive) }.to_owned())
        };
        let inputs = Inputs(captured.inputs.iter().map(named).collect());
        let place = |archive: &str| inputs.place(self, archive);
        Captured {
            hosts: captured.hosts.into_iter().map(|host| self.host(host, &inputs)).collect(),
            sources: captured
                .sources
                .into_iter()
                .map(|source| self.source(source, &inputs))
                .collect(),
            problems: captured
                .problems
                .into_iter()
                .map(|mut problem| {
                    problem.message = self.text(&problem.message).into_owned();
                    problem.archive = place(&problem.archive).into();
                    problem.member = self.shared(&problem.member);
                    problem
                })
                .collect(),
            inputs: captured
                .inputs
                .into_iter()
                .map(|input| InputCount { archive: place(&input.archive), ..input })
                .collect(),
            left_out: captured
                .left_out
                .into_iter()
                .map(|left| LeftOut {
                    archive: place(&left.archive).into(),
                    member: self.shared(&left.member),
                    command: left.command.map(|command| self.owned(&command)),
                    ..left
                })
                .collect(),
        }
    }

    fn owned(&self, text: &str) -> String {
        self.text(text).into_owned()
    }

    fn shared(&self, text: &str) -> Arc<str> {
        self.text(text).into()
    }

    fn name(&self, name: &str) -> Name {
        self.text(name).as_ref().into()
    }

    fn host(&self, host: Host, inputs: &Inputs) -> Host {
        let id = |id: Option<String>| id.map(|id| self.owned(&id));
        let key = match &host.key {
            HostKey::MachineId(id, clone) => HostKey::MachineId(self.name(id), self.name(clone)),
            HostKey::SystemId(id, clone) => HostKey::SystemId(self.name(id), self.name(clone)),
            HostKey::DmiUuid(id) => HostKey::DmiUuid(self.name(id)),
            HostKey::Named { name, input } => {
                let input = inputs.named(input).map_or_else(|| self.name(input), Name::from);
                HostKey::Named { name: self.name(name), input }
            }
        };
        Host {
            name: self.owned(&host.name),
            label: self.owned(&host.label),
            key,
            older: host.older.map(|older| self.name(&older)),
            may_be: host.may_be.iter().map(|label| self.owned(label)).collect(),
            inputs: host.inputs.iter().map(|input| inputs.place(self, input)).collect(),
            machine_id: id(host.machine_id),
            system_id: id(host.system_id),
            dmi_uuid: id(host.dmi_uuid),
            ..host
        }
    }

    fn source(&self, source: Source, inputs: &Inputs) -> Source {
        let netns = match &source.netns {
            Netns::Named(name) => Netns::Named(self.name(name)),
            other => other.clone(),
        };
        let argv = source.command.argv.iter().map(|word| self.owned(word)).collect();
        let (text, places) = self.lines(&source.text, source.places);
        let mut request = source.request;
        request.object = request.object.map(|object| self.name(&object));
        Source {
            netns,
            archive: inputs.place(self, &source.archive).into(),
            member: self.shared(&source.member),
            command: Command { argv },
            request,
            text,
            completeness: match source.completeness {
                Completeness::Complete => Completeness::Complete,
                Completeness::Partial(why) => Completeness::Partial(self.owned(&why)),
                Completeness::Failed(why) => Completeness::Failed(self.owned(&why)),
            },
            places,
            lines: OnceLock::new(),
            ..source
        }
    }

    /// The lines of a text, each with the places of its parts.
    fn lines(&self, text: &str, mut places: Vec<LinePlace>) -> (String, Vec<LinePlace>) {
        let mut out = String::with_capacity(text.len() + text.len() / 16);
        let lines: Vec<Cow<'_, str>> = text
            .split_inclusive('\n')
            .map(|line| secrets::masked(line).map_or(Cow::Borrowed(line), Cow::Owned))
            .collect();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            if let Some(table) = self.table(lines.get(at..).unwrap_or_default()) {
                at += table.len();
                out.extend(table);
                continue;
            }
            if line.starts_with("OVSDB ") {
                let next = lines.get(at + 1).map_or(0, |next| self.text(next).len());
                let (body, end) = parted(line);
                if let Some(header) = framed::header(body, next) {
                    out.push_str(&self.text(&header));
                    out.push_str(end);
                    at += 1;
                    continue;
                }
            }
            let mut edits = Vec::new();
            self.line(line, &mut out, &mut edits);
            let shifts = places.get_mut(at).and_then(|place| place.shifts.as_deref_mut());
            for shift in shifts.into_iter().flatten() {
                shift.at = moved(line, &edits, shift.at);
            }
            at += 1;
        }
        (out, places)
    }

    /// The lines of a table that begins here: the names of its columns over a rule of dashes.
    fn table(&self, lines: &[Cow<'_, str>]) -> Option<Vec<String>> {
        let columns = framed::columns(lines.get(1)?)?;
        let is_end = |line: &&Cow<'_, str>| line.trim().is_empty();
        let rows = lines.iter().take_while(|line| !is_end(line));
        let (bodies, ends): (Vec<&str>, Vec<&str>) = rows.map(|line| parted(line)).unzip();
        if bodies.len() < 2 {
            return None;
        }
        let table = framed::table(&bodies, &columns, |cell| self.owned(cell));
        Some(table.into_iter().zip(ends).map(|(line, end)| line + end).collect())
    }

    /// One line. Where columns are kept apart by blanks, they stay where they are.
    fn line(&self, line: &str, out: &mut String, edits: &mut Vec<Edit>) {
        let begun = out.len();
        let mut done = 0;
        // Characters that the line is longer than it was, or shorter.
        let mut debt: isize = 0;
        self.each(line, |range, other| {
            pay(line.get(done..range.start).unwrap_or_default(), &mut debt, out);
            let old = line.get(range.clone()).unwrap_or_default();
            out.push_str(other);
            debt += other.chars().count().cast_signed() - old.chars().count().cast_signed();
            edits.push(Edit { start: range.start, end: range.end, new: out.len() - begun });
            done = range.end;
        });
        pay(line.get(done..).unwrap_or_default(), &mut debt, out);
    }

    /// A text with substitutes.
    pub fn text<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut out = String::new();
        let mut done = 0;
        self.each(text, |range, other| {
            out.push_str(text.get(done..range.start).unwrap_or_default());
            out.push_str(other);
            done = range.end;
        });
        if done == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(text.get(done..).unwrap_or_default());
        Cow::Owned(out)
    }
}

/// Writes a part of a line that stays; columns behind blanks of it come to stand where they stood.
fn pay(part: &str, debt: &mut isize, out: &mut String) {
    let body = part.trim_end_matches(['\n', '\r']);
    let mut rest = part;
    while *debt != 0
        && let Some((before, behind)) = rest.split_once("  ")
        && behind.len() > part.len() - body.len()
    {
        let blanks = 2 + behind.len() - behind.trim_start_matches(' ').len();
        let wanted = (blanks.cast_signed() - *debt).max(2);
        out.push_str(before);
        out.extend(std::iter::repeat_n(' ', wanted.unsigned_abs()));
        *debt -= blanks.cast_signed() - wanted;
        rest = behind.trim_start_matches(' ');
    }
    out.push_str(rest);
}

/// A line and its end.
fn parted(line: &str) -> (&str, &str) {
    let body = line.trim_end_matches(['\n', '\r']);
    (body, line.get(body.len()..).unwrap_or_default())
}

/// Where the character with the index `at` of a line stands in what the line became.
fn moved(line: &str, edits: &[Edit], at: u32) -> u32 {
    let byte = line.char_indices().nth(at as usize).map_or(line.len(), |(byte, _)| byte);
    let before = edits.iter().rev().find(|edit| edit.start < byte);
    let Some(edit) = before else { return at };
    // Substitutes are of ASCII but for what was not, which no place in front of it tells apart.
    let new = edit.new + byte.saturating_sub(edit.end);
    u32::try_from(new).unwrap_or(u32::MAX)
}

/// The inputs as a person named them, with what stays of that: folders above them and the names of
/// archives tell of a case.
struct Inputs(Vec<(String, String)>);

impl Inputs {
    /// `input-1.tar.xz`, with the archives within it.
    fn place(&self, substitutes: &Substitutes, archive: &str) -> String {
        let (outer, inner) = match archive.split_once('!') {
            Some((outer, inner)) => (outer, Some(inner)),
            None => (archive, None),
        };
        let mut all = self.0.iter().zip(1..);
        let input = all.find(|((input, _), _)| input.split('!').next() == Some(outer));
        let Some(((_, ending), at)) = input else { return substitutes.text(archive).into_owned() };
        if outer == "-" {
            return archive.to_owned();
        }
        let named = format!("input-{at}{ending}");
        match inner {
            Some(inner) => format!("{named}!{}", substitutes.text(inner)),
            None => named,
        }
    }

    /// The same of a name without folders and endings.
    fn named(&self, name: &str) -> Option<String> {
        let is_one = |(input, _): &(String, String)| {
            let file = input.rsplit('/').find(|part| !part.is_empty()).unwrap_or(input);
            !name.is_empty() && file.strip_suffix(ending(file)).unwrap_or(file) == name
        };
        self.0.iter().position(is_one).map(|at| format!("input-{}", at + 1))
    }
}

/// `.tar.xz`: what tells the sort of a file.
fn ending(path: &str) -> &str {
    const ENDINGS: &[&str] = &[
        ".tar.xz", ".tar.gz", ".tar.bz2", ".tar.zst", ".tgz", ".txz", ".tbz", ".tar", ".zip",
        ".gz", ".xz", ".txt", ".log", ".md", ".html", ".cast",
    ];
    let end = ENDINGS.iter().find(|ending| path.ends_with(**ending));
    end.and_then(|ending| path.get(path.len() - ending.len()..)).unwrap_or("")
}
