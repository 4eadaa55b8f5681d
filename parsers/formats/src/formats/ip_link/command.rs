//! What the invocations of `ip` that list devices ask for, and what they leave out.
use tapline_core::capture::Command;
use tapline_core::records::link::ONLY_UP;
use tapline_core::records::route::Family;
use tapline_core::request::{NetnsScope, Request, Topic};

use crate::ip_command::{IpCommand, is_list};

/// What `ip address` asks for; `None` for another command.
pub(super) fn address(command: &Command) -> Option<Request> {
    let (ip, filter) = listing(command, "address")?;
    let mut topics = Vec::new();
    // Devices without an address are missing from listings of one family, and of one line each.
    let all_devices = ip.family.is_none() && (!ip.oneline || ip.brief);
    if all_devices {
        topics.extend(of_devices(&ip));
    }
    if ip.family.is_none() {
        topics.push(Topic::Addresses);
    }
    let mut request = Request::filtered(&topics, !filter.is_empty());
    if !all_devices {
        request.part.push(Topic::Links);
    }
    if ip.family.is_some() {
        request.part.push(Topic::Addresses);
    }
    Some(with_scope(request, &ip, filter))
}

/// What `ip link` asks for; `None` for another command.
pub(super) fn link(command: &Command) -> Option<Request> {
    let (ip, filter) = listing(command, "link")?;
    let topics: Vec<_> = of_devices(&ip).collect();
    Some(with_scope(Request::filtered(&topics, !filter.is_empty()), &ip, filter))
}

/// What every listing of devices answers.
fn of_devices(ip: &IpCommand<'_>) -> impl Iterator<Item = Topic> + use<> {
    let (brief, details) = (ip.brief, ip.details);
    let all = [
        (Topic::Links, true),
        (Topic::BridgeMembers, !brief),
        (Topic::LinkDetails, !brief && details),
    ];
    all.into_iter().filter(|(_, shown)| *shown).map(|(topic, _)| topic)
}

fn with_scope(request: Request, ip: &IpCommand<'_>, filter: &[String]) -> Request {
    let mut words = filter.iter().map(String::as_str).skip_while(|word| *word != "dev");
    let device = words.next().and(words.next());
    let netns = if ip.each_namespace { NetnsScope::EachNamed } else { NetnsScope::Own };
    Request { netns, ..request.about(device).of_family(ip.family) }
}

/// In words, why the listing does not show all devices and addresses; `None` where it does.
pub(super) fn shows_only(command: &Command) -> Option<String> {
    let (ip, filter) = listing(command, "address").or_else(|| listing(command, "link"))?;
    let filter: Vec<&str> =
        filter.iter().map(String::as_str).filter(|&word| word != "novf").collect();
    let family = ip.family.map(|family| match family {
        Family::Inet6 => "IPv6",
        Family::Inet => "IPv4",
    });
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

/// A command line that lists `object`, and the words behind its verb.
fn listing<'a>(command: &'a Command, object: &str) -> Option<(IpCommand<'a>, &'a [String])> {
    let ip = IpCommand::of(command).filter(|ip| ip.is(object))?;
    let Some((verb, filter)) = ip.args.split_first() else { return Some((ip, &[])) };
    // `ip link s` is `set`, `ip address s` is `show`.
    let is_set = object == "link" && verb == "s";
    (is_list(verb) && !is_set).then_some((ip, filter))
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
            let command = Command::new(it);
            assert!(address(&command).is_some() && link(&command).is_none(), "{it}");
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
            let command = Command::new(it);
            assert!(link(&command).is_some() && address(&command).is_none(), "{it}");
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
            let command = Command::new(it);
            assert!(link(&command).is_none() && address(&command).is_none(), "{it}");
        }
    }

    #[test]
    fn filters_leave_things_out() {
        let only = |text: &str| shows_only(&Command::new(text));
        assert_eq!(only("ip -d address show"), None);
        assert_eq!(only("ip link show novf"), None);
        assert_eq!(only("ip a s dev eth0").as_deref(), Some("shows only `dev eth0`"));
        assert_eq!(only("ip -4 a").as_deref(), Some("shows only devices with IPv4 addresses"));
        assert!(only("ip -6 addr show up").is_some_and(|only| only.contains("IPv6")));
    }
}
