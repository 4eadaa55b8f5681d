//! Findings that stand for most objects of a host or a network.
//!
//! Where nearly all tunnels of a host are at fault, the host is. Rules that see a whole population
//! themselves (ports on the dead VLAN, bridges without their controller, targets of VMs) say so on
//! their own; here stands what takes the findings of several objects, hosts or rules together.
mod devices;
mod gone;
mod network;
mod overlay;

use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::finding::{Finding, Shape};
use crate::lint::engine::run::{self, Report};
use crate::lint::engine::subject::Subject;

/// Places that the finding cites of those that it stands for.
const CITED: usize = 5;

/// Adds the findings that stand for others. All were judged before: what a rule could not decide
/// is not counted.
pub(crate) fn add(report: &mut Report, ctx: &Ctx<'_>) {
    devices::add(report, ctx);
    network::add(report, ctx);
    gone::add(report, ctx);
    overlay::add(report, ctx);
}

/// One finding for several of one rule; it is about `subject`.
fn root_of(
    members: &[&Finding],
    subject: Subject,
    message: String,
    ctx: &Ctx<'_>,
) -> Option<Finding> {
    let mut root = (*members.first()?).clone();
    root.node = subject.id();
    root.subject = subject;
    root.message = message;
    root.netns = None;
    root.shape = Shape::Population;
    root.peers = Vec::new();
    root.evidence =
        members.iter().filter_map(|member| member.evidence.first().cloned()).take(CITED).collect();
    root.searched = Vec::new();
    root.rests_on_absence = false;
    root.notes = Vec::new();
    root.also = members.iter().map(|member| member.subject.clone()).collect();
    root.nodes = members
        .iter()
        .flat_map(|member| member.node.iter().chain(&member.nodes))
        .copied()
        .collect();
    root.severity = members.iter().map(|member| member.severity).max().unwrap_or(root.severity);
    root.confidence =
        members.iter().map(|member| member.confidence).max().unwrap_or(root.confidence);
    root.fingerprint = run::fingerprint(&root, ctx);
    Some(root)
}
