//! `tapline completions`.
use std::io::Write as _;

use crate::args::Completions;
use crate::error::{Result, Status};
use crate::terminal;

pub(crate) fn run(args: &Completions) -> Result<Status> {
    // The generator ends the program where it cannot write: it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::command(), "tapline", &mut script);
    let mut out = terminal::out();
    out.write_all(&script)?;
    out.flush()?;
    Ok(Status::Clean)
}
