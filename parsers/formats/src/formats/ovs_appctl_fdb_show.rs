//! `ovs-appctl fdb/show BRIDGE`: addresses that a bridge has learnt.
//!
//! Source of the format: Open vSwitch `ofproto/ofproto-dpif.c` (`ofproto_unixctl_fdb_show`); 1.x
//! to 4.0. Since 4.0 the first word is capital; of several bridges the name leads, and is left
//! out where it is that of the row above.
//!
//! ```text
//!  port  VLAN  MAC                Age
//!     1     7  fa:16:3e:aa:bb:cc  static
//! LOCAL     0  9e:0a:ee:61:07:7c    4
//! ```
//!
//! `--format json` (4.0) prints an object of lists by bridge:
//! `{"br0":[{"age":4,"mac":"9e:0a:ee:61:07:7c","port":"LOCAL","static":false,"vlan":0}]}`.
use std::borrow::Cow;
use std::collections::BTreeMap;

use nom::Parser as _;
use serde_json::value::RawValue;
use tapline_core::Name;
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::openflow::{OfPort, OvsFdbEntry};
use tapline_core::request::Topic;
use tapline_core::span::{At, Span};

use super::openflow::{OvsCommand, is_log, port};
use crate::format::{Ends, Format, Per};
use crate::json::each_element;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, must, number, refuse, word, word_gap};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-appctl-fdb-show"),
    command: "ovs-appctl fdb/show BRIDGE",
    collect: &[Per::Bridge.run("ovs-appctl -T 10 fdb/show {}")],
    claims: |command| {
        // sos writes a dot for the slash.
        let asked = OvsCommand::of(command, "ovs-appctl")?;
        matches!(asked.verb, "fdb/show" | "fdb.show").then(|| asked.request(Topic::OvsFdb))
    },
    sniff: |head| {
        let entry =
            || ["\"age\"", "\"mac\"", "\"port\"", "\"vlan\""].iter().all(|key| head.contains(key));
        let document = head.trim_start().starts_with(['{', '[']) && entry();
        if bodies(head).take(3).any(heading) || document { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<OvsFdbEntry>> {
    let bridge = OvsCommand::of(command, "ovs-appctl").as_ref().and_then(OvsCommand::bridge);
    let mut out: Outcome<Vec<OvsFdbEntry>> = Outcome::default();
    if text.trim_start().starts_with(['{', '[']) {
        document(text, bridge.as_ref(), &mut out);
        finish(text, &mut out);
        return out;
    }
    let mut headed = false;
    let mut leads = None;
    for body in bodies(text) {
        if heading(body) {
            headed = true;
            // The column of the bridge, whose rows begin with blanks where it is left out.
            leads = body.trim_start().starts_with("Bridge").then(Name::default);
            out.lines.add(Fate::Read);
        } else if is_log(body) {
            out.lines.add(Fate::Ignored);
        } else {
            let mut row = body;
            if let Some(leading) = &mut leads
                && body.split_whitespace().count() > 4
            {
                let word = body.split_whitespace().next().unwrap_or_default();
                *leading = word.into();
                let from = Span::of(body, word).end as usize;
                row = body.get(from..).unwrap_or(body);
            }
            let owner = leads.as_ref().filter(|lead| !lead.is_empty()).or(bridge.as_ref());
            let read = one_line(text, body, &mut out, &mut |line| entry(text, line, row, owner));
            out.records.extend(read);
        }
    }
    finish(text, &mut out);
    if !headed && !out.completeness.is_failed() {
        use tapline_core::capture::Completeness::{Failed, Partial};
        let verdict = match out.lines.total {
            0 => Failed("no output".to_owned()),
            _ => Partial("the heading is missing".to_owned()),
        };
        out.completeness = out.completeness.and(verdict);
    }
    out
}

/// Reads a document of JSON: lists by bridge, or one list.
fn document(text: &str, bridge: Option<&Name>, out: &mut Outcome<Vec<OvsFdbEntry>>) {
    let by_bridge: serde_json::Result<BTreeMap<Cow<'_, str>, &RawValue>> =
        serde_json::from_str(text);
    let Ok(by_bridge) = by_bridge else {
        each_element(text, out, |raw| object(text, raw, bridge));
        return;
    };
    let mut lost = 0;
    for (name, list) in &by_bridge {
        let name = Name::from(name.as_ref());
        let objects: Vec<&RawValue> =
            serde_json::from_str(list.get()).unwrap_or_else(|_| vec![*list]);
        for raw in objects {
            match object(text, raw.get(), Some(&name)) {
                Ok(entry) => out.records.push(entry),
                Err(why) => {
                    lost += 1;
                    out.problem(ProblemKind::UnreadLine, Span::of(text, raw.get()), why);
                }
            }
        }
    }
    // All of it may stand on one line, which was read if any of it was.
    let lines = bodies(text).filter(|body| !body.is_empty()).count();
    let most = lines.saturating_sub(usize::from(!out.records.is_empty()));
    let lost = lost.min(most);
    (0..lost).for_each(|_| out.lines.add(Fate::Unread));
    (lost..lines).for_each(|_| out.lines.add(Fate::Read));
}

/// One entry of a document.
fn object(text: &str, raw: &str, bridge: Option<&Name>) -> Result<OvsFdbEntry, String> {
    #[derive(serde::Deserialize)]
    struct Entry<'a> {
        #[serde(borrow)]
        port: &'a RawValue,
        #[serde(borrow)]
        vlan: &'a RawValue,
        #[serde(borrow)]
        mac: &'a RawValue,
        age: Option<u32>,
        r#static: Option<bool>,
    }
    let it: Entry<'_> = serde_json::from_str(raw).map_err(|error| error.to_string())?;
    let bare = |raw: &RawValue| raw.get().trim_matches('"').to_owned();
    let place = |raw: &RawValue| Span::of(text, raw.get());
    let vlan = bare(it.vlan).parse().map_err(|_| "`vlan` is no number".to_owned())?;
    let mac = bare(it.mac).parse().map_err(|_| "`mac` is no address".to_owned())?;
    Ok(OvsFdbEntry {
        at: Span::of(text, raw),
        bridge: bridge.cloned(),
        port: At::new(port(&bare(it.port)), place(it.port)),
        vlan: At::new(vlan, place(it.vlan)),
        mac: At::new(mac, place(it.mac)),
        age: it.age.filter(|_| it.r#static != Some(true)),
    })
}

fn heading(line: &str) -> bool {
    let mut words = line.split_whitespace().peekable();
    words.next_if_eq(&"Bridge");
    matches!(words.next(), Some("port" | "Port")) && words.eq(["VLAN", "MAC", "Age"])
}

/// One entry; `row` is the line without the name of the bridge.
fn entry<'a>(
    text: &str,
    line: &'a str,
    row: &'a str,
    bridge: Option<&Name>,
) -> Parsed<'a, Read<OvsFdbEntry>> {
    let (rest, shown) = word_gap(row.trim_start())?;
    let from = At::new(port(shown), Span::of(text, shown));
    if matches!(from.value, OfPort::Name(_)) {
        return refuse(line, "the number of a port, or LOCAL");
    }
    let (rest, vid) = must("a VLAN after the port", word_gap).parse(rest)?;
    let Ok(vlan) = vid.parse() else { return refuse(vid, "the number of a VLAN") };
    let (rest, address) = must("a MAC after the VLAN", word_gap).parse(rest)?;
    let Ok(mac) = address.parse() else { return refuse(address, "a MAC") };
    let (rest, age) = match rest.strip_prefix("static") {
        Some(_) => (word(rest)?.0, None),
        None => must("an age in seconds, or `static`", number).map(Some).parse(rest)?,
    };
    let entry = OvsFdbEntry {
        at: Span::of(text, line),
        bridge: bridge.cloned(),
        port: from,
        vlan: At::new(vlan, Span::of(text, vid)),
        mac: At::new(mac, Span::of(text, address)),
        age,
    };
    Ok((rest, Read::Took(entry)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = " port  VLAN  MAC                Age\n";

    fn reads(text: &str) -> Outcome<Vec<OvsFdbEntry>> {
        parse(text, &Command::new("ovs-appctl fdb/show br0"))
    }

    #[test]
    fn entries_have_ages_or_are_static() {
        let text = format!(
            "{HEAD}LOCAL     0  9e:0a:ee:61:07:7c    4\n    1     7  fa:16:3e:aa:bb:cc  static\n"
        );
        let out = reads(&text);
        assert!(out.completeness.is_complete());
        let [learnt, fixed] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((&learnt.port.value, learnt.age), (&OfPort::Local, Some(4)));
        assert_eq!((&fixed.port.value, fixed.vlan.value, fixed.age), (&OfPort::Number(1), 7, None));
        assert_eq!(fixed.bridge.as_deref(), Some("br0"));
        assert_eq!(text.get(fixed.mac.span.range()), Some("fa:16:3e:aa:bb:cc"));
        assert!(reads(HEAD).completeness.is_complete() && reads(HEAD).records.is_empty());
    }

    #[test]
    fn a_document_has_lists_by_bridge() {
        let entry = |port: &str, fixed| {
            format!(
                "{{\"age\":4,\"mac\":\"9e:0a:ee:61:07:7c\",\"port\":{port},\"static\":{fixed},\"vlan\":7}}"
            )
        };
        let text = format!("{{\"br7\":[{},{}]}}\n", entry("\"LOCAL\"", false), entry("3", true));
        let asked = Command::new("ovs-appctl --format json fdb/show br7");
        assert!(FORMAT.reads(&asked) && (FORMAT.sniff)(&text) == 95);
        let out = parse(&text, &asked);
        assert!(out.completeness.is_complete(), "{out:?}");
        let [learnt, fixed] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((&learnt.port.value, learnt.age), (&OfPort::Local, Some(4)));
        assert_eq!((&fixed.port.value, fixed.age), (&OfPort::Number(3), None));
        assert_eq!(fixed.bridge.as_deref(), Some("br7"));
        let bare = format!("[{}]", entry("1", false));
        assert_eq!(reads(&bare).records.len(), 1);
        for text in ["{\"br7\":[{\"port\":1}]}\n", "{\"br7\": 3}\n", "[1]\n", "{\n"] {
            let out = reads(text);
            assert!(!out.completeness.is_complete() && out.lines.unread == 1, "{text} {out:?}");
        }
    }

    #[test]
    fn broken_rows_and_failures() {
        let out = reads(&format!("{HEAD}   3    27  gg:hh:ii:jj:kk:ll  266\n   x 1 2\n"));
        assert_eq!(out.lines.unread, 2);
        for text in ["", "no such bridge\novs-appctl: ovs-vswitchd: server returned an error\n"] {
            assert!(reads(text).completeness.is_failed(), "{text}");
        }
        let out = reads("    1     7  fa:16:3e:aa:bb:cc  9\n");
        assert!(!out.completeness.is_complete() && out.records.len() == 1);
    }
}
