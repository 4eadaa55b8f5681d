//! Texts as terminals of other systems save them, and outputs that run into one another.
#![expect(clippy::disallowed_methods, reason = "tests write their inputs")]
#![expect(clippy::unwrap_used, reason = "a test may panic")]
use tapline_capture::{Input, Options, open};
use tapline_core::capture::Captured;

fn captured(name: &str, bytes: &[u8]) -> Captured {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    open(&[Input::Path(path)], &Options::default()).unwrap()
}

const SESSION: &str = "[root@node2 ~]# ip netns\nqdhcp-1\n[root@node2 ~]# brctl show\nbridge name\tbridge id\t\tSTP enabled\tinterfaces\n";

#[test]
fn marks_and_utf_16_are_taken_off() {
    let utf_16 = |unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        std::iter::once(0xfeff).chain(SESSION.encode_utf16()).flat_map(unit).collect()
    };
    let marked = format!("\u{feff}{SESSION}").into_bytes();
    for bytes in [marked, utf_16(u16::to_le_bytes), utf_16(u16::to_be_bytes)] {
        let captured = captured("session.txt", &bytes);
        let commands: Vec<_> =
            captured.sources.iter().map(|source| source.command.to_string()).collect();
        assert_eq!(commands, ["ip netns", "brctl show"]);
        assert_eq!(captured.sources.first().map(|source| source.text.as_str()), Some("qdhcp-1\n"));
    }
}

#[test]
fn outputs_that_run_together_are_told_apart_or_a_problem() {
    let text = format!(
        "{SESSION}[root@node2 ~]# ip netns; ip rule\nqdhcp-1\n0:\tfrom all lookup local\n\
         [root@node2 ~]# ip netns; virsh list --name\nqdhcp-1\nshop\n[root@node2 ~]# \n"
    );
    let captured = captured("session.txt", text.as_bytes());
    let texts: Vec<_> =
        captured.sources.iter().skip(2).map(|source| source.text.as_str()).collect();
    assert_eq!(texts, ["qdhcp-1\n", "0:\tfrom all lookup local\n"]);
    let problems: Vec<_> =
        captured.problems.iter().map(|problem| problem.message.as_str()).collect();
    assert_eq!(
        problems,
        ["line 8: the outputs of `ip netns`, `virsh list --name` run into one another and were \
          not read; paste one command at a time"]
    );
}
