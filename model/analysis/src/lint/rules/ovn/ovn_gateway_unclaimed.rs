use std::collections::BTreeSet;

use tapline_core::need::Need;
use tapline_core::records::ovn::OvnRouterPort;
use tapline_core::records::ovs::OvsRef;
use tapline_core::span::Evidence;

use crate::lint::{Ctx, Other, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::ovn::{ASK_SOUTH, Holder, North, Ovn, South};

declare_rule! {
    code: "OVN-005",
    id: "ovn-gateway-unclaimed",
    summary: "no chassis holds the gateway of a router",
    severity: Error,
    confidence: Strong,
    page: "ovn_gateway_unclaimed.md",
    layer: (Ovn, 40),
    rank: 430,
    about: [Ovn],
    cuts: [],
    asks: [],
    after: [
        [ovn::ovn_chassis_identity_conflict] by [Host],
    ],
}

/// The port of a router that lives on one chassis at a time.
const GATEWAY: &str = "chassisredirect";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let ovn = ctx.ovn();
    let mut said: BTreeSet<&str> = BTreeSet::new();
    for south in ovn.souths.values() {
        for (name, binding) in &south.bindings {
            let kind = binding.row.kind.as_ref().map_or("", |kind| kind.value.as_str());
            if kind != GATEWAY {
                continue;
            }
            // Another database, or another text, may show it claimed.
            let held = ovn.souths.values().any(|south| {
                south.bindings.get(name).is_some_and(|it| it.holder != Holder::Nobody)
            });
            if held {
                out.clean();
            } else if said.insert(name) {
                unclaimed(out, south, name, binding.at);
            }
        }
    }
    for north in ovn.norths.values() {
        let with = north.router_ports.iter().filter(|(_, (it, _))| !it.gateway_chassis.is_empty());
        for (name, (port, at)) in with {
            let Some(south) = south_of(ovn, north) else {
                out.cannot_tell(north.host, [Need::command(ASK_SOUTH)]);
                continue;
            };
            planned(out, south, name, port, *at, &mut said);
        }
    }
    let _ = ctx;
}

/// The southbound database of a northbound one: asked on one host, or with ports in common. Zones
/// of OVN interconnection share some ports too: there only the host tells.
fn south_of<'o, 'a>(ovn: &'o Ovn<'a>, north: &North<'a>) -> Option<&'o South<'a>> {
    if let Some(own) = ovn.souths.get(&north.host) {
        return Some(own);
    }
    let shares =
        |it: &&South<'a>| it.bindings.keys().any(|key| north.switch_ports.contains_key(key));
    ovn.souths.values().find(shares).filter(|_| !north.is_joined)
}

fn subject(router_port: &str) -> Other {
    Other::OvnPort { name: router_port.to_owned() }
}

/// The database says itself that nobody claimed it.
fn unclaimed(out: &mut Verdicts, south: &South<'_>, name: &str, at: Evidence) {
    let message = "no chassis has claimed the gateway: nothing passes between the router's networks and the outside";
    let finding = out.fire(south.host, subject(name.strip_prefix("cr-").unwrap_or(name)), message);
    finding.primary(at, "the gateway, without a chassis");
    finding.next(format!("ovn-sbctl find Port_Binding logical_port={name}"));
    finding.next("ovn-nbctl list Gateway_Chassis");
}

/// A router port that has chassis to choose from.
fn planned<'a>(
    out: &mut Verdicts,
    south: &South<'a>,
    name: &'a str,
    port: &OvnRouterPort,
    at: Evidence,
    said: &mut BTreeSet<&'a str>,
) {
    let gateway = format!("cr-{name}");
    let meant: Vec<&str> = port
        .gateway_chassis
        .iter()
        .map(|reference| match &reference.value {
            OvsRef::Name(reference) | OvsRef::Uuid(reference) => reference.as_str(),
        })
        .collect();
    let gone: Vec<&str> = match south.shown {
        Some(_) => {
            meant.iter().copied().filter(|meant| !south.chassis.contains_key(meant)).collect()
        }
        None => Vec::new(),
    };
    let binding = south.bindings.get(gateway.as_str());
    if binding.is_some_and(|binding| binding.holder != Holder::Nobody) {
        if gone.is_empty() {
            out.clean();
        } else if said.insert(name) {
            let message = format!(
                "the gateway may move to {}, and no chassis is called so: one way out less when its host fails",
                defs::list(gone.iter().copied(), 3)
            );
            let finding = out.fire(south.host, subject(name), message);
            finding.at_most(Severity::Warning);
            finding.primary(at, "the router's port and its chassis");
            if let Some(searched) = gone.first().and_then(|gone| south.searched(gone)) {
                finding.rests_on_absence(searched);
            }
            for it in gone {
                finding.next(format!("ovn-nbctl lrp-del-gateway-chassis {name} {it}"));
            }
        }
        return;
    }
    // What the database itself says of it was said above.
    if binding.is_some() || said.contains(gateway.as_str()) {
        return;
    }
    let Some(searched) = south.searched(&gateway) else {
        out.cannot_tell(south.host, [Need::command(ASK_SOUTH)]);
        return;
    };
    if !said.insert(name) {
        return;
    }
    let why = if gone.len() == meant.len() && !gone.is_empty() {
        format!(": {} is no chassis", defs::list(gone, 3))
    } else {
        String::new()
    };
    let message = format!(
        "none of the chassis meant for it holds the gateway{why}: nothing passes between the router's networks and the outside"
    );
    let finding = out.fire(south.host, subject(name), message);
    finding.primary(at, "the router's port and its chassis");
    finding.rests_on_absence(searched);
    finding.next(format!("ovn-sbctl find Port_Binding logical_port={gateway}"));
    finding.next("ovs-appctl -t ovn-controller connection-status   # on the gateway hosts");
}
