use std::net::IpAddr;

use tapline_topology::Topic;
use tapline_topology::graph::{AddressNode, Netdev, NetdevKind};

use crate::lint::{Confidence, Ctx, Severity, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "L3-008",
    id: "address-not-usable",
    summary: "the kernel does not use an address: its check for duplicates failed or never ended",
    severity: Error,
    confidence: Proven,
    page: "address_not_usable.md",
    layer: (L3, 100),
    rank: 790,
    about: [],
    cuts: [],
    asks: [],
    after: [
        // In a loop a device hears its own probes for its address.
        [lbr::l2_loop] by [Bridge, Device],
    ],
}

/// Seconds after the start of a host within which devices still come up.
const SETTLED: u64 = 120;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let nics = ctx.nics();
    for address in ctx.addresses() {
        let Some(device) = ctx.netdev(address.data.netdev) else { continue };
        let starting = nics.uptime(address.host).is_some_and(|uptime| uptime < SETTLED);
        judge(ctx, out, address, device, starting);
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    address: Item<'_, AddressNode<'_>>,
    device: Item<'_, Netdev<'_>>,
    starting: bool,
) {
    let has = |flag: &str| address.record.record.flags.iter().any(|it| it == flag);
    let (ip, name) = (address.ip, device.name());
    let finding = if has("dadfailed") {
        let message =
            format!("{ip} was seen elsewhere when it was checked: {name} does not use it");
        let finding = out.fault(ctx, address.host, address.id, message);
        finding.primary(address.line(), "`dadfailed`");
        finding.note("another machine has it, or a loop brought the check's own packets back");
        // Metadata is served under one link-local address from every namespace of a network.
        let shared = device
            .netns()
            .name()
            .is_some_and(|name| name.starts_with("ovnmeta-") || name.starts_with("qdhcp-"));
        if shared && !defs::is_global(ip) {
            finding.at_most(Severity::Info);
        }
        finding
    } else if has("tentative") && !has("optimistic") {
        // The kernel gives each device such an address, and the devices of guests come and go.
        let guest = matches!(device.kind, NetdevKind::Tap | NetdevKind::Veth);
        if starting || guest && !defs::is_global(ip) {
            out.clean();
            return;
        }
        match device.usable() {
            Some(true) => {}
            // Without a link the check waits, as it should.
            Some(false) => {
                out.clean();
                return;
            }
            None => {
                out.cannot_tell(address.host, [Topic::Links.command(device.netns())]);
                return;
            }
        }
        let message = format!("{ip} is still being checked: {name} does not use it yet");
        let finding = out.fault(ctx, address.host, address.id, message);
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
        finding.primary(address.line(), "`tentative`");
        if let Some(flags) = &device.data.flags {
            finding.context(flags.evidence, "its device works");
        }
        finding.note("the check takes a second or two: after the device came up this is no fault");
        finding
    } else if has("deprecated") && is_only_source(ctx, &address, &device) {
        let message = format!(
            "{ip} is deprecated and {name} has no other: new connections go out under it, or not at all"
        );
        let finding = out.fault(ctx, address.host, address.id, message);
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        finding.primary(address.line(), "`deprecated`");
        finding
    } else {
        out.clean();
        return;
    };
    let run = |command: String| defs::inside(device.netns(), &command);
    finding.next(run(format!("ip neigh show {ip}")));
    finding.next(run(format!("ip address show dev {name}")));
}

/// Whether no other address of the family is there to speak from. The addresses that keepalived
/// adds are deprecated by design, so that nothing speaks from them: host routes, in routers.
fn is_only_source(
    ctx: &Ctx<'_>,
    address: &Item<'_, AddressNode<'_>>,
    device: &Item<'_, Netdev<'_>>,
) -> bool {
    let IpAddr::V6(_) = address.ip else { return false };
    address.prefix < 128
        && device.netns().is_root()
        && defs::is_global(address.ip)
        && device.usable() == Some(true)
        && ctx.addresses_of(device.id).iter().all(|address| {
            address.ip.is_ipv4()
                || !defs::is_global(address.ip)
                || address.record.record.flags.iter().any(|flag| flag == "deprecated")
        })
}
