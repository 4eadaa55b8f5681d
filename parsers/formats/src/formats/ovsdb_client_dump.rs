//! `ovsdb-client dump`: all tables of a database, one after the other, in any layout.
//!
//! Source of the format: `ovsdb/ovsdb-client.c` (`do_dump`, `dump_table`), `lib/table.c`.
//!
//! ```text
//! Bridge table
//! _uuid                                name
//! ------------------------------------ ----
//! 0aedb53b-b4ce-4d34-9c44-65e49c6c5d96 br0
//!
//! Controller table
//! ```
//!
//! `ovsdb-client -f list dump` puts lists of columns under the headings.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRecord;
use tapline_core::request::{Request, Topic};

use crate::format::{Ends, Format, last_word};
use crate::lines::bodies;
use crate::ovsdb::call::of;
use crate::ovsdb::rows::{Plan, Table, rows};

/// What the whole database answers.
pub(super) const WHOLE: &[Topic] =
    &[Topic::Ovs, Topic::OvsPorts, Topic::OvsInterfaces, Topic::OvsDatabase];

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovsdb-client-dump"),
    command: "ovsdb-client dump",
    collect: &[],
    claims: |command| {
        let call = of(command, "ovsdb-client").filter(|call| call.verb == "dump")?;
        // `dump [SERVER] [DATABASE] [TABLE [COLUMN…]]`: a table's name starts in upper case.
        let is_table = |word: &&&str| {
            word.starts_with(|first: char| first.is_ascii_uppercase()) && **word != "Open_vSwitch"
        };
        let table = call.operands.iter().find(is_table).copied();
        Some(Request::filtered(WHOLE, table.is_some()).of_table(table))
    },
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        let is_title = matches!(first, "AutoAttach table" | "Bridge table");
        if is_title || head.contains("\nBridge table\n") { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        closes: |last| {
            let word = last_word(last);
            word.ends_with([']', '}', '"']) || matches!(word, "true" | "false")
        },
        ..Ends::LINES
    },
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<OvsRecord>> {
    let call = of(command, "ovsdb-client").unwrap_or_default();
    let mut out = rows(text, &call, Plan { table: Table::Guess, headings: true });
    let silent = out.lines.total == 0;
    // `dump SERVER DATABASE TABLE COLUMN…`; a server has a colon.
    let named = call.operands.iter().filter(|operand| !operand.contains(':')).count();
    let verdict = if silent {
        Completeness::Failed("no output".to_owned())
    } else if named > 2 {
        Completeness::Partial("only the columns that were asked for".to_owned())
    } else {
        Completeness::Complete
    };
    let before = std::mem::take(&mut out.completeness);
    out.completeness = before.and(verdict);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::records::ovs::OvsRow;

    const TABLE: &str = "\
AutoAttach table
_uuid mappings
----- --------

Bridge table
_uuid                                name  other_config
------------------------------------ ----- -----------------
11111111-2222-4333-8444-555555555555 br0   {}
21111111-2222-4333-8444-555555555555 \"b 1\" {hwaddr=\"a:b c\"}

Manager table
_uuid                                is_connected target
------------------------------------ ------------ -----------
31111111-2222-4333-8444-555555555555 true         \"ptcp:6640\"
";

    const LIST: &str = "\
AutoAttach table

Bridge table
_uuid               : 11111111-2222-4333-8444-555555555555
name                : br0
other_config        : {}

_uuid               : 21111111-2222-4333-8444-555555555555
name                : \"b 1\"
other_config        : {hwaddr=\"a:b c\"}

Manager table
_uuid               : 31111111-2222-4333-8444-555555555555
is_connected        : true
target              : \"ptcp:6640\"
";

    fn reads(text: &str) -> Outcome<Vec<OvsRecord>> {
        parse(text, &Command::new("ovsdb-client dump"))
    }

    #[test]
    fn headings_name_the_tables_in_every_layout() {
        let json = r#"{"caption":"AutoAttach table","data":[],"headings":["_uuid"]}
{"caption":"Bridge table","data":[[["uuid","11111111-2222-4333-8444-555555555555"],"br0",["map",[]]],[["uuid","21111111-2222-4333-8444-555555555555"],"b 1",["map",[["hwaddr","a:b c"]]]]],"headings":["_uuid","name","other_config"]}
{"caption":"Manager table","data":[[["uuid","31111111-2222-4333-8444-555555555555"],true,"ptcp:6640"]],"headings":["_uuid","is_connected","target"]}
"#;
        let table = reads(TABLE);
        assert_eq!(table.problems, []);
        assert!(table.completeness.is_complete());
        assert_eq!((table.lines.read, table.lines.ignored, table.lines.unread), (3, 9, 0));
        let OvsRow::Bridge(bridge) = &table.records[1].row else { panic!() };
        assert_eq!((bridge.name.as_str(), bridge.other_config.len()), ("b 1", 1));
        let OvsRow::Connection(manager) = &table.records[2].row else { panic!() };
        assert!(manager.manager && manager.is_connected.unwrap().value);
        for text in [LIST, json] {
            let out = reads(text);
            assert_eq!((out.problems.as_slice(), out.lines.unread), ([].as_slice(), 0));
            let rows = |out: &Outcome<Vec<OvsRecord>>| {
                out.records
                    .iter()
                    .map(|record| (record.uuid.clone(), record.row.clone()))
                    .collect::<Vec<_>>()
            };
            assert_eq!(rows(&out), rows(&table));
        }
    }

    #[test]
    fn silence_is_a_failure_and_a_lost_rule_a_problem() {
        assert!(reads("").completeness.is_failed());
        let out = reads("Bridge table\n_uuid name\n11111111 br0\n");
        assert_eq!(out.lines.unread, 2);
    }
}
