//! Sessions of hosts, and the network that they show.
use tapline_capture::{Input, Options};
use tapline_network::Network;
use tapline_network::environment::Environment;

/// `text` as a session, of one host or several. Reads it and shows the network to `look`.
pub(crate) fn with_network<T>(text: &str, look: impl FnOnce(&Network<'_>) -> T) -> T {
    let input = Input::Text("session".to_owned(), text.to_owned());
    let captured = tapline_capture::open(&[input], &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    look(&Network::new(&topology, None, &environment))
}

/// A device as `ip -d address` prints it.
pub(crate) fn link(index: u32, name: &str, more: &str, details: &str) -> String {
    let (flags, more) = match more.strip_prefix("down ") {
        Some(rest) => ("BROADCAST,MULTICAST", rest),
        None => ("BROADCAST,MULTICAST,UP,LOWER_UP", more),
    };
    format!(
        "{index}: {name}: <{flags}> mtu 1500 qdisc noqueue {more} state UP group default qlen 1000\n    \
         link/ether 52:54:00:00:01:{index:02x} brd ff:ff:ff:ff:ff:ff promiscuity 0\n{details}"
    )
}

/// Devices of a host, and what was asked after them.
pub(crate) fn session(links: &[String], rest: &str) -> String {
    format!("root@h1:~# ip -d address\n{}root@h1:~# {rest}\n", links.concat())
}

/// Details of a tap.
pub(crate) const TAP: &str = "    tun type tap pi off vnet_hdr on persist off\n";
/// Details of a veth.
pub(crate) const VETH: &str = "    veth\n";
/// Details of a bridge.
pub(crate) const BRIDGE: &str = "    bridge forward_delay 1500 stp_state 1 vlan_filtering 0\n";

/// A port of a bridge in a state of spanning tree.
pub(crate) fn port(state: &str) -> String {
    format!("    bridge_slave state {state} priority 32 cost 100\n")
}
