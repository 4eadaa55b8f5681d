//! `cargo dev mutants`: mistakes that were made once, or that no test would have noticed, are made
//! again on purpose, one at a time, in a copy of the checkout. The test that is to notice each is run.
//!
//! The copy is below `target` and kept, so that only what changes is compiled again. It is built into a
//! folder of its own: cargo would take what is built of a mutant for what is built of the checkout.
#![expect(clippy::disallowed_methods, reason = "the chores write files")]
#![expect(clippy::print_stdout, reason = "it tells what it does while it does it")]
mod list;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use anyhow::{Context as _, ensure};

use crate::copy::mirror_but;
use crate::scaffold::root;

pub use list::MUTANTS;

/// Not part of the copy.
const LEFT_OUT: &[&str] = &["target", ".git"];

/// Our crates without programs, whose tests are run. They are compiled anew for each mutant and run
/// briefly: optimising would take longer.
const OURS: &[&str] = &[
    "tapline-core",
    "tapline-formats",
    "tapline-anonymize",
    "tapline-capture",
    "tapline-topology",
    "tapline-network",
    "tapline-analysis",
];

/// A mistake.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// What is wrong then, in words.
    pub name: &'static str,
    /// The file in which it is made.
    pub file: &'static str,
    /// The text that stands there; it stands there once.
    pub text: &'static str,
    /// What is written in its place.
    pub instead: &'static str,
    /// The test that is to notice it, as arguments of `cargo test`.
    pub test: &'static str,
}

/// Makes each mistake whose name has `part` in it.
///
/// # Errors
///
/// When no such mistake is listed, one is not noticed, or a test fails without any.
pub fn run(part: &str) -> anyhow::Result<String> {
    let chosen: Vec<&Mutant> = MUTANTS.iter().filter(|mutant| mutant.name.contains(part)).collect();
    ensure!(!chosen.is_empty(), "no mutant has `{part}` in its name");
    let copy = root().join("target/mutants");
    mirror_but(&root(), &copy, LEFT_OUT)?;
    for test in chosen.iter().map(|mutant| mutant.test).collect::<BTreeSet<_>>() {
        println!("cargo test {test}: has to pass without a mutant");
        let output = cargo_test(&copy, test, &[])?;
        ensure!(output.status.success(), "it fails without a mutant\n{}", said(&output));
    }
    let mut lived = Vec::new();
    for mutant in &chosen {
        let notices = try_out(&copy, mutant)?;
        println!(
            "{:8} {}: {}",
            if notices { "noticed" } else { "lived" },
            mutant.name,
            mutant.test
        );
        if !notices {
            lived.push(mutant.name);
        }
    }
    ensure!(lived.is_empty(), "nothing notices: {}", lived.join(", "));
    Ok(format!("all {} are noticed", chosen.len()))
}

/// Whether the test fails with the mutant.
fn try_out(copy: &Path, mutant: &Mutant) -> anyhow::Result<bool> {
    let path = copy.join(mutant.file);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    fs::write(&path, mutant.text_with(&text)?)?;
    let builds = cargo_test(copy, mutant.test, &["--no-run"]);
    let tested = cargo_test(copy, mutant.test, &[]);
    fs::write(&path, text)?;
    let builds = builds?;
    ensure!(builds.status.success(), "{} does not compile\n{}", mutant.name, said(&builds));
    Ok(!tested?.status.success())
}

impl Mutant {
    /// The file's text with the mistake.
    fn text_with(&self, text: &str) -> anyhow::Result<String> {
        let times = text.matches(self.text).count();
        ensure!(times == 1, "{}: the text stands {times} times in {}", self.name, self.file);
        ensure!(self.text != self.instead, "{}: nothing changes", self.name);
        Ok(text.replacen(self.text, self.instead, 1))
    }
}

fn cargo_test(copy: &Path, test: &str, more: &[&str]) -> anyhow::Result<Output> {
    let mut command = Command::new(env!("CARGO"));
    command.arg("test").args(["--offline", "--quiet"]);
    for package in OURS {
        command.args(["--config", &format!("profile.dev.package.{package}.opt-level=0")]);
    }
    command
        .args(test.split(' '))
        .args(more)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", copy.join("target"))
        .env("INSTA_UPDATE", "no")
        .env_remove("RUSTFLAGS")
        .output()
        .context("cannot run cargo")
}

fn said(output: &Output) -> String {
    let all = [&*output.stdout, &*output.stderr].concat();
    String::from_utf8_lossy(&all).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mutant_has_its_place() {
        let mut names = BTreeSet::new();
        for mutant in MUTANTS {
            let text = fs::read_to_string(root().join(mutant.file)).unwrap();
            mutant.text_with(&text).unwrap();
            // Those of the command line take too long to build.
            let package = mutant.test.split(' ').nth(1);
            assert!(package.is_some_and(|package| OURS.contains(&package)), "{}", mutant.test);
            assert!(names.insert(mutant.name), "{} is there twice", mutant.name);
        }
    }
}
