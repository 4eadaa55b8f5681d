//! What virtual machines and containers a host runs, as the tools that manage them list them: `qm list`
//! and `pct list` of Proxmox VE, `docker ps`, `podman ps`, `nerdctl ps`, `crictl pods`, `crictl ps` and
//! `kubectl get pods`.
//!
//! Source of the formats: `PVE/CLI/qm.pm` (`%10s %-20s %-10s %-10s %12s %-10s`), `PVE/CLI/pct.pm`
//! (`%-10s %-10s %-12s %-20s`), docker `cli/command/formatter`, cri-tools `cmd/crictl/sandbox.go` and
//! `container.go`, and the tables of kubectl (columns of a tabwriter, at least two blanks apart). They
//! show what the numbers and ids in the names of devices and namespaces are called.
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
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let verbs: Vec<&str> = verbs(&words).collect();
    // Columns of a person's own choice, or ids alone.
    let shaped =
        words.iter().any(|it| it.starts_with("--format") || matches!(*it, "-q" | "--quiet"));
    match command.program() {
        "qm" | "pct" => words == ["list"],
        "docker" | "podman" | "nerdctl" => {
            !shaped
                && matches!(verbs.as_slice(), ["ps", ..] | ["container", "ls" | "list" | "ps", ..])
        }
        "crictl" => {
            !is_reshaped(&words) && !shaped && matches!(verbs.first(), Some(&("pods" | "ps")))
        }
        "kubectl" | "oc" => {
            let one = |kind: &str| matches!(kind, "pod" | "pods" | "po");
            let of_pods = matches!(verbs.as_slice(), ["get", kind, ..] if one(kind));
            of_pods && !is_reshaped(&words) && !words.contains(&"--no-headers")
        }
        _ => false,
    }
}

/// The words of a command that are no options, nor their values.
fn verbs<'a>(words: &'a [&str]) -> impl Iterator<Item = &'a str> {
    const VALUED: &[&str] =
        &["-n", "--namespace", "--context", "--kubeconfig", "-l", "-o", "-r", "-f", "--filter"];
    let is_value = |at: usize| {
        at.checked_sub(1).and_then(|at| words.get(at)).is_some_and(|it| VALUED.contains(it))
    };
    let own = words.iter().enumerate();
    own.filter(move |(at, it)| !it.starts_with('-') && !is_value(*at)).map(|(_, it)| *it)
}

/// Whether it asks for another form than a table: `-o yaml`, but not `-o wide`.
fn is_reshaped(words: &[&str]) -> bool {
    words.iter().enumerate().any(|(at, word)| {
        let form = match *word {
            "-o" | "--output" => words.get(at + 1).copied(),
            word => word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o")),
        };
        form.is_some_and(|form| form.trim_start_matches('=') != "wide")
    })
}

/// The namespace that `kubectl -n NAME` names.
fn asked_space(command: &Command) -> Option<&str> {
    let args = command.args();
    args.iter().enumerate().find_map(|(at, arg)| match arg.as_str() {
        "-n" | "--namespace" => args.get(at + 1).map(String::as_str),
        arg => arg.strip_prefix("--namespace=").or_else(|| arg.strip_prefix("-n=")),
    })
}

/// Which tool printed a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Qm,
    Pct,
    /// `docker ps` and its kin.
    Containers,
    /// `crictl pods`.
    Sandboxes,
    /// `crictl ps`; whether it prints the name and the namespace of the pod.
    OfPods {
        pod: bool,
        space: bool,
    },
    /// `kubectl get pods`; whether it prints namespaces, and the name of the node.
    Pods {
        spaces: bool,
        wide: bool,
    },
}

/// What a row says of a guest.
#[derive(Clone, Copy, Default, Debug)]
struct Row<'a> {
    id: Option<&'a str>,
    state: &'a str,
    name: &'a str,
    space: Option<&'a str>,
    pod: Option<&'a str>,
    pod_name: Option<&'a str>,
    node: Option<&'a str>,
}

impl Form {
    /// By its heading.
    fn of(line: &str) -> Option<Self> {
        let line = line.trim();
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            ["VMID", "NAME", "STATUS", ..] => Some(Self::Qm),
            ["VMID", "Status", "Lock", "Name"] => Some(Self::Pct),
            ["CONTAINER", "ID", "IMAGE", "COMMAND", .., "NAMES"] => Some(Self::Containers),
            ["POD", "ID", "CREATED", "STATE", "NAME", "NAMESPACE", ..] => Some(Self::Sandboxes),
            [
                "CONTAINER",
                "IMAGE",
                "CREATED",
                "STATE",
                "NAME",
                "ATTEMPT",
                "POD",
                "ID",
                rest @ ..,
            ]
            | [
                "CONTAINER",
                "ID",
                "IMAGE",
                "CREATED",
                "STATE",
                "NAME",
                "ATTEMPT",
                "POD",
                "ID",
                rest @ ..,
            ] => match rest {
                [] => Some(Self::OfPods { pod: false, space: false }),
                ["POD"] => Some(Self::OfPods { pod: true, space: false }),
                ["POD", "NAMESPACE"] => Some(Self::OfPods { pod: true, space: true }),
                _ => None,
            },
            [rest @ .., "NAME", "READY", "STATUS", "RESTARTS", "AGE"] => {
                let spaces = matches!(rest, ["NAMESPACE"]);
                (spaces || rest.is_empty()).then_some(Self::Pods { spaces, wide: false })
            }
            ["NAMESPACE", "NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", ..] => {
                Some(Self::Pods { spaces: true, wide: true })
            }
            ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE", ..] => {
                Some(Self::Pods { spaces: false, wide: true })
            }
            _ => None,
        }
    }

    fn kind(self) -> &'static str {
        match self {
            Self::Qm => "vm",
            Self::Pct => "ct",
            Self::Containers | Self::OfPods { .. } => "container",
            Self::Sandboxes | Self::Pods { .. } => "pod",
        }
    }

    /// What one line says.
    fn row(self, line: &str) -> Option<Row<'_>> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let columns: Vec<&str> =
            line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
        let number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let hex = |text: &str| text.len() >= 8 && text.bytes().all(|b| b.is_ascii_hexdigit());
        let guest = |id, state, name| Row { id: Some(id), state, name, ..Row::default() };
        match self {
            Self::Qm => match words.as_slice() {
                [id, name, state, ..] if number(id) => Some(guest(*id, *state, *name)),
                _ => None,
            },
            Self::Pct => match words.as_slice() {
                [id, state, .., name] if number(id) && words.len() <= 4 => {
                    Some(guest(*id, *state, *name))
                }
                _ => None,
            },
            Self::Containers => {
                const STATES: &[&str] =
                    &["Up ", "Exited", "Created", "Restarting", "Removal", "Dead", "Paused"];
                let (id, name) = words.first().zip(words.last()).filter(|(id, _)| hex(id))?;
                // The last such column: an image or a command may be called so.
                let state = columns.iter().rev().find(|cell| {
                    STATES.iter().any(|state| cell.starts_with(state)) && *cell != name
                });
                Some(guest(*id, state.copied().unwrap_or_default(), *name))
            }
            Self::Sandboxes => match columns.as_slice() {
                [id, _, state, name, space, ..] if hex(id) => {
                    Some(Row { space: Some(*space), ..guest(*id, *state, *name) })
                }
                _ => None,
            },
            Self::OfPods { pod, space } => match columns.as_slice() {
                [id, _, _, state, name, attempt, of, rest @ ..]
                    if hex(id) && hex(of) && number(attempt) =>
                {
                    let pod_name = rest.first().copied().filter(|_| pod);
                    let space = rest.get(1).copied().filter(|_| space);
                    Some(Row { space, pod: Some(*of), pod_name, ..guest(*id, *state, *name) })
                }
                _ => None,
            },
            Self::Pods { spaces, wide } => {
                let (space, rest) = match columns.as_slice() {
                    [space, rest @ ..] if spaces => (Some(*space), rest),
                    rest => (None, rest),
                };
                let [name, ready, state, _restarts, _age, rest @ ..] = rest else { return None };
                let (up, all) = ready.split_once('/')?;
                if !number(up) || !number(all) {
                    return None;
                }
                let node = rest.get(1).copied().filter(|node| wide && *node != "<none>");
                Some(Row { state, name, space, node, ..Row::default() })
            }
        }
    }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<HostFact>> {
    let mut out = Outcome::default();
    let mut form = None;
    let space = asked_space(command);
    each_line(text, &mut out, |line| row(text, line, space, &mut form));
    finish(text, &mut out);
    // Docker, podman and crictl leave out what does not run.
    let args = command.args();
    let engine = match command.program() {
        "docker" | "podman" | "nerdctl" => true,
        "crictl" => args.iter().any(|arg| arg == "ps"),
        _ => false,
    };
    if engine && !args.iter().any(|arg| matches!(arg.as_str(), "-a" | "--all")) {
        let partial = Completeness::Partial("shows only containers that run".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn row<'a>(
    text: &str,
    line: &'a str,
    asked: Option<&str>,
    form: &mut Option<Form>,
) -> Parsed<'a, Read<HostFact>> {
    if let Some(heading) = Form::of(line) {
        *form = Some(heading);
        return Ok(("", Read::Ignored));
    }
    let Some(form) = *form else { return refuse(line, "a heading such as `VMID NAME STATUS`") };
    let Some(row) = form.row(line) else {
        return refuse(line, "the id, the state and the name of a guest");
    };
    let at = |part: &str| At::new(part.into(), Span::of(text, part));
    // The command says it of all rows.
    let asked = asked.filter(|_| matches!(form, Form::Pods { spaces: false, .. }));
    let space = row.space.map(at);
    let fact = Fact::Guest {
        sort: form.kind(),
        id: row.id.map(at),
        name: at(row.name),
        space: space.or_else(|| Some(At::new(asked?.into(), Span::of(text, row.name)))),
        state: Some(row.state).filter(|state| !state.is_empty()).map(at),
        pod: row.pod.map(at),
        pod_name: row.pod_name.map(at),
        node: row.node.map(at),
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
                ["vm", "103", "web", "", "running", ""],
            ),
            (
                "pct list",
                "VMID       Status     Lock         Name                \n\
                 102        stopped    backup       db                  \n",
                ["ct", "102", "db", "", "stopped", ""],
            ),
            (
                "docker ps -a",
                "CONTAINER ID   IMAGE     COMMAND   CREATED       STATUS       PORTS     NAMES\n\
                 3f2a1b4c5d6e   nginx     \"nginx\"   2 hours ago   Up 2 hours   80/tcp    web\n",
                ["container", "3f2a1b4c5d6e", "web", "", "Up 2 hours", ""],
            ),
            (
                "crictl pods",
                "POD ID              CREATED             STATE               NAME                \
                 NAMESPACE           ATTEMPT             RUNTIME\n\
                 3f2a1b4c5d6e7       2 days ago          Ready               web-0               \
                 shop                0                   (default)\n",
                ["pod", "3f2a1b4c5d6e7", "web-0", "shop", "Ready", ""],
            ),
            (
                "crictl ps -a",
                "CONTAINER           IMAGE               CREATED              STATE               \
                 NAME                ATTEMPT             POD ID              POD\n\
                 93b10093a8263       bea2d277eb715       About a minute ago   Running             \
                 nginx               2                   3f2a1b4c5d6e7       web-0\n",
                ["container", "93b10093a8263", "nginx", "", "Running", "3f2a1b4c5d6e7"],
            ),
            (
                "crictl ps --all",
                "CONTAINER ID        IMAGE               CREATED             STATE               \
                 NAME                ATTEMPT             POD ID\n\
                 93b10093a8263       bea2d277eb715       3 days ago          Exited              \
                 nginx               0                   3f2a1b4c5d6e7\n",
                ["container", "93b10093a8263", "nginx", "", "Exited", "3f2a1b4c5d6e7"],
            ),
            (
                "kubectl get pods -A -o wide",
                "NAMESPACE   NAME    READY   STATUS    RESTARTS     AGE   IP           NODE    \
                 NOMINATED NODE   READINESS GATES\n\
                 shop        web-0   1/1     Running   2 (3d ago)   9d    10.244.1.5   kiln7   \
                 <none>           <none>\n",
                ["pod", "", "web-0", "shop", "Running", ""],
            ),
            (
                "kubectl -n shop get po",
                "NAME    READY   STATUS             RESTARTS   AGE\n\
                 web-0   0/1     CrashLoopBackOff   7          9d\n",
                ["pod", "", "web-0", "shop", "CrashLoopBackOff", ""],
            ),
        ] {
            let command = Command::new(command);
            assert!(FORMAT.reads(&command) && (FORMAT.sniff)(text) > 50, "{command}");
            let out = parse(text, &command);
            assert_eq!((out.problems.as_slice(), out.lines.unread), (&[][..], 0), "{command}");
            assert!(out.completeness.is_complete(), "{command}");
            let [HostFact { fact: Fact::Guest { sort, id, name, space, state, pod, .. }, .. }] =
                out.records.as_slice()
            else {
                panic!("{out:?}")
            };
            let or_none = |it: &Option<At<tapline_core::Name>>| {
                it.as_ref().map_or(String::new(), |it| it.value.to_string())
            };
            let [id, space, state, pod] = [id, space, state, pod].map(or_none);
            let shown = [sort, id.as_str(), name.as_str(), space.as_str(), state.as_str(), &pod];
            assert_eq!(shown, wanted, "{command}");
        }
    }

    #[test]
    fn other_forms_are_no_lists() {
        for command in [
            "kubectl get pods -o yaml",
            "kubectl get svc",
            "kubectl get pod web-0 -ojson",
            "kubectl get pods --no-headers",
            "crictl pods -q",
            "crictl ps -o json",
            "crictl inspect pods",
            "docker ps --format {{.Names}}",
            "docker inspect ps",
            "qm config 103",
        ] {
            assert!(!FORMAT.reads(&Command::new(command)), "{command}");
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
