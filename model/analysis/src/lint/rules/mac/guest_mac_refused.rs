use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::Topic;

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "MAC-004",
    id: "guest-mac-refused",
    summary: "a filter lets the port of a running VM send with another MAC than its NIC has",
    severity: Error,
    confidence: Strong,
    page: "guest_mac_refused.md",
    layer: (L2Membership, 95),
    rank: 365,
    about: [],
    cuts: [],
    asks: [],
    after: [
        // The XML has another MAC than all the rest.
        [vm::vm_port_identity_mismatch] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for nic in ctx.vm_nics() {
        let Some(refused) = ctx.refused(nic) else {
            out.clean();
            continue;
        };
        let Some(vm) = ctx.vm(nic.vm) else { continue };
        match vm.active {
            Some(true) => {}
            Some(false) => {
                out.clean();
                continue;
            }
            None => {
                out.cannot_tell(nic.host, [Topic::Domains.command(&Netns::Root)]);
                continue;
            }
        }
        if !nic.live {
            // The persistent XML may have been edited since the start.
            out.cannot_tell(nic.host, [Need::about(Topic::DomainXml, vm.name())]);
            continue;
        }
        let Some((wanted, line)) = refused.wanted.first_key_value() else { continue };
        let port = ctx.topology.node(refused.port).map_or("its port", |node| node.name.as_str());
        let message = format!(
            "the guest's NIC has {}, and the filter lets {port} send with {wanted}: what the guest sends is dropped",
            refused.own.0
        );
        let finding = out.fault(ctx, nic.host, nic.id, message);
        finding.primary(refused.own.1, "the MAC of the NIC");
        finding.primary(*line, "the MAC that is let pass");
        finding.primary(refused.drops, "what drops the others");
        if let Some(state) = ctx.state_of(nic.vm) {
            finding.context(state.evidence, "the VM runs");
        }
        finding.note("a guest that changed its MAC to the one that is let pass is heard");
        finding.next(format!("virsh domiflist {}", vm.name()));
    }
}
