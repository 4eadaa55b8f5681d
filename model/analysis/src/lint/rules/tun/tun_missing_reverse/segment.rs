//! Kernel devices of one segment: one floods to a host whose device has no far end to flood back to.
use tapline_core::capture::HostId;
use tapline_core::need::Need;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::{Netdev, TunnelEndpoint};

use crate::lint::{Confidence, Ctx, Severity, Verdicts};
use tapline_network::Item;
use tapline_network::mesh;

pub(super) fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for tunnel in ctx.tunnels() {
        let kernel = ctx.netdev(tunnel.owner).is_some() && mesh::is_of_host(ctx, tunnel);
        let (Some(remote), Some(key)) = (&tunnel.data.remote, &tunnel.data.key) else { continue };
        if !kernel || tunnel.data.kind != "vxlan" {
            continue;
        }
        let Some(far) = ctx.mesh().other(ctx, remote.value, tunnel.host) else { continue };
        let of_segment = |end: &Item<'_, TunnelEndpoint>| {
            end.data.kind == tunnel.data.kind
                && end.data.key.as_ref().is_some_and(|other| other.value == key.value)
                && ctx.netdev(end.owner).is_some_and(|device| device.netns().is_root())
        };
        let there: Vec<_> = ctx.tunnels_of(far).filter(of_segment).collect();
        let Some(device) = there.first().and_then(|end| ctx.netdev(end.owner)) else { continue };
        judge(ctx, out, tunnel, far, &there, device);
    }
}

fn judge(
    ctx: &Ctx<'_>,
    out: &mut Verdicts,
    tunnel: Item<'_, TunnelEndpoint>,
    far: HostId,
    there: &[Item<'_, TunnelEndpoint>],
    device: Item<'_, Netdev<'_>>,
) {
    let mesh = ctx.mesh();
    let leads_back = |end: &Item<'_, TunnelEndpoint>| {
        let to = end.data.remote.as_ref();
        to.is_some_and(|to| mesh.owners(ctx, to.value).contains(&tunnel.host))
    };
    if there.iter().any(leads_back) || !needs_list(device) {
        out.clean();
        return;
    }
    if mesh::is_cleaned(ctx, tunnel.host) || mesh::is_cleaned(ctx, far) {
        out.cannot_tell(far, [mesh::NOT_CLEANED]);
        return;
    }
    let Some(searched) = searched(ctx, device) else {
        out.cannot_tell(far, [Need::command("bridge fdb show")]);
        return;
    };
    let message = format!(
        "{} floods this segment to this host, and there is no far end back: what is sent from here does not reach it",
        ctx.host_name(tunnel.host)
    );
    let finding = out.fault(ctx, far, device.id, message);
    finding.at_most(Severity::Warning).no_surer_than(Confidence::Strong);
    finding.peers.push(tunnel.host);
    if let Some(remote) = &tunnel.data.remote {
        finding.primary(remote.evidence, format!("the far end on {}", ctx.host_name(tunnel.host)));
    }
    finding.rests_on_absence(searched);
    finding.next(format!("bridge fdb show dev {}", device.name()));
}

/// Whether the device sends only where its list leads: it learns no far ends, has no group and
/// takes none from flows.
fn needs_list(device: Item<'_, Netdev<'_>>) -> bool {
    let mut records = device.data.records.iter().map(|seen| seen.record);
    records.any(|record| {
        let tunnel = record.kind_data.tunnel.as_ref();
        let listed = tunnel.is_some_and(|tunnel| !tunnel.external && tunnel.remote.is_none());
        listed && record.other.iter().any(|field| field.key == "nolearning")
    })
}

/// The complete list of all forwarding entries of the root namespace; `None` where there is none.
fn searched(ctx: &Ctx<'_>, device: Item<'_, Netdev<'_>>) -> Option<Searched> {
    let (source, entries) = ctx.fdb_texts().find(|(source, _)| {
        let whole = !source
            .command
            .args()
            .iter()
            .any(|word| matches!(word.as_str(), "dev" | "br" | "brport" | "get"));
        let complete = ctx.topology.snapshot.completeness(source.id).is_complete();
        source.host == device.host && source.netns.is_root() && whole && complete
    })?;
    Some(Searched {
        keys: vec![format!("dev {} dst", device.name())],
        sources: vec![(source.id, entries.len())],
        namespaces: 0,
    })
}
