//! Sets that rules of iptables ask, as `ipset list` shows them.
//!
//! A set looks up parts of a packet that the rule names, one for each part of its type
//! (`hash:ip,port` by `src,dst`). Of entries with prefixes the longest is asked first, and the first
//! that fits decides: one that is `nomatch` takes its addresses out (net/netfilter/ipset,
//! `ip_set_hash_gen.h`, `mtype_test_cidrs`).
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use ipnet::IpNet;
use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::ipset::{IpSet, IpSetEntry};
use tapline_core::records::route::Family;

use super::{Address, Device, Packet};
use crate::truth::Truth;

/// How deep lists of sets are followed: the kernel lets a list hold no other list.
const DEEPEST: usize = 2;

/// The sets of one namespace.
#[derive(Clone, Debug, Default)]
pub struct Sets(Option<Arc<BTreeMap<Name, Set>>>);

/// One set.
#[derive(Debug)]
struct Set {
    /// The parts of its entries.
    parts: Vec<Part>,
    /// `None` where it holds no addresses: packets of both families are looked up in it.
    family: Option<Family>,
    /// How many bits of an address are looked up, where not all are.
    netmask: Option<u8>,
    /// All that it has is known.
    whole: bool,
    entries: Vec<Entry>,
    /// Those that begin with a prefix, by it.
    by_net: HashMap<IpNet, Vec<usize>>,
    /// The lengths of these prefixes, the longest first.
    lengths: Vec<u8>,
}

/// A part of the entries of a set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Net,
    Port,
    Mac,
    Mark,
    Device,
    Set,
}

#[derive(Debug)]
struct Entry {
    values: Vec<Value>,
    nomatch: bool,
}

/// What a part of an entry holds.
#[derive(Debug)]
enum Value {
    Net(IpNet),
    /// Ports of a protocol; of any where the entry names none.
    Ports(Option<u8>, RangeInclusive<u16>),
    /// A type of ICMP and its code.
    Icmp(u8, u8, u8),
    Mac(Mac),
    Mark(u32),
    Device(Name),
    BridgePort(Name),
    Set(Name),
}

impl Sets {
    /// The sets of a text; of a set that stands in several the whole one is taken.
    pub(crate) fn new<'r>(sets: impl Iterator<Item = (&'r IpSet, bool)>) -> Self {
        let mut all: BTreeMap<Name, Set> = BTreeMap::new();
        for (record, whole) in sets {
            let Some(set) = Set::new(record, whole) else { continue };
            match all.get(&record.name.value) {
                Some(known) if known.whole || !set.whole => {}
                _ => {
                    all.insert(record.name.value.clone(), set);
                }
            }
        }
        Self((!all.is_empty()).then(|| Arc::new(all)))
    }

    /// Whether a set has what a rule looks up in it.
    pub(super) fn contain(&self, name: &Name, by_source: &[bool], packet: &Packet) -> Truth {
        self.contain_within(name, by_source, packet, 0)
    }

    fn contain_within(
        &self,
        name: &Name,
        by_source: &[bool],
        packet: &Packet,
        depth: usize,
    ) -> Truth {
        let set = self.0.as_ref().and_then(|sets| sets.get(name)).filter(|_| depth < DEEPEST);
        let Some(set) = set else { return Truth::Maybe };
        if by_source.len() < set.parts.len() || set.family.is_some_and(|of| of != packet.family) {
            return Truth::No;
        }
        let looked_up = Lookup { sets: self, set, by_source, packet, depth };
        match looked_up.answer() {
            Truth::No if !set.whole => Truth::Maybe,
            answer => answer,
        }
    }
}

impl Set {
    /// A set as it can be asked; `None` where entries of its type are not understood.
    fn new(record: &IpSet, whole: bool) -> Option<Self> {
        let (_, parts) = record.kind.value.split_once(':')?;
        let parts: Vec<Part> = parts.split(',').map(Part::of).collect::<Option<_>>()?;
        // Keys that change how entries are compared.
        let compared = |key: &str| matches!(key, "bitmask" | "markmask");
        if record.other.iter().any(|field| compared(&field.key)) {
            return None;
        }
        let of_addresses = parts.contains(&Part::Net);
        let mut set = Self {
            family: of_addresses.then_some(record.family),
            netmask: record.netmask,
            whole,
            entries: Vec::with_capacity(record.entries.len()),
            by_net: HashMap::new(),
            lengths: Vec::new(),
            parts,
        };
        for entry in &record.entries {
            let Some(entry) = set.read(entry) else {
                // What takes addresses out is not known: nothing is.
                if entry.nomatch {
                    return None;
                }
                set.whole = false;
                continue;
            };
            if let Some(Value::Net(net)) = entry.values.first() {
                set.by_net.entry(*net).or_default().push(set.entries.len());
                set.lengths.push(net.prefix_len());
            }
            set.entries.push(entry);
        }
        set.lengths.sort_unstable_by_key(|length| std::cmp::Reverse(*length));
        set.lengths.dedup();
        Some(set)
    }

    fn read(&self, entry: &IpSetEntry) -> Option<Entry> {
        let shown = entry.element.value.as_str();
        let mut words = shown.split(',');
        let values = self.parts.iter().map(|part| self.value(*part, words.next()?));
        let values: Vec<Value> = values.collect::<Option<_>>()?;
        words.next().is_none().then_some(Entry { values, nomatch: entry.nomatch })
    }

    fn value(&self, part: Part, shown: &str) -> Option<Value> {
        Some(match part {
            Part::Net => {
                let net: IpNet = match shown.parse::<IpAddr>() {
                    Ok(ip) => {
                        let bits = if ip.is_ipv4() { 32 } else { 128 };
                        IpNet::new(ip, self.netmask.unwrap_or(bits)).ok()?
                    }
                    Err(_) => shown.parse().ok()?,
                };
                Value::Net(net.trunc())
            }
            Part::Port => port(shown)?,
            Part::Mac => Value::Mac(shown.parse().ok()?),
            Part::Mark => {
                let digits = shown.strip_prefix("0x");
                Value::Mark(match digits {
                    Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                    None => shown.parse().ok()?,
                })
            }
            Part::Device => match shown.strip_prefix("physdev:") {
                Some(port) => Value::BridgePort(port.into()),
                None => Value::Device(shown.into()),
            },
            Part::Set => Value::Set(shown.into()),
        })
    }
}

impl Part {
    fn of(word: &str) -> Option<Self> {
        Some(match word {
            "ip" | "net" => Self::Net,
            "port" => Self::Port,
            "mac" => Self::Mac,
            "mark" => Self::Mark,
            "iface" => Self::Device,
            "set" => Self::Set,
            _ => return None,
        })
    }
}

/// `tcp:80`, `udp:5000-6000`, `80`, `icmp:8/0`, `47:0`
fn port(shown: &str) -> Option<Value> {
    let Some((protocol, port)) = shown.split_once(':') else {
        return Some(Value::Ports(None, ports(shown)?));
    };
    let protocol = match protocol {
        "tcp" => 6,
        "udp" => 17,
        "sctp" => 132,
        "udplite" => 136,
        "icmp" => 1,
        "icmpv6" | "ipv6-icmp" => 58,
        number => number.parse().ok()?,
    };
    if matches!(protocol, 1 | 58) {
        let (kind, code) = match (protocol, port) {
            (1, "echo-reply" | "pong") => (0, 0),
            (1, "echo-request" | "ping") => (8, 0),
            (_, "echo-request" | "ping") => (128, 0),
            (_, "echo-reply" | "pong") => (129, 0),
            (_, numbers) => {
                let (kind, code) = numbers.split_once('/')?;
                (kind.parse().ok()?, code.parse().ok()?)
            }
        };
        return Some(Value::Icmp(protocol, kind, code));
    }
    Some(Value::Ports(Some(protocol), ports(port)?))
}

fn ports(shown: &str) -> Option<RangeInclusive<u16>> {
    let (from, to) = shown.split_once('-').unwrap_or((shown, shown));
    Some(from.parse().ok()?..=to.parse().ok()?)
}

/// One look-up.
struct Lookup<'l> {
    sets: &'l Sets,
    set: &'l Set,
    by_source: &'l [bool],
    packet: &'l Packet,
    depth: usize,
}

impl Lookup<'_> {
    fn answer(&self) -> Truth {
        let first = match self.set.parts.first() {
            Some(Part::Net) => self.address(0),
            _ => &Address::Unknown,
        };
        let &Address::Known(ip) = first else {
            return self.decide(0..self.set.entries.len(), &mut Truth::No);
        };
        let mut open = Truth::No;
        for &length in &self.set.lengths {
            let Ok(net) = IpNet::new(ip, length) else { continue };
            let Some(entries) = self.set.by_net.get(&net.trunc()) else { continue };
            match self.decide(entries.iter().copied(), &mut open) {
                Truth::Maybe => {}
                Truth::No if open == Truth::No && self.excludes(entries) => return Truth::No,
                Truth::No => {}
                Truth::Yes => return if open == Truth::No { Truth::Yes } else { Truth::Maybe },
            }
        }
        open
    }

    /// Whether one of these entries surely takes the packet out.
    fn excludes(&self, entries: &[usize]) -> bool {
        let all = entries.iter().filter_map(|&place| self.set.entries.get(place));
        all.filter(|entry| entry.nomatch).any(|entry| self.fits(entry) == Truth::Yes)
    }

    /// What entries say among which the order does not count; `open` where it is not known.
    fn decide(&self, entries: impl Iterator<Item = usize>, open: &mut Truth) -> Truth {
        let mut all = Truth::No;
        let mut out = Truth::No;
        for entry in entries.filter_map(|place| self.set.entries.get(place)) {
            let fits = self.fits(entry);
            if entry.nomatch {
                out = out.or(fits);
            } else {
                all = all.or(fits);
            }
            if all == Truth::Yes && out == Truth::No {
                return Truth::Yes;
            }
        }
        let answer = all.and(out.negate(true));
        if answer == Truth::Maybe || out == Truth::Maybe {
            *open = Truth::Maybe;
        }
        answer
    }

    fn fits(&self, entry: &Entry) -> Truth {
        let parts = entry.values.iter().enumerate();
        parts.fold(Truth::Yes, |met, (place, value)| match met {
            Truth::No => met,
            _ => met.and(self.has(place, value)),
        })
    }

    /// Whether a part is that of its source.
    fn is_source(&self, place: usize) -> bool {
        self.by_source.get(place).copied().unwrap_or_default()
    }

    fn address(&self, place: usize) -> &Address {
        if self.is_source(place) { &self.packet.source } else { &self.packet.destination }
    }

    fn has(&self, place: usize, value: &Value) -> Truth {
        let packet = self.packet;
        let source = self.is_source(place);
        match value {
            Value::Net(net) => match self.address(place) {
                Address::Known(ip) => Truth::from(net.contains(ip)),
                _ => Truth::Maybe,
            },
            Value::Ports(protocol, ports) => {
                let port = if source { packet.source_port } else { packet.destination_port };
                let of_port = Truth::from(port.map(|port| ports.contains(&port)));
                let Some(protocol) = protocol else {
                    let with_ports = packet.protocol.map(has_ports);
                    return of_port.and(Truth::from(with_ports));
                };
                let of_protocol = Truth::from(packet.protocol.map(|known| known == *protocol));
                // Of protocols without ports the entry has 0.
                if has_ports(*protocol) { of_protocol.and(of_port) } else { of_protocol }
            }
            Value::Icmp(protocol, kind, code) => {
                let of_protocol = Truth::from(packet.protocol.map(|known| known == *protocol));
                let of_kind = packet.icmp.map(|known| known == (*kind, *code));
                of_protocol.and(Truth::from(of_kind))
            }
            Value::Mac(mac) => {
                let known = if source { packet.mac_source } else { packet.mac_destination };
                Truth::from(known.map(|known| known == *mac))
            }
            Value::Mark(mark) => packet.mark.is(*mark),
            Value::Device(name) => {
                is_device(if source { &packet.in_device } else { &packet.out_device }, name)
            }
            Value::BridgePort(name) => {
                is_device(if source { &packet.in_port } else { &packet.out_port }, name)
            }
            Value::Set(name) => {
                self.sets.contain_within(name, self.by_source, packet, self.depth.saturating_add(1))
            }
        }
    }
}

fn has_ports(protocol: u8) -> bool {
    matches!(protocol, 6 | 17 | 132 | 136)
}

fn is_device(device: &Device, name: &Name) -> Truth {
    match device {
        Device::Known(known) => Truth::from(known == name),
        Device::None => Truth::No,
        Device::Unknown | Device::Except(_) => Truth::Maybe,
    }
}
