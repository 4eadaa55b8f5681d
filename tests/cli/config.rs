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
        ran.out.starts_with("no new faults found (1 suppressed)\nconfigured by "),
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
fn severities_and_rules_are_set() {
    let config =
        "select: [OVS]\nignore: [OVS-002]\noverrides:\n  - {rule: OVS-001, severity: error}\n";
    let (_folder, path) = folder(config);
    let ran = run(["lint", &path]);
    assert_eq!(ran.code, Some(1), "{}", ran.out);
    assert!(ran.out.starts_with("error[OVS-001]"), "{}", ran.out);
    let document = run(["lint", "--format", "json", &path]).json();
    let ran: Vec<_> = document["clean"].as_array().unwrap().iter().map(|it| &it["code"]).collect();
    assert!(ran.iter().all(|it| it.as_str().unwrap().starts_with("OVS-")), "{ran:?}");
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
