//! `tapline collect`: the script is run for real, on whatever machine this is.
use std::process::Command;

use super::{Folder, run};

/// The shells of this machine that read POSIX sh.
fn shells() -> Vec<Vec<&'static str>> {
    let all = [vec!["sh"], vec!["dash"], vec!["busybox", "sh"], vec!["bash", "--posix"]];
    all.into_iter().filter(|it| status(it, &["-c", ":"]) == Some(true)).collect()
}

fn status(shell: &[&str], args: &[&str]) -> Option<bool> {
    let (program, rest) = shell.split_first()?;
    let output = Command::new(program).args(rest).args(args).output().ok()?;
    Some(output.status.success())
}

#[test]
fn the_script_is_plain_sh() {
    let script = run(["collect"]).out;
    let folder = Folder::new(&[("collect.sh", &script)]);
    for shell in shells() {
        assert_eq!(status(&shell, &["-n", &folder.join("collect.sh")]), Some(true), "{shell:?}");
    }
    for bashism in ["[[", "function ", "local ", "&>", "<<<", "echo -e", "$RANDOM", "source "] {
        assert!(!script.contains(bashism), "{bashism}");
    }
}

#[test]
fn the_script_changes_nothing() {
    let script = run(["collect"]).out;
    for line in script.lines().map(str::trim).filter(|text| !text.starts_with('#')) {
        for verb in [" add ", " del", " set ", " flush", " -w ", " -A ", "kill", "restart", "mount"]
        {
            assert!(!line.contains(verb), "{line}");
        }
        // Whatever is written is below its own folder, or the archive.
        for (_, target) in line.match_indices('>').filter_map(|(at, _)| line.split_at_checked(at)) {
            let target = target.trim_start_matches('>');
            let own = ["\"$there/", "&1", "&2", "/dev/null"];
            assert!(own.iter().any(|own| target.starts_with(own)), "{line}");
        }
    }
    let words = script.split(|c: char| !c.is_ascii_alphanumeric());
    assert_eq!(words.filter(|word| *word == "rm").count(), 1);
    assert!(script.contains("trap 'rm -rf \"$work\"' EXIT"));
}

/// Runs the script with this `PATH`, and gives the archive that it left.
#[expect(clippy::print_stdout, reason = "a test says what it skips")]
fn gathered(path: Option<&str>) -> Option<(Folder, String)> {
    let folder = Folder::new(&[("collect.sh", &run(["collect"]).out)]);
    let mut command = Command::new("/bin/sh");
    command.arg(folder.join("collect.sh")).arg(folder.path()).env("TAPLINE_LIMIT", "5");
    if let Some(path) = path {
        command.env("PATH", path);
    }
    let Ok(output) = command.output() else {
        println!("skipped: no sh");
        return None;
    };
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    if err.contains("tar: not found") || err.contains("tar: command not found") {
        println!("skipped: no tar");
        return None;
    }
    assert!(output.status.success(), "{err}");
    assert!(err.contains(" captures, "), "{err}");
    let archive = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Some((folder, archive))
}

#[test]
fn what_it_gathers_is_read_back() {
    let Some((_folder, archive)) = gathered(None) else { return };
    let coverage = run(["coverage", "--format", "json", &archive]);
    assert_eq!(coverage.code, Some(0), "{}", coverage.err);
    let document = coverage.json();
    assert_eq!(document["hosts"].as_array().map(Vec::len), Some(1));
    let texts = document["hosts"][0]["texts"].as_array().cloned().unwrap_or_default();
    let of = |command: &str| texts.iter().find(|text| text["command"] == command);
    assert_eq!(of("uname -a").map(|line| &line["state"]), Some(&"complete".into()));
    assert!(of("ip -d address").is_some() && of("ovs-vsctl -t 10 list Port").is_some());
    // The list of what was run is none of the texts.
    assert!(texts.iter().all(|text| text["member"] != "commands.txt"));
    let lint = run(["lint", "--fail-on", "never", &archive]);
    assert_eq!(lint.code, Some(0), "{}", lint.err);
}

#[test]
fn it_succeeds_where_no_tool_is() {
    // Only what a script cannot do without.
    let folder = Folder::new(&[]);
    let bin = folder.path().join("bin");
    for tool in ["sh", "tar", "sed", "date", "mkdir", "mktemp", "rm", "dirname", "uname", "ls"] {
        let found = ["/bin", "/usr/bin"].map(|word| std::path::Path::new(word).join(tool));
        let Some(real) = found.iter().find(|found| found.exists()) else {
            eprintln!("skipped: no {tool}");
            return;
        };
        std::fs::create_dir_all(&bin).expect("a folder");
        std::os::unix::fs::symlink(real, bin.join(tool)).expect("a link");
    }
    let Some((_folder, archive)) = gathered(bin.to_str()) else { return };
    let coverage = run(["coverage", &archive]);
    assert_eq!(coverage.code, Some(0), "{}", coverage.err);
}
