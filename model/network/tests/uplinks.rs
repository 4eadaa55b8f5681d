//! What uplinks of a host are for, as its texts show it.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
mod common;

use common::{BRIDGE, TAP, link, with_network};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::uplink::{self, Role, Usage};
use tapline_network::{Item, Network, functions};

const LO: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default\n    \
                  link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n";

/// All devices of a host, and what was asked after them.
fn session(links: &[String], rest: &str) -> String {
    common::session(&[&[LO.to_owned()], links].concat(), rest)
}

const MAC: &str = "52:54:00:55:55:55";

/// What `eno1` is for, in a few words.
fn role(network: &Network<'_>) -> String {
    let eno1 = network.netdev_called(HostId(0), &Netns::Root, "eno1").unwrap();
    let name = |node| network.topology.node(node).unwrap().name.to_string();
    match uplink::usage(network, &eno1) {
        Usage::For(Role::OvsPort(bridge)) => format!("port of {bridge}"),
        Usage::For(Role::BridgePort(bridge)) => format!("in {}", name(bridge)),
        Usage::For(Role::Slave(bond)) => format!("member of {}", name(bond)),
        Usage::For(Role::Address(ip)) => format!("has {ip}"),
        Usage::For(Role::Carries(upper)) => format!("carries {}", name(upper)),
        Usage::For(Role::Functions(vm)) => format!("function for {}", name(vm)),
        Usage::For(Role::Function(number)) => format!("function {number}"),
        Usage::Nothing => "nothing".to_owned(),
        Usage::Unknown(needs) => {
            needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
    }
}

#[test]
fn uplinks_serve_what_is_on_them() {
    let address = |name: &str, ip: &str| format!("    inet {ip} scope global {name}\n");
    let vlan = |more: &str| format!("    vlan protocol 802.1Q id 7 <REORDER_HDR>\n{more}");
    let eno1 = |more: &str, details: &str| link(2, "eno1", more, details);
    for (links, told) in [
        (vec![eno1("", "")], "nothing"),
        (vec![eno1("", &address("eno1", "192.0.2.1/24"))], "has 192.0.2.1"),
        (vec![eno1("", &address("eno1", "169.254.0.1/16"))], "nothing"),
        (vec![eno1("master br0", ""), link(3, "br0", "", BRIDGE)], "in br0"),
        (
            vec![eno1("master bond0", ""), link(3, "bond0", "", "    bond mode active-backup\n")],
            "member of bond0",
        ),
        (vec![eno1("master team0", ""), link(3, "team0", "", "    team\n")], "member of team0"),
        // A VRF is not what a NIC is for, its address is; that it is in one hides the address.
        (vec![eno1("master red", ""), link(3, "red", "", "    vrf table 10\n")], "nothing"),
        // What stands on it counts where it serves something itself.
        (vec![eno1("", ""), link(3, "eno1.7@eno1", "", &vlan(""))], "nothing"),
        (
            vec![
                eno1("", ""),
                link(3, "eno1.7@eno1", "", &vlan(&address("eno1.7", "192.0.2.1/24"))),
            ],
            "carries eno1.7",
        ),
        (
            vec![
                eno1("", ""),
                link(3, "eno1.7@eno1", "master br0", &vlan("")),
                link(4, "br0", "", BRIDGE),
            ],
            "carries eno1.7",
        ),
        (
            vec![
                eno1("", ""),
                link(3, "eno1.7@eno1", "", &vlan("")),
                link(4, "eno1.7.9@eno1.7", "", &vlan(&address("eno1.7.9", "192.0.2.1/24"))),
            ],
            "carries eno1.7",
        ),
        (
            vec![
                eno1("", ""),
                link(
                    3,
                    "mv0@eno1",
                    "",
                    &format!("    macvlan mode bridge\n{}", address("mv0", "192.0.2.1/24")),
                ),
            ],
            "carries mv0",
        ),
        (
            vec![
                eno1("", ""),
                link(
                    3,
                    "iv0@eno1",
                    "",
                    &format!("    ipvlan mode l2\n{}", address("iv0", "192.0.2.1/24")),
                ),
            ],
            "carries iv0",
        ),
        (vec![eno1("", ""), link(3, "mt0@eno1", "", "    macvtap mode bridge\n")], "nothing"),
    ] {
        with_network(&session(&links, ""), |network| {
            assert_eq!(role(network), told, "{}", links.concat());
        });
    }
    let show = "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br-ex
        Port eno1
            Interface eno1
    ovs_version: \"2.17.0\"
root@h1:~# ";
    with_network(&session(&[eno1("master ovs-system", "")], show), |network| {
        assert_eq!(role(network), "port of br-ex");
    });
}

/// What `virsh dumpxml` prints of a VM with one NIC.
fn vm(kind: &str, mac: &str, running: bool) -> String {
    let (id, state) = if running { (" id='1'", "running") } else { ("", "shut off") };
    let id_listed = if running { "1" } else { "-" };
    format!(
        "virsh list --all
 Id   Name   State
-----------------------
 {id_listed}    vm1    {state}

root@h1:~# virsh dumpxml vm1
<domain type='kvm'{id}>
  <name>vm1</name>
  <uuid>a8282f87-1111-4222-8333-444455556666</uuid>
  <devices>
    <interface type='{kind}' managed='yes'>
      <mac address='{mac}'/>
      <source>
        <address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x0'/>
      </source>
    </interface>
  </devices>
</domain>
root@h1:~# "
    )
}

#[test]
fn functions_of_a_nic_serve_guests() {
    let function = |mac: &str, more: &str| {
        format!("    vf 0     link/ether {mac} brd ff:ff:ff:ff:ff:ff, {more}link-state auto\n")
    };
    let zero = "00:00:00:00:00:00";
    for (functions, rest, told) in [
        (function(MAC, ""), vm("hostdev", MAC, true), "function for vm1"),
        (function(MAC, ""), vm("hostdev", MAC, false), "nothing"),
        (function(MAC, ""), vm("hostdev", "52:54:00:55:55:56", true), "nothing"),
        (function(MAC, ""), vm("network", MAC, true), "nothing"),
        (String::new(), vm("hostdev", MAC, true), "nothing"),
        // The VMs are not known: somebody gave the function a MAC and a VLAN.
        (function(MAC, "vlan 50, "), String::new(), "function 0"),
        (function(MAC, ""), String::new(), "nothing"),
        (function(zero, "vlan 50, "), String::new(), "nothing"),
        (
            function(zero, "") + &function(MAC, "vlan 50, ").replace("vf 0", "vf 3"),
            String::new(),
            "function 3",
        ),
        (function(MAC, "vlan 50, "), vm("hostdev", "52:54:00:55:55:56", true), "nothing"),
    ] {
        let text = session(&[link(2, "eno1", "", &functions)], &rest);
        with_network(&text, |network| {
            assert_eq!(role(network), told, "{functions}{rest}");
            let listed = network.functions_of(HostId(0));
            assert_eq!(listed.len(), functions.lines().count());
            assert!(
                listed.iter().all(|function: &functions::Function<'_>| !function.is_disabled())
            );
        });
    }
}

#[test]
fn bridges_of_physical_networks_have_uplinks() {
    let show = |port: &str, patch: &str| {
        format!(
            "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br-int
        Port {patch}
            Interface {patch}
                type: patch
                options: {{peer=far}}
    Bridge br-ex
        Port far
            Interface far
                type: patch
                options: {{peer={patch}}}
        Port {port}
            Interface {port}
    ovs_version: \"2.17.0\"
root@h1:~# "
        )
    };
    for (port, patch, told) in [
        ("eno1", "int-br-ex", &["br-ex by int-br-ex to eno1"][..]),
        ("eno1", "patch-br-int-to-provnet-1", &["br-ex by patch-br-int-to-provnet-1 to eno1"]),
        ("eno1", "patch-other", &[]),
        ("vnet0", "int-br-ex", &[]),
    ] {
        let links = [link(2, "eno1", "", ""), link(3, "vnet0", "", TAP)];
        with_network(&session(&links, &show(port, patch)), |network| {
            let all = uplink::providers(network, HostId(0));
            let named = all.iter().map(|provider| {
                let uplinks: Vec<&str> = provider.uplinks.iter().map(Item::name).collect();
                let (bridge, patch) = (provider.bridge.name(), provider.patch.name());
                format!("{bridge} by {patch} to {}", uplinks.join(" "))
            });
            assert_eq!(named.collect::<Vec<_>>(), told, "{port} {patch}");
        });
    }
}
