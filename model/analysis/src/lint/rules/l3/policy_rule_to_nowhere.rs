use std::fmt::Write as _;

use tapline_core::need::Need;
use tapline_core::records::route::{Family, Rule};
use tapline_core::span::Evidence;
use tapline_topology::graph::{RouteTable, Seen};
use tapline_topology::{Presence, Topic};

use crate::lint::{Ctx, Recorded, Severity, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "L3-009",
    id: "policy-rule-to-nowhere",
    summary: "a policy rule looks up a table without routes, or waits for a device that does not exist",
    severity: Warning,
    confidence: Proven,
    page: "policy_rule_to_nowhere.md",
    layer: (L3, 110),
    rank: 810,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ns::dvr_fip_plumbing] by [Netns],
        // The table that a router's rule looks up is empty without its default route.
        [ns::router_no_default_route] by [Netns],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for table in ctx.route_tables() {
        if matches!(table.name(), "main" | "local" | "default") || table.data.rules.is_empty() {
            continue;
        }
        // The rule that sends packets of a VRF to its table, whatever that is.
        if table.name().starts_with('[') {
            continue;
        }
        judge_table(ctx, out, table);
        for rule in &table.data.rules {
            judge_devices(ctx, out, table, *rule);
        }
    }
}

fn judge_table(ctx: &Ctx<'_>, out: &mut Verdicts, table: Item<'_, RouteTable<'_>>) {
    let (host, netns) = (table.host, table.netns());
    let has = |family: Family| {
        table.data.routes.iter().any(|route| route.record.family.is_none_or(|it| it == family))
    };
    let family = |rule: &Rule| {
        let prefix = rule.from.or(rule.to);
        let by_prefix =
            prefix.map(|prefix| if prefix.addr().is_ipv4() { Family::Inet } else { Family::Inet6 });
        rule.family.or(by_prefix).unwrap_or(Family::Inet)
    };
    let empty: Vec<_> = table
        .data
        .rules
        .iter()
        .filter(|rule| selects(rule.record) && !has(family(rule.record)))
        .collect();
    let Some(first) = empty.first() else {
        out.clean();
        return;
    };
    if awaits_its_turn(ctx, table) {
        out.clean();
        return;
    }
    // Listings of all tables show both families, and an empty one of IPv6 cannot be told from one
    // that was not asked for.
    let missing = ctx.missing(host, netns, &[Topic::AllRoutes]);
    if !missing.is_empty() || family(first.record) == Family::Inet6 && !lists_inet6(ctx, table) {
        let command = if missing.is_empty() { vec![ipv6_routes(table)] } else { missing };
        out.cannot_tell(host, command);
        return;
    }
    let message = format!(
        "{} look up a table without routes, and go the way of the next rule that fits",
        who(first.record)
    );
    let finding = out.fault(ctx, host, table.id, message);
    for rule in &empty {
        finding.primary(Evidence { source: rule.source, span: rule.record.at }, "looks it up");
    }
    for rule in empty.iter().skip(1) {
        let at = Evidence { source: rule.source, span: rule.record.at };
        finding.also(Subject::record(at, Recorded::Rule { name: who(rule.record) }));
    }
    let key = format!("a route of table {}", table.name());
    finding.rests_on_absence(ctx.searched(host, netns, Topic::AllRoutes, &key));
    finding.next(defs::inside(netns, &format!("ip route show table {}", table.name())));
    if netns.name().is_some_and(|name| name.starts_with("qrouter-") || name.starts_with("fip-")) {
        finding.next("systemctl restart neutron-l3-agent");
    } else {
        finding
            .next(defs::inside(netns, &format!("ip rule del priority {}", first.record.priority)));
    }
}

fn judge_devices(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    table: Item<'_, RouteTable<'_>>,
    rule: Seen<'_, Rule>,
) {
    let (host, netns) = (table.host, table.netns());
    for (key, device) in [("iif", &rule.record.iif), ("oif", &rule.record.oif)] {
        let Some(device) = device.as_ref().filter(|device| *device != "lo") else { continue };
        // The kernel says so itself, where the rule does not find its device.
        let detached = rule
            .record
            .other
            .iter()
            .any(|other| other.key == key && other.value.value == "[detached]");
        let searched = match ctx.topology.netdev_presence(host, netns, device) {
            Presence::No(searched) => Some(searched),
            Presence::Yes(_) => continue,
            Presence::Unknown(_) if detached => None,
            Presence::Unknown(missing) => {
                out.cannot_tell(host, missing);
                continue;
            }
        };
        let message = format!(
            "no packet finds this table: its rule {} is for {device}, which does not exist",
            rule.record.priority
        );
        let finding = out.fault(ctx, host, table.id, message);
        // What nothing matches does no harm; it hints at something that was taken down halfway.
        finding.at_most(Severity::Info);
        finding.primary(Evidence { source: rule.source, span: rule.record.at }, "the rule");
        if let Some(searched) = searched {
            finding.rests_on_absence(searched);
        }
        finding
            .next(defs::inside(netns, &format!("ip rule del priority {}", rule.record.priority)));
    }
}

/// Rules for addresses and devices. Those for marks are made by software that fills the table when
/// it needs it, and inverted and suppressed ones need no route.
fn selects(rule: &Rule) -> bool {
    let suppressed = rule.other.iter().any(|other| other.key.starts_with("suppress_"));
    let selected =
        rule.from.is_some() || rule.to.is_some() || rule.iif.is_some() || rule.oif.is_some();
    selected && !suppressed && !rule.not && rule.fwmark.is_none()
}

/// Whether keepalived fills the tables of this namespace while it is master.
fn awaits_its_turn(ctx: &Ctx<'_>, table: Item<'_, RouteTable<'_>>) -> bool {
    let netns = ctx.topology.find_netns(table.host, table.netns());
    netns.is_some_and(|netns| {
        ctx.devices_in(netns).iter().any(|device| device.name().starts_with("ha-"))
    })
}

/// Whether IPv6 routes of the namespace were printed at all.
fn lists_inet6(ctx: &Ctx<'_>, table: Item<'_, RouteTable<'_>>) -> bool {
    let netns = ctx.topology.find_netns(table.host, table.netns());
    let tables = netns.into_iter().flat_map(|netns| ctx.tables_in(netns));
    tables
        .flat_map(|table| table.data.routes.iter())
        .any(|it| it.record.family == Some(Family::Inet6))
}

fn ipv6_routes(table: Item<'_, RouteTable<'_>>) -> Need {
    Need::command("ip -6 route show table all").within(table.netns())
}

/// The packets that a rule is for.
fn who(rule: &Rule) -> String {
    let mut text = "packets".to_owned();
    for (word, prefix) in [("from", rule.from), ("to", rule.to)] {
        if let Some(prefix) = prefix {
            let _ = write!(text, " {word} {prefix}");
        }
    }
    for (word, device) in [("in through", &rule.iif), ("out through", &rule.oif)] {
        if let Some(device) = device {
            let _ = write!(text, " {word} {device}");
        }
    }
    text
}
