use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::need::Need;

use crate::lint::{Confidence, Ctx, Other, Severity, Verdicts, declare_rule};
use tapline_network::mesh;
use tapline_network::ovn::{ASK_SOUTH, Chassis, Local, Ovn, South};

declare_rule! {
    code: "OVN-002",
    id: "ovn-chassis-identity-conflict",
    summary: "the identity of an OVN chassis is missing, has changed, or is that of another",
    severity: Error,
    confidence: Proven,
    page: "ovn_chassis_identity_conflict.md",
    layer: (Daemon, 60),
    rank: 400,
    about: [Ovn],
    cuts: [],
    asks: [],
    after: [
        [ovn::ovn_controller_stopped] by [Host],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let ovn = ctx.ovn();
    let mut ids: BTreeMap<&str, Vec<Local<'_>>> = BTreeMap::new();
    for local in ovn.locals.values().filter(|local| !local.is_shared()) {
        match local.system_id() {
            Some(id) => {
                ids.entry(id).or_default().push(*local);
                registered(ctx, out, ovn, *local, id);
            }
            None => {
                let message = "OVN is set up here, and the host has no system-id: ovn-controller does not enter a chassis and does nothing";
                let finding = out.fire(local.host, ctx.host_subject(local.host), message);
                finding.primary(local.row, "the settings, without `system-id`");
                finding.next("ovs-vsctl get Open_vSwitch . external_ids:system-id");
                finding.next("cat /etc/openvswitch/system-id.conf");
            }
        }
    }
    for (id, locals) in ids {
        shared(ctx, out, id, &locals);
    }
    let mut said: BTreeSet<(&str, &str)> = BTreeSet::new();
    for south in ovn.souths.values() {
        one_address(out, south, &mut said);
        one_hostname(ctx, out, ovn, south, &mut said);
    }
}

/// The host's id must be that of a chassis.
fn registered(ctx: &Ctx<'_>, out: &mut Verdicts, ovn: &Ovn<'_>, local: Local<'_>, id: &str) {
    let Some(south) = ovn.south_of(ctx, &local) else {
        // Another database may be captured: nothing says whose it is.
        if ovn.souths.values().any(|south| south.chassis.contains_key(id)) {
            out.clean();
        } else if ovn.souths.is_empty() {
            // Without any database there is nothing that could contradict.
        } else {
            out.cannot_tell(local.host, [Need::command(ASK_SOUTH)]);
        }
        return;
    };
    if south.chassis.contains_key(id) {
        out.clean();
        return;
    }
    let Some(searched) = south.shown.and_then(|_| south.searched(id)) else {
        out.cannot_tell(local.host, [Need::command(ASK_SOUTH)]);
        return;
    };
    let ips: Vec<String> = local.list("ovn-encap-ip").collect();
    let stale = south.chassis.values().find_map(|chassis| {
        let encap = chassis.encaps.iter().find(|encap| ips.iter().any(|ip| ip == encap.ip))?;
        Some((chassis, *encap))
    });
    let message = match stale {
        Some((other, encap)) => format!(
            "no chassis is called {id}, the system-id of this host; {} holds its tunnel address {}: OVN takes this host for another, or refuses it",
            other.name, encap.ip
        ),
        None => {
            format!("no chassis is called {id}, the system-id of this host: OVN does not use it")
        }
    };
    let finding = out.fire(local.host, ctx.host_subject(local.host), message);
    finding.primary(local.place("system-id"), "the name that its chassis should have");
    if let Some((other, encap)) = stale {
        finding.primary(encap.at, "the address of this host, at another chassis");
        finding.next(format!("ovn-sbctl chassis-del {}", other.name));
    }
    finding.rests_on_absence(searched);
    finding.next("ovs-appctl -t ovn-controller connection-status");
}

/// Two hosts with one id.
fn shared(ctx: &Ctx<'_>, out: &mut Verdicts, id: &str, locals: &[Local<'_>]) {
    let Some((first, rest)) = locals.split_first() else { return };
    for other in rest {
        if !are_two(ctx, first.host, other.host) {
            continue;
        }
        let message = format!(
            "{} has the same system-id {id}: the two take tunnels and ports from one another",
            ctx.host_name(other.host)
        );
        let finding = out.fire(first.host, ctx.host_subject(first.host), message);
        finding.peers.push(other.host);
        finding.primary(first.place("system-id"), "the id of this host");
        finding
            .primary(other.place("system-id"), format!("the id of {}", ctx.host_name(other.host)));
        finding
            .next("rm /etc/openvswitch/system-id.conf   # on the copy, then restart Open vSwitch");
        finding.next(format!("ovn-sbctl chassis-del {id}"));
    }
}

/// Whether two captures are of two machines, although their switches have one id.
fn are_two(ctx: &Ctx<'_>, a: HostId, b: HostId) -> bool {
    !mesh::is_cleaned(ctx, a) && !mesh::is_cleaned(ctx, b) && ctx.are_comparable(a, b)
}

/// Two chassis with one tunnel address.
fn one_address<'a>(out: &mut Verdicts, south: &South<'a>, said: &mut BTreeSet<(&'a str, &'a str)>) {
    let mut owners: BTreeMap<&str, (&Chassis<'a>, _)> = BTreeMap::new();
    for chassis in south.chassis.values() {
        // A VTEP gateway, which has no host name, may live on a host that is a chassis itself.
        for encap in chassis.encaps.iter().filter(|_| chassis.hostname.is_some()) {
            let (other, at) = *owners.entry(encap.ip).or_insert((chassis, encap.at));
            if other.name == chassis.name {
                continue;
            }
            if said.insert((other.name, chassis.name)) {
                let message = format!(
                    "chassis {} has the same tunnel address {}: tunnels to the two lead to one host",
                    chassis.name, encap.ip
                );
                let finding = out.fire(south.host, subject(other.name), message);
                finding.primary(at, format!("the address of {}", other.name));
                finding.primary(encap.at, format!("the address of {}", chassis.name));
                finding
                    .next(format!("ovn-sbctl chassis-del {}   # whichever is stale", chassis.name));
            }
        }
    }
}

fn subject(name: &str) -> Other {
    Other::OvnChassis { name: name.to_owned() }
}

/// Two chassis with one host name: the older is left from before the id changed. Names that many
/// machines bear by default, and hosts with several controllers, are no sign.
fn one_hostname<'a>(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    ovn: &Ovn<'a>,
    south: &South<'a>,
    said: &mut BTreeSet<(&'a str, &'a str)>,
) {
    let mut names: BTreeMap<&str, Vec<&Chassis<'a>>> = BTreeMap::new();
    for chassis in south.chassis.values() {
        if let Some(hostname) =
            chassis.hostname.filter(|hostname| !hostname.starts_with("localhost"))
        {
            names.entry(hostname).or_default().push(chassis);
        }
    }
    for (hostname, all) in names.into_iter().filter(|(_, all)| all.len() > 1) {
        let own = ovn.locals.values().find(|local| {
            local.get("hostname").is_some_and(|it| it.value == hostname)
                || local.system_id().is_some_and(|id| all.iter().any(|it| it.name == id))
        });
        if all.iter().any(|a| all.iter().any(|b| said.contains(&(a.name, b.name)))) {
            continue;
        }
        let Some(own) = own else {
            out.cannot_tell(south.host, [Need::command("ovs-vsctl list Open_vSwitch")]);
            continue;
        };
        if own.is_shared() {
            out.clean();
            continue;
        }
        let Some(id) = own.system_id().filter(|id| all.iter().any(|it| it.name == *id)) else {
            continue;
        };
        for stale in all.iter().filter(|it| it.name != id) {
            if !said.insert((id, stale.name)) {
                continue;
            }
            let message = format!(
                "chassis {} bears the host name {hostname} as well, which is that of chassis {id}: it is left from before, or two hosts have one name",
                stale.name
            );
            let finding = out.fire(south.host, subject(stale.name), message);
            finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
            finding.primary(stale.at, "the chassis that is left");
            finding
                .primary(own.place("system-id"), format!("the id of {}", ctx.host_name(own.host)));
            finding.next(format!("ovn-sbctl chassis-del {}", stale.name));
        }
    }
}
