//! The topology for programs. Ids are stable over runs and inputs: they are made of names.
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use serde::{Serialize, Serializer};
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Confidence, Witness, WitnessClass};
use tapline_topology::{NodeData, NodeId, Topology};

use super::node::{Attribute, attributes, name};
use crate::error::Result;

/// Places that are listed of one node.
const SEEN: usize = 20;

#[derive(Serialize)]
struct Document<'a> {
    schema: &'static str,
    nodes: Vec<NodeRow<'a>>,
    edges: Vec<EdgeRow<'a>>,
}

#[derive(Serialize)]
struct NodeRow<'a> {
    id: &'a str,
    kind: &'static str,
    host: Option<&'a str>,
    netns: Option<&'a Netns>,
    name: String,
    attributes: Attributes,
    seen: Vec<Place<'a>>,
}

struct Attributes(Vec<Attribute>);

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(Serialize)]
struct EdgeRow<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'static str,
    confidence: Confidence,
    witnesses: Vec<WitnessRow<'a>>,
}

#[derive(Serialize)]
struct WitnessRow<'a> {
    class: WitnessClass,
    claim: &'a str,
    #[serde(flatten)]
    place: Option<Place<'a>>,
}

#[derive(Serialize)]
struct Place<'a> {
    archive: &'a str,
    member: &'a str,
    line: u32,
}

/// Writes the nodes of `chosen` and the edges between them.
pub(crate) fn render(
    out: &mut impl Write,
    topology: &Topology<'_>,
    chosen: &BTreeSet<NodeId>,
) -> Result<()> {
    let ids = ids(topology, chosen);
    let hosts = &topology.snapshot.captured.hosts;
    let nodes = ids.iter().filter_map(|(&id, key)| {
        let node = topology.node(id)?;
        Some(NodeRow {
            id: key,
            kind: node.data.kind(),
            host: node.host.and_then(|it| hosts.get(it.0 as usize)).map(|it| it.name.as_str()),
            netns: node.netns.as_ref(),
            name: name(topology, id),
            attributes: Attributes(attributes(topology, id)),
            seen: node.seen.iter().take(SEEN).filter_map(|&it| place(topology, it)).collect(),
        })
    });
    let edges = topology.edges().filter_map(|(from, edge, to)| {
        Some(EdgeRow {
            from: ids.get(&from)?,
            to: ids.get(&to)?,
            kind: edge.kind.as_str(),
            confidence: edge.confidence,
            witnesses: edge.witnesses.iter().map(|it| witness(topology, it)).collect(),
        })
    });
    let document =
        Document { schema: "tapline.graph/1", nodes: nodes.collect(), edges: edges.collect() };
    serde_json::to_writer_pretty(&mut *out, &document)?;
    Ok(writeln!(out)?)
}

fn witness<'a>(topology: &'a Topology<'_>, it: &'a Witness) -> WitnessRow<'a> {
    WitnessRow { class: it.class, claim: &it.claim, place: place(topology, it.evidence) }
}

fn place<'a>(topology: &'a Topology<'_>, evidence: Evidence) -> Option<Place<'a>> {
    let source = topology.snapshot.source(evidence.source)?;
    let (line, _) = source.line_numbers(evidence.span);
    Some(Place { archive: &source.archive, member: &source.member, line })
}

/// `node2/netdev/root/eth0`: host, kind, then what makes the name unique within the kind. Equal
/// ids, which damaged captures may give, are numbered.
fn ids(topology: &Topology<'_>, chosen: &BTreeSet<NodeId>) -> BTreeMap<NodeId, String> {
    let mut used: BTreeMap<String, u32> = BTreeMap::new();
    let mut ids = BTreeMap::new();
    for &id in chosen {
        let key = key(topology, id);
        let times = used.entry(key.clone()).or_default();
        *times += 1;
        ids.insert(id, if *times == 1 { key } else { format!("{key}#{times}") });
    }
    ids
}

fn key(topology: &Topology<'_>, id: NodeId) -> String {
    let Some(node) = topology.node(id) else { return String::new() };
    let host = node.host.and_then(|it| topology.snapshot.host(it)).map(|it| it.name.as_str());
    let mut parts = vec![host.unwrap_or("-").to_owned()];
    if matches!(node.data, NodeData::Host(_)) {
        return parts.concat();
    }
    parts.push(node.data.kind().to_owned());
    let of = |owner: NodeId| topology.node(owner).map_or("", |it| it.name.as_str()).to_owned();
    match &node.data {
        NodeData::Netns(_) => {}
        NodeData::VmNic(it) => parts.push(of(it.vm)),
        _ => parts.extend(node.netns.as_ref().map(Netns::to_string)),
    }
    match &node.data {
        NodeData::TunnelEndpoint(it) => parts.push(of(it.owner)),
        NodeData::Address(it) => parts.push(of(it.netdev)),
        _ => {}
    }
    parts.push(match &node.data {
        NodeData::Address(it) => it.ip.to_string(),
        _ => node.name.to_string(),
    });
    parts.join("/")
}
