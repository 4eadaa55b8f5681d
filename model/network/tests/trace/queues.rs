//! Filters of `tc`, queues that lose packets and programs of BPF at devices on the way.
use super::common::port;
use super::{ask, two_on_a_bridge};

/// What becomes of TCP to port 22 from one namespace to the other, where these outputs were captured
/// too.
fn past(more: &str) -> Vec<String> {
    let text = two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip -d address\n",
        &format!("{more}root@h1:~# ip netns exec a ip -d address\n"),
    );
    let text = text.replace(
        "root@h1:~# ip netns exec a ip rule\n",
        "root@h1:~# ip netns exec b ss -tuln\nNetid State  Recv-Q Send-Q Local Address:Port Peer \
         Address:Port\ntcp   LISTEN 0      128    0.0.0.0:22   0.0.0.0:*\nroot@h1:~# ip netns exec a ip \
         rule\n",
    );
    ask(&text, "ns:a", "ip:192.0.2.2", |question| {
        question.proto = Some("tcp".to_owned());
        question.dport = Some(22);
        question.size = Some(1400);
    })
}

/// The filters of a device at a hook.
fn filters(device: &str, hook: &str, lines: &str) -> String {
    format!("root@h1:~# tc filter show dev {device} {hook}\n{lines}")
}

const ALL: &str = "filter protocol all pref 9 matchall chain 0 \n\
    filter protocol all pref 9 matchall chain 0 handle 0x1 \n  not_in_hw\n";

fn flower(conditions: &str, action: &str) -> String {
    format!(
        "filter protocol ip pref 5 flower chain 0 \nfilter protocol ip pref 5 flower chain 0 handle 0x1 \n  \
         eth_type ipv4\n{conditions}  not_in_hw\n\taction order 1: {action}\n\t index 1 ref 1 bind 1\n\n"
    )
}

#[test]
fn filters_drop_what_meets_them() {
    let gact = |action: &str| format!("gact action {action}");
    for (device, hook, conditions, action, expected) in [
        ("va", "ingress", "  dst_ip 192.0.2.2\n", gact("drop"), "no: dropped tc-drop"),
        ("va", "ingress", "  ip_proto tcp\n  dst_port 22\n", gact("drop"), "no: dropped tc-drop"),
        ("vb", "egress", "  dst_ip 192.0.2.2\n", gact("drop"), "no: dropped tc-drop"),
        (
            "va",
            "ingress",
            "  dst_port 22\n",
            "bpf prog.o:[sec] id 7".to_owned(),
            "unknown: unknown ebpf",
        ),
        // Others: another port, address, hook; what lets pass.
        ("va", "ingress", "  ip_proto tcp\n  dst_port 80\n", gact("drop"), "yes: delivered"),
        ("va", "ingress", "  dst_ip 192.0.2.9\n", gact("drop"), "yes: delivered"),
        ("va", "egress", "  dst_ip 192.0.2.2\n", gact("drop"), "yes: delivered"),
        ("vx", "ingress", "  dst_ip 192.0.2.2\n", gact("drop"), "yes: delivered"),
        ("va", "ingress", "  dst_ip 192.0.2.2\n", gact("pass"), "yes: delivered"),
        ("va", "ingress", "  dst_ip 192.0.2.2\n", gact("pipe"), "yes: delivered"),
        // What changes nothing that counts, and what may.
        ("va", "ingress", "", "skbedit priority :10 pipe".to_owned(), "yes: delivered"),
        ("va", "ingress", "", "csum (iph, tcp) action pass".to_owned(), "yes: delivered"),
        ("va", "ingress", "", "sample rate 1/100 group 5 pipe".to_owned(), "yes: delivered"),
        ("va", "ingress", "", "skbedit mark 7 pipe".to_owned(), "unknown: unknown not-modelled"),
        (
            "va",
            "ingress",
            "",
            "skbedit ptype host pipe".to_owned(),
            "unknown: unknown not-modelled",
        ),
        ("va", "ingress", "", "csum (iph) action shot".to_owned(), "no: dropped tc-drop"),
        // What is not known of the packet, of the condition, or of the action.
        ("va", "ingress", "  ct_state +trk+new\n", gact("drop"), "unknown: unknown not-modelled"),
        ("va", "ingress", "  ct_state +trk+new\n", gact("pass"), "yes: delivered"),
        (
            "va",
            "ingress",
            "  dst_ip 192.0.2.2\n",
            "pedit action pass keys 1".to_owned(),
            "unknown: unknown not-modelled",
        ),
    ] {
        let way = past(&filters(device, hook, &flower(conditions, &action)));
        assert!(way[0].starts_with(expected), "{device} {hook} {conditions} {action}: {way:#?}");
    }
}

#[test]
fn filters_are_asked_in_their_order() {
    let pass = flower("  dst_port 22\n", "gact action pass");
    let drop = format!("{ALL}\taction order 1: gact action drop\n");
    let way = past(&filters("va", "ingress", &format!("{drop}{pass}")));
    // ARP meets none but the last.
    assert!(way[0].starts_with("no: rejected tc-drop"), "{way:#?}");
    let arp = "filter protocol arp pref 2 matchall chain 0 handle 0x1 \n\taction order 1: gact action pass\n";
    let way = past(&filters("va", "ingress", &format!("{arp}{drop}{pass}")));
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    let later = pass.replace("pref 5", "pref 12");
    let way = past(&filters("va", "ingress", &format!("{arp}{drop}{later}")));
    assert!(way[0].starts_with("no: dropped tc-drop"), "{way:#?}");
    // What comes behind is asked where an action says so.
    let rest = drop.replace("protocol all", "protocol ip");
    for (action, expected) in [("continue", "no: dropped tc-drop"), ("pass", "yes: delivered")] {
        let first = flower("  dst_port 22\n", &format!("gact action {action}"));
        let way = past(&filters("va", "ingress", &(first + &rest)));
        assert!(way[0].starts_with(expected), "{action}: {way:#?}");
    }
    // Chains are asked where a filter leads to them.
    let goes = flower("  dst_port 22\n", "gact action goto chain 3");
    let chain = drop.replace("chain 0", "chain 3");
    let way = past(&filters("va", "ingress", &format!("{goes}{chain}")));
    assert!(way[0].starts_with("no: dropped tc-drop"), "{way:#?}");
    let way = past(&filters("va", "ingress", &chain));
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
}

#[test]
fn frames_go_where_filters_redirect_them() {
    let to = |device: &str| {
        flower("  dst_port 22\n", &format!("mirred (Egress Redirect to device {device}) stolen"))
    };
    // By there it would have gone anyway.
    let way = past(&filters("va", "ingress", &to("vb")));
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    assert!(way.contains(&"device va > vb".to_owned()), "{way:#?}");
    let way = past(&filters("va", "ingress", &to("va")));
    assert!(!way[0].starts_with("yes"), "{way:#?}");
    let way = past(&filters("va", "ingress", &to("eth9")));
    assert!(way[0].starts_with("unknown"), "{way:#?}");
    let mirror = flower("  dst_port 22\n", "mirred (Egress Mirror to device eth9) pipe");
    let way = past(&filters("va", "ingress", &mirror));
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
}

#[test]
fn a_police_lets_pass_what_keeps_within_its_rate() {
    let police = |mtu: &str| {
        format!(
            "filter parent ffff: protocol all pref 49 u32 chain 0 \n\
             filter parent ffff: protocol all pref 49 u32 chain 0 fh 800: ht divisor 1 \n\
             filter parent ffff: protocol all pref 49 u32 chain 0 fh 800::800 order 2048 key ht 800 bkt 0 \
             flowid :1 not_in_hw \n  match 00000000/00000000 at 0\n police 0x1 rate 8Mbit burst 1Mb mtu \
             {mtu} action drop overhead 0b \n"
        )
    };
    for (mtu, expected) in [
        ("64Kb", "yes: delivered assumed"),
        ("1Kb", "no: dropped tc-drop"),
        ("2Kb", "yes: delivered assumed"),
        ("1399b", "no: dropped tc-drop"),
        ("1400b", "yes: delivered assumed"),
        ("1Mb", "yes: delivered assumed"),
        ("0b", "yes: delivered assumed"),
    ] {
        let way = past(&filters("va", "ingress", &police(mtu)));
        assert!(way[0].starts_with(expected), "{mtu}: {way:#?}");
    }
}

#[test]
fn hooks_whose_filters_were_not_captured_leave_it_open() {
    let hook = |kind: &str| {
        format!(
            "root@h1:~# tc qdisc show\nqdisc noqueue 0: dev lo root refcnt 2 \nqdisc noqueue 0: dev va root \
             refcnt 2 \nqdisc {kind} ffff: dev va parent ffff:fff1 \n"
        )
    };
    let way = past(&hook("clsact"));
    assert!(way[0].starts_with("unknown: unknown not-captured"), "{way:#?}");
    assert!(way.contains(&"next tc filter show dev va ingress".to_owned()), "{way:#?}");
    let way = past(&(hook("ingress") + &filters("va", "ingress", "")));
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    // `clsact` has two.
    let to_vb = hook("clsact").replace("va", "vb");
    let way = past(&(to_vb.clone() + &filters("vb", "ingress", "")));
    assert!(way.contains(&"next tc filter show dev vb egress".to_owned()), "{way:#?}");
    let way = past(&(to_vb + &filters("vb", "ingress", "") + &filters("vb", "egress", "")));
    assert!(way[0].starts_with("yes: delivered"), "{way:#?}");
    // A block that several devices share.
    let shared = hook("ingress").replace("ffff:fff1 ", "ffff:fff1 ingress_block 7 ");
    let drop = format!(
        "root@h1:~# tc filter show block 7\n{}\taction order 1: gact action drop\n",
        ALL.replace("filter ", "filter block 7 ").replace("all pref", "ip pref")
    );
    let way = past(&(shared + &drop));
    assert!(way[0].starts_with("no: dropped tc-drop"), "{way:#?}");
}

#[test]
fn queues_that_lose_everything_end_the_way() {
    let queue = |line: &str| format!("root@h1:~# tc -s qdisc show\n{line}\n Sent 0 bytes 0 pkt\n");
    for (line, expected) in [
        ("qdisc netem 8001: dev vb root refcnt 2 limit 1000 loss 100%", "no: dropped queue-loss"),
        ("qdisc blackhole 8001: dev vb root refcnt 2", "no: dropped queue-loss"),
        ("qdisc netem 8001: dev vb root refcnt 2 limit 1000 loss 10%", "yes: delivered assumed"),
        ("qdisc netem 8001: dev vb root refcnt 2 limit 1000 delay 10ms", "yes: delivered"),
        ("qdisc netem 8001: dev vx root refcnt 2 limit 1000 loss 100%", "yes: delivered"),
        // One class of it.
        ("qdisc netem 10: dev vb parent 1:10 limit 1000 loss 100%", "unknown: unknown queue-loss"),
    ] {
        let way = past(&queue(line));
        // Of the frames that lead there ARP is the first.
        let arp =
            way[0].starts_with("no: rejected address-not-owned") && expected.starts_with("no");
        assert!(arp || way[0].starts_with(expected), "{line}: {way:#?}");
    }
    // `ifb` is a queue for what another device receives.
    let to = flower("  dst_port 22\n", "mirred (Egress Redirect to device ifb0) stolen");
    let ifb = |loss: &str| {
        let links = "9: ifb0: <BROADCAST,NOARP,UP,LOWER_UP> mtu 1500 qdisc htb state UNKNOWN group \
             default qlen 32\n    link/ether 02:00:00:00:0f:09 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    ifb \n";
        let line = format!("qdisc netem 8001: dev ifb0 root refcnt 2 limit 1000 {loss}");
        let shown = format!("root@h1:~# ip -d link show dev ifb0\n{links}{}", queue(&line));
        past(&(shown + &filters("va", "ingress", &to)))
    };
    assert!(ifb("delay 1ms")[0].starts_with("yes: delivered"), "{:#?}", ifb("delay 1ms"));
    assert!(ifb("loss 100%")[0].starts_with("no: dropped queue-loss"), "{:#?}", ifb("loss 100%"));
}

#[test]
fn programs_of_bpf_leave_it_open() {
    let bpf = "filter protocol all pref 1 bpf chain 0 \nfilter protocol all pref 1 bpf chain 0 handle 0x1 \
         prog.o:[from-container] direct-action not_in_hw id 7 tag a7a920f725fab0ef jited \n";
    let way = past(&filters("va", "ingress", bpf));
    assert!(way[0].starts_with("unknown: unknown ebpf"), "{way:#?}");
    let listed = |line: &str| {
        past(&format!(
            "root@h1:~# bpftool net list\nxdp:\n{line}\nflow_dissector:\n\nnetfilter:\n\n"
        ))
    };
    for (line, expected) in [
        ("va(3) generic id 9\n\ntc:\n", "unknown: unknown ebpf"),
        ("\ntc:\nvb(4) tcx/egress guard prog_id 9 link_id 2\n", "unknown: unknown ebpf"),
        // By there the answer to ARP comes back.
        ("\ntc:\nvb(4) tcx/ingress guard prog_id 9 link_id 2\n", "unknown: unknown ebpf"),
        ("\ntc:\nva(3) netkit/peer guard prog_id 9 link_id 2\n", "unknown: unknown ebpf"),
        ("vx(9) driver id 9\n\ntc:\n", "yes: delivered"),
        ("\ntc:\nvx(9) tcx/ingress guard prog_id 9 link_id 2\n", "yes: delivered"),
        ("\ntc:\n", "yes: delivered"),
    ] {
        let way = listed(line);
        assert!(way[0].starts_with(expected), "{line}: {way:#?}");
    }
    // A program drops what a spanning tree would have stopped, or sends it elsewhere: XDP sees it first.
    let text = two_on_a_bridge(&port("forwarding"))
        .replace(
            "mtu 1500 qdisc noqueue master br0",
            "mtu 1500 xdpgeneric qdisc noqueue master br0",
        )
        .replace("    veth\n", "    veth\n    prog/xdp id 9 tag 3b185187f1855c4c jited \n");
    let way = ask(&text, "ns:a", "ip:192.0.2.2", |_| {});
    assert!(way[0].starts_with("unknown: unknown ebpf"), "{way:#?}");
}
