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
    // It leaves by one of these.
    assert_eq!(out["wires"], serde_json::json!(["eth1", "eth0"]));
    let text = lint(&session(UP, ""), &["--paths"]).out;
    assert!(text.contains("qg-01234561-01 ✓ → br-int ✓ → eth1 or eth0\n"), "{text}");
    // One of them is cut, and nothing says whether it is the one.
    let text = lint(&session(DOWN, ""), &["--paths"]).out;
    assert!(text.contains("qg-01234561-01 ✓ → br-int ✓ → eth1 or eth0 ?\n"), "{text}");
}

#[test]
fn a_tunnel_whose_far_end_does_not_answer_is_crossed() {
    let neighbours = |first: &str, second: &str| {
        let flows = format!(
            "{FLOWS}[root@net1 ~]# ip route\n10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1\n\
             [root@net1 ~]# ip neigh\n10.0.0.2 dev eth0 {first}\n10.0.0.3 dev eth0 {second}\n"
        );
        session(UP, &flows)
    };
    let answers = "lladdr 52:54:00:00:02:01 REACHABLE";
    let text = lint(&neighbours("FAILED", answers), &["--paths"]).out;
    assert!(text.contains("→ br-tun/vxlan-0a000003 (1 of 2 broken) ✓ → eth0 ✓\n"), "{text}");
    let all = lint(&neighbours("FAILED", "INCOMPLETE"), &["--format", "json"]);
    assert_eq!(path(&all, "tap01234562-02")["whole"], false);
    assert_eq!(path(&all, "qg-01234561-01")["whole"], true);
    for command in [&["show"][..], &["graph", "--focus"]] {
        let folder = Folder::new(&[("s.txt", &neighbours("FAILED", "FAILED"))]);
        let input = folder.join("s.txt");
        let ran = match command {
            ["show"] => run(["show", &input, "tap01234562-02"]),
            _ => run(["graph", "--focus", "tap01234562-02", &input]),
        };
        assert!(ran.out.contains("✗ no answer from 10.0.0.2"), "{}{}", ran.out, ran.err);
    }
}

#[test]
fn any_port_of_a_namespace_has_a_path() {
    let veth = |n: u8, name: &str, more: &str| {
        format!(
            "{n}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue {more} state UP group default \
             qlen 1000\n    link/ether 52:54:00:00:03:0{n} brd ff:ff:ff:ff:ff:ff link-netnsid 0\n"
        )
    };
    let loopback = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
                    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n";
    let session = |bridge: &str| {
        format!(
            "[root@k1 ~]# ip -d address\n{loopback}{}{}3: cni0: <{bridge}> mtu 1500 qdisc noqueue \
             state UP group default qlen 1000\n    link/ether 52:54:00:00:03:03 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    \
             bridge forward_delay 1500 stp_state 0 vlan_filtering 0\n    inet 10.244.0.1/24 scope global cni0\n\
             [root@k1 ~]# ip netns list\npod1 (id: 0)\n[root@k1 ~]# ip netns exec pod1 ip -d address\n{loopback}{}    \
             inet 10.244.0.7/24 scope global eth0\n[root@k1 ~]#\n",
            veth(5, "veth5@if6", "master cni0"),
            "    veth\n",
            veth(6, "eth0@if5", ""),
        )
    };
    let up = path(&lint(&session(UP), &["--format", "json"]), "eth0");
    assert_eq!((hops(&up), &up["whole"]), (vec!["veth5", "cni0"], &true.into()));
    let down = path(&lint(&session("BROADCAST,MULTICAST"), &["--format", "json"]), "eth0");
    assert_eq!(down["whole"], false, "{down:#}");
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

/// A trunk port of neutron: what the guest does not tag goes by the parent's patch, VLAN 101 by that
/// of a subport. `flows` are those of br-tun.
fn trunk(flows: &str) -> String {
    format!(
        "[root@kvm1 ~]# virsh list --all
 Id   Name   State
----------------------
 1    vm1    running

[root@kvm1 ~]# virsh domiflist vm1
 Interface        Type     Source           Model    MAC
------------------------------------------------------------------------
 tap0e0e0e0e-01   bridge   tbr-0a0a0a0a-b   virtio   fa:16:3e:00:00:21

[root@kvm1 ~]# ip -d address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
2: eth0: <{UP}> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 52:54:00:00:01:02 brd ff:ff:ff:ff:ff:ff promiscuity 0
    inet 10.0.0.1/24 scope global eth0
       valid_lft forever preferred_lft forever
3: ovs-system: <BROADCAST,MULTICAST> mtu 1500 qdisc noop state DOWN group default qlen 1000
    link/ether 52:54:00:00:01:03 brd ff:ff:ff:ff:ff:ff promiscuity 0
    openvswitch
4: tap0e0e0e0e-01: <{UP}> mtu 1500 qdisc mq master ovs-system state UNKNOWN group default qlen 1000
    link/ether fe:16:3e:00:00:21 brd ff:ff:ff:ff:ff:ff promiscuity 1
    tun type tap pi off vnet_hdr on
    openvswitch_slave
[root@kvm1 ~]# ovs-vsctl show
0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d
    Bridge tbr-0a0a0a0a-b
        Port tap0e0e0e0e-01
            Interface tap0e0e0e0e-01
        Port tpt-0e0e0e0e-01
            Interface tpt-0e0e0e0e-01
                type: patch
                options: {{peer=tpi-0e0e0e0e-01}}
        Port spt-0f0f0f0f-02
            tag: 101
            Interface spt-0f0f0f0f-02
                type: patch
                options: {{peer=spi-0f0f0f0f-02}}
    Bridge br-int
        fail_mode: secure
        Port tpi-0e0e0e0e-01
            tag: 1
            Interface tpi-0e0e0e0e-01
                type: patch
                options: {{peer=tpt-0e0e0e0e-01}}
        Port spi-0f0f0f0f-02
            tag: 2
            Interface spi-0f0f0f0f-02
                type: patch
                options: {{peer=spt-0f0f0f0f-02}}
        Port patch-tun
            Interface patch-tun
                type: patch
                options: {{peer=patch-int}}
    Bridge br-tun
        Port patch-int
            Interface patch-int
                type: patch
                options: {{peer=patch-tun}}
        Port vxlan-0a000002
            Interface vxlan-0a000002
                type: vxlan
                options: {{local_ip=\"10.0.0.1\", remote_ip=\"10.0.0.2\"}}
    ovs_version: \"2.17.9\"
[root@kvm1 ~]# ovs-ofctl dump-flows br-tun
{flows}[root@kvm1 ~]#
"
    )
}

#[test]
fn each_vlan_of_a_trunk_has_a_path_of_its_own() {
    let parent = " cookie=0x1, duration=10.1s, table=22, n_packets=1, n_bytes=60, priority=1,dl_vlan=1 actions=strip_vlan,set_tunnel:0x41,output:2\n";
    let subport = parent.replace("dl_vlan=1", "dl_vlan=2").replace("0x41", "0x42");
    let both = lint(&trunk(&format!("{parent}{subport}")), &["--paths"]).out;
    let start = "kvm1 · vm1/tap0e0e0e0e-01";
    let end = "br-tun/vxlan-0a000002 ✓ → eth0 ✓\n";
    for (start, port) in
        [(start.to_owned(), "tpt-0e0e0e0e-01"), (format!("{start} (VLAN 101)"), "spt-0f0f0f0f-02")]
    {
        let line =
            both.lines().find(|line| line.contains(&format!("✓ {start} →"))).expect("a path");
        assert!(line.contains(&format!("tbr-0a0a0a0a-b/{port} ✓")), "{both}");
        assert!(format!("{line}\n").ends_with(end), "{both}");
    }
    // Nothing shows where the VLAN of the subport leaves: that is no reason to doubt the parent.
    let one = lint(&trunk(parent), &["--format", "json"]).json();
    let paths = one["paths"].as_array().expect("paths");
    let told: Vec<_> = paths.iter().map(|path| (&path["vlan"], &path["whole"])).collect();
    assert_eq!(told, [(&Value::Null, &true.into()), (&101.into(), &Value::Null)], "{one:#}");
}

/// The session of a container host with more in its namespaces: `inside` are their texts.
fn nested(root: &str, inside: &[(&str, &str)]) -> String {
    let loopback = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
                    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let names: Vec<String> =
        inside.iter().enumerate().map(|(id, (name, _))| format!("{name} (id: {id})\n")).collect();
    let each: Vec<String> = inside
        .iter()
        .map(|(name, text)| {
            format!("[root@h1 ~]# ip netns exec {name} ip -d address\n{loopback}{text}")
        })
        .collect();
    format!(
        "[root@h1 ~]# ip -d address\n{loopback}{root}[root@h1 ~]# ip netns list\n{}{}[root@h1 ~]#\n",
        names.concat(),
        each.concat()
    )
}

/// One device of `ip -d address`.
fn device(n: u8, name: &str, flags: &str, more: &str, rest: &str) -> String {
    format!(
        "{n}: {name}: <{flags}> mtu 1500 qdisc noqueue {more} state UP group default qlen 1000\n    link/ether \
         52:54:00:00:04:{n:02} brd ff:ff:ff:ff:ff:ff promiscuity 0\n{rest}"
    )
}

#[test]
fn ports_between_namespaces_and_devices_on_them_have_paths() {
    let veth = "    veth\n    inet 10.1.0.5/24 scope global\n";
    let nic = device(2, "eno1", UP, "", "");
    let app = device(6, "eth0@if8", UP, "link-netns rtr", veth);
    let down = device(8, "r0@if6", "BROADCAST,MULTICAST", "link-netns app", "    veth\n");
    let up = device(
        8,
        "r0@if6",
        UP,
        "link-netns app",
        "    veth\n    inet 10.1.0.1/24 scope global r0\n",
    );
    let given = device(9, "eno5", DOWN, "", "    inet 10.4.0.1/24 scope global eno5\n");
    let with = |router: &str| {
        let router = format!("{router}{given}");
        lint(&nested(&nic, &[("app", &app), ("rtr", &router)]), &["--paths"]).out
    };
    let whole = with(&up);
    assert!(whole.contains("✓ h1 · app/eth0 → r0 ✓\n"), "{whole}");
    assert!(whole.contains("✗ h1 · rtr/eno5 → "), "{whole}");
    let cut = with(&down);
    assert!(cut.contains("✗ h1 · app/eth0 → "), "{cut}");
}

#[test]
fn a_vlan_device_of_a_namespace_has_a_path_in_its_vlan() {
    let nic = device(2, "eno1", UP, "master br0", "    bridge_slave state forwarding\n");
    let bridge =
        device(3, "br0", UP, "", "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n");
    let port = device(
        7,
        "vblue@if6",
        UP,
        "master br0 link-netns blue",
        "    veth\n    bridge_slave state forwarding\n",
    );
    let inner = device(
        6,
        "eth0@if7",
        UP,
        "link-netnsid 0",
        "    veth\n    inet 10.1.0.5/24 scope global eth0\n",
    );
    let tagged = device(
        8,
        "eth0.30@eth0",
        UP,
        "",
        "    vlan protocol 802.1Q id 30 <REORDER_HDR>\n    inet 10.30.0.5/24 scope global eth0.30\n",
    );
    let vlans = |uplink: &str| {
        let root = format!("{nic}{bridge}{port}");
        let hosts = nested(&root, &[("blue", &format!("{inner}{tagged}"))]);
        let vlans = format!(
            "[root@h1 ~]# bridge vlan show\nport              vlan-id  \neno1              1 PVID Egress Untagged\n{uplink}\
             br0               1 PVID Egress Untagged\nvblue             1 PVID Egress Untagged\n                  30\n"
        );
        let text = hosts.replacen(
            "[root@h1 ~]# ip netns list",
            &format!("{vlans}[root@h1 ~]# ip netns list"),
            1,
        );
        lint(&text, &["--paths"]).out
    };
    let carried = vlans("                  30\n");
    assert!(
        carried.contains("✓ h1 · blue/eth0.30 → eth0 ✓ → vblue ✓ → br0 ✓ → eno1 ✓\n"),
        "{carried}"
    );
    let cut = vlans("");
    assert!(cut.contains("✓ h1 · blue/eth0 → vblue ✓ → br0 ✓ → eno1 ✓\n"), "{cut}");
    assert!(cut.contains("→ eno1 ✗ does not carry VLAN 30\n"), "{cut}");
}

#[test]
fn a_tunnel_to_a_dead_end_is_crossed_at_that_end() {
    let host = |name: &str, own: u8, far: u8, nic: &str| {
        let nic =
            device(2, "eth0", nic, "", &format!("    inet 10.0.0.{own}/24 scope global eth0\n"));
        let port = "    bridge_slave state forwarding priority 32 cost 100\n";
        let tunnel = format!(
            "    vxlan id 100 remote 10.0.0.{far} local 10.0.0.{own} srcport 0 0 dstport 4789 ttl auto\n{port}"
        );
        let devices = [
            nic.replace("52:54:00:00:04:", &format!("52:54:00:00:{own:02}:")),
            device(
                3,
                "br0",
                UP,
                "",
                "    bridge forward_delay 1500 stp_state 0 vlan_filtering 0\n",
            ),
            device(4, "vxlan100", UP, "master br0", &tunnel),
            device(
                5,
                "tap0",
                UP,
                "master br0",
                &format!("    tun type tap pi off vnet_hdr on\n{port}"),
            ),
        ];
        let lo = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
                  link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
        format!(
            "[root@{name} ~]# virsh list --all\n Id   Name   State\n----------------------\n 1    v{own}    running\n\n\
             [root@{name} ~]# virsh domiflist v{own}\n Interface   Type     Source   Model    MAC\n\
             -----------------------------------------------------------\n \
             tap0        bridge   br0      virtio   fa:16:3e:00:00:0{own}\n\n\
             [root@{name} ~]# ip -d address\n{lo}{}[root@{name} ~]# ip route\n\
             10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.{own}\n[root@{name} ~]#\n",
            devices.concat()
        )
    };
    let both = |nic: &str| {
        let folder =
            Folder::new(&[("x.txt", &host("hx", 1, 2, UP)), ("y.txt", &host("hy", 2, 1, nic))]);
        run(["lint", "--paths", "--fail-on", "never", &folder.join("x.txt"), &folder.join("y.txt")])
            .out
    };
    let whole = both(UP);
    assert!(whole.contains("✓ hx · v1/tap0 → tap0 ✓ → br0 ✓ → vxlan100 ✓ → eth0 ✓\n"), "{whole}");
    let dead = both(DOWN);
    assert!(dead.contains("✗ hx · v1/tap0 → tap0 ✓ → br0 ✓ → vxlan100 ✓ → eth0 of hy ✗"), "{dead}");
}
