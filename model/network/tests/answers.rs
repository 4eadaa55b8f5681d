//! Whether answers come back by the way of a path: through the flows of the bridges that it crosses,
//! the VLANs of a Linux bridge, and the flows of the host at the far end of a tunnel.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{TAP, down, link, neutron, session, with_network};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::path::{Hop, Paths};

/// What `ovs-ofctl show` prints of a bridge with these ports, numbered from 1, and what `dump-flows`
/// prints of it.
fn switch(bridge: &str, ports: &[&str], flows: &str) -> String {
    let ports = ports.iter().zip(1..).map(|(name, number)| {
        format!(
            " {number}({name}): addr:fe:54:00:00:02:{number:02x}\n     config:     0\n     \
             state:      0\n     speed: 0 Mbps now, 0 Mbps max\n"
        )
    });
    let lines = flows
        .split(" ; ")
        .map(|flow| format!(" cookie=0x1, duration=9s, table=0, n_packets=0, n_bytes=0, {flow}\n"));
    format!(
        "root@h1:~# ovs-ofctl show {bridge}
OFPT_FEATURES_REPLY (xid=0x2): dpid:0000000000000001
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP
actions: output enqueue set_vlan_vid
{} LOCAL({bridge}): addr:aa:bb:cc:00:00:01
     config:     PORT_DOWN
     state:      LINK_DOWN
     speed: 0 Mbps now, 0 Mbps max
OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0
root@h1:~# ovs-ofctl dump-flows {bridge}
NXST_FLOW reply (xid=0x4):
{}",
        ports.collect::<Vec<_>>().concat(),
        lines.collect::<Vec<_>>().concat(),
    )
}

/// The host of neutron with these flows on the bridge of the physical network and on the integration
/// bridge.
fn provider(of_ex: &str, of_int: &str) -> String {
    let ex = switch("br-ex", &["phy-br-ex", "eno2"], of_ex);
    neutron(false) + &ex + &switch("br-int", &["tapb", "int-br-ex"], of_int)
}

fn blocked(text: &str, device: &str) -> Vec<String> {
    down(text, device).into_iter().filter(|hop| hop.contains(": ")).collect()
}

#[test]
fn flows_bring_answers_back() {
    const LOST: &[&str] = &["eno2: nothing comes back by it"];
    const EX: &str = "priority=4,in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL ; \
                      priority=2,in_port=1 actions=drop ; priority=0 actions=NORMAL";
    const INT: &str = "priority=3,in_port=2,dl_vlan=200 actions=mod_vlan_vid:2,NORMAL ; \
                       priority=2,in_port=2 actions=drop ; priority=0 actions=NORMAL";
    let ex = |from: &str, to: &str| EX.replace(from, to);
    let int = |from: &str, to: &str| INT.replace(from, to);
    let same = |text: &str| text.to_owned();
    for (of_ex, of_int, lost) in [
        (same(EX), same(INT), &[][..]),
        // The bridge of the physical network drops what comes from the wire, or sends it elsewhere.
        (ex("priority=0 actions=NORMAL", "priority=1,in_port=2 actions=drop"), same(INT), LOST),
        (ex("priority=0 actions=NORMAL", "priority=1,in_port=2 actions=LOCAL"), same(INT), LOST),
        (ex("priority=0 actions=NORMAL", "priority=1,in_port=2 actions=output:1"), same(INT), &[]),
        // ARP alone is of no use.
        (
            ex("priority=0 actions=NORMAL", "priority=1,in_port=2,arp actions=NORMAL"),
            same(INT),
            LOST,
        ),
        // What a controller does with it is not known.
        (ex("priority=0 actions=NORMAL", "priority=0 actions=CONTROLLER:65535"), same(INT), &[]),
        // The integration bridge gives it another VLAN, or knows the VLAN of the wire no more.
        (same(EX), int("mod_vlan_vid:2", "mod_vlan_vid:3"), LOST),
        (same(EX), int("dl_vlan=200", "dl_vlan=201"), LOST),
        (same(EX), int("in_port=2,dl_vlan=200", "in_port=2,dl_vlan=0x0"), LOST),
        (same(EX), int("mod_vlan_vid:2,NORMAL", "output:1"), &[]),
        // All that guests talk in is dropped, or a part.
        (
            ex(
                "priority=0 actions=NORMAL",
                "priority=1,in_port=2,ip actions=drop ; \
                priority=1,in_port=2,ipv6 actions=drop ; priority=0 actions=NORMAL",
            ),
            same(INT),
            LOST,
        ),
        (
            ex(
                "priority=0 actions=NORMAL",
                "priority=1,in_port=2,ip actions=drop ; \
                priority=0 actions=NORMAL",
            ),
            same(INT),
            &[],
        ),
        // The wire carries it without a tag.
        (ex("mod_vlan_vid:200", "strip_vlan"), int("dl_vlan=200", "vlan_tci=0x0000/0x1fff"), &[]),
        (ex("mod_vlan_vid:200", "strip_vlan"), same(INT), LOST),
    ] {
        assert_eq!(blocked(&provider(&of_ex, &of_int), "tapb"), lost, "{of_ex} | {of_int}");
    }
}

#[test]
fn flows_may_drop_what_is_meant_for_a_guest() {
    const GUEST: &str = "root@h1:~# virsh dumpxml vm1
<domain type='kvm' id='1'>
  <name>vm1</name>
  <uuid>7c9d5e7a-684a-4f9d-a2d1-6a36f6a00101</uuid>
  <devices>
    <interface type='bridge'>
      <mac address='52:54:00:00:0a:01'/>
      <source bridge='br-int'/>
      <virtualport type='openvswitch'/>
      <target dev='tapb'/>
    </interface>
  </devices>
</domain>
root@h1:~# ";
    let way = "priority=3,in_port=2,dl_vlan=200 actions=mod_vlan_vid:2,NORMAL";
    let ex = "priority=4,in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL ; priority=0 actions=NORMAL";
    for (mac, lost) in [("52:54:00:00:0a:01", true), ("52:54:00:00:0a:02", false)] {
        let int =
            format!("{way} ; priority=9,dl_dst={mac} actions=drop ; priority=0 actions=NORMAL");
        let text = provider(ex, &int) + GUEST;
        let stopped = with_network(&text, |network| {
            let nic = network.vm_nics().next().unwrap().id;
            let mut open: Vec<Hop<'_>> = Paths::new(network).down(nic).hops;
            let mut stopped = false;
            while let Some(hop) = open.pop() {
                stopped |= hop.block().is_some();
                open.extend(hop.next);
            }
            stopped
        });
        assert_eq!(stopped, lost, "{mac}");
    }
}

#[test]
fn flows_that_were_not_captured_decide_nothing() {
    let none =
        neutron(false) + &switch("br-ex", &["phy-br-ex", "eno2"], "priority=0 actions=NORMAL");
    assert!(blocked(&none, "tapb").is_empty());
}

/// Two hosts of neutron with a tunnel between them, their ports in one network, and these flows on
/// the tunnel bridge of the second.
fn two_hosts(network: &str, far: &str) -> [String; 2] {
    let near = "priority=1,in_port=1 actions=strip_vlan,set_tunnel:0x41,output:2 ; \
                priority=1,in_port=2,tun_id=0x41 actions=mod_vlan_vid:1,output:1 ; \
                priority=0 actions=drop";
    let host = |text: String, flows: &str, network: &str| {
        let port = format!(
            "root@h1:~# ovs-vsctl list Port\n_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001\n\
             name                : tapa\nother_config        : {{net_uuid=\"{network}\", network_type=vxlan, \
             physical_network=None, segmentation_id=\"65\", tag=\"1\"}}\ntag                 : 1\n"
        );
        let taps = text.replace("tapa", "tap0a1b2c3d-4e");
        let port = port.replace("tapa", "tap0a1b2c3d-4e");
        let tun = switch("br-tun", &["patch-int", "vxlan-c0000202"], flows);
        let int = switch("br-int", &["tap0a1b2c3d-4e", "patch-tun"], "priority=0 actions=NORMAL");
        taps + &tun + &int + &port
    };
    let first = host(neutron(false), near, "00000000-0000-4000-8000-000000000001");
    let second = host(neutron(false), far, network)
        .replace("192.0.2.1", "192.0.2.9")
        .replace("192.0.2.2", "192.0.2.1")
        .replace("192.0.2.9", "192.0.2.2")
        .replace("52:54:00:00:01", "52:54:00:00:02")
        .replace("vxlan-c0000202", "vxlan-c0000201")
        .replace("@h1:", "@h2:");
    [first, second]
}

#[test]
fn flows_of_the_far_end_take_what_a_tunnel_sends() {
    const SAME: &str = "00000000-0000-4000-8000-000000000001";
    const OTHER: &str = "00000000-0000-4000-8000-000000000002";
    let lost = ["vxlan-c0000201: nobody at 192.0.2.2 takes VNI 65"];
    let out = "priority=1,in_port=1 actions=strip_vlan,set_tunnel:0x41,output:2";
    for (network, flows, deaf) in [
        (SAME, "in_port=2,tun_id=0x41 actions=mod_vlan_vid:1,output:1", false),
        (SAME, "in_port=2,tun_id=0x42 actions=mod_vlan_vid:1,output:1", true),
        // In a VLAN of another network.
        (SAME, "in_port=2,tun_id=0x41 actions=mod_vlan_vid:2,output:1", true),
        (SAME, "in_port=2,tun_id=0x41 actions=drop", true),
        (SAME, "in_port=2 actions=CONTROLLER:65535", false),
        // A host without a port of the network need not take it.
        (OTHER, "in_port=2,tun_id=0x42 actions=mod_vlan_vid:1,output:1", false),
    ] {
        let far = format!("{out} ; priority=1,{flows} ; priority=0 actions=drop");
        let texts = two_hosts(network, &far);
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let shown = common::with_sessions(&texts, |network| {
            let start = network.topology.find_netdev(HostId(0), &Netns::Root, "tap0a1b2c3d-4e");
            let path = Paths::new(network).down(start.unwrap());
            let mut shown = Vec::new();
            gather(&path.hops, &mut |hop| {
                let name = &network.topology.node(hop.node).unwrap().name;
                shown.extend(hop.block().map(|block| format!("{name}: {}", block.why)));
            });
            shown
        });
        assert_eq!(shown, if deaf { &lost[..] } else { &[] }, "{network} {flows}");
    }
    with_network(&two_hosts(SAME, out)[0], |network| assert_eq!(network.hosts().count(), 1));
}

/// A mesh of two bridges that hold guests themselves.
#[test]
fn a_far_bridge_may_drop_all_that_a_tunnel_brings() {
    const TAPA: &str = "        Port tapa\n            Interface tapa\n";
    let host = |name: &str, [own, other]: [&str; 2], ports: &str, flows: &str| {
        let links = [
            link(2, "eno1", "", &format!("    inet {own}/24 scope global eno1\n       valid_lft forever preferred_lft forever\n"))
                .replace("52:54:00:00:01", if name == "h1" { "52:54:00:00:01" } else { "52:54:00:00:02" }),
            link(4, "tapa", "master ovs-system", &(TAP.to_owned() + "    openvswitch_slave\n")),
            link(7, "ovs-system", "", "    openvswitch\n"),
        ];
        let show = format!(
            "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
{ports}        Port vx
            Interface vx
                type: vxlan
                options: {{key=flow, local_ip=\"{own}\", remote_ip=\"{other}\"}}
    ovs_version: \"2.17.0\"
"
        );
        let text = session(&links, &(show + &switch("br0", &["tapa", "vx"], flows)));
        text.replace("@h1:", &format!("@{name}:"))
    };
    for (ports, flows, lost) in [
        (TAPA, "priority=0 actions=drop", true),
        (TAPA, "priority=0 actions=NORMAL", false),
        (TAPA, "priority=5,in_port=2 actions=drop ; priority=0 actions=NORMAL", true),
        // Of one network alone: the guests here may be in another.
        (TAPA, "priority=5,tun_id=0x41 actions=drop ; priority=0 actions=NORMAL", false),
        // Nobody is there.
        ("", "priority=0 actions=drop", false),
    ] {
        let near = host("h1", ["192.0.2.1", "192.0.2.2"], TAPA, "priority=0 actions=NORMAL");
        let far = host("h2", ["192.0.2.2", "192.0.2.1"], ports, flows);
        let expected: &[&str] = if lost { &["dropped by its flows"] } else { &[] };
        assert_eq!(stopped_from_tapa(&near, &far), expected, "{ports} {flows}");
    }
    // The flows that count are those of the bridge that takes what the tunnel sends.
    let near = host("h1", ["192.0.2.1", "192.0.2.2"], TAPA, "priority=0 actions=NORMAL");
    let far = host("h2", ["192.0.2.2", "192.0.2.1"], TAPA, "priority=0 actions=drop");
    let lo = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
              link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let near = near.replace("ip -d address\n", &format!("ip -d address\n{lo}"));
    let unbound = near.replace("local_ip=\"192.0.2.1\", ", "");
    for (near, from, to, lost) in [
        (&near, "remote_ip=\"192.0.2.1\"", "remote_ip=flow", true),
        (&near, "remote_ip=\"192.0.2.1\"", "remote_ip=\"192.0.2.7\"", false),
        (&near, "key=flow", "in_key=flow, out_key=7", true),
        (&near, "local_ip", "dst_port=\"4789\", local_ip", true),
        (&near, "local_ip", "dst_port=\"8472\", local_ip", false),
        (&near, "type: vxlan", "type: geneve", false),
        // It sends from some address of its host.
        (&unbound, "key=flow", "key=flow", true),
        (&unbound, "remote_ip=\"192.0.2.1\"", "remote_ip=\"192.0.2.7\"", false),
    ] {
        assert!(far.contains(from), "{from}");
        let stopped = stopped_from_tapa(near, &far.replace(from, to));
        let by_flows = stopped.iter().any(|why| why == "dropped by its flows");
        assert_eq!(by_flows, lost, "{to}: {stopped:?}");
    }
}

/// Why hops of the first host stop what `tapa` sends.
fn stopped_from_tapa(near: &str, far: &str) -> Vec<String> {
    common::with_sessions(&[near, far], |network| {
        let start = network.topology.find_netdev(HostId(0), &Netns::Root, "tapa");
        let mut stopped = Vec::new();
        gather(&Paths::new(network).down(start.unwrap()).hops, &mut |hop| {
            stopped.extend(hop.block().map(|block| block.why.to_string()));
        });
        stopped
    })
}

fn gather(hops: &[Hop<'_>], found: &mut dyn FnMut(&Hop<'_>)) {
    for hop in hops {
        found(hop);
        gather(&hop.next, found);
    }
}
