use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::records::openflow::{Flow, OfPort, TableRef};
use tapline_network::flows::{self, Dump};
use tapline_network::{Item, User, defs, vlans};
use tapline_topology::graph::OvsPort;

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "OVS-019",
    id: "ovs-firewall-flows-missing",
    summary: "the firewall of neutron's agent has no flows for a port of a running VM",
    severity: Error,
    confidence: Strong,
    page: "ovs_firewall_flows_missing.md",
    layer: (TagsAndFlows, 85),
    rank: 525,
    about: [NeutronAgent],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_flows_not_programmed] by [Bridge],
        [ovs::ovs_dead_vlan] by [Device],
    ],
}

/// Where the flows of a port begin (neutron, `agent/linux/openvswitch_firewall/constants`:
/// `TRANSIENT_TABLE`). A port without port security has one there, too.
const TRANSIENT: TableRef = TableRef::Number(60);

/// Where they go on to with what a VM sends (`BASE_EGRESS_TABLE`): this driver alone uses it.
const BASE_EGRESS: TableRef = TableRef::Number(71);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // The flows of OVN are others.
    for host in ctx.hosts().filter(|host| !defs::is_ovn(ctx, *host)) {
        let bridge = ctx.integration_bridge(host);
        let guests: Vec<_> =
            ctx.integration_ports(host).filter(|port| is_guest(ctx, *port)).collect();
        if guests.is_empty() {
            continue;
        }
        let Some(dump) = ctx.flows().best(host, bridge) else {
            out.cannot_tell(host, [flows::command(bridge)]);
            continue;
        };
        // With the hybrid driver there is no such table: rules of iptables filter.
        let Some(shown) = dump.flows.iter().copied().find(|flow| flow.table.value == BASE_EGRESS)
        else {
            for _ in &guests {
                out.clean();
            }
            continue;
        };
        let begins: Vec<&Flow> =
            dump.flows.iter().copied().filter(|flow| flow.table.value == TRANSIENT).collect();
        for port in guests {
            if begins.iter().any(|flow| is_of(ctx, port, flow)) {
                out.clean();
            } else if is_numbered(ctx, port) || begins.iter().all(|flow| flow.in_port().is_none()) {
                report(ctx, out, host, port, dump, shown);
            } else {
                out.cannot_tell(host, [Need::command("ovs-ofctl show").with(bridge)]);
            }
        }
    }
}

/// A port of a VM that runs, as far as is known, and that the agent wires itself: libvirt removes the
/// tap of a VM that is off.
fn is_guest(ctx: &Ctx<'_>, port: Item<'_, OvsPort>) -> bool {
    let interface = ctx.interface_called(port.host, port.name());
    let is_internal = interface.is_some_and(|interface| interface.kind == "internal");
    vlans::is_in_use(ctx, port)
        && !is_internal
        && matches!(ctx.user_of(port.host, port.name()), User::Running(_) | User::Unknown(_))
        // The bridge of a hybrid port filters, with rules of iptables.
        && !port.name().starts_with("qvo")
}

/// Whether a flow takes what comes in by a port.
fn is_of(ctx: &Ctx<'_>, port: Item<'_, OvsPort>, flow: &Flow) -> bool {
    let Some(from) = flow.in_port() else { return false };
    let number = || {
        let interface = ctx.interface_called(port.host, port.name())?;
        Some(interface.data.ofport.as_ref()?.value.to_string())
    };
    ctx.switches().is(port.host, &port.bridge, &from.value, port.name())
        || matches!(from.value, OfPort::Number(_)) && number() == Some(from.value.to_string())
}

/// Whether the number of a port is known, without which flows do not tell it from others.
fn is_numbered(ctx: &Ctx<'_>, port: Item<'_, OvsPort>) -> bool {
    let interface = ctx.interface_called(port.host, port.name());
    !ctx.switches().of(port.host, &port.bridge).is_empty()
        || interface.is_some_and(|interface| interface.data.ofport.is_some())
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    port: Item<'_, OvsPort>,
    dump: &Dump<'_>,
    shown: &Flow,
) {
    let message = "the agent's firewall filters by flows and has none for this port: what the VM sends is dropped, and nothing reaches it";
    let finding = out.fire(host, ctx.subject(port.id), message.to_owned());
    finding.node = Some(port.id);
    if let Some(line) = port.place() {
        finding.primary(line, "the port");
    }
    finding.primary(dump.line(shown), "the firewall works by flows");
    let key = format!("a flow of table 60 for {}", port.name());
    finding.rests_on_absence(ctx.flows().searched(host, &port.bridge, &key));
    finding.next(format!("ovs-ofctl dump-flows {} table=60", port.bridge));
    finding.next("systemctl restart neutron-openvswitch-agent");
}
