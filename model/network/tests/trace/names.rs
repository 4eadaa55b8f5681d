//! What the ends of questions are called, and what they stand for.
use tapline_network::Network;
use tapline_network::trace::{Goal, Start, Target, Tracer};

use super::common::{neutron, port, with_network};
use super::two_on_a_bridge;

/// What a start stands for, in words.
fn start(network: &Network<'_>, name: &str) -> String {
    match Tracer::new(network).start(name) {
        Ok(Start::Guest(nic)) => format!("guest {}", network.vm_nic(nic).unwrap().name()),
        Ok(Start::Netns(_, netns)) => format!("netns {netns}"),
        Ok(Start::Device(device)) => format!("device {}", network.netdev(device).unwrap().name()),
        Ok(Start::Port(port)) => format!("port {}", network.ovs_interface(port).unwrap().name()),
        Ok(Start::Outside(ip)) => format!("outside {ip}"),
        Err(error) => error.to_string(),
    }
}

/// What a goal stands for, in words.
fn goal(network: &Network<'_>, name: &str) -> String {
    let shown = |target: &Target| match target {
        Target::Guest(nic) => format!("guest {}", network.vm_nic(*nic).unwrap().name()),
        Target::Netns(_, netns) => format!("netns {netns}"),
        Target::Device(device) => format!("device {}", network.netdev(*device).unwrap().name()),
    };
    let list = |all: &[Target]| all.iter().map(shown).collect::<Vec<_>>().join(", ");
    match Tracer::new(network).goal(name) {
        Ok(goal) => {
            let captured = if goal.is_captured() { "captured" } else { "not captured" };
            let words = match &goal {
                Goal::Address { ip, targets, near } => {
                    let near = if *near { "near" } else { "far" };
                    format!("{ip} {near} [{}]", list(targets))
                }
                Goal::Things(targets) => list(targets),
                other => format!("{other:?}"),
            };
            format!("{words}, {captured}")
        }
        Err(error) => error.to_string(),
    }
}

/// A hypervisor with a VM that runs, `web`, with two NICs, and one that is off, `db`.
const HYPERVISOR: &str = include_str!("../hypervisor.txt");

#[test]
fn packets_are_put_in_where_a_name_says() {
    let (web, second, db) = ("52:54:00:aa:00:01", "52:54:00:cc:00:01", "52:54:00:aa:00:02");
    with_network(HYPERVISOR, |network| {
        for (name, stands_for) in [
            ("web", format!("guest {web}")),
            ("vm:web", format!("guest {web}")),
            ("vm:web/0", format!("guest {web}")),
            ("vm:web/1", format!("guest {second}")),
            ("vm:web/2", "nothing is called vm:web/2".to_owned()),
            (&format!("vm:web/{second}"), format!("guest {second}")),
            (&format!("vm:web/{db}"), format!("nothing is called vm:web/{db}")),
            ("vm:3b1f8c52-6f0f-4a0f-9a40-0d6c0f7f1a02", format!("guest {db}")),
            ("vm:nobody", "nothing is called vm:nobody".to_owned()),
            (&format!("mac:{second}"), format!("guest {second}")),
            (second, format!("guest {second}")),
            ("mac:52:54:00:10:00:08", "netns root".to_owned()),
            ("mac:02:00:00:00:00:99", "nothing is called mac:02:00:00:00:00:99".to_owned()),
            ("mac:52:54", "52:54 is no MAC address".to_owned()),
            // A tap stands for its guest, unless the device is meant.
            ("vnet0", format!("guest {web}")),
            ("if:vnet0", "device vnet0".to_owned()),
            ("if:hv1/vnet0", "device vnet0".to_owned()),
            ("if:hv1/root/vnet0", "device vnet0".to_owned()),
            ("if:root/vnet0", "device vnet0".to_owned()),
            ("if:blue/vnet0", "nothing is called if:blue/vnet0".to_owned()),
            ("if:hv2/root/vnet0", "nothing is called if:hv2/root/vnet0".to_owned()),
            ("ens9", "device ens9".to_owned()),
            ("ns:root", "netns root".to_owned()),
            ("ns:hv1/root", "netns root".to_owned()),
            ("ns:blue", "nothing is called ns:blue".to_owned()),
            ("root", "netns root".to_owned()),
            ("198.51.100.5", "netns root".to_owned()),
            ("ip:198.51.100.5", "netns root".to_owned()),
            ("ip:203.0.113.1", "outside 203.0.113.1".to_owned()),
            ("ip:203.0.113", "203.0.113 is no IP address".to_owned()),
            ("ovs:br-int/vnet0", "nothing is called ovs:br-int/vnet0".to_owned()),
            ("port:0badc0de", "nothing is called port:0badc0de".to_owned()),
        ] {
            assert_eq!(start(network, name), stands_for, "{name}");
        }
    });
}

#[test]
fn packets_arrive_where_a_name_says() {
    with_network(HYPERVISOR, |network| {
        for (name, stands_for) in [
            ("web", "guest 52:54:00:aa:00:01, captured"),
            ("ns:root", "netns root, captured"),
            ("ens9", "device ens9, captured"),
            ("outside", "Outside, not captured"),
            ("broadcast", "Broadcast, not captured"),
            ("dhcp", "Dhcp, captured"),
            ("metadata", "Metadata, captured"),
            ("198.51.100.5", "198.51.100.5 near [device ens9], captured"),
            ("198.51.100.77", "198.51.100.77 near [], not captured"),
            ("203.0.113.1", "203.0.113.1 far [], not captured"),
            // Networks of the loopback lie on no link.
            ("127.5.5.5", "127.5.5.5 far [], not captured"),
            ("nobody", "nothing is called nobody"),
        ] {
            assert_eq!(goal(network, name), stands_for, "{name}");
        }
    });
}

#[test]
fn ports_of_switches_have_the_name_of_their_bridge() {
    let text = neutron(true).replace(
        "            Interface tapa\n",
        "            Interface tapa\n                type: internal\n",
    ) + "ovs-vsctl list Interface
_uuid               : 11111111-7a68-4a0f-9d2a-1d6a36f6a001
external_ids        : {attached-mac=\"fa:16:3e:00:00:0a\", iface-id=\"0badc0de-0000-4000-8000-00000000000a\", iface-status=active}
name                : tapa
type                : internal

_uuid               : 22222222-7a68-4a0f-9d2a-1d6a36f6a001
external_ids        : {attached-mac=\"fa:16:3e:00:00:0b\", iface-id=\"0badc0df-0000-4000-8000-00000000000b\", iface-status=active}
name                : tapb
type                : \"\"
root@h1:~# ";
    with_network(&text, |network| {
        for (name, stands_for) in [
            ("ovs:br-int/tapb", "port tapb"),
            ("ovs:h1/br-int/tapb", "port tapb"),
            ("ovs:h2/br-int/tapb", "nothing is called ovs:h2/br-int/tapb"),
            ("ovs:br-ex/tapb", "nothing is called ovs:br-ex/tapb"),
            ("br-ex/phy-br-ex", "port phy-br-ex"),
            ("port:0badc0df", "port tapb"),
            // What an internal port hangs in is a namespace.
            ("port:0badc0de", "netns root"),
            ("port:0badc0d", "port:0badc0d may be one of several: ns:h1/root, ovs:h1/br-int/tapb"),
        ] {
            assert_eq!(start(network, name), stands_for, "{name}");
        }
        for (name, stands_for) in [
            ("ovs:br-int/tapb", "device tapb, captured"),
            ("ovs:br-int/patch-tun", "nothing is called ovs:br-int/patch-tun"),
        ] {
            assert_eq!(goal(network, name), stands_for, "{name}");
        }
    });
}

#[test]
fn an_address_of_two_namespaces_has_two_owners() {
    let text = two_on_a_bridge(&port("forwarding")).replace("192.0.2.2/24", "192.0.2.1/24");
    with_network(&text, |network| {
        let refused = start(network, "ip:192.0.2.1");
        assert_eq!(refused, "ip:192.0.2.1 may be one of several: if:h1/a/eth0, if:h1/b/eth0");
        assert_eq!(
            goal(network, "ip:192.0.2.1"),
            "192.0.2.1 near [device eth0, device eth0], captured"
        );
    });
}

#[test]
fn what_is_taken_away_takes_nothing_any_more() {
    use tapline_network::trace::Question;
    with_network(&two_on_a_bridge(&port("forwarding")), |network| {
        let key = |name: &str| {
            let mut all = network.topology.nodes();
            let found = all.find(|(_, node)| node.name.as_str() == name);
            network.topology.key(found.unwrap().0).unwrap().to_string()
        };
        let asked = |without: Option<&str>| {
            let question = Question {
                from: "ns:a".to_owned(),
                to: Some("ns:b".to_owned()),
                without: without.map(key),
                ..Question::default()
            };
            let verdict = Tracer::new(network).ask(&question).unwrap().trace.verdict;
            (verdict.reached, verdict.reason.map_or("", |reason| reason.as_str()))
        };
        assert_eq!(asked(None).0, Some(true));
        for gone in ["a", "b", "va", "vb", "br0"] {
            assert_eq!(asked(Some(gone)), (Some(false), "without"), "{gone}");
        }
    });
}
