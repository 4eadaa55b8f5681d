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
        (_, _, Some(pid)) => Some(named(&format!("pid:{pid}"))),
        _ => None,
    };
    (netns, rest)
}

/// The container of `exec [-it] [-e K=V] NAME [--] command`, and the command.
pub(super) fn in_container(args: &[String]) -> Option<(&str, &[String])> {
    const VALUED: &[&str] = &["-e", "--env", "-u", "--user", "-w", "--workdir", "-n", "-c"];
    let mut rest = skip_options(args, VALUED);
    let (name, after) = rest.split_first()?;
    rest = after;
    // kubectl takes further options behind the name.
    if let Some(at) = rest.iter().take(8).position(|it| it == "--") {
        rest = rest.get(at + 1..)?;
    }
    Some((name, rest))
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
    let of_host = ["--net", "--network"].iter().any(|option| value(option) == Some("host"));
    let name = value("--name").unwrap_or(image);
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
        ("minikube", "ssh") => Some((tool, behind_dashes(args)?)),
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
        "machinectl",
        "minikube",
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
