//! The command line of tapline: arguments, commands, renderers, exit status.
//!
//! Everything below this crate returns values; only this crate prints. [`run`] is the whole
//! program, [`command`] its grammar (for the generated documentation).
#![expect(clippy::format_push_string, reason = "reports are short; plain code reads better")]
mod addresses;
#[cfg(test)]
mod agreement;
mod anonymous;
mod args;
mod baseline;
mod catalogue;
mod collect;
mod commands;
mod config;
mod dossier;
mod error;
mod find;
#[cfg(test)]
mod fixture;
mod gap;
mod golden;
mod honesty;
mod overview;
mod own;
mod picture;
mod pipeline;
mod progress;
mod render;
mod schema;
mod suggest;
mod terminal;
mod without;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};

use crate::args::Cli;
use crate::terminal::Terminal;

/// Runs the program with these arguments, the first of which is its own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.into_iter().collect();
    let parsed = Cli::try_parse_from(&args).or_else(|error| match args::for_lint(&args, &error) {
        Some(args) => Cli::try_parse_from(args),
        None => Err(error),
    });
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are such errors too. A closed pipe is not an error.
            let _ = error.print();
            if let Some(hint) = args::hint(&args, &error) {
                terminal::remark(&format!("hint: {hint}"));
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let terminal = Terminal::new(&cli.global);
    let ended = commands::run(cli.command, &terminal);
    terminal.progress.stop();
    match ended {
        Ok(status) => status.into(),
        Err(error) => error.report(&terminal),
    }
}

/// The JSON Schemas of what is read and written, each by its name.
pub fn schemas() -> Vec<(&'static str, String)> {
    schema::all()
}

/// The grammar of the command line.
pub fn command() -> clap::Command {
    Cli::command()
}
