//! Two hosts, and what on them is on one wire or in one network of neutron.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::with_sessions;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;

const NET: &str = "11111111-aaaa-4bbb-8ccc-000000000001";
const OTHER: &str = "11111111-aaaa-4bbb-8ccc-000000000002";

/// A node of neutron with one port; `remote` is the far end of its tunnel.
struct Node {
    name: &'static str,
    at: u8,
    remote: &'static str,
    tag: u16,
    noted: Option<&'static str>,
    /// The tunnel key, and the VLAN that the flows give to what comes with it.
    flow: Option<(u32, u16)>,
}

impl Node {
    fn text(&self) -> String {
        let Self { name, at, remote, tag, .. } = self;
        let noted = self.noted.map_or(String::new(), |id| format!("net_uuid=\"{id}\""));
        let flow = self.flow.map_or(String::new(), |(key, vlan)| {
            format!(
                " cookie=0x1, duration=9s, table=4, n_packets=0, n_bytes=0, \
                 priority=1,tun_id={key:#x} actions=mod_vlan_vid:{vlan},resubmit(,10)\n"
            )
        });
        format!(
            "root@{name}:~# ip -d address
2: eno1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 52:54:00:00:0{at}:01 brd ff:ff:ff:ff:ff:ff
    inet 192.0.2.{at}/24 scope global eno1
       valid_lft forever preferred_lft forever
root@{name}:~# ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a00{at}
    Bridge br-int
        fail_mode: secure
        Port tapa
            tag: {tag}
            Interface tapa
        Port patch-tun
            Interface patch-tun
                type: patch
                options: {{peer=patch-int}}
    Bridge br-tun
        fail_mode: secure
        Port patch-int
            Interface patch-int
                type: patch
                options: {{peer=patch-tun}}
        Port vxlan-1
            Interface vxlan-1
                type: vxlan
                options: {{in_key=flow, local_ip=\"192.0.2.{at}\", out_key=flow, remote_ip=\"{remote}\"}}
    ovs_version: \"2.17.0\"
root@{name}:~# ovs-vsctl list Port
_uuid               : 22222222-7a68-4a0f-9d2a-1d6a36f6a00{at}
name                : tapa
other_config        : {{{noted}}}
tag                 : {tag}
root@{name}:~# ovs-ofctl dump-flows br-tun
NXST_FLOW reply (xid=0x4):
{flow}root@{name}:~# 
"
        )
    }
}

#[test]
fn ports_are_in_one_network_by_its_id_or_by_the_key_of_their_tunnel() {
    let first = |noted, flow| Node { name: "h1", at: 1, remote: "192.0.2.2", tag: 3, noted, flow };
    let second = |remote, noted, flow| Node { name: "h2", at: 2, remote, tag: 7, noted, flow };
    let (back, away) = ("192.0.2.1", "192.0.2.9");
    let (mine, theirs) = (Some((0x41, 3)), Some((0x41, 7)));
    for (a, b, told) in [
        (first(Some(NET), None), second(back, Some(NET), None), true),
        (first(Some(NET), None), second(back, Some(OTHER), None), false),
        // The id counts, whatever the keys are.
        (first(Some(NET), mine), second(back, Some(OTHER), theirs), false),
        (first(Some(NET), mine), second(back, Some(NET), Some((0x42, 7))), true),
        // Without the id of both, the key does.
        (first(Some(NET), mine), second(back, None, theirs), true),
        (first(None, mine), second(back, None, theirs), true),
        (first(None, mine), second(back, None, Some((0x42, 7))), false),
        (first(None, mine), second(back, None, Some((0x41, 8))), false),
        (first(None, mine), second(back, None, None), false),
        (first(None, None), second(back, None, theirs), false),
        // A tunnel of one is enough.
        (first(None, mine), second(away, None, theirs), true),
        (Node { remote: "192.0.2.9", ..first(None, mine) }, second(back, None, theirs), true),
        // Keys of hosts that no tunnel joins are of two deployments.
        (Node { remote: "192.0.2.9", ..first(None, mine) }, second(away, None, theirs), false),
    ] {
        let (one, other) = (a.text(), b.text());
        with_sessions(&[&one, &other], |network| {
            let port = |host| {
                let port = network.topology.find_ovs_port(host, "tapa").unwrap();
                network.ovs_port(port).unwrap()
            };
            let (one_port, other_port) = (port(HostId(0)), port(HostId(1)));
            assert_eq!(network.are_in_one_network(one_port, other_port), told, "{one}\n{other}");
            assert_eq!(network.are_in_one_network(other_port, one_port), told, "{one}\n{other}");
        });
    }
}

#[test]
fn devices_are_on_one_wire_where_a_tunnel_leads_from_one_to_the_other() {
    let host = |name: &str, at: u8, address: &str, remote: &str| {
        format!(
            "root@{name}:~# ip -d address
2: eno1: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 52:54:00:00:0{at}:01 brd ff:ff:ff:ff:ff:ff
    inet {address} scope global eno1
       valid_lft forever preferred_lft forever
3: vx0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default qlen 1000
    link/ether 52:54:00:00:0{at}:02 brd ff:ff:ff:ff:ff:ff
    vxlan id 42 remote {remote} dev eno1 srcport 0 0 dstport 4789
root@{name}:~# 
"
        )
    };
    for (first, second, told) in [
        (("192.0.2.1/24", "192.0.2.2"), ("192.0.2.2/24", "192.0.2.1"), true),
        // One of the two tunnels is enough.
        (("192.0.2.1/24", "192.0.2.2"), ("192.0.2.2/24", "192.0.2.9"), true),
        (("192.0.2.1/24", "192.0.2.9"), ("192.0.2.2/24", "192.0.2.1"), true),
        (("192.0.2.1/24", "192.0.2.9"), ("192.0.2.2/24", "192.0.2.9"), false),
        // Routed, by what one of them thinks at least.
        (("192.0.2.1/24", "192.0.3.2"), ("192.0.3.2/24", "192.0.2.1"), false),
        (("192.0.2.1/24", "192.0.2.200"), ("192.0.2.200/25", "192.0.2.1"), false),
        (("192.0.2.1/25", "192.0.2.200"), ("192.0.2.200/24", "192.0.2.1"), false),
        // All hosts have addresses of their own link.
        (("169.254.0.1/16", "169.254.0.2"), ("169.254.0.2/16", "169.254.0.1"), false),
    ] {
        let texts = [host("h1", 1, first.0, first.1), host("h2", 2, second.0, second.1)];
        with_sessions(&[&texts[0], &texts[1]], |network| {
            let nic = |host| network.topology.find_netdev(host, &Netns::Root, "eno1").unwrap();
            let (one, other) = (nic(HostId(0)), nic(HostId(1)));
            assert_eq!(network.are_on_one_wire(one, other), told, "{first:?} {second:?}");
            assert_eq!(network.are_on_one_wire(other, one), told, "{first:?} {second:?}");
        });
    }
}
