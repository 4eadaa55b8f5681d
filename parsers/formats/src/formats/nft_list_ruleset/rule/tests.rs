use std::collections::BTreeMap;

use super::*;

fn reads(text: &str) -> Vec<String> {
    let sets = BTreeMap::from([
        ("known", vec![Name::from("10.0.0.1"), "10.0.0.2".into()]),
        ("verdicts", vec!["22 : accept".into(), "53 : goto dns".into()]),
        ("services", vec!["10.96.0.1 . tcp . 443 : goto api".into()]),
        ("backends", vec!["80 : 10.0.0.2 . 8080".into(), "443 : 10.0.0.3 . 8443".into()]),
    ]);
    let sets = |name: &str| sets.get(name).map(Vec::as_slice);
    statements(text, &sets).iter().map(|one| format!("{one:?}")).collect()
}

fn shows(text: &str, wanted: &[&str]) {
    let read = reads(text);
    let fits =
        read.len() == wanted.len() && read.iter().zip(wanted).all(|(one, part)| one.contains(part));
    assert!(fits, "{text}: {read:#?}");
}

#[test]
fn conditions_are_understood() {
    shows(
        "iifname \"br0\" oifname != \"eth*\" accept",
        &[
            "InDevice([DeviceName { name: \"br0\", prefix: false }])",
            "not: true, test: OutDevice([DeviceName { name: \"eth\", prefix: true }])",
            "Do(Accept)",
        ],
    );
    shows(
        "ip saddr 10.0.0.0/8 tcp dport { 22, 80-90 } drop",
        &[
            "Family(Inet)",
            "Source([Net(10.0.0.0/8)])",
            "Protocol([6])",
            "DestinationPort([22..=22, 80..=90])",
            "Do(Drop)",
        ],
    );
    shows(
        "ct state established,related counter packets 3 bytes 180 accept",
        &["Connection({\"ESTABLISHED\", \"RELATED\"})", "Counter(3, 180)", "Do(Accept)"],
    );
    shows("ct status dnat accept", &["Connection({\"DNAT\"})", "Do(Accept)"]);
    shows("ct state { new, invalid } jump mine", &["\"NEW\", \"INVALID\"", "Jump(\"mine\")"]);
    shows(
        "meta mark & 0x0000ff00 == 0x00000100 return",
        &["Mark(Masked { value: 256, mask: 65280 })", "Do(Return)"],
    );
    shows(
        "meta l4proto { tcp, udp } th dport 53 accept",
        &["Protocol([6, 17])", "DestinationPort([53..=53])", "Accept"],
    );
    shows("fib daddr type local jump DOCKER", &["AddressType { source: false", "Jump"]);
    shows(
        "icmpv6 type { nd-neighbor-solicit, 136 } accept",
        &["Family(Inet6)", "Protocol([58])", "kinds: [135, 136]", "Accept"],
    );
    shows(
        "ip saddr @known accept",
        &["Family", "Source([Net(10.0.0.1/32), Net(10.0.0.2/32)])", "Accept"],
    );
    shows("ip saddr @others accept", &["Family", "Unknown(\"@others\")", "Accept"]);
}

#[test]
fn changes_are_understood() {
    shows("dnat to 10.0.0.5:8080", &["Dnat(Translation { text: \"10.0.0.5:8080\""]);
    shows("snat ip to 192.0.2.1 fully-random", &["Snat"]);
    shows("dnat to tcp dport map { 80 : web }", &["Unknown(\"dnat\")"]);
    shows("oifname \"eth0\" masquerade random,persistent", &["OutDevice", "Masquerade"]);
    shows("redirect to :9697", &["Redirect(Some(9697..=9697))"]);
    shows("meta mark set 0x1 accept", &["Mark(Set { clear: 4294967295, flip: 1 })", "Accept"]);
    shows("meta mark set meta mark or 0x4", &["Mark(Set { clear: 4, flip: 4 })"]);
    shows("ct mark set meta mark", &["Copy { save: true"]);
    shows("ct zone set 7", &["CtZone(7)"]);
    shows("notrack", &["NoTrack"]);
}

#[test]
fn verdicts_may_come_from_a_map() {
    shows(
        "ct state vmap { established : accept, invalid : drop, new : jump mine }",
        &["Choose([(Condition { not: false, test: Connection({\"ESTABLISHED\"}) }, Accept), "],
    );
    shows("iifname vmap @zones", &["Unknown(\"iifname vmap @zones\")"]);
    // Two keys at once.
    shows(
        "ip saddr . ip daddr vmap { 10.0.1.2 . 10.0.2.2 : drop }",
        &[
            "Family(Inet)",
            "Family(Inet)",
            "AnyOf([[Source([Net(10.0.1.2/32)]), Destination([Net(10.0.2.2/32)])]]) }, Drop)",
        ],
    );
    shows(
        "ip saddr . tcp dport != { 10.0.0.0/8 . 80, 10.1.0.1 . 1-9 } drop",
        &[
            "Family(Inet)",
            "Protocol([6])",
            "not: true, test: AnyOf([[Source([Net(10.0.0.0/8)]), DestinationPort([80..=80])], \
             [Source([Net(10.1.0.1/32)]), DestinationPort([1..=9])]])",
            "Drop",
        ],
    );
    shows(
        "ip saddr . ip daddr vmap @pairs",
        &["Family", "Family", "Unknown(\"ip saddr . ip daddr vmap @pairs"],
    );
    shows("reject with icmpx type admin-prohibited", &["Reject"]);
    shows("log prefix \"x accept\" group 2 reject with tcp reset comment \"drop\"", &["Reject"]);
    shows("limit rate 5/minute burst 9 packets accept", &["over: false", "Accept"]);
    shows("limit rate over 5/minute drop", &["over: true", "Drop"]);
    shows("ct count over 20 drop", &["over: true", "Drop"]);
    shows("quota 20 mbytes accept", &["over: false", "Accept"]);
    shows("ip6 hoplimit 255 accept", &["Family(Inet6)", "Lifetime([255..=255])", "Accept"]);
    shows("ip dscp { cs1, 0x2e } accept", &["Family(Inet)", "value: 32, mask: 252", "Accept"]);
    shows("rt type 0 drop", &["Extension(\"rt\")", "Drop"]);
    shows("meta pkttype { broadcast, multicast } drop", &["PacketType", "Drop"]);
}

#[test]
fn what_is_not_understood_may_be_met() {
    shows("tcp flags & (fin|syn) == syn drop", &["Unknown(\"tcp flags", "Drop"]);
    shows(
        "ip saddr . tcp dport @pairs accept",
        &["Family", "Protocol", "Unknown(\"ip saddr . tcp dport @pairs", "Accept"],
    );
    shows(
        "xt match \"addrtype\" counter packets 1 bytes 2 xt target \"MASQUERADE\"",
        &["Unknown(\"match addrtype\")", "Counter", "Unknown(\"MASQUERADE\")"],
    );
    shows("jump { drop }", &["Unknown(\"a chain without a name\")"]);
    shows("queue to 3", &["Unknown(\"queue\")"]);
    shows("odd words accept", &["Unknown(\"odd words\")", "Accept"]);
    shows("ip saddr", &["Family", "Unknown"]);
    shows("", &[]);
}

#[test]
fn maps_choose_verdicts_and_addresses() {
    shows(
        "tcp dport vmap @verdicts",
        &[
            "Protocol([6])",
            "DestinationPort([22..=22]) }, Accept), (Condition { not: false, test: DestinationPort([53..=53]) }, Goto(\"dns\")",
        ],
    );
    shows(
        "ip daddr . meta l4proto . th dport vmap @services",
        &[
            "Family(Inet)",
            "Destination([Net(10.96.0.1/32)]), Protocol([6]), DestinationPort([443..=443])]])",
        ],
    );
    shows(
        "dnat ip to tcp dport map { 80 : 10.0.0.2, 443 : 10.0.0.3 } random",
        &[
            "Protocol([6])",
            "Choose([(Condition { not: false, test: DestinationPort([80..=80]) }, Dnat(",
        ],
    );
    shows("dnat ip addr . port to tcp dport map @backends", &["Protocol([6])", "10.0.0.2:8080"]);
    shows(
        "numgen random mod 3 vmap { 0 : goto a, 1 : goto b, 2 : goto c }",
        &[
            "Rate(\"0 of 3\") }, Goto(\"a\")), (Condition { not: false, test: Rate(\"1 of 3\") }, Goto(\"b\")), (Condition { not: false, test: Aside(",
        ],
    );
    shows("dnat to numgen inc mod 2 map { 0 : 10.0.0.2, 1 : 10.0.0.3 }", &["Choose(["]);
    shows("snat ip6 to ip6 saddr map { fd00::/64 : 2001:db8::1 }", &["Family(Inet6)", "Snat("]);
    // What is not understood is not guessed.
    shows("tcp dport vmap @unknown accept", &["Protocol", "Do(Unknown(", "Do(Accept)"]);
    shows("dnat to tcp dport map @unknown", &["Do(Unknown(\"dnat\"))"]);
}
