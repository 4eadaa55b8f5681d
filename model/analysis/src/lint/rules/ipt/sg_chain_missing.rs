use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::netfilter::NetfilterRule;
use tapline_core::span::Evidence;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::VmNic;
use tapline_topology::{Topic, names};

use crate::lint::{Ctx, Other, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::netfilter::Table;

declare_rule! {
    code: "IPT-003",
    id: "sg-chain-missing",
    summary: "the port of a running VM has no rules of its security groups",
    severity: Error,
    confidence: Strong,
    page: "sg_chain_missing.md",
    layer: (Firewall, 30),
    rank: 880,
    about: [Neutron],
    cuts: [],
    asks: [],
    after: [
        [vm::vm_target_missing] by [Port],
        [vm::vm_target_wrong_bridge] by [Port],
        [lbr::membership_disagreement] by [Port],
        [lbr::hybrid_chain_broken] by [Port],
        [vm::vm_target_missing] if Population by [Port],
        [ipt::bridge_nf_off] by [Host],
        // A port that the agent has not wired has no rules yet.
        [ovs::ovs_dead_vlan] by [Port],
    ],
}

/// The chain that all ports of neutron's hybrid firewall pass.
const SG_CHAIN: &str = "neutron-openvswi-sg-chain";

/// The chain by which frames of ports come there.
const FORWARD_CHAIN: &str = "neutron-openvswi-FORWARD";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let filters = ctx.filters();
    let mut ports: BTreeMap<HostId, Vec<Item<'_, VmNic<'_>>>> = BTreeMap::new();
    for nic in ctx.vm_nics().filter(|nic| is_hybrid(ctx, *nic)) {
        ports.entry(nic.host).or_default().push(nic);
    }
    for host in ctx.hosts() {
        let nics = ports.remove(&host).unwrap_or_default();
        let filter = filters.table(host, &Netns::Root, "filter");
        match filter {
            Some(table) => {
                if let Some(filter) = Filter::of(table) {
                    if !unreached(ctx, out, &nics, &filter) {
                        for nic in nics {
                            judge(ctx, out, nic, &filter);
                        }
                    }
                    leftovers(ctx, out, host, &filter);
                } else if !nics.is_empty() {
                    // Another firewall works here.
                    out.clean();
                }
            }
            None => {
                for _ in nics {
                    out.cannot_tell(host, [Topic::Netfilter.command(&Netns::Root)]);
                }
            }
        }
    }
}

/// Whether it is the NIC of a VM that runs, with a bridge of its own before the switch.
fn is_hybrid(ctx: &Ctx<'_>, nic: Item<'_, VmNic<'_>>) -> bool {
    let runs = ctx.vm(nic.vm).is_some_and(|vm| vm.active == Some(true));
    let Some(target) = &nic.data.target else { return false };
    let by_xml = nic.data.bridge.as_ref().is_some_and(|bridge| bridge.value.starts_with("qbr"));
    let device = ctx.netdev_called(nic.host, &Netns::Root, &target.value);
    let by_kernel = device
        .and_then(|device| ctx.master(device.id))
        .is_some_and(|master| master.name().starts_with("qbr"));
    // A device that is missing is a fault of its own.
    runs && device.is_some() && (by_xml || by_kernel)
}

/// What the filter does with devices of ports.
struct Filter<'a> {
    table: Table<'a>,
    /// Port ids that any rule of neutron's chains names.
    named: BTreeMap<&'a str, Evidence>,
    /// Port ids that the common chain sends to chains of their own.
    sorted: BTreeSet<&'a str>,
    /// Port ids that are let pass as they are.
    accepted: BTreeSet<&'a str>,
}

impl<'a> Filter<'a> {
    /// `None` where neutron's hybrid firewall does not work here.
    fn of(table: Table<'a>) -> Option<Self> {
        table.data.chains.iter().find(|chain| chain.name == SG_CHAIN)?;
        let mut all = Self {
            table,
            named: BTreeMap::new(),
            sorted: BTreeSet::new(),
            accepted: BTreeSet::new(),
        };
        for rule in
            table.data.rules.iter().filter(|rule| rule.chain.starts_with("neutron-openvswi-"))
        {
            for port in ports_of(rule) {
                let evidence = Evidence { source: table.source, span: rule.at };
                all.named.entry(port).or_insert(evidence);
                let target = rule.target.as_ref().map_or("", |target| target.value.as_str());
                if rule.chain == SG_CHAIN && target.starts_with("neutron-openvswi-") {
                    all.sorted.insert(port);
                }
                if target == "ACCEPT" {
                    all.accepted.insert(port);
                }
            }
        }
        Some(all)
    }
}

/// Whether nothing leads from the kernel's own chain to those of the ports; that is told of the
/// first, whatever the chains hold.
fn unreached(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nics: &[Item<'_, VmNic<'_>>],
    filter: &Filter<'_>,
) -> bool {
    let Some((first, rest)) = nics.split_first() else { return false };
    let Table { source, data: table } = filter.table;
    let has_chain = table.chains.iter().find(|chain| chain.name == FORWARD_CHAIN);
    let is_led = table.rules.iter().any(|rule| {
        rule.target.as_ref().is_some_and(|target| target.value.as_str() == FORWARD_CHAIN)
    });
    // The kernel's own chains are printed first: where rules of others follow, theirs were seen.
    let is_seen = table.rules.iter().any(|rule| rule.chain.starts_with("neutron-openvswi-"));
    let Some(chain) = has_chain.filter(|_| is_seen && !is_led) else { return false };
    let message = format!(
        "no rule of FORWARD leads to {FORWARD_CHAIN}: what its ports send and get is let pass, whatever their security groups say"
    );
    let finding = out.fault(ctx, first.host, first.id, message);
    finding.primary(Evidence { source, span: chain.at }, "the chain of the ports");
    for nic in rest {
        finding.also(ctx.subject(nic.id));
    }
    let records = ctx.topology.snapshot.reading(source).map_or(0, |reading| reading.records.len());
    finding.rests_on_absence(Searched {
        keys: vec![format!("-A FORWARD -j {FORWARD_CHAIN}")],
        sources: vec![(source, records)],
        namespaces: 0,
    });
    finding.next(format!("iptables-save -t filter | grep {FORWARD_CHAIN}"));
    finding.next("systemctl restart neutron-openvswitch-agent");
    true
}

/// The ports whose devices a rule names.
fn ports_of(rule: &NetfilterRule) -> impl Iterator<Item = &str> {
    rule.matches.iter().filter_map(|match_| names::port_prefix(match_))
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, nic: Item<'_, VmNic<'_>>, filter: &Filter<'_>) {
    let Some(target) = &nic.data.target else { return };
    let device = target.value.as_str();
    let Some(port) = names::port_prefix(device) else { return };
    if filter.sorted.contains(port) || filter.accepted.contains(port) {
        out.clean();
        return;
    }
    let message = match filter.named.get(port) {
        Some(_) => format!(
            "{SG_CHAIN} has no rule for {device}: everything that reaches it is let pass, whatever its security groups say"
        ),
        None => format!(
            "no rule of the security groups names {device}: its traffic is not filtered, or all of it is dropped"
        ),
    };
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.primary(target.evidence, "the device of a VM that runs");
    if let Some(state) = ctx.state_of(nic.vm) {
        finding.context(state.evidence, "its VM");
    }
    if let Some(evidence) = filter.named.get(port) {
        finding.primary(*evidence, "leads into the common chain");
    }
    let chain = filter.table.data.chains.iter().find(|chain| chain.name == SG_CHAIN);
    if let Some(chain) = chain {
        let evidence = Evidence { source: filter.table.source, span: chain.at };
        finding.context(evidence, "other ports are filtered here");
    }
    let source = filter.table.source;
    let records = ctx.topology.snapshot.reading(source).map_or(0, |reading| reading.records.len());
    finding.rests_on_absence(Searched {
        keys: vec![format!("{device} in chains of neutron")],
        sources: vec![(source, records)],
        namespaces: 0,
    });
    finding.next(format!("iptables-save | grep {port}"));
    finding.next("systemctl restart neutron-openvswitch-agent");
}

/// Chains of ports that are gone: neither a device of any namespace nor the switch has them. Ports
/// of DHCP servers and routers are let pass here too, and their devices are in namespaces.
fn leftovers(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, filter: &Filter<'_>) {
    let whole = [Topic::Links, Topic::Ovs].iter().all(|it| ctx.complete(host, &Netns::Root, *it));
    if !whole {
        return;
    }
    let mut devices: BTreeSet<&str> =
        ctx.netdevs_of(host).filter_map(|device| names::port_prefix(&device.node.name)).collect();
    devices.extend(
        ctx.ovs_interfaces_of(host)
            .filter_map(|interface| names::port_prefix(&interface.node.name)),
    );
    let gone: Vec<_> = filter.named.iter().filter(|(port, _)| !devices.contains(*port)).collect();
    let Some((first, evidence)) = gone.first() else {
        out.clean();
        return;
    };
    let message = format!(
        "the filter has rules for {} ports whose devices are gone: leftovers of VMs that were deleted or moved",
        gone.len()
    );
    let finding = out.fire(host, Other::OrphanedRules, message);
    finding.at_most(Severity::Info);
    finding.primary(**evidence, format!("rules for port {first}"));
    let key = format!("a device of port {first}");
    finding.rests_on_absence(ctx.searched(host, &Netns::Root, Topic::Links, &key));
    finding.absent(ctx.searched(host, &Netns::Root, Topic::Ovs, &key));
    for (port, _) in gone.iter().skip(1) {
        finding.also(Other::NeutronPort { id: port.to_string() });
    }
    finding.note(format!("ports: {}", defs::list(gone.iter().map(|(port, _)| **port), 5)));
    finding.next("systemctl restart neutron-openvswitch-agent");
}
