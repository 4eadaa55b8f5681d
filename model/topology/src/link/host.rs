//! Hosts and their namespaces.
use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::ids::Netns;
use tapline_core::records::Batch;
use tapline_core::records::host::Fact as HostFact;
use tapline_core::records::ovs::{OvsRow, lookup};
use tapline_core::span::Evidence;

use super::{Texts, records};
use crate::graph::{
    Confidence, EdgeKind, Fact, Host, NetnsNode, Node, NodeData, NodeId, Topology, Witness,
    WitnessClass,
};

/// Adds the node of a host and those of its namespaces: root, then by name.
pub(crate) fn link(topology: &mut Topology<'_>, texts: &Texts<'_>) {
    let mut host = Host::default();
    let mut seen = Vec::new();
    for (source, facts) in texts.of(records!(HostFacts)) {
        for fact in facts {
            seen.push(Evidence { source: source.id, span: fact.at });
            match &fact.fact {
                HostFact::Uname { release, .. } => {
                    host.kernel.get_or_insert(Fact::new(source.id, release.clone()));
                }
                HostFact::Os(name) => {
                    host.os.get_or_insert(Fact::new(source.id, name.clone()));
                }
                _ => {}
            }
        }
    }
    for (source, rows) in texts.of(records!(Ovs)) {
        for row in rows {
            if let OvsRow::OpenVswitch(database) = &row.row
                && let Some(id) = lookup(&database.external_ids, "system-id")
            {
                host.system_id.get_or_insert(Fact::new(source.id, id.clone()));
            }
        }
    }
    let name = texts.snapshot.host(texts.host).map(|host| Name::from(host.name.as_str()));
    let node = topology.add(Node {
        host: Some(texts.host),
        netns: None,
        name: name.unwrap_or_default(),
        seen,
        data: NodeData::Host(host),
    });
    topology.keys.host_mut(texts.host).node = Some(node);

    for (netns, (data, seen)) in namespaces(texts) {
        add(topology, texts, netns, data, seen);
    }
}

/// Namespaces that are listed or that a command ran in.
fn namespaces<'a>(texts: &Texts<'_>) -> BTreeMap<Netns, (NetnsNode<'a>, Vec<Evidence>)> {
    let mut all: BTreeMap<Netns, (NetnsNode<'a>, Vec<Evidence>)> = BTreeMap::new();
    all.entry(Netns::Root).or_default();
    for (source, entries) in texts.of(records!(NetnsList)) {
        if !source.netns.is_root() {
            // The ids that are printed inside a namespace mean nothing elsewhere.
            continue;
        }
        for entry in entries {
            let Some(name) = &entry.name else { continue };
            let (data, seen) = all.entry(Netns::Named(name.value.clone())).or_default();
            let evidence = Evidence { source: source.id, span: entry.at };
            data.listed.get_or_insert(evidence);
            if let Some(nsid) = &entry.nsid {
                data.nsid.get_or_insert(Fact::new(source.id, *nsid));
            }
            if !seen.contains(&evidence) {
                seen.push(evidence);
            }
        }
    }
    for &(source, batch) in &texts.all {
        if let Batch::Links(links) = batch {
            for netns in links.iter().filter_map(|link| link.netns.as_ref()) {
                if !all.get(netns).is_some_and(|(data, _)| data.captured) {
                    all.entry(netns.clone()).or_default().0.captured = true;
                }
            }
        }
        let failed = texts.snapshot.completeness(source.id).is_failed();
        if source.netns.is_root() && batch.is_empty() {
            continue;
        }
        match all.get_mut(&source.netns) {
            Some((data, _)) => data.captured |= !failed,
            None => {
                all.entry(source.netns.clone()).or_default().0.captured = !failed;
            }
        }
    }
    all
}

fn add<'a>(
    topology: &mut Topology<'a>,
    texts: &Texts<'_>,
    netns: Netns,
    data: NetnsNode<'a>,
    seen: Vec<Evidence>,
) -> NodeId {
    let witnesses =
        data.listed.iter().map(|&it| Witness::at(WitnessClass::Kernel, it, "listed")).collect();
    let node = topology.add(Node {
        host: Some(texts.host),
        netns: Some(netns.clone()),
        name: Name::from(netns.to_string()),
        seen,
        data: NodeData::Netns(data),
    });
    let host = topology.keys.host_mut(texts.host);
    host.namespaces.entry(netns).or_default().node = Some(node);
    if let Some(host) = host.node {
        topology.connect(node, host, EdgeKind::OnHost, Confidence::Proven, witnesses);
    }
    node
}

/// The node of a namespace; made where something only points there.
pub(crate) fn ensure(topology: &mut Topology<'_>, texts: &Texts<'_>, netns: &Netns) -> NodeId {
    match topology.keys.netns(texts.host, netns).and_then(|netns| netns.node) {
        Some(node) => node,
        None => add(topology, texts, netns.clone(), NetnsNode::default(), Vec::new()),
    }
}
