//! Captures that are not part of the repository, where they are at hand: what their readers,
//! topology and rules must make of them.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
use std::path::{Path, PathBuf};

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_tests::captures;
use tapline_tests::conformance::{KINDS, cases, tally};

#[test]
fn every_captured_output_keeps_the_promise_of_its_name() {
    let Some(folder) = captures() else { return };
    let cases = cases(&folder.join("by-command")).unwrap();
    let mut complaints = Vec::new();
    for case in &cases {
        if let Some(why) = case.complaint() {
            complaints.push(format!("{}: {why}", case.path.display()));
        }
    }
    for (kind, _) in KINDS {
        let sum = tally(cases.iter().filter(|it| it.kind == *kind));
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
    let report = lint::run(&topology, lint::rules::ALL);
    let mut all: Vec<_> = report
        .findings
        .iter()
        .map(|it| {
            let bad = it.severity > lint::Severity::Info;
            (bad, it.rule.code.to_owned(), it.object.name.clone())
        })
        .collect();
    all.sort();
    all
}

/// The folders and files directly under `folder`, sorted.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries =
        std::fs::read_dir(folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut all: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    all.sort();
    all
}

#[test]
fn healthy_hosts_are_silent() {
    let Some(folder) = captures() else { return };
    let lab = folder.join("lab");
    let mut healthy = below(&folder.join("hosts"));
    healthy.extend(["two-hosts", "uml-two-hosts", "sos/two-hosts-sos-4.0"].map(|it| lab.join(it)));
    healthy.push(lab.join("scale-500.tar.xz"));
    for host in healthy {
        let bad: Vec<_> = faults(&host).into_iter().filter(|(bad, ..)| *bad).collect();
        let known = [
            (true, "OVS-001".to_owned(), "br-int/qvoe0f204ea-12".to_owned()),
            (true, "OVS-002".to_owned(), "br-int/qvoe0f204ea-12".to_owned()),
        ];
        // The hosts of the lab are all made from one seed, which has this one dead port.
        let left: Vec<_> = bad.iter().filter(|it| !known.contains(it)).collect();
        assert!(left.is_empty(), "{}: {left:?}", host.display());
    }
}

#[test]
fn every_version_of_sos_tells_the_same_faults() {
    let Some(folder) = captures() else { return };
    let seed = ["seed-sos-3.9.1", "seed-sos-4.0", "seed-sos-4.12"];
    let told: Vec<_> = seed.iter().map(|it| faults(&folder.join("lab/sos").join(it))).collect();
    let expected =
        ["OVS-001", "OVS-002"].map(|it| (true, it.to_owned(), "br-int/qvoe0f204ea-12".to_owned()));
    for (version, told) in seed.iter().zip(told) {
        let bad: Vec<_> = told.into_iter().filter(|(bad, ..)| *bad).collect();
        assert_eq!(bad, expected, "{version}");
    }
}

#[test]
fn the_walkthrough_tells_its_dead_port() {
    let Some(folder) = captures() else { return };
    let told = faults(&folder.join("sessions/pub-node2-compute-walkthrough.txt"));
    for code in ["OVS-001", "OVS-002"] {
        let told =
            told.iter().any(|(_, it, object)| it == code && object == "br-int/qvoe0f204ea-12");
        assert!(told, "{code}");
    }
}
