//! `tapline collect`.
use std::io::Write as _;

use crate::collect;
use crate::error::{Result, Status};
use crate::terminal::Terminal;

pub(crate) fn run(terminal: &Terminal) -> Result<Status> {
    let mut out = terminal.out();
    out.write_all(collect::script().as_bytes())?;
    out.flush()?;
    Ok(Status::Clean)
}
