//! VRFs: devices whose addresses and routes stand in a table of their own.
//!
//! Sources: Documentation/networking/vrf.rst; the kernel's `l3mdev_fib_table` and
//! `l3mdev_update_flow` (net/l3mdev/l3mdev.c), `fib_magic` (net/ipv4/fib_frontend.c), which puts the
//! addresses of a member into the table of its VRF and not into `local`, and `fib_rules_lookup`.
use std::collections::BTreeSet;
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::route::Rule;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind};
use tapline_topology::{NodeId, names};

use crate::{Item, Network, defs};

use super::table::canonical;
use super::{Devices, Fib, Query};

/// The VRF that a device belongs to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Domain<'a> {
    /// None.
    Default,
    /// This one: the device is a member of it, or the VRF itself.
    Vrf(Item<'a, Netdev<'a>>),
    /// Not known.
    Unknown,
}

/// Whether an address is one of a table's.
pub(super) enum Own {
    Here(NodeId),
    No,
    /// The VRF of the device that has it is not known, or the table of that VRF.
    Open,
}

impl<'a> Network<'a> {
    /// The VRF that a device belongs to (`l3mdev_master_dev_rcu`): its own master only, so a port
    /// of a bridge that is in a VRF is in none.
    pub(crate) fn domain_of(&self, device: NodeId) -> Domain<'a> {
        let Some(device) = self.netdev(device) else { return Domain::Unknown };
        if device.kind == NetdevKind::Vrf {
            return Domain::Vrf(device);
        }
        match self.master(device.id) {
            Some(master) if master.kind == NetdevKind::Vrf => Domain::Vrf(master),
            Some(master) if master.kind == NetdevKind::Unknown => Domain::Unknown,
            Some(_) => Domain::Default,
            None => match &device.data.master {
                Some(master) if !names::is_ovs_datapath(&master.value) => Domain::Unknown,
                Some(_) => Domain::Default,
                // `ip -br` and `ifconfig` print no master.
                None if lists_master(self, device) => Domain::Default,
                None => Domain::Unknown,
            },
        }
    }
}

/// Whether a text that lists a device would have named its master.
fn lists_master(network: &Network<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    device.data.records.iter().any(|seen| {
        let source = network.topology.snapshot.source(seen.source);
        seen.record.mtu.is_some() && source.is_some_and(|one| one.command.program() == "ip")
    })
}

/// Whether a rule sends packets of VRFs to their tables.
pub(super) fn is_l3mdev(rule: &Rule) -> bool {
    rule.lookup.as_ref().is_some_and(|table| table.starts_with('['))
}

/// The namespaces in which some device is in a VRF, or may be: its master was not captured.
pub(super) fn namespaces_with_vrfs<'a>(network: &Network<'a>) -> BTreeSet<(HostId, &'a Netns)> {
    let devices = network.hosts().flat_map(|host| network.netdevs_of(host));
    devices
        .filter(|device| match network.master(device.id) {
            Some(master) => matches!(master.kind, NetdevKind::Vrf | NetdevKind::Unknown),
            None => {
                let master = device.data.master.as_ref();
                device.kind == NetdevKind::Vrf
                    || master.is_some_and(|master| !names::is_ovs_datapath(&master.value))
            }
        })
        .map(|device| (device.host, device.netns()))
        .collect()
}

/// The table of a VRF, as `ip` prints it.
fn table_of(vrf: Item<'_, Netdev<'_>>) -> Option<Name> {
    let mut records = vrf.data.records.iter();
    let table = records.find_map(|seen| seen.record.kind_data.vrf_table.as_ref())?;
    Some(canonical(&table.value.to_string()))
}

impl<'a> Fib<'_, 'a> {
    /// The VRF whose packets a question is about: of the device that they came in by, or that
    /// their sender is bound to.
    pub(super) fn domain(&self, query: &Query<'_>, oif: Option<&str>) -> Domain<'a> {
        let Some(name) = query.iif.or(oif).filter(|_| self.has_vrfs) else {
            return Domain::Default;
        };
        let device = self.network.topology.find_netdev(self.host, self.netns, name);
        device.map_or(Domain::Unknown, |device| self.network.domain_of(device))
    }

    /// Whether an address stands in a table, and so is one of this namespace there; on the device
    /// that a socket is bound to, if it is.
    pub(super) fn own_in(&self, table: &str, ip: IpAddr, oif: Option<&str>) -> Own {
        let mut open = false;
        for &id in self.network.topology.find_address(ip) {
            let Some(address) = self.network.address(id) else { continue };
            let here = address.host == self.host && address.netns() == self.netns;
            if !here || !defs::is_in_use(&address) {
                continue;
            }
            let device = self.network.netdev(address.data.netdev);
            let bound = oif.is_none_or(|oif| device.is_some_and(|device| device.name() == oif));
            if !bound {
                continue;
            }
            let domain = if self.has_vrfs {
                self.network.domain_of(address.data.netdev)
            } else {
                Domain::Default
            };
            match domain {
                Domain::Default if table == "local" => return Own::Here(id),
                Domain::Default => {}
                Domain::Vrf(_) if table == "local" => {}
                Domain::Vrf(vrf) => match self.table_of(vrf) {
                    Some(of_vrf) if of_vrf == table => return Own::Here(id),
                    Some(_) if table.parse::<u32>().is_ok() => {}
                    // The name that a person gave a table in `/etc/iproute2/rt_tables`.
                    Some(_) if table == "main" || table == "default" => {}
                    _ => open = true,
                },
                Domain::Unknown => open = true,
            }
        }
        if open {
            return Own::Open;
        }
        let whole = if table == "local" && oif.is_none() { self.on_loopback(ip) } else { None };
        whole.map_or(Own::No, Own::Here)
    }

    /// The address of the loopback device whose whole subnet is the namespace's own: 127.0.0.0/8, and
    /// what a person adds there (`fib_add_ifaddr`, net/ipv4/fib_frontend.c).
    fn on_loopback(&self, ip: IpAddr) -> Option<NodeId> {
        let device = self.network.topology.find_netdev(self.host, self.netns, "lo")?;
        let all = self.network.addresses_of(device).into_iter();
        let holds = |address: &Item<'a, AddressNode<'a>>| {
            ip.is_ipv4()
                && ipnet::IpNet::new(address.ip, address.prefix).is_ok_and(|net| net.contains(&ip))
        };
        all.filter(holds).map(|address| address.id).next()
    }

    /// The table of a VRF; `None` where only its number would tell, and that is not known.
    pub(super) fn table_of(&self, vrf: Item<'a, Netdev<'a>>) -> Option<Name> {
        let number = table_of(vrf);
        // `ip route show vrf NAME` tells no number.
        let asked = Name::from(format!("vrf {}", vrf.name()));
        match number {
            Some(number) if self.tables.contains_key(&*number) => Some(number),
            _ if self.tables.contains_key(&*asked) => Some(asked),
            // A table that was printed by a name may be this one.
            Some(_) if self.tables.keys().any(|name| is_given_name(name)) => None,
            number => number,
        }
    }
}

/// A name of `/etc/iproute2/rt_tables` that a person put there.
fn is_given_name(table: &str) -> bool {
    let own = matches!(table, "main" | "local" | "default");
    !own && !table.starts_with('[') && !table.starts_with("vrf ") && table.parse::<u32>().is_err()
}

impl Devices<'_> {
    /// The same, by whatever device.
    pub(super) fn free(self) -> Self {
        Self { oif: None, ..self }
    }
}
