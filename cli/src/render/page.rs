//! A rule's page, from Markdown to the terminal.
use std::collections::BTreeSet;
use std::io::{self, Write};

use super::count;
use crate::terminal::{Paint, style};

/// Writes `page`: headings bold, code indented, paragraphs wrapped to `width`. Its title is left
/// out: the caller has printed it. Of the examples only the first is shown, unless `all` are asked
/// for.
pub(crate) fn render(
    out: &mut impl Write,
    page: &str,
    all: bool,
    paint: Paint,
    width: usize,
) -> io::Result<()> {
    let mut paragraph = Paragraph::default();
    let mut fenced = false;
    let mut examples = 0_usize;
    let mut headings: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut text = Vec::new();
    let to = &mut text;
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let body = line.trim();
        if body.starts_with("```") {
            paragraph.flush(to, paint, width)?;
            if !fenced {
                examples += 1;
            }
            if !fenced && (all || examples == 1) {
                // `console,fires`: what the example is there for.
                let what = body.trim_start_matches('`').split(',').nth(1);
                if let Some(what) = what.map(str::trim).filter(|text| !text.is_empty()) {
                    writeln!(to, "    {}", paint.of(style::FAINT, format_args!("({what})")))?;
                }
            }
            fenced = !fenced;
        } else if fenced {
            if all || examples == 1 {
                writeln!(to, "    {}", paint.of(style::CODE, line))?;
            }
        } else if body.is_empty() {
            let next = lines.clone().find(|clone| !clone.trim().is_empty());
            if !all && examples > 0 && next.is_some_and(|next| next.starts_with("```")) {
                // The example that it announces is left out.
                paragraph.leave_out();
            }
            paragraph.flush(to, paint, width)?;
            writeln!(to)?;
        } else if body.starts_with("# ") {
            paragraph.flush(to, paint, width)?;
        } else if let Some(heading) = body.strip_prefix('#') {
            paragraph.flush(to, paint, width)?;
            let heading = heading.trim_start_matches('#').trim();
            let line = format!("{}\n", paint.of(style::STRONG, plain(heading)));
            to.extend_from_slice(line.as_bytes());
            headings.insert(line.into_bytes());
        } else if body.starts_with('|') {
            paragraph.flush(to, paint, width)?;
            writeln!(to, "{}", plain(body))?;
        } else if body.starts_with("- ") || body.starts_with("* ") || is_numbered(body) {
            paragraph.flush(to, paint, width)?;
            let indent = line.len() - line.trim_start().len();
            paragraph.start(indent.min(8), body);
        } else {
            paragraph.push(body);
        }
    }
    paragraph.flush(to, paint, width)?;
    let more = examples.saturating_sub(1);
    if more > 0 && !all {
        writeln!(to, "\n({} with --all)", count(more, "more example"))?;
    }
    // What was left out leaves no gap, nor a heading over nothing.
    let lines: Vec<&[u8]> = text.split_inclusive(|&text| text == b'\n').collect();
    let mut blank = true;
    for (at, line) in lines.iter().enumerate() {
        let behind = lines.get(at + 1..).unwrap_or_default();
        let next = behind.iter().find(|line| **line != b"\n");
        let is_empty = headings.contains(*line) && next.is_none_or(|next| headings.contains(*next));
        if is_empty || *line == b"\n" && blank {
            continue;
        }
        out.write_all(line)?;
        blank = *line == b"\n";
    }
    Ok(())
}

/// The first paragraph of a section.
pub(crate) fn first_paragraph(page: &str, heading: &str) -> String {
    let mut lines = section(page, heading).lines().skip_while(|line| line.trim().is_empty());
    let mut text = Paragraph::default();
    for line in lines.by_ref().take_while(|line| !line.trim().is_empty()) {
        text.push(line.trim());
    }
    text.text
}

/// What stands under a heading of the second level, up to the next one.
pub(crate) fn section<'a>(page: &'a str, heading: &str) -> &'a str {
    let mut parts = page.split("\n## ");
    let found = parts.find_map(|part| part.strip_prefix(heading)?.strip_prefix('\n'));
    found.unwrap_or_default().trim()
}

/// The first address that a page links to.
pub(crate) fn first_link(page: &str) -> Option<&str> {
    let (_, link) = page.split_once("](https://")?;
    let length = link.find(')')?;
    let start = page.len() - link.len() - "https://".len();
    page.get(start..start + "https://".len() + length)
}

/// Text that flows, with the indent of a list item.
#[derive(Default)]
struct Paragraph {
    indent: usize,
    hang: usize,
    text: String,
}

impl Paragraph {
    fn start(&mut self, indent: usize, item: &str) {
        self.indent = indent;
        self.hang = item.find(' ').map_or(0, |at| at + 1);
        self.text.push_str(item);
    }

    fn push(&mut self, text: &str) {
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(text);
    }

    /// Forgets what led up to something; an item of a list stands for itself.
    fn leave_out(&mut self) {
        if self.hang == 0 {
            self.text.clear();
        } else if self.text.ends_with(':') {
            self.text.pop();
            self.text.push('.');
        }
    }

    fn flush(&mut self, out: &mut impl Write, paint: Paint, width: usize) -> io::Result<()> {
        let text = std::mem::take(&mut self.text);
        let (indent, hang) = (self.indent, std::mem::take(&mut self.hang));
        self.indent = 0;
        let mut column = 0;
        let mut code = false;
        for word in plain(&text).split_whitespace() {
            let shown = word.replace('`', "").chars().count();
            if column == 0 {
                write!(out, "{:indent$}", "")?;
                column = indent;
            } else if column + 1 + shown > width {
                writeln!(out)?;
                let indent = indent + hang;
                write!(out, "{:indent$}", "")?;
                column = indent;
            } else {
                write!(out, " ")?;
                column += 1;
            }
            // Back quotes switch colour; they are shown only where there is no colour.
            for (n, part) in word.split('`').enumerate() {
                if n > 0 {
                    code = !code;
                    if !paint.color {
                        write!(out, "`")?;
                        column += 1;
                    }
                }
                let part_style = if code { style::CODE } else { anstyle::Style::new() };
                write!(out, "{}", paint.of(part_style, part))?;
            }
            column += shown;
        }
        if column > 0 {
            writeln!(out)?;
        }
        Ok(())
    }
}

/// `1.`, `23.`
fn is_numbered(body: &str) -> bool {
    let rest = body.trim_start_matches(|body: char| body.is_ascii_digit());
    rest.len() < body.len() && rest.starts_with(". ")
}

/// Without emphasis; links as `text (address)`.
fn plain(text: &str) -> String {
    let text = text.replace("**", "");
    let mut shown = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, after)) = rest.split_once('[') {
        shown.push_str(before);
        match after.split_once("](").and_then(|(name, tail)| Some((name, tail.split_once(')')?))) {
            Some((name, (address, tail))) if !name.contains(['[', ']']) => {
                shown.push_str(name);
                if name != address && !address.starts_with('#') {
                    shown.push_str(&format!(" ({address})"));
                }
                rest = tail;
            }
            _ => {
                shown.push('[');
                rest = after;
            }
        }
    }
    shown.push_str(rest);
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_reads_without_markdown() {
        let page = "# X-1 some-rule\n\n## What it finds\n\nA port of which **all** is\nlost, see [the manual](https://x).\n\n\
                    - one `tap [0]` thing\n  that wraps\n\n```console,fires\n$ ip a\n```\n\nNot here:\n\n```console,quiet\n$ ip b\n```\n";
        let mut out = Vec::new();
        render(&mut out, page, false, Paint { color: false }, 24).unwrap();
        let text = String::from_utf8(out).unwrap();
        insta::assert_snapshot!(text, @"
        What it finds

        A port of which all is
        lost, see the manual
        (https://x).

        - one `tap [0]` thing
          that wraps

            (fires)
            $ ip a

        (1 more example with --all)
        ");
    }
}
