//! The gateway of a guest, which nobody looks into: where DHCP does not tell it (`ovn.rs`), a port of a
//! router on its segment, else whom the host itself goes out by there.
use std::net::IpAddr;

use tapline_core::span::Evidence;
use tapline_topology::NodeId;
use tapline_topology::graph::{Netdev, NetdevKind};

use crate::{Item, defs, l3, uplink};

use super::Tracer;

/// Whom a guest sends to what is not on its link.
#[derive(Clone, Debug)]
pub(super) struct Gateway {
    /// Its address.
    pub(super) ip: IpAddr,
    /// The device that has it, where that was captured.
    pub(super) device: Option<NodeId>,
    /// The line that shows it.
    pub(super) at: Evidence,
    /// Why it is thought to be, where nothing makes it a router of the guest's network.
    pub(super) guess: Option<String>,
}

impl Tracer<'_, '_> {
    /// The gateway of a guest that has an address, or whose address is not known.
    pub(super) fn gateway(&self, nic: NodeId, from: Option<IpAddr>) -> Option<Gateway> {
        let tap = self.tap_of(nic)?;
        let network = self.network;
        let (mut far, mut hosts) = (None, Vec::new());
        for address in network.addresses() {
            let net = ipnet::IpNet::new(address.ip, address.prefix);
            let holds = match from {
                Some(from) => net.is_ok_and(|net| net.contains(&from) && net.prefix_len() > 0),
                None => address.ip.is_ipv4() && !address.ip.is_loopback(),
            };
            if !holds || network.is_outdated(address.host) {
                continue;
            }
            let near = self.share(tap, address.data.netdev);
            let Some(device) = network.netdev(address.data.netdev).filter(|_| near != Some(false))
            else {
                continue;
            };
            let found = || Gateway {
                ip: address.ip,
                device: Some(device.id),
                at: address.line(),
                guess: None,
            };
            let routes = device.name().starts_with("qr-") || defs::is_router_netns(device.netns());
            match (routes, near) {
                (true, Some(true)) => return Some(found()),
                (true, _) if from.is_some() => far = far.or_else(|| Some(found())),
                (false, Some(true)) if device.netns().is_root() => hosts.push(found()),
                _ => {}
            }
        }
        let host = hosts.into_iter().find_map(|host| self.beyond_host(host));
        host.or_else(|| {
            let far = far?;
            let guess = format!("the guest's network is that of the router with {}", far.ip);
            Some(Gateway { guess: Some(guess), ..far })
        })
    }

    /// Where the host goes out by the segment of a guest itself, its own next hop there is the better
    /// guess: it is a member of the network as the guest is, and not its router. It is the router
    /// itself only of a network that no port of the bridge leads out of.
    fn beyond_host(&self, host: Gateway) -> Option<Gateway> {
        let device = host.device.and_then(|device| self.network.netdev(device))?;
        let name = device.name();
        let anywhere: IpAddr = match host.ip {
            IpAddr::V4(_) => IpAddr::from([8, 8, 8, 8]),
            IpAddr::V6(_) => IpAddr::from([0x2001, 0x4860, 0x4860, 0, 0, 0, 0, 0x8888]),
        };
        let fib = self.network.fib(device.host, device.netns());
        let decided = fib.and_then(|fib| fib.lookup(&l3::Query::own(anywhere)).known());
        let next = decided.and_then(|decision| {
            let hop = decision.hops().iter().find(|hop| hop.dev == name)?;
            Some((hop.gateway?, hop.evidence))
        });
        if let Some((ip, at)) = next {
            let guess = format!("the guest's gateway is {ip}, as it is the host's by {name}");
            return Some(Gateway { ip, device: None, at, guess: Some(guess) });
        }
        let guess = format!("the guest's gateway is {}, the host's own address on {name}", host.ip);
        self.is_closed(device).then_some(Gateway { guess: Some(guess), ..host })
    }

    /// Whether no port of the bridge that a device is leads out of the host.
    fn is_closed(&self, device: Item<'_, Netdev<'_>>) -> bool {
        let network = self.network;
        if let Some(interface) = network.interface_of(device.id) {
            let Some(bridge) = network.bridge_called(device.host, &interface.data.bridge) else {
                return false;
            };
            let stays = |kind: &str| {
                matches!(kind, "" | "system" | "internal" | "tap") || kind.starts_with("dpdkvhost")
            };
            let ports = defs::interfaces_of(network, bridge.id);
            return !uplink::has_uplink(network, device.host, bridge.name())
                && ports.iter().all(|port| stays(&port.data.kind));
        }
        let leads_out = |member: &Item<'_, Netdev<'_>>| {
            uplink::is_uplink(member) || member.kind == NetdevKind::Tunnel
        };
        !network.members(device.id).iter().any(leads_out)
    }
}
