//! What the flows of a bridge let pass that is nearly like a packet that they drop.
use tapline_core::records::filter::Addresses;
use tapline_core::records::openflow::{Bits, Flow, FlowTest, OfField};

use super::machine::Machine;
use super::{FlowPacket, Limits, Path, Sink, Tables, Value};
use crate::near::Change;
use crate::truth::Truth;

use OfField as F;

/// Changes that are tried for one packet.
const MOST_TRIES: usize = 32;

impl<'a> Tables<'a> {
    /// What would have left the tables instead of a packet that they drop, with the flow that says
    /// so.
    pub fn nearest(&self, packet: &FlowPacket) -> Vec<(Change, &'a Flow)> {
        let recorded = Machine::new(self, Limits { record: true, ..Limits::default() }).run(packet);
        let [path] = recorded.as_slice() else { return Vec::new() };
        if !path.effects.is_empty() || path.stop.is_some() {
            return Vec::new();
        }
        let mut tried: Vec<Change> = Vec::new();
        let mut found = Vec::new();
        for step in path.steps.iter().rev() {
            let Some(seen) = &step.seen else { continue };
            let least = step.flow.map_or(0, |flow| flow.priority.value);
            let flows = self.flows.get(&step.table).map_or(&[][..], Vec::as_slice);
            for flow in flows.iter().take_while(|flow| flow.priority.value > least) {
                let Some(change) = self.change(flow, seen) else { continue };
                if tried.contains(&change) || tried.len() >= MOST_TRIES {
                    continue;
                }
                tried.push(change.clone());
                if variants(packet, &change).iter().all(|changed| self.lets_pass(changed)) {
                    found.push((change, *flow));
                }
            }
        }
        found
    }

    fn lets_pass(&self, packet: &FlowPacket) -> bool {
        let paths = self.run(packet, Limits::default());
        let passes = |path: &Path<'_>| {
            let out = |sink: &Sink| {
                matches!(sink, Sink::Port(_) | Sink::Named(_) | Sink::Normal | Sink::InPort)
            };
            path.certain && path.stop.is_none() && path.effects.iter().any(|way| out(&way.sink))
        };
        matches!(paths.as_slice(), [path] if passes(path))
    }

    /// What a packet would have to be to match a flow; `None` where it does, or where more than its
    /// protocol, port, type and source stands against it.
    fn change(&self, flow: &Flow, seen: &FlowPacket) -> Option<Change> {
        let number = |field: OfField| seen.known(field.whole());
        let of_packet = number(F::IpProto).and_then(|of| u8::try_from(of).ok());
        let mut change = Change { protocol: of_packet, ..Change::default() };
        let mut any = false;
        for one in &flow.matches {
            let fails = |bits: &Bits| seen.has(*bits) == Truth::No;
            match &one.test {
                FlowTest::Unknown => {}
                FlowTest::Port(name) => {
                    if self.ports.get(name).copied() != seen.in_port() {
                        return None;
                    }
                }
                test => {
                    for bits in test.bits().filter(fails) {
                        if bits.field == F::ConjId {
                            continue;
                        }
                        any = true;
                        take(&mut change, bits)?;
                    }
                }
            }
        }
        (any && change.is_possible()).then_some(change)
    }
}

/// Notes what a packet would have to be to have these bits.
fn take(change: &mut Change, bits: Bits) -> Option<()> {
    let whole = bits.mask == bits.field.whole().mask();
    match bits.field {
        F::IpProto if whole => change.protocol = Some(u8::try_from(bits.value).ok()?),
        F::IcmpType if whole => change.icmp = Some(u8::try_from(bits.value).ok()?),
        F::TpDst => {
            let first = u16::try_from(bits.value).ok()?;
            let open = !u16::try_from(bits.mask).ok()?;
            // Only masks that leave the low bits open are a range.
            if open & open.wrapping_add(1) != 0 {
                return None;
            }
            change.port = Some(first..=first | open);
        }
        F::IpSrc | F::Ipv6Src => {
            let four = bits.field == F::IpSrc;
            let (width, mask) = if four { (32, bits.mask << 96) } else { (128, bits.mask) };
            let length = mask.leading_ones();
            if length < 128 && mask << length != 0 || length > width {
                return None;
            }
            let ip = if four {
                std::net::IpAddr::V4(u32::try_from(bits.value).ok()?.into())
            } else {
                std::net::IpAddr::V6(bits.value.into())
            };
            let net = ipnet::IpNet::new(ip, u8::try_from(length).ok()?).ok()?;
            change.source = Some(Addresses::Net(net));
        }
        _ => return None,
    }
    Some(())
}

/// The packets at the ends of a change.
fn variants(packet: &FlowPacket, change: &Change) -> Vec<FlowPacket> {
    let known = packet.known(F::IpProto.whole()).and_then(|of| u8::try_from(of).ok());
    let mut all = Vec::new();
    for port in change.port_ends() {
        for source in change.source_ends() {
            let mut changed = packet.clone();
            if let Some(protocol) = change.protocol.filter(|_| change.protocol != known) {
                changed.set(F::IpProto, Value::of(u128::from(protocol)));
                for field in [F::TpSrc, F::TpDst, F::TcpFlags, F::IcmpType, F::IcmpCode] {
                    changed.set(field, Value::UNKNOWN);
                }
                if matches!(protocol, 6 | 17 | 132) {
                    changed.set(F::TpSrc, Value::of(40000));
                }
                if protocol == 6 {
                    changed.set(F::TcpFlags, Value::of(2));
                }
            }
            if let Some(port) = port {
                changed.set(F::TpDst, Value::of(u128::from(port)));
            }
            if let Some(kind) = change.icmp {
                changed.set(F::IcmpType, Value::of(u128::from(kind)));
                changed.set(F::IcmpCode, Value::of(0));
            }
            match source {
                Some(std::net::IpAddr::V4(ip)) => {
                    changed.set(F::IpSrc, Value::of(u128::from(u32::from(ip))));
                }
                Some(std::net::IpAddr::V6(ip)) => changed.set(F::Ipv6Src, Value::of(ip.into())),
                None => {}
            }
            all.push(changed);
        }
    }
    all
}
