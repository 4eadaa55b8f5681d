//! `conf.db`: the file that ovsdb-server keeps the database of Open vSwitch in.
//!
//! Source of the format: `ovsdb/log.c`, `ovsdb/file.c`, ovsdb(5), ovsdb(7); 1.x to 3.x.
//!
//! ```text
//! OVSDB JSON 14759 deed1daa3dc5e33410f5590b12b7cf86e5ad7c1b
//! {"name":"Open_vSwitch","tables":{…}}
//! OVSDB JSON 143 77dd2a…
//! {"Bridge":{"11d1…":{"name":"br0"}},"_date":1716000000000,"_is_diff":true}
//! ```
//!
//! The first record is the schema, each further one a transaction. Columns that the schema calls
//! ephemeral (`link_state`, `statistics`, …) are not written. A file whose head was cut off tells
//! of the rows that changed since, and is partial.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRecord;
use tapline_core::request::Request;
use tapline_core::span::Span;

use crate::format::{Ends, Format};
use crate::json::{Fields, array};
use crate::lines::{bodies, finish};
use crate::ovsdb::log::{Magic, Record, header, records};
use crate::ovsdb::replay::Replay;
use crate::ovsdb::schema::Schema;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovsdb-conf-db"),
    command: "cat /etc/openvswitch/conf.db",
    collect: &[],
    claims: |command| {
        let path = command.path()?;
        let is = path.ends_with("/openvswitch/conf.db") || path == "conf.db";
        let of_ovn = is_of_ovn(path).then(Request::default);
        is.then(|| Request::whole(super::ovsdb_client_dump::WHOLE)).or(of_ovn)
    },
    sniff: |head| {
        let mut lines = bodies(head);
        if lines.next().is_some_and(|line| header(line).is_some()) {
            99
        } else if lines.any(|line| header(line).is_some()) {
            80
        } else {
            0
        }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// The names that packagers and those who gather give the databases of OVN: `ovnnb_db.db`,
/// `<pod>_nbdb`.
fn is_of_ovn(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let known = ["ovnnb_db.db", "ovnsb_db.db", "ovn_ic_nb_db.db", "ovn_ic_sb_db.db"];
    known.contains(&name) || name.ends_with("_nbdb") || name.ends_with("_sbdb")
}

/// Reads the whole file.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Vec<OvsRecord>> {
    let mut out = Outcome::default();
    let mut replay = Replay::new(text);
    let all = records(text, &mut out);
    let changed = all.iter().filter(|it| !it.whole).count();
    let tail = match all.first().map(|it| it.magic) {
        Some(Magic::Cluster) => cluster(text, &all, &mut replay, &mut out),
        Some(Magic::Standalone) => {
            standalone(text, &all, &mut replay, &mut out);
            None
        }
        None => None,
    };
    let has_schema = replay.has_schema();
    let gone = out.problems.iter().any(|problem| problem.kind == ProblemKind::Truncated);
    let played = replay.finish();
    let doubt = if out.lines.read == 0 {
        None
    } else if !has_schema {
        let lost = played.headless;
        Some(format!("the head of the file is missing, and with it {lost} rows that changed since"))
    } else if gone || out.lines.unread > 0 {
        Some("transactions are missing".to_owned())
    } else if changed > 0 {
        Some(format!("{changed} records are not as long as their headers say"))
    } else if !played.wrongs.is_empty() {
        Some("values were not understood".to_owned())
    } else {
        tail
    };
    for wrong in played.wrongs {
        out.problem(ProblemKind::UnreadLine, wrong.span, format!("expected {}", wrong.what));
    }
    out.problems.sort_by_key(|problem| problem.span);
    // The first doubt is the one that is told: this one says more than a count of lines.
    if let Some(words) = doubt {
        out.completeness = Completeness::Partial(words);
    }
    finish(text, &mut out);
    if out.lines.read == 0 && !out.completeness.is_failed() {
        out.completeness = Completeness::Failed("no record of a database file".to_owned());
    }
    out.map(|()| played.records)
}

/// Accounts for a record that was played, or was not.
fn account(text: &str, record: &Record<'_>, done: Result<(), String>, out: &mut Outcome<()>) {
    match done {
        Ok(()) => out.lines.add(Fate::Read),
        Err(why) => {
            let kind = if record.whole { ProblemKind::UnreadLine } else { ProblemKind::Truncated };
            out.problem(kind, Span::of(text, record.json), why);
            out.lines.add(Fate::Unread);
        }
    }
}

/// The schema, then transactions.
fn standalone<'a>(text: &str, all: &[Record<'a>], replay: &mut Replay<'a>, out: &mut Outcome<()>) {
    for (n, record) in all.iter().enumerate() {
        let schema = if n == 0 { Schema::read(record.json) } else { None };
        if record.after_gap || (n == 0 && schema.is_none()) {
            replay.gap();
        }
        let done = match schema {
            Some(schema) => {
                replay.schema(schema);
                Ok(())
            }
            None => replay.transaction(record.json),
        };
        if done.is_err() {
            replay.gap();
        }
        account(text, record, done, out);
    }
}

/// The log of a raft server (`ovsdb/raft-private.c`): a header with a snapshot
/// (`"prev_data":[schema,rows]`), then entries `{"index":7,"data":[schema or null,transaction]}`.
/// An entry takes the place of all from its index on. Gives why the last ones are in doubt.
fn cluster<'a>(
    text: &str,
    all: &[Record<'a>],
    replay: &mut Replay<'a>,
    out: &mut Outcome<()>,
) -> Option<String> {
    let mut entries: Vec<(u64, &'a str)> = Vec::new();
    let mut committed = 0;
    for record in all {
        let mut entry = || {
            let fields = Fields::read(record.json)?;
            let number = |key| fields.get(key).and_then(|it| it.parse::<u64>().ok());
            committed = committed.max(number("commit_index").unwrap_or(0));
            let index = number("index").or(number("prev_index"));
            let data = fields.get("data").or(fields.get("prev_data"));
            let (Some(index), Some(data)) = (index, data) else { return Ok(None) };
            match array(data)?.as_slice() {
                &[schema, transaction] => Ok(Some((index, schema, transaction))),
                _ => Err("expected `[schema, transaction]`".to_owned()),
            }
        };
        let entry = entry();
        if record.after_gap || entry.is_err() {
            replay.gap();
        }
        if let Ok(Some((index, schema, transaction))) = entry {
            if let Some(schema) = Schema::read(schema) {
                replay.schema(schema);
            }
            while entries.last().is_some_and(|entry| entry.0 >= index) {
                entries.pop();
            }
            entries.push((index, transaction));
        }
        account(text, record, entry.map(|_| ()), out);
    }
    for (_, raw) in &entries {
        if let Err(why) = replay.transaction(raw) {
            out.problem(ProblemKind::UnreadLine, Span::of(text, raw), why);
            replay.gap();
        }
    }
    let open = entries.iter().filter(|entry| entry.0 > committed).count();
    (open > 1).then(|| format!("{open} entries of the log may not be committed"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::records::ovs::{OvsRef, OvsRow, lookup};

    const SCHEMA: &str = r#"{"name":"Open_vSwitch","tables":{"Bridge":{"columns":{
        "name":{"type":"string"},"stp_enable":{"type":"boolean"},
        "datapath_type":{"type":"string"},
        "fail_mode":{"type":{"key":"string","min":0}},
        "other_config":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}},
        "ports":{"type":{"key":{"type":"uuid","refTable":"Port"},"min":0,"max":"unlimited"}}}},
      "Port":{"columns":{"name":{"type":"string"},"tag":{"type":{"key":{"type":"integer"},"min":0}},
        "trunks":{"type":{"key":"integer","min":0,"max":4096}}}}}}"#;
    const B: &str = "11111111-1111-4111-8111-111111111111";
    const P: &str = "22222222-2222-4222-8222-222222222222";
    const Q: &str = "33333333-3333-4333-8333-333333333333";

    fn file(records: &[String]) -> String {
        let one = |json: &String| {
            let json = json.replace('\n', "");
            format!("OVSDB JSON {} {}\n{json}\n", json.len() + 1, "0".repeat(40))
        };
        records.iter().map(one).collect()
    }

    fn log() -> Vec<String> {
        vec![
            SCHEMA.to_owned(),
            format!(
                r#"{{"Bridge":{{"{B}":{{"name":"br0","fail_mode":"secure","ports":["set",[["uuid","{P}"],["uuid","{Q}"]]],"other_config":["map",[["a","1"],["b","2"]]]}}}},
                "Port":{{"{P}":{{"name":"p0","tag":5,"trunks":["set",[9,10]]}},"{Q}":{{"name":"q0"}}}},"_date":1}}"#
            ),
            format!(
                r#"{{"_is_diff":true,"Bridge":{{"{B}":{{"ports":["uuid","{Q}"],"other_config":["map",[["a","1"],["b","3"],["c","4"]]],"fail_mode":["set",[]]}}}},"Port":{{"{Q}":null,"{P}":{{"tag":6,"trunks":["set",[10,200]]}}}}}}"#
            ),
        ]
    }

    fn reads(text: &str) -> Outcome<Vec<OvsRecord>> {
        parse(text, &Command::new("cat /etc/openvswitch/conf.db"))
    }

    #[test]
    fn differences_are_applied_and_defaults_filled_in() {
        let text = file(&log());
        let out = reads(&text);
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        assert_eq!((out.lines.total, out.lines.read, out.lines.ignored), (6, 3, 3));
        let [bridge, port] = out.records.as_slice() else { panic!("{out:#?}") };
        assert_eq!(text.get(bridge.uuid.as_ref().unwrap().span.range()).unwrap(), B);
        let OvsRow::Bridge(row) = &bridge.row else { panic!() };
        assert_eq!(
            row.ports.iter().map(|port| &port.value).collect::<Vec<_>>(),
            [&OvsRef::Uuid(P.into())]
        );
        assert_eq!((row.fail_mode.as_ref(), row.stp.unwrap().value), (None, false));
        assert_eq!(row.datapath_type.as_ref().unwrap().as_str(), "");
        assert_eq!(lookup(&row.other_config, "a"), None);
        let config = ["b", "c"].map(|key| lookup(&row.other_config, key).unwrap().as_str());
        assert_eq!(config, ["3", "4"]);
        let OvsRow::Port(row) = &port.row else { panic!() };
        assert_eq!((row.name.as_str(), row.tag.unwrap().value), ("p0", 6));
        assert_eq!(text.get(row.tag.unwrap().span.range()).unwrap(), "6");
        assert_eq!(row.trunks.iter().map(|trunk| trunk.value).collect::<Vec<_>>(), [9, 200]);
    }

    #[test]
    fn without_differences_values_are_replaced() {
        let mut records = log();
        records[2] = records[2].replace(r#""_is_diff":true,"#, "");
        let out = reads(&file(&records));
        let OvsRow::Bridge(row) = &out.records[0].row else { panic!() };
        assert_eq!(row.ports[0].value, OvsRef::Uuid(Q.into()));
        assert_eq!(row.other_config.len(), 3);
    }

    #[test]
    fn a_lost_head_leaves_what_is_certain() {
        let mut records = log();
        records.push(format!(
            r#"{{"_is_diff":true,"Port":{{"{Q}":{{"name":"q1","trunks":7}}}},"Bridge":{{"{B}":{{"ports":["uuid","{Q}"]}}}}}}"#
        ));
        records.push(format!(r#"{{"_is_diff":true,"Port":{{"{Q}":{{"trunks":8}}}}}}"#));
        let whole = file(&records);
        let text = whole.get(whole.find("_is_diff").unwrap()..).unwrap();
        let out = reads(text);
        let Completeness::Partial(words) = &out.completeness else { panic!("{out:?}") };
        assert!(words.contains("1 rows"), "{words}");
        assert_eq!(out.problems[0].kind, ProblemKind::Truncated);
        let [port] = out.records.as_slice() else { panic!("{out:#?}") };
        let OvsRow::Port(row) = &port.row else { panic!() };
        assert_eq!(row.name.as_str(), "q1");
        assert_eq!(row.trunks.iter().map(|trunk| trunk.value).collect::<Vec<_>>(), [7, 8]);
    }

    #[test]
    fn a_cut_tail_a_changed_length_and_a_bad_value_are_told() {
        let whole = file(&log());
        let cut = reads(whole.get(..whole.len() - 40).unwrap());
        assert_eq!(cut.problems[0].kind, ProblemKind::Truncated);
        assert_eq!(cut.records.len(), 3);
        assert!(matches!(cut.completeness, Completeness::Partial(_)));
        let changed = reads(&whole.replace("secure", "standalone"));
        assert_eq!(changed.problems, []);
        assert!(matches!(changed.completeness, Completeness::Partial(_)));
        let bad = reads(&whole.replace("\"tag\":6", "\"tag\":X"));
        assert_eq!(bad.lines.unread, 1);
        let odd = reads(&whole.replace("\"tag\":6", "\"tag\":-"));
        assert_eq!(odd.lines.unread, 1);
        let far = reads(&file(&log()).replace("\"tag\":6,", "\"tag\":6000,"));
        assert!(far.problems.iter().any(|problem| problem.message.contains("VLAN")));
        for text in ["", "some prose\n"] {
            assert!(reads(text).completeness.is_failed(), "{text}");
        }
    }

    #[test]
    fn a_raft_log_takes_later_entries_for_earlier_ones() {
        let one =
            |json: String| format!("OVSDB CLUSTER {} {}\n{json}\n", json.len() + 1, "a".repeat(40));
        let schema = SCHEMA.replace('\n', "");
        let name = |name: &str| format!(r#"{{"Bridge":{{"{B}":{{"name":"{name}"}}}}}}"#);
        let text = [
            format!(r#"{{"name":"x","prev_index":1,"prev_data":[{schema},{}]}}"#, name("old")),
            format!(r#"{{"term":1,"index":2,"data":[null,{}]}}"#, name("lost")),
            format!(r#"{{"term":2,"index":2,"data":[null,{}]}}"#, name("new")),
            r#"{"commit_index":2}"#.to_owned(),
        ]
        .map(one)
        .concat();
        let out = reads(&text);
        assert_eq!((out.problems.as_slice(), out.lines.read), ([].as_slice(), 4));
        assert!(out.completeness.is_complete(), "{:?}", out.completeness);
        let OvsRow::Bridge(row) = &out.records[0].row else { panic!() };
        assert_eq!(row.name.as_str(), "new");
    }
}
