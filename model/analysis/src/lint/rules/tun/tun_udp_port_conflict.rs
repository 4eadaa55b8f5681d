use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::link::Tunnel;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::{Netdev, NetdevKind, OvsInterface};
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "TUN-008",
    id: "tun-udp-port-conflict",
    summary: "OVS and a kernel VXLAN device want the same UDP port",
    severity: Error,
    confidence: Strong,
    page: "tun_udp_port_conflict.md",
    layer: (TunnelConflict, 40),
    rank: 570,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let ovs = ovs_ports(ctx, host);
        for device in ctx.netdevs_of(host).filter(|device| device.netns().is_root()) {
            kernel_device(ctx, out, device, &ovs);
        }
        twins(ctx, out, host);
        refused(ctx, out, host);
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// The UDP ports that OVS needs from the kernel for VXLAN, each with one of its tunnels. Bridges
/// of the userspace datapath open none.
fn ovs_ports<'a>(ctx: &Ctx<'a>, host: HostId) -> BTreeMap<u16, Item<'a, OvsInterface>> {
    let mut all = BTreeMap::new();
    for interface in ctx.ovs_interfaces_of(host).filter(|interface| interface.kind == "vxlan") {
        let kernel = ctx
            .bridge_called(host, &interface.bridge)
            .is_some_and(|bridge| defs::is_kernel_datapath(bridge.data));
        let port = interface
            .option("dst_port")
            .map_or_else(|| defs::tunnel_port("vxlan"), |option| option.value.as_str());
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

/// Two devices of the kernel with one network id, port and source.
fn twins(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId) {
    let mut same: BTreeMap<_, Vec<(Item<'_, Netdev<'_>>, Evidence)>> = BTreeMap::new();
    for device in ctx.netdevs_of(host).filter(|device| device.netns().is_root()) {
        let Some((source, tunnel)) = details(device).filter(|(_, it)| !it.external) else {
            continue;
        };
        let (Some(id), Some(port)) = (&tunnel.id, &tunnel.dstport) else { continue };
        let local = tunnel.local.as_ref().map(|local| local.value);
        let key = (id.value, port.value, local);
        same.entry(key).or_default().push((device, id.evidence(source)));
    }
    for ((id, port, _), devices) in same {
        let [(first, at), (other, there), ..] = devices.as_slice() else { continue };
        let message = format!(
            "has VXLAN id {id} and UDP port {port} like {}: what comes in reaches one of the two",
            other.name()
        );
        let finding = out.fault(ctx, host, first.id, message);
        finding.primary(*at, "its id").primary(*there, "the id of the other");
        finding.next(format!("ip -d link show {}", first.name()));
        finding.next(format!("ip -d link show {}", other.name()));
    }
}

/// A tunnel that OVS could not make, since something that was not captured has the port.
fn refused(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId) {
    for interface in ctx.ovs_interfaces_of(host) {
        if !matches!(interface.data.kind.as_str(), "vxlan" | "geneve") {
            continue;
        }
        let Some(error) = &interface.data.error else { continue };
        if !error.value.contains("Address already in use") {
            continue;
        }
        let given = interface.data.option("dst_port").map(|option| option.value.as_str());
        let port = given.unwrap_or_else(|| defs::tunnel_port(&interface.data.kind));
        // A device of the kernel that holds the port is at fault itself.
        let held = ctx.netdevs_of(host).filter(|device| device.netns().is_root()).any(|device| {
            details(device).is_some_and(|(_, device)| {
                !device.external
                    && device
                        .dstport
                        .as_ref()
                        .is_some_and(|dstport| dstport.value.to_string() == port)
            })
        });
        if held {
            continue;
        }
        let message = format!(
            "OVS could not take UDP port {port}, which another program or device has: the tunnel does not exist"
        );
        let finding = out.fault(ctx, host, interface.id, message);
        finding.primary(error.evidence, "OVS could not make the tunnel");
        finding.next(format!("ss -lnup | grep :{port}"));
        finding.next("ip -d link show type vxlan".to_owned());
    }
}

/// What `ip -d` says of a VXLAN device.
fn details<'a>(device: Item<'a, Netdev<'a>>) -> Option<(SourceId, &'a Tunnel)> {
    device.data.records.iter().find_map(|record| {
        let vxlan = record.record.kind.as_ref().is_some_and(|kind| kind.value == "vxlan");
        let tunnel = record.record.kind_data.tunnel.as_ref().filter(|_| vxlan)?;
        Some((record.source, tunnel))
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
    finding.nodes.push(ovs.id);
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
