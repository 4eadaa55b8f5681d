//! What `NORMAL` does: the VLAN of a packet by the port that it came from, what the bridge has
//! learnt, and the ports that carry the VLAN (ofproto/ofproto-dpif-xlate.c, `xlate_normal`).
use tapline_core::ids::Mac;
use tapline_core::span::Evidence;
use tapline_topology::NodeId;
use tapline_topology::graph::{OvsBridge, OvsPort};

use crate::defs::DEAD_VLAN;
use crate::l2::{OvsBond, Sends};
use crate::ovs_switches::Switch;
use crate::{Item, Network};

use super::{Certainty, Packet, Reason};

/// What becomes of a packet.
pub(super) enum Normal {
    Lost {
        reason: Reason,
        evidence: Option<Evidence>,
    },
    /// A field that decides is not known.
    Open,
    To {
        /// Interfaces, each with the tags of its copy.
        outputs: Vec<(NodeId, Vec<u16>)>,
        /// The port is one that the agent has not wired: nobody but other such ports hears it.
        dead: Option<Evidence>,
        /// What was learnt is not known: one of them gets it, or all.
        open: bool,
        words: String,
        evidence: Option<Evidence>,
        certainty: Certainty,
    },
}

/// How a port treats VLANs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Access,
    Trunk,
    NativeTagged,
    NativeUntagged,
    Tunnel,
}

struct Port<'p> {
    data: &'p OvsPort,
    mode: Mode,
    tag: u16,
}

impl<'p> Port<'p> {
    fn of(data: &'p OvsPort) -> Self {
        let tag = data.tag.as_ref().map(|tag| tag.value);
        let mode = match data.vlan_mode.as_ref().map_or("", |mode| mode.value.as_str()) {
            "access" => Mode::Access,
            "trunk" => Mode::Trunk,
            "native-tagged" => Mode::NativeTagged,
            "native-untagged" => Mode::NativeUntagged,
            "dot1q-tunnel" => Mode::Tunnel,
            _ if tag.is_some() => Mode::Access,
            _ => Mode::Trunk,
        };
        Self { data, mode, tag: tag.unwrap_or(0) }
    }

    /// Ports with a native VLAN always carry it, and never VLAN 0 (ofproto-dpif.c, `bundle_set`).
    fn trunks(&self, vlan: u16) -> bool {
        match self.mode {
            Mode::Access | Mode::Tunnel => return false,
            Mode::NativeTagged | Mode::NativeUntagged => {
                if vlan == self.tag {
                    return true;
                }
                if vlan == 0 && self.tag != 0 {
                    return false;
                }
            }
            Mode::Trunk => {}
        }
        let trunks = &self.data.trunks;
        trunks.is_empty() || trunks.iter().any(|trunk| trunk.value == vlan)
    }

    /// Whether packets of these VLANs, the outer one first, go out by the port.
    fn carries(&self, vlans: &[u16]) -> bool {
        let outer = vlans.first().copied().unwrap_or(0);
        let inner = vlans.get(1).copied().unwrap_or(0);
        match self.mode {
            Mode::Access => outer == self.tag && inner == 0,
            Mode::Tunnel => outer == self.tag,
            _ => self.trunks(outer),
        }
    }

    /// The tags of a packet that goes out by the port.
    fn output(&self, vlans: &[u16]) -> Vec<u16> {
        let pops = match self.mode {
            Mode::Access | Mode::Tunnel => true,
            Mode::NativeUntagged => vlans.first() == Some(&self.tag),
            _ => false,
        };
        let rest = if pops { vlans.get(1..).unwrap_or(&[]) } else { vlans };
        rest.iter().copied().filter(|vid| *vid != 0).collect()
    }
}

/// Addresses that a bridge drops unless it is told to forward them (lib/packets.c,
/// `eth_addr_is_reserved`).
fn is_reserved(mac: Mac) -> bool {
    match mac.0 {
        [0x01, 0x80, 0xc2, 0x00, 0x00, last] => last <= 0x10,
        [0x01, 0x00, 0x0c, rest @ ..] => {
            matches!(rest, [0xcc, 0xcc, 0xcc | 0xcd] | [0xcd, 0xcd, 0xcd] | [0x00, 0x00, 0x00])
        }
        [0x00, 0xe0, 0x2b, 0x00, 0x00, last] => matches!(last, 0 | 4 | 6),
        [0x00, 0xe0, 0x52, 0x00, 0x00, 0x00] => true,
        _ => false,
    }
}

/// Forwards as a learning switch does.
pub(super) fn forward(
    network: &Network<'_>,
    switch: &Switch<'_>,
    bridge: Item<'_, OvsBridge>,
    from: NodeId,
    packet: &Packet,
    gone: impl Fn(NodeId) -> bool,
) -> Normal {
    let Some(tags) = packet.vlans() else { return Normal::Open };
    let bundle = switch.bundles.iter().find(|(_, interfaces)| interfaces.contains(&from));
    let Some((port, _)) = bundle else { return Normal::Open };
    let Some(port) = network.ovs_port(*port) else { return Normal::Open };
    if let Some(evidence) = network.switch_ports().mirror(port.id) {
        return Normal::Lost { reason: Reason::MirrorPort, evidence: Some(evidence) };
    }
    let rules = Port::of(port.data);
    let vid = tags.first().copied().unwrap_or(0);
    let tag_at = port.data.tag.as_ref().map(|tag| tag.evidence).or_else(|| port.place());
    let mut vlans: Vec<u16> = match rules.mode {
        Mode::Access if vid != 0 => {
            return Normal::Lost { reason: Reason::OvsAccessGotTagged, evidence: tag_at };
        }
        Mode::Access => vec![rules.tag],
        Mode::Tunnel => std::iter::once(rules.tag).chain(tags.iter().copied()).collect(),
        Mode::NativeTagged | Mode::NativeUntagged if vid == 0 => {
            std::iter::once(rules.tag).chain(tags.iter().skip(1).copied()).collect()
        }
        _ if !rules.trunks(vid) => {
            return Normal::Lost { reason: Reason::OvsVlanNotTrunked, evidence: tag_at };
        }
        _ if tags.is_empty() => vec![0],
        _ => tags.clone(),
    };
    if vlans.is_empty() {
        vlans.push(0);
    }
    let vlan = vlans.first().copied().unwrap_or(0);
    // To the switch it is a VLAN like others, in which such ports hear each other. Neutron's agent gives it
    // to ports that it has not wired, and nothing takes what leaves one by a trunk.
    let is_dead = vlan == DEAD_VLAN && rules.mode == Mode::Access;
    let wanted = packet.mac_destination();
    if wanted.is_none() {
        return Normal::Open;
    }
    let wanted = wanted.filter(|_| packet.unresolved.is_none());
    let to_all = packet.is_multicast() == Some(true);
    let drops = network.switch_ports().bond(port.id).and_then(|bond| bond.drops(from, to_all));
    if let Some(evidence) = drops {
        return Normal::Lost { reason: Reason::BondBackup, evidence: Some(evidence) };
    }
    if wanted.is_some_and(is_reserved) {
        let told = bridge
            .data
            .external_ids
            .iter()
            .any(|(key, value)| key == "forward-bpdu" && value.value == "true");
        if !told {
            return Normal::Lost { reason: Reason::ReservedMac, evidence: bridge.place() };
        }
    }
    let learnt = wanted.filter(|mac| !mac.is_multicast()).and_then(|mac| {
        let (number, at) = switch.fdb.as_ref()?.get(&(vlan, mac))?;
        Some((*switch.ports.get(number)?, *at))
    });
    if let Some((interface, at)) = learnt {
        let bundle = switch.bundles.iter().find(|(_, all)| all.contains(&interface));
        if let Some((to, all)) = bundle {
            if all.contains(&from) {
                return Normal::Lost { reason: Reason::FdbPointsBack, evidence: Some(at) };
            }
            // Both are `protected` (ovs-vswitchd.conf.db(5)).
            if let Some(block) = network.switch_ports().blocked_between(port.id, *to) {
                let evidence = Some(block.evidence);
                return Normal::Lost { reason: Reason::L2DeadEnd, evidence };
            }
            let sends = member_of(network, *to, all, &gone);
            let interface = sends.map_or(interface, |sends| sends.member);
            if let Some(to) = network.ovs_port(*to) {
                let output = Port::of(to.data).output(&vlans);
                return Normal::To {
                    dead: None,
                    outputs: vec![(interface, output)],
                    open: false,
                    words: format!("learnt at {} for VLAN {vlan}", to.name()),
                    evidence: Some(at),
                    certainty: sureness(all, sends),
                };
            }
        }
    }
    let mut outputs = Vec::new();
    let mut sure = Certainty::Proven;
    for (id, interfaces) in &switch.bundles {
        let ports = network.switch_ports();
        if interfaces.contains(&from)
            || ports.mirror(*id).is_some()
            || ports.blocked_between(port.id, *id).is_some()
            || !interfaces.iter().all(|interface| ports.is_flooded(*interface))
        {
            continue;
        }
        let (Some(to), Some(first)) = (network.ovs_port(*id), interfaces.first()) else { continue };
        let rules = Port::of(to.data);
        if rules.carries(&vlans) && (!is_dead || rules.mode == Mode::Access) {
            let sends = member_of(network, *id, interfaces, &gone);
            sure = sure.min(sureness(interfaces, sends));
            let interface = sends.map_or(*first, |sends| sends.member);
            outputs.push((interface, rules.output(&vlans)));
        }
    }
    if outputs.is_empty() {
        let reason = if is_dead { Reason::DeadVlan } else { Reason::L2DeadEnd };
        return Normal::Lost { reason, evidence: tag_at };
    }
    let multicast = wanted.is_some_and(Mac::is_multicast);
    let certain = multicast || switch.fdb.is_some() && wanted.is_some();
    let words = match (multicast, wanted) {
        (true, _) => format!("floods VLAN {vlan}"),
        (false, Some(_)) => format!("not learnt: floods VLAN {vlan}"),
        (false, None) => format!("to an address that is not known: floods VLAN {vlan}"),
    };
    Normal::To {
        dead: tag_at.filter(|_| is_dead),
        open: outputs.len() > 1 && !multicast && switch.fdb.is_none(),
        outputs,
        words,
        evidence: None,
        certainty: if certain { sure } else { Certainty::Inferred },
    }
}

/// The member by which a port sends; a port that is no bond has one.
fn member_of(
    network: &Network<'_>,
    port: NodeId,
    interfaces: &[NodeId],
    gone: impl Fn(NodeId) -> bool,
) -> Option<Sends> {
    let left: Vec<NodeId> = interfaces.iter().copied().filter(|member| !gone(*member)).collect();
    let works =
        |id: NodeId| network.device_of(id).is_none_or(|device| device.usable() != Some(false));
    if interfaces.len() < 2 {
        let member = *interfaces.first()?;
        return Some(Sends { member, evidence: None });
    }
    let unknown = OvsBond::default();
    network.switch_ports().bond(port).unwrap_or(&unknown).sends(&left, works)
}

/// How sure it is by which member a port sends.
fn sureness(interfaces: &[NodeId], sends: Option<Sends>) -> Certainty {
    let told = sends.is_some_and(|sends| sends.evidence.is_some());
    if interfaces.len() < 2 || told { Certainty::Proven } else { Certainty::Inferred }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_addresses_are_never_forwarded() {
        for (mac, told) in [
            ("01:80:c2:00:00:00", true),
            ("01:80:c2:00:00:10", true),
            ("01:80:c2:00:00:11", false),
            ("01:80:c2:00:01:00", false),
            ("01:00:0c:cc:cc:cc", true),
            ("01:00:0c:cc:cc:cd", true),
            ("01:00:0c:cd:cd:cd", true),
            ("01:00:0c:00:00:00", true),
            ("01:00:0c:cc:cc:ce", false),
            ("00:e0:2b:00:00:00", true),
            ("00:e0:2b:00:00:04", true),
            ("00:e0:2b:00:00:05", false),
            ("00:e0:52:00:00:00", true),
            ("00:e0:52:00:00:01", false),
            ("ff:ff:ff:ff:ff:ff", false),
        ] {
            assert_eq!(is_reserved(mac.parse().unwrap()), told, "{mac}");
        }
    }
}
