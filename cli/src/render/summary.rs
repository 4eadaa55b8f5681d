//! What was looked at and what was not decided: the end of every report for people.
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use tapline_analysis::lint::{CannotTell, Report, rules};
use tapline_core::capture::{Host, HostId, LeftOut, Snapshot};
use tapline_core::ids::Netns;
use tapline_core::need::{Need, quote};
use tapline_core::outcome::ProblemKind;
use tapline_core::span::SourceId;
use tapline_topology::{Coverage, NodeData, Topology};

use super::escape::{shorten, visible};
use super::places::Places;
use super::{count, problems};
use crate::gap::{self, Gap};
use crate::terminal::{Paint, style};

/// Commands that are listed before `and N more`.
const COMMANDS: usize = 3;
/// Stands for each of several namespaces.
pub(crate) const ANY_NETNS: &str = "NETNS";
/// Problems that are shown.
const PROBLEMS: usize = 3;
/// Lines on what could not be decided.
const UNDECIDED: usize = 24;
/// Hosts that are named.
const HOSTS: usize = 4;
/// Characters of inputs that are repeated.
const INPUTS: usize = 60;

/// `looked at: node2: 14 texts (1 failed), 412 records; 3 VMs, 84 devices in 4 namespaces, …`
pub(crate) fn looked_at(
    out: &mut impl Write,
    topology: &Topology<'_>,
    paint: Paint,
) -> io::Result<()> {
    let snapshot = topology.snapshot;
    let hosts: Vec<_> = snapshot.captured.hosts.iter().map(Host::label).collect();
    let (mut texts, mut unclaimed, mut records) = (0, 0, 0);
    for (source, reading) in snapshot.iter() {
        if source.format.is_none() {
            unclaimed += 1;
            continue;
        }
        texts += 1;
        records += reading.records.len();
    }
    let hosts = match hosts.as_slice() {
        few if few.len() <= HOSTS => few.join(", "),
        many => count(many.len(), "host"),
    };
    let mut aside = Vec::new();
    let failed = unanswered(topology);
    if failed > 0 {
        aside.push(format!("{failed} of them errors in place of an answer"));
    }
    if unclaimed > 0 {
        aside.push(format!("{unclaimed} more of no known format"));
    }
    let aside = if aside.is_empty() { String::new() } else { format!(" ({})", aside.join(", ")) };
    writeln!(
        out,
        "{} {}: {}{aside}, {}; {}",
        paint.of(style::STRONG, "looked at"),
        visible(&hosts),
        count(texts, "text"),
        count(records, "record"),
        objects(topology),
    )?;
    for captures in topology.machines.repeated() {
        writeln!(out, "{}", visible(&one_machine(topology, captures)))?;
    }
    let hosts = topology.snapshot.captured.hosts.iter();
    for host in hosts.filter(|host| !host.may_be.is_empty()).take(HOSTS) {
        writeln!(out, "{}", visible(&of_several(host)))?;
    }
    Ok(())
}

/// Texts that are error messages where nothing else answers what was asked. Others cost nothing: most
/// devices have no statistics of their driver, and say so.
fn unanswered(topology: &Topology<'_>) -> usize {
    let hosts = (0..).map(HostId).take(topology.snapshot.captured.hosts.len());
    let answers = hosts.flat_map(|host| topology.coverage.host(host));
    let failed: BTreeSet<SourceId> = answers
        .filter_map(|(_, _, coverage)| match coverage {
            Coverage::Failed { source, .. } => Some(*source),
            _ => None,
        })
        .collect();
    failed.len()
}

/// `node2 @ 2026-11-20 10:00 and node2 @ 2026-11-22 13:06 are one machine: each is judged for itself`
fn one_machine(topology: &Topology<'_>, captures: &[HostId]) -> String {
    let names: Vec<&str> =
        captures.iter().map(|host| topology.snapshot.host_label(*host)).collect();
    let shown: Vec<&str> = match names.as_slice() {
        few if few.len() <= HOSTS => few.to_vec(),
        [first, .., last] => vec![first, "…", last],
        few => few.to_vec(),
    };
    let (last, rest) = shown.split_last().unwrap_or((&"", &[]));
    format!(
        "{} and {last} are one machine: each is judged for itself, other hosts are compared with \
         the newest",
        rest.join(", ")
    )
}

/// `localhost (b) may be of localhost (a) or localhost (c): it is joined with none of them`
fn of_several(host: &Host) -> String {
    let may_be: Vec<&str> = host.may_be.iter().map(String::as_str).collect();
    let shown = match may_be.as_slice() {
        few if few.len() <= HOSTS => few.join(" or "),
        [first, .., last] => format!("{first} … {last}"),
        few => few.join(" or "),
    };
    format!(
        "{} may be of {shown}: it is joined with none of them; tapline lint --host NAME with the inputs \
         of one host joins these",
        host.label()
    )
}

/// `3 VMs, 84 devices in 4 namespaces, 5 OVS bridges with 31 ports`
fn objects(topology: &Topology<'_>) -> String {
    let (mut vms, mut devices, mut netns, mut bridges, mut ports) = (0, 0, 0, 0, 0);
    for (_, node) in topology.nodes() {
        match &node.data {
            NodeData::Vm(_) => vms += 1,
            NodeData::Netdev(it) if !it.stub => devices += 1,
            NodeData::Netns(_) => netns += 1,
            NodeData::OvsBridge(_) => bridges += 1,
            NodeData::OvsPort(_) => ports += 1,
            _ => {}
        }
    }
    let mut parts = Vec::new();
    if vms > 0 {
        parts.push(count(vms, "VM"));
    }
    parts.push(match netns {
        0 => count(devices, "device"),
        _ => format!("{} in {}", count(devices, "device"), count(netns, "namespace")),
    });
    if bridges > 0 {
        parts.push(format!("{} with {}", count(bridges, "OVS bridge"), count(ports, "port")));
    }
    parts.join(", ")
}

/// What rules could not decide, one line a rule, with the commands that would.
pub(crate) fn cannot_tell(
    out: &mut impl Write,
    snapshot: &Snapshot,
    all: &[CannotTell],
    paint: Paint,
) -> io::Result<()> {
    if all.is_empty() {
        return Ok(());
    }
    // By rule and by the commands that would decide: hosts that lack the same share a line.
    let mut by_host: BTreeMap<(&str, u32), (u32, Vec<&Need>)> = BTreeMap::new();
    for it in all {
        let (count, missing) = by_host.entry((&*it.code, it.host.0)).or_default();
        *count += it.count;
        missing.extend(&it.missing);
    }
    let mut by_rule: BTreeMap<(&str, String), (u32, Vec<&str>)> = BTreeMap::new();
    for ((code, host), (objects, missing)) in by_host {
        let (count, hosts) = by_rule.entry((code, commands(missing))).or_default();
        *count += objects;
        hosts.extend(snapshot.captured.hosts.get(host as usize).map(Host::label));
    }
    writeln!(out, "{}", paint.of(style::STRONG, "could not tell"))?;
    for ((code, missing), (objects, hosts)) in by_rule.iter().take(UNDECIDED) {
        let id = rules::ALL
            .iter()
            .find(|rule| rule.code == *code)
            .map_or("(own rule)", |rule| &*rule.id);
        let on = match hosts.as_slice() {
            _ if snapshot.captured.hosts.len() < 2 => String::new(),
            few if few.len() <= HOSTS => format!(" on {}", few.join(", ")),
            many => format!(" on {}", count(many.len(), "host")),
        };
        writeln!(
            out,
            "  {code} {id}: {}{}; to decide, run: {}",
            count(*objects as usize, "object"),
            visible(&on),
            visible(missing),
        )?;
    }
    if by_rule.len() > UNDECIDED {
        writeln!(out, "  and {} more with --format json", by_rule.len() - UNDECIDED)?;
    }
    Ok(())
}

/// `could not decide 12 questions of 5 rules; ovs-vsctl list port and 3 more commands would decide:
/// tapline coverage node2/`
pub(crate) fn undecided(
    out: &mut impl Write,
    snapshot: &Snapshot,
    report: &Report,
    paint: Paint,
) -> io::Result<()> {
    let questions = report.cannot_tell.iter().fold(0, |sum: u32, it| sum.saturating_add(it.count));
    if questions == 0 {
        return Ok(());
    }
    let mut rules: Vec<&str> = report.cannot_tell.iter().map(|tell| &*tell.code).collect();
    rules.dedup();
    let gaps = gap::gaps(report);
    let steps = gaps.iter().flat_map(|gap| &gap.steps);
    let first = steps.reduce(|best, it| if it.questions() > best.questions() { it } else { best });
    let beyond = gaps.iter().flat_map(|gap| &gap.beyond).next();
    let commands_left = Gap::sum(&gaps).0;
    let tells = match (first, beyond) {
        (Some(step), _) => {
            let typed = step.commands();
            let first = commands(&typed);
            match commands_left.saturating_sub(step.asks.len()) {
                0 => first,
                more => format!("{first} and {}", count(more, "more command")),
            }
        }
        (None, Some(step)) => {
            let typed = step.commands();
            commands(&typed)
        }
        (None, None) => "nothing that tapline reads".to_owned(),
    };
    let mut inputs: Vec<_> = snapshot.captured.inputs.iter().map(|input| &input.archive).collect();
    inputs.dedup();
    let shown = match inputs.as_slice() {
        // What came in by a pipe is gone.
        few if few.iter().any(|few| **few == "-") => String::new(),
        few if few.len() <= HOSTS => few.iter().map(|few| quote(few)).collect::<Vec<_>>().join(" "),
        _ => String::new(),
    };
    // Whoever reads it typed the inputs a moment ago.
    let repeats = !shown.is_empty() && shown.chars().count() <= INPUTS;
    let shown = if repeats { shown } else { "with the same inputs".to_owned() };
    writeln!(
        out,
        "{} {} of {}; {} would decide: tapline coverage {}",
        paint.of(style::STRONG, "could not decide"),
        count(questions as usize, "question"),
        count(rules.len(), "rule"),
        visible(&tells),
        visible(&shown),
    )
}

/// `ip -d address, ip netns exec NETNS ip route (in 4 namespaces) and 2 more`: the same command
/// in several namespaces is listed once.
pub(crate) fn commands<'a>(all: impl IntoIterator<Item = &'a Need>) -> String {
    let mut plain: BTreeSet<&Need> = BTreeSet::new();
    let mut inside: BTreeMap<Need, BTreeSet<&Need>> = BTreeMap::new();
    for need in all {
        if let Some(name) = need.netns().name() {
            // `docker:web` is entered by another command than `lxc:c1`.
            let any = match name.split_once(':') {
                Some((tool, _)) if !need.netns().is_kept_by_ip() => format!("{tool}:{ANY_NETNS}"),
                _ => ANY_NETNS.to_owned(),
            };
            let any = need.clone().within(&Netns::Named(any.into()));
            inside.entry(any).or_default().insert(need);
        } else {
            plain.insert(need);
        }
    }
    let mut shown: Vec<String> = plain.into_iter().map(Need::to_string).collect();
    for (any, needs) in inside {
        shown.push(match (needs.first(), needs.len()) {
            (Some(only), 1) => only.to_string(),
            (_, many) => format!("{any} (in {many} namespaces)"),
        });
    }
    if shown.is_empty() {
        return "nothing that tapline reads".to_owned();
    }
    let more = shown.len().saturating_sub(COMMANDS);
    shown.truncate(COMMANDS);
    let list = shown.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

/// What of the input was not used: files, archives, commands of sessions with their lines.
pub(crate) fn not_read(
    out: &mut impl Write,
    snapshot: &Snapshot,
    most: usize,
    paint: Paint,
) -> io::Result<()> {
    let (commands, files): (Vec<_>, Vec<_>) =
        snapshot.captured.left_out.iter().partition(|pair| pair.command.is_some());
    let file = |it: &&LeftOut| {
        let name = if it.member.is_empty() { &it.archive } else { &it.member };
        match it.what.as_str() {
            "text" => name.to_string(),
            what => format!("{name}: {what}"),
        }
    };
    let command = |it: &&LeftOut| {
        let line = it.line.unwrap_or_default();
        format!("`{}` (line {line})", it.command.as_deref().unwrap_or_default())
    };
    let files: Vec<String> = files.iter().map(file).collect();
    let commands: Vec<String> = commands.iter().map(command).collect();
    for (what, names) in [("file", files), ("command", commands)] {
        if names.is_empty() {
            continue;
        }
        let more = names.len().saturating_sub(most);
        let width = if more > 0 { 60 } else { 200 };
        let shown: Vec<_> = names.iter().take(most).map(|name| shorten(name, width)).collect();
        let mut list = shown.join(", ");
        if more > 0 {
            list.push_str(&format!(" and {more} more"));
        }
        writeln!(
            out,
            "{} {}: {}",
            paint.of(style::STRONG, "not read"),
            count(names.len(), what),
            visible(&list),
        )?;
    }
    Ok(())
}

/// How many lines were not understood, and the first few.
pub(crate) fn reading(
    out: &mut impl Write,
    snapshot: &Snapshot,
    places: &Places,
    paint: Paint,
) -> io::Result<()> {
    // What a tool complained of is listed as a failed or partial capture.
    let all = || problems::all(snapshot).filter(|it| it.kind != ProblemKind::ToolError.as_str());
    let total = all().count();
    if total == 0 {
        return Ok(());
    }
    writeln!(
        out,
        "{} {} (`tapline records` lists them)",
        paint.of(style::STRONG, "while reading"),
        count(total, "problem"),
    )?;
    for problem in all().take(PROBLEMS) {
        let place = places.path(problem.archive, problem.member);
        let line = problem.line.map_or(String::new(), |line| format!(":{line}"));
        write!(out, "  {}{line}: {}", visible(&place), visible(&shorten(problem.message, 200)))?;
        let quoted = shorten(problem.text.trim(), 80);
        if quoted.is_empty() {
            writeln!(out)?;
        } else {
            writeln!(out, ": {}", paint.of(style::FAINT, visible(&quoted)))?;
        }
    }
    if total > PROBLEMS {
        writeln!(out, "  and {} more", total - PROBLEMS)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_command_in_many_namespaces_is_told_once() {
        let rules = |netns: &str| match netns {
            "" => Need::command("ip rule"),
            name => Need::command("ip rule").within(&Netns::Named(name.into())),
        };
        let all = ["", "a", "blue ns", ""].map(rules);
        assert_eq!(commands(&all), "ip rule, ip netns exec NETNS ip rule (in 2 namespaces)");
        assert_eq!(commands(&[rules("blue ns")]), "ip netns exec 'blue ns' ip rule");
        let many = ["e", "d", "c", "b", "a"].map(Need::command);
        assert_eq!(commands(&many), "a, b, c and 2 more");
    }
}
