//! What the tools of Open vSwitch print.
use std::fmt::Write as _;

use super::devices::Device;
use super::{Host, Switch, Words};

/// Commands, and what they print.
pub(super) fn texts(host: &Host) -> Vec<(String, String)> {
    if host.switches.is_empty() {
        return Vec::new();
    }
    let mut all = vec![
        ("ovs-vsctl show".to_owned(), show(host)),
        ("ovs-vsctl list interface".to_owned(), interfaces(host)),
    ];
    for switch in &host.switches {
        let name = &switch.words.name;
        all.push((format!("ovs-ofctl show {name}"), ports(host, switch)));
        let mut flows = String::from("NXST_FLOW reply (xid=0x4):\n");
        for flow in &switch.flows {
            let _ = writeln!(flows, " cookie=0x1, duration=900.5s, table={flow}");
        }
        all.push((format!("ovs-ofctl dump-flows {name}"), flows));
    }
    all
}

/// The ports of a switch, its own first.
fn with_own(switch: &Switch) -> impl Iterator<Item = (&str, Option<&Words>)> {
    let own = (switch.words.name.as_str(), None);
    std::iter::once(own).chain(switch.ports.iter().map(|port| (port.name.as_str(), Some(port))))
}

/// Type and options of a port's interface.
fn kind(port: Option<&Words>) -> (&str, Vec<String>) {
    let Some(port) = port else { return ("internal", Vec::new()) };
    let kind = port.key("type").unwrap_or(if port.key("peer").is_some() { "patch" } else { "" });
    let options =
        ["peer", "key", "local_ip", "remote_ip", "dst_port", "dpdk-devargs", "vhost-server-path"];
    let options = options.iter().filter_map(|key| Some((key, port.key(key)?)));
    (kind, options.map(|(key, value)| format!("{key}=\"{value}\"")).collect())
}

fn show(host: &Host) -> String {
    let mut text = String::from("4ece5774-21aa-4ff6-8e7e-343983396eee\n");
    for switch in &host.switches {
        let _ = writeln!(text, "    Bridge {}", switch.words.name);
        if let Some(controller) = switch.words.key("controller") {
            let _ = writeln!(text, "        Controller \"{controller}\"");
            if !switch.words.is("alone") {
                text.push_str("            is_connected: true\n");
            }
        }
        if let Some(mode) = switch.words.key("fail") {
            let _ = writeln!(text, "        fail_mode: {mode}");
        }
        if let Some(datapath) = switch.words.key("datapath") {
            let _ = writeln!(text, "        datapath_type: {datapath}");
        }
        for (name, port) in with_own(switch) {
            let _ = writeln!(text, "        Port {name}");
            for key in ["tag", "trunks"] {
                if let Some(value) = port.and_then(|port| port.key(key)) {
                    let value = value.replace(',', ", ");
                    let value = if key == "trunks" { format!("[{value}]") } else { value };
                    let _ = writeln!(text, "            {key}: {value}");
                }
            }
            let _ = writeln!(text, "            Interface {name}");
            let (kind, options) = kind(port);
            if !kind.is_empty() {
                let _ = writeln!(text, "                type: {kind}");
            }
            if !options.is_empty() {
                let _ = writeln!(text, "                options: {{{}}}", options.join(", "));
            }
            if let Some(error) = port.and_then(|port| port.key("error")) {
                let _ = writeln!(text, "                error: \"{}\"", error.replace('_', " "));
            }
        }
    }
    text + "    ovs_version: \"3.1.0\"\n"
}

fn ofport(port: Option<&Words>) -> &str {
    port.map_or("65534", |port| port.key("ofport").unwrap_or("-1"))
}

/// The device of a port, in whatever namespace.
fn device<'w>(host: &'w Host, name: &str) -> Option<Device<'w>> {
    let mut all = host.spaces.iter().flat_map(|space| Device::all(host, space));
    all.find(|device| device.name() == name)
}

fn interfaces(host: &Host) -> String {
    let mut text = String::new();
    for (at, (name, port)) in host.switches.iter().flat_map(with_own).enumerate() {
        let (kind, options) = kind(port);
        let device = device(host, name);
        let links = device.map_or("up", |it| if it.has_carrier() { "up" } else { "down" });
        let admin = device.map_or("up", |it| if it.is_up() { "up" } else { "down" });
        let id = port.and_then(|port| port.key("iface")).map(|id| {
            let vm = port.and_then(|port| port.key("vm-mac")).unwrap_or("fa:16:3e:00:00:01");
            format!("attached-mac=\"{vm}\", iface-id=\"{id}\", iface-status=active")
        });
        let error = port.and_then(|port| port.key("error"));
        let error =
            error.map_or("[]".to_owned(), |error| format!("\"{}\"", error.replace('_', " ")));
        let _ = write!(
            text,
            "_uuid               : 00000000-0000-4000-8000-{at:012x}\nadmin_state         : {admin}\n\
             error               : {error}\nexternal_ids        : {{{}}}\n\
             link_state          : {links}\nname                : {name}\n\
             ofport              : {}\noptions             : {{{}}}\n\
             type                : \"{kind}\"\n\n",
            id.unwrap_or_default(),
            ofport(port),
            options.join(", "),
        );
    }
    text
}

fn ports(host: &Host, switch: &Switch) -> String {
    let mut text = String::from(
        "OFPT_FEATURES_REPLY (xid=0x2): dpid:00003e6f1a2b3c4d\n\
         n_tables:254, n_buffers:0\ncapabilities: FLOW_STATS TABLE_STATS PORT_STATS\n\
         actions: output enqueue set_vlan_vid strip_vlan\n",
    );
    for (name, port) in with_own(switch) {
        let number = if port.is_none() { "LOCAL" } else { ofport(port) };
        if number == "-1" {
            continue;
        }
        let device = device(host, name);
        let mac = device.map_or("ce:00:00:00:00:01".to_owned(), Device::mac);
        let up = device.is_none_or(Device::is_up);
        let link = device.is_none_or(Device::has_carrier);
        let config = if up { "0" } else { "PORT_DOWN" };
        let state = if link { "0" } else { "LINK_DOWN" };
        let _ = write!(
            text,
            " {number}({name}): addr:{mac}\n     config:     {config}\n     state:      {state}\n     \
             speed: 0 Mbps now, 0 Mbps max\n"
        );
    }
    text + "OFPT_GET_CONFIG_REPLY (xid=0x4): frags=normal miss_send_len=0\n"
}
