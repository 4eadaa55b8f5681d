//! Composed outputs: each form, and odd ones.
use proptest::prelude::*;
use tapline_core::ids::IfIndex;
use tapline_core::records::link::{LowerRef, NetnsRef};

use super::*;

fn read_as(command: &str, text: &str) -> Outcome<Vec<Link>> {
    parse(text, &Command::new(command))
}

/// Reads a text in which nothing is wrong.
fn clean(text: &str) -> Vec<Link> {
    let out = read_as("ip address", text);
    assert_eq!((out.lines.unread, &out.problems[..]), (0, &[][..]));
    assert_eq!(out.completeness, Completeness::Complete);
    out.records
}

fn named<'a>(links: &'a [Link], name: &str) -> &'a Link {
    links.iter().find(|link| *link.name == name).expect(name)
}

fn other<'a>(link: &'a Link, key: &str) -> Option<&'a str> {
    link.other.find(key).map(|found| found.value)
}

fn shown(text: &str, span: Span) -> &str {
    text.get(span.range()).unwrap()
}

/// Devices of many kinds, as `ip -d -s address` prints them.
const TEXT: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0 minmtu 0 maxmtu 0 numtxqueues 1
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host proto kernel_lo 
       valid_lft forever preferred_lft forever
2: eno1: <BROADCAST,MULTICAST,SLAVE,UP,LOWER_UP> mtu 9000 xdp/id:12 qdisc mq master bond7 state UP group default qlen 1000
    link/ether 0c:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff permaddr 0c:00:00:00:00:03 promiscuity 0 numtxqueues 8
    prog/xdp id 12 tag 5855d13e
    bond_slave state ACTIVE mii_status UP link_failure_count 0 perm_hwaddr 0c:00:00:00:00:03 numtxqueues 8 parentbus pci parentdev 0000:02:00.0
    RX:  bytes packets errors dropped  missed   mcast
            10       2      0       0       0       1
    TX:  bytes packets errors dropped carrier collsns
            20       3      0       1       0       0
    vf 0     link/ether 0c:00:00:00:00:10 brd ff:ff:ff:ff:ff:ff, vlan 100, qos 1, tx rate 200 (Mbps), spoof checking on, link-state auto
    RX: bytes  packets  mcast   bcast
    7          1        0       0
    altname enp2s0
    altname ens2f0np0
3: bond7: <BROADCAST,MULTICAST,MASTER,UP,LOWER_UP> mtu 9000 qdisc noqueue state UP group default qlen 1000
    link/ether 0c:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff promiscuity 0 
    bond mode active-backup active_slave eno1 miimon 100 updelay 0 tlb_dynamic_lb 1 addrgenmode eui64 numtxqueues 16
    alias uplink: rack 3\\4, port 17
    inet 192.0.2.10/24 metric 100 brd 192.0.2.255 scope global dynamic noprefixroute bond7
       valid_lft 3597sec preferred_lft 1797sec
    inet 192.0.2.11/24 scope global secondary bond7:vip
       valid_lft forever preferred_lft forever
    inet 10.0.0.1 peer 10.0.0.2/32 scope global bond7
       valid_lft forever preferred_lft forever
    inet6 2001:db8::10/64 scope global nodad deprecated 
       valid_lft forever preferred_lft 0sec
4: bond7.99@bond7: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 9000 qdisc noqueue master vrf0 state UP group 7 qlen 1000
    link/ether 0c:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff promiscuity 0 
    vlan protocol 802.1ad id 99 <REORDER_HDR> 
      ingress-qos-map { 1:3 2:5 }
      egress-qos-map { 1:3 }
    vrf_slave table 10 numtxqueues 1
5: v0@if6: <NO-CARRIER,BROADCAST,MULTICAST,UP,M-DOWN> mtu 1450 qdisc noqueue master br0 state LOWERLAYERDOWN group default qlen 1000
    link/ether 0c:00:00:00:00:05 brd ff:ff:ff:ff:ff:ff link-netns blue ns promiscuity 1 
    veth 
    bridge_slave state disabled priority 32 cost 2 hairpin off learning on port_id 0x8001 isolated off numtxqueues 1
7: br0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UP group default qlen 1000
    link/ether 0c:00:00:00:00:07 brd ff:ff:ff:ff:ff:ff promiscuity 0 
    bridge forward_delay 1500 ageing_time 30000 stp_state 2 vlan_filtering 1 bridge_id 8000.c:0:0:0:0:7 gc_timer   46.37 vlan_default_pvid 1 nf_call_iptables 0 numtxqueues 1
8: vx@NONE: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1450 qdisc noqueue state UNKNOWN group default qlen 1000
    link/ether 0c:00:00:00:00:08 brd ff:ff:ff:ff:ff:ff link-netnsid unknown promiscuity 0 
    vxlan id 70 group 239.1.1.1 local 192.0.2.10 dev bond7 srcport 0 0 dstport 4789 nolearning ttl auto ageing 300 udpcsum noudp6zerocsumtx addrgenmode eui64
9: g0@bond7: <POINTOPOINT,NOARP> mtu 1476 qdisc noop state DOWN group default qlen 1000
    link/gre 192.0.2.10 peer 192.0.2.20 promiscuity 0 
    gre remote 192.0.2.20 local any dev bond7 ttl inherit ikey 0.0.0.1 okey 0.0.0.2 nopmtudisc addrgenmode eui64
10: t0: <NO-CARRIER,BROADCAST,MULTICAST,UP> mtu 1500 qdisc fq_codel state DOWN group default qlen 1000
    link/ether 0c:00:00:00:00:0a brd ff:ff:ff:ff:ff:ff promiscuity 0 
    tun type tap pi off vnet_hdr on multi_queue numqueues 1 numdisabled 0 persist on user root addrgenmode eui64
11: mv@eno1: <BROADCAST,MULTICAST> mtu 9000 qdisc noop state DOWN group default qlen 1000
    link/ether 0c:00:00:00:00:0b brd ff:ff:ff:ff:ff:ff promiscuity 0 
    macvlan mode passthru nopromisc addrgenmode eui64 
12: vrf0: <NOARP,MASTER,UP,LOWER_UP> mtu 65575 qdisc noqueue state UP group default qlen 1000
    link/ether 0c:00:00:00:00:0c brd ff:ff:ff:ff:ff:ff promiscuity 0 
    vrf table 10 addrgenmode eui64
13: ib0: <BROADCAST,MULTICAST> mtu 4092 qdisc noop state DOWN group default qlen 256
    link/infiniband 80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:6f:11 brd 00:ff:ff:ff:ff:12:40:1b:ff:ff:00:00:00:00:00:00:ff:ff:ff:ff promiscuity 0
    ipoib pkey  0xffff mode  datagram umcast  0000 
14: wg0: <POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1420 qdisc noqueue state UNKNOWN group default qlen 1000
    link/none promiscuity 0 
    wireguard numtxqueues 1
15: q0: <BROADCAST> mtu 1500 qdisc noop state DOWN group default qlen 1000
    link/ether 0c:00:00:00:00:0f brd ff:ff:ff:ff:ff:ff promiscuity 0 
    quux speed 9 shiny numtxqueues 1
";

/// The same devices, as `ip -j -d -s address` prints them.
const JSON: &str = r#"[{"ifindex":1,"ifname":"lo","flags":["LOOPBACK","UP","LOWER_UP"],"mtu":65536,"qdisc":"noqueue","operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"loopback","address":"00:00:00:00:00:00","broadcast":"00:00:00:00:00:00","promiscuity":0,"addr_info":[{"family":"inet","local":"127.0.0.1","prefixlen":8,"scope":"host","label":"lo","valid_life_time":4294967295,"preferred_life_time":4294967295},{"family":"inet6","local":"::1","prefixlen":128,"scope":"host","protocol":"kernel_lo","valid_life_time":4294967295,"preferred_life_time":4294967295}]},
{"ifindex":2,"ifname":"eno1","flags":["BROADCAST","MULTICAST","SLAVE","UP","LOWER_UP"],"mtu":9000,"xdp":{"mode":1},"qdisc":"mq","master":"bond7","operstate":"UP","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:02","broadcast":"ff:ff:ff:ff:ff:ff","permaddr":"0c:00:00:00:00:03","linkinfo":{"info_slave_kind":"bond","info_slave_data":{"state":"ACTIVE","mii_status":"UP"}},"stats64":{"rx":{"bytes":10,"packets":2,"errors":0,"dropped":0,"over_errors":0,"multicast":1},"tx":{"bytes":20,"packets":3,"errors":0,"dropped":1,"carrier_errors":0,"collisions":0}},"vfinfo_list":[{"vf":0,"link_type":"ether","address":"0c:00:00:00:00:10","vlan_list":[{"vlan":100,"qos":1}],"spoofchk":true}],"altnames":["enp2s0","ens2f0np0"],"addr_info":[]},{},
{"ifindex":3,"ifname":"bond7","flags":["BROADCAST","MULTICAST","MASTER","UP","LOWER_UP"],"mtu":9000,"qdisc":"noqueue","operstate":"UP","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:02","broadcast":"ff:ff:ff:ff:ff:ff","linkinfo":{"info_kind":"bond","info_data":{"mode":"active-backup","active_slave":"eno1","miimon":100,"arp_validate":null}},"ifalias":"uplink: rack 3\\4, port 17","addr_info":[{"family":"inet","local":"192.0.2.10","prefixlen":24,"metric":100,"broadcast":"192.0.2.255","scope":"global","dynamic":true,"noprefixroute":true,"label":"bond7","valid_life_time":3597,"preferred_life_time":1797},{"family":"inet","local":"192.0.2.11","prefixlen":24,"scope":"global","secondary":true,"label":"bond7:vip","valid_life_time":4294967295,"preferred_life_time":4294967295},{"family":"inet","local":"10.0.0.1","address":"10.0.0.2","prefixlen":32,"scope":"global","label":"bond7","valid_life_time":4294967295,"preferred_life_time":4294967295},{},{"family":"inet6","local":"2001:db8::10","prefixlen":64,"scope":"global","nodad":true,"deprecated":true,"valid_life_time":4294967295,"preferred_life_time":0}]},
{"ifindex":4,"link":"bond7","ifname":"bond7.99","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":9000,"qdisc":"noqueue","master":"vrf0","operstate":"UP","group":"7","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:02","broadcast":"ff:ff:ff:ff:ff:ff","linkinfo":{"info_kind":"vlan","info_data":{"protocol":"802.1ad","id":99,"flags":["REORDER_HDR"],"ingress_qos":[{"from":1,"to":3}]},"info_slave_kind":"vrf","info_slave_data":{"table":10}},"addr_info":[]},
{"ifindex":5,"link_index":6,"ifname":"v0","flags":["NO-CARRIER","BROADCAST","MULTICAST","UP","M-DOWN"],"mtu":1450,"qdisc":"noqueue","master":"br0","operstate":"LOWERLAYERDOWN","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:05","broadcast":"ff:ff:ff:ff:ff:ff","link_netnsid":3,"linkinfo":{"info_kind":"veth","info_slave_kind":"bridge","info_slave_data":{"state":"disabled","priority":32,"hairpin":false,"id":"0x8001"}},"addr_info":[]},
{"ifindex":7,"ifname":"br0","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"qdisc":"noqueue","operstate":"UP","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:07","broadcast":"ff:ff:ff:ff:ff:ff","linkinfo":{"info_kind":"bridge","info_data":{"forward_delay":1500,"ageing_time":30000,"stp_state":2,"vlan_filtering":1,"bridge_id":"8000.c:0:0:0:0:7","gc_timer":46.37,"vlan_default_pvid":1,"nf_call_iptables":0}},"addr_info":[]},
{"ifindex":8,"link":null,"ifname":"vx","flags":["BROADCAST","MULTICAST","UP","LOWER_UP"],"mtu":1450,"qdisc":"noqueue","operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:08","broadcast":"ff:ff:ff:ff:ff:ff","link_netnsid":-1,"linkinfo":{"info_kind":"vxlan","info_data":{"id":70,"group":"239.1.1.1","local":"192.0.2.10","link":"bond7","port_range":{"low":0,"high":0},"port":4789,"learning":false,"ttl":0,"ageing":300,"udp_csum":true}},"addr_info":[]},
{"ifindex":9,"link":"bond7","ifname":"g0","flags":["POINTOPOINT","NOARP"],"mtu":1476,"qdisc":"noop","operstate":"DOWN","group":"default","txqlen":1000,"link_type":"gre","address":"192.0.2.10","link_pointtopoint":true,"broadcast":"192.0.2.20","linkinfo":{"info_kind":"gre","info_data":{"remote":"192.0.2.20","local":"any","link":"bond7","ttl":0,"ikey":"0.0.0.1","okey":"0.0.0.2","pmtudisc":false}},"addr_info":[]},
{"ifindex":10,"ifname":"t0","flags":["NO-CARRIER","BROADCAST","MULTICAST","UP"],"mtu":1500,"qdisc":"fq_codel","operstate":"DOWN","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:0a","broadcast":"ff:ff:ff:ff:ff:ff","linkinfo":{"info_kind":"tun","info_data":{"type":"tap","pi":false,"vnet_hdr":true,"multi_queue":true,"numqueues":1,"persist":true,"user":"root"}},"addr_info":[]},
{"ifindex":11,"link":"eno1","ifname":"mv","flags":["BROADCAST","MULTICAST"],"mtu":9000,"qdisc":"noop","operstate":"DOWN","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:0b","broadcast":"ff:ff:ff:ff:ff:ff","linkinfo":{"info_kind":"macvlan","info_data":{"mode":"passthru"}},"addr_info":[]},
{"ifindex":12,"ifname":"vrf0","flags":["NOARP","MASTER","UP","LOWER_UP"],"mtu":65575,"qdisc":"noqueue","operstate":"UP","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:0c","broadcast":"ff:ff:ff:ff:ff:ff","linkinfo":{"info_kind":"vrf","info_data":{"table":10}},"addr_info":[]},
{"ifindex":13,"ifname":"ib0","flags":["BROADCAST","MULTICAST"],"mtu":4092,"qdisc":"noop","operstate":"DOWN","group":"default","txqlen":256,"link_type":"infiniband","address":"80:00:02:08:fe:80:00:00:00:00:00:00:00:02:c9:03:00:0a:6f:11","broadcast":"00:ff:ff:ff:ff:12:40:1b:ff:ff:00:00:00:00:00:00:ff:ff:ff:ff","linkinfo":{"info_kind":"ipoib","info_data":{"key":"0xffff","mode":"datagram","umcast":"0000"}},"addr_info":[]},
{"ifindex":14,"ifname":"wg0","flags":["POINTOPOINT","NOARP","UP","LOWER_UP"],"mtu":1420,"qdisc":"noqueue","operstate":"UNKNOWN","group":"default","txqlen":1000,"link_type":"none","linkinfo":{"info_kind":"wireguard"},"addr_info":[]},
{"ifindex":15,"ifname":"q0","flags":["BROADCAST"],"mtu":1500,"qdisc":"noop","operstate":"DOWN","group":"default","txqlen":1000,"link_type":"ether","address":"0c:00:00:00:00:0f","broadcast":"ff:ff:ff:ff:ff:ff","linkinfo":{"info_kind":"quux","info_data":{"speed":9}},"addr_info":[]}]
"#;

#[test]
fn text_and_json_give_the_same_records() {
    let comparable = |mut link: Link| {
        link.other.clear();
        link.addresses.iter_mut().for_each(|address| address.other.clear());
        link.vfs.iter_mut().for_each(|vf| vf.other.clear());
        // Text knows names of namespaces, JSON their ids.
        link.lower_netns = None;
        // JSON has another counter where text prints `missed`.
        if let Some(stats) = &mut link.stats {
            stats.rx.retain(|(name, _)| name != "missed" && name != "overrun");
        }
        // Spans differ, as `At` allows; the bare ones are put aside.
        link.at = Span::default();
        link.addresses.iter_mut().for_each(|address| address.at = Span::default());
        link.vfs.iter_mut().for_each(|vf| vf.at = Span::default());
        link.stats.iter_mut().for_each(|stat| stat.at = Span::default());
        link
    };
    let (text, json) = (clean(TEXT), clean(JSON));
    assert_eq!(text.len(), json.len());
    for (text, json) in text.into_iter().zip(json) {
        assert_eq!(comparable(text), comparable(json));
    }
}

#[test]
fn every_field_is_where_it_belongs() {
    let links = clean(TEXT);
    let eno1 = named(&links, "eno1");
    assert_eq!((eno1.index, eno1.qlen), (Some(IfIndex(2)), Some(1000)));
    assert_eq!(eno1.permanent_mac.unwrap().to_string(), "0c:00:00:00:00:03");
    assert_eq!(eno1.slave_kind.as_ref().unwrap().as_str(), "bond_slave");
    assert_eq!(eno1.slave_state.as_ref().unwrap().as_str(), "ACTIVE");
    assert_eq!(other(eno1, "parentdev"), Some("0000:02:00.0"));
    assert_eq!((other(eno1, "xdp/id:12"), other(eno1, "prog/xdp")), (Some(""), Some("")));
    let stats = eno1.stats.as_ref().unwrap();
    assert_eq!((stats.rx.len(), stats.tx[3].clone()), (6, ("dropped".into(), 1)));
    let vf = &eno1.vfs[0];
    assert_eq!((vf.vf, vf.vlan, vf.mac.unwrap().0[5]), (0, Some(100), 0x10));
    let vf = |key| vf.other.find(key).map(|found| found.value);
    assert_eq!((vf("spoof checking"), vf("rx packets")), (Some("on"), Some("1")));
    assert_eq!((vf("tx rate"), vf("qos")), (Some("200 (Mbps)"), Some("1")));
    assert_eq!(eno1.altnames.len(), 2);

    let bond = named(&links, "bond7");
    assert_eq!(bond.alias.as_ref().unwrap().as_str(), "uplink: rack 3\\4, port 17");
    let [first, vip, peer, v6] = &bond.addresses[..] else { panic!("four addresses") };
    assert_eq!((first.valid_lft, first.preferred_lft), (Some(3597), Some(1797)));
    assert_eq!((&first.label, first.flags.len(), first.other.len()), (&None, 2, 1));
    assert_eq!(
        (vip.label.as_deref(), &vip.flags[..]),
        (Some("bond7:vip"), &["secondary".into()][..])
    );
    assert_eq!((peer.prefix, peer.peer), (32, Some([10, 0, 0, 2].into())));
    assert_eq!((v6.preferred_lft, v6.valid_lft, v6.flags.len()), (Some(0), None, 2));

    let vlan = named(&links, "bond7.99");
    let data = vlan.kind_data.vlan.as_ref().unwrap();
    assert_eq!((data.protocol.as_deref(), *data.id), (Some("802.1ad"), 99));
    assert_eq!(other(vlan, "ingress-qos-map"), Some("{ 1:3 2:5 }"));
    assert_eq!(other(vlan, "table"), Some("10"));

    let v0 = named(&links, "v0");
    assert_eq!(v0.lower.as_ref().unwrap().value, LowerRef::Index(IfIndex(6)));
    assert_eq!(v0.lower_netns.as_ref().unwrap().value, NetnsRef::Name("blue ns".into()));
    let vx = named(&links, "vx");
    assert_eq!(vx.lower.as_ref().unwrap().value, LowerRef::None);
    assert_eq!(vx.lower_netns.as_ref().unwrap().value, NetnsRef::Unknown);
    let tunnel = vx.kind_data.tunnel.as_ref().unwrap();
    assert_eq!((*tunnel.id.unwrap(), *tunnel.dstport.unwrap()), (70, 4789));
    assert_eq!(tunnel.remote.unwrap().to_string(), "239.1.1.1");
    assert_eq!(other(vx, "srcport"), Some("0 0"));
    let gre = named(&links, "g0").kind_data.tunnel.as_ref().unwrap();
    assert_eq!((gre.local, gre.key.as_ref().unwrap().as_str()), (None, "0.0.0.1/0.0.0.2"));
    assert_eq!(named(&links, "g0").address.as_ref().unwrap().as_str(), "192.0.2.10");
    assert_eq!(
        named(&links, "br0").kind_data.bridge.as_ref().unwrap().stp.map(|stp| *stp),
        Some(true)
    );
    assert!(named(&links, "wg0").mac.is_none());
    let quux = named(&links, "q0");
    assert_eq!(quux.kind.as_ref().unwrap().as_str(), "quux");
    assert_eq!((other(quux, "speed"), other(quux, "shiny")), (Some("9"), Some("")));
}

/// Each value's span must show the value.
#[test]
fn spans_show_what_was_read() {
    for text in [TEXT.to_owned(), JSON.to_owned(), coloured(TEXT)] {
        for link in clean(&text) {
            let shown = |span: Span| shown(&text, span);
            assert_eq!(shown(link.name.span), *link.name);
            if let Some(mac) = link.mac {
                assert_eq!(shown(mac.span), mac.to_string());
            }
            if let Some(state) = &link.state {
                assert_eq!(shown(state.span), **state);
            }
            if let Some(id) = link.kind_data.tunnel.as_ref().and_then(|tunnel| tunnel.id) {
                assert_eq!(shown(id.span), id.to_string());
            }
            assert!(shown(link.at).contains(link.name.as_str()));
        }
    }
}

/// Colours as `ip -c` puts them: around names, states and addresses.
fn coloured(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        for (n, word) in line.split(' ').enumerate() {
            if n > 0 {
                out.push(' ');
            }
            let paint = word.contains(':') && !word.starts_with("RX") && !word.starts_with("TX");
            if paint || matches!(word, "UP" | "DOWN") {
                out.extend(["\x1b[36m", word, "\x1b[0m"]);
            } else {
                out.push_str(word);
            }
        }
        out.push('\n');
    }
    out
}

#[test]
fn colours_change_nothing() {
    // `At` compares values, not places.
    let values = |links: &[Link]| {
        let same = |it: &Link| (it.name.clone(), it.mac, it.state.clone(), it.kind_data.clone());
        links.iter().map(same).collect::<Vec<_>>()
    };
    assert_eq!(values(&clean(&coloured(TEXT))), values(&clean(TEXT)));
    let brief = "\x1b[36mlo               \x1b[0mUNKNOWN        \x1b[35m127.0.0.1\x1b[0m/8 \n";
    let links = clean(brief);
    assert_eq!((&**links[0].name, links[0].addresses.len()), ("lo", 1));
    assert_eq!(shown(brief, links[0].name.span), "lo");
}

#[test]
fn joined_lines_are_one_device() {
    let text = "\
2: eth0: <UP> mtu 1500 qdisc mq state UP group default qlen 1000\\    link/ether 0c:00:00:00:00:02 brd ff:ff:ff:ff:ff:ff promiscuity 0 \\    veth \\    alias a\\b\\    RX: bytes packets\\    1 2\\    TX: bytes packets\\    3 4
2: eth0    inet 192.0.2.1/24 brd 192.0.2.255 scope global eth0\\       valid_lft forever preferred_lft forever
2: eth0    inet6 fe80::1/64 scope link \\       valid_lft 5sec preferred_lft 4sec
3: eth0    inet6 fe80::2/64 scope link \\       valid_lft forever preferred_lft forever
";
    let links = clean(text);
    assert_eq!(links.len(), 2, "an index is another device, whatever its name");
    assert_eq!((links[0].addresses.len(), links[1].addresses.len()), (2, 1));
    assert_eq!(links[0].alias.as_ref().unwrap().as_str(), "a\\b");
    assert_eq!(links[0].stats.as_ref().unwrap().tx[1], ("packets".into(), 4));
    assert_eq!(links[0].addresses[1].preferred_lft, Some(4));
}

#[test]
fn brief_columns() {
    let text = "\
lo               UNKNOWN        127.0.0.1/8 ::1/128 
eth0@if3         UP             192.0.2.1/24 metric 100 10.0.0.1 peer 10.0.0.2/32 fe80::1/64 
tap0             DOWN           
eth1             UP             0c:00:00:00:00:02 <BROADCAST,UP> 
sit0@NONE        DOWN           0.0.0.0 <NOARP> 
";
    let links = clean(text);
    assert_eq!(links.len(), 5);
    assert_eq!(links[1].lower.as_ref().unwrap().value, LowerRef::Index(IfIndex(3)));
    assert_eq!((links[1].addresses.len(), links[1].addresses[1].prefix), (3, 32));
    assert!(links[3].has_flag("UP") && links[3].mac.is_some());
    assert_eq!(links[4].address.as_ref().unwrap().as_str(), "0.0.0.0");
}

#[test]
fn headings_name_the_namespace() {
    let text = "\nnetns: blue ns\n1: lo: <LOOPBACK> mtu 65536 qdisc noop state DOWN\n    \
        link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n\nnetns: red\n1: lo: <LOOPBACK> mtu \
        65536 qdisc noop state DOWN\n    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n";
    let json = "netns: blue ns\n[{\"ifindex\":1,\"ifname\":\"lo\",\"mtu\":65536}]\n\n\
        netns: red\n[{\"ifindex\":1,\"ifname\":\"lo\"}]\n";
    for text in [text, json] {
        let netns: Vec<_> = clean(text).into_iter().map(|clean| clean.netns.unwrap()).collect();
        assert_eq!(netns, [Netns::Named("blue ns".into()), Netns::Named("red".into())]);
    }
}

#[test]
fn old_versions_print_less() {
    let text = "\
21: qvo081fc401-04: <BROADCAST,MULTICAST,PROMISC,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP qlen 1000
    link/ether 0c:00:00:00:00:21 brd ff:ff:ff:ff:ff:ff
22: venet0: <BROADCAST,POINTOPOINT,NOARP,UP,LOWER_UP> mtu 1500 qdisc noqueue state UNKNOWN 
    link/void 
    inet 127.0.0.2/32 scope host venet0
23: tun0: <POINTOPOINT> mtu 1500 qdisc noop
    link/[65534] 
24: br0: <> mtu 1500 qdisc noop state DOWN mode DEFAULT 
    link/[1] 0c:00:00:00:00:24 brd ff:ff:ff:ff:ff:ff
    bridge 
   vf 0 MAC 00:00:00:00:00:01, vlan 5, spoof checking off, link-state auto
";
    let links = clean(text);
    assert_eq!(links.len(), 4);
    assert_eq!(links[1].addresses[0].valid_lft, None);
    assert_eq!(links[2].link_type.as_deref(), Some("[65534]"));
    assert_eq!(links[3].vfs[0].vlan, Some(5));
    assert!(links[3].flags.is_empty() && links[3].kind.is_some());
}

#[test]
fn what_is_not_understood_is_a_problem() {
    for (line, bad) in [
        ("2: e: <UP> mtu 15x0", "15x0"),
        ("2: e: mtu 1500", "mtu 1500"),
        ("99999999999: e: <UP> mtu 1500", "99999999999"),
        ("    inet 10.0.0.300/24 scope global lo", "10.0.0.300/24"),
        ("    inet 10.0.0.1/33 scope global lo", "10.0.0.1/33"),
        ("    link/ether 00:00:00:00:00 brd ff:ff:ff:ff:ff:ff", "00:00:00:00:00"),
        ("    inet 10.0.0.1/8 scope", "scope"),
        ("    valid_lft forever preferred_lft forever", "valid_lft forever preferred_lft forever"),
        ("    vlan protocol 802.1Q id 9x <REORDER_HDR>", "9x"),
        ("    here the interface is up", "here the interface is up"),
        ("exit", "exit"),
        ("[root@node ~]# ip a", "[root@node ~]# ip a"),
        ("...", "..."),
        ("    ...", "    ..."),
    ] {
        let text = format!("1: lo: <LOOPBACK> mtu 65536 qdisc noop state DOWN\n{line}\n");
        let out = read_as("ip a", &text);
        assert_eq!((out.lines.unread, out.problems.len()), (1, 1), "{line}");
        assert_eq!(shown(&text, out.problems[0].span), bad, "{line}");
        assert!(matches!(out.completeness, Completeness::Partial(_)), "{line}");
    }
}

#[test]
fn lines_below_a_broken_header_belong_to_nothing() {
    let text = "1: lo: <LOOPBACK> mtu 65536\n2: e: mtu\n    inet 10.0.0.1/8 scope global e\n";
    let out = read_as("ip a", text);
    assert_eq!((out.records.len(), out.lines.unread), (1, 2));
    assert!(out.records[0].addresses.is_empty());
    // And lifetimes of an address that was not understood are not those of the one above.
    let text = "1: lo: <UP> mtu 1\n    inet 10.0.0.1/8 scope host lo\n       valid_lft forever \
        preferred_lft forever\n    inet 10.0.0.x/8 scope host lo\n       valid_lft 5sec \
        preferred_lft 5sec\n";
    let out = read_as("ip a", text);
    assert_eq!(out.records[0].addresses[0].valid_lft, None);
    assert_eq!(out.lines.unread, 2);
}

#[test]
fn lines_that_say_too_little_are_read_with_a_remark() {
    for (line, kind) in [
        ("2: e: <UP> mtu 1500 qdisc noop state DOWN grou", ProblemKind::Truncated),
        ("2: e: <UP> mtu 1500 qdisc", ProblemKind::Truncated),
        ("2: e: <UP> mtu 1500 ... qlen 1000", ProblemKind::Truncated),
        ("    inet localhost/8 scope host lo", ProblemKind::BadValue),
    ] {
        let text = format!("1: lo: <LOOPBACK> mtu 65536 qdisc noop state DOWN\n{line}\n");
        let out = read_as("ip a", &text);
        let kinds: Vec<_> = out.problems.iter().map(|problem| problem.kind).collect();
        assert_eq!((out.lines.unread, kinds), (0, vec![kind]), "{line}");
        assert_eq!(out.completeness.is_complete(), kind == ProblemKind::BadValue, "{line}");
    }
}

#[test]
fn nothing_is_never_there_is_none() {
    for text in
        ["", "\n\n", "Device \"x\" does not exist.\n", "bash: ip: command not found\n", "prose\n"]
    {
        assert!(read_as("ip a", text).completeness.is_failed(), "{text:?}");
    }
    // A filter may leave nothing.
    let partial = read_as("ip link show type vxlan", "");
    assert!(matches!(partial.completeness, Completeness::Partial(_)));
    assert!(
        read_as("ip link show dev x", "Device \"x\" does not exist.\n").completeness.is_failed()
    );
    let cut = read_as("ip a", &format!("Message truncated\n{TEXT}"));
    assert!(matches!(cut.completeness, Completeness::Partial(_)));
    assert_eq!((cut.records.len(), cut.lines.unread), (clean(TEXT).len(), 0));
}

#[test]
fn broken_json_gives_what_is_whole() {
    let (half, _) = JSON.split_once("\"bond7.99\"").unwrap();
    let out = read_as("ip -j a", half);
    assert_eq!((out.records.len(), out.problems.len()), (3, 1));
    assert!(matches!(out.completeness, Completeness::Partial(_)));
    let out = read_as("ip -j a", &JSON.replace("\"mtu\":4092", "\"mtu\":\"big\""));
    assert_eq!((out.records.len(), out.problems.len()), (clean(JSON).len() - 1, 1));
    assert!(out.problems[0].message.contains("mtu"));
    assert!(read_as("ip -j a", "[]\n").records.is_empty());
}

#[test]
fn content_is_recognised() {
    let cases = [
        (TEXT.to_owned(), "ip-address"),
        (JSON.to_owned(), "ip-address"),
        (coloured(TEXT), "ip-address"),
        (
            "2: e    inet6 fe80::2/64 scope link \\       valid_lft forever\n".to_owned(),
            "ip-address",
        ),
        ("lo      UNKNOWN    127.0.0.1/8 ::1/128 \ne  DOWN \n".to_owned(), "ip-address"),
        ("lo      UNKNOWN    00:00:00:00:00:00 <LOOPBACK> \n".to_owned(), "ip-link"),
        (
            TEXT.lines().filter(|line| !line.contains("inet")).collect::<Vec<_>>().join("\n"),
            "ip-link",
        ),
        ("[{\"ifindex\":1,\"ifname\":\"lo\",\"operstate\":\"UP\"}]".to_owned(), "ip-link"),
    ];
    for (text, id) in cases {
        let format = crate::registry::by_content(&text).map(|content| content.id.0);
        assert_eq!(format, Some(id), "{text}");
    }
    for text in [
        "17: v@if18: <UP> mtu 1500 master br0 state forwarding priority 32 cost 2 \n",
        "[{\"ifindex\":1,\"ifname\":\"lo\",\"state\":\"forwarding\"}]",
        "default via 192.0.2.1 dev eth0\n",
        "1. list: item\n",
        "",
    ] {
        assert_eq!((sniff::address(text), sniff::link(text)), (0, 0), "{text}");
    }
}

/// The account holds, and every place lies within the text.
fn sound(text: &str) {
    for command in ["ip a", "ip -d -s link"] {
        let mut out = read_as(command, text);
        let lines = out.lines;
        assert_eq!(lines.total, lines.read + lines.ignored + lines.unread);
        let inside = |span: Span| {
            assert!(span.start <= span.end && text.get(span.range()).is_some(), "{span:?}");
        };
        out.problems.iter().for_each(|problem| inside(problem.span));
        for link in &mut out.records {
            ansi::each_span(link, |span| inside(*span));
        }
        let _ = (sniff::address(text), sniff::link(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_text_is_survived(text in "\\PC*") {
        sound(&text);
    }

    /// Cuts, copies and foreign characters in real forms.
    #[test]
    fn mutated_output_is_survived(
        form in 0..3_usize,
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..9_usize, any::<char>()), 1..12),
    ) {
        let mut text: Vec<char> = match form {
            0 => TEXT.to_owned(),
            1 => JSON.to_owned(),
            _ => coloured(TEXT),
        }.chars().collect();
        for (at, what, foreign) in edits {
            if text.is_empty() {
                break;
            }
            let at = at.index(text.len());
            match what {
                0 => drop(text.remove(at)),
                1 => text[at] = foreign,
                2 => text.insert(at, '\n'),
                3 => text.insert(at, ' '),
                4 => text.truncate(at),
                5 => text.insert(at, '\u{1b}'),
                6 => text.insert(at, '\\'),
                7 => text.insert(at, '@'),
                _ => {
                    let end = (at + 40).min(text.len());
                    drop(text.drain(at..end));
                }
            }
        }
        sound(&text.into_iter().collect::<String>());
    }
}

#[test]
fn a_last_device_without_the_details_of_all_others_was_cut_off() {
    let device = |number: u32, details: &str| {
        format!(
            "{number}: e{number}: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen \
             1000\n    link/ether 0c:00:00:00:00:0{number} brd ff:ff:ff:ff:ff:ff promiscuity 0 {details}\n"
        )
    };
    let whole = "numtxqueues 1 numrxqueues 1 gso_max_size 65536 gso_max_segs 65535 ";
    for (last, complete) in [
        (whole, true),
        ("numtxqueues 1 numrxqueues 1 gso_max_size 65536", false),
        ("minmtu 68 maxmtu 9000", false),
    ] {
        let text = device(1, whole) + &device(2, whole) + &device(3, last);
        let out = parse(&text, &Command::new("ip -d address"));
        assert_eq!(out.completeness.is_complete(), complete, "{last}");
        assert_eq!(out.records.len(), 3);
    }
    // Not all devices have to say it where the tool does not.
    let text = device(1, "") + &device(2, whole) + &device(3, "");
    assert!(parse(&text, &Command::new("ip -d address")).completeness.is_complete());
}
