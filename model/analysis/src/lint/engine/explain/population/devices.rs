//! The devices of nearly all VMs of a host have no carrier or are not there: not the VMs are at fault,
//! but what started them, or the time of the capture.
use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;

use super::root_of;
use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::explain::relation::is_population;
use crate::lint::engine::finding::{Confidence, Finding};
use crate::lint::engine::run::Report;
use crate::lint::rules::vm::{vm_nic_link_down, vm_target_missing};
use tapline_network::defs;

pub(super) fn add(report: &mut Report, ctx: &Ctx<'_>) {
    let mut all: BTreeMap<HostId, usize> = BTreeMap::new();
    for nic in ctx.vm_nics().filter(|nic| nic.data.target.is_some()) {
        if ctx.vm(nic.vm).is_some_and(|vm| vm.active == Some(true)) {
            *all.entry(nic.host).or_default() += 1;
        }
    }
    let mut roots = Vec::new();
    for (host, all) in all {
        // Where the devices of most are missing, the rule has said so.
        let own = |finding: &&Finding| finding.host == host && !is_population(finding);
        let members: Vec<&Finding> = report
            .findings
            .iter()
            .filter(own)
            .filter(|finding| has_no_process(finding, ctx))
            .collect();
        if !defs::most_of(members.len(), all) {
            continue;
        }
        let message = format!(
            "{} of {all} NICs of running VMs have no device or no carrier: libvirt or qemu restarted, or the captures are of different times",
            members.len()
        );
        let subject = ctx.host_subject(host);
        if let Some(mut root) = root_of(&members, subject, message, ctx) {
            root.confidence = Confidence::Suspect;
            root.next = vec![
                "systemctl status libvirtd virtqemud".to_owned(),
                "virsh list --all; ip -d link".to_owned(),
            ];
            roots.push((
                members.iter().map(|member| member.fingerprint.clone()).collect::<Vec<_>>(),
                root,
            ));
        }
    }
    for (members, mut root) in roots {
        // Each of them is no fault of its own: the finding names them.
        let host = root.host;
        report
            .findings
            .retain(|finding| finding.host != host || !members.contains(&finding.fingerprint));
        root.notes.push("virsh, ps and ip were asked one after the other".to_owned());
        report.findings.push(root);
    }
}

/// Whether no process holds the device of a NIC: it is missing, or it has no carrier although
/// nobody set it down.
fn has_no_process(finding: &Finding, ctx: &Ctx<'_>) -> bool {
    if *finding.rule == vm_target_missing::RULE {
        return true;
    }
    let nic = finding.node.and_then(|node| ctx.vm_nic(node));
    let Some(nic) = nic.filter(|_| *finding.rule == vm_nic_link_down::RULE) else { return false };
    let name = nic.data.target.as_ref().map_or("", |target| target.value.as_str());
    let link_state = nic.data.xml.and_then(|xml| xml.record.link_state.as_ref());
    let is_unplugged = link_state.is_some_and(|state| state.value == "down");
    let device = ctx.netdev_called(nic.host, &Netns::Root, name);
    !is_unplugged
        && device.is_some_and(|device| {
            device.admin_up() != Some(false) && device.carrier() == Some(false)
        })
}
