//! `tapline show`.
use super::{Folder, SESSION, node2, run};

/// The names on the path, in order, without what is said about them.
fn path(out: &str) -> Vec<String> {
    let path = out.split("\npath\n").nth(1).and_then(|it| it.split("\n\n").next());
    path.expect("a path")
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '│', '├', '└', '─']).split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_path_of_a_tap_leads_from_its_vm_to_the_wire() {
    let ran = run(["show", &node2(), "tap85bcbfb0-bc"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    let path = path(&ran.out);
    let up = [
        "instance-00000070",
        "instance-00000070/tap85bcbfb0-bc",
        "tap85bcbfb0-bc",
        "qbr85bcbfb0-bc",
        "qvb85bcbfb0-bc",
        "qvo85bcbfb0-bc",
        "br-int/qvo85bcbfb0-bc",
        "br-int",
    ];
    assert_eq!(path.get(..up.len()).expect("a long path"), up);
    // VLAN 1 is an overlay: the tunnels carry it, and the NIC below them.
    for name in ["br-tun/patch-int", "br-tun/vxlan-0a0a0a01", "10.10.10.1", "enp4s0f0"] {
        assert!(path.iter().any(|path| path == name), "{name} is not in {path:?}");
    }
    for name in ["br-int/int-br-ex", "br-ex", "enp4s0f1"] {
        assert!(!path.iter().any(|path| path == name), "{name} is in {path:?}");
    }
    assert!(ran.out.contains("(NIC of a VM, fa:16:3e:52:43:c5)"), "{}", ran.out);
    assert!(ran.out.contains("br-int/qvo85bcbfb0-bc (OVS port, tag 1)"), "{}", ran.out);
    assert!(ran.out.contains("node2!brctl_show:"), "{}", ran.out);
}

#[test]
fn a_thing_is_found_by_all_its_names() {
    for name in [
        "instance-00000070",
        "web-1",
        "fa:16:3e:52:43:c5",
        "node2:tap85bcbfb0-bc",
        "root/tap85bcbfb0-bc",
        "85bcbfb0-bc",
    ] {
        let ran = run(["show", &node2(), name]);
        assert_eq!(ran.code, Some(0), "{name}: {}", ran.out);
        assert!(ran.out.contains("tap85bcbfb0-bc"), "{name}: {}", ran.out);
    }
}

#[test]
fn an_address_is_found_in_its_namespace() {
    let ran = run(["show", &node2(), "192.168.0.1"]);
    assert!(ran.out.starts_with("qr-0fd24acc-81 on node2 in qrouter-8800b853"), "{}", ran.out);
}

#[test]
fn an_unknown_name_is_status_1_with_what_was_searched() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["show", &folder.join("session.txt"), "eth00"]);
    insta::assert_snapshot!(ran.shown(&folder), @"
    nothing is called eth00
      searched completely on lab7: devices, OVS bridges and ports, names of namespaces
      not captured in full on lab7: virsh list --all
    hint: did you mean eth0?
    exit status Some(1)
    ");
}
