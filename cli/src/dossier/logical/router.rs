//! The story of a router of OVN: its ports, where its gateway is, what it translates, its routes.
use std::net::IpAddr;

use ipnet::IpNet;
use tapline_core::records::ovn::OvnNat;
use tapline_core::records::ovs::OvsRow;
use tapline_topology::{EdgeKind, NodeId};

use super::view::{Row, at};
use super::{Story, balancer};

/// Tells of a router.
pub(super) fn tell(story: &mut Story<'_, '_, '_>, id: NodeId) {
    let view = story.view;
    head(story, id, None);
    let ports = view.ports(id);
    let count = ports.len();
    for port in ports.into_iter().take(story.most()) {
        tell_one_port(story, port, 1);
    }
    story.more(1, count);
    let nats = nats(story, id);
    let count = nats.len();
    for (row, nat) in nats.into_iter().take(story.most()) {
        let text = nat_words(story, nat);
        story.tell(1, text, Some(at(row)));
    }
    story.more(1, count);
    routes(story, id, 1);
    let balancers = view.topology().into(id, EdgeKind::Balances);
    let count = balancers.len();
    for (of, _) in balancers.into_iter().take(story.most()) {
        let text = balancer::brief(story, of);
        story.tell(1, text, view.place(of));
    }
    story.more(1, count);
}

/// Tells of one port of a router, then of the router.
pub(super) fn tell_port(story: &mut Story<'_, '_, '_>, id: NodeId) {
    tell_one_port(story, id, 0);
    if let Some(of) = story.view.owner(id) {
        tell(story, of);
    }
}

/// What a router means for one port of a guest on a network of it.
pub(super) fn tell_for(story: &mut Story<'_, '_, '_>, id: NodeId, by: NodeId, guest: NodeId) {
    let view = story.view;
    head(story, id, Some(by));
    let name = view.topology().node(guest).map(|node| node.name.as_str());
    let own: Vec<IpAddr> = view.logical(guest).map_or(Vec::new(), |it| it.addresses.clone());
    for (row, nat) in nats(story, id) {
        let inside = nat.logical_ip.as_ref().map_or("", |ip| ip.value.as_str());
        let is_own = nat.logical_port.as_ref().map(|port| port.value.as_str()) == name
            && name.is_some()
            || inside.parse::<IpAddr>().is_ok_and(|ip| own.contains(&ip));
        let is_of_net =
            inside.parse::<IpNet>().is_ok_and(|net| own.iter().any(|ip| net.contains(ip)));
        if is_own || is_of_net {
            let text = nat_words(story, nat);
            story.tell(1, text, Some(at(row)));
        }
    }
    for port in view.ports(id).into_iter().filter(|port| *port != by) {
        tell_one_port(story, port, 1);
    }
    routes(story, id, 1);
}

fn head(story: &mut Story<'_, '_, '_>, id: NodeId, by: Option<NodeId>) {
    let view = story.view;
    let mut words = vec![format!("router {}", view.full_title(id))];
    words.extend(by.map(|by| port_words(story, by)));
    words.extend(view.datapath(id).map(|(_, key)| format!("key {key} (metadata={key:#x})")));
    if let Some(OvsRow::Router(row)) = view.row(id, "Logical_Router").map(|row| &row.record.row) {
        let chassis = row.options.iter().find(|(key, _)| key == "chassis");
        words.extend(chassis.map(|(_, name)| format!("only on chassis {}", name.value)));
    }
    let place = view.place(id);
    story.tell(0, words.join(", "), place);
}

/// A port of a router in a few words.
pub(super) fn port_words(story: &Story<'_, '_, '_>, id: NodeId) -> String {
    let view = story.view;
    let name = view.topology().node(id).map_or("", |node| node.name.as_str());
    match view.row(id, "Logical_Router_Port").map(|row| &row.record.row) {
        Some(OvsRow::RouterPort(row)) => {
            let networks: Vec<&str> = row.networks.iter().map(|it| it.value.as_str()).collect();
            let mac = row.mac.as_ref().map_or("", |mac| mac.value.as_str());
            format!("{} by {name} ({mac})", networks.join(", "))
        }
        _ => name.to_owned(),
    }
}

fn tell_one_port(story: &mut Story<'_, '_, '_>, id: NodeId, depth: usize) {
    let view = story.view;
    let mut words = vec![port_words(story, id)];
    let network = view.peer(id).and_then(|port| view.owner(port));
    words.extend(network.map(|network| format!("on network {}", view.title(network))));
    story.tell(depth, words.join(", "), view.place(id));
    let candidates = candidates(story, id);
    let bound = view.logical(id).into_iter().flat_map(|it| &it.rows).find(|row| {
        matches!(&row.record.row, OvsRow::PortBinding(bound)
            if bound.kind.as_ref().is_some_and(|kind| kind.value == "chassisredirect"))
    });
    if candidates.is_empty() && bound.is_none() {
        return;
    }
    let holder = match (view.holder(id), bound) {
        (Some(holder), _) => format!("is on {holder}"),
        (None, Some(_)) => "is on no chassis".to_owned(),
        (None, None) => "is not known".to_owned(),
    };
    let may = if candidates.is_empty() {
        String::new()
    } else {
        format!("; may be on {}", candidates.join(", "))
    };
    let text = format!("gateway cr-{} {holder}{may}", name(story, id));
    story.tell(depth + 1, text, bound.map(|row| at(*row)).or_else(|| view.place(id)));
    if let Some(port) = view.peer(id)
        && let Some(network) = view.owner(port)
    {
        for port in view.ports(network) {
            if view.kind_of_port(port) == "localnet"
                && let Some(text) = view.localnet(port)
            {
                story.tell(depth + 1, format!("leads out by {text}"), view.place(port));
            }
        }
    }
}

fn name(story: &Story<'_, '_, '_>, id: NodeId) -> String {
    story.view.topology().node(id).map_or_else(String::new, |node| node.name.to_string())
}

/// The chassis that may be the gateway, with their priorities, the first first.
fn candidates(story: &Story<'_, '_, '_>, id: NodeId) -> Vec<String> {
    let view = story.view;
    let Some(row) = view.row(id, "Logical_Router_Port") else { return Vec::new() };
    let mut members: Vec<Row<'_>> = Vec::new();
    if let Some(group) =
        row.record.one("ha_chassis_group").and_then(|it| view.rows().get(&it.value))
    {
        let all = group.record.set("ha_chassis").iter();
        members.extend(all.filter_map(|one| view.rows().get(&one.value)));
    }
    if let OvsRow::RouterPort(port) = &row.record.row {
        members.extend(port.gateway_chassis.iter().filter_map(|one| {
            let (tapline_core::records::ovs::OvsRef::Uuid(it)
            | tapline_core::records::ovs::OvsRef::Name(it)) = &one.value;
            view.rows().get(it)
        }));
    }
    let mut all: Vec<(i64, String)> = members
        .iter()
        .filter_map(|row| {
            let chassis = row.record.one("chassis_name")?.value.as_str();
            let priority = row.record.one("priority").and_then(|it| it.value.parse().ok());
            let known = view
                .topology()
                .nodes()
                .find(|(_, node)| node.name == chassis && node.data.kind() == "chassis");
            let title = known.map_or_else(|| chassis.to_owned(), |(id, _)| view.title(id));
            Some((priority.unwrap_or(0), title))
        })
        .collect();
    all.sort_by_key(|(priority, _)| -priority);
    all.into_iter().map(|(priority, name)| format!("{name} {priority}")).collect()
}

/// The translations of a router, floating addresses first.
fn nats<'a>(story: &Story<'_, '_, 'a>, id: NodeId) -> Vec<(Row<'a>, &'a OvnNat)> {
    let rows = story.view.logical(id).map_or(&[][..], |it| it.rows.as_slice());
    let mut all: Vec<(Row<'a>, &OvnNat)> = rows
        .iter()
        .filter_map(|row| match &row.record.row {
            OvsRow::Nat(nat) => Some((*row, &**nat)),
            _ => None,
        })
        .collect();
    all.sort_by_key(|(_, nat)| nat.kind.as_ref().is_none_or(|kind| kind.value == "snat"));
    all
}

/// A translation in words.
fn nat_words(story: &Story<'_, '_, '_>, nat: &OvnNat) -> String {
    let view = story.view;
    let text = |value: &Option<tapline_core::span::At<tapline_core::Name>>| {
        value.as_ref().map_or("?".to_owned(), |value| value.value.to_string())
    };
    let (outside, inside) = (text(&nat.external_ip), text(&nat.logical_ip));
    if nat.kind.as_ref().is_some_and(|kind| kind.value == "snat") {
        return format!("SNAT of {inside} to {outside}, by the gateway");
    }
    let port = nat.logical_port.as_ref().and_then(|port| {
        let port = port.value.as_str();
        view.topology()
            .nodes()
            .find(|(_, node)| node.name == port && node.data.kind() == "logical-switch-port")
    });
    let whose = port.map_or(String::new(), |(port, _)| format!(" ({})", view.title(port)));
    let place = match (&nat.external_mac, port) {
        (Some(mac), Some((port, _))) => match view.holder(port) {
            Some(holder) => format!("done where the port is, on {holder} ({})", mac.value),
            None => format!("done where the port is, which is nowhere ({})", mac.value),
        },
        _ => "by the gateway".to_owned(),
    };
    format!("floating IP {outside} of {inside}{whose}, {place}")
}

/// The routes and policies of a router.
fn routes(story: &mut Story<'_, '_, '_>, id: NodeId, depth: usize) {
    let view = story.view;
    let Some(row) = view.row(id, "Logical_Router") else { return };
    let all = row.record.set("static_routes");
    for uuid in all.iter().take(story.most()) {
        let Some(route) = view.rows().get(&uuid.value) else { continue };
        let text = |column: &str| route.record.one(column).map_or("", |it| it.value.as_str());
        let by = text("output_port");
        let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
        let source = if text("policy") == "src-ip" { "from " } else { "" };
        let words = format!("route {source}{} via {}{by}", text("ip_prefix"), text("nexthop"));
        story.tell(depth, words, Some(at(route)));
    }
    story.more(depth, all.len());
    let policies = row.record.set("policies");
    for uuid in policies.iter().take(story.most()) {
        let Some(policy) = view.rows().get(&uuid.value) else { continue };
        let text = |column: &str| policy.record.one(column).map_or("", |it| it.value.as_str());
        let hops = policy.record.set("nexthops").iter().map(|hop| hop.value.as_str());
        let hops: Vec<&str> = hops.chain([text("nexthop")]).filter(|it| !it.is_empty()).collect();
        let words = format!(
            "policy {}: {} {} if {}",
            text("priority"),
            text("action"),
            hops.join(", "),
            text("match")
        );
        story.tell(depth, words, Some(at(policy)));
    }
    story.more(depth, policies.len());
}
