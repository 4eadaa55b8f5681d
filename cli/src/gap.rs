//! What to capture next: the commands that would decide open questions, most valuable first.
//!
//! A question is one object about which one rule could not tell. The same command in many
//! namespaces, or of many domains, is one [`Ask`]: it is one line to paste.
use std::collections::{BTreeMap, BTreeSet};

use tapline_analysis::lint::{CannotTell, Report};
use tapline_capture::saved_as;
use tapline_core::capture::{Command, HostId};
use tapline_core::need::quote;
use tapline_formats::registry;

/// Names that a loop lists; of more it asks the host.
const LISTED: usize = 16;

/// A command, wherever it is to be run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Ask {
    /// On the host.
    Host(String),
    /// In namespaces.
    Namespaces(String),
    /// `virsh dumpxml` of domains.
    Domains,
    /// `ethtool`, perhaps with an option, of all NICs.
    Nics(String),
}

impl Ask {
    /// The command, and the namespace or the domain that it is about.
    fn of(command: &str) -> (Self, Option<&str>) {
        if let Some((netns, inner)) =
            command.strip_prefix("ip netns exec ").and_then(|it| it.split_once(' '))
        {
            return (Self::Namespaces(inner.to_owned()), Some(netns));
        }
        if let Some(tool) = command.strip_suffix(" NIC").filter(|it| it.starts_with("ethtool")) {
            return (Self::Nics(tool.to_owned()), None);
        }
        match command.strip_prefix("virsh dumpxml ") {
            Some("DOMAIN") => (Self::Domains, None),
            Some(domain) => (Self::Domains, Some(domain)),
            None => (Self::Host(command.to_owned()), None),
        }
    }

    /// Whether tapline reads what it prints.
    fn is_read(&self) -> bool {
        let inner = match self {
            Self::Domains | Self::Nics(_) => return true,
            Self::Namespaces(inner) => inner,
            Self::Host(command) => {
                command.strip_prefix("nsenter --net --target PID ").unwrap_or(command)
            }
        };
        registry::by_command(&Command::new(inner)).is_some()
    }
}

/// Some commands, and what they decide together with those of the steps before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// The commands, each with the namespaces or domains it is to be asked of.
    pub(crate) asks: BTreeMap<Ask, BTreeSet<String>>,
    /// The rules that become decided, each with how many objects.
    pub(crate) rules: BTreeMap<&'static str, u32>,
}

impl Step {
    /// How many questions it decides.
    pub(crate) fn questions(&self) -> u32 {
        self.rules.values().fold(0, |sum, it| sum.saturating_add(*it))
    }

    /// The commands as they are typed, each namespace and domain for itself.
    pub(crate) fn commands(&self) -> Vec<String> {
        let each = self.asks.iter().flat_map(|(ask, names)| match ask {
            Ask::Host(command) => vec![command.clone()],
            Ask::Namespaces(inner) => {
                names.iter().map(|it| format!("ip netns exec {it} {inner}")).collect()
            }
            Ask::Nics(tool) => vec![format!("{tool} NIC")],
            Ask::Domains if names.is_empty() => vec!["virsh dumpxml DOMAIN".to_owned()],
            Ask::Domains => names.iter().map(|it| format!("virsh dumpxml {it}")).collect(),
        });
        each.collect()
    }

    /// Lines of shell that run the commands and save each under the name that tells what it is.
    pub(crate) fn shell(&self) -> Vec<String> {
        self.asks.iter().flat_map(|(ask, names)| shell(ask, names)).collect()
    }
}

/// What is open on one host.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Gap {
    pub(crate) host: HostId,
    /// What to capture, most valuable first.
    pub(crate) steps: Vec<Step>,
    /// What tapline cannot be told by a capture of the host: people have to look.
    pub(crate) beyond: Vec<Step>,
}

impl Gap {
    /// How many commands of the host to capture, and how many questions that decides. The same
    /// command in several namespaces counts once.
    pub(crate) fn sum(all: &[Self]) -> (usize, u32) {
        let steps = || all.iter().flat_map(|it| &it.steps);
        let commands = steps().map(|it| it.asks.len()).sum();
        (commands, steps().fold(0, |sum, it| sum.saturating_add(it.questions())))
    }
}

/// The gaps of all hosts that have one.
pub(crate) fn gaps(report: &Report) -> Vec<Gap> {
    let mut hosts: BTreeMap<HostId, Vec<&CannotTell>> = BTreeMap::new();
    for it in report.cannot_tell.iter().filter(|it| !it.missing.is_empty()) {
        hosts.entry(it.host).or_default().push(it);
    }
    hosts.into_iter().map(|(host, open)| gap(host, &open)).collect()
}

/// Orders what one host lacks.
pub(crate) fn gap(host: HostId, open: &[&CannotTell]) -> Gap {
    // Questions that need the same commands stand and fall together.
    let mut groups: BTreeMap<BTreeSet<Ask>, Step> = BTreeMap::new();
    for it in open {
        let mut asks: BTreeMap<Ask, BTreeSet<String>> = BTreeMap::new();
        for command in &it.missing {
            let (ask, name) = Ask::of(command);
            asks.entry(ask).or_default().extend(name.map(str::to_owned));
        }
        let key: BTreeSet<Ask> = asks.keys().cloned().collect();
        let empty = || Step { asks: BTreeMap::new(), rules: BTreeMap::new() };
        add(groups.entry(key).or_insert_with(empty), asks, &[(it.code, it.count)]);
    }
    let (beyond, mut groups): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|(key, _)| !key.iter().all(Ask::is_read));
    let mut steps: Vec<Step> = Vec::new();
    let mut chosen: BTreeSet<Ask> = BTreeSet::new();
    while let Some(best) = best(&groups, &chosen) {
        let (key, mut step) = groups.remove(best);
        chosen.extend(key);
        // What needs no further command is decided by the way.
        let (closed, rest): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(key, _)| key.is_subset(&chosen));
        groups = rest;
        for (_, it) in closed {
            let rules: Vec<_> = it.rules.into_iter().collect();
            add(&mut step, it.asks, &rules);
        }
        // A command that an earlier step asks for is not asked for again, but for further names.
        for (ask, names) in &mut step.asks {
            let before = steps.iter().filter_map(|it| it.asks.get(ask));
            for it in before {
                names.retain(|name| !it.contains(name));
            }
        }
        step.asks.retain(|ask, names| {
            !names.is_empty() || !steps.iter().any(|it| it.asks.contains_key(ask))
        });
        steps.push(step);
    }
    let mut beyond: Vec<_> = beyond.into_iter().map(|it| it.1).collect();
    beyond.sort_by_key(|it| std::cmp::Reverse(it.questions()));
    Gap { host, steps, beyond }
}

fn add(step: &mut Step, asks: BTreeMap<Ask, BTreeSet<String>>, rules: &[(&'static str, u32)]) {
    for (ask, names) in asks {
        step.asks.entry(ask).or_default().extend(names);
    }
    for &(code, count) in rules {
        let sum = step.rules.entry(code).or_default();
        *sum = sum.saturating_add(count);
    }
}

/// The group that decides most for each new command.
fn best(groups: &[(BTreeSet<Ask>, Step)], chosen: &BTreeSet<Ask>) -> Option<usize> {
    let price = |key: &BTreeSet<Ask>| key.difference(chosen).count().max(1) as u64;
    let value = |(key, step): &(BTreeSet<Ask>, Step)| (u64::from(step.questions()), price(key));
    let mut best: Option<(usize, (u64, u64))> = None;
    for (at, group) in groups.iter().enumerate() {
        let (worth, price) = value(group);
        if best.is_none_or(|(_, (most, paid))| worth * paid > most * price) {
            best = Some((at, (worth, price)));
        }
    }
    best.map(|it| it.0)
}

fn shell(ask: &Ask, names: &BTreeSet<String>) -> Vec<String> {
    match ask {
        Ask::Host(command) if command.starts_with("nsenter --net --target PID ") => {
            vec![format!("# for a process of each nameless namespace: {command}")]
        }
        Ask::Host(command) if command.split(' ').all(|it| quote(it) == it) => {
            vec![save(command, &saved_as(command))]
        }
        Ask::Host(command) => vec![format!("# {command}")],
        Ask::Namespaces(inner) => of_each(
            names,
            "$(ip netns | cut -d' ' -f1)",
            |it| format!("ip netns exec {it} {inner}"),
            &format!("_{}", saved_as(inner)),
            "ip_netns_exec_",
        ),
        // A NIC has a device below it; bridges, taps and tunnels have none.
        Ask::Nics(tool) => of_each(
            names,
            "$(cd /sys/class/net && ls -d */device | cut -d/ -f1)",
            |it| format!("{tool} {it}"),
            "",
            &format!("{}_", saved_as(tool)),
        ),
        Ask::Domains => of_each(
            names,
            "$(virsh list --all --name)",
            |it| format!("virsh dumpxml {it}"),
            "",
            "virsh_dumpxml_",
        ),
    }
}

/// A line for each name, or a loop over the names.
fn of_each(
    names: &BTreeSet<String>,
    all: &str,
    command: impl Fn(&str) -> String,
    after: &str,
    before: &str,
) -> Vec<String> {
    let (tame, odd): (Vec<&String>, Vec<&String>) = names.iter().partition(|it| is_tame(it));
    let mut lines: Vec<String> = Vec::new();
    let looped = |list: &str| {
        format!("for n in {list}; do {} >\"{before}${{n}}{after}\" 2>&1; done", command("\"$n\""))
    };
    match tame.as_slice() {
        [] if names.is_empty() => lines.push(looped(all)),
        [] => {}
        [one] => lines.push(save(&command(one), &format!("{before}{one}{after}"))),
        few if few.len() <= LISTED => {
            let list = few.iter().map(|it| it.as_str()).collect::<Vec<_>>().join(" ");
            lines.push(looped(&list));
        }
        _ => lines.push(looped(all)),
    }
    for name in odd {
        let file = format!("{before}{}{after}", saved_as(name));
        lines.push(save(&command(&quote(name)), &file));
    }
    lines
}

fn save(command: &str, file: &str) -> String {
    format!("{command} >{} 2>&1", quote(file))
}

/// Whether a name is the same in a shell, in the name of a file and in a listing.
fn is_tame(name: &str) -> bool {
    !name.is_empty() && !name.starts_with('-') && saved_as(name) == name && quote(name) == name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(code: &'static str, missing: &[&str], count: u32) -> CannotTell {
        let missing = missing.iter().map(|&it| it.to_owned()).collect();
        CannotTell { code, host: HostId(0), missing, count }
    }

    fn order(all: &[CannotTell]) -> Vec<(Vec<String>, u32)> {
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        gap.steps.iter().map(|it| (it.commands(), it.questions())).collect()
    }

    #[test]
    fn of_nics_all_are_asked() {
        let open = open("A-1", &["ethtool -k NIC"], 1);
        let gap = gap(HostId(0), &[&open]);
        let step = gap.steps.first();
        assert_eq!(step.map(Step::commands), Some(vec!["ethtool -k NIC".to_owned()]));
        let line = "for n in $(cd /sys/class/net && ls -d */device | cut -d/ -f1); \
                    do ethtool -k \"$n\" >\"ethtool_-k_${n}\" 2>&1; done";
        assert_eq!(step.map(Step::shell), Some(vec![line.to_owned()]));
    }

    #[test]
    fn what_decides_most_for_its_price_comes_first() {
        let all = [
            open("A-1", &["ip netns", "virsh list --all"], 6),
            open("A-2", &["ip netns"], 2),
            open("A-3", &["ovs-vsctl show"], 5),
            open("A-4", &["bridge link"], 1),
        ];
        let text = |it: &[&str]| it.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            order(&all),
            [
                (text(&["ovs-vsctl show"]), 5),
                // Six for two commands, and two more by the way.
                (text(&["ip netns", "virsh list --all"]), 8),
                (text(&["bridge link"]), 1),
            ]
        );
    }

    #[test]
    fn a_command_is_asked_for_once() {
        let all = [
            open("A-1", &["ip netns exec a ip route", "ip netns exec b ip route"], 3),
            open("A-2", &["ip netns exec b ip route", "bridge link"], 1),
            open("A-3", &["openstack network list --long"], 9),
        ];
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        assert_eq!(gap.steps.len(), 2);
        assert_eq!(gap.steps[1].commands(), ["bridge link"]);
        assert_eq!(
            gap.steps[0].shell(),
            ["for n in a b; do ip netns exec \"$n\" ip route \
              >\"ip_netns_exec_${n}_ip_route\" 2>&1; done"]
        );
        assert_eq!(Gap::sum(std::slice::from_ref(&gap)), (2, 4));
        assert_eq!(gap.beyond[0].questions(), 9);
    }

    #[test]
    fn names_of_captures_are_quoted() {
        let all = [open("A-1", &["ip netns exec $(reboot) ip route"], 1)];
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        assert_eq!(
            gap.steps[0].shell(),
            ["ip netns exec '$(reboot)' ip route >ip_netns_exec__reboot_ip_route 2>&1"]
        );
    }
}
