use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::span::Evidence;
use tapline_topology::graph::{Netdev, NetdevKind, VmNic};
use tapline_topology::{EdgeKind, Topic, names};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;

declare_rule! {
    code: "VM-002",
    id: "vm-target-wrong-bridge",
    summary: "a running VM is plugged into another bridge than its XML says, or into none",
    severity: Error,
    confidence: Proven,
    page: "vm_target_wrong_bridge.md",
    layer: (L2Membership, 10),
    rank: 40,
    core: true,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [vm::vm_source_missing] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for nic in ctx.vm_nics() {
        let kind = nic.kind.as_ref().map_or("", |kind| kind.value.as_str());
        let (Some(target), Some(bridge)) = (&nic.data.target, &nic.data.bridge) else { continue };
        if !matches!(kind, "bridge" | "network") {
            continue;
        }
        match ctx.vm(nic.vm).and_then(|vm| vm.active) {
            Some(true) => {}
            Some(false) => {
                out.clean();
                continue;
            }
            None => {
                out.cannot_tell(nic.host, [Topic::Domains.command(&Netns::Root)]);
                continue;
            }
        }
        // That it does not exist at all is another rule's.
        let device = ctx.netdev_called(nic.host, &Netns::Root, &target.value);
        judge(ctx, out, nic, &target.value, &bridge.value, device);
    }
}

/// Where a device is plugged in.
#[derive(Debug)]
enum Plug {
    /// Into this bridge, by these words.
    Bridge(String, Vec<Evidence>),
    /// Into none, by complete lists of both sorts of bridges.
    None,
    /// Not told.
    Unknown(Vec<Need>),
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    target: &str,
    wanted: &str,
    device: Option<Item<'_, Netdev<'_>>>,
) {
    let host = nic.host;
    let plug = plugged(ctx, nic, target, wanted, device);
    let actual = match &plug {
        Plug::Unknown(missing) => {
            out.cannot_tell(host, missing.clone());
            return;
        }
        Plug::Bridge(actual, _) if same_bridge(ctx, nic, actual, wanted) => {
            out.clean();
            return;
        }
        Plug::Bridge(actual, evidence) => Some((actual, evidence)),
        Plug::None => None,
    };
    if !nic.live {
        // A VM that was edited while it runs differs from its configuration by design.
        let vm = ctx.vm(nic.vm).map_or("DOMAIN", |vm| vm.name());
        out.cannot_tell(host, [Need::about(Topic::DomainXml, vm)]);
        return;
    }
    let message = match actual {
        Some((actual, _)) => {
            format!("plugged into {actual} instead of {wanted}: the VM is on the wrong network")
        }
        None => format!("plugged into no bridge instead of {wanted}: the VM is cut off"),
    };
    let finding = out.fault(ctx, host, nic.id, message);
    if let Some(bridge) = &nic.data.bridge {
        finding.primary(bridge.evidence, "where it belongs");
    }
    match actual {
        Some((_, evidence)) => {
            for place in evidence {
                finding.primary(*place, "where it is");
            }
        }
        None => {
            if let Some(place) = device.and_then(|device| device.place()) {
                finding.primary(place, "no `master`");
            }
            let bridge = ctx.netdev_called(host, &Netns::Root, wanted);
            if let Some(place) = bridge.and_then(|bridge| bridge.place()) {
                finding.context(place, "the bridge that lacks it");
            }
        }
    }
    if let Some(state) = ctx.state_of(nic.vm) {
        finding.context(state.evidence, "the VM runs");
    }
    if ctx.topology.find_ovs_bridge(host, wanted).is_some() {
        finding.next(format!("ovs-vsctl iface-to-br {target}"));
    } else {
        finding.next(format!("ip link show master {wanted}"));
        finding.next(format!("ip link set {target} master {wanted}"));
    }
}

fn plugged(
    ctx: &Ctx<'_>,
    nic: Item<'_, VmNic<'_>>,
    target: &str,
    wanted: &str,
    device: Option<Item<'_, Netdev<'_>>>,
) -> Plug {
    let host = nic.host;
    if device.is_some_and(|device| ctx.is_disputed(device.id)) {
        return Plug::Unknown(vec![Topic::BridgeMembers.command(&Netns::Root)]);
    }
    if let Some(interface) = ctx.interface_called(host, target) {
        if interface.data.bridge.is_empty() {
            // A row of a table, without the table that says whose it is.
            return Plug::Unknown(vec![Topic::Ovs.command(&Netns::Root)]);
        }
        return Plug::Bridge(
            interface.data.bridge.to_string(),
            interface.place().into_iter().collect(),
        );
    }
    if let Some(device) = device
        && let Some((master, edge)) =
            ctx.topology.out(device.id, EdgeKind::EnslavedTo).into_iter().next()
        && let Some(master) = ctx.topology.node(master)
        && !names::is_ovs_datapath(&master.name)
    {
        let evidence = edge.witnesses.iter().map(|witness| witness.evidence).take(2).collect();
        return Plug::Bridge(master.name.to_string(), evidence);
    }
    let in_ovs = device
        .and_then(|device| device.data.master.as_ref())
        .is_some_and(|master| names::is_ovs_datapath(&master.value));
    let mut missing = ctx.missing(host, &Netns::Root, &[Topic::BridgeMembers]);
    if device.is_none() {
        missing.extend(ctx.missing(host, &Netns::Root, &[Topic::Links]));
        // The list is complete and it is not there: nothing to be plugged in.
        if missing.is_empty() {
            return Plug::Bridge(wanted.to_owned(), Vec::new());
        }
    }
    let ovs = nic.data.xml.and_then(|xml| xml.record.virtualport.as_ref());
    let ovs = ovs.is_some_and(|ov| ov.value == "openvswitch");
    // Whoever has it, the Linux bridge that it belongs in does not.
    let is_linux = ctx
        .netdev_called(host, &Netns::Root, wanted)
        .is_some_and(|bridge| bridge.kind == NetdevKind::Bridge);
    if in_ovs || ovs || !is_linux && ctx.runs_ovs(host) != Some(false) {
        missing.extend(ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
    if missing.is_empty() { Plug::None } else { Plug::Unknown(missing) }
}

/// Whether two names are of one bridge, or the first is a bridge that stands for the second by
/// the design of the software that plugged the VM in.
fn same_bridge(ctx: &Ctx<'_>, nic: Item<'_, VmNic<'_>>, actual: &str, wanted: &str) -> bool {
    if actual == wanted {
        return true;
    }
    // altnames.
    let root = &Netns::Root;
    let device = |name| ctx.topology.find_netdev(nic.host, root, name);
    if device(actual).is_some_and(|it| device(wanted) == Some(it)) {
        return true;
    }
    // A fake bridge is a port of the bridge that it is a VLAN of (ovs-vsctl(8), `add-br`): what is
    // plugged into it is a port of that VLAN.
    let tag_of = |port: &str| {
        let port = ctx.topology.find_ovs_port(nic.host, port);
        let port = port.and_then(|port| ctx.ovs_port(port)).filter(|port| port.bridge == actual)?;
        port.tag.as_ref().map(|tag| tag.value)
    };
    let target = nic.data.target.as_ref().map(|target| target.value.as_str());
    let is_fake = tag_of(wanted).is_some_and(|tag| target.and_then(tag_of) == Some(tag));
    if is_fake && ctx.interface_called(nic.host, wanted).is_some_and(|own| own.kind == "internal") {
        return true;
    }
    // A trunk port has a bridge of its own, and so has each port where os-vif says so; a
    // hypervisor's firewall puts one in front.
    ["tbr-", "pb", "fwbr"].iter().any(|prefix| actual.starts_with(prefix))
}
