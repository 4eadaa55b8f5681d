//! Which machine, at which time: keys, fingerprints and names.
use std::collections::BTreeSet;

use serde_json::Value;

use super::{Folder, SESSION, fields, node2, run};

/// A folder of outputs: a NIC with an address, and a port that OVS could not make.
fn add_host(folder: &Folder, name: &str, hostname: &str, id: Option<&str>, last: u8) {
    let add = |file: &str, text: &str| {
        folder.add(&format!("{name}/{file}"), text.as_bytes());
    };
    add("hostname", &format!("{hostname}\n"));
    if let Some(id) = id {
        add("etc/machine-id", &format!("{id}\n"));
    }
    add(
        "ip_-d_address",
        &format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    \
             link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n\
             2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP qlen 1000\n    \
             link/ether 52:54:00:00:17:{last:02x} brd ff:ff:ff:ff:ff:ff promiscuity 0\n    \
             inet 192.0.2.{last}/24 scope global eth0\n"
        ),
    );
    add("ip_netns", "");
    add(
        "ovs-vsctl_show",
        "7d3f1c52-9a10-4f0e-8d55-6a4f6a1b2c3d\n    Bridge br-int\n        Port qvo22222222-22\n            \
         Interface qvo22222222-22\n                error: \"could not open network device \
         qvo22222222-22 (No such device)\"\n        Port br-int\n            Interface br-int\n                \
         type: internal\n    ovs_version: \"2.17.9\"\n",
    );
}

const ONE: &str = "11112222333344445555666677778888";
const OTHER: &str = "88887777666655554444333322221111";

/// Two machines that are both called `localhost`.
fn namesakes() -> Folder {
    let folder = Folder::new(&[]);
    add_host(&folder, "a", "localhost", Some(ONE), 1);
    add_host(&folder, "b", "localhost", Some(OTHER), 2);
    folder
}

fn texts(all: &Value, field: &str) -> Vec<String> {
    let all = all.as_array().unwrap().iter();
    all.map(|it| it[field].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn two_machines_of_one_name_are_two() {
    let folder = namesakes();
    let (a, b) = (folder.join("a"), folder.join("b"));
    let ran = run(["snapshot", &a, &b]);
    assert!(ran.out.contains("192.0.2.1/24") && ran.out.contains("192.0.2.2/24"), "{}", ran.out);

    let report = run(["lint", "--format", "json", &a, &b]).json();
    let hosts = texts(&report["hosts"], "host");
    assert_eq!(hosts, ["localhost (machine-id 11112222)", "localhost (machine-id 88887777)"]);
    let prints: Vec<String> = texts(&report["findings"], "fingerprint");
    assert_eq!(prints.iter().collect::<BTreeSet<_>>().len(), prints.len(), "{prints:?}");

    // What one has does not silence the other.
    let file = folder.join("baseline.json");
    run(["lint", "-q", "--write-baseline", &file, &a]);
    let ran = run(["lint", "--select", "OVS-001", "--baseline", &file, &b]);
    assert!(ran.out.contains("qvo22222222-22: OVS could not open the device"), "{}", ran.out);
    let ran = run(["lint", "--baseline", &file, &a]);
    assert!(ran.out.contains("\nno new faults found"), "{}", ran.out);
}

#[test]
fn one_name_in_two_domains_is_that_of_two_machines() {
    let folder = Folder::new(&[
        ("a/hostname", "node1.sitea.example\n"),
        (
            "a/virsh_list_--all",
            " Id   Name   State\n----------------------\n 1    vm1    running\n",
        ),
        ("b/hostname", "node1.siteb.example\n"),
        ("b/ip_-br_link", "lo    UNKNOWN  00:00:00:00:00:00 <LOOPBACK,UP,LOWER_UP>\n"),
        ("c/hostname", "node1\n"),
        ("c/date", "Sun Nov 22 13:06:00 UTC 2026\n"),
    ]);
    let hosts = |inputs: &[&str]| {
        let inputs: Vec<String> = inputs.iter().map(|input| folder.join(input)).collect();
        let args = ["lint", "--format", "json"].into_iter().map(str::to_owned);
        texts(&run(args.chain(inputs)).json()["hosts"], "host")
    };
    assert_eq!(hosts(&["a", "b"]), ["node1.sitea.example", "node1.siteb.example"]);
    assert_eq!(hosts(&["b", "a"]), hosts(&["a", "b"]));
    // The short name may be that of either of two, and is that of the only one.
    assert_eq!(hosts(&["a", "c"]), ["node1"]);
}

#[test]
fn captures_of_a_machine_are_called_by_their_times_beside_a_namesake() {
    let folder = Folder::new(&[]);
    let other = ONE.replace("78888", "78889");
    for (name, id, last, day) in [("a", ONE, 1, 22), ("b", ONE, 1, 29), ("c", &*other, 2, 29)] {
        add_host(&folder, name, "x1", Some(id), last);
        folder
            .add(&format!("{name}/date"), format!("Sun Nov {day} 13:06:00 UTC 2026\n").as_bytes());
    }
    let (a, b, c) = (folder.join("a"), folder.join("b"), folder.join("c"));
    let report = run(["lint", "--format", "json", &a, &b, &c]).json();
    let hosts = texts(&report["hosts"], "host");
    let wanted = [
        format!("x1 (machine-id {ONE}) @ 2026-11-22 13:06:00"),
        format!("x1 (machine-id {ONE}) @ 2026-11-29 13:06:00"),
        format!("x1 (machine-id {other}) @ 2026-11-29 13:06:00"),
    ];
    assert_eq!(hosts, wanted);
}

#[test]
fn machines_of_one_name_and_no_id_have_fingerprints_of_their_own() {
    let folder = Folder::new(&[]);
    add_host(&folder, "a", "node7", None, 1);
    add_host(&folder, "b", "node7", None, 2);
    let prints = |input: &str| -> BTreeSet<String> {
        let report = run(["lint", "--format", "json", input]).json();
        texts(&report["findings"], "fingerprint").into_iter().collect()
    };
    let (a, b) = (folder.join("a"), folder.join("b"));
    assert!(!prints(&a).is_empty());
    assert!(prints(&a).is_disjoint(&prints(&b)));
    // The folder itself is the same input from within.
    assert_eq!(prints(&a), prints(&format!("{b}/../a/.")));

    // A baseline is for captures to come, and says so where nothing but a name tells the machine.
    let file = folder.join("baseline.json");
    run(["lint", "-q", "--write-baseline", &file, &a]);
    let ran = run(["lint", "--baseline", &file, &b]);
    assert!(ran.out.contains("\nno new faults found"), "{}", ran.out);
    assert!(ran.out.contains("the baseline knows node7 by its name alone"), "{}", ran.out);
}

#[test]
fn the_order_of_the_inputs_changes_no_id() {
    let folder = namesakes();
    add_host(&folder, "c", "node7", None, 3);
    let (a, b, c) = (folder.join("a"), folder.join("b"), folder.join("c"));
    let ids = |command: &str, list: &str, field: &str, inputs: [&str; 3]| -> BTreeSet<String> {
        let json = run([command, "--format", "json"].into_iter().chain(inputs)).json();
        texts(&json[list], field).into_iter().collect()
    };
    for (command, list, field) in [
        ("graph", "nodes", "id"),
        ("lint", "findings", "fingerprint"),
        ("lint", "findings", "key"),
        ("lint", "hosts", "host"),
    ] {
        let first = ids(command, list, field, [&a, &b, &c]);
        assert!(!first.is_empty());
        assert_eq!(first, ids(command, list, field, [&c, &b, &a]), "{list} {field}");
    }
    let drawing = |inputs: [&str; 3]| -> BTreeSet<String> {
        let ran = run(["graph", "--format", "dot"].into_iter().chain(inputs));
        ran.out.lines().filter(|line| line.contains("[label=")).map(str::to_owned).collect()
    };
    assert_eq!(drawing([&a, &b, &c]), drawing([&b, &c, &a]));
}

#[test]
fn findings_name_their_record_as_the_records_do() {
    let address = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default \
         qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    \
         inet 127.0.0.1/8 scope host lo\n       valid_lft forever preferred_lft forever\n2: ens3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group \
         default qlen 1000\n    link/ether 52:54:00:00:02:f0 brd ff:ff:ff:ff:ff:ff\n    \
         inet 192.0.2.10/24 scope global ens3\n       valid_lft forever preferred_lft forever\n";
    let folder = Folder::new(&[
        ("c/hostname", "lab7\n"),
        ("c/ip_netns", ""),
        ("c/ip_-d_address", address),
        ("c/ip_route", "192.0.2.0/24 dev ens3 scope link\ndefault via 198.51.100.1 dev ens3\n"),
    ]);
    let input = folder.join("c");
    let report = run(["lint", "--format", "json", &input]).json();
    let rows = run(["records", "--format", "json", &input]).json();
    let routes: Vec<&Value> =
        rows["records"].as_array().unwrap().iter().filter(|row| row["kind"] == "route").collect();
    let named = texts(&report["findings"], "record");
    let named: Vec<&String> = named.iter().filter(|record| !record.is_empty()).collect();
    assert_eq!(named, ["c:lab7/record/ip_route/2"]);
    assert_eq!(routes[1]["at"]["key"], *named[0]);
}

#[test]
fn findings_name_their_node_as_the_graph_does() {
    let report = run(["lint", "--format", "json", &node2()]).json();
    let graph = run(["graph", "--format", "json", &node2()]).json();
    let ids: BTreeSet<String> = texts(&graph["nodes"], "id").into_iter().collect();
    let keys = texts(&report["findings"], "key");
    let known: Vec<&String> = keys.iter().filter(|key| !key.is_empty()).collect();
    assert!(!known.is_empty());
    for key in known {
        assert!(ids.contains(key), "{key}");
        let shown = run(["show", &node2(), key]);
        assert_eq!(shown.code, Some(0), "{key}: {}", shown.err);
    }
    // The NIC of a VM is called the same everywhere.
    let nics: BTreeSet<String> = graph["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|node| node["kind"] == "vm-nic")
        .map(|node| node["name"].as_str().unwrap().to_owned())
        .collect();
    let starts = texts(&report["paths"], "start");
    for start in starts.iter().filter(|start| start.starts_with("instance-")) {
        assert!(nics.contains(start), "{start} of {nics:?}");
    }
}

/// A report of sos in a folder, healthy or with its NIC switched off.
fn add_report(folder: &Folder, name: &str, date: &str, flags: &str) {
    let add = |file: &str, text: &str| {
        folder.add(&format!("{name}/{file}"), text.as_bytes());
    };
    add("version.txt", "sosreport: 4.2\n");
    add("etc/machine-id", &format!("{ONE}\n"));
    add("sos_commands/host/hostname", "cmp3\n");
    add("sos_commands/date/date_--utc", date);
    add(
        "sos_commands/networking/ip_-d_address",
        &format!(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    \
             link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n\
             2: ens2: <BROADCAST,MULTICAST,{flags}> mtu 1500 qdisc mq master br0 state {} qlen 1000\n    \
             link/ether 52:54:00:00:33:01 brd ff:ff:ff:ff:ff:ff promiscuity 1\n    \
             bridge_slave state forwarding priority 32 cost 100\n\
             3: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP qlen 1000\n    \
             link/ether 52:54:00:00:33:01 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    \
             bridge forward_delay 1500 hello_time 200 max_age 2000 stp_state 0\n    \
             inet 192.0.2.33/24 scope global br0\n",
            if flags.is_empty() { "DOWN" } else { "UP" }
        ),
    );
}

#[test]
fn two_reports_of_one_machine_are_two_captures() {
    let folder = Folder::new(&[]);
    add_report(&folder, "mon", "Mon Mar  2 10:00:00 UTC 2026\n", "UP,LOWER_UP");
    add_report(&folder, "wed", "Wed Mar  4 10:30:00 UTC 2026\n", "");
    let (mon, wed) = (folder.join("mon"), folder.join("wed"));
    let whole = folder.path().display().to_string();
    for inputs in [vec![&mon, &wed], vec![&wed, &mon], vec![&whole]] {
        let ran = run(["lint", "--fail-on", "warning"]
            .into_iter()
            .chain(inputs.iter().map(|input| input.as_str())));
        assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
        assert!(ran.out.contains("warning[NIC-001] cmp3 @ 2026-03-04 10:30 · ens2"), "{}", ran.out);
        let line = "\ncmp3 @ 2026-03-02 10:00 and cmp3 @ 2026-03-04 10:30 are one machine";
        assert!(ran.out.contains(line), "{}", ran.out);
        assert!(!ran.out.contains("CAP-003") && !ran.out.contains("MAC-"), "{}", ran.out);
    }
    // The newest has the keys and fingerprints that it has alone.
    let of = |inputs: &[&str]| {
        let ran = run(["lint", "--format", "json"].into_iter().chain(inputs.iter().copied()));
        texts(&ran.json()["findings"], "fingerprint")
    };
    let alone = of(&[&wed]);
    let both = of(&[&mon, &wed]);
    assert!(
        !alone.is_empty() && alone.iter().all(|alone| both.contains(alone)),
        "{alone:?} {both:?}"
    );
    // A fault that stays is known from the earlier report.
    let file = folder.join("baseline.json");
    run(["lint", "-q", "--write-baseline", &file, &wed]);
    add_report(&folder, "later/fri", "Fri Mar  6 10:00:00 UTC 2026\n", "");
    let later = folder.join("later");
    for inputs in [vec![&later], vec![&later, &wed]] {
        let args = ["lint", "--baseline", &file];
        let ran = run(args.into_iter().chain(inputs.iter().map(|input| input.as_str())));
        assert!(ran.out.contains("\nno new faults found"), "{}", ran.out);
    }
    let report = run(["lint", "--format", "json", &mon, &wed]).json();
    let hosts = report["hosts"].as_array().unwrap();
    assert_eq!(fields(&hosts[0]), ["host", "key", "same_machine", "inputs"]);
}

#[test]
fn one_machine_under_two_names_shares_no_address_with_itself() {
    let session = |host: &str, more: &str| {
        let mut text = format!("[root@{host} ~]# ip netns\n[root@{host} ~]# ip -d address\n");
        text.push_str(
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    \
             link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n",
        );
        for (n, mac) in ["0a", "0b"].iter().chain((!more.is_empty()).then_some(&more)).enumerate() {
            let at = n + 2;
            text.push_str(&format!(
                "{at}: eth{n}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP qlen 1000\n    \
                 link/ether 52:54:00:00:44:{mac} brd ff:ff:ff:ff:ff:ff promiscuity 0\n"
            ));
            if n == 0 {
                text.push_str("    inet 192.0.2.44/24 scope global eth0\n");
            }
        }
        text.push_str(&format!(
            "[root@{host} ~]# ovs-vsctl show\n3c9b7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n    Bridge br-tun\n        \
             Port vxlan-c0000201\n            Interface vxlan-c0000201\n                type: vxlan\n                \
             options: {{in_key=flow, local_ip=\"192.0.2.44\", out_key=flow, remote_ip=\"192.0.2.1\"}}\n    \
             ovs_version: \"2.17.9\"\n[root@{host} ~]# exit\n"
        ));
        text
    };
    // The MAC of the further NIC sorts before, between and behind the two in common.
    for more in ["01", "0c", "ff", ""] {
        let folder =
            Folder::new(&[("x.txt", &session("cmp5", "")), ("y.txt", &session("compute-5", more))]);
        let ran = run(["lint", &folder.join("x.txt"), &folder.join("y.txt")]);
        assert!(!ran.out.contains("TUN-003"), "{more}: {}", ran.out);
    }
}

#[test]
fn a_name_that_is_given_does_not_join_two_machine_ids() {
    let folder = namesakes();
    let (a, b) = (folder.join("a"), folder.join("b"));
    let report = run(["lint", "--format", "json", "--host", "box", &a, &b]).json();
    let hosts = texts(&report["hosts"], "host");
    assert_eq!(hosts, ["box (machine-id 11112222)", "box (machine-id 88887777)"]);
}

#[test]
fn what_has_no_name_joins_by_what_a_person_says() {
    let address = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1000\n    \
                   link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n";
    let folder = Folder::new(&[
        ("box/ip_a.txt", address),
        ("box-more/ip_rule", "0:\tfrom all lookup local\n"),
        ("box-more/uname_-a", "Linux node7 5.4.0 #1 SMP x86_64 GNU/Linux\n"),
    ]);
    let (one, more) = (folder.join("box"), folder.join("box-more"));
    let recipe = run(["coverage", &one]).out;
    let then = format!("then: tapline lint {one} box-more --host box\n");
    assert!(recipe.contains(&then), "{recipe}");
    assert!(!recipe.contains("hostname >hostname"), "{recipe}");
    let hosts = |args: &[&str]| {
        let args =
            ["lint", "--format", "json", &one, &more].into_iter().chain(args.iter().copied());
        texts(&run(args).json()["hosts"], "host")
    };
    assert_eq!(hosts(&["--host", "box"]), ["box"]);
    assert_eq!(hosts(&[]), ["box", "node7"]);
    let refused = run(["lint", &one, "--host", " "]);
    assert_eq!(refused.code, Some(2), "{}", refused.err);
}

#[test]
fn a_baseline_of_an_earlier_version_says_what_to_do() {
    let old = "{\"schema\": \"tapline.baseline/1\", \"findings\": []}\n";
    let folder = Folder::new(&[("session.txt", SESSION), ("old.json", old)]);
    let (session, file) = (folder.join("session.txt"), folder.join("old.json"));
    let ran = run(["lint", "--baseline", &file, &session]);
    assert_eq!(ran.code, Some(2));
    assert!(
        ran.err.contains("earlier version") && ran.err.contains("--write-baseline"),
        "{}",
        ran.err
    );
    let ran = run(["lint", "-q", "--write-baseline", &file, &session]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let new = std::fs::read_to_string(&file).unwrap();
    assert!(new.contains("tapline.baseline/2"), "{new}");
}

#[test]
fn a_part_that_may_be_of_two_machines_is_of_neither() {
    let folder = Folder::new(&[]);
    add_host(&folder, "a", "h1", Some(ONE), 1);
    add_host(&folder, "b", "h1", Some(OTHER), 2);
    folder.add("more/hostname", b"h1\n");
    folder.add(
        "more/brctl_show",
        b"bridge name\tbridge id\t\tSTP enabled\tinterfaces\nbr9\t\t8000.525400001701\tno\t\n",
    );
    let inputs = ["a", "b", "more"].map(|name| folder.join(name));
    let mut seen = BTreeSet::new();
    for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0], [0, 2, 1]] {
        let mut args = vec!["graph", "--format", "json"];
        args.extend(order.iter().filter_map(|at| inputs.get(*at)).map(String::as_str));
        let graph = run(args).json();
        let nodes = graph["nodes"].as_array().expect("nodes");
        let bridge = nodes.iter().find(|node| node["name"] == "br9").expect("the bridge");
        seen.insert(bridge["key"].to_string());
        let hosts = nodes.iter().filter(|node| node["kind"] == "host").count();
        assert_eq!(hosts, 3, "{graph:#}");
    }
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[test]
fn nics_that_differ_tell_namesakes_apart_whatever_their_bridges_have() {
    let folder = Folder::new(&[]);
    for (name, last) in [("a", 1), ("b", 2)] {
        add_host(&folder, name, "h1", None, last);
        let bridge = "3: virbr0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP qlen 1000\n    \
                      link/ether 52:54:00:aa:bb:cc brd ff:ff:ff:ff:ff:ff promiscuity 0\n    bridge forward_delay 200\n";
        let file = format!("{name}/ip_-d_address");
        let before = std::fs::read_to_string(folder.join(&file)).expect("the devices");
        folder.add(&file, format!("{before}{bridge}").as_bytes());
    }
    let ran = run(["lint", &folder.join("a"), &folder.join("b")]);
    assert!(ran.out.contains("looked at h1 (a), h1 (b)"), "{}", ran.out);
}

#[test]
fn listings_of_two_times_are_two_captures() {
    let folder = Folder::new(&[]);
    for (name, time) in [("a", "13:02:24"), ("b", "13:06:49")] {
        add_host(&folder, name, "h1", None, 1);
        let text = format!(
            "# Generated by iptables-save v1.8.9 on Sun Nov 22 {time} 2026\n*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n\
             # Completed on Sun Nov 22 {time} 2026\n"
        );
        folder.add(&format!("{name}/iptables-save"), text.as_bytes());
    }
    let ran = run(["lint", &folder.join("a"), &folder.join("b")]);
    let named = "looked at h1 @ 2026-11-22 13:02, h1 @ 2026-11-22 13:06";
    assert!(ran.out.contains(named), "{}", ran.out);
    // One of them alone needs no time.
    let ran = run(["lint", &folder.join("a")]);
    assert!(ran.out.contains("looked at h1:"), "{}", ran.out);
}

/// A session that lists a VM, and no device.
fn add_guests(folder: &Folder, file: &str, host: &str) {
    folder.add(
        file,
        format!(
            "[root@{host} ~]# virsh list --all\n Id   Name   State\n----------------------\n \
             1    web    running\n\n[root@{host} ~]# virsh domiflist web\n Interface   Type     Source   \
             Model    MAC\n-------------------------------------------------------------\n \
             vnet0       bridge   br0      virtio   52:54:00:00:18:01\n\n[root@{host} ~]# \n"
        )
        .as_bytes(),
    );
}

/// A session that lists the devices of a host, and no VM.
fn add_devices(folder: &Folder, file: &str, host: &str, last: u8) {
    let device = |index: u8, name: &str, mac: &str| {
        format!(
            "{index}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP qlen 1000\n    \
             link/ether {mac} brd ff:ff:ff:ff:ff:ff\n"
        )
    };
    folder.add(
        file,
        format!(
            "[root@{host} ~]# ip address\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state \
             UNKNOWN qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n{}{}[root@{host} ~]# \n",
            device(2, "eth0", &format!("52:54:00:00:19:{last:02x}")),
            device(3, "vnet0", "fe:54:00:00:18:01"),
        )
        .as_bytes(),
    );
}

#[test]
fn what_fits_two_machines_is_joined_with_neither_in_any_order() {
    for host in ["localhost", "cmp9"] {
        let folder = Folder::new(&[]);
        add_devices(&folder, "a.txt", host, 1);
        add_guests(&folder, "b.txt", host);
        add_devices(&folder, "c.txt", host, 2);
        // It fits the same machines as b, and may well be of the same host.
        folder.add(
            "d.txt",
            format!("[root@{host} ~]# ip rule\n0:\tfrom all lookup local\n").as_bytes(),
        );
        let inputs = ["a.txt", "b.txt", "c.txt", "d.txt"].map(|name| folder.join(name));
        let mut seen = BTreeSet::new();
        for order in [[0, 1, 2, 3], [0, 2, 1, 3], [1, 2, 0, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
            let order = || order.iter().filter_map(|at| inputs.get(*at)).map(String::as_str);
            let report =
                run(["lint", "--format", "json", "--paths"].into_iter().chain(order())).json();
            let hosts = report["hosts"].as_array().expect("hosts");
            let mut shown: Vec<String> = hosts
                .iter()
                .map(|it| format!("{} {} {}", it["host"], it["key"], it["may_be"]))
                .collect();
            shown.sort();
            seen.insert(format!("{} {}", shown.join(", "), report["paths"][0]["host"]));
            let told = run(["lint"].into_iter().chain(order())).out;
            let line =
                format!("{host} (b) may be of {host} (a) or {host} (c): it is joined with none");
            assert!(told.contains(&line), "{told}");
        }
        assert_eq!(seen.len(), 1, "{seen:#?}");
        let first = seen.first().expect("an order");
        let own = format!("\"{host} (b)\" \"b:{host}\" [\"{host} (a)\",\"{host} (c)\"]");
        assert!(first.contains(&own), "{first}");
        assert!(first.ends_with(&format!("\"{host} (b)\"")), "{first}");
    }
}

#[test]
fn clones_of_one_image_have_ids_of_their_own_alone_and_together() {
    let board = |uuid: &str| {
        format!(
            "# dmidecode 3.3\nHandle 0x0100, DMI type 1, 27 bytes\nSystem Information\n\tUUID: {uuid}\n"
        )
    };
    let (one, two) =
        ("4c4c4544-0051-4410-8051-b4c04f4a3231", "4c4c4544-0051-4410-8051-b4c04f4a3232");
    for (hosts, boards, marks) in [
        (["web1", "web2"], None, ["web1", "web2"]),
        (["localhost", "localhost"], Some([one, two]), [one, two]),
        (["web1", "web1"], Some([one, two]), [one, two]),
    ] {
        let folder = Folder::new(&[]);
        for (n, name) in ["a", "b"].iter().enumerate() {
            add_host(&folder, name, hosts[n], Some(ONE), u8::try_from(n).expect("small") + 1);
            if let Some(boards) = boards {
                folder.add(&format!("{name}/dmidecode"), board(boards[n]).as_bytes());
            }
        }
        let (a, b) = (folder.join("a"), folder.join("b"));
        let of = |inputs: &[&str]| -> BTreeSet<(String, String)> {
            let json =
                run(["lint", "--format", "json"].into_iter().chain(inputs.iter().copied())).json();
            let keys = texts(&json["findings"], "key");
            let keys = keys.iter().map(|key| key.split('/').next().unwrap_or_default().to_owned());
            keys.zip(texts(&json["findings"], "fingerprint")).collect()
        };
        let (of_a, of_b, both) = (of(&[&a]), of(&[&b]), of(&[&a, &b]));
        assert!(!of_a.is_empty() && of_a.is_disjoint(&of_b), "{hosts:?}: {of_a:?} {of_b:?}");
        assert_eq!(both, of_a.union(&of_b).cloned().collect(), "{hosts:?}");
        let keys: BTreeSet<&str> = both.iter().map(|it| it.0.as_str()).collect();
        let expected = marks.map(|mark| format!("machine-id:{ONE}:{mark}"));
        assert_eq!(keys, expected.iter().map(String::as_str).collect());
        let file = folder.join("baseline.json");
        run(["lint", "-q", "--write-baseline", &file, &a]);
        let ran = run(["lint", "--baseline", &file, &b]);
        assert!(!ran.out.contains("no new faults"), "{}", ran.out);
    }
}
