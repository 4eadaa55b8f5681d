//! `tapline lint --baseline` and `--write-baseline`.
use super::{Folder, SESSION, run};

/// A second port that OVS could not make.
fn worse() -> String {
    SESSION.replace(
        "    ovs_version",
        "        Port \"qvo22222222-22\"\n            Interface \"qvo22222222-22\"\n                \
         error: \"could not open network device qvo22222222-22 (No such device)\"\n    ovs_version",
    )
}

#[test]
fn only_what_is_new_counts() {
    let folder = Folder::new(&[("before.txt", SESSION), ("after.txt", &worse())]);
    let file = folder.join("baseline.json");
    let (before, after) = (folder.join("before.txt"), folder.join("after.txt"));
    let args = |input| ["lint", "--select", "OVS-001", "--fail-on", "warning", input];

    let ran = run(args(&before).into_iter().chain(["--write-baseline", &file]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("\nno new faults found (1 in the baseline)\n"), "{}", ran.out);
    assert_eq!(ran.err, format!("wrote 1 finding to {file}\n"));

    let ran = run(args(&before).into_iter().chain(["--baseline", &file]));
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);

    let ran = run(args(&after).into_iter().chain(["--baseline", &file]));
    assert_eq!(ran.code, Some(1), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("qvo22222222-22: OVS could not open the device"), "{}", ran.out);
    assert!(!ran.out.contains("qvo11111111-11: OVS could"), "{}", ran.out);
    assert!(ran.out.contains("\n1 warning (1 in the baseline)\n"), "{}", ran.out);

    let json =
        run(args(&after).into_iter().chain(["--baseline", &file, "--format", "json"])).json();
    let known: Vec<_> =
        json["findings"].as_array().unwrap().iter().map(|item| &item["baseline"]).collect();
    assert_eq!(known, [&true.into(), &false.into()] as [&serde_json::Value; 2]);
    let sarif =
        run(args(&after).into_iter().chain(["--baseline", &file, "--format", "sarif"])).json();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    let states: Vec<_> =
        results.iter().map(|result| result["baselineState"].as_str().unwrap()).collect();
    assert_eq!(states, ["unchanged", "new"]);
}

#[test]
fn a_baseline_is_replaced_and_anything_else_is_kept() {
    let folder = Folder::new(&[("session.txt", SESSION), ("after.txt", &worse())]);
    let file = folder.join("baseline.json");
    let (path, after) = (folder.join("session.txt"), folder.join("after.txt"));
    let write = |input: &str, file: &str| {
        run(["lint", "-q", "--select", "OVS-001", "--write-baseline", file, input])
    };
    assert_eq!(write(&after, &file).code, Some(0));
    let long = std::fs::read_to_string(&file).unwrap();
    assert_eq!(write(&path, &file).code, Some(0));
    let short = std::fs::read_to_string(&file).unwrap();
    assert!(short.len() < long.len() && short.contains("tapline.baseline/2"), "{short}");

    let ran = write(&path, &after);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("after.txt is there and is not a baseline"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(&after).unwrap(), worse());
}

#[test]
fn what_is_no_baseline_is_told() {
    let folder = Folder::new(&[
        ("session.txt", SESSION),
        ("b.json", "{\"schema\": \"x/1\", \"findings\": []}"),
    ]);
    let (path, file) = (folder.join("session.txt"), folder.join("b.json"));
    let ran = run(["lint", "--baseline", &file, &path]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("b.json is not a baseline: its schema is `x/1`"), "{}", ran.err);
    let ran = run(["lint", "--write-baseline", "/no/such/folder/b.json", &path]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("/no/such/folder/b.json"), "{}", ran.err);
}
