use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::OvsInterface;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::{Item, User};

declare_rule! {
    code: "OVS-012",
    id: "ovs-duplicate-iface-id",
    summary: "one logical port is plugged into OVS twice",
    severity: Error,
    confidence: Proven,
    page: "ovs_duplicate_iface_id.md",
    layer: (TagsAndFlows, 60),
    rank: 370,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovn::ovn_chassis_identity_conflict] by [Host],
        [vm::vm_on_two_hosts] by [Vm],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        // By the id that the interface carries, else by the start of it in the name.
        let mut ports: BTreeMap<&str, Vec<Item<'_, OvsInterface>>> = BTreeMap::new();
        for interface in ctx.ovs_interfaces_of(host).filter(|interface| counts(ctx, *interface)) {
            let id = defs::external_id(interface.data, "iface-id");
            let start = id.and_then(|id| id.get(..11)).or_else(|| {
                names::port_prefix(&interface.node.name).filter(|_| is_plug(interface.name()))
            });
            if let Some(start) = start {
                ports.entry(start).or_default().push(interface);
            }
        }
        for interfaces in ports.into_values() {
            judge(ctx, out, host, &interfaces);
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// The two ways in which nova plugs a VM: the tap itself, or a veth end for it.
fn is_plug(name: &str) -> bool {
    name.starts_with("tap") || name.starts_with("qvo")
}

/// Interfaces of the integration bridge; the parent of a trunk has another one in its own bridge.
/// On the target of a live migration one is inactive.
fn counts(ctx: &Ctx<'_>, interface: Item<'_, OvsInterface>) -> bool {
    let status = defs::external_id(interface.data, "iface-status");
    ctx.is_integration_called(interface.host, &interface.bridge)
        && interface.kind != "patch"
        && status != Some("inactive")
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, interfaces: &[Item<'_, OvsInterface>]) {
    let [first, rest @ ..] = interfaces else { return };
    // Two whole ids that differ are two ports, whatever their starts.
    let Some(second) = rest.iter().find(|other| match (id(first), id(other)) {
        (Some(a), Some(b)) => a == b,
        _ => true,
    }) else {
        out.clean();
        return;
    };
    let message = format!(
        "the same logical port as {}: which of the two the agent wires is chance",
        second.name()
    );
    let finding = out.fault(ctx, host, first.id, message);
    for it in [first, second] {
        let fact = it.data.external_ids.iter().find(|(key, _)| key == "iface-id");
        match (fact, it.place()) {
            (Some((_, fact)), _) => {
                finding.primary(fact.evidence, format!("port of {}", it.name()))
            }
            (None, Some(place)) => finding.primary(place, "the id is in its name"),
            (None, None) => finding,
        };
    }
    finding.also(ctx.subject(second.id));
    match ctx.user_of(host, first.name()) {
        User::Running(vm) => {
            if let Some(state) = ctx.state_of(vm) {
                finding.context(state.evidence, "the VM behind it");
            }
        }
        User::Off(_) | User::Nobody => {
            finding.at_most(Severity::Warning);
            finding.note("no running VM of this host uses the port");
        }
        User::Unknown(_) => {}
    }
    finding.next(format!(
        "ovs-vsctl --columns=name,ofport,external_ids list interface {} {}",
        first.name(),
        second.name()
    ));
    finding.next("ovs-vsctl del-port STALE");
}

/// The neutron port, where the capture tells.
fn id<'a>(interface: &Item<'a, OvsInterface>) -> Option<&'a str> {
    defs::external_id(interface.data, "iface-id")
}
