//! Flows of OVN, and by which ports the networks of a host leave it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{link, session, with_network};
use tapline_core::capture::HostId;

const HOST: HostId = HostId(0);

#[test]
fn flows_of_ovn_show_by_which_ports_a_network_leaves() {
    let port = |name: &str, kind: &str| {
        let kind = match kind {
            "" => String::new(),
            kind => format!("                type: {kind}\n"),
        };
        format!("        Port {name}\n            Interface {name}\n{kind}")
    };
    let listed = |number: u32, name: &str| {
        format!(
            " {number}({name}): addr:fe:16:3e:00:00:{number:02x}\n     config:     0\n     state:      0\n     \
             speed: 0 Mbps now, 0 Mbps max\n"
        )
    };
    let of = |flows: &[&str]| {
        let flows: Vec<String> =
            flows.iter().map(|flow| format!(" cookie=0x1, duration=9s, {flow}\n")).collect();
        let rest = [
            "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n    Bridge br-int\n".to_owned(),
            port("tapa", ""),
            port("tapb", ""),
            port("ovn-0a1b2c-0", "geneve"),
            "    Bridge br-ex\n".to_owned(),
            port("eno1", ""),
            "    ovs_version: \"2.17.0\"\nroot@h1:~# ovs-ofctl show br-int\n\
             OFPT_FEATURES_REPLY (xid=0x2): dpid:0000aaaabbbbcccc\nn_tables:254, n_buffers:0\n\
             capabilities: FLOW_STATS TABLE_STATS PORT_STATS QUEUE_STATS ARP_MATCH_IP\nactions: output\n"
                .to_owned(),
            listed(1, "tapa"),
            listed(2, "tapb"),
            listed(3, "ovn-0a1b2c-0"),
            " LOCAL(br-int): addr:f6:4a:e1:e1:d6:43\n     config:     PORT_DOWN\n     \
             state:      LINK_DOWN\n     speed: 0 Mbps now, 0 Mbps max\n\
             OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0\n\
             root@h1:~# ovs-ofctl dump-flows br-int\nNXST_FLOW reply (xid=0x4):\n"
                .to_owned(),
            flows.concat(),
            "root@h1:~# ".to_owned(),
        ];
        let text = session(&[link(2, "eno1", "", "")], &rest.concat());
        with_network(&text, |network| {
            let of = |name: &str| {
                let port = network.topology.find_ovs_port(HOST, name).unwrap();
                let exits = network.datapaths().exits_of(port)?;
                let names =
                    exits.keys().map(|exit| network.topology.node(*exit).unwrap().name.to_string());
                Some((names.collect::<Vec<_>>(), network.datapaths().goes_astray(port)))
            };
            (of("tapa"), of("tapb"))
        })
    };
    let first = "table=0, n_packets=0, n_bytes=0, priority=100,in_port=1 \
                 actions=load:0x3->OXM_OF_METADATA[],resubmit(,8)";
    let second = "table=0, n_packets=0, n_bytes=0, priority=100,in_port=\"tapb\" \
                  actions=load:0x4->OXM_OF_METADATA[],resubmit(,8)";
    let out = "table=37, n_packets=0, n_bytes=0, priority=100,reg15=0x8001,metadata=0x3 \
               actions=set_field:0x3->tun_id,output:3";
    let named = "table=37, n_packets=0, n_bytes=0, priority=100,reg15=0x8001,metadata=0x4 \
                 actions=set_field:0x4->tun_id,output:\"ovn-0a1b2c-0\"";
    let gone =
        "table=37, n_packets=0, n_bytes=0, priority=100,reg15=0x8002,metadata=0x3 actions=output:9";
    // A port of another bridge is none of this one.
    let elsewhere =
        "table=37, n_packets=0, n_bytes=0, priority=100,metadata=0x4 actions=output:\"eno1\"";
    let tunnel = || vec!["ovn-0a1b2c-0".to_owned()];
    assert_eq!(of(&[first]), (None, None));
    assert_eq!(of(&[first, out]), (Some((tunnel(), false)), None));
    assert_eq!(
        of(&[first, second, out, named]),
        (Some((tunnel(), false)), Some((tunnel(), false)))
    );
    assert_eq!(of(&[first, out, gone]), (Some((tunnel(), true)), None));
    assert_eq!(
        of(&[first, second, out, elsewhere]),
        (Some((tunnel(), false)), Some((vec![], true)))
    );
}
