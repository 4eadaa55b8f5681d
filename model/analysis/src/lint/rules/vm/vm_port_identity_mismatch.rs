use tapline_core::Name;
use tapline_core::ids::{Mac, Netns};
use tapline_core::need::Need;
use tapline_topology::graph::{Fact, OvsInterface, VmNic};
use tapline_topology::{Topic, names};

use crate::lint::{Confidence, Ctx, Finding, Severity, Verdicts, declare_rule};
use tapline_network::{Item, l2};

declare_rule! {
    code: "VM-004",
    id: "vm-port-identity-mismatch",
    summary: "a running VM's XML and OVS disagree about which port is plugged",
    severity: Error,
    confidence: Proven,
    page: "vm_port_identity_mismatch.md",
    layer: (L2Membership, 90),
    rank: 360,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [ovs::ovs_iface_error] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for nic in ctx.vm_nics() {
        let Some(interface) = interface(ctx, nic) else { continue };
        match ctx.vm(nic.vm).and_then(|vm| vm.active) {
            Some(true) if nic.live => {
                vlans(ctx, out, nic, interface);
                match socket_difference(nic, interface) {
                    Some(difference) => report(ctx, out, nic, interface, &[difference]),
                    None => judge(ctx, out, nic, interface),
                }
            }
            Some(true) => {
                // What was edited holds from the next start on.
                let vm = ctx.vm(nic.vm).map_or("DOMAIN", |vm| vm.name());
                out.cannot_tell(nic.host, [Need::about(Topic::DomainXml, vm)]);
            }
            Some(false) => out.clean(),
            None => out.cannot_tell(nic.host, [Topic::Domains.command(&Netns::Root)]),
        }
    }
}

/// The OVS interface of a NIC: its tap, or the end of the hybrid chain in the switch. Where a tap
/// has a bridge of its own, the patch to it carries the identity; it is left out.
fn interface<'a>(ctx: &Ctx<'a>, nic: Item<'a, VmNic<'a>>) -> Option<Item<'a, OvsInterface>> {
    let target = nic.data.target.as_ref()?;
    let own = ctx.interface_called(nic.host, &target.value);
    let hybrid = || {
        let bridge = nic.data.bridge.as_ref().filter(|bridge| bridge.value.starts_with("qbr"))?;
        let port = names::port_prefix(&bridge.value)?;
        ctx.interface_called(nic.host, &format!("qvo{port}"))
    };
    own.or_else(hybrid)
}

/// One thing on which two texts differ.
struct Difference<'a> {
    what: String,
    in_xml: Option<(tapline_core::span::Evidence, &'static str)>,
    in_ovs: &'a Fact<Name>,
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    interface: Item<'_, OvsInterface>,
) {
    let value =
        |key: &str| interface.data.external_ids.iter().find(|(it, _)| it == key).map(|(_, it)| it);
    let known = ["iface-id", "attached-mac", "vm-id", "vm-uuid", "iface-status"];
    if known.iter().all(|known| value(known).is_none()) {
        let missing = ctx.missing(nic.host, &Netns::Root, &[Topic::OvsInterfaces]);
        if missing.is_empty() {
            // A switch without neutron: nothing is said, so nothing differs.
            out.clean();
        } else {
            out.cannot_tell(nic.host, missing);
        }
        return;
    }
    let mut all: Vec<Difference<'_>> = Vec::new();
    if let Some(port) = value("iface-id") {
        all.extend(of_port(nic, interface.name(), port));
    }
    if let (Some(attached), Some(mac)) = (value("attached-mac"), &nic.data.mac)
        && attached.value.parse::<Mac>().is_ok_and(|parsed| parsed != mac.value)
    {
        all.push(Difference {
            what: format!("MAC {}, there {}", mac.value, attached.value),
            in_xml: Some((mac.evidence, "the MAC in the XML")),
            in_ovs: attached,
        });
    }
    let uuid = ctx.vm(nic.vm).and_then(|vm| vm.data.uuid.as_ref());
    for key in ["vm-id", "vm-uuid"] {
        // The nil UUID says nothing of the VM.
        let there = value(key).filter(|it| it.value.bytes().any(|it| !matches!(it, b'0' | b'-')));
        if let (Some(there), Some(uuid)) = (there, uuid)
            && !there.value.eq_ignore_ascii_case(&uuid.value)
        {
            all.push(Difference {
                what: format!("VM {}, there {}", uuid.value, there.value),
                in_xml: Some((uuid.evidence, "the VM by its XML")),
                in_ovs: there,
            });
        }
    }
    // Until a migration is over, the port is inactive on the side where the VM is paused.
    let state = ctx.state_of(nic.vm);
    let runs = state.is_none_or(|state| state.value == "running");
    if let Some(status) = value("iface-status").filter(|value| runs && value.value != "active") {
        all.push(Difference {
            what: format!("an active port, there iface-status {}", status.value),
            in_xml: None,
            in_ovs: status,
        });
    }
    if all.is_empty() {
        out.clean();
        return;
    }
    report(ctx, out, nic, interface, &all);
}

/// The socket of vhost-user: qemu and the switch have to open one path, one of them as server
/// (`vhost-server-path` of `dpdkvhostuserclient`).
fn socket_difference<'a>(
    nic: Item<'_, VmNic<'_>>,
    interface: Item<'a, OvsInterface>,
) -> Option<Difference<'a>> {
    let xml = nic.data.xml.filter(|_| interface.kind == "dpdkvhostuserclient")?;
    let own = xml.record.source_dev.as_ref()?;
    let there = &data_of(interface, "vhost-server-path")?.1;
    // `/var/run` is a link to `/run` on every distribution of today.
    let canonical = |path: &str| path.strip_prefix("/var").unwrap_or(path).to_owned();
    if !own.value.starts_with('/') || canonical(&own.value) == canonical(&there.value) {
        return None;
    }
    Some(Difference {
        what: format!("its socket at {}, there {}", own.value, there.value),
        in_xml: Some((own.evidence(xml.source), "where qemu opens it")),
        in_ovs: there,
    })
}

/// An option of an interface with its place.
fn data_of<'a>(interface: Item<'a, OvsInterface>, key: &str) -> Option<&'a (Name, Fact<Name>)> {
    let data: &'a OvsInterface = interface.data;
    data.options.iter().find(|(name, _)| name == key)
}

fn report(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    interface: Item<'_, OvsInterface>,
    all: &[Difference<'_>],
) {
    let differences: Vec<&str> = all.iter().map(|it| it.what.as_str()).collect();
    let socket = interface.kind == "dpdkvhostuserclient";
    let (consequence, column) =
        if socket && differences.iter().all(|difference| difference.contains("socket")) {
            ("the two never meet, and the VM is cut off", "options")
        } else {
            ("the agent wires another port than the VM uses", "external_ids")
        };
    let message =
        format!("the VM has {} ({}): {consequence}", differences.join("; "), interface.name());
    let finding = out.fault(ctx, nic.host, nic.id, message);
    cite(ctx, finding, nic, all);
    finding.next(format!("ovs-vsctl get interface {} {column}", interface.name()));
    if let Some(vm) = ctx.vm(nic.vm) {
        finding.next(format!("virsh domiflist {}", vm.name()));
    }
}

/// libvirt gives the port the VLANs of the XML when it plugs it: a port that lacks one was changed
/// since.
fn vlans(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    nic: Item<'_, VmNic<'_>>,
    interface: Item<'_, OvsInterface>,
) {
    let own = nic.data.target.as_ref().is_some_and(|target| target.value == interface.name());
    let xml = nic.data.xml.filter(|xml| own && !xml.record.vlans.is_empty());
    let Some(xml) = xml else { return };
    let port = ctx.topology.find_ovs_port(nic.host, &interface.data.port);
    let Some(port) = port.and_then(|port| ctx.ovs_port(port)) else { return };
    // What the guest sends untagged gets the tag of an access port; a trunk takes tagged frames.
    let carried = |vlan: u16| match l2::access_vlan(port.data) {
        Some(tag) => !xml.record.vlan_trunk && tag == vlan,
        None => xml.record.vlan_trunk && l2::carries(port.data, vlan),
    };
    let lacking: Vec<_> = xml.record.vlans.iter().filter(|vlan| !carried(vlan.value)).collect();
    let Some(first) = lacking.first() else {
        out.clean();
        return;
    };
    let list: Vec<String> = lacking.iter().map(|vlan| vlan.value.to_string()).collect();
    let message = format!(
        "the VM's XML has VLAN {} for {}, and the port in OVS does not carry it: such frames are lost",
        list.join(", "),
        interface.name()
    );
    let finding = out.fault(ctx, nic.host, nic.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
    finding.primary(first.evidence(xml.source), "the VLAN in the XML");
    let tag = port.data.tag.as_ref().map(|tag| tag.evidence);
    let trunk = port.data.trunks.first().map(|trunk| trunk.evidence);
    if let Some(place) = tag.or(trunk).or_else(|| port.place()) {
        finding.primary(place, "the port in OVS");
    }
    finding.next(format!("ovs-vsctl list port {}", port.name()));
}

/// The neutron port: by the XML, or, where the XML has none (hybrid), by the name in the switch.
fn of_port<'a>(
    nic: Item<'a, VmNic<'a>>,
    interface: &str,
    port: &'a Fact<Name>,
) -> Option<Difference<'a>> {
    if let Some(own) = &nic.data.interface_id {
        let same = own.value.eq_ignore_ascii_case(&port.value);
        return (!same).then(|| Difference {
            what: format!("port {}, there {}", own.value, port.value),
            in_xml: Some((own.evidence, "the port in the XML")),
            in_ovs: port,
        });
    }
    let own = names::port_prefix(interface)?;
    let same = port.value.to_ascii_lowercase().starts_with(&own.to_ascii_lowercase());
    let named = nic.data.bridge.as_ref().or(nic.data.target.as_ref());
    (!same).then(|| Difference {
        what: format!("port {own}…, there {}", port.value),
        in_xml: named.map(|named| (named.evidence, "the port in a name of the XML")),
        in_ovs: port,
    })
}

fn cite(ctx: &Ctx<'_>, finding: &mut Finding, nic: Item<'_, VmNic<'_>>, all: &[Difference<'_>]) {
    for it in all {
        if let Some((evidence, label)) = it.in_xml {
            finding.primary(evidence, label);
        }
        finding.primary(it.in_ovs.evidence, "what OVS has");
    }
    if let Some(state) = ctx.state_of(nic.vm) {
        finding.context(state.evidence, "the VM runs");
    }
}
