use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::VmNic;

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;

declare_rule! {
    code: "VM-007",
    id: "vm-network-inactive",
    summary: "a VM has a NIC in a network of libvirt that is not active",
    severity: Error,
    confidence: Strong,
    page: "vm_network_inactive.md",
    layer: (L2Device, 15),
    rank: 345,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

/// Whether a network is active, and where that stands.
type States<'a> = BTreeMap<(HostId, &'a str), (Option<bool>, Evidence)>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut states: States<'_> = BTreeMap::new();
    for (source, networks) in ctx.network_state_texts() {
        for network in networks {
            let Some(name) = &network.name else { continue };
            let at = Evidence { source: source.id, span: network.at };
            let active = network.active.as_ref().map(|active| active.value);
            states.entry((source.host, name.value.as_str())).or_insert((active, at));
        }
    }
    for nic in ctx.vm_nics() {
        judge(ctx, out, nic, &states);
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, VmNic<'_>>, states: &States<'_>) {
    let Some(xml) = nic.data.xml else { return };
    let Some(network) = &xml.record.network else { return };
    let Some(vm) = ctx.vm(nic.vm) else { return };
    let list = || Need::command("virsh net-list --all");
    let Some(&(active, at)) = states.get(&(nic.host, network.value.as_str())) else {
        out.cannot_tell(nic.host, [list()]);
        return;
    };
    match active {
        Some(false) => {}
        Some(true) => {
            out.clean();
            return;
        }
        None => {
            out.cannot_tell(nic.host, [list()]);
            return;
        }
    }
    let name = &network.value;
    let runs = vm.active == Some(true);
    let consequence = if runs {
        "its bridge is gone, and the VM is cut off"
    } else {
        "the VM does not start until it is"
    };
    let message = format!("its network {name} is not active: {consequence}");
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(at, "not active").primary(network.evidence(xml.source), "the VM needs it");
    if let Some(state) = ctx.state_of(nic.vm) {
        finding.context(state.evidence, "its state");
    }
    if !runs {
        finding.at_most(Severity::Warning);
    }
    finding.next(format!("virsh net-start {name}"));
    finding.next(format!("virsh net-autostart {name}"));
    if runs {
        finding.note("the NIC of a VM that runs has to be plugged again, or the VM started anew");
        finding.next(format!("virsh domiflist {}", vm.name()));
    }
}
