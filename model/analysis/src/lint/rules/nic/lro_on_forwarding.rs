use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::nics::{self, Nics};
use tapline_network::uplink::{self, Role};

declare_rule! {
    code: "NIC-006",
    id: "lro-on-forwarding",
    summary: "a NIC that is bridged or routed merges the packets that it receives",
    severity: Warning,
    confidence: Strong,
    page: "lro_on_forwarding.md",
    layer: (Symptom, 80),
    rank: 720,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [],
}

/// As `ethtool -k` calls it. Generic receive offload can be undone and does no harm.
const LRO: &str = "large-receive-offload";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nics = ctx.nics();
    let forwarding = forwarding(ctx);
    for nic in ctx.netdevs().filter(uplink::is_nic) {
        judge(ctx, out, nics, nic, &forwarding);
    }
}

/// `net.ipv4.ip_forward` of the root namespace.
fn forwarding(ctx: &Ctx<'_>) -> BTreeMap<HostId, (bool, Evidence)> {
    let mut all = BTreeMap::new();
    for (source, settings) in ctx.sysctl_texts().filter(|(it, _)| it.netns.is_root()) {
        for it in settings.iter().filter(|setting| setting.key.value == "net.ipv4.ip_forward") {
            if let Some(number) = it.number() {
                let evidence = Evidence { source: source.id, span: it.at };
                all.entry(source.host).or_insert((number != 0, evidence));
            }
        }
    }
    all
}

fn judge<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    nics: &Nics<'a>,
    nic: Item<'a, Netdev<'a>>,
    forwarding: &BTreeMap<HostId, (bool, Evidence)>,
) {
    let bridge = bridge_above(ctx, nic);
    let Some(features) = nics.of(nic.id).and_then(|of| of.features) else {
        match bridge {
            Some(_) if nic.usable() != Some(false) => {
                out.cannot_tell(
                    nic.host,
                    [Need::command("ethtool -k").with(nic.name()).within(nic.netns())],
                );
            }
            _ => out.clean(),
        }
        return;
    };
    let feature = features.record.feature(LRO).filter(|feature| feature.on.value);
    // What a hypervisor merged it marks, so that it can be taken apart again.
    let Some(feature) = feature.filter(|_| !nics::is_virtio(nics, &nic)) else {
        out.clean();
        return;
    };
    let routed = forwarding.get(&nic.host);
    let (what, evidence) = match (&bridge, routed) {
        (Some((name, evidence)), _) => (format!("{name} passes its packets on"), *evidence),
        (None, Some((true, evidence))) => ("the host routes".to_owned(), Some(*evidence)),
        (None, Some((false, _))) => {
            out.clean();
            return;
        }
        (None, None) => {
            out.cannot_tell(nic.host, [Need::command("sysctl net.ipv4.ip_forward")]);
            return;
        }
    };
    let message = format!(
        "large receive offload is on while {what}: merged packets cannot be sent on, throughput breaks down"
    );
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(feature.on.evidence(features.source), "merges packets");
    if let Some(evidence) = evidence {
        finding.primary(evidence, "forwards");
    }
    if feature.fixed {
        finding.note("the driver does not let it be switched off");
    }
    finding.next(format!("ethtool -K {} lro off", nic.name()));
}

/// The bridge that a NIC feeds, itself or by its bond, and the place that says so.
fn bridge_above<'a>(
    ctx: &Ctx<'a>,
    nic: Item<'a, Netdev<'a>>,
) -> Option<(String, Option<Evidence>)> {
    match uplink::role(ctx, &nic)? {
        Role::OvsPort(bridge) => {
            let place = ctx.interface_of(nic.id).and_then(|interface| interface.place());
            Some((format!("OVS bridge {bridge}"), place))
        }
        Role::BridgePort(bridge) => {
            let bridge = ctx.netdev(bridge)?;
            let master = nic.data.master.as_ref().map(|master| master.evidence);
            Some((format!("bridge {}", bridge.name()), master.or(bridge.place())))
        }
        Role::Slave(bond) => {
            let bond = ctx.netdev(bond)?;
            let stacked = matches!(bond.kind, NetdevKind::Bond | NetdevKind::Team);
            stacked.then(|| bridge_above(ctx, bond)).flatten()
        }
        Role::Address(_) | Role::Carries(_) | Role::Functions(_) | Role::Function(_) => None,
    }
}
