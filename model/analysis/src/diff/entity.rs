//! The things of a host in the form in which two captures are compared: by a key that lasts, with
//! values that say the same whatever command printed them.
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tapline_core::ids::Netns;
use tapline_core::span::Evidence;

/// Declares the kinds of things with their names.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal, $many:literal;)*) => {
        /// What sort of thing is compared. The order is that in which they are listed.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Kind {
            $($(#[$doc])* $kind,)*
        }

        impl Kind {
            /// The public name.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The kind of this name.
            pub(super) fn read(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$kind),)*
                    _ => None,
                }
            }

            /// Several of them, for people.
            pub fn plural(self) -> &'static str {
                match self {
                    $(Self::$kind => $many,)*
                }
            }
        }
    };
}

kinds! {
    /// The machine itself.
    Host = "host", "hosts";
    /// A virtual machine.
    Vm = "vm", "VMs";
    /// A NIC of a virtual machine.
    VmNic = "vm-nic", "NICs of VMs";
    /// A namespace.
    Netns = "netns", "namespaces";
    /// A network device.
    Netdev = "netdev", "devices";
    /// A bridge of Open vSwitch.
    OvsBridge = "ovs-bridge", "OVS bridges";
    /// A port of Open vSwitch, with its interface.
    OvsPort = "ovs-port", "OVS ports";
    /// A VLAN of a port of a Linux bridge.
    BridgeVlan = "bridge-vlan", "VLANs of Linux bridges";
    /// An address of a device.
    Address = "address", "addresses";
    /// A route.
    Route = "route", "routes";
    /// A policy rule.
    Rule = "rule", "routing rules";
    /// A neighbour.
    Neighbour = "neighbour", "neighbours";
    /// An address that a bridge has learnt, or was told.
    Fdb = "fdb", "learnt addresses";
    /// A router of which several hosts have a copy.
    HaRouter = "ha-router", "HA routers";
    /// A table or chain of a packet filter.
    Chain = "chain", "chains of the packet filter";
    /// A rule of a packet filter.
    FilterRule = "filter-rule", "rules of the packet filter";
    /// An OpenFlow flow.
    Flow = "flow", "OpenFlow flows";
    /// A row of a database of OVN.
    OvnRow = "ovn-row", "rows of OVN";
    /// A setting of the kernel.
    Setting = "setting", "kernel settings";
}

impl Kind {
    /// Whether it is something that another thing holds: a route of a namespace, a flow of a bridge.
    pub fn is_part(self) -> bool {
        !matches!(
            self,
            Self::Host
                | Self::Vm
                | Self::VmNic
                | Self::Netns
                | Self::Netdev
                | Self::OvsBridge
                | Self::OvsPort
        )
    }
}

/// What it means that a value differs, from least to most.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// It changes by itself: ages, what was learnt, states of neighbours.
    Noise,
    /// A number that the system gives anew: indexes, OpenFlow ports, local VLANs.
    Renumbered,
    /// It moved by itself: a learnt address, the active one of several.
    Dynamic,
    /// Somebody changed it, and packets do not see it.
    Cosmetic,
    /// Somebody changed it.
    Config,
    /// It takes away what packets went by, or a verdict changed with it.
    Breaking,
}

impl Class {
    /// The public name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Noise => "noise",
            Self::Renumbered => "renumbered",
            Self::Dynamic => "dynamic",
            Self::Cosmetic => "cosmetic",
            Self::Config => "config",
            Self::Breaking => "breaking",
        }
    }

    /// The class of this name.
    pub(super) fn read(name: &str) -> Option<Self> {
        let all = [
            Self::Noise,
            Self::Renumbered,
            Self::Dynamic,
            Self::Cosmetic,
            Self::Config,
            Self::Breaking,
        ];
        all.into_iter().find(|class| class.as_str() == name)
    }

    /// Whether it is a change, not only a difference.
    pub fn is_change(self) -> bool {
        self >= Self::Cosmetic
    }
}

/// What tells a thing from all others of its host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Key {
    /// What it is.
    pub kind: Kind,
    /// What it is in: a namespace, a bridge, a table.
    pub place: String,
    /// What it is called there, after renumbering.
    pub id: String,
}

impl Key {
    /// A key.
    pub fn new(kind: Kind, place: impl Into<String>, id: impl Into<String>) -> Self {
        Self { kind, place: place.into(), id: id.into() }
    }

    /// As one word, the same for each comparison: `netdev//eth0`, `address/qrouter-…/qr-1 192.0.2.1/24`. A
    /// slash within the place is escaped.
    pub fn text(&self) -> String {
        let place = self.place.replace('%', "%25").replace('/', "%2F");
        format!("{}/{place}/{}", self.kind.as_str(), self.id)
    }

    /// Reads that word.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (kind, rest) = text.split_once('/')?;
        let (place, id) = rest.split_once('/')?;
        let place = place.replace("%2F", "/").replace("%25", "%");
        Some(Self { kind: Kind::read(kind)?, place, id: id.to_owned() })
    }
}

/// One value of a thing.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Value {
    /// In words; `None` where it is known that there is none.
    pub(super) text: Option<String>,
    /// The line that says so.
    pub(super) at: Option<Evidence>,
    /// What it means that it differs.
    pub(super) class: Class,
    /// Nothing goes by a thing of which this is true: it is down, in error, or joined with nothing.
    pub(super) is_cut: bool,
}

/// The rule of an ordered list.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    /// In words, without counters.
    pub(super) text: String,
    /// Its line.
    pub(super) at: Evidence,
}

/// What is counted of a thing.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Counter {
    /// Of what: `rx_dropped`.
    pub(super) name: String,
    /// The program that prints it: another one may count otherwise under the same name.
    pub(super) program: String,
    /// How many.
    pub(super) value: u64,
    /// Its line.
    pub(super) at: Evidence,
    /// Since when it is counted, in seconds, where the line says so.
    pub(super) age: Option<f64>,
}

/// A thing.
#[derive(Clone, Debug)]
pub(super) struct Entity {
    /// Its key.
    pub(super) key: Key,
    /// Its namespace, where it is in one.
    pub(super) netns: Option<Netns>,
    /// Its name for people.
    pub(super) name: String,
    /// The line that shows it best.
    pub(super) at: Option<Evidence>,
    /// What it means that it comes or goes.
    pub(super) class: Class,
    /// Its coming or going cuts: packets have no other way.
    pub(super) is_link: bool,
    /// Texts that show all things of these places show this one: its absence counts there.
    pub(super) scopes: Vec<String>,
    /// Its values, by what they are.
    pub(super) values: BTreeMap<Cow<'static, str>, Value>,
    /// Groups of values that are known whole, and where they stand: one that is not among them is not
    /// set.
    pub(super) whole: BTreeMap<&'static str, Option<Evidence>>,
    /// What it belongs to and goes with.
    pub(super) owners: Vec<Key>,
    /// Its rules, in order.
    pub(super) lines: Vec<Line>,
    /// Words by which it depends on other things: names of devices, ports, addresses.
    pub(super) mentions: Vec<String>,
    /// What is counted of it.
    pub(super) counters: Vec<Counter>,
}

impl Entity {
    /// A thing of which nothing is known but that it is there.
    pub(super) fn new(key: Key, netns: Option<Netns>, name: impl Into<String>) -> Self {
        let scopes = vec![key.place.clone()];
        Self {
            key,
            netns,
            name: name.into(),
            at: None,
            class: Class::Config,
            is_link: false,
            scopes,
            values: BTreeMap::new(),
            whole: BTreeMap::new(),
            owners: Vec::new(),
            lines: Vec::new(),
            mentions: Vec::new(),
            counters: Vec::new(),
        }
    }

    /// Adds a value.
    pub(super) fn set(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        class: Class,
        text: Option<String>,
        at: Option<Evidence>,
    ) -> &mut Self {
        self.values.insert(name.into(), Value { text, at, class, is_cut: false });
        self
    }

    /// Adds a value that says whether anything goes by the thing.
    pub(super) fn set_link(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        text: Option<String>,
        at: Option<Evidence>,
        is_cut: bool,
    ) -> &mut Self {
        self.values.insert(name.into(), Value { text, at, class: Class::Config, is_cut });
        self
    }
}

/// All things of one host, and which places were captured whole.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The things.
    pub(super) entities: BTreeMap<Key, Entity>,
    /// Kinds and places of which everything was captured.
    pub(super) whole: BTreeSet<(Kind, String)>,
    /// It was written down (`kept.rs`): what its values mean is known from the other side.
    pub(super) is_kept: bool,
}

impl View {
    /// Adds a thing, unless it is there: the first text that shows it counts.
    pub(super) fn add(&mut self, entity: Entity) {
        self.entities.entry(entity.key.clone()).or_insert(entity);
    }

    /// Everything of a kind in a place was captured.
    pub(super) fn cover(&mut self, kind: Kind, place: impl Into<String>) {
        self.whole.insert((kind, place.into()));
    }

    /// Whether a thing that is not here is not there.
    pub(super) fn is_absent(&self, entity: &Entity) -> bool {
        entity.scopes.iter().any(|scope| self.whole.contains(&(entity.key.kind, scope.clone())))
    }
}
