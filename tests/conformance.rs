//! Whole captures, and outputs by command: what readers, topology and rules must make of them.
#![expect(clippy::panic, reason = "a test may panic")]
use std::path::Path;

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_tests::conformance::{KINDS, cases, tally};
use tapline_tests::{below, captures, corpus, lab};

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn every_captured_output_keeps_the_promise_of_its_name() {
    let cases = cases(&captures().unwrap().join("by-command")).unwrap();
    let mut complaints = Vec::new();
    for case in &cases {
        if let Some(why) = case.complaint() {
            complaints.push(format!("{}: {why}", case.path.display()));
        }
    }
    for (kind, _) in KINDS {
        let sum = tally(cases.iter().filter(|case| case.kind == *kind));
        println!(
            "{kind}: {} files, {} lines, {} unread",
            sum.files, sum.lines.total, sum.lines.unread
        );
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Findings of one input: (severity above info?, code, object), sorted.
fn faults(path: &Path) -> Vec<(bool, String, String)> {
    let captured = tapline_capture::open(&[Input::Path(path.to_owned())], &Options::default());
    let captured = captured.unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let mut all: Vec<_> = report
        .findings
        .iter()
        .map(|finding| {
            let bad = finding.severity > lint::Severity::Info;
            (bad, finding.rule.code.to_string(), finding.subject.name.clone())
        })
        .collect();
    all.sort();
    all
}

/// The hosts of the lab are all made from one seed, which has this one dead port.
const DEAD_PORT: [(&str, &str); 2] =
    [("OVS-001", "br-int/qvoe0f204ea-12"), ("OVS-002", "br-int/qvoe0f204ea-12")];

/// A machine without libvirt, asked for its VMs all the same.
const NO_LIBVIRT: [(&str, &str); 1] = [("CAP-001", "virsh list --all")];

/// Nothing but what is known is found above `info`.
fn silent(capture: &Path, known: &[(&str, &str)]) {
    let left: Vec<_> = faults(capture)
        .into_iter()
        .filter(|(bad, code, object)| *bad && !known.contains(&(code.as_str(), object.as_str())))
        .collect();
    assert!(left.is_empty(), "{}: {left:?}", capture.display());
}

#[test]
fn healthy_nodes_of_the_laboratory_are_silent() {
    for name in ["two-hosts", "uml-two-hosts"] {
        silent(&lab(name), &DEAD_PORT);
    }
    silent(&corpus().join("sosreports/two-hosts"), &DEAD_PORT);
}

#[test]
fn healthy_clouds_of_ovn_are_silent() {
    silent(&lab("ovn-healthy"), &NO_LIBVIRT);
    silent(&lab("ovnk-healthy"), &NO_LIBVIRT);
    silent(&lab("ovn-healthy-sos-4.12"), &[]);
}

#[test]
fn a_healthy_node_of_500_vms_is_silent() {
    silent(&lab("scale-500"), &DEAD_PORT);
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn healthy_hosts_of_others_are_silent() {
    for host in below(&captures().unwrap().join("hosts")).unwrap() {
        silent(&host, &[]);
    }
}

#[test]
fn every_version_of_sos_shows_the_same_faults() {
    let reports =
        [lab("seed-sos-3.9.1"), corpus().join("sosreports/node2.tar.xz"), lab("seed-sos-4.12")];
    for report in reports {
        let bad: Vec<_> = faults(&report).into_iter().filter(|(bad, ..)| *bad).collect();
        let expected = DEAD_PORT.map(|(code, object)| (true, code.to_owned(), object.to_owned()));
        assert_eq!(bad, expected, "{}", report.display());
    }
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn the_walkthrough_shows_its_dead_port() {
    let session = captures().unwrap().join("sessions/pub-node2-compute-walkthrough.txt");
    let found = faults(&session);
    for (code, object) in DEAD_PORT {
        assert!(found.iter().any(|found| found.1 == code && found.2 == object), "{code}");
    }
}
