//! `tapline explain`.
use std::io::Write as _;

use crate::args::Explain;
use crate::catalogue::Catalogue;
use crate::config;
use crate::error::{Result, Status};
use crate::render::{page, severity_style};
use crate::terminal::{Terminal, style};

pub(crate) fn run(args: &Explain, terminal: &Terminal) -> Result<Status> {
    // The configuration is asked for what is not built in only.
    let rule = match Catalogue::default().find(&args.rule) {
        Some(rule) => rule,
        None => {
            let catalogue = config::load(&args.config, None)?.catalogue;
            catalogue.find(&args.rule).ok_or_else(|| catalogue.unknown(&args.rule))?
        }
    };
    let paint = terminal.stdout();
    let mut out = terminal.out();
    writeln!(
        out,
        "{}  {}  {}, {}",
        paint.of(style::STRONG, &rule.code),
        paint.of(style::STRONG, &rule.id),
        paint.of(severity_style(rule.severity), rule.severity),
        rule.confidence,
    )?;
    writeln!(out, "{}\n", rule.summary)?;
    page::render(&mut out, &rule.page, args.all, paint, terminal.width.min(100))?;
    out.flush()?;
    Ok(Status::Clean)
}
