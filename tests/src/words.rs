//! The words that readers look for, made from their code: a name that is one of them cannot be replaced
//! without changing what outputs say.
#![expect(clippy::format_collect, reason = "the list is made once")]
#![expect(clippy::disallowed_methods, reason = "the chores read files of the repository")]
use std::collections::BTreeSet;
use std::fs;

use crate::below;
use crate::scaffold::root;

/// Shorter ones are not told from parts of others.
const SHORTEST: usize = 2;

/// One word a line, in small letters, sorted.
///
/// # Errors
///
/// When the code cannot be read.
pub fn of_formats() -> anyhow::Result<String> {
    let mut words = BTreeSet::new();
    let mut paths = below(&root().join("parsers/formats/src"))?;
    while let Some(path) = paths.pop() {
        if path.is_dir() {
            paths.extend(below(&path)?);
            continue;
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = name.unwrap_or_default();
        let is_code = path.extension().is_some_and(|ending| ending == "rs");
        if !is_code || name == "tests.rs" || name == "damaged.rs" {
            continue;
        }
        let code = fs::read_to_string(&path)?;
        let code = code.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            // What stands between quotation marks, without escapes: parts of words harm nobody.
            for literal in line.split('"').skip(1).step_by(2) {
                let parts = literal.split(|sign: char| !sign.is_ascii_alphabetic());
                let parts = parts.filter(|part| part.len() >= SHORTEST);
                words.extend(parts.map(str::to_ascii_lowercase));
            }
        }
    }
    Ok(words.into_iter().map(|word| format!("{word}\n")).collect())
}
