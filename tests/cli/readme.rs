//! The transcript in README.md is what the program prints.
use crate::root;

const MARK: &str = "<!-- lint-node2 -->\n";

#[test]
fn the_transcript_is_true() {
    let path = root().join("README.md");
    let page = std::fs::read_to_string(&path).expect("README.md can be read");
    let ran = crate::command(["lint", "corpus/captures/node2"]).current_dir(root()).output();
    let ran: crate::Ran = ran.expect("the binary runs").into();
    let shown = format!(
        "{MARK}\n```console\n$ tapline lint corpus/captures/node2\n{}\n```\n",
        ran.out.trim_end()
    );
    let (before, rest) = page.split_once(MARK).expect("README.md has the mark");
    // The block ends with the next prose.
    let after = rest.split_once("\nEvery finding quotes").expect("README.md goes on").1;
    let wanted = format!("{before}{shown}\nEvery finding quotes{after}");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, wanted).expect("README.md can be written");
        return;
    }
    assert!(page == wanted, "out of date: UPDATE_DOCS=1 cargo test -p tapline readme");
}

const TRACE: &str = "<!-- trace-two-hosts -->\n";

#[test]
fn the_transcript_of_a_trace_is_true() {
    let path = root().join("README.md");
    let page = std::fs::read_to_string(&path).expect("README.md can be read");
    let args = [
        "trace",
        "corpus/sosreports/two-hosts/node1.tar.xz",
        "corpus/sosreports/two-hosts/node2.tar.xz",
        "vm:instance-00000102",
        "outside",
        "--reverse",
        "--format",
        "minimal",
    ];
    let ran: crate::Ran =
        crate::command(args).current_dir(root()).output().expect("the binary runs").into();
    let block =
        format!("{TRACE}\n```console\n$ tapline {}\n{}\n```\n", args.join(" "), ran.out.trim_end());
    assert!(page.contains(&block), "README.md should hold:\n{block}");
}
