//! Commands that may stand behind a prompt: those that formats read, and those that show the network.
use crate::command::looped::Loop;
use crate::command::{self, Invocation};
use crate::sos::grammar;
use crate::transcript::is_claimed;

/// Whether a format reads what the command prints.
pub(in crate::transcript) fn known_printing(typed: &str) -> bool {
    let first = typed.trim_start().chars().next();
    first.is_some_and(|c| c.is_ascii_alphanumeric() || c == '/')
        && command::may_begin(typed)
        && (command::parse(typed).iter().any(is_claimed)
            || Loop::of(typed).is_some_and(|looped| looped.runs("x").iter().any(is_claimed)))
}

/// The only command of a line that is nothing else, if a format reads what it prints.
pub(in crate::transcript) fn printed_by(line: &str) -> Option<Invocation> {
    const LONGEST: usize = 400;
    let typed = line.trim().trim_start_matches(['$', '#']).trim_start();
    if line.len() > LONGEST || !known_printing(typed) {
        return None;
    }
    command::parse_one(typed)
}

/// A program that prints lines with `#` in front, or none.
pub(in crate::transcript) fn commenting(program: &str) -> &'static str {
    const COMMENTING: &[&str] =
        &["iptables-save", "ip6tables-save", "nft", "cat", "virsh", "ebtables-save"];
    COMMENTING.iter().find(|commenting| **commenting == program).copied().unwrap_or_default()
}

/// Whether a command shows the network, though nothing reads what it prints.
pub(in crate::transcript) fn is_of_network(run: &Invocation) -> bool {
    const PROGRAMS: &[&str] = &[
        "arp",
        "conntrack",
        "dig",
        "ebtables",
        "firewall-cmd",
        "ifconfig",
        "ipset",
        "iw",
        "lldpctl",
        "lshw",
        "lspci",
        "mtr",
        "netstat",
        "networkctl",
        "nmcli",
        "ovn-trace",
        "ping",
        "ss",
        "tc",
        "tcpdump",
        "teamdctl",
        "traceroute",
        "ufw",
        "wicked",
        "crictl",
        "calicoctl",
        "cilium",
        "qm",
        "pct",
    ];
    let program = run.command.program();
    let verb = run.command.args().iter().find(|arg| !arg.starts_with('-'));
    let shows = |verbs: &[&str]| verb.is_some_and(|verb| verbs.contains(&verb.as_str()));
    // Of tools for many things those verbs that show some of the network.
    let of_guests = match program {
        "docker" | "podman" | "nerdctl" => shows(&["inspect", "network", "port"]),
        "kubectl" | "oc" => shows(&["get", "describe"]),
        "lxc" | "incus" => shows(&["info", "list", "network"]),
        "openstack" => shows(&["network", "port", "router", "server", "subnet", "floating"]),
        "netplan" | "pvesh" => shows(&["get", "status"]),
        "xl" | "xm" => shows(&["list", "network-list"]),
        "xe" => verb.is_some_and(|verb| verb.ends_with("-list")),
        _ => false,
    };
    !run.elsewhere && (of_guests || grammar::is_tool(program) || PROGRAMS.contains(&program))
}

/// Whether what a command printed may tell something of the host: nobody misses the others.
pub(in crate::transcript) fn may_tell(run: &Invocation) -> bool {
    const QUIET: &[&str] = &[
        "alias",
        "apt",
        "apt-cache",
        "apt-get",
        "brew",
        "chmod",
        "chown",
        "clear",
        "cp",
        "curl",
        "date",
        "dnf",
        "dpkg",
        "echo",
        "exit",
        "git",
        "history",
        "id",
        "la",
        "ll",
        "ln",
        "ls",
        "make",
        "man",
        "mkdir",
        "mv",
        "nano",
        "passwd",
        "pip",
        "pip3",
        "printf",
        "pwd",
        "rm",
        "rpm",
        "scp",
        "ssh-keygen",
        "tar",
        "touch",
        "tree",
        "unzip",
        "useradd",
        "vi",
        "vim",
        "wget",
        "which",
        "who",
        "whoami",
        "yum",
        "zypper",
    ];
    // A name and nothing behind it may be anything, a word of a sentence too.
    let program = run.command.program();
    let bytes = program.as_bytes();
    let is_name = bytes.first().is_some_and(|b| b.is_ascii_lowercase() || matches!(b, b'.' | b'/'))
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"._-/+".contains(b));
    !run.elsewhere && is_name && !QUIET.contains(&program)
}

/// Whether it is a command of a tool that tapline knows.
pub(in crate::transcript) fn known(typed: &str) -> bool {
    command::parse(typed).first().is_some_and(|parsed| {
        let listed = grammar::is_tool(parsed.command.program());
        let words = parsed.command.args();
        // `# virsh net-define FILE`: what a tool does, in words that are joined.
        let is_action = |word: &String| {
            word.contains('-') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
        };
        let acts = words.first().is_some_and(|word| !word.starts_with('-') && is_action(word));
        // `# route tables look odd` is a remark.
        listed && (acts || words.len() <= 1 || words.iter().any(|word| grammar::is_word(word)))
    })
}
