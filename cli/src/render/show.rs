//! All that is known about one thing: what is wrong with it, its path, and the lines that speak of it.
mod quoted;

use std::collections::BTreeSet;
use std::io::{self, Write};

use tapline_analysis::lint::Report;
use tapline_analysis::lint::paths::Marks;
use tapline_core::capture::HostId;
use tapline_core::need;
use tapline_network::Network;
use tapline_network::path::Paths;
use tapline_topology::{NodeData, NodeId, Topic, Topology};

use self::quoted::{flows, lines, mentioned};
use super::escape::{shorten, visible};
use super::node::{attribute_text, attributes, name, noun};
use super::places::Places;
use super::things::Thing;
use super::{chain, headline, info};
use crate::addresses::Addresses;
use crate::dossier::{self, DeviceFacts, Dossier, Told};
use crate::overview::{self, Cite};
use crate::terminal::{Paint, Terminal, style};

/// So many things are shown in full; more are listed.
pub(crate) const IN_FULL: usize = 3;
/// Things that are listed, unless all are asked for.
const THINGS: usize = 40;
/// Addresses that are listed, unless all are asked for.
const ADDRESSES: usize = 12;
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
    pub(crate) fn topology(&self) -> &'s Topology<'a> {
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
pub(crate) fn host_of(topology: &Topology<'_>, thing: &Thing) -> Option<HostId> {
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
        heading(out, asked.marks.network(), id, paint)?;
    }
    let dossier =
        dossier::gather(asked.marks, asked.report, asked.addresses, thing, asked.wanted, asked.all);
    if !dossier.findings.is_empty() {
        writeln!(out, "\n{}", paint.of(style::STRONG, "findings"))?;
        let findings = &dossier.findings;
        headline::roots(out, topology.snapshot, findings, asked.places, asked.terminal)?;
    }
    told(out, asked, &dossier.logical)?;
    let starts = match topology.logical(thing.main) {
        // An object of OVN is on no host: what hosts have of it is where paths begin.
        Some(_) => dossier::logical::physical(topology, thing.main),
        None => vec![thing.main],
    };
    let starts: Vec<NodeId> = starts
        .into_iter()
        .filter(|id| !matches!(topology.node(*id).map(|node| &node.data), Some(NodeData::Host(_))))
        .collect();
    for (n, start) in starts.iter().take(asked.most(IN_FULL)).enumerate() {
        if n == 0 {
            writeln!(out, "\n{}", paint.of(style::STRONG, "path"))?;
        }
        path(out, asked.marks, *start, asked.places, paint)?;
    }
    if !starts.is_empty() {
        let legend =
            "✓ frames pass  ✗ they do not  ? not known; before a name: ? inferred, ?? by names";
        writeln!(out, "  {}", paint.of(style::FAINT, legend))?;
    }
    facts(out, asked, &dossier)?;
    writeln!(out, "\n{}", paint.of(style::STRONG, "known from"))?;
    lines(out, &dossier.known, asked)?;
    mentioned(out, "also named in", &dossier.mentions, asked)
}

/// What OVN's databases say of a thing.
fn told(out: &mut impl Write, asked: &Asked<'_, '_, '_>, all: &[Told]) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    let paint = asked.paint();
    writeln!(out, "\n{}", paint.of(style::STRONG, "logical"))?;
    for line in all {
        let text = shorten(&line.text, 400).into_owned();
        let place = line.at.as_ref().map_or(String::new(), |at| {
            let path = asked.places.path(&at.archive, &at.member);
            let place = format!("{}:{}", super::places::brief(&path), at.line);
            let place = asked.places.link(&at.archive, &at.member, &visible(&place));
            format!("  {}", paint.of(style::FAINT, place))
        });
        writeln!(out, "  {}{}{place}", "  ".repeat(line.depth), visible(&text))?;
    }
    Ok(())
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
    for address in dossier.addresses.iter().take(asked.most(ADDRESSES)) {
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
        heading(out, asked.marks.network(), thing.main, paint)?;
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
    network: &Network<'_>,
    id: NodeId,
    paint: Paint,
) -> io::Result<()> {
    let topology = network.topology;
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
    facts.extend(network.workloads().of(id).map(|workload| {
        let sign = if workload.is_proven() { "" } else { "? " };
        format!("{sign}{workload}")
    }));
    facts.retain(|fact| !fact.is_empty());
    writeln!(
        out,
        "{}{}: {}",
        paint.of(style::STRONG, visible(&name(topology, id))),
        visible(&scope),
        visible(&shorten(&facts.join(", "), 600)),
    )
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
