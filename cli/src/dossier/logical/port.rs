//! The story of a port of a switch: mostly the port of a guest.
use tapline_core::records::ovs::{OvsRef, OvsRow, lookup};
use tapline_topology::NodeId;
use tapline_topology::graph::LogicalKind;

use super::view::{Row, at};
use super::{Story, balancer, router, switch};

/// Tells of a port, its network, and the routers there.
pub(super) fn tell(story: &mut Story<'_, '_, '_>, id: NodeId) {
    let view = story.view;
    let (text, place) = line(story, id);
    story.tell(0, text, place);
    dhcp(story, id, 1);
    rules(story, id);
    balancer::tell_backends(story, id, 1);
    let Some(of) = view.owner(id) else { return };
    switch::tell(story, of, 0, Some(id));
    for port in view.ports(of) {
        let Some(peer) = view.peer(port).filter(|_| port != id) else { continue };
        if let Some(of) = view.owner(peer) {
            router::tell_for(story, of, peer, id);
        }
    }
}

/// A port in one line: its addresses, whether it is up, and where it is.
pub(super) fn line(
    story: &Story<'_, '_, '_>,
    id: NodeId,
) -> (String, Option<tapline_core::span::Evidence>) {
    let view = story.view;
    let binding = view.row(id, "Port_Binding");
    let row = view.row(id, "Logical_Switch_Port");
    let mut words = vec![format!("port {}", view.full_title(id))];
    let kind = view.kind_of_port(id);
    if !kind.is_empty() {
        words.push(kind.to_owned());
    }
    let addresses = match row.map(|row| &row.record.row) {
        Some(OvsRow::SwitchPort(port)) => {
            port.addresses.iter().map(|one| one.value.to_string()).collect()
        }
        _ => binding.map_or_else(Vec::new, |row| {
            row.record.set("mac").iter().map(|one| one.value.to_string()).collect()
        }),
    };
    words.extend(addresses);
    let (mut up, mut asked) = (None, None);
    if let Some(OvsRow::PortBinding(bound)) = binding.map(|row| &row.record.row) {
        up = bound.up.as_ref().map(|up| up.value);
        asked = lookup(&bound.options, "requested-chassis").map(|name| name.value.to_string());
    }
    if let Some(OvsRow::SwitchPort(port)) = row.map(|row| &row.record.row) {
        up = up.or(port.up.as_ref().map(|up| up.value));
        if port.enabled.as_ref().is_some_and(|enabled| !enabled.value) {
            words.push("switched off (enabled=false)".to_owned());
        }
    }
    let is_guest = matches!(kind, "" | "l2gateway" | "virtual");
    words.extend(up.filter(|_| is_guest).map(|up| if up { "up" } else { "not up" }.to_owned()));
    let asked = asked.filter(|name| !name.is_empty());
    match (view.holder(id), asked) {
        (Some(holder), Some(asked)) if holder != asked => {
            words.push(format!("bound to {holder} (asked for: {asked})"));
        }
        (Some(holder), _) => words.push(format!("bound to {holder}")),
        (None, asked) if binding.is_some() && is_guest => {
            let unnamed = match binding.map(|row| &row.record.row) {
                Some(OvsRow::PortBinding(bound)) => bound.chassis.as_ref(),
                _ => None,
            };
            let unnamed = unnamed.map(|chassis| match &chassis.value {
                OvsRef::Name(name) | OvsRef::Uuid(name) => format!("bound to chassis {name}"),
            });
            let asked = asked.map_or(String::new(), |asked| format!(" (asked for: {asked})"));
            words.push(unnamed.unwrap_or_else(|| format!("bound nowhere{asked}")));
        }
        _ => {}
    }
    words.extend(view.port_key(id).map(|key| format!("key {key}")));
    (words.join(", "), binding.or(row).map(at).or_else(|| view.place(id)))
}

/// What OVN tells the guest by DHCP.
fn dhcp(story: &mut Story<'_, '_, '_>, id: NodeId, depth: usize) {
    let view = story.view;
    let Some(row) = view.row(id, "Logical_Switch_Port") else { return };
    let Some(uuid) = row.record.one("dhcpv4_options") else { return };
    let Some(options) = view.rows().get(&uuid.value) else { return };
    let mut words = vec!["DHCP by OVN".to_owned()];
    words.extend(options.record.one("cidr").map(|cidr| cidr.value.to_string()));
    for key in ["router", "mtu", "dns_server", "classless_static_route"] {
        let value = options.record.map("options").iter().find(|(name, _)| name == key);
        words.extend(value.map(|(name, value)| format!("{name} {}", value.value)));
    }
    story.tell(depth, words.join(", "), Some(at(options)));
}

/// The rules that decide what reaches a port and what it may send, the first to be asked first.
fn rules(story: &mut Story<'_, '_, '_>, id: NodeId) {
    let view = story.view;
    let mut all: Vec<(i64, &str, &str, &str, Row<'_>)> = Vec::new();
    let groups = view.groups(id);
    let of_groups = groups.iter().flat_map(|group| group.record.set("acls"));
    let switch = view.owner(id).and_then(|switch| view.row(switch, "Logical_Switch"));
    let of_switch = switch.iter().flat_map(|row| row.record.set("acls"));
    for uuid in of_groups.chain(of_switch) {
        let Some(row) = view.rows().get(&uuid.value) else { continue };
        let text = |column: &str| row.record.one(column).map_or("", |one| one.value.as_str());
        let priority = text("priority").parse().unwrap_or(0);
        all.push((priority, text("direction"), text("action"), text("match"), row));
    }
    all.sort_by_key(|(priority, direction, ..)| (*direction != "to-lport", -priority));
    all.dedup_by(|a, b| std::ptr::eq(a.4.record, b.4.record));
    let count = all.len();
    for (priority, direction, action, text, row) in all.into_iter().take(story.most()) {
        let way = if direction == "to-lport" { "to it" } else { "from it" };
        story.tell(1, format!("{way}: {action} if {text} (priority {priority})"), Some(at(row)));
    }
    story.more(1, count);
}

/// A port of a guest in a few words, for lists.
pub(super) fn brief(story: &Story<'_, '_, '_>, id: NodeId) -> String {
    let view = story.view;
    let mut words = vec![view.title(id)];
    let Some(logical) = view.logical(id) else { return words.concat() };
    words.extend(logical.addresses.first().map(ToString::to_string));
    let kind = view.kind_of_port(id);
    if logical.kind == LogicalKind::SwitchPort && !kind.is_empty() {
        words.push(kind.to_owned());
    }
    words.extend(view.holder(id).map(|holder| format!("on {holder}")));
    words.join(" ")
}
