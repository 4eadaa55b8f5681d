//! `tapline lint`.
use super::{Folder, HEALTHY, SESSION, fields, node2, run};

#[test]
fn a_fault_is_told_with_the_line_that_proves_it() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran = run(["lint", "--select", "OVS-001", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder), @r#"
    lab7: time of the capture not known · OVS 2.5.0

    1 warning
    W OVS-001 br-int/qvo11111111-11: OVS could not open the device: No such device  session.txt:11

    warning[OVS-001] lab7 · br-int/qvo11111111-11: OVS could not open the device: No such device
        ╭─[[DIR]/session.txt:11:25]
     11 │                 error: "could not open network device qvo11111111-11 (No such device)"
        ·                         ──────────────────────────────┬──────────────────────────────
        ·                                                       ╰── reported here
        ╰────
       not found: qvo11111111-11, qvb11111111-11 in ip address (2 links)
       note: which VM uses the port is not known: run virsh list --all, for n in $(virsh list --all --name); do echo "== $n"; virsh dumpxml "$n"; done
       next: ovs-vsctl list interface qvo11111111-11
       next: ip -d link show qvo11111111-11

    1 warning
    looked at lab7: 3 texts, 8 records; 2 devices in 1 namespace, 1 OVS bridge with 2 ports
    exit status Some(0)
    "#);
}

#[test]
fn a_clean_input_says_what_was_looked_at() {
    let folder = Folder::new(&[("session.txt", HEALTHY)]);
    let ran = run(["lint", &folder.join("session.txt")]);
    assert_eq!(ran.code, Some(0), "{}", ran.out);
    assert!(
        ran.out
            .contains("\nno faults found in what was captured\nlooked at lab8: 1 text, 1 record"),
        "{}",
        ran.out
    );
}

#[test]
fn the_exit_status_follows_fail_on() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    let with = |level: &str| run(["lint", "--select", "OVS-001", "--fail-on", level, &path]).code;
    // Nothing on the host uses the port: a rule may call that a warning.
    assert_eq!((with("info"), with("never")), (Some(1), Some(0)));
}

#[test]
fn json_has_the_fields_of_the_contract() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    let document = run(["lint", "--format", "json", "--select", "OVS-001", &path]).json();
    assert_eq!(document["schema"], "tapline.lint/1");
    for field in ["schema", "hosts", "findings", "cannot_tell", "problems"] {
        assert!(fields(&document).contains(&field), "{field}");
    }
    assert_eq!(document["hosts"][0]["host"], "lab7");
    assert_eq!(document["hosts"][0]["inputs"][0], path);
    let finding = &document["findings"][0];
    for field in [
        "code",
        "id",
        "severity",
        "confidence",
        "host",
        "netns",
        "object",
        "message",
        "evidence",
        "next",
        "fingerprint",
    ] {
        assert!(fields(finding).contains(&field), "{field}");
    }
    assert_eq!((&finding["code"], &finding["id"]), (&"OVS-001".into(), &"ovs-iface-error".into()));
    assert_eq!(finding["object"]["name"], "br-int/qvo11111111-11");
    let evidence = &finding["evidence"][0];
    for field in ["role", "archive", "member", "line", "end_line", "text", "command", "netns"] {
        assert!(fields(evidence).contains(&field), "{field}");
    }
    assert_eq!((&evidence["role"], &evidence["line"]), (&"primary".into(), &11.into()));
    let quoted = evidence["text"].as_str().expect("a text");
    assert_eq!(Some(quoted), SESSION.lines().nth(10));
}

#[test]
fn the_two_faults_of_node2_are_found() {
    let ran = run(["lint", "--format", "json", &node2()]);
    let document = ran.json();
    let findings = document["findings"].as_array().expect("an array");
    let told: Vec<_> = findings
        .iter()
        .map(|finding| {
            (finding["code"].as_str().unwrap(), finding["object"]["name"].as_str().unwrap())
        })
        .collect();
    for code in ["OVS-001", "OVS-002"] {
        assert!(told.contains(&(code, "br-int/qvoe0f204ea-12")), "{told:?}");
    }
}

#[test]
fn unknown_rules_are_told_with_a_guess() {
    let ran = run(["lint", "--select", "OVS-01", "x"]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("no rule is called `OVS-01`"), "{}", ran.err);
    assert!(ran.err.contains("did you mean `OVS-0"), "{}", ran.err);
}

#[test]
fn ignored_rules_do_not_fire() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    let ran = run(["lint", "--ignore", "ovs,CAP,VETH", "--format", "json", &path]);
    assert_eq!(ran.json()["findings"].as_array().map(Vec::len), Some(0), "{}", ran.out);
}

#[test]
fn quiet_leaves_out_the_summary() {
    let folder = Folder::new(&[("session.txt", HEALTHY)]);
    let ran = run(["lint", "-q", &folder.join("session.txt")]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
}

#[test]
fn colour_is_there_when_asked_for() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    assert!(run(["lint", "--color", "always", &path]).out.contains('\x1b'));
    assert!(!run(["lint", &path]).out.contains('\x1b'));
}

#[test]
fn escape_sequences_of_a_capture_are_made_harmless() {
    let session = SESSION.replace("(No such device)", "(\x1b]0;owned\x07No such device\u{202e})");
    let folder = Folder::new(&[("ovs-vsctl_show", session.split_once('\n').unwrap().1)]);
    let input = folder.join("");
    for command in [
        &["lint"][..],
        &["lint", "--format", "concise"],
        &["lint", "--format", "markdown"],
        &["coverage"],
        &["graph"],
        &["info"],
    ] {
        let ran = run(command.iter().copied().chain([input.as_str()]));
        let bad = ran.out.contains(['\x1b', '\x07', '\u{202e}']);
        assert!(!bad && !ran.out.is_empty(), "{command:?}: {:?} {}", ran.out, ran.err);
    }
    let ran = run(["show", &input, "qvo11111111-11"]);
    assert!(!ran.out.contains(['\x1b', '\x07', '\u{202e}']), "{:?}", ran.out);
    assert!(ran.out.contains("No such device"), "{}", ran.out);
}

#[test]
fn the_concise_form_is_one_line_a_root() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let ran =
        run(["lint", "--select", "OVS-001", "--format", "concise", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder), @"
    [DIR]/session.txt:11:25: OVS-001 warning: lab7 · br-int/qvo11111111-11: OVS could not open the device: No such device
    exit status Some(0)
    ");
    // A name of a capture that would end the line does not.
    let evil = SESSION.replace("(No such device)", "(a\u{2028}b\x0b)");
    let folder = Folder::new(&[("session.txt", &evil)]);
    let ran =
        run(["lint", "--select", "OVS-001", "--format", "concise", &folder.join("session.txt")]);
    assert_eq!(ran.out.lines().count(), 1, "{}", ran.out);
    assert!(!ran.out.contains(['\u{2028}', '\x0b']), "{:?}", ran.out);
}

#[test]
fn markdown_has_no_markup_of_a_capture() {
    let evil = SESSION.replace("(No such device)", "(<img src=x> @all [a](b) ``` | #1)");
    let folder = Folder::new(&[("session.txt", &evil)]);
    let ran =
        run(["lint", "--select", "OVS-001", "--format", "markdown", &folder.join("session.txt")]);
    insta::assert_snapshot!(ran.shown(&folder));
}

#[test]
fn the_worst_fault_stands_first_and_the_summary_fits_a_screen() {
    let faults = super::root().join("corpus/lab/faults").display().to_string();
    let ran = run(["lint", &faults]);
    let (summary, _) = ran.out.split_once("\n\nerror[").expect("details");
    assert!(summary.lines().count() <= 40, "{summary}");
    insta::assert_snapshot!(summary.replace(&faults, "[FAULTS]"));
}

#[test]
fn links_lead_to_the_file_and_hold_nothing_of_a_capture() {
    let folder = Folder::new(&[("a\x07 b/ovs-vsctl_show", SESSION.split_once('\n').unwrap().1)]);
    let args = ["lint", "--color", "always", "--format", "concise", &folder.join("")];
    let output = super::command(args).env("FORCE_HYPERLINK", "1").output();
    let ran: super::Ran = output.expect("the binary runs").into();
    let link = ran.out.split("\x1b]8;;").nth(1).expect("a link");
    let (target, text) = link.split_once("\x1b\\").expect("its end");
    assert!(
        target.starts_with("file:///") && target.ends_with("/a%07%20b/ovs-vsctl_show"),
        "{target}"
    );
    assert!(text.contains("/a␇ b/ovs-vsctl_show:"), "{text}");
    assert!(!ran.out.contains('\x07'), "{:?}", ran.out);
    // Who wants no colour gets no links either, and nobody gets them unasked.
    for args in [["lint", "--color", "never"], ["lint", "--color", "always"]] {
        let ran = run(args.into_iter().chain([folder.join("").as_str()]));
        assert!(!ran.out.contains("\x1b]8"), "{:?}", ran.out);
    }
}

#[test]
fn a_closed_pipe_leaves_the_exit_status() {
    use std::io::Read as _;
    use std::process::{Command, Stdio};
    let faults = super::root().join("corpus/lab/faults").display().to_string();
    for format in ["text", "json", "concise"] {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tapline"))
            .env_clear()
            .args(["lint", "--all", "--format", format, &faults])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        let mut out = child.stdout.take().expect("its output");
        out.read_exact(&mut [0; 1]).expect("a byte");
        drop(out);
        assert_eq!(child.wait().expect("an end").code(), Some(1), "{format}");
    }
}

#[test]
fn of_many_paths_those_that_are_not_broken_are_folded() {
    let many = super::root().join("corpus/lab/scale-500").display().to_string();
    let ran = run(["lint", "--paths", &many]);
    let (_, paths) = ran.out.split_once("\npaths of VMs and namespaces\n").expect("paths");
    assert!(paths.lines().count() < 100, "{paths}");
    assert!(paths.ends_with(" (--all lists them)\n"), "{paths}");
    let ran = run(["lint", "--paths", "--all", &many]);
    let (_, paths) = ran.out.split_once("\npaths of VMs and namespaces\n").expect("paths");
    assert!(paths.lines().count() > 500, "{paths}");
}
