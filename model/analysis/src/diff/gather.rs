//! Gathers the things of one host of one side, under the names that they have on the new side.
use std::borrow::Cow;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::request::Topic;
use tapline_core::span::Evidence;
use tapline_topology::graph::Fact;

use super::entity::{Class, Entity, Key, Kind, View};
use super::names::Names;
use super::side::Side;
use super::things;

/// The things of a host while they are gathered.
pub(super) struct Gather<'g, 's, 'a> {
    pub(super) side: &'g Side<'s, 'a>,
    pub(super) host: HostId,
    /// What is called otherwise on the new side; `None` on the new side itself.
    names: Option<&'g Names>,
    pub(super) view: View,
}

/// All things of a host.
pub(super) fn gather<'g>(side: &'g Side<'_, '_>, host: HostId, names: Option<&'g Names>) -> View {
    let mut gather = Gather { side, host, names, view: View::default() };
    things::host::add(&mut gather);
    things::vm::add(&mut gather);
    things::netdev::add(&mut gather);
    things::nic::add(&mut gather);
    things::vlan::add(&mut gather);
    things::address::add(&mut gather);
    things::route::add(&mut gather);
    things::rule::add(&mut gather);
    things::ovs::add(&mut gather);
    things::learnt::add(&mut gather);
    things::filter::add(&mut gather);
    things::flow::add(&mut gather);
    things::ovn::add(&mut gather);
    things::setting::add(&mut gather);
    gather.view
}

impl<'g> Gather<'g, '_, '_> {
    /// A device under its new name: its namespace and its name.
    pub(super) fn device<'n>(&'n self, netns: &'n Netns, name: &'n str) -> (&'n Netns, &'n str)
    where
        'g: 'n,
    {
        self.names.map_or((netns, name), |names| names.device(netns, name))
    }

    /// The same as a word, with its namespace where that is not root.
    pub(super) fn device_word(&self, netns: &Netns, name: &str) -> String {
        let (netns, name) = self.device(netns, name);
        if netns.is_root() { name.to_owned() } else { format!("{netns}/{name}") }
    }

    /// The key of a device.
    pub(super) fn device_key(&self, netns: &Netns, name: &str) -> Key {
        let (netns, name) = self.device(netns, name);
        Key::new(Kind::Netdev, place(netns), name)
    }

    /// A port, interface or bridge of Open vSwitch under its new name.
    pub(super) fn port<'n>(&'n self, name: &'n str) -> &'n str
    where
        'g: 'n,
    {
        self.names.map_or(name, |names| names.port(name))
    }

    /// The key of a port of Open vSwitch.
    pub(super) fn port_key(&self, name: &str) -> Key {
        Key::new(Kind::OvsPort, "", self.port(name))
    }

    /// A VM under its new name.
    pub(super) fn vm<'n>(&'n self, name: &'n str) -> &'n str
    where
        'g: 'n,
    {
        self.names.map_or(name, |names| names.vm(name))
    }

    /// The key of a VM.
    pub(super) fn vm_key(&self, name: &str) -> Key {
        Key::new(Kind::Vm, "", self.vm(name))
    }

    /// A local VLAN under its new number.
    pub(super) fn vlan(&self, vlan: u16) -> String {
        self.names.map_or_else(|| vlan.to_string(), |names| names.vlan(vlan))
    }

    /// Whether a topic is answered whole.
    pub(super) fn is_whole(&self, netns: &Netns, topic: Topic) -> bool {
        self.side.is_whole(self.host, netns, topic)
    }

    /// Adds what namespaces are, with the topic that lists the things of each.
    pub(super) fn cover_namespaces(&mut self, kind: Kind, topic: Topic) {
        let coverage = &self.side.network.topology.coverage;
        let whole: Vec<String> = coverage
            .host(self.host)
            .filter(|(_, it, coverage)| *it == topic && coverage.is_complete())
            .map(|(netns, ..)| place(netns))
            .collect();
        for place in whole {
            self.view.cover(kind, place);
        }
    }
}

/// A namespace as a place: empty for root, which no named one is.
pub(super) fn place(netns: &Netns) -> String {
    match netns {
        Netns::Root => String::new(),
        other => other.to_string(),
    }
}

impl Entity {
    /// Adds a fact that is known; nothing follows from one that is not.
    pub(super) fn set_fact<T: ToString>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        class: Class,
        fact: Option<&Fact<T>>,
    ) -> &mut Self {
        if let Some(fact) = fact {
            self.set(name, class, Some(fact.value.to_string()), Some(fact.evidence));
        }
        self
    }

    /// Adds a value that is known; nothing follows from one that is not.
    pub(super) fn set_known(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        class: Class,
        text: Option<impl ToString>,
        at: Option<Evidence>,
    ) -> &mut Self {
        if let Some(text) = text {
            self.set(name, class, Some(text.to_string()), at);
        }
        self
    }
}
