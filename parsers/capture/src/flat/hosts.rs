//! Words that may be the names of hosts.

/// A word before or behind a command that may be the name of a host. Numbers order files, and
/// some words say what they are about.
pub(crate) fn host_of_label(label: &str) -> Option<String> {
    const GENERAL: &[&str] = &[
        "net",
        "network",
        "networking",
        "sys",
        "system",
        "host",
        "hosts",
        "node",
        "nodes",
        "cmd",
        "cmds",
        "command",
        "commands",
        "ipv4",
        "ipv6",
        "ip4",
        "ip6",
        "v4",
        "v6",
        "out",
        "output",
        "stdout",
        "stderr",
        "err",
        "error",
        "errors",
        "rc",
        "exit",
        "exitcode",
        "status",
        "log",
        "debug",
        "info",
        "diag",
        "file",
        "text",
        "result",
        "data",
        "capture",
        "linux",
        "root",
        "sudo",
        "exec",
        "run",
        "extra",
        "var",
        "logs",
    ];
    // `10.0.0.7_ip_a.txt`
    if let Some(address) = label.split(['_', ' ']).find(|part| is_address(part)) {
        return Some(address.to_owned());
    }
    let parts: Vec<&str> = label
        .split(['_', '.', ' '])
        .flat_map(|part| {
            // `10-network`: a number, then a word; `node-a` is one name.
            let (head, rest) = part.split_once('-').unwrap_or(("", part));
            let number = !head.is_empty() && head.bytes().all(|b| b.is_ascii_digit());
            if number { [rest] } else { [part] }
        })
        .filter(|part| !part.is_empty() && !part.bytes().all(|b| b.is_ascii_digit()))
        .filter(|part| !GENERAL.contains(&part.to_ascii_lowercase().trim_matches('-')))
        .collect();
    let name = parts.join("_");
    let name = name.trim_matches(['-', '_']);
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whether a word has a part of the names that people give to hosts, and to nothing else of a network.
pub(crate) fn is_like_host(word: &str) -> bool {
    const PARTS: &[&str] = &[
        "compute", "comp", "cmp", "control", "ctl", "ctrl", "network", "node", "host", "server",
        "srv", "hv", "hyper", "kvm", "cloud", "worker", "master", "rack", "blade", "gateway",
        "storage", "ceph", "infra", "stack", "pve", "prox",
    ];
    let lower = word.to_ascii_lowercase();
    PARTS.iter().any(|part| lower.contains(part))
}

/// Whether a word is an address by which a host may be called.
pub(crate) fn is_address(word: &str) -> bool {
    word.len() >= 7 && word.parse::<std::net::IpAddr>().is_ok()
}
