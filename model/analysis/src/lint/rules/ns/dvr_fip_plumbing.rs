use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::{line_within, quote};
use tapline_core::records::route::{Route, Rule};
use tapline_topology::graph::{AddressNode, Netdev, NetnsNode};
use tapline_topology::{NodeId, Presence, Topic};

use crate::lint::{Ctx, Finding, Other, Severity, Shape, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::netfilter::{self, Filters, Table, Translation};
use tapline_network::{defs, mesh};

declare_rule! {
    code: "NS-005",
    id: "dvr-fip-plumbing",
    summary: "the way of floating addresses through a distributed router is incomplete",
    severity: Error,
    confidence: Strong,
    page: "dvr_fip_plumbing.md",
    layer: (NamespacePort, 30),
    rank: 440,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [],
    after: [
        // A namespace that lost its port does not tell which one it was.
        [
            ovs::ovs_iface_error, ovs::ovs_port_no_netdev,
        ] if NamespacePort by [Host] for WithoutPort,
        [ns::netns_handle_stale] by [Netns],
        // The pair to the namespace of floating addresses is a veth.
        [veth::veth_peer_broken] by [Port],
    ],
}

/// The table that leads packets of VMs with a floating address out (neutron `FIP_RT_TBL`).
const TABLE: &str = "16";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let filters = ctx.filters();
    for host in ctx.hosts() {
        pairs(ctx, out, host);
    }
    for netns in ctx.namespaces() {
        if netns.name().starts_with("fip-") {
            gateway(ctx, out, netns);
        } else if netns.name().starts_with("qrouter-") {
            addresses(ctx, out, filters, netns);
        }
    }
}

/// The two ends of each pair between a router and the namespace of floating addresses.
fn pairs(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId) {
    let mut ends: BTreeMap<&str, [Option<Item<'_, Netdev<'_>>>; 2]> = BTreeMap::new();
    for device in ctx.netdevs_of(host).filter(|device| !device.netns().is_root()) {
        let end = ["rfp-", "fpr-"]
            .iter()
            .enumerate()
            .find_map(|(at, prefix)| Some((at, device.name().strip_prefix(prefix)?)));
        if let Some((at, router)) = end
            && let Some(slot) = ends.entry(router).or_default().get_mut(at)
        {
            *slot = Some(device);
        }
    }
    for (router, ends) in ends {
        match ends {
            [Some(near), Some(far)] => pair(ctx, out, near, far),
            [Some(one), None] => lonely(ctx, out, one, &format!("fpr-{router}")),
            [None, Some(one)] => lonely(ctx, out, one, &format!("rfp-{router}")),
            [None, None] => {}
        }
    }
}

/// Only one end is there.
fn lonely(ctx: &Ctx<'_>, out: &mut Verdicts, end: Item<'_, Netdev<'_>>, other: &str) {
    match ctx.topology.netdev_presence_anywhere(end.host, other) {
        Presence::Yes(_) => {}
        Presence::Unknown(missing) => out.cannot_tell(end.host, missing),
        Presence::No(searched) => {
            let message = format!(
                "its other end {other} is in no namespace: floating addresses of the router are dead here"
            );
            let finding = out.fault(ctx, end.host, end.id, message);
            if let Some(place) = end.place() {
                finding.primary(place, "one end");
            }
            finding.rests_on_absence(searched);
            let router = end.name().strip_prefix("fpr-").map(|rest| format!("qrouter-{rest}"));
            let gone = router.is_some_and(|router| {
                !ctx.namespaces_of(end.host).any(|netns| netns.name().starts_with(&router))
            });
            if gone {
                finding.at_most(Severity::Info);
                finding.note("the router itself is not on this host: it may have left this behind");
            }
            advise(finding, end.netns());
        }
    }
}

/// Both ends are there: each has to be up and have its half of one /31.
fn pair(ctx: &Ctx<'_>, out: &mut Verdicts, near: Item<'_, Netdev<'_>>, far: Item<'_, Netdev<'_>>) {
    if let Some(dead) = [near, far].into_iter().find(|it| it.usable() == Some(false)) {
        let how = if dead.admin_up() == Some(false) { "is down" } else { "has no carrier" };
        let message = format!("{how}: floating addresses of the router are dead here");
        let finding = out.fault(ctx, dead.host, dead.id, message);
        if let Some(flags) = &dead.data.flags {
            finding.primary(flags.evidence, "its state");
        }
        advise(finding, dead.netns());
        return;
    }
    if mesh::is_cleaned(ctx, near.host) {
        // The addresses of the pair are not those of the host.
        out.clean();
        return;
    }
    let mut nets = Vec::new();
    for end in [near, far] {
        let all = links(ctx, end.id);
        if all.is_empty() {
            let missing = ctx.missing(end.host, end.netns(), &[Topic::Addresses]);
            if !missing.is_empty() {
                out.cannot_tell(end.host, missing);
                return;
            }
            let message = "has no address of 169.254.0.0/16 in a /31: nothing passes between the router and the namespace of floating addresses";
            let finding = out.fault(ctx, end.host, end.id, message);
            if let Some(place) = end.place() {
                finding.primary(place, "the end");
            }
            let key = "an address of 169.254.0.0/16";
            finding.rests_on_absence(ctx.searched(end.host, end.netns(), Topic::Addresses, key));
            advise(finding, end.netns());
            return;
        }
        nets.push(all);
    }
    let of = |all: &Vec<(Ipv4Net, Item<'_, AddressNode<'_>>)>| -> BTreeSet<Ipv4Net> {
        all.iter().map(|(net, _)| *net).collect()
    };
    let [here, there] = nets.as_slice() else { return };
    if of(here).intersection(&of(there)).next().is_some() {
        out.clean();
        return;
    }
    let message = format!(
        "its address is in another /31 than that of {}: nothing passes between the two",
        far.name()
    );
    let finding = out.fault(ctx, near.host, near.id, message);
    for (_, address) in here.iter().take(1).chain(there.iter().take(1)) {
        finding.primary(address.line(), "one end");
    }
    advise(finding, near.netns());
}

/// The link-local /31 networks of a device.
fn links<'a>(ctx: &Ctx<'a>, device: NodeId) -> Vec<(Ipv4Net, Item<'a, AddressNode<'a>>)> {
    let all = ctx.addresses_of(device).into_iter().filter_map(|address| match address.ip {
        IpAddr::V4(ip) if ip.is_link_local() && address.prefix == 31 => {
            Some((Ipv4Net::new(ip, 31).ok()?.trunc(), address))
        }
        _ => None,
    });
    all.collect()
}

/// The namespace of floating addresses needs a port in the external network.
fn gateway(ctx: &Ctx<'_>, out: &mut Verdicts, netns: Item<'_, NetnsNode<'_>>) {
    let (host, space) = (netns.host, netns.netns());
    let devices = ctx.devices_in(netns.id);
    // Without a router it is a leftover.
    let Some(router) = devices.iter().find(|device| device.name().starts_with("fpr-")) else {
        return;
    };
    let gateways: Vec<_> =
        devices.iter().filter(|device| device.name().starts_with("fg-")).collect();
    let addressed = gateways.iter().any(|gateway| {
        ctx.addresses_of(gateway.id).iter().any(|address| defs::is_global(address.ip))
    });
    if addressed {
        out.clean();
        return;
    }
    let missing = ctx.missing(host, space, &[Topic::Links, Topic::Addresses]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let (at, message, key) = match gateways.first() {
        Some(port) => (
            port.id,
            "has no address: the external network does not reach floating addresses here",
            "a global address",
        ),
        None => (
            netns.id,
            "has no port in the external network (fg-…): floating addresses are dead here",
            "a device fg-…",
        ),
    };
    let finding = out.fault(ctx, host, at, message);
    if gateways.is_empty() {
        finding.shaped(Shape::NoPort);
    }
    let place = gateways.first().and_then(|gateway| gateway.place()).or_else(|| router.place());
    if let Some(place) = place {
        finding.primary(place, "what is there");
    }
    finding.rests_on_absence(ctx.searched(host, space, Topic::Addresses, key));
    advise(finding, space);
}

/// The floating addresses of a distributed router on this host: each needs a route to it in the
/// namespace of floating addresses, and a rule and a route for the way back in that of the router.
fn addresses(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    filters: &Filters<'_>,
    netns: Item<'_, NetnsNode<'_>>,
) {
    let (host, space) = (netns.host, netns.netns());
    let devices = ctx.devices_in(netns.id);
    let Some(near) = devices.iter().find(|device| device.name().starts_with("rfp-")) else {
        return;
    };
    let Some(table) = filters.saved(host, space, "nat") else {
        // A whole text without the table: there are no floating addresses.
        match ctx.missing(host, space, &[Topic::Netfilter]) {
            missing if missing.is_empty() => out.clean(),
            missing => out.cannot_tell(host, missing),
        }
        return;
    };
    let floating: Vec<_> = netfilter::inward(table).collect();
    if floating.is_empty() {
        out.clean();
        return;
    }
    if mesh::is_cleaned(ctx, host) {
        // An address with and without its length may have got two numbers.
        out.cannot_tell(host, [mesh::NOT_CLEANED]);
        return;
    }
    let far =
        near.name().strip_prefix("rfp-").map(|rest| format!("fpr-{rest}")).unwrap_or_default();
    let far = ctx.topology.find_netdevs(host, &far).iter().find_map(|device| ctx.netdev(*device));
    if let Some(far) = far.filter(|far| !far.stub) {
        inward(ctx, out, table, &floating, far);
    }
    outward(ctx, out, table, &floating, netns, *near);
}

/// `FLOATING via … dev fpr-…` in the namespace of floating addresses.
fn inward(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: Table<'_>,
    floating: &[Translation<'_>],
    far: Item<'_, Netdev<'_>>,
) {
    let (host, space) = (far.host, far.netns());
    let missing = ctx.missing(host, space, &[Topic::Routes]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let routed: BTreeSet<Ipv4Addr> = routes(ctx, host, space)
        .filter(|(_, it)| it.dev.as_ref().is_some_and(|dev| dev.value == far.name()))
        .filter_map(|(_, it)| match it.destination.as_ref()?.value {
            IpNet::V4(net) if net.prefix_len() == 32 => Some(net.addr()),
            _ => None,
        })
        .collect();
    let lost: Vec<_> =
        floating.iter().filter(|floating| !routed.contains(&floating.floating)).collect();
    let Some((first, rest)) = lost.split_first() else {
        out.clean();
        return;
    };
    let message = format!(
        "no route in {space} leads to floating address {} on {}: it is dead from outside",
        first.floating,
        far.name()
    );
    let finding = out.fault(ctx, host, far.id, message);
    finding.primary(table.line(first.rule), "the floating address");
    finding.also.extend(rest.iter().map(|it| Other::FloatingIp { ip: it.floating }.into()));
    let key = format!("{} dev {}", first.floating, far.name());
    finding.rests_on_absence(ctx.searched(host, space, Topic::Routes, &key));
    let show = format!("ip route show dev {}", quote(far.name()));
    finding.next(line_within(space, &show));
    advise(finding, space);
}

/// `from FIXED lookup 16`, and a default route to the pair in that table.
fn outward(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: Table<'_>,
    floating: &[Translation<'_>],
    netns: Item<'_, NetnsNode<'_>>,
    near: Item<'_, Netdev<'_>>,
) {
    let (host, space) = (netns.host, netns.netns());
    let missing = ctx.missing(host, space, &[Topic::AllRoutes, Topic::Rules]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let leads_out = routes(ctx, host, space)
        .any(|(of, it)| of == TABLE && it.is_default() && goes_through(it, near.name()));
    if !leads_out {
        let message = format!(
            "table {TABLE} has no default route through {}: VMs with a floating address do not reach the outside",
            near.name()
        );
        let finding = out.fault(ctx, host, netns.id, message);
        if let Some(first) = floating.first() {
            finding.primary(table.line(first.rule), "a floating address of the router");
        }
        let key = format!("default dev {} table {TABLE}", near.name());
        finding.rests_on_absence(ctx.searched(host, space, Topic::AllRoutes, &key));
        finding.next(line_within(space, &format!("ip route show table {TABLE}")));
        advise(finding, space);
        return;
    }
    let rules: Vec<&Rule> = ctx
        .tables_in(netns.id)
        .into_iter()
        .filter(|table| table.name() == TABLE)
        .flat_map(|table| table.data.rules.iter().map(|rule| rule.record))
        .collect();
    let has_rule = |fixed: Ipv4Addr| {
        let fixed = IpAddr::V4(fixed);
        rules.iter().any(|rule| {
            !rule.not
                && rule.from.is_none_or(|from| from.trunc().contains(&fixed))
                && rule.iif.is_none()
        })
    };
    let lost: Vec<_> = floating.iter().filter(|floating| !has_rule(floating.fixed)).collect();
    let Some((first, rest)) = lost.split_first() else {
        out.clean();
        return;
    };
    let message = format!(
        "no rule sends packets from {} (floating address {}) to table {TABLE}: answers leave the wrong way",
        first.fixed, first.floating
    );
    let finding = out.fault(ctx, host, netns.id, message);
    finding.primary(table.line(first.rule), "the floating address");
    finding.also.extend(rest.iter().map(|it| Other::FloatingIp { ip: it.floating }.into()));
    let key = format!("from {} lookup {TABLE}", first.fixed);
    finding.rests_on_absence(ctx.searched(host, space, Topic::Rules, &key));
    finding.next(line_within(space, "ip rule"));
    advise(finding, space);
}

/// The IPv4 routes of a namespace with the names of their tables.
fn routes<'a>(
    ctx: &Ctx<'a>,
    host: HostId,
    netns: &Netns,
) -> impl Iterator<Item = (&'a str, &'a Route)> {
    let node = ctx.topology.find_netns(host, netns);
    let tables = node.map(|node| ctx.tables_in(node)).unwrap_or_default();
    tables.into_iter().flat_map(|table| {
        let name = table.name();
        table.data.routes.iter().map(move |route| (name, route.record))
    })
}

fn goes_through(route: &Route, dev: &str) -> bool {
    route.dev.as_ref().is_some_and(|it| it.value == dev)
        || route.nexthops.iter().any(|hop| hop.dev.as_ref().is_some_and(|it| it.value == dev))
}

fn advise(finding: &mut Finding, netns: &Netns) {
    finding.next(line_within(netns, "ip -d address"));
    finding.next("systemctl restart neutron-l3-agent");
}
