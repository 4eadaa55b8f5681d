//! `ovs-appctl bond/show`, `lacp/show` and `bfd/show`, for one port or for all.
//!
//! Source of the format: Open vSwitch `ofproto/bond.c` (`bond_print_details`), `lib/lacp.c`
//! (`lacp_print_details`), `lib/bfd.c` (`bfd_put_details`); 1.x to 3.x. `slave` became `member`
//! in 2.16.
//!
//! ```text
//! ---- bond1 ----
//! bond_mode: active-backup
//! lacp_status: negotiated
//!
//! member eth1: enabled
//!   active member
//!   may_enable: true
//! ```
//!
//! `lacp/show` writes `member: eth1: current attached`. Where there is no bond, no LACP or no BFD
//! all three print nothing.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::appctl::{OvsStatus, OvsStatusKind, OvsStatusMember};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::openflow::{OvsCommand, is_log};
use crate::format::{Ends, Format, Per};
use crate::lines::{Read, bodies, finish, one_line, orphan};
use crate::nomx::{Parsed, refuse};

pub(crate) static BOND: Format = Format {
    id: FormatId("ovs-appctl-bond-show"),
    command: "ovs-appctl bond/show",
    collect: &[Per::Host.run("ovs-appctl -T 10 bond/show")],
    claims: |command| asks(command, "bond/show"),
    sniff: |head| sniff(head, "bond_mode: "),
    read: |text, command| parse(text, command, OvsStatusKind::Bond).map(Batch::from),
    ends: Ends::LINES,
};

pub(crate) static LACP: Format = Format {
    id: FormatId("ovs-appctl-lacp-show"),
    command: "ovs-appctl lacp/show",
    collect: &[Per::Host.run("ovs-appctl -T 10 lacp/show")],
    claims: |command| asks(command, "lacp/show"),
    sniff: |head| sniff(head, "status: "),
    read: |text, command| parse(text, command, OvsStatusKind::Lacp).map(Batch::from),
    ends: Ends::LINES,
};

pub(crate) static BFD: Format = Format {
    id: FormatId("ovs-appctl-bfd-show"),
    command: "ovs-appctl bfd/show",
    collect: &[Per::Host.run("ovs-appctl -T 10 bfd/show")],
    claims: |command| asks(command, "bfd/show"),
    sniff: |head| sniff(head, "Forwarding: "),
    read: |text, command| parse(text, command, OvsStatusKind::Bfd).map(Batch::from),
    ends: Ends::LINES,
};

fn asks(command: &Command, verb: &str) -> Option<Request> {
    // sos writes a dot for the slash.
    let asked = OvsCommand::of(command, "ovs-appctl")?;
    (asked.verb.replace('.', "/") == verb)
        .then(|| Request::default().about(asked.args.first().copied()))
}

fn sniff(head: &str, first_key: &str) -> u8 {
    let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_log(body));
    let named = lines.next().is_some_and(|line| title(line).is_some());
    let keyed = lines.next().is_some_and(|line| line.trim_start().starts_with(first_key));
    if named && keyed { 90 } else { 0 }
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command, of: OvsStatusKind) -> Outcome<Vec<OvsStatus>> {
    let mut out: Outcome<Vec<OvsStatus>> = Outcome::default();
    let mut all: Vec<OvsStatus> = Vec::new();
    for body in bodies(text) {
        if all.is_empty() && body.starts_with([' ', '\t']) {
            orphan(text, body, &mut out);
        } else {
            one_line(text, body, &mut out, &mut |it| line(text, it, of, &mut all));
        }
    }
    finish(text, &mut out);
    let asked = OvsCommand::of(command, "ovs-appctl").is_some_and(|call| !call.args.is_empty());
    if asked && !out.completeness.is_failed() {
        let part = Completeness::Partial("shows the port that was asked for only".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(part);
    }
    out.records = all;
    out
}

fn line<'a>(
    text: &str,
    line: &'a str,
    of: OvsStatusKind,
    all: &mut Vec<OvsStatus>,
) -> Parsed<'a, Read<()>> {
    if is_log(line) {
        return Ok(("", Read::Ignored));
    }
    if let Some(name) = title(line) {
        let name = at(text, name);
        let at = Span::of(text, line);
        all.push(OvsStatus { at, of, name, fields: Vec::new(), members: Vec::new() });
        return Ok(("", Read::Took(())));
    }
    let Some(block) = all.last_mut() else { return refuse(line, "`---- NAME ----`") };
    let content = line.trim_start();
    if let Some((name, states)) = member(content).filter(|_| of != OvsStatusKind::Bfd) {
        let states = states.split_whitespace().map(|word| at(text, word)).collect();
        let fields = Vec::new();
        block.members.push(OvsStatusMember { name: at(text, name), states, active: false, fields });
        return Ok(("", Read::Took(())));
    }
    if matches!(content, "active member" | "active slave") {
        return match block.members.last_mut() {
            Some(member) => {
                member.active = true;
                Ok(("", Read::Took(())))
            }
            None => refuse(line, "a member above this line"),
        };
    }
    let Some((key, value)) = content.split_once(':').filter(|(key, _)| is_key(key)) else {
        return refuse(line, "`key: value`");
    };
    let field = Field { key: key.trim_end().into(), value: at(text, value.trim()) };
    match block.members.last_mut() {
        // What is about a member stands further from the margin than its name.
        Some(member) if line.starts_with([' ', '\t']) => member.fields.push(field),
        _ => block.fields.push(field),
    }
    Ok(("", Read::Took(())))
}

fn at(text: &str, part: &str) -> At<Name> {
    At::new(part.into(), Span::of(text, part))
}

/// The name in `---- NAME ----`.
fn title(line: &str) -> Option<&str> {
    line.strip_prefix("---- ")?.strip_suffix(" ----").filter(|rest| !rest.is_empty())
}

/// `member eth1: enabled`, `slave: eth1: current attached`. Names may hold colons.
fn member(content: &str) -> Option<(&str, &str)> {
    let rest = content.strip_prefix("member").or_else(|| content.strip_prefix("slave"))?;
    let rest = rest.strip_prefix(": ").or_else(|| rest.strip_prefix(' '))?;
    let (name, states) = rest.rsplit_once(": ")?;
    (!name.is_empty()).then_some((name, states))
}

/// Keys are a few words.
fn is_key(key: &str) -> bool {
    key.len() < 48
        && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|it| it.is_ascii_alphanumeric() || b" _-()./".contains(&it))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BONDS: &str = "---- bond1 ----\nbond_mode: active-backup\n\
        bond may use recirculation: no, Recirc-ID : -1\nlacp_status: off\n\
        active member mac: 02:00:00:00:00:01(eth1)\n\nmember eth1: enabled\n  active member\n  \
        may_enable: true\n\nslave eth2: disabled\n  may_enable: false\n\n---- bond2 ----\nbond_mode: balance-slb\n";

    fn reads(command: &str, text: &str) -> Outcome<Vec<OvsStatus>> {
        parse(text, &Command::new(command), OvsStatusKind::Bond)
    }

    fn field<'a>(fields: &'a [Field], key: &str) -> &'a str {
        Field::find(fields, key).map_or("", |it| it.value.as_str())
    }

    #[test]
    fn bonds_have_members() {
        let out = reads("ovs-appctl bond/show", BONDS);
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        assert_eq!((out.lines.total, out.lines.read), (12, 12));
        let [one, two] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((one.name.as_str(), two.name.as_str()), ("bond1", "bond2"));
        assert_eq!(field(&one.fields, "lacp_status"), "off");
        assert_eq!(field(&one.fields, "active member mac"), "02:00:00:00:00:01(eth1)");
        let [eth1, eth2] = one.members.as_slice() else { panic!("{one:?}") };
        assert_eq!((eth1.name.as_str(), eth1.active, eth2.active), ("eth1", true, false));
        assert_eq!(eth2.states[0].as_str(), "disabled");
        assert_eq!(BONDS.get(eth2.states[0].span.range()), Some("disabled"));
        assert_eq!(field(&eth2.fields, "may_enable"), "false");
        let one = reads("ovs-appctl bond/show bond1", BONDS);
        assert!(matches!(one.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn lacp_and_bfd_are_blocks_too() {
        let lacp = "---- bond1 ----\n  status: active negotiated\n  sys_id: 02:00:00:00:00:01\n\n\
            member: eth1: current attached\n  port_id: 2\n  partner sys_id: 02:00:00:00:00:09\n";
        let out = parse(lacp, &Command::new("ovs-appctl lacp.show"), OvsStatusKind::Lacp);
        assert_eq!((out.problems.len(), out.lines.read), (0, 6));
        assert_eq!(field(&out.records[0].fields, "status"), "active negotiated");
        let member = &out.records[0].members[0];
        assert_eq!(
            member.states.iter().map(|state| state.as_str()).collect::<Vec<_>>(),
            ["current", "attached"]
        );
        assert_eq!(field(&member.fields, "partner sys_id"), "02:00:00:00:00:09");
        let bfd = "---- vxlan-1 ----\n\tForwarding: true\n\tTX Interval: Approx 1000ms\n\n\
            \tRemote Session State: up\n\tRemote Diagnostic: No Diagnostic\n";
        let out = parse(bfd, &Command::new("ovs-appctl bfd/show"), OvsStatusKind::Bfd);
        assert_eq!((out.problems.len(), out.records[0].members.len()), (0, 0));
        assert_eq!(field(&out.records[0].fields, "Remote Session State"), "up");
    }

    #[test]
    fn nothing_is_an_answer_and_errors_are_failures() {
        assert!(reads("ovs-appctl bond/show", "").completeness.is_complete());
        let refused = "no such bond\novs-appctl: ovs-vswitchd: server returned an error\n";
        assert!(reads("ovs-appctl bond/show x", refused).completeness.is_failed());
        for (text, unread) in [
            ("  may_enable: true\n", 1),
            ("bond_mode: active-backup\n", 1),
            ("---- b ----\nactive member\n", 1),
            ("---- b ----\n...\nbond_mode: x\n", 1),
            ("---- b ----\nwhat is this\n", 1),
        ] {
            let out = reads("ovs-appctl bond/show", text);
            assert_eq!(out.lines.unread, unread, "{text}");
            assert!(!out.completeness.is_complete(), "{text}");
        }
    }
}
