use std::collections::BTreeMap;

use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::OvsInterface;
use tapline_topology::{NodeId, Topic};

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::ovn::{ASK_SOUTH, Holder, Local, Ovn, South, apart, ports_of};
use tapline_network::{Item, User};

declare_rule! {
    code: "OVN-001",
    id: "ovn-port-not-bound",
    summary: "a VM's or pod's port is plugged here, and OVN has not bound it to this chassis",
    severity: Error,
    confidence: Proven,
    page: "ovn_port_not_bound.md",
    layer: (Ovn, 10),
    rank: 390,
    about: [Ovn],
    cuts: [],
    asks: [],
    after: [
        [ovn::ovn_chassis_identity_conflict] by [Host, Peer],
        // A port that is called as nobody knows.
        [vm::vm_port_identity_mismatch] by [Port],
    ],
}

/// Of more ports than this one finding is made.
const SINGLE: usize = 3;

/// What is wrong with a port. Ordered as findings are made.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Wrong<'a> {
    /// The database does not have it.
    Unknown,
    /// No chassis claimed it.
    Unclaimed,
    /// Another chassis did.
    Elsewhere(&'a str),
    /// It is claimed here, and its flows are not in place.
    NotUp,
}

/// A port that is wrong.
struct Fault<'a> {
    interface: Item<'a, OvsInterface>,
    port: &'a str,
    plugged: Evidence,
    bound: Option<Evidence>,
    searched: Option<Searched>,
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let ovn = ctx.ovn();
    let plugged = plugged(ctx, ovn);
    for local in ovn.locals.values().filter(|local| !local.is_shared()) {
        let Some(id) = local.system_id() else { continue };
        let south = ovn.south_of(ctx, local);
        let mut faults: BTreeMap<Wrong<'_>, Vec<Fault<'_>>> = BTreeMap::new();
        let mut open = 0_u32;
        for (interface, port, evidence) in ports_of(ctx, local) {
            let verdict = south.map_or(Err(()), |south| judge(south, id, port));
            if verdict == Ok(None) {
                out.clean();
                continue;
            }
            match serves(ctx, interface) {
                Some(true) => {}
                Some(false) => continue,
                None => {
                    let topics = [Topic::Domains, Topic::DomainXml];
                    out.cannot_tell(local.host, ctx.missing(local.host, &Netns::Root, &topics));
                    continue;
                }
            }
            match verdict {
                Ok(Some(wrong)) if moves(&plugged, local, port, &wrong) => out.clean(),
                Ok(Some(wrong)) => {
                    let binding = south.and_then(|south| south.bindings.get(port));
                    let fault = Fault {
                        interface,
                        port,
                        plugged: evidence,
                        bound: binding.map(|binding| binding.at),
                        searched: south
                            .filter(|_| binding.is_none())
                            .and_then(|south| south.searched(port)),
                    };
                    faults.entry(wrong).or_default().push(fault);
                }
                Ok(None) => {}
                Err(()) => open += 1,
            }
        }
        for _ in 0..open {
            out.cannot_tell(local.host, [Need::command(ASK_SOUTH)]);
        }
        for (wrong, mut ports) in faults {
            if ports.len() <= SINGLE {
                for port in ports {
                    report(ctx, out, &wrong, &port, &[]);
                }
            } else {
                ports.sort_by(|a, b| a.interface.name().cmp(b.interface.name()));
                if let Some((first, rest)) = ports.split_first() {
                    report(ctx, out, &wrong, first, rest);
                }
            }
        }
    }
}

/// What is wrong with a port by this database; `Err` where it does not tell.
fn judge<'a>(south: &South<'a>, id: &str, port: &str) -> Result<Option<Wrong<'a>>, ()> {
    let Some(binding) = south.bindings.get(port) else {
        return match (south.listed, south.shown) {
            (Some(_), _) => Ok(Some(Wrong::Unknown)),
            (None, Some(_)) => Ok(Some(Wrong::Unclaimed)),
            (None, None) => Err(()),
        };
    };
    // Ports of other types belong to every chassis, to none, or to a port inside another.
    if binding.row.kind.as_ref().is_some_and(|kind| !kind.value.is_empty()) {
        return Ok(None);
    }
    let down = binding.row.up.as_ref().is_some_and(|up| !up.value);
    match binding.holder {
        Holder::Nobody => Ok(Some(Wrong::Unclaimed)),
        Holder::Unnamed => Err(()),
        Holder::Chassis(it) if it != id => Ok(Some(Wrong::Elsewhere(it))),
        Holder::Chassis(_) if down => Ok(Some(Wrong::NotUp)),
        Holder::Chassis(_) => Ok(None),
    }
}

/// Whether the interface is the port of a running VM or of a pod; `None` where nothing tells.
fn serves(ctx: &Ctx<'_>, interface: Item<'_, OvsInterface>) -> Option<bool> {
    // ovn-kubernetes and kube-ovn write down which pod it is.
    let pod = ["sandbox", "pod_name"]
        .iter()
        .any(|word| defs::external_id(interface.data, word).is_some_and(|value| !value.is_empty()));
    if pod {
        return Some(
            ctx.device_of(interface.id).is_none_or(|device| device.usable() != Some(false)),
        );
    }
    // A port of the metadata service, of a gateway or of an agent.
    if !interface.name().starts_with("tap") && !interface.name().starts_with("vhu") {
        return Some(matches!(ctx.user_of(interface.host, interface.name()), User::Running(_)));
    }
    match ctx.user_of(interface.host, interface.name()) {
        User::Running(vm) => {
            let state = ctx.state_of(vm).map(|state| state.value.as_str());
            // A paused VM may be the half of a migration that has not begun, or has ended.
            Some(state != Some("paused"))
        }
        User::Off(_) | User::Nobody => Some(false),
        User::Unknown(_) => {
            let vm = ["vm-uuid", "vm-id"].iter().any(|key| {
                defs::external_id(interface.data, key).is_some_and(|value| !value.is_empty())
            });
            if vm { None } else { Some(false) }
        }
    }
}

/// Which chassis each logical port is plugged on, of those that were captured.
fn plugged<'a>(ctx: &Ctx<'a>, ovn: &Ovn<'a>) -> BTreeMap<&'a str, Vec<&'a str>> {
    let mut all: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for local in ovn.locals.values() {
        let Some(id) = local.system_id() else { continue };
        for (_, port, _) in ports_of(ctx, local) {
            all.entry(port).or_default().push(id);
        }
    }
    all
}

/// Whether the chassis that claimed a port has it plugged as well: a VM on the move.
fn moves(
    plugged: &BTreeMap<&str, Vec<&str>>,
    local: &Local<'_>,
    port: &str,
    wrong: &Wrong<'_>,
) -> bool {
    let Wrong::Elsewhere(chassis) = wrong else { return false };
    local.system_id() != Some(*chassis) && plugged.get(port).is_some_and(|it| it.contains(chassis))
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    wrong: &Wrong<'_>,
    it: &Fault<'_>,
    rest: &[Fault<'_>],
) {
    let host = it.interface.host;
    let consequence = "it has no flows, so no DHCP and no traffic";
    let message = match wrong {
        Wrong::Unknown => format!("OVN does not know the port {}: {consequence}", it.port),
        Wrong::Unclaimed => format!("no chassis has claimed the port {}: {consequence}", it.port),
        Wrong::Elsewhere(chassis) => {
            format!(
                "the port {} is plugged here, and chassis {chassis} has claimed it: {consequence} here",
                it.port
            )
        }
        Wrong::NotUp => {
            format!(
                "this chassis has claimed the port {}, and its flows are not in place: no traffic yet",
                it.port
            )
        }
    };
    let node: NodeId = it.interface.id;
    let finding = out.fault(ctx, host, node, message);
    finding.primary(it.plugged, "the port that is plugged");
    if let Some(bound) = it.bound {
        finding.primary(bound, "what OVN says of it");
        let far = apart(ctx, bound.source, it.plugged.source);
        if let Some(seconds) = far.filter(|far| *far > ctx.settings.thresholds.capture_skew_s) {
            finding.no_surer_than(Confidence::Suspect);
            finding.note(format!(
                "the captures were taken {seconds:.0} s apart: it may have come or gone between them"
            ));
        }
    }
    if let Some(searched) = &it.searched {
        finding.rests_on_absence(searched.clone());
    }
    for other in rest {
        finding.also(ctx.subject(other.interface.id));
        if let Some(searched) = &other.searched {
            finding.absent(searched.clone());
        }
    }
    finding.next(format!("ovn-sbctl find Port_Binding logical_port={}", it.port));
    finding.next(format!(
        "ovs-vsctl --columns=name,ofport,external_ids list Interface {}",
        it.interface.name()
    ));
    finding.next("ovn-appctl -t ovn-controller inc-engine/recompute");
}
