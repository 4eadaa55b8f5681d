//! The story of a load balancer: a Service of Kubernetes, mostly.
use std::net::IpAddr;

use tapline_topology::graph::LogicalKind;
use tapline_topology::{EdgeKind, NodeId};

use super::view::{at, some};
use super::{Story, port};

/// Tells of a load balancer and of the ports behind it.
pub(super) fn tell(story: &mut Story<'_, '_, '_>, id: NodeId) {
    let view = story.view;
    let text = brief(story, id);
    story.tell(0, text, view.place(id));
    let Some(row) = view.row(id, "Load_Balancer") else { return };
    for (vip, backends) in row.record.map("vips").iter().take(story.most()) {
        let all: Vec<&str> =
            backends.value.split(',').map(str::trim).filter(|it| !it.is_empty()).collect();
        let none = if all.is_empty() { ", which has no backend" } else { "" };
        let place = backends.evidence(row.source);
        story.tell(1, format!("{vip}{none}"), Some(place));
        for backend in all.iter().take(story.most()) {
            let port = address(backend).and_then(|ip| port_with(story, ip));
            let whose =
                port.map_or(String::new(), |port| format!(": {}", port::brief(story, port)));
            let place = port.and_then(|port| view.place(port)).unwrap_or(place);
            story.tell(2, format!("→ {backend}{whose}"), Some(place));
        }
        story.more(2, all.len());
    }
    let users = view.topology().out(id, EdgeKind::Balances);
    let names: Vec<String> = users.iter().map(|(of, _)| view.title(*of)).collect();
    if !names.is_empty() {
        story.tell(1, format!("applied by {}", some(&names)), Some(at(row)));
    }
}

/// A load balancer in one line.
pub(super) fn brief(story: &Story<'_, '_, '_>, id: NodeId) -> String {
    let view = story.view;
    let mut words = vec![format!("load balancer {}", view.full_title(id))];
    if let Some(row) = view.row(id, "Load_Balancer") {
        words.extend(row.record.one("protocol").map(|protocol| protocol.value.to_string()));
        let vips: Vec<String> =
            row.record.map("vips").iter().map(|(vip, _)| vip.to_string()).collect();
        if !vips.is_empty() {
            words.push(some(&vips));
        }
    }
    words.join(", ")
}

/// Tells which load balancers a port is behind.
pub(super) fn tell_backends(story: &mut Story<'_, '_, '_>, id: NodeId, depth: usize) {
    let view = story.view;
    let Some(logical) = view.logical(id) else { return };
    let mut found = Vec::new();
    for &row in view.rows().of("Load_Balancer") {
        for (vip, backends) in row.record.map("vips") {
            let mut all = backends.value.split(',').filter_map(|it| Some((it, address(it)?)));
            if let Some((backend, _)) = all.find(|(_, ip)| logical.addresses.contains(ip)) {
                let name = row.record.one("name").map_or("", |name| name.value.as_str());
                let text = format!("behind {name}: {vip} → {}", backend.trim());
                found.push((text, backends.evidence(row.source)));
            }
        }
    }
    let count = found.len();
    for (text, place) in found.into_iter().take(story.most()) {
        story.tell(depth, text, Some(place));
    }
    story.more(depth, count);
}

/// The address of a backend.
fn address(backend: &str) -> Option<IpAddr> {
    let backend = backend.trim();
    let bare = match backend.strip_prefix('[') {
        Some(six) => six.split_once(']')?.0,
        None => backend.rsplit_once(':').map_or(backend, |(ip, _)| ip),
    };
    bare.parse().ok()
}

/// The port of a guest that has an address.
fn port_with(story: &Story<'_, '_, '_>, ip: IpAddr) -> Option<NodeId> {
    let mut nodes = story.view.topology().nodes();
    let found = nodes.find(|(id, _)| {
        let logical = story.view.logical(*id);
        logical.is_some_and(|logical| {
            logical.kind == LogicalKind::SwitchPort && logical.addresses.contains(&ip)
        })
    });
    found.map(|(id, _)| id)
}
