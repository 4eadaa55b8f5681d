//! What enters another namespace before it runs a command: `ip netns exec`, `ip -n`, `nsenter`, and
//! the containers and pods of `exec`.
use tapline_core::ids::Netns;

use super::{base, is_exec, is_netns, named, skip_options};

/// What `ip` was asked to do.
pub(super) enum Ip<'a> {
    /// Run a program in a namespace.
    Exec { netns: Netns, inner: &'a [String] },
    /// Run it in each.
    ExecAll { inner: &'a [String] },
    /// Something else, perhaps in a namespace.
    Plain { netns: Option<Netns>, args: Vec<String> },
}

/// Reads the global options of `ip` (`ip.c` of iproute2).
pub(super) fn ip(args: &[String]) -> Ip<'_> {
    let mut at = 0;
    let mut netns = None;
    let mut all = false;
    let mut kept = Vec::new();
    while let Some(option) = args.get(at).filter(|it| it.starts_with('-')) {
        match option.as_str() {
            "-n" | "-ne" | "-net" | "-netn" | "-netns" => {
                netns = args.get(at + 1).map(|it| named(it));
                at += 2;
            }
            "-a" | "-all" => {
                all = true;
                kept.push(option.clone());
                at += 1;
            }
            "-f" | "-family" | "-rc" | "-rcvbuf" | "-b" | "-batch" | "-l" | "-loops" => {
                kept.extend(args.iter().skip(at).take(2).cloned());
                at += 2;
            }
            _ => {
                kept.push(option.clone());
                at += 1;
            }
        }
    }
    let rest = args.get(at..).unwrap_or_default();
    match rest {
        [object, verb, inner @ ..] if all && is_netns(object) && is_exec(verb) => {
            Ip::ExecAll { inner }
        }
        [object, verb, name, inner @ ..] if is_netns(object) && is_exec(verb) => {
            Ip::Exec { netns: named(name), inner }
        }
        [object, verb, _, inner @ ..] if object == "vrf" && is_exec(verb) => {
            Ip::Exec { netns: netns.unwrap_or_default(), inner }
        }
        _ => {
            kept.extend(rest.iter().cloned());
            Ip::Plain { netns, args: kept }
        }
    }
}

/// `-n NS` of `bridge` and `tc`, `-N NS` of `ss`.
pub(super) fn netns_option(program: &str, args: &[String]) -> (Option<Netns>, Vec<String>) {
    let mut netns = None;
    let mut kept = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let takes = match program {
            "ss" => matches!(arg.as_str(), "-N" | "--net"),
            _ => matches!(arg.as_str(), "-n" | "-ne" | "-net" | "-netn" | "-netns"),
        };
        if takes {
            netns = args.next().map(|arg| named(arg));
        } else if let Some(name) = arg.strip_prefix("--net=") {
            netns = Some(named(name));
        } else {
            kept.push(arg.clone());
        }
    }
    (netns, kept)
}

/// The namespace that `nsenter` enters, and what it runs there.
pub(super) fn nsenter(args: &[String]) -> (Option<Netns>, &[String]) {
    let mut pid = None;
    let mut file = None;
    let mut net = false;
    let mut rest = args;
    while let Some((option, after)) = rest.split_first().filter(|(it, _)| it.starts_with('-')) {
        rest = after;
        if option == "--" {
            break;
        }
        if let Some(path) = option.strip_prefix("--net=").or(option.strip_prefix("-n/")) {
            net = true;
            // `/proc/PID/ns/net` ends in `net`: the process tells.
            let of_process = path.trim_start_matches('/').strip_prefix("proc/");
            match of_process.and_then(|rest| rest.split_once('/')) {
                Some((number, _)) => pid = Some(number),
                None => file = path.rsplit('/').next(),
            }
        } else if option == "--net" {
            net = true;
        } else if let Some(number) = option.strip_prefix("--target=") {
            pid = Some(number);
        } else if matches!(option.as_str(), "-t" | "--target") {
            pid = rest.first().map(String::as_str);
            rest = rest.get(1..).unwrap_or_default();
        } else if matches!(option.as_str(), "-S" | "-G" | "--setuid" | "--setgid") {
            rest = rest.get(1..).unwrap_or_default();
        } else if !option.starts_with("--") {
            // Bundled letters, the target last: `-nt 4711`, `-n -t4711`.
            net |= option.contains('n') || option == "-a";
            if let Some((_, number)) = option.split_once('t') {
                if number.is_empty() {
                    pid = rest.first().map(String::as_str);
                    rest = rest.get(1..).unwrap_or_default();
                } else {
                    pid = Some(number);
                }
            }
        }
    }
    let netns = match (net, file, pid) {
        (false, _, _) => None,
        (_, Some(name), _) => Some(named(name)),
        (_, _, Some("1")) => Some(Netns::Root),
        (_, _, Some(asked)) if asked.starts_with("$(") => Some(of_process(asked)),
        (_, _, Some(pid)) => Some(named(&format!("pid:{pid}"))),
        _ => None,
    };
    (netns, rest)
}

/// The namespace of the process whose number a command prints: `$(docker inspect -f … web)`.
fn of_process(asked: &str) -> Netns {
    let inner = asked.trim_start_matches("$(").trim_end_matches(')');
    let words = super::shell::split(inner).and_then(|list| {
        let stage = list.into_iter().next()?.into_iter().next()?;
        Some(stage.words)
    });
    let words = words.unwrap_or_default();
    let tool = words.iter().find(|word| *word != "sudo").map(|word| base(word));
    match (tool, words.last()) {
        (
            Some(tool @ ("docker" | "podman" | "nerdctl" | "crictl" | "lxc" | "incus")),
            Some(name),
        ) => named(&format!("{tool}:{name}")),
        _ => named("nsenter"),
    }
}

/// The container of `exec [-it] [-e K=V] NAME [--] command`, and the command.
pub(super) fn in_container(args: &[String]) -> Option<(&str, &[String])> {
    const VALUED: &[&str] = &["-e", "--env", "-u", "--user", "-w", "--workdir", "-n", "-c"];
    let mut rest = skip_options(args, VALUED);
    // `podman exec -l`: the container that was started last.
    let options = args.get(..args.len() - rest.len()).unwrap_or_default();
    if let Some(latest) = options.iter().find(|it| matches!(it.as_str(), "-l" | "--latest")) {
        return Some((latest, rest));
    }
    let (name, after) = rest.split_first()?;
    rest = after;
    // kubectl takes further options behind the name.
    if let Some(at) = rest.iter().take(8).position(|it| it == "--") {
        rest = rest.get(at + 1..)?;
    }
    Some((name, rest))
}

/// The command that `script` runs and records: one word behind `-c`, or what stands behind `--`.
pub(super) fn recorded(args: &[String]) -> Option<&[String]> {
    let at = args.iter().position(|it| {
        it == "--command" || it.starts_with('-') && !it.starts_with("--") && it.ends_with('c')
    });
    match at {
        Some(at) => args.get(at + 1..at + 2),
        None => behind_dashes(args),
    }
}

/// The command that `strace` follows. What it prints of system calls goes to a file, or in between.
pub(super) fn followed(args: &[String]) -> (&[String], bool) {
    const VALUED: &[&str] =
        &["-e", "-o", "-p", "-s", "-a", "-b", "-E", "-I", "-O", "-P", "-S", "-u", "-X", "-U"];
    let inner = skip_options(args, VALUED);
    let options = args.get(..args.len() - inner.len()).unwrap_or_default();
    (inner, options.iter().any(|it| it.starts_with("-o") || it.starts_with("--output")))
}

/// The command that `systemd-run` starts, the namespace that it is put in, and whether what it prints
/// is seen.
pub(super) fn unit(args: &[String]) -> (&[String], Option<Netns>, bool) {
    const VALUED: &[&str] = &[
        "-u",
        "--unit",
        "-p",
        "--property",
        "-E",
        "--setenv",
        "-H",
        "--host",
        "-M",
        "--machine",
        "--slice",
        "--uid",
        "--gid",
        "--nice",
        "--description",
        "--service-type",
        "--working-directory",
        "--on-active",
        "--timer-property",
    ];
    let inner = skip_options(args, VALUED);
    let options = args.get(..args.len() - inner.len()).unwrap_or_default();
    let property = |name: &str| {
        options.iter().find_map(|it| {
            let it = it.strip_prefix("--property=").or_else(|| it.strip_prefix("-p")).unwrap_or(it);
            it.strip_prefix(name)?.strip_prefix('=')
        })
    };
    let netns = match (property("NetworkNamespacePath"), property("PrivateNetwork")) {
        (Some(path), _) => path.rsplit('/').next().map(named),
        (None, Some("yes" | "true" | "1" | "on")) => Some(named("systemd-run")),
        _ => None,
    };
    let short = |it: &String| it.starts_with('-') && !it.starts_with("--");
    let seen = options.iter().any(|it| {
        matches!(it.as_str(), "--pipe" | "--pty" | "--scope" | "--shell" | "--pty-late")
            || short(it) && it.contains(['P', 't', 'S'])
    });
    (inner, netns, seen)
}

/// The container of `ctr [OPTION]… task exec [OPTION]… NAME command`, and the command.
pub(super) fn ctr(args: &[String]) -> Option<(&str, &[String])> {
    let at = args.iter().take(8).position(|it| matches!(it.as_str(), "t" | "task" | "tasks"))?;
    let rest = args.get(at + 1..).filter(|rest| rest.first().is_some_and(|it| it == "exec"))?;
    let valued = ["--exec-id", "--cwd", "--user", "--fifo-dir", "--log-uri"];
    let (name, inner) = skip_options(rest.get(1..)?, &valued).split_first()?;
    Some((name, inner))
}

/// The namespace of the process that `mnexec -a PID` enters, and what it runs there.
pub(super) fn mnexec(args: &[String]) -> Option<(Netns, &[String])> {
    let at = args.iter().position(|it| it.starts_with('-') && it.ends_with('a'))?;
    let (pid, inner) = args.get(at + 1..)?.split_first()?;
    Some((named(&format!("pid:{pid}")), inner))
}

/// The pod of `kubectl run NAME [OPTION]… -- command`, and the command.
pub(super) fn run_in_pod(args: &[String]) -> Option<(&str, &[String])> {
    let name = args.iter().find(|it| !it.starts_with('-'))?;
    Some((name, behind_dashes(args).unwrap_or_default()))
}

/// What stands behind `--`.
pub(super) fn behind_dashes(args: &[String]) -> Option<&[String]> {
    let at = args.iter().position(|it| it == "--")?;
    args.get(at + 1..)
}

/// The namespace of `run [OPTION]… IMAGE command`, and the command.
pub(super) fn run_in_container<'a>(
    tool: &str,
    args: &'a [String],
) -> Option<(Netns, &'a [String])> {
    let (image, inner) = skip_options(args, RUN_TAKES).split_first()?;
    let value = |option: &str| {
        let at = args.iter().position(|it| it == option);
        let apart = at.and_then(|at| args.get(at + 1)).map(String::as_str);
        apart.or_else(|| args.iter().find_map(|it| it.strip_prefix(option)?.strip_prefix('=')))
    };
    let net = ["--net", "--network"].iter().find_map(|option| value(option));
    let of_host = net == Some("host");
    // In the namespace of another container, or of a pod.
    let other = net.and_then(|net| net.strip_prefix("container:")).or_else(|| value("--pod"));
    let name = other.or_else(|| value("--name")).unwrap_or(image);
    Some((if of_host { Netns::Root } else { named(&format!("{tool}:{name}")) }, inner))
}

/// Options of `docker run` whose value is the next word.
const RUN_TAKES: &[&str] = &[
    "-v",
    "--volume",
    "-e",
    "--env",
    "--env-file",
    "--name",
    "-p",
    "--publish",
    "--network",
    "--net",
    "-w",
    "--workdir",
    "-u",
    "--user",
    "--entrypoint",
    "-h",
    "--hostname",
    "--cap-add",
    "--cap-drop",
    "--device",
    "--mount",
    "--dns",
    "--add-host",
    "-l",
    "--label",
    "--ulimit",
    "-m",
    "--memory",
    "--cpus",
    "--platform",
    "--runtime",
    "--security-opt",
    "--sysctl",
    "--tmpfs",
    "--ip",
    "--mac-address",
    "--pid",
    "--ipc",
    "--uts",
    "--pull",
    "--gpus",
    "--pod",
];

/// The virtual machine that a tool runs a command on, and the command, as words or as one.
pub(super) fn on_machine<'a>(
    tool: &'a str,
    verb: &str,
    args: &'a [String],
) -> Option<(&'a str, &'a [String])> {
    match (tool, verb) {
        ("minikube", "ssh") => {
            let at = ["-n", "--node"].iter().find_map(|name| args.iter().position(|it| it == name));
            let inner =
                behind_dashes(args).unwrap_or_else(|| skip_options(args, &["-n", "--node", "-p"]));
            let node = at.and_then(|at| args.get(at + 1)).map_or(tool, String::as_str);
            (!inner.is_empty()).then_some((node, inner))
        }
        ("limactl", "shell") => args.split_first().map(|(name, inner)| (name.as_str(), inner)),
        ("colima" | "podman-machine", "ssh") => Some((tool, behind_dashes(args)?)),
        ("adb", "shell") => Some((tool, args)),
        ("multipass", "exec") => Some((args.first()?, behind_dashes(args)?)),
        ("machinectl", "shell") => {
            let (machine, inner) = skip_options(args, &[]).split_first()?;
            Some((machine.rsplit('@').next()?, inner))
        }
        ("vagrant", "ssh") => {
            let at = args.iter().position(|it| it == "-c")?;
            let name = args.first().filter(|it| !it.starts_with('-'));
            Some((name.map_or(tool, String::as_str), args.get(at + 1..at + 2)?))
        }
        _ => None,
    }
}

/// The namespace that a command in a container sees.
///
/// Daemons that OpenStack and OVN run in containers share the network of the host, and the
/// answers of OVS, OVN and libvirt are those of the host wherever they are asked.
pub(crate) fn container_netns(tool: &str, container: &str, inner: &[String]) -> Netns {
    const ON_HOST_NETWORK: &[&str] =
        &["neutron", "openvswitch", "ovn", "ovs", "nova", "libvirt", "kolla"];
    let program = inner.first().map(|inner| base(inner)).unwrap_or_default();
    let host_wide = ["ovs", "ovn", "virsh"].iter().any(|prefix| program.starts_with(prefix));
    if host_wide || ON_HOST_NETWORK.iter().any(|network| container.contains(network)) {
        Netns::Root
    } else {
        named(&format!("{tool}:{container}"))
    }
}

/// The name of a pod, without `pod/` or `deploy/` in front.
pub(crate) fn pod(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// Whether what was typed runs a program on another machine, or in a container: what that prints is
/// nothing of the host.
pub(crate) fn runs_elsewhere(typed: &str) -> bool {
    const TOOLS: &[&str] = &[
        "adb",
        "ansible",
        "aws",
        "az",
        "crictl",
        "ctr",
        "docker",
        "docker-compose",
        "gcloud",
        "guestfish",
        "incus",
        "juju",
        "kolla",
        "kubectl",
        "lxc",
        "lxc-attach",
        "limactl",
        "machinectl",
        "minikube",
        "mnexec",
        "multipass",
        "nerdctl",
        "nova",
        "nsenter",
        "oc",
        "openstack",
        "pct",
        "pdsh",
        "plink",
        "podman",
        "pssh",
        "qm",
        "salt",
        "ssh",
        "systemd-nspawn",
        "systemd-run",
        "vagrant",
        "virtctl",
    ];
    // `sudo -n docker …`
    typed.split_whitespace().take(3).any(|word| TOOLS.contains(&base(word)))
}
