use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::EACH_NAMESPACE;
use tapline_core::need::Need;
use tapline_topology::graph::OvsInterface;
use tapline_topology::{Presence, Topic, names};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-004",
    id: "ovs-port-no-netdev",
    summary: "the device of an OVS port is in no namespace",
    severity: Error,
    confidence: Strong,
    page: "ovs_port_no_netdev.md",
    layer: (L2Device, 60),
    rank: 70,
    core: true,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [
        [cap::mixed_captures] by [Host],
        [ovs::ovs_iface_error] by [Port],
        [vm::vm_target_missing] by [Port],
        [vm::vm_target_missing] if Population by [Port],
        [ns::netns_handle_stale] by [Netns],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for interface in
        ctx.ovs_interfaces().filter(|interface| interface.has_netdev() && interface.error.is_none())
    {
        if ctx.device_of(interface.id).is_some() {
            out.clean();
            continue;
        }
        match defs::presence(ctx, interface.host, interface.name()) {
            Presence::Yes(_) => out.clean(),
            Presence::Unknown(missing) => out.cannot_tell(interface.host, missing),
            Presence::No(searched) => match datapath(ctx, interface.host, &interface.data.bridge) {
                Some(true) => report(ctx, out, interface, searched),
                // Not even the bridge has a device: the switch does not run, or the devices are
                // those of another host or time. That is no fault of this port.
                Some(false) => {
                    out.cannot_tell(
                        interface.host,
                        [Need::about(Topic::OfPorts, &interface.data.bridge)],
                    );
                }
                None => out.clean(),
            },
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Whether the bridge itself has its device; `None` for a bridge that is not in the database.
fn datapath(ctx: &Ctx<'_>, host: HostId, bridge: &str) -> Option<bool> {
    ctx.bridge_called(host, bridge)?;
    Some(!matches!(defs::presence(ctx, host, bridge), Presence::No(_)))
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    interface: Item<'_, OvsInterface>,
    searched: tapline_topology::coverage::Searched,
) {
    let (host, name) = (interface.host, interface.name());
    let user = ctx.user_of(host, name);
    let finding = out.fault(
        ctx,
        host,
        interface.id,
        "the port has no device in any namespace: traffic to it goes nowhere",
    );
    if let Some(place) = interface.place() {
        finding.primary(place, "listed here without an error");
    }
    finding.rests_on_absence(searched);
    match user {
        User::Running(vm) => {
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "the VM that needs it");
            }
        }
        User::Off(vm) => {
            finding.at_most(Severity::Info);
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "its VM does not run");
            }
        }
        User::Nobody if interface.kind.is_empty() && names::port_prefix(name).is_some() => {
            finding.at_most(Severity::Warning);
            finding.note("no VM of this host uses the port");
        }
        User::Nobody | User::Unknown(_) => {}
    }
    // Container runtimes move devices into namespaces without a name, which no command lists.
    let container = ["container_id", "sandbox", "sandbox_id"];
    let marked =
        container.iter().any(|container| defs::external_id(interface.data, container).is_some());
    let nameless =
        ctx.namespaces_of(host).any(|netns| matches!(netns.netns(), Netns::Nameless { .. }));
    if marked || nameless && names::port_prefix(name).is_none() {
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        finding.note("the host has namespaces without a name, which were not searched");
    }
    finding.next(format!("ovs-vsctl get interface {name} ofport error external_ids"));
    finding.next(format!("{EACH_NAMESPACE} ip -n \"$n\" link show {name} </dev/null; done"));
}
