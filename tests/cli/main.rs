//! Tests of the commands: the built binary, small captures, an empty environment.
#![expect(clippy::disallowed_methods, reason = "tests write their inputs")]
#![expect(clippy::format_push_string, reason = "inputs are short; plain code reads better")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "what the tests share fails them"
)]
mod anonymize;
mod baseline;
mod browser;
mod ci_formats;
mod collect;
mod completions;
mod config;
mod coverage;
mod diff;
mod explain;
mod graph;
mod help;
mod identity;
mod info;
mod init;
mod inputs;
mod lint;
mod own_rules;
mod paths;
mod readme;
mod records;
mod report;
mod roots;
mod rules;
mod sarif_schema;
mod schema;
mod show;
mod snapshot;
mod trace;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

/// Root of the repository.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// What a run left behind.
#[derive(Debug)]
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Ran {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|why| panic!("not JSON: {why}\n{}\n{}", self.out, self.err))
    }

    /// Exit status and standard output, with the folder's path taken out.
    fn shown(&self, folder: &Folder) -> String {
        let path = folder.path().display().to_string();
        format!("{}\nexit status {:?}", self.out.replace(&path, "[DIR]").trim_end(), self.code)
    }
}

impl From<Output> for Ran {
    fn from(it: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("output is UTF-8");
        Self { code: it.status.code(), out: text(it.stdout), err: text(it.stderr) }
    }
}

/// Runs the binary in an environment without variables.
fn command<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> assert_cmd::Command {
    let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_tapline"));
    command.env_clear().args(args);
    command
}

fn run<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>) -> Ran {
    command(args).output().expect("the binary runs").into()
}

/// Runs with this text on standard input.
fn pipe<S: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = S>, text: &str) -> Ran {
    command(args).write_stdin(text).output().expect("the binary runs").into()
}

/// A folder of inputs that goes away with the test.
struct Folder(TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder"));
        for (name, text) in files {
            folder.add(name, text.as_bytes());
        }
        folder
    }

    fn add(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the folder")).expect("a folder");
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn join(&self, name: &str) -> String {
        self.path().join(name).display().to_string()
    }
}

/// The capture of a whole host in the corpus.
fn node2() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/captures/node2").to_owned()
}

/// A session on a host with one port that OVS could not make.
const SESSION: &str = "\
[root@lab7 ~]# ovs-vsctl show
0b7c1e52-31a0-4f0e-9d55-6a4f6a1b2c3d
    Bridge br-int
        fail_mode: secure
        Port br-int
            Interface br-int
                type: internal
        Port \"qvo11111111-11\"
            tag: 7
            Interface \"qvo11111111-11\"
                error: \"could not open network device qvo11111111-11 (No such device)\"
    ovs_version: \"2.5.0\"
[root@lab7 ~]# ip address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
2: eth0: <BROADCAST,MULTICAST,UP,LOWER_UP> mtu 1500 qdisc pfifo_fast state UP qlen 1000
    link/ether 52:54:00:aa:bb:01 brd ff:ff:ff:ff:ff:ff
    inet 192.0.2.7/24 brd 192.0.2.255 scope global eth0
       valid_lft forever preferred_lft forever
[root@lab7 ~]# ip netns
[root@lab7 ~]#
";

/// One device that is as it should be.
const HEALTHY: &str = "\
[root@lab8 ~]# ip address
1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue state UNKNOWN qlen 1
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00
    inet 127.0.0.1/8 scope host lo
       valid_lft forever preferred_lft forever
[root@lab8 ~]#
";

/// The names of the fields of an object, in order.
fn fields(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}
