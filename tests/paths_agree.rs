//! `show`, `graph --focus` and `lint --paths` answer alike: which wires a VM or a port of a
//! namespace leads to, and where the path is broken first.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "a test lists the captures of the corpus")]
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

/// Paths of one capture that are compared: each is three runs of the program.
const MOST: usize = 5;

fn tapline(args: &[&str]) -> String {
    let out = Command::new(cargo_bin("tapline")).args(args).output().unwrap();
    String::from_utf8(out.stdout).unwrap()
}

/// The NICs that a text names, without the bridges before their names.
fn wires(text: &str) -> BTreeSet<String> {
    let nics = text.lines().filter(|line| line.contains("(physical NIC"));
    nics.filter_map(|line| {
        let name = line.trim_start_matches([' ', '│', '├', '└', '─', '?', '~']);
        let name = name.split(' ').next()?;
        Some(name.rsplit('/').next()?.to_owned())
    })
    .collect()
}

/// The part of `show` that draws paths.
fn drawn(shown: &str) -> String {
    let lines = shown.lines().skip_while(|line| *line != "path").skip(1);
    lines.take_while(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

fn last(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

fn compare(capture: &Path) -> Vec<String> {
    let capture = capture.to_str().unwrap();
    let report = tapline(&["lint", capture, "--no-config", "--format", "json", "--paths"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let mut complaints = Vec::new();
    let paths = report["paths"].as_array().unwrap();
    for path in paths.iter().step_by(paths.len().div_ceil(MOST).max(1)) {
        let start = path["start"].as_str().unwrap();
        // Captures of one machine at several times have it more than once.
        let host = path["host"].as_str().unwrap();
        let name = match path["netns"].as_str() {
            Some(netns) => format!("{host}:{netns}/{start}"),
            None => format!("{host}:{}", last(start)),
        };
        let shown = drawn(&tapline(&["show", capture, &name, "--color", "never"]));
        let focused =
            tapline(&["graph", capture, "--focus", &name, "--depth", "0", "--color", "never"]);
        if wires(&shown) != wires(&focused) {
            complaints.push(format!(
                "{capture} {name}: show names {:?}, graph {:?}",
                wires(&shown),
                wires(&focused)
            ));
        }
        let hops = path["hops"].as_array().unwrap();
        let Some(end) = hops.last() else { continue };
        let end_name = last(end["name"].as_str().unwrap());
        let line = shown.lines().find(|line| line.contains(end_name));
        if line.is_none() {
            complaints.push(format!("{capture} {name}: show does not draw {end_name}"));
        }
        let broken = end["state"] == "broken";
        let crossed: Vec<&str> = shown.lines().filter(|line| line.contains('✗')).collect();
        if broken && !crossed.iter().any(|line| line.contains(end_name)) {
            complaints.push(format!("{capture} {name}: show does not cross {end_name}"));
        }
        // A path that is whole has a branch without a cross.
        if path["whole"] == true
            && let Some(line) = line
            && line.contains('✗')
        {
            complaints.push(format!("{capture} {name}: show crosses {end_name}"));
        }
    }
    complaints
}

fn captures(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

/// Two captures at a time: most of the time goes into runs of the program.
fn compare_all(captures: &[PathBuf]) -> Vec<String> {
    let (even, odd): (Vec<_>, Vec<_>) =
        captures.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let run = |some: Vec<(usize, &PathBuf)>| -> Vec<String> {
        some.into_iter().flat_map(|(_, capture)| compare(capture)).collect()
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| run(odd));
        let mut complaints = run(even);
        complaints.extend(other.join().unwrap());
        complaints
    })
}

#[test]
fn captures_of_the_corpus_have_one_answer() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut all = [captures(&corpus.join("captures")), captures(&corpus.join("lab"))].concat();
    // Each run over 500 VMs takes seconds without optimisation; their paths are alike.
    all.retain(|capture| !capture.ends_with("scale-500"));
    assert!(!all.is_empty());
    let complaints = compare_all(&all);
    assert!(complaints.is_empty(), "{complaints:#?}");
}

#[test]
#[ignore = "reads ../shared/captures, which is not part of the repository"]
fn further_captures_have_one_answer() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/captures");
    let mut all = [captures(&shared.join("hosts")), captures(&shared.join("lab"))].concat();
    // Each of these holds a capture in each of its folders.
    for collection in ["ovn-faults", "sos"] {
        let folder = shared.join("lab").join(collection);
        all.retain(|capture| *capture != folder);
        all.extend(captures(&folder));
    }
    assert!(!all.is_empty());
    let complaints = compare_all(&all);
    assert!(complaints.is_empty(), "{complaints:#?}");
}
