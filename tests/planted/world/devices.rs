//! What the kernel makes of the devices of a namespace: flags, states, carrier, and the words of
//! `ip -d address`.
use std::fmt::Write as _;

use super::{Host, Space, Words};

/// A device with what it is in.
#[derive(Clone, Copy)]
pub(super) struct Device<'w> {
    pub(super) host: &'w Host,
    pub(super) space: &'w Space,
    pub(super) words: &'w Words,
}

impl<'w> Device<'w> {
    /// All devices of a namespace.
    pub(super) fn all(host: &'w Host, space: &'w Space) -> impl Iterator<Item = Self> {
        space.devices.iter().map(move |words| Self { host, space, words })
    }

    pub(super) fn name(self) -> &'w str {
        &self.words.name
    }

    /// A device by its name, of this namespace or, as `name@namespace`, of another.
    fn find(self, name: &str) -> Option<Self> {
        let (name, space) = match name.split_once('@') {
            Some((name, space)) => {
                let space = if space == "root" { "" } else { space };
                (name, self.host.spaces.iter().find(|other| other.name == space)?)
            }
            None => (name, self.space),
        };
        let words = space.devices.iter().find(|device| device.name == name)?;
        Some(Self { space, words, ..self })
    }

    /// What it stands on: its lower device, or the other end of a veth.
    fn below(self) -> Option<Self> {
        self.find(self.words.key("on").or(self.words.key("peer"))?)
    }

    fn members(self) -> impl Iterator<Item = Self> {
        let is_member = move |device: &Self| device.words.key("master") == Some(self.name());
        Self::all(self.host, self.space).filter(is_member)
    }

    pub(super) fn is_up(self) -> bool {
        let follows = matches!(self.words.kind.as_str(), "vlan");
        !self.words.is("down") && (!follows || self.below().is_none_or(Self::is_up))
    }

    pub(super) fn has_carrier(self) -> bool {
        self.is_up()
            && match self.words.kind.as_str() {
                "bridge" | "bond" => self.members().any(Self::has_carrier),
                "veth" => self.below().is_none_or(Self::is_up),
                "vlan" | "macvlan" | "macvtap" | "ipvlan" => {
                    self.below().is_none_or(Self::has_carrier)
                }
                _ => !self.words.is("no-carrier"),
            }
    }

    /// The number that the kernel gave it: the place in its namespace, after lo.
    pub(super) fn index(self) -> usize {
        let at = self.space.devices.iter().position(|device| device.name == self.words.name);
        at.unwrap_or_default() + 2
    }

    /// Its MAC: as said, else made of where it is; a bridge has that of its first member.
    pub(super) fn mac(self) -> String {
        if let Some(mac) = self.words.key("mac") {
            return mac.to_owned();
        }
        let own = || {
            let place = format!("{} {} {}", self.host.name, self.space.name, self.name());
            let hash = place.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
                (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
            });
            let [a, b, c, d] = hash.to_be_bytes();
            format!("{:02x}:{a:02x}:54:{b:02x}:{c:02x}:{d:02x}", 0x52)
        };
        match self.words.kind.as_str() {
            "bridge" | "bond" => self.members().next().map_or_else(own, Self::mac),
            "vlan" => self.below().map_or_else(own, Self::mac),
            _ => own(),
        }
    }

    pub(super) fn mtu(self) -> &'w str {
        let usual = match self.words.kind.as_str() {
            "vxlan" | "geneve" => "1450",
            "wireguard" => "1420",
            _ => "1500",
        };
        self.words.key("mtu").unwrap_or(usual)
    }

    fn is_stacked(self) -> bool {
        matches!(self.words.kind.as_str(), "vlan" | "veth" | "macvlan" | "macvtap" | "ipvlan")
    }

    /// `NAME@LOWER`, as `ip` shows it.
    pub(super) fn shown(self) -> String {
        let name = self.name();
        match self.below().filter(|_| self.is_stacked()) {
            None => name.to_owned(),
            Some(below) if below.space.name == self.space.name => {
                format!("{name}@{}", below.name())
            }
            Some(below) => format!("{name}@if{}", below.index()),
        }
    }

    pub(super) fn flags(self) -> String {
        let mut flags: Vec<&str> = Vec::new();
        if self.is_up() && !self.has_carrier() {
            flags.push("NO-CARRIER");
        }
        match self.words.kind.as_str() {
            "vrf" => flags.push("NOARP"),
            "wireguard" | "tun" | "ipip" | "gre" => flags.extend(["POINTOPOINT", "NOARP"]),
            "dummy" => flags.extend(["BROADCAST", "NOARP"]),
            _ => flags.extend(["BROADCAST", "MULTICAST"]),
        }
        match self.words.kind.as_str() {
            "bond" | "vrf" => flags.push("MASTER"),
            _ if self.master_kind() == Some("bond") => flags.push("SLAVE"),
            _ => {}
        }
        if self.is_up() {
            flags.push("UP");
        }
        if self.has_carrier() {
            flags.push("LOWER_UP");
        }
        let is_same = |below: &Self| below.space.name == self.space.name;
        if self.is_stacked() && self.below().filter(is_same).is_some_and(|below| !below.is_up()) {
            flags.push("M-DOWN");
        }
        flags.join(",")
    }

    pub(super) fn state(self) -> &'static str {
        let says_nothing = matches!(
            self.words.kind.as_str(),
            "vxlan"
                | "geneve"
                | "dummy"
                | "wireguard"
                | "tun"
                | "ipip"
                | "gre"
                | "internal"
                | "tap"
        );
        match (self.is_up(), self.has_carrier()) {
            (false, _) => "DOWN",
            (true, false) if self.is_stacked() => "LOWERLAYERDOWN",
            (true, false) => "DOWN",
            (true, true) if says_nothing => "UNKNOWN",
            (true, true) => "UP",
        }
    }

    fn master_kind(self) -> Option<&'w str> {
        let master = self.find(self.words.key("master")?)?;
        Some(&master.words.kind)
    }

    /// Its lines in `ip -d address`.
    pub(super) fn address_lines(self) -> String {
        let mut text = String::new();
        let qdisc = if self.words.kind == "nic" { "mq" } else { "noqueue" };
        let in_switch = self.host.switches.iter().any(|switch| {
            switch.ports.iter().any(|port| port.name == self.name()) && self.space.name.is_empty()
        }) && self.words.kind != "internal"
            || self.words.kind == "system";
        let master = match self.words.key("master") {
            None if in_switch => Some("ovs-system"),
            master => master,
        };
        let master = master.map(|master| format!("master {master} ")).unwrap_or_default();
        let _ = writeln!(
            text,
            "{}: {}: <{}> mtu {} qdisc {qdisc} {master}state {} group default qlen 1000",
            self.index(),
            self.shown(),
            self.flags(),
            self.mtu(),
            self.state(),
        );
        let is_elsewhere = |below: &Self| below.space.name != self.space.name;
        let far = self.below().filter(|_| self.is_stacked()).filter(is_elsewhere);
        let far = match far {
            None => String::new(),
            Some(far) if far.space.name.is_empty() => " link-netnsid 0".to_owned(),
            Some(far) => format!(" link-netns {}", far.space.name),
        };
        match self.words.kind.as_str() {
            "wireguard" | "tun" => text.push_str("    link/none "),
            "ipip" | "gre" => {
                let local = self.words.key("local").unwrap_or("0.0.0.0");
                let _ = write!(text, "    link/ipip {local} brd 0.0.0.0");
            }
            _ => {
                let _ = write!(text, "    link/ether {} brd ff:ff:ff:ff:ff:ff", self.mac());
            }
        }
        let _ = writeln!(text, "{far} promiscuity 0 minmtu 68 maxmtu 65535 ");
        self.kind_lines(&mut text);
        for function in self.words.list("vf") {
            let (number, mac) = function.split_once('/').expect("a number and a MAC");
            let _ = writeln!(
                text,
                "    vf {number}     link/ether {mac} brd ff:ff:ff:ff:ff:ff, vlan 100, spoof \
                 checking on, link-state auto, trust off"
            );
        }
        if in_switch {
            text.push_str("    openvswitch_slave numtxqueues 1 numrxqueues 1 \n");
        }
        for address in self.words.list("addr") {
            let (family, scope) = match address {
                it if it.starts_with("fe80:") => ("inet6", "link "),
                it if it.contains(':') => ("inet6", "global "),
                _ => ("inet", "global "),
            };
            let dev = if family == "inet" { self.name() } else { "" };
            let prefix = if self.words.is("noprefix") { "noprefixroute " } else { "" };
            let _ = writeln!(text, "    {family} {address} scope {scope}{prefix}{dev}");
            text.push_str("       valid_lft forever preferred_lft forever\n");
        }
        text
    }

    /// What `-d` adds.
    fn kind_lines(self, text: &mut String) {
        let key = |key: &str| self.words.key(key);
        let flag = |flag: &'static str| u8::from(self.words.is(flag));
        let _ = match self.words.kind.as_str() {
            "bridge" => writeln!(
                text,
                "    bridge forward_delay 1500 hello_time 200 max_age 2000 ageing_time 30000 \
                 stp_state {} priority 32768 vlan_filtering {} vlan_protocol 802.1Q \
                 vlan_default_pvid {} numtxqueues 1 numrxqueues 1 ",
                flag("stp"),
                flag("vlan-filtering"),
                key("pvid").unwrap_or("1"),
            ),
            "bond" => writeln!(
                text,
                "    bond mode {} miimon 100 updelay 0 downdelay 0 use_carrier 1 numtxqueues 16 ",
                key("mode").unwrap_or("active-backup"),
            ),
            "vlan" => {
                let usual = self.name().rsplit_once('.').map_or("1", |it| it.1);
                let id = key("id").unwrap_or(usual);
                writeln!(text, "    vlan protocol 802.1Q id {id} <REORDER_HDR> numtxqueues 1 ")
            }
            "veth" => writeln!(text, "    veth numtxqueues 2 numrxqueues 2 "),
            "tap" => writeln!(text, "    tun type tap pi off vnet_hdr on persist off "),
            "tun" => writeln!(text, "    tun type tun pi off vnet_hdr off persist off "),
            "vrf" => writeln!(text, "    vrf table {} ", key("table").unwrap_or("10")),
            "macvlan" | "macvtap" => {
                writeln!(text, "    {} mode {} ", self.words.kind, key("mode").unwrap_or("bridge"))
            }
            "ipvlan" => writeln!(text, "    ipvlan mode {} bridge ", key("mode").unwrap_or("l2")),
            "vxlan" => {
                let external = if self.words.is("external") { "external " } else { "" };
                let _ = write!(text, "    vxlan {external}id {} ", key("id").unwrap_or("1"));
                for (name, word) in
                    [("remote", "remote"), ("group", "group"), ("local", "local"), ("on", "dev")]
                {
                    if let Some(value) = key(name) {
                        let _ = write!(text, "{word} {value} ");
                    }
                }
                let port = key("port").unwrap_or("4789");
                let learning = if self.words.is("nolearning") { "nolearning " } else { "" };
                writeln!(text, "srcport 0 0 dstport {port} {learning}ttl auto ageing 300 udpcsum ")
            }
            // What the kernel has for the tunnels of Open vSwitch.
            "system" if self.name().starts_with("gre") => {
                writeln!(text, "    gretap external remote any local any ttl inherit nopmtudisc ")
            }
            "system" => writeln!(
                text,
                "    vxlan external id 0 srcport 0 0 dstport 4789 nolearning ttl auto ageing 300 "
            ),
            "wireguard" => writeln!(text, "    wireguard numtxqueues 1 numrxqueues 1 "),
            "dummy" => writeln!(text, "    dummy numtxqueues 1 numrxqueues 1 "),
            "ipip" => writeln!(
                text,
                "    ipip any remote any local {} ttl inherit nopmtudisc ",
                key("local").unwrap_or("any")
            ),
            "internal" => writeln!(text, "    openvswitch numtxqueues 1 numrxqueues 1 "),
            _ => Ok(()),
        };
        let member = match self.master_kind() {
            Some("bridge") => {
                let state = if !self.has_carrier() {
                    "disabled"
                } else {
                    key("stp").unwrap_or("forwarding")
                };
                let isolated = if self.words.is("isolated") { "on" } else { "off" };
                format!(
                    "    bridge_slave state {state} priority 32 cost 2 hairpin off guard off \
                     root_block off fastleave off learning on flood on port_no 0x{:x} \
                     isolated {isolated} ",
                    self.index()
                )
            }
            Some("bond") => {
                let state = if self.has_carrier() { "ACTIVE" } else { "BACKUP" };
                let mii = if self.has_carrier() { "UP" } else { "DOWN" };
                format!(
                    "    bond_slave state {state} mii_status {mii} link_failure_count 0 \
                     perm_hwaddr {} queue_id 0 ",
                    self.mac()
                )
            }
            Some("vrf") => {
                let table = self.words.key("master").and_then(|it| self.find(it));
                let table = table.and_then(|vrf| vrf.words.key("table")).unwrap_or("10");
                format!("    vrf_slave table {table} ")
            }
            _ => return,
        };
        let _ = writeln!(text, "{member}");
    }
}
