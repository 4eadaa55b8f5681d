//! Sets of the kernel that rules of iptables ask (`ipset list`).
use super::common::port;
use super::{FILTER, ask, two_on_a_bridge};

const LISTENER: &str = "root@h1:~# ip netns exec b ss -lntu\nNetid State  Recv-Q Send-Q Local Address:Port Peer \
    Address:Port\ntcp   LISTEN 0      128          0.0.0.0:22        0.0.0.0:*\n";

/// What becomes of a packet to TCP port 22 where `rules` filter what comes in, and `sets` were captured.
fn filtered(rules: &str, sets: &str) -> Vec<String> {
    let filter = FILTER.replace("COMMIT", &format!("{rules}COMMIT"));
    let text = two_on_a_bridge(&port("forwarding")).replace(
        &format!("exec b iptables-save\n{FILTER}"),
        &format!("exec b iptables-save\n{filter}{sets}{LISTENER}"),
    );
    ask(&text, "ns:a", "ip:192.0.2.2", |question| {
        question.proto = Some("tcp".to_owned());
        question.dport = Some(22);
    })
}

fn listed(kind: &str, header: &str, entries: &[&str]) -> String {
    format!(
        "root@h1:~# ip netns exec b ipset list\nName: bad\nType: {kind}\nRevision: 7\nHeader: {header}\nSize in \
         memory: 552\nReferences: 1\nNumber of entries: {}\nMembers:\n{}\n",
        entries.len(),
        entries.iter().flat_map(|entry| [*entry, "\n"]).collect::<String>()
    )
}

#[test]
fn sets_decide_where_they_were_captured() {
    let inet = "family inet hashsize 1024 maxelem 65536";
    for (kind, by, entries, dropped) in [
        ("hash:ip", "src", &["192.0.2.1"][..], true),
        ("hash:ip", "dst", &["192.0.2.1"], false),
        ("hash:net", "src", &["192.0.2.0/24"], true),
        ("hash:net", "src", &["192.0.2.0/24", "192.0.2.1 nomatch"], false),
        ("hash:net", "src", &["192.0.2.0/28 nomatch", "192.0.2.1"], true),
        ("hash:ip,port", "src,dst", &["192.0.2.1,tcp:22"], true),
        ("hash:ip,port", "src,dst", &["192.0.2.1,udp:22"], false),
        ("hash:ip,port", "src", &["192.0.2.1,tcp:22"], false),
        ("hash:net,port", "src,dst", &["192.0.2.0/25,tcp:20-30"], true),
        ("bitmap:port", "dst", &["22"], true),
        ("bitmap:port", "dst", &["23"], false),
        ("hash:mac", "src", &["02:00:00:00:0A:01"], true),
        ("hash:mac", "src", &["02:00:00:00:0A:02"], false),
        ("hash:net,iface", "src,src", &["192.0.2.0/24,eth0"], true),
        ("hash:net,iface", "src,src", &["192.0.2.0/24,eth1"], false),
        ("hash:ip", "src", &[], false),
    ] {
        let rule = format!("-A INPUT -m set --match-set bad {by} -j DROP\n");
        let way = filtered(&rule, &listed(kind, inet, entries));
        let expected = if dropped { "no: dropped nf-drop" } else { "yes: " };
        assert!(way[0].starts_with(expected), "{kind} {by} {entries:?}: {way:#?}");
    }
    let six = "family inet6 hashsize 1024 maxelem 65536";
    let way = filtered(
        "-A INPUT -m set --match-set bad src -j DROP\n",
        &listed("hash:ip", six, &["2001:db8::1"]),
    );
    assert!(way[0].starts_with("yes: "), "{way:#?}");
}

#[test]
fn what_is_not_known_of_a_set_is_asked_for() {
    let rule = "-A INPUT -m set --match-set bad src -j DROP\n";
    let whole = listed("hash:ip", "family inet", &["192.0.2.77"]);
    let open = [
        // Not captured, another set, cut, an entry that is not understood.
        String::new(),
        whole.replace("Name: bad", "Name: other"),
        whole.replace("entries: 1", "entries: 2"),
        whole.replace("192.0.2.77", "somewhere"),
    ];
    for sets in open {
        let way = filtered(rule, &sets);
        assert!(way[0].starts_with("unknown: "), "{sets}: {way:#?}");
    }
    let way = filtered(rule, "");
    assert!(way.contains(&"next ip netns exec b ipset list".to_owned()), "{way:#?}");
    // What is in it is, whatever else may be.
    let cut = whole.replace("entries: 1", "entries: 2").replace(".77", ".1");
    let way = filtered(rule, &cut);
    assert!(way[0].starts_with("no: dropped nf-drop"), "{way:#?}");
}
