//! Is it there? Absence with what was searched, or the commands that would tell.
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;

use crate::coverage::{Coverage, Presence, Searched, Topic};
use crate::graph::{NetnsNode, NodeData, NodeId, Topology};

impl Topology<'_> {
    /// Whether a namespace has a device called `name`.
    pub fn netdev_presence(&self, host: HostId, netns: &Netns, name: &str) -> Presence {
        if let Some(id) = self.find_netdev(host, netns, name) {
            return Presence::Yes(id);
        }
        let namespaces = usize::from(netns.name().is_some());
        let mut searched =
            Searched { keys: vec![name.to_owned()], namespaces, ..Searched::default() };
        match self.search(host, netns, Topic::Links, &mut searched) {
            Ok(()) => Presence::No(searched),
            Err(command) => Presence::Unknown(vec![command]),
        }
    }

    /// Whether any namespace of the host has a device called `name`.
    ///
    /// *No* needs the devices of root and of every namespace that is listed or otherwise known,
    /// and the list itself. For devices that cannot leave root (the tap of a VM, `qvo…`, `qvb…`,
    /// `qbr…`) ask [`Self::netdev_presence`] of root instead. A namespace without a name can be
    /// neither listed nor entered by name and is not waited for.
    pub fn netdev_presence_anywhere(&self, host: HostId, name: &str) -> Presence {
        if let Some(&id) = self.find_netdevs(host, name).first() {
            return Presence::Yes(id);
        }
        let mut searched = Searched { keys: vec![name.to_owned()], ..Searched::default() };
        let mut missing = Vec::new();
        if !self.coverage.is_complete(host, &Netns::Root, Topic::NetnsList) {
            missing.push(Topic::NetnsList.command(&Netns::Root));
        }
        for (_, netns, _) in self.namespaces(host) {
            if matches!(netns, Netns::Nameless { .. }) {
                continue;
            }
            match self.search(host, netns, Topic::Links, &mut searched) {
                Ok(()) => searched.namespaces += usize::from(netns.name().is_some()),
                Err(command) => missing.push(command),
            }
        }
        if missing.is_empty() { Presence::No(searched) } else { Presence::Unknown(missing) }
    }

    /// Whether a namespace holds an address.
    pub fn address_presence(&self, host: HostId, netns: &Netns, ip: IpAddr) -> Presence {
        let here = |id: &&NodeId| {
            self.node(**id)
                .is_some_and(|node| node.host == Some(host) && node.netns.as_ref() == Some(netns))
        };
        if let Some(&id) = self.find_address(ip).iter().find(here) {
            return Presence::Yes(id);
        }
        let namespaces = usize::from(netns.name().is_some());
        let mut searched =
            Searched { keys: vec![ip.to_string()], namespaces, ..Searched::default() };
        match self.search(host, netns, Topic::Addresses, &mut searched) {
            Ok(()) => Presence::No(searched),
            Err(command) => Presence::Unknown(vec![command]),
        }
    }

    /// Counts the best complete text as searched; else the command that is missing.
    fn search(
        &self,
        host: HostId,
        netns: &Netns,
        topic: Topic,
        searched: &mut Searched,
    ) -> Result<(), Need> {
        match self.coverage.of(host, netns, topic) {
            Coverage::Complete(sources) => {
                // Of several, the one that says most is the best to show.
                let details = self.coverage.of(host, netns, Topic::LinkDetails).sources();
                let best =
                    sources.iter().find(|source| details.contains(source)).or(sources.first());
                if let Some(&source) = best {
                    let records =
                        self.snapshot.reading(source).map_or(0, |reading| reading.records.len());
                    searched.sources.push((source, records));
                }
                Ok(())
            }
            _ => Err(topic.command(netns)),
        }
    }

    /// The namespaces of a host: root, then by name.
    pub fn namespaces(&self, host: HostId) -> Vec<(NodeId, &Netns, &NetnsNode<'_>)> {
        let Some(keys) = self.keys.host(host) else { return Vec::new() };
        keys.namespaces
            .iter()
            .filter_map(|(netns, it)| {
                let id = it.node?;
                match &self.node(id)?.data {
                    NodeData::Netns(data) => Some((id, netns, data)),
                    _ => None,
                }
            })
            .collect()
    }

    /// The name of a host; empty for an id of another topology.
    pub fn host_name(&self, host: HostId) -> &str {
        self.snapshot.host(host).map_or("", |host| host.name.as_str())
    }

    /// All captured hosts, in their order.
    pub fn host_ids(&self) -> impl Iterator<Item = HostId> + use<> {
        (0..self.snapshot.captured.hosts.len()).filter_map(|at| u32::try_from(at).ok()).map(HostId)
    }

    /// The node of a captured host.
    pub fn host_node(&self, host: HostId) -> Option<NodeId> {
        self.keys.host(host)?.node
    }
}
