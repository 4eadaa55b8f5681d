use std::collections::BTreeSet;

use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::ovs::lookup;
use tapline_topology::{NodeId, Topic};

use crate::lint::{Confidence, Ctx, Other, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::ovn::{ASK_SOUTH, Chassis, Local};

declare_rule! {
    code: "OVN-004",
    id: "ovn-encap-mismatch",
    summary: "the tunnel end that OVN tells others is not that of the host, or a tunnel is missing",
    severity: Error,
    confidence: Proven,
    page: "ovn_encap_mismatch.md",
    layer: (Ovn, 30),
    rank: 420,
    about: [Ovn],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        [ovn::ovn_chassis_identity_conflict] by [Host, Peer],
        // An address that the host does not have is one that OVN did not take over.
        [tun::tun_local_ip_missing] by [Host],
    ],
}

/// Lists what `show` leaves out of chassis.
const ASK_CHASSIS: &str = "ovn-sbctl list Chassis";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let ovn = ctx.ovn();
    for local in ovn.locals.values().filter(|local| !local.is_shared()) {
        let Some(id) = local.system_id() else { continue };
        let Some(south) = ovn.south_of(ctx, local) else {
            out.cannot_tell(local.host, [Need::command(ASK_SOUTH)]);
            continue;
        };
        // A host without a chassis is another rule's.
        let Some(own) = south.chassis.get(id) else { continue };
        if own.encaps.is_empty() {
            out.cannot_tell(local.host, [Need::command(ASK_SOUTH)]);
            continue;
        }
        if told(ctx, out, local, own) {
            for other in south.chassis.values().filter(|chassis| chassis.name != id) {
                tunnel(ctx, out, local, own, other);
            }
        }
    }
}

fn subject(name: &str) -> Other {
    Other::OvnChassis { name: name.to_owned() }
}

/// Whether the chassis has the addresses and kinds that the host's settings say: one in common is
/// enough.
fn told(ctx: &Ctx<'_>, out: &mut Verdicts, local: &Local<'_>, own: &Chassis<'_>) -> bool {
    let ips: BTreeSet<&str> = own.encaps.iter().map(|encap| encap.ip).collect();
    let kinds: BTreeSet<&str> = own.encaps.iter().map(|encap| encap.kind).collect();
    for (key, what, has) in
        [("ovn-encap-ip", "address", ips), ("ovn-encap-type", "kind of tunnel", kinds)]
    {
        let set: Vec<String> = local.list(key).collect();
        if set.is_empty() || set.iter().any(|set| has.contains(set.as_str())) {
            continue;
        }
        let message = format!(
            "the {what} of this host is {}, and OVN tells the others {}: their tunnels to it lead nowhere",
            set.join(", "),
            has.iter().copied().collect::<Vec<_>>().join(", ")
        );
        let finding = out.fire(local.host, subject(own.name), message);
        finding.primary(local.place(key), "the setting of the host");
        for encap in &own.encaps {
            finding.primary(encap.at, "what the database tells the others");
        }
        if let Some(seconds) = own
            .encaps
            .first()
            .and_then(|encap| tapline_network::ovn::apart(ctx, encap.at.source, local.row.source))
            && seconds > ctx.settings.thresholds.capture_skew_s
        {
            finding.no_surer_than(Confidence::Suspect);
            finding.note(format!("the captures were taken {seconds:.0} s apart"));
        }
        finding.next("ovs-vsctl get Open_vSwitch . external_ids");
        finding.next("ovn-appctl -t ovn-controller connection-status");
        return false;
    }
    out.clean();
    true
}

/// Whether the host has a tunnel to another chassis. Needed is one where both are in one transport
/// zone, and neither belongs to another deployment that is only joined.
fn tunnel(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    local: &Local<'_>,
    own: &Chassis<'_>,
    other: &Chassis<'_>,
) {
    let host = local.host;
    let ips: BTreeSet<&str> = other.encaps.iter().map(|encap| encap.ip).collect();
    // Gateways that are no hosts, and chassis of the host itself.
    if other.hostname.is_none()
        || ips.is_empty()
        || own.encaps.iter().any(|encap| ips.contains(encap.ip))
    {
        return;
    }
    let has = ctx.ovs_interfaces_of(host).any(|interface| {
        let remote = interface.data.option("remote_ip").map(|option| option.value.as_str());
        remote.is_some_and(|remote| ips.contains(remote))
            || remote == Some("flow") && interface.name().starts_with("ovn")
    });
    if has {
        out.clean();
        return;
    }
    let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
    if !missing.is_empty() {
        out.cannot_tell(host, missing);
        return;
    }
    let Some(listed) = other.listed else {
        out.cannot_tell(host, [Need::command(ASK_CHASSIS)]);
        return;
    };
    let truth = |key: &str| {
        let value = lookup(&listed.other_config, key).or_else(|| lookup(&listed.external_ids, key));
        value.is_some_and(|value| value.value == "true")
    };
    if truth("is-remote") || truth("is-vtep") {
        out.clean();
        return;
    }
    let mut zones: BTreeSet<String> = local.list("ovn-transport-zones").collect();
    if zones.is_empty() {
        zones.insert(String::new());
    }
    let theirs: BTreeSet<String> = match listed.transport_zones.as_slice() {
        [] => BTreeSet::from([String::new()]),
        all => all.iter().map(|it| it.value.to_string()).collect(),
    };
    if zones.is_disjoint(&theirs) {
        out.clean();
        return;
    }
    let kinds = |it: &Chassis<'_>| -> BTreeSet<String> {
        it.encaps.iter().map(|encap| encap.kind.to_owned()).collect()
    };
    let (mine, its) = (kinds(own), kinds(other));
    let shown = other.hostname.unwrap_or(other.name);
    let message = if mine.is_disjoint(&its) {
        format!(
            "{shown} has tunnels of {}, this host of {}: there is none between the two",
            its.into_iter().collect::<Vec<_>>().join(", "),
            mine.into_iter().collect::<Vec<_>>().join(", ")
        )
    } else {
        format!("there is no tunnel to {shown}: networks that are on both are cut apart")
    };
    let dead = tunnels_to(ctx, other.name, own);
    let finding = out.fire(host, subject(other.name), message);
    finding.nodes.extend(dead);
    for encap in &other.encaps {
        finding.primary(encap.at, format!("the tunnel end of {shown}"));
    }
    for encap in &own.encaps {
        finding.context(encap.at, "the tunnel end of this host");
    }
    let key = other.encaps.first().map_or("", |encap| encap.ip);
    if let Some(searched) = defs::searched(ctx, host, Topic::Ovs, key) {
        finding.rests_on_absence(searched);
    }
    finding.next(format!("ovs-vsctl show | grep {key}"));
    finding.next("ovs-vsctl get Open_vSwitch . external_ids:ovn-encap-type");
}

/// The tunnels of a captured chassis that lead to another: what they send is answered by nobody.
fn tunnels_to(ctx: &Ctx<'_>, name: &str, to: &Chassis<'_>) -> Vec<NodeId> {
    let of_chassis = |local: &&Local<'_>| local.system_id() == Some(name);
    let Some(local) = ctx.ovn().locals.values().find(of_chassis) else { return Vec::new() };
    let leads = |value: &str| to.encaps.iter().any(|encap| encap.ip == value);
    let all = ctx.ovs_interfaces_of(local.host).filter(|interface| {
        interface.data.option("remote_ip").is_some_and(|option| leads(option.value.as_str()))
    });
    all.map(|interface| interface.id).collect()
}
