//! Which members are worth reading, told by their paths alone.
use tapline_core::capture::Command;
use tapline_formats::registry;

use crate::flat;
use crate::sos::grammar;
use crate::sos::name::{self, Names};

/// What to do with a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Want {
    /// A format reads it, or it tells about the host.
    Keep,
    /// Its path says nothing: its first bytes may.
    Look,
    /// Nothing reads it.
    Skip,
}

/// Folders of the captured machine itself.
const SYSTEM: &[&str] = &[
    "etc", "proc", "run", "var", "usr", "sys", "lib", "lib64", "boot", "dev", "snap", "sbin", "bin",
];

/// Folders of sos that hold no evidence.
const OWN: &[&str] = &["sos_logs", "sos_reports", "checksums"];

/// Decides about members; keeps its buffers from one to the next.
#[derive(Debug)]
pub(crate) struct Chooser {
    copied: Command,
    names: Names,
}

impl Default for Chooser {
    fn default() -> Self {
        let copied = Command { argv: vec!["cat".to_owned(), String::new()] };
        Self { copied, names: Names::default() }
    }
}

impl Chooser {
    /// Decides about one member. `path` is below the archive or folder.
    pub(crate) fn want(&mut self, path: &str) -> Want {
        if let Some((_, below)) = below(path, "sos_commands").or(below(path, "sos_strings")) {
            return self.collected(below);
        }
        if path.ends_with("sos_reports/manifest.json") || path.ends_with("sos_reports/sos.json") {
            return Want::Keep;
        }
        if let Some(at) = system_folder(path) {
            let inside = path.get(at..).unwrap_or_default();
            return if is_identity(inside) || self.claims_file(inside) {
                Want::Keep
            } else {
                Want::Skip
            };
        }
        let (folders, base) = path.rsplit_once('/').unwrap_or(("", path));
        if folders.split('/').any(|part| OWN.contains(&part)) {
            return Want::Skip;
        }
        // Folders of a report that were packed once more (`sys.tgz`).
        let packed = base.split_once(".t").map(|pair| pair.0);
        if packed.is_some_and(|packed| SYSTEM.contains(&packed) || OWN.contains(&packed)) {
            return Want::Skip;
        }
        if base == "version.txt" || base == "hostname" || base == "machine-id" {
            return Want::Keep;
        }
        flat::want(base)
    }

    /// A command that sos ran.
    fn collected(&self, below: &str) -> Want {
        let base = below.rsplit('/').next().unwrap_or(below);
        // Before 1.8: `networking.ip_address`, no folder.
        let below = if below.contains('/') {
            below
        } else {
            below.split_once('.').map_or(below, |pair| pair.1)
        };
        match name::inverse(below, &self.names) {
            Some(it) if registry::by_command(&it.command).is_some() => Want::Keep,
            Some(it) if tells_the_machine(&it.command) => Want::Keep,
            // Copied files that were too long: `etc.openvswitch.conf.db.tailed`.
            None if base.ends_with(".tailed") => {
                let name = base.strip_suffix(".tailed").unwrap_or(base);
                let argv = vec!["cat".to_owned(), grammar::path(&format!(".{name}"))];
                let read = registry::by_command(&Command { argv }).is_some();
                if read { Want::Keep } else { Want::Skip }
            }
            // Names were cut at 64 characters up to 3.1: `ip_netns_exec_qrouter-…_iptab`.
            _ if base.len() == 64 && base.starts_with("ip_netns_exec_") => Want::Look,
            _ => Want::Skip,
        }
    }

    /// Whether a format reads this file of the captured machine.
    fn claims_file(&mut self, inside: &str) -> bool {
        let Some(slot) = self.copied.argv.get_mut(1) else { return false };
        slot.clear();
        slot.push('/');
        match per_process(inside) {
            Some(file) => {
                slot.push_str("proc/net/");
                slot.push_str(file);
            }
            None => slot.push_str(inside),
        }
        registry::by_command(&self.copied).is_some()
    }
}

/// `FILE` of `proc/PID/net/FILE`: sos 3.7 and later copies `/proc/net` as that of its own process.
pub(crate) fn per_process(inside: &str) -> Option<&str> {
    let (process, rest) = inside.strip_prefix("proc/")?.split_once('/')?;
    let own = process == "self" || process.bytes().all(|b| b.is_ascii_digit());
    own.then_some(rest)?.strip_prefix("net/")
}

/// The path below the first folder of this name, and the path up to it (with a final `/`).
pub(crate) fn below<'a>(path: &'a str, folder: &str) -> Option<(&'a str, &'a str)> {
    let mut at = 0;
    loop {
        let rest = path.get(at..)?;
        let found = rest.find(folder)?;
        let start = at + found;
        let end = start + folder.len();
        let begins = start == 0 || path.as_bytes().get(start - 1) == Some(&b'/');
        if begins && path.as_bytes().get(end) == Some(&b'/') {
            return Some((path.get(..start)?, path.get(end + 1..)?));
        }
        at = end;
    }
}

/// Where the part of a path begins that is a path of the captured machine.
pub(crate) fn system_folder(path: &str) -> Option<usize> {
    const DEEPEST: usize = 6;
    let mut at = 0;
    for part in path.split('/').take(DEEPEST) {
        let end = at + part.len();
        // The last part is the file itself.
        if SYSTEM.contains(&part) && end < path.len() {
            // There the collectors of OpenStack save the outputs of commands.
            let is_saved = path.get(at..).is_some_and(|rest| rest.starts_with("var/log/extra/"));
            return (!is_saved).then_some(at);
        }
        at = end + 1;
    }
    None
}

/// Commands that no format reads and that tell which machine it is.
pub(crate) fn tells_the_machine(command: &Command) -> bool {
    matches!(command.program(), "hostname" | "uname")
        || command.program() == "dmidecode" && command.args().is_empty()
}

/// Files that tell which machine it is.
fn is_identity(inside: &str) -> bool {
    matches!(
        inside,
        "etc/hostname"
            | "etc/machine-id"
            | "etc/openvswitch/system-id.conf"
            | "sys/class/dmi/id/product_uuid"
            | "sys/devices/virtual/dmi/id/product_uuid"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_decide() {
        let mut chooser = Chooser::default();
        for (path, want) in [
            ("top/sos_commands/networking/brctl_show", Want::Keep),
            ("top/sos_commands/networking/ethtool_-T_eth0", Want::Skip),
            ("top/sos_strings/networking/brctl_show.tailed", Want::Keep),
            ("top/sos_commands/networking.brctl_show", Want::Keep),
            ("top/sos_commands/logs/journalctl", Want::Skip),
            ("top/sos_reports/manifest.json", Want::Keep),
            ("top/sos_reports/sos.html", Want::Skip),
            ("top/var/log/messages", Want::Skip),
            ("top/etc/hostname", Want::Keep),
            ("top/version.txt", Want::Keep),
            ("node2/brctl_show", Want::Keep),
            ("node2/brctl show.txt", Want::Keep),
            ("node2/notes", Want::Look),
            ("node2/photo.png", Want::Skip),
        ] {
            assert_eq!(chooser.want(path), want, "{path}");
        }
    }

    #[test]
    fn folders_are_found_whole() {
        assert_eq!(below("a/sos_commands/b", "sos_commands"), Some(("a/", "b")));
        assert_eq!(below("sos_commands/b", "sos_commands"), Some(("", "b")));
        assert_eq!(below("xsos_commands/sos_commands/b", "sos_commands").unwrap().1, "b");
        assert_eq!(below("a/sos_commands", "sos_commands"), None);
        assert_eq!(system_folder("top/etc/x"), Some(4));
        assert_eq!(system_folder("top/etc"), None);
        assert_eq!(per_process("proc/12/net/arp"), Some("arp"));
    }
}
