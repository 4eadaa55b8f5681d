//! `cargo dev new-rule` and `new-format` do all that a new rule or format needs, and what is forgotten
//! does not compile.
//!
//! What rules and formats are made of is copied to a folder below `target`, where they are
//! scaffolded. The folder is kept, so that only what changes is compiled again.
#![expect(clippy::disallowed_methods, reason = "tests write files")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tapline_tests::copy::mirror;
use tapline_tests::scaffold;

/// What the copy is made of.
const COPIED: &[&str] = &[
    "model",
    "parsers",
    // Tests of the model describe hosts with it.
    "tests/planted/world",
    "Cargo.lock",
    "clippy.toml",
    "rustfmt.toml",
    "rust-toolchain.toml",
];

/// A copy of what rules and formats are made of, as a workspace of its own.
fn copy(name: &str) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&copy).unwrap();
    for name in COPIED {
        mirror(&scaffold::root().join(name), &copy.join(name)).unwrap();
    }
    let manifest = fs::read_to_string(scaffold::root().join("Cargo.toml")).unwrap();
    let of_copy = |line: &str| match line.split_once(" = ") {
        Some(("members", _)) => "members = [\"model/*\", \"parsers/*\"]\n".to_owned(),
        Some(("default-members", _)) => String::new(),
        _ => format!("{line}\n"),
    };
    let manifest: String = manifest.lines().map(of_copy).collect();
    let path = copy.join("Cargo.toml");
    if fs::read_to_string(&path).ok().as_ref() != Some(&manifest) {
        fs::write(path, manifest).unwrap();
    }
    copy
}

/// Runs cargo in the copy; says what it complains about, and whether that is an error.
fn cargo(copy: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .current_dir(copy)
        // What foreign crates are compiled to is shared.
        .env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join(".."))
        .env_remove("RUSTFLAGS")
        .output()
        .unwrap();
    let complaints = [output.stdout, output.stderr].concat();
    let complaints = String::from_utf8_lossy(&complaints).into_owned();
    if output.status.success() { Ok(complaints) } else { Err(complaints) }
}

fn lint(copy: &Path, package: &str) -> Result<String, String> {
    let strict = ["--", "-D", "warnings"];
    cargo(
        copy,
        &[&["clippy", "--offline", "--quiet", "-p", package, "--no-deps"][..], &strict].concat(),
    )
}

/// Forgets each place in turn: a whole file where the text is empty. The complaint has to name it.
fn forget_each(copy: &Path, package: &str, places: Vec<(PathBuf, String, &str)>) {
    for (path, forgotten, named) in places {
        let whole = fs::read_to_string(&path).unwrap();
        if forgotten.is_empty() {
            fs::remove_file(&path).unwrap();
        } else {
            assert!(whole.contains(&forgotten), "{forgotten}");
            fs::write(&path, whole.replacen(&forgotten, "", 1)).unwrap();
        }
        let complaint = lint(copy, package).expect_err("it was not noticed");
        assert!(complaint.contains(named), "{}: {forgotten}\n{complaint}", path.display());
        fs::write(&path, whole).unwrap();
    }
}

#[test]
fn a_new_rule_is_whole_and_what_is_forgotten_does_not_compile() {
    let copy = copy("scaffold");
    let rules = copy.join("model/analysis/src/lint/rules");
    scaffold::new_rule(&copy, "ovs/ovs-made-up", "OVS-999").unwrap();
    scaffold::new_rule(&copy, "made/made-up", "MADE-001").unwrap();
    cargo(&copy, &["fmt", "--all", "--check"]).unwrap();
    lint(&copy, "tapline-analysis").unwrap();

    // Each place is forgotten in turn: the complaint names it.
    let rule = rules.join("ovs/ovs_made_up.rs");
    let mut places: Vec<(PathBuf, String, &str)> = vec![
        (rules.join("ovs/ovs_made_up.md"), String::new(), "ovs_made_up.md"),
        (rules.join("ovs.rs"), "pub(crate) mod ovs_made_up;\n".to_owned(), "ovs_made_up"),
        (rules.with_extension("rs"), "pub(crate) mod made;\n".to_owned(), "made"),
        (rule.clone(), String::new(), "ovs_made_up"),
    ];
    // So is each line that a rule has to say of itself.
    let text = fs::read_to_string(&rule).unwrap();
    let declared = text.lines().skip_while(|line| !line.starts_with("declare_rule!")).skip(1);
    for line in declared.take_while(|line| *line != "}") {
        places.push((rule.clone(), format!("{line}\n"), "ovs_made_up.rs"));
    }
    assert_eq!(places.len(), 4 + 12);
    forget_each(&copy, "tapline-analysis", places);
}

#[test]
fn a_new_format_is_whole_and_what_is_forgotten_does_not_compile() {
    let copy = copy("scaffold-format");
    let formats = copy.join("parsers/formats/src");
    scaffold::new_format(&copy, "made-up").unwrap();
    // The ids `host-…` and `ip-…` stand before it, the modules of some of them behind it.
    scaffold::new_format(&copy, "hostname-made-up").unwrap();
    cargo(&copy, &["fmt", "--all", "--check"]).unwrap();
    lint(&copy, "tapline-formats").unwrap();
    let registry = fs::read_to_string(formats.join("registry.rs")).unwrap();
    let behind = |text: &str| registry.find(text).unwrap();
    assert!(behind("host_facts::hostname::") < behind("hostname_made_up::"));
    assert!(behind("hostname_made_up::") < behind("ifconfig::IFCONFIG"));

    let file = formats.join("formats/made_up.rs");
    let line = |text: &str| text.to_owned() + "\n";
    let mut places: Vec<(PathBuf, String, &str)> = vec![
        (formats.join("formats.rs"), line("pub(crate) mod made_up;"), "made_up"),
        (formats.join("registry.rs"), line("    &formats::made_up::FORMAT,"), "made_up.rs"),
        (file.clone(), String::new(), "made_up"),
    ];
    let text = fs::read_to_string(&file).unwrap();
    let declared = text.lines().skip_while(|line| !line.contains("static FORMAT")).skip(1);
    places.extend(
        declared
            .take_while(|line| *line != "};")
            .map(|declaration| (file.clone(), line(declaration), "made_up.rs")),
    );
    assert_eq!(places.len(), 3 + 7);
    forget_each(&copy, "tapline-formats", places);
}

#[test]
fn codes_of_another_family_and_taken_ones_are_refused() {
    for (id, code) in [
        ("ovs/ovs-made-up", "NIC-999"),
        ("ovs/ovs-made-up", "OVS-1"),
        ("ovs/ovs-made-up", "OVS-001"),
        ("ovs/ovs-iface-error", "OVS-999"),
        ("ovs-made-up", "OVS-999"),
    ] {
        let nowhere = Path::new("nowhere");
        assert!(scaffold::new_rule(nowhere, id, code).is_err(), "{id} {code}");
    }
}
