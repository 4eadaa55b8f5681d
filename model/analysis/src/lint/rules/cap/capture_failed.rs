use std::collections::BTreeMap;

use tapline_core::capture::{Completeness, HostId, Source};
use tapline_core::outcome::{MAY_BE_CUT, NO_LINE_END, Outcome, ProblemKind};
use tapline_core::records::Batch;
use tapline_core::span::{Evidence, Span};
use tapline_topology::Coverage;
use tapline_topology::graph::NetdevKind;

use crate::lint::rules::ns::netns_handle_stale::is_stale;
use crate::lint::{Ctx, Other, Severity, Verdicts, declare_rule};
use tapline_network::defs;

declare_rule! {
    code: "CAP-001",
    id: "capture-failed",
    summary: "a text that should hold evidence holds an error or is cut off",
    severity: Warning,
    confidence: Proven,
    page: "capture_failed.md",
    layer: (Capture, 10),
    rank: 170,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut failed: BTreeMap<(HostId, String), Vec<(&Source, Span)>> = BTreeMap::new();
    let unanswered = unanswered(ctx);
    for (source, reading) in ctx.topology.snapshot.iter() {
        if source.format.is_none() {
            continue;
        }
        let whole = Span { start: 0, end: u32::try_from(source.text.len()).unwrap_or(u32::MAX) };
        match ctx.topology.snapshot.completeness(source.id) {
            Completeness::Complete => out.clean(),
            Completeness::Failed(reason) => {
                // What could not be entered is NS-004.
                let stale = source.netns.name().is_some() && is_stale(source);
                let wanted =
                    unanswered.contains(&source.id) && !is_not_installed(&reason) && !stale;
                if wanted && (!is_virsh(source) || has_machines(ctx, source.host)) {
                    failed
                        .entry((source.host, reason))
                        .or_default()
                        .push((source, first_line(source)));
                } else {
                    // Another text answers the same question, or there is nothing to be asked.
                    out.clean();
                }
            }
            Completeness::Partial(reason) => {
                match cut_at(reading, &reason).filter(|_| unanswered.contains(&source.id)) {
                    Some(cut) => {
                        let span = if cut.start < cut.end { cut } else { whole };
                        failed.entry((source.host, reason)).or_default().push((source, span));
                    }
                    // Its own author cut it: a pipe, an ellipsis.
                    None => out.clean(),
                }
            }
        }
    }
    for ((host, reason), texts) in failed {
        report(ctx, out, host, &reason, &texts);
    }
}

/// Where a text ends before its command had said all: nobody does that on purpose.
fn cut_at(reading: &Outcome<Batch>, reason: &str) -> Option<Span> {
    if let Batch::Netfilter(tables) = &reading.records
        && let Some(open) = tables.iter().find(|table| !table.committed)
    {
        return Some(open.at);
    }
    let cut = reading.problems.iter().find(|problem| {
        problem.kind == ProblemKind::Truncated
            && (problem.message != NO_LINE_END || reason == MAY_BE_CUT)
    });
    cut.map(|cut| cut.span)
}

/// Failed and partial texts whose question no other text answers. What few hosts have an answer to
/// (rings of a virtual NIC, the databases of OVN away from its own hosts) may well be refused.
fn unanswered(ctx: &Ctx<'_>) -> std::collections::BTreeSet<tapline_core::span::SourceId> {
    let mut all = std::collections::BTreeSet::new();
    for host in ctx.hosts() {
        let asked = ctx.topology.coverage.host(host).filter(|(_, topic, _)| !topic.is_special());
        for (_, _, coverage) in asked {
            match coverage {
                Coverage::Failed { source, .. } => {
                    all.insert(*source);
                }
                Coverage::Partial(sources) => all.extend(sources),
                Coverage::NotCaptured | Coverage::Complete(_) => {}
            }
        }
    }
    all
}

/// The program, or what it talks to, is not on this host: there is nothing to capture.
fn is_not_installed(reason: &str) -> bool {
    ["command not found", "not found", "failed to run command", "No such file or directory"]
        .iter()
        .any(|word| reason.contains(word))
        && !reason.contains("network namespace")
}

fn is_virsh(source: &Source) -> bool {
    source.command.program() == "virsh"
}

/// Whether anything on the host looks like a VM; else libvirt may well not run.
fn has_machines(ctx: &Ctx<'_>, host: HostId) -> bool {
    ctx.netdevs_of(host).any(|device| {
        // A tap may be the NIC of a host that is a guest itself.
        device.kind == NetdevKind::Tap && ctx.topology.uplink(device.id).is_none()
            || device.name().starts_with("vnet")
            || device.name().starts_with("qbr")
    }) || ctx.vms().any(|vm| vm.host == host)
}

fn first_line(source: &Source) -> Span {
    let end = source.text.lines().next().map_or(0, str::len);
    Span { start: 0, end: u32::try_from(end).unwrap_or(u32::MAX) }
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    reason: &str,
    texts: &[(&Source, Span)],
) {
    let Some(((first, span), rest)) = texts.split_first() else { return };
    let subject = Other::Capture { command: first.command.to_string() };
    let reason = if reason.is_empty() { "it is empty" } else { reason };
    let failed = ctx.topology.snapshot.completeness(first.id).is_failed();
    let message = if failed {
        format!("the capture is of no use: {reason}; what it would decide stays open")
    } else {
        format!("the capture is incomplete: {reason}; what it does not show stays open")
    };
    let finding = out.fire(host, subject, message);
    finding.netns = Some(first.netns.clone());
    // It may as well have lost its end when it was copied.
    if reason == MAY_BE_CUT {
        finding.at_most(Severity::Info);
    }
    finding.primary(
        Evidence { source: first.id, span: *span },
        if failed { "all there is" } else { "here" },
    );
    for (source, span) in rest {
        if finding.evidence.len() < 5 {
            finding.primary(Evidence { source: source.id, span: *span }, "the same");
        }
        finding.also(Other::Capture { command: in_netns(source) });
    }
    finding.next(format!("sudo {}", in_netns(first)));
    let topics = topics(ctx, host, first);
    if !topics.is_empty() {
        finding.note(format!("it would tell: {}", topics.join(", ")));
    }
}

fn in_netns(source: &Source) -> String {
    defs::inside(&source.netns, &source.command.to_string())
}

/// What the text was asked for.
fn topics(ctx: &Ctx<'_>, host: HostId, source: &Source) -> Vec<&'static str> {
    let mut all: Vec<&str> = ctx
        .topology
        .coverage
        .host(host)
        .filter(|(_, _, it)| matches!(it, Coverage::Failed { source: it, .. } if *it == source.id))
        .map(|(_, topic, _)| topic.name())
        .collect();
    all.dedup();
    all
}
