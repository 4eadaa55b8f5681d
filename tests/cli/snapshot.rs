//! `tapline snapshot`.
use super::{Folder, SESSION, node2, run};

#[test]
fn the_topology_is_written_by_name() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["snapshot", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder), @r#"
    schema: tapline.snapshot/1
    hosts:
      lab7:
        namespaces:
          root:
            devices:
              eth0:
                kind: physical
                state: UP
                mtu: 1500
                addresses:
                - 192.0.2.7/24
              lo:
                kind: loopback
                state: UP
                mtu: 65536
                addresses:
                - 127.0.0.1/8
        bridges:
          br-int:
            fail_mode: secure
            ports:
              br-int:
                interfaces:
                  br-int:
                    type: internal
              qvo11111111-11:
                tag: 7
                interfaces:
                  qvo11111111-11:
                    type: system
                    error: could not open network device qvo11111111-11 (No such device)
    exit status Some(0)
    "#);
}

#[test]
fn what_renumbers_is_no_change() {
    let renumbered = SESSION
        .replace("2: eth0", "17: eth0")
        .replace("valid_lft forever", "valid_lft 300sec")
        .replace("52:54:00:aa:bb:01", "52:54:00:aa:bb:02");
    let folder = Folder::new(&[("a.txt", SESSION), ("b.txt", &renumbered)]);
    let file = folder.join("a.yaml");
    let written = run(["snapshot", &folder.join("a.txt")]).out;
    folder.add("a.yaml", format!("# of lab7\n{}", written.replace('\n', "\r\n")).as_bytes());
    let ran = run(["snapshot", "--check", &file, &folder.join("b.txt")]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert_eq!(ran.out, "the topology is that of the snapshot\n");
}

#[test]
fn a_change_is_shown() {
    let changed = SESSION.replace("tag: 7", "tag: 4095").replace("192.0.2.7/24", "192.0.2.8/24");
    let folder = Folder::new(&[("a.txt", SESSION), ("b.txt", &changed)]);
    let written = run(["snapshot", &folder.join("a.txt")]).out;
    let file = folder.add("a.yaml", written.as_bytes()).display().to_string();
    let ran = run(["snapshot", "--check", &file, &folder.join("b.txt")]);
    insta::assert_snapshot!(ran.shown(&folder), @r#"
    --- [DIR]/a.yaml
    +++ the inputs
    @@ -9,7 +9,7 @@ hosts / lab7 / namespaces / root / devices / eth0 / addresses
                 state: UP
                 mtu: 1500
                 addresses:
    -            - 192.0.2.7/24
    +            - 192.0.2.8/24
               lo:
                 kind: loopback
                 state: UP
    @@ -25,7 +25,7 @@ hosts / lab7 / bridges / br-int / ports / qvo11111111-11
                   br-int:
                     type: internal
               qvo11111111-11:
    -            tag: 7
    +            tag: 4095
                 interfaces:
                   qvo11111111-11:
                     type: system
    the topology has changed: 2 lines removed, 2 lines added
    exit status Some(1)
    "#);
}

#[test]
fn a_whole_host_is_the_same_from_folder_and_archive() {
    let archive = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/sosreports/node2.tar.xz");
    let (a, b) = (run(["snapshot", &node2()]), run(["snapshot", archive]));
    assert_eq!((a.code, b.code), (Some(0), Some(0)), "{}{}", a.err, b.err);
    assert_eq!(a.out, run(["snapshot", &node2()]).out);
    for part in ["schema: tapline.snapshot/1\n", "qvoe0f204ea-12", "nics:", "tunnels:", "routes:"] {
        assert!(a.out.contains(part) && b.out.contains(part), "{part} is not in\n{}", a.out);
    }
    for part in ["ifindex", "ofport"] {
        assert!(!a.out.contains(part), "{part} is in\n{}", a.out);
    }
}

#[test]
fn what_is_no_snapshot_is_told() {
    let folder = Folder::new(&[("a.txt", SESSION)]);
    let path = folder.join("a.txt");
    let ran = run(["snapshot", "--check", &path, &path]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("a.txt is not a snapshot of the topology"), "{}", ran.err);
}
