//! Routes.
use std::net::IpAddr;

use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::route::{Family, Gateway, Nexthop, Route};
use tapline_core::request::Topic;
use tapline_core::span::Evidence;

use super::super::entity::{Class, Entity, Key, Kind};
use super::super::gather::{Gather, place};

pub(in super::super) fn add(gather: &mut Gather<'_, '_, '_>) {
    let network = gather.side.network;
    for &id in gather.side.nodes(gather.host) {
        let Some(table) = network.route_table(id) else { continue };
        let netns = table.netns();
        if matches!(netns, Netns::Nameless { .. }) {
            continue;
        }
        for seen in &table.routes {
            let at = Evidence { source: seen.source, span: seen.record.at };
            if let Some(it) = entity(gather, netns, table.name(), seen.record, at) {
                add_hop(gather, it);
            }
        }
    }
    cover(gather);
}

/// One destination may have several routes that differ by their next hop only (IPv6): they are one
/// thing with several values.
fn add_hop(gather: &mut Gather<'_, '_, '_>, it: Entity) {
    let Some(known) = gather.view.entities.get_mut(&it.key) else {
        gather.view.add(it);
        return;
    };
    if let (Some(old), Some(new)) = (known.values.get_mut("by"), it.values.get("by")) {
        let mut all: Vec<&str> = old.text.iter().flat_map(|text| text.split("; ")).collect();
        let more = new.text.as_deref().unwrap_or_default();
        if !all.contains(&more) {
            all.push(more);
            all.sort_unstable();
            old.text = Some(all.join("; "));
        }
    }
}

fn family(route: &Route) -> Family {
    let of = |ip: IpAddr| if ip.is_ipv6() { Family::Inet6 } else { Family::Inet };
    let to = route.destination.as_ref().map(|net| of(net.addr()));
    let via = || match route.via.as_ref().map(|via| &via.value) {
        Some(Gateway::Ip(ip)) => Some(of(*ip)),
        _ => None,
    };
    to.or(route.family).or_else(via).unwrap_or(Family::Inet)
}

fn word(family: Family) -> &'static str {
    if family == Family::Inet6 { "inet6" } else { "inet" }
}

fn scope(netns: &Netns, family: Family, table: &str) -> String {
    format!("{} {} {table}", place(netns), word(family))
}

/// What tells a route from others, its next hop, and where it stands.
fn entity(
    gather: &Gather<'_, '_, '_>,
    netns: &Netns,
    table: &str,
    route: &Route,
    at: Evidence,
) -> Option<Entity> {
    if route.is_made_by_kernel() {
        return None;
    }
    let family = family(route);
    let to = match (&route.destination, &route.destination_name) {
        (Some(net), _) if net.prefix_len() == 0 => "default".to_owned(),
        (Some(net), _) => net.value.trunc().to_string(),
        (None, Some(name)) => name.to_string(),
        (None, None) => "default".to_owned(),
    };
    let mut words = Vec::new();
    if route.kind != "unicast" {
        words.push(route.kind.to_string());
    }
    words.push(to.clone());
    let other = |key: &str| route.other.iter().find(|field| field.key == key);
    words.extend(other("tos").map(|tos| format!("tos {}", tos.value.value)));
    words.extend(route.metric.filter(|metric| *metric != 0).map(|it| format!("metric {it}")));
    let dev = route.dev.as_ref().map(|dev| gather.device(netns, &dev.value).1.to_owned());
    // Several devices may be in one network.
    let is_link = route.via.is_none() && route.nexthops.is_empty();
    words.extend(dev.filter(|_| is_link).map(|dev| format!("dev {dev}")));
    let id = words.join(" ");
    let (root, table_words) = (place(netns), table);
    let name = if table == "main" { id.clone() } else { format!("{id} table {table_words}") };
    let key = Key::new(Kind::Route, format!("{root} {} {table}", word(family)), id);
    let mut it = Entity::new(key, Some(netns.clone()), name);
    it.at = Some(at);
    it.scopes = vec![scope(netns, family, table), scope(netns, family, "*")];
    it.is_link = to == "default" && table == "main" && route.kind == "unicast";
    it.set("by", Class::Config, Some(hops(gather, netns, route)), Some(at));
    let by_ip = gather.side.program(at) == "ip";
    if by_ip {
        it.set("src", Class::Config, route.src.map(|ip| ip.to_string()), Some(at));
        it.set_known("proto", Class::Cosmetic, route.proto.as_ref(), Some(at));
        let dead = ["linkdown", "dead"].iter().find(|flag| route.has_flag(flag));
        it.set_link("flag", dead.map(|dead| (*dead).to_owned()), Some(at), dead.is_some());
        for key in ["mtu", "advmss"] {
            let value = other(key).map(|field| field.value.value.to_string());
            it.set(key, Class::Config, value, Some(at));
        }
    }
    if let Some(dev) = &route.dev {
        it.owners.push(gather.device_key(netns, &dev.value));
    }
    for hop in &route.nexthops {
        it.owners.extend(hop.dev.iter().map(|dev| gather.device_key(netns, &dev.value)));
    }
    it.mentions = it.owners.iter().map(|owner| owner.id.clone()).collect();
    if let Some(src) = route.src {
        it.mentions.push(src.to_string());
    }
    Some(it)
}

fn hops(gather: &Gather<'_, '_, '_>, netns: &Netns, route: &Route) -> String {
    let hop = |via: Option<&Gateway>, dev: Option<&str>| {
        let mut words = Vec::new();
        match via {
            Some(Gateway::Ip(ip)) => words.push(format!("via {ip}")),
            Some(Gateway::Name(name)) => words.push(format!("via {name}")),
            None => {}
        }
        words.extend(dev.map(|dev| format!("dev {}", gather.device(netns, dev).1)));
        words.join(" ")
    };
    let dev = route.dev.as_ref().map(|dev| dev.value.as_str());
    let mut all = vec![hop(route.via.as_deref(), dev)];
    let mut nexthops: Vec<String> = route
        .nexthops
        .iter()
        .map(|Nexthop { via, dev, weight, .. }| {
            let mut words = hop(via.as_deref(), dev.as_ref().map(|dev| dev.value.as_str()));
            words.extend(weight.filter(|weight| *weight != 1).map(|it| format!(" weight {it}")));
            words
        })
        .collect();
    nexthops.sort();
    all.extend(nexthops);
    all.retain(|words| !words.is_empty());
    all.join("; ")
}

fn has_six(batch: &Batch) -> bool {
    matches!(batch, Batch::Routes(routes) if routes.iter().any(|it| family(it) == Family::Inet6))
}

/// Which tables of which families were shown whole.
fn cover(gather: &mut Gather<'_, '_, '_>) {
    let texts = gather.side.texts(gather.host).to_vec();
    for (source, batch) in texts {
        let request = &source.request;
        let asked =
            request.topics().any(|(topic, _)| matches!(topic, Topic::Routes | Topic::AllRoutes));
        if !asked || !gather.side.is_complete(source.id) {
            continue;
        }
        let is_ip = source.command.program() == "ip";
        let table = request.table.as_deref().unwrap_or("main");
        let all = matches!(table, "all" | "0");
        // Of what `ip` was asked its text says itself whether it shows all.
        if request.filtered && !is_ip {
            continue;
        }
        let families: &[Family] = match request.family {
            Some(Family::Inet6) => &[Family::Inet6],
            Some(Family::Inet) => &[Family::Inet],
            // Of all tables `ip` shows both families, of one IPv4 alone.
            // Each namespace has routes of IPv6, but where it is switched off.
            None if is_ip && all && has_six(batch) => &[Family::Inet, Family::Inet6],
            None => &[Family::Inet],
        };
        for family in families {
            let table = match table {
                "all" | "0" => "*",
                "254" => "main",
                other => other,
            };
            let scope = scope(&source.netns, *family, table);
            gather.view.cover(Kind::Route, scope);
        }
    }
}
