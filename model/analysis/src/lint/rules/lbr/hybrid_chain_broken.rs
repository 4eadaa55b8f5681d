use std::collections::BTreeSet;

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::need::Need;
use tapline_core::records::link::NetnsRef;
use tapline_core::span::Evidence;
use tapline_topology::coverage::Searched;
use tapline_topology::graph::Netdev;
use tapline_topology::{EdgeKind, NodeId, Presence, Thing, Topic, names};

use crate::lint::{Ctx, Finding, Shape, Subject, Verdicts, declare_rule};
use tapline_network::{Item, User};

declare_rule! {
    code: "LBR-001",
    id: "hybrid-chain-broken",
    summary: "the way tap, qbr, qvb, qvo, br-int of a running VM is broken",
    severity: Error,
    confidence: Proven,
    page: "hybrid_chain_broken.md",
    layer: (L2Membership, 30),
    rank: 50,
    core: true,
    about: [Neutron],
    cuts: [ToSwitch],
    asks: [],
    after: [
        [cap::mixed_captures] by [Host],
        [ovs::ovs_controller_disconnected] if IntegrationBridge by [Host] for Unfinished,
        [ovs::ovs_dead_vlan] if Population by [Host] for Unfinished,
        [ovs::ovs_iface_error] by [Port],
        [ovs::ovs_port_no_netdev, ovs::ovs_nic_not_in_datapath] by [Port],
        [vm::vm_target_missing] by [Port],
        [vm::vm_target_wrong_bridge] by [Port],
        [lbr::membership_disagreement] by [Port],
        [vm::vm_target_missing] if Population by [Port],
        [vm::vm_source_missing] by [Port],
        [veth::veth_peer_broken] if SwitchedOff by [Port],
    ],
}

/// Label of the place where a device is that belongs elsewhere.
const ELSEWHERE: &str = "where it is";

fn check(ctx: &Ctx<'_>, out: &mut Verdicts) {
    for (host, port) in ports(ctx) {
        let chain = Chain { ctx, host, port: &port };
        match chain.user() {
            Some(true) => {}
            Some(false) => {
                out.clean();
                continue;
            }
            None => {
                out.cannot_tell(host, [Topic::Domains.command(&Netns::Root)]);
                continue;
            }
        }
        let mut open = Vec::new();
        let mut broken = None;
        let hops = chain.hops();
        let last = hops.len() - 1;
        for (at, hop) in hops.iter().enumerate() {
            match hop() {
                Hop::Whole => {}
                Hop::Broken(fault) => {
                    // Neutron's agent makes the last hop.
                    let shape = if at == last { Shape::Unfinished } else { Shape::One };
                    broken = Some((fault, shape));
                    break;
                }
                Hop::Unknown(missing) => open.extend(missing),
            }
        }
        match broken {
            Some((fault, shape)) => chain.report(out, *fault, shape),
            None if open.is_empty() => out.clean(),
            None => out.cannot_tell(host, open),
        }
    }
}

/// Hybrid ports: a bridge `qbr` with a tap in it or named in a VM's XML.
fn ports(ctx: &Ctx<'_>) -> BTreeSet<(HostId, Name)> {
    let mut all = BTreeSet::new();
    for nic in ctx.vm_nics() {
        if let Some(bridge) = &nic.data.bridge
            && let Some(port) = bridge.value.strip_prefix("qbr")
        {
            all.insert((nic.host, port.into()));
        }
    }
    for bridge in ctx.netdevs() {
        let tapped =
            || ctx.members(bridge.id).iter().any(|member| member.name().starts_with("tap"));
        if let Some(port) = bridge.name().strip_prefix("qbr")
            && names::port_prefix(bridge.name()).is_some()
            && tapped()
        {
            all.insert((bridge.host, port.into()));
        }
    }
    all
}

/// One hop of the chain.
#[derive(Debug)]
enum Hop {
    Whole,
    Broken(Box<Fault>),
    Unknown(Vec<Need>),
}

/// What is wrong at a hop.
#[derive(Debug)]
struct Fault {
    /// The device at fault, where it exists.
    node: Option<NodeId>,
    /// Its name.
    name: String,
    message: String,
    evidence: Vec<(Evidence, &'static str)>,
    searched: Option<Searched>,
    next: String,
}

/// The devices of one neutron port.
struct Chain<'c, 'a> {
    ctx: &'c Ctx<'a>,
    host: HostId,
    /// The start of the port's id, as in the names.
    port: &'c str,
}

impl<'a> Chain<'_, 'a> {
    fn name(&self, prefix: &str) -> String {
        format!("{prefix}{}", self.port)
    }

    fn find(&self, prefix: &str) -> Option<Item<'a, Netdev<'a>>> {
        self.ctx.netdev_called(self.host, &Netns::Root, &self.name(prefix))
    }

    /// Whether a VM uses the port. A tap with a carrier is held open by one, whatever libvirt
    /// says.
    fn user(&self) -> Option<bool> {
        match self.ctx.user_of(self.host, &self.name("tap")) {
            User::Running(_) => Some(true),
            User::Off(_) => Some(false),
            User::Nobody | User::Unknown(_) => match self.find("tap") {
                Some(tap) => tap.carrier(),
                None => Some(false),
            },
        }
    }

    /// The hops from the VM to the switch; later ones are looked at only while all before
    /// are whole or unknown.
    fn hops(&self) -> [Box<dyn Fn() -> Hop + '_>; 9] {
        [
            Box::new(|| self.exists("tap")),
            Box::new(|| self.exists("qbr")),
            Box::new(|| self.is_member("tap")),
            Box::new(|| self.is_up("qbr", false)),
            Box::new(|| self.exists("qvb")),
            Box::new(|| self.is_up("qvb", true)),
            Box::new(|| self.is_member("qvb")),
            Box::new(|| self.is_pair()),
            Box::new(|| self.is_ovs_port()),
        ]
    }

    fn exists(&self, prefix: &str) -> Hop {
        let name = self.name(prefix);
        match self.ctx.topology.netdev_presence(self.host, &Netns::Root, &name) {
            Presence::Yes(_) => Hop::Whole,
            Presence::Unknown(missing) => Hop::Unknown(missing),
            Presence::No(searched) => {
                let elsewhere = self.ctx.topology.find_netdevs(self.host, &name);
                let elsewhere = elsewhere.iter().find_map(|elsewhere| self.ctx.netdev(*elsewhere));
                let anywhere = || self.ctx.topology.netdev_presence_anywhere(self.host, &name);
                let twin = elsewhere.is_none().then(|| self.namespace_by_twin(prefix)).flatten();
                let message = match (elsewhere, twin) {
                    (Some(device), _) => {
                        format!("is in namespace {} and not in root", device.netns())
                    }
                    (None, Some((number, _))) => format!(
                        "is in a namespace that no list names (link-netnsid {number} of its other end), and not in root"
                    ),
                    (None, None) if matches!(anywhere(), Presence::No(_)) => {
                        "does not exist".to_owned()
                    }
                    // A namespace that was not captured may have it; the VM is cut off anyway.
                    (None, None) => "is not in namespace root".to_owned(),
                };
                let place = elsewhere.and_then(|elsewhere| elsewhere.place());
                let by_twin = twin.map(|(_, at)| (at, ELSEWHERE));
                let evidence =
                    place.map(|place| (place, ELSEWHERE)).into_iter().chain(by_twin).collect();
                Hop::Broken(Box::new(Fault {
                    node: None,
                    next: format!("ip -d link show {name}"),
                    name,
                    message,
                    evidence,
                    searched: Some(searched),
                }))
            }
        }
    }

    /// The namespace of one end of the pair, by the number that the other end gives it.
    fn namespace_by_twin(&self, prefix: &str) -> Option<(u32, Evidence)> {
        let twin = match prefix {
            "qvb" => self.find("qvo"),
            "qvo" => self.find("qvb"),
            _ => None,
        }?;
        twin.data.records.iter().find_map(|text| {
            let other = text.record.lower_netns.as_ref()?;
            match other.value {
                NetnsRef::Id(number) => Some((number, other.evidence(text.source))),
                NetnsRef::Name(_) | NetnsRef::Unknown => None,
            }
        })
    }

    /// `usable` asks for a carrier too.
    fn is_up(&self, prefix: &str, usable: bool) -> Hop {
        let Some(device) = self.find(prefix) else { return self.links() };
        let up = if usable { device.usable() } else { device.admin_up() };
        match up {
            Some(true) => Hop::Whole,
            None => self.links(),
            Some(false) => {
                let name = device.name();
                let state = match device.admin_up() {
                    Some(false) => "is administratively down",
                    _ => "has no carrier",
                };
                let flags = device.data.flags.as_ref().map(|flag| (flag.evidence, "its state"));
                // A device that is up has no carrier for the sake of its other end.
                let peer = self.ctx.veth_peer(device.id);
                let off = peer.filter(|peer| peer.admin_up() == Some(false));
                let next = match (device.admin_up(), off) {
                    (Some(false), _) => format!("ip link set {name} up"),
                    (_, Some(peer)) => {
                        let command = format!("ip link set {} up", peer.name());
                        tapline_network::defs::inside(peer.netns(), &command)
                    }
                    (_, None) => format!("ip -d link show {name}"),
                };
                Hop::Broken(Box::new(Fault {
                    node: Some(device.id),
                    name: name.to_owned(),
                    message: state.to_owned(),
                    evidence: flags.into_iter().collect(),
                    searched: None,
                    next,
                }))
            }
        }
    }

    fn is_member(&self, prefix: &str) -> Hop {
        let bridge = self.name("qbr");
        let Some(device) = self.find(prefix) else { return self.links() };
        if self.ctx.is_disputed(device.id) {
            // Two commands disagree: that is a finding of its own.
            return Hop::Unknown(vec![Topic::BridgeMembers.command(&Netns::Root)]);
        }
        let master = self.ctx.topology.out(device.id, EdgeKind::EnslavedTo).into_iter().next();
        let master = master.and_then(|(id, edge)| Some((self.ctx.topology.node(id)?, edge)));
        let (is, mut evidence) = match &master {
            Some((it, _)) if it.name == bridge => return Hop::Whole,
            Some((it, edge)) => {
                let place = edge.witnesses.first().map(|witness| (witness.evidence, "where it is"));
                (format!("in {} instead of {bridge}", it.name), Vec::from_iter(place))
            }
            None => {
                let missing = self.ctx.missing(self.host, &Netns::Root, &[Topic::BridgeMembers]);
                if !missing.is_empty() {
                    return Hop::Unknown(missing);
                }
                let place = device.place().map(|place| (place, "no `master`"));
                (format!("not in {bridge}"), Vec::from_iter(place))
            }
        };
        let place = self.find("qbr").and_then(|it| it.place());
        evidence.extend(place.map(|place| (place, "the bridge that lacks it")));
        Hop::Broken(Box::new(Fault {
            node: Some(device.id),
            name: device.name().to_owned(),
            message: format!("is {is}"),
            evidence,
            searched: None,
            next: format!("ip link set {} master {bridge}", device.name()),
        }))
    }

    /// The veth pair is one, and its far end is usable.
    fn is_pair(&self) -> Hop {
        let (Some(near), wanted) = (self.find("qvb"), self.name("qvo")) else {
            return self.links();
        };
        let Some(far) = self.ctx.veth_peer(near.id) else {
            return match self.exists("qvo") {
                Hop::Whole => self.is_up("qvo", true),
                other => other,
            };
        };
        if far.name() == wanted && far.netns().is_root() {
            return self.is_up("qvo", true);
        }
        let witnesses = self.ctx.topology.peer(near.id, EdgeKind::VethPeer);
        let witness =
            witnesses.and_then(|(_, edge)| edge.witnesses.first().map(|witness| witness.evidence));
        Hop::Broken(Box::new(Fault {
            node: Some(near.id),
            name: near.name().to_owned(),
            message: format!(
                "has {} of namespace {} at its other end instead of {wanted}",
                far.name(),
                far.netns(),
            ),
            evidence: witness.map(|witness| (witness, "its other end")).into_iter().collect(),
            searched: None,
            next: format!("ethtool -S {}", near.name()),
        }))
    }

    /// Whether the switch could make the port and let it through are rules of their own.
    fn is_ovs_port(&self) -> Hop {
        let name = self.name("qvo");
        if self.ctx.topology.find_ovs_port(self.host, &name).is_some() {
            return Hop::Whole;
        }
        let missing = self.ctx.missing(self.host, &Netns::Root, &[Topic::Ovs]);
        if !missing.is_empty() {
            return Hop::Unknown(missing);
        }
        let device = self.find("qvo");
        let place = device.and_then(|device| device.place()).map(|place| (place, "the device"));
        Hop::Broken(Box::new(Fault {
            node: device.map(|device| device.id),
            message: "is no port of any OVS bridge".to_owned(),
            evidence: place.into_iter().collect(),
            searched: None,
            next: format!("ovs-vsctl list interface {name}"),
            name,
        }))
    }

    fn links(&self) -> Hop {
        Hop::Unknown(self.ctx.missing(self.host, &Netns::Root, &[Topic::Links]))
    }

    fn report(&self, out: &mut Verdicts, fault: Fault, shape: Shape) {
        let message = format!("{}: the VM is cut off at this hop", fault.message);
        let finding: &mut Finding = match fault.node {
            Some(node) => out.fault(self.ctx, self.host, node, message),
            None => {
                let thing = Thing::Netdev { netns: Netns::Root, name: fault.name.into() };
                let finding = out.fire(self.host, Subject::absent(thing), message);
                finding.node = self.find("tap").map(|it| it.id);
                finding
            }
        };
        finding.shaped(shape);
        let found = fault.evidence.iter().any(|(_, label)| *label == ELSEWHERE);
        for (place, label) in fault.evidence {
            finding.primary(place, label);
        }
        if let Some(searched) = fault.searched {
            if found {
                finding.absent(searched);
            } else {
                finding.rests_on_absence(searched);
            }
        }
        if finding.evidence.is_empty() {
            let near = self.find("qbr").or_else(|| self.find("tap"));
            if let Some(place) = near.and_then(|near| near.place()) {
                finding.primary(place, "what it belongs to");
            }
        }
        for nic in self.ctx.nics_behind(self.host, &self.name("tap")) {
            if let Some(state) = self.ctx.state_of(nic.vm) {
                finding.context(state.evidence, "the VM that is cut off");
            }
        }
        finding.next(fault.next);
    }
}
