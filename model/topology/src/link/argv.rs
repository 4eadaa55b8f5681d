//! What a command was asked for: object, filters and form of `ip`, and plain positionals.
use tapline_core::capture::Command;

/// An `ip` command line, as far as it decides what the output shows.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct IpCommand<'a> {
    /// `address`, `link`, `route`, `rule`, `neigh`, `netns`; other objects as typed.
    pub(crate) object: &'a str,
    /// What follows the action word.
    pub(crate) filters: Vec<&'a str>,
    /// `-d`.
    pub(crate) details: bool,
    /// `-o`.
    pub(crate) oneline: bool,
    /// `-br`.
    pub(crate) brief: bool,
    /// `-4`.
    pub(crate) inet: bool,
    /// `-6`.
    pub(crate) inet6: bool,
    /// It ran in each named namespace (`ip -all netns exec ip …`).
    pub(crate) all_namespaces: bool,
    /// The action is another than to show.
    pub(crate) not_show: bool,
}

/// Objects in the order in which iproute2 matches prefixes (`ip/ip.c`).
const OBJECTS: &[&str] = &[
    "address",
    "addrlabel",
    "maddress",
    "route",
    "rule",
    "neighbor",
    "neighbour",
    "ntable",
    "link",
    "l2tp",
    "tunnel",
    "tuntap",
    "xfrm",
    "mroute",
    "mrule",
    "netns",
    "netconf",
    "monitor",
    "vrf",
];

/// Reads an `ip` command line; `None` for other programs.
pub(crate) fn ip(command: &Command) -> Option<IpCommand<'_>> {
    if command.program() != "ip" {
        return None;
    }
    let mut words = command.args().iter().map(String::as_str).peekable();
    let mut it = IpCommand::default();
    let mut all = false;
    loop {
        // Global options come before the object.
        while let Some(option) = words.next_if(|word| word.starts_with('-')) {
            let option = option.trim_start_matches('-');
            match option {
                "4" => it.inet = true,
                "6" => it.inet6 = true,
                "f" | "family" => match words.next() {
                    Some("inet") => it.inet = true,
                    Some("inet6") => it.inet6 = true,
                    _ => {}
                },
                "n" | "netns" | "rc" | "rcvbuf" => {
                    words.next();
                }
                "a" | "all" => all = true,
                _ if is_prefix(option, "details", 1) => it.details = true,
                _ if is_prefix(option, "oneline", 1) => it.oneline = true,
                _ if is_prefix(option, "brief", 2) => it.brief = true,
                _ => {}
            }
        }
        let word = words.next()?;
        it.object = OBJECTS.iter().find(|object| object.starts_with(word)).copied().unwrap_or(word);
        if it.object == "netns" && all && words.next_if(|word| is_prefix(word, "exec", 1)).is_some()
        {
            it.all_namespaces = true;
            // The command that ran in each namespace.
            if words.next().and_then(|it| it.rsplit('/').next()) != Some("ip") {
                return None;
            }
            continue;
        }
        break;
    }
    if it.object == "neighbor" {
        it.object = "neighbour";
    }
    if let Some(&action) = words.peek() {
        let shows = ["show", "list", "lst", "ls"].iter().any(|show| is_prefix(action, show, 1));
        // `list-id` is another list; `get`, `add`, … are not lists at all.
        let other = [
            "add", "change", "delete", "get", "flush", "save", "set", "list-id", "exec",
            "identify", "pids", "monitor", "replace",
        ];
        if shows {
            words.next();
        } else if other.iter().any(|it| is_prefix(action, it, 3)) {
            it.not_show = true;
        }
    }
    it.filters = words.collect();
    Some(it)
}

/// Whether `word` abbreviates `whole` with at least `least` characters.
fn is_prefix(word: &str, whole: &str, least: usize) -> bool {
    word.len() >= least && whole.starts_with(word)
}

impl IpCommand<'_> {
    /// The value after `key` among the filters.
    pub(crate) fn value(&self, key: &str) -> Option<&str> {
        self.filters.iter().skip_while(|it| **it != key).nth(1).copied()
    }
}

/// The arguments that are no options.
pub(crate) fn positionals(command: &Command) -> impl Iterator<Item = &str> {
    command.args().iter().map(String::as_str).filter(|it| !it.starts_with('-'))
}

/// Whether one of the arguments is `option`.
pub(crate) fn has(command: &Command, option: &str) -> bool {
    command.args().iter().any(|it| it == option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_is_abbreviated_in_many_ways() {
        for (line, object, filters) in [
            ("ip a", "address", ""),
            ("ip -d addr sh", "address", ""),
            ("ip -s -s neigh show", "neighbour", ""),
            ("ip n", "neighbour", ""),
            ("ip ro", "route", ""),
            ("ip r ls table all", "route", "table all"),
            ("ip ru", "rule", ""),
            ("ip netns", "netns", ""),
            ("ip l sh dev eth0", "link", "dev eth0"),
        ] {
            let command = Command::new(line);
            let it = ip(&command).unwrap();
            assert_eq!((it.object, it.filters.join(" ").as_str()), (object, filters), "{line}");
            assert!(!it.not_show, "{line}");
        }
        let command = Command::new("ip -all netns exec ip -d a");
        let it = ip(&command).unwrap();
        assert!(it.all_namespaces && it.details && it.object == "address");
        assert!(ip(&Command::new("ip netns list-id")).unwrap().not_show);
        assert!(ip(&Command::new("ip route get 10.0.0.1")).unwrap().not_show);
        assert_eq!(ip(&Command::new("brctl show")), None);
        assert_eq!(ip(&Command::new("ip")), None);
    }
}
