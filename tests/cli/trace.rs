//! `tapline trace`, `tapline reach` and `tapline verify`.
use super::{node2, root, run};

fn two_hosts() -> [String; 2] {
    ["node1", "node2"].map(|host| {
        let path = root().join(format!("corpus/sosreports/two-hosts/{host}.tar.xz"));
        path.to_string_lossy().into_owned()
    })
}

/// The same hosts with their processes, among which is the DHCP server.
fn two_hosts_with_processes() -> [String; 2] {
    ["node1", "node2"].map(|host| {
        let path = root().join(format!("corpus/lab/two-hosts/{host}.tar.xz"));
        path.to_string_lossy().into_owned()
    })
}

#[test]
fn a_dhcp_server_is_shown_by_its_socket_or_its_process() {
    let ask = |[first, second]: [String; 2]| {
        run(["trace", &first, &second, "vm:instance-00000102", "dhcp", "--format", "json"])
    };
    for hosts in [two_hosts(), two_hosts_with_processes()] {
        let shown = ask(hosts);
        assert_eq!((shown.code, &shown.json()["reached"]), (Some(0), &true.into()));
        let listens = shown.out.contains("dnsmasq");
        assert!(listens, "{}", shown.out);
    }
}

#[test]
fn a_dhcp_server_that_nothing_shows_is_not_taken_for_one() {
    // Less evidence: neither sockets nor processes.
    let host = "root@h1:~# ip -d address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
    inet 127.0.0.1/8 scope host lo
2: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 02:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff promiscuity 0
    bridge forward_delay 1500 stp_state 0 vlan_filtering 0
    inet 192.0.2.1/24 scope global br0
3: vnet0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue master br0 state UNKNOWN group default qlen 1000
    link/ether fe:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 1
    tun type tap pi off vnet_hdr on persist off
root@h1:~# sysctl -a
net.ipv4.ip_forward = 0
root@h1:~# iptables-save
root@h1:~# nft list ruleset
root@h1:~# ip route
192.0.2.0/24 dev br0 proto kernel scope link src 192.0.2.1
root@h1:~# ";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("session.txt");
    std::fs::write(&path, host).expect("a file");
    let path = path.to_string_lossy().into_owned();
    let ran = run([
        "trace",
        &path,
        "vnet0",
        "192.0.2.1",
        "--packet",
        "dl_dst=02:00:00:00:00:02,udp,nw_src=192.0.2.7,nw_dst=192.0.2.1,tp_dst=67",
    ]);
    assert_eq!(ran.code, Some(3), "{}", ran.out);
}

#[test]
fn a_guest_reaches_the_outside_through_the_router_of_another_host() {
    let [first, second] = two_hosts();
    let ran = run([
        "trace",
        &first,
        &second,
        "vm:instance-00000102",
        "outside",
        "--reverse",
        "--format",
        "minimal",
    ]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let lines: Vec<&str> = ran.out.lines().map(str::trim).collect();
    assert_eq!(lines.first(), Some(&"yes: leaves-capture at node1 enp4s0f1"));
    let hops = [
        "node2 root tap5e6f7a8b-9c → qvb5e6f7a8b-9c",
        "node2 br-int qvo5e6f7a8b-9c → patch-tun [vlan – → 1]",
        "node2 br-tun patch-int → vxlan-0a0a0a01 [vlan 1 → –] [tun_id 0x0 → 0x41]",
        "node1 br-tun vxlan-0a0a0a02 → patch-int [vlan – → 1]",
        "node1 br-int patch-tun → qr-0fd24acc-81 [vlan 1 → –]",
        "node1 br-ex phy-br-ex → enp4s0f1 [vlan 4 → –]",
    ];
    let mut from = 0;
    for hop in hops {
        let at = lines.iter().skip(from).position(|line| *line == hop);
        from += at.unwrap_or_else(|| panic!("{hop} is not behind line {from} of\n{}", ran.out)) + 1;
    }
    assert!(ran.out.contains("reverse:\nyes: delivered at node2 tap5e6f7a8b-9c"), "{}", ran.out);
}

#[test]
fn every_hop_cites_its_line() {
    let [first, second] = two_hosts_with_processes();
    let ran = run(["trace", &first, &second, "vm:instance-00000102", "dhcp", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let json = ran.json();
    assert_eq!(json["schema"], "tapline.trace/1");
    assert_eq!((&json["reached"], &json["outcome"]), (&true.into(), &"delivered".into()));
    let hops = json["hops"].as_array().expect("hops");
    assert!(hops.len() > 4);
    for hop in hops {
        let cited = hop["evidence"].as_array().is_some_and(|all| !all.is_empty());
        let assumed = hop["certainty"] != "proven";
        assert!(cited || assumed, "{hop:#}");
    }
}

#[test]
fn what_is_not_reached_and_what_cannot_be_told_have_a_status_of_their_own() {
    let cut = run(["trace", &node2(), "vm:instance-0000002d", "outside"]);
    assert_eq!(cut.code, Some(1), "{}", cut.out);
    assert!(cut.out.starts_with("not reached: rejected at node2 qrouter-"), "{}", cut.out);
    let open = run(["trace", &node2(), "vm:instance-0000004b", "ip:192.168.1.200"]);
    assert_ne!(open.code, Some(0), "{}", open.out);
    let nobody = run(["trace", &node2(), "vm:nobody", "outside"]);
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.err.contains("nothing is called vm:nobody"), "{}", nobody.err);
    let wrong = run(["trace", &node2()]);
    assert_eq!(wrong.code, Some(2));
}

#[test]
fn many_questions_are_answered_in_their_order() {
    let text = "{\"from\": \"vm:instance-0000002d\", \"to\": \"dhcp\"}\n\
                {\"from\": \"vm:nobody\", \"to\": \"dhcp\"}\nno question\n";
    let folder = super::Folder::new(&[("questions", text)]);
    let questions = folder.join("questions");
    let ran = run(["trace", &node2(), "--queries", &questions]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 3);
    // The processes of the host were captured, and no DHCP server is among them.
    assert!(lines[0]["reached"].is_null(), "{:#}", lines[0]);
    assert_eq!(lines[0]["reason"], "not-captured");
    assert_eq!(lines[1]["error"], "nothing is called vm:nobody");
    assert!(lines[2]["error"].is_string());
}

#[test]
fn reach_lists_every_running_guest() {
    let [first, second] = two_hosts_with_processes();
    let ran = run(["reach", &first, &second, "--format", "json"]);
    let json = ran.json();
    let rows = json["rows"].as_array().expect("rows");
    let of = |vm: &str| rows.iter().find(|row| row["vm"] == vm).expect("a row");
    for cell in ["gateway", "dhcp", "outside"] {
        let reached = &of("instance-00000102")["cells"][cell]["reached"];
        assert_eq!(*reached, true, "{cell}");
        // The address of the other is nowhere in its report, so no answer can be followed to it.
        let reached = &of("instance-00000101")["cells"][cell]["reached"];
        assert_ne!(*reached, false, "{cell}");
    }
    let junit = run(["reach", &first, &second, "--format", "junit"]);
    assert!(junit.out.contains("<testsuite name=\"node1\""), "{}", junit.out);
}

#[test]
fn megaflows_say_what_the_flows_say() {
    let [first, second] = two_hosts();
    let ran = run(["verify", &first, &second, "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    let json = ran.json();
    assert_eq!(json["disagree"].as_array().map(Vec::len), Some(0));
}

#[test]
fn what_is_lost_without_a_thing() {
    let [first, second] = two_hosts();
    let ask = |key: &str, form: &str| {
        run([
            "trace",
            &first,
            &second,
            "vm:instance-00000102",
            "outside",
            "--without",
            key,
            "--format",
            form,
        ])
    };
    let key = "system-id:1ece5774-21aa-4ff6-8e7e-343983396e01:node1/netdev/root/enp4s0f1";
    for word in [key, "node1:enp4s0f1", "node1:br-ex", "node1:br-tun", "node1"] {
        let ran = ask(word, "json");
        assert_eq!(ran.code, Some(1), "{word}: {}", ran.err);
        let json = ran.json();
        assert_eq!((&json["reached"], &json["reason"]), (&false.into(), &"without".into()));
        assert_eq!(json["without"]["lost"], true, "{word}");
        assert_eq!(json["without"]["before"]["reached"], true, "{word}");
        let named = json["without"]["key"].as_str().expect("a key");
        assert_eq!(ask(named, "json").json(), json, "the key of {word}");
    }
    // What the packet does not pass is not missed.
    let ran = ask("node2:br-ex", "text");
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.contains("\nnot lost without br-ex\n"), "{}", ran.out);
    let ran = ask("node1:enp4s0f1", "text");
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].starts_with("not reached: blackholed at node1 br-ex/enp4s0f1 (without: "));
    assert!(lines[1].starts_with("with enp4s0f1: reached: leaves-capture at node1 enp4s0f1"));
    assert_eq!(lines[2], "lost without enp4s0f1");
}

#[test]
fn what_cannot_be_taken_away_is_refused_with_a_word_on_what_can() {
    let ask =
        |key: &str| run(["trace", &node2(), "vm:instance-0000002d", "dhcp", "--without", key]);
    let nobody = ask("br-nowhere");
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.err.contains("nothing is called br-nowhere"), "{}", nobody.err);
    assert!(nobody.err.contains("tapline show"), "{}", nobody.err);
    let several = ask("lo");
    assert_eq!(several.code, Some(2));
    assert!(several.err.contains("take one of these keys"), "{}", several.err);
    let reach = run(["reach", &node2(), "--without", "br-nowhere"]);
    assert_eq!(reach.code, Some(2));
    // In a file of questions it is the answer to that question.
    let text = "{\"from\": \"vm:instance-0000002d\", \"to\": \"gateway\", \"without\": \"br-nowhere\"}\n\
                {\"from\": \"vm:instance-0000002d\", \"to\": \"gateway\", \"without\": \"br-int\"}\n";
    let folder = super::Folder::new(&[("questions", text)]);
    let ran = run(["trace", &node2(), "--queries", &folder.join("questions")]);
    let lines: Vec<serde_json::Value> =
        ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["error"], "nothing is called br-nowhere");
    assert_eq!(lines[1]["without"]["lost"], true, "{:#}", lines[1]);
}

#[test]
fn reach_lists_what_is_lost_without_a_host() {
    let [first, second] = two_hosts();
    let ran = run(["reach", &first, &second, "--without", "node1", "--format", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let json = ran.json();
    assert_eq!(json["without"]["name"], "node1");
    let lost = json["without"]["lost"].as_array().expect("groups");
    let of = |to: &str| {
        lost.iter().find(|group| group["to"] == to && group["guests"][0] == "instance-00000102")
    };
    assert_eq!(of("gateway").expect("a group")["reason"], "without");
    assert_eq!(of("dhcp").expect("served by the other host")["reason"], "without");
    let quiet = run(["reach", &first, &second, "--without", "node2:br-ex"]);
    assert_eq!(quiet.code, Some(0), "{}", quiet.out);
    assert!(quiet.out.contains("without br-ex nothing is lost"), "{}", quiet.out);
}

/// A host with a bond of two NICs, two routes of one prefix, and a bridge.
const HOST: &str = "root@h1:~# ip -d address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
    inet 127.0.0.1/8 scope host lo
2: ens1: <BROADCAST,MULTICAST,SLAVE,UP,LOWER_UP> mtu 1500 qdisc mq master bond0 state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0
    bond_slave state ACTIVE mii_status UP link_failure_count 0 perm_hwaddr 02:00:00:00:00:01
3: ens2: <BROADCAST,MULTICAST,SLAVE,UP,LOWER_UP> mtu 1500 qdisc mq master bond0 state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0
    bond_slave state BACKUP mii_status UP link_failure_count 0 perm_hwaddr 02:00:00:00:00:02
4: bond0: <BROADCAST,MULTICAST,MASTER,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 02:00:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0
    bond mode active-backup active_slave ens1 miimon 100 updelay 0 downdelay 0
    inet 192.0.2.10/24 brd 192.0.2.255 scope global bond0
5: ens3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 02:00:00:00:00:03 brd ff:ff:ff:ff:ff:ff promiscuity 0
    inet 198.51.100.10/24 brd 198.51.100.255 scope global ens3
root@h1:~# ip route show table all
default via 192.0.2.1 dev bond0 metric 100
default via 198.51.100.1 dev ens3 metric 200
192.0.2.0/24 dev bond0 proto kernel scope link src 192.0.2.10
198.51.100.0/24 dev ens3 proto kernel scope link src 198.51.100.10
root@h1:~# ip rule
0:\tfrom all lookup local
32766:\tfrom all lookup main
32767:\tfrom all lookup default
root@h1:~# ip neigh
192.0.2.1 dev bond0 lladdr 02:00:00:00:0a:01 REACHABLE
198.51.100.1 dev ens3 lladdr 02:00:00:00:0b:01 REACHABLE
root@h1:~# iptables-save
# Generated by iptables-save v1.8.9 on Sun Nov 29 12:00:00 2026
*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
COMMIT
# Completed on Sun Nov 29 12:00:00 2026
root@h1:~# \n";

#[test]
fn what_takes_the_place_of_a_thing_is_followed() {
    let folder = super::Folder::new(&[("host.txt", HOST)]);
    let host = folder.join("host.txt");
    let ask = |more: &[&str]| {
        let start = ["trace", &host, "ns:root", "ip:203.0.113.1", "--format", "minimal"];
        run(start.iter().copied().chain(more.iter().copied()))
    };
    let ends = |more: &[&str]| ask(more).out.lines().next().unwrap_or_default().to_owned();
    assert_eq!(ends(&[]), "yes: leaves-capture at h1 ens1");
    // The other member of the bond carries on, and the other route.
    assert_eq!(ends(&["--without", "ens1"]), "yes: leaves-capture at h1 ens2");
    assert_eq!(ends(&["--without", "bond0"]), "yes: leaves-capture at h1 ens3");
    // A host of its own cannot do without itself.
    assert!(ends(&["--without", "h1"]).starts_with("no: blackholed without at h1"));
}

#[test]
fn a_bound_sender_sends_by_its_device() {
    let folder = super::Folder::new(&[("host.txt", HOST)]);
    let host = folder.join("host.txt");
    let ask = |more: &[&str]| {
        let start = ["trace", &host, "ns:root", "ip:203.0.113.1", "--format", "minimal"];
        run(start.iter().copied().chain(more.iter().copied()))
    };
    let bound = ask(&["--oif", "ens3"]);
    assert!(bound.out.starts_with("yes: leaves-capture at h1 ens3"), "{}", bound.out);
    let nobody = ask(&["--oif", "ens9"]);
    assert_eq!(nobody.code, Some(2));
    assert!(nobody.err.contains("root on h1 has no device ens9"), "{}", nobody.err);
    // Without a route by its device the destination is taken to be on the link.
    let link = run(["trace", &host, "ns:root", "ip:192.0.2.7", "--oif", "ens3"]);
    assert!(
        link.out.contains("no route by ens3: taken to be on its link")
            || link.out.contains("via 198.51.100.1 by ens3"),
        "{}",
        link.out
    );
    let guest = run(["trace", &node2(), "vm:instance-0000002d", "dhcp", "--oif", "eth0"]);
    assert_eq!(guest.code, Some(2));
}

/// A host behind a firewall that lets in what its rules name.
fn behind_a_firewall(rules: &str) -> String {
    let start = HOST.split("root@h1:~# iptables-save").next().unwrap_or_default();
    format!(
        "{start}root@h1:~# iptables-save\n# Generated by iptables-save v1.8.9 on Sun Nov 29 \
             12:00:00 2026\n*filter\n:INPUT DROP [0:0]\n:FORWARD ACCEPT [0:0]\n\
             :OUTPUT ACCEPT [0:0]\n:web - [0:0]\n{rules}COMMIT\n# Completed on Sun Nov 29 12:00:00 \
             2026\nroot@h1:~# sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.ens3.rp_filter\n\
             net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.ens3.rp_filter = 0\nroot@h1:~# \n"
    )
}

#[test]
fn what_would_have_passed_is_asked_and_not_read() {
    let nearest = |rules: &str| {
        let folder = super::Folder::new(&[("host.txt", &behind_a_firewall(rules))]);
        let host = folder.join("host.txt");
        let ran = run([
            "trace",
            &host,
            "if:ens3",
            "ip:198.51.100.10",
            "--src",
            "198.51.100.77",
            "--dport",
            "8080",
            "--format",
            "json",
        ]);
        assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
        let json = ran.json();
        assert_eq!(json["reason"], "nf-drop");
        json["nearest"]["text"].as_str().map(str::to_owned)
    };
    let of = |rules: &str, allowed: Option<&str>| {
        assert_eq!(nearest(rules).as_deref(), allowed, "{rules}");
    };
    of("", None);
    of(
        "-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
         -A INPUT -p tcp -m tcp --dport 80 -j ACCEPT\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n\
         -A INPUT -p icmp -j ACCEPT\n",
        Some("tcp 22, 80, icmp"),
    );
    // A rule that is never asked, since another stops the packet first.
    of(
        "-A INPUT -p tcp -m tcp --dport 22 -j DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n",
        None,
    );
    // Through a chain, and back from it.
    of(
        "-A INPUT -p tcp -j web\n-A web -p tcp -m multiport --dports 80,443 -j ACCEPT\n",
        Some("tcp 80, 443"),
    );
    of("-A INPUT -p tcp -j web\n-A web -p tcp -m tcp --dport 80 -j RETURN\n", None);
    of("-A INPUT -p tcp -m tcp --dport 8000:8079 -j ACCEPT\n", Some("tcp 8000-8079"));
    of(
        "-A INPUT -s 10.0.0.0/8 -p tcp -m tcp --dport 8080 -j ACCEPT\n",
        Some("tcp from 10.0.0.0/8"),
    );
    // What nobody who asks can change.
    of("-A INPUT -i ens9 -p tcp -m tcp --dport 8080 -j ACCEPT\n", None);
    of("-A INPUT -p tcp -m tcp ! --dport 8080 -j ACCEPT\n", None);
}

#[test]
fn every_rule_and_route_that_was_looked_at_is_shown_on_demand() {
    let rules = "-A INPUT -p tcp -j web\n-A web -p tcp -m tcp --dport 8080 -j ACCEPT\n";
    let folder = super::Folder::new(&[("host.txt", &behind_a_firewall(rules))]);
    let host = folder.join("host.txt");
    let ask = |from: &str, to: &str| {
        let port = ["--src", "198.51.100.77", "--dport", "8080", "-v"];
        run(["trace", &host, from, to].into_iter().chain(port)).out
    };
    let inwards = ask("if:ens3", "ip:198.51.100.10");
    for line in [
        "INPUT filter: 2 rules looked at: accepts",
        "host.txt:37: -A INPUT -p tcp -j web",
        "host.txt:38: -A web -p tcp -m tcp --dport 8080 -j ACCEPT",
        "no nft rules stand beside those of iptables",
    ] {
        assert!(inwards.contains(line), "{line}:\n{inwards}");
    }
    let outwards = ask("ns:root", "ip:203.0.113.1");
    for line in [
        "rule 0: leads to no route",
        "rule 32766: decides",
        "table main: route taken",
        "table main: route also holds it",
    ] {
        assert!(outwards.contains(line), "{line}:\n{outwards}");
    }
}

#[test]
fn a_picture_of_the_path_holds_nothing_of_a_name_unescaped() {
    let hostile = HOST.replace("bond0", "b<i>&\"'");
    let folder = super::Folder::new(&[("host.txt", &hostile)]);
    let ran =
        run(["trace", &folder.join("host.txt"), "ns:root", "ip:203.0.113.1", "--format", "svg"]);
    assert!(ran.out.contains("b&lt;i&gt;&amp;&quot;&#39;"), "{}{}", ran.out, ran.err);
    let document = roxmltree::Document::parse(&ran.out).expect("XML");
    let names: std::collections::BTreeSet<_> = document
        .descendants()
        .filter(roxmltree::Node::is_element)
        .map(|node| node.tag_name().name())
        .collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["path", "rect", "style", "svg", "text"]);
    let words = |text: &str| {
        document.descendants().any(|node| node.text().is_some_and(|own| own.contains(text)))
    };
    assert!(words("reached: ") || words("cannot tell: "), "{}", ran.out);
    assert!(words("namespace root"), "{}", ran.out);
}

#[test]
fn a_connection_that_is_tracked_decides_state_and_translation() {
    let rules = "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n";
    let host = behind_a_firewall(rules).replace(":FORWARD ACCEPT", ":FORWARD DROP");
    let host = format!(
        "{}root@h1:~# conntrack -L\ntcp      6 431999 ESTABLISHED src=198.51.100.77 dst=198.51.100.10 \
         sport=5000 dport=80 src=192.0.2.1 dst=198.51.100.77 sport=8080 dport=5000 [ASSURED] mark=0 use=1\n\
         udp      17 29 src=198.51.100.77 dst=198.51.100.10 sport=5000 dport=53 [UNREPLIED] \
         src=192.0.2.1 dst=198.51.100.77 sport=53 dport=5000 mark=0 use=1\n\
         conntrack v1.4.6 (conntrack-tools): 2 flow entries have been shown.\n\
         root@h1:~# sysctl net.ipv4.ip_forward\nnet.ipv4.ip_forward = 1\nroot@h1:~# \n",
        host.trim_end_matches("root@h1:~# \n")
    );
    let folder = super::Folder::new(&[("host.txt", &host)]);
    let path = folder.join("host.txt");
    let ask = |proto: &str, sport: &str, dport: &str| {
        let packet =
            ["--proto", proto, "--src", "198.51.100.77", "--sport", sport, "--dport", dport];
        run(["trace", &path, "if:ens3", "ip:198.51.100.10"].into_iter().chain(packet)).out
    };
    let known = ask("tcp", "5000", "80");
    assert!(known.contains("a known connection has its destination at 192.0.2.1"), "{known}");
    assert!(known.contains("[nw_dst 198.51.100.10 → 192.0.2.1, tp_dst 80 → 8080]"), "{known}");
    assert!(known.contains("out on the wire"), "{known}");
    // Another one is for the host itself, whose filter stops it.
    assert!(ask("tcp", "5001", "80").starts_with("not reached: dropped at h1 ens3 (nf-drop"));
    // Without an answer it is translated, and new all the same.
    let new = ask("udp", "5000", "53");
    assert!(new.contains("a known connection has its destination at 192.0.2.1"), "{new}");
    assert!(new.starts_with("not reached: dropped at h1 ens3 (nf-drop"), "{new}");
}

#[test]
fn states_are_told_pass_by_pass() {
    // Two namespaces in a row: each has a tracker of its own.
    let rules = "-A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT\n";
    let folder = super::Folder::new(&[("host.txt", &behind_a_firewall(rules))]);
    let path = folder.join("host.txt");
    let ask = |states: &str| {
        let packet =
            ["--src", "198.51.100.77", "--dport", "80", "--ct", states, "--format", "minimal"];
        let out =
            run(["trace", &path, "if:ens3", "ip:198.51.100.10"].into_iter().chain(packet)).out;
        out.lines().next().unwrap_or_default().to_owned()
    };
    assert!(ask("new").starts_with("no: dropped nf-drop"), "{}", ask("new"));
    assert!(!ask("est").starts_with("no"), "{}", ask("est"));
    // The first pass counts here, whatever follows.
    assert!(ask("new,est").starts_with("no: dropped nf-drop"));
    assert!(!ask("est,new").starts_with("no"), "{}", ask("est,new"));
    let wrong = run(["trace", &path, "if:ens3", "ip:198.51.100.10", "--ct", "new,odd"]);
    assert_eq!(wrong.code, Some(2));
    assert!(wrong.err.contains("odd is no state of a connection"), "{}", wrong.err);
}
