//! Chains that see frames: of `ebtables`, and of nft those of the family `bridge` at the hooks of a
//! bridge, of `netdev` (and `inet`) at the ingress and egress of devices, of `arp` where a namespace takes or
//! sends ARP (net/bridge/br_input.c, br_forward.c;
//! `nf_ingress` and `nf_hook_egress` of net/core/dev.c; nft(8), address families).
use std::collections::BTreeMap;

use tapline_core::Name;
use tapline_core::capture::{Completeness, HostId};
use tapline_core::ids::{Mac, Netns};
use tapline_core::records::filter::Test;
use tapline_core::records::nft::{NftTable, Statement};
use tapline_core::records::route::Family;
use tapline_core::span::{Evidence, SourceId};

use crate::Network;
use crate::filter::{BaseChain, Device, Packet, Verdict};

/// A hook that frames pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hook {
    /// A bridge takes a frame from a port.
    Prerouting,
    /// It goes up into the host.
    Input,
    /// It goes from port to port.
    Forward,
    /// It comes from the host.
    Output,
    /// It leaves by a port.
    Postrouting,
    /// A device receives a frame.
    Ingress,
    /// A device sends a frame.
    Egress,
    /// A namespace takes a packet of ARP.
    ArpInput,
    /// It sends one.
    ArpOutput,
}

impl Hook {
    /// The word of nft.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input | Self::ArpInput => "input",
            Self::Forward => "forward",
            Self::Output | Self::ArpOutput => "output",
            Self::Postrouting => "postrouting",
            Self::Ingress => "ingress",
            Self::Egress => "egress",
        }
    }

    pub(crate) fn is_of_device(self) -> bool {
        matches!(self, Self::Ingress | Self::Egress)
    }

    /// The families of tables whose chains it asks, the most usual one first.
    pub(crate) fn families(self) -> &'static [&'static str] {
        match self {
            Self::Ingress | Self::Egress => &["netdev", "inet"],
            Self::ArpInput | Self::ArpOutput => &["arp"],
            _ => &["bridge"],
        }
    }
}

/// A chain that sees frames.
#[derive(Debug)]
pub(crate) struct FrameChain<'a> {
    /// The text that has it.
    pub(crate) source: SourceId,
    /// The chain.
    pub(crate) base: BaseChain<'a>,
    /// The text is whole.
    pub(crate) complete: bool,
    /// The tool that prints it.
    pub(crate) tool: &'static str,
}

/// What was captured of the chains that see frames in one namespace.
#[derive(Debug, Default)]
pub(crate) struct Frames<'a> {
    chains: Vec<FrameChain<'a>>,
    /// All of those of nft were captured.
    pub(crate) whole: bool,
    /// And all of `ebtables`, which the rulesets of nft have only where that is made of nft.
    pub(crate) whole_ebtables: bool,
    /// The texts that were cut off, by the commands that print them.
    cut: Vec<&'static str>,
}

impl<'a> Frames<'a> {
    /// The chains that see a frame at a hook, in their order; at those of devices the chains of this
    /// one.
    pub(crate) fn at(&self, hook: Hook, device: &str) -> impl Iterator<Item = &FrameChain<'a>> {
        self.chains.iter().filter(move |chain| {
            let base = &chain.base;
            base.chain.hook.as_ref().is_some_and(|at| at.value == hook.as_str())
                && hook.families().iter().any(|family| base.table.family == *family)
                && (!hook.is_of_device() || is_about(base, device))
        })
    }

    /// The commands whose texts were cut off, where no whole one stands for them.
    pub(crate) fn cut_off(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.cut.iter().copied().filter(|command| match *command {
            "ebtables-save" => !self.whole_ebtables,
            _ => !self.whole,
        })
    }

    /// The MACs that rules name as those of a sender.
    pub(crate) fn senders(&self) -> BTreeMap<Mac, Evidence> {
        let mut all = BTreeMap::new();
        for chain in &self.chains {
            let rules = chain.base.table.chains.iter().flat_map(|chain| &chain.rules);
            for rule in rules {
                let line = Evidence { source: chain.source, span: rule.at };
                for statement in &rule.statements {
                    if let Statement::If(condition) = statement
                        && let Test::MacSource(macs) = &condition.test
                    {
                        all.extend(macs.iter().filter_map(|mac| Some((mac.single()?, line))));
                    }
                }
            }
        }
        all
    }

    /// The rule or policy that stops whatever frame passes a hook between two devices; at a hook of
    /// one device it is that. Only that of a MAC, where one is given.
    pub(crate) fn stop(
        &self,
        hook: Hook,
        (from, to): (Option<&Name>, Option<&Name>),
        sender: Option<Mac>,
    ) -> Option<Evidence> {
        let named = |device: Option<&Name>| device.cloned().map_or(Device::None, Device::Known);
        let frame = Packet {
            in_device: named(from),
            out_device: named(to),
            foreign: true,
            mac_source: sender,
            ..Packet::unknown(Family::Inet)
        };
        let of_device = from.or(to).map_or("", |device| device.as_str());
        let mut chains = self.at(hook, of_device).filter(|chain| chain.complete);
        chains.find_map(|chain| {
            let judgement = chain.base.evaluate(chain.source, &frame)?;
            let stops = matches!(judgement.verdict(), Verdict::Drop | Verdict::Reject);
            judgement.stop().filter(|_| stops)?.evidence
        })
    }
}

/// The chains of all namespaces that see frames.
pub(crate) fn all<'a>(network: &Network<'a>) -> BTreeMap<(HostId, &'a Netns), Frames<'a>> {
    let mut all = BTreeMap::new();
    // A whole ruleset speaks for itself; parts of one count where there is none.
    for only_whole in [true, false] {
        for (source, tables) in network.nft_texts() {
            let asked = source.command.args().iter().any(|word| word == "ruleset");
            let complete = network.topology.snapshot.completeness(source.id).is_complete();
            let whole = asked && complete;
            let frames: &mut Frames<'a> = all.entry((source.host, &source.netns)).or_default();
            let of_ebtables = source.command.program().starts_with("ebtables");
            let is_cut = matches!(
                network.topology.snapshot.completeness(source.id),
                Completeness::Partial(_)
            );
            let all_asked = if of_ebtables { source.request.part.is_empty() } else { asked };
            if is_cut && all_asked && only_whole {
                frames.cut.push(if of_ebtables { "ebtables-save" } else { "nft list ruleset" });
            }
            if of_ebtables {
                let saved = complete && source.command.program().ends_with("-save");
                if saved != only_whole || frames.whole_ebtables {
                    continue;
                }
                frames.whole_ebtables = saved;
            } else if whole != only_whole || frames.whole {
                continue;
            } else {
                frames.whole = whole;
            }
            let chains = tables.iter().filter(|table| !is_dormant(table)).flat_map(chains_of);
            let tool = if of_ebtables { "ebtables" } else { "nft" };
            let source = source.id;
            frames.chains.extend(chains.map(|base| FrameChain { source, base, complete, tool }));
        }
    }
    for frames in all.values_mut() {
        frames.chains.sort_by_key(|chain| priority(&chain.base));
    }
    all
}

fn is_dormant(table: &NftTable) -> bool {
    table.other.iter().any(|word| word.value.contains("dormant"))
}

fn chains_of(table: &NftTable) -> impl Iterator<Item = BaseChain<'_>> {
    table.chains.iter().filter_map(move |chain| {
        let of_device =
            chain.hook.as_ref().is_some_and(|hook| matches!(&*hook.value, "ingress" | "egress"));
        let here = match table.family.as_str() {
            "bridge" | "arp" => !of_device,
            "netdev" | "inet" => of_device,
            _ => false,
        };
        let kind = chain.kind.as_deref().filter(|_| here)?;
        Some(BaseChain { table, chain, kind, priority: 0 })
    })
}

/// The order of chains at a hook; names are those of the family `bridge`
/// (`enum nf_br_hook_priorities`).
fn priority(base: &BaseChain<'_>) -> i64 {
    let Some(shown) = &base.chain.priority else { return 0 };
    let mut words = shown.value.split_whitespace();
    let bridge = base.table.family == "bridge";
    let first = match words.next().unwrap_or_default() {
        "dstnat" => -300,
        "filter" if bridge => -200,
        "out" => 100,
        "srcnat" => 300,
        other => other.parse().unwrap_or(0),
    };
    let sign = if words.next() == Some("-") { -1 } else { 1 };
    let offset: i64 = words.next().and_then(|shown| shown.parse().ok()).unwrap_or(0);
    first + sign * offset
}

/// Whether a chain is asked about a device: it names those that it is about, some of them by the
/// start of their names.
fn is_about(base: &BaseChain<'_>, device: &str) -> bool {
    let Some(named) = &base.chain.device else { return true };
    named.value.split([',', ' ', '{', '}']).any(|name| {
        let name = name.trim_matches('"');
        name == device || name.strip_suffix('*').is_some_and(|start| device.starts_with(start))
    })
}

#[cfg(test)]
mod tests {
    use tapline_core::records::nft::NftChain;

    use super::*;

    #[test]
    fn chains_are_asked_in_the_order_of_their_family() {
        for (family, shown, order) in [
            ("bridge", "-200", -200),
            ("bridge", "filter", -200),
            ("bridge", "dstnat", -300),
            ("bridge", "out", 100),
            ("bridge", "srcnat", 300),
            ("bridge", "filter + 5", -195),
            ("bridge", "filter - 5", -205),
            ("netdev", "filter", 0),
            ("arp", "filter", 0),
            ("arp", "10", 10),
        ] {
            let text = format!(
                "table {family} t {{\n\tchain c {{\n\t\ttype filter hook input priority {shown}; \
                 policy accept;\n\t}}\n}}\n"
            );
            let read = tapline_formats::registry::by_id(tapline_core::capture::FormatId(
                "nft-list-ruleset",
            ));
            let command = tapline_core::capture::Command::new("nft list ruleset");
            let out = (read.unwrap().read)(&text, &command);
            let tapline_core::records::Batch::NftTables(tables) = out.records else { panic!() };
            let table = tables.first().unwrap();
            let chain: &NftChain = table.chains.first().unwrap();
            let base = BaseChain { table, chain, kind: "filter", priority: 0 };
            assert_eq!(priority(&base), order, "{family} {shown}");
        }
    }
}
