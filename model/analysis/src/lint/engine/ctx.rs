//! What a rule may look at: the network, and what a person has set.
use std::ops::Deref;

use tapline_network::Network;
use tapline_topology::{NodeId, Topology};

use super::finding::Object;
use super::settings::Settings;

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

    /// A node as the object of a finding: a port with its bridge, a NIC with its VM.
    pub fn object(&self, id: NodeId) -> Object {
        let Some(node) = self.topology.node(id) else {
            return Object { kind: "", name: String::new() };
        };
        let name = self.topology.name(id);
        Object { kind: node.data.kind(), name }
    }
}
