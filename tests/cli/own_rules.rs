//! Rules of one's own: the examples of the documentation, and what is said of bad ones.
use super::{Folder, SESSION, root, run};

/// The examples of `docs/own-rules.md`.
fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/own-rules.md")).expect("the page");
    let blocks = page.split("```yaml\n").skip(1);
    blocks.filter_map(|block| block.split_once("```").map(|pair| pair.0.to_owned())).collect()
}

#[test]
fn the_examples_pass_their_tests() {
    let examples = examples();
    assert_eq!(examples.len(), 3);
    for text in examples {
        let folder = Folder::new(&[("rules.yaml", &text)]);
        let ran = run(["rules", "test", &folder.join("rules.yaml")]);
        assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
        assert!(ran.out.ends_with("1 test passed, 0 failed\n"), "{}", ran.out);
    }
}

const RULE: &str = "\
rules:
  - id: X-001
    name: small-mtu
    severity: error
    match: netdev
    when: node.name != 'lo' && node.mtu < 9000
    message: MTU {{ node.mtu }} is small on {{ node.name }}
tests:
  - transcript: |
      [root@a ~]# ip address
      2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP qlen 1000
          link/ether 52:54:00:aa:bb:01 brd ff:ff:ff:ff:ff:ff
      [root@a ~]#
    expect:
      X-001: [eth1]
";

#[test]
fn findings_cite_the_node() {
    let folder = Folder::new(&[("rules/a.yaml", RULE), ("session.txt", SESSION)]);
    let input = folder.join("session.txt");
    let ran = run(["lint", &input, "--rules", &folder.join("rules"), "--format", "json"]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    let document = ran.json();
    let findings = document["findings"].as_array().cloned().unwrap_or_default();
    let own = findings.iter().find(|finding| finding["code"] == "X-001").expect("the finding");
    assert_eq!(own["message"], "MTU 1500 is small on eth0");
    assert_eq!(own["object"]["name"], "eth0");
    assert!(own["evidence"][0]["text"].as_str().is_some_and(|word| word.contains("mtu 1500")));
    for form in ["sarif", "junit", "github", "text"] {
        let ran = run(["lint", &input, "--rules", &folder.join("rules"), "--format", form]);
        assert!(ran.out.contains("X-001"), "{form}: {}", ran.out);
    }
}

#[test]
fn a_failing_test_tells_the_difference() {
    let folder = Folder::new(&[("a.yaml", RULE)]);
    let ran = run(["rules", "test", &folder.join("a.yaml")]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.out.contains("X-001 did not find eth1"), "{}", ran.out);
    assert!(ran.out.contains("X-001 found eth0, which is not expected"), "{}", ran.out);
}

#[test]
fn a_bad_rule_is_an_error_with_its_place() {
    let bad = RULE.replace("match: netdev", "match: netdevs");
    let folder = Folder::new(&[("a.yaml", &bad), ("session.txt", SESSION)]);
    let ran = run(["lint", &folder.join("session.txt"), "--rules", &folder.join("a.yaml")]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("a.yaml:5:12: "), "{}", ran.err);
    assert!(ran.err.contains("did you mean `netdev`?"), "{}", ran.err);
}

#[test]
fn comparing_what_cannot_be_compared_is_an_error() {
    let bad = RULE.replace("node.mtu < 9000", "node.mtu < 'large'");
    let folder = Folder::new(&[("a.yaml", &bad), ("session.txt", SESSION)]);
    let ran = run(["lint", &folder.join("session.txt"), "--rules", &folder.join("a.yaml")]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("rule X-001: netdev "), "{}", ran.err);
}

#[test]
fn a_field_that_was_not_captured_is_not_told() {
    let rule = RULE.replace("node.name != 'lo' && node.mtu < 9000", "size(node.addresses) > 0");
    let link = "2: eth0: <UP> mtu 1500 qdisc mq state UP mode DEFAULT group default qlen 1000\n    \
        link/ether 52:54:00:aa:bb:01 brd ff:ff:ff:ff:ff:ff\n";
    let folder = Folder::new(&[("a.yaml", &rule), ("in/ip_link", link)]);
    let ran = run(["lint", "--all", &folder.join("in"), "--rules", &folder.join("a.yaml")]);
    assert!(
        ran.out.contains("X-001 (own rule): 1 object; to decide, run: ip -d address"),
        "{}",
        ran.out
    );
}

/// A folder with an input, and a configuration above it that brings the rule.
fn configured(more: &str) -> (Folder, String) {
    let config = format!("rules: [own]\n{more}");
    let files = [("own/a.yaml", RULE), ("in/session.txt", SESSION), ("tapline.yaml", &config)];
    let folder = Folder::new(&files);
    let path = folder.join("in/session.txt");
    (folder, path)
}

#[test]
fn the_configuration_brings_rules_and_speaks_of_them() {
    let (folder, path) = configured("");
    let ran = run(["lint", &path]);
    assert!(ran.out.contains("error[X-001] lab7 · eth0: MTU 1500 is small on eth0"), "{}", ran.out);
    // The same file by both ways is one.
    let ran = run(["lint", &path, "--rules", &folder.join("own/a.yaml")]);
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    for (more, text) in [
        ("overrides:\n  - {rule: X-001, severity: info}\n", "info[X-001]"),
        (
            "suppressions:\n  - {rule: small-mtu, reason: known, until: 9999-12-31}\n",
            "(1 suppressed)",
        ),
        ("ignore: [X-001]\n", "no faults found"),
        ("groups_off: [X]\n", "no faults found"),
        ("select: [small-mtu]\n", "error[X-001]"),
    ] {
        let (_folder, path) = configured(more);
        let ran = run(["lint", "--ignore", "OVS,CAP", &path]);
        assert!(ran.out.contains(text), "{more}{}{}", ran.out, ran.err);
    }
    // A rule of the severity error needs an end, and names are looked up with their place.
    let (_folder, path) = configured("suppressions:\n  - {rule: X-001, reason: known}\n");
    let ran = run(["lint", &path]);
    assert!(ran.err.contains("tapline.yaml:3:5: "), "{}", ran.err);
    assert!(ran.err.contains("X-001 small-mtu is of the severity error"), "{}", ran.err);
    let (_folder, path) = configured("ignore: [X-002]\n");
    let ran = run(["lint", &path]);
    assert!(ran.err.contains("tapline.yaml:2:10: no rule is called `X-002`"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `X-001`?"), "{}", ran.err);
}

#[test]
fn a_folder_without_rules_is_an_error() {
    let folder = Folder::new(&[("rules/readme.txt", ""), ("in/session.txt", SESSION)]);
    let ran = run(["lint", &folder.join("in/session.txt"), "--rules", &folder.join("rules")]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""));
    assert!(ran.err.contains("there is no *.yaml in this folder"), "{}", ran.err);
}

#[test]
fn every_command_knows_them() {
    let folder = Folder::new(&[("a.yaml", RULE), ("in/session.txt", SESSION)]);
    let (rules, input) = (folder.join("a.yaml"), folder.join("in/session.txt"));
    let ran = run(["lint", &input, "--rules", &rules, "--select", "X-001"]);
    assert!(ran.out.contains("\nerror[X-001]") && !ran.out.contains("OVS-"), "{}", ran.out);
    let ran = run(["lint", &input, "--rules", &rules, "--select", "x"]);
    assert!(ran.out.contains("\nerror[X-001]"), "{}", ran.out);
    let ran = run(["explain", "small-mtu", "--rules", &rules]);
    assert!(ran.out.starts_with("X-001  small-mtu  error, proven\n"), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("node.mtu < 9000"), "{}", ran.out);
    let ran = run(["explain", "small-mut", "--rules", &rules]);
    assert!(ran.err.contains("did you mean `small-mtu`?"), "{}", ran.err);
    let ran = run(["rules", "--rules", &rules]);
    assert!(ran.out.lines().last().is_some_and(|line| line.starts_with("X-001")), "{}", ran.out);
    let all = run(["rules", "--rules", &rules, "--format", "json"]).json();
    let all = all["rules"].as_array().cloned().unwrap_or_default();
    assert!(all.iter().any(|it| it["code"] == "X-001" && it["own"] == true));
    assert!(all.iter().any(|it| it["code"] == "OVS-001" && it["core"] == true));
}

#[test]
fn coverage_names_what_leaves_them_open() {
    let rule = RULE.replace("node.name != 'lo' && node.mtu < 9000", "size(node.addresses) > 0");
    let link = "2: eth0: <UP> mtu 1500 qdisc mq state UP mode DEFAULT group default qlen 1000\n    \
        link/ether 52:54:00:aa:bb:01 brd ff:ff:ff:ff:ff:ff\n";
    let folder = Folder::new(&[("a.yaml", &rule), ("in/ip_link", link)]);
    let ran = run(["coverage", &folder.join("in"), "--rules", &folder.join("a.yaml")]);
    assert!(ran.out.contains("X-001"), "{}{}", ran.out, ran.err);
}

#[test]
fn names_are_given_once() {
    let bad = RULE.replace("name: small-mtu", "name: ovs-dead-vlan");
    let folder = Folder::new(&[("a.yaml", &bad)]);
    let ran = run(["rules", "test", &folder.join("a.yaml")]);
    assert_eq!(ran.code, Some(2), "{}", ran.out);
    assert!(ran.err.contains("X-001 and OVS-002 are both called `ovs-dead-vlan`"), "{}", ran.err);
}
