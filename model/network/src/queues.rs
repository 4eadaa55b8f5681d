//! Queues of devices, filters at their hooks, and programs of BPF: `tc` and `bpftool net`.
//!
//! A frame that a device receives meets programs of XDP, those of `tcx`, then the filters of `ingress` or
//! `clsact` (net/core/dev.c, `sch_handle_ingress`); one that it sends meets those of `egress`
//! (`sch_handle_egress`), then its queue with the filters in it.
mod matching;
mod untold;
mod verdict;

use std::collections::{BTreeMap, BTreeSet};

use tapline_core::capture::{HostId, Source};
use tapline_core::ids::Netns;
use tapline_core::records::tc::{BpfProgram, Qdisc, TcFilter};
use tapline_core::span::Evidence;
use tapline_topology::NodeId;
use tapline_topology::graph::{Netdev, Seen};

use crate::{Item, Network};

pub(crate) use untold::{Untold, assumption};
pub(crate) use verdict::{Does, Verdict, What};

/// Where filters are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Hook {
    /// What the device receives.
    Ingress,
    /// What it sends.
    Egress,
    /// Its queue.
    Queue,
}

impl Hook {
    /// The word of `tc`.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Ingress => "ingress",
            Self::Egress => "egress",
            Self::Queue => "root",
        }
    }

    /// From a word, or from the handle of a class: minor numbers `fff2` and `fff3` are the hooks of
    /// `clsact`, 0 that of `ingress` (include/uapi/linux/pkt_sched.h).
    fn of(parent: &str) -> Self {
        match parent {
            "ingress" | "ffff:" | "ffff:0" | "ffff:fff1" | "ffff:fff2" => Self::Ingress,
            "egress" | "ffff:fff3" => Self::Egress,
            _ => Self::Queue,
        }
    }

    /// The key by which a queue names the block of filters that it shares.
    fn block_key(self) -> &'static str {
        match self {
            Self::Egress => "egress_block",
            Self::Ingress | Self::Queue => "ingress_block",
        }
    }
}

/// A filter and where it is.
type Hooked<'a> = (Hook, Seen<'a, TcFilter>);

/// What was captured for one device.
#[derive(Debug, Default)]
pub(crate) struct AtDevice<'a> {
    queues: Vec<Seen<'a, Qdisc>>,
    filters: Vec<Hooked<'a>>,
    /// Hooks whose filters were captured whole.
    whole: Vec<Hook>,
    programs: Vec<Seen<'a, BpfProgram>>,
    /// Where `ip` shows a program of XDP.
    xdp: Option<Evidence>,
}

/// What was captured of queues, filters and programs, by device.
#[derive(Debug, Default)]
pub(crate) struct Queues<'a> {
    devices: BTreeMap<NodeId, AtDevice<'a>>,
    /// Hooks of which a text about one device tells.
    told: BTreeSet<(NodeId, Hook)>,
    untold: untold::Hints,
}

/// The filters that a text lists, of a device or a block, at a hook.
type Listed<'a> = BTreeMap<(HostId, &'a Netns, String), AtDevice<'a>>;

impl<'a> Queues<'a> {
    /// Sorts the texts by device.
    pub(crate) fn new(network: &Network<'a>) -> Self {
        let mut listed = Listed::new();
        let mut told = BTreeSet::new();
        for (source, filters) in network.tc_filter_texts() {
            add_filters(network, &mut listed, source, filters);
        }
        for source in network.texts_by("tc") {
            note_empty(network, &mut listed, source);
        }
        for (source, queues) in network.qdisc_texts() {
            let asked = source.request.object.as_deref();
            let whole = network.topology.snapshot.completeness(source.id).is_complete();
            // `tc qdisc show dev eth0 ingress` shows one only.
            let all = source.command.args().last().map(String::as_str) == asked;
            let about = asked.filter(|_| whole && all);
            if let Some(node) = about
                .and_then(|name| network.topology.find_netdev(source.host, &source.netns, name))
            {
                let hooks = [Hook::Ingress, Hook::Egress, Hook::Queue];
                told.extend(hooks.map(|hook| (node, hook)));
            }
            for queue in queues {
                let Some(dev) = queue.dev.as_ref().map(|dev| &*dev.value).or(asked) else {
                    continue;
                };
                let at = listed.entry((source.host, &source.netns, dev.to_owned())).or_default();
                let known = |seen: &Seen<'a, Qdisc>| {
                    (&seen.record.handle, &seen.record.parent) == (&queue.handle, &queue.parent)
                };
                if !at.queues.iter().any(known) {
                    at.queues.push(Seen { source: source.id, record: queue });
                }
            }
        }
        for (source, programs) in network.bpf_texts() {
            for program in programs {
                let key = (source.host, &source.netns, program.dev.value.to_string());
                let at = listed.entry(key).or_default();
                at.programs.push(Seen { source: source.id, record: program });
            }
        }
        add_blocks(&mut listed);
        let mut devices = BTreeMap::new();
        for ((host, netns, name), at) in listed {
            let Some(node) = network.topology.find_netdev(host, netns, &name) else { continue };
            // A list of filters tells nothing of what the queue loses.
            let hooks = at.whole.iter().filter(|hook| **hook != Hook::Queue);
            told.extend(hooks.map(|hook| (node, *hook)));
            if at.does_something() {
                devices.insert(node, at);
            }
        }
        // Most devices have none, and each trace asks dozens.
        for device in network.netdevs() {
            if let Some(evidence) = shown_by_ip(device) {
                devices.entry(device.id).or_default().xdp = Some(evidence);
            }
        }
        Self { devices, told, untold: untold::Hints::new(network) }
    }

    /// What was captured for a device, if that may do something to packets.
    pub(crate) fn at(&self, device: NodeId) -> Option<&AtDevice<'a>> {
        self.devices.get(&device)
    }
}

/// The line of `ip` that shows a program of BPF at a device: `prog/xdp id 12`, `xdp/id:12`, `xdpgeneric`.
fn shown_by_ip(device: Item<'_, Netdev<'_>>) -> Option<Evidence> {
    device.data.records.iter().find_map(|seen| {
        let mut fields = seen.record.other.iter();
        let is_program = |key: &str| key.starts_with("xdp") || key == "prog/xdp";
        let field = fields.find(|field| is_program(field.key))?;
        Some(field.value.evidence(seen.source))
    })
}

/// The device or block of a listing of filters, and its hook.
fn asked(source: &Source) -> (Option<&str>, Option<Hook>) {
    let words = source.command.args();
    let at = words.iter().position(|word| word == "parent");
    let parent = at.and_then(|at| words.get(at + 1));
    let named = words.iter().find(|word| matches!(word.as_str(), "ingress" | "egress" | "root"));
    let hook = parent.or(named).map(|word| Hook::of(word));
    (source.request.object.as_deref(), hook)
}

fn add_filters<'a>(
    network: &Network<'a>,
    listed: &mut Listed<'a>,
    source: &'a Source,
    filters: &'a [TcFilter],
) {
    let (asked, hook) = asked(source);
    let mut fresh: BTreeMap<(String, &str), Vec<Hooked<'a>>> = BTreeMap::new();
    for filter in filters {
        let named = filter.dev.as_ref().map(|dev| &*dev.value);
        let Some(dev) = asked.or(named) else { continue };
        let of_line = filter.parent.as_deref().map(Hook::of);
        let hook = hook.or(of_line).unwrap_or(Hook::Queue);
        let all = fresh.entry((dev.to_owned(), hook.as_str())).or_default();
        all.push((hook, Seen { source: source.id, record: filter }));
    }
    let whole = network.topology.snapshot.completeness(source.id).is_complete();
    for ((dev, _), mut filters) in fresh {
        let Some(&(hook, _)) = filters.first() else { continue };
        let at = listed.entry((source.host, &source.netns, dev)).or_default();
        if at.whole.contains(&hook) {
            continue;
        }
        if whole {
            at.filters.retain(|(known, _)| *known != hook);
            at.whole.push(hook);
        } else if at.filters.iter().any(|(known, _)| *known == hook) {
            continue;
        }
        at.filters.append(&mut filters);
    }
}

/// A listing without filters says that there are none.
fn note_empty<'a>(network: &Network<'a>, listed: &mut Listed<'a>, source: &'a Source) {
    let is_listing = source.format.is_some_and(|format| format.0 == "tc-filter-show");
    let complete = network.topology.snapshot.completeness(source.id).is_complete();
    let (Some(dev), hook) = asked(source) else { return };
    if !is_listing || !complete {
        return;
    }
    let at = listed.entry((source.host, &source.netns, dev.to_owned())).or_default();
    let hook = hook.unwrap_or(Hook::Queue);
    if !at.whole.contains(&hook) {
        at.whole.push(hook);
    }
}

/// Gives devices the filters of the blocks that their hooks share.
fn add_blocks(listed: &mut Listed<'_>) {
    let mut shared = Vec::new();
    for ((host, netns, dev), at) in &*listed {
        for hook in [Hook::Ingress, Hook::Egress] {
            let Some(block) = at.block(hook) else { continue };
            let block = format!("block {block}");
            let Some(of_block) = listed.get(&(*host, *netns, block)) else { continue };
            let filters: Vec<_> =
                of_block.filters.iter().map(|(_, filter)| (hook, *filter)).collect();
            shared.push(((*host, *netns, dev.clone()), hook, filters, !of_block.whole.is_empty()));
        }
    }
    for (key, hook, filters, whole) in shared {
        let Some(at) = listed.get_mut(&key) else { continue };
        if !at.whole.contains(&hook) {
            at.filters.extend(filters);
            at.whole.extend(whole.then_some(hook));
        }
    }
}

impl<'a> AtDevice<'a> {
    /// Whether any of it may do something to packets: most queues only wait.
    fn does_something(&self) -> bool {
        let hooks = [Hook::Ingress, Hook::Egress].into_iter().any(|hook| self.hook(hook).is_some());
        let rules = self.filters.iter().any(|(_, filter)| filter.record.handle.is_some());
        hooks || rules || !self.programs.is_empty() || self.queues.iter().any(|queue| loses(queue))
    }

    /// The line that says that a device has a hook for filters.
    pub(crate) fn hook(&self, hook: Hook) -> Option<Evidence> {
        let queue = self.hook_queue(hook)?;
        Some(Evidence { source: queue.source, span: queue.record.at })
    }

    /// `ingress` or `clsact`.
    fn hook_kind(&self, hook: Hook) -> Option<&'a str> {
        self.hook_queue(hook).map(|queue| &*queue.record.kind.value)
    }

    fn hook_queue(&self, hook: Hook) -> Option<&Seen<'a, Qdisc>> {
        let has = |queue: &&Seen<'a, Qdisc>| match hook {
            Hook::Ingress => matches!(&*queue.record.kind.value, "ingress" | "clsact"),
            Hook::Egress => queue.record.kind.value == "clsact",
            Hook::Queue => false,
        };
        self.queues.iter().find(has)
    }

    /// Whether the filters of a hook were captured whole.
    pub(crate) fn is_whole(&self, hook: Hook) -> bool {
        self.whole.contains(&hook)
    }

    /// The block of filters that a hook shares with others.
    fn block(&self, hook: Hook) -> Option<&str> {
        self.queues.iter().find_map(|queue| {
            let words = &queue.record.other;
            let at = words.iter().position(|word| word.key == hook.block_key())?;
            Some(words.get(at + 1)?.key.as_str())
        })
    }

    /// A program of BPF at a hook that no listing of `tc` shows.
    pub(crate) fn program(&self, hook: Hook) -> Option<Evidence> {
        let of_link = self.xdp.filter(|_| hook == Hook::Ingress);
        let mut listed = self.programs.iter().filter(move |program| {
            let at = program.record.hook.as_str();
            let xdp = program.record.section == "xdp" && hook == Hook::Ingress;
            xdp || at.starts_with("tcx/") && at.ends_with(hook.as_str())
                || at.starts_with("netkit/")
        });
        of_link.or_else(|| {
            let seen = listed.next()?;
            Some(Evidence { source: seen.source, span: seen.record.at })
        })
    }

    /// The queues that lose packets: all that they are given, or those of one class.
    pub(crate) fn lossy(&self) -> impl Iterator<Item = &Seen<'a, Qdisc>> {
        self.queues.iter().filter(|queue| loses(queue))
    }
}

/// Whether a queue loses packets that it has room for.
fn loses(queue: &Seen<'_, Qdisc>) -> bool {
    queue.record.loss.is_some() || queue.record.kind.value == "blackhole"
}
