//! Devices on devices: VLAN, macvlan, macvtap, ipvlan and tunnels on what carries them, also
//! across namespaces (a VLAN that was moved keeps its lower device).
use tapline_core::Name;
use tapline_core::ids::{IfIndex, Netns};
use tapline_core::records::link::{LowerRef, NetnsRef};

use super::Texts;
use super::netdev;
use crate::graph::{
    Confidence, EdgeKind, NetdevKind, NodeData, NodeId, Topology, Witness, WitnessClass,
};
use crate::names;

/// Adds the edges from stacked devices to their lower ones.
pub(crate) fn link<'a>(topology: &mut Topology<'a>, texts: &Texts<'a>) {
    let ids: Vec<NodeId> = topology.netdevs(texts.host).map(|(id, _, _)| id).collect();
    for id in ids {
        if let Some((lower, confidence, witnesses)) = find(topology, texts, id) {
            topology.connect(id, lower, EdgeKind::StackedOn, confidence, witnesses);
        }
    }
}

fn find<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'a>,
    id: NodeId,
) -> Option<(NodeId, Confidence, Vec<Witness>)> {
    let node = topology.node(id)?;
    let NodeData::Netdev(device) = &node.data else { return None };
    if device.stub {
        return None;
    }
    let kind = device.kind;
    let stacked = matches!(
        kind,
        NetdevKind::Vlan
            | NetdevKind::Macvlan
            | NetdevKind::Macvtap
            | NetdevKind::Ipvlan
            | NetdevKind::Macsec
            | NetdevKind::Tunnel
    );
    if !stacked && kind != NetdevKind::Unknown {
        return None;
    }
    let netns = node.netns.clone().unwrap_or_default();
    let mut witnesses = Vec::new();
    // `dev NAME` of a tunnel.
    let tunnel = device.records.iter().find_map(|record| {
        Some((record.source, record.record.kind_data.tunnel.as_ref()?.dev.as_ref()?))
    });
    if let Some((source, dev)) = tunnel {
        let lower = match &device.lower_netns {
            None => topology.find_netdev(texts.host, &netns, dev)?,
            Some(place) => {
                let index = index_of(topology, texts, &netns, dev)?;
                match other_netns(topology, texts, &netns, Some(&place.value)) {
                    Some(made_in) => topology.find_netdev_by_index(texts.host, &made_in, index)?,
                    None => moved_from(topology, texts, id, &netns, index)?.0,
                }
            }
        };
        let words = format!("dev {}", dev.value);
        witnesses.push(Witness::at(WitnessClass::Kernel, dev.evidence(source), words));
        return Some((lower, Confidence::Proven, witnesses));
    }
    if kind == NetdevKind::Tunnel && device.lower_netns.is_some() {
        // What stands behind `@` is its own index.
        return None;
    }
    if kind == NetdevKind::Vlan && device.lower.is_none() {
        // `ifconfig` and `brctl` print no `@`: the name alone tells the lower device.
        let (name, at) = (node.name.clone(), *node.seen.first()?);
        let (base, _) = name.rsplit_once('.').filter(|once| names::is_vlan_of(&name, once.0))?;
        let lower = topology.find_netdev(texts.host, &netns, base)?;
        let words = format!("by the name {name}");
        return Some((
            lower,
            Confidence::Inferred,
            vec![Witness::at(WitnessClass::Kernel, at, words)],
        ));
    }
    let lower = device.lower.clone()?;
    let place = device.lower_netns.clone();
    match lower.value {
        LowerRef::None => None,
        LowerRef::Name(name) if place.is_none() => {
            let words = format!("@{name}");
            witnesses.push(Witness::at(WitnessClass::Kernel, lower.evidence, words));
            let found = topology.find_netdev(texts.host, &netns, &name);
            if !stacked {
                // Without the kind the only stacks that are clear are those on a NIC or a bond.
                let found = found?;
                let carrier = topology.netdev(found)?;
                let carries = matches!(
                    carrier.kind,
                    NetdevKind::Physical | NetdevKind::Bond | NetdevKind::Team
                );
                let alone = carrier.lower.is_none();
                return (carries && alone && !names::stays_in_root(&topology.node(id)?.name))
                    .then_some((found, Confidence::Inferred, witnesses));
            }
            // Elided text: the lower device is known by its name only.
            let found = match found {
                Some(found) => found,
                None => netdev::ensure(topology, texts, &netns, &name, lower.evidence, true),
            };
            Some((found, Confidence::Proven, witnesses))
        }
        LowerRef::Name(_) => None,
        LowerRef::Index(index) if stacked => {
            let place_ref = place.as_ref().map(|place| &place.value);
            if let (false, Some(NetnsRef::Id(_))) = (netns.is_root(), place_ref) {
                let (found, netns) = moved_from(topology, texts, id, &netns, index)?;
                let words = format!("@if{index}; of the captured namespaces {netns} alone has it");
                witnesses.push(Witness::at(WitnessClass::Kernel, lower.evidence, words));
                return Some((found, Confidence::Inferred, witnesses));
            }
            let netns = other_netns(topology, texts, &netns, place_ref)?;
            let found = topology.find_netdev_by_index(texts.host, &netns, index)?;
            let words = format!("@if{index} in {netns}");
            witnesses.push(Witness::at(WitnessClass::Kernel, lower.evidence, words));
            if let Some(place) = place {
                witnesses.push(Witness::at(
                    WitnessClass::Kernel,
                    place.evidence,
                    "lower namespace",
                ));
            }
            Some((found, Confidence::Proven, witnesses))
        }
        LowerRef::Index(_) => None,
    }
}

/// The index that `dev NAME` of a tunnel stands for whose lower device is in another namespace: `ip`
/// looks the index up among the names of the namespace that it runs in.
fn index_of(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
    netns: &Netns,
    dev: &str,
) -> Option<IfIndex> {
    let number = dev.strip_prefix("if").and_then(|number| number.parse::<u32>().ok());
    if let Some(number) = number {
        return Some(IfIndex(number));
    }
    let namesake = topology.find_netdev(texts.host, netns, dev)?;
    topology.netdev(namesake)?.index.as_ref().map(|index| index.value)
}

/// The device below one that was moved into a namespace, and the namespace of that device: the ids
/// that are printed in a namespace are its own, so only the index tells. It does where root was
/// captured and one namespace alone has a device with that index that may carry others, or one whose
/// name is that of a VLAN without the number.
fn moved_from(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
    device: NodeId,
    from: &Netns,
    index: IfIndex,
) -> Option<(NodeId, Netns)> {
    topology.find_netdev(texts.host, &Netns::Root, "lo")?;
    let name = &topology.node(device)?.name;
    let others = topology.keys.host(texts.host)?.namespaces.keys();
    let others = others.filter(|netns| !netns.is_root()).cloned();
    let all = std::iter::once(Netns::Root).chain(others).filter(|netns| netns != from);
    let mut found: Vec<(NodeId, Netns)> = Vec::new();
    for netns in all {
        let Some(id) = topology.find_netdev_by_index(texts.host, &netns, index) else { continue };
        let carries = topology
            .netdev(id)
            .is_some_and(|carrier| !carrier.stub && carrier.kind != NetdevKind::Loopback);
        if carries {
            found.push((id, netns));
        }
    }
    if found.len() > 1 {
        let is_base = |id: NodeId| {
            topology.node(id).is_some_and(|carrier| names::is_vlan_of(name, &carrier.name))
        };
        found.retain(|(id, _)| is_base(*id));
    }
    match found.len() {
        1 => found.pop(),
        _ => None,
    }
}

/// The namespace that `link-netns` or `link-netnsid` names, seen from `from`.
pub(crate) fn other_netns(
    topology: &Topology<'_>,
    texts: &Texts<'_>,
    from: &Netns,
    reference: Option<&NetnsRef>,
) -> Option<Netns> {
    match reference? {
        NetnsRef::Name(name) => Some(Netns::Named(name.clone())),
        NetnsRef::Id(nsid) if from.is_root() => Some(by_nsid(topology, texts, *nsid)),
        // Seen from a namespace, the one without a name is most often root, but it is not said.
        NetnsRef::Id(_) | NetnsRef::Unknown => None,
    }
}

/// The namespace with this id as seen from root: by its name, where the list of names has ids.
pub(crate) fn by_nsid(topology: &Topology<'_>, texts: &Texts<'_>, nsid: u32) -> Netns {
    let Some(keys) = topology.keys.host(texts.host) else { return Netns::Nameless { nsid } };
    let named = keys.namespaces.iter().find(|(_, it)| {
        let node = it.node.and_then(|it| topology.node(it));
        matches!(node.map(|node| &node.data),
            Some(NodeData::Netns(data)) if data.nsid.as_ref().is_some_and(|it| it.value == nsid))
    });
    named.map_or(Netns::Nameless { nsid }, |(netns, _)| netns.clone())
}

/// A short name for messages: `@if12` or `@name`.
pub(crate) fn words(lower: &LowerRef) -> Name {
    match lower {
        LowerRef::Name(name) => Name::from(format!("@{name}")),
        LowerRef::Index(index) => Name::from(format!("@if{index}")),
        LowerRef::None => Name::const_new("@NONE"),
    }
}
