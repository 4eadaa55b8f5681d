//! The same database in five dresses gives the same rows: `list`, `list` as JSON, `dump`, and the
//! file itself; `show` tells the same of what it prints.
#![expect(clippy::panic, clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use tapline_core::capture::Command;
use tapline_core::records::Batch;
use tapline_core::records::ovs::{OvsRecord, OvsRef, OvsRow};
use tapline_formats::registry;
use tapline_tests::{Hosts, below, captures};

/// The folders of captured hosts that have the database in every form.
fn with_database(hosts: &Hosts) -> Vec<PathBuf> {
    let forms = ["conf.db", "ovsdb-client_dump", "ovs-vsctl_-f_json_list_Open_vSwitch"];
    let mut folders = hosts.folders().unwrap();
    folders.retain(|folder| forms.iter().all(|form| folder.join(form).is_file()));
    assert!(folders.len() > 5, "{folders:?}");
    folders
}

#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
fn read(host: &Path, file: &str, command: &str) -> Vec<OvsRecord> {
    let path = host.join(file);
    let text =
        std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let command = Command::new(command);
    let format = registry::by_command(&command).unwrap_or_else(|| panic!("{command}"));
    let out = (format.read)(&text, &command);
    assert_eq!(out.problems, [], "{}", path.display());
    assert!(out.completeness.is_complete(), "{}: {:?}", path.display(), out.completeness);
    assert_eq!(out.lines.unread, 0, "{}", path.display());
    match out.records {
        Batch::Ovs(all) => all,
        Batch::Nothing => Vec::new(),
        other => panic!("{}: {}", path.display(), other.kind()),
    }
}

const TABLES: &[&str] = &["Open_vSwitch", "Manager", "Bridge", "Controller", "Port", "Interface"];

/// Typed rows by uuid.
type Rows = BTreeMap<String, OvsRow>;

fn by_uuid(records: Vec<OvsRecord>) -> Rows {
    let mut rows = Rows::new();
    for record in records {
        if matches!(record.row, OvsRow::Other { .. }) {
            continue;
        }
        let uuid = record.uuid.as_ref().map_or_else(String::new, |uuid| uuid.to_string());
        assert!(rows.insert(uuid, record.row).is_none(), "one row twice");
    }
    rows
}

fn lists(host: &Path, prefix: &str, options: &str) -> Rows {
    let all = TABLES.iter().flat_map(|table| {
        read(host, &format!("{prefix}list_{table}"), &format!("ovs-vsctl {options}list {table}"))
    });
    by_uuid(all.collect())
}

/// Leaves what a database file holds: ephemeral columns are not written.
fn persistent(mut rows: Rows) -> Rows {
    for row in rows.values_mut() {
        match row {
            OvsRow::Interface(it) => {
                it.ifindex = None;
                it.mac_in_use = None;
                it.admin_state = None;
                it.link_state = None;
                it.mtu = None;
                it.status.clear();
                it.bfd_status.clear();
            }
            OvsRow::Connection(it) => it.is_connected = None,
            _ => {}
        }
    }
    rows
}

#[test]
fn lists_json_dump_and_file_hold_the_same_rows() {
    let hosts = Hosts::unpack().unwrap();
    for host in with_database(&hosts) {
        let list = lists(&host, "ovs-vsctl_", "");
        assert!(list.len() > 10, "{host:?}");
        let json = lists(&host, "ovs-vsctl_-f_json_", "-f json ");
        same(&list, &json, &host, "list and JSON");
        let dump = by_uuid(read(&host, "ovsdb-client_dump", "ovsdb-client dump"));
        same(&list, &dump, &host, "list and dump");
        let file = by_uuid(read(&host, "conf.db", "cat /etc/openvswitch/conf.db"));
        same(&persistent(list), &persistent(file), &host, "list and conf.db");
    }
}

fn same(left: &Rows, right: &Rows, host: &Path, what: &str) {
    for (uuid, row) in left {
        assert_eq!(Some(row), right.get(uuid), "{what} of {}: {uuid}", host.display());
    }
    assert_eq!(left.len(), right.len(), "{what} of {}", host.display());
}

/// The command that a file of a captured host is named after.
fn command(file: &str) -> Option<String> {
    let tool = ["ovs-vsctl_", "ovsdb-client_", "ethtool_"]
        .iter()
        .find(|prefix| file.starts_with(**prefix));
    let line = match *tool? {
        "ethtool_" => match file.split('_').nth(1)? {
            option @ ("-S" | "-i") => format!("ethtool {option} dev"),
            option if option.starts_with('-') => return None,
            _ => "ethtool dev".to_owned(),
        },
        _ if file.contains("list_Open_vSwitch") => "ovs-vsctl list Open_vSwitch".to_owned(),
        _ => file.replace('_', " "),
    };
    Some(line).filter(|it| registry::by_command(&Command::new(it)).is_some())
}

/// Every line of every such file of the captured hosts is read, or the file is one complaint.
#[test]
fn files_of_hosts_are_read_whole() {
    let hosts = Hosts::unpack().unwrap();
    let count: usize = hosts.folders().unwrap().iter().map(|item| read_whole(item)).sum();
    assert!(count > 500, "{count} files");
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn files_of_other_hosts_are_read_whole() {
    let count = read_whole(&captures().unwrap().join("hosts"));
    assert!(count > 50, "{count} files");
}

/// How many files below `folder` were read.
#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
fn read_whole(folder: &Path) -> usize {
    let mut count = 0;
    for path in below(folder).unwrap() {
        if path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            count += read_whole(&path);
            continue;
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(line) = command(&name) else { continue };
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let command = Command::new(&line);
        let Some(format) = registry::by_command(&command) else { continue };
        let out = (format.read)(&text, &command);
        assert_eq!(out.lines.unread, 0, "{}: {:?}", path.display(), out.problems);
        let no_rows = text.is_empty() || text.starts_with(r#"{"data":[],"#);
        assert!(
            !out.records.is_empty() || out.completeness.is_failed() || no_rows,
            "{}: neither rows nor a failure",
            path.display()
        );
        count += 1;
    }
    count
}

/// `show` names what the tables refer to by uuid.
#[test]
fn show_tells_the_same_as_the_tables() {
    let hosts = Hosts::unpack().unwrap();
    for host in with_database(&hosts) {
        let list = lists(&host, "ovs-vsctl_", "");
        let named = |refer: &OvsRef| match refer {
            OvsRef::Name(name) => name.to_string(),
            OvsRef::Uuid(uuid) => match list.get(uuid.as_str()) {
                Some(OvsRow::Bridge(it)) => it.name.to_string(),
                Some(OvsRow::Port(it)) => it.name.to_string(),
                Some(OvsRow::Interface(it)) => it.name.to_string(),
                other => panic!("{uuid} is {other:?}"),
            },
        };
        let tell = |row: &OvsRow| {
            let names = |all: &[_]| {
                let mut all: Vec<_> =
                    all.iter().map(|it: &tapline_core::span::At<OvsRef>| named(it)).collect();
                all.sort();
                all.join(" ")
            };
            let text = |it: &Option<tapline_core::span::At<tapline_core::Name>>| {
                it.as_ref().map_or_else(String::new, |it| it.to_string())
            };
            match row {
                OvsRow::OpenVswitch(it) => {
                    format!("db {} {}", text(&it.version), names(&it.bridges))
                }
                OvsRow::Bridge(it) => {
                    let words = [text(&it.fail_mode), text(&it.datapath_type), names(&it.ports)];
                    format!("bridge {} {}", *it.name, words.join(" "))
                }
                OvsRow::Port(it) => {
                    let trunks: Vec<_> = it.trunks.iter().map(|trunk| trunk.value).collect();
                    let tag = it.tag.map(|tag| tag.value);
                    format!("port {} {tag:?} {trunks:?} {}", *it.name, names(&it.interfaces))
                }
                OvsRow::Interface(it) => {
                    let words = [text(&it.kind), text(&it.error)];
                    format!("interface {} {} {:?}", *it.name, words.join(" "), it.options.len())
                }
                OvsRow::Connection(it) => format!("connection {} {}", it.manager, *it.target),
                OvsRow::Other { name } => format!("other {name}"),
                other => format!("{other:?}"),
            }
        };
        let mut tables: Vec<_> = list.values().map(tell).collect();
        let show = read(&host, "ovs-vsctl_show", "ovs-vsctl show");
        let mut shown: Vec<_> = show.iter().map(|show| tell(&show.row)).collect();
        tables.sort();
        shown.sort();
        assert_eq!(tables, shown, "{host:?}");
    }
}
