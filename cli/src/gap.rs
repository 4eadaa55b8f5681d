//! What to capture next: the commands that would decide open questions, most valuable first.
//!
//! A question is one object about which one rule could not tell. The same command in many
//! namespaces, or of many domains, is one [`Ask`]: it is one line to paste.
use std::collections::{BTreeMap, BTreeSet};

use tapline_analysis::lint::{CannotTell, Report, Text};
use tapline_capture::saved_as;
use tapline_core::capture::{Command, HostId};
use tapline_core::ids::Netns;
use tapline_core::need::{NAMESPACES, Need, quote};
use tapline_core::request::Topic;
use tapline_formats::registry;

/// Names that a loop lists; of more it asks the host.
const LISTED: usize = 16;

/// A command, wherever it is to be run.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Ask {
    /// On the host, once.
    Host(Need),
    /// The same in each of several namespaces.
    Namespaces(Vec<String>),
    /// `virsh dumpxml` of domains.
    Domains,
    /// `ethtool`, perhaps with an option, of NICs.
    Nics(Vec<String>),
}

impl Ask {
    /// What a need asks, and the namespace or the domain that it asks of.
    fn of(need: &Need) -> (Self, Option<&str>) {
        if let Some(netns) = need.netns().name() {
            return (Self::Namespaces(need.argv()), Some(netns));
        }
        if let Need::Topic { topic: Topic::DomainXml, object, .. } = need {
            return (Self::Domains, object.as_deref());
        }
        if let Need::Command { argv, .. } = need
            && let [program, options @ .., nic] = argv.as_slice()
            && program == "ethtool"
            && !nic.starts_with('-')
        {
            let argv = std::iter::once(program).chain(options).cloned().collect();
            return (Self::Nics(argv), Some(nic));
        }
        (Self::Host(need.clone()), None)
    }

    /// Whether tapline reads what it prints.
    fn is_read(&self) -> bool {
        let argv = match self {
            Self::Domains | Self::Nics(_) => return true,
            Self::Host(Need::Other(_)) => return false,
            Self::Host(need) => need.argv(),
            Self::Namespaces(argv) => argv.clone(),
        };
        registry::by_command(&Command { argv }).is_some()
    }
}

/// Some commands, and what they decide together with those of the steps before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// The commands, each with the namespaces or domains it is to be asked of.
    pub(crate) asks: BTreeMap<Ask, BTreeSet<String>>,
    /// The rules that become decided, each with how many objects.
    pub(crate) rules: BTreeMap<Text, u32>,
}

impl Step {
    /// How many questions it decides.
    pub(crate) fn questions(&self) -> u32 {
        self.rules.values().fold(0, |sum, it| sum.saturating_add(*it))
    }

    /// The commands, each namespace, domain and NIC for itself.
    pub(crate) fn commands(&self) -> Vec<Need> {
        let each = self.asks.iter().flat_map(|(ask, names)| match ask {
            Ask::Host(need) => vec![need.clone()],
            Ask::Namespaces(argv) => {
                let inside = |name: &String| Need::Command {
                    netns: Netns::Named(name.as_str().into()),
                    argv: argv.clone(),
                };
                names.iter().map(inside).collect()
            }
            Ask::Nics(argv) => {
                let ask = |name: &String| {
                    Need::Command { netns: Netns::Root, argv: argv.clone() }.with(name)
                };
                names.iter().map(ask).collect()
            }
            Ask::Domains if names.is_empty() => vec![Need::from(Topic::DomainXml)],
            Ask::Domains => names.iter().map(|name| Need::about(Topic::DomainXml, name)).collect(),
        });
        each.collect()
    }

    /// Lines of shell that run the commands and save each under a name by which it is recognised.
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
    /// What no capture of the host shows: people have to look.
    pub(crate) beyond: Vec<Step>,
}

impl Gap {
    /// How many commands of the host to capture, and how many questions that decides. The same
    /// command in several namespaces counts once.
    pub(crate) fn sum(all: &[Self]) -> (usize, u32) {
        let steps = || all.iter().flat_map(|it| &it.steps);
        let commands = steps().map(|step| step.asks.len()).sum();
        (commands, steps().fold(0, |sum, it| sum.saturating_add(it.questions())))
    }
}

/// The gaps of all hosts that have one.
pub(crate) fn gaps(report: &Report) -> Vec<Gap> {
    let mut hosts: BTreeMap<HostId, Vec<&CannotTell>> = BTreeMap::new();
    for it in report.cannot_tell.iter().filter(|tell| !tell.missing.is_empty()) {
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
        for need in &it.missing {
            let (ask, name) = Ask::of(need);
            asks.entry(ask).or_default().extend(name.map(str::to_owned));
        }
        let key: BTreeSet<Ask> = asks.keys().cloned().collect();
        let empty = || Step { asks: BTreeMap::new(), rules: BTreeMap::new() };
        add(groups.entry(key).or_insert_with(empty), asks, vec![(it.code.clone(), it.count)]);
    }
    let (beyond, mut groups): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|(key, _)| !key.iter().all(Ask::is_read));
    let mut steps: Vec<Step> = Vec::new();
    let mut chosen: BTreeSet<Ask> = BTreeSet::new();
    while let Some(best) = best(&groups, &chosen) {
        let (key, mut step) = groups.remove(best);
        chosen.extend(key);
        // What needs no further command is decided with them.
        let (closed, rest): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|(key, _)| key.is_subset(&chosen));
        groups = rest;
        for (_, it) in closed {
            add(&mut step, it.asks, it.rules.into_iter().collect());
        }
        // A command that an earlier step asks for is not asked for again, but for further names.
        for (ask, names) in &mut step.asks {
            let before = steps.iter().filter_map(|step| step.asks.get(ask));
            for it in before {
                names.retain(|name| !it.contains(name));
            }
        }
        step.asks.retain(|ask, names| {
            !names.is_empty() || !steps.iter().any(|step| step.asks.contains_key(ask))
        });
        steps.push(step);
    }
    let mut beyond: Vec<_> = beyond.into_iter().map(|beyond| beyond.1).collect();
    beyond.sort_by_key(|beyond| std::cmp::Reverse(beyond.questions()));
    Gap { host, steps, beyond }
}

fn add(step: &mut Step, asks: BTreeMap<Ask, BTreeSet<String>>, rules: Vec<(Text, u32)>) {
    for (ask, names) in asks {
        step.asks.entry(ask).or_default().extend(names);
    }
    for (code, count) in rules {
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
    best.map(|best| best.0)
}

fn shell(ask: &Ask, names: &BTreeSet<String>) -> Vec<String> {
    match ask {
        Ask::Host(need) if !need.netns().is_root() => {
            vec![format!("# for a process of each nameless namespace: {need}")]
        }
        Ask::Host(need) => vec![save(&need.to_string(), &saved_as(&need.argv().join(" ")))],
        Ask::Namespaces(argv) => in_namespaces(argv, names),
        // A NIC has a device below it; bridges, taps and tunnels have none.
        Ask::Nics(argv) => of_each(
            names,
            "(cd /sys/class/net && ls -d */device | cut -d/ -f1)",
            |name| format!("{} {name}", typed(argv)),
            "",
            &format!("{}_", saved_as(&argv.join(" "))),
        ),
        Ask::Domains => of_each(
            names,
            "virsh list --all --name",
            |name| format!("virsh dumpxml {name}"),
            "",
            "virsh_dumpxml_",
        ),
    }
}

/// Lines that run a command in namespaces: those that `ip netns` knows, and those of containers and
/// processes, which are entered in other ways.
fn in_namespaces(argv: &[String], names: &BTreeSet<String>) -> Vec<String> {
    let within = |name: &str| Netns::Named(name.into());
    let (kept, containers): (BTreeSet<String>, BTreeSet<String>) =
        names.iter().cloned().partition(|name| within(name).is_kept_by_ip());
    let mut lines = Vec::new();
    if !kept.is_empty() || names.is_empty() {
        lines = of_each(
            &kept,
            "",
            |name| format!("ip netns exec {name} {}", typed(argv)),
            &format!("_{}", saved_as(&argv.join(" "))),
            "ip_netns_exec_",
        );
    }
    for name in containers {
        let netns = within(&name);
        let words = netns.enter().into_iter().chain(argv.iter().map(String::as_str));
        let file = saved_as(&words.collect::<Vec<_>>().join(" "));
        let need = Need::Command { netns: netns.clone(), argv: argv.to_vec() };
        lines.push(save(&need.to_string(), &file));
    }
    lines
}

/// Words as they are typed in a shell.
fn typed(argv: &[String]) -> String {
    argv.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// A line for each name, or a loop over the names that `all` prints: those of all namespaces where it
/// is empty.
fn of_each(
    names: &BTreeSet<String>,
    all: &str,
    command: impl Fn(&str) -> String,
    after: &str,
    before: &str,
) -> Vec<String> {
    let (tame, odd): (Vec<&String>, Vec<&String>) = names.iter().partition(|name| is_tame(name));
    let mut lines: Vec<String> = Vec::new();
    let body = || format!("{} >\"{before}${{n}}{after}\" 2>&1", command("\"$n\""));
    let looped = |list: &str| format!("for n in {list}; do {}; done", body());
    // Names may hold blanks, so each is a line; and no command may read the other names.
    let all = if all.is_empty() { NAMESPACES } else { all };
    let each = format!("{all} | while IFS= read -r n; do");
    let for_all = || format!("{each} [ -z \"$n\" ] || {} </dev/null; done", body());
    match tame.as_slice() {
        [] if names.is_empty() => lines.push(for_all()),
        [] => {}
        [one] => lines.push(save(&command(one), &format!("{before}{one}{after}"))),
        few if few.len() <= LISTED => {
            let list = few.iter().map(|few| few.as_str()).collect::<Vec<_>>().join(" ");
            lines.push(looped(&list));
        }
        _ => lines.push(for_all()),
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

    fn open(code: &'static str, missing: &[Need], count: u32) -> CannotTell {
        CannotTell { code: code.into(), host: HostId(0), missing: missing.to_vec(), count }
    }

    fn inside(netns: &str, line: &str) -> Need {
        Need::command(line).within(&Netns::Named(netns.into()))
    }

    fn order(all: &[CannotTell]) -> Vec<(Vec<String>, u32)> {
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        gap.steps.iter().map(|step| (lines(step), step.questions())).collect()
    }

    fn lines(step: &Step) -> Vec<String> {
        step.commands().iter().map(Need::to_string).collect()
    }

    #[test]
    fn nics_are_asked_together() {
        let open = |nic| open("A-1", &[Need::command("ethtool -k").with(nic)], 1);
        let (first, second) = (open("eno1"), open("eno2"));
        let gap = gap(HostId(0), &[&first, &second]);
        let step = gap.steps.first();
        let each = vec!["ethtool -k eno1".to_owned(), "ethtool -k eno2".to_owned()];
        assert_eq!(step.map(lines), Some(each));
        let line = "for n in eno1 eno2; do ethtool -k \"$n\" >\"ethtool_-k_${n}\" 2>&1; done";
        assert_eq!(step.map(Step::shell), Some(vec![line.to_owned()]));
    }

    #[test]
    fn what_decides_most_for_its_price_comes_first() {
        let all = [
            open("A-1", &[Topic::NetnsList.into(), Topic::Domains.into()], 6),
            open("A-2", &[Topic::NetnsList.into()], 2),
            open("A-3", &[Topic::Ovs.into()], 5),
            open("A-4", &[Topic::BridgeMembers.into()], 1),
        ];
        let text = |it: &[&str]| it.iter().map(|&it| it.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            order(&all),
            [
                (text(&["ovs-vsctl show"]), 5),
                // Six for two commands, and two more with them.
                (text(&["ip netns", "virsh list --all"]), 8),
                (text(&["bridge link"]), 1),
            ]
        );
    }

    #[test]
    fn a_command_is_asked_for_once() {
        let all = [
            open("A-1", &[inside("a", "ip route"), inside("b", "ip route")], 3),
            open("A-2", &[inside("b", "ip route"), Topic::BridgeMembers.into()], 1),
            open("A-3", &[Need::command("openstack network list --long")], 9),
        ];
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        assert_eq!(gap.steps.len(), 2);
        assert_eq!(lines(&gap.steps[1]), ["bridge link"]);
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
        let all = [open("A-1", &[inside("$(reboot)", "ip route")], 1)];
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        assert_eq!(
            gap.steps[0].shell(),
            ["ip netns exec '$(reboot)' ip route >ip_netns_exec__reboot_ip_route 2>&1"]
        );
    }

    #[test]
    fn containers_are_entered_by_their_own_tools() {
        let names = ["lxc:c1", "pid:4711", "red"];
        let needs = names.map(|name| Topic::Links.command(&Netns::Named(name.into())));
        let all = [open("A-1", &needs, 1)];
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        assert_eq!(
            gap.steps[0].shell(),
            [
                "ip netns exec red ip -d address >ip_netns_exec_red_ip_-d_address 2>&1",
                "lxc exec c1 -- ip -d address >lxc_exec_c1_--_ip_-d_address 2>&1",
                "nsenter --net --target 4711 ip -d address \
                 >nsenter_--net_--target_4711_ip_-d_address 2>&1",
            ]
        );
    }

    #[test]
    fn a_name_with_a_blank_is_one_word() {
        let needs = ["red", "blue ns"].map(|name| Topic::Links.command(&Netns::Named(name.into())));
        let all = [open("A-1", &needs, 1)];
        let gap = gap(HostId(0), &all.iter().collect::<Vec<_>>());
        assert!(gap.beyond.is_empty());
        assert_eq!(
            gap.steps[0].shell(),
            [
                "ip netns exec red ip -d address >ip_netns_exec_red_ip_-d_address 2>&1",
                "ip netns exec 'blue ns' ip -d address \
                 >ip_netns_exec_blue_ns_ip_-d_address 2>&1",
            ]
        );
        assert_eq!(lines(&gap.steps[0])[0], "ip netns exec 'blue ns' ip -d address");
    }
}
