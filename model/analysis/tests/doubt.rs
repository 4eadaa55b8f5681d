//! How sure a finding is that rests on what is missing: it depends on when the texts were taken,
//! and on whether more than one thing is missing.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test writes its inputs")]
use tapline_analysis::lint::{self, Confidence, Report};
use tapline_capture::{Input, Options};

const SHOW: &str = "\
0b7e4b5a-0000-4000-8000-000000000001
    Bridge br-tun
        Port vxlan-0a000002
            Interface vxlan-0a000002
                type: vxlan
                options: {local_ip=\"10.0.0.1\", remote_ip=\"10.0.0.2\"}
    ovs_version: \"2.17.0\"
";

/// No device has 10.0.0.1.
const ADDRESS: &str = "\
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN group default qlen 1000
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00 promiscuity 0
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc mq state UP group default qlen 1000
    link/ether 52:54:00:00:00:01 brd ff:ff:ff:ff:ff:ff promiscuity 0
    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0
       valid_lft forever preferred_lft forever
";

/// A second tunnel, from an address that is missing as well.
fn two_tunnels() -> String {
    let second = "        Port vxlan-0a000003
            Interface vxlan-0a000003
                type: vxlan
                options: {local_ip=\"10.0.0.9\", remote_ip=\"10.0.0.3\"}
    ovs_version";
    SHOW.replace("    ovs_version", second)
}

/// What the rule about missing tunnel sources finds and leaves open. `times` are those of
/// `ip -d address`, `ip netns` and `ovs-vsctl show`, in seconds.
fn judged(show: &str, times: [Option<f64>; 3]) -> Report {
    let folder = tempfile::tempdir().unwrap();
    let texts = [("ip_-d_address", ADDRESS), ("ip_netns", ""), ("ovs-vsctl_show", show)];
    for (name, text) in texts {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let input = Input::Path(folder.path().to_owned());
    let mut captured = tapline_capture::open(&[input], &Options::default()).unwrap();
    for source in &mut captured.sources {
        let at = texts.iter().position(|(name, _)| source.member.ends_with(name)).unwrap();
        source.taken = times.get(at).copied().flatten();
    }
    let read = tapline_formats::read(captured);
    let topology = tapline_topology::build(&read);
    let rule = lint::rules::ALL.iter().find(|rule| rule.code == "TUN-001").unwrap();
    lint::run(&topology, [rule], &lint::Settings::default())
}

/// How sure each missing tunnel source is, and what is said of the times.
fn found(show: &str, times: [Option<f64>; 3]) -> Vec<(Confidence, String)> {
    let report = judged(show, times);
    let about_times = |note: &&String| note.contains("captures were taken");
    let missing = report.findings.iter();
    missing
        .map(|finding| {
            let note = finding.notes.iter().find(about_times).cloned().unwrap_or_default();
            (finding.confidence, note)
        })
        .collect()
}

#[test]
fn what_may_have_come_between_two_texts_is_not_proven_to_be_missing() {
    let unknown =
        "when the captures were taken is not known: it may have come or gone between them";
    let apart = "the captures were taken 900 s apart: it may have come or gone between them";
    for (times, confidence, note) in [
        ([Some(0.0), Some(1.0), Some(2.0)], Confidence::Proven, ""),
        ([Some(0.0), Some(1.0), Some(900.0)], Confidence::Strong, apart),
        ([Some(0.0), Some(1.0), None], Confidence::Strong, unknown),
        ([None, None, None], Confidence::Strong, unknown),
    ] {
        assert_eq!(found(SHOW, times), [(confidence, note.to_owned())], "{times:?}");
    }
}

#[test]
fn several_things_do_not_go_missing_by_chance() {
    let found = found(&two_tunnels(), [None, None, None]);
    assert_eq!(found, [(Confidence::Proven, String::new()), (Confidence::Proven, String::new())]);
}

#[test]
fn what_stands_where_a_text_was_cut_is_not_decided() {
    let times = [Some(0.0), Some(1.0), Some(2.0)];
    // The address may go on, and so may the options.
    for (ends, decided) in [("ovs_version: \"2.17.0\"\n", true), ("10.0.0.2\"}", false)] {
        let (before, _) = SHOW.split_once(ends).unwrap();
        let report = judged(&format!("{before}{ends}"), times);
        assert_eq!(report.findings.len(), usize::from(decided), "{ends}");
        let needs: Vec<_> = report.cannot_tell.iter().flat_map(|open| &open.missing).collect();
        let needs: Vec<_> = needs.iter().map(ToString::to_string).collect();
        assert_eq!(needs.contains(&"ovs-vsctl show".to_owned()), !decided, "{needs:?}");
    }
}
