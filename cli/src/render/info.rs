//! One screen of a host, for people; and the document for programs.
use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;

use super::escape::{shorten, visible};
use super::headline::vms;
use super::{count, places::Places};
use crate::error::Result;
use crate::overview::{Guest, Headline, Host, NO_BRIDGE, Nic, Root, sort_of};
use crate::terminal::{Paint, Terminal, style};

/// Lines of one section; a host may have hundreds of VMs.
const LINES: usize = 8;
/// Names in one line.
const NAMES: usize = 6;
/// Columns of the words in front.
const WORDS: usize = 12;

/// What `tapline info --format json` writes.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.info/1"))]
    schema: &'static str,
    hosts: &'a [Host],
}

/// Writes the document.
pub(crate) fn json(out: &mut impl Write, hosts: &[Host]) -> Result<()> {
    serde_json::to_writer_pretty(&mut *out, &Document { schema: "tapline.info/1", hosts })?;
    Ok(writeln!(out)?)
}

/// Writes the screen of one host.
pub(crate) fn text(
    out: &mut impl Write,
    host: &Host,
    places: &Places,
    terminal: &Terminal,
) -> io::Result<()> {
    let mut screen = Screen { out, terminal, paint: terminal.stdout() };
    screen.head(&host.headline)?;
    screen.broken(host, places)?;
    screen.section("NICs", &nics(&host.nics))?;
    screen.section("addresses", &addresses(host))?;
    screen.section("default", &default_routes(host))?;
    screen.section("bonds", &bonds(host))?;
    screen.section("bridges", &bridges(host))?;
    screen.section("OVS", &ovs_bridges(host))?;
    screen.section("tunnels", &tunnels(host))?;
    screen.section("VMs", &guests(&host.headline, &host.vms))?;
    screen.section("containers", &containers(host))?;
    screen.section("namespaces", &namespaces(host))?;
    screen.section("not captured", &not_captured(host))
}

struct Screen<'s, W> {
    out: &'s mut W,
    terminal: &'s Terminal,
    paint: Paint,
}

impl<W: Write> Screen<'_, W> {
    /// Who it is and when.
    fn head(&mut self, headline: &Headline) -> io::Result<()> {
        let mut facts = Vec::new();
        facts.push(match &headline.captured {
            Some(captured) => format!("captured {captured} UTC"),
            None => "time of the capture not known".to_owned(),
        });
        facts.extend(headline.uptime_s.map(|seconds| format!("up {}", ago(seconds))));
        facts.extend(headline.sos.as_ref().map(|sos| format!("sos {sos}")));
        if headline.cleaned {
            facts.push("names and addresses replaced by sos clean".to_owned());
        }
        let name = self.paint.of(style::STRONG, visible(&headline.host)).to_string();
        writeln!(self.out, "{name}: {}", visible(&facts.join(" · ")))?;
        let roles: Vec<String> = headline
            .roles
            .roles
            .iter()
            .map(|role| format!("{} (by {})", role.name, role.because))
            .collect();
        let roles = match (roles.is_empty(), headline.roles.roles_unknown.is_empty()) {
            (false, _) => roles,
            (true, true) => vec!["none of the sorts of host that tapline knows".to_owned()],
            (true, false) => {
                let commands = list(&headline.roles.roles_unknown, 3);
                vec![format!("not known; to tell, run: {commands}")]
            }
        };
        self.section("is", &roles)?;
        let mut system = Vec::new();
        system.extend(headline.os.as_ref().map(|os| os.value.clone()));
        system.extend(headline.kernel.as_ref().map(|kernel| format!("kernel {}", kernel.value)));
        system.extend(headline.ovs.as_ref().map(|ovs| format!("Open vSwitch {}", ovs.value)));
        if system.is_empty() {
            return Ok(());
        }
        self.section("system", &[system.join(", ")])
    }

    fn broken(&mut self, host: &Host, places: &Places) -> io::Result<()> {
        let broken: &[Root] = &host.broken;
        let Some(worst) = broken.first() else {
            let bare = host.nics.is_empty()
                && host.bridges.is_empty()
                && host.ovs_bridges.is_empty()
                && host.vms.is_empty()
                && host.namespaces.is_empty();
            let words = if bare {
                "nothing to judge: no NIC, bridge, VM or namespace was captured"
            } else {
                "nothing found in what was captured"
            };
            return self.section("broken", &[words.to_owned()]);
        };
        let mut counts: BTreeMap<std::cmp::Reverse<u8>, (usize, &str)> = BTreeMap::new();
        for root in broken {
            let rank = match root.severity.as_str() {
                "error" => 2,
                "warning" => 1,
                _ => 0,
            };
            counts.entry(std::cmp::Reverse(rank)).or_insert((0, &root.severity)).0 += 1;
        }
        let counted = counts.values().map(|(n, severity)| match *severity {
            "info" => format!("{n} info"),
            severity => count(*n, severity),
        });
        let counted = counted.collect::<Vec<_>>().join(", ");
        let place = worst.at.as_ref().map(|at| {
            format!("{}:{}", super::places::brief(&places.path(&at.archive, &at.member)), at.line)
        });
        let place = place.map(|place| format!(" ({place})")).unwrap_or_default();
        let text =
            format!("{counted}; first {} {}: {}{place}", worst.code, worst.object, worst.message);
        let shown = shorten(&text, self.width().saturating_sub(1));
        let word = format!("{:WORDS$}", "broken");
        writeln!(self.out, "  {} {}", self.paint.of(style::ERROR, word), visible(&shown))
    }

    /// Lines behind a word; what is too long for the screen is cut.
    fn section(&mut self, name: &str, lines: &[String]) -> io::Result<()> {
        for (n, line) in lines.iter().enumerate() {
            let word = format!("{:WORDS$}", if n == 0 { name } else { "" });
            let shown = shorten(line, self.width().saturating_sub(1));
            writeln!(self.out, "  {} {}", self.paint.of(style::HINT, word), visible(&shown))?;
        }
        Ok(())
    }

    fn width(&self) -> usize {
        // What goes elsewhere is not cut to the width of a terminal that is not there.
        let width = if self.terminal.is_one { self.terminal.width } else { 160 };
        width.saturating_sub(WORDS + 3).max(40)
    }
}

/// `3 days`, `17 hours`, `5 minutes`
fn ago(seconds: u64) -> String {
    match seconds / 60 {
        minutes if minutes < 120 => count(usize::try_from(minutes).unwrap_or(0), "minute"),
        minutes if minutes < 2 * 1440 => count(usize::try_from(minutes / 60).unwrap_or(0), "hour"),
        minutes => count(usize::try_from(minutes / 1440).unwrap_or(0), "day"),
    }
}

/// The first names and how many more there are.
fn list<T: AsRef<str>>(names: &[T], most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let mut text = names.iter().take(most).map(T::as_ref).collect::<Vec<_>>().join(", ");
    if more > 0 {
        text.push_str(&format!(" and {more} more"));
    }
    text
}

/// The first lines and how many more there are.
fn fold(mut lines: Vec<String>, what: &str) -> Vec<String> {
    if lines.len() > LINES {
        let more = lines.len() - (LINES - 1);
        lines.truncate(LINES - 1);
        lines.push(format!("and {}", count(more, &format!("more {what}"))));
    }
    lines
}

/// Words in columns.
fn columns(rows: &[Vec<String>]) -> Vec<String> {
    let mut widths: Vec<usize> = Vec::new();
    for row in rows {
        for (n, cell) in row.iter().enumerate() {
            let long = cell.chars().count();
            match widths.get_mut(n) {
                Some(width) => *width = (*width).max(long),
                None => widths.push(long),
            }
        }
    }
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).filter(|(_, width)| **width > 0);
        let cells: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

fn nics(all: &[Nic]) -> Vec<String> {
    // Those that are used before those that are not.
    let mut sorted: Vec<&Nic> = all.iter().collect();
    sorted.sort_by_key(|nic| {
        (nic.addresses.is_empty() && nic.part_of.is_none(), nic.link != Some("up"))
    });
    let rows: Vec<Vec<String>> = sorted
        .into_iter()
        .map(|nic| {
            let mut used = Vec::new();
            used.extend(nic.netns.as_ref().map(|netns| format!("in {netns}")));
            used.extend(nic.part_of.as_ref().map(|part_of| format!("→ {part_of}")));
            used.extend(nic.addresses.iter().cloned());
            let speed = match (&nic.speed, &nic.duplex) {
                (Some(speed), Some(duplex)) if duplex != "Full" => format!("{speed} {duplex}"),
                (Some(speed), _) => speed.clone(),
                (None, _) => String::new(),
            };
            let driver = [nic.driver.clone(), nic.bus.clone()];
            vec![
                nic.name.clone(),
                nic.link.unwrap_or("link not known").to_owned(),
                speed,
                driver.into_iter().flatten().collect::<Vec<_>>().join(" "),
                nic.mtu.map(|mtu| format!("mtu {mtu}")).unwrap_or_default(),
                list(&used, NAMES),
            ]
        })
        .collect();
    fold(columns(&rows), "NIC")
}

fn addresses(host: &Host) -> Vec<String> {
    let line = |holder: &crate::overview::Holder| {
        format!("{} ({}): {}", holder.name, holder.kind, list(&holder.addresses, NAMES))
    };
    fold(host.addresses.iter().map(line).collect(), "device")
}

fn default_routes(host: &Host) -> Vec<String> {
    let line = |route: &crate::overview::DefaultRoute| {
        let mut text = String::new();
        if let Some(via) = &route.via {
            text.push_str(&format!("via {via} "));
        }
        if let Some(dev) = &route.dev {
            text.push_str(&format!("dev {dev} "));
        }
        if route.table != "main" {
            text.push_str(&format!("table {}", route.table));
        }
        text.trim_end().to_owned()
    };
    fold(host.default_routes.iter().map(line).collect(), "default route")
}

fn bonds(host: &Host) -> Vec<String> {
    let line = |bond: &crate::overview::Bond| {
        let mode = bond.mode.as_ref().map(|mode| format!(" ({mode})")).unwrap_or_default();
        let own = if bond.addresses.is_empty() {
            String::new()
        } else {
            format!("; {}", list(&bond.addresses, NAMES))
        };
        format!("{}{mode}: {}{own}", bond.name, list(&bond.members, NAMES))
    };
    fold(host.bonds.iter().map(line).collect(), "bond")
}

fn bridges(host: &Host) -> Vec<String> {
    let mut sorts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut lines = Vec::new();
    for bridge in &host.bridges {
        if let Some(sort) = sort_of(&bridge.name) {
            *sorts.entry(sort).or_default() += 1;
            continue;
        }
        let netns = bridge.netns.as_ref().map(|netns| format!(" in {netns}")).unwrap_or_default();
        let mut parts = Vec::new();
        parts.extend((!bridge.addresses.is_empty()).then(|| list(&bridge.addresses, NAMES)));
        parts.push(match bridge.members.len() {
            0 => "no members".to_owned(),
            few if few <= NAMES => list(&bridge.members, NAMES),
            many => format!("{}: {}", count(many, "member"), list(&bridge.members, 3)),
        });
        lines.push(format!("{}{netns}: {}", bridge.name, parts.join("; ")));
    }
    lines = fold(lines, "bridge");
    lines.extend(sorts.into_iter().map(|(sort, n)| format!("{sort}… ×{n}, one a hybrid port")));
    lines
}

fn ovs_bridges(host: &Host) -> Vec<String> {
    let line = |bridge: &crate::overview::OvsBridge| {
        let mut about: Vec<String> = Vec::new();
        about.extend(bridge.fail_mode.clone());
        about.extend(bridge.datapath.clone().filter(|datapath| datapath == "netdev"));
        let about =
            if about.is_empty() { String::new() } else { format!(" ({})", about.join(", ")) };
        let mut parts = vec![count(bridge.ports, "port")];
        parts.extend(
            (!bridge.uplinks.is_empty()).then(|| format!("→ {}", list(&bridge.uplinks, NAMES))),
        );
        parts.extend((!bridge.addresses.is_empty()).then(|| list(&bridge.addresses, NAMES)));
        format!("{}{about}: {}", bridge.name, parts.join(", "))
    };
    fold(host.ovs_bridges.iter().map(line).collect(), "bridge")
}

fn tunnels(host: &Host) -> Vec<String> {
    let line = |tunnel: &crate::overview::Tunnel| {
        let local = tunnel.local.as_ref().map(|local| format!(" from {local}")).unwrap_or_default();
        let to = match tunnel.remotes.len() {
            0 => "any".to_owned(),
            _ => list(&tunnel.remotes, NAMES),
        };
        format!("{}{local} to {to}", tunnel.kind)
    };
    fold(host.tunnels.iter().map(line).collect(), "tunnel")
}

fn guests(headline: &Headline, all: &[Guest]) -> Vec<String> {
    let Some(heading) = vms(headline) else { return Vec::new() };
    let mut lines = vec![heading];
    let mut rows = Vec::new();
    for vm in all.iter().take(if all.len() > LINES { LINES - 1 } else { LINES }) {
        let nova = vm.nova_name.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
        let nics: Vec<String> = vm
            .nics
            .iter()
            .map(|nic| {
                let ips: Vec<&str> =
                    nic.addresses.iter().map(|address| address.ip.as_str()).collect();
                let ips =
                    if ips.is_empty() { String::new() } else { format!(" {}", list(&ips, 3)) };
                format!("{}{ips}", nic.net())
            })
            .collect();
        rows.push(vec![
            format!("{}{nova}", vm.name),
            vm.state.clone().unwrap_or_else(|| "state not known".to_owned()),
            if nics.is_empty() { "no NIC known".to_owned() } else { list(&nics, NAMES) },
        ]);
    }
    lines.extend(columns(&rows));
    // The others by what they hang on.
    if all.len() > LINES {
        let mut alike: BTreeMap<(String, String), usize> = BTreeMap::new();
        for vm in all.iter().skip(LINES - 1) {
            let bridges = vm.nics.iter().map(|nic| nic.bridge.as_deref().unwrap_or(NO_BRIDGE));
            let bridges: Vec<&str> = bridges.collect();
            let state = vm.state.clone().unwrap_or_else(|| "state not known".to_owned());
            *alike.entry((state, list(&bridges, NAMES))).or_default() += 1;
        }
        let mut alike: Vec<_> = alike.into_iter().collect();
        alike.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        let more: Vec<String> = alike
            .into_iter()
            .map(|((state, nets), n)| format!("and {n} more {state} on {nets}"))
            .collect();
        lines.extend(fold(more, "sort"));
    }
    lines
}

fn containers(host: &Host) -> Vec<String> {
    let line = |container: &crate::overview::Container| {
        let on = container.device.as_ref().map_or(String::new(), |device| format!(" on {device}"));
        let name = format!("{}{on}", container.name);
        format!("{name} {}", list(&container.addresses, NAMES)).trim_end().to_owned()
    };
    fold(host.containers.iter().map(line).collect(), "container")
}

fn namespaces(host: &Host) -> Vec<String> {
    let line = |netns: &crate::overview::Namespace| {
        let mut text = format!("{}: {}", netns.name, list(&netns.devices, 4));
        if netns.devices.is_empty() {
            text = format!("{}: no devices but lo", netns.name);
        }
        if !netns.addresses.is_empty() {
            text.push_str(&format!("; {}", list(&netns.addresses, 4)));
        }
        text
    };
    let (captured, others): (Vec<_>, Vec<_>) =
        host.namespaces.iter().partition(|netns| netns.captured);
    let mut lines = fold(captured.into_iter().map(line).collect(), "namespace");
    let names: Vec<&str> = others.iter().map(|netns| netns.name.as_str()).collect();
    lines.extend(
        (!names.is_empty()).then(|| format!("nothing captured in {}", list(&names, NAMES))),
    );
    lines
}

fn not_captured(host: &Host) -> Vec<String> {
    let mut commands: Vec<(&str, Vec<String>)> = Vec::new();
    for gap in &host.not_captured {
        let what = match gap.state {
            "not-captured" => gap.what.clone(),
            state => format!("{} ({state})", gap.what),
        };
        match commands.iter_mut().find(|(command, _)| *command == gap.command) {
            Some((_, topics)) => topics.push(what),
            None => commands.push((&gap.command, vec![what])),
        }
    }
    let lines =
        commands.into_iter().map(|(command, what)| format!("{}: {command}", what.join(", ")));
    fold(lines.collect(), "command")
}
