//! The topology for programs. Ids are the keys of the nodes: the same in each run, whatever the
//! order of the inputs, and the same as in findings.
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Confidence, Witness, WitnessClass};
use tapline_topology::{NodeId, Topology};

use super::node::{Attribute, attributes, name};
use crate::error::Result;
use crate::schema as shape;

/// Places that are listed of one node.
const SEEN: usize = 20;

#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.graph/1"))]
    schema: &'static str,
    nodes: Vec<NodeRow<'a>>,
    edges: Vec<EdgeRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct NodeRow<'a> {
    id: &'a str,
    kind: &'static str,
    host: Option<&'a str>,
    #[schemars(with = "Option<String>")]
    netns: Option<&'a Netns>,
    name: String,
    /// Properties of the node, by name.
    #[schemars(with = "shape::Anything")]
    attributes: Attributes,
    seen: Vec<Place<'a>>,
}

struct Attributes(Vec<Attribute>);

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

#[derive(JsonSchema, Serialize)]
struct EdgeRow<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'static str,
    #[schemars(with = "shape::EdgeConfidence")]
    confidence: Confidence,
    witnesses: Vec<WitnessRow<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct WitnessRow<'a> {
    #[schemars(with = "shape::WitnessClass")]
    class: WitnessClass,
    claim: &'a str,
    #[serde(flatten)]
    place: Option<Place<'a>>,
}

#[derive(JsonSchema, Serialize)]
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
    let key = |id: &NodeId| Some((*id, topology.key(*id)?.to_string()));
    let ids: BTreeMap<NodeId, String> = chosen.iter().filter_map(key).collect();
    let hosts = &topology.snapshot.captured.hosts;
    let nodes = ids.iter().filter_map(|(&id, key)| {
        let node = topology.node(id)?;
        Some(NodeRow {
            id: key,
            kind: node.data.kind(),
            host: node
                .host
                .and_then(|host| hosts.get(host.0 as usize))
                .map(tapline_core::capture::Host::label),
            netns: node.netns.as_ref(),
            name: name(topology, id),
            attributes: Attributes(attributes(topology, id)),
            seen: node.seen.iter().take(SEEN).filter_map(|&seen| place(topology, seen)).collect(),
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
