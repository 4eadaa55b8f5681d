//! Sessions of hosts, and the network that they show.
#![allow(dead_code, reason = "each test uses some of it")]
use tapline_capture::{Input, Options};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::environment::{Environment, Profile};
use tapline_network::path::{Hop, Paths};
use tapline_network::{Answer, Network};

/// `text` as a session, of one host or several. Reads it and shows the network to `look`.
pub(crate) fn with_network<T>(text: &str, look: impl FnOnce(&Network<'_>) -> T) -> T {
    with_sessions(&[text], look)
}

/// The same of several sessions, each an input of its own.
pub(crate) fn with_sessions<T>(texts: &[&str], look: impl FnOnce(&Network<'_>) -> T) -> T {
    with_said(texts, None, &Environment::default(), look)
}

/// The same with what a person says of the hosts.
pub(crate) fn with_said<T>(
    texts: &[&str],
    profile: Option<Profile>,
    environment: &Environment,
    look: impl FnOnce(&Network<'_>) -> T,
) -> T {
    let inputs: Vec<Input> = texts
        .iter()
        .zip(1..)
        .map(|(text, at)| Input::Text(format!("session {at}"), (*text).to_owned()))
        .collect();
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    look(&Network::new(&topology, profile, environment))
}

/// A device as `ip -d address` prints it.
pub(crate) fn link(index: u32, name: &str, more: &str, details: &str) -> String {
    let (flags, more) = match more.strip_prefix("down ") {
        Some(rest) => ("BROADCAST,MULTICAST", rest),
        None => ("BROADCAST,MULTICAST,UP,LOWER_UP", more),
    };
    format!(
        "{index}: {name}: <{flags}> mtu 1500 qdisc noqueue {more} state UP group default qlen 1000\n    \
         link/ether 52:54:00:00:01:{index:02x} brd ff:ff:ff:ff:ff:ff promiscuity 0\n{details}"
    )
}

/// Devices of a host, and what was asked after them.
pub(crate) fn session(links: &[String], rest: &str) -> String {
    format!("root@h1:~# ip -d address\n{}root@h1:~# {rest}\n", links.concat())
}

/// Details of a tap.
pub(crate) const TAP: &str = "    tun type tap pi off vnet_hdr on persist off\n";
/// Details of a veth.
pub(crate) const VETH: &str = "    veth\n";
/// Details of a bridge.
pub(crate) const BRIDGE: &str = "    bridge forward_delay 1500 stp_state 1 vlan_filtering 0\n";

/// A port of a bridge in a state of spanning tree.
pub(crate) fn port(state: &str) -> String {
    format!("    bridge_slave state {state} priority 32 cost 100\n")
}

/// The hops from a device to the wire, depth first, each with what blocks it.
pub(crate) fn down(text: &str, device: &str) -> Vec<String> {
    with_network(text, |network| {
        let start = network.topology.find_netdev(HostId(0), &Netns::Root, device).unwrap();
        let path = Paths::new(network).down(start);
        let mut shown = Vec::new();
        show(network, &path.hops, &mut shown);
        shown
    })
}

fn show(network: &Network<'_>, hops: &[Hop<'_>], shown: &mut Vec<String>) {
    for hop in hops {
        let name = network.topology.node(hop.node).unwrap().name.to_string();
        let doubt = if hop.doubtful { "? " } else { "" };
        match hop.block() {
            Some(block) => shown.push(format!("{doubt}{name}: {}", block.why)),
            None => shown.push(format!("{doubt}{name}")),
        }
        show(network, &hop.next, shown);
    }
}

/// The hops of which it is not known whether they pass frames, with the commands that would tell.
pub(crate) fn open(text: &str, device: &str) -> Vec<String> {
    fn gather(hops: &[Hop<'_>], name: &dyn Fn(&Hop<'_>) -> String, open: &mut Vec<String>) {
        for hop in hops {
            if let Answer::Unknown(needs) = &hop.passes {
                let needs: Vec<String> = needs.iter().map(ToString::to_string).collect();
                open.push(format!("{}: {}", name(hop), needs.join(", ")));
            }
            gather(&hop.next, name, open);
        }
    }
    with_network(text, |network| {
        let start = network.topology.find_netdev(HostId(0), &Netns::Root, device).unwrap();
        let path = Paths::new(network).down(start);
        let name = |hop: &Hop<'_>| network.topology.node(hop.node).unwrap().name.to_string();
        let mut all = Vec::new();
        gather(&path.hops, &name, &mut all);
        all
    })
}

/// A host of neutron: VLAN 1 is an overlay, VLAN 2 a physical network, VLAN 4095 dead.
pub(crate) fn neutron(flows: bool) -> String {
    let ovs = "    openvswitch_slave\n";
    let address = |ip: &str| {
        format!("    inet {ip} scope global eno1\n       valid_lft forever preferred_lft forever\n")
    };
    let links = [
        link(2, "eno1", "", &address("192.0.2.1/24")),
        link(3, "eno2", "master ovs-system", ovs),
        link(4, "tapa", "master ovs-system", &(TAP.to_owned() + ovs)),
        link(5, "tapb", "master ovs-system", &(TAP.to_owned() + ovs)),
        link(6, "tapc", "master ovs-system", &(TAP.to_owned() + ovs)),
        link(7, "ovs-system", "", "    openvswitch\n"),
    ];
    let show = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br-int
        fail_mode: secure
        Port br-int
            Interface br-int
                type: internal
        Port tapa
            tag: 1
            Interface tapa
        Port tapb
            tag: 2
            Interface tapb
        Port tapc
            tag: 4095
            Interface tapc
        Port patch-tun
            Interface patch-tun
                type: patch
                options: {peer=patch-int}
        Port int-br-ex
            Interface int-br-ex
                type: patch
                options: {peer=phy-br-ex}
    Bridge br-tun
        fail_mode: secure
        Port br-tun
            Interface br-tun
                type: internal
        Port patch-int
            Interface patch-int
                type: patch
                options: {peer=patch-tun}
        Port vxlan-c0000202
            Interface vxlan-c0000202
                type: vxlan
                options: {in_key=flow, local_ip=\"192.0.2.1\", out_key=flow, remote_ip=\"192.0.2.2\"}
    Bridge br-ex
        fail_mode: secure
        Port br-ex
            Interface br-ex
                type: internal
        Port phy-br-ex
            Interface phy-br-ex
                type: patch
                options: {peer=int-br-ex}
        Port eno2
            Interface eno2
    ovs_version: \"2.17.0\"
";
    let tunnel = "root@h1:~# ovs-ofctl dump-flows br-tun
NXST_FLOW reply (xid=0x4):
 cookie=0x1, duration=9s, table=22, n_packets=0, n_bytes=0, priority=1,dl_vlan=1 actions=strip_vlan,load:0x41->NXM_NX_TUN_ID[],output:2
root@h1:~# ovs-ofctl dump-flows br-ex
NXST_FLOW reply (xid=0x4):
 cookie=0x1, duration=9s, table=0, n_packets=0, n_bytes=0, priority=4,in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL
";
    let rest = format!("{show}{}root@h1:~# ", if flows { tunnel } else { "" });
    session(&links, &rest)
}

/// A VM with this MAC whose device is `tap`.
pub(crate) fn guest(tap: &str, bridge: &str, mac: &str) -> String {
    format!(
        "virsh dumpxml vm1
<domain type='kvm' id='1'>
  <name>vm1</name>
  <uuid>7c9d5e7a-684a-4f9d-a2d1-6a36f6a00101</uuid>
  <devices>
    <interface type='bridge'>
      <mac address='{mac}'/>
      <source bridge='{bridge}'/>
      <target dev='{tap}'/>
    </interface>
  </devices>
</domain>
root@h1:~# "
    )
}
