//! Names the commit that is built, where one can be told: `0.1.0 (1a2b3c4d5 2026-11-30)`.
//!
//! Whoever builds from a copy without git says it in `TAPLINE_COMMIT`, or goes without.
#![expect(clippy::disallowed_methods, reason = "a build script asks its environment")]
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=TAPLINE_COMMIT");
    let version = std::env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let said = std::env::var("TAPLINE_COMMIT").ok().filter(|said| !said.trim().is_empty());
    let version = match said.or_else(of_git).or_else(of_package) {
        Some(commit) => format!("{version} ({})", commit.trim()),
        None => version,
    };
    println!("cargo::rustc-env=TAPLINE_VERSION={version}");
}

fn git(args: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(args).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The commit of the repository that this crate is in; another one around it, as that of a person who
/// vendors it, says nothing.
fn of_git() -> Option<String> {
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    let commit = git(&["log", "-1", "--format=%h %cs", "--abbrev=9"])?;
    // Where HEAD or the branch that it names moves, the version is another one.
    for part in ["HEAD", "logs/HEAD"] {
        if let Some(path) =
            git(&["rev-parse", "--git-path", part]).filter(|path| Path::new(path).exists())
        {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    Some(commit)
}

/// What `cargo package` wrote down.
fn of_package() -> Option<String> {
    println!("cargo::rerun-if-changed=build.rs");
    let text = std::fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    let commit = rest.split('"').nth(1)?;
    commit.get(..9).map(str::to_owned)
}
