//! What virtual machines and containers a host runs, as the tools that manage them list them: `qm list`
//! and `pct list` of Proxmox VE, `docker ps`, `podman ps`, `nerdctl ps`, and `crictl pods`.
//!
//! Source of the formats: `PVE/CLI/qm.pm` (`%10s %-20s %-10s %-10s %12s %-10s`), `PVE/CLI/pct.pm`
//! (`%-10s %-10s %-12s %-20s`), docker `cli/command/formatter` and cri-tools `cmd/crictl/sandbox.go`
//! (columns of a tabwriter, at least two blanks apart). They show what the numbers and ids in the
//! names of devices and namespaces are called.
//!
//! ```text
//!       VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID
//!        103 web                  running    2048              32.00 4711
//! ```
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::host::{Fact, HostFact};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("guests"),
    command: "qm list",
    // Nothing is judged by them.
    collect: &[],
    claims: |command| is_list(command).then(Request::default),
    sniff: |head| {
        let first = bodies(head).find(|line| !line.trim().is_empty());
        if first.and_then(Form::of).is_some() { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Whether the command prints such a list.
fn is_list(command: &Command) -> bool {
    let args = command.args();
    let first = args.iter().find(|arg| !arg.starts_with('-')).map_or("", String::as_str);
    match command.program() {
        "qm" | "pct" => args == ["list"],
        "docker" | "podman" | "nerdctl" => {
            let form = args.iter().any(|arg| arg.starts_with("--format") || arg == "-q");
            first == "ps" && !form
                || matches!(args, [container, ls, ..] if container == "container" && ls == "ls")
        }
        "crictl" => first == "pods",
        _ => false,
    }
}

/// Which tool printed a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Qm,
    Pct,
    Containers,
    Pods,
}

impl Form {
    /// By its heading.
    fn of(line: &str) -> Option<Self> {
        let line = line.trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["VMID", "NAME", "STATUS", ..] => Some(Self::Qm),
            ["VMID", "Status", "Lock", "Name"] => Some(Self::Pct),
            ["CONTAINER", "ID", "IMAGE", .., "NAMES"] => Some(Self::Containers),
            ["POD", "ID", "CREATED", "STATE", "NAME", "NAMESPACE", ..] => Some(Self::Pods),
            _ => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Qm => "vm",
            Self::Pct => "ct",
            Self::Containers => "container",
            Self::Pods => "pod",
        }
    }

    /// Id, state and name in a row; of a pod the namespace, too.
    fn cells(self, line: &str) -> Option<(&str, &str, &str)> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let hex = |text: &str| text.len() >= 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let columns = || line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        match self {
            Self::Qm => match words.as_slice() {
                [id, name, state, ..] if number(id) => Some((id, state, name)),
                _ => None,
            },
            Self::Pct => match words.as_slice() {
                [id, state, .., name] if number(id) && words.len() <= 4 => Some((id, state, name)),
                _ => None,
            },
            Self::Containers => {
                let (id, name) = words.first().zip(words.last()).filter(|(id, _)| hex(id))?;
                let state =
                    columns().find(|cell| cell.starts_with("Up ") || cell.starts_with("Exited"));
                Some((id, state.unwrap_or_default(), name))
            }
            Self::Pods => {
                let cells: Vec<&str> = columns().collect();
                match cells.as_slice() {
                    [id, _, state, name, _, ..] if hex(id) => Some((id, state, name)),
                    _ => None,
                }
            }
        }
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<HostFact>> {
    let mut out = Outcome::default();
    let mut form = None;
    each_line(text, &mut out, |line| row(text, line, &mut form));
    finish(text, &mut out);
    // Docker and podman leave out what does not run.
    let engine = matches!(command.program(), "docker" | "podman" | "nerdctl");
    if engine && !command.args().iter().any(|arg| matches!(arg.as_str(), "-a" | "--all")) {
        let partial = Completeness::Partial("shows only containers that run".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn row<'a>(text: &str, line: &'a str, form: &mut Option<Form>) -> Parsed<'a, Read<HostFact>> {
    if let Some(heading) = Form::of(line) {
        *form = Some(heading);
        return Ok(("", Read::Ignored));
    }
    let Some(form) = *form else { return refuse(line, "a heading such as `VMID NAME STATUS`") };
    let Some((id, state, name)) = form.cells(line) else {
        return refuse(line, "the id, the state and the name of a guest");
    };
    let at = |part: &str| At::new(part.into(), Span::of(text, part));
    let space = (form == Form::Pods)
        .then(|| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).nth(4))
        .flatten();
    let fact = Fact::Guest {
        sort: form.kind(),
        id: at(id),
        name: at(name),
        space: space.map(at),
        state: Some(state).filter(|state| !state.is_empty()).map(at),
    };
    Ok(("", Read::Took(HostFact { at: Span::of(text, line), fact })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_of_all_tools() {
        for (command, text, wanted) in [
            (
                "qm list",
                "      VMID NAME                 STATUS     MEM(MB)    BOOTDISK(GB) PID       \n       \
                 103 web                  running    2048              32.00 4711      \n",
                ("vm", "103", "web", "", "running"),
            ),
            (
                "pct list",
                "VMID       Status     Lock         Name                \n\
                 102        stopped    backup       db                  \n",
                ("ct", "102", "db", "", "stopped"),
            ),
            (
                "docker ps -a",
                "CONTAINER ID   IMAGE     COMMAND   CREATED       STATUS       PORTS     NAMES\n\
                 3f2a1b4c5d6e   nginx     \"nginx\"   2 hours ago   Up 2 hours   80/tcp    web\n",
                ("container", "3f2a1b4c5d6e", "web", "", "Up 2 hours"),
            ),
            (
                "crictl pods",
                "POD ID              CREATED             STATE               NAME                \
                 NAMESPACE           ATTEMPT             RUNTIME\n\
                 3f2a1b4c5d6e7       2 days ago          Ready               web-0               \
                 shop                0                   (default)\n",
                ("pod", "3f2a1b4c5d6e7", "web-0", "shop", "Ready"),
            ),
        ] {
            let command = Command::new(command);
            assert!(FORMAT.reads(&command) && (FORMAT.sniff)(text) > 50, "{command}");
            let out = parse(text, &command);
            assert_eq!((out.problems.as_slice(), out.lines.unread), (&[][..], 0), "{command}");
            assert!(out.completeness.is_complete(), "{command}");
            let [HostFact { fact: Fact::Guest { sort, id, name, space, state }, .. }] =
                out.records.as_slice()
            else {
                panic!("{out:?}")
            };
            let or_none = |it: &Option<At<tapline_core::Name>>| {
                it.as_ref().map_or(String::new(), |it| it.value.to_string())
            };
            let (space, state) = (or_none(space), or_none(state));
            let shown = (*sort, id.as_str(), name.as_str(), space.as_str(), state.as_str());
            assert_eq!(shown, wanted, "{command}");
        }
    }

    #[test]
    fn other_texts_are_no_guests() {
        for text in
            ["Error: No such container: web\n", "103 web running\n", "VMID NAME STATUS\nx y\n"]
        {
            let out = parse(text, &Command::new("qm list"));
            assert!(out.records.is_empty() && !out.completeness.is_complete(), "{text}{out:?}");
        }
    }
}
