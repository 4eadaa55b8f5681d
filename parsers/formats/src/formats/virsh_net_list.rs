//! `virsh net-list [--all]`: libvirt's networks and whether they are active.
//!
//! Source of the format: libvirt `tools/virsh-network.c` (`cmdNetworkList`); 0.9 to 11.
//!
//! ```text
//!  Name      State      Autostart   Persistent
//! ----------------------------------------------
//!  default   active     yes         yes
//!  isolated  inactive   no          yes
//! ```
//!
//! Without `--all` only active networks are listed. Heading and words are translated: the line
//! above the dashes is the heading, and a word that is not English is kept as it is printed.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::libvirt::NetworkState;
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::virsh;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, each_line, finish, never_empty};
use crate::nomx::{Parsed, refuse};
use crate::ovsdb::doubt_unread;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("virsh-net-list"),
    command: "virsh net-list --all",
    collect: &[Per::Host.run("virsh -r net-list --all")],
    claims: |command| virsh::args_of(command, "net-list").map(|_| Request::default()),
    sniff: |head| if bodies(head).take(8).any(is_heading) { 95 } else { 0 },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `Persistent` is missing before 0.10.
fn is_heading(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.by_ref().take(3).eq(["Name", "State", "Autostart"])
        && words.next().is_none_or(|word| word == "Persistent")
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<NetworkState>> {
    let mut out = Outcome::default();
    let args = virsh::sub_command(command).map(|(_, args)| args).unwrap_or_default();
    let asks = |option: &str| args.iter().any(|arg| arg == option);
    let bare = asks("--name") || asks("--uuid");
    each_line(text, &mut out, |line| {
        let carries_nothing = virsh::is_decoration(line)
            || virsh::prompt(line).is_some()
            || is_heading(line)
            || virsh::is_above_rule(text, line);
        match (carries_nothing, bare) {
            (true, _) => Ok(("", Read::Ignored)),
            (false, true) => value(text, line, asks("--uuid")),
            (false, false) => row(text, line),
        }
    });
    finish(text, &mut out);
    doubt_unread(&mut out);
    if !bare && !command.argv.iter().any(|argv| argv == "-q" || argv == "--quiet") {
        never_empty(&mut out, "a heading");
    }
    if !asks("--all") {
        let partial = Completeness::Partial("shows only active networks".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

/// Name, state, autostart, persistent. A name may hold blanks.
fn row<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<NetworkState>> {
    let what = "a name, a state, and yes or no";
    let cells: Vec<&str> =
        line.split("  ").map(str::trim).filter(|text| !text.is_empty()).collect();
    let (name, state, autostart, persistent) = match cells.as_slice() {
        [name, state, autostart, persistent] => (*name, *state, *autostart, Some(*persistent)),
        [name, state, autostart @ ("yes" | "no")] => (*name, *state, *autostart, None),
        _ => return refuse(line, what),
    };
    let switch = |word: &str| match word {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    let active = match state {
        "active" => Some(true),
        "inactive" => Some(false),
        _ if state.is_ascii() && switch(autostart).is_some() => return refuse(line, what),
        _ if [Some(state), Some(autostart), persistent].into_iter().flatten().any(is_value) => {
            return refuse(line, what);
        }
        // Another language.
        _ => None,
    };
    let record = NetworkState {
        at: Span::of(text, line),
        name: Some(at(text, name)),
        uuid: None,
        state: Some(at(text, state)),
        active: active.map(|active| At::new(active, Span::of(text, state))),
        autostart: switch(autostart),
        persistent: persistent.and_then(switch),
    };
    Ok(("", Read::Took(record)))
}

/// Whether a cell holds a number or an address, and so is no word of a language.
fn is_value(cell: &str) -> bool {
    cell.contains([':', '/', '-']) || cell.bytes().any(|b| b.is_ascii_digit())
}

/// One name or UUID.
fn value<'a>(text: &str, line: &'a str, uuid: bool) -> Parsed<'a, Read<NetworkState>> {
    let value = line.trim();
    if value.contains("  ") || value.contains(": ") || uuid && value.contains(' ') {
        return refuse(line, "the name or UUID of a network");
    }
    let shown = Some(at(text, value));
    let (name, uuid) = if uuid { (None, shown) } else { (shown, None) };
    let record = NetworkState {
        at: Span::of(text, line),
        name,
        uuid,
        state: None,
        active: None,
        autostart: None,
        persistent: None,
    };
    Ok(("", Read::Took(record)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<NetworkState>> {
        parse(text, &Command::new(command))
    }

    #[test]
    fn rows_have_states() {
        let text = " Name         State      Autostart   Persistent\n\
                    -----------------------------------------------\n \
                    default      active     yes         yes\n my net       inactive   no          yes\n\n";
        let out = read(text, "virsh net-list --all");
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let [default, mine] = out.records.as_slice() else { panic!("{out:?}") };
        assert!(default.active.as_ref().unwrap().value);
        assert_eq!((mine.name.as_ref().unwrap().as_str(), mine.autostart), ("my net", Some(false)));
        assert!(!mine.active.as_ref().unwrap().value);
        assert!(!read(text, "virsh net-list").completeness.is_complete());
    }

    #[test]
    fn other_languages_and_bare_names() {
        let text = " Name      Status   Automatischer Start   Bleibend\n-----------\n default   Aktiv    ja                    ja\n";
        let out = read(text, "virsh net-list --all");
        assert_eq!((out.records.len(), out.problems.len()), (1, 0), "{out:?}");
        assert_eq!(out.records[0].active, None);
        let out = read("default\nred\n\n", "virsh net-list --all --name");
        assert_eq!((out.records.len(), out.problems.len()), (2, 0));
    }

    #[test]
    fn what_is_no_row_is_a_problem() {
        for text in ["hello\n", " Id   Name   State\n----\n 1    a      running\n"] {
            let out = read(text, "virsh net-list --all");
            assert!(out.records.is_empty() && !out.completeness.is_complete(), "{text}");
        }
        assert!(
            read("error: failed to connect to the hypervisor\n", "virsh net-list")
                .completeness
                .is_failed()
        );
    }
}
