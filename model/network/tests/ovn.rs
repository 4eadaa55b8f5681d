//! What captures tell of OVN: settings of hosts, and the databases that were asked on them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
mod common;

use std::fmt::Write as _;

use common::{link, with_sessions};
use tapline_core::capture::HostId;
use tapline_network::ovn::{self, Holder};
use tapline_network::{Network, mesh};

const HOST: HostId = HostId(0);

/// A host with an address, these settings in the row of Open vSwitch, and further outputs.
fn host(name: &str, at: u8, settings: &str, outputs: &[(&str, &str)]) -> String {
    let nic = link(
        2,
        "eno1",
        "",
        &format!("    inet 192.0.2.{at}/24 scope global eno1\n       valid_lft forever preferred_lft forever\n"),
    )
    .replace("52:54:00:00:01", &format!("52:54:00:00:{at:02x}"));
    let mut text = format!(
        "root@{name}:~# ip -d address\n{nic}root@{name}:~# ovs-vsctl list Open_vSwitch\n\
         _uuid               : 5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a00{at}\n\
         bridges             : []\nexternal_ids        : {{{settings}}}\n\
         ovs_version         : \"2.17.9\"\n"
    );
    for (command, output) in outputs {
        write!(text, "root@{name}:~# {command}\n{output}").unwrap();
    }
    text + &format!("root@{name}:~# \n")
}

const ALL: &str = "hostname=h1, ovn-bridge-mappings=\"physnet1:br-ex\", ovn-encap-ip=\"192.0.2.1\", \
                   ovn-encap-type=geneve, ovn-remote=\"tcp:192.0.2.9:6642, ssl:[2001:db8::1]:6642\", \
                   system-id=\"chassis-1\"";

fn with_host<T>(
    settings: &str,
    outputs: &[(&str, &str)],
    look: impl FnOnce(&Network<'_>) -> T,
) -> T {
    with_sessions(&[&host("h1", 1, settings, outputs)], look)
}

#[test]
fn settings_are_those_of_the_row() {
    with_host(ALL, &[], |network| {
        let local = &network.ovn().locals[&HOST];
        assert_eq!(local.host, HOST);
        assert_eq!(local.system_id(), Some("chassis-1"));
        assert_eq!(local.bridge(), "br-int");
        assert!(!local.is_shared());
        assert_eq!(local.get("ovn-encap-type").unwrap().value, "geneve");
        assert!(local.get("ovn-encap-csum").is_none());
        let remotes: Vec<String> = local.list("ovn-remote").collect();
        assert_eq!(remotes, ["tcp:192.0.2.9:6642", "ssl:[2001:db8::1]:6642"]);
        assert_eq!(local.list("ovn-cms-options").count(), 0);
        // What is not set stands at the row.
        assert_ne!(local.place("ovn-encap-ip"), local.row);
        assert_eq!(local.place("ovn-cms-options"), local.row);
        let encaps = mesh::ovn_encap_ips(network);
        assert_eq!(encaps.len(), 1);
        assert_eq!((encaps[0].0, encaps[0].1), (HOST, "192.0.2.1".parse().unwrap()));
    });
}

#[test]
fn settings_show_whose_the_host_is() {
    // (settings, whether the host is one of OVN, its chassis, its bridge, whether several share it)
    for (settings, told) in [
        ("hostname=h1, system-id=\"a\"", None),
        ("ovn-remote=\"tcp:192.0.2.9:6642\"", Some((None, "br-int", false))),
        ("ovn-bridge-mappings=\"a:b\"", Some((None, "br-int", false))),
        ("ovn-encap-type=geneve, system-id=\"a\"", Some((Some("a"), "br-int", false))),
        ("ovn-encap-ip=\"192.0.2.1\", system-id=\"\"", Some((None, "br-int", false))),
        ("ovn-encap-type=geneve, ovn-bridge=br-ovn", Some((None, "br-ovn", false))),
        ("ovn-encap-type=geneve, system-id-two=\"b\"", Some((None, "br-int", true))),
        ("ovn-encap-type=geneve, ovn-encap-type-two=vxlan", Some((None, "br-int", true))),
        ("ovn-encap-type=geneve, ovn-bridge-mappings-two=\"a:b\"", Some((None, "br-int", true))),
    ] {
        with_host(settings, &[], |network| {
            let local = network.ovn().locals.get(&HOST);
            let found = local.map(|local| (local.system_id(), local.bridge(), local.is_shared()));
            assert_eq!(found, told, "{settings}");
        });
    }
}

const SHOW: &str = "Chassis chassis-1
    hostname: h1
    Encap geneve
        ip: \"192.0.2.1\"
        options: {csum=\"true\"}
    Encap vxlan
        ip: \"192.0.2.1\"
        options: {csum=\"true\"}
    Port_Binding port-a
Chassis chassis-2
    hostname: h2
    Encap geneve
        ip: \"192.0.2.2\"
        options: {csum=\"true\"}
    Port_Binding port-b
";

const CHASSIS: &str = "_uuid               : aaaaaaaa-0000-4000-8000-000000000002
encaps              : [bbbbbbbb-0000-4000-8000-000000000002]
external_ids        : {}
hostname            : h2
name                : chassis-2
";

const BINDINGS: &str = "_uuid               : cccccccc-0000-4000-8000-000000000001
chassis             : aaaaaaaa-0000-4000-8000-000000000002
logical_port        : port-b
type                : \"\"

_uuid               : cccccccc-0000-4000-8000-000000000002
chassis             : []
logical_port        : port-c
type                : \"\"

_uuid               : cccccccc-0000-4000-8000-000000000003
chassis             : aaaaaaaa-0000-4000-8000-000000000007
logical_port        : port-d
type                : \"\"
";

/// Who holds each port, `nobody`, or `somebody`.
fn holders(network: &Network<'_>) -> Vec<String> {
    let south = &network.ovn().souths[&HOST];
    let holder = |holder| match holder {
        Holder::Nobody => "nobody",
        Holder::Unnamed => "somebody",
        Holder::Chassis(name) => name,
    };
    let all = south.bindings.iter();
    all.map(|(port, binding)| format!("{port} {}", holder(binding.holder))).collect()
}

#[test]
fn southbound_databases_show_chassis_and_who_holds_what() {
    with_host(ALL, &[("ovn-sbctl show", SHOW)], |network| {
        assert_eq!(holders(network), ["port-a chassis-1", "port-b chassis-2"]);
        let south = &network.ovn().souths[&HOST];
        let chassis = &south.chassis["chassis-1"];
        assert_eq!((chassis.name, chassis.hostname), ("chassis-1", Some("h1")));
        assert!(chassis.listed.is_none());
        let encaps: Vec<_> = chassis.encaps.iter().map(|encap| (encap.kind, encap.ip)).collect();
        assert_eq!(encaps, [("geneve", "192.0.2.1"), ("vxlan", "192.0.2.1")]);
        assert!(south.shown.is_some() && south.listed.is_none());
        let searched = south.searched("port-x").unwrap();
        assert_eq!(
            (searched.keys, searched.sources),
            (vec!["port-x".to_owned()], vec![south.shown.unwrap()])
        );
    });
    with_host(ALL, &[("ovn-sbctl list Port_Binding", BINDINGS)], |network| {
        assert_eq!(holders(network), ["port-b somebody", "port-c nobody", "port-d somebody"]);
        let south = &network.ovn().souths[&HOST];
        assert!(south.shown.is_none() && south.chassis.is_empty());
        assert_eq!(south.searched("x").unwrap().sources, [south.listed.unwrap()]);
    });
    // A list names chassis by their ids: the rows of the table have the names, and nobody else.
    let lists = [("ovn-sbctl list Port_Binding", BINDINGS), ("ovn-sbctl list Chassis", CHASSIS)];
    with_host(ALL, &lists, |network| {
        assert_eq!(holders(network), ["port-b chassis-2", "port-c nobody", "port-d somebody"]);
        let south = &network.ovn().souths[&HOST];
        assert!(south.chassis["chassis-2"].listed.is_some());
        assert!(south.chassis["chassis-2"].encaps.is_empty());
    });
    // What is claimed by any text is claimed, in whatever order they stand.
    for outputs in [
        [("ovn-sbctl show", SHOW), ("ovn-sbctl list Port_Binding", BINDINGS)],
        [("ovn-sbctl list Port_Binding", BINDINGS), ("ovn-sbctl show", SHOW)],
    ] {
        with_host(ALL, &outputs, |network| {
            assert_eq!(
                holders(network),
                ["port-a chassis-1", "port-b chassis-2", "port-c nobody", "port-d somebody"]
            );
            let south = &network.ovn().souths[&HOST];
            assert!(south.shown.is_some() && south.listed.is_some());
            // The row of a list says more than that of `show`.
            assert_eq!(south.bindings["port-b"].at.source, south.listed.unwrap().0);
            assert_eq!(south.bindings["port-a"].at.source, south.shown.unwrap().0);
        });
    }
}

#[test]
fn a_host_reads_the_database_that_its_settings_lead_to() {
    let port = "_uuid               : 11111111-2222-4333-8444-555555555555
external_ids        : {iface-id=port-b}
name                : tapb
ofport              : 7
type                : \"\"
";
    let show = "5f0c9d5e-7a68-4a0f-9d2a-1d6a36f6a001
    Bridge br-int
        Port tapb
            Interface tapb
    ovs_version: \"2.17.9\"
";
    let central = |at| host("h9", at, "hostname=h9", &[("ovn-sbctl show", SHOW)]);
    let of = |remote: &str, id: &str, outputs: &[(&str, &str)]| {
        let settings = format!("ovn-remote=\"{remote}\", system-id=\"{id}\"");
        host("h1", 1, &settings, outputs)
    };
    let ports = [("ovs-vsctl show", show), ("ovs-vsctl list Interface", port)];
    let own = [("ovn-sbctl show", SHOW)];
    for (first, second, told) in [
        (of("tcp:192.0.2.9:6642", "x", &[]), central(9), Some("h9")),
        (of("tcp:192.0.2.8:6642,tcp:192.0.2.9:6642", "x", &[]), central(9), Some("h9")),
        (of("tcp:192.0.2.8:6642", "x", &[]), central(9), None),
        (of("unix:/run/ovn/ovnsb_db.sock", "x", &[]), central(9), None),
        // It has a port of the host, which this chassis holds.
        (of("tcp:192.0.2.8:6642", "chassis-2", &ports), central(9), Some("h9")),
        (of("tcp:192.0.2.8:6642", "chassis-1", &ports), central(9), None),
        (of("tcp:192.0.2.8:6642", "chassis-2", &[]), central(9), None),
        // What was asked on the host itself is its own.
        (of("tcp:192.0.2.9:6642", "x", &own), central(9), Some("h1")),
    ] {
        with_sessions(&[&first, &second], |network| {
            let ovn = network.ovn();
            let local = &ovn.locals[&HOST];
            let south = ovn.south_of(network, local);
            assert_eq!(south.map(|south| network.host_name(south.host)), told, "{first}");
            // Ports of the host are those of its bridge.
            let ports = ovn::ports_of(network, local);
            let named: Vec<_> = ports.iter().map(|(port, id, _)| (port.name(), *id)).collect();
            let wanted: &[(&str, &str)] =
                if first.contains("tapb") { &[("tapb", "port-b")] } else { &[] };
            assert_eq!(named, wanted);
        });
    }
}

#[test]
fn northbound_databases_nest_ports_in_switches() {
    let show = "switch 0a0a0a0a-0000-4000-8000-000000000001 (neutron-1) (aka net1)
    port port-a
        addresses: [\"fa:16:3e:00:00:01 10.0.0.5\"]
    port provnet-1
        type: localnet
        addresses: [\"unknown\"]
    port lrp-1
        type: router
        router-port: lrp-1
router 0b0b0b0b-0000-4000-8000-000000000001 (router-1)
    port lrp-1
        mac: \"fa:16:3e:00:00:02\"
        networks: [\"10.0.0.1/24\"]
";
    let remote = "switch 0a0a0a0a-0000-4000-8000-000000000002 (transit)
    port to-zone-2
        type: remote
        addresses: [\"fa:16:3e:00:00:07 10.9.0.5\"]
";
    with_host(ALL, &[("ovn-nbctl show", show)], |network| {
        let north = &network.ovn().norths[&HOST];
        assert_eq!(north.host, HOST);
        let ports: Vec<&str> = north.switch_ports.keys().copied().collect();
        assert_eq!(ports, ["lrp-1", "port-a", "provnet-1"]);
        let routers: Vec<&str> = north.router_ports.keys().copied().collect();
        assert_eq!(routers, ["lrp-1"]);
        assert!(!north.is_joined);
        let switch = ovn::switch_of(north.switch_ports["port-a"].0).unwrap();
        let localnets = &north.localnets[switch];
        assert_eq!(localnets.iter().map(|port| port.0).collect::<Vec<_>>(), ["provnet-1"]);
        assert_eq!(north.localnets.len(), 1);
    });
    with_host(ALL, &[("ovn-nbctl show", &format!("{show}{remote}"))], |network| {
        assert!(network.ovn().norths[&HOST].is_joined);
    });
    // A list of one table shows a part.
    let list = "_uuid               : 0c0c0c0c-0000-4000-8000-000000000001
name                : port-a
type                : \"\"
";
    with_host(ALL, &[("ovn-nbctl list Logical_Switch_Port", list)], |network| {
        assert!(network.ovn().norths.is_empty());
    });
}
