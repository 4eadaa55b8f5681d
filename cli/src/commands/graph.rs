//! `tapline graph`.
use crate::args::Graph;
use crate::error::{CliError, Result, Status};
use crate::terminal::Terminal;

pub(crate) fn run(_args: &Graph, _terminal: &Terminal) -> Result<Status> {
    Err(CliError::new("not ready yet"))
}
