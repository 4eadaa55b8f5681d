use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};
use tapline_topology::{EdgeKind, NodeId, Topic};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::uplink::{self, Role};

declare_rule! {
    code: "NIC-001",
    id: "uplink-link-down",
    summary: "a NIC that the host depends on is down or has no link",
    severity: Error,
    confidence: Proven,
    page: "uplink_link_down.md",
    layer: (Physical, 10),
    rank: 90,
    core: true,
    about: [],
    reports_down: true,
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let judged = |nic: &Item<'_, Netdev<'_>>| {
        uplink::is_uplink(nic) || is_tunnel_port(ctx, *nic) || is_of_container(ctx, nic)
    };
    for nic in ctx.netdevs().filter(judged) {
        let Some(role) = uplink::role(ctx, &nic) else {
            // An unused NIC may be down.
            out.clean();
            continue;
        };
        let fault = match (nic.admin_up(), nic.carrier()) {
            // `ip -br address` prints no flags: its `DOWN` stands for both.
            (None, _) if nic.usable() == Some(false) => "down or without a link",
            (None, _) if nic.usable() == Some(true) => {
                out.clean();
                continue;
            }
            (None, _) => {
                out.cannot_tell(nic.host, ctx.missing(nic.host, nic.netns(), &[Topic::Links]));
                continue;
            }
            (Some(false), _) => "administratively down",
            (Some(true), Some(false)) => "without a link",
            (Some(true), _) => {
                out.clean();
                continue;
            }
        };
        if stands_by(ctx, &nic, &role) || below_is_down(ctx, &nic) || lost_members(ctx, &nic) {
            out.clean();
            continue;
        }
        // Without all ports of the switch it may be one of two members of a bond.
        let missing = ctx.missing(nic.host, &Netns::Root, &[Topic::Ovs]);
        if matches!(role, Role::OvsPort(_)) && !missing.is_empty() {
            out.cannot_tell(nic.host, missing);
            continue;
        }
        report(ctx, out, nic, &role, fault);
    }
}

/// Whether the device is a tunnel by which frames leave a Linux bridge. What the switches of
/// Open vSwitch and the plugins of containers set up is looked at by the rules for these.
fn is_tunnel_port(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> bool {
    let bridge = ctx.master(device.id).is_some_and(|master| master.kind == NetdevKind::Bridge);
    device.kind == NetdevKind::Tunnel && bridge && !ctx.is_disputed(device.id)
}

/// Whether the device is a container's end of a veth, by which alone it reaches the outside. Ends
/// whose other end was captured have a rule of their own.
fn is_of_container(ctx: &Ctx<'_>, device: &Item<'_, Netdev<'_>>) -> bool {
    if device.kind != NetdevKind::Veth || ctx.veth_peer(device.id).is_some_and(|peer| !peer.stub) {
        return false;
    }
    let with_address = |device: &Item<'_, Netdev<'_>>| {
        ctx.addresses_of(device.id).iter().any(|address| defs::is_global(address.ip))
    };
    let other = |it: &Item<'_, Netdev<'_>>| {
        it.id != device.id
            && it.netns() == device.netns()
            && (uplink::is_uplink(it) || it.kind != NetdevKind::Loopback && with_address(it))
    };
    with_address(device) && !ctx.netdevs_of(device.host).any(|device| other(&device))
}

/// Whether others carry the traffic while this one is down: members of a bond have a rule of
/// their own.
fn stands_by(ctx: &Ctx<'_>, nic: &Item<'_, Netdev<'_>>, role: &Role) -> bool {
    match role {
        Role::Slave(_) => true,
        Role::OvsPort(_) => ctx.interface_of(nic.id).is_some_and(|interface| {
            let port = ctx.topology.find_ovs_port(interface.host, &interface.port);
            port.and_then(|port| ctx.ovs_port(port)).is_some_and(|port| port.interfaces > 1)
        }),
        _ => false,
    }
}

/// A VLAN device is down because its NIC is: the NIC is reported. The kernel switches VLANs off
/// with their NIC (`vlan_device_event`).
fn below_is_down(ctx: &Ctx<'_>, nic: &Item<'_, Netdev<'_>>) -> bool {
    let is_off = nic.admin_up() == Some(false);
    let lowers = ctx.topology.out(nic.id, EdgeKind::StackedOn).into_iter();
    lowers.filter_map(|(id, _)| ctx.netdev(id)).any(|lower| {
        if is_off {
            nic.kind == NetdevKind::Vlan && lower.admin_up() == Some(false)
        } else {
            lower.usable() == Some(false)
        }
    })
}

/// A bond has no link because none of its members has one: that has a rule of its own.
fn lost_members(ctx: &Ctx<'_>, nic: &Item<'_, Netdev<'_>>) -> bool {
    let members = ctx.members(nic.id);
    matches!(nic.kind, NetdevKind::Bond | NetdevKind::Team)
        && nic.admin_up() == Some(true)
        && !members.is_empty()
        && members.iter().all(|member| member.usable() == Some(false))
}

/// Whether guests or containers have devices of their own on it.
fn carries_guests(ctx: &Ctx<'_>, nic: NodeId) -> bool {
    let uppers = ctx.topology.into(nic, EdgeKind::StackedOn).into_iter();
    uppers.filter_map(|(id, _)| ctx.netdev(id)).any(|upper| {
        matches!(upper.kind, NetdevKind::Macvtap | NetdevKind::Macvlan | NetdevKind::Ipvlan)
    })
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, Netdev<'_>>, role: &Role, fault: &str) {
    let (host, name) = (nic.host, nic.name());
    let device = |id| ctx.netdev(id).map_or("", |device| device.name());
    let consequence = match role {
        Role::OvsPort(bridge) => format!("nothing leaves the host through OVS bridge {bridge}"),
        Role::BridgePort(bridge) if works_beside(ctx, nic, *bridge) > 0 => {
            format!("what is behind it is cut off from bridge {}", device(*bridge))
        }
        Role::BridgePort(bridge) => {
            format!("nothing leaves the host through bridge {}", device(*bridge))
        }
        Role::Slave(bond) => format!("bond {} loses it", device(*bond)),
        Role::Address(ip) => format!("{ip} is cut off"),
        Role::Carries(upper) => format!("{} on it is cut off", device(*upper)),
        Role::Functions(vm) => {
            let vm = ctx.vm(*vm).map_or("", |vm| vm.name());
            format!("VM {vm}, which has a virtual function of it, has no link")
        }
        Role::Function(function) => {
            format!("its virtual function {function} is set up for a guest, which has no link")
        }
    };
    let finding = out.fault(ctx, host, nic.id, format!("{fault}: {consequence}"));
    if let Some(flags) = &nic.data.flags {
        finding.primary(
            flags.evidence,
            if fault.starts_with("admin") { "not UP" } else { "no carrier" },
        );
    } else if let Some(state) = &nic.data.state {
        finding.primary(state.evidence, "its state");
    }
    match role {
        Role::OvsPort(bridge) => {
            let port = ctx.interface_of(nic.id).and_then(|interface| interface.place());
            if let Some(place) = port {
                finding.context(place, "its port");
            }
            lower_for_switch(ctx, finding, nic, bridge);
        }
        Role::BridgePort(bridge) => {
            if let Some(edge) = ctx.topology.out(nic.id, EdgeKind::EnslavedTo).first()
                && let Some(witness) = edge.1.witnesses.first()
            {
                finding.context(witness.evidence, "its bridge");
            }
            lower_for_bridge(ctx, finding, nic, *bridge);
        }
        Role::Address(_) | Role::Carries(_) => {
            for address in ctx.addresses_of(nic.id) {
                let record = address.data.record;
                let span = record.record.at;
                let evidence = Evidence { source: record.source, span };
                finding.context(evidence, "its address");
            }
        }
        Role::Slave(_) => {}
        Role::Function(number) => {
            for text in &nic.data.records {
                if let Some(function) = text.record.vfs.iter().find(|vf| vf.vf == *number) {
                    let evidence = Evidence { source: text.source, span: function.at };
                    finding.context(evidence, "a MAC and a VLAN were set");
                }
            }
            finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
            finding.note("which VM has the function is not known: `virsh dumpxml` would tell");
        }
        Role::Functions(vm) => {
            if let Some(state) = ctx.state_of(*vm) {
                finding.context(state.evidence, "the VM runs");
            }
        }
    }
    // Many servers have an address on a spare NIC; only traffic that has no other way is lost.
    if matches!(role, Role::Address(_))
        && !is_only_way(ctx, nic)
        && !is_of_container(ctx, &nic)
        && !carries_guests(ctx, nic.id)
    {
        finding.at_most(Severity::Warning);
    }
    let run = |command: String| defs::inside(nic.netns(), &command);
    if fault.starts_with("admin") {
        finding.next(run(format!("ip link set {name} up")));
    }
    if nic.kind == NetdevKind::Tunnel {
        finding.next(run(format!("bridge fdb show dev {name}")));
        return;
    }
    finding.next(run(format!("ethtool {name}")));
    finding.next(format!("dmesg | grep {name}"));
}

/// How many other NICs of the bridge work.
fn works_beside(ctx: &Ctx<'_>, nic: Item<'_, Netdev<'_>>, bridge: NodeId) -> usize {
    let works =
        |device: &&Item<'_, Netdev<'_>>| uplink::is_uplink(device) && device.usable() == Some(true);
    ctx.members(bridge).iter().filter(|member| member.id != nic.id).filter(works).count()
}

/// A bridge that has another working uplink, or that nothing uses, loses little.
fn lower_for_bridge(
    ctx: &Ctx<'_>,
    finding: &mut Finding,
    nic: Item<'_, Netdev<'_>>,
    bridge: NodeId,
) {
    let members = ctx.members(bridge);
    let others = || members.iter().filter(|member| member.id != nic.id);
    let beside = works_beside(ctx, nic, bridge);
    match beside {
        0 => {}
        1 => {
            finding.at_most(Severity::Warning);
            finding.note("the bridge has another NIC that works");
        }
        _ => {
            finding.at_most(Severity::Info);
            finding.note("the bridge is a switch of several NICs, and others of them work");
        }
    }
    // The tap of a guest that does not run, or whose NIC is off, serves nobody.
    let guests = others().any(|other| match other.kind {
        NetdevKind::Physical => false,
        NetdevKind::Tap => other.usable() != Some(false),
        _ => true,
    });
    let address = ctx.addresses_of(bridge).iter().any(|address| defs::is_global(address.ip));
    // VLANs of the bridge that have an address or are members of another one.
    let carries = ctx.topology.into(bridge, EdgeKind::StackedOn).into_iter().any(|(upper, _)| {
        ctx.master(upper).is_some()
            || ctx.addresses_of(upper).iter().any(|address| defs::is_global(address.ip))
    });
    if !guests && !address && !carries {
        finding.at_most(Severity::Info);
        finding.note("nothing else uses the bridge");
    } else if !guests
        && !carries
        && beside == 0
        && ctx.netdev(bridge).is_some_and(|device| !is_only_way(ctx, device))
    {
        finding.at_most(Severity::Warning);
        finding
            .note("only an address of the host is behind it, and its default route is elsewhere");
    }
}

/// A bridge of Open vSwitch with this NIC and its own port alone: XenServer and XCP-ng make one for
/// each NIC of the host.
fn lower_for_switch(
    ctx: &Ctx<'_>,
    finding: &mut Finding,
    nic: Item<'_, Netdev<'_>>,
    bridge: &Name,
) {
    let mut ports = ctx.ovs_interfaces_of(nic.host).filter(|interface| interface.bridge == *bridge);
    let alone = ports.all(|port| port.name() == nic.name() || port.name() == bridge.as_str());
    let device = ctx.topology.find_netdev(nic.host, nic.netns(), bridge);
    let address = device.is_some_and(|device| {
        ctx.addresses_of(device).iter().any(|address| defs::is_global(address.ip))
    });
    if alone && !address {
        finding.at_most(Severity::Info);
        finding.note("nothing else uses the bridge");
    }
}

/// Whether the default route of its namespace, or a tunnel, depends on this device.
fn is_only_way(ctx: &Ctx<'_>, nic: Item<'_, Netdev<'_>>) -> bool {
    let table = ctx.topology.find_route_table(nic.host, nic.netns(), "main");
    let routed = table.and_then(|table| ctx.route_table(table)).is_some_and(|table| {
        let mut defaults = table.routes.iter().filter(|route| route.record.is_default()).peekable();
        defaults.peek().is_some()
            && defaults.all(|default| {
                default.record.dev.as_ref().is_some_and(|dev| dev.value == nic.name())
            })
    });
    let addresses = ctx.addresses_of(nic.id);
    let tunnel = ctx.tunnels().filter(|tunnel| tunnel.host == nic.host).any(|tunnel| {
        let local = tunnel.data.local.as_ref();
        local.is_some_and(|local| addresses.iter().any(|address| address.ip == local.value))
    });
    routed || tunnel
}
