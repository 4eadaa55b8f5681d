//! What is known of each OVS bridge: its flows, its ports by number, and what it has learnt.
use std::collections::BTreeMap;
use std::sync::OnceLock;

use tapline_core::capture::HostId;
use tapline_core::ids::Mac;
use tapline_core::records::Batch;
use tapline_core::records::openflow::OfPort;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::OvsBridge;
use tapline_topology::{EdgeKind, NodeId};

use crate::{Item, Network, flow, flows};

/// What is known of all OVS bridges.
#[derive(Debug, Default)]
pub(crate) struct OvsSwitches<'a> {
    all: BTreeMap<NodeId, Switch<'a>>,
    nothing: OnceLock<Switch<'a>>,
}

/// What is known of one bridge.
#[derive(Debug, Default)]
pub(crate) struct Switch<'a> {
    /// Its flows; `None` where they were not captured whole.
    pub(crate) tables: Option<flow::Tables<'a>>,
    pub(crate) source: Option<SourceId>,
    /// Its interfaces by number.
    pub(crate) ports: BTreeMap<u32, NodeId>,
    pub(crate) numbers: BTreeMap<NodeId, u32>,
    /// What it has learnt; `None` where that was not captured.
    pub(crate) fdb: Option<BTreeMap<(u16, Mac), (u32, Evidence)>>,
    /// The MACs that flows let an interface send with, where they name some, each with a flow.
    pub(crate) senders: BTreeMap<NodeId, BTreeMap<Mac, Evidence>>,
    /// The interfaces of each port, in the order of the topology.
    pub(crate) bundles: Vec<(NodeId, Vec<NodeId>)>,
}

impl<'a> OvsSwitches<'a> {
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut all = BTreeMap::new();
        let mut groups: BTreeMap<(HostId, &str), Vec<_>> = BTreeMap::new();
        for (source, reading) in network.texts_of("of-group") {
            let Batch::OfGroups(records) = &reading.records else { continue };
            for group in records {
                if let Some(bridge) = group.bridge.as_deref() {
                    groups.entry((source.host, bridge)).or_default().push(group);
                }
            }
        }
        for bridge in network.ovs_bridges() {
            let mut switch = Switch::ports_of(network, bridge);
            if let Some(dump) = network.flows().best(bridge.host, bridge.name()) {
                let ports = switch.ports.iter().filter_map(|(number, port)| {
                    Some((network.topology.node(*port)?.name.clone(), *number))
                });
                let links = switch.ports.iter().filter_map(|(number, port)| {
                    let stopped = network.switch_ports().block(*port).is_some();
                    let device = network.device_of(*port);
                    let lives = if stopped { Some(false) } else { device?.usable() };
                    Some((*number, lives?))
                });
                let of_bridge = groups.remove(&(bridge.host, bridge.name())).unwrap_or_default();
                let tables = flow::Tables::new(dump.flows.iter().copied())
                    .with_groups(of_bridge)
                    .with_ports(ports)
                    .with_links(links);
                switch.tables = Some(tables);
                switch.source = Some(dump.source);
                switch.read_senders(network, bridge, dump);
            }
            for (source, entries) in network.ovs_fdb_texts() {
                let here = source.host == bridge.host
                    && network.topology.snapshot.completeness(source.id).is_complete();
                let text_is_of = source.command.args().iter().any(|word| word == bridge.name());
                if !here || !text_is_of {
                    continue;
                }
                let fdb = switch.fdb.get_or_insert_default();
                for entry in entries {
                    let number = match &entry.port.value {
                        OfPort::Number(number) => Some(*number),
                        OfPort::Local => Some(OfPort::LOCAL),
                        OfPort::Name(name) => network
                            .interface_called(bridge.host, name)
                            .and_then(|port| switch.numbers.get(&port.id).copied()),
                    };
                    let at = Evidence { source: source.id, span: entry.at };
                    if let Some(number) = number {
                        fdb.insert((entry.vlan.value, entry.mac.value), (number, at));
                    }
                }
            }
            all.insert(bridge.id, switch);
        }
        Self { all, nothing: OnceLock::new() }
    }

    pub(crate) fn of(&self, bridge: NodeId) -> &Switch<'a> {
        self.all.get(&bridge).unwrap_or_else(|| self.nothing.get_or_init(Switch::default))
    }
}

impl<'a> Switch<'a> {
    fn ports_of(network: &Network<'a>, bridge: Item<'a, OvsBridge>) -> Self {
        let mut switch = Self::default();
        for (port, _) in network.topology.into(bridge.id, EdgeKind::OvsPortOf) {
            let interfaces: Vec<NodeId> = network
                .topology
                .into(port, EdgeKind::OvsInterfaceOf)
                .into_iter()
                .map(|(id, _)| id)
                .collect();
            for &id in &interfaces {
                let Some(interface) = network.ovs_interface(id) else { continue };
                let number = if interface.name() == bridge.name() {
                    Some(OfPort::LOCAL)
                } else {
                    flows::number_of(network, bridge, interface)
                };
                if let Some(number) = number {
                    switch.ports.insert(number, id);
                    switch.numbers.insert(id, number);
                }
            }
            switch.bundles.push((port, interfaces));
        }
        switch
    }

    fn read_senders(
        &mut self,
        network: &Network<'a>,
        bridge: Item<'a, OvsBridge>,
        dump: &flows::Dump<'a>,
    ) {
        for flow in dump.flows.iter().filter(|flow| !flow.drops()) {
            let mac = flow.matched("dl_src").and_then(|shown| shown.parse::<Mac>().ok());
            let (Some(mac), Some(port)) = (mac, flow.in_port()) else { continue };
            let interface = match &port.value {
                OfPort::Number(number) => self.ports.get(number).copied(),
                OfPort::Name(name) => network
                    .interface_called(bridge.host, name)
                    .filter(|interface| interface.data.bridge == bridge.name())
                    .map(|interface| interface.id),
                OfPort::Local => self.ports.get(&OfPort::LOCAL).copied(),
            };
            if let Some(interface) = interface {
                let macs = self.senders.entry(interface).or_default();
                macs.entry(mac).or_insert_with(|| dump.line(flow));
            }
        }
    }

    /// Whether flows let an interface send with some MACs, and this is none of them.
    pub(crate) fn is_foreign(&self, interface: NodeId, sender: Mac) -> bool {
        self.senders.get(&interface).is_some_and(|macs| !macs.contains_key(&sender))
    }

    pub(crate) fn line(&self, flow: &tapline_core::records::openflow::Flow) -> Option<Evidence> {
        Some(Evidence { source: self.source?, span: flow.at })
    }
}
