//! What policies of IPsec do with a packet in the stack of a namespace.
use tapline_core::ids::Netns;
use tapline_core::records::xfrm::IpsecTemplate;
use tapline_topology::graph::NetdevKind;
use tapline_topology::{NodeId, Topic};

use crate::ipsec::{self, Direction};
use crate::truth::Truth;

use super::netfilter::Pass;
use super::{Doubt, Outcome, Reason, Start, Walk, Way};

/// What a policy makes of a packet.
enum Fate {
    Passes,
    Dropped(&'static str),
    Protected(String),
}

impl Walk<'_, '_, '_> {
    /// Holds a packet against the policies of a direction; `false` where that ends the way. Where it is
    /// not known, the way goes on behind a fork.
    pub(super) fn pass_ipsec(
        &mut self,
        way: &mut Way,
        pass: &Pass,
        direction: Direction,
        device: Option<NodeId>,
    ) -> bool {
        let network = self.network;
        let Some(ipsec) = network.ipsec().get(&(pass.host, &pass.netns)) else { return true };
        let Some(device) = device.and_then(|device| self.device(device)) else { return true };
        // The loopback device has neither (`disable_xfrm`, `disable_policy`).
        let key = match direction {
            Direction::Out => "disable_xfrm",
            Direction::In | Direction::Forward => "disable_policy",
        };
        let off = format!("net.ipv4.conf.{}.{key}", device.name().replace('.', "/"));
        let is_off = self.setting(pass.host, &pass.netns, &off).is_some_and(|set| set.value == 1);
        if is_off || device.kind == NetdevKind::Loopback {
            return true;
        }
        let place = self.place_of(pass);
        let candidates = ipsec.of(direction, &way.packet, device.name());
        let last = candidates.found.len().saturating_sub(1);
        let mut passes = !candidates.closed;
        for (at, (policy, met)) in candidates.found.into_iter().enumerate() {
            let evidence = ipsec::line(&policy);
            let required: Vec<_> =
                policy.record.templates.iter().filter(|one| !one.optional).collect();
            let optional = policy.record.templates.iter().any(|one| one.optional);
            let missing = required.iter().any(|one| ipsec.has_state(one) == Some(false));
            let absent =
                policy.record.templates.iter().all(|one| ipsec.has_state(one) == Some(false));
            let fate = match direction {
                _ if policy.record.blocks => Fate::Dropped("a policy of IPsec blocks it"),
                Direction::In | Direction::Forward if required.is_empty() => Fate::Passes,
                Direction::In | Direction::Forward if self.is_sent_bare() => Fate::Dropped(
                    "a policy of IPsec takes it only protected, and it comes as it is",
                ),
                Direction::In | Direction::Forward => Fate::Protected(
                    "a policy of IPsec takes it only protected, as its sender may send it"
                        .to_owned(),
                ),
                Direction::Out if missing => Fate::Protected(
                    "a policy of IPsec sends it only protected, and there is no association yet"
                        .to_owned(),
                ),
                Direction::Out if !required.is_empty() => {
                    Fate::Protected(sent_protected("leaves", required.first().copied()))
                }
                Direction::Out if optional && !absent => {
                    let template = policy.record.templates.first();
                    Fate::Protected(sent_protected("may leave", template))
                }
                Direction::Out => Fate::Passes,
            };
            if matches!(fate, Fate::Passes) {
                passes = true;
                if met == Truth::Yes {
                    return true;
                }
                continue;
            }
            let text = match &fate {
                Fate::Passes => continue,
                Fate::Dropped(text) => (*text).to_owned(),
                Fate::Protected(text) => text.clone(),
            };
            let needs = match (&fate, direction) {
                (Fate::Protected(_), Direction::Out) => {
                    network.missing(pass.host, &pass.netns, &[Topic::IpsecStates])
                }
                _ => Vec::new(),
            };
            let sure = met == Truth::Yes || at == last && !passes;
            if !sure {
                let doubt = Doubt {
                    reason: Reason::Ipsec,
                    text: format!("{text}, if it is meant by it"),
                    place: place.clone(),
                    next: Vec::new(),
                    evidence: vec![evidence],
                };
                self.fork(way, doubt);
            }
            let mut one = if sure { way.clone() } else { Self::branch(way, text.clone()) };
            match fate {
                Fate::Dropped(_) => {
                    let reason = Reason::IpsecDrop;
                    self.lost(&mut one, Outcome::Dropped, reason, place.clone(), Some(evidence));
                    if let Some(super::Node { part: super::Part::End(end), .. }) =
                        self.tree.nodes.last_mut()
                    {
                        end.text.clone_from(&text);
                    }
                }
                _ => {
                    let said = (Reason::Ipsec, text.as_str());
                    self.unknown_at(&mut one, place.clone(), said, needs, evidence);
                }
            }
            if sure {
                return false;
            }
            way.guard = Some("it is not meant by the policy".to_owned());
        }
        true
    }

    /// Whether the namespace that sends the packet surely has no policy that would protect it: one that
    /// does is not followed to here.
    fn is_sent_bare(&self) -> bool {
        let (host, netns) = match &self.from {
            Start::Netns(host, netns) => (*host, netns),
            Start::Guest(nic) => match self.network.vm_nic(*nic) {
                Some(nic) => (nic.host, &Netns::Root),
                None => return false,
            },
            Start::Device(_) | Start::Port(_) | Start::Outside(_) => return false,
        };
        self.network.complete(host, netns, Topic::IpsecPolicies)
    }
}

/// What is said of a packet that a policy protects: who has to take it out again, which is not followed.
fn sent_protected(leaves: &str, template: Option<&IpsecTemplate>) -> String {
    let Some(template) = template else {
        return format!("it {leaves} by IPsec, which is not followed");
    };
    let proto = template
        .proto
        .as_ref()
        .map_or_else(|| "IPsec".to_owned(), |of| of.to_uppercase().to_string());
    if template.dst.is_unspecified() {
        return format!(
            "it {leaves} by {proto}, which the far side has to take out again: not followed"
        );
    }
    format!(
        "it {leaves} by {proto} to {}, who has to take it out again: not followed",
        template.dst
    )
}
