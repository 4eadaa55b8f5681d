use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::VmNic;
use tapline_topology::{Presence, Topic};

use crate::lint::{Confidence, Ctx, Finding, Shape, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "VM-001",
    id: "vm-target-missing",
    summary: "the host device of a running VM's NIC does not exist",
    severity: Error,
    confidence: Proven,
    page: "vm_target_missing.md",
    layer: (L2Device, 10),
    population: (Daemon, 40),
    rank: 30,
    core: true,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [cap::mixed_captures] by [Host],
        // The devices of VMs disappear with the process that held them.
        [vm::vm_target_missing, vm::vm_nic_link_down] if Population by [Host],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut missing: BTreeMap<HostId, Vec<(Item<'_, VmNic<'_>>, Searched)>> = BTreeMap::new();
    let mut present: BTreeMap<HostId, usize> = BTreeMap::new();
    for nic in ctx.vm_nics().filter(|nic| has_device(nic.data)) {
        let host = nic.host;
        let Some(target) = &nic.data.target else {
            out.clean();
            continue;
        };
        match ctx.vm(nic.vm).and_then(|vm| vm.active) {
            Some(true) => {}
            Some(false) => {
                out.clean();
                continue;
            }
            None => {
                out.cannot_tell(host, [Topic::Domains.command(&Netns::Root)]);
                continue;
            }
        }
        if !nic.live {
            // A VM that was edited while it runs differs from its configuration by design.
            let vm = ctx.vm(nic.vm).map_or("DOMAIN", |vm| vm.name());
            out.cannot_tell(host, [Need::about(Topic::DomainXml, vm)]);
            continue;
        }
        // A tap lives and dies in the namespace of its VM's process: the root namespace.
        match ctx.topology.netdev_presence(host, &Netns::Root, &target.value) {
            Presence::Yes(_) => {
                out.clean();
                *present.entry(host).or_default() += 1;
            }
            Presence::Unknown(commands) => out.cannot_tell(host, commands),
            Presence::No(searched) => missing.entry(host).or_default().push((nic, searched)),
        }
    }
    for (host, nics) in missing {
        let all = nics.len() + present.get(&host).copied().unwrap_or_default();
        if defs::most_of(nics.len(), all) {
            all_missing(ctx, out, nics, all);
        } else {
            for (nic, searched) in nics {
                one_missing(ctx, out, nic, searched);
            }
        }
    }
}

/// NICs that have a device on the host: not those passed through or in user space.
fn has_device(nic: &VmNic<'_>) -> bool {
    let kind = nic.kind.as_ref().map_or("", |kind| kind.value.as_str());
    matches!(kind, "bridge" | "network" | "ethernet" | "direct")
}

fn one_missing(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, VmNic<'_>>, searched: Searched) {
    let message =
        "the VM runs, but the host side of its NIC does not exist: no traffic is possible";
    let finding = out.fault(ctx, nic.host, nic.id, message);
    cite(ctx, finding, nic);
    finding.rests_on_absence(searched);
    if let (Some(target), Some(vm)) = (&nic.data.target, ctx.vm(nic.vm)) {
        finding.next(format!("virsh domiflist {}", vm.name()));
        finding.next(format!("ip -d link show {}", target.value));
    }
}

/// The devices of nearly all VMs: rather the wrong text than so many faults.
fn all_missing(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nics: Vec<(Item<'_, VmNic<'_>>, Searched)>,
    all: usize,
) {
    let count = nics.len();
    let mut nics = nics.into_iter();
    let Some((first, searched)) = nics.next() else { return };
    let message = format!(
        "the host side of {count} of {all} NICs of running VMs does not exist: libvirt or qemu restarted, or the captures are of different times"
    );
    let finding = out.fault(ctx, first.host, first.id, message);
    finding.no_surer_than(Confidence::Suspect).shaped(Shape::Population);
    finding.note("or the list of devices is that of another namespace, or all were deleted");
    cite(ctx, finding, first);
    finding.rests_on_absence(searched);
    for (nic, _) in nics {
        finding.also(ctx.subject(nic.id));
    }
    finding.next("virsh list --all");
    finding.next("ip -d link");
}

fn cite(ctx: &Ctx<'_>, finding: &mut Finding, nic: Item<'_, VmNic<'_>>) {
    if let Some(target) = &nic.data.target {
        finding.primary(target.evidence, "its device on the host");
    }
    if let Some(state) = ctx.state_of(nic.vm) {
        finding.context(state.evidence, "the VM runs");
    }
}
