//! Facts about the machine: one small format each.
pub(crate) mod date;
pub(crate) mod guests;
pub(crate) mod hostname;
pub(crate) mod machine_id;
pub(crate) mod os_release;
pub(crate) mod uname;
pub(crate) mod uptime;

use tapline_core::capture::Completeness;
use tapline_core::outcome::Outcome;
use tapline_core::records::host::{Fact, HostFact};
use tapline_core::span::Span;

use crate::lines::{Read, each_line, finish};
use crate::nomx::Parsed;

/// Reads lines of which each is one fact; `line` names what it does not need.
///
/// A text without the fact is no answer: every host has it.
fn facts<'a>(
    text: &'a str,
    missing: &str,
    mut line: impl FnMut(&'a str) -> Parsed<'a, Read<Fact>>,
) -> Outcome<Vec<HostFact>> {
    let mut out = Outcome::default();
    each_line(text, &mut out, |body| {
        let (rest, read) = line(body)?;
        let read = match read {
            Read::Took(fact) => Read::Took(HostFact { at: Span::of(text, body), fact }),
            Read::Ignored => Read::Ignored,
        };
        Ok((rest, read))
    });
    finish(text, &mut out);
    if out.records.is_empty() && !out.completeness.is_failed() {
        out.completeness = Completeness::Failed(missing.to_owned());
    }
    out
}
