//! Captured text to typed records: one reader per command.
//!
//! A reader takes a `&str` and gives an [`Outcome`]: records, problems, and an account of every
//! line. It cannot fail, opens nothing, and knows neither paths nor the graph. The
//! [`registry`] says which command or file each format reads.
#[cfg(test)]
mod damaged;
mod ends;
pub mod formats;
mod ip_command;
mod json;
mod json_object;
mod keyed;
mod lines;
mod nomx;
mod ovsdb;
pub mod registry;
mod xml;

use rayon::prelude::*;
use tapline_model::capture::{Captured, Completeness, Snapshot, Source};
use tapline_model::outcome::Outcome;
use tapline_model::records::Batch;

/// Reads every source by its format, in parallel; the order is that of the sources.
pub fn read(captured: Captured) -> Snapshot {
    let readings = captured.sources.par_iter().map(read_source).collect();
    Snapshot { captured, readings }
}

/// Reads one source. A text that nothing claims, or that the capture itself calls failed, has no
/// records.
pub fn read_source(source: &Source) -> Outcome<Batch> {
    let Some(format) = source.format.and_then(registry::by_id) else {
        return Outcome::default();
    };
    if let Completeness::Failed(_) = source.completeness {
        return Outcome { completeness: source.completeness.clone(), ..Outcome::default() };
    }
    let mut out = (format.read)(&source.text, &source.command);
    ends::check(source, format, &mut out);
    out
}
