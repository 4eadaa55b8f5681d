//! Texts of small hosts, read and linked: what is joined, what is not, and what says so.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot be set up has failed; texts are small"
)]
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

use tapline_core::capture::{Captured, Command, Completeness, Host, HostId, Snapshot, Source};
use tapline_core::ids::Netns;
use tapline_core::span::SourceId;
use tapline_topology::graph::{Confidence, ConflictKind, NetdevKind};
use tapline_topology::{EdgeKind, NodeData, NodeId, Presence, Topic, Topology, build};

/// Texts of one host: namespace (empty is root), command, output.
type Texts<'a> = &'a [(&'a str, &'a str, &'a str)];

fn netns(name: &str) -> Netns {
    if name.is_empty() { Netns::Root } else { Netns::Named(name.into()) }
}

fn snapshot(hosts: &[Texts<'_>]) -> Snapshot {
    let mut captured = Captured::default();
    for (at, texts) in hosts.iter().enumerate() {
        captured.hosts.push(Host { name: format!("node{}", at + 1), ..Host::default() });
        for (place, line, text) in *texts {
            let command = Command::new(line);
            let format = tapline_formats::registry::by_command(&command)
                .unwrap_or_else(|| panic!("nothing reads `{line}`"));
            captured.sources.push(Source {
                id: SourceId(u32::try_from(captured.sources.len()).unwrap()),
                host: HostId(u32::try_from(at).unwrap()),
                netns: netns(place),
                archive: Arc::from("test"),
                member: Arc::from(*line),
                first_line: 1,
                format: Some(format.id),
                request: (format.claims)(&command).unwrap(),
                command,
                text: (*text).to_owned(),
                completeness: Completeness::Complete,
                taken: None,
                window: None,
                places: Vec::new(),
                lines: OnceLock::new(),
            });
        }
    }
    tapline_formats::read(captured)
}

const HOST: HostId = HostId(0);

fn device(topology: &Topology<'_>, place: &str, name: &str) -> NodeId {
    topology
        .find_netdev(HOST, &netns(place), name)
        .unwrap_or_else(|| panic!("no device {name} in `{place}`"))
}

fn peer(topology: &Topology<'_>, place: &str, name: &str) -> Option<(String, Confidence)> {
    let (id, edge) = topology.peer(device(topology, place, name), EdgeKind::VethPeer)?;
    let node = topology.node(id)?;
    let place = node.netns.clone().unwrap_or_default();
    Some((format!("{place}/{}", node.name), edge.confidence))
}

fn conflicts(topology: &Topology<'_>) -> Vec<(ConflictKind, Vec<String>)> {
    let name = |id: &NodeId| topology.node(*id).unwrap().name.to_string();
    topology
        .conflicts
        .iter()
        .map(|conflict| (conflict.kind, conflict.nodes.iter().map(name).collect()))
        .collect()
}

/// A veth as `ip -d link` prints it; `rest` follows the first line.
fn veth(index: u32, name: &str, master: &str, netns: &str) -> String {
    let master = if master.is_empty() { String::new() } else { format!(" master {master}") };
    format!(
        "{index}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue{master} state UP mode DEFAULT group default qlen 1000\n    link/ether 02:00:00:00:00:{index:02x} brd ff:ff:ff:ff:ff:ff{netns} promiscuity 0 \n    veth addrgenmode eui64 numtxqueues 1 numrxqueues 1 gso_max_size 65536 gso_max_segs 65535 \n"
    )
}

const HYBRID_LINKS: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0 numtxqueues 1 numrxqueues 1
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
2: ens9: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq master ovs-system state UP group default qlen 1000
    link/ether 52:54:00:00:00:02 brd ff:ff:ff:ff:ff:ff promiscuity 1 numtxqueues 1 numrxqueues 1
    openvswitch_slave
10: qbraaaaaaaa-01: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP group default qlen 1000
    link/ether 06:00:00:00:00:10 brd ff:ff:ff:ff:ff:ff promiscuity 0 
    bridge forward_delay 0 hello_time 200 max_age 2000 ageing_time 0 stp_state 0 priority 32768 vlan_filtering 0 
11: qvoaaaaaaaa-01@qvbaaaaaaaa-01: <BROADCAST,MULTICAST,PROMISC,UP,LOWER_UP> mtu 1450 qdisc noqueue master ovs-system state UP group default qlen 1000
    link/ether 06:00:00:00:00:11 brd ff:ff:ff:ff:ff:ff promiscuity 2 
    veth 
    openvswitch_slave 
12: qvbaaaaaaaa-01@qvoaaaaaaaa-01: <BROADCAST,MULTICAST,PROMISC,UP,LOWER_UP> mtu 1450 qdisc noqueue master qbraaaaaaaa-01 state UP group default qlen 1000
    link/ether 06:00:00:00:00:12 brd ff:ff:ff:ff:ff:ff promiscuity 2 
    veth 
    bridge_slave state forwarding priority 32 cost 2 hairpin off guard off 
13: tapaaaaaaaa-01: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc fq_codel master qbraaaaaaaa-01 state UNKNOWN group default qlen 1000
    link/ether fe:16:3e:00:00:13 brd ff:ff:ff:ff:ff:ff promiscuity 1 
    tun type tap pi off vnet_hdr on persist off 
    bridge_slave state forwarding priority 32 cost 100 hairpin off guard off 
";

const SHOW: &str = "\
0b7e4b5a-0000-4000-8000-000000000001
    Bridge br-int
        fail_mode: secure
        Port br-int
            Interface br-int
                type: internal
        Port \"qvoaaaaaaaa-01\"
            tag: 1
            Interface \"qvoaaaaaaaa-01\"
        Port \"qvobbbbbbbb-02\"
            tag: 2
            Interface \"qvobbbbbbbb-02\"
        Port \"tapcccccccc-03\"
            tag: 1
            Interface \"tapcccccccc-03\"
                type: internal
        Port int-br-ex
            Interface int-br-ex
                type: patch
                options: {peer=phy-br-ex}
        Port patch-tun
            Interface patch-tun
                type: patch
                options: {peer=patch-int}
    Bridge br-ex
        Port br-ex
            Interface br-ex
                type: internal
        Port phy-br-ex
            Interface phy-br-ex
                type: patch
                options: {peer=int-br-ex}
        Port \"ens9\"
            Interface \"ens9\"
    Bridge br-tun
        Port patch-int
            Interface patch-int
                type: patch
                options: {peer=patch-tun}
        Port \"vxlan-0a000002\"
            Interface \"vxlan-0a000002\"
                type: vxlan
                options: {in_key=flow, local_ip=\"10.0.0.1\", out_key=flow, remote_ip=\"10.0.0.2\"}
    ovs_version: \"2.13.3\"
";

const XML: &str = "\
<domain type='kvm' id='3'>
  <name>instance-00000001</name>
  <uuid>11111111-2222-4333-8444-555555555555</uuid>
  <devices>
    <interface type='bridge'>
      <mac address='fa:16:3e:00:00:13'/>
      <source bridge='qbraaaaaaaa-01'/>
      <target dev='tapaaaaaaaa-01'/>
      <model type='virtio'/>
      <alias name='net0'/>
    </interface>
  </devices>
</domain>
";

fn dhcp() -> String {
    "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0 \n21: tapcccccccc-03: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default qlen 1000\n    link/ether fa:16:3e:00:00:21 brd ff:ff:ff:ff:ff:ff promiscuity 1 \n    openvswitch \n    inet 192.168.1.2/24 brd 192.168.1.255 scope global tapcccccccc-03\n       valid_lft forever preferred_lft forever\n".to_owned()
}

#[test]
fn a_hybrid_port_is_one_way_from_vm_to_wire() {
    let dhcp = dhcp();
    let snapshot = snapshot(&[&[
        ("", "ip -d address", HYBRID_LINKS),
        ("", "ip netns", "qdhcp-1 (id: 0)\n"),
        ("qdhcp-1", "ip -d address", &dhcp),
        ("", "ovs-vsctl show", SHOW),
        ("", "virsh dumpxml instance-00000001", XML),
    ]]);
    let topology = build(&snapshot);
    assert_eq!(conflicts(&topology), []);
    let vm = topology.find_vm(HOST, "instance-00000001").unwrap();
    let NodeData::Vm(data) = &topology.node(vm).unwrap().data else { panic!() };
    assert_eq!(data.active, Some(true));

    // `master ovs-system` is no bridge.
    let qvo = device(&topology, "", "qvoaaaaaaaa-01");
    assert!(topology.out(qvo, EdgeKind::EnslavedTo).is_empty());
    assert_eq!(topology.netdev(device(&topology, "", "ens9")).unwrap().kind, NetdevKind::Physical);
    // An internal port is found in its namespace.
    let port = topology.find_ovs_interface(HOST, "tapcccccccc-03").unwrap();
    let topology = &topology;
    assert_eq!(topology.into(port, EdgeKind::DeviceOf).len(), 1);
}

#[test]
fn absence_needs_every_namespace() {
    let dhcp = dhcp();
    let texts: Vec<(&str, &str, &str)> = vec![
        ("", "ip -d address", HYBRID_LINKS),
        ("", "ip netns", "qdhcp-1 (id: 0)\nqdhcp-2\n"),
        ("qdhcp-1", "ip -d address", &dhcp),
    ];
    let partial = snapshot(&[&texts]);
    let topology = build(&partial);
    let anywhere = topology.netdev_presence_anywhere(HOST, "qvobbbbbbbb-02");
    assert_eq!(anywhere, Presence::Unknown(vec![Topic::Links.command(&netns("qdhcp-2"))]));
    let Presence::No(searched) = topology.netdev_presence(HOST, &Netns::Root, "qvobbbbbbbb-02")
    else {
        panic!()
    };
    assert_eq!(searched.sources, [(SourceId(0), 6)]);
    let ip: IpAddr = "192.168.1.2".parse().unwrap();
    let there = topology.address_presence(HOST, &netns("qdhcp-1"), ip);
    assert!(matches!(there, Presence::Yes(_)), "{there:?}");
    assert!(matches!(topology.address_presence(HOST, &Netns::Root, ip), Presence::No(_)));

    let mut texts = texts;
    texts.push(("qdhcp-2", "ip -d address", &dhcp));
    let whole = snapshot(&[&texts]);
    let topology = build(&whole);
    let Presence::No(searched) = topology.netdev_presence_anywhere(HOST, "nope") else { panic!() };
    assert_eq!((searched.namespaces, searched.sources.len()), (2, 3));
}

#[test]
fn filtered_and_failed_texts_prove_no_absence() {
    let snapshot = snapshot(&[&[
        ("", "ip address show dev ens9", HYBRID_LINKS),
        ("", "ip -4 address", HYBRID_LINKS),
        ("", "brctl show", "-bash: brctl: command not found\n"),
    ]]);
    let topology = build(&snapshot);
    let links = topology.coverage.of(HOST, &Netns::Root, Topic::Links);
    assert!(!links.is_complete(), "{links:?}");
    assert!(matches!(topology.netdev_presence(HOST, &Netns::Root, "nope"), Presence::Unknown(_)));
}

#[test]
fn equal_indexes_pair_by_namespace_and_name() {
    // Both ends of two pairs have index 2 in their namespaces, and root has a device 2 as well.
    let root = veth(2, "eth9", "", "").replace("    veth", "    dummy");
    let rfp = |name: &str| veth(2, &format!("{name}@if2"), "", " link-netnsid 0");
    let (r1, r2) = (rfp("rfp-aaaaaaaa-a"), rfp("rfp-bbbbbbbb-b"));
    let fip1 = veth(2, "fpr-aaaaaaaa-a@if2", "", " link-netns qrouter-1");
    let fip2 = veth(2, "fpr-bbbbbbbb-b@if2", "", " link-netnsid 0");
    let snapshot = snapshot(&[&[
        ("", "ip -d link", &root),
        ("qrouter-1", "ip -d link", &r1),
        ("qrouter-2", "ip -d link", &r2),
        ("fip-1", "ip -d link", &fip1),
        ("fip-2", "ip -d link", &fip2),
    ]]);
    let topology = build(&snapshot);
    let proven = Some(("fip-1/fpr-aaaaaaaa-a".to_owned(), Confidence::Proven));
    assert_eq!(peer(&topology, "qrouter-1", "rfp-aaaaaaaa-a"), proven);
    let (name, _) = peer(&topology, "qrouter-2", "rfp-bbbbbbbb-b").unwrap();
    assert_eq!(name, "fip-2/fpr-bbbbbbbb-b");
    assert_eq!(conflicts(&topology), []);
}

/// Without it a listing is taken for one that was cut.
const LO: &str = "\
1: lo: <LOOPBACK> mtu 65536 qdisc noop state DOWN mode DEFAULT group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
";

/// How sure a pair is: proven by a name of the other namespace or where no device can be missing,
/// otherwise a guess, however good.
#[test]
fn a_pair_is_proven_only_where_nothing_else_can_be_the_peer() {
    let root = |hint: &str| LO.to_owned() + &veth(5, "va@if7", "", hint);
    let red = LO.to_owned() + &veth(7, "vb@if5", "", " link-netnsid 0");
    // What root says of the peer's namespace, the namespaces that are listed, how sure.
    for (hint, listed, confidence) in [
        (" link-netns red", "red\nblue\n", Confidence::Proven),
        (" link-netnsid 3", "red (id: 3)\nblue (id: 4)\n", Confidence::Proven),
        ("", "red\n", Confidence::Proven),
        // A device of `blue`, which was not captured, may be the peer.
        ("", "red\nblue\n", Confidence::Inferred),
    ] {
        let root = root(hint);
        let snapshot = snapshot(&[&[
            ("", "ip netns", listed),
            ("", "ip -d link", &root),
            ("red", "ip -d link", &red),
        ]]);
        let topology = build(&snapshot);
        let found = peer(&topology, "", "va");
        assert_eq!(found, Some(("red/vb".to_owned(), confidence)), "{hint:?} {listed:?}");
    }
}

/// Without the list of namespaces there may always be another.
#[test]
fn a_pair_is_a_guess_where_namespaces_were_not_listed() {
    let root = LO.to_owned() + &veth(5, "va@if7", "", "");
    let red = LO.to_owned() + &veth(7, "vb@if5", "", " link-netnsid 0");
    let snapshot = snapshot(&[&[("", "ip -d link", &root), ("red", "ip -d link", &red)]]);
    let topology = build(&snapshot);
    assert_eq!(peer(&topology, "", "va"), Some(("red/vb".to_owned(), Confidence::Inferred)));
}

/// Among rivals with equal indexes a name decides, and a name is a convention: never a proof, even
/// where every device was captured.
#[test]
fn a_pair_by_name_is_a_guess() {
    let root = LO.to_owned() + &veth(3, "rfp-aaaaaaaa-a@if2", "", "");
    let one = LO.to_owned() + &veth(2, "fpr-aaaaaaaa-a@if3", "", "");
    let two = LO.to_owned() + &veth(2, "other@if3", "", "");
    let snapshot = snapshot(&[&[
        ("", "ip netns", "one\ntwo\n"),
        ("", "ip -d link", &root),
        ("one", "ip -d link", &one),
        ("two", "ip -d link", &two),
    ]]);
    let topology = build(&snapshot);
    let found = peer(&topology, "", "rfp-aaaaaaaa-a");
    assert_eq!(found, Some(("one/fpr-aaaaaaaa-a".to_owned(), Confidence::Inferred)));
}

#[test]
fn without_hints_equal_indexes_stay_ambiguous() {
    let end = |name: &str, index, claims| veth(index, &format!("{name}@if{claims}"), "", "");
    let root = end("va", 3, 2) + &end("vb", 4, 2);
    let (one, two) = (end("x", 2, 3), end("y", 2, 3));
    let snapshot = snapshot(&[&[
        ("", "ip -d link", &root),
        ("a", "ip -d link", &one),
        ("b", "ip -d link", &two),
    ]]);
    let topology = build(&snapshot);
    assert_eq!(peer(&topology, "", "va"), None);
    let all = conflicts(&topology);
    assert!(all.iter().all(|(kind, _)| *kind == ConflictKind::VethAmbiguous), "{all:?}");
    assert!(!all.is_empty());
}

#[test]
fn a_peer_in_a_container_is_a_stub() {
    let root = veth(17, "veth1a2b3c4d@if16", "", " link-netnsid 5");
    let snapshot = snapshot(&[&[("", "ip -d link", &root), ("", "ip netns", "qdhcp-1 (id: 0)\n")]]);
    let topology = build(&snapshot);
    let (name, confidence) = peer(&topology, "", "veth1a2b3c4d").unwrap();
    assert_eq!((name.as_str(), confidence), ("nsid:5/if16", Confidence::Proven));
    assert_eq!(conflicts(&topology), []);
    // The stub has no name of its own to be found by.
    assert_eq!(topology.find_netdevs(HOST, "if16"), []);
}

#[test]
fn a_claimed_peer_that_is_not_there_is_a_conflict() {
    let root = veth(17, "va@if16", "", " link-netns ns1");
    let lo = "1: lo: <LOOPBACK> mtu 65536 qdisc noop state DOWN mode DEFAULT group default qlen 1000\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let inside = format!("{lo}{}", veth(2, "other@if99", "", " link-netnsid 0"));
    let snapshot = snapshot(&[&[("", "ip -d link", &root), ("ns1", "ip -d link", &inside)]]);
    let topology = build(&snapshot);
    assert_eq!(conflicts(&topology), [(ConflictKind::VethPeerMissing, vec!["va".to_owned()])]);
}

#[test]
fn a_misprinted_name_does_not_pair() {
    // iproute2 before 4.0: the index of a peer elsewhere, printed as the name of a local device.
    let root = veth(2, "eth0", "", "").replace("    veth ", "    dummy ")
        + &veth(9, "veth77aa88b@eth0", "", "");
    let inside = veth(2, "eth0@if9", "", "");
    let snapshot = snapshot(&[&[("", "ip -d link", &root), ("c1", "ip -d link", &inside)]]);
    let topology = build(&snapshot);
    let (name, _) = peer(&topology, "", "veth77aa88b").unwrap();
    assert_eq!(name, "c1/eth0");
}

#[test]
fn bridge_commands_confirm_or_contradict() {
    let text = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\nqbraaaaaaaa-01\t\t8000.060000000010\tno\t\tqvbaaaaaaaa-01\n\t\t\t\t\t\t\ttapaaaaaaaa-01\nbr9\t\t8000.060000000099\tno\t\t\n";
    let good = snapshot(&[&[("", "ip -d address", HYBRID_LINKS), ("", "brctl show", text)]]);
    let topology = build(&good);
    assert_eq!(conflicts(&topology), []);
    let tap = device(&topology, "", "tapaaaaaaaa-01");
    let edges = topology.out(tap, EdgeKind::EnslavedTo);
    assert_eq!(edges.len(), 1);
    assert_eq!(edges[0].1.witnesses.len(), 2);

    let text = text.replace("tapaaaaaaaa-01", "ens9");
    let bad = snapshot(&[&[("", "ip -d address", HYBRID_LINKS), ("", "brctl show", &text)]]);
    let topology = build(&bad);
    // `ip` has the tap in the bridge and `ens9` in none; `brctl` says the contrary.
    let pair =
        |name: &str| (ConflictKind::Membership, vec![name.to_owned(), "qbraaaaaaaa-01".to_owned()]);
    assert_eq!(conflicts(&topology), [pair("ens9"), pair("tapaaaaaaaa-01")]);
}

#[test]
fn a_patch_needs_both_ends() {
    let half = SHOW.replace("options: {peer=int-br-ex}", "options: {peer=int-br-other}");
    let snapshot = snapshot(&[&[("", "ovs-vsctl show", &half)]]);
    let topology = build(&snapshot);
    let kinds: Vec<_> = conflicts(&topology).into_iter().map(|conflict| conflict.0).collect();
    assert_eq!(kinds, [ConflictKind::PatchPeer, ConflictKind::PatchPeer]);
    let int = topology.find_ovs_interface(HOST, "int-br-ex").unwrap();
    assert!(topology.peer(int, EdgeKind::PatchPeer).is_none());
    let tun = topology.find_ovs_interface(HOST, "patch-tun").unwrap();
    assert!(topology.peer(tun, EdgeKind::PatchPeer).is_some());
}

#[test]
fn tunnels_join_two_hosts() {
    let far = SHOW
        .replace("vxlan-0a000002", "vxlan-0a000001")
        .replace("local_ip=\"10.0.0.1\"", "local_ip=\"10.0.0.9\"")
        .replace("remote_ip=\"10.0.0.2\"", "remote_ip=\"10.0.0.1\"")
        .replace("10.0.0.9", "10.0.0.2");
    let address = |ip: &str| {
        format!(
            "2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000\n    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff\n    inet {ip}/24 brd 10.0.0.255 scope global eth0\n       valid_lft forever preferred_lft forever\n"
        )
    };
    let (one, two) = (address("10.0.0.1"), address("10.0.0.2"));
    let both = snapshot(&[
        &[("", "ovs-vsctl show", SHOW), ("", "ip address", &one)],
        &[("", "ovs-vsctl show", &far), ("", "ip address", &two)],
    ]);
    let topology = build(&both);
    let tunnels: Vec<_> = topology.edges().filter(|edge| edge.1.kind == EdgeKind::Tunnel).collect();
    assert_eq!(tunnels.len(), 2);
    for (from, edge, to) in tunnels {
        assert_eq!(edge.confidence, Confidence::Proven);
        assert_ne!(topology.node(from).unwrap().host, topology.node(to).unwrap().host);
    }
    assert!(topology.find_remote_host("10.0.0.2".parse().unwrap()).is_none());

    // The other host was captured and has no tunnel back.
    let one_way = snapshot(&[
        &[("", "ovs-vsctl show", SHOW), ("", "ip address", &one)],
        &[("", "ip address", &two)],
    ]);
    let topology = build(&one_way);
    let ends: Vec<_> = topology
        .edges()
        .filter(|edge| edge.1.kind == EdgeKind::Tunnel)
        .map(|edge| topology.node(edge.2).unwrap().data.kind())
        .collect();
    assert_eq!(ends, ["host"]);
}

#[test]
fn routes_are_not_repeated_over_texts() {
    let snapshot = snapshot(&[&[
        (
            "",
            "ip route",
            "default via 10.0.0.254 dev eth0 \n10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1 \n",
        ),
        (
            "",
            "ip route show table all",
            "default via 10.0.0.254 dev eth0 \n10.0.0.0/24 dev eth0 proto kernel scope link src 10.0.0.1 \nlocal 10.0.0.1 dev eth0 table local proto kernel scope host src 10.0.0.1 \n",
        ),
    ]]);
    let topology = build(&snapshot);
    let id = topology.find_route_table(HOST, &Netns::Root, "main").unwrap();
    let NodeData::RouteTable(main) = &topology.node(id).unwrap().data else { panic!() };
    assert_eq!(main.routes.len(), 2);
    assert_eq!(main.routes[0].source, SourceId(1));
    assert!(topology.coverage.is_complete(HOST, &Netns::Root, Topic::AllRoutes));
}

#[test]
fn differing_values_of_one_time_are_kept() {
    let other = HYBRID_LINKS.replace("mtu 1450 qdisc fq_codel", "mtu 1400 qdisc fq_codel");
    let snapshot = snapshot(&[&[("", "ip -d address", HYBRID_LINKS), ("", "ip address", &other)]]);
    let topology = build(&snapshot);
    assert_eq!(conflicts(&topology), [(ConflictKind::Fact, vec!["tapaaaaaaaa-01".to_owned()])]);
}

#[test]
fn a_big_host_is_linked_in_no_time() {
    let mut root = String::new();
    let mut show = String::from("0b7e4b5a-0000-4000-8000-000000000001\n    Bridge br-int\n");
    for at in 0..5000u32 {
        let (qvo, qvb) = (format!("qvo{at:08x}-01"), format!("qvb{at:08x}-01"));
        root += &veth(at * 2 + 10, &format!("{qvo}@{qvb}"), "ovs-system", "");
        root += &veth(at * 2 + 11, &format!("{qvb}@{qvo}"), "", "");
        let lines = format!(
            "        Port \"{qvo}\"\n            tag: 1\n            Interface \"{qvo}\"\n"
        );
        show += &lines;
    }
    let inside: Vec<(String, String)> = (0..200)
        .map(|at| {
            (
                format!("qrouter-{at}"),
                veth(2, &format!("rfp-{at:08x}-0@if2"), "", " link-netnsid 0"),
            )
        })
        .collect();
    let mut texts: Vec<(&str, &str, &str)> =
        vec![("", "ip -d link", &root), ("", "ovs-vsctl show", &show)];
    texts.extend(inside.iter().map(|(name, text)| (name.as_str(), "ip -d link", text.as_str())));
    let snapshot = snapshot(&[&texts]);
    let start = std::time::Instant::now();
    let topology = build(&snapshot);
    // Generous: an unoptimised build on a busy machine.
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    let pairs = topology.edges().filter(|edge| edge.1.kind == EdgeKind::VethPeer).count();
    assert_eq!(pairs, 5000);
}

/// Words that break a text in interesting places.
const WORDS: &[&str] = &[
    "",
    "\n",
    "@",
    "@if2",
    "master qbraaaaaaaa-01",
    "master tapaaaaaaaa-01",
    "link-netnsid 0",
    "link-netns qdhcp-1",
    "type: patch",
    "options: {peer=br-int}",
    "12: ",
    "br-int",
    "10.0.0.1",
];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// Whatever a text says, linking ends, and each witness quotes what is there.
    #[test]
    fn broken_texts_break_nothing(
        edits in proptest::collection::vec((0..4usize, 0..4000usize, 0..40usize, 0..WORDS.len()), 0..12)
    ) {
        let mut texts = [HYBRID_LINKS.to_owned(), dhcp(), SHOW.to_owned(), XML.to_owned()];
        for (text, at, cut, word) in edits {
            let text = &mut texts[text];
            let at = at % (text.len() + 1);
            let end = (at + cut).min(text.len());
            text.replace_range(at..end, WORDS[word]);
        }
        let snapshot = snapshot(&[&[
            ("", "ip -d address", &texts[0]),
            ("", "ip address", HYBRID_LINKS),
            ("", "ip netns", "qdhcp-1 (id: 0)\n"),
            ("qdhcp-1", "ip -d address", &texts[1]),
            ("", "ovs-vsctl show", &texts[2]),
            ("", "virsh dumpxml instance-00000001", &texts[3]),
        ]]);
        let topology = build(&snapshot);
        for (_, edge, _) in topology.edges() {
            for witness in &edge.witnesses {
                let source = snapshot.source(witness.evidence.source).unwrap();
                proptest::prop_assert!(source.text.get(witness.evidence.span.range()).is_some());
            }
        }
    }
}

#[test]
fn options_with_values_do_not_hide_the_verb() {
    let show = "0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10\n    Bridge br0\n    ovs_version: \"3.1.0\"\n";
    let list = " Id   Name   State\n--------------------\n";
    for (command, text, topic) in [
        ("ovs-vsctl -t 5 show", show, Topic::Ovs),
        ("microovn.ovs-vsctl -t 5 show", show, Topic::Ovs),
        ("virsh -c qemu:///system list --all", list, Topic::Domains),
    ] {
        let snapshot = snapshot(&[&[("", command, text)]]);
        let topology = build(&snapshot);
        assert!(topology.coverage.is_complete(HOST, &Netns::Root, topic), "{command}");
        assert!(!topology.coverage.is_complete(HOST, &Netns::Root, Topic::OvsPorts), "{command}");
    }
}

#[test]
fn the_definition_that_runs_goes_before_the_one_of_the_next_start() {
    let next = XML
        .replace("<domain type='kvm' id='3'>", "<domain type='kvm'>")
        .replace("fa:16:3e:00:00:13", "fa:16:3e:00:00:99");
    assert_ne!(XML.len(), next.len(), "the XML of a domain that runs has an id");
    let runs = ("", "virsh dumpxml instance-00000001", XML);
    let starts = ("", "virsh dumpxml --inactive instance-00000001", next.as_str());
    for texts in [[runs, starts], [starts, runs]] {
        let snapshot = snapshot(&[&texts]);
        let topology = build(&snapshot);
        let macs = topology.nodes().filter_map(|(_, node)| match &node.data {
            NodeData::VmNic(nic) => nic.mac.as_ref().map(|mac| mac.value.to_string()),
            _ => None,
        });
        assert_eq!(macs.collect::<Vec<_>>(), ["fa:16:3e:00:00:13"]);
    }
}
