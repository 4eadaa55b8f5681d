//! What filters of frames test: the heads of Ethernet and of VLANs, and ARP.
use std::ops::RangeInclusive;

use super::Addresses;
use crate::ids::Mac;

/// A test of a frame, beside those of the packet in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum FrameTest {
    /// The EtherType that follows its addresses is one of these; of a tagged frame it is that of the tag.
    EtherType(Vec<u16>),
    /// What is in it, below a tag, is one of these EtherTypes.
    Protocol(Vec<u16>),
    /// It has a tag, of one of these VLANs.
    Vlan(Vec<RangeInclusive<u16>>),
    /// It is sent to one of these MACs.
    MacDestination(Vec<MaskedMac>),
    /// It is ARP, and says so.
    Arp(ArpTest),
}

/// A test of a packet of ARP.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ArpTest {
    /// It asks (1), answers (2), or something rarer.
    Operation(Vec<u16>),
    /// The sort of hardware whose addresses it names; 1 is Ethernet.
    Hardware(u16),
    /// The EtherType whose addresses it names.
    Network(u16),
    /// The address that its sender says to have.
    SenderAddress(Vec<Addresses>),
    /// The address that it asks for, or answers to.
    TargetAddress(Vec<Addresses>),
    /// The MAC that its sender says to have.
    SenderMac(Vec<MaskedMac>),
    /// The MAC that it answers to.
    TargetMac(Vec<MaskedMac>),
    /// Both addresses are the same: it tells an address that nobody asked for.
    Gratuitous,
}

/// Some bits of a MAC.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MaskedMac {
    /// The value of the bits; the others are 0.
    pub value: Mac,
    /// Which bits count.
    pub mask: Mac,
}

impl MaskedMac {
    /// One MAC.
    pub fn of(mac: Mac) -> Self {
        Self { value: mac, mask: Mac([0xff; 6]) }
    }

    /// Whether `mac` is meant.
    pub fn contains(&self, mac: Mac) -> bool {
        let mut octets = mac.0.iter().zip(&self.mask.0).zip(&self.value.0);
        octets.all(|((octet, mask), value)| octet & mask == *value)
    }

    /// The one MAC, where there is but one.
    pub fn single(&self) -> Option<Mac> {
        (self.mask == Mac([0xff; 6])).then_some(self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_may_be_meant_by_some_bits() {
        let [multicast, guest] = [Mac([1, 0, 0, 0, 0, 0]), Mac([0x52, 0x54, 0, 0, 0, 7])];
        let groups = MaskedMac { value: multicast, mask: multicast };
        assert!(groups.contains(Mac([0xff; 6])) && !groups.contains(guest));
        assert_eq!(groups.single(), None);
        let one = MaskedMac::of(guest);
        assert!(one.contains(guest) && !one.contains(multicast));
        assert_eq!(one.single(), Some(guest));
    }
}
