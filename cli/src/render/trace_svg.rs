//! A trace as a picture: the verdict at the top, below it a row for each hop, with frames around what
//! belongs to one host and to one namespace of it.
//!
//! Nothing of what was captured is written unescaped, and nothing in the picture is a link or a script.
use std::io::{self, Write};

use tapline_network::trace::{Answered, Certainty, Hop, Trace};
use tapline_topology::Topology;

use super::escape::{markup, shorten};
use super::trace_text::{change_words, label, reached_words, verdict_words, way_words};

/// Width of a character, and height of a line; the font has one width.
const CHARACTER: usize = 7;
const LINE: usize = 16;
/// Space around a text in its box, between boxes, and within a frame.
const PAD: usize = 8;
const GAP: usize = 26;
const INSET: usize = 12;
/// Characters of a line; what is longer is cut.
const MOST: usize = 110;
/// Branches that are listed.
const BRANCHES: usize = 12;

/// A box: its lines and what stands on the wire behind it.
struct Row {
    host: String,
    netns: String,
    lines: Vec<String>,
    wire: String,
    certainty: Certainty,
}

/// Writes an answered question.
pub(crate) fn render(
    out: &mut impl Write,
    topology: &Topology<'_>,
    answered: &Answered,
) -> io::Result<()> {
    let mut parts = vec![(None, &answered.trace)];
    parts.extend(answered.reverse.as_ref().map(|reverse| (Some("the way of the answer"), reverse)));
    let mut body = String::new();
    let mut top = PAD;
    let mut width = 0;
    for (title, trace) in parts {
        if let Some(title) = title {
            top += LINE;
            text(&mut body, PAD, top, "title", title);
            top += LINE;
        }
        width = width.max(draw(&mut body, topology, trace, &mut top));
    }
    let (width, height) = (width + 2 * PAD, top + PAD);
    writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">"
    )?;
    writeln!(out, "<style>{STYLE}</style>")?;
    writeln!(out, "<rect class=\"page\" width=\"{width}\" height=\"{height}\"/>")?;
    out.write_all(body.as_bytes())?;
    writeln!(out, "</svg>")
}

const STYLE: &str = "text{font:12px monospace;fill:#222}.title{font-weight:bold}\
    .yes{fill:#0a7a2f;font-weight:bold}.no{fill:#b3261e;font-weight:bold}\
    .open{fill:#946200;font-weight:bold}.faint{fill:#666}.page{fill:#fff}\
    .host{fill:none;stroke:#888}.netns{fill:#f6f8fa;stroke:#bbb;stroke-dasharray:4 3}\
    .hop{fill:#fff;stroke:#444}.assumed{stroke-dasharray:5 3}.wire{stroke:#444;fill:none}\
    .tip{fill:#444}";

/// Draws one trace from `top` on; returns its width.
fn draw(body: &mut String, topology: &Topology<'_>, trace: &Trace, top: &mut usize) -> usize {
    let verdict = &trace.verdict;
    let class = match verdict.reached {
        Some(true) => "yes",
        Some(false) => "no",
        None => "open",
    };
    let mut head =
        vec![(class, format!("{}: {}", reached_words(verdict), verdict_words(topology, verdict)))];
    if let Some(nearest) = &verdict.nearest {
        head.push(("faint", format!("allowed are {}", nearest.text)));
    }
    if let Some((mtu, _)) = &verdict.mtu {
        head.push(("faint", format!("path MTU {mtu}")));
    }
    let rows: Vec<Row> =
        trace.hops.iter().enumerate().map(|(at, hop)| row(topology, at + 1, hop)).collect();
    let mut widest = rows
        .iter()
        .flat_map(|row| row.lines.iter().chain([&row.host, &row.netns]))
        .map(|line| cut(line).chars().count())
        .max()
        .unwrap_or(0);
    for (class, line) in &head {
        *top += LINE;
        text(body, PAD, *top, class, line);
        widest = widest.max(cut(line).chars().count().saturating_sub(6));
    }
    *top += GAP / 2;
    let inner = widest * CHARACTER + 2 * PAD;
    let mut at = 0;
    while let Some(first) = rows.get(at) {
        let of_host = rows.iter().skip(at).take_while(|row| row.host == first.host).count();
        let frame = *top;
        *top += LINE + PAD;
        let end = at + of_host;
        let mut drawn = String::new();
        while let Some(first) = rows.get(at).filter(|_| at < end) {
            let left = rows.get(at..end).unwrap_or_default();
            let here = left.iter().take_while(|row| row.netns == first.netns).count();
            let inside = *top;
            *top += LINE + PAD;
            let mut boxes = String::new();
            for row in left.iter().take(here) {
                let height = row.lines.len() * LINE + PAD;
                let dashed =
                    if row.certainty < Certainty::Inferred { "hop assumed" } else { "hop" };
                rect(&mut boxes, dashed, (PAD + 2 * INSET, *top), (inner, height), 4);
                for (n, line) in row.lines.iter().enumerate() {
                    let class = if n == 0 { "title" } else { "line" };
                    let y = *top + LINE + n * LINE;
                    text(&mut boxes, 2 * PAD + 2 * INSET, y, class, line);
                }
                *top += height;
                arrow(&mut boxes, PAD + 2 * INSET + inner / 4, *top, &row.wire);
                *top += GAP;
            }
            let size = (inner + 2 * INSET, *top - inside);
            rect(&mut drawn, "netns", (PAD + INSET, inside), size, 6);
            text(&mut drawn, PAD + INSET + PAD, inside + LINE, "faint", &first.netns);
            drawn.push_str(&boxes);
            *top += PAD;
            at += here;
        }
        let size = (inner + 4 * INSET, *top - frame);
        rect(body, "host", (PAD, frame), size, 8);
        text(body, 2 * PAD, frame + LINE, "title", &first.host);
        body.push_str(&drawn);
        *top += PAD;
    }
    let listed = || trace.branches.iter().filter(|branch| !branch.end.aside);
    for branch in listed().take(BRANCHES) {
        *top += LINE;
        let reason = branch.end.reason.map(|reason| format!(", {reason}")).unwrap_or_default();
        let (from, guard, outcome) = (branch.from_hop, &branch.guard, branch.end.outcome);
        let place = branch.end.place.words();
        let line = format!("also, behind hop {from}: {guard}: {outcome}{reason} at {place}");
        text(body, PAD, *top, "faint", &line);
    }
    let more = listed().count().saturating_sub(BRANCHES);
    if more > 0 {
        *top += LINE;
        text(body, PAD, *top, "faint", &format!("and {more} more"));
    }
    inner + 4 * INSET
}

fn row(topology: &Topology<'_>, number: usize, hop: &Hop) -> Row {
    let place = &hop.place;
    let mut lines = vec![format!("{number}  {}", way_words(hop)), hop.action.clone()];
    let changes = change_words(hop);
    if !changes.is_empty() {
        lines.push(changes.join(", "));
    }
    let mut sure = hop.certainty.to_string();
    if let Some(mtu) = hop.mtu {
        sure = format!("MTU {mtu}, {sure}");
    }
    lines.push(sure);
    let mut wire: Vec<String> = hop.vlans.iter().map(|vid| format!("VLAN {vid}")).collect();
    wire.extend(hop.vni.map(|vni| format!("VNI {vni}")));
    let netns = match (&place.bridge, &place.netns) {
        (Some(bridge), _) => format!("bridge {bridge}"),
        (None, Some(netns)) => format!("namespace {netns}"),
        (None, None) => "guest".to_owned(),
    };
    Row {
        host: place.host.map(|host| label(topology, host).to_owned()).unwrap_or_default(),
        netns,
        lines,
        wire: wire.join(", "),
        certainty: hop.certainty,
    }
}

fn cut(line: &str) -> std::borrow::Cow<'_, str> {
    shorten(line, MOST)
}

fn text(body: &mut String, x: usize, y: usize, class: &str, line: &str) {
    let line = markup(&cut(line));
    body.push_str(&format!("<text class=\"{class}\" x=\"{x}\" y=\"{y}\">{line}</text>\n"));
}

fn rect(
    body: &mut String,
    class: &str,
    (x, y): (usize, usize),
    size: (usize, usize),
    round: usize,
) {
    let (width, height) = size;
    body.push_str(&format!(
        "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"{round}\"/>\n"
    ));
}

/// The wire to the next hop.
fn arrow(body: &mut String, x: usize, y: usize, label: &str) {
    let end = y + GAP - 6;
    body.push_str(&format!("<path class=\"wire\" d=\"M{x} {y}V{end}\"/>\n"));
    let (left, right, tip) = (x - 4, x + 4, y + GAP);
    body.push_str(&format!("<path class=\"tip\" d=\"M{left} {end}H{right}L{x} {tip}Z\"/>\n"));
    if !label.is_empty() {
        text(body, x + 10, y + LINE, "faint", label);
    }
}
