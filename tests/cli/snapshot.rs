//! `tapline snapshot`.
use super::{Folder, SESSION, node2, run};

#[test]
fn things_are_written_by_the_keys_of_diff() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["snapshot", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder));
}

#[test]
fn what_renumbers_is_no_change() {
    let renumbered =
        SESSION.replace("2: eth0", "17: eth0").replace("valid_lft forever", "valid_lft 300sec");
    let folder = Folder::new(&[("a.txt", SESSION), ("b.txt", &renumbered)]);
    let file = folder.join("a.yaml");
    let written = run(["snapshot", &folder.join("a.txt")]).out;
    folder.add("a.yaml", format!("# of lab7\n{}", written.replace('\n', "\r\n")).as_bytes());
    let ran = run(["snapshot", "--check", &file, &folder.join("b.txt")]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("1 host compared: no change"), "{}", ran.out);
}

/// `--check` and `diff` say the same of a snapshot and a capture.
#[test]
fn a_change_is_told_as_diff_tells_it() {
    let changed = SESSION.replace("tag: 7", "tag: 4095").replace("192.0.2.7/24", "192.0.2.8/24");
    let folder = Folder::new(&[("a.txt", SESSION), ("b.txt", &changed)]);
    let written = run(["snapshot", &folder.join("a.txt")]).out;
    let file = folder.add("a.yaml", written.as_bytes()).display().to_string();
    let ran = run(["snapshot", "--check", &file, &folder.join("b.txt")]);
    insta::assert_snapshot!(ran.shown(&folder));
    assert_eq!(ran.code, Some(1));
    let diff = run(["diff", &file, &folder.join("b.txt")]);
    assert_eq!((diff.code, diff.out), (ran.code, ran.out));
    // The other way round what came goes.
    let back = run(["diff", &folder.join("b.txt"), &file]);
    assert_eq!(back.code, Some(1), "{}", back.err);
    assert!(back.out.contains("192.0.2.8/24 → 192.0.2.7/24"), "{}", back.out);
}

#[test]
fn a_whole_host_does_not_differ_from_its_snapshot() {
    let written = run(["snapshot", &node2()]);
    assert_eq!(written.code, Some(0), "{}", written.err);
    assert_eq!(written.out, run(["snapshot", &node2()]).out);
    let folder = Folder::new(&[]);
    let file = folder.add("node2.yaml", written.out.as_bytes()).display().to_string();
    for sides in [[&*file, &*node2()], [&*node2(), &*file], [&*file, &*file]] {
        let ran = run(["diff", sides[0], sides[1]]);
        assert_eq!(ran.code, Some(0), "{sides:?}: {}{}", ran.out, ran.err);
    }
    for part in ["ifindex", "ofport"] {
        assert!(!written.out.contains(part), "{part} is in\n{}", written.out);
    }
}

#[test]
fn what_is_no_snapshot_is_told() {
    let folder =
        Folder::new(&[("a.txt", SESSION), ("old.yaml", "schema: tapline.snapshot/1\nhosts: {}\n")]);
    let path = folder.join("a.txt");
    let old = folder.join("old.yaml");
    for (args, why) in [
        (&["snapshot", "--check", &*path, &*path][..], "a.txt is not a snapshot"),
        (&["snapshot", "--check", &*old, &*path][..], "an earlier version"),
        (&["diff", &*old, &*path][..], "an earlier version"),
        (&["diff", "--old", &*old, "--old", &*path, "--new", &*path][..], "a side by itself"),
    ] {
        let ran = run(args);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{args:?}");
        assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
    }
}
