//! Which names a capture has: of hosts, guests, namespaces, networks, devices.
use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use tapline_core::capture::Snapshot;
use tapline_core::host::is_anybodys;
use tapline_core::ids::Netns;
use tapline_core::records::Visitor;
use tapline_core::span::Span;

/// Kinds of records that have names of their own; in others they only occur again.
const KINDS: &[&str] = &[
    "host-fact",
    "domain",
    "domain-state",
    "qemu-process",
    "netns",
    "network",
    "network-state",
    "lldp-neighbour",
    "managed-device",
    "link",
    "bridge",
    "bridge-port",
    "bond",
    "ovs",
    "netfilter-table",
];
/// What people called something: replaced as a whole.
const GIVEN: &[&str] = &[
    "host-fact.value",
    "host-fact.value.name",
    "host-fact.value.space",
    "host-fact.value.node",
    "host-fact.value.pod_name",
    "domain.name",
    "domain.title",
    "domain.nova_name",
    "domain.nics.network",
    "domain-state.name",
    "domain-state.title",
    "qemu-process.name",
    "network.name",
    "network.portgroups",
    "network-state.name",
    "lldp-neighbour.system",
    "lldp-neighbour.chassis",
    "lldp-neighbour.port_description",
    "ovs.alias",
    "ovs.hostname",
    "ovs.options.requested-chassis",
    "ovs.options.network_name",
    "ovs.other_config.physical_network",
    "ovs.external_ids.name",
    "ovs.external_ids.hostname",
    "ovs.external_ids.vm-name",
    "ovs.external_ids.neutron:host_id",
];
/// What programs and people call things by parts: words of programs in it stay.
const MADE: &[&str] = &[
    "netns.name",
    "link.name",
    "link.altnames",
    "link.lower_netns.name",
    "bridge.name",
    "bridge.ports",
    "bridge-port.name",
    "bond.name",
    "managed-device.dev",
    "managed-device.configuration",
    "ovs.name",
    "ovs.logical_port",
    "ovs.bridges.name",
    "ovs.ports.name",
    "ovs.interfaces.name",
    "ovs.external_ids.iface-id",
];
/// What `ovn-nbctl`'s users gave names to.
const GIVEN_IDS: &[&str] = &["_name"];
/// Facts of hosts that are names.
const FACTS: &[&str] = &["hostname", "uname", "guest"];
/// Longest name; longer ones are texts.
const LONGEST: usize = 253;
/// Levels of records that are looked into.
const DEPTH: usize = 6;

/// The names of captures.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// What people called something.
    pub(crate) given: BTreeSet<String>,
    /// What is called by words of programs, and perhaps others.
    pub(crate) made: BTreeSet<String>,
    /// Namespaces with the names of their pods.
    pub(crate) pods: BTreeSet<(String, String)>,
}

impl Names {
    pub(crate) fn of(snapshots: &[&Snapshot]) -> Self {
        let mut names = Self::default();
        for snapshot in snapshots {
            for host in &snapshot.captured.hosts {
                names.host(&host.name);
            }
            for (source, reading) in snapshot.iter() {
                if let Netns::Named(name) = &source.netns {
                    let name = name.as_str();
                    // `docker:web`, as the command that entered it says.
                    names.made(name.split_once(':').map_or(name, |(_, name)| name));
                }
                let kind = reading.records.kind();
                if KINDS.contains(&kind) {
                    reading.records.visit(&mut Look { kind, names: &mut names });
                }
            }
        }
        names
    }

    fn given(&mut self, name: &str) {
        if is_name(name) {
            self.given.insert(name.to_owned());
        }
    }

    fn made(&mut self, name: &str) {
        if is_name(name) && !name.contains('/') {
            self.made.insert(name.to_owned());
        }
    }

    /// The name of a machine with its domain, each for itself.
    fn host(&mut self, name: &str) {
        if is_anybodys(name) {
            return;
        }
        self.given(name);
        if let Some((short, domain)) = name.split_once('.') {
            if !is_anybodys(short) {
                self.given(short);
            }
            if domain.contains('.') {
                self.given(domain);
            }
        }
    }
}

/// Whether a text is a name that can be looked for: one with a letter, on one line.
fn is_name(name: &str) -> bool {
    let is_placeholder = matches!(name, "None" | "none" | "-" | "n/a" | "N/A" | "(none)");
    name.len() <= LONGEST
        && !is_placeholder
        && name.chars().any(char::is_alphabetic)
        && !name.chars().any(char::is_control)
        && name.chars().next().is_some_and(char::is_alphanumeric)
}

/// Looks through records.
struct Look<'n> {
    kind: &'static str,
    names: &'n mut Names,
}

impl Visitor for Look<'_> {
    fn record<T: Serialize + 'static>(&mut self, _: Span, record: &T) {
        let Ok(value) = serde_json::to_value(record) else { return };
        let fact = value.get("fact").and_then(Value::as_str);
        if fact.is_some_and(|fact| !FACTS.contains(&fact)) {
            return;
        }
        let text = |key: &str| value.pointer(&format!("/value/{key}")).and_then(Value::as_str);
        if let Some((space, name)) = text("space").zip(text("pod_name").or(text("name"))) {
            self.names.pods.insert((space.to_owned(), name.to_owned()));
        }
        if self.kind == "domain" {
            self.nova(&value);
        }
        self.look(self.kind, &value, 0);
    }
}

impl Look<'_> {
    fn look(&mut self, path: &str, value: &Value, depth: usize) {
        if depth > DEPTH {
            return;
        }
        match value {
            Value::Object(all) => {
                for (key, value) in all {
                    self.look(&format!("{path}.{key}"), value, depth + 1);
                }
            }
            Value::Array(all) => all.iter().for_each(|value| self.look(path, value, depth + 1)),
            Value::String(text) => self.text(path, text),
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn text(&mut self, path: &str, text: &str) {
        let is_host = matches!(path, "host-fact.value" | "host-fact.value.node")
            || path.ends_with("hostname")
            || path.ends_with("requested-chassis");
        let of_ovn = path.starts_with("ovs.external_ids.")
            && GIVEN_IDS.iter().any(|end| path.ends_with(end));
        if is_host {
            self.names.host(text);
        } else if path.ends_with("iface-id") {
            // OVN-Kubernetes: the namespace, then the name of the pod.
            for part in text.split('_') {
                self.names.made(part);
            }
        } else if GIVEN.contains(&path) || of_ovn {
            self.names.given(text);
        } else if MADE.contains(&path) {
            self.names.made(text);
        }
    }

    /// Whose an instance is.
    fn nova(&mut self, value: &Value) {
        let fields = value.get("nova").and_then(Value::as_array);
        for field in fields.into_iter().flatten() {
            let text = |key: &str| field.get(key).and_then(Value::as_str).unwrap_or_default();
            if text("key").starts_with("owner/") {
                self.names.given(text("value"));
            }
        }
    }
}
