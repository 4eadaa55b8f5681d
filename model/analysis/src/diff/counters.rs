//! Counters as rates: how fast errors and drops grew between the captures.
//!
//! A difference of totals means something only where nothing began to count anew: within one run of the
//! kernel for a device that was not made anew, or for a flow that lived from one capture to the other.
use std::collections::BTreeMap;

use super::change::Places;
use super::entity::{Counter, Entity, Key, Kind, View};
use super::when::Run;

/// The counter of carriers that came and went.
pub(super) const CARRIER: &str = "carrier_changes";

/// What is counted where something goes wrong.
const FAULTS: &[&str] = &[
    "err", "drop", "discard", "miss", "crc", "fifo", "overrun", "transns", "carrier", "collsn",
    "timeout", "abort", "jabber", "no_buff", "no_dma", "fail",
];
/// Seconds by which the age of a flow may differ from the time between the captures.
const SLACK: f64 = 5.0;

/// How fast a counter grew.
#[derive(Clone, PartialEq, Debug)]
pub struct Rate {
    /// Of what.
    pub key: Key,
    /// Its name for people.
    pub name: String,
    /// What is counted: `rx_dropped`, `carrier_changes`, `n_packets`.
    pub counter: String,
    /// By how much it grew.
    pub by: u64,
    /// In how many seconds.
    pub seconds: u64,
    /// Both lines.
    pub places: Places,
}

/// Whether a counter counts what goes wrong.
pub(super) fn is_of_faults(name: &str) -> bool {
    FAULTS.iter().any(|word| name.contains(word))
}

/// The rates of all things that both sides count, those of devices where the kernel ran on.
pub(super) fn rates(old: &View, new: &View, run: Run) -> Vec<Rate> {
    let mut all = Vec::new();
    for (key, after) in &new.entities {
        let Some(before) = old.entities.get(key) else { continue };
        if after.counters.is_empty() || before.counters.is_empty() {
            continue;
        }
        let is_one = key.kind != Kind::Netdev || is_same_device(before, after);
        if is_one {
            grown(before, after, run, &mut all);
        }
    }
    all.sort_by(|a, b| (b.by, &a.key, &a.counter).cmp(&(a.by, &b.key, &b.counter)));
    all
}

/// A device that was made anew has another index.
fn is_same_device(before: &Entity, after: &Entity) -> bool {
    let index = |it: &Entity| it.values.get("ifindex").and_then(|value| value.text.clone());
    index(before).is_some_and(|old| index(after) == Some(old))
}

fn grown(before: &Entity, after: &Entity, run: Run, all: &mut Vec<Rate>) {
    let of = |counter: &Counter| (counter.program.clone(), counter.name.clone());
    let was: BTreeMap<_, &Counter> = before.counters.iter().map(|it| (of(it), it)).collect();
    let pairs: Vec<(&Counter, &Counter)> =
        after.counters.iter().filter_map(|now| Some((*was.get(&of(now))?, now))).collect();
    // Something was set to zero.
    if pairs.iter().any(|(was, now)| now.value < was.value) {
        return;
    }
    let mut told: Vec<&str> = Vec::new();
    for (was, now) in pairs {
        let by = now.value.saturating_sub(was.value);
        // Several programs count the same.
        if by == 0 || told.contains(&now.name.as_str()) {
            continue;
        }
        let Some(seconds) = seconds_between(was, now, run) else { continue };
        told.push(&now.name);
        all.push(Rate {
            key: after.key.clone(),
            name: after.name.clone(),
            counter: if now.name == "tx_transns" { CARRIER.to_owned() } else { now.name.clone() },
            by,
            seconds,
            places: [Some(was.at), Some(now.at)],
        });
    }
}

/// In how many seconds a counter grew; `None` where it may have begun anew, or that is not known.
fn seconds_between(was: &Counter, now: &Counter, run: Run) -> Option<u64> {
    let Run::One(Some(apart)) = run else { return None };
    if let (Some(was), Some(now)) = (was.age, now.age) {
        // What was set anew since did not grow older by the time between the captures.
        #[expect(clippy::cast_precision_loss, reason = "seconds of a few years")]
        let off = (now - was - apart as f64).abs();
        if off.is_nan() || off > SLACK + (now - was).abs() / 10.0 {
            return None;
        }
    }
    u64::try_from(apart).ok().filter(|apart| *apart > 0)
}
