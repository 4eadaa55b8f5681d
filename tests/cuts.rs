//! Faults that were put into captured hosts on purpose, and that cut a path: a trace names the place
//! and the reason, `reach` who suffers, and the rule that fires as a root is about the same thing.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;
use tapline_network::trace::{Question, Reason, Trace, Tracer};
use tapline_tests::lab;

/// A fault that cuts a path.
struct Cut {
    fault: &'static str,
    /// Where a packet is put in that comes to it, and where it is to go; empty for a frame.
    from: &'static str,
    to: &'static str,
    /// Bytes of the packet, and the VLAN of the frame.
    size: Option<u32>,
    vlan: Option<u16>,
    /// What becomes of a copy, why, and where.
    end: (&'static str, &'static str, &'static str),
    /// The guests that `reach` names with that very end.
    suffer: &'static [&'static str],
    /// The root: its rule and its subject. `None` where nothing is wrong with the host: no guest
    /// needs what is cut.
    root: Option<(&'static str, &'static str)>,
    /// The only laboratory that has it.
    only: Option<&'static str>,
}

/// A cut that all laboratories have, for a frame of any size.
const CUT: Cut = Cut {
    fault: "",
    from: "",
    to: "",
    size: None,
    vlan: None,
    end: ("", "", ""),
    suffer: &[],
    root: None,
    only: None,
};

const CUTS: &[Cut] = &[
    Cut {
        fault: "F01",
        from: "ovs:br-int/qg-ae1e7daf-58",
        to: "",
        end: ("blackholed", "patch-peer-missing", "br-int/int-br-vlan"),
        suffer: &[],
        root: Some(("OVS-003", "br-int/int-br-vlan")),
        ..CUT
    },
    Cut {
        fault: "F02",
        from: "vm:instance-000000c0",
        to: "dhcp",
        end: ("blackholed", "l2-dead-end", "qbrc0ffee01-02"),
        suffer: &["instance-000000c0"],
        // The port that the bridge has lost.
        root: Some(("LBR-001", "qvbc0ffee01-02")),
        ..CUT
    },
    Cut {
        fault: "F05",
        from: "vm:instance-0000002d/1",
        to: "dhcp",
        end: ("blackholed", "l2-dead-end", "tap2d4a7a05-ea"),
        suffer: &["instance-0000002d"],
        root: Some(("VM-002", "instance-0000002d/tap2d4a7a05-ea")),
        ..CUT
    },
    Cut {
        fault: "F06",
        from: "ovs:br-int/qg-ae1e7daf-58",
        to: "",
        end: ("blackholed", "if-admin-down", "enp4s0f1"),
        suffer: &[],
        root: Some(("NIC-001", "enp4s0f1")),
        ..CUT
    },
    Cut {
        fault: "F08",
        from: "if:lpa0",
        to: "broadcast",
        // A rule of nft keeps the frames from going round: without it the bridges would.
        end: ("dropped", "nf-drop", "brloop-a"),
        suffer: &[],
        // The bridge of that rule, one of two that go round.
        root: Some(("LBR-002", "brloop-a")),
        ..CUT
    },
    Cut {
        fault: "F14",
        from: "vm:instance-00000076",
        to: "dhcp",
        end: ("blackholed", "dead-vlan-4095", "br-int/qvof010b8f6-df"),
        suffer: &["instance-00000076"],
        root: Some(("OVS-002", "br-int/qvof010b8f6-df")),
        ..CUT
    },
    Cut {
        fault: "F03",
        from: "if:qvb263b3957-09",
        to: "broadcast",
        size: Some(1500),
        // Its pair, whose MTU is 1450.
        end: ("blackholed", "mtu-exceeded-l2", "tap263b3957-09"),
        root: Some(("MTU-002", "qvb263b3957-09")),
        ..CUT
    },
    Cut {
        fault: "F03, from the guest",
        from: "vm:instance-0000002d",
        to: "dhcp",
        size: Some(1500),
        end: ("blackholed", "mtu-exceeded-l2", "qvo263b3957-09"),
        root: Some(("MTU-002", "qvb263b3957-09")),
        ..CUT
    },
    Cut {
        fault: "F09",
        from: "ns:qrouter-3f6d2c1a-7e54-4b0c-9a83-5d1e8f2b6c70",
        to: "outside",
        // Whether anybody answers ARP for that address is not captured.
        end: (
            "unknown",
            "neigh-absent",
            "qrouter-3f6d2c1a-7e54-4b0c-9a83-5d1e8f2b6c70/qr-764aecf0-56",
        ),
        root: Some(("L3-002", "default via 172.31.255.1 dev qr-764aecf0-56")),
        // The kernel of the other laboratory noted that nobody answers.
        only: Some("faults"),
        ..CUT
    },
    Cut {
        fault: "F10",
        from: "ovs:br-int/trunk0",
        to: "",
        vlan: Some(30),
        end: ("dropped", "of-drop", "br-ex/phy-br-ex"),
        // No port has a tag of the trunk: the rules find nothing that anybody misses.
        root: None,
        ..CUT
    },
    Cut {
        fault: "F11",
        from: "if:ens2f1",
        to: "",
        end: ("blackholed", "if-admin-down", "ens2f1"),
        root: Some(("BOND-001", "bond0")),
        only: Some("uml-faults"),
        ..CUT
    },
    Cut {
        fault: "F12",
        from: "if:ens3f1",
        to: "",
        end: ("blackholed", "if-admin-down", "ens3f1"),
        root: Some(("BOND-001", "br-vlan/ovsbond")),
        ..CUT
    },
    Cut {
        fault: "the dead port of the seed",
        from: "ovs:br-int/qvoe0f204ea-12",
        to: "",
        end: ("blackholed", "of-output-nonexistent", "br-int/qvoe0f204ea-12"),
        root: Some(("OVS-001", "br-int/qvoe0f204ea-12")),
        ..CUT
    },
];

/// A broadcast of nobody in particular.
const FRAME: &str = "arp,dl_src=fa:16:3e:00:00:01,dl_dst=ff:ff:ff:ff:ff:ff";

/// Where copies end, and where they may.
fn ends(trace: &Trace) -> BTreeSet<(&'static str, &'static str, String)> {
    let reason = |reason: Option<Reason>| reason.map_or("", |reason| reason.as_str());
    let all = trace.ends.iter();
    let ends = all.map(|end| (end.outcome.as_str(), reason(end.reason), end.place.words()));
    let verdict = &trace.verdict;
    let said = (verdict.outcome.as_str(), reason(verdict.reason), verdict.place.words());
    ends.chain([said]).collect()
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
    for cut in CUTS.iter().filter(|cut| cut.only.is_none_or(|only| only == name)) {
        let to = (!cut.to.is_empty()).then(|| cut.to.to_owned());
        let tag = cut.vlan.map_or(String::new(), |vlan| format!(",dl_vlan={vlan}"));
        let packet = cut.to.is_empty().then(|| format!("{FRAME}{tag}"));
        let from = cut.from.to_owned();
        let question = Question { from, to, packet, size: cut.size, ..Question::default() };
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
        let roots = report.findings.iter().filter(|finding| finding.is_root());
        let mut roots = roots.map(|root| (&*root.rule.code, root.subject.name.as_str()));
        if cut.root.is_some_and(|wanted| !roots.any(|root| root == wanted)) {
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
