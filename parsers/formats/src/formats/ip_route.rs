//! `ip route [show]` of both families, text and JSON.
//!
//! Source of the format: iproute2 `ip/iproute.c`, `print_route`, and `ip/iproute_lwtunnel.c`;
//! 2.6 to 6.x.
//!
//! ```text
//! default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.7 metric 100
//! 192.0.2.0/24 dev eth0  proto kernel  scope link  src 192.0.2.7
//! 198.51.100.0/24
//!     nexthop via 192.0.2.2 dev eth0 weight 1
//!     nexthop via 192.0.2.3 dev eth0 weight 1
//! blackhole 203.0.113.0/24
//! ```
//!
//! Older versions print two blanks between some attributes; `-o` joins lines with backslashes;
//! a route cache adds lines that begin with `cache`. Nothing at all is a complete answer.
mod attributes;
mod json;
pub(super) mod numbers;
mod spans;

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;
use nom::Parser as _;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::route::{Family, Gateway, Nexthop, Route};
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use super::ip_link::ansi;
use crate::format::{Ends, Format, Per, is_begun};
use crate::ip_command::IpCommand;
use crate::json::each_element;
use crate::keyed::token;
use crate::lines::{Read, each_block, finish};
use crate::nomx::{Parsed, must, refuse};
use attributes::{Below, attributes, below, is_known};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("ip-route"),
    command: "ip route show table all",
    collect: &[
        Per::Host.run("ip route show table all"),
        Per::Namespace.run("ip route show table all"),
        // That it lists no route of IPv6 may have another reason.
        Per::Host.run("ip -6 route show table all"),
        Per::Namespace.run("ip -6 route show table all"),
    ],
    claims: |command| Some(request(shown(command)?, IpCommand::of(command)?.family)),
    sniff,
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends { torn: is_torn, ..Ends::LINES },
};

/// A destination alone, a key without its value, and the beginning of a word.
fn is_torn(last: &str) -> bool {
    const VALUED: &[&str] = &["via", "dev", "src", "metric", "proto", "scope", "table"];
    const WORDS: &[&str] = &[
        "via", "dev", "src", "metric", "proto", "scope", "table", "link", "host", "global",
        "kernel", "static", "boot", "dhcp", "linkdown", "onlink",
    ];
    let words: Vec<&str> = last.split_whitespace().collect();
    let (Some(first), Some(end)) = (words.first(), words.last()) else { return false };
    if last.starts_with([' ', '\t', '[']) {
        return false;
    }
    let is_route = *first == "default"
        || first.starts_with(|c: char| c.is_ascii_hexdigit()) && first.contains(['.', ':']);
    is_route && (words.len() == 1 || VALUED.contains(end) || is_begun(end, WORDS))
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Route>> {
    let mut out = match ansi::strip(text) {
        None => read(text),
        Some(plain) => {
            let mut out = read(&plain.text);
            for route in &mut out.records {
                spans::each(route, &mut |span| *span = plain.original(*span));
            }
            for problem in &mut out.problems {
                problem.span = plain.original(problem.span);
            }
            out
        }
    };
    // Without a family only `table all` lists both (`iproute_list_flush_or_save`).
    let all = |args: &[String]| args.iter().any(|arg| arg == "all" || "cached".starts_with(&**arg));
    let hint = IpCommand::of(command).and_then(|call| call.family);
    let hint = hint.or_else(|| shown(command).filter(|shown| !all(shown)).map(|_| Family::Inet));
    for route in &mut out.records {
        if route.family.is_none() {
            route.family = family(route).or(hint);
        }
    }
    if let Some(reason) = shown(command).and_then(narrowed) {
        out.completeness = std::mem::take(&mut out.completeness).and(Completeness::Partial(reason));
    }
    out
}

/// Reads a text without colours.
fn read(text: &str) -> Outcome<Vec<Route>> {
    let mut out = Outcome::default();
    if text.trim_start().starts_with('[') {
        // iproute2 4.x prints `{}` for what its filter left out.
        let mut each = Outcome::default();
        each_element(text, &mut each, |raw| json::route(text, raw));
        out = each.map(|all| all.into_iter().flatten().collect());
    } else {
        each_block(
            text,
            &mut out,
            |line| route(text, line),
            |_, line| below(text, line),
            |route, part| match part {
                Below::Nexthop(nexthop, mut fields) => {
                    route.nexthops.push(nexthop);
                    route.other.append(&mut fields);
                }
                Below::Fields(mut fields) => route.other.append(&mut fields),
            },
        );
    }
    finish(text, &mut out);
    out
}

/// Types of routes that stand before the destination (`rtnl_rtntype_n2a`).
const TYPES: &[&str] = &[
    "unicast",
    "local",
    "broadcast",
    "anycast",
    "multicast",
    "blackhole",
    "unreachable",
    "prohibit",
    "throw",
    "nat",
    "xresolve",
];

/// The first line of a route.
fn route<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Route>> {
    let mut route = Route::new(Span::of(text, line));
    let (mut input, mut first) = token(line)?;
    if let Some(kind) = numbers::kind(first, input) {
        route.kind = kind.into();
        (input, first) = token(input)?;
    } else if TYPES.contains(&first) {
        route.kind = first.into();
        (input, first) = must("a destination after the type", token).parse(input)?;
    }
    if first != "default" {
        let Some(net) = network(first) else {
            return refuse(first, "`default` or a prefix such as 192.0.2.0/24");
        };
        route.destination = Some(At::new(net, Span::of(text, first)));
    }
    // Prose may begin with an address; a route goes on with an attribute.
    if let Ok((_, next)) = token(input)
        && !is_known(next)
    {
        return refuse(next, "an attribute such as `via` or `dev`");
    }
    let (input, ()) = attributes(text, input, &mut route)?;
    numbers::named(&mut route);
    Ok((input, Read::Took(route)))
}

/// An address or prefix; host bits stay. `0/8` is a prefix of zeros without its address.
pub(super) fn network(text: &str) -> Option<IpNet> {
    if let Some(len) = text.strip_prefix("0/") {
        return IpNet::new(IpAddr::from([0; 4]), len.parse().ok()?).ok();
    }
    text.parse().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))
}

/// What the addresses of a route, or an attribute that one family alone has, tell of its family.
fn family(route: &Route) -> Option<Family> {
    let via = |it: &At<Gateway>| match &it.value {
        Gateway::Ip(ip) => Some(of(*ip)),
        Gateway::Name(_) => None,
    };
    route
        .destination
        .as_ref()
        .map(|destination| of(destination.addr()))
        .or_else(|| route.src.map(of))
        .or_else(|| route.via.as_ref().and_then(via))
        .or_else(|| route.nexthops.iter().find_map(|hop: &Nexthop| hop.via.as_ref().and_then(via)))
        .or_else(|| Field::find(&route.other, "pref").map(|_| Family::Inet6))
}

/// The family of an address.
pub(super) fn of(ip: IpAddr) -> Family {
    if ip.is_ipv4() { Family::Inet } else { Family::Inet6 }
}

fn other(family: Family) -> Family {
    match family {
        Family::Inet => Family::Inet6,
        Family::Inet6 => Family::Inet,
    }
}

/// The arguments behind `ip route show`; `None` for another command.
fn shown(command: &Command) -> Option<&[String]> {
    let ip = IpCommand::of(command)?;
    if ip.is("route") { ip.listed() } else { None }
}

/// Which tables were asked for. The main one where none is named.
fn request(args: &[String], family: Option<Family>) -> Request {
    let (mut table, mut filtered) = (Cow::Borrowed("main"), false);
    let mut rest = args;
    while let [word, after @ ..] = rest {
        rest = after;
        match after {
            [name, after @ ..] if word == "table" => {
                table = Cow::Borrowed(name.as_str());
                rest = after;
            }
            // The table of a VRF, whose number it does not print.
            [name, after @ ..] if word == "vrf" => {
                table = Cow::Owned(format!("vrf {name}"));
                rest = after;
            }
            _ => filtered = true,
        }
    }
    let topics: &[Topic] = match &*table {
        "all" | "0" => &[Topic::Routes, Topic::AllRoutes],
        "main" | "254" => &[Topic::Routes],
        _ => {
            filtered = true;
            &[Topic::AllRoutes]
        }
    };
    let filtered = filtered || family == Some(Family::Inet6);
    Request::filtered(topics, filtered).of_table(Some(&table)).of_family(family)
}

/// Why these arguments show a part of a table only. Which table is no filter: it is a question of
/// its own.
fn narrowed(args: &[String]) -> Option<String> {
    let mut words = args.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "table" => {
                if words.next() == Some("cache") {
                    return Some("shows the route cache".to_owned());
                }
            }
            "vrf" => {
                words.next();
            }
            "cache" | "cached" => return Some("shows the route cache".to_owned()),
            _ => return Some(format!("filtered: {}", args.join(" "))),
        }
    }
    None
}

/// How sure the first lines are to be routes.
fn sniff(head: &str) -> u8 {
    let head = head.trim_start_matches(['\n', '\r']);
    if head.starts_with('[') {
        let head = head.trim_start_matches(['[', '{', ' ', '\n', '\t']);
        let is = head.starts_with("\"dst\"") || head.starts_with("\"type\"");
        let route = ["\"protocol\"", "\"gateway\"", "\"flags\"", "\"scope\""];
        let neighbour = head.contains("\"lladdr\"") || head.contains("\"state\"");
        return if is && !neighbour && route.iter().any(|route| head.contains(route)) {
            85
        } else {
            0
        };
    }
    let Some(first) = head.lines().find(|line| !line.trim().is_empty()) else { return 0 };
    match route(first, first.trim_end()) {
        Ok((rest, Read::Took(_))) if rest.trim().is_empty() => {
            let words = || first.split_ascii_whitespace();
            let strong = |text: &str| matches!(text, "via" | "proto" | "scope" | "metric" | "nhid");
            let lladdr = words()
                .any(|word| word == "lladdr" || word.chars().all(|c| c.is_ascii_uppercase()));
            if lladdr {
                0
            } else if words().any(strong) {
                85
            } else {
                60
            }
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<Route>> {
        parse(text, &Command::new(command))
    }

    fn only(line: &str) -> Route {
        let mut out = read(line, "ip route");
        assert_eq!((out.records.len(), out.problems.as_slice()), (1, [].as_slice()), "{line}");
        out.records.pop().unwrap()
    }

    fn other<'a>(route: &'a Route, key: &str) -> &'a str {
        Field::find(&route.other, key).map_or("-", |it| it.as_str())
    }

    #[test]
    fn every_field_has_its_place() {
        let text = "default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.7 metric 100 \n\
                    198.51.100.0/24 dev br-ex  proto kernel  scope link  src 198.51.100.4 linkdown\n";
        let out = read(text, "ip route");
        let [default, net] = out.records.as_slice() else { panic!() };
        assert!(default.is_default() && default.metric == Some(100));
        assert_eq!(default.family, Some(Family::Inet));
        assert_eq!(text.get(default.via.as_ref().unwrap().span.range()).unwrap(), "192.0.2.1");
        assert_eq!(net.dev.as_ref().unwrap().value, "br-ex");
        assert_eq!(
            text.get(net.destination.as_ref().unwrap().span.range()).unwrap(),
            "198.51.100.0/24"
        );
        assert!(net.has_flag("linkdown") && net.scope.as_deref() == Some("link"));
        assert!(net.at.end as usize <= text.len());
    }

    #[test]
    fn types_tables_and_metrics() {
        let route = only("throw 192.0.2.0/24 table 7 metric 4278198272 mtu lock 1400 advmss 1360");
        assert_eq!((route.kind.as_str(), route.metric), ("throw", Some(4_278_198_272)));
        assert_eq!(route.table.as_ref().unwrap().value, "7");
        assert_eq!((other(&route, "mtu"), other(&route, "advmss")), ("lock 1400", "1360"));
        assert!(only("unreachable default dev lo metric 4294967295 error -101").is_default());
        assert_eq!(only("prohibit 10.97.0.0/16").kind, "prohibit");
        assert_eq!(only("0/8 dev lo").destination.unwrap().prefix_len(), 8);
    }

    #[test]
    fn next_hops_on_lines_of_their_own_and_joined() {
        let lines = "198.51.100.0/24 proto bird\n\tnexthop via 192.0.2.2 dev eth0 weight 1 onlink\n\
                     \tnexthop via inet6 fe80::3  dev eth1 weight 2 pref medium\n";
        let joined = lines.trim_end().replace('\n', "\\");
        for (text, lines) in [(lines, 3), (&joined, 1)] {
            let out = read(text, "ip route");
            assert_eq!(out.problems, []);
            assert_eq!(out.lines.read, lines);
            let [route] = out.records.as_slice() else { panic!() };
            let [a, b] = route.nexthops.as_slice() else { panic!() };
            assert_eq!((a.weight, b.weight), (Some(1), Some(2)));
            assert_eq!(a.flags.len(), 1);
            assert_eq!(b.dev.as_ref().unwrap().value, "eth1");
            assert!(
                text.get(b.at.range()).unwrap().starts_with("nexthop")
                    && text.get(b.at.range()).unwrap().ends_with('2')
            );
            assert_eq!(other(route, "pref"), "medium");
            assert_eq!(route.family, Some(Family::Inet));
        }
    }

    #[test]
    fn family_is_told_by_addresses_or_the_command() {
        assert_eq!(only("default via inet6 fe80::1 dev eth0").family, Some(Family::Inet));
        assert_eq!(only("default via fe80::1 dev eth0").family, Some(Family::Inet6));
        // Without a family the tool lists IPv4, and both where all tables are asked for.
        assert_eq!(only("default dev eth0 scope link").family, Some(Family::Inet));
        let out = read("unreachable default dev lo metric -1\n", "ip route show table all");
        assert_eq!((out.records[0].family, out.records[0].metric), (None, Some(u32::MAX)));
        assert_eq!(only("default dev eth0 metric 1 pref high").family, Some(Family::Inet6));
        let out = read("default dev eth0\n", "ip -6 route");
        assert_eq!(out.records[0].family, Some(Family::Inet6));
    }

    #[test]
    fn encapsulation_keeps_its_own_keys() {
        let route =
            only("192.0.2.0/24  encap seg6 mode encap segs 1 [ fd00:: ] via inet6 fe80::1 dev x");
        assert_eq!(other(&route, "encap"), "seg6 mode encap segs 1 [ fd00:: ]");
        let route = only(
            "192.0.2.0/24 nhid 4 encap ip id 9 src 0.0.0.0 dst 10.0.0.2 ttl 0 dev vxlan0 scope link",
        );
        assert_eq!((other(&route, "nhid"), route.src), ("4", None));
        assert_eq!(route.dev.unwrap().value, "vxlan0");
    }

    #[test]
    fn next_hop_objects_are_kept() {
        let text = "unicast 10.3.0.0/16 nhid 16 via 192.0.2.7 dev eth0 table main proto boot scope global \n\
                    \tnh_info id 16 via 192.0.2.7 dev eth0 scope link\n";
        for text in [text.to_owned(), text.trim_end().replace('\n', "\\")] {
            let out = read(&text, "ip -d route");
            assert_eq!(out.problems, []);
            assert!(other(&out.records[0], "nh_info").starts_with("id 16 via"));
            assert_eq!(out.records[0].scope.as_deref(), Some("global"));
        }
    }

    #[test]
    fn cache_entries() {
        let text = "192.0.2.9 from 192.0.2.1 via 192.0.2.254 dev eth0\n    cache <redirected>  expires 9sec mtu 1400\n";
        let out = read(text, "ip route show cache");
        assert_eq!((out.lines.read, out.lines.unread), (2, 0));
        let route = &out.records[0];
        assert_eq!((other(route, "cache"), other(route, "mtu")), ("<redirected>", "1400"));
        assert!(matches!(out.completeness, Completeness::Partial(_)));
    }

    #[test]
    fn cleaned_reports_paste_a_length_behind_the_gateway() {
        let route = only("default via 101.0.0.2/30 dev eth0");
        assert_eq!(other(&route, "via"), "101.0.0.2/30");
        assert_eq!(route.via.unwrap().value, Gateway::Ip("101.0.0.2".parse().unwrap()));
    }

    #[test]
    fn broken_values_and_prose_are_problems() {
        let text = "default via 192.0.2 dev eth0\n10.0.0.0/33 dev a\n192.0.2.1 is the gateway\n\
                    10.0.0.0/8 dev b metric 1x\n10.0.0.0/8 dev c # the lab\n\tstray\n";
        let out = read(text, "ip route");
        assert_eq!((out.lines.total, out.lines.unread, out.problems.len()), (6, 6, 6));
        // What stands before a remark is kept.
        assert_eq!(out.records.len(), 1);
        let said: Vec<_> = out.problems.iter().map(|problem| problem.message.as_str()).collect();
        assert_eq!(said[0], "expected an address after `via`");
    }

    #[test]
    fn filters_make_it_partial_and_nothing_is_an_answer() {
        for (command, whole) in [
            ("ip route", true),
            ("ip -6 route show table all", true),
            ("ip route list table 200", true),
            ("ip route show dev eth0", false),
            ("ip route show match 10.0.0.1", false),
        ] {
            assert_eq!(read("", command).completeness.is_complete(), whole, "{command}");
        }
        let text = "Error: ipv4: FIB table does not exist.\nDump terminated\n";
        assert!(read(text, "ip route").completeness.is_failed());
    }

    #[test]
    fn json_gives_the_same_routes() {
        let text = r#"[{"dst":"default","gateway":"192.0.2.1","dev":"eth0","protocol":"dhcp",
            "prefsrc":"192.0.2.7","metric":100,"flags":["linkdown"]},
            {"type":"blackhole","dst":"203.0.113.0/24","flags":[]},{},
            {"dst":"default","via":{"family":"inet6","host":"fe80::1"},"dev":"x","flags":[]},
            {"dst":"198.51.100.0/24","flags":[],"metrics":[{"mtu":1400}],"nexthops":[
             {"gateway":"192.0.2.2","dev":"eth0","weight":1,"flags":[]},
             {"gateway":"192.0.2.3","dev":"eth0","weight":2,"flags":["onlink"]}]}]"#;
        let plain = "default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.7 metric 100 linkdown\n\
                     blackhole 203.0.113.0/24\ndefault via inet6 fe80::1 dev x\n198.51.100.0/24 mtu 1400\n\
                     \tnexthop via 192.0.2.2 dev eth0 weight 1\n\
                     \tnexthop via 192.0.2.3 dev eth0 weight 2 onlink\n";
        let json = read(text, "ip -j route");
        let plain = read(plain, "ip route");
        assert_eq!(json.problems, []);
        let bare = |all: &[Route]| {
            all.iter()
                .cloned()
                .map(|mut it| {
                    it.at = Span::default();
                    it.nexthops.iter_mut().for_each(|hop| hop.at = Span::default());
                    it
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(bare(&json.records), bare(&plain.records));
        let dev = json.records[0].dev.as_ref().unwrap();
        assert_eq!(text.get(dev.span.range()).unwrap(), "eth0");
    }

    #[test]
    fn sniffs_routes_but_not_neighbours() {
        assert!(sniff("default via 192.0.2.1 dev eth0\n") > 50);
        assert!(sniff("192.0.2.0/24 dev eth0 proto kernel scope link\n") > 50);
        assert!(sniff("[ {\"dst\":\"default\",\"gateway\":\"192.0.2.1\",\"flags\":[]}]") > 50);
        for no in [
            "192.0.2.1 dev eth0 lladdr 02:00:00:00:00:01 STALE\n",
            "192.0.2.1 dev eth0 FAILED",
            "x",
            "",
        ] {
            assert_eq!(sniff(no), 0, "{no}");
        }
    }
}
