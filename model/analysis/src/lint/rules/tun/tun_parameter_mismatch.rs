mod listed;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::TunnelEndpoint;
use tapline_topology::{Topic, names};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::mesh::{self};

declare_rule! {
    code: "TUN-005",
    id: "tun-parameter-mismatch",
    summary: "the two ends of a tunnel differ in type, port, key, checksum or address family",
    severity: Error,
    confidence: Proven,
    page: "tun_parameter_mismatch.md",
    layer: (Tunnel, 20),
    rank: 540,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [],
}

/// The tunnels from one host to another.
type Bundle<'a> = Vec<Item<'a, TunnelEndpoint>>;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mesh = ctx.mesh();
    let mut bundles: BTreeMap<(HostId, HostId), Bundle<'_>> = BTreeMap::new();
    let mut unknown: BTreeSet<HostId> = BTreeSet::new();
    for tunnel in ctx.tunnels().filter(|tunnel| is_point_to_point(ctx, *tunnel)) {
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
            out.cannot_tell(*near, [mesh::NOT_CLEANED]);
            continue;
        }
        for tunnel in here {
            judge(ctx, out, *tunnel, there);
        }
    }
    listed::check(ctx, out);
    for host in ctx.hosts() {
        odd_one(ctx, out, host);
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
                tunnel.and_then(|tunnel| tunnel.remote).is_some_and(|it| it.value == remote.value)
            })
        })
}

/// What must agree.
struct Ends<'a> {
    kind: &'a str,
    port: String,
    key_in: &'a str,
    key_out: &'a str,
    /// It drops GRE packets without a checksum.
    wants_sum: bool,
    /// It sends GRE packets with one.
    sends_sum: bool,
}

fn ends<'a>(ctx: &Ctx<'a>, tunnel: Item<'a, TunnelEndpoint>) -> Ends<'a> {
    let kind = tunnel.data.kind.as_str();
    let given = tunnel.data.dst_port.as_ref().map(|port| port.value.to_string());
    let port = given.unwrap_or_else(|| defs::tunnel_port(kind).to_owned());
    let key = tunnel.data.key.as_ref().map_or("0", |key| key.value.as_str());
    let (mut key_in, mut key_out) = (key, key);
    let is_set = |words: &[&str]| {
        ctx.netdev(tunnel.owner).is_some_and(|device| {
            let mut records = device.data.records.iter();
            records.any(|record| words.iter().any(|word| record.record.other.find(word).is_some()))
        })
    };
    // `csum` of a kernel device is both directions; that of OVS only what it sends.
    let wants_sum = kind == "gre" && is_set(&["csum", "icsum"]);
    let mut sends_sum = is_set(&["csum", "ocsum"]);
    if let Some(interface) = ctx.ovs_interface(tunnel.owner) {
        sends_sum = interface.data.option("csum").is_some_and(|option| option.value == "true");
        let option = |name: &str| interface.data.option(name).map(|option| option.value.as_str());
        let shared = option("key").unwrap_or("0");
        key_in = option("in_key").unwrap_or(shared);
        key_out = option("out_key").unwrap_or(shared);
    }
    Ends { kind, port, key_in, key_out, wants_sum, sends_sum }
}

/// A key as a number, where it is one: `7`, `0x7`, and `0.0.0.7` as the kernel prints keys of GRE.
fn number(key: &str) -> Result<u64, &str> {
    let hex = || u64::from_str_radix(key.strip_prefix("0x")?, 16).ok();
    let dotted = || Some(u64::from(u32::from(key.parse::<Ipv4Addr>().ok()?)));
    key.parse().ok().or_else(hex).or_else(dotted).ok_or(key)
}

/// Why packets of one end are not those that the other waits for; `None` where they are.
fn differ(near: &Ends<'_>, far: &Ends<'_>) -> Option<String> {
    let keys = |a: &str, b: &str| a == "flow" || b == "flow" || number(a) == number(b);
    if near.kind != far.kind {
        return Some(format!("the type: {} here, {} there", near.kind, far.kind));
    }
    if near.port != far.port {
        return Some(format!("the UDP port: {} here, {} there", near.port, far.port));
    }
    if !keys(near.key_out, far.key_in) {
        return Some(format!("the key: {} sent here, {} awaited there", near.key_out, far.key_in));
    }
    if !keys(near.key_in, far.key_out) {
        let keys = format!("{} awaited here, {} sent there", near.key_in, far.key_out);
        return Some(format!("the key: {keys}"));
    }
    let lacks = |to: &Ends<'_>, from: &Ends<'_>| to.wants_sum && !from.sends_sum;
    if lacks(near, far) {
        return Some("the checksum: awaited here, not sent there".to_owned());
    }
    lacks(far, near).then(|| "the checksum: not sent here, awaited there".to_owned())
}

/// The keys that flows give to what an end sends, and the one key that the other takes, where it is
/// none of them. The keys that flows send are those by which they take packets in.
fn foreign(
    ctx: &Ctx<'_>,
    sends: Item<'_, TunnelEndpoint>,
    near: &Ends<'_>,
    far: &Ends<'_>,
) -> Option<(String, u64)> {
    let wanted = number(far.key_in).ok().filter(|_| near.key_out == "flow")?;
    let ways = ctx.local_vlans(sends.host).ways.values();
    let keys: BTreeSet<u64> = ways.flat_map(|ways| &ways.tunnel_in).map(|(key, _)| *key).collect();
    let shown: Vec<String> = keys.iter().take(3).map(u64::to_string).collect();
    (!keys.is_empty() && !keys.contains(&wanted)).then(|| (shown.join(", "), wanted))
}

/// One tunnel against all that lead back: one that fits is enough.
fn judge<'a>(
    ctx: &Ctx<'a>,
    out: &mut Verdicts,
    tunnel: Item<'a, TunnelEndpoint>,
    there: &Bundle<'a>,
) {
    let near = ends(ctx, tunnel);
    let mut closest: Option<(bool, String, Item<'_, TunnelEndpoint>)> = None;
    for back in there.iter().filter(|there| fits(tunnel, **there)).take(64) {
        let other = ends(ctx, *back);
        let by_flows = || {
            let here = foreign(ctx, tunnel, &near, &other);
            let there = || foreign(ctx, *back, &other, &near);
            here.map(|(sent, key)| format!("the key: flows send {sent} here, {key} awaited there"))
                .or_else(|| {
                    let (sent, key) = there()?;
                    Some(format!("the key: {key} awaited here, flows send {sent} there"))
                })
        };
        let Some(why) = differ(&near, &other).or_else(by_flows) else {
            out.clean();
            return;
        };
        // Of several, one of the same type says best what is wrong.
        let same = near.kind == other.kind;
        if closest.as_ref().is_none_or(|(it, _, _)| same && !*it) {
            closest = Some((same, why, *back));
        }
    }
    let Some((_, why, back)) = closest.or_else(|| other_family(tunnel, there)) else { return };
    let finding = report(ctx, out, tunnel, back, &why);
    finding.next("ovs-appctl ofproto/list-tunnels");
    finding.next(
        "grep -E 'tunnel_types|vxlan_udp_port' /etc/neutron/plugins/ml2/openvswitch_agent.ini",
    );
}

/// Two ends that differ.
fn report<'o>(
    ctx: &Ctx<'_>,
    out: &'o mut Verdicts,
    tunnel: Item<'_, TunnelEndpoint>,
    back: Item<'_, TunnelEndpoint>,
    why: &str,
) -> &'o mut Finding {
    let message = format!(
        "the end on {} differs in {why}: what one sends, the other does not take",
        ctx.host_name(back.host)
    );
    let finding = out.fault(ctx, tunnel.host, tunnel.owner, message);
    // Neither end takes what the other sends, or answers.
    finding.nodes.push(back.owner);
    finding.peers.push(back.host);
    for it in [tunnel, back] {
        let name = ctx.host_name(it.host).to_owned();
        let at = it.data.remote.as_ref().map(|remote| remote.evidence).or_else(|| it.place());
        if let Some(at) = at {
            finding.primary(at, format!("the end on {name}"));
        }
        for (fact, label) in [
            (it.data.dst_port.as_ref().map(|port| port.evidence), "its port"),
            (it.data.key.as_ref().map(|key| key.evidence), "its key"),
        ] {
            if let Some(fact) = fact {
                finding.context(fact, label);
            }
        }
    }
    finding
}

/// All that leads back leads to addresses of the other family.
fn other_family<'a>(
    tunnel: Item<'a, TunnelEndpoint>,
    there: &Bundle<'a>,
) -> Option<(bool, String, Item<'a, TunnelEndpoint>)> {
    let family = |tunnel: Item<'_, TunnelEndpoint>| {
        tunnel
            .data
            .remote
            .as_ref()
            .map(|remote| if remote.value.is_ipv4() { "IPv4" } else { "IPv6" })
    };
    let near = family(tunnel)?;
    let back = there.first()?;
    let far = family(*back)?;
    let all_differ = there.iter().all(|there| family(*there).is_some_and(|family| family != near));
    all_differ.then(|| (false, format!("the address family: {near} here, {far} there"), *back))
}

/// On one host: the agent's tunnels are all of one type but one, whose far end has no tunnel of
/// that type.
fn odd_one(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId) {
    // The agent names a tunnel by its type and its far end.
    let of_agent = |tunnel: &Item<'_, TunnelEndpoint>| {
        let owner = ctx.ovs_interface(tunnel.owner)?;
        let hex = owner.name().strip_prefix(tunnel.data.kind.as_str())?.strip_prefix('-')?;
        let named = hex.len() == 8 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        (named && owner.data.bridge == names::TUNNEL_BRIDGE).then_some(())
    };
    let tunnels: Vec<_> =
        ctx.tunnels_of(host).filter(|tunnel| of_agent(tunnel).is_some()).collect();
    let mut kinds: BTreeMap<&str, Vec<Item<'_, TunnelEndpoint>>> = BTreeMap::new();
    for tunnel in &tunnels {
        kinds.entry(tunnel.data.kind.as_str()).or_default().push(*tunnel);
    }
    let kinds: Vec<_> = kinds.iter().collect();
    let [(kind, few), (other, many)] = kinds.as_slice() else { return };
    let (few, (other, many)) = match (few.as_slice(), many.as_slice()) {
        ([one], [_, _, _, ..]) => (one, (other, many)),
        ([_, _, _, ..], [one]) => (one, (kind, few)),
        _ => return,
    };
    let remote =
        |tunnel: &Item<'_, TunnelEndpoint>| tunnel.data.remote.as_ref().map(|remote| remote.value);
    if many.iter().any(|many| remote(many) == remote(few)) {
        return;
    }
    let message = format!(
        "is of type {}, while the {} others of this host are {other}: its far end may have been set up otherwise",
        few.data.kind,
        many.len()
    );
    let finding = out.fault(ctx, host, few.owner, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
    for it in [few].into_iter().chain(many.first()) {
        let place = ctx.ovs_interface(it.owner).and_then(|interface| interface.data.kind_evidence);
        if let Some(place) = place.or_else(|| it.place()) {
            finding.primary(place, "a type");
        }
    }
    finding.next("grep tunnel_types /etc/neutron/plugins/ml2/openvswitch_agent.ini");
}

/// Whether two ends name each other's addresses, as far as they name any.
fn fits(near: Item<'_, TunnelEndpoint>, far: Item<'_, TunnelEndpoint>) -> bool {
    let ip = |it: &Option<tapline_topology::graph::Fact<IpAddr>>| it.as_ref().map(|it| it.value);
    let meets = |local: Option<IpAddr>, remote: Option<IpAddr>| local.is_none() || local == remote;
    meets(ip(&near.data.local), ip(&far.data.remote))
        && meets(ip(&far.data.local), ip(&near.data.remote))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn keys_have_several_notations() {
        for key in ["7", "0x7", "0.0.0.7"] {
            assert_eq!(number(key), Ok(7), "{key}");
        }
        assert_eq!(number("flow"), Err("flow"));
    }
}
