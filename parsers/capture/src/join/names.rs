//! Keys and names of hosts: what tells machines apart, and captures of one machine.
use std::collections::{BTreeMap, BTreeSet};

use tapline_core::Name;
use tapline_core::capture::{Host, HostKey, Moment};
use tapline_core::host::Kinship;

use super::Joined;
use crate::host::Piece;
use crate::load;

/// Keys and labels, each unique among all hosts.
pub(super) fn give(joined: Vec<Joined>) -> Vec<(Host, Vec<Piece>)> {
    let mut keys: Vec<HostKey> = joined.iter().map(Joined::key).collect();
    let mut by_key: BTreeMap<HostKey, Vec<usize>> = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        by_key.entry(key.clone()).or_default().push(at);
    }
    let mut older: BTreeMap<usize, Name> = BTreeMap::new();
    for same in by_key.into_values().filter(|same| same.len() > 1) {
        let kin = kin(&joined, same);
        let are_several = kin.len() > 1;
        let inputs = inputs_of(&joined, &kin);
        for (mut captures, first) in kin.into_iter().zip(inputs) {
            let host = |at: &usize| joined.get(*at);
            // Machines made of one image: what is equal tells nothing, their inputs do.
            if are_several {
                for at in &captures {
                    if let (Some(key), Some(host)) = (keys.get_mut(*at), host(at)) {
                        let (name, input) = (host.name().into(), first.as_str().into());
                        *key = HostKey::Named { name, input };
                    }
                }
            }
            captures.sort_by_key(|at| {
                (host(at).map(|host| host.marks.taken), host(at).map(all_inputs))
            });
            let mut used: BTreeSet<Name> = BTreeSet::new();
            for (n, at) in captures.iter().rev().enumerate().skip(1) {
                let Some(host) = host(at) else { continue };
                let when = host.marks.taken.map(Moment::to_the_second);
                let mut name: Name = when.unwrap_or_else(|| all_inputs(host)).into();
                if !used.insert(name.clone()) {
                    name = format!("{name} {n}").into();
                }
                older.insert(*at, name);
            }
        }
    }
    let labels = labels(&joined);
    let mut named: BTreeMap<String, usize> = BTreeMap::new();
    for host in &joined {
        *named.entry(host.name()).or_default() += 1;
    }
    let by_first: BTreeMap<usize, String> =
        joined.iter().zip(&labels).map(|(host, label)| (host.first, label.clone())).collect();
    let all = joined.into_iter().zip(keys).zip(labels).enumerate();
    all.map(|(at, ((host, key), label))| {
        let made = Host {
            name: host.name(),
            domain: host.marks.domain.clone(),
            label,
            key,
            older: older.remove(&at),
            is_named: host.draft.own_name().is_some(),
            // The time of a listing tells captures of one name apart, and nothing else.
            taken: host.marks.taken.filter(|_| {
                host.draft.taken().is_some() || named.get(&host.name()).is_some_and(|n| *n > 1)
            }),
            may_be: sorted(host.may_be.iter().filter_map(|at| by_first.get(at).cloned())),
            inputs: host.inputs,
            sos_version: host.draft.sos_version,
            machine_id: host.draft.identity.machine_id,
            system_id: host.draft.identity.system_id,
            dmi_uuid: host.draft.identity.dmi_uuid,
            cleaned: host.draft.cleaned,
        };
        (made, host.draft.pieces)
    })
    .collect()
}

/// What the captures of each machine were read from: without folders above and suffixes, where that
/// is enough to tell the machines apart.
fn inputs_of(joined: &[Joined], machines: &[Vec<usize>]) -> Vec<String> {
    let first = |of: fn(&Joined) -> String| -> Vec<String> {
        let of_machine = |captures: &Vec<usize>| {
            let hosts = captures.iter().filter_map(|at| joined.get(*at));
            hosts.map(of).min().unwrap_or_default()
        };
        machines.iter().map(of_machine).collect()
    };
    let stems = first(Joined::input);
    if are_distinct(&stems) { stems } else { first(all_inputs) }
}

/// Where a host came from, whatever the order of the inputs.
fn all_inputs(host: &Joined) -> String {
    let inputs = host.inputs.iter().map(String::as_str);
    let archives = host.draft.pieces.iter().map(|piece| &*piece.archive);
    let all: BTreeSet<&str> = inputs.chain(archives).collect();
    // Several hosts may be in one folder.
    let first = host.draft.pieces.iter().map(|piece| &*piece.member).min();
    all.into_iter().chain(first).collect::<Vec<_>>().join(" ")
}

/// Takes the captures of one key apart: those that no mark tells apart are of one machine.
fn kin(joined: &[Joined], mut same: Vec<usize>) -> Vec<Vec<usize>> {
    // Each is compared with so many captures of a machine at most.
    const ENOUGH: usize = 8;
    let marks = |at: &usize| joined.get(*at).map(|it| &it.marks);
    same.sort_by_cached_key(|at| joined.get(*at).map(all_inputs));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for at in same {
        let fits = |group: &&mut Vec<usize>| {
            group.iter().take(ENOUGH).all(|other| {
                let pair = marks(&at).zip(marks(other));
                pair.is_some_and(|(a, b)| !matches!(a.compare(b), Kinship::Two(_)))
            })
        };
        match groups.iter_mut().find(fits) {
            Some(group) => group.push(at),
            None => groups.push(vec![at]),
        }
    }
    groups
}

/// Names to show: where several hosts have one name, with what tells them apart.
fn labels(joined: &[Joined]) -> Vec<String> {
    let mut labels: Vec<String> = joined.iter().map(Joined::name).collect();
    let mut by_name: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (at, name) in labels.iter().enumerate() {
        by_name.entry(name.clone()).or_default().push(at);
    }
    for (name, group) in by_name.into_iter().filter(|(_, group)| group.len() > 1) {
        for (at, label) in group.iter().zip(tell_apart(joined, &name, &group)) {
            if let Some(slot) = labels.get_mut(*at) {
                *slot = label;
            }
        }
    }
    labels
}

fn tell_apart(joined: &[Joined], name: &str, group: &[usize]) -> Vec<String> {
    let hosts: Vec<&Joined> = group.iter().filter_map(|&at| joined.get(at)).collect();
    let times = |show: fn(Moment) -> String| -> Option<Vec<String>> {
        let known = hosts.iter().map(|host| host.marks.taken.map(show)).collect::<Option<_>>();
        known.filter(|all: &Vec<String>| are_distinct(all))
    };
    let ids = hosts.iter().map(|host| host.marks.machine_id.as_deref()).collect::<Option<Vec<_>>>();
    let ids = ids.map(|ids| shortened(&ids));
    let one_machine = kin(joined, group.to_vec()).len() == 1;
    let with = |kind: &str, all: Vec<String>, end: &str| -> Vec<String> {
        all.into_iter().map(|what| format!("{name} {kind}{what}{end}")).collect()
    };
    if one_machine {
        if let Some(all) = times(|it| it.to_string()).or_else(|| times(Moment::to_the_second)) {
            return with("@ ", all, "");
        }
        // Those without a time are named by their input.
        let mixed = hosts.iter().map(|host| match host.marks.taken {
            Some(taken) => format!("{name} @ {}", taken.to_the_second()),
            None => format!("{name} ({})", host.stem()),
        });
        let mixed: Vec<String> = mixed.collect();
        if are_distinct(&mixed) {
            return mixed;
        }
    } else if let Some(ids) = ids.clone() {
        if are_distinct(&ids) {
            return with("(machine-id ", ids, ")");
        }
        let full = ids.into_iter().zip(&hosts).map(|(id, host)| {
            let when = host.marks.taken.map(Moment::to_the_second).unwrap_or_default();
            format!("machine-id {id}) @ {when}")
        });
        let full: Vec<String> = full.collect();
        if are_distinct(&full) && hosts.iter().all(|host| host.marks.taken.is_some()) {
            return with("(", full, "");
        }
    }
    let full = hosts.iter().map(|host| Some(format!("{name}.{}", host.marks.domain.as_ref()?)));
    if let Some(full) = full.collect::<Option<Vec<String>>>().filter(|all| are_distinct(all)) {
        return full;
    }
    let stems: Vec<String> = hosts.iter().map(|host| host.stem()).collect();
    if are_distinct(&stems) {
        return with("(", stems, ")");
    }
    let archives: Vec<String> = hosts.iter().map(|host| host.archive_stem()).collect();
    if are_distinct(&archives) {
        return with("(", archives, ")");
    }
    let folders: Vec<String> = hosts.iter().map(|host| host.folder()).collect();
    if are_distinct(&folders) && folders.iter().all(|folder| !folder.is_empty()) {
        return with("(", folders, ")");
    }
    // Numbers, given by what does not depend on the order of the inputs.
    let mut ranks: Vec<(String, usize)> =
        hosts.iter().enumerate().map(|(at, host)| (all_inputs(host), at)).collect();
    ranks.sort();
    let mut numbers: Vec<String> = vec![String::new(); hosts.len()];
    for (n, (_, at)) in ranks.into_iter().enumerate() {
        if let Some(slot) = numbers.get_mut(at) {
            *slot = (n + 1).to_string();
        }
    }
    with("(", numbers, ")")
}

impl Joined {
    /// The shortest name of what it came from: the archive in an archive, the folder in a folder.
    fn stem(&self) -> String {
        let fallback = &self.draft.fallback;
        if fallback.is_empty() { self.archive_stem() } else { fallback.clone() }
    }

    /// The folder that holds all its texts, by its last name.
    fn folder(&self) -> String {
        let folder = |member: &str| member.rsplit_once('/').map_or("", |pair| pair.0).to_owned();
        let mut folders = self.draft.pieces.iter().map(|piece| folder(&piece.member));
        let first = folders.next().unwrap_or_default();
        let common = folders.fold(first, |common, other| {
            let same = common.split('/').zip(other.split('/')).take_while(|(a, b)| a == b);
            same.map(|(part, _)| part).collect::<Vec<_>>().join("/")
        });
        common.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// The name of the archive that it came from.
    fn archive_stem(&self) -> String {
        let archives = self.draft.pieces.iter().map(|piece| &*piece.archive);
        archives.min().map(load::stem).unwrap_or_default()
    }
}

/// Ids without what is not needed to tell them apart.
fn shortened(ids: &[&str]) -> Vec<String> {
    const SHORTEST: usize = 8;
    let cut = |length: usize| -> Vec<String> {
        ids.iter().map(|id| id.get(..length).unwrap_or(id).to_owned()).collect()
    };
    let count = |ids: &[String]| ids.iter().collect::<BTreeSet<_>>().len();
    let longest = ids.iter().map(|id| id.len()).max().unwrap_or_default();
    let several = count(&cut(longest));
    let enough = (SHORTEST..longest).find(|length| count(&cut(*length)) == several);
    cut(enough.unwrap_or(longest))
}

fn are_distinct(all: &[String]) -> bool {
    all.iter().collect::<BTreeSet<_>>().len() == all.len()
}

fn sorted(labels: impl Iterator<Item = String>) -> Vec<String> {
    labels.collect::<BTreeSet<_>>().into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::shortened;

    #[test]
    fn ids_are_as_long_as_it_takes() {
        assert_eq!(shortened(&["0123456789", "1123456789"]), ["01234567", "11234567"]);
        assert_eq!(shortened(&["0123456789", "0123456780"]), ["0123456789", "0123456780"]);
        assert_eq!(shortened(&["0123456789", "0123456789"]), ["01234567", "01234567"]);
        assert_eq!(shortened(&["012", "013"]), ["012", "013"]);
    }
}
