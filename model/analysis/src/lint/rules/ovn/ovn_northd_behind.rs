use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::records::ovs::{OvsRecord, OvsRow};
use tapline_core::span::{At, Evidence};
use tapline_network::defs;
use tapline_topology::graph::Seen;
use tapline_topology::rows::Rows;

use crate::lint::{Ctx, Other, Verdicts, declare_rule};

declare_rule! {
    code: "OVN-006",
    id: "ovn-northd-behind",
    summary: "the southbound database of OVN is older than the northbound one: northd does not run",
    severity: Error,
    confidence: Strong,
    page: "ovn_northd_behind.md",
    layer: (Ovn, 5),
    rank: 385,
    about: [Ovn],
    cuts: [],
    asks: [],
    after: [],
}

/// What tells whether a difference stays.
const TAKEN_AGAIN: Need = Need::Other(
    "ovn-nbctl list Logical_Switch_Port and ovn-sbctl list Port_Binding, taken again: northd may have been at work",
);
/// Ports that are named.
const NAMED: usize = 3;

type Row<'a> = Seen<'a, OvsRecord>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let rows = &ctx.topology.rows;
    // Zones of OVN interconnection have databases of their own, and one name may be in several.
    let [global] = rows.of("NB_Global") else {
        for row in different(rows).into_iter().take(1) {
            let Some(host) = host_of(ctx, row.0) else { continue };
            out.cannot_tell(host, [Need::command("ovn-nbctl list NB_Global")]);
        }
        return;
    };
    let Some(host) = host_of(ctx, *global) else { return };
    let different = different(rows);
    let Some((north, south)) = different.first().copied() else {
        out.clean();
        return;
    };
    let counter = |name: &str| {
        let value = global.record.one(name)?;
        Some((value.value.parse::<i64>().ok()?, value.evidence(global.source)))
    };
    let (Some((wanted, at)), Some((done, done_at))) = (counter("nb_cfg"), counter("sb_cfg")) else {
        out.cannot_tell(host, [Need::command("ovn-nbctl list NB_Global")]);
        return;
    };
    if wanted <= done {
        // It may have been changed between the two commands.
        out.cannot_tell(host, [TAKEN_AGAIN]);
        return;
    }
    let names: Vec<&str> = different.iter().filter_map(|(north, _)| name(*north)).collect();
    let message = format!(
        "northd has not followed since change {done} of {wanted}: the southbound database still has the old addresses of {} ({}), and no change reaches the hosts",
        if different.len() == 1 {
            "1 port".to_owned()
        } else {
            format!("{} ports", different.len())
        },
        defs::list(names.into_iter(), NAMED)
    );
    let finding = out.fire(host, Other::Daemon { name: "ovn-northd" }, message);
    finding.node = ctx.topology.host_node(host);
    finding.primary(place(north), "the port as it is meant");
    finding.primary(place(south), "the same in the southbound database");
    finding.primary(at, "what was asked for");
    finding.context(done_at, "what northd has done");
    finding.next("ovn-appctl -t ovn-northd status");
    finding.next("systemctl status ovn-northd   # in a container where OVN runs in one");
}

fn host_of(ctx: &Ctx<'_>, row: Row<'_>) -> Option<HostId> {
    Some(ctx.topology.snapshot.source(row.source)?.host)
}

fn name(row: Row<'_>) -> Option<&str> {
    match &row.record.row {
        OvsRow::SwitchPort(port) => Some(port.name.value.as_str()),
        _ => None,
    }
}

/// The addresses of a port as its row has them; the whole row where it has none.
fn place(row: Row<'_>) -> Evidence {
    let addresses = match &row.record.row {
        OvsRow::SwitchPort(port) => port.addresses.first(),
        _ => row.record.set("mac").first(),
    };
    let at = addresses.map(|first| first.span);
    Evidence { source: row.source, span: at.unwrap_or(row.record.at) }
}

/// The ports of guests whose addresses are other ones in the southbound database.
fn different<'a>(rows: &Rows<'a>) -> Vec<(Row<'a>, Row<'a>)> {
    let mut bound = std::collections::HashMap::new();
    for &row in rows.of("Port_Binding") {
        // `show` does not print them.
        if let (OvsRow::PortBinding(port), true) =
            (&row.record.row, row.record.value("mac").is_some())
        {
            bound.insert(port.logical_port.value.as_str(), row);
        }
    }
    let mut all = Vec::new();
    for &row in rows.of("Logical_Switch_Port") {
        let OvsRow::SwitchPort(port) = &row.record.row else { continue };
        let is_guest = port.kind.as_ref().is_none_or(|kind| kind.value.is_empty());
        let Some(own) = addresses(&port.addresses).filter(|_| is_guest) else { continue };
        let Some(south) = bound.get(port.name.value.as_str()) else { continue };
        let theirs = addresses(south.record.set("mac"));
        if theirs.is_some_and(|theirs| theirs != own) {
            all.push((row, *south));
        }
    }
    all
}

/// The addresses of a port, in order; `None` where OVN chooses some itself.
fn addresses(all: &[At<tapline_core::Name>]) -> Option<Vec<&str>> {
    let mut words: Vec<&str> =
        all.iter().map(|one| one.value.as_str().trim()).filter(|word| *word != "unknown").collect();
    if words.iter().any(|word| word.contains("dynamic") || *word == "router") {
        return None;
    }
    words.sort_unstable();
    Some(words)
}
