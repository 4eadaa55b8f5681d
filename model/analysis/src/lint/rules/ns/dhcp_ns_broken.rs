use std::net::{IpAddr, Ipv4Addr};

use tapline_core::ids::Netns;
use tapline_core::need::line_within;
use tapline_topology::graph::{Netdev, NetdevKind, NetnsNode};
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Finding, Severity, Shape, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "NS-001",
    id: "dhcp-ns-broken",
    summary: "a DHCP namespace has no port that works",
    severity: Error,
    confidence: Strong,
    page: "dhcp_ns_broken.md",
    layer: (NamespacePort, 10),
    rank: 210,
    core: true,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host] for Unfinished,
        [ovs::ovs_dead_vlan] if Population by [Host] for Unfinished,
        [ovs::ovs_iface_error] by [Port],
        [ovs::ovs_port_no_netdev, ovs::ovs_nic_not_in_datapath] by [Port],
        // A namespace that lost its port does not tell which one it was.
        [
            ovs::ovs_iface_error, ovs::ovs_port_no_netdev,
        ] if NamespacePort by [Host] for WithoutPort,
        [ns::netns_handle_stale] by [Netns],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for netns in ctx.namespaces().filter(|netns| netns.name().starts_with("qdhcp-")) {
        let ports: Vec<_> = ctx.devices_in(netns.id).into_iter().filter(is_port).collect();
        judge(ctx, out, netns, &ports);
    }
}

/// The port that the DHCP agent put into the namespace: of Open vSwitch, or one end of a veth.
fn is_port(device: &Item<'_, Netdev<'_>>) -> bool {
    let other = device.kind == NetdevKind::Loopback || names::is_fallback_tunnel(device.name());
    !other
}

fn judge<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    netns: Item<'a, NetnsNode<'a>>,
    ports: &[Item<'a, Netdev<'a>>],
) {
    let (host, space) = (netns.host, netns.netns());
    let missing = ctx.missing(host, space, &[Topic::Links, Topic::Addresses]);
    let Some(first) = ports.first() else {
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            return;
        }
        let message = "has no port: the network gets no addresses and no metadata from this node";
        let finding = out.fault(ctx, host, netns.id, message);
        finding.shaped(Shape::NoPort);
        if let Some(place) = netns.place() {
            finding.primary(place, "the namespace");
        }
        finding.rests_on_absence(ctx.searched(
            host,
            space,
            Topic::Addresses,
            "a device besides lo",
        ));
        advise(finding, netns);
        return;
    };
    // One port that works is enough: leftovers may stand beside it.
    if let Some(other) = ports.iter().find(|port| elsewhere(ctx, port).is_some()) {
        let twin = elsewhere(ctx, other);
        let there = twin.map_or_else(String::new, |twin| twin.netns().to_string());
        let message = format!("is in namespace {there} too: only one of them can be the port");
        let finding = out.fault(ctx, host, other.id, message);
        for place in other.place().into_iter().chain(twin.and_then(|twin| twin.place())) {
            finding.primary(place, "a device of this name");
        }
        advise(finding, netns);
        return;
    }
    if ports.iter().all(|port| port.usable() == Some(false)) {
        let how = if first.admin_up() == Some(false) { "is down" } else { "has no carrier" };
        let message = format!("{how}: the network gets no addresses from this node");
        let finding = out.fault(ctx, host, first.id, message);
        if let Some(flags) = &first.data.flags {
            finding.primary(flags.evidence, "its state");
        }
        advise(finding, netns);
        return;
    }
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    if !ports.iter().any(|port| has_address(ctx, port)) {
        let message = "has no address: the DHCP server has nothing to answer with";
        let finding = out.fault(ctx, host, first.id, message);
        if let Some(place) = first.place() {
            finding.primary(place, "the port");
        }
        finding.rests_on_absence(ctx.searched(host, space, Topic::Addresses, "a global address"));
        if ports.iter().any(|port| has_metadata_address(ctx, port)) {
            finding.at_most(Severity::Info);
            finding.note("it serves metadata alone: perhaps no subnet of the network has DHCP");
        }
        advise(finding, netns);
        return;
    }
    switch_port(ctx, out, netns, first);
}

/// Whether the switch has the port. A veth ends in the root namespace, where it is another's.
fn switch_port(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    netns: Item<'_, NetnsNode<'_>>,
    port: &Item<'_, Netdev<'_>>,
) {
    let host = port.host;
    let veth = port.kind == NetdevKind::Veth || port.data.lower.is_some();
    if veth
        || ctx.runs_ovs(host) == Some(false)
        || ctx.topology.find_ovs_port(host, port.name()).is_some()
    {
        out.clean();
        return;
    }
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let message = "is no port of any OVS bridge: what it sends reaches nobody";
    let finding = out.fault(ctx, host, port.id, message);
    if let Some(place) = port.place() {
        finding.primary(place, "the device");
    }
    finding.rests_on_absence(ctx.searched(host, &Netns::Root, Topic::Ovs, port.name()));
    // Neutron's agent wires it.
    finding.shaped(Shape::Unfinished);
    advise(finding, netns);
}

/// A device of the same name in another namespace.
fn elsewhere<'a>(ctx: &Ctx<'a>, port: &Item<'a, Netdev<'a>>) -> Option<Item<'a, Netdev<'a>>> {
    // Names that are not made of a port's id may repeat.
    names::port_prefix(port.name())?;
    let all = ctx.topology.find_netdevs(port.host, port.name());
    all.iter()
        .filter_map(|&it| ctx.netdev(it))
        .find(|device| device.netns() != port.netns() && !device.stub)
}

fn has_address(ctx: &Ctx<'_>, port: &Item<'_, Netdev<'_>>) -> bool {
    ctx.addresses_of(port.id).iter().any(|address| defs::is_global(address.ip))
}

fn has_metadata_address(ctx: &Ctx<'_>, port: &Item<'_, Netdev<'_>>) -> bool {
    let metadata = IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254));
    ctx.addresses_of(port.id).iter().any(|address| address.ip == metadata)
}

fn advise(finding: &mut Finding, netns: Item<'_, NetnsNode<'_>>) {
    let name = netns.name();
    let network = name.strip_prefix("qdhcp-").unwrap_or(name);
    finding.next(line_within(netns.netns(), "ip address"));
    finding.next(format!("openstack port list --network {network} --device-owner network:dhcp"));
    finding.next("systemctl restart neutron-dhcp-agent");
}
