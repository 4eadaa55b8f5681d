//! What a flow says, in one form for all tools and versions: ports by their names, networks for
//! local VLANs, conjunctions by what they join, and no cookies.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use sha2::{Digest as _, Sha256};
use tapline_core::records::openflow::{
    Action, Bits, Flow, FlowAction, FlowTest, Notation, OfField, OfPort, Subfield,
};
use tapline_network::{Item, defs};
use tapline_topology::graph::OvsBridge;

use super::super::gather::Gather;

/// The number of a VLAN within a tag.
const VLAN: Subfield = Subfield { field: OfField::VlanTci, low: 0, bits: 12 };
/// Where neutron's packet filter keeps the port, and the local VLAN.
const REG5: Subfield = Subfield { field: OfField::Regs(1), low: 64, bits: 32 };
const REG6: Subfield = Subfield { field: OfField::Regs(1), low: 32, bits: 32 };

/// Registers 11 to 13, in which OVN keeps zones of connection tracking.
const ZONES: &[Subfield] = &[
    Subfield { field: OfField::Regs(2), low: 0, bits: 32 },
    Subfield { field: OfField::Regs(3), low: 96, bits: 32 },
    Subfield { field: OfField::Regs(3), low: 64, bits: 32 },
];

/// The bits that a mask means, where they follow one another.
fn part(bits: Bits) -> Option<Subfield> {
    let (low, many) = (bits.mask.trailing_zeros(), bits.mask.count_ones());
    let follow = bits.mask != 0
        && (bits.mask >> low).count_zeros() + many == u128::BITS
        && (bits.mask >> low).trailing_ones() == many;
    let (low, many) = (u8::try_from(low).ok()?, u8::try_from(many).ok()?);
    follow.then_some(Subfield { field: bits.field, low, bits: many })
}

/// A number as its field is written.
fn number_of(part: Subfield, number: u128) -> String {
    let is_whole = part == part.field.whole();
    match (part.field.notation(), is_whole) {
        (Notation::Mac, true) => {
            let bytes = number.to_be_bytes();
            bytes
                .get(10..)
                .unwrap_or_default()
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect::<Vec<_>>()
                .join(":")
        }
        (Notation::Ipv4, true) => u32::try_from(number)
            .map_or_else(|_| number.to_string(), |ip| Ipv4Addr::from(ip).to_string()),
        (Notation::Ipv6, true) => Ipv6Addr::from(number).to_string(),
        _ => format!("{number:#x}"),
    }
}

/// How VLANs of a bridge are numbered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// Neutron's integration bridge: local VLANs, and those of providers where they come in.
    Integration,
    /// Neutron's bridge of tunnels: local VLANs.
    Tunnels,
    /// A bridge of a provider: local VLANs come in, and those of the provider go out.
    Provider,
    /// Any other.
    Plain,
}

/// The words for the flows of one bridge.
pub(super) struct Words<'w, 'g, 's, 'a> {
    gather: &'w Gather<'g, 's, 'a>,
    ports: BTreeMap<u32, String>,
    sort: Sort,
    conjunctions: BTreeMap<u32, String>,
    /// Whose zone each is, of OVN.
    zones: BTreeMap<u128, String>,
}

/// The name of a port of a bridge under its new name; `None` where its number tells nothing.
pub(super) fn port_name(
    gather: &Gather<'_, '_, '_>,
    bridge: &str,
    port: &OfPort,
) -> Option<String> {
    match port {
        OfPort::Local => Some(gather.port(bridge).to_owned()),
        OfPort::Name(name) => Some(gather.port(name).to_owned()),
        OfPort::Number(number) => numbers(gather, bridge).remove(number),
    }
}

/// The names of the ports of a bridge by their numbers: of the switch itself, else of the database.
fn numbers(gather: &Gather<'_, '_, '_>, bridge: &str) -> BTreeMap<u32, String> {
    let network = gather.side.network;
    let mut all = BTreeMap::new();
    // The database has whole names, the switch their first fifteen letters.
    if let Some(bridge) = network.bridge_called(gather.host, bridge) {
        for interface in defs::interfaces_of(network, bridge.id) {
            let number = interface.ofport.as_ref().and_then(|port| u32::try_from(port.value).ok());
            if let Some(number) = number {
                all.entry(number).or_insert_with(|| gather.port(interface.name()).to_owned());
            }
        }
    }
    for (_, switch) in network.switches().of(gather.host, bridge) {
        for port in &switch.ports {
            if let OfPort::Number(number) = port.port.value {
                let name = gather.port(&port.name.value).to_owned();
                all.entry(number).or_insert(name);
            }
        }
    }
    all
}

impl<'w, 'g, 's, 'a> Words<'w, 'g, 's, 'a> {
    /// For a bridge.
    pub(super) fn of(gather: &'w Gather<'g, 's, 'a>, bridge: Item<'_, OvsBridge>) -> Self {
        let network = gather.side.network;
        let vlans = network.local_vlans(gather.host);
        let sort = if !defs::has_agent_patches(network, gather.host) {
            Sort::Plain
        } else if network.is_integration(bridge.id) {
            Sort::Integration
        } else if vlans.tunnel_bridge.is_some_and(|it| it.id == bridge.id) {
            Sort::Tunnels
        } else if vlans.provider_bridges.iter().any(|it| it.id == bridge.id) {
            Sort::Provider
        } else {
            Sort::Plain
        };
        let ports = numbers(gather, bridge.name());
        let noted = bridge.data.external_ids.iter();
        let zones = noted
            .filter_map(|(key, value)| {
                let of = key.strip_prefix("ct-zone-")?;
                Some((value.value.parse().ok()?, of.to_owned()))
            })
            .collect();
        Self { gather, ports, sort, conjunctions: BTreeMap::new(), zones }
    }

    /// Names conjunctions by what they join: their numbers are given anew with each start of the
    /// agent.
    pub(super) fn learn_conjunctions(&mut self, flows: &[&Flow]) {
        let mut parts: BTreeMap<u32, BTreeSet<String>> = BTreeMap::new();
        for flow in flows {
            let matches = self.matches(flow, &mut BTreeSet::new());
            for one in &flow.actions {
                if let Action::Conjunction { id, clause, of } = one.action {
                    parts.entry(id).or_default().insert(format!("{clause}/{of} {matches}"));
                }
            }
        }
        for (id, parts) in parts {
            let mut hash = Sha256::new();
            for part in parts {
                hash.update(part.as_bytes());
                hash.update(b"\n");
            }
            let digest = hash.finalize();
            let start = digest.first_chunk().copied().unwrap_or_default();
            let name = format!("{:08x}", u32::from_be_bytes(start));
            self.conjunctions.insert(id, name);
        }
    }

    fn port(&self, port: &OfPort, ports: &mut BTreeSet<String>) -> String {
        match port {
            OfPort::Local => "LOCAL".to_owned(),
            OfPort::Name(name) => {
                let name = self.gather.port(name).to_owned();
                ports.insert(name.clone());
                name
            }
            OfPort::Number(number) => match self.ports.get(number) {
                Some(name) => {
                    ports.insert(name.clone());
                    name.clone()
                }
                None => number.to_string(),
            },
        }
    }

    fn vlan(&self, vlan: u16, is_local: bool) -> String {
        if is_local { self.gather.vlan(vlan) } else { vlan.to_string() }
    }

    /// What it matches.
    pub(super) fn matches(&self, flow: &Flow, ports: &mut BTreeSet<String>) -> String {
        let from = flow.in_port().map(|port| self.port(&port.value, ports));
        let from_provider = from.as_deref().is_some_and(|name| name.starts_with("int-"));
        let is_local = match self.sort {
            Sort::Integration => !from_provider,
            Sort::Tunnels | Sort::Provider => true,
            Sort::Plain => false,
        };
        let mut words: Vec<String> = Vec::new();
        for one in &flow.matches {
            if one.key == "in_port" {
                continue;
            }
            let bits: Vec<Bits> = one.test.bits().collect();
            if bits.is_empty() {
                match &one.test {
                    FlowTest::Port(name) => {
                        words.push(format!("{}={}", one.key, self.gather.port(name)));
                    }
                    _ => words.push(format!("{}={}", one.key, one.value.value)),
                }
            }
            words.extend(bits.into_iter().map(|bits| self.bits(bits, is_local, ports)));
        }
        words.sort();
        words.dedup();
        if let Some(from) = from {
            words.insert(0, format!("in_port={from}"));
        }
        words.join(",")
    }

    /// Bits with their value.
    fn bits(&self, bits: Bits, is_local: bool, ports: &mut BTreeSet<String>) -> String {
        let Bits { field, value, mask } = bits;
        if let Some(vlan) = bits.value_of(VLAN).and_then(|vlan| u16::try_from(vlan).ok())
            && vlan != 0
        {
            return format!("vlan={}", self.vlan(vlan, is_local));
        }
        if self.sort == Sort::Integration {
            if let Some(port) = bits.value_of(REG5).and_then(|port| u32::try_from(port).ok()) {
                return format!("reg5={}", self.port(&OfPort::Number(port), ports));
            }
            if let Some(vlan) = bits.value_of(REG6).and_then(|vlan| u16::try_from(vlan).ok()) {
                return format!("reg6=vlan {}", self.vlan(vlan, true));
            }
        }
        if field == OfField::ConjId
            && let Some(name) = u32::try_from(value).ok().and_then(|id| self.conjunctions.get(&id))
        {
            return format!("conj={name}");
        }
        match part(bits) {
            Some(part) => {
                let number = part.take(value);
                // Zones of connection tracking are given anew with each start of ovn-controller.
                let zone = ZONES.contains(&part).then(|| self.zones.get(&number)).flatten();
                match zone {
                    Some(zone) => format!("{part}=zone of {zone}"),
                    None => format!("{part}={}", number_of(part, number)),
                }
            }
            None => format!("{field}={value:#x}/{mask:#x}"),
        }
    }

    /// What it does.
    pub(super) fn actions(&self, flow: &Flow, ports: &mut BTreeSet<String>) -> String {
        if let Some(copies) = self.copies(flow, ports) {
            return copies;
        }
        let words = self.list(&flow.actions, ports);
        if words.is_empty() { "drop".to_owned() } else { words }
    }

    /// What a flow hands out that makes several copies: each with what was set of it before, in no
    /// order, since the order in which OVN and neutron list the members of a group is none.
    fn copies(&self, flow: &Flow, ports: &mut BTreeSet<String>) -> Option<String> {
        let gives_local = matches!(self.sort, Sort::Integration | Sort::Tunnels);
        let mut set: BTreeMap<String, String> = BTreeMap::new();
        let mut copies: BTreeSet<String> = BTreeSet::new();
        let mut many = 0;
        for one in &flow.actions {
            match &one.action {
                Action::SetField(to) | Action::Load(to) => {
                    let bits = to.bits?;
                    // Parts of a field that overlap depend on their order.
                    let part = part(bits)?;
                    let is_tag = part.field == OfField::VlanTci && part.low == 0;
                    let field = if is_tag { "vlan".to_owned() } else { part.to_string() };
                    let words = if is_tag && bits.value == 0 {
                        "strip_vlan".to_owned()
                    } else {
                        self.bits(bits, gives_local, &mut BTreeSet::new())
                    };
                    set.insert(field, words);
                }
                Action::SetTunnel { id } => {
                    set.insert("tun_id".to_owned(), format!("tun_id={id:#x}"));
                }
                Action::StripVlan => {
                    set.insert("vlan".to_owned(), "strip_vlan".to_owned());
                }
                // What follows sets it.
                Action::PushVlan { ethertype: 0x8100 } => {}
                Action::ModVlan { vid } => {
                    set.insert("vlan".to_owned(), format!("vlan={}", self.vlan(*vid, gives_local)));
                }
                Action::Output { .. } | Action::Resubmit { .. } | Action::Goto { .. } => {
                    many += 1;
                    let to = self.action(one, ports);
                    let with: Vec<&str> = set.values().map(String::as_str).collect();
                    let with = with.join(",");
                    copies.insert(if with.is_empty() { to } else { format!("{to} with {with}") });
                }
                _ => return None,
            }
        }
        // What is set and not handed out nobody sees.
        (many > 0).then(|| copies.into_iter().collect::<Vec<_>>().join("; "))
    }

    fn list(&self, actions: &[FlowAction], ports: &mut BTreeSet<String>) -> String {
        let mut words = Vec::new();
        let mut rest = actions.iter().peekable();
        while let Some(one) = rest.next() {
            // Newer versions tag a packet and then set the tag.
            let sets_vlan = rest.peek().is_some_and(|next| match &next.action {
                Action::SetField(set) => set.bits.is_some_and(|bits| bits.value_of(VLAN).is_some()),
                Action::ModVlan { .. } => true,
                _ => false,
            });
            if matches!(one.action, Action::PushVlan { ethertype: 0x8100 }) && sets_vlan {
                continue;
            }
            words.push(self.action(one, ports));
        }
        words.join(",")
    }

    fn action(&self, one: &FlowAction, ports: &mut BTreeSet<String>) -> String {
        let gives_local = matches!(self.sort, Sort::Integration | Sort::Tunnels);
        match &one.action {
            Action::Output { port } => format!("output:{}", self.port(port, ports)),
            Action::Enqueue { port } => {
                self.port(port, ports);
                one.text.value.to_string()
            }
            Action::Local => "output:LOCAL".to_owned(),
            Action::Resubmit { port, table, ct } => {
                let port = port.as_ref().map(|port| self.port(port, ports)).unwrap_or_default();
                let table = table.as_ref().map(ToString::to_string).unwrap_or_default();
                let ct = if *ct { ",ct" } else { "" };
                format!("resubmit({port},{table}{ct})")
            }
            Action::Goto { table } => format!("resubmit(,{table})"),
            Action::ModVlan { vid } => format!("set vlan={}", self.vlan(*vid, gives_local)),
            Action::StripVlan => "strip_vlan".to_owned(),
            Action::SetTunnel { id } => {
                let field = OfField::TunId;
                format!("set {field}={id:#x}")
            }
            Action::SetField(set) | Action::Load(set) | Action::WriteMetadata(set) => {
                match set.bits {
                    Some(bits) => format!("set {}", self.bits(bits, gives_local, ports)),
                    None => one.text.value.to_string(),
                }
            }
            Action::Conjunction { id, clause, of } => {
                let known = self.conjunctions.get(id).cloned();
                format!("conjunction({},{clause}/{of})", known.unwrap_or_else(|| id.to_string()))
            }
            Action::Learn(_) => without_cookie(&one.text.value),
            Action::Nested { how, actions } => {
                format!("{how:?}({})", self.list(actions, ports)).to_lowercase_ascii()
            }
            _ => one.text.value.to_string(),
        }
    }
}

/// The addresses of Ethernet that a flow names.
pub(super) fn macs(flow: &Flow) -> impl Iterator<Item = String> {
    let keys = ["dl_dst", "dl_src", "arp_sha", "arp_tha", "eth_dst", "eth_src"];
    let named = flow.matches.iter().filter(move |one| keys.contains(&one.key.as_str()));
    named.map(|one| one.value.value.to_string())
}

/// Words of a kind of nesting.
trait Lower {
    fn to_lowercase_ascii(self) -> String;
}

impl Lower for String {
    /// The first letter alone: what stands within may be names.
    fn to_lowercase_ascii(mut self) -> String {
        if let Some(first) = self.get_mut(..1) {
            first.make_ascii_lowercase();
        }
        self
    }
}

/// The cookie of a flow that is learnt is that of the agent, which is new with each start.
fn without_cookie(text: &str) -> String {
    let parts = text.split(',').filter(|part| !part.trim_start().starts_with("cookie="));
    parts.collect::<Vec<_>>().join(",")
}
