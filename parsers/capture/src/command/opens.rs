//! Commands that open a shell somewhere else rather than printing something.
use tapline_core::ids::Netns;

use super::enter::{
    behind_dashes, ctr, followed, mnexec, recorded, run_in_container, run_in_pod, unit,
};
use super::shell;
use super::{
    base, container_netns, in_container, is_exec, is_netns, named, nsenter, pod, skip_options,
};

/// How the prompt of the inner shell compares with that of the outer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Look {
    /// It may be the same: another user or namespace of the same machine.
    Same,
    /// It is another one: a container or another machine.
    Other,
}

/// A shell that was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Opened {
    /// The namespace that it is in, where that is another one.
    pub(crate) netns: Option<Netns>,
    /// The machine that it is on, where that is another one.
    pub(crate) machine: Option<String>,
    pub(crate) look: Look,
}

impl Opened {
    fn here() -> Self {
        Self { netns: None, machine: None, look: Look::Same }
    }

    fn netns(netns: Netns, look: Look) -> Self {
        Self { netns: Some(netns), machine: None, look }
    }

    fn machine(name: &str) -> Self {
        let name = name.rsplit('@').next().unwrap_or(name);
        Self { netns: None, machine: Some(name.to_owned()), look: Look::Other }
    }
}

/// What a command line opens, if that is all it does.
pub(crate) fn opens(line: &str) -> Option<Opened> {
    let mut list = shell::split(line)?;
    // `cd /tmp; bash`
    let [stage] = list.pop()?.try_into().ok()?;
    of_words(&stage.words)
}

/// What the words of a command open.
fn of_words(words: &[String]) -> Option<Opened> {
    let (first, rest) = words.split_first()?;
    let here = || Some(Opened::here());
    match base(first) {
        "sudo" | "doas" => {
            let inner = skip_options(rest, &["-u", "-g", "-h", "-p", "-C", "-T", "-U", "-r"]);
            let login = rest.iter().take(rest.len() - inner.len()).any(|it| is_login(it));
            if inner.is_empty() { if login { here() } else { None } } else { of_words(inner) }
        }
        "exec" | "command" | "time" | "env" => of_words(skip_options(rest, &[])),
        "su" | "newgrp" | "runuser" => (!rest.iter().any(|it| it == "-c")).then(Opened::here),
        "bash" | "sh" | "zsh" | "dash" | "ash" | "ksh" | "fish" | "csh" | "tcsh" => {
            rest.iter().all(|it| it.starts_with('-') && !it.ends_with('c')).then(Opened::here)
        }
        "chroot" => {
            let inner = skip_options(rest, &[]).get(1..)?;
            if inner.is_empty() { here() } else { of_words(inner) }
        }
        "ssh" | "slogin" | "mosh" | "telnet" => {
            const VALUED: &[&str] =
                &["-i", "-l", "-o", "-p", "-F", "-J", "-b", "-c", "-E", "-L", "-R", "-S"];
            let (target, rest) = skip_options(rest, VALUED).split_first()?;
            let port = |text: &String| text.bytes().all(|b| b.is_ascii_digit());
            if rest.iter().all(port) {
                return Some(Opened::machine(target));
            }
            // `ssh -t HOST sudo -i`, and from there further on.
            let inner = of_words(rest)?;
            let machine = inner.machine.clone();
            Some(Opened {
                netns: inner.netns,
                ..Opened::machine(machine.as_ref().unwrap_or(target))
            })
        }
        "sshpass" => of_words(skip_options(rest, &["-p", "-f", "-d", "-P"])),
        // It records a shell.
        "script" => match recorded(rest) {
            Some([inner]) => opens(inner),
            Some(inner) => of_words(inner),
            None => here(),
        },
        "strace" | "ltrace" => of_words(followed(rest).0),
        "systemd-run" => {
            let (inner, netns, seen) = unit(rest);
            if !seen {
                return None;
            }
            if !inner.is_empty() {
                of_words(inner)?;
            }
            Some(Opened { netns, ..Opened::here() })
        }
        // `openstack server ssh NAME`, `gcloud compute ssh NAME`, `virtctl console NAME`.
        "openstack" | "nova" | "gcloud" | "virtctl" => {
            const VALUED: &[&str] = &[
                "--login",
                "-l",
                "--port",
                "--identity",
                "-i",
                "--option",
                "-o",
                "--zone",
                "--project",
                "--os-cloud",
                "-n",
                "--namespace",
                "--username",
            ];
            let at = rest.iter().position(|it| it == "ssh" || it == "console")?;
            let target = skip_options(rest.get(at + 1..)?, VALUED).first()?;
            Some(Opened::machine(pod(target)))
        }
        "toolbox" | "distrobox" => (rest.first()? == "enter").then(Opened::here),
        "virsh" | "xl" | "xm" | "qm" | "machinectl" | "vagrant" | "multipass" | "minikube"
        | "limactl" | "colima" | "adb" => console(base(first), rest),
        "ctr" => {
            let (name, inner) = ctr(rest)?;
            of_words(inner)?;
            Some(Opened::netns(container_netns("ctr", name, inner), Look::Other))
        }
        "mnexec" => {
            let (netns, inner) = mnexec(rest)?;
            of_words(inner)?;
            Some(Opened::netns(netns, Look::Same))
        }
        "pct" => {
            let (verb, rest) = rest.split_first()?;
            let (id, inner) = rest.split_first()?;
            let is_shell = || {
                of_words(skip_options(inner, &[])).is_some() && inner.iter().any(|it| it != "--")
            };
            let opens = verb == "enter" || verb == "console" || verb == "exec" && is_shell();
            opens.then(|| Opened::netns(named(&format!("pct:{id}")), Look::Other))
        }
        tool
        @ ("docker" | "podman" | "nerdctl" | "crictl" | "lxc" | "incus" | "kubectl" | "oc") => {
            container(tool, rest)
        }
        "docker-compose" => container("docker", rest),
        "lxc-attach" => {
            let at = rest.iter().position(|it| it == "-n")?;
            let name = rest.get(at + 1)?;
            let inner = rest.get(at + 2..).unwrap_or_default();
            let shell = skip_options(inner, &[]);
            (shell.is_empty() || of_words(shell).is_some())
                .then(|| Opened::netns(named(&format!("lxc:{name}")), Look::Other))
        }
        "nsenter" => {
            let (netns, inner) = nsenter(rest);
            if !inner.is_empty() {
                of_words(inner)?;
            }
            Some(Opened { netns, ..Opened::here() })
        }
        "unshare" => {
            let net =
                |text: &String| text == "--net" || text.starts_with("--net=") || bundled(text, 'n');
            let options = rest.iter().take_while(|it| it.starts_with('-'));
            let netns = options.clone().any(net).then(|| named("unshare"));
            let inner = skip_options(rest, &["-S", "-G"]);
            if !inner.is_empty() {
                of_words(inner)?;
            }
            Some(Opened { netns, ..Opened::here() })
        }
        "ip" => in_namespace(rest),
        _ => None,
    }
}

/// `ip netns exec NS bash`.
fn in_namespace(args: &[String]) -> Option<Opened> {
    let [object, verb, name, inner @ ..] = skip_options(args, &[]) else { return None };
    if !is_exec(verb) || !(is_netns(object) || object == "vrf") {
        return None;
    }
    let opened = of_words(inner)?;
    if object == "vrf" || opened.machine.is_some() || opened.netns.is_some() {
        return Some(opened);
    }
    Some(Opened::netns(named(name), Look::Same))
}

/// A console or shell of a virtual machine.
fn console(tool: &str, args: &[String]) -> Option<Opened> {
    let args = skip_options(args, &["-c", "--connect", "-d", "-l"]);
    let (verb, rest) = args.split_first()?;
    let opens = matches!(
        (tool, verb.as_str()),
        ("virsh" | "xl" | "xm", "console")
            | ("qm", "terminal")
            | ("machinectl" | "multipass", "shell" | "login")
            | ("vagrant" | "minikube" | "colima", "ssh")
            | ("limactl" | "adb", "shell")
    );
    if !opens || rest.iter().any(|it| it == "-c") {
        return None;
    }
    // `minikube ssh -- ip a`
    let given = behind_dashes(rest).filter(|inner| !inner.is_empty());
    if let Some(inner) = given {
        of_words(inner)?;
    }
    let behind = skip_options(rest, &["--devname", "-n"]);
    let behind = if given.is_some() { &[] } else { behind };
    let name = behind.first().map_or(tool, String::as_str);
    // `machinectl shell NAME /bin/ip a`
    let inner = behind.get(1..).unwrap_or_default();
    if verb == "shell" && !inner.is_empty() {
        of_words(inner)?;
    }
    let number = name.bytes().all(|b| b.is_ascii_digit());
    Some(if number { Opened::machine(&format!("guest-{name}")) } else { Opened::machine(name) })
}

/// A shell in a container, or a pod of another node.
fn container(tool: &str, args: &[String]) -> Option<Opened> {
    const VALUED: &[&str] = &["-n", "--namespace", "--context", "-f", "-c", "--kubeconfig"];
    let words: Vec<String> = skip_options(args, VALUED).to_vec();
    let (verb, rest) = words.split_first()?;
    let rest = if verb == "compose" { skip_options(rest, VALUED).get(1..)? } else { rest };
    match verb.as_str() {
        "exec" | "compose" => {
            let (name, inner) = in_container(rest)?;
            of_words(inner)?;
            Some(if matches!(tool, "kubectl" | "oc") {
                Opened::machine(pod(name))
            } else {
                Opened::netns(container_netns(tool, name, inner), Look::Other)
            })
        }
        // A shell on a node of the cluster.
        "debug" => {
            let (node, behind) = skip_options(rest, VALUED).split_first()?;
            let inner = behind.iter().position(|it| it == "--");
            if let Some(inner) = inner.and_then(|at| behind.get(at + 1..)) {
                of_words(inner)?;
            }
            Some(Opened::machine(node.strip_prefix("node/")?))
        }
        "rsh" | "console" => {
            let (name, inner) = skip_options(rest, VALUED).split_first()?;
            let inner = skip_options(inner, &[]);
            if !inner.is_empty() {
                of_words(inner)?;
            }
            Some(Opened::machine(pod(name)))
        }
        "shell" | "attach" => {
            let name = skip_options(rest, VALUED).first()?;
            Some(Opened::netns(named(&format!("{tool}:{name}")), Look::Other))
        }
        // Its pod is on some node of the cluster.
        "run" if matches!(tool, "kubectl" | "oc") => {
            let (name, inner) = run_in_pod(rest)?;
            let tty = rest
                .iter()
                .take_while(|it| *it != "--")
                .any(|it| bundled(it, 't') || it == "--tty");
            let shell = inner.is_empty() || of_words(inner).is_some();
            (tty && shell).then(|| Opened::machine(name))
        }
        "run" => {
            let tty = rest.iter().any(|it| bundled(it, 't') || it == "--tty");
            let (netns, inner) = run_in_container(tool, rest)?;
            let shell = inner.is_empty() || of_words(inner).is_some();
            let netns = Some(netns).filter(|netns| !netns.is_root());
            (tty && shell).then_some(Opened { netns, machine: None, look: Look::Other })
        }
        _ => None,
    }
}

/// Whether a word bundles this option: `-it`.
fn bundled(word: &str, option: char) -> bool {
    word.starts_with('-') && !word.starts_with("--") && word.contains(option)
}

/// `-i`, `-s`, `-iu`.
fn is_login(word: &str) -> bool {
    bundled(word, 'i') || bundled(word, 's') || matches!(word, "--login" | "--shell")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shells_are_seen() {
        for (line, netns, machine, look) in [
            ("docker exec -it shop sh", Some("docker:shop"), None, Look::Other),
            ("sudo ip netns exec blue bash", Some("blue"), None, Look::Same),
            ("unshare -n /bin/bash", Some("unshare"), None, Look::Same),
            ("nsenter -t 4711 -n", Some("pid:4711"), None, Look::Same),
            ("sudo -i", None, None, Look::Same),
            ("su - stack", None, None, Look::Same),
            ("ssh -p 22 cirros@192.0.2.9", None, Some("192.0.2.9"), Look::Other),
            ("ip netns exec qdhcp-1 ssh cirros@192.0.2.9", None, Some("192.0.2.9"), Look::Other),
            ("virsh console 7", None, Some("guest-7"), Look::Other),
            ("virsh -c qemu:///system console shop", None, Some("shop"), Look::Other),
            ("kubectl exec -it -n x web-0 -- /bin/sh", None, Some("web-0"), Look::Other),
            ("docker run --rm -it --name box alpine", Some("docker:box"), None, Look::Other),
            (
                "docker run -it --cap-add NET_ADMIN alpine sh",
                Some("docker:alpine"),
                None,
                Look::Other,
            ),
            ("docker run -it --net host alpine sh", None, None, Look::Other),
            ("ip netns exec red sudo -u kim -s", Some("red"), None, Look::Same),
            ("ssh -t jump ssh kvm6", None, Some("kvm6"), Look::Other),
            ("ssh -t kvm6 sudo -i", None, Some("kvm6"), Look::Other),
            ("sshpass -p x ssh root@kvm6", None, Some("kvm6"), Look::Other),
            ("openstack server ssh --login cirros shop", None, Some("shop"), Look::Other),
            ("virtctl console vmi/shop -n x", None, Some("shop"), Look::Other),
            ("oc debug node/w1 -- chroot /host", None, Some("w1"), Look::Other),
            ("oc rsh web-0", None, Some("web-0"), Look::Other),
            ("machinectl shell web /bin/bash", None, Some("web"), Look::Other),
            (
                "nsenter -t $(docker inspect -f '{{.State.Pid}}' web) -n bash",
                Some("docker:web"),
                None,
                Look::Same,
            ),
            ("nsenter -n -t $(pgrep -f nginx)", Some("nsenter"), None, Look::Same),
            ("pct exec 102 -- bash", Some("pct:102"), None, Look::Other),
            ("toolbox enter", None, None, Look::Same),
            ("script", None, None, Look::Same),
            ("script -q log.txt", None, None, Look::Same),
            ("script -c 'ip netns exec blue bash' log.txt", Some("blue"), None, Look::Same),
            ("script -qec bash /dev/null", None, None, Look::Same),
            ("strace -f -o /tmp/x bash", None, None, Look::Same),
            ("podman exec -it -l bash", Some("podman:-l"), None, Look::Other),
            ("podman exec -it --latest sh", Some("podman:--latest"), None, Look::Other),
            ("systemd-run -t bash", None, None, Look::Same),
            ("systemd-run --shell", None, None, Look::Same),
            (
                "sudo systemd-run -P -p NetworkNamespacePath=/run/netns/red -t bash",
                Some("red"),
                None,
                Look::Same,
            ),
            ("systemd-run --pty -p PrivateNetwork=yes sh", Some("systemd-run"), None, Look::Same),
            ("pct enter 102", Some("pct:102"), None, Look::Other),
            ("kubectl run -it --rm dbg --image=busybox -- sh", None, Some("dbg"), Look::Other),
            ("minikube ssh", None, Some("minikube"), Look::Other),
            ("ctr -n k8s.io t exec -t --exec-id x 3f9a sh", Some("ctr:3f9a"), None, Look::Other),
            ("mnexec -a 4242 bash", Some("pid:4242"), None, Look::Same),
            ("docker run -it --net=container:web box sh", Some("docker:web"), None, Look::Other),
            ("limactl shell default", None, Some("default"), Look::Other),
        ] {
            let netns = netns.map(named);
            let machine = machine.map(str::to_owned);
            assert_eq!(opens(line), Some(Opened { netns, machine, look }), "{line}");
        }
        for line in [
            "ip a",
            "sudo ip a",
            "bash -c 'ip a'",
            "ssh h ip a",
            "docker exec web ip a",
            "pct exec 102 -- ip a",
            "openstack server list",
            "ssh -t kvm6 sudo ip a",
            "virsh list",
            "oc debug node/w1 -- chroot /host ip a",
            "kubectl debug node/w1 -it --image=busybox -- ip a",
            "oc rsh web-0 ip a",
            "machinectl shell web /bin/ip a",
            "script -c 'ip a' log.txt",
            "strace ip a",
            "systemd-run -P ip a",
            "systemd-run bash",
            "podman exec -l ip a",
            "kubectl run t --rm -it --image=busybox -- ip a",
            "minikube ssh -- ip a",
            "mnexec -a 4242 ip a",
        ] {
            assert_eq!(opens(line), None, "{line}");
        }
    }
}
