//! Texts and what they prove of the software that set up the bridges of a host.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use std::fmt::Write as _;

use common::{link, session, with_network};
use tapline_core::capture::HostId;
use tapline_network::{Network, defs, uplink};

/// A host whose integration bridge has these ports: name, type, and peer of a patch.
fn integration(ports: &[(&str, &str)], others: &[(&str, &str)]) -> String {
    let mut show = "ovs-vsctl show\n5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001\n".to_owned();
    for (bridge, ports) in [("br-int", ports), ("br-ex", others)] {
        writeln!(show, "    Bridge {bridge}").unwrap();
        for (name, kind) in ports {
            writeln!(show, "        Port {name}\n            Interface {name}").unwrap();
            if !kind.is_empty() {
                writeln!(show, "                type: {kind}").unwrap();
            }
        }
    }
    show += "    ovs_version: \"2.17.0\"\nroot@h1:~# ";
    session(&[link(2, "eno1", "", "")], &show)
}

fn tells(network: &Network<'_>) -> (bool, bool, bool) {
    let host = HostId(0);
    (
        defs::is_ml2_ovs(network, host),
        defs::has_agent_patches(network, host),
        defs::is_ovn(network, host),
    )
}

#[test]
fn ports_of_the_integration_bridge_show_who_works_there() {
    let tap = ("tap0badc0de-01", "");
    // (ports of br-int, ports of br-ex, whether neutron's agent works, made its patches, OVN works)
    for (ports, others, told) in [
        (&[][..], &[][..], (false, false, false)),
        (&[("eno2", "")], &[], (false, false, false)),
        (&[tap], &[], (true, false, false)),
        (&[("patch-tun", "patch")], &[], (true, true, false)),
        (&[tap, ("int-br-ex", "patch")], &[], (true, true, false)),
        // Releases of old joined the bridges by a pair of veths.
        (&[("int-br-ex", "")], &[("phy-br-ex", "")], (true, true, false)),
        (&[("int-br-ex", "")], &[("phy-br-other", "")], (true, false, false)),
        (&[("int-br-ex", "internal")], &[("phy-br-ex", "")], (true, false, false)),
        (&[("patch-tun", "")], &[], (true, false, false)),
        (&[("patch-other", "patch")], &[], (false, false, false)),
        // Patches elsewhere are somebody's else.
        (&[], &[("patch-tun", "patch"), tap], (false, false, false)),
        (&[("ovn-0a1b2c-0", "geneve")], &[], (false, false, true)),
        (&[tap, ("ovn-0a1b2c-0", "geneve"), ("patch-tun", "patch")], &[], (false, false, true)),
        (&[("patch-br-int-to-provnet-1", "patch")], &[], (false, false, true)),
        (
            &[tap, ("patch-br-int-to-provnet-1", "patch"), ("patch-tun", "patch")],
            &[],
            (false, false, true),
        ),
        (&[("ovn-k8s-mp0", "internal")], &[], (false, false, false)),
        (&[], &[("ovn-0a1b2c-0", "geneve")], (false, false, false)),
    ] {
        with_network(&integration(ports, others), |network| {
            assert_eq!(tells(network), told, "{ports:?} {others:?}");
        });
    }
}

#[test]
fn versions_of_ovs_are_compared_by_number() {
    let ports = [("eno2", "")];
    for (version, recent) in
        [("1.11.0", false), ("2.4.9", false), ("2.5.0", true), ("2.17.9", true), ("3.0.1", true)]
    {
        let text = integration(&ports, &[]).replace("2.17.0", version);
        let found = with_network(&text, |network| defs::recent_ovs(network).contains(&HostId(0)));
        assert_eq!(found, recent, "{version}");
    }
}

#[test]
fn kernel_tells_what_ports_of_the_datapath_belong_to() {
    let show = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br-int
        Port br-int
            Interface br-int
                type: internal
        Port tap1
            Interface tap1
        Port tap2
            Interface tap2
        Port tap3
            Interface tap3
        Port tap4
            Interface tap4
                error: \"could not open network device tap4 (No such device)\"
        Port qr1
            Interface qr1
                type: internal
    Bridge br-user
        datapath_type: netdev
        Port tap5
            Interface tap5
    ovs_version: \"2.17.0\"
root@h1:~# ";
    let links = [
        link(2, "br-int", "", ""),
        link(3, "tap1", "master ovs-system", common::TAP),
        link(4, "tap2", "master br0", common::TAP),
        link(5, "tap3", "", common::TAP),
        link(6, "tap4", "", common::TAP),
        link(7, "tap5", "", common::TAP),
        link(8, "qr1", "", ""),
        link(9, "ovs-system", "", ""),
        link(10, "br0", "", common::BRIDGE),
    ];
    with_network(&session(&links, show), |network| {
        let ports: Vec<_> = defs::kernel_ports(network, HostId(0))
            .iter()
            .map(|port| format!("{} {:?}", port.interface.name(), port.attached))
            .collect();
        assert_eq!(ports, ["tap1 Datapath", "tap2 Other(\"br0\")", "tap3 Nothing"]);
    });
}

#[test]
fn bridges_of_hybrid_ports_have_a_tap() {
    let qbr = |index: u32, name: &str| link(index, name, "", common::BRIDGE);
    let links = [
        qbr(2, "qbr1"),
        link(3, "tap1", "master qbr1", common::TAP),
        qbr(4, "qbr2"),
        link(5, "qvb2", "master qbr2", common::VETH),
        qbr(6, "br3"),
        link(7, "tap3", "master br3", common::TAP),
        link(8, "qbr4", "", common::TAP),
    ];
    with_network(&session(&links, ""), |network| {
        let all = defs::hybrid_bridges(network, HostId(0));
        assert_eq!(all.iter().map(tapline_network::Item::name).collect::<Vec<_>>(), ["qbr1"]);
    });
}

#[test]
fn names_tell_what_software_makes_for_itself() {
    for (name, own) in [
        ("docker0", true),
        ("virbr0", true),
        ("br-0123456789ab", true),
        ("cni0", true),
        ("br-ex", false),
        ("br0", false),
        ("cni01", false),
    ] {
        assert_eq!(defs::is_infra_bridge(name), own, "{name}");
    }
}

#[test]
fn commands_are_run_where_they_would_tell() {
    let blue = tapline_core::ids::Netns::Named("blue".into());
    let root = tapline_core::ids::Netns::Root;
    let (four, six) = ("192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap());
    assert_eq!(defs::inside(&root, "ip address"), "ip address");
    assert_eq!(defs::inside(&blue, "ip address"), "ip netns exec blue ip address");
    assert_eq!(defs::ask_neighbour(&root, "eth0", four), "arping -c 3 -I eth0 192.0.2.1");
    assert_eq!(
        defs::ask_neighbour(&blue, "eth0", six),
        "ip netns exec blue ping -6 -c 3 -I eth0 2001:db8::1"
    );
}

#[test]
fn providers_are_joined_by_patches_of_the_agent() {
    let providers = |text: &str| {
        with_network(text, |network| {
            let all = uplink::providers(network, HostId(0));
            all.iter()
                .map(|one| {
                    let uplinks: Vec<_> =
                        one.uplinks.iter().map(tapline_network::Item::name).collect();
                    format!("{} by {}: {}", one.bridge.name(), one.patch.name(), uplinks.join(" "))
                })
                .collect::<Vec<_>>()
        })
    };
    let text = common::neutron(true);
    assert_eq!(providers(&text), ["br-ex by int-br-ex: eno2"]);
    let of_ovn = text.replace("int-br-ex", "patch-br-int-to-provnet");
    assert_eq!(providers(&of_ovn), ["br-ex by patch-br-int-to-provnet: eno2"]);
    // A patch of somebody else.
    assert!(providers(&text.replace("int-br-ex", "to-ex")).is_empty());
}
