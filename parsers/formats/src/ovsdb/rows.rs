//! Rows of tables in the layouts of `lib/table.c`: list, table, CSV, JSON.
//!
//! ```text
//! _uuid               : 0aedb53b-b4ce-4d34-9c44-65e49c6c5d96
//! name                : br0
//!
//! name   ofport error
//! ------ ------ -----
//! br0    65534  []
//! ```
//!
//! `ovsdb-client dump` puts `Bridge table` above each. Which table a row is of must be known
//! before its columns are, so the lines of a list are held until its row ends.
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::records::ovs::OvsRecord;
use tapline_core::span::Span;

use super::call::{Call, Layout};
use super::cell::{Cell, Style};
use super::columns::{Wrong, record};
use super::is_log_line;
use super::json_rows::json_rows;
use super::tables::{canonical, canonical_ovn, guess};
use crate::error_line::surely;
use crate::lines::{bodies, finish, one_line, tool_error};
use crate::nomx::{Parsed, refuse};

/// Where the name of the table comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Table<'a> {
    /// The command or a heading.
    Known(&'a str),
    /// The columns.
    Guess,
}

impl<'a> Table<'a> {
    /// The table that `name` is meant to be in the database of `ovs-vsctl`.
    pub(crate) fn of_vswitch(name: &'a str) -> Self {
        canonical(name).map_or(Self::Guess, Self::Known)
    }

    /// The table that `name` is meant to be in the databases of `ovn-nbctl` and `ovn-sbctl`.
    pub(crate) fn of_ovn(name: &'a str) -> Self {
        canonical_ovn(name).map_or(Self::Guess, Self::Known)
    }

    /// An empty record for a row with such columns.
    pub(super) fn record<'c>(
        self,
        at: Span,
        columns: impl Iterator<Item = &'c str> + Clone,
    ) -> OvsRecord {
        match self {
            Self::Known(name) => record(name, at),
            Self::Guess => record(guess(columns), at),
        }
    }
}

/// What the text is to be read as.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan<'a> {
    /// The table, where no heading tells.
    pub(crate) table: Table<'a>,
    /// Whether headings such as `Bridge table` name the tables.
    pub(crate) headings: bool,
}

/// Reads all rows of `text`, which `call` printed.
pub(crate) fn rows<'a>(text: &'a str, call: &Call<'a>, plan: Plan<'a>) -> Outcome<Vec<OvsRecord>> {
    let layout = layout(text, call, plan);
    if layout == Layout::Json {
        let mut out = Outcome::default();
        json_rows(text, plan, &mut out);
        finish(text, &mut out);
        super::doubt_unread(&mut out);
        return out;
    }
    let mut out = Outcome::<()>::default();
    let mut reader = Reader {
        text,
        plan,
        table: plan.table,
        layout,
        style: call.style,
        named: &call.columns,
        no_headings: call.no_headings,
        held_first: "",
        held: Vec::new(),
        columns: None,
        first: Vec::new(),
        records: Vec::new(),
    };
    reader.start();
    for body in bodies(text) {
        reader.line(body, &mut out);
    }
    reader.end(&mut out);
    out.problems.sort_by_key(|problem| problem.span);
    finish(text, &mut out);
    super::doubt_unread(&mut out);
    out.map(|()| reader.records)
}

/// The layout: the text tells it better than the command.
fn layout(text: &str, call: &Call<'_>, plan: Plan<'_>) -> Layout {
    let is_title = |line: &str| plan.headings && title(line).is_some();
    let mut lines =
        bodies(text).filter(|body| !body.is_empty() && !is_log_line(body) && !is_title(body));
    let first = lines.next().unwrap_or_default();
    let second = lines.next().unwrap_or_default();
    if first.starts_with("{\"") {
        Layout::Json
    } else if is_rule(second) && ruled(first, second).iter().all(|ruled| is_column(ruled.0)) {
        Layout::Table
    } else if column(first).is_ok() {
        Layout::List
    } else if fields(first).is_some_and(|it| it.len() > 1 && it.iter().all(|it| is_column(it))) {
        Layout::Csv
    } else {
        call.layout.unwrap_or(Layout::List)
    }
}

/// The columns of a table or of CSV: name, and where its cells start and end.
type Columns<'a> = Vec<(&'a str, usize, usize)>;

/// The first columns of bridges, ports and interfaces, of all versions: a text of another table
/// may have been saved under their command.
const FIRST_COLUMNS: &[&str] = &[
    "admin_state",
    "auto_attach",
    "bond_active_slave",
    "bond_downdelay",
    "bond_fake_iface",
    "controller",
    "datapath_id",
];

struct Reader<'a, 'c> {
    text: &'a str,
    plan: Plan<'a>,
    table: Table<'a>,
    layout: Layout,
    style: Style,
    /// `--columns`.
    named: &'c [&'a str],
    no_headings: bool,
    /// List: the first column of the row that is held.
    held_first: &'a str,
    /// List: the lines of a row. Table: the line of names, until its rule is seen.
    held: Vec<&'a str>,
    columns: Option<Columns<'a>>,
    /// List: the lines of the first row; all rows of a table have the same columns.
    first: Vec<&'a str>,
    records: Vec<OvsRecord>,
}

impl<'a> Reader<'a, '_> {
    /// A table begins.
    fn start(&mut self) {
        self.first.clear();
        self.columns = (self.no_headings && !self.named.is_empty())
            .then(|| self.named.iter().map(|named| (*named, 0, 0)).collect());
    }

    fn line(&mut self, body: &'a str, out: &mut Outcome<()>) {
        if let Some(table) = title(body).filter(|_| self.plan.headings) {
            self.end(out);
            self.start();
            self.table = Table::Known(table);
            out.lines.add(Fate::Ignored);
        } else if surely(body).is_some() {
            refused(self.text, body, out, "a row");
        } else if is_log_line(body) && tool_error(body).is_none() {
            out.lines.add(Fate::Ignored);
        } else {
            match self.layout {
                Layout::List if self.no_headings => self.bare_line(body, out),
                Layout::List => self.list_line(body, out),
                Layout::Table => self.table_line(body, out),
                Layout::Csv => self.csv_line(body, out),
                Layout::Html | Layout::Json => refused(self.text, body, out, "text, not HTML"),
            }
        }
    }

    /// The text or the table ends.
    fn end(&mut self, out: &mut Outcome<()>) {
        match self.layout {
            Layout::List if self.no_headings => self.bare_row(out),
            Layout::List if self.is_cut() => self.cut_row(out),
            Layout::List => self.list_row(out),
            _ => {
                for line in std::mem::take(&mut self.held) {
                    refused(self.text, line, out, "a rule of dashes under the column names");
                }
            }
        }
    }

    fn list_line(&mut self, body: &'a str, out: &mut Outcome<()>) {
        let Ok((_, (name, _))) = column(body) else {
            if body.is_empty() {
                self.list_row(out);
            }
            return refused(self.text, body, out, "`column : value`");
        };
        if !self.held.is_empty() && self.held_first == name {
            self.list_row(out);
        }
        if self.held.is_empty() {
            self.held_first = name;
        }
        self.held.push(body);
    }

    /// Whether the row that is held, the last of its table, lacks columns: those that rows before
    /// it have, or the name by which everything refers to it.
    fn is_cut(&self) -> bool {
        let names = || self.held.iter().filter_map(|held| column(held).ok()).map(|(_, it)| it.0);
        if !self.named.is_empty() || self.held.is_empty() {
            return false;
        }
        let keyed = match self.table {
            Table::Known(table) => matches!(table, "Bridge" | "Port" | "Interface"),
            Table::Guess => matches!(guess(names()), "Bridge" | "Port" | "Interface"),
        };
        // Columns are in the order of the alphabet: what goes on behind `name` has no such column,
        // and is of another table.
        let before = names().next_back().is_some_and(|last| last < "name");
        let mut leading = names();
        let of_table = leading.next() == Some("_uuid")
            && leading.next().is_none_or(|column| FIRST_COLUMNS.contains(&column));
        let nameless = keyed && of_table && before && !names().any(|it| it == "name");
        let whole = self.first.iter().filter_map(|first| column(first).ok()).map(|(_, it)| it.0);
        let begins = self.held.len() < self.first.len() && names().eq(whole.take(self.held.len()));
        nameless || begins
    }

    /// A row that was cut off proves nothing: it may not even be told which object it is.
    fn cut_row(&mut self, out: &mut Outcome<()>) {
        let what = "the last record is cut off before its last column: it is not counted";
        let mut kind = ProblemKind::UnreadLine;
        for line in std::mem::take(&mut self.held) {
            out.problem(kind, Span::of(self.text, line), what);
            out.lines.add(Fate::Unread);
            kind = ProblemKind::Truncated;
        }
    }

    /// The row that is held has ended.
    fn list_row(&mut self, out: &mut Outcome<()>) {
        let held = std::mem::take(&mut self.held);
        let (Some(first), Some(last)) = (held.first(), held.last()) else { return };
        let at = Span::of(self.text, first).to(Span::of(self.text, last));
        let names = held.iter().filter_map(|held| column(held).ok()).map(|(_, (name, _))| name);
        let mut record = self.table.record(at, names);
        let lines = if self.first.is_empty() { held.clone() } else { Vec::new() };
        for body in held {
            let mut fill = |line| match column(line) {
                Ok((_, (name, value))) => {
                    Cell::new(self.text, value, self.style).fill(self.text, &mut record, name)
                }
                Err(_) => Ok(()),
            };
            filled(out, fill(body));
        }
        self.records.push(record);
        if self.first.is_empty() {
            self.first = lines;
        }
    }

    /// A list without names: as many lines a row as there are columns, then an empty line.
    fn bare_line(&mut self, body: &'a str, out: &mut Outcome<()>) {
        let Some(columns) = &self.columns else {
            let what = "column names, which --no-headings leaves out (name them by --columns)";
            return refused(self.text, body, out, what);
        };
        if self.held.len() < columns.len() {
            self.held.push(body);
        } else {
            self.bare_row(out);
            refused(self.text, body, out, "an empty line between rows");
        }
    }

    fn bare_row(&mut self, out: &mut Outcome<()>) {
        let held = std::mem::take(&mut self.held);
        let (Some(first), Some(last)) = (held.first(), held.last()) else { return };
        let columns = self.columns.as_deref().unwrap_or_default();
        if held.len() < columns.len() {
            for line in held {
                refused(self.text, line, out, "as many lines as there are columns");
            }
            return;
        }
        let at = Span::of(self.text, first).to(Span::of(self.text, last));
        let mut record = self.table.record(at, columns.iter().map(|column| column.0));
        for (&(name, ..), body) in columns.iter().zip(&held) {
            let cell = Cell::new(self.text, body, self.style);
            let done = cell.fill(self.text, &mut record, name);
            if body.is_empty() {
                out.lines.add(Fate::Blank);
            } else {
                filled(out, done);
            }
        }
        self.records.push(record);
    }

    fn table_line(&mut self, body: &'a str, out: &mut Outcome<()>) {
        if body.is_empty() {
            self.columns = None;
            out.lines.add(Fate::Blank);
            return self.end(out);
        }
        let Some(columns) = &self.columns else {
            match self.held.pop() {
                Some(names) if is_rule(body) => {
                    self.columns = Some(ruled(names, body));
                    out.lines.add(Fate::Ignored);
                    out.lines.add(Fate::Ignored);
                }
                Some(names) => {
                    refused(self.text, names, out, "a rule of dashes under the column names");
                    self.held.push(body);
                }
                None => self.held.push(body),
            }
            return;
        };
        let mut cells = Vec::with_capacity(columns.len());
        let last = columns.len().saturating_sub(1);
        for (n, &(name, start, end)) in columns.iter().enumerate() {
            let apart = start == 0 || body.as_bytes().get(start - 1).is_none_or(|it| *it == b' ');
            let start = start.min(body.len());
            let end = if n == last { body.len() } else { end.min(body.len()) };
            match body.get(start..end).filter(|_| apart) {
                Some(cell) => cells.push((name, Cell::new(self.text, cell.trim_end(), self.style))),
                None => {
                    return refused(
                        self.text,
                        body,
                        out,
                        "values under the names of their columns",
                    );
                }
            }
        }
        self.row(body, cells, out);
    }

    fn csv_line(&mut self, body: &'a str, out: &mut Outcome<()>) {
        if body.is_empty() {
            self.columns = None;
            self.start();
            return out.lines.add(Fate::Blank);
        }
        let Some(columns) = &self.columns else {
            let names: Option<Columns<'a>> =
                fields(body).map(|field| field.into_iter().map(|name| (name, 0, 0)).collect());
            match names.filter(|it| it.iter().all(|(name, ..)| is_column(name))) {
                Some(names) => {
                    self.columns = Some(names);
                    out.lines.add(Fate::Ignored);
                }
                None => refused(self.text, body, out, "column names apart by commas"),
            }
            return;
        };
        let Some(fields) = fields(body).filter(|field| field.len() == columns.len()) else {
            return refused(self.text, body, out, "as many fields as there are column names");
        };
        let named = columns.iter().map(|column| column.0).zip(fields);
        let cells = named.map(|(name, it)| (name, Cell::csv(self.text, it, self.style))).collect();
        self.row(body, cells, out);
    }

    /// A row on one line.
    fn row(&mut self, body: &'a str, cells: Vec<(&'a str, Cell<'a>)>, out: &mut Outcome<()>) {
        let at = Span::of(self.text, body);
        let mut record = self.table.record(at, cells.iter().map(|cell| cell.0));
        let mut done = Ok(());
        for (name, cell) in cells {
            done = done.and(cell.fill(self.text, &mut record, name));
        }
        filled(out, done);
        self.records.push(record);
    }
}

/// Accounts for a line whose values were put into a record.
fn filled(out: &mut Outcome<()>, done: Result<(), Wrong>) {
    match done {
        Ok(()) => out.lines.add(Fate::Read),
        Err(wrong) => {
            out.problem(ProblemKind::UnreadLine, wrong.span, format!("expected {}", wrong.what));
            out.lines.add(Fate::Unread);
        }
    }
}

/// Accounts for a line that is no part of a row.
fn refused(text: &str, body: &str, out: &mut Outcome<()>, what: &'static str) {
    one_line::<(), ()>(text, body, out, &mut |line| refuse(line, what));
}

/// `column : value`. Names are padded to twenty characters.
fn column(line: &str) -> Parsed<'_, (&str, &str)> {
    let what = "`column : value`";
    let Some((padded, value)) = line.split_once(':') else { return refuse(line, what) };
    let name = padded.trim_end_matches(' ');
    // `sh: ovs-vsctl: command not found`: columns of short names are padded to twenty characters,
    // of which one blank at least is left wherever such text was copied to.
    if name.len() == padded.len() && name.len() < 20 && !name.contains('_') {
        return refuse(line, what);
    }
    if !is_column(name) || !(value.is_empty() || value.starts_with(' ')) {
        return refuse(line, what);
    }
    Ok(("", (name, value.trim_start())))
}

/// Names of columns are identifiers.
fn is_column(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether the text begins with the name of a table, as `ovsdb-client dump` prints it.
pub(crate) fn begins_with_title(text: &str) -> bool {
    bodies(text).find(|body| !body.is_empty()).is_some_and(|body| title(body).is_some())
}

/// The table of `Bridge table`.
fn title(line: &str) -> Option<&str> {
    line.strip_suffix(" table").filter(|rest| is_column(rest))
}

/// Dashes and blanks only.
fn is_rule(line: &str) -> bool {
    line.starts_with('-') && line.bytes().all(|b| matches!(b, b'-' | b' '))
}

/// The columns whose names stand over the runs of dashes of `rule`.
fn ruled<'a>(names: &'a str, rule: &str) -> Columns<'a> {
    let mut columns = Vec::new();
    let mut start = 0;
    for dashes in rule.split(' ') {
        let end = start + dashes.len();
        let name = names.get(start.min(names.len())..end.min(names.len())).unwrap_or_default();
        columns.push((name.trim_end(), start, end));
        start = end + 1;
    }
    columns
}

/// The fields of a CSV line; `None` where a quote is not closed.
fn fields(line: &str) -> Option<Vec<&str>> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let end = if let Some(inner) = rest.strip_prefix('"') {
            let mut from = 0;
            loop {
                let at = from + inner.get(from..)?.find('"')?;
                if inner.as_bytes().get(at + 1) != Some(&b'"') {
                    break at + 2;
                }
                from = at + 2;
            }
        } else {
            rest.find(',').unwrap_or(rest.len())
        };
        let (field, after) = rest.split_at_checked(end)?;
        fields.push(field);
        if after.is_empty() {
            return Some(fields);
        }
        rest = after.strip_prefix(',')?;
    }
}
