use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_topology::Topic;
use tapline_topology::graph::VmNic;

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::functions::{self, Function};

declare_rule! {
    code: "NIC-007",
    id: "sriov-vf-misconfig",
    summary: "the virtual function of a VM is muted by the settings of its NIC",
    severity: Warning,
    confidence: Strong,
    page: "sriov_vf_misconfig.md",
    layer: (Symptom, 90),
    rank: 730,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut functions: BTreeMap<HostId, Vec<Function<'_>>> = BTreeMap::new();
    for host in ctx.hosts() {
        let all = ctx.functions_of(host);
        if !all.is_empty() {
            functions.insert(host, all);
        }
    }
    for nic in ctx.vm_nics() {
        let kind = nic.data.kind.as_ref().map_or("", |kind| kind.value.as_str());
        // Only the XML of the running domain says what was handed over.
        if kind != "hostdev" || ctx.vm(nic.vm).and_then(|vm| vm.active) != Some(true) || !nic.live {
            continue;
        }
        let Some(mac) = &nic.data.mac else { continue };
        let Some(all) = functions.get(&nic.host) else {
            out.cannot_tell(nic.host, [Topic::Links.command(&Netns::Root)]);
            continue;
        };
        match ctx.function_of(nic.id) {
            Some(function) => judge(ctx, out, nic, function),
            // Several have it.
            None if all.iter().any(|function| function.vf.mac == Some(mac.value)) => out.clean(),
            None => nowhere(ctx, out, nic, mac.value, all),
        }
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, VmNic<'_>>, function: Function<'_>) {
    let Function { nic: physical, vf, evidence: line } = function;
    let of = format!("VF {} of {}", vf.vf, physical.name());
    let wanted = functions::wanted_vlan(nic);
    let wrong = wanted.filter(|wanted| wanted.value != 0 && vf.vlan != Some(wanted.value));
    let (message, fix) = if function.is_disabled() {
        (
            format!("{of} has its link disabled: the VM has no link"),
            format!("ip link set {} vf {} state auto", physical.name(), vf.vf),
        )
    } else if let Some(vlan) = wrong.as_ref().map(|wrong| wrong.value) {
        let has = vf.vlan.map_or_else(|| "none".to_owned(), |vlan| vlan.to_string());
        (
            format!(
                "{of} is in VLAN {has}, the VM's definition wants {vlan}: it is in the wrong network"
            ),
            format!("ip link set {} vf {} vlan {vlan}", physical.name(), vf.vf),
        )
    } else {
        out.clean();
        return;
    };
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(line, "the virtual function");
    if let Some(wrong) = wrong {
        finding.primary(wrong.evidence, "what the definition wants");
    }
    if let Some(mac) = &nic.data.mac {
        finding.context(mac.evidence, "the NIC of the VM");
    }
    if let Some(state) = ctx.state_of(nic.vm) {
        finding.context(state.evidence, "the VM runs");
    }
    finding.next(fix);
}

/// libvirt gives the function the MAC of the definition before it hands it over.
fn nowhere(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    mac: Mac,
    all: &[Function<'_>],
) {
    // A NIC whose functions do not show would be one that was not captured.
    let missing = ctx.missing(nic.host, &Netns::Root, &[Topic::Links]);
    if !missing.is_empty() || all.iter().any(|function| function.vf.mac.is_none()) {
        out.cannot_tell(nic.host, [Topic::Links.command(&Netns::Root)]);
        return;
    }
    let message = format!(
        "no virtual function has its MAC {mac}: the NIC of the VM drops what is sent to it"
    );
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.no_surer_than(Confidence::Suspect);
    if let Some(it) = &nic.data.mac {
        finding.primary(it.evidence, "the MAC of the definition");
    }
    for function in all.iter().take(4) {
        let words = format!("VF {} of {}", function.vf.vf, function.nic.name());
        finding.context(function.evidence, words);
    }
    let key = format!("a virtual function with MAC {mac}");
    finding.rests_on_absence(ctx.searched(nic.host, &Netns::Root, Topic::Links, &key));
    finding.next("ip link show   # the lines `vf N`");
}
