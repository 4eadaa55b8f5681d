//! The document of `tapline show`.
use std::collections::BTreeMap;
use std::io::Write;

use schemars::JsonSchema;
use serde::Serialize;
use tapline_analysis::lint::paths::Cross;
use tapline_network::path::{Hop, Link, Paths};
use tapline_network::{Answer, Network};

use super::escape::shorten;
use super::node::{attributes, name};
use super::show::{Asked, host_of};
use super::things::Thing;
use crate::dossier::{self, DeviceFacts, Line, Mention, Section, Told};
use crate::error::Result;
use crate::overview::{self, Cite, GuestAddress, Root};
use crate::schema as shape;

/// Characters of a line in JSON.
const LONGEST: usize = 2000;

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
    /// What OVN's databases say of it: ports, networks, routers, translations.
    logical: Vec<Told>,
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
    /// The guest, container or pod that it serves.
    serves: Option<Serves>,
}

/// What a node serves.
#[derive(JsonSchema, Serialize)]
struct Serves {
    /// `pod shop/web-0`, `container web (3f2a1b4c5d6e)`, `NIC 0 of VM 103 web (Proxmox VE)`.
    guest: String,
    /// Whether it is proven; else inferred, as the other end of its pair is.
    proven: bool,
    /// The lines that say so.
    at: Vec<Cite>,
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
        dossier::gather(asked.marks, asked.report, asked.addresses, thing, asked.wanted, asked.all);
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
            serves: network.workloads().of(id).map(|workload| Serves {
                guest: workload.to_string(),
                proven: workload.is_proven(),
                at: workload
                    .lines
                    .iter()
                    .filter_map(|&line| Cite::of(topology.snapshot, line))
                    .collect(),
            }),
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
        logical: dossier.logical,
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
