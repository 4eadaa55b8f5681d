use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::Topic;
use tapline_topology::graph::{NetdevKind, VmNic};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;

declare_rule! {
    code: "VM-003",
    id: "vm-nic-link-down",
    summary: "a NIC of a running VM is unplugged, or its device on the host is down",
    severity: Error,
    confidence: Proven,
    page: "vm_nic_link_down.md",
    layer: (L2Membership, 80),
    population: (Daemon, 50),
    rank: 340,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [vm::vm_target_missing] by [Port],
        [lbr::hybrid_chain_broken] by [Port],
        // The devices of VMs disappear with the process that held them.
        [vm::vm_target_missing, vm::vm_nic_link_down] if Population by [Host],
        [vm::vm_source_missing] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for nic in ctx.vm_nics() {
        judge(ctx, out, nic);
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, VmNic<'_>>) {
    let Some(vm) = ctx.vm(nic.vm) else { return };
    let state = vm.data.state.as_ref();
    match vm.active {
        Some(true) => {}
        Some(false) => {
            out.clean();
            return;
        }
        None => {
            out.cannot_tell(nic.host, [Topic::Domains.command(&Netns::Root)]);
            return;
        }
    }
    let link = nic.data.xml.and_then(|xml| Some((xml.source, xml.record.link_state.as_ref()?)));
    if let Some((source, link)) = link.filter(|(_, it)| it.value == "down") {
        if !nic.live {
            // The next start would unplug it; the running VM may not know.
            out.cannot_tell(nic.host, [Need::about(Topic::DomainXml, vm.name())]);
            return;
        }
        let target = nic.data.target.as_ref().map_or("TARGET", |target| target.value.as_str());
        let message = "`<link state='down'/>`: the guest sees a pulled cable";
        let finding = out.fault(ctx, nic.host, nic.id, message);
        finding.primary(link.evidence(source), "unplugged");
        if let Some(state) = state {
            finding.context(state.evidence, "the VM runs");
        }
        finding.note("somebody may have unplugged it on purpose (`virsh domif-setlink`)");
        finding.next(format!("virsh domif-setlink {} {target} up", vm.name()));
        return;
    }
    let Some(target) = &nic.data.target else { return };
    let Some(device) = ctx.netdev_called(nic.host, &Netns::Root, &target.value) else {
        let missing = ctx.missing(nic.host, &Netns::Root, &[Topic::Links]);
        if !missing.is_empty() {
            out.cannot_tell(nic.host, missing);
        }
        // That it does not exist is another rule's.
        return;
    };
    // A macvtap follows the device that it is on.
    if matches!(device.kind, NetdevKind::Macvtap | NetdevKind::Macvlan) {
        return;
    }
    let Some(flags) = &device.data.flags else {
        out.cannot_tell(nic.host, [Topic::Links.command(&Netns::Root)]);
        return;
    };
    let down = device.admin_up() == Some(false);
    if !down && device.carrier() != Some(false) {
        out.clean();
        return;
    }
    // libvirt takes only macvtaps down for a pause (`qemuInterfaceStopDevice`), and the process
    // holds its taps all the while.
    let paused = state.is_some_and(|state| state.value == "paused");
    let fact = if down { "is administratively down" } else { "has no carrier" };
    let consequence = match (paused, down) {
        (true, _) => "the VM is paused, and cut off once it goes on",
        (false, true) => "the VM neither sends nor receives",
        (false, false) => "no process holds it, so the VM is cut off",
    };
    let message = format!("{} {fact}: {consequence}", target.value);
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(flags.evidence, "its state");
    if let Some(state) = state {
        finding.primary(state.evidence, if paused { "the VM is paused" } else { "the VM runs" });
    }
    if paused {
        finding.at_most(Severity::Warning);
    }
    if down {
        finding.next(format!("ip link set {} up", target.value));
    } else {
        finding.next(format!("virsh domstate {}", vm.name()));
        finding.next(format!("virsh qemu-monitor-command --hmp {} info network", vm.name()));
    }
}
