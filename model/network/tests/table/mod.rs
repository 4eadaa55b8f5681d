//! Writes what the network knows as a table, one fact a line.
use std::fmt::{Display, Write as _};

use tapline_core::capture::HostId;
use tapline_core::ids::Netns;
use tapline_core::records::openflow::{Bits, OfPort, Subfield};
use tapline_core::records::route::Family;
use tapline_core::span::Evidence;
use tapline_network::flow::{FlowPacket, Limits, Tables};
use tapline_network::l3::{Outcome, Query};
use tapline_network::mesh;
use tapline_network::netfilter;
use tapline_network::nics::{self, Nics};
use tapline_network::ovn;
use tapline_network::path::{Hop, Paths};
use tapline_network::router::{Duty, Router};
use tapline_network::{Answer, Item, Network, User, defs, overlay, texts, uplink};
use tapline_topology::graph::Netdev;
use tapline_topology::{NodeId, Presence, Topic};

/// All that is known of all hosts.
pub(crate) fn describe(network: &Network<'_>) -> String {
    let mut table = Table { network, text: String::new() };
    for host in network.hosts() {
        table.host(host);
        for device in network.netdevs_of(host) {
            table.device(&device);
        }
        table.paths(host);
        table.exits(host);
        table.switches(host);
        table.namespaces(host);
        table.users(host);
        table.tunnels(host);
        table.ovn(host);
        table.text.push('\n');
    }
    table.filters();
    table.text
}

/// Characters of a line that are quoted: rows of OVSDB in JSON are long.
const MOST_QUOTED: usize = 80;

/// Ports of a bridge into which packets are put.
const MOST_PORTS: usize = 8;

/// A request for the address of a gateway, to all.
const ARP: &[(&str, u128)] = &[
    ("eth_type", 0x0806),
    ("vlan_tci", 0),
    ("eth_src", 0xfa16_3eaa_0001),
    ("eth_dst", 0xffff_ffff_ffff),
    ("arp_op", 1),
    ("arp_spa", 0x0a00_0a0b),
    ("arp_tpa", 0x0a00_0a01),
];

/// The first packet of a connection to the outside.
const TCP: &[(&str, u128)] = &[
    ("eth_type", 0x0800),
    ("vlan_tci", 0),
    ("eth_src", 0xfa16_3eaa_0001),
    ("eth_dst", 0xfa16_3e4a_37e8),
    ("nw_proto", 6),
    ("ip_src", 0x0a00_0a0b),
    ("ip_dst", 0x0808_0808),
    ("tp_src", 40_000),
    ("tp_dst", 443),
];

struct Table<'n, 'a> {
    network: &'n Network<'a>,
    text: String,
}

impl<'a> Table<'_, 'a> {
    fn line(&mut self, what: &str, facts: &[String]) {
        let facts: Vec<&str> =
            facts.iter().map(String::as_str).filter(|fact| !fact.is_empty()).collect();
        if !facts.is_empty() {
            writeln!(self.text, "{what}: {}", facts.join(", ")).unwrap();
        }
    }

    fn name(&self, node: NodeId) -> String {
        self.network.topology.node(node).unwrap().name.to_string()
    }

    /// The first line of what is cited.
    fn quote(&self, evidence: Evidence) -> String {
        let source = self.network.topology.snapshot.source(evidence.source).unwrap();
        let text = source.text.get(evidence.span.start as usize..evidence.span.end as usize);
        let line = text.unwrap_or_default().lines().next().unwrap_or_default().trim();
        line.chars().take(MOST_QUOTED).collect()
    }

    fn host(&mut self, host: HostId) {
        let network = self.network;
        let root = Netns::Root;
        let mut facts = vec![
            fact("ml2/ovs", defs::is_ml2_ovs(network, host)),
            fact("agent's patches", defs::has_agent_patches(network, host)),
            fact("ovn", defs::is_ovn(network, host)),
            fact("recent ovs", defs::recent_ovs(network).contains(&host)),
            fact("masters printed", defs::prints_masters(network, host)),
            fact("ovs not captured", network.hosts_without_ovs_capture().contains(&host)),
            fact("cleaned", mesh::is_cleaned(network, host)),
            format!("runs ovs {:?}", network.runs_ovs(host)),
            format!("up{}", network.nics().since(host)),
        ];
        if let Some((_, count)) = texts::all_settings(network, host) {
            facts.push(format!("{count} settings"));
        }
        let missing = network.missing(host, &root, &[Topic::Links, Topic::Ovs, Topic::Domains]);
        facts.extend(missing.iter().map(|need| format!("asks {need}")));
        let title = format!("# {} ({})", network.host_name(host), network.hostname(host));
        self.line(&title, &facts);
        for provider in uplink::providers(network, host) {
            let uplinks: Vec<_> = provider.uplinks.iter().map(Item::name).collect();
            let facts = [format!("by {}", provider.patch.name()), uplinks.join(" ")];
            self.line(&format!("provider {}", provider.bridge.name()), &facts);
        }
        let hybrid: Vec<_> = defs::hybrid_bridges(network, host);
        self.line(
            "hybrid bridges",
            &hybrid.iter().map(|hybrid| hybrid.name().to_owned()).collect::<Vec<_>>(),
        );
        for port in defs::kernel_ports(network, host) {
            let what = format!("kernel port {}", port.interface.name());
            self.line(&what, &[format!("{} {:?}", port.device.name(), port.attached)]);
        }
        for name in ["eth0", "br-int", "nowhere"] {
            let presence = match defs::presence(network, host, name) {
                Presence::Yes(_) => "there",
                Presence::No(_) => "not there",
                Presence::Unknown(_) => "not known",
            };
            self.line(&format!("device {name}"), &[presence.to_owned()]);
        }
        for (topic, key) in [(Topic::Links, "nowhere"), (Topic::Ovs, "br-nowhere")] {
            let searched = network.searched(host, &root, topic, key);
            let records: Vec<_> = searched.sources.iter().map(|(_, count)| *count).collect();
            let alike = defs::searched(network, host, topic, key).map(|found| found == searched);
            let facts = [
                format!("{:?} {records:?} {}", searched.keys, searched.namespaces),
                format!("{alike:?}"),
            ];
            self.line("searched", &facts);
        }
    }

    fn device(&mut self, device: &Item<'a, Netdev<'a>>) {
        let network = self.network;
        let mut facts = vec![
            fact("uplink", uplink::is_uplink(device)),
            fact("nic", uplink::is_nic(device)),
            fact("serves", nics::serves(network, device)),
            fact("virtio", nics::is_virtio(network.nics(), device)),
            fact("disputed", network.is_disputed(device.id)),
        ];
        if let Some(role) = uplink::role(network, device) {
            facts.push(match role {
                uplink::Role::OvsPort(bridge) => format!("port of {bridge}"),
                uplink::Role::BridgePort(bridge) => format!("port of bridge {}", self.name(bridge)),
                uplink::Role::Slave(bond) => format!("member of {}", self.name(bond)),
                uplink::Role::Address(ip) => format!("has {ip}"),
                uplink::Role::Carries(vlan) => format!("carries {}", self.name(vlan)),
                uplink::Role::Functions(vm) => format!("functions of {}", self.name(vm)),
                uplink::Role::Function(number) => format!("function {number}"),
            });
        }
        facts.extend(network.master(device.id).map(|master| format!("in {}", master.name())));
        facts.extend(network.veth_peer(device.id).map(|peer| format!("veth of {}", peer.name())));
        let members = network.members(device.id);
        if !members.is_empty() {
            let names: Vec<_> = members.iter().map(Item::name).collect();
            facts.push(format!("members {}", names.join(" ")));
        }
        if let Some(interface) = network.interface_of(device.id) {
            facts.push(format!("ovs {}/{}", interface.bridge, interface.name()));
            assert_eq!(network.device_of(interface.id).map(|device| device.id), Some(device.id));
        }
        for address in network.addresses_of(device.id) {
            let gone = if network.came_or_went(address) { " (came or went)" } else { "" };
            facts.push(format!("{}{gone} [{}]", address.ip, self.quote(address.line())));
        }
        let stacked: Vec<_> = network
            .netdevs_of(device.host)
            .filter(|other| other.id != device.id && network.are_stacked(device.id, other.id))
            .map(|other| other.name())
            .collect();
        if !stacked.is_empty() {
            facts.push(format!("stacked with {}", stacked.join(" ")));
        }
        self.counters(device, &mut facts);
        self.line(&place(device), &facts);
    }

    fn counters(&mut self, device: &Item<'a, Netdev<'a>>, facts: &mut Vec<String>) {
        let nics = self.network.nics();
        if let Some(mode) = nics.bond_mode(device) {
            facts.push(format!("mode {} [{}]", mode.value, self.quote(mode.evidence)));
        }
        if let Some((_, bond)) = nics.bond(device.id) {
            facts.push(format!("{} members in its file", bond.slaves.len()));
        }
        if let Some(texts) = nics.of(device.id) {
            facts.extend([
                fact("settings", texts.settings.is_some()),
                fact("stats", texts.stats.is_some()),
                fact("driver", texts.driver.is_some()),
                fact("features", texts.features.is_some()),
                fact("rings", texts.rings.is_some()),
                fact("slave", texts.slave.is_some()),
                fact("row", texts.ovs.is_some()),
            ]);
        }
        let counts = nics.counts(device);
        let lists = counts.len();
        for way in ["rx", "tx"] {
            if let Some(packets) = Nics::packets(&counts, way) {
                facts.push(format!("{packets} {way} packets of {lists} lists"));
            }
        }
        for list in &counts {
            let errors = list.called(&["rx_crc_errors", "rx_errors", "rx_dropped", "tx_errors"]);
            let errors: Vec<_> = errors.filter(|count| count.value > 0).cloned().collect();
            for count in errors {
                let quoted = self.quote(count.evidence);
                facts.push(format!("{} {} [{quoted}]", count.name, count.value));
            }
        }
    }

    fn switches(&mut self, host: HostId) {
        let network = self.network;
        for bridge in network.ovs_bridges_of(host) {
            let interfaces = defs::interfaces_of(network, bridge.id);
            let names: Vec<_> = interfaces.iter().map(Item::name).collect();
            let mut facts = vec![
                fact("kernel datapath", defs::is_kernel_datapath(bridge.data)),
                fact("expected", defs::is_expected(network, bridge.name())),
                names.join(" "),
            ];
            if let Some(dump) = network.flows().best(host, bridge.name()) {
                let others = network.flows().of(host, bridge.name()).len() - 1;
                facts.push(format!("{} flows and {others} more dumps", dump.flows.len()));
                let searched = network.flows().searched(host, bridge.name(), "key");
                let counts: Vec<_> = searched.sources.iter().map(|source| source.1).collect();
                facts.push(format!("searched {:?} {counts:?}", searched.keys));
                if let Some(flow) = dump.flows.first() {
                    facts.push(format!("first [{}]", self.quote(dump.line(flow))));
                }
            }
            let listings = network.switches().of(host, bridge.name());
            if let Some((_, switch)) = listings.first() {
                let known = switch.ports.iter().filter(|port| {
                    let number = &port.port.value;
                    network.switches().is(host, bridge.name(), number, &port.name.value)
                        && !network.switches().is(host, bridge.name(), number, "nothing")
                });
                facts.push(format!("{} listings, {} ports known", listings.len(), known.count()));
            }
            self.line(&format!("ovs bridge {}", bridge.name()), &facts);
            self.flows(host, bridge.name());
        }
        for port in network.ovs_ports_of(host) {
            let facts: Vec<String> = ["net_uuid", "network_type", "segmentation_id", "tag"]
                .into_iter()
                .filter_map(|key| Some(format!("{key}={}", defs::other_config(port.data, key)?)))
                .collect();
            self.line(&format!("ovs port {}/{}", port.bridge, port.name()), &facts);
        }
        for interface in network.ovs_interfaces_of(host) {
            let id = defs::external_id(interface.data, "iface-id");
            if let Some(id) = id {
                self.line(&format!("ovs interface {}", interface.name()), &[format!("port {id}")]);
            }
        }
    }

    /// What the flows of a bridge do with two packets from each of its first ports.
    fn flows(&mut self, host: HostId, bridge: &str) {
        let network = self.network;
        let Some(dump) = network.flows().best(host, bridge) else { return };
        let Some((_, switch)) = network.switches().of(host, bridge).first() else { return };
        let tables = Tables::new(dump.flows.iter().copied());
        for port in switch.ports.iter().take(MOST_PORTS) {
            let OfPort::Number(number) = port.port.value else { continue };
            for (what, fields) in [("ARP", ARP), ("TCP", TCP)] {
                let mut packet = FlowPacket::arriving(number);
                for (name, value) in fields {
                    packet.put(Bits::of(Subfield::named(name).unwrap(), *value).unwrap());
                }
                let paths = tables.run(&packet, Limits::default());
                let certain = paths.iter().filter(|path| path.certain).count();
                let mut facts = vec![format!("{} paths, {certain} certain", paths.len())];
                for path in paths.iter().take(2) {
                    let tables: Vec<_> =
                        path.steps.iter().map(|step| step.table.to_string()).collect();
                    let sinks: Vec<_> =
                        path.effects.iter().map(|effect| format!("{:?}", effect.sink)).collect();
                    facts.push(format!(
                        "{} → {} {:?}",
                        tables.join(" "),
                        sinks.join(" "),
                        path.stop
                    ));
                }
                self.line(&format!("{what} at {bridge}/{}", port.name.value), &facts);
            }
        }
    }

    fn namespaces(&mut self, host: HostId) {
        let network = self.network;
        let router_netns: Vec<_> =
            Router::all(network).iter().map(|router| router.netns.id).collect();
        for netns in network.namespaces_of(host) {
            let devices: Vec<_> = network.devices_in(netns.id).iter().map(Item::name).collect();
            let tables: Vec<_> = network.tables_in(netns.id).iter().map(Item::name).collect();
            let mut facts = vec![devices.join(" "), format!("tables {}", tables.join(" "))];
            facts.push(fact("captured", network.captured(host, netns.netns(), Topic::Links)));
            facts.push(fact("complete", network.complete(host, netns.netns(), Topic::Routes)));
            facts.push(fact("router", router_netns.contains(&netns.id)));
            let router = Router::new(network, netns);
            facts.push(match router.duty(network) {
                Duty::Serves => "serves".to_owned(),
                Duty::Waits => "waits".to_owned(),
                Duty::Unknown(needs) => format!("asks {needs:?}"),
            });
            facts.push(format!("id {}", router.id()));
            let active: Vec<_> = router.active.iter().map(|active| active.ip.to_string()).collect();
            let ports: Vec<_> = router.ports("qr-").map(|port| port.name()).collect();
            facts.push(format!("{} ha, active {active:?}, ports {ports:?}", router.ha.len()));
            self.line(&format!("netns {}", netns.name()), &facts);
        }
        for netns in network.namespaces_of(host) {
            self.routes(host, netns.netns());
        }
        let all = network.neighbours();
        for ((of, netns), neighbours) in all.iter().filter(|(key, _)| key.0 == host) {
            assert_eq!(*of, host);
            for ((device, ip), known) in neighbours {
                let state = if known.failed { "failed" } else { "known" };
                let facts = [format!("{state} [{}]", self.quote(known.evidence))];
                self.line(&format!("neighbour {ip} on {device} of {netns}"), &facts);
            }
        }
        for ((_, netns, key), setting) in
            network.kernel_settings().iter().filter(|(key, _)| key.0 == host)
        {
            if key.ends_with("ip_forward") || key.ends_with("bridge-nf-call-iptables") {
                let facts = [format!("{} [{}]", setting.value, self.quote(setting.evidence))];
                self.line(&format!("{key} of {netns}"), &facts);
            }
        }
    }

    /// Where packets of a namespace go.
    fn routes(&mut self, host: HostId, netns: &Netns) {
        let Some(fib) = self.network.fib(host, netns) else { return };
        for (family, to) in [
            (Family::Inet, "8.8.8.8"),
            (Family::Inet, "127.0.0.1"),
            (Family::Inet, "10.10.10.1"),
            (Family::Inet, "192.168.0.13"),
            (Family::Inet, "172.17.2.31"),
            (Family::Inet6, "2001:db8::1"),
            (Family::Inet6, "::1"),
        ] {
            let mut facts = vec![format!("{} rules", fib.rules(family).count())];
            match fib.lookup(&Query::own(to.parse().unwrap())) {
                Answer::Unknown(needs) => facts.push(format!("asks {}", list(&needs))),
                Answer::Known(decision) => {
                    facts.push(match &decision.outcome {
                        Outcome::Local(address) => format!("local {}", self.name(*address)),
                        Outcome::Forward(hops) => {
                            let hops = hops.iter().map(|hop| match hop.gateway {
                                Some(gateway) => format!("{} via {gateway}", hop.dev),
                                None => format!("{} on link", hop.dev),
                            });
                            hops.collect::<Vec<_>>().join(" or ")
                        }
                        other => format!("{other:?}"),
                    });
                    facts.extend(decision.table.as_ref().map(|table| format!("table {table}")));
                    let lines =
                        decision.evidence().into_iter().map(|evidence| self.quote(evidence));
                    facts.extend(lines.map(|line| format!("[{line}]")).collect::<Vec<_>>());
                    if !decision.assumed.is_empty() {
                        facts.push(format!("assumed without {}", list(&decision.assumed)));
                    }
                }
            }
            self.line(&format!("route of {netns} to {to}"), &facts);
        }
    }

    /// The paths of NICs of VMs and ports of namespaces, in both directions.
    fn paths(&mut self, host: HostId) {
        let network = self.network;
        let nics = network.vm_nics().filter(|nic| nic.host == host).map(|nic| nic.id);
        let ports = network.netdevs_of(host).filter(|port| !port.netns().is_root());
        let starts: Vec<_> = nics.chain(ports.map(|port| port.id)).collect();
        let mut finder = Paths::new(network);
        for start in starts {
            let down = finder.down(start);
            let mut hops = Vec::new();
            self.hops(&down.hops, &mut hops);
            let wires: Vec<_> = down.wires(network).iter().map(|wire| self.name(*wire)).collect();
            hops.push(format!("wires {wires:?}"));
            hops.push(fact("cut", down.cut));
            self.line(&format!("path of {}", self.name(start)), &hops);
        }
        for wire in network.netdevs_of(host).filter(uplink::is_nic) {
            let above = finder.up(wire.id).nodes();
            let names: Vec<_> = above.iter().map(|node| self.name(*node)).collect();
            self.line(&format!("above {}", wire.name()), &[names.join(" ")]);
        }
    }

    fn hops(&self, hops: &[Hop<'_>], shown: &mut Vec<String>) {
        for hop in hops {
            let doubt = if hop.doubtful { "? " } else { "" };
            let block = hop.block().map_or(String::new(), |block| format!(": {}", block.why));
            shown.push(format!("{doubt}{}{block}", self.name(hop.node)));
            self.hops(&hop.next, shown);
        }
    }

    /// The bridges by which VLANs of the integration bridge leave the host.
    fn exits(&mut self, host: HostId) {
        let network = self.network;
        let mut vlans: Vec<u16> = network
            .ovs_ports_of(host)
            .filter_map(|port| port.data.tag.as_ref().map(|tag| tag.value))
            .collect();
        vlans.sort_unstable();
        vlans.dedup();
        for vlan in vlans {
            let exits = network.exits().of(host, vlan);
            let facts: Vec<_> = exits
                .iter()
                .map(|exit| {
                    let near = network.exits().at(host, exit.near).is_some();
                    let carried = network.exits().may_carry(host, vlan, exit.bridge);
                    let far = exit.far.map(|far| self.name(far));
                    let names = (self.name(exit.near), self.name(exit.bridge));
                    format!("{} → {far:?} {} {near} {carried}", names.0, names.1)
                })
                .collect();
            self.line(&format!("VLAN {vlan} leaves by"), &facts);
        }
    }

    fn users(&mut self, host: HostId) {
        let network = self.network;
        for nic in network.vm_nics().filter(|nic| nic.host == host) {
            let Some(target) = &nic.target else { continue };
            let behind = network.nics_behind(host, &target.value).len();
            let state = network.state_of(nic.vm).map(|state| state.value.to_string());
            let facts = [
                self.user(network.user_of(host, &target.value)),
                format!("{behind} NICs"),
                format!("{state:?}"),
            ];
            self.line(&format!("user of {}", target.value), &facts);
        }
        let facts = [self.user(network.user_of(host, "tap00000000-00"))];
        self.line("user of tap00000000-00", &facts);
    }

    fn user(&self, user: User) -> String {
        match user {
            User::Running(vm) => format!("{} runs", self.name(vm)),
            User::Off(vm) => format!("{} is off", self.name(vm)),
            User::Nobody => "nobody".to_owned(),
            User::Unknown(needs) => format!("asks {}", list(&needs)),
        }
    }

    fn tunnels(&mut self, host: HostId) {
        let network = self.network;
        for tunnel in network.tunnels_of(host) {
            let mut facts = vec![
                format!("in {}", tunnel.netns_of_underlay(network)),
                fact("of the host", mesh::is_of_host(network, tunnel)),
            ];
            facts.extend(tunnel.source().map(|ip| format!("from {ip}")));
            if let Some(remote) = &tunnel.data.remote {
                let mesh = network.mesh();
                let other = mesh.other(network, remote.value, host);
                facts.push(format!(
                    "to {} of {:?}",
                    remote.value,
                    other.map(|far| network.host_name(far))
                ));
                facts.push(format!("{} owners", mesh.owners(network, remote.value).len()));
            }
            facts.push(match overlay::route(network, tunnel) {
                None => "no route is asked".to_owned(),
                Some(Answer::Unknown(needs)) => format!("route asks {}", list(&needs)),
                Some(Answer::Known(decision)) => {
                    let hops: Vec<_> = decision
                        .hops()
                        .iter()
                        .map(|hop| format!("{} via {:?}", hop.dev, hop.gateway))
                        .collect();
                    let lines: Vec<_> = decision
                        .evidence()
                        .into_iter()
                        .map(|evidence| self.quote(evidence))
                        .collect();
                    format!("route {} {lines:?}", hops.join(" "))
                }
            });
            facts.push(match overlay::egress(network, tunnel) {
                None => String::new(),
                Some(Answer::Unknown(needs)) => format!("egress asks {}", list(&needs)),
                Some(Answer::Known(devices)) => {
                    format!("leaves by {:?}", devices.iter().map(Item::name).collect::<Vec<_>>())
                }
            });
            self.line(&format!("tunnel {}", tunnel.name()), &facts);
        }
        let ways = network.mesh().ways(network);
        let ways: Vec<_> = ways.into_iter().filter(|(from, _)| *from == host).collect();
        let facts: Vec<_> =
            ways.iter().map(|(_, far)| network.host_name(*far).to_owned()).collect();
        self.line("tunnels lead to", &facts);
    }

    fn ovn(&mut self, host: HostId) {
        let network = self.network;
        let all = network.ovn();
        if let Some(local) = all.locals.get(&host) {
            let remotes: Vec<_> = local.list("ovn-remote").collect();
            let facts = [
                format!("system-id {:?}", local.system_id()),
                format!("bridge {}", local.bridge()),
                format!("remotes {remotes:?}"),
                fact("shared", local.is_shared()),
                format!("place [{}]", self.quote(local.place("ovn-encap-ip"))),
                format!("nothing at [{}]", self.quote(local.place("nothing"))),
                format!(
                    "south {:?}",
                    all.south_of(network, local).map(|south| network.host_name(south.host))
                ),
            ];
            self.line("ovn", &facts);
            for (interface, port, evidence) in ovn::ports_of(network, local) {
                let facts = [format!("{port} [{}]", self.quote(evidence))];
                self.line(&format!("ovn port {}", interface.name()), &facts);
            }
        }
        if let Some(south) = all.souths.get(&host) {
            for chassis in south.chassis.values() {
                let encaps: Vec<_> = chassis
                    .encaps
                    .iter()
                    .map(|encap| format!("{} {}", encap.kind, encap.ip))
                    .collect();
                let facts = [
                    format!("{:?}", chassis.hostname),
                    encaps.join(" "),
                    fact("listed", chassis.listed.is_some()),
                    format!("[{}]", self.quote(chassis.at)),
                ];
                self.line(&format!("chassis {}", chassis.name), &facts);
            }
            for (port, binding) in &south.bindings {
                let facts = [format!("{:?} [{}]", binding.holder, self.quote(binding.at))];
                self.line(&format!("binding {port}"), &facts);
            }
            let rows = |text: Option<(_, usize)>| text.map(|(_, rows)| rows);
            let facts = [
                format!("shown {:?}", rows(south.shown)),
                format!("listed {:?}", rows(south.listed)),
                format!(
                    "searched {:?}",
                    south.searched("key").map(|searched| (searched.keys, searched.namespaces))
                ),
            ];
            self.line("southbound", &facts);
        }
        if let Some(north) = all.norths.get(&host) {
            for (name, (port, at)) in &north.switch_ports {
                let facts = [format!("on {:?}", ovn::switch_of(port)), self.quote(*at)];
                self.line(&format!("switch port {name}"), &facts);
            }
            for (name, (_, at)) in &north.router_ports {
                self.line(&format!("router port {name}"), &[self.quote(*at)]);
            }
            for (switch, ports) in &north.localnets {
                let facts: Vec<_> = ports.iter().map(|port| port.0.to_owned()).collect();
                self.line(&format!("localnets of {switch}"), &facts);
            }
            self.line("northbound", &[format!("joined {}", north.is_joined)]);
        }
    }

    fn filters(&mut self) {
        let network = self.network;
        for (host, netns) in
            network.namespaces().map(|netns| (netns.host, netns.netns())).collect::<Vec<_>>()
        {
            for name in ["filter", "nat"] {
                let Some(table) = network.filters().table(host, netns, name) else { continue };
                let saved = network.filters().saved(host, netns, name).is_some();
                let searched = table.searched("key");
                let facts = [
                    fact("saved", saved),
                    format!("{} rules", table.data.rules.len()),
                    format!("head [{}]", self.quote(table.head())),
                    format!(
                        "{:?} in {} records",
                        searched.keys,
                        searched.sources.first().unwrap().1
                    ),
                ];
                self.line(&format!("{name} of {netns}"), &facts);
                let pairs = netfilter::inward(table).map(|pair| ("in", pair));
                let pairs = pairs.chain(netfilter::outward(table).map(|pair| ("out", pair)));
                for (way, pair) in pairs.collect::<Vec<_>>() {
                    let quoted = self.quote(table.line(pair.rule));
                    let facts = [format!("{way} {} {} [{quoted}]", pair.floating, pair.fixed)];
                    self.line("translation", &facts);
                }
            }
        }
        let filters = network.filters();
        for (host, _, family, table) in filters.tables().filter(|(_, netns, ..)| netns.is_root()) {
            let facts = [format!("{} rules", table.data.rules.len())];
            let (host, name) = (network.host_name(host), &table.data.table.value);
            self.line(&format!("table {name} of {host} {family:?}"), &facts);
        }
    }
}

fn fact(name: &str, holds: bool) -> String {
    if holds { name.to_owned() } else { String::new() }
}

fn place(device: &Item<'_, Netdev<'_>>) -> String {
    match device.netns() {
        Netns::Root => device.name().to_owned(),
        netns => format!("{netns}/{}", device.name()),
    }
}

fn list(needs: &[impl Display]) -> String {
    needs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | ")
}
