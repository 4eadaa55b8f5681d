//! Where the flows of an OVS bridge forward packets at all, whatever packet it is.
//!
//! Known only of complete dumps whose flows name the ports that they send to. A flow of `NORMAL`, a
//! group, a learnt flow or a controller may send anywhere, and then nothing is said of the bridge.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::records::openflow::{Action, Flow, LearnPart, OfPort};
use tapline_core::span::Evidence;
use tapline_topology::NodeId;
use tapline_topology::graph::OvsBridge;

use super::datapaths::interfaces_of;
use crate::flows::{self, Dump};
use crate::{Item, Network};

/// The interfaces that the flows of a bridge send to, and no others.
#[derive(Clone, Debug)]
pub struct Program {
    /// The interfaces; none where the flows drop all.
    pub outputs: BTreeSet<NodeId>,
    /// The first flow, or the heading of a dump without any.
    pub evidence: Evidence,
}

/// The programs of all bridges of which they are known.
#[derive(Debug, Default)]
pub struct Programs {
    bridges: BTreeMap<NodeId, Program>,
    /// Those of bridges of OVN, whose controller sends what it makes through the same flows.
    of_ovn: BTreeMap<NodeId, Program>,
}

impl Programs {
    /// What complete dumps of flows show.
    pub(crate) fn new(network: &Network<'_>) -> Self {
        let (mut bridges, mut of_ovn) = (BTreeMap::new(), BTreeMap::new());
        for host in network.hosts() {
            for bridge in network.ovs_bridges_of(host) {
                let dump = network.flows().best(host, bridge.name());
                let Some(dump) = dump else { continue };
                let named = program(network, bridge, dump, sends_to);
                bridges.extend(named.map(|program| (bridge.id, program)));
                let named = program(network, bridge, dump, sends_by_ovn);
                of_ovn.extend(named.map(|program| (bridge.id, program)));
            }
        }
        Self { bridges, of_ovn }
    }

    /// That of a bridge.
    pub fn of(&self, bridge: NodeId) -> Option<&Program> {
        self.bridges.get(&bridge)
    }

    /// The same of a bridge that OVN rules.
    pub(crate) fn of_ovn(&self, bridge: NodeId) -> Option<&Program> {
        self.of_ovn.get(&bridge)
    }
}

fn program<'d>(
    network: &Network<'_>,
    bridge: Item<'_, OvsBridge>,
    dump: &'d Dump<'_>,
    ports: fn(&'d Flow) -> Option<Vec<&'d OfPort>>,
) -> Option<Program> {
    let mut named = BTreeSet::new();
    for flow in &dump.flows {
        named.extend(ports(flow)?);
    }
    let evidence = match dump.flows.first() {
        Some(flow) => dump.line(flow),
        None => flows::first_line(network, dump.source),
    };
    let numbered = interfaces_of(network, bridge);
    let interface = |port: &OfPort| match port {
        OfPort::Name(name) => network
            .interface_called(bridge.host, name)
            .filter(|interface| interface.bridge == bridge.name())
            .map(|interface| interface.id),
        OfPort::Local => numbered.get(&OfPort::Number(OfPort::LOCAL)).copied().or_else(|| {
            network.interface_called(bridge.host, bridge.name()).map(|interface| interface.id)
        }),
        OfPort::Number(_) => numbered.get(port).copied(),
    };
    // Whose number is not known may be any interface without one.
    let outputs = named.into_iter().map(interface).collect::<Option<_>>()?;
    Some(Program { outputs, evidence })
}

/// The ports that a flow sends to; `None` where it may send to any.
fn sends_to(flow: &Flow) -> Option<Vec<&OfPort>> {
    ports_of(flow, |_| false)
}

/// The same of a flow of OVN: what its controller gets comes back to the flows (`pinctrl.c`), what it
/// learns are sessions of load balancers, and groups pick a backend or a route and send back to the
/// flows (`ovn_extend_table_assign_id`, lib/actions.c).
fn sends_by_ovn(flow: &Flow) -> Option<Vec<&OfPort>> {
    ports_of(flow, |action| match action {
        Action::Controller | Action::DecTtl | Action::Group { .. } => true,
        Action::Learn(learn) => {
            !learn.parts.iter().any(|part| matches!(part, LearnPart::Output(_)))
        }
        _ => false,
    })
}

fn ports_of(flow: &Flow, is_aside: impl Fn(&Action) -> bool) -> Option<Vec<&OfPort>> {
    let mut ports = Vec::new();
    for action in flows::actions(flow) {
        match &action.action {
            aside if is_aside(aside) => {}
            Action::Output { port } | Action::Enqueue { port } => ports.push(port),
            Action::Bundle { ports: all } => ports.extend(all),
            Action::Local => ports.push(&OfPort::Local),
            Action::InPort
            | Action::Normal
            | Action::Flood
            | Action::All
            | Action::OutputTo { .. }
            | Action::Controller
            | Action::Group { .. }
            | Action::Learn(_)
            | Action::DecTtl
            | Action::Other => return None,
            Action::Drop
            | Action::Resubmit { .. }
            | Action::Goto { .. }
            | Action::ModVlan { .. }
            | Action::ModVlanPcp { .. }
            | Action::StripVlan
            | Action::PushVlan { .. }
            | Action::SetTunnel { .. }
            | Action::SetField(_)
            | Action::Load(_)
            | Action::WriteMetadata(_)
            | Action::Move { .. }
            | Action::Push { .. }
            | Action::Pop { .. }
            | Action::Ct(_)
            | Action::CtClear
            | Action::Conjunction { .. }
            | Action::Nested { .. }
            | Action::ClearActions
            | Action::CheckPktLarger { .. }
            | Action::Hash { .. }
            | Action::Exit
            | Action::Meter { .. }
            | Action::Aside => {}
        }
    }
    Some(ports)
}

#[cfg(test)]
mod tests {
    use tapline_core::capture::{Command, FormatId};
    use tapline_core::records::Batch;

    use super::*;

    /// How many ports the flow names, where it names all to which it sends: to forward, and as OVN does.
    fn named(actions: &str) -> [Option<usize>; 2] {
        let read = tapline_formats::registry::by_id(FormatId("ovs-ofctl-dump-flows")).unwrap().read;
        let text = format!(
            " cookie=0x0, duration=9s, table=0, n_packets=0, n_bytes=0, priority=1 actions={actions}\n"
        );
        let out = read(&text, &Command::new("ovs-ofctl dump-flows br-int"));
        let Batch::Flows(flows) = out.records else { panic!("{actions}") };
        let [flow] = flows.as_slice() else { panic!("{actions}: {flows:?}") };
        [sends_to(flow).map(|ports| ports.len()), sends_by_ovn(flow).map(|ports| ports.len())]
    }

    #[test]
    fn flows_name_all_ports_unless_something_else_sends() {
        let learns = "learn(table=1,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[]";
        for (actions, forward, of_ovn) in [
            ("drop", Some(0), Some(0)),
            ("output:2", Some(1), Some(1)),
            ("output:2,output:3", Some(2), Some(2)),
            ("LOCAL", Some(1), Some(1)),
            ("resubmit(,8)", Some(0), Some(0)),
            ("NORMAL", None, None),
            ("FLOOD", None, None),
            ("ALL", None, None),
            ("IN_PORT", None, None),
            ("output:NXM_NX_REG0[]", None, None),
            // What OVN hands to its controller comes back to its flows.
            ("CONTROLLER:65535", None, Some(0)),
            ("group:1", None, Some(0)),
            // What is learnt may send.
            (&format!("{learns},output:NXM_OF_IN_PORT[])"), None, None),
            (&format!("{learns},load:0x1->NXM_NX_REG0[0..15])"), None, Some(0)),
        ] {
            assert_eq!(named(actions), [forward, of_ovn], "{actions}");
        }
    }
}
