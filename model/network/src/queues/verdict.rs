//! What the filters of a hook do with a frame (net/sched/cls_api.c, act_*.c).
use tapline_core::Name;
use tapline_core::records::tc::{TcAction, TcFilter};
use tapline_core::span::Evidence;
use tapline_topology::graph::Seen;

use super::matching::is_met;
use super::{AtDevice, Hook};
use crate::trace::{Packet, Reason};
use crate::truth::Truth;

/// So many chains are followed.
const MOST_CHAINS: u32 = 16;

/// What may become of a frame besides that it passes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Does {
    /// What.
    pub(crate) what: What,
    /// The line that does it.
    pub(crate) evidence: Evidence,
    /// In words.
    pub(crate) text: String,
}

/// What a filter does.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum What {
    /// It drops the frame.
    Drop,
    /// It sends it by another device, or hands it to that as if received there.
    Redirect { device: Name, received: bool },
    /// That cannot be told.
    Unknown(Reason),
}

/// All that may become of a frame.
#[derive(Clone, Default, Debug)]
pub(crate) struct Verdict {
    /// It may pass.
    pub(crate) passes: bool,
    /// Or this.
    pub(crate) does: Vec<Does>,
    /// What is taken for granted where it passes.
    pub(crate) assumed: Vec<String>,
}

/// What comes behind a filter.
enum Then {
    /// Nothing: the frame passes the hook.
    Pass,
    /// Nothing: the frame is gone.
    Gone,
    /// The next filter.
    Next,
    /// Another chain.
    Chain(u32),
}

impl<'a> AtDevice<'a> {
    /// What the filters of a hook do. Open vSwitch hands flows to `tc` that do what its tables do:
    /// at its own ports (`of_switch`) these are left to the tables.
    pub(crate) fn judge(&self, hook: Hook, packet: &Packet, of_switch: bool) -> Verdict {
        let mut verdict = Verdict::default();
        let mut filters: Vec<Seen<'a, TcFilter>> = self
            .filters
            .iter()
            .filter(|(at, filter)| *at == hook && filter.record.handle.is_some())
            .map(|(_, filter)| *filter)
            .collect();
        filters.sort_by_key(|filter| filter.record.pref);
        if of_switch {
            let before = filters.len();
            filters.retain(|filter| !is_of_switch(filter.record));
            if filters.len() < before {
                let text = "the flows that Open vSwitch handed to tc do what its tables do";
                verdict.assumed.push(text.to_owned());
            }
        }
        verdict.passes |= ask(&filters, 0, packet, 0, &mut verdict);
        verdict
    }
}

/// Whether a filter is a flow of Open vSwitch: it has the name of the flow as a cookie
/// (lib/tc.c, `nl_msg_put_act_cookie`).
fn is_of_switch(filter: &TcFilter) -> bool {
    let is_ufid = |value: &str| value.len() == 32 && value.bytes().all(|b| b.is_ascii_hexdigit());
    let mut fields = filter.actions.iter().flat_map(|action| &action.other);
    filter.kind.value == "flower"
        && fields.any(|field| field.key == "cookie" && is_ufid(&field.value.value))
}

/// Asks the filters of a chain; whether the frame may pass behind them.
fn ask(
    filters: &[Seen<'_, TcFilter>],
    chain: u32,
    packet: &Packet,
    depth: u32,
    verdict: &mut Verdict,
) -> bool {
    let mut passes = false;
    for filter in filters.iter().filter(|filter| filter.record.chain == chain) {
        let met = is_met(filter.record, packet);
        if met == Truth::No {
            continue;
        }
        let then = match follow(filter, packet, verdict) {
            Then::Chain(next) if depth < MOST_CHAINS => {
                passes |= ask(filters, next, packet, depth + 1, verdict);
                Then::Gone
            }
            Then::Chain(_) => {
                verdict.does.push(unknown(filter, Reason::Limit, "too many chains"));
                Then::Gone
            }
            then => then,
        };
        match then {
            Then::Next | Then::Chain(_) => {}
            Then::Pass => passes = true,
            Then::Gone => {}
        }
        if met == Truth::Yes && !matches!(then, Then::Next) {
            return passes;
        }
    }
    true
}

fn unknown(filter: &Seen<'_, TcFilter>, reason: Reason, text: &str) -> Does {
    let evidence = Evidence { source: filter.source, span: filter.record.at };
    Does { what: What::Unknown(reason), evidence, text: text.to_owned() }
}

/// What a filter does with a frame that it is met by.
fn follow(filter: &Seen<'_, TcFilter>, packet: &Packet, verdict: &mut Verdict) -> Then {
    if filter.record.kind.value == "bpf" {
        verdict.does.push(unknown(filter, Reason::Ebpf, "a program of BPF at the device decides"));
        return Then::Next;
    }
    for action in &filter.record.actions {
        let evidence = Evidence { source: filter.source, span: action.text.span };
        let text = action.text.value.as_str();
        let mut add = |what: What, text: String| {
            verdict.does.push(Does { what, evidence, text });
        };
        match action.kind.value.as_str() {
            "gact" => {}
            "police" => {
                let is_long = exceeds(text, packet);
                let drops = text.contains("action drop") || text.contains("conform-exceed drop");
                if is_long && drops {
                    add(
                        What::Drop,
                        "a filter of tc drops what is longer than its police takes".to_owned(),
                    );
                    return Then::Gone;
                }
                if drops {
                    let text = "it keeps within the rate that tc lets pass".to_owned();
                    if !verdict.assumed.contains(&text) {
                        verdict.assumed.push(text);
                    }
                }
                // `action drop/continue`: what is within the rate is asked on.
                if text.contains("/continue") {
                    return Then::Next;
                }
                continue;
            }
            "mirred" => match redirected(text) {
                Some((device, received)) => {
                    let how = if received { "hands it to" } else { "sends it by" };
                    let text = format!("a filter of tc {how} {device}");
                    add(What::Redirect { device, received }, text);
                    return Then::Gone;
                }
                // A copy: the frame itself goes on.
                None if text.contains("Mirror to device") => {}
                None => {
                    add(What::Unknown(Reason::NotModelled), not_modelled(action));
                    return Then::Gone;
                }
            },
            "skbedit" if !text.contains("mark") && !text.contains("ptype") => {}
            "csum" | "sample" | "simple" => {}
            "bpf" => {
                add(
                    What::Unknown(Reason::Ebpf),
                    "a program of BPF at the device decides".to_owned(),
                );
                return Then::Gone;
            }
            _ => {
                add(What::Unknown(Reason::NotModelled), not_modelled(action));
                return Then::Gone;
            }
        }
        match control(text) {
            Control::Pipe => {}
            Control::Pass => return Then::Pass,
            Control::Next => return Then::Next,
            Control::Chain(chain) => return Then::Chain(chain),
            Control::Drop => {
                add(What::Drop, "a filter of tc drops it".to_owned());
                return Then::Gone;
            }
            Control::Other => {
                add(What::Unknown(Reason::NotModelled), not_modelled(action));
                return Then::Gone;
            }
        }
    }
    Then::Pass
}

fn not_modelled(action: &TcAction) -> String {
    format!("a filter of tc does what is not modelled: {} {}", action.kind.value, action.text.value)
}

/// What comes behind an action.
enum Control {
    Pipe,
    Pass,
    Next,
    Drop,
    Chain(u32),
    Other,
}

/// The last words of an action (`print_action_control`, iproute2 `tc/tc_util.c`).
fn control(text: &str) -> Control {
    let mut words = text.split_whitespace().rev();
    let last = words.next().unwrap_or_default();
    match (last, words.next()) {
        ("pipe", _) => Control::Pipe,
        ("pass" | "ok" | "reclassify", _) => Control::Pass,
        ("continue", _) => Control::Next,
        ("drop" | "shot", _) => Control::Drop,
        (number, Some("chain")) => number.parse().map_or(Control::Other, Control::Chain),
        _ => Control::Other,
    }
}

/// `(Egress Redirect to device eth1) stolen`: the device, and whether it receives the frame.
fn redirected(text: &str) -> Option<(Name, bool)> {
    let (before, behind) = text.split_once(" Redirect to device ")?;
    let (device, _) = behind.split_once(')')?;
    Some((device.trim().into(), before.contains("Ingress")))
}

/// Whether a packet is longer than a police takes at all: `mtu 64Kb`.
fn exceeds(text: &str, packet: &Packet) -> bool {
    let mut words = text.split_whitespace().skip_while(|word| *word != "mtu");
    let shown = words.nth(1).unwrap_or_default();
    let digits = shown.trim_end_matches(|c: char| !c.is_ascii_digit());
    let scale = match shown.get(digits.len()..).unwrap_or_default() {
        "b" | "" => 1,
        "Kb" | "K" => 1 << 10,
        "Mb" | "M" => 1 << 20,
        _ => return false,
    };
    let limit = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(scale));
    let size = packet.size.map(u64::from);
    size.zip(limit).is_some_and(|(size, limit)| limit > 0 && size > limit)
}
