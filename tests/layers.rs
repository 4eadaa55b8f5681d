//! The direction of the crates, as ARCHITECTURE.md states it.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may panic")]
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// Each crate and all of the workspace's crates that it may use.
const ALLOWED: &[(&str, &[&str])] = &[
    ("tapline-core", &[]),
    ("tapline-formats", &["tapline-core"]),
    ("tapline-anonymize", &["tapline-core", "tapline-formats"]),
    ("tapline-capture", &["tapline-core", "tapline-formats"]),
    ("tapline-topology", &["tapline-core"]),
    ("tapline-network", &["tapline-core", "tapline-topology"]),
    ("tapline-analysis", &["tapline-core", "tapline-network", "tapline-topology"]),
    (
        "tapline",
        &[
            "tapline-analysis",
            "tapline-anonymize",
            "tapline-capture",
            "tapline-core",
            "tapline-formats",
            "tapline-network",
            "tapline-topology",
        ],
    ),
];

/// Crates that only one of ours may name.
const KEPT_TO: &[(&str, &[&str])] = &[
    ("petgraph", &["tapline-topology", "tapline-network"]),
    ("miette", &["tapline"]),
    ("clap", &["tapline", "tapline-tests"]),
    ("nom", &["tapline-formats"]),
    // Tests unpack the captures of the corpus.
    ("tar", &["tapline-capture", "tapline-tests"]),
];

fn dependencies() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |it: &serde_json::Value| it.as_str().unwrap().to_owned();
    packages
        .iter()
        .map(|package| {
            let normal = package["dependencies"].as_array().unwrap().iter();
            let names = normal
                .filter(|normal| normal["kind"].is_null())
                .map(|normal| text(&normal["name"]));
            (text(&package["name"]), names.collect())
        })
        .collect()
}

#[test]
fn crates_depend_downwards_only() {
    let all = dependencies();
    for (name, allowed) in ALLOWED {
        let ours: Vec<_> = all[*name].iter().filter(|it| it.starts_with("tapline")).collect();
        for used in ours {
            assert!(allowed.contains(&used.as_str()), "{name} must not depend on {used}");
        }
    }
}

#[test]
fn foreign_crates_stay_in_their_room() {
    for (name, uses) in dependencies() {
        for (foreign, rooms) in KEPT_TO {
            if uses.contains(*foreign) && name.starts_with("tapline") {
                assert!(rooms.contains(&name.as_str()), "{name} must not depend on {foreign}");
            }
        }
    }
}
