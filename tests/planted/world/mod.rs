//! Hosts that are described in a few lines, and the texts that their tools would print.
//!
//! A description says what is there; which flags, states, routes and lists follow from it is worked
//! out here. So an edit of the description is seen in all texts at once, as a fault is.
//!
//! ```text
//! host kvm1                                  a host; what follows is on it
//! nic eno1 master=br0                        a device: kind, name, then what is said of it
//! bridge br0 addr=192.0.2.11/24              further words: mtu= mac= on= peer= down no-carrier …
//! route default via 192.0.2.1 dev br0        a line of `ip route`; `route6`, `rule`, `neigh`, `fdb`
//! vlan eno1 10 PVID Egress Untagged          a line of `bridge vlan`
//! vm web running tap=vnet0 mac=52:54:00:00:00:01 bridge=br0
//! netns blue                                 what follows is in this namespace
//! switch br-int fail=secure                  a bridge of Open vSwitch
//! port eno1 ofport=1 tag=10                  a port of it
//! flow priority=0 actions=NORMAL             a flow of it
//! $ sysctl net.ipv4.ip_forward               any other command, and what it prints
//! | net.ipv4.ip_forward = 1
//! ```
mod devices;
mod read;
mod switches;
mod texts;

use std::collections::{BTreeMap, BTreeSet};

use tapline_capture::Input;

/// Hosts that were described.
#[derive(Default)]
pub(crate) struct World {
    hosts: Vec<Host>,
}

/// One of them.
#[derive(Default)]
struct Host {
    name: String,
    /// The first is that of the host itself.
    spaces: Vec<Space>,
    vms: Vec<Words>,
    switches: Vec<Switch>,
}

/// A namespace.
#[derive(Default)]
struct Space {
    name: String,
    devices: Vec<Words>,
    routes: Vec<String>,
    routes6: Vec<String>,
    rules: Vec<String>,
    neighbours: Vec<String>,
    fdb: Vec<String>,
    vlans: Vec<(String, String)>,
    /// Commands, and what they print.
    runs: Vec<(String, String)>,
}

/// A bridge of Open vSwitch.
struct Switch {
    words: Words,
    ports: Vec<Words>,
    flows: Vec<String>,
}

/// A line of a description: kind, name, `key=value` and plain words.
#[derive(Default)]
struct Words {
    kind: String,
    name: String,
    keys: BTreeMap<String, String>,
    flags: BTreeSet<String>,
}

impl Words {
    fn key(&self, key: &str) -> Option<&str> {
        self.keys.get(key).map(String::as_str)
    }

    fn is(&self, flag: &str) -> bool {
        self.flags.contains(flag)
    }

    /// The parts of a value that holds several.
    fn list(&self, key: &str) -> impl Iterator<Item = &str> {
        self.key(key).into_iter().flat_map(|value| value.split(','))
    }
}

/// The same sessions with one command less, each command in its turn, and which it was.
pub(crate) fn with_less(sessions: &[Input]) -> Vec<(String, Vec<Input>)> {
    let mut all = Vec::new();
    for (at, session) in sessions.iter().enumerate() {
        let Input::Text(name, text) = session else { continue };
        let prompts: Vec<usize> = text.match_indices("[root@").map(|found| found.0).collect();
        for (number, start) in prompts.iter().enumerate() {
            let end = prompts.get(number + 1).copied().unwrap_or(text.len());
            let (before, command, after) = (&text[..*start], &text[*start..end], &text[end..]);
            // The name of the host is no evidence of the network.
            if command.contains("# hostname\n") {
                continue;
            }
            let mut less = sessions.to_vec();
            less[at] = Input::Text(name.clone(), format!("{before}{after}"));
            all.push((command.lines().next().unwrap_or_default().to_owned(), less));
        }
    }
    all
}

/// The sessions in which the hosts of a description were looked at.
pub(crate) fn sessions(description: &str) -> Vec<Input> {
    let world = World::read(description);
    let session = |host: &Host| Input::Text(format!("{}.txt", host.name), texts::of(host));
    world.hosts.iter().map(session).collect()
}
