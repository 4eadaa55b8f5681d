use std::collections::BTreeSet;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_core::span::Evidence;
use tapline_topology::graph::{OvsBridge, OvsInterface};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "OVS-006",
    id: "provider-bridge-no-uplink",
    summary: "a provider bridge has no port that leads out of the host",
    severity: Error,
    confidence: Strong,
    page: "provider_bridge_no_uplink.md",
    layer: (ProviderBridge, 20),
    rank: 110,
    core: true,
    about: [Neutron],
    cuts: [ToSwitch, BehindSwitch],
    asks: [ExpectedBridges],
    after: [
        [ovs::ovs_iface_error] by [Bridge],
        [ovs::ovs_patch_peer_broken] by [Bridge],
        [nic::uplink_link_down, bond::bond_degraded, bond::lacp_not_negotiated] by [Above],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mapped = ovn_mappings(ctx);
    for host in ctx.hosts() {
        let complete = ctx.complete(host, &Netns::Root, Topic::Ovs);
        for bridge in ctx.ovs_bridges_of(host) {
            let interfaces = defs::interfaces_of(ctx, bridge.id);
            let joined = defs::has_agent_patches(ctx, host) || defs::is_ovn(ctx, host);
            let provider = mapped.contains(&(host, bridge.name()))
                || defs::is_expected(ctx, bridge.name())
                || joined && interfaces.iter().any(|interface| joins_integration(*interface));
            if !provider || ctx.is_integration(bridge.id) {
                continue;
            }
            // OVN patches a bridge only where a network of this host goes through it.
            let unused = complete
                && !defs::is_expected(ctx, bridge.name())
                && !defs::has_agent_patches(ctx, host)
                && interfaces.iter().all(|interface| interface.name() == bridge.name());
            if unused || leads_out(ctx, bridge, &interfaces) {
                out.clean();
            } else if complete {
                report(ctx, out, bridge, &interfaces);
            } else {
                out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
            }
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// The bridges that OVN maps a physical network to: `ovn-bridge-mappings` is `NET:BRIDGE,…`.
fn ovn_mappings<'a>(ctx: &Ctx<'a>) -> BTreeSet<(HostId, &'a str)> {
    let mut all = BTreeSet::new();
    for (source, rows) in ctx.ovs_texts() {
        for row in rows {
            let OvsRow::OpenVswitch(database) = &row.row else { continue };
            let Some(value) = lookup(&database.external_ids, "ovn-bridge-mappings") else {
                continue;
            };
            let bridges = value.value.split(',').filter_map(|part| part.split_once(':'));
            all.extend(bridges.map(|(_, bridge)| (source.host, bridge.trim())));
        }
    }
    all
}

/// Whether a port joins its bridge with the integration bridge the way neutron's agent or OVN do.
fn joins_integration(interface: Item<'_, OvsInterface>) -> bool {
    let name = interface.name();
    let ovn = name.starts_with("patch-provnet-") && name.ends_with("-to-br-int");
    name.starts_with("phy-") || ovn
}

/// Whether some port leads out: a device, a tunnel, DPDK, or a patch to a bridge that has one.
fn leads_out(ctx: &Ctx<'_>, bridge: Item<'_, OvsBridge>, all: &[Item<'_, OvsInterface>]) -> bool {
    all.iter().any(|it| {
        if it.kind != "patch" {
            return is_way_out(bridge, *it);
        }
        let peer = ctx.topology.peer(it.id, EdgeKind::PatchPeer);
        let far = peer.and_then(|(id, _)| ctx.ovs_interface(id));
        let next = far.and_then(|far| ctx.bridge_called(far.host, &far.bridge));
        next.filter(|next| !ctx.is_integration(next.id) && next.id != bridge.id).is_some_and(
            |next| {
                defs::interfaces_of(ctx, next.id)
                    .iter()
                    .any(|interface| is_way_out(next, *interface))
            },
        )
    })
}

/// Ports that are not made for this host's own use. A device that OVS could not open leads
/// nowhere; neither does the veth end that joins the integration bridge.
fn is_way_out(bridge: Item<'_, OvsBridge>, interface: Item<'_, OvsInterface>) -> bool {
    let (name, kind) = (interface.name(), interface.kind.as_str());
    let inner = matches!(kind, "patch" | "internal") || name == bridge.name();
    let port_of_neutron = tapline_topology::names::port_prefix(name).is_some();
    !inner && !port_of_neutron && !joins_integration(interface) && interface.error.is_none()
}

/// Whether flows let a VLAN of some port out through this bridge, and the one that does; `None`
/// where they do not tell.
fn is_let_out(ctx: &Ctx<'_>, bridge: Item<'_, OvsBridge>) -> Option<(bool, Evidence)> {
    let (host, name) = (bridge.host, bridge.name());
    let flows = ctx.flows();
    let dump = flows.best(host, name)?;
    let heading = tapline_network::flows::first_line(ctx, dump.source);
    // The agent's flow for what no other lets out: the bridge is programmed.
    let programmed = dump.flows.iter().any(|flow| flow.in_port().is_some());
    if !programmed || !defs::has_agent_patches(ctx, host) {
        return None;
    }
    let local = ctx.local_vlans(host);
    let ports = ctx.integration_ports(host);
    let tags: BTreeSet<u16> =
        ports.filter_map(|port| port.data.tag.as_ref()).map(|tag| tag.value).collect();
    let mut elsewhere = true;
    for tag in tags.iter().filter(|tag| **tag != defs::DEAD_VLAN) {
        let Some(ways) = local.ways.get(tag) else {
            elsewhere = false;
            continue;
        };
        if let Some(out) = ways.provider_out.iter().find(|out| out.bridge == name) {
            return Some((true, out.at));
        }
        elsewhere &= !ways.provider_out.is_empty() || !ways.tunnel_in.is_empty();
    }
    elsewhere.then_some((false, heading))
}

/// Whether networks of this host are known to go through a provider bridge.
fn is_used(ctx: &Ctx<'_>, host: HostId) -> Option<bool> {
    let mut told = false;
    for port in ctx.integration_ports(host) {
        let dead = port.tag.as_ref().is_some_and(|tag| tag.value == defs::DEAD_VLAN);
        let kind = port.other_config.iter().find(|(key, _)| key == "network_type");
        told |= kind.is_some();
        let provider = kind.is_some_and(|(_, it)| matches!(it.value.as_str(), "vlan" | "flat"));
        let gateway = ["qg-", "fg-"].iter().any(|prefix| port.name().starts_with(prefix));
        if !dead && (provider || gateway) {
            return Some(true);
        }
    }
    told.then_some(false)
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, OvsBridge>,
    interfaces: &[Item<'_, OvsInterface>],
) {
    let (host, name) = (bridge.host, bridge.name());
    let broken: Vec<_> = interfaces.iter().filter(|interface| interface.error.is_some()).collect();
    let message = match broken.first() {
        Some(nic) => format!(
            "{} is the only way out, and OVS could not open it: provider networks end in this host",
            nic.name()
        ),
        None => "no port leads out of the host: provider networks end in the bridge".to_owned(),
    };
    let finding = out.fault(ctx, host, bridge.id, message);
    if let Some(place) = bridge.place() {
        finding.primary(place, "the bridge");
    }
    for error in broken.iter().filter_map(|broken| broken.error.as_ref()).take(3) {
        finding.primary(error.evidence, "could not be opened");
    }
    if let Some(join) = interfaces.iter().find(|interface| joins_integration(**interface))
        && let Some(place) = join.place()
    {
        finding.context(place, "makes it a provider bridge");
    }
    if let Some(searched) =
        defs::searched(ctx, host, Topic::Ovs, &format!("a device among the ports of {name}"))
    {
        finding.absent(searched);
    }
    lower(ctx, finding, bridge);
    finding.next(format!("ovs-vsctl list-ports {name}"));
    finding.next(format!("ovs-vsctl add-port {name} NIC"));
}

/// A bridge whose own address the host routes for needs no NIC; one that nothing uses loses
/// nothing.
fn lower(ctx: &Ctx<'_>, finding: &mut Finding, bridge: Item<'_, OvsBridge>) {
    let device = ctx.netdev_called(bridge.host, &Netns::Root, bridge.name());
    let addresses = device.map(|device| ctx.addresses_of(device.id)).unwrap_or_default();
    if let Some(address) = addresses.iter().find(|address| defs::is_global(address.ip)) {
        finding.at_most(Severity::Info);
        finding.note(format!(
            "the bridge has {} itself: the host may route for its networks",
            address.ip
        ));
        return;
    }
    let told = is_let_out(ctx, bridge);
    if let Some((used, at)) = told {
        let label = if used { "lets out a VLAN of this host" } else { "lets out no VLAN in use" };
        finding.context(at, label);
    }
    match told.map(|told| told.0).or_else(|| is_used(ctx, bridge.host)) {
        // A person said that networks go through it.
        _ if defs::is_expected(ctx, bridge.name()) => {
            finding.note("the configuration expects this bridge on every host");
        }
        Some(true) => {}
        Some(false) => {
            finding.at_most(Severity::Info);
            finding.note("no port of this host is in a network that goes through it");
        }
        None => {
            finding.at_most(Severity::Warning);
            finding.note(
                "which networks go through it is not known: its flows or `ovs-vsctl list port` would tell",
            );
        }
    }
}
