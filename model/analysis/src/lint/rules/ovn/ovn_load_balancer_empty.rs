use tapline_core::need::Need;
use tapline_core::records::ovs::lookup;
use tapline_topology::graph::LogicalKind;
use tapline_topology::{EdgeKind, NodeData};

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "OVN-007",
    id: "ovn-load-balancer-empty",
    summary: "a load balancer of OVN has an address without backends",
    severity: Info,
    confidence: Proven,
    page: "ovn_load_balancer_empty.md",
    layer: (Ovn, 60),
    rank: 435,
    about: [Ovn],
    cuts: [],
    asks: [],
    after: [],
}

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for (id, node) in ctx.topology.nodes() {
        let NodeData::Logical(logical) = &node.data else { continue };
        if logical.kind != LogicalKind::LoadBalancer {
            continue;
        }
        let Some(row) = logical.rows.first() else { continue };
        let Some(source) = ctx.topology.snapshot.source(row.source) else { continue };
        // What no switch and no router applies serves nobody.
        let used = !ctx.topology.out(id, EdgeKind::Balances).is_empty();
        if row.record.value("vips").is_none() {
            out.cannot_tell(source.host, [Need::command("ovn-nbctl list Load_Balancer")]);
            continue;
        }
        let empty: Vec<_> =
            row.record.map("vips").iter().filter(|(_, to)| to.value.trim().is_empty()).collect();
        let Some((first, to)) = empty.first().filter(|_| used) else {
            out.clean();
            continue;
        };
        let options = row.record.map("options").to_vec();
        let rejects = lookup(&options, "reject").is_some_and(|value| value.value == "true");
        let what = if rejects { "refused" } else { "lost" };
        let more = match empty.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message = format!("{first}{more} has no backend: connections to it are {what}");
        let finding = out.fault(ctx, source.host, id, message);
        finding.primary(to.evidence(row.source), "no backend");
        let service = tapline_topology::rows::external_id(row.record, "k8s.ovn.org/owner");
        match service.and_then(|owner| owner.split_once('/')) {
            Some((netns, name)) => {
                finding.next(format!(
                    "kubectl -n {netns} get endpointslices -l kubernetes.io/service-name={name}"
                ));
                finding.next(format!("kubectl -n {netns} get service {name} -o yaml"));
            }
            None => _ = finding.next(format!("ovn-nbctl lb-list {}", node.name)),
        }
    }
}
