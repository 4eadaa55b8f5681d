//! `ovs-ofctl dump-flows BRIDGE` and `ovs-appctl bridge/dump-flows BRIDGE`.
//!
//! Source of the format: Open vSwitch `lib/ofp-flow.c` (`ofputil_flow_stats_format`),
//! `lib/ofp-actions.c` (`ofpacts_format`), `ofproto/ofproto.c` (`flow_stats_ds`); 1.x to 3.x.
//!
//! ```text
//! NXST_FLOW reply (xid=0x4):
//!  cookie=0x7, duration=9.1s, table=0, n_packets=4, n_bytes=300, idle_age=2, priority=3,in_port=1,dl_vlan=7 actions=mod_vlan_vid:1,resubmit(,60)
//! ```
//!
//! The heading is missing where the tool sorted the flows or shows names. `bridge/dump-flows` has
//! a comma before `actions=` and no table for table 0. Flags stand without a comma
//! (`reset_counts priority=1`). A priority of 32768 and an empty match are not printed. Files for
//! `add-flows` look the same and may have comments. With arguments that select flows only part of
//! the bridge is told.
mod action;
mod learn;
mod line;
mod value;

use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::Batch;
use tapline_core::records::openflow::{Action, Flow, FlowAction};
use tapline_core::request::Topic;
use tapline_core::span::Span;

use super::ip_link::ansi;
use super::openflow::{OvsCommand, is_log};
use crate::format::{Ends, Format, Per, is_begun};
use crate::lines::{bodies, finish, one_line};
use crate::nomx::Parsed;
use line::flow;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-ofctl-dump-flows"),
    command: "ovs-ofctl dump-flows BRIDGE",
    collect: &[Per::Bridge.run("ovs-ofctl -O OpenFlow13 dump-flows {}")],
    claims: |command| Some(of(command)?.request(Topic::Flows)),
    sniff: |head| {
        let told = |line: &str| {
            let keys = ["cookie=", "n_packets=", "priority=", "table="];
            line.contains("actions=") && keys.iter().any(|key| line.contains(key))
        };
        let mut lines = bodies(head).filter(|body| !body.is_empty() && !is_log(body));
        match lines.next() {
            Some(line) if heading(line) => 95,
            Some(line) if told(line) => 85,
            _ => 0,
        }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends { torn: is_torn, ..Ends::LINES },
};

/// A flow without its actions, with a bracket that does not close, or with the beginning of a word for
/// its last action.
fn is_torn(last: &str) -> bool {
    const WORDS: &[&str] = &[
        "NORMAL",
        "LOCAL",
        "FLOOD",
        "ALL",
        "IN_PORT",
        "CONTROLLER",
        "drop",
        "strip_vlan",
        "pop_vlan",
    ];
    let last = last.trim();
    if !last.starts_with("cookie=") && !last.starts_with("table=") {
        return false;
    }
    let Some((_, actions)) = last.rsplit_once("actions=") else { return true };
    let depth = actions.matches('(').count() > actions.matches(')').count();
    let action = actions.rsplit(',').next().unwrap_or(actions);
    depth || actions.is_empty() || is_begun(action, WORDS)
}

fn of(command: &Command) -> Option<OvsCommand<'_>> {
    OvsCommand::of(command, "ovs-ofctl").filter(|call| call.verb == "dump-flows").or_else(|| {
        // sos writes a dot for the slash.
        OvsCommand::of(command, "ovs-appctl")
            .filter(|call| matches!(call.verb, "bridge/dump-flows" | "bridge.dump-flows"))
    })
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Flow>> {
    let asked = of(command);
    let mut out = match ansi::strip(text) {
        None => read(text, asked.as_ref()),
        Some(plain) => {
            let mut out = read(&plain.text, asked.as_ref());
            let mut moved = |span: &mut Span| *span = plain.original(*span);
            out.records.iter_mut().for_each(|record| each_span(record, &mut moved));
            out.problems.iter_mut().for_each(|problem| moved(&mut problem.span));
            // Lines of nothing but escapes are blank by now.
            let printed = bodies(text).filter(|body| !body.is_empty()).count();
            (out.lines.total as usize..printed).for_each(|_| out.lines.add(Fate::Ignored));
            out
        }
    };
    let filter = asked.as_ref().and_then(|asked| asked.args.get(1));
    if let Some(filter) = filter.filter(|_| command.program() == "ovs-ofctl") {
        let reason = format!("shows the flows that match {filter} only");
        out.completeness = out.completeness.and(Completeness::Partial(reason));
    }
    out
}

fn read(text: &str, asked: Option<&OvsCommand<'_>>) -> Outcome<Vec<Flow>> {
    let bridge = asked.and_then(OvsCommand::bridge);
    let mut out: Outcome<Vec<Flow>> = Outcome::default();
    let mut more = false;
    for body in bodies(text) {
        if heading(body) {
            more = body.ends_with("flags=[more]");
            out.lines.add(Fate::Ignored);
        } else if is_log(body) || body.trim_start().starts_with('#') {
            out.lines.add(Fate::Ignored);
        } else {
            let read = one_line(text, body, &mut out, &mut |it| flow(text, it, bridge.as_ref()));
            out.records.extend(read);
        }
    }
    finish(text, &mut out);
    if more {
        let reason = "the last heading says that more follows".to_owned();
        out.completeness = out.completeness.and(Completeness::Partial(reason));
    }
    out
}

/// `NXST_FLOW reply (xid=0x4):`, `OFPST_FLOW reply (OF1.3) (xid=0x2): flags=[more]`.
fn heading(line: &str) -> bool {
    let line = line.trim_start();
    ["NXST_FLOW", "OFPST_FLOW", "OFPST_FLOW_DESC", "NXST_FLOW_MONITOR"]
        .iter()
        .any(|prefix| line.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(" reply (")))
}

/// Reads actions as they stand in a flow or in the bucket of a group.
pub(super) fn actions<'a>(text: &str, input: &'a str) -> Parsed<'a, Vec<FlowAction>> {
    action::list(text, input)
}

/// Shows every span of a flow.
fn each_span(flow: &mut Flow, moved: &mut impl FnMut(&mut Span)) {
    let Flow { other, matches, .. } = flow;
    let values = other.iter_mut().map(|field| &mut field.value);
    for value in values.chain(matches.iter_mut().map(|one| &mut one.value)) {
        moved(&mut value.span);
    }
    moved(&mut flow.at);
    moved(&mut flow.table.span);
    moved(&mut flow.priority.span);
    if let Some(cookie) = &mut flow.cookie {
        moved(&mut cookie.span);
    }
    each_span_of(&mut flow.actions, moved);
}

/// Shows every span of actions, those within others too.
pub(super) fn each_span_of(all: &mut [FlowAction], moved: &mut impl FnMut(&mut Span)) {
    for one in all {
        moved(&mut one.text.span);
        match &mut one.action {
            Action::Nested { actions, .. } => each_span_of(actions, moved),
            Action::Ct(ct) => each_span_of(&mut ct.exec, moved),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::outcome::ProblemKind;
    use tapline_core::records::openflow::{FlowMatch, OfPort, TableRef};

    fn reads(text: &str) -> Outcome<Vec<Flow>> {
        parse(text, &Command::new("ovs-ofctl dump-flows br-int"))
    }

    fn one(line: &str) -> Flow {
        let out = reads(line);
        assert_eq!((out.records.len(), out.lines.unread), (1, 0), "{line}: {:?}", out.problems);
        out.records.into_iter().next().unwrap()
    }

    fn keys(matches: &[FlowMatch]) -> Vec<(&str, &str)> {
        matches.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect()
    }

    #[test]
    fn a_flow_has_statistics_match_and_actions() {
        let text = "NXST_FLOW reply (xid=0x4):\n cookie=0xab, duration=9.25s, table=24, n_packets=4, \
                    n_bytes=300, idle_timeout=300, idle_age=2, hard_age=65534, reset_counts \
                    priority=10,icmp6,in_port=1,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00 \
                    actions=mod_vlan_vid:2,resubmit(,60)\n";
        let out = reads(text);
        assert!(out.completeness.is_complete());
        assert_eq!((out.lines.read, out.lines.ignored), (1, 1));
        let flow = &out.records[0];
        assert_eq!(flow.bridge.as_deref(), Some("br-int"));
        assert_eq!((&flow.table.value, flow.priority.value), (&TableRef::Number(24), 10));
        assert_eq!(text.get(flow.priority.span.range()), Some("10"));
        assert_eq!(flow.cookie.unwrap().value, 0xab);
        assert_eq!((flow.n_packets, flow.n_bytes, flow.duration), (Some(4), Some(300), Some(9.25)));
        assert_eq!(
            (flow.idle_timeout, flow.idle_age, flow.hard_age),
            (Some(300), Some(2), Some(65534))
        );
        assert_eq!(flow.other[0].key, "reset_counts");
        assert_eq!(
            keys(&flow.matches),
            [("icmp6", ""), ("in_port", "1"), ("dl_dst", "01:00:00:00:00:00/01:00:00:00:00:00")]
        );
        assert_eq!(flow.in_port().unwrap().value, OfPort::Number(1));
        assert!(!flow.drops());
        let texts: Vec<_> = flow.actions.iter().map(|action| action.text.as_str()).collect();
        assert_eq!(texts, ["mod_vlan_vid:2", "resubmit(,60)"]);
        assert_eq!(flow.actions[0].action, Action::ModVlan { vid: 2 });
        assert_eq!(
            flow.actions[1].action,
            Action::Resubmit { port: None, table: Some(60.into()), ct: false }
        );
        let json = serde_json::to_value(flow).unwrap();
        assert_eq!(json["cookie"], "0xab");
        assert_eq!(json["actions"][1]["action"], "resubmit");
    }

    #[test]
    fn what_is_not_printed_has_its_default() {
        let flow = one(" in_port=1 actions=output:2\n");
        assert_eq!((flow.priority.value, flow.cookie), (32768, None));
        assert_eq!(flow.table.value, 0);
        let flow = one("duration=16s, n_packets=0, n_bytes=0, priority=0,actions=drop\n");
        assert!(flow.matches.is_empty() && flow.drops());
        let flow = one("table_id=254, duration=1s, n_packets=0, n_bytes=0, actions=goto_table:7");
        assert_eq!(flow.table.value, 254);
    }

    #[test]
    fn tables_may_have_names() {
        let flow =
            one(" table=kitchen, priority=7,ip actions=goto_table:larder,ct(table=cellar)\n");
        assert_eq!(flow.table.value, TableRef::Name("kitchen".into()));
        let json = serde_json::to_value(&flow).unwrap();
        assert_eq!(
            (&json["table"], &json["actions"][0]["table"]),
            (&"kitchen".into(), &"larder".into())
        );
        assert_eq!(json["actions"][1]["table"], "cellar");
    }

    #[test]
    fn hidden_flows_have_high_priorities() {
        let flow = one("duration=13s, n_packets=0, n_bytes=0, priority=15790320,actions=NORMAL\n");
        assert_eq!(flow.priority.value, 15_790_320);
    }

    #[test]
    fn ports_by_name_may_hold_anything() {
        let flow = one(" priority=1,in_port=\"a b,c\",dl_vlan=1 actions=output:\"x y\",LOCAL\n");
        assert_eq!(flow.in_port().unwrap().value, OfPort::Name("a b,c".into()));
        assert_eq!(flow.actions[0].action, Action::Output { port: OfPort::Name("x y".into()) });
        assert_eq!(flow.actions[1].action, Action::Local);
        let flow = one(" priority=1,in_port=LOCAL actions=IN_PORT # back\n");
        assert_eq!(flow.in_port().unwrap().value, OfPort::Local);
        assert_eq!(flow.actions[0].action, Action::InPort);
    }

    #[test]
    fn colours_leave_the_places_right() {
        let text = " \u{1b}[36mpriority=\u{1b}[0m7,\u{1b}[36mdl_vlan=\u{1b}[0m4095 \u{1b}[1;31mactions=\u{1b}[0m\u{1b}[34mdrop\u{1b}[0m\n";
        let out = reads(text);
        let flow = &out.records[0];
        assert_eq!(flow.priority.value, 7);
        let vlan = flow.matched("dl_vlan").unwrap();
        assert_eq!((vlan.as_str(), text.get(vlan.span.range())), ("4095", Some("4095")));
        assert_eq!(text.get(flow.actions[0].text.span.range()), Some("drop"));
    }

    #[test]
    fn a_selection_is_a_part() {
        let text = " cookie=0x0, priority=1 actions=drop\n";
        let read = |line| parse(text, &Command::new(line)).completeness;
        assert!(read("ovs-ofctl --names dump-flows br0").is_complete());
        assert!(!read("ovs-ofctl -O OpenFlow13 dump-flows br0 table=0,in_port=1").is_complete());
        assert!(read("ovs-appctl bridge/dump-flows br0").is_complete());
        let out = reads("NXST_FLOW reply (xid=0x4): flags=[more]\n priority=1 actions=drop\n");
        assert!(matches!(out.completeness, Completeness::Partial(_)));
        assert!(reads("").completeness.is_complete());
    }

    #[test]
    fn complaints_fail_and_prose_is_a_problem() {
        let log = "2026-01-02T03:04:05Z|00001|vconn|WARN|unix:/run/br-ex.mgmt: version \
                   negotiation failed (we support version 0x01, peer supports version 0x04)\n";
        let out =
            reads(&format!("{log}ovs-ofctl: br-ex: failed to connect to socket (Broken pipe)\n"));
        assert!(out.completeness.is_failed() && out.lines.unread == 0);
        assert!(reads("ovs-ofctl: br0 is not a bridge or a socket\n").completeness.is_failed());
        let out = reads("$ ovs-ofctl dump-flows br0\n priority=1 actions=drop\n");
        assert_eq!((out.records.len(), out.lines.unread), (1, 1));
        for line in [
            " priority=x actions=drop",
            " priority=1,in_port=\"a actions=drop",
            " priority=1 actions=",
            " priority=1",
            " table=256 actions=drop",
            " priority=1 actions=goto_table:300",
            " priority=1 actions=learn(table=1",
            " priority=1 actions=a,,b",
        ] {
            let out = reads(&format!("{line}\n"));
            assert_eq!((out.records.len(), out.lines.unread), (0, 1), "{line}");
        }
        let out = reads(" priority=1 actions=drop and more\n");
        assert_eq!(out.problems[0].kind, ProblemKind::TrailingText);
    }

    #[test]
    fn commands_and_texts_are_known() {
        let claims = |line: &str| FORMAT.reads(&Command::new(line));
        assert!(claims("ovs-ofctl -O OpenFlow13 dump-flows br-int"));
        assert!(claims("ovs-appctl bridge.dump-flows --offload-stats br-int"));
        assert!(!claims("ovs-dpctl dump-flows") && !claims("ovs-ofctl show br-int"));
        assert!((FORMAT.sniff)("OFPST_FLOW reply (OF1.3) (xid=0x2):\n") > 90);
        assert!((FORMAT.sniff)(" cookie=0x0, n_packets=0 actions=drop\n") > 50);
        assert_eq!((FORMAT.sniff)("actions=none\n"), 0);
    }
}
