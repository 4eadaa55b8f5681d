//! What guests and routers reach: a table for people, with what cuts most first; JSON; JUnit.
use std::collections::BTreeMap;
use std::io::{self, Write};

use schemars::JsonSchema;
use serde::Serialize;
use tapline_network::trace::{Cell, Place, Reason, Row};
use tapline_topology::Topology;

use super::escape::{harmless, visible};
use crate::terminal::{Terminal, style};

/// Names that a group of rows lists.
const LISTED: usize = 6;

/// The answer for programs.
#[derive(JsonSchema, Serialize)]
pub(crate) struct Document<'a> {
    #[schemars(extend("const" = "tapline.reach/1"))]
    schema: &'static str,
    rows: Vec<RowDocument<'a>>,
}

#[derive(JsonSchema, Serialize)]
struct RowDocument<'a> {
    host: &'a str,
    /// The VM, or the namespace of a router.
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
pub(crate) fn document<'a>(topology: &'a Topology<'_>, rows: &'a [Row]) -> Document<'a> {
    let label = |host| topology.snapshot.host_label(host);
    let place = |at: &'a Place| PlaceDocument {
        host: at.host.map(label),
        netns: at.netns.as_ref().map(ToString::to_string),
        device: at.device.as_deref(),
        bridge: at.bridge.as_deref(),
        port: at.port.as_deref(),
    };
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
    Document { schema: "tapline.reach/1", rows: rows.iter().map(row).collect() }
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
    terminal: &Terminal,
) -> io::Result<()> {
    let paint = terminal.stdout();
    let columns = ["gateway", "dhcp", "metadata", "outside"];
    let name = |row: &Row| match &row.nic {
        Some(nic) => format!("{}/{nic}", row.vm),
        None => row.vm.to_string(),
    };
    let host = |row: &Row| topology.snapshot.host_label(row.host).to_owned();
    let width = rows.iter().map(|row| name(row).chars().count()).max().unwrap_or(4);
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
    let groups = groups(rows);
    if groups.is_empty() {
        return Ok(());
    }
    writeln!(out)?;
    for (cell, what, who) in groups {
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

/// Rows with the same cut, the largest group first; what cannot be told comes behind what fails.
fn groups(rows: &[Row]) -> Vec<(Cell, String, Vec<String>)> {
    let mut all: BTreeMap<(Cell, String), Vec<String>> = BTreeMap::new();
    for row in rows {
        for (name, cell) in &row.cells {
            if cell.reached != Some(true) {
                let who = all.entry((cell.clone(), (*name).to_owned())).or_default();
                if !who.contains(&row.vm.to_string()) {
                    who.push(row.vm.to_string());
                }
            }
        }
        for peer in &row.peers {
            if peer.cell.reached != Some(true) {
                let key = (peer.cell.clone(), "peers".to_owned());
                let who = all.entry(key).or_default();
                if !who.contains(&row.vm.to_string()) {
                    who.push(row.vm.to_string());
                }
            }
        }
    }
    let mut all: Vec<(Cell, String, Vec<String>)> =
        all.into_iter().map(|((cell, what), who)| (cell, what, who)).collect();
    all.sort_by_key(|(cell, _, who)| (cell.reached.is_none(), std::cmp::Reverse(who.len())));
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
