//! The script of `tapline collect`: made of one table of commands.
//!
//! The script names its files as sos does, so that nothing needs to know where they come from.

/// What a command is about; the script runs it for each of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Per {
    /// The host: once.
    Host,
    /// A named network namespace: inside it.
    Namespace,
    /// An OVS bridge.
    Bridge,
    /// A libvirt domain.
    Domain,
    /// A network device of the root namespace other than `lo`.
    Device,
    /// A network device of hardware.
    Nic,
    /// A host that serves the databases of OVN: once.
    Central,
    /// A pattern of files whose text is copied.
    File,
}

/// One command. `{}` stands for the bridge, domain or device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Item {
    /// What it is about.
    pub(crate) per: Per,
    /// Its words, separated by blanks; of [`Per::File`] the pattern.
    pub(crate) argv: &'static str,
}

const fn item(per: Per, argv: &'static str) -> Item {
    Item { per, argv }
}

/// All that is gathered. Each of these only reads.
pub(crate) static TABLE: &[Item] = &[
    item(Per::Host, "date --utc"),
    item(Per::Host, "hostname"),
    item(Per::Host, "uname -a"),
    item(Per::Host, "uptime"),
    item(Per::Host, "ip netns"),
    item(Per::Host, "ip -d address"),
    item(Per::Host, "ip -s -d link"),
    item(Per::Host, "ip route show table all"),
    item(Per::Host, "ip -4 rule"),
    item(Per::Host, "ip -6 rule"),
    item(Per::Host, "ip -s -s neigh show"),
    item(Per::Host, "bridge -d link show"),
    item(Per::Host, "bridge -d vlan show"),
    item(Per::Host, "bridge -s -d fdb show"),
    item(Per::Host, "brctl show"),
    item(Per::Host, "iptables-save"),
    item(Per::Host, "ip6tables-save"),
    item(Per::Host, "sysctl -a"),
    item(Per::Host, "ovs-vsctl -t 10 show"),
    item(Per::Host, "ovs-vsctl -t 10 list Open_vSwitch"),
    item(Per::Host, "ovs-vsctl -t 10 list Bridge"),
    item(Per::Host, "ovs-vsctl -t 10 list Port"),
    item(Per::Host, "ovs-vsctl -t 10 list Interface"),
    item(Per::Host, "ovs-vsctl -t 10 list Controller"),
    item(Per::Host, "ovs-vsctl -t 10 list Manager"),
    item(Per::Host, "virsh -r list --all"),
    item(Per::Host, "ps auxwww"),
    item(Per::Namespace, "ip -d address show"),
    item(Per::Namespace, "ip route show table all"),
    item(Per::Namespace, "ip -4 rule"),
    item(Per::Namespace, "ip -6 rule"),
    item(Per::Namespace, "ip -s -s neigh show"),
    item(Per::Namespace, "iptables-save"),
    item(Per::Namespace, "ip6tables-save"),
    item(Per::Namespace, "sysctl -a"),
    item(Per::Bridge, "ovs-ofctl -O OpenFlow13 show {}"),
    item(Per::Bridge, "ovs-ofctl -O OpenFlow13 dump-flows {}"),
    item(Per::Bridge, "ovs-appctl -T 10 fdb/show {}"),
    item(Per::Host, "ovs-appctl -T 10 bond/show"),
    item(Per::Host, "ovs-appctl -T 10 lacp/show"),
    item(Per::Host, "ovs-appctl -T 10 bfd/show"),
    item(Per::Central, "ovn-sbctl -t 10 --no-leader-only show"),
    item(Per::Central, "ovn-sbctl -t 10 --no-leader-only list Chassis"),
    item(Per::Central, "ovn-sbctl -t 10 --no-leader-only list Port_Binding"),
    item(Per::Central, "ovn-nbctl -t 10 --no-leader-only show"),
    item(Per::Domain, "virsh -r dumpxml {}"),
    item(Per::Domain, "virsh -r domiflist {}"),
    item(Per::Device, "ethtool {}"),
    item(Per::Device, "ethtool -i {}"),
    item(Per::Device, "ethtool -S {}"),
    item(Per::Nic, "ethtool -k {}"),
    item(Per::Nic, "ethtool -g {}"),
    item(Per::File, "/etc/machine-id"),
    item(Per::File, "/proc/net/bonding/*"),
    item(Per::File, "/etc/keepalived/keepalived.conf"),
    item(Per::File, "/var/lib/neutron/ha_confs/*/keepalived.conf"),
    item(Per::File, "/var/lib/neutron/ha_confs/*/state"),
];

/// The script.
pub(crate) fn script() -> String {
    let parts = [
        ("@HOST@", Per::Host),
        ("@NAMESPACE@", Per::Namespace),
        ("@BRIDGE@", Per::Bridge),
        ("@CENTRAL@", Per::Central),
        ("@DOMAIN@", Per::Domain),
        ("@DEVICE@", Per::Device),
        ("@NIC@", Per::Nic),
        ("@FILE@", Per::File),
    ];
    let mut out = String::new();
    for line in include_str!("collect/script.sh").lines() {
        match parts.iter().find(|(mark, _)| line == *mark) {
            Some(&(_, per)) => {
                for item in TABLE.iter().filter(|it| it.per == per) {
                    out.push_str(&call(*item));
                    out.push('\n');
                }
            }
            None => {
                out.push_str(&line.replace("@VERSION@", env!("CARGO_PKG_VERSION")));
                out.push('\n');
            }
        }
    }
    out
}

/// The line of the script that runs one command.
fn call(item: Item) -> String {
    let (tool, _) = item.argv.split_once(' ').unwrap_or((item.argv, ""));
    let with = |name: &str| item.argv.replace("{}", name);
    match item.per {
        Per::Host => format!("save {tool} {}", item.argv),
        Per::Central => format!("    save {tool} {}", item.argv),
        Per::Namespace => format!("        save {tool} ip netns exec \"$netns\" {}", item.argv),
        Per::Bridge => format!("        save {tool} {}", with("\"$bridge\"")),
        Per::Domain => format!("        save {tool} {}", with("\"$domain\"")),
        Per::Device | Per::Nic => format!("    save {tool} {}", with("\"$device\"")),
        Per::File if !item.argv.contains('*') => format!("copy {}", item.argv),
        Per::File => format!("for path in {}; do copy \"$path\"; done", item.argv),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tapline_core::capture::Command;
    use tapline_formats::registry;

    #[test]
    fn every_command_is_read_by_a_format() {
        for it in TABLE {
            let command = match it.per {
                Per::File => Command::new(&format!("cat {}", it.argv)),
                _ => Command::new(&it.argv.replace("{}", "x0")),
            };
            assert!(registry::by_command(&command).is_some(), "{command}");
        }
    }

    #[test]
    fn every_command_only_reads() {
        const VERBS: &[&str] = &[
            "add", "del", "delete", "set", "flush", "replace", "change", "clear", "destroy", "-w",
        ];
        for it in TABLE {
            let words: Vec<_> = it.argv.split(' ').collect();
            assert!(!words.iter().any(|word| VERBS.contains(word)), "{}", it.argv);
        }
    }

    #[test]
    fn all_of_the_table_is_in_the_script() {
        let script = script();
        let mark = |it: &str| it.len() > 1 && it.bytes().all(|b| b.is_ascii_uppercase());
        assert!(!script.split('@').any(mark), "a mark is left");
        for it in TABLE {
            assert!(script.contains(&call(*it)), "{}", it.argv);
        }
    }
}
