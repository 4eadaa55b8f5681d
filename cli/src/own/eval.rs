//! One rule over the whole topology.
use cel::{Context, ExecutionError, Value};
use tapline_analysis::lint::{Ctx, Verdicts};
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::{NodeData, NodeId, Topic, Topology};

use super::schema::{Direction, Related, RuleText};
use super::{fields, values};

/// Related nodes that a variable holds.
const RELATED: usize = 256;
/// Places that a finding cites of one node.
const PLACES: usize = 3;

/// Judges every node of the rule's kind. An error is one of the rule, not of the capture.
pub(super) fn check(rule: &RuleText, ctx: &Ctx<'_>, out: &mut Verdicts) -> Result<(), String> {
    let topology = ctx.topology;
    let root = Context::default();
    for (id, node) in topology.nodes() {
        let Some(host) = node.host.filter(|_| node.data.kind() == rule.kind.0) else { continue };
        // What only others speak of has no fields to judge.
        if matches!(&node.data, NodeData::Netdev(it) if it.stub) {
            continue;
        }
        let mut context = root.new_inner_scope();
        context.add_variable_from_value("node", values::of(topology, id));
        let mut near: Vec<(&str, NodeId)> = Vec::new();
        for (variable, related) in &rule.related {
            let found = neighbours(topology, id, *related);
            let all = found.iter().map(|&found| values::of(topology, found)).collect::<Vec<_>>();
            context.add_variable_from_value(variable.as_str(), Value::List(all.into()));
            near.extend(found.into_iter().map(|found| (variable.as_str(), found)));
        }
        let told =
            |why: ExecutionError| format!("{} {}: {why}", rule.kind.0, ctx.topology.name(id));
        match rule.when.value(&context) {
            Ok(Value::Bool(false)) => out.clean(),
            Ok(Value::Bool(true)) => {
                let message = rule.message.filled(&context).map_err(told)?;
                let next: Result<Vec<_>, _> =
                    rule.next.iter().map(|next| next.filled(&context)).collect();
                let finding = out.fault(ctx, host, id, message);
                for (n, place) in node.seen.iter().take(PLACES).enumerate() {
                    match n {
                        0 => finding.primary(*place, "matched here"),
                        _ => finding.context(*place, ""),
                    };
                }
                for (variable, other) in near.iter().take(PLACES) {
                    let place = topology.node(*other).and_then(|node| node.seen.first());
                    if let Some(place) = place {
                        finding.context(*place, *variable);
                    }
                }
                for command in next.map_err(told)? {
                    finding.next(command);
                }
            }
            Ok(other) => {
                return Err(format!("the condition is {:?}, not true or false", other.type_of()));
            }
            // A field is not there: known to be so only where everything was captured.
            Err(ExecutionError::NoSuchKey(_)) => {
                let missing = missing(ctx, id, rule.kind.0);
                if missing.is_empty() {
                    out.clean();
                } else {
                    out.cannot_tell(host, missing);
                }
            }
            Err(other) => return Err(told(other)),
        }
    }
    Ok(())
}

/// The commands that would show the fields of a node.
fn missing(ctx: &Ctx<'_>, id: NodeId, kind: &str) -> Vec<Need> {
    let Some(node) = ctx.topology.node(id) else { return Vec::new() };
    let Some(host) = node.host else { return Vec::new() };
    let of_host = |it: &Topic| {
        matches!(it, Topic::Ovs | Topic::OvsInterfaces | Topic::Domains | Topic::DomainXml)
    };
    let topics = fields::topics(kind);
    let netns = match &node.netns {
        Some(it) if !topics.iter().any(of_host) => it,
        _ => &Netns::Root,
    };
    ctx.missing(host, netns, topics)
}

fn neighbours(topology: &Topology<'_>, id: NodeId, related: Related) -> Vec<NodeId> {
    let kind = related.edge.0;
    let mut found: Vec<NodeId> = Vec::new();
    if !matches!(related.direction, Direction::In) {
        found.extend(topology.out(id, kind).into_iter().map(|pair| pair.0));
    }
    if !matches!(related.direction, Direction::Out) {
        found.extend(topology.into(id, kind).into_iter().map(|pair| pair.0));
    }
    found.sort_unstable();
    found.dedup();
    found.truncate(RELATED);
    found
}
