//! A frame as filters of frames see it: its heads, and what it says where it is ARP.
use std::net::IpAddr;

use tapline_core::ids::Mac;
use tapline_core::records::filter::{Addresses, ArpTest, FrameTest, MaskedMac};
use tapline_core::records::route::Family;

use super::Packet;
use crate::truth::Truth;

/// EtherTypes.
const IPV4: u16 = 0x0800;
const ARP: u16 = 0x0806;
const VLAN: u16 = 0x8100;
const IPV6: u16 = 0x86dd;

/// What is known of a frame beside the packet in it.
#[derive(Clone, Debug)]
pub struct Frame {
    /// The VLANs of its tags, the outermost first.
    pub tags: Option<Vec<u16>>,
    /// The EtherType of what is in it, below all tags.
    pub protocol: Option<u16>,
    /// What it says, where it is ARP.
    pub arp: Arp,
}

/// What a packet of ARP says.
#[derive(Clone, Default, Debug)]
pub struct Arp {
    /// Its operation.
    pub operation: Option<u16>,
    /// The address of its sender.
    pub sender: Option<IpAddr>,
    /// The address that it asks for, or answers to.
    pub target: Option<IpAddr>,
    /// The MAC of its sender.
    pub sender_mac: Option<Mac>,
    /// The MAC that it answers to.
    pub target_mac: Option<Mac>,
}

impl Frame {
    /// Whether it surely has no packet of IP in it.
    pub(super) fn is_no_ip(&self) -> bool {
        self.protocol.is_some_and(|protocol| !matches!(protocol, IPV4 | IPV6))
    }

    /// Whether the EtherType behind its addresses is one of these. The kernel counts the outermost tag as
    /// part of the frame, wherever it keeps it (`ebt_basic_match`, net/bridge/netfilter/ebtables.c;
    /// `nft_payload_copy_vlan`, net/netfilter/nft_payload.c).
    fn has_type(&self, wanted: &[u16]) -> Truth {
        match self.tags.as_deref() {
            None => Truth::Maybe,
            Some([]) => Truth::from(self.protocol.map(|protocol| wanted.contains(&protocol))),
            Some([_]) => Truth::from(wanted.contains(&VLAN)),
            // The outermost of several may be of another type.
            Some(_) => Truth::Maybe,
        }
    }

    /// Whether what is below its tag is one of these (`skb->protocol`).
    fn has_protocol(&self, wanted: &[u16]) -> Truth {
        match self.tags.as_deref() {
            Some([] | [_]) => Truth::from(self.protocol.map(|protocol| wanted.contains(&protocol))),
            _ => Truth::Maybe,
        }
    }

    fn says(&self, test: &ArpTest) -> Truth {
        let said = match test {
            ArpTest::Operation(all) => {
                Truth::from(self.arp.operation.map(|known| all.contains(&known)))
            }
            // It is about addresses of IPv4 on Ethernet, as all ARP of Linux is there.
            ArpTest::Hardware(kind) => Truth::from(*kind == 1),
            ArpTest::Network(kind) => Truth::from(*kind == IPV4),
            ArpTest::SenderAddress(all) => is_address(self.arp.sender, all),
            ArpTest::TargetAddress(all) => is_address(self.arp.target, all),
            ArpTest::SenderMac(all) => is_one_of(self.arp.sender_mac, all),
            ArpTest::TargetMac(all) => is_one_of(self.arp.target_mac, all),
            ArpTest::Gratuitous => {
                let both = self.arp.sender.zip(self.arp.target);
                Truth::from(both.map(|(sender, target)| sender == target))
            }
        };
        self.has_protocol(&[ARP]).and(said)
    }
}

impl Packet {
    /// Whether its frame meets a test.
    pub(super) fn fits_frame(&self, test: &FrameTest) -> Truth {
        match (&self.frame, test) {
            (Some(frame), FrameTest::EtherType(all)) => frame.has_type(all),
            (Some(frame), FrameTest::Protocol(all)) => frame.has_protocol(all),
            (Some(frame), FrameTest::Vlan(all)) => {
                let is_of = |tags: &[u16]| {
                    tags.first().is_some_and(|vid| all.iter().any(|range| range.contains(vid)))
                };
                Truth::from(frame.tags.as_deref().map(is_of))
            }
            (Some(_), FrameTest::MacDestination(all)) => is_one_of(self.mac_destination, all),
            (Some(frame), FrameTest::Arp(test)) => frame.says(test),
            _ if self.foreign => Truth::Maybe,
            // Where packets are filtered, it is one.
            (None, FrameTest::Protocol(all)) => Truth::from(all.contains(match self.family {
                Family::Inet => &IPV4,
                Family::Inet6 => &IPV6,
            })),
            (None, FrameTest::Arp(_)) => Truth::No,
            (None, _) => Truth::Maybe,
        }
    }
}

fn is_address(known: Option<IpAddr>, all: &[Addresses]) -> Truth {
    Truth::from(known.map(|ip| all.iter().any(|one| one.contain(ip))))
}

/// Whether a MAC is one of those that are meant.
pub(super) fn is_one_of(known: Option<Mac>, all: &[MaskedMac]) -> Truth {
    Truth::from(known.map(|mac| all.iter().any(|one| one.contains(mac))))
}
