//! Readers of virsh, bridge, brctl and ps output over damaged text: no panic, every line accounted
//! for, every span inside the text.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use proptest::prelude::*;
use tapline_core::capture::{Command, FormatId};
use tapline_formats::registry::by_id;

/// Formats, commands, and a text of each with as many forms as fit.
const CASES: &[(&str, &str, &str)] = &[
    (
        "virsh-list",
        "virsh list --all --title",
        " Id   Name        State      Title\n---------------------------\n 1    a é b   running   x y\n -    - c      shut off   \n",
    ),
    (
        "virsh-list",
        "virsh list --all",
        " Id    Name    State\n-----------\n -     ünter   in shutdown\n 7     no state   no state\n",
    ),
    (
        "virsh-list",
        "virsh list --uuid --name",
        "5c212f64-66bf-56ce-a43d-d62d102abfe9 a b\nvirsh # list --id\n7\n",
    ),
    (
        "virsh-domiflist",
        "virsh domiflist a",
        " Interface   Type   Source   Model   MAC\n--------\n tap0   bridge   my net é   virtio   fa:16:3e:11:22:34\n -   user   -   -   -\n",
    ),
    (
        "domain-xml",
        "virsh dumpxml a",
        "<!-- é -->\n<domstatus state='running' pid='7'>\n<domain type='kvm' id='3'>\n <name>a &amp; é</name>\n <uuid>u</uuid>\n \
         <metadata><n:instance xmlns:n='http://openstack.org/xmlns/libvirt/nova/1.1'><n:name>web</n:name><n:flavor name='é'/></n:instance></metadata>\n \
         <devices>\n  ...\n  <interface type='bridge'>\n   <mac address='fa:16:3e:00:00:01'/>\n   <source bridge='br0'/><target dev='t0'/>\n   \
         <vlan trunk='yes'><tag id='5'/></vlan><mtu size='x'/>\n   <address type='pci' domain='0x0' bus='0x0' slot='0x3' function='0x0'/>\n  \
         </interface>\n  <hostdev type='pci'><source><address domain='0x0' bus='0x6' slot='0x1' function='0x0'/></source></hostdev>\n \
         </devices>\n</domain>\n</domstatus>\n# prompt\n<interface type='user'/>\n<network><name>n</name></network>\n",
    ),
    (
        "ps",
        "ps aux",
        "USER PID %CPU %MEM VSZ RSS TTY STAT START TIME COMMAND\nq 20 0 0 1 1 ? Sl 13:02 0:05 qemu-kvm -name guest=a,,é,debug-threads=on \
         -uuid u -netdev tap,fd=30,id=h0,ifname=t0 -device virtio-net-pci,netdev=h0,mac=fa:16:3e:00:00:01 \
         -device {\"driver\":\"e1000\",\"netdev\":\"h0\",\"mac\":\"fa:16:3e:00:00:02\"} -nic tap,mac=xx\nroot 1 0 0 1 1 ? Ss 13:02 0:00 init\n",
    ),
    (
        "ps",
        "ps -ef",
        "q 20 1 0 13:02 ? 00:00:05 /usr/bin/qemu-system-x86_64 -name é -net nic,macaddr=fa:16:3e:00:00:01 -net tap,ifname=t\n",
    ),
    (
        "bridge-link",
        "bridge -d link",
        "5: v@w: <UP,é> mtu 1500 master br0 state forwarding priority 32 cost 2 \n    hairpin off guard off v\n\
         6: t state UP @if7: <UP> mtu 1500 master br0 br0\n7: \u{1b}[36mq: \u{1b}[0m<UP> mtu 9 master é \n",
    ),
    (
        "bridge-link",
        "bridge -j link",
        "[{\"ifindex\":6,\"link\":\"b\",\"ifname\":\"é\",\"flags\":[\"UP\"],\"mtu\":1500,\"master\":\"br0\",\"cost\":2}]\n",
    ),
    (
        "bridge-vlan",
        "bridge -s vlan",
        "port              vlan-id\nbr0               1 PVID Egress Untagged\n                    RX: 2 bytes 3 packets\n                  \
         100-200 é\n                    state forwarding\nlo\tNone\nvx  2   1002\n",
    ),
    (
        "bridge-vlan",
        "bridge -j vlan",
        "[{\"ifname\":\"a\",\"vlans\":[{\"vlan\":1,\"vlanEnd\":4,\"flags\":[\"PVID\"]}]},{\"ifname\":\"é\"}]\n",
    ),
    (
        "bridge-fdb",
        "bridge fdb show dev é",
        "33:33:00:00:00:01 dev br0 self permanent\n00:00:00:00:00:02 dst 192.0.2.1 vlan 7 used 1/2 via é master master br0 sticky # é\n",
    ),
    (
        "bridge-fdb",
        "bridge -j fdb",
        "[{\"mac\":\"33:33:00:00:00:01\",\"ifname\":\"é\",\"dst\":\"::1\",\"viaIf\":\"x\",\"flags\":[\"self\"],\"state\":\"\"}]\n",
    ),
    (
        "brctl-show",
        "brctl show",
        "bridge name\tbridge id\t\tSTP enabled\tinterfaces\nbr0\t\t8000.c67808b20c2e\tno\t\té\n\t\t\t\t\t\t\ttap0\nbr18000.c67808b20c2eyes\n\
         br2\t\tcan't get info é\n",
    ),
];

/// Every `a..b` of the debug form of the records: the spans, as nothing else prints so.
fn spans(shown: &str) -> Vec<std::ops::Range<usize>> {
    let after = ["at: ", "span: "].map(|key| shown.split(key).skip(1));
    let range = |part: &str| {
        let (start, rest) = part.split_once("..")?;
        let end: String = rest.chars().take_while(char::is_ascii_digit).collect();
        Some(start.parse().ok()?..end.parse().ok()?)
    };
    after.into_iter().flatten().filter_map(range).collect()
}

fn check(id: &'static str, command: &str, text: &str) {
    let format = by_id(FormatId(id)).unwrap();
    let out = (format.read)(text, &Command::new(command));
    (format.sniff)(text);
    let context = format!("{command} over {text:?}");
    let lines = out.lines;
    assert_eq!(lines.total, lines.read + lines.ignored + lines.unread, "{context}");
    let printed = text.lines().filter(|line| !line.trim_end().is_empty()).count();
    assert_eq!(lines.total as usize, printed, "{context}");
    assert!(lines.unread == 0 || !out.problems.is_empty(), "silent: {context}");
    for problem in &out.problems {
        assert!(text.get(problem.span.range()).is_some(), "{problem:?} in {context}");
    }
    for span in spans(&format!("{:?}", out.records)) {
        assert!(text.get(span.clone()).is_some(), "{span:?} in {context}");
    }
}

#[test]
fn the_spans_of_whole_texts_are_found() {
    for (id, command, text) in CASES {
        check(id, command, text);
        let format = by_id(FormatId(id)).unwrap();
        let out = (format.read)(text, &Command::new(command));
        assert!(!out.records.is_empty(), "{command}: {:?}", out.problems);
        assert!(spans(&format!("{:?}", out.records)).len() > 1, "{command}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damaged_texts_are_read_to_the_end(
        which in 0..CASES.len(),
        edits in prop::collection::vec(
            (any::<prop::sample::Index>(), 0_usize..12, "\\PC{0,3}|[ \\n\\t<>'\"=,./:\u{1b}-]{0,3}"),
            1..6,
        ),
    ) {
        let (id, command, text) = CASES[which];
        let mut text = text.to_owned();
        for (at, length, put) in edits {
            let start = text.floor_char_boundary(at.index(text.len() + 1));
            let end = text.ceil_char_boundary((start + length).min(text.len()));
            text.replace_range(start..end, &put);
        }
        check(id, command, &text);
    }

    #[test]
    fn texts_cut_short_are_read_to_the_end(
        which in 0..CASES.len(),
        at in any::<prop::sample::Index>(),
    ) {
        let (id, command, text) = CASES[which];
        let end = text.floor_char_boundary(at.index(text.len() + 1));
        check(id, command, text.get(..end).unwrap());
    }
}
