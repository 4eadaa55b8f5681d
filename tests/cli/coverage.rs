//! `tapline coverage`.
use super::{Folder, SESSION, fields, run};

#[test]
fn text_tells_what_is_complete_and_what_would_tell_the_rest() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["coverage", &folder.join("session.txt")]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with("lab7 from "), "{}", ran.out);
    assert!(ran.out.contains("complete     devices, "), "{}", ran.out);
    assert!(ran.out.contains("would tell: virsh list --all"), "{}", ran.out);
}

#[test]
fn a_failed_capture_keeps_its_reason() {
    let folder = Folder::new(&[
        ("ip_-d_address", "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n"),
        ("brctl_show", "bash: brctl: command not found\n"),
    ]);
    let ran = run(["coverage", "--format", "json", &folder.join("")]);
    let document = ran.json();
    assert_eq!(document["schema"], "tapline.coverage/1");
    let texts = document["hosts"][0]["texts"].as_array().expect("an array");
    let failed = texts.iter().find(|it| it["command"] == "brctl show").expect("the text");
    assert_eq!(failed["state"], "failed");
    assert_eq!(failed["reason"], "bash: brctl: command not found");
    for field in ["host", "inputs", "namespaces", "undecided", "texts"] {
        assert!(fields(&document["hosts"][0]).contains(&field), "{field}");
    }
}
