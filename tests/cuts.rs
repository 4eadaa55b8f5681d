//! Faults that were put into captured hosts on purpose, and that cut a path: a trace names the place
//! and the reason, `reach` who suffers, and the rule that fires as a root is about the same thing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Question, Trace, Tracer};
use tapline_tests::lab;

/// A fault that cuts a path.
struct Cut {
    fault: &'static str,
    /// Where a packet is put in that comes to it, and where it is to go.
    from: &'static str,
    to: &'static str,
    /// What becomes of a copy, why, and where.
    end: (&'static str, &'static str, &'static str),
    /// The guests that `reach` names with that very end.
    suffer: &'static [&'static str],
    /// The root: its rule and its subject.
    root: (&'static str, &'static str),
}

const CUTS: &[Cut] = &[
    Cut {
        fault: "F01",
        from: "ovs:br-int/qg-ae1e7daf-58",
        to: "",
        end: ("blackholed", "patch-peer-missing", "br-int/int-br-vlan"),
        suffer: &[],
        root: ("OVS-003", "br-int/int-br-vlan"),
    },
    Cut {
        fault: "F02",
        from: "vm:instance-000000c0",
        to: "dhcp",
        end: ("blackholed", "l2-dead-end", "qbrc0ffee01-02"),
        suffer: &["instance-000000c0"],
        // The port that the bridge has lost.
        root: ("LBR-001", "qvbc0ffee01-02"),
    },
    Cut {
        fault: "F05",
        from: "vm:instance-0000002d/1",
        to: "dhcp",
        end: ("blackholed", "l2-dead-end", "tap2d4a7a05-ea"),
        suffer: &["instance-0000002d"],
        root: ("VM-002", "instance-0000002d/tap2d4a7a05-ea"),
    },
    Cut {
        fault: "F06",
        from: "ovs:br-int/qg-ae1e7daf-58",
        to: "",
        end: ("blackholed", "if-admin-down", "enp4s0f1"),
        suffer: &[],
        root: ("NIC-001", "enp4s0f1"),
    },
    Cut {
        fault: "F08",
        from: "if:lpa0",
        to: "broadcast",
        // A rule of nft keeps the frames from going round: without it the bridges would.
        end: ("dropped", "nf-drop", "brloop-a"),
        suffer: &[],
        // The bridge of that rule, one of two that go round.
        root: ("LBR-002", "brloop-a"),
    },
    Cut {
        fault: "F14",
        from: "vm:instance-00000076",
        to: "dhcp",
        end: ("blackholed", "dead-vlan-4095", "br-int/qvof010b8f6-df"),
        suffer: &["instance-00000076"],
        root: ("OVS-002", "br-int/qvof010b8f6-df"),
    },
];

/// A broadcast of nobody in particular.
const FRAME: &str = "arp,dl_src=fa:16:3e:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff";

fn ends(trace: &Trace) -> BTreeSet<(&'static str, &'static str, String)> {
    let reason = |end: &tapline_network::trace::End| end.reason.map_or("", |it| it.as_str());
    let all = trace.ends.iter();
    all.map(|end| (end.outcome.as_str(), reason(end), end.place.words())).collect()
}

fn complaints(name: &str) -> Vec<String> {
    let inputs = [Input::Path(lab(name))];
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let environment = Environment::default();
    let network = Network::new(&topology, None, &environment);
    let tracer = Tracer::new(&network);
    let rows = tracer.reach(None);
    let mut all = Vec::new();
    for cut in CUTS {
        let to = (!cut.to.is_empty()).then(|| cut.to.to_owned());
        let packet = cut.to.is_empty().then(|| FRAME.to_owned());
        let question = Question { from: cut.from.to_owned(), to, packet, ..Question::default() };
        let trace = tracer.ask(&question).unwrap().trace;
        let (outcome, reason, place) = cut.end;
        if !ends(&trace).contains(&(outcome, reason, place.to_owned())) {
            all.push(format!("{}: the trace ends at {:?}", cut.fault, ends(&trace)));
        }
        if trace.verdict.reached == Some(true) {
            all.push(format!("{}: the trace arrives", cut.fault));
        }
        let suffer: BTreeSet<&str> = rows
            .iter()
            .filter(|row| {
                row.cells.iter().any(|(_, cell)| {
                    let why = cell.reason.map_or("", |reason| reason.as_str());
                    cell.reached == Some(false) && why == reason && cell.at.words() == place
                })
            })
            .map(|row| row.vm.as_str())
            .collect();
        if suffer != cut.suffer.iter().copied().collect() {
            all.push(format!("{}: {suffer:?} suffer", cut.fault));
        }
        let root = report.findings.iter().any(|finding| {
            finding.is_root() && (&*finding.rule.code, finding.subject.name.as_str()) == cut.root
        });
        if !root {
            all.push(format!("{}: no root {:?}", cut.fault, cut.root));
        }
    }
    all
}

#[test]
fn cuts_of_the_laboratory_are_named() {
    let all = complaints("faults");
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn cuts_of_the_laboratory_with_a_kernel_datapath_are_named() {
    let all = complaints("uml-faults");
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn cuts_of_the_laboratory_are_named_in_a_sosreport() {
    let all = complaints("faults-sos-4.0");
    assert!(all.is_empty(), "{}", all.join("\n"));
}
