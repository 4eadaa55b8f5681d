use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::libvirt::Network;
use tapline_core::span::{Evidence, SourceId};
use tapline_topology::Thing;

use crate::lint::{Ctx, Severity, Subject, Verdicts, declare_rule};

declare_rule! {
    code: "VM-008",
    id: "libvirt-network-dhcp-twice",
    summary: "two networks of libvirt have one bridge",
    severity: Error,
    confidence: Proven,
    page: "libvirt_network_dhcp_twice.md",
    layer: (L3, 155),
    rank: 770,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// A network, and its text.
type Described<'a> = (SourceId, &'a Network);

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let mut active: BTreeMap<(HostId, &str), bool> = BTreeMap::new();
    for (source, networks) in ctx.network_state_texts() {
        for network in networks {
            if let (Some(name), Some(state)) = (&network.name, &network.active) {
                active.insert((source.host, name.value.as_str()), state.value);
            }
        }
    }
    let mut bridges: BTreeMap<(HostId, &str), BTreeMap<&str, Described<'_>>> = BTreeMap::new();
    for (source, networks) in ctx.network_texts() {
        for network in networks {
            let (Some(name), Some(bridge)) = (&network.name, &network.bridge) else { continue };
            // A network over a bridge of the host, or one of Open vSwitch, makes none itself.
            let foreign = network.forward.as_ref().is_some_and(|mode| {
                matches!(
                    mode.value.as_str(),
                    "bridge" | "hostdev" | "passthrough" | "private" | "vepa"
                )
            });
            if foreign {
                continue;
            }
            let here = bridges.entry((source.host, bridge.value.as_str())).or_default();
            here.entry(name.value.as_str()).or_insert((source.id, network));
        }
    }
    for host in ctx.hosts() {
        let described = |name: &str| {
            bridges.iter().any(|((of, _), all)| *of == host && all.contains_key(name))
                || ctx.network_texts().any(|(source, all)| {
                    source.host == host
                        && all.iter().any(|it| it.name.as_ref().is_some_and(|it| it.value == name))
                })
        };
        let here = || active.keys().filter(|(of, _)| *of == host);
        // One network alone has its bridge for itself.
        for (_, name) in here().filter(|(_, name)| here().count() > 1 && !described(name)) {
            out.cannot_tell(host, [Need::command("virsh net-dumpxml").with(name)]);
        }
    }
    for ((host, bridge), networks) in bridges {
        let off = |name: &str| active.get(&(host, name)) == Some(&false);
        let all: Vec<(&str, Described<'_>)> =
            networks.iter().map(|(name, network)| (*name, *network)).collect();
        let [first, second, ..] = all.as_slice() else {
            out.clean();
            continue;
        };
        report(out, host, bridge, *first, *second, off(first.0) || off(second.0));
    }
}

fn report(
    out: &mut Verdicts,
    host: HostId,
    bridge: &str,
    (one, first): (&str, Described<'_>),
    (other, second): (&str, Described<'_>),
    off: bool,
) {
    let served =
        |network: &Network| network.addresses.iter().any(|address| !address.ranges.is_empty());
    let twice = served(first.1) && served(second.1);
    let consequence = match (off, twice) {
        (true, _) => "only one of them can be active",
        (false, true) => "two DHCP servers hand out addresses on it",
        (false, false) => "each sets it up in its own way",
    };
    let message = format!("the networks {one} and {other} are both on it: {consequence}");
    let device = Thing::Netdev { netns: Netns::Root, name: bridge.into() };
    let finding = out.fire(host, Subject::absent(device), message);
    for (name, (source, network)) in [(one, first), (other, second)] {
        if let Some(bridge) = &network.bridge {
            finding.primary(bridge.evidence(source), format!("the bridge of {name}"));
        }
        for address in network.addresses.iter().filter(|address| !address.ranges.is_empty()) {
            let at = Evidence { source, span: address.at };
            finding.context(at, format!("{name} serves DHCP here"));
        }
    }
    if off || !twice {
        finding.at_most(Severity::Warning);
    }
    finding.next(format!("virsh net-edit {other}   # <bridge name=…>: one of its own"));
    finding.next(format!("ps ax | grep 'dnsmasq.*/{one}\\|dnsmasq.*/{other}'"));
}
