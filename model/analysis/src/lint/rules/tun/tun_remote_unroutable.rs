use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::route::Route;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Fact, Netdev, NetdevKind, TunnelEndpoint};
use tapline_topology::{EdgeKind, NodeId, Topic};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::l3::{Outcome, Refusal};
use tapline_network::uplink;
use tapline_network::{Answer, Item, overlay};
use tapline_network::{defs, mesh};

declare_rule! {
    code: "TUN-006",
    id: "tun-remote-unroutable",
    summary: "the host has no sane route to the far end of a tunnel",
    severity: Error,
    confidence: Proven,
    page: "tun_remote_unroutable.md",
    layer: (Tunnel, 60),
    rank: 550,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        [nic::uplink_link_down, bond::bond_degraded] by [Address, Device],
        [tun::tun_local_ip_missing] by [Address, Device],
        // A host that took the address of its peer has a tunnel to itself.
        [tun::tun_duplicate_local_ip] by [AnyAddress],
        [nic::uplink_link_down, bond::bond_degraded] by [Above],
        // An address on a bridge works only as long as the bridge does.
        [lbr::bridge_down] by [Device, Above],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let tunnels: Vec<_> = ctx
            .tunnels_of(host)
            .filter(|tunnel| is_routed_here(ctx, *tunnel) && tunnel.data.remote.is_some())
            .collect();
        if tunnels.is_empty() {
            continue;
        }
        // All tunnels with one trouble are one finding.
        let mut troubles: BTreeMap<(Netns, Trouble), Vec<Lost<'_>>> = BTreeMap::new();
        let mut open: BTreeMap<Vec<Need>, usize> = BTreeMap::new();
        for tunnel in tunnels {
            match judge(ctx, tunnel) {
                Verdict::Fine => out.clean(),
                Verdict::Unknown(missing) => *open.entry(missing).or_default() += 1,
                Verdict::Trouble(trouble, why) => {
                    let netns = tunnel.netns_of_underlay(ctx).clone();
                    troubles.entry((netns, trouble)).or_default().push((tunnel, why));
                }
            }
        }
        for (missing, count) in open {
            for _ in 0..count {
                out.cannot_tell(host, missing.clone());
            }
        }
        for ((netns, trouble), tunnels) in troubles {
            report(ctx, out, (host, &netns), &trouble, tunnels);
        }
    }
}

/// Whether the packets of a tunnel take the routes of the namespace that its device is in: a device that
/// was moved keeps those of the one where it was made (ip-link(8), `link-netns`).
fn is_routed_here(ctx: &Ctx<'_>, tunnel: Item<'_, TunnelEndpoint>) -> bool {
    let device = ctx.netdev(tunnel.owner);
    device.is_none_or(|device| device.netns().is_root() || device.data.lower_netns.is_none())
}

/// What is wrong with the way to a far end.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Trouble {
    /// The far end is an address of the host itself.
    Itself(IpAddr),
    /// OVS says that the device that tunnel packets leave by has no carrier.
    NoCarrier,
    /// No route at all.
    NoRoute,
    /// The route says that it leads nowhere: its type.
    Refused(Refusal),
    /// A policy rule says so, before any table is looked up.
    RefusedByRule(Refusal),
    /// It leads to this device, which is down.
    Down(String),
    /// It leads into the tunnel's own bridge.
    OwnBridge(String),
    /// It leaves by the first device, and the tunnel's source is on the second.
    OtherDevice(String, String),
}

/// A tunnel that is lost, and what is cited for it.
type Lost<'a> = (Item<'a, TunnelEndpoint>, Why);

/// What is cited for one tunnel.
struct Why {
    /// The lines that decide.
    lines: Vec<Evidence>,
    /// Policy rules were captured.
    sure: bool,
    more: Vec<(Evidence, &'static str)>,
}

enum Verdict {
    Fine,
    Unknown(Vec<Need>),
    Trouble(Trouble, Why),
}

fn judge<'a>(ctx: &Ctx<'a>, tunnel: Item<'a, TunnelEndpoint>) -> Verdict {
    let host = tunnel.host;
    let Some(remote) = &tunnel.data.remote else { return Verdict::Fine };
    let apart = |more: Vec<(Evidence, &'static str)>| Why { lines: Vec::new(), more, sure: true };
    let netns = tunnel.netns_of_underlay(ctx);
    if let Some(own) = own_address(ctx, (host, netns), remote.value) {
        return Verdict::Trouble(
            Trouble::Itself(remote.value),
            apart(vec![(own, "an address of this host")]),
        );
    }
    let interface = ctx.ovs_interface(tunnel.owner);
    let carrier = interface.and_then(|interface| {
        let found =
            interface.data.status.iter().find(|(key, _)| key == "tunnel_egress_iface_carrier");
        found.map(|(_, value)| value)
    });
    if let Some(down) = carrier.filter(|carrier| carrier.value == "down") {
        let said = vec![(down.evidence, "OVS says so")];
        return Verdict::Trouble(Trouble::NoCarrier, apart(said));
    }
    if mesh::is_cleaned(ctx, host) {
        // Whether an address is in a network does not outlive the replacement of both.
        return Verdict::Unknown(vec![mesh::NOT_CLEANED]);
    }
    // A datapath in user space has routes of its own, taken from those of the kernel.
    let decision = match overlay::route(ctx, tunnel) {
        Some(Answer::Known(decision)) => decision,
        Some(Answer::Unknown(needs)) => return Verdict::Unknown(needs),
        None => return Verdict::Fine,
    };
    let sure = decision.assumed.is_empty();
    let why = |more| Why { lines: decision.evidence(), more, sure };
    let hops = match &decision.outcome {
        Outcome::Local(_) => return Verdict::Fine,
        Outcome::NoRoute if !sure => return Verdict::Unknown(decision.assumed),
        Outcome::NoRoute if transforms(ctx, host, netns) => {
            return Verdict::Unknown(vec![
                Need::command("ip route get").with(&remote.value.to_string()),
            ]);
        }
        Outcome::NoRoute if overlay::is_taken_to_be_on_link(ctx, tunnel) => return Verdict::Fine,
        Outcome::NoRoute => return Verdict::Trouble(Trouble::NoRoute, why(Vec::new())),
        Outcome::Refused(refusal) => {
            let trouble = match decision.route {
                Some(_) => Trouble::Refused(*refusal),
                None => Trouble::RefusedByRule(*refusal),
            };
            return Verdict::Trouble(trouble, why(Vec::new()));
        }
        Outcome::Forward(hops) => hops,
    };
    let devices: Vec<_> =
        hops.iter().filter_map(|hop| ctx.netdev_called(host, netns, hop.dev)).collect();
    // Several next hops serve in turn: all have to fail.
    let [device] = devices.as_slice() else {
        let known = !devices.is_empty() && devices.len() == hops.len();
        if known && devices.iter().all(|device| device.usable() == Some(false)) {
            let names = devices.iter().map(Item::name).collect::<Vec<_>>().join(", ");
            let states = devices.iter().filter_map(|device| {
                device.data.flags.as_ref().map(|flags| (flags.evidence, "its state"))
            });
            return Verdict::Trouble(Trouble::Down(names), why(states.collect()));
        }
        return Verdict::Fine;
    };
    let device = *device;
    if device.usable() == Some(false) {
        let flags = device.data.flags.as_ref().map(|flag| (flag.evidence, "its state"));
        return Verdict::Trouble(
            Trouble::Down(device.name().to_owned()),
            why(flags.into_iter().collect()),
        );
    }
    if let Some(bridge) = interface.map(|interface| interface.data.bridge.as_str())
        && device.name() == bridge
        && !uplink::has_uplink(ctx, host, bridge)
    {
        return Verdict::Trouble(Trouble::OwnBridge(bridge.to_owned()), why(Vec::new()));
    }
    let Some(route) = decision.route.map(|route| route.record) else { return Verdict::Fine };
    match asymmetric(ctx, (host, netns), route, device, tunnel.data.local.as_ref()) {
        Some((other, at)) => Verdict::Trouble(
            Trouble::OtherDevice(device.name().to_owned(), other),
            why(vec![(at, "where the tunnel's source is")]),
        ),
        None => Verdict::Fine,
    }
}

/// Whether packets to some far ends may leave through devices that routes do not show.
fn transforms(ctx: &Ctx<'_>, host: HostId, netns: &Netns) -> bool {
    ctx.netdevs_of(host).any(|device| {
        let starts = ["xfrm", "vti", "ipsec", "wg"];
        device.netns() == netns && starts.iter().any(|start| device.name().starts_with(start))
    })
}

fn own_address(ctx: &Ctx<'_>, place: (HostId, &Netns), ip: IpAddr) -> Option<Evidence> {
    ctx.topology.find_address(ip).iter().find_map(|it| {
        let address =
            ctx.address(*it).filter(|address| (address.host, address.netns()) == place)?;
        Some(address.line())
    })
}

/// The device that has the tunnel's source, where packets leave by another that has an address of
/// its own. A source on the loopback is reached by all ways.
fn asymmetric(
    ctx: &Ctx<'_>,
    place: (HostId, &Netns),
    route: &Route,
    device: Item<'_, Netdev<'_>>,
    local: Option<&Fact<IpAddr>>,
) -> Option<(String, Evidence)> {
    let local = local?.value;
    if route.src == Some(local) {
        return None;
    }
    let address = ctx.topology.find_address(local).iter().find_map(|it| {
        ctx.address(*it).filter(|address| (address.host, address.netns()) == place)
    })?;
    let holder = ctx.netdev(address.data.netdev)?;
    let anywhere = matches!(holder.kind, NetdevKind::Loopback | NetdevKind::Dummy)
        || matches!(address.prefix, 32 | 128);
    let in_vrf = |id: NodeId| ctx.master(id).is_some_and(|master| master.kind == NetdevKind::Vrf);
    if holder.id == device.id
        || anywhere
        || in_vrf(holder.id)
        || in_vrf(device.id)
        || ctx.are_stacked(holder.id, device.id)
    {
        return None;
    }
    // Where the other device is without an address of its own, the source is borrowed on purpose.
    let numbered = ctx
        .addresses_of(device.id)
        .iter()
        .any(|address| defs::is_global(address.ip) && address.ip.is_ipv4() == local.is_ipv4());
    numbered.then(|| (holder.name().to_owned(), address.line()))
}

fn report<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    (host, netns): (HostId, &Netns),
    trouble: &Trouble,
    tunnels: Vec<Lost<'a>>,
) {
    let Some((first, _)) = tunnels.first() else { return };
    let first = *first;
    let Some(remote) = first.data.remote.as_ref().map(|remote| remote.value) else { return };
    let troubled: BTreeSet<NodeId> = tunnels.iter().map(|(tunnel, _)| tunnel.id).collect();
    let node = thing(ctx, first, &troubled);
    // A VXLAN device has several far ends, of which others may work.
    let is_one_of_several = node == first.id;
    let lost = if is_one_of_several {
        "nothing that is sent to it arrives"
    } else {
        "nothing that is sent through it arrives"
    };
    let message = match trouble {
        Trouble::Itself(ip) => format!("leads to {ip}, an address of this very host: {lost}"),
        Trouble::NoCarrier => {
            format!("OVS sends it by a device without carrier: {lost}")
        }
        Trouble::NoRoute => format!("the host has no route to {remote}: {lost}"),
        Trouble::Refused(kind) => {
            format!("the route to {remote} is {}: {lost}", kind.as_str())
        }
        Trouble::RefusedByRule(kind) => {
            format!("a policy rule is {} for packets to {remote}: {lost}", kind.as_str())
        }
        Trouble::Down(device) => {
            format!("the route to {remote} leads to {device}, which is down: {lost}")
        }
        Trouble::OwnBridge(bridge) => format!(
            "the route to {remote} leads into {bridge}, the tunnel's own bridge, which has no way out: {lost}"
        ),
        Trouble::OtherDevice(device, holder) => format!(
            "packets to {remote} leave by {device}, while the tunnel's source is on {holder}: filters on the way may drop them"
        ),
    };
    let finding = out.fault(ctx, host, node, message);
    for (tunnel, why) in tunnels.iter().take(3) {
        if let Some(remote) = &tunnel.data.remote {
            finding.primary(remote.evidence, "the far end");
        }
        for line in &why.lines {
            let rule = matches!(trouble, Trouble::RefusedByRule(_));
            finding.primary(*line, if rule { "the policy rule" } else { "the route" });
        }
        for (evidence, label) in &why.more {
            finding.primary(*evidence, *label);
        }
    }
    if tunnels.iter().any(|(_, why)| !why.sure) {
        finding.no_surer_than(Confidence::Strong);
        finding.note("policy rules were not captured: the three that every host has are assumed");
    }
    let others: BTreeSet<NodeId> =
        tunnels.iter().skip(1).map(|(tunnel, _)| thing(ctx, *tunnel, &troubled)).collect();
    let others = others.into_iter().filter(|other| *other != node);
    finding.also.extend(others.map(|other| ctx.subject(other)));
    match trouble {
        Trouble::Down(device) => {
            let device = ctx.netdev_called(host, netns, device);
            finding.nodes.extend(device.map(|device| device.id));
        }
        Trouble::NoRoute => {
            let topic = if ctx.complete(host, netns, Topic::AllRoutes) {
                Topic::AllRoutes
            } else {
                Topic::Routes
            };
            let key = format!("a route to {remote}");
            finding.rests_on_absence(ctx.searched(host, netns, topic, &key));
        }
        Trouble::OtherDevice(..) => {
            finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        }
        _ => {}
    }
    advise(ctx, finding, first, remote);
}

/// What a trouble of a tunnel is about: its interface or device, or this far end alone where the
/// device has others that have no such trouble.
fn thing(ctx: &Ctx<'_>, tunnel: Item<'_, TunnelEndpoint>, troubled: &BTreeSet<NodeId>) -> NodeId {
    let of_owner = ctx.topology.into(tunnel.data.owner, EdgeKind::TunnelOf);
    let all = of_owner.iter().all(|(id, _)| troubled.contains(id));
    if all { tunnel.data.owner } else { tunnel.id }
}

fn advise<'a>(
    ctx: &Ctx<'a>,
    finding: &mut Finding,
    tunnel: Item<'a, TunnelEndpoint>,
    remote: IpAddr,
) {
    let netns = tunnel.netns_of_underlay(ctx);
    let mut ask = Need::command("ip route get").with(&remote.to_string());
    if let Some(local) = &tunnel.data.local {
        ask = ask.with("from").with(&local.value.to_string());
    }
    finding.next(ask.within(netns).to_string());
    if ctx.ovs_interface(tunnel.owner).is_some() {
        finding.next("ovs-appctl ovs/route/show");
    }
}
