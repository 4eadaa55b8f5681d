use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;

use crate::lint::{Ctx, Other, Severity, Verdicts, declare_rule};
use tapline_network::texts::Settings;

declare_rule! {
    code: "IPT-005",
    id: "conntrack-near-full",
    summary: "the kernel's table of connections is almost full",
    severity: Error,
    confidence: Proven,
    page: "conntrack_near_full.md",
    layer: (Firewall, 50),
    rank: 900,
    about: [],
    cuts: [],
    asks: [NeighRatio],
    after: [],
}

/// Share of the table from which on it is reported, where no greater one is set.
const NEAR: f64 = 0.9;

const COUNT: &str = "net.netfilter.nf_conntrack_count";
const MOST: [&str; 2] = ["net.netfilter.nf_conntrack_max", "net.nf_conntrack_max"];

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let settings = ctx.kernel_settings();
    let filters = ctx.filters();
    for host in ctx.hosts() {
        let of_root = filters.tables().filter(|(of, netns, ..)| *of == host && netns.is_root());
        let tracked = of_root.map(|(.., table)| table.data).any(|table| {
            let mut words = table.rules.iter().flat_map(|rule| &rule.matches);
            table.table.value == "nat" && !table.rules.is_empty()
                || words.any(|word| matches!(word.as_str(), "conntrack" | "--ctstate" | "ctstate"))
        });
        judge(ctx, out, host, settings, tracked);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, settings: &Settings<'_>, tracked: bool) {
    let setting = |key| settings.get(&(host, &Netns::Root, key));
    let most = MOST.iter().find_map(|most| setting(*most)).filter(|it| it.value > 0);
    let (Some(count), Some(most)) = (setting(COUNT), most) else {
        // Without a rule that asks for connections there may be no such table at all.
        if tracked {
            out.cannot_tell(host, [Need::command("sysctl").with(COUNT).with(MOST[0])]);
        }
        return;
    };
    let share = count.value as f64 / most.value as f64;
    if share < ctx.settings.thresholds.neigh_ratio.max(NEAR) {
        out.clean();
        return;
    }
    let full = count.value >= most.value;
    let message = format!(
        "{} connections are tracked of at most {}: {}",
        count.value,
        most.value,
        if full { "new ones are dropped" } else { "soon new ones are dropped" }
    );
    let finding = out.fire(host, Other::Conntrack, message);
    if !full {
        finding.at_most(Severity::Warning);
    }
    finding.primary(count.evidence, "connections of the root namespace");
    finding.primary(most.evidence, "the limit");
    finding.note("a capture shows one moment: the peak may be higher");
    finding.next("conntrack -S");
    finding.next("dmesg | grep 'table full'");
    finding.next(format!("sysctl -w {}={}", MOST[0], most.value.saturating_mul(2)));
}
