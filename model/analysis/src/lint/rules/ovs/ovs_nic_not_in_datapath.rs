use tapline_core::ids::Netns;
use tapline_topology::Topic;

use crate::lint::{Confidence, Ctx, Verdicts, declare_rule};
use tapline_network::defs::{self, Attached};

declare_rule! {
    code: "OVS-013",
    id: "ovs-nic-not-in-datapath",
    summary: "a device is a port of OVS by the database, and not by the kernel",
    severity: Error,
    confidence: Proven,
    page: "ovs_nic_not_in_datapath.md",
    layer: (L2Device, 50),
    rank: 490,
    about: [],
    cuts: [ToSwitch, BehindSwitch],
    asks: [],
    after: [
        [cap::mixed_captures] by [Host],
        [ovs::ovs_daemon_down] by [Host],
        [ovs::ovs_iface_error] by [Port],
    ],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for host in ctx.hosts() {
        let ports = defs::kernel_ports(ctx, host);
        if ports.is_empty() {
            continue;
        }
        if !ports.iter().any(|port| port.attached == Attached::Datapath) {
            // All of them: the daemon is at fault, not a port. Or the command prints no masters.
            if !defs::prints_masters(ctx, host) {
                out.cannot_tell(host, [Topic::LinkDetails.command(&Netns::Root)]);
            }
            continue;
        }
        for port in ports {
            let name = port.interface.name();
            let message = match &port.attached {
                Attached::Datapath => {
                    out.clean();
                    continue;
                }
                Attached::Other(master) => format!(
                    "belongs to {master} and not to the datapath: its packets never enter OVS bridge {}",
                    port.interface.bridge
                ),
                Attached::Nothing => format!(
                    "not in the datapath of the kernel: its packets never enter OVS bridge {}",
                    port.interface.bridge
                ),
            };
            let finding = out.fault(ctx, host, port.interface.id, message);
            if let Some(place) = port.interface.place() {
                finding.primary(place, "the port");
            }
            match (&port.device.data.master, port.device.place()) {
                (Some(master), _) => finding.primary(master.evidence, "its master"),
                (None, Some(place)) => finding.primary(place, "no master"),
                (None, None) => finding,
            };
            if port.attached == Attached::Nothing {
                finding.no_surer_than(Confidence::Strong);
            } else {
                finding.next(format!("ip link set {name} nomaster"));
            }
            finding.next("ovs-appctl dpif/show");
            finding.next(format!("ovs-vsctl get interface {name} ofport error"));
        }
    }
    for host in ctx.hosts_without_ovs_capture() {
        out.cannot_tell(host, ctx.missing(host, &Netns::Root, &[Topic::Ovs]));
    }
}
