use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::OvsInterface;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "TUN-004",
    id: "tun-duplicate-endpoint",
    summary: "two tunnel ports of a host have the same ends and key",
    severity: Error,
    confidence: Proven,
    page: "tun_duplicate_endpoint.md",
    layer: (TunnelConflict, 30),
    rank: 310,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        [ovn::ovn_chassis_identity_conflict] by [Host],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut same: BTreeMap<(HostId, String), Vec<Item<'_, OvsInterface>>> = BTreeMap::new();
    for tunnel in ctx.tunnels() {
        let Some(interface) = ctx.ovs_interface(tunnel.owner) else { continue };
        misnamed(ctx, out, interface);
        if let Some(key) = key(ctx, interface) {
            same.entry((interface.host, key)).or_default().push(interface);
        }
    }
    for ((host, _), interfaces) in same {
        let [first, rest @ ..] = interfaces.as_slice() else { continue };
        if rest.is_empty() {
            out.clean();
            continue;
        }
        // The one that OVS refused is the one to look at.
        let failed = interfaces.iter().find(|interface| interface.error.is_some());
        let at = failed.or(rest.last()).unwrap_or(first);
        let others: Vec<_> = interfaces.iter().filter(|interface| interface.id != at.id).collect();
        let message = format!(
            "leads to {} like {}: OVS can make one of them, the other is dead",
            at.option("remote_ip").map_or("", |option| option.value.as_str()),
            defs::list(others.iter().map(|other| other.name()), 3)
        );
        let finding = out.fault(ctx, host, at.id, message);
        if let Some(error) = failed.and_then(|failed| failed.error.as_ref()) {
            finding.primary(error.evidence, "OVS refused it");
        }
        for it in interfaces.iter().take(4) {
            if let Some(remote) = it.data.option("remote_ip") {
                finding.primary(remote.evidence, format!("the end of {}", it.name()));
            }
        }
        for it in others {
            finding.also(ctx.subject(it.id));
        }
        finding.next(format!("ovs-vsctl get interface {} ofport error", at.name()));
        finding.next("ovs-appctl ofproto/list-tunnels");
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// By what OVS tells tunnels apart; `None` where a flow gives the far end.
///
/// `out_key` is not among it in OVS, and kept here: whoever gave two tunnels different keys for
/// sending meant two.
fn key(ctx: &Ctx<'_>, it: Item<'_, OvsInterface>) -> Option<String> {
    let option = |key: &str| it.data.option(key).map(|option| option.value.as_str());
    let remote: IpAddr = option("remote_ip")?.parse().ok()?;
    let local = option("local_ip").unwrap_or("any");
    let shared = option("key").unwrap_or("0");
    let port = option("dst_port").unwrap_or_else(|| defs::tunnel_port(&it.kind));
    let datapath = ctx
        .bridge_called(it.host, &it.bridge)
        .is_some_and(|bridge| !defs::is_kernel_datapath(bridge.data));
    Some(format!(
        "{} {remote} {local} {} {} {port} {} {datapath}",
        it.kind,
        option("in_key").unwrap_or(shared),
        option("out_key").unwrap_or(shared),
        option("egress_pkt_mark").unwrap_or("0"),
    ))
}

/// Neutron's agent names a tunnel by the address that it leads to, in eight hexadecimal digits.
fn misnamed(ctx: &Ctx<'_>, out: &mut Verdicts, it: Item<'_, OvsInterface>) {
    let digits = ["vxlan-", "gre-", "geneve-"]
        .iter()
        .find_map(|prefix| it.name().strip_prefix(prefix))
        .filter(|it| it.len() == 8)
        .and_then(|it| u32::from_str_radix(it, 16).ok());
    let remote = it.data.option("remote_ip");
    let (Some(digits), Some(remote)) = (digits, remote) else { return };
    let named = Ipv4Addr::from(digits);
    if it.bridge != names::TUNNEL_BRIDGE
        || !remote.value.parse().is_ok_and(|ip: Ipv4Addr| ip != named)
    {
        return;
    }
    let message =
        format!("named after {named}, and leads to {}: somebody changed it", remote.value);
    let finding = out.fault(ctx, it.host, it.id, message);
    finding.at_most(Severity::Info);
    finding.primary(remote.evidence, "where it leads");
    finding.next(format!("ovs-vsctl get interface {} options", it.name()));
}
