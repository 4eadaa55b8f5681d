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
//! `--uuid`, `--name` and `--id` print bare values, one domain a line.
//!
//! Without `--all` only active domains are listed, and the list of *those* is complete: a domain
//! that is missing is not active. Whether it exists at all does not follow; who needs that looks
//! at the command for `--all`. Filters other than that make the list partial.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::libvirt::DomainState;
use tapline_core::span::{At, Span};

use super::virsh;
use crate::lines::{Read, bodies, each_line, finish, is_elision, never_empty, tool_error};
use crate::nomx::{Parsed, refuse, word, word_gap};
use crate::ovsdb::doubt_unread;
use crate::registry::Format;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("virsh-list"),
    command: "virsh list --all",
    claims: |command| virsh::is(command, "list"),
    sniff: |head| {
        let headed = bodies(head).take(8).any(|line| Columns::of(line, true).is_some());
        if headed { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
};

/// The states, of all versions (`virshDomainStateToString`).
const STATES: &[&str] = &[
    "running",
    "shut off",
    "paused",
    "idle",
    "in shutdown",
    "crashed",
    "pmsuspended",
    "no state",
    "blocked",
    "dying",
    "unknown",
];

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<DomainState>> {
    let mut out = Outcome::default();
    let args = virsh::sub_command(command).map(|(_, args)| args).unwrap_or_default();
    let mut form = Form::asked(args.iter().map(String::as_str));
    if let Some(filter) = args.iter().find(|it| is_filter(it)) {
        out.completeness = Completeness::Partial(format!("filtered by {filter}"));
    }
    if let Some(guess) = Form::guess(text, &form) {
        form = guess;
        let why = "no heading: taken as bare values, whose options are not known";
        out.completeness = Completeness::Partial(why.to_owned());
    }
    each_line(text, &mut out, |line| {
        if let Some(typed) = virsh::prompt(line) {
            form = Form::asked(typed.split_whitespace());
            return Ok(("", Read::Ignored));
        }
        if virsh::is_decoration(line) {
            return Ok(("", Read::Ignored));
        }
        if let Some(columns) = Columns::of(line, false) {
            form = Form::Table(columns);
            return Ok(("", Read::Ignored));
        }
        match &form {
            Form::Table(columns) => row(text, line, columns),
            Form::Bare { id, uuid, name } => bare(text, line, (*id, *uuid, *name)),
        }
    });
    finish(text, &mut out);
    doubt_unread(&mut out);
    let quiet = command.argv.iter().any(|it| it == "-q" || it == "--quiet");
    if matches!(form, Form::Table(_)) && !quiet {
        never_empty(&mut out, "a heading");
    }
    out
}

/// Whether an option leaves out domains in a way that is not plain from their state.
fn is_filter(option: &str) -> bool {
    let filters = ["--inactive", "--persistent", "--transient", "--autostart", "--no-autostart"];
    filters.contains(&option)
        || ["--with-", "--without-", "--state-"].iter().any(|it| option.starts_with(it))
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
            Self::Table(Columns { state: None, title })
        }
    }
}

impl Form {
    /// The form of a text that is no table although the command asks for one: the options of
    /// the command were lost.
    fn guess(text: &str, asked: &Self) -> Option<Self> {
        let Self::Table(columns) = asked else { return None };
        let first = bodies(text).find(|it| !it.is_empty() && !virsh::is_decoration(it))?;
        let is_table = virsh::prompt(first).is_some()
            || Columns::of(first, false).is_some()
            || tool_error(first).is_some()
            || row(text, first, columns).is_ok()
            || bodies(text).any(|it| Columns::of(it, false).is_some());
        if is_table {
            return None;
        }
        let (head, rest) = first.split_once(' ').unwrap_or((first, ""));
        let id = rest.is_empty() && head.bytes().all(|b| b.is_ascii_digit());
        let uuid = is_uuid(head);
        Some(Self::Bare { id, uuid, name: !(id || uuid) || !rest.is_empty() })
    }
}

/// The heading of the table.
#[derive(Clone, Copy, Debug, Default)]
struct Columns {
    /// Terminal column at which the state starts.
    state: Option<usize>,
    /// Whether there is a title.
    title: bool,
}

impl Columns {
    /// Reads the heading. `strict` takes the English one only, else the words after `Id` may be
    /// translated.
    fn of(line: &str, strict: bool) -> Option<Self> {
        let mut words = line.split_whitespace();
        let (id, name, state) = (words.next()?, words.next()?, words.next()?);
        let title = words.next();
        let english = name == "Name" && state == "State" && title.is_none_or(|it| it == "Title");
        let translated = !strict && (name == "Name" || name == "Nom") && !STATES.contains(&state);
        if id != "Id" || !(english || translated) || words.next().is_some() {
            return None;
        }
        let at = Span::of(line, state).start as usize;
        let before = line.get(..at).unwrap_or_default();
        Some(Self { state: Some(before.chars().count()), title: title.is_some() })
    }
}

/// A row of the table.
fn row<'a>(text: &str, line: &'a str, columns: &Columns) -> Parsed<'a, Read<DomainState>> {
    let (rest, id) = word_gap(line.trim_start())?;
    let number = match id {
        "-" => None,
        digits => match digits.parse() {
            Ok(number) => Some(At::new(number, Span::of(text, digits))),
            Err(_) => return refuse(id, "the id of a domain, or `-`"),
        },
    };
    let rest = rest.trim();
    let parts = if columns.title { with_title(line, rest, columns) } else { without_title(rest) };
    let Some((name, state, title)) = parts else {
        return refuse(rest, "a name and a state such as running");
    };
    let at = |part: &str| At::new(part.into(), Span::of(text, part));
    let record = DomainState {
        at: Span::of(text, line),
        id: number,
        name: Some(at(name)),
        uuid: None,
        state: Some(at(state)),
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
    let known = STATES.iter().find_map(|state| {
        let name = rest.strip_suffix(state)?;
        let name_end = name.trim_end();
        (!name_end.is_empty() && name_end.len() < name.len()).then_some((name_end, name.len()))
    });
    let (name, state) = match known {
        Some((name, at)) => (name, rest.get(at..)?),
        None => rest.rsplit_once("  ")?,
    };
    Some((name.trim(), state.trim(), "")).filter(|it| !it.0.is_empty() && !it.1.is_empty())
}

/// `NAME STATE TITLE`: the state stands at its column, counted in characters or, in old
/// versions, in bytes; a name that is too long shifts it to the right.
fn with_title<'a>(line: &'a str, rest: &'a str, columns: &Columns) -> Option<Parts<'a>> {
    let start = Span::of(line, rest).start as usize;
    let column = columns.state.map(|column| {
        let chars = line.char_indices().nth(column).map_or(line.len(), |(at, _)| at);
        column.min(chars).saturating_sub(start)
    });
    // Places after a blank at which a known state stands as a whole.
    let mut found = rest.match_indices(' ').filter_map(|(blank, _)| {
        let at = blank + 1;
        let tail = rest.get(at..)?;
        let state = STATES.iter().find(|it| {
            tail.strip_prefix(**it).is_some_and(|it| it.is_empty() || it.starts_with(' '))
        })?;
        let name = rest.get(..blank)?.trim();
        let (state, title) = tail.split_at_checked(state.len())?;
        (!name.is_empty()).then(|| (at, (name, state, title.trim())))
    });
    let first = found.next()?;
    let best = match column {
        Some(column) if first.0 < column => found.find(|it| it.0 >= column).unwrap_or(first),
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
        if value.is_empty() {
            return refuse(line, "the name of a domain");
        }
        record.name = Some(at(value));
        rest = "";
    }
    Ok((rest, Read::Took(record)))
}

/// Eight, four, four, four and twelve hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let mut groups = text.split('-');
    let shape = [8, 4, 4, 4, 12].iter().all(|&n| {
        groups.next().is_some_and(|it| it.len() == n && it.bytes().all(|b| b.is_ascii_hexdigit()))
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
            let id = it.id.as_ref().map_or("-".to_owned(), |it| it.to_string());
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
