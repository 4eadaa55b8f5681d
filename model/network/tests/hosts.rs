//! Texts and what they prove of whole hosts: what they run, what was captured of them, and what a
//! person says of them.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{link, neutron, session, with_network, with_said, with_sessions};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::environment::{Environment, Glob, Profile};
use tapline_network::router::{Duty, Router};
use tapline_network::{defs, texts};

const HOST: HostId = HostId(0);

const LO: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000\n    \
     link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0\n";

/// A host with one NIC, and what was asked after it.
fn host(rest: &str) -> String {
    session(&[LO.to_owned(), link(2, "eno1", "", "")], rest)
}

#[test]
fn signs_of_ovs_are_told_from_hints() {
    let netns = |name: &str| format!("ip netns\n{name}\n");
    let port = link(3, "tapa", "master ovs-system", common::TAP);
    let master = session(&[LO.to_owned(), link(2, "eno1", "", ""), port], "");
    let failed = |reason: &str| format!("ovs-vsctl show\n{reason}\n");
    // (text, whether it runs OVS, whether its database is missed)
    for (text, runs, missed) in [
        (host(""), Some(false), false),
        (host(&netns("blue")), Some(false), false),
        (host(&netns("qrouter-00000000-0000-4000-8000-000000000001")), Some(false), true),
        (host(&netns("qdhcp-00000000-0000-4000-8000-000000000001")), Some(false), true),
        (host(&netns("ovnmeta-00000000-0000-4000-8000-000000000001")), Some(false), true),
        (host(&failed("-bash: ovs-vsctl: command not found")), Some(false), false),
        (
            host(&failed(
                "ovs-vsctl: unix:/var/run/openvswitch/db.sock: database connection failed (Permission denied)",
            )),
            Some(false),
            true,
        ),
        (master, Some(true), true),
        (neutron(true), Some(true), false),
    ] {
        with_network(&text, |network| {
            assert_eq!(network.runs_ovs(HOST), runs, "{text}");
            assert_eq!(network.hosts_without_ovs_capture().contains(&HOST), missed, "{text}");
        });
    }
}

#[test]
fn namespaces_are_entered_by_commands_that_work() {
    let inside = "ip netns exec blue ip route\ndefault via 10.0.0.1 dev eth0 \n";
    let refused = "ip netns exec blue ip route\nsetting the network namespace \"blue\" failed: Invalid argument\n";
    for (rest, entered) in [(inside, true), (refused, false), ("ip netns\nblue\n", false)] {
        with_network(&host(rest), |network| {
            assert_eq!(network.was_entered(HOST, &Netns::Named("blue".into())), entered, "{rest}");
            assert!(!network.was_entered(HOST, &Netns::Named("red".into())));
        });
    }
}

#[test]
fn counters_of_ports_are_read_from_their_rows() {
    let rows = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port eno1
            Interface eno1
    ovs_version: \"2.17.0\"
root@h1:~# ovs-vsctl list Interface
_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001
name                : eno1
statistics          : {collisions=0, rx_bytes=9000, rx_crc_err=3, rx_packets=120, tx_packets=45}
status              : {driver_name=ixgbe, rx_packets=\"7\"}
";
    with_network(&host(rows), |network| {
        let node = network.topology.find_netdev(HOST, &Netns::Root, "eno1").unwrap();
        let device = network.netdev(node).unwrap();
        let counts = network.nics().counts(&device);
        assert_eq!(tapline_network::nics::Nics::packets(&counts, "rx"), Some(120));
        assert_eq!(tapline_network::nics::Nics::packets(&counts, "tx"), Some(45));
    });
}

#[test]
fn routers_of_a_pair_serve_where_their_address_is() {
    let duty = |addresses: &str, complete: bool| {
        let netns = "qrouter-00000000-0000-4000-8000-000000000001";
        let devices = LO.to_owned()
            + &link(2, "ha-0a0b0c0d-0e", "", addresses)
            + &link(3, "qr-0a0b0c0d-0f", "", "");
        let command = if complete { "ip address" } else { "ip link" };
        let text = host(&format!("ip netns exec {netns} {command}\n{devices}"));
        with_network(&text, |network| {
            let routers = Router::all(network);
            assert_eq!(routers.len(), 1);
            match routers.first().unwrap().duty(network) {
                Duty::Serves => "serves",
                Duty::Waits => "waits",
                Duty::Unknown(_) => "unknown",
            }
        })
    };
    let own = "    inet 169.254.192.7/18 brd 169.254.255.255 scope global ha-0a0b0c0d-0e\n";
    let primary = "    inet 169.254.0.22/24 scope global ha-0a0b0c0d-0e\n";
    let other = "    inet 169.254.1.22/24 scope global ha-0a0b0c0d-0e\n";
    assert_eq!(duty(own, true), "waits");
    assert_eq!(duty(&format!("{own}{primary}"), true), "serves");
    assert_eq!(duty(&format!("{own}{other}"), true), "waits");
    assert_eq!(duty("", false), "unknown");
}

#[test]
fn hosts_that_a_person_says_are_one() {
    let other = host("").replace("@h1", "@h2").replace("52:54:00:00:01", "52:54:00:00:02");
    let names = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (groups, one) in [
        (vec![], false),
        (vec![names(&["h1", "h2"])], true),
        (vec![names(&["h1", "h3"]), names(&["h2", "h4"])], false),
        (vec![names(&["h1"])], false),
    ] {
        let environment = Environment { same_host: groups.clone(), ..Environment::default() };
        with_said(&[&host(""), &other], None, &environment, |network| {
            assert_eq!(network.hosts().count(), 2);
            assert_eq!(network.said_to_be_one(HostId(0), HostId(1)), one, "{groups:?}");
            assert_eq!(network.same_machine(HostId(0), HostId(1)), one, "{groups:?}");
        });
    }
    with_sessions(&[&host(""), &other], |network| {
        assert!(network.are_comparable(HostId(0), HostId(1)));
    });
}

#[test]
fn a_profile_says_whether_the_agent_works() {
    let said = |profile| {
        with_said(&[&neutron(true)], profile, &Environment::default(), |network| {
            (defs::is_ml2_ovs(network, HOST), defs::has_agent_patches(network, HOST))
        })
    };
    assert_eq!(said(None), (true, true));
    assert_eq!(said(Some(Profile::OpenstackOvs)), (true, true));
    for other in [Profile::OpenstackOvn, Profile::Libvirt, Profile::K8s, Profile::Generic] {
        assert_eq!(said(Some(other)), (false, false), "{other:?}");
    }
    // Without an integration bridge there is none.
    with_said(&[&host("")], Some(Profile::OpenstackOvs), &Environment::default(), |network| {
        assert!(!defs::is_ml2_ovs(network, HOST));
    });
}

#[test]
fn bridges_are_expected_by_name_and_hosts_by_pattern() {
    let environment =
        Environment { expected_bridges: vec!["br-ex".to_owned()], ..Environment::default() };
    with_said(&[&host("")], None, &environment, |network| {
        assert!(defs::is_expected(network, "br-ex"));
        assert!(!defs::is_expected(network, "br-tun"));
    });
    let glob = Glob::new("cmp-{a,b}*").unwrap();
    assert!(glob.matches("cmp-a1") && glob.matches("cmp-b"));
    assert!(!glob.matches("cmp-c1") && !glob.matches("xcmp-a1"));
    assert_eq!(glob.pattern(), "cmp-{a,b}*");
}

#[test]
fn routes_lead_to_a_link_where_they_have_no_gateway() {
    let routes = "192.0.2.0/24 dev eno1 proto kernel scope link src 192.0.2.1\n\
                  198.51.100.0/24 via 192.0.2.9 dev eno1\n\
                  unreachable 203.0.113.0/24 dev lo\n";
    with_network(&host(&format!("ip route show table all\n{routes}")), |network| {
        let leads = |device: &str, to: &str| {
            let mut tables = network.route_tables();
            tables.any(|table| network.has_link_route(table.id, device, to.parse().unwrap()))
        };
        assert!(leads("eno1", "192.0.2.9"));
        assert!(!leads("eno2", "192.0.2.9"), "by another device");
        assert!(!leads("eno1", "198.51.100.9"), "by a gateway");
        assert!(!leads("lo", "203.0.113.9"), "refused");
    });
}

#[test]
fn all_settings_are_those_of_a_whole_listing_of_the_host() {
    let lines = "net.ipv4.ip_forward = 1\nnet.ipv4.conf.all.rp_filter = 0\n";
    for (rest, count) in [
        (format!("sysctl -a\n{lines}"), Some(2)),
        (format!("sysctl --all\n{lines}"), Some(2)),
        (format!("sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter\n{lines}"), None),
        (format!("ip netns\nblue\nroot@h1:~# ip netns exec blue sysctl -a\n{lines}"), None),
        (format!("sysctl -a | head -2\n{lines}"), None),
        ("sysctl -a\n".to_owned(), None),
    ] {
        with_network(&host(&rest), |network| {
            let all = texts::all_settings(network, HOST);
            assert_eq!(all.map(|(_, count)| count), count, "{rest}");
            assert_eq!(texts::all_settings(network, HostId(1)), None);
        });
    }
}
