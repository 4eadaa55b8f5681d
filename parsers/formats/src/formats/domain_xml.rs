//! Domains as XML: `virsh dumpxml`, `virsh edit`, `/etc/libvirt/qemu/*.xml`,
//! `/run/libvirt/qemu/*.xml`.
//!
//! Source of the format: libvirt `docs/schemas/domaincommon.rng`, `src/conf/domain_conf.c`
//! (`virDomainNetDefFormat`), `src/qemu/qemu_domain.c` (`<domstatus>`); 0.9 to 11. nova's
//! metadata: `nova/virt/libvirt/config.py` (`LibvirtConfigGuestMetaNovaInstance`).
//!
//! A text may hold several domains one after another, a comment or a prompt around them, or
//! nothing but `<interface>` elements (an excerpt of `virsh edit`): those become one nameless
//! domain. Of broken XML the elements that are whole are read.
mod domain;
mod interface;
mod pieces;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome, Problem, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::libvirt::{Domain, DomainNic};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, LineIndex, Span};

use super::virsh;
use crate::format::{Ends, Format, Per};
use crate::lines::{finish, tool_error};
use crate::ovsdb::notation::is_uuid;
use crate::xml::{self, Place, Tags};
use pieces::{Kind, Piece};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("domain-xml"),
    command: "virsh dumpxml",
    collect: &[Per::Domain.run("virsh -r dumpxml {}")],
    claims: |command| {
        let shown = virsh::args_of(command, "dumpxml").or_else(|| virsh::args_of(command, "edit"));
        let name = match shown {
            Some(args) => virsh::named_in(args),
            None => Some(command.path().and_then(domain_of_file)?),
        };
        Some(Request::whole(&[Topic::DomainXml]).about(name))
    },
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        // One document.
        begins: |_| false,
        closes: |last| last.trim() == "</domain>",
        ..Ends::LINES
    },
};

/// The domain whose persistent or running state a file holds: `…/libvirt/qemu/NAME.xml`. The
/// folders below hold networks, snapshots and links to the files here.
fn domain_of_file(path: &str) -> Option<&str> {
    let (folder, file) = path.rsplit_once('/')?;
    let (above, driver) = folder.rsplit_once('/')?;
    let is_libvirt = ["etc/libvirt", "run/libvirt"].iter().any(|base| above.ends_with(base));
    let name = file.strip_suffix(".xml").filter(|name| !name.is_empty());
    name.filter(|_| is_libvirt && matches!(driver, "qemu" | "lxc" | "libxl"))
}

/// The first element tells; a tag within prose is a placeholder unless it has a type.
fn sniff(head: &str) -> u8 {
    let leads = head.trim_start().starts_with('<');
    let Some(tag) = Tags::of(head).next() else { return 0 };
    let typed = head.get(tag.start..tag.end).is_some_and(|it| it.contains(" type="));
    match tag.name {
        "domain" | "domstatus" if leads || typed => 95,
        "interface" if leads && typed => 70,
        _ => 0,
    }
}

/// Reads the whole text.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Domain>> {
    let pieces = pieces::split(text);
    let mut reading = Reading {
        out: Outcome::default(),
        fates: Fates::new(text),
        loose: Vec::new(),
        partial: None,
    };
    for piece in &pieces {
        reading.piece(text, piece);
    }
    reading.loose_interfaces(command);
    reading.around(text, &pieces);
    reading.end(text)
}

/// What was read so far.
struct Reading {
    out: Outcome<Vec<Domain>>,
    fates: Fates,
    /// Interfaces outside of any domain.
    loose: Vec<DomainNic>,
    /// Why the text does not show everything.
    partial: Option<String>,
}

impl Reading {
    fn piece(&mut self, text: &str, piece: &Piece<'_>) {
        let span = Span::of(text, piece.slice);
        if piece.kind == Kind::Foreign {
            let what = format!("not a domain but <{}>", piece.name);
            let tag = xml::tag_length(piece.slice).and_then(|length| piece.slice.get(..length));
            self.problem(ProblemKind::UnreadLine, Span::of(text, tag.unwrap_or(piece.slice)), what);
            return self.fates.set(span, Fate::Unread);
        }
        let place = Place { text, slice: piece.slice };
        let broken = match xml::element(piece.slice) {
            Ok(document) => {
                self.fates.set(span, Fate::Read);
                let mut problems = Vec::new();
                let root = document.root_element();
                if piece.kind == Kind::Interface {
                    self.loose.push(interface::read(place, root, &mut problems));
                } else {
                    self.out.records.extend(domain::read(place, root, &mut problems));
                }
                return self.blame(problems);
            }
            Err(broken) => broken,
        };
        let (kind, why) = if broken.limit {
            (ProblemKind::Limit, broken.message)
        } else if piece.closed {
            let words = broken.message.rsplit_once(" at ").map_or("", |(words, _)| words);
            (ProblemKind::UnreadLine, format!("broken XML: {words}"))
        } else {
            (ProblemKind::Truncated, format!("<{}> has no closing tag", piece.name))
        };
        let mut lines = piece.slice.split_inclusive('\n');
        let at = if piece.closed { lines.nth(broken.line) } else { lines.next_back() };
        let at = at.unwrap_or(piece.slice).trim_end();
        self.problem(kind, Span::of(text, at), why.clone());
        self.fates.set(span, Fate::Unread);
        self.partial.get_or_insert(why);
        if piece.kind == Kind::Domain {
            let mut problems = Vec::new();
            let mut whole = Vec::new();
            let domain = domain::salvage(place, &mut problems, &mut whole);
            for it in whole {
                self.fates.renew(it);
            }
            self.out.records.extend(domain);
            self.blame(problems);
        }
    }

    /// Remarks about what was read. Values that are not understood are kept as they are, so
    /// their lines count as read; stray text is lost.
    fn blame(&mut self, problems: Vec<Problem>) {
        for it in problems {
            if it.kind == ProblemKind::Truncated {
                self.fates.set(it.span, Fate::Unread);
            }
            if it.kind != ProblemKind::BadValue {
                self.partial.get_or_insert_with(|| it.message.clone());
            }
            self.out.problems.push(it);
        }
    }

    fn loose_interfaces(&mut self, command: &Command) {
        let nics = std::mem::take(&mut self.loose);
        let Some((first, last)) = nics.first().zip(nics.last()).map(|it| (it.0.at, it.1.at)) else {
            return;
        };
        let at = first.to(last);
        self.partial.get_or_insert_with(|| "interfaces without their domain".to_owned());
        let mut domain = Domain { at, nics, ..Domain::default() };
        // `virsh dumpxml VM | sed -n '/<interface/,…'`: the command names the domain.
        let args = virsh::sub_command(command).map(|(_, args)| args).unwrap_or_default();
        if let Some(named) = args.iter().find(|arg| !arg.starts_with('-')) {
            let name = || Some(At::new(Name::from(named.as_str()), first));
            match named.parse() {
                Ok(id) => domain.id = Some(At::new(id, first)),
                Err(_) if is_uuid(named) => domain.uuid = name(),
                Err(_) => domain.name = name(),
            }
        }
        self.out.records.push(domain);
    }

    /// The text around the pieces: comments, the XML declaration, prompts, complaints.
    fn around(&mut self, text: &str, pieces: &[Piece<'_>]) {
        let mut from = 0;
        let ends = pieces.iter().map(|piece| Span::of(text, piece.slice).range());
        for piece in ends.chain(std::iter::once(text.len()..text.len())) {
            let mut in_comment = false;
            for part in text.get(from..piece.start).unwrap_or_default().split_inclusive('\n') {
                let part = part.trim();
                in_comment |= part.starts_with("<!--");
                let carries_nothing = in_comment
                    || part.starts_with("<?xml")
                    || part.starts_with("<!DOCTYPE")
                    || part == "<devices>"
                    || part == "</devices>"
                    || virsh::prompt(part).is_some()
                    || virsh::is_decoration(part);
                in_comment &= !part.contains("-->");
                if !part.is_empty() {
                    self.outside(text, part, carries_nothing);
                }
            }
            from = piece.end;
        }
    }

    fn outside(&mut self, text: &str, part: &str, carries_nothing: bool) {
        let span = Span::of(text, part);
        if carries_nothing {
            self.fates.set(span, Fate::Ignored);
        } else if let Some(reason) = tool_error(part) {
            self.problem(ProblemKind::ToolError, span, reason);
            self.fates.set(span, Fate::Ignored);
        } else {
            self.problem(ProblemKind::UnreadLine, span, "text outside of the domain");
            self.fates.set(span, Fate::Unread);
        }
    }

    fn problem(&mut self, kind: ProblemKind, span: Span, message: impl Into<String>) {
        self.out.problem(kind, span, message);
    }

    fn end(mut self, text: &str) -> Outcome<Vec<Domain>> {
        self.fates.account(text, &mut self.out);
        self.out.problems.sort_by_key(|problem| problem.span);
        let why = self.partial;
        self.out.completeness = match why {
            _ if !self.out.records.is_empty() => {
                why.map_or(Completeness::Complete, Completeness::Partial)
            }
            Some(why) => Completeness::Failed(why),
            None => Completeness::Complete,
        };
        finish(text, &mut self.out);
        if self.out.records.is_empty() && !self.out.completeness.is_failed() {
            self.out.completeness = Completeness::Failed("there is no domain in the text".into());
        }
        self.out
    }
}

/// What became of each line.
struct Fates {
    index: LineIndex,
    of_line: Vec<Option<Fate>>,
}

impl Fates {
    fn new(text: &str) -> Self {
        Self { index: LineIndex::new(text), of_line: vec![None; text.lines().count()] }
    }

    fn lines(&mut self, span: Span) -> &mut [Option<Fate>] {
        let first = self.index.line(span.start) as usize;
        let last = self.index.line(span.end.saturating_sub(1).max(span.start)) as usize;
        let end = (last + 1).min(self.of_line.len());
        self.of_line.get_mut(first.min(end)..end).unwrap_or_default()
    }

    /// The lines of `span` met `fate`. A line of which any part is unread is unread, one of which
    /// any part is read is not ignored.
    fn set(&mut self, span: Span, fate: Fate) {
        for it in self.lines(span) {
            *it = match (*it, fate) {
                (Some(Fate::Unread), _) | (_, Fate::Unread) => Some(Fate::Unread),
                (Some(Fate::Read), _) => Some(Fate::Read),
                _ => Some(fate),
            };
        }
    }

    /// The lines of `span` were read after all.
    fn renew(&mut self, span: Span) {
        self.lines(span).fill(Some(Fate::Read));
    }

    fn account<T>(&self, text: &str, out: &mut Outcome<T>) {
        for (line, fate) in text.lines().zip(&self.of_line) {
            let blank = line.trim().is_empty();
            out.lines.add(if blank { Fate::Blank } else { fate.unwrap_or(Fate::Unread) });
        }
    }
}

#[cfg(test)]
mod tests;
