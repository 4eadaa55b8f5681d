//! Both ends of veth pairs.
//!
//! Each end claims an index: `@ifN`, `@NAME` of the same namespace, `peer_ifindex`. An index means
//! something only in the namespace of the peer, and equal pairs of indexes are common, so a hint
//! for that namespace decides: `link-netns NAME`, or `link-netnsid N` seen from root. Ids seen
//! from other namespaces have their own numbering and are used by elimination: all ends of one
//! namespace that print one id lead to one namespace.
//!
//! Two ends are joined where each claims the other. A pair that a hint pins is proven; of the rest
//! those without a competitor are joined, in rounds; what is left is ambiguous and gets no edge.
//!
//! iproute2 before 4.0 prints `@NAME` of an unrelated local device for a peer elsewhere, so a
//! name counts as a hint only where that device points back.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tapline_core::Name;
use tapline_core::ids::{IfIndex, Netns};
use tapline_core::records::link::{LowerRef, NetnsRef};

use super::{Texts, host, netdev, stacked};
use crate::coverage::Topic;
use crate::graph::{
    Confidence, Conflict, ConflictKind, EdgeKind, Fact, NetdevKind, NodeData, NodeId, Topology,
    Witness, WitnessClass,
};
use crate::names;

/// Candidates of one end that are looked at; with more it is ambiguous anyway.
const MAX_CANDIDATES: usize = 256;

/// Rounds of elimination. Each round that changes anything joins a pair or learns an id.
const MAX_ROUNDS: usize = 64;

/// Where the other end is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Hint {
    /// In this namespace.
    In(usize),
    /// In the namespace to which the printing one gave this id.
    Id(u32),
    /// In another namespace than this.
    Elsewhere,
    /// In this namespace, if the name is not a misprint.
    Here,
    /// Anywhere.
    Unknown,
}

/// One end.
struct End {
    node: NodeId,
    netns: usize,
    index: Option<IfIndex>,
    /// The index that it claims for its peer.
    claims: Option<IfIndex>,
    hint: Hint,
    /// The node that `@NAME` names.
    named: Option<NodeId>,
    /// The kernel or a driver says that it is a veth.
    sure: bool,
}

/// Namespaces by number: comparing numbers is cheap.
struct Spaces {
    all: Vec<Netns>,
    numbers: BTreeMap<Netns, usize>,
    /// Its devices were all captured.
    complete: Vec<bool>,
}

/// Adds the veth edges of one host.
pub(crate) fn link<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    let mut spaces = Spaces { all: Vec::new(), numbers: BTreeMap::new(), complete: Vec::new() };
    let known: Vec<Netns> = match topology.keys.host(texts.host) {
        Some(keys) => keys.namespaces.keys().cloned().collect(),
        None => return,
    };
    for netns in &known {
        spaces.number(topology, texts, netns);
    }
    let mut solver = Solver::new(topology, texts, spaces);
    solver.solve(topology);
    solver.report(topology, texts);
}

impl Spaces {
    fn number(&mut self, topology: &Topology<'_>, texts: &Texts<'_>, netns: &Netns) -> usize {
        if let Some(&number) = self.numbers.get(netns) {
            return number;
        }
        let number = self.all.len();
        self.all.push(netns.clone());
        self.numbers.insert(netns.clone(), number);
        self.complete.push(topology.coverage.is_complete(texts.host, netns, Topic::Links));
        number
    }

    fn is_root(&self, number: usize) -> bool {
        self.all.get(number).is_some_and(Netns::is_root)
    }
}

struct Solver {
    spaces: Spaces,
    ends: Vec<End>,
    by_node: HashMap<NodeId, usize>,
    /// Ends by own and claimed index.
    by_claim: HashMap<(IfIndex, IfIndex), Vec<usize>>,
    /// Where an id of a namespace leads, as far as pairs have shown.
    learned: HashMap<(usize, u32), usize>,
    pairs: Vec<(usize, usize, Confidence)>,
    peer: HashMap<usize, usize>,
    /// Every namespace that could hold an end was captured.
    all_captured: bool,
}

impl Solver {
    fn new(topology: &Topology<'_>, texts: &Texts<'_>, mut spaces: Spaces) -> Self {
        let mut ends = Vec::new();
        // A list of names that has ids at all has all ids that root ever gave to names.
        let ids = has_ids(topology, texts);
        let devices: Vec<NodeId> = topology.netdevs(texts.host).map(|(id, _, _)| id).collect();
        for id in devices {
            if let Some(end) = end(topology, texts, &mut spaces, ids, id) {
                ends.push(end);
            }
        }
        let mut by_claim: HashMap<(IfIndex, IfIndex), Vec<usize>> = HashMap::new();
        let mut by_node = HashMap::new();
        for (at, end) in ends.iter().enumerate() {
            by_node.insert(end.node, at);
            if let (Some(index), Some(claims)) = (end.index, end.claims) {
                by_claim.entry((index, claims)).or_default().push(at);
            }
        }
        let anonymous = spaces.all.iter().any(|it| matches!(it, Netns::Nameless { .. }));
        let listed = topology.coverage.is_complete(texts.host, &Netns::Root, Topic::NetnsList);
        let all_captured = listed && !anonymous && spaces.complete.iter().all(|complete| *complete);
        Self {
            spaces,
            ends,
            by_node,
            by_claim,
            learned: HashMap::new(),
            pairs: Vec::new(),
            peer: HashMap::new(),
            all_captured,
        }
    }

    fn solve(&mut self, topology: &Topology<'_>) {
        self.by_names();
        for _ in 0..MAX_ROUNDS {
            let before = (self.pairs.len(), self.learned.len());
            self.pinned();
            self.unrivalled(topology);
            if before == (self.pairs.len(), self.learned.len()) {
                break;
            }
        }
    }

    /// Two devices of one namespace that print each other's name.
    fn by_names(&mut self) {
        for a in 0..self.ends.len() {
            let Some(b) = self.ends.get(a).and_then(|it| self.by_node.get(&it.named?)).copied()
            else {
                continue;
            };
            let back = self.ends.get(b).and_then(|it| it.named);
            if a < b && back == self.ends.get(a).map(|it| it.node) {
                self.join(a, b, Confidence::Proven);
            }
        }
    }

    fn join(&mut self, a: usize, b: usize, confidence: Confidence) {
        if a == b || self.peer.contains_key(&a) || self.peer.contains_key(&b) {
            return;
        }
        self.peer.insert(a, b);
        self.peer.insert(b, a);
        self.pairs.push((a.min(b), a.max(b), confidence));
        for (from, to) in [(a, b), (b, a)] {
            let (Some(from), Some(to)) = (self.ends.get(from), self.ends.get(to)) else { continue };
            if let Hint::Id(id) = from.hint {
                self.learned.entry((from.netns, id)).or_insert(to.netns);
            }
        }
    }

    /// Where an end leads, with what was learned.
    fn hint(&self, end: &End) -> Hint {
        match end.hint {
            Hint::Id(id) => match self.learned.get(&(end.netns, id)) {
                Some(netns) => Hint::In(*netns),
                None => Hint::Id(id),
            },
            ref other => other.clone(),
        }
    }

    /// Whether `end` can lead into the namespace of `other`.
    fn allows(&self, end: &End, other: &End) -> bool {
        match self.hint(end) {
            Hint::In(netns) => netns == other.netns,
            Hint::Id(_) | Hint::Elsewhere => end.netns != other.netns,
            // `@NAME` may be a misprint for a device elsewhere.
            Hint::Here | Hint::Unknown => true,
        }
    }

    /// The free ends that claim `at` and that it claims.
    fn candidates(&self, at: usize) -> Vec<usize> {
        let Some(end) = self.ends.get(at) else { return Vec::new() };
        let (Some(index), Some(claims)) = (end.index, end.claims) else { return Vec::new() };
        let Some(all) = self.by_claim.get(&(claims, index)) else { return Vec::new() };
        let free = |it: &&usize| {
            **it != at
                && !self.peer.contains_key(*it)
                && self
                    .ends
                    .get(**it)
                    .is_some_and(|other| self.allows(end, other) && self.allows(other, end))
        };
        all.iter().filter(free).take(MAX_CANDIDATES).copied().collect()
    }

    /// Pairs of which one end says in which namespace the other is: index and namespace are an
    /// identity.
    fn pinned(&mut self) {
        for at in 0..self.ends.len() {
            if self.peer.contains_key(&at) {
                continue;
            }
            let Some(end) = self.ends.get(at) else { continue };
            if !matches!(self.hint(end), Hint::In(_)) {
                continue;
            }
            if let [one] = self.candidates(at).as_slice() {
                let learned = matches!(end.hint, Hint::Id(_));
                let confidence = if learned { Confidence::Inferred } else { Confidence::Proven };
                self.join(at, *one, confidence);
            }
        }
    }

    /// Pairs without a rival on either side; then rivals of which one has the name of a peer.
    fn unrivalled(&mut self, topology: &Topology<'_>) {
        let mut found = Vec::new();
        let mut by_name = Vec::new();
        for at in 0..self.ends.len() {
            if self.peer.contains_key(&at) {
                continue;
            }
            let all = self.candidates(at);
            match all.as_slice() {
                [] => {}
                [one] => {
                    if at < *one && self.candidates(*one).len() == 1 {
                        found.push((at, *one));
                    }
                }
                rivals => {
                    let mut named =
                        rivals.iter().filter(|rival| self.named_pair(topology, at, **rival));
                    if let (Some(one), None) = (named.next(), named.next()) {
                        let back = self.candidates(*one);
                        let backs =
                            back.iter().filter(|back| self.named_pair(topology, *one, **back));
                        if at < *one && backs.count() == 1 {
                            by_name.push((at, *one));
                        }
                    }
                }
            }
        }
        let sure = if self.all_captured { Confidence::Proven } else { Confidence::Inferred };
        if found.is_empty() {
            for (a, b) in by_name {
                self.join(a, b, Confidence::Inferred);
            }
        }
        for (a, b) in found {
            self.join(a, b, sure);
        }
    }

    fn named_pair(&self, topology: &Topology<'_>, a: usize, b: usize) -> bool {
        let name = |at: usize| {
            self.ends.get(at).and_then(|it| topology.node(it.node)).map(|node| node.name.as_str())
        };
        matches!((name(a), name(b)), (Some(a), Some(b)) if names::is_veth_pair(a, b))
    }

    /// Edges for the pairs, and what becomes of the rest.
    fn report<'a>(mut self, topology: &mut Topology<'a>, texts: &Texts<'a>) {
        self.pairs.sort_unstable_by_key(|(a, b, _)| (*a, *b));
        for (a, b, confidence) in std::mem::take(&mut self.pairs) {
            let (Some(one), Some(other)) = (self.ends.get(a), self.ends.get(b)) else { continue };
            let (from, to) = (one.node.min(other.node), one.node.max(other.node));
            let mut witnesses = claims(topology, one.node);
            witnesses.extend(claims(topology, other.node));
            for id in [from, to] {
                if let Some(it) = topology.netdev_mut(id)
                    && it.kind == NetdevKind::Unknown
                {
                    it.kind = NetdevKind::Veth;
                    it.kind_evidence = it.lower.as_ref().map(|lower| lower.evidence);
                }
            }
            topology.connect(from, to, EdgeKind::VethPeer, confidence, witnesses);
        }
        let mut ambiguous: BTreeSet<Vec<NodeId>> = BTreeSet::new();
        for at in 0..self.ends.len() {
            if self.peer.contains_key(&at) {
                continue;
            }
            let candidates = self.candidates(at);
            let Some(end) = self.ends.get(at) else { continue };
            if candidates.is_empty() {
                self.alone(topology, texts, end);
            } else {
                let mut nodes = vec![end.node];
                nodes.extend(
                    candidates.iter().filter_map(|candidate| Some(self.ends.get(*candidate)?.node)),
                );
                nodes.sort_unstable();
                ambiguous.insert(nodes);
            }
        }
        for nodes in ambiguous {
            let witnesses = nodes.iter().flat_map(|node| claims(topology, *node)).collect();
            let kind = ConflictKind::VethAmbiguous;
            topology.conflicts.push(Conflict { kind, nodes, witnesses });
        }
    }

    /// An end that nothing captured answers.
    fn alone<'a>(&self, topology: &mut Topology<'a>, texts: &Texts<'a>, end: &End) {
        if !end.sure {
            return;
        }
        let mut witnesses = claims(topology, end.node);
        let netns = match self.hint(end) {
            Hint::In(netns) => netns,
            // The name of a local device: a stub only where the text was cut.
            Hint::Here => {
                self.here(topology, texts, end, witnesses);
                return;
            }
            // An id of root without a name, where no list tells what it stands for.
            Hint::Id(id) if self.spaces.is_root(end.netns) => {
                let Some(claims) = end.claims else { return };
                stub(topology, texts, end, &Netns::Nameless { nsid: id }, claims, witnesses);
                return;
            }
            Hint::Unknown if names::stays_in_root(&name_of(topology, end.node)) => {
                let root = self.spaces.numbers.get(&Netns::Root).copied();
                match root.filter(|root| self.spaces.complete.get(*root) == Some(&true)) {
                    Some(root) => root,
                    None => return,
                }
            }
            Hint::Id(_) | Hint::Elsewhere | Hint::Unknown => return,
        };
        let (Some(place), Some(claim)) = (self.spaces.all.get(netns).cloned(), end.claims) else {
            return;
        };
        let kind = match topology.find_netdev_by_index(texts.host, &place, claim) {
            // The device with that index is there and says another thing.
            Some(other) if !topology.netdev(other).is_some_and(|device| device.stub) => {
                let more = claims(topology, other);
                let nodes = vec![end.node, other];
                if more.is_empty()
                    && topology.netdev(other).is_some_and(|device| device.kind == NetdevKind::Veth)
                {
                    // It prints no peer at all (old iproute2): nothing speaks against it.
                    let (from, to) = (end.node.min(other), end.node.max(other));
                    topology.connect(from, to, EdgeKind::VethPeer, Confidence::Inferred, witnesses);
                    return;
                }
                witnesses.extend(more);
                if end.index.is_none() {
                    // `ifconfig` prints no index that the other end could speak against.
                    let free = self.by_node.get(&other).filter(|it| !self.peer.contains_key(*it));
                    let far = free.and_then(|free| self.ends.get(*free));
                    if far.is_some_and(|far| self.allows(end, far) && self.allows(far, end)) {
                        let (from, to) = (end.node.min(other), end.node.max(other));
                        let kind = EdgeKind::VethPeer;
                        topology.connect(from, to, kind, Confidence::Inferred, witnesses);
                    }
                    return;
                }
                topology.conflicts.push(Conflict {
                    kind: ConflictKind::VethPeer,
                    nodes,
                    witnesses,
                });
                return;
            }
            _ if self.spaces.complete.get(netns) == Some(&true) => ConflictKind::VethPeerMissing,
            _ => {
                stub(topology, texts, end, &place, claim, witnesses);
                return;
            }
        };
        topology.conflicts.push(Conflict { kind, nodes: vec![end.node], witnesses });
    }

    /// `@NAME` that is not answered.
    fn here<'a>(
        &self,
        topology: &mut Topology<'a>,
        texts: &Texts<'a>,
        end: &End,
        witnesses: Vec<Witness>,
    ) {
        let Some(lower) = topology.netdev(end.node).and_then(|device| device.lower.clone()) else {
            return;
        };
        let LowerRef::Name(name) = lower.value else { return };
        let Some(netns) = topology.node(end.node).and_then(|node| node.netns.clone()) else {
            return;
        };
        let complete = self.spaces.complete.get(end.netns) == Some(&true);
        match end.named {
            None if complete => {
                let (kind, nodes) = (ConflictKind::VethPeerMissing, vec![end.node]);
                topology.conflicts.push(Conflict { kind, nodes, witnesses });
            }
            // The text was cut: the name is all that is known of the other end.
            None => {
                let peer = netdev::ensure(topology, texts, &netns, &name, lower.evidence, true);
                if let Some(it) = topology.netdev_mut(peer) {
                    it.kind = NetdevKind::Veth;
                }
                let (from, to) = (end.node.min(peer), end.node.max(peer));
                topology.connect(from, to, EdgeKind::VethPeer, Confidence::Inferred, witnesses);
            }
            Some(other) => {
                let theirs = claims(topology, other);
                let veth =
                    topology.netdev(other).is_some_and(|device| device.kind == NetdevKind::Veth);
                if veth && theirs.is_empty() {
                    // It prints no peer: nothing speaks against it.
                    let (from, to) = (end.node.min(other), end.node.max(other));
                    topology.connect(from, to, EdgeKind::VethPeer, Confidence::Inferred, witnesses);
                } else if veth
                    && self.by_node.get(&other).is_some_and(|it| self.peer.contains_key(it))
                    && modern(topology, texts)
                {
                    let all = witnesses.into_iter().chain(theirs).collect();
                    let (kind, nodes) = (ConflictKind::VethPeer, vec![end.node, other]);
                    topology.conflicts.push(Conflict { kind, nodes, witnesses: all });
                }
                // Otherwise the name may be a misprint for a device elsewhere.
            }
        }
    }
}

/// Whether the texts come from an iproute2 that knows of other namespaces, and so does not
/// misprint names.
fn modern(topology: &Topology<'_>, texts: &Texts<'_>) -> bool {
    topology.netdevs(texts.host).any(|(_, _, it)| it.lower_netns.is_some())
}

fn name_of(topology: &Topology<'_>, id: NodeId) -> Name {
    topology.node(id).map(|node| node.name.clone()).unwrap_or_default()
}

/// Whether the list of namespaces prints ids.
fn has_ids(topology: &Topology<'_>, texts: &Texts<'_>) -> bool {
    let Some(keys) = topology.keys.host(texts.host) else { return false };
    keys.namespaces.values().any(|it| {
        let node = it.node.and_then(|it| topology.node(it));
        matches!(node.map(|node| &node.data), Some(NodeData::Netns(data)) if data.nsid.is_some())
    })
}

/// A device as a veth end; `None` for other kinds and for devices that claim nothing.
fn end(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
    spaces: &mut Spaces,
    ids: bool,
    id: NodeId,
) -> Option<End> {
    let node = topology.node(id)?;
    let netdev = topology.netdev(id)?;
    let veth = netdev.kind == NetdevKind::Veth;
    // A tap of unknown kind in a namespace may be the end of a pair as well.
    if netdev.stub || !(veth || netdev.kind == NetdevKind::Unknown) {
        return None;
    }
    let netns = node.netns.clone().unwrap_or_default();
    let number = spaces.number(topology, texts, &netns);
    let peer = netdev.peer_ifindex.as_ref().map(|ifindex| ifindex.value);
    let mut named = None;
    let (claims, hint) = match netdev.lower.as_ref().map(|lower| &lower.value) {
        Some(LowerRef::Index(index)) => {
            let hint = match netdev.lower_netns.as_ref().map(|netns| &netns.value) {
                None => Hint::Unknown,
                Some(NetnsRef::Unknown) => Hint::Elsewhere,
                Some(NetnsRef::Name(name)) => {
                    let named = Netns::Named(name.clone());
                    Hint::In(spaces.number(topology, texts, &named))
                }
                Some(NetnsRef::Id(nsid)) if netns.is_root() => {
                    match stacked::by_nsid(topology, texts, *nsid) {
                        Netns::Nameless { .. } if !ids => Hint::Id(*nsid),
                        found => Hint::In(spaces.number(topology, texts, &found)),
                    }
                }
                Some(NetnsRef::Id(nsid)) => Hint::Id(*nsid),
            };
            (Some(*index), hint)
        }
        Some(LowerRef::Name(name)) => {
            named = topology.find_netdev(texts.host, &netns, name);
            let index = named
                .and_then(|named| topology.netdev(named)?.index.as_ref().map(|index| index.value));
            (peer.or(index), Hint::Here)
        }
        Some(LowerRef::None) | None => (peer, Hint::Unknown),
    };
    if claims.is_none() && named.is_none() && !matches!(hint, Hint::Here) {
        return None;
    }
    let index = netdev.index.as_ref().map(|index| index.value);
    let sure = veth || peer.is_some();
    Some(End { node: id, netns: number, index, claims, hint, named, sure })
}

/// What a device says of its peer.
fn claims(topology: &Topology<'_>, id: NodeId) -> Vec<Witness> {
    let Some(netdev) = topology.netdev(id) else { return Vec::new() };
    let mut all = Vec::new();
    let name = name_of(topology, id);
    if let Some(lower) = netdev.lower.as_ref().filter(|lower| lower.value != LowerRef::None) {
        let words = format!("{name}{}", stacked::words(&lower.value));
        all.push(Witness::at(WitnessClass::Kernel, lower.evidence, words));
        if let Some(place) = &netdev.lower_netns {
            let words = match &place.value {
                NetnsRef::Name(name) => format!("link-netns {name}"),
                NetnsRef::Id(id) => format!("link-netnsid {id}"),
                NetnsRef::Unknown => "link-netnsid unknown".to_owned(),
            };
            all.push(Witness::at(WitnessClass::Kernel, place.evidence, words));
        }
    }
    if let Some(peer) = &netdev.peer_ifindex {
        let words = format!("{name}: peer_ifindex {}", peer.value);
        all.push(Witness::at(WitnessClass::Kernel, peer.evidence, words));
    }
    all
}

/// The other end in a namespace that was not captured.
fn stub<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    end: &End,
    netns: &Netns,
    index: IfIndex,
    witnesses: Vec<Witness>,
) {
    let Some(evidence) = witnesses.first().map(|witness| witness.evidence) else { return };
    host::ensure(topology, texts, netns);
    let data = crate::graph::Netdev {
        index: Some(Fact { value: index, evidence }),
        kind: NetdevKind::Veth,
        stub: true,
        ..netdev::empty()
    };
    // It has a name, but not one that anything here tells.
    let peer = netdev::add(topology, texts, netns, Name::default(), data, vec![evidence]);
    if let Some(node) = topology.node_mut(peer) {
        node.name = Name::from(format!("if{index}"));
    }
    topology.connect(
        end.node.min(peer),
        end.node.max(peer),
        EdgeKind::VethPeer,
        Confidence::Proven,
        witnesses,
    );
}
