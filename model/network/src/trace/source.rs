//! Whether a packet may come from its source by its device (`fib_validate_source`): impossible
//! addresses, and `rp_filter`.
use std::net::IpAddr;

use tapline_core::need::Need;
use tapline_topology::{NodeId, Topic};

use crate::{Answer, defs, l3};

use super::netfilter::Pass;
use super::{Outcome, Reason, Walk, Way};

impl Walk<'_, '_, '_> {
    /// Whether a packet may come from its source by its device (`fib_validate_source`).
    pub(super) fn source_is_possible(&mut self, way: &mut Way, pass: &Pass) -> bool {
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
}
