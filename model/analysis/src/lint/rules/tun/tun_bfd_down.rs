use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_core::records::ovs::{OvsMap, OvsRow, lookup};
use tapline_core::span::SourceId;
use tapline_topology::graph::OvsInterface;

use crate::lint::{Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "TUN-009",
    id: "tun-bfd-down",
    summary: "OVS's own probes (BFD) say that a tunnel is down",
    severity: Error,
    confidence: Proven,
    page: "tun_bfd_down.md",
    layer: (Tunnel, 90),
    population: (Tunnel, 40),
    rank: 580,
    about: [],
    cuts: [BehindSwitch],
    asks: [LinkFlaps],
    after: [
        [ovs::ovs_daemon_down] by [Host],
        [ovs::ovs_iface_error] by [Port],
        [nic::uplink_link_down, bond::bond_degraded] by [Address],
        [tun::tun_local_ip_missing] by [Address, Device],
        [tun::tun_duplicate_local_ip, xhost::unknown_tunnel_peers] by [AnyAddress],
        [tun::tun_parameter_mismatch] by [Device],
        [tun::tun_missing_reverse, tun::tun_bfd_down] if Population by [Peer],
        [tun::tun_local_ip_missing] by [Host] for Population,
        [l3::gateway_unreachable] if RootNamespace by [Host] for Population,
        [nic::uplink_link_down, bond::bond_degraded] by [Above],
        [
            tun::tun_parameter_mismatch, tun::tun_remote_unroutable,
            tun::tun_blocked_by_firewall, tun::tun_datapath_device_missing,
        ] by [Device],
        [tun::tun_datapath_device_missing] by [Host],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let states = states(ctx);
    for host in ctx.hosts() {
        let mut down = Vec::new();
        let mut all = 0;
        for interface in ctx.ovs_interfaces_of(host) {
            let Some(status) = states.get(&(host, interface.name())) else { continue };
            all += 1;
            match status.trouble() {
                Some(why) => down.push((interface, *status, why)),
                None if status.flaps() >= ctx.settings.thresholds.link_flaps => {
                    flapping(ctx, out, interface, status);
                }
                None => out.clean(),
            }
        }
        if defs::most_of(down.len(), all) {
            all_down(ctx, out, host, &down, all);
            continue;
        }
        for (interface, status, why) in down {
            one_down(ctx, out, interface, &status, &why);
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        // Where tunnels are known, their state would tell; that BFD is off would, too.
        out.cannot_tell(host, [Need::command("ovs-vsctl list interface")]);
    }
}

/// What BFD says of one interface. Without BFD the column is empty.
#[derive(Clone, Copy)]
struct Status<'a> {
    source: SourceId,
    status: &'a OvsMap,
}

/// By host and interface: the first text that says anything.
fn states<'a>(ctx: &Ctx<'a>) -> BTreeMap<(HostId, &'a str), Status<'a>> {
    let mut all = BTreeMap::new();
    for (source, rows) in ctx.ovs_texts() {
        for row in rows {
            let OvsRow::Interface(interface) = &row.row else { continue };
            let status = &interface.bfd_status;
            if lookup(status, "state").is_some() || lookup(status, "forwarding").is_some() {
                let key = (source.host, interface.name.as_str());
                all.entry(key).or_insert(Status { source: source.id, status });
            }
        }
    }
    all
}

impl Status<'_> {
    fn value(&self, key: &str) -> Option<&str> {
        lookup(self.status, key).map(|found| found.value.as_str())
    }

    /// Why nothing passes; `None` where the tunnel is up. The diagnostics are not asked: they keep
    /// the reason of the last change after all is well again.
    fn trouble(&self) -> Option<String> {
        let state = self.value("state").filter(|value| *value != "up");
        if let Some(state) = state {
            let far = self.value("remote_state").map(|value| format!(", the far end {value}"));
            return Some(format!("is {state}{}", far.unwrap_or_default()));
        }
        let forwards = self.value("forwarding").is_none_or(|value| value != "false");
        (!forwards).then(|| "does not forward".to_owned())
    }

    fn flaps(&self) -> u64 {
        self.value("flap_count").and_then(|value| value.parse().ok()).unwrap_or_default()
    }

    fn cite(&self, finding: &mut Finding) {
        for key in ["state", "forwarding", "remote_state", "diagnostic", "flap_count"] {
            if let Some(value) = lookup(self.status, key) {
                finding.primary(value.evidence(self.source), format!("BFD: {key}"));
                return;
            }
        }
    }

    /// The reason that the end here or the far end gives, where it gives one.
    fn reasons(&self, finding: &mut Finding) {
        for (key, who) in [("diagnostic", "this end"), ("remote_diagnostic", "the far end")] {
            if let Some(reason) =
                self.value(key).filter(|value| !value.is_empty() && *value != "No Diagnostic")
            {
                finding.note(format!("{who} says: {reason}"));
            }
        }
    }
}

fn one_down(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    interface: Item<'_, OvsInterface>,
    status: &Status<'_>,
    why: &str,
) {
    let message = format!("BFD {why}: the way to {} is broken", far_end(interface));
    let finding = out.fault(ctx, interface.host, interface.id, message);
    status.cite(finding);
    status.reasons(finding);
    advise(finding, interface);
}

fn all_down(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    down: &[(Item<'_, OvsInterface>, Status<'_>, String)],
    all: usize,
) {
    let message = format!(
        "BFD is down on {} of {all} tunnels: the host is cut off from the overlay",
        down.len()
    );
    let subject = ctx.host_subject(host);
    let finding = out.fire(host, subject, message);
    for (interface, status, _) in down {
        if finding.evidence.len() < 5 {
            status.cite(finding);
        }
        finding.also(ctx.subject(interface.id));
    }
    if let Some((interface, status, _)) = down.first() {
        status.reasons(finding);
        advise(finding, *interface);
    }
}

fn flapping(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    interface: Item<'_, OvsInterface>,
    status: &Status<'_>,
) {
    let message = format!(
        "BFD is up and changed {} times: the way to {} comes and goes",
        status.flaps(),
        far_end(interface)
    );
    let finding = out.fault(ctx, interface.host, interface.id, message);
    finding.at_most(Severity::Warning);
    if let Some(value) = lookup(status.status, "flap_count") {
        finding.primary(value.evidence(status.source), "BFD: flap_count");
    }
    status.reasons(finding);
    advise(finding, interface);
}

fn far_end(interface: Item<'_, OvsInterface>) -> &str {
    interface.data.option("remote_ip").map_or("the far end", |option| option.value.as_str())
}

fn advise(finding: &mut Finding, interface: Item<'_, OvsInterface>) {
    let option = |key: &str| interface.data.option(key).map(|option| option.value.as_str());
    finding.next(format!("ovs-appctl bfd/show {}", interface.name()));
    if let Some(remote) = option("remote_ip").filter(|option| *option != "flow") {
        let from = option("local_ip").map(|option| format!(" -I {option}")).unwrap_or_default();
        finding.next(format!("ping -M do -s 1472{from} -c 3 {remote}"));
    }
}
