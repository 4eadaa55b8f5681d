//! What the tools of a host print, as one session.
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::devices::Device;
use super::{Host, Space, Words, switches};

/// The session in which a host was looked at.
pub(super) fn of(host: &Host) -> String {
    let mut session = Session { host, text: String::new() };
    session.run("hostname", &format!("{}\n", host.name));
    let spaces = host.spaces.iter().skip(1);
    let names: String = spaces.flat_map(|space| [space.name.as_str(), "\n"]).collect();
    session.run("ip netns", &names);
    for space in &host.spaces {
        session.space(space);
    }
    for (command, text) in switches::texts(host) {
        session.run(&command, &text);
    }
    if !host.vms.is_empty() {
        session.machines();
    }
    session.text
}

struct Session<'w> {
    host: &'w Host,
    text: String,
}

impl Session<'_> {
    fn run(&mut self, command: &str, output: &str) {
        let _ = write!(self.text, "[root@{} ~]# {command}\n{output}", self.host.name);
    }

    fn space(&mut self, space: &Space) {
        let prefix = match space.name.as_str() {
            "" => String::new(),
            name => format!("ip netns exec {name} "),
        };
        let host = self.host;
        let mut run = |command: &str, output: &str| self.run(&format!("{prefix}{command}"), output);
        let devices: Vec<Device<'_>> = Device::all(host, space).collect();
        let mut text = String::from(LOOPBACK);
        text.extend(devices.iter().map(|device| device.address_lines()));
        run("ip -d address", &text);
        run("ip route show table all", &routes(space, &devices, false));
        run("ip -6 route show table all", &routes(space, &devices, true));
        run("ip rule", &rules(space));
        run("ip neigh", &lines(&space.neighbours));
        if space.name.is_empty() {
            run("bridge link", &bridge_links(&devices));
        }
        if devices.iter().any(|device| device.words.is("vlan-filtering")) {
            run("bridge vlan", &bridge_vlans(space, &devices));
        }
        let has_tunnels = devices.iter().any(|device| device.words.kind == "vxlan");
        if has_tunnels || !space.fdb.is_empty() {
            run("bridge fdb show", &lines(&space.fdb));
        }
        for bond in devices.iter().filter(|device| device.words.kind == "bond") {
            run(&format!("cat /proc/net/bonding/{}", bond.name()), &bonding(*bond, &devices));
        }
        for nic in devices.iter().filter(|device| device.words.kind == "nic") {
            run(&format!("ethtool {}", nic.name()), &ethtool(*nic));
        }
        for (command, output) in &space.runs {
            run(command, output);
        }
    }

    fn machines(&mut self) {
        let mut list = String::from(" Id   Name   State\n----------------------\n");
        for (at, vm) in self.host.vms.iter().enumerate() {
            let state = if vm.is("off") { "shut off" } else { "running" };
            let id = if vm.is("off") { "-".to_owned() } else { (at + 1).to_string() };
            let _ = writeln!(list, " {id}   {}   {state}", vm.name);
        }
        list.push('\n');
        self.run("virsh list --all", &list);
        for (at, vm) in self.host.vms.iter().enumerate() {
            let xml = domain(&self.host.name, at, vm);
            self.run(&format!("virsh dumpxml {}", vm.name), &xml);
        }
    }
}

const LOOPBACK: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0 minmtu 0 maxmtu 0 
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
    inet6 ::1/128 scope host 
       valid_lft forever preferred_lft forever
";

fn lines(all: &[String]) -> String {
    all.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

/// Routes as said, and those that follow from addresses; the kernel has none through what is down.
fn routes(space: &Space, devices: &[Device<'_>], six: bool) -> String {
    let said = if six { &space.routes6 } else { &space.routes };
    let find = |name: &str| devices.iter().find(|device| device.name() == name);
    let mut text = String::new();
    for route in said {
        let mut words = route.split(' ').skip_while(|word| *word != "dev").skip(1);
        let device = words.next().and_then(find);
        let down = device.is_some_and(|device| !device.is_up());
        let dead = device.is_some_and(|device| device.is_up() && !device.has_carrier());
        if !down {
            let _ = writeln!(text, "{route}{}", if dead { " linkdown " } else { " " });
        }
    }
    let mut local = String::new();
    for device in devices.iter().filter(|device| device.is_up()) {
        let dead = if device.has_carrier() { " " } else { " linkdown " };
        let vrf = device.words.key("master").and_then(find);
        let vrf = vrf.filter(|vrf| vrf.words.kind == "vrf");
        let table = vrf.map(|vrf| format!("table {} ", vrf.words.key("table").unwrap_or("10")));
        let table = table.unwrap_or_default();
        let own = if vrf.is_some() { table.as_str() } else { "table local " };
        for address in device.words.list("addr") {
            let (ip, length) = address.split_once('/').expect("an address has a length");
            let length: u32 = length.parse().expect("a length is a number");
            let name = device.name();
            match ip.parse().expect("an address") {
                IpAddr::V4(ip) if !six => {
                    let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
                    let net = Ipv4Addr::from(u32::from(ip) & mask);
                    if length < 32 && !device.words.is("noprefix") {
                        let _ = writeln!(
                            text,
                            "{net}/{length} dev {name} {table}proto kernel scope link src {ip}{dead}"
                        );
                    }
                    let _ = writeln!(
                        local,
                        "local {ip} dev {name} {own}proto kernel scope host src {ip} "
                    );
                }
                IpAddr::V6(ip) if six => {
                    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
                    let net = Ipv6Addr::from(u128::from(ip) & mask);
                    if length < 128 {
                        let _ = writeln!(
                            text,
                            "{net}/{length} dev {name} {table}proto kernel metric 256{dead}pref medium"
                        );
                    }
                    let _ = writeln!(
                        local,
                        "local {ip} dev {name} {own}proto kernel metric 0 pref medium"
                    );
                }
                _ => {}
            }
        }
    }
    let lo = if six {
        "local ::1 dev lo table local proto kernel metric 0 pref medium\n"
    } else {
        "local 127.0.0.0/8 dev lo table local proto kernel scope host src 127.0.0.1 \n\
         local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1 \n"
    };
    text + &local + lo
}

fn rules(space: &Space) -> String {
    let mut text = String::from("0:\tfrom all lookup local\n");
    for rule in &space.rules {
        let (priority, rule) = rule.split_once(' ').expect("a priority and a rule");
        let _ = writeln!(text, "{priority}:\t{rule}");
    }
    text + "32766:\tfrom all lookup main\n32767:\tfrom all lookup default\n"
}

fn bridge_links(devices: &[Device<'_>]) -> String {
    let mut text = String::new();
    for device in devices {
        let Some(master) = device.words.key("master") else { continue };
        let is_bridge =
            |other: &&Device<'_>| other.name() == master && other.words.kind == "bridge";
        let Some(_) = devices.iter().find(is_bridge) else { continue };
        let state = if !device.has_carrier() {
            "disabled"
        } else {
            device.words.key("stp").unwrap_or("forwarding")
        };
        let _ = writeln!(
            text,
            "{}: {}: <{}> mtu {} master {master} state {state} priority 32 cost 2 ",
            device.index(),
            device.shown(),
            device.flags(),
            device.mtu(),
        );
    }
    text
}

/// What is said of each port; those of which nothing is said have the bridge's own VLAN.
fn bridge_vlans(space: &Space, devices: &[Device<'_>]) -> String {
    let mut text = String::from("port              vlan-id  \n");
    for device in devices {
        let bridge = match device.words.kind.as_str() {
            "bridge" => Some(device),
            _ => devices.iter().find(|it| {
                Some(it.name()) == device.words.key("master") && it.words.kind == "bridge"
            }),
        };
        let Some(bridge) = bridge else { continue };
        let said: Vec<&str> = space
            .vlans
            .iter()
            .filter(|(name, _)| name == device.name())
            .map(|(_, vlan)| vlan.as_str())
            .collect();
        let usual = format!("{} PVID Egress Untagged", bridge.words.key("pvid").unwrap_or("1"));
        let said = if said.is_empty() { vec![usual.as_str()] } else { said };
        for (at, vlan) in said.iter().enumerate() {
            let name = if at == 0 { device.name() } else { "" };
            let _ = writeln!(text, "{name:<18}{vlan}");
        }
    }
    text
}

fn bonding(bond: Device<'_>, devices: &[Device<'_>]) -> String {
    let mode = match bond.words.key("mode").unwrap_or("active-backup") {
        "802.3ad" => "IEEE 802.3ad Dynamic link aggregation",
        "balance-xor" => "load balancing (xor)",
        "balance-rr" => "load balancing (round-robin)",
        _ => "fault-tolerance (active-backup)",
    };
    let members: Vec<_> =
        devices.iter().filter(|it| it.words.key("master") == Some(bond.name())).collect();
    let mii = |up: bool| if up { "up" } else { "down" };
    let mut text = format!(
        "Ethernet Channel Bonding Driver: v6.1.0\n\nBonding Mode: {mode}\n\
         MII Status: {}\nMII Polling Interval (ms): 100\nUp Delay (ms): 0\nDown Delay (ms): 0\n",
        mii(bond.has_carrier())
    );
    let lacp = mode.starts_with("IEEE");
    let partner = bond.words.key("partner").unwrap_or("02:1b:21:00:00:01");
    if lacp {
        let _ = write!(
            text,
            "\n802.3ad info\nLACP active: on\nLACP rate: slow\nActive Aggregator Info:\n\
             \tAggregator ID: 1\n\tNumber of ports: {}\n\tPartner Mac Address: {partner}\n",
            members.len()
        );
    }
    for member in members {
        let speed = member.words.key("speed").unwrap_or("10000Mb/s").replace("Mb/s", " Mbps");
        let _ = write!(
            text,
            "\nSlave Interface: {}\nMII Status: {}\nSpeed: {}\nDuplex: {}\n\
             Link Failure Count: 0\nPermanent HW addr: {}\nSlave queue ID: 0\n",
            member.name(),
            mii(member.has_carrier()),
            if member.has_carrier() { &speed } else { "Unknown" },
            if member.has_carrier() { "full" } else { "Unknown" },
            member.mac(),
        );
        if lacp {
            let own = member.words.key("partner").unwrap_or(partner);
            let id = member.words.key("aggregator").unwrap_or("1");
            let _ = write!(
                text,
                "Aggregator ID: {id}\nActor Churn State: none\nPartner Churn State: none\n\
                 details partner lacp pdu:\n    system mac address: {own}\n    port state: 61\n"
            );
        }
    }
    text
}

fn ethtool(nic: Device<'_>) -> String {
    let link = nic.has_carrier();
    let (speed, duplex) = if link {
        (nic.words.key("speed").unwrap_or("10000Mb/s"), nic.words.key("duplex").unwrap_or("Full"))
    } else {
        ("Unknown!", "Unknown! (255)")
    };
    format!(
        "Settings for {}:\n\tSupported ports: [ FIBRE ]\n\tSupported link modes:   \
         1000baseT/Full\n\t                        10000baseT/Full\n\tSpeed: {speed}\n\
         \tDuplex: {duplex}\n\tAuto-negotiation: on\n\tPort: FIBRE\n\tLink detected: {}\n",
        nic.name(),
        if link { "yes" } else { "no" },
    )
}

/// The XML of a domain: one NIC, or one for each of several taps.
fn domain(host: &str, at: usize, vm: &Words) -> String {
    let id = if vm.is("off") { String::new() } else { format!(" id='{}'", at + 1) };
    let mut text = format!("<domain type='kvm'{id}>\n  <name>{}</name>\n", vm.name);
    let hash = host.bytes().fold(0_u16, |hash, byte| hash.rotate_left(3) ^ u16::from(byte));
    let _ = writeln!(text, "  <uuid>6b1f2c3d-0a4e-4f7b-{hash:04x}-{:012x}</uuid>", at + 1);
    text.push_str("  <devices>\n");
    let macs: Vec<&str> = vm.list("mac").collect();
    let taps: Vec<&str> = vm.list("tap").collect();
    for (nic, mac) in macs.iter().enumerate() {
        let (kind, source) = match (vm.key("bridge"), vm.key("network"), vm.key("direct")) {
            (Some(bridge), ..) => ("bridge", format!("bridge='{bridge}'")),
            (_, Some(network), _) => match vm.key("on") {
                Some(bridge) => ("network", format!("network='{network}' bridge='{bridge}'")),
                None => ("network", format!("network='{network}'")),
            },
            (.., Some(nic)) => ("direct", format!("dev='{nic}' mode='bridge'")),
            _ => ("ethernet", String::new()),
        };
        let _ = write!(text, "    <interface type='{kind}'>\n      <mac address='{mac}'/>\n");
        if !source.is_empty() {
            let _ = writeln!(text, "      <source {source}/>");
        }
        if let Some(tag) = vm.key("tag") {
            let _ = writeln!(text, "      <vlan><tag id='{tag}'/></vlan>");
        }
        if let Some(port) = vm.key("ovs") {
            let _ = writeln!(
                text,
                "      <virtualport type='openvswitch'><parameters interfaceid='{port}'/></virtualport>"
            );
        }
        if let Some(tap) = taps.get(nic) {
            let _ = writeln!(text, "      <target dev='{tap}'/>");
        }
        text.push_str("      <model type='virtio'/>\n    </interface>\n");
    }
    for mac in vm.list("hostdev") {
        let _ = write!(
            text,
            "    <interface type='hostdev' managed='yes'>\n      <mac address='{mac}'/>\n      \
             <source>\n        <address type='pci' domain='0x0000' bus='0x3b' slot='0x0a' \
             function='0x1'/>\n      </source>\n    </interface>\n"
        );
    }
    text.push_str("  </devices>\n</domain>\n\n");
    text
}
