use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::need::Need;
use tapline_core::records::bridge::FdbEntry;
use tapline_core::records::openflow::{OfPort, OvsFdbEntry};
use tapline_core::request::Topic;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{NodeId, names};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "MAC-003",
    id: "fdb-mac-on-wrong-port",
    summary: "a bridge learned the MAC of a guest of its own on another port",
    severity: Warning,
    confidence: Strong,
    page: "fdb_mac_on_wrong_port.md",
    layer: (Symptom, 30),
    rank: 870,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [vm::vm_target_wrong_bridge] by [Port],
        [lbr::membership_disagreement] by [Port],
        [lbr::hybrid_chain_broken] by [Port],
        [ovs::ovs_patch_peer_broken] by [Bridge],
        [lbr::l2_loop] by [Bridge],
        // The switch learns one MAC on two ports in turn.
        [mac::duplicate_mac] by [Port, Bridge],
    ],
}

/// The MACs that belong behind one port of a bridge.
#[derive(Default)]
struct Owners {
    /// Linux bridges: the member, and the place that tells the MAC.
    linux: BTreeMap<(NodeId, Mac), BTreeMap<NodeId, Evidence>>,
    /// OVS bridges, by VLAN: the interface.
    ovs: BTreeMap<(NodeId, u16, Mac), BTreeMap<NodeId, Evidence>>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let owners = Owners::new(ctx);
    let mut learned = Learned { ctx, owners: &owners, faults: BTreeMap::new() };
    let mut read: BTreeSet<(HostId, Option<Name>)> = BTreeSet::new();
    for (source, entries) in ctx.fdb_texts() {
        read.insert((source.host, None));
        for entry in entries {
            learned.linux(source.host, &source.netns, source.id, entry);
        }
    }
    for (source, entries) in ctx.ovs_fdb_texts() {
        let named = source.command.args().last().map(|word| Name::from(word.as_str()));
        read.insert((source.host, named));
        let ports = Ports::new(ctx, source.host);
        for entry in entries {
            learned.ovs(source.host, source.id, entry, &ports);
        }
    }
    let faults = learned.faults;
    for &(bridge, _) in owners.linux.keys() {
        let Some(bridge) = ctx.netdev(bridge) else { continue };
        if read.contains(&(bridge.host, None)) {
            out.clean();
        } else {
            out.cannot_tell(bridge.host, [Need::command("bridge fdb show")]);
        }
    }
    for &(bridge, _, _) in owners.ovs.keys() {
        let Some(bridge) = ctx.ovs_bridge(bridge) else { continue };
        if read.contains(&(bridge.host, Some(bridge.name().into()))) {
            out.clean();
        } else {
            out.cannot_tell(bridge.host, [Need::about(Topic::OvsFdb, bridge.name())]);
        }
    }
    for (node, fault) in faults {
        report(ctx, out, node, &fault);
    }
}

impl Owners {
    fn new(ctx: &Ctx<'_>) -> Self {
        let mut all = Self::default();
        for nic in ctx.vm_nics() {
            let (Some(mac), Some(target)) = (&nic.data.mac, &nic.data.target) else { continue };
            // A paused VM may be on its way to this host or from it.
            let state = ctx.state_of(nic.vm).map_or("", |state| state.value.as_str());
            let runs = ctx.vm(nic.vm).and_then(|vm| vm.active) == Some(true) && state != "paused";
            if !runs || may_move(mac.value) {
                continue;
            }
            if let Some(tap) = ctx.netdev_called(nic.host, &Netns::Root, &target.value) {
                all.add(ctx, tap, mac.value, mac.evidence);
            }
        }
        for device in ctx.netdevs() {
            let Some(mac) = device.data.mac.as_ref().filter(|mac| !may_move(mac.value)) else {
                continue;
            };
            // What a container has: the other end is the port.
            if device.kind == NetdevKind::Veth
                && let Some(port) = ctx.veth_peer(device.id).filter(|peer| !peer.stub)
                && ctx.master(device.id).is_none()
                && ctx.interface_of(device.id).is_none()
            {
                all.add(ctx, port, mac.value, mac.evidence);
            }
            // A port of DHCP; those of routers are the same on several hosts.
            if device.kind == NetdevKind::OvsInternal
                && device.netns().name().is_some_and(|name| name.starts_with("qdhcp-"))
                && names::port_prefix(device.name()).is_some()
            {
                all.add(ctx, device, mac.value, mac.evidence);
            }
        }
        all
    }

    fn add(&mut self, ctx: &Ctx<'_>, port: Item<'_, Netdev<'_>>, mac: Mac, evidence: Evidence) {
        if let Some(interface) = ctx.interface_of(port.id) {
            let found = ctx.topology.find_ovs_port(interface.host, &interface.port);
            let found = found.and_then(|found| ctx.ovs_port(found));
            let bridge = ctx.topology.find_ovs_bridge(interface.host, &interface.bridge);
            let (Some(port), Some(bridge)) = (found, bridge) else { return };
            let vlan = port.tag.as_ref().map_or(0, |tag| tag.value);
            if vlan != defs::DEAD_VLAN && port.trunks.is_empty() && port.interfaces == 1 {
                let key = (bridge, vlan, mac);
                self.ovs.entry(key).or_default().insert(interface.id, evidence);
            }
            return;
        }
        let bridge = ctx.master(port.id).filter(|master| master.kind == NetdevKind::Bridge);
        // The bridges of hybrid ports forget at once: they are told to learn nothing.
        if let Some(bridge) = bridge.filter(|bridge| !bridge.name().starts_with("qbr"))
            && !ctx.is_disputed(port.id)
        {
            self.linux.entry((bridge.id, mac)).or_default().insert(port.id, evidence);
        }
    }
}

/// MACs that are not bound to a port: VRRP, none, groups, those that DVR has on each host.
fn may_move(mac: Mac) -> bool {
    let [a, b, c, d, ..] = mac.0;
    mac.is_zero()
        || mac.is_multicast()
        || (a, b, c, d) == (0x00, 0x00, 0x5e, 0x00)
        || (a, b, c) == (0xfa, 0x16, 0x3f)
        || mac.0 == [0xee; 6]
}

/// The interfaces of the OVS of one host, by bridge and number.
struct Ports(BTreeMap<(Name, i64), NodeId>);

impl Ports {
    fn new(ctx: &Ctx<'_>, host: HostId) -> Self {
        let all = ctx.ovs_interfaces_of(host).filter_map(|interface| {
            Some((
                (interface.data.bridge.clone(), interface.data.ofport.as_ref()?.value),
                interface.id,
            ))
        });
        Self(all.collect())
    }
}

/// Where the MAC of a port was learned instead.
struct Fault {
    mac: Mac,
    owner: Evidence,
    elsewhere: String,
    evidence: Evidence,
    bridge: String,
    ovs: bool,
}

struct Learned<'c, 'a> {
    ctx: &'c Ctx<'a>,
    owners: &'c Owners,
    faults: BTreeMap<NodeId, Fault>,
}

impl Learned<'_, '_> {
    fn linux(&mut self, host: HostId, netns: &Netns, source: SourceId, entry: &FdbEntry) {
        let set = ["permanent", "static", "extern_learn", "local"];
        if entry.flags.iter().any(|flag| set.contains(&flag.as_str())) {
            return;
        }
        let (Some(dev), Some(master)) = (&entry.dev, &entry.master) else { return };
        let ctx = self.ctx;
        let (Some(dev), Some(bridge)) = (
            ctx.netdev_called(host, netns, &dev.value),
            ctx.netdev_called(host, netns, &master.value),
        ) else {
            return;
        };
        let Some(owners) = self.owners.linux.get(&(bridge.id, entry.mac.value)) else { return };
        let Some((&port, &owner)) = owners.first_key_value() else { return };
        // Two ports with one MAC are another finding; they explain where it was learned.
        if owners.len() > 1 || owners.contains_key(&dev.id) {
            return;
        }
        self.faults.entry(port).or_insert(Fault {
            mac: entry.mac.value,
            owner,
            elsewhere: dev.name().to_owned(),
            evidence: Evidence { source, span: entry.at },
            bridge: bridge.name().to_owned(),
            ovs: false,
        });
    }

    fn ovs(&mut self, host: HostId, source: SourceId, entry: &OvsFdbEntry, ports: &Ports) {
        let ctx = self.ctx;
        let Some(name) = entry.bridge.as_ref().filter(|_| entry.age.is_some()) else { return };
        let Some(bridge) = ctx.bridge_called(host, name) else { return };
        let key = (bridge.id, entry.vlan.value, entry.mac.value);
        let Some(owners) = self.owners.ovs.get(&key) else { return };
        let Some((&port, &owner)) = owners.first_key_value() else { return };
        let at = match &entry.port.value {
            OfPort::Number(number) => ports.0.get(&(name.clone(), i64::from(*number))).copied(),
            OfPort::Local => ctx.topology.find_ovs_interface(host, name),
            OfPort::Name(it) => ctx.topology.find_ovs_interface(host, it),
        };
        let Some(at) = at.filter(|at| owners.len() == 1 && !owners.contains_key(at)) else {
            return;
        };
        let Some(elsewhere) = ctx.ovs_interface(at) else { return };
        self.faults.entry(port).or_insert(Fault {
            mac: entry.mac.value,
            owner,
            elsewhere: elsewhere.name().to_owned(),
            evidence: Evidence { source, span: entry.at },
            bridge: name.to_string(),
            ovs: true,
        });
    }
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, port: NodeId, fault: &Fault) {
    let Some(node) = ctx.topology.node(port) else { return };
    let Some(host) = node.host else { return };
    let message = format!(
        "{} belongs behind it, and {} learned it on {}: frames for it go the wrong way",
        fault.mac, fault.bridge, fault.elsewhere
    );
    let finding = out.fault(ctx, host, port, message);
    finding.primary(fault.evidence, "learned elsewhere");
    finding.primary(fault.owner, "whose MAC it is");
    if let Some(place) = node.seen.first() {
        finding.context(*place, "the port");
    }
    finding
        .note("a loop, a second machine with this MAC, or a VM that was moved here a moment ago");
    finding.next(if fault.ovs {
        format!("ovs-appctl fdb/show {} | grep -i {}", fault.bridge, fault.mac)
    } else {
        format!("bridge fdb show br {} | grep -i {}", fault.bridge, fault.mac)
    });
}
