use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::libvirt::DomainNic;
use tapline_core::span::{At, Evidence};
use tapline_topology::graph::{NetdevKind, Seen, VmNic};
use tapline_topology::{Presence, Topic, names};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "VM-006",
    id: "vm-source-missing",
    summary: "what a VM's NIC is to be plugged into is not there, or cannot carry it",
    severity: Error,
    confidence: Proven,
    page: "vm_source_missing.md",
    layer: (L2Device, 20),
    rank: 970,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [nic::uplink_link_down, bond::bond_degraded] by [Above],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for nic in ctx.vm_nics() {
        let Some(xml) = nic.data.xml else { continue };
        let Some(source) = Source::of(xml) else { continue };
        match ctx.vm(nic.vm).and_then(|vm| vm.active) {
            Some(true) if nic.live => {}
            // It needs its bridge to start; one that its manager makes for it at that time is not yet
            // there.
            Some(false) if is_made_by_hand(ctx, nic, xml) => {
                if let Source::Bridge(name) = source {
                    bridge(ctx, out, nic, xml, name);
                    continue;
                }
                out.clean();
                continue;
            }
            Some(true) => {
                // What was edited holds from the next start on.
                let vm = ctx.vm(nic.vm).map_or("DOMAIN", |vm| vm.name());
                out.cannot_tell(nic.host, [Need::about(Topic::DomainXml, vm)]);
                continue;
            }
            Some(false) => {
                out.clean();
                continue;
            }
            None => {
                out.cannot_tell(nic.host, [Topic::Domains.command(&Netns::Root)]);
                continue;
            }
        }
        match source {
            Source::Device(name) => direct(ctx, out, nic, xml, name),
            Source::Bridge(name) => bridge(ctx, out, nic, xml, name),
            Source::Socket(path) => socket(ctx, out, nic, xml, path),
        }
    }
}

/// Whether the bridge of a NIC is one that a person or the system makes, and not what runs the VM.
fn is_made_by_hand(ctx: &Ctx<'_>, nic: Item<'_, VmNic<'_>>, xml: Seen<'_, DomainNic>) -> bool {
    let is_of_nova = ctx
        .vm(nic.vm)
        .is_some_and(|vm| vm.data.nova_name.is_some() || vm.name().starts_with("instance-"));
    let is_managed = xml.record.bridge.as_ref().is_some_and(|bridge| {
        bridge.value.starts_with("qbr") || names::is_bridge_of_one_port(&bridge.value)
    });
    xml.record.kind.value == "bridge" && !is_of_nova && !is_managed
}

/// What a NIC is plugged into.
enum Source<'a> {
    /// A device that a macvtap is stacked on.
    Device(&'a At<Name>),
    /// A bridge.
    Bridge(&'a At<Name>),
    /// The socket of a switch in user space.
    Socket(&'a At<Name>),
}

impl<'a> Source<'a> {
    fn of(xml: Seen<'a, DomainNic>) -> Option<Self> {
        let nic = xml.record;
        match nic.kind.value.as_str() {
            "direct" => nic.source_dev.as_ref().map(Self::Device),
            // The live XML of a network has the bridge or device that it stands for.
            "bridge" | "network" => nic
                .bridge
                .as_ref()
                .map(Self::Bridge)
                .or_else(|| nic.source_dev.as_ref().map(Self::Device)),
            "vhostuser" => nic.source_dev.as_ref().map(Self::Socket),
            _ => None,
        }
    }
}

fn cite(ctx: &Ctx<'_>, finding: &mut Finding, nic: Item<'_, VmNic<'_>>, source: Evidence) {
    finding.primary(source, "what it is plugged into");
    if let Some(state) = ctx.state_of(nic.vm) {
        let runs = ctx.vm(nic.vm).and_then(|vm| vm.active) == Some(true);
        finding.context(state.evidence, if runs { "the VM runs" } else { "the VM is off" });
    }
    if let Some(vm) = ctx.vm(nic.vm) {
        finding.next(format!("virsh domiflist {}", vm.name()));
    }
}

/// A macvtap lives on its device, and with it.
fn direct(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    xml: Seen<'_, DomainNic>,
    name: &At<Name>,
) {
    let host = nic.host;
    let at = name.evidence(xml.source);
    let device = match ctx.topology.netdev_presence(host, &Netns::Root, &name.value) {
        Presence::Unknown(missing) => return out.cannot_tell(host, missing),
        Presence::No(searched) => {
            let message =
                format!("{} does not exist: the VM's NIC has nothing to send through", name.value);
            let finding = out.fault(ctx, host, nic.id, message);
            cite(ctx, finding, nic, at);
            finding.rests_on_absence(searched);
            finding.next(format!("ip -d link show {}", name.value));
            return;
        }
        Presence::Yes(id) => ctx.netdev(id),
    };
    let Some(device) = device else { return };
    if device.usable() == Some(false) {
        let how = if device.admin_up() == Some(false) { "is down" } else { "has no carrier" };
        let message = format!("{} {how}: the VM's NIC is as dead as it", name.value);
        let finding = out.fault(ctx, host, nic.id, message);
        cite(ctx, finding, nic, at);
        if let Some(flags) = &device.data.flags {
            finding.primary(flags.evidence, "its state");
        }
        finding.next(format!("ip -d link show {}", name.value));
        return;
    }
    let master = ctx.master(device.id).filter(|master| master.kind == NetdevKind::Bridge);
    let switch = master
        .map(|master| master.name())
        .or_else(|| ctx.interface_of(device.id).map(|interface| interface.data.bridge.as_str()));
    let Some(switch) = switch.filter(|switch| *switch != device.name()) else {
        out.clean();
        return;
    };
    let message = format!(
        "{} is a port of {switch}: the VM and what is in that bridge cannot reach each other",
        name.value
    );
    let finding = out.fault(ctx, host, nic.id, message);
    finding.at_most(Severity::Info).no_surer_than(Confidence::Strong);
    cite(ctx, finding, nic, at);
    if let Some(place) = device.place() {
        finding.primary(place, "a port of the bridge");
    }
    finding.next(format!("ip -d link show {}", name.value));
}

fn bridge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    xml: Seen<'_, DomainNic>,
    name: &At<Name>,
) {
    let host = nic.host;
    // A bridge of OVS in user space needs no device of its name.
    if ctx.topology.find_ovs_bridge(host, &name.value).is_some() {
        out.clean();
        return;
    }
    let searched = match ctx.topology.netdev_presence(host, &Netns::Root, &name.value) {
        Presence::Yes(_) => return out.clean(),
        Presence::Unknown(missing) => return out.cannot_tell(host, missing),
        Presence::No(searched) => searched,
    };
    // The bridge of a trunk port comes and goes with the port.
    let switch = xml
        .record
        .virtualport
        .as_ref()
        .is_some_and(|virtualport| virtualport.value == "openvswitch");
    if switch || ctx.runs_ovs(host) != Some(false) {
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            return out.cannot_tell(host, missing);
        }
    }
    // Where the tap is in another bridge, that one is the question (VM-002).
    let target = nic.data.target.as_ref().map_or("", |target| target.value.as_str());
    let elsewhere = ctx.interface_called(host, target).is_some()
        || ctx
            .netdev_called(host, &Netns::Root, target)
            .is_some_and(|device| ctx.master(device.id).is_some());
    if elsewhere {
        out.clean();
        return;
    }
    let runs = ctx.vm(nic.vm).and_then(|vm| vm.active) == Some(true);
    let consequence =
        if runs { "the VM's NIC is plugged into nothing" } else { "the VM does not start" };
    let message = format!("there is no bridge {}: {consequence}", name.value);
    let finding = out.fault(ctx, host, nic.id, message);
    if !runs {
        finding.at_most(Severity::Warning);
    }
    cite(ctx, finding, nic, name.evidence(xml.source));
    finding.rests_on_absence(searched);
    if switch && let Some(searched) = defs::searched(ctx, host, Topic::Ovs, &name.value) {
        finding.absent(searched);
    }
    finding.next(format!("ip -d link show {}", name.value));
    finding.next("ip -br link show type bridge");
}

/// A port of OVS in user space: it has to be there, on a bridge of user space, with the other role
/// than the VM at the socket.
fn socket(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    xml: Seen<'_, DomainNic>,
    path: &At<Name>,
) {
    let host = nic.host;
    let at = path.evidence(xml.source);
    let name = path.value.rsplit('/').next().unwrap_or_default();
    let by_path = || {
        ctx.ovs_interfaces_of(host).find(|interface| {
            interface
                .data
                .option("vhost-server-path")
                .is_some_and(|option| option.value == path.value)
        })
    };
    let Some(port) = ctx.interface_called(host, name).or_else(by_path) else {
        // Other switches use such sockets too; the name of neutron's is that of an OVS port.
        if !name.starts_with("vhu") || names::port_prefix(name).is_none() {
            return;
        }
        let missing = ctx.missing(host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            return out.cannot_tell(host, missing);
        }
        let user_space =
            ctx.ovs_bridges_of(host).any(|bridge| !defs::is_kernel_datapath(bridge.data));
        if !user_space {
            return out.clean();
        }
        let message = format!("OVS has no port {name}: nobody answers at the VM's socket");
        let finding = out.fault(ctx, host, nic.id, message);
        cite(ctx, finding, nic, at);
        if let Some(searched) = defs::searched(ctx, host, Topic::Ovs, name) {
            finding.rests_on_absence(searched);
        }
        finding.next(format!("ovs-vsctl get interface {name} type options error"));
        return;
    };
    let bridge = ctx.bridge_called(host, &port.data.bridge);
    let mode = xml.record.source_mode.as_ref();
    let wanted = match port.data.kind.as_str() {
        "dpdkvhostuser" => Some("client"),
        "dpdkvhostuserclient" => Some("server"),
        _ => None,
    };
    let message = if let Some(bridge) = bridge.filter(|bridge| {
        wanted.is_some() && bridge.datapath_type.is_some() && defs::is_kernel_datapath(bridge.data)
    }) {
        format!(
            "its port {} is on {}, a bridge of the kernel: only one of user space can serve it",
            port.name(),
            bridge.name()
        )
    } else if let (Some(wanted), Some(mode)) = (wanted, mode)
        && mode.value != wanted
    {
        format!(
            "the VM is {} at the socket and so is its port {} ({}): they never meet",
            mode.value,
            port.name(),
            port.data.kind
        )
    } else {
        out.clean();
        return;
    };
    let finding = out.fault(ctx, host, nic.id, message);
    cite(ctx, finding, nic, mode.map_or(at, |mode| mode.evidence(xml.source)));
    let kind = port.data.kind_evidence.or_else(|| port.place());
    if let Some(kind) = kind {
        finding.primary(kind, "the port of OVS");
    }
    if let Some(datapath) = bridge.and_then(|bridge| bridge.data.datapath_type.as_ref()) {
        finding.context(datapath.evidence, "its bridge");
    }
    finding.next(format!("ovs-vsctl get interface {} type options error", port.name()));
}
