//! Which invocations of `ip` list devices, and what they leave out.
use tapline_core::capture::Command;
use tapline_core::records::link::ONLY_UP;

/// The object of the command.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Object {
    /// `ip address`.
    Address,
    /// `ip link`.
    Link,
}

/// What `command` lists, if it lists devices at all.
pub(super) fn lists(command: &Command) -> Option<Object> {
    (command.program() == "ip").then(|| parse(command.args())).flatten().map(|it| it.object)
}

/// In words, why the listing does not show all devices and addresses; `None` where it does.
pub(super) fn shows_only(command: &Command) -> Option<String> {
    let Listing { family, filter, .. } = parse(command.args())?;
    let filter: Vec<&str> = filter.iter().map(String::as_str).filter(|&it| it != "novf").collect();
    match (family, filter.as_slice()) {
        (None, []) => None,
        (None, ["up"]) => Some(ONLY_UP.to_owned()),
        (Some(family), []) => Some(format!("shows only devices with {family} addresses")),
        (None, filter) => Some(format!("shows only `{}`", filter.join(" "))),
        (Some(family), filter) => {
            Some(format!("shows only {family} addresses of `{}`", filter.join(" ")))
        }
    }
}

/// A command line that lists.
struct Listing<'a> {
    object: Object,
    /// Restriction to an address family.
    family: Option<&'static str>,
    /// The words behind `show`.
    filter: &'a [String],
}

/// Options, object, `show`, filters. iproute2 takes every prefix of a word (`utils.c`,
/// `matches`), the first in the order of its tables.
fn parse(args: &[String]) -> Option<Listing<'_>> {
    let (mut args, mut family) = (args, None);
    let mut all = false;
    while let Some((option, rest)) = args.split_first().filter(|(it, _)| it.starts_with('-')) {
        args = rest;
        let name = option.strip_prefix("--").or_else(|| option.strip_prefix('-'))?;
        match name {
            "4" => family = Some("IPv4"),
            "6" => family = Some("IPv6"),
            _ if abbreviates(name, "family") => {
                let (value, rest) = args.split_first()?;
                args = rest;
                family = match value.as_str() {
                    "inet" => Some("IPv4"),
                    "inet6" => Some("IPv6"),
                    _ => family,
                };
            }
            _ if abbreviates(name, "all") => all = true,
            // `-b` is `-batch`: the commands are in a file.
            _ if abbreviates(name, "batch") => return None,
            _ if abbreviates(name, "loops")
                || abbreviates(name, "netns")
                || (name.len() > 1 && abbreviates(name, "rcvbuf")) =>
            {
                args = args.split_first()?.1;
            }
            _ => {}
        }
    }
    let (object, rest) = args.split_first()?;
    let object = if abbreviates(object, "address") {
        Object::Address
    } else if abbreviates(object, "link") {
        Object::Link
    } else if abbreviates(object, "netns") {
        // `ip [-all] netns exec [NAME] ip …`
        let (exec, rest) = rest.split_first()?;
        let inner = if all { rest } else { rest.split_first()?.1 };
        let (program, inner) = inner.split_first()?;
        let known = abbreviates(exec, "exec") && (program == "ip" || program.ends_with("/ip"));
        return known.then(|| parse(inner)).flatten();
    } else {
        return None;
    };
    let Some((verb, filter)) = rest.split_first() else {
        return Some(Listing { object, family, filter: &[] });
    };
    // `ip link s` is `set`, `ip address s` is `show`.
    let shortest = if object == Object::Link { 2 } else { 1 };
    let shows = (abbreviates(verb, "show") && verb.len() >= shortest)
        || abbreviates(verb, "list")
        || abbreviates(verb, "lst");
    shows.then_some(Listing { object, family, filter })
}

/// Whether iproute2 takes `word` for `full`.
fn abbreviates(word: &str, full: &str) -> bool {
    !word.is_empty() && full.starts_with(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listings_are_claimed_in_every_abbreviation() {
        for it in [
            "ip a",
            "ip ad",
            "ip addr show",
            "ip -4 a",
            "ip address",
            "ip -d address list",
            "ip -s -d a s",
            "ip addr show dev eth0",
            "ip -all netns exec ip a",
            "ip -br -c a",
            "ip -f inet6 addr",
            "ip -n blue a",
            "ip --oneline addr",
            "ip netns exec x ip a ls",
        ] {
            assert_eq!(lists(&Command::new(it)), Some(Object::Address), "{it}");
        }
        for it in [
            "ip l",
            "ip link",
            "ip -d -s l",
            "ip -details -statistics link",
            "ip link show up",
            "ip -j -d -s link",
            "ip li sh",
            "ip link ls",
            "ip link list",
            "ip -br l",
        ] {
            assert_eq!(lists(&Command::new(it)), Some(Object::Link), "{it}");
        }
        for it in [
            "ip",
            "ip link add v0 type veth",
            "ip link set eth0 up",
            "ip link s eth0 up",
            "ip addr add 10.0.0.1/8 dev x",
            "ip addr flush dev x",
            "ip route",
            "ip addrlabel",
            "ip l2tp show tunnel",
            "bridge link",
            "ip maddr",
            "ip -b file",
            "ip -all netns exec",
        ] {
            assert_eq!(lists(&Command::new(it)), None, "{it}");
        }
    }

    #[test]
    fn filters_leave_things_out() {
        let only = |it: &str| shows_only(&Command::new(it));
        assert_eq!(only("ip -d address show"), None);
        assert_eq!(only("ip link show novf"), None);
        assert_eq!(only("ip a s dev eth0").as_deref(), Some("shows only `dev eth0`"));
        assert_eq!(only("ip -4 a").as_deref(), Some("shows only devices with IPv4 addresses"));
        assert!(only("ip -6 addr show up").is_some_and(|it| it.contains("IPv6")));
    }
}
