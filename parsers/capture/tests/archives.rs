//! Archives of all kinds, whole and broken.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test"
)]
use std::io::Write as _;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use tapline_capture::{CaptureError, Input, Limits, Options, open};
use tapline_core::capture::{Captured, Completeness};
use tapline_core::outcome::ProblemKind;

const TABLE: &str = "bridge name\tbridge id\t\tSTP enabled\tinterfaces\n\
                     br0\t\t8000.c67808b20c2e\tno\t\teth0\n";

/// A small report of one host, with members that nothing reads.
fn report(host: &str) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    let top = format!("sosreport-{host}-x");
    let long = format!("{top}/var/log/{}/messages", "deep/".repeat(40));
    for (path, text) in [
        (format!("{top}/version.txt"), "sosreport: 4.2"),
        (format!("{top}/var/log/messages"), "noise\n"),
        (long, "noise\n"),
        (format!("{top}/sos_commands/host/hostname"), host),
        (format!("{top}/sos_strings/networking/brctl_show.tailed"), TABLE),
        (format!("{top}/sos_commands/networking/ip_netns"), "blue\n"),
        (format!("{top}/sos_commands/networking/ip_netns_exec_blue_ip_netns"), ""),
    ] {
        add(&mut tar, &path, text.as_bytes());
    }
    link(
        &mut tar,
        &format!("{top}/sos_commands/networking/brctl_show"),
        "../../sos_strings/networking/brctl_show.tailed",
    );
    link(&mut tar, &format!("{top}/brctl"), "sos_strings/networking/brctl_show.tailed");
    link(&mut tar, &format!("{top}/loop"), "loop");
    link(&mut tar, &format!("{top}/sos_commands/networking/ip_rule"), "../../../../../etc/passwd");
    tar.into_inner().unwrap()
}

fn add(tar: &mut tar::Builder<Vec<u8>>, path: &str, bytes: &[u8]) {
    let mut header = tar::Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    tar.append_data(&mut header, path, bytes).unwrap();
}

fn link(tar: &mut tar::Builder<Vec<u8>>, path: &str, target: &str) {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    tar.append_link(&mut header, path, target).unwrap();
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn bz2(bytes: &[u8]) -> Vec<u8> {
    let mut to = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn xz(bytes: &[u8]) -> Vec<u8> {
    let mut to = liblzma::write::XzEncoder::new(Vec::new(), 1);
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

/// Several blocks, their sizes in the headers, as `xz -T` writes them.
fn xz_blocks(bytes: &[u8]) -> Vec<u8> {
    let stream = liblzma::stream::MtStreamBuilder::new()
        .threads(2)
        .preset(1)
        .block_size(4096)
        .encoder()
        .unwrap();
    let mut to = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
    to.write_all(bytes).unwrap();
    to.finish().unwrap()
}

fn file(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

fn read(path: &Path) -> Result<Captured, CaptureError> {
    open(&[Input::Path(path.to_owned())], &Options::default())
}

fn read_bytes(bytes: &[u8]) -> Result<Captured, CaptureError> {
    let folder = tempfile::tempdir().unwrap();
    read(&file(folder.path(), "input", bytes))
}

/// Hosts and texts on one line each.
fn show(captured: &Captured) -> Vec<String> {
    captured
        .sources
        .iter()
        .map(|source| {
            let host = &captured.hosts[source.host.0 as usize].name;
            let member = source.member.rsplit('/').next().unwrap();
            format!("{host} {} {} {member}", source.netns, source.command)
        })
        .collect()
}

#[test]
fn every_compression_gives_the_same() {
    let tar = report("node1");
    let expected = [
        "node1 root hostname hostname",
        "node1 root brctl show brctl_show",
        "node1 root ip netns ip_netns",
        "node1 blue ip netns ip_netns_exec_blue_ip_netns",
    ];
    let twice = [xz(&tar[..3000]), xz(&tar[3000..])].concat();
    let members = [gz(&tar[..3000]), gz(&tar[3000..])].concat();
    for (name, bytes) in [
        ("tar", tar.clone()),
        ("gz", gz(&tar)),
        ("bz2", bz2(&tar)),
        ("xz", xz(&tar)),
        ("xz blocks", xz_blocks(&tar)),
        ("xz streams", twice),
        ("gz members", members),
        ("zst", zstd::encode_all(&tar[..], 1).unwrap()),
        ("tar.xz.gz", gz(&xz(&tar))),
    ] {
        let captured = read_bytes(&bytes).unwrap();
        assert_eq!(show(&captured), expected, "{name}");
        assert_eq!(captured.problems, [], "{name}");
        let tailed = &captured.sources[1];
        assert!(matches!(tailed.completeness, Completeness::Partial(_)), "{name}");
    }
}

#[test]
fn archives_in_archives_and_behind_each_other() {
    let mut outer = tar::Builder::new(Vec::new());
    add(&mut outer, "collect/sosreport-a.tar.xz", &xz(&report("a")));
    add(&mut outer, "collect/sosreport-b.tar.gz", &gz(&report("b")));
    add(&mut outer, "collect/checksums/a.md5", b"0123\n");
    let captured = read_bytes(&xz(&outer.into_inner().unwrap())).unwrap();
    let hosts: Vec<_> = captured.hosts.iter().map(|host| host.name.as_str()).collect();
    assert_eq!(hosts, ["a", "b"]);
    assert!(captured.sources[0].archive.ends_with("!collect/sosreport-a.tar.xz"));

    let joined = [xz(&report("a")), xz(&report("b"))].concat();
    let captured = read_bytes(&joined).unwrap();
    assert_eq!(captured.hosts.len(), 2);
    assert_eq!(captured.sources.len(), 8);
}

#[test]
fn the_list_of_sos_says_how_much_a_text_shows() {
    let judged = |status: &str, truncated: bool, text: &str| {
        let manifest = format!(
            r#"{{"components": {{"report": {{"plugins": {{"networking": {{"commands": [
                {{"exec": "brctl show", "filepath": "sos_commands/networking/brctl_show",
                  "return_code": {status}, "truncated": {truncated}}}]}}}}}}}}}}"#
        );
        let mut tar = tar::Builder::new(Vec::new());
        for (path, text) in [
            ("top/version.txt", "sosreport: 4.2"),
            ("top/sos_reports/manifest.json", &manifest),
            ("top/sos_commands/host/hostname", "node1"),
            ("top/sos_commands/networking/brctl_show", text),
        ] {
            add(&mut tar, path, text.as_bytes());
        }
        let captured = read_bytes(&tar.into_inner().unwrap()).unwrap();
        let source = captured.sources.iter().find(|source| source.member.ends_with("brctl_show"));
        source.unwrap().completeness.clone()
    };
    let partial = |why: &str| Completeness::Partial(why.to_owned());
    let failed = |why: &str| Completeness::Failed(why.to_owned());
    let cut = partial("head cut off: output was too long");
    for (status, truncated, text, expected) in [
        ("0", false, TABLE, Completeness::Complete),
        ("null", false, TABLE, Completeness::Complete),
        ("0", true, TABLE, cut.clone()),
        ("null", true, TABLE, cut.clone()),
        // What some tools return where a part of what they were asked for is not there.
        ("1", false, TABLE, Completeness::Complete),
        ("1", true, TABLE, cut),
        ("1", false, "", failed("no output, exit status 1")),
        ("124", false, TABLE, partial("the command timed out")),
        ("127", false, TABLE, failed("the command could not be run (exit status 127)")),
        ("137", true, TABLE, partial("the command was killed (exit status 137)")),
    ] {
        assert_eq!(judged(status, truncated, text), expected, "{status} {truncated} {text:?}");
    }
}

#[test]
fn a_cut_archive_gives_what_is_left() {
    let tar = report("node1");
    for whole in [tar.clone(), xz(&tar), gz(&tar), bz2(&tar)] {
        for at in (0..whole.len()).step_by(97) {
            match read_bytes(&whole[..at]) {
                Ok(captured) => assert!(!captured.sources.is_empty()),
                Err(error) => assert!(matches!(error, CaptureError::Nothing { .. }), "{error}"),
            }
        }
    }
    let captured = read_bytes(&tar[..tar.len() / 2]).unwrap();
    assert!(captured.problems.iter().any(|problem| problem.kind == ProblemKind::Container));
}

#[test]
fn a_damaged_header_loses_one_member() {
    let mut tar = report("node1");
    let at = tar.windows(8).position(|pair| pair == b"hostname").unwrap();
    tar[at..at + 8].copy_from_slice(b"HOSTNAME");
    let captured = read_bytes(&tar).unwrap();
    assert_eq!(captured.sources.len(), 3);
    assert!(captured.problems.iter().any(|problem| problem.message.contains("damaged")));
}

#[test]
fn limits_are_told_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "x.tar", &report("node1"));
    let mut zeros = tar::Builder::new(Vec::new());
    add(&mut zeros, "top/sos_commands/networking/brctl_show", TABLE.as_bytes());
    add(&mut zeros, "top/var/log/journal", &vec![0; 80 << 20]);
    let zeros = file(folder.path(), "zeros.gz", &gz(&zeros.into_inner().unwrap()));
    let mut deep = report("deep");
    for _ in 0..7 {
        let mut tar = tar::Builder::new(Vec::new());
        add(&mut tar, "in.tar", &deep);
        deep = tar.into_inner().unwrap();
    }
    let deep = file(folder.path(), "deep.tar", &deep);
    let of = |path: &Path, limits: Limits| {
        let options = Options { limits, ..Options::default() };
        match open(&[Input::Path(path.to_owned())], &options) {
            Ok(captured) => captured
                .problems
                .iter()
                .map(|problem| problem.message.clone())
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => error.to_string(),
        }
    };
    let all = Limits::default();
    assert!(of(&path, Limits { members: 7, ..all }).contains("--max-members"));
    assert!(of(&path, Limits { member_bytes: 20, ..all }).contains("--max-member-size"));
    assert!(of(&path, Limits { kept_bytes: 200, ..all }).contains("--max-kept-size"));
    assert!(of(&zeros, Limits { ratio: 10, ..all }).contains("--max-ratio"));
    // Texts of one byte, over and over, are no reports: xz makes 1 of 6,800 of them.
    let bomb = file(folder.path(), "bomb.xz", &xz(&vec![b'a'; 80 << 20]));
    assert!(of(&bomb, all).contains("--max-ratio"), "{}", of(&bomb, all));
    assert!(of(&deep, all).contains("--max-nesting"));
}

#[test]
fn hostile_paths_and_sizes_do_no_harm() {
    let mut tar = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(5);
    header.as_gnu_mut().unwrap().name[..21].copy_from_slice(b"../../../brctl_show.x");
    header.set_cksum();
    tar.append(&header, &b"evil\n"[..]).unwrap();
    add(&mut tar, "n/brctl_show", TABLE.as_bytes());
    let mut huge = tar::Header::new_gnu();
    huge.set_path("n/ip_netns").unwrap();
    huge.set_size(u64::MAX / 2);
    huge.set_cksum();
    let mut bytes = tar.into_inner().unwrap();
    bytes.truncate(bytes.len() - 1024);
    bytes.extend_from_slice(huge.as_bytes());
    let captured = read_bytes(&bytes).unwrap();
    assert_eq!(show(&captured), ["n root brctl show brctl_show"]);
    assert!(!captured.problems.is_empty());
}

#[test]
fn pax_names_are_read() {
    let mut tar = tar::Builder::new(Vec::new());
    let path = format!("{}/brctl_show", "long".repeat(60));
    tar.append_pax_extensions([("path", path.as_bytes()), ("mtime", b"1.5")]).unwrap();
    add(&mut tar, "short", TABLE.as_bytes());
    let captured = read_bytes(&tar.into_inner().unwrap()).unwrap();
    assert_eq!(&*captured.sources[0].member, path);
}

#[test]
fn folders_of_several_hosts() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    file(at, "README.md", b"# brctl show\n");
    file(at, "a/brctl show.txt", TABLE.as_bytes());
    file(at, "a/photo.png", b"\x89PNG\r\n\x1a\n");
    file(at, "b/hostname", b"bee.example.org\n");
    file(at, "b/brctl_show", TABLE.as_bytes());
    file(at, "b/strange name", TABLE.as_bytes());
    file(at, "b/etc/machine-id", b"d22e39617b3341ccbc225ca6ee6a973d\n");
    file(at, "c.tar.gz", &gz(&report("c")));
    let session = format!("[root@dee ~]# brctl show\n{TABLE}[root@dee ~]# \n");
    file(at, "notes.txt", session.as_bytes());
    let captured = read(at).unwrap();
    let hosts: Vec<_> = captured
        .hosts
        .iter()
        .enumerate()
        .map(|(n, it)| {
            let texts =
                captured.sources.iter().filter(|source| source.host.0 as usize == n).count();
            (it.name.as_str(), it.machine_id.is_some(), texts)
        })
        .collect();
    assert_eq!(hosts, [("a", false, 1), ("bee", true, 4), ("c", false, 4), ("dee", false, 1)]);
    let ids: Vec<_> = captured.sources.iter().map(|source| source.id.0).collect();
    assert_eq!(ids, (0..10).collect::<Vec<_>>());
}

#[test]
fn outputs_beside_each_other_are_of_one_host() {
    let folder = tempfile::tempdir().unwrap();
    let paths = ["x/brctl show.txt", "x/ovs-vsctl_show", "y/brctl_show", "y/one.txt", "y/two.txt"];
    // Two answers to one question are of two hosts.
    let show = "6a7b8c9d-2e3f-4a4b-8c5d-6e7f8a9b0c1d\n    Bridge br-int\n        Port br-int\n";
    let inputs = paths.map(|path| {
        let text = if path.contains("ovs") { show } else { TABLE };
        Input::Path(file(folder.path(), path, text.as_bytes()))
    });
    let captured = open(&inputs, &Options::default()).unwrap();
    let hosts: Vec<_> =
        captured.hosts.iter().map(|host| (host.name.as_str(), host.inputs.len())).collect();
    assert_eq!(hosts, [("brctl_show", 1), ("one", 1), ("two", 1), ("x", 2)]);
}

#[test]
fn nothing_is_said_clearly() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let pictures = folder.path().join("pictures");
    file(&pictures, "a.bin", b"\x89PNG\r\n\x1a\n");
    file(&pictures, "b.png", b"\x89PNG\r\n\x1a\n");
    let zip = file(folder.path(), "x.zip", b"PK\x03\x04rest");
    let line = file(folder.path(), "line", &vec![b'x'; 20 << 20]);
    for (path, says) in [(empty, "empty"), (pictures, "files"), (zip, "zip"), (line, "no command")]
    {
        let error = read(&path).unwrap_err();
        assert!(matches!(error, CaptureError::Nothing { .. }));
        assert!(error.to_string().contains(says), "{error}");
        assert!(error.to_string().contains("--as"), "{error}");
    }
    let gone = read(Path::new("/nonexistent/x")).unwrap_err();
    assert!(matches!(gone, CaptureError::Io { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn damaged_archives_never_panic(
        at in 0_usize..10_000,
        byte in any::<u8>(),
        kind in 0..3,
    ) {
        let tar = report("node1");
        let mut bytes = match kind {
            0 => tar,
            1 => xz(&tar),
            _ => gz(&tar),
        };
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = read_bytes(&bytes);
    }

    #[test]
    fn random_sessions_never_panic(text in "([#$>\\[\\]@:~ a-z\\-|;'\"\n\t.]|ip a|root@h|\u{1b}\\[){0,200}") {
        let _ = read_bytes(text.as_bytes());
    }
}
