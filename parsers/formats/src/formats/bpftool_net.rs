//! `bpftool net list`: programs of BPF at the devices of a namespace.
//!
//! Source of the format: Linux `tools/bpf/bpftool/net.c`, `netlink_dumper.c`; 4.20 to 6.x.
//!
//! ```text
//! xdp:
//! eth0(2) driver id 198
//!
//! tc:
//! eth0(2) clsact/ingress bpf_host.o:[from-netdev] id 680
//! eth1(3) tcx/egress cil_to_netdev prog_id 688 link_id 15
//!
//! flow_dissector:
//!
//! netfilter:
//! ```
//!
//! Programs of `tcx` are in no listing of `tc`.
use tapline_core::Name;
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::tc::BpfProgram;
use tapline_core::request::{Request, Topic};
use tapline_core::span::Span;

use crate::format::{Ends, Format, Per};
use crate::keyed::{at, token};
use crate::lines::{Read, bodies, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("bpftool-net-list"),
    command: "bpftool net list",
    collect: &[Per::Host.run("bpftool net list"), Per::Namespace.run("bpftool net list")],
    claims: |command| {
        let is = command.program() == "bpftool";
        let mut words = command.args().iter().map(String::as_str);
        let json =
            command.args().iter().any(|word| word.starts_with("-j") || word.starts_with("-p"));
        let listed =
            words.next() == Some("net") && matches!(words.next(), None | Some("list" | "show"));
        let dev = words.next().and_then(|_| words.next());
        let request = Request::filtered(&[Topic::BpfPrograms], dev.is_some()).about(dev);
        (is && listed && !json).then_some(request)
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty());
        let first = lines.next() == Some("xdp:");
        if first && lines.any(|line| line == "tc:") { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The parts of the listing.
const SECTIONS: [&str; 4] = ["xdp:", "tc:", "flow_dissector:", "netfilter:"];

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<BpfProgram>> {
    let mut out = Outcome::default();
    let mut section = None;
    each_line(text, &mut out, |line| {
        if let Some(found) = SECTIONS.iter().find(|known| **known == line.trim()) {
            section = found.strip_suffix(':');
            // A part without programs says that there are none.
            return Ok(("", Read::Ignored));
        }
        match section {
            Some(section @ ("xdp" | "tc")) => program(text, section, line),
            Some(_) if line.contains("id ") => Ok(("", Read::Ignored)),
            _ => refuse(line, "the heading of a part, such as `xdp:`"),
        }
    });
    finish(text, &mut out);
    crate::lines::never_empty(&mut out, "the heading `xdp:`");
    out
}

/// One program.
fn program<'a>(text: &str, section: &str, line: &'a str) -> Parsed<'a, Read<BpfProgram>> {
    let what = "a device with its number, such as `eth0(2)`, and a hook";
    let (rest, owner) = token(line.trim_start())?;
    let Some((dev, _)) = owner.split_once('(').filter(|_| owner.ends_with(')')) else {
        return refuse(line, what);
    };
    let Ok((rest, hook)) = token(rest) else { return refuse(line, what) };
    let name = token(rest).ok().map(|(_, word)| word);
    let name = name.filter(|word| !matches!(*word, "id" | "prog_id"));
    let found = BpfProgram {
        at: Span::of(text, line),
        section: section.into(),
        dev: at(text, dev),
        hook: Name::from(hook),
        name: name.map(|word| at(text, word)),
    };
    Ok(("", Read::Took(found)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reads(text: &str) -> Outcome<Vec<BpfProgram>> {
        parse(text, &Command::new("bpftool net list"))
    }

    #[test]
    fn programs_stand_below_their_parts() {
        let out = reads(
            "xdp:\neth0(2) driver id 198\n\ntc:\neth1(3) clsact/ingress bpf_host.o:[from-netdev] id 680\n\
             eth2(4) tcx/egress cil_to_netdev prog_id 688 link_id 15\n\nflow_dissector:\nid 5\n\nnetfilter:\n",
        );
        assert_eq!(out.problems, []);
        let shown: Vec<_> = out
            .records
            .iter()
            .map(|it| {
                let name = it.name.as_ref().map_or("", |name| name.value.as_str());
                (it.section.as_str(), it.dev.value.as_str(), it.hook.as_str(), name)
            })
            .collect();
        assert_eq!(
            shown,
            [
                ("xdp", "eth0", "driver", ""),
                ("tc", "eth1", "clsact/ingress", "bpf_host.o:[from-netdev]"),
                ("tc", "eth2", "tcx/egress", "cil_to_netdev"),
            ]
        );
        let none = reads("xdp:\n\ntc:\n\nflow_dissector:\n\n");
        assert!(none.completeness.is_complete() && none.records.is_empty());
        assert!(reads("").completeness.is_failed());
        assert_eq!(reads("xdp:\nprose here\n").lines.unread, 1);
    }
}
