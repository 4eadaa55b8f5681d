//! Texts of bonds, and whether paths lead on by them: by the member in use alone, and as far as the
//! other end is known to take frames.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test writes its inputs")]
mod common;

use common::{TAP, down, link, open, session};

/// A bridge on a bond with these details, of two members of which the first has no link.
fn on_bond(details: &str, rest: &str) -> String {
    let member = |state: &str| {
        format!("    bond_slave state {state} mii_status UP link_failure_count 0 queue_id 0\n")
    };
    let dead = link(2, "eno1", "master bond0", &member("ACTIVE"));
    let links = [
        dead.replace("MULTICAST,UP,LOWER_UP", "MULTICAST,UP").replace('<', "<NO-CARRIER,"),
        link(3, "eno2", "master bond0", &member("BACKUP")),
        link(4, "bond0", "master br0", details),
        link(5, "br0", "", common::BRIDGE),
        link(6, "vnet0", "master br0", TAP),
    ];
    session(&links, rest)
}

/// The hop of the bond, and those behind.
fn from_bond(text: &str) -> Vec<String> {
    let mut hops = down(text, "vnet0");
    let at = hops.iter().position(|hop| hop.starts_with("bond0")).unwrap();
    hops.split_off(at)
}

fn file(miimon: &str, active: &str, arp: &str) -> String {
    format!(
        "cat /proc/net/bonding/bond0
Ethernet Channel Bonding Driver: v5.15.0

Bonding Mode: fault-tolerance (active-backup)
Primary Slave: None
Currently Active Slave: {active}
MII Status: up
MII Polling Interval (ms): {miimon}
Up Delay (ms): 0
Down Delay (ms): 0
{arp}
Slave Interface: eno1
MII Status: up

Slave Interface: eno2
MII Status: up
root@h1:~# "
    )
}

#[test]
fn a_bond_that_watches_nothing_stays_with_a_member_without_a_link() {
    let dead = "bond0: sends by eno1 alone, which has no link";
    let bond = |details: &str| format!("    bond mode active-backup {details} use_carrier 1\n");
    for (details, rest, expected) in [
        ("active_slave eno1 miimon 0 arp_interval 0", String::new(), dead),
        // It would notice, and change to the other.
        ("active_slave eno1 miimon 100 arp_interval 0", String::new(), "bond0"),
        ("active_slave eno1 miimon 0 arp_interval 1000", String::new(), "bond0"),
        // Not shown whether it would.
        ("active_slave eno1 miimon 0", String::new(), "bond0"),
        ("active_slave eno1", String::new(), "bond0"),
        // The member in use has a link.
        ("active_slave eno2 miimon 0 arp_interval 0", String::new(), "bond0"),
        ("active_slave eno1 miimon 0 arp_interval 0", file("0", "eno1", ""), dead),
        ("active_slave eno1 miimon 0 arp_interval 0", file("0", "eno2", ""), "bond0"),
        ("active_slave eno1 miimon 0 arp_interval 0", file("100", "eno1", ""), "bond0"),
        (
            "active_slave eno1 miimon 0 arp_interval 0",
            file("0", "eno1", "ARP Polling Interval (ms): 1000\n"),
            "bond0",
        ),
    ] {
        let hops = from_bond(&on_bond(&bond(details), &rest));
        assert_eq!(hops[0], expected, "{details} {rest}");
    }
    // The file alone is enough.
    assert_eq!(from_bond(&on_bond("", &file("0", "eno1", "")))[0], dead);
}

#[test]
fn without_a_partner_in_lacp_only_the_switch_knows() {
    let partner = |mac: &str| {
        let bond = format!(
            "    bond mode 802.3ad miimon 100 ad_aggregator 1 ad_num_ports 1 ad_partner_mac {mac} \
             tlb_dynamic_lb 1\n"
        );
        open(&on_bond(&bond, ""), "vnet0")
    };
    let asked = "bond0: the state of the ports at the switch: nobody answers in LACP, and it may block \
                 them all";
    assert_eq!(partner("00:00:00:00:00:00"), [asked]);
    assert_eq!(partner("52:54:00:00:0f:01"), [] as [&str; 0]);
}

#[test]
fn lacp_holds_members_of_a_bond_of_ovs() {
    let path = |first: &str, second: &str, of: &str| {
        let member = |name: &str, may: &str| {
            format!(
                "\nmember: {name}: {of}\n  port_id: 1\n  port_priority: 65535\n  may_enable: {may}\n"
            )
        };
        let rest = format!(
            "ovs-vsctl show
5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br0
        Port br0
            Interface br0
                type: internal
        Port tapa
            Interface tapa
        Port bond1
            Interface eno1
            Interface eno2
    ovs_version: \"2.17.0\"
root@h1:~# ovs-appctl lacp/show
---- bond1 ----
  status: active
  sys_id: 52:54:00:00:00:06
{}{}
root@h1:~# ",
            member("eno1", first),
            member("eno2", second)
        );
        let ovs = "    openvswitch_slave\n";
        let links = [
            link(2, "eno1", "master ovs-system", ovs),
            link(3, "eno2", "master ovs-system", ovs),
            link(4, "tapa", "master ovs-system", &(TAP.to_owned() + ovs)),
            link(5, "ovs-system", "", "    openvswitch\n"),
        ];
        down(&session(&links, &rest), "tapa").into_iter().find(|hop| hop.starts_with("bond1"))
    };
    let held = Some("bond1: no active member".to_owned());
    assert_eq!(path("false", "false", "defaulted detached"), held);
    assert_eq!(path("true", "false", "current attached"), Some("bond1".to_owned()));
}

#[test]
fn files_of_bonds_are_of_the_bond_that_their_name_tells() {
    use tapline_capture::{Input, Options};
    for name in
        ["proc_net_bonding_bond0", "cat_proc_net_bonding_bond0.txt", ".proc.net.bonding.bond0"]
    {
        let folder =
            std::env::temp_dir().join(format!("tapline-bond-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let text = file("100", "eno1", "").replace("cat /proc/net/bonding/bond0\n", "");
        std::fs::write(folder.join(name), text.replace("root@h1:~# ", "")).unwrap();
        let captured = tapline_capture::open(&[Input::Path(folder.clone())], &Options::default());
        let read = tapline_formats::read(captured.unwrap());
        let source = read.captured.sources.first().unwrap();
        assert_eq!(source.command.to_string(), "cat /proc/net/bonding/bond0", "{name}");
        let topology = tapline_topology::build(&read);
        let names: Vec<_> = topology.nodes().map(|(_, node)| node.name.to_string()).collect();
        assert!(names.iter().any(|name| name == "bond0"), "{names:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
