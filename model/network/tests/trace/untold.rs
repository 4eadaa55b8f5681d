//! Devices of which no text of `tc` tells: what is taken for granted, and what other texts hint at.
use super::common::{port, with_network};
use super::{FILTER, ask, two_on_a_bridge};
use tapline_network::trace::{Question, Tracer};

/// The verdict on a ping from one namespace to the other, and what it takes for granted of filters.
fn granted(text: &str) -> (Option<bool>, Vec<String>) {
    with_network(text, |network| {
        let to = Some("ip:192.0.2.2".to_owned());
        let question = Question { from: "ns:a".to_owned(), to, ..Question::default() };
        let verdict = Tracer::new(network).ask(&question).unwrap().trace.verdict;
        let all = verdict.assumptions.iter().flat_map(|(_, text)| text.split("; "));
        let of_tc = all.filter(|text| text.contains("tc ") || text.contains("rate"));
        (verdict.reached, of_tc.map(str::to_owned).collect())
    })
}

fn with(more: &str) -> String {
    two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        &format!("{more}root@h1:~# ip netns exec a ip -d address\n"),
    )
}

/// Whether it is taken for granted that no rules of the old iptables stand beside those of nft.
#[test]
fn rules_of_the_old_tool_may_stand_beside_those_of_nft() {
    let nft = "table inet fw {\n\tchain in {\n\t\ttype filter hook input priority filter; policy accept;\n\t}\n}\n";
    let saved = format!("exec b iptables-save\n{FILTER}");
    let text = two_on_a_bridge(&port("forwarding"));
    let alone = text.replace(&saved, &format!("exec b nft list ruleset\n{nft}"));
    let beside =
        text.replace(&saved, &format!("exec b nft list ruleset\n{nft}root@h1:~# ip netns {saved}"));
    for (text, assumed) in [(&text, false), (&alone, true), (&beside, false)] {
        let found = with_network(text, |network| {
            let to = Some("ip:192.0.2.2".to_owned());
            let question = Question { from: "ns:a".to_owned(), to, ..Question::default() };
            let verdict = Tracer::new(network).ask(&question).unwrap().trace.verdict;
            assert_eq!(verdict.reached, Some(true));
            verdict.assumptions.iter().any(|(_, text)| text.contains("old iptables"))
        });
        assert_eq!(found, assumed, "{text}");
    }
}

fn whole(netns: &str) -> String {
    let inside = if netns.is_empty() { String::new() } else { format!("ip netns exec {netns} ") };
    format!("root@h1:~# {inside}tc qdisc show\nqdisc noqueue 0: dev lo root refcnt 2 \n")
}

#[test]
fn filters_that_were_not_captured_are_thought_away_once_for_each_host() {
    let said = |of: &str, there: &str| {
        vec![format!(
            "no tc filter, police or BPF program acts on it {of} of h1: tc qdisc show was not captured{there}"
        )]
    };
    assert_eq!(granted(&with("")), (Some(true), said("at devices", "")));
    assert_eq!(granted(&with(&whole(""))), (Some(true), said("in namespaces", " there")));
    let inside = whole("a") + &whole("b");
    assert_eq!(granted(&with(&inside)), (Some(true), said("at devices", "")));
    let all = inside + &whole("");
    assert_eq!(granted(&with(&all)), (Some(true), Vec::new()));
    // Of one device and not of the other, and of nothing that is on the way.
    let one = whole("a")
        + &whole("b")
        + "root@h1:~# tc qdisc show dev va\nqdisc noqueue 0: root refcnt 2 \n";
    assert_eq!(granted(&with(&one)), (Some(true), said("at devices", "")));
    let both = one + "root@h1:~# tc qdisc show dev vb\nqdisc noqueue 0: root refcnt 2 \n";
    assert_eq!(granted(&with(&both)), (Some(true), Vec::new()));
    // A text that failed says nothing.
    let failed =
        whole("a") + &whole("b") + "root@h1:~# tc qdisc show\n-bash: tc: command not found\n";
    assert_eq!(granted(&with(&failed)), (Some(true), said("at devices", "")));
}

#[test]
fn queues_that_ip_link_names_may_lose_packets() {
    let queue = |kind: &str| {
        with("").replace(
            "vb@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue",
            &format!("vb@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc {kind}"),
        )
    };
    let open = ask(&queue("netem"), "ns:a", "ip:192.0.2.2", |_| {});
    assert!(open[0].starts_with("unknown: unknown queue-loss"), "{open:#?}");
    assert!(open.contains(&"next tc -s qdisc show dev vb".to_owned()), "{open:#?}");
    let lost = ask(&queue("blackhole"), "ns:a", "ip:192.0.2.2", |_| {});
    assert!(lost[0].starts_with("no: "), "{lost:#?}");
    for kind in ["htb", "fq_codel", "tbf"] {
        assert_eq!(granted(&queue(kind)).0, Some(true), "{kind}");
    }
    // The text of `tc` itself counts.
    let told = queue("netem").replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        "root@h1:~# tc -s qdisc show dev vb\nqdisc netem 8001: root refcnt 2 limit 1000 delay 10ms\n Sent 0 bytes 0 pkt\nroot@h1:~# ip netns exec a ip -d address\n",
    );
    assert_eq!(granted(&told).0, Some(true));
}

#[test]
fn programs_of_platforms_for_pods_decide_where_packets_go() {
    let device = |name: &str| {
        format!(
            "root@h1:~# ip -d link show dev {name}\n9: {name}@cilium_net: <BROADCAST,MULTICAST,NOARP,UP,LOWER_UP> mtu \
             1500 qdisc noqueue state UP mode DEFAULT group default qlen 1000\n    link/ether \
             02:00:00:00:0f:09 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    veth\n"
        )
    };
    let of_pod = |text: &str| text.replace("va@if2", "lxc1f2e3d4c5b6a@if2");
    let open = ask(&of_pod(&with(&device("cilium_host"))), "ns:a", "ip:192.0.2.2", |_| {});
    assert!(open[0].starts_with("unknown: unknown ebpf"), "{open:#?}");
    assert!(open.contains(&"next bpftool net list".to_owned()), "{open:#?}");
    // That queues have no hooks says nothing of programs at the links of the kernel's own kind (tcx).
    let text = of_pod(&with(&(device("cilium_host") + &whole(""))));
    assert!(ask(&text, "ns:a", "ip:192.0.2.2", |_| {})[0].starts_with("unknown: unknown ebpf"));
    // Devices that are not of pods; a host of another platform; one where all programs were listed.
    assert_eq!(granted(&with(&device("cilium_host"))).0, Some(true));
    assert_eq!(granted(&of_pod(&with(&device("dummy0")))).0, Some(true));
    let listed = "root@h1:~# bpftool net list\nxdp:\n\ntc:\n\nflow_dissector:\n\nnetfilter:\n\n";
    assert_eq!(granted(&of_pod(&with(&(device("cilium_host") + listed)))).0, Some(true));
}

/// A bridge of Open vSwitch with the two namespaces, whose port `va` has a hook.
fn switched(columns: &str, kind: &str) -> String {
    let flows = "root@h1:~# ovs-vsctl show\n5a0c9a4c-1d3c-4b8c-9a3b-1f6a4c1d2e3f\n    Bridge br1\n        Port br1\n            \
         Interface br1\n                type: internal\n        Port va\n            Interface va\n        Port vb\n            \
         Interface vb\n    ovs_version: \"2.17.9\"\nroot@h1:~# ovs-ofctl show br1\nOFPT_FEATURES_REPLY (xid=0x2): \
         dpid:0000aabbccddeeff\nn_tables:254, n_buffers:0\ncapabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS \
         ARP_MATCH_IP\nactions: output enqueue\n 1(va): addr:52:54:00:00:01:03\n     config:     0\n     state:      0\n \
         2(vb): addr:52:54:00:00:01:04\n     config:     0\n     state:      0\n LOCAL(br1): addr:52:54:00:00:01:07\n     \
         config:     0\n     state:      0\nOFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0\nroot@h1:~# ovs-ofctl \
         dump-flows br1\n cookie=0x0, duration=9.1s, table=0, n_packets=0, n_bytes=0, priority=0 actions=NORMAL\nroot@h1:~# ovs-appctl fdb/show \
         br1\n port  VLAN  MAC                Age\n    2     0  02:00:00:00:0b:01    1\n    1     0  02:00:00:00:0a:01    1\n";
    let hook = format!(
        "root@h1:~# tc qdisc show\nqdisc noqueue 0: dev vb root refcnt 2 \nqdisc {kind} ffff: dev va parent ffff:fff1 \n"
    );
    let text = with(&format!("{flows}{columns}{hook}{}{}", whole("a"), whole("b")));
    text.replace("master br0", "master ovs-system")
}

#[test]
fn hooks_that_open_vswitch_made_do_what_it_says() {
    let interface = "root@h1:~# ovs-vsctl list interface va\n_uuid               : 5a0c9a4c-1d3c-4b8c-9a3b-1f6a4c1d2e30\nname                : va\n";
    let policed = |rate: &str| {
        format!("{interface}ingress_policing_rate: {rate}\ntype                : \"\"\n")
    };
    let offload = |on: &str| {
        format!(
            "root@h1:~# ovs-vsctl list Open_vSwitch\n_uuid               : 5a0c9a4c-1d3c-4b8c-9a3b-1f6a4c1d2e3f\nother_config        : {{{on}}}\novs_version         : \"2.17.9\"\n"
        )
    };
    let rate = "it keeps within the rate by which Open vSwitch polices it";
    let flows = "filters at ports are flows that Open vSwitch hands to tc (hw-offload)";
    for (columns, kind, reached, said) in [
        (policed("1000"), "ingress", Some(true), Some(rate)),
        (policed("1000"), "clsact", None, None),
        (policed("0"), "ingress", None, None),
        (offload("hw-offload=\"true\""), "ingress", Some(true), Some(flows)),
        (offload("hw-offload=\"false\""), "ingress", None, None),
        (String::new(), "ingress", None, None),
        (String::new(), "noqueue", Some(true), None),
    ] {
        let (found, granted) = granted(&switched(&columns, kind));
        assert_eq!(found, reached, "{columns} {kind}");
        if reached.is_some() {
            let said: Vec<&str> = said.into_iter().collect();
            assert_eq!(granted, said, "{columns} {kind}");
        }
    }
}

/// Two namespaces on a bridge, of which the second listens at port 80 and has these texts of filters.
fn guarded(filters: &str) -> String {
    two_on_a_bridge(&port("forwarding"))
        .replace(&format!("root@h1:~# ip netns exec b iptables-save\n{FILTER}"), filters)
        .replace(
            "root@h1:~# ip netns exec b sysctl",
            "root@h1:~# ip netns exec b ss -lnptu\nNetid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n\
             tcp   LISTEN 0      128    0.0.0.0:80         0.0.0.0:*\nroot@h1:~# ip netns exec b sysctl",
        )
}

fn verdict_at(text: &str, port: u16) -> (String, String) {
    with_network(text, |network| {
        let question = Question {
            from: "ns:a".to_owned(),
            to: Some("ip:192.0.2.2".to_owned()),
            proto: Some("tcp".to_owned()),
            dport: Some(port),
            ..Question::default()
        };
        let verdict = Tracer::new(network).ask(&question).unwrap().trace.verdict;
        let all: Vec<&str> = verdict.assumptions.iter().map(|(_, text)| text.as_str()).collect();
        (format!("{:?} {:?}", verdict.reached, verdict.reason), all.join("; "))
    })
}

#[test]
fn rules_that_translate_may_stand_beside_those_that_were_listed() {
    let run = |command: &str, text: &str| format!("root@h1:~# ip netns exec b {command}\n{text}");
    let accepts = "-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n";
    let nat = "-P PREROUTING ACCEPT\n-P INPUT ACCEPT\n-P OUTPUT ACCEPT\n-P POSTROUTING ACCEPT\n";
    let only_filter = guarded(&run("iptables -S", accepts));
    for port in [80, 81] {
        assert!(
            verdict_at(&only_filter, port).0.starts_with("None"),
            "{:?}",
            verdict_at(&only_filter, port)
        );
    }
    // Tables that only change marks and the like are asked for, too.
    let both = run("iptables -S", accepts) + &run("iptables -t nat -S", nat);
    for port in [80, 81] {
        let (told, _) = verdict_at(&guarded(&both), port);
        assert!(told.starts_with("None"), "{told}");
    }
    let saved = guarded(&run("iptables-save", FILTER));
    let (told, granted) = verdict_at(&saved, 80);
    assert_eq!(told, "Some(true) None");
    assert!(granted.contains("no nft rules stand beside those of iptables"), "{granted}");
}

#[test]
fn rules_of_nft_may_stand_beside_iptables_that_has_none() {
    let run = |command: &str, text: &str| format!("root@h1:~# ip netns exec b {command}\n{text}");
    let (told, granted) = verdict_at(&guarded(&run("iptables-save", "")), 80);
    assert!(told.starts_with("Some(true)"), "{told}");
    assert!(granted.contains("no nft rules stand beside those of iptables"), "{granted}");
    // It was cut off: there are rules.
    let cut = "table inet guard {\n\tchain input {\n\t\ttype filter hook input priority filter; policy accept;\n";
    let text = guarded(&(run("iptables-save", "") + &run("nft list ruleset", cut)));
    assert!(verdict_at(&text, 80).0.starts_with("None"), "{:?}", verdict_at(&text, 80));
    let whole = format!("{cut}\t}}\n}}\n");
    let text = guarded(&(run("iptables-save", "") + &run("nft list ruleset", &whole)));
    assert_eq!(verdict_at(&text, 80).0, "Some(true) None");
}

#[test]
fn listeners_and_neighbours_may_be_in_what_was_cut_off() {
    let text = guarded(&format!("root@h1:~# ip netns exec b iptables-save\n{FILTER}"));
    assert_eq!(verdict_at(&text, 81).0, "Some(false) Some(NoListener)");
    let cut = |command: &str, output: &str| {
        // It is the last of the session, and ends within a line.
        let text = text.trim_end_matches("root@h1:~# \n");
        let listed = "tcp   LISTEN 0      128    0.0.0.0:80         0.0.0.0:*\n";
        let text = if command.contains("ss ") { text.replace(listed, "") } else { text.to_owned() };
        let text = text.replace("root@h1:~# ip netns exec b ss -lnptu\nNetid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n", "");
        format!("{text}root@h1:~# {command}\n{output}")
    };
    let sockets = "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process\n\
                   tcp   LISTEN 0      128    0.0.0.0:80         0.0.0.0:*\ntcp   LISTEN 0      128    0.0.0.0:8";
    let told = verdict_at(&cut("ip netns exec b ss -lnptu", sockets), 81).0;
    assert!(told.starts_with("None"), "{told}");
    // An entry that failed stops what is sent; it may be in the part that is missing.
    let whole =
        "192.0.2.9 dev eth0 lladdr 02:00:00:00:00:99 REACHABLE\n192.0.2.2 dev eth0 FAILED\n";
    let ping = |text: &str| ask(text, "ns:a", "ip:192.0.2.2", |_| {})[0].clone();
    let told = ping(&cut("ip netns exec a ip neigh", &format!("{whole}root@h1:~# \n")));
    assert!(told.starts_with("no: rejected neigh-failed"), "{told}");
    let told = ping(&cut("ip netns exec a ip neigh", whole.get(..70).unwrap()));
    assert!(told.starts_with("unknown: unknown not-captured"), "{told}");
}
