//! `tapline show`.
use super::{Folder, SESSION, node2, run};

/// The names on the path, in order, without what is said about them.
fn path(out: &str) -> Vec<String> {
    let path = out.split("\npath\n").nth(1).and_then(|it| it.split("\n\n").next());
    path.expect("a path")
        .lines()
        .filter(|line| !line.starts_with("  ✓"))
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
    assert!(ran.out.contains("captures/node2/ip_-d_address\n"), "{}", ran.out);
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

#[test]
fn what_is_wrong_with_a_thing_stands_first() {
    let faults = super::root().join("corpus/lab/faults").display().to_string();
    let ran = run(["show", &faults, "instance-0000002d"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    let (before, after) = ran.out.split_once("\npath\n").expect("a path");
    assert!(before.contains("E VM-002  instance-0000002d/tap2d4a7a05-ea: "), "{before}");
    let path = after.split("\n\n").next().expect("its lines");
    let hop = |name: &str| path.lines().find(|line| line.contains(name)).expect("the hop");
    assert!(hop("tap2d4a7a05-ea (NIC").ends_with("✗ VM-002"), "{path}");
    assert!(hop("tap263b3957-09 (tap").ends_with('✓'), "{path}");
    assert!(path.contains("✓ frames pass  ✗ they do not  ? not known"), "{path}");
    insta::assert_snapshot!(ran.out.replace(&faults, "[FAULTS]"));
}

#[test]
fn the_address_of_a_guest_is_told_with_how_it_is_known() {
    let sessions = super::root().join("corpus/sosreports/two-hosts/node1.tar.xz");
    let other = super::root().join("corpus/sosreports/two-hosts/node2.tar.xz");
    let (one, two) = (sessions.display().to_string(), other.display().to_string());
    let ran = run(["show", &one, &two, "192.168.1.12"]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(ran.out.starts_with("instance-00000102/tap5e6f7a8b-9c on node2: "), "{}", ran.out);
    let (_, addresses) = ran.out.split_once("\naddresses\n").expect("addresses");
    let line = addresses.lines().next().expect("one");
    assert!(line.starts_with("  192.168.1.12 fixed, "), "{line}");
}

#[test]
fn things_are_found_by_what_they_have() {
    let faults = super::root().join("corpus/lab/faults").display().to_string();
    for (asked, because, found) in [
        ("192.168.1.0/24", "has an address in 192.168.1.0/24", "qr-764aecf0-56"),
        ("4095", "is on VLAN 4095", "qvof010b8f6-df"),
        ("vlan 100", "is on VLAN 100", "vlan100"),
        ("3f6d2c1a", "", "qrouter-3f6d2c1a-7e54-4b0c-9a83-5d1e8f2b6c70"),
        ("qrouter-3f6", "begins with qrouter-3f6", "qrouter-3f6d2c1a-7e54-4b0c-9a83-5d1e8f2b6c70"),
        ("qvo2d*", "fits qvo2d*", "qvo2d4a7a05-ea"),
    ] {
        let ran = run(["show", &faults, asked]);
        assert_eq!(ran.code, Some(0), "{asked}: {}", ran.out);
        assert!(ran.out.contains(because) && ran.out.contains(found), "{asked}: {}", ran.out);
    }
}

#[test]
fn a_name_in_the_place_of_an_input_is_told() {
    let ran = run(["show", "node2", &node2()]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("the name comes last: tapline show "), "{}", ran.err);
    let ran = run(["show", &node2()]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("hint: tapline show "), "{}", ran.err);
}

#[test]
fn json_has_the_same() {
    let faults = super::root().join("corpus/lab/faults").display().to_string();
    let document = run(["show", "--format", "json", &faults, "tap2d4a7a05-ea"]).json();
    assert_eq!(document["schema"], "tapline.show/1");
    let found = &document["found"][0];
    let codes: Vec<&str> =
        found["findings"].as_array().unwrap().iter().filter_map(|it| it["code"].as_str()).collect();
    assert!(codes.contains(&"VM-002"), "{codes:?}");
    assert_eq!(found["up"][0]["name"], "instance-0000002d/tap2d4a7a05-ea");
    assert!(found["known_from"][0]["at"]["line"].is_u64(), "{found}");
}
