//! What `diff` says of whole captures: a host in two forms, with traffic and restarts in between, with planted
//! edits, and the faults of the laboratory against the healthy cloud.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tapline_analysis::diff::{self, By, Change, Class, Diff, Fate, Op, Side};
use tapline_analysis::lint::{self, Report, Settings};
use tapline_capture::{Input, Options};
use tapline_core::capture::Snapshot;
use tapline_network::Network;
use tapline_tests::{Hosts, below, captures, corpus, lab};

fn read(paths: &[PathBuf]) -> Snapshot {
    let inputs: Vec<Input> = paths.iter().cloned().map(Input::Path).collect();
    tapline_formats::read(tapline_capture::open(&inputs, &Options::default()).unwrap())
}

/// Compares two snapshots and hands the result to `look`, with the findings of the new one.
fn compare<T>(old: &Snapshot, new: &Snapshot, look: impl FnOnce(&Diff, &Report) -> T) -> T {
    let settings = Settings::default();
    let (was, is) = (tapline_topology::build(old), tapline_topology::build(new));
    let before = lint::run(&was, lint::rules::ALL, &settings);
    let after = lint::run(&is, lint::rules::ALL, &settings);
    let old = Network::new(&was, None, &settings.env);
    let new = Network::new(&is, None, &settings.env);
    let sides = (Side::new(&old, &before), Side::new(&new, &after));
    look(&diff::compare(&sides.0, &sides.1, By::Identity), &after)
}

/// `~ config netdev//eth0: mtu 1500 → 1400`
fn line(change: &Change) -> String {
    let values = change
        .differences
        .iter()
        .filter(|it| it.class >= Class::Dynamic && matches!(change.op, Op::Changed | Op::Moved));
    let told = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
    let values: Vec<String> = values
        .map(|it| format!("{} {} → {}", it.name, told(&it.before), told(&it.after)))
        .collect();
    let rule = change.difference("rule").and_then(|it| it.before.clone().or(it.after.clone()));
    let values = rule.filter(|_| values.is_empty()).map_or(values.join("; "), |rule| rule);
    let head = format!("{} {} {}", change.op.sign(), change.class.as_str(), change.key.text());
    if values.is_empty() { head } else { format!("{head}: {values}") }
}

/// Changes that did not come by themselves, and what was renumbered.
fn told(diff: &Diff) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for host in &diff.hosts {
        let changes = host.changes.iter().filter(|change| change.class.is_change());
        all.extend(changes.map(line));
        let many = host.renumbered.iter();
        all.extend(many.map(|it| format!("= {} {}", it.of.len(), it.what)));
    }
    all
}

fn set(lines: &[&str]) -> BTreeSet<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

/// One host of the laboratory four times: before, after traffic alone, after its flows were set anew with
/// other cookies and local VLANs, as the agent does, and after Open vSwitch was started again.
#[test]
fn traffic_and_restarts_are_no_change() {
    let of = |name: &str| read(&[lab("restarts").join(name).join("node1.tar.xz")]);
    let (before, traffic, agent, switch) = (of("before"), of("traffic"), of("agent"), of("switch"));
    for (what, old, new, expected) in [
        ("traffic", &before, &traffic, &[][..]),
        ("the agent", &traffic, &agent, &["= 2 local VLAN"]),
        ("Open vSwitch", &agent, &switch, &["= 8 ifindex"]),
        ("both", &before, &switch, &["= 2 local VLAN", "= 8 ifindex"]),
        ("both, the other way round", &switch, &before, &["= 2 local VLAN", "= 8 ifindex"]),
    ] {
        let (changes, verdicts) = compare(old, new, |diff, _| {
            let lost = diff.verdicts.iter().filter(|it| it.is_lost() || it.is_mended());
            (told(diff), lost.count())
        });
        assert_eq!((changes, verdicts), (set(expected), 0), "{what}");
    }
}

/// The session of a host holds the same commands as its folder.
#[test]
fn a_session_and_a_folder_are_the_same() {
    let hosts = Hosts::unpack().unwrap();
    let mut tried = 0;
    for folder in hosts.folders().unwrap() {
        let session = folder.join("session.txt");
        if !session.is_file() {
            continue;
        }
        // It stands beside the folder from here on, so that neither is read with the other.
        let beside = folder.with_extension("session.txt");
        std::fs::rename(&session, &beside).unwrap();
        let (files, session) = (read(std::slice::from_ref(&folder)), read(&[beside]));
        for (old, new) in [(&files, &session), (&session, &files)] {
            let changes = compare(old, new, |diff, _| told(diff));
            assert_eq!(changes, BTreeSet::new(), "{}", folder.display());
            tried += 1;
        }
    }
    assert!(tried > 6, "{tried}");
}

/// Edits of one thing in each text that shows it: a part of the names of files, what stands there, and
/// what stands there then.
type Edit = (&'static str, &'static str, &'static str);

const EDITS: &[Edit] = &[
    (
        "ip_",
        "ens4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500",
        "ens4: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1400",
    ),
    ("ip_route", "default via 10.0.0.2 dev br-ens3", "default via 10.0.0.3 dev br-ens3"),
    (
        "ovs-vsctl_-t_5_show",
        "Port tap0e778df8-ca\n            tag: 3",
        "Port tap0e778df8-ca\n            tag: 4",
    ),
    ("sysctl_-a", "net.ipv4.conf.all.rp_filter = 2", "net.ipv4.conf.all.rp_filter = 1"),
    (
        "iptables-save",
        "-A neutron-l3-agent-snat -o qg-14f81a43-69 -j SNAT",
        "-A neutron-l3-agent-snat -s 10.9.9.0/24 -j RETURN\n-A neutron-l3-agent-snat -o qg-14f81a43-69 -j SNAT",
    ),
    ("ip_", "10.50.99.1", "10.50.99.7"),
];

/// Copies a folder with the edits.
#[expect(clippy::disallowed_methods, reason = "a test plants its edits in a copy")]
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in below(from).unwrap() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        if file.is_dir() {
            copy(&file, &to.join(name));
            continue;
        }
        let mut bytes = std::fs::read(&file).unwrap();
        if let Ok(mut text) = String::from_utf8(bytes.clone()) {
            for (_, before, after) in EDITS.iter().filter(|(of, ..)| name.contains(of)) {
                text = text.replace(before, after);
            }
            bytes = text.into_bytes();
        }
        std::fs::write(to.join(name), bytes).unwrap();
    }
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn six_planted_edits_are_six_changes() {
    let host = captures().unwrap().join("hosts/hotsos-openstack");
    let room = tempfile::tempdir().unwrap();
    let edited = room.path().join("compute4");
    copy(&host, &edited);
    let (old, new) = (read(&[host]), read(&[edited]));
    compare(&old, &new, |diff, _| {
        let expected = set(&[
            "~ config netdev//ens4: mtu 1500 → 1400",
            "~ config route/ inet main/default: by via 10.0.0.2 dev br-ens3 → via 10.0.0.3 dev br-ens3",
            "> breaking vm//instance-00000001: tag 3 → 4",
            "~ config setting//net.ipv4.conf.all.rp_filter: value 2 → 1",
            "+ config filter-rule/snat-984c22fd-64b3-4fa1-8ddd-87090f401ce5 ip nat/neutron-l3-agent-snat 5: \
             -s 10.9.9.0/24 -j RETURN",
            "~ config address//lxdbr0 10.50.99.7/24: address 10.50.99.1/24 → 10.50.99.7/24",
        ]);
        let told = told(diff);
        assert_eq!(told, expected);
        // Each has a place on both sides, but for the rule that came.
        for change in diff.hosts.iter().flat_map(|host| &host.changes) {
            let places = change.best_places();
            let both = places.iter().all(Option::is_some);
            assert!(both || change.op == Op::Added && places[1].is_some(), "{}", line(change));
        }
    });
}

/// Twenty VMs of five hundred are moved to other networks.
#[test]
fn twenty_moves_are_twenty_lines() {
    let room = tempfile::tempdir().unwrap();
    let folder = unpack(&corpus().join("lab/scale-500/node2.tar.xz"), room.path());
    let (mut was, mut is) = (room.path().join("old"), room.path().join("new"));
    (was, is) = (split(&folder, &was, 0), split(&folder, &is, 20));
    let (old, new) = (read(&[was]), read(&[is]));
    compare(&old, &new, |diff, _| {
        let changes: Vec<&Change> = diff
            .hosts
            .iter()
            .flat_map(|host| &host.changes)
            .filter(|change| change.class >= Class::Dynamic)
            .collect();
        let moved = changes.iter().filter(|change| change.op == Op::Moved).count();
        assert_eq!((changes.len(), moved), (20, 20));
        assert!(diff.hosts.iter().all(|host| host.renumbered.is_empty() && host.gaps.is_empty()));
    });
}

/// Unpacks an archive of one host, and says where its folder is.
#[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
fn unpack(archive: &Path, to: &Path) -> PathBuf {
    let file = std::fs::File::open(archive).unwrap();
    tar::Archive::new(liblzma::read::XzDecoder::new(file)).unpack(to).unwrap();
    let mut folder = to.to_owned();
    while !folder.join("ovs-vsctl_show").is_file() {
        let inner = below(&folder).unwrap();
        folder = inner.into_iter().find(|it| it.is_dir()).unwrap();
    }
    folder
}

/// A copy of what tells of ports and devices, in which the first ports of VMs have another tag.
#[expect(clippy::disallowed_methods, reason = "a test plants its edits in a copy")]
fn split(from: &Path, to: &Path, many: usize) -> PathBuf {
    std::fs::create_dir_all(to).unwrap();
    for file in below(from).unwrap() {
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let kept = ["ip_", "ovs-vsctl_show", "virsh", "brctl_show", "ovs-ofctl", "hostname"];
        if !kept.iter().any(|start| name.starts_with(start)) {
            continue;
        }
        let mut text = std::fs::read_to_string(&file).unwrap();
        if name == "ovs-vsctl_show" {
            let mut ports = 0;
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            let mut edited: Vec<String> = Vec::with_capacity(lines.len());
            let mut is_guest = false;
            for line in lines {
                if line.trim_start().starts_with("Port ") {
                    is_guest = line.contains("qvo");
                }
                let tag = line.trim_start().strip_prefix("tag: ").filter(|_| is_guest);
                match tag.filter(|_| ports < many) {
                    Some(tag) => {
                        ports += 1;
                        let other = if tag == "1" { "2" } else { "1" };
                        edited.push(line.replace(tag, other));
                    }
                    None => edited.push(line),
                }
            }
            text = edited.join("\n") + "\n";
        }
        std::fs::write(to.join(name), text).unwrap();
    }
    to.to_owned()
}

/// The guests of the cloud, by the names of their domains.
const GUESTS: &[(&str, &str)] = &[
    ("instance-00000011", "web-1"),
    ("instance-00000012", "web-2"),
    ("instance-00000013", "app-1"),
    ("instance-00000014", "db-1"),
    ("instance-00000015", "edge-1"),
    ("instance-00000016", "edge-2"),
];

/// Each fault of the OVN cloud, with the finding that names it and the change behind that.
const FAULTS: &[(&str, &str, &str)] = &[
    ("F01", "TUN-001", "~ breaking host//: external_ids:ovn-encap-ip 172.17.2.22 → 172.17.2.122"),
    (
        "F02",
        "OVN-003",
        "~ breaking host//: external_ids:ovn-bridge-mappings datacentre:br-ex → none",
    ),
    (
        "F03",
        "VM-004",
        "~ breaking ovs-port//tap03bd15bd-d4: id iface-id 03bd15bd-d41b-4351-a691-9d611a254d51 → 03bd15bd-d41b-4351-a691-9d611a254d52",
    ),
    (
        "F04",
        // The controller of the gateway ended, and took its tunnels with it.
        "OVN-008",
        "- breaking ovs-port//ovn-3728fd-0",
    ),
];

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn faults_of_the_cloud_are_named_with_what_they_break() {
    let shared = captures().unwrap().join("lab");
    let cloud = |folder: &Path| {
        let hosts = below(folder).unwrap();
        let is_host = |file: &PathBuf| {
            let name = file.file_name().unwrap().to_str().unwrap();
            name.ends_with(".tar.xz") && !name.starts_with("sosreport") && !name.contains("oracle")
        };
        read(&hosts.into_iter().filter(is_host).collect::<Vec<_>>())
    };
    let names: BTreeMap<&str, &str> = GUESTS.iter().copied().collect();
    let healthy = cloud(&shared.join("ovn-healthy"));
    for (fault, code, expected) in FAULTS {
        let folder = shared.join("ovn-faults").join(fault);
        #[expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
        let matrix = std::fs::read_to_string(folder.join("changed.tsv")).unwrap();
        // What real packets no longer reached.
        let lost: BTreeSet<(&str, &str)> = matrix
            .lines()
            .map(|line| line.split('\t').collect::<Vec<_>>())
            .filter(|row| row.get(3) == Some(&"icmp") && row.get(4) == Some(&"no"))
            .filter_map(|row| Some((*row.first()?, *row.get(1)?)))
            .collect();
        compare(&healthy, &cloud(&folder), |diff, report| {
            let named = diff.findings.iter().filter(|it| it.fate == Fate::New).find(|it| {
                let finding = it.new.and_then(|at| report.findings.get(at));
                finding.is_some_and(|finding| finding.rule.code == *code)
            });
            let (host, at) = named.and_then(|it| it.because).unwrap();
            assert_eq!(line(&diff.hosts[host].changes[at]), *expected, "{fault}");
            for verdict in diff.verdicts.iter().filter(|verdict| verdict.is_lost()) {
                let from = names.get(verdict.guest.as_str()).copied();
                let to = verdict.to.strip_prefix("peer ").and_then(|to| names.get(to).copied());
                let told = format!("{fault}: {} to {}", verdict.guest, verdict.to);
                if let (Some(from), Some(to)) = (from, to) {
                    assert!(lost.contains(&(from, to)), "{told}");
                }
                assert!(verdict.because.is_some(), "{told}: no change is behind it");
            }
            // A fault mends nothing.
            assert!(!diff.verdicts.iter().any(diff::VerdictChange::is_mended), "{fault}");
        });
    }
}
