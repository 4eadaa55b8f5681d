//! `cargo dev new-format`, `new-rule`, `new-case`: writes the files a new thing needs, in the shape
//! of its siblings, and says what is left to do.
#![expect(clippy::disallowed_methods, reason = "the chores write files of the repository")]
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use tapline_core::capture::Command;
use tapline_formats::registry;

/// Root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// `ip-route-get` → `ip_route_get`.
fn module(id: &str) -> anyhow::Result<String> {
    let kebab = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    ensure!(
        !id.is_empty() && id.chars().all(kebab) && id.starts_with(|c: char| c.is_ascii_lowercase()),
        "`{id}` is not kebab-case: small letters, digits and hyphens"
    );
    Ok(id.replace('-', "_"))
}

/// Writes a file that must not exist yet.
fn create(path: &Path, text: &str) -> anyhow::Result<()> {
    ensure!(!path.exists(), "{} exists already", path.display());
    let parent = path.parent().context("a file has a folder")?;
    fs::create_dir_all(parent)?;
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Adds `line` to the sorted run of lines that start with `prefix` (after blanks).
fn insert_sorted(path: &Path, prefix: &str, line: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    let is_of_run = |line: &str| line.trim_start().starts_with(prefix);
    let Some(first) = lines.iter().position(|line| is_of_run(line)) else {
        bail!("{}: no line starts with `{prefix}`", path.display());
    };
    // `a` stands before `a1`, as rustfmt orders modules: the end of the line is no part of the name.
    let name = |line: &str| line.trim_start().trim_end_matches([';', ',']).to_owned();
    let run = lines.iter().skip(first).take_while(|line| is_of_run(line));
    let before = run.take_while(|known| name(known) < name(line)).count();
    lines.insert(first + before, line);
    fs::write(path, lines.join("\n") + "\n")?;
    Ok(())
}

/// Scaffolds a format.
///
/// # Errors
///
/// When the id is taken or not kebab-case, or files cannot be written.
pub fn new_format(id: &str) -> anyhow::Result<String> {
    let module = module(id)?;
    let crate_dir = root().join("parsers/formats/src");
    let path = crate_dir.join(format!("formats/{module}.rs"));
    let text = FORMAT.replace("{id}", id).replace("{command}", &id.replace('-', " "));
    create(&path, &text)?;
    insert_sorted(
        &crate_dir.join("formats.rs"),
        "pub(crate) mod ",
        &format!("pub(crate) mod {module};"),
    )?;
    insert_sorted(
        &crate_dir.join("registry.rs"),
        "&formats::",
        &format!("    &formats::{module}::FORMAT,"),
    )?;
    Ok(format!(
        "wrote {}\nentered it in formats.rs and registry.rs\nnext: the record type in \
         model/core/src/records, its line in the `batch!` list, the line functions, and\n      \
         cargo dev new-case {id} FILE",
        path.display()
    ))
}

/// Scaffolds a rule in the repository at `root`: its file, its page, and the line in its family.
///
/// # Errors
///
/// When the id or code is taken or misspelt, or files cannot be written.
pub fn new_rule(root: &Path, family_id: &str, code: &str) -> anyhow::Result<String> {
    let Some((family, id)) = family_id.split_once('/') else {
        bail!("`{family_id}`: say FAMILY/ID, such as ovs/ovs-iface-error");
    };
    let (module, family) = (module(id)?, module(family)?);
    let number = code.strip_prefix(&family.to_uppercase()).and_then(|rest| rest.strip_prefix('-'));
    let is_number = |text: &str| text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
    ensure!(
        number.is_some_and(is_number),
        "`{code}`: the code of a rule of {family} is {}-001 or the like",
        family.to_uppercase()
    );
    let taken = tapline_analysis::lint::rules::ALL.iter().find(|it| it.code == code || it.id == id);
    if let Some(rule) = taken {
        bail!("{} {} exists already", rule.code, rule.id);
    }
    let rules = root.join("model/analysis/src/lint/rules");
    let path = rules.join(format!("{family}/{module}.rs"));
    let fill =
        |text: &str| text.replace("{id}", id).replace("{module}", &module).replace("{code}", code);
    create(&path, &fill(RULE))?;
    create(&path.with_extension("md"), &fill(PAGE))?;
    let list = rules.join(format!("{family}.rs"));
    if list.exists() {
        insert_sorted(&list, "pub(crate) mod ", &format!("pub(crate) mod {module};"))?;
    } else {
        create(&list, &format!("//! Rules of the family {family}.\npub(crate) mod {module};\n"))?;
        let families = rules.with_extension("rs");
        insert_sorted(&families, "pub(crate) mod ", &format!("pub(crate) mod {family};"))?;
    }
    Ok(format!(
        "wrote {} and its page, entered the module in {}\n\
         next: what the rule declares of itself (`declare_rule!` says what each line means), the \
         check,\n      the page with a session that fires, one for each trap, and one that is \
         undecided;\n      cargo dev docs; INSTA_UPDATE=always cargo test -p tapline-tests --test \
         rules",
        path.display(),
        list.display()
    ))
}

/// Copies a captured text into the corpus and writes its metadata.
///
/// # Errors
///
/// When the format is unknown, the case exists, or files cannot be read or written.
pub fn new_case(format: &str, file: &Path) -> anyhow::Result<String> {
    let Some(format) = registry::FORMATS.iter().find(|it| it.id.0 == format) else {
        let known: Vec<_> = registry::FORMATS.iter().map(|it| it.id.0).collect();
        bail!("no format `{format}`; there are {}", known.join(", "));
    };
    let bytes = fs::read(file).with_context(|| format!("cannot read {}", file.display()))?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let target = root().join("corpus/formats").join(format.id.0).join(format!("{stem}.txt"));
    ensure!(!target.exists(), "{} exists already", target.display());
    fs::create_dir_all(target.parent().context("a case has a folder")?)?;
    fs::write(&target, &bytes)?;
    let outcome = (format.read)(&String::from_utf8_lossy(&bytes), &Command::new(format.command));
    let metadata = format!(
        "origin: lab # lab, or synthetic\ntool: \"\" # name and version\ncommand: {}\nnote: \"\"\n\
         expect:\n  unread: {}\n",
        format.command, outcome.lines.unread
    );
    create(&target.with_extension("yaml"), &metadata)?;
    let mut said = String::new();
    writeln!(
        said,
        "wrote {} and its metadata: {} records, {} of {} lines unread",
        target.display(),
        outcome.records.len(),
        outcome.lines.unread,
        outcome.lines.total
    )?;
    write!(
        said,
        "next: fill in the metadata; INSTA_UPDATE=always cargo test -p tapline-tests --test formats; \
         read the snapshot"
    )?;
    Ok(said)
}

const FORMAT: &str = r#"//! `{command}`.
//!
//! Source of the format: (source file and versions).
//!
//! ```text
//! (three to six lines)
//! ```
use tapline_core::capture::{Command, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::Batch;

use crate::lines::{Read, each_line, finish};
use crate::nomx::{Parsed, refuse};
use crate::registry::Format;

pub(crate) static FORMAT: Format = Format {
    id: FormatId("{id}"),
    command: "{command}",
    claims: |_| false,
    sniff: |_| 0,
    read: |text, command| parse(text, command),
};

/// Reads the whole output.
pub(crate) fn parse(text: &str, _: &Command) -> Outcome<Batch> {
    let mut out = Outcome::default();
    each_line(text, &mut out, line);
    finish(text, &mut out);
    out.map(|_: Vec<()>| Batch::Nothing)
}

/// One line.
fn line(line: &str) -> Parsed<'_, Read<()>> {
    refuse(line, "a line of {command}")
}
"#;

const RULE: &str = r#"use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "{code}",
    id: "{id}",
    summary: "(one line: what it finds)",
    severity: Error,
    confidence: Proven,
    page: "{module}.md",
    layer: (Symptom, 1000),
    rank: 10000,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let _ = (ctx, out);
}
"#;

const PAGE: &str = "# {code} {id}

## What it finds

## Why it matters

## What to do

## Example

```console,fires
```

## Not reported

```console,quiet
```

```console,unknown
```

## References
";
