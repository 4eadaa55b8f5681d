//! All that is known about one thing: what is wrong with it, its path, and the lines that speak of it.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::Report;
use tapline_analysis::lint::paths::{Cross, Marks};
use tapline_core::capture::{HostId, Source};
use tapline_core::need;
use tapline_core::span::Span;
use tapline_network::path::{Hop, Link, Paths};
use tapline_network::{Answer, Network};
use tapline_topology::{NodeData, NodeId, Topic, Topology};

use super::escape::{shorten, visible};
use super::node::{attribute_text, attributes, name, noun};
use super::places::Places;
use super::source::excerpt;
use super::things::Thing;
use super::{chain, guest_names, headline, info};
use crate::addresses::Addresses;
use crate::dossier::{self, DeviceFacts, Dossier, Line, Mention, Section};
use crate::error::Result;
use crate::overview::{self, Cite, GuestAddress, Root};
use crate::schema as shape;
use crate::terminal::{Paint, Terminal, style};

/// So many things are shown in full; more are listed.
pub(crate) const IN_FULL: usize = 3;
/// Lines that are listed of one sort, unless all are asked for.
const LINES: usize = 8;
/// Files that are listed, unless all are asked for.
const FILES: usize = 12;
/// Things that are listed, unless all are asked for.
const THINGS: usize = 40;
/// Characters of a line in JSON.
const LONGEST: usize = 2000;
/// Counters of one device.
const COUNTERS: usize = 8;

/// What was asked, and of what.
pub(crate) struct Asked<'s, 'a, 'r> {
    pub(crate) marks: &'s Marks<'s, 'a, 'r>,
    pub(crate) report: &'r Report,
    pub(crate) addresses: &'s Addresses,
    pub(crate) places: &'s Places,
    /// What the person typed.
    pub(crate) wanted: &'s str,
    /// Every line that mentions it.
    pub(crate) all: bool,
    pub(crate) terminal: &'s Terminal,
}

impl<'s, 'a> Asked<'s, 'a, '_> {
    fn topology(&self) -> &'s Topology<'a> {
        self.marks.network().topology
    }

    fn paint(&self) -> Paint {
        self.terminal.stdout()
    }

    fn most(&self, most: usize) -> usize {
        if self.all { usize::MAX } else { most }
    }
}

/// The host that a thing is, where it is one.
fn host_of(topology: &Topology<'_>, thing: &Thing) -> Option<HostId> {
    let node = topology.node(thing.main)?;
    matches!(node.data, NodeData::Host(_)).then_some(node.host)?
}

/// Everything about one thing.
pub(crate) fn thing(
    out: &mut impl Write,
    asked: &Asked<'_, '_, '_>,
    thing: &Thing,
) -> io::Result<()> {
    let (topology, paint) = (asked.topology(), asked.paint());
    if let Some(host) = host_of(topology, thing) {
        let roots = overview::roots(asked.report);
        let host = overview::host(asked.marks.network(), asked.addresses, &roots, host);
        return info::text(out, &host, asked.places, asked.terminal);
    }
    for &id in
        std::iter::once(&thing.main).chain(thing.nodes.iter().filter(|&&node| node != thing.main))
    {
        heading(out, topology, id, paint)?;
    }
    let dossier = dossier::gather(asked.marks, asked.report, asked.addresses, thing, asked.wanted);
    if !dossier.findings.is_empty() {
        writeln!(out, "\n{}", paint.of(style::STRONG, "findings"))?;
        let findings = &dossier.findings;
        headline::roots(out, topology.snapshot, findings, asked.places, asked.terminal)?;
    }
    writeln!(out, "\n{}", paint.of(style::STRONG, "path"))?;
    path(out, asked.marks, thing.main, asked.places, paint)?;
    let legend =
        "✓ frames pass  ✗ they do not  ? not known; before a name: ? inferred, ?? by names";
    writeln!(out, "  {}", paint.of(style::FAINT, legend))?;
    facts(out, asked, &dossier)?;
    writeln!(out, "\n{}", paint.of(style::STRONG, "known from"))?;
    lines(out, &dossier.known, asked)?;
    mentioned(out, "also named in", &dossier.mentions, asked)
}

/// Addresses, counters, and the lines that speak of a thing, by what they are.
fn facts(out: &mut impl Write, asked: &Asked<'_, '_, '_>, dossier: &Dossier<'_>) -> io::Result<()> {
    let paint = asked.paint();
    let place = |at: &Option<Cite>| {
        let Some(at) = at else { return String::new() };
        let path = asked.places.path(&at.archive, &at.member);
        let place = format!("{}:{}", super::places::brief(&path), at.line);
        let place = asked.places.link(&at.archive, &at.member, &visible(&place));
        format!("  {}", paint.of(style::FAINT, place))
    };
    if !dossier.addresses.is_empty() {
        writeln!(out, "\n{}", paint.of(style::STRONG, "addresses"))?;
    }
    for address in dossier.addresses.iter().take(asked.most(FILES)) {
        let text = format!("{} {}, {}", address.ip, address.kind, address.how);
        writeln!(out, "  {}{}", visible(&text), place(&address.at))?;
    }
    if !dossier.devices.is_empty() {
        writeln!(out, "\n{}", paint.of(style::STRONG, "link and counters"))?;
    }
    for device in &dossier.devices {
        let at = device.counters.first().and_then(|counter| counter.at.clone());
        writeln!(out, "  {}{}", visible(&device_text(device)), place(&at))?;
    }
    for section in &dossier.lines {
        writeln!(out, "\n{}", paint.of(style::STRONG, section.what))?;
        if section.what == dossier::FLOWS {
            flows(out, &section.lines, asked)?;
        } else {
            lines(out, &section.lines, asked)?;
        }
    }
    Ok(())
}

/// Flows without what only counts, so that what they match and do is seen.
fn flows(out: &mut impl Write, all: &[Line], asked: &Asked<'_, '_, '_>) -> io::Result<()> {
    let paint = asked.paint();
    let width = asked.terminal.width.saturating_sub(12);
    let mut before = None;
    for line in all.iter().take(asked.most(LINES)) {
        let file = (&line.at.archive, &line.at.member);
        if before.replace(file) != Some(file) {
            let path = asked.places.path(file.0, file.1);
            let path = asked.places.link(file.0, file.1, &visible(&path));
            writeln!(out, "  {path}")?;
        }
        let flow = dossier::without_counts(&line.text);
        let shown = shorten(&flow, width.saturating_sub(1));
        let shown = paint.of(style::FAINT, visible(&shown));
        writeln!(out, "  {:>6}  {shown}", line.at.line)?;
    }
    if all.len() > asked.most(LINES) {
        writeln!(out, "  and {} more with --all", all.len() - LINES)?;
    }
    Ok(())
}

/// `ens7: up, virtio_net 0000:00:07.0; rx_packets 12, tx_packets 3, rx_dropped 1`
fn device_text(device: &DeviceFacts) -> String {
    let mut about: Vec<String> = Vec::new();
    about.extend(device.link.map(str::to_owned));
    about.extend(device.speed.clone());
    let driver: Vec<&str> =
        [device.driver.as_deref(), device.bus.as_deref()].into_iter().flatten().collect();
    about.extend((!driver.is_empty()).then(|| driver.join(" ")));
    let counters = device.counters.iter().take(COUNTERS);
    let counters: Vec<String> =
        counters.map(|counter| format!("{} {}", counter.name, counter.value)).collect();
    let more = device.counters.len().saturating_sub(COUNTERS);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let parts = [about.join(", "), format!("{}{more}", counters.join(", "))];
    let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    format!("{}: {}", device.device, parts.join("; "))
}

/// The paths from a node to its VMs or namespaces and to the wire.
pub(crate) fn path(
    out: &mut impl Write,
    marks: &Marks<'_, '_, '_>,
    node: NodeId,
    places: &Places,
    paint: Paint,
) -> io::Result<()> {
    let network = marks.network();
    let mut finder = Paths::new(network);
    let start = network.address(node).map_or(node, |address| address.data.netdev);
    let paths = chain::Both::of(&mut finder, network, start);
    chain::render(out, &paths, marks, places, paint)
}

/// Several things of one name, or things that have something in common, one a line.
pub(crate) fn list_things(
    out: &mut impl Write,
    asked: &Asked<'_, '_, '_>,
    things: &[Thing],
    because: &[String],
) -> io::Result<()> {
    let paint = asked.paint();
    let all = super::count(things.len(), "thing");
    let wanted = visible(asked.wanted);
    match because {
        [] => writeln!(out, "{all} for {wanted}:")?,
        because => writeln!(out, "{all}: what {}", visible(&because.join(", or ")))?,
    }
    for thing in things.iter().take(asked.most(THINGS)) {
        write!(out, "  ")?;
        heading(out, asked.topology(), thing.main, paint)?;
    }
    let more = things.len().saturating_sub(asked.most(THINGS));
    if more > 0 {
        writeln!(out, "  and {more} more with --all")?;
    }
    if things.len() <= asked.most(IN_FULL) {
        return Ok(());
    }
    // What a person may type to mean one of them.
    let one = things.iter().find_map(|thing| narrowed(asked.topology(), thing.main));
    let one = one.map(|one| format!(", such as {one}")).unwrap_or_default();
    let hint = format!("narrow it down with host:NAME or netns/NAME{one}, or tell all with --all");
    writeln!(out, "{}: {}", paint.of(style::HINT, "hint"), visible(&hint))
}

/// `node2:qrouter-…/qr-1`: a name that no other thing has.
fn narrowed(topology: &Topology<'_>, id: NodeId) -> Option<String> {
    let node = topology.node(id)?;
    let host = topology.snapshot.host(node.host?)?.label();
    let within = match &node.data {
        NodeData::Netdev(_) => format!("{}/", node.netns.as_ref()?),
        NodeData::OvsPort(port) => format!("{}/", port.bridge),
        NodeData::OvsInterface(interface) => format!("{}/", interface.bridge),
        NodeData::VmNic(_) => return Some(format!("{host}:{}", topology.name(id))),
        _ => String::new(),
    };
    Some(format!("{host}:{within}{}", node.name))
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
        let text = attribute_text(&attribute);
        match (attribute.0, &node.data) {
            // What the noun says already.
            ("type", NodeData::Netdev(_)) => {}
            ("type", _) if facts.contains(&text) => {}
            // libvirt's word for how a NIC is plugged.
            ("type", NodeData::VmNic(_)) => facts.push(format!("of type {text}")),
            _ => facts.push(text),
        }
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

/// Quoted lines, under the file that they stand in.
fn lines(out: &mut impl Write, all: &[Line], asked: &Asked<'_, '_, '_>) -> io::Result<()> {
    let most = asked.most(LINES);
    let mut shown: Vec<(&Source, Vec<Span>)> = Vec::new();
    let mut left = most;
    for line in all {
        if left == 0 {
            break;
        }
        left -= 1;
        let at = line.at.evidence;
        let Some(source) = asked.topology().snapshot.source(at.source) else { continue };
        match shown.iter_mut().find(|(other, _)| other.id == source.id) {
            Some((_, spans)) => spans.push(at.span),
            None => shown.push((source, vec![at.span])),
        }
    }
    for (source, mut spans) in shown {
        spans.sort_unstable();
        quoted(out, source, &spans, asked)?;
    }
    if all.len() > most {
        writeln!(out, "  and {} more with --all", all.len() - most)?;
    }
    Ok(())
}

/// The file, then its lines behind their numbers.
fn quoted(
    out: &mut impl Write,
    source: &Source,
    spans: &[Span],
    asked: &Asked<'_, '_, '_>,
) -> io::Result<()> {
    let paint = asked.paint();
    let path = asked.places.path(&source.archive, &source.member);
    let path = asked.places.link(&source.archive, &source.member, &visible(&path));
    writeln!(out, "  {path}")?;
    for span in spans {
        let (line, _) = source.line_numbers(*span);
        let quoted = quote(source, *span, asked.terminal.width.saturating_sub(12));
        writeln!(out, "  {line:>6}  {}", paint.of(style::FAINT, quoted))?;
    }
    Ok(())
}

/// Files that name something, each with its first line, or with all.
fn mentioned(
    out: &mut impl Write,
    title: &str,
    all: &[Mention],
    asked: &Asked<'_, '_, '_>,
) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let paint = asked.paint();
    writeln!(out, "\n{}", paint.of(style::STRONG, title))?;
    for mention in all.iter().take(asked.most(FILES)) {
        let at = mention.first.at.evidence;
        let Some(source) = asked.topology().snapshot.source(at.source) else { continue };
        if asked.all {
            quoted(out, source, &mention.lines, asked)?;
            continue;
        }
        let place = asked.places.linked_line(source, at.span);
        let more = match mention.count {
            1 => String::new(),
            count => format!(" and {}", super::count(count - 1, "more line")),
        };
        writeln!(out, "  {place}{more}")?;
        let quoted = quote(source, at.span, asked.terminal.width.saturating_sub(6));
        writeln!(out, "    {}", paint.of(style::FAINT, quoted))?;
    }
    if all.len() > asked.most(FILES) {
        writeln!(out, "  and {} with --all", super::count(all.len() - FILES, "more file"))?;
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

/// Nothing is called so: where it was looked for, what is similar, and where the text stands.
pub(crate) fn not_found(
    out: &mut impl Write,
    asked: &Asked<'_, '_, '_>,
    near: &[String],
) -> io::Result<()> {
    const TOPICS: [Topic; 4] = [Topic::Links, Topic::Ovs, Topic::NetnsList, Topic::Domains];
    let (topology, paint, wanted) = (asked.topology(), asked.paint(), asked.wanted);
    writeln!(out, "nothing is called {}", paint.of(style::STRONG, visible(wanted)))?;
    let hosts = topology.snapshot.captured.hosts.iter().zip(0..);
    for (host, n) in hosts {
        let (mut searched, mut open) = (Vec::new(), Vec::new());
        let id = HostId(n);
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
    let names = BTreeSet::from([dossier::Word::anywhere(wanted)]);
    let mentions = dossier::mentions(topology, &names, &mut BTreeSet::new());
    mentioned(out, "but the name occurs in", &mentions, asked)
}

/// What `tapline show --format json` writes.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.show/1"))]
    schema: &'static str,
    /// What was asked for.
    name: &'a str,
    /// Where that is no name: what the things have in common.
    because: &'a [String],
    /// The things that were found.
    found: Vec<ThingRow>,
    /// Names like it, where nothing was found.
    near: &'a [String],
}

/// One thing.
#[derive(JsonSchema, Serialize)]
struct ThingRow {
    /// Its key, as in findings and in the graph.
    key: Option<String>,
    /// Kind of node: `vm`, `netdev`, …
    kind: &'static str,
    /// As a person says it.
    name: String,
    /// Its host.
    host: Option<String>,
    /// Its namespace, where it lives in one.
    netns: Option<String>,
    /// What is known of it and of what is one with it, by kind of node.
    nodes: Vec<NodeRow>,
    /// Findings about it, and those that stand on its path.
    findings: Vec<Root>,
    /// Hops towards VMs and namespaces.
    up: Vec<HopRow>,
    /// Hops towards the wire.
    down: Vec<HopRow>,
    /// Its addresses and those of the guest behind it.
    addresses: Vec<GuestAddress>,
    /// Links and counters.
    devices: Vec<DeviceFacts>,
    /// Routes, neighbours, learnt addresses, flows and rules that name it.
    lines: Vec<Section>,
    /// The places that it is known from.
    known_from: Vec<Line>,
    /// Files that name it otherwise.
    mentions: Vec<Mention>,
    /// Where it is a host: what `tapline info` says of it.
    info: Option<overview::Host>,
}

#[derive(JsonSchema, Serialize)]
struct NodeRow {
    kind: &'static str,
    key: Option<String>,
    name: String,
    /// As in the graph.
    #[schemars(with = "shape::Anything")]
    attributes: BTreeMap<&'static str, serde_json::Value>,
}

/// One hop of a path.
#[derive(JsonSchema, Serialize)]
struct HopRow {
    kind: &'static str,
    name: String,
    key: Option<String>,
    /// `whole`, `broken` or `unknown`.
    #[schemars(with = "shape::HopState")]
    state: &'static str,
    /// What stops frames here.
    why: Option<String>,
    /// Fingerprint of the finding that stops them.
    finding: Option<String>,
    /// The line that ties it to the hop before.
    at: Option<Cite>,
    /// Further hops, where the node was not reached before.
    next: Vec<HopRow>,
}

/// Writes the document.
pub(crate) fn json(
    out: &mut impl Write,
    asked: &Asked<'_, '_, '_>,
    things: &[Thing],
    because: &[String],
    near: &[String],
) -> Result<()> {
    let document = Document {
        schema: "tapline.show/1",
        name: asked.wanted,
        because,
        found: things.iter().map(|thing| row(asked, thing)).collect(),
        near,
    };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn row(asked: &Asked<'_, '_, '_>, thing: &Thing) -> ThingRow {
    let topology = asked.topology();
    let network = asked.marks.network();
    let node = topology.node(thing.main);
    let host = node.and_then(|node| node.host);
    let is_host = host_of(topology, thing);
    let mut dossier =
        dossier::gather(asked.marks, asked.report, asked.addresses, thing, asked.wanted);
    for line in dossier.lines.iter_mut().flat_map(|section| &mut section.lines) {
        line.text = shorten(&line.text, LONGEST).into_owned();
    }
    let mentions = dossier.mentions.iter_mut().map(|mention| &mut mention.first);
    for line in dossier.known.iter_mut().chain(mentions) {
        line.text = shorten(&line.text, LONGEST).into_owned();
    }
    let nodes = thing.nodes.iter().filter_map(|&id| {
        Some(NodeRow {
            kind: topology.node(id)?.data.kind(),
            key: topology.key(id).map(ToString::to_string),
            name: name(topology, id),
            attributes: attributes(topology, id).into_iter().collect(),
        })
    });
    let (up, down) = if is_host.is_some() {
        (Vec::new(), Vec::new())
    } else {
        let mut finder = Paths::new(network);
        let start = network.address(thing.main).map_or(thing.main, |it| it.data.netdev);
        let behind = network.ovs_bridge(start).is_some();
        let (up, down) = (finder.up(start), finder.down(start));
        (hops(asked, &up.hops, behind), hops(asked, &down.hops, behind))
    };
    let roots = || overview::roots(asked.report);
    ThingRow {
        key: topology.key(thing.main).map(ToString::to_string),
        kind: node.map_or("", |node| node.data.kind()),
        name: name(topology, thing.main),
        host: host.map(|host| topology.snapshot.host_label(host).to_owned()),
        netns: node.and_then(|node| node.netns.as_ref()).map(ToString::to_string),
        nodes: nodes.collect(),
        findings: dossier.findings.iter().map(|it| Root::of(topology.snapshot, it)).collect(),
        up,
        down,
        addresses: dossier.addresses,
        devices: dossier.devices,
        lines: dossier.lines,
        known_from: dossier.known,
        mentions: dossier.mentions,
        info: is_host.map(|host| overview::host(network, asked.addresses, &roots(), host)),
    }
}

fn hops(asked: &Asked<'_, '_, '_>, all: &[Hop<'_>], behind: bool) -> Vec<HopRow> {
    let topology = asked.topology();
    let network: &Network<'_> = asked.marks.network();
    let hop = |hop: &Hop<'_>| {
        let cross = asked.marks.at(hop, behind);
        let state = match (&cross, &hop.passes) {
            (Some(_), _) | (None, Answer::Known(Some(_))) => "broken",
            (None, Answer::Known(None)) => "whole",
            (None, Answer::Unknown(_)) => "unknown",
        };
        let (why, finding) = match &cross {
            Some(Cross::Finding(finding)) => {
                (Some(finding.rule.code.to_string()), Some(finding.fingerprint.clone()))
            }
            Some(Cross::Block(block)) => (Some(block.why.to_string()), None),
            None => (None, None),
        };
        let at = match hop.link {
            Link::Edge(edge) => edge.witnesses.first().map(|witness| witness.evidence),
            Link::Sends { evidence, .. } => evidence,
        };
        let is_switch = network.ovs_bridge(hop.node).is_some();
        HopRow {
            kind: topology.node(hop.node).map_or("", |node| node.data.kind()),
            name: name(topology, hop.node),
            key: topology.key(hop.node).map(ToString::to_string),
            state,
            why,
            finding,
            at: at.and_then(|at| Cite::of(topology.snapshot, at)),
            next: hops(asked, &hop.next, behind || is_switch),
        }
    };
    all.iter().map(hop).collect()
}
