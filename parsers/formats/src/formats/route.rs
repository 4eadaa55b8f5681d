//! `route` and `netstat -rn` of net-tools, both families.
//!
//! Source of the format: net-tools `lib/inet_gr.c` and `lib/inet6_gr.c`; 1.60 to 2.10.
//!
//! ```text
//! Kernel IP routing table
//! Destination     Gateway         Genmask         Flags Metric Ref    Use Iface
//! default         _gateway        0.0.0.0         UG    100    0        0 eth0
//! 198.51.100.0    -               255.255.255.0   !     0      -        0 -
//! ```
//!
//! `netstat` and `-e` have MSS, window and irtt for the metric; `-ee` has both. Without `-n` an
//! address that has a name is printed as the name. Metrics are printed with a sign. A route that
//! rejects has the flag `!`; one that drops or throws has no device (`*`).
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use nom::Parser as _;
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::route::{Family, Gateway, Route};
use tapline_core::records::{Batch, Field};
use tapline_core::request::{Request, Topic};
use tapline_core::span::{At, Span};

use super::ip_route::of;
use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, each_line, finish, never_empty, tool_error};
use crate::nomx::{Expected, Parsed, must, refuse, word_gap};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("route"),
    command: "route -n",
    collect: &[],
    claims: |command| {
        let six = |word: &String| matches!(word.as_str(), "-6" | "inet6" | "--inet6");
        let family = command.args().iter().any(six).then_some(Family::Inet6);
        let request = Request::filtered(&[Topic::Routes], family.is_some());
        is_route(command).then(|| request.of_family(family))
    },
    sniff: |head| {
        let head = head.trim_start();
        let is = head.starts_with("Kernel IP") && head.contains(" routing ")
            || (head.starts_with("Destination ") && head.contains("Genmask"));
        if is { 95 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Which columns stand behind the flags.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Columns {
    /// Metric, references, uses, device.
    Metric,
    /// MSS, window, irtt, device.
    Mss,
    /// Metric, references, uses, device, MSS, window, irtt.
    Both,
}

/// What the headings so far say.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Heading {
    family: Option<Family>,
    cache: bool,
    columns: Columns,
}

/// Reads the whole output.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<Route>> {
    let mut out = Outcome::default();
    let columns = if command.program() == "netstat" { Columns::Mss } else { Columns::Metric };
    let mut heading = Heading { family: None, cache: false, columns };
    let mut cached = false;
    let mut rows = false;
    each_line(text, &mut out, |line| {
        if is_heading(line, &mut heading) || !rows && is_translated(line, &mut heading) {
            cached |= heading.cache;
            return Ok(("", Read::Ignored));
        }
        rows = true;
        match heading.family {
            Some(Family::Inet6) => inet6(text, line),
            Some(Family::Inet) => inet(text, line, heading),
            None if line.split_whitespace().nth(1).is_some_and(|it| it.contains("::")) => {
                inet6(text, line)
            }
            None => inet(text, line, heading),
        }
    });
    finish(text, &mut out);
    never_empty(&mut out, "a heading");
    if cached {
        let reason = Completeness::Partial("shows the route cache".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(reason);
    }
    out
}

/// Whether a line is a heading, or a remark of whoever saved the output.
fn is_heading(line: &str, heading: &mut Heading) -> bool {
    if let Some(rest) = line.strip_prefix("Kernel IP") {
        heading.family = Some(if rest.starts_with("v6") { Family::Inet6 } else { Family::Inet });
        heading.cache = rest.contains("cache");
        return rest.contains("routing") || rest.contains("cache");
    }
    if line.starts_with("Destination ") || line.starts_with("Source ") {
        heading.columns = match (line.contains(" Met"), line.contains("irtt")) {
            (true, true) => Columns::Both,
            (false, true) => Columns::Mss,
            _ => Columns::Metric,
        };
        heading.cache |= line.starts_with("Source ");
        return line.contains("Gateway") || line.contains("Next Hop");
    }
    // The last word of a heading that was wrapped.
    line == "Iface" || line.starts_with('#')
}

/// Whether a line above all rows is a heading of another language: it holds neither an address
/// nor a number.
fn is_translated(line: &str, heading: &mut Heading) -> bool {
    let data = |word: &str| {
        word.parse::<IpAddr>().is_ok()
            || word.parse::<IpNet>().is_ok()
            || word.bytes().all(|b| b.is_ascii_digit())
    };
    let words = line.split_whitespace().count();
    let title = line.contains("IP") && words < 6;
    if tool_error(line).is_some() || line.split_whitespace().any(data) {
        return false;
    }
    if title {
        let six = line.contains("IPv6");
        heading.family = Some(if six { Family::Inet6 } else { Family::Inet });
    }
    let foreign =
        !line.is_ascii() || ["Flags", "Iface", "Metric"].iter().any(|word| line.contains(word));
    title || (7..=12).contains(&words) && foreign
}

/// One line of IPv4: destination, gateway, mask, flags and what the heading names.
fn inet<'a>(text: &str, line: &'a str, heading: Heading) -> Parsed<'a, Read<Route>> {
    let mut route = Route::new(Span::of(text, line));
    route.family = Some(Family::Inet);
    let (input, first) = word_gap(line)?;
    let (input, second) = must("a gateway after the destination", word_gap).parse(input)?;
    let (input, third) = must("a mask after the gateway", word_gap).parse(input)?;
    let (input, flags) = must("flags after the mask", word_gap).parse(input)?;
    if !flags.bytes().all(|it| it.is_ascii_alphabetic() || it == b'!') {
        return refuse(flags, "flags such as UG after the mask");
    }
    let gateway_word = if heading.cache {
        // The cache has source, destination and gateway, and no mask.
        field(&mut route, "from", text, first);
        host(&mut route, text, second);
        third
    } else {
        let Ok(mask) = third.parse::<Ipv4Addr>() else {
            return refuse(third, "a mask such as 255.255.255.0");
        };
        network(&mut route, text, first, third, mask)?;
        second
    };
    route.via = gateway(text, gateway_word);
    let input = tail(&mut route, text, input, heading.columns)?;
    finished(&mut route, text, flags);
    Ok((input, Read::Took(route)))
}

/// One line of IPv6: destination with its length, next hop, flags, metric, references, uses,
/// device.
fn inet6<'a>(text: &str, line: &'a str) -> Parsed<'a, Read<Route>> {
    let mut route = Route::new(Span::of(text, line));
    route.family = Some(Family::Inet6);
    let (input, first) = word_gap(line)?;
    let (input, second) = must("a next hop after the destination", word_gap).parse(input)?;
    let (input, flags) = must("flags after the next hop", word_gap).parse(input)?;
    if !flags.bytes().all(|it| it.is_ascii_alphabetic() || it == b'!') {
        return refuse(flags, "flags such as UG after the next hop");
    }
    let (shown, length) = first.rsplit_once('/').unwrap_or((first, "128"));
    let Ok(length) = length.parse::<u8>() else {
        return refuse(first, "a prefix such as 2001:db8::/32");
    };
    let bare = shown.trim_start_matches('[').trim_end_matches(']');
    match bare.parse::<IpAddr>() {
        Ok(ip) => {
            // net-tools cuts `::ffff:` off (`fix_v4_address` in `lib/inet6.c`).
            let ip = match ip {
                IpAddr::V4(ip) => IpAddr::V6(ip.to_ipv6_mapped()),
                IpAddr::V6(_) => ip,
            };
            let Ok(net) = IpNet::new(ip, length) else {
                return refuse(first, "a prefix such as 2001:db8::/32");
            };
            route.destination = (length > 0).then(|| At::new(net, Span::of(text, first)));
        }
        Err(_) if first == "default" => {}
        Err(_) => route.destination_name = Some(first.into()),
    }
    route.via = gateway(text, second);
    let input = tail(&mut route, text, input, Columns::Metric)?;
    finished(&mut route, text, flags);
    Ok((input, Read::Took(route)))
}

/// The columns behind the flags.
fn tail<'a>(
    route: &mut Route,
    text: &str,
    input: &'a str,
    columns: Columns,
) -> Result<&'a str, nom::Err<Expected<'a>>> {
    let names: &[&str] = match columns {
        Columns::Metric => &["metric", "ref", "use", "dev"],
        Columns::Mss => &["mss", "window", "irtt", "dev"],
        Columns::Both => &["metric", "ref", "use", "dev", "mss", "window", "irtt"],
    };
    // IPv6 prints references and uses without a blank when they are large.
    let glued = columns == Columns::Metric && input.split_whitespace().count() == 3;
    let mut input = input;
    for &name in names {
        if glued && name == "use" {
            continue;
        }
        let (rest, shown) = must("a column of the heading", word_gap).parse(input)?;
        match name {
            "dev" if matches!(shown, "-" | "*") => field(route, "iface", text, shown),
            "dev" => route.dev = Some(at(text, shown)),
            _ if shown != "-" && shown.parse::<i64>().is_err() => {
                return Err(nom::Err::Failure(Expected { at: shown, what: "a number or `-`" }));
            }
            "metric" => route.metric = Some(metric(shown).map_err(nom::Err::Failure)?),
            _ => field(route, name, text, shown),
        }
        input = rest;
    }
    Ok(input)
}

/// A metric: 32 bits without a sign, printed with one.
fn metric(shown: &str) -> Result<u32, Expected<'_>> {
    let wrong = Expected { at: shown, what: "a metric of 32 bits" };
    let number: i64 = shown.parse().map_err(|_| wrong)?;
    u32::try_from(number)
        .or_else(|_| i32::try_from(number).map(i32::cast_unsigned))
        .map_err(|_| wrong)
}

/// The flags, and the type that they and a missing device tell.
fn finished(route: &mut Route, text: &str, flags: &str) {
    route.flags.push(at(text, flags));
    if flags.contains('!') {
        // Unreachable or prohibit: net-tools prints the same for both.
        route.kind = Name::const_new("reject");
    } else if route.dev.is_none() {
        // The kernel prints no flag for these (`fib_flag_trans` in `net/ipv4/fib_trie.c`).
        route.kind = Name::const_new("blackhole");
    }
}

/// Destination and mask.
fn network<'a>(
    route: &mut Route,
    text: &str,
    shown: &'a str,
    mask_shown: &'a str,
    mask: Ipv4Addr,
) -> Result<(), nom::Err<Expected<'a>>> {
    if let Ok(ip) = shown.parse::<Ipv4Addr>() {
        match Ipv4Net::with_netmask(ip, mask) {
            Ok(net) if net.prefix_len() == 0 => {}
            Ok(net) => route.destination = Some(At::new(net.into(), Span::of(text, shown))),
            Err(_) => {
                let what = "a mask of leading ones";
                return Err(nom::Err::Error(Expected { at: mask_shown, what }));
            }
        }
    } else if shown != "default" {
        route.destination_name = Some(shown.into());
        field(route, "genmask", text, mask_shown);
    }
    Ok(())
}

/// A destination without mask.
fn host(route: &mut Route, text: &str, shown: &str) {
    match shown.parse::<IpAddr>() {
        Ok(ip) => {
            route.family = Some(of(ip));
            route.destination = Some(At::new(ip.into(), Span::of(text, shown)));
        }
        Err(_) => route.destination_name = Some(shown.into()),
    }
}

/// A gateway; zeros, `*` and `-` are none.
fn gateway(text: &str, shown: &str) -> Option<At<Gateway>> {
    let bare = shown.trim_start_matches('[').trim_end_matches(']');
    let gateway = match bare.parse::<IpAddr>() {
        Ok(ip) if ip.is_unspecified() => return None,
        Ok(ip) => Gateway::Ip(ip),
        Err(_) if matches!(shown, "*" | "-") => return None,
        Err(_) => Gateway::Name(shown.into()),
    };
    Some(At::new(gateway, Span::of(text, shown)))
}

fn field(route: &mut Route, key: &str, text: &str, shown: &str) {
    route.other.push(Field { key: key.into(), value: at(text, shown) });
}

/// `route` with options that only show, and `netstat -r`.
fn is_route(command: &Command) -> bool {
    let netstat = match command.program() {
        "route" => false,
        "netstat" => true,
        _ => return false,
    };
    let mut shows = !netstat;
    let mut words = command.args().iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "-A" => {
                if !words.next().is_some_and(|word| matches!(word, "inet" | "inet6")) {
                    return false;
                }
            }
            "--inet" | "--inet6" | "--numeric" | "--extend" | "--wide" | "--verbose" => {}
            "--route" => shows = true,
            _ => {
                let Some(letters) = word.strip_prefix('-') else { return false };
                let known = |it: char| "neNvFCW46".contains(it) || (netstat && it == 'r');
                if letters.is_empty() || !letters.chars().all(known) {
                    return false;
                }
                shows |= letters.contains('r');
            }
        }
    }
    shows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, command: &str) -> Outcome<Vec<Route>> {
        parse(text, &Command::new(command))
    }

    const HEAD: &str = "Kernel IP routing table\nDestination     Gateway         Genmask         Flags Metric Ref    Use Iface\n";

    #[test]
    fn numbers_names_and_rejects() {
        let text = format!(
            "{HEAD}0.0.0.0         192.0.2.1       0.0.0.0         UG    100    0        0 eth0\n\
             default         _gateway        0.0.0.0         UG    600    0        0 wlan0\n\
             198.51.100.0    *               255.255.255.128 U     0      0        0 eth1\n\
             link-local      0.0.0.0         255.255.0.0     U     1000   0        0 br-ex\n\
             10.97.0.0       -               255.255.0.0     !     -16769024 -        0 -\n\
             10.99.0.0       0.0.0.0         255.255.0.0     U     0      0        0 *\n"
        );
        let out = read(&text, "route");
        assert_eq!(out.problems, []);
        assert_eq!((out.lines.total, out.lines.read, out.lines.ignored), (8, 6, 2));
        let [zero, default, net, local, reject, hole] = out.records.as_slice() else { panic!() };
        assert!(zero.is_default() && default.is_default() && !local.is_default());
        assert_eq!(default.via.as_ref().unwrap().value, Gateway::Name("_gateway".into()));
        assert!(net.via.is_none() && net.has_flag("U"));
        let place = net.destination.as_ref().unwrap();
        assert_eq!(
            (place.to_string(), text.get(place.span.range())),
            ("198.51.100.0/25".into(), Some("198.51.100.0"))
        );
        assert_eq!(local.destination_name.as_deref(), Some("link-local"));
        // As `ip route` prints it.
        assert_eq!((reject.kind.as_str(), reject.metric), ("reject", Some(4_278_198_272)));
        assert_eq!((hole.kind.as_str(), &hole.dev), ("blackhole", &None));
    }

    #[test]
    fn the_heading_names_the_columns() {
        let line =
            "192.0.2.0       0.0.0.0         255.255.255.0   U         0 0          0 eth0\n";
        let head =
            "Destination     Gateway         Genmask         Flags   MSS Window  irtt Iface\n";
        for text in [format!("{head}{line}"), line.to_owned()] {
            let out = read(&text, "netstat -rn");
            assert_eq!((out.records[0].metric, out.problems.len()), (None, 0));
        }
        let text = "Destination     Gateway         Genmask         Flags Metric Ref    Use Iface    MSS   Window irtt\n\
                    default         192.0.2.1       0.0.0.0         UG    202    0        0 eth0     0     0      0\n";
        let out = read(text, "route -ee");
        assert_eq!(out.problems, []);
        assert_eq!(out.records[0].metric, Some(202));
        assert_eq!(out.records[0].dev.as_ref().unwrap().value, "eth0");
    }

    #[test]
    fn six_has_columns_of_its_own() {
        let text = "Kernel IPv6 routing table\n\
            Destination                    Next Hop                   Flag Met Ref Use If\n\
            2001:db8::/64                  ::                         U    256 2     4 eth0\n\
            [::]/0                         fe80::1                    UG   1024 101234567 eth0\n\
            ::/0                           ::                         !n   -1  1      0 lo\n\
            ip6-localhost/128              [::]                       Un   0   5      0 lo\n";
        let out = read(text, "route -A inet6");
        assert_eq!(out.problems, []);
        let [net, default, reject, name] = out.records.as_slice() else { panic!() };
        assert_eq!((net.metric, net.via.is_none()), (Some(256), true));
        assert!(default.is_default() && default.via.is_some());
        assert_eq!(default.dev.as_ref().unwrap().value, "eth0");
        assert_eq!((reject.kind.as_str(), reject.metric), ("reject", Some(u32::MAX)));
        assert_eq!(name.destination_name.as_deref(), Some("ip6-localhost/128"));
    }

    #[test]
    fn a_cache_is_no_table() {
        let text = "Kernel IP routing cache\n\
            Source          Destination     Gateway         Flags Metric Ref    Use Iface\n\
            192.0.2.1       198.51.100.7    192.0.2.254     i     0      0        9 eth0\n";
        let out = read(text, "route -C");
        assert_eq!(out.problems, []);
        assert!(!out.completeness.is_complete());
        assert_eq!(out.records[0].destination.as_ref().unwrap().to_string(), "198.51.100.7/32");
    }

    #[test]
    fn broken_lines_are_problems_and_errors_fail() {
        let text = format!(
            "{HEAD}192.0.2.0       0.0.0.0         255.0.255.0     U     0      0        0 eth0\n\
             192.0.2.0       0.0.0.0         255.255.255.0   U     x      0        0 eth0\n\
             192.0.2.0       0.0.0.0\n\
             192.0.2.0       0.0.0.0         255.255.255.0   U     0      0        0 eth0   # lab\n"
        );
        let out = read(&text, "route -n");
        assert_eq!((out.records.len(), out.lines.unread, out.problems.len()), (1, 4, 4));
        let out = read("route: unrecognized option '--x'\nUsage: route [-n]\n", "route -n");
        assert!(
            matches!(out.completeness, Completeness::Failed(why) if why.contains("unrecognized"))
        );
        assert!(read("", "route -n").completeness.is_failed());
    }

    #[test]
    fn claims_what_shows() {
        for line in [
            "route",
            "route -n",
            "route -ee",
            "netstat -rn",
            "netstat -nr",
            "route -A inet6 -n",
            "netstat -r -6",
        ] {
            assert!(is_route(&Command::new(line)), "{line}");
        }
        for line in
            ["route add default gw 1.2.3.4", "netstat -i", "netstat", "netstat -s", "ip route"]
        {
            assert!(!is_route(&Command::new(line)), "{line}");
        }
    }
}
