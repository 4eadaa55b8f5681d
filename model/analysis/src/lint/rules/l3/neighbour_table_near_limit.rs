use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::route::Family;
use tapline_topology::Topic;

use crate::lint::{Confidence, Ctx, Other, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::texts::{Known, Setting};

declare_rule! {
    code: "L3-011",
    id: "neighbour-table-near-limit",
    summary: "the kernel's table of neighbours is almost full",
    severity: Warning,
    confidence: Proven,
    page: "neighbour_table_near_limit.md",
    layer: (L3, 130),
    rank: 830,
    about: [],
    cuts: [],
    asks: [NeighRatio],
    after: [],
}

/// Entries from which on the default limit of 1024 is near (arp(7)).
const MANY: usize = 900;

/// The neighbours of one family on one host.
#[derive(Default)]
struct Count<'k, 'a> {
    by_netns: BTreeMap<&'a Netns, usize>,
    /// One entry of each namespace, to be cited.
    samples: Vec<&'k Known<'a>>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let limits = ctx.kernel_settings();
    let neighbours = ctx.neighbours();
    let mut counts: BTreeMap<(HostId, Family), Count<'_, '_>> = BTreeMap::new();
    for (&(host, netns), known) in neighbours {
        for ((_, ip), entry) in known {
            if !counts_towards_limit(entry) {
                continue;
            }
            let family = if ip.is_ipv4() { Family::Inet } else { Family::Inet6 };
            let count = counts.entry((host, family)).or_default();
            let here = count.by_netns.entry(netns).or_default();
            if *here == 0 {
                count.samples.push(entry);
            }
            *here += 1;
        }
    }
    for host in ctx.hosts() {
        if !ctx.captured(host, &Netns::Root, Topic::Links) {
            continue;
        }
        for (family, key) in [
            (Family::Inet, "net.ipv4.neigh.default.gc_thresh3"),
            (Family::Inet6, "net.ipv6.neigh.default.gc_thresh3"),
        ] {
            let limit = limits.get(&(host, &Netns::Root, key));
            judge(ctx, out, (host, family, key), limit, counts.get(&(host, family)));
        }
    }
}

/// The kernel counts what it has to keep room for: not what was entered by hand or by a routing
/// daemon (since 5.0), nor what needs no neighbour.
fn counts_towards_limit(entry: &Known<'_>) -> bool {
    let by_hand =
        entry.record.states.iter().any(|state| matches!(state.as_str(), "PERMANENT" | "NOARP"));
    !by_hand && !entry.record.flags.iter().any(|flag| flag == "extern_learn")
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    (host, family, key): (HostId, Family, &str),
    limit: Option<&Setting>,
    count: Option<&Count<'_, '_>>,
) {
    let number: usize = count.map_or(0, |count| count.by_netns.values().sum());
    let most = limit.and_then(|limit| usize::try_from(limit.value).ok());
    let near = match most {
        #[expect(clippy::cast_precision_loss, reason = "a share needs no more than 52 bits")]
        Some(most) => number as f64 >= most as f64 * ctx.settings.thresholds.neigh_ratio,
        None => number >= MANY,
    };
    let Some(count) = count.filter(|_| near && number > 0) else {
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Neighbours]);
        if missing.is_empty() {
            out.clean();
        } else if family == Family::Inet {
            // One text shows both families.
            out.cannot_tell(host, missing);
        }
        return;
    };
    let protocol = if family == Family::Inet { "IPv4" } else { "IPv6" };
    let of = match most {
        Some(most) => format!("of at most {most}"),
        None => "(the kernel's default limit is 1024)".to_owned(),
    };
    let message = format!(
        "has {number} {protocol} neighbours {of}: beyond it, hosts that answer cannot be reached"
    );
    let finding = out.fire(host, Other::Neighbours { protocol }, message);
    for (entry, (netns, number)) in count.samples.iter().zip(&count.by_netns).take(5) {
        finding.primary(entry.evidence, format!("one of {number} in {netns}"));
    }
    match limit {
        Some(limit) => {
            finding.primary(limit.evidence, "the limit, for all namespaces together");
        }
        None => {
            finding.no_surer_than(Confidence::Suspect);
            finding.note("the limit was not captured");
            finding.next(format!("sysctl {key}"));
        }
    }
    if count.by_netns.len() > 1 {
        let mut all: Vec<_> = count.by_netns.iter().collect();
        all.sort_by_key(|(_, number)| std::cmp::Reverse(**number));
        let names: Vec<String> = all.iter().map(|(it, number)| format!("{it} {number}")).collect();
        finding.note(format!("by namespace: {}", defs::list(names.iter().map(String::as_str), 5)));
    }
    let twice = most.unwrap_or(1024).saturating_mul(2);
    finding.next(format!(
        "sysctl -w {key}={twice} {}={}",
        key.replace("thresh3", "thresh2"),
        twice / 2
    ));
}
