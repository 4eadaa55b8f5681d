//! From the name of a file back to the command that filled it.
//!
//! sos names a file after its command (`sos/report/plugins/__init__.py`, `_mangle_command`; the
//! same from 1.8 to 4.12): each run of characters other than letters, digits, `_`, `-`, `.` and
//! `/` becomes one `_`, then `/` becomes `.`. The way back needs to know where an argument that
//! may hold `_` itself begins: the [grammar](super::grammar) of each tool knows its words, and
//! whatever follows them is one argument. Characters that were lost in it come back from names
//! that occur in the report.
use std::collections::BTreeMap;

use tapline_core::capture::Command;
use tapline_core::ids::Netns;

use super::grammar::{self, Hole, Tool};
use crate::command;

/// A command recovered from a name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Named {
    /// Program and arguments.
    pub(crate) command: Command,
    /// Where it ran.
    pub(crate) netns: Netns,
    /// The tool that ran it in a container, and the container.
    pub(crate) container: Option<(&'static str, String)>,
    /// Later copies of the same command: `.1`, `_2`.
    pub(crate) duplicate: bool,
    /// sos 3.3 asked for the namespace `(id:`: the text is an error.
    pub(crate) wrong_netns: bool,
    /// Not every part of the name is known to be right.
    pub(crate) unsure: bool,
}

/// Names that occur in a report, by what sos makes of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    devices: BTreeMap<String, Vec<String>>,
    netns: BTreeMap<String, String>,
}

impl Names {
    /// Adds a device, bridge, port or domain.
    pub(crate) fn add(&mut self, name: &str) {
        let all = self.devices.entry(mangle(name)).or_default();
        if !all.iter().any(|it| it == name) {
            all.push(name.to_owned());
        }
    }

    /// Adds a namespace.
    pub(crate) fn add_netns(&mut self, name: &str) {
        self.netns.insert(mangle(name), name.to_owned());
    }

    /// Whether such a device is known.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.devices.get(&mangle(name)).is_some_and(|it| it.iter().any(|it| it == name))
    }

    /// The names that sos writes like this.
    fn written(&self, mangled: &str) -> &[String] {
        self.devices.get(mangled).map_or(&[], Vec::as_slice)
    }
}

/// What sos makes of a name inside a command.
pub(crate) fn mangle(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars() {
        match c {
            '/' => out.push('.'),
            _ if c.is_alphanumeric() || matches!(c, '_' | '-' | '.') => out.push(c),
            _ if out.ends_with('\u{0}') => {}
            _ => out.push('\u{0}'),
        }
    }
    out.replace('\u{0}', "_").trim_end_matches([' ', '.', '_', '-']).to_owned()
}

/// The command that sos ran to fill `path`, a path below `sos_commands/` (or a bare file name).
pub(crate) fn inverse(path: &str, names: &Names) -> Option<Named> {
    let mut found = Named::default();
    let (folders, base) = path.rsplit_once('/').unwrap_or(("", path));
    let mut base = base.strip_suffix(".tailed").unwrap_or(base);
    for prefix in ["openstack-hypervisor.", "microovn."] {
        base = base.strip_prefix(prefix).unwrap_or(base);
    }
    if let Some((tool, container, inner)) = container(base) {
        found.container = Some((tool, container.to_owned()));
        base = inner;
    }
    if let Some((pid, inner)) = process(base) {
        found.netns = Netns::Named(format!("pid:{pid}").into());
        base = inner;
    }
    if let Some(rest) = base.strip_prefix("ip_netns_exec_") {
        let (name, inner, sure) = netns(folders, rest, names)?;
        found.netns = Netns::Named(name.into());
        found.unsure = !sure;
        base = inner;
        if let Some(inner) = wrong_id(base) {
            found.wrong_netns = true;
            base = inner;
        }
    }
    let (tool, rest) = grammar::tool_of(base)?;
    let rest = rest.strip_prefix('_').unwrap_or(rest);
    let duplicate = without_copy(rest);
    let (argv, outcome) = arguments(tool, rest, names);
    match (outcome, duplicate) {
        (Filled::Unknown, Some(shorter)) => {
            let (short, outcome) = arguments(tool, shorter, names);
            if outcome == Filled::Unknown {
                // `eth0.1` of a report that lists no devices: a device rather than a copy.
                found.unsure = true;
                found.command.argv = argv;
            } else {
                found.duplicate = true;
                found.command.argv = short;
            }
        }
        (outcome, _) => {
            found.unsure |= outcome == Filled::Unknown;
            found.command.argv = argv;
        }
    }
    if let Some((tool, container)) = &found.container
        && found.netns.is_root()
    {
        found.netns = command::container_netns(tool, container, &found.command.argv);
    }
    Some(found)
}

/// How well the last argument is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Filled {
    /// There is none, or it is a name of the report.
    Known,
    /// No such name in the report.
    Unknown,
}

/// Reads the words of a tool, then one argument.
fn arguments(tool: &'static Tool, rest: &str, names: &Names) -> (Vec<String>, Filled) {
    let mut argv = vec![tool.name.to_owned()];
    let mut rest = rest;
    let mut value_next = false;
    while !rest.is_empty() {
        let word = grammar::next_word(tool, rest, &argv, value_next);
        let Some((length, spelled)) = word else { break };
        value_next = !value_next && tool.valued.contains(&spelled.as_str());
        argv.push(spelled);
        rest = rest.get(length..).unwrap_or_default();
        rest = rest.strip_prefix('_').unwrap_or(rest);
    }
    if rest.is_empty() {
        return (argv, Filled::Known);
    }
    let (hole, suffix) = match tool.suffixes.iter().find(|suffix| ends(rest, suffix)) {
        Some(suffix) => (rest.get(..rest.len() - suffix.len() - 1).unwrap_or(rest), Some(*suffix)),
        None => (rest, None),
    };
    let filled = match tool.hole {
        Hole::Word => {
            argv.extend(hole.split('_').map(str::to_owned));
            Filled::Known
        }
        Hole::Path => {
            argv.push(grammar::path(hole));
            Filled::Known
        }
        Hole::Name => match names.written(hole) {
            [one] => {
                argv.push(one.clone());
                Filled::Known
            }
            [] => {
                argv.push(grammar::well_known(hole).unwrap_or(hole).to_owned());
                Filled::Unknown
            }
            [first, ..] => {
                argv.push(
                    names
                        .written(hole)
                        .iter()
                        .find(|written| *written == hole)
                        .unwrap_or(first)
                        .clone(),
                );
                Filled::Known
            }
        },
    };
    argv.extend(suffix.into_iter().flat_map(|suffix| suffix.split('_')).map(str::to_owned));
    (argv, filled)
}

/// Whether `text` ends in `_suffix` behind something.
fn ends(text: &str, suffix: &str) -> bool {
    text.strip_suffix(suffix).is_some_and(|rest| rest.len() > 1 && rest.ends_with('_'))
}

/// The name without `.1` or `_2`.
fn without_copy(text: &str) -> Option<&str> {
    let (name, number) = text.rsplit_once(['.', '_'])?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (digits && number.len() <= 3).then_some(name)
}

/// `podman_exec_[-e_K_V_]NAME_[--_]command`: tool, container, command. The container's name may hold
/// `_`, so it ends where the first known command begins.
fn container(base: &str) -> Option<(&'static str, &str, &str)> {
    const TOOLS: &[&str] = &["podman", "docker", "crictl", "nerdctl", "lxc", "incus", "pct"];
    let (tool, rest) = TOOLS.iter().find_map(|tool| {
        let rest = base.strip_prefix(tool)?.strip_prefix("_exec_")?;
        Some((*tool, rest))
    })?;
    let at = rest.match_indices('_').map(|(at, _)| at).find(|&at| {
        rest.get(at + 1..)
            .and_then(grammar::tool_of)
            .is_some_and(|(tool, _)| tool.name.starts_with("ov") || tool.in_netns)
    })?;
    let name = rest.get(..at)?;
    let name = name.strip_suffix("_--").unwrap_or(name);
    Some((tool, name.rsplit("-e_").next().unwrap_or(name), rest.get(at + 1..)?))
}

/// `nsenter_--net_--target_PID_command`: the process, and the command.
fn process(base: &str) -> Option<(&str, &str)> {
    let (pid, inner) = base.strip_prefix("nsenter_--net_--target_")?.split_once('_')?;
    pid.bytes().all(|b| b.is_ascii_digit()).then_some((pid, inner))
}

/// The namespace behind `ip_netns_exec_`, the command behind that, and whether that is sure.
fn netns<'a>(folders: &str, rest: &'a str, names: &Names) -> Option<(String, &'a str, bool)> {
    // From 4.3 the folder has its name, unmangled.
    let mut parts = folders.split('/');
    if parts.by_ref().any(|part| part == "namespaces")
        && let Some(name) = parts.next()
        && let Some(inner) = rest.strip_prefix(mangle(name).as_str())
    {
        return Some((name.to_owned(), inner.strip_prefix('_')?, true));
    }
    let known = names
        .netns
        .iter()
        .filter_map(|(mangled, name)| {
            let inner = rest.strip_prefix(mangled.as_str())?.strip_prefix('_')?;
            Some((mangled.len(), name, inner))
        })
        .max_by_key(|it| it.0);
    if let Some((_, name, inner)) = known {
        return Some((name.clone(), inner, true));
    }
    let at = rest.match_indices('_').map(|(at, _)| at).find(|&at| {
        let inner = rest.get(at + 1..).unwrap_or_default();
        wrong_id(inner).is_some() || grammar::tool_of(inner).is_some_and(|(it, _)| it.in_netns)
    })?;
    Some((rest.get(..at)?.to_owned(), rest.get(at + 1..)?, false))
}

/// `id_3_ip_address_show`.
fn wrong_id(base: &str) -> Option<&str> {
    let (number, inner) = base.strip_prefix("id_")?.split_once('_')?;
    number.bytes().all(|b| b.is_ascii_digit()).then_some(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn show(path: &str, names: &Names) -> String {
        let Some(it) = inverse(path, names) else { return "none".to_owned() };
        let netns = it.netns.name().map(|name| format!("{name}: ")).unwrap_or_default();
        format!("{netns}{}{}", it.command, if it.duplicate { " (copy)" } else { "" })
    }

    #[test]
    fn mangles_as_sos_does() {
        assert_eq!(mangle("a+b:c"), "a_b_c");
        assert_eq!(mangle("system@ovs-system"), "system_ovs-system");
        assert_eq!(mangle("dpif/show, -x"), "dpif.show_-x");
        assert_eq!(mangle("eth0."), "eth0");
    }

    #[test]
    fn names_come_back() {
        let mut names = Names::default();
        for name in ["eth0", "br0.100_x", "a+b", "bond0.7"] {
            names.add(name);
        }
        names.add_netns("blue_ns");
        for (path, command) in [
            ("networking/ip_-d_address", "ip -d address"),
            ("networking/ip_-s_-s_neigh_show", "ip -s -s neigh show"),
            ("networking/ethtool_-S_br0.100_x", "ethtool -S br0.100_x"),
            ("networking/ethtool_a_b", "ethtool a+b"),
            ("networking/ethtool_eth0.1", "ethtool eth0 (copy)"),
            ("networking/ethtool_bond0.7", "ethtool bond0.7"),
            ("networking/ip_netns.1", "ip netns (copy)"),
            ("networking/tc_-s_filter_show_dev_eth0_ingress", "tc -s filter show dev eth0 ingress"),
            ("networking/namespaces/q-1/ip_netns_exec_q-1_ip_-4_rule_list", "q-1: ip -4 rule list"),
            ("networking/ip_netns_exec_blue_ns_route_-n", "blue_ns: route -n"),
            ("networking/ip_netns_exec_qdhcp-7_iptables-save", "qdhcp-7: iptables-save"),
            ("docker_exec_web_1_ip_-d_address", "docker:web_1: ip -d address"),
            ("lxc_exec_c1_--_ip_route_show_table_all", "lxc:c1: ip route show table all"),
            ("pct_exec_102_--_ss_-lntup", "pct:102: ss -lntup"),
            ("nsenter_--net_--target_4711_ip_-d_address", "pid:4711: ip -d address"),
            ("openvswitch/ovs-vsctl_-t_5_list_Open_vSwitch", "ovs-vsctl -t 5 list Open_vSwitch"),
            ("openvswitch/openstack-hypervisor.ovs-vsctl_-t_5_show", "ovs-vsctl -t 5 show"),
            ("openvswitch/ovs-appctl_fdb.show_br-int", "ovs-appctl fdb/show br-int"),
            (
                "openvswitch/ovs-appctl_dpctl.show_-s_system_ovs-system",
                "ovs-appctl dpctl/show -s system@ovs-system",
            ),
            ("ovn_central/podman_exec_ovn_cluster_north_db_ovn-nbctl_show", "ovn-nbctl show"),
            (
                "ovn_central/ovn-sbctl_--no-leader-only_list_Port_Binding",
                "ovn-sbctl --no-leader-only list Port_Binding",
            ),
            (
                "ovn_central/microovn.ovn-nbctl_list_Logical_Switch_Port",
                "ovn-nbctl list Logical_Switch_Port",
            ),
            ("ovn_central/ovn-sbctl_list_DHCPv6_Options.1", "ovn-sbctl list DHCPv6_Options (copy)"),
            (
                "ovn_central/docker_exec_ovn_sb_db_ovn-sbctl_--no-leader-only_show",
                "ovn-sbctl --no-leader-only show",
            ),
            ("ovn_host/ovs-vsctl_list_Open_vSwitch", "ovs-vsctl list Open_vSwitch"),
            ("virsh/virsh_-r_net-list.1", "virsh -r net-list (copy)"),
            ("virsh/virsh_-r_dumpxml_my_vm", "virsh -r dumpxml my_vm"),
            ("x/cat_.proc.net.bonding.bond0.7", "cat /proc/net/bonding/bond0.7"),
            ("x/something_else", "none"),
        ] {
            assert_eq!(show(path, &names), command, "{path}");
        }
        let wrong = inverse("networking/ip_netns_exec_red_id_3_ip_route", &names).unwrap();
        assert!(wrong.wrong_netns);
        assert_eq!(wrong.netns.name(), Some("red"));
    }
}

/// The way back, over what real reports list.
#[cfg(test)]
mod on_reports {
    use std::io::Read as _;
    use std::path::{Path, PathBuf};

    use super::*;

    /// Plugins whose files are evidence.
    const PLUGINS: &[&str] =
        &["networking", "openvswitch", "firewall_tables", "virsh", "conntrack", "host", "date"];

    /// The manifests of the reports of the corpus.
    #[expect(clippy::disallowed_methods, reason = "a test reads its samples")]
    fn manifests_of_the_corpus() -> Vec<(PathBuf, Vec<u8>)> {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus");
        let folders = [
            "sosreports",
            "sosreports/two-hosts",
            "lab/faults-sos-4.0",
            "lab/ovn-healthy-sos-4.12",
            "lab/seed-sos-3.9.1",
            "lab/seed-sos-4.12",
        ];
        let mut found = Vec::new();
        for entry in
            folders.iter().flat_map(|folder| std::fs::read_dir(corpus.join(folder)).unwrap())
        {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|extension| extension != "xz") {
                continue;
            }
            let file = std::fs::File::open(&path).unwrap();
            let mut archive = ::tar::Archive::new(liblzma::read::XzDecoder::new(file));
            for entry in archive.entries().unwrap() {
                let mut entry = entry.unwrap();
                if entry.path().unwrap().ends_with("sos_reports/manifest.json") {
                    let mut bytes = Vec::new();
                    entry.read_to_end(&mut bytes).unwrap();
                    found.push((path.clone(), bytes));
                }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn every_name_of_the_corpus_comes_back() {
        come_back(manifests_of_the_corpus(), 1000);
    }

    #[test]
    #[ignore = "reads ../shared/captures, which is not part of the repository"]
    #[expect(clippy::disallowed_methods, reason = "a test reads its samples")]
    fn every_name_of_other_hosts_comes_back() {
        let hosts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/captures/hosts");
        let mut found = Vec::new();
        for host in std::fs::read_dir(hosts).unwrap() {
            let path = host.unwrap().path().join("sos_reports/manifest.json");
            if let Ok(bytes) = std::fs::read(&path) {
                found.push((path, bytes));
            }
        }
        come_back(found, 100);
    }

    /// Checks the names that the manifests list, of which there are more than `at_least`.
    fn come_back(manifests: Vec<(PathBuf, Vec<u8>)>, at_least: usize) {
        let mut total = 0;
        let mut wrong = Vec::new();
        for (path, bytes) in manifests {
            let manifest: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
            let plugins = &manifest["components"]["report"]["plugins"];
            let commands = || {
                PLUGINS
                    .iter()
                    .filter_map(|plugin| plugins[plugin]["commands"].as_array())
                    .flatten()
                    .filter_map(|array| {
                        let file = array["filepath"].as_str()?.strip_prefix("sos_commands/")?;
                        Some((file.to_owned(), array["exec"].as_str()?.to_owned()))
                    })
            };
            let mut names = Names::default();
            for (_, exec) in commands() {
                let words: Vec<_> = exec.split_whitespace().collect();
                match words.as_slice() {
                    ["ip", "netns", "exec", netns, ..] => names.add_netns(netns),
                    ["ethtool", device] => names.add(device),
                    _ => {}
                }
            }
            for (file, exec) in commands() {
                let words: Vec<_> = exec.split_whitespace().collect();
                let out_of_scope = ["journalctl", "ls", "hostid", "taskset", "find"];
                let program = words[0].rsplit('/').next().unwrap();
                if out_of_scope.contains(&program) {
                    continue;
                }
                total += 1;
                let (netns, words) = match words.as_slice() {
                    ["ip", "netns", "exec", netns, rest @ ..] => (Some(*netns), rest),
                    all => (None, all),
                };
                let mut want = words.join(" ");
                want = want.strip_prefix("/usr/sbin/").unwrap_or(&want).to_owned();
                let found = inverse(&file, &names);
                let got =
                    found.as_ref().map(|found| (found.netns.name(), found.command.to_string()));
                if got != Some((netns, want.clone())) {
                    wrong.push(format!("{}: {file}: {want}: {found:?}", path.display()));
                }
            }
        }
        assert!(total > at_least, "only {total} names");
        assert!(wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong.join("\n"));
    }
}
