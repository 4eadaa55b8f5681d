//! Faults in clouds of OVN, from the reports of all hosts and from every part of them: what one report
//! proves is found whatever other reports are beside it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_tests::{below, captures};

/// A fault: the rule that is the first root, and the hosts any of whose reports shows it, with the rules that do.
struct Fault {
    folder: &'static str,
    first: &'static str,
    alone: &'static [(&'static str, &'static str)],
}

const FAULTS: &[Fault] = &[
    Fault { folder: "F01", first: "TUN-001", alone: &[("cmp1", "TUN-001")] },
    Fault { folder: "F02", first: "OVN-003", alone: &[("gw0", "OVN-003")] },
    Fault { folder: "F03", first: "VM-004", alone: &[("cmp0", "VM-004")] },
    Fault { folder: "F04", first: "OVN-008", alone: &[("gw0", "OVN-008"), ("ctl0", "OVN-005")] },
    Fault { folder: "F05", first: "OVN-006", alone: &[("ctl0", "OVN-006")] },
    Fault { folder: "F06", first: "OVN-007", alone: &[("m0", "OVN-007")] },
];

/// The rules that find something, the roots among them first.
fn found(reports: &[&PathBuf]) -> (Vec<String>, BTreeSet<String>) {
    let inputs: Vec<Input> = reports.iter().map(|path| Input::Path((*path).clone())).collect();
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    let code = |finding: &lint::Finding| finding.rule.code.to_string();
    let roots = report.findings.iter().filter(|finding| finding.is_root()).map(code).collect();
    (roots, report.findings.iter().map(code).collect())
}

/// The host that a report is of: `sosreport-cmp0-2026-11-28-ovnlab.tar.xz`.
fn host_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.split('-').nth(1).unwrap_or_default().to_owned()
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn more_reports_never_hide_what_one_proves() {
    let faults = captures().unwrap().join("lab/ovn-faults");
    let mut complaints = Vec::new();
    for fault in FAULTS {
        let all = below(&faults.join(fault.folder)).unwrap();
        let reports: Vec<PathBuf> =
            all.into_iter().filter(|path| path.to_string_lossy().contains("/sosreport-")).collect();
        for part in 1..1_usize << reports.len() {
            let of_part = reports.iter().enumerate().filter(|(at, _)| part & 1 << at != 0);
            let some: Vec<&PathBuf> = of_part.map(|(_, path)| path).collect();
            let hosts: Vec<String> = some.iter().map(|path| host_of(path)).collect();
            let (roots, found) = found(&some);
            for (host, code) in fault.alone {
                if hosts.iter().any(|own| own == host) && !found.contains(*code) {
                    complaints.push(format!("{} {hosts:?}: no {code}", fault.folder));
                }
            }
            if some.len() == reports.len() && roots.first().map(String::as_str) != Some(fault.first)
            {
                complaints.push(format!("{}: {roots:?}", fault.folder));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
