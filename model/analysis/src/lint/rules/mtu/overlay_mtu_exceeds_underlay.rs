use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, OvsInterface, OvsPort, TunnelEndpoint};
use tapline_topology::{EdgeKind, NodeId, Topic, names};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::{Answer, Item, l2, overlay, uplink};

declare_rule! {
    code: "MTU-001",
    id: "overlay-mtu-exceeds-underlay",
    summary: "the MTU of an overlay network and its encapsulation do not fit the wire",
    severity: Error,
    confidence: Proven,
    page: "overlay_mtu_exceeds_underlay.md",
    layer: (Mtu, 30),
    rank: 160,
    core: true,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [mtu::mtu_exceeds_lower_device, mtu::underlay_mtu_differs] by [Device, Above],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut tunnels: BTreeMap<HostId, Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    for tunnel in ctx.tunnels() {
        if ctx.ovs_interface(tunnel.owner).is_some() {
            tunnels.entry(tunnel.host).or_default().push(tunnel);
        }
    }
    for (host, tunnels) in tunnels {
        judge(ctx, out, host, &tunnels);
    }
}

fn judge<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    host: HostId,
    tunnels: &[Item<'a, TunnelEndpoint>],
) {
    let endpoints = match overlay_ports(ctx, host) {
        Overlay::Known(all, sure) => (all, sure),
        Overlay::Unknown => {
            // Neutron's agent writes the type into the port; other software does not.
            let mut open = ctx.missing(host, &Netns::Root, &[Topic::OvsPorts]);
            if open.is_empty() {
                open.push(Need::command("openstack network list --long"));
            }
            out.cannot_tell(host, open);
            return;
        }
    };
    let (endpoints, sure) = endpoints;
    // The way out with the least room, per kind of tunnel.
    let mut ways: BTreeMap<&str, Way<'_>> = BTreeMap::new();
    for tunnel in tunnels {
        let Some(remote) = tunnel.data.remote.as_ref().map(|remote| remote.value) else { continue };
        let Some(overhead) = defs::overhead(&tunnel.data.kind, remote) else { continue };
        let devices = match overlay::egress(ctx, *tunnel) {
            Some(Answer::Known(devices)) => devices,
            Some(Answer::Unknown(needs)) => {
                out.cannot_tell(host, needs);
                continue;
            }
            None => continue,
        };
        // A switch in user space sends its tunnels by the NICs of the bridge that has the route, not
        // by the bridge's own device in the kernel.
        let devices: Vec<_> = devices.iter().flat_map(|device| wires(ctx, *device)).collect();
        // Of several next hops the narrowest counts: some packets go there.
        let mtu_of = |device: &&Item<'_, Netdev<'_>>| device.data.mtu.as_ref().map(|mtu| mtu.value);
        let narrowest = devices.iter().filter(|device| mtu_of(device).is_some()).min_by_key(mtu_of);
        let Some(egress) = narrowest.copied() else { continue };
        let Some(mtu) = egress.data.mtu.as_ref().map(|mtu| mtu.value) else { continue };
        let room = mtu.saturating_sub(overhead);
        let way = Way { tunnel: *tunnel, egress, mtu, overhead, room };
        let entry = ways.entry(tunnel.data.kind.as_str()).or_insert(way);
        if room < entry.room {
            *entry = way;
        }
    }
    for (kind, way) in ways {
        let mut too_big: Vec<_> = Vec::new();
        for endpoint in &endpoints {
            if endpoint.kind.is_some_and(|it| it != kind) {
                continue;
            }
            match endpoint.device.data.mtu.as_ref() {
                // What every device has that nobody set an MTU for tells nothing of the guest's.
                Some(mtu) if endpoint.by_flow && mtu.value == 1500 && way.mtu >= 1500 => {}
                Some(mtu) if mtu.value > way.room => too_big.push((*endpoint, mtu)),
                Some(_) => out.clean(),
                None => {}
            }
        }
        too_big.sort_by_key(|(it, mtu)| (std::cmp::Reverse(mtu.value), it.device.id));
        let Some(((first, mtu), rest)) = too_big.split_first() else { continue };
        let Way { tunnel, egress, mtu: out_mtu, overhead, .. } = way;
        let message = format!(
            "{} + {overhead} of {kind} = {} > {out_mtu} of {}: large packets are lost, small ones pass",
            mtu.value,
            mtu.value.saturating_add(overhead),
            egress.name(),
        );
        let finding = out.fault(ctx, host, first.device.id, message);
        finding.no_surer_than(sure);
        finding.primary(mtu.evidence, "MTU inside");
        if let Some(outer) = &egress.data.mtu {
            finding.primary(outer.evidence, "MTU of the wire");
        }
        if let Some(network) = first.evidence {
            finding.context(network, "an overlay network");
        }
        if let Some(remote) = &tunnel.data.remote {
            finding.context(remote.evidence, "a tunnel that leaves there");
        }
        for (other, _) in rest {
            finding.also(ctx.subject(other.device.id));
        }
        let owner = ctx.ovs_interface(tunnel.owner);
        let fragments = owner
            .and_then(|owner| owner.data.option("df_default"))
            .filter(|option| option.value == "false");
        if let Some(option) = fragments {
            finding.at_most(Severity::Warning);
            finding.context(option.evidence, "large packets are cut in pieces: slow, not lost");
        }
        finding.next(format!(
            "ping -M do -s {} ADDRESS   # from inside the network",
            mtu.value.saturating_sub(28)
        ));
        finding.next("openstack network set --mtu MTU NETWORK");
    }
}

/// The devices whose MTU bounds what leaves by a device: of the local port of a bridge of user space
/// the NICs in the bridge, as far as the kernel has them; else itself.
fn wires<'a>(ctx: &Ctx<'a>, device: Item<'a, Netdev<'a>>) -> Vec<Item<'a, Netdev<'a>>> {
    let bridge = ctx.bridge_called(device.host, device.name());
    match bridge.filter(|bridge| !defs::is_kernel_datapath(bridge.data)) {
        None => vec![device],
        Some(bridge) => defs::interfaces_of(ctx, bridge.id)
            .into_iter()
            .filter_map(|interface| ctx.device_of(interface.id))
            .filter(|device| uplink::is_uplink(device))
            .collect(),
    }
}

/// A way out for tunnels.
#[derive(Clone, Copy)]
struct Way<'t> {
    tunnel: Item<'t, TunnelEndpoint>,
    egress: Item<'t, Netdev<'t>>,
    mtu: u32,
    overhead: u32,
    room: u32,
}

/// A device that sends into an overlay network.
#[derive(Clone, Copy)]
struct Endpoint<'t> {
    device: Item<'t, Netdev<'t>>,
    /// `vxlan`, `gre`, …, where captured.
    kind: Option<&'t str>,
    evidence: Option<Evidence>,
    /// Flows alone tell that its network is an overlay: neutron, if it is old, set no MTU.
    by_flow: bool,
}

enum Overlay<'t> {
    Known(Vec<Endpoint<'t>>, Confidence),
    /// Nothing tells which ports are of overlay networks.
    Unknown,
}

/// The endpoints of overlay networks: by what neutron writes into the port, by what flows do with
/// its VLAN, else all of them where the host has no provider bridge and so no other networks.
fn overlay_ports<'a>(ctx: &Ctx<'a>, host: HostId) -> Overlay<'a> {
    let mut known = Vec::new();
    let mut all = Vec::new();
    // By flows that lead the VLAN of the port to tunnels, or elsewhere.
    let (mut led, mut other) = (Vec::new(), false);
    let mut told = false;
    // The half of the patch on the provider bridge tells of it as well as the other.
    let mut provider = ctx.ovs_ports_of(host).any(|port| port.name().starts_with("phy-"));
    for port in ctx.integration_ports(host) {
        provider |= port.name().starts_with("int-") || port.name().starts_with("patch-br-int-to-");
        if names::port_prefix(port.name()).is_none() || port.name().starts_with("qg-") {
            continue;
        }
        let network = port.data.other_config.iter().find(|(key, _)| key == "network_type");
        let device =
            interface(ctx, host, port.name()).and_then(|interface| ctx.device_of(interface.id));
        let Some(device) = device else {
            told |= network.is_some();
            continue;
        };
        match network {
            Some((_, kind)) => {
                told = true;
                let kind_name = kind.value.as_str();
                if matches!(kind_name, "vxlan" | "gre" | "geneve") {
                    let evidence = Some(kind.evidence);
                    known.push(Endpoint {
                        device,
                        kind: Some(kind_name),
                        evidence,
                        by_flow: false,
                    });
                }
            }
            None => match by_flow(ctx, port) {
                Some((true, evidence)) => {
                    led.push(Endpoint { device, kind: None, evidence, by_flow: true });
                }
                Some((false, _)) => other = true,
                None => all.push(Endpoint { device, kind: None, evidence: None, by_flow: false }),
            },
        }
    }
    if !told && (!led.is_empty() || other && all.is_empty()) {
        return Overlay::Known(led, Confidence::Strong);
    }
    if told {
        Overlay::Known(known, Confidence::Proven)
    } else if all.is_empty() || !provider && ctx.complete(host, &Netns::Root, Topic::Ovs) {
        Overlay::Known(all, Confidence::Strong)
    } else {
        Overlay::Unknown
    }
}

/// Whether flows lead what a port sends into tunnels, of neutron by the VLAN of the port, of OVN by
/// its logical switch.
fn by_flow(ctx: &Ctx<'_>, port: Item<'_, OvsPort>) -> Option<(bool, Option<Evidence>)> {
    if let Some(exits) = ctx.datapaths().exits_of(port.id) {
        let is_tunnel = |id: &NodeId| !ctx.topology.into(*id, EdgeKind::TunnelOf).is_empty();
        let mut ways = exits
            .keys()
            .filter(|id| is_tunnel(id) || ctx.topology.peer(**id, EdgeKind::PatchPeer).is_some());
        let first = ways.next()?;
        return Some((is_tunnel(first) && ways.all(is_tunnel), None));
    }
    let (leads, flow) = ctx.exits().leaves_by_tunnels(port.host, l2::access_vlan(port.data)?)?;
    Some((leads, Some(flow)))
}

fn interface<'a>(ctx: &Ctx<'a>, host: HostId, name: &str) -> Option<Item<'a, OvsInterface>> {
    ctx.interface_called(host, name)
}
