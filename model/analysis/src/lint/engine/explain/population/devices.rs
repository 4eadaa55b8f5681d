//! The devices of nearly all VMs of a host have no carrier or are not there: not the VMs are at fault,
//! but what started them, or the time of the capture.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;

use super::root_of;
use crate::lint::Ctx;
use crate::lint::engine::explain::relation::is_population;
use crate::lint::engine::finding::{Confidence, Finding, Object};
use crate::lint::engine::run::Report;
use tapline_network::defs;

pub(super) fn add(report: &mut Report, ctx: &Ctx<'_>) {
    let mut all: BTreeMap<HostId, usize> = BTreeMap::new();
    for nic in ctx.vm_nics().filter(|it| it.data.target.is_some()) {
        if ctx.vm(nic.vm).is_some_and(|it| it.active == Some(true)) {
            *all.entry(nic.host).or_default() += 1;
        }
    }
    let mut roots = Vec::new();
    for (host, all) in all {
        // Where the devices of most are missing, the rule has said so.
        let own = |it: &&Finding| it.host == host && !is_population(it);
        let members: Vec<&Finding> =
            report.findings.iter().filter(own).filter(|it| has_no_process(it, ctx)).collect();
        if !defs::most_of(members.len(), all) {
            continue;
        }
        let message = format!(
            "{} of {all} NICs of running VMs have no device or no carrier: libvirt or qemu restarted, or the captures are of different times",
            members.len()
        );
        let object = Object { kind: "host", name: ctx.host_name(host).to_owned() };
        if let Some(mut root) = root_of(&members, object, message, ctx) {
            root.confidence = Confidence::Suspect;
            root.next = vec![
                "systemctl status libvirtd virtqemud".to_owned(),
                "virsh list --all; ip -d link".to_owned(),
            ];
            roots.push((members.iter().map(|it| it.fingerprint.clone()).collect::<Vec<_>>(), root));
        }
    }
    for (members, mut root) in roots {
        // Each of them is no fault of its own: the finding names them.
        let host = root.host;
        report.findings.retain(|it| it.host != host || !members.contains(&it.fingerprint));
        root.notes.push("virsh, ps and ip were asked one after the other".to_owned());
        report.findings.push(root);
    }
}

/// Whether no process holds the device of a NIC: it is missing, or it has no carrier although
/// nobody set it down.
fn has_no_process(finding: &Finding, ctx: &Ctx<'_>) -> bool {
    match finding.rule.code {
        "VM-001" => true,
        "VM-003" => finding.node.and_then(|it| ctx.vm_nic(it)).is_some_and(|nic| {
            let name = nic.data.target.as_ref().map_or("", |it| it.value.as_str());
            let unplugged = nic
                .data
                .xml
                .and_then(|it| it.record.link_state.as_ref())
                .is_some_and(|it| it.value == "down");
            let device = ctx.netdev_called(nic.host, &Netns::Root, name);
            !unplugged
                && device
                    .is_some_and(|it| it.admin_up() != Some(false) && it.carrier() == Some(false))
        }),
        _ => false,
    }
}
