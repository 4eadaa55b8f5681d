use tapline_core::need::Need;
use tapline_topology::graph::Netdev;

use super::cite_uptime;
use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::nics::{self, COUNTERS, Count, Counts, Nics};
use tapline_network::uplink;

declare_rule! {
    code: "NIC-002",
    id: "nic-error-counters",
    summary: "a NIC counts frames that arrived damaged, or could not be sent",
    severity: Warning,
    confidence: Suspect,
    page: "nic_error_counters.md",
    layer: (Symptom, 40),
    rank: 680,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [CounterRatio, CounterMin],
    after: [],
}

/// Frames that were damaged on the wire. Those of a wrong length are left out: they come of a
/// larger MTU at the other end.
const DAMAGED: &[&str] = &[
    "rx_crc_errors",
    "rx_crc_error",
    "rx_crc_err",
    "rx_crc",
    "rx_fcs_errors",
    "rx_fcs_err_frames",
    "rx_frame_errors",
    "rx_frame_err",
    "rx_frame",
    "rx_align_errors",
    "rx_align_err_frames",
    "rx_alignment_errors",
    "rx_symbol_errors",
    "rx_symbol_err",
    "rx_jabbers",
    "illegal_bytes",
];

/// Frames that met a cable without a carrier, or another frame after the time in which that is
/// normal.
const UNSENT: &[&str] = &[
    "tx_carrier_errors",
    "tx_carrier",
    "tx_late_collisions",
    "tx_abort_late_coll",
    "late_collision",
    "late_collisions",
];

/// All errors, whatever they are.
const ANY: [(&str, &str); 2] = [("rx", "rx_errors"), ("tx", "tx_errors")];

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

/// A counter that is too high, and the packets that it is a share of.
struct High {
    count: Count,
    packets: u64,
}

fn judge<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, nic: Item<'a, Netdev<'a>>) {
    let all = nics.counts(&nic);
    let known = |names: &[&str]| all.iter().any(|it| it.called(names).next().is_some());
    if !known(DAMAGED) && !known(&[ANY[0].1]) {
        out.cannot_tell(nic.host, [Need::command(COUNTERS)]);
        return;
    }
    let Some(worst) = highest(ctx, &all) else {
        out.clean();
        return;
    };
    let High { count, packets } = &worst;
    let way =
        if count.name.contains("rx") || !count.name.contains("tx") { "received" } else { "sent" };
    let message = format!(
        "{} {} among {packets} packets {way} ({}){}: the cable, the optics or the duplex mode is bad",
        count.value,
        count.name,
        nics::percent(count.value, *packets),
        nics.since(nic.host),
    );
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(count.evidence, count.name.clone());
    if let Some(place) = nic.place() {
        finding.context(place, "the NIC");
    }
    cite_uptime(nics, nic.host, finding);
    let name = nic.name();
    finding.next(format!(
        "ethtool -S {name} | grep -iE 'crc|fcs|err'; sleep 60; ethtool -S {name} | grep -iE 'crc|fcs|err'"
    ));
    finding.next(format!("ethtool -m {name}"));
}

/// The counter that is over its limit by most. Damage on the wire is never normal, so it counts
/// from a tenth of the number and a thousandth of the share that are set for counters.
fn highest(ctx: &Ctx<'_>, all: &[Counts]) -> Option<High> {
    let limits = &ctx.settings.thresholds;
    let least = limits.counter_min / 10;
    let mut found: Vec<High> = Vec::new();
    let received = Nics::packets(all, "rx");
    let sent = Nics::packets(all, "tx");
    for counts in all {
        for count in counts.called(DAMAGED).filter(|called| called.value >= least) {
            let packets = received.unwrap_or(0);
            if received.is_some()
                && nics::ratio(count.value, packets) >= limits.counter_ratio / 1000.0
            {
                found.push(High { count: count.clone(), packets });
            }
        }
        for count in counts.called(UNSENT).filter(|called| called.value > least) {
            if let Some(packets) = sent {
                found.push(High { count: count.clone(), packets });
            }
        }
        for (way, name) in ANY {
            let packets = if way == "rx" { received } else { sent };
            for count in counts.called(&[name]).filter(|called| called.value >= least) {
                if let Some(packets) = packets
                    && nics::ratio(count.value, packets) >= limits.counter_ratio
                {
                    found.push(High { count: count.clone(), packets });
                }
            }
        }
    }
    let rank = |it: &High| {
        // A counter that names the damage says more than the sum of all.
        let named = !ANY.iter().any(|(_, name)| *name == it.count.name);
        (named, it.count.value)
    };
    found
        .into_iter()
        .max_by(|a, b| rank(a).cmp(&rank(b)).then_with(|| b.count.name.cmp(&a.count.name)))
}
