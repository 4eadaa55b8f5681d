use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::OvsInterface;
use tapline_topology::{NodeId, Topic};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::uplink;
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-014",
    id: "ovs-ofport-invalid",
    summary: "OVS gave an interface no OpenFlow port, or sees no link where the kernel does",
    severity: Error,
    confidence: Proven,
    page: "ovs_ofport_invalid.md",
    layer: (L2Device, 70),
    rank: 500,
    about: [],
    reports_down: true,
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_daemon_down] by [Host],
        [ovs::ovs_iface_error] by [Port],
        [ovs::ovs_port_no_netdev, ovs::ovs_nic_not_in_datapath] by [Port],
        [nic::uplink_link_down, bond::bond_degraded] by [Device],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let mut told = false;
        let mut open = false;
        // One interface with a number shows that the column was asked for, and that OVS runs.
        let numbered = ctx
            .ovs_interfaces_of(host)
            .any(|interface| interface.ofport.as_ref().is_some_and(|ofport| ofport.value > 0));
        let whole = numbered && ctx.complete(host, &Netns::Root, Topic::OvsInterfaces);
        for interface in ctx.ovs_interfaces_of(host) {
            told |= interface.ofport.is_some();
            // Why OVS could not open it is said by another rule, as are patches.
            if interface.error.is_some() || interface.kind == "patch" {
                continue;
            }
            let number = interface.ofport.as_ref();
            let empty = whole && number.is_none() && listed(ctx, interface).is_some();
            if number.is_some_and(|number| number.value < 0) || empty {
                unnumbered(ctx, out, interface);
            } else if number.is_some() {
                link(ctx, out, interface);
            } else {
                open |= matches!(ctx.user_of(host, interface.name()), User::Running(_));
            }
        }
        if open && !told {
            out.cannot_tell(host, [Topic::OvsInterfaces.command(&Netns::Root)]);
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Who wants an interface.
enum Wanted {
    /// A VM that runs.
    Vm(NodeId),
    /// The namespace of a router or a DHCP server.
    Namespace(Evidence),
    /// Other hosts.
    Wire,
    /// Nothing is known to.
    Perhaps,
    /// Nothing does.
    Nothing,
}

fn need(ctx: &Ctx<'_>, interface: Item<'_, OvsInterface>) -> Wanted {
    let (host, name) = (interface.host, interface.name());
    if matches!(interface.kind.as_str(), "vxlan" | "gre" | "geneve" | "dpdk") {
        return Wanted::Wire;
    }
    let device = ctx.device_of(interface.id);
    if let Some(device) = device
        && !device.netns().is_root()
        && let Some(place) = device.place()
    {
        return Wanted::Namespace(place);
    }
    match ctx.user_of(host, name) {
        User::Running(vm) => Wanted::Vm(vm),
        User::Off(_) => Wanted::Nothing,
        _ if device.is_some_and(|device| uplink::is_uplink(&device)) => Wanted::Wire,
        // A tap or a client socket comes with its VM.
        User::Nobody | User::Unknown(_) if device.is_none() => Wanted::Nothing,
        User::Nobody | User::Unknown(_) => Wanted::Perhaps,
    }
}

fn unnumbered(ctx: &Ctx<'_>, out: &mut Verdicts, interface: Item<'_, OvsInterface>) {
    let need = need(ctx, interface);
    if matches!(need, Wanted::Nothing) {
        return out.clean();
    }
    let message = match &need {
        Wanted::Vm(_) => "OVS gave it no OpenFlow port: no flow can reach its VM, which is cut off",
        Wanted::Namespace(_) => {
            "OVS gave it no OpenFlow port: no flow can reach its namespace, which is cut off"
        }
        _ => "OVS gave it no OpenFlow port: no flow can reach it, and nothing passes",
    };
    let finding = out.fault(ctx, interface.host, interface.id, message);
    match (&interface.data.ofport, listed(ctx, interface)) {
        (Some(number), _) => {
            finding.primary(number.evidence, "no port");
            // A file may be older than the switch that runs.
            if is_file(ctx, number.evidence) {
                finding.no_surer_than(Confidence::Strong);
            }
        }
        (None, Some(place)) => {
            finding.primary(place, "its `ofport` is empty");
        }
        (None, None) => {}
    }
    match need {
        Wanted::Vm(vm) => {
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "the VM behind it");
            }
        }
        Wanted::Namespace(place) => {
            finding.context(place, "its device");
        }
        Wanted::Wire | Wanted::Nothing => {}
        Wanted::Perhaps => {
            finding.at_most(Severity::Warning);
            finding.note("whether something uses it is not known");
        }
    }
    next(finding, interface);
}

fn is_file(ctx: &Ctx<'_>, at: Evidence) -> bool {
    let source = ctx.topology.snapshot.source(at.source);
    source.is_some_and(|source| !matches!(source.command.program(), "ovs-vsctl" | "ovsdb-client"))
}

/// The row that prints all columns of an interface.
fn listed(ctx: &Ctx<'_>, interface: Item<'_, OvsInterface>) -> Option<Evidence> {
    interface.node.seen.iter().copied().find(|seen| {
        ctx.topology.snapshot.source(seen.source).is_some_and(|source| {
            source.command.program() == "ovs-vsctl"
                && source.command.args().iter().any(|arg| arg == "list")
        })
    })
}

/// OVS says that a link is down whose device the kernel shows as up: of internal ports it cannot
/// see those in namespaces, so only devices of VMs are looked at.
fn link(ctx: &Ctx<'_>, out: &mut Verdicts, interface: Item<'_, OvsInterface>) {
    let (host, name) = (interface.host, interface.name());
    let system = matches!(interface.kind.as_str(), "" | "system");
    let down = interface.data.link_state.as_ref().filter(|state| state.value == "down" && system);
    let Some(down) = down else { return out.clean() };
    let User::Running(vm) = ctx.user_of(host, name) else { return out.clean() };
    let Some(device) = ctx.device_of(interface.id) else { return out.clean() };
    if device.usable() != Some(true) || !device.netns().is_root() {
        return out.clean();
    }
    let Some(place) = device.place() else { return };
    if far_apart(ctx, down.evidence, place) {
        return out.clean();
    }
    let message =
        "OVS sees no link, and the kernel does: the switch may not use the port of a running VM";
    let finding = out.fault(ctx, host, interface.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    finding.primary(down.evidence, "by OVS");
    finding.primary(place, "by the kernel");
    if let Some(state) = ctx.state_of(vm) {
        finding.context(state.evidence, "the VM behind it");
    }
    finding.note("the link may have come between the two captures");
    next(finding, interface);
}

/// Whether two texts were taken at such different times that they may well differ.
fn far_apart(ctx: &Ctx<'_>, a: Evidence, b: Evidence) -> bool {
    let taken = |place: Evidence| {
        ctx.topology.snapshot.source(place.source).and_then(|source| source.taken)
    };
    match (taken(a), taken(b)) {
        (Some(a), Some(b)) => (a - b).abs() > ctx.settings.thresholds.capture_skew_s,
        _ => false,
    }
}

fn next(finding: &mut Finding, interface: Item<'_, OvsInterface>) {
    finding.next(format!(
        "ovs-vsctl --columns=name,ofport,error,admin_state,link_state list interface {}",
        interface.name()
    ));
    finding.next("ovs-appctl dpif/show");
}
