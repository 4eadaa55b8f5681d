use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::{HostId, Source};
use tapline_core::ids::Netns;
use tapline_core::span::{Evidence, Span};
use tapline_topology::{Thing, Topic};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};

declare_rule! {
    code: "NS-004",
    id: "netns-handle-stale",
    summary: "the name of a namespace exists and the namespace behind it does not",
    severity: Error,
    confidence: Proven,
    page: "netns_handle_stale.md",
    layer: (Namespace, 10),
    rank: 350,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut stale: BTreeMap<(HostId, Netns), Vec<(Evidence, Complaint)>> = BTreeMap::new();
    let failed = ctx.failed_texts();
    let inside = failed.filter(|source| source.netns.name().is_some() && !is_list(source));
    let lists = ctx.texts_by("ip").filter(|source| is_list(source));
    for source in lists.chain(inside) {
        if let Some((span, complaint)) = complaint(&source.text, source.command.program()) {
            let evidence = Evidence { source: source.id, span };
            stale
                .entry((source.host, source.netns.clone()))
                .or_default()
                .push((evidence, complaint));
        }
    }
    for netns in ctx.namespaces() {
        let key = (netns.host, netns.netns().clone());
        let listed = netns.data.listed;
        match (stale.remove(&key), netns.netns()) {
            (_, Netns::Nameless { .. }) => {}
            (Some(all), Netns::Root) => list_complains(ctx, out, netns.host, &all),
            (Some(all), Netns::Named(name)) => {
                let entered = ctx.was_entered(netns.host, netns.netns());
                cannot_enter(ctx, out, netns.host, name, listed, entered, &all);
            }
            (None, Netns::Named(_)) if listed.is_some() => {
                if ctx.was_entered(netns.host, netns.netns()) {
                    out.clean();
                } else {
                    out.cannot_tell(netns.host, [Topic::Links.command(netns.netns())]);
                }
            }
            (None, _) => {}
        }
    }
    // Namespaces that nothing but the complaint speaks of.
    for ((host, netns), all) in stale {
        match &netns {
            Netns::Named(name) => cannot_enter(ctx, out, host, name, None, false, &all),
            _ => list_complains(ctx, out, host, &all),
        }
    }
}

/// Whether a text that was asked for inside of a namespace says that there is none behind its name.
pub(crate) fn is_stale(source: &Source) -> bool {
    complaint(&source.text, source.command.program())
        .is_some_and(|(_, complaint)| complaint == Complaint::Stale)
}

/// What a tool says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Complaint {
    /// The file is no namespace any more.
    Stale,
    /// There is no such file.
    Gone,
}

fn is_list(source: &Source) -> bool {
    let mut args = source.command.args().iter().filter(|arg| !arg.starts_with('-'));
    source.command.program() == "ip"
        && args.next().is_some_and(|arg| "netns".starts_with(arg.as_str()) && arg.len() > 2)
}

/// The first line that says that a name leads to no namespace (iproute2 `lib/namespace.c`,
/// `ip/ipnetns.c`). That one may not enter is another matter.
///
/// `RTNETLINK answers` speaks of the namespace only where `ip` asks for it by name: other tools
/// print it of a question that the kernel does not support (`ss` of sockets without a module).
fn complaint(text: &str, program: &str) -> Option<(Span, Complaint)> {
    // Error texts are short; a long text is data.
    for line in text.lines().take(50) {
        let enters = line.contains("network namespace \"");
        let invalid = line.contains("Invalid argument");
        let complaint = if enters && invalid
            || line.contains("Peer netns reference is invalid")
            || program == "ip" && line.contains("RTNETLINK answers: Invalid argument")
        {
            Complaint::Stale
        } else if line.contains("Cannot open network namespace") && line.contains("No such file") {
            Complaint::Gone
        } else {
            continue;
        };
        return Some((Span::of(text, line), complaint));
    }
    None
}

fn cannot_enter(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    name: &Name,
    listed: Option<Evidence>,
    entered: bool,
    all: &[(Evidence, Complaint)],
) {
    let stale = all.iter().any(|it| it.1 == Complaint::Stale);
    // A name that was never listed was misspelt; one that other commands entered went away.
    if !stale && (listed.is_none() || entered) {
        out.clean();
        return;
    }
    let netns = Netns::Named(name.clone());
    let message = if stale {
        "the name is there and the namespace is gone: what should work inside does not"
    } else {
        "the list has the name and it cannot be opened: it went away meanwhile, or is not visible here"
    };
    let subject = ctx.subject_or(ctx.topology.find_netns(host, &netns), || Thing::Netns {
        netns: netns.clone(),
    });
    let finding = out.fire(host, subject, message);
    finding.netns = Some(netns.clone());
    for (evidence, _) in all.iter().take(4) {
        finding.primary(*evidence, "it cannot be entered");
    }
    if let Some(listed) = listed {
        finding.context(listed, "its name");
    }
    if !stale {
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    }
    advise(finding);
    finding.next(format!("ip netns del {name}   # then restart the agent, which makes it anew"));
}

fn list_complains(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, all: &[(Evidence, Complaint)]) {
    let Some((evidence, Complaint::Stale)) = all.first() else { return };
    let subject = ctx.host_subject(host);
    let message = "a name under /run/netns leads to no namespace; the list does not say which";
    let finding = out.fire(host, subject, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
    finding.primary(*evidence, "the tool's complaint");
    advise(finding);
}

fn advise(finding: &mut crate::lint::Finding) {
    finding.next("mount | grep netns");
    finding.next("lsns -t net");
}
