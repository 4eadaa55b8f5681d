//! `tapline.yaml`.
use super::{Folder, SESSION, run};

const OPEN: &str = "suppressions:\n  - rule: ovs-iface-error\n    object: 'qvo*'\n    host: lab7\n    \
                    reason: parked by hand\n    until: 9999-12-31\n";
const ENDED: &str = "suppressions:\n  - {rule: OVS-001, reason: parked, until: 2020-01-31}\n";

/// A folder with a session two folders below, and this configuration above it.
fn folder(config: &str) -> (Folder, String) {
    let folder = Folder::new(&[("lab/a/session.txt", SESSION), ("lab/tapline.yaml", config)]);
    let path = folder.join("lab/a/session.txt");
    (folder, path)
}

#[test]
fn a_suppressed_finding_does_not_count_but_is_told() {
    let (_folder, path) = folder(OPEN);
    let args = ["lint", "--select", "OVS-001", "--fail-on", "warning", &path];
    let ran = run(args);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(
        ran.out.contains("\nno new faults found (1 suppressed)\nconfigured by "),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("lab/tapline.yaml\n"), "{}", ran.out);
    let document = run(args.into_iter().chain(["--format", "json"])).json();
    let suppressed = &document["findings"][0]["suppressed"];
    assert_eq!(suppressed["reason"], "parked by hand");
    assert_eq!(suppressed["until"], "9999-12-31");
    let sarif = run(args.into_iter().chain(["--format", "sarif"])).json();
    let suppressions = &sarif["runs"][0]["results"][0]["suppressions"];
    assert_eq!(suppressions[0]["justification"], "parked by hand");
    let junit = run(args.into_iter().chain(["--format", "junit"])).out;
    assert!(junit.contains("failures=\"0\""), "{junit}");
    assert_eq!(run(args.into_iter().chain(["--format", "github"])).out, "");
}

#[test]
fn without_the_configuration_it_counts() {
    let (_folder, path) = folder(OPEN);
    let args = ["lint", "--select", "OVS-001", "--fail-on", "warning", "--no-config", &path];
    let ran = run(args);
    assert_eq!(ran.code, Some(1));
    assert!(!ran.out.contains("configured by"), "{}", ran.out);
}

#[test]
fn a_finding_comes_back_when_its_suppression_has_ended() {
    let (_folder, path) = folder(ENDED);
    let ran = run(["lint", "--select", "OVS-001", "--fail-on", "warning", &path]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.out.contains("note: the suppression `parked` ended on 2020-01-31"), "{}", ran.out);
}

#[test]
fn patterns_that_do_not_fit_suppress_nothing() {
    for other in [OPEN.replace("'qvo*'", "'tap*'"), OPEN.replace("lab7", "lab8")] {
        let (_folder, path) = folder(&other);
        let ran = run(["lint", "--select", "OVS-001", "--fail-on", "warning", &path]);
        assert_eq!(ran.code, Some(1), "{}", ran.out);
    }
}

#[test]
fn another_name_of_the_file_is_told() {
    let folder = Folder::new(&[("in/session.txt", SESSION), ("tapline.yml", "profile: k8s\n")]);
    let ran = run(["lint", &folder.join("in/session.txt")]);
    assert!(ran.out.contains("tapline.yml is not read: the name is tapline.yaml\n"), "{}", ran.out);
    let ran = run(["lint", "--no-config", &folder.join("in/session.txt")]);
    assert!(!ran.out.contains("tapline.yml"), "{}", ran.out);
}

#[test]
fn severities_and_rules_are_set() {
    let config =
        "select: [OVS]\nignore: [OVS-002]\noverrides:\n  - {rule: OVS-001, severity: error}\n";
    let (_folder, path) = folder(config);
    let ran = run(["lint", &path]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.out.contains("\nerror[OVS-001]"), "{}", ran.out);
    let document = run(["lint", "--format", "json", &path]).json();
    let ran: Vec<_> =
        document["clean"].as_array().unwrap().iter().map(|item| &item["code"]).collect();
    assert!(ran.iter().all(|ran| ran.as_str().unwrap().starts_with("OVS-")), "{ran:?}");
    assert!(!ran.contains(&&"OVS-002".into()), "{ran:?}");
}

#[test]
fn mistakes_are_told_with_file_line_and_column() {
    let (_folder, path) = folder("overrides:\n  - rule: OVS-01\n    severity: info\n");
    let ran = run(["lint", &path]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("lab/tapline.yaml:2:11: no rule is called `OVS-01`"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `OVS-0"), "{}", ran.err);
    let (_folder, path) = folder("supressions: []\n");
    let ran = run(["lint", &path]);
    assert!(ran.err.contains("lab/tapline.yaml:1:1: unknown key `supressions`"), "{}", ran.err);
    assert!(ran.err.contains("hint: did you mean `suppressions`?"), "{}", ran.err);
}

#[test]
fn a_capture_does_not_configure_its_own_reading() {
    let (folder, _) = folder(OPEN);
    let folder = folder.join("lab");
    let ran = run(["lint", "--select", "OVS-001", "--fail-on", "warning", &folder]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
}

#[test]
fn two_configurations_are_a_question() {
    let folder = Folder::new(&[
        ("a/session.txt", SESSION),
        ("a/tapline.yaml", OPEN),
        ("b/session.txt", SESSION),
        ("b/tapline.yaml", ENDED),
    ]);
    let inputs = [folder.join("a/session.txt"), folder.join("b/session.txt")];
    let ran = run(["lint", &inputs[0], &inputs[1]]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("different configurations"), "{}", ran.err);
    let config = folder.join("a/tapline.yaml");
    let args = ["lint", "--select", "OVS-001", "--config", &config, &inputs[0], &inputs[1]];
    assert!(run(args).out.contains("suppressed"));
}

#[test]
fn a_configuration_that_is_not_there_is_an_error() {
    let (_folder, path) = folder(OPEN);
    let ran = run(["lint", "--config", "/no/such.yaml", &path]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.starts_with("error: cannot read /no/such.yaml"), "{}", ran.err);
}

/// Two provider bridges on a host: only one of them is joined and leads out.
const BRIDGES: &str = "\
[root@cmp1 ~]# ovs-vsctl show
0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d
    Bridge br-int
        fail_mode: secure
        Port br-int
            Interface br-int
                type: internal
        Port patch-tun
            Interface patch-tun
                type: patch
                options: {peer=patch-int}
        Port tap0123456-01
            tag: 3
            Interface tap0123456-01
    Bridge br-tun
        Port patch-int
            Interface patch-int
                type: patch
                options: {peer=patch-tun}
    Bridge br-prov
        Port br-prov
            Interface br-prov
                type: internal
    ovs_version: \"2.17.9\"
[root@cmp1 ~]#
";

/// Runs rules over a session with this configuration beside it.
fn lint(session: &str, config: &str, args: &[&str]) -> super::Ran {
    let folder = Folder::new(&[("in/session.txt", session), ("tapline.yaml", config)]);
    let path = folder.join("in/session.txt");
    run([&["lint", "--all", &path], args].concat())
}

#[test]
fn expected_bridges_are_missed_and_must_lead_out() {
    let args = ["--select", "OVS-006,OVS-007"];
    let ran = lint(BRIDGES, "env: {}\n", &args);
    assert!(ran.out.contains("\nno faults found"), "{}", ran.out);
    let ran = lint(BRIDGES, "env: {expected_bridges: [br-prov, br-ex]}\n", &args);
    for text in [
        "error[OVS-006] cmp1 · br-prov: no port leads out of the host",
        "error[OVS-007] cmp1 · br-prov: not joined with br-int",
        "error[OVS-007] cmp1 · br-ex: the bridge does not exist",
        "the configuration expects this bridge on every host",
    ] {
        assert!(ran.out.contains(text), "{text}\n{}", ran.out);
    }
    // Whether it is there cannot be told from a listing that failed.
    let (head, _) = BRIDGES.split_once("0b7c").unwrap();
    let failed = format!("{head}ovs-vsctl: unix:db.sock: database connection failed ()\n");
    let ran = lint(&failed, "env: {expected_bridges: [br-ex]}\n", &args);
    assert!(
        !ran.out.contains("does not exist") && ran.out.contains("could not tell"),
        "{}",
        ran.out
    );
}

/// Two captures of one VM, running on hosts of other names.
fn twice() -> Folder {
    let session = |host: &str| {
        format!(
            "[root@{host} ~]# virsh list --all\n Id   Name                State\n\
             ------------------------------------\n 1    instance-00000001   running\n\n\
             [root@{host} ~]# virsh dumpxml instance-00000001\n<domain type='kvm' id='1'>\n  \
             <name>instance-00000001</name>\n  \
             <uuid>0e8f3a52-77b1-4e9c-8a38-3f5f2a9d4b01</uuid>\n</domain>\n[root@{host} ~]#\n"
        )
    };
    Folder::new(&[("in/a.txt", &session("cmp1")), ("in/b.txt", &session("compute-1"))])
}

#[test]
fn names_of_one_machine_are_one_host() {
    let folder = twice();
    let inputs = [folder.join("in/a.txt"), folder.join("in/b.txt")];
    let args = ["lint", "--select", "VM-005", &inputs[0], &inputs[1]];
    let ran = run(args);
    assert!(ran.out.contains("error[VM-005]"), "{}", ran.out);
    folder.add("tapline.yaml", b"env:\n  same_host: [[cmp1, compute-1]]\n");
    let ran = run(args);
    assert!(ran.out.contains("\nno faults found"), "{}", ran.out);
}

#[test]
fn the_gate_of_the_configuration_gives_way_to_the_command_line() {
    let code = |config: &str, args: &[&str]| {
        let args = [&["--select", "OVS-001"], args].concat();
        lint(SESSION, config, &args).code
    };
    // The finding is a warning.
    assert_eq!(code("severity_gate: {fail_on: error}\n", &[]), Some(0));
    assert_eq!(code("severity_gate: {fail_on: warning}\n", &[]), Some(1));
    assert_eq!(code("severity_gate: {fail_on: warning}\n", &["--fail-on", "error"]), Some(0));
    assert_eq!(code("severity_gate: {fail_on: never}\n", &["--fail-on", "info"]), Some(1));
}

#[test]
fn core_rules_are_not_turned_off_in_silence() {
    let ran = lint(SESSION, "groups_off: [OVS]\n", &[]);
    assert!(!ran.out.contains("[OVS-001]"), "{}", ran.out);
    assert!(ran.out.contains("\ncore rules off: OVS-001, OVS-002, "), "{}", ran.out);
    let ran = lint(SESSION, "ignore: [OVS-001, LBR-005]\n", &[]);
    assert!(ran.out.contains("\ncore rules off: OVS-001\n"), "{}", ran.out);
    let ran = lint(SESSION, "ignore: [OVS-001]\n", &["--format", "json"]);
    assert_eq!(ran.json()["configuration"]["core_off"][0], "OVS-001");
    assert!(ran.err.contains("core rules off: OVS-001"), "{}", ran.err);
    // What was asked for is no surprise.
    assert!(!lint(SESSION, "env: {}\n", &["--select", "OVS-001"]).out.contains("core rules off"));
}

/// Two ports on VLAN 4095 of a bridge that looks like neutron's.
fn parked() -> String {
    BRIDGES.replace("            tag: 3\n", "            tag: 4095\n")
}

#[test]
fn a_profile_says_which_software_is_there() {
    let ran = lint(&parked(), "profile: openstack-ovs\n", &["--select", "OVS-002"]);
    assert!(ran.out.contains("neutron's dead VLAN 4095"), "{}", ran.out);
    let ran = lint(&parked(), "profile: generic\n", &[]);
    assert!(!ran.out.contains("[OVS-002]"), "{}", ran.out);
    assert!(ran.out.contains("core rules off: LBR-001, ") && ran.out.contains("(profile generic)"));
    // Who names the rule gets it; without neutron the VLAN is a reserved one.
    let ran = lint(&parked(), "profile: generic\n", &["--select", "OVS-002"]);
    assert!(ran.out.contains("VLAN 4095 is reserved"), "{}", ran.out);
}

#[test]
fn a_profile_knows_what_is_down_by_design() {
    let session = "[root@node1 ~]# ip -d address\n\
        1: br-ex: <BROADCAST,MULTICAST> mtu 1500 qdisc noqueue state DOWN group default\n    \
        link/ether 52:54:00:12:00:03 brd ff:ff:ff:ff:ff:ff promiscuity 0\n    \
        bridge forward_delay 1500 hello_time 200 max_age 2000\n\
        2: veth1@if3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq master br-ex state UP \
        group default\n    \
        link/ether 52:54:00:12:00:05 brd ff:ff:ff:ff:ff:ff link-netnsid 0 promiscuity 1\n    \
        veth\n    bridge_slave state forwarding priority 32 cost 4\n[root@node1 ~]#\n";
    let of = |config: &str| lint(session, config, &["--select", "LBR-004"]).out;
    let (plain, expected) = (of("profile: generic\n"), of("profile: openstack-ovs\n"));
    assert!(plain.contains("[LBR-004]") && !plain.contains("info[LBR-004]"), "{plain}");
    assert!(expected.contains("info[LBR-004]"), "{expected}");
    assert!(expected.contains("note: the profile openstack-ovs expects br-ex to be down"));
}

#[test]
fn what_fits_nothing_is_told() {
    let config = "suppressions:\n  \
        - {rule: OVS-001, object: 'tap*', reason: x, until: 9999-12-31}\n  \
        - {rule: OVS-001, host: elsewhere, reason: x, until: 9999-12-31}\n  \
        - {rule: ovs-iface-error, ns: 'qrouter-*', reason: x, until: 9999-12-31}\n  \
        - {rule: OVS-001, ns: root, reason: fits, until: 9999-12-31}\n";
    let ran = lint(SESSION, config, &["--select", "OVS-001"]);
    let told = "suppressions that fit nothing: OVS-001 object=tap*, OVS-001 ns=qrouter-*\n";
    assert!(ran.out.contains(told), "{}", ran.out);
    assert!(ran.out.contains("(1 suppressed)"), "{}", ran.out);
    let ran = lint(SESSION, config, &["--select", "OVS-001", "--format", "sarif"]);
    assert!(ran.err.contains(told), "{}", ran.err);
    // A rule that did not run cannot tell.
    let ran = lint(SESSION, config, &["--select", "OVS-002"]);
    assert!(!ran.out.contains("fit nothing"), "{}", ran.out);
    // Neither can one that lacks a capture.
    let (session, _) = SESSION.split_once("[root@lab7 ~]# ip address").unwrap();
    let config = "suppressions:\n  - {rule: OVS-004, reason: x, until: 9999-12-31}\n";
    let ran = lint(session, config, &["--select", "OVS-004"]);
    assert!(!ran.out.contains("fit nothing"), "{}", ran.out);
}

#[test]
fn what_ended_and_what_no_rule_asks_for_is_told() {
    let ran = lint(SESSION, ENDED, &["--select", "OVS-001"]);
    assert!(ran.out.contains("suppressions that ended: OVS-001 (2020-01-31)\n"), "{}", ran.out);
    let config = "env: {expected_bridges: [br-ex]}\n";
    let ran = lint(SESSION, config, &["--select", "OVS-001"]);
    let told = "settings that no rule of this run asks for: env.expected_bridges (for OVS-006, \
        OVS-007)\n";
    assert!(ran.out.contains(told), "{}", ran.out);
    assert!(!lint(SESSION, config, &[]).out.contains("asks for"));
}

#[test]
fn the_keys_of_the_catalogue_are_known_too() {
    let config = "threshold: {capture_skew_s: 5}\nsuppress: []\noverride: []\n";
    assert_eq!(lint(SESSION, config, &["--select", "OVS-001"]).code, Some(0));
}

/// A provider network, its NIC, and a NIC with errors.
const NICS: &str = "\
[root@cmp1 ~]# ip -s -d link
2: ens3: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq master ovs-system state UP mode DEFAULT group default qlen 1000
    link/ether 52:54:00:00:00:02 brd ff:ff:ff:ff:ff:ff promiscuity 1 minmtu 68 maxmtu 9216
    openvswitch_slave
    RX:  bytes packets errors dropped  missed   mcast
    900000000  1000000   2000       0       0       0
    TX:  bytes packets errors dropped carrier collsns
    900000000  1000000      0       0       0       0
42: tap7ef1c0aa-12: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq master ovs-system state UNKNOWN mode DEFAULT group default qlen 1000
    link/ether fe:16:3e:10:20:30 brd ff:ff:ff:ff:ff:ff promiscuity 1 minmtu 68 maxmtu 65535
    tun type tap pi off vnet_hdr on persist off
[root@cmp1 ~]# ovs-vsctl show
0b4f7f5e-1f0c-4d0e-8d0c-3c1a5a7c9b10
    Bridge br-int
        Port int-br-ex
            Interface int-br-ex
                type: patch
                options: {peer=phy-br-ex}
        Port tap7ef1c0aa-12
            tag: 3
            Interface tap7ef1c0aa-12
    Bridge br-ex
        Port ens3
            Interface ens3
        Port phy-br-ex
            Interface phy-br-ex
                type: patch
                options: {peer=int-br-ex}
    ovs_version: \"2.17.9\"
[root@cmp1 ~]# ovs-vsctl list port
_uuid               : 7a1d0e0c-5a4b-4f33-9d30-5d5a2f1c7e11
name                : tap7ef1c0aa-12
other_config        : {network_type=vlan, physical_network=physnet1, segmentation_id=\"100\", tag=\"3\"}
tag                 : 3

_uuid               : 7a1d0e0c-5a4b-4f33-9d30-5d5a2f1c7e12
name                : int-br-ex
other_config        : {}
tag                 : []
[root@cmp1 ~]#
";

#[test]
fn physical_networks_are_held_to_their_mtu() {
    let args = ["--select", "MTU-003"];
    let ran = lint(NICS, "env: {physnet_mtu: {physnet1: 1500, physnet2: 9000}}\n", &args);
    assert!(ran.out.contains("\nno faults found"), "{}", ran.out);
    let ran = lint(NICS, "env: {physnet_mtu: {physnet1: 9000}}\n", &args);
    let told = "[MTU-003] cmp1 · ens3: 1500 where physnet1 is to carry 9000 by the configuration";
    assert!(ran.out.contains(told), "{}", ran.out);
}

#[test]
fn counters_are_too_high_where_the_thresholds_say() {
    let args = ["--select", "NIC-002"];
    let errors =
        |config: &str| lint(NICS, config, &args).out.contains("2000 rx_errors among 1000000");
    assert!(!errors("env: {}\n"));
    assert!(errors("thresholds: {counter_ratio: 0.001}\n"));
    assert!(!errors("thresholds: {counter_ratio: 0.001, counter_min: 100000}\n"));
}
