use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::bond::{Bond, BondSlave};
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::graph::{Netdev, NetdevKind, OvsInterface, OvsPort};
use tapline_topology::{EdgeKind, NodeId, Topic, Topology};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::uplink;
use tapline_network::{defs, nics};

declare_rule! {
    code: "BOND-001",
    id: "bond-degraded",
    summary: "a bond lost some of its members, or all of them",
    severity: Error,
    confidence: Proven,
    page: "bond_degraded.md",
    layer: (Physical, 30),
    rank: 100,
    core: true,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [
        [nic::uplink_link_down] by [Above],
        [bond::lacp_not_negotiated] by [Device],
        // A bond of veths loses the member whose other end is switched off.
        [veth::veth_peer_broken] if SwitchedOff by [Device],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let files = nics::bonds(ctx);
    let mut lone: BTreeMap<(HostId, &Netns), usize> = BTreeMap::new();
    for bond in ctx.netdevs().filter(|device| device.kind == NetdevKind::Bond) {
        if let [only] = ctx.members(bond.id).as_slice()
            && only.usable() == Some(true)
        {
            *lone.entry((bond.host, bond.netns())).or_default() += 1;
        }
    }
    for bond in
        ctx.netdevs().filter(|device| matches!(device.kind, NetdevKind::Bond | NetdevKind::Team))
    {
        let switch = lone.get(&(bond.host, bond.netns())).is_some_and(|it| *it > 1);
        kernel_bond(ctx, out, bond, files.get(&bond.id).copied(), switch);
    }
    for port in ctx.ovs_ports() {
        ovs_bond(ctx, out, port);
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// A member, and what says that it works or not; `works` is `None` where nothing does.
struct Member<'a> {
    name: &'a str,
    works: Option<bool>,
    evidence: Option<(Evidence, &'static str)>,
}

fn kernel_bond<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    bond: Item<'a, Netdev<'a>>,
    file: Option<(SourceId, &'a Bond)>,
    switch: bool,
) {
    let mut slaves = Slaves::new();
    if let Some((source, file)) = file {
        slaves.extend(file.slaves.iter().map(|slave| (slave.name.as_str(), (source, slave))));
    }
    // The linker made a device of each member that only the file names; such a one has no flags.
    let members: Vec<Member<'a>> = ctx
        .topology
        .into(bond.id, EdgeKind::EnslavedTo)
        .into_iter()
        .filter_map(|(id, _)| member(ctx, id, &slaves))
        .collect();
    let used = uplink::role(ctx, &bond).is_some();
    if !used && (bond.admin_up() == Some(false) || members.is_empty()) {
        // `modprobe bonding` makes a bond that nobody asked for.
        out.clean();
        return;
    }
    // A member is told by its own `master`. A bond has a carrier by its members alone: one that has
    // it has members, whatever the list shows.
    let listed = file.is_some()
        || ctx.complete(bond.host, bond.netns(), Topic::Links) && bond.carrier() == Some(false);
    if members.is_empty() && !listed || members.iter().any(|member| member.works.is_none()) {
        out.cannot_tell(bond.host, [Topic::Links.command(bond.netns())]);
        return;
    }
    let idle = file.and_then(|(source, it)| {
        let active = it.active_slave.as_ref()?;
        (active.value == "None").then(|| active.evidence(source))
    });
    // A switch of a pair has one member of each server's bond; the other switch has its fellow.
    let half = switch && members.len() == 1;
    let verdict = verdict(&members, idle.is_some());
    let Some((message, severity)) =
        verdict.filter(|_| !half || members.iter().any(|member| member.works != Some(true)))
    else {
        out.clean();
        return;
    };
    let finding = out.fault(ctx, bond.host, bond.id, message);
    finding.at_most(severity);
    if half {
        finding.at_most(Severity::Info);
        finding.note("several bonds have one member here, as on a switch of a pair (MLAG): what is at the other end may be off");
    }
    if !used {
        finding.at_most(Severity::Warning);
        finding.note("nothing on this host is known to use the bond");
    }
    if let Some(evidence) = idle {
        finding.primary(evidence, "no active slave");
    }
    cite(finding, &members);
    if let Some(place) = bond.place() {
        finding.context(place, "the bond");
    }
    finding.next(format!("cat /proc/net/bonding/{}", bond.name()));
    for member in members.iter().filter(|member| member.works == Some(false)).take(3) {
        finding.next(format!("ethtool {}", member.name));
    }
}

/// The members of a bond as its file in `/proc/net/bonding` lists them.
type Slaves<'a> = BTreeMap<&'a str, (SourceId, &'a BondSlave)>;

/// What is known of a member of a kernel bond: by its file, else by the device itself.
fn member<'a>(ctx: &Ctx<'a>, id: NodeId, slaves: &Slaves<'a>) -> Option<Member<'a>> {
    let topology: &'a Topology<'a> = ctx.topology;
    let (node, device) = (topology.node(id)?, topology.netdev(id)?);
    let name: &'a Name = &node.name;
    let status = slaves.get(name.as_str()).and_then(|&(source, slave)| {
        let status = slave.mii_status.as_ref()?;
        Some((status.value != "down", (status.evidence(source), "MII status")))
    });
    let flags = device.flags.as_ref().map(|flag| flag.evidence);
    Some(match (status, device.usable()) {
        (Some((false, evidence)), _) => {
            Member { name, works: Some(false), evidence: Some(evidence) }
        }
        (_, Some(works)) => {
            let label = if works { "up" } else { "down" };
            Member { name, works: Some(works), evidence: flags.map(|flag| (flag, label)) }
        }
        (Some((works, evidence)), None) => {
            Member { name, works: Some(works), evidence: Some(evidence) }
        }
        (None, None) => Member { name, works: None, evidence: None },
    })
}

/// What to say of these members, and how bad it is; `None` where all is well.
fn verdict(members: &[Member<'_>], idle: bool) -> Option<(String, Severity)> {
    let down: Vec<&str> = members
        .iter()
        .filter(|member| member.works == Some(false))
        .map(|member| member.name)
        .collect();
    let names = defs::list(down.iter().copied(), 3);
    if members.is_empty() {
        return Some(("the bond has no member: nothing passes".to_owned(), Severity::Error));
    }
    if down.len() == members.len() {
        let text = format!("no member of the bond works ({names} down): nothing passes");
        return Some((text, Severity::Error));
    }
    if idle {
        return Some(("the bond has no active member: nothing passes".to_owned(), Severity::Error));
    }
    if !down.is_empty() {
        let text = format!(
            "{} of {} members of the bond do not work ({names} down): redundancy is lost",
            down.len(),
            members.len()
        );
        return Some((text, Severity::Warning));
    }
    if let [only] = members {
        let text = format!("the bond has one member, {}: there is no redundancy", only.name);
        return Some((text, Severity::Warning));
    }
    None
}

fn cite(finding: &mut crate::lint::Finding, members: &[Member<'_>]) {
    let alone = members.len() == 1;
    for member in members.iter().filter(|member| member.works == Some(false) || alone).take(5) {
        if let Some((evidence, label)) = member.evidence {
            finding.primary(evidence, format!("{}: {label}", member.name));
        }
    }
}

fn ovs_bond<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, port: Item<'a, OvsPort>) {
    if port.interfaces < 2 {
        single(ctx, out, port);
        return;
    }
    let members: Vec<Member<'a>> =
        interfaces(ctx, port).into_iter().map(|interface| ovs_member(ctx, interface)).collect();
    // Rows of the table may be missing; the port says how many there are.
    if members.len() < port.interfaces
        || members.iter().any(|member| member.works.is_none())
            && !members.iter().any(|member| member.works == Some(false))
    {
        let topics = [Topic::OvsInterfaces];
        out.cannot_tell(port.host, topics.map(|topic| topic.command(&Netns::Root)));
        return;
    }
    let Some((message, severity)) = verdict(&members, false) else {
        out.clean();
        return;
    };
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.at_most(severity);
    cite(finding, &members);
    if let Some(place) = port.place() {
        finding.context(place, "the bond");
    }
    finding.next(format!("ovs-appctl bond/show {}", port.name()));
    for member in members.iter().filter(|member| member.works == Some(false)).take(3) {
        finding.next(format!("ip -d link show {}", member.name));
    }
}

/// The interfaces of a port.
fn interfaces<'a>(ctx: &Ctx<'a>, port: Item<'a, OvsPort>) -> Vec<Item<'a, OvsInterface>> {
    let all = ctx.topology.into(port.id, EdgeKind::OvsInterfaceOf);
    all.into_iter().filter_map(|(id, _)| ctx.ovs_interface(id)).collect()
}

/// What is known of a member of an OVS bond. The kernel's word on the device comes before that of
/// vswitchd, which does not see devices of other namespaces.
fn ovs_member<'a>(ctx: &Ctx<'a>, interface: Item<'a, OvsInterface>) -> Member<'a> {
    let name: &'a Name = &interface.node.name;
    if let Some(error) = &interface.data.error {
        return Member { name, works: Some(false), evidence: Some((error.evidence, "an error")) };
    }
    let device = ctx.device_of(interface.id);
    if let Some(device) = device
        && let (Some(works), Some(flags)) = (device.usable(), &device.data.flags)
    {
        let label = if works { "up" } else { "down" };
        return Member { name, works: Some(works), evidence: Some((flags.evidence, label)) };
    }
    let link = interface.data.link_state.as_ref();
    Member {
        name,
        works: link.map(|link| link.value != "down"),
        evidence: link.map(|link| (link.evidence, "link_state")),
    }
}

/// A port that is named like a bond and has one interface of another name: OVS treats it as an
/// ordinary port. A kernel bond in a port of its own name is one.
fn single<'a>(ctx: &Ctx<'a>, out: &mut Verdicts, port: Item<'a, OvsPort>) {
    let named = port.name().contains("bond");
    let only = named
        .then(|| interfaces(ctx, port).into_iter().next())
        .flatten()
        .filter(|it| it.name() != port.name() && it.has_netdev());
    let Some(only) = only else {
        out.clean();
        return;
    };
    let message = format!(
        "the port is named like a bond and has one interface, {}: OVS treats it as an ordinary port",
        only.name()
    );
    let finding = out.fault(ctx, port.host, port.id, message);
    finding.at_most(Severity::Info);
    for place in port.place().into_iter().chain(only.place()) {
        finding.primary(place, "one interface");
    }
    finding.next(format!("ovs-vsctl list port {}", port.name()));
}
