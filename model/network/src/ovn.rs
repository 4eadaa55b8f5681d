//! What captures tell of OVN: the settings of each host, and the databases of the deployment.
//!
//! The databases are of the whole deployment and were captured wherever somebody asked them; the
//! settings are of one host. [`Ovn::south_of`] says which southbound database a host reads.
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::Name;
use tapline_core::capture::{HostId, Source};
use tapline_core::records::Batch;
use tapline_core::records::ovn::{
    OvnChassis, OvnEncap, OvnPortBinding, OvnRouterPort, OvnSwitchPort,
};
use tapline_core::records::ovs::{OvsMap, OvsRecord, OvsRef, OvsRow, lookup};
use tapline_core::span::{At, Evidence, SourceId};
use tapline_topology::coverage::Searched;
use tapline_topology::graph::OvsInterface;
use tapline_topology::names;

use crate::defs;
use crate::{Item, Network};

/// Asks the southbound database what chassis there are and what they claimed.
pub const ASK_SOUTH: &str = "ovn-sbctl show";

/// All that was captured.
#[derive(Debug, Default)]
pub struct Ovn<'a> {
    /// Hosts whose Open vSwitch has settings of OVN, by host.
    pub locals: BTreeMap<HostId, Local<'a>>,
    /// Southbound databases by the host on which they were asked.
    pub souths: BTreeMap<HostId, South<'a>>,
    /// Northbound databases by the host on which they were asked.
    pub norths: BTreeMap<HostId, North<'a>>,
}

/// What ovn-controller reads on a host: `external_ids` of the row `Open_vSwitch`.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a> {
    /// The host.
    pub host: HostId,
    /// The row.
    pub row: Evidence,
    ids: &'a OvsMap,
}

/// A southbound database.
#[derive(Debug)]
pub struct South<'a> {
    /// The host on which it was asked.
    pub host: HostId,
    /// By name.
    pub chassis: BTreeMap<&'a str, Chassis<'a>>,
    /// By logical port.
    pub bindings: BTreeMap<&'a str, Binding<'a>>,
    /// A complete `show`, and how many rows it has: every chassis and every claimed port.
    pub shown: Option<(SourceId, usize)>,
    /// A complete list of Port_Binding: every port there is.
    pub listed: Option<(SourceId, usize)>,
}

/// A chassis.
#[derive(Clone, Debug)]
pub struct Chassis<'a> {
    /// Its name: the system id of its host.
    pub name: &'a str,
    /// The host name that it gave.
    pub hostname: Option<&'a str>,
    /// Its row.
    pub at: Evidence,
    /// Its tunnel ends.
    pub encaps: Vec<Encap<'a>>,
    /// Its row with all columns, where it was listed.
    pub listed: Option<&'a OvnChassis>,
}

/// A tunnel end of a chassis.
#[derive(Clone, Copy, Debug)]
pub struct Encap<'a> {
    /// `geneve`, …
    pub kind: &'a str,
    /// Its address, as printed.
    pub ip: &'a str,
    /// Where it stands.
    pub at: Evidence,
}

/// Where a logical port is.
#[derive(Clone, Copy, Debug)]
pub struct Binding<'a> {
    /// The row that says most.
    pub row: &'a OvnPortBinding,
    /// Its place.
    pub at: Evidence,
    /// Who claimed it.
    pub holder: Holder<'a>,
}

/// Who claimed a port. From weak to strong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Holder<'a> {
    /// Nobody.
    Nobody,
    /// A chassis whose name was not captured.
    Unnamed,
    /// This chassis.
    Chassis(&'a str),
}

/// A northbound database, as `show` nests it.
#[derive(Debug)]
pub struct North<'a> {
    /// The host on which it was asked.
    pub host: HostId,
    /// Switch ports by name.
    pub switch_ports: BTreeMap<&'a str, (&'a OvnSwitchPort, Evidence)>,
    /// The localnet ports of each switch, by the switch.
    pub localnets: BTreeMap<&'a str, Vec<(&'a str, Evidence)>>,
    /// Router ports by name.
    pub router_ports: BTreeMap<&'a str, (&'a OvnRouterPort, Evidence)>,
    /// Whether there are ports of other zones of OVN interconnection.
    pub is_joined: bool,
}

impl<'a> Ovn<'a> {
    /// Gathers what was captured.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut all = Self::default();
        for (source, rows) in network.ovs_texts() {
            let complete = network.topology.snapshot.completeness(source.id).is_complete();
            all.local(source, rows);
            let south = rows.iter().any(|row| {
                matches!(row.row, OvsRow::Chassis(_) | OvsRow::Encap(_) | OvsRow::PortBinding(_))
            });
            if south {
                let one = all.souths.entry(source.host);
                one.or_insert_with(|| South::new(source.host)).add(source, rows, complete);
            }
            let north = |it: &OvsRecord| {
                matches!(it.row, OvsRow::SwitchPort(_) | OvsRow::RouterPort(_) | OvsRow::Switch(_))
            };
            if is_show(source) && complete && rows.iter().any(north) {
                let one = all.norths.entry(source.host);
                one.or_insert_with(|| North::new(source.host)).add(source.id, rows);
            }
        }
        for one in all.souths.values_mut() {
            one.name_holders(network);
        }
        all
    }

    fn local(&mut self, source: &Source, rows: &'a [OvsRecord]) {
        const KEYS: &[&str] =
            &["ovn-remote", "ovn-encap-ip", "ovn-encap-type", "ovn-bridge-mappings"];
        for record in rows {
            let OvsRow::OpenVswitch(row) = &record.row else { continue };
            if KEYS.iter().any(|key| lookup(&row.external_ids, key).is_some()) {
                self.locals.entry(source.host).or_insert(Local {
                    host: source.host,
                    row: Evidence { source: source.id, span: record.at },
                    ids: &row.external_ids,
                });
            }
        }
    }

    /// The southbound database that a host reads; `None` where it was not captured, or where
    /// nothing says that it is this one.
    pub fn south_of(&self, network: &Network<'_>, local: &Local<'_>) -> Option<&South<'a>> {
        if let Some(own) = self.souths.get(&local.host) {
            return Some(own);
        }
        let remotes: Vec<IpAddr> =
            local.list("ovn-remote").filter_map(|list| remote(&list)).collect();
        let serves = |south: &&South<'_>| {
            remotes.iter().any(|ip| {
                let nodes = network.topology.find_address(*ip).iter();
                nodes
                    .filter_map(|node| network.address(*node))
                    .any(|address| address.host == south.host)
            })
        };
        // It holds the host's chassis, with a port of the host's own: that of another zone may
        // know the chassis, but none of its ports.
        let knows = |south: &&South<'_>| {
            let Some(id) = local.system_id() else { return false };
            network.ovs_interfaces_of(local.host).any(|interface| {
                let port = defs::external_id(interface.data, "iface-id");
                let binding = port.and_then(|port| south.bindings.get(port));
                binding.is_some_and(|binding| binding.holder == Holder::Chassis(id))
            })
        };
        self.souths.values().find(serves).or_else(|| self.souths.values().find(knows))
    }
}

impl<'a> Local<'a> {
    /// A setting.
    pub fn get(&self, key: &str) -> Option<&'a At<Name>> {
        lookup(self.ids, key)
    }

    /// Where a setting stands; the row where it does not.
    pub fn place(&self, key: &str) -> Evidence {
        self.get(key).map_or(self.row, |it| it.evidence(self.row.source))
    }

    /// The members of a setting that is a list.
    pub fn list(&self, key: &str) -> impl Iterator<Item = String> + use<'a> {
        let value = self.get(key).map_or("", |it| it.value.as_str());
        value.split(',').map(|part| part.trim().to_owned()).filter(|it| !it.is_empty())
    }

    /// The name of the host's chassis.
    pub fn system_id(&self) -> Option<&'a str> {
        self.get("system-id").map(|it| it.value.as_str()).filter(|it| !it.is_empty())
    }

    /// The bridge that ports of OVN are on.
    pub fn bridge(&self) -> &'a str {
        self.get("ovn-bridge").map_or(names::INTEGRATION_BRIDGE, |bridge| bridge.value.as_str())
    }

    /// Whether several ovn-controllers run on the host, each with settings of its own.
    pub fn is_shared(&self) -> bool {
        const EACH: &[&str] = &["system-id-", "ovn-bridge-mappings-", "ovn-encap-type-"];
        self.ids.iter().any(|(key, _)| EACH.iter().any(|each| key.starts_with(each)))
    }
}

/// The address in `ssl:192.0.2.1:6642`, `tcp:[2001:db8::1]:6642`.
fn remote(target: &str) -> Option<IpAddr> {
    let (_, rest) = target.split_once(':')?;
    let host = match rest.strip_prefix('[') {
        Some(inner) => inner.split_once(']')?.0,
        None => rest.rsplit_once(':')?.0,
    };
    host.parse().ok()
}

fn is_show(source: &Source) -> bool {
    source.command.args().iter().any(|arg| arg == "show")
}

impl<'a> South<'a> {
    fn new(host: HostId) -> Self {
        let (chassis, bindings) = (BTreeMap::new(), BTreeMap::new());
        Self { host, chassis, bindings, shown: None, listed: None }
    }

    fn add(&mut self, source: &Source, rows: &'a [OvsRecord], complete: bool) {
        let show = is_show(source);
        if show && complete {
            self.shown.get_or_insert((source.id, rows.len()));
        }
        // A list refers by uuid; its own chassis rows, where there are any, have the names.
        for record in rows {
            let at = Evidence { source: source.id, span: record.at };
            match &record.row {
                OvsRow::Chassis(row) => self.add_chassis(row, at, show),
                OvsRow::Encap(row) => self.add_encap(row, at),
                OvsRow::PortBinding(row) => {
                    if !show && complete {
                        self.listed.get_or_insert((source.id, rows.len()));
                    }
                    self.add_binding(row, at, show);
                }
                _ => {}
            }
        }
    }

    fn add_chassis(&mut self, row: &'a OvnChassis, at: Evidence, show: bool) {
        let name = row.name.value.as_str();
        let hostname = row.hostname.as_ref().map(|hostname| hostname.value.as_str());
        let one = self.chassis.entry(name).or_insert_with(|| Chassis {
            name,
            hostname,
            at,
            encaps: Vec::new(),
            listed: None,
        });
        one.hostname = one.hostname.or(hostname);
        if !show {
            one.listed.get_or_insert(row);
        }
    }

    fn add_encap(&mut self, row: &'a OvnEncap, at: Evidence) {
        let Some(ip) = &row.ip else { return };
        let Some(chassis) = row.chassis.as_ref().map(|chassis| chassis.value.as_str()) else {
            return;
        };
        let kind = row.kind.as_ref().map_or("", |kind| kind.value.as_str());
        let at = Evidence { source: at.source, span: ip.span };
        let one = self.chassis.entry(chassis).or_insert_with(|| Chassis {
            name: chassis,
            hostname: None,
            at,
            encaps: Vec::new(),
            listed: None,
        });
        let ip = ip.value.as_str();
        if !one.encaps.iter().any(|encap| (encap.kind, encap.ip) == (kind, ip)) {
            one.encaps.push(Encap { kind, ip, at });
        }
    }

    fn add_binding(&mut self, row: &'a OvnPortBinding, at: Evidence, show: bool) {
        let holder = match row.chassis.as_ref().map(|chassis| &chassis.value) {
            None => Holder::Nobody,
            Some(OvsRef::Name(name)) => Holder::Chassis(name.as_str()),
            Some(OvsRef::Uuid(uuid)) if show => Holder::Chassis(uuid.as_str()),
            Some(OvsRef::Uuid(_)) => Holder::Unnamed,
        };
        let new = Binding { row, at, holder };
        match self.bindings.get_mut(row.logical_port.value.as_str()) {
            None => _ = self.bindings.insert(row.logical_port.value.as_str(), new),
            Some(old) => {
                // Two captures that disagree: that it is claimed is the weaker claim of a fault.
                let holder = old.holder.max(holder);
                if !show {
                    *old = new;
                }
                old.holder = holder;
            }
        }
    }

    /// Gives the chassis that lists refer to their names.
    fn name_holders(&mut self, network: &Network<'a>) {
        let mut names: BTreeMap<&str, &'a str> = BTreeMap::new();
        for (_, reading) in network.topology.snapshot.iter().filter(|(it, _)| it.host == self.host)
        {
            let Batch::Ovs(rows) = &reading.records else { continue };
            for record in rows {
                if let (OvsRow::Chassis(row), Some(uuid)) = (&record.row, &record.uuid) {
                    names.insert(uuid.value.as_str(), row.name.value.as_str());
                }
            }
        }
        for binding in self.bindings.values_mut() {
            if let (Holder::Unnamed, Some(OvsRef::Uuid(uuid))) =
                (binding.holder, binding.row.chassis.as_ref().map(|chassis| &chassis.value))
                && let Some(name) = names.get(uuid.as_str())
            {
                binding.holder = Holder::Chassis(name);
            }
        }
    }

    /// The `show` that was searched for `key` in vain.
    pub fn searched(&self, key: &str) -> Option<Searched> {
        let sources = vec![self.shown.or(self.listed)?];
        Some(Searched { keys: vec![key.to_owned()], sources, namespaces: 0 })
    }
}

impl<'a> North<'a> {
    fn new(host: HostId) -> Self {
        Self {
            host,
            switch_ports: BTreeMap::new(),
            localnets: BTreeMap::new(),
            router_ports: BTreeMap::new(),
            is_joined: false,
        }
    }

    fn add(&mut self, source: SourceId, rows: &'a [OvsRecord]) {
        for record in rows {
            let at = Evidence { source, span: record.at };
            match &record.row {
                OvsRow::SwitchPort(row) => {
                    let name = row.name.value.as_str();
                    let kind = row.kind.as_ref().map_or("", |kind| kind.value.as_str());
                    self.is_joined |= kind == "remote";
                    if let (true, Some(switch)) = (kind == "localnet", switch_of(row)) {
                        let all = self.localnets.entry(switch).or_default();
                        if !all.iter().any(|it| it.0 == name) {
                            all.push((name, at));
                        }
                    }
                    self.switch_ports.entry(name).or_insert((row, at));
                }
                OvsRow::RouterPort(row) => {
                    self.router_ports.entry(row.name.value.as_str()).or_insert((row, at));
                }
                _ => {}
            }
        }
    }
}

/// The switch that a port is on, where the text nests it.
pub fn switch_of(row: &OvnSwitchPort) -> Option<&str> {
    match row.switch.as_ref().map(|switch| &switch.value) {
        Some(OvsRef::Uuid(it) | OvsRef::Name(it)) => Some(it.as_str()),
        None => None,
    }
}

/// The interfaces of a host that are ports of OVN, each with its logical port.
pub fn ports_of<'a>(
    network: &Network<'a>,
    local: &Local<'_>,
) -> Vec<(Item<'a, OvsInterface>, &'a str, Evidence)> {
    let of_bridge = |interface: &Item<'a, OvsInterface>| interface.data.bridge == local.bridge();
    let mut seen = BTreeSet::new();
    network
        .ovs_interfaces_of(local.host)
        .filter(of_bridge)
        .filter_map(|interface| {
            let id = interface.data.external_ids.iter().find(|(key, _)| key == "iface-id")?;
            Some((interface, id.1.value.as_str(), id.1.evidence))
        })
        .filter(|(it, ..)| seen.insert(it.id))
        .collect()
}

/// How far apart two texts were taken, in seconds, where both times are known.
pub fn apart(network: &Network<'_>, a: SourceId, b: SourceId) -> Option<f64> {
    let taken = |id| network.topology.snapshot.source(id).and_then(|source| source.taken);
    Some((taken(a)? - taken(b)?).abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes_have_addresses() {
        assert_eq!(remote("ssl:192.0.2.1:6642"), "192.0.2.1".parse().ok());
        assert_eq!(remote("tcp:[2001:db8::1]:6642"), "2001:db8::1".parse().ok());
        assert_eq!(remote("unix:/run/ovn/ovnsb_db.sock"), None);
        assert_eq!(remote("tcp:central:6642"), None);
    }
}
