//! `tapline rules`.
use super::run;

#[test]
fn the_table_has_a_line_for_each_rule() {
    let text = run(["rules"]);
    let json = run(["rules", "--format", "json"]).json();
    let rules = json["rules"].as_array().expect("an array");
    assert_eq!(json["schema"], "tapline.rules/1");
    assert_eq!(text.out.lines().count(), rules.len());
    for (line, rule) in text.out.lines().zip(rules) {
        for field in ["code", "id", "severity", "summary"] {
            assert!(line.contains(rule[field].as_str().expect("a string")), "{field} in {line}");
        }
    }
    assert!(rules.iter().any(|rule| rule["code"] == "OVS-001"));
}
