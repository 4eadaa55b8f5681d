use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{NetdevKind, OvsPort, VmNic};
use tapline_topology::{NodeId, Topic, names};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::segment::Segments;

declare_rule! {
    code: "MAC-001",
    id: "duplicate-mac",
    summary: "one MAC is at two places of one segment",
    severity: Error,
    confidence: Proven,
    page: "duplicate_mac.md",
    layer: (L3, 140),
    rank: 260,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [vm::vm_on_two_hosts] by [Vm],
        [ns::ha_router_active_count] by [Netns],
    ],
}

/// Of so many places with one MAC each is compared with each.
const MOST: usize = 200;

/// A place where frames to a MAC end.
#[derive(Clone, Copy)]
struct Endpoint {
    host: HostId,
    /// The NIC of the VM, or the device.
    node: NodeId,
    /// The device, as far as known.
    device: Option<NodeId>,
    evidence: Evidence,
    /// The VM, and whether it runs.
    vm: Option<(NodeId, Option<bool>)>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut held: BTreeMap<Mac, Vec<Endpoint>> = BTreeMap::new();
    for nic in ctx.vm_nics() {
        let Some(mac) = &nic.data.mac else { continue };
        let active = ctx.vm(nic.vm).and_then(|vm| vm.active);
        let target = nic.data.target.as_ref();
        let device =
            target.and_then(|target| ctx.netdev_called(nic.host, &Netns::Root, &target.value));
        held.entry(mac.value).or_default().push(Endpoint {
            host: nic.host,
            node: nic.id,
            device: device.map(|device| device.id),
            evidence: mac.evidence,
            vm: Some((nic.vm, active)),
        });
    }
    for device in ctx.netdevs() {
        let Some(mac) = &device.data.mac else { continue };
        let passive = matches!(
            device.kind,
            NetdevKind::Loopback | NetdevKind::Dummy | NetdevKind::Macvtap | NetdevKind::Ipvlan
        );
        let ends_here =
            || ctx.addresses_of(device.id).iter().any(|address| defs::is_global(address.ip));
        if passive || may_repeat(mac.value) || device.admin_up() == Some(false) || !ends_here() {
            continue;
        }
        held.entry(mac.value).or_default().push(Endpoint {
            host: device.host,
            node: device.id,
            device: Some(device.id),
            evidence: mac.evidence,
            vm: None,
        });
    }
    let segments = ctx.segments();
    for (mac, endpoints) in held {
        if endpoints.len() < 2 {
            out.clean();
        } else {
            judge(ctx, out, mac, &endpoints, segments);
        }
    }
}

/// MACs that several devices have by design: none at all, groups, VRRP, Calico.
fn may_repeat(mac: Mac) -> bool {
    let [a, b, c, d, ..] = mac.0;
    mac.is_zero()
        || mac.is_multicast()
        || (a, b, c, d) == (0x00, 0x00, 0x5e, 0x00)
        || mac.0 == [0xee; 6]
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, mac: Mac, all: &[Endpoint], segments: &Segments) {
    // Pairs of the first with the rest are enough: the finding names all.
    let all = all.get(..MOST).unwrap_or(all);
    let mut told: BTreeSet<NodeId> = BTreeSet::new();
    let mut verdict = false;
    for (at, first) in all.iter().enumerate() {
        if told.contains(&first.node) {
            continue;
        }
        let mut same: Vec<(&Endpoint, Meet)> = Vec::new();
        for other in all.iter().skip(at + 1) {
            match meet(ctx, first, other, segments) {
                Ok(Some(meet)) => same.push((other, meet)),
                Ok(None) => {}
                Err(missing) => {
                    out.cannot_tell(first.host, missing);
                    verdict = true;
                }
            }
        }
        let Some(weakest) = same.iter().map(|(_, it)| *it).min() else { continue };
        told.extend(same.iter().map(|(it, _)| it.node));
        verdict = true;
        report(ctx, out, mac, first, &same, weakest);
    }
    if !verdict {
        out.clean();
    }
}

/// How sure it is that two endpoints meet. From weak to strong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Meet {
    /// They would, if the VM that is off were started.
    Later,
    /// Bridges of one name on two hosts.
    Namesakes,
    /// One bridge, or one segment.
    Segment,
}

fn meet(
    ctx: &Ctx<'_>,
    a: &Endpoint,
    b: &Endpoint,
    segments: &Segments,
) -> Result<Option<Meet>, Vec<Need>> {
    if let (Some((vm_a, _)), Some((vm_b, _))) = (a.vm, b.vm)
        && (vm_a == vm_b || same_machine(ctx, vm_a, vm_b))
    {
        // One VM: two of its NICs (failover pairs share a MAC), or the same seen on two hosts.
        return Ok(None);
    }
    if a.host != b.host && !ctx.are_comparable(a.host, b.host) {
        return Ok(None);
    }
    let devices = a.device.zip(b.device);
    if devices.is_some_and(|(a, b)| a == b || ctx.are_stacked(a, b)) {
        return Ok(None);
    }
    let segment = |endpoint: &Endpoint| endpoint.device.and_then(|device| segments.of(device));
    let joined = a.host == b.host && segment(a).is_some() && segment(a) == segment(b)
        || a.host != b.host && (same_network(ctx, a, b) || on_one_wire(ctx, a, b));
    let bridges = same_bridge(ctx, a, b);
    let met = match (joined, bridges) {
        (true, _) => Meet::Segment,
        (false, Some(meet)) => meet,
        (false, None) => return Ok(None),
    };
    let states = [a.vm, b.vm].into_iter().flatten();
    let mut met = met;
    for (vm, active) in states {
        match active {
            Some(true) => {}
            Some(false) => met = Meet::Later,
            None => {
                let host = ctx.vm(vm).map(|vm| vm.host);
                let root = Netns::Root;
                return Err(host.map(|_| Topic::Domains.command(&root)).into_iter().collect());
            }
        }
    }
    Ok(Some(met))
}

/// Two definitions of one VM: the same UUID.
fn same_machine(ctx: &Ctx<'_>, a: NodeId, b: NodeId) -> bool {
    let uuid = |id| ctx.vm(id).and_then(|vm| vm.data.uuid.as_ref()).map(|uuid| &uuid.value);
    uuid(a).is_some() && uuid(a) == uuid(b)
}

/// Whether the VMs of two hosts are in one network of neutron.
fn same_network(ctx: &Ctx<'_>, a: &Endpoint, b: &Endpoint) -> bool {
    let ports = port_of(ctx, a).zip(port_of(ctx, b));
    ports.is_some_and(|(a, b)| ctx.are_in_one_network(a, b))
}

/// Whether two NICs of hosts are on one wire.
fn on_one_wire(ctx: &Ctx<'_>, a: &Endpoint, b: &Endpoint) -> bool {
    let devices = a.device.zip(b.device).filter(|_| a.vm.is_none() && b.vm.is_none());
    devices.is_some_and(|(a, b)| ctx.are_on_one_wire(a, b))
}

/// The port of a VM's NIC in the integration bridge: its tap, or the end of its hybrid chain.
fn port_of<'a>(ctx: &Ctx<'a>, endpoint: &Endpoint) -> Option<Item<'a, OvsPort>> {
    let nic = ctx.vm_nic(endpoint.node)?;
    let target = &nic.data.target.as_ref()?.value;
    let hybrid = || {
        let port = names::port_prefix(target)?;
        ctx.topology.find_ovs_port(nic.host, &format!("qvo{port}"))
    };
    let found = ctx.topology.find_ovs_port(nic.host, target).or_else(hybrid)?;
    ctx.ovs_port(found).filter(|port| ctx.is_integration_called(port.host, &port.bridge))
}

/// Whether the VMs are in bridges of one name. A bridge that a controller divides into
/// networks says nothing, nor does a bridge that each host makes for itself.
fn same_bridge(ctx: &Ctx<'_>, a: &Endpoint, b: &Endpoint) -> Option<Meet> {
    let nic = |endpoint: &Endpoint| -> Option<Item<'_, VmNic<'_>>> { ctx.vm_nic(endpoint.node) };
    let (of_a, of_b) = (nic(a)?.data.bridge.as_ref()?, nic(b)?.data.bridge.as_ref()?);
    let ovs = |host| ctx.topology.find_ovs_bridge(host, &of_a.value).is_some();
    let nova = ctx.is_integration_called(a.host, &of_a.value) || of_a.value.starts_with("qbr");
    if of_a.value != of_b.value || nova || ovs(a.host) || ovs(b.host) {
        return None;
    }
    let private = ["virbr", "lxdbr", "docker"].iter().any(|prefix| of_a.value.starts_with(prefix));
    match (a.host == b.host, private) {
        (true, _) => Some(Meet::Segment),
        (false, false) => Some(Meet::Namesakes),
        (false, true) => None,
    }
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    mac: Mac,
    first: &Endpoint,
    same: &[(&Endpoint, Meet)],
    weakest: Meet,
) {
    let names: Vec<String> = same.iter().map(|(it, _)| ctx.topology.name(it.node)).collect();
    let others = defs::list(names.iter().map(String::as_str), 4);
    let consequence = match weakest {
        Meet::Later => "they collide once both run",
        Meet::Namesakes | Meet::Segment => {
            "the switch moves the MAC to and fro, and each loses packets"
        }
    };
    let message = format!("{mac} is the MAC of {others} of the same segment too: {consequence}");
    let finding = out.fault(ctx, first.host, first.node, message);
    for it in [first].into_iter().chain(same.iter().map(|(it, _)| *it)) {
        finding.primary(it.evidence, format!("on {}", ctx.topology.name(it.node)));
        if let Some(state) = it.vm.and_then(|(vm, _)| ctx.state_of(vm)) {
            finding.context(state.evidence, "its state");
        }
    }
    match weakest {
        Meet::Later => {
            finding.at_most(Severity::Info);
        }
        Meet::Namesakes => {
            finding.no_surer_than(Confidence::Suspect);
            finding.note("the hosts have bridges of one name; that they are one network is likely, not proven");
        }
        Meet::Segment => {}
    }
    finding.next(format!("bridge fdb show | grep -i {mac}"));
    if first.vm.is_some() {
        finding.next("virsh domiflist VM");
    }
}
