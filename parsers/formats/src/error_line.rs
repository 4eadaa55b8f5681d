//! Lines that stand in place of output: complaints of tools, shells, container engines and
//! `sudo`, in many languages, and the first lines of web pages and stack traces.
//!
//! Two degrees. [`surely`] takes lines that no format prints: it is asked before the format's own
//! reader, since some formats would take any word for a name. [`complaint`] takes looser words,
//! and is asked only about lines that the format itself did not understand.

use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

/// Beginnings of lines that no command of ours prints at the margin as data.
const BEGINNINGS: &[&str] = &[
    // Shells.
    "-bash: ",
    "-sh: ",
    "-ash: ",
    "-ksh: ",
    "-zsh: ",
    "ash: ",
    "bash: ",
    "csh: ",
    "dash: ",
    "fish: ",
    "ksh: ",
    "rbash: ",
    "sh: ",
    "tcsh: ",
    "zsh: ",
    "/bin/ash: ",
    "/bin/bash: ",
    "/bin/sh: ",
    "/usr/bin/bash: ",
    "/usr/bin/sh: ",
    "Command '",
    "No command '",
    "sudo apt ",
    "sudo apt-get ",
    "sudo dnf ",
    "sudo snap ",
    "sudo yum ",
    "apt install ",
    "apt-get install ",
    // Who may.
    "sudo: ",
    "su: ",
    "doas: ",
    "doas (",
    "pkexec ",
    "[sudo] ",
    "[sudo: ",
    "Sorry, try again",
    "Sorry, user ",
    "We trust you have received the usual lecture",
    "Password:",
    "password:",
    "This account is currently not available",
    "Error executing command as another user",
    // Ways to another machine.
    "ssh: ",
    "scp: ",
    "Connection to ",
    "Connection closed by ",
    "Connection reset by ",
    "Connection timed out",
    "Host key verification failed",
    "Permission denied",
    "Received disconnect from ",
    "Warning: Permanently added ",
    "The authenticity of host ",
    "kex_exchange_identification: ",
    "client_loop: ",
    "Shared connection to ",
    "@@@@@@@@@@@@@",
    // Containers and pods.
    "Cannot connect to the Docker daemon",
    "Emulate Docker CLI using podman",
    "Error from server",
    "Error in configuration: ",
    "Error response from daemon: ",
    "Error: ",
    "Got permission denied while ",
    "OCI runtime ",
    "FATA[",
    "The connection to the server ",
    "Unable to connect to the server",
    "command terminated with ",
    "container_linux.go",
    "docker: ",
    "exec failed: ",
    "kubectl: ",
    "crictl: ",
    "lxc: ",
    "podman: ",
    "unable to upgrade connection",
    "Unable to use a TTY",
    "the input device is not a TTY",
    // Programs around the command.
    "chroot: ",
    "env: ",
    "nice: ",
    "nohup: ",
    "nsenter: ",
    "timeout: ",
    "xargs: ",
    "watch: ",
    "runuser: ",
    // Interpreters.
    "Traceback (most recent call last)",
    "Fatal Python error",
    "panic: ",
    "Exception in thread ",
    "ERROR: ",
    "FATAL: ",
    "fatal: ",
    // Web pages.
    "<html",
    "<HTML",
    "<!DOCTYPE html",
    "<!doctype html",
    "<!DOCTYPE HTML",
    // The word for an error, as libvirt and others translate it.
    "Fehler: ",
    "fehler: ",
    "Erreur : ",
    "Erreur: ",
    "erreur : ",
    "erreur: ",
    "Errore: ",
    "errore: ",
    "Erro: ",
    "erro: ",
    "Fout: ",
    "fout: ",
    "Chyba: ",
    "chyba: ",
    "Fel: ",
    "fel: ",
    "Feil: ",
    "feil: ",
    "Fejl: ",
    "fejl: ",
    "Hiba: ",
    "hiba: ",
    "Hata: ",
    "hata: ",
    "Virhe: ",
    "virhe: ",
    "B\u{142}\u{105}d: ",
    "b\u{142}\u{105}d: ",
    "Ошибка: ",
    "ошибка: ",
    "Помилка: ",
    "помилка: ",
    "错误",
    "錯誤",
    "エラー",
    "오류",
];

/// Whole lines: what a shell says of a process that ended, and of a login that failed.
const WHOLE: &[&str] = &[
    "Killed",
    "Terminated",
    "Aborted",
    "Hangup",
    "Alarm clock",
    "Segmentation fault",
    "Segmentation fault (core dumped)",
    "Aborted (core dumped)",
    "Illegal instruction",
    "Bus error",
    "Broken pipe",
    "Cannot allocate memory",
    "Access denied",
    "Login incorrect",
    "FirewallD is not running",
    "Getötet",
    "Processus arrêté",
    "已杀死",
    "已终止",
    "強制終了",
    "Убито",
];

/// The line, shortened, if it stands in place of output whatever the command.
pub(crate) fn surely(line: &str) -> Option<String> {
    // Most lines end here, at one byte.
    let first = line.as_bytes().first()?;
    let Complaints { begin, whole } = BY_FIRST_BYTE.get(usize::from(*first))?;
    let begins = begin.iter().any(|start| line.starts_with(start));
    let is_whole = || whole.contains(&line);
    (begins && !is_column(line) || is_whole() || *first == b'e' && virsh(line))
        .then(|| shortened(line))
}

/// The complaints that begin with one byte.
#[derive(Clone, Debug, Default)]
struct Complaints {
    begin: Vec<&'static str>,
    whole: Vec<&'static str>,
}

/// The complaints by their first byte.
static BY_FIRST_BYTE: LazyLock<Vec<Complaints>> = LazyLock::new(|| {
    let with = |list: &[&'static str], byte: u8| {
        list.iter().copied().filter(|text| text.as_bytes().first() == Some(&byte)).collect()
    };
    let of = |byte| Complaints { begin: with(BEGINNINGS, byte), whole: with(WHOLE, byte) };
    (0..=u8::MAX).map(of).collect()
});

/// `error: "…"` and `Error: …` may be columns of a table.
fn is_column(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(_, value)| value.starts_with(['"', '{', '[']))
        && line.starts_with(['e', 'E'])
}

/// All complaints of virsh begin so; a value that OVS prints has quotes.
fn virsh(line: &str) -> bool {
    line.strip_prefix("error: ").is_some_and(|rest| !rest.starts_with('"'))
}

/// Words within a complaint of a tool, of the kernel or of a shell.
const SAYS: &[&str] = &[
    "command not found",
    "not found or not executable",
    "not found, but can be installed",
    "No such file or directory",
    "No such device",
    "no such device",
    "no device matches name",
    "does not exist",
    "Permission denied",
    "permission denied",
    "Operation not permitted",
    "Operation not supported",
    "operation not supported",
    "Invalid argument",
    "database connection failed",
    "is not a bridge or a socket",
    "server returned an error",
    "no such bridge",
    "no such bond",
    "no such lacp object",
    "no such bfd object",
    "version negotiation failed",
    "unrecognized option",
    "Name or service not known",
    "Temporary failure in name resolution",
    "failed to connect",
    "Failed to connect",
    "cannot connect",
    "Connection refused",
    "failed to get domain",
    "is unknown, try",
    "no stats available",
    "No data available",
    "no row \"",
    "unknown table \"",
    "Alarm clock",
    "timed out",
    "did not complete within",
    "failed to run command",
    "you must be root",
    "RTNETLINK answers",
    "Dump terminated",
    "Dump was interrupted",
    "Cannot open network namespace",
    "setting the network namespace",
    "Peer netns reference is invalid",
    "Cannot get ",
    "Message truncated",
    "\" is a garbage",
    "exec of ",
    "is not a bridge!",
    "netlink error:",
    "usage:",
    "Usage:",
    "Unknown command",
    "executable file not found",
    "Device not found",
    // `command not found` and its kin, as bash and the C library are translated.
    "未找到命令",
    "找不到命令",
    "没有那个文件或目录",
    "权限不够",
    "コマンドが見つかりません",
    "そのようなファイルやディレクトリはありません",
    "명령어를 찾을 수 없음",
    "명령을 찾을 수 없습니다",
    "commande introuvable",
    "Aucun fichier ou dossier de ce type",
    "Permission non accordée",
    "Kommando nicht gefunden",
    "Befehl nicht gefunden",
    "Datei oder Verzeichnis nicht gefunden",
    "Keine Berechtigung",
    "orden no encontrada",
    "No existe el archivo o el directorio",
    "Permiso denegado",
    "comando non trovato",
    "File o directory non esistente",
    "Permesso negato",
    "comando não encontrado",
    "Arquivo ou diretório inexistente",
    "Permissão negada",
    "команда не найдена",
    "Нет такого файла или каталога",
    "Отказано в доступе",
    "nie znaleziono polecenia",
    "příkaz nenalezen",
    "komut bulunamadı",
    "opdracht niet gevonden",
];

/// All of them at once: whoever looks for the format of a text asks this of the same few lines for
/// each format. `None` cannot be: there are too few words to be refused. The quickest kind to search
/// with takes longer to make than all searches in most reports.
static WORDS: LazyLock<Option<AhoCorasick>> = LazyLock::new(|| {
    let kind = Some(AhoCorasickKind::ContiguousNFA);
    AhoCorasick::builder().kind(kind).build(SAYS).ok()
});

/// Tools of which every line with their name in front is a complaint:
/// `ovs-ofctl: br-ex: …`, `iptables v1.8.9 (nf_tables): …`.
const NAMES: &[&str] = &[
    "ovs-ofctl: ",
    "ovs-appctl: ",
    "ovs-vsctl: ",
    "ovs-dpctl: ",
    "ovsdb-client: ",
    "ovn-nbctl: ",
    "ovn-sbctl: ",
    "sysctl: ",
    "iptables v",
    "iptables: ",
    "ip6tables v",
    "ip6tables: ",
    "ifconfig: ",
    "netstat: ",
    "arp: ",
    "route: ",
    "brctl: ",
    "ethtool: ",
    "virsh: ",
    "ip: ",
    "bridge: ",
    "nft: ",
    "lldpctl: ",
    "nmcli: ",
    "networkctl: ",
    "conntrack v",
    "ss: ",
    "teamdctl: ",
    "ufw: ",
    "cat: ",
    "ls: ",
];

/// The complaint of a tool or shell that stands in place of output: `bash: brctl: command not
/// found`, `Device "x" does not exist.`, `RTNETLINK answers: Operation not permitted`.
///
/// Gives the words that explain the failure. To be asked only about lines that the format itself
/// did not understand.
pub(crate) fn complaint(line: &str) -> Option<String> {
    // Inside a table the word is data.
    let virsh = line.starts_with("error: ");
    if let Some(words) = surely(line) {
        return Some(words);
    }
    let margin = !line.starts_with([' ', '\t']);
    let line = line.trim();
    // dash: `sh: 1: brctl: not found`.
    let shell = line.ends_with(": not found");
    let named = margin && NAMES.iter().any(|name| line.starts_with(name));
    (virsh || shell || named || WORDS.as_ref().is_some_and(|words| words.is_match(line)))
        .then(|| shortened(line))
}

/// Whether a complaint takes nothing away where output follows it: passwords that were asked for, what
/// ssh and wrappers of containers say before they work.
pub(crate) fn takes_nothing(complaint: &str) -> bool {
    const BEGINNINGS: &[&str] = &[
        "[sudo",
        "[sudo:",
        "Password:",
        "password:",
        "Sorry, try again",
        "We trust you have received the usual lecture",
        "Warning: Permanently added ",
        "Emulate Docker CLI using podman",
        "Connection to ",
        "Shared connection to ",
    ];
    BEGINNINGS.iter().any(|begin| complaint.starts_with(begin))
}

/// As much of a line as a reason may hold.
pub(crate) fn shortened(line: &str) -> String {
    line.trim().chars().take(200).collect()
}
