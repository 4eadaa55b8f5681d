//! What is told of NICs beside their place in the network: counters, drivers, times, names.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{link, session, with_network};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::nics::{self, Nics};
use tapline_network::{Item, Network};
use tapline_topology::graph::Netdev;

const HOST: HostId = HostId(0);

/// A host with `eno1` and `eno2`; `more` stands with `eno1`.
fn host(more: &str, rest: &str) -> String {
    session(&[link(2, "eno1", "", more), link(3, "eno2", "", "")], rest)
}

fn device<'a>(network: &Network<'a>, name: &str) -> Item<'a, Netdev<'a>> {
    network.netdev_called(HOST, &Netns::Root, name).unwrap()
}

#[test]
fn how_long_the_host_is_up_is_told_in_hours_then_in_days() {
    for (uptime, seconds, told) in [
        ("up 5 min", Some(300), " in 1 hours"),
        ("up  2:00", Some(7200), " in 2 hours"),
        ("up 1 day, 23:59", Some(172_740), " in 48 hours"),
        ("up 2 days,  0:00", Some(172_800), " in 2 days"),
        ("up 9 days, 23:00", Some(860_400), " in 9 days"),
    ] {
        let line = format!(" 12:00:00 {uptime},  1 user,  load average: 0.00, 0.01, 0.05\n");
        with_network(&host("", &format!("uptime\n{line}")), |network| {
            let nics = network.nics();
            assert_eq!(nics.uptime(HOST), seconds, "{uptime}");
            assert_eq!(nics.since(HOST), told, "{uptime}");
            assert!(nics.uptime_line(HOST).is_some());
            assert!(nics.uptime(HostId(1)).is_none());
        });
    }
    with_network(&host("", ""), |network| {
        assert_eq!(network.nics().since(HOST), " since the start");
    });
}

#[test]
fn outputs_without_a_name_are_of_the_device_that_was_asked_for() {
    let driver = |name: &str| {
        format!(
            "driver: {name}\nversion: 1.0.0\nfirmware-version: \nexpansion-rom-version: \n\
             bus-info: 0000:00:03.0\nsupports-statistics: yes\nsupports-test: no\n\
             supports-eeprom-access: no\nsupports-register-dump: no\nsupports-priv-flags: no\n"
        )
    };
    let counters =
        "NIC statistics:\n     rx_packets: 120\n     tx_packets: 45\n     RX_Errors: 3\n";
    let rest = format!(
        "ethtool -i eno1\n{}root@h1:~# ethtool -i eno2\n{}root@h1:~# ethtool -S eno2\n{counters}",
        driver("virtio_net"),
        driver("ixgbe")
    );
    with_network(&host("", &rest), |network| {
        let nics = network.nics();
        let driver = |name: &str| {
            let texts = nics.of(device(network, name).id)?;
            Some(texts.driver?.record.driver.value.to_string())
        };
        assert_eq!(driver("eno1").as_deref(), Some("virtio_net"));
        assert_eq!(driver("eno2").as_deref(), Some("ixgbe"));
        assert!(nics::is_virtio(nics, &device(network, "eno1")));
        assert!(!nics::is_virtio(nics, &device(network, "eno2")));
        assert!(nics.counts(&device(network, "eno1")).is_empty());
        let counts = nics.counts(&device(network, "eno2"));
        assert_eq!(counts.len(), 1);
        assert_eq!(Nics::packets(&counts, "rx"), Some(120));
        assert_eq!(Nics::packets(&counts, "tx"), Some(45));
        // Drivers write names as they like.
        let errors = counts.iter().flat_map(|all| all.called(&["rx_errors"]));
        assert_eq!(errors.map(|count| count.value).collect::<Vec<_>>(), [3]);
    });
}

#[test]
fn buses_show_virtio_where_the_driver_was_not_asked_for() {
    for (bus, told) in [("virtio", true), ("pci", false)] {
        let more = format!("    numtxqueues 1 numrxqueues 1 parentbus {bus} parentdev a\n");
        with_network(&host(&more, ""), |network| {
            let nics = network.nics();
            assert_eq!(nics::is_virtio(nics, &device(network, "eno1")), told, "{bus}");
            assert!(!nics::is_virtio(nics, &device(network, "eno2")));
        });
    }
}

#[test]
fn counters_of_the_kernel_are_named_like_those_of_drivers() {
    let counters = "    RX:  bytes packets errors dropped  missed   mcast\n          \
                    9000     120      1       2       0       7\n    \
                    TX:  bytes packets errors dropped carrier collsns\n          \
                    4000      45      0       5       0       0\n";
    let text = host("", &format!("ip -s link\n{}{counters}", link(2, "eno1", "", "")));
    with_network(&text, |network| {
        let counts = network.nics().counts(&device(network, "eno1"));
        assert_eq!(counts.len(), 1);
        let value = |name: &str| -> Vec<u64> {
            let names = [name];
            let called = counts.iter().flat_map(|all| all.called(&names));
            called.map(|count| count.value).collect()
        };
        assert_eq!(value("rx_packets"), [120]);
        assert_eq!(value("rx_dropped"), [2]);
        assert_eq!(value("tx_dropped"), [5]);
        assert_eq!(value("tx_packets"), [45]);
        assert_eq!(value("dropped"), [0_u64; 0]);
    });
}

#[test]
fn modes_of_bonds_have_one_name_each() {
    for (words, told) in [
        ("load balancing (round-robin)", "balance-rr"),
        ("fault-tolerance (active-backup)", "active-backup"),
        ("load balancing (xor)", "balance-xor"),
        ("fault-tolerance (broadcast)", "broadcast"),
        ("IEEE 802.3ad Dynamic link aggregation", "802.3ad"),
        ("transmit load balancing", "balance-tlb"),
        ("adaptive load balancing", "balance-alb"),
    ] {
        let file = format!(
            "cat /proc/net/bonding/bond0\nEthernet Channel Bonding Driver: v5.15.0\n\n\
             Bonding Mode: {words}\nMII Status: up\nMII Polling Interval (ms): 100\n\n\
             Slave Interface: eno1\nMII Status: up\n"
        );
        let devices = [
            link(2, "eno1", "master bond0", ""),
            link(4, "bond0", "", "    bond mode balance-rr miimon 100\n"),
        ];
        with_network(&session(&devices, &file), |network| {
            let nics = network.nics();
            let bond = device(network, "bond0");
            assert_eq!(nics.bond_mode(&bond).unwrap().value, told);
            assert!(nics.bond(bond.id).is_some());
            let member = nics.of(device(network, "eno1").id).unwrap();
            assert_eq!(member.slave.unwrap().record.name.value, "eno1");
        });
        // Without the file, `ip -d` tells.
        with_network(&session(&devices, ""), |network| {
            let mode = network.nics().bond_mode(&device(network, "bond0")).unwrap();
            assert_eq!(mode.value, "balance-rr");
        });
    }
}

#[test]
fn nics_serve_where_something_uses_them() {
    let address = "    inet 192.0.2.1/24 scope global eno1\n";
    let local = "    inet6 fe80::1/64 scope link\n";
    for (more, master, told) in [
        ("", "", false),
        (address, "", true),
        (local, "", false),
        ("    openvswitch_slave\n", "master ovs-system", true),
        ("", "master br0", true),
    ] {
        let devices = [link(2, "eno1", master, more), link(3, "br0", "", common::BRIDGE)];
        with_network(&session(&devices, ""), |network| {
            assert_eq!(nics::serves(network, &device(network, "eno1")), told, "{more}{master}");
        });
    }
}
