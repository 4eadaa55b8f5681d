use std::collections::BTreeMap;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::ovs::OvsRow;
use tapline_topology::graph::{NodeData, OvsInterface};
use tapline_topology::{Presence, Topic};

use crate::lint::{Ctx, Finding, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::{defs, overlay};

declare_rule! {
    code: "TUN-010",
    id: "tun-datapath-device-missing",
    summary: "OVS has tunnels, and the kernel does not have the device that carries them",
    severity: Warning,
    confidence: Suspect,
    page: "tun_datapath_device_missing.md",
    layer: (Tunnel, 80),
    rank: 590,
    about: [],
    cuts: [BehindSwitch],
    asks: [],
    after: [
        [ovs::ovs_daemon_down] by [Host],
        [tun::tun_udp_port_conflict] by [Host],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let versions = versions(ctx);
    for host in ctx.hosts() {
        let mut devices: BTreeMap<String, Vec<Item<'_, OvsInterface>>> = BTreeMap::new();
        for interface in ctx.ovs_interfaces_of(host) {
            let kernel = ctx
                .bridge_called(host, &interface.data.bridge)
                .is_some_and(|bridge| defs::is_kernel_datapath(bridge.data));
            if let Some(device) = overlay::carrier(interface)
                && kernel
                && interface.error.is_none()
            {
                devices.entry(device).or_default().push(interface);
            }
        }
        for (device, tunnels) in devices {
            judge(ctx, out, host, &device, &tunnels, versions.get(&host).copied());
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}

/// Version of OVS of each host, as (major, minor).
fn versions(ctx: &Ctx<'_>) -> BTreeMap<HostId, (u32, u32)> {
    let mut all = BTreeMap::new();
    for (source, rows) in ctx.ovs_texts() {
        for row in rows {
            let OvsRow::OpenVswitch(database) = &row.row else { continue };
            let version = database.version.as_ref().and_then(|it| version(it));
            if let Some(version) = version {
                all.entry(source.host).or_insert(version);
            }
        }
    }
    all
}

/// `2.13.3` → (2, 13).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split(|text: char| !text.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// Kernel of a host, as (major, minor).
fn kernel(ctx: &Ctx<'_>, host: HostId) -> Option<(u32, u32)> {
    let node = ctx.topology.host_node(host).and_then(|node| ctx.topology.node(node))?;
    match &node.data {
        NodeData::Host(it) => version(it.kernel.as_ref()?.value.as_str()),
        _ => None,
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    host: HostId,
    device: &str,
    tunnels: &[Item<'_, OvsInterface>],
    ovs: Option<(u32, u32)>,
) {
    let Some((first, rest)) = tunnels.split_first() else { return };
    let found = ctx.topology.netdev_presence(host, &Netns::Root, device);
    let (message, evidence, searched) = match found {
        Presence::Unknown(missing) => return out.cannot_tell(host, missing),
        Presence::Yes(id) => {
            let Some(down) = ctx.netdev(id).filter(|device| device.admin_up() == Some(false))
            else {
                return out.clean();
            };
            let message =
                format!("{device}, which carries the tunnels, is down: none of them works");
            (message, down.data.flags.as_ref().map(|flag| flag.evidence), None)
        }
        Presence::No(searched) => {
            // Old kernels and old OVS carried tunnels without a device that one can see.
            let old = ovs.is_some_and(|ov| ov < (2, 7))
                || kernel(ctx, host).is_some_and(|kernel| kernel < (4, 3));
            if old {
                return out.clean();
            }
            if ovs.is_none() {
                // Where the database has no version, the switch never ran.
                let missing = ctx.missing(host, &Netns::Root, &[Topic::OvsDatabase]);
                if missing.is_empty() {
                    out.clean();
                } else {
                    out.cannot_tell(host, missing);
                }
                return;
            }
            let message = format!(
                "the kernel has no {device}, which would carry the tunnels: none of them works"
            );
            (message, None, Some(searched))
        }
    };
    let finding = out.fault(ctx, host, first.id, message);
    if let Some(at) = first.data.kind_evidence.or_else(|| first.place()) {
        finding.primary(at, "a tunnel of OVS");
    }
    if let Some(at) = evidence {
        finding.primary(at, "its state");
    }
    if let Some(searched) = searched {
        finding.rests_on_absence(searched);
    }
    finding.also.extend(rest.iter().map(|it| ctx.subject(it.id)));
    advise(finding, device, first.data.kind.as_str());
}

fn advise(finding: &mut Finding, device: &str, kind: &str) {
    finding.next(format!("ip -d link show {device}"));
    finding.next("ovs-appctl dpif/show");
    finding.next(format!(
        "modprobe openvswitch vport-{kind}; grep -i {kind} /var/log/openvswitch/ovs-vswitchd.log"
    ));
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_are_two_numbers() {
        assert_eq!(version("2.13.3"), Some((2, 13)));
        assert_eq!(version("3.10.0-1160.el7.x86_64"), Some((3, 10)));
        assert_eq!(version("3.4.0-2.fc41"), Some((3, 4)));
        assert_eq!(version("unknown"), None);
        assert_eq!(version("3"), None);
    }
}
