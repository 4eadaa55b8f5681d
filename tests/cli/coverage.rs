//! `tapline coverage`.
use super::{Folder, SESSION, fields, run};

#[test]
fn text_tells_what_is_complete_and_what_would_tell_the_rest() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["coverage", &folder.join("session.txt")]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("lab7 from "), "{}", ran.out);
    assert!(ran.out.contains("complete     devices, "), "{}", ran.out);
    assert!(ran.out.contains("to decide, run: virsh list --all"), "{}", ran.out);
}

#[test]
fn a_failed_capture_keeps_its_reason() {
    let folder = Folder::new(&[
        ("ip_-d_address", "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n"),
        ("brctl_show", "bash: brctl: command not found\n"),
    ]);
    let ran = run(["coverage", "--format", "json", &folder.join("")]);
    let document = ran.json();
    assert_eq!(document["schema"], "tapline.coverage/1");
    let texts = document["hosts"][0]["texts"].as_array().expect("an array");
    let failed = texts.iter().find(|text| text["command"] == "brctl show").expect("the text");
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["reason"], "bash: brctl: command not found");
    for field in ["host", "inputs", "namespaces", "undecided", "texts"] {
        assert!(fields(&document["hosts"][0]).contains(&field), "{field}");
    }
}

/// `coverage` says of each text how much it shows, and why not all; `records` and `lint` say the same
/// of those that do not show all.
#[test]
fn each_text_is_complete_partial_or_failed_for_a_reason() {
    let show = format!("# ovs-vsctl show | grep -A1 Port\n{}", "        Port tap0\n");
    let folder = Folder::new(&[
        ("hostname", "lab9\n"),
        ("ip_-d_address", LINKS),
        ("brctl_show", "bash: brctl: command not found\n"),
        ("ovs.txt", &show),
        ("ip_route", "default via 192.0.2.1 dev br-int \n192.0.2.0/24 dev br-int proto kern\n"),
        ("ip_rule_show", "0:\tfrom all lookup local\nhello, this is no rule\n"),
        ("virsh_list", " Id   Name   State\n--------------------\n\n"),
    ]);
    let wanted = [
        ("hostname", "complete", ""),
        ("ip -d address", "complete", ""),
        ("brctl show", "failed", "bash: brctl: command not found"),
        ("ovs-vsctl show", "partial", "filtered by `grep -A1 Port`"),
        ("ip route", "partial", "the last line breaks off"),
        ("ip rule show", "partial", "lines not understood: 1"),
    ];
    let coverage = run(["coverage", "--format", "json", &folder.join("")]).json();
    let texts = coverage["hosts"][0]["texts"].as_array().expect("an array");
    for (command, state, reason) in wanted {
        let text = texts.iter().find(|text| text["command"] == command).expect(command);
        assert_eq!(text["state"], state, "{text}");
        assert_eq!(text["reason"].as_str().unwrap_or_default(), reason, "{text}");
    }
    let parts: Vec<_> = texts.iter().filter(|text| text["state"] != "complete").collect();
    assert!(parts.iter().all(|text| !text["reason"].as_str().unwrap_or_default().is_empty()));
    let told = |text: &serde_json::Value| {
        ["member", "line", "command", "netns", "state", "reason"].map(|key| text[key].clone())
    };
    let mut of_coverage: Vec<_> = parts.into_iter().map(told).collect();
    of_coverage.sort_by_key(|it| format!("{it:?}"));
    for command in ["records", "lint"] {
        let json = run([command, "--format", "json", &folder.join("")]).json();
        let incomplete = json["incomplete"].as_array().expect("an array");
        let mut of_command: Vec<_> = incomplete.iter().map(told).collect();
        of_command.sort_by_key(|it| format!("{it:?}"));
        assert_eq!(of_command, of_coverage, "{command}");
    }
    let text = run(["coverage", &folder.join("")]).out;
    for (_, state, reason) in wanted.into_iter().filter(|(_, state, _)| *state != "complete") {
        let section = text.split(&format!("  {state} captures\n")).nth(1).expect(&text);
        assert!(section.contains(reason), "{reason}\n{text}");
    }
}

const OVS: &str = "\
0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d
    Bridge br-int
        Port br-int
            Interface br-int
                type: internal
        Port tap0
            Interface tap0
                type: internal
    ovs_version: \"2.17.0\"
";
const LINKS: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
2: br-int: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default qlen 1000
    link/ether 52:54:00:aa:bb:02 brd ff:ff:ff:ff:ff:ff promiscuity 1
    openvswitch numtxqueues 1 numrxqueues 1
";
const TAP: &str = "\
2: tap0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN group default
    link/ether 52:54:00:aa:bb:03 brd ff:ff:ff:ff:ff:ff promiscuity 1
    openvswitch numtxqueues 1 numrxqueues 1
";

#[test]
fn what_it_asks_for_decides_what_it_says() {
    let folder = Folder::new(&[
        ("lab9/hostname", "lab9\n"),
        ("lab9/ovs-vsctl_show", OVS),
        ("lab9/ip_-d_address", LINKS),
        ("lab9/ip_netns", "blue\n"),
        ("lab9-more/hostname", "lab9\n"),
        ("lab9-more/ip_netns_exec_blue_ip_-d_address", TAP),
    ]);
    let lint = run(["lint", &folder.join("lab9"), "--select", "OVS-004"]);
    let last = lint.out.lines().last().unwrap_or_default();
    let wanted = "could not decide 1 question of 1 rule; ip netns exec blue ip -d address would decide: tapline coverage ";
    assert!(last.starts_with(wanted), "{}", lint.out);
    let coverage = run(["coverage", &folder.join("lab9")]);
    let line = "ip netns exec blue ip -d address >ip_netns_exec_blue_ip_-d_address 2>&1\n";
    assert!(coverage.out.contains(line), "{}", coverage.out);
    let json = run(["coverage", "--format", "json", &folder.join("lab9")]).json();
    let first = &json["hosts"][0]["capture"][0];
    assert_eq!(fields(first), ["commands", "shell", "questions", "rules"]);
    assert_eq!(first["commands"][0], "ip netns exec blue ip -d address");
    let both = [folder.join("lab9"), folder.join("lab9-more")];
    let after = run(["lint", "--select", "OVS-004", &both[0], &both[1]]);
    assert!(!after.out.contains("could not tell"), "{}", after.out);
    assert!(!after.out.contains("capture 1 more"), "{}", after.out);
}
