//! Outputs saved by hand, one to a file, under any reasonable name.
mod hosts;

use tapline_core::capture::Command;
use tapline_core::ids::Netns;
use tapline_formats::registry::{self, Format};

use crate::choose::{self, Want};
use crate::listed;
use crate::sos::grammar;
use crate::sos::name::{self, Named, Names};
pub(crate) use hosts::{host_of_label, is_address, is_like_host};

/// What a name says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Guess {
    /// The command.
    pub(crate) named: Named,
    /// What stands before the command: a host, a device, anything.
    pub(crate) label: Option<String>,
    /// The name is the command and nothing else.
    pub(crate) exact: bool,
}

/// Suffixes of texts.
const TEXT: &[&str] = &[
    ".txt", ".log", ".out", ".output", ".xml", ".json", ".yaml", ".yml", ".csv", ".md", ".lst",
    ".dump", ".cap", ".ansi", ".text", ".TXT", ".LOG",
];

/// Suffixes of what is no text, or none that could be read.
const OTHER: &[&str] = &[
    ".png", ".jpg", ".jpeg", ".gif", ".svg", ".webp", ".ico", ".pdf", ".css", ".js", ".pcap",
    ".pcapng", ".mp4", ".rpm", ".deb", ".iso", ".qcow2", ".img", ".so", ".o", ".a", ".pyc",
    ".journal", ".md5", ".sha256", ".gpg", ".docx", ".xlsx", ".pptx", ".odt", ".sh", ".py",
];

/// Files that come with captures and are none.
const COMPANIONS: &[&str] =
    &["versions.txt", "README", "README.md", "README.txt", "LICENSE", "CHANGELOG.md", ".DS_Store"];

/// Whether a file outside any known layout is worth reading.
pub(crate) fn want(base: &str) -> Want {
    // The list of `tapline collect`, or anybody's: its first line tells.
    if base == listed::COLLECTED {
        return Want::Look;
    }
    if COMPANIONS.contains(&base) || is_other(base) {
        return Want::Skip;
    }
    match guess(base, &Names::default()) {
        Some(it) if it.exact => {
            let read = registry::by_command(&it.named.command).is_some();
            // `ip.txt` names no command, but what is in it may.
            if read || choose::tells_the_machine(&it.named.command) {
                Want::Keep
            } else {
                Want::Look
            }
        }
        _ => Want::Look,
    }
}

/// Whether the end of a name says that the file is no text, or none that could be read.
pub(crate) fn is_other(base: &str) -> bool {
    let lower = base.to_ascii_lowercase();
    OTHER.iter().any(|other| lower.ends_with(other))
}

/// What the name of a file says about its content.
pub(crate) fn guess(base: &str, names: &Names) -> Option<Guess> {
    if matches!(base, "conf.db" | "ovs-conf.db") {
        let command = Command::new("cat /etc/openvswitch/conf.db");
        let named = Named { command, ..Named::default() };
        return Some(Guess { named, label: None, exact: true });
    }
    let plain = TEXT.iter().find_map(|text| base.strip_suffix(text)).unwrap_or(base);
    let stem = bare(plain);
    let exact = |named| Guess { named, label: None, exact: stem == plain };
    if let Some(bond) = bond_of(stem) {
        let command = Command::new(&format!("cat /proc/net/bonding/{bond}"));
        return Some(exact(Named { command, ..Named::default() }));
    }
    // `ip_a.node2.txt`: the host stands behind the command.
    if let Some((head, label)) = stem.rsplit_once('.')
        && let Some(named) = name::inverse(head, names)
        && registry::by_command(&named.command).is_some()
    {
        return Some(Guess { named, label: Some(label.to_owned()), exact: false });
    }
    if let Some((named, host)) = host_behind(stem, names) {
        return Some(Guess { named, label: Some(host.to_owned()), exact: false });
    }
    if let Some(named) = name::inverse(stem, names) {
        return Some(exact(named));
    }
    let joined =
        stem.split([' ', '\t']).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("_");
    if let Some(named) = name::inverse(&joined, names) {
        return Some(exact(named));
    }
    let (label, canonical) = grammar::find_tool(&joined)?;
    let mut named = name::inverse(&canonical, names)?;
    let label = label.trim_matches(['_', '-', '.', ' ']);
    if named.netns.is_root()
        && let Some(netns) = netns_of(label)
    {
        named.netns = Netns::Named(netns.into());
        return Some(Guess { named, label: None, exact: false });
    }
    let label = (!label.is_empty()).then(|| label.to_owned());
    Some(Guess { named, label, exact: false })
}

/// A command, and the host that stands behind it in a name: `ip_a_node2`, `ip-a (cmp-3)`.
fn host_behind<'a>(stem: &'a str, names: &Names) -> Option<(Named, &'a str)> {
    /// Those that list all there is: behind others stands what they were asked about.
    const LISTS: &[&str] = &[
        "arp",
        "brctl",
        "bridge",
        "ifconfig",
        "ip",
        "ip6tables-save",
        "iptables",
        "iptables-save",
        "lldpctl",
        "netstat",
        "nft",
        "nmcli",
        "ovs-dpctl",
        "ovs-vsctl",
        "route",
        "ss",
    ];
    let bare = stem.trim_end_matches(')');
    // Nearly all names tell at a look that they are none.
    let ends = bare.as_bytes().last().is_some_and(u8::is_ascii_alphanumeric);
    if !ends || !LISTS.iter().any(|tool| bare.starts_with(tool)) {
        return None;
    }
    ["_ (.", "-"].into_iter().find_map(|signs| {
        let (head, host) = bare.rsplit_once(|c| signs.contains(c))?;
        let numbered = host.bytes().any(|b| b.is_ascii_digit()) && is_like_host(host);
        if !numbered && !is_address(host) {
            return None;
        }
        let head = head.trim_end_matches(['_', ' ', '(', '.', '-']).replace(' ', "_");
        let named = name::inverse(&head, names).or_else(|| {
            let (label, canonical) = grammar::find_tool(&head)?;
            name::inverse(&canonical, names).filter(|_| label.is_empty())
        })?;
        let is_list = LISTS.contains(&named.command.program());
        (is_list && registry::by_command(&named.command).is_some()).then_some((named, host))
    })
}

/// The bond whose file a name stands for, with any sign in place of the slashes.
fn bond_of(stem: &str) -> Option<&str> {
    let rest = stem.strip_prefix("cat").unwrap_or(stem);
    let signs = ['_', '-', '.', ' ', '+'];
    let mut rest = rest.trim_start_matches(signs);
    for folder in ["proc", "net", "bonding"] {
        rest = rest.strip_prefix(folder)?.strip_prefix(signs)?;
    }
    // No device has a blank in its name.
    (!rest.is_empty() && !rest.contains(char::is_whitespace)).then_some(rest)
}

/// A name without what copies, backups and dates add to it.
fn bare(name: &str) -> &str {
    const SUFFIXES: &[&str] = &[
        ".bak", ".old", ".orig", ".save", "~", ".gz", ".xz", ".bz2", ".zst", ".txt", ".log",
        ".out", " - Copy", " - Kopie", " copy", "_before", "_after", "-before", "-after", "_old",
        "_new", "-old", "-new", "_output", "-output", "_out", ".1", ".0",
    ];
    let mut stem = name;
    loop {
        let mut next = SUFFIXES.iter().find_map(|suffix| stem.strip_suffix(suffix)).unwrap_or(stem);
        // ` (1)`, `-2026-01-01`, `_20260101_1200`
        if let Some((head, number)) = next.strip_suffix(')').and_then(|it| it.rsplit_once('('))
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            next = head.trim_end();
        }
        let date = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_' | ':' | 'T' | 'Z' | '.');
        let head = next.trim_end_matches(date);
        let tail = next.get(head.len()..).unwrap_or_default();
        if tail.bytes().filter(u8::is_ascii_digit).count() >= 8
            && tail.get(1..).is_some_and(|year| year.starts_with("20"))
            && tail.starts_with(['-', '_', '.'])
        {
            next = head;
        }
        if next.is_empty() || next == stem {
            return stem;
        }
        stem = next;
    }
}

/// The moment that the end of a name tells: `ip_a_before.txt`, `ip_a-2026-11-28.txt`, `ip_a.txt.bak`.
pub(crate) fn moment(member: &str) -> Option<&str> {
    const WORDS: &[&str] = &["before", "after", "old", "new", "bak", "orig", "save"];
    let base = member.rsplit('/').next().unwrap_or(member);
    let plain = TEXT.iter().find_map(|text| base.strip_suffix(text)).unwrap_or(base);
    let behind = plain.get(bare(plain).len()..)?;
    let word = behind.rsplit(['_', '-', '.', ' ']).find(|word| WORDS.contains(word));
    if word.is_some() {
        return word;
    }
    let is_date = |text: &str| text.bytes().filter(u8::is_ascii_digit).count() >= 8;
    let date = behind.trim_matches(|c: char| !c.is_ascii_digit());
    is_date(date).then_some(date)
}

/// The number that a program gave to a file of the same name: `ip_a (2).txt`.
pub(crate) fn number_of_copy(member: &str) -> Option<&str> {
    let base = member.rsplit('/').next().unwrap_or(member);
    let plain = TEXT.iter().find_map(|text| base.strip_suffix(text)).unwrap_or(base);
    let (_, number) = plain.strip_suffix(')')?.rsplit_once('(')?;
    (!number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())).then_some(number)
}

/// What a host is called whose outputs lie in a folder: as the folder, unless that says what is in it
/// (`cmd`, `10-network`) or counts; then the folder above tells.
pub(crate) fn host_of_folder(folder: &str) -> Option<String> {
    let folder = folder.trim_end_matches('/');
    let (above, last) = folder.rsplit_once('/').unwrap_or(("", folder));
    if last.is_empty() {
        return None;
    }
    let counts = last.bytes().all(|b| b.is_ascii_digit());
    if !counts && !is_topic(last) {
        return Some(last.to_owned());
    }
    let name = host_of_folder(above);
    match name {
        Some(name) if counts => Some(format!("{name}-{last}")),
        // A folder is better than nothing, where it is the only one.
        None if counts => Some(last.to_owned()),
        name => name,
    }
}

/// A folder without those at its end that are named by what is in them.
pub(crate) fn place_of(folder: &str) -> &str {
    let mut folder = folder;
    while let Some((above, last)) = folder.rsplit_once('/').or(Some(("", folder)))
        && !last.is_empty()
        && is_topic(last)
    {
        folder = above;
    }
    folder
}

/// Whether a folder is named by what is in it rather than by a host.
pub(crate) fn is_topic(folder: &str) -> bool {
    const TOPICS: &[&str] = &[
        "bridges",
        "firewall",
        "kernel",
        "kvm",
        "libvirt",
        "links",
        "nics",
        "openvswitch",
        "ovn",
        "ovs",
        "processes",
        "routes",
        "routing",
        "sysctl",
        "virt",
    ];
    match host_of_label(folder) {
        None => true,
        Some(rest) => {
            TOPICS.contains(&rest.to_ascii_lowercase().as_str()) || grammar::is_tool(&rest)
        }
    }
}

/// The folder that is called by the command whose streams are saved in it: `ip a/stdout`, `ip a/rc`.
pub(crate) fn of_streams(member: &str) -> Option<&str> {
    const STREAMS: &[&str] = &[
        "stdout",
        "stderr",
        "rc",
        "out",
        "err",
        "output",
        "exitcode",
        "exit_code",
        "status",
        "cmd",
        "result",
    ];
    let (folder, base) = member.rsplit_once('/')?;
    let plain = TEXT.iter().find_map(|text| base.strip_suffix(text)).unwrap_or(base);
    if !STREAMS.contains(&plain) {
        return None;
    }
    let last = folder.rsplit('/').next()?;
    let guess =
        guess(last, &Names::default()).filter(|guess| guess.exact && guess.label.is_none())?;
    registry::by_command(&guess.named.command).map(|_| folder)
}

/// The namespace that stands before a command: `qrouter-…_ip_a.txt`, `netns_blue_ip_a`.
fn netns_of(label: &str) -> Option<&str> {
    const MADE_BY_NEUTRON: &[&str] =
        &["qrouter-", "qdhcp-", "qlbaas-", "snat-", "fip-", "ovnmeta-", "haproxy-"];
    for said in ["ip_netns_exec_", "netns_exec_", "netns_", "netns-", "ns_", "ns-"] {
        if let Some(name) = label.strip_prefix(said).filter(|rest| !rest.is_empty()) {
            return Some(name);
        }
    }
    MADE_BY_NEUTRON.iter().any(|neutron| label.starts_with(neutron)).then_some(label)
}

/// The format of a text whose name may say something, and the command it stands for.
///
/// The content has the last word over a name that only resembles a command, and over one whose
/// format does not understand it. `seen` is the format that the content tells, or that of the name
/// where the content may be of it.
pub(crate) fn recognise(
    guess: Option<&Guess>,
    text: &str,
    seen: Option<&'static Format>,
) -> Option<(&'static Format, Command)> {
    let named = guess.and_then(|guess| registry::by_command(&guess.named.command));
    let exact = guess.is_some_and(|guess| guess.exact);
    match (named, seen) {
        (Some(named), Some(seen)) if named.id != seen.id => {
            let command = guess?.named.command.clone();
            if exact && is_understood(named, &command, text) {
                Some((named, command))
            } else {
                Some(of_content(seen))
            }
        }
        (Some(named), _) => Some((named, guess?.named.command.clone())),
        // The name tells a command that nothing reads: what it shows only looks like another's.
        (None, Some(_)) if exact && guess.is_some_and(|guess| is_command(&guess.named.command)) => {
            None
        }
        (None, Some(seen)) => Some(of_content(seen)),
        (None, None) => None,
    }
}

/// Whether it is more than the name of a tool, and all its words are those of tools:
/// `ss -peaonmi`, but not `ip` or `ip output`.
pub(crate) fn is_command(command: &Command) -> bool {
    let words = command.args();
    !words.is_empty() && words.iter().all(|word| grammar::is_word(word))
}

/// Whether a format makes sense of the beginning of a text.
pub(crate) fn is_understood(format: &Format, command: &Command, text: &str) -> bool {
    const HEAD: usize = 8 << 10;
    let most = text.floor_char_boundary(HEAD.min(text.len()));
    let end = text.get(..most).and_then(|it| it.rfind('\n')).map_or(most, |at| at + 1);
    let out = (format.read)(text.get(..end).unwrap_or(text), command);
    !out.completeness.is_failed() && out.lines.unread * 2 <= out.lines.total
}

/// A format with the command that it names itself by.
pub(crate) fn of_content(format: &'static Format) -> (&'static Format, Command) {
    (format, Command::new(format.command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_hand() {
        for (base, command, label, netns) in [
            ("ip_a.txt", "ip a", None, "root"),
            ("ip-a", "ip a", None, "root"),
            ("ip a", "ip a", None, "root"),
            ("ip-d-address.log", "ip -d address", None, "root"),
            ("ovs-vsctl show.log", "ovs-vsctl show", None, "root"),
            ("ovs-vsctl-show", "ovs-vsctl show", None, "root"),
            ("node2_ip_addr.txt", "ip addr", Some("node2"), "root"),
            ("virsh-dumpxml-vm1.xml", "virsh dumpxml vm1", None, "root"),
            ("compute-3.ethtool_-S_eth0.out", "ethtool -S eth0", Some("compute-3"), "root"),
            ("qrouter-17_ip_route.txt", "ip route", None, "qrouter-17"),
            ("conf.db", "cat /etc/openvswitch/conf.db", None, "root"),
            ("ip_a_node1.txt", "ip a", Some("node1"), "root"),
            ("ip-r-cmp3", "ip r", Some("cmp3"), "root"),
            ("ovs-vsctl_show (hv-2).txt", "ovs-vsctl show", Some("hv-2"), "root"),
            ("virsh_dumpxml_node1.xml", "virsh dumpxml node1", None, "root"),
        ] {
            let it = guess(base, &Names::default()).unwrap_or_else(|| panic!("{base}"));
            assert_eq!(it.named.command.to_string(), command, "{base}");
            assert_eq!(it.label.as_deref(), label, "{base}");
            assert_eq!(it.named.netns.to_string(), netns, "{base}");
        }
        assert_eq!(guess("notes.txt", &Names::default()), None);
        for base in [
            "ip_a (1).txt",
            "ip_a - Copy.txt",
            "ip_a.txt.bak",
            "ip_a_before.txt",
            "ip_a-2026-01-01.txt",
            "ip_a.txt.gz",
        ] {
            let it = guess(base, &Names::default()).unwrap_or_else(|| panic!("{base}"));
            assert_eq!(
                (it.named.command.to_string().as_str(), it.exact),
                ("ip a", false),
                "{base}"
            );
        }
        let behind = guess("ip_-d_address.node2.txt", &Names::default()).unwrap();
        assert_eq!(behind.label.as_deref(), Some("node2"));
    }

    #[test]
    fn moments_stand_at_the_end_of_names() {
        for (name, wanted) in [
            ("ip_a_before.txt", Some("before")),
            ("x/ip_a-after", Some("after")),
            ("ip_a.txt.bak", Some("bak")),
            ("ip_a_2026-11-28.txt", Some("2026-11-28")),
            ("ip_a-20261128_1200.log", Some("20261128_1200")),
            ("ip_a.txt", None),
            ("ip_a (2).txt", None),
            ("ip_a - Copy.txt", None),
            ("ethtool_eth0.100.txt", None),
        ] {
            assert_eq!(moment(name), wanted, "{name}");
        }
    }

    #[test]
    fn a_command_that_nothing_reads_is_not_taken_for_another() {
        let list = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n";
        for (base, read) in [("ip_output.txt", true), ("ip.txt", true), ("ip_-d_maddr", false)] {
            let it = guess(base, &Names::default());
            assert_eq!(
                recognise(it.as_ref(), list, registry::by_content(list)).is_some(),
                read,
                "{base}"
            );
        }
    }

    #[test]
    fn some_words_are_no_hosts() {
        for label in ["net", "10-network", "01", "sys", "ipv4", "2_host"] {
            assert_eq!(host_of_label(label), None, "{label}");
        }
        for (label, host) in [("10.0.0.7", "10.0.0.7"), ("01_10.0.0.7", "10.0.0.7")] {
            assert_eq!(host_of_label(label).as_deref(), Some(host));
        }
        for (label, host) in [("node-a", "node-a"), ("10-node2", "node2"), ("net_kvm7", "kvm7")] {
            assert_eq!(host_of_label(label).as_deref(), Some(host));
        }
    }
}
