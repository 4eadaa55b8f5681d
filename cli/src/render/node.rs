//! How nodes of the topology are called and described, in all forms.
use serde_json::Value;
use tapline_topology::graph::{Confidence, LogicalKind, NetdevKind};
use tapline_topology::{EdgeKind, Node, NodeData, NodeId, Topology};

/// A property of a node: name and value.
pub(crate) type Attribute = (&'static str, Value);

/// What a node is, in a word or two: `veth`, `OVS port`, `VM`.
pub(crate) fn noun(node: &Node<'_>) -> &'static str {
    match &node.data {
        NodeData::Host(_) => "host",
        NodeData::RemoteHost(_) => "host that was not captured",
        NodeData::Netns(_) => "namespace",
        NodeData::Vm(_) => "VM",
        NodeData::VmNic(_) => "NIC of a VM",
        NodeData::Netdev(it) => match it.kind {
            NetdevKind::Unknown => "device",
            NetdevKind::Physical => "physical NIC",
            NetdevKind::OvsInternal => "internal port of OVS",
            NetdevKind::OvsDatapath => "OVS datapath",
            NetdevKind::OvsTunnelVport => "OVS tunnel device",
            kind => kind.as_str(),
        },
        NodeData::OvsBridge(_) => "OVS bridge",
        NodeData::OvsPort(_) => "OVS port",
        NodeData::OvsInterface(_) => "OVS interface",
        NodeData::TunnelEndpoint(_) => "tunnel endpoint",
        NodeData::Address(_) => "address",
        NodeData::RouteTable(_) => "routing table",
        NodeData::Logical(it) => match it.kind {
            LogicalKind::Switch => "network of OVN",
            LogicalKind::Router => "router of OVN",
            LogicalKind::SwitchPort => "logical port",
            LogicalKind::RouterPort => "port of a router of OVN",
            LogicalKind::LoadBalancer => "load balancer of OVN",
            LogicalKind::Chassis => "chassis of OVN",
        },
    }
}

/// The name of a node as a person says it. A port that is called as its bridge is said once.
pub(crate) fn name(topology: &Topology<'_>, id: NodeId) -> String {
    let Some(node) = topology.node(id) else { return String::new() };
    match &node.data {
        NodeData::OvsPort(it) if it.bridge == node.name => node.name.to_string(),
        NodeData::OvsInterface(it) if it.bridge == node.name => node.name.to_string(),
        NodeData::Address(it) => format!("{}/{}", it.ip, it.prefix),
        NodeData::TunnelEndpoint(it) => {
            let remote =
                it.remote.as_ref().map_or("any".to_owned(), |remote| remote.value.to_string());
            format!("{} to {remote}", it.kind)
        }
        _ => topology.name(id),
    }
}

/// Its properties, those that people ask for first.
pub(crate) fn attributes(topology: &Topology<'_>, id: NodeId) -> Vec<Attribute> {
    let mut all = Vec::new();
    let Some(node) = topology.node(id) else { return all };
    let mut put = |name: &'static str, value: Option<Value>| {
        all.extend(value.map(|value| (name, value)));
    };
    let text = |text: &str| (!text.is_empty()).then(|| Value::from(text));
    match &node.data {
        NodeData::Host(it) => {
            put("kernel", it.kernel.as_ref().and_then(|kernel| text(&kernel.value)));
            put("system-id", it.system_id.as_ref().and_then(|id| text(&id.value)));
        }
        NodeData::RemoteHost(it) => put("ip", text(&it.ip.to_string())),
        NodeData::Netns(it) => {
            put("nsid", it.nsid.as_ref().map(|nsid| nsid.value.into()));
            put("captured", Some(it.captured.into()));
        }
        NodeData::Vm(it) => {
            put("state", it.state.as_ref().and_then(|state| text(&state.value)));
            put("nova-name", it.nova_name.as_ref().and_then(|name| text(&name.value)));
            put("uuid", it.uuid.as_ref().and_then(|uuid| text(&uuid.value)));
            put("id", it.id.as_ref().map(|id| id.value.into()));
        }
        NodeData::VmNic(it) => {
            put("mac", it.mac.as_ref().and_then(|mac| text(&mac.value.to_string())));
            put("target", it.target.as_ref().and_then(|target| text(&target.value)));
            put("bridge", it.bridge.as_ref().and_then(|bridge| text(&bridge.value)));
            put("interface-id", it.interface_id.as_ref().and_then(|id| text(&id.value)));
            put("type", it.kind.as_ref().and_then(|kind| text(&kind.value)));
        }
        NodeData::Netdev(it) => {
            put("type", Some(it.kind.as_str().into()));
            put("index", it.index.as_ref().map(|index| index.value.0.into()));
            put("state", it.state.as_ref().and_then(|state| text(&state.value)));
            put("mtu", it.mtu.as_ref().map(|mtu| mtu.value.into()));
            put("mac", it.mac.as_ref().and_then(|mac| text(&mac.value.to_string())));
            put("master", it.master.as_ref().and_then(|master| text(&master.value)));
            put("captured", it.stub.then(|| false.into()));
            let addresses: Vec<Value> = topology
                .out(id, EdgeKind::HasAddress)
                .into_iter()
                .map(|(address, _)| name(topology, address).into())
                .collect();
            put("addresses", (!addresses.is_empty()).then(|| addresses.into()));
        }
        NodeData::OvsBridge(it) => {
            put("fail-mode", it.fail_mode.as_ref().and_then(|mode| text(&mode.value)));
            put("datapath-type", it.datapath_type.as_ref().and_then(|it| text(&it.value)));
            let controllers: Vec<Value> = it
                .controllers
                .iter()
                .map(|controller| controller.target.value.as_str().into())
                .collect();
            put("controllers", (!controllers.is_empty()).then(|| controllers.into()));
        }
        NodeData::OvsPort(it) => {
            put("bridge", text(&it.bridge));
            put("tag", it.tag.as_ref().map(|tag| tag.value.into()));
            let trunks: Vec<Value> = it.trunks.iter().map(|trunk| trunk.value.into()).collect();
            put("trunks", (!trunks.is_empty()).then(|| trunks.into()));
            put("vlan-mode", it.vlan_mode.as_ref().and_then(|mode| text(&mode.value)));
        }
        NodeData::OvsInterface(it) => {
            put("bridge", text(&it.bridge));
            put("type", text(if it.kind.is_empty() { "system" } else { &it.kind }));
            put("error", it.error.as_ref().and_then(|error| text(&error.value)));
            put("ofport", it.ofport.as_ref().map(|ofport| ofport.value.into()));
            for (key, value) in &it.options {
                match key.as_str() {
                    "peer" => put("peer", text(&value.value)),
                    "local_ip" => put("local-ip", text(&value.value)),
                    "remote_ip" => put("remote-ip", text(&value.value)),
                    "key" => put("key", text(&value.value)),
                    _ => {}
                }
            }
        }
        NodeData::TunnelEndpoint(it) => {
            put("type", text(&it.kind));
            put("local", it.local.as_ref().and_then(|local| text(&local.value.to_string())));
            put("remote", it.remote.as_ref().and_then(|remote| text(&remote.value.to_string())));
            put("dst-port", it.dst_port.as_ref().map(|port| port.value.into()));
            put("key", it.key.as_ref().and_then(|key| text(&key.value)));
        }
        NodeData::Address(it) => {
            put("ip", text(&it.ip.to_string()));
            put("prefix", Some(it.prefix.into()));
        }
        NodeData::RouteTable(it) => put("routes", Some(it.routes.len().into())),
        NodeData::Logical(it) => {
            let list = |all: Vec<String>| {
                let all: Vec<Value> = all.into_iter().map(Value::from).collect();
                (!all.is_empty()).then(|| Value::from(all))
            };
            let others = it.names.iter().filter(|name| **name != node.name);
            put("names", list(others.map(ToString::to_string).collect()));
            put("macs", list(it.macs.iter().map(ToString::to_string).collect()));
            put("addresses", list(it.addresses.iter().map(ToString::to_string).collect()));
        }
    }
    all
}

/// What a node is and what people ask for first, for one line of a tree. An OVS interface and its
/// port are shown as one.
pub(crate) fn facts(topology: &Topology<'_>, id: NodeId) -> Vec<String> {
    let Some(node) = topology.node(id) else { return Vec::new() };
    let mut facts = vec![noun(node).to_owned()];
    let mut properties = attributes(topology, id);
    match &node.data {
        NodeData::OvsInterface(it) => {
            if it.port == node.name {
                facts = vec!["OVS port".to_owned()];
            }
            for (port, _) in topology.out(id, EdgeKind::OvsInterfaceOf) {
                properties.extend(attributes(topology, port));
            }
        }
        NodeData::OvsPort(it) if it.interfaces <= 1 => {
            for (interface, _) in topology.into(id, EdgeKind::OvsInterfaceOf) {
                properties.extend(attributes(topology, interface));
            }
        }
        _ => {}
    }
    for attribute in properties {
        let told = match attribute.0 {
            "tag" | "trunks" | "addresses" | "mtu" | "nova-name" | "error" | "local" => true,
            // A system device says so itself.
            "type" => node.data.kind().starts_with("ovs-") && attribute.1 != "system",
            // Both of these mean that it works.
            "state" => attribute.1 != "UP" && attribute.1 != "UNKNOWN",
            "captured" => attribute.1 == false,
            "mac" => matches!(node.data, NodeData::VmNic(_)),
            _ => false,
        };
        let fact = attribute_text(&attribute);
        if told && !fact.is_empty() && !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts
}

/// `tag 1`, `mtu 1450`, `192.168.0.1/24, fe80::1/64`: a property for people.
pub(crate) fn attribute_text((name, value): &Attribute) -> String {
    match (*name, value) {
        ("addresses", Value::Array(all)) => addresses_text(all),
        ("type" | "state", value) => value_text(value),
        ("captured", Value::Bool(false)) => "not captured".to_owned(),
        ("captured", _) => String::new(),
        ("mac", value) => value_text(value),
        (name, value) => format!("{} {}", name.replace('-', " "), value_text(value)),
    }
}

/// Addresses for people: without the link-local ones, which every device has.
fn addresses_text(all: &[Value]) -> String {
    let wide: Vec<_> = all.iter().map(value_text).filter(|it| !it.starts_with("fe80:")).collect();
    wide.join(", ")
}

fn value_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(value_text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

/// How sure an edge is, where it is not proven: empty, `?`, `??`.
pub(crate) fn confidence_mark(confidence: Confidence) -> &'static str {
    match confidence {
        Confidence::Proven => "",
        Confidence::Inferred => "?",
        Confidence::Conventional => "??",
    }
}
