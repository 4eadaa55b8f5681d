//! What the network knows of hosts that are described in a few lines (`tests/planted/worlds` of the
//! workspace), and what becomes of packets there: each sort of software that sets up networks once.
//! All of them are healthy. Each table is read against its description when it changes.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may panic"
)]
mod table;
mod told;
#[path = "../../../tests/planted/world/mod.rs"]
mod world;

use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;

use tapline_capture::{Input, Options};
use tapline_core::capture::{Completeness, Snapshot};
use tapline_core::ids::Mac;
use tapline_network::environment::Environment;
use tapline_network::trace::{Question, Tracer};
use tapline_network::{Item, Network};
use tapline_topology::graph::{Netdev, NetdevKind};

fn with_network<T>(inputs: &[Input], look: impl FnOnce(&Network<'_>) -> T) -> T {
    let captured = tapline_capture::open(inputs, &Options::default()).unwrap();
    let snapshot = tapline_formats::read(captured);
    let topology = tapline_topology::build(&snapshot);
    let environment = Environment::default();
    look(&Network::new(&topology, None, &environment))
}

/// From each guest and namespace to what is near and to what is far.
fn questions(network: &Network<'_>) -> Vec<Question> {
    let mut all = Vec::new();
    let mut ask = |from: &str, to: &str, proto: Option<&str>, dport: Option<u16>| {
        all.push(Question {
            from: from.to_owned(),
            to: Some(to.to_owned()),
            proto: proto.map(str::to_owned),
            dport,
            reverse: true,
            ..Question::default()
        });
    };
    let vms: Vec<String> = network.vms().map(|vm| format!("vm:{}", vm.name())).collect();
    for vm in &vms {
        for to in ["gateway", "dhcp", "metadata"] {
            ask(vm, to, None, None);
        }
        ask(vm, "ip:203.0.113.80", Some("tcp"), Some(443));
        for other in vms.iter().filter(|other| *other != vm) {
            ask(vm, other, Some("tcp"), Some(22));
        }
    }
    for netns in network.namespaces() {
        let from = format!("ns:{}/{}", network.host_name(netns.host), netns.name());
        ask(&from, "ip:203.0.113.80", Some("udp"), Some(53));
        ask(&from, "gateway", None, None);
    }
    all
}

/// What is asked less often: of each guest, to all and by IPv6, and from the wire to each guest.
fn rarer_questions(network: &Network<'_>) -> Vec<Question> {
    let mut all = Vec::new();
    let ask = |from: &str, to: &str, proto: &str| Question {
        from: from.to_owned(),
        to: Some(to.to_owned()),
        proto: Some(proto.to_owned()),
        ..Question::default()
    };
    let vms: Vec<String> = network.vms().map(|vm| format!("vm:{}", vm.name())).collect();
    let nics = network
        .netdevs()
        .filter(|device| device.netns().is_root() && network.topology.uplink(device.id).is_some());
    let name = |device: &Item<'_, Netdev<'_>>| {
        format!("if:{}/root/{}", network.host_name(device.host), device.name())
    };
    let nics: Vec<String> = nics.map(|nic| name(&nic)).collect();
    for vm in &vms {
        all.push(ask(vm, "broadcast", "arp"));
        all.push(ask(vm, "ip:2001:db8::80", "icmp6"));
        all.push(Question { size: Some(1480), ..ask(vm, "outside", "udp") });
        for nic in &nics {
            let src = "198.51.100.80".parse().ok();
            all.push(Question { src, dport: Some(80), ..ask(nic, vm, "tcp") });
        }
    }
    all.extend(frames_of_guests(network));
    let addresses = network.addresses().filter(|address| {
        let is_linklocal = matches!(address.ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        !address.ip.is_loopback() && !is_linklocal
    });
    let addresses: Vec<String> = addresses.map(|address| format!("ip:{}", address.ip)).collect();
    for (nic, to) in nics.iter().flat_map(|nic| addresses.iter().take(6).map(move |to| (nic, to))) {
        let src = if to.matches(':').count() > 1 { "2001:db8::80" } else { "198.51.100.80" };
        all.push(Question { src: src.parse().ok(), dport: Some(443), ..ask(nic, to, "tcp") });
    }
    all
}

/// Frames of guests whose next hop is given: to the bridges of the host that have an address, by these
/// to the outside, and to other guests.
fn frames_of_guests(network: &Network<'_>) -> Vec<Question> {
    let mut all = Vec::new();
    let mut ask = |vm: &str, to: String, macs: [Mac; 2], [from, far]: [IpAddr; 2]| {
        let [own, next] = macs;
        let packet = format!(
            "tcp,dl_src={own},dl_dst={next},nw_src={from},nw_dst={far},nw_ttl=64,tp_src=40000,tp_dst=443"
        );
        all.push(Question {
            from: format!("vm:{vm}"),
            to: Some(to),
            packet: Some(packet),
            reverse: true,
            ..Question::default()
        });
    };
    let far = IpAddr::from([203, 0, 113, 80]);
    for nic in network.vm_nics() {
        let (Some(own), Some(vm)) = (&nic.data.mac, network.vm(nic.vm)) else { continue };
        for bridge in network.netdevs_of(nic.host).filter(|it| it.kind == NetdevKind::Bridge) {
            let address = network.addresses_of(bridge.id).into_iter().next();
            let (Some(address), Some(next)) = (address, &bridge.data.mac) else { continue };
            let IpAddr::V4(ip) = address.ip else { continue };
            let [a, b, c, _] = ip.octets();
            let guest = IpAddr::from([a, b, c, 77]);
            let macs = [own.value, next.value];
            ask(vm.name(), "outside".to_owned(), macs, [guest, far]);
            ask(vm.name(), format!("ip:{ip}"), macs, [guest, ip.into()]);
        }
        for other in network.vm_nics().filter(|other| other.vm != nic.vm).take(2) {
            let (Some(next), Some(to)) = (&other.data.mac, network.vm(other.vm)) else { continue };
            let ips = [[192, 0, 2, 77], [192, 0, 2, 78]].map(IpAddr::from);
            ask(vm.name(), format!("vm:{}", to.name()), [own.value, next.value], ips);
        }
    }
    all
}

/// What becomes of the packets of all questions.
fn traces(network: &Network<'_>) -> String {
    let tracer = Tracer::new(network);
    let mut out = String::new();
    for question in [questions(network), rarer_questions(network)].concat() {
        let to = question.to.clone().unwrap_or_default();
        let port = question.dport.map_or(String::new(), |port| format!(" {port}"));
        write!(out, "{} → {to}{port} ", question.from).unwrap();
        match tracer.ask(&question) {
            Ok(answered) => {
                let shown = |ip: Option<IpAddr>| ip.map_or("?".into(), |ip| ip.to_string());
                let packet = &answered.packet;
                let ends = [packet.source(), packet.destination()].map(shown).join(" > ");
                write!(out, "({ends}) ").unwrap();
                told::show(&mut out, network, &answered.trace, true);
                if let Some(back) = &answered.reverse {
                    write!(out, "  back ").unwrap();
                    told::show(&mut out, network, back, false);
                }
            }
            Err(error) => writeln!(out, "no question: {error}").unwrap(),
        }
    }
    for row in tracer.reach(None) {
        let cells = row.cells.iter().map(|(to, cell)| {
            let reason = cell.reason.map_or("", |reason| reason.as_str());
            let back = if cell.back { " back" } else { "" };
            format!("{to} {} {reason}{back} at {}", told::yes(cell.reached), cell.at.words())
        });
        // Asked for alone it is the same.
        if row.nic.is_some() {
            let alone = tracer.reach(Some(&row.vm));
            assert!(alone.iter().any(|one| one.mac == row.mac), "{}", row.vm);
            assert!(alone.iter().all(|one| one.vm == row.vm), "{}", row.vm);
        }
        for (to, cell) in &row.cells {
            let Some((there, back)) = tracer.round_trip(row.start.clone(), to) else { continue };
            let back = back.map_or(Some(false), |back| back.verdict.reached);
            let reached =
                if there.verdict.reached == Some(true) { back } else { there.verdict.reached };
            assert_eq!(reached, cell.reached, "{} to {to}", row.vm);
        }
        let segment = row.network.as_deref().unwrap_or("?");
        let ip = row.ip.map_or("?".into(), |ip| ip.to_string());
        write!(out, "reach {} {ip} in {segment}: ", row.vm).unwrap();
        writeln!(out, "{}", cells.collect::<Vec<_>>().join(", ")).unwrap();
        for peer in &row.peers {
            let (cell, reason) = (&peer.cell, peer.cell.reason.map_or("", |it| it.as_str()));
            writeln!(out, "  {} {} {} {reason}", peer.vm, peer.ip, told::yes(cell.reached))
                .unwrap();
        }
    }
    out
}

/// A verdict in words, and whether the packet arrives.
type Told = (String, Option<bool>);

/// The verdicts alone.
fn verdicts(network: &Network<'_>, questions: &[Question]) -> Vec<Told> {
    let tracer = Tracer::new(network);
    let verdict = |question: &Question| match tracer.ask(question) {
        Ok(answered) => {
            let verdict = &answered.trace.verdict;
            let reason = verdict.reason.map_or("", |reason| reason.as_str());
            let next: Vec<String> = verdict.next.iter().map(|next| next.need.to_string()).collect();
            let reached = told::yes(verdict.reached);
            let words = format!("{reached} {} {reason} ({})", verdict.outcome, next.join(", "));
            (words, verdict.reached)
        }
        Err(error) => (error.to_string(), None),
    };
    questions
        .iter()
        .map(|question| {
            let to = question.to.as_deref().unwrap_or_default();
            let (words, reached) = verdict(question);
            (format!("{} → {to}: {words}", question.from), reached)
        })
        .collect()
}

#[expect(clippy::disallowed_methods, reason = "reads descriptions")]
fn each_world(tell: impl Fn(&str, &str)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/planted/worlds");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty(), "no worlds");
    for file in files {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        let description = std::fs::read_to_string(&file).unwrap();
        tell(&name, &description);
    }
}

#[test]
fn facts_and_traces() {
    each_world(|name, description| {
        let text = with_network(&world::sessions(description), |network| {
            format!("{}\n{}", table::describe(network), traces(network))
        });
        insta::assert_snapshot!(name, text);
    });
}

/// What is told otherwise where one command was not run: that it is not known, and the command. Nothing
/// is known for sure of what was open, or otherwise, before.
#[test]
fn what_is_missing_is_asked_for() {
    each_world(|name, description| {
        let inputs = &world::sessions(description);
        let (questions, whole) = with_network(inputs, |network| {
            let questions = questions(network);
            let told = verdicts(network, &questions);
            (questions, told)
        });
        let mut out = String::new();
        for (command, less) in world::with_less(inputs) {
            let told = with_network(&less, |network| verdicts(network, &questions));
            assert_eq!(told.len(), whole.len(), "{name}: {command}");
            let other: Vec<_> = told.iter().zip(&whole).filter(|(one, all)| one != all).collect();
            if !other.is_empty() {
                writeln!(out, "without {command}").unwrap();
            }
            for ((line, reached), (before, known)) in other {
                assert!(
                    reached.is_none() || reached == known,
                    "{name}, {command}: {line}; {before}"
                );
                writeln!(out, "  {line}").unwrap();
            }
        }
        insta::assert_snapshot!(format!("less_{name}"), out);
    });
}

/// A router that decides by everything that texts tell of: policy rules, neighbours, listeners, filters of
/// packets and of frames, what a bridge has learnt.
const DECIDES: &str = "\
host gw1
nic eno1 addr=192.0.2.1/24
nic eno2 master=br0
bridge br0 addr=198.51.100.1/24
tap vnet0 master=br0 mac=fe:54:00:aa:00:01
tap vnet1 master=br0 mac=fe:54:00:aa:00:02
route default via 192.0.2.254 dev eno1
route default via 192.0.2.253 dev eno1 table 100
rule 100: from 198.51.100.7 lookup 100
rule 200: from 198.51.100.8 prohibit
neigh 192.0.2.254 dev eno1 lladdr 00:1b:21:00:00:fe REACHABLE
neigh 198.51.100.7 dev br0 lladdr 52:54:00:aa:00:01 PERMANENT
neigh 192.0.2.253 dev eno1 FAILED
neigh 203.0.113.9 dev eno1 FAILED
fdb 52:54:00:aa:00:01 dev vnet0 master br0
fdb 52:54:00:aa:00:02 dev vnet1 master br0
vm one running tap=vnet0 mac=52:54:00:aa:00:01 bridge=br0
vm two running tap=vnet1 mac=52:54:00:aa:00:02 bridge=br0
$ sysctl net.ipv4.ip_forward net.ipv4.conf.all.rp_filter net.ipv4.conf.eno1.rp_filter net.ipv4.conf.br0.rp_filter net.bridge.bridge-nf-call-iptables
| net.ipv4.ip_forward = 1
| net.ipv4.conf.all.rp_filter = 0
| net.ipv4.conf.eno1.rp_filter = 0
| net.ipv4.conf.br0.rp_filter = 0
| net.bridge.bridge-nf-call-iptables = 0
$ ss -lnptu
| Netid State  Recv-Q Send-Q Local Address:Port Peer Address:Port Process
| udp   UNCONN 0      0      0.0.0.0:53         0.0.0.0:*
| tcp   LISTEN 0      128    192.0.2.1:22       0.0.0.0:*
| tcp   LISTEN 0      128    0.0.0.0:443        0.0.0.0:*
$ iptables-save
| # Generated by iptables-save v1.8.9 on Sun Nov 29 12:00:00 2026
| *nat
| :PREROUTING ACCEPT [0:0]
| :INPUT ACCEPT [0:0]
| :OUTPUT ACCEPT [0:0]
| :POSTROUTING ACCEPT [0:0]
| -A PREROUTING -d 192.0.2.1/32 -p tcp -m tcp --dport 8443 -j DNAT --to-destination 192.0.2.1:443
| -A POSTROUTING -s 198.51.100.0/24 -o eno1 -j MASQUERADE
| COMMIT
| # Completed on Sun Nov 29 12:00:00 2026
| # Generated by iptables-save v1.8.9 on Sun Nov 29 12:00:00 2026
| *filter
| :INPUT ACCEPT [0:0]
| :FORWARD DROP [0:0]
| :OUTPUT ACCEPT [0:0]
| -A INPUT -p tcp -m tcp --dport 22 -s 198.51.100.0/24 -j DROP
| -A FORWARD -s 198.51.100.7/32 -j ACCEPT
| -A FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
| COMMIT
| # Completed on Sun Nov 29 12:00:00 2026
$ nft list ruleset
| table inet guard {
| \tchain input {
| \t\ttype filter hook input priority filter + 10; policy accept;
| \t\ttcp dport 444 drop
| \t\tudp dport 53 ip saddr 198.51.100.9 drop
| \t}
| }
$ ebtables-save
| # Generated by ebtables-save v1.0 on Sun Nov 29 12:00:00 2026
| *filter
| :INPUT ACCEPT
| :FORWARD ACCEPT
| :OUTPUT ACCEPT
| -A INPUT -p IPv4 -i vnet1 --ip-proto tcp --ip-dport 80 -j DROP
| -A FORWARD -p IPv4 -i vnet1 --ip-proto tcp --ip-dport 8080 -j DROP
| -A FORWARD -p ARP -i vnet1 --arp-ip-src ! 198.51.100.8 -j DROP
";

/// What is asked where everything decides.
fn deciding_questions() -> Vec<Question> {
    let mut all = Vec::new();
    let mut ask = |from: &str, src: &str, to: &str, proto: &str, dport: Option<u16>| {
        all.push(Question {
            from: from.to_owned(),
            src: src.parse().ok(),
            to: Some(to.to_owned()),
            proto: Some(proto.to_owned()),
            dport,
            reverse: true,
            ..Question::default()
        });
    };
    for (from, src) in
        [("if:gw1/root/eno1", "192.0.2.9"), ("vm:one", "198.51.100.7"), ("vm:two", "198.51.100.8")]
    {
        for port in [22, 53, 80, 443, 444, 8443] {
            ask(from, src, "ip:192.0.2.1", "tcp", Some(port));
        }
        ask(from, src, "ip:198.51.100.1", "udp", Some(53));
        ask(from, src, "ip:203.0.113.80", "tcp", Some(443));
        ask(from, src, "ip:198.51.100.7", "tcp", Some(8080));
        ask(from, src, "ip:198.51.100.8", "tcp", Some(8080));
    }
    for to in
        ["ip:203.0.113.9", "ip:203.0.113.80", "ip:192.0.2.254", "ip:192.0.2.253", "ip:198.51.100.7"]
    {
        ask("ns:gw1/root", "", to, "icmp", None);
    }
    all
}

/// A text that ends in the middle of a line, so many sixths into it.
fn cut(text: &str, sixths: usize) -> String {
    let mut end = text.len() * sixths / 6;
    while !text.is_char_boundary(end) || text[..end].ends_with('\n') {
        end -= 1;
    }
    text[..end].to_owned()
}

/// What each answer takes for granted.
fn granted(network: &Network<'_>, questions: &[Question]) -> Vec<String> {
    let tracer = Tracer::new(network);
    let ask = |question: &Question| {
        let answered = tracer.ask(question).ok()?;
        let all = answered.trace.verdict.assumptions.iter().map(|(_, text)| text.as_str());
        Some(all.collect::<Vec<_>>().join("; "))
    };
    questions.iter().map(|question| ask(question).unwrap_or_default()).collect()
}

/// What contradicts the answers about whole texts where one was cut off or not captured at all.
fn contradictions(description: &str, more: Vec<Question>) -> (Vec<String>, Vec<Told>) {
    let inputs = world::sessions(description);
    let captured = tapline_capture::open(&inputs, &Options::default()).unwrap();
    let mut snapshot = tapline_formats::read(captured);
    let told = |snapshot: &Snapshot, questions: Option<&[Question]>| {
        let topology = tapline_topology::build(snapshot);
        let environment = Environment::default();
        let network = Network::new(&topology, None, &environment);
        let questions = questions.map_or_else(
            || [self::questions(&network), rarer_questions(&network), more.clone()].concat(),
            <[Question]>::to_vec,
        );
        let told = verdicts(&network, &questions);
        let granted = granted(&network, &questions);
        (questions, told, granted)
    };
    let (questions, whole, _) = told(&snapshot, None);
    let mut all = Vec::new();
    for at in 0..snapshot.captured.sources.len() {
        let source = &snapshot.captured.sources[at];
        // The name of the host is no evidence of the network.
        let is_dull = source.format.is_none_or(|format| format.0.starts_with("ethtool"))
            || source.command.program() == "hostname";
        if is_dull || source.text.lines().count() < 2 {
            continue;
        }
        let (text, command) = (source.text.clone(), source.command.to_string());
        let reading = std::mem::take(&mut snapshot.readings[at]);
        for sixths in 0..6 {
            let source = &mut snapshot.captured.sources[at];
            (source.text, source.lines) = (cut(&text, sixths), std::sync::OnceLock::new());
            let format = source.format;
            if sixths == 0 {
                source.completeness = Completeness::Failed("was not run".to_owned());
                source.format = None;
            }
            snapshot.readings[at] = tapline_formats::read_source(&snapshot.captured.sources[at]);
            let (_, less, granted) = told(&snapshot, Some(&questions));
            let both = whole.iter().zip(&less).zip(granted);
            for (((before, known), (after, reached)), granted) in both {
                // What is taken for granted where a text was not captured at all is said.
                let granted =
                    sixths == 0 && granted.contains(&format!("{command} was not captured"));
                if reached.is_some() && known.is_some() && reached != known && !granted {
                    all.push(format!("{command}, {sixths}/6: {after}; {before}"));
                }
            }
            let source = &mut snapshot.captured.sources[at];
            (source.completeness, source.format) = (Completeness::Complete, format);
        }
        let source = &mut snapshot.captured.sources[at];
        (source.text, source.lines) = (text, std::sync::OnceLock::new());
        snapshot.readings[at] = reading;
    }
    (all, whole)
}

/// Texts that were cut off turn no yes into a no, and no no into a yes.
#[test]
fn what_is_cut_off_contradicts_nothing() {
    let (mut all, whole) = contradictions(DECIDES, deciding_questions());
    // All of it decides.
    for reached in [Some(true), Some(false)] {
        assert!(whole.iter().filter(|(_, known)| *known == reached).count() > 9, "{whole:#?}");
    }
    let failed = std::cell::RefCell::new(Vec::new());
    each_world(|name, description| {
        let (found, _) = contradictions(description, Vec::new());
        failed.borrow_mut().extend(found.iter().map(|one| format!("{name}: {one}")));
    });
    all.extend(failed.into_inner());
    assert!(all.is_empty(), "{} contradictions\n{}", all.len(), all.join("\n"));
}

/// Devices that are set down by a word, by their kind in a description.
const DEVICES: &[&str] = &["nic", "bridge", "tap", "veth", "vlan", "bond", "vxlan", "macvlan"];

/// The same description with one line less, or with one device down, and what was done.
fn damaged(description: &str) -> Vec<(String, String)> {
    let lines: Vec<&str> = description.lines().collect();
    let mut all = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let kind = line.split_whitespace().next().unwrap_or_default();
        // What commands print is taken away as a whole elsewhere.
        if kind.is_empty() || matches!(kind, "#" | "host" | "netns" | "switch" | "$" | "|") {
            continue;
        }
        let (before, after) = (&lines[..at], &lines[at + 1..]);
        all.push((format!("without {line}"), [before, after].concat().join("\n")));
        if DEVICES.contains(&kind) && !line.split_whitespace().any(|word| word == "down") {
            let down = format!("{line} down");
            all.push((format!("down {line}"), [before, &[&down], after].concat().join("\n")));
        }
    }
    all
}

/// What becomes of the packets where one thing is not there, or is down.
#[test]
fn what_one_thing_less_changes() {
    each_world(|name, description| {
        let (questions, whole) = with_network(&world::sessions(description), |network| {
            let questions = questions(network);
            let told = verdicts(network, &questions);
            (questions, told)
        });
        let mut out = String::new();
        for (edit, description) in damaged(description) {
            let told = with_network(&world::sessions(&description), |network| {
                verdicts(network, &questions)
            });
            let other: Vec<_> = told.iter().zip(&whole).filter(|(one, all)| one != all).collect();
            if !other.is_empty() {
                writeln!(out, "{edit}").unwrap();
            }
            for ((line, _), _) in other {
                writeln!(out, "  {line}").unwrap();
            }
        }
        insta::assert_snapshot!(format!("changed_{name}"), out);
    });
}

/// What becomes of the packets where a bridge, a NIC or a namespace is taken away: as the question tells
/// it, and the capture does not.
#[test]
fn what_is_lost_without_a_thing() {
    each_world(|name, description| {
        let out = with_network(&world::sessions(description), |network| {
            let questions = questions(network);
            let whole = verdicts(network, &questions);
            let devices = network.netdevs().filter(|device| device.netns().is_root());
            let things = devices
                .map(|device| device.id)
                .chain(
                    network.hosts().flat_map(|host| network.ovs_bridges_of(host)).map(|it| it.id),
                )
                .chain(network.namespaces().map(|netns| netns.id));
            let keys: Vec<String> =
                things.filter_map(|node| Some(network.topology.key(node)?.to_string())).collect();
            let mut out = String::new();
            for key in keys {
                let without: Vec<Question> = questions
                    .iter()
                    .map(|question| Question { without: Some(key.clone()), ..question.clone() })
                    .collect();
                let told = verdicts(network, &without);
                let other: Vec<_> =
                    told.iter().zip(&whole).filter(|(one, all)| one != all).collect();
                if !other.is_empty() {
                    writeln!(out, "without {key}").unwrap();
                }
                for ((line, _), _) in other {
                    writeln!(out, "  {line}").unwrap();
                }
            }
            out
        });
        insta::assert_snapshot!(format!("lost_{name}"), out);
    });
}
