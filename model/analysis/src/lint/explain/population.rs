//! Findings that stand for most objects of a host.
//!
//! Where nearly all tunnels of a host are at fault, the host is. Rules that see a whole population
//! themselves (ports on the dead VLAN, targets of VMs) say so on their own.
use std::collections::BTreeMap;

use tapline_model::capture::HostId;

use crate::lint::ctx::Ctx;
use crate::lint::defs;
use crate::lint::finding::{Finding, Object};
use crate::lint::run;

/// Places that the finding cites of those that it stands for.
const CITED: usize = 3;

/// Adds `HOST is off the overlay` where most of its tunnels are at fault each on its own.
pub(crate) fn add(findings: &mut Vec<Finding>, ctx: &Ctx<'_>) {
    let mut all: BTreeMap<HostId, usize> = BTreeMap::new();
    for tunnel in ctx.tunnels() {
        *all.entry(tunnel.host).or_default() += 1;
    }
    for (host, tunnels) in all {
        for code in ["TUN-002", "TUN-009"] {
            let members: Vec<&Finding> = findings
                .iter()
                .filter(|it| it.host == host && it.rule.code == code && it.object.kind != "host")
                .collect();
            let affected: usize = members.iter().map(|it| 1 + it.also.len()).sum();
            let (Some(first), true) = (members.first(), defs::most_of(affected, tunnels)) else {
                continue;
            };
            if members.len() < 2 {
                continue;
            }
            let mut root = (*first).clone();
            root.object = Object { kind: "host", name: ctx.host_name(host).to_owned() };
            root.node = None;
            root.netns = None;
            root.message = format!(
                "{} is off the overlay: {affected} of its {tunnels} tunnels are at fault",
                ctx.host_name(host)
            );
            root.evidence =
                members.iter().filter_map(|it| it.evidence.first().cloned()).take(CITED).collect();
            root.also = members.iter().map(|it| it.object.name.clone()).collect();
            root.severity = members.iter().map(|it| it.severity).max().unwrap_or(root.severity);
            root.fingerprint = run::fingerprint(&root, ctx);
            findings.push(root);
            break;
        }
    }
}
