use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::ids::{Mac, Netns};
use tapline_topology::graph::Vm;
use tapline_topology::{EdgeKind, Topic};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "VM-005",
    id: "vm-on-two-hosts",
    summary: "one VM runs on two hosts",
    severity: Error,
    confidence: Proven,
    page: "vm_on_two_hosts.md",
    layer: (Daemon, 70),
    rank: 380,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

/// Captures that are further apart than this, in seconds, may show one VM before and after
/// its migration.
const MIGRATION: f64 = 600.0;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut by_uuid: BTreeMap<&Name, Vec<Item<'_, Vm>>> = BTreeMap::new();
    for vm in ctx.vms().filter(|vm| !ctx.may_be_outdated(vm.host)) {
        if let Some(uuid) = &vm.data.uuid {
            let all = by_uuid.entry(&uuid.value).or_default();
            // Several captures of one host show one VM.
            if !all.iter().any(|it| ctx.same_machine(it.host, vm.host)) {
                all.push(vm);
            }
        }
    }
    for all in by_uuid.into_values() {
        judge(ctx, out, &all);
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, all: &[Item<'_, Vm>]) {
    let runs = |it: &&Item<'_, Vm>| {
        let state = it.data.state.as_ref();
        it.active == Some(true) && state.is_none_or(|state| state.value != "paused")
    };
    let running: Vec<_> = all.iter().filter(runs).copied().collect();
    let unknown: Vec<_> = all.iter().filter(|it| it.active.is_none()).collect();
    let (Some(first), true) = (running.first(), running.len() > 1) else {
        if all.len() > 1 && running.len() + unknown.len() > 1 {
            for vm in unknown {
                out.cannot_tell(vm.host, [Topic::Domains.command(&Netns::Root)]);
            }
        } else {
            out.clean();
        }
        return;
    };
    let hosts = defs::list(running.iter().map(|running| ctx.host_name(running.host)), 4);
    let macs: Vec<BTreeSet<Mac>> = running.iter().map(|running| macs(ctx, running)).collect();
    let others = macs.iter().skip(1).flatten().copied().collect();
    let copy = macs.first().is_some_and(|mac| !mac.is_empty() && mac.is_disjoint(&others))
        && !others.is_empty();
    let message = if copy {
        format!("runs on {hosts} under one UUID with different MACs: a copy that kept the UUID")
    } else {
        format!("runs on {hosts}: both write to its disks and answer for its addresses")
    };
    let finding = out.fault(ctx, first.host, first.id, message);
    for vm in &running {
        let host = ctx.host_name(vm.host);
        if let Some(state) = &vm.data.state {
            finding.primary(state.evidence, format!("it runs on {host}"));
        } else if let Some(place) = vm.place() {
            finding.primary(place, format!("it runs on {host}"));
        }
        if let Some(uuid) = &vm.data.uuid {
            finding.context(uuid.evidence, "its UUID");
        }
    }
    if copy {
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
    }
    if let Some(seconds) = apart(ctx, &running) {
        finding.no_surer_than(Confidence::Suspect);
        finding.note(format!(
            "the captures were taken {seconds:.0} s apart: it may have migrated between them"
        ));
    }
    let uuid = first.data.uuid.as_ref().map_or("UUID", |uuid| uuid.value.as_str());
    finding.next(format!("openstack server show {uuid} -c OS-EXT-SRV-ATTR:host"));
    finding.next(format!("virsh destroy {}   # on the host that should not have it", first.name()));
}

fn macs(ctx: &Ctx<'_>, vm: &Item<'_, Vm>) -> BTreeSet<Mac> {
    let nics = ctx.topology.into(vm.id, EdgeKind::NicOf);
    let nics = nics.into_iter().filter_map(|(id, _)| ctx.vm_nic(id));
    nics.filter_map(|nic| nic.data.mac.as_ref().map(|mac| mac.value)).collect()
}

/// How far apart the captures were taken, where that is far enough for a migration.
fn apart(ctx: &Ctx<'_>, running: &[Item<'_, Vm>]) -> Option<f64> {
    let taken = |it: &Item<'_, Vm>| {
        let state = it.data.state.as_ref().map(|state| state.evidence).or(it.place())?;
        ctx.topology.snapshot.source(state.source)?.taken
    };
    let times: Vec<f64> = running.iter().filter_map(taken).collect();
    let first = times.iter().copied().fold(f64::INFINITY, f64::min);
    let last = times.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (times.len() > 1 && last - first > MIGRATION).then_some(last - first)
}
