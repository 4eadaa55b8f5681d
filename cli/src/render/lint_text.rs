//! The report of `lint` for people.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use tapline_analysis::lint::{Confidence, Finding, Report};
use tapline_core::capture::{HostId, HostKey, Snapshot};
use tapline_core::span::SourceId;
use tapline_network::Network;
use tapline_topology::Topology;
use tapline_topology::coverage::Searched;

use super::about::About;
use super::escape::{shorten, visible};
use super::places::Places;
use super::source::{Mark, draw};
use super::{count, headline, severity_style, summary};
use crate::terminal::{Paint, Terminal, style};
use crate::{honesty, overview};

/// Pieces of evidence that are drawn for one finding.
const EVIDENCE: usize = 6;
/// Names and texts that are listed before `and N more`.
const NAMES: usize = 8;
/// Characters of a message, note or command.
const LONGEST: usize = 600;

/// Consequences that are named below their cause.
const CONSEQUENCES: usize = 5;

/// What is shown beside the roots.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shown<'a> {
    /// How the run was configured.
    pub(crate) about: &'a About,
    /// What follows from the roots.
    pub(crate) consequences: bool,
}

/// Writes the hosts and the roots in a line each, then the roots or all findings with what proves
/// them, then what was looked at and what could not be decided.
pub(crate) fn render(
    out: &mut impl Write,
    network: &Network<'_>,
    report: &Report,
    shown: Shown<'_>,
    terminal: &Terminal,
) -> io::Result<()> {
    let paint = terminal.stdout();
    let topology = network.topology;
    let snapshot = topology.snapshot;
    let places = Places::new(snapshot, terminal);
    let roots = overview::roots(report);
    if !terminal.quiet {
        headline::hosts(out, network, &roots, terminal)?;
        if !roots.is_empty() {
            writeln!(out, "\n{}", headline::verdict(report, shown.consequences, paint))?;
            headline::roots(out, snapshot, &roots, &places, terminal)?;
        }
        writeln!(out)?;
    }
    let by_fingerprint: BTreeMap<&str, &Finding> =
        report.findings.iter().map(|finding| (finding.fingerprint.as_str(), finding)).collect();
    // Consequences stand behind their root.
    let open = report.findings.iter().filter(|finding| finding.is_open());
    let told: Vec<&Finding> = if shown.consequences { open.collect() } else { roots };
    for it in told {
        finding(out, snapshot, it, &places, terminal)?;
        let named = |all: &mut dyn Iterator<Item = &String>| -> Vec<String> {
            all.filter_map(|it| by_fingerprint.get(it.as_str()))
                .map(|it| format!("{} {}", it.rule.code, it.subject.name))
                .collect()
        };
        let mut line = |name: &str, text: &str| {
            let text = shorten(text, LONGEST);
            writeln!(out, "   {} {}", paint.of(style::HINT, name), visible(&text))
        };
        let affected = affected(it);
        if !affected.is_empty() && it.is_root() {
            line("affects:", &affected)?;
        }
        if let [cause] = named(&mut it.explained_by.iter()).as_slice() {
            line("follows from:", cause)?;
            let others = named(&mut it.also_explained_by.iter());
            if !others.is_empty() {
                line("also follows from:", &first(&others, CONSEQUENCES))?;
            }
        } else if !it.explains.is_empty() {
            let names = named(&mut it.explains.iter());
            let names = first(&names, CONSEQUENCES);
            line(&format!("also explains {}:", it.explains.len()), &names)?;
        }
        writeln!(out)?;
    }
    if terminal.quiet {
        return Ok(());
    }
    let said = verdict(topology, report, shown.consequences, paint);
    writeln!(out, "{said}{}", hidden(report))?;
    known_by_name(out, snapshot, report, paint)?;
    if let Some(path) = &shown.about.path {
        writeln!(out, "{} {}", paint.of(style::STRONG, "configured by"), visible(path))?;
    }
    for it in shown.about.remarks() {
        writeln!(out, "{}", paint.of(style::WARNING, visible(&shorten(&it, LONGEST))))?;
    }
    summary::looked_at(out, topology, paint)?;
    if shown.consequences {
        summary::cannot_tell(out, snapshot, &report.cannot_tell, paint)?;
    }
    summary::not_read(out, snapshot, NAMES, paint)?;
    summary::reading(out, snapshot, &places, paint)?;
    summary::undecided(out, snapshot, report, paint)
}

/// `2 running VMs, 1 paused VM, 1 namespace`
fn affected(finding: &Finding) -> String {
    let halted = finding.blast.halted as usize;
    let running = (finding.blast.vms as usize).saturating_sub(halted);
    let namespaces = finding.blast.namespaces as usize;
    let mut parts = Vec::new();
    if running > 0 {
        parts.push(count(running, "running VM"));
    }
    if halted > 0 {
        parts.push(count(halted, "paused VM"));
    }
    if namespaces > 0 {
        parts.push(count(namespaces, "namespace"));
    }
    parts.join(", ")
}

/// `no faults found`, or how many of each severity are shown; first of all, that little was looked at.
pub(crate) fn verdict(topology: &Topology<'_>, report: &Report, all: bool, paint: Paint) -> String {
    let open = || report.findings.iter().filter(|finding| finding.is_open());
    let nothing = honesty::nothing_to_judge(topology, report)
        .map(|why| format!("{}: {why}", paint.of(style::WARNING, "nothing to judge")));
    if open().next().is_none() {
        if let Some(nothing) = nothing {
            return nothing;
        }
        let none =
            if report.findings.is_empty() { "no faults found" } else { "no new faults found" };
        if let Some(why) = honesty::hardly_read(topology.snapshot) {
            return format!(
                "{}: {why}; {none} in the rest",
                paint.of(style::WARNING, "read in part")
            );
        }
        if honesty::leaves_lines(topology.snapshot) {
            return format!("{} in what was read", paint.of(style::STRONG, none));
        }
        // What could not be decided is no fault, and not in order either.
        if !report.cannot_tell.is_empty() || honesty::has_failed(topology.snapshot) {
            return format!("{} in what was captured", paint.of(style::STRONG, none));
        }
        return paint.of(style::GOOD, none).to_string();
    }
    let mut text = headline::verdict(report, all, paint);
    // Findings about texts alone say nothing of a network.
    if let Some(nothing) = nothing
        && open().all(|finding| finding.rule.code.starts_with("CAP-"))
    {
        text = format!("{nothing}; {text}");
    }
    if let Some(why) = honesty::hardly_read(topology.snapshot) {
        text.push_str(&format!("; {}: {why}", paint.of(style::WARNING, "read in part")));
    }
    text
}

/// ` (2 suppressed, 3 in the baseline)`: findings that are not shown.
fn hidden(report: &Report) -> String {
    let suppressed = report.findings.iter().filter(|finding| finding.suppressed.is_some()).count();
    let before = |finding: &&Finding| finding.suppressed.is_none() && finding.baseline;
    let before = report.findings.iter().filter(before).count();
    let parts = [(suppressed, "suppressed"), (before, "in the baseline")];
    let parts = parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

/// Says which hosts a baseline knows by nothing but their names: another machine may be called so.
fn known_by_name(
    out: &mut impl Write,
    snapshot: &Snapshot,
    report: &Report,
    paint: Paint,
) -> io::Result<()> {
    let before = report.findings.iter().filter(|finding| finding.baseline);
    let hosts: BTreeSet<HostId> = before.map(|finding| finding.host).collect();
    let named = hosts.into_iter().filter_map(|host| snapshot.host(host));
    let named = named.filter(|host| matches!(host.key, HostKey::Named { .. }));
    let names: Vec<&str> = named.map(tapline_core::capture::Host::label).collect();
    if names.is_empty() {
        return Ok(());
    }
    writeln!(
        out,
        "{}: the baseline knows {} by its name alone: no machine-id was captured",
        paint.of(style::HINT, "hint"),
        visible(&first(&names, CONSEQUENCES)),
    )
}

fn finding(
    out: &mut impl Write,
    snapshot: &Snapshot,
    finding: &Finding,
    places: &Places,
    terminal: &Terminal,
) -> io::Result<()> {
    let paint = terminal.stdout();
    header(out, snapshot, finding, paint)?;
    let marked: Vec<_> = by_source(finding)
        .into_iter()
        .filter_map(|(source, marks)| Some((snapshot.source(source)?, marks)))
        .collect();
    write!(out, "{}", draw(&marked, places, terminal))?;
    let more = finding.evidence.len().saturating_sub(EVIDENCE);
    let mut line = |name: &str, text: &str| {
        let text = shorten(text, LONGEST);
        writeln!(out, "   {} {}", paint.of(style::HINT, name), visible(&text))
    };
    if more > 0 {
        line("evidence:", &format!("{} more with --format json", count(more, "place")))?;
    }
    for searched in &finding.searched {
        line("not found:", &absence(snapshot, searched))?;
    }
    if !finding.also.is_empty() {
        let names: Vec<&str> = finding.also.iter().map(|also| also.name.as_str()).collect();
        line("also:", &list(&names))?;
    }
    for note in &finding.notes {
        line("note:", note)?;
    }
    for command in &finding.next {
        line("next:", command)?;
    }
    Ok(())
}

/// `error[OVS-001] node2 · br-int/qvoe0f204ea-12: OVS could not open the device`, without the end of
/// the line, which belongs to the drawing.
fn header(
    out: &mut impl Write,
    snapshot: &Snapshot,
    finding: &Finding,
    paint: Paint,
) -> io::Result<()> {
    let colour = severity_style(finding.severity);
    let host = snapshot.host(finding.host).map_or("", |host| host.label());
    let netns = finding.netns.as_ref().and_then(|netns| netns.name());
    let netns = netns.filter(|netns| !finding.subject.name.contains(netns));
    let netns = netns.map_or(String::new(), |netns| format!("{netns}/"));
    let sure = match finding.confidence {
        Confidence::Proven => String::new(),
        less => format!(" ({less})"),
    };
    let code = format!("{}[{}]", finding.severity, finding.rule.code);
    write!(
        out,
        "{} {}: {}{}",
        paint.of(colour, code),
        visible(&format!("{host} · {netns}{}", finding.subject.name)),
        paint.of(style::STRONG, visible(&shorten(&finding.message, LONGEST))),
        paint.of(style::FAINT, sure),
    )
}

/// The evidence by source; sources in the order in which they are first cited.
fn by_source(finding: &Finding) -> Vec<(SourceId, Vec<Mark<'_>>)> {
    let mut order: BTreeMap<SourceId, usize> = BTreeMap::new();
    let mut groups: Vec<(SourceId, Vec<Mark<'_>>)> = Vec::new();
    for cited in finding.evidence.iter().take(EVIDENCE) {
        let source = cited.evidence.source;
        let mark = Mark { span: cited.evidence.span, label: &cited.label };
        let at = *order.entry(source).or_insert(groups.len());
        match groups.get_mut(at) {
            Some((_, marks)) => marks.push(mark),
            None => groups.push((source, vec![mark])),
        }
    }
    groups
}

/// `qvo1, qvb1 in ip_-d_address (84 links) and 3 namespaces`
fn absence(snapshot: &Snapshot, searched: &Searched) -> String {
    let mut texts = Vec::new();
    let mut inside = 0;
    for &(id, records) in &searched.sources {
        let Some(source) = snapshot.source(id) else { continue };
        if !source.netns.is_root() {
            inside += 1;
            continue;
        }
        let file = source.member.rsplit('/').next().filter(|rsplit| !rsplit.is_empty());
        let name = file.map_or_else(|| source.command.to_string(), str::to_owned);
        let kind = snapshot.reading(id).map_or("record", |reading| reading.records.kind());
        texts.push(format!("{name} ({})", count(records, noun(kind))));
    }
    let namespaces = searched.namespaces.max(usize::from(inside > 0));
    let mut places = list(&texts);
    if namespaces > 0 {
        if !places.is_empty() {
            places.push_str(" and ");
        }
        places.push_str(&count(namespaces, "namespace"));
    }
    format!("{} in {places}", list(&searched.keys))
}

/// What to call the records of a kind.
fn noun(kind: &str) -> &str {
    match kind {
        "ovs" => "row",
        "nothing" => "record",
        "netns" => "namespace",
        "domain-state" => "domain",
        "fdb" => "entry",
        kind => kind,
    }
}

/// `a, b, c and 4 more`
fn list<T: AsRef<str>>(names: &[T]) -> String {
    first(names, NAMES)
}

/// The first `most` names and how many more there are.
fn first<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let mut text = names.iter().take(most).map(T::as_ref).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::fixture::{at, snapshot};
    use tapline_analysis::lint::{
        self, Check, Ctx, Rule, Settings, Severity, Subject, Traits, Verdicts,
    };
    use tapline_network::environment::Environment;
    use tapline_topology::Thing;

    const fn rule(check: fn(&Ctx<'_>, &mut Verdicts)) -> Rule {
        Rule {
            code: Cow::Borrowed("OVS-001"),
            id: Cow::Borrowed("ovs-iface-error"),
            summary: Cow::Borrowed("OVS could not make the interface"),
            severity: Severity::Error,
            confidence: Confidence::Proven,
            page: Cow::Borrowed(""),
            traits: Traits::NONE,
            check: Check::BuiltIn(check),
        }
    }

    fn fire<'a>(out: &'a mut Verdicts, name: &str) -> &'a mut Finding {
        let thing = Thing::OvsInterface { name: name.into() };
        out.fire(HostId(0), Subject::absent(thing), "OVS could not open the device")
    }

    const BRIDGES: &str = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n\
        qbr85bcbfb0-bc\t\t8000.c67808b20c2e\tno\t\tqvb85bcbfb0-bc\n\t\t\t\t\t\t\ttap85bcbfb0-bc\n";
    const SHOW: &str = "4ece5774-21aa-4ff6-8e7e-343983396eee\n    Bridge br-int\n        \
        Port \"qvoe0f204ea-12\"\n            tag: 4095\n            Interface \"qvoe0f204ea-12\"\n                \
        error: \"could not open network device qvoe0f204ea-12 (No such device)\"\n";

    fn shown(rule: &'static Rule) -> String {
        let snapshot = snapshot(&[
            ("sos_commands/networking/brctl_show", "brctl show", BRIDGES),
            ("sos_commands/openvswitch/ovs-vsctl_-t_5_show", "ovs-vsctl show", SHOW),
        ]);
        let topology = tapline_topology::build(&snapshot);
        let report = lint::run(&topology, [rule], &Settings::default());
        let mut out = Vec::new();
        let terminal = Terminal { quiet: true, ..Terminal::plain() };
        let shown = Shown { about: &About::default(), consequences: false };
        let environment = Environment::default();
        let network = Network::new(&topology, None, &environment);
        render(&mut out, &network, &report, shown, &terminal).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_finding_names_the_object_and_quotes_the_line() {
        static RULE: Rule = rule(|ctx, out| {
            let snapshot = ctx.topology.snapshot;
            let error = "could not open network device qvoe0f204ea-12 (No such device)";
            fire(out, "br-int/qvoe0f204ea-12")
                .primary(at(snapshot, 1, error), "reported here")
                .context(at(snapshot, 1, "4095"), "dead VLAN")
                .absent(Searched {
                    keys: vec!["qvoe0f204ea-12".into()],
                    sources: vec![(SourceId(0), 1)],
                    namespaces: 3,
                })
                .note("the port keeps its tag")
                .next("ovs-vsctl list interface qvoe0f204ea-12");
        });
        insta::assert_snapshot!(shown(&RULE), @r#"
        error[OVS-001] node2 · br-int/qvoe0f204ea-12: OVS could not open the device
           ╭─[node2.tar.xz!sos_commands/openvswitch/ovs-vsctl_-t_5_show:6:25]
         4 │             tag: 4095
           ·                  ──┬─
           ·                    ╰── dead VLAN
         5 │             Interface "qvoe0f204ea-12"
         6 │                 error: "could not open network device qvoe0f204ea-12 (No such device)"
           ·                         ──────────────────────────────┬──────────────────────────────
           ·                                                       ╰── reported here
           ╰────
           not found: qvoe0f204ea-12 in brctl_show (1 bridge) and 3 namespaces
           note: the port keeps its tag
           next: ovs-vsctl list interface qvoe0f204ea-12
        "#);
    }

    #[test]
    fn escape_sequences_of_a_capture_do_not_reach_the_terminal() {
        static RULE: Rule = rule(|_, out| {
            fire(out, "br-int/\x1b[31mred").note("bell \x07").next("echo \x1b]0;title\x07");
        });
        let text = shown(&RULE);
        assert!(!text.contains(['\x1b', '\x07']), "{text:?}");
    }
}
