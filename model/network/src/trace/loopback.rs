//! What a namespace sends to an address of its own: it leaves by loopback and comes in by it, past the
//! chains of both ways, with the connection and the route that it had (`ip_route_output_key_hash_rcu`,
//! net/ipv4/route.c; drivers/net/loopback.c keeps both).
use std::net::IpAddr;

use tapline_core::ids::Mac;
use tapline_topology::graph::NetdevKind;

use crate::hooks::frames::Hook as Frames;
use crate::l3;
use crate::queues::Hook;

use super::netfilter::{Pass, Stage};
use super::{At, Outcome, Reason, Walk, Way};

impl Walk<'_, '_, '_> {
    /// Sends a packet to an address of the namespace: by loopback, or by the VRF that it belongs to.
    pub(super) fn send_to_self(&mut self, way: Way, pass: Pass, to: IpAddr) {
        let loopback = self.network.topology.find_netdev(pass.host, &pass.netns, "lo");
        let vrf = match self.vrf_of(&pass) {
            Some(l3::Domain::Vrf(vrf)) => Some(vrf.id),
            _ => None,
        };
        let device =
            vrf.or(loopback).or_else(|| self.owns(pass.host, &pass.netns, to).map(|own| own.0));
        let stage = if pass.rerouted { Stage::Postrouting } else { Stage::Output };
        let output = device.map(|device| (device, None));
        self.go(way, At::Stack(Pass { output, to_self: true, ..pass }.at(stage)));
    }

    /// Takes in by loopback what was sent by it.
    pub(super) fn go_round(&mut self, mut way: Way, pass: Pass) {
        let Some((node, _)) = pass.output else {
            let place = self.place_of(&pass);
            self.unknown(&mut way, place, Reason::NotCaptured, Vec::new());
            return;
        };
        let Some(device) = self.device(node) else { return };
        // Where only the device of the address was captured it stands for loopback, which it is not.
        if device.kind == NetdevKind::Loopback {
            if device.admin_up() == Some(false) {
                let at = device.flags.as_ref().map(|flags| flags.evidence);
                let place = self.place(node);
                self.lost(&mut way, Outcome::Blackholed, Reason::IfAdminDown, place, at);
                return;
            }
            if !self.pass_frames(&mut way, device, Frames::Egress, (None, Some(node)))
                || !self.pass_queues(&mut way, device, Hook::Egress)
                || !self.pass_queues(&mut way, device, Hook::Queue)
                || !self.pass_queues(&mut way, device, Hook::Ingress)
                || !self.pass_frames(&mut way, device, Frames::Ingress, (Some(node), None))
            {
                return;
            }
        }
        let own = Some(Mac([0; 6]));
        way.packet.set_macs(own, own);
        let pass = Pass { input: Some(node), output: None, ..pass };
        self.go(way, At::Stack(pass.at(Stage::Prerouting)));
    }
}
