//! A thing that a rule looks at.
use std::ops::Deref;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;
use tapline_topology::graph::AddressNode;
use tapline_topology::{Node, NodeId};

/// A thing of the topology with its data at hand. Dereferences to the data.
#[derive(Debug)]
pub struct Item<'t, T> {
    /// Its host.
    pub host: HostId,
    /// Its id.
    pub id: NodeId,
    /// The node.
    pub node: &'t Node<'t>,
    /// What it is.
    pub data: &'t T,
}

impl<T> Clone for Item<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Item<'_, T> {}

impl<T> Deref for Item<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.data
    }
}

impl<'t, T> Item<'t, T> {
    /// Its name.
    pub fn name(&self) -> &'t str {
        &self.node.name
    }

    /// Its namespace; things without one live in the root namespace.
    pub fn netns(&self) -> &'t Netns {
        static ROOT: Netns = Netns::Root;
        self.node.netns.as_ref().unwrap_or(&ROOT)
    }

    /// The best place that speaks of it.
    pub fn place(&self) -> Option<Evidence> {
        self.node.seen.first().copied()
    }
}

impl Item<'_, AddressNode<'_>> {
    /// The line that prints the address.
    pub fn line(&self) -> Evidence {
        Evidence { source: self.data.record.source, span: self.data.record.record.at }
    }
}
