use tapline_core::ids::{Mac, Netns};
use tapline_core::need::Need;
use tapline_topology::Topic;
use tapline_topology::graph::NetdevKind;

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "MAC-002",
    id: "tap-guest-mac-mismatch",
    summary: "the MAC of a tap does not fit that of its guest's NIC",
    severity: Warning,
    confidence: Strong,
    page: "tap_guest_mac_mismatch.md",
    layer: (L3, 150),
    rank: 860,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [vm::vm_target_missing] by [Port],
        [vm::vm_target_missing] if Population by [Port],
        // The XML has another MAC than all the rest.
        [vm::vm_port_identity_mismatch] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for nic in ctx.vm_nics() {
        let (Some(guest), Some(target)) = (&nic.data.mac, &nic.data.target) else { continue };
        let kind = nic.data.kind.as_ref().map_or("", |kind| kind.value.as_str());
        // A macvtap has the guest's MAC, a vhost-user socket none.
        if !matches!(kind, "bridge" | "network" | "ethernet") {
            continue;
        }
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
        let Some(tap) = ctx.netdev_called(nic.host, &Netns::Root, &target.value) else {
            let missing = ctx.missing(nic.host, &Netns::Root, &[Topic::Links]);
            if !missing.is_empty() {
                out.cannot_tell(nic.host, missing);
            }
            continue;
        };
        let Some(mac) = tap.data.mac.as_ref().filter(|_| tap.kind == NetdevKind::Tap) else {
            continue;
        };
        if fits(mac.value, guest.value) {
            out.clean();
            continue;
        }
        if !nic.live {
            // The persistent XML may have been edited since the start.
            out.cannot_tell(nic.host, [Need::about(Topic::DomainXml, vm.name())]);
            continue;
        }
        let message = format!(
            "{} has {}, the guest's NIC {}: the tap is likely another VM's",
            target.value, mac.value, guest.value
        );
        let finding = out.fault(ctx, nic.host, nic.id, message);
        finding.primary(mac.evidence, "MAC of the tap");
        finding.primary(guest.evidence, "MAC of the guest");
        if let Some(state) = ctx.state_of(nic.vm) {
            finding.context(state.evidence, "the VM runs");
        }
        finding.note("somebody may have set the MAC of the tap by hand");
        finding.next(format!("virsh domiflist {}", vm.name()));
        finding.next(format!("ovs-vsctl get interface {} external_ids", target.value));
    }
}

/// libvirt gives a tap the guest's MAC with the first octet `fe`, or `fa` where the guest's own is
/// `fe` (`virnetdevtap.c`); a tap that os-vif made has the guest's MAC itself.
fn fits(tap: Mac, guest: Mac) -> bool {
    let (Mac([first, ..]), Mac([of_guest, ..])) = (tap, guest);
    tap.same_but_first_octet(guest) && (matches!(first, 0xfe | 0xfa) || first == of_guest)
}
