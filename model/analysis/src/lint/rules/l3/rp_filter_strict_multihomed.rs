use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::route::{Family, Route};
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, NetdevKind, RouteTable, Seen};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::mesh::is_of_host;
use tapline_network::texts::{Setting, Settings};
use tapline_network::uplink;
use tapline_network::{Answer, Item, overlay};

declare_rule! {
    code: "L3-010",
    id: "rp-filter-strict-multihomed",
    summary: "the strict reverse path filter drops what arrives on one NIC and is answered through another",
    severity: Warning,
    confidence: Suspect,
    page: "rp_filter_strict_multihomed.md",
    layer: (L3, 120),
    rank: 820,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// Packets that are to be expected on a device and whose sources are routed through another.
struct Expected<'a> {
    /// From where.
    from: String,
    /// Why they are expected.
    why: Evidence,
    /// The route that answers take.
    answer: Seen<'a, Route>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let settings = ctx.kernel_settings();
    for host in ctx.hosts() {
        let main = ctx.topology.find_route_table(host, &Netns::Root, "main");
        let Some(main) = main.and_then(|main| ctx.route_table(main)) else { continue };
        let mut expected: BTreeMap<&Name, Expected<'_>> = BTreeMap::new();
        by_second_default(main, &mut expected);
        by_tunnel(ctx, main, &mut expected);
        for (dev, expected) in expected {
            let Some(device) = ctx.netdev_called(host, &Netns::Root, dev) else { continue };
            judge(ctx, out, device, expected, settings);
        }
    }
}

/// A default route that is not the best: the device's network has a router, and what that brings
/// in from afar is answered through the best one.
fn by_second_default<'a>(
    main: Item<'a, RouteTable<'a>>,
    expected: &mut BTreeMap<&'a Name, Expected<'a>>,
) {
    let metric = |route: &Seen<'_, Route>| route.record.metric.unwrap_or_default();
    let defaults: Vec<_> = main
        .data
        .routes
        .iter()
        .filter(|route| {
            let plain = route.record.kind == "unicast" && route.record.nexthops.is_empty();
            is_v4(route.record) && route.record.is_default() && plain && route.record.via.is_some()
        })
        .collect();
    let Some(best) = defaults.iter().min_by_key(|default| metric(default)) else { return };
    for other in &defaults {
        // Two texts may show two states of the host.
        if metric(other) == metric(best) || other.source != best.source {
            continue;
        }
        let (Some(dev), Some(best_dev)) = (&other.record.dev, &best.record.dev) else { continue };
        // A laptop changes over between cable and radio; nobody seeks it on both.
        if dev.value == best_dev.value
            || [dev, best_dev].iter().any(|it| uplink::is_wireless(&it.value))
        {
            continue;
        }
        let why = Evidence { source: other.source, span: other.record.at };
        let from = "beyond its subnet".to_owned();
        expected.entry(&dev.value).or_insert(Expected { from, why, answer: **best });
    }
}

/// The far end of a tunnel that is answered through another device than the one with the tunnel's
/// own address.
fn by_tunnel<'a>(
    ctx: &Ctx<'a>,
    main: Item<'a, RouteTable<'a>>,
    expected: &mut BTreeMap<&'a Name, Expected<'a>>,
) {
    let mut known: BTreeSet<(IpAddr, IpAddr)> = BTreeSet::new();
    for tunnel in ctx.tunnels_of(main.host).filter(|tunnel| is_of_host(ctx, *tunnel)) {
        let (Some(local), Some(remote)) = (&tunnel.data.local, &tunnel.data.remote) else {
            continue;
        };
        if !remote.value.is_ipv4() || !known.insert((local.value, remote.value)) {
            continue;
        }
        let holder = ctx.topology.find_address(local.value).iter().find_map(|it| {
            let address = ctx.address(*it)?;
            let here = address.host == main.host && address.netns().is_root();
            ctx.netdev(address.netdev).filter(|_| here)
        });
        let through = |device: &Item<'_, Netdev<'_>>| {
            !matches!(device.kind, NetdevKind::Loopback | NetdevKind::Dummy)
        };
        let Some(holder) = holder.filter(through) else { continue };
        let Some(Answer::Known(decision)) = overlay::route(ctx, tunnel) else { continue };
        let Some(answer) = decision.route else { continue };
        let devices = devices_of(answer.record);
        if devices.is_empty() || devices.iter().any(|device| *device == holder.name()) {
            continue;
        }
        // Packets to a loopback-like address may come in anywhere; those to a NIC's come in there.
        let Some(dev) = name_of(ctx, main.host, holder.name()) else { continue };
        let from = format!("{}, the far end of a tunnel", remote.value);
        let why = remote.evidence;
        expected.entry(dev).or_insert(Expected { from, why, answer });
    }
}

/// The name of a device as its record has it.
fn name_of<'a>(ctx: &Ctx<'a>, host: HostId, name: &str) -> Option<&'a Name> {
    let device = ctx.netdev_called(host, &Netns::Root, name)?;
    device.data.records.first().map(|record| &record.record.name.value)
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    expected: Expected<'_>,
    settings: &Settings<'_>,
) {
    let host = device.host;
    let vrf = ctx.master(device.id).is_some_and(|master| master.kind == NetdevKind::Vrf);
    let point_to_point = matches!(device.kind, NetdevKind::Tun | NetdevKind::Tunnel);
    if vrf || point_to_point || device.usable() == Some(false) {
        out.clean();
        return;
    }
    // Sysctl writes a dot in a name as a slash.
    let own = format!("net.ipv4.conf.{}.rp_filter", device.name().replace('.', "/"));
    let setting = |key: &str| settings.get(&(host, &Netns::Root, key)).copied();
    let all = setting("net.ipv4.conf.all.rp_filter");
    let own = setting(&own);
    let strict = match (all, own) {
        // The greater one counts: 0 is off, 1 is strict, 2 takes any way back.
        (Some(Setting { value: 2, .. }), _) | (_, Some(Setting { value: 2, .. })) => None,
        (Some(all), Some(own)) if all.value.max(own.value) == 1 => {
            Some(if own.value == 1 { own } else { all })
        }
        (Some(_), Some(_)) => None,
        _ => {
            out.cannot_tell(host, [Need::command("sysctl -a")]);
            return;
        }
    };
    let Some(strict) = strict else {
        out.clean();
        return;
    };
    if has_source_rule(ctx, device) {
        out.clean();
        return;
    }
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Rules]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let answers = devices_of(expected.answer.record).join(", ");
    let message = format!(
        "the reverse path filter is strict: packets from {} are dropped here, because answers go out through {answers}",
        expected.from
    );
    let finding = out.fault(ctx, host, device.id, message);
    finding.primary(strict.evidence, "1 is strict; the greater of `all` and the device's counts");
    finding.primary(expected.why, "why such packets are to be expected");
    let answer = Evidence { source: expected.answer.source, span: expected.answer.record.at };
    finding.primary(answer, "the way of answers");
    finding.next("nstat -az TcpExtIPReversePathFilter");
    finding
        .next(format!("sysctl -w net.ipv4.conf.{}.rp_filter=2", device.name().replace('.', "/")));
}

/// Whether a rule sends what has the device's address to a table of its own.
pub(super) fn has_source_rule(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    let addresses: Vec<_> = ctx.addresses_of(device.id).iter().map(|address| address.ip).collect();
    let netns = ctx.topology.find_netns(device.host, device.netns());
    let tables = netns.into_iter().flat_map(|netns| ctx.tables_in(netns));
    tables
        .filter(|table| !matches!(table.name(), "main" | "local" | "default"))
        .flat_map(|table| table.data.rules.iter())
        .any(|it| {
            let from = it.record.from.map(|from| from.trunc());
            let iif = it.record.iif.as_deref() == Some(device.name());
            iif || from.is_some_and(|net| addresses.iter().any(|ip| net.contains(ip)))
        })
}

fn is_v4(route: &Route) -> bool {
    route.family.is_none_or(|family| family == Family::Inet)
}

/// The devices of all ways of a route.
fn devices_of(route: &Route) -> Vec<&str> {
    let all = route.nexthops.iter().map(|hop| &hop.dev).chain([&route.dev]);
    all.flatten().map(|it| it.value.as_str()).collect()
}
