//! `keepalived.conf`.
//!
//! Source of the format: keepalived `lib/parser.c`, `doc/keepalived.conf.SYNOPSIS`, 1.x and 2.x;
//! neutron `agent/linux/keepalived.py`, which writes one keyword or brace a line.
//!
//! ```text
//! vrrp_instance VR_1 {
//!     state BACKUP
//!     interface ha-0a1b2c3d-4e
//!     virtual_router_id 1
//!     virtual_ipaddress {
//!         169.254.0.1/24 dev ha-0a1b2c3d-4e
//!     }
//! }
//! ```
use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::{Fate, Outcome};
use tapline_core::records::keepalived::{VrrpAddress, VrrpInstance};
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use super::router_of;
use crate::format::{Ends, Format, Per};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, one_line};
use crate::nomx::{Parsed, refuse};

pub(crate) static FORMAT: Format = Format {
    id: FormatId("keepalived-conf"),
    command: "cat /var/lib/neutron/ha_confs/ROUTER/keepalived.conf",
    collect: &[
        Per::File.run("/etc/keepalived/keepalived.conf"),
        Per::File.run("/var/lib/neutron/ha_confs/*/keepalived.conf"),
    ],
    claims: |command| {
        let etc = |text: &str| text.trim_start_matches('/') == "etc/keepalived/keepalived.conf";
        let router = router_of(command, "keepalived.conf");
        let is = router.is_some() || command.path().is_some_and(etc);
        is.then(|| Request::default().about(router.as_deref()))
    },
    sniff: |head| {
        let instance = |text: &str| text.starts_with("vrrp_instance ") && text.ends_with('{');
        if bodies(head).any(instance) { 90 } else { 0 }
    },
    read: |text, command| parse(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// Reads the whole file.
pub(crate) fn parse(text: &str, command: &Command) -> Outcome<Vec<VrrpInstance>> {
    let mut out: Outcome<()> = Outcome::default();
    let mut reader = Reader {
        text,
        router: router_of(command, "keepalived.conf"),
        records: Vec::new(),
        open: Vec::new(),
        included: false,
    };
    for body in bodies(text) {
        let content = body.trim_start();
        if content.starts_with(['#', '!']) {
            out.lines.add(Fate::Ignored);
        } else {
            one_line(text, body, &mut out, &mut |line| reader.line(line));
        }
    }
    let reason = match () {
        () if !reader.open.is_empty() => Some("a brace is not closed: the end is missing"),
        () if reader.included => Some("other files are included"),
        () => None,
    };
    let records = reader.records;
    finish(text, &mut out);
    if out.lines.total == 0 {
        out.completeness = Completeness::Failed("the file is empty".to_owned());
    }
    if let Some(reason) = reason {
        let before = std::mem::take(&mut out.completeness);
        out.completeness = before.and(Completeness::Partial(reason.to_owned()));
    }
    out.map(|()| records)
}

struct Reader<'a> {
    text: &'a str,
    router: Option<Name>,
    records: Vec<VrrpInstance>,
    /// Words before the open braces, outermost first.
    open: Vec<&'a str>,
    included: bool,
}

/// Braces deeper than this are not kept apart.
const MAX_DEPTH: usize = 16;

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str) -> Parsed<'a, Read<()>> {
        let took = Ok(("", Read::Took(())));
        // A comment may follow.
        let content = line.split(['#', '!']).next().unwrap_or(line).trim();
        if content == "}" {
            return match self.open.pop() {
                Some(_) => took,
                None => refuse(line, "an open brace above this one"),
            };
        }
        if let Some(head) = content.strip_suffix('{') {
            if self.open.len() >= MAX_DEPTH {
                return refuse(line, "fewer braces within braces");
            }
            let head = head.trim_end();
            let (key, name) = split(head);
            if key == "vrrp_instance" && self.open.is_empty() {
                if name.is_empty() {
                    return refuse(line, "a name after `vrrp_instance`");
                }
                self.begin(line, name);
            }
            self.open.push(key);
            return took;
        }
        if content.contains(['{', '}']) {
            return refuse(line, "one brace at the end of the line, or alone");
        }
        let (key, value) = split(content);
        if key == "include" {
            self.included = true;
            return took;
        }
        let text = self.text;
        match self.open.as_slice() {
            [] => refuse(line, "a block such as `vrrp_instance NAME {`"),
            ["vrrp_instance"] => self.setting(key, value),
            ["vrrp_instance", block @ ..] => {
                let block = block.first().copied().unwrap_or_default();
                let Some(instance) = self.records.last_mut() else { return took };
                match block {
                    "virtual_ipaddress" => {
                        instance.virtual_ipaddress.push(address(text, content)?.1);
                    }
                    "virtual_ipaddress_excluded" => {
                        instance.virtual_ipaddress_excluded.push(address(text, content)?.1);
                    }
                    "virtual_routes" => instance.virtual_routes.push(at(text, content)),
                    _ => {
                        instance.other.push(Field { key: block.into(), value: at(text, content) });
                    }
                }
                took
            }
            // `global_defs`, `vrrp_script`, …: about no instance.
            _ => Ok(("", Read::Ignored)),
        }
    }

    fn begin(&mut self, line: &str, name: &str) {
        self.records.push(VrrpInstance {
            at: Span::of(self.text, line),
            router: self.router.clone(),
            name: at(self.text, name),
            state: None,
            interface: None,
            virtual_router_id: None,
            priority: None,
            virtual_ipaddress: Vec::new(),
            virtual_ipaddress_excluded: Vec::new(),
            virtual_routes: Vec::new(),
            other: Vec::new(),
        });
    }

    fn setting(&mut self, key: &'a str, value: &'a str) -> Parsed<'a, Read<()>> {
        let text = self.text;
        let took = Ok(("", Read::Took(())));
        let Some(instance) = self.records.last_mut() else { return took };
        let number = || value.parse().ok().map(|parsed: u8| At::new(parsed, Span::of(text, value)));
        match key {
            "state" | "interface" if value.is_empty() => {
                return refuse(key, "a word after `state` or `interface`");
            }
            "state" => instance.state = Some(at(text, value)),
            "interface" => instance.interface = Some(at(text, value)),
            "virtual_router_id" => match number() {
                None => return refuse(value, "a number up to 255 after `virtual_router_id`"),
                some => instance.virtual_router_id = some,
            },
            "priority" => match number() {
                None => return refuse(value, "a number up to 255 after `priority`"),
                some => instance.priority = some,
            },
            _ => {
                instance.other.push(Field { key: key.into(), value: at(text, value) });
            }
        }
        took
    }
}

/// First word, and what follows.
fn split(content: &str) -> (&str, &str) {
    let end = content.find([' ', '\t']).unwrap_or(content.len());
    let (key, value) = content.split_at_checked(end).unwrap_or_default();
    (key, value.trim_start())
}

/// `192.0.2.7/24 dev qg-1 scope link no_track`.
fn address<'a>(text: &str, content: &'a str) -> Parsed<'a, VrrpAddress> {
    let (shown, rest) = split(content);
    let (ip, len) = shown.split_once('/').map_or((shown, None), |(ip, len)| (ip, Some(len)));
    let Ok(value) = ip.parse() else { return refuse(shown, "an address") };
    let prefix_len = match len.map(str::parse) {
        None => None,
        Some(Ok(len)) => Some(len),
        Some(Err(_)) => return refuse(shown, "a prefix length after the address"),
    };
    let mut found = VrrpAddress {
        address: At::new(value, Span::of(text, ip)),
        prefix_len,
        dev: None,
        other: Vec::new(),
    };
    let mut words = rest.split_whitespace();
    while let Some(word) = words.next() {
        if word != "dev" {
            found.other.push(at(text, word));
            continue;
        }
        match words.next() {
            Some(dev) => found.dev = Some(at(text, dev)),
            None => return refuse(word, "a device after `dev`"),
        }
    }
    Ok(("", found))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "global_defs {\n    notification_email_from a@example.org\n    router_id neutron\n}\n\
        vrrp_instance VR_7 {\n    state BACKUP\n    interface ha-1\n    virtual_router_id 7\n    priority 50\n    \
        nopreempt\n    track_interface {\n        ha-1\n    }\n    virtual_ipaddress {\n        \
        169.254.0.7/24 dev ha-1\n    }\n    virtual_ipaddress_excluded {\n        \
        192.0.2.9/32 dev qg-1 scope link no_track # floating\n        fe80::1/64 dev qr-1\n    }\n    \
        virtual_routes {\n        0.0.0.0/0 via 192.0.2.1 dev qg-1\n    }\n}\n";

    fn reads(text: &str) -> Outcome<Vec<VrrpInstance>> {
        parse(text, &Command::new("cat /var/lib/neutron/ha_confs/aa-bb/keepalived.conf"))
    }

    #[test]
    fn an_instance_has_addresses_and_routes() {
        let out = reads(TEXT);
        assert_eq!(out.lines.unread, 0, "{:?}", out.problems);
        assert!(out.completeness.is_complete());
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!((it.router.as_deref(), it.name.as_str()), (Some("aa-bb"), "VR_7"));
        assert_eq!(it.interface.as_ref().unwrap().as_str(), "ha-1");
        assert_eq!((it.virtual_router_id.unwrap().value, it.priority.unwrap().value), (7, 50));
        assert_eq!(it.virtual_ipaddress.len(), 1);
        let [floating, local] = it.virtual_ipaddress_excluded.as_slice() else { panic!("{it:?}") };
        assert_eq!(floating.address.to_string(), "192.0.2.9");
        assert_eq!((floating.prefix_len, floating.other.len()), (Some(32), 3));
        assert_eq!(local.dev.as_ref().unwrap().as_str(), "qr-1");
        assert_eq!(it.virtual_routes[0].as_str(), "0.0.0.0/0 via 192.0.2.1 dev qg-1");
        let other: Vec<_> =
            it.other.iter().map(|other| (&*other.key, other.value.as_str())).collect();
        assert_eq!(other, [("nopreempt", ""), ("track_interface", "ha-1")]);
    }

    #[test]
    fn what_is_broken_is_told() {
        for (text, unread) in [
            ("vrrp_instance A {\n  virtual_router_id 900\n}\n", 1),
            ("vrrp_instance A {\n  virtual_ipaddress {\n  x/24\n  192.0.2.1/y\n }\n}\n", 2),
            ("vrrp_instance A {\n}\n}\n", 1),
            ("prose\nvrrp_instance A {\n state X\n}\n", 1),
            ("vrrp_instance A { state X }\nvrrp_instance B {\n}\n", 1),
        ] {
            let out = reads(text);
            assert_eq!(out.lines.unread, unread, "{text}");
            assert!(!out.completeness.is_complete());
        }
        assert!(matches!(
            reads("vrrp_instance A {\n  state X\n").completeness,
            Completeness::Partial(_)
        ));
        assert!(reads("").completeness.is_failed());
        assert!((FORMAT.sniff)(TEXT) > 50);
    }
}
