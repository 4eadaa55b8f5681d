//! `ovs-dpctl show [-s]`, `ovs-appctl dpctl/show`: datapaths and their ports.
//!
//! Source of the format: Open vSwitch `lib/dpctl.c` (`show_dpif`); 1.x to 3.x.
//!
//! ```text
//! system@ovs-system:
//!   lookups: hit:36830 missed:4948 lost:0
//!   flows: 7
//!   masks: hit:101155 total:7 hit/pkt:2.42
//!   port 0: ovs-system (internal)
//!   port 4: vxlan_sys_4789 (vxlan: packet_type=ptap)
//!     RX packets:0 errors:0 dropped:0 overruns:0 frame:0
//! ```
//!
//! The numbers of ports are those of the datapath. `lost` counts packets that the daemon did not
//! take: flows that are not there.
use tapline_core::Name;
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::datapath::{Datapath, DatapathPort};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::openflow::{OvsCommand, is_log};
use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, never_empty, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-dpctl-show"),
    command: "ovs-appctl dpctl/show",
    collect: &[],
    claims: |command| {
        let verb = |tool: &str, verbs: &[&str]| {
            OvsCommand::of(command, tool).is_some_and(|call| verbs.contains(&call.verb))
        };
        let is = verb("ovs-dpctl", &["show"]) || verb("ovs-appctl", &["dpctl/show", "dpctl.show"]);
        is.then(Request::default)
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_log(body));
        let first = lines.next().is_some_and(|line| datapath(line).is_some());
        if first && lines.next().is_some_and(|line| line.trim_start().starts_with("lookups:")) {
            95
        } else {
            0
        }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `system@ovs-system:`.
fn datapath(line: &str) -> Option<&str> {
    let name = line.strip_suffix(':')?;
    let (kind, rest) = name.split_once('@')?;
    let plain = |text: &str| !text.is_empty() && !text.contains(char::is_whitespace);
    (plain(kind) && plain(rest)).then_some(name)
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<Datapath>> {
    let mut out: Outcome<Vec<Datapath>> = Outcome::default();
    let mut all: Vec<Datapath> = Vec::new();
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| read(text, line, &mut all));
    }
    out.records = all;
    finish(text, &mut out);
    never_empty(&mut out, "a datapath where the daemon runs");
    out
}

/// What stands behind `, could not retrieve stats (No such device)`, after which the tool prints no line
/// end: the next port, or nothing. The port above is there all the same.
fn behind_missing_counters(line: &str) -> Option<&str> {
    let rest =
        line.trim_start_matches([',', ' ', '\t']).strip_prefix("could not retrieve stats (")?;
    Some(rest.split_once(')')?.1)
}

fn read<'a>(text: &str, line: &'a str, all: &mut Vec<Datapath>) -> Parsed<'a, Read<()>> {
    let took = Ok(("", Read::Took(())));
    let line = match behind_missing_counters(line) {
        Some(rest) if rest.trim().is_empty() => return Ok(("", Read::Ignored)),
        Some(rest) => rest,
        None => line,
    };
    if is_log(line) {
        return Ok(("", Read::Ignored));
    }
    if let Some(name) = datapath(line) {
        all.push(Datapath {
            at: Span::of(text, line),
            name: at(text, name),
            hit: None,
            missed: None,
            lost: None,
            flows: None,
            ports: Vec::new(),
            other: Vec::new(),
        });
        return took;
    }
    let Some(datapath) = all.last_mut().filter(|_| line.starts_with([' ', '\t'])) else {
        return refuse(line, "a datapath such as `system@ovs-system:`");
    };
    let line = line.trim_start();
    if let Some((number, rest)) = line.strip_prefix("port ").and_then(|rest| rest.split_once(": "))
    {
        return port(text, line, number, rest, datapath);
    }
    let Some((key, rest)) = line.split_once(':') else { return refuse(line, "`key: value`") };
    match key {
        "lookups" => {
            datapath.hit = counter(rest, "hit").and_then(|counter| counter.parse().ok());
            datapath.missed = counter(rest, "missed").and_then(|counter| counter.parse().ok());
            let lost = counter(rest, "lost");
            datapath.lost =
                lost.and_then(|lost| Some(At::new(lost.parse().ok()?, Span::of(text, lost))));
        }
        "flows" => datapath.flows = rest.trim().parse().ok(),
        _ => {
            let field = Field { key: Name::from(key.trim()), value: at(text, rest.trim()) };
            match datapath.ports.last_mut() {
                Some(port) => port.other.push(field),
                None => datapath.other.push(field),
            }
        }
    }
    took
}

/// `hit:36830` of a line.
fn counter<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_whitespace().find_map(|word| word.strip_prefix(name)?.strip_prefix(':'))
}

/// `port 4: vxlan_sys_4789 (vxlan: packet_type=ptap)`.
fn port<'a>(
    text: &str,
    line: &'a str,
    number: &str,
    rest: &'a str,
    datapath: &mut Datapath,
) -> Parsed<'a, Read<()>> {
    let Ok(number) = number.parse() else { return refuse(line, "the number of a port") };
    let (name, about) = match rest.split_once(" (") {
        Some((name, about)) => (name, about.strip_suffix(')')),
        None => (rest, None),
    };
    if name.is_empty() || name.contains(char::is_whitespace) {
        return refuse(rest, "the name of a device");
    }
    let (kind, config) = match about.map(|about| about.split_once(": ").unwrap_or((about, ""))) {
        Some((kind, config)) => (Some(Name::from(kind)), config),
        None => (None, ""),
    };
    let fields = config.split(", ").filter_map(|part| {
        let (key, value) = part.split_once('=')?;
        Some(Field { key: key.into(), value: at(text, value) })
    });
    datapath.ports.push(DatapathPort {
        at: Span::of(text, line),
        number,
        name: at(text, name),
        kind,
        other: fields.collect(),
    });
    Ok(("", Read::Took(())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &str) -> Outcome<Vec<Datapath>> {
        parse(text, &Command::new("ovs-appctl dpctl/show"))
    }

    #[test]
    fn ports_have_numbers_and_types() {
        let text = "2026-01-02T03:04:05Z|00001|dpif_netlink|INFO|The kernel module does not support meters.\n\
            system@ovs-system:\n  lookups: hit:36830 missed:4948 lost:3\n  flows: 7\n  \
            masks: hit:101155 total:7 hit/pkt:2.42\n  caches:\n    masks-cache: size:256\n  \
            port 0: ovs-system (internal)\n    RX packets:0 errors:0 dropped:0 overruns:0 frame:0\n    \
            collisions:0\n  port 4: vxlan_sys_4789 (vxlan: packet_type=ptap)\n  port 5: ens7\n";
        let out = read_all(text);
        assert_eq!(out.problems, []);
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((it.hit, it.missed, it.flows), (Some(36830), Some(4948), Some(7)));
        assert_eq!(it.lost.as_ref().unwrap().value, 3);
        let show = |it: &DatapathPort| {
            format!("{} {} {}", it.number, *it.name, it.kind.clone().unwrap_or_default())
        };
        assert_eq!(
            it.ports.iter().map(show).collect::<Vec<_>>(),
            ["0 ovs-system internal", "4 vxlan_sys_4789 vxlan", "5 ens7 "]
        );
    }

    #[test]
    fn a_port_without_counters_is_one_and_so_is_the_next() {
        let out = read_all(
            "system@ovs-system:\n  lookups: hit:1 missed:2 lost:0\n  port 0: ovs-system (internal)\n\
             , could not retrieve stats (No such device)  port 4: eth1\n\
             , could not retrieve stats (No such device)",
        );
        assert!(
            out.problems.is_empty()
                && out.completeness == tapline_core::capture::Completeness::default(),
            "{out:?}"
        );
        let ports = out.records.first().map(|it| it.ports.iter().map(|port| port.number));
        assert_eq!(ports.map(Iterator::collect::<Vec<_>>), Some(vec![0, 4]));
    }

    #[test]
    fn foreign_lines_and_silence() {
        for text in ["hello\n", "  port 1: x\n", "system@ovs-system:\n  port x: y\n"] {
            assert_eq!(read_all(text).lines.unread, 1, "{text}");
        }
        assert!(read_all("").completeness.is_failed());
        let refused = "ovs-dpctl: opening datapath (No such device)\n";
        assert!(read_all(refused).completeness.is_failed());
    }
}
