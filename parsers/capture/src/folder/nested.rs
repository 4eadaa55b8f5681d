//! Folders in folders: those of the namespaces of a host, and those of other machines.
use std::collections::BTreeMap;

use tapline_core::capture::Command;
use tapline_core::ids::Netns;

use super::Text;

/// Folders above those that are named after namespaces.
const ABOVE: &[&str] = &["namespace", "namespaces", "netns", "ns"];
/// What names of namespaces begin with that neutron, OVN and CNI make.
const PREFIXES: &[&str] = &["cni-", "fip-", "ovnmeta-", "qdhcp-", "qlbaas-", "qrouter-", "snat-"];

/// Puts the outputs of folders that are named after namespaces into these, where a folder above has
/// outputs of the host: `host/netns/qrouter-6a7b/ip_a.txt`. Those that lie beside the only folder of a
/// host are of it, and are returned with it.
pub(super) fn name_namespaces<'a>(
    folders: &mut BTreeMap<&'a str, Vec<(&str, Text)>>,
) -> BTreeMap<&'a str, &'a str> {
    let is_output = |text: &(&str, Text)| matches!(text.1, Text::Output { .. });
    let of_hosts: Vec<&'a str> = folders
        .iter()
        .filter(|(_, texts)| texts.iter().any(is_output))
        .map(|(folder, _)| *folder)
        .collect();
    let mut homes = BTreeMap::new();
    for (folder, texts) in folders {
        let mut parts = folder.rsplit('/');
        let (Some(name), above) = (parts.next(), parts.next()) else { continue };
        let is_made = PREFIXES.iter().any(|prefix| name.starts_with(prefix));
        if name.is_empty() || !is_made && above.is_none_or(|above| !ABOVE.contains(&above)) {
            continue;
        }
        let is_below = of_hosts.iter().any(|host| {
            let below = folder.strip_prefix(host);
            below.is_some_and(|below| host.is_empty() || below.starts_with('/')) && host != folder
        });
        if !is_below {
            let Some(host) = beside(folder, &of_hosts).filter(|_| is_made) else { continue };
            homes.insert(*folder, host);
        }
        for (_, text) in texts {
            if let Text::Output { piece, .. } = text
                && piece.netns.is_root()
            {
                piece.netns = Netns::Named(name.into());
            }
        }
    }
    homes
}

/// The only folder beside one that is no namespace.
fn beside<'a>(folder: &str, of_hosts: &[&'a str]) -> Option<&'a str> {
    let parent = |folder: &str| folder.rsplit_once('/').map_or("", |pair| pair.0).to_owned();
    let above = parent(folder);
    let mut hosts = of_hosts.iter().filter(|host| {
        let name = host.rsplit('/').next().unwrap_or_default();
        !host.is_empty()
            && parent(host) == above
            && !PREFIXES.iter().any(|prefix| name.starts_with(prefix))
    });
    let only = hosts.next()?;
    hosts.next().is_none().then_some(*only)
}

/// What was answered by the outputs of each host so far.
#[derive(Debug, Default)]
pub(super) struct Answers<'a>(BTreeMap<&'a str, BTreeMap<Question<'a>, &'a str>>);

/// A command, and where it was asked.
type Question<'a> = (&'a Netns, &'a Command);

impl<'a> Answers<'a> {
    /// Whether the host of a folder has answered one of these questions in another way: a machine has
    /// one answer at a time.
    pub(super) fn contradict(&self, home: &str, texts: &[(&str, Text)]) -> bool {
        let Some(known) = self.0.get(home) else { return false };
        outputs(texts)
            .any(|(question, text)| known.get(&question).is_some_and(|known| *known != text))
    }

    /// The answers of a folder are those of this host.
    pub(super) fn learn(&mut self, home: &'a str, texts: &'a [(&str, Text)]) {
        let known = self.0.entry(home).or_default();
        for (question, text) in outputs(texts) {
            known.entry(question).or_insert(text);
        }
    }
}

/// The outputs of a folder, and what they answer.
fn outputs<'t>(texts: &'t [(&str, Text)]) -> impl Iterator<Item = (Question<'t>, &'t str)> {
    texts.iter().filter_map(|(_, text)| match text {
        Text::Output { piece, .. } => Some(((&piece.netns, &piece.command), piece.text.trim_end())),
        _ => None,
    })
}
