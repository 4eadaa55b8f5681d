use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::{Need, line_within};
use tapline_topology::graph::{Netdev, NetnsNode};
use tapline_topology::{NodeId, Topic, names};

use crate::lint::{Ctx, Finding, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::netfilter::{self, Filters, Table};
use tapline_network::router::{Duty, Router};
use tapline_network::{defs, mesh};

declare_rule! {
    code: "NS-007",
    id: "metadata-path-missing",
    summary: "nothing serves 169.254.169.254 to the VMs of a network",
    severity: Warning,
    confidence: Strong,
    page: "metadata_path_missing.md",
    layer: (L3, 40),
    rank: 460,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [ConfigDriveOnly],
    after: [
        [ns::netns_handle_stale] by [Netns],
        [ns::dhcp_ns_broken] by [Netns, Port],
        [veth::veth_peer_broken] by [Device],
    ],
}

const METADATA: Ipv4Addr = Ipv4Addr::new(169, 254, 169, 254);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // Whoever reads a config drive asks nobody.
    if ctx.settings.env.config_drive_only == Some(true) {
        return;
    }
    let networks = Networks::new(ctx);
    let filters = ctx.filters();
    for router in Router::all(ctx).iter().filter(|it| it.netns.name().starts_with("qrouter-")) {
        by_router(ctx, out, &networks, filters, router);
    }
    for netns in ctx.namespaces().filter(|netns| netns.name().starts_with("ovnmeta-")) {
        by_ovn(ctx, out, netns);
    }
}

/// Who serves DHCP, and perhaps metadata, in the network of each port.
struct Networks<'a> {
    /// By host and VLAN of the integration bridge: VLANs mean nothing to another host.
    by_vlan: BTreeMap<(HostId, u16), Vec<Item<'a, NetnsNode<'a>>>>,
    /// By the network's id, on any host.
    by_id: BTreeMap<&'a str, Vec<Item<'a, NetnsNode<'a>>>>,
}

impl<'a> Networks<'a> {
    fn new(ctx: &Ctx<'a>) -> Self {
        let mut all = Self { by_vlan: BTreeMap::new(), by_id: BTreeMap::new() };
        for netns in ctx.namespaces() {
            let Some(id) = netns.name().strip_prefix("qdhcp-") else { continue };
            all.by_id.entry(id).or_default().push(netns);
            for device in ctx.devices_in(netns.id) {
                if let Some(vlan) = vlan(ctx, netns.host, device.name()) {
                    all.by_vlan.entry((netns.host, vlan)).or_default().push(netns);
                }
            }
        }
        all
    }

    /// The namespaces for DHCP in the network of a router's port.
    fn of(&self, ctx: &Ctx<'a>, port: &Item<'a, Netdev<'a>>) -> Vec<Item<'a, NetnsNode<'a>>> {
        let id = ctx
            .topology
            .find_ovs_port(port.host, port.name())
            .and_then(|port| ctx.ovs_port(port))
            .and_then(|port| defs::other_config(port.data, "net_uuid"));
        if let Some(found) = id.and_then(|id| self.by_id.get(id)) {
            return found.clone();
        }
        let vlan = vlan(ctx, port.host, port.name());
        let found = vlan.and_then(|vlan| self.by_vlan.get(&(port.host, vlan)));
        found.cloned().unwrap_or_default()
    }
}

fn vlan(ctx: &Ctx<'_>, host: HostId, port: &str) -> Option<u16> {
    let port = ctx.ovs_port(ctx.topology.find_ovs_port(host, port)?)?;
    let tag = port.data.tag.as_ref()?.value;
    (ctx.is_integration_called(host, &port.data.bridge) && tag != defs::DEAD_VLAN).then_some(tag)
}

/// Whether a rule sends requests to the proxy of the namespace. Old releases had the proxy on
/// another port, so the port does not matter.
fn redirects(table: Table<'_>) -> bool {
    table.data.rules.iter().any(|rule| {
        netfilter::address(rule, &["-d", "--destination"]) == Some(METADATA)
            && rule
                .target
                .as_ref()
                .is_some_and(|target| matches!(target.value.as_str(), "REDIRECT" | "DNAT"))
    })
}

fn by_router<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    networks: &Networks<'a>,
    filters: &Filters<'a>,
    router: &Router<'a>,
) {
    let (host, netns) = (router.netns.host, router.netns.netns());
    let ports: Vec<_> = router.ports("qr-").collect();
    if ports.is_empty() {
        return;
    }
    match router.duty(ctx) {
        Duty::Serves => {}
        Duty::Waits => return out.clean(),
        Duty::Unknown(missing) => return out.cannot_tell(host, missing),
    }
    if mesh::is_cleaned(ctx, host) {
        // 169.254.169.254 may be another number there.
        return out.cannot_tell(host, [mesh::NOT_CLEANED]);
    }
    let table = filters.saved(host, netns, "nat");
    if table.is_some_and(redirects) {
        return out.clean();
    }
    let mut blind = Vec::new();
    for port in &ports {
        let servers = networks.of(ctx, port);
        let serving = servers.iter().any(|server| holds_metadata(ctx, server.id));
        if serving {
            out.clean();
            continue;
        }
        // A DHCP server that was not captured may serve it.
        let missing: Vec<_> = servers
            .iter()
            .flat_map(|server| ctx.missing(server.host, server.netns(), &[Topic::Addresses]))
            .collect();
        if servers.is_empty() || !missing.is_empty() {
            blind.extend(missing);
            if servers.is_empty() {
                blind.push(Need::Other(
                    "a capture of the host whose qdhcp namespace serves the network",
                ));
            }
            continue;
        }
        match table {
            Some(table) => report(ctx, out, router, table, port, &servers),
            // Without the table nobody knows: rules may be in one that the tool does not print.
            None => blind.push(Topic::Netfilter.command(netns).with("-t").with("nat")),
        }
    }
    if !blind.is_empty() {
        out.cannot_tell(host, blind);
    }
}

fn holds_metadata(ctx: &Ctx<'_>, netns: NodeId) -> bool {
    ctx.devices_in(netns)
        .iter()
        .flat_map(|device| ctx.addresses_of(device.id))
        .any(|address| address.ip == IpAddr::V4(METADATA))
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    router: &Router<'_>,
    table: Table<'_>,
    port: &Item<'_, Netdev<'_>>,
    servers: &[Item<'_, NetnsNode<'_>>],
) {
    let host = router.netns.host;
    let message = "neither the router nor the DHCP server of its network serves 169.254.169.254: VMs there get no metadata, no keys, no user data";
    let finding = out.fault(ctx, host, port.id, message);
    if let Some(place) = port.place() {
        finding.primary(place, "the router's port in the network");
    }
    finding.context(table.head(), "the table without the redirection");
    let key = "-d 169.254.169.254/32 … -j REDIRECT";
    finding.rests_on_absence(table.searched(key));
    for server in servers.iter().take(3) {
        let key = "169.254.169.254";
        finding.absent(ctx.searched(server.host, server.netns(), Topic::Addresses, key));
    }
    finding.note("where guests read a config drive only, `config_drive_only` says so");
    advise(finding, router.netns.netns());
}

/// The namespace of OVN's agent: a veth whose end 1 has the address and whose end 0 is a port of
/// the integration bridge.
fn by_ovn(ctx: &Ctx<'_>, out: &mut Verdicts, netns: Item<'_, NetnsNode<'_>>) {
    let (host, space) = (netns.host, netns.netns());
    let devices = ctx.devices_in(netns.id);
    let Some(end) = devices.iter().find(|device| is_end(device.name())) else {
        // Without the veth it is a leftover of a network that has no VM here any more.
        return;
    };
    let lost = "VMs of the network get no metadata on this host";
    if end.usable() == Some(false) {
        let how = if end.admin_up() == Some(false) { "is down" } else { "has no carrier" };
        let finding = out.fault(ctx, host, end.id, format!("{how}: {lost}"));
        if let Some(flags) = &end.data.flags {
            finding.primary(flags.evidence, "its state");
        }
        advise(finding, netns.netns());
        return;
    }
    if !holds_metadata(ctx, netns.id) {
        let missing = ctx.missing(host, space, &[Topic::Addresses]);
        if !missing.is_empty() {
            return out.cannot_tell(host, missing);
        }
        let finding =
            out.fault(ctx, host, end.id, format!("does not have 169.254.169.254: {lost}"));
        if let Some(place) = end.place() {
            finding.primary(place, "the device");
        }
        finding.rests_on_absence(ctx.searched(host, space, Topic::Addresses, "169.254.169.254"));
        advise(finding, netns.netns());
        return;
    }
    let Some(other) = end.name().strip_suffix('1').map(|rest| format!("{rest}0")) else { return };
    if ctx.topology.find_ovs_port(host, &other).is_some() {
        return out.clean();
    }
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
    if !missing.is_empty() {
        return out.cannot_tell(host, missing);
    }
    let message = format!("its other end {other} is no port of any OVS bridge: {lost}");
    let finding = out.fault(ctx, host, end.id, message);
    if let Some(place) = end.place() {
        finding.primary(place, "the end in the namespace");
    }
    finding.rests_on_absence(ctx.searched(host, &Netns::Root, Topic::Ovs, &other));
    advise(finding, netns.netns());
}

/// `tap` and ten characters of the network's id, then 1.
fn is_end(name: &str) -> bool {
    name.len() == 14
        && name.starts_with("tap")
        && name.ends_with('1')
        && names::is_veth_pair(&format!("{}0", name.get(..13).unwrap_or_default()), name)
}

fn advise(finding: &mut Finding, netns: &Netns) {
    finding.next(line_within(netns, "ip address"));
    finding.next(line_within(netns, "iptables-save -t nat"));
    let of_ovn = netns.name().is_some_and(|name| name.starts_with("ovnmeta-"));
    let agent = if of_ovn {
        "neutron-ovn-metadata-agent"
    } else {
        "neutron-l3-agent neutron-metadata-agent"
    };
    finding.next(format!("systemctl restart {agent}"));
}
