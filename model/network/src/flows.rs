//! What the flows of bridges say: the dumps of each bridge, its OpenFlow ports, and the few fields
//! of a flow that rules compare.
use std::collections::BTreeMap;
use tapline_core::need::Need;
use tapline_topology::Topic;

use tapline_core::capture::{HostId, Source};
use tapline_core::records::Batch;
use tapline_core::records::openflow::{
    Action, Flow, FlowAction, OfField, OfPort, OfSwitch, Subfield,
};
use tapline_core::span::{At, Evidence, SourceId, Span};
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{OvsBridge, OvsInterface};

use crate::{Item, Network};

/// Table that OVS fills for itself; `ovs-appctl bridge/dump-flows` shows it.
const HIDDEN_TABLE: u8 = 254;

/// One dump of the flows of one bridge.
#[derive(Clone, Debug)]
pub struct Dump<'a> {
    /// The text.
    pub source: SourceId,
    /// Its flows, without those that OVS makes for itself.
    pub flows: Vec<&'a Flow>,
}

impl Dump<'_> {
    /// Where a flow is printed.
    pub fn line(&self, flow: &Flow) -> Evidence {
        Evidence { source: self.source, span: flow.at }
    }
}

/// The complete dumps of each bridge, those with most flows first.
#[derive(Debug, Default)]
pub struct Flows<'a> {
    all: BTreeMap<HostId, BTreeMap<&'a str, Vec<Dump<'a>>>>,
}

impl<'a> Flows<'a> {
    /// Gathers them.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut flows = Self::default();
        for (source, reading) in network.texts_of("flow") {
            let Batch::Flows(records) = &reading.records else { continue };
            let whole = network.topology.snapshot.completeness(source.id).is_complete();
            // A text without as much as a heading may be of a command that said nothing.
            if !whole || reading.lines.unread > 0 || source.text.trim().is_empty() {
                continue;
            }
            let Some(bridge) = bridge_of(network, source) else { continue };
            let shown =
                records.iter().filter(|record| record.table.value != HIDDEN_TABLE).collect();
            let dumps = flows.all.entry(source.host).or_default().entry(bridge).or_default();
            dumps.push(Dump { source: source.id, flows: shown });
        }
        for dumps in flows.all.values_mut().flat_map(BTreeMap::values_mut) {
            // `ovs-ofctl` tells how long ago a flow was used, `ovs-appctl` does not.
            let aged = |it: &Dump<'_>| it.flows.first().is_some_and(|flow| flow.idle_age.is_some());
            dumps.sort_by_key(|dump| {
                (std::cmp::Reverse(dump.flows.len()), !aged(dump), dump.source)
            });
        }
        flows
    }

    /// The complete dumps of a bridge.
    pub fn of(&self, host: HostId, bridge: &str) -> &[Dump<'a>] {
        self.all.get(&host).and_then(|it| it.get(bridge)).map_or(&[], Vec::as_slice)
    }

    /// The dump of a bridge that shows most.
    pub fn best(&self, host: HostId, bridge: &str) -> Option<&Dump<'a>> {
        self.of(host, bridge).first()
    }

    /// The dumps of a bridge, as searched for `key` in vain.
    pub fn searched(&self, host: HostId, bridge: &str, key: &str) -> Searched {
        let dumps = self.of(host, bridge).iter().take(3);
        Searched {
            keys: vec![key.to_owned()],
            sources: dumps.map(|dump| (dump.source, dump.flows.len())).collect(),
            namespaces: 0,
        }
    }
}

/// The command that shows the flows of a bridge.
pub fn command(bridge: &str) -> Need {
    Need::about(Topic::Flows, bridge)
}

/// A listing of the ports of a bridge, and its text.
pub type Listing<'a> = (SourceId, &'a OfSwitch);

/// The OpenFlow ports of each bridge, as the switch itself lists them.
#[derive(Debug, Default)]
pub struct Switches<'a> {
    all: BTreeMap<HostId, BTreeMap<&'a str, Vec<Listing<'a>>>>,
}

impl<'a> Switches<'a> {
    /// Gathers the complete listings.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut all: BTreeMap<_, BTreeMap<_, Vec<_>>> = BTreeMap::new();
        for (source, reading) in network.texts_of("of-switch") {
            let Batch::OfSwitches(switches) = &reading.records else { continue };
            let whole = network.topology.snapshot.completeness(source.id).is_complete();
            // A listing of one port names it behind the bridge.
            let [switch] = switches.as_slice() else { continue };
            let lists = switch.ports.iter().any(|port| port.port.value == OfPort::Local);
            if !whole || reading.lines.unread > 0 || !lists {
                continue;
            }
            if let Some(bridge) = bridge_of(network, source) {
                let listings = all.entry(source.host).or_default().entry(bridge).or_default();
                listings.push((source.id, switch));
            }
        }
        Self { all }
    }

    /// The listings of a bridge.
    pub fn of(&self, host: HostId, bridge: &str) -> &[Listing<'a>] {
        self.all.get(&host).and_then(|it| it.get(bridge)).map_or(&[], Vec::as_slice)
    }

    /// The number or name of a port as flows print it, by the name of its interface.
    pub fn is(&self, host: HostId, bridge: &str, port: &OfPort, interface: &str) -> bool {
        match port {
            OfPort::Name(name) => name == interface,
            OfPort::Local => bridge == interface,
            OfPort::Number(_) => self.of(host, bridge).iter().any(|(_, switch)| {
                let mut ports = switch.ports.iter();
                ports.any(|it| it.port.value == *port && it.name.value == interface)
            }),
        }
    }
}

/// The bridge of the database that a command is about: its name, or its management socket.
fn bridge_of<'a>(network: &Network<'a>, source: &Source) -> Option<&'a str> {
    source.command.args().iter().find_map(|word| {
        let name = word.rsplit('/').next().unwrap_or(word);
        let name = name.strip_suffix(".mgmt").unwrap_or(name);
        Some(network.bridge_called(source.host, name)?.name())
    })
}

/// The first line of a text.
pub fn first_line(network: &Network<'_>, source: SourceId) -> Evidence {
    let text = network.topology.snapshot.source(source).map_or("", |source| source.text.as_str());
    let end = text.lines().next().map_or(0, str::len);
    Evidence { source, span: Span { start: 0, end: u32::try_from(end).unwrap_or(u32::MAX) } }
}

/// All actions, those within others too.
pub fn actions(flow: &Flow) -> impl Iterator<Item = &FlowAction> {
    let mut open: Vec<&FlowAction> = flow.actions.iter().rev().collect();
    std::iter::from_fn(move || {
        let next = open.pop()?;
        if let Action::Nested { actions, .. } = &next.action {
            open.extend(actions.iter().rev());
        }
        Some(next)
    })
}

/// The ports that a flow sends packets to.
pub fn outputs(flow: &Flow) -> impl Iterator<Item = (&OfPort, Span)> {
    actions(flow).filter_map(|action| match &action.action {
        Action::Output { port } => Some((port, action.text.span)),
        _ => None,
    })
}

/// The ports that a flow sends packets to, each with the VLAN that they are given before, 0 where
/// the tag is taken away; `None` where the tag is as it was.
pub fn outputs_in_vlans(flow: &Flow) -> Vec<(&OfPort, Option<u16>)> {
    let mut vlan = None;
    let mut all = Vec::new();
    for action in actions(flow) {
        match &action.action {
            Action::Output { port } => all.push((port, vlan)),
            Action::StripVlan => vlan = Some(0),
            action => vlan = gives_vlan(action).or(vlan),
        }
    }
    all
}

/// The number of a VLAN within a tag.
const VLAN: Subfield = Subfield { field: OfField::VlanTci, low: 0, bits: 12 };

/// The VLAN that packets must have, where it is one: `dl_vlan=3`, `vlan_vid=0x1003`,
/// `vlan_tci=0x1003/0x1fff`.
pub fn vlan(flow: &Flow) -> Option<u16> {
    u16::try_from(flow.wants(VLAN)?.value).ok().filter(|vid| *vid != 0)
}

/// The VLAN that a flow gives to packets.
pub fn sets_vlan(flow: &Flow) -> Option<u16> {
    actions(flow).find_map(|action| gives_vlan(&action.action))
}

fn gives_vlan(action: &Action) -> Option<u16> {
    match action {
        Action::ModVlan { vid } => Some(*vid),
        Action::SetField(set) => u16::try_from(set.bits?.value_of(VLAN)?).ok(),
        _ => None,
    }
}

/// The tunnel key that packets must have.
pub fn tunnel_id(flow: &Flow) -> Option<At<u64>> {
    let key = flow.wants(OfField::TunId.whole())?;
    Some(At::new(u64::try_from(key.value).ok()?, key.span))
}

/// The tunnel key that a flow gives to packets.
pub fn sets_tunnel(flow: &Flow) -> Option<u64> {
    actions(flow).find_map(|action| match &action.action {
        Action::SetTunnel { id } => Some(*id),
        Action::SetField(set) | Action::Load(set) => {
            u64::try_from(set.bits?.value_of(OfField::TunId.whole())?).ok()
        }
        _ => None,
    })
}

/// The OpenFlow number of an interface: of its row, or as the switch lists its ports.
pub fn number_of(
    network: &Network<'_>,
    bridge: Item<'_, OvsBridge>,
    interface: Item<'_, OvsInterface>,
) -> Option<u32> {
    let set = interface.ofport.as_ref().and_then(|port| u32::try_from(port.value).ok());
    let listed = || {
        network.switches().of(bridge.host, bridge.name()).iter().find_map(|(_, switch)| {
            let port = switch.ports.iter().find(|port| port.name.value == interface.name())?;
            match port.port.value {
                OfPort::Number(number) => Some(number),
                OfPort::Local => Some(OfPort::LOCAL),
                OfPort::Name(_) => None,
            }
        })
    };
    set.or_else(listed)
}

#[cfg(test)]
mod tests {
    use tapline_core::Name;
    use tapline_core::records::openflow::{Assignment, Bits, FlowMatch, FlowTest, Nesting};

    use super::*;

    const AT: Span = Span { start: 0, end: 0 };

    fn flow(matches: Vec<FlowTest>, actions: Vec<Action>) -> Flow {
        let value = At::new(Name::default(), AT);
        Flow {
            at: AT,
            bridge: None,
            table: At::new(Flow::DEFAULT_TABLE, AT),
            priority: At::new(1, AT),
            cookie: None,
            n_packets: None,
            n_bytes: None,
            duration: None,
            idle_age: None,
            hard_age: None,
            idle_timeout: None,
            hard_timeout: None,
            other: Vec::new(),
            matches: matches
                .into_iter()
                .map(|test| FlowMatch { key: Name::default(), value: value.clone(), test })
                .collect(),
            actions: actions
                .into_iter()
                .map(|action| FlowAction { text: value.clone(), action })
                .collect(),
        }
    }

    fn matched(value: u128, mask: u128) -> Option<u16> {
        let bits = Bits::masked(OfField::VlanTci.whole(), value, mask).unwrap();
        vlan(&flow(vec![FlowTest::Bits(bits)], Vec::new()))
    }

    #[test]
    fn vlans_are_known_where_all_bits_of_their_number_are() {
        assert_eq!(matched(0x1003, 0x1fff), Some(3));
        assert_eq!(matched(3, 0xfff), Some(3));
        // No tag at all, any tag, and some VLANs.
        assert_eq!(matched(0, 0x1fff), None);
        assert_eq!(matched(0x1000, 0x1000), None);
        assert_eq!(matched(0x1003, 0x10ff), None);
        assert_eq!(vlan(&flow(vec![FlowTest::Unknown], Vec::new())), None);
    }

    #[test]
    fn actions_within_others_count() {
        let to = |port| Action::Output { port };
        let field = |value, field: &str| {
            Action::SetField(Assignment { bits: Bits::of(Subfield::named(field).unwrap(), value) })
        };
        let inner = flow(vec![], vec![field(4099, "vlan_vid"), to(OfPort::Number(2))]).actions;
        let key = Bits::of(OfField::TunId.whole(), 0x4d).unwrap();
        let it = flow(
            vec![FlowTest::Bits(key)],
            vec![
                Action::Nested { how: Nesting::Clone, actions: inner },
                field(0x4e, "tun_id"),
                to(OfPort::Local),
            ],
        );
        assert_eq!(sets_vlan(&it), Some(3));
        assert_eq!(sets_tunnel(&it), Some(0x4e));
        assert_eq!(tunnel_id(&it).map(|key| key.value), Some(0x4d));
        let ports: Vec<_> = outputs(&it).map(|output| output.0.to_string()).collect();
        assert_eq!(ports, ["2", "LOCAL"]);
    }
}
