//! A router between two namespaces: policy rules, marks, lifetimes, sizes and translations, each as a
//! real kernel did with the same set-up.
use tapline_network::trace::{Question, Tracer};

use super::common::with_network;
use super::{FILTER, LO, RULES};

/// What each of the namespaces has beside what it needs: `c` asks, `r` routes, `s` answers.
#[derive(Clone, Default)]
struct More {
    /// Policy rules of `c` and of `r`, each a line.
    rules: [&'static str; 2],
    /// Routes of `c`, of `r` and of `s`.
    routes: [&'static str; 3],
    /// Rules of iptables of `c` and of `r`.
    filter: [&'static str; 2],
    /// Settings of `c` and of `s`.
    settings: [&'static str; 2],
}

/// 10.0.1.2 in `c`, 10.0.2.2 in `s`, and `r` between them, with a route to 10.0.9.0/24 that leads
/// back to `c`.
fn texts(more: &More) -> String {
    let device = |index: u32, name: &str, peer: u32, to: &str, net: u8, host: u8| {
        format!(
            "{index}: {name}@if{peer}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group \
             default qlen 1000\n    link/ether 02:00:00:00:0{net}:0{host} brd ff:ff:ff:ff:ff:ff link-netns {to} \
             promiscuity 0\n    veth\n    inet 10.0.{net}.{host}/24 brd 10.0.{net}.255 scope global {name}\n       \
             valid_lft forever preferred_lft forever\n"
        )
    };
    let link = |net: u8, host: u8, dev: &str| {
        format!(
            "10.0.{net}.0/24 dev {dev} proto kernel scope link src 10.0.{net}.{host}\n\
             local 10.0.{net}.{host} dev {dev} table local proto kernel scope host src 10.0.{net}.{host}\n"
        )
    };
    let settings = |devices: &[&str]| {
        let of = devices.iter().map(|dev| format!("net.ipv4.conf.{dev}.rp_filter = 0\n"));
        format!("net.ipv4.conf.all.rp_filter = 0\n{}", of.collect::<String>())
    };
    let netns = |name: &str,
                 devices: String,
                 rules: &str,
                 routes: String,
                 filter: &str,
                 set: String| {
        let run = format!("root@h1:~# ip netns exec {name}");
        let filter = format!("{filter}{FILTER}");
        let rules = RULES.replace("32766", &format!("{rules}32766"));
        format!(
            "{run} ip -d address\n{LO}{devices}{run} ip rule\n{rules}{run} ip route show table all\n{routes}\
             {run} iptables-save\n{filter}{run} sysctl -a\n{set}"
        )
    };
    let client = netns(
        "c",
        device(2, "ec", 2, "r", 1, 2),
        more.rules[0],
        format!("default via 10.0.1.1 dev ec\n{}{}", link(1, 2, "ec"), more.routes[0]),
        more.filter[0],
        settings(&["ec"])
            + "net.ipv4.ip_forward = 1\nnet.ipv4.conf.ec.forwarding = 1\n"
            + more.settings[0],
    );
    let router = netns(
        "r",
        device(2, "toc", 2, "c", 1, 1) + &device(3, "tos", 2, "s", 2, 1),
        more.rules[1],
        format!(
            "{}{}10.0.9.0/24 via 10.0.1.2 dev toc\n{}",
            link(1, 1, "toc"),
            link(2, 1, "tos"),
            more.routes[1]
        ),
        more.filter[1],
        settings(&["toc", "tos"]) + "net.ipv4.ip_forward = 1\n",
    );
    let server = netns(
        "s",
        device(2, "es", 3, "r", 2, 2),
        "",
        format!("default via 10.0.2.1 dev es\n{}{}", link(2, 2, "es"), more.routes[2]),
        "",
        settings(&["es"]) + more.settings[1],
    );
    format!(
        "root@h1:~# ip netns\ns (id: 2)\nr (id: 1)\nc (id: 0)\nroot@h1:~# ip -d address\n{LO}{client}{router}{server}\
         root@h1:~# ip netns exec s ss -lntu\nNetid State Recv-Q Send-Q Local Address:Port Peer Address:Port\n\
         tcp LISTEN 0 128 0.0.0.0:80 0.0.0.0:*\nroot@h1:~# ip netns exec r ss -lntu\n\
         Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\ntcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n\
         root@h1:~# \n"
    )
}

/// Question and answer in a word each, with the reason where one is lost.
fn ask(more: &More, to: &str, proto: &str, size: Option<u32>) -> String {
    with_network(&texts(more), |network| {
        let question = Question {
            from: "ns:c".to_owned(),
            to: Some(format!("ip:{to}")),
            proto: Some(proto.to_owned()),
            dport: (proto == "tcp").then_some(80),
            size,
            reverse: true,
            ..Question::default()
        };
        let answered = Tracer::new(network).ask(&question).unwrap();
        let say = |verdict: &tapline_network::trace::Verdict| {
            let reason = verdict.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
            format!("{}{reason}", verdict.outcome)
        };
        let back = answered.reverse.as_ref().map(|trace| say(&trace.verdict));
        format!("{}, {}", say(&answered.trace.verdict), back.as_deref().unwrap_or("no answer"))
    })
}

#[test]
fn rules_and_routes_decide_as_in_the_kernel() {
    const SERVER: &str = "10.0.2.2";
    let rules = |client, router| More { rules: [client, router], ..More::default() };
    let routes = |client, router| More { routes: [client, router, ""], ..More::default() };
    let both = "delivered, delivered";
    let (port, other) = (
        "10:\tfrom all iif toc ipproto tcp dport 80 blackhole\n",
        "10:\tfrom all iif toc ipproto tcp dport 81-90 blackhole\n",
    );
    let bound = "10:\tfrom all oif ec blackhole\n";
    let from = "5:\tfrom 10.0.1.2 blackhole\n";
    let by_source = More {
        rules: ["5:\tfrom 10.0.1.2 lookup 77\n", ""],
        routes: ["blackhole default table 77\n", "", ""],
        ..More::default()
    };
    let round = More {
        routes: ["", "10.0.5.0/24 via 10.0.2.2 dev tos\n", ""],
        settings: ["", "net.ipv4.ip_forward = 1\nnet.ipv4.conf.es.forwarding = 1\n"],
        ..More::default()
    };
    let locked = routes("", "10.0.2.2 dev tos scope link mtu lock 1300\n");
    let unlocked = routes("", "10.0.2.2 dev tos scope link mtu 1300\n");
    let own = routes("10.0.2.2 via 10.0.1.1 dev ec mtu 1300\n", "");
    let short = More { settings: ["net.ipv4.ip_default_ttl = 1\n", ""], ..More::default() };
    let deaf = More { settings: ["", "net.ipv4.conf.es.arp_ignore = 8\n"], ..More::default() };
    for (name, more, proto, size, expected) in [
        ("plain", More::default(), "tcp", None, both),
        ("port of a rule", rules("", port), "tcp", None, "dropped route-blackhole, no answer"),
        ("port of a rule and ping", rules("", port), "icmp", None, both),
        ("other ports of a rule", rules("", other), "tcp", None, both),
        ("no socket is bound", rules(bound, ""), "tcp", None, both),
        (
            "source that is found first",
            rules(from, ""),
            "tcp",
            None,
            "dropped route-blackhole, no answer",
        ),
        (
            "ping finds its source so too",
            rules(from, ""),
            "icmp",
            None,
            "dropped route-blackhole, no answer",
        ),
        ("table of the source", by_source, "tcp", None, "dropped route-blackhole, no answer"),
        ("locked MTU", locked.clone(), "icmp", Some(1350), "rejected mtu-df-l3, no answer"),
        ("size of a locked MTU", locked, "icmp", Some(1300), both),
        ("MTU of a route that forwards", unlocked, "icmp", Some(1350), both),
        ("MTU of an own route", own, "icmp", Some(1350), "rejected mtu-df-l3, no answer"),
        ("lifetime", short, "tcp", None, "rejected ttl-exceeded, no answer"),
        ("answers no ARP", deaf, "tcp", None, "rejected neigh-failed, no answer"),
    ] {
        assert_eq!(ask(&more, SERVER, proto, size), expected, "{name}");
    }
    // The server sends it back to the router, which sends it to the server.
    assert_eq!(ask(&round, "10.0.5.5", "tcp", None), "loops ttl-exceeded, no answer");
}

#[test]
fn marks_and_translations_of_the_sender_count() {
    let mangle = |rule: &'static str| More {
        rules: ["9:\tfrom all fwmark 0x9 blackhole\n", ""],
        filter: [rule, ""],
        ..More::default()
    };
    let marked = "*mangle\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -p tcp -j MARK --set-xmark 0x9/0xffffffff\nCOMMIT\n";
    let own = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
               -A OUTPUT -d 10.0.99.99/32 -p tcp -j DNAT --to-destination 10.0.2.2:80\nCOMMIT\n";
    let redirect = "*nat\n:PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n\
                    -A PREROUTING -p tcp --dport 80 -j REDIRECT --to-ports 22\nCOMMIT\n";
    let own = More { filter: [own, ""], ..More::default() };
    let redirect = More { filter: ["", redirect], ..More::default() };
    for (name, more, to, proto, expected) in [
        ("mark of OUTPUT", mangle(marked), "10.0.2.2", "tcp", "dropped route-blackhole, no answer"),
        ("mark of others", mangle(marked), "10.0.2.2", "icmp", "delivered, delivered"),
        ("own translation", own, "10.0.99.99", "tcp", "delivered, delivered"),
        ("port alone", redirect, "10.0.1.1", "tcp", "delivered, delivered"),
    ] {
        assert_eq!(ask(&more, to, proto, None), expected, "{name}");
    }
}
