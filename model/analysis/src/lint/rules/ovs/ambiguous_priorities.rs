use std::collections::BTreeMap;

use tapline_core::records::openflow::{Action, Flow, FlowTest, OfField, TableRef};
use tapline_network::{defs, flows};

use crate::lint::{Ctx, Verdicts, declare_rule};

declare_rule! {
    code: "OVS-021",
    id: "ambiguous-priorities",
    summary: "two flows of one priority take the same packets, one drops them and one does not",
    severity: Warning,
    confidence: Suspect,
    page: "ambiguous_priorities.md",
    layer: (TagsAndFlows, 87),
    rank: 527,
    about: [],
    cuts: [],
    asks: [],
    after: [],
}

/// Flows of one priority in one table that are compared with each other at most: the controllers of
/// clouds make thousands, which differ in a number of their own each.
const MOST_COMPARED: usize = 600;

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    // OVN makes flows that overlap on purpose: who adds an ACL says what is to be true of both.
    let hosts = ctx.hosts().filter(|host| !defs::is_ovn(ctx, *host));
    for bridge in hosts.flat_map(|host| ctx.ovs_bridges_of(host)) {
        let Some(dump) = ctx.flows().best(bridge.host, bridge.name()) else {
            // Without a controller there is one flow: nothing to look for.
            if !ctx.is_plain(bridge.id) {
                out.cannot_tell(bridge.host, [flows::command(bridge.name())]);
            }
            continue;
        };
        let mut groups: BTreeMap<(&TableRef, u32), Vec<Taken<'_>>> = BTreeMap::new();
        for flow in dump.flows.iter().copied() {
            let Some(taken) = Taken::of(flow) else { continue };
            let key = (&flow.table.value, flow.priority.value);
            groups.entry(key).or_default().push(taken);
        }
        let mut pairs = Vec::new();
        let mut skipped = false;
        for group in groups.values() {
            let (drops, rest): (Vec<_>, Vec<_>) = group.iter().partition(|one| one.drops);
            if drops.len().saturating_mul(rest.len()) > MOST_COMPARED * MOST_COMPARED {
                skipped = true;
                continue;
            }
            for drop in &drops {
                pairs.extend(
                    rest.iter()
                        .filter(|other| drop.crosses(other))
                        .map(|other| (drop.flow, other.flow)),
                );
            }
        }
        let Some(&(drop, other)) = pairs.first() else {
            if skipped {
                out.cannot_tell(bridge.host, [flows::command(bridge.name())]);
            } else {
                out.clean();
            }
            continue;
        };
        let more = match pairs.len() {
            1 => String::new(),
            count => format!(" ({count} such pairs)"),
        };
        let message = format!(
            "two flows of table {} have priority {} and take packets in common{more}: one drops them, one does not, and which is met is not defined",
            drop.table.value, drop.priority.value
        );
        let finding = out.fire(bridge.host, ctx.subject(bridge.id), message);
        finding.node = Some(bridge.id);
        finding.primary(dump.line(drop), "drops");
        finding.primary(dump.line(other), "does not");
        finding.next(format!("ovs-ofctl dump-flows {}", bridge.name()));
    }
}

/// The packets that a flow takes.
struct Taken<'a> {
    flow: &'a Flow,
    /// By field: the value and the bits that count.
    bits: BTreeMap<OfField, (u128, u128)>,
    port: Option<&'a str>,
    drops: bool,
}

impl<'a> Taken<'a> {
    /// `None` for a flow that is not understood, and for those that only count together with others
    /// (ovs-actions(7), `conjunction`).
    fn of(flow: &'a Flow) -> Option<Self> {
        let together =
            flow.actions.iter().any(|action| matches!(action.action, Action::Conjunction { .. }));
        if together || flow.wants(OfField::ConjId.whole()).is_some() {
            return None;
        }
        let mut bits: BTreeMap<OfField, (u128, u128)> = BTreeMap::new();
        let mut port = None;
        for one in &flow.matches {
            match &one.test {
                FlowTest::Unknown => return None,
                FlowTest::Port(name) => port = Some(name.as_str()),
                test => {
                    let mut any = false;
                    for part in test.bits() {
                        any = true;
                        let known = bits.entry(part.field).or_default();
                        *known = (known.0 | part.value, known.1 | part.mask);
                    }
                    if !any {
                        return None;
                    }
                }
            }
        }
        Some(Self { flow, bits, port, drops: flow.drops() })
    }

    /// Whether both take some packets in common, and each takes some that the other does not.
    fn crosses(&self, other: &Self) -> bool {
        let both = self.bits.iter().all(|(field, (value, mask))| {
            other.bits.get(field).is_none_or(|(theirs, of)| (value ^ theirs) & mask & of == 0)
        });
        let apart = self.port.zip(other.port).is_some_and(|(mine, theirs)| mine != theirs)
            // A port by name and another by number may be two.
            || self.port.is_some() != other.port.is_some()
                && (self.bits.contains_key(&OfField::InPort)
                    || other.bits.contains_key(&OfField::InPort));
        both && !apart && !self.holds(other) && !other.holds(self)
    }

    /// Whether it takes all that another takes.
    fn holds(&self, other: &Self) -> bool {
        let bits = self.bits.iter().all(|(field, (_, mask))| {
            other.bits.get(field).is_some_and(|(_, theirs)| mask & theirs == *mask)
        });
        bits && (self.port.is_none() || self.port == other.port)
    }
}
