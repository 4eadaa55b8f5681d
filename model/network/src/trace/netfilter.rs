//! The packet filter of a namespace, hook by hook and table by table, and the translations of
//! connections.
use std::collections::BTreeMap;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::filter::{Addresses, ConnStates, Target, Translation};
use tapline_core::records::netfilter::NetfilterTable;
use tapline_core::records::nft::NftTable;
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::Netdev;
use tapline_topology::{NodeId, Topic};

use crate::filter::{self, BaseChain, Device, Judgement};
use crate::truth::Truth;
use crate::{Item, Network};

use super::packet::ip_number;
use super::{
    At, Certainty, Connection, Doubt, End, Hop, Kind, Outcome, Packet, Place, Reason, Tuple, Walk,
    Way,
};

/// Where a packet is in the stack of a namespace.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pass {
    pub(super) host: HostId,
    pub(super) netns: Netns,
    /// The device that it came in by; `None` for what the namespace made itself.
    pub(super) input: Option<NodeId>,
    /// The port of a bridge that it came in by.
    pub(super) port: Option<NodeId>,
    /// The device that it goes out by, and the gateway.
    pub(super) output: Option<(NodeId, Option<IpAddr>)>,
    /// It goes through a bridge, not through the stack.
    pub(super) bridged: Option<Bridged>,
    pub(super) stage: Stage,
    /// Tables of the hook that it has passed.
    pub(super) table: usize,
    /// The ends of the packet as it came in.
    pub(super) entry: Option<Tuple>,
    /// It was said that the packet filter was not captured.
    pub(super) doubted: bool,
    /// It was routed again after its destination was translated.
    pub(super) rerouted: bool,
    /// The first packet of its connection was followed here.
    pub(super) known: bool,
}

/// A frame on its way through a Linux bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Bridged {
    pub(super) bridge: NodeId,
    pub(super) from: NodeId,
    pub(super) to: Option<NodeId>,
    pub(super) vlan: u16,
    /// It is known that the filter sees such frames.
    pub(super) sure: bool,
}

/// The stages of the stack.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stage {
    Prerouting,
    Route,
    Input,
    Local,
    Forward,
    Output,
    Postrouting,
    Neighbour,
}

impl Stage {
    /// The hook and its tables in their order.
    fn hook(self) -> Option<(&'static str, &'static [&'static str])> {
        Some(match self {
            Self::Prerouting => ("PREROUTING", &["raw", "mangle", "nat"]),
            Self::Input => ("INPUT", &["mangle", "filter", "nat"]),
            Self::Forward => ("FORWARD", &["mangle", "filter"]),
            Self::Output => ("OUTPUT", &["raw", "mangle", "nat", "filter"]),
            Self::Postrouting => ("POSTROUTING", &["mangle", "nat"]),
            Self::Route | Self::Local | Self::Neighbour => return None,
        })
    }
}

impl Pass {
    fn new(host: HostId, netns: &Netns, stage: Stage) -> Self {
        Self {
            host,
            netns: netns.clone(),
            input: None,
            port: None,
            output: None,
            bridged: None,
            stage,
            table: 0,
            entry: None,
            doubted: false,
            rerouted: false,
            known: false,
        }
    }

    /// A packet for a device of the namespace.
    pub(super) fn arriving(device: Item<'_, Netdev<'_>>, port: Option<NodeId>) -> Self {
        let new = Self::new(device.host, device.netns(), Stage::Prerouting);
        Self { input: Some(device.id), port, ..new }
    }

    /// A packet that the namespace makes.
    pub(super) fn own(host: HostId, netns: &Netns) -> Self {
        Self::new(host, netns, Stage::Route)
    }

    /// A frame that a bridge passes on.
    pub(super) fn bridged(bridge: Item<'_, Netdev<'_>>, bridged: Bridged) -> Self {
        let stage = if bridged.to.is_some() { Stage::Forward } else { Stage::Prerouting };
        let new = Self::new(bridge.host, bridge.netns(), stage);
        let input = Some(bridge.id);
        Self { input, port: Some(bridged.from), bridged: Some(bridged), ..new }
    }

    pub(super) fn at(mut self, stage: Stage) -> Self {
        (self.stage, self.table) = (stage, 0);
        self
    }
}

/// A table of `iptables` or a chain of `nft` that a hook asks.
struct Step<'a> {
    asked: Asked<'a>,
    /// The table, or `nft`.
    name: &'static str,
    /// It translates: only the first packet of a connection is shown to it.
    nat: bool,
    priority: i64,
}

enum Asked<'a> {
    Table(SourceId, &'a NetfilterTable),
    Chain(SourceId, BaseChain<'a>),
}

/// When a table of `iptables` is asked (`enum nf_ip_hook_priorities` of the kernel).
fn priority(table: &str, hook: &str) -> i64 {
    match table {
        "raw" => -300,
        "mangle" => -150,
        "nat" if matches!(hook, "PREROUTING" | "OUTPUT") => -100,
        "nat" => 100,
        _ => 0,
    }
}

/// The packet filters of all namespaces.
#[derive(Debug, Default)]
pub(super) struct Tables<'a> {
    iptables: BTreeMap<(HostId, &'a Netns, Family, &'a str), (SourceId, &'a NetfilterTable)>,
    nft: BTreeMap<(HostId, &'a Netns), (SourceId, &'a [NftTable])>,
}

impl<'a> Tables<'a> {
    pub(super) fn new(network: &Network<'a>) -> Self {
        let mut all = Self::default();
        for (source, tables) in network.netfilter_texts() {
            for table in tables.iter().filter(|table| table.committed) {
                let six = source.command.program().starts_with("ip6");
                let by_command = if six { Family::Inet6 } else { Family::Inet };
                let family = table.family.unwrap_or(by_command);
                let key = (source.host, &source.netns, family, table.table.value.as_str());
                let new = (source.id, table);
                all.iptables
                    .entry(key)
                    .and_modify(|known| {
                        if known.1.listing && !table.listing {
                            *known = new;
                        }
                    })
                    .or_insert(new);
            }
        }
        for (source, tables) in network.nft_texts() {
            let whole = network.topology.snapshot.completeness(source.id).is_complete();
            let asked = source.command.args().iter().any(|word| word == "ruleset");
            if whole && asked {
                all.nft.entry((source.host, &source.netns)).or_insert((source.id, tables));
            }
        }
        all
    }

    fn table(
        &self,
        pass: &Pass,
        family: Family,
        name: &str,
    ) -> Option<(SourceId, &'a NetfilterTable)> {
        self.iptables.get(&(pass.host, &pass.netns, family, name)).copied()
    }

    /// What a hook asks, in the order in which the kernel does.
    fn steps(
        &self,
        pass: &Pass,
        family: Family,
        hook: &str,
        names: &'static [&'static str],
    ) -> Vec<Step<'a>> {
        let mut all: Vec<Step<'_>> = names
            .iter()
            .filter_map(|name| {
                let (source, table) = self.table(pass, family, name)?;
                let asked = Asked::Table(source, table);
                Some(Step { asked, name, nat: *name == "nat", priority: priority(name, hook) })
            })
            .collect();
        let Some(&(source, nft)) = self.nft.get(&(pass.host, &pass.netns)) else { return all };
        let lower = hook.to_ascii_lowercase();
        for base in filter::base_chains(nft, family, &lower) {
            // What `iptables` made is printed by it as well.
            let printed = self.table(pass, family, &base.table.name.value);
            let again = printed.is_some_and(|(_, table)| {
                table.chains.iter().any(|chain| chain.name == base.chain.name.value)
            });
            if again && base.table.family != "inet" {
                continue;
            }
            let nat = base.kind == "nat";
            // Chains that translate are asked where the kernel translates, whatever they say.
            let priority = if nat { priority("nat", hook) } else { base.priority };
            all.push(Step { asked: Asked::Chain(source, base), name: "nft", nat, priority });
        }
        all.sort_by_key(|step| step.priority);
        all
    }

    /// Every translation of a destination: from what, to what, and where it says so.
    pub(super) fn destinations(
        &self,
    ) -> impl Iterator<Item = (HostId, &'a Netns, IpAddr, IpAddr, Evidence)> + '_ {
        self.iptables.iter().filter(|(key, _)| key.3 == "nat").flat_map(|(key, (source, table))| {
            let (host, netns) = (key.0, key.1);
            table.rules.iter().filter_map(move |rule| {
                let Some(Target::Dnat(to)) = &rule.action else { return None };
                let from = rule.conditions.iter().find_map(|condition| match &condition.test {
                    tapline_core::records::filter::Test::Destination(all) if !condition.not => {
                        all.first()?.single()
                    }
                    _ => None,
                })?;
                let at = Evidence { source: *source, span: rule.at };
                Some((host, netns, from, to.address?, at))
            })
        })
    }

    /// Every pair of address and MAC that a rule lets a guest send with.
    pub(super) fn guest_addresses(
        &self,
    ) -> impl Iterator<Item = (HostId, tapline_core::ids::Mac, IpAddr, Evidence)> + '_ {
        self.iptables.iter().filter(|(key, _)| key.3 == "filter").flat_map(
            |(key, (source, table))| {
                let host = key.0;
                table.rules.iter().filter_map(move |rule| {
                    use tapline_core::records::filter::Test;
                    let mut mac = None;
                    let mut ip = None;
                    for condition in rule.conditions.iter().filter(|condition| !condition.not) {
                        match &condition.test {
                            Test::MacSource(all) => mac = all.first().copied(),
                            Test::Source(all) => {
                                ip = all.first().and_then(Addresses::single);
                            }
                            _ => {}
                        }
                    }
                    let at = Evidence { source: *source, span: rule.at };
                    Some((host, mac?, ip?, at))
                })
            },
        )
    }
}

impl Walk<'_, '_, '_> {
    /// One step in the stack of a namespace.
    pub(super) fn stack(&mut self, way: Way, pass: Pass) {
        match pass.stage {
            Stage::Route => self.route(way, pass),
            Stage::Local => self.local(way, pass),
            Stage::Neighbour => self.neighbour(way, pass),
            Stage::Prerouting if Self::is_arp(&way.packet) && pass.bridged.is_none() => {
                self.arp(way, pass);
            }
            stage => match stage.hook() {
                Some((hook, tables)) => self.filter(way, pass, hook, tables),
                None => self.route(way, pass),
            },
        }
    }

    /// Passes one table of a hook.
    fn filter(
        &mut self,
        mut way: Way,
        mut pass: Pass,
        hook: &'static str,
        tables: &'static [&'static str],
    ) {
        let family = way.packet.family();
        if pass.entry.is_none() {
            pass.entry = Some(Tuple::of(&way.packet));
            if let Some(one) = self.known_connection(&way.packet, &pass) {
                way.packet.conn_mark = one.mark;
                way.packet.translated = one.translated();
                pass.known = true;
            }
        }
        if pass.table == 0 && !pass.doubted && !self.is_filter_known(&pass, family) {
            pass.doubted = true;
            let place = Place {
                host: Some(pass.host),
                netns: Some(pass.netns.clone()),
                ..Place::default()
            };
            let needs = self.network.missing(pass.host, &pass.netns, &[Topic::Netfilter]);
            self.may_stop(&mut way, place, Reason::NotCaptured, needs);
        }
        let steps = self.tracer.tables().steps(&pass, family, hook, tables);
        while let Some(step) = steps.get(pass.table) {
            pass.table += 1;
            if step.nat && !self.translates(&mut way, &pass) {
                continue;
            }
            let seen = self.seen(&way.packet, &pass);
            let judgement = match step.asked {
                Asked::Table(source, table) => filter::evaluate(source, table, hook, &seen),
                Asked::Chain(source, chain) => chain.evaluate(source, &seen),
            };
            let Some(judgement) = judgement else { continue };
            // Of a known connection, only the first packet was shown to the rules that translate.
            if !(step.nat && way.packet.established) {
                self.met.extend(judgement.met.iter().copied());
            }
            let waits = self.judge(&mut way, &pass, (hook, step.name), judgement);
            if waits {
                return;
            }
        }
        self.behind(way, pass);
    }

    /// The stage behind a hook.
    fn behind(&mut self, way: Way, pass: Pass) {
        if matches!(pass.stage, Stage::Postrouting | Stage::Input) {
            self.remember(&way.packet, &pass);
        }
        if let Some(bridged) = pass.bridged {
            match (pass.stage, bridged.to) {
                (Stage::Prerouting, _) => {
                    if let Some(bridge) = self.device(bridged.bridge) {
                        let sees = Some(bridged.sure);
                        self.forward_on_bridge(way, bridge, Some(bridged.from), bridged.vlan, sees);
                    }
                }
                (Stage::Forward, _) => self.go(way, At::Stack(pass.at(Stage::Postrouting))),
                (_, Some(to)) => self.go(way, At::Send(to)),
                (_, None) => {}
            }
            return;
        }
        let next = match pass.stage {
            Stage::Prerouting => Stage::Route,
            Stage::Input => Stage::Local,
            Stage::Forward => Stage::Postrouting,
            Stage::Output if way.packet.translated.any_of(ConnStates::DNAT) && !pass.rerouted => {
                let again = Pass { rerouted: true, output: None, ..pass };
                self.go(way, At::Stack(again.at(Stage::Route)));
                return;
            }
            Stage::Output => Stage::Postrouting,
            _ => Stage::Neighbour,
        };
        self.go(way, At::Stack(pass.at(next)));
    }

    /// Whether all that filters packets in a namespace was captured.
    fn is_filter_known(&self, pass: &Pass, family: Family) -> bool {
        let network = self.network;
        if self.tracer.tables().nft.contains_key(&(pass.host, &pass.netns)) {
            return true;
        }
        let tables = self.tracer.tables();
        let listed = ["raw", "mangle", "nat", "filter"]
            .iter()
            .all(|name| tables.table(pass, family, name).is_some());
        if listed {
            return true;
        }
        match family {
            Family::Inet => network.complete(pass.host, &pass.netns, Topic::Netfilter),
            Family::Inet6 => tables
                .iptables
                .keys()
                .any(|key| key.0 == pass.host && *key.1 == pass.netns && key.2 == family),
        }
    }

    /// The packet as the filter sees it here.
    fn seen(&self, packet: &Packet, pass: &Pass) -> filter::Packet {
        let mut seen = packet.filtered();
        let device = |node: Option<NodeId>| match node {
            Some(node) => Device::Known(self.name(node)),
            None => Device::None,
        };
        seen.in_device = match pass.stage {
            // Newer kernels remember the device in POSTROUTING, older ones do not.
            Stage::Postrouting if pass.input.is_some() => Device::Unknown,
            _ => device(pass.input),
        };
        seen.out_device = device(pass.output.map(|output| output.0));
        seen.in_port = device(pass.port);
        seen.out_port = Device::None;
        if let Some(bridged) = pass.bridged {
            seen.out_port = device(bridged.to);
            seen.out_device = device(bridged.to.map(|_| bridged.bridge));
        }
        if packet.established && !pass.known {
            // What became of the first packet tells, and that was not followed.
            seen.translated = None;
        }
        let local = packet.destination().map(|ip| self.owns(pass.host, &pass.netns, ip).is_some());
        seen.to_host = local;
        seen
    }

    /// Does what a table says; whether the way goes on elsewhere, or ended.
    fn judge(
        &mut self,
        way: &mut Way,
        pass: &Pass,
        (hook, table): (&'static str, &'static str),
        judgement: Judgement,
    ) -> bool {
        let before = way.packet.clone();
        let place = Place {
            host: Some(pass.host),
            netns: Some(pass.netns.clone()),
            device: pass.input.map(|input| self.name(input)),
            ..Place::default()
        };
        if judgement.untracked == Truth::Yes {
            way.packet.state = ConnStates::UNTRACKED;
        }
        way.packet.set_mark(judgement.mark);
        way.packet.conn_mark = judgement.conn_mark;
        let mut kinds: Vec<&filter::End> = Vec::new();
        for end in &judgement.ends {
            if kinds.iter().all(|known| known.outcome != end.outcome) {
                kinds.push(end);
            }
        }
        let only_accepts = kinds.iter().all(|end| end.outcome == filter::Outcome::Accept);
        if only_accepts {
            let decided = judgement.ends.first().and_then(|end| end.evidence);
            let by_rule = judgement.ends.len() == 1
                && table == "filter"
                && judgement.ends.first().is_some_and(|end| is_rule(end, self, pass));
            if way.packet.mark() != before.mark() && way.packet.mark().known == u32::MAX || by_rule
            {
                let mark = way.packet.mark();
                let action = if by_rule {
                    format!("{hook} {table}: accepts")
                } else {
                    format!("{hook} {table}: mark {:#x}", mark.value)
                };
                let mut hop = self.filter_hop(pass, (hook, table), action);
                if by_rule {
                    hop.cite(decided);
                    hop.details.rules =
                        decided.map(|at| (at, "ACCEPT".to_owned())).into_iter().collect();
                } else {
                    hop.cite(judgement.marked.iter().copied());
                    let marks = judgement.marked.iter().map(|at| (*at, "MARK".to_owned()));
                    hop.details.rules = marks.collect();
                }
                self.hop(way, &before, hop);
            }
            return false;
        }
        let sure = pass.bridged.is_none_or(|bridged| bridged.sure);
        let several = kinds.len() > 1 || !sure;
        if several {
            let place = place.clone();
            let (reason, evidence) = match judgement.doubts.first() {
                Some(doubt) if sure => (Reason::NotModelled, vec![doubt.evidence]),
                _ if !sure => (Reason::NotCaptured, Vec::new()),
                _ => (Reason::NotModelled, Vec::new()),
            };
            let needs = if sure {
                Vec::new()
            } else {
                vec![tapline_core::need::Need::command("sysctl net.bridge.bridge-nf-call-iptables")]
            };
            let text = match judgement.doubts.first() {
                Some(_) if sure => "it is not known whether the packet meets a rule".to_owned(),
                _ => "it is not known whether the filter sees bridged frames".to_owned(),
            };
            let next = Self::next(&place, needs);
            self.fork(way, Doubt { reason, text, place, next, evidence });
        }
        if !sure {
            let mut passes = Self::branch(way, "the filter does not see it");
            passes.packet = before.clone();
            let last = Pass { table: usize::MAX, ..pass.clone() };
            self.behind(passes, last);
        }
        let ends: Vec<filter::End> = kinds.into_iter().cloned().collect();
        for end in ends {
            let guard = if several { Some(outcome_words(&end.outcome)) } else { None };
            let one = Way { guard: guard.or_else(|| way.guard.clone()), ..way.clone() };
            self.take_end(one, pass, (hook, table), &before, &end, place.clone());
        }
        true
    }

    fn take_end(
        &mut self,
        mut way: Way,
        pass: &Pass,
        at: (&'static str, &'static str),
        before: &Packet,
        end: &filter::End,
        place: Place,
    ) {
        let (hook, table) = at;
        let words = outcome_words(&end.outcome);
        match &end.outcome {
            filter::Outcome::Accept => {
                self.go(way, At::Stack(pass.clone()));
            }
            filter::Outcome::Drop | filter::Outcome::Reject => {
                let reject = end.outcome == filter::Outcome::Reject;
                let mut hop = self.filter_hop(pass, at, format!("{hook} {table}: {words}"));
                hop.cite(end.evidence);
                hop.details.rules =
                    end.evidence.map(|at| (at, words.clone())).into_iter().collect();
                self.hop(&mut way, before, hop);
                let (outcome, reason) = if reject {
                    (Outcome::Rejected, Reason::NfReject)
                } else {
                    (Outcome::Dropped, Reason::NfDrop)
                };
                self.lost(&mut way, outcome, reason, place, end.evidence);
            }
            filter::Outcome::Translate(target) => {
                if pass.bridged.is_some() {
                    self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
                    return;
                }
                self.translate(&mut way.packet, pass, target);
                let mut hop = self.filter_hop(pass, at, format!("{hook} {table}: {words}"));
                hop.cite(end.evidence);
                hop.details.rules = end.evidence.map(|at| (at, words)).into_iter().collect();
                if let Some((packets, _)) = end.counters.filter(|(packets, _)| *packets > 0) {
                    hop.observed = Some(format!("{packets} packets"));
                }
                self.hop(&mut way, before, hop);
                self.go(way, At::Stack(pass.clone()));
            }
            filter::Outcome::Unknown(name) => {
                let end_here = End {
                    outcome: Outcome::Unknown,
                    reason: Some(Reason::NotModelled),
                    text: format!("what {name} does is not modelled"),
                    place,
                    packet: way.packet.clone(),
                    reached: Truth::Maybe,
                    aside: false,
                    hypothetical: false,
                    certainty: Certainty::Inferred,
                    evidence: end.evidence.into_iter().collect(),
                    next: Vec::new(),
                };
                self.end(&mut way, end_here);
            }
        }
    }

    fn filter_hop(&self, pass: &Pass, (hook, table): (&'static str, &str), action: String) -> Hop {
        let place =
            Place { host: Some(pass.host), netns: Some(pass.netns.clone()), ..Place::default() };
        let mut hop = Hop::new(Kind::Netfilter, place, action);
        hop.input = pass.input.map(|input| self.name(input));
        hop.output = pass.output.map(|output| self.name(output.0));
        hop.details.hook = Some(hook);
        hop.details.table = Some(table.into());
        hop
    }

    /// Whether rules of the table `nat` are asked; undoes for answers what was done for questions.
    fn translates(&mut self, way: &mut Way, pass: &Pass) -> bool {
        if way.packet.state.any_of(ConnStates::UNTRACKED.with(ConnStates::INVALID)) {
            return false;
        }
        if !way.packet.is_reply() {
            // A chain that translates ends the question for the others at its hook.
            let done = match pass.stage {
                Stage::Prerouting | Stage::Output => ConnStates::DNAT,
                _ => ConnStates::SNAT,
            };
            if way.packet.translated.any_of(done) {
                return false;
            }
            return pass.bridged.is_none() || way.packet.state.any_of(ConnStates::NEW);
        }
        let before = way.packet.clone();
        let here = |one: &&Connection| one.host == pass.host && one.netns == pass.netns;
        let tuple = Tuple::of(&way.packet);
        let known = self.connections.iter().filter(here).find(|one| match pass.stage {
            Stage::Prerouting => {
                same(tuple.source, one.after.destination)
                    && same(tuple.destination, one.after.source)
            }
            _ => {
                same(tuple.source, one.after.destination)
                    && same(tuple.destination, one.before.source)
            }
        });
        let Some(one) = known.cloned() else { return false };
        let (hook, words) = match pass.stage {
            Stage::Prerouting if one.before.source != one.after.source => {
                way.packet.set_destination(one.before.source);
                let port = one.before.source_port;
                way.packet.set_ports(way.packet.source_port(), port);
                ("PREROUTING", "undoes the source translation")
            }
            Stage::Postrouting if one.before.destination != one.after.destination => {
                way.packet.set_source(one.before.destination);
                let port = one.before.destination_port;
                way.packet.set_ports(port, way.packet.destination_port());
                ("POSTROUTING", "undoes the destination translation")
            }
            _ => return false,
        };
        let mut hop = self.filter_hop(pass, (hook, "nat"), format!("{hook}: {words}"));
        hop.certainty = Certainty::Inferred;
        self.hop(way, &before, hop);
        false
    }

    /// The connection of an answer, as the question left it.
    fn known_connection(&self, packet: &Packet, pass: &Pass) -> Option<Connection> {
        if !packet.is_reply() {
            return None;
        }
        let tuple = Tuple::of(packet);
        let known = self.connections.iter().find(|one| {
            one.host == pass.host
                && one.netns == pass.netns
                && same(tuple.source, one.after.destination)
                && same(tuple.destination, one.after.source)
        });
        known.cloned()
    }

    /// Notes what the connection tracker of a namespace knows of the packet now.
    fn remember(&mut self, packet: &Packet, pass: &Pass) {
        let Some(before) = pass.entry.filter(|_| !packet.is_reply() && !is_untracked(packet))
        else {
            return;
        };
        let connection = Connection {
            host: pass.host,
            netns: pass.netns.clone(),
            before,
            after: Tuple::of(packet),
            mark: packet.conn_mark,
        };
        if !self.made.contains(&connection) && self.made.len() < 256 {
            self.made.push(connection);
        }
    }

    fn translate(&self, packet: &mut Packet, pass: &Pass, target: &Target) {
        match target {
            Target::Dnat(to) => {
                packet.translated = packet.translated.with(ConnStates::DNAT);
                let destination = to_address(to, packet.destination());
                packet.set_destination(destination);
                let port = to_port(to, packet.destination_port());
                packet.set_ports(packet.source_port(), port);
            }
            Target::Snat(to) => {
                packet.translated = packet.translated.with(ConnStates::SNAT);
                let source = to_address(to, packet.source());
                packet.set_source(source);
                let port = to_port(to, packet.source_port());
                packet.set_ports(port, packet.destination_port());
            }
            Target::Masquerade => {
                packet.translated = packet.translated.with(ConnStates::SNAT);
                let device = pass.output.map(|output| output.0);
                packet.set_source(self.primary(device, packet.family()));
            }
            Target::Redirect(ports) => {
                packet.translated = packet.translated.with(ConnStates::DNAT);
                let own = match pass.input {
                    Some(_) => self.primary(pass.input, packet.family()),
                    None => Some(IpAddr::from([127, 0, 0, 1])),
                };
                packet.set_destination(own);
                if let Some(ports) = ports {
                    let one = (ports.start() == ports.end()).then(|| *ports.start());
                    packet.set_ports(packet.source_port(), one);
                }
            }
            Target::Netmap(net) => {
                let source = pass.stage == Stage::Postrouting || pass.stage == Stage::Input;
                let old = if source { packet.source() } else { packet.destination() };
                let new = net.zip(old).and_then(|(net, ip)| mapped(net, ip));
                if source {
                    packet.translated = packet.translated.with(ConnStates::SNAT);
                    packet.set_source(new);
                } else {
                    packet.translated = packet.translated.with(ConnStates::DNAT);
                    packet.set_destination(new);
                }
            }
            _ => {}
        }
    }

    /// The first address of a device.
    pub(super) fn primary(&self, device: Option<NodeId>, family: Family) -> Option<IpAddr> {
        let addresses = self.network.addresses_of(device?);
        let four = family == Family::Inet;
        let first = addresses.iter().find(|address| address.ip.is_ipv4() == four)?;
        Some(first.ip)
    }
}

/// Whether an end is a rule, not the policy of a chain.
fn is_rule(end: &filter::End, walk: &Walk<'_, '_, '_>, _pass: &Pass) -> bool {
    let Some(at) = end.evidence else { return false };
    let quoted = walk.network.topology.snapshot.quote(at);
    quoted.starts_with("-A") || quoted.starts_with('[')
}

fn same(a: Option<IpAddr>, b: Option<IpAddr>) -> bool {
    a.is_some() && a == b
}

fn is_untracked(packet: &Packet) -> bool {
    packet.state.any_of(ConnStates::UNTRACKED)
}

fn to_address(to: &Translation, old: Option<IpAddr>) -> Option<IpAddr> {
    // `:8080` leaves the address as it is; a range takes any of its addresses.
    if to.text.starts_with(':') { old } else { to.address }
}

/// The port that is translated to: the same, one, or one of several.
fn to_port(to: &Translation, old: Option<u16>) -> Option<u16> {
    match &to.ports {
        None => old,
        Some(ports) => (ports.start() == ports.end()).then(|| *ports.start()),
    }
}

fn mapped(net: ipnet::IpNet, ip: IpAddr) -> Option<IpAddr> {
    let IpAddr::V4(_) = ip else { return None };
    let mask = ip_number(net.netmask());
    let number = ip_number(net.network()) | (ip_number(ip) & !mask & u128::from(u32::MAX));
    Some(IpAddr::V4(std::net::Ipv4Addr::from(u32::try_from(number).ok()?)))
}

fn outcome_words(outcome: &filter::Outcome) -> String {
    match outcome {
        filter::Outcome::Accept => "accepts".to_owned(),
        filter::Outcome::Drop => "drops".to_owned(),
        filter::Outcome::Reject => "rejects".to_owned(),
        filter::Outcome::Translate(target) => match target {
            Target::Dnat(to) => format!("DNAT to {}", to.text),
            Target::Snat(to) => format!("SNAT to {}", to.text),
            Target::Masquerade => "MASQUERADE".to_owned(),
            Target::Redirect(Some(ports)) => format!("REDIRECT to port {}", ports.start()),
            Target::Redirect(None) => "REDIRECT".to_owned(),
            Target::Netmap(Some(net)) => format!("NETMAP to {net}"),
            other => format!("{other:?}"),
        },
        filter::Outcome::Unknown(name) => Name::from(format!("{name}: not modelled")).to_string(),
    }
}
