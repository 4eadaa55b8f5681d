//! Command lines as people and tools write them, down to what the registry knows.
//!
//! Gone afterwards: `sudo`, environment, `timeout 5`, absolute paths, redirections, colour
//! switches. Moved to where they belong: the namespace of `ip netns exec NS`, `ip -n NS` and
//! `nsenter`, the host of `ssh`, the container of `docker exec`, and what a pipe does to the
//! output.
mod enter;
pub(crate) mod looped;
pub(crate) mod opens;
mod programs;
mod shell;

use tapline_core::capture::Command;
use tapline_core::ids::Netns;
use tapline_core::need::quote;
use tapline_core::outcome::FILTERED;

pub(crate) use enter::runs_elsewhere;
use enter::{
    Ip, behind_dashes, ctr, followed, in_container, ip, mnexec, netns_option, nsenter, on_machine,
    recorded, run_in_container, run_in_pod, unit,
};
pub(crate) use enter::{container_netns, pod};
pub(crate) use programs::{has_any as has_any_program, may_begin};

/// One command of a line, unwrapped.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Invocation {
    /// Program and arguments.
    pub(crate) command: Command,
    /// Where it ran.
    pub(crate) netns: Netns,
    /// The host, where the line names one: `ssh HOST command`.
    pub(crate) host: Option<String>,
    /// What a pipe takes away.
    pub(crate) partial: Option<String>,
    /// The output went to a file: nothing of it is on the screen.
    pub(crate) elsewhere: bool,
    /// What it complains of goes to a file: that nothing was printed tells nothing then.
    pub(crate) hushed: bool,
    /// It ran once in each namespace: `ip -all netns exec`.
    pub(crate) everywhere: bool,
    /// The line, where a pipe makes another text of the output: `ip a | wc -l`.
    pub(crate) reshaped: Option<String>,
}

impl Invocation {
    /// A copied file.
    pub(crate) fn file(path: &str) -> Self {
        Self {
            command: Command { argv: vec!["cat".to_owned(), path.to_owned()] },
            ..Self::default()
        }
    }
}

/// The commands of one line that print something, in order. Empty for what is no command line, or
/// one whose output cannot be told apart, such as a loop.
pub(crate) fn parse(line: &str) -> Vec<Invocation> {
    parse_within(line, 0)
}

fn parse_within(line: &str, depth: u8) -> Vec<Invocation> {
    if depth > DEEPEST {
        return Vec::new();
    }
    if let Some(inner) = shell::group(line) {
        return parse_within(inner, depth + 1);
    }
    let Some(list) = shell::split(line) else { return Vec::new() };
    if let [pipeline] = list.as_slice()
        && let [stage] = pipeline.as_slice()
        && let Some(script) = script_of(&stage.words)
    {
        let mut all = parse_within(script, depth + 1);
        // One command is taken out of its wrapping below.
        if all.len() > 1 {
            // Where they ran says what stands before.
            let mut words = stage.words.clone();
            words.pop();
            words.push("true".to_owned());
            let outer = unwrap(&words).unwrap_or_default();
            for one in &mut all {
                one.host = one.host.take().or_else(|| outer.host.clone());
                if one.netns.is_root() {
                    one.netns = outer.netns.clone();
                }
                one.elsewhere |= stage.elsewhere;
                one.hushed |= stage.hushed;
            }
            return all;
        }
    }
    let all: Vec<_> = list.iter().filter_map(|list| pipeline(list)).collect();
    // A command that prints nothing does not matter to the others.
    let loud = all.iter().filter(|it| !is_silent(it)).cloned().collect::<Vec<_>>();
    if loud.is_empty() { all } else { loud }
}

/// Lines within lines: `sh -c "sh -c '…'"`.
const DEEPEST: u8 = 8;

/// The commands that a shell or another host is given in one word.
fn script_of(words: &[String]) -> Option<&str> {
    let (script, before) = words.split_last()?;
    let (last, wrapping) = before.split_last()?;
    if is_c(last) && matches!(base(wrapping.last()?), "bash" | "sh" | "zsh" | "dash" | "ash") {
        return Some(script);
    }
    let is_ssh = wrapping.iter().any(|word| base(word) == "ssh");
    (is_ssh && !last.starts_with('-') && script.contains(' ')).then_some(&**script)
}

/// The only command of a line whose output is on the screen; several together cannot be told apart.
pub(crate) fn parse_one(line: &str) -> Option<Invocation> {
    let mut all = parse(line);
    if all.len() == 1 { all.pop().filter(|run| run.reshaped.is_none()) } else { None }
}

/// The first command of a pipeline, with what the others do to its output.
fn pipeline(stages: &[shell::Stage]) -> Option<Invocation> {
    let (first, rest) = stages.split_first()?;
    let mut found = unwrap(&first.words)?;
    found.elsewhere |= first.elsewhere;
    found.hushed |= first.hushed;
    for stage in rest {
        match stage.words.first().map(|word| base(word))? {
            "cat" | "less" | "more" | "most" | "tee" | "column" | "json_pp" | "sudo"
            | "ansi2txt" | "dos2unix" | "unbuffer" => {}
            "jq" if stage.words.iter().skip(1).all(|word| word == "." || word.starts_with('-')) => {
            }
            "python" | "python3" if stage.words.iter().any(|word| word == "json.tool") => {}
            // Without braces it prints whole lines.
            "awk" if stage.words.get(1).is_some_and(|it| it.contains('/') && !it.contains('{')) => {
                found.partial = Some(filtered(stage));
            }
            "xargs" | "while" | "wc" | "awk" | "cut" | "tr" | "md5sum" | "sha256sum" | "ssh"
            | "virsh" | "ovs-vsctl" => {
                found.reshaped = Some(typed(stages));
            }
            _ => found.partial = Some(filtered(stage)),
        }
        found.elsewhere |= stage.elsewhere;
    }
    Some(found)
}

/// Why the output behind a filter is a part.
fn filtered(stage: &shell::Stage) -> String {
    format!("{FILTERED}`{}`", stage.words.join(" "))
}

/// A pipeline as it is typed.
fn typed(stages: &[shell::Stage]) -> String {
    let word = |word: &String| quote(word).into_owned();
    let stage = |stage: &shell::Stage| stage.words.iter().map(word).collect::<Vec<_>>().join(" ");
    stages.iter().map(stage).collect::<Vec<_>>().join(" | ")
}

/// Takes the wrapping off, layer by layer.
fn unwrap(words: &[String]) -> Option<Invocation> {
    let mut found = Invocation::default();
    let mut words = words;
    // Each round takes at least one word off.
    loop {
        let (first, rest) = words.split_first()?;
        if is_assignment(first) {
            words = rest;
            continue;
        }
        match base(first) {
            "sudo" => words = skip_options(rest, &["-u", "-g", "-h", "-p", "-C", "-T", "-U", "-r"]),
            "doas" | "time" | "exec" | "command" | "nohup" | "unbuffer" | "builtin" | "eval" => {
                words = skip_options(rest, &["-u", "-a"]);
            }
            "env" => words = skip_options(rest, &["-u", "-C"]),
            "nice" | "ionice" => words = skip_options(rest, &["-n", "-c", "-p"]),
            "stdbuf" => words = skip_options(rest, &["-i", "-o", "-e"]),
            "timeout" => words = skip_options(rest, &["-k", "-s"]).get(1..)?,
            "watch" => {
                found.partial = Some("one screen of `watch`".to_owned());
                words = skip_options(rest, &["-n", "-q"]);
            }
            "chroot" => words = skip_options(rest, &[]).get(1..)?,
            "script" => return rejoin(recorded(rest)?, found),
            "strace" | "ltrace" => {
                let (inner, apart) = followed(rest);
                if !apart {
                    found.partial = Some(format!("`{}` prints in between", base(first)));
                }
                words = inner;
            }
            "systemd-run" => {
                let (inner, netns, seen) = unit(rest);
                found.netns = netns.unwrap_or(found.netns);
                found.elsewhere |= !seen;
                words = inner;
            }
            "busybox" => words = rest,
            "sshpass" => words = skip_options(rest, &["-p", "-f", "-d", "-P"]),
            "ssh" | "slogin" => {
                let rest = skip_options(
                    rest,
                    &["-i", "-l", "-o", "-p", "-F", "-J", "-b", "-c", "-E", "-L", "-R", "-S"],
                );
                let (target, rest) = rest.split_first()?;
                found.host = Some(target.rsplit('@').next().unwrap_or(target).to_owned());
                // A quoted command is one word.
                return rejoin(skip_options(rest, &[]), found);
            }
            "su" | "runuser" => {
                let at = rest.iter().position(|it| it == "-c")?;
                return rejoin(rest.get(at + 1..at + 2)?, found);
            }
            "docker" | "podman" | "nerdctl" if rest.first().is_some_and(|it| it == "run") => {
                let (netns, inner) = run_in_container(base(first), rest.get(1..)?)?;
                found.netns = netns;
                words = inner;
            }
            "oc" if rest.first().is_some_and(|it| it == "rsh") => {
                let (pod_name, inner) =
                    skip_options(rest.get(1..)?, &["-n", "-c", "--shell"]).split_first()?;
                found.host = Some(pod(pod_name).to_owned());
                words = skip_options(inner, &[]);
            }
            "kubectl" | "oc" if rest.first().is_some_and(|it| it == "run") => {
                let (pod_name, inner) = run_in_pod(rest.get(1..)?)?;
                found.host = Some(pod_name.to_owned());
                words = inner;
            }
            "ctr" => {
                let (container, inner) = ctr(rest)?;
                found.netns = container_netns("ctr", container, inner);
                words = inner;
            }
            "mnexec" => {
                let (netns, inner) = mnexec(rest)?;
                found.netns = netns;
                words = inner;
            }
            // A shell on a node of the cluster.
            "kubectl" | "oc" if rest.first().is_some_and(|it| it == "debug") => {
                let node = rest.iter().find_map(|it| it.strip_prefix("node/"))?;
                found.host = Some(node.to_owned());
                words = behind_dashes(rest)?;
            }
            "minikube" | "multipass" | "machinectl" | "vagrant" | "limactl" | "colima" | "adb" => {
                let (verb, rest) = rest.split_first()?;
                let (machine, inner) = on_machine(base(first), verb, rest)?;
                found.host = Some(machine.to_owned());
                return rejoin(inner, found);
            }
            "pct" if rest.first().is_some_and(|it| it == "exec") => {
                found.netns = named(&format!("pct:{}", rest.get(1)?));
                words = skip_options(rest.get(2..)?, &[]);
            }
            // Sandboxes: without the network of the host they have one of their own.
            "firejail" | "bwrap" => {
                let inner = skip_options(rest, BWRAP_TAKES);
                let inner =
                    inner.iter().position(|it| may_begin(it)).and_then(|at| inner.get(at..))?;
                let options = rest.get(..rest.len() - inner.len())?;
                let apart = |it: &String| {
                    matches!(it.as_str(), "--unshare-net" | "--unshare-all")
                        || it.starts_with("--net=")
                };
                if options.iter().any(apart) {
                    found.netns = named(base(first));
                }
                words = inner;
            }
            "unshare" => {
                let inner = skip_options(rest, &["-S", "-G"]);
                let options = rest.get(..rest.len() - inner.len())?;
                if options.iter().any(|it| {
                    it == "--net"
                        || it == "-n"
                        || it.starts_with('-') && !it.starts_with("--") && it.contains('n')
                }) {
                    found.netns = named("unshare");
                }
                words = inner;
            }
            "docker" | "docker-compose" | "podman" | "nerdctl" | "crictl" | "lxc" | "kubectl"
            | "oc" | "incus"
                if !is_listing(rest) && rest.iter().any(|it| it == "exec") =>
            {
                let at = rest.iter().position(|it| it == "exec")?;
                let (container, inner) = in_container(rest.get(at + 1..)?)?;
                if matches!(base(first), "kubectl" | "oc") {
                    // The pod runs on some node of the cluster, which need not be this host.
                    found.host = Some(pod(container).to_owned());
                } else {
                    let tool = base(first).trim_end_matches("-compose");
                    found.netns = container_netns(tool, container, inner);
                }
                words = inner;
            }
            "lxc-attach" => {
                let at = rest.iter().position(|it| it == "--")?;
                let name = rest.iter().position(|it| it == "-n").and_then(|at| rest.get(at + 1));
                let inner = rest.get(at + 1..)?;
                found.netns = container_netns("lxc", name.map_or("", String::as_str), inner);
                words = inner;
            }
            "nsenter" => {
                let (netns, inner) = nsenter(rest);
                found.netns = netns.unwrap_or(found.netns);
                words = inner;
            }
            "bash" | "sh" | "zsh" | "dash" if rest.first().is_some_and(|it| is_c(it)) => {
                return rejoin(rest.get(1..2)?, found);
            }
            "ip" => match ip(rest) {
                Ip::Exec { netns, inner } => {
                    found.netns = netns;
                    words = inner;
                }
                Ip::ExecAll { inner } => {
                    found.everywhere = true;
                    words = inner;
                }
                Ip::Plain { netns, args } => return Some(finish(found, "ip", args, netns)),
            },
            "bridge" | "tc" | "ss" => {
                let (netns, args) = netns_option(base(first), rest);
                return Some(finish(found, base(first), args, netns));
            }
            program => {
                return Some(finish(found, program, rest.to_vec(), None));
            }
        }
    }
}

/// Options of sandboxes whose value is the next word.
const BWRAP_TAKES: &[&str] =
    &["--bind", "--ro-bind", "--dev-bind", "--dev", "--proc", "--tmpfs", "--chdir"];

/// A command line given as words or as one quoted word.
fn rejoin(words: &[String], outer: Invocation) -> Option<Invocation> {
    let inner = match words {
        [] => return None,
        [one] => parse_one(one)?,
        _ => unwrap(words)?,
    };
    Some(Invocation {
        host: inner.host.or(outer.host),
        netns: if inner.netns.is_root() { outer.netns } else { inner.netns },
        partial: inner.partial.or(outer.partial),
        elsewhere: inner.elsewhere || outer.elsewhere,
        hushed: inner.hushed || outer.hushed,
        everywhere: inner.everywhere || outer.everywhere,
        reshaped: inner.reshaped.or(outer.reshaped),
        command: inner.command,
    })
}

/// Puts the command together, without colour switches.
fn finish(
    mut found: Invocation,
    program: &str,
    args: Vec<String>,
    netns: Option<Netns>,
) -> Invocation {
    let colours = matches!(program, "ip" | "bridge" | "tc");
    let mut argv = Vec::with_capacity(args.len() + 1);
    argv.push(program.to_owned());
    argv.extend(args.into_iter().filter(|arg| !(colours && is_colour(arg))));
    found.command = Command { argv };
    if let Some(netns) = netns {
        found.netns = netns;
    }
    found
}

/// Whether nothing is printed, in the normal case.
fn is_silent(it: &Invocation) -> bool {
    const SILENT: &[&str] = &[
        "cd", "export", "set", "unset", "sleep", "clear", "true", "source", ".", "umask", "alias",
        "pushd", "popd", "wait", "read", "stty", "su", ":", "test", "[",
    ];
    SILENT.contains(&it.command.program()) || it.elsewhere
}

/// Whether the arguments of a tool of containers ask it for a list.
fn is_listing(args: &[String]) -> bool {
    let mut words = args.iter().map(String::as_str).filter(|arg| !arg.starts_with('-'));
    let listed = match words.next() {
        Some("ps" | "pods") => true,
        Some("container") => matches!(words.next(), Some("ls" | "list" | "ps")),
        _ => false,
    };
    let is_pods = |word: &String| matches!(word.as_str(), "po" | "pod" | "pods");
    let gets = args.iter().zip(args.iter().skip(1));
    let mut gets = gets.filter(|(verb, kind)| *verb == "get" && is_pods(kind));
    listed || gets.next().is_some()
}

/// Drops options, with their values where they take one.
fn skip_options<'a>(mut words: &'a [String], valued: &[&str]) -> &'a [String] {
    while let Some((first, rest)) = words.split_first() {
        if first == "--" {
            return rest;
        }
        if !first.starts_with('-') && !is_assignment(first) {
            break;
        }
        let skip = usize::from(valued.contains(&first.as_str()));
        words = rest.get(skip..).unwrap_or_default();
    }
    words
}

/// The last part of a path.
fn base(word: &str) -> &str {
    word.rsplit('/').next().unwrap_or(word)
}

fn named(name: &str) -> Netns {
    Netns::Named(name.into())
}

fn is_netns(word: &str) -> bool {
    word.len() >= 3 && "netns".starts_with(word)
}

fn is_exec(word: &str) -> bool {
    !word.is_empty() && "exec".starts_with(word)
}

fn is_c(word: &str) -> bool {
    word.starts_with('-') && word.ends_with('c')
}

fn is_colour(word: &str) -> bool {
    matches!(word, "-c" | "-color" | "-colo" | "-col")
        || word.starts_with("-c=")
        || word.starts_with("-color=")
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, value)| {
        // `cookie=0x0, table=0` is a list.
        !name.is_empty()
            && !value.ends_with(',')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with(|c: char| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests;
