//! Who listens in a namespace, and from which address a server answers.
use super::common::{port, with_network};
use super::{ask, shown, two_on_a_bridge};
use tapline_network::trace::{Question, Tracer};

const HEAD: &str = "Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port\n";

/// The two namespaces, where these outputs of the second were captured too.
fn listing(outputs: &[(&str, &str)]) -> String {
    let outputs =
        outputs.iter().map(|(command, output)| format!("root@h1:~# {command}\n{output}\n"));
    two_on_a_bridge(&port("forwarding")).replace(
        "root@h1:~# ip netns exec a ip rule\n",
        &format!("{}root@h1:~# ip netns exec a ip rule\n", outputs.collect::<String>()),
    )
}

#[test]
fn listings_show_who_listens_and_that_nobody_does() {
    let tcp = "tcp   LISTEN 0      128    0.0.0.0:22   0.0.0.0:*";
    let udp = "udp   UNCONN 0      0      0.0.0.0:53   0.0.0.0:*";
    let other = "tcp   LISTEN 0      128    192.0.2.9:22   0.0.0.0:*";
    let own = "tcp   LISTEN 0      128    192.0.2.2:22   0.0.0.0:*";
    let loopback = "tcp   LISTEN 0      128    127.0.0.1:22   0.0.0.0:*";
    let (here, nobody, open) = ("yes: delivered", "no: rejected no-listener", "unknown");
    for (command, socket, proto, dport, expected) in [
        ("ip netns exec b ss -lnptu", tcp, "tcp", 22, here),
        ("ip netns exec b ss -lnptu", own, "tcp", 22, here),
        ("ip netns exec b ss -lnptu", tcp, "tcp", 23, nobody),
        ("ip netns exec b ss -lnptu", tcp, "udp", 22, nobody),
        ("ip netns exec b ss -lnptu", udp, "udp", 53, here),
        ("ip netns exec b ss -lnptu", udp, "tcp", 53, nobody),
        ("ip netns exec b ss -lnptu", other, "tcp", 22, nobody),
        ("ip netns exec b ss -lnptu", loopback, "tcp", 22, nobody),
        ("ip netns exec b ss -anptu", tcp, "tcp", 23, nobody),
        ("ip netns exec b ss -lnptu", "tcp   LISTEN 0      128    *:22   *:*", "tcp", 22, here),
        // One of IPv6 alone; of a device, of another.
        (
            "ip netns exec b ss -lnptu",
            "tcp   LISTEN 0      128    [::]:22   [::]:*",
            "tcp",
            22,
            nobody,
        ),
        ("ip netns exec b ss -lnptu", &tcp.replace(".0:22", ".0%eth0:22"), "tcp", 22, here),
        ("ip netns exec b ss -lnptu", &tcp.replace(".0:22", ".0%eth9:22"), "tcp", 22, nobody),
        // A connection that stands takes no other.
        (
            "ip netns exec b ss -anptu",
            "tcp   ESTAB  0      0      192.0.2.2:22   192.0.2.9:5000",
            "tcp",
            22,
            nobody,
        ),
        (
            "ip netns exec b ss -anptu",
            "udp   ESTAB  0      0      192.0.2.2:53   192.0.2.9:5000",
            "udp",
            53,
            nobody,
        ),
        // One of the protocols, and not the other.
        ("ip netns exec b ss -lnt", tcp, "tcp", 22, here),
        ("ip netns exec b ss -lnt", tcp, "udp", 53, open),
        ("ip netns exec b ss -lnu", udp, "tcp", 22, open),
        // Connections that stand, and no listeners.
        ("ip netns exec b ss -nptu", tcp, "tcp", 23, open),
        // Sockets of others.
        ("ip netns exec a ss -lnptu", tcp, "tcp", 22, open),
        ("ip netns exec a ss -lnptu", tcp, "tcp", 23, open),
        ("ss -lnptu", tcp, "tcp", 22, open),
    ] {
        let text = listing(&[(command, &format!("{HEAD}{socket}"))]);
        let way = ask(&text, "ns:a", "ip:192.0.2.2", |question| {
            question.proto = Some(proto.to_owned());
            question.dport = Some(dport);
        });
        assert!(way[0].starts_with(expected), "{command} {socket} {proto} {dport}: {way:#?}");
    }
}

/// What becomes of the answer of the second namespace, from another address than the first of its
/// two, by these sockets.
fn answers(proto: &str, outputs: &[(&str, &str)]) -> String {
    let own = "    inet 192.0.2.2/24 brd 192.0.2.255 scope global eth0\n       valid_lft forever preferred_lft forever\n";
    let second =
        own.replace("192.0.2.2/24", "192.0.2.3/24").replace("global eth0", "global secondary eth0");
    let text = listing(outputs).replace(own, &format!("{own}{second}"));
    with_network(&text, |network| {
        let question = Question {
            from: "ns:a".to_owned(),
            to: Some("ip:192.0.2.3".to_owned()),
            proto: Some(proto.to_owned()),
            sport: Some(5000),
            dport: Some(53),
            reverse: true,
            ..Question::default()
        };
        let answered = Tracer::new(network).ask(&question).unwrap();
        let there = shown(&answered.trace);
        assert!(there.first().unwrap().starts_with("yes: delivered"), "{there:#?}");
        shown(&answered.reverse.unwrap()).swap_remove(0)
    })
}

#[test]
fn only_sockets_of_udp_without_an_address_leave_it_to_the_kernel() {
    let own = "ip netns exec b ss -lnptu";
    let any = format!("{HEAD}udp   UNCONN 0      0      0.0.0.0:53   0.0.0.0:*");
    let with = |socket: &str| format!("{any}\n{socket}");
    let bound = "udp   UNCONN 0      0      192.0.2.3:53   0.0.0.0:*";
    let tcp = format!("{HEAD}tcp   LISTEN 0      128    0.0.0.0:53   0.0.0.0:*");
    for (proto, sockets, expected) in [
        ("udp", vec![(own, any.clone())], "unknown"),
        ("udp", vec![(own, with(bound))], "yes: delivered"),
        // Bound to another port, to the other address, by another protocol, or in another namespace.
        ("udp", vec![(own, with(&bound.replace(":53", ":54")))], "unknown"),
        ("udp", vec![(own, with(&bound.replace("2.3:", "2.2:")))], "unknown"),
        ("udp", vec![(own, with(&bound.replace("udp   UNCONN", "tcp   LISTEN")))], "unknown"),
        (
            "udp",
            vec![(own, any.clone()), ("ip netns exec a ss -lnptu", format!("{HEAD}{bound}"))],
            "unknown",
        ),
        // A connection of TCP has the address that was asked.
        ("tcp", vec![(own, tcp)], "yes: delivered"),
    ] {
        let outputs: Vec<(&str, &str)> =
            sockets.iter().map(|(command, output)| (*command, output.as_str())).collect();
        let said = answers(proto, &outputs);
        assert!(said.starts_with(expected), "{proto} {sockets:?}: {said}");
    }
}

/// The two namespaces with a third, whose addresses were not captured.
fn with_third(of_port: &str, inside: &str) -> String {
    let third = format!(
        "5: vc@if2: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue {of_port}state UP group default qlen \
         1000\n    link/ether 52:54:00:00:01:05 brd ff:ff:ff:ff:ff:ff link-netns c promiscuity 0\n    veth\n{}",
        if of_port.is_empty() { String::new() } else { port("forwarding") }
    );
    let own = format!(
        "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n    link/loopback \
         00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n2: eth0@if5: \
         <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP\n    link/ether 02:00:00:00:0c:01 brd \
         ff:ff:ff:ff:ff:ff link-netnsid 0 promiscuity 0\n    veth\n{}",
        if inside.contains("address") {
            "    inet 192.0.2.7/24 scope global eth0\n       valid_lft forever preferred_lft forever\n"
        } else {
            ""
        }
    );
    two_on_a_bridge(&port("forwarding")).replace("a (id: 0)\n", "a (id: 0)\nc (id: 2)\n").replace(
        "root@h1:~# sysctl net.bridge",
        &format!("{third}root@h1:~# ip netns exec c {inside}\n{own}root@h1:~# sysctl net.bridge"),
    )
}

#[test]
fn whoever_is_near_may_have_an_address_unless_all_of_its_own_are_known() {
    for (of_port, inside, open) in [
        ("master br0 ", "ip -d link", true),
        ("master br0 ", "ip -d address", false),
        // It is in no segment with the asker.
        ("", "ip -d link", false),
    ] {
        let way = ask(&with_third(of_port, inside), "ns:a", "ip:192.0.2.9", |_| {});
        let asks = way.iter().any(|line| line.starts_with("next ip netns exec c ip"));
        assert_eq!(asks, open, "{of_port}{inside}: {way:#?}");
    }
}

/// neutron starts a server of DHCP for each network; its arguments name the network.
#[test]
fn servers_of_dhcp_are_seen_by_their_process() {
    let said = |netns: &str, folder: &str, proto: &str, dport: u16| {
        let ps = format!(
            "root@h1:~# ps aux\nUSER         PID %CPU %MEM    VSZ   RSS TTY      STAT START   TIME COMMAND\n\
             nobody      4242  0.0  0.0  53908  1020 ?        S    Nov01   0:00 dnsmasq --no-hosts \
             --pid-file=/var/lib/neutron/dhcp/{folder}/pid --dhcp-range=set:tag0,192.0.2.0,static\n"
        );
        let text = two_on_a_bridge(&port("forwarding"))
            .replace("exec b ", &format!("exec {netns} "))
            .replace("\nb (id", &format!("\n{netns} (id"))
            .replace("link-netns b ", &format!("link-netns {netns} "))
            .replace(
                "root@h1:~# ip netns exec a ip rule\n",
                &format!("{ps}root@h1:~# ip netns exec a ip rule\n"),
            );
        let way = ask(&text, "ns:a", "ip:192.0.2.2", |question| {
            question.proto = Some(proto.to_owned());
            question.dport = Some(dport);
        });
        way[0].starts_with("yes: delivered")
    };
    for (netns, folder, proto, dport, listens) in [
        ("qdhcp-net1", "net1", "udp", 67, true),
        ("qdhcp-net1", "net1", "udp", 68, false),
        ("qdhcp-net1", "net1", "udp", 53, false),
        ("qdhcp-net1", "net1", "tcp", 67, false),
        ("qdhcp-net1", "net2", "udp", 67, false),
        ("blue", "net1", "udp", 67, false),
    ] {
        assert_eq!(said(netns, folder, proto, dport), listens, "{netns} {folder} {proto} {dport}");
    }
}
