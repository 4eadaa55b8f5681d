//! `ip -d address` of a host with 10,000 interfaces: hybrid plugs of virtual machines as
//! OpenStack wires them (tap, Linux bridge, veth pair), VLANs and routers with addresses.
#![expect(clippy::expect_used, reason = "a benchmark that cannot run says why")]
use std::fmt::Write as _;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use tapline_core::capture::Command;
use tapline_formats::registry;

fn main() {
    divan::main();
}

#[divan::bench]
fn details_10_000(bencher: Bencher<'_, '_>) {
    read(bencher, "ip -d address", &host(10_000, true));
}

#[divan::bench]
fn plain_10_000(bencher: Bencher<'_, '_>) {
    read(bencher, "ip address", &host(10_000, false));
}

fn read(bencher: Bencher<'_, '_>, command: &str, text: &str) {
    let command = Command::new(command);
    let format = registry::by_command(&command).expect("it is claimed");
    let outcome = (format.read)(text, &command);
    assert_eq!((outcome.records.len(), outcome.lines.unread), (10_000, 0));
    bencher.counter(BytesCount::of_str(text)).bench(|| (format.read)(black_box(text), &command));
}

/// The text of `count` devices.
fn host(count: u32, details: bool) -> String {
    let mut text = String::new();
    for index in 1..=count {
        device(&mut text, index, details).expect("writing to a string");
    }
    text
}

fn device(text: &mut String, index: u32, details: bool) -> std::fmt::Result {
    let id = format!("{:08x}-{:02x}", index.wrapping_mul(2_654_435_761), index % 251);
    let (name, master) = match index % 5 {
        0 => (format!("tap{id}"), format!("master qbr{id} ")),
        1 => (format!("qbr{id}"), String::new()),
        2 => (format!("qvo{id}@qvb{id}"), "master ovs-system ".to_owned()),
        3 => (format!("qvb{id}@qvo{id}"), format!("master qbr{id} ")),
        _ => (format!("bond0.{}@bond0", index % 4095), String::new()),
    };
    writeln!(
        text,
        "{index}: {name}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue {master}state \
         UP group default qlen 1000"
    )?;
    let [_, a, b, c] = index.to_be_bytes();
    write!(text, "    link/ether fe:16:3e:{a:02x}:{b:02x}:{c:02x} brd ff:ff:ff:ff:ff:ff")?;
    if details {
        text.push_str(" promiscuity 1  allmulti 1 minmtu 68 maxmtu 65535 \n");
        text.push_str(match index % 5 {
            0 => {
                "    tun type tap pi off vnet_hdr on persist on \n    bridge_slave state \
                 forwarding priority 32 cost 2 hairpin off guard off root_block off fastleave off \
                 learning on flood on port_id 0x8002 port_no 0x2 designated_port 32770 \
                 designated_cost 0 designated_bridge 8000.22:c2:7b:1c:12:1b designated_root \
                 8000.22:c2:7b:1c:12:1b hold_timer    0.00 message_age_timer    0.00 \
                 forward_delay_timer    0.00 topology_change_ack 0 config_pending 0 proxy_arp off \
                 proxy_arp_wifi off mcast_router 1 mcast_fast_leave off mcast_flood on "
            }
            1 => {
                "    bridge forward_delay 0 hello_time 200 max_age 2000 ageing_time 0 stp_state 0 \
                 priority 32768 vlan_filtering 0 vlan_protocol 802.1Q bridge_id \
                 8000.22:c2:7b:1c:12:1b designated_root 8000.22:c2:7b:1c:12:1b root_port 0 \
                 root_path_cost 0 topology_change 0 topology_change_detected 0 hello_timer    0.00 \
                 tcn_timer    0.00 topology_change_timer    0.00 gc_timer   46.37 \
                 vlan_default_pvid 1 mcast_snooping 1 mcast_router 1 nf_call_iptables 0 "
            }
            2 => "    veth \n    openvswitch_slave ",
            3 => "    veth \n    bridge_slave state forwarding priority 32 cost 2 hairpin off ",
            _ => "    vlan protocol 802.1Q id 99 <REORDER_HDR> ",
        });
        text.push_str(
            "addrgenmode eui64 numtxqueues 1 numrxqueues 1 gso_max_size 65536 gso_max_segs 65535 \
             tso_max_size 524280 tso_max_segs 65535 gro_max_size 65536 ",
        );
    }
    text.push('\n');
    if index % 5 == 4 {
        writeln!(
            text,
            "    inet 10.{a}.{b}.{c}/24 brd 10.{a}.{b}.255 scope global dynamic bond0.{}\n       \
             valid_lft 86397sec preferred_lft 86397sec",
            index % 4095
        )?;
    }
    writeln!(
        text,
        "    inet6 fe80::fc16:3eff:fe{a:02x}:{b:02x}{c:02x}/64 scope link \n       valid_lft \
         forever preferred_lft forever"
    )
}
