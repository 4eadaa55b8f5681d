//! `tapline completions`.
use std::borrow::Cow;
use std::io::Write as _;

use clap::builder::PossibleValuesParser;
use tapline_analysis::lint::rules;

use crate::args::Completions;
use crate::error::{Result, Status};
use crate::terminal::Terminal;

pub(crate) fn run(args: &Completions, terminal: &Terminal) -> Result<Status> {
    // The generator ends the program where it cannot write: it writes to memory.
    let mut script = Vec::new();
    let mut grammar = with_codes(crate::command());
    clap_complete::generate(args.shell, &mut grammar, "tapline", &mut script);
    let mut out = terminal.out();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Status::Clean)
}

/// The grammar with the codes of the rules, which the program itself does not insist on: there are
/// families, ids and a person's own rules too.
fn with_codes(grammar: clap::Command) -> clap::Command {
    // The codes of the built-in rules stand in the program itself.
    let codes = || {
        let codes = rules::ALL.iter().filter_map(|rule| match rule.code {
            Cow::Borrowed(code) => Some(code),
            Cow::Owned(_) => None,
        });
        PossibleValuesParser::new(codes)
    };
    grammar
        .mut_subcommand("lint", |lint| {
            lint.mut_arg("select", |arg| arg.value_parser(codes()))
                .mut_arg("ignore", |arg| arg.value_parser(codes()))
        })
        .mut_subcommand("explain", |explain| {
            explain.mut_arg("rule", |arg| arg.value_parser(codes()))
        })
}
