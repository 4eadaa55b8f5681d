use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tapline_core::records::route::{Family, Route};
use tapline_core::span::Evidence;
use tapline_topology::graph::NetnsNode;

use crate::lint::{Ctx, Recorded, Severity, Subject, Verdicts, declare_rule};
use tapline_network::l3::{Outcome, Query, Refusal};
use tapline_network::{Answer, Item, defs};

declare_rule! {
    code: "L3-014",
    id: "default-route-refused",
    summary: "the default route that a host uses throws packets away",
    severity: Warning,
    confidence: Proven,
    page: "default_route_refused.md",
    layer: (L3, 95),
    rank: 225,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// Addresses of the Internet that no machine has for itself: what is routed for them is routed for
/// all.
const OUTSIDE: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)),
];

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for netns in ctx.namespaces() {
        // Routers have a rule of their own (NS-002).
        if defs::is_router_netns(netns.netns()) || netns.name().starts_with("fip-") {
            continue;
        }
        for outside in OUTSIDE {
            judge(ctx, out, netns, outside);
        }
    }
}

/// What becomes of packets to the outside, where some table has such a default route.
fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, netns: Item<'_, NetnsNode<'_>>, outside: IpAddr) {
    let of_family = |route: &Route| {
        // A default route has no prefix to tell, and `ip` prints the family's with `-6` alone.
        (route.family == Some(Family::Inet6)) == outside.is_ipv6()
    };
    let tables = ctx.tables_in(netns.id);
    let refuses = |route: &Route| {
        // The kernel itself ends the IPv6 table with `unreachable default`.
        let of_kernel = route.proto.as_ref().is_some_and(|proto| proto == "kernel");
        route.is_default() && of_family(route) && is_refused(route) && !of_kernel
    };
    if !tables.iter().any(|table| table.routes.iter().any(|route| refuses(route.record))) {
        return;
    }
    let Some(fib) = ctx.fib(netns.host, netns.netns()) else { return };
    let decision = match fib.lookup(&Query::own(outside)) {
        Answer::Known(decision) => decision,
        Answer::Unknown(needs) => {
            out.cannot_tell(netns.host, needs);
            return;
        }
    };
    let (Outcome::Refused(refusal), Some(route)) = (&decision.outcome, decision.route) else {
        out.clean();
        return;
    };
    if !refuses(route.record) {
        out.clean();
        return;
    }
    let word = refusal.as_str();
    let fate = match refusal {
        Refusal::Blackhole => "is dropped without a word",
        Refusal::Unreachable => "is refused as unreachable",
        Refusal::Prohibit => "is refused as prohibited",
    };
    let whose = if netns.netns().is_root() { "host" } else { "namespace" };
    let message = format!(
        "the default route of the {whose} is a {word}: what it sends beyond its own networks {fate}"
    );
    let table = decision.table.clone().unwrap_or_else(|| "main".into());
    let line = Evidence { source: route.source, span: route.record.at };
    let subject = Subject::record(line, Recorded::DefaultRoutes { table });
    let finding = out.fire(netns.host, subject, message);
    finding.at(netns.id, Some(netns.netns()));
    finding.primary(line, "the default route");
    // Routers with the routes of the whole Internet refuse the rest, and so does a machine that
    // is to reach some networks and no others.
    let chosen = tables.iter().flat_map(|table| &table.routes).find(|other| {
        let onward = other.record.via.is_some() || !other.record.nexthops.is_empty();
        of_family(other.record) && onward && !other.record.is_default()
    });
    if let Some(chosen) = chosen {
        finding.at_most(Severity::Info);
        finding.context(
            Evidence { source: chosen.source, span: chosen.record.at },
            "a route that leads on",
        );
        finding.note("other networks have routes of their own, so this may be on purpose");
    }
    let family = if outside.is_ipv4() { "-4" } else { "-6" };
    finding.next(defs::inside(netns.netns(), &format!("ip {family} route get {outside}")));
    finding.next(defs::inside(netns.netns(), &format!("ip {family} route show default")));
}

fn is_refused(route: &Route) -> bool {
    Refusal::of(&route.kind).is_some()
}
