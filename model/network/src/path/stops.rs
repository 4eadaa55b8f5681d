//! What stops frames between two nodes of a path, and what would tell whether something does.
use tapline_core::need::Need;
use tapline_topology::graph::OvsPort;
use tapline_topology::{EdgeKind, NodeId};

use super::{Frame, Paths};
use crate::Answer;
use crate::defs::DEAD_VLAN;
use crate::l2::{self, Block, Why};
use crate::steps::Towards;

/// What tells whether a guest tags what it sends.
const IN_THE_GUEST: Need =
    Need::Other("ip -d link, in the guest: it has to tag its frames with a VLAN of the trunk");

/// What tells whether a network has members on other hosts, without which nothing has to leave.
const OF_OTHER_HOSTS: Need = Need::Other(
    "openstack port list --network, of the network: whether other hosts have ports of it",
);

impl Paths<'_, '_> {
    /// Whether a frame passes from one node to the next: `next` is what is known of it there.
    pub(super) fn passes(
        &self,
        (from, at, node): (Option<NodeId>, NodeId, NodeId),
        towards: Towards,
        frame: Frame,
        next: Frame,
    ) -> Answer<Option<Block>> {
        let network = self.network;
        let is_down = towards == Towards::Wire;
        let vlan = frame.vlan.filter(|_| is_down);
        let between = from.and_then(|from| {
            let blocked = network.blocked_between_in(from, node, vlan);
            let of_guest = self.sender.filter(|_| is_down);
            blocked.or_else(|| network.filtered_between(from, node, of_guest)).or_else(|| {
                // Who sends is the guest, whichever way the path goes.
                if is_down {
                    network.filtered_as_ip(from, node, self.sender)
                } else {
                    network.filtered_as_ip(node, from, None)
                }
            })
        });
        let protected =
            frame.entry.and_then(|entry| network.switch_ports().blocked_between(entry, node));
        let of_function = || network.function_stops(at).filter(|_| network.netdev(node).is_some());
        let stopped = between
            .or(protected)
            .or_else(of_function)
            .or_else(|| self.refused_by_bridge(at, node, vlan))
            .or_else(|| self.not_sent_by(at, node, vlan))
            .or_else(|| self.refused_by_filter(at, node).filter(|_| is_down))
            .or_else(|| self.misses_exit(node, towards, next))
            .or_else(|| self.refused_by_access(at, frame, next).filter(|_| is_down))
            .or_else(|| self.kept_for_mirror(at, frame, node, next))
            .or_else(|| self.dropped(node, next));
        if let Some(block) = stopped {
            let may_be_meant = block.why == Why::Dropped && self.may_be_alone(node, next);
            return if may_be_meant {
                Answer::Unknown(vec![OF_OTHER_HOSTS])
            } else {
                Answer::Known(Some(block))
            };
        }
        let asks = |need: Option<Need>| match need {
            Some(need) => Answer::Unknown(vec![need]),
            None => Answer::Known(None),
        };
        // The first that is not a plain yes.
        let locked = || self.is_locked_out(at, node);
        let handed = || asks(self.asks_controller(node, next));
        let grouped = || asks(self.asks_for_groups(node, next));
        let by_itself = || network.passes_both_ways(node);
        let by_vlans = || asks(self.asks_for_vlans(at, node));
        let tagged = || asks(self.asks_for_tag(node, frame).filter(|_| is_down));
        let to_bridge = || asks(self.asks_for_tag_at(at, node, frame).filter(|_| is_down));
        let steps: [&dyn Fn() -> Answer<Option<Block>>; 7] =
            [&by_itself, &locked, &handed, &grouped, &by_vlans, &tagged, &to_bridge];
        let all = steps.into_iter().map(|step| step());
        let mut open = None;
        for answer in all {
            match answer {
                Answer::Known(Some(_)) => return answer,
                Answer::Unknown(_) if open.is_none() => open = Some(answer),
                _ => {}
            }
        }
        open.unwrap_or(Answer::Known(None))
    }

    /// Whether the flows of a bridge may drop a frame since no other host has its network.
    fn may_be_alone(&self, node: NodeId, frame: Frame) -> bool {
        let bridge = self.network.ovs_bridge(node);
        bridge.zip(frame.local).is_some_and(|(bridge, local)| {
            !self.network.is_integration(node)
                && self.network.exits().may_be_alone(bridge.host, local)
        })
    }

    /// What of the filters of a Linux bridge stops who sends the frames.
    fn refused_by_filter(&self, port: NodeId, bridge: NodeId) -> Option<Block> {
        let sender = self.sender.filter(|_| self.is_bridged(port, bridge))?;
        self.network.filtered_from(port, sender)
    }

    /// Whether a locked port of a Linux bridge keeps out who sends the frames.
    fn is_locked_out(&self, port: NodeId, bridge: NodeId) -> Answer<Option<Block>> {
        match self.sender.filter(|_| self.is_bridged(port, bridge)) {
            Some(sender) => self.network.lets_in(port, sender),
            None => Answer::Known(None),
        }
    }

    /// What stops a frame on the integration bridge: the bridge that carries its VLAN is not joined
    /// with it.
    pub(super) fn misses_exit(
        &self,
        node: NodeId,
        towards: Towards,
        frame: Frame,
    ) -> Option<Block> {
        let bridge = self.network.ovs_bridge(node).filter(|_| towards == Towards::Wire)?;
        if !self.network.is_integration(node) || self.exits_of_datapath(frame).is_some() {
            return None;
        }
        let lost = self.network.exits().ways(bridge.host, frame.vlan?).missed()?;
        let name = self.network.topology.node(lost.bridge)?.name.clone();
        Some(Block { why: Why::NotJoined(name), evidence: lost.evidence })
    }

    /// What keeps a frame from leaving a bridge by a port that leads to the wire: no flow sends to the
    /// port, or it carries other VLANs.
    pub(super) fn left_out(
        &self,
        at: NodeId,
        node: NodeId,
        towards: Towards,
        frame: Frame,
    ) -> Option<Block> {
        if towards == Towards::Guests {
            return None;
        }
        if let Some(device) = self.network.netdev(node) {
            let tag = device.data.records.iter().find_map(|seen| {
                let vlan = seen.record.kind_data.vlan.as_ref()?;
                Some(vlan.id.evidence(seen.source))
            });
            return Some(Block { why: Why::Vlan(frame.vlan?), evidence: tag? });
        }
        let (bridge, port) = (self.network.ovs_bridge(at)?, self.network.ovs_port(node)?);
        if let Some(passage) = self.passage(frame) {
            if !passage.normal {
                return Some(Block { why: Why::NoFlow, evidence: passage.evidence });
            }
        } else if let Some(program) = self.network.programs().of(at)
            && !self.interfaces(node).any(|interface| program.outputs.contains(&interface))
        {
            return Some(Block { why: Why::NoFlow, evidence: program.evidence });
        }
        let Some(vlan) = frame.vlan else {
            let entry = self.network.ovs_port(frame.entry?)?;
            let trunk =
                entry.data.trunks.first().filter(|_| !self.have_common_vlan(frame, port))?;
            return Some(Block { why: Why::Vlan(trunk.value), evidence: trunk.evidence });
        };
        let exits = self.network.exits();
        let mut of_port = self.interfaces(node).filter_map(|id| exits.at(bridge.host, id));
        let other = |exit| !exits.of(bridge.host, vlan).contains(&exit);
        let is_other = self.network.is_integration(at) && of_port.next().is_some_and(other);
        if self.exits_of_datapath(frame).is_some() || is_other || l2::carries(port.data, vlan) {
            return None;
        }
        let tag = port.data.tag.as_ref().map(|tag| tag.evidence);
        let evidence = tag.or_else(|| port.data.trunks.first().map(|trunk| trunk.evidence))?;
        Some(Block { why: Why::Vlan(vlan), evidence })
    }

    /// Whether the flows of a bridge drop whatever comes in as a frame does, or NORMAL does since the
    /// port is not in its VLAN.
    pub(super) fn dropped(&self, node: NodeId, frame: Frame) -> Option<Block> {
        self.network.ovs_bridge(node)?;
        let passage = self.passage(frame);
        if let Some(passage) = passage.filter(|passage| passage.is_drop()) {
            return Some(Block { why: Why::Dropped, evidence: passage.evidence });
        }
        let is_normal = match passage {
            Some(passage) => passage.outputs.is_empty(),
            None => self.network.is_plain(node),
        };
        let vlan = frame.vlan.filter(|vlan| is_normal && *vlan != DEAD_VLAN)?;
        let port =
            self.network.ovs_port(frame.entry?).filter(|port| !l2::carries(port.data, vlan))?;
        let evidence = port.data.trunks.first()?.evidence;
        Some(Block { why: Why::Vlan(vlan), evidence })
    }

    /// What would tell where a frame goes that a bridge hands to its controller.
    pub(super) fn asks_controller(&self, node: NodeId, frame: Frame) -> Option<Need> {
        const WHILE_IT_SENDS: Need =
            Need::Other("ovs-ofctl dump-flows, taken while the port sends: its controller decides");
        self.network.ovs_bridge(node)?;
        self.passage(frame).filter(|passage| passage.controller).map(|_| WHILE_IT_SENDS)
    }

    /// The command that tells where a frame goes that the flows of a bridge send to groups.
    fn asks_for_groups(&self, node: NodeId, frame: Frame) -> Option<Need> {
        let bridge = self.network.ovs_bridge(node).filter(|_| frame.to_groups)?;
        Some(Need::command("ovs-ofctl -O OpenFlow13 dump-groups").with(bridge.name()))
    }

    /// The same for a port of a Linux bridge that takes nothing without a tag.
    fn asks_for_tag_at(&self, port: NodeId, bridge: NodeId, frame: Frame) -> Option<Need> {
        let network = self.network;
        let filters = network.netdev(bridge).is_some_and(|bridge| network.filters_vlans(bridge));
        let is_of_guest = !network.topology.into(port, EdgeKind::AttachesVm).is_empty();
        if !filters || !is_of_guest || frame.vlan.is_some() || !self.is_bridged(port, bridge) {
            return None;
        }
        let vlans = network.bridge_ports().vlans(port)?;
        (vlans.pvid.is_none() && !vlans.ranges.is_empty()).then_some(IN_THE_GUEST)
    }

    /// What would tell whether a guest on a port that takes tags and frames without one gets out by a
    /// trunk that carries tagged frames alone: only the guest knows whether it tags what it sends.
    fn asks_for_tag(&self, node: NodeId, frame: Frame) -> Option<Need> {
        let (port, entry) = (self.network.ovs_port(node)?, self.network.ovs_port(frame.entry?)?);
        let is_trunk = |port: &OvsPort| !port.trunks.is_empty();
        let is_of_guest = self.interfaces(entry.id).any(|id| {
            self.network.ovs_interface(id).is_some_and(|interface| interface.kind != "patch")
        });
        let only_tagged = is_trunk(port.data)
            && !l2::carries(port.data, 0)
            && l2::vlan_of_untagged(port.data).is_none();
        let may_lack = frame.vlan.is_none() && !is_trunk(entry.data) && is_of_guest;
        let is_plain = self.passage(frame).is_none_or(|passage| passage.outputs.is_empty());
        (only_tagged && may_lack && is_plain).then_some(IN_THE_GUEST)
    }

    /// Whether NORMAL leaves a port out that a mirror sends its copies by. Flows that name it use it.
    fn kept_for_mirror(
        &self,
        at: NodeId,
        frame: Frame,
        node: NodeId,
        next: Frame,
    ) -> Option<Block> {
        let network = self.network;
        let (port, bridge, inside) = match network.ovs_bridge(node) {
            Some(bridge) => (at, bridge.id, next),
            None => (node, network.ovs_bridge(at)?.id, frame),
        };
        let evidence = network.switch_ports().mirror(port)?;
        let is_normal = match self.passage(inside) {
            Some(passage) => passage.normal && passage.outputs.is_empty(),
            None => network.is_plain(bridge),
        };
        is_normal.then_some(Block { why: Why::MirrorPort, evidence })
    }

    /// Whether an access port of OVS drops a frame since it has a tag (`input_vid_is_valid`,
    /// ofproto/ofproto-dpif-xlate.c).
    pub(super) fn refused_by_access(&self, at: NodeId, frame: Frame, next: Frame) -> Option<Block> {
        let port = self.network.ovs_port(at)?;
        let tunnels_tags =
            port.data.vlan_mode.as_ref().is_some_and(|mode| mode.value == "dot1q-tunnel");
        l2::access_vlan(port.data).filter(|_| !tunnels_tags)?;
        let vlan = frame.vlan.filter(|vlan| *vlan != 0)?;
        let is_normal = match self.passage(next) {
            Some(passage) => passage.normal && passage.outputs.is_empty(),
            None => {
                let bridge = next.entry.and_then(|entry| self.bridge_of(entry))?;
                self.network.is_plain(bridge)
            }
        };
        let evidence = port.data.tag.as_ref()?.evidence;
        is_normal.then_some(Block { why: Why::Vlan(vlan), evidence })
    }

    fn bridge_of(&self, port: NodeId) -> Option<NodeId> {
        let bridges = self.network.topology.out(port, EdgeKind::OvsPortOf);
        bridges.first().map(|(bridge, _)| *bridge)
    }

    /// The command that tells whether a Linux bridge takes a frame, where it tells VLANs apart and
    /// those of the port were not captured.
    pub(super) fn asks_for_vlans(&self, at: NodeId, node: NodeId) -> Option<Need> {
        let network = self.network;
        let (bridge, port) = if self.is_bridged(at, node) {
            (node, at)
        } else if self.is_bridged(node, at) {
            (at, node)
        } else {
            return None;
        };
        let bridge = network.netdev(bridge).filter(|bridge| network.filters_vlans(*bridge))?;
        let is_open = network.bridge_ports().vlans(port).is_none();
        is_open.then(|| Need::command("bridge vlan show").within(bridge.netns()))
    }

    /// What keeps a Linux bridge that tells VLANs apart from taking a frame: the port, or the bridge
    /// itself for a VLAN device on it, is not in the VLAN of the tag, or has none for frames without.
    pub(super) fn refused_by_bridge(
        &self,
        at: NodeId,
        node: NodeId,
        tag: Option<u16>,
    ) -> Option<Block> {
        let network = self.network;
        let bridge = network.netdev(node).filter(|bridge| network.filters_vlans(*bridge))?;
        let is_port = network.master(at).is_some_and(|master| master.id == bridge.id);
        let above = network.netdev(at).and_then(l2::vlan_of);
        let (port, tag) = match (is_port, above) {
            (true, _) => (at, tag?),
            (false, above) => (node, above?),
        };
        let vlans = network.bridge_ports().vlans(port)?;
        let evidence = vlans.evidence?;
        let takes = match tag {
            0 => vlans.pvid.is_some(),
            vlan => vlans.contains(vlan),
        };
        (!takes).then_some(Block { why: Why::Vlan(tag), evidence })
    }

    /// What keeps a Linux bridge that tells VLANs apart from sending a frame of a VLAN by a port.
    pub(super) fn not_sent_by(&self, at: NodeId, node: NodeId, vlan: Option<u16>) -> Option<Block> {
        let network = self.network;
        let bridge = network.netdev(at).filter(|bridge| network.filters_vlans(*bridge))?;
        let vlan = vlan.filter(|vlan| *vlan != 0 && self.is_bridged(node, bridge.id))?;
        let vlans = network.bridge_ports().vlans(node)?;
        let evidence = vlans.evidence?;
        (!vlans.contains(vlan)).then_some(Block { why: Why::Vlan(vlan), evidence })
    }
}
