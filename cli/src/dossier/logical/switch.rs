//! The story of a network of OVN.
use tapline_topology::{EdgeKind, NodeId};

use super::view::at;
use super::{Story, balancer, port};

/// Tells of a network; `own` is the port that it is told for.
pub(super) fn tell(story: &mut Story<'_, '_, '_>, id: NodeId, depth: usize, own: Option<NodeId>) {
    let view = story.view;
    let ports = view.ports(id);
    let mut words = vec![format!("network {}", view.full_title(id))];
    let datapath = view.datapath(id);
    words.extend(datapath.map(|(_, key)| format!("key {key} (metadata={key:#x})")));
    let (mut guests, mut localnets, mut routers, mut others) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for port in ports.into_iter().filter(|port| Some(*port) != own) {
        match view.kind_of_port(port) {
            "localnet" => localnets.push(port),
            "router" => routers.push(port),
            "" | "virtual" => guests.push(port),
            _ => others.push(port),
        }
    }
    if localnets.is_empty() && view.row(id, "Logical_Switch").is_some() {
        words.push("no localnet: it stays within OVN".to_owned());
    }
    let place = datapath.map(|(row, _)| at(row)).or_else(|| view.place(id));
    story.tell(depth, words.join(", "), place);
    for port in localnets {
        if let Some(text) = view.localnet(port) {
            story.tell(depth + 1, format!("leads out by {text}"), view.place(port));
        }
    }
    if own.is_none() {
        for port in routers {
            let Some(peer) = view.peer(port) else { continue };
            let of = view.owner(peer).map_or_else(|| "?".to_owned(), |of| view.full_title(of));
            let text = format!("router {of} by {}", super::router::port_words(story, peer));
            story.tell(depth + 1, text, view.place(peer));
        }
    }
    others.extend(guests);
    let count = others.len();
    for port in others.into_iter().take(story.most()) {
        let text = format!("with {}", port::brief(story, port));
        story.tell(depth + 1, text, view.place(port));
    }
    story.more(depth + 1, count);
    if own.is_none() {
        let balancers = view.topology().into(id, EdgeKind::Balances);
        let count = balancers.len();
        for (of, _) in balancers.into_iter().take(story.most()) {
            let text = balancer::brief(story, of);
            story.tell(depth + 1, text, view.place(of));
        }
        story.more(depth + 1, count);
    }
}
