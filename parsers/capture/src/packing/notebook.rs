//! Notebooks: one document of JSON with the cells in which commands were typed (`!ip a`), and what they
//! printed.
//!
//! Source: nbformat 4 (`cells`, `source`, `outputs` with `text` or `data`), and 3 (`worksheets`,
//! `input`). Names are sorted when a notebook is saved, so that what a cell printed stands before what
//! was typed; texts are one each, or a list of lines.
use super::cast::Written;
use super::placed::{Place, Placed};
use super::{Line, Mark, screen};

/// Lists and objects in one another.
const DEEPEST: u32 = 64;

/// The lines of the cells; `None` for what is no notebook.
pub(super) fn lines(text: &str) -> Option<Vec<Line<'static>>> {
    const NAMES: [&[u8]; 2] = [b"\"nbformat\"", b"\"outputs\""];
    let has = |name: &[u8]| memchr::memmem::find(text.as_bytes(), name).is_some();
    if !text.starts_with('{') || !NAMES.iter().all(|name| has(name)) {
        return None;
    }
    let mut reader = Reader { written: Written::new(text, 1), cells: Vec::new() };
    // What was read of a notebook that is cut off counts, too.
    let _ = reader.value(Part::Document, 0);
    let mut lines = Vec::new();
    for cell in reader.cells {
        if cell.kind == "code" {
            block(&cell.source, true, &mut lines);
            block(&cell.printed, false, &mut lines);
        } else {
            text_lines(&cell.source, false, &mut lines);
        }
    }
    lines.iter().any(|line| line.mark == Mark::Text).then_some(lines)
}

/// A part of the document.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// It holds cells.
    Document,
    Sheets,
    Cells,
    Cell,
    Kind,
    Source,
    Outputs,
    Output,
    Data,
    Printed,
    /// Nothing of use.
    Other,
}

impl Part {
    /// What stands under a name.
    fn under(self, name: &str) -> Self {
        match (self, name) {
            (Self::Document, "cells") => Self::Cells,
            (Self::Document, "worksheets") => Self::Sheets,
            (Self::Cell, "cell_type") => Self::Kind,
            (Self::Cell, "source" | "input") => Self::Source,
            (Self::Cell, "outputs") => Self::Outputs,
            (Self::Output, "text") => Self::Printed,
            (Self::Output, "data") => Self::Data,
            (Self::Data, "text/plain") => Self::Printed,
            _ => Self::Other,
        }
    }

    /// What a list of it holds.
    fn element(self) -> Self {
        match self {
            Self::Sheets => Self::Document,
            Self::Cells => Self::Cell,
            Self::Outputs => Self::Output,
            Self::Source | Self::Printed => self,
            _ => Self::Other,
        }
    }
}

/// One cell.
#[derive(Default)]
struct Cell {
    kind: String,
    source: Vec<(char, Place)>,
    printed: Vec<(char, Place)>,
}

struct Reader<'a> {
    written: Written<'a>,
    cells: Vec<Cell>,
}

impl Reader<'_> {
    /// Reads one value; `None` where the document ends, or is none.
    fn value(&mut self, part: Part, depth: u32) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match self.written.ahead()? {
            '{' => self.object(part, depth),
            '[' => self.list(part, depth),
            '"' => {
                let characters = self.written.characters();
                self.told(part, characters);
                Some(())
            }
            _ => {
                // A number, `true`, `null`.
                while self.written.peek().is_some_and(|c| !matches!(c, ',' | ']' | '}')) {
                    self.written.next();
                }
                Some(())
            }
        }
    }

    fn object(&mut self, part: Part, depth: u32) -> Option<()> {
        self.written.next();
        if part == Part::Cell {
            self.cells.push(Cell::default());
        }
        loop {
            match self.written.ahead()? {
                '}' => break,
                ',' => drop(self.written.next()),
                '"' => {
                    let name: String =
                        self.written.characters().into_iter().map(|(c, _)| c).collect();
                    if self.written.ahead()? != ':' {
                        return None;
                    }
                    self.written.next();
                    self.value(part.under(&name), depth + 1)?;
                }
                _ => return None,
            }
        }
        self.written.next();
        if part == Part::Output
            && let Some(cell) = self.cells.last_mut()
        {
            end_line(&mut cell.printed);
        }
        Some(())
    }

    fn list(&mut self, part: Part, depth: u32) -> Option<()> {
        self.written.next();
        loop {
            match self.written.ahead()? {
                ']' => break,
                ',' => drop(self.written.next()),
                _ => self.value(part.element(), depth + 1)?,
            }
        }
        self.written.next();
        Some(())
    }

    /// A text of the cell that is read.
    fn told(&mut self, part: Part, characters: Vec<(char, Place)>) {
        let Some(cell) = self.cells.last_mut() else { return };
        match part {
            Part::Kind => cell.kind = characters.into_iter().map(|(c, _)| c).collect(),
            Part::Source => cell.source.extend(characters),
            Part::Printed => cell.printed.extend(characters),
            _ => {}
        }
    }
}

/// Ends the last line, if there is one that is not ended.
fn end_line(characters: &mut Vec<(char, Place)>) {
    if let Some(&(c, place)) = characters.last()
        && c != '\n'
    {
        characters.push(('\n', place));
    }
}

/// The lines of a block of code.
fn block(characters: &[(char, Place)], typed: bool, lines: &mut Vec<Line<'static>>) {
    let Some(&(_, (first, _))) = characters.first() else { return };
    lines.push(Line { mark: Mark::Open, ..Line::new(first, "".into()) });
    text_lines(characters, typed, lines);
    let last = characters.last().map_or(first, |(_, place)| place.0);
    lines.push(Line { mark: Mark::Close, ..Line::new(last, "".into()) });
}

/// The lines of a text. A command that was typed stands behind `!`, several below `%%bash`.
fn text_lines(characters: &[(char, Place)], typed: bool, lines: &mut Vec<Line<'static>>) {
    for line in characters.split(|(c, _)| *c == '\n') {
        let number = line.first().map_or(0, |(_, place)| place.0);
        let number = if number > 0 { number } else { lines.last().map_or(1, |line| line.number) };
        let magic = typed && line.first().is_some_and(|(c, _)| *c == '%');
        let shown = match line {
            [('!', _), rest @ ..] if typed => rest,
            _ if magic => &[],
            line => line,
        };
        let mut out = Placed::default();
        screen::show(shown.iter().copied(), &mut out);
        lines.push(out.into_line(number));
    }
}
