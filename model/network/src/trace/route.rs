//! Routing in a namespace: its own addresses, the policy rules and tables, the way back
//! (`rp_filter`), and whether it forwards at all.
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::need::Need;
use tapline_core::records::route::{Family, Route};
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::Netdev;

use crate::ipsec::Direction;
use crate::l3::{self, Decision, NextHop, Refusal};
use crate::router::{Duty, Router};
use crate::truth::Truth;
use crate::{Answer, Item, defs, flows};

use super::netfilter::{Pass, Stage};
use super::{
    At, Certainty, Considered, Crumb, Doubt, End, Hop, Kind, Outcome, Place, Reason, RouteDetails,
    Walk, Way,
};

/// The protocol number of ICMP.
const ICMP: u8 = 1;

/// What a route itself says of packets that take it.
#[derive(Clone, Copy, Default)]
struct ByRoute {
    /// The source of what the namespace sends.
    source: Option<IpAddr>,
    /// The MTU, and the line that sets it.
    mtu: Option<(u32, Evidence)>,
}

/// The MTU that a route sets, and whether it is locked: `mtu 1300`, `mtu lock 1300` (ip-route(8)).
fn route_mtu(route: &Route) -> Option<(u32, bool)> {
    let field = route.other.iter().find(|field| field.key == "mtu")?;
    let text = field.value.value.as_str();
    let (text, locked) = match text.strip_prefix("lock ") {
        Some(rest) => (rest, true),
        None => (text, false),
    };
    Some((text.trim().parse().ok()?, locked))
}

impl<'a> Walk<'_, '_, 'a> {
    /// Decides where a packet in the stack goes.
    pub(super) fn route(&mut self, mut way: Way, pass: Pass) {
        let place = self.place_of(&pass);
        let Some(to) = way.packet.destination() else {
            self.unknown(&mut way, place, Reason::PacketOpen, Vec::new());
            return;
        };
        if pass.input.is_some() {
            let broadcast = matches!(to, IpAddr::V4(four) if four.is_broadcast());
            if broadcast || to.is_multicast() || self.is_subnet_broadcast(&pass, to) {
                self.go(way, At::Stack(pass.at(Stage::Input)));
                return;
            }
            if !self.takes_group_frames(&mut way, &pass)
                || !self.source_is_possible(&mut way, &pass)
                || !self.loopback_is_possible(&mut way, &pass, to)
            {
                return;
            }
        }
        let Some(fib) = self.network.fib(pass.host, &pass.netns) else {
            let needs = self.network.missing(pass.host, &pass.netns, &[Topic::AllRoutes]);
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        };
        let iif = pass.input.map(|input| self.name(input));
        let mark = way.packet.mark();
        let query = l3::Query {
            to,
            from: way.packet.source(),
            iif: iif.as_deref(),
            mark: (mark.known == u32::MAX).then_some(mark.value),
            tos: way.packet.tos(),
            transport: way.packet.transport(),
        };
        let gone = self.gone_devices(&pass);
        let oif = pass.bound.as_deref().filter(|_| pass.input.is_none());
        if oif.is_some() && to.is_ipv6() && query.from.is_some() {
            // The kernel prefers the device of the socket then, and does not insist.
            let free = fib.lookup_by(&query, l3::Devices { oif: None, gone: &gone });
            let held = fib.lookup_by(&query, l3::Devices { oif, gone: &gone });
            let same = match (&free, &held) {
                (Answer::Known(free), Answer::Known(held)) => free.outcome == held.outcome,
                _ => false,
            };
            if !same {
                self.unknown(&mut way, place, Reason::NotModelled, Vec::new());
                return;
            }
        }
        let devices = l3::Devices { oif, gone: &gone };
        match self.looked_up(&fib, &query, devices, &pass) {
            Answer::Known(decision)
                if !gone.is_empty()
                    && decision.outcome == l3::Outcome::NoRoute
                    && fib
                        .lookup_by(&query, l3::Devices { oif, gone: &[] })
                        .known()
                        .is_some_and(|before| before.outcome != l3::Outcome::NoRoute) =>
            {
                self.lost_in_gap(&mut way, place);
            }
            Answer::Known(decision) => {
                if self.explain {
                    let devices = l3::Devices { oif, gone: &gone };
                    let all = fib.looked_at(&query, devices, &decision);
                    way.considered.extend(
                        all.into_iter().map(|(text, at)| Considered {
                            text,
                            evidence: at.into_iter().collect(),
                        }),
                    );
                }
                self.decided(way, pass, to, &decision);
            }
            Answer::Unknown(needs) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
        }
    }

    /// Looks a route up. A sender without a source looks for one first, and, where it connects its
    /// socket, again with the source that it found (`ip_route_connect`, include/net/route.h).
    fn looked_up(
        &self,
        fib: &l3::Fib<'_, 'a>,
        query: &l3::Query<'_>,
        devices: l3::Devices<'_>,
        pass: &Pass,
    ) -> Answer<Decision<'a>> {
        let first = fib.lookup_by(query, devices);
        let is_own = pass.input.is_none() && query.from.is_none() && query.to.is_ipv4();
        let Answer::Known(decision) = &first else { return first };
        let l3::Outcome::Forward(hops) = &decision.outcome else { return first };
        let [hop] = hops.as_slice() else { return first };
        let named = decision.route.and_then(|route| route.record.src);
        let device = self.network.topology.find_netdev(pass.host, &pass.netns, hop.dev);
        let from = named.or_else(|| self.primary(device, Family::Inet)).filter(|_| is_own);
        if from.is_none() || pass.unconnected {
            return first;
        }
        let again = fib.lookup_by(&l3::Query { from, ..query.clone() }, devices);
        let refused = matches!(
            &again,
            Answer::Known(Decision { outcome: l3::Outcome::Refused(_) | l3::Outcome::NoRoute, .. })
        );
        // `ping` connects a socket to find its source and sends by another, which is not connected.
        if query.transport.protocol == Some(ICMP) && !refused { first } else { again }
    }

    /// Whether a packet came to a router before as it is now but for its lifetime: it goes round until
    /// that ends.
    fn is_looping(&mut self, way: &mut Way, pass: &Pass) -> bool {
        let Some(input) = pass.input else { return false };
        let mut packet = way.packet.clone();
        packet.set_ttl(0);
        let crumb = Crumb { node: input, packet };
        if !way.trail.contains(&crumb) {
            way.trail.push(crumb);
            return false;
        }
        let place = self.place_of(pass);
        let end = End {
            reason: Some(Reason::TtlExceeded),
            reached: Truth::No,
            certainty: Certainty::Inferred,
            ..End::new(
                Outcome::Loops,
                "its routers send it round until its TTL ends",
                place,
                &way.packet,
            )
        };
        self.end(way, end);
        true
    }

    fn decided(&mut self, mut way: Way, pass: Pass, to: IpAddr, decision: &Decision<'a>) {
        let place = self.place_of(&pass);
        match &decision.outcome {
            l3::Outcome::Local(address)
                if self
                    .network
                    .address(*address)
                    .is_some_and(|address| self.is_without(address.data.netdev)) =>
            {
                self.lost_in_gap(&mut way, place);
            }
            l3::Outcome::Local(address) => {
                if pass.input.is_none() && way.packet.source().is_none() {
                    // The source of the route, which is the address itself (`ip_route_output_key_hash_rcu`).
                    let of_route = decision.route.and_then(|route| route.record.src);
                    let address = || self.network.address(*address).map(|address| address.ip);
                    way.packet.set_source(of_route.or_else(address));
                }
                if pass.input.is_none() {
                    self.send_to_self(way, pass, to);
                    return;
                }
                self.go(way, At::Stack(pass.at(Stage::Input)));
            }
            l3::Outcome::Forward(hops) => self.forward(way, pass, decision, hops),
            l3::Outcome::Refused(_) | l3::Outcome::NoRoute
                if pass.bound.is_some() && pass.input.is_none() && to.is_ipv4() =>
            {
                self.send_bound(way, pass, decision);
            }
            l3::Outcome::Refused(refusal) => {
                let (outcome, reason) = match refusal {
                    Refusal::Blackhole => (Outcome::Dropped, Reason::RouteBlackhole),
                    Refusal::Unreachable => (Outcome::Rejected, Reason::RouteUnreachable),
                    Refusal::Prohibit => (Outcome::Rejected, Reason::RouteProhibit),
                };
                let before = way.packet.clone();
                let hop = self.route_hop(&pass, decision, refusal.as_str().to_owned());
                self.hop(&mut way, &before, hop);
                self.lost(&mut way, outcome, reason, place, decision.evidence());
            }
            l3::Outcome::NoRoute => {
                let standby = self.is_standby(&pass);
                let (outcome, reason) = if standby {
                    (Outcome::Blackholed, Reason::HaStandby)
                } else {
                    (Outcome::Rejected, Reason::NoRoute)
                };
                if !decision.assumed.is_empty() {
                    let needs = decision.assumed.clone();
                    self.unknown(&mut way, place, Reason::NoRoute, needs);
                    return;
                }
                let coverage = &self.network.topology.coverage;
                let searched = coverage.of(pass.host, &pass.netns, Topic::AllRoutes).sources();
                let at = searched.first().map(|source| flows::first_line(self.network, *source));
                let fib = self.network.fib(pass.host, &pass.netns);
                let thrown = fib.and_then(|fib| fib.throws(to)).filter(|_| !standby);
                let (reason, at) = match thrown {
                    Some(thrown) => (Reason::RouteThrowExhausted, Some(thrown)),
                    None => (reason, at),
                };
                self.lost(&mut way, outcome, reason, place, at);
            }
        }
    }

    fn forward(&mut self, mut way: Way, pass: Pass, decision: &Decision<'a>, hops: &[NextHop<'a>]) {
        let place = self.place_of(&pass);
        if pass.input.is_some() {
            if self.is_standby(&pass) {
                self.lost(&mut way, Outcome::Blackholed, Reason::HaStandby, place, None);
                return;
            }
            if way.packet.is_multicast() == Some(true) {
                // A frame to all or to a group is forwarded by nobody (`ip_forward`, `ip6_forward`).
                let reason = Reason::NotLocalNoForward;
                self.lost(&mut way, Outcome::Dropped, reason, place, None);
                return;
            }
            if !self.forwards(&mut way, &pass) {
                return;
            }
            let ttl = way.packet.ttl();
            if matches!(ttl, Some(0 | 1)) {
                self.lost(&mut way, Outcome::Rejected, Reason::TtlExceeded, place, None);
                return;
            }
            if self.is_looping(&mut way, &pass) {
                return;
            }
            if let Some(ttl) = ttl {
                way.packet.set_ttl(ttl - 1);
            }
        }
        if hops.len() > 1 {
            let text = "the kernel balances over several next hops".to_owned();
            let evidence = hops.iter().map(|hop| hop.evidence).collect();
            let reason = Reason::NotModelled;
            self.fork(&mut way, Doubt { reason, text, place, next: Vec::new(), evidence });
        }
        for hop in hops {
            let one = if hops.len() > 1 {
                Self::branch(&way, format!("next hop by {}", hop.dev))
            } else {
                way.clone()
            };
            self.take_next_hop(one, pass.clone(), decision, *hop);
        }
    }

    fn take_next_hop(
        &mut self,
        mut way: Way,
        pass: Pass,
        decision: &Decision<'a>,
        hop: NextHop<'a>,
    ) {
        let place = self.place_of(&pass);
        let device = self.network.netdev_called(pass.host, &pass.netns, hop.dev);
        let Some(device) = device else {
            let needs = self.network.missing(pass.host, &pass.netns, &[Topic::Links]);
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        };
        let via = match hop.gateway {
            Some(gateway) => format!("via {gateway} by {}", hop.dev),
            None => format!("on the link of {}", hop.dev),
        };
        let mut route_hop = self.route_hop(&pass, decision, via);
        route_hop.output = Some(hop.dev.clone());
        route_hop.mtu = device.mtu.as_ref().map(|mtu| mtu.value);
        let source = decision.route.and_then(|route| route.record.src);
        let mtu = decision.route.and_then(|route| {
            let (mtu, locked) = route_mtu(route.record)?;
            // What is forwarded is held to it only where it is locked (`ip_dst_mtu_maybe_forward`).
            let counts = locked || pass.input.is_none();
            counts.then_some((mtu, hop.evidence))
        });
        self.leave_by(way, pass, device, hop.gateway, ByRoute { source, mtu }, route_hop);
    }

    /// Sends a packet by a device that was chosen, as its route says.
    fn leave_by(
        &mut self,
        mut way: Way,
        pass: Pass,
        device: Item<'a, Netdev<'a>>,
        gateway: Option<IpAddr>,
        route: ByRoute,
        hop: Hop,
    ) {
        let before = way.packet.clone();
        if way.packet.source().is_none() && pass.input.is_none() {
            let chosen =
                route.source.or_else(|| self.primary(Some(device.id), way.packet.family()));
            way.packet.set_source(chosen);
        }
        self.hop(&mut way, &before, hop);
        if device.admin_up() == Some(false) {
            let at = device.flags.as_ref().map(|flags| flags.evidence);
            let place = self.place(device.id);
            self.lost(&mut way, Outcome::Blackholed, Reason::IfAdminDown, place, at);
            return;
        }
        if let (Some(size), Some((mtu, evidence))) = (way.packet.size, route.mtu)
            && size > mtu
        {
            let place = self.place(device.id);
            self.lost(&mut way, Outcome::Rejected, Reason::MtuDfL3, place, Some(evidence));
            return;
        }
        if let (Some(size), Some(mtu)) = (way.packet.size, &device.mtu)
            && size > mtu.value
        {
            let place = self.place(device.id);
            self.lost(&mut way, Outcome::Rejected, Reason::MtuDfL3, place, Some(mtu.evidence));
            return;
        }
        let forwarded = pass.input.is_some() && !pass.rerouted;
        if forwarded && !self.pass_ipsec(&mut way, &pass, Direction::Forward, pass.input)
            || !self.pass_ipsec(&mut way, &pass, Direction::Out, Some(device.id))
        {
            return;
        }
        let first = if pass.input.is_none() { Stage::Output } else { Stage::Forward };
        let stage = if pass.rerouted { Stage::Postrouting } else { first };
        let pass = Pass { output: Some((device.id, gateway)), ..pass };
        self.go(way, At::Stack(pass.at(stage)));
    }

    /// The devices of a namespace that are taken away.
    pub(super) fn gone_devices(&self, pass: &Pass) -> Vec<Name> {
        let without = self.without.as_ref();
        without
            .map(|without| without.devices(self.network, pass.host, &pass.netns))
            .unwrap_or_default()
    }

    /// A socket that is bound to a device sends by it even where no route does: the destination is
    /// taken to be on its link (net/ipv4/route.c, `ip_route_output_key_hash_rcu`).
    fn send_bound(&mut self, mut way: Way, pass: Pass, decision: &Decision<'a>) {
        let place = self.place_of(&pass);
        if !decision.assumed.is_empty() {
            let needs = decision.assumed.clone();
            self.unknown(&mut way, place, Reason::NoRoute, needs);
            return;
        }
        let bound = pass.bound.as_deref().unwrap_or_default();
        let Some(device) = self.network.netdev_called(pass.host, &pass.netns, bound) else {
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        let action = format!("no route by {bound}: taken to be on its link");
        let mut hop = Hop::new(Kind::Route, place, action);
        hop.output = Some(device.name().into());
        hop.mtu = device.mtu.as_ref().map(|mtu| mtu.value);
        hop.cite(super::device::line(device));
        self.leave_by(way, pass, device, None, ByRoute::default(), hop);
    }

    /// The hop of a decision.
    fn route_hop(&self, pass: &Pass, decision: &Decision<'a>, via: String) -> Hop {
        let rule = decision.rule.map(|seen| {
            let at = Evidence { source: seen.source, span: seen.record.at };
            (seen.record.priority, at)
        });
        let table = decision.table.clone();
        let in_table = match (&table, &rule) {
            (Some(table), Some((priority, _))) if table != "main" => {
                format!("rule {priority}, table {table}: ")
            }
            (None, Some((priority, _))) => format!("rule {priority}: "),
            _ => String::new(),
        };
        let mut hop = Hop::new(Kind::Route, self.place_of(pass), format!("{in_table}{via}"));
        hop.input = pass.input.map(|input| self.name(input));
        hop.cite(decision.evidence());
        if !decision.assumed.is_empty() {
            hop.certainty = Certainty::Assumed;
            hop.assumed = Some("the namespace has no policy rules of its own".to_owned());
        }
        let route = decision.route.map(|seen| seen.record);
        let inet6 = route.is_some_and(|route| route.family == Some(Family::Inet6));
        hop.details.route = Some(RouteDetails {
            rule,
            table,
            kind: route.map_or_else(String::new, |route| route.kind.to_string()),
            destination: route.map(|route| {
                let of = route.destination.as_ref().map(|net| net.value.to_string());
                of.unwrap_or_else(|| "default".to_owned())
            }),
            metric: route.and_then(|route| route.metric.or(Some(if inet6 { 1024 } else { 0 }))),
            source: route.and_then(|route| Some(route.src?.to_string())),
            hops: decision
                .hops()
                .iter()
                .map(|hop| (hop.dev.clone(), hop.gateway.map(|gateway| gateway.to_string())))
                .collect(),
        });
        hop
    }

    pub(super) fn place_of(&self, pass: &Pass) -> Place {
        Place {
            host: Some(pass.host),
            netns: Some(pass.netns.clone()),
            device: pass
                .input
                .or(pass.output.map(|(device, _)| device))
                .map(|device| self.name(device)),
            ..Place::default()
        }
    }

    /// Whether a router waits here for its turn.
    fn is_standby(&self, pass: &Pass) -> bool {
        if !defs::is_router_netns(&pass.netns) {
            return false;
        }
        let netns = self.network.topology.find_netns(pass.host, &pass.netns);
        let netns = netns.and_then(|id| self.network.namespace(id));
        netns
            .is_some_and(|netns| Router::new(self.network, netns).duty(self.network) == Duty::Waits)
    }

    /// Whether the namespace forwards; ends the way where it does not.
    fn forwards(&mut self, way: &mut Way, pass: &Pass) -> bool {
        let dev = pass.input.map(|input| self.name(input).replace('.', "/")).unwrap_or_default();
        let keys = match way.packet.family() {
            Family::Inet => {
                [format!("net.ipv4.conf.{dev}.forwarding"), "net.ipv4.ip_forward".to_owned()]
            }
            Family::Inet6 => [
                "net.ipv6.conf.all.forwarding".to_owned(),
                "net.ipv6.conf.all.forwarding".to_owned(),
            ],
        };
        let set = keys.iter().find_map(|key| self.setting(pass.host, &pass.netns, key));
        match set {
            Some(setting) if setting.value == 0 => {
                let place = self.place_of(pass);
                let reason = Reason::ForwardingDisabled;
                self.lost(way, Outcome::Dropped, reason, place, Some(setting.evidence));
                false
            }
            Some(_) => true,
            // Neutron's agents switch it on where they make a router.
            None if defs::is_router_netns(&pass.netns)
                || pass.netns.name().is_some_and(|name| name.starts_with("fip-")) =>
            {
                way.assume(
                    "the router forwards, as neutron's agents set it: no sysctl was captured",
                );
                true
            }
            None => {
                let place = self.place_of(pass);
                let need = Need::command("sysctl net.ipv4.ip_forward").within(&pass.netns);
                self.may_stop(way, place, Reason::NotCaptured, vec![need]);
                true
            }
        }
    }
}
