//! What `tapline collect` leaves, with its list of what was run.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test writes its input")]
use std::fs;
use std::path::Path;

use tapline_capture::{Input, Options, open};
use tapline_core::capture::{Captured, Completeness, Source};
use tapline_core::ids::Netns;

const LIST: &str = "started\tseconds\tstatus\tfile\tcommand\n\
    1700000000\t0\t0\tip_netns_exec_blue_net_ip_rule\tip netns exec blue@net ip rule\n\
    1700000001\t9\t124\tip_-d_address\tip -d address\n\
    1700000010\t0\t1\tovs-vsctl_show\tovs-vsctl show\n\
    170000";

fn folder(list: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    write("commands.txt", list);
    write("ip_netns_exec_blue_net_ip_rule", "0:\tfrom all lookup local\n");
    write("ip_-d_address", "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN\n");
    write("ovs-vsctl_show", "");
    folder
}

fn read(path: &Path) -> Captured {
    open(&[Input::Path(path.to_owned())], &Options::default()).unwrap()
}

fn source<'a>(captured: &'a Captured, member: &str) -> &'a Source {
    captured.sources.iter().find(|source| source.member.ends_with(member)).unwrap()
}

#[test]
fn the_list_says_what_ran_when_and_how_it_ended() {
    let folder = folder(LIST);
    let captured = read(folder.path());
    assert_eq!(captured.sources.len(), 3, "{:?}", captured.problems);
    let rule = source(&captured, "ip_rule");
    // No name of a file keeps this.
    assert_eq!(rule.netns, Netns::Named("blue@net".into()));
    assert_eq!(rule.taken, Some(1_700_000_000.0));
    assert_eq!(rule.completeness, Completeness::Complete);
    let address = source(&captured, "address");
    assert!(matches!(address.completeness, Completeness::Partial(_)), "{address:?}");
    assert!(source(&captured, "show").completeness.is_failed());
}

#[test]
fn any_other_list_is_left_alone() {
    let folder = folder("ip rule\novs-vsctl show\n");
    let captured = read(folder.path());
    assert!(captured.sources.iter().all(|source| source.taken.is_none()));
    assert!(!captured.sources.iter().any(|source| source.member.ends_with("commands.txt")));
}
