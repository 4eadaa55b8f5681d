//! Nodes of the topology as values of CEL.
use std::collections::HashMap;
use std::sync::Arc;

use cel::Value;
use cel::objects::{Key, Map};
use serde_json::Value as Json;
use tapline_core::ids::Netns;
use tapline_topology::{EdgeKind, NodeData, NodeId, Topic, Topology};

use crate::render::node::{attributes, name};

/// A node with its fields; what is not known is not there.
pub(super) fn of(topology: &Topology<'_>, id: NodeId) -> Value {
    let mut map: HashMap<Key, Value> = HashMap::new();
    let mut put = |key: &str, value: Value| {
        map.insert(Key::String(Arc::new(key.replace('-', "_"))), value);
    };
    let Some(node) = topology.node(id) else { return Value::Null };
    put("kind", text(node.data.kind()));
    put("name", text(&name(topology, id)));
    if let Some(host) = node.host.and_then(|host| topology.snapshot.host(host)) {
        put("host", text(&host.name));
    }
    if let Some(netns) = &node.netns {
        put("netns", text(&netns.to_string()));
    }
    for (key, value) in attributes(topology, id) {
        put(key, value_of(&value));
    }
    if let NodeData::Netdev(it) = &node.data {
        if let Some(flags) = &it.flags {
            let all = flags.value.iter().map(|flag| text(flag)).collect();
            put("flags", Value::List(Arc::new(all)));
        }
        for (key, value) in
            [("admin_up", it.admin_up()), ("carrier", it.carrier()), ("usable", it.usable())]
        {
            if let Some(value) = value {
                put(key, Value::Bool(value));
            }
        }
        let (host, netns) = (node.host, node.netns.as_ref().unwrap_or(&Netns::Root));
        let told =
            host.is_some_and(|host| topology.coverage.is_complete(host, netns, Topic::Addresses));
        let none = topology.out(id, EdgeKind::HasAddress).is_empty();
        if told && none {
            put("addresses", Value::List(Arc::new(Vec::new())));
        }
    }
    Value::Map(Map { map: Arc::new(map) })
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(it) => Value::Bool(*it),
        // All numbers of the graph are counts and indexes: one type compares with literals.
        Json::Number(it) => match (it.as_i64(), it.as_f64()) {
            (Some(it), _) => Value::Int(it),
            (None, Some(it)) => Value::Float(it),
            _ => Value::Null,
        },
        Json::String(it) => text(it),
        Json::Array(all) => Value::List(Arc::new(all.iter().map(value_of).collect())),
        Json::Object(_) => Value::Null,
    }
}
