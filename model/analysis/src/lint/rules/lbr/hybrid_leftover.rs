use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::Netdev;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Severity, Verdicts, declare_rule};
use tapline_network::defs;
use tapline_network::{Item, User};

declare_rule! {
    code: "LBR-005",
    id: "hybrid-leftover",
    summary: "a bridge of a hybrid port belongs to no VM",
    severity: Warning,
    confidence: Strong,
    page: "hybrid_leftover.md",
    layer: (TagsAndFlows, 120),
    rank: 800,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [OrphanWarn],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut left: BTreeMap<(HostId, bool), Vec<Leftover<'_>>> = BTreeMap::new();
    for bridge in ctx.netdevs() {
        let Some(port) = names::port_prefix(bridge.name())
            .filter(|_| bridge.name().starts_with("qbr") && bridge.netns().is_root())
        else {
            continue;
        };
        let host = bridge.host;
        let tap = format!("tap{port}");
        match ctx.user_of(host, &tap) {
            // A VM that is off keeps its bridge where libvirt alone runs it.
            User::Running(_) | User::Off(_) => out.clean(),
            User::Unknown(missing) => out.cannot_tell(host, missing),
            User::Nobody => {
                let tap = ctx.netdev_called(host, &Netns::Root, &tap);
                // Some process holds it: a VM that libvirt does not know.
                if tap.is_some_and(|tap| tap.carrier() == Some(true)) {
                    out.clean();
                    continue;
                }
                let tag = live_tag(ctx, host, &format!("qvo{port}"));
                left.entry((host, tag.is_some())).or_default().push(Leftover { bridge, port, tag });
            }
        }
    }
    for ((host, bound), all) in left {
        report(ctx, out, host, bound, &all);
    }
}

struct Leftover<'a> {
    bridge: Item<'a, Netdev<'a>>,
    port: &'a str,
    /// The VLAN that its port still has.
    tag: Option<Evidence>,
}

fn live_tag(ctx: &Ctx<'_>, host: HostId, port: &str) -> Option<Evidence> {
    let port = ctx.ovs_port(ctx.topology.find_ovs_port(host, port)?)?;
    port.data.tag.as_ref().filter(|tag| tag.value != defs::DEAD_VLAN).map(|tag| tag.evidence)
}

fn report(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, bound: bool, all: &[Leftover<'_>]) {
    let Some((first, rest)) = all.split_first() else { return };
    let message = if bound {
        "belongs to no VM of this host, and its port still has a VLAN: cleaning up was skipped"
    } else {
        "belongs to no VM of this host: cleaning up was skipped"
    };
    let finding = out.fault(ctx, host, first.bridge.id, message);
    // From so many on cleaning up does not work on this host.
    let many = usize::try_from(ctx.settings.thresholds.orphan_warn).unwrap_or(usize::MAX);
    if !bound && all.len() < many {
        finding.at_most(Severity::Info);
    }
    if let Some(place) = first.bridge.place() {
        finding.primary(place, "the leftover");
    }
    if let Some(tag) = first.tag {
        finding.primary(tag, "its VLAN");
    }
    finding.rests_on_absence(ctx.searched(
        host,
        &Netns::Root,
        Topic::DomainXml,
        &format!("tap{0}, qbr{0}", first.port),
    ));
    for other in rest {
        finding.also(ctx.subject(other.bridge.id));
    }
    finding.next(format!("openstack port list --long | grep {}", first.port));
    finding.next(format!(
        "ip link del qvb{0}; ip link del qbr{0}; ovs-vsctl --if-exists del-port br-int qvo{0}",
        first.port
    ));
}
