//! The `tapline` command.
use std::process::ExitCode;

fn main() -> ExitCode {
    tapline::run(std::env::args_os())
}
