//! What a ticket asks for first: the hosts in a line each, then the roots in a line each.
use std::io::{self, Write};

use tapline_analysis::lint::{Finding, Report, Severity};
use tapline_core::capture::Snapshot;
use tapline_network::Network;

use super::escape::{shorten, visible};
use super::places::Places;
use super::{count, severity_style};
use crate::overview::{self, Headline};
use crate::terminal::{Paint, Terminal, style};

/// Hosts that have a line of their own.
const HOSTS: usize = 8;
/// Hosts that are named of those alike.
const NAMES: usize = 4;
/// Roots that have a line.
const ROOTS: usize = 24;
/// Characters of a message where nothing else limits it.
const LONGEST: usize = 300;
/// Characters of a message that are left where the line is too short for all.
const SHORTEST: usize = 40;
/// Characters of a place.
const PLACE: usize = 32;

/// Writes the hosts; of many, those alike in one line and those with roots first.
pub(crate) fn hosts(
    out: &mut impl Write,
    network: &Network<'_>,
    roots: &[&Finding],
    terminal: &Terminal,
) -> io::Result<()> {
    let paint = terminal.stdout();
    let mut groups: Vec<(bool, Vec<String>, String)> = Vec::new();
    let all: Vec<_> = network.hosts().collect();
    let many = all.len() > HOSTS;
    for &id in &all {
        let headline = overview::headline(network, id);
        let facts = facts(&headline).join(" · ");
        let is_broken = roots.iter().any(|root| root.host == id);
        let alike = groups
            .iter_mut()
            .find(|(broken, _, other)| many && (*broken, other) == (is_broken, &facts));
        match alike {
            Some((_, names, _)) => names.push(headline.host),
            None => groups.push((is_broken, vec![headline.host], facts)),
        }
    }
    if many {
        groups.sort_by_key(|(is_broken, ..)| !is_broken);
    }
    for (_, names, facts) in groups.iter().take(HOSTS) {
        let called = match names.as_slice() {
            [only] => only.clone(),
            several => {
                let first = several.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
                let more = several.len().saturating_sub(NAMES);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!("{} ({first}{more})", count(several.len(), "host"))
            }
        };
        writeln!(out, "{}: {}", paint.of(style::STRONG, visible(&called)), visible(facts))?;
    }
    let left = groups.iter().skip(HOSTS).map(|(_, names, _)| names.len()).sum();
    if left > 0 {
        writeln!(out, "and {} (tapline info tells of each)", count(left, "more host"))?;
    }
    Ok(())
}

/// What is known of a host, a few words each.
pub(crate) fn facts(headline: &Headline) -> Vec<String> {
    let mut facts = Vec::new();
    facts.push(match &headline.captured {
        Some(captured) => format!("captured {captured} UTC"),
        None => "time of the capture not known".to_owned(),
    });
    let roles: Vec<&str> = headline.roles.roles.iter().map(|role| role.name).collect();
    if !roles.is_empty() {
        facts.push(roles.join(", "));
    }
    facts.extend(headline.os.as_ref().map(|os| os.value.clone()));
    facts.extend(headline.kernel.as_ref().map(|kernel| format!("kernel {}", kernel.value)));
    facts.extend(headline.ovs.as_ref().map(|ovs| format!("OVS {}", ovs.value)));
    facts.extend(vms(headline));
    facts
}

/// `5 VMs: 4 running, 1 shut off`
pub(crate) fn vms(headline: &Headline) -> Option<String> {
    let all: usize = headline.vm_states.values().sum();
    let mut states: Vec<(&String, &usize)> = headline.vm_states.iter().collect();
    states.sort_by_key(|(state, count)| (std::cmp::Reverse(**count), *state));
    let states: Vec<String> = states.iter().map(|(state, n)| format!("{n} {state}")).collect();
    (all > 0).then(|| format!("{}: {}", count(all, "VM"), states.join(", ")))
}

/// Writes the roots, the most important first.
pub(crate) fn roots(
    out: &mut impl Write,
    snapshot: &Snapshot,
    roots: &[&Finding],
    places: &Places,
    terminal: &Terminal,
) -> io::Result<()> {
    let code = |root: &&&Finding| root.rule.code.chars().count();
    let codes = roots.iter().take(ROOTS).map(|root| code(&root)).max().unwrap_or(0);
    for root in roots.iter().take(ROOTS) {
        writeln!(out, "{}", row(snapshot, root, codes, places, terminal))?;
    }
    if roots.len() > ROOTS {
        let more = roots.len() - ROOTS;
        writeln!(out, "  and {more} more below (--format concise: one line each)")?;
    }
    Ok(())
}

/// `E TUN-001 br-tun/vxlan-0a0a1401: no device has the tunnel source …  2 VMs  ovs-vsctl_show:16`
fn row(
    snapshot: &Snapshot,
    finding: &Finding,
    codes: usize,
    places: &Places,
    terminal: &Terminal,
) -> String {
    let paint = terminal.stdout();
    let mark = match finding.severity {
        Severity::Error => "E",
        Severity::Warning => "W",
        Severity::Info => "I",
    };
    let code = format!("{:codes$}", finding.rule.code);
    let several = snapshot.captured.hosts.len() > 1;
    let host =
        if several { format!("{} · ", snapshot.host_label(finding.host)) } else { String::new() };
    let object = format!("{host}{}", overview::object(finding));
    let affects = affects(finding);
    let proof = overview::first_place(snapshot, finding);
    let place = proof.and_then(|at| places.brief(snapshot, at)).unwrap_or_default();
    let place = keep_end(&place, PLACE);
    let tail: Vec<&str> =
        [affects.as_str(), place.as_str()].into_iter().filter(|part| !part.is_empty()).collect();
    let tail = tail.join("  ");
    let long = |text: &str| text.chars().count();
    // Of a line that goes elsewhere nothing is cut: it can be searched.
    let message = if terminal.is_one {
        let used = 2 + codes + 1 + long(&object) + 2 + 2 + long(&tail);
        let left = terminal.width.saturating_sub(used).max(SHORTEST);
        shorten(&finding.message, left.saturating_sub(1))
    } else {
        shorten(&finding.message, LONGEST)
    };
    let linked = match proof.and_then(|at| snapshot.source(at.source)) {
        Some(source) => places.link(&source.archive, &source.member, &visible(&place)),
        None => visible(&place).into_owned(),
    };
    let mut text = format!(
        "{} {}: {}",
        paint.of(severity_style(finding.severity), format!("{mark} {code}")),
        visible(&object),
        visible(&message),
    );
    if !affects.is_empty() {
        text.push_str(&format!("  {}", paint.of(style::STRONG, &affects)));
    }
    if !place.is_empty() {
        text.push_str(&format!("  {}", paint.of(style::FAINT, linked)));
    }
    text
}

/// The end of a text that is too long: names of files begin alike.
fn keep_end(text: &str, most: usize) -> String {
    let long = text.chars().count();
    if long <= most {
        return text.to_owned();
    }
    let end: String = text.chars().skip(long + 1 - most).collect();
    format!("…{end}")
}

/// `3 VMs, 5 namespaces`: what hangs on what is at fault.
pub(crate) fn affects(finding: &Finding) -> String {
    if !finding.is_root() {
        return String::new();
    }
    let parts = [(finding.blast.vms, "VM"), (finding.blast.namespaces, "namespace")];
    let parts = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| count(n as usize, what));
    parts.collect::<Vec<_>>().join(", ")
}

/// `9 errors, 4 warnings (6 more follow from them: --all)`: counts of what is shown.
pub(crate) fn verdict(report: &Report, all: bool, paint: Paint) -> String {
    let open: Vec<&Finding> = report.findings.iter().filter(|finding| finding.is_open()).collect();
    let roots = overview::roots(report);
    let shown = if all { &open } else { &roots };
    let counted = counts(shown);
    let painted = counted
        .iter()
        .map(|(severity, text)| paint.of(severity_style(*severity), text).to_string());
    let mut text = painted.collect::<Vec<_>>().join(", ");
    let follow = open.len().saturating_sub(roots.len());
    if follow > 0 && all {
        text.push_str(&format!(" from {}", count(roots.len(), "cause")));
    } else if follow > 0 {
        let verb = if follow == 1 { "follows" } else { "follow" };
        let them = if roots.len() == 1 { "it" } else { "them" };
        text.push_str(&format!(" ({follow} more {verb} from {them}: --all)"));
    }
    text
}

/// How many findings of each severity, in words.
fn counts(shown: &[&Finding]) -> Vec<(Severity, String)> {
    [Severity::Error, Severity::Warning, Severity::Info]
        .into_iter()
        .filter_map(|severity| {
            let n = shown.iter().filter(|finding| finding.severity == severity).count();
            let text = match severity {
                Severity::Error => count(n, "error"),
                Severity::Warning => count(n, "warning"),
                Severity::Info => format!("{n} info"),
            };
            (n > 0).then_some((severity, text))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_place_stays() {
        assert_eq!(keep_end("ovs-vsctl_show:16", 20), "ovs-vsctl_show:16");
        assert_eq!(keep_end("ovs-vsctl_show:16", 8), "…show:16");
    }
}
