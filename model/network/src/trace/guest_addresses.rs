//! The addresses of guests, as far as texts tell them: nobody looks into a guest.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::ids::Mac;
use tapline_core::need::Need;
use tapline_core::records::openflow::OfField;
use tapline_core::span::Evidence;
use tapline_topology::graph::VmNic;

use crate::{Item, Network};

use super::{Certainty, End, Outcome, Place, Reason, Tracer, Walk, Way, ovn};

/// The addresses of guests.
#[derive(Default, Debug)]
pub(super) struct Guests {
    /// By MAC.
    pub(super) by_mac: BTreeMap<Mac, Vec<(IpAddr, Evidence)>>,
    /// Those that are told completely: rules, flows or DHCP let the NIC have no other, or its guest
    /// listed them itself.
    whole: BTreeSet<Mac>,
}

impl Guests {
    fn new(network: &Network<'_>) -> Self {
        let macs: BTreeSet<Mac> =
            network.vm_nics().filter_map(|nic| Some(nic.data.mac.as_ref()?.value)).collect();
        let mut all = Self::default();
        let mut add = |mac: Mac, ip: IpAddr, at: Evidence, whole: bool| {
            if !macs.contains(&mac) || ip.is_unspecified() || ip.is_multicast() {
                return;
            }
            if whole {
                all.whole.insert(mac);
            }
            let known = all.by_mac.entry(mac).or_default();
            if known.iter().all(|(other, _)| *other != ip) {
                known.push((ip, at));
            }
        };
        for bridge in network.ovs_bridges() {
            let Some(dump) = network.flows().best(bridge.host, bridge.name()) else { continue };
            for flow in &dump.flows {
                let Some(mac) = flow.wants(OfField::EthSrc.whole()) else { continue };
                let bytes = mac.value.to_be_bytes();
                let Some(mac) = bytes.last_chunk::<6>().copied().map(Mac) else { continue };
                for field in [OfField::ArpSpa, OfField::IpSrc] {
                    let ip = flow.wants(field.whole()).map(|ip| ip.value);
                    let ip = ip.and_then(|ip| u32::try_from(ip).ok());
                    if let Some(ip) = ip {
                        add(mac, IpAddr::V4(ip.into()), dump.line(flow), true);
                    }
                }
                if let Some(ip) = flow.wants(OfField::Ipv6Src.whole()) {
                    add(mac, IpAddr::V6(ip.value.into()), dump.line(flow), true);
                }
            }
        }
        for (_, mac, ip, at) in network.filters().guest_addresses() {
            add(mac, ip, at, true);
        }
        for (source, addresses) in network.guest_address_texts() {
            // Leases and ARP show some of the addresses, the guest itself knows all.
            let by_guest = source.command.args().iter().any(|arg| arg.contains("agent"));
            for address in addresses {
                if let (Some(mac), Some(net)) = (&address.mac, &address.address) {
                    let at = Evidence { source: source.id, span: address.at };
                    add(mac.value, net.value.addr(), at, by_guest);
                }
            }
        }
        for neighbours in network.neighbours().values() {
            for ((_, ip), known) in neighbours {
                if let Some(mac) = known.record.mac.as_ref().filter(|_| !known.failed) {
                    add(mac.value, *ip, known.evidence, false);
                }
            }
        }
        all
    }
}

impl Tracer<'_, '_> {
    /// The addresses that flows, rules, neighbours and libvirt know of NICs of guests.
    pub(super) fn guests(&self) -> &Guests {
        self.guests.get_or_init(|| Guests::new(self.network))
    }

    /// Whether all addresses of a NIC are told.
    fn is_told_whole(&self, nic: Item<'_, VmNic<'_>>) -> bool {
        let Some(mac) = nic.data.mac.as_ref() else { return false };
        let offers = self.offers.get_or_init(|| ovn::offers(self.network));
        self.guests().whole.contains(&mac.value) || offers.contains_key(&mac.value)
    }
}

impl Walk<'_, '_, '_> {
    /// Whether a guest that hears a frame to an address that nobody is known to have may have it;
    /// ends the way there.
    pub(super) fn may_own_unresolved(
        &mut self,
        way: &mut Way,
        nic: Item<'_, VmNic<'_>>,
        place: &Place,
    ) -> bool {
        let Some(asked) = way.packet.unresolved.filter(|_| !self.tracer.is_told_whole(nic)) else {
            return false;
        };
        let vm = self.network.vm(nic.vm);
        let name = vm.map(|vm| vm.name()).unwrap_or_default();
        let need = Need::command("virsh domifaddr").with(name).with("--source").with("agent");
        let text =
            format!("guest {name} hears ARP for {asked}, and not all its addresses are known");
        let end = End {
            reason: Some(Reason::NotCaptured),
            certainty: Certainty::Inferred,
            evidence: nic.data.mac.as_ref().map(|mac| mac.evidence).into_iter().collect(),
            next: Self::next(place, vec![need]),
            ..End::new(Outcome::Unknown, text, place.clone(), &way.packet)
        };
        self.end(way, end);
        true
    }
}
