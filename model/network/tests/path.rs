//! Texts and the paths that they prove: which wires a port leads to, and what blocks it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, VETH, down, link, neutron, port, session, with_network};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::Answer;
use tapline_network::path::Paths;

/// What hangs on a device: the names of all nodes above it.
fn up(text: &str, device: &str) -> Vec<String> {
    with_network(text, |network| {
        let start = network.topology.find_netdev(HostId(0), &Netns::Root, device).unwrap();
        let nodes = Paths::new(network).up(start).nodes();
        nodes.iter().map(|id| network.topology.node(*id).unwrap().name.to_string()).collect()
    })
}

fn isolated() -> String {
    "    bridge_slave state forwarding priority 32 cost 100 isolated on\n".to_owned()
}

#[test]
fn port_of_a_linux_bridge_leads_to_its_nic() {
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", BRIDGE),
        link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(5, "vnet1", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    assert_eq!(down(&session(&links, ""), "vnet0"), ["br0", "eno1"]);
    assert_eq!(up(&session(&links, ""), "eno1"), ["br0", "vnet0", "vnet1"]);
}

#[test]
fn nic_without_a_link_is_a_broken_hop() {
    let links = [
        link(2, "eno1", "down master br0", &port("disabled")),
        link(3, "br0", "", BRIDGE),
        link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    assert_eq!(down(&session(&links, ""), "vnet0"), ["br0", "eno1: down"]);
}

#[test]
fn spanning_tree_blocks_a_hop() {
    let links = [
        link(2, "br0", "", BRIDGE),
        link(3, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(4, "v0@v1", "master br0", &(VETH.to_owned() + &port("blocking"))),
        link(5, "v1@v0", "master br1", &(VETH.to_owned() + &port("forwarding"))),
        link(6, "br1", "", BRIDGE),
        link(7, "eno1", "master br1", &port("forwarding")),
    ];
    let shown = down(&session(&links, ""), "vnet0");
    assert_eq!(shown, ["br0", "v0: blocking by spanning tree", "v1", "br1", "eno1"]);
}

#[test]
fn isolated_ports_exchange_nothing() {
    let (tap, free) = (TAP.to_owned() + &isolated(), TAP.to_owned() + &port("forwarding"));
    let links = [
        link(2, "eno1", "master br0", &isolated()),
        link(3, "br0", "", BRIDGE),
        link(4, "vnet0", "master br0", &tap),
        link(5, "vnet1", "master br0", &free),
    ];
    let text = session(&links, "");
    assert_eq!(down(&text, "vnet0"), ["br0", "eno1: isolated from the port before"]);
    // One isolated port of two is enough to pass.
    assert_eq!(down(&text, "vnet1"), ["br0", "eno1"]);
}

#[test]
fn bridges_that_filter_vlans_pass_common_ones() {
    let filters = "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n";
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", filters),
        link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(5, "vnet1", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let vlans = "bridge vlan show\nport              vlan-id\neno1              1 PVID Egress Untagged\n                  \
                 20\nvnet0             10 PVID Egress Untagged\nvnet1             20 PVID Egress Untagged\n\
                 root@h1:~# ";
    let text = session(&links, vlans);
    assert_eq!(down(&text, "vnet0"), ["br0", "eno1: does not carry VLAN 10"]);
    assert_eq!(down(&text, "vnet1"), ["br0", "eno1"]);
}

#[test]
fn ports_that_a_list_of_vlans_leaves_out_are_in_none() {
    let bridge = |filters: u8| {
        format!("    bridge forward_delay 1500 stp_state 0 vlan_filtering {filters}\n")
    };
    let why = |filters: u8, list: &str| {
        let links = [
            link(2, "eno1", "master br0", &port("forwarding")),
            link(3, "br0", "", &bridge(filters)),
            link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
            link(5, "br1", "", &bridge(filters)),
            link(6, "vnet1", "master br1", &(TAP.to_owned() + &port("forwarding"))),
        ];
        let list = format!("bridge vlan show\nport              vlan-id\n{list}root@h1:~# ");
        with_network(&session(&links, &list), |network| {
            let eno1 = network.topology.find_netdev(HostId(0), &Netns::Root, "eno1").unwrap();
            let block = network.forwarding(eno1).known().unwrap();
            block.map(|block| block.why.to_string())
        })
    };
    let of_br0 = "vnet0             10 PVID Egress Untagged\n";
    assert_eq!(why(1, of_br0).unwrap(), "in no VLAN");
    assert_eq!(why(1, &format!("{of_br0}eno1              10\n")), None);
    // A bridge that does not tell VLANs apart passes all.
    assert_eq!(why(0, of_br0), None);
    // Of this bridge the list tells nothing.
    assert_eq!(why(1, "vnet1             10 PVID Egress Untagged\n"), None);
}

#[test]
fn tagged_frames_pass_a_bridge_in_their_vlan() {
    let filters = "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n";
    let path = |vlans: &str| {
        let links = [
            link(2, "eno1", "master br0", &port("forwarding")),
            link(3, "br0", "", filters),
            link(4, "v0@v1", "master br0", &(VETH.to_owned() + &port("forwarding"))),
            link(5, "v1@v0", "", VETH),
            link(6, "v1.10@v1", "", "    vlan protocol 802.1Q id 10 <REORDER_HDR>\n"),
        ];
        let list = format!(
            "bridge vlan show\nport              vlan-id\n{vlans}\
             v0                1 PVID Egress Untagged\n                  10\n                  20\nroot@h1:~# "
        );
        down(&session(&links, &list), "v1.10")
    };
    assert_eq!(path("eno1              10\n"), ["v1", "v0", "br0", "eno1"]);
    assert_eq!(path("eno1              10-12\n"), ["v1", "v0", "br0", "eno1"]);
    // Others that both carry do not help.
    assert_eq!(path("eno1              20\n"), ["v1", "v0", "br0", "eno1: does not carry VLAN 10"]);
    assert_eq!(
        path("eno1              5-9\n"),
        ["v1", "v0", "br0", "eno1: does not carry VLAN 10"]
    );
}

#[test]
fn a_bridge_takes_tags_away_where_a_port_is_told_so() {
    let filters = "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n";
    let path = |between: &str, of_nic: &str| {
        let veth = |index: u32, name: &str, master: &str| {
            link(index, name, master, &(VETH.to_owned() + &port("forwarding")))
        };
        let links = [
            link(2, "eno1", "master br1", &port("forwarding")),
            link(3, "br0", "", filters),
            link(4, "br1", "", filters),
            veth(5, "v0@v1", "master br0"),
            link(6, "v1@v0", "", VETH),
            link(7, "v1.10@v1", "", "    vlan protocol 802.1Q id 10 <REORDER_HDR>\n"),
            veth(8, "w0@w1", "master br0"),
            veth(9, "w1@w0", "master br1"),
        ];
        let list = format!(
            "bridge vlan show\nport              vlan-id\neno1              {of_nic}\n\
             v0                10\nw0                {between}\nw1                10\n                  \
             30 PVID Egress Untagged\nroot@h1:~# "
        );
        down(&session(&links, &list), "v1.10").pop().unwrap()
    };
    // Without its tag a frame gets the VLAN of the next port.
    assert_eq!(path("10 Egress Untagged", "30"), "eno1");
    assert_eq!(path("10 Egress Untagged", "10"), "eno1: does not carry VLAN 30");
    assert_eq!(path("10", "10"), "eno1");
    assert_eq!(path("10", "30"), "eno1: does not carry VLAN 10");
}

#[test]
fn a_bridge_gives_untagged_frames_the_vlan_of_their_port() {
    let filters = "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n";
    let ovs = "    openvswitch_slave\n";
    let path = |tag: &str, of_nic: &str| {
        let links = [
            link(2, "eno1", "master br1", &port("forwarding")),
            link(3, "br1", "", filters),
            link(4, "tapa", "master ovs-system", &(TAP.to_owned() + ovs)),
            link(5, "v0@v1", "master ovs-system", &(VETH.to_owned() + ovs)),
            link(6, "v1@v0", "master br1", &(VETH.to_owned() + &port("forwarding"))),
            link(7, "ovs-system", "", "    openvswitch\n"),
        ];
        let rest = format!(
            "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port tapa
            tag: 10
            Interface tapa
        Port v0
{tag}            Interface v0
    ovs_version: \"2.17.0\"
root@h1:~# bridge vlan show
port              vlan-id
v1                10
                  30 PVID Egress Untagged
eno1              {of_nic}
root@h1:~# "
        );
        down(&session(&links, &rest), "tapa").pop().unwrap()
    };
    // An access port takes the tag away, and the next bridge puts another on.
    let access = "            tag: 10\n";
    assert_eq!(path(access, "30"), "eno1");
    assert_eq!(path(access, "10"), "eno1: does not carry VLAN 30");
    // A trunk leaves it.
    assert_eq!(path("", "10"), "eno1");
    assert_eq!(path("", "30"), "eno1: does not carry VLAN 10");
}

#[test]
fn vlan_device_on_a_bond_leads_to_its_members() {
    let links = [
        link(2, "eno1", "master bond0", "    bond_slave state ACTIVE mii_status UP\n"),
        link(3, "eno2", "down master bond0", "    bond_slave state BACKUP mii_status DOWN\n"),
        link(4, "bond0", "", "    bond mode active-backup\n"),
        link(
            5,
            "bond0.7@bond0",
            "master br0",
            &("    vlan protocol 802.1Q id 7\n".to_owned() + &port("forwarding")),
        ),
        link(6, "br0", "", BRIDGE),
        link(7, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let shown = down(&session(&links, ""), "vnet0");
    assert_eq!(shown, ["br0", "bond0.7", "bond0", "eno1", "eno2: down"]);
}

#[test]
fn overlay_vlan_leads_to_the_tunnels_and_the_nic_below() {
    let shown = down(&neutron(true), "tapa");
    assert_eq!(
        shown,
        [
            "tapa",
            "tapa",
            "br-int",
            "patch-tun",
            "patch-tun",
            "patch-int",
            "patch-int",
            "br-tun",
            "vxlan-c0000202",
            "vxlan-c0000202",
            "vxlan-c0000202",
            "192.0.2.2",
            "eno1",
        ]
    );
}

#[test]
fn physical_vlan_leads_to_its_bridge_alone() {
    let shown = down(&neutron(true), "tapb");
    assert_eq!(
        shown,
        [
            "tapb",
            "tapb",
            "br-int",
            "int-br-ex",
            "int-br-ex",
            "phy-br-ex",
            "phy-br-ex",
            "br-ex",
            "eno2",
            "eno2",
            "eno2",
        ]
    );
}

#[test]
fn without_flows_either_bridge_may_be_meant() {
    let shown = down(&neutron(false), "tapa");
    assert!(shown.contains(&"? patch-tun".to_owned()), "{shown:?}");
    assert!(shown.contains(&"? int-br-ex".to_owned()), "{shown:?}");
}

#[test]
fn dead_vlan_leads_nowhere() {
    let shown = down(&neutron(true), "tapc");
    assert_eq!(shown, ["tapc", "tapc: on the dead VLAN 4095", "br-int"]);
}

#[test]
fn only_ports_of_its_vlans_hang_on_a_nic() {
    let (overlay, physical) = (up(&neutron(true), "eno1"), up(&neutron(true), "eno2"));
    let has = |all: &[String], name: &str| all.iter().any(|it| it == name);
    assert!(has(&overlay, "tapa") && !has(&overlay, "tapb"), "{overlay:?}");
    assert!(has(&physical, "tapb") && !has(&physical, "tapa"), "{physical:?}");
    assert!(!has(&overlay, "tapc") && !has(&physical, "tapc"));
}

#[test]
fn only_ports_of_its_vlans_hang_on_a_bridge() {
    let above = |bridge: &str| {
        with_network(&neutron(true), |network| {
            let start = network.topology.find_ovs_bridge(HostId(0), bridge).unwrap();
            let nodes = Paths::new(network).up(start).nodes();
            let names = nodes.iter().map(|id| network.topology.node(*id).unwrap().name.to_string());
            names.filter(|name| name.starts_with("tap")).collect::<std::collections::BTreeSet<_>>()
        })
    };
    let only = |name: &str| std::collections::BTreeSet::from([name.to_owned()]);
    assert_eq!(above("br-ex"), only("tapb"));
    assert_eq!(above("br-tun"), only("tapa"));
}

#[test]
fn dead_ports_share_no_segment() {
    let text = neutron(true).replace("tag: 2\n", "tag: 4095\n");
    with_network(&text, |network| {
        let of = |name| {
            let device = network.topology.find_netdev(HostId(0), &Netns::Root, name).unwrap();
            network.segments().of(device)
        };
        assert!(of("tapb").is_none() || of("tapb") != of("tapc"));
    });
}

#[test]
fn own_device_of_a_bridge_leads_into_it() {
    let links = [
        link(2, "eno1", "master ovs-system", "    openvswitch_slave\n"),
        link(3, "br-ex", "", "    openvswitch\n"),
        link(4, "ovs-system", "", "    openvswitch\n"),
    ];
    let show = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br-ex
        Port br-ex
            Interface br-ex
                type: internal
        Port eno1
            Interface eno1
root@h1:~# ";
    let shown = down(&session(&links, show), "br-ex");
    assert_eq!(shown, ["br-ex", "br-ex", "br-ex", "eno1", "eno1", "eno1"]);
}

#[test]
fn device_that_was_moved_into_a_namespace_leads_to_what_it_stands_on() {
    let inside = |device: &str, index: u32| {
        format!(
            "root@h1:~# ip netns exec blue ip -d address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
5: {device}@if{index}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc noqueue state UP group default qlen 1000
    link/ether 52:54:00:00:00:66 brd ff:ff:ff:ff:ff:ff link-netnsid 0 promiscuity 0
    macvlan mode bridge
root@h1:~# "
        )
    };
    let lo = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
              link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";
    let hops = |links: &[String], index: u32| {
        let text = session(links, "");
        let text = text.trim_end().trim_end_matches("root@h1:~#").to_owned();
        let text = text + &inside("mac0", index);
        with_network(&text, |network| {
            let blue = Netns::Named("blue".into());
            let start = network.topology.find_netdev(HostId(0), &blue, "mac0").unwrap();
            let nodes = Paths::new(network).down(start).nodes();
            nodes
                .iter()
                .map(|id| network.topology.node(*id).unwrap().name.to_string())
                .collect::<Vec<_>>()
        })
    };
    let links = [lo.to_owned(), link(2, "eno1", "", "")];
    assert_eq!(hops(&links, 2), ["eno1"]);
    assert!(hops(&links, 7).is_empty(), "no captured namespace has this index");
    // Without root it may be of root.
    assert!(hops(&[link(2, "eno1", "", "")], 2).is_empty());
}

/// Words that break a text in interesting places.
const WORDS: &[&str] =
    &["", "\n", "@", "@if2", "master br0 ", "vnet0", "type: patch", "options: {peer=p1}", "br-int"];

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(64))]
    /// Whatever a text says, each path from each node ends by itself.
    #[test]
    fn paths_of_broken_texts_end(
        edits in proptest::collection::vec((0..4000usize, 0..40usize, 0..WORDS.len()), 0..12)
    ) {
        let mut text = neutron(true);
        for (at, cut, word) in edits {
            let at = text.floor_char_boundary(at % (text.len() + 1));
            let end = text.floor_char_boundary((at + cut).min(text.len()));
            text.replace_range(at..end, WORDS[word]);
        }
        let cut = with_network(&text, |network| {
            let mut paths = Paths::new(network);
            let ids: Vec<_> = network.topology.nodes().map(|(id, _)| id).collect();
            ids.into_iter().any(|id| paths.down(id).cut || paths.up(id).cut)
        });
        proptest::prop_assert!(!cut);
    }
}

/// Two OVS bridges that a patch joins: a port of VLAN 10 on one, a NIC that carries VLAN 20 on the
/// other. `more` stands in the block of the first bridge, `tag` in that of its patch port.
fn patched(more: &str, tag: &str) -> String {
    let ovs = "    openvswitch_slave\n";
    let links = [
        link(2, "eno1", "master ovs-system", ovs),
        link(3, "vnet0", "master ovs-system", &(TAP.to_owned() + ovs)),
    ];
    let show = format!(
        "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
{more}        Port vnet0
            tag: 10
            Interface vnet0
        Port p0
{tag}            Interface p0
                type: patch
                options: {{peer=p1}}
    Bridge br1
        Port p1
            Interface p1
                type: patch
                options: {{peer=p0}}
        Port eno1
            trunks: [20]
            Interface eno1
    ovs_version: \"2.17.0\"
root@h1:~# "
    );
    session(&links, &show)
}

#[test]
fn plain_bridges_keep_the_vlan_and_programmed_ones_may_change_it() {
    let leaves =
        |more: &str, tag: &str| down(&patched(more, tag), "vnet0").iter().any(|hop| hop == "eno1");
    let outside = down(&patched("", ""), "vnet0");
    assert_eq!(outside.last().map(String::as_str), Some("eno1: does not carry VLAN 10"));
    assert!(!leaves("        fail_mode: standalone\n", ""));
    assert!(leaves("        fail_mode: secure\n", ""), "flows may give it VLAN 20");
    assert!(leaves("        Controller \"tcp:127.0.0.1:6633\"\n", ""));
    let outside = down(&patched("", "            tag: 10\n"), "vnet0");
    let why = "eno1: does not carry frames without a tag";
    assert_eq!(outside.last().map(String::as_str), Some(why), "an access port takes the tag away");
}

#[test]
fn access_port_takes_no_frames_with_a_tag() {
    let access = |tag: &str| {
        let text = patched("", "").replace("trunks: [20]", "trunks: [9, 10]");
        text.replace("        Port p1\n", &format!("        Port p1\n{tag}"))
    };
    assert_eq!(down(&access(""), "vnet0").last().map(String::as_str), Some("eno1"));
    let refused = down(&access("            tag: 9\n"), "vnet0");
    assert!(refused.contains(&"br1: does not carry VLAN 10".to_owned()), "{refused:?}");
    let stacked =
        down(&access("            tag: 9\n            vlan_mode: dot1q-tunnel\n"), "vnet0");
    assert!(!stacked.iter().any(|hop| hop.contains(':')), "{stacked:?}");
}

/// A tap and a VXLAN device in one bridge; `dev` is what the tunnel is held to, `rest` the routes.
fn vxlan(ends: &str, dev: &str, nic: &str, rest: &str) -> String {
    let address = |ip: &str, dev: &str| {
        format!(
            "    inet {ip}/24 scope global {dev}\n       valid_lft forever preferred_lft forever\n"
        )
    };
    let details = format!(
        "    vxlan id 100 {ends} {dev}srcport 0 0 dstport 4789 ttl auto ageing 300\n{}",
        port("forwarding")
    );
    let links = [
        link(2, "eth0", nic, &address("192.0.2.1", "eth0")),
        link(
            3,
            "eth1",
            "master red",
            &("    vrf_slave table 10\n".to_owned() + &address("192.0.2.7", "eth1")),
        ),
        link(4, "red", "", "    vrf table 10\n").replace("BROADCAST,MULTICAST", "NOARP,MASTER"),
        link(5, "br0", "", BRIDGE),
        link(6, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
        link(7, "vx0", "master br0", &details),
    ];
    session(&links, rest)
}

#[test]
fn tunnel_goes_on_with_the_device_that_it_is_held_to() {
    let end = |text: &str| down(text, "vnet0").last().cloned().unwrap_or_default();
    let group = |nic: &str| vxlan("group 239.1.1.1", "dev eth0 ", nic, "");
    assert_eq!(end(&group("")), "eth0");
    assert_eq!(end(&group("down ")), "eth0: down");
    let routes = "ip route show table all\n192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.1\n\
                  192.0.2.0/24 dev eth1 table 10 proto kernel scope link src 192.0.2.7\nroot@h1:~# ip rule\n\
                  0:\tfrom all lookup local\n1000:\tfrom all lookup [l3mdev-table]\n32766:\tfrom all lookup main\n\
                  32767:\tfrom all lookup default\nroot@h1:~# ";
    let to = |dev: &str| vxlan("remote 192.0.2.2", dev, "", routes);
    assert_eq!(end(&to("")), "eth0");
    assert_eq!(end(&to("dev red ")), "eth1");
}

#[test]
fn macvlan_in_a_bridge_leads_to_the_device_below() {
    let links = [
        link(2, "eth0", "", ""),
        link(
            3,
            "mv0@eth0",
            "master br0",
            &("    macvlan mode passthru\n".to_owned() + &port("forwarding")),
        ),
        link(4, "br0", "", BRIDGE),
        link(5, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    assert_eq!(down(&session(&links, ""), "vnet0"), ["br0", "mv0", "eth0"]);
}

#[test]
fn vlans_of_a_bridge_that_were_not_captured_leave_the_hop_open() {
    let filters = "    bridge forward_delay 1500 stp_state 0 vlan_filtering 1\n";
    let links = [
        link(2, "eno1", "master br0", &port("forwarding")),
        link(3, "br0", "", filters),
        link(4, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    with_network(&session(&links, ""), |network| {
        let start = network.topology.find_netdev(HostId(0), &Netns::Root, "vnet0").unwrap();
        let path = Paths::new(network).down(start);
        let needs = path.hops.first().map(|hop| match &hop.passes {
            Answer::Unknown(needs) => needs.iter().map(ToString::to_string).collect(),
            Answer::Known(_) => Vec::new(),
        });
        assert_eq!(needs, Some(vec!["bridge vlan show".to_owned()]));
    });
}

#[test]
fn far_end_of_a_hybrid_port_in_no_bridge_is_a_broken_hop() {
    let hybrid = |master: &str, rest: &str| {
        let links = [
            "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default\n"
                .to_owned(),
            link(2, "qbr0", "", BRIDGE),
            link(3, "vnet0", "master qbr0", &(TAP.to_owned() + &port("forwarding"))),
            link(4, "qvb0@qvo0", "master qbr0", &(VETH.to_owned() + &port("forwarding"))),
            link(5, "qvo0@qvb0", master, VETH),
        ];
        down(&session(&links, rest), "vnet0")
    };
    let ovs = "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br-int\n        Port br-int\n            \
               Interface br-int\n                type: internal\n    ovs_version: \"2.17.0\"\nroot@h1:~# ";
    assert_eq!(hybrid("", ovs).last().map(String::as_str), Some("qvo0: in no bridge"));
    // Without the ports of Open vSwitch it may be one of them.
    assert_eq!(hybrid("", "").last().map(String::as_str), Some("qvo0"));
}

#[test]
fn trunks_pass_what_both_carry() {
    let last = |first: &str, second: &str| {
        let ovs = "    openvswitch_slave\n";
        let links = [
            link(2, "eno1", "master ovs-system", ovs),
            link(3, "vnet0", "master ovs-system", &(TAP.to_owned() + ovs)),
        ];
        let show = format!(
            "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port vnet0
            trunks: {first}
            Interface vnet0
        Port eno1
            {second}
            Interface eno1
    ovs_version: \"2.17.0\"
root@h1:~# "
        );
        down(&session(&links, &show), "vnet0").pop().unwrap()
    };
    assert_eq!(last("[20, 30]", "trunks: [30, 40]"), "eno1");
    assert_eq!(last("[20, 30]", "tag: 30"), "eno1");
    assert_eq!(last("[20, 30]", "trunks: [40]"), "eno1: does not carry VLAN 20");
    assert_eq!(last("[20, 30]", "tag: 40"), "eno1: does not carry VLAN 20");
}

#[test]
fn a_tunnel_of_the_kernel_leaves_by_its_device_once() {
    let address =
        "    inet 192.0.2.1/24 scope global eno1\n       valid_lft forever preferred_lft forever\n";
    let vxlan =
        "    vxlan id 7 remote 192.0.2.2 local 192.0.2.1 dev eno1 srcport 0 0 dstport 4789\n";
    let links = [
        link(2, "eno1", "", address),
        link(3, "vx7", "master br0", &(vxlan.to_owned() + &port("forwarding"))),
        link(4, "br0", "", BRIDGE),
        link(5, "vnet0", "master br0", &(TAP.to_owned() + &port("forwarding"))),
    ];
    let shown = down(&session(&links, ""), "vnet0");
    assert_eq!(shown, ["br0", "vx7", "vx7", "192.0.2.2", "eno1"]);
}
