//! What a finding is about, as keys that two findings may share.
use std::collections::BTreeSet;
use std::net::IpAddr;

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_topology::graph::VmNic;
use tapline_topology::{NodeData, NodeId, names};

use crate::lint::engine::ctx::Ctx;
use crate::lint::engine::finding::Finding;
use crate::lint::engine::rule::Join;
use crate::lint::engine::subject::{About, Other, Subject};
use tapline_network::Item;

/// Something that two findings may share.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Key<'t> {
    Host,
    Bridge(&'t str),
    Device(&'t str),
    Port(&'t str),
    Netns(&'t str),
    Address(IpAddr),
    Vm(&'t str),
    OfHost(HostId),
    Node(NodeId),
}

/// Names that are taken from the list of further objects of one finding.
const MOST: usize = 1000;

/// What a finding is about.
#[derive(Debug, Default)]
pub(super) struct Touch {
    pub(super) devices: BTreeSet<String>,
    pub(super) nodes: BTreeSet<NodeId>,
    pub(super) netns: BTreeSet<String>,
    ports: BTreeSet<String>,
    bridges: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
    vms: BTreeSet<String>,
    hosts: BTreeSet<HostId>,
}

impl Touch {
    /// Of one finding.
    pub(super) fn of(finding: &Finding, ctx: &Ctx<'_>) -> Self {
        let mut touch = Self::default();
        touch.netns.extend(finding.netns.as_ref().and_then(Netns::name).map(str::to_owned));
        for subject in [&finding.subject].into_iter().chain(finding.also.iter().take(MOST)) {
            touch.subject(subject, finding, ctx);
        }
        for node in finding.node.iter().chain(&finding.nodes).take(MOST) {
            touch.node(*node, ctx);
        }
        touch.hosts.extend([finding.host].iter().chain(&finding.peers));
        touch
    }

    fn subject(&mut self, subject: &Subject, finding: &Finding, ctx: &Ctx<'_>) {
        self.addresses.extend(subject.address());
        if let About::Other(Other::TunnelPair { from, to }) = &subject.about {
            self.addresses.extend([from, to].iter().filter_map(|end| end.parse::<IpAddr>().ok()));
        }
        let Some(device) = subject.device() else { return };
        self.port(device);
        let netns = finding.netns.as_ref().unwrap_or(&Netns::Root);
        if let Some(device) = ctx.netdev_called(finding.host, netns, device) {
            self.nodes.insert(device.id);
        }
        if let Some(interface) = ctx.interface_called(finding.host, device) {
            self.node(interface.id, ctx);
        }
    }

    fn port(&mut self, name: &str) {
        self.ports.extend(names::port_prefix(name).map(str::to_owned));
        // The two ends of the pair between a router and its floating addresses.
        let pair = name.strip_prefix("rfp-").or_else(|| name.strip_prefix("fpr-"));
        self.ports.extend(pair.map(|router| format!("rfp-{router}")));
        self.devices.insert(name.to_owned());
    }

    fn node(&mut self, id: NodeId, ctx: &Ctx<'_>) {
        if !self.nodes.insert(id) {
            return;
        }
        let Some(node) = ctx.topology.node(id) else { return };
        match &node.data {
            NodeData::OvsBridge(_) => {
                self.bridges.insert(node.name.to_string());
            }
            NodeData::OvsInterface(_) => self.interface(id, ctx),
            NodeData::OvsPort(port) => {
                self.bridges.insert(port.bridge.to_string());
                self.port(&node.name);
                let interface =
                    node.host.and_then(|host| ctx.topology.find_ovs_interface(host, &node.name));
                if let Some(interface) = interface {
                    self.node(interface, ctx);
                }
            }
            NodeData::Netdev(_) => {
                self.port(&node.name);
                self.addresses.extend(ctx.addresses_of(id).iter().map(|address| address.ip));
                if !ctx.members(id).is_empty() {
                    self.bridges.insert(node.name.to_string());
                }
                self.bridges.extend(ctx.master(id).map(|master| master.name().to_owned()));
                if let Some(interface) = ctx.interface_of(id) {
                    self.node(interface.id, ctx);
                }
            }
            NodeData::VmNic(_) => {
                if let Some(nic) = ctx.vm_nic(id) {
                    self.nic(nic, ctx);
                }
            }
            NodeData::Vm(vm) => {
                self.vms.extend(vm.uuid.as_ref().map(|uuid| uuid.value.to_string()));
            }
            NodeData::Netns(_) => {
                self.netns.insert(node.name.to_string());
            }
            NodeData::Address(address) => {
                self.addresses.insert(address.ip);
                self.nodes.insert(address.netdev);
                if let Some(device) = ctx.netdev(address.netdev) {
                    self.port(device.name());
                }
            }
            NodeData::TunnelEndpoint(tunnel) => {
                let ends = [&tunnel.local, &tunnel.remote];
                self.addresses.extend(ends.into_iter().flatten().map(|end| end.value));
                self.node(tunnel.owner, ctx);
            }
            NodeData::Host(_)
            | NodeData::RemoteHost(_)
            | NodeData::RouteTable(_)
            | NodeData::Logical(_) => {}
        }
    }

    fn interface(&mut self, id: NodeId, ctx: &Ctx<'_>) {
        let Some(interface) = ctx.ovs_interface(id) else { return };
        self.port(interface.name());
        self.nodes.extend(ctx.topology.find_ovs_port(interface.host, &interface.port));
        if let Some(device) = ctx.device_of(id) {
            self.nodes.insert(device.id);
            self.netns.extend(device.netns().name().map(str::to_owned));
        }
        for end in ["local_ip", "remote_ip"] {
            let ip = interface.data.option(end);
            self.addresses.extend(ip.and_then(|ip| ip.value.parse::<IpAddr>().ok()));
        }
        if interface.kind != "patch" {
            self.bridges.insert(interface.bridge.to_string());
            return;
        }
        // A patch is about the bridge that it ties to the integration bridge.
        let peer = interface.data.option("peer").map_or("", |option| option.value.as_str());
        let peer = ctx.interface_called(interface.host, peer);
        self.devices.extend(peer.map(|peer| peer.name().to_owned()));
        let far = peer.map(|peer| peer.bridge.to_string());
        let named = || {
            let end = interface.name().strip_prefix("int-")?;
            ctx.bridge_called(interface.host, end).map(|bridge| bridge.name().to_owned())
        };
        let far = far.or_else(named);
        if !ctx.is_integration_called(interface.host, &interface.bridge) || far.is_none() {
            self.bridges.insert(interface.bridge.to_string());
        }
        self.bridges.extend(far.filter(|far| !ctx.is_integration_called(interface.host, far)));
    }

    fn nic(&mut self, nic: Item<'_, VmNic<'_>>, ctx: &Ctx<'_>) {
        if let Some(target) = &nic.data.target {
            self.port(&target.value);
            if let Some(device) = ctx.netdev_called(nic.host, &Netns::Root, &target.value) {
                self.nodes.insert(device.id);
            }
        }
        if let Some(bridge) = &nic.data.bridge {
            self.ports.extend(names::port_prefix(&bridge.value).map(str::to_owned));
        }
        let id = nic.data.interface_id.as_ref().and_then(|id| id.value.get(..11));
        self.ports.extend(id.map(str::to_owned));
        let uuid = ctx.vm(nic.vm).and_then(|vm| vm.data.uuid.as_ref());
        self.vms.extend(uuid.map(|uuid| uuid.value.to_string()));
    }

    /// The keys by which a join looks.
    pub(super) fn keys(&self, join: Join) -> Vec<Key<'_>> {
        let devices = || self.devices.iter().map(|device| Key::Device(device));
        match join {
            Join::Host => vec![Key::Host],
            Join::Bridge => self.bridges.iter().map(|bridge| Key::Bridge(bridge)).collect(),
            Join::Device => devices().collect(),
            Join::Port => devices().chain(self.ports.iter().map(|port| Key::Port(port))).collect(),
            Join::Netns => self.netns.iter().map(|netns| Key::Netns(netns)).collect(),
            Join::Address | Join::AnyAddress => {
                self.addresses.iter().map(|address| Key::Address(*address)).collect()
            }
            Join::Peer => self.hosts.iter().map(|host| Key::OfHost(*host)).collect(),
            Join::Vm => self.vms.iter().map(|vm| Key::Vm(vm)).collect(),
            Join::Above => self.nodes.iter().map(|node| Key::Node(*node)).collect(),
        }
    }
}
