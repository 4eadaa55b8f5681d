use tapline_core::need::Need;
use tapline_topology::graph::Netdev;

use super::cite_uptime;
use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::nics::{self, COUNTERS, Count, Nics};
use tapline_network::uplink;

declare_rule! {
    code: "NIC-005",
    id: "link-flapping",
    summary: "a NIC lost and regained its link many times",
    severity: Warning,
    confidence: Suspect,
    page: "link_flapping.md",
    layer: (Symptom, 70),
    rank: 710,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [LinkFlaps],
    after: [
        [lbr::l2_loop] by [Bridge],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nics = ctx.nics();
    for nic in ctx.netdevs().filter(uplink::is_nic) {
        if nics::serves(ctx, &nic) {
            judge(ctx, out, nics, nic);
        } else {
            out.clean();
        }
    }
}

fn judge<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, nic: Item<'a, Netdev<'a>>) {
    let all = changes(nics, &nic);
    let most = all.iter().max_by(|a, b| a.value.cmp(&b.value).then_with(|| b.name.cmp(&a.name)));
    let Some(most) = most else {
        out.cannot_tell(nic.host, [Need::command(COUNTERS)]);
        return;
    };
    if most.value < ctx.settings.thresholds.link_flaps.max(1) {
        out.clean();
        return;
    }
    let message = format!(
        "{} {}{}: the cable, the optics or the port of the switch drops out again and again",
        most.value,
        most.name,
        nics.since(nic.host)
    );
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(most.evidence, most.name.clone());
    if let Some(place) = nic.place() {
        finding.context(place, "the NIC");
    }
    cite_uptime(nics, nic.host, finding);
    finding.next(format!("dmesg -T | grep -i '{}.*link'", nic.name()));
    finding.next(format!("ethtool -m {}", nic.name()));
}

/// How often the link was lost or changed, by each that counts it.
fn changes<'a>(nics: &Nics<'a>, nic: &Item<'a, Netdev<'a>>) -> Vec<Count> {
    let mut all = Vec::new();
    let texts = nics.of(nic.id);
    let driver = ["link_down_events", "link_down_events_phy"];
    for counts in nics.counts(nic) {
        // The kernel prints its count of carrier changes as `transns`.
        for (names, called) in
            [(driver.as_slice(), "losses of the link"), (&["tx_transns"], "changes of carrier")]
        {
            all.extend(
                counts.called(names).map(|it| Count { name: called.to_owned(), ..it.clone() }),
            );
        }
    }
    if let Some(it) = texts.and_then(|text| text.slave)
        && let Some(count) = &it.record.link_failures
    {
        all.push(Count {
            name: "losses of the link".to_owned(),
            value: count.value,
            evidence: count.evidence(it.source),
        });
    }
    for seen in &nic.data.records {
        let count = seen.record.other.find("link_failure_count");
        if let Some((it, value)) = count.and_then(|count| Some((count, count.value.parse().ok()?)))
        {
            all.push(Count {
                name: "losses of the link".to_owned(),
                value,
                evidence: it.evidence(seen.source),
            });
        }
    }
    if let Some(it) = texts.and_then(|text| text.ovs) {
        let column = it.record.columns.iter().find(|column| column.name == "link_resets");
        if let Some((column, value)) =
            column.and_then(|column| Some((column, column.value.parse().ok()?)))
        {
            all.push(Count {
                name: "changes of carrier".to_owned(),
                value,
                evidence: column.value.evidence(it.source),
            });
        }
    }
    all
}
