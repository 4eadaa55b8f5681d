//! A side that was written down: the things of each host by the keys, values and words in which captures
//! are compared, without what changes by itself and without lists of flows, rules and settings.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::ids::{Mac, Netns};
use tapline_core::span::Evidence;

use super::entity::{Class, Entity, Key, Kind, View};
use super::gather::{self, place};
use super::side::Side;
use super::traces::{Strong, Trace, Traces};

/// Names that no value has: what is known of the thing itself.
const NAME: &str = "_name";
const LINK: &str = "_link";
const CLASS: &str = "_class";
const SCOPES: &str = "_scopes";
const OF: &str = "_of";
const UNSET: &str = "_unset";
const WHOLE: &str = "_whole";

/// Each device has half a hundred of them.
const FEATURE: &str = "feature ";

/// What parts several words of one text.
const COMMA: &str = ", ";

/// What was written down of one host. Whatever is empty may be left out.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Kept {
    /// MACs of its NICs, the permanent ones where known.
    pub nics: BTreeSet<Mac>,
    /// These are all of its NICs.
    pub all_nics: bool,
    /// VMs with their UUIDs.
    pub vms: BTreeMap<String, String>,
    /// By what devices are found again, in their namespaces (`namespace/name`).
    pub devices: BTreeMap<String, String>,
    /// By what ports of Open vSwitch are found again.
    pub ports: BTreeMap<String, String>,
    /// The local VLAN of each network of neutron.
    pub networks: BTreeMap<String, u16>,
    /// Kinds and places of which everything was captured: `netdev/qrouter-…`.
    pub whole: BTreeSet<String>,
    /// The things by their keys, with their values.
    pub things: BTreeMap<String, BTreeMap<String, String>>,
    /// Where things and their values stand.
    pub places: BTreeMap<(String, Option<String>), Evidence>,
}

/// Whether things of a kind are written down: what was set and is not a list of many.
pub(super) fn is_kept(kind: Kind) -> bool {
    match kind {
        Kind::Host
        | Kind::Vm
        | Kind::VmNic
        | Kind::Netns
        | Kind::Netdev
        | Kind::OvsBridge
        | Kind::OvsPort
        | Kind::BridgeVlan
        | Kind::Address
        | Kind::Route
        | Kind::Rule
        | Kind::OvnRow => true,
        Kind::Neighbour
        | Kind::Fdb
        | Kind::HaRouter
        | Kind::Chain
        | Kind::FilterRule
        | Kind::Flow
        | Kind::Setting => false,
    }
}

/// Things whose name is a value of theirs: it is that of their key unless it is told.
fn has_name(kind: Kind) -> bool {
    matches!(kind, Kind::Netdev | Kind::OvsPort | Kind::Vm)
}

/// Writes down a host of a captured side.
pub fn keep(side: &Side<'_, '_>, host: HostId) -> Kept {
    let view = gather::gather(side, host, None);
    let traces = Traces::of(side, host);
    let mut kept = Kept::default();
    if let Some(marks) = side.marks().into_iter().nth(host.0 as usize) {
        (kept.nics, kept.all_nics) = (marks.nics, marks.all_nics);
    }
    let uuids = traces.vms.iter().filter_map(|(vm, uuid)| Some((vm, uuid.as_ref()?)));
    kept.vms = uuids.map(|(vm, uuid)| (vm.to_string(), uuid.to_string())).collect();
    for ((netns, name), trace) in &traces.devices {
        if let Some(strong) = &trace.strong {
            kept.devices.insert(format!("{}/{name}", place(netns)), strong.text());
        }
    }
    let ports = traces.ports.iter().filter_map(|(name, id)| Some((name, id.as_ref()?)));
    kept.ports = ports.map(|(name, id)| (name.to_string(), id.clone())).collect();
    kept.networks = traces.networks;
    for (kind, place) in view.whole.iter().filter(|(kind, _)| is_kept(*kind)) {
        kept.whole.insert(format!("{}/{place}", kind.as_str()));
    }
    for (key, it) in view.entities.iter().filter(|(key, _)| is_kept(key.kind)) {
        if let Some(values) = values_of(key, it) {
            kept.things.insert(key.text(), values);
        }
    }
    kept
}

/// The values of a thing as they are written; `None` of a thing that comes and goes by itself and has
/// none.
fn values_of(key: &Key, it: &Entity) -> Option<BTreeMap<String, String>> {
    let mut values = BTreeMap::new();
    let mut unset = Vec::new();
    for (name, value) in it.values.iter().filter(|(_, value)| value.class.is_change()) {
        if name.starts_with(FEATURE) {
            continue;
        }
        match &value.text {
            Some(text) if is_told_by_key(key, name, text) => {}
            Some(text) => {
                values.insert(name.to_string(), text.clone());
            }
            None => unset.push(name.as_ref()),
        }
    }
    if it.class == Class::Noise && values.is_empty() {
        return None;
    }
    let mut own = |name: &str, text: String| values.insert(name.to_owned(), text);
    if unset != unset_of(key.kind) {
        own(UNSET, unset.join(COMMA));
    }
    if !it.whole.is_empty() {
        let groups: Vec<&str> = it.whole.keys().copied().collect();
        own(WHOLE, groups.join(COMMA));
    }
    if it.name != name_of(key) {
        own(NAME, it.name.clone());
    }
    if it.is_link {
        own(LINK, "yes".to_owned());
    }
    if it.class != Class::Config {
        own(CLASS, it.class.as_str().to_owned());
    }
    if it.scopes != scopes_of(key) {
        own(SCOPES, it.scopes.join(COMMA));
    }
    let vms = it.owners.iter().filter(|owner| owner.kind == Kind::Vm && **owner != *key);
    let vms: Vec<String> = vms.map(|owner| owner.id.clone()).collect();
    if !vms.is_empty() && key.kind != Kind::VmNic {
        own(OF, vms.join(COMMA));
    }
    Some(values)
}

/// Values that things of a kind do not have, as a rule.
fn unset_of(kind: Kind) -> &'static [&'static str] {
    match kind {
        Kind::Address => &["dadfailed", "tentative"],
        Kind::Netdev => &["master"],
        _ => &[],
    }
}

/// What a thing is called, as a rule.
fn name_of(key: &Key) -> String {
    match (key.kind, key.id.split_once(' ')) {
        (Kind::Address, Some((dev, address))) => format!("{address} dev {dev}"),
        (Kind::OvnRow, _) => format!("{} {}", key.place, key.id),
        _ => key.id.clone(),
    }
}

/// Where the absence of a thing counts, as a rule. A list of all tables shows the routes of each.
fn scopes_of(key: &Key) -> Vec<String> {
    let mut scopes = vec![key.place.clone()];
    if let (Kind::Route, Some((table_of, _))) = (key.kind, key.place.rsplit_once(' ')) {
        scopes.push(format!("{table_of} *"));
    }
    scopes
}

/// What the key of a thing says already.
fn is_told_by_key(key: &Key, name: &str, text: &str) -> bool {
    match name {
        "name" => has_name(key.kind) && text == key.id,
        "namespace" => key.kind == Kind::Netdev && text == namespace(&key.place),
        _ => false,
    }
}

fn namespace(place: &str) -> &str {
    if place.is_empty() { "root" } else { place }
}

impl Kept {
    /// The things as they are compared.
    pub(super) fn view(&self) -> View {
        let mut view = View { is_kept: true, ..View::default() };
        for text in &self.whole {
            if let Some((kind, place)) = text.split_once('/')
                && let Some(kind) = Kind::read(kind)
            {
                view.cover(kind, place);
            }
        }
        for (text, values) in &self.things {
            if let Some(key) = Key::read(text).filter(|key| is_kept(key.kind)) {
                view.add(self.entity(key, text, values));
            }
        }
        view
    }

    fn entity(&self, key: Key, text: &str, values: &BTreeMap<String, String>) -> Entity {
        let at = self.places.get(&(text.to_owned(), None)).copied();
        let own = |name: &str| values.get(name).map(String::as_str);
        let list = |name: &str| own(name).map(|text| text.split(COMMA)).into_iter().flatten();
        let netns = netns_of(&key);
        let name = own(NAME).map_or_else(|| name_of(&key), str::to_owned);
        let mut it = Entity::new(key.clone(), netns.clone(), name);
        it.at = at;
        it.is_link = own(LINK).is_some();
        if let Some(class) = own(CLASS).and_then(Class::read) {
            it.class = class;
        }
        it.scopes = match own(SCOPES) {
            Some("") => Vec::new(),
            Some(_) => list(SCOPES).map(str::to_owned).collect(),
            None => scopes_of(&key),
        };
        it.owners = list(OF).map(|vm| Key::new(Kind::Vm, "", vm)).collect();
        it.owners.extend(owner_of(&key, netns.as_ref(), values));
        for group in list(WHOLE) {
            // Only what is known can be asked for.
            let known = ["config", "id", "option ", "external_ids", "other_config"];
            let group = known.into_iter().find(|known| *known == group);
            it.whole.extend(group.map(|group| (group, at)));
        }
        for (name, value) in values.iter().filter(|(name, _)| !name.starts_with('_')) {
            let place = self.places.get(&(text.to_owned(), Some(name.clone()))).copied().or(at);
            it.set(Cow::Owned(name.clone()), Class::Config, Some(value.clone()), place);
        }
        let unset: Vec<&str> = match own(UNSET) {
            Some("") => Vec::new(),
            Some(_) => list(UNSET).collect(),
            None => unset_of(key.kind).to_vec(),
        };
        for name in unset {
            it.set(Cow::Owned(name.to_owned()), Class::Config, None, at);
        }
        if has_name(key.kind) && !it.values.contains_key("name") {
            it.set("name", Class::Config, Some(key.id.clone()), at);
        }
        if key.kind == Kind::Netdev && !it.values.contains_key("namespace") {
            let netns = namespace(&key.place).to_owned();
            it.set("namespace", Class::Config, Some(netns), at);
        }
        it
    }

    /// By what its things are found again.
    pub(super) fn traces(&self) -> Traces {
        let mut traces = Traces { networks: self.networks.clone(), ..Traces::default() };
        for text in self.things.keys() {
            let Some(key) = Key::read(text) else { continue };
            match key.kind {
                Kind::Vm => {
                    let uuid = self.vms.get(&key.id).map(|uuid| Name::from(uuid.as_str()));
                    traces.vms.insert(key.id.as_str().into(), uuid);
                }
                Kind::Netdev => {
                    let trace = self.devices.get(&format!("{}/{}", key.place, key.id));
                    let strong = trace.and_then(|text| Strong::read(text));
                    let netns = netns_of(&key).unwrap_or(Netns::Root);
                    let trace = Trace { strong, mac: None };
                    traces.devices.insert((netns, key.id.as_str().into()), trace);
                }
                Kind::OvsPort => {
                    traces.ports.insert(key.id.as_str().into(), self.ports.get(&key.id).cloned());
                    let tag = self.things.get(text).and_then(|values| values.get("tag"));
                    let tag = tag.and_then(|tag| tag.parse().ok());
                    traces.tags.extend(tag.map(|tag| (key.id.as_str().into(), tag)));
                }
                _ => {}
            }
        }
        traces
    }
}

/// The namespace that a key names.
fn netns_of(key: &Key) -> Option<Netns> {
    let name = match key.kind {
        Kind::Netdev | Kind::Address | Kind::BridgeVlan => key.place.as_str(),
        Kind::Route | Kind::Rule => key.place.split(' ').next().unwrap_or_default(),
        _ => return None,
    };
    Some(if name.is_empty() { Netns::Root } else { Netns::Named(name.into()) })
}

/// What a thing belongs to, by its key and its values.
fn owner_of(key: &Key, netns: Option<&Netns>, values: &BTreeMap<String, String>) -> Option<Key> {
    let within = netns.map(place).unwrap_or_default();
    let device = |name: &str| Key::new(Kind::Netdev, within.as_str(), name);
    match key.kind {
        Kind::Address => Some(device(key.id.split(' ').next()?)),
        Kind::Route => {
            let by = values.get("by")?;
            let mut words = by.split([' ', ';']).skip_while(|word| *word != "dev").skip(1);
            Some(device(words.next()?))
        }
        Kind::VmNic => Some(Key::new(Kind::Vm, "", key.place.as_str())),
        Kind::Netdev if !within.is_empty() => Some(Key::new(Kind::Netns, "", within)),
        _ => None,
    }
}
