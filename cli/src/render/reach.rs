//! What guests, pods and routers reach: a table for people, with what cuts most first; JSON; JUnit.
use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use tapline_core::capture::HostId;
use tapline_network::trace::{Cell, Place, Reason, Row};
use tapline_topology::Topology;

use super::escape::{harmless, visible};
use crate::terminal::{Terminal, style};

/// What is taken for granted of hosts.
type Granted = [(HostId, String)];

/// What is asked for, in the order of the columns.
const ORDER: [&str; 5] = ["gateway", "dhcp", "metadata", "outside", "peers"];
/// Names that a group of rows lists.
const LISTED: usize = 6;

/// What is said where there is nobody to ask for.
pub(crate) const NOBODY: &str = "no guest that runs, no pod and no router is meant or was captured: \
     nothing to tell; the texts that show them: virsh list --all, virsh dumpxml, ip netns, and in each \
     namespace ip -d address and ip route show table all";

/// The answer for programs.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.reach/1"))]
    schema: &'static str,
    rows: Vec<RowDocument<'a>>,
    /// What is taken for granted where ways work, once for each host.
    assumptions: Vec<GrantedDocument<'a>>,
    /// What `--without` takes away: the rows are those without it.
    #[serde(skip_serializing_if = "Option::is_none")]
    without: Option<WithoutDocument<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct GrantedDocument<'a> {
    host: &'a str,
    text: &'a str,
}

#[derive(JsonSchema, Serialize)]
struct WithoutDocument<'a> {
    /// Its key.
    key: &'a str,
    /// Its name.
    name: &'a str,
    /// What works with it and not without it, or of which that cannot be told then.
    lost: Vec<GroupDocument<'a>>,
}

/// Round trips with one cut.
#[derive(JsonSchema, Serialize)]
struct GroupDocument<'a> {
    /// `gateway`, `dhcp`, `metadata`, `outside`, `peers`.
    to: String,
    /// False where it is lost, null where that cannot be told.
    reached: Option<bool>,
    outcome: &'static str,
    reason: Option<&'static str>,
    at: PlaceDocument<'a>,
    /// It is the answer that does not arrive.
    back: bool,
    /// Guests and routers that lose it.
    guests: Vec<String>,
}

/// What is lost with something.
#[derive(Debug)]
pub(crate) struct Lost {
    /// Its key.
    pub(crate) key: String,
    /// Its name.
    pub(crate) name: String,
    /// What is reached without it.
    pub(crate) rows: Vec<Row>,
    /// Of these, what was reached before and is not now, or is not known.
    pub(crate) broken: Vec<Row>,
}

/// The round trips that work in `before` and not in `after`, with what becomes of them.
pub(crate) fn lost(before: &[Row], after: &[Row]) -> Vec<Row> {
    let is_lost = |old: &Cell, new: &Cell| old.reached == Some(true) && new.reached != Some(true);
    let rows = before.iter().zip(after).map(|(old, new)| {
        let cells = old.cells.iter().zip(&new.cells);
        let peers = old.peers.iter().zip(&new.peers);
        Row {
            cells: cells
                .filter(|(old, new)| is_lost(&old.1, &new.1))
                .map(|(_, new)| new.clone())
                .collect(),
            peers: peers
                .filter(|(old, new)| is_lost(&old.cell, &new.cell))
                .map(|(_, new)| new.clone())
                .collect(),
            ..new.clone()
        }
    });
    rows.filter(|row| !row.cells.is_empty() || !row.peers.is_empty()).collect()
}

#[derive(JsonSchema, Serialize)]
struct RowDocument<'a> {
    host: &'a str,
    /// The VM, the pod or container, or the namespace of a router.
    vm: &'a str,
    nic: Option<&'a str>,
    mac: Option<String>,
    ip: Option<String>,
    network: Option<&'a str>,
    /// Each a round trip: `gateway`, `dhcp`, `metadata`, `outside`.
    cells: BTreeMap<&'static str, CellDocument<'a>>,
    peers: Vec<PeerDocument<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct CellDocument<'a> {
    /// Null where that cannot be told.
    reached: Option<bool>,
    outcome: &'static str,
    reason: Option<&'static str>,
    at: PlaceDocument<'a>,
    /// It is the answer that does not arrive.
    back: bool,
}

#[derive(JsonSchema, Serialize)]
struct PeerDocument<'a> {
    vm: &'a str,
    reached: Option<bool>,
    outcome: &'static str,
    reason: Option<&'static str>,
    at: PlaceDocument<'a>,
}

#[derive(JsonSchema, Serialize)]
struct PlaceDocument<'a> {
    host: Option<&'a str>,
    netns: Option<String>,
    device: Option<&'a str>,
    bridge: Option<&'a str>,
    port: Option<&'a str>,
}

/// The rows for programs.
pub(crate) fn document<'a>(
    topology: &'a Topology<'_>,
    rows: &'a [Row],
    lost: Option<&'a Lost>,
    granted: &'a Granted,
) -> Document<'a> {
    let label = |host| topology.snapshot.host_label(host);
    let place = |at: &'a Place| PlaceDocument::of(topology, at);
    let row = |row: &'a Row| RowDocument {
        host: label(row.host),
        vm: &row.vm,
        nic: row.nic.as_deref(),
        mac: row.mac.map(|mac| mac.to_string()),
        ip: row.ip.map(|ip| ip.to_string()),
        network: row.network.as_deref(),
        cells: row
            .cells
            .iter()
            .map(|(name, cell)| {
                let cell = CellDocument {
                    reached: cell.reached,
                    outcome: cell.outcome.as_str(),
                    reason: cell.reason.map(Reason::as_str),
                    at: place(&cell.at),
                    back: cell.back,
                };
                (*name, cell)
            })
            .collect(),
        peers: row
            .peers
            .iter()
            .map(|peer| PeerDocument {
                vm: &peer.vm,
                reached: peer.cell.reached,
                outcome: peer.cell.outcome.as_str(),
                reason: peer.cell.reason.map(Reason::as_str),
                at: place(&peer.cell.at),
            })
            .collect(),
    };
    let without = lost.map(|lost| WithoutDocument {
        key: &lost.key,
        name: &lost.name,
        lost: groups(&lost.broken)
            .into_iter()
            .map(|(cell, to, guests)| GroupDocument {
                to,
                reached: cell.reached,
                outcome: cell.outcome.as_str(),
                reason: cell.reason.map(Reason::as_str),
                at: PlaceDocument::of(topology, &cell.at),
                back: cell.back,
                guests,
            })
            .collect(),
    });
    Document {
        schema: "tapline.reach/1",
        rows: rows.iter().map(row).collect(),
        assumptions: granted
            .iter()
            .map(|(host, text)| GrantedDocument { host: label(*host), text })
            .collect(),
        without,
    }
}

impl<'a> PlaceDocument<'a> {
    fn of(topology: &'a Topology<'_>, at: &'a Place) -> Self {
        Self {
            host: at.host.map(|host| topology.snapshot.host_label(host)),
            netns: at.netns.as_ref().map(ToString::to_string),
            device: at.device.as_deref(),
            bridge: at.bridge.as_deref(),
            port: at.port.as_deref(),
        }
    }
}

/// `✓`, `✗`, `?`
fn mark(reached: Option<bool>) -> &'static str {
    match reached {
        Some(true) => "✓",
        Some(false) => "✗",
        None => "?",
    }
}

/// One row a NIC, then what cuts the ways, the most frequent first.
pub(crate) fn text(
    out: &mut impl Write,
    topology: &Topology<'_>,
    rows: &[Row],
    lost: Option<&Lost>,
    granted: &Granted,
    terminal: &Terminal,
) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "{NOBODY}");
    }
    let paint = terminal.stdout();
    let columns = ["gateway", "dhcp", "metadata", "outside"];
    let name = |row: &Row| match &row.nic {
        Some(nic) => format!("{}/{nic}", row.vm),
        None => row.vm.to_string(),
    };
    let host = |row: &Row| topology.snapshot.host_label(row.host).to_owned();
    let width = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(5).max(5);
    let hosts = rows.iter().map(|row| host(row).chars().count()).max().unwrap_or(4).max(4);
    let pad = |text: &str, width: usize| {
        let fill = width.saturating_sub(text.chars().count());
        format!("{}{}", visible(text), " ".repeat(fill))
    };
    write!(out, "{}  {}  {}", pad("host", hosts), pad("guest", width), pad("address", 15))?;
    writeln!(out, "  {}  peers", columns.join("  "))?;
    for row in rows {
        let ip = row.ip.map_or_else(String::new, |ip| ip.to_string());
        write!(out, "{}  {}  {}", pad(&host(row), hosts), pad(&name(row), width), pad(&ip, 15))?;
        for column in columns {
            let cell = row.cells.iter().find(|(name, _)| *name == column);
            let shown = cell.map_or("–", |(_, cell)| mark(cell.reached));
            let colour = match cell.and_then(|(_, cell)| cell.reached) {
                Some(true) => style::GOOD,
                Some(false) => style::ERROR,
                None => style::WARNING,
            };
            let fill = " ".repeat(column.len().saturating_sub(1));
            write!(out, "  {}{fill}", paint.of(colour, shown))?;
        }
        let works = row.peers.iter().filter(|peer| peer.cell.reached == Some(true)).count();
        let peers = if row.peers.is_empty() {
            "–".to_owned()
        } else {
            format!("{works} of {}", row.peers.len())
        };
        writeln!(out, "  {peers}")?;
    }
    for (_, text) in granted {
        writeln!(out, "assumed: {}", visible(text))?;
    }
    if let Some(lost) = lost {
        let name = visible(&lost.name);
        let all = groups(&lost.broken);
        if all.is_empty() {
            return writeln!(out, "\nwithout {name} nothing is lost that works with it");
        }
        writeln!(out, "\n{}", paint.of(style::STRONG, format!("lost without {name}")))?;
        return write_groups(out, topology, &merged(all));
    }
    let all = merged(groups(rows));
    if !all.is_empty() {
        writeln!(out)?;
    }
    write_groups(out, topology, &all)
}

fn write_groups(
    out: &mut impl Write,
    topology: &Topology<'_>,
    all: &[Group<'_>],
) -> io::Result<()> {
    for (cell, what, who) in all {
        let reason = cell.reason.map_or("", |reason| reason.text());
        let code = cell.reason.map(|reason| format!(" {reason}")).unwrap_or_default();
        let host = cell.at.host.map(|host| topology.snapshot.host_label(host)).unwrap_or_default();
        let back = if cell.back { " (the answer)" } else { "" };
        let list: Vec<&str> = who.iter().take(LISTED).map(String::as_str).collect();
        let more = who.len().saturating_sub(list.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let words = format!(
            "{what}{back}, {}: {}{code} at {host} {} — {reason}: {}{more}",
            super::count(who.len(), "guest"),
            cell.outcome,
            cell.at.words(),
            list.join(", ")
        );
        writeln!(out, "{} {}", mark(cell.reached), visible(&words))?;
    }
    Ok(())
}

/// Round trips with one cut: what becomes of them, where they lead, who makes them.
type Group<'r> = (&'r Cell, String, Vec<String>);

/// Rows with the same cut, the largest group first; what cannot be told comes behind what fails.
fn groups(rows: &[Row]) -> Vec<Group<'_>> {
    let mut all: BTreeMap<(&Cell, &str), Vec<String>> = BTreeMap::new();
    for row in rows {
        let own = row.cells.iter().map(|(name, cell)| (cell, *name));
        let peers = row.peers.iter().map(|peer| (&peer.cell, "peers"));
        for (cell, name) in own.chain(peers).filter(|(cell, _)| cell.reached != Some(true)) {
            let who = all.entry((cell, name)).or_default();
            let vm = row.vm.to_string();
            if !who.contains(&vm) {
                who.push(vm);
            }
        }
    }
    let mut all: Vec<Group<'_>> =
        all.into_iter().map(|((cell, what), who)| (cell, what.to_owned(), who)).collect();
    all.sort_by_key(|(cell, _, who)| (cell.reached.is_none(), std::cmp::Reverse(who.len())));
    all
}

/// Groups of the same guests with the same cut as one: `gateway, dhcp, outside`.
fn merged(groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let mut all: Vec<Group<'_>> = Vec::new();
    let mut known: BTreeMap<(&Cell, Vec<String>), usize> = BTreeMap::new();
    for (cell, what, who) in groups {
        match known.get(&(cell, who.clone())).and_then(|at| all.get_mut(*at)) {
            Some((_, words, _)) => {
                let mut names: Vec<&str> = words.split(", ").chain([what.as_str()]).collect();
                names.sort_by_key(|name| ORDER.iter().position(|known| known == name));
                *words = names.join(", ");
            }
            None => {
                known.insert((cell, who.clone()), all.len());
                all.push((cell, what, who));
            }
        }
    }
    all
}

/// A suite for each host, a test for each round trip: failed where it does not work, skipped where
/// that cannot be told.
pub(crate) fn junit(out: &mut impl Write, topology: &Topology<'_>, rows: &[Row]) -> io::Result<()> {
    let mut hosts: Vec<_> = rows.iter().map(|row| row.host).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let cells = |row: &Row| -> Vec<(String, Cell)> {
        let own = row.cells.iter().map(|(name, cell)| ((*name).to_owned(), cell.clone()));
        let peers = row.peers.iter().map(|peer| (format!("peer {}", peer.vm), peer.cell.clone()));
        own.chain(peers).collect()
    };
    let counts = |all: &[(String, Cell)]| {
        let failed = all.iter().filter(|(_, cell)| cell.reached == Some(false)).count();
        let skipped = all.iter().filter(|(_, cell)| cell.reached.is_none()).count();
        format!("tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\"", all.len())
    };
    let all: Vec<_> = rows.iter().flat_map(cells).collect();
    writeln!(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>")?;
    writeln!(out, "<testsuites name=\"tapline reach\" {}>", counts(&all))?;
    for host in hosts {
        let of_host: Vec<_> = rows.iter().filter(|row| row.host == host).collect();
        let all: Vec<_> = of_host.iter().flat_map(|row| cells(row)).collect();
        let name = xml(topology.snapshot.host_label(host));
        writeln!(out, "  <testsuite name=\"{name}\" {}>", counts(&all))?;
        for row in of_host {
            let guest = match &row.nic {
                Some(nic) => format!("{}/{nic}", row.vm),
                None => row.vm.to_string(),
            };
            for (what, cell) in cells(row) {
                let (guest, what) = (xml(&guest), xml(&what));
                write!(out, "    <testcase classname=\"{guest}\" name=\"{what}\"")?;
                let reason = cell.reason.map_or("", |reason| reason.as_str());
                let message = format!("{} {reason} at {}", cell.outcome, cell.at.words());
                let message = xml(message.trim());
                match cell.reached {
                    Some(true) => writeln!(out, "/>")?,
                    Some(false) => {
                        writeln!(out, "><failure message=\"{message}\"/></testcase>")?;
                    }
                    None => writeln!(out, "><skipped message=\"{message}\"/></testcase>")?,
                }
            }
        }
        writeln!(out, "  </testsuite>")?;
    }
    writeln!(out, "</testsuites>")
}

fn xml(text: &str) -> String {
    let text: String = text.chars().map(harmless).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
