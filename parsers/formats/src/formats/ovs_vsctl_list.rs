//! `ovs-vsctl list TABLE` and `find TABLE`, in any layout; the same of `ovn-nbctl`, `ovn-sbctl`.
//!
//! Source of the format: `lib/db-ctl-base.c` (`cmd_list`, `cmd_find`), `lib/table.c`; 1.x to 3.x.
//!
//! ```text
//! _uuid               : 0aedb53b-b4ce-4d34-9c44-65e49c6c5d96
//! external_ids        : {attached-mac="fa:16:3e:00:00:01", iface-status=active}
//! name                : tap0
//! ofport              : 3
//! tag                 : []
//! ```
//!
//! An empty table prints nothing at all in the layout `list`, and its headings in the others. Rows that were picked (`list bridge br0`, `find`) and
//! columns that were picked (`--columns`) say nothing of the others.
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;
use tapline_core::records::ovs::OvsRecord;
use tapline_core::request::{Request, Topic};

use crate::format::{Ends, Format, Per, last_word};
use crate::lines::never_empty;
use crate::ovsdb::call::{Call, Layout, of};
use crate::ovsdb::rows::{Plan, Table, begins_with_title, rows};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ovs-vsctl-list"),
    command: "ovs-vsctl list TABLE",
    collect: &[
        Per::Host.run("ovs-vsctl -t 10 list Open_vSwitch"),
        Per::Host.run("ovs-vsctl -t 10 list Bridge"),
        Per::Host.run("ovs-vsctl -t 10 list Port"),
        Per::Host.run("ovs-vsctl -t 10 list Interface"),
        Per::Host.run("ovs-vsctl -t 10 list Controller"),
        Per::Host.run("ovs-vsctl -t 10 list Manager"),
        Per::Central.run("ovn-sbctl -t 10 --no-leader-only list Chassis"),
        Per::Central.run("ovn-sbctl -t 10 --no-leader-only list Port_Binding"),
        Per::Central.run("ovn-sbctl -t 10 --no-leader-only list SB_Global"),
        Per::Central.run("ovn-sbctl -t 10 --no-leader-only list Chassis_Private"),
        Per::Central.run("ovn-sbctl -t 10 --no-leader-only list Encap"),
        Per::Central.run("ovn-sbctl -t 10 --no-leader-only list Datapath_Binding"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list NB_Global"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Logical_Switch"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Logical_Switch_Port"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Logical_Router"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Logical_Router_Port"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Logical_Router_Static_Route"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Logical_Router_Policy"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list NAT"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list ACL"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Port_Group"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Address_Set"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list DHCP_Options"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Load_Balancer"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list Gateway_Chassis"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list HA_Chassis_Group"),
        Per::Central.run("ovn-nbctl -t 10 --no-leader-only list HA_Chassis"),
    ],
    claims: |command| asked(command).map(|(call, vswitch)| request(&call, vswitch)),
    sniff: |head| {
        let first = head.trim_start();
        // A part may begin in the middle of a row: names of columns are padded.
        let begun = first.lines().next().is_some_and(|line| line.find(": ") == Some(20));
        let is_list = (first.starts_with("_uuid ") || begun && first.contains("\n_uuid "))
            && first.contains("\nexternal_ids ");
        let is_json = first.starts_with("{\"data\":[[[\"uuid\",\"")
            || first.starts_with("{\"headings\":[\"_uuid\"");
        if is_list || is_json { 80 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends {
        // Between blank lines.
        begins: str::is_empty,
        closes: |last| {
            let word = last_word(last);
            word.ends_with([']', '}', '"']) || matches!(word, "true" | "false")
        },
        ..Ends::LINES
    },
};

/// The call, and whether it is of the database of Open vSwitch itself.
fn asked(command: &Command) -> Option<(Call<'_>, bool)> {
    let tools = ["ovs-vsctl", "ovn-nbctl", "ovn-sbctl"];
    let call = tools.iter().find_map(|tool| Some((of(command, tool)?, *tool == "ovs-vsctl")));
    call.filter(|(call, _)| {
        matches!(call.verb, "list" | "find") && (!call.operands.is_empty() || call.no_headings)
    })
}

/// What rows and columns of which table were asked for.
fn request(call: &Call<'_>, vswitch: bool) -> Request {
    let named = call.operands.first().copied();
    let filtered = call.verb != "list" || call.operands.len() > 1 || !call.columns.is_empty();
    let of = if vswitch { Table::of_vswitch } else { Table::of_ovn };
    let table = match named.map(of) {
        Some(Table::Known(table)) => Some(table),
        Some(Table::Guess) | None => named,
    };
    let request = match table {
        Some("Port") if vswitch => Request::filtered(&[Topic::OvsPorts], filtered),
        Some("Interface") if vswitch => Request::filtered(&[Topic::OvsInterfaces], filtered),
        Some("Bridge") if vswitch => Request { filtered, ..Request::part(&[Topic::Ovs]) },
        // It has one row, which any name finds.
        Some("Open_vSwitch") if vswitch => Request::whole(&[Topic::OvsDatabase]),
        // What was left out is known from the output.
        Some("Port_Binding") if !vswitch && call.verb == "list" && call.operands.len() == 1 => {
            Request::whole(&[Topic::OvnBindings])
        }
        _ => Request { filtered, ..Request::default() },
    };
    request.of_table(table)
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<OvsRecord>> {
    let (call, vswitch) = asked(command).unwrap_or_default();
    let table = match call.operands.first() {
        Some(name) if vswitch => Table::of_vswitch(name),
        Some(name) => Table::of_ovn(name),
        None => Table::Guess,
    };
    // People save the output of `ovsdb-client dump` under this name too.
    let headings = begins_with_title(text);
    let mut out = rows(text, &call, Plan { table, headings });
    if call
        .layout
        .is_some_and(|layout| layout == Layout::Json || layout != Layout::List && !call.no_headings)
    {
        never_empty(&mut out, "a heading");
    }
    let picked = if call.operands.len() > 1 {
        Some("only the rows that were asked for")
    } else if !call.columns.is_empty() {
        Some("only the columns that were asked for")
    } else {
        None
    };
    if let Some(words) = picked {
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Partial(words.to_owned()));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::records::ovs::{OvsInterface, OvsRef, OvsRow, lookup};

    const LIST: &str = r#"_uuid               : 11111111-2222-4333-8444-555555555555
admin_state         : up
error               : []
external_ids        : {attached-mac="fa:16:3e:00:00:01", note="a, \"b\""}
ifindex             : 12
link_speed          : 10000000000
lldp                : {}
mac_in_use          : "0a:00:00:00:00:01"
mtu                 : 1450
name                : "10ge"
ofport              : -1
options             : {peer=phy-br}
type                : ""
"#;

    fn reads(text: &str, command: &str) -> Outcome<Vec<OvsRecord>> {
        parse(text, &Command::new(command))
    }

    fn interface(record: &OvsRecord) -> &OvsInterface {
        let OvsRow::Interface(it) = &record.row else { panic!("{record:?}") };
        it
    }

    #[test]
    fn a_list_fills_typed_fields_and_keeps_the_rest() {
        let out = reads(LIST, "ovs-vsctl -t 5 list interface");
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        assert_eq!((out.lines.total, out.lines.read), (13, 13));
        let [record] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(LIST.get(record.at.range()).unwrap().lines().count(), 13);
        let it = interface(record);
        assert_eq!((it.name.as_str(), it.kind.as_ref().unwrap().as_str()), ("10ge", ""));
        assert_eq!(it.error, None);
        assert_eq!((it.ofport.unwrap().value, it.ifindex.unwrap().value.0), (-1, 12));
        assert_eq!(it.mac_in_use.unwrap().to_string(), "0a:00:00:00:00:01");
        let note = lookup(&it.external_ids, "note").unwrap();
        assert_eq!(note.as_str(), "a, \"b\"");
        assert_eq!(LIST.get(note.span.range()).unwrap(), r#"a, \"b\""#);
        let kept: Vec<_> =
            record.columns.iter().map(|column| (&*column.name, column.value.as_str())).collect();
        assert_eq!(kept, [("link_speed", "10000000000")]);
    }

    #[test]
    fn only_the_list_of_an_empty_table_is_empty() {
        for (command, failed) in [
            ("ovs-vsctl list port", false),
            ("ovs-vsctl -f json list port", true),
            ("ovs-vsctl -f csv list port", true),
            ("ovs-vsctl -f csv --no-headings list port", false),
        ] {
            assert_eq!(reads("", command).completeness.is_failed(), failed, "{command}");
        }
    }

    #[test]
    fn all_layouts_give_the_same_row() {
        let list = "name   : p0\nofport : 1\nexternal_ids: {a=\"x:y\"}\nerror : \"b c\"\n";
        let table = "name ofport external_ids error\n---- ------ ------------ -----\n\
                     p0   1      {a=\"x:y\"}    \"b c\"\n";
        let csv = "name,ofport,external_ids,error\np0,1,\"{a=\"\"x:y\"\"}\",\"\"\"b c\"\"\"\n";
        let json = r#"{"data":[["p0",1,["map",[["a","x:y"]]],"b c"]],
                       "headings":["name","ofport","external_ids","error"]}"#;
        let bare = "p0\n1\na=x:y\nb c\n";
        let command = "ovs-vsctl --columns=name,ofport,external_ids,error";
        let expected = reads(list, &format!("{command} list interface"));
        assert_eq!(expected.problems, []);
        for (text, options) in [
            (table, "-f table list interface"),
            (csv, "-f csv list interface"),
            (json, "-f json list interface"),
            (bare, "--bare list interface"),
        ] {
            let out = reads(text, &format!("{command} {options}"));
            assert_eq!(out.problems, [], "{text}");
            assert_eq!(interface(&out.records[0]), interface(&expected.records[0]), "{text}");
            assert_eq!(out.lines.unread, 0);
            assert!(matches!(out.completeness, Completeness::Partial(_)));
        }
    }

    #[test]
    fn rows_end_at_empty_lines_and_where_the_columns_start_again() {
        let text = "name : a\ntag : 5\n\nname : b\ntrunks : [1, 2]\nname : c\nbond_mode : []\n";
        let out = reads(text, "ovs-vsctl list port");
        assert_eq!((out.records.len(), out.lines.read), (3, 6));
    }

    #[test]
    fn the_columns_tell_the_table_where_the_command_does_not() {
        let text = "_uuid : 11111111-2222-4333-8444-555555555555\nfail_mode : secure\n\
                    name : br0\nports : [21111111-2222-4333-8444-555555555555]\n";
        let out = reads(text, "ovs-vsctl list whatever");
        let OvsRow::Bridge(bridge) = &out.records[0].row else { panic!("{out:?}") };
        let port = OvsRef::Uuid("21111111-2222-4333-8444-555555555555".into());
        assert_eq!(bridge.ports[0].value, port);
        let out = reads(text, "ovn-nbctl list DNS");
        assert_eq!(out.records[0].row, OvsRow::Other { name: "DNS".into() });
        assert_eq!(out.records[0].columns.len(), 3);
    }

    #[test]
    fn rows_of_ovn_have_fields() {
        let text = "_uuid : 31111111-2222-4333-8444-555555555555
chassis : []
\
                    logical_port : \"a b\"\noptions : {network_name=physnet1}\ntag : 100\n\
                    tunnel_key : 3\ntype : localnet\nup : false\nrequested_chassis : []\n";
        for command in ["ovn-sbctl --no-leader-only list Port_Binding", "ovn-sbctl list ports"] {
            let out = reads(text, command);
            assert_eq!(out.problems, []);
            let OvsRow::PortBinding(it) = &out.records[0].row else { panic!("{out:?}") };
            assert_eq!((it.logical_port.as_str(), it.chassis.is_none()), ("a b", true));
            assert_eq!((it.tag.unwrap().value, it.up.unwrap().value), (100, false));
            assert_eq!(lookup(&it.options, "network_name").unwrap().as_str(), "physnet1");
            assert_eq!(out.records[0].one("tunnel_key").unwrap().as_str(), "3");
            assert!(out.records[0].columns.is_empty());
        }
        let text = "_uuid : 31111111-2222-4333-8444-555555555555\nencaps : [x, y]\n\
                    hostname : \"\"\nname : c1\n";
        let out = reads(text, "ovn-sbctl list chassis");
        let OvsRow::Chassis(it) = &out.records[0].row else { panic!("{out:?}") };
        assert_eq!((it.name.as_str(), &it.hostname, it.encaps.len()), ("c1", &None, 2));
    }

    #[test]
    fn what_was_picked_is_not_all() {
        for (command, complete) in [
            ("ovs-vsctl list port", true),
            ("ovs-vsctl list port p0", false),
            ("ovs-vsctl find port tag=5", false),
            ("ovs-vsctl --columns=name,tag list port", false),
        ] {
            let out = reads("name : p0\ntag : 5\n", command);
            assert_eq!(out.completeness.is_complete(), complete, "{command}");
        }
        let nothing = reads("", "ovs-vsctl list manager");
        assert!(nothing.completeness.is_complete() && nothing.records.is_empty());
    }

    #[test]
    fn what_is_no_row_is_a_problem() {
        for (text, unread) in [
            ("name : a\n...\nofport : 1\n", 1),
            ("name : a\nofport : x\n", 1),
            ("name : a\nofport : 1 2\n", 1),
            ("name : a\nlacp : {a=\n", 1),
            ("name : a\nlldp : [a, b\nc]\n", 2),
            ("name ofport\n---- ------\nlonger 1\n", 1),
            ("name,ofport\na,1,2\n", 1),
            ("{\"headings\":[\"name\"],\"data\":[[\"a\"],[1,2]]}\n", 1),
            ("{\"headings\":[\"name\"],\"data\":[[\"a\"]\n", 1),
        ] {
            let out = reads(text, "ovs-vsctl list interface");
            assert_eq!((out.lines.unread, out.problems.len()), (unread, unread as usize), "{text}");
            assert!(!out.completeness.is_complete(), "{text}");
        }
    }

    #[test]
    fn errors_are_failures() {
        for text in [
            "ovs-vsctl: no row \"x\" in table Interface\n",
            "ovs-vsctl: unknown table \"foo\"\n",
            "ovs-vsctl: unix:/x.sock: database connection failed (No such file or directory)\n",
        ] {
            assert!(reads(text, "ovs-vsctl list interface").completeness.is_failed(), "{text}");
        }
    }
}
