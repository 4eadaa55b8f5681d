//! Folders as people make them: odd names, copies, files that are no text, and texts of several
//! machines. What was not used is named.
#![expect(clippy::disallowed_methods, reason = "tests write their inputs")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use std::path::Path;

use tapline_capture::{Input, Options, open};
use tapline_core::capture::Captured;

const LO: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    \
                  link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    \
                  inet 127.0.0.1/8 scope host lo\n";

/// A list of `lo` and one NIC.
fn devices(nic: &str, mac: &str) -> String {
    format!(
        "{LO}2: {nic}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP qlen 1000\n    \
         link/ether {mac} brd ff:ff:ff:ff:ff:ff\n"
    )
}

fn captured(files: &[(&str, &[u8])]) -> Captured {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("hand");
    for (name, bytes) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap_or(Path::new(""))).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    open(&[Input::Path(root)], &Options::default()).unwrap()
}

/// What was read: host, member and command.
fn read(captured: &Captured) -> Vec<String> {
    let shown = captured.sources.iter().map(|source| {
        let host = captured.hosts.get(source.host.0 as usize).map_or("", |host| &host.name);
        format!("{host}: {} = {}", source.member, source.command)
    });
    shown.collect()
}

/// What was left out, and what it is.
fn left_out(captured: &Captured) -> Vec<String> {
    let mut shown: Vec<_> =
        captured.left_out.iter().map(|left| format!("{}: {}", left.member, left.what)).collect();
    shown.sort();
    shown
}

#[test]
fn an_odd_folder_is_read_and_the_rest_of_it_is_named() {
    let list = devices("eth0", "52:54:00:00:00:01");
    let table = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";
    let noise = [0x93, 0xfe, 0x00, 0x81, 0xc0, 0x07].repeat(200);
    let captured = captured(&[
        ("ip.txt", list.as_bytes()),
        ("brctl output (final).txt", table.as_bytes()),
        ("00-first/01-ip_route.log", b"default via 192.0.2.1 dev eth0\n"),
        ("notes.md", b"We changed the switch last week.\n"),
        ("photo of the rack.png", b"\x89PNG\r\n\x1a\n"),
        ("screen", b"\x89PNG\r\n\x1a\n"),
        ("dump.pcap", b"\xd4\xc3\xb2\xa1\x02\x00"),
        ("old/report.7z", b"7z\xbc\xaf\x27\x1c\x00\x04"),
        ("core", &noise),
        ("ovs-vsctl_show", &noise),
        ("README", b"What is here.\n"),
    ]);
    assert_eq!(
        read(&captured),
        [
            "hand: 00-first/01-ip_route.log = ip route",
            "hand: brctl output (final).txt = brctl show",
            "hand: ip.txt = ip address",
        ]
    );
    assert_eq!(
        left_out(&captured),
        [
            "core: a binary file",
            "dump.pcap: text",
            "notes.md: text",
            "old/report.7z: a 7z archive (unpack it with `7z x` and give the folder)",
            "ovs-vsctl_show: a binary file",
            "photo of the rack.png: text",
            "screen: a picture",
        ]
    );
}

#[test]
fn numbered_copies_are_machines_where_they_have_no_nic_in_common() {
    let one = devices("eth0", "52:54:00:00:00:01");
    let two = devices("eth1", "52:54:00:00:00:02");
    let copies = |second: &str| {
        captured(&[("ip_a (1).txt", one.as_bytes()), ("ip_a (2).txt", second.as_bytes())])
    };
    assert_eq!(read(&copies(&two)), ["hand-1: ip_a (1).txt = ip a", "hand-2: ip_a (2).txt = ip a"]);
    assert_eq!(read(&copies(&one)), ["hand: ip_a (1).txt = ip a", "hand: ip_a (2).txt = ip a"]);
}

#[test]
fn a_post_without_names_may_be_of_two_machines() {
    let one = devices("eth0", "52:54:00:00:00:01");
    let two = devices("eth1", "52:54:00:00:00:02");
    let post = format!("It works here\n```\n{one}```\nand not here\n```\n{two}```\n");
    let hosts = |text: &str| -> Vec<String> {
        let captured = captured(&[("post.md", text.as_bytes())]);
        captured.hosts.iter().map(|host| host.name.clone()).collect()
    };
    assert_eq!(hosts(&post), ["post", "post-2"]);
    let again = format!("Before\n```\n{one}```\nand after\n```\n{one}```\n");
    assert_eq!(hosts(&again), ["post"]);
}

#[test]
fn bundles_of_other_collectors_are_read() {
    let first = devices("eth0", "52:54:00:00:00:01");
    let second = devices("eth0", "52:54:00:00:00:02");
    let page = |command: &str, text: &str| format!("# {command}\n\n```\n{text}```\n").into_bytes();
    // The dump of Cilium: a folder for each agent, a page of Markdown for each command.
    let of = |pod: &str, file: &str| format!("cilium-sysdump-1/cilium-bugtool-{pod}-1/cmd/{file}");
    let route = page("ip -4 r", "default via 192.0.2.1 dev eth0\n");
    let failed = page("ss -t -p", "bash: ss: command not found\n");
    let cilium = captured(&[
        (&of("a", "hostname.md"), &page("hostname", "node-a\n")),
        (&of("a", "ip-a.md"), &page("ip a", &first)),
        (&of("a", "ip--4-r.md"), &route),
        (&of("a", "ss--t--p.md"), &failed),
        (&of("b", "hostname.md"), &page("hostname", "node-b\n")),
        (&of("b", "ip-a.md"), &page("ip a", &second)),
        (&of("b", "ip--4-r.md"), &route),
        ("cilium-sysdump-1/k8s-nodes.yaml", b"apiVersion: v1\n"),
    ]);
    let read_of = |captured: &Captured| -> Vec<String> {
        let mut shown: Vec<String> = read(captured)
            .iter()
            .map(|line| {
                let (host, rest) = line.split_once(": ").unwrap_or_default();
                format!("{host}: {}", rest.split_once(" = ").unwrap_or_default().1)
            })
            .collect();
        shown.sort();
        shown
    };
    assert_eq!(
        read_of(&cilium),
        [
            "node-a: hostname",
            "node-a: ip -4 r",
            "node-a: ip a",
            // It failed, which is said.
            "node-a: ss -t -p",
            "node-b: hostname",
            "node-b: ip -4 r",
            "node-b: ip a",
        ]
    );
    // Those of Calico, and of shells: names of any sort.
    let filter =
        "# Generated by iptables-save v1.8.7 on Thu\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";
    let calico = captured(&[
        ("diagnostics/hostname", b"node-c\n"),
        ("diagnostics/ip_addr", first.as_bytes()),
        ("diagnostics/ip_route", b"default via 192.0.2.1 dev eth0\n"),
        ("diagnostics/ipv4_tables", filter.as_bytes()),
        ("diagnostics/ipset_list", b"Name: cali40masq\nType: hash:net\n"),
        ("diagnostics/felix_version", b"some prose about it\n"),
    ]);
    let read = read_of(&calico);
    assert!(read.iter().all(|line| line.starts_with("node-c: ")), "{read:?}");
    for command in ["ip addr", "ip route", "ipset list", "iptables-save"] {
        assert!(read.contains(&format!("node-c: {command}")), "{read:?}");
    }
    assert_eq!(left_out(&calico), ["diagnostics/felix_version: text"]);
    // An unpacked report without its manifest, as scripts like `xsos` are fed.
    let report = captured(&[
        ("sos_commands/networking/ip_addr", first.as_bytes()),
        ("sos_commands/networking/ip_route", b"default via 192.0.2.1 dev eth0\n"),
        ("etc/hostname", b"node-d\n"),
        ("proc/net/dev", b"Inter-|   Receive\n"),
    ]);
    let read = read_of(&report);
    assert!(read.contains(&"node-d: ip addr".to_owned()), "{read:?}");
    assert!(read.contains(&"node-d: ip route".to_owned()), "{read:?}");
}

#[test]
fn texts_of_two_moments_are_two_hosts() {
    let up = devices("eth0", "52:54:00:00:00:01");
    let down = up.replace("eth0: <BROADCAST,MULTICAST,UP,LOWER_UP>", "eth0: <BROADCAST,MULTICAST>");
    let at = |first: &str, second: &str, text: &str| {
        captured(&[(first, up.as_bytes()), (second, text.as_bytes())])
    };
    for (first, second, hosts) in [
        ("ip_a_before.txt", "ip_a_after.txt", ["hand-after", "hand-before"]),
        ("ip_a_2026-11-28.txt", "ip_a_2026-11-29.txt", ["hand-2026-11-28", "hand-2026-11-29"]),
        ("ip_a.txt", "ip_a.txt.bak", ["hand", "hand-bak"]),
    ] {
        let mut names: Vec<String> =
            at(first, second, &down).hosts.into_iter().map(|host| host.name).collect();
        names.sort();
        assert_eq!(names, hosts);
        // A copy that says the same is one more text of the host.
        assert_eq!(at(first, second, &up).hosts.len(), 1, "{first}");
    }
}

#[test]
fn lists_without_a_nic_in_common_are_of_two_machines_and_the_rest_of_none() {
    let one = devices("eth0", "52:54:00:00:00:01");
    let two = devices("eth1", "52:54:00:00:00:02");
    let table = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n";
    let captured = captured(&[
        ("ip_a.txt", one.as_bytes()),
        ("devices.txt", two.as_bytes()),
        ("brctl_show.txt", table.as_bytes()),
    ]);
    let mut shown = read(&captured);
    shown.sort();
    assert_eq!(
        shown,
        [
            "hand-devices: devices.txt = ip address",
            "hand-ip_a: ip_a.txt = ip a",
            "hand: brctl_show.txt = brctl show",
        ]
    );
    let told: Vec<_> = captured.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        told,
        [
            "devices.txt and ip_a.txt are of two machines: they have neither a NIC nor a database in common; \
             the other texts may be of any of them"
        ]
    );
}

/// The texts of a folder with two machines, by host.
fn of_two(files: &[&str]) -> Vec<String> {
    let one = devices("eth0", "52:54:00:00:00:01");
    let two = devices("eth1", "52:54:00:00:00:02");
    let texts: Vec<(&str, &[u8])> = files
        .iter()
        .map(|name| {
            let of_second = ["2", "guest", "pods", "db"].iter().any(|word| name.contains(word));
            let list = if of_second { two.as_bytes() } else { one.as_bytes() };
            let route = b"default via 192.0.2.1 dev eth0\n".as_slice();
            let text = if name.contains("ip_a") { list } else { route };
            (*name, text)
        })
        .collect();
    let mut hosts: Vec<String> = read(&captured(&texts))
        .iter()
        .filter_map(|line| Some(line.rsplit_once(" = ")?.0.to_owned()))
        .collect();
    hosts.sort();
    hosts
}

#[test]
fn what_names_a_machine_names_its_other_texts() {
    for (files, wanted) in [
        (
            &["ip_a_node1.txt", "ip_a_node2.txt", "ip_r_node1.txt", "ip_r_node2.txt"][..],
            &[
                "node1: ip_a_node1.txt",
                "node1: ip_r_node1.txt",
                "node2: ip_a_node2.txt",
                "node2: ip_r_node2.txt",
            ][..],
        ),
        (
            &["host_ip_a.txt", "guest_ip_a.txt", "host_ip_r.txt"][..],
            &["hand-guest: guest_ip_a.txt", "hand-host: host_ip_a.txt", "hand-host: host_ip_r.txt"]
                [..],
        ),
        (
            &["wrk1/ip_a.txt", "wrk1/ip_r.txt", "wrk1/pods/web/ip_a.txt"][..],
            &["web: wrk1/pods/web/ip_a.txt", "wrk1: wrk1/ip_a.txt", "wrk1: wrk1/ip_r.txt"][..],
        ),
        (
            &["ip_a.txt", "ip_r.txt", "netns/qrouter-2/ip_a.txt"][..],
            &["hand: ip_a.txt", "hand: ip_r.txt", "hand: netns/qrouter-2/ip_a.txt"][..],
        ),
    ] {
        assert_eq!(of_two(files), wanted, "{files:?}");
    }
}

#[test]
fn folders_that_say_what_is_in_them_are_no_hosts() {
    let one = devices("eth0", "52:54:00:00:00:01");
    let two = devices("eth1", "52:54:00:00:00:02");
    let hosts = |files: &[(&str, &[u8])]| -> Vec<String> {
        captured(files).hosts.into_iter().map(|host| host.name).collect()
    };
    let topics: [(&str, &[u8]); 3] = [
        ("case/00-host/hostname", b"kvm7\n"),
        ("case/10-network/ip_a.txt", one.as_bytes()),
        ("case/20-bridges/brctl_show.txt", b"bridge name\tbridge id\t\tSTP enabled\tinterfaces\n"),
    ];
    assert_eq!(hosts(&topics), ["kvm7"]);
    let nodes: [(&str, &[u8]); 2] = [
        ("dump/bugtool-abc/cmd/ip-a.md", one.as_bytes()),
        ("dump/bugtool-def/cmd/ip-a.md", two.as_bytes()),
    ];
    assert_eq!(hosts(&nodes), ["bugtool-abc", "bugtool-def"]);
    let machines: [(&str, &[u8]); 2] =
        [("juju/0/ip_a.txt", one.as_bytes()), ("juju/1/ip_a.txt", two.as_bytes())];
    assert_eq!(hosts(&machines), ["juju-0", "juju-1"]);
}

#[test]
fn sessions_of_one_folder_that_name_no_host_are_of_one() {
    let list = devices("eth0", "52:54:00:00:00:01");
    let hosts = |files: &[(&str, &[u8])]| -> Vec<String> {
        captured(files).hosts.into_iter().map(|host| host.name).collect()
    };
    let first = format!("$ ip a\n{list}$ \n");
    let routes = "$ ip route\ndefault via 192.0.2.1 dev eth0 \n$ \n";
    assert_eq!(hosts(&[("a.txt", first.as_bytes()), ("b.txt", routes.as_bytes())]), ["hand"]);
    assert_eq!(hosts(&[("a.txt", first.as_bytes()), ("b.txt", first.as_bytes())]), ["a", "b"]);
    let page = format!("<pre>{}</pre>\n", list.replace('<', "&lt;"));
    assert_eq!(
        hosts(&[("ip_a.html", page.as_bytes()), ("r.txt", b"default via 192.0.2.1 dev eth0\n")]),
        ["hand"]
    );
}
