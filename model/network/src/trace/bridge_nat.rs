//! Frames on a bridge that rules in PREROUTING gave another destination (`br_nf_pre_routing_finish`,
//! net/bridge/br_netfilter_hooks.c): they are routed, and go up into the host where the route leads
//! elsewhere, or on to the neighbour where it leads back out of the bridge.
use tapline_topology::Topic;

use crate::{Answer, l3};

use super::neighbour::Found;
use super::netfilter::{Bridged, Pass};
use super::{Outcome, Reason, Walk, Way};

impl Walk<'_, '_, '_> {
    /// Passes on a frame whose packet has another destination than it came with.
    pub(super) fn redirect_on_bridge(&mut self, mut way: Way, pass: &Pass, bridged: Bridged) {
        let place = self.place_of(pass);
        let Some(bridge) = self.device(bridged.bridge) else { return };
        let Some(to) = way.packet.destination() else {
            self.unknown(&mut way, place, Reason::PacketOpen, Vec::new());
            return;
        };
        let Some(fib) = self.network.fib(pass.host, &pass.netns) else {
            let needs = self.network.missing(pass.host, &pass.netns, &[Topic::AllRoutes]);
            self.unknown(&mut way, place, Reason::NotCaptured, needs);
            return;
        };
        let mark = way.packet.mark();
        let query = l3::Query {
            to,
            from: way.packet.source(),
            iif: Some(bridge.name()),
            mark: (mark.known == u32::MAX).then_some(mark.value),
            tos: way.packet.tos(),
            transport: way.packet.transport(),
        };
        let decision = match fib.lookup(&query) {
            Answer::Known(decision) => decision,
            Answer::Unknown(needs) => {
                self.unknown(&mut way, place, Reason::NotCaptured, needs);
                return;
            }
        };
        let source = way.packet.mac_source();
        let back = match decision.hops() {
            [hop] if hop.dev.as_str() == bridge.name() => Some(hop.gateway.unwrap_or(to)),
            _ => None,
        };
        let mac = match back {
            None => super::device::mac_of(bridge),
            Some(next) => match self.resolve(pass, bridge.id, next) {
                Found::Known { mac, .. } => Some(mac),
                Found::Failed { evidence } => {
                    let reason = Reason::NeighFailed;
                    self.lost(&mut way, Outcome::Blackholed, reason, place, Some(evidence));
                    return;
                }
                Found::Nobody => None,
            },
        };
        if mac.is_none() {
            self.unknown(&mut way, place, Reason::NeighAbsent, Vec::new());
            return;
        }
        way.packet.set_macs(source, mac);
        let (from, vlan) = (Some(bridged.from), bridged.vlan);
        self.forward_on_bridge(way, bridge, from, vlan, Some(pass));
    }
}
