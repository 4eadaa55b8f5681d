//! Texts and the ways of packets that they prove: the outcome, and what is rewritten on the way.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, VETH, link, port, with_network};
use tapline_network::trace::{Question, Trace, Tracer};

/// The answer in a few lines: verdict, then one line a hop.
fn ask(text: &str, from: &str, to: &str, more: impl FnOnce(&mut Question)) -> Vec<String> {
    with_network(text, |network| {
        let tracer = Tracer::new(network);
        let mut question =
            Question { from: from.to_owned(), to: Some(to.to_owned()), ..Question::default() };
        more(&mut question);
        match tracer.ask(&question) {
            Ok(answered) => shown(&answered.trace),
            Err(error) => vec![format!("error: {error}")],
        }
    })
}

fn shown(trace: &Trace) -> Vec<String> {
    let verdict = &trace.verdict;
    let reached = match verdict.reached {
        Some(true) => "yes",
        Some(false) => "no",
        None => "unknown",
    };
    let reason = verdict.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
    let mut lines = vec![format!("{reached}: {}{reason} {}", verdict.outcome, verdict.certainty)];
    for hop in &trace.hops {
        let name = |name: &Option<tapline_core::Name>| {
            name.as_ref().map_or("-", tapline_core::Name::as_str).to_owned()
        };
        let changes: Vec<String> = hop
            .changes
            .iter()
            .filter(|one| !matches!(one.field, "nw_ttl" | "dl_src" | "dl_dst"))
            .map(|one| {
                let old = one.before.as_deref().unwrap_or("?");
                let new = one.after.as_deref().unwrap_or("?");
                format!(" {}: {old} > {new}", one.field)
            })
            .collect();
        let way = format!("{} > {}", name(&hop.input), name(&hop.output));
        lines.push(format!("{} {way}{}", hop.kind.as_str(), changes.concat()));
    }
    lines
}

/// Two namespaces on a Linux bridge of the host, each with an address.
fn two_on_a_bridge(second_port: &str) -> String {
    let root = [
        link(2, "br0", "", BRIDGE),
        link(3, "va@if2", "master br0", &(VETH.to_owned() + &port("forwarding")))
            .replace("promiscuity", "link-netns a promiscuity"),
        link(4, "vb@if2", "master br0", &(VETH.to_owned() + second_port))
            .replace("promiscuity", "link-netns b promiscuity"),
    ];
    let inside = |at: u32, peer: u32, mac: &str, ip: &str| {
        format!(
            "{at}: eth0@if{peer}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP \
             group default qlen 1000\n    link/ether {mac} brd ff:ff:ff:ff:ff:ff link-netnsid 0 \
             promiscuity 0\n    veth\n    inet {ip}/24 brd 192.0.2.255 scope global eth0\n       \
             valid_lft forever preferred_lft forever\n"
        )
    };
    let route = |ip: &str| {
        format!("192.0.2.0/24 dev eth0 proto kernel scope link src {ip} \n")
    };
    format!(
        "root@h1:~# ip netns\nb (id: 1)\na (id: 0)\nroot@h1:~# ip -d address\n{}\
         root@h1:~# sysctl net.bridge.bridge-nf-call-iptables\nnet.bridge.bridge-nf-call-iptables = 0\n\
         root@h1:~# ip netns exec a ip -d address\n{}\
         root@h1:~# ip netns exec b ip -d address\n{}\
         root@h1:~# ip netns exec a ip route show table all\n{}\
         root@h1:~# ip netns exec b ip route show table all\n{}\
         root@h1:~# ip netns exec a ip rule\n{RULES}root@h1:~# ip netns exec b ip rule\n{RULES}\
         root@h1:~# ip netns exec a iptables-save\n{FILTER}root@h1:~# ip netns exec b iptables-save\n{FILTER}\
         root@h1:~# ip netns exec b sysctl net.ipv4.conf.all.rp_filter net.ipv4.conf.eth0.rp_filter\n\
         net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eth0.rp_filter = 0\nroot@h1:~# \n",
        root.concat(),
        inside(2, 3, "02:00:00:00:0a:01", "192.0.2.1"),
        inside(2, 4, "02:00:00:00:0b:01", "192.0.2.2"),
        route("192.0.2.1"),
        route("192.0.2.2"),
    )
}

const RULES: &str =
    "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n";
const FILTER: &str = "*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n";

#[test]
fn namespaces_on_a_bridge_reach_each_other() {
    let text = two_on_a_bridge(&port("forwarding"));
    insta::assert_snapshot!(ask(&text, "ns:a", "ip:192.0.2.2", |_| {}).join("\n"), @"");
}

#[test]
fn spanning_tree_cuts_the_way() {
    let text = two_on_a_bridge(&port("blocking"));
    insta::assert_snapshot!(ask(&text, "ns:a", "ip:192.0.2.2", |_| {}).join("\n"), @"");
}

#[test]
fn rule_that_drops_names_its_line() {
    let text = two_on_a_bridge(&port("forwarding"));
    let dropping = FILTER.replace("COMMIT", "-A INPUT -p tcp -m tcp --dport 22 -j DROP\nCOMMIT");
    let text = text.replace(
        &format!("exec b iptables-save\n{FILTER}"),
        &format!("exec b iptables-save\n{dropping}"),
    );
    let to = |port: u16| {
        ask(&text, "ns:a", "ip:192.0.2.2", |question| {
            question.proto = Some("tcp".to_owned());
            question.dport = Some(port);
        })
    };
    insta::assert_snapshot!(to(22).join("\n"), @"");
    assert!(to(80)[0].starts_with("yes"), "{:?}", to(80));
}

#[test]
fn port_that_is_left_open_leaves_the_answer_open() {
    let text = two_on_a_bridge(&port("forwarding"));
    let dropping = FILTER.replace("COMMIT", "-A INPUT -p tcp -m tcp --dport 22 -j DROP\nCOMMIT");
    let text = text.replace(
        &format!("exec b iptables-save\n{FILTER}"),
        &format!("exec b iptables-save\n{dropping}"),
    );
    let open = ask(&text, "ns:a", "ip:192.0.2.2", |question| {
        question.proto = Some("tcp".to_owned());
    });
    assert!(open[0].starts_with("unknown"), "{open:?}");
}

#[test]
fn filter_that_was_not_captured_leaves_the_answer_open() {
    let text = two_on_a_bridge(&port("forwarding"));
    let text =
        text.replace(&format!("root@h1:~# ip netns exec b iptables-save\n{FILTER}"), "");
    let open = ask(&text, "ns:a", "ip:192.0.2.2", |_| {});
    assert!(open[0].starts_with("unknown"), "{open:?}");
}

#[test]
fn names_that_several_things_have_are_ambiguous() {
    let text = two_on_a_bridge(&port("forwarding"));
    let refused = ask(&text, "if:eth0", "ip:192.0.2.2", |_| {});
    assert_eq!(
        refused,
        ["error: if:eth0 may be one of several: if:h1/a/eth0, if:h1/b/eth0"]
    );
    let refused = ask(&text, "ns:c", "ip:192.0.2.2", |_| {});
    assert_eq!(refused, ["error: nothing is called ns:c"]);
}

#[test]
fn address_that_nobody_has_leaves_by_the_only_wire() {
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", BRIDGE),
        link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let text = format!(
        "root@h1:~# sysctl net.bridge.bridge-nf-call-iptables\nnet.bridge.bridge-nf-call-iptables = 0\n\
         root@h1:~# ip -d address\n{}root@h1:~# \n",
        links.concat()
    );
    let way = ask(&text, "if:vnet0", "outside", |question| {
        question.packet = Some(
            "icmp,dl_src=02:00:00:00:00:07,dl_dst=02:00:00:00:00:08,nw_src=192.0.2.7,nw_dst=8.8.8.8"
                .to_owned(),
        );
    });
    insta::assert_snapshot!(way.join("\n"), @"");
}
