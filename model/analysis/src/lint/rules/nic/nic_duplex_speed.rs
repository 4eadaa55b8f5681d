use tapline_core::need::Need;
use tapline_core::records::ethtool::NicSettings;
use tapline_topology::graph::{Netdev, Seen};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::nics::{self};
use tapline_network::uplink;

declare_rule! {
    code: "NIC-004",
    id: "nic-duplex-speed",
    summary: "a NIC runs in half duplex, or slower than both ends can",
    severity: Warning,
    confidence: Proven,
    page: "nic_duplex_speed.md",
    layer: (Symptom, 60),
    rank: 700,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nics = ctx.nics();
    for nic in ctx.netdevs().filter(uplink::is_nic) {
        // Without a link there is no speed; what nothing uses may be slow.
        if !nics::serves(ctx, &nic) || nic.usable() == Some(false) {
            out.clean();
            continue;
        }
        match nics.of(nic.id).and_then(|of| of.settings) {
            Some(settings) => judge(ctx, out, nic, settings),
            None => out.cannot_tell(
                nic.host,
                [Need::command("ethtool").with(nic.name()).within(nic.netns())],
            ),
        }
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, Netdev<'_>>,
    settings: Seen<'_, NicSettings>,
) {
    let source = settings.source;
    let settings = settings.record;
    if settings.link_detected.as_ref().is_some_and(|detected| !detected.value) {
        out.clean();
        return;
    }
    let name = nic.name();
    if let Some(duplex) = settings.duplex.as_ref().filter(|duplex| duplex.value.starts_with("Half"))
    {
        let speed = settings.speed.as_ref().map_or("", |speed| speed.value.as_str());
        let message = format!(
            "half duplex{}{speed}: whatever both ends send at the same time is lost",
            if speed.is_empty() { "" } else { " at " }
        );
        let finding = out.fault(ctx, nic.host, nic.id, message);
        finding.primary(duplex.evidence(source), "half duplex");
        finding.next(format!("ethtool -s {name} autoneg on"));
        finding.next(format!("ethtool {name}"));
        return;
    }
    let speed = settings.speed.as_ref().and_then(|speed| Some((megabits(&speed.value)?, speed)));
    let (Some((speed, printed)), Some(possible)) = (speed, possible(settings)) else {
        // A hypervisor does not say how fast its virtual NIC is.
        out.clean();
        return;
    };
    if speed >= possible {
        out.clean();
        return;
    }
    let message = format!("runs at {speed} Mb/s where both ends offer {possible} Mb/s");
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(printed.evidence(source), "its speed");
    for (key, label) in [(OURS, "what this end offers"), (THEIRS, "what the other end offers")] {
        if let Some(it) = settings.other.iter().find(|other| other.key == key) {
            finding.primary(it.value.evidence(source), label);
        }
    }
    finding.next(format!("ethtool -s {name} autoneg on"));
    finding.next(format!("dmesg | grep {name}"));
}

const OURS: &str = "Advertised link modes";
const THEIRS: &str = "Link partner advertised link modes";

/// The highest speed that both ends offer; `None` where one of them does not say.
fn possible(settings: &NicSettings) -> Option<u32> {
    let offered = |key: &str| -> Vec<&str> {
        let lines = settings.other.iter().filter(|other| other.key == key);
        lines.flat_map(|line| line.value.value.split_whitespace()).collect()
    };
    let (ours, theirs) = (offered(OURS), offered(THEIRS));
    ours.iter().filter(|our| theirs.contains(our)).filter_map(|our| of_mode(our)).max()
}

/// `10000baseT/Full`: megabits a second.
fn of_mode(mode: &str) -> Option<u32> {
    mode.split_once("base")?.0.parse().ok()
}

/// `1000Mb/s`; `Unknown!` is none.
fn megabits(text: &str) -> Option<u32> {
    text.strip_suffix("Mb/s")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speeds_of_modes() {
        assert_eq!(of_mode("10000baseT/Full"), Some(10_000));
        assert_eq!(of_mode("25000baseCR/Full"), Some(25_000));
        assert_eq!(of_mode("Not"), None);
        assert_eq!(megabits("1000Mb/s"), Some(1000));
        assert_eq!(megabits("Unknown!"), None);
    }
}
