use std::collections::BTreeSet;
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::need::line_within;
use tapline_core::records::route::{Family, Route};
use tapline_topology::Topic;
use tapline_topology::graph::{AddressNode, Netdev, NetnsNode};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "NS-002",
    id: "router-no-default-route",
    summary: "a router has an external gateway and no way out",
    severity: Error,
    confidence: Strong,
    page: "router_no_default_route.md",
    layer: (L3, 20),
    rank: 220,
    core: true,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ns::netns_handle_stale] by [Netns],
        // Without its gateway port a router has neither a default route nor floating addresses.
        [ns::ns_port_not_wired] if GatewayPort by [Netns],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let central = central(ctx);
    for netns in ctx.namespaces() {
        let name = netns.name();
        let gateway = if name.starts_with("qrouter-") || name.starts_with("snat-") {
            "qg-"
        } else if name.starts_with("fip-") {
            "fg-"
        } else {
            continue;
        };
        let devices = ctx.devices_in(netns.id);
        let has = |prefix: &str| devices.iter().any(|device| device.name().starts_with(prefix));
        if has(gateway) {
            with_gateway(ctx, out, netns, &devices, gateway);
        } else if has("rfp-") || has("qr-") && central.contains(netns.name()) {
            distributed(ctx, out, netns, &devices);
        } else {
            // Without a gateway a router joins its networks and nothing else.
            let missing = ctx.missing(netns.host, netns.netns(), &[Topic::Links]);
            if missing.is_empty() {
                out.clean();
            } else {
                out.cannot_tell(netns.host, missing);
            }
        }
    }
}

/// Distributed routers that have a gateway by what any captured host shows: the namespace for
/// source NAT with its port outside. By the names of their namespaces on compute nodes.
fn central(ctx: &Ctx<'_>) -> BTreeSet<String> {
    let with_gateway = |netns: &Item<'_, NetnsNode<'_>>| {
        ctx.devices_in(netns.id).iter().any(|device| device.name().starts_with("qg-"))
    };
    ctx.namespaces()
        .filter(|netns| netns.name().starts_with("snat-") && with_gateway(netns))
        .filter_map(|netns| Some(format!("qrouter-{}", netns.name().strip_prefix("snat-")?)))
        .collect()
}

/// A namespace with its own port in the external network.
fn with_gateway<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    netns: Item<'a, NetnsNode<'a>>,
    devices: &[Item<'a, Netdev<'a>>],
    prefix: &str,
) {
    let (host, space) = (netns.host, netns.netns());
    let gateways: Vec<_> =
        devices.iter().filter(|device| device.name().starts_with(prefix)).collect();
    let addresses: Vec<_> =
        gateways.iter().flat_map(|gateway| global_addresses(ctx, gateway)).collect();
    let Some(first) = addresses.first() else {
        // The one that waits for its turn has no address and needs no route.
        let missing = ctx.missing(host, space, &[Topic::Addresses]);
        if missing.is_empty() {
            out.clean();
        } else {
            out.cannot_tell(host, missing);
        }
        return;
    };
    let v4 = addresses.iter().any(|address| address.ip.is_ipv4());
    // Any table with a default will do: rules decide which packets look it up.
    let found = ctx
        .tables_in(netns.id)
        .into_iter()
        .filter(|table| table.name() == "main" || !table.data.rules.is_empty())
        .any(|table| has_default(&table, v4));
    if found {
        out.clean();
        return;
    }
    let mut topics = vec![Topic::Routes];
    if prefix == "fg-" {
        topics.extend([Topic::AllRoutes, Topic::Rules]);
    }
    let mut missing = ctx.missing(host, space, &topics);
    if !v4 {
        // The usual listing has IPv4 routes only.
        missing.extend(ctx.missing(host, space, &[Topic::AllRoutes]));
    }
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let message = format!(
        "has {} on {} and no default route: what is behind it does not reach the outside",
        first.ip,
        ctx.netdev(first.data.netdev).map_or("its gateway port", |device| device.name())
    );
    let finding = out.fault(ctx, host, netns.id, message);
    for address in &addresses {
        finding.primary(address.line(), "its address outside");
    }
    finding.rests_on_absence(ctx.searched(host, space, Topic::Routes, "a default route"));
    finding
        .note("an external subnet may have no gateway on purpose; the capture does not show that");
    advise(finding, netns);
}

/// A distributed router on a compute node: its subnets look up tables of their own.
fn distributed<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    netns: Item<'a, NetnsNode<'a>>,
    devices: &[Item<'a, Netdev<'a>>],
) {
    let (host, space) = (netns.host, netns.netns());
    let missing = ctx.missing(host, space, &[Topic::AllRoutes, Topic::Rules, Topic::Addresses]);
    let subnets: Vec<_> = devices
        .iter()
        .filter(|device| device.name().starts_with("qr-"))
        .flat_map(|device| global_addresses(ctx, device))
        .filter(|it| it.ip.is_ipv4())
        .collect();
    let tables: Vec<_> =
        ctx.tables_in(netns.id).into_iter().filter(|table| has_default(table, true)).collect();
    for subnet in subnets {
        let Ok(net) = IpNet::new(subnet.ip, subnet.prefix) else { continue };
        let out_of_here = tables.iter().any(|table| {
            table.name() == "main"
                || table.data.rules.iter().any(|rule| {
                    !rule.record.not && rule.record.from.is_some_and(|from| covers(from, net))
                })
        });
        if out_of_here {
            out.clean();
        } else if missing.is_empty() {
            let message = format!(
                "no rule leads packets from {} to a table with a default route: VMs there without a floating address do not reach the outside",
                net.trunc()
            );
            let own = own_rule(ctx, netns, net);
            let message = match own {
                Some((table, _)) => format!(
                    "packets from {} look up table {table}, which has no default route: VMs there without a floating address do not reach the outside",
                    net.trunc()
                ),
                None => message,
            };
            let finding = out.fault(ctx, host, netns.id, message);
            finding.primary(subnet.line(), "the subnet");
            match own {
                Some((_, rule)) => finding.primary(rule, "its rule"),
                // A router may be told not to translate, and then has no such rule.
                None => finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect),
            };
            finding.rests_on_absence(ctx.searched(
                host,
                space,
                Topic::Rules,
                &format!("a rule from {}", net.trunc()),
            ));
            advise(finding, netns);
        } else {
            out.cannot_tell(host, missing.clone());
        }
    }
}

/// The rule that the agent made for one subnet, with the table that it looks up.
fn own_rule<'a>(
    ctx: &Ctx<'a>,
    netns: Item<'a, NetnsNode<'a>>,
    net: IpNet,
) -> Option<(&'a str, tapline_core::span::Evidence)> {
    ctx.tables_in(netns.id).into_iter().find_map(|table| {
        let rule = table.data.rules.iter().find(|rule| {
            let from = rule.record.from.filter(|_| !rule.record.not);
            from.is_some_and(|from| from.trunc() == net.trunc())
        })?;
        let at = tapline_core::span::Evidence { source: rule.source, span: rule.record.at };
        Some((table.node.name.as_str(), at))
    })
}

fn global_addresses<'a>(
    ctx: &Ctx<'a>,
    device: &Item<'a, Netdev<'a>>,
) -> Vec<Item<'a, AddressNode<'a>>> {
    ctx.addresses_of(device.id).into_iter().filter(|address| defs::is_global(address.ip)).collect()
}

/// Whether a rule from `from` (its host bits may be set) holds for the whole of `net`.
fn covers(from: IpNet, net: IpNet) -> bool {
    from.prefix_len() <= net.prefix_len() && from.trunc().contains(&net.network())
}

fn has_default(table: &Item<'_, tapline_topology::graph::RouteTable<'_>>, v4: bool) -> bool {
    table.data.routes.iter().map(|route| route.record).any(|route| {
        route.kind == "unicast"
            && leads_everywhere(route)
            && route.family.is_none_or(|family| (family == Family::Inet) == v4)
    })
}

/// A default route, or one half of a pair that together is one.
fn leads_everywhere(route: &Route) -> bool {
    let half = |net: IpNet| net.prefix_len() == 1 && matches!(net.addr(), IpAddr::V4(_));
    route.is_default()
        || route.destination.as_ref().is_some_and(|destination| half(destination.value))
}

fn advise(finding: &mut Finding, netns: Item<'_, NetnsNode<'_>>) {
    let name = netns.name();
    finding.next(line_within(netns.netns(), "ip route get 192.0.2.1"));
    let router = name.split_once('-').map_or(name, |(_, id)| id);
    if !name.starts_with("fip-") {
        finding.next(format!("openstack router show {router} -c external_gateway_info"));
    }
    finding.next("systemctl restart neutron-l3-agent");
}
