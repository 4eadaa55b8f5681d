//! What every guest and router reaches: its gateway, DHCP, metadata, the outside, its peers; each
//! there and back. Pods and containers are in `reach_pods`.
use std::collections::BTreeSet;
use std::sync::Arc;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Mac;
use tapline_topology::graph::VmNic;

use crate::router::Router;
use crate::{Item, Network, queues};

use super::{Outcome, Place, Question, Reason, Start, Trace, Tracer, Without};

/// Peers of a guest that are asked for.
pub(super) const MOST_PEERS: usize = 4;

/// What one NIC of a guest, or one router, reaches.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Its host.
    pub host: HostId,
    /// The VM, the pod or container, or the namespace of the router.
    pub vm: Name,
    /// Where its packets begin.
    pub start: Start,
    /// The device of the host that its NIC is.
    pub nic: Option<Name>,
    /// Its MAC.
    pub mac: Option<Mac>,
    /// Its address, where that is known.
    pub ip: Option<std::net::IpAddr>,
    /// Its network: the tunnel key, or the local VLAN.
    pub network: Option<String>,
    /// Each thing that was asked for, by name.
    pub cells: Vec<(&'static str, Cell)>,
    /// Other guests of its network.
    pub peers: Vec<Peer>,
}

/// One round trip.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Cell {
    /// Whether it works; `None` where that is not known.
    pub reached: Option<bool>,
    /// What becomes of the packet, or of its answer.
    pub outcome: Outcome,
    /// Why.
    pub reason: Option<Reason>,
    /// Where.
    pub at: Place,
    /// It is the answer that fails.
    pub back: bool,
    /// Where it works: hosts at whose devices nothing of `tc` was captured, nor is thought to act.
    pub queues_untold: Vec<HostId>,
}

/// The way to another guest.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Peer {
    /// The VM.
    pub vm: Name,
    /// Its address that was asked for.
    pub ip: std::net::IpAddr,
    /// The round trip.
    pub cell: Cell,
}

/// What is taken for granted of hosts where ways work, each once.
pub fn granted(network: &Network<'_>, rows: &[Row]) -> Vec<(HostId, String)> {
    let cells = rows.iter().flat_map(|row| {
        let peers = row.peers.iter().map(|peer| &peer.cell);
        row.cells.iter().map(|(_, cell)| cell).chain(peers)
    });
    let hosts: BTreeSet<HostId> =
        cells.flat_map(|cell| cell.queues_untold.iter().copied()).collect();
    hosts.into_iter().map(|host| (host, queues::assumption(network, host))).collect()
}

impl<'a> Tracer<'_, 'a> {
    /// What every running guest, pod and router reaches; only one guest or pod where it is named.
    pub fn reach(&self, only: Option<&str>) -> Vec<Row> {
        self.reach_without(only, None)
    }

    /// The same without what is taken away.
    pub fn reach_without(&self, only: Option<&str>, without: Option<&Arc<Without>>) -> Vec<Row> {
        let is_meant = |nic: Item<'a, VmNic<'a>>| {
            let vm = self.network.vm(nic.vm);
            vm.is_some_and(|vm| {
                let nova = vm.data.nova_name.as_ref().map(|name| name.value.as_str());
                only.is_none_or(|only| vm.name() == only || nova == Some(only))
            })
        };
        let mut rows = self.reach_of(&is_meant, only.is_none(), without);
        rows.extend(self.pod_rows(only, without));
        rows
    }

    /// The NICs of running guests, of the newest capture of each machine.
    pub fn running_nics(&self) -> Vec<Item<'a, VmNic<'a>>> {
        let network = self.network;
        let runs = |nic: &Item<'a, VmNic<'a>>| {
            let vm = network.vm(nic.vm);
            vm.is_some_and(|vm| vm.active == Some(true)) && !network.is_outdated(nic.host)
        };
        network.vm_nics().filter(runs).collect()
    }

    /// What some running guests reach, and every router where these are asked for too.
    pub fn reach_of(
        &self,
        is_meant: &dyn Fn(Item<'a, VmNic<'a>>) -> bool,
        routers: bool,
        without: Option<&Arc<Without>>,
    ) -> Vec<Row> {
        let network = self.network;
        let nics = self.running_nics();
        let mut rows: Vec<Row> = Vec::new();
        for nic in nics.iter().filter(|nic| is_meant(**nic)) {
            let Some(vm) = network.vm(nic.vm) else { continue };
            rows.push(self.row(*nic, vm.name().into(), &nics, without));
        }
        if routers {
            for router in Router::all(network) {
                let netns = router.netns;
                if network.is_outdated(netns.host) || !router.leads_outside(network) {
                    continue;
                }
                let start = Start::Netns(netns.host, netns.netns().clone());
                let cell = self.cell(start.clone(), "outside", without);
                rows.push(Row {
                    host: netns.host,
                    vm: netns.name().into(),
                    start,
                    nic: None,
                    mac: None,
                    ip: None,
                    network: None,
                    cells: vec![("outside", cell)],
                    peers: Vec::new(),
                });
            }
        }
        rows
    }

    fn row(
        &self,
        nic: Item<'a, VmNic<'a>>,
        vm: Name,
        all: &[Item<'a, VmNic<'a>>],
        without: Option<&Arc<Without>>,
    ) -> Row {
        let addresses = self.addresses_of_nic(nic);
        let tap = self.tap_of(nic.id);
        let segment = tap.and_then(|tap| self.segment(tap));
        let cells = ["gateway", "dhcp", "metadata", "outside"]
            .into_iter()
            .map(|to| (to, self.cell(Start::Guest(nic.id), to, without)))
            .collect();
        let mut peers = Vec::new();
        for other in all {
            if peers.len() >= MOST_PEERS {
                break;
            }
            let near = other.id != nic.id
                && tap
                    .zip(self.tap_of(other.id))
                    .is_some_and(|(a, b)| self.share(a, b) == Some(true));
            if !near {
                continue;
            }
            let Some((ip, _)) = self.addresses_of_nic(*other).into_iter().next() else { continue };
            let Some(vm) = self.network.vm(other.vm) else { continue };
            let cell = self.cell(Start::Guest(nic.id), &format!("ip:{ip}"), without);
            peers.push(Peer { vm: vm.name().into(), ip, cell });
        }
        Row {
            host: nic.host,
            vm,
            start: Start::Guest(nic.id),
            nic: nic.data.target.as_ref().map(|target| target.value.clone()),
            mac: nic.data.mac.as_ref().map(|mac| mac.value),
            ip: addresses.first().map(|(ip, _)| *ip),
            network: segment.map(|segment| segment.words()),
            cells,
            peers,
        }
    }

    /// The way of a packet to what a cell asks for, and that of its answer where it arrives; `None`
    /// where there is no such packet.
    pub fn round_trip(&self, start: Start, to: &str) -> Option<(Trace, Option<Trace>)> {
        let question = Question { to: Some(to.to_owned()), ..Question::default() };
        let query = self.query(&question, start).ok()?;
        let there = self.trace(&query);
        let arrives = there.verdict.reached == Some(true);
        let back = if arrives { self.answer(&query, &there) } else { None };
        Some((there, back))
    }

    /// Whether a round trip works.
    pub fn reaches(&self, start: Start, to: &str) -> Cell {
        self.cell(start, to, None)
    }

    /// One round trip.
    pub(super) fn cell(&self, start: Start, to: &str, without: Option<&Arc<Without>>) -> Cell {
        let question = Question { to: Some(to.to_owned()), ..Question::default() };
        let Ok(mut query) = self.query(&question, start) else {
            return Cell {
                reached: None,
                outcome: Outcome::Unknown,
                reason: Some(Reason::NotCaptured),
                at: Place::default(),
                back: false,
                queues_untold: Vec::new(),
            };
        };
        query.without = without.cloned();
        let there = self.trace(&query);
        let verdict = &there.verdict;
        let cell = Cell {
            reached: verdict.reached,
            outcome: verdict.outcome,
            reason: verdict.reason,
            at: verdict.place.clone(),
            back: false,
            queues_untold: Vec::new(),
        };
        if verdict.reached != Some(true) {
            return cell;
        }
        let untold = |trace: &Trace| trace.end.clone().map_or(Vec::new(), |end| end.queues_untold);
        match self.answer(&query, &there) {
            Some(back) if back.verdict.reached != Some(true) => Cell {
                reached: back.verdict.reached,
                outcome: back.verdict.outcome,
                reason: back.verdict.reason,
                at: back.verdict.place.clone(),
                back: true,
                queues_untold: Vec::new(),
            },
            Some(back) => {
                let both = untold(&there).into_iter().chain(untold(&back));
                let hosts: BTreeSet<HostId> = both.collect();
                Cell { queues_untold: hosts.into_iter().collect(), ..cell }
            }
            None => Cell { reached: None, reason: Some(Reason::PacketOpen), back: true, ..cell },
        }
    }
}
