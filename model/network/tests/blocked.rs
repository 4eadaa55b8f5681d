//! What stops frames on their path to the wire, by what Open vSwitch says of its bridges and ports.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{TAP, down, link, neutron, session};

/// The host of neutron, with one text changed.
fn changed(from: &str, to: &str) -> String {
    let text = neutron(true);
    assert!(text.contains(from), "{from}");
    text.replace(from, to)
}

/// The last hop of the path of a device.
fn last(text: &str, device: &str) -> String {
    down(text, device).pop().unwrap()
}

/// The lines of a port with one interface in `ovs-vsctl show`.
fn shown_port(name: &str, options: &str) -> String {
    format!(
        "        Port {name}\n            Interface {name}\n                type: patch\n                options: {{{options}}}\n"
    )
}

const IN_TUN: &str = "peer=patch-tun";
const IN_INT: &str = "peer=phy-br-ex";

#[test]
fn bridge_that_a_vlan_needs_is_not_joined() {
    // (what is taken away, whose path, where it ends)
    let rows = [
        (vec![shown_port("patch-tun", "peer=patch-int")], "tapa", "br-int: not joined with br-tun"),
        (vec![shown_port("patch-tun", "peer=patch-int")], "tapb", "eno2"),
        (vec![shown_port("int-br-ex", IN_INT)], "tapb", "br-int: not joined with br-ex"),
        (vec![shown_port("int-br-ex", IN_INT)], "tapa", "eno1"),
        (
            vec![shown_port("patch-tun", "peer=patch-int"), shown_port("patch-int", IN_TUN)],
            "tapa",
            "br-int: not joined with br-tun",
        ),
        // Flows that take the VLAN may be of something else, where nothing was to join the two.
        (
            vec![shown_port("int-br-ex", IN_INT), shown_port("phy-br-ex", "peer=int-br-ex")],
            "tapb",
            "br-int",
        ),
    ];
    for (gone, device, end) in rows {
        let text = gone.iter().fold(neutron(true), |text, port| {
            assert!(text.contains(port), "{port}");
            text.replace(port, "")
        });
        assert_eq!(last(&text, device), end, "{gone:?}");
    }
}

#[test]
fn a_lost_bridge_is_one_of_the_ways_where_flows_do_not_tell() {
    let text = neutron(false).replace(&shown_port("patch-tun", "peer=patch-int"), "");
    let shown = down(&text, "tapb");
    assert!(shown.contains(&"? int-br-ex".to_owned()), "{shown:?}");
    // What is not shown whole proves no absence.
    let cut = text.replace("    ovs_version: \"2.17.0\"\n", "...\n");
    assert_eq!(last(&cut, "tapb"), "eno2");
}

#[test]
fn openflow_stops_a_port() {
    let show = |config: &str, state: &str| {
        let text = with_ports(&neutron(true), config, state);
        let shown = down(&text, "tapb");
        shown.into_iter().find(|hop| hop.starts_with("eno2:")).unwrap_or_default()
    };
    for (config, state, hop) in [
        ("0", "0", ""),
        ("NO_FLOOD", "0", ""),
        // Of a device of the kernel the kernel tells.
        ("PORT_DOWN", "LINK_DOWN", ""),
        ("NO_FWD", "0", "eno2: set to NO_FWD"),
        ("NO_RECV", "0", "eno2: set to NO_RECV"),
        ("0", "STP_BLOCK", "eno2: blocking by spanning tree"),
        ("0", "STP_LISTEN", "eno2: listening by spanning tree"),
        ("0", "STP_LEARN", "eno2: learning by spanning tree"),
        ("0", "STP_FORWARD", ""),
        ("0", "BLOCKED", "eno2: blocked by spanning tree"),
    ] {
        assert_eq!(show(config, state), hop, "{config} {state}");
    }
}

/// The host of neutron with a flow that passes on what comes from its physical network.
fn with_answers(text: &str) -> String {
    let flow = "priority=4,in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL\n";
    let back =
        " cookie=0x1, duration=9s, table=0, n_packets=0, n_bytes=0, priority=0 actions=NORMAL\n";
    text.replace(flow, &format!("{flow}{back}"))
}

/// The host of neutron with this text behind.
fn with_text(text: &str, more: &str) -> String {
    text.trim_end().trim_end_matches("root@h1:~#").to_owned() + more
}

#[test]
fn columns_of_spanning_tree_stop_a_port() {
    let (stp, rstp) = ("status", "rstp_status");
    for (column, value, block) in [
        (stp, "{stp_port_id=\"8002\", stp_sec_in_state=\"6\", stp_state=blocking}", "blocking"),
        (stp, "{stp_state=listening}", "listening"),
        (stp, "{stp_state=learning}", "learning"),
        (stp, "{stp_port_id=\"8002\", stp_role=root, stp_state=forwarding}", ""),
        (stp, "{stp_state=disabled}", ""),
        (stp, "{}", ""),
        (rstp, "{rstp_port_id=\"8.002\", rstp_port_state=Discarding}", "discarding"),
        (rstp, "{rstp_port_role=Alternate, rstp_port_state=Learning}", "learning"),
        (rstp, "{rstp_port_role=Designated, rstp_port_state=Forwarding}", ""),
        (rstp, "{rstp_port_role=Disabled, rstp_port_state=Disabled}", ""),
        // Each state stands in its own column.
        (rstp, "{stp_state=blocking}", ""),
        ("external_ids", "{stp_state=blocking}", ""),
    ] {
        let more = format!(
            "root@h1:~# ovs-vsctl list Port\n_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001\n\
             name                : eno2\n{column:20}: {value}\nroot@h1:~# "
        );
        let shown = down(&with_text(&neutron(true), &more), "tapb");
        let found = shown.iter().find_map(|hop| hop.strip_prefix("eno2: "));
        let expected = (!block.is_empty()).then(|| format!("{block} by spanning tree"));
        assert_eq!(found, expected.as_deref(), "{column} {value}");
    }
}

#[test]
fn rows_of_interfaces_stop_them() {
    let listed = |kind: &str, rows: &str| {
        let text = changed(
            "            Interface eno2\n",
            &format!("            Interface eno2\n                type: {kind}\n"),
        );
        let more = format!(
            "root@h1:~# ovs-vsctl list Interface\n_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001\n\
             name                : eno2\n{rows}type                : {kind}\nroot@h1:~# "
        );
        let shown = down(&with_text(&with_answers(&text), &more), "tapb");
        shown.iter().find_map(|hop| hop.strip_prefix("eno2: ")).map(str::to_owned)
    };
    for (kind, rows, block) in [
        ("dpdk", "link_state          : down\n", Some("no carrier")),
        ("dpdk", "link_state          : up\n", None),
        // Of devices of the kernel the kernel tells.
        ("system", "link_state          : down\n", None),
        ("system", "ofport              : -1\n", Some("without an OpenFlow port")),
        ("system", "ofport              : 2\n", None),
        (
            "system",
            "error               : \"could not open network device eno2 (No such device)\"\n",
            Some("error in OVS"),
        ),
        ("system", "error               : []\n", None),
    ] {
        assert_eq!(listed(kind, rows).as_deref(), block, "{kind} {rows}");
    }
}

#[test]
fn flows_that_lead_nowhere_stop_a_bridge() {
    let flow = "in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL";
    for (flows, end) in [
        (flow, "eno2"),
        ("in_port=1,dl_vlan=2 actions=drop", "br-ex: no flow leads on"),
        ("in_port=1,dl_vlan=2 actions=strip_vlan,FLOOD", "eno2"),
        ("in_port=1,dl_vlan=2 actions=strip_vlan,CONTROLLER:65535", "eno2"),
        ("in_port=1,dl_vlan=2 actions=strip_vlan,output:\"eno2\"", "eno2"),
        ("in_port=1,dl_vlan=2 actions=strip_vlan,output:\"phy-br-ex\"", "eno2: no flow leads on"),
    ] {
        let shown = down(&changed(flow, flows), "tapb");
        // The path ends with the bridge where that drops all.
        let blocked = shown.iter().find(|hop| hop.contains(':'));
        assert_eq!(blocked.or(shown.last()).map(String::as_str), Some(end), "{flows}");
    }
}

#[test]
fn uplink_carries_other_vlans() {
    let flow = "mod_vlan_vid:200,NORMAL";
    let port = "        Port eno2\n";
    for (options, action, end) in [
        ("trunks: [200, 300]", flow, "eno2"),
        ("trunks: [300]", flow, "eno2: does not carry VLAN 200"),
        ("tag: 200", flow, "eno2"),
        ("tag: 300", flow, "eno2: does not carry VLAN 200"),
        ("trunks: [200]", "strip_vlan,NORMAL", "eno2: does not carry frames without a tag"),
        ("tag: 300", "strip_vlan,NORMAL", "eno2: does not carry frames without a tag"),
        // What a flow sends to the port leaves by it.
        ("trunks: [300]", "mod_vlan_vid:200,output:\"eno2\"", "eno2"),
        // What else the flow does is not followed here.
        ("trunks: [300]", "mod_vlan_vid:200,set_queue:1,NORMAL", "eno2"),
    ] {
        let text = changed(flow, action);
        let text = text.replace(port, &format!("{port}            {options}\n"));
        assert_eq!(last(&text, "tapb"), end, "{options} {action}");
    }
}

#[test]
fn bond_of_ovs_without_a_member() {
    let bond = |members: &str, active: &str| {
        format!(
            "root@h1:~# ovs-appctl bond/show
---- eno2 ----
bond_mode: active-backup
bond may use recirculation: no, Recirc-ID : -1
bond-hash-basis: 0
updelay: 0 ms
downdelay: 0 ms
lacp_status: off
active slave mac: {active}

slave eno2: {members}
  may_enable: false

"
        )
    };
    let path = |bond: &str| {
        down(&with_text(&neutron(true), bond), "tapb")
            .into_iter()
            .find(|hop| hop.starts_with("eno2:"))
    };
    let none = "00:00:00:00:00:00(none)";
    let why = Some("eno2: no active member".to_owned());
    assert_eq!(path(&bond("disabled", none)), why);
    assert_eq!(path(&bond("enabled", none)), why);
    assert_eq!(path(&bond("enabled", "52:54:00:00:01:03(eno2)")), None);
}

#[test]
fn bond_of_the_kernel_without_a_member() {
    let path = |bond: &str, member: &str| {
        let links = [
            link(2, "eno1", "master bond0", member),
            link(3, "bond0", "master br0", bond),
            link(4, "br0", "", common::BRIDGE),
            link(5, "vnet0", "master br0", TAP),
        ];
        down(&session(&links, ""), "vnet0").into_iter().find(|hop| hop.starts_with("bond0"))
    };
    let dead = Some("bond0: no active member".to_owned());
    let alive = Some("bond0".to_owned());
    let backup = "    bond_slave state BACKUP mii_status UP\n";
    assert_eq!(path("    bond mode active-backup miimon 100\n", backup), dead);
    assert_eq!(path("    bond mode active-backup active_slave eno1 miimon 100\n", backup), alive);
    let active = "    bond_slave state ACTIVE mii_status UP\n";
    assert_eq!(path("    bond mode active-backup miimon 100\n", active), alive);
    // One text is enough to show the member that is in use.
    let both = |first: &str, second: &str| {
        let links = |bond: &str| {
            [
                link(2, "eno1", "master bond0", backup),
                link(3, "bond0", "master br0", &format!("    bond mode active-backup {bond}\n")),
                link(4, "br0", "", common::BRIDGE),
                link(5, "vnet0", "master br0", TAP),
            ]
        };
        let again = format!("ip -d address\n{}root@h1:~# ", links(second).concat());
        let hops = down(&session(&links(first), &again), "vnet0");
        hops.into_iter().find(|hop| hop.starts_with("bond0"))
    };
    assert_eq!(both("miimon 100", "active_slave eno1 miimon 100"), alive);
    assert_eq!(both("active_slave eno1 miimon 100", "miimon 100"), alive);
    assert_eq!(both("miimon 100", "miimon 100"), dead);
    // Without details nothing is known, and other modes have no active member.
    assert_eq!(path("", ""), alive);
    assert_eq!(path("    bond mode 802.3ad miimon 100\n", backup), alive);
}

#[test]
fn carrier_of_the_tunnels_is_down() {
    let carrier = |flags: &str| {
        let device = link(8, "vxlan_sys_4789", flags, "    vxlan id 0 dstport 4789\n");
        let text = neutron(true).replacen(
            "root@h1:~# ip -d address\n",
            &format!("root@h1:~# ip -d address\n{device}"),
            1,
        );
        down(&text, "tapa").into_iter().find(|hop| hop.contains(": down"))
    };
    assert_eq!(carrier("down "), Some("vxlan-c0000202: down".to_owned()));
    assert_eq!(carrier(""), None);
}

#[test]
fn a_tunnel_is_not_known_to_send_where_routes_do_not_tell() {
    // The far end is on the link of the source: that is enough.
    assert!(down(&neutron(true), "tapa").contains(&"192.0.2.2".to_owned()));
    let text = neutron(true).replace("remote_ip=\"192.0.2.2\"", "remote_ip=\"198.51.100.2\"");
    common::with_network(&text, |network| {
        let tunnel = network.tunnels().next().unwrap();
        assert!(matches!(network.forwarding(tunnel.id), tapline_network::Answer::Unknown(_)));
    });
}

/// The host of neutron with the OpenFlow ports of `br-ex`: 1 is `phy-br-ex`, 2 is `eno2`, with this
/// `config` and `state`.
fn with_ports(text: &str, config: &str, state: &str) -> String {
    let text = &with_answers(text);
    let ports = [
        ("1", "phy-br-ex", "0", "0"),
        ("2", "eno2", config, state),
        ("LOCAL", "br-ex", "PORT_DOWN", "LINK_DOWN"),
    ];
    let ports = ports.map(|(number, name, config, state)| {
        format!(
            " {number}({name}): addr:aa:bb:cc:00:00:01\n     config:     {config}\n     \
             state:      {state}\n     speed: 0 Mbps now, 0 Mbps max\n"
        )
    });
    let ports = ports.concat();
    let show = format!(
        "root@h1:~# ovs-ofctl show br-ex
OFPT_FEATURES_REPLY (xid=0x2): dpid:0000525400000103
n_tables:254, n_buffers:0
capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP
actions: output enqueue set_vlan_vid
{ports}OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0
"
    );
    with_text(text, &show)
}

#[test]
fn flows_are_walked_for_what_comes_in() {
    let old = "table=0, n_packets=0, n_bytes=0, priority=4,in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL";
    // (flows of br-ex: table, priority and rest; options of the uplink; where the path ends)
    let rows = [
        (vec![(0, "4,in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL")], "", "eno2"),
        (
            vec![
                (0, "4,in_port=9,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL"),
                (0, "2,in_port=1 actions=drop"),
            ],
            "",
            "br-ex: dropped by its flows",
        ),
        (
            vec![(0, "9,in_port=1 actions=drop"), (0, "4,in_port=1,dl_vlan=2 actions=NORMAL")],
            "",
            "br-ex: dropped by its flows",
        ),
        // Some of what comes in passes: whether a frame is of it is not asked here.
        (
            vec![
                (0, "9,in_port=1,tcp actions=drop"),
                (0, "0 actions=NORMAL"),
                (0, "4,dl_vlan=2 actions=NORMAL"),
            ],
            "",
            "eno2",
        ),
        (vec![(0, "4,dl_vlan=2 actions=resubmit(,7)"), (7, "1 actions=NORMAL")], "", "eno2"),
        (
            vec![(0, "4,dl_vlan=2 actions=resubmit(,7)"), (8, "1 actions=NORMAL")],
            "",
            "br-ex: dropped by its flows",
        ),
        (
            vec![(0, "4,in_port=1,dl_vlan=2 actions=mod_vlan_vid:200,NORMAL")],
            "trunks: [2]",
            "eno2: does not carry VLAN 200",
        ),
        (
            vec![(0, "4,in_port=1,dl_vlan=2 actions=set_queue:1,mod_vlan_vid:200,NORMAL")],
            "trunks: [200]",
            "eno2",
        ),
        (vec![(0, "4,in_port=1,dl_vlan=2 actions=output:2")], "trunks: [200]", "eno2"),
        (vec![(0, "4,in_port=1,dl_vlan=2 actions=output:7")], "", "br-ex: dropped by its flows"),
    ];
    for (flows, options, end) in rows {
        let new: Vec<String> = flows
            .iter()
            .map(|(table, flow)| format!("table={table}, n_packets=0, n_bytes=0, priority={flow}"))
            .collect();
        let new = new.join("\n cookie=0x1, duration=9s, ");
        let mut text = changed(old, &new);
        if !options.is_empty() {
            let port = "        Port eno2\n";
            text = text.replace(port, &format!("{port}            {options}\n"));
        }
        let shown = down(&with_ports(&text, "0", "0"), "tapb");
        assert_eq!(shown.last().map(String::as_str), Some(end), "{flows:?} {options}");
    }
}

#[test]
fn protected_ports_are_kept_apart() {
    let show = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port eno1
            Interface eno1
        Port tapa
            Interface tapa
    ovs_version: \"2.17.0\"
root@h1:~# ovs-vsctl list Port
_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001
name                : eno1
protected           : true

_uuid               : 22222222-7a68-4a0f-9d2a-1d6a36f6a001
name                : tapa
protected           : true
root@h1:~# ";
    let ovs = "    openvswitch_slave\n";
    let links = [
        link(2, "eno1", "master ovs-system", ovs),
        link(4, "tapa", "master ovs-system", &(TAP.to_owned() + ovs)),
        link(7, "ovs-system", "", "    openvswitch\n"),
    ];
    let blocked = |text: &str| {
        down(text, "tapa").into_iter().any(|hop| hop == "eno1: isolated from the port before")
    };
    let text = session(&links, show);
    assert!(blocked(&text));
    assert!(!blocked(&text.replacen(
        "protected           : true",
        "protected           : false",
        1
    )));
}

#[test]
fn nothing_is_forwarded_to_the_port_of_a_mirror() {
    let show = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port eno1
            Interface eno1
        Port tapa
            Interface tapa
    ovs_version: \"2.17.0\"
root@h1:~# ovs-vsctl list Bridge
_uuid               : 33333333-7a68-4a0f-9d2a-1d6a36f6a001
mirrors             : [44444444-7a68-4a0f-9d2a-1d6a36f6a001]
name                : br0
root@h1:~# ovs-vsctl list Port
_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001
name                : eno1

_uuid               : 22222222-7a68-4a0f-9d2a-1d6a36f6a001
name                : tapa
root@h1:~# ovs-vsctl list Mirror
_uuid               : 44444444-7a68-4a0f-9d2a-1d6a36f6a001
name                : span0
output_port         : 11111111-7a68-4a0f-9d2a-1d6a36f6a001
select_all          : true
root@h1:~# ";
    let ovs = "    openvswitch_slave\n";
    let links = [
        link(2, "eno1", "master ovs-system", ovs),
        link(4, "tapa", "master ovs-system", &(TAP.to_owned() + ovs)),
        link(7, "ovs-system", "", "    openvswitch\n"),
    ];
    let text = session(&links, show);
    for (from, to, kept) in [
        ("name", "name", true),
        // The mirror is none of a bridge, or sends elsewhere.
        ("[44444444-7a68-4a0f-9d2a-1d6a36f6a001]", "[]", false),
        (": 11111111-7a68-4a0f-9d2a-1d6a36f6a001\nselect", ": []\nselect", false),
        (": 11111111-7a68-4a0f-9d2a-1d6a36f6a001\nselect", ": 55555555-7a68\nselect", false),
    ] {
        let hops = down(&text.replace(from, to), "tapa");
        let is_kept = hops.iter().any(|hop| hop == "eno1: kept for the copies of a mirror");
        assert_eq!(is_kept, kept, "{from} {hops:?}");
    }
}

#[test]
fn vxlan_that_knows_nobody_sends_nothing() {
    let path = |options: &str, fdb: &str| {
        let links = [
            link(2, "eno1", "", ""),
            link(3, "br0", "", common::BRIDGE),
            link(4, "vnet0", "master br0", TAP),
            link(5, "vx100", "master br0", &format!("    vxlan id 100 {options}dstport 4789\n")),
        ];
        let text = session(&links, &format!("bridge fdb show\n{fdb}root@h1:~# "));
        down(&text, "vnet0").into_iter().find(|hop| hop.starts_with("vx100")).unwrap()
    };
    let own = "33:33:00:00:00:01 dev eno1 self permanent\n";
    let dead = "vx100: no far end";
    assert_eq!(path("dev eno1 ", own), dead);
    assert_eq!(path("dev eno1 nolearning ", own), dead);
    assert_eq!(path("remote 192.0.2.2 dev eno1 ", own), "vx100");
    assert_eq!(path("group 239.1.1.1 dev eno1 ", own), "vx100");
    assert_eq!(path("external dev eno1 ", own), "vx100");
    let far = format!("{own}00:00:00:00:00:00 dev vx100 dst 192.0.2.2 self permanent\n");
    assert_eq!(path("dev eno1 ", &far), "vx100");
}
