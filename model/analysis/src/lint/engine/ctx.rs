//! What a rule may look at: the network, and what a person has set.
use std::ops::Deref;

use tapline_core::capture::HostId;
use tapline_network::Network;
use tapline_topology::{NodeId, Thing, Topology};

use super::settings::Settings;
use super::subject::Subject;

/// What a rule may look at. Dereferences to the network.
#[derive(Debug)]
pub struct Ctx<'a> {
    /// What is known of all hosts.
    pub network: Network<'a>,
    /// What a person has set.
    pub settings: &'a Settings,
}

impl<'a> Deref for Ctx<'a> {
    type Target = Network<'a>;
    fn deref(&self) -> &Network<'a> {
        &self.network
    }
}

impl<'a> Ctx<'a> {
    /// Makes the indexes that all rules share.
    pub(crate) fn new(topology: &'a Topology<'a>, settings: &'a Settings) -> Self {
        let network = Network::new(topology, settings.profile, &settings.env);
        Self { network, settings }
    }

    /// A node as the subject of a finding: a port with its bridge, a NIC with its VM.
    pub fn subject(&self, id: NodeId) -> Subject {
        Subject::node(self.topology, id)
    }

    /// A node as the subject of a finding, or, where there is none, what is missing.
    pub fn subject_or(&self, id: Option<NodeId>, absent: impl FnOnce() -> Thing) -> Subject {
        id.map_or_else(|| Subject::absent(absent()), |id| self.subject(id))
    }

    /// A host as the subject of a finding, by the name under which it is shown.
    pub fn host_subject(&self, host: HostId) -> Subject {
        let node = self.topology.host_node(host);
        self.subject_or(node, || Thing::Host).named(self.host_name(host))
    }
}
