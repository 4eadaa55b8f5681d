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

/// Adds a module to the list of modules of a file, as rustfmt orders them: by name, whoever may see
/// them.
fn insert_module(path: &Path, module: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    let name = |line: &str| {
        let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
        line.strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')).map(str::to_owned)
    };
    let Some(first) = lines.iter().position(|line| name(line).is_some()) else {
        bail!("{}: no line declares a module", path.display());
    };
    let run = lines.iter().skip(first).map_while(|line| name(line));
    let before = run.take_while(|known| known.as_str() < module).count();
    let line = format!("pub(crate) mod {module};");
    lines.insert(first + before, &line);
    fs::write(path, lines.join("\n") + "\n")?;
    Ok(())
}

/// Adds `line` to the lines that start with `prefix` (after blanks), behind the first `before`.
fn insert_behind(path: &Path, prefix: &str, before: usize, line: &str) -> anyhow::Result<()> {
    let text = fs::read_to_string(path)?;
    let mut lines: Vec<&str> = text.lines().collect();
    let first = lines.iter().position(|line| line.trim_start().starts_with(prefix));
    let Some(first) = first else {
        bail!("{}: no line starts with `{prefix}`", path.display());
    };
    lines.insert(first + before, line);
    fs::write(path, lines.join("\n") + "\n")?;
    Ok(())
}

/// Scaffolds a format in the repository at `root`: its file, and the two lines that enter it.
///
/// # Errors
///
/// When the id is taken or not kebab-case, or files cannot be written.
pub fn new_format(root: &Path, id: &str) -> anyhow::Result<String> {
    let module = module(id)?;
    if let Some(known) = registry::FORMATS.iter().find(|format| format.id.0 == id) {
        bail!("a format {} exists already: it reads `{}`", known.id, known.command);
    }
    let crate_dir = root.join("parsers/formats/src");
    let path = crate_dir.join(format!("formats/{module}.rs"));
    let text = FORMAT.replace("{id}", id).replace("{command}", &id.replace('-', " "));
    create(&path, &text)?;
    insert_module(&crate_dir.join("formats.rs"), &module)?;
    // Sorted by id, which need not be the name of the module.
    insert_behind(
        &crate_dir.join("registry.rs"),
        "&formats::",
        registry::FORMATS.iter().take_while(|format| format.id.0 < id).count(),
        &format!("    &formats::{module}::FORMAT,"),
    )?;
    Ok(format!(
        "wrote {}\nentered it in formats.rs and registry.rs\nnext: what the format declares of \
         itself (`parsers/formats/src/format.rs` says what each field\n      means), the record \
         type in model/core/src/records and its line in the `batch!` list where\n      none fits, \
         the functions for lines, and\n      cargo dev new-case {id} FILE; cargo dev docs",
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
        insert_module(&list, &module)?;
    } else {
        create(&list, &format!("//! Rules of the family {family}.\npub(crate) mod {module};\n"))?;
        let families = rules.with_extension("rs");
        insert_module(&families, &family)?;
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
        let known: Vec<_> = registry::FORMATS.iter().map(|format| format.id.0).collect();
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
use tapline_core::request::Request;

use crate::format::{Ends, Format, Per};
use crate::lines::{Read, each_line, finish};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("{id}"),
    command: "{command}",
    collect: &[Per::Host.run("{command}")],
    claims: |command| (command.to_string() == "{command}").then(Request::default),
    sniff: |_| 0,
    read: |text, command| parse(text, command),
    ends: Ends::LINES,
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
