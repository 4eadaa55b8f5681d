use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::Netdev;

use crate::lint::settings::Firewall;
use crate::lint::{Confidence, Ctx, Other, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::netfilter::{Filters, Table};
use tapline_network::texts::{self, Settings};

declare_rule! {
    code: "IPT-002",
    id: "bridge-nf-off",
    summary: "security groups are rules for bridged frames, and the kernel does not show them those frames",
    severity: Error,
    confidence: Proven,
    page: "bridge_nf_off.md",
    layer: (Firewall, 20),
    rank: 330,
    about: [Neutron],
    cuts: [],
    asks: [Firewall],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    if matches!(ctx.settings.env.firewall, Some(Firewall::Native | Firewall::None)) {
        return;
    }
    let settings = ctx.kernel_settings();
    let filters = ctx.filters();
    for host in ctx.hosts() {
        let bridges = defs::hybrid_bridges(ctx, host);
        if bridges.is_empty() {
            continue;
        }
        for family in [Family::Inet, Family::Inet6] {
            judge(ctx, out, (host, family), &bridges, settings, filters);
        }
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    (host, family): (HostId, Family),
    bridges: &[Item<'_, Netdev<'_>>],
    settings: &Settings<'_>,
    filters: &Filters<'_>,
) {
    let (key, tool) = match family {
        Family::Inet => ("net.bridge.bridge-nf-call-iptables", "iptables-save"),
        Family::Inet6 => ("net.bridge.bridge-nf-call-ip6tables", "ip6tables-save"),
    };
    let global = settings.get(&(host, &Netns::Root, key));
    if global.is_some_and(|global| global.value != 0) {
        out.clean();
        return;
    }
    let Some(rule) = filters.table_of((host, &Netns::Root), family, "filter").map(first_rule)
    else {
        // Nothing was printed: there is no table, as with the tools that are built on nft.
        if texts::is_filter_captured(ctx, host, family) {
            out.clean();
            return;
        }
        // What filters IPv6 is looked for only where something filters IPv4.
        let hybrid = filters
            .table(host, &Netns::Root, "filter")
            .is_some_and(|table| first_rule(table).is_some());
        if family == Family::Inet || hybrid {
            out.cannot_tell(host, [Need::command(tool)]);
        }
        return;
    };
    let Some(rule) = rule else {
        // Open vSwitch filters, or nothing does: that is no matter of bridges.
        out.clean();
        return;
    };
    // Where the module is loaded all its settings exist: then this one was lost on the way.
    let is_of_module = |key: &str| key.starts_with("net.bridge.bridge-nf-");
    let loaded = settings.keys().any(|(at, _, key)| *at == host && is_of_module(key));
    let absent = texts::all_settings(ctx, host).filter(|_| !loaded);
    if global.is_none() && absent.is_none() {
        out.cannot_tell(host, [Need::command("sysctl").with(key)]);
        return;
    }
    // The switch of a bridge counts where the global one is off.
    let open: Vec<_> =
        bridges.iter().filter(|bridge| own_switch(bridge, family) != Some(true)).collect();
    let unsaid = open.iter().any(|open| own_switch(open, family).is_none());
    if open.is_empty() {
        out.clean();
        return;
    }
    if unsaid && !ctx.complete(host, &Netns::Root, Topic::LinkDetails) {
        out.cannot_tell(host, [Need::command("ip -d link")]);
        return;
    }
    let protocol = if family == Family::Inet { "IPv4" } else { "IPv6" };
    let message = format!(
        "the kernel shows no bridged {protocol} frames to the packet filter: the security groups of {} ports let everything pass",
        open.len()
    );
    let finding = out.fire(host, Other::Sysctl { key: key.to_owned() }, message);
    match (global, absent) {
        (Some(global), _) => {
            finding.primary(global.evidence, "switched off for all bridges");
        }
        (None, Some((source, records))) => {
            finding.no_surer_than(Confidence::Strong);
            let keys = vec![key.to_owned()];
            let searched = Searched { keys, sources: vec![(source, records)], namespaces: 0 };
            finding.rests_on_absence(searched);
            finding.note("the setting does not exist: the module br_netfilter is not loaded");
        }
        (None, None) => {}
    }
    finding.primary(rule, "a security group's rule for bridged frames");
    for bridge in open.iter().take(3) {
        if let Some(place) = bridge.place() {
            finding.context(place, "a port that it was made for");
        }
    }
    finding.note(format!("bridges: {}", defs::list(open.iter().map(|open| open.name()), 5)));
    finding.next(format!("modprobe br_netfilter; sysctl -w {key}=1"));
}

/// A rule of neutron's hybrid firewall.
fn first_rule(table: Table<'_>) -> Option<Evidence> {
    let rule = table.data.rules.iter().find(|rule| {
        rule.chain.starts_with("neutron-openvswi-")
            && rule.matches.iter().any(|match_| match_.eq_ignore_ascii_case("physdev"))
    })?;
    Some(Evidence { source: table.source, span: rule.at })
}

/// The switch of the bridge itself, where it is printed.
fn own_switch(bridge: &Item<'_, Netdev<'_>>, family: Family) -> Option<bool> {
    bridge.records.iter().find_map(|seen| match family {
        Family::Inet => {
            let data = seen.record.kind_data.bridge.as_ref()?;
            data.nf_call_iptables.as_ref().map(|iptable| iptable.value)
        }
        Family::Inet6 => seen.record.other.find("nf_call_ip6tables").map(|it| it.value == "1"),
    })
}
