//! The pages under `docs/`, made from the code: `cargo dev docs` writes them, a test compares.
#![expect(clippy::disallowed_methods, reason = "the chores write files of the repository")]
use std::fmt::Write as _;
use std::path::PathBuf;

use tapline_analysis::lint::{Rule, rules};
use tapline_formats::registry::FORMATS;

use crate::scaffold::root;

/// Every generated page: its path and what should stand there.
///
/// # Errors
///
/// Never in practice: writing to a string does not fail.
pub fn pages() -> anyhow::Result<Vec<(PathBuf, String)>> {
    let docs = root().join("docs");
    let mut pages = vec![
        (docs.join("cli.md"), cli()?),
        (docs.join("formats.md"), formats()?),
        (docs.join("rules.md"), all_rules()?),
        (root().join("parsers/anonymize/src/words.txt"), crate::words::of_formats()?),
    ];
    let schemas = tapline::schemas().into_iter();
    pages.extend(schemas.map(|(name, text)| (docs.join(format!("schemas/{name}.json")), text)));
    Ok(pages)
}

/// Writes every page.
///
/// # Errors
///
/// When a page cannot be written.
pub fn write() -> anyhow::Result<String> {
    let mut said = String::new();
    for (path, text) in pages()? {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(&path, text)?;
        writeln!(said, "wrote {}", path.display())?;
    }
    write!(said, "for the transcript in README.md: UPDATE_DOCS=1 cargo test -p tapline readme")?;
    Ok(said)
}

const GENERATED: &str = "<!-- Made by `cargo dev docs`; do not edit. -->\n";

fn cli() -> anyhow::Result<String> {
    let mut page = format!("{GENERATED}# Commands\n");
    let mut command = tapline::command().term_width(100);
    command.build();
    writeln!(page, "\n```text\n{}\n```", trimmed(&command.render_long_help().to_string()))?;
    for sub in command.get_subcommands_mut() {
        if sub.get_name() == "help" {
            continue;
        }
        let help = sub.render_long_help().to_string();
        writeln!(page, "\n## tapline {}\n\n```text\n{}\n```", sub.get_name(), trimmed(&help))?;
    }
    write!(page, "\n{}", include_str!("lint_json.md"))?;
    Ok(page)
}

/// Without trailing blanks.
fn trimmed(text: &str) -> String {
    text.trim_end().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn formats() -> anyhow::Result<String> {
    let mut page = format!(
        "{GENERATED}# Formats\n\nWhat tapline reads. A text is claimed by its command, else by its \
         name, else by its content.\n\n| id | command |\n| --- | --- |\n"
    );
    for format in FORMATS {
        writeln!(page, "| `{}` | `{}` |", format.id, format.command)?;
    }
    Ok(page)
}

/// The table of rules, each with its page beside its code, and what no rule judges.
fn all_rules() -> anyhow::Result<String> {
    let mut page = format!(
        "{GENERATED}# Rules\n\n`tapline explain CODE` prints the page of a rule. The console examples \
         there are run as tests: those marked `fires` must give the finding, those marked `quiet` \
         must not, and those marked `unknown` must come out undecided.\n\n| code | id | severity | \
         confidence | what it finds |\n| --- | --- | --- | --- | --- |\n"
    );
    for rule in rules::ALL {
        writeln!(
            page,
            "| [{}]({}) | `{}` | {} | {} | {} |",
            rule.code,
            file_of(rule),
            rule.id,
            rule.severity,
            rule.confidence,
            rule.summary
        )?;
    }
    write!(page, "\n{}", include_str!("left_out.md"))?;
    Ok(page)
}

/// The page of a rule, as seen from `docs/`.
fn file_of(rule: &Rule) -> String {
    let family = rule.code.split('-').next().unwrap_or_default().to_ascii_lowercase();
    let file = rule.id.replace('-', "_");
    format!("../model/analysis/src/lint/rules/{family}/{file}.md")
}
