use tapline_topology::Topic;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::lint::{Ctx, Verdicts, declare_rule};
use tapline_network::Item;
use tapline_network::defs;

declare_rule! {
    code: "MTU-005",
    id: "mtu-too-small",
    summary: "the MTU of a device is below what IP needs",
    severity: Warning,
    confidence: Proven,
    page: "mtu_too_small.md",
    layer: (Mtu, 50),
    rank: 650,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// Every IPv6 link carries so many bytes (RFC 8200); below it the kernel switches IPv6 off.
const IPV6: u32 = 1280;
/// Every IPv4 host may send packets of so many bytes (RFC 791).
const IPV4: u32 = 576;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for device in ctx.netdevs().filter(|device| device.kind != NetdevKind::Loopback) {
        judge(ctx, out, device);
    }
}

fn judge(ctx: &Ctx<'_>, out: &mut Verdicts, device: Item<'_, Netdev<'_>>) {
    let addresses = ctx.addresses_of(device.id);
    let mut global = addresses.iter().filter(|address| defs::is_global(address.ip)).peekable();
    if global.peek().is_none() {
        return;
    }
    let Some(mtu) = &device.data.mtu else {
        out.cannot_tell(device.host, [Topic::Links.command(device.netns())]);
        return;
    };
    let needed = |v4: bool| if v4 { IPV4 } else { IPV6 };
    // The address that needs the larger one, where both are too large for it.
    let worst = global
        .filter(|global| mtu.value < needed(global.ip.is_ipv4()))
        .max_by_key(|global| global.ip.is_ipv6());
    let Some(address) = worst else {
        out.clean();
        return;
    };
    let needed = needed(address.ip.is_ipv4());
    let consequence = if address.ip.is_ipv6() {
        "the kernel switches IPv6 off on it"
    } else {
        "packets that every IPv4 host may send are cut in pieces"
    };
    let message =
        format!("MTU {} is below {needed}, and it has {}: {consequence}", mtu.value, address.ip);
    let finding = out.fault(ctx, device.host, device.id, message);
    finding.primary(mtu.evidence, "its MTU");
    finding.primary(address.line(), "its address");
    let command = format!("ip link set {} mtu {IPV6}", device.name());
    finding.next(defs::inside(device.netns(), &command));
}
