//! Puts the texts of folders together to hosts.
use std::collections::{BTreeMap, BTreeSet, HashMap};

use tapline_core::capture::FormatId;
use tapline_core::ids::Netns;

use super::machines::Traits;
use super::moments;
use super::nested;
use super::{Text, add_session, of_sections, of_session};
use crate::flat;
use crate::host::{Draft, Identity, short};
use crate::tree::Tree;

/// Puts the texts of folders together to hosts; with the folder, where one folder is the host.
pub(super) fn drafts<'a>(
    tree: &Tree,
    mut folders: BTreeMap<&'a str, Vec<(&str, Text)>>,
    identities: &BTreeMap<&str, Identity>,
) -> Vec<(Option<&'a str>, Draft)> {
    // The folders that are hosts: those with outputs, unless a folder above is the same host.
    let mut hosts: BTreeMap<&str, Draft> = BTreeMap::new();
    let of_namespaces = nested::name_namespaces(&mut folders);
    let mut answers = nested::Answers::default();
    let has_output =
        |texts: &[(&str, Text)]| texts.iter().any(|text| !matches!(text.1, Text::Session(_)));
    for (&folder, texts) in &folders {
        if !has_output(texts) || of_namespaces.contains_key(folder) {
            continue;
        }
        let own = identities.get(folder).and_then(|it| it.name());
        let above = ancestors(folder).find_map(|ancestor| Some((ancestor, hosts.get(ancestor)?)));
        let (home, above) = (above.map_or(folder, |pair| pair.0), above.map(|pair| pair.1));
        let same = above.is_some_and(|above| own.is_none_or(|own| own == above.name()))
            && !answers.contradict(home, texts);
        answers.learn(if same { home } else { folder }, texts);
        if !same || is_of_another_time(folder, identities) {
            let root = if folder.is_empty() { String::new() } else { format!("{folder}/") };
            let mut draft = Draft::new(tree, &root);
            draft.said =
                above.filter(|_| same).and_then(|above| above.own_name()).map(str::to_owned);
            draft.identity = identities.get(folder).cloned().unwrap_or_default();
            hosts.insert(folder, draft);
        }
    }
    drop(answers);
    let mut hosts_of = homes(tree, &mut hosts, &folders);
    hosts_of.extend(of_namespaces);
    let mut labelled: BTreeMap<(String, String), Draft> = BTreeMap::new();
    let mut sessions: BTreeMap<(String, String), Draft> = BTreeMap::new();
    for (folder, texts) in folders {
        let near =
            std::iter::once(folder).chain(ancestors(folder)).find(|pair| hosts.contains_key(pair));
        let home = hosts_of.get(folder).copied().or(near);
        let several = has_hosts_in_names(&texts);
        let copies = !several && has_copies_of_machines(&texts);
        let moments = if several || copies { BTreeMap::new() } else { moments::of(&texts) };
        // Sessions last: what they repeat of files is left out.
        let (sessions_here, outputs): (Vec<_>, Vec<_>) =
            texts.into_iter().partition(|text| matches!(text.1, Text::Session(_)));
        for (member, text) in outputs.into_iter().chain(sessions_here) {
            match text {
                Text::Output { piece, label } => {
                    let host = label.as_deref().and_then(flat::host_of_label);
                    let copy = copies.then(|| copy_of(tree, folder, member)).flatten();
                    let host = copy.as_deref().or(host.as_deref()).and_then(short);
                    let draft = match (host, home) {
                        (Some(host), _) if several || copy.is_some() => {
                            let place = || format!("{}:{}", tree.archive, flat::place_of(folder));
                            labelled.entry((folder.to_owned(), host.to_owned())).or_insert_with(
                                || Draft {
                                    said: Some(host.to_owned()),
                                    labelled: Some(place()),
                                    ..Draft::default()
                                },
                            )
                        }
                        (_, Some(home)) => match moments.get(member) {
                            Some(moment) => {
                                let name = base_of(tree, folder, identities.get(home));
                                let fallback = format!("{name}-{moment}");
                                let key = (folder.to_owned(), fallback.clone());
                                labelled
                                    .entry(key)
                                    .or_insert_with(|| Draft { fallback, ..Draft::default() })
                            }
                            None => hosts.entry(home).or_default(),
                        },
                        (_, None) => continue,
                    };
                    // The only file there is may be named by its host.
                    if tree.single && draft.said.is_none() {
                        draft.said = host.map(str::to_owned);
                    }
                    draft.used += 1;
                    draft.pieces.push(piece);
                }
                Text::Sections(sections) => {
                    let Some(draft) = home.map(|home| hosts.entry(home).or_default()) else {
                        continue;
                    };
                    draft.used += 1;
                    draft.pieces.extend(of_sections(tree, member, sections));
                }
                Text::Name => {
                    if let Some(draft) = home.map(|home| hosts.entry(home).or_default()) {
                        draft.used += 1;
                    }
                }
                Text::Session(session) => match home {
                    // A session in the folder of a host is of that host.
                    Some(home) => {
                        let draft = hosts.entry(home).or_default();
                        draft.used += 1;
                        // By what was asked: outputs are long, and most questions are asked once.
                        let mut known: HashMap<_, Vec<&str>> = HashMap::new();
                        for piece in &draft.pieces {
                            let asked = (&piece.netns, &piece.command);
                            known.entry(asked).or_default().push(piece.text.trim_end());
                        }
                        let mut new = Vec::new();
                        for (host, piece) in of_session(tree, member, session) {
                            let texts = known.get(&(&piece.netns, &piece.command));
                            let answer = piece.text.trim_end();
                            if !texts.is_some_and(|texts| texts.contains(&answer)) {
                                new.push(piece);
                            }
                            if draft.said.is_none() {
                                draft.said = host.as_deref().and_then(short).map(str::to_owned);
                            }
                        }
                        drop(known);
                        draft.pieces.append(&mut new);
                    }
                    None => add_session(tree, member, session, &mut sessions),
                },
            }
        }
    }
    join_nameless(tree, &mut sessions);
    let of_folders = hosts.into_iter().map(|(folder, draft)| (Some(folder), draft));
    let of_files =
        labelled.into_values().chain(sessions.into_values()).map(|labelled| (None, labelled));
    of_folders.chain(of_files).filter(|(_, draft)| draft.used > 0).collect()
}

/// The folders whose texts are of the host that the folder above is: several that are named by what is
/// in them, of which no two answer one question.
fn homes<'a>(
    tree: &Tree,
    hosts: &mut BTreeMap<&'a str, Draft>,
    folders: &BTreeMap<&'a str, Vec<(&str, Text)>>,
) -> BTreeMap<&'a str, &'a str> {
    let mut below: BTreeMap<&'a str, Vec<&'a str>> = BTreeMap::new();
    for &folder in hosts.keys().filter(|folder| !folder.is_empty()) {
        below.entry(ancestors(folder).next().unwrap_or_default()).or_default().push(folder);
    }
    let mut homes = BTreeMap::new();
    for (above, children) in below {
        let last = |folder: &str| folder.rsplit('/').next().is_some_and(flat::is_topic);
        if children.len() < 2 || hosts.contains_key(above) || !children.iter().all(|it| last(it)) {
            continue;
        }
        let mut answered: BTreeSet<(&Netns, FormatId)> = BTreeSet::new();
        let apart = children.iter().all(|child| {
            let texts = folders.get(child).map_or(&[][..], Vec::as_slice);
            let of: BTreeSet<_> = texts
                .iter()
                .filter_map(|(_, text)| match text {
                    Text::Output { piece, .. } => Some((&piece.netns, piece.format)),
                    _ => None,
                })
                .collect();
            let new = answered.is_disjoint(&of);
            answered.extend(of);
            new
        });
        let names: BTreeSet<String> = children
            .iter()
            .filter_map(|child| hosts.get(child)?.identity.name().map(str::to_owned))
            .collect();
        if !apart || names.len() > 1 {
            continue;
        }
        let root = if above.is_empty() { String::new() } else { format!("{above}/") };
        let mut draft = Draft::new(tree, &root);
        for child in children {
            if let Some(part) = hosts.remove(child) {
                draft.identity.learn_from(part.identity);
            }
            homes.insert(child, above);
        }
        hosts.insert(above, draft);
    }
    homes
}

/// Joins the sessions of a folder that name no host, as its outputs are joined, where no command is
/// answered in two of them.
fn join_nameless(tree: &Tree, sessions: &mut BTreeMap<(String, String), Draft>) {
    let folder = |member: &str| member.rsplit_once('/').map_or("", |pair| pair.0).to_owned();
    let mut nameless: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    for (key, draft) in sessions.iter() {
        if draft.own_name().is_none() && key.1.is_empty() {
            nameless.entry(folder(&key.0)).or_default().push(key.clone());
        }
    }
    for (folder, keys) in nameless.into_iter().filter(|(_, keys)| keys.len() > 1) {
        let mut answered = BTreeSet::new();
        let drafts = || keys.iter().filter_map(|key| sessions.get(key));
        let once = drafts().all(|draft| {
            let of: BTreeSet<_> =
                draft.pieces.iter().map(|piece| (piece.netns.clone(), piece.format)).collect();
            let new = answered.is_disjoint(&of);
            answered.extend(of);
            new
        });
        let Some((first, others)) = keys.split_first().filter(|_| once) else { continue };
        let others: Vec<Draft> = others.iter().filter_map(|key| sessions.remove(key)).collect();
        let Some(draft) = sessions.get_mut(first) else { continue };
        base_of(tree, &folder, None).clone_into(&mut draft.fallback);
        for other in others {
            draft.used += other.used;
            draft.pieces.extend(other.pieces);
        }
    }
}

/// Whether the texts of a folder were taken at a time of their own: `date` says so in it, and says
/// another time in another folder.
fn is_of_another_time(folder: &str, identities: &BTreeMap<&str, Identity>) -> bool {
    let Some(own) = identities.get(folder).and_then(|it| it.date) else { return false };
    identities.values().filter_map(|identity| identity.date).any(|date| !date.may_be(own))
}

/// Whether words in the names of files are hosts: one command stands under two of them.
fn has_hosts_in_names(texts: &[(&str, Text)]) -> bool {
    let mut labels: BTreeMap<(&Netns, FormatId), BTreeSet<String>> = BTreeMap::new();
    for (_, text) in texts {
        if let Text::Output { piece, label: Some(label) } = text
            && let Some(host) = flat::host_of_label(label)
        {
            labels.entry((&piece.netns, piece.format)).or_default().insert(host);
        }
    }
    labels.values().any(|hosts| hosts.len() > 1)
}

/// Whether numbered copies of an output are of different machines: `ip_a (1).txt`, `ip_a (2).txt`.
fn has_copies_of_machines(texts: &[(&str, Text)]) -> bool {
    let mut known: BTreeMap<(FormatId, &str), Traits> = BTreeMap::new();
    for (member, text) in texts {
        let (Text::Output { piece, .. }, Some(number)) = (text, flat::number_of_copy(member))
        else {
            continue;
        };
        let traits = Traits::of(piece);
        let mut others = known.iter().filter(|(key, _)| key.0 == piece.format && key.1 != number);
        if others.any(|(_, other)| other.excludes(&traits)) {
            return true;
        }
        known.insert((piece.format, number), traits);
    }
    false
}

/// What the machine of a folder is called, by itself or by the folder.
fn base_of<'a>(tree: &'a Tree, folder: &'a str, identity: Option<&'a Identity>) -> &'a str {
    let base = || folder.rsplit('/').next().filter(|base| !base.is_empty());
    identity.and_then(|it| it.name()).or_else(base).unwrap_or(&tree.stem)
}

/// The name of the host that a numbered copy is of.
fn copy_of(tree: &Tree, folder: &str, member: &str) -> Option<String> {
    let number = flat::number_of_copy(member)?;
    Some(format!("{}-{number}", base_of(tree, folder, None)))
}

/// The folders above, nearest first.
fn ancestors(folder: &str) -> impl Iterator<Item = &str> {
    let mut at = Some(folder).filter(|it| !it.is_empty());
    std::iter::from_fn(move || {
        let above = at?.rsplit_once('/').map_or("", |pair| pair.0);
        at = Some(above).filter(|it| !it.is_empty());
        Some(above)
    })
}
