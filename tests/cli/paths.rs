//! `tapline lint --paths`, the ways in JSON, and what hangs on a fault.
use serde_json::Value;

use super::{Folder, Ran, run};

/// A host with two namespaces: one in a provider network, one in an overlay.
fn session(nic: &str, flows: &str) -> String {
    let device = |prompt: &str, name: &str, n: u8| {
        format!(
            "{prompt} ip -d address\n1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group \
             default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n\
             3{n}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default \
             qlen 1000\n    link/ether fa:16:3e:00:00:0{n} brd ff:ff:ff:ff:ff:ff promiscuity 0\n    \
             openvswitch\n    inet 203.0.113.1{n}/24 scope global {name}\n       \
             valid_lft forever preferred_lft forever\n"
        )
    };
    format!(
        "[root@net1 ~]# ip -d address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
2: eth1: <{nic}> mtu 1500 qdisc mq master ovs-system state UP group default qlen 1000
    link/ether 52:54:00:00:01:01 brd ff:ff:ff:ff:ff:ff promiscuity 1
    openvswitch_slave
3: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 52:54:00:00:01:02 brd ff:ff:ff:ff:ff:ff promiscuity 0
    inet 10.0.0.1/24 scope global eth0
       valid_lft forever preferred_lft forever
4: ovs-system: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default qlen 1000
    link/ether 52:54:00:00:01:03 brd ff:ff:ff:ff:ff:ff promiscuity 0
    openvswitch
[root@net1 ~]# ovs-vsctl show
0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d
    Bridge br-int
        fail_mode: secure
        Port qg-01234561-01
            tag: 5
            Interface qg-01234561-01
                type: internal
        Port tap01234562-02
            tag: 7
            Interface tap01234562-02
                type: internal
        Port int-br-ex
            Interface int-br-ex
                type: patch
                options: {{peer=phy-br-ex}}
        Port patch-tun
            Interface patch-tun
                type: patch
                options: {{peer=patch-int}}
    Bridge br-ex
        Port phy-br-ex
            Interface phy-br-ex
                type: patch
                options: {{peer=int-br-ex}}
        Port eth1
            Interface eth1
    Bridge br-tun
        Port patch-int
            Interface patch-int
                type: patch
                options: {{peer=patch-tun}}
        Port vxlan-0a000002
            Interface vxlan-0a000002
                type: vxlan
                options: {{local_ip=\"10.0.0.1\", remote_ip=\"10.0.0.2\"}}
        Port vxlan-0a000003
            Interface vxlan-0a000003
                type: vxlan
                options: {{local_ip=\"10.0.0.1\", remote_ip=\"10.0.0.3\"}}
    ovs_version: \"2.17.9\"
{flows}{}{}[root@net1 ~]#\n",
        device(
            "[root@net1 ~]# ip netns exec qrouter-6d1f0a31-1111-4222-8333-444455556666",
            "qg-01234561-01",
            1
        ),
        device(
            "[root@net1 ~]# ip netns exec qdhcp-6d1f0a32-1111-4222-8333-444455556666",
            "tap01234562-02",
            2
        ),
    )
}

/// What the agent programs: VLAN 5 leaves by br-ex, VLAN 7 by br-tun.
const FLOWS: &str = "\
[root@net1 ~]# ovs-ofctl dump-flows br-ex
 cookie=0x1, duration=10.1s, table=0, n_packets=1, n_bytes=60, priority=4,in_port=1,dl_vlan=5 actions=strip_vlan,NORMAL
 cookie=0x1, duration=10.1s, table=0, n_packets=0, n_bytes=0, priority=2,in_port=1 actions=drop
[root@net1 ~]# ovs-ofctl dump-flows br-tun
 cookie=0x1, duration=10.1s, table=4, n_packets=1, n_bytes=60, priority=1,tun_id=0x2a actions=mod_vlan_vid:7,resubmit(,10)
 cookie=0x1, duration=10.1s, table=22, n_packets=1, n_bytes=60, priority=1,dl_vlan=7 actions=strip_vlan,set_tunnel:0x2a,output:2,output:3
";

const UP: &str = "BROADCAST,MULTICAST,UP,LOWER_UP";
const DOWN: &str = "NO-CARRIER,BROADCAST,MULTICAST,UP";

fn lint(text: &str, args: &[&str]) -> Ran {
    let folder = Folder::new(&[("in/session.txt", text)]);
    let path = folder.join("in/session.txt");
    run([&["lint", "--fail-on", "never", &path], args].concat())
}

/// The path that starts at a device.
fn path(ran: &Ran, start: &str) -> Value {
    let document = ran.json();
    let all = document["paths"].as_array().cloned().unwrap_or_default();
    all.into_iter().find(|it| it["start"] == start).expect("the path")
}

fn hops(path: &Value) -> Vec<&str> {
    let all = path["hops"].as_array().expect("hops");
    all.iter().map(|it| it["name"].as_str().expect("a name")).collect()
}

#[test]
fn paths_go_on_to_the_wire_and_below_tunnels() {
    let ran = lint(&session(UP, FLOWS), &["--format", "json"]);
    let out = path(&ran, "qg-01234561-01");
    assert_eq!((&out["reach"], &out["whole"]), (&"wire".into(), &true.into()), "{out:#}");
    assert!(hops(&out).ends_with(&["br-ex/eth1", "eth1"]), "{out:#}");
    let over = path(&ran, "tap01234562-02");
    assert_eq!((&over["reach"], &over["whole"]), (&"tunnels".into(), &true.into()), "{over:#}");
    // Below the tunnels the path goes on to the NIC with their source.
    assert_eq!(hops(&over).last(), Some(&"eth0"), "{over:#}");
    let all = over["hops"].as_array().expect("hops");
    let tunnel = all.iter().find(|hop| hop["name"] == "br-tun/vxlan-0a000002").expect("a tunnel");
    assert_eq!((&tunnel["beside"], &tunnel["broken_beside"]), (&1.into(), &0.into()));
    let text = lint(&session(UP, FLOWS), &["--paths"]).out;
    let shown = "→ br-int ✓ → br-int/int-br-ex ✓ → br-ex/phy-br-ex ✓ → br-ex ✓ → br-ex/eth1 ✓\n";
    assert!(text.contains(shown), "{text}");
    assert!(text.contains("→ br-tun/vxlan-0a000002 (and 1 more) ✓ → eth0 ✓\n"), "{text}");
}

#[test]
fn the_first_broken_hop_ends_a_path() {
    let ran = lint(&session(DOWN, FLOWS), &["--format", "json"]);
    let out = path(&ran, "qg-01234561-01");
    assert_eq!(out["whole"], false);
    assert!(!out["broken_by"].is_null(), "{out:#}");
    assert_eq!(path(&ran, "tap01234562-02")["whole"], true);
    let cut = session(UP, FLOWS).replace("{peer=phy-br-ex}", "{peer=phy-gone}");
    let ran = lint(&cut, &["--format", "json"]);
    let out = path(&ran, "qg-01234561-01");
    assert_eq!(hops(&out).last(), Some(&"br-int/int-br-ex"), "{out:#}");
    assert_eq!(out["whole"], false);
    let ran = lint(&cut, &["--paths"]);
    assert!(ran.out.contains("→ br-int/int-br-ex ✗ OVS-003"), "{}", ran.out);
}

#[test]
fn a_way_ends_at_the_switch_where_it_is_not_told_where_it_goes() {
    let ran = lint(&session(UP, ""), &["--format", "json"]);
    let out = path(&ran, "qg-01234561-01");
    assert_eq!((&out["reach"], &out["whole"]), (&"switch".into(), &true.into()), "{out:#}");
    assert_eq!(hops(&out).last(), Some(&"br-int"));
}

#[test]
fn only_users_on_the_vlan_of_a_fault_hang_on_it() {
    let blast = |flows: &str| {
        let document = lint(&session(DOWN, flows), &["--format", "json"]).json();
        let all = document["findings"].as_array().cloned().unwrap_or_default();
        let nic = all.into_iter().find(|it| it["code"] == "NIC-001").expect("the NIC");
        nic["blast"]["namespaces"].as_u64()
    };
    assert_eq!(blast(FLOWS), Some(1));
    // Where nothing tells the VLANs apart, both may be cut off.
    assert_eq!(blast(""), Some(2));
}
