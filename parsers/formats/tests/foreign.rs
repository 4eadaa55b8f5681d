//! What is not theirs: every format is given the corpus of every other format, and lines that
//! stand in place of output. Nothing of it may become a record in silence.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::disallowed_methods, reason = "tests read the corpus from files")]
use std::fs;
use std::path::{Path, PathBuf};

use tapline_core::capture::{Command, Completeness};
use tapline_core::outcome::ProblemKind;
use tapline_formats::registry::{FORMATS, Format};

/// Complaints of shells, `sudo`, container engines, remote shells, libvirt and others.
const ERRORS: &[&str] = &[
    "bash: virsh: command not found",
    "-bash: ovs-vsctl: command not found",
    "bash: line 1: brctl: command not found",
    "sh: 1: brctl: not found",
    "/bin/sh: ovs-vsctl: not found",
    "zsh: command not found: ip",
    "fish: Unknown command: ip",
    "ksh: nft: not found [No such file or directory]",
    "bash: ip: 未找到命令",
    "bash: virsh: コマンドが見つかりません",
    "bash: virsh: 명령어를 찾을 수 없음",
    "-bash: virsh : commande introuvable",
    "bash: virsh: Kommando nicht gefunden.",
    "bash: virsh: orden no encontrada",
    "bash: virsh: comando non trovato",
    "bash: virsh: comando não encontrado",
    "bash: virsh: команда не найдена",
    "bash: virsh: nie znaleziono polecenia",
    "bash: /usr/sbin/ip: Permission denied",
    "bash: /usr/sbin/ip: Keine Berechtigung",
    "Command 'virsh' not found, but can be installed with:\n\nsudo apt install libvirt-clients\n",
    "Command 'brctl' not found, but can be installed with:\nsudo apt install bridge-utils",
    "sudo: a password is required",
    "sudo: a terminal is required to read the password; either use the -S option to read from standard input",
    "sudo: virsh: command not found",
    "sudo: unable to resolve host kiln: Name or service not known",
    "[sudo] password for kim: ",
    "[sudo] Passwort für kim: ",
    "Sorry, user kim is not allowed to execute '/usr/bin/virsh list' as root on kiln.",
    "kim is not in the sudoers file.  This incident will be reported.",
    "Error: No such container: nova_libvirt",
    "Error response from daemon: No such container: ovs",
    "Error response from daemon: Container 4f1 is not running",
    "Error: no container with name or ID \"ovs\" found: no such container",
    "Error: can only create exec sessions on running containers: container state improper",
    "Error from server (NotFound): pods \"ovs-11\" not found",
    "Error from server (Forbidden): pods is forbidden: User \"kim\" cannot list resource",
    "error: unable to upgrade connection: container not found (\"ovs\")",
    "Unable to connect to the server: dial tcp 192.0.2.1:6443: i/o timeout",
    "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
    "command terminated with exit code 127",
    "OCI runtime exec failed: exec failed: unable to start container process: exec: \"ip\": executable file not found in $PATH: unknown",
    "OCI runtime error: crun: executable file `ip` not found in $PATH: No such file or directory",
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
    "Got permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock",
    "nsenter: failed to execute ip: No such file or directory",
    "timeout: failed to run command 'ip': No such file or directory",
    "Connection to kiln closed.",
    "Connection closed by 192.0.2.1 port 22",
    "ssh: connect to host kiln port 22: No route to host",
    "ssh: Could not resolve hostname kiln: Name or service not known",
    "Host key verification failed.",
    "kim@kiln: Permission denied (publickey,password).",
    "Warning: Permanently added 'kiln' (ED25519) to the list of known hosts.",
    "This account is currently not available.",
    "error: failed to connect to the hypervisor\nerror: authentication unavailable: no polkit agent available",
    "Fehler: Verbindung zum Hypervisor scheiterte",
    "错误：连接到管理程序失败",
    "エラー: ハイパーバイザーへの接続に失敗しました",
    "erreur : Échec lors de la connexion à l'hyperviseur",
    "ovs-vsctl: unix:/var/run/openvswitch/db.sock: database connection failed (No such file or directory)",
    "2026-01-02T03:04:05Z|00001|unixctl|WARN|failed to connect to /var/run/openvswitch/ovs-vswitchd.1.ctl",
    "RTNETLINK answers: Operation not permitted",
    "Cannot open network namespace \"blue\": No such file or directory",
    "Killed",
    "Segmentation fault (core dumped)",
    "Traceback (most recent call last):\n  File \"/usr/bin/collect\", line 3, in <module>\n    import collect\nImportError: No module named collect",
    "<html><head><title>404 Not Found</title></head><body>gone</body></html>",
    "<!DOCTYPE html>\n<html>\n<body>\n<p>Sign in</p>\n</body>\n</html>",
    "Dear all,\nthe network is slow since Monday. Could you have a look?\nThanks, Kim",
];

/// Formats whose texts are of one kind: each reads the other's.
const KIN: &[&[&str]] = &[
    &["ip-address", "ip-link"],
    &["ip-route", "ip-route-get"],
    &["ovs-vsctl-list", "ovsdb-client-dump"],
    &["ovs-appctl-bfd-show", "ovs-appctl-bond-show", "ovs-appctl-lacp-show"],
];

fn are_kin(a: &str, b: &str) -> bool {
    KIN.iter().any(|family| family.contains(&a) && family.contains(&b))
}

/// What is wrong with how `format` takes `text`, which is none of its own.
fn taken(format: &Format, text: &str) -> Option<String> {
    let command = Command::new(format.command);
    let out = (format.read)(text, &command);
    let account = out.lines.read + out.lines.ignored + out.lines.unread == out.lines.total;
    if !account {
        return Some("the account of lines does not add up".to_owned());
    }
    (!out.records.is_empty() && out.problems.is_empty() && out.completeness.is_complete())
        .then(|| format!("{} records of {}", out.records.len(), out.records.kind()))
}

#[test]
fn an_error_in_place_of_output_is_a_failed_capture() {
    let mut wrong = Vec::new();
    for format in FORMATS {
        for text in ERRORS {
            for end in ["\n", ""] {
                let text = format!("{text}{end}");
                let out = (format.read)(&text, &Command::new(format.command));
                if !out.records.is_empty() || !out.completeness.is_failed() {
                    let first = text.lines().next().unwrap();
                    let what = format!("{} records, {:?}", out.records.len(), out.completeness);
                    wrong.push(format!("{} takes {first:?}: {what}", format.id));
                    break;
                }
                if let Completeness::Failed(reason) = &out.completeness {
                    assert!(!reason.is_empty(), "{} gives no reason", format.id);
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_complaint_among_output_is_a_problem_and_the_output_is_kept() {
    let format = FORMATS.iter().find(|format| format.id.0 == "ip-netns").unwrap();
    let text =
        "Warning: Permanently added 'kiln' (ED25519) to the list of known hosts.\nblue\nred\n";
    let out = (format.read)(text, &Command::new("ip netns"));
    assert_eq!(out.records.len(), 2);
    assert_eq!(out.problems.first().map(|problem| problem.kind), Some(ProblemKind::ToolError));
}

#[test]
fn output_of_another_command_becomes_no_record_in_silence() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/formats");
    let mut wrong = Vec::new();
    for folder in folders(&corpus) {
        let owner = folder.file_name().unwrap().to_str().unwrap().to_owned();
        for file in files(&folder) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            // One word alone may be the name of a host or of a namespace; large texts say
            // nothing that small ones do not.
            let words = |line: &str| line.split_whitespace().count();
            let list = text.lines().all(|line| words(line) < 2);
            if text.split_whitespace().count() < 2 || text.len() > 20_000 {
                continue;
            }
            for format in FORMATS {
                let id = format.id.0;
                if id == owner || are_kin(id, &owner) || list && id == "ip-netns" {
                    continue;
                }
                if let Some(what) = taken(format, &text) {
                    let name = file.file_name().unwrap().to_str().unwrap();
                    wrong.push(format!("{id} takes {owner}/{name}: {what}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn texts_that_are_cut_anywhere_are_accounted_for() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/formats");
    for folder in folders(&corpus) {
        let owner = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let Some(format) = FORMATS.iter().find(|format| format.id.0 == owner) else { continue };
        for file in files(&folder) {
            let Ok(text) = fs::read_to_string(&file) else { continue };
            if text.len() > 1200 {
                continue;
            }
            for end in (0..text.len()).step_by(3).filter(|at| text.is_char_boundary(*at)) {
                let part = text.get(..end).unwrap();
                let out = (format.read)(part, &Command::new(format.command));
                let sum = out.lines.read + out.lines.ignored + out.lines.unread;
                assert_eq!(sum, out.lines.total, "{owner}: {part}");
                assert!(
                    out.problems.iter().all(|problem| part.get(problem.span.range()).is_some())
                );
            }
        }
    }
}

fn folders(root: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = fs::read_dir(root)
        .unwrap()
        .map(|item| item.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    all.sort();
    all
}

/// The texts of a format: not their metadata, not their snapshots.
fn files(folder: &Path) -> Vec<PathBuf> {
    let is_text = |it: &PathBuf| {
        !matches!(it.extension().and_then(|extension| extension.to_str()), Some("yaml" | "snap"))
    };
    let mut all: Vec<_> =
        fs::read_dir(folder).unwrap().map(|item| item.unwrap().path()).filter(is_text).collect();
    all.sort();
    all
}
