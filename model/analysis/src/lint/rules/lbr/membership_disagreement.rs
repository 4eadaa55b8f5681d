use tapline_core::ids::Netns;
use tapline_topology::graph::{ConflictKind, Netdev, NetdevKind};
use tapline_topology::{Topic, names};

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};
use tapline_network::Item;

declare_rule! {
    code: "LBR-003",
    id: "membership-disagreement",
    summary: "two commands disagree about the bridge that a device is in",
    severity: Warning,
    confidence: Proven,
    page: "membership_disagreement.md",
    layer: (L2Membership, 20),
    rank: 470,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [cap::mixed_captures] by [Host],
        [vm::vm_target_wrong_bridge] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for conflict in &ctx.topology.conflicts {
        if conflict.kind != ConflictKind::Membership {
            continue;
        }
        let Some(device) = conflict.nodes.first().copied() else { continue };
        let Some(host) = ctx.topology.node(device).and_then(|node| node.host) else { continue };
        let claims: Vec<&str> =
            conflict.witnesses.iter().map(|witness| witness.claim.as_str()).collect();
        let message = match (claims.first(), claims.last()) {
            (Some(first), Some(last)) if first != last => format!(
                "the captures disagree about its bridge ({first}; {last}): something changed between them"
            ),
            _ => {
                "the captures disagree about its bridge: something changed between them".to_owned()
            }
        };
        let finding = out.fault(ctx, host, device, message);
        // Of many that agree, two stand for all; those that differ come last.
        let all = conflict.witnesses.as_slice();
        let last = all.len().saturating_sub(2).max(2);
        for witness in all.iter().take(2).chain(all.iter().skip(last)) {
            finding.primary(witness.evidence, witness.claim.clone());
        }
        advise(finding);
    }
    for device in ctx.netdevs() {
        if !ctx.is_disputed(device.id) {
            switch_and_kernel(ctx, out, device);
        }
    }
}

/// The switch's database against the kernel's word.
fn switch_and_kernel(ctx: &Ctx<'_>, out: &mut Verdicts, device: Item<'_, Netdev<'_>>) {
    let host = device.host;
    let datapath =
        device.data.master.as_ref().filter(|master| names::is_ovs_datapath(&master.value));
    let interface = ctx.interface_of(device.id);
    if let Some(master) = datapath {
        // One device stands for all tunnels of a type and is no port of its own.
        if interface.is_some()
            || device.kind == NetdevKind::OvsTunnelVport
            || names::is_ovs_tunnel_vport(device.name())
            || ctx.interface_called(host, device.name()).is_some()
        {
            out.clean();
            return;
        }
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            return;
        }
        let message = "the kernel has it in Open vSwitch, the database has no such port: a leftover of the datapath";
        let finding = out.fault(ctx, host, device.id, message);
        finding.primary(master.evidence, "in the datapath");
        finding.rests_on_absence(ctx.searched(host, &Netns::Root, Topic::Ovs, device.name()));
        finding.next("ovs-dpctl show");
        advise(finding);
        return;
    }
    let plain = interface.filter(|interface| matches!(interface.data.kind.as_str(), "" | "system"));
    let Some(interface) = plain else { return };
    let upper = ctx.master(device.id).filter(|master| {
        matches!(master.kind, NetdevKind::Bridge | NetdevKind::Bond | NetdevKind::Team)
    });
    let (Some(upper), Some(master)) = (upper, &device.data.master) else {
        out.clean();
        return;
    };
    let message = format!(
        "is a port of {} by the switch's database and of {} by the kernel: it cannot be in both",
        interface.data.bridge,
        upper.name()
    );
    let finding = out.fault(ctx, host, device.id, message);
    finding.no_surer_than(Confidence::Strong);
    finding.primary(master.evidence, "the kernel");
    if let Some(place) = interface.place() {
        finding.primary(place, "the database");
    }
    finding.next(format!("ovs-vsctl list interface {}", device.name()));
    advise(finding);
}

fn advise(finding: &mut crate::lint::Finding) {
    finding.next("ip -d link; bridge link; ovs-vsctl show   # together, at one time");
}
