//! `tapline schema`.
use std::io::Write as _;

use crate::args::Schema;
use crate::error::{Result, Status};
use crate::schema;
use crate::terminal::Terminal;

pub(crate) fn run(args: &Schema, terminal: &Terminal) -> Result<Status> {
    let mut out = terminal.out();
    out.write_all(schema::text(args.kind).as_bytes())?;
    out.flush()?;
    Ok(Status::Clean)
}
