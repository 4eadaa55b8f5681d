//! `virsh list`: domains and their states.
//!
//! Source of the format: libvirt `tools/virsh-domain-monitor.c` (`cmdList`), `tools/vsh-table.c`;
//! 0.9 to 11. Up to 4.9 the columns have fixed widths, in bytes; later they fit the data, in
//! terminal columns. `-q` leaves out the heading.
//!
//! ```text
//!  Id   Name                State
//! ------------------------------------
//!  2    instance-0000000a   paused
//!  -    my vm               shut off
//! ```
//!
//! `--uuid`, `--name` and `--id` print bare values, one domain a line; with `--table`, and since
//! 10.7 without it, `--uuid` is a further column.
//!
//! Heading and states are translated: the line above a line of dashes is the heading in whatever
//! language, and a state of another language is recorded by its English name.
//!
//! Without `--all` only active domains are listed, and the list of *those* is complete: a domain
//! that is missing is not active. Whether it exists at all does not follow; who needs that looks
//! at the command for `--all`. Filters other than that make the list partial.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::libvirt::DomainState;
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use super::virsh;
use crate::error_line::surely;
use crate::format::{Ends, Format, Per, is_begun, last_word};
use crate::lines::{Read, bodies, each_line, finish, is_elision, never_empty, tool_error};
use crate::nomx::{Parsed, refuse, word, word_gap};
use crate::ovsdb::doubt_unread;

mod states;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("virsh-list"),
    command: "virsh list --all",
    collect: &[Per::Host.run("virsh -r list --all")],
    claims: |command| {
        let (_, args) = virsh::sub_command(command).filter(|(sub, _)| *sub == "list")?;
        let all = args.iter().any(|word| word == "--all");
        let filtered = args.iter().any(|word| is_filter(word));
        Some(Request::filtered(&[Topic::Domains], !all || filtered))
    },
    sniff: |head| {
        let headed = bodies(head).take(8).any(|line| Columns::of(line).is_some());
        if headed {
            95
        } else if is_translated(head) {
            75
        } else {
            0
        }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        closes: |last| {
            let word = last_word(last);
            matches!(word, "running" | "paused" | "idle" | "blocked" | "crashed" | "off")
        },
        // A row whose last cell begins a state.
        torn: |last| cells(last).nth(2).is_some_and(|state| is_begun(state, states::STATES)),
        ..Ends::LINES
    },
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<DomainState>> {
    let mut out = Outcome::default();
    let args = virsh::sub_command(command).map(|(_, args)| args).unwrap_or_default();
    let mut form = Form::asked(args.iter().map(String::as_str));
    if let Some(filter) = args.iter().find(|arg| is_filter(arg)) {
        out.completeness = Completeness::Partial(format!("filtered by {filter}"));
    }
    if let Some((guess, first)) = Form::guess(text, &form) {
        form = guess;
        let why = "no heading: taken as bare values, whose options are not known";
        out.completeness = Completeness::Partial(why.to_owned());
        out.problem(ProblemKind::BadValue, Span::of(text, first), why);
    }
    each_line(text, &mut out, |line| {
        if let Some(typed) = virsh::prompt(line) {
            form = Form::asked(typed.split_whitespace());
            return Ok(("", Read::Ignored));
        }
        if virsh::is_decoration(line) {
            return Ok(("", Read::Ignored));
        }
        let heading = Columns::of(line).or_else(|| Columns::above_rule(text, line, args));
        if let Some(columns) = heading {
            form = Form::Table(columns);
            return Ok(("", Read::Ignored));
        }
        match &form {
            Form::Table(columns) => row(text, line, *columns),
            Form::Bare { id, uuid, name } => bare(text, line, (*id, *uuid, *name)),
        }
    });
    finish(text, &mut out);
    doubt_unread(&mut out);
    let quiet = command.argv.iter().any(|argv| argv == "-q" || argv == "--quiet");
    if matches!(form, Form::Table(_)) && !quiet {
        never_empty(&mut out, "a heading");
    }
    out
}

/// Whether a text is a table with a heading in another language: each row begins with an id, or the
/// dash of a domain that is off.
fn is_translated(head: &str) -> bool {
    const ROWS: usize = 5;
    let mut lines = bodies(head).filter(|line| !line.is_empty());
    let Some(first) = lines.next() else { return false };
    if Columns::above_rule(head, first, &[]).is_none() {
        return false;
    }
    let mut rows = lines.skip(1).take(ROWS).peekable();
    let is_row = |line: &str| {
        let cells: Vec<&str> = cells(line).collect();
        let [id, rest @ ..] = cells.as_slice() else { return false };
        let is_id = *id == "-" || id.bytes().all(|b| b.is_ascii_digit());
        // Interfaces of domains that are off have a dash in front, too, and their MAC at the end.
        is_id && (2..=4).contains(&rest.len()) && !rest.iter().any(|cell| cell.contains(':'))
    };
    rows.peek().is_some() && rows.all(is_row)
}

/// Whether an option leaves out domains in a way that is not plain from their state.
fn is_filter(option: &str) -> bool {
    let filters = ["--inactive", "--persistent", "--transient", "--autostart", "--no-autostart"];
    filters.contains(&option)
        || ["--with-", "--without-", "--state-"].iter().any(|prefix| option.starts_with(prefix))
}

/// How a row is laid out.
#[derive(Debug)]
enum Form {
    /// Id, name, state, and perhaps a title.
    Table(Columns),
    /// Bare values.
    Bare { id: bool, uuid: bool, name: bool },
}

impl Form {
    /// The form that the arguments of `list` ask for.
    fn asked<'a>(args: impl Iterator<Item = &'a str>) -> Self {
        let (mut id, mut uuid, mut name, mut title) = (false, false, false, false);
        for arg in args {
            match arg {
                "--id" => id = true,
                "--uuid" => uuid = true,
                "--name" => name = true,
                "--title" => title = true,
                _ => {}
            }
        }
        if id || uuid || name {
            Self::Bare { id, uuid, name }
        } else {
            Self::Table(Columns { state: None, title, uuid: false })
        }
    }

    /// The form of a text that is no table although the command asks for one, and its first
    /// line: the options of the command were lost. Only lines that are one word each are
    /// believed.
    fn guess<'a>(text: &'a str, asked: &Self) -> Option<(Self, &'a str)> {
        let Self::Table(columns) = asked else { return None };
        let lines = || bodies(text).filter(|body| !body.is_empty() && !virsh::is_decoration(body));
        let first = lines().next()?;
        let is_table = virsh::prompt(first).is_some()
            || tool_error(first).is_some()
            || row(text, first, *columns).is_ok()
            || bodies(text).any(|body| {
                Columns::of(body).is_some() || Columns::above_rule(text, body, &[]).is_some()
            });
        if is_table {
            return None;
        }
        let pair = |line: &str| {
            line.split_once(' ').is_some_and(|pair| is_uuid(pair.0) && is_name(pair.1))
        };
        if lines().all(pair) {
            return Some((Self::Bare { id: false, uuid: true, name: true }, first));
        }
        // Names may hold blanks, but those of a whole list hardly all do, as sentences would.
        let words = lines().filter(|line| !line.contains(' ')).count();
        if !lines().all(is_name) || words * 2 < lines().count() {
            return None;
        }
        let id = lines().all(|line| line.bytes().all(|b| b.is_ascii_digit()));
        let uuid = lines().all(is_uuid);
        Some((Self::Bare { id, uuid, name: !(id || uuid) }, first))
    }
}

/// The heading of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    /// Terminal column at which the state starts.
    state: Option<usize>,
    /// Whether there is a title.
    title: bool,
    /// Whether there is a UUID.
    uuid: bool,
}

impl Columns {
    /// Reads the English heading.
    fn of(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let mut state = None;
        for known in ["Id", "Name", "State"] {
            state = words.next().filter(|word| *word == known);
            state?;
        }
        let at = Span::of(line, state?).start as usize;
        let before = line.get(..at).unwrap_or_default();
        let mut columns = Self { state: Some(before.chars().count()), title: false, uuid: false };
        for word in words {
            match word {
                "Title" => columns.title = true,
                "UUID" => columns.uuid = true,
                _ => return None,
            }
        }
        Some(columns)
    }

    /// Reads the heading of another language: what stands right above a line of dashes.
    fn above_rule(text: &str, line: &str, args: &[String]) -> Option<Self> {
        let after = text.get(Span::of(text, line).end as usize..)?.trim_start_matches([' ', '\t']);
        let next = after.trim_start_matches('\r').strip_prefix('\n')?.lines().next()?;
        if !virsh::is_rule(next) || virsh::is_rule(line) || surely(line).is_some() {
            return None;
        }
        let count = cells(line).count();
        let asks = |option: &str| args.iter().any(|arg| arg == option);
        let (title, uuid) = match count {
            3 => (false, false),
            4 => (!asks("--uuid") || asks("--title"), asks("--uuid") && !asks("--title")),
            5 => (true, true),
            _ => return None,
        };
        let state = cells(line).nth(2)?;
        let before = line.get(..Span::of(line, state).start as usize).unwrap_or_default();
        Some(Self { state: Some(before.chars().count()), title, uuid })
    }
}

/// The cells of a line: they are two blanks apart at least.
fn cells(line: &str) -> impl Iterator<Item = &str> {
    line.split("  ").map(str::trim).filter(|text| !text.is_empty())
}

/// A row of the table.
fn row<'a>(text: &str, line: &'a str, columns: Columns) -> Parsed<'a, Read<DomainState>> {
    let (rest, id) = word_gap(line.trim_start())?;
    let number = match id {
        "-" => None,
        digits => match digits.parse() {
            Ok(number) => Some(At::new(number, Span::of(text, digits))),
            Err(_) => return refuse(id, "the id of a domain, or `-`"),
        },
    };
    let mut rest = rest.trim();
    let mut uuid = None;
    if columns.uuid {
        let Some((before, last)) = rest.rsplit_once(' ').filter(|pair| is_uuid(pair.1)) else {
            return refuse(rest, "a UUID at the end of the line");
        };
        (rest, uuid) = (before.trim_end(), Some(last));
    }
    let parts = if columns.title { with_title(line, rest, columns) } else { without_title(rest) };
    let Some((name, state, title)) = parts else {
        return refuse(rest, "a name and a state such as running");
    };
    let at = |part: &str| At::new(part.into(), Span::of(text, part));
    let active = number.is_some();
    let record = DomainState {
        at: Span::of(text, line),
        id: number,
        name: Some(at(name)),
        uuid: uuid.map(at),
        state: Some(At::new(states::canonical(state, active).into(), Span::of(text, state))),
        title: Some(title).filter(|it| !it.is_empty()).map(at),
    };
    Ok(("", Read::Took(record)))
}

/// Name, state and title.
type Parts<'a> = (&'a str, &'a str, &'a str);

/// `NAME STATE`: known states are recognised at the end, whatever stands before them (a domain
/// may be called `running`, and wide characters shift the columns of old versions). A state of
/// another language follows the last wide gap.
fn without_title(rest: &str) -> Option<Parts<'_>> {
    let (name, state) = match states::at_end(rest) {
        Some((len, _)) => rest.split_at_checked(rest.len().checked_sub(len)?)?,
        None => rest.rsplit_once("  ")?,
    };
    Some((name.trim(), state.trim(), "")).filter(|it| !it.0.is_empty() && !it.1.is_empty())
}

/// `NAME STATE TITLE`: the state stands at its column, counted in characters or, in old
/// versions, in bytes; a name that is too long shifts it to the right.
fn with_title<'a>(line: &'a str, rest: &'a str, columns: Columns) -> Option<Parts<'a>> {
    let start = Span::of(line, rest).start as usize;
    let column = columns.state.map(|column| {
        let chars = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        column.min(chars).saturating_sub(start)
    });
    // Places after a blank at which a known state stands as a whole.
    let mut found = rest.match_indices(' ').filter_map(|(blank, _)| {
        let at = blank + 1;
        let tail = rest.get(at..)?;
        let state = states::STATES.iter().find(|state| {
            tail.strip_prefix(**state).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        })?;
        let name = rest.get(..blank)?.trim();
        let (state, title) = tail.split_at_checked(state.len())?;
        (!name.is_empty()).then(|| (at, (name, state, title.trim())))
    });
    let Some(first) = found.next() else {
        // Another language.
        let mut cells = cells(rest);
        let (name, state) = (cells.next()?, cells.next()?);
        let title = rest.get(Span::of(rest, state).end as usize..)?.trim();
        return Some((name, state, title));
    };
    let best = match column {
        Some(column) if first.0 < column => found.find(|found| found.0 >= column).unwrap_or(first),
        _ => first,
    };
    Some(best.1)
}

/// Bare values: `UUID`, `NAME`, `ID`, or several of them.
fn bare<'a>(
    text: &str,
    line: &'a str,
    (id, uuid, name): (bool, bool, bool),
) -> Parsed<'a, Read<DomainState>> {
    // Anything can be a name, a complaint too.
    if tool_error(line).is_some() || is_elision(line) {
        return refuse(line, "the name of a domain");
    }
    let mut record = DomainState {
        at: Span::of(text, line),
        id: None,
        name: None,
        uuid: None,
        state: None,
        title: None,
    };
    let at = |part: &str| At::new(part.into(), Span::of(text, part));
    let mut rest = line;
    for _ in 0..u8::from(id) + u8::from(uuid) {
        let (after, value) = word(rest.trim_start())?;
        if uuid && is_uuid(value) {
            record.uuid = Some(at(value));
        } else if let (true, Ok(number)) = (id, value.parse()) {
            record.id = Some(At::new(number, Span::of(text, value)));
        } else if !(id && value == "-") {
            return refuse(value, if uuid { "a UUID" } else { "the id of a domain" });
        }
        rest = after;
    }
    if name {
        let value = rest.strip_prefix(' ').filter(|_| id || uuid).unwrap_or(rest);
        if !is_name(value) {
            return refuse(line, "the name of a domain");
        }
        record.name = Some(at(value));
        rest = "";
    }
    Ok((rest, Read::Took(record)))
}

/// Whether a bare line may be the name of a domain: libvirt forbids `/` and line ends, and nobody
/// takes a sentence, a row of a table or markup for one.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && !text.contains(['/', '\t', '<', '>', '{', '}', '=', '|'])
        && !text.contains("  ")
        && !text.contains(": ")
        && !text.ends_with([':', '.', ',', '?', '!'])
        && text.split(' ').count() <= 5
        && text.chars().any(char::is_alphanumeric)
}

/// Eight, four, four, four and twelve hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    let shape = [8, 4, 4, 4, 12].iter().all(|&n| {
        groups
            .next()
            .is_some_and(|group| group.len() == n && group.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    shape && groups.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(command: &str, text: &str) -> Outcome<Vec<DomainState>> {
        parse(text, &Command::new(command))
    }

    /// Id, name, state and title of each row.
    fn rows(out: &Outcome<Vec<DomainState>>) -> Vec<String> {
        let show = |it: &DomainState| {
            let id = it.id.as_ref().map_or("-".to_owned(), |id| id.to_string());
            let part = |it: &Option<At<tapline_core::Name>>| {
                it.as_ref().map(|it| it.to_string()).unwrap_or_default()
            };
            format!("{id}|{}|{}|{}", part(&it.name), part(&it.state), part(&it.title))
        };
        out.records.iter().map(show).collect()
    }

    #[test]
    fn names_may_look_like_anything() {
        let text = " Id   Name              State\n-----------------------------------\n \
                    1    my vm (old) é     running\n -    running           shut off\n \
                    7    42                in shutdown\n -    - dashed          no state\n\n";
        let out = read("virsh list --all", text);
        assert_eq!(
            rows(&out),
            [
                "1|my vm (old) é|running|",
                "-|running|shut off|",
                "7|42|in shutdown|",
                "-|- dashed|no state|"
            ]
        );
        assert_eq!((out.lines.read, out.lines.ignored, out.lines.unread), (4, 2, 0));
        assert_eq!(out.completeness, Completeness::Complete);
    }

    #[test]
    fn a_copy_without_its_first_blank_and_a_quiet_list_are_read() {
        let out = read("virsh list", "Id    Name    State\n----------\n3     a       paused\n");
        assert_eq!(rows(&out), ["3|a|paused|"]);
        let out = read("virsh -q list --all", " 1    a b   running\n -    c     shut off\n");
        assert_eq!(rows(&out), ["1|a b|running|", "-|c|shut off|"]);
    }

    #[test]
    fn the_title_follows_the_state() {
        let text = " Id   Name          State         Title\n-----------\n \
                    1    a running b   running       was shut off once\n \
                    -    c             in shutdown   \n";
        let out = read("virsh list --all --title", text);
        assert_eq!(rows(&out), ["1|a running b|running|was shut off once", "-|c|in shutdown|"]);
    }

    #[test]
    fn bare_forms_are_those_of_the_command() {
        let out = read("virsh list --name", "a b\n42\n\n");
        assert_eq!(rows(&out), ["-|a b||", "-|42||"]);
        let uuid = "5c212f64-66bf-56ce-a43d-d62d102abfe9";
        let out = read("virsh list --uuid --name", &format!("{uuid} - x\n"));
        assert_eq!(rows(&out), ["-|- x||"]);
        assert_eq!(out.records[0].uuid.as_ref().unwrap().as_str(), uuid);
        let out = read("virsh list --id", "12\nx\n");
        assert_eq!((rows(&out), out.lines.unread), (vec!["12|||".to_owned()], 1));
    }

    #[test]
    fn headings_and_states_of_every_language_are_read() {
        for (heading, states) in [
            ("Id   Name      Status", ["laufend", "pausiert", "ausgeschaltet"]),
            ("ID   Nom       État", ["en cours d’exécution", "mis en pause", "fermé"]),
            ("Id   Nombre    Estado", ["ejecutando", "en pausa", "apagado"]),
            ("Id   Nome      Stato", ["in esecuzione", "in pausa", "terminato"]),
            ("Id   名称        状态", ["运行", "已暂停", "关闭"]),
            ("Id   名前        状態", ["実行中", "一時停止中", "シャットオフ"]),
            ("Id   이름        상태", ["실행 중", "중지됨", "종료"]),
            ("ID   Имя       Состояние", ["работает", "приостановлен", "выключен"]),
        ] {
            let [running, paused, off] = states;
            let text = format!(
                " {heading}\n---------------------\n 1    a b   {running}\n 2    c     {paused}\n -    d     {off}\n"
            );
            let out = read("virsh list --all", &text);
            assert_eq!(rows(&out), ["1|a b|running|", "2|c|paused|", "-|d|shut off|"], "{text}");
            assert!(out.problems.is_empty() && out.completeness.is_complete(), "{text}");
        }
        // A language that is not listed: only active domains have an id.
        let text =
            " Id   Isim   Hal\n--------------\n 1    a      ishlayapti\n -    b      yopilgan\n";
        assert_eq!(rows(&read("virsh list", text)), ["1|a|running|", "-|b|shut off|"]);
    }

    #[test]
    fn a_uuid_has_a_column_of_its_own() {
        let uuid = "5c212f64-66bf-56ce-a43d-d62d102abfe9";
        let text = format!(
            " Id   Name   State      Title     UUID\n------------\n 1    a      running    b c       {uuid}\n -    d      shut off             {uuid}\n"
        );
        let out = read("virsh list --all --title --uuid", &text);
        assert_eq!(rows(&out), ["1|a|running|b c", "-|d|shut off|"]);
        assert!(out.records.iter().all(|record| record.uuid.as_ref().unwrap().as_str() == uuid));
        let text = format!(" Id   Name   State     UUID\n-------\n 1    a      running   {uuid}\n");
        assert_eq!(rows(&read("virsh list --uuid --table", &text)), ["1|a|running|"]);
        assert_eq!(rows(&read("virsh list --uuid", &text)), ["1|a|running|"]);
    }

    #[test]
    fn what_is_no_list_is_a_failed_capture() {
        for text in [
            "a b c\nd e f\n",
            "Dear all,\nit is slow.\n",
            "Killed\n",
            "Error: No such container: nova_libvirt\n",
            "bridge name\tbridge id\tSTP enabled\tinterfaces\nbr0\t8000.000000000000\tno\n",
        ] {
            let out = read("virsh list --all", text);
            assert!(out.records.is_empty() && out.completeness.is_failed(), "{text}{out:?}");
        }
    }

    #[test]
    fn bare_values_of_lost_options_are_partial() {
        for (text, first) in [("a b\n42\n", "-|a b||"), ("42\n43\n", "42|||")] {
            let out = read("virsh list --all", text);
            assert_eq!((rows(&out)[0].as_str(), out.lines.unread), (first, 0));
            assert!(!out.completeness.is_complete());
        }
    }

    #[test]
    fn the_interactive_tool_is_recognised() {
        let text = "Welcome to virsh, the virtualization interactive terminal.\n\n\
                    Type:  'help' for help with commands\n       'quit' to quit\n\n\
                    virsh # list --all\n Id   Name   State\n----------\n -    a      shut off\n\n\
                    virsh # quit\n";
        let out = read("virsh list", text);
        assert_eq!((rows(&out), out.lines.unread), (vec!["-|a|shut off|".to_owned()], 0));
        assert_eq!((FORMAT.sniff)(text), 95);
    }

    #[test]
    fn errors_fail_and_filters_are_partial() {
        let error = "error: failed to connect to the hypervisor\nerror: no valid connection\n";
        for command in ["virsh list", "virsh list --name"] {
            assert!(read(command, error).completeness.is_failed(), "{command}");
        }
        let empty = " Id   Name   State\n--------------------\n";
        assert_eq!(read("virsh list", empty).completeness, Completeness::Complete);
        assert!(read("virsh list --all", "\n").completeness.is_failed());
        for bare in ["virsh list --name", "virsh -q list"] {
            assert!(!read(bare, "\n").completeness.is_failed(), "{bare}");
        }
        let filtered = read("virsh list --state-running", empty).completeness;
        assert!(matches!(filtered, Completeness::Partial(_)));
    }

    #[test]
    fn what_is_not_a_row_is_a_problem() {
        let out = read("virsh list", " Id   Name   State\n----\n x    a      running\n 1\n");
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (0, 2, 2));
    }
}
