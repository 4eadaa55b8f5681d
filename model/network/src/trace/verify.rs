//! Megaflows of the datapath held against the flows that made them: every kernel flow that was
//! captured is a proof of what the bridges do with a packet.
use std::collections::BTreeSet;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::records::Batch;
use tapline_core::records::datapath::DatapathFlow;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;
use tapline_topology::{EdgeKind, NodeId};

use super::megaflow::{self, number, packet, recirculation, value};
use super::{Goal, Kind, Outcome, Packet, Part, Query, Start, Tracer};

/// What came of all megaflows.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Verification {
    /// Whether a text with megaflows was captured, though it be empty.
    pub is_captured: bool,
    /// How many were captured.
    pub megaflows: usize,
    /// How many say what the flows say.
    pub agree: usize,
    /// Those that do not.
    pub disagree: Vec<Compared>,
    /// Those that could not be compared, and why.
    pub skipped: Vec<(Evidence, String)>,
    /// Bridges without whose flows some could not be compared.
    pub without_flows: BTreeSet<(HostId, Name)>,
}

/// A megaflow that says something else than the flows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Compared {
    /// Its line.
    pub line: Evidence,
    /// Where it sends packets.
    pub captured: String,
    /// Where the flows send them.
    pub ours: String,
    /// The port at which its packets come in.
    pub start: NodeId,
    /// The flows that they meet, in their order.
    pub flows: Vec<Evidence>,
    /// The flows alone decide: nothing that a bridge has learnt or a connection tracker knows, and
    /// no port that is broken.
    pub by_flows_alone: bool,
}

/// Where the flows send the packets of a megaflow, and which flows these are.
struct Ours {
    outputs: Outputs,
    start: NodeId,
    flows: Vec<Evidence>,
    by_flows_alone: bool,
}

/// Why a megaflow is not compared: what a bridge does with its packets is not known.
const NO_FLOWS: &str = "the flows of a bridge on its way were not captured";

/// Ports with the tags and the tunnel key of the packet that they get.
type Outputs = BTreeSet<(String, Vec<u16>, Option<u64>)>;

impl Tracer<'_, '_> {
    /// Compares all megaflows that were captured.
    pub fn verify(&self) -> Verification {
        let mut all = Verification::default();
        let network = self.network;
        for (source, reading) in network.texts_of("datapath-flow") {
            let Batch::DatapathFlows(flows) = &reading.records else { continue };
            all.is_captured = true;
            for flow in flows {
                all.megaflows += 1;
                let line = Evidence { source: source.id, span: flow.at };
                match self.compare(source.host, flow, flows) {
                    Ok((captured, ours)) if captured == ours.outputs => all.agree += 1,
                    Ok((captured, ours)) => all.disagree.push(Compared {
                        line,
                        captured: words(&captured),
                        ours: words(&ours.outputs),
                        start: ours.start,
                        flows: ours.flows,
                        by_flows_alone: ours.by_flows_alone,
                    }),
                    Err(why) => {
                        if why == NO_FLOWS {
                            all.without_flows.extend(self.bridge_of(source.host, flow));
                        }
                        all.skipped.push((line, why.to_owned()));
                    }
                }
            }
        }
        all
    }

    fn compare(
        &self,
        host: HostId,
        flow: &DatapathFlow,
        all: &[DatapathFlow],
    ) -> Result<(Outputs, Ours), &'static str> {
        let mut fields = megaflow::fields(&flow.matches.value);
        if value(&fields, "recirc_id").is_some_and(|id| id != "0") {
            // It is a part of the way of another, with which it is compared.
            let id = value(&fields, "recirc_id").unwrap_or_default();
            let from = all.iter().find(|other| recirculation(&other.actions.value) == Some(id));
            let Some(from) = from else { return Err("what recirculates to it was not captured") };
            let first = megaflow::fields(&from.matches.value);
            return self.compare_two(host, (&first, from), (&fields, flow));
        }
        if let Some(id) = recirculation(&flow.actions.value) {
            let takes = |other: &&DatapathFlow| {
                value(&megaflow::fields(&other.matches.value), "recirc_id") == Some(id)
            };
            let Some(next) = all.iter().find(takes) else {
                return Err("what it recirculates to was not captured");
            };
            let second = megaflow::fields(&next.matches.value);
            let first = std::mem::take(&mut fields);
            return self.compare_two(host, (&first, flow), (&second, next));
        }
        let start = self.input(host, &fields)?;
        let packet = packet(&fields, None)?;
        let ours = self.outputs(start, packet)?;
        let captured = self.captured(host, flow, &fields)?;
        let ours = self.without_neighbours(host, ours, &captured);
        Ok((captured, ours))
    }

    /// A megaflow and the one that its packets recirculate to.
    fn compare_two(
        &self,
        host: HostId,
        (first, from): (&[(&str, &str)], &DatapathFlow),
        (second, next): (&[(&str, &str)], &DatapathFlow),
    ) -> Result<(Outputs, Ours), &'static str> {
        let start = self.input(host, first)?;
        let packet = packet(first, Some(second))?;
        let mut ours = self.outputs(start, packet)?;
        ours.by_flows_alone = false;
        let mut captured = self.captured(host, from, first)?;
        captured.extend(self.captured(host, next, second)?);
        let ours = self.without_neighbours(host, ours, &captured);
        Ok((captured, ours))
    }

    /// The datapath outside the kernel leaves out tunnels while their far end has not answered ARP.
    fn without_neighbours(&self, host: HostId, mut ours: Ours, captured: &Outputs) -> Ours {
        let interface = self.network.ovs_interface(ours.start);
        let bridge = interface.and_then(|port| self.network.bridge_called(host, &port.data.bridge));
        if bridge.is_none_or(|bridge| crate::defs::is_kernel_datapath(bridge.data)) {
            return ours;
        }
        let root = tapline_core::ids::Netns::Root;
        let known = self.network.neighbours().get(&(host, &root));
        let answers = |to: &str| {
            let Ok(ip) = to.parse::<IpAddr>() else { return true };
            known.is_some_and(|all| {
                all.iter().any(|((_, other), known)| {
                    *other == ip && known.record.mac.is_some() && !known.failed
                })
            })
        };
        ours.outputs
            .retain(|output| captured.contains(output) || output.2.is_none() || answers(&output.0));
        ours
    }

    /// The OVS interface that a megaflow's packets come from.
    fn input(&self, host: HostId, fields: &[(&str, &str)]) -> Result<NodeId, &'static str> {
        let name = value(fields, "in_port").ok_or("it names no port")?;
        if let Some(tunnel) = value(fields, "tunnel") {
            let inner = megaflow::fields(tunnel);
            let from: IpAddr = value(&inner, "src")
                .and_then(|ip| ip.split('/').next()?.parse().ok())
                .ok_or("the source of its tunnel is not known")?;
            let end = self
                .network
                .tunnels_of(host)
                .find(|end| end.data.remote.as_ref().is_some_and(|ip| ip.value == from));
            let end = end.ok_or("no tunnel leads back to its source")?;
            return Ok(end.data.owner);
        }
        let port = self.network.interface_called(host, name);
        port.map(|port| port.id).ok_or("its port is not in the database")
    }

    /// The bridge at which the packets of a megaflow come in.
    fn bridge_of(&self, host: HostId, flow: &DatapathFlow) -> Option<(HostId, Name)> {
        let start = self.input(host, &megaflow::fields(&flow.matches.value)).ok()?;
        let port = self.network.ovs_interface(start)?;
        Some((host, port.data.bridge.clone()))
    }

    fn outputs(&self, start: NodeId, packet: Packet) -> Result<Ours, &'static str> {
        let to = Some(Goal::Anywhere);
        let query = Query { stop_at_ovs: true, ..Query::new(Start::Port(start), to, packet) };
        let trace = self.trace(&query);
        let open = trace.tree.nodes.iter().any(|node| matches!(node.part, Part::One(_)));
        if open {
            return Err("what it leaves open decides in the flows");
        }
        let mut all = Outputs::new();
        let mut broken = false;
        for end in &trace.ends {
            match end.outcome {
                Outcome::LeavesCapture => {}
                Outcome::Unknown | Outcome::Disputed => {
                    return Err(NO_FLOWS);
                }
                Outcome::Dropped => continue,
                // A port on the way that is broken.
                _ => {
                    broken = true;
                    continue;
                }
            }
            let Some(name) = &end.place.port else { continue };
            let host = end.place.host.ok_or("no host")?;
            let port = self.network.interface_called(host, name).ok_or("no port")?;
            let vlans = end.packet.vlans().ok_or("its tag is not known")?;
            let ends = self.network.topology.into(port.id, EdgeKind::TunnelOf);
            let tunnel = ends.first().and_then(|(id, _)| self.network.tunnel(*id));
            match tunnel.and_then(|end| end.data.remote.as_ref()) {
                Some(remote) => {
                    let key = end.packet.frame.known(OfField::TunId.whole());
                    let key = key.and_then(|key| u64::try_from(key).ok());
                    all.insert((remote.value.to_string(), vlans, key));
                }
                None => {
                    all.insert((name.to_string(), vlans, None));
                }
            }
        }
        let hops = trace.tree.nodes.iter().filter_map(|node| match &node.part {
            Part::Hop(hop) if hop.kind == Kind::OvsBridge => Some(hop),
            _ => None,
        });
        let mut flows: Vec<Evidence> = Vec::new();
        let mut learns = false;
        for hop in hops {
            learns |= hop.action.contains("NORMAL");
            flows.extend(
                hop.evidence.iter().filter(|at| !flows.contains(at)).copied().collect::<Vec<_>>(),
            );
        }
        for end in trace.ends.iter().filter(|end| end.outcome == Outcome::Dropped) {
            flows.extend(
                end.evidence.iter().filter(|at| !flows.contains(at)).copied().collect::<Vec<_>>(),
            );
        }
        Ok(Ours { outputs: all, start, flows, by_flows_alone: !learns && !broken })
    }

    /// Where a megaflow sends packets.
    fn captured(
        &self,
        host: HostId,
        flow: &DatapathFlow,
        fields: &[(&str, &str)],
    ) -> Result<Outputs, &'static str> {
        let mut vlans: Vec<u16> = Vec::new();
        if let Some(tag) = value(fields, "vlan") {
            let inner = megaflow::fields(tag);
            let vid = value(&inner, "vid").and_then(|vid| vid.split('/').next()?.parse().ok());
            vlans.push(vid.ok_or("its tag is not known")?);
        }
        // What the userspace datapath notes behind them is no action.
        let actions = flow.actions.value.as_str();
        let actions = actions.split(", dp-extra-info:").next().unwrap_or(actions);
        let mut tunnel: Option<(String, u64)> = None;
        let mut all = Outputs::new();
        for (name, inner) in megaflow::fields(actions) {
            match name {
                "drop" | "ct" | "recirc" | "ct_clear" | "hash" | "meter" => {}
                "pop_vlan" => {
                    if !vlans.is_empty() {
                        vlans.remove(0);
                    }
                }
                "push_vlan" => {
                    let inner = megaflow::fields(inner);
                    let vid = value(&inner, "vid").and_then(|vid| vid.parse().ok());
                    vlans.insert(0, vid.ok_or("an action is not understood")?);
                }
                "set" if inner.starts_with("tunnel(") => {
                    let of = megaflow::fields(inner);
                    let of = megaflow::fields(value(&of, "tunnel").unwrap_or_default());
                    let to = value(&of, "dst").unwrap_or_default().to_owned();
                    let key = value(&of, "tun_id").and_then(number).unwrap_or(0);
                    tunnel = Some((to, key));
                }
                "set" => {}
                "clone" if inner.starts_with("tnl_push(") => {
                    let to = inner.split("ipv4(").nth(1).unwrap_or_default();
                    let to = to.split("dst=").nth(1).and_then(|to| to.split(',').next());
                    let key = inner.split("vni=").nth(1).and_then(|key| {
                        number(key.trim_end_matches(')').split([',', ')']).next()?)
                    });
                    let (to, key) = to.zip(key).ok_or("an action is not understood")?;
                    all.insert((to.to_owned(), vlans.clone(), Some(key)));
                }
                "" => {}
                _ if inner.is_empty() => {
                    let sys = tapline_topology::names::is_ovs_tunnel_vport(name);
                    match &tunnel {
                        Some((to, key)) if sys => {
                            all.insert((to.clone(), vlans.clone(), Some(*key)));
                        }
                        _ => {
                            self.network
                                .interface_called(host, name)
                                .ok_or("it names its ports by number")?;
                            all.insert((name.to_owned(), vlans.clone(), None));
                        }
                    }
                }
                _ => return Err("an action is not understood"),
            }
        }
        Ok(all)
    }
}

fn words(outputs: &Outputs) -> String {
    if outputs.is_empty() {
        return "drop".to_owned();
    }
    let one = |(port, vlans, key): &(String, Vec<u16>, Option<u64>)| {
        let mut words = port.clone();
        for vid in vlans {
            words.push_str(&format!(" VLAN {vid}"));
        }
        if let Some(key) = key {
            words.push_str(&format!(" key {key}"));
        }
        words
    };
    outputs.iter().map(one).collect::<Vec<_>>().join(", ")
}
