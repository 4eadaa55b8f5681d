//! Hosts in the making: texts that belong together, and what tells whose they are.
use std::sync::Arc;

use tapline_core::capture::{Command, Completeness, FormatId};
use tapline_core::ids::Netns;

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
    /// Bytes that are no UTF-8 were replaced.
    pub(crate) lossy: bool,
    pub(crate) completeness: Completeness,
    pub(crate) taken: Option<f64>,
}

/// What texts say about the machine they come from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Identity {
    /// The machine's own name, from the best witness so far.
    name: Option<(u8, String)>,
    /// `/etc/machine-id`.
    pub(crate) machine_id: Option<String>,
}

impl Identity {
    /// Takes note of a text that names the machine.
    pub(crate) fn learn(&mut self, command: &Command, netns: &Netns, bytes: &[u8]) {
        if !netns.is_root() || bytes.len() > 4096 {
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let words: Vec<&str> = command.argv.iter().map(String::as_str).collect();
        match words.as_slice() {
            ["hostname"] => self.say(0, text.split_whitespace().next()),
            ["uname", "-a"] if text.starts_with("Linux ") => {
                self.say(1, text.split_whitespace().nth(1));
            }
            ["cat", "/etc/hostname"] => self.say(2, text.split_whitespace().next()),
            ["cat", "/etc/machine-id"] => {
                let id = text.trim();
                let hex = id.len() == 32 && id.bytes().all(|b| b.is_ascii_hexdigit());
                self.machine_id = hex.then(|| id.to_owned());
            }
            _ => {}
        }
    }

    /// A name, from a witness of this rank; lower ranks are better.
    fn say(&mut self, rank: u8, name: Option<&str>) {
        let Some(name) = name.and_then(short) else { return };
        if self.name.as_ref().is_none_or(|it| rank < it.0) {
            self.name = Some((rank, name.to_owned()));
        }
    }

    /// The machine's name.
    pub(crate) fn name(&self) -> Option<&str> {
        self.name.as_ref().map(|it| it.1.as_str())
    }
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
    name.split('.').next().filter(|it| !it.is_empty())
}

/// A host of one input.
#[derive(Clone, Debug, Default)]
pub(crate) struct Draft {
    /// A name for want of a better one: that of the folder or archive.
    pub(crate) fallback: String,
    /// A name that the texts do not give themselves: a prompt, the label of a file.
    pub(crate) said: Option<String>,
    pub(crate) identity: Identity,
    pub(crate) sos_version: Option<String>,
    pub(crate) cleaned: bool,
    /// Members that told something.
    pub(crate) used: u64,
    pub(crate) pieces: Vec<Piece>,
}

impl Draft {
    /// A host at a folder of a tree (with a final `/`, or empty).
    pub(crate) fn new(tree: &Tree, root: &str) -> Self {
        let folder = root.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
        let fallback = if folder.is_empty() { tree.stem.clone() } else { folder.to_owned() };
        Self { fallback, ..Self::default() }
    }

    /// The name to show.
    pub(crate) fn name(&self) -> &str {
        self.identity.name().or(self.said.as_deref()).unwrap_or(&self.fallback)
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
        it.learn(&Command::new("hostname"), &Netns::Root, b"node3\n");
        it.learn(&Command::new("hostname"), &Netns::Root, b"bash: hostname: command not found");
        assert_eq!(it.name(), Some("node3"));
    }
}
