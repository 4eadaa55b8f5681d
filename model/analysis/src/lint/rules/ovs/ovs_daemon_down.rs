use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::{Completeness, HostId, Source};
use tapline_core::ids::Netns;
use tapline_core::span::{Evidence, Span};
use tapline_topology::graph::NodeData;
use tapline_topology::{Coverage, Presence, Thing, Topic, names};

use crate::lint::{Confidence, Ctx, Other, Verdicts, declare_rule};
use tapline_network::defs::{self, Attached};

declare_rule! {
    code: "OVS-005",
    id: "ovs-daemon-down",
    summary: "the database or the switch daemon of OVS does not serve",
    severity: Error,
    confidence: Proven,
    page: "ovs_daemon_down.md",
    layer: (Daemon, 10),
    rank: 80,
    core: true,
    about: [],
    cuts: [ToSwitch],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let silent = silent_bridges(ctx);
    for host in ctx.hosts() {
        match ctx.topology.coverage.of(host, &Netns::Root, Topic::Ovs) {
            Coverage::Failed { source, .. } => {
                if let Some(source) = ctx.topology.snapshot.source(*source) {
                    database(ctx, out, host, source);
                }
            }
            Coverage::NotCaptured => {
                if ctx.runs_ovs(host) == Some(true) {
                    out.cannot_tell(host, [Topic::Ovs.command(&Netns::Root)]);
                }
            }
            Coverage::Partial(_) | Coverage::Complete(_) => {
                if !openflow(ctx, out, host, silent.get(&host)) {
                    datapath(ctx, out, host);
                }
            }
        }
    }
}

/// The question to the database failed: is there a switch that it should describe?
fn database(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, source: &Source) {
    let trace = ctx.netdevs_of(host).find(|device| {
        let master = device.master.as_ref().map_or("", |master| master.value.as_str());
        device.netns().is_root()
            && (names::is_ovs_datapath(device.name()) || names::is_ovs_datapath(master))
    });
    let refused = source.text.contains("Connection refused");
    let failed = source.text.contains("database connection failed")
        && (refused || source.text.contains("No such file or directory"));
    let Some(trace) = trace.filter(|_| failed) else {
        // Somebody without the right to ask learns nothing.
        if ctx.hosts_without_ovs_capture().contains(&host) {
            out.cannot_tell(host, [Topic::Ovs.command(&Netns::Root)]);
        }
        return;
    };
    let message = "the database does not answer, and the kernel has a datapath of OVS: nobody configures the switch";
    let finding = out.fire(host, Other::Daemon { name: "ovsdb-server" }, message);
    finding.node = ctx.topology.host_node(host);
    finding.primary(Evidence { source: source.id, span: first_line(source) }, "no answer");
    if let Some(place) = trace.place() {
        finding.primary(place, "the switch in the kernel");
    }
    if !refused {
        finding.no_surer_than(Confidence::Strong);
        finding.note("or OVS runs in a container, whose socket is not where it was looked for");
    }
    next(finding);
}

/// The bridges that `ovs-ofctl` could not reach, and those that it reached, of each host.
#[derive(Default)]
struct Asked {
    failed: BTreeMap<String, Evidence>,
    reached: BTreeSet<String>,
}

fn silent_bridges(ctx: &Ctx<'_>) -> BTreeMap<HostId, Asked> {
    let mut all: BTreeMap<HostId, Asked> = BTreeMap::new();
    for source in ctx.texts_by("ovs-ofctl") {
        let bridge = source
            .command
            .args()
            .iter()
            .find(|arg| ctx.topology.find_ovs_bridge(source.host, arg).is_some());
        let Some(bridge) = bridge.cloned() else { continue };
        let asked = all.entry(source.host).or_default();
        match ctx.topology.snapshot.completeness(source.id) {
            Completeness::Failed(_) => {
                let dead = ["is not a bridge or a socket", "failed to connect to socket"];
                let denied = source.text.contains("ermission denied");
                if !denied && dead.iter().any(|dead| source.text.contains(dead)) {
                    let at = Evidence { source: source.id, span: first_line(source) };
                    asked.failed.entry(bridge).or_insert(at);
                }
            }
            Completeness::Complete | Completeness::Partial(_) => {
                asked.reached.insert(bridge);
            }
        }
    }
    all
}

/// Whether bridges of the database do not speak OpenFlow.
fn openflow(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId, asked: Option<&Asked>) -> bool {
    let Some(asked) = asked else { return false };
    let dead: Vec<_> =
        asked.failed.iter().filter(|(bridge, _)| !asked.reached.contains(*bridge)).collect();
    let Some((first, _)) = dead.first() else { return false };
    let all = ctx.ovs_bridges_of(host).count();
    let Some(node) = ctx.topology.find_ovs_bridge(host, first) else { return false };
    let message = if dead.len() == all {
        "in the database, and the switch daemon answers for no bridge: nothing enforces the configuration"
    } else {
        "in the database, and the switch daemon does not have it: nothing enforces its configuration"
    };
    let finding = out.fault(ctx, host, node, message);
    for (bridge, evidence) in dead.iter().take(5) {
        finding.primary(**evidence, format!("no answer for {bridge}"));
    }
    if let Some(place) = ctx.ovs_bridge(node).and_then(|bridge| bridge.place()) {
        finding.context(place, "the bridge");
    }
    for (bridge, _) in dead.iter().skip(1) {
        let id = ctx.topology.find_ovs_bridge(host, bridge);
        finding.also(ctx.subject_or(id, || Thing::OvsBridge { name: bridge.as_str().into() }));
    }
    next(finding);
    true
}

/// The database lists ports of the kernel's datapath, and none of their devices is in it.
fn datapath(ctx: &Ctx<'_>, out: &mut Verdicts, host: HostId) {
    if is_old_kernel(ctx, host) {
        return;
    }
    let ports = defs::kernel_ports(ctx, host);
    let Some(first) = ports.first() else { return };
    if ports.iter().any(|port| port.attached == Attached::Datapath) {
        out.clean();
        return;
    }
    let searched = match ctx.topology.netdev_presence(host, &Netns::Root, "ovs-system") {
        Presence::No(searched) => Some(searched),
        Presence::Unknown(missing) => {
            out.cannot_tell(host, missing);
            return;
        }
        Presence::Yes(_) if defs::prints_masters(ctx, host) => None,
        Presence::Yes(_) => {
            out.cannot_tell(host, [Topic::LinkDetails.command(&Netns::Root)]);
            return;
        }
    };
    let message = "the database lists ports, and the kernel has none of them in a datapath: the switch daemon does not run";
    let node = ctx.topology.find_ovs_bridge(host, &first.interface.bridge);
    let finding = out.fault(ctx, host, node.unwrap_or(first.interface.id), message);
    finding.no_surer_than(Confidence::Strong);
    for port in ports.iter().take(3) {
        if let Some(place) = port.interface.place() {
            finding.primary(place, "a port");
        }
        if let Some(place) = port.device.place() {
            finding.primary(place, "its device, in no datapath");
        }
    }
    if let Some(searched) = searched {
        finding.rests_on_absence(searched);
    }
    next(finding);
}

/// Kernels before 3.10 do not print the datapath as master.
fn is_old_kernel(ctx: &Ctx<'_>, host: HostId) -> bool {
    let node = ctx.topology.host_node(host).and_then(|node| ctx.topology.node(node));
    let Some(NodeData::Host(data)) = node.map(|node| &node.data) else { return false };
    let Some(kernel) = &data.kernel else { return false };
    let mut numbers = kernel.value.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
    let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    major > 0 && (major, minor) < (3, 10)
}

fn first_line(source: &Source) -> Span {
    let end = source.text.lines().next().map_or(0, str::len);
    Span { start: 0, end: u32::try_from(end).unwrap_or(u32::MAX) }
}

fn next(finding: &mut crate::lint::Finding) {
    finding.next("systemctl status ovsdb-server ovs-vswitchd");
    finding.next("tail /var/log/openvswitch/ovs-vswitchd.log");
}
