use std::collections::BTreeSet;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::uplink;

declare_rule! {
    code: "NIC-008",
    id: "promisc-unexpected",
    summary: "somebody set a NIC to receive the frames of others",
    severity: Info,
    confidence: Suspect,
    page: "promisc_unexpected.md",
    layer: (Symptom, 100),
    rank: 740,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // Hosts whose switch runs in user space: it sets the flag on the NICs that it reads.
    let userspace: BTreeSet<HostId> = ctx
        .netdevs()
        .filter(|device| device.kind == NetdevKind::OvsDatapath && device.name().contains("netdev"))
        .map(|device| device.host)
        .collect();
    for nic in ctx.netdevs().filter(uplink::is_nic) {
        match nic.flag("PROMISC") {
            None => out.cannot_tell(nic.host, ctx.missing(nic.host, nic.netns(), &[Topic::Links])),
            Some(true) if nic.admin_up() == Some(true) && !is_switch_port(nic.name()) => {
                judge(ctx, out, nic, userspace.contains(&nic.host));
            }
            Some(_) => out.clean(),
        }
    }
}

/// A port of a switch that runs Linux (`swp1`): it takes the frames of others by profession.
fn is_switch_port(name: &str) -> bool {
    name.strip_prefix("swp").is_some_and(|it| it.starts_with(|it: char| it.is_ascii_digit()))
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, Netdev<'_>>, userspace: bool) {
    let host = nic.host;
    if let Some(interface) = ctx.interface_of(nic.id) {
        let kernel = ctx
            .bridge_called(host, &interface.bridge)
            .is_some_and(|bridge| defs::is_kernel_datapath(bridge.data));
        if !kernel || userspace {
            out.clean();
            return;
        }
    } else if userspace {
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
            return;
        }
    }
    let name = nic.name();
    let message = "was set promiscuous by hand or by a program: it hands the frames of others to the host, which costs time";
    let finding = out.fault(ctx, host, nic.id, message);
    if let Some(flags) = &nic.data.flags {
        finding.primary(flags.evidence, "PROMISC");
    }
    finding.note("bridges and sniffers set it in a way that does not show in the flags");
    finding.next(format!("ip -d link show {name} | grep promiscuity"));
    finding.next(format!("ip link set {name} promisc off"));
}
