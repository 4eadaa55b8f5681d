//! The programs that a command line can begin with, for lines of which most are none.
use super::{base, is_assignment};

/// Programs whose output a format reads, and those that run them; sorted.
const PROGRAMS: &[&str] = &[
    "arp",
    "bash",
    "bpftool",
    "brctl",
    "bridge",
    "builtin",
    "busybox",
    "cat",
    "chroot",
    "cilium",
    "command",
    "conntrack",
    "crictl",
    "dash",
    "date",
    "devlink",
    "dmesg",
    "dmidecode",
    "doas",
    "docker",
    "docker-compose",
    "ebtables",
    "ebtables-save",
    "env",
    "ethtool",
    "eval",
    "exec",
    "firewall-cmd",
    "for",
    "grep",
    "head",
    "hostname",
    "hostnamectl",
    "hwclock",
    "ifconfig",
    "incus",
    "ionice",
    "ip",
    "ip6tables",
    "ip6tables-save",
    "ipset",
    "iptables",
    "iptables-save",
    "keepalived",
    "kubectl",
    "less",
    "lldpcli",
    "lldpctl",
    "ls",
    "lsmod",
    "lsns",
    "ltrace",
    "lxc",
    "lxc-attach",
    "machinectl",
    "minikube",
    "more",
    "multipass",
    "nerdctl",
    "netstat",
    "networkctl",
    "nft",
    "nice",
    "nmcli",
    "nohup",
    "nsenter",
    "nstat",
    "oc",
    "ovn-nbctl",
    "ovn-sbctl",
    "ovs-appctl",
    "ovs-dpctl",
    "ovs-ofctl",
    "ovs-testcontroller",
    "ovs-vsctl",
    "ovs-vswitchd",
    "ovsdb-client",
    "ovsdb-server",
    "ovsdb-tool",
    "pct",
    "plotnetcfg",
    "podman",
    "ps",
    "qm",
    "route",
    "runuser",
    "script",
    "sed",
    "sh",
    "slogin",
    "ss",
    "ssh",
    "sshpass",
    "stdbuf",
    "strace",
    "su",
    "sudo",
    "sysctl",
    "systemd-run",
    "tail",
    "tc",
    "teamdctl",
    "teamnl",
    "time",
    "timedatectl",
    "timeout",
    "ufw",
    "uname",
    "unbuffer",
    "unshare",
    "uptime",
    "vagrant",
    "virsh",
    "watch",
    "while",
    "zsh",
];

/// Whether a word is one of the programs.
fn is_program(word: &[u8]) -> bool {
    let lengths = word.first().and_then(|first| LENGTHS.get(usize::from(*first)));
    let may_be = lengths.is_some_and(|lengths| lengths >> word.len().min(31) & 1 == 1);
    may_be && PROGRAMS.binary_search_by(|program| program.as_bytes().cmp(word)).is_ok()
}

/// Of each first letter, how long the programs are that begin with it: a bit for each length.
const LENGTHS: [u32; 128] = {
    let mut all = [0; 128];
    let mut rest = PROGRAMS;
    while let Some((program, behind)) = rest.split_first() {
        if let Some(first) = program.as_bytes().first()
            && let Some((_, entries)) = all.split_at_mut_checked(*first as usize)
            && let Some(lengths) = entries.first_mut()
        {
            *lengths |= 1 << program.len();
        }
        rest = behind;
    }
    all
};

/// Whether a program stands anywhere in a line, as a look at its words tells: where it says no, no
/// command does, unless its name is put together of quoted parts.
pub(crate) fn has_any(line: &str) -> bool {
    let is_of_name = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    let words = line.as_bytes().split(|b| !is_of_name(*b));
    words.filter(|word| word.len() > 1).any(|word| {
        // A list numbers its lines, and marks them with dashes: `1ip a`, `-ip a`.
        let mut word = word;
        loop {
            if is_program(word) {
                return true;
            }
            let Some(next) = word.iter().position(|b| !b.is_ascii_alphabetic()) else {
                return false;
            };
            word = word.get(next + 1..).unwrap_or_default();
        }
    })
}

/// Whether one of the commands of a line may be one that a format reads. Cheap, and never wrong
/// where it says no: most lines that are looked at are no commands at all.
pub(crate) fn may_begin(line: &str) -> bool {
    const SEPARATORS: [char; 2] = [';', '&'];
    const QUOTES: [char; 3] = ['\'', '"', '\\'];
    line.split(SEPARATORS).any(|part| {
        let end = |c: char| matches!(c, ' ' | '\t' | '|' | '>' | '<');
        let word = part.trim_start().split(end).next().unwrap_or_default();
        let is_known = |word: &str| is_program(base(word).as_bytes());
        if word.contains(QUOTES) {
            // Quoted as a whole, in part, or with the blanks of a path.
            let quotes = word.bytes().filter(|b| matches!(b, b'\'' | b'"')).count();
            let opened = word.starts_with(['\'', '"']) && quotes % 2 == 1;
            let is_cut = opened || word.contains('\\');
            return is_cut && word.contains('/') || is_known(&word.replace(QUOTES, ""));
        }
        is_assignment(word) || is_known(word)
    })
}

#[cfg(test)]
mod tests {
    use tapline_formats::registry;

    use super::*;
    use crate::sos::grammar;

    #[test]
    fn programs_are_sorted() {
        assert!(PROGRAMS.is_sorted());
        assert!(
            PROGRAMS.iter().all(|program| is_program(program.as_bytes()) && program.len() < 31)
        );
        assert!(["", "é", "ovs-vsct"].iter().all(|word| !is_program(word.as_bytes())));
    }

    #[test]
    fn programs_stand_among_other_words() {
        for line in ["1.ip a", "-ip a", "a `ip a`", "$(/sbin/ip a)", "x=ip;ip a", "3ip a", "(ss)"] {
            assert!(has_any(line), "{line}");
        }
        for line in ["", "tap0: 0 0 0", "ipa", "port 3: rx pkts=1, tx pkts=2", "ip6", "— é"] {
            assert!(!has_any(line), "{line}");
        }
        for program in PROGRAMS {
            assert!(has_any(&format!("what {program}: says")), "{program}");
        }
    }

    #[test]
    fn programs_that_formats_read_are_among_them() {
        for format in registry::FORMATS {
            assert!(may_begin(format.command), "{}", format.command);
        }
        for tool in grammar::names() {
            assert!(may_begin(tool), "{tool}");
        }
    }

    #[test]
    fn lines_of_logs_are_none() {
        for line in ["Nov 29 12:00:00 node2 kernel: br-int: port 3", "", "node2;kernel&x"] {
            assert!(!may_begin(line), "{line}");
        }
        for line in
            ["cd /tmp; ip a", "/sbin/ip a", "LC_ALL=C ip a", "'ip' a", "ip a>x", "x && ip a"]
        {
            assert!(may_begin(line), "{line}");
        }
    }
}
