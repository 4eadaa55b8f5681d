//! Virtual machines: `virsh list`, domain XML, qemu processes and `virsh domiflist` joined, and
//! their NICs attached to host devices.
mod draft;

use std::collections::{BTreeMap, HashMap};

use draft::{Draft, NicDraft, first, xml_class};
use tapline_core::Name;
use tapline_core::capture::Source;
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::libvirt::{Domain, DomainState};
use tapline_core::span::{At, Evidence};

use super::{Texts, records};
use crate::coverage::Topic;
use crate::graph::{
    Confidence, Conflict, ConflictKind, EdgeKind, Fact, NetdevKind, Node, NodeData, NodeId,
    Topology, VmNic, Witness, WitnessClass,
};
use crate::names;

/// Adds machines, their NICs and the edges to host devices of one host.
pub(crate) fn link<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    let mut drafts: BTreeMap<Name, Draft<'a>> = BTreeMap::new();
    let mut uuids: HashMap<Name, Name> = HashMap::new();
    xml(texts, &mut drafts, &mut uuids);
    states(topology, texts, &mut drafts, &mut uuids);
    qemu(texts, &mut drafts, &uuids);
    interfaces(texts, &mut drafts);
    let mut nics = Vec::new();
    for (name, draft) in drafts {
        add(topology, texts, name, draft, &mut nics);
    }
    attach(topology, texts, nics);
}

/// Domain XML: that of running domains first.
fn xml<'a>(
    texts: &Texts<'a>,
    drafts: &mut BTreeMap<Name, Draft<'a>>,
    uuids: &mut HashMap<Name, Name>,
) {
    let mut all: Vec<(&Source, &Domain)> = texts
        .of(records!(Domains))
        .into_iter()
        .flat_map(|(source, domains)| domains.iter().map(move |it| (source, it)))
        .collect();
    all.sort_by_key(|(source, it)| (!it.live, source.id));
    let listed = Listed::new(texts);
    for (source, domain) in all {
        let row = listed.row_of(domain);
        let Some(name) = domain.name.as_ref().or_else(|| row?.name.as_ref()) else { continue };
        // Without `--inactive` libvirt prints the XML of a running domain as it runs.
        let is_fragment = domain.hypervisor.is_none() && source.command.program() == "virsh";
        let asked_live = !source.command.args().iter().any(|word| word == "--inactive");
        let runs = is_fragment && asked_live && row.is_some_and(|row| row.id.is_some());
        let is_live = domain.live || runs;
        let draft = drafts.entry(name.value.clone()).or_default();
        let id = source.id;
        draft.see(id, domain.at);
        first(&mut draft.vm.uuid, id, domain.uuid.as_ref());
        first(&mut draft.vm.id, id, domain.id.as_ref());
        first(&mut draft.vm.nova_name, id, domain.nova_name.as_ref());
        if let Some(state) = &domain.state {
            first(&mut draft.vm.state, id, Some(state));
        }
        if let Some(uuid) = &domain.uuid {
            uuids.entry(uuid.value.clone()).or_insert_with(|| name.value.clone());
        }
        draft.runs |= is_live;
        // What the persistent XML adds to a running domain is not there before its next start.
        let adds = !draft.live || is_live;
        draft.live |= is_live;
        for nic in &domain.nics {
            draft.xml_nic(id, nic, is_live, adds);
        }
    }
}

/// The rows of `virsh list`, to tell which domain a part of its XML is about: the command that
/// printed the part may give the name, the id or the UUID.
struct Listed<'a> {
    rows: Vec<&'a DomainState>,
}

impl<'a> Listed<'a> {
    fn new(texts: &Texts<'a>) -> Self {
        let lists = texts.of(records!(DomainStates));
        Self { rows: lists.into_iter().flat_map(|(_, rows)| rows).collect() }
    }

    fn row_of(&self, domain: &Domain) -> Option<&'a DomainState> {
        self.rows.iter().copied().find(|row| {
            same(domain.name.as_ref(), row.name.as_ref())
                || same(domain.uuid.as_ref(), row.uuid.as_ref())
                || domain.name.is_none() && same(domain.id.as_ref(), row.id.as_ref())
        })
    }
}

/// Whether both are known, and the same.
fn same<T: PartialEq>(one: Option<&At<T>>, other: Option<&At<T>>) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.value == other.value)
}

/// `virsh list`.
fn states<'a>(
    topology: &Topology<'a>,
    texts: &Texts<'a>,
    drafts: &mut BTreeMap<Name, Draft<'a>>,
    uuids: &mut HashMap<Name, Name>,
) {
    let mut complete = topology.coverage.is_complete(texts.host, &Netns::Root, Topic::Domains);
    for &(source, _) in &texts.all {
        let asks = source.request.topics().any(|(topic, _)| topic == Topic::Domains);
        let lists_running = source
            .command
            .args()
            .iter()
            .all(|word| !word.starts_with("--with") && word != "--inactive");
        if asks && lists_running && texts.is_complete(source.id) {
            complete = true;
        }
    }
    for (source, rows) in texts.of(records!(DomainStates)) {
        for row in rows {
            let by_uuid = || uuids.get(row.uuid.as_ref()?.as_str()).cloned();
            let uuid_only = || row.uuid.as_ref().map(|uuid| uuid.value.clone());
            let name = row.name.as_ref().map(|name| name.value.clone());
            let Some(name) = name.or_else(by_uuid).or_else(uuid_only) else { continue };
            let draft = drafts.entry(name.clone()).or_default();
            draft.see(source.id, row.at);
            first(&mut draft.vm.uuid, source.id, row.uuid.as_ref());
            first(&mut draft.vm.id, source.id, row.id.as_ref());
            if let Some(state) = &row.state {
                // The list is the word of libvirt of this moment; a `<domstatus>` is older.
                if draft.listed.is_none() {
                    draft.vm.state = Some(Fact::new(source.id, state.clone()));
                    draft.listed = Some(is_active(state));
                }
            } else if row.id.is_some() {
                draft.listed = Some(true);
            }
        }
    }
    for draft in drafts.values_mut() {
        // Running domains are in every complete list.
        draft.vm.active = match draft.listed {
            Some(active) => Some(active),
            None if complete => Some(false),
            None => draft.runs.then_some(true),
        };
    }
}

fn is_active(state: &str) -> bool {
    !matches!(state, "shut off" | "crashed" | "pmsuspended" | "no state" | "shut")
}

/// qemu processes.
fn qemu<'a>(
    texts: &Texts<'a>,
    drafts: &mut BTreeMap<Name, Draft<'a>>,
    uuids: &HashMap<Name, Name>,
) {
    for (source, processes) in texts.of(records!(QemuProcesses)) {
        for process in processes {
            let by_uuid = || uuids.get(process.uuid.as_ref()?.as_str()).cloned();
            let by_name = || process.name.as_ref().map(|name| name.value.clone());
            let Some(name) = by_uuid().or_else(by_name) else { continue };
            let draft = drafts.entry(name).or_default();
            draft.see(source.id, process.at);
            first(&mut draft.vm.uuid, source.id, process.uuid.as_ref());
            // A process is there; a list that does not have it was taken at another time.
            if draft.vm.active.is_none() {
                draft.vm.active = Some(true);
            }
            for nic in &process.nics {
                let Some(mac) = &nic.mac else { continue };
                let evidence = mac.evidence(source.id);
                let words = format!("qemu has mac {}", mac.value);
                let witness = Witness::at(WitnessClass::Daemon, evidence, words);
                let at = draft.nics.find(mac.value).unwrap_or_else(|| {
                    draft.nics.push(NicDraft::bare(Fact::new(source.id, *mac), evidence))
                });
                let Some(known) = draft.nics.get_mut(at) else { continue };
                known.nic.live = true;
                known.seen.push(evidence);
                known.mac.push(witness);
                if let Some(ifname) = &nic.ifname {
                    let words = format!("qemu opened {}", ifname.value);
                    let at = ifname.evidence(source.id);
                    first(&mut known.nic.target, source.id, Some(ifname));
                    known.target.push(Witness::at(WitnessClass::Daemon, at, words));
                }
            }
        }
    }
}

/// `virsh domiflist DOMAIN`: the domain is that of the command.
fn interfaces<'a>(texts: &Texts<'a>, drafts: &mut BTreeMap<Name, Draft<'a>>) {
    for (source, rows) in texts.of(records!(DomainInterfaces)) {
        let Some(domain) = source.request.object.as_deref() else { continue };
        let inactive = source.command.args().iter().any(|word| word == "--inactive");
        // A domain may be called by its id or UUID.
        let known = drafts.contains_key(domain);
        let name = drafts
            .iter()
            .filter(|_| !known)
            .find(|(_, it)| {
                it.vm.id.as_ref().is_some_and(|id| id.value.to_string() == domain)
                    || it.vm.uuid.as_ref().is_some_and(|uuid| uuid.value == domain)
            })
            .map_or_else(|| domain.into(), |(name, _)| name.clone());
        let draft = drafts.entry(name).or_default();
        // The live NICs by their devices: a machine may have thousands.
        let mut by_target: HashMap<Name, usize> = HashMap::new();
        for (at, nic) in draft.nics.iter().enumerate().filter(|(_, nic)| nic.nic.live) {
            if let Some(target) = &nic.nic.target {
                by_target.entry(target.value.clone()).or_insert(at);
            }
        }
        for row in rows {
            let evidence = Evidence { source: source.id, span: row.at };
            draft.see(source.id, row.at);
            let Some(mac) = &row.mac else { continue };
            let at = match draft.nics.find(mac.value) {
                Some(at) => at,
                None if inactive && draft.live => continue,
                None => {
                    // The XML gives the same device another MAC.
                    let other = row.target.as_ref().and_then(|target| by_target.get(&target.value));
                    if let Some(other) = other.and_then(|at| draft.nics.get_mut(*at)) {
                        let new = format!("domiflist: mac {}", mac.value);
                        let new = Witness::at(WitnessClass::Daemon, mac.evidence(source.id), new);
                        let old = other.nic.mac.as_ref().map(|it| {
                            Witness::at(
                                WitnessClass::Daemon,
                                it.evidence,
                                format!("mac {}", it.value),
                            )
                        });
                        other.conflicts.push(old.into_iter().chain([new]).collect());
                        continue;
                    }
                    let mut nic = NicDraft::bare(Fact::new(source.id, *mac), evidence);
                    nic.nic.live = row.target.is_some() && !inactive;
                    draft.nics.push(nic)
                }
            };
            let Some(known) = draft.nics.get_mut(at) else { continue };
            known.seen.push(evidence);
            first(&mut known.nic.kind, source.id, Some(&row.kind));
            if row.kind.value == "bridge" {
                first(&mut known.nic.bridge, source.id, row.source.as_ref());
            }
            let Some(target) = row.target.as_ref().filter(|_| !inactive) else { continue };
            let words = format!("domiflist: {}", target.value);
            let witness = Witness::at(WitnessClass::Daemon, target.evidence(source.id), words);
            match &known.nic.target {
                Some(old)
                    if old.value != target.value && known.nic.live && known.nic.xml.is_some() =>
                {
                    let words = format!("target dev {}", old.value);
                    let old = Witness::at(WitnessClass::Daemon, old.evidence, words);
                    known.conflicts.push(vec![old, witness]);
                }
                Some(old) if old.value != target.value => {}
                _ => {
                    first(&mut known.nic.target, source.id, Some(target));
                    known.target.push(witness);
                    if known.nic.live {
                        by_target.entry(target.value.clone()).or_insert(at);
                    }
                }
            }
        }
    }
}

fn add<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    name: Name,
    draft: Draft<'a>,
    nics: &mut Vec<(NodeId, NicDraft<'a>, Option<bool>)>,
) {
    let active = draft.vm.active;
    let label = name.clone();
    let witnesses = draft
        .seen
        .iter()
        .take(1)
        .map(|&seen| Witness::at(WitnessClass::Daemon, seen, "domain"))
        .collect();
    let vm = topology.add(Node {
        host: Some(texts.host),
        netns: None,
        name: name.clone(),
        seen: draft.seen,
        data: NodeData::Vm(draft.vm),
    });
    let keys = topology.keys.host_mut(texts.host);
    keys.vms.insert(name, vm);
    if let Some(host) = keys.node {
        topology.connect(vm, host, EdgeKind::OnHost, Confidence::Proven, witnesses);
    }
    for mut nic in draft.nics {
        let fields = std::mem::take(&mut nic.nic);
        // A NIC is called by its MAC; the device of the host has a node of its own.
        let name = match (&fields.mac, &fields.target) {
            (Some(mac), _) => Name::from(mac.value.to_string()),
            (None, Some(target)) => target.value.clone(),
            (None, None) => label.clone(),
        };
        let mut seen = Vec::new();
        for evidence in std::mem::take(&mut nic.seen) {
            if !seen.contains(&evidence) {
                seen.push(evidence);
            }
        }
        let belongs = seen
            .iter()
            .take(1)
            .map(|&seen| Witness::at(xml_class(fields.live), seen, "NIC of the domain"))
            .collect();
        let id = topology.add(Node {
            host: Some(texts.host),
            netns: None,
            name,
            seen,
            data: NodeData::VmNic(VmNic {
                vm,
                mac: fields.mac,
                target: fields.target,
                bridge: fields.bridge,
                interface_id: fields.interface_id,
                kind: fields.kind,
                xml: fields.xml,
                live: fields.live,
            }),
        });
        topology.connect(id, vm, EdgeKind::NicOf, Confidence::Proven, belongs);
        for witnesses in std::mem::take(&mut nic.conflicts) {
            let (kind, nodes) = (ConflictKind::VmNic, vec![id]);
            topology.conflicts.push(Conflict { kind, nodes, witnesses });
        }
        nics.push((id, nic, active));
    }
}

/// OVS interfaces and taps by what they say of a guest.
struct Guests {
    iface_ids: HashMap<Name, Vec<NodeId>>,
    macs: HashMap<Mac, Vec<NodeId>>,
    taps: HashMap<[u8; 5], Vec<NodeId>>,
}

impl Guests {
    fn new(topology: &Topology<'_>, texts: &Texts<'_>) -> Self {
        let mut all =
            Self { iface_ids: HashMap::new(), macs: HashMap::new(), taps: HashMap::new() };
        let keys = topology.keys.host(texts.host);
        for &id in keys.into_iter().flat_map(|key| key.ovs_interfaces.values()) {
            let Some(data) = topology.ovs_interface(id) else { continue };
            for (key, value) in &data.external_ids {
                if key == "iface-id" {
                    all.iface_ids.entry(value.value.clone()).or_default().push(id);
                } else if key == "attached-mac"
                    && let Ok(mac) = value.value.parse()
                {
                    all.macs.entry(mac).or_default().push(id);
                }
            }
        }
        for (id, node, netdev) in topology.netdevs(texts.host) {
            let tap = matches!(netdev.kind, NetdevKind::Tap | NetdevKind::Macvtap);
            let root = node.netns.as_ref().is_none_or(Netns::is_root);
            if let (true, true, Some(mac)) = (tap, root, &netdev.mac) {
                all.taps.entry(tail(mac.value)).or_default().push(id);
            }
        }
        all
    }
}

/// What libvirt keeps of the guest's MAC in that of its tap.
fn tail(mac: Mac) -> [u8; 5] {
    let [_, tail @ ..] = mac.0;
    tail
}

fn attach<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    nics: Vec<(NodeId, NicDraft<'a>, Option<bool>)>,
) {
    let guests = Guests::new(topology, texts);
    for (id, draft, active) in nics {
        let Some(NodeData::VmNic(nic)) = topology.node(id).map(|node| &node.data) else { continue };
        let nic = nic.clone();
        let mut witnesses = draft.target;
        let named = nic.target.as_ref().and_then(|target| {
            topology.find_netdev(texts.host, &Netns::Root, &target.value).or_else(|| {
                // vhost-user: the OVS interface has no device.
                topology.find_ovs_interface(texts.host, &target.value)
            })
        });
        let tap = |mac: Mac| match guests.taps.get(&tail(mac)).map(Vec::as_slice) {
            Some([one]) => Some(*one),
            _ => None,
        };
        let mac = nic.mac.as_ref().map(|mac| mac.value);
        let (target, mut confidence) = match named {
            Some(it) => (it, if nic.live { Confidence::Proven } else { Confidence::Inferred }),
            // No text names the device: the one tap with the MAC of the guest is it.
            None if nic.target.is_none() && active != Some(false) => {
                let Some(it) = mac.and_then(tap) else { continue };
                (it, Confidence::Inferred)
            }
            None => continue,
        };
        if active == Some(false) {
            confidence = confidence.min(Confidence::Inferred);
        }
        witnesses.extend(draft.mac);
        if let (Some(mac), Some(netdev)) = (&nic.mac, topology.netdev(target))
            && let Some(tap) =
                netdev.mac.as_ref().filter(|it| it.value.same_but_first_octet(mac.value))
        {
            let words = format!("link/ether {} ends like the guest's", tap.value);
            witnesses.push(Witness::at(WitnessClass::Join, tap.evidence, words));
        }
        database(topology, &guests, id, &nic, target, &mut witnesses);
        topology.connect(id, target, EdgeKind::AttachesVm, confidence, witnesses);
    }
}

/// What the OVS database says of the guest behind a port: `iface-id` and `attached-mac`.
fn database(
    topology: &mut Topology<'_>,
    guests: &Guests,
    id: NodeId,
    nic: &VmNic<'_>,
    target: NodeId,
    witnesses: &mut Vec<Witness>,
) {
    let Some(device) = topology.node(target).map(|node| node.name.clone()) else { return };
    let mut found: Vec<NodeId> = Vec::new();
    if let Some(port) = &nic.interface_id {
        found.extend(guests.iface_ids.get(&port.value).into_iter().flatten());
    }
    if let Some(mac) = &nic.mac {
        found.extend(guests.macs.get(&mac.value).into_iter().flatten());
    }
    found.sort_unstable();
    found.dedup();
    let mut conflicts = Vec::new();
    for interface in found {
        let Some(node) = topology.node(interface) else { continue };
        let NodeData::OvsInterface(data) = &node.data else { continue };
        if node.name != device && !names::same_port(&node.name, &device) {
            continue;
        }
        let value =
            |key: &str| data.external_ids.iter().find(|(it, _)| it == key).map(|(_, it)| it);
        if let Some(port) = value("iface-id")
            && nic.interface_id.as_ref().is_some_and(|id| id.value == port.value)
        {
            let words = format!("iface-id {}", port.value);
            witnesses.push(Witness::at(WitnessClass::Daemon, port.evidence, words));
        }
        if let (Some(attached), Some(mac)) = (value("attached-mac"), &nic.mac) {
            let words = format!("attached-mac {}", attached.value);
            let witness = Witness::at(WitnessClass::Daemon, attached.evidence, words);
            match attached.value.parse::<Mac>() {
                Ok(it) if it == mac.value => witnesses.push(witness),
                Ok(_) if nic.live => {
                    let words = format!("mac {}", mac.value);
                    let own = Witness::at(WitnessClass::Daemon, mac.evidence, words);
                    conflicts.push(Conflict {
                        kind: ConflictKind::VmNic,
                        nodes: vec![id, interface],
                        witnesses: vec![own, witness],
                    });
                }
                _ => {}
            }
        }
    }
    topology.conflicts.append(&mut conflicts);
}
