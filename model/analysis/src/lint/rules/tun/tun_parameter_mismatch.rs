use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use tapline_model::capture::HostId;
use tapline_model::ids::Netns;
use tapline_topology::Topic;
use tapline_topology::graph::TunnelEndpoint;

use crate::lint::ctx::Item;
use crate::lint::mesh::{self, Mesh};
use crate::lint::{Ctx, Verdicts, declare_rule, defs};

declare_rule! {
    code: "TUN-005",
    id: "tun-parameter-mismatch",
    summary: "the two ends of a tunnel differ in type, port or key",
    severity: Error,
    confidence: Proven,
    page: "tun_parameter_mismatch.md",
}

/// The tunnels from one host to another.
type Bundle<'a> = Vec<Item<'a, TunnelEndpoint>>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = Mesh::new(ctx);
    let mut bundles: BTreeMap<(HostId, HostId), Bundle<'_>> = BTreeMap::new();
    let mut unknown: BTreeSet<HostId> = BTreeSet::new();
    for tunnel in ctx.tunnels().filter(|it| is_point_to_point(ctx, *it)) {
        let Some(remote) = &tunnel.data.remote else { continue };
        let Some(far) = mesh.other(ctx, remote.value, tunnel.host) else { continue };
        if !ctx.complete(far, &Netns::Root, Topic::Ovs) && ctx.runs_ovs(far) != Some(false) {
            unknown.insert(far);
        }
        bundles.entry((tunnel.host, far)).or_default().push(tunnel);
    }
    for ((near, far), here) in &bundles {
        // Each pair once, from its first host; a missing way back is another rule's concern.
        let Some(there) = bundles.get(&(*far, *near)).filter(|_| near < far) else { continue };
        if mesh::is_cleaned(ctx, *near) || mesh::is_cleaned(ctx, *far) {
            out.cannot_tell(*near, [mesh::NOT_CLEANED.to_owned()]);
            continue;
        }
        for tunnel in here {
            judge(ctx, out, *tunnel, there, *far);
        }
    }
    for host in unknown {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Whether the tunnel has one far end of its own: not one that its forwarding table lists.
fn is_point_to_point(ctx: &Ctx<'_>, tunnel: Item<'_, TunnelEndpoint>) -> bool {
    if ctx.ovs_interface(tunnel.owner).is_some() {
        return true;
    }
    let Some(remote) = &tunnel.data.remote else { return false };
    mesh::is_of_host(ctx, tunnel)
        && ctx.netdev(tunnel.owner).is_some_and(|it| {
            it.records.iter().any(|it| {
                let tunnel = it.record.kind_data.tunnel.as_ref();
                tunnel.and_then(|it| it.remote).is_some_and(|it| it.value == remote.value)
            })
        })
}

/// What must agree.
struct Ends<'a> {
    kind: &'a str,
    port: String,
    key_in: &'a str,
    key_out: &'a str,
}

fn ends<'a>(ctx: &Ctx<'a>, tunnel: Item<'a, TunnelEndpoint>) -> Ends<'a> {
    let kind = tunnel.data.kind.as_str();
    let given = tunnel.data.dst_port.as_ref().map(|it| it.value.to_string());
    let port = given.unwrap_or_else(|| defs::tunnel_port(kind).to_owned());
    let key = tunnel.data.key.as_ref().map_or("0", |it| it.value.as_str());
    let (mut key_in, mut key_out) = (key, key);
    if let Some(interface) = ctx.ovs_interface(tunnel.owner) {
        let option = |name: &str| interface.data.option(name).map(|it| it.value.as_str());
        let shared = option("key").unwrap_or("0");
        key_in = option("in_key").unwrap_or(shared);
        key_out = option("out_key").unwrap_or(shared);
    }
    Ends { kind, port, key_in, key_out }
}

/// Why packets of one end are not those that the other waits for; `None` where they are.
fn differ(near: &Ends<'_>, far: &Ends<'_>) -> Option<String> {
    let keys = |a: &str, b: &str| a == b || a == "flow" || b == "flow";
    if near.kind != far.kind {
        return Some(format!("the type: {} here, {} there", near.kind, far.kind));
    }
    if near.port != far.port {
        return Some(format!("the UDP port: {} here, {} there", near.port, far.port));
    }
    if !keys(near.key_out, far.key_in) {
        return Some(format!("the key: {} sent here, {} awaited there", near.key_out, far.key_in));
    }
    (!keys(near.key_in, far.key_out))
        .then(|| format!("the key: {} awaited here, {} sent there", near.key_in, far.key_out))
}

/// One tunnel against all that lead back: one that fits is enough.
fn judge<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    tunnel: Item<'a, TunnelEndpoint>,
    there: &Bundle<'a>,
    far: HostId,
) {
    let near = ends(ctx, tunnel);
    let mut closest: Option<(bool, String, Item<'_, TunnelEndpoint>)> = None;
    for back in there.iter().filter(|it| fits(tunnel, **it)).take(64) {
        let other = ends(ctx, *back);
        let Some(why) = differ(&near, &other) else {
            out.clean();
            return;
        };
        // Of several, one of the same type says best what is wrong.
        let same = near.kind == other.kind;
        if closest.as_ref().is_none_or(|(it, _, _)| same && !*it) {
            closest = Some((same, why, *back));
        }
    }
    let Some((_, why, back)) = closest else { return };
    let message = format!(
        "the end on {} differs in {why}: what one sends, the other does not take",
        ctx.host_name(far)
    );
    let finding = out.fault(ctx, tunnel.host, tunnel.owner, message);
    for it in [tunnel, back] {
        let name = ctx.host_name(it.host).to_owned();
        let at = it.data.remote.as_ref().map(|it| it.evidence).or_else(|| it.place());
        if let Some(at) = at {
            finding.primary(at, format!("the end on {name}"));
        }
        for (fact, label) in [
            (it.data.dst_port.as_ref().map(|it| it.evidence), "its port"),
            (it.data.key.as_ref().map(|it| it.evidence), "its key"),
        ] {
            if let Some(fact) = fact {
                finding.context(fact, label);
            }
        }
    }
    finding.next("ovs-appctl ofproto/list-tunnels");
    finding.next(
        "grep -E 'tunnel_types|vxlan_udp_port' /etc/neutron/plugins/ml2/openvswitch_agent.ini",
    );
}

/// Whether two ends name each other's addresses, as far as they name any.
fn fits(near: Item<'_, TunnelEndpoint>, far: Item<'_, TunnelEndpoint>) -> bool {
    let ip = |it: &Option<tapline_topology::graph::Fact<IpAddr>>| it.as_ref().map(|it| it.value);
    let meets = |local: Option<IpAddr>, remote: Option<IpAddr>| local.is_none() || local == remote;
    meets(ip(&near.data.local), ip(&far.data.remote))
        && meets(ip(&far.data.local), ip(&near.data.remote))
}
