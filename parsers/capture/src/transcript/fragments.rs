//! Parts of outputs that begin in their middle: a port without its bridge, the rest of an output behind
//! a remark, what was left of the one above when the terminal was copied.
//!
//! What is no part of anything that is known, and looks like output all the same, is told as not read.
use tapline_core::capture::{Command, LinePlace};
use tapline_core::outcome::ProblemKind;
use tapline_formats::registry::{self, Format};

use super::close::text_of;
use super::{Reader, prose, split};
use crate::packing::Line;

/// Regions of a text that are looked into, and lines of one: all formats are asked.
const MOST: usize = 64;
const LONGEST: usize = 400;

/// Lines that tell which formats may read the rest.
const FIRST: usize = 16;

impl<'a> Reader<'a> {
    /// Reads lines that begin as no output does. Of running text only what is no prose counts.
    pub(super) fn fragments(&mut self, lines: &[Line<'a>], fenced: bool) {
        if fenced {
            return self.fragment(lines, true);
        }
        for paragraph in lines.split(Line::is_blank) {
            let is_output = |line: &Line<'_>| !prose::is_prose(&line.text);
            match paragraph.iter().filter(|line| is_output(line)).take(2).count() {
                0 => {}
                1 if paragraph.iter().any(|line| may_be_key(&line.text)) => {
                    self.fragment(paragraph, false);
                }
                1 => self.not_read(paragraph, false),
                _ => self.fragment(paragraph, false),
            }
        }
    }

    fn fragment(&mut self, lines: &[Line<'a>], fenced: bool) {
        let lines = super::loose::without_blank_ends(lines);
        let Some(first) = lines.first().filter(|_| lines.iter().any(|line| !line.is_blank()))
        else {
            return;
        };
        if lines.len() > LONGEST || self.fragments >= MOST {
            return self.not_read(lines, fenced);
        }
        self.fragments += 1;
        // What cannot stand alone goes on with the output above.
        if first.text.starts_with([' ', '\t']) && self.goes_on(lines) {
            return;
        }
        match format_of(lines) {
            Some(format) => self.by_content(format, lines),
            None if !first.text.starts_with([' ', '\t']) && self.goes_on(lines) => {}
            None => self.not_read(lines, fenced),
        }
    }

    /// Adds lines to the last output, where its format reads them there and not as a beginning.
    fn goes_on(&mut self, lines: &[Line<'a>]) -> bool {
        let host = self.host.clone();
        let Some(last) = self.done.blocks.last_mut() else { return false };
        let Some(format) = registry::by_command(&last.run.command) else { return false };
        let of_host = last.host.is_none() || host.is_none() || last.host == host;
        if !of_host || last.text.is_empty() || last.text.len() > 1 << 20 {
            return false;
        }
        let more = text_of(lines);
        let read = |text: &str| {
            let out = (format.read)(text, &last.run.command);
            (out.lines.read, out.lines.unread)
        };
        let whole = format!("{}{more}", last.text);
        let (before, after) = (read(&last.text), read(&whole));
        let (gained, lost) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
        if gained == 0 || lost * 2 > gained {
            return false;
        }
        if last.places.is_empty() {
            let numbers = (last.first_line..).zip(last.text.lines());
            last.places =
                numbers.map(|(line, _)| LinePlace { line, ..LinePlace::default() }).collect();
        }
        last.text = whole;
        last.places.extend(lines.iter().map(Line::place));
        last.partial.get_or_insert_with(|| "it was shown in several parts".to_owned());
        true
    }

    /// Takes note of lines that are output and that nothing reads.
    fn not_read(&mut self, lines: &[Line<'_>], fenced: bool) {
        // So many lines tell what all are.
        const TOLD_BY: usize = 40;
        let head = lines.get(..lines.len().min(TOLD_BY)).unwrap_or(lines);
        let inner = lines.iter().filter(|line| line.text.starts_with("    "));
        let looks_like_output = fenced && lines.len() > 1
            || inner.take(2).count() > 1
            || head.iter().any(|line| has_columns(&line.text))
            || is_list_of_keys(head);
        if let (true, Some(first), Some(last)) = (looks_like_output, lines.first(), lines.last()) {
            self.done.loose.push((first.number, last.number));
        }
    }
}

/// Whether a line has columns, or an address of hardware: nobody writes so.
fn has_columns(line: &str) -> bool {
    // So much of a line tells what all of it is.
    const TOLD_BY: usize = 1 << 10;
    let line = line.trim();
    let line = line.get(..line.floor_char_boundary(TOLD_BY)).unwrap_or(line);
    let is_mac = |word: &str| {
        word.len() == 17
            && word.split(':').count() == 6
            && word.bytes().all(|b| b == b':' || b.is_ascii_hexdigit())
    };
    let gaps =
        line.matches("\t\t").count() + line.split("   ").filter(|part| !part.is_empty()).count();
    let is_scoped = line.contains(" scope ") && line.starts_with("inet");
    // A rule, and a drawing, have no words.
    let is_words = line.contains(|c: char| c.is_alphanumeric());
    is_words && (gaps > 2 || is_scoped || line.split_whitespace().any(is_mac))
}

/// Whether a line may be a key and a word of a list.
fn may_be_key(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(_, value)| value.split_whitespace().count() == 1)
}

/// Whether most lines have a key and a value, and are no head of a mail.
fn is_list_of_keys(lines: &[Line<'_>]) -> bool {
    const OF_MAILS: &[&str] =
        &["From", "To", "Cc", "Subject", "Date", "Sent", "Von", "An", "Betreff"];
    let key = |line: &Line<'_>| {
        let (key, value) = line.text.trim().split_once(": ")?;
        let short = key.split_whitespace().count() <= 4 && value.split_whitespace().count() <= 4;
        let plain = key.chars().all(|c| c.is_alphanumeric() || " _-.()".contains(c));
        (short && plain).then_some(())
    };
    let of_mail = |line: &Line<'_>| {
        let key = line.text.split(':').next().unwrap_or_default();
        OF_MAILS.contains(&key.trim_matches(['*', ' ']))
    };
    let keys = lines.iter().filter_map(key).count();
    keys > 2 && keys * 2 > lines.len() && !lines.iter().any(of_mail)
}

/// The one format that reads these lines.
fn format_of(lines: &[Line<'_>]) -> Option<&'static Format> {
    let text = text_of(lines);
    if let Some(format) = registry::by_content(&text)
        && split::is_read(format, lines, 0)
    {
        return Some(format);
    }
    // One line may be anything, and so may a list of words.
    let full = || lines.iter().filter(|line| !line.is_blank());
    let is_word = |line: &Line<'_>| line.text.split_whitespace().count() < 2;
    if full().count() < 2 || full().all(is_word) {
        return None;
    }
    // Most formats read none of the first lines, and need not be asked about all.
    let start = text_of(lines.get(..lines.len().min(FIRST)).unwrap_or(lines));
    let mut best: Option<(u32, &'static Format)> = None;
    let mut tied = false;
    for &format in registry::FORMATS {
        let command = Command::new(format.command);
        if start.len() < text.len() && (format.read)(&start, &command).lines.read == 0 {
            continue;
        }
        let out = (format.read)(&text, &command);
        // What a reader only takes with a doubt is no sign of its format.
        let sound = out.problems.iter().all(|problem| problem.kind != ProblemKind::BadValue);
        let most = sound && out.lines.read > 0 && out.lines.unread * 4 <= out.lines.total;
        if out.completeness.is_failed() || !most || out.records.is_empty() || takes_anything(format)
        {
            continue;
        }
        let read = out.lines.read;
        match best {
            Some((most, other)) if most == read => {
                tied |= split::family(other) != split::family(format);
            }
            Some((most, _)) if most > read => {}
            _ => (best, tied) = (Some((read, format)), false),
        }
    }
    best.filter(|_| !tied).map(|(_, format)| format)
}

/// Whether a reader makes something of any text.
fn takes_anything(format: &Format) -> bool {
    const REMARKS: &str = "Such is no output, but a remark about it.\nnothing\nsome words\nkey = value\nrx-frames: 1\n";
    // Whose first column may be a number, and whose second anything.
    const TABLES: &[&str] = &["virsh-list", "virsh-net-list", "virsh-domifaddr"];
    if TABLES.contains(&format.id.0) {
        return true;
    }
    let out = (format.read)(REMARKS, &Command::new(format.command));
    !out.records.is_empty()
}
