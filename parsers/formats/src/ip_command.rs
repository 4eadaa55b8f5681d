//! What an `ip` command line asks for: family, object, arguments.
//!
//! Source: iproute2 `ip/ip.c`. Objects and verbs may be shortened to any prefix; where two fit,
//! the order of `ip.c` decides (`ip n` is `neighbour`, not `netns`).
use tapline_core::capture::Command;
use tapline_core::records::route::Family;

/// A parsed `ip` command line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct IpCommand<'a> {
    /// `-4`, `-6`, `-family inet6`.
    pub(crate) family: Option<Family>,
    /// The object, as typed: `r`, `route`.
    object: &'a str,
    /// What stands behind the object.
    pub(crate) args: &'a [String],
    /// `-d`.
    pub(crate) details: bool,
    /// `-o`.
    pub(crate) oneline: bool,
    /// `-br`.
    pub(crate) brief: bool,
    /// It ran in each named namespace: `ip -all netns exec ip …`.
    pub(crate) each_namespace: bool,
}

/// The objects that a prefix may mean, in the order of `ip.c`.
const OBJECTS: &[&str] = &[
    "address",
    "addrlabel",
    "maddress",
    "route",
    "rule",
    "neighbor",
    "neighbour",
    "ntable",
    "ntbl",
    "link",
    "l2tp",
    "fou",
    "ila",
    "macsec",
    "tunnel",
    "tunl",
    "tuntap",
    "tap",
    "token",
    "tcpmetrics",
    "monitor",
    "xfrm",
    "mroute",
    "mrule",
    "netns",
    "netconf",
    "vrf",
    "sr",
    "nexthop",
    "mptcp",
    "ioam",
    "help",
    "stats",
];

impl<'a> IpCommand<'a> {
    /// Reads the options; `None` for another program, and for families that have other formats
    /// (`-M`, `-0`, `-family bridge`).
    pub(crate) fn of(command: &'a Command) -> Option<Self> {
        if command.program() != "ip" {
            return None;
        }
        Self::of_words(command.args())
    }

    fn of_words(mut words: &'a [String]) -> Option<Self> {
        let mut ip = Self {
            family: None,
            object: "",
            args: &[],
            details: false,
            oneline: false,
            brief: false,
            each_namespace: false,
        };
        let mut all = false;
        while let Some((word, rest)) = words.split_first() {
            let Some(option) = word.strip_prefix('-') else {
                (ip.object, ip.args) = (word, rest);
                return if ip.is("netns") { ip.inside(all) } else { Some(ip) };
            };
            let option = option.strip_prefix('-').unwrap_or(option);
            words = rest;
            match option {
                "4" => ip.family = Some(Family::Inet),
                "6" => ip.family = Some(Family::Inet6),
                "M" | "0" | "B" => return None,
                _ if short(option, "family") => {
                    let (value, rest) = words.split_first()?;
                    words = rest;
                    ip.family = match value.as_str() {
                        "inet" => Some(Family::Inet),
                        "inet6" => Some(Family::Inet6),
                        _ => return None,
                    };
                }
                "n" | "rc" | "l" => words = words.get(1..)?,
                _ if option.len() > 1
                    && (short(option, "netns")
                        || short(option, "rcvbuf")
                        || short(option, "loops")) =>
                {
                    words = words.get(1..)?;
                }
                // `-b` is `-batch`: the commands are in a file.
                _ if short(option, "batch") => return None,
                _ if short(option, "brief") => ip.brief = true,
                _ if short(option, "details") => ip.details = true,
                _ if short(option, "oneline") => ip.oneline = true,
                _ if short(option, "all") => all = true,
                _ => {}
            }
        }
        None
    }

    /// The command that `ip [-all] netns exec [NAME] ip …` runs inside; itself for another verb.
    fn inside(self, all: bool) -> Option<Self> {
        let Some((_, rest)) = self.args.split_first().filter(|(verb, _)| short(verb, "exec"))
        else {
            return Some(self);
        };
        let inner = if all { rest } else { rest.get(1..)? };
        let (program, words) = inner.split_first()?;
        if program.rsplit('/').next() != Some("ip") {
            return None;
        }
        let ip = Self::of_words(words)?;
        Some(Self { each_namespace: all || ip.each_namespace, ..ip })
    }

    /// Whether the object is `name`.
    pub(crate) fn is(&self, name: &str) -> bool {
        OBJECTS.iter().find(|object| short(self.object, object)) == Some(&name)
    }

    /// The arguments behind `list`, `show`, `ls` or nothing; `None` for another verb.
    ///
    /// The verb may be left out only where nothing else follows: `ip route dev eth0` is an error.
    pub(crate) fn listed(&self) -> Option<&'a [String]> {
        match self.args.split_first() {
            None => Some(&[]),
            Some((verb, rest)) => is_list(verb).then_some(rest),
        }
    }
}

/// Whether `word` is `list`, `show`, `lst` or short for one.
pub(crate) fn is_list(word: &str) -> bool {
    ["list", "show", "lst"].iter().any(|prefix| short(word, prefix))
}

/// Whether `word` is a prefix of `full`.
fn short(word: &str, full: &str) -> bool {
    !word.is_empty() && full.starts_with(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_mean_what_ip_makes_of_them() {
        for (line, object, family) in [
            ("ip r", "route", None),
            ("ip -6 ro sh", "route", Some(Family::Inet6)),
            ("ip -o -d -f inet route list", "route", Some(Family::Inet)),
            ("ip ru", "rule", None),
            ("ip n", "neighbor", None),
            ("ip net", "netns", None),
            ("ip -n blue -s -s nei", "neighbor", None),
        ] {
            let command = Command::new(line);
            let ip = IpCommand::of(&command).unwrap();
            assert!(ip.is(object), "{line}");
            assert_eq!(ip.family, family, "{line}");
            assert!(ip.listed().is_some(), "{line}");
        }
        for line in ["ip", "ip -M route", "ip -b file", "route -n", "ip -n"] {
            assert_eq!(IpCommand::of(&Command::new(line)), None, "{line}");
        }
        let get = Command::new("ip route get 10.0.0.1");
        assert_eq!(IpCommand::of(&get).unwrap().listed(), None);
    }
}
