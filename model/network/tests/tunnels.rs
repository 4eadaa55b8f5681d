//! Texts and what they prove of tunnels: who owns their ends, and which hosts they lead to.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use std::collections::BTreeSet;

use common::{link, session, with_network, with_sessions};
use tapline_core::capture::HostId;
use tapline_network::{Answer, Network, overlay};

/// A host with an address, and a tunnel of OVS with these options.
fn host(name: &str, ip: &str, options: &str) -> String {
    let mac = ip.rsplit('.').next().unwrap().parse::<u8>().unwrap();
    format!(
        "root@{name}:~# ip -d address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
2: eno1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 52:54:00:00:02:{mac:02x} brd ff:ff:ff:ff:ff:ff promiscuity 0
    inet {ip}/24 scope global eno1
       valid_lft forever preferred_lft forever
root@{name}:~# ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a0{mac:02x}
    Bridge br-tun
        Port vx
            Interface vx
                type: vxlan
                options: {{key=flow, {options}}}
    ovs_version: \"2.17.0\"
root@{name}:~# 
"
    )
}

fn ends(local: &str, remote: &str) -> String {
    format!("local_ip=\"{local}\", remote_ip=\"{remote}\"")
}

/// The hosts that own an address, by name.
fn owners(network: &Network<'_>, ip: &str) -> Vec<String> {
    let all = network.mesh().owners(network, ip.parse().unwrap());
    all.into_iter().map(|host| network.host_name(host).to_owned()).collect()
}

#[test]
fn ends_of_tunnels_belong_to_hosts() {
    let text = host("h1", "192.0.2.1", &ends("192.0.2.1", "192.0.2.2"))
        // Whatever the kernel takes for the source is no address of anybody.
        + &host("h2", "192.0.2.2", &ends("0.0.0.0", "192.0.2.1"))
        // The address itself is not captured, the end of a tunnel is.
        + &host("h3", "192.0.2.3", &ends("192.0.2.33", "192.0.2.2"))
        + &host("h4", "192.0.2.4", "remote_ip=\"192.0.2.9\"");
    with_network(&text, |network| {
        for (ip, hosts) in [
            ("192.0.2.1", &["h1"][..]),
            ("192.0.2.2", &["h2"]),
            ("192.0.2.3", &["h3"]),
            ("192.0.2.33", &["h3"]),
            ("0.0.0.0", &[]),
            ("127.0.0.1", &[]),
            ("192.0.2.9", &[]),
        ] {
            assert_eq!(owners(network, ip), hosts, "{ip}");
        }
        let [h1, h2, h3] = [HostId(0), HostId(1), HostId(2)];
        let ways = network.mesh().ways(network);
        assert_eq!(ways, BTreeSet::from([(h1, h2), (h2, h1), (h3, h2)]));
    });
}

#[test]
fn a_tunnel_is_heard_at_its_own_address_alone() {
    let deaf = |by: &str| format!("no tunnel at {by} takes what it sends");
    for (to, far, told) in [
        ("192.0.2.2", ends("192.0.2.2", "192.0.2.1"), Ok(None)),
        ("192.0.2.2", "remote_ip=\"192.0.2.1\"".to_owned(), Ok(None)),
        ("192.0.2.2", ends("flow", "192.0.2.1"), Ok(None)),
        ("192.0.2.2", ends("192.0.2.22", "192.0.2.1"), Ok(Some(deaf("192.0.2.2")))),
        // The host that tunnels from it does not have it: another may.
        ("192.0.2.22", ends("192.0.2.22", "192.0.2.1"), Err(1)),
        ("192.0.2.9", ends("192.0.2.22", "192.0.2.1"), Ok(None)),
    ] {
        let routes = "root@h1:~# ip rule\n0:\tfrom all lookup local\n32766:\tfrom all lookup main\nroot@h1:~# ip \
                      route show table all\n192.0.2.0/24 dev eno1 proto kernel scope link src 192.0.2.1\nroot@h1:~# \n";
        let text = host("h1", "192.0.2.1", &ends("192.0.2.1", to))
            + routes
            + &host("h2", "192.0.2.2", &far);
        let found = with_network(&text, |network| {
            let tunnel = network.tunnels_of(HostId(0)).next().unwrap();
            match network.passes_both_ways(tunnel.id) {
                Answer::Known(block) => Ok(block.map(|block| block.why.to_string())),
                Answer::Unknown(needs) => Err(needs.len()),
            }
        });
        assert_eq!(found, told, "{to} {far}");
    }
}

#[test]
fn an_address_of_two_hosts_is_nobodys() {
    let text = host("h1", "192.0.2.1", &ends("192.0.2.1", "192.0.2.2"))
        + &host("h2", "192.0.2.2", &ends("192.0.2.2", "192.0.2.1"))
        + &host("h3", "192.0.2.3", &ends("192.0.2.2", "192.0.2.1"));
    with_network(&text, |network| {
        let mesh = network.mesh();
        assert_eq!(owners(network, "192.0.2.2"), ["h2", "h3"]);
        assert_eq!(mesh.other(network, "192.0.2.2".parse().unwrap(), HostId(0)), None);
        // One of the two is the asker itself.
        assert_eq!(mesh.other(network, "192.0.2.2".parse().unwrap(), HostId(1)), None);
        let ways = mesh.ways(network);
        assert_eq!(ways, BTreeSet::from([(HostId(1), HostId(0)), (HostId(2), HostId(0))]));
    });
}

#[test]
fn tunnels_of_namespaces_are_not_those_of_the_host() {
    let vxlan = "    vxlan id 7 remote 192.0.2.2 local 198.51.100.7 srcport 0 0 dstport 4789\n";
    let inside = |device: &str| {
        format!("root@h1:~# ip netns exec blue ip -d address\n{device}root@h1:~# \n")
    };
    let device = link(5, "vx7", "", vxlan)
        + "    inet 10.7.0.1/24 scope global vx7\n       valid_lft forever preferred_lft forever\n";
    let own = session(&[link(2, "eno1", "", ""), device.clone()], "");
    let far = host("h2", "192.0.2.2", "remote_ip=\"192.0.2.9\"");
    let way = BTreeSet::from([(HostId(0), HostId(1))]);
    for (text, hosts, ways, held) in [
        (own, &["h1"][..], way, &["h1"][..]),
        (session(&[link(2, "eno1", "", "")], "") + &inside(&device), &[], BTreeSet::new(), &[]),
    ] {
        with_network(&(text + &far), |network| {
            assert_eq!(network.hosts().count(), 2);
            assert_eq!(owners(network, "198.51.100.7"), hosts);
            assert_eq!(network.mesh().ways(network), ways);
            assert_eq!(owners(network, "10.7.0.1"), held);
        });
    }
}

#[test]
fn chassis_are_reached_under_the_addresses_that_they_tell() {
    let database = "ovs-vsctl list Open_vSwitch
_uuid               : 5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
external_ids        : {hostname=h1, ovn-bridge=br-int, ovn-encap-ip=\"198.51.100.1,198.51.100.11\", ovn-encap-type=geneve, ovn-remote=\"tcp:192.0.2.9:6642\", system-id=h1}
other_config        : {}
ovs_version         : \"2.17.0\"
root@h1:~# ";
    with_network(&session(&[link(2, "eno1", "", "")], database), |network| {
        assert_eq!(owners(network, "198.51.100.1"), ["h1"]);
        assert_eq!(owners(network, "198.51.100.11"), ["h1"]);
        assert_eq!(owners(network, "192.0.2.9"), [] as [&str; 0]);
    });
}

/// What was captured of a host on a day of one month.
fn on_day(day: u8, name: &str, text: &str) -> String {
    format!(
        "root@{name}:~# cat /etc/machine-id\n0123456789abcdef0123456789abcdef\nroot@{name}:~# date\n\
         Mon Mar {day:2} 10:00:00 UTC 2026\n{text}"
    )
}

#[test]
fn what_an_older_capture_shows_counts_no_more() {
    let old = on_day(2, "h1", &host("h1", "192.0.2.1", &ends("192.0.2.1", "192.0.2.2")));
    let new = on_day(9, "h1", &host("h1", "192.0.2.5", &ends("192.0.2.5", "192.0.2.2")));
    let other = host("h2", "192.0.2.2", &ends("192.0.2.2", "192.0.2.1"));
    for texts in [[&old, &new, &other], [&new, &old, &other]] {
        with_sessions(&texts.map(String::as_str), |network| {
            // Captures of one machine stand in their order.
            let (outdated, standing) = (HostId(0), HostId(1));
            let old: Vec<HostId> =
                network.hosts().filter(|host| network.is_outdated(*host)).collect();
            assert_eq!(old, [outdated]);
            let mesh = network.mesh();
            assert_eq!(mesh.machine(outdated), standing);
            assert_eq!(mesh.machine(standing), standing);
            // Nobody has the old address, so the other host's tunnel leads nowhere.
            assert!(owners(network, "192.0.2.1").is_empty());
            let far = "192.0.2.2".parse().unwrap();
            assert_eq!(mesh.other(network, far, standing), Some(HostId(2)));
            assert_eq!(mesh.other(network, far, outdated), None);
            assert_eq!(mesh.ways(network), BTreeSet::from([(standing, HostId(2))]));
            assert!(!network.are_comparable(outdated, HostId(2)));
            assert!(!network.are_comparable(HostId(2), outdated));
            assert!(!network.are_comparable(outdated, standing));
            assert!(network.are_comparable(standing, HostId(2)));
        });
    }
}

/// A tunnel of the kernel that is held to `eno1`, where no route leads to its far end.
fn held(details: &str, eno1: &str) -> String {
    let lo = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default\n    \
              link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let address =
        "    inet 192.0.2.1/24 scope global eno1\n       valid_lft forever preferred_lft forever\n";
    let links = [
        lo.to_owned(),
        link(2, "eno1", eno1, address),
        link(
            3,
            "vx",
            "",
            &format!("    vxlan id 5 local 192.0.2.1 {details}dstport 4789 ttl auto\n"),
        ),
    ];
    let rules = "0:\tfrom all lookup local\n32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n";
    let rest = format!(
        "ip route show table all\n192.0.2.0/24 dev eno1 proto kernel scope link src 192.0.2.1 \n\
         local 192.0.2.1 dev eno1 table local proto kernel scope host src 192.0.2.1 \n\
         root@h1:~# ip rule\n{rules}"
    );
    session(&links, &rest)
}

#[test]
fn far_ends_without_a_route_are_on_the_link_of_the_device_that_holds_the_tunnel() {
    for (details, eno1, on_link, leaves_by) in [
        ("remote 203.0.113.9 dev eno1 ", "", true, vec!["eno1"]),
        ("remote 192.0.2.9 dev eno1 ", "", true, vec!["eno1"]),
        ("remote 203.0.113.9 ", "", false, vec![]),
        ("remote 203.0.113.9 dev eno1 ", "down ", false, vec!["eno1"]),
        ("remote 2001:db8::9 dev eno1 ", "", false, vec![]),
    ] {
        with_network(&held(details, eno1), |network| {
            let tunnel = network.tunnels().next().unwrap();
            assert_eq!(
                overlay::is_taken_to_be_on_link(network, tunnel),
                on_link,
                "{details}{eno1}"
            );
            let found =
                overlay::egress(network, tunnel).and_then(Answer::known).unwrap_or_default();
            let found: Vec<&str> = found.iter().map(tapline_network::Item::name).collect();
            assert_eq!(found, leaves_by, "{details}{eno1}");
        });
    }
}
