//! Provider bridges that the integration bridge joins like any switch, for want of its flows.
use tapline_core::need::Need;
use tapline_core::records::openflow::Action;
use tapline_core::span::Evidence;

use crate::lint::{Confidence, Ctx, Severity, Verdicts};
use tapline_network::Item;
use tapline_network::defs;
use tapline_network::flows::{self, Dump};
use tapline_network::uplink;

/// Neutron keeps physical networks apart by flows that drop what comes from one of them and has no
/// VLAN of its own. A bridge without a program floods it to all others.
pub(super) fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    let flows = ctx.flows();
    for host in ctx.hosts().filter(|host| defs::has_agent_patches(ctx, *host)) {
        let mut providers = uplink::providers(ctx, host);
        for it in &mut providers {
            it.uplinks.retain(|uplink| uplink.usable() == Some(true));
        }
        providers.retain(|provider| !provider.uplinks.is_empty());
        if providers.len() < 2 {
            continue;
        }
        // Each bridge on the way has to let pass what it should not.
        let program = |name: &str| flows.best(host, name).map(plain);
        let name = ctx.integration_bridge(host);
        let integration = program(name);
        let mut open: Vec<Need> = Vec::new();
        if integration.is_none() {
            open.push(flows::command(name));
        }
        let mut joined = Vec::new();
        let mut possible = 0;
        for it in &providers {
            match program(it.bridge.name()) {
                Some(None) => {}
                Some(Some(line)) => joined.push((it, line)),
                None => open.push(flows::command(it.bridge.name())),
            }
            possible += usize::from(!matches!(program(it.bridge.name()), Some(None)));
        }
        if matches!(integration, Some(None)) || possible < 2 {
            out.clean();
            continue;
        }
        let (Some(Some(line)), true) = (integration, joined.len() > 1) else {
            out.cannot_tell(host, open);
            continue;
        };
        let Some(bridge) = ctx.integration(host) else { continue };
        let nics = joined.iter().flat_map(|(it, _)| &it.uplinks).map(Item::name);
        let message = format!(
            "has no flows and joins {} like any switch: a loop if they reach the same switch",
            defs::list(nics, 4)
        );
        let finding = out.fault(ctx, host, bridge.id, message);
        finding.at_most(Severity::Warning).no_surer_than(Confidence::Suspect);
        finding.primary(line, "br-int passes everything");
        for (it, line) in joined.iter().take(4) {
            finding.primary(*line, format!("{} passes everything", it.bridge.name()));
            if let Some(place) = it.patch.place() {
                finding.context(place, format!("leads to {}", it.bridge.name()));
            }
        }
        finding.next("systemctl restart neutron-openvswitch-agent");
        finding.next(flows::command(name).to_string());
    }
}

/// The one flow of a switch that nothing programs; `None` where there is a program.
fn plain(dump: &Dump<'_>) -> Option<Evidence> {
    match dump.flows.as_slice() {
        [one] if one.matches.is_empty() => {
            let normal = matches!(one.actions.as_slice(), [it] if it.action == Action::Normal);
            normal.then(|| dump.line(one))
        }
        _ => None,
    }
}
