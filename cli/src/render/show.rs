//! All that is known about one thing: what it is, its path, and the lines that speak of it.
use std::collections::BTreeSet;
use std::io::{self, Write};

use tapline_analysis::lint::paths::Marks;
use tapline_core::capture::Source;
use tapline_core::need;
use tapline_core::span::{SourceId, Span};
use tapline_network::path::Paths;
use tapline_topology::{NodeData, NodeId, Topic, Topology};

use super::escape::{shorten, visible};
use super::guest_names;
use super::node::{attribute_text, attributes, name, noun};
use super::source::excerpt;
use super::things::Thing;
use super::{chain, place};
use crate::terminal::{Paint, Terminal, style};

/// Lines that are listed of one sort, unless all are asked for.
const LINES: usize = 12;
/// Names that are shorter are not searched for in the texts: they are in every line.
const SHORTEST: usize = 2;

/// Everything about one thing.
pub(crate) fn thing(
    out: &mut impl Write,
    marks: &Marks<'_, '_, '_>,
    thing: &Thing,
    wanted: &str,
    all: bool,
    terminal: &Terminal,
) -> io::Result<()> {
    let (topology, paint) = (marks.network().topology, terminal.stdout());
    for &id in
        std::iter::once(&thing.main).chain(thing.nodes.iter().filter(|&&node| node != thing.main))
    {
        heading(out, topology, id, paint)?;
    }
    writeln!(out, "\n{}", paint.of(style::STRONG, "path"))?;
    path(out, marks, thing.main, paint)?;
    let mut told = BTreeSet::new();
    writeln!(out, "\n{}", paint.of(style::STRONG, "known from"))?;
    let mut known = Vec::new();
    for &id in &thing.nodes {
        let Some(node) = topology.node(id) else { continue };
        for evidence in &node.seen {
            let Some(source) = topology.snapshot.source(evidence.source) else { continue };
            if told.insert((source.id, source.line_numbers(evidence.span).0)) {
                known.push((source, evidence.span));
            }
        }
    }
    lines(out, &known, all, terminal)?;
    let mentioned = mentions(topology, &names(topology, thing, wanted), &mut told);
    if !mentioned.is_empty() {
        writeln!(out, "\n{}", paint.of(style::STRONG, "also named in"))?;
        lines(out, &mentioned, all, terminal)?;
    }
    Ok(())
}

/// The paths from a node to its VMs or namespaces and to the wire.
pub(crate) fn path(
    out: &mut impl Write,
    marks: &Marks<'_, '_, '_>,
    node: NodeId,
    paint: Paint,
) -> io::Result<()> {
    let network = marks.network();
    let mut finder = Paths::new(network);
    let start = network.address(node).map_or(node, |address| address.data.netdev);
    let paths = chain::Both::of(&mut finder, network, start);
    chain::render(out, &paths, marks, paint)
}

/// Several things of one name, one a line.
pub(crate) fn list_things(
    out: &mut impl Write,
    topology: &Topology<'_>,
    wanted: &str,
    things: &[Thing],
    terminal: &Terminal,
) -> io::Result<()> {
    let paint = terminal.stdout();
    writeln!(out, "{} things are called {}:", things.len(), visible(wanted))?;
    for thing in things {
        heading(out, topology, thing.main, paint)?;
    }
    writeln!(
        out,
        "{}: narrow it down with host:NAME or netns/NAME, or tell all with --all",
        paint.of(style::HINT, "hint"),
    )
}

/// `tap85bcbfb0-bc on node2: tap, index 42, mtu 1450, …`
fn heading(
    out: &mut impl Write,
    topology: &Topology<'_>,
    id: NodeId,
    paint: Paint,
) -> io::Result<()> {
    let Some(node) = topology.node(id) else { return Ok(()) };
    let host = node
        .host
        .and_then(|host| topology.snapshot.host(host))
        .map(tapline_core::capture::Host::label);
    let mut scope = host.map_or(String::new(), |host| format!(" on {host}"));
    if let Some(netns) = node.netns.as_ref().filter(|netns| !netns.is_root()) {
        scope.push_str(&format!(" in {netns}"));
    }
    let mut facts = vec![noun(node).to_owned()];
    for attribute in attributes(topology, id) {
        // What the noun says already.
        if attribute.0 == "type" && facts.iter().any(|fact| attribute.1 == fact.as_str()) {
            continue;
        }
        facts.push(attribute_text(&attribute));
    }
    if matches!(node.data, NodeData::Netdev(_))
        && let Some(guest) = guest_names::guest_of(&node.name, &|sort, number| {
            guest_names::called(topology.snapshot, node.host?, sort, number)
        })
    {
        facts.push(guest);
    }
    facts.retain(|fact| !fact.is_empty());
    writeln!(
        out,
        "{}{}: {}",
        paint.of(style::STRONG, visible(&name(topology, id))),
        visible(&scope),
        visible(&shorten(&facts.join(", "), 600)),
    )
}

/// Places with the quoted line.
fn lines(
    out: &mut impl Write,
    all: &[(&Source, Span)],
    in_full: bool,
    terminal: &Terminal,
) -> io::Result<()> {
    let paint = terminal.stdout();
    let most = if in_full { all.len() } else { LINES };
    for (source, span) in all.iter().take(most) {
        let place = place(&source.archive, &source.member).to_string();
        let (line, _) = source.line_numbers(*span);
        let quoted = quote(source, *span, terminal.width.saturating_sub(6));
        writeln!(out, "  {}:{line}", visible(&place))?;
        writeln!(out, "    {}", paint.of(style::FAINT, quoted))?;
    }
    if all.len() > most {
        writeln!(out, "  and {} more with --all", all.len() - most)?;
    }
    Ok(())
}

/// The line of a span, harmless; of a long one, the part from a little before the span on.
fn quote(source: &Source, span: Span, width: usize) -> String {
    const LEAD: usize = 24;
    let lines = excerpt(source, span, 400);
    let at = (span.start as usize).saturating_sub(lines.start).min(lines.text.len());
    let line_start = lines.text.get(..at).and_then(|it| it.rfind('\n')).map_or(0, |it| it + 1);
    let line = lines.text.get(line_start..).unwrap_or_default();
    let line = line.lines().next().unwrap_or_default();
    let whole = line.trim_start();
    let at = (at - line_start).saturating_sub(line.len() - whole.len());
    let before = whole.get(..at).unwrap_or_default();
    let far = before.chars().count() > width / 2;
    let from = if far { before.char_indices().rev().nth(LEAD).map_or(0, |(at, _)| at) } else { 0 };
    let shown = whole.get(from..).unwrap_or_default().trim_end().replace('\t', " ");
    let cut = if from > 0 { "…" } else { "" };
    format!("{cut}{}", visible(&shorten(&shown, width.saturating_sub(1))))
}

/// What to look for in the texts: the names of the thing, and what was asked for.
fn names(topology: &Topology<'_>, thing: &Thing, wanted: &str) -> BTreeSet<String> {
    let mut names: BTreeSet<String> = BTreeSet::from([wanted.to_owned()]);
    for &id in &thing.nodes {
        if let Some(node) = topology.node(id) {
            names.insert(node.name.to_string());
        }
    }
    names.retain(|name| name.len() >= SHORTEST);
    names
}

/// Lines that hold one of the names as a word and were not shown yet.
fn mentions<'a>(
    topology: &'a Topology<'_>,
    names: &BTreeSet<String>,
    told: &mut BTreeSet<(SourceId, u32)>,
) -> Vec<(&'a Source, Span)> {
    let mut found = Vec::new();
    let finders: Vec<_> =
        names.iter().map(|name| (name, memchr::memmem::Finder::new(name))).collect();
    for source in topology.snapshot.captured.sources.iter().filter(|source| source.format.is_some())
    {
        let bytes = source.text.as_bytes();
        let mut spans: Vec<Span> = Vec::new();
        for (name, finder) in &finders {
            for at in finder.find_iter(bytes) {
                let end = at + name.len();
                let part = |at: Option<usize>| {
                    at.and_then(|at| bytes.get(at)).is_some_and(|&it| is_word(it))
                };
                if part(at.checked_sub(1)) || part(Some(end)) {
                    continue;
                }
                let (Ok(start), Ok(end)) = (u32::try_from(at), u32::try_from(end)) else { break };
                spans.push(Span { start, end });
            }
        }
        spans.sort_unstable();
        for span in spans {
            if told.insert((source.id, source.line_numbers(span).0)) {
                found.push((source, span));
            }
        }
    }
    found
}

/// Characters that device names, ids and addresses are made of. A colon and a dot end a name:
/// `42: tap0: <…>`, `eth0.100`.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}

/// Nothing is called so: where it was looked for, what is similar, and where the text stands.
pub(crate) fn not_found(
    out: &mut impl Write,
    topology: &Topology<'_>,
    wanted: &str,
    near: &[String],
    terminal: &Terminal,
) -> io::Result<()> {
    const TOPICS: [Topic; 4] = [Topic::Links, Topic::Ovs, Topic::NetnsList, Topic::Domains];
    let paint = terminal.stdout();
    writeln!(out, "nothing is called {}", paint.of(style::STRONG, visible(wanted)))?;
    let hosts = topology.snapshot.captured.hosts.iter().zip(0..);
    for (host, n) in hosts {
        let (mut searched, mut open) = (Vec::new(), Vec::new());
        let id = tapline_core::capture::HostId(n);
        for topic in TOPICS {
            let root = tapline_core::ids::Netns::Root;
            if topology.coverage.is_complete(id, &root, topic) {
                searched.push(topic.name().to_owned());
            } else {
                open.push(topic.command(&root));
            }
        }
        let all: Vec<_> = topology
            .coverage
            .host(id)
            .filter(|(netns, topic, _)| *topic == Topic::Links && !netns.is_root())
            .collect();
        let complete = all.iter().filter(|(_, _, it)| it.is_complete()).count();
        if complete > 0 {
            searched.push(super::count(complete, "namespace"));
        }
        if !searched.is_empty() {
            let text = format!("searched completely on {}: {}", host.label(), searched.join(", "));
            writeln!(out, "  {}", visible(&text))?;
        }
        if !open.is_empty() {
            let text = format!("not captured in full on {}: {}", host.label(), need::list(&open));
            writeln!(out, "  {}", visible(&text))?;
        }
    }
    if !near.is_empty() {
        let near = near.join(", ");
        writeln!(out, "{}: did you mean {}?", paint.of(style::HINT, "hint"), visible(&near))?;
    }
    let mentioned = mentions(topology, &BTreeSet::from([wanted.to_owned()]), &mut BTreeSet::new());
    if !mentioned.is_empty() {
        writeln!(out, "\n{}", paint.of(style::STRONG, "but the name occurs in"))?;
        lines(out, &mentioned, false, terminal)?;
    }
    Ok(())
}
