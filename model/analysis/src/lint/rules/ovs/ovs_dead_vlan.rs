use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::quote;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Fact, OvsPort};
use tapline_topology::{Presence, Thing, Topic, names};

use crate::lint::{Confidence, Ctx, Finding, Severity, Shape, Subject, Verdicts, declare_rule};
use tapline_network::defs::{self, DEAD_VLAN};
use tapline_network::environment::Profile;
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-002",
    id: "ovs-dead-vlan",
    summary: "a port is parked on neutron's dead VLAN 4095",
    severity: Error,
    confidence: Strong,
    page: "ovs_dead_vlan.md",
    layer: (TagsAndFlows, 30),
    population: (Daemon, 30),
    rank: 20,
    core: true,
    about: [NeutronAgent],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_dead_vlan] if Population by [Host],
        // Neutron puts a port whose device it does not find on the dead VLAN.
        [ovs::ovs_iface_error] by [Port],
        [vm::vm_target_missing] by [Port],
        [vm::vm_target_missing] if Population by [Port],
    ],
}

/// A port on the dead VLAN, and the tag that says so.
type Dead<'a> = (Item<'a, OvsPort>, &'a Fact<u16>);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let neutron = defs::is_ml2_ovs(ctx, host);
        let mut dead: BTreeMap<&str, Vec<Dead<'_>>> = BTreeMap::new();
        let mut wired: BTreeMap<&str, usize> = BTreeMap::new();
        for port in ctx.ovs_ports_of(host) {
            let bridge = port.data.bridge.as_str();
            match port.data.tag.as_ref().filter(|tag| tag.value == DEAD_VLAN) {
                Some(tag) => dead.entry(bridge).or_default().push((port, tag)),
                None => {
                    out.clean();
                    let counts = names::port_prefix(port.name()).is_some();
                    *wired.entry(bridge).or_default() += usize::from(counts);
                }
            }
        }
        for (bridge, ports) in dead {
            let integration =
                neutron && (ctx.is_integration_called(host, bridge) || bridge.starts_with("tbr-"));
            let all = ports.len() + wired.get(bridge).copied().unwrap_or_default();
            if bridge.is_empty() {
                without_bridge(ctx, out, ports);
            } else if !integration {
                for (port, tag) in ports {
                    reserved(ctx, out, port, tag);
                }
            } else if defs::most_of(ports.len(), all) {
                nothing_wired(ctx, out, host, bridge, &ports, all);
            } else {
                for (port, tag) in ports {
                    parked(ctx, out, port, tag);
                }
            }
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Ports of an excerpt that does not show their bridge: neutron gives these names to ports of its
/// integration bridge only. How many others work cannot be counted in an excerpt.
fn without_bridge(ctx: &Ctx<'_>, out: &mut Verdicts, ports: Vec<Dead<'_>>) {
    let agent = ctx.profile.is_none_or(Profile::has_ovs_agent);
    for (port, tag) in ports {
        if agent && names::port_prefix(port.name()).is_some() {
            parked(ctx, out, port, tag);
        } else {
            reserved(ctx, out, port, tag);
        }
    }
}

/// One port among others that work.
fn parked(ctx: &Ctx<'_>, out: &mut Verdicts, port: Item<'_, OvsPort>, tag: &Fact<u16>) {
    let message = "the port is on neutron's dead VLAN 4095: every frame to and from it is dropped";
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.primary(tag.evidence, "dead VLAN");
    if let [trunk] = port.trunks.as_slice()
        && trunk.value == DEAD_VLAN
    {
        finding.context(trunk.evidence, "never bound since it was plugged");
    }
    lower_for_user(ctx, finding, port);
    finding.note(
        "neutron also parks ports here that are administratively down, which a capture of the host does not show",
    );
    let id = ctx
        .interface_called(port.host, port.name())
        .and_then(|interface| defs::external_id(interface.data, "iface-id"));
    match (id, names::port_prefix(port.name())) {
        (Some(id), _) => {
            finding.next(format!(
                "openstack port show {id} -c status -c admin_state_up -c binding_vif_type -c binding_host_id"
            ));
        }
        (None, Some(start)) => {
            finding.next(format!("openstack port list --long | grep {start}"));
        }
        (None, None) => {}
    }
    finding.next(list_agents(ctx, port.host));
}

/// The command that shows the agents of a host. OpenStack knows the host by its own name, not by that
/// of the file that was captured there.
fn list_agents(ctx: &Ctx<'_>, host: HostId) -> String {
    let named = ctx.topology.snapshot.host(host).filter(|host| host.is_named);
    match named {
        Some(host) => {
            format!("openstack network agent list --host {}", quote(&host.name))
        }
        None => "openstack network agent list".to_owned(),
    }
}

/// Most ports of the bridge: the agent, not the ports.
fn nothing_wired(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    bridge: &str,
    ports: &[Dead<'_>],
    all: usize,
) {
    let message = format!(
        "the openvswitch agent is not working on {}: {} of {all} ports are on the dead VLAN 4095, and every frame to and from them is dropped",
        ctx.host_name(host),
        ports.len()
    );
    let node = ctx.topology.find_ovs_bridge(host, bridge);
    let finding = match node {
        Some(node) => out.fault(ctx, host, node, message),
        None => {
            let absent = Subject::absent(Thing::OvsBridge { name: bridge.into() });
            out.fire(host, absent, message)
        }
    };
    finding.shaped(Shape::Population);
    for (port, tag) in ports {
        if finding.evidence.len() < 5 {
            finding.primary(tag.evidence, "dead VLAN");
        }
        finding.also(ctx.subject(port.id).short());
    }
    finding.note("it does not run, gets no answer from the server, or still starts");
    finding.next(list_agents(ctx, host));
    finding.next("systemctl status neutron-openvswitch-agent");
}

/// Not neutron's bridge: 4095 is a reserved VLAN id and nothing more.
fn reserved(ctx: &Ctx<'_>, out: &mut Verdicts, port: Item<'_, OvsPort>, tag: &Fact<u16>) {
    let message = "VLAN 4095 is reserved: switches do not carry it";
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    finding.primary(tag.evidence, "reserved VLAN");
    finding.next(format!("ovs-vsctl list port {}", port.name()));
}

fn lower_for_user(ctx: &Ctx<'_>, finding: &mut Finding, port: Item<'_, OvsPort>) {
    let (host, name) = (port.host, port.name());
    // An internal port serves the namespace that its device is in.
    let device =
        ctx.topology.find_ovs_interface(host, name).and_then(|interface| ctx.device_of(interface));
    if let Some(device) = &device
        && !device.netns().is_root()
    {
        finding.note(format!("its device serves namespace {}", device.netns()));
        return;
    }
    match ctx.user_of(host, name) {
        User::Running(vm) => {
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "the VM that it cuts off");
            }
        }
        User::Off(vm) => {
            finding.at_most(Severity::Info);
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "its VM does not run");
            }
        }
        User::Nobody => {
            finding.at_most(Severity::Warning);
            finding.note("no VM of this host uses the port");
        }
        User::Unknown(_) => {
            // Without a tap no VM is plugged into a hybrid port.
            let tap = name.strip_prefix("qvo").map(|rest| format!("tap{rest}"));
            let Some(tap) = tap else { return };
            if let Some(bridge) = without_tap(ctx, port) {
                finding.at_most(Severity::Warning);
                finding.context(bridge, "the bridge of the port has no tap");
                finding.note("no VM is plugged into the port");
                return;
            }
            if let Presence::No(searched) = defs::presence(ctx, host, &tap) {
                finding.at_most(Severity::Warning);
                finding.absent(searched);
                finding.note("no VM is plugged into the port");
            }
        }
    }
}

/// The place of the port's own bridge, where its members were captured and no tap is among them.
fn without_tap(ctx: &Ctx<'_>, port: Item<'_, OvsPort>) -> Option<Evidence> {
    let bridge = port.name().strip_prefix("qvo").map(|rest| format!("qbr{rest}"))?;
    let bridge = ctx.netdev_called(port.host, &Netns::Root, &bridge)?;
    let members = ctx.members(bridge.id);
    let listed = !members.is_empty() && ctx.complete(port.host, &Netns::Root, Topic::BridgeMembers);
    let tapped = members.iter().any(|member| member.name().starts_with("tap"));
    (listed && !tapped).then(|| bridge.place()).flatten()
}
