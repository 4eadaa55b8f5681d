use std::collections::HashMap;

use tapline_core::ids::Netns;
use tapline_core::need::{line_within, quote};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{Topic, names};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::netfilter;
use tapline_network::router::{Duty, Router};

declare_rule! {
    code: "NS-008",
    id: "ns-port-not-wired",
    summary: "a port of a router is down, without its address, or plugged into no switch",
    severity: Error,
    confidence: Strong,
    page: "ns_port_not_wired.md",
    layer: (NamespacePort, 20),
    rank: 600,
    about: [],
    reports_down: true,
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_iface_error] by [Port],
        [ovs::ovs_port_no_netdev, ovs::ovs_nic_not_in_datapath] by [Port],
        [ovs::provider_bridge_no_uplink, ovs::provider_bridge_not_patched] by [Bridge, Above],
        [ns::netns_handle_stale] by [Netns],
        [ns::dhcp_ns_broken] by [Netns, Port],
    ],
}

/// Ports of routers that a switch has to carry. The pair to the namespace of floating addresses
/// leads to no switch.
const PORTS: [&str; 5] = ["qr-", "qg-", "sg-", "fg-", "ha-"];

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // Devices of one port that have an address, to tell what their like on other hosts lacks.
    let mut addressed: HashMap<&str, Item<'_, Netdev<'_>>> = HashMap::new();
    let mut routers = Vec::new();
    for netns in ctx.namespaces() {
        let router = defs::is_router_netns(netns.netns());
        if !router && !netns.name().starts_with("fip-") {
            continue;
        }
        let router = Router::new(ctx, netns);
        for port in router.devices.iter().filter(|device| has_address(ctx, device)) {
            addressed.entry(port.name()).or_insert(*port);
        }
        routers.push(router);
    }
    for router in &routers {
        let (host, netns) = (router.netns.host, router.netns.netns());
        let duty = router.duty(ctx);
        for port in router.devices.iter().filter(|device| is_port(device)) {
            // On the node that waits, the gateway may be down and nothing has addresses.
            let waits = !port.name().starts_with("ha-") && duty != Duty::Serves;
            if port.usable() == Some(false) {
                match &duty {
                    Duty::Unknown(missing) if waits => out.cannot_tell(host, missing.clone()),
                    _ if waits => out.clean(),
                    _ => down(ctx, out, port),
                }
                continue;
            }
            if !wired(ctx, out, port) {
                continue;
            }
            if !waits && port.name().starts_with("qg-") && !has_address(ctx, port) {
                gateway(ctx, out, port);
                continue;
            }
            if waits || !needs_address(port) || has_address(ctx, port) {
                out.clean();
                continue;
            }
            let missing = ctx.missing(host, netns, &[Topic::Addresses]);
            if !missing.is_empty() {
                out.cannot_tell(host, missing);
                continue;
            }
            let beside =
                router.devices.iter().find(|device| is_port(device) && has_address(ctx, device));
            match addressed.get(port.name()).or(beside) {
                Some(other) => no_address(ctx, out, port, *other),
                None => out.clean(),
            }
        }
    }
}

fn is_port(device: &Item<'_, Netdev<'_>>) -> bool {
    PORTS.iter().any(|port| device.name().starts_with(port))
        && names::port_prefix(device.name()).is_some()
}

/// Ports towards the router's own networks always have their subnet's gateway address.
fn needs_address(device: &Item<'_, Netdev<'_>>) -> bool {
    is_port(device) && ["qr-", "sg-"].iter().any(|prefix| device.name().starts_with(prefix))
}

fn has_address(ctx: &Ctx<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    ctx.addresses_of(device.id).iter().any(|address| defs::is_global(address.ip))
}

fn down(ctx: &Ctx<'_>, out: &mut Verdicts, port: &Item<'_, Netdev<'_>>) {
    let how = if port.admin_up() == Some(false) { "is down" } else { "has no carrier" };
    let consequence = match port.name().get(..3) {
        Some("ha-") => "the router does not hear the other nodes and may become active beside one",
        Some("qg-" | "fg-") => "nothing passes between the router and the external network",
        _ => "the network behind it has no way through this router",
    };
    let finding = out.fault(ctx, port.host, port.id, format!("{how}: {consequence}"));
    if let Some(flags) = &port.data.flags {
        finding.primary(flags.evidence, "its state");
    }
    advise(finding, port);
}

fn no_address(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    port: &Item<'_, Netdev<'_>>,
    other: Item<'_, Netdev<'_>>,
) {
    let there = if other.name() == port.name() {
        format!("on {} it has one", ctx.host_name(other.host))
    } else {
        format!("{} has one", other.name())
    };
    let message = format!("has no address, while {there}: its network has no gateway on this node");
    let finding = out.fault(ctx, port.host, port.id, message);
    if let Some(place) = port.place() {
        finding.primary(place, "the port");
    }
    for address in
        ctx.addresses_of(other.id).iter().filter(|address| defs::is_global(address.ip)).take(1)
    {
        finding.context(address.line(), "the address of the other");
    }
    let searched = ctx.searched(port.host, port.netns(), Topic::Addresses, "a global address");
    finding.rests_on_absence(searched);
    if other.name() != port.name() {
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    }
    advise(finding, port);
}

/// The gateway port of a router that serves has no address: a fault where the router translates to
/// one. An external network without a subnet gives it none.
fn gateway(ctx: &Ctx<'_>, out: &mut Verdicts, port: &Item<'_, Netdev<'_>>) {
    let (host, netns) = (port.host, port.netns());
    let missing = ctx.missing(host, netns, &[Topic::Addresses]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let Some(table) = ctx.filters().saved(host, netns, "nat") else {
        match ctx.missing(host, netns, &[Topic::Netfilter]) {
            missing if missing.is_empty() => out.clean(),
            missing => out.cannot_tell(host, missing),
        }
        return;
    };
    let Some((source, rule)) = netfilter::sources(table).next() else {
        out.clean();
        return;
    };
    let message = format!(
        "has no address, while the router translates to {source}: nothing passes between the router and the external network"
    );
    let finding = out.fault(ctx, host, port.id, message);
    if let Some(place) = port.place() {
        finding.primary(place, "the port");
    }
    finding.primary(table.line(rule), "what leaves gets this source");
    finding.rests_on_absence(ctx.searched(host, netns, Topic::Addresses, "a global address"));
    advise(finding, port);
}

/// Whether a switch has the port; says why not where it has not.
fn wired(ctx: &Ctx<'_>, out: &mut Verdicts, port: &Item<'_, Netdev<'_>>) -> bool {
    let host = port.host;
    if ctx.topology.find_ovs_port(host, port.name()).is_some() {
        return true;
    }
    let veth = port.kind == NetdevKind::Veth || port.data.lower.is_some();
    if veth {
        return twin_is_wired(ctx, out, port);
    }
    if ctx.runs_ovs(host) == Some(false) {
        // Neither a port of OVS nor one end of a veth: made by software that is not known here.
        return true;
    }
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return false;
    }
    let message = "is no port of any OVS bridge: this leg of the router is unplugged";
    let finding = out.fault(ctx, host, port.id, message);
    if let Some(place) = port.place() {
        finding.primary(place, "the device");
    }
    finding.rests_on_absence(ctx.searched(host, &Netns::Root, Topic::Ovs, port.name()));
    advise(finding, port);
    false
}

/// With a veth the switch has the other end: the Linux bridge agent's `tap…` in a `brq…`, or a
/// `tap…` of OVS (`ovs_use_veth`).
fn twin_is_wired(ctx: &Ctx<'_>, out: &mut Verdicts, port: &Item<'_, Netdev<'_>>) -> bool {
    let host = port.host;
    let twin = names::port_prefix(port.name()).map(|prefix| format!("tap{prefix}"));
    let by_name = twin.and_then(|twin| ctx.netdev_called(host, &Netns::Root, &twin));
    let Some(peer) = ctx.veth_peer(port.id).or(by_name) else { return true };
    if peer.stub
        || ctx.is_disputed(peer.id)
        || ctx.master(peer.id).is_some()
        || ctx.interface_of(peer.id).is_some()
        || ctx.topology.find_ovs_port(host, peer.name()).is_some()
        || peer.data.master.is_some()
    {
        return true;
    }
    let mut missing = ctx.missing(host, peer.netns(), &[Topic::BridgeMembers]);
    if ctx.runs_ovs(host) != Some(false) {
        missing.extend(ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return false;
    }
    let message = format!(
        "its other end {} is in no bridge: this leg of the router is unplugged",
        peer.name()
    );
    let finding = out.fault(ctx, host, port.id, message);
    for (device, label) in [(port, "the port"), (&peer, "its other end, without a bridge")] {
        if let Some(place) = device.place() {
            finding.primary(place, label);
        }
    }
    let searched = ctx.searched(host, peer.netns(), Topic::BridgeMembers, peer.name());
    finding.rests_on_absence(searched);
    advise(finding, port);
    false
}

fn advise(finding: &mut Finding, port: &Item<'_, Netdev<'_>>) {
    let show = format!("ip -d address show {}", quote(port.name()));
    finding.next(line_within(port.netns(), &show));
    finding.next(format!("ovs-vsctl port-to-br {}", port.name()));
    finding.next("systemctl restart neutron-l3-agent");
}
