//! Help and version.
use super::run;

#[test]
fn help_ends_with_examples_and_exit_status() {
    let ran = run(["--help"]);
    assert_eq!(ran.code, Some(0));
    for part in ["Usage: tapline", "Examples:", "tapline lint sosreport", "Exit status: 0"] {
        assert!(ran.out.contains(part), "{part} is not in\n{}", ran.out);
    }
}

#[test]
fn every_command_has_help() {
    for command in [
        "lint",
        "show",
        "graph",
        "records",
        "snapshot",
        "coverage",
        "diff",
        "rules",
        "explain",
        "completions",
    ] {
        let ran = run([command, "--help"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{command}");
        assert!(ran.out.contains("Usage: tapline"), "{command}");
    }
}

#[test]
fn limits_are_told_by_the_long_help_only() {
    assert!(run(["lint", "--help"]).out.contains("--max-member-size"));
    assert!(!run(["lint", "-h"]).out.contains("--max-member-size"));
}

#[test]
fn wrong_usage_is_status_2() {
    for args in [&[][..], &["lint"], &["lint", "--no-such-flag", "x"], &["nonsense"]] {
        let ran = run(args);
        assert_eq!(ran.code, Some(2), "{args:?}");
        assert!(!ran.err.is_empty(), "{args:?}");
    }
}

#[test]
fn version_is_printed() {
    let ran = run(["--version"]);
    let version = format!("tapline {}", env!("CARGO_PKG_VERSION"));
    // Built from a repository, it names the commit.
    assert!(
        ran.out.trim() == version || ran.out.starts_with(&format!("{version} (")),
        "{}",
        ran.out
    );
}
