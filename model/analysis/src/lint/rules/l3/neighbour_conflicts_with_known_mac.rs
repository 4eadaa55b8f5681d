use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::span::SourceId;
use tapline_topology::Topic;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind};

use crate::lint::{Confidence, Ctx, Recorded, Subject, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh::{Mesh, is_cleaned, is_of_host};
use tapline_network::segment::Segments;
use tapline_network::texts::{Known, Neighbours, is_virtual};

declare_rule! {
    code: "L3-007",
    id: "neighbour-conflicts-with-known-mac",
    summary: "the table of neighbours has another MAC for an address than the device that holds it",
    severity: Warning,
    confidence: Strong,
    page: "neighbour_conflicts_with_known_mac.md",
    layer: (L3, 180),
    rank: 780,
    about: [],
    cuts: [],
    asks: [],
    after: [
        [tun::tun_duplicate_local_ip, xhost::unknown_tunnel_peers] by [AnyAddress],
        [ns::ha_router_active_count] by [Netns],
    ],
}

/// A device that holds an address.
type Owner<'a> = (Item<'a, AddressNode<'a>>, Item<'a, Netdev<'a>>);

/// MACs by host and namespace.
type Macs<'a> = BTreeMap<(HostId, &'a Netns), BTreeSet<Mac>>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let segments = ctx.segments();
    let mesh = ctx.mesh();
    let mut remotes: BTreeSet<(HostId, IpAddr)> = BTreeSet::new();
    for tunnel in ctx.tunnels().filter(|tunnel| is_of_host(ctx, *tunnel)) {
        remotes.extend(tunnel.data.remote.as_ref().map(|remote| (tunnel.host, remote.value)));
    }
    let mut macs: Macs<'_> = BTreeMap::new();
    for device in ctx.netdevs() {
        let Some(mac) = &device.data.mac else { continue };
        macs.entry((device.host, device.node.netns.as_ref().unwrap_or(&Netns::Root)))
            .or_default()
            .insert(mac.value);
    }
    let all = ctx.neighbours();
    for (&(host, netns), known) in all {
        let shared = shared_macs(known);
        for (&(dev, ip), entry) in known {
            let Some(mac) = entry.record.mac.as_ref().map(|mac| mac.value) else { continue };
            let by_design = is_virtual(mac) || shared.contains(&(dev, mac));
            let proxy = entry.record.flags.iter().any(|flag| flag == "proxy");
            let Some(device) = ctx.netdev_called(host, netns, dev) else { continue };
            let owners = owners(ctx, segments, mesh, device, ip, &remotes);
            if owners.is_empty() {
                continue;
            }
            // A host answers on each device for all its addresses: any MAC of its is right.
            let right = owners.iter().any(|(_, owner)| {
                let here = macs.get(&(owner.host, owner.netns()));
                here.is_some_and(|here| here.contains(&mac)) || owner.data.mac.is_none()
            });
            if entry.failed || by_design || proxy || right {
                out.clean();
                continue;
            }
            report(ctx, out, device, entry, mac, &owners);
        }
    }
    undecided(ctx, out, segments, all);
}

/// Segments with addresses of two namespaces, of whose neighbours there is no text.
fn undecided(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    segments: &Segments,
    all: &BTreeMap<(HostId, &Netns), Neighbours<'_>>,
) {
    let mut places: BTreeMap<usize, BTreeSet<(HostId, &Netns)>> = BTreeMap::new();
    for address in ctx.addresses().filter(|address| defs::is_global(address.ip)) {
        if let Some(segment) = segments.of(address.netdev) {
            let netns = address.node.netns.as_ref().unwrap_or(&Netns::Root);
            places.entry(segment).or_default().insert((address.host, netns));
        }
    }
    let shared = places.into_values().filter(|place| place.len() > 1).flatten();
    let open: BTreeSet<_> = shared.filter(|shared| !all.contains_key(shared)).collect();
    for (host, netns) in open {
        let missing = ctx.missing(host, netns, &[Topic::Neighbours]);
        if !missing.is_empty() {
            out.cannot_tell(host, missing);
        }
    }
}

/// MACs that answer for several addresses on one device: a router with proxy ARP, or a cloud that
/// answers everything itself.
fn shared_macs<'a>(known: &Neighbours<'a>) -> BTreeSet<(&'a str, Mac)> {
    let mut counts: BTreeMap<(&str, Mac), usize> = BTreeMap::new();
    for ((dev, ip), entry) in known {
        // Each host has a link-local address beside its others.
        if let Some(mac) = entry.record.mac.as_ref().filter(|_| defs::is_global(*ip)) {
            *counts.entry((dev, mac.value)).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(key, _)| key).collect()
}

/// Who holds an address on the other side of a device: in its segment, or at the far end of a
/// tunnel that is a neighbour.
fn owners<'a>(
    ctx: &Ctx<'a>,
    segments: &Segments,
    mesh: &Mesh,
    device: Item<'a, Netdev<'a>>,
    ip: IpAddr,
    remotes: &BTreeSet<(HostId, IpAddr)>,
) -> Vec<Owner<'a>> {
    let segment = segments.of(device.id);
    let far = remotes
        .contains(&(device.host, ip))
        .then(|| mesh.other(ctx, ip, device.host))
        .flatten()
        .filter(|it| !is_cleaned(ctx, *it) && !is_cleaned(ctx, device.host))
        .filter(|_| device.netns().is_root());
    let mut all = Vec::new();
    for address in ctx.topology.find_address(ip).iter().filter_map(|address| ctx.address(*address))
    {
        let Some(owner) = ctx.netdev(address.netdev) else { continue };
        let beside = owner.host == device.host
            && owner.netns() != device.netns()
            && segment.is_some()
            && segments.of(owner.id) == segment;
        let beyond = far == Some(owner.host) && owner.netns().is_root();
        // What is a member of a bridge does not answer itself.
        let member = ctx.master(owner.id).is_some_and(|master| master.kind != NetdevKind::Vrf);
        let unused = address
            .record
            .record
            .flags
            .iter()
            .any(|flag| matches!(flag.as_str(), "tentative" | "dadfailed"));
        let answers = owner.usable() != Some(false) && !member && !unused;
        if (beside || beyond) && answers {
            all.push((address, owner));
        }
    }
    all
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    device: Item<'_, Netdev<'_>>,
    entry: &Known<'_>,
    mac: Mac,
    owners: &[Owner<'_>],
) {
    let Some((address, owner)) = owners.first() else { return };
    let (host, netns) = (device.host, device.netns());
    let Some(theirs) = &owner.data.mac else { return };
    let ip = address.ip;
    let whose = if owner.host == host {
        format!("{} of {}", owner.name(), owner.netns())
    } else {
        format!("{} on {}", owner.name(), ctx.host_name(owner.host))
    };
    let message = format!(
        "is {mac} here, but {whose}, which has the address, is {}: packets to it go to another machine or nowhere",
        theirs.value
    );
    let neighbour = Recorded::Neighbour { ip, dev: device.node.name.clone() };
    let subject = Subject::record(entry.evidence, neighbour);
    let finding = out.fire(host, subject, message);
    finding.node = Some(device.id);
    finding.netns = Some(netns.clone());
    finding.primary(entry.evidence, "the neighbour");
    finding.primary(address.line(), "who has the address");
    finding.primary(theirs.evidence, "its MAC");
    if owner.host != host {
        finding.no_surer_than(Confidence::Suspect);
    }
    if let Some(note) = apart(ctx, entry.evidence.source, address.data.record.source) {
        finding.no_surer_than(Confidence::Suspect);
        finding.note(note);
    }
    finding.next(defs::ask_neighbour(netns, device.name(), ip));
    finding.next(defs::inside(netns, &format!("ip neigh flush to {ip}")));
}

/// Says that two texts were taken so far apart that the address may have moved.
fn apart(ctx: &Ctx<'_>, a: SourceId, b: SourceId) -> Option<String> {
    let taken = |id| ctx.topology.snapshot.source(id).and_then(|source| source.taken);
    match (taken(a), taken(b)) {
        (Some(a), Some(b)) => {
            let seconds = (a - b).abs();
            let far = seconds > ctx.settings.thresholds.capture_skew_s;
            far.then(|| {
                format!("the captures were taken {seconds:.0} s apart: the address may have moved")
            })
        }
        _ => None,
    }
}
