use tapline_core::ids::Netns;
use tapline_core::records::openflow::{Action, Flow};
use tapline_network::uplink;
use tapline_network::{Item, User, defs, flows, l2};
use tapline_topology::graph::{OvsBridge, OvsPort};
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "OVS-022",
    id: "vlan-not-on-trunk",
    summary: "the VLAN of a running VM is on no trunk of its bridge, nor on any other port",
    severity: Warning,
    confidence: Strong,
    page: "vlan_not_on_trunk.md",
    layer: (TagsAndFlows, 88),
    rank: 528,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [ovs::ovs_flows_not_programmed] by [Bridge],
        [vm::vm_port_identity_mismatch] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let bridges = ctx.hosts().flat_map(|host| ctx.ovs_bridges_of(host));
    for bridge in bridges.filter(|bridge| !ctx.is_integration(bridge.id)) {
        let ports: Vec<_> = ctx
            .ovs_ports_of(bridge.host)
            .filter(|port| *port.data.bridge == *bridge.name())
            .collect();
        let guests = ports.iter().filter(|port| {
            l2::access_vlan(port.data).is_some_and(|vlan| vlan != defs::DEAD_VLAN)
                && matches!(ctx.user_of(port.host, port.name()), User::Running(_))
        });
        for port in guests {
            judge(ctx, out, bridge, *port, &ports);
        }
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    bridge: Item<'_, OvsBridge>,
    port: Item<'_, OvsPort>,
    ports: &[Item<'_, OvsPort>],
) {
    let Some(vlan) = l2::access_vlan(port.data) else { return };
    let others = || ports.iter().filter(|other| other.id != port.id);
    // The bridge's own port hands all VLANs to the host, which takes those that it has devices for.
    let is_own =
        |other: &Item<'_, OvsPort>| other.name() == bridge.name() && !takes(ctx, *other, vlan);
    let is_alone = others().all(|other| is_own(other) || !l2::carries(other.data, vlan));
    // That a trunk says which VLANs it carries shows that this one was forgotten.
    let trunk = others().find(|other| !other.data.trunks.is_empty() && leads_out(ctx, **other));
    let (true, Some(trunk)) = (is_alone, trunk) else {
        out.clean();
        return;
    };
    let missing = ctx.missing(port.host, &Netns::Root, &[Topic::Ovs]);
    if !missing.is_empty() {
        out.cannot_tell(port.host, missing);
        return;
    }
    // Flows may give frames another VLAN. Without a controller there is one that switches.
    let is_normal =
        |flow: &&Flow| matches!(flow.actions.as_slice(), [one] if one.action == Action::Normal);
    match ctx.flows().best(port.host, bridge.name()) {
        Some(dump) if dump.flows.iter().all(is_normal) => {}
        Some(_) => return out.clean(),
        None if ctx.is_plain(bridge.id) => {}
        None => return out.cannot_tell(port.host, [flows::command(bridge.name())]),
    }
    let message = format!(
        "is alone in VLAN {vlan}: {}, by which {} leads out, does not carry it, and no other port is in it",
        trunk.name(),
        bridge.name()
    );
    let finding = out.fire(port.host, ctx.subject(port.id), message);
    finding.node = Some(port.id);
    finding.no_surer_than(Confidence::Strong);
    if let Some(tag) = &port.data.tag {
        finding.primary(tag.evidence, "its VLAN");
    }
    if let Some(first) = trunk.data.trunks.first() {
        finding.primary(first.evidence, "the VLANs of the trunk");
    }
    let key = format!("another port in VLAN {vlan}");
    finding.rests_on_absence(ctx.searched(port.host, &Netns::Root, Topic::Ovs, &key));
    let trunks = trunk.data.trunks.iter().map(|trunk| trunk.value.to_string());
    let trunks: Vec<String> = trunks.chain([vlan.to_string()]).collect();
    finding.next(format!("ovs-vsctl set port {} trunks={}", trunk.name(), trunks.join(",")));
}

/// Whether the host has a VLAN device on the bridge's own.
fn takes(ctx: &Ctx<'_>, own: Item<'_, OvsPort>, vlan: u16) -> bool {
    let device = ctx.netdev_called(own.host, &Netns::Root, own.name());
    let uppers = device.map(|device| ctx.topology.into(device.id, EdgeKind::StackedOn));
    let mut uppers = uppers.into_iter().flatten().filter_map(|(id, _)| ctx.netdev(id));
    uppers.any(|upper| l2::vlan_of(upper) == Some(vlan))
}

/// Whether frames leave the host by the port: it is a NIC, a bond of them, or a port of DPDK.
fn leads_out(ctx: &Ctx<'_>, port: Item<'_, OvsPort>) -> bool {
    let mut interfaces =
        ctx.ovs_interfaces_of(port.host).filter(|interface| *interface.data.port == *port.name());
    interfaces.any(|interface| match ctx.device_of(interface.id) {
        Some(device) => uplink::is_uplink(&device),
        None => interface.kind.starts_with("dpdk") && !interface.kind.starts_with("dpdkvhost"),
    })
}
