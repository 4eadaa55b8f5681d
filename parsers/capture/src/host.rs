//! Hosts in the making: texts that belong together, and what tells whose they are.
use std::collections::BTreeSet;
use std::sync::Arc;

use tapline_core::Name;
use tapline_core::capture::{Command, Completeness, FormatId, LinePlace, Moment};
use tapline_core::host::Marks;
use tapline_core::ids::{Mac, Netns};

use crate::marks;
use crate::tree::Tree;

/// A text that a format reads, before it has a host.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) netns: Netns,
    pub(crate) archive: Arc<str>,
    pub(crate) member: Arc<str>,
    pub(crate) first_line: u32,
    pub(crate) command: Command,
    pub(crate) format: FormatId,
    pub(crate) text: String,
    /// See `Source::places`.
    pub(crate) places: Vec<LinePlace>,
    /// Bytes that are no UTF-8 were replaced.
    pub(crate) lossy: bool,
    pub(crate) completeness: Completeness,
    pub(crate) taken: Option<f64>,
    /// See `Source::window`.
    pub(crate) window: Option<(f64, f64)>,
}

/// What texts say about the machine they come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Identity {
    /// The machine's own name, from the best witness so far.
    name: Option<(u8, String)>,
    /// The domain behind that name.
    domain: Option<Name>,
    /// `/etc/machine-id`.
    pub(crate) machine_id: Option<String>,
    /// `system-id` of Open vSwitch.
    pub(crate) system_id: Option<String>,
    /// UUID of the hardware.
    pub(crate) dmi_uuid: Option<String>,
    /// What `date` printed first.
    pub(crate) date: Option<Moment>,
    /// When the first filter was listed, in whatever zone the host is.
    pub(crate) listed: Option<Moment>,
}

impl Identity {
    /// Takes note of a text that names the machine.
    pub(crate) fn learn(&mut self, command: &Command, netns: &Netns, bytes: &[u8]) {
        const SHORT: usize = 4096;
        if !netns.is_root() {
            return;
        }
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["dmidecode", ..] | ["cat", marks::PRODUCT_UUID] => {
                self.dmi_uuid = self.dmi_uuid.take().or_else(|| marks::dmi_uuid(bytes));
            }
            ["cat", marks::SYSTEM_ID] => {
                self.system_id = marks::id_file(bytes).or(self.system_id.take());
            }
            ["ovs-vsctl", .., key] if key.ends_with("system-id") => {
                self.system_id = self.system_id.take().or_else(|| marks::quoted_id(bytes));
            }
            ["iptables-save" | "ip6tables-save", ..] => {
                self.listed = self.listed.or_else(|| marks::listed(bytes));
            }
            _ if marks::may_hold_system_id(command) => {
                self.system_id = self.system_id.take().or_else(|| marks::system_id(bytes));
            }
            _ => {}
        }
        if bytes.len() > SHORT {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        match words.as_slice() {
            ["hostname"] => self.say(0, text.split_whitespace().next()),
            ["uname", "-a"] if text.starts_with("Linux ") => {
                self.say(1, text.split_whitespace().nth(1));
            }
            ["cat", "/etc/hostname"] => self.say(2, text.split_whitespace().next()),
            ["cat", "/etc/machine-id"] => {
                let id = text.trim();
                let hex = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
                // machine-id(5): it is never all zeros.
                let hex = hex && id.bytes().any(|byte| byte != b'0');
                self.machine_id = hex.then(|| id.to_ascii_lowercase()).or(self.machine_id.take());
            }
            ["date" | "timedatectl", ..] => {
                self.date = self.date.or_else(|| marks::date(command, &text));
            }
            _ => {}
        }
    }

    /// Takes over what another part of the same host says, where this one says nothing.
    pub(crate) fn learn_from(&mut self, other: Self) {
        if self.name().is_none() || self.domain.is_none() && self.name() == other.name() {
            self.domain = other.domain;
        }
        self.name = self.name.take().or(other.name);
        self.machine_id = self.machine_id.take().or(other.machine_id);
        self.system_id = self.system_id.take().or(other.system_id);
        self.dmi_uuid = self.dmi_uuid.take().or(other.dmi_uuid);
        self.date = self.date.or(other.date);
        self.listed = self.listed.or(other.listed);
    }

    /// A name, from a witness of this rank; lower ranks are better.
    fn say(&mut self, rank: u8, name: Option<&str>) {
        let Some(full) = name else { return };
        let Some(name) = short(full) else { return };
        let domain = domain_of(full, name);
        let is_better = self.name.as_ref().is_none_or(|name| rank < name.0);
        if is_better {
            // What another text has behind the same name stays.
            let same = self.name() == Some(name);
            self.domain = domain.or(self.domain.take().filter(|_| same));
            self.name = Some((rank, name.to_owned()));
        } else if self.domain.is_none() && self.name() == Some(name) {
            self.domain = domain;
        }
    }

    /// The domain behind the machine's name, where a text has the full one.
    pub(crate) fn domain(&self) -> Option<&Name> {
        self.domain.as_ref()
    }

    /// The machine's name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.1.as_str())
    }
}

/// The domain behind a name, in small letters. Those that every machine may have say nothing.
fn domain_of(full: &str, name: &str) -> Option<Name> {
    const ANYBODYS: &[&str] = &["local", "localdomain", "localdomain4", "localdomain6", "lan"];
    let domain = full.strip_prefix(name)?.trim_matches('.').to_ascii_lowercase();
    (!domain.is_empty() && !ANYBODYS.contains(&domain.as_str())).then(|| domain.into())
}

/// A host name without its domain; `None` for what is no host name.
pub(crate) fn short(name: &str) -> Option<&str> {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > 253 || !name.chars().all(plain) {
        return None;
    }
    // An address has no domain.
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Some(name);
    }
    name.split('.').next().filter(|part| !part.is_empty())
}

/// Captures that show all of one host at one time: two of them are never parts of each other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whole {
    /// A report of sos.
    Sos,
    /// An archive of `tapline collect`.
    Collected,
}

/// A host of one input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// A name for want of a better one: that of the folder or archive.
    pub(crate) fallback: String,
    /// A name that the texts do not give themselves: a prompt, the label of a file.
    pub(crate) said: Option<String>,
    /// The folder whose files are named by it, where nothing else says so: what a word means in one
    /// folder says nothing of another.
    pub(crate) labelled: Option<String>,
    /// A person said that this is its name (`--host`).
    pub(crate) given: Option<String>,
    /// What kind of capture it is, where it is whole: all of one host at one time.
    pub(crate) whole: Option<Whole>,
    /// The day that the name of its archive tells.
    pub(crate) day: Option<Moment>,
    pub(crate) identity: Identity,
    pub(crate) sos_version: Option<String>,
    pub(crate) cleaned: bool,
    /// Its texts come from sessions: each may be of another machine.
    pub(crate) session: bool,
    /// Members that told something.
    pub(crate) used: u64,
    pub(crate) pieces: Vec<Piece>,
}

impl Draft {
    /// A host at a folder of a tree (with a final `/`, or empty).
    pub(crate) fn new(tree: &Tree, root: &str) -> Self {
        let folder = root.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let fallback = crate::flat::host_of_folder(root).unwrap_or_else(|| tree.stem.clone());
        let day = marks::day_in(folder).or_else(|| marks::day_in(&tree.stem));
        Self { fallback, day, ..Self::default() }
    }

    /// The name that its texts or a person give it.
    pub(crate) fn own_name(&self) -> Option<&str> {
        self.given.as_deref().or(self.identity.name()).or(self.said.as_deref())
    }

    /// The name to show.
    pub(crate) fn name(&self) -> &str {
        self.own_name().unwrap_or(&self.fallback)
    }

    /// When it was taken, where one time holds for all of it: the list of its commands says so,
    /// `date` does, or the name of the archive.
    pub(crate) fn taken(&self) -> Option<Moment> {
        let starts = self.pieces.iter().filter_map(|piece| piece.taken);
        let first = starts.fold(f64::INFINITY, f64::min);
        marks::moment(first).or(self.identity.date).or(self.day)
    }

    /// What tells its machine from others. Of its devices all count, since what kind they are is
    /// not known yet: that two lists have nothing in common says something, that they do says
    /// nothing.
    pub(crate) fn marks(&self) -> Marks {
        let name = |text: &Option<String>| text.as_deref().map(Name::from);
        let nics = self.macs();
        Marks {
            name: self.own_name().map(Name::from),
            domain: self.identity.domain().filter(|_| self.given.is_none()).cloned(),
            machine_id: name(&self.identity.machine_id),
            system_id: name(&self.identity.system_id),
            dmi_uuid: name(&self.identity.dmi_uuid),
            all_nics: !nics.is_empty(),
            nics,
            cleaned: self.cleaned,
            taken: self.taken().or(self.identity.listed),
        }
    }

    /// MACs in whole lists of the devices of the root namespace.
    fn macs(&self) -> BTreeSet<Mac> {
        let lists = self.pieces.iter().filter(|piece| {
            piece.netns.is_root()
                && piece.completeness.is_complete()
                && matches!(piece.format.0, "ip-address" | "ip-link")
        });
        lists.flat_map(|piece| marks::macs(&piece.text)).collect()
    }
}

/// Text from bytes, and whether something had to be replaced.
pub(crate) fn decode(bytes: Vec<u8>) -> (String, bool) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(broken) => (String::from_utf8_lossy(broken.as_bytes()).into_owned(), true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_witness_names_the_machine() {
        let mut it = Identity::default();
        it.learn(&Command::new("cat /etc/hostname"), &Netns::Root, b"old\n");
        it.learn(&Command::new("uname -a"), &Netns::Root, b"Linux node2.example.org 5.4 x\n");
        assert_eq!(it.name(), Some("node2"));
        assert_eq!(it.domain().map(|domain| &**domain), Some("example.org"));
        it.learn(&Command::new("hostname"), &Netns::Root, b"node3\n");
        it.learn(&Command::new("hostname"), &Netns::Root, b"bash: hostname: command not found");
        assert_eq!(it.name(), Some("node3"));
        assert_eq!(it.domain(), None);
        it.learn(&Command::new("uname -a"), &Netns::Root, b"Linux node3.Site.example 5.4 x\n");
        assert_eq!(it.domain().map(|domain| &**domain), Some("site.example"));
        it.learn(&Command::new("cat /etc/hostname"), &Netns::Root, b"node3.localdomain\n");
        assert_eq!(it.domain().map(|domain| &**domain), Some("site.example"));
    }
}
