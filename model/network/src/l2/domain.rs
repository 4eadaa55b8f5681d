//! Domains: ports that reach each other by flooding. A Linux bridge that does not tell VLANs apart
//! is one domain, and each VLAN of an OVS bridge is one.
use petgraph::unionfind::UnionFind;
use std::collections::{BTreeMap, VecDeque};

use tapline_topology::graph::{NetdevKind, OvsInterface};
use tapline_topology::{EdgeKind, NodeId};

use crate::defs::DEAD_VLAN;
use crate::{Answer, Item, Network};

/// So many rings are told apart; a network with more has one fault, not many.
const MOST_RINGS: usize = 50;

/// A Linux bridge, or one VLAN of an OVS bridge (0 is untagged).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Domain {
    /// The bridge.
    pub bridge: NodeId,
    /// The VLAN.
    pub vlan: u16,
}

impl<'a> Network<'a> {
    /// The domain of a device or OVS interface; `None` where it is in none, in several, or commands
    /// disagree.
    pub fn domain(&self, port: NodeId) -> Option<Domain> {
        if self.is_disputed(port) {
            return None;
        }
        if let Some(interface) = self.ovs_interface(port).or_else(|| self.interface_of(port)) {
            return self.ovs_domain(interface);
        }
        let bridge = self.master(port)?;
        let whole = bridge.kind == NetdevKind::Bridge && !self.filters_vlans(bridge);
        whole.then_some(Domain { bridge: bridge.id, vlan: 0 })
    }

    fn ovs_domain(&self, interface: Item<'a, OvsInterface>) -> Option<Domain> {
        let port = self.topology.find_ovs_port(interface.host, &interface.data.port)?;
        let port = self.ovs_port(port)?;
        let bridge = self.topology.find_ovs_bridge(port.host, &port.data.bridge)?;
        let vlan = match port.data.vlan_mode.as_ref().map_or("", |mode| mode.value.as_str()) {
            "" | "access" => port.data.tag.as_ref().map_or(0, |tag| tag.value),
            // Untagged frames of a trunk belong to VLAN 0.
            "trunk" => 0,
            _ => return None,
        };
        (vlan != DEAD_VLAN).then_some(Domain { bridge, vlan })
    }

    /// Whether a bridge floods by itself: no controller programs it, and none has to.
    pub fn is_plain(&self, bridge: NodeId) -> bool {
        self.ovs_bridge(bridge).is_none_or(|bridge| {
            let mode = bridge.fail_mode.as_ref().map_or("", |mode| mode.value.as_str());
            bridge.controllers.is_empty() && mode != "secure"
        })
    }

    /// The domain into which a port floods, if it passes frames and its bridge floods by itself.
    pub fn floods_into(&self, port: NodeId) -> Option<Domain> {
        if matches!(self.forwarding(port), Answer::Known(Some(_))) {
            return None;
        }
        let interface = self.ovs_interface(port).or_else(|| self.interface_of(port));
        // Of several interfaces of a port one sends at a time.
        let bonded = interface.is_some_and(|interface| {
            let port = self.topology.find_ovs_port(interface.host, &interface.data.port);
            port.and_then(|port| self.ovs_port(port)).is_some_and(|port| port.data.interfaces > 1)
        });
        self.domain(port).filter(|domain| !bonded && self.is_plain(domain.bridge))
    }
}

/// A veth or patch between two domains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DomainLink {
    /// Its two ends.
    pub ends: [NodeId; 2],
    /// The domains of the ends.
    pub domains: [Domain; 2],
}

/// Domains and the virtual links between them: a forest of links that close no ring, and those
/// that do.
#[derive(Debug)]
pub struct JoinedDomains {
    at: BTreeMap<Domain, usize>,
    sets: UnionFind<usize>,
    /// Links of the forest, by domain.
    tree: BTreeMap<usize, Vec<(usize, DomainLink)>>,
    closing: Vec<DomainLink>,
}

impl JoinedDomains {
    /// Joins the domains of all hosts by the links that pass frames.
    pub fn new(network: &Network<'_>) -> Self {
        let sets = UnionFind::new_empty();
        let mut all =
            Self { at: BTreeMap::new(), sets, tree: BTreeMap::new(), closing: Vec::new() };
        for (from, edge, to) in network.topology.edges() {
            if !matches!(edge.kind, EdgeKind::VethPeer | EdgeKind::PatchPeer) {
                continue;
            }
            if let (Some(a), Some(b)) = (network.floods_into(from), network.floods_into(to)) {
                all.add(DomainLink { ends: [from, to], domains: [a, b] });
            }
        }
        all
    }

    fn add(&mut self, link: DomainLink) {
        let [a, b] = link.domains.map(|domain| self.index(domain));
        if !self.sets.union(a, b) {
            self.closing.push(link);
            return;
        }
        for (from, to) in [(a, b), (b, a)] {
            self.tree.entry(from).or_default().push((to, link));
        }
    }

    fn index(&mut self, domain: Domain) -> usize {
        *self.at.entry(domain).or_insert_with(|| self.sets.new_set())
    }

    /// What a domain is joined with: equal for two that are.
    pub fn group(&mut self, domain: Domain) -> usize {
        let at = self.index(domain);
        self.sets.find_mut(at)
    }

    /// The rings: each link that closes one, with the path back through the forest.
    pub fn rings(&self) -> Vec<Vec<DomainLink>> {
        self.closing.iter().take(MOST_RINGS).map(|link| self.ring(*link)).collect()
    }

    fn ring(&self, closing: DomainLink) -> Vec<DomainLink> {
        let [Some(&start), Some(&goal)] = closing.domains.map(|domain| self.at.get(&domain)) else {
            return vec![closing];
        };
        let mut came: BTreeMap<usize, (usize, DomainLink)> = BTreeMap::new();
        let mut open = VecDeque::from([start]);
        while let Some(at) = open.pop_front() {
            if at == goal {
                break;
            }
            for &(next, link) in self.tree.get(&at).into_iter().flatten() {
                if next != start && !came.contains_key(&next) {
                    came.insert(next, (at, link));
                    open.push_back(next);
                }
            }
        }
        let mut ring = vec![closing];
        let mut at = goal;
        while let Some(&(before, link)) = came.get(&at).filter(|_| at != start) {
            ring.push(link);
            at = before;
        }
        ring
    }
}
