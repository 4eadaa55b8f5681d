//! Routing in a namespace: its own addresses, the policy rules and tables, the way back
//! (`rp_filter`), and whether it forwards at all.
use std::net::IpAddr;

use tapline_core::need::Need;
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_topology::{NodeId, Topic};

use crate::l3::{self, Decision, NextHop, Refusal};
use crate::router::{Duty, Router};
use crate::{Answer, defs, flows};

use super::netfilter::{Pass, Stage};
use super::{At, Certainty, Doubt, Hop, Kind, Outcome, Place, Reason, RouteDetails, Walk, Way};

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
            if !self.source_is_possible(&mut way, &pass) {
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
        };
        match fib.lookup(&query) {
            Answer::Known(decision) => self.decided(way, pass, to, &decision),
            Answer::Unknown(needs) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
            }
        }
    }

    fn decided(&mut self, mut way: Way, pass: Pass, to: IpAddr, decision: &Decision<'a>) {
        let place = self.place_of(&pass);
        match &decision.outcome {
            l3::Outcome::Local(address) => {
                let _ = address;
                if pass.input.is_none() && !pass.rerouted {
                    let loopback = self.network.topology.find_netdev(pass.host, &pass.netns, "lo");
                    let input =
                        loopback.or_else(|| self.owns(pass.host, &pass.netns, to).map(|own| own.0));
                    let pass = Pass { input, ..pass };
                    self.go(way, At::Stack(pass.at(Stage::Input)));
                    return;
                }
                self.go(way, At::Stack(pass.at(Stage::Input)));
            }
            l3::Outcome::Forward(hops) => self.forward(way, pass, to, decision, hops),
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
                let topic = Topic::AllRoutes;
                let searched =
                    self.network.topology.coverage.of(pass.host, &pass.netns, topic).sources();
                let at = searched.first().map(|source| flows::first_line(self.network, *source));
                self.lost(&mut way, outcome, reason, place, at);
            }
        }
    }

    fn forward(
        &mut self,
        mut way: Way,
        pass: Pass,
        to: IpAddr,
        decision: &Decision<'a>,
        hops: &[NextHop<'a>],
    ) {
        let place = self.place_of(&pass);
        if pass.input.is_some() {
            if self.is_standby(&pass) {
                self.lost(&mut way, Outcome::Blackholed, Reason::HaStandby, place, None);
                return;
            }
            if !self.forwards(&mut way, &pass) {
                return;
            }
            match way.packet.ttl() {
                Some(0 | 1) => {
                    let reason = Reason::TtlExceeded;
                    self.lost(&mut way, Outcome::Rejected, reason, place, None);
                    return;
                }
                Some(ttl) => way.packet.set_ttl(ttl - 1),
                None => {}
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
            self.take_next_hop(one, pass.clone(), to, decision, *hop);
        }
    }

    fn take_next_hop(
        &mut self,
        mut way: Way,
        pass: Pass,
        to: IpAddr,
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
        let before = way.packet.clone();
        if way.packet.source().is_none() && pass.input.is_none() {
            let named = decision.route.and_then(|route| route.record.src);
            let chosen = named.or_else(|| self.primary(Some(device.id), way.packet.family()));
            way.packet.set_source(chosen);
        }
        let via = match hop.gateway {
            Some(gateway) => format!("via {gateway} by {}", hop.dev),
            None => format!("on the link of {}", hop.dev),
        };
        let mut route_hop = self.route_hop(&pass, decision, via);
        route_hop.output = Some(hop.dev.clone());
        route_hop.mtu = device.mtu.as_ref().map(|mtu| mtu.value);
        self.hop(&mut way, &before, route_hop);
        if device.admin_up() == Some(false) {
            let at = device.flags.as_ref().map(|flags| flags.evidence);
            let place = self.place(device.id);
            self.lost(&mut way, Outcome::Blackholed, Reason::IfAdminDown, place, at);
            return;
        }
        if let (Some(size), Some(mtu)) = (way.packet.size, &device.mtu)
            && size > mtu.value
        {
            let place = self.place(device.id);
            self.lost(&mut way, Outcome::Rejected, Reason::MtuDfL3, place, Some(mtu.evidence));
            return;
        }
        let _ = to;
        let first = if pass.input.is_none() { Stage::Output } else { Stage::Forward };
        let stage = if pass.rerouted { Stage::Postrouting } else { first };
        let pass = Pass { output: Some((device.id, hop.gateway)), ..pass };
        self.go(way, At::Stack(pass.at(stage)));
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
            device: pass.input.map(|input| self.name(input)),
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

    /// Whether a packet may come from its source by its device (`fib_validate_source`).
    fn source_is_possible(&mut self, way: &mut Way, pass: &Pass) -> bool {
        let (Some(source), Some(input)) = (way.packet.source(), pass.input) else { return true };
        let place = self.place_of(pass);
        let on_loopback = self
            .device(input)
            .is_some_and(|device| device.kind == tapline_topology::graph::NetdevKind::Loopback);
        if on_loopback {
            return true;
        }
        let impossible = match source {
            IpAddr::V4(four) => {
                four.is_loopback()
                    || four.is_broadcast()
                    || four.is_multicast()
                    || four.is_unspecified()
            }
            IpAddr::V6(six) => six.is_loopback() || six.is_multicast(),
        };
        if impossible {
            self.lost(way, Outcome::Dropped, Reason::Martian, place, None);
            return false;
        }
        if let Some((_, evidence)) = self.owns(pass.host, &pass.netns, source) {
            if source.is_ipv4() {
                self.lost(way, Outcome::Dropped, Reason::Martian, place, Some(evidence));
                return false;
            }
            return true;
        }
        if source.is_ipv6() {
            return true;
        }
        let name = self.name(input).replace('.', "/");
        let of = |scope: &str| {
            let key = format!("net.ipv4.conf.{scope}.rp_filter");
            self.setting(pass.host, &pass.netns, &key)
        };
        let (all, own) = (of("all"), of(&name));
        let mode = match (all, own) {
            (Some(all), Some(own)) => Some(all.value.max(own.value)),
            (Some(all), None) if all.value == 2 => Some(2),
            (Some(_) | None, None) if Self::is_of_router(pass) => Some(0),
            _ => None,
        };
        if mode == Some(0) {
            return true;
        }
        let evidence = own.filter(|own| own.value > 0).or(all).map(|setting| setting.evidence);
        match self.way_back(way, pass, source, input) {
            Answer::Known((true, _)) => true,
            Answer::Known((false, loose)) => {
                let fails = match mode {
                    Some(1) => Some(true),
                    Some(_) => Some(!loose),
                    None if !loose => None,
                    None => None,
                };
                match fails {
                    Some(true) => {
                        let reason = Reason::RpFilter;
                        self.lost(way, Outcome::Dropped, reason, place, evidence);
                        false
                    }
                    Some(false) => true,
                    None => {
                        let key = format!("net.ipv4.conf.{name}.rp_filter");
                        let need = Need::command("sysctl net.ipv4.conf.all.rp_filter")
                            .with(&key)
                            .within(&pass.netns);
                        self.may_stop(way, place, Reason::RpFilter, vec![need]);
                        true
                    }
                }
            }
            Answer::Unknown(needs) => {
                self.may_stop(way, place, Reason::RpFilter, needs);
                true
            }
        }
    }

    /// Namespaces of neutron's routers: the agents switch `rp_filter` off in them.
    fn is_of_router(pass: &Pass) -> bool {
        defs::is_router_netns(&pass.netns)
            || pass.netns.name().is_some_and(|name| name.starts_with("fip-"))
    }

    /// Whether the way back leads by the device, and whether there is any.
    fn way_back(
        &self,
        way: &Way,
        pass: &Pass,
        source: IpAddr,
        input: NodeId,
    ) -> Answer<(bool, bool)> {
        let Some(fib) = self.network.fib(pass.host, &pass.netns) else {
            return Answer::Unknown(self.network.missing(
                pass.host,
                &pass.netns,
                &[Topic::AllRoutes],
            ));
        };
        let from = way.packet.destination();
        let tos = way.packet.tos();
        let query = l3::Query { to: source, from, iif: None, mark: Some(0), tos };
        let dev = self.name(input);
        fib.lookup(&query).map(|decision| match &decision.outcome {
            l3::Outcome::Forward(hops) => (hops.iter().any(|hop| *hop.dev == dev), true),
            _ => (false, false),
        })
    }
}
