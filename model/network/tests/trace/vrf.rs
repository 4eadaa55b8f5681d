//! Packets of VRFs.
use super::common::link;
use super::{FILTER, LO, RULES, ask};

/// A host with `eth0`, and with `eth1` in the VRF `red`; what arrives by which device at a port of
/// TCP of which address.
fn arrives_in_vrf(more: &str, by: &str, to: &str) -> Vec<String> {
    arrives_with(by, to, more, str::to_owned)
}

/// A listing without details names the master of a device, and not what it is.
#[test]
fn masters_of_no_known_kind_leave_it_open() {
    let plain = |text: &str| {
        text.replace("ip -d address", "ip address")
            .replace("    vrf table 10\n", "")
            .replace("    vrf_slave table 10\n", "")
            .replace(" promiscuity 0", "")
    };
    let way = arrives_with("eth1", "198.51.100.7", "", plain);
    assert!(way[0].starts_with("unknown"), "{way:#?}");
}

/// The same where the session is changed.
fn arrives_with(by: &str, to: &str, more: &str, change: impl Fn(&str) -> String) -> Vec<String> {
    let address = |ip: &str, dev: &str| {
        format!(
            "    inet {ip}/24 scope global {dev}\n       valid_lft forever preferred_lft forever\n"
        )
    };
    let links = [
        LO.to_owned(),
        link(2, "eth0", "", &address("192.0.2.7", "eth0")),
        link(3, "red", "", "    vrf table 10\n").replace("BROADCAST,MULTICAST", "NOARP,MASTER"),
        link(4, "eth1", "master red", "    vrf_slave table 10\n")
            + &address("198.51.100.7", "eth1"),
    ];
    let text = format!(
        "root@h1:~# ip -d address\n{}root@h1:~# ip route show table all\n\
         192.0.2.0/24 dev eth0 proto kernel scope link src 192.0.2.7 \n\
         198.51.100.0/24 dev eth1 table 10 proto kernel scope link src 198.51.100.7 \n\
         root@h1:~# ip rule\n0:\tfrom all lookup local\n1000:\tfrom all lookup [l3mdev-table]\n{}\
         root@h1:~# iptables-save\n{FILTER}root@h1:~# sysctl -a\nnet.ipv4.conf.all.rp_filter = 0\n\
         net.ipv4.conf.eth0.rp_filter = 0\nnet.ipv4.conf.eth1.rp_filter = 0\n\
         net.ipv4.ip_forward = 0\n{more}root@h1:~# \n",
        links.concat(),
        RULES.replace("0:\tfrom all lookup local\n", ""),
    );
    let mac = if by == "eth1" { "52:54:00:00:01:04" } else { "52:54:00:00:01:02" };
    ask(&change(&text), &format!("if:{by}"), &format!("ip:{to}"), |question| {
        let source = if by == "eth1" { "198.51.100.9" } else { "192.0.2.9" };
        let frame = format!("tcp,dl_dst={mac},nw_src={source},nw_dst={to},tp_dst=22");
        question.packet = Some(frame);
    })
}

#[test]
fn addresses_and_services_of_a_vrf_are_its_own() {
    let listens = |at: &str| {
        format!(
            "root@h1:~# ss -lntu\nNetid State Recv-Q Send-Q Local Address:Port Peer Address:Port\n\
             tcp LISTEN 0 128 {at}:22 0.0.0.0:*\n"
        )
    };
    let accept = |value: u8| format!("net.ipv4.tcp_l3mdev_accept = {value}\n");
    let (any, bound) = (listens("0.0.0.0"), listens("0.0.0.0%red"));
    for (more, by, to, expected) in [
        (any.clone(), "eth0", "192.0.2.7", "yes: delivered"),
        // The address of a member is no address of the host for what comes in elsewhere.
        (any.clone(), "eth0", "198.51.100.7", "no:"),
        // A service outside of VRFs hears what comes in through one only where that is allowed.
        (accept(1) + &any, "eth1", "198.51.100.7", "yes: delivered"),
        (accept(0) + &any, "eth1", "198.51.100.7", "no: rejected no-listener"),
        (bound.clone(), "eth1", "198.51.100.7", "yes: delivered"),
        (bound, "eth0", "192.0.2.7", "no: rejected no-listener"),
        (listens("0.0.0.0%eth0"), "eth1", "198.51.100.7", "no: rejected no-listener"),
    ] {
        let way = arrives_in_vrf(&more, by, to);
        assert!(way[0].starts_with(expected), "{more} {by} {to}: {way:#?}");
    }
    let open = arrives_in_vrf(&any, "eth1", "198.51.100.7");
    assert!(open[0].starts_with("unknown"), "{open:#?}");
    let next = "next sysctl net.ipv4.tcp_l3mdev_accept";
    assert!(open.iter().any(|line| line == next), "{open:#?}");
}

#[test]
fn the_way_back_is_looked_for_in_the_table_of_the_vrf() {
    let listens = "net.ipv4.tcp_l3mdev_accept = 1\nroot@h1:~# ss -lntu\n\
                   Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\n\
                   tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n";
    for (by, to) in [("eth1", "198.51.100.7"), ("eth0", "192.0.2.7")] {
        let way =
            arrives_with(by, to, listens, |text| text.replace("rp_filter = 0", "rp_filter = 1"));
        assert!(way[0].starts_with("yes: delivered"), "{by}: {way:#?}");
    }
}

#[test]
fn what_belongs_to_a_vrf_comes_in_by_it() {
    let listens = "net.ipv4.tcp_l3mdev_accept = 1\nroot@h1:~# ss -lntu\n\
                   Netid State Recv-Q Send-Q Local Address:Port Peer Address:Port\n\
                   tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\n";
    for (by, to, named, expected) in [
        ("eth1", "198.51.100.7", "red", "no: dropped"),
        ("eth1", "198.51.100.7", "eth1", "yes: delivered"),
        ("eth1", "198.51.100.7", "eth0", "yes: delivered"),
        ("eth0", "192.0.2.7", "eth0", "no: dropped"),
        ("eth0", "192.0.2.7", "red", "yes: delivered"),
    ] {
        let rule = format!("-A INPUT -i {named} -p tcp -j DROP\nCOMMIT");
        let way = arrives_with(by, to, listens, |text| text.replace("COMMIT", &rule));
        assert!(way[0].starts_with(expected), "{by} {named}: {way:#?}");
    }
}
