//! `tapline info`, and `show` of a host.
use super::{Folder, HEALTHY, SESSION, node2, root, run};

#[test]
fn a_host_fits_a_screen() {
    let faults = root().join("corpus/lab/faults").display().to_string();
    let ran = run(["info", &faults]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert!(ran.out.lines().count() <= 60, "{}", ran.out);
    insta::assert_snapshot!(ran.out);
    // A host of 500 VMs fits it too.
    let many = root().join("corpus/lab/scale-500").display().to_string();
    let ran = run(["info", &many]);
    assert!(ran.out.lines().count() <= 60, "{}", ran.out);
    assert!(ran.out.contains("500 VMs: "), "{}", ran.out);
}

#[test]
fn show_of_a_host_is_the_same() {
    let (info, show) = (run(["info", &node2()]), run(["show", &node2(), "node2"]));
    assert_eq!((show.code, &show.out), (Some(0), &info.out));
}

#[test]
fn what_was_not_captured_is_not_guessed() {
    let folder = Folder::new(&[("session.txt", HEALTHY)]);
    let ran = run(["info", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder));
}

#[test]
fn json_has_its_places() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    let document = run(["info", "--format", "json", &path]).json();
    assert_eq!(document["schema"], "tapline.info/1");
    let host = &document["hosts"][0];
    assert_eq!((&host["host"], &host["ovs"]["value"]), (&"lab7".into(), &"2.5.0".into()));
    assert_eq!(host["ovs"]["at"]["line"], 12);
    assert_eq!(host["captured"], serde_json::Value::Null);
    assert_eq!(host["nics"][0]["addresses"][0], "192.0.2.7/24");
    assert_eq!(host["broken"][0]["code"], "OVS-001");
    assert_eq!(host["roles"].as_array().map(Vec::len), Some(0));
    let asked = host["roles_unknown"].as_array().expect("commands");
    assert!(asked.iter().any(|command| command == "virsh list --all"), "{asked:?}");
}
