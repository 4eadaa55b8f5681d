use std::collections::BTreeMap;

use tapline_model::capture::HostId;
use tapline_model::ids::Netns;
use tapline_topology::graph::NetnsNode;
use tapline_topology::{Topic, names};

use crate::lint::ctx::Item;
use crate::lint::{Ctx, Object, Severity, Verdicts, declare_rule, defs};

declare_rule! {
    code: "CAP-002",
    id: "netns-coverage",
    summary: "namespaces were listed and not captured, or captured and not listed",
    severity: Warning,
    confidence: Proven,
    page: "netns_coverage.md",
}

/// Names that the message has room for.
const SHOWN: usize = 3;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut all: BTreeMap<HostId, Vec<Item<'_, NetnsNode>>> = BTreeMap::new();
    for netns in ctx.namespaces().filter(|it| it.netns().name().is_some()) {
        all.entry(netns.host).or_default().push(netns);
    }
    for (host, namespaces) in &all {
        let is_blind = |it: &&Item<'_, NetnsNode>| it.listed.is_some() && !it.captured;
        let blind: Vec<_> = namespaces.iter().filter(is_blind).copied().collect();
        let captured = namespaces.iter().filter(|it| it.captured).count();
        for _ in 0..captured {
            out.clean();
        }
        if !blind.is_empty() {
            not_captured(ctx, out, *host, &blind, captured);
        }
        if ctx.complete(*host, &Netns::Root, Topic::NetnsList) {
            let is_unlisted = |it: &&Item<'_, NetnsNode>| it.listed.is_none() && it.captured;
            let unlisted: Vec<_> = namespaces.iter().filter(is_unlisted).copied().collect();
            if !unlisted.is_empty() {
                not_listed(ctx, out, *host, &unlisted);
            }
        }
    }
    for host in ctx.hosts() {
        // Ports of routers and DHCP servers live in namespaces; without their list nobody knows
        // which.
        let inside = || {
            ctx.ovs_ports_of(host).any(|it| {
                ["qr-", "qg-", "ha-", "sg-", "fg-"].iter().any(|start| it.name().starts_with(start))
                    && names::port_prefix(it.name()).is_some()
            })
        };
        if !ctx.complete(host, &Netns::Root, Topic::NetnsList)
            && !all.contains_key(&host)
            && inside()
        {
            out.cannot_tell(host, [Topic::NetnsList.command(&Netns::Root)]);
        }
    }
}

fn not_captured(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    blind: &[Item<'_, NetnsNode>],
    captured: usize,
) {
    let shown = defs::list(blind.iter().map(Item::name), SHOWN);
    let message = format!(
        "{} of {} namespaces were listed but not captured ({shown}): what is in them is not known",
        blind.len(),
        blind.len() + captured,
    );
    let object = Object { kind: "host", name: ctx.host_name(host).to_owned() };
    let finding = out.fire(host, object, message);
    for netns in blind.iter().take(5) {
        if let Some(place) = netns.data.listed {
            finding.primary(place, "listed here");
        }
    }
    finding.also.extend(blind.iter().skip(SHOWN).map(|it| it.name().to_owned()));
    // One may have been made while the others were captured; none at all is a choice.
    if captured == 0 || blind.len() == 1 && captured > 1 {
        finding.at_most(Severity::Info);
    }
    finding.next(
        "for n in $(ip netns | cut -d' ' -f1); do ip netns exec $n ip -d address; ip netns exec $n ip route show table all; done",
    );
}

fn not_listed(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, unlisted: &[Item<'_, NetnsNode>]) {
    for netns in unlisted {
        let message = "captured, but not in the list of namespaces: the texts are of different times or hosts";
        let finding = out.fault(ctx, host, netns.id, message);
        if let Some(place) = netns.place() {
            finding.primary(place, "captured inside it");
        }
        // It may have gone between the two commands.
        if unlisted.len() == 1 {
            finding.at_most(Severity::Info);
        }
        finding.next("ip netns list");
    }
}
