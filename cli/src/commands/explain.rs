//! `tapline explain`.
use std::io::Write as _;

use tapline_analysis::lint::Rule;
use tapline_analysis::lint::rules::ALL;

use crate::args::Explain;
use crate::error::{CliError, Result, Status};
use crate::render::{page, severity_style};
use crate::suggest;
use crate::terminal::{self, Terminal, style};

pub(crate) fn run(args: &Explain, terminal: &Terminal) -> Result<Status> {
    let rule = find(&args.rule)?;
    let paint = terminal.stdout();
    let mut out = terminal::out();
    writeln!(
        out,
        "{}  {}  {}, {}",
        paint.of(style::STRONG, rule.code),
        paint.of(style::STRONG, rule.id),
        paint.of(severity_style(rule.severity), rule.severity),
        rule.confidence,
    )?;
    writeln!(out, "{}\n", rule.summary)?;
    page::render(&mut out, rule.page, args.all, paint, terminal.width.min(100))?;
    out.flush()?;
    Ok(Status::Clean)
}

/// The rule with this code or id, in any case.
pub(crate) fn find(name: &str) -> Result<&'static Rule> {
    let found = ALL
        .iter()
        .find(|it| it.code.eq_ignore_ascii_case(name) || it.id.eq_ignore_ascii_case(name));
    found.copied().ok_or_else(|| unknown(name))
}

/// No rule is called so.
pub(crate) fn unknown(name: &str) -> CliError {
    let error = CliError::new(format!("no rule is called `{name}`"));
    let names = ALL.iter().flat_map(|it| [it.code, it.id]);
    match suggest::nearest(name, names) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("`tapline rules` lists them"),
    }
}
