use std::collections::BTreeSet;

use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::records::ovn::OvnRouterPort;
use tapline_core::records::ovs::{OvsRef, OvsRow};
use tapline_core::span::Evidence;
use tapline_topology::EdgeKind;
use tapline_topology::graph::LogicalKind;

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
        [ovn::ovn_chassis_identity_conflict, ovn::ovn_controller_stopped] by [Host, Peer],
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
                unclaimed(ctx, out, south, name, binding.at);
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
            planned(ctx, out, south, name, port, *at, &mut said);
        }
    }
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
fn unclaimed(ctx: &Ctx<'_>, out: &mut Verdicts, south: &South<'_>, name: &str, at: Evidence) {
    let port = name.strip_prefix("cr-").unwrap_or(name);
    let what = consequence(ctx, port);
    let message = format!("no chassis has claimed the gateway: {what}");
    let finding = out.fire(south.host, subject(port), message);
    finding.peers = candidates(ctx, port);
    finding.primary(at, "the gateway, without a chassis");
    for (ip, at) in distributed(ctx, port).into_iter().take(SHOWN) {
        finding.context(at, format!("floating IP {ip}, which is done where its port is"));
    }
    finding.next(format!("ovn-sbctl find Port_Binding logical_port={name}"));
    let rows = &ctx.topology.rows;
    let of_group = rows.of("Logical_Router_Port").iter().any(|row| {
        matches!(&row.record.row, OvsRow::RouterPort(own) if own.name.value == port)
            && row.record.one("ha_chassis_group").is_some()
    });
    if of_group {
        finding.next("ovn-nbctl list HA_Chassis_Group");
        finding.next("ovn-nbctl list HA_Chassis");
    } else {
        finding.next(format!("ovn-nbctl lrp-get-gateway-chassis {port}"));
    }
}

/// Distributed floating addresses that are quoted.
const SHOWN: usize = 3;

/// What does not work without the gateway of a router port: what is translated on the chassis of its
/// own port goes on (ovn-nb(5), NAT).
fn consequence(ctx: &Ctx<'_>, port: &str) -> String {
    let count = distributed(ctx, port).len();
    if count == 0 {
        return "nothing passes between the router's networks and the outside".to_owned();
    }
    let (are, their) = if count == 1 { ("is", "its port is") } else { ("are", "their ports are") };
    format!(
        "the router has no SNAT and no centralised floating IP; {count} floating IPs {are} done where {their}, and go on"
    )
}

/// The captured hosts that may hold the gateway of a router port.
fn candidates(ctx: &Ctx<'_>, port: &str) -> Vec<HostId> {
    let rows = &ctx.topology.rows;
    let own = rows
        .of("Logical_Router_Port")
        .iter()
        .find(|row| matches!(&row.record.row, OvsRow::RouterPort(own) if own.name.value == port));
    let Some(own) = own else { return Vec::new() };
    let group = own.record.one("ha_chassis_group").and_then(|uuid| rows.get(&uuid.value));
    let of_group = group.iter().flat_map(|group| group.record.set("ha_chassis"));
    let mut members: Vec<&str> = of_group.map(|uuid| uuid.value.as_str()).collect();
    if let OvsRow::RouterPort(port) = &own.record.row {
        members.extend(port.gateway_chassis.iter().map(|member| match &member.value {
            OvsRef::Uuid(name) | OvsRef::Name(name) => name.as_str(),
        }));
    }
    let chassis: BTreeSet<&str> = members
        .into_iter()
        .map(|member| {
            let name = rows.get(member).and_then(|row| row.record.one("chassis_name"));
            name.map_or(member, |name| name.value.as_str())
        })
        .collect();
    let locals = ctx.ovn().locals.values();
    let meant = locals.filter(|local| local.system_id().is_some_and(|id| chassis.contains(id)));
    meant.map(|local| local.host).collect()
}

/// The floating addresses of the router of a port that need no gateway.
fn distributed(ctx: &Ctx<'_>, port: &str) -> Vec<(String, Evidence)> {
    let topology = ctx.topology;
    let mut nodes = topology.nodes();
    let own = nodes.find(|(_, node)| {
        node.name == port && node.data.kind() == LogicalKind::RouterPort.as_str()
    });
    let router = own.and_then(|(id, _)| {
        topology.out(id, EdgeKind::LogicalPortOf).first().map(|(router, _)| *router)
    });
    let logical = router.and_then(|router| topology.logical(router));
    let rows = logical.map_or(&[][..], |logical| logical.rows.as_slice());
    let nats = rows.iter().filter_map(|row| match &row.record.row {
        OvsRow::Nat(nat) if nat.external_mac.is_some() && nat.logical_port.is_some() => {
            let ip = nat.external_ip.as_ref()?;
            Some((ip.value.to_string(), ip.evidence(row.source)))
        }
        _ => None,
    });
    nats.collect()
}

/// A router port that has chassis to choose from.
fn planned<'a>(
    ctx: &Ctx<'_>,
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
        "none of the chassis meant for it holds the gateway{why}: {}",
        consequence(ctx, name)
    );
    let finding = out.fire(south.host, subject(name), message);
    finding.primary(at, "the router's port and its chassis");
    finding.rests_on_absence(searched);
    finding.next(format!("ovn-sbctl find Port_Binding logical_port={gateway}"));
    finding.next("ovs-appctl -t ovn-controller connection-status   # on the gateway hosts");
}
