//! `tapline diff`.
use std::collections::BTreeSet;

use super::{Folder, Ran, SESSION, run};

fn diff(edits: &[(&str, &str)], options: &[&str]) -> (Folder, Ran) {
    let mut new = SESSION.to_owned();
    for (from, to) in edits {
        assert!(new.contains(from), "{from:?} is not in the session");
        new = new.replace(from, to);
    }
    let folder = Folder::new(&[("old.txt", SESSION), ("new.txt", &new)]);
    let (old, new) = (folder.join("old.txt"), folder.join("new.txt"));
    let args: Vec<&str> = [&["diff", &old, &new], options].concat();
    let ran = run(args);
    (folder, ran)
}

#[test]
fn the_first_screen_says_what_changed_and_which_lines_prove_it() {
    let (folder, ran) = diff(&[("192.0.2.7/24", "192.0.2.8/24"), ("mtu 1500", "mtu 1400")], &[]);
    insta::assert_snapshot!(ran.shown(&folder));
}

/// The faults that were planted in the lab come first, each with what it cuts.
#[test]
fn a_healthy_host_is_told_from_one_with_faults() {
    let ran =
        crate::command(["diff", "corpus/lab/seed/node2.tar.xz", "corpus/lab/faults/node2.tar.xz"])
            .current_dir(crate::root())
            .output();
    let ran: Ran = ran.expect("the binary runs").into();
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    insta::assert_snapshot!(ran.out);
}

#[test]
fn markdown_is_for_pull_requests() {
    let (folder, ran) = diff(&[("mtu 1500", "mtu 1400")], &["--format", "markdown"]);
    insta::assert_snapshot!(ran.shown(&folder));
}

#[test]
fn programs_get_both_sides_of_each_change() {
    let (_folder, ran) = diff(&[("mtu 1500", "mtu 1400")], &["--format", "json"]);
    let document = ran.json();
    assert_eq!(document["schema"], "tapline.diff/1");
    let change = &document["hosts"][0]["changes"][0];
    assert_eq!(change["key"], "netdev//eth0");
    let difference = &change["differences"][0];
    assert_eq!((&difference["before"], &difference["after"]), (&"1500".into(), &"1400".into()));
    for side in ["old", "new"] {
        let text = difference["evidence"][side]["text"].as_str().unwrap_or_default();
        assert!(text.contains("eth0"), "{text}");
    }
}

#[test]
fn the_exit_status_says_how_bad_it_is() {
    assert_eq!(diff(&[], &[]).1.code, Some(0));
    let mtu = &[("mtu 1500", "mtu 1400")][..];
    assert_eq!(diff(mtu, &[]).1.code, Some(1));
    assert_eq!(diff(mtu, &["--fail-on", "breaking"]).1.code, Some(0));
    let down = &[("<BROADCAST,MULTICAST,UP,LOWER_UP>", "<BROADCAST,MULTICAST>")][..];
    assert_eq!(diff(down, &["--fail-on", "breaking"]).1.code, Some(1));
    assert_eq!(diff(down, &["--fail-on", "never"]).1.code, Some(0));
}

#[test]
fn two_machines_are_not_compared() {
    let other = SESSION.replace("lab7", "lab8").replace("52:54:00:aa:bb:01", "52:54:00:aa:cc:01");
    let folder = Folder::new(&[("old.txt", SESSION), ("new.txt", &other)]);
    let ran = run(["diff", &folder.join("old.txt"), &folder.join("new.txt")]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("two machines"), "{}", ran.out);
}

#[test]
fn each_side_may_be_several_inputs() {
    let folder = Folder::new(&[("a.txt", SESSION)]);
    let input = folder.join("a.txt");
    let ran = run(["diff", "--old", &input, "--new", &input]);
    assert_eq!(ran.code, Some(0), "{}", ran.err);
    for (args, why) in [
        (&["diff", &*input][..], "NEW, the captures of now, is missing"),
        (&["diff"][..], "OLD, the captures of before, is missing"),
        (&["diff", "-", "-"][..], "standard input"),
    ] {
        let ran = run(args);
        assert_eq!(ran.code, Some(2), "{args:?}");
        assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
    }
}

/// What came, what is gone and what was changed is drawn, each with its class and its sign.
#[test]
fn a_picture_shows_both_sides() {
    let root = crate::root();
    let of =
        |name: &str| root.join("corpus/lab").join(name).join("node2.tar.xz").display().to_string();
    let (seed, faults) = (of("seed"), of("faults"));
    let there = run(["diff", "--format", "svg", &seed, &faults]);
    assert_eq!(there.code, Some(1), "{}", there.err);
    let back = run(["diff", "--format", "svg", &faults, &seed]);
    // In both directions as much is drawn in the one colour as in the other.
    let many = |svg: &str, class: &str, sort: &str| {
        let lines = svg.lines().filter(|line| line.starts_with("<g class=\""));
        lines.filter(|line| line.contains(sort) && line.contains(class)).count()
    };
    for sort in ["card", "row"] {
        assert!(many(&there.out, " added\"", sort) > 0, "{sort}");
        assert_eq!(
            many(&there.out, " added\"", sort),
            many(&back.out, " removed\"", sort),
            "{sort}"
        );
    }
    let text = |svg: &str, words: &str| assert!(svg.contains(words), "{words} is not in\n{svg}");
    text(&there.out, ">+ instance-000000c0<");
    text(&there.out, ">tag 2 → 4095<");
    text(&back.out, ">- instance-000000c0<");
    // A capture and itself: all is as before.
    let same = run(["diff", "--format", "svg", &seed, &seed]);
    assert_eq!((same.code, many(&same.out, " added\"", "card")), (Some(0), 0));
    let page = run(["diff", "--format", "html", &seed, &faults]);
    text(&page.out, "Content-Security-Policy");
    text(&page.out, ">+ instance-000000c0<");
    assert!(!page.out.contains("<script"));
}

#[test]
fn a_snapshot_has_no_picture() {
    let folder = Folder::new(&[("a.txt", SESSION)]);
    let input = folder.join("a.txt");
    let written = run(["snapshot", &input]).out;
    let file = folder.add("a.yaml", written.as_bytes()).display().to_string();
    let ran = run(["diff", "--format", "svg", &file, &input]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("a picture needs captures on both sides"), "{}", ran.err);
}

/// Findings are new where a baseline of the old captures does not hold them, and gone where one of the new
/// captures does not.
#[test]
fn a_baseline_has_the_keys_of_diff() {
    let root = crate::root();
    let of =
        |name: &str| root.join("corpus/lab").join(name).join("node2.tar.xz").display().to_string();
    let (old, new) = (of("seed"), of("faults"));
    let folder = Folder::new(&[]);
    let known = |input: &str, name: &str| -> BTreeSet<String> {
        let file = folder.join(name);
        run(["lint", "-q", "--write-baseline", &file, input]);
        let text = std::fs::read_to_string(&file).expect("a baseline was written");
        let document: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
        let rows = document["findings"].as_array().into_iter().flatten();
        rows.filter_map(|row| row["fingerprint"].as_str().map(str::to_owned)).collect()
    };
    let (before, after) = (known(&old, "old.json"), known(&new, "new.json"));
    let document = run(["diff", "--format", "json", &old, &new]).json();
    let told = |fates: [&str; 2]| -> BTreeSet<String> {
        let rows = document["findings"].as_array().into_iter().flatten();
        let rows = rows.filter(|row| fates.iter().any(|fate| row["fate"] == *fate));
        rows.filter_map(|row| row["fingerprint"].as_str().map(str::to_owned)).collect()
    };
    assert_eq!(told(["new", "maybe-new"]), after.difference(&before).cloned().collect());
    assert_eq!(told(["gone", "maybe-gone"]), before.difference(&after).cloned().collect());
    assert!(!before.is_empty() && !after.is_empty());
}
