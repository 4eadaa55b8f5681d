use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::openflow::OfPort;
use tapline_core::span::Evidence;
use tapline_topology::graph::{OvsBridge, OvsPort};
use tapline_topology::{NodeId, Topic};

use crate::lint::{Ctx, Finding, Shape, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::flows::{self, Flows, Switches};
use tapline_network::mesh::{self, Mesh};
use tapline_network::vlans::{self, Flood, LocalVlans, Ways};

declare_rule! {
    code: "OVS-016",
    id: "overlay-vlan-unmapped",
    summary: "flows do not lead the VLAN of a port out of the host, or not back",
    severity: Error,
    confidence: Strong,
    page: "overlay_vlan_unmapped.md",
    layer: (TagsAndFlows, 80),
    rank: 520,
    about: [NeutronAgent],
    cuts: [ToSwitch],
    asks: [L2pop],
    after: [
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host],
        [ovs::ovs_dead_vlan] if Population by [Host],
        [ovs::ovs_flows_not_programmed] by [Bridge],
        // Without the patch between two bridges there are no flows between them.
        [ovs::ovs_patch_peer_broken, ovs::provider_bridge_not_patched] by [Host] for Provider,
        // A port on the wrong VLAN is on one that no tunnel carries.
        [ovs::local_vlan_inconsistent, ovs::ovs_dead_vlan] by [Device],
    ],
}

/// What the rule compares.
struct Seen<'c, 'a> {
    flows: &'c Flows<'a>,
    switches: &'c Switches<'a>,
    mesh: &'c Mesh,
    vlans: BTreeMap<HostId, &'c LocalVlans<'a>>,
    /// The tunnel keys that ports of each host need.
    served: BTreeMap<HostId, BTreeMap<u64, (Item<'a, OvsPort>, Evidence)>>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let flows = ctx.flows();
    let switches = ctx.switches();
    let mut vlans = BTreeMap::new();
    for host in ctx.hosts() {
        vlans.insert(host, ctx.local_vlans(host));
    }
    let served = vlans.iter().map(|(host, it)| (*host, vlans::served(ctx, it))).collect();
    let seen = Seen { flows, switches, mesh: ctx.mesh(), vlans, served };
    for (host, local) in &seen.vlans {
        for (vlan, ports) in &local.ports {
            if let Some(port) = ports.first() {
                judge(ctx, out, &seen, *host, local, *vlan, *port);
            }
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// What sort of network a VLAN is.
enum Kind {
    Tunnel,
    Provider,
    /// Within the host only.
    Local,
    Unknown,
}

/// By what the agent noted at the ports, else by the half of the way that is there.
fn kind(local: &LocalVlans<'_>, vlan: u16, ways: &Ways<'_>) -> (Kind, Option<Evidence>) {
    if let Some((kind, at)) = local.network_type(vlan) {
        let kind = match kind {
            "vxlan" | "gre" | "geneve" => Kind::Tunnel,
            "vlan" | "flat" => Kind::Provider,
            _ => Kind::Local,
        };
        return (kind, Some(at));
    }
    let tunnel = ways.tunnel_in.first().map(|tunnel| tunnel.1);
    let tunnel = tunnel
        .or(ways.floods.first().map(|flood| flood.at))
        .or(ways.unicasts.first().map(|unicast| unicast.1));
    let provider = ways.provider_in.or(ways.provider_out.first().map(|out| out.at));
    match (tunnel, provider) {
        (Some(at), None) => (Kind::Tunnel, Some(at)),
        (None, Some(at)) => (Kind::Provider, Some(at)),
        // One of both is a leftover.
        _ => (Kind::Unknown, None),
    }
}

fn judge<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    seen: &Seen<'_, 'a>,
    host: HostId,
    local: &LocalVlans<'a>,
    vlan: u16,
    port: Item<'a, OvsPort>,
) {
    let none = Ways::default();
    let ways = local.ways.get(&vlan).unwrap_or(&none);
    let (kind, why) = kind(local, vlan, ways);
    let lack = match kind {
        Kind::Local => return out.clean(),
        Kind::Unknown => {
            let bridges = local.provider_bridges.iter().chain(&local.tunnel_bridge);
            let bridges = bridges.map(Item::name).chain([ctx.integration_bridge(host)]);
            let open = vlans::open_bridges(host, seen.flows, bridges);
            let both = ways.provider_in.is_some() && !ways.tunnel_in.is_empty();
            if both {
                return out.clean();
            }
            if !open.is_empty() {
                return out.cannot_tell(host, open);
            }
            match nowhere(ctx, host, local, vlan) {
                Some(lack) => Some(lack),
                None => {
                    // Neutron's agent writes the type into the port; what else knows it, where it
                    // did not?
                    let mut open = ctx.missing(host, &Netns::Root, &[Topic::OvsPorts]);
                    if open.is_empty() {
                        open.push(Need::command("openstack network list --long"));
                    }
                    return out.cannot_tell(host, open);
                }
            }
        }
        Kind::Tunnel => {
            let Some(bridge) = local.tunnel_bridge else { return out.clean() };
            if seen.flows.of(host, bridge.name()).is_empty() {
                return out.cannot_tell(host, [flows::command(bridge.name())]);
            }
            tunnel_lack(ctx, seen, host, local, ways, bridge)
        }
        Kind::Provider => {
            let bridges = || local.provider_bridges.iter().map(Item::name);
            let open = vlans::open_bridges(
                host,
                seen.flows,
                bridges().chain([ctx.integration_bridge(host)]),
            );
            if local.provider_bridges.is_empty() {
                return out.clean();
            }
            if !open.is_empty() {
                return out.cannot_tell(host, open);
            }
            provider_lack(ctx, local, ways)
        }
    };
    let Some(lack) = lack else { return out.clean() };
    report(ctx, out, seen, local, vlan, port, &lack, why);
}

/// What is looked for where the flow that floods a VLAN leaves out one tunnel.
const LEFT_OUT: &str = "the tunnel among the ports that the VLAN is flooded to";

/// What a VLAN lacks.
struct Lack<'a> {
    bridge: Item<'a, OvsBridge>,
    /// It may be the flows of any bridge that are missing.
    is_everywhere: bool,
    /// What is not there, and what follows.
    message: String,
    /// What was looked for among the flows.
    key: &'static str,
    /// What is there.
    cited: Vec<(Evidence, String)>,
    shape: Shape,
    /// The tunnel that alone is left out.
    tunnel: Option<NodeId>,
}

/// Whatever the type of its network: no flow of any bridge leads the VLAN out or in, where others
/// are led.
fn nowhere<'a>(ctx: &Ctx<'a>, host: HostId, local: &LocalVlans<'a>, vlan: u16) -> Option<Lack<'a>> {
    let bridge = ctx.integration(host).filter(|_| local.is_forgotten(vlan))?;
    Some(Lack {
        bridge,
        is_everywhere: true,
        message: "no flow of any bridge leads it out of this host or into it".to_owned(),
        key: "a flow of the VLAN",
        cited: Vec::new(),
        shape: Shape::Provider,
        tunnel: None,
    })
}

/// A tunnel that some address of the VLAN is sent into, and that the flood leaves out.
fn forgotten<'w, 'a>(
    host: HostId,
    seen: &Seen<'_, 'a>,
    ways: &'w Ways<'a>,
    bridge: Item<'a, OvsBridge>,
) -> Option<(&'w OfPort, Evidence)> {
    let flooded: Vec<_> = ways.floods.iter().flat_map(|flood| flows::outputs(flood.flow)).collect();
    // `NORMAL`, in old releases.
    if flooded.is_empty() {
        return None;
    }
    let listings = seen.switches.of(host, bridge.name());
    let is_one = |a: &OfPort, b: &OfPort| {
        // A name and a number are told to be one by a list of the ports alone.
        a == b
            || matches!(a, OfPort::Number(_)) != matches!(b, OfPort::Number(_))
                && listings.is_empty()
    };
    ways.unicasts.iter().find_map(|(flow, at)| {
        let port = flows::outputs(flow).map(|(port, _)| port).find(|port| {
            matches!(port, OfPort::Number(_) | OfPort::Name(_))
                && !flooded.iter().any(|(other, _)| is_one(port, other))
        })?;
        Some((port, *at))
    })
}

fn tunnel_lack<'a>(
    ctx: &Ctx<'a>,
    seen: &Seen<'_, 'a>,
    host: HostId,
    local: &LocalVlans<'a>,
    ways: &Ways<'_>,
    bridge: Item<'a, OvsBridge>,
) -> Option<Lack<'a>> {
    let lack = |message: String, key, cited| {
        let (is_everywhere, shape) = (false, Shape::One);
        Some(Lack { bridge, is_everywhere, message, key, cited, shape, tunnel: None })
    };
    if ways.tunnel_in.is_empty() {
        let message = "no flow brings packets from tunnels to it: what others send does not arrive";
        return lack(message.to_owned(), "a flow from tunnels to the VLAN", Vec::new());
    }
    let tunnels = local.tunnels(ctx);
    let peer = |key: u64| missing_peer(ctx, seen, host, &tunnels, key, &ways.floods);
    if ways.floods.is_empty() {
        // With l2population a VLAN that no other host needs is flooded nowhere.
        if tunnels.is_empty() {
            return None;
        }
        let message = "no flow floods it into tunnels: ARP and DHCP do not leave this host";
        let key = "a flow that floods the VLAN";
        if let Some(&(_, unicast)) = ways.unicasts.first() {
            let cited = vec![(unicast, "another host is known to need it".to_owned())];
            return lack(message.to_owned(), key, cited);
        }
        if ctx.settings.env.l2pop == Some(false) {
            return lack(message.to_owned(), key, Vec::new());
        }
        let needs = ways.tunnel_in.iter().find_map(|(id, _)| peer(*id))?;
        return lack(message.to_owned(), key, needs.cited);
    }
    if let Some((port, at)) = forgotten(host, seen, ways, bridge) {
        let tunnel = tunnels.iter().find(|tunnel| {
            seen.switches.is(host, &tunnel.bridge, port, tunnel.name())
                || tunnel
                    .data
                    .ofport
                    .as_ref()
                    .is_some_and(|ofport| ofport.value.to_string() == port.to_string())
        });
        let name = tunnel.map_or_else(|| format!("port {port}"), |tunnel| tunnel.name().to_owned());
        let message = format!(
            "the flow of {} that floods it leaves out {name}, behind which an address of it is known: ARP and DHCP do not reach it",
            bridge.name()
        );
        let mut cited = vec![(at, format!("an address of it behind {name}"))];
        cited.extend(ways.floods.first().map(|flood| (flood.at, "what floods it".to_owned())));
        let mut lack = lack(message, LEFT_OUT, cited)?;
        lack.tunnel = tunnel.map(|tunnel| tunnel.id);
        return Some(lack);
    }
    let needs = ways.tunnel_in.iter().find_map(|(id, _)| peer(*id))?;
    let message = format!(
        "the flow that floods it leaves out {}, the tunnel to {}, which has a port of the network: ARP and DHCP do not reach it",
        needs.tunnel, needs.peer
    );
    let mut cited = needs.cited;
    cited.extend(ways.floods.first().map(|flood| (flood.at, "what floods it".to_owned())));
    let mut lack = lack(message, LEFT_OUT, cited)?;
    lack.tunnel = Some(needs.id);
    Some(lack)
}

/// A captured host that needs a network and is not flooded to.
struct Needs {
    id: NodeId,
    tunnel: String,
    peer: String,
    cited: Vec<(Evidence, String)>,
}

fn missing_peer(
    ctx: &Ctx<'_>,
    seen: &Seen<'_, '_>,
    host: HostId,
    tunnels: &[Item<'_, tapline_topology::graph::OvsInterface>],
    key: u64,
    floods: &[Flood<'_>],
) -> Option<Needs> {
    if mesh::is_cleaned(ctx, host) {
        return None;
    }
    tunnels.iter().find_map(|tunnel| {
        // A tunnel that OVS could not make is a fault of its own.
        if tunnel.error.is_some() {
            return None;
        }
        let remote = tunnel.data.option("remote_ip")?;
        let peer = seen.mesh.other(ctx, remote.value.parse().ok()?, host)?;
        if mesh::is_cleaned(ctx, peer) || seen.vlans.get(&peer)?.tunnel_bridge.is_none() {
            return None;
        }
        let (port, at) = seen.served.get(&peer)?.get(&key)?;
        let listed = !seen.switches.of(host, &tunnel.bridge).is_empty();
        let reached = floods.iter().any(|flood| {
            let mut ports = flows::outputs(flood.flow).peekable();
            // `NORMAL` in old releases, and numbers that nothing explains.
            ports.peek().is_none()
                || ports.any(|(port, _)| {
                    let number = matches!(port, OfPort::Number(_));
                    let of_database = || {
                        let ofport = tunnel.data.ofport.as_ref();
                        ofport.is_some_and(|ofport| ofport.value.to_string() == port.to_string())
                    };
                    let known = listed || tunnel.data.ofport.is_some();
                    number && !known
                        || seen.switches.is(host, &tunnel.bridge, port, tunnel.name())
                        || number && of_database()
                })
        });
        if reached {
            return None;
        }
        let mut cited = vec![(remote.evidence, format!("the tunnel to {}", ctx.host_name(peer)))];
        cited.push((*at, format!("{} has the network", ctx.host_name(peer))));
        let place = port.place();
        cited.extend(place.map(|place| (place, format!("its port {}", port.name()))));
        Some(Needs {
            id: tunnel.id,
            tunnel: tunnel.name().to_owned(),
            peer: ctx.host_name(peer).to_owned(),
            cited,
        })
    })
}

fn provider_lack<'a>(ctx: &Ctx<'a>, local: &LocalVlans<'a>, ways: &Ways<'_>) -> Option<Lack<'a>> {
    let first = *local.provider_bridges.first()?;
    if ways.provider_out.is_empty() {
        return Some(Lack {
            bridge: first,
            is_everywhere: false,
            message:
                "no flow of a provider bridge lets it out: what the port sends stays on this host"
                    .to_owned(),
            key: "a flow that lets the VLAN out",
            cited: Vec::new(),
            shape: Shape::Provider,
            tunnel: None,
        });
    }
    if ways.provider_in.is_some() {
        return None;
    }
    let host = first.host;
    let bridge = ctx.integration(host)?;
    Some(Lack {
        bridge,
        is_everywhere: false,
        message: format!(
            "no flow of {} takes it from a provider bridge: what others send does not arrive",
            bridge.name()
        ),
        key: "a flow that gives packets the VLAN",
        cited: Vec::new(),
        shape: Shape::Provider,
        tunnel: None,
    })
}

#[expect(clippy::too_many_arguments, reason = "all that a finding cites")]
fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    seen: &Seen<'_, '_>,
    local: &LocalVlans<'_>,
    vlan: u16,
    port: Item<'_, OvsPort>,
    lack: &Lack<'_>,
    why: Option<Evidence>,
) {
    let host = port.host;
    let message = format!("its local VLAN is {vlan}, and {}", lack.message);
    let finding: &mut Finding = out.fire(host, ctx.subject(port.id), message);
    finding.node = Some(lack.bridge.id);
    if lack.is_everywhere {
        let bridges = local.provider_bridges.iter().chain(&local.tunnel_bridge);
        finding.nodes.extend(bridges.map(|bridge| bridge.id));
    }
    finding.nodes.extend(lack.tunnel);
    finding.shaped(lack.shape);
    if let Some(tag) = &port.data.tag {
        finding.primary(tag.evidence, "its local VLAN");
    }
    for (evidence, label) in &lack.cited {
        finding.primary(*evidence, label.clone());
    }
    if let Some(why) = why {
        finding.context(why, "what sort of network it is");
    }
    finding.rests_on_absence(seen.flows.searched(host, lack.bridge.name(), lack.key));
    let others = local.ports.get(&vlan).into_iter().flatten().skip(1);
    for other in others {
        finding.also(ctx.subject(other.id));
    }
    let name = lack.bridge.name();
    finding.next(format!("ovs-ofctl dump-flows {name} | grep -w dl_vlan={vlan}"));
    finding.next("systemctl restart neutron-openvswitch-agent");
}
