//! `tapline man`.
use std::io::Write as _;

use crate::args::Man;
use crate::error::{CliError, Result, Status};
use crate::suggest;
use crate::terminal::Terminal;

pub(crate) fn run(args: &Man, terminal: &Terminal) -> Result<Status> {
    let mut grammar = crate::command();
    grammar.build();
    let page = match &args.command {
        None => grammar,
        Some(name) => match grammar.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return Err(unknown(&grammar, name)),
        },
    };
    let mut text = Vec::new();
    clap_mangen::Man::new(page).render(&mut text)?;
    let mut out = terminal.out();
    out.write_all(&text)?;
    out.flush()?;
    Ok(Status::Clean)
}

fn unknown(grammar: &clap::Command, name: &str) -> CliError {
    let error = CliError::new(format!("no command is called `{name}`"));
    match suggest::nearest(name, grammar.get_subcommands().map(clap::Command::get_name)) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error,
    }
}
