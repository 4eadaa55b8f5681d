//! The words of each tool: what may stand between the program and its one free argument.
//!
//! Only as much as is needed to tell, in a name whose blanks are gone, words from arguments.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// What follows the words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Hole {
    /// One name: a device, a bridge, a domain.
    Name,
    /// Further words that no table lists.
    Word,
    /// A path whose slashes became dots.
    Path,
}

/// One tool.
#[derive(Debug)]
pub(super) struct Tool {
    /// The program.
    pub(super) name: &'static str,
    /// Options whose next word is their value.
    pub(super) valued: &'static [&'static str],
    /// Words; those that hold `_` first.
    words: &'static [&'static str],
    /// Words that follow the free argument.
    pub(super) suffixes: &'static [&'static str],
    /// What the free argument is.
    pub(super) hole: Hole,
    /// sos runs it inside namespaces.
    pub(super) in_netns: bool,
}

const NONE: &[&str] = &[];

const fn tool(
    name: &'static str,
    valued: &'static [&'static str],
    words: &'static [&'static str],
    suffixes: &'static [&'static str],
    hole: Hole,
    in_netns: bool,
) -> Tool {
    Tool { name, valued, words, suffixes, hole, in_netns }
}

const OVS_TABLES: &[&str] = &[
    "Flow_Sample_Collector_Set",
    "CT_Timeout_Policy",
    "Open_vSwitch",
    "Flow_Table",
    "CT_Zone",
    "AutoAttach",
    "Controller",
    "Interface",
    "Datapath",
    "Manager",
    "NetFlow",
    "Bridge",
    "Mirror",
    "Queue",
    "IPFIX",
    "sFlow",
    "Port",
    "QoS",
    "SSL",
];

static TOOLS: &[Tool] = &[
    tool(
        "ip",
        &["-f", "-family", "-l"],
        &[
            "address",
            "addrlabel",
            "neighbour",
            "maddress",
            "multicast",
            "blackhole",
            "list-id",
            "neighbor",
            "addr",
            "link",
            "route",
            "rule",
            "neigh",
            "netns",
            "mroute",
            "maddr",
            "macsec",
            "nexthop",
            "tunnel",
            "tuntap",
            "monitor",
            "cache",
            "table",
            "noarp",
            "permanent",
            "stats",
            "local",
            "main",
            "default",
            "master",
            "scope",
            "proto",
            "show",
            "list",
            "type",
            "vrf",
            "all",
            "xfrm",
            "state",
            "policy",
            "nud",
            "dev",
            "lst",
            "get",
            "up",
            "ls",
            "ro",
            "ru",
            "a",
            "l",
            "r",
            "n",
        ],
        NONE,
        Hole::Name,
        true,
    ),
    tool("ip6tables-save", &["-t"], NONE, NONE, Hole::Name, true),
    tool("iptables-save", &["-t"], NONE, NONE, Hole::Name, true),
    tool(
        "ip6tables",
        &["-t"],
        &["security", "mangle", "filter", "nat", "raw"],
        NONE,
        Hole::Name,
        true,
    ),
    tool(
        "iptables",
        &["-t"],
        &["security", "mangle", "filter", "nat", "raw"],
        NONE,
        Hole::Name,
        true,
    ),
    tool("ebtables-save", NONE, NONE, NONE, Hole::Name, true),
    tool("ebtables", &["-t"], NONE, NONE, Hole::Word, true),
    tool("ethtool", NONE, NONE, NONE, Hole::Name, true),
    tool("brctl", NONE, &["showmacs", "showstp", "show"], NONE, Hole::Name, true),
    tool(
        "bridge",
        NONE,
        &[
            "monitor", "vlan", "link", "show", "list", "fdb", "mdb", "vni", "br", "brport", "dev",
            "state",
        ],
        NONE,
        Hole::Name,
        true,
    ),
    tool(
        "tc",
        NONE,
        &["filter", "qdisc", "class", "action", "show", "dev"],
        &["ingress", "egress", "root"],
        Hole::Name,
        true,
    ),
    tool("ifconfig", NONE, NONE, NONE, Hole::Name, true),
    tool("route", NONE, NONE, NONE, Hole::Word, true),
    tool("netstat", NONE, NONE, NONE, Hole::Word, true),
    tool("nstat", NONE, NONE, NONE, Hole::Word, true),
    tool("ss", NONE, NONE, NONE, Hole::Word, true),
    tool("arp", NONE, NONE, NONE, Hole::Word, true),
    tool("sysctl", NONE, NONE, NONE, Hole::Word, true),
    tool("conntrack", &["-o"], &["extended"], NONE, Hole::Word, true),
    tool("ipset", NONE, &["list", "save"], NONE, Hole::Word, true),
    tool("bpftool", NONE, &["net", "list", "show", "prog", "map", "dev"], NONE, Hole::Name, true),
    tool(
        "nft",
        NONE,
        &["list", "ruleset", "tables", "table", "chains", "chain", "sets", "ip6", "ip", "inet"],
        NONE,
        Hole::Word,
        true,
    ),
    tool("ls", NONE, NONE, NONE, Hole::Path, true),
    tool("lsns", NONE, NONE, NONE, Hole::Word, false),
    tool("plotnetcfg", NONE, NONE, NONE, Hole::Word, false),
    tool("networkctl", NONE, &["status", "list"], NONE, Hole::Name, false),
    tool(
        "devlink",
        NONE,
        &[
            "eswitch", "health", "param", "port", "pool", "info", "bind", "show", "trap", "dev",
            "sb", "tc",
        ],
        NONE,
        Hole::Name,
        false,
    ),
    tool(
        "ovs-vsctl",
        &["-t", "-f", "-d", "--timeout", "--db", "--columns", "--format", "--data"],
        &[
            "other_config_dpdk-init",
            "other_config",
            "external_ids",
            "iface-to-br",
            "port-to-br",
            "list-ports",
            "list-ifaces",
            "list-br",
            "br-to-vlan",
            "get-controller",
            "get-fail-mode",
            "get-manager",
            "show",
            "list",
            "find",
            "get",
        ],
        &["options"],
        Hole::Name,
        false,
    ),
    tool(
        "ovs-ofctl",
        &["-O", "-t", "--timeout", "-P"],
        &[
            "queue-get-config",
            "dump-group-features",
            "dump-meter-features",
            "dump-group-stats",
            "dump-ports-desc",
            "dump-tables-desc",
            "dump-tlv-map",
            "dump-aggregate",
            "dump-tables",
            "dump-groups",
            "dump-meters",
            "meter-stats",
            "queue-stats",
            "dump-flows",
            "dump-ports",
            "dump-desc",
            "show",
        ],
        NONE,
        Hole::Name,
        false,
    ),
    tool(
        "ovs-appctl",
        &["-t", "-T", "--target", "-secs"],
        &["OVN_Northbound", "OVN_Southbound"],
        &["options"],
        Hole::Name,
        false,
    ),
    tool(
        "ovs-dpctl",
        NONE,
        &["type_offloaded", "type_ovs", "dump-conntrack", "dump-flows", "dump-dps", "show"],
        NONE,
        Hole::Name,
        false,
    ),
    tool("ovs-testcontroller", NONE, NONE, NONE, Hole::Word, false),
    tool("ovs-vswitchd", NONE, NONE, NONE, Hole::Word, false),
    tool("ovsdb-server", NONE, NONE, NONE, Hole::Word, false),
    tool("ovsdb-client", &["-f", "--format"], &["dump", "list-dbs"], NONE, Hole::Word, false),
    tool(
        "ovn-nbctl",
        &["-t", "--timeout", "--db"],
        &["lflow-list", "show", "list", "get"],
        NONE,
        Hole::Name,
        false,
    ),
    tool(
        "ovn-sbctl",
        &["-t", "--timeout", "--db"],
        &["lflow-list", "show", "list", "get"],
        NONE,
        Hole::Name,
        false,
    ),
    tool(
        "virsh",
        &["-c", "--connect"],
        &[
            "nwfilter-dumpxml",
            "net-dhcp-leases",
            "nodedev-dumpxml",
            "pool-capabilities",
            "domcapabilities",
            "node-memory-tune",
            "nwfilter-list",
            "nodedev-list",
            "capabilities",
            "iface-list",
            "domifaddr",
            "domiflist",
            "domblklist",
            "domifstat",
            "net-dumpxml",
            "nodecpumap",
            "pool-list",
            "net-info",
            "net-list",
            "maxvcpus",
            "freecell",
            "nodeinfo",
            "dumpxml",
            "dominfo",
            "sysinfo",
            "version",
            "list",
            "kvm",
        ],
        NONE,
        Hole::Name,
        false,
    ),
    tool("teamdctl", NONE, NONE, &["state_dump", "config_dump", "state"], Hole::Name, false),
    tool("teamnl", NONE, NONE, &["option", "ports"], Hole::Name, false),
    tool("hostnamectl", NONE, &["status"], NONE, Hole::Word, false),
    tool("hostname", NONE, NONE, NONE, Hole::Word, false),
    tool("timedatectl", NONE, NONE, NONE, Hole::Word, false),
    tool("hwclock", NONE, NONE, NONE, Hole::Word, false),
    tool("uptime", NONE, NONE, NONE, Hole::Word, false),
    tool("uname", NONE, NONE, NONE, Hole::Word, false),
    tool("dmidecode", NONE, NONE, NONE, Hole::Word, false),
    tool("dmesg", NONE, NONE, NONE, Hole::Word, false),
    tool("lsmod", NONE, NONE, NONE, Hole::Word, false),
    tool("date", NONE, NONE, NONE, Hole::Word, false),
    tool("ps", NONE, NONE, NONE, Hole::Word, false),
    tool(
        "nmcli",
        NONE,
        &["general", "con", "dev", "show", "status", "id"],
        NONE,
        Hole::Name,
        false,
    ),
    tool("cat", NONE, NONE, NONE, Hole::Path, true),
];

/// The tool that a name begins with, and the rest of the name.
pub(super) fn tool_of(base: &str) -> Option<(&'static Tool, &str)> {
    TOOLS.iter().find_map(|tool| {
        let rest = base.strip_prefix(tool.name)?;
        // `ip_a`, `ip`, `uptime.1`; not `iptables` for `ip`.
        rest.is_empty().then_some((tool, rest)).or_else(|| {
            let next = rest.chars().next()?;
            let copy = next == '.' && rest.get(1..)?.bytes().all(|b| b.is_ascii_digit());
            (next == '_' || copy).then_some((tool, rest))
        })
    })
}

/// The next word of `rest`: its length there, and how it was written.
///
/// `None` where the free argument begins.
pub(super) fn next_word(
    tool: &'static Tool,
    rest: &str,
    argv: &[String],
    is_value: bool,
) -> Option<(usize, String)> {
    let end = |word: &str| {
        let after = rest.get(word.len()..)?;
        (after.is_empty() || after.starts_with('_')).then_some(word.len())
    };
    let plain = rest.split('_').next().unwrap_or(rest);
    if is_value {
        // `-t .var.run.ovn.ovnnb_db.ctl`: the path of a control socket.
        if let Some(at) = rest.find(".ctl").filter(|_| rest.starts_with('.')) {
            let socket = rest.get(..at)?;
            return Some((at + 4, format!("{}.ctl", socket.replace('.', "/"))));
        }
        return Some((plain.len(), plain.to_owned()));
    }
    if plain.starts_with('-') {
        // `--version.1`, a copy: left to the caller, who takes the number off.
        let copy = plain.rsplit_once('.').is_some_and(|(_, it)| it.parse::<u16>().is_ok());
        if copy && plain.len() == rest.len() {
            return None;
        }
        return Some((plain.len(), plain.to_owned()));
    }
    if let Some(word) =
        tool.words.iter().find(|word| rest.starts_with(**word) && end(word).is_some())
    {
        let spelled = match *word {
            "other_config_dpdk-init" => "other_config:dpdk-init",
            "type_offloaded" => "type=offloaded",
            "type_ovs" => "type=ovs",
            word => word,
        };
        return Some((word.len(), spelled.to_owned()));
    }
    let last = argv.last().map(String::as_str);
    match tool.name {
        "ovs-vsctl" if matches!(last, Some("list" | "get" | "find")) => {
            let table = OVS_TABLES.iter().find(|table| {
                rest.get(..table.len()).is_some_and(|head| head.eq_ignore_ascii_case(table))
                    && end(table).is_some()
            })?;
            // As it was written: `list bridge`.
            Some((table.len(), rest.get(..table.len())?.to_owned()))
        }
        // Every table of the schema, each as it is written there.
        "ovn-nbctl" | "ovn-sbctl" if matches!(last, Some("list" | "find")) => {
            let is_name = rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && rest.ends_with(|c: char| c.is_ascii_alphabetic());
            is_name.then(|| (rest.len(), rest.to_owned()))
        }
        "ovs-vsctl" if plain == "." => Some((1, ".".to_owned())),
        // 4.7.2 and later run `ovs-appctl get Interface PORT options`, which is no command of it.
        "ovs-appctl"
            if matches!(
                (plain, last),
                ("get", Some("ovs-appctl")) | ("Interface", Some("get"))
            ) =>
        {
            Some((plain.len(), plain.to_owned()))
        }
        // The command of the daemon: `fdb.show`, behind options only.
        "ovs-appctl" if plain.contains('.') && !argv.iter().any(|argv| is_daemon_command(argv)) => {
            Some((plain.len(), plain.replace('.', "/")))
        }
        _ => None,
    }
}

/// `fdb/show`; not the path of a socket.
fn is_daemon_command(word: &str) -> bool {
    word.contains('/') && !word.starts_with('/')
}

/// A path whose slashes became dots. Dots of its own are kept where they are known to be: before
/// a usual suffix, and in the names of devices.
pub(crate) fn path(dotted: &str) -> String {
    const FOLDERS: &[&str] = &[".proc.net.bonding.", ".proc.net.vlan.", ".sys.class.net."];
    const SUFFIXES: &[&str] = &[".xml", ".conf", ".db", ".leases", ".log", ".json", ".yaml"];
    for folder in FOLDERS {
        if let Some(name) = dotted.strip_prefix(folder) {
            return folder.replace('.', "/") + name;
        }
    }
    match SUFFIXES.iter().find_map(|suffix| Some((dotted.strip_suffix(suffix)?, suffix))) {
        Some((head, suffix)) => head.replace('.', "/") + suffix,
        None => dotted.replace('.', "/"),
    }
}

/// Names that every report may hold.
pub(super) fn well_known(hole: &str) -> Option<&'static str> {
    match hole {
        "system_ovs-system" => Some("system@ovs-system"),
        "netdev_ovs-netdev" => Some("netdev@ovs-netdev"),
        _ => None,
    }
}

/// Whether a program is in the tables.
pub(crate) fn is_tool(program: &str) -> bool {
    // By the first letter: most words that are asked about are no programs.
    static NAMES: LazyLock<BTreeMap<u8, Vec<&str>>> = LazyLock::new(|| {
        let mut names = BTreeMap::<u8, Vec<&str>>::new();
        for tool in TOOLS {
            names.entry(tool.name.bytes().next().unwrap_or_default()).or_default().push(tool.name);
        }
        names
    });
    let first = program.bytes().next();
    first.and_then(|first| NAMES.get(&first)).is_some_and(|names| names.contains(&program))
}

/// The programs in the tables.
#[cfg(test)]
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    TOOLS.iter().map(|tool| tool.name)
}

/// Whether a word is one that tools know, or an option.
pub(crate) fn is_word(word: &str) -> bool {
    word.starts_with('-') || TOOLS.iter().any(|tool| tool.words.contains(&word))
}

/// Finds a tool inside a name that people made up, and rewrites the rest as sos would.
///
/// `node2_ip-d-address` gives `node2_` and `ip_-d_address`.
pub(crate) fn find_tool(name: &str) -> Option<(&str, String)> {
    const SEPARATORS: &[char] = &['_', '-', '.', ' ', '+', ','];
    let starts = std::iter::once(0).chain(name.match_indices(SEPARATORS).map(|(at, _)| at + 1));
    for start in starts {
        let tail = name.get(start..)?;
        // The longest program: `iptables-save` rather than `iptables`.
        let found = TOOLS
            .iter()
            .filter(|tool| {
                tail.strip_prefix(tool.name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATORS))
            })
            .max_by_key(|tool| tool.name.len());
        let Some(tool) = found else { continue };
        // Words of everyday language: only at the start, or they mean something else.
        let everyday = matches!(tool.name, "date" | "ps" | "route" | "cat" | "ls" | "hostname");
        if everyday && start > 0 && tail.len() > tool.name.len() + 8 {
            continue;
        }
        let mut canonical = tool.name.to_owned();
        let mut rest = tail.get(tool.name.len()..)?;
        while let Some(next) = rest.strip_prefix(SEPARATORS) {
            canonical.push('_');
            let end = next.strip_prefix('-').unwrap_or(next).find(SEPARATORS);
            let end = end.map_or(next.len(), |end| end + usize::from(next.starts_with('-')));
            let token = next.get(..end)?;
            let whole = |word: &str| {
                next.strip_prefix(word)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(SEPARATORS))
            };
            if let Some(word) = tool.words.iter().find(|word| whole(word)) {
                canonical.push_str(word);
                rest = next.get(word.len()..)?;
            } else if token.starts_with('-') {
                canonical.push_str(token);
                rest = next.get(end..)?;
            } else if token.len() == 1 || matches!(token, "br" | "nvL" | "vnxL" | "rn") {
                canonical.push('-');
                canonical.push_str(token);
                rest = next.get(end..)?;
            } else {
                canonical.push_str(next);
                rest = "";
            }
        }
        return Some((name.get(..start)?, canonical));
    }
    None
}
