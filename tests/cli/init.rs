//! `tapline init`, `man`, and an input without a command.
use super::{Folder, SESSION, run};

#[test]
fn a_configuration_is_written_once_and_sets_nothing() {
    let folder = Folder::new(&[("in/session.txt", SESSION)]);
    let (place, input) = (folder.join(""), folder.join("in/session.txt"));
    let ran = run(["init", &place]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(0), ""));
    assert!(ran.err.starts_with("wrote ") && ran.err.ends_with("tapline.yaml\n"), "{}", ran.err);
    let file = folder.path().join("tapline.yaml");
    let text = std::fs::read_to_string(&file).expect("it is there");
    assert!(text.lines().all(|line| line.starts_with('#')), "{text}");
    // As it is, it changes nothing but the line that names it.
    let ran = run(["lint", "--format", "json", &input]);
    assert_eq!(ran.json()["configuration"]["path"], file.display().to_string());
    let ran = run(["init", &place]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("is there already"), "{}", ran.err);
    assert_eq!(std::fs::read_to_string(&file).expect("it is there"), text);
    // Without a folder it is written here.
    let here = folder.path().join("in");
    let output = super::command(["init"]).current_dir(&here).output().expect("the binary runs");
    assert_eq!((output.status.code(), here.join("tapline.yaml").is_file()), (Some(0), true));
}

#[test]
fn an_input_alone_is_linted() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    assert_eq!(run([&path]).out, run(["lint", &path]).out);
    assert_eq!(run(["--all", &path]).out, run(["lint", "--all", &path]).out);
    let ran = run(["lnit", &path]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.err.contains("'lnit'") && ran.err.contains("'lint'"), "{}", ran.err);
    let ran = run(["sos.tar.xz"]);
    assert!(ran.err.contains("cannot read sos.tar.xz"), "{}", ran.err);
}

#[test]
fn pages_of_the_manual_are_of_the_grammar() {
    let ran = run(["man", "lint"]);
    assert_eq!(ran.code, Some(0));
    assert!(ran.out.starts_with(".ie") && ran.out.contains("tapline\\-lint"), "{}", ran.out);
    assert!(ran.out.contains("\\-\\-fail\\-on"), "{}", ran.out);
    assert!(run(["man"]).out.contains("tapline"));
    let ran = run(["man", "lnt"]);
    assert!(ran.err.contains("did you mean `lint`?"), "{}", ran.err);
}

#[test]
fn a_pager_is_for_terminals() {
    let folder = Folder::new(&[("session.txt", SESSION)]);
    let path = folder.join("session.txt");
    let ran = run(["lint", "--pager=false", &path]);
    assert_eq!(ran.out, run(["lint", &path]).out);
    let output = super::command(["lint", &path]).env("TAPLINE_PAGER", "false").output();
    let ran: super::Ran = output.expect("the binary runs").into();
    assert!(ran.out.contains("OVS-001"), "{}", ran.out);
    assert!(!ran.err.contains('\r'), "{}", ran.err);
}
