use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::Field;
use tapline_core::records::route::{Family, Route};
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::Topic;
use tapline_topology::graph::{RouteTable, Seen};

use crate::lint::{Ctx, Recorded, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "L3-005",
    id: "ambiguous-default-route",
    summary: "several default routes of a table are equally good and lead through different devices",
    severity: Warning,
    confidence: Proven,
    page: "ambiguous_default_route.md",
    layer: (L3, 90),
    rank: 760,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// What makes two default routes equally good: the text (two texts may show two states), the
/// metric and the type of service.
type Rank<'a> = (SourceId, u32, &'a str);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut seen = BTreeSet::new();
    for table in
        ctx.route_tables().filter(|table| table.netns().is_root() && table.name() != "local")
    {
        if !table.data.routes.is_empty() {
            seen.insert(table.host);
        }
        judge(ctx, out, table);
    }
    for host in ctx.hosts().filter(|host| !seen.contains(host)) {
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Routes]);
        if !missing.is_empty() && ctx.captured(host, &Netns::Root, Topic::Links) {
            out.cannot_tell(host, missing);
        }
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, table: Item<'_, RouteTable<'_>>) {
    let mut ranks: BTreeMap<Rank<'_>, Vec<Seen<'_, Route>>> = BTreeMap::new();
    for route in table.data.routes.iter().filter(|route| counts(ctx, table, route.record)) {
        let tos = Field::find(&route.record.other, "tos").map_or("", |it| it.value.as_str());
        let rank = (route.source, route.record.metric.unwrap_or_default(), tos);
        ranks.entry(rank).or_default().push(*route);
    }
    for ((_, metric, _), routes) in ranks {
        let devices: BTreeSet<&Name> = routes
            .iter()
            .filter_map(|route| route.record.dev.as_ref())
            .map(|dev| &dev.value)
            .collect();
        if devices.len() < 2 {
            out.clean();
            continue;
        }
        let message = format!(
            "has {} default routes of metric {metric}, through {}: which one is taken depends on the order in which they were added",
            routes.len(),
            defs::list(devices.iter().map(|device| device.as_str()), 4)
        );
        let Some(first) = routes.first() else { continue };
        let first = Evidence { source: first.source, span: first.record.at };
        let recorded = Recorded::DefaultRoutes { table: table.node.name.clone() };
        let finding = out.fire(table.host, Subject::record(first, recorded), message);
        finding.at(table.id, None);
        for route in &routes {
            finding
                .primary(Evidence { source: route.source, span: route.record.at }, "one of them");
        }
        finding.next("ip route get 192.0.2.1");
        finding.next("ip route show default");
    }
}

/// Default routes for IPv4 through one device that works. A second one over a device without link
/// is no rival.
fn counts(ctx: &Ctx<'_>, table: Item<'_, RouteTable<'_>>, route: &Route) -> bool {
    let dead = route.has_flag("dead") || route.has_flag("linkdown");
    let v4 = route.family.is_none_or(|family| family == Family::Inet);
    let plain = route.kind == "unicast" && route.nexthops.is_empty();
    let works = |dev: &Name| {
        let device = ctx.netdev_called(table.host, table.netns(), dev);
        device.is_none_or(|device| device.usable() != Some(false))
    };
    v4 && plain
        && !dead
        && route.is_default()
        && route.dev.as_ref().is_some_and(|dev| works(&dev.value))
}
