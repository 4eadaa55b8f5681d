use tapline_core::need::Need;
use tapline_topology::graph::{Netdev, NetdevKind};

use super::cite_uptime;
use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::nics::{self, COUNTERS, Count, Nics};
use tapline_network::uplink;
use tapline_network::{Item, User};

declare_rule! {
    code: "NIC-003",
    id: "nic-drop-counters",
    summary: "a NIC or the device of a VM drops packets for want of room",
    severity: Warning,
    confidence: Suspect,
    page: "nic_drop_counters.md",
    layer: (Symptom, 50),
    rank: 690,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [CounterRatio, CounterMin],
    after: [
        [lbr::l2_loop] by [Bridge],
    ],
}

/// Packets for which the NIC had no room. The plain `rx_dropped` is not among them: it counts what
/// nobody wanted.
const NO_ROOM: &[&str] = &[
    "rx_missed_errors",
    "rx_missed",
    "rx_no_buffer_count",
    "rx_no_buffer",
    "rx_no_dma_resources",
    "rx_out_of_buffer",
    "rx_discards",
    "rx_fw_discards",
    "rx_fifo_errors",
    "rx_fifo",
    "rx_over_err",
    "rx_over_errors",
    "rx_overrun",
];

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nics = ctx.nics();
    for device in ctx.netdevs() {
        if uplink::is_nic(&device) {
            if nics::serves(ctx, &device) {
                nic(ctx, out, nics, device);
            } else {
                out.clean();
            }
        } else if drains(ctx, &device) {
            guest(ctx, out, nics, device);
        }
    }
}

fn nic<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, nic: Item<'a, Netdev<'a>>) {
    let all = nics.counts(&nic);
    let mut known = all.iter().flat_map(|it| it.called(NO_ROOM)).peekable();
    if known.peek().is_none() {
        out.cannot_tell(nic.host, [Need::command(COUNTERS)]);
        return;
    }
    let worst = known.max_by(|a, b| a.value.cmp(&b.value).then_with(|| b.name.cmp(&a.name)));
    let limits = &ctx.settings.thresholds;
    let received = Nics::packets(&all, "rx");
    // A lost packet is worse in the NIC than behind it: a tenth of the share is enough.
    let high = worst.zip(received).filter(|(worst, received)| {
        worst.value >= limits.counter_min
            && nics::ratio(worst.value, received.saturating_add(worst.value))
                >= limits.counter_ratio / 10.0
    });
    let Some((worst, received)) = high else {
        out.clean();
        return;
    };
    let total = received.saturating_add(worst.value);
    let message = format!(
        "{} {} of {total} packets ({}){}: the NIC has no room for what arrives",
        worst.value,
        worst.name,
        nics::percent(worst.value, total),
        nics.since(nic.host)
    );
    report(ctx, out, nics, nic, worst, message, |finding| {
        let rings = nics.of(nic.id).and_then(|of| of.rings);
        let sizes = rings.and_then(|ring| {
            let (most, now) = (ring.record.maximum.rx.as_ref()?, ring.record.current.rx.as_ref()?);
            (now.value < most.value).then(|| (now.evidence(ring.source), now.value, most.value))
        });
        match sizes {
            Some((evidence, now, most)) => {
                finding.context(evidence, format!("its ring: {now}, {most} are possible"));
                finding.next(format!("ethtool -G {} rx {most}", nic.name()));
            }
            None => {
                finding.next(format!("ethtool -g {}", nic.name()));
            }
        }
    });
}

/// Whether somebody should be taking packets out of this device: a VM that runs, or the other end
/// of a veth. A guest that is off or a cable that is unplugged drops everything.
fn drains<'a>(ctx: &Ctx<'a>, device: &Item<'a, Netdev<'a>>) -> bool {
    if device.usable() != Some(true) {
        return false;
    }
    match device.kind {
        NetdevKind::Tap => matches!(ctx.user_of(device.host, device.name()), User::Running(_)),
        NetdevKind::Veth => {
            ctx.veth_peer(device.id).is_some_and(|peer| peer.usable() == Some(true))
        }
        _ => false,
    }
}

fn guest<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, nics: &Nics<'a>, device: Item<'a, Netdev<'a>>) {
    let all = nics.counts(&device);
    let dropped =
        all.iter().flat_map(|it| it.called(&["tx_dropped"])).max_by_key(|called| called.value);
    let (Some(dropped), Some(sent)) = (dropped, Nics::packets(&all, "tx")) else {
        if device.kind == NetdevKind::Tap {
            out.cannot_tell(device.host, [Need::command(COUNTERS)]);
        }
        return;
    };
    let limits = &ctx.settings.thresholds;
    let total = sent.saturating_add(dropped.value);
    if dropped.value < limits.counter_min
        || nics::ratio(dropped.value, total) < limits.counter_ratio
    {
        out.clean();
        return;
    }
    let who = if device.kind == NetdevKind::Tap { "the VM" } else { "its other end" };
    let message = format!(
        "{} of {total} packets ({}) were dropped on the way out{}: {who} does not take them fast enough",
        dropped.value,
        nics::percent(dropped.value, total),
        nics.since(device.host)
    );
    report(ctx, out, nics, device, dropped, message, |finding| {
        if device.kind == NetdevKind::Tap {
            finding.note("packets for a guest that was still booting count too");
        }
        finding.next(format!("ip -s -s link show {}", device.name()));
    });
}

fn report<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    nics: &Nics<'a>,
    device: Item<'a, Netdev<'a>>,
    count: &Count,
    message: String,
    details: impl FnOnce(&mut crate::lint::Finding),
) {
    let finding = out.fault(ctx, device.host, device.id, message);
    finding.primary(count.evidence, count.name.clone());
    if let Some(place) = device.place() {
        finding.context(place, "the device");
    }
    cite_uptime(nics, device.host, finding);
    details(finding);
}
