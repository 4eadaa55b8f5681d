//! `tapline records`.
use std::io::Write as _;

use tapline_core::records::Batch;

use crate::args::Records;
use crate::error::{CliError, Result, Status};
use crate::pipeline;
use crate::render::records::{self, Filter};
use crate::suggest;
use crate::terminal::Terminal;

pub(crate) fn run(args: &Records, terminal: &Terminal) -> Result<Status> {
    let filter = filter(&args.kind)?;
    let snapshot = pipeline::read(&args.inputs, terminal)?;
    let mut out = terminal.out();
    records::render(&mut out, &snapshot, &filter, args.format)?;
    out.flush()?;
    Ok(Status::Clean)
}

fn filter(kinds: &[String]) -> Result<Filter> {
    for kind in kinds {
        if !Batch::KINDS.contains(&kind.as_str()) {
            let error = CliError::new(format!("no record is of the kind `{kind}`"));
            let near = suggest::nearest(kind, Batch::KINDS.iter().copied());
            let error = match near {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error,
            };
            return Err(error.hint(format!("kinds: {}", Batch::KINDS.join(", "))));
        }
    }
    Ok(Filter { kinds: kinds.to_vec() })
}
