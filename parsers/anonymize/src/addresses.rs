//! Substitutes of addresses: IPv4, IPv6, MAC.
//!
//! Two addresses share as many leading bits as their substitutes do (the construction is that of
//! Crypto-PAn, with SHA-256), so whatever lies in a prefix lies in the substitute of the prefix. What
//! has a meaning of its own stays: loopback, link-local and multicast blocks as a whole; private blocks
//! map to themselves; the last octet of IPv4, the leading zeros of the half of IPv6 that names an
//! interface, and the vendor of a MAC. An address that is made of another one (EUI-64, solicited-node
//! groups, MACs that hold an IPv4 address) is made of its substitute.
use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use tapline_core::ids::Mac;

use crate::secret::Secret;

/// Blocks whose addresses mean the same on every host.
const KEPT4: &[(u32, u32)] =
    &[(0, 8), (0x7f00_0000, 8), (0xa9fe_0000, 16), (0xe000_0000, 4), (0xf000_0000, 4)];
/// Blocks that say of an address where it is valid.
const OWN4: &[(u32, u32)] =
    &[(0x0a00_0000, 8), (0xac10_0000, 12), (0xc0a8_0000, 16), (0x6440_0000, 10)];
/// Octets of IPv4 that are scrambled, in bits: the last one tells gateways and broadcasts.
const SCRAMBLED4: u32 = 24;
/// Attempts to find substitutes of which none is the original of another.
const ATTEMPTS: u64 = 64;
/// Below this, the end of an IPv6 address was given by a hand and tells nothing: `::1`, `::10`.
const BY_HAND: u32 = 0x1_0000;

/// The addresses of a capture.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    pub(crate) v4: BTreeSet<Ipv4Addr>,
    pub(crate) v6: BTreeSet<Ipv6Addr>,
    pub(crate) macs: BTreeSet<[u8; 6]>,
    /// Prefixes of IPv4 that are shorter than what is kept of an address, by their first address.
    pub(crate) nets: BTreeSet<(Ipv4Addr, u8)>,
}

/// Gives substitutes.
#[derive(Clone, Debug)]
pub(crate) struct Addresses {
    secret: Secret,
    known: Known,
    /// First and last addresses of short prefixes, with the length.
    ends: BTreeMap<Ipv4Addr, (u8, bool)>,
    /// The last 24 bits of MACs.
    lows: BTreeSet<u32>,
    /// The last 24 bits of IPv6 addresses, of which groups are made.
    low_of_groups: BTreeMap<u32, u32>,
}

/// All bits after the first `length`.
fn rest4(length: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

fn rest6(length: u8) -> u128 {
    u128::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

/// Whether the first `length` bits agree.
fn agree(a: u32, b: u32, length: u32) -> bool {
    (a ^ b).checked_shr(32 - length.min(32)).unwrap_or(0) == 0
}

/// Whether an address means the same on every host.
pub(crate) fn is_kept4(address: Ipv4Addr) -> bool {
    let bits = address.to_bits();
    KEPT4.iter().any(|(block, length)| agree(bits, *block, *length))
        // A block as a whole names nobody.
        || OWN4.iter().any(|(block, _)| bits == *block)
}

/// The same of IPv6, where nothing of it names a device.
pub(crate) fn is_kept6(address: Ipv6Addr) -> bool {
    let bits = address.to_bits();
    let low = u64::try_from(bits & u128::from(u64::MAX)).unwrap_or_default();
    let is_group = address.is_multicast() && !is_solicited(address);
    is_group || bits >> 64 == 0 && low <= 1 || address.is_unicast_link_local() && low < 0x1_0000
}

/// Whether a MAC means the same on every host.
pub(crate) fn is_kept_mac(mac: [u8; 6]) -> bool {
    let [first, .., d, e, f] = mac;
    let is_ours = [d, e, f] != [0; 3];
    // Groups of IPv6 are made of addresses.
    first & 1 == 1 && !mac.starts_with(&[0x33, 0x33, 0xff]) || !is_ours
}

fn is_solicited(address: Ipv6Addr) -> bool {
    address.to_bits() >> 24 == 0xff_0200_0000_0000_0000_0000_01ff
}

fn low24(bits: u128) -> u32 {
    u32::try_from(bits & 0xff_ffff).unwrap_or_default()
}

/// The MAC of which the interface half of an address was made.
fn of_eui(address: Ipv6Addr) -> Option<[u8; 6]> {
    let [.., a, b, c, 0xff, 0xfe, d, e, f] = address.octets() else { return None };
    Some([a ^ 2, b, c, d, e, f])
}

impl Addresses {
    pub(crate) fn new(secret: &Secret, known: Known) -> Self {
        let mut lows: BTreeSet<u32> = known.macs.iter().map(|mac| low_of(*mac)).collect();
        lows.extend(known.v6.iter().filter_map(|v6| of_eui(*v6)).map(low_of));
        let mut ends = BTreeMap::new();
        for (net, length) in &known.nets {
            let last = Ipv4Addr::from_bits(net.to_bits() | rest4(*length));
            // Of several prefixes that begin alike, the narrower is that of a network.
            ends.insert(*net, (*length, false));
            ends.insert(last, (*length, true));
        }
        let made = |attempt: u64| Self {
            secret: secret.for_purpose(&format!("addresses {attempt}")),
            known: known.clone(),
            ends: ends.clone(),
            lows: lows.clone(),
            low_of_groups: BTreeMap::new(),
        };
        // A substitute that is the original of another address would look like one that was left.
        let best = (0..ATTEMPTS).map(made).map(|made| (made.collisions(), made));
        let mut best_yet: Option<(usize, Self)> = None;
        for (collisions, made) in best {
            if best_yet.as_ref().is_none_or(|(fewest, _)| collisions < *fewest) {
                best_yet = Some((collisions, made));
            }
            if collisions == 0 {
                break;
            }
        }
        let mut chosen = best_yet.map_or_else(|| made(0), |(_, made)| made);
        let groups = known.v6.iter().filter(|v6| !v6.is_multicast());
        chosen.low_of_groups =
            groups.map(|v6| (low24(v6.to_bits()), low24(chosen.v6(*v6).to_bits()))).collect();
        chosen
    }

    /// Substitutes that are originals of other addresses.
    fn collisions(&self) -> usize {
        let v4 = self.known.v4.iter().filter(|v4| !is_kept4(**v4));
        let v4 = v4.filter(|v4| self.known.v4.contains(&self.v4(**v4)));
        let macs = self.known.macs.iter().filter(|mac| !is_kept_mac(**mac));
        v4.count() + macs.filter(|mac| self.known.macs.contains(&self.mac(**mac))).count()
    }

    pub(crate) fn known(&self) -> &Known {
        &self.known
    }

    /// A bit that follows from those before it.
    fn flips(&self, purpose: &str, before: u128, depth: u32) -> bool {
        let data = [&before.to_be_bytes()[..], &depth.to_be_bytes()].concat();
        self.secret.number(purpose, &data) & 1 == 1
    }

    fn scrambled4(&self, bits: u32) -> u32 {
        let mut out = bits;
        for depth in 0..SCRAMBLED4 {
            let is_inside =
                |(block, length): &(u32, u32)| *length <= depth && agree(bits, *block, *length);
            let leads_to =
                |(block, length): &(u32, u32)| *length > depth && agree(bits, *block, depth);
            let stays = KEPT4.iter().any(is_inside) || KEPT4.iter().chain(OWN4).any(leads_to);
            let before = bits.checked_shr(32 - depth).unwrap_or(0);
            if !stays && self.flips("v4", u128::from(before), depth) {
                out ^= 1 << (31 - depth);
            }
        }
        out
    }

    /// The substitute of one address.
    pub(crate) fn v4(&self, address: Ipv4Addr) -> Ipv4Addr {
        match self.ends.get(&address) {
            Some((length, is_last)) => {
                let rest = rest4(*length);
                let first = self.scrambled4(address.to_bits()) & !rest;
                Ipv4Addr::from_bits(if *is_last { first | rest } else { first })
            }
            None => Ipv4Addr::from_bits(self.scrambled4(address.to_bits())),
        }
    }

    /// The substitute of `address/length`: of a prefix, or of an address with the length of its prefix.
    pub(crate) fn v4_in(&self, address: Ipv4Addr, length: u8) -> Ipv4Addr {
        let rest = rest4(length.min(32));
        let out = self.scrambled4(address.to_bits());
        let is_prefix = length < 32 && address.to_bits() & rest == 0;
        Ipv4Addr::from_bits(if is_prefix { out & !rest } else { out })
    }

    pub(crate) fn v6(&self, address: Ipv6Addr) -> Ipv6Addr {
        if is_kept6(address) {
            return address;
        }
        let bits = address.to_bits();
        if is_solicited(address) {
            return Ipv6Addr::from_bits(
                bits & !0xff_ffff | u128::from(self.group_low(low24(bits))),
            );
        }
        if let Some(v4) = embedded(address) {
            return Ipv6Addr::from_bits(
                bits & !u128::from(u32::MAX) | u128::from(self.v4(v4).to_bits()),
            );
        }
        let mut out = bits;
        let first = match bits >> 120 {
            0xfc | 0xfd => 8,
            0xfe | 0xff => 64,
            _ => 16,
        };
        let mac = of_eui(address);
        for depth in first..128_u32 {
            let before = bits >> (128 - depth);
            // The leading zeros of the half that names an interface, and the one behind them.
            let in_interface = depth >= 64;
            let is_leading = in_interface && before.trailing_zeros() >= depth - 64;
            if is_leading || in_interface && mac.is_some() {
                continue;
            }
            if self.flips("v6", before, depth) {
                out ^= 1 << (127 - depth);
            }
        }
        if let Some(mac) = mac {
            let [a, b, c, d, e, f] = self.mac(mac);
            let eui = u64::from_be_bytes([a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
            out = out >> 64 << 64 | u128::from(eui);
        }
        Ipv6Addr::from_bits(out)
    }

    /// As [`Self::v4_in`].
    pub(crate) fn v6_in(&self, address: Ipv6Addr, length: u8) -> Ipv6Addr {
        let rest = rest6(length.min(128));
        let bits = address.to_bits();
        let is_prefix = length < 128 && bits & rest == 0;
        if is_prefix && (length == 0 || is_kept6(address)) {
            return address;
        }
        let out = self.v6(address).to_bits();
        Ipv6Addr::from_bits(if is_prefix { out & !rest } else { out })
    }

    /// The last 24 bits of a group, which are those of an address.
    fn group_low(&self, low: u32) -> u32 {
        match self.low_of_groups.get(&low) {
            Some(low) => *low,
            None if low < BY_HAND && !self.lows.contains(&low) => low,
            None => self.permuted24(low),
        }
    }

    /// A permutation of numbers of 24 bits: four rounds of Feistel.
    fn permuted24(&self, value: u32) -> u32 {
        let (mut left, mut right) = (value >> 12 & 0xfff, value & 0xfff);
        for round in 0..4_u32 {
            let data = [round.to_be_bytes(), right.to_be_bytes()].concat();
            let mixed = self.secret.number("mac", &data) & 0xfff;
            (left, right) = (right, left ^ u32::try_from(mixed).unwrap_or_default());
        }
        left << 12 | right
    }

    pub(crate) fn mac(&self, mac: [u8; 6]) -> [u8; 6] {
        if is_kept_mac(mac) {
            return mac;
        }
        let [a, b, c, d, e, f] = mac;
        if let [0x33, 0x33, 0xff, ..] = mac {
            let [_, d, e, f] = self.group_low(low_of(mac)).to_be_bytes();
            return [a, b, c, d, e, f];
        }
        // Docker and OVN-Kubernetes make MACs of addresses.
        let v4 = Ipv4Addr::new(c, d, e, f);
        if matches!((a, b), (0x02, 0x42) | (0x0a, 0x58)) && self.known.v4.contains(&v4) {
            let [c, d, e, f] = self.v4(v4).octets();
            return [a, b, c, d, e, f];
        }
        // Zero means that there is none.
        let mut low = self.permuted24(low_of(mac));
        if low == 0 {
            low = self.permuted24(0);
        }
        let [_, d, e, f] = low.to_be_bytes();
        [a, b, c, d, e, f]
    }

    /// The MAC that a number is, where the capture has it.
    pub(crate) fn known_mac(&self, number: u64) -> Option<[u8; 6]> {
        let [0, 0, mac @ ..] = number.to_be_bytes() else { return None };
        self.known.macs.contains(&mac).then_some(mac)
    }
}

fn low_of(mac: [u8; 6]) -> u32 {
    let [.., d, e, f] = mac;
    u32::from_be_bytes([0, d, e, f])
}

/// The IPv4 address that an IPv6 address holds: mapped, or behind the prefix of NAT64.
fn embedded(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let bits = address.to_bits();
    let is_one = matches!(bits >> 32, 0xffff | 0x0064_ff9b_0000_0000_0000_0000);
    is_one.then(|| {
        Ipv4Addr::from_bits(u32::try_from(bits & u128::from(u32::MAX)).unwrap_or_default())
    })
}

/// What a MAC is as six octets.
pub(crate) fn octets(text: &str) -> Option<[u8; 6]> {
    text.parse::<Mac>().ok().map(|mac| mac.0)
}
