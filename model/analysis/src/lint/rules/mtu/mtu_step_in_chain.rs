use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::{Fact, Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Topic, names};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::uplink;
use tapline_network::{Item, User};

declare_rule! {
    code: "MTU-002",
    id: "mtu-step-in-chain",
    summary: "the MTU changes along the way of one port, or between the ports of one network",
    severity: Error,
    confidence: Proven,
    page: "mtu_step_in_chain.md",
    layer: (Mtu, 40),
    rank: 620,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [vm::vm_target_wrong_bridge] by [Port],
        [lbr::hybrid_chain_broken] by [Port],
        [mtu::overlay_mtu_exceeds_underlay, mtu::mtu_exceeds_lower_device] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut unequal: BTreeSet<NodeId> = BTreeSet::new();
    for (from, edge, to) in ctx.topology.edges() {
        if edge.kind == EdgeKind::VethPeer
            && let (Some(a), Some(b)) = (ctx.netdev(from), ctx.netdev(to))
            && pair(ctx, out, a, b)
        {
            unequal.extend([from, to]);
        }
    }
    for tap in ctx.netdevs().filter(|device| device.kind == NetdevKind::Tap) {
        if tap.netns().is_root() {
            machine(ctx, out, tap, &unequal);
        }
    }
    networks(ctx, out, &unequal);
}

/// The two ends of a veth; whether they are at fault.
fn pair<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    a: Item<'a, Netdev<'a>>,
    b: Item<'a, Netdev<'a>>,
) -> bool {
    // The inside of a container cannot be captured by name: nothing to ask for.
    if [a, b].iter().any(|it| it.stub && matches!(it.netns(), Netns::Nameless { .. })) {
        return false;
    }
    let (Some(mtu_a), Some(mtu_b)) = (&a.data.mtu, &b.data.mtu) else {
        let bare = if a.data.mtu.is_none() { a } else { b };
        out.cannot_tell(bare.host, [Topic::Links.command(bare.netns())]);
        return false;
    };
    if mtu_a.value == mtu_b.value {
        out.clean();
        return false;
    }
    let (large, small) = if mtu_a.value > mtu_b.value { (a, b) } else { (b, a) };
    let (Some(more), Some(less)) = (&large.data.mtu, &small.data.mtu) else { return false };
    let feeder = feeder(ctx, large, less.value);
    let consequence = match &feeder {
        Some(_) => "larger frames from the bridge are lost here without a word",
        None => "larger frames are lost here",
    };
    let message = format!(
        "{} of {} and {} of its other end {}: {consequence}",
        more.value,
        large.name(),
        less.value,
        small.name()
    );
    let finding = out.fault(ctx, large.host, large.id, message);
    finding.primary(more.evidence, "the larger end");
    finding.primary(less.evidence, "the smaller end");
    match feeder {
        Some((_, mtu)) => {
            finding.context(mtu.evidence, "a port of the same bridge that sends larger frames");
        }
        None => {
            finding.at_most(Severity::Warning);
        }
    }
    let agent = names::port_prefix(large.name()).is_some();
    finding.next(format!("ip link set {} mtu {}", large.name(), less.value));
    if agent {
        finding.next("openstack network show NETWORK -c mtu");
    }
    true
}

/// Another port of the bridge of `end` that may send frames of more than `limit` bytes.
fn feeder<'a>(
    ctx: &Ctx<'a>,
    end: Item<'a, Netdev<'a>>,
    limit: u32,
) -> Option<(Item<'a, Netdev<'a>>, &'a Fact<u32>)> {
    let bridge = ctx.master(end.id).filter(|master| master.kind == NetdevKind::Bridge)?;
    ctx.members(bridge.id).into_iter().filter(|member| member.id != end.id).find_map(|member| {
        let mtu = member.data.mtu.as_ref()?;
        (mtu.value > limit && member.admin_up() != Some(false)).then_some((member, mtu))
    })
}

/// The tap of a running VM against all ports by which frames leave its bridge.
fn machine(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    tap: Item<'_, Netdev<'_>>,
    unequal: &BTreeSet<NodeId>,
) {
    let bridge = ctx.master(tap.id).filter(|master| master.kind == NetdevKind::Bridge);
    let (Some(bridge), Some(inner)) = (bridge, &tap.data.mtu) else { return };
    let nic = ctx.nics_behind(tap.host, tap.name()).into_iter().next();
    let runs = match nic {
        Some(nic) => ctx.vm(nic.vm).and_then(|vm| vm.active) == Some(true),
        // Somebody has the tap open.
        None => tap.usable() == Some(true),
    };
    if !runs || ctx.is_disputed(tap.id) {
        return;
    }
    let ways_out: Vec<_> = ctx
        .members(bridge.id)
        .into_iter()
        .filter(|port| port.admin_up() != Some(false) && leads_out(ctx, *port))
        .collect();
    let mtu = |port: &Item<'_, Netdev<'_>>| port.data.mtu.as_ref().map(|mtu| mtu.value);
    // One of unknown size may be the wide one.
    if ways_out.iter().any(|port| mtu(port).is_none()) {
        return;
    }
    let Some(widest) = ways_out.iter().max_by_key(|port| mtu(port)) else { return };
    let Some(outer) = &widest.data.mtu else { return };
    let xml = nic.and_then(|nic| nic.data.xml);
    let set = xml.and_then(|xml| Some((xml.source, xml.record.mtu.as_ref()?)));
    let size = set.map_or(inner.value, |(_, mtu)| mtu.value);
    if size <= outer.value {
        out.clean();
        return;
    }
    // Of a veth that is narrow at this end only all is said.
    let is_said = unequal.contains(&widest.id)
        && ctx.veth_peer(widest.id).is_some_and(|peer| mtu(&peer) >= Some(size));
    if is_said {
        return;
    }
    let message = match set {
        Some(_) => format!(
            "the VM is told an MTU of {size}, {} on the way out has {}: larger frames are lost",
            widest.name(),
            outer.value
        ),
        None => format!(
            "{size} of the tap, {} of {}: larger frames of the VM are lost",
            outer.value,
            widest.name()
        ),
    };
    // Wide at both ends and narrow between is what nobody set up on purpose.
    let wide_again = uplinks_beyond(ctx, *widest).into_iter().find(|wire| mtu(wire) >= Some(size));
    let finding = out.fault(ctx, tap.host, tap.id, message);
    finding.at_most(Severity::Warning);
    if let Some((source, mtu)) = set {
        finding.primary(mtu.evidence(source), "what the VM is told");
    } else {
        finding.primary(inner.evidence, "the larger MTU");
    }
    finding.primary(outer.evidence, "the smaller MTU");
    match wide_again.and_then(|wire| wire.data.mtu.as_ref()) {
        Some(wide) => {
            finding.context(wide.evidence, "the wire behind it is wide again");
            if set.is_none() {
                finding.no_surer_than(Confidence::Strong);
            }
        }
        None if set.is_none() => {
            finding.at_most(Severity::Info);
            finding.note("the VM may have got the smaller MTU by DHCP: then it does no harm");
        }
        None => {}
    }
    if names::port_prefix(tap.name()).is_some() {
        finding.next("openstack network show NETWORK -c mtu");
        finding.next(format!("ip link set {} mtu {}", tap.name(), outer.value));
    } else {
        finding.next(format!("ip link set {} mtu {size}", widest.name()));
    }
}

/// Whether frames leave a Linux bridge by this port for another bridge or the wire.
fn leads_out(ctx: &Ctx<'_>, port: Item<'_, Netdev<'_>>) -> bool {
    match port.kind {
        NetdevKind::Tunnel => true,
        NetdevKind::Veth => {
            // The end of a hybrid port leads into the switch, seen or not.
            let hybrid = port.name().starts_with("qvb");
            let in_bridge = |peer: Item<'_, Netdev<'_>>| {
                ctx.master(peer.id).is_some() || ctx.interface_of(peer.id).is_some()
            };
            hybrid || ctx.veth_peer(port.id).is_some_and(in_bridge)
        }
        _ => uplink::is_uplink(&port),
    }
}

/// The uplinks of the Linux bridges that a veth leads to.
fn uplinks_beyond<'a>(ctx: &Ctx<'a>, port: Item<'a, Netdev<'a>>) -> Vec<Item<'a, Netdev<'a>>> {
    let mut bridges: BTreeSet<NodeId> = BTreeSet::new();
    let mut uplinks = Vec::new();
    let mut open = vec![port];
    // Each bridge once: a ring of bridges ends here.
    while let Some(port) = open.pop() {
        let far = ctx.veth_peer(port.id).and_then(|peer| ctx.master(peer.id));
        let Some(bridge) = far.filter(|bridge| bridges.insert(bridge.id)) else { continue };
        for member in ctx.members(bridge.id) {
            if uplink::is_uplink(&member) {
                uplinks.push(member);
            } else if member.kind == NetdevKind::Veth {
                open.push(member);
            }
        }
    }
    uplinks
}

/// The ports of one network on one host, by what neutron writes into the port, else by the VLAN
/// that its agent gave the network.
fn networks(ctx: &Ctx<'_>, out: &mut Verdicts, unequal: &BTreeSet<NodeId>) {
    let mut networks: BTreeMap<(HostId, Name), Vec<Item<'_, Netdev<'_>>>> = BTreeMap::new();
    let mut neutron: BTreeMap<HostId, bool> = BTreeMap::new();
    for interface in ctx.ovs_interfaces() {
        if !ctx.is_integration_called(interface.host, &interface.bridge)
            || names::port_prefix(interface.name()).is_none()
        {
            continue;
        }
        let host = interface.host;
        if !*neutron.entry(host).or_insert_with(|| defs::is_ml2_ovs(ctx, host)) {
            continue;
        }
        let port = ctx.topology.find_ovs_port(host, &interface.data.port);
        let Some(port) = port.and_then(|port| ctx.ovs_port(port)) else { continue };
        let network = port.data.other_config.iter().find(|(key, _)| key == "net_uuid");
        let tag = port.data.tag.as_ref().map(|tag| tag.value);
        let network = match (network, tag) {
            (Some((_, it)), _) => it.value.clone(),
            (None, Some(tag)) if tag != defs::DEAD_VLAN => format!("VLAN {tag}").into(),
            _ => continue,
        };
        // Subports of a trunk carry a tag more.
        if ["tpi-", "spi-", "tpt-", "spt-", "ha-"]
            .iter()
            .any(|prefix| interface.name().starts_with(prefix))
        {
            continue;
        }
        let Some(device) = ctx.device_of(interface.id) else { continue };
        // Of a veth whose ends differ all is said.
        if device.data.mtu.is_some() && !unequal.contains(&device.id) {
            networks.entry((host, network)).or_default().push(device);
        }
    }
    for ((host, network), devices) in networks {
        network_ports(ctx, out, host, &network, &devices);
    }
}

fn network_ports(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    network: &str,
    devices: &[Item<'_, Netdev<'_>>],
) {
    let mtu = |device: &Item<'_, Netdev<'_>>| device.data.mtu.as_ref().map_or(0, |mtu| mtu.value);
    let sizes: BTreeSet<u32> = devices.iter().map(mtu).collect();
    let (Some(&least), true) = (sizes.first(), sizes.len() > 1) else {
        out.clean();
        return;
    };
    // The few against the many: those are the ones to look at.
    let count = |size: u32| devices.iter().filter(|device| mtu(device) == size).count();
    let usual = sizes.iter().copied().max_by_key(|&size| (count(size), std::cmp::Reverse(size)));
    let usual = usual.unwrap_or(least);
    let odd: Vec<_> = devices.iter().filter(|device| mtu(device) != usual).collect();
    let rest: Vec<_> = devices.iter().filter(|device| mtu(device) == usual).collect();
    let (Some(first), Some(other)) = (odd.first(), rest.first()) else { return };
    let (Some(is), Some(should)) = (&first.data.mtu, &other.data.mtu) else { return };
    let message = format!(
        "{} where {} of the same network ({network}) has {}: large frames between them are lost",
        is.value,
        other.name(),
        should.value
    );
    let bare_taps =
        odd.iter().all(|odd| mtu(odd) > usual && is_machine_tap(ctx, host, odd.id, odd.name()));
    let finding = out.fault(ctx, host, first.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
    finding.primary(is.evidence, "the odd one");
    finding.primary(should.evidence, "another port of the network");
    for more in odd.iter().skip(1) {
        finding.also(ctx.subject(more.id).short());
    }
    if bare_taps {
        finding.at_most(Severity::Info);
        finding.note("the VM may have got the smaller MTU by DHCP: then it does no harm");
    }
    finding.next("openstack network show NETWORK -c mtu");
    finding.next("systemctl restart neutron-dhcp-agent neutron-l3-agent");
}

/// Whether the device belongs to a VM directly.
fn is_machine_tap(ctx: &Ctx<'_>, host: HostId, device: NodeId, name: &str) -> bool {
    let tap = ctx.netdev(device).is_some_and(|device| device.netns().is_root());
    tap && name.starts_with("tap") && !matches!(ctx.user_of(host, name), User::Nobody)
}
