//! Names of nodes that last: the same in each run and whatever the order of the inputs, so that what
//! is said of a node in one output can be joined with another output, or with an earlier run.
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use tapline_core::Name;
use tapline_core::capture::{HostId, HostKey, Snapshot, Source};
use tapline_core::host::{Escaped, NotAKey, unescape};
use tapline_core::ids::Netns;
use tapline_core::span::{Evidence, SourceId, Span};

use crate::graph::{LogicalKind, NodeData, NodeId, Topology};

/// Stands in a key for the host of a thing that is on no captured host.
const ELSEWHERE: &str = "elsewhere";

/// Stands there for the host of an object of OVN, which is of a deployment.
const LOGICAL: &str = "ovn";

/// One capture of one machine.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CaptureKey {
    /// The machine.
    pub host: HostKey,
    /// What tells it from a newer capture of this run; `None` for the newest.
    pub older: Option<Name>,
}

/// The key of a node: `machine-id:0123…/netdev/root/eth0`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeKey {
    /// Its host; `None` for a host that only others speak of.
    pub host: Option<CaptureKey>,
    /// What it is on the host.
    pub thing: Thing,
    /// Counts nodes that nothing tells apart, which damaged captures may have; 0 for the first.
    pub repeat: u32,
}

/// What a node is, by what makes it unique within its host.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "the fields are the names of what the variant is")]
pub enum Thing {
    /// The host itself.
    Host,
    /// A host that was not captured.
    RemoteHost { ip: IpAddr },
    /// A namespace.
    Netns { netns: Netns },
    /// A network device.
    Netdev { netns: Netns, name: Name },
    /// A virtual machine.
    Vm { name: Name },
    /// Its NIC: by the device on the host, else by the MAC.
    VmNic { vm: Name, nic: Name },
    /// An OVS bridge.
    OvsBridge { name: Name },
    /// An OVS port.
    OvsPort { name: Name },
    /// An OVS interface.
    OvsInterface { name: Name },
    /// One end of a tunnel, with its far end where that is known.
    TunnelEndpoint { netns: Netns, owner: Name, remote: Option<IpAddr> },
    /// An address of a device.
    Address { netns: Netns, netdev: Name, ip: IpAddr, prefix: u8 },
    /// A routing table.
    RouteTable { netns: Netns, table: Name },
    /// An object of OVN.
    Logical { kind: LogicalKind, name: Name },
}

/// A record: the text that it was read from, and the byte at which it begins there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordId(pub SourceId, pub u32);

/// The key of a record: the same in each run, and in all outputs that name the record.
///
/// `machine-id:0123…/record/sos_commands%2Fnetworking%2Fip_neigh/12`: its capture, the member of
/// the input that holds it, the line there, and, where it does not begin the line, the byte in it.
/// Where the host was captured in several inputs, the input stands before the member:
/// `named-more!ip_neigh`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RecordKey {
    /// The capture.
    pub host: CaptureKey,
    /// The path inside the archive or folder, and the input where there are several or where it is
    /// the text itself.
    pub member: Name,
    /// One-based line.
    pub line: u32,
    /// Bytes of the line before it.
    pub offset: u32,
}

impl RecordKey {
    /// The key of a record.
    pub fn of(snapshot: &Snapshot, id: RecordId) -> Option<Self> {
        let RecordId(source, start) = id;
        let source = snapshot.source(source)?;
        let (line, _) = source.line_numbers(Span { start, end: start });
        let before = source.text.get(..start as usize)?;
        let in_line = before.len() - before.rfind('\n').map_or(0, |end| end + 1);
        Some(Self {
            host: CaptureKey::of(snapshot, source.host)?,
            member: member(snapshot, source),
            line,
            offset: u32::try_from(in_line).unwrap_or(u32::MAX),
        })
    }
}

/// What tells a text from all others of its host.
fn member(snapshot: &Snapshot, source: &Source) -> Name {
    let inputs = snapshot.host(source.host).map_or(&[][..], |host| &host.inputs);
    if inputs.len() <= 1 && !source.member.is_empty() {
        return Name::from(&*source.member);
    }
    let last = |path: &str| path.trim_end_matches('/').rsplit('/').next().map(str::to_owned);
    let own = last(&source.archive);
    // Inputs of one name lie in folders of several names.
    let alike = inputs.iter().filter(|input| last(input) == own).count();
    let input = own.filter(|_| alike <= 1).unwrap_or_else(|| source.archive.to_string());
    match &*source.member {
        "" => Name::from(input),
        member => Name::from(format!("{input}!{member}")),
    }
}

impl fmt::Display for RecordKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/record/{}/{}", self.host, Part(&self.member), self.line)?;
        if self.offset > 0 { write!(f, "+{}", self.offset) } else { Ok(()) }
    }
}

impl FromStr for RecordKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let mut parts = text.split('/');
        let mut next = || parts.next().ok_or(NotAKey);
        let host = next()?.parse()?;
        if next()? != "record" {
            return Err(NotAKey);
        }
        let member = unescape(next()?).ok_or(NotAKey)?;
        let place = next()?;
        let (line, offset) = place.split_once('+').unwrap_or((place, "0"));
        let number = |text: &str| text.parse().map_err(|_| NotAKey);
        let key = Self { host, member, line: number(line)?, offset: number(offset)? };
        parts.next().is_none().then_some(key).ok_or(NotAKey)
    }
}

impl From<Evidence> for RecordId {
    fn from(evidence: Evidence) -> Self {
        Self(evidence.source, evidence.span.start)
    }
}

impl CaptureKey {
    /// The key of a captured host.
    pub fn of(snapshot: &Snapshot, host: HostId) -> Option<Self> {
        let host = snapshot.host(host)?;
        Some(Self { host: host.key.clone(), older: host.older.clone() })
    }
}

impl fmt::Display for CaptureKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        match &self.older {
            Some(older) => write!(f, "@{}", Escaped(older)),
            None => Ok(()),
        }
    }
}

impl FromStr for CaptureKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (host, older) = match text.split_once('@') {
            Some((host, older)) => (host, Some(unescape(older).ok_or(NotAKey)?)),
            None => (text, None),
        };
        Ok(Self { host: host.parse()?, older })
    }
}

/// A part of a path: names may hold slashes.
struct Part<'a>(&'a str);

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.0.chars() {
            if matches!(c, '/' | '%' | '#') || c.is_whitespace() || c.is_control() {
                let mut bytes = [0; 4];
                for byte in c.encode_utf8(&mut bytes).bytes() {
                    write!(f, "%{byte:02X}")?;
                }
            } else {
                write!(f, "{c}")?;
            }
        }
        Ok(())
    }
}

/// A namespace as a part: `root` and `nsid:3` are no names of namespaces, and such names are
/// escaped.
struct NetnsPart<'a>(&'a Netns);

impl fmt::Display for NetnsPart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Netns::Named(name) if name == "root" => f.write_str("%72oot"),
            Netns::Named(name) if name.starts_with("nsid:") => {
                write!(f, "%6E{}", Part(name.get(1..).unwrap_or_default()))
            }
            Netns::Named(name) => Part(name).fmt(f),
            other => other.fmt(f),
        }
    }
}

fn netns(part: &str) -> Option<Netns> {
    if part == "root" {
        return Some(Netns::Root);
    }
    if let Some(nsid) = part.strip_prefix("nsid:") {
        return Some(Netns::Nameless { nsid: nsid.parse().ok()? });
    }
    Some(Netns::Named(unescape(part)?))
}

impl Thing {
    /// The public name of the kind, as [`NodeData::kind`] gives it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::RemoteHost { .. } => "remote-host",
            Self::Netns { .. } => "netns",
            Self::Netdev { .. } => "netdev",
            Self::Vm { .. } => "vm",
            Self::VmNic { .. } => "vm-nic",
            Self::OvsBridge { .. } => "ovs-bridge",
            Self::OvsPort { .. } => "ovs-port",
            Self::OvsInterface { .. } => "ovs-interface",
            Self::TunnelEndpoint { .. } => "tunnel-endpoint",
            Self::Address { .. } => "address",
            Self::RouteTable { .. } => "route-table",
            Self::Logical { kind, .. } => kind.as_str(),
        }
    }

    /// The name of the thing itself, without what it is in.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            Self::Host => "".into(),
            Self::RemoteHost { ip } | Self::Address { ip, .. } => ip.to_string().into(),
            Self::Netns { netns: Netns::Named(name) }
            | Self::Netdev { name, .. }
            | Self::Vm { name }
            | Self::VmNic { nic: name, .. }
            | Self::OvsBridge { name }
            | Self::OvsPort { name }
            | Self::OvsInterface { name }
            | Self::TunnelEndpoint { owner: name, .. }
            | Self::RouteTable { table: name, .. }
            | Self::Logical { name, .. } => name.as_str().into(),
            Self::Netns { netns } => netns.to_string().into(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/');
        let kind = parts.next()?;
        let mut next = || parts.next();
        let thing = match kind {
            "host" => Self::Host,
            "remote-host" => Self::RemoteHost { ip: next()?.parse().ok()? },
            "netns" => Self::Netns { netns: netns(next()?)? },
            "netdev" => Self::Netdev { netns: netns(next()?)?, name: unescape(next()?)? },
            "vm" => Self::Vm { name: unescape(next()?)? },
            "vm-nic" => Self::VmNic { vm: unescape(next()?)?, nic: unescape(next()?)? },
            "ovs-bridge" => Self::OvsBridge { name: unescape(next()?)? },
            "ovs-port" => Self::OvsPort { name: unescape(next()?)? },
            "ovs-interface" => Self::OvsInterface { name: unescape(next()?)? },
            "tunnel-endpoint" => Self::TunnelEndpoint {
                netns: netns(next()?)?,
                owner: unescape(next()?)?,
                remote: match next() {
                    Some(ip) => Some(ip.parse().ok()?),
                    None => None,
                },
            },
            "address" => Self::Address {
                netns: netns(next()?)?,
                netdev: unescape(next()?)?,
                ip: next()?.parse().ok()?,
                prefix: next()?.parse().ok()?,
            },
            "route-table" => Self::RouteTable { netns: netns(next()?)?, table: unescape(next()?)? },
            kind => {
                let kind = LogicalKind::ALL.iter().find(|known| known.as_str() == kind)?;
                Self::Logical { kind: *kind, name: unescape(next()?)? }
            }
        };
        parts.next().is_none().then_some(thing)
    }
}

impl fmt::Display for Thing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())?;
        match self {
            Self::Host => Ok(()),
            Self::RemoteHost { ip } => write!(f, "/{ip}"),
            Self::Netns { netns } => write!(f, "/{}", NetnsPart(netns)),
            Self::Netdev { netns, name } => write!(f, "/{}/{}", NetnsPart(netns), Part(name)),
            Self::VmNic { vm, nic } => write!(f, "/{}/{}", Part(vm), Part(nic)),
            Self::Vm { name }
            | Self::OvsBridge { name }
            | Self::OvsPort { name }
            | Self::OvsInterface { name }
            | Self::Logical { name, .. } => write!(f, "/{}", Part(name)),
            Self::TunnelEndpoint { netns, owner, remote } => {
                write!(f, "/{}/{}", NetnsPart(netns), Part(owner))?;
                remote.map_or(Ok(()), |ip| write!(f, "/{ip}"))
            }
            Self::Address { netns, netdev, ip, prefix } => {
                write!(f, "/{}/{}/{ip}/{prefix}", NetnsPart(netns), Part(netdev))
            }
            Self::RouteTable { netns, table } => {
                write!(f, "/{}/{}", NetnsPart(netns), Part(table))
            }
        }
    }
}

impl fmt::Display for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Some(host) => host.fmt(f)?,
            None if matches!(self.thing, Thing::Logical { .. }) => f.write_str(LOGICAL)?,
            None => f.write_str(ELSEWHERE)?,
        }
        write!(f, "/{}", self.thing)?;
        if self.repeat > 0 { write!(f, "#{}", self.repeat) } else { Ok(()) }
    }
}

impl FromStr for NodeKey {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let (text, repeat) = match text.split_once('#') {
            Some((text, repeat)) => (text, repeat.parse().map_err(|_| NotAKey)?),
            None => (text, 0),
        };
        let (host, thing) = text.split_once('/').ok_or(NotAKey)?;
        let host = if host == ELSEWHERE || host == LOGICAL { None } else { Some(host.parse()?) };
        Ok(Self { host, thing: Thing::parse(thing).ok_or(NotAKey)?, repeat })
    }
}

impl Serialize for NodeKey {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// The keys of all nodes, made on first use.
#[derive(Debug, Default)]
pub(crate) struct KeyIndex {
    by_node: Vec<NodeKey>,
    by_key: BTreeMap<NodeKey, NodeId>,
}

impl KeyIndex {
    fn new(topology: &Topology<'_>) -> Self {
        let mut index = Self::default();
        for (id, _) in topology.nodes() {
            let mut key = NodeKey {
                host: topology
                    .node(id)
                    .and_then(|node| node.host)
                    .and_then(|host| CaptureKey::of(topology.snapshot, host)),
                thing: thing(topology, id),
                repeat: 0,
            };
            while index.by_key.contains_key(&key) {
                key.repeat = key.repeat.saturating_add(1);
            }
            index.by_key.insert(key.clone(), id);
            index.by_node.push(key);
        }
        index
    }
}

/// What a node is, by what makes it unique on its host.
fn thing(topology: &Topology<'_>, id: NodeId) -> Thing {
    let Some(node) = topology.node(id) else { return Thing::Host };
    let name = node.name.clone();
    let of = |owner: NodeId| topology.node(owner).map(|node| node.name.clone()).unwrap_or_default();
    let netns = node.netns.clone().unwrap_or_default();
    match &node.data {
        NodeData::Host(_) => Thing::Host,
        NodeData::RemoteHost(it) => Thing::RemoteHost { ip: it.ip },
        NodeData::Netns(_) => Thing::Netns { netns },
        NodeData::Netdev(_) => Thing::Netdev { netns, name },
        NodeData::Vm(_) => Thing::Vm { name },
        NodeData::VmNic(it) => {
            let nic = it.target.as_ref().map(|target| target.value.clone());
            Thing::VmNic { vm: of(it.vm), nic: nic.unwrap_or(name) }
        }
        NodeData::OvsBridge(_) => Thing::OvsBridge { name },
        NodeData::OvsPort(_) => Thing::OvsPort { name },
        NodeData::OvsInterface(_) => Thing::OvsInterface { name },
        NodeData::TunnelEndpoint(it) => Thing::TunnelEndpoint {
            netns,
            owner: of(it.owner),
            remote: it.remote.as_ref().map(|remote| remote.value),
        },
        NodeData::Address(it) => {
            Thing::Address { netns, netdev: of(it.netdev), ip: it.ip, prefix: it.prefix }
        }
        NodeData::RouteTable(_) => Thing::RouteTable { netns, table: name },
        NodeData::Logical(it) => Thing::Logical { kind: it.kind, name },
    }
}

impl Topology<'_> {
    /// What a node is, by what makes it unique on its host.
    pub fn thing(&self, id: NodeId) -> Thing {
        thing(self, id)
    }

    /// The key of a node.
    pub fn key(&self, id: NodeId) -> Option<&NodeKey> {
        let index = self.key_index.get_or_init(|| KeyIndex::new(self));
        index.by_node.get(id.0.index())
    }

    /// The node with this key.
    pub fn find(&self, key: &NodeKey) -> Option<NodeId> {
        let index = self.key_index.get_or_init(|| KeyIndex::new(self));
        index.by_key.get(key).copied()
    }

    /// The name of a node as a person says it, the same everywhere: an OVS port with its bridge, the
    /// NIC of a VM with its machine and by its device on the host, else by its MAC.
    pub fn name(&self, id: NodeId) -> String {
        let Some(node) = self.node(id) else { return String::new() };
        let name = &node.name;
        match &node.data {
            // The text that tells the bridge may not be captured.
            NodeData::OvsPort(it) if !it.bridge.is_empty() => format!("{}/{name}", it.bridge),
            NodeData::OvsInterface(it) if !it.bridge.is_empty() => format!("{}/{name}", it.bridge),
            NodeData::VmNic(it) => {
                let vm = self.node(it.vm).map_or("", |vm| vm.name.as_str());
                let nic = it.target.as_ref().map_or(name, |target| &target.value);
                match nic.strip_prefix(vm) {
                    // Without device and MAC it is called after its machine already.
                    Some(_) if it.target.is_none() => nic.to_string(),
                    _ => format!("{vm}/{nic}"),
                }
            }
            _ => name.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back() {
        for text in [
            "machine-id:0123/host",
            "machine-id:0123@2026-11-22%2013%3A06%3A05/netdev/root/eth0",
            "ip_a:node2/netdev/qrouter-1/qr-2",
            "ip_a:node2/netdev/%72oot/eth0",
            "ip_a:node2/netns/nsid:3",
            "ip_a:node2/netns/%6Esid:3",
            "ip_a:node2/vm-nic/vm%20one/fa:16:3e:00:00:01",
            "ip_a:node2/ovs-port/a%2Fb#2",
            "ip_a:node2/address/root/eth0/fe80::1/64",
            "ip_a:node2/tunnel-endpoint/root/vxlan0",
            "ip_a:node2/tunnel-endpoint/root/vxlan0/10.0.0.2",
            "ip_a:node2/route-table/root/main",
            "elsewhere/remote-host/10.0.0.2",
        ] {
            let key: NodeKey = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(key.to_string(), text);
        }
        for text in ["ip_a:node2/record/a%2Fb/12", "machine-id:0123@2026/record//1+7"] {
            let key: RecordKey = text.parse().unwrap_or_else(|_| panic!("{text}"));
            assert_eq!(key.to_string(), text);
        }
        for bad in ["ip_a:node2/record", "ip_a:node2/record/x/y", "ip_a:node2/vm/x"] {
            assert_eq!(bad.parse::<RecordKey>(), Err(NotAKey), "{bad}");
        }
        for bad in ["", "x", "a:b/netdev/root", "a:b/vm/x/y", "a:b/what/x", "a:b/vm/x#y"] {
            assert_eq!(bad.parse::<NodeKey>(), Err(NotAKey), "{bad}");
        }
    }
}
