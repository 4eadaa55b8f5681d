//! The command line of `ovs-vsctl`, `ovn-nbctl`, `ovn-sbctl` and `ovsdb-client`.
//!
//! Source: `utilities/ovs-vsctl.c`, `lib/table.c` (`TABLE_OPTION_ENUMS`), `ovsdb/ovsdb-client.c`.
use tapline_core::capture::Command;

use super::cell::Style;

/// How rows are laid out: `--format`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Layout {
    /// `column : value` lines, rows apart by empty lines.
    List,
    /// Columns side by side under a rule of dashes.
    Table,
    /// RFC 4180.
    Csv,
    /// `{"headings":…,"data":…}`.
    Json,
    /// Not read.
    Html,
}

/// What was asked of the tool.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Call<'a> {
    /// `show`, `list`, `dump`, …
    pub(crate) verb: &'a str,
    /// The words behind it.
    pub(crate) operands: Vec<&'a str>,
    /// `--format`, where given.
    pub(crate) layout: Option<Layout>,
    /// `--columns`, where given.
    pub(crate) columns: Vec<&'a str>,
    /// `--no-headings`: column names are not printed.
    pub(crate) no_headings: bool,
    /// `--data`.
    pub(crate) style: Style,
    /// `--filter`, since 3.6: only interfaces of these types are shown.
    pub(crate) filter: Option<&'a str>,
}

/// Takes `command` apart where its program is `tool`, with or without the name of a snap in front
/// (`microovn.ovs-vsctl`).
pub(crate) fn of<'a>(command: &'a Command, tool: &str) -> Option<Call<'a>> {
    let program = command.program();
    let rest = program.strip_suffix(tool)?;
    if !(rest.is_empty() || rest.ends_with('.')) {
        return None;
    }
    let mut call = Call::default();
    let mut words = command.args().iter().map(String::as_str);
    while let Some(word) = words.next() {
        if word == "--" && call.verb.is_empty() {
            continue;
        }
        if word == "--" {
            break; // The next command of the same line.
        }
        if !word.starts_with('-') || word == "-" {
            if call.verb.is_empty() {
                call.verb = word;
            } else {
                call.operands.push(word);
            }
            continue;
        }
        let (name, attached) = match word.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => match (word.strip_prefix("--"), word.get(..2), word.get(2..)) {
                (None, Some(short), Some(value)) if !value.is_empty() => (short, Some(value)),
                _ => (word, None),
            },
        };
        let mut value = || attached.or_else(|| words.next()).unwrap_or_default();
        match name {
            "-f" | "--format" => {
                call.layout = match value() {
                    "list" => Some(Layout::List),
                    "table" => Some(Layout::Table),
                    "csv" => Some(Layout::Csv),
                    "json" => Some(Layout::Json),
                    "html" => Some(Layout::Html),
                    _ => None,
                };
            }
            "-d" | "--data" => {
                call.style = match value() {
                    "bare" => Style::Bare,
                    "json" => Style::Json,
                    _ => Style::Notation,
                };
            }
            "--columns" => {
                call.columns = value().split([',', ' ']).filter(|part| !part.is_empty()).collect();
            }
            "--filter" => call.filter = Some(value()),
            "--no-headings" | "--no-heading" => call.no_headings = true,
            "--bare" => {
                (call.layout, call.style, call.no_headings) =
                    (Some(Layout::List), Style::Bare, true);
            }
            "-t"
            | "--timeout"
            | "--db"
            | "-p"
            | "--private-key"
            | "-c"
            | "--certificate"
            | "-C"
            | "--ca-cert"
            | "--bootstrap-ca-cert" => {
                value();
            }
            _ => {}
        }
    }
    Some(call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_anywhere_and_take_their_words() {
        let command =
            Command::new("ovs-vsctl -t 5 -fcsv --no-headings -- --columns=name,tag list port p0");
        let call = of(&command, "ovs-vsctl").unwrap();
        assert_eq!((call.verb, call.operands.as_slice()), ("list", ["port", "p0"].as_slice()));
        assert_eq!((call.layout, call.no_headings), (Some(Layout::Csv), true));
        assert_eq!(call.columns, ["name", "tag"]);
        let snap = Command::new("microovn.ovs-vsctl --timeout=5 show");
        assert_eq!(of(&snap, "ovs-vsctl").unwrap().verb, "show");
        assert_eq!(of(&Command::new("xovs-vsctl show"), "ovs-vsctl"), None);
    }
}
