//! Whether a packet may come from its source by its device (`fib_validate_source`): impossible
//! addresses, and `rp_filter`; what may be for one address; and from which address a server answers.
use std::net::IpAddr;

use tapline_core::need::Need;
use tapline_core::records::route::Family;
use tapline_topology::graph::NetdevKind;
use tapline_topology::{NodeId, Topic};

use crate::{Answer, defs, l3};

use super::netfilter::Pass;
use super::{At, Doubt, Outcome, Reason, Walk, Way};

impl Walk<'_, '_, '_> {
    /// Whether a packet may come from its source by its device (`fib_validate_source`).
    pub(super) fn source_is_possible(&mut self, way: &mut Way, pass: &Pass) -> bool {
        let (Some(source), Some(input)) = (way.packet.source(), pass.input) else { return true };
        let place = self.place_of(pass);
        let on_loopback =
            self.device(input).is_some_and(|device| device.kind == NetdevKind::Loopback);
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
        let owned = match self.owns_for(pass, source) {
            Answer::Known(owned) => owned,
            Answer::Unknown(needs) => {
                self.may_stop(way, place.clone(), Reason::Martian, needs);
                None
            }
        };
        if let Some((_, evidence)) = owned {
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
            let assumed = own.is_none();
            if assumed
                && !matches!(self.way_back(way, pass, source, input), Answer::Known((true, _)))
            {
                way.assume("rp_filter is off, as neutron's agents set it: no sysctl was captured");
            }
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
    pub(super) fn is_of_router(pass: &Pass) -> bool {
        defs::is_router_netns(&pass.netns)
            || pass.netns.name().is_some_and(|name| name.starts_with("fip-"))
    }

    /// Whether the way back leads by the device, and whether there is any.
    pub(super) fn way_back(
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
        let dev = self.name(input);
        // In a VRF the way back is looked up in its table.
        let vrf = self.vrf_of(pass).filter(|vrf| !matches!(vrf, l3::Domain::Default));
        let iif = vrf.map(|_| dev.as_str());
        let transport = way.packet.transport();
        let query = l3::Query { to: source, from, iif, mark: Some(0), tos, transport };
        let gone = self.gone_devices(pass);
        let found = fib.lookup_by(&query, l3::Devices { oif: None, gone: &gone });
        found.map(|decision| match &decision.outcome {
            l3::Outcome::Forward(hops) => (hops.iter().any(|hop| *hop.dev == dev), true),
            _ => (false, false),
        })
    }

    /// What a server sends may name its source, or leave it to the kernel. Where that makes a
    /// difference, the way without one goes on by itself.
    pub(super) fn send_unbound(&mut self, way: &mut Way, pass: &Pass) {
        let (Some(source), Some(to)) = (way.packet.source(), way.packet.destination()) else {
            return;
        };
        let Some(fib) = self.network.fib(pass.host, &pass.netns) else { return };
        let transport = way.packet.transport();
        let named = l3::Query { from: Some(source), transport, ..l3::Query::own(to) };
        let free = l3::Query { from: None, ..named.clone() };
        let (Answer::Known(named), Answer::Known(free)) = (fib.lookup(&named), fib.lookup(&free))
        else {
            return;
        };
        let chosen = |decision: &l3::Decision<'_>| {
            let of_route = decision.route.and_then(|route| route.record.src);
            let dev = decision.hops().first().map(|hop| hop.dev);
            let device =
                dev.and_then(|dev| self.network.topology.find_netdev(pass.host, &pass.netns, dev));
            of_route.or_else(|| self.primary(device, way.packet.family()))
        };
        let local = matches!(free.outcome, l3::Outcome::Local(_));
        if named.outcome == free.outcome && (local || chosen(&free) == Some(source)) {
            return;
        }
        let doubt = Doubt {
            reason: Reason::PacketOpen,
            text: "whether the server names the address that it answers from is not known"
                .to_owned(),
            place: self.place_of(pass),
            next: Vec::new(),
            evidence: named.evidence(),
        };
        self.fork(way, doubt);
        let mut without = Self::branch(way, "the kernel chooses its source");
        without.packet.set_source(None);
        self.go(without, At::Stack(Pass { unconnected: true, ..pass.clone() }));
        way.guard = Some("the server names its source".to_owned());
    }

    /// Whether a packet for one address may come in a frame to all or to a group: it is dropped where
    /// `drop_unicast_in_l2_multicast` is set (ip-sysctl; `ip_rcv_finish_core`, net/ipv4/ip_input.c).
    pub(super) fn takes_group_frames(&mut self, way: &mut Way, pass: &Pass) -> bool {
        if way.packet.is_multicast() != Some(true) {
            return true;
        }
        let name = pass.input.map(|input| self.name(input).replace('.', "/")).unwrap_or_default();
        let family = if way.packet.family() == Family::Inet { "ipv4" } else { "ipv6" };
        let set = ["all", &name].into_iter().find_map(|dev| {
            let key = format!("net.{family}.conf.{dev}.drop_unicast_in_l2_multicast");
            self.setting(pass.host, &pass.netns, &key).filter(|set| set.value == 1)
        });
        let Some(set) = set else { return true };
        let place = self.place_of(pass);
        self.lost(way, Outcome::Dropped, Reason::NotLocalNoForward, place, Some(set.evidence));
        false
    }

    /// Whether a packet that came in by a device may be for an address of loopback: only with
    /// `route_localnet` (ip-sysctl; `ip_route_input_slow`, net/ipv4/route.c).
    pub(super) fn loopback_is_possible(&mut self, way: &mut Way, pass: &Pass, to: IpAddr) -> bool {
        let Some(input) = pass.input.and_then(|input| self.device(input)) else { return true };
        if !to.is_loopback() || !to.is_ipv4() || input.kind == NetdevKind::Loopback {
            return true;
        }
        let own = input.name().replace('.', "/");
        let key = |dev: &str| format!("net.ipv4.conf.{dev}.route_localnet");
        let sets = ["all", &own].map(|dev| self.setting(pass.host, &pass.netns, &key(dev)));
        if sets.iter().flatten().any(|set| set.value == 1) {
            return true;
        }
        let place = self.place_of(pass);
        match sets {
            [Some(_), Some(set)] => {
                let evidence = Some(set.evidence);
                self.lost(way, Outcome::Blackholed, Reason::Martian, place, evidence);
                false
            }
            _ => {
                let need = Need::command("sysctl").with(&key(&own)).within(&pass.netns);
                self.may_stop(way, place, Reason::Martian, vec![need]);
                true
            }
        }
    }
}
