//! What becomes of frames once something else has them: of the packets of a tunnel that lead back into
//! it, of what a far host has no tunnel for, of bridged packets before the packet filter.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, down, link, session, with_sessions};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::{Answer, path::Paths};

/// A guest's tap and a tunnel in one bridge that has an address, and a NIC that may be in it.
fn tunnel_in_bridge(tunnel: &str, nic: &str, routes: &str) -> String {
    let address = "    inet 198.51.100.1/24 scope global br0\n       valid_lft forever preferred_lft forever\n";
    let links = [
        link(1, "lo", "", ""),
        link(2, "eno1", nic, ""),
        link(3, "br0", "", &(BRIDGE.to_owned() + address)),
        link(4, "tapa", "master br0", TAP),
        link(5, "vx7", "master br0", tunnel),
    ];
    session(&links, &format!("ip route show table all\n{routes}root@h1:~# "))
}

#[test]
fn packets_that_lead_back_into_their_tunnel_arrive_nowhere() {
    const VXLAN: &str =
        "    vxlan id 7 remote 198.51.100.2 local 198.51.100.1 srcport 0 0 dstport 4789\n";
    const GRETAP: &str = "    gretap remote 198.51.100.2 local 198.51.100.1 ttl inherit\n";
    const ROUTES: &str = "198.51.100.0/24 dev br0 proto kernel scope link src 198.51.100.1\n";
    for tunnel in [VXLAN, GRETAP] {
        let alone = down(&tunnel_in_bridge(tunnel, "", ROUTES), "tapa");
        let last = alone.last().unwrap();
        assert_eq!(last, "vx7: its packets lead back into it", "{alone:?}");
        // The bridge has a NIC as well, by which they get out; or the route is by another device.
        let routed = "198.51.100.2 dev eno1 scope link\n".to_owned() + ROUTES;
        for text in
            [tunnel_in_bridge(tunnel, "master br0", ROUTES), tunnel_in_bridge(tunnel, "", &routed)]
        {
            let hops = down(&text, "tapa");
            assert!(hops.iter().any(|hop| hop == "eno1"), "{hops:?}");
            assert!(!hops.iter().any(|hop| hop.contains("lead back")), "{hops:?}");
        }
    }
}

#[test]
fn two_tunnels_do_not_carry_one_another() {
    let gre = |local: &str, remote: &str| format!("    gretap remote {remote} local {local}\n");
    let links = |routes: &str| {
        let address = |ip: &str, device: &str| {
            format!(
                "    inet {ip} scope global {device}\n       valid_lft forever preferred_lft forever\n"
            )
        };
        let links = [
            link(2, "eno1", "", &address("192.0.2.1/24", "eno1")),
            link(3, "br0", "", BRIDGE),
            link(4, "tapa", "master br0", TAP),
            link(5, "one", "master br0", &gre("198.51.100.1", "198.51.100.2")),
            link(
                6,
                "two",
                "",
                &(gre("203.0.113.1", "203.0.113.2") + &address("198.51.100.1/32", "two")),
            ),
            link(7, "dum", "", &("    dummy\n".to_owned() + &address("203.0.113.1/32", "dum"))),
        ];
        session(&links, &format!("ip route show table all\n{routes}root@h1:~# "))
    };
    let hops = down(&links("198.51.100.2 dev two\n203.0.113.2 dev one\n"), "tapa");
    assert_eq!(hops.last().unwrap(), "one: its packets lead back into it", "{hops:?}");
    let hops = down(&links("198.51.100.2 dev two\n203.0.113.2 dev eno1\n"), "tapa");
    assert_eq!(hops.last().unwrap(), "eno1", "{hops:?}");
}

const LOOPBACK: &str =
    "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
";

/// A host with a GRE device between these addresses, and all that shows that it has no other.
fn gre_host(name: &str, own: &str, device: &str) -> String {
    let nic = format!(
        "    inet {own}/24 scope global eno1\n       valid_lft forever preferred_lft forever\n"
    );
    let links = [LOOPBACK.to_owned(), link(2, "eno1", "", &nic), link(3, "g1", "", device)];
    let rest = format!(
        "ip route show table all\n192.0.2.0/24 dev eno1 scope link\nroot@h1:~# ip netns\nblue\n\
         root@h1:~# ip netns exec blue ip -d address\n{LOOPBACK}root@h1:~# "
    );
    session(&links, &rest)
        .replace("@h1:", &format!("@{name}:"))
        .replace("52:54:00:00:01", &mac(name))
}

fn mac(name: &str) -> String {
    format!("52:54:00:00:0{}", name.trim_start_matches('h'))
}

#[test]
fn a_host_takes_what_its_tunnels_are_for() {
    let gre = |remote: &str, local: &str| format!("    gretap remote {remote} local {local}\n");
    let near = gre_host("h1", "192.0.2.1", &gre("192.0.2.2", "192.0.2.1"));
    for (far, taken) in [
        (gre("192.0.2.1", "192.0.2.2"), Some(true)),
        (gre("any", "192.0.2.2"), Some(true)),
        ("    gretap external\n".to_owned(), Some(true)),
        (gre("192.0.2.9", "192.0.2.2"), Some(false)),
        ("    dummy\n".to_owned(), Some(false)),
    ] {
        let far = gre_host("h2", "192.0.2.2", &far);
        with_sessions(&[&near, &far], |network| {
            let device = network.topology.find_netdev(HostId(0), &Netns::Root, "g1").unwrap();
            let path = Paths::new(network).down(device);
            let tunnel = path.hops.iter().find(|hop| network.tunnel(hop.node).is_some()).unwrap();
            let told = match &tunnel.passes {
                Answer::Known(block) => Some(block.is_none()),
                Answer::Unknown(_) => None,
            };
            assert_eq!(told, taken, "{far}");
        });
    }
}

/// A bridge with a tap and a NIC, the setting of `br_netfilter`, and a packet filter.
fn before_filter(setting: &str, filter: &str) -> String {
    let links = [
        link(2, "eno1", "master br0", ""),
        link(3, "br0", "", BRIDGE),
        link(4, "tapa", "master br0", TAP),
    ];
    let rest = format!(
        "sysctl -a\nnet.ipv4.ip_forward = 1\n{setting}root@h1:~# iptables-save\n*filter\n:INPUT ACCEPT [0:0]\n{filter}COMMIT\nroot@h1:~# "
    );
    session(&links, &rest)
}

#[test]
fn the_packet_filter_sees_bridged_packets() {
    const ON: &str = "net.bridge.bridge-nf-call-iptables = 1\n";
    const OFF: &str = "net.bridge.bridge-nf-call-iptables = 0\n";
    const LOST: &[&str] = &["eno1: dropped at FORWARD (IPv4) of the packet filter"];
    let to_tap = "-A FORWARD -m physdev --physdev-in tapa --physdev-is-bridged -j DROP\n";
    let open = ":FORWARD ACCEPT [0:0]\n";
    let shut = ":FORWARD DROP [0:0]\n";
    for (setting, filter, lost) in [
        (ON, shut.to_owned(), LOST),
        (OFF, shut.to_owned(), &[][..]),
        ("", shut.to_owned(), &[]),
        (ON, open.to_owned() + to_tap, LOST),
        (ON, open.to_owned() + &to_tap.replace("physdev-in tapa", "physdev-in tapb"), &[]),
        (ON, open.to_owned() + &to_tap.replace("-in", "-out"), &[]),
        // Some packets pass; what answers only is no use to a guest.
        (ON, shut.to_owned() + "-A FORWARD -p tcp -m tcp --dport 80 -j ACCEPT\n", &[]),
        (ON, shut.to_owned() + "-A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT\n", LOST),
        (ON, shut.to_owned() + "-A FORWARD -i br0 -o br0 -j ACCEPT\n", &[]),
        (ON, shut.to_owned() + "-A FORWARD -i br1 -j ACCEPT\n", LOST),
    ] {
        let hops = down(&before_filter(setting, &filter), "tapa");
        let stopped: Vec<&String> = hops.iter().filter(|hop| hop.contains(": ")).collect();
        assert_eq!(stopped, lost, "{setting}{filter}{hops:?}");
    }
}
