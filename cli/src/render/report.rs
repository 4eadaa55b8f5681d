//! The report as one HTML page.
//!
//! The page needs no network and loads nothing: its policy names its two styles and its one script by
//! their hashes and forbids everything else. What was captured is text of elements, escaped, or a
//! string in a block of JSON; the script sets it as text, so it is never markup.
mod data;
mod html;
pub(super) mod policy;

use std::collections::BTreeSet;
use std::io::{self, Write};

use tapline_analysis::lint::{Finding, Report};
use tapline_core::span::Evidence;
use tapline_network::Network;

use super::escape::{markup, shorten, visible};
use super::places::Places;
use super::source::excerpt;
use super::{lint_text, picture_svg};
use crate::overview;
use crate::picture::Picture;
use crate::terminal::Paint;

const STYLE: &str = include_str!("report/page.css");
const SCRIPT: &str = include_str!("report/page.js");

/// Bytes of a line that are quoted on either side of the evidence.
const REACH: usize = 300;

/// What a page shows.
pub(crate) struct Shown<'s, 'a> {
    pub(crate) network: &'s Network<'a>,
    pub(crate) report: &'s Report,
    pub(crate) picture: &'s Picture,
    pub(crate) places: &'s Places,
}

/// Writes the page.
pub(crate) fn render(out: &mut impl Write, shown: &Shown<'_, '_>) -> io::Result<()> {
    let topology = shown.network.topology;
    let names: Vec<&str> =
        shown.network.hosts().map(|host| topology.snapshot.host_label(host)).collect();
    let title = markup(&shorten(&format!("tapline: {}", names.join(", ")), 120));
    let verdict = lint_text::verdict(topology, shown.report, true, Paint { color: false });
    writeln!(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">")?;
    let policy = policy::of(&[STYLE, picture_svg::STYLE], SCRIPT);
    writeln!(out, "<meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">")?;
    writeln!(out, "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">")?;
    writeln!(out, "<meta name=\"referrer\" content=\"no-referrer\">\n<title>{title}</title>")?;
    writeln!(out, "<style>{STYLE}</style>\n</head>\n<body>\n<header>\n<h1>{title}</h1>")?;
    writeln!(out, "<p>{}</p>", markup(&verdict))?;
    writeln!(
        out,
        "<nav aria-label=\"parts of the report\"><a href=\"#findings\">findings</a>\
         <a href=\"#network\">picture</a><a href=\"#paths\">paths</a>\
         <a href=\"#coverage\">coverage</a></nav>\n</header>\n<main>"
    )?;
    html::hosts(out, shown)?;
    html::findings(out, shown)?;
    network(out, shown)?;
    html::paths(out, shown)?;
    html::coverage(out, shown)?;
    writeln!(
        out,
        "</main>\n<footer><p class=\"faint\">written by tapline {}</p></footer>",
        env!("CARGO_PKG_VERSION")
    )?;
    writeln!(out, "<script type=\"application/json\" id=\"data\">{}</script>", data::block(shown))?;
    writeln!(out, "<script>{SCRIPT}</script>\n</body>\n</html>")
}

fn network(out: &mut impl Write, shown: &Shown<'_, '_>) -> io::Result<()> {
    writeln!(out, "<section id=\"network\"><h2>Picture</h2>")?;
    writeln!(
        out,
        "<div class=\"tools\"><label>find <input id=\"search\" type=\"search\" autocomplete=\"off\" \
         placeholder=\"name, MAC, address\"></label>\
         <button id=\"in\" aria-label=\"zoom in\">+</button>\
         <button id=\"out\" aria-label=\"zoom out\">−</button>\
         <button id=\"all\">all</button>\
         <span class=\"faint\">drag or arrow keys move, wheel or + and - zoom, a click or Enter tells of a thing</span></div>"
    )?;
    writeln!(out, "<div id=\"hits\" aria-live=\"polite\"></div>\n<div class=\"stage\">")?;
    writeln!(out, "<div id=\"picture\">")?;
    picture_svg::render(out, shown.picture)?;
    writeln!(
        out,
        "</div>\n<div id=\"story\" tabindex=\"0\" role=\"region\" aria-live=\"polite\" \
         aria-label=\"what is known of the chosen thing\">\
         <p class=\"faint\">Choose a thing in the picture.</p></div>\n</div>\n</section>"
    )
}

/// The place of a piece of evidence and its line, harmless and not yet escaped.
fn quote(shown: &Shown<'_, '_>, evidence: Evidence, lines: usize) -> Option<(String, String)> {
    let source = shown.network.topology.snapshot.source(evidence.source)?;
    let text: Vec<String> = excerpt(source, evidence.span, REACH)
        .text
        .lines()
        .take(lines)
        .map(|line| visible(&line.replace('\t', "    ")).into_owned())
        .collect();
    let place = visible(&shown.places.line(source, evidence.span)).into_owned();
    Some((place, text.join("\n")))
}

/// The open findings, each with its place in the report: roots first, then what follows from them.
fn open_findings<'s>(shown: &Shown<'s, '_>) -> Vec<(usize, &'s Finding)> {
    let mut open: Vec<(usize, &Finding)> =
        shown.report.findings.iter().enumerate().filter(|(_, finding)| finding.is_open()).collect();
    let roots: BTreeSet<&str> =
        overview::roots(shown.report).iter().map(|root| root.fingerprint.as_str()).collect();
    open.sort_by_key(|(at, finding)| {
        let follows = !roots.contains(finding.fingerprint.as_str());
        (follows, std::cmp::Reverse(finding.severity), *at)
    });
    open
}
