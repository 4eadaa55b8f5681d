//! `tapline coverage`.
use crate::args::Coverage;
use crate::error::{CliError, Result, Status};
use crate::terminal::Terminal;

pub(crate) fn run(_args: &Coverage, _terminal: &Terminal) -> Result<Status> {
    Err(CliError::new("not ready yet"))
}
