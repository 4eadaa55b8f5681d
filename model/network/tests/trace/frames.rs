//! Filters that see frames, and frames that iptables sees.
use super::common::{BRIDGE, port};
use super::{FILTER, RULES, ask, two_on_a_bridge};

/// What becomes of ICMP from one namespace to the other where the host has such a table of nft.
fn past_nft(table: &str) -> Vec<String> {
    let text = two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        &format!("root@h1:~# nft list ruleset\n{table}root@h1:~# ip netns exec a ip -d address\n"),
    );
    ask(&text, "ns:a", "ip:192.0.2.2", |_| {})
}

#[test]
fn rules_of_nft_that_see_frames_are_met_on_a_bridge() {
    let chain = |hook: &str, rules: &str| {
        past_nft(&format!(
            "table bridge guard {{\n\tchain c {{\n\t\ttype filter hook {hook} priority filter; \
             policy accept;\n\t\t{rules}\n\t}}\n}}\n"
        ))
    };
    for (hook, rules, expected) in [
        ("prerouting", "iifname \"va\" drop", "no: dropped nf-drop"),
        ("forward", "ip saddr 192.0.2.1 drop", "no: dropped nf-drop"),
        ("forward", "iifname \"v*\" oifname \"vb\" drop", "no: dropped nf-drop"),
        ("postrouting", "oifname \"vb\" drop", "no: dropped nf-drop"),
        // Other ports, other addresses, other hooks.
        ("forward", "iifname \"vb\" ip saddr 192.0.2.2 drop", "yes: delivered"),
        ("forward", "iifname \"br0\" drop", "yes: delivered"),
        ("forward", "ip saddr 192.0.2.9 drop", "yes: delivered"),
        ("input", "iifname \"va\" drop", "yes: delivered"),
        ("output", "drop", "yes: delivered"),
        // By there the answer to ARP comes back.
        ("forward", "iifname \"vb\" drop", "no: rejected nf-drop"),
        // What is not understood, and the state of a connection, which bridges may not track.
        ("forward", "ether daddr 02:00:00:00:0b:01 drop", "no: dropped nf-drop"),
        ("forward", "ether daddr & 01:00:00:00:00:00 == 00:00:00:00:00:00 drop", "unknown"),
        // What the frame says beside its packet.
        ("forward", "ether daddr ff:ff:ff:ff:ff:ff drop", "no: rejected nf-drop"),
        ("forward", "ether type ip drop", "no: dropped nf-drop"),
        ("forward", "ether type { ip, arp } accept", "yes: delivered"),
        ("forward", "ether type arp drop", "no: rejected nf-drop"),
        ("forward", "meta protocol arp drop", "no: rejected nf-drop"),
        ("forward", "meta protocol ip6 drop", "yes: delivered"),
        ("forward", "vlan id 10 drop", "yes: delivered"),
        ("forward", "arp operation reply drop", "no: rejected nf-drop"),
        ("forward", "arp operation nak drop", "yes: delivered"),
        ("forward", "arp saddr ip 192.0.2.2 drop", "no: rejected nf-drop"),
        ("forward", "arp saddr ip != 192.0.2.0/24 drop", "yes: delivered"),
        ("forward", "arp daddr ether 02:00:00:00:0a:01 drop", "no: rejected nf-drop"),
        ("forward", "arp htype 1 arp ptype ip arp operation request drop", "no: rejected nf-drop"),
        ("forward", "ip saddr != 192.0.2.9 drop", "no: dropped nf-drop"),
        ("forward", "meta pkttype host drop", "yes: delivered"),
        ("forward", "meta pkttype other drop", "no: dropped nf-drop"),
        ("forward", "ct state new drop", "unknown"),
        ("forward", "meta nfproto ipv4 drop", "unknown"),
    ] {
        let way = chain(hook, rules);
        assert!(way[0].starts_with(expected), "{hook} {rules}: {way:#?}");
    }
    // A table that sleeps drops nothing.
    let asleep = "table bridge guard {\n\tflags dormant\n\tchain c {\n\t\ttype filter hook forward \
                  priority filter; policy drop;\n\t}\n}\n";
    assert!(past_nft(asleep)[0].starts_with("yes: delivered"), "{:#?}", past_nft(asleep));
    let way = chain("forward", "ip saddr 192.0.2.1 drop");
    assert_eq!(way.last().map(String::as_str), Some("netfilter - > -"), "{way:#?}");
}

/// What becomes of ICMP from one namespace to the other past such rules of ebtables, each in its chain.
fn past_ebtables(rules: &str) -> Vec<String> {
    let saved: String = rules.split("; ").flat_map(|rule| ["-A ", rule, "\n"]).collect();
    let text = two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        &format!(
            "root@h1:~# ebtables-save\n*filter\n:INPUT ACCEPT\n:FORWARD ACCEPT\n:OUTPUT ACCEPT\n{saved}\n\
             root@h1:~# ip netns exec a ip -d address\n"
        ),
    );
    ask(&text, "ns:a", "ip:192.0.2.2", |_| {})
}

#[test]
fn rules_of_ebtables_see_arp_both_ways() {
    for (rules, expected) in [
        // The request goes by va, the answer by vb.
        ("FORWARD -p ARP -i va -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP -i vb -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP -o va -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p 0x0806 -i vb -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP -i vb --arp-op Reply -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP -i vb --arp-op Request -j DROP", "yes: delivered"),
        ("FORWARD -p ARP --arp-op Request -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP -i vb --arp-ip-src 192.0.2.2 -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP -i vb --arp-ip-src 192.0.2.3 -j DROP", "yes: delivered"),
        ("FORWARD -p ARP -i vb --arp-ip-src ! 192.0.2.2 -j DROP", "yes: delivered"),
        ("FORWARD -p ARP -i vb --arp-ip-dst 192.0.2.0/24 -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP --arp-mac-src 02:00:00:00:0b:01 -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p ARP --arp-gratuitous -j DROP", "yes: delivered"),
        ("FORWARD -p ARP --arp-htype 1 --arp-ptype 0x0800 -j DROP", "no: rejected nf-drop"),
        ("FORWARD -p RARP -j DROP", "yes: delivered"),
        ("FORWARD -p ARP -j ACCEPT; FORWARD -p IPv4 -j ACCEPT; FORWARD -j DROP", "yes: delivered"),
        ("FORWARD -p IPv4 -j ACCEPT; FORWARD -j DROP", "no: rejected nf-drop"),
        // A part that is not understood may stop it.
        ("FORWARD -p ARP --odd-one 7 -j DROP", "unknown: unknown not-modelled"),
    ] {
        let way = past_ebtables(rules);
        assert!(way[0].starts_with(expected), "{rules}: {way:#?}");
    }
}

#[test]
fn rules_of_ebtables_see_heads_and_packets() {
    for (rules, stops) in [
        ("-p IPv4 --ip-proto icmp", true),
        ("-p IPv4 --ip-proto tcp", false),
        ("-p IPv4 --ip-proto udp --ip-dport 67:68", false),
        ("-p IPv4 --ip-src 192.0.2.0/24 --ip-dst ! 192.0.2.9", true),
        ("-p IPv4 --ip-src 192.0.2.0/255.255.255.0 --ip-tos 0x10", false),
        ("-p IPv4 --ip-icmp-type echo-request", true),
        ("-p IPv6 --ip6-proto tcp", false),
        ("-p IPv4 -s 02:00:00:00:0a:01", true),
        ("-p IPv4 -s 02:00:00:00:00:00/ff:ff:00:00:00:00 -d ! Broadcast", true),
        ("-p IPv4 -d Multicast", false),
        ("-p IPv4 -d Unicast", true),
        ("-p IPv4 --pkttype-type otherhost", true),
        ("-p IPv4 --pkttype-type host", false),
        ("-p 802_1Q --vlan-id 10", false),
        ("-p 802_1Q --vlan-encap ARP", false),
        ("-p IPv4 --mark 0x1", false),
        ("-p IPv4 --among-src 02:00:00:00:0a:01=192.0.2.1,02:00:00:00:0a:02,", true),
        ("-p IPv4 --among-src 02:00:00:00:0a:01=192.0.2.9,02:00:00:00:0a:02,", false),
        ("-p IPv4 --among-dst ! 02:00:00:00:0b:01,", false),
        ("--among-src ! 02:00:00:00:0a:01=192.0.2.1,02:00:00:00:0b:01=192.0.2.2,", false),
    ] {
        let way = past_ebtables(&format!("FORWARD {rules} -j DROP"));
        let expected = if stops { "no: dropped nf-drop" } else { "yes: delivered" };
        assert!(way[0].starts_with(expected), "{rules}: {way:#?}");
    }
}

#[test]
fn rules_of_nft_for_devices_are_met_at_those_devices() {
    let chain = |family: &str, at: &str, rules: &str| {
        past_nft(&format!(
            "table {family} guard {{\n\tchain c {{\n\t\ttype filter hook {at} priority 0; policy \
             accept;\n\t\t{rules}\n\t}}\n}}\n"
        ))
    };
    for (family, at, rules, expected) in [
        ("netdev", "ingress device \"va\"", "icmp type echo-request drop", "no: dropped nf-drop"),
        ("netdev", "ingress devices = { vx, va }", "drop", "no: dropped nf-drop"),
        ("inet", "ingress device \"va\"", "ip protocol icmp drop", "no: dropped nf-drop"),
        ("netdev", "egress device \"vb\"", "ip daddr 192.0.2.2 drop", "no: dropped nf-drop"),
        ("netdev", "ingress device \"vb\"", "ip daddr 192.0.2.1 drop", "yes: delivered"),
        ("netdev", "egress device \"va\"", "ip daddr 192.0.2.1 drop", "yes: delivered"),
        // The answer to ARP comes back by these.
        ("netdev", "ingress device \"vb\"", "drop", "no: rejected nf-drop"),
        ("netdev", "egress device \"va\"", "drop", "no: rejected nf-drop"),
        ("netdev", "ingress device \"va\"", "tcp dport 22 drop", "yes: delivered"),
        ("netdev", "ingress device \"va\"", "fwd to \"vx\"", "unknown"),
    ] {
        let way = chain(family, at, rules);
        assert!(way[0].starts_with(expected), "{family} {at} {rules}: {way:#?}");
    }
}

#[test]
fn rules_of_nft_for_arp_are_met_where_a_namespace_takes_and_sends_it() {
    let chain = |netns: &str, hook: &str, rules: &str| {
        let text = two_on_a_bridge(&port("forwarding")).replace(
            "root@h1:~# ip netns exec a ip rule\n",
            &format!(
                "root@h1:~# ip netns exec {netns} nft list ruleset\ntable arp guard {{\n\tchain c {{\n\t\t\
                 type filter hook {hook} priority filter; policy accept;\n\t\t{rules}\n\t}}\n}}\n\
                 root@h1:~# ip netns exec a ip rule\n"
            ),
        );
        ask(&text, "ns:a", "ip:192.0.2.2", |_| {})
    };
    for (netns, hook, rules, expected) in [
        ("b", "input", "drop", "no: rejected nf-drop"),
        ("b", "input", "iifname \"eth0\" drop", "no: rejected nf-drop"),
        ("b", "input", "iifname \"eth1\" drop", "yes: delivered"),
        ("b", "output", "drop", "no: rejected nf-drop"),
        ("a", "output", "drop", "no: rejected nf-drop"),
        ("a", "input", "drop", "no: rejected nf-drop"),
        ("a", "output", "accept", "yes: delivered"),
    ] {
        let way = chain(netns, hook, rules);
        assert!(way[0].starts_with(expected), "{netns} {hook} {rules}: {way:#?}");
    }
}

#[test]
fn part_of_a_ruleset_settles_nothing() {
    let cut = "table bridge guard {\n\tchain c {\n\t\ttype filter hook forward priority filter; \
               policy drop;\n\t\tip saddr 192.0.2.9 accept\n";
    let way = past_nft(cut);
    assert!(way[0].starts_with("unknown"), "{way:#?}");
}

#[test]
fn frames_of_a_filtered_bridge_pass_prerouting_once() {
    let marks = FILTER.replace("*filter", "*mangle").replace(
        ":INPUT ACCEPT [0:0]\n",
        ":PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n",
    );
    let once = marks.replace(
        "COMMIT",
        "-A PREROUTING -m mark --mark 0x1 -j DROP\n-A PREROUTING -j MARK --set-xmark 0x1/0xffffffff\nCOMMIT",
    );
    let up = "    inet 192.0.2.254/24 scope global br0\n       valid_lft forever preferred_lft forever\n";
    let text = two_on_a_bridge(&port("forwarding"))
        .replace(BRIDGE, &format!("{BRIDGE}{up}"))
        .replace("bridge-nf-call-iptables = 0", "bridge-nf-call-iptables = 1")
        .replace(
            "root@h1:~# ip netns exec a ip -d address\n",
            &format!(
                "root@h1:~# iptables-save\n{once}{FILTER}root@h1:~# ip rule\n{RULES}\
                 root@h1:~# sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.br0.rp_filter\n\
                 net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.br0.rp_filter = 0\n\
                 root@h1:~# ip route show table all\n192.0.2.0/24 dev br0 proto kernel scope link\n\
                 root@h1:~# ip netns exec a ip -d address\n"
            ),
        );
    let way = ask(&text, "ns:a", "ip:192.0.2.254", |_| {});
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    let marks = way.iter().filter(|hop| hop.contains("mark")).count();
    assert_eq!(marks, 1, "{way:#?}");
}
