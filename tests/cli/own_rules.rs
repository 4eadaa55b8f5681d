//! Rules of one's own: the examples of the documentation, and what is said of bad ones.
use super::{Folder, SESSION, root, run};

/// The examples of `docs/own-rules.md`.
fn examples() -> Vec<String> {
    let page = std::fs::read_to_string(root().join("docs/own-rules.md")).expect("the page");
    let blocks = page.split("```yaml\n").skip(1);
    blocks.filter_map(|it| it.split_once("```").map(|it| it.0.to_owned())).collect()
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
    let own = findings.iter().find(|it| it["code"] == "X-001").expect("the finding");
    assert_eq!(own["message"], "MTU 1500 is small on eth0");
    assert_eq!(own["object"]["name"], "eth0");
    assert!(own["evidence"][0]["text"].as_str().is_some_and(|it| it.contains("mtu 1500")));
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
    let ran = run(["lint", &folder.join("in"), "--rules", &folder.join("a.yaml")]);
    assert!(
        ran.out.contains("X-001 (own rule): 1 object; would tell: ip -d address"),
        "{}",
        ran.out
    );
}
