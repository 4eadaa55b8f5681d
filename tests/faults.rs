//! Faults that were put into captured hosts on purpose: each is found by the right rule on the
//! right object, as a root, and nothing else is.
#![expect(clippy::print_stdout, reason = "a test says what it skips")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "tests read their cases from files")]
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use tapline_analysis::lint;
use tapline_capture::{Input, Options};
use tapline_tests::{captures, lab};

/// A finding, by rule and object.
type Found = (String, String);

fn found(code: &str, object: &str) -> Found {
    (code.to_owned(), object.to_owned())
}

/// The roots that the rules find.
fn roots(folder: &Path) -> BTreeSet<Found> {
    let inputs = [Input::Path(folder.to_owned())];
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let report = lint::run(&topology, lint::rules::ALL, &lint::Settings::default());
    for it in &report.findings {
        let cause = it.explained_by.as_ref().map(|_| "  ").unwrap_or_default();
        println!("{cause}{} {}: {}", it.rule.code, it.subject.name, it.message);
    }
    let roots = report.findings.iter().filter(|finding| finding.is_root());
    roots.map(|root| found(&root.rule.code, &root.subject.name)).collect()
}

/// The faults that were injected in both laboratories: their number, the rule and the object. Not
/// here is F10: that no access port has a VLAN of a trunk is no fault.
const INJECTED: &[(&str, &str, &str)] = &[
    // The seed's own: a port whose device does not exist.
    ("seed", "OVS-001", "br-int/qvoe0f204ea-12"),
    ("F01", "OVS-003", "br-int/int-br-vlan"),
    ("F02", "LBR-001", "qvbc0ffee01-02"),
    ("F03", "MTU-002", "qvb263b3957-09"),
    ("F04", "L3-001", "192.168.0.1/24"),
    ("F05", "VM-002", "instance-0000002d/tap2d4a7a05-ea"),
    ("F06", "NIC-001", "enp4s0f1"),
    ("F07", "TUN-001", "br-tun/vxlan-0a0a1401"),
    ("F08", "LBR-002", "brloop-a"),
    ("F09", "L3-002", "default via 172.31.255.1 dev qr-764aecf0-56"),
    ("F12", "BOND-001", "br-vlan/ovsbond"),
    ("F13", "L3-001", "10.10.100.2/24"),
    ("F14", "OVS-002", "br-int/qvof010b8f6-df"),
];

/// What follows from how the laboratories were built, and is true.
const CONSEQUENCES: &[(&str, &str)] = &[
    // The other node was not running, and the tunnels lead there.
    ("L3-006", "10.10.10.1 dev enp4s0f0"),
];

fn injected(name: &str, more: &[(&str, &str, &str)]) {
    let roots = roots(&lab(name));
    let mut complaints = Vec::new();
    let all = || INJECTED.iter().chain(more);
    for (fault, code, object) in all() {
        if !roots.contains(&found(code, object)) {
            complaints.push(format!("{fault} is no root: {code} {object}"));
        }
    }
    for (code, object) in &roots {
        let injected = all().any(|it| it.1 == code && it.2 == object);
        let follows =
            CONSEQUENCES.iter().any(|consequence| consequence.0 == code && consequence.1 == object);
        if !injected && !follows {
            complaints.push(format!("neither injected nor a consequence: {code} {object}"));
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn faults_of_the_laboratory_are_roots() {
    injected("faults", &[]);
}

#[test]
fn faults_of_the_laboratory_with_a_kernel_datapath_are_roots() {
    injected("uml-faults", &[("F11", "BOND-001", "bond0")]);
}

#[test]
fn faults_of_the_laboratory_are_roots_in_a_sosreport() {
    injected("faults-sos-4.0", &[]);
}

/// An edit of one captured text.
struct Plant {
    /// End of the member's name.
    member: &'static str,
    from: &'static str,
    to: &'static str,
}

/// Seven faults and the root that each must be.
const PLANTED: &[(&str, &str, &[Plant])] = &[
    (
        "OVS-002",
        "br-int/tap0e778df8-ca",
        &[Plant {
            member: "ovs-vsctl_-t_5_show",
            from: "Port tap0e778df8-ca\n            tag: 3\n",
            to: "Port tap0e778df8-ca\n            tag: 4095\n",
        }],
    ),
    (
        "OVS-001",
        "br-int/sg-189f4c40-9d",
        &[Plant {
            member: "ovs-vsctl_-t_5_show",
            from: "Interface sg-189f4c40-9d\n                type: internal\n",
            to: "Interface sg-189f4c40-9d\n                type: internal\n                error: \"could not open network device sg-189f4c40-9d (No such device)\"\n",
        }],
    ),
    (
        "OVS-003",
        "br-int/patch-tun",
        &[Plant {
            member: "ovs-vsctl_-t_5_show",
            from: "options: {peer=patch-int}",
            to: "options: {peer=patch-gone}",
        }],
    ),
    (
        "NIC-001",
        "ens7",
        &[
            Plant {
                member: "ip_-d_address",
                from: "ens7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel master ovs-system state UP",
                to: "ens7: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc fq_codel master ovs-system state DOWN",
            },
            Plant {
                member: "ip_-s_-d_link",
                from: "ens7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc fq_codel master ovs-system state UP",
                to: "ens7: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc fq_codel master ovs-system state DOWN",
            },
        ],
    ),
    (
        "L3-001",
        "192.0.2.7/24",
        &[
            Plant {
                member: "ip_-d_address",
                from: "\n4: ens5: ",
                to: "\n    inet 192.0.2.7/24 brd 192.0.2.255 scope global ens4\n       valid_lft forever preferred_lft forever\n4: ens5: ",
            },
            Plant {
                member: "ip_-d_address",
                from: "\n5: ens6: ",
                to: "\n    inet 192.0.2.7/24 brd 192.0.2.255 scope global ens5\n       valid_lft forever preferred_lft forever\n5: ens6: ",
            },
        ],
    ),
    (
        "MTU-001",
        "qr-3a70b31c-3f",
        &[Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_address_show",
            from: "qr-3a70b31c-3f: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450",
            to: "qr-3a70b31c-3f: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500",
        }],
    ),
    (
        "CAP-002",
        // The host, by its name.
        "compute4",
        &[Plant {
            member: "networking/ip_netns",
            from: "fip-32981f34-497a-4fae-914a-8576055c8d0d (id: 9)\n",
            to: "qdhcp-6b1f9c55-2a0e-4f04-9d4e-0d6a3f8b7c21 (id: 11)\nfip-32981f34-497a-4fae-914a-8576055c8d0d (id: 9)\n",
        }],
    ),
];

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn planted_faults_are_roots_and_there_is_no_eighth() {
    let whole = captures().unwrap().join("hosts/hotsos-openstack");
    let healthy = roots(&whole);
    let room = tempfile::tempdir().unwrap();
    let host = room.path().join("hotsos-openstack");
    copy(&whole, &host);
    for it in PLANTED.iter().flat_map(|planted| planted.2) {
        plant(&host, it);
    }
    let planted: BTreeSet<Found> =
        PLANTED.iter().map(|planted| found(planted.0, planted.1)).collect();
    let now: BTreeSet<Found> = roots(&host).difference(&healthy).cloned().collect();
    assert_eq!(now, planted);
}

fn plant(host: &Path, plant: &Plant) {
    let path = find(host, plant.member);
    let text = fs::read_to_string(&path).unwrap();
    let changed = text.replacen(plant.from, plant.to, 1);
    assert_ne!(text, changed, "nothing to edit in {}", path.display());
    fs::write(&path, changed).unwrap();
}

const ROUTER: &str = "qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5";

/// Faults of a distributed router and of tunnels, each alone, and the root that each must be.
const ALONE: &[(&str, &str, Plant)] = &[
    (
        "NS-005",
        "fpr-984c22fd-6",
        Plant {
            member: "ip_netns_exec_fip-32981f34-497a-4fae-914a-8576055c8d0d_ip_route_show_table_all",
            from: "10.100.0.203 via 169.254.88.134 dev fpr-984c22fd-6 proto static \n",
            to: "",
        },
    ),
    (
        "NS-005",
        ROUTER,
        Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_rule_list",
            from: "71743:\tfrom 192.168.21.18 lookup 16\n",
            to: "",
        },
    ),
    (
        "NS-005",
        ROUTER,
        Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_route_show_table_all",
            from: "default via 169.254.88.135 dev rfp-984c22fd-6 table 16 proto static \n",
            to: "",
        },
    ),
    (
        "NS-005",
        "fg-c8dcce74-c4",
        Plant {
            member: "ip_netns_exec_fip-32981f34-497a-4fae-914a-8576055c8d0d_ip_address_show",
            from: "inet 10.100.0.206/24 brd 10.100.0.255 scope global fg-c8dcce74-c4",
            to: "inet 169.254.7.7/24 brd 169.254.7.255 scope link fg-c8dcce74-c4",
        },
    ),
    (
        "NS-006",
        "10.100.0.203",
        Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_iptables-save",
            from: "-A neutron-l3-agent-float-snat -s 192.168.21.18/32 -j SNAT --to-source 10.100.0.203 --random-fully\n",
            to: "",
        },
    ),
    (
        "NS-008",
        "qr-3a70b31c-3f",
        Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_address_show",
            from: "qr-3a70b31c-3f: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN",
            to: "qr-3a70b31c-3f: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state DOWN",
        },
    ),
    (
        "NS-008",
        "ha-550dc175-c0",
        Plant {
            member: "ip_netns_exec_snat-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_address_show",
            from: "ha-550dc175-c0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN",
            to: "ha-550dc175-c0: <BROADCAST,MULTICAST> mtu 1450 qdisc noqueue state DOWN",
        },
    ),
    (
        "NS-002",
        "fip-32981f34-497a-4fae-914a-8576055c8d0d",
        Plant {
            member: "ip_netns_exec_fip-32981f34-497a-4fae-914a-8576055c8d0d_ip_route_show_table_all",
            from: "default via 10.100.0.1 dev fg-c8dcce74-c4 table 2852018311 proto static \n",
            to: "",
        },
    ),
    (
        "NS-002",
        ROUTER,
        Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_route_show_table_all",
            from: "default via 192.168.21.109 dev qr-3a70b31c-3f table 3232240897 proto static \n",
            to: "",
        },
    ),
    (
        "LBR-004",
        "br-ens3",
        Plant {
            member: "ip_-d_address",
            from: "br-ens3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP",
            to: "br-ens3: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN",
        },
    ),
    (
        "OVS-004",
        "br-int/qr-3a70b31c-3f",
        Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_address_show",
            from: "34: qr-3a70b31c-3f: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default qlen 1000
    link/ether fa:16:3e:76:19:dd brd ff:ff:ff:ff:ff:ff
    inet 192.168.21.1/24 brd 192.168.21.255 scope global qr-3a70b31c-3f
       valid_lft forever preferred_lft forever
    inet6 fe80::f816:3eff:fe76:19dd/64 scope link 
       valid_lft forever preferred_lft forever
",
            to: "",
        },
    ),
    (
        "VETH-001",
        "fpr-984c22fd-6",
        Plant {
            member: "ip_netns_exec_qrouter-984c22fd-64b3-4fa1-8ddd-87090f401ce5_ip_address_show",
            from: "2: rfp-984c22fd-6@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether be:18:38:f7:b6:52 brd ff:ff:ff:ff:ff:ff link-netns fip-32981f34-497a-4fae-914a-8576055c8d0d
    inet 169.254.88.134/31 scope global rfp-984c22fd-6
       valid_lft forever preferred_lft forever
    inet6 fe80::bc18:38ff:fef7:b652/64 scope link 
       valid_lft forever preferred_lft forever
",
            to: "",
        },
    ),
    (
        "TUN-006",
        "br-tun/vxlan-0a000085",
        Plant {
            member: "ip_route_show_table_all",
            from: "default via ",
            to: "unreachable 10.0.0.133\ndefault via ",
        },
    ),
];

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn faults_of_routers_and_tunnels_are_roots() {
    let whole = captures().unwrap().join("hosts/hotsos-openstack");
    let healthy = roots(&whole);
    let room = tempfile::tempdir().unwrap();
    let host = room.path().join("hotsos-openstack");
    copy(&whole, &host);
    for (code, object, fault) in ALONE {
        let path = find(&host, fault.member);
        let before = fs::read(&path).unwrap();
        plant(&host, fault);
        let now: BTreeSet<Found> = roots(&host).difference(&healthy).cloned().collect();
        assert_eq!(now, BTreeSet::from([found(code, object)]));
        fs::write(&path, before).unwrap();
    }
}

/// Copies a folder; the copies can be written.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            copy(&path, &target);
        } else if kind.is_file() {
            fs::write(&target, fs::read(&path).unwrap()).unwrap();
        }
    }
}

/// The one file whose path ends like this.
fn find(folder: &Path, end: &str) -> PathBuf {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(&format!("/{end}"))
                || end.contains('/') && path.to_string_lossy().ends_with(end)
            {
                return path;
            }
        }
    }
    panic!("no {end}");
}
