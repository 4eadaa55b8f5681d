//! `tapline show`.
use crate::args::Show;
use crate::error::{CliError, Result, Status};
use crate::terminal::Terminal;

pub(crate) fn run(_args: &Show, _terminal: &Terminal) -> Result<Status> {
    Err(CliError::new("not ready yet"))
}
