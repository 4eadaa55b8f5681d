//! Damaged samples of OVS and `ethtool`: no reader may panic, lose a line, or point outside the
//! text.
use proptest::prelude::*;
use serde::Serialize;
use tapline_core::capture::Command;
use tapline_core::outcome::Outcome;
use tapline_core::records::{Batch, Visitor};
use tapline_core::span::Span;

use crate::registry;

const SAMPLES: &[(&str, &str)] = &[
    (
        "ovs-vsctl -t 5 show",
        "2024-05-01T10:00:00Z|00001|vlog|WARN|x\n5e0be6ad-0b12-4a8c-a6a5-0a3e1de5a1a6\n    \
         Manager \"ptcp:6640\"\n        is_connected: true\n    Bridge \"br 1\"\n        \
         Controller \"tcp:127.0.0.1:6633\"\n        fail_mode: secure\n        Port é1\n            \
         tag: 7\n            trunks: [1, 2]\n            Interface é1\n                \
         options: {a=\"x, \\\"y\\\" \\u00e9\", peer=b}\n                error: \"gone\"\n    \
         ovs_version: \"2.5.10\"\n",
    ),
    (
        "ovs-vsctl list interface",
        "_uuid               : 11111111-2222-4333-8444-555555555555\nerror               : []\n\
         external_ids        : {a=\"fa:16\", b=\"é\\\\\"}\nlldp                : {}\n\
         name                : \"1é\"\nofport              : -1\n\n\
         _uuid : 21111111-2222-4333-8444-555555555555\nname : b\nmtu : 1500\n",
    ),
    (
        "ovs-vsctl -f table list port",
        "name  tag  trunks  other_config\n----- ---- ------- ------------\n\
         p0    5    []      {}\n\"p 1\" []   [1, 2]  {a=\"b c\"}\n\"é\"  []   [1, 2]  {a=é}\n",
    ),
    (
        "ovs-vsctl -f csv list port",
        "name,tag,other_config\np0,5,{}\n\"\"\"p 1\"\"\",[],\"{a=\"\"b,c\"\", d=é}\"\n",
    ),
    ("ovs-vsctl --bare --columns=name,tag,trunks list port", "p 0\n5\n\n\np1\n\n1 2\n"),
    (
        "ovs-vsctl -f json list bridge",
        "{\"data\":[[[\"uuid\",\"11111111-2222-4333-8444-555555555555\"],\"br\\u00e9\",\
         [\"set\",[[\"uuid\",\"x\"]]],[\"map\",[[\"a\",\"1\"]]],false]],\n\
         \"headings\":[\"_uuid\",\"name\",\"ports\",\"other_config\",\"stp_enable\"]}\n",
    ),
    (
        "ovsdb-client dump",
        "AutoAttach table\n_uuid mappings\n----- --------\n\nBridge table\n\
         _uuid                                name\n------------------------------------ ----\n\
         11111111-2222-4333-8444-555555555555 br0\n",
    ),
    (
        "ovsdb-client -f list dump",
        "AutoAttach table\n\nManager table\n_uuid : 11111111-2222-4333-8444-555555555555\n\
         target : \"ptcp:1\"\nis_connected : true\n",
    ),
    (
        "cat /etc/openvswitch/conf.db",
        "OVSDB JSON 317 0123456789012345678901234567890123456789\n\
         {\"name\":\"Open_vSwitch\",\"tables\":{\"Bridge\":{\"columns\":{\"name\":{\"type\":\"string\"},\
         \"stp_enable\":{\"type\":\"boolean\"},\"ports\":{\"type\":{\"key\":\"uuid\",\"min\":0,\
         \"max\":\"unlimited\"}},\"other_config\":{\"type\":{\"key\":\"string\",\"value\":\"string\",\"min\":0,\
         \"max\":\"unlimited\"}},\"status\":{\"ephemeral\":true,\"type\":\"string\"}}}}}\n\
         OVSDB JSON 174 0123456789012345678901234567890123456789\n\
         {\"Bridge\":{\"11111111-2222-4333-8444-555555555555\":{\"name\":\"br\\u00e9\",\
         \"ports\":[\"set\",[[\"uuid\",\"a\"],[\"uuid\",\"b\"]]],\"other_config\":[\"map\",[[\"a\",\"1\"]]]}},\
         \"_date\":1,\"_is_diff\":true}\n\
         OVSDB JSON 110 0123456789012345678901234567890123456789\n\
         {\"Bridge\":{\"11111111-2222-4333-8444-555555555555\":{\"ports\":[\"uuid\",\"b\"]},\"x\":null},\
         \"_is_diff\":true,\"é\":{}}\n",
    ),
    (
        "cat /var/lib/openvswitch/conf.db",
        "OVSDB CLUSTER 1 0123456789012345678901234567890123456789\n\
         {\"prev_index\":1,\"prev_data\":[{\"name\":\"x\",\"tables\":{}},{\"Port\":{\"u\":{\"name\":\"p\"}}}]}\n\
         OVSDB CLUSTER 1 0123456789012345678901234567890123456789\n\
         {\"index\":2,\"data\":[null,{\"Port\":{\"u\":{\"tag\":5}}}]}\n\
         OVSDB CLUSTER 1 0123456789012345678901234567890123456789\n{\"commit_index\":2}\n",
    ),
    (
        "ethtool eth0",
        "netlink error: Operation not permitted\nSettings for eth0:\n\
         \tSupported link modes:   100baseT/Full\n\t                        1000baseT/Full\n\
         \tSpeed: 10Mb/s\n        Duplex: Full\n\tLink detected: no (é)\n",
    ),
    (
        "ethtool -S eth0",
        "NIC statistics:\n     peer_ifindex: 6\n     [0]: é: 18446744073709551615\n",
    ),
    ("ethtool -i eth0", "driver: veth\nversion: 1.0\nfirmware-version: \nbus-info: 0000:00:03.0\n"),
];

struct Within<'a>(&'a str);

impl Visitor for Within<'_> {
    fn record<T: Serialize>(&mut self, at: Span, record: &T) {
        assert!(self.0.get(at.range()).is_some(), "{at:?} is outside the text");
        serde_json::to_value(record).unwrap();
    }
}

fn check(line: &str, text: &str) -> Outcome<Batch> {
    let command = Command::new(line);
    let format = registry::by_command(&command).unwrap();
    let out = (format.read)(text, &command);
    let lines = out.lines;
    assert_eq!(lines.total, lines.read + lines.ignored + lines.unread, "{line}: {text:?}");
    let printed = text.lines().filter(|line| !line.trim_end().is_empty()).count();
    assert_eq!(lines.total as usize, printed, "{line}: {text:?}");
    for problem in &out.problems {
        assert!(text.get(problem.span.range()).is_some(), "{problem:?} in {text:?}");
    }
    assert!(lines.unread == 0 || !out.problems.is_empty(), "{line}: silent over {text:?}");
    assert!(lines.unread == 0 || !out.completeness.is_complete(), "{line}: sure of {text:?}");
    out.records.visit(&mut Within(text));
    if let Batch::Ovs(records) = &out.records {
        for column in records.iter().flat_map(|record| &record.columns) {
            assert!(text.get(column.value.span.range()).is_some(), "{column:?} in {text:?}");
        }
    }
    (format.sniff)(text);
    out
}

#[test]
fn samples_are_read_whole() {
    for (line, text) in SAMPLES {
        let out = check(line, text);
        assert_eq!(out.lines.unread, 0, "{line}: {:?}", out.problems);
        assert!(!out.records.is_empty(), "{line}");
    }
}

#[test]
fn a_reader_of_one_layout_survives_the_others() {
    for (line, _) in SAMPLES {
        for (_, text) in SAMPLES {
            check(line, text);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn damage_is_survived(
        which in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        gone in 0_usize..40,
        put in "\\PC{0,4}|[\\n\\t \":,=0-9.\\[\\]{}\\\\-]{0,5}",
    ) {
        let (line, sample) = SAMPLES[which.index(SAMPLES.len())];
        let from = sample.floor_char_boundary(at.index(sample.len() + 1));
        let to = sample.floor_char_boundary((from + gone).min(sample.len())).max(from);
        let (before, after) = (sample.get(..from).unwrap(), sample.get(to..).unwrap());
        check(line, &format!("{before}{put}{after}"));
        check(line, before);
        check(line, after);
    }
}
