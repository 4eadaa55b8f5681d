//! `tapline completions`.
use super::run;

#[test]
fn scripts_know_the_commands() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let ran = run(["completions", shell]);
        assert_eq!(ran.code, Some(0), "{shell}");
        assert!(ran.out.contains("coverage"), "{shell}");
    }
}

#[test]
fn codes_of_rules_are_completed() {
    let script = run(["completions", "bash"]).out;
    assert!(script.contains("OVS-001"), "no codes");
    // The program takes families and ids all the same.
    assert_eq!(run(["explain", "ovs-iface-error"]).code, Some(0));
}
