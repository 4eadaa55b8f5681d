//! Machines and NICs under construction: what the texts said of them so far.
use std::collections::HashMap;

use tapline_core::Name;
use tapline_core::ids::Mac;
use tapline_core::records::libvirt::DomainNic;
use tapline_core::span::{At, Evidence, SourceId, Span};

use crate::graph::{Fact, Seen, Vm, Witness, WitnessClass};

/// A machine under construction.
#[derive(Default)]
pub(super) struct Draft<'a> {
    pub(super) vm: Vm,
    pub(super) seen: Vec<Evidence>,
    pub(super) nics: Nics<'a>,
    /// `virsh list` says so.
    pub(super) listed: Option<bool>,
    /// Live XML or a qemu process says that it runs.
    pub(super) runs: bool,
    pub(super) live: bool,
}

/// A NIC under construction.
pub(super) struct NicDraft<'a> {
    pub(super) nic: Nic<'a>,
    pub(super) seen: Vec<Evidence>,
    /// What says which device it has.
    pub(super) target: Vec<Witness>,
    /// What other texts say of its MAC.
    pub(super) mac: Vec<Witness>,
    pub(super) conflicts: Vec<Vec<Witness>>,
}

/// The fields of [`VmNic`] that are known before its machine has a node.
#[derive(Default)]
pub(super) struct Nic<'a> {
    pub(super) mac: Option<Fact<Mac>>,
    pub(super) target: Option<Fact<Name>>,
    pub(super) bridge: Option<Fact<Name>>,
    pub(super) interface_id: Option<Fact<Name>>,
    pub(super) kind: Option<Fact<Name>>,
    pub(super) xml: Option<Seen<'a, DomainNic>>,
    pub(super) live: bool,
}

/// The NICs of a machine, in the order of their coming.
#[derive(Default)]
pub(super) struct Nics<'a> {
    all: Vec<NicDraft<'a>>,
    /// Where the first NIC with a MAC stands. A NIC keeps the MAC that it came with.
    by_mac: HashMap<Mac, usize>,
}

impl<'a> Nics<'a> {
    /// Adds one, and tells where it stands.
    pub(super) fn push(&mut self, nic: NicDraft<'a>) -> usize {
        let at = self.all.len();
        if let Some(mac) = &nic.nic.mac {
            self.by_mac.entry(mac.value).or_insert(at);
        }
        self.all.push(nic);
        at
    }

    /// Where the first NIC with a MAC stands.
    pub(super) fn find(&self, mac: Mac) -> Option<usize> {
        self.by_mac.get(&mac).copied()
    }

    pub(super) fn get_mut(&mut self, at: usize) -> Option<&mut NicDraft<'a>> {
        self.all.get_mut(at)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, NicDraft<'a>> {
        self.all.iter()
    }
}

impl<'a> IntoIterator for Nics<'a> {
    type Item = NicDraft<'a>;
    type IntoIter = std::vec::IntoIter<NicDraft<'a>>;

    fn into_iter(self) -> Self::IntoIter {
        self.all.into_iter()
    }
}

/// Sets what is not known yet.
pub(super) fn first<T: Clone>(fact: &mut Option<Fact<T>>, source: SourceId, at: Option<&At<T>>) {
    if let (None, Some(at)) = (&fact, at) {
        *fact = Some(Fact::new(source, at.clone()));
    }
}

impl<'a> Draft<'a> {
    pub(super) fn see(&mut self, source: SourceId, span: Span) {
        let evidence = Evidence { source, span };
        if !self.seen.contains(&evidence) {
            self.seen.push(evidence);
        }
    }

    pub(super) fn xml_nic(&mut self, source: SourceId, nic: &'a DomainNic, live: bool, adds: bool) {
        let evidence = Evidence { source, span: nic.at };
        let known = nic.mac.as_ref().and_then(|mac| self.nics.find(mac.value));
        if let Some(known) = known.and_then(|at| self.nics.get_mut(at)) {
            known.seen.push(evidence);
            if let (Some(target), Some(old)) = (&nic.target, &known.nic.target)
                && old.value == target.value
                && live == known.nic.live
            {
                let words = format!("target dev {}", target.value);
                known.target.push(Witness::at(xml_class(live), target.evidence(source), words));
            }
            return;
        }
        if !adds {
            return;
        }
        let fact = |at: &Option<At<Name>>| at.as_ref().map(|at| Fact::new(source, at.clone()));
        let target = fact(&nic.target).or_else(|| socket(source, nic));
        let witness = target.as_ref().map(|it| {
            Witness::at(xml_class(live), it.evidence, format!("target dev {}", it.value))
        });
        self.nics.push(NicDraft {
            nic: Nic {
                mac: nic.mac.as_ref().map(|mac| Fact::new(source, *mac)),
                target,
                bridge: fact(&nic.bridge),
                interface_id: fact(&nic.interface_id),
                kind: Some(Fact::new(source, nic.kind.clone())),
                xml: Some(Seen { source, record: nic }),
                live,
            },
            seen: vec![evidence],
            target: witness.into_iter().collect(),
            mac: Vec::new(),
            conflicts: Vec::new(),
        });
    }
}

/// A vhost-user NIC has no device: its socket is named after the OVS interface.
fn socket(source: SourceId, nic: &DomainNic) -> Option<Fact<Name>> {
    let path = nic.source_dev.as_ref().filter(|_| nic.kind.value == "vhostuser")?;
    let name = path.rsplit('/').next().filter(|rsplit| !rsplit.is_empty())?;
    Some(Fact { value: name.into(), evidence: path.evidence(source) })
}

pub(super) fn xml_class(live: bool) -> WitnessClass {
    if live { WitnessClass::Daemon } else { WitnessClass::Config }
}

impl NicDraft<'_> {
    /// A NIC of which only the MAC is known.
    pub(super) fn bare(mac: Fact<Mac>, evidence: Evidence) -> Self {
        Self {
            nic: Nic { mac: Some(mac), ..Nic::default() },
            seen: vec![evidence],
            target: Vec::new(),
            mac: Vec::new(),
            conflicts: Vec::new(),
        }
    }
}
