//! Which rules explain which, as the rules declare it in `after`.
//!
//! Causes stand nearer to the ground than what follows from them, by the layers that the rules
//! declare, so causes never run in circles; a test holds this. A finding that stands for a
//! population may have a place of its own, nearer to the ground than the others of its rule: the
//! agent that wired nothing, and a port that is not wired.
use std::collections::BTreeMap;
use std::sync::LazyLock;

use tapline_topology::names;

use super::super::finding::{Finding, Shape};
use super::super::rule::{After, Join, Place, Rule, Which};
use crate::lint::rules::ALL;

/// What may explain findings: several declarations may name the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Roots {
    rules: &'static [&'static Rule],
    only: Which,
    pub(super) joins: &'static [Join],
}

impl Roots {
    fn of(after: &After) -> Self {
        Self { rules: after.roots, only: after.only, joins: after.joins }
    }

    /// Whether a finding is one of them.
    pub(super) fn has(&self, finding: &Finding) -> bool {
        self.rules.iter().any(|rule| **rule == *finding.rule) && holds(self.only, finding)
    }
}

/// The relation between all rules.
#[derive(Debug, Default)]
pub(super) struct Relation {
    /// The different roots of all declarations.
    pub(super) roots: Vec<Roots>,
    /// For each rule by its code: the roots that it names by their index, and which of its findings
    /// they explain.
    symptoms: BTreeMap<&'static str, Vec<(usize, Which)>>,
}

impl Relation {
    /// Gathers what rules declare.
    fn of(rules: &[&'static Rule]) -> Self {
        let mut relation = Self::default();
        for rule in rules {
            for after in rule.traits.after {
                let roots = Roots::of(after);
                let known = relation.roots.iter().position(|known| *known == roots);
                let number = known.unwrap_or(relation.roots.len());
                if known.is_none() {
                    relation.roots.push(roots);
                }
                relation.symptoms.entry(&rule.code).or_default().push((number, after.of));
            }
        }
        relation
    }

    /// What may explain a finding, by index, in the order in which its rule declares it.
    pub(super) fn may_explain(&self, symptom: &Finding) -> impl Iterator<Item = (usize, &Roots)> {
        let declared = self.symptoms.get(&*symptom.rule.code).into_iter().flatten();
        declared
            .filter(|(_, of)| holds(*of, symptom))
            .filter_map(|(number, _)| Some((*number, self.roots.get(*number)?)))
    }
}

/// The relation between the built-in rules.
pub(super) static RELATION: LazyLock<Relation> = LazyLock::new(|| Relation::of(ALL));

/// Whether a finding stands for most ports of a bridge or most objects of a host.
pub(crate) fn is_population(finding: &Finding) -> bool {
    finding.shape == Shape::Population || (finding.subject.is_host() && !finding.also.is_empty())
}

/// Whether a finding is one of those that a declaration means.
fn holds(which: Which, finding: &Finding) -> bool {
    let subject = &finding.subject;
    match which {
        Which::Any => true,
        Which::Population => is_population(finding),
        Which::IntegrationBridge => subject.name == names::INTEGRATION_BRIDGE,
        Which::AbsentPeer => finding.shape == Shape::AbsentPeer,
        Which::PresentPeer => finding.shape != Shape::AbsentPeer,
        Which::Unfinished => finding.shape == Shape::Unfinished,
        Which::RootNamespace => {
            finding.netns.as_ref().is_none_or(tapline_core::ids::Netns::is_root)
        }
        Which::NamespacePort => {
            let name = subject.own_name();
            ["tap", "qr-", "qg-", "fg-", "ns-"].iter().any(|start| name.starts_with(start))
        }
        Which::WithoutPort => finding.shape == Shape::NoPort,
        Which::SwitchedOff => finding.shape == Shape::SwitchedOff,
        Which::Provider => finding.shape == Shape::Provider,
        Which::GatewayPort => ["qg-", "fg-"].iter().any(|start| subject.name.starts_with(start)),
    }
}

/// Where a finding stands above the ground: what is in no layer comes last.
pub(super) fn place(finding: &Finding) -> (bool, Option<Place>) {
    let traits = &finding.rule.traits;
    let population = traits.population_place.filter(|_| is_population(finding));
    let off = traits.switched_off_place.filter(|_| finding.shape == Shape::SwitchedOff);
    let place = population.or(off).or(traits.place);
    (place.is_none(), place)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Where the findings of a rule stand that a declaration means.
    fn place_of(rule: &Rule, which: Which) -> Place {
        let population = rule.traits.population_place.filter(|_| which == Which::Population);
        let off = rule.traits.switched_off_place.filter(|_| which == Which::SwitchedOff);
        population.or(off).or(rule.traits.place).unwrap()
    }

    #[test]
    fn the_relation_leads_up_from_the_ground() {
        for rule in ALL {
            for after in rule.traits.after {
                assert!(!after.joins.is_empty() && !after.roots.is_empty(), "{}", rule.code);
                for root in after.roots {
                    // A rule explains itself only where it separates causes from consequences.
                    if root.code == rule.code {
                        assert_ne!(after.only, after.of, "{} explains itself", rule.code);
                        continue;
                    }
                    let (below, above) = (place_of(root, after.only), place_of(rule, after.of));
                    assert!(below < above, "{} cannot explain {}", root.code, rule.code);
                }
            }
        }
    }

    #[test]
    fn no_two_rules_stand_in_one_place() {
        let mut seen: BTreeSet<Place> = BTreeSet::new();
        for rule in ALL {
            let traits = &rule.traits;
            assert!(traits.place.is_some(), "{} stands in no layer", rule.code);
            let places = [traits.place, traits.population_place, traits.switched_off_place];
            for place in places.into_iter().flatten() {
                assert!(seen.insert(place), "{} stands where another rule does", rule.code);
            }
        }
    }
}
