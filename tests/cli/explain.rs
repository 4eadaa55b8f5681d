//! `tapline explain`.
use super::run;

#[test]
fn a_page_is_found_by_code_and_by_id_in_any_case() {
    let page = run(["explain", "OVS-001"]);
    assert_eq!(page.code, Some(0));
    assert!(page.out.starts_with("OVS-001  ovs-iface-error  error, proven\n"), "{}", page.out);
    assert!(!page.out.contains("```") && !page.out.contains("\n#"), "{}", page.out);
    assert_eq!(run(["explain", "ovs-iface-error"]).out, page.out);
    assert_eq!(run(["explain", "ovs-001"]).out, page.out);
}

#[test]
fn an_unknown_rule_is_an_error_with_a_guess() {
    let ran = run(["explain", "ovs-iface-eror"]);
    assert_eq!(ran.code, Some(2));
    assert_eq!(
        ran.err,
        "error: no rule is called `ovs-iface-eror`\nhint: did you mean `ovs-iface-error`?\n"
    );
}
