//! Where a host was captured in two forms, both must give the same records.
//!
//! To add a pair of forms, add a row to `PAIRS`.
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails loudly")]
use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use tapline_core::capture::Command;
use tapline_core::records::Visitor;
use tapline_core::span::Span;
use tapline_formats::registry;
use tapline_tests::Hosts;

/// Two forms of one thing.
struct Pair {
    /// A file and the command that made it.
    left: (&'static str, &'static str),
    /// The same thing in another form.
    right: (&'static str, &'static str),
    /// Takes away what one form does not say, and what changes between two commands; `null` leaves
    /// out the whole record.
    comparable: fn(&mut Value),
    /// How many records a host has at least: nothing compared proves nothing.
    at_least: usize,
}

const PAIRS: &[Pair] = &[
    Pair {
        left: ("bridge_fdb", "bridge fdb"),
        right: ("bridge_-j_fdb", "bridge -j fdb"),
        comparable: |it| fdb(it, |_| {}),
        at_least: 1,
    },
    Pair {
        left: ("bridge_fdb", "bridge fdb"),
        right: ("bridge_-s_-s_-d_-t_fdb_show", "bridge -s -s -d -t fdb show"),
        comparable: |it| fdb(it, without_other),
        at_least: 1,
    },
    Pair {
        left: ("bridge_link_show", "bridge link show"),
        right: ("bridge_-s_-s_-d_link_show", "bridge -s -s -d link show"),
        comparable: without_other,
        at_least: 1,
    },
    Pair {
        left: ("ip_-d_address", "ip -d address"),
        right: ("ip_-j_-d_address", "ip -j -d address"),
        comparable: link,
        at_least: 1,
    },
    Pair {
        left: ("ip_-s_-d_link", "ip -s -d link"),
        right: ("ip_-j_-d_-s_link", "ip -j -d -s link"),
        comparable: link,
        at_least: 1,
    },
];

/// Learned entries come and go between two commands.
fn fdb(record: &mut Value, comparable: fn(&mut Value)) {
    let flags = record.get("flags").and_then(Value::as_array);
    if flags.is_some_and(|it| it.iter().any(|it| it == "permanent")) {
        comparable(record);
    } else {
        *record = Value::Null;
    }
}

/// Details and counters stand in one form only.
fn without_other(record: &mut Value) {
    if let Some(record) = record.as_object_mut() {
        record.remove("other");
    }
}

/// Text knows the name of a namespace, JSON its id; text has `missed`, JSON `over_errors`.
fn link(record: &mut Value) {
    let Some(record) = record.as_object_mut() else { return };
    record.remove("other");
    if let Some(netns) = record.get_mut("lower_netns").filter(|it| !it.is_null()) {
        *netns = Value::Bool(true);
    }
    sort(record.get_mut("flags"));
    for address in record.get_mut("addresses").and_then(Value::as_array_mut).into_iter().flatten() {
        let Some(address) = address.as_object_mut() else { continue };
        address.remove("other");
        sort(address.get_mut("flags"));
        for lifetime in ["valid_lft", "preferred_lft"] {
            if let Some(it) = address.get_mut(lifetime) {
                // Seconds pass between two commands.
                *it = Value::Bool(!it.is_null());
            }
        }
    }
    for way in ["rx", "tx"] {
        let counters = record.get_mut("stats").and_then(|it| it.get_mut(way));
        let Some(counters) = counters.and_then(Value::as_object_mut) else { continue };
        counters.retain(|name, _| name != "missed" && name != "overrun");
        // Packets come and go: only the names count.
        counters.values_mut().for_each(|it| *it = Value::Null);
    }
}

/// Where order says nothing.
fn sort(list: Option<&mut Value>) {
    if let Some(list) = list.and_then(Value::as_array_mut) {
        list.sort_by_key(Value::to_string);
    }
}

#[test]
fn forms_of_one_thing_give_the_same_records() {
    let unpacked = Hosts::unpack().unwrap();
    let folders = unpacked.folders().unwrap();
    let mut differences = Vec::new();
    for pair in PAIRS {
        let mut hosts = 0;
        for folder in &folders {
            let (left, right) = (folder.join(pair.left.0), folder.join(pair.right.0));
            if !left.is_file() || !right.is_file() {
                continue;
            }
            hosts += 1;
            let (ours, theirs) = (
                records(&left, pair.left.1, pair.comparable),
                records(&right, pair.right.1, pair.comparable),
            );
            assert!(ours.len() >= pair.at_least, "{}: too little", left.display());
            if ours.len() != theirs.len() {
                let what = format!("{}: {} and {}", left.display(), ours.len(), theirs.len());
                differences.push(what);
            }
            for (n, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
                if ours != theirs {
                    let which = left.display();
                    differences.push(format!("{which} record {n}:\n  {ours}\n  {theirs}"));
                }
            }
        }
        assert!(hosts > 5, "{} and {}: {hosts} hosts", pair.left.1, pair.right.1);
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The records of a file, made comparable.
fn records(file: &Path, command: &str, comparable: fn(&mut Value)) -> Vec<Value> {
    struct Values(Vec<Value>);
    impl Visitor for Values {
        fn record<T: Serialize>(&mut self, _: Span, record: &T) {
            self.0.push(serde_json::to_value(record).unwrap());
        }
    }
    let text = std::fs::read_to_string(file).unwrap();
    let command = Command::new(command);
    let format = registry::by_command(&command).expect("a format claims the command");
    let outcome = (format.read)(&text, &command);
    let where_ = file.display();
    assert!(outcome.problems.is_empty(), "{where_}: {:?}", outcome.problems);
    let mut values = Values(Vec::new());
    outcome.records.visit(&mut values);
    values.0.iter_mut().for_each(comparable);
    values.0.retain(|it| !it.is_null());
    values.0
}
