use std::collections::BTreeMap;

use tapline_model::capture::HostId;
use tapline_model::ids::Netns;
use tapline_model::records::link::Tunnel;
use tapline_model::span::{Evidence, SourceId};
use tapline_topology::graph::{Netdev, NetdevKind, OvsInterface};
use tapline_topology::{Topic, names};

use crate::lint::ctx::Item;
use crate::lint::{Ctx, Severity, Verdicts, declare_rule, defs};

declare_rule! {
    code: "TUN-008",
    id: "tun-udp-port-conflict",
    summary: "OVS and a kernel VXLAN device want the same UDP port",
    severity: Error,
    confidence: Strong,
    page: "tun_udp_port_conflict.md",
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let ovs = ovs_ports(ctx, host);
        for device in ctx.netdevs_of(host).filter(|it| it.netns().is_root()) {
            kernel_device(ctx, out, device, &ovs);
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// The UDP ports that OVS needs from the kernel for VXLAN, each with one of its tunnels. Bridges
/// of the userspace datapath open none.
fn ovs_ports<'a>(ctx: &Ctx<'a>, host: HostId) -> BTreeMap<u16, Item<'a, OvsInterface>> {
    let mut all = BTreeMap::new();
    for interface in ctx.ovs_interfaces_of(host).filter(|it| it.kind == "vxlan") {
        let kernel = ctx
            .bridge_called(host, &interface.bridge)
            .is_some_and(|it| defs::is_kernel_datapath(it.data));
        let port = interface
            .option("dst_port")
            .map_or_else(|| defs::tunnel_port("vxlan"), |it| it.value.as_str());
        if let (true, Ok(port)) = (kernel, port.parse()) {
            // One that OVS could not make says most.
            let slot = all.entry(port).or_insert(interface);
            if slot.error.is_none() && interface.error.is_some() {
                *slot = interface;
            }
        }
    }
    all
}

fn kernel_device(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    ovs: &BTreeMap<u16, Item<'_, OvsInterface>>,
) {
    if device.kind != NetdevKind::Tunnel || names::is_fallback_tunnel(device.name()) {
        return;
    }
    let Some((source, tunnel)) = details(device) else {
        // The name says VXLAN, and nothing says which port.
        if !ovs.is_empty() && device.kind_evidence.is_none() {
            out.cannot_tell(device.host, [Topic::LinkDetails.command(&Netns::Root)]);
        }
        return;
    };
    let Some(port) = &tunnel.dstport else { return };
    match ovs.get(&port.value) {
        // A device that takes its keys from each packet may be OVS's own, under another name.
        Some(it) if !tunnel.external => {
            report(ctx, out, device, port.evidence(source), port.value, *it);
        }
        _ => out.clean(),
    }
}

/// What `ip -d` says of a VXLAN device.
fn details<'a>(device: Item<'a, Netdev<'a>>) -> Option<(SourceId, &'a Tunnel)> {
    device.data.records.iter().find_map(|it| {
        let vxlan = it.record.kind.as_ref().is_some_and(|it| it.value == "vxlan");
        let tunnel = it.record.kind_data.tunnel.as_ref().filter(|_| vxlan)?;
        Some((it.source, tunnel))
    })
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    at: Evidence,
    port: u16,
    ovs: Item<'_, OvsInterface>,
) {
    let message = format!(
        "takes UDP port {port}, which OVS needs for {}: one of the two receives nothing",
        ovs.name()
    );
    let finding = out.fault(ctx, device.host, device.id, message);
    finding.primary(at, "its port");
    match (&ovs.data.error, ovs.data.option("dst_port"), ovs.place()) {
        (Some(error), ..) => finding.primary(error.evidence, "OVS could not make the tunnel"),
        (None, Some(port), _) => finding.primary(port.evidence, "the port of OVS"),
        (None, None, Some(place)) => finding.primary(place, "on the default port"),
        (None, None, None) => finding,
    };
    if device.admin_up() == Some(false) {
        finding.at_most(Severity::Warning);
        finding.note("the device is down and holds the port only once it is up");
    }
    finding.next(format!("ss -lnup | grep :{port}"));
    finding.next(format!("ip -d link show {}", device.name()));
    finding.next(format!("ovs-vsctl get interface {} ofport error options", ovs.name()));
}
