//! Lists the rules: each file `src/lint/rules/<family>/<id>.rs` is one, there is no list beside the
//! files that could be forgotten. What the list names and no family declares does not compile.
use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[expect(clippy::disallowed_methods, reason = "runs while tapline is built")]
fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("src/lint/rules");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut rules: Vec<(String, String)> = Vec::new();
    for family in entries(folder)?.iter().filter(|path| path.is_dir()) {
        for file in entries(family)? {
            if file.extension().is_some_and(|extension| extension == "rs") {
                let code = code(&fs::read_to_string(&file)?)
                    .ok_or_else(|| format!("{}: no `code` in declare_rule!", file.display()))?;
                rules.push((code, format!("{}::{}", stem(family), stem(&file))));
            }
        }
    }
    rules.sort();
    let mut list = String::from("/// All rules, sorted by code.\npub static ALL: &[&Rule] = &[\n");
    for (_, path) in rules {
        writeln!(list, "    &{path}::RULE,")?;
    }
    list.push_str("];\n");
    let target = env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    fs::write(PathBuf::from(target).join("all_rules.rs"), list)?;
    Ok(())
}

/// What a folder holds.
#[expect(clippy::disallowed_methods, reason = "runs while tapline is built")]
fn entries(folder: &Path) -> Result<Vec<PathBuf>, Box<dyn Error>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect()
}

/// The name of a file without its extension.
fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The code that a file declares: the line `code: "OVS-001",`.
fn code(text: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.trim().strip_prefix("code: \""))?;
    Some(line.split_once('"')?.0.to_owned())
}
