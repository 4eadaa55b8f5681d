//! Findings that stand for most objects of a host or a network: each fires, does not, cannot tell.
use serde_json::Value;

use super::{Folder, run};

/// The report of several sessions, a host each.
fn report(sessions: &[String], config: &str) -> Value {
    let names: Vec<String> = (0..sessions.len()).map(|at| format!("in/{at}.txt")).collect();
    let mut files: Vec<(&str, &str)> =
        names.iter().map(String::as_str).zip(sessions.iter().map(String::as_str)).collect();
    files.push(("tapline.yaml", config));
    let folder = Folder::new(&files);
    let inputs: Vec<String> = names.iter().map(|name| folder.join(name)).collect();
    let args = ["lint", "--format", "json", "--fail-on", "never"].map(str::to_owned);
    run(args.into_iter().chain(inputs)).json()
}

fn findings(report: &Value) -> Vec<Value> {
    report["findings"].as_array().cloned().unwrap_or_default()
}

/// The finding whose message has these words.
fn said<'r>(all: &'r [Value], words: &str) -> Option<&'r Value> {
    all.iter().find(|it| it["message"].as_str().is_some_and(|word| word.contains(words)))
}

/// The codes of what follows from a finding.
fn explained(all: &[Value], root: &Value) -> Vec<String> {
    let of = |it: &&Value| it["explained_by"] == root["fingerprint"];
    let mut codes: Vec<String> =
        all.iter().filter(of).filter_map(|it| it["code"].as_str().map(str::to_owned)).collect();
    codes.sort();
    codes
}

fn cannot_tell(report: &Value, code: &str) -> bool {
    report["cannot_tell"].as_array().is_some_and(|it| it.iter().any(|it| it["code"] == code))
}

/// A host whose bridges have a controller each, and three ports with these tags.
fn agent(connected: bool, tags: [u16; 3]) -> String {
    let mut text = String::from(
        "[root@cmp1 ~]# ovs-vsctl show\n0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d\n    Bridge br-int\n        \
         Controller \"tcp:127.0.0.1:6633\"\n",
    );
    let state = if connected { "            is_connected: true\n" } else { "" };
    text.push_str(state);
    text.push_str("        fail_mode: secure\n");
    for (at, tag) in tags.iter().enumerate() {
        text.push_str(&format!(
            "        Port qvo0123456{at}-01\n            tag: {tag}\n            Interface qvo0123456{at}-01\n"
        ));
    }
    text.push_str(
        "        Port int-br-ex\n            Interface int-br-ex\n                type: patch\n                \
         options: {peer=nonexistent-peer}\n        Port patch-tun\n            Interface patch-tun\n                \
         type: patch\n                options: {peer=patch-int}\n    Bridge br-tun\n        \
         Controller \"tcp:127.0.0.1:6633\"\n",
    );
    text.push_str(state);
    text.push_str(
        "        fail_mode: secure\n        Port patch-int\n            Interface patch-int\n                \
         type: patch\n                options: {peer=patch-tun}\n    ovs_version: \"2.17.9\"\n[root@cmp1 ~]#\n",
    );
    text
}

const AGENT: &str = "the openvswitch agent is not working on cmp1";

#[test]
fn an_agent_that_is_away_explains_what_it_left() {
    let all = findings(&report(&[agent(false, [4095; 3])], ""));
    let root = said(&all, AGENT).expect("the agent");
    assert_eq!(root["code"], "OVS-008");
    assert!(root["explained_by"].is_null());
    assert_eq!(explained(&all, root), ["OVS-002", "OVS-003"]);
    // The ports alone say it too.
    let all = findings(&report(&[agent(true, [4095; 3])], ""));
    let root = said(&all, AGENT).expect("the agent");
    assert_eq!(root["code"], "OVS-002");
    assert_eq!(explained(&all, root), ["OVS-003"]);
}

#[test]
fn an_agent_that_works_is_not_blamed() {
    let all = findings(&report(&[agent(true, [4095, 1, 2])], ""));
    assert!(said(&all, AGENT).is_none() && said(&all, "dead VLAN").is_some(), "{all:#?}");
    // One bridge that is connected is enough.
    let (first, rest) = agent(false, [1, 2, 3])
        .split_once("Bridge br-tun")
        .map_or_else(Default::default, |(a, b)| {
            (a.to_owned(), b.replace("6633\"\n", "6633\"\n            is_connected: true\n"))
        });
    let all = findings(&report(&[format!("{first}Bridge br-tun{rest}")], ""));
    assert!(said(&all, AGENT).is_none(), "{all:#?}");
    assert!(all.iter().any(|it| it["code"] == "OVS-008"));
}

#[test]
fn of_an_agent_nothing_is_told_without_the_bridges() {
    let failed = "[root@cmp1 ~]# ovs-vsctl show\novs-vsctl: unix:/var/run/openvswitch/db.sock: \
        database connection failed (Permission denied)\n[root@cmp1 ~]#\n";
    let report = report(&[failed.to_owned()], "");
    assert!(said(&findings(&report), AGENT).is_none());
    assert!(cannot_tell(&report, "OVS-002") && cannot_tell(&report, "OVS-008"));
}

/// A host that tunnels from 10.0.0.N to these.
fn tunnels(n: u8, to: &[u8], link: &str) -> String {
    let (flags, state) = match link {
        "up" => ("BROADCAST,MULTICAST,UP,LOWER_UP", "UP"),
        _ => ("NO-CARRIER,BROADCAST,MULTICAST,UP", "DOWN"),
    };
    let mut text = format!(
        "[root@h{n} ~]# ip -d address\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN \
         group default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n    \
         inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n\
         2: ens4: <{flags}> mtu 1500 qdisc mq state {state} group default qlen 1000\n    \
         link/ether 52:54:00:00:0{n}:04 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    \
         inet 10.0.0.{n}/24 scope global ens4\n       valid_lft forever preferred_lft forever\n\
         3: ovs-system: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default qlen 1000\n    \
         link/ether 52:54:00:00:0{n}:05 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    openvswitch\n\
         [root@h{n} ~]# ip netns\n[root@h{n} ~]# ovs-vsctl show\n0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3{n}\n    \
         Bridge br-tun\n        Port br-tun\n            Interface br-tun\n                type: internal\n"
    );
    for remote in to {
        text.push_str(&format!(
            "        Port vxlan-0a00000{remote}\n            Interface vxlan-0a00000{remote}\n                \
             type: vxlan\n                options: {{in_key=flow, local_ip=\"10.0.0.{n}\", out_key=flow, \
             remote_ip=\"10.0.0.{remote}\"}}\n"
        ));
    }
    text.push_str(&format!("    ovs_version: \"2.17.9\"\n[root@h{n} ~]#\n"));
    text
}

const OVERLAY: &str = "h4 is off the overlay";

#[test]
fn a_host_that_all_others_miss_is_off_the_overlay() {
    let others = [[2, 3, 4], [1, 3, 4], [1, 2, 4]];
    let mesh = |last: &[u8], link: &str| -> Vec<String> {
        let all = others.iter().zip(1..).map(|(to, n)| tunnels(n, to, "up"));
        all.chain([tunnels(4, last, link)]).collect()
    };
    let all = findings(&report(&mesh(&[], "up"), ""));
    let root = said(&all, OVERLAY).expect("the host");
    assert_eq!((&root["code"], &root["object"]["name"]), (&"TUN-002".into(), &"h4".into()));
    assert_eq!(explained(&all, root), ["TUN-002"; 3]);
    // What its tunnels need is the cause.
    let all = findings(&report(&mesh(&[], "down"), ""));
    let root = said(&all, OVERLAY).expect("the host");
    let nic = all.iter().find(|it| it["code"] == "NIC-001").expect("the NIC");
    assert_eq!(root["explained_by"], nic["fingerprint"]);
    // One of three is one tunnel.
    let all = findings(&report(&mesh(&[1, 2], "up"), ""));
    assert!(said(&all, OVERLAY).is_none(), "{all:#?}");
    assert_eq!(all.iter().filter(|it| it["code"] == "TUN-002").count(), 1);
    let all = findings(&report(&mesh(&[1, 2, 3], "up"), ""));
    assert!(!all.iter().any(|it| it["code"] == "TUN-002"), "{all:#?}");
    // Without its bridges nothing is known of its tunnels.
    let mut sessions = mesh(&[], "up");
    let whole = tunnels(4, &[], "up");
    let (head, _) = whole.split_once("0b7c").unwrap();
    sessions.pop();
    sessions.push(format!("{head}ovs-vsctl: unix:db.sock: database connection failed ()\n"));
    let report = report(&sessions, "");
    assert!(said(&findings(&report), OVERLAY).is_none());
    assert!(cannot_tell(&report, "TUN-002"));
}

#[test]
fn one_that_most_hosts_have_no_tunnel_to_is_gone() {
    let sessions = [
        tunnels(1, &[2, 3, 4, 9], "up"),
        tunnels(2, &[1, 3, 4], "up"),
        tunnels(3, &[1, 2, 4], "up"),
        tunnels(4, &[1, 2, 3], "up"),
    ];
    let gone = "10.0.0.9 is gone or renumbered (not captured)";
    let all = findings(&report(&sessions, "env: {l2pop: false}\n"));
    let root = said(&all, gone).expect("it");
    assert_eq!((&root["code"], &root["severity"]), (&"XHOST-002".into(), &"warning".into()));
    // With l2population tunnels are made on demand; without a word it cannot be told.
    assert!(said(&findings(&report(&sessions, "env: {l2pop: true}\n")), gone).is_none());
    let open = report(&sessions, "");
    assert!(said(&findings(&open), gone).is_none() && cannot_tell(&open, "XHOST-002"));
    // All but one have the tunnel.
    let mut sessions = sessions;
    sessions[1] = tunnels(2, &[1, 3, 4, 9], "up");
    assert!(said(&findings(&report(&sessions, "env: {l2pop: false}\n")), gone).is_none());
}

/// A host with three routers in one network; their gateway's neighbour entries are in these states.
fn routers(states: [&str; 3]) -> String {
    let mut text = String::from(
        "[root@net1 ~]# ovs-vsctl show\n0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d\n    Bridge br-int\n        \
         fail_mode: secure\n",
    );
    for n in 0..3 {
        text.push_str(&format!(
            "        Port qg-0123456{n}-01\n            tag: 5\n            Interface qg-0123456{n}-01\n                \
             type: internal\n"
        ));
    }
    text.push_str("    ovs_version: \"2.17.9\"\n");
    for (n, state) in states.iter().enumerate() {
        let netns = format!("qrouter-6d1f0a3{n}-1111-4222-8333-444455556666");
        let prompt = format!("[root@net1 ~]# ip netns exec {netns}");
        text.push_str(&format!(
            "{prompt} ip -d address\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group \
             default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n\
             3{n}: qg-0123456{n}-01: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN group \
             default qlen 1000\n    link/ether fa:16:3e:00:00:0{n} brd ff:ff:ff:ff:ff:ff promiscuity 0\n    \
             openvswitch\n    inet 203.0.113.1{n}/24 scope global qg-0123456{n}-01\n       \
             valid_lft forever preferred_lft forever\n\
             {prompt} ip route\ndefault via 203.0.113.1 dev qg-0123456{n}-01 proto static\n\
             203.0.113.0/24 dev qg-0123456{n}-01 proto kernel scope link src 203.0.113.1{n}\n"
        ));
        if !state.is_empty() {
            text.push_str(&format!(
                "{prompt} ip neigh\n203.0.113.1 dev qg-0123456{n}-01 {state}\n"
            ));
        }
    }
    text.push_str("[root@net1 ~]#\n");
    text
}

#[test]
fn a_gateway_that_answers_no_router_is_one_fault() {
    let silent = "the gateway answers none of the 3 routers";
    let all = findings(&report(&[routers(["FAILED"; 3])], ""));
    let root = said(&all, silent).expect("the gateway");
    assert_eq!(root["object"]["name"], "203.0.113.1");
    assert_eq!(explained(&all, root), ["L3-006"; 3]);
    let one = "lladdr 00:00:5e:00:53:01 REACHABLE";
    let all = findings(&report(&[routers(["FAILED", "FAILED", one])], ""));
    assert!(said(&all, "the gateway answers none").is_none());
    assert_eq!(all.iter().filter(|it| it["code"] == "L3-006").count(), 2);
    let open = report(&[routers([""; 3])], "");
    assert!(said(&findings(&open), silent).is_none() && cannot_tell(&open, "L3-006"));
}

/// A host with three VMs whose taps have a carrier or not.
fn guests(carrier: [bool; 3], list: bool) -> String {
    let mut text = String::from("[root@cmp1 ~]# ip -d address\n");
    for (n, carrier) in carrier.iter().enumerate() {
        let (flags, state) = match carrier {
            true => ("BROADCAST,MULTICAST,UP,LOWER_UP", "UNKNOWN"),
            false => ("NO-CARRIER,BROADCAST,MULTICAST,UP", "DOWN"),
        };
        text.push_str(&format!(
            "1{n}: vnet{n}: <{flags}> mtu 1500 qdisc fq_codel master br0 state {state} group default qlen 1000\n    \
             link/ether fe:54:00:00:00:0{n} brd ff:ff:ff:ff:ff:ff promiscuity 1\n    tun type tap pi off vnet_hdr on\n"
        ));
    }
    text.push_str(
        "20: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000\n    \
         link/ether 52:54:00:00:01:00 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    bridge forward_delay 1500\n\
         21: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq master br0 state UP group default qlen 1000\n    \
         link/ether 52:54:00:00:01:00 brd ff:ff:ff:ff:ff:ff promiscuity 1\n",
    );
    if list {
        text.push_str(
            "[root@cmp1 ~]# virsh list --all\n Id   Name   State\n----------------------\n",
        );
        for n in 0..3 {
            text.push_str(&format!(" {}    vm{n}    running\n", n + 1));
        }
        text.push('\n');
    }
    for n in 0..3 {
        text.push_str(&format!(
            "[root@cmp1 ~]# virsh dumpxml vm{n}\n<domain type='kvm'{}>\n  <name>vm{n}</name>\n  \
             <uuid>0e8f3a52-77b1-4e9c-8a38-3f5f2a9d4b0{n}</uuid>\n  <devices>\n    <interface type='bridge'>\n      \
             <mac address='52:54:00:00:00:0{n}'/>\n      <source bridge='br0'/>\n      <target dev='vnet{n}'/>\n      \
             <model type='virtio'/>\n    </interface>\n  </devices>\n</domain>\n",
            if list { format!(" id='{}'", n + 1) } else { String::new() }
        ));
    }
    text.push_str("[root@cmp1 ~]#\n");
    text
}

#[test]
fn taps_without_a_process_are_one_fault() {
    let words = "libvirt or qemu restarted, or the captures are of different times";
    let all = findings(&report(&[guests([false; 3], true)], ""));
    let root = said(&all, words).expect("the host");
    assert_eq!(root["object"]["name"], "cmp1");
    assert_eq!(root["confidence"], "suspect");
    // It stands in their place: a guess explains nothing that is proven.
    assert_eq!(root["also"].as_array().map(Vec::len), Some(3));
    assert!(!all.iter().any(|it| it["code"] == "VM-003" && it["object"]["kind"] == "vm-nic"));
    let all = findings(&report(&[guests([false, false, true], true)], ""));
    assert!(said(&all, words).is_none());
    assert_eq!(all.iter().filter(|it| it["code"] == "VM-003").count(), 2);
    let open = report(&[guests([false; 3], false)], "");
    assert!(said(&findings(&open), words).is_none() && cannot_tell(&open, "VM-003"), "{open:#}");
}
