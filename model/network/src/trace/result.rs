//! What a trace says in the end: the way that decides, how sure it is, and the other ways.
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;

use crate::flow;
use crate::truth::Truth;

use super::meant::{Meant, told_end};
use super::{
    Certainty, Changed, Connection, End, Goal, Hop, Kind, Nearest, Next, Outcome, Packet, Part,
    Place, Query, Reason, Tracer, Tree, Walk,
};

/// Branches that are kept.
const MOST_BRANCHES: usize = 256;

/// The answer to a question.
#[derive(Clone, PartialEq, Debug)]
pub struct Trace {
    /// What becomes of the packet.
    pub verdict: Verdict,
    /// The hops of the way that decides.
    pub hops: Vec<Arc<Hop>>,
    /// Every place where a copy ends.
    pub ends: Vec<End>,
    /// The other ways.
    pub branches: Vec<Branch>,
    /// The end of the way that decides.
    pub end: Option<End>,
    /// Translations that the packet makes on its way.
    pub connections: Vec<Connection>,
    /// Connections that flows commit for it, by host.
    pub committed: BTreeMap<HostId, Arc<Vec<flow::Committed>>>,
    /// Namespaces that were asked by ARP on its way, each with the address that it has heard of so.
    pub heard: Vec<(HostId, Netns, IpAddr)>,
    /// The rules and policies of packet filters whose counters its copies move, surely or maybe.
    pub met: Vec<(Evidence, Truth)>,
    /// The whole tree.
    pub tree: Tree,
}

/// What becomes of a packet, and how sure that is.
#[derive(Clone, PartialEq, Debug)]
pub struct Verdict {
    /// What becomes of it.
    pub outcome: Outcome,
    /// Whether it got where it was to go; `None` where that is not known.
    pub reached: Option<bool>,
    /// Why it did not, or why that is not known.
    pub reason: Option<Reason>,
    /// In words.
    pub text: String,
    /// Where.
    pub place: Place,
    /// How sure.
    pub certainty: Certainty,
    /// The hop that makes it no surer, counted from 1.
    pub weakest: Option<usize>,
    /// The smallest MTU, and the hops that have it, counted from 1.
    pub mtu: Option<(u32, Vec<usize>)>,
    /// What was taken for granted, with its hop.
    pub assumptions: Vec<(usize, String)>,
    /// What would settle it.
    pub next: Vec<Next>,
    /// The lines that decide.
    pub evidence: Vec<Evidence>,
    /// What would have passed instead, where it is stopped.
    pub nearest: Option<Nearest>,
}

/// Another way.
#[derive(Clone, PartialEq, Debug)]
pub struct Branch {
    /// The hop of the main way that it leaves from; 0 for before the first.
    pub from_hop: usize,
    /// What tells it from the main way.
    pub guard: String,
    /// Its end.
    pub end: End,
    /// Its own hops.
    pub hops: Vec<Arc<Hop>>,
}

impl Trace {
    /// Reads a finished walk.
    pub(super) fn of(tracer: &Tracer<'_, '_>, query: &Query, walk: Walk<'_, '_, '_>) -> Self {
        let children = walk.tree.children();
        let fates = walk.tree.fates(&children);
        let fate = fates.first().copied().unwrap_or(Truth::Maybe);
        let (main, end) = if fate == Truth::No {
            let meant = Meant::new(tracer, query);
            let mut main = walk.tree.main(&children, &fates, &|end| meant.near(end) as u32);
            let end = told_end(&meant, &walk, &mut main);
            (main, end)
        } else {
            let meant = (fate == Truth::Maybe).then(|| Meant::new(tracer, query));
            let near = |end: &End| meant.as_ref().map_or(0, |meant| meant.near(end) as u32);
            let main = walk.tree.main(&children, &fates, &near);
            let end = main.last().and_then(|at| match &walk.tree.nodes.get(*at)?.part {
                Part::End(end) => Some((**end).clone()),
                _ => None,
            });
            (main, end)
        };
        let tree = walk.tree;
        let hops = hops_of(&tree, &main);
        let ends: Vec<End> = tree
            .nodes
            .iter()
            .filter_map(|node| match &node.part {
                Part::End(end) if !end.hypothetical => Some((**end).clone()),
                _ => None,
            })
            .collect();
        let goal = query.to.clone().unwrap_or(Goal::Anywhere);
        let verdict = verdict(&tree, &main, fate, &hops, end.as_ref(), &goal, &ends);
        let branches = branches(&tree, &main);
        Self {
            verdict,
            hops,
            ends,
            branches,
            end,
            connections: walk.made,
            committed: walk
                .made_by_flows
                .into_iter()
                .map(|(host, made)| (host, Arc::new(made)))
                .collect(),
            heard: walk.heard,
            met: walk.met,
            tree,
        }
    }
}

fn hops_of(tree: &Tree, way: &[usize]) -> Vec<Arc<Hop>> {
    let all = way.iter().filter_map(|at| tree.nodes.get(*at));
    all.filter_map(|node| match &node.part {
        Part::Hop(hop) => Some(Arc::clone(hop)),
        _ => None,
    })
    .collect()
}

fn verdict(
    tree: &Tree,
    main: &[usize],
    fate: Truth,
    hops: &[Arc<Hop>],
    end: Option<&End>,
    goal: &Goal,
    ends: &[End],
) -> Verdict {
    let reached = match fate {
        Truth::Yes => Some(true),
        Truth::No => Some(false),
        Truth::Maybe => None,
    };
    // The fork that leaves it open, where the way itself arrives.
    let doubts: Vec<_> = main
        .iter()
        .filter_map(|at| match &tree.nodes.get(*at)?.part {
            Part::One(doubt) => Some(doubt),
            _ => None,
        })
        .collect();
    let mut next: Vec<Next> = Vec::new();
    let (mut outcome, mut reason, mut text, mut place) =
        (Outcome::Unknown, None, String::new(), Place::default());
    let mut evidence = Vec::new();
    if let Some(end) = end {
        (outcome, reason) = (end.outcome, end.reason);
        (text, place) = (end.text.clone(), end.place.clone());
        evidence.clone_from(&end.evidence);
        next.extend(end.next.iter().cloned());
        let settled = end.reached == fate && doubts.is_empty();
        if fate == Truth::Maybe && !settled {
            outcome = Outcome::Unknown;
            if let Some(doubt) = doubts.first() {
                reason = Some(doubt.reason);
                text.clone_from(&doubt.text);
                place = doubt.place.clone();
                evidence.clone_from(&doubt.evidence);
                next.clear();
            }
        }
    }
    if fate == Truth::Maybe {
        for doubt in &doubts {
            next.extend(doubt.next.iter().cloned());
        }
    }
    let to_all = end.is_some_and(|end| end.packet.is_multicast() == Some(true));
    let beyond = fate == Truth::Maybe && outcome == Outcome::LeavesCapture && to_all;
    if ends.len() > 1 && (*goal == Goal::Broadcast || beyond) {
        outcome = Outcome::Flooded;
    }
    let circles = ends.iter().find(|end| end.outcome == Outcome::Loops);
    if let Some(end) = circles.filter(|_| *goal == Goal::Broadcast) {
        (outcome, reason, place) = (Outcome::Loops, None, end.place.clone());
        text.clone_from(&end.text);
    }
    if fate == Truth::No && outcome == Outcome::Delivered {
        // It arrived, but not where it was to go.
        outcome = Outcome::Blackholed;
        reason = Some(Reason::AddressNotOwned);
        "others received it, and nobody that was meant".clone_into(&mut text);
    }
    let lost = end.filter(|end| fate == Truth::No && end.packet.unresolved.is_some());
    if let Some(asked) = lost.and_then(|end| end.packet.unresolved) {
        // Nobody that ARP may reach has the address: the packet itself is never sent.
        let hop = hops.iter().rev().find(|hop| {
            hop.kind == Kind::Neighbour || hop.kind == Kind::Guest && hop.input.is_none()
        });
        if hop.is_none() && goal_is_address(goal, asked) {
            outcome = Outcome::Blackholed;
            reason = Some(Reason::AddressNotOwned);
            place = hops.first().map_or(place, |hop| hop.place.clone());
            evidence.clear();
            text = format!("nobody answers ARP for {asked} outside");
        }
        // Where the copy that came nearest is lost at something that carries nothing, that is why.
        let is_cut = matches!(
            reason,
            Some(
                Reason::IfNoCarrier
                    | Reason::IfAdminDown
                    | Reason::PatchPeerMissing
                    | Reason::OfOutputNonexistent
            )
        );
        let own = hop.is_some_and(|hop| hop.kind == Kind::Neighbour);
        if is_cut && hop.is_some() {
            outcome = if own { Outcome::Rejected } else { Outcome::Blackholed };
            text = format!("ARP for {asked} does not arrive: {text}");
        } else if let Some(hop) = hop {
            outcome = if own { Outcome::Rejected } else { Outcome::Blackholed };
            reason = Some(Reason::AddressNotOwned);
            text = format!("ARP for {asked} reaches nobody who has it");
            place = hop.place.clone();
            // Of what is not there no line tells: the one that sends the packet to it does.
            let sent = hops.iter().rev().skip_while(|other| !Arc::ptr_eq(other, hop));
            let cited = sent.map(|hop| &hop.evidence).find(|lines| !lines.is_empty());
            evidence = cited.cloned().unwrap_or_default();
        }
    }
    // Where it goes to another MAC than that of who has the address, that is why nobody takes it.
    let strays = matches!(
        reason,
        Some(
            Reason::GuestIgnores
                | Reason::NotLocalNoForward
                | Reason::L2DeadEnd
                | Reason::AddressNotOwned
                | Reason::FdbPointsBack
        )
    );
    let wrong = hops.iter().rev().find_map(|hop| Some((hop, hop.details.wrong_neighbour?)));
    if let Some((hop, at)) = wrong.filter(|_| fate == Truth::No && strays) {
        outcome = Outcome::Blackholed;
        reason = Some(Reason::NeighWrong);
        Reason::NeighWrong.text().clone_into(&mut text);
        place = hop.place.clone();
        evidence = vec![at];
    }
    if fate == Truth::Maybe && reason.is_none() {
        reason = Some(Reason::NotCaptured);
        if outcome == Outcome::Delivered {
            outcome = Outcome::Unknown;
            "nothing captured tells whether anybody listens".clone_into(&mut text);
        }
    }
    if fate == Truth::Yes {
        reason = None;
        next.extend(end.and_then(|end| settles_neighbour(hops, end)));
    }
    next.dedup();
    let mut certainty = Certainty::Proven;
    let mut weakest = None;
    let mut assumptions = Vec::new();
    for (at, hop) in hops.iter().enumerate() {
        if let Some(assumed) = &hop.assumed {
            assumptions.push((at + 1, assumed.clone()));
        }
        // What a guest does is never known; it is among the assumptions.
        let counts = hop.kind != Kind::Guest || hop.details.is_guess;
        if counts && hop.certainty < certainty {
            (certainty, weakest) = (hop.certainty, Some(at + 1));
        }
    }
    if let Some(end) = end.filter(|end| end.certainty < certainty) {
        (certainty, weakest) = (end.certainty, Some(hops.len()));
    }
    if fate == Truth::Maybe && certainty == Certainty::Proven {
        certainty = Certainty::Inferred;
        weakest = Some(hops.len());
    }
    Verdict {
        outcome,
        reached,
        reason,
        text,
        place,
        certainty,
        weakest: weakest.filter(|at| *at > 0),
        mtu: mtu(hops),
        assumptions,
        next,
        evidence,
        nearest: hops
            .last()
            .filter(|_| fate == Truth::No)
            .and_then(|hop| hop.details.nearest.clone()),
    }
}

/// Whether a packet was put in for an address that nobody answers ARP for.
fn goal_is_address(goal: &Goal, asked: IpAddr) -> bool {
    !matches!(goal, Goal::Address { ip, .. } if *ip != asked)
}

/// What would show whether a next hop outside answers, of which nobody captured knows the MAC.
fn settles_neighbour(hops: &[Arc<Hop>], end: &End) -> Option<Next> {
    let asked = end.packet.unresolved?;
    let device = end.place.device.as_ref()?;
    let asks = |hop: &Arc<Hop>| matches!(hop.kind, Kind::Neighbour | Kind::Guest);
    let at = hops.iter().rposition(asks)?;
    let filter = if asked.is_ipv4() { "arp" } else { "icmp6" };
    let need = Need::command("tcpdump -eni")
        .with(device)
        .with(filter)
        .with("and")
        .with("host")
        .with(&asked.to_string());
    Some(Next { text: format!("decides hop {}", at + 1), host: end.place.host, need })
}

/// The smallest MTU of a way; below a tunnel that of its device counts, less its headers.
fn mtu(hops: &[Arc<Hop>]) -> Option<(u32, Vec<usize>)> {
    let mut inside = false;
    let mut limits = Vec::new();
    for (at, hop) in hops.iter().enumerate() {
        if hop.kind == Kind::Tunnel {
            inside = !inside;
            limits.extend(hop.mtu.map(|mtu| (mtu, at + 1)));
            continue;
        }
        if !inside {
            limits.extend(hop.mtu.map(|mtu| (mtu, at + 1)));
        }
    }
    let least = limits.iter().map(|(mtu, _)| *mtu).min()?;
    Some((least, limits.into_iter().filter(|(mtu, _)| *mtu == least).map(|(_, at)| at).collect()))
}

fn branches(tree: &Tree, main: &[usize]) -> Vec<Branch> {
    let mut all = Vec::new();
    let on_main: std::collections::BTreeSet<usize> = main.iter().copied().collect();
    for (at, node) in tree.nodes.iter().enumerate() {
        let Part::End(end) = &node.part else { continue };
        if on_main.contains(&at) || all.len() >= MOST_BRANCHES {
            continue;
        }
        let mut way = vec![at];
        let mut up = at;
        while let Some(node) = tree.nodes.get(up) {
            if on_main.contains(&node.parent) || node.parent == up {
                break;
            }
            up = node.parent;
            way.push(up);
        }
        way.reverse();
        let joint = tree.nodes.get(up).map_or(0, |node| node.parent);
        let before = main.iter().take_while(|main| **main <= joint);
        let from_hop = before
            .filter(|at| tree.nodes.get(**at).is_some_and(|node| matches!(node.part, Part::Hop(_))))
            .count();
        let mut guards: Vec<&str> =
            way.iter().filter_map(|at| tree.nodes.get(*at)?.guard.as_deref()).collect();
        if guards.is_empty() {
            // It goes on where the main way is told no further.
            let before = main.iter().rev().skip_while(|at| **at > joint);
            guards.extend(before.filter_map(|at| tree.nodes.get(*at)?.guard.as_deref()).take(1));
        }
        all.push(Branch {
            from_hop,
            guard: guards.join("; "),
            end: (**end).clone(),
            hops: hops_of(tree, &way),
        });
    }
    all
}

/// The fields that a hop has changed.
pub(super) fn changes(before: &Packet, after: &Packet) -> Vec<Changed> {
    if before.inner.is_some() != after.inner.is_some() {
        return Vec::new();
    }
    let mut all = Vec::new();
    let mut note = |field: &'static str, old: Option<String>, new: Option<String>| {
        if old != new {
            all.push(Changed { field, before: old, after: new });
        }
    };
    let shown = |value: Option<IpAddr>| value.map(|ip| ip.to_string());
    let mac = |packet: &Packet, source: bool| {
        let mac = if source { packet.mac_source() } else { packet.mac_destination() };
        let open = !source && packet.unresolved.is_some();
        mac.filter(|_| !open).map(|mac| mac.to_string())
    };
    note("dl_src", mac(before, true), mac(after, true));
    note("dl_dst", mac(before, false), mac(after, false));
    let vlans = |packet: &Packet| {
        let list = packet.vlans()?;
        Some(list.iter().map(u16::to_string).collect::<Vec<_>>().join(","))
    };
    note("vlan", vlans(before), vlans(after));
    note("nw_src", shown(before.source()), shown(after.source()));
    note("nw_dst", shown(before.destination()), shown(after.destination()));
    let port = |port: Option<u16>| port.map(|port| port.to_string());
    note("tp_src", port(before.source_port()), port(after.source_port()));
    note("tp_dst", port(before.destination_port()), port(after.destination_port()));
    note("nw_ttl", before.ttl().map(|ttl| ttl.to_string()), after.ttl().map(|ttl| ttl.to_string()));
    let mark = |packet: &Packet| {
        let mark = packet.mark();
        (mark.known == u32::MAX).then(|| format!("{:#x}", mark.value))
    };
    note("mark", mark(before), mark(after));
    let tunnel =
        |packet: &Packet| packet.frame.known(OfField::TunId.whole()).map(|key| format!("{key:#x}"));
    note("tun_id", tunnel(before), tunnel(after));
    all
}

impl Place {
    /// In a few words: `br-int/qvo…`, `qrouter-…/qr-…`.
    pub fn words(&self) -> String {
        let name = |name: &Option<Name>| name.as_ref().map(Name::to_string);
        let own = match (&self.bridge, &self.port) {
            (Some(bridge), Some(port)) => Some(format!("{bridge}/{port}")),
            (Some(bridge), None) if self.controller => Some(format!("{bridge}/controller")),
            (Some(bridge), None) => Some(bridge.to_string()),
            (None, _) => name(&self.device),
        };
        let netns = self.netns.as_ref().filter(|netns| !netns.is_root()).map(ToString::to_string);
        [netns, own].into_iter().flatten().collect::<Vec<_>>().join("/")
    }
}
