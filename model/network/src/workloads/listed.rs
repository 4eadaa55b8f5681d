//! The guests of a host, as the tools that manage them list them.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use sha1::{Digest as _, Sha1};
use tapline_core::Name;
use tapline_core::capture::HostId;
use tapline_core::records::host::Fact;
use tapline_core::span::{At, Evidence};

use super::{Who, Workload};
use crate::Network;

/// Digits of an id that lists show at least; Calico takes eleven of a hash.
pub(super) const SHOWN: usize = 12;
const HASHED: usize = 11;
/// What stands before the hash in names of devices: Calico, the CNI of AWS.
const PREFIXES: &[&str] = &["cali", "eni"];
/// Longest name of a device.
const DEVICE_NAME: usize = 15;

/// One row of a list.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guest<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) name: &'a str,
    space: Option<&'a str>,
    pod: Option<&'a str>,
    pod_name: Option<&'a str>,
    runs: bool,
    pub(super) line: Evidence,
}

impl Guest<'_> {
    /// `shop/web-0`.
    pub(super) fn full_name(&self) -> String {
        match self.space {
            Some(space) => format!("{space}/{}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// As the pod that it is.
    pub(super) fn workload(&self) -> Workload {
        Workload::proven(Who::Pod { name: self.full_name() }, vec![self.line])
    }
}

/// The rows of one host.
#[derive(Debug, Default)]
pub(super) struct Listed<'a> {
    by_number: BTreeMap<(&'static str, u32), Guest<'a>>,
    by_id: BTreeMap<(&'static str, &'a str), Guest<'a>>,
    containers_by_name: BTreeMap<&'a str, Guest<'a>>,
    /// Names of containers that several have at once.
    shared: BTreeSet<&'a str>,
    /// Pods by the digits that Calico makes of their names.
    by_hash: BTreeMap<String, Guest<'a>>,
}

impl<'a> Listed<'a> {
    /// Reads the lists of all hosts.
    pub(super) fn by_host(network: &Network<'a>) -> BTreeMap<HostId, Self> {
        let mut hosts: BTreeMap<HostId, Self> = BTreeMap::new();
        for (source, facts) in network.fact_texts() {
            for it in facts {
                let Fact::Guest { sort, id, name, space, state, pod, pod_name, .. } = &it.fact
                else {
                    continue;
                };
                let state = text(state.as_ref()).unwrap_or_default();
                let guest = Guest {
                    id: text(id.as_ref()),
                    name: name.as_str(),
                    space: text(space.as_ref()),
                    pod: text(pod.as_ref()),
                    pod_name: text(pod_name.as_ref()),
                    runs: ["Up", "Ready", "Running", "running"]
                        .iter()
                        .any(|up| state.starts_with(up)),
                    line: Evidence { source: source.id, span: it.at },
                };
                hosts.entry(source.host).or_default().add(sort, guest);
            }
        }
        hosts
    }

    fn add(&mut self, sort: &'static str, guest: Guest<'a>) {
        // Of what was there before and what is there now, what runs counts.
        fn keep<'a, K: Ord>(into: &mut BTreeMap<K, Guest<'a>>, key: K, guest: Guest<'a>) {
            let entry = into.entry(key).or_insert(guest);
            if guest.runs && !entry.runs {
                *entry = guest;
            }
        }
        if let Some(number) = guest.id.and_then(|id| id.parse().ok()) {
            keep(&mut self.by_number, (sort, number), guest);
        }
        if let Some(id) = guest.id {
            keep(&mut self.by_id, (sort, id), guest);
        }
        if sort == "container" {
            let before = self.containers_by_name.get(guest.name);
            if before.is_some_and(|before| before.runs && guest.runs && before.id != guest.id) {
                self.shared.insert(guest.name);
            }
            keep(&mut self.containers_by_name, guest.name, guest);
        }
        if sort == "pod" && guest.space.is_some() {
            keep(&mut self.by_hash, hash(&guest), guest);
        }
    }

    /// What a numbered guest of a sort is called.
    pub(super) fn numbered(&self, sort: &'static str, number: u32) -> Option<Guest<'a>> {
        self.by_number.get(&(sort, number)).copied()
    }

    /// The one row of a sort whose id is the beginning of `id`, or begins with it.
    fn with_id(&self, sort: &'static str, id: &str) -> Option<Guest<'a>> {
        const SHORTEST: usize = 8;
        let start = id.get(..SHOWN.min(id.len())).filter(|start| start.len() >= SHORTEST)?;
        let from: (&str, &str) = (sort, start);
        let near = self.by_id.range::<(&str, &str), _>(from..);
        let near = near.take_while(|((own, other), _)| *own == sort && other.starts_with(start));
        let mut fits =
            near.filter(|((_, other), _)| id.starts_with(other) || other.starts_with(id));
        let (_, first) = fits.next()?;
        fits.next().is_none().then_some(*first)
    }

    /// The pod with this id, which may be longer or shorter than in the list.
    pub(super) fn pod(&self, id: &str) -> Option<Guest<'a>> {
        self.with_id("pod", id)
    }

    /// The container with this name or id.
    pub(super) fn container(&self, called: &str) -> Option<Guest<'a>> {
        let named = self.containers_by_name.get(called);
        let named = named.filter(|_| !self.shared.contains(called));
        named.copied().or_else(|| self.with_id("container", called))
    }

    /// The pod after whose name Calico calls a device.
    pub(super) fn hashed(&self, device: &str) -> Option<Guest<'a>> {
        let digits = PREFIXES.iter().find_map(|prefix| device.strip_prefix(prefix))?;
        self.by_hash.get(digits).copied()
    }

    /// The pod after whose id OVN-Kubernetes calls a device.
    pub(super) fn sandboxed(&self, device: &str) -> Option<Guest<'a>> {
        let is_id = device.len() == DEVICE_NAME && device.bytes().all(|b| b.is_ascii_hexdigit());
        if is_id { self.pod(device) } else { None }
    }

    /// A container, or the pod that it is in.
    pub(super) fn workload_of(&self, row: &Guest<'_>) -> Workload {
        let id = row.id.map(str::to_owned);
        let container =
            || Workload::proven(Who::Container { name: row.name.to_owned(), id }, vec![row.line]);
        let Some(of) = row.pod else { return container() };
        let pod = self.pod(of);
        let name = match (pod, row.space.zip(row.pod_name)) {
            (Some(pod), _) => pod.full_name(),
            (None, Some((space, pod))) => format!("{space}/{pod}"),
            (None, None) => row.pod_name.unwrap_or(of).to_owned(),
        };
        let lines = std::iter::once(row.line).chain(pod.map(|pod| pod.line)).collect();
        Workload::proven(Who::Pod { name }, lines)
    }
}

fn text(at: Option<&At<Name>>) -> Option<&str> {
    at.map(|at| at.as_str())
}

/// The digits by which Calico names the device of a pod.
fn hash(pod: &Guest<'_>) -> String {
    let digest = Sha1::digest(format!("{}.{}", pod.space.unwrap_or_default(), pod.name));
    let mut digits = String::with_capacity(2 * digest.len());
    for byte in &digest {
        let _ = write!(digits, "{byte:02x}");
    }
    digits.truncate(HASHED);
    digits
}
