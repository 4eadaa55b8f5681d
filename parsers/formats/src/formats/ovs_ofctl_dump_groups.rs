//! `ovs-ofctl dump-groups BRIDGE`.
//!
//! Source of the format: Open vSwitch `lib/ofp-group.c` (`ofputil_group_desc_format`,
//! `ofp_print_group`); 2.0 to 3.x.
//!
//! ```text
//! OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):
//!  group_id=7,type=select,selection_method=dp_hash,bucket=bucket_id:0,weight:100,actions=output:1,bucket=bucket_id:1,weight:50,actions=output:2
//!  group_id=8,type=all,bucket=actions=push_vlan:0x8100,output:3
//! ```
//!
//! A bucket without actions drops. With a number behind the bridge one group is shown.
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::openflow::{Bucket, GroupKind, OfGroup};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::openflow::{OvsCommand, integer, is_log, port, small};
use super::ovs_ofctl_dump_flows::actions;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-ofctl-dump-groups"),
    command: "ovs-ofctl dump-groups BRIDGE",
    collect: &[Per::Bridge.run("ovs-ofctl -O OpenFlow13 dump-groups {}")],
    claims: |command| {
        let bridge = of(command)?.bridge();
        Some(Request::default().about(bridge.as_deref()))
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|line| !line.is_empty() && !is_log(line));
        match lines.next() {
            Some(line) if heading(line) => 95,
            Some(line) if line.trim_start().starts_with("group_id=") => 90,
            _ => 0,
        }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

fn of(command: &Command) -> Option<OvsCommand<'_>> {
    OvsCommand::of(command, "ovs-ofctl").filter(|asked| asked.verb == "dump-groups")
}

/// `OFPST_GROUP_DESC reply (OF1.3) (xid=0x2):`, `NXST_GROUP_DESC reply …`.
fn heading(line: &str) -> bool {
    let line = line.trim_start();
    ["OFPST_GROUP_DESC reply (", "NXST_GROUP_DESC reply ("]
        .iter()
        .any(|start| line.starts_with(start))
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<OfGroup>> {
    let asked = of(command);
    let bridge = asked.as_ref().and_then(OvsCommand::bridge);
    let mut out: Outcome<Vec<OfGroup>> = Outcome::default();
    let mut more = false;
    for body in bodies(text) {
        if heading(body) {
            more = body.ends_with("flags=[more]");
            out.lines.add(Fate::Ignored);
        } else if is_log(body) {
            out.lines.add(Fate::Ignored);
        } else {
            let mut read = |line| group(text, line, bridge.as_ref());
            let group = one_line(text, body, &mut out, &mut read);
            out.records.extend(group);
        }
    }
    finish(text, &mut out);
    let one = asked.as_ref().and_then(|asked| asked.args.get(1));
    let partial = match one {
        Some(group) => Some(format!("shows group {group} only")),
        None => more.then(|| "the last heading says that more follows".to_owned()),
    };
    if let Some(reason) = partial {
        out.completeness = std::mem::take(&mut out.completeness).and(Completeness::Partial(reason));
    }
    out
}

/// What stands before the buckets, then each bucket.
fn group<'a>(text: &str, line: &'a str, bridge: Option<&Name>) -> Parsed<'a, Read<OfGroup>> {
    let content = line.trim_start();
    // `bucket` may also be the last word, of a group without any.
    let (head, buckets) = match content.find(",bucket=") {
        Some(end) => content.split_at_checked(end).unwrap_or((content, "")),
        None => (content, ""),
    };
    let (mut number, mut group_type) = (None, None);
    let mut other = Vec::new();
    // The fields of a selection method stand in brackets: `fields(ip_src,ip_dst)`.
    for part in parts(head) {
        let end = part.find('=').unwrap_or(part.len());
        let (key, rest) = part.split_at_checked(end).unwrap_or((part, ""));
        let value = rest.strip_prefix('=').unwrap_or(rest);
        match key {
            "group_id" => match small(value) {
                Some(id) => number = Some(At::new(id, Span::of(text, value))),
                None => return refuse(value, "the number of a group"),
            },
            "type" => match kind(value) {
                Some(kind) => group_type = Some(kind),
                None => return refuse(value, "`all`, `select`, `indirect` or `ff`"),
            },
            _ => other.push(Field { key: key.into(), value: at(text, value) }),
        }
    }
    let (Some(group), Some(group_type)) = (number, group_type) else {
        return refuse(line, "`group_id=NUMBER,type=…`");
    };
    let mut read = OfGroup {
        at: Span::of(text, line),
        bridge: bridge.cloned(),
        group,
        group_type,
        other,
        buckets: Vec::new(),
    };
    let mut rest = buckets;
    while let Some(input) = rest.strip_prefix(",bucket=") {
        let (behind, bucket) = bucket(text, input)?;
        read.buckets.push(bucket);
        rest = behind;
    }
    Ok((rest, Read::Took(read)))
}

fn kind(shown: &str) -> Option<GroupKind> {
    Some(match shown {
        "all" => GroupKind::All,
        "select" => GroupKind::Select,
        "indirect" => GroupKind::Indirect,
        "ff" | "fast_failover" => GroupKind::FastFailover,
        _ => return None,
    })
}

/// The parts between commas outside of brackets.
fn parts(head: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_u32;
    head.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
}

/// `bucket_id:0,weight:100,watch_port:2,actions=output:1` up to the next bucket.
fn bucket<'a>(text: &str, input: &'a str) -> Parsed<'a, Bucket> {
    let mut bucket = Bucket {
        bucket_id: None,
        weight: None,
        watch_port: None,
        watch_group: None,
        actions: Vec::new(),
    };
    let mut rest = input;
    loop {
        if let Some(list) = rest.strip_prefix("actions=") {
            // The next bucket looks like one more action.
            let end = list.find(",bucket=").unwrap_or(list.len());
            let (mine, behind) = list.split_at_checked(end).unwrap_or((list, ""));
            if !mine.is_empty() {
                let (unread, read) = actions(text, mine)?;
                if !unread.is_empty() {
                    return refuse(unread, "an action or a comma");
                }
                bucket.actions = read;
            }
            return Ok((behind, bucket));
        }
        let end = rest.find(',').unwrap_or(rest.len());
        let (part, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let (key, value) = part.split_once(':').unwrap_or((part, ""));
        let known = match key {
            "bucket_id" => small(value).map(|id| bucket.bucket_id = Some(id)),
            "weight" => small(value).map(|weight| bucket.weight = Some(weight)),
            "watch_port" if value == "any" => Some(()),
            "watch_port" => (!value.is_empty()).then(|| bucket.watch_port = Some(port(value))),
            "watch_group" if value == "any" => Some(()),
            "watch_group" => integer(value)
                .and_then(|group| u32::try_from(group).ok())
                .map(|group| bucket.watch_group = Some(group)),
            _ => None,
        };
        if known.is_none() {
            return refuse(
                part,
                "`weight:`, `watch_port:` or another detail of a bucket, or `actions=`",
            );
        }
        match behind.strip_prefix(',') {
            Some(more) if !behind.starts_with(",bucket=") => rest = more,
            _ => return Ok((behind, bucket)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::records::openflow::{Action, OfPort};

    fn reads(text: &str) -> Outcome<Vec<OfGroup>> {
        parse(text, &Command::new("ovs-ofctl -O OpenFlow15 dump-groups br-int"))
    }

    const TEXT: &str = "OFPST_GROUP_DESC reply (OF1.5) (xid=0x2):\n \
        group_id=7,type=select,selection_method=hash,fields(ip_src,ip_dst),\
        bucket=bucket_id:0,weight:100,actions=ct(commit,table=21,zone=NXM_NX_REG11[0..15],nat(dst=192.0.2.4:80)),\
        bucket=bucket_id:1,weight:50,watch_port:2,actions=push_vlan:0x8100,output:2\n \
        group_id=8,type=ff,bucket=watch_port:3,actions=drop\n group_id=9,type=all\n";

    #[test]
    fn buckets_have_actions() {
        let out = reads(TEXT);
        assert_eq!(out.lines.unread, 0, "{:?}", out.problems);
        assert!(out.completeness.is_complete());
        let [select, failover, none] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((select.group.value, select.group_type), (7, GroupKind::Select));
        assert_eq!(select.bridge.as_deref(), Some("br-int"));
        let [first, second] = select.buckets.as_slice() else { panic!("{select:?}") };
        assert_eq!((first.bucket_id, first.weight, first.actions.len()), (Some(0), Some(100), 1));
        assert!(matches!(&first.actions[0].action, Action::Ct(ct) if ct.table == Some(21.into())));
        assert_eq!(second.watch_port, Some(OfPort::Number(2)));
        assert_eq!(second.actions[1].action, Action::Output { port: OfPort::Number(2) });
        let keys: Vec<_> = select.other.iter().map(|field| field.key.as_str()).collect();
        assert_eq!(keys, ["selection_method", "fields(ip_src,ip_dst)"]);
        assert_eq!(failover.group_type, GroupKind::FastFailover);
        assert!(none.buckets.is_empty());
        let json = serde_json::to_value(select).unwrap();
        assert_eq!((&json["type"], &json["group"]), (&"select".into(), &7.into()));
    }

    #[test]
    fn parts_and_failures() {
        let one = parse(TEXT, &Command::new("ovs-ofctl dump-groups br-int 7"));
        assert!(matches!(one.completeness, Completeness::Partial(_)));
        assert!(reads("ovs-ofctl: br0 is not a bridge or a socket\n").completeness.is_failed());
        let more = "OFPST_GROUP_DESC reply (OF1.3) (xid=0x2): flags=[more]\n";
        assert!(matches!(reads(more).completeness, Completeness::Partial(_)));
        for line in [
            " group_id=x,type=all",
            " group_id=1,type=some",
            " type=all",
            " group_id=1,type=all,bucket=weight:x,actions=drop",
            " group_id=1,type=all,bucket=odd:1,actions=drop",
            " group_id=1,type=all,bucket=actions=goto_table:300",
            " group_id=1,type=all,bucket=actions=drop drop",
        ] {
            let out = reads(&format!("{line}\n"));
            assert_eq!((out.records.len(), out.lines.unread), (0, 1), "{line}");
        }
    }

    #[test]
    fn commands_and_texts_are_known() {
        let claims = |line: &str| FORMAT.reads(&Command::new(line));
        assert!(claims("ovs-ofctl -O OpenFlow13 dump-groups br-int"));
        assert!(!claims("ovs-ofctl dump-group-stats br-int") && !claims("ovs-ofctl dump-flows b"));
        assert!((FORMAT.sniff)(TEXT) > 90);
    }
}
