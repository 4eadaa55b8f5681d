//! Megaflows of the datapath held against the flows that made them: every kernel flow that was
//! captured is a proof of what the bridges do with a packet.
use std::collections::BTreeSet;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Mac;
use tapline_core::records::Batch;
use tapline_core::records::datapath::DatapathFlow;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;
use tapline_topology::{EdgeKind, NodeId};

use crate::flow::Value;

use super::packet::mac_number;
use super::{Goal, Outcome, Packet, Query, Start, Tracer};

/// What came of all megaflows.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Verification {
    /// How many were captured.
    pub megaflows: usize,
    /// How many say what the flows say.
    pub agree: usize,
    /// Those that do not.
    pub disagree: Vec<Compared>,
    /// Those that could not be compared, and why.
    pub skipped: Vec<(Evidence, String)>,
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
}

/// Ports with the tags and the tunnel key of the packet that they get.
type Outputs = BTreeSet<(String, Vec<u16>, Option<u64>)>;

impl Tracer<'_, '_> {
    /// Compares all megaflows that were captured.
    pub fn verify(&self) -> Verification {
        let mut all = Verification::default();
        let network = self.network;
        for (source, reading) in network.texts_of("datapath-flow") {
            let Batch::DatapathFlows(flows) = &reading.records else { continue };
            for flow in flows {
                all.megaflows += 1;
                let line = Evidence { source: source.id, span: flow.at };
                match self.compare(source.host, flow, flows) {
                    Ok((captured, ours)) if captured == ours => all.agree += 1,
                    Ok((captured, ours)) => all.disagree.push(Compared {
                        line,
                        captured: words(&captured),
                        ours: words(&ours),
                    }),
                    Err(why) => all.skipped.push((line, why.to_owned())),
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
    ) -> Result<(Outputs, Outputs), &'static str> {
        let mut fields = fields(&flow.matches.value);
        if value(&fields, "recirc_id").is_some_and(|id| id != "0") {
            // It is a part of the way of another, with which it is compared.
            let id = value(&fields, "recirc_id").unwrap_or_default();
            let from = all.iter().find(|other| recirculation(&other.actions.value) == Some(id));
            let Some(from) = from else { return Err("what recirculates to it was not captured") };
            let first = self::fields(&from.matches.value);
            return self.compare_two(host, (&first, from), (&fields, flow));
        }
        if let Some(id) = recirculation(&flow.actions.value) {
            let takes = |other: &&DatapathFlow| {
                value(&self::fields(&other.matches.value), "recirc_id") == Some(id)
            };
            let Some(next) = all.iter().find(takes) else {
                return Err("what it recirculates to was not captured");
            };
            let second = self::fields(&next.matches.value);
            let first = std::mem::take(&mut fields);
            return self.compare_two(host, (&first, flow), (&second, next));
        }
        let start = self.input(host, &fields)?;
        let packet = packet(&fields, None)?;
        let ours = self.outputs(start, packet)?;
        let captured = self.captured(host, flow, &fields)?;
        let ours = self.without_neighbours(host, start, ours, &captured);
        Ok((captured, ours))
    }

    /// A megaflow and the one that its packets recirculate to.
    fn compare_two(
        &self,
        host: HostId,
        (first, from): (&[(&str, &str)], &DatapathFlow),
        (second, next): (&[(&str, &str)], &DatapathFlow),
    ) -> Result<(Outputs, Outputs), &'static str> {
        let start = self.input(host, first)?;
        let packet = packet(first, Some(second))?;
        let ours = self.outputs(start, packet)?;
        let mut captured = self.captured(host, from, first)?;
        captured.extend(self.captured(host, next, second)?);
        let ours = self.without_neighbours(host, start, ours, &captured);
        Ok((captured, ours))
    }

    /// The datapath outside the kernel leaves out tunnels while their far end has not answered ARP.
    fn without_neighbours(
        &self,
        host: HostId,
        start: NodeId,
        mut ours: Outputs,
        captured: &Outputs,
    ) -> Outputs {
        let interface = self.network.ovs_interface(start);
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
        ours.retain(|output| captured.contains(output) || output.2.is_none() || answers(&output.0));
        ours
    }

    /// The OVS interface that a megaflow's packets come from.
    fn input(&self, host: HostId, fields: &[(&str, &str)]) -> Result<NodeId, &'static str> {
        let name = value(fields, "in_port").ok_or("it names no port")?;
        if let Some(tunnel) = value(fields, "tunnel") {
            let inner = self::fields(tunnel);
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

    fn outputs(&self, start: NodeId, packet: Packet) -> Result<Outputs, &'static str> {
        let trace = self.trace(&Query {
            from: Start::Port(start),
            to: Some(Goal::Anywhere),
            packet,
            connections: Vec::new(),
            stop_at_ovs: true,
            oif: None,
            without: None,
            explain: false,
        });
        let open = trace.tree.nodes.iter().any(|node| matches!(node.part, super::Part::One(_)));
        if open {
            return Err("what it leaves open decides in the flows");
        }
        let mut all = Outputs::new();
        for end in &trace.ends {
            match end.outcome {
                Outcome::LeavesCapture => {}
                Outcome::Unknown | Outcome::Disputed => {
                    return Err("the flows of a bridge on its way were not captured");
                }
                _ => continue,
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
        Ok(all)
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
            let inner = self::fields(tag);
            let vid = value(&inner, "vid").and_then(|vid| vid.split('/').next()?.parse().ok());
            vlans.push(vid.ok_or("its tag is not known")?);
        }
        // What the userspace datapath notes behind them is no action.
        let actions = flow.actions.value.as_str();
        let actions = actions.split(", dp-extra-info:").next().unwrap_or(actions);
        let mut tunnel: Option<(String, u64)> = None;
        let mut all = Outputs::new();
        for (name, inner) in self::fields(actions) {
            match name {
                "drop" | "ct" | "recirc" | "ct_clear" | "hash" | "meter" => {}
                "pop_vlan" => {
                    if !vlans.is_empty() {
                        vlans.remove(0);
                    }
                }
                "push_vlan" => {
                    let inner = self::fields(inner);
                    let vid = value(&inner, "vid").and_then(|vid| vid.parse().ok());
                    vlans.insert(0, vid.ok_or("an action is not understood")?);
                }
                "set" if inner.starts_with("tunnel(") => {
                    let of = self::fields(inner);
                    let of = self::fields(value(&of, "tunnel").unwrap_or_default());
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

/// `name(inner)`, `name=inner` and bare names, split at commas outside of brackets.
fn fields(text: &str) -> Vec<(&str, &str)> {
    let mut all = Vec::new();
    let (mut depth, mut start) = (0_u32, 0);
    let mut parts: Vec<&str> = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ',' if depth == 0 => {
                parts.push(text.get(start..at).unwrap_or_default());
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(text.get(start..).unwrap_or_default());
    for part in parts {
        let part = part.trim();
        let bracket = part.find('(');
        let equals = part.find('=');
        match (bracket, equals) {
            (Some(at), equals) if equals.is_none_or(|equals| at < equals) => {
                let inner = part.get(at + 1..).unwrap_or_default();
                let inner = inner.strip_suffix(')').unwrap_or(inner);
                all.push((part.get(..at).unwrap_or_default(), inner));
            }
            (_, Some(at)) => all
                .push((part.get(..at).unwrap_or_default(), part.get(at + 1..).unwrap_or_default())),
            _ => all.push((part, "")),
        }
    }
    all
}

fn value<'t>(fields: &[(&str, &'t str)], name: &str) -> Option<&'t str> {
    fields.iter().find(|(key, _)| *key == name).map(|(_, value)| *value)
}

/// The number of `recirc(0x6)`.
fn recirculation(actions: &str) -> Option<&str> {
    let rest = actions.split("recirc(").nth(1)?;
    rest.split(')').next()
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    }
}

/// The packets of a megaflow: what it leaves open, the one that it recirculates to may tell.
fn packet(first: &[(&str, &str)], second: Option<&[(&str, &str)]>) -> Result<Packet, &'static str> {
    let mut packet = Packet::new(0);
    packet.frame.set(OfField::EthType, Value::UNKNOWN);
    for field in [OfField::IpTtl, OfField::IpTos, OfField::PktMark, OfField::SkbPriority] {
        packet.frame.set(field, Value::UNKNOWN);
    }
    // The second first, so that the first, which knows the packet as it came, has the last word.
    for part in [second, Some(first)].into_iter().flatten() {
        for (name, inner) in part {
            read(&mut packet, name, inner).ok_or("a match is not understood")?;
        }
    }
    if let Some(second) = second
        && let Some(state) = value(second, "ct_state")
    {
        let state = state.split('/').next().and_then(number).ok_or("a match is not understood")?;
        packet.frame.next_state = Some(u128::from(state) & !32);
        packet.frame.next_mark = Some(0);
    }
    if value(first, "vlan").is_none() {
        packet.frame.set(OfField::VlanTci, Value::of(0));
    }
    if value(first, "tunnel").is_none() {
        packet.leave_tunnel();
    }
    Ok(packet)
}

fn read(packet: &mut Packet, name: &str, inner: &str) -> Option<()> {
    let parts = || fields(inner);
    let mut put = |field: OfField, text: &str, read: fn(&str) -> Option<u128>| -> Option<()> {
        let (number, mask) = match text.split_once('/') {
            Some((number, mask)) => (read(number)?, read(mask)?),
            None => (read(text)?, u128::MAX),
        };
        let old = packet.frame.get(field);
        let known = old.known | mask;
        let value = old.value & !mask | number & mask;
        packet.frame.set(field, Value { value, known });
        Some(())
    };
    match name {
        "eth" => {
            for (key, text) in parts() {
                let field = if key == "src" { OfField::EthSrc } else { OfField::EthDst };
                put(field, text, mac)?;
            }
        }
        "eth_type" => {
            if inner.starts_with("0/") || inner == "0" {
                put(OfField::EthType, "0x5ff", plain)?;
            } else {
                put(OfField::EthType, inner, plain)?;
            }
        }
        "ipv4" => {
            for (key, text) in parts() {
                match key {
                    "src" => put(OfField::IpSrc, text, four)?,
                    "dst" => put(OfField::IpDst, text, four)?,
                    "proto" => put(OfField::IpProto, text, plain)?,
                    "tos" => put(OfField::IpTos, text, plain)?,
                    "ttl" => put(OfField::IpTtl, text, plain)?,
                    "frag" if text == "no" => put(OfField::IpFrag, "0", plain)?,
                    _ => {}
                }
            }
        }
        "ipv6" => {
            for (key, text) in parts() {
                match key {
                    "src" => put(OfField::Ipv6Src, text, six)?,
                    "dst" => put(OfField::Ipv6Dst, text, six)?,
                    "proto" => put(OfField::IpProto, text, plain)?,
                    "frag" if text == "no" => put(OfField::IpFrag, "0", plain)?,
                    _ => {}
                }
            }
        }
        "arp" => {
            for (key, text) in parts() {
                match key {
                    "sip" => put(OfField::ArpSpa, text, four)?,
                    "tip" => put(OfField::ArpTpa, text, four)?,
                    "op" => put(OfField::ArpOp, text, plain)?,
                    "sha" => put(OfField::ArpSha, text, mac)?,
                    "tha" => put(OfField::ArpTha, text, mac)?,
                    _ => {}
                }
            }
        }
        "tcp" | "udp" | "sctp" => {
            for (key, text) in parts() {
                match key {
                    "src" => put(OfField::TpSrc, text, plain)?,
                    "dst" => put(OfField::TpDst, text, plain)?,
                    _ => {}
                }
            }
        }
        "icmp" | "icmpv6" => {
            for (key, text) in parts() {
                match key {
                    "type" => put(OfField::IcmpType, text, plain)?,
                    "code" => put(OfField::IcmpCode, text, plain)?,
                    _ => {}
                }
            }
        }
        "nd" => {
            for (key, text) in parts() {
                match key {
                    "target" => put(OfField::NdTarget, text, six)?,
                    "sll" => put(OfField::NdSll, text, mac)?,
                    "tll" => put(OfField::NdTll, text, mac)?,
                    _ => {}
                }
            }
        }
        "vlan" => {
            let parts = parts();
            let vid = value(&parts, "vid")?;
            let number = vid.split('/').next()?.parse().ok()?;
            packet.frame.push_tag();
            packet.frame.set_vlan(number);
        }
        "tunnel" => {
            for (key, text) in parts() {
                match key {
                    "tun_id" => put(OfField::TunId, text, plain)?,
                    "src" if text.contains('.') => put(OfField::TunSrc, text, four)?,
                    "dst" if text.contains('.') => put(OfField::TunDst, text, four)?,
                    _ => {}
                }
            }
        }
        "encap" => return None,
        // Ports, priorities, and what the connection tracker says.
        _ => {}
    }
    Some(())
}

fn plain(text: &str) -> Option<u128> {
    number(text).map(u128::from)
}

fn mac(text: &str) -> Option<u128> {
    text.parse::<Mac>().ok().map(mac_number)
}

fn four(text: &str) -> Option<u128> {
    text.parse::<std::net::Ipv4Addr>().ok().map(|ip| u128::from(u32::from(ip)))
}

fn six(text: &str) -> Option<u128> {
    text.parse::<std::net::Ipv6Addr>().ok().map(u128::from)
}
