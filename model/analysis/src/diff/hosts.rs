//! Which host of the new captures is which of the old ones.
use std::collections::BTreeSet;

use tapline_core::capture::HostId;
use tapline_core::host::Kinship;

use super::By;
use super::side::Side;

/// Hosts of both sides.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    /// The same machine, and a remark where nothing says so.
    pub(super) both: Vec<(HostId, HostId, Option<String>)>,
    /// Of the old side alone.
    pub(super) old: Vec<HostId>,
    /// Of the new side alone.
    pub(super) new: Vec<HostId>,
    /// Further captures of machines that are compared, of each side.
    pub(super) further: [Vec<HostId>; 2],
    /// Why a pair that was left over is not compared.
    pub(super) refused: Option<String>,
}

/// Pairs the hosts: by what marks machines, and where both sides have one host each of which nothing
/// says whose it is, these.
pub(super) fn pair(old: &Side<'_, '_>, new: &Side<'_, '_>, by: By) -> Pairs {
    let current = |side: &Side<'_, '_>| -> Vec<HostId> {
        let network = side.network;
        network.hosts().filter(|host| !network.is_outdated(*host)).collect()
    };
    let (before, after) = (current(old), current(new));
    let (old_marks, new_marks) = (old.marks(), new.marks());
    let compare = |a: HostId, b: HostId| {
        let (a, b) = (old_marks.get(a.0 as usize)?, new_marks.get(b.0 as usize)?);
        Some(a.compare(b))
    };
    let mut pairs = Pairs::default();
    let mut taken: BTreeSet<HostId> = BTreeSet::new();
    let mut left: Vec<HostId> = Vec::new();
    for host in before {
        // Two captures of one machine at one moment have its name too: that one goes first.
        let named = old.network.hostname(host);
        let mut same: Vec<HostId> = after
            .iter()
            .copied()
            .filter(|other| !taken.contains(other))
            .filter(|other| matches!(compare(host, *other), Some(Kinship::One(_))))
            .collect();
        same.sort_by_key(|other| new.network.hostname(*other) != named);
        match same.first() {
            Some(other) => {
                taken.insert(*other);
                pairs.both.push((host, *other, None));
            }
            None => left.push(host),
        }
    }
    let mut rest: Vec<HostId> = after.into_iter().filter(|it| !taken.contains(it)).collect();
    if let ([a], [b], true) = (left.as_slice(), rest.as_slice(), pairs.both.is_empty()) {
        match compare(*a, *b) {
            _ if by == By::Role => {
                pairs.both.push((*a, *b, Some("compared by their role".to_owned())));
                (left, rest) = (Vec::new(), Vec::new());
            }
            Some(Kinship::Two(mark)) => {
                let mark = match mark {
                    tapline_core::host::Mark::MachineId => "their machine-ids differ",
                    tapline_core::host::Mark::SystemId => {
                        "the system-ids of their Open vSwitch differ"
                    }
                    tapline_core::host::Mark::DmiUuid => "their hardware differs",
                    tapline_core::host::Mark::Nics => "they have no NIC in common",
                    tapline_core::host::Mark::Name => "their names differ",
                };
                pairs.refused = Some(mark.to_owned());
            }
            _ if have_two_names(old, new, *a, *b) => {
                pairs.refused =
                    Some("their names differ, and they have no two NICs in common".to_owned());
            }
            _ => {
                let remark = "nothing says that both are one machine".to_owned();
                pairs.both.push((*a, *b, Some(remark)));
                (left, rest) = (Vec::new(), Vec::new());
            }
        }
    }
    // Of one machine at one moment one capture is compared.
    let is_further = |side: &Side<'_, '_>, host: &HostId, compared: &[HostId]| {
        compared.iter().any(|other| side.network.same_machine(*host, *other))
    };
    let (was, is): (Vec<HostId>, Vec<HostId>) =
        pairs.both.iter().map(|(old, new, _)| (*old, *new)).unzip();
    let (further_old, left) = left.into_iter().partition(|host| is_further(old, host, &was));
    let (further_new, rest) = rest.into_iter().partition(|host| is_further(new, host, &is));
    pairs.further = [further_old, further_new];
    (pairs.old, pairs.new) = (left, rest);
    pairs
}

/// Whether both have names of their own, and not the same.
fn have_two_names(old: &Side<'_, '_>, new: &Side<'_, '_>, a: HostId, b: HostId) -> bool {
    let name = |side: &Side<'_, '_>, host: HostId| {
        let host = side.snapshot().host(host).filter(|host| host.is_named && !host.cleaned);
        host.map(|host| host.name.clone())
    };
    matches!((name(old, a), name(new, b)), (Some(a), Some(b)) if a != b)
}
