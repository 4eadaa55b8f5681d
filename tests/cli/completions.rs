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
