//! Megaflows held against flows, for people and for programs.
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use tapline_network::trace::Verification;
use tapline_topology::Topology;

use super::escape::visible;
use super::places::Places;
use super::trace_json::{EvidenceRow, evidence};

/// The comparison for programs.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.verify/1"))]
    schema: &'static str,
    megaflows: usize,
    agree: usize,
    disagree: Vec<Disagreement<'a>>,
    skipped: Vec<Skipped<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct Disagreement<'a> {
    line: Option<EvidenceRow<'a>>,
    /// Where the datapath sends packets.
    captured: &'a str,
    /// Where the flows send them.
    ours: &'a str,
}

#[derive(JsonSchema, Serialize)]
struct Skipped<'a> {
    line: Option<EvidenceRow<'a>>,
    why: &'a str,
}

/// What is said where there is nothing to compare.
pub(crate) const UNCAPTURED: &str =
    "no megaflows were captured; to compare them, run: ovs-appctl dpctl/dump-flows -m";

/// The document.
pub(crate) fn document<'a>(topology: &'a Topology<'_>, all: &'a Verification) -> Document<'a> {
    let disagree = all.disagree.iter().map(|one| Disagreement {
        line: evidence(topology, one.line),
        captured: &one.captured,
        ours: &one.ours,
    });
    let skipped =
        all.skipped.iter().map(|(line, why)| Skipped { line: evidence(topology, *line), why });
    Document {
        schema: "tapline.verify/1",
        megaflows: all.megaflows,
        agree: all.agree,
        disagree: disagree.collect(),
        skipped: skipped.collect(),
    }
}

/// What agrees is counted, what does not is shown.
pub(crate) fn text(
    out: &mut impl Write,
    topology: &Topology<'_>,
    all: &Verification,
) -> io::Result<()> {
    if !all.is_captured {
        return writeln!(out, "{UNCAPTURED}");
    }
    let places = Places::of_captured(&topology.snapshot.captured, false);
    writeln!(
        out,
        "{}: {} agree with the flows, {} do not, {} not compared",
        super::count(all.megaflows, "megaflow"),
        all.agree,
        all.disagree.len(),
        all.skipped.len()
    )?;
    for one in &all.disagree {
        if let Some(line) = evidence(topology, one.line) {
            let place = places.path(line.archive, line.member);
            writeln!(out, "{}:{}", visible(&place), line.line)?;
            writeln!(out, "  {}", visible(&line.text))?;
        }
        writeln!(out, "  datapath: {}", visible(&one.captured))?;
        writeln!(out, "  flows:    {}", visible(&one.ours))?;
    }
    for (line, why) in &all.skipped {
        if let Some(line) = evidence(topology, *line) {
            let place = places.path(line.archive, line.member);
            writeln!(out, "not compared: {}:{}: {}", visible(&place), line.line, visible(why))?;
        }
    }
    Ok(())
}
