use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::Field;
use tapline_core::records::link::Vf;
use tapline_core::span::Evidence;
use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, VmNic};

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};
use tapline_network::Item;

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

/// A virtual function, its NIC and the place of its line.
type Function<'a> = (Item<'a, Netdev<'a>>, &'a Vf, Evidence);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut functions: BTreeMap<HostId, Vec<Function<'_>>> = BTreeMap::new();
    for nic in ctx.netdevs().filter(|device| device.netns().is_root()) {
        let listed = nic.data.records.iter().find(|record| !record.record.vfs.is_empty());
        if let Some(seen) = listed {
            let all = functions.entry(nic.host).or_default();
            all.extend(
                seen.record
                    .vfs
                    .iter()
                    .map(|vf| (nic, vf, Evidence { source: seen.source, span: vf.at })),
            );
        }
    }
    let by_mac: BTreeMap<(HostId, Mac), Function<'_>> = functions
        .iter()
        .flat_map(|(host, all)| all.iter().map(move |it| (*host, it)))
        .filter_map(|(host, it)| Some(((host, it.1.mac?), *it)))
        .collect();
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
        match by_mac.get(&(nic.host, mac.value)) {
            Some(function) => judge(ctx, out, nic, function),
            None => nowhere(ctx, out, nic, mac.value, all),
        }
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, VmNic<'_>>, function: &Function<'_>) {
    let (physical, vf, line) = function;
    let of = format!("VF {} of {}", vf.vf, physical.name());
    let disabled =
        Field::find(&vf.other, "link-state").is_some_and(|it| it.value.starts_with("disable"));
    let wanted = nic.data.xml.and_then(|xml| match xml.record.vlans.as_slice() {
        [one] if !xml.record.vlan_trunk => Some((one.value, one.evidence(xml.source))),
        _ => None,
    });
    let wrong = wanted.filter(|wanted| wanted.0 != 0 && vf.vlan != Some(wanted.0));
    let (message, fix) = if disabled {
        (
            format!("{of} has its link disabled: the VM has no link"),
            format!("ip link set {} vf {} state auto", physical.name(), vf.vf),
        )
    } else if let Some((vlan, _)) = wrong {
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
    finding.primary(*line, "the virtual function");
    if let Some((_, evidence)) = wrong {
        finding.primary(evidence, "what the definition wants");
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
    if !missing.is_empty() || all.iter().any(|it| it.1.mac.is_none()) {
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
    for (physical, vf, line) in all.iter().take(4) {
        finding.context(*line, format!("VF {} of {}", vf.vf, physical.name()));
    }
    let key = format!("a virtual function with MAC {mac}");
    finding.rests_on_absence(ctx.searched(nic.host, &Netns::Root, Topic::Links, &key));
    finding.next("ip link show   # the lines `vf N`");
}
