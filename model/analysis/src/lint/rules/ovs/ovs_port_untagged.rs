use tapline_core::ids::Netns;
use tapline_topology::graph::OvsPort;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-011",
    id: "ovs-port-untagged",
    summary: "a neutron port of the integration bridge has no VLAN tag",
    severity: Error,
    confidence: Strong,
    page: "ovs_port_untagged.md",
    layer: (TagsAndFlows, 50),
    rank: 320,
    about: [NeutronAgent],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_dead_vlan] if Population by [Host],
        [ovs::ovs_iface_error] by [Port],
    ],
}

/// What neutron and nova name the ports that the agent tags.
const PREFIXES: [&str; 8] = ["qvo", "tap", "qr-", "qg-", "ha-", "sg-", "fg-", "vhu"];

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        // OVN and other controllers use no tags.
        if !defs::has_agent_patches(ctx, host) {
            continue;
        }
        let mut bare = Vec::new();
        let mut all = 0;
        for port in ctx.integration_ports(host).filter(|port| is_wired(*port)) {
            all += 1;
            // A port that OVS could not open is not wired either, and has a rule of its own.
            let failed = ctx
                .interface_called(host, port.name())
                .is_some_and(|interface| interface.error.is_some());
            if port.tag.is_none() && port.trunks.is_empty() && !failed {
                bare.push(port);
            } else {
                out.clean();
            }
        }
        if defs::most_of(bare.len(), all) {
            population(ctx, out, &bare, all);
        } else {
            for port in bare {
                report(ctx, out, port);
            }
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Whether the port is one that the agent should have given a tag.
fn is_wired(port: Item<'_, OvsPort>) -> bool {
    let name = port.name();
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) && names::port_prefix(name).is_some()
}

fn population(ctx: &Ctx<'_>, out: &mut Verdicts, bare: &[Item<'_, OvsPort>], all: usize) {
    let Some(first) = bare.first() else { return };
    let message = format!(
        "neutron's agent wired nothing: {} of {all} ports of {} have no VLAN tag",
        bare.len(),
        ctx.integration_bridge(first.host)
    );
    let bridge = ctx.integration(first.host).map_or(first.id, |bridge| bridge.id);
    let finding = out.fault(ctx, first.host, bridge, message);
    for port in bare {
        if let Some(place) = port.place().filter(|_| finding.evidence.len() < 5) {
            finding.primary(place, "no tag");
        }
        finding.also(ctx.subject(port.id).short());
    }
    finding.next("systemctl status neutron-openvswitch-agent");
    finding.next("ovs-vsctl --columns=name,tag,other_config list port");
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, port: Item<'_, OvsPort>) {
    let (host, name) = (port.host, port.name());
    let message = "the port has no VLAN tag: it gets the frames of all networks of br-int, or none";
    let finding = out.fault(ctx, host, port.id, message);
    if let Some(place) = port.place() {
        finding.primary(place, "no tag");
    }
    match ctx.user_of(host, name) {
        User::Running(vm) => {
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "the VM behind it");
            }
        }
        User::Off(vm) => {
            finding.at_most(Severity::Warning);
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "its VM does not run");
            }
        }
        User::Nobody if name.starts_with("qvo") => {
            finding.at_most(Severity::Warning);
            finding.note("no VM of this host uses the port");
        }
        User::Nobody | User::Unknown(_) => {}
    }
    finding.next(format!("ovs-vsctl --columns=name,tag,other_config list port {name}"));
    finding.next("systemctl status neutron-openvswitch-agent");
}
