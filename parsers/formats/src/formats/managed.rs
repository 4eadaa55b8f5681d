//! Devices as their managers see them: `networkctl status`, `nmcli device show`,
//! `teamdctl TEAM state`.
//!
//! Source of the formats: systemd `src/network/networkctl.c` (`link_status_one`), NetworkManager
//! `src/nmcli/devices.c`, libteam `teamdctl/teamdctl.c` (`stateview_print`).
//!
//! ```text
//! ● 2: eth0
//!              Network File: /run/systemd/network/10-eth0.network
//!                     State: routable (configured)
//!                   Address: 192.0.2.7
//!                            fe80::5054:ff:fe00:7
//!
//! GENERAL.DEVICE:                         eth0
//! GENERAL.STATE:                          100 (connected)
//! IP4.ADDRESS[1]:                         192.0.2.7/24
//!
//! ports:
//!   eth1
//!     link watches:
//!       link summary: up
//! runner:
//!   active port: eth1
//! ```
mod networkd;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::outcome::Outcome;
use tapline_core::records::managed::ManagedDevice;
use tapline_core::records::{Batch, Field};
use tapline_core::request::Request;
use tapline_core::span::{At, Span};

use crate::format::{Ends, Format};
use crate::keyed::at;
use crate::lines::{Read, bodies, finish, never_empty, one_line};
use crate::nomx::{Parsed, refuse};

/// Verbs of `networkctl` that print something else, or nothing.
const OTHERS: [&str; 12] = [
    "lldp",
    "label",
    "delete",
    "up",
    "down",
    "renew",
    "forcerenew",
    "reconfigure",
    "reload",
    "edit",
    "cat",
    "mask",
];

/// `networkctl status`.
pub(crate) static NETWORKCTL: Format = Format {
    id: FormatId("networkctl-status"),
    command: "networkctl status --all",
    collect: &[],
    claims: |command| {
        let has = |wanted: &str| command.args().iter().any(|word| word == wanted);
        // Without a verb it lists.
        let read = !OTHERS.iter().any(|verb| has(verb)) && !has("--help") && !has("--version");
        (command.program() == "networkctl" && read).then(Request::default)
    },
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        let text = heading(first).is_some() && head.contains(" State: ");
        if text || is_list_heading(first) || networkd::begins(head) { 90 } else { 0 }
    },
    read: |text, command| networkctl(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `nmcli device show`.
pub(crate) static NMCLI: Format = Format {
    id: FormatId("nmcli-device-show"),
    command: "nmcli device show",
    collect: &[],
    claims: |command| {
        let devices = nmcli_devices(command)?;
        Some(Request::filtered(&[], !devices.is_empty()).about(devices.first().map(String::as_str)))
    },
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        if first.starts_with("GENERAL.DEVICE:") { 95 } else { 0 }
    },
    read: |text, command| nmcli(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// `teamdctl TEAM state`.
pub(crate) static TEAMDCTL: Format = Format {
    id: FormatId("teamdctl-state"),
    command: "teamdctl TEAM state",
    collect: &[],
    claims: |command| Some(Request::default().about(Some(team(command)?))),
    sniff: |head| {
        let first = bodies(head).find(|body| !body.is_empty()).unwrap_or_default();
        if first == "setup:" && head.contains("\n  runner: ") { 95 } else { 0 }
    },
    read: |text, command| teamdctl(text, command).map(Batch::from),
    ends: Ends::LINES,
};

/// A device of which nothing is known yet.
fn device(text: &str, line: &str, manager: &'static str, dev: Option<At<Name>>) -> ManagedDevice {
    ManagedDevice {
        at: Span::of(text, line),
        manager: Name::const_new(manager),
        dev,
        kind: None,
        state: None,
        configuration: None,
        mac: None,
        mtu: None,
        addresses: Vec::new(),
        gateways: Vec::new(),
        other: Vec::new(),
    }
}

/// Puts a value into its field; `key` is in the words of [`ManagedDevice`].
fn put(text: &str, found: &mut ManagedDevice, field: &str, key: &str, value: &str) {
    let first = value.split_whitespace().next().unwrap_or(value);
    match field {
        "kind" => found.kind = Some(at(text, value)),
        "state" => found.state = Some(at(text, value)),
        "configuration" if !matches!(value, "--" | "n/a") => {
            found.configuration = Some(at(text, value));
        }
        "mac" => {
            found.mac = first.parse().ok().map(|mac| At::new(mac, Span::of(text, first)));
        }
        "mtu" => {
            found.mtu = first.parse().ok().map(|mtu| At::new(mtu, Span::of(text, first)));
        }
        "address" | "gateway" if first.is_empty() => {}
        "address" => found.addresses.push(at(text, first)),
        "gateway" if first != "--" => found.gateways.push(at(text, first)),
        _ => found.other.push(Field { key: key.into(), value: at(text, value) }),
    }
}

/// `● 2: eth0`; the mark is a star where the terminal has no circle.
fn heading(line: &str) -> Option<&str> {
    let rest = line.trim_start().strip_prefix(['●', '*', '○', '↻', '×'])?;
    let (index, name) = rest.trim_start().split_once(": ")?;
    let plain = !name.is_empty() && !name.contains(char::is_whitespace);
    (index.bytes().all(|b| b.is_ascii_digit()) && !index.is_empty() && plain).then_some(name)
}

fn networkctl(text: &str, command: &Command) -> Outcome<Vec<ManagedDevice>> {
    let mut out = Outcome::default();
    let mut all: Vec<ManagedDevice> = Vec::new();
    let mut key = "";
    let document = networkd::is_json(text);
    if document {
        all = networkd::read(text, &mut out);
    }
    let list = bodies(text).find(|body| !body.is_empty()).is_some_and(is_list_heading);
    for body in bodies(text).take_while(|_| !document) {
        one_line(text, body, &mut out, &mut |line| {
            if list {
                list_line(text, line, &mut all)
            } else {
                status_line(text, line, &mut all, &mut key)
            }
        });
    }
    let mut out = out.map(|()| all);
    finish(text, &mut out);
    never_empty(&mut out, "a state");
    let all = |word: &String| word == "-a" || word == "--all" || word == "list";
    let named = command.args().iter().any(|word| word == "status" || word == "list");
    if named && !command.args().iter().any(all) {
        let partial = Completeness::Partial("shows only what was asked for".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

/// `IDX LINK TYPE OPERATIONAL SETUP`, the heading of `networkctl list`.
fn is_list_heading(line: &str) -> bool {
    line.split_whitespace().eq(["IDX", "LINK", "TYPE", "OPERATIONAL", "SETUP"])
}

/// One line of the list.
fn list_line<'a>(text: &str, line: &'a str, all: &mut Vec<ManagedDevice>) -> Parsed<'a, Read<()>> {
    let line = line.trim_end();
    let is_count = || line.ends_with(" links listed.") || line == "1 link listed.";
    if is_list_heading(line) || is_count() {
        return Ok(("", Read::Ignored));
    }
    // A mark stands in front where the terminal has one.
    let row = line.trim_start().trim_start_matches(['●', '*']).trim_start();
    let words: Vec<&str> = row.split_whitespace().collect();
    let [index, name, kind, state, setup] = words.as_slice() else {
        return refuse(line, "the index, the name, the type and the states of a device");
    };
    if !index.bytes().all(|b| b.is_ascii_digit()) {
        return refuse(line, "the index of a device");
    }
    let mut found = device(text, line, "networkd", Some(at(text, name)));
    found.kind = (*kind != "n/a").then(|| at(text, kind));
    found.state = Some(at(text, state).map(|state| Name::from(format!("{state} ({setup})"))));
    all.push(found);
    Ok(("", Read::Took(())))
}

fn status_line<'a>(
    text: &str,
    line: &'a str,
    all: &mut Vec<ManagedDevice>,
    last: &mut &'a str,
) -> Parsed<'a, Read<()>> {
    let took = Ok(("", Read::Took(())));
    if let Some(name) = heading(line) {
        *last = "";
        all.push(device(text, line, "networkd", Some(at(text, name))));
        return took;
    }
    if line.contains("systemd-networkd[") && line.contains("]: ") {
        // What the journal says of the device.
        return Ok(("", Read::Ignored));
    }
    // The state of the whole comes without a heading of its own.
    let whole = line.trim_start().strip_prefix(['●', '*']);
    let line = match whole {
        Some(rest) if all.is_empty() => {
            all.push(device(text, line, "networkd", None));
            rest
        }
        _ => line,
    };
    let indented = line.starts_with([' ', '\t']);
    let content = line.trim();
    // Keys end at one column: the longest begins at the margin.
    let of_device = indented || content.split_once(": ").is_some_and(|(key, _)| is_key(key));
    let Some(found) = all.last_mut().filter(|_| of_device) else {
        return refuse(line, "a device such as `● 2: eth0`");
    };
    let (key, value) = match content.split_once(": ") {
        Some((key, value)) if is_key(key) => (key, value.trim()),
        _ if content.ends_with(':') => {
            let (key, value) = content.split_at(content.len() - 1);
            (key, value.trim_start_matches(':'))
        }
        _ if last.is_empty() => return refuse(line, "`key: value`"),
        // Further values stand below the first one.
        _ => (*last, content),
    };
    *last = key;
    let field = match key {
        "Type" => "kind",
        "State" => "state",
        "Network File" => "configuration",
        "HW Address" | "Hardware Address" => "mac",
        "MTU" => "mtu",
        "Address" => "address",
        "Gateway" => "gateway",
        _ => "",
    };
    put(text, found, field, key, value);
    took
}

/// Keys of networkctl are words with a capital; an IPv6 address is none.
fn is_key(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || " -/()".contains(c))
}

/// The devices that `nmcli device show` was asked for.
fn nmcli_devices(command: &Command) -> Option<&[String]> {
    if command.program() != "nmcli" {
        return None;
    }
    let words = command.args();
    let from = words.iter().position(|word| !word.starts_with('-'))?;
    match words.get(from..)? {
        [object, show, devices @ ..]
            if "device".starts_with(object.as_str()) && "show".starts_with(show.as_str()) =>
        {
            Some(devices)
        }
        _ => None,
    }
}

fn nmcli(text: &str, command: &Command) -> Outcome<Vec<ManagedDevice>> {
    let mut out = Outcome::default();
    let mut all: Vec<ManagedDevice> = Vec::new();
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| nmcli_line(text, line, &mut all));
    }
    let mut out = out.map(|()| all);
    finish(text, &mut out);
    never_empty(&mut out, "a device lo");
    if nmcli_devices(command).is_some_and(|device| !device.is_empty()) {
        let partial =
            Completeness::Partial("shows only the devices that were asked for".to_owned());
        out.completeness = std::mem::take(&mut out.completeness).and(partial);
    }
    out
}

fn nmcli_line<'a>(text: &str, line: &'a str, all: &mut Vec<ManagedDevice>) -> Parsed<'a, Read<()>> {
    let Some((key, value)) = line.split_once(':') else { return refuse(line, "`KEY: value`") };
    let known = |it: u8| it.is_ascii_uppercase() || it.is_ascii_digit() || b".-[]_".contains(&it);
    if !key.contains('.') || !key.bytes().all(known) {
        return refuse(line, "a key such as `GENERAL.DEVICE:`");
    }
    let value = value.trim();
    if key == "GENERAL.DEVICE" {
        all.push(device(text, line, "NetworkManager", Some(at(text, value))));
        return Ok(("", Read::Took(())));
    }
    let Some(found) = all.last_mut() else { return refuse(line, "`GENERAL.DEVICE:` above") };
    let plain = key.split('[').next().unwrap_or(key);
    let field = match plain {
        "GENERAL.TYPE" => "kind",
        "GENERAL.STATE" => "state",
        "GENERAL.CONNECTION" => "configuration",
        "GENERAL.HWADDR" => "mac",
        "GENERAL.MTU" => "mtu",
        "IP4.ADDRESS" | "IP6.ADDRESS" => "address",
        "IP4.GATEWAY" | "IP6.GATEWAY" => "gateway",
        _ => "",
    };
    put(text, found, field, key, value);
    Ok(("", Read::Took(())))
}

/// The team of `teamdctl TEAM state [view]`.
fn team(command: &Command) -> Option<&str> {
    let mut words = command.args().iter().filter(|arg| !arg.starts_with('-')).map(String::as_str);
    let team = words.next().filter(|_| command.program() == "teamdctl")?;
    let view = words.next() == Some("state") && words.next().is_none_or(|word| word == "view");
    view.then_some(team)
}

fn teamdctl(text: &str, command: &Command) -> Outcome<Vec<ManagedDevice>> {
    let mut out = Outcome::default();
    let mut found: Option<ManagedDevice> = None;
    // The headings above a line, each with its indentation.
    let mut path: Vec<(usize, &str)> = Vec::new();
    for body in bodies(text) {
        one_line(text, body, &mut out, &mut |line| {
            let content = line.trim_start();
            let indent = line.len() - content.len();
            path.retain(|path| path.0 < indent);
            let words = content.split_once(": ");
            let heading = content.strip_suffix(':').or_else(|| {
                let port = words.is_none() && path.last().is_some_and(|path| path.1 == "ports");
                port.then_some(content)
            });
            if indent == 0 && !matches!(heading, Some("setup" | "ports" | "runner")) {
                return refuse(line, "setup, ports or runner");
            }
            if indent > 0 && found.is_none() {
                return refuse(line, "setup, ports or runner above this line");
            }
            let found = found.get_or_insert_with(|| {
                let dev = team(command).map(|team| At::new(Name::from(team), Span::of(text, line)));
                device(text, line, "teamd", dev)
            });
            match (heading, words) {
                (Some(heading), _) => path.push((indent, heading)),
                (None, Some((key, value))) => {
                    let above: Vec<&str> = path.iter().map(|path| path.1).collect();
                    let full = format!("{}/{key}", above.join("/"));
                    let field = if full == "setup/runner" { "kind" } else { "" };
                    put(text, found, field, &full, value.trim());
                }
                (None, None) => return refuse(line, "`key: value`"),
            }
            Ok(("", Read::Took(())))
        });
    }
    let mut out = out.map(|()| found.into_iter().collect::<Vec<_>>());
    finish(text, &mut out);
    never_empty(&mut out, "a runner");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found<'a>(it: &'a ManagedDevice, key: &str) -> &'a str {
        Field::find(&it.other, key).map_or("-", |it| it.as_str())
    }

    #[test]
    fn networkd_says_state_file_and_addresses() {
        let text = "● 2: eth0\n                     Link File: /usr/lib/systemd/network/99-default.link\n                  \
            Network File: /run/systemd/network/10-eth0.network\n                         State: routable (configured)\n                          \
            Type: ether\n                    HW Address: 52:54:00:00:00:07 (Realtek)\n                           \
            MTU: 1500 (min: 68, max: 65535)\n                       Address: 192.0.2.7 (DHCP4 via 192.0.2.1)\n                                \
            fe80::5054:ff:fe00:7\n                       Gateway: 192.0.2.1 (Cisco)\n\n\
            Nov 29 01:01:01 host systemd-networkd[77]: eth0: Link UP\n";
        let out = networkctl(text, &Command::new("networkctl status --all"));
        assert_eq!(out.problems, []);
        assert!(out.completeness.is_complete());
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(it.dev.as_ref().unwrap().as_str(), "eth0");
        assert_eq!(it.state.as_ref().unwrap().as_str(), "routable (configured)");
        assert_eq!(
            it.addresses.iter().map(|address| address.as_str()).collect::<Vec<_>>(),
            ["192.0.2.7", "fe80::5054:ff:fe00:7"]
        );
        assert_eq!((it.mtu.as_ref().unwrap().value, it.gateways.len()), (1500, 1));
    }

    #[test]
    fn the_list_of_networkd_is_read() {
        let text = "IDX LINK            TYPE     OPERATIONAL SETUP     \n  1 lo              loopback carrier     \
            unmanaged \n● 3 br0             bridge   no-carrier  configuring\n\n2 links listed.\n";
        for line in ["networkctl", "networkctl list", "networkctl --no-pager -a"] {
            let command = Command::new(line);
            assert!(NETWORKCTL.reads(&command) && (NETWORKCTL.sniff)(text) > 50, "{line}");
            let out = networkctl(text, &command);
            assert_eq!((out.problems.as_slice(), out.lines.unread), (&[][..], 0), "{line}");
            assert!(out.completeness.is_complete(), "{line}");
            let [_, br0] = out.records.as_slice() else { panic!("{out:?}") };
            assert_eq!(br0.dev.as_ref().unwrap().as_str(), "br0");
            assert_eq!(br0.kind.as_ref().unwrap().as_str(), "bridge");
            assert_eq!(br0.state.as_ref().unwrap().as_str(), "no-carrier (configuring)");
        }
        assert!(!NETWORKCTL.reads(&Command::new("networkctl lldp")));
        let torn = networkctl(
            "IDX LINK TYPE OPERATIONAL SETUP\n  1 lo loop\n",
            &Command::new("networkctl"),
        );
        assert!(torn.records.is_empty() && !torn.completeness.is_complete());
    }

    #[test]
    fn network_manager_says_connection_and_state() {
        let text = "GENERAL.DEVICE:                         eth0\nGENERAL.TYPE:                           ethernet\n\
            GENERAL.HWADDR:                         52:54:00:00:00:07\nGENERAL.MTU:                            1500\n\
            GENERAL.STATE:                          100 (connected)\nGENERAL.CONNECTION:                     Wired 1\n\
            WIRED-PROPERTIES.CARRIER:               on\nIP4.ADDRESS[1]:                         192.0.2.7/24\n\
            IP4.GATEWAY:                            192.0.2.1\nIP6.GATEWAY:                            --\n\n\
            GENERAL.DEVICE:                         br0\nGENERAL.CONNECTION:                     --\n";
        let out = nmcli(text, &Command::new("nmcli device show"));
        assert_eq!(out.problems, []);
        let [eth0, br0] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(eth0.configuration.as_ref().unwrap().as_str(), "Wired 1");
        assert_eq!(
            (eth0.addresses.len(), eth0.gateways.len(), br0.configuration.is_none()),
            (1, 1, true)
        );
        assert_eq!(found(eth0, "WIRED-PROPERTIES.CARRIER"), "on");
    }

    #[test]
    fn teamd_says_runner_and_ports() {
        let text = "setup:\n  runner: activebackup\nports:\n  eth1\n    link watches:\n      link summary: up\n      \
            instance[link_watch_0]:\n        name: ethtool\n        link: up\n  eth2\n    link watches:\n      link summary: down\n\
            runner:\n  active port: eth1\n";
        let out = teamdctl(text, &Command::new("teamdctl team0 state"));
        assert_eq!(out.problems, []);
        let [it] = out.records.as_slice() else { panic!("{out:?}") };
        assert_eq!(it.dev.as_ref().unwrap().as_str(), "team0");
        assert_eq!(it.kind.as_ref().unwrap().as_str(), "activebackup");
        assert_eq!(found(it, "ports/eth2/link watches/link summary"), "down");
        assert_eq!(found(it, "runner/active port"), "eth1");
    }

    #[test]
    fn what_is_none_of_these_is_a_problem() {
        for text in ["hello\n", "Error: NetworkManager is not running.\n", "state: up\n"] {
            for out in [
                networkctl(text, &Command::new("networkctl status")),
                nmcli(text, &Command::new("nmcli device show")),
                teamdctl(text, &Command::new("teamdctl team0 state")),
            ] {
                assert!(out.records.is_empty() && out.completeness.is_failed(), "{text}{out:?}");
            }
        }
        assert!(NMCLI.reads(&Command::new("nmcli d sh eth0")));
        assert!(!NMCLI.reads(&Command::new("nmcli device status")));
        assert!(TEAMDCTL.reads(&Command::new("teamdctl team0 state view")));
    }
}
