//! What devices of the kernel do with what is sent by them: bonds, VLANs, macvlans, tunnels.
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::trace::{Question, Trace, Tracer};

use super::common::{link, with_network};
use super::{FILTER, LO, RULES, ask, shown};

/// What a host does with a ping to its neighbour 198.51.100.9 behind a device, which has the
/// address 198.51.100.1; `without` is a device that is taken away.
fn sends(links: &[String], dev: &str, mac: &str, without: Option<&str>) -> Vec<String> {
    let address = format!(
        "    inet 198.51.100.1/24 scope global {dev}\n       valid_lft forever preferred_lft forever\n"
    );
    let links: Vec<String> = links
        .iter()
        .map(|device| {
            let own =
                device.contains(&format!(": {dev}:")) || device.contains(&format!(": {dev}@"));
            device.clone() + if own { &address } else { "" }
        })
        .collect();
    let text = format!(
        "root@h1:~# ip -d address\n{LO}{}root@h1:~# ip route show table all\n\
         198.51.100.0/24 dev {dev} proto kernel scope link src 198.51.100.1 \n\
         local 198.51.100.1 dev {dev} table local proto kernel scope host src 198.51.100.1 \n\
         root@h1:~# ip rule\n{RULES}root@h1:~# ip neigh\n198.51.100.9 dev {dev} lladdr {mac} REACHABLE\n\
         root@h1:~# iptables-save\n{FILTER}root@h1:~# \n",
        links.concat()
    );
    with_network(&text, |network| {
        let key = without.map(|name| {
            let node = network.topology.find_netdev(HostId(0), &Netns::Root, name).unwrap();
            network.topology.key(node).unwrap().to_string()
        });
        let question = Question {
            from: "ns:root".to_owned(),
            to: Some("ip:198.51.100.9".to_owned()),
            without: key,
            ..Question::default()
        };
        shown(&Tracer::new(network).ask(&question).unwrap().trace)
    })
}

const FAR: &str = "02:00:00:00:00:09";

#[test]
fn bonds_send_by_the_member_that_works() {
    let bond = |mode: &str, first: &str, second: &str| {
        let slave = "    bond_slave state ACTIVE mii_status UP\n";
        [
            link(2, "eno1", &format!("{first}master bond0"), slave),
            link(3, "eno2", &format!("{second}master bond0"), slave),
            link(4, "bond0", "", &format!("    bond mode {mode} miimon 100\n")),
        ]
    };
    let backup = "active-backup active_slave eno2";
    for (links, without, verdict, way) in [
        (bond(backup, "", ""), None, "yes: delivered-on-link", "device bond0 > eno2"),
        (bond("802.3ad", "", "down "), None, "yes: delivered-on-link", "device bond0 > eno1"),
        (bond("802.3ad", "", ""), None, "yes: delivered-on-link", "device bond0 > -"),
        (bond("802.3ad", "down ", "down "), None, "no: blackholed if-no-carrier", ""),
        // Another member carries on for one that is taken away.
        (bond(backup, "", ""), Some("eno2"), "yes: delivered-on-link", "device bond0 > eno1"),
        (bond(backup, "", ""), Some("eno1"), "yes: delivered-on-link", "device bond0 > eno2"),
        (bond("802.3ad", "", ""), Some("eno1"), "yes: delivered-on-link", "device bond0 > eno2"),
        (bond("802.3ad", "", "down "), Some("eno1"), "no: blackholed without", ""),
        (bond(backup, "", ""), Some("bond0"), "no: blackholed without", ""),
    ] {
        let told = sends(&links, "bond0", FAR, without);
        assert!(told[0].starts_with(verdict), "{links:?} {without:?}: {told:#?}");
        let by = told.iter().find(|hop| hop.starts_with("device bond0"));
        assert_eq!(by.map_or("", String::as_str), way, "{links:?} {without:?}: {told:#?}");
    }
}

#[test]
fn macvlans_of_one_device_hear_each_other_as_a_bridge() {
    let devices = |mode: &str| {
        let details = format!("    macvlan mode {mode} \n");
        [
            link(2, "eno1", "", ""),
            link(3, "mv0@eno1", "", &details),
            link(4, "mv1@eno1", "", &details),
        ]
    };
    let (own, sibling) = ("52:54:00:00:01:03", "52:54:00:00:01:04");
    for (mode, mac, way) in [
        ("bridge", sibling, "device mv0 > mv1"),
        ("bridge", FAR, "device mv0 > eno1"),
        ("bridge", own, "device mv0 > eno1"),
        ("vepa", sibling, "device mv0 > eno1"),
        ("private", sibling, "device mv0 > eno1"),
    ] {
        let told = sends(&devices(mode), "mv0", mac, None);
        assert!(told.contains(&way.to_owned()), "{mode} {mac}: {told:#?}");
    }
    // The device below and its macvlans never reach each other, others but as a bridge neither.
    let below = "52:54:00:00:01:02";
    for (mode, dev, mac, verdict) in [
        ("bridge", "mv0", below, "no: blackholed l2-dead-end"),
        ("bridge", "eno1", own, "no: blackholed l2-dead-end"),
        ("vepa", "mv0", below, "no: blackholed l2-dead-end"),
        ("private", "eno1", own, "no: blackholed l2-dead-end"),
        ("vepa", "mv0", sibling, "no: blackholed l2-dead-end"),
        ("private", "mv0", sibling, "no: blackholed l2-dead-end"),
        ("passthru", "mv0", sibling, "no: blackholed l2-dead-end"),
        ("bridge", "mv0", FAR, "yes: delivered-on-link"),
    ] {
        let told = sends(&devices(mode), dev, mac, None);
        assert!(told[0].starts_with(verdict), "{mode} {dev} {mac}: {told:#?}");
    }
    let short = devices("bridge").map(|text| text.replace(" mode bridge", ""));
    let told = sends(&short, "mv0", sibling, None);
    assert!(told[0].starts_with("unknown: unknown not-captured"), "{told:#?}");
}

/// What becomes of what comes in by eno1 for a device in the namespace `box`.
fn comes_in(links: &[String], inside: &str, frame: &str) -> Vec<String> {
    let text = format!(
        "root@h1:~# ip -d address\n{}root@h1:~# ip netns exec box ip -d address\n{LO}{inside}\
         root@h1:~# ip netns exec box iptables-save\n{FILTER}root@h1:~# \n",
        links.concat()
    );
    ask(&text, "if:eno1", "ns:box", |question| {
        question.packet =
            Some(format!("{frame},nw_src=192.0.2.9,nw_dst=192.0.2.7,icmp_type=8,icmp_code=0"));
    })
}

#[test]
fn what_no_text_says_to_stand_on_a_device_may_do_so() {
    let address =
        "    inet 192.0.2.7/24 scope global eth0\n       valid_lft forever preferred_lft forever\n";
    let eth0 = |name: &str, details: &str| link(9, name, "", &(details.to_owned() + address));
    let (mode, to) = ("    macvlan mode bridge \n", "52:54:00:00:01:09");
    for (name, details, mac, verdict) in [
        ("eth0@if2", mode, to, "unknown: unknown not-captured"),
        ("eth0", mode, to, "unknown: unknown not-captured"),
        ("eth0@if2", "", to, "unknown: unknown not-captured"),
        ("eth0@if2", "    ipvlan mode l2 bridge \n", "52:54:00:00:01:02", "unknown"),
        // What goes to all may go there.
        ("eth0@if2", mode, "ff:ff:ff:ff:ff:ff", "unknown: unknown not-captured"),
        // It stands on another device, or is another.
        ("eth0@if3", mode, to, "no: "),
        ("eth0@if2", "    dummy \n", to, "no: "),
        ("eth0@if2", mode, FAR, "no: "),
    ] {
        let links = [LO.to_owned(), link(2, "eno1", "", "")];
        let frame = format!("icmp,dl_src=02:00:00:00:00:77,dl_dst={mac}");
        let told = comes_in(&links, &eth0(name, details), &frame);
        assert!(told[0].starts_with(verdict), "{name} {details} {mac}: {told:#?}");
    }
}

#[test]
fn vlan_devices_tag_what_they_send() {
    let links = [
        link(2, "eno1", "", ""),
        link(3, "eno1.7@eno1", "", "    vlan protocol 802.1Q id 7 <REORDER_HDR> \n"),
    ];
    let told = sends(&links, "eno1.7", FAR, None);
    assert!(told.contains(&"device eno1.7 > eno1 vlan:  > 7".to_owned()), "{told:#?}");
    assert!(told[0].starts_with("yes: delivered-on-link"), "{told:#?}");
    for gone in ["eno1", "eno1.7"] {
        let told = sends(&links, "eno1.7", FAR, Some(gone));
        assert!(told[0].starts_with("no: blackholed without"), "{gone}: {told:#?}");
    }
}

/// A host with the address 192.0.2.N on a wire and 198.51.100.N on a tunnel with these details.
fn tunnelled(number: u8, details: &str, more: &str) -> String {
    let name = format!("h{number}");
    let address = |ip: &str, dev: &str| {
        format!(
            "    inet {ip}.{number}/24 scope global {dev}\n       valid_lft forever preferred_lft forever\n"
        )
    };
    let mac = |device: String| device.replace("52:54:00:00:01", &format!("52:54:00:00:0{number}"));
    let links = [
        LO.to_owned(),
        mac(link(2, "eno1", "", &address("192.0.2", "eno1"))),
        mac(link(3, "vx7", "", &(details.to_owned() + &address("198.51.100", "vx7")))),
    ];
    format!(
        "root@{name}:~# ip -d address\n{}root@{name}:~# ip route show table all\n\
         192.0.2.0/24 dev eno1 proto kernel scope link src 192.0.2.{number} \n\
         198.51.100.0/24 dev vx7 proto kernel scope link src 198.51.100.{number} \n\
         local 192.0.2.{number} dev eno1 table local proto kernel scope host src 192.0.2.{number} \n\
         local 198.51.100.{number} dev vx7 table local proto kernel scope host src 198.51.100.{number} \n\
         root@{name}:~# ip rule\n{RULES}root@{name}:~# iptables-save\n{FILTER}root@{name}:~# sysctl -a\n\
         net.ipv4.conf.all.rp_filter = 0\nnet.ipv4.conf.eno1.rp_filter = 0\n\
         net.ipv4.conf.vx7.rp_filter = 0\n{}root@{name}:~# \n",
        links.concat(),
        more.replace("root@h1", &format!("root@{name}")),
    )
}

/// The trace of a ping from the first host to an address of the tunnel.
fn ping(text: &str, to: &str) -> Trace {
    ping_of(text, to, None)
}

/// The same of a packet with so many bytes.
fn ping_of(text: &str, to: &str, size: Option<u32>) -> Trace {
    with_network(text, |network| {
        let question = Question {
            from: "ns:h1/root".to_owned(),
            to: Some(format!("ip:{to}")),
            size,
            ..Question::default()
        };
        Tracer::new(network).ask(&question).unwrap().trace
    })
}

#[test]
fn tunnels_of_the_kernel_take_what_has_their_port_and_key() {
    let vxlan = |key: u32, local: u8, remote: &str, port: u16| {
        format!(
            "    vxlan id {key} {remote}local 192.0.2.{local} dev eno1 srcport 0 0 dstport {port} ttl auto ageing 300 \n"
        )
    };
    let first = tunnelled(1, &vxlan(7, 1, "remote 192.0.2.2 ", 4789), "");
    for (second, expected) in [
        (vxlan(7, 2, "remote 192.0.2.1 ", 4789), "yes: delivered"),
        // Whoever it sends to itself.
        (vxlan(7, 2, "remote 192.0.2.9 ", 4789), "yes: delivered"),
        (vxlan(7, 2, "", 4789), "yes: delivered"),
        (vxlan(8, 2, "remote 192.0.2.9 ", 4789), "no: "),
        (vxlan(7, 2, "remote 192.0.2.9 ", 8472), "no: "),
        (vxlan(7, 2, "remote 192.0.2.9 ", 4789).replace("vxlan", "geneve"), "no: "),
        (vxlan(8, 2, "remote 192.0.2.1 ", 4789), "no: blackholed vni-unknown-at-peer"),
        (vxlan(7, 2, "remote 192.0.2.1 ", 8472), "no: blackholed tunnel-no-reverse"),
    ] {
        let text = first.clone() + &tunnelled(2, &second, "");
        let told = shown(&ping(&text, "198.51.100.2"));
        assert!(told[0].starts_with(expected), "{second}: {told:#?}");
    }
}

#[test]
fn forwarding_tables_choose_the_far_end_of_a_tunnel() {
    let vxlan =
        "    vxlan id 7 local 192.0.2.1 dev eno1 srcport 0 0 dstport 4789 ttl auto ageing 300 \n";
    let all = "00:00:00:00:00:00 dev vx7 dst 192.0.2.2 self permanent\n\
               00:00:00:00:00:00 dev vx7 dst 192.0.2.3 self permanent\n";
    let fdb = |entry: &str| {
        format!(
            "root@h1:~# ip neigh\n198.51.100.9 dev vx7 lladdr {FAR} REACHABLE\n\
             root@h1:~# bridge fdb show\n{all}{entry}"
        )
    };
    for (entry, far) in [
        (String::new(), &["192.0.2.2", "192.0.2.3"][..]),
        (format!("{FAR} dev vx7 dst 192.0.2.3 self\n"), &["192.0.2.3"]),
        (format!("{FAR} dev vx7 dst 192.0.2.2 self\n"), &["192.0.2.2"]),
        (format!("{FAR} dev vx8 dst 192.0.2.3 self\n"), &["192.0.2.2", "192.0.2.3"]),
        ("02:00:00:00:00:08 dev vx7 dst 192.0.2.3 self\n".to_owned(), &["192.0.2.2", "192.0.2.3"]),
    ] {
        let trace = ping(&tunnelled(1, vxlan, &fdb(&entry)), "198.51.100.9");
        let mut found: Vec<String> = Vec::new();
        for node in &trace.tree.nodes {
            if let tapline_network::trace::Part::Hop(hop) = &node.part
                && let Some(words) = hop.action.strip_prefix("vxlan to ")
            {
                found.push(words.trim_end_matches(", key 7").to_owned());
            }
        }
        found.sort();
        assert_eq!(found, far, "{entry}");
    }
}

#[test]
fn packets_around_others_are_cut_unless_that_is_forbidden() {
    let vxlan = |local: u8, remote: u8, df: &str| {
        format!(
            "    vxlan id 7 remote 192.0.2.{remote} local 192.0.2.{local} dev eno1 srcport 0 0 dstport 4789 \
             ttl auto ageing 300 {df}\n"
        )
    };
    let second = tunnelled(2, &vxlan(2, 1, ""), "");
    for (df, size, expected) in [
        ("", 1450, "yes: delivered"),
        ("", 1451, "yes: delivered"),
        ("df unset ", 1500, "yes: delivered"),
        ("df set ", 1450, "yes: delivered"),
        ("df set ", 1451, "no: "),
    ] {
        let text = tunnelled(1, &vxlan(1, 2, df), "") + &second;
        let told = shown(&ping_of(&text, "198.51.100.2", Some(size)));
        assert!(told[0].starts_with(expected), "{df} {size}: {told:#?}");
    }
}

#[test]
fn each_kind_of_device_sends_in_its_own_way() {
    let eno1 = link(2, "eno1", "", "");
    let on = |details: &str| vec![eno1.clone(), link(3, "d0@eno1", "", details)];
    let alone = |name: &str, details: &str| vec![link(3, name, "", details)];
    for (links, dev, told) in [
        (vec![eno1.clone()], "eno1", "yes: delivered-on-link"),
        (on("    vlan protocol 802.1Q id 7 <REORDER_HDR> \n"), "d0", "yes: delivered-on-link"),
        (on("    ipvlan  mode l2 bridge \n"), "d0", "yes: delivered-on-link"),
        (on("    macvlan mode vepa \n"), "d0", "yes: delivered-on-link"),
        // Who has the keys takes it.
        (
            on("    macsec sci 5254000001030001 protect on cipher GCM-AES-128 \n"),
            "d0",
            "unknown: unknown not-modelled",
        ),
        (alone("d0", "    dummy \n"), "d0", "no: blackholed l2-dead-end"),
        (alone("d0", "    vrf table 10 \n"), "d0", "unknown: unknown not-modelled"),
        // The other end of a pair was not captured, or is what a container has for a wire.
        (alone("veth1@if9", "    veth \n"), "veth1", "unknown: unknown not-captured"),
        (alone("eth0@if9", "    veth \n"), "eth0", "yes: delivered-on-link"),
        // Nothing tells what sort of device it is.
        (alone("d0", ""), "d0", "unknown: unknown not-captured"),
        (
            alone("tap0", "    tun type tap pi off vnet_hdr on persist off\n"),
            "tap0",
            "unknown: unknown not-captured",
        ),
        (
            alone("br0", "    bridge forward_delay 1500 stp_state 0 vlan_filtering 0\n"),
            "br0",
            "no: blackholed l2-dead-end",
        ),
        (vec![link(3, "d0", "down ", "")], "d0", "no: blackholed if-admin-down"),
    ] {
        let found = sends(&links, dev, FAR, None);
        assert!(found[0].starts_with(told), "{links:?}: {found:#?}");
    }
}
