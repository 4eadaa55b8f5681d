//! Bridges that have no port for anybody but the host itself: what it sends by them goes nowhere.
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::NetdevKind;
use tapline_topology::{EdgeKind, NodeId, Topic};

use crate::{Answer, Network, defs};

impl Network<'_> {
    /// Whether a bridge has no other ports than those of the host itself, as complete captures show: the
    /// place that says what it is. `None` for what is no bridge.
    pub fn is_bare(&self, bridge: NodeId) -> Answer<Option<Evidence>> {
        if let Some(switch) = self.ovs_bridge(bridge) {
            let is_of_host = |interface: NodeId| {
                let device = self.device_of(interface);
                device.is_none_or(|device| device.netns().is_root())
            };
            let mut all = defs::interfaces_of(self, bridge).into_iter();
            let is_used = all.any(|interface| {
                interface.name() != switch.name()
                    && !(interface.kind == "internal" && is_of_host(interface.id))
            });
            let topics = [Topic::Ovs];
            return unless(is_used, switch.place(), || {
                self.missing(switch.host, &Netns::Root, &topics)
            });
        }
        let device = self.netdev(bridge).filter(|device| device.kind == NetdevKind::Bridge);
        let Some(device) = device else { return Answer::Known(None) };
        let is_used = !self.members(bridge).is_empty()
            || self.interface_of(bridge).is_some()
            || !self.topology.out(bridge, EdgeKind::StackedOn).is_empty();
        let topics = [Topic::Links, Topic::BridgeMembers];
        unless(is_used, device.place(), || self.missing(device.host, device.netns(), &topics))
    }
}

fn unless(
    is_used: bool,
    place: Option<Evidence>,
    missing: impl Fn() -> Vec<Need>,
) -> Answer<Option<Evidence>> {
    if is_used {
        return Answer::Known(None);
    }
    let missing = missing();
    if missing.is_empty() { Answer::Known(place) } else { Answer::Unknown(missing) }
}
