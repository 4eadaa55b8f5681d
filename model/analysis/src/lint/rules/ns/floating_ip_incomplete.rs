use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use tapline_core::need::line_within;

use ipnet::IpNet;
use tapline_topology::{Presence, Topic};

use crate::lint::{Confidence, Ctx, Finding, Other, Severity, Shape, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh;
use tapline_network::netfilter::{self, Table, Translation};
use tapline_network::router::{Duty, Router};

declare_rule! {
    code: "NS-006",
    id: "floating-ip-incomplete",
    summary: "a floating address is set up by half, or by two routers",
    severity: Error,
    confidence: Proven,
    page: "floating_ip_incomplete.md",
    layer: (L3, 30),
    rank: 450,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [],
    after: [
        // A namespace that lost its port does not tell which one it was.
        [
            ovs::ovs_iface_error, ovs::ovs_port_no_netdev,
        ] if NamespacePort by [Host] for WithoutPort,
        [ns::netns_handle_stale] by [Netns],
        // Without its gateway port a router has neither a default route nor floating addresses.
        [ns::ns_port_not_wired] if GatewayPort by [Netns],
        // The port that lacks its address is the way to the network that is not there.
        [ns::ns_port_not_wired] by [Device],
        [ns::dvr_fip_plumbing] by [Netns],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let filters = ctx.filters();
    let mut claims: BTreeMap<Ipv4Addr, Vec<Claim<'_, '_>>> = BTreeMap::new();
    let routers = Router::all(ctx);
    for router in &routers {
        let (host, netns) = (router.netns.host, router.netns.netns());
        if router.devices.is_empty() {
            continue;
        }
        if mesh::is_cleaned(ctx, host) {
            // An address with and without its length may have got two numbers.
            out.cannot_tell(host, [mesh::NOT_CLEANED]);
            continue;
        }
        let Some(table) = filters.saved(host, netns, "nat") else {
            // A whole text without the table: there are no such rules.
            match ctx.missing(host, netns, &[Topic::Netfilter]) {
                missing if missing.is_empty() => out.clean(),
                missing => out.cannot_tell(host, missing),
            }
            continue;
        };
        let inward: Vec<_> = netfilter::inward(table).collect();
        let outward: Vec<_> = netfilter::outward(table).collect();
        for it in &inward {
            claims.entry(it.floating).or_default().push(Claim { router, table, it: *it });
        }
        halves(out, router, table, &inward, &outward);
        match router.duty(ctx) {
            Duty::Serves => places(ctx, out, router, table, &inward),
            // Addresses come with the turn.
            Duty::Waits => {}
            Duty::Unknown(_) if inward.is_empty() => {}
            Duty::Unknown(missing) => out.cannot_tell(host, missing),
        }
    }
    for (floating, claims) in claims {
        two_routers(ctx, out, floating, &claims);
    }
}

/// A router that answers for a floating address.
struct Claim<'r, 'a> {
    router: &'r Router<'a>,
    table: Table<'a>,
    it: Translation<'a>,
}

fn report<'o>(
    out: &'o mut Verdicts,
    router: &Router<'_>,
    floating: Ipv4Addr,
    message: String,
) -> &'o mut Finding {
    let finding = out.fire(router.netns.host, Other::FloatingIp { ip: floating }, message);
    finding.at(router.netns.id, Some(router.netns.netns()));
    finding
}

fn advise(finding: &mut Finding, router: &Router<'_>, floating: Ipv4Addr) {
    let table = format!("iptables-save -t nat | grep -w {floating}");
    finding.next(line_within(router.netns.netns(), &table));
    finding.next(format!("openstack floating ip show {floating}"));
}

/// One direction of the translation without the other: both stand in one table.
fn halves(
    out: &mut Verdicts,
    router: &Router<'_>,
    table: Table<'_>,
    inward: &[Translation<'_>],
    outward: &[Translation<'_>],
) {
    let pair = |it: &Translation<'_>| (it.floating, it.fixed);
    let back: BTreeSet<_> = outward.iter().map(pair).collect();
    let there: BTreeSet<_> = inward.iter().map(pair).collect();
    let mut whole = true;
    for it in inward.iter().filter(|inward| !back.contains(&pair(inward))) {
        whole = false;
        let message = format!(
            "packets to it go to {0}, but {0} does not get it for a source: connections from outside are answered, since conntrack translates back, and those that {0} begins go out under another address",
            it.fixed
        );
        let finding = report(out, router, it.floating, message);
        // One direction works, and the other does as long as the router's own address is used.
        finding.at_most(Severity::Warning);
        finding.primary(table.line(it.rule), "the way in");
        let key = format!("-s {} -j SNAT --to-source {}", it.fixed, it.floating);
        finding.rests_on_absence(table.searched(&key));
        advise(finding, router, it.floating);
    }
    for it in outward.iter().filter(|outward| !there.contains(&pair(outward))) {
        whole = false;
        let message = format!(
            "packets from {} get it for a source, and none to it lead back: it is dead from outside",
            it.fixed
        );
        let finding = report(out, router, it.floating, message);
        finding.primary(table.line(it.rule), "the way out");
        let key = format!("-d {} -j DNAT --to-destination {}", it.floating, it.fixed);
        finding.rests_on_absence(table.searched(&key));
        advise(finding, router, it.floating);
    }
    if whole {
        out.clean();
    }
}

/// The floating address belongs on the gateway port, the fixed one to a connected network.
fn places(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    router: &Router<'_>,
    table: Table<'_>,
    inward: &[Translation<'_>],
) {
    let (host, netns) = (router.netns.host, router.netns.netns());
    let networks: Vec<(IpNet, _)> = router
        .devices
        .iter()
        .flat_map(|device| ctx.addresses_of(device.id))
        .filter_map(|address| Some((IpNet::new(address.ip, address.prefix).ok()?, address)))
        .collect();
    for it in inward {
        let ip = IpAddr::V4(it.floating);
        // Addresses of a distributed router are routed to it (NS-005).
        let way = netfilter::argument(it.rule, &["-i", "--in-interface"]);
        let routed = way.is_some_and(|(_, dev)| dev.starts_with("rfp-"))
            || router.devices.iter().any(|device| device.name().starts_with("rfp-"));
        if !routed {
            match ctx.topology.address_presence(host, netns, ip) {
                Presence::Yes(_) => {}
                Presence::Unknown(missing) => {
                    out.cannot_tell(host, missing);
                    continue;
                }
                Presence::No(searched) => {
                    let message = "its translation is set up, and no port of the router has it: nobody answers for it outside";
                    let finding = report(out, router, it.floating, message.to_owned());
                    finding.primary(table.line(it.rule), "its translation");
                    if gateways(router).next().is_none() {
                        finding.shaped(Shape::NoPort);
                    }
                    for port in gateways(router) {
                        if let Some(place) = port.place() {
                            finding.context(place, "the port that should have it");
                        }
                    }
                    finding.rests_on_absence(searched);
                    advise(finding, router, it.floating);
                    continue;
                }
            }
        }
        let fixed = IpAddr::V4(it.fixed);
        if networks.iter().any(|(net, _)| net.contains(&fixed)) {
            out.clean();
            continue;
        }
        let missing = ctx.missing(host, netns, &[Topic::Addresses]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            continue;
        }
        let message = format!(
            "leads to {fixed}, which is in no network of the router: packets to it go astray"
        );
        let finding = report(out, router, it.floating, message);
        finding.primary(table.line(it.rule), "where it leads");
        if !router.devices.iter().any(|device| device.name().starts_with("qr-")) {
            finding.shaped(Shape::NoPort);
        }
        for (_, address) in networks.iter().filter(|(net, _)| defs::is_global(net.addr())).take(3) {
            finding.context(address.line(), "a network of the router");
        }
        let bare = router.devices.iter().filter(|device| {
            device.name().starts_with("qr-")
                && !ctx.addresses_of(device.id).iter().any(|address| defs::is_global(address.ip))
        });
        finding.nodes.extend(bare.map(|device| device.id));
        let key = format!("a network with {fixed}");
        finding.rests_on_absence(ctx.searched(host, netns, Topic::Addresses, &key));
        advise(finding, router, it.floating);
    }
}

fn gateways<'r, 'a>(
    router: &'r Router<'a>,
) -> impl Iterator<Item = &'r Item<'a, tapline_topology::graph::Netdev<'a>>> {
    router.devices.iter().filter(|device| device.name().starts_with("qg-")).take(1)
}

/// One address that two routers translate.
fn two_routers(ctx: &Ctx<'_>, out: &mut Verdicts, floating: Ipv4Addr, claims: &[Claim<'_, '_>]) {
    let Some(first) = claims.first() else { return };
    // A router is on several nodes by design, and an address may move between two captures of one
    // machine.
    let other = claims.iter().find(|claim| {
        let (a, b) = (first.router.netns.host, claim.router.netns.host);
        claim.router.id() != first.router.id() && (a == b || ctx.are_comparable(a, b))
    });
    let Some(other) = other else { return };
    let (a, b) = (first.router.netns.host, other.router.netns.host);
    let message = format!(
        "two routers translate it, to {} and to {}: which of the two gets a packet is chance",
        first.it.fixed, other.it.fixed
    );
    let finding = report(out, first.router, floating, message);
    for claim in [first, other] {
        let label =
            format!("{} on {}", claim.router.netns.name(), ctx.host_name(claim.router.netns.host));
        finding.primary(claim.table.line(claim.it.rule), label);
    }
    if a != b {
        finding.no_surer_than(Confidence::Strong);
        finding.note("external networks that share no switch may use the same addresses");
    }
    finding.next(format!("openstack floating ip show {floating}"));
    finding.next("systemctl restart neutron-l3-agent");
}
