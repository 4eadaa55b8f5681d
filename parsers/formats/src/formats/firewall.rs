//! `ufw status [verbose]` and `firewall-cmd --list-all[-zones]`.
//!
//! Source of the formats: ufw `src/backend_iptables.py` (`get_status`), `src/frontend.py`; firewalld
//! `src/firewall/command.py` (`print_zone_info`).
//!
//! ```text
//! Status: active
//! Logging: on (low)
//! Default: deny (incoming), allow (outgoing), disabled (routed)
//!
//! To                         Action      From
//! --                         ------      ----
//! 22/tcp                     ALLOW IN    Anywhere
//!
//! public (active)
//!   target: default
//!   interfaces: eth0
//!   ports: 8472/udp
//!   rich rules:
//!         rule family="ipv4" source address="192.0.2.0/24" accept
//! ```
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Outcome, ProblemKind};
use tapline_core::records::firewall::Firewall;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, never_empty, one_line};
use crate::nomx::{Parsed, refuse};

/// `ufw status`.
pub(crate) static UFW: Format = Format {
    id: FormatId("ufw-status"),
    command: "ufw status verbose",
    collect: &[],
    claims: |command| {
        let status = command.args().first().is_some_and(|verb| verb == "status");
        (command.program() == "ufw" && status).then(Request::default)
    },
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        if status(first).is_some() { 90 } else { 0 }
    },
    read: |text, command| ufw(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `firewall-cmd --list-all`.
pub(crate) static FIREWALLD: Format = Format {
    id: FormatId("firewall-cmd"),
    command: "firewall-cmd --list-all-zones",
    collect: &[],
    claims: |command| {
        let lists = |option: &String| option == "--list-all" || option == "--list-all-zones";
        let is = command.program() == "firewall-cmd" && command.args().iter().any(lists);
        is.then(Request::default)
    },
    sniff: |head| {
        let mut lines = bodies(head).filter(|body| !body.is_empty());
        let zone = lines.next().is_some_and(|line| !line.starts_with(' ') && zone(line).is_some());
        let below =
            |line: &str| line.starts_with("  target: ") || line.starts_with("  interfaces: ");
        if zone && lines.next().is_some_and(below) { 95 } else { 0 }
    },
    read: |text, command| firewalld(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `Status: active`.
fn status(line: &str) -> Option<bool> {
    match line.strip_prefix("Status: ")? {
        "active" => Some(true),
        "inactive" => Some(false),
        _ => None,
    }
}

fn ufw(text: &str, _: &Command) -> Outcome<Vec<Firewall>> {
    let mut out = Outcome::default();
    let mut found: Option<Firewall> = None;
    let mut verbose = false;
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| {
            verbose |= line.starts_with("Default: ");
            ufw_line(text, line, &mut found)
        });
    }
    let active =
        found.as_ref().and_then(|found| found.active.as_ref()).is_some_and(|active| active.value);
    let mut out = out.map(|()| found.into_iter().collect::<Vec<_>>());
    finish(text, &mut out);
    never_empty(&mut out, "a status");
    if active && !verbose {
        let partial =
            Completeness::Partial("without `verbose` its defaults are not shown".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn ufw_line<'a>(text: &str, line: &'a str, found: &mut Option<Firewall>) -> Parsed<'a, Read<()>> {
    let took = Ok(("", Read::Took(())));
    if let Some(active) = status(line) {
        *found = Some(Firewall {
            at: Span::of(text, line),
            tool: Name::const_new("ufw"),
            active: Some(At::new(active, Span::of(text, line))),
            ..Firewall::default()
        });
        return took;
    }
    let Some(firewall) = found else { return refuse(line, "`Status:`") };
    if let Some(defaults) = line.strip_prefix("Default: ") {
        for part in defaults.split(", ") {
            let Some((policy, about)) = part.split_once(" (") else {
                return refuse(line, "a default such as `deny (incoming)`");
            };
            let slot = match about.trim_end_matches(')') {
                "incoming" => &mut firewall.incoming,
                "outgoing" => &mut firewall.outgoing,
                "routed" => &mut firewall.routed,
                _ => return refuse(line, "incoming, outgoing or routed"),
            };
            *slot = Some(at(text, policy));
        }
        return took;
    }
    if let Some((key @ ("Logging" | "New profiles"), value)) = line.split_once(": ") {
        firewall.other.push(Field { key: key.into(), value: at(text, value) });
        return took;
    }
    let mut words = line.split_whitespace();
    if words.clone().eq(["To", "Action", "From"]) || words.clone().eq(["--", "------", "----"]) {
        return Ok(("", Read::Ignored));
    }
    if words.any(|word| matches!(word, "ALLOW" | "DENY" | "REJECT" | "LIMIT")) {
        firewall.rules.push(at(text, line.trim()));
        return took;
    }
    refuse(line, "a rule with ALLOW, DENY, REJECT or LIMIT")
}

/// `public (active)`, `public (default, active)`: the name and whether it works.
fn zone(line: &str) -> Option<(&str, bool)> {
    let (name, about) = line.split_once(" (").unwrap_or((line, ""));
    let plain = |text: &str| {
        !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    let known = about.is_empty()
        || about.strip_suffix(')')?.split(", ").all(|part| matches!(part, "active" | "default"));
    (plain(name) && known).then_some((name, about.contains("active")))
}

fn firewalld(text: &str, command: &Command) -> Outcome<Vec<Firewall>> {
    let mut out = Outcome::default();
    let mut all: Vec<Firewall> = Vec::new();
    let mut rules = false;
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| zone_line(text, line, &mut all, &mut rules));
    }
    // Every zone says whether it masquerades, and since 0.4 what its target is: names alone are a
    // list of something else.
    let is_zone = |it: &Firewall| it.target.is_some() || it.masquerade.is_some();
    let (zones, names): (Vec<_>, Vec<_>) = all.into_iter().partition(is_zone);
    for name in &names {
        out.problem(ProblemKind::BadValue, name.at, "a name without the lines of a zone");
    }
    let lost = !names.is_empty() && zones.is_empty();
    let mut out = out.map(|()| zones);
    finish(text, &mut out);
    never_empty(&mut out, "a zone");
    if lost && !out.completeness.is_failed() {
        out.completeness = Completeness::Failed("names, but no zone".to_owned());
    }
    if !command.args().iter().any(|arg| arg == "--list-all-zones") {
        let partial = Completeness::Partial("shows one zone only".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn zone_line<'a>(
    text: &str,
    line: &'a str,
    all: &mut Vec<Firewall>,
    rules: &mut bool,
) -> Parsed<'a, Read<()>> {
    let took = Ok(("", Read::Took(())));
    if line == "You're performing an operation over default zone ('public'),"
        || line.starts_with("You're performing")
    {
        return Ok(("", Read::Ignored));
    }
    if !line.starts_with([' ', '\t']) {
        let Some((name, active)) = zone(line) else { return refuse(line, "the name of a zone") };
        *rules = false;
        all.push(Firewall {
            at: Span::of(text, line),
            tool: Name::const_new("firewalld"),
            active: Some(At::new(active, Span::of(text, line))),
            zone: Some(at(text, name)),
            ..Firewall::default()
        });
        return took;
    }
    let Some(zone) = all.last_mut() else { return refuse(line, "a zone above this line") };
    let line = line.trim();
    if line.starts_with("rule ") || line.starts_with("port=") {
        zone.rules.push(at(text, line));
        return took;
    }
    let Some((key, value)) = line.split_once(':') else { return refuse(line, "`key: value`") };
    let value = value.trim();
    let words = || value.split_whitespace().map(|word| at(text, word));
    let switch = match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    };
    match key {
        "target" => zone.target = Some(at(text, value)),
        "interfaces" => zone.interfaces = words().collect(),
        "services" => zone.services = words().collect(),
        "ports" => zone.ports = words().collect(),
        "forward" => zone.forward = switch,
        "masquerade" => zone.masquerade = switch,
        "rich rules" if value.is_empty() => *rules = true,
        "rich rules" => zone.rules.push(at(text, value)),
        _ if !key.bytes().all(|it| it.is_ascii_lowercase() || matches!(it, b'-' | b' ')) => {
            return refuse(line, "`key: value` of a zone");
        }
        _ if value.is_empty() => {}
        _ => zone.other.push(Field { key: key.into(), value: at(text, value) }),
    }
    took
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ufw_has_defaults_and_rules() {
        let text = "Status: active\nLogging: on (low)\nDefault: deny (incoming), allow (outgoing), disabled (routed)\n\
            New profiles: skip\n\nTo                         Action      From\n--                         ------      ----\n\
            22/tcp                     ALLOW IN    Anywhere\n8472/udp (v6)              DENY IN     Anywhere (v6)\n";
        let out = ufw(text, &Command::new("ufw status verbose"));
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((it.active.as_ref().unwrap().value, it.rules.len()), (true, 2));
        assert_eq!(it.incoming.as_ref().unwrap().as_str(), "deny");
        assert_eq!(it.routed.as_ref().unwrap().as_str(), "disabled");
        let off = ufw("Status: inactive\n", &Command::new("ufw status"));
        assert!(off.completeness.is_complete());
        assert!(!off.records[0].active.as_ref().unwrap().value);
    }

    #[test]
    fn zones_have_devices_ports_and_rules() {
        let text = "public (default, active)\n  target: default\n  icmp-block-inversion: no\n  interfaces: eth0 eth1\n  sources: \n  \
            services: dhcpv6-client ssh\n  ports: 8472/udp\n  protocols: \n  forward: yes\n  masquerade: no\n  forward-ports: \n\t\
            port=80:proto=tcp:toport=8080:toaddr=\n  source-ports: \n  icmp-blocks: \n  rich rules: \n\t\
            rule family=\"ipv4\" source address=\"192.0.2.0/24\" accept\n\ntrusted\n  target: ACCEPT\n  interfaces: \n";
        let out = firewalld(text, &Command::new("firewall-cmd --list-all-zones"));
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let [public, trusted] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((public.interfaces.len(), public.ports.len(), public.rules.len()), (2, 1, 2));
        assert_eq!((public.forward, public.masquerade), (Some(true), Some(false)));
        assert!(!trusted.active.as_ref().unwrap().value);
        assert_eq!(trusted.target.as_ref().unwrap().as_str(), "ACCEPT");
    }

    #[test]
    fn zones_had_no_target_before_0_4() {
        let text = "public (default, active)\n  interfaces: eth0\n  sources: \n  services: ssh\n  \
            ports: \n  masquerade: no\n  forward-ports: \n  icmp-blocks: \n  rich rules: \n\t\n";
        let out = firewalld(text, &Command::new("firewall-cmd --list-all"));
        assert_eq!(out.problems, []);
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert!(it.target.is_none() && it.active.as_ref().unwrap().value);
        assert_eq!((FIREWALLD.sniff)(text), 95);
    }

    #[test]
    fn what_is_neither_is_a_failure() {
        for text in [
            "hello there\n",
            "FirewallD is not running\n",
            "ERROR: You need to be root to run this script\n",
        ] {
            assert!(ufw(text, &Command::new("ufw status")).completeness.is_failed(), "{text}");
            let out = firewalld(text, &Command::new("firewall-cmd --list-all"));
            assert!(out.completeness.is_failed(), "{text}");
        }
    }
}
