//! The topology as trees: for each VM the path to its switch, for each namespace its devices, for
//! each OVS bridge its ports.
use std::collections::BTreeMap;
use std::io::{self, Write};

use tapline_analysis::lint::paths::{Marks, is_port_of_namespace};
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_network::Network;
use tapline_network::path::{Hop, Link, Paths};
use tapline_topology::graph::LogicalKind;
use tapline_topology::{EdgeKind, Node, NodeData, NodeId, Topology};

use super::escape::visible;
use super::hops::{Hops, cross_of_start};
use super::node::{attribute_text, attributes, confidence_mark, facts, name};
use super::severity_style;
use super::tree::Tree;
use crate::commands::graph::Chosen;
use crate::dossier;
use crate::terminal::{Paint, style};

/// Hops that are drawn of one path.
const HOPS: usize = 2_000;

/// Writes the trees of the chosen nodes.
pub(crate) fn render(
    out: &mut impl Write,
    marks: &Marks<'_, '_, '_>,
    chosen: &Chosen,
    paint: Paint,
) -> io::Result<()> {
    let network = marks.network();
    let view = View { network, topology: network.topology, marks, chosen, paint };
    for (n, tree) in view.hosts().iter().enumerate() {
        if n > 0 {
            writeln!(out)?;
        }
        tree.write(out, "")?;
    }
    Ok(())
}

struct View<'v, 'a, 'r> {
    network: &'v Network<'a>,
    topology: &'a Topology<'a>,
    marks: &'v Marks<'v, 'a, 'r>,
    chosen: &'v Chosen,
    paint: Paint,
}

impl<'a> View<'_, 'a, '_> {
    fn nodes(&self) -> impl Iterator<Item = (NodeId, &'a Node<'a>)> {
        let topology = self.topology;
        self.chosen.nodes.iter().filter_map(move |&id| Some((id, topology.node(id)?)))
    }

    fn hosts(&self) -> Vec<Tree> {
        let mut hosts = Vec::new();
        let mut by_host: BTreeMap<HostId, Vec<(NodeId, &Node<'_>)>> = BTreeMap::new();
        for (id, node) in self.nodes() {
            if let Some(host) = node.host {
                by_host.entry(host).or_default().push((id, node));
            }
        }
        for (host, of_host) in by_host {
            let Some(host) = self.topology.snapshot.host(host) else { continue };
            let mut below = Vec::new();
            below.extend(of_host.iter().filter_map(|&(id, node)| self.vm(id, node)));
            below.extend(self.namespaces(&of_host));
            below.extend(of_host.iter().filter_map(|&(id, node)| self.ovs_bridge(id, node)));
            if below.is_empty()
                && !of_host.iter().any(|host| matches!(host.1.data, NodeData::Host(_)))
            {
                continue;
            }
            let text = format!("{}", self.paint.of(style::STRONG, visible(host.label())));
            hosts.push(Tree { text, below });
        }
        let remote: Vec<_> = self
            .nodes()
            .filter(|(_, it)| matches!(it.data, NodeData::RemoteHost(_)))
            .map(|(id, _)| Tree::leaf(visible(&name(self.topology, id)).into_owned()))
            .collect();
        if !remote.is_empty() {
            let text = self.paint.of(style::STRONG, "hosts that were not captured").to_string();
            hosts.push(Tree { text, below: remote });
        }
        let logical = self.logical();
        if !logical.is_empty() {
            let text = self.paint.of(style::STRONG, "OVN").to_string();
            hosts.push(Tree { text, below: logical });
        }
        hosts
    }

    /// The networks and routers of OVN with their ports, and where each port is.
    fn logical(&self) -> Vec<Tree> {
        let of_chosen = self.nodes().filter(|(id, _)| {
            self.topology.logical(*id).is_some_and(|logical| {
                matches!(logical.kind, LogicalKind::Switch | LogicalKind::Router)
            })
        });
        let tree = |(id, _): (NodeId, &Node<'_>)| {
            let ports = self.topology.into(id, EdgeKind::LogicalPortOf).into_iter();
            let below = ports.map(|(port, _)| {
                let ends = [EdgeKind::LogicalPeer, EdgeKind::PluggedInto, EdgeKind::BoundTo];
                let to = ends.into_iter().flat_map(|kind| self.topology.out(port, kind));
                let mut names: Vec<String> = to
                    .map(|(end, _)| {
                        let node = self.topology.node(end);
                        let host = node.and_then(|node| self.topology.snapshot.host(node.host?));
                        let on = host.map_or(String::new(), |host| format!(" on {}", host.label()));
                        format!("{}{on}", dossier::logical::title(self.topology, end))
                    })
                    .collect();
                names.dedup();
                let arrow = if names.is_empty() { "" } else { " → " };
                let text = format!("{}{arrow}{}", self.line(port, ""), visible(&names.join(", ")));
                Tree::leaf(text)
            });
            let below = below.collect();
            Tree { text: self.line(id, ""), below }
        };
        of_chosen.map(tree).collect()
    }

    fn vm(&self, id: NodeId, node: &Node<'_>) -> Option<Tree> {
        if !matches!(node.data, NodeData::Vm(_)) {
            return None;
        }
        let nics = self.topology.into(id, EdgeKind::NicOf);
        let below = nics
            .into_iter()
            .filter(|(nic, _)| self.chosen.nodes.contains(nic))
            .map(|(nic, _)| {
                let text = self.line(nic, "");
                if !self.is_start(nic) {
                    return Tree::leaf(text);
                }
                let text = text + &cross_of_start(self.marks, nic, self.paint);
                Tree { text, below: self.path(nic) }
            })
            .collect();
        Some(Tree { text: self.line(id, "VM "), below })
    }

    /// Whether the path from a node is drawn.
    fn is_start(&self, node: NodeId) -> bool {
        self.chosen.starts.as_ref().is_none_or(|starts| starts.contains(&node))
    }

    /// The path down from a node.
    fn path(&self, start: NodeId) -> Vec<Tree> {
        let path = Paths::new(self.network).down(start);
        let wording = |hop: &Hop<'_>, _| {
            let text = self.line(hop.node, "");
            match hop.link {
                Link::Edge(edge) if !confidence_mark(edge.confidence).is_empty() => {
                    format!("{} {text}", confidence_mark(edge.confidence))
                }
                _ => text,
            }
        };
        let mut hops = Hops {
            marks: self.marks,
            paint: self.paint,
            wording: &wording,
            all_marks: false,
            to_switch: self.chosen.starts.is_none(),
            left: HOPS,
        };
        hops.below(start, &path.hops)
    }

    fn namespaces(&self, of_host: &[(NodeId, &Node<'_>)]) -> Vec<Tree> {
        let mut devices: BTreeMap<Option<&Netns>, Vec<Tree>> = BTreeMap::new();
        for &(id, node) in of_host {
            if matches!(node.data, NodeData::Netdev(_)) {
                let mut tree = self.device(id);
                let focused = self.chosen.starts.is_some() && self.is_start(id);
                if focused && is_port_of_namespace(self.network, id) {
                    tree.text.push_str(&cross_of_start(self.marks, id, self.paint));
                    tree.below = self.path(id);
                }
                devices.entry(node.netns.as_ref()).or_default().push(tree);
            }
        }
        let namespaces = of_host.iter().filter(|(_, it)| matches!(it.data, NodeData::Netns(_)));
        let trees = namespaces.map(|&(id, node)| {
            let below = devices.remove(&node.netns.as_ref()).unwrap_or_default();
            Tree { text: self.line(id, "namespace "), below }
        });
        trees.collect()
    }

    /// A device with where it leads, in one line.
    fn device(&self, id: NodeId) -> Tree {
        let topology = self.topology;
        let mut text = self.line(id, "");
        let mut leads = |arrow: &str, all: Vec<(NodeId, &tapline_topology::Edge)>| {
            for (other, edge) in all {
                let mark = confidence_mark(edge.confidence);
                text.push_str(&format!(" {arrow}{mark} {}", visible(&self.where_is(id, other))));
            }
        };
        let device_of = topology.out(id, EdgeKind::DeviceOf);
        if device_of.is_empty() {
            leads("→", topology.out(id, EdgeKind::EnslavedTo));
        }
        leads("→", device_of);
        leads("on", topology.out(id, EdgeKind::StackedOn));
        leads("⇄", topology.peer(id, EdgeKind::VethPeer).into_iter().collect());
        leads("←", topology.into(id, EdgeKind::AttachesVm));
        Tree::leaf(text)
    }

    /// The other end of an edge, with its namespace where that is another.
    fn where_is(&self, from: NodeId, to: NodeId) -> String {
        let netns = |id| self.topology.node(id).and_then(|node| node.netns.clone());
        let called = name(self.topology, to);
        match netns(to) {
            Some(other) if Some(&other) != netns(from).as_ref() => format!("{other}/{called}"),
            _ => called,
        }
    }

    fn ovs_bridge(&self, id: NodeId, node: &Node<'_>) -> Option<Tree> {
        if !matches!(node.data, NodeData::OvsBridge(_)) {
            return None;
        }
        let ports = self.topology.into(id, EdgeKind::OvsPortOf).into_iter();
        let below =
            ports.filter(|(it, _)| self.chosen.nodes.contains(it)).map(|(port, _)| self.port(port));
        Some(Tree { text: self.line(id, ""), below: below.collect() })
    }

    fn port(&self, id: NodeId) -> Tree {
        let topology = self.topology;
        let called = topology.node(id).map_or("", |node| node.name.as_str());
        let mut text = visible(called).into_owned();
        let mut parts: Vec<String> = attributes(topology, id)
            .iter()
            .filter(|attribute| attribute.0 != "bridge")
            .map(attribute_text)
            .collect();
        let interfaces = topology.into(id, EdgeKind::OvsInterfaceOf);
        let mut below = Vec::new();
        for (interface, _) in &interfaces {
            let shown = self.interface(*interface);
            if interfaces.len() == 1 {
                parts.extend(shown);
            } else {
                let called = topology.node(*interface).map_or("", |node| node.name.as_str());
                below.push(Tree::leaf(format!("{} {}", visible(called), shown.join(", "))));
            }
        }
        if !parts.is_empty() {
            text.push_str(&format!(" ({})", parts.join(", ")));
        }
        Tree { text, below }
    }

    /// What an OVS interface is and where it leads.
    fn interface(&self, id: NodeId) -> Vec<String> {
        let topology = self.topology;
        let Some(it) = ovs_interface(topology, id) else { return Vec::new() };
        let mut parts = Vec::new();
        if !it.kind.is_empty() {
            parts.push(visible(&it.kind).into_owned());
        }
        for (device, edge) in topology.into(id, EdgeKind::DeviceOf) {
            let netns = topology.node(device).and_then(|node| node.netns.clone());
            if let Some(netns) = netns.filter(|netns| !netns.is_root()) {
                let mark = confidence_mark(edge.confidence);
                parts.push(format!("in{mark} {}", visible(&netns.to_string())));
            }
        }
        if let Some((peer, _)) = topology.peer(id, EdgeKind::PatchPeer) {
            parts.push(format!("⇄ {}", visible(&name(topology, peer))));
        } else if let Some(peer) = it.option("peer") {
            parts.push(format!("peer {} not found", visible(&peer.value)));
        }
        if let Some(remote) = it.option("remote_ip") {
            parts.push(format!("to {}", visible(&remote.value)));
        }
        if let Some(error) = &it.error {
            let colour = severity_style(tapline_analysis::lint::Severity::Error);
            parts.push(self.paint.of(colour, visible(&error.value)).to_string());
        }
        parts
    }

    /// Name, kind and properties of a node.
    fn line(&self, id: NodeId, prefix: &str) -> String {
        let topology = self.topology;
        let called = visible(&name(topology, id)).into_owned();
        let facts = facts(topology, id);
        // The prefix says what it is.
        let facts = facts.get(usize::from(!prefix.is_empty())..).unwrap_or_default();
        let mut text = format!("{prefix}{}", self.paint.of(style::CODE, called));
        if !facts.is_empty() {
            text.push_str(&format!(" ({})", visible(&facts.join(", "))));
        }
        text
    }
}

fn ovs_interface<'a>(
    topology: &'a Topology<'_>,
    id: NodeId,
) -> Option<&'a tapline_topology::graph::OvsInterface> {
    match &topology.node(id)?.data {
        NodeData::OvsInterface(it) => Some(it),
        _ => None,
    }
}
